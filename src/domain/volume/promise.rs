//! "At most so many false alarms": the promise, and what it asks of an alarm.
//!
//! The chance that the forecast gives a window is honest to about one in a hundred, and
//! the other two questions (enough, new) take most false alarms away in a manner that no
//! formula tells. So the surprise that keeps a promise was found by simulation: steady
//! streams of 0.01 posts an hour to 10,000 a minute, in bins of a minute, five minutes and
//! an hour, for the rate at which most false alarms come. `cargo bench --bench bench --
//! volume` shows what becomes of the promise at each rate (BENCHMARKS.md).

use std::time::Duration;

use super::scale::Scale;

/// False alarms a year, and the surprise at which there are no more of them; found as above.
const KEPT: [(f64, f64); 4] = [(100.0, 1.0), (52.0, 2.0), (12.2, 4.1), (1.0, 6.3)];
/// Bins of an hour are looked at less often than those of five minutes or less: they keep
/// the same promise with so much less surprise.
const LESS_BY_THE_HOUR: f64 = 0.85;
const YEAR: f64 = 365.25 * 86_400.0;

/// So many false alarms in so long a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// False alarms.
    pub alarms: u32,
    /// In how long.
    pub within: Duration,
}

impl Promise {
    /// Unless something else is said: one in a month.
    pub const MONTHLY: Self = Self { alarms: 1, within: Duration::from_hours(30 * 24) };

    /// False alarms a year.
    pub fn per_year(self) -> f64 {
        f64::from(self.alarms) * YEAR / self.within.as_secs_f64().max(1.0)
    }

    /// The surprise that keeps it: between what was found, along the logarithm of the rate.
    fn surprise(self) -> f64 {
        let rate = self.per_year().max(1e-6).ln();
        let pairs = KEPT.windows(2).filter_map(|pair| Some((pair.first()?, pair.last()?)));
        let line = |(from, to): (&(f64, f64), &(f64, f64))| {
            let share = (rate - from.0.ln()) / (to.0.ln() - from.0.ln());
            from.1 + share * (to.1 - from.1)
        };
        // The surprise grows ever more slowly with the promise, so the least line is the right one.
        pairs.map(line).fold(f64::INFINITY, f64::min).max(1.0)
    }
}

/// What it takes for an alarm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// `-log10` of the chance at least.
    pub surprise: f64,
    /// So many posts at once are always an alarm on a quiet rule.
    pub floor: Option<Floor>,
}

impl Policy {
    /// What keeps a promise on bins of that length.
    pub fn keeping(promise: Promise, scale: &Scale) -> Self {
        let share = (scale.seconds() / 300.0).log(12.0).clamp(0.0, 1.0);
        Self { surprise: (promise.surprise() - LESS_BY_THE_HOUR * share).max(1.0), floor: None }
    }
}

/// So many posts within ten minutes, when hardly any is expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Floor {
    /// Posts at least.
    pub posts: f64,
    /// Posts expected at most.
    pub expected: f64,
    /// Once a stream was seen for so many hours.
    pub from_hours: f64,
}

impl Floor {
    /// "Eight people within ten minutes": nobody who listens for a hospital wants to miss
    /// that on a rule that takes one post an hour or less. On busier ones every little storm
    /// would be an alarm, and the other tests see what is none.
    pub const EIGHT: Self = Self { posts: 8.0, expected: 0.2, from_hours: 1.0 };

    /// A stream too young for the other tests learns from the very posts that are to alarm.
    const EXPECTED_WHILE_YOUNG: f64 = 0.5;

    pub(super) fn is_reached(self, seen: f64, expected: f64, young: bool) -> bool {
        seen >= self.posts && expected <= if young { Self::EXPECTED_WHILE_YOUNG } else { self.expected }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stricter_promise_asks_for_more_surprise() {
        let surprise = |alarms, days: u64| {
            Policy::keeping(Promise { alarms, within: Duration::from_hours(24 * days) }, &Scale::minutes()).surprise
        };
        assert!((surprise(1, 7) - 2.0).abs() < 0.01, "{}", surprise(1, 7));
        assert!((surprise(1, 30) - 4.1).abs() < 0.01, "{}", surprise(1, 30));
        assert!((surprise(1, 365) - 6.3).abs() < 0.01, "{}", surprise(1, 365));
        let row: Vec<f64> = [1, 3, 7, 14, 30, 90, 365, 3650].map(|days| surprise(1, days)).into();
        assert!(row.is_sorted(), "{row:?}");
        assert!(surprise(1, 3650) < 10.0, "not beyond all measure: {row:?}");
        assert!((surprise(12, 365) - surprise(1, 30)).abs() < 0.1);
        let hourly = Policy::keeping(Promise::MONTHLY, &Scale::of(3600.0)).surprise;
        assert!((hourly - 3.25).abs() < 0.01, "{hourly}");
    }
}
