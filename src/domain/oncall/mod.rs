//! Who is on call: schedules as functions of time.
//!
//! A schedule is layers and overrides. A layer is a rotation (people, how long each has
//! it, when the first began) that may count at certain hours only. At any instant the
//! newest override that holds decides, then the **first** layer that has somebody: as the first
//! route that fits takes an incident, so a file is read from the top in one way only.
//!
//! A rotation turns by the clock on the wall ([`WallTime`]), also while its layer does not count: a week
//! of nights is that person's week. Nothing is stored: who has it follows from the file
//! and the time, so a restart cannot lose a turn and a reload changes what comes, not what was.
//!
//! Rejected: several people at once from one schedule (a step can name two schedules), the last
//! layer on top (`PagerDuty`; reading order is easier than a picture), and turns counted in
//! elapsed time, which moves every hand-over twice a year.

mod hours;
mod people;
mod recurrence;
mod wall;

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::id::PersonName;
use super::time::{Timestamp, Zone};
pub use hours::{Hours, Weekdays, cover_the_week};
pub use people::{People, Person};
pub use recurrence::{Drill, Recurrence};
pub use wall::WallTime;

/// Who is on call, by the clocks of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Whose clocks hand over.
    pub zone: Zone,
    /// The first that has somebody decides.
    pub layers: Vec<Layer>,
    /// Before any layer; the last of them that holds decides.
    pub overrides: Vec<Override>,
}

/// People who take turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// In the order of their turns; never empty.
    pub rotation: Vec<PersonName>,
    /// When the first one's first turn begins; before that, nobody has it.
    pub start: WallTime,
    /// How long a turn is by the clock on the wall; at least an hour.
    pub every: Duration,
    /// Hours at which the layer counts; always, when there are none.
    pub only: Vec<Hours>,
}

/// Somebody else has it for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// Who.
    pub person: PersonName,
    /// From this instant on …
    pub from: Timestamp,
    /// … until before this one.
    pub to: Timestamp,
}

/// A time in which one person has it, or nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shift<'a> {
    /// Who; none in a gap.
    pub person: Option<&'a PersonName>,
    /// Since when, or the beginning of what was asked.
    pub from: Timestamp,
    /// Until when, or the end of what was asked.
    pub to: Timestamp,
}

impl Schedule {
    /// Who is on call at an instant.
    pub fn at(&self, at: Timestamp) -> Option<&PersonName> {
        let stands_in = self.overrides.iter().rev().find(|one| one.from <= at && at < one.to);
        let layer = || self.layers.iter().find_map(|layer| layer.at(&self.zone, at));
        stands_in.map(|one| &one.person).or_else(layer)
    }

    /// Who is on call from one instant until another, one after the other. Found as they are
    /// asked for: `.take(2)` is who is on call, and who is next.
    pub fn shifts(&self, from: Timestamp, to: Timestamp) -> Shifts<'_> {
        Shifts { schedule: self, at: from, end: to }
    }

    /// When nobody is on call, from an instant on; nothing means that it will never be so.
    ///
    /// Layers repeat themselves by the week, and a hole of the week is a hole on every night
    /// the clock is set, see [`WallTime`]. So it is enough to look until all layers have begun and
    /// all overrides have ended, and a while longer; two years at most, as who plans further does
    /// not plan holes.
    pub fn gaps(&self, from: Timestamp) -> Vec<Shift<'_>> {
        const WHILE: Duration = Duration::from_hours(15 * 24);
        const LONGEST: Duration = Duration::from_hours(2 * 366 * 24);
        let starts = self.layers.iter().map(|layer| self.zone.first(layer.start));
        let settled = starts.chain(self.overrides.iter().map(|one| one.to)).max();
        let settled = settled.map_or(from, |settled| settled.max(from));
        self.shifts(from, settled.min(from + LONGEST) + WHILE).filter(|shift| shift.person.is_none()).collect()
    }

    /// Everybody it names.
    pub fn persons(&self) -> impl Iterator<Item = &PersonName> {
        self.layers.iter().flat_map(|layer| &layer.rotation).chain(self.overrides.iter().map(|one| &one.person))
    }

    /// The next instant at which somebody else may have it.
    fn next_change(&self, after: Timestamp) -> Option<Timestamp> {
        let layers = self.layers.iter().filter_map(|layer| layer.next_change(&self.zone, after));
        let overrides = self.overrides.iter().flat_map(|one| [one.from, one.to]);
        layers.chain(overrides).filter(|change| *change > after).min()
    }
}

impl Layer {
    fn at(&self, zone: &Zone, at: Timestamp) -> Option<&PersonName> {
        if !self.only.is_empty() && !self.only.iter().any(|hours| hours.cover(zone, at)) {
            return None;
        }
        let turn = u64::try_from(self.turn(zone, at)).ok()?;
        let place = turn % u64::try_from(self.rotation.len()).ok().filter(|people| *people > 0)?;
        self.rotation.get(usize::try_from(place).ok()?)
    }

    /// Which turn it is, the first being 0; negative before the start.
    fn turn(&self, zone: &Zone, at: Timestamp) -> i64 {
        let mut turn = zone.reads(at).since(self.start).div_euclid(self.length());
        // A clock that was set back reads less than it did: what was handed over stays so.
        while self.begin(zone, turn + 1) <= at {
            turn += 1;
        }
        turn
    }

    fn begin(&self, zone: &Zone, turn: i64) -> Timestamp {
        zone.first(self.start.plus(turn.saturating_mul(self.length())))
    }

    fn next_change(&self, zone: &Zone, after: Timestamp) -> Option<Timestamp> {
        let start = zone.first(self.start);
        let hand_over = match self.rotation.len() {
            _ if start > after => Some(start),
            0 | 1 => None,
            _ => Some(self.begin(zone, self.turn(zone, after) + 1)),
        };
        hand_over.into_iter().chain(self.only.iter().filter_map(|hours| hours.next_edge(zone, after))).min()
    }

    fn length(&self) -> i64 {
        const LEAST: i64 = 3_600_000_000;
        i64::try_from(self.every.as_micros()).unwrap_or(i64::MAX).max(LEAST)
    }
}

/// See [`Schedule::shifts`].
#[derive(Clone, Debug)]
pub struct Shifts<'a> {
    schedule: &'a Schedule,
    at: Timestamp,
    end: Timestamp,
}

impl<'a> Iterator for Shifts<'a> {
    type Item = Shift<'a>;

    fn next(&mut self) -> Option<Shift<'a>> {
        let from = self.at;
        if from >= self.end {
            return None;
        }
        let person = self.schedule.at(from);
        while self.at < self.end && self.schedule.at(self.at) == person {
            self.at = self.schedule.next_change(self.at).map_or(self.end, |change| change.min(self.end));
        }
        Some(Shift { person, from, to: self.at })
    }
}
