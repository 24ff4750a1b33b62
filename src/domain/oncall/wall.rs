//! The clock on a wall, and what a time of day means on the nights it is set.
//!
//! People write "hand over at 08:00" and "from 18:00 to 08:00". One sentence says when that
//! is: **the first instant at which the clock reads that much or more**. So an 02:30 that a
//! clock skips is the moment it jumps, and an 01:30 that it shows twice is the first of them.
//! The order of wall times is then the order of instants: what is whole on paper (each
//! hour of the week is somebody's) is whole in the world, on every night in every zone.
//!
//! Rejected: moving a skipped time an hour on, as calendars do (02:30 becomes 03:30 and comes
//! after 03:00), and counting elapsed hours (a hand-over at 08:00 drifts to 07:00 in autumn).

use std::fmt;

use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::domain::time::{Timestamp, Zone};

const MINUTE: i64 = 60_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// What a clock on a wall shows: microseconds since it showed 1970-01-01 00:00.
///
/// A time of day that somebody wrote means [`Zone::first`]: the first instant at which the clock shows that much or
/// more. So the order of wall times is the order of instants, also where the clock skips them or shows them twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(i64);

impl WallTime {
    /// The beginning of a day, counted from 1970-01-01, and so many minutes more.
    pub(super) const fn of(day: i64, minutes: i64) -> Self {
        Self(day.saturating_mul(DAY).saturating_add(minutes.saturating_mul(MINUTE)))
    }

    /// So many microseconds later.
    pub(super) const fn plus(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }

    /// Microseconds since the clock showed `earlier`.
    pub(super) const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The day it is, counted from 1970-01-01.
    pub(super) const fn day(self) -> i64 {
        self.0.div_euclid(DAY)
    }

    fn civil(self) -> jiff::civil::DateTime {
        let instant = jiff::Timestamp::from_microsecond(self.0);
        TimeZone::UTC.to_datetime(instant.unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        }))
    }
}

/// `Sat 2026-11-28 08:00`.
impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.civil().strftime("%a %Y-%m-%d %H:%M"))
    }
}

impl WallTime {
    /// Reads what clocks show, without a zone: `2026-11-29T03:12`.
    pub fn read(text: &str) -> Option<Self> {
        text.parse::<jiff::civil::DateTime>().ok().map(Self::from)
    }
}

impl From<jiff::civil::DateTime> for WallTime {
    fn from(civil: jiff::civil::DateTime) -> Self {
        let instant = jiff::tz::Offset::UTC.to_timestamp(civil);
        Self(instant.map_or(i64::MAX, jiff::Timestamp::as_microsecond))
    }
}

impl Zone {
    /// What clocks here show at an instant.
    pub fn reads(&self, at: Timestamp) -> WallTime {
        let instant = jiff::Timestamp::from_microsecond(at.micros());
        let offset = instant.map_or(0, |at| self.rules().to_offset(at).seconds());
        WallTime(at.micros().saturating_add(seconds(offset)))
    }

    /// The first instant at which clocks here show that much or more.
    pub fn first(&self, wall: WallTime) -> Timestamp {
        let at = |offset: jiff::tz::Offset| wall.0.saturating_sub(seconds(offset.seconds()));
        match self.rules().to_ambiguous_timestamp(wall.civil()).offset() {
            AmbiguousOffset::Unambiguous { offset } => Timestamp::from_micros(at(offset)),
            AmbiguousOffset::Fold { before, .. } => Timestamp::from_micros(at(before)),
            AmbiguousOffset::Gap { before, after } => self.jump(at(after), at(before), wall),
        }
    }

    /// Its name in the IANA database.
    pub fn name(&self) -> &str {
        self.rules().iana_name().unwrap_or("UTC")
    }

    /// The moment between two instants when clocks here jump over `wall`.
    fn jump(&self, from: i64, to: i64, wall: WallTime) -> Timestamp {
        let from = jiff::Timestamp::from_microsecond(from).unwrap_or(jiff::Timestamp::MIN);
        let jumps = self.rules().following(from).map(|jump| Timestamp::from_micros(jump.timestamp().as_microsecond()));
        let mut jumps = jumps.take_while(|jump| jump.micros() <= to);
        jumps.find(|&jump| self.reads(jump) > wall).unwrap_or(Timestamp::from_micros(to))
    }
}

fn seconds(seconds: i32) -> i64 {
    i64::from(seconds) * 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_the_clock_skips_is_the_jump_and_one_it_shows_twice_the_first() {
        for (zone, wall, instant) in [
            ("America/New_York", "2026-03-08T01:59", "2026-03-08T06:59:00Z"),
            ("America/New_York", "2026-03-08T02:00", "2026-03-08T07:00:00Z"),
            ("America/New_York", "2026-03-08T02:30", "2026-03-08T07:00:00Z"),
            ("America/New_York", "2026-03-08T03:00", "2026-03-08T07:00:00Z"),
            ("America/New_York", "2026-11-01T00:59", "2026-11-01T04:59:00Z"),
            ("America/New_York", "2026-11-01T01:30", "2026-11-01T05:30:00Z"),
            ("America/New_York", "2026-11-01T02:00", "2026-11-01T07:00:00Z"),
            // Half an hour.
            ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30:00Z"),
            // At midnight: the day begins at 01:00.
            ("Asia/Beirut", "2026-03-29T00:00", "2026-03-28T22:00:00Z"),
            // A whole day that was not.
            ("Pacific/Apia", "2011-12-30T08:00", "2011-12-30T10:00:00Z"),
            ("Pacific/Apia", "2011-12-31T00:00", "2011-12-30T10:00:00Z"),
        ] {
            let zone = Zone::of(TimeZone::get(zone).unwrap());
            let civil: jiff::civil::DateTime = wall.parse().unwrap();
            assert_eq!(zone.first(civil.into()).to_string(), instant, "{wall}");
        }
    }

    #[test]
    fn times_beyond_the_calendar_are_somewhere() {
        let zone = Zone::of(TimeZone::get("Europe/Berlin").unwrap());
        for micros in [i64::MIN, i64::MAX] {
            zone.first(WallTime(micros));
            zone.reads(Timestamp::from_micros(micros));
        }
    }
}
