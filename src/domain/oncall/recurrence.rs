//! What comes again: a time of day on certain days, by the clock on the wall.

use std::time::Duration;

use super::{WallTime, Weekdays};
use crate::domain::time::{Timestamp, Zone};

/// A drill that begins by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drill {
    /// Which.
    pub scenario: String,
    /// When.
    pub recurrence: Recurrence,
    /// Under whose name.
    pub by: String,
    /// How long somebody has to take charge; an hour at most.
    pub wait: Duration,
}

/// A time of day, on each `every`th day since `start` that is one of `weekdays`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recurrence {
    /// Whose clocks.
    pub zone: Zone,
    /// The first day there may be one, and the time of day.
    pub start: WallTime,
    /// In days, 1 to 366.
    pub every: u16,
    /// On these.
    pub weekdays: Weekdays,
}

impl Recurrence {
    /// The first instant after another at which it comes; none when it never does.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let (first, every) = (self.start.day(), i64::from(self.every.max(1)));
        let time_of_day = self.start.since(WallTime::of(first, 0));
        // A clock that was set back over midnight shows the day before once more.
        let from = (self.zone.reads(after).day() - 1).max(first);
        let begin = from + (first - from).rem_euclid(every);
        // After seven rounds weekdays repeat themselves.
        let days = (0..9).map(|round| begin + round * every).filter(|day| self.weekdays.has(*day));
        let instants = days.map(|day| self.zone.first(WallTime::of(day, 0).plus(time_of_day)));
        instants.filter(|at| *at > after).min()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn recurrence(zone: &str, start: &str, every: u16, weekdays: &[usize]) -> Recurrence {
        let zone = Zone::of(jiff::tz::TimeZone::get(zone).unwrap());
        let start: jiff::civil::DateTime = start.parse().unwrap();
        let on = std::array::from_fn(|day| weekdays.is_empty() || weekdays.contains(&day));
        Recurrence { zone, start: start.into(), every, weekdays: Weekdays(on) }
    }

    fn times(recurrence: &Recurrence, from: &str, count: usize) -> Vec<String> {
        let mut after = Timestamp::parse(from).unwrap();
        let next = || {
            after = recurrence.next(after)?;
            Some(after.to_string())
        };
        std::iter::from_fn(next).take(count).collect()
    }

    #[test]
    fn it_comes_at_the_same_time_of_day_across_summer_time() {
        let tuesdays = recurrence("America/New_York", "1970-01-01T10:30", 1, &[1]);
        let expected = ["2026-10-27T14:30:00Z", "2026-11-03T15:30:00Z", "2026-11-10T15:30:00Z"];
        assert_eq!(times(&tuesdays, "2026-10-22T00:00:00Z", 3), expected);
        let months = recurrence("Europe/Berlin", "2026-03-01T02:30", 28, &[]);
        assert_eq!(times(&months, "2020-01-01T00:00:00Z", 2), ["2026-03-01T01:30:00Z", "2026-03-29T01:00:00Z"]);
        let fourth = recurrence("UTC", "2026-12-01T10:00", 28, &[1]);
        assert_eq!(times(&fourth, "2026-12-01T10:00:00Z", 2), ["2026-12-29T10:00:00Z", "2027-01-26T10:00:00Z"]);
        assert_eq!(recurrence("UTC", "2026-12-01T10:00", 7, &[2]).next(Timestamp::default()), None, "never");
    }

    proptest! {
        #[test]
        fn it_is_what_looking_at_each_day_finds(
            zone in prop::sample::select(vec!["UTC", "America/New_York", "Asia/Beirut", "Pacific/Apia", "Australia/Lord_Howe"]),
            (minutes, every) in (0_i64..1440, 1_u16..40), weekdays in proptest::collection::vec(0_usize..7, 0..4),
            (first, after) in (20_000_i64..20_400, 0_i64..400 * 86_400),
        ) {
            let mut this = recurrence(zone, "2026-01-01T00:00", every, &weekdays);
            this.start = WallTime::of(first, minutes);
            let after = Timestamp::from_seconds(20_000 * 86_400 + after);
            let comes = |day: &i64| (day - first) % i64::from(every) == 0 && this.weekdays.has(*day);
            let found = (first..21_000).filter(comes).map(|day| this.zone.first(WallTime::of(day, minutes)));
            prop_assert_eq!(this.next(after), found.filter(|at| *at > after).min());
        }
    }
}
