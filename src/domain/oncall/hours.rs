//! Hours of certain days: when a layer of a schedule counts, when a person wants quiet.

use super::wall::WallTime;
use crate::domain::time::{Timestamp, Zone};

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// Days of the week, Monday first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weekdays(pub [bool; 7]);

impl Weekdays {
    /// Every day.
    pub const ALL: Self = Self([true; 7]);
    /// Their names, Monday first.
    pub const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

    pub(super) fn has(self, day: i64) -> bool {
        // 1970 began on a Thursday.
        let place = usize::try_from((day + 3).rem_euclid(7)).unwrap_or_default();
        self.0.get(place).copied().unwrap_or_default()
    }
}

/// From one time of day to another, on certain days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// The days on which they begin.
    pub days: Weekdays,
    /// Minutes since midnight, 0 to 1439.
    pub from: u16,
    /// Minutes since midnight, 0 to 1440; not later than `from` means on the next day.
    pub to: u16,
}

impl Hours {
    /// Whether they cover the instant.
    pub fn cover(&self, zone: &Zone, at: Timestamp) -> bool {
        self.end(zone, at).is_some()
    }

    /// When they end that cover the instant; none when they do not cover it.
    pub(super) fn end(&self, zone: &Zone, at: Timestamp) -> Option<Timestamp> {
        // The day before, whose hours may pass midnight; the day after, which has begun on a
        // night when the clock goes back over midnight.
        let begun = self.windows(zone, at, -2..=2).take_while(|(from, _)| *from <= at);
        begun.map(|(_, to)| to).filter(|to| at < *to).max()
    }

    /// When they next begin or end after an instant.
    pub(super) fn next_edge(&self, zone: &Zone, after: Timestamp) -> Option<Timestamp> {
        let mut next = None;
        for (from, to) in self.windows(zone, after, -2..=8) {
            let edges = [from, to].into_iter().filter(|edge| *edge > after);
            next = edges.chain(next).min();
            if from > after {
                break; // those of later days begin later
            }
        }
        next
    }

    /// Those that begin on these days from today, in their order.
    fn windows(
        &self,
        zone: &Zone,
        around: Timestamp,
        days: std::ops::RangeInclusive<i64>,
    ) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let today = zone.reads(around).day();
        let days = days.map(move |day| today + day).filter(|day| self.days.has(*day));
        days.map(move |day| {
            let at = |minutes| zone.first(WallTime::of(day, minutes));
            (at(i64::from(self.from)), at(i64::from(self.from) + i64::from(self.length())))
        })
    }

    /// Minutes on a day whose clock is not set.
    fn length(&self) -> u16 {
        if self.to > self.from { self.to - self.from } else { self.to + DAY - self.from }
    }

    /// Which minutes of the week they cover, Monday's midnight first.
    fn minutes_of_week(&self) -> impl Iterator<Item = usize> {
        let days = self.days.0.into_iter().enumerate().filter(|(_, on)| *on);
        let (from, length) = (usize::from(self.from), usize::from(self.length()));
        days.flat_map(move |(day, _)| (0..length).map(move |minute| (day * 1440 + from + minute) % (7 * 1440)))
    }
}

/// Whether hours leave nothing of the week.
pub fn cover_the_week(hours: &[Hours]) -> bool {
    let mut covered = vec![false; 7 * usize::from(DAY)];
    for minute in hours.iter().flat_map(Hours::minutes_of_week) {
        if let Some(covered) = covered.get_mut(minute) {
            *covered = true;
        }
    }
    covered.into_iter().all(|covered| covered)
}
