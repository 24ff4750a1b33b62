//! How much of a time could be seen at all: silence then means quiet (invariant 2).
//!
//! Only what is lost for good counts as unseen. A gap that is read again brings its posts
//! late, and they are put where they belong; until then they are expected.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::incident::Gap;
use crate::domain::time::{ClockSet, Timestamp};

/// Gaps remembered; a season reaches eight weeks back, and a source that is lost more
/// often than once an hour has other troubles.
const MOST: usize = 1500;

/// What was lost, and how many sources there are.
#[derive(Default)]
pub(super) struct Exposure {
    lost: VecDeque<(Timestamp, Timestamp)>,
    pub(super) sources: usize,
    /// How often it was found that something was lost.
    pub(super) changes: usize,
}

impl Exposure {
    /// Of a single source.
    pub(super) fn of_one() -> Self {
        Self { sources: 1, ..Self::default() }
    }

    /// A gap ended.
    pub(super) fn ended(&mut self, gap: &Gap) {
        if let (false, Some(to)) = (gap.recovered, gap.to) {
            self.add(gap.from, to);
        }
    }

    fn add(&mut self, from: Timestamp, to: Timestamp) {
        self.lost.push_back((from, to));
        self.changes += 1;
        if self.lost.len() > MOST {
            self.lost.pop_front();
        }
    }

    /// The clock was set. Time that it leapt over was not there to be seen, by any source; what is to come after it was set
    /// back cannot be lost yet.
    pub(super) fn clock_set(&mut self, set: ClockSet) {
        if let Ok(by) = u64::try_from(set.by) {
            (0..self.sources).for_each(|_| self.add(set.at - Duration::from_micros(by), set.at));
            return;
        }
        for (_, to) in &mut self.lost {
            *to = set.at.min(*to);
        }
        self.lost.retain(|(from, to)| from < to);
        self.changes += 1;
    }

    /// The share of a span that was seen, each source as good as another: 0 to 1.
    pub(super) fn share(&self, from: Timestamp, to: Timestamp) -> f64 {
        if self.lost.is_empty() {
            return 1.0; // as nearly always
        }
        let within = |(lost_from, lost_to): &(Timestamp, Timestamp)| lost_to.min(&to).since(*lost_from.max(&from));
        let lost: Duration = self.lost.iter().map(within).sum();
        let sources = u32::try_from(self.sources.max(1)).unwrap_or(u32::MAX);
        let whole = to.since(from).as_secs_f64() * f64::from(sources);
        let seen = 1.0 - lost.as_secs_f64() / whole.max(1e-9);
        // A sliver is no time to judge by.
        if seen < 0.01 { 0.0 } else { seen.min(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::DownReason;

    #[test]
    fn what_was_lost_is_not_seen_and_what_was_read_again_is() {
        let at = Timestamp::from_seconds;
        let gap = |from, to, recovered| Gap {
            source: "s".into(),
            from: at(from),
            to: Some(at(to)),
            reason: DownReason::Closed,
            recovered,
        };
        let mut exposure = Exposure { sources: 2, ..Exposure::default() };
        let share = |exposure: &Exposure, from| exposure.share(at(from), at(from + 60));
        exposure.ended(&gap(0, 1000, true));
        assert!((share(&exposure, 0) - 1.0).abs() < 1e-9);
        exposure.ended(&gap(90, 180, false));
        let shares = [0, 60, 120, 180].map(|from| (share(&exposure, from) * 100.0).round());
        assert!(shares.iter().zip([100.0, 75.0, 50.0, 100.0]).all(|(a, b)| (a - b).abs() < 1e-9), "{shares:?}");
        exposure.sources = 1;
        assert!(share(&exposure, 120).abs() < 1e-9);
    }

    #[test]
    fn time_that_the_clock_leapt_over_is_not_seen_until_it_is_set_back() {
        let at = Timestamp::from_seconds;
        let set = |by: i64, at: Timestamp| ClockSet { by: by * 1_000_000, at };
        let mut exposure = Exposure { sources: 2, ..Exposure::default() };
        exposure.clock_set(set(3600, at(4600)));
        assert!(exposure.share(at(1000), at(4600)).abs() < 1e-9);
        assert!((exposure.share(at(1000), at(8200)) - 0.5).abs() < 1e-9);
        // Half an hour of it is there after all.
        exposure.clock_set(set(-1800, at(2800)));
        assert!((exposure.share(at(2800), at(6400)) - 1.0).abs() < 1e-9);
        assert!(exposure.share(at(1000), at(2800)).abs() < 1e-9);
        exposure.clock_set(set(-1800, at(1000)));
        assert!((exposure.share(at(0), at(8200)) - 1.0).abs() < 1e-9);
    }
}
