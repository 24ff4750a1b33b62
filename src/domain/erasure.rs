//! What a person orders about kept posts: that they are erased, or that an incident's are held.

use super::commit::Erasure;
use super::id::IncidentId;
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

/// What stands, in an alert's reason, for the account that it was counted by and that is erased.
pub const ERASED: &str = "[erased]";

/// A reason without that account: strangers' words stand between ‘ and ’.
#[must_use]
pub fn unnamed(why: &str, names: &[String]) -> String {
    names.iter().fold(why.to_owned(), |why, name| why.replace(&format!("‘{name}’"), &format!("‘{ERASED}’")))
}
