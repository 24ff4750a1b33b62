//! Patience with those who guess passwords.
//!
//! Whoever was wrong waits before the next try counts, longer each time, up to a minute. Nobody is locked out for good.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::time::Timestamp;

/// Mistakes that cost nothing.
const FREE: u32 = 4;
/// The longest wait.
const LONGEST: Duration = Duration::from_mins(1);
/// Mistakes are forgotten after so long without another.
const FORGOTTEN: Duration = Duration::from_mins(30);
/// Names and addresses that are remembered; further ones push out those of longest ago.
const MOST: usize = 10_000;

/// Who was wrong lately, and how often.
#[derive(Debug, Default)]
pub struct Throttle {
    mistakes: BTreeMap<String, Mistakes>,
}

#[derive(Clone, Copy, Debug)]
struct Mistakes {
    count: u32,
    last: Timestamp,
}

impl Mistakes {
    fn wait(self) -> Duration {
        let doubled = self.count.checked_sub(FREE).map(|more| Duration::from_secs(1 << more.min(6)));
        doubled.unwrap_or_default().min(LONGEST)
    }
}

impl Throttle {
    /// How long whoever it is must wait; none when the next try counts.
    pub fn wait(&self, who: &str, now: Timestamp) -> Option<Duration> {
        // A clock that was set back must keep nobody out for as long.
        let mistakes = self.mistakes.get(who).filter(|mistakes| mistakes.last <= now)?;
        mistakes.wait().checked_sub(now.since(mistakes.last)).filter(|wait| !wait.is_zero())
    }

    /// They were wrong.
    pub fn wrong(&mut self, who: &str, now: Timestamp) {
        self.mistakes.retain(|_, mistakes| now.since(mistakes.last) < FORGOTTEN);
        if self.mistakes.len() >= MOST && !self.mistakes.contains_key(who) {
            let oldest = self.mistakes.iter().min_by_key(|(_, mistakes)| mistakes.last).map(|(who, _)| who.clone());
            oldest.and_then(|oldest| self.mistakes.remove(&oldest));
        }
        let mistakes = self.mistakes.entry(who.to_owned()).or_insert(Mistakes { count: 0, last: now });
        *mistakes = Mistakes { count: mistakes.count.saturating_add(1), last: now };
    }

    /// They were right.
    pub fn right(&mut self, who: &str) {
        self.mistakes.remove(who);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + seconds)
    }

    #[test]
    fn a_slip_costs_nothing_and_guessing_gets_slow() {
        let mut throttle = Throttle::default();
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..14 {
            throttle.wrong("ann", at(now));
            let wait = throttle.wait("ann", at(now)).unwrap_or_default().as_secs();
            now += i64::try_from(wait).unwrap();
            assert_eq!(throttle.wait("ann", at(now)), None);
            waits.push(wait);
        }
        assert_eq!(waits, [0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]);
        assert_eq!(throttle.wait("bob", at(0)), None);
        assert!(throttle.wait("ann", at(now - 61)).is_none(), "a clock that was set back");
        throttle.right("ann");
        assert_eq!(throttle.wait("ann", at(now)), None);
    }

    #[test]
    fn mistakes_are_forgotten_and_their_number_is_bounded() {
        let mut throttle = Throttle::default();
        (0..9).for_each(|_| throttle.wrong("ann", at(0)));
        throttle.wrong("bob", at(1799));
        assert!(throttle.mistakes.contains_key("ann"));
        throttle.wrong("bob", at(1800));
        assert!(!throttle.mistakes.contains_key("ann"));
        for n in 0..MOST {
            throttle.wrong(&n.to_string(), at(1801));
        }
        assert_eq!(throttle.mistakes.len(), MOST);
        assert!(!throttle.mistakes.contains_key("bob"), "the oldest goes");
    }
}
