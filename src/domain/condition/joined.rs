//! Conditions that ask for other rules: all of them, or one after the other, within a time.
//!
//! A [`Junction`] holds what the rules it joins have raised lately, and says for each new
//! alert whether the whole has just become true. Time is event time: a late alert is put
//! where it belongs. What is true stays true while alerts go on completing it, as with a
//! count.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::keyed::Numbers;
use super::{Window, newly_true};
use crate::domain::incident::{ConditionKind, Sighting};
use crate::domain::time::Timestamp;

/// Posts remembered of one alert: the newest.
const POSTS: usize = 50;
/// Alerts remembered exactly; of more, the first and the last of each rule in a 64th of the time.
const EXACT: usize = 256;
const VERSION: u8 = 1;

/// `all_of` and `in_order`; which rules, the rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Whether their order matters.
    pub order: Order,
    /// Within how long.
    pub within: Duration,
}

/// In which order rules must fire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// In any.
    Any,
    /// In the one given; at the same instant is in order.
    Given,
}

impl Joined {
    /// The word for it in JSON.
    pub const fn kind(&self) -> ConditionKind {
        match self.order {
            Order::Any => ConditionKind::AllOf,
            Order::Given => ConditionKind::InOrder,
        }
    }
}

/// An alert of a joined rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Its event time.
    pub at: Timestamp,
    /// The rule, by its place among the joined ones.
    pub rule: usize,
    /// The posts that made it fire, by time; the newest are kept.
    pub posts: Vec<Sighting>,
}

/// Joined rules have fired.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    /// When each of them did, in the order asked for.
    pub times: Vec<Timestamp>,
    /// The newest of all alerts that belong to it.
    pub at: Timestamp,
    /// The posts of all of them, each once, by time.
    pub posts: Vec<Sighting>,
}

/// What the rules that one rule joins have raised lately.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Junction {
    /// By time, then rule.
    parts: Vec<Part>,
    firing: Vec<(Timestamp, Timestamp)>,
}

impl Junction {
    /// Adds an alert of one of so many rules; says whether the whole has just become true.
    pub fn add(&mut self, mut new: Part, rules: usize, joined: &Joined) -> Option<Whole> {
        let at = new.at;
        new.posts.drain(..new.posts.len().saturating_sub(POSTS));
        let place = self.parts.partition_point(|part| (part.at, part.rule) <= (new.at, new.rule));
        self.parts.insert(place, new);
        self.forget(joined);
        let (times, from, to) = self.completed_around(at, rules, joined)?;
        if !newly_true(&mut self.firing, from, to + joined.within) {
            return None;
        }
        let mut known = HashSet::new();
        let within = self.parts.iter().filter(|part| part.at >= from && part.at <= to);
        let posts = within.flat_map(|part| &part.posts).filter(|sighting| known.insert(&sighting.seen.post));
        let mut posts: Vec<Sighting> = posts.cloned().collect();
        posts.sort_by(|a, b| a.seen.cmp(&b.seen));
        Some(Whole { times, at: to, posts })
    }

    /// When each rule fired in one window of time that holds `at` and all of them, and the
    /// window's first and last alert; of several, the earliest window. In order, a window
    /// begins with the first rule.
    fn completed_around(
        &self,
        at: Timestamp,
        rules: usize,
        joined: &Joined,
    ) -> Option<(Vec<Timestamp>, Timestamp, Timestamp)> {
        let first = self.parts.partition_point(|part| part.at + joined.within <= at);
        let starts = self.parts.iter().enumerate().skip(first).take_while(|(_, part)| part.at <= at);
        for (place, start) in starts.filter(|(_, part)| joined.order == Order::Any || part.rule == 0) {
            let window = || self.parts.iter().skip(place).take_while(|part| part.at < start.at + joined.within);
            if let Some(times) = joined.order.times(window(), rules) {
                return Some((times, start.at, window().last().map_or(start.at, |part| part.at)));
            }
        }
        None
    }

    fn forget(&mut self, joined: &Joined) {
        let Some(newest) = self.parts.last().map(|part| part.at) else { return };
        let oldest = newest - Window::HORIZON.max(joined.within * 2);
        self.parts.drain(..self.parts.partition_point(|part| part.at < oldest));
        self.firing.retain(|(_, ends)| *ends >= oldest);
        if self.parts.len() > EXACT {
            self.thin(joined);
        }
    }

    /// Under a flood of alerts. No window that held a rule holds it no more; only the order
    /// of what lies within a 64th of the time may be lost. Then the oldest go.
    fn thin(&mut self, joined: &Joined) {
        let slot = i64::try_from(joined.within.as_micros() / 64).unwrap_or(i64::MAX).max(1);
        let mut ends: BTreeMap<(usize, i64), (usize, usize)> = BTreeMap::new();
        for (place, part) in self.parts.iter().enumerate() {
            ends.entry((part.rule, part.at.micros().div_euclid(slot))).or_insert((place, place)).1 = place;
        }
        let kept: HashSet<usize> = ends.into_values().flat_map(|(first, last)| [first, last]).collect();
        let mut place = 0;
        self.parts.retain(|_| {
            place += 1;
            kept.contains(&(place - 1))
        });
        let many = self.parts.len().saturating_sub(EXACT * 2);
        self.parts.drain(..many);
    }

    /// The newest alert remembered.
    pub fn newest(&self) -> Timestamp {
        self.parts.last().map(|part| part.at).unwrap_or_default()
    }

    /// All of it, for [`Junction::from_bytes`]; posts by their names.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        let mut number = |number: u64| bytes.extend(number.to_le_bytes());
        number(self.firing.len() as u64);
        for (from, to) in &self.firing {
            number(from.micros().cast_unsigned());
            number(to.micros().cast_unsigned());
        }
        for Part { at, rule, posts } in &self.parts {
            number(at.micros().cast_unsigned());
            number(*rule as u64);
            number(posts.len() as u64);
            for sighting in posts {
                number(sighting.seen.post_key.bits());
            }
        }
        bytes
    }

    /// Reads what [`Junction::to_bytes`] wrote; `post` knows the posts of each joined rule by
    /// their names. One that is not known any more is left out.
    pub fn from_bytes(bytes: &[u8], post: impl Fn(usize, u64) -> Option<Sighting>) -> Option<Self> {
        let mut input = Numbers::after_version(bytes, VERSION)?;
        let mut junction = Self::default();
        for _ in 0..input.next()? {
            junction.firing.push((input.time()?, input.time()?));
        }
        while !input.is_empty() {
            let (at, rule) = (input.time()?, usize::try_from(input.next()?).ok()?);
            let mut posts = Vec::new();
            for _ in 0..input.next()? {
                posts.extend(post(rule, input.next()?));
            }
            junction.parts.push(Part { at, rule, posts });
        }
        Some(junction)
    }
}

impl Order {
    /// When each of so many rules fired, if all of them did.
    fn times<'a>(self, parts: impl Iterator<Item = &'a Part>, rules: usize) -> Option<Vec<Timestamp>> {
        let mut times: Vec<Option<Timestamp>> = vec![None; rules];
        let mut open = rules;
        for part in parts {
            let awaited = self == Self::Any || part.rule == rules - open;
            if let (true, Some(time @ None)) = (awaited, times.get_mut(part.rule)) {
                *time = Some(part.at);
                open -= 1;
            }
            if open == 0 {
                return times.into_iter().collect();
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::condition::Seen;
    use crate::domain::id::PostId;
    use crate::domain::story::Story;

    const ALL: Joined = Joined { order: Order::Any, within: Duration::from_mins(30) };
    const IN_ORDER: Joined = Joined { order: Order::Given, within: Duration::from_mins(30) };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + second)
    }

    fn part(rule: usize, second: i64) -> Part {
        let post = PostId::from(format!("post {rule} {second}"));
        let sighting = Sighting {
            rule: format!("rule {rule}").as_str().into(),
            seen: Seen::new(at(second), post.clone(), "a".into(), Story::begun_by(&post)),
            source: "s".into(),
            incident: None,
            copy_of: None,
        };
        Part { at: at(second), rule, posts: vec![sighting] }
    }

    /// At which alerts, by place, the whole became true.
    fn fires(joined: &Joined, rules: usize, alerts: &[(usize, i64)]) -> Vec<usize> {
        let mut junction = Junction::default();
        let fires = |(place, &(rule, second)): (usize, &(usize, i64))| {
            junction.add(part(rule, second), rules, joined).map(|_| place)
        };
        alerts.iter().enumerate().filter_map(fires).collect()
    }

    #[test]
    fn all_within_the_time_fire_once_in_any_order() {
        let minutes = |alerts: &[(usize, i64)]| alerts.iter().map(|(rule, at)| (*rule, at * 60)).collect::<Vec<_>>();
        for (alerts, all, in_order) in [
            (&[(0, 0), (1, 29)][..], vec![1], vec![1]),
            (&[(1, 0), (0, 29)], vec![1], vec![]),
            (&[(0, 0), (1, 30)], vec![], vec![]),
            (&[(0, 0), (1, 0)], vec![1], vec![1]),
            (&[(0, 0), (0, 1), (0, 2)], vec![], vec![]),
            (&[(0, 0), (1, 5), (1, 9), (0, 12), (1, 20)], vec![1], vec![1]),
            (&[(0, 0), (1, 5), (0, 70), (1, 71)], vec![1, 3], vec![1, 3]),
            (&[(1, 10), (0, 200), (0, 5)], vec![2], vec![2]),
            (&[(1, 0), (0, 10), (1, 20)], vec![1], vec![2]),
        ] {
            assert_eq!(fires(&ALL, 2, &minutes(alerts)), all, "{alerts:?}");
            assert_eq!(fires(&IN_ORDER, 2, &minutes(alerts)), in_order, "{alerts:?}");
        }
    }

    #[test]
    fn the_whole_knows_its_times_and_posts() {
        let mut junction = Junction::default();
        junction.add(part(1, 0), 3, &IN_ORDER);
        junction.add(part(0, 10), 3, &IN_ORDER);
        junction.add(part(2, 90), 3, &IN_ORDER);
        let whole = junction.add(part(1, 60), 3, &IN_ORDER).unwrap();
        assert_eq!((whole.times.as_slice(), whole.at), (&[at(10), at(60), at(90)][..], at(90)));
        let posts: Vec<&str> = whole.posts.iter().map(|sighting| sighting.seen.post.as_str()).collect();
        assert_eq!(posts, ["post 0 10", "post 1 60", "post 2 90"]);
    }

    #[test]
    fn a_flood_of_alerts_is_bounded_and_hides_none() {
        let mut junction = Junction::default();
        for second in 0..20_000 {
            assert_eq!(junction.add(part(0, second / 20), 2, &ALL), None);
            assert!(junction.parts.len() <= 2 * EXACT + 1);
        }
        assert!(junction.add(part(1, 1000), 2, &ALL).is_some());
    }

    fn naive(joined: &Joined, rules: usize, alerts: &[(usize, i64)]) -> bool {
        let mut sorted = alerts.to_vec();
        sorted.sort_by_key(|&(rule, second)| (second, rule));
        (0..sorted.len()).any(|start| {
            let first = sorted[start].1;
            let window: Vec<_> = sorted[start..].iter().filter(|(_, second)| *second < first + 1800).collect();
            match joined.order {
                Order::Any => (0..rules).all(|rule| window.iter().any(|(of, _)| *of == rule)),
                Order::Given => {
                    let chain = |after: i64, rule| window.iter().find(|(of, at)| *of == rule && *at >= after);
                    (0..rules).try_fold(first, |after, rule| chain(after, rule).map(|(_, at)| *at)).is_some()
                }
            }
        })
    }

    proptest! {
        #[test]
        fn it_fires_first_when_a_naive_look_at_all_alerts_says_so(
            alerts in prop::collection::vec((0usize..3, (0i64..240).prop_map(|minute| minute * 60)), 1..30),
            in_order: bool,
        ) {
            let joined = if in_order { IN_ORDER } else { ALL };
            let first = (1..=alerts.len()).find(|&upto| naive(&joined, 3, &alerts[..upto])).map(|upto| upto - 1);
            prop_assert_eq!(fires(&joined, 3, &alerts).first().copied(), first);
        }

        #[test]
        fn what_is_written_is_read_again(alerts in prop::collection::vec((0usize..3, 0i64..9000), 0..30)) {
            let mut junction = Junction::default();
            let mut posts = Vec::new();
            for (rule, second) in alerts {
                let part = part(rule, second);
                posts.extend(part.posts.clone());
                junction.add(part, 3, &ALL);
            }
            let known = |_: usize, name: u64| posts.iter().find(|post| post.seen.post_key.bits() == name).cloned();
            prop_assert_eq!(Junction::from_bytes(&junction.to_bytes(), known), Some(junction));
        }
    }
}
