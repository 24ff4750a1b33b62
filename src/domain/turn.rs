//! Whose turn it is at a receiver: which of the messages that are due go out now.
//!
//! What is critical goes first, and there is room that only it may use: a receiver that hangs with four
//! rumours must not make a gunman wait for the end of their timeouts. Among equals, incidents take turns, so
//! that one with thirty people to tell does not hold up the next; within a turn the oldest goes first.
//!
//! How often a receiver is called is bounded by its [`Pace`], which never holds back what is critical.
//!
//! Rejected: an order by age alone (ten thousand rumours before the crisis), and a queue for each severity
//! (the least would never be told under load).

use std::collections::BTreeMap;
use std::time::Duration;

use super::time::Timestamp;

/// How many messages may be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Of any kind.
    pub any: usize,
    /// Besides those, critical ones.
    pub critical: usize,
}

impl From<usize> for Room {
    fn from(any: usize) -> Self {
        Self { any, critical: 0 }
    }
}

impl Room {
    /// Whether nothing fits.
    pub fn is_none(self) -> bool {
        self.any + self.critical == 0
    }
}

/// A message that is due, the first of its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its place among all messages: the older, the smaller.
    pub seq: i64,
    /// The incident it is about.
    pub incident: String,
    /// Whether it, or one that waits behind it, is of a critical incident.
    pub critical: bool,
}

/// Who goes now, in this order. `under_way` says how many messages of each incident are being sent.
pub fn turns(mut waiting: Vec<Waiting>, mut under_way: BTreeMap<String, u32>, room: Room) -> Vec<i64> {
    let (mut going, mut critical) = (Vec::new(), 0_usize);
    while going.len() < room.any + room.critical {
        // What is critical uses the room of its own first.
        let any_left = room.any.saturating_sub(going.len() - critical.min(room.critical));
        let turn = |one: &Waiting| under_way.get(&one.incident).copied().unwrap_or_default();
        let fitting = waiting.iter().enumerate().filter(|(_, one)| one.critical || any_left > 0);
        let next = fitting.min_by_key(|(_, one)| (!one.critical, turn(one), one.seq));
        let Some((place, _)) = next else { break };
        let one = waiting.swap_remove(place);
        going.push(one.seq);
        critical += usize::from(one.critical);
        *under_way.entry(one.incident).or_default() += 1;
    }
    going
}

/// How often a receiver may be called: so many at once, and one more each time a while has passed.
///
/// Its memory is the process's own: after a restart the receiver is called a little too often once, and
/// says so itself.
#[derive(Clone, Debug)]
pub struct Pace {
    limit: Option<Limit>,
    left: usize,
    counted: Timestamp,
    /// From when until when the receiver wants to be left alone.
    held: (Timestamp, Timestamp),
}

/// A receiver's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Calls at once.
    pub burst: usize,
    /// One more after each of these.
    pub every: Duration,
}

impl Pace {
    /// Nothing was sent yet.
    pub fn new(limit: Option<Limit>) -> Self {
        let left = limit.map_or(usize::MAX, |limit| limit.burst);
        Self { limit, left, counted: Timestamp::default(), held: (Timestamp::default(), Timestamp::default()) }
    }

    /// How many messages may go now that are not critical.
    pub fn left(&mut self, now: Timestamp) -> usize {
        if let Some(Limit { burst, every }) = self.limit {
            if self.left >= burst || self.counted > now {
                self.counted = now; // full; or the clock was set back
            }
            while self.left < burst && self.counted + every <= now {
                self.left += 1;
                self.counted = if self.left == burst { now } else { self.counted + every };
            }
        }
        if self.is_held(now) { 0 } else { self.left }
    }

    /// So many went.
    pub fn sent(&mut self, messages: usize) {
        self.left = if self.limit.is_some() { self.left.saturating_sub(messages) } else { self.left };
    }

    /// The receiver wants to be left alone for so long.
    pub fn hold(&mut self, now: Timestamp, after: Duration) {
        self.held = (now, now + after);
    }

    /// Before it began is after the clock was set back: nobody knows how long it was, and it may be over.
    fn is_held(&self, now: Timestamp) -> bool {
        let (from, until) = self.held;
        from <= now && now < until
    }

    /// How long nothing may go but what is critical; none when something may.
    pub fn wait(&mut self, now: Timestamp) -> Option<Duration> {
        if self.left(now) > 0 {
            return None;
        }
        let next = self.limit.map_or(now, |limit| self.counted + limit.every);
        let held = if self.is_held(now) { self.held.1 } else { now };
        Some(if self.left > 0 { held } else { next.max(held) }.since(now))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn waiting(seq: i64, incident: &str, critical: bool) -> Waiting {
        Waiting { seq, incident: incident.to_owned(), critical }
    }

    #[test]
    fn a_crisis_does_not_wait_behind_rumours_and_finds_room_when_they_hang() {
        let queue = || vec![waiting(1, "rumour", false), waiting(2, "story", false), waiting(9, "crisis", true)];
        assert_eq!(turns(queue(), BTreeMap::new(), Room { any: 2, critical: 0 }), [9, 1]);
        assert_eq!(turns(queue(), BTreeMap::new(), Room { any: 0, critical: 2 }), [9]);
        assert_eq!(
            turns(queue(), BTreeMap::new(), Room { any: 1, critical: 1 }),
            [9, 1],
            "it takes its own room first"
        );
    }

    #[test]
    fn an_incident_with_many_people_to_tell_takes_turns_with_the_next() {
        let mut queue: Vec<Waiting> = (1..30).map(|seq| waiting(seq, "team", false)).collect();
        queue.push(waiting(40, "other", false));
        assert_eq!(turns(queue.clone(), BTreeMap::new(), 3.into()), [1, 40, 2]);
        assert_eq!(turns(queue, BTreeMap::from([("team".to_owned(), 2)]), 1.into()), [40]);
    }

    #[test]
    fn a_pace_is_kept_and_forgives_a_pause() {
        let at = Timestamp::from_seconds;
        let mut pace = Pace::new(Some(Limit { burst: 3, every: Duration::from_secs(2) }));
        assert_eq!((pace.left(at(100)), pace.wait(at(100))), (3, None));
        pace.sent(3);
        assert_eq!((pace.left(at(101)), pace.wait(at(101))), (0, Some(Duration::from_secs(1))));
        assert_eq!(pace.left(at(102)), 1);
        assert_eq!(pace.left(at(1000)), 3);
        pace.hold(at(1000), Duration::from_mins(1));
        assert_eq!((pace.left(at(1001)), pace.wait(at(1001))), (0, Some(Duration::from_secs(59))));
        assert_eq!(pace.left(at(1060)), 3);
        pace.hold(at(1060), Duration::from_mins(1));
        assert_eq!(pace.left(at(500)), 3, "the clock was set back");
        let mut endless = Pace::new(None);
        endless.sent(1000);
        assert_eq!((endless.left(at(1)), endless.wait(at(1))), (usize::MAX, None));
    }

    proptest! {
        #[test]
        fn turns_fit_the_room_and_leave_none_behind_that_should_have_gone(
            kinds in prop::collection::vec((0_u8..4, any::<bool>()), 0..30),
            any in 0_usize..6,
            critical in 0_usize..4,
        ) {
            let queue: Vec<Waiting> =
                (0_i64..).zip(&kinds).map(|(seq, (incident, critical))| waiting(seq, &incident.to_string(), *critical)).collect();
            let going = turns(queue.clone(), BTreeMap::new(), Room { any, critical });
            let is_critical = |seq: &i64| queue.iter().any(|one| one.seq == *seq && one.critical);
            let urgent = queue.iter().filter(|one| one.critical).count();
            let taken = going.iter().filter(|seq| is_critical(seq)).count();
            prop_assert_eq!(taken, urgent.min(any + critical));
            let others = (queue.len() - urgent).min(any - taken.saturating_sub(critical));
            prop_assert_eq!(going.len() - taken, others);
            prop_assert!(going.iter().map(is_critical).is_sorted_by(|before, after| before >= after), "critical first");
        }
    }
}
