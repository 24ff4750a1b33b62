//! What is sought among kept posts and incidents, and what is found.

use std::collections::BTreeSet;

use super::id::{IncidentId, RuleId};
use super::incident::Severity;
use super::post::Post;
use super::time::Timestamp;

/// What is sought. What is empty is anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seek {
    /// What is said.
    pub words: String,
    /// Who says it: a part of the handle or name, or the key.
    pub author: String,
    /// Event time.
    pub from: Option<Timestamp>,
    /// Event time, not included.
    pub to: Option<Timestamp>,
    /// A rule that took it.
    pub rule: String,
    /// Where it was read.
    pub source: String,
    /// A language it declares, without region.
    pub lang: String,
    /// Of an incident it counts for.
    pub severity: Option<Severity>,
}

/// A post that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundPost {
    /// The post.
    pub post: Post,
    /// The rules that took it.
    pub rules: BTreeSet<RuleId>,
    /// Incidents it counts for.
    pub incidents: BTreeSet<IncidentId>,
}
