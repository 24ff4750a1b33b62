//! "At most so many false alarms": the promise, and what it asks of an alarm.
//!
//! The chance that the forecast gives a window is honest to about one in a hundred, and
//! the other two questions (enough, new) take most false alarms away in a manner that no
//! formula tells. So the surprise that keeps a promise was found by simulation: steady
//! streams of 0.01 posts an hour to 10,000 a minute, in bins of a minute, five minutes and
//! an hour, for the rate at which most false alarms come. `cargo bench --bench bench --
//! volume` shows what becomes of the promise at each rate (BENCHMARKS.md).

use std::fmt;
use std::time::Duration;

use super::scale::Scale;

/// Posts an hour, as logarithms: where the surprise was looked for. Very quiet rules have
/// few windows with enough posts, and busy ones a better forecast; both keep a promise with
/// less surprise than those of one to ten an hour.
const RATES: [f64; 6] = [-1.0, -0.3, 0.5, 1.0, 2.0, 3.0];
/// False alarms a year, and the surprise at each of [`RATES`] at which there are no more;
/// found as above, the least of what was found on bins of a minute and of five.
const KEPT: [(f64, [f64; 6]); 4] = [
    (100.0, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
    (52.0, [1.0, 2.0, 2.0, 2.0, 1.9, 1.9]),
    (12.2, [2.5, 4.1, 4.1, 3.8, 3.3, 3.3]),
    (1.0, [7.0, 6.3, 6.3, 6.0, 5.8, 5.8]),
];
/// More is never asked: no forecast is that sure.
const MOST: f64 = 12.0;
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

    /// So many a year; none for none.
    pub fn yearly(alarms: f64) -> Option<Self> {
        let within = Duration::try_from_secs_f64(YEAR / alarms).ok()?;
        Some(Self { alarms: 1, within })
    }

    /// A part of it: the same in a longer time.
    #[must_use]
    pub fn tightened(self, share: f64) -> Self {
        let within = Duration::try_from_secs_f64(self.within.as_secs_f64() / share).unwrap_or(Duration::MAX);
        Self { within, ..self }
    }

    /// The surprise that keeps it at each of [`RATES`]: between what was found, along the
    /// logarithm of the promise, and beyond it as from the last two.
    fn surprise(self) -> [f64; 6] {
        let wanted = self.per_year().max(1e-6).ln();
        let pair = KEPT.windows(2).find(|pair| pair.last().is_some_and(|last| last.0.ln() <= wanted));
        let Some([(from, looser), (to, stricter)]) = pair.or(KEPT.windows(2).last()) else { return [MOST; 6] };
        let share = (wanted - from.ln()) / (to.ln() - from.ln());
        let mut surprise = *looser;
        for (surprise, stricter) in surprise.iter_mut().zip(stricter) {
            *surprise = (*surprise + share * (stricter - *surprise)).clamp(1.0, MOST);
        }
        surprise
    }
}

/// As people write it, in days where they are whole or many: `1 per 30d`.
impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { alarms, within } = self;
        let hours = within.as_secs_f64() / 3600.0;
        match hours {
            ..2.0 => write!(f, "{alarms} per {:.0}m", (hours * 60.0).max(1.0)),
            ..240.0 if hours.round() % 24.0 > 0.0 => write!(f, "{alarms} per {hours:.0}h"),
            _ => write!(f, "{alarms} per {:.0}d", hours / 24.0),
        }
    }
}

/// What it takes for an alarm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// `-log10` of the chance at least, for streams of 0.1, 0.5, 3, 10, 100 and 1,000 posts an
    /// hour; in between, something in between.
    pub surprise: [f64; 6],
    /// So many posts at once are always an alarm on a quiet rule.
    pub floor: Option<Floor>,
    /// False alarms a year, which a stream with storms of its own keeps by more surprise; without end: as
    /// many as there are.
    pub per_year: f64,
}

impl Policy {
    /// Of streams that are not asked for alarms.
    pub const NEVER: Self = Self { surprise: [MOST; 6], floor: None, per_year: f64::INFINITY };

    /// What keeps a promise on bins of that length.
    pub fn keeping(promise: Promise, scale: &Scale) -> Self {
        let share = (scale.seconds() / 300.0).log(12.0).clamp(0.0, 1.0);
        let surprise = promise.surprise().map(|surprise| (surprise - LESS_BY_THE_HOUR * share).max(1.0));
        Self { surprise, floor: None, per_year: promise.per_year() }
    }

    /// What is asked of a stream of so many posts an hour.
    pub(super) fn surprise_at(&self, per_hour: f64) -> f64 {
        let rate = per_hour.max(1e-9).log10();
        let points = RATES.iter().zip(&self.surprise);
        let mut before = (f64::NEG_INFINITY, self.surprise.first().copied().unwrap_or(MOST));
        for (&at, &surprise) in points {
            if rate <= at {
                let share = if before.0.is_finite() { (rate - before.0) / (at - before.0) } else { 1.0 };
                return before.1 + share * (surprise - before.1);
            }
            before = (at, surprise);
        }
        before.1
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
    fn promises_are_written_as_they_are_read() {
        let within = |minutes| Promise { alarms: 2, within: Duration::from_mins(minutes) };
        let written = [within(0), within(90), within(36 * 60), within(30 * 1440)].map(|promise| promise.to_string());
        assert_eq!(written, ["2 per 1m", "2 per 90m", "2 per 36h", "2 per 30d"]);
        assert_eq!(Promise::MONTHLY.tightened(0.25).to_string(), "1 per 120d");
        assert_eq!(Promise::yearly(12.175).map(|promise| promise.to_string()), Some("1 per 30d".to_owned()));
        assert_eq!(Promise::yearly(0.0), None);
    }

    #[test]
    fn a_stricter_promise_asks_for_more_surprise() {
        let policy = |alarms, days: u64| {
            Policy::keeping(Promise { alarms, within: Duration::from_hours(24 * days) }, &Scale::minutes())
        };
        let surprise = |alarms, days| policy(alarms, days).surprise_at(1.0);
        for (days, expected) in [(7, 2.0), (30, 4.1), (365, 6.3)] {
            assert!((surprise(1, days) - expected).abs() < 0.01, "{days}: {}", surprise(1, days));
        }
        for per_hour in [0.0, 0.1, 1.0, 30.0, 1e6] {
            let row = [1, 3, 7, 14, 30, 90, 365, 3650].map(|days| policy(1, days).surprise_at(per_hour));
            assert!(row.is_sorted() && row[0] >= 1.0 && row[7] <= MOST, "{per_hour}: {row:?}");
        }
        assert!((surprise(12, 365) - surprise(1, 30)).abs() < 0.1);
        let by_rate = [0.01, 0.1, 0.2, 0.5, 3.0, 55.0, 1e6].map(|per_hour| policy(1, 30).surprise_at(per_hour));
        let expected = [2.5, 2.5, 3.19, 4.1, 4.1, 3.43, 3.3];
        assert!(by_rate.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 0.01), "{by_rate:?}");
        let hourly = Policy::keeping(Promise::MONTHLY, &Scale::of(3600.0)).surprise_at(1.0);
        assert!((hourly - 3.25).abs() < 0.01, "{hourly}");
    }
}
