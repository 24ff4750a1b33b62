//! People, teams and schedules by name, and how each person is reached.

use std::collections::BTreeMap;

use super::{Hours, Schedule};
use crate::domain::id::{PersonName, ReceiverName, ScheduleName, TeamName};
use crate::domain::time::{Timestamp, Zone};

/// Everybody a route can name besides receivers. The names are of one space: nobody is called
/// as a receiver, a team or a schedule is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    /// Whom teams and schedules name is here.
    pub persons: BTreeMap<PersonName, Person>,
    /// Told together.
    pub teams: BTreeMap<TeamName, Vec<PersonName>>,
    /// Of whom one is told.
    pub schedules: BTreeMap<ScheduleName, Schedule>,
}

/// Somebody who can be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// Their address at each receiver; they are told at all of them.
    pub contact: BTreeMap<ReceiverName, String>,
    /// The clock they live by.
    pub zone: Zone,
    /// When only what is critical may reach them; never the whole week.
    pub quiet: Vec<Hours>,
    /// A tag of BCP 47 in lower case; none: whatever the receiver speaks.
    pub language: Option<String>,
}

impl Person {
    /// When quiet hours end that cover the instant; none when they do not.
    pub fn quiet_until(&self, at: Timestamp) -> Option<Timestamp> {
        let end = |at| self.quiet.iter().filter_map(|hours| hours.end(&self.zone, at)).max();
        let mut until = end(at)?;
        // One may begin where another ends; all of them together end within a week.
        let week = at + std::time::Duration::from_hours(7 * 24);
        while let Some(later) = end(until).filter(|_| until < week) {
            until = later;
        }
        Some(until)
    }
}
