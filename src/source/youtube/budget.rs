//! What of the day's quota is used: units, counted as Google counts them, until midnight on the Pacific coast.
//!
//! The count is noted with what was read. A process that dies loses a round's worth of it, some units; what is used beyond
//! the quota Google refuses, and that is an end for the day, too.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::{TimeZone, offset};
use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;

/// Parts of a hundred of the quota at which people are told.
const WARN_AT: u64 = 80;

/// A day's account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    /// The day, as `2026-11-29`.
    day: String,
    /// Units used on it.
    used: u64,
    /// Google said that there are none left.
    #[serde(default)]
    refused: bool,
    /// People were told that most of it is used.
    #[serde(default)]
    told: bool,
}

impl Account {
    /// Goes on where that was noted. What was used since then is used.
    pub(super) fn go_on_from(&mut self, note: &str) {
        let noted: Self = serde_json::from_str(note).unwrap_or_default();
        if self.day.is_empty() || (self.day == noted.day && noted.used > self.used) {
            *self = noted;
        }
    }

    pub(super) fn note(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Uses a unit; false when there is none left.
    pub(super) fn spend(&mut self, now: Timestamp, budget: u64) -> bool {
        let day = today(now).to_string();
        // A clock that was set back does not bring a day's units back, and one that was ahead keeps none from us for long:
        // what was used on a day that has not come is used today.
        if day > self.day {
            *self = Self { day, ..Self::default() };
        } else {
            self.day = day;
        }
        let has_left = !self.refused && self.used < budget;
        self.used += u64::from(has_left);
        has_left
    }

    /// Google says that there is nothing left.
    pub(super) const fn is_refused(&mut self) {
        self.refused = true;
    }

    pub(super) const fn used(&self) -> u64 {
        self.used
    }

    /// Whether people are to be told that most of it is used: once a day.
    pub(super) fn warns(&mut self, budget: u64) -> bool {
        let most = budget.saturating_mul(WARN_AT).div_ceil(100);
        self.used >= most && !std::mem::replace(&mut self.told, true)
    }

    /// How long to wait between rounds of so many units, that it lasts until the day ends.
    pub(super) fn pace(&self, every: Duration, round: u64, budget: u64, now: Timestamp) -> Duration {
        let rounds = budget.saturating_sub(self.used) / round.max(1);
        let rest = next_day(now).since(now);
        let spread = u32::try_from(rounds).ok().and_then(|rounds| rest.checked_div(rounds));
        every.max(spread.unwrap_or(every))
    }
}

fn zone() -> TimeZone {
    TimeZone::get("America/Los_Angeles").unwrap_or_else(|_| TimeZone::fixed(offset(-8)))
}

fn today(now: Timestamp) -> Date {
    let now = jiff::Timestamp::from_microsecond(now.micros()).unwrap_or_default();
    zone().to_datetime(now).date()
}

/// When the quota is whole again.
pub(super) fn next_day(now: Timestamp) -> Timestamp {
    let tomorrow = today(now).tomorrow().and_then(|day| day.to_zoned(zone()));
    tomorrow.map_or(now, |midnight| Timestamp::from_micros(midnight.timestamp().as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_day_ends_at_midnight_on_the_pacific_coast() {
        for (now, next) in [
            ("2026-11-29T07:59:59Z", "2026-11-29T08:00:00Z"),
            ("2026-11-29T08:00:00Z", "2026-11-30T08:00:00Z"),
            ("2026-07-01T12:00:00Z", "2026-07-02T07:00:00Z"),
            ("2026-03-08T09:00:00Z", "2026-03-09T07:00:00Z"),
        ] {
            assert_eq!(next_day(at(now)), at(next), "{now}");
        }
    }

    #[test]
    fn units_are_counted_over_restarts_and_none_is_used_beyond_the_budget() {
        let now = at("2026-11-29T20:00:00Z");
        let mut account = Account::default();
        assert!((0..9).all(|_| account.spend(now, 10)));
        assert!(account.warns(10) && !account.warns(10), "told once");
        let mut again = Account::default();
        again.go_on_from(&account.note());
        assert!(again.spend(now, 10) && !again.spend(now, 10));
        assert_eq!(again.used(), 10);
        again.go_on_from(&account.note());
        assert_eq!(again.used(), 10, "what was used since is used");
        assert!(!again.spend(at("2026-11-29T01:00:00Z"), 10), "the clock was set back");
        assert!(again.spend(at("2026-11-30T08:00:00Z"), 10));
        assert_eq!(again.used(), 1);
        assert!(again.spend(at("2036-11-30T08:00:00Z"), 10) && again.spend(at("2026-11-30T09:00:00Z"), 10));
        assert!(again.spend(at("2026-12-01T08:00:00Z"), 10) && again.used() == 1, "the clock was years ahead");
        again.go_on_from(&Account { day: "2026-12-01".to_owned(), used: 3, ..Account::default() }.note());
        again.is_refused();
        assert!(!again.spend(at("2026-12-01T09:00:00Z"), 10) && again.spend(at("2026-12-02T08:00:00Z"), 10));
    }

    #[test]
    fn rounds_are_spread_over_what_is_left_of_the_day() {
        let now = at("2026-11-29T20:00:00Z"); // twelve hours before the day ends
        let minute = Duration::from_mins(1);
        let mut account = Account::default();
        assert!(account.spend(now, 10_000));
        assert_eq!(account.pace(minute, 1, 10_000, now), minute);
        assert_eq!(account.pace(minute, 20, 2401, now), 6 * minute, "120 rounds in twelve hours");
        assert_eq!(account.pace(minute, 20, 10, now), minute, "the next round finds that nothing is left");
    }
}
