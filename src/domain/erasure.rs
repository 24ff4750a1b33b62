//! What a person orders about kept posts: that they are erased, or that an incident's are held.

use super::commit::Erasure;
use super::condition::by::Named;
use super::id::{AuthorId, IncidentId};
use super::incident::Incident;
use super::key::Key;
use super::time::Timestamp;

/// A person's order to erase what is kept of an author, or one post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What.
    pub what: Erasure,
    /// Who orders it, as they say.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When (wall time).
    pub at: Timestamp,
}

/// Why nothing was erased.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotErased {
    /// The law may want it kept; that is decided by whoever approved the hold, not here.
    #[error(
        "it is evidence of {incident}, which is held (approved by {approved_by}), and nothing was erased; if that hold may end, `stormbell hold remove {incident}` first"
    )]
    Held {
        /// The incident.
        incident: IncidentId,
        /// Whom to ask.
        approved_by: String,
    },
}

/// An incident whose evidence is kept until somebody says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The incident; those that were merged into it are held with it.
    pub incident: IncidentId,
    /// Who answers for it.
    pub approved_by: String,
    /// Why.
    pub reason: String,
    /// Who put it down.
    pub by: String,
    /// When (wall time).
    pub at: Timestamp,
}

/// What stands, in what was said of it, for an account that is erased.
pub const ERASED: &str = "[erased]";

/// An account that is erased, as what was said of it knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    key: Key,
    counted_as: String,
    /// What people read of it in reasons.
    shown: Vec<String>,
}

impl Account {
    /// By its id and the handles that it had.
    pub fn new(author: &AuthorId, handles: &[String]) -> Self {
        let Named { text, shown, .. } = Named::new(author.as_str());
        let shown = handles.iter().map(|handle| Named::new(handle).shown).chain([shown]).collect();
        Self { key: Key::of(author), counted_as: text, shown }
    }

    /// Its name in counts of authors.
    pub const fn key(&self) -> Key {
        self.key
    }

    /// Whether an alert that was counted by a key was counted by this account.
    pub fn is_counted_as(&self, key: &str) -> bool {
        key == self.counted_as
    }

    /// Takes note of the name that it has in the reason of an alert that was counted by it, for handles change: the first
    /// that stands between ‘ and ’.
    pub fn note_name_in(&mut self, why: &str) {
        let name = why.split_once('‘').and_then(|(_, rest)| rest.split_once('’')).map(|(name, _)| name);
        self.shown.extend(name.map(ToOwned::to_owned));
    }

    /// A reason without it: what strangers wrote stands between ‘ and ’.
    #[must_use]
    pub fn out_of(&self, why: &str) -> String {
        let erased = format!("‘{ERASED}’");
        self.shown.iter().fold(why.to_owned(), |why, name| why.replace(&format!("‘{name}’"), &erased))
    }

    /// Takes it out of an incident. By which words it alone was one of those whose word spreads, if it was; none when
    /// nothing of it was there.
    pub fn leave(&self, incident: &mut Incident) -> Option<Vec<String>> {
        let why = self.out_of(&incident.why);
        let left: Vec<(usize, String)> = incident
            .notable
            .iter()
            .enumerate()
            .filter(|(_, notable)| notable.author == self.key)
            .map(|(place, notable)| (place, notable.what.clone()))
            .collect();
        if why == incident.why && left.is_empty() {
            return None;
        }
        incident.why = why;
        incident.notable.retain(|notable| notable.author != self.key);
        // People were told of the first so many; the next one is news as before.
        let told = left.iter().filter(|(place, _)| *place < incident.told.notable).count();
        incident.told.notable = incident.told.notable.saturating_sub(told);
        let of_others = |what: &String| incident.notable.iter().any(|notable| notable.what == *what);
        Some(left.into_iter().map(|(_, what)| what).filter(|what| !of_others(what)).collect())
    }
}
