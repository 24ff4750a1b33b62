//! `for` and `keep_firing_for`: how long a condition must be true before it alerts, and for how long it counts as
//! firing after it ceased.
//!
//! A condition says in which spans of event time it was true; what came late may change spans of the past, so spans are
//! remembered and not a timer. One that lasted long enough alerts, once: what is true again while it still counts as
//! firing is the same firing, however often that happens.
//!
//! Nothing here knows the present. Whoever asks says up to when time has come, and how much of a span nobody could see: where
//! what was not seen could have made it untrue, that is not time that it held.
//!
//! Rejected: to ask at set intervals, as Prometheus does (what an answer is would depend on when it is asked, and a recording
//! has no intervals).

use std::time::Duration;

use super::stored::{In, Out};
use crate::domain::time::Timestamp;
use crate::domain::volume::Unreadable;

/// `for` and `keep_firing_for` of a condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hold {
    /// It must be true for so long without interruption; zero: that it becomes true is enough.
    pub lasts: Duration,
    /// After it ceased it counts as firing for so long.
    pub keep: Duration,
}

impl Hold {
    /// Whether either is asked for.
    pub fn is_asked(&self) -> bool {
        *self != Self::default()
    }
}

/// From an instant until another one, which is no part of it.
pub(super) type Span = (Timestamp, Timestamp);

/// In which parts of a span a condition was true; nothing is said of other times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Of which time something is said.
    pub of: (Timestamp, Timestamp),
    /// When it was true, by time.
    pub spans: Vec<(Timestamp, Timestamp)>,
}

/// A condition was true for long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lasted {
    /// It became true.
    pub since: Timestamp,
    /// It had been true for long enough.
    pub at: Timestamp,
    /// Whether nothing that was not seen could say otherwise.
    pub is_sure: bool,
}

/// When one rule's condition was true, and when it alerted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// By time; none touches another.
    spans: Vec<Span>,
    /// By time.
    alerted: Vec<Timestamp>,
}

/// So many spans and alerts are remembered; older ones can only matter to very late posts.
const MOST: usize = 64;
/// How much nearer the end of a wait must come to be looked for again.
const NEAR: Duration = Duration::from_millis(1);
/// Raised when old bytes mean something else.
const VERSION: u8 = 1;

impl Held {
    /// Takes in when the condition was true.
    pub fn learn(&mut self, truth: &Truth) {
        let (from, until) = truth.of;
        let before = self.spans.iter().map(|&(began, ends)| (began, ends.min(from)));
        let after = self.spans.iter().map(|&(began, ends)| (began.max(until), ends));
        let mut all: Vec<Span> = before.chain(truth.spans.iter().copied()).chain(after).collect();
        all.retain(|(began, ends)| began < ends);
        all.sort_unstable();
        let mut spans: Vec<Span> = Vec::with_capacity(all.len());
        for (began, ends) in all {
            match spans.last_mut().filter(|last| began <= last.1) {
                Some(last) => last.1 = last.1.max(ends),
                None => spans.push((began, ends)),
            }
        }
        spans.drain(..spans.len().saturating_sub(MOST));
        self.spans = spans;
    }

    /// The next alert that is due by `present`, which is given once; `lost` says how much of a span nobody saw. What ceased
    /// counts as firing for `linger`.
    pub fn next(
        &mut self,
        hold: &Hold,
        linger: Duration,
        present: Timestamp,
        lost: impl Fn((Timestamp, Timestamp)) -> Duration,
    ) -> Option<Lasted> {
        let lasted = self.due(hold, linger, present, lost)?;
        let place = self.alerted.partition_point(|at| *at < lasted.at);
        self.alerted.insert(place, lasted.at);
        self.alerted.drain(..self.alerted.len().saturating_sub(MOST));
        Some(lasted)
    }

    /// What [`Held::next`] would give.
    pub fn due(
        &self,
        hold: &Hold,
        linger: Duration,
        present: Timestamp,
        lost: impl Fn((Timestamp, Timestamp)) -> Duration,
    ) -> Option<Lasted> {
        let (waiting, _) = self.walk(linger);
        let due = |&span: &Span| {
            let at = ripe(span, hold.lasts, present, &lost)?;
            Some(Lasted { since: span.0, at, is_sure: true })
        };
        waiting.iter().find_map(due)
    }

    /// Until when it counts as firing, if it ever did.
    pub fn firing_until(&self, linger: Duration) -> Option<Timestamp> {
        self.walk(linger).1
    }

    /// Whether anything may be due later.
    pub fn is_waiting(&self, linger: Duration) -> bool {
        !self.walk(linger).0.is_empty()
    }

    /// The spans that belong to no firing, and the end of the last firing.
    fn walk(&self, linger: Duration) -> (Vec<Span>, Option<Timestamp>) {
        let mut alerted = self.alerted.iter().peekable();
        let (mut waiting, mut ends) = (Vec::new(), None);
        for &(from, until) in &self.spans {
            let mut is_told = false;
            while let Some(at) = alerted.next_if(|at| **at < until) {
                is_told |= *at >= from;
                ends = ends.max(Some(*at + linger));
            }
            if is_told || ends.is_some_and(|ends| from <= ends) {
                ends = ends.max(Some(until + linger));
            } else {
                waiting.push((from, until));
            }
        }
        let last = alerted.next_back().map(|at| *at + linger);
        (waiting, ends.max(last))
    }

    /// The end of what it knows.
    pub fn newest(&self) -> Timestamp {
        let (span, alert) = (self.spans.last().map(|span| span.1), self.alerted.last().copied());
        span.max(alert).unwrap_or_default()
    }

    /// All of it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { spans, alerted } = self;
        let mut out = Out::default();
        out.0.push(VERSION);
        out.number(spans.len() as u64);
        for (from, until) in spans {
            out.time(*from);
            out.time(*until);
        }
        out.number(alerted.len() as u64);
        for at in alerted {
            out.time(*at);
        }
        out.0
    }

    /// Reads what [`Held::to_bytes`] wrote.
    ///
    /// # Errors
    /// The bytes are of another version, or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut bytes = In(bytes);
        if bytes.bytes(1)? != [VERSION] {
            return Err(Unreadable);
        }
        let many = bytes.length(MOST)?;
        let spans = (0..many).map(|_| Ok((bytes.time()?, bytes.time()?))).collect::<Result<_, _>>()?;
        let many = bytes.length(MOST)?;
        let alerted = (0..many).map(|_| bytes.time()).collect::<Result<_, _>>()?;
        bytes.end()?;
        Ok(Self { spans, alerted })
    }
}

/// When a span had lasted for so long, in time that was seen; none while it has not.
fn ripe(
    (from, until): Span,
    lasts: Duration,
    present: Timestamp,
    lost: &impl Fn(Span) -> Duration,
) -> Option<Timestamp> {
    let mut at = from + lasts;
    while at < until && at <= present {
        let later = from + lasts + lost((from, at));
        if later <= at + NEAR {
            return Some(at);
        }
        at = later;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(1_000 + second)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn truth(of: (i64, i64), spans: &[(i64, i64)]) -> Truth {
        let span = |(from, until): (i64, i64)| (at(from), at(until));
        Truth { of: span(of), spans: spans.iter().copied().map(span).collect() }
    }

    fn nothing_lost(_: Span) -> Duration {
        Duration::ZERO
    }

    #[test]
    fn what_lasts_alerts_once_and_what_flaps_is_the_same_firing() {
        let asked = Hold { lasts: seconds(10), keep: seconds(30) };
        let mut held = Held::default();
        held.learn(&truth((0, 60), &[(0, 9), (20, 40)]));
        assert_eq!(held.next(&asked, asked.keep, at(29), nothing_lost), None, "nine seconds are not ten");
        let lasted = Lasted { since: at(20), at: at(30), is_sure: true };
        assert_eq!(held.next(&asked, asked.keep, at(30), nothing_lost), Some(lasted));
        held.learn(&truth((60, 200), &[(70, 100), (130, 131), (162, 180)]));
        assert_eq!(held.firing_until(asked.keep), Some(at(161)));
        let lasted = Lasted { since: at(162), at: at(172), is_sure: true };
        assert_eq!(held.next(&asked, asked.keep, at(200), nothing_lost), Some(lasted));
        assert_eq!(held.next(&asked, asked.keep, at(900), nothing_lost), None);
    }

    #[test]
    fn time_that_nobody_saw_is_not_time_that_it_held() {
        let asked = Hold { lasts: seconds(10), keep: Duration::ZERO };
        let lost = |(from, until): Span| until.min(at(25)).since(from.max(at(5)));
        let mut held = Held::default();
        held.learn(&truth((0, 60), &[(0, 50)]));
        assert_eq!(held.next(&asked, asked.keep, at(29), lost), None);
        let lasted = Lasted { since: at(0), at: at(30), is_sure: true };
        assert_eq!(held.next(&asked, asked.keep, at(30), lost), Some(lasted));
    }

    #[test]
    fn what_was_told_stays_told_when_a_late_post_says_that_it_was_not_true() {
        let asked = Hold { lasts: Duration::ZERO, keep: seconds(60) };
        let mut held = Held::default();
        held.learn(&truth((0, 10), &[(0, 10)]));
        assert!(held.next(&asked, asked.keep, at(0), nothing_lost).is_some());
        held.learn(&truth((-5, 10), &[]));
        held.learn(&truth((20, 30), &[(20, 30)]));
        assert_eq!(held.next(&asked, asked.keep, at(30), nothing_lost), None);
        assert_eq!(held.firing_until(asked.keep), Some(at(90)));
    }

    /// Second by second: is it true, for how long has it been, does it count as firing?
    fn naive(truth: &[bool], asked: &Hold) -> Vec<i64> {
        let (lasts, keep) = (asked.lasts.as_secs(), asked.keep.as_secs());
        let (mut since, mut firing_until, mut alerts) = (None, None, Vec::new());
        for (second, is_true) in (0_u64..).zip(truth) {
            if !is_true {
                since = None;
                continue;
            }
            let is_firing = firing_until.is_some_and(|until| second <= until);
            let (began, goes_on) = *since.get_or_insert((second, is_firing));
            if goes_on {
                firing_until = Some(second + 1 + keep);
            } else if second - began >= lasts {
                alerts.push(second.try_into().unwrap());
                firing_until = Some(second + 1 + keep);
                since = Some((began, true));
            }
        }
        alerts
    }

    proptest! {
        #[test]
        fn alerts_are_those_of_a_second_by_second_account_in_any_order_of_learning(
            runs in prop::collection::vec((1usize..15, 0usize..20), 1..12),
            (lasts, keep) in (0u64..12, 0u64..20),
            order in prop::collection::vec(0usize..100, 12),
            restarts: bool,
        ) {
            let asked = Hold { lasts: seconds(lasts), keep: seconds(keep) };
            let mut seen = Vec::new();
            let mut spans = Vec::new();
            for &(lasts, pause) in &runs {
                let from = i64::try_from(seen.len()).unwrap();
                seen.extend(std::iter::repeat_n(true, lasts));
                spans.push((from, i64::try_from(seen.len()).unwrap()));
                seen.extend(std::iter::repeat_n(false, pause));
            }
            let mut shuffled: Vec<_> = spans.iter().zip(&order).collect();
            shuffled.sort_by_key(|(_, place)| **place);
            let mut held = Held::default();
            for (&span, _) in shuffled {
                held.learn(&truth(span, &[span]));
            }
            let mut alerts: Vec<i64> = Vec::new();
            while let Some(lasted) = held.next(&asked, asked.keep, at(1000), nothing_lost) {
                alerts.push(lasted.at.since(at(0)).as_secs().try_into().unwrap());
                if restarts {
                    held = Held::from_bytes(&held.to_bytes()).unwrap();
                }
            }
            prop_assert_eq!(alerts, naive(&seen, &asked));
        }
    }
}
