//! Where a list that is told in parts goes on: after something that is known by its time and id.

use std::fmt::Display;

use crate::domain::time::Timestamp;

/// It, as part of an address.
pub(super) fn place(at: Timestamp, id: &impl Display) -> String {
    format!("{}~{id}", at.micros())
}

/// What [`place`] wrote.
pub(super) fn place_of<Id: for<'a> From<&'a str>>(text: &str) -> Option<(Timestamp, Id)> {
    let (at, id) = text.split_once('~')?;
    Some((Timestamp::from_micros(at.parse().ok()?), Id::from(id)))
}
