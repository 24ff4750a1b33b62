//! What the console needs from the daemon for what people do together: give an incident on, follow a playbook, look back.

use std::future::Future;
use std::sync::Arc;

use super::backend::BackendError;
use super::handover::{Failed, Note};
use crate::domain::id::{IncidentId, PersonName, PostId};
use crate::domain::incident::Incident;
use crate::domain::lane::Sight;
use crate::domain::playbook::{Approval, Doing, Followed, Playbook};
use crate::domain::post::Post;
use crate::domain::time::Timestamp;

/// The daemon behind the pages that a team shares. `None` stands for "there is no such incident".
pub trait Team: Send + Sync + 'static {
    /// Gives an incident that somebody has to somebody else; on disk when it answers. Once more, and nothing changes.
    fn hand_over(
        &self,
        id: IncidentId,
        order: HandOver,
    ) -> impl Future<Output = Result<Option<Incident>, BackendError>> + Send;

    /// Tells the next step of an incident's routes now; on disk when it answers.
    fn escalate(
        &self,
        id: IncidentId,
        order: Escalate,
    ) -> impl Future<Output = Result<Option<Incident>, BackendError>> + Send;

    /// The playbooks of the rules in force, in the order of their names.
    fn playbooks(&self) -> Vec<Arc<Playbook>>;

    /// What people follow who are paged for an incident, if its playbook is one of those.
    fn playbook(&self, incident: &Incident) -> Option<Arc<Playbook>>;

    /// How an incident's playbook was followed.
    fn followed(&self, id: IncidentId) -> impl Future<Output = Result<Followed, BackendError>> + Send;

    /// Puts on record what somebody did by an incident's playbook; on disk when it answers. Once more, and nothing changes.
    fn follow(
        &self,
        id: IncidentId,
        doing: Doing,
        by: String,
    ) -> impl Future<Output = Result<Option<()>, BackendError>> + Send;

    /// Which statements may be used.
    fn approvals(&self) -> impl Future<Output = Result<Vec<Approval>, BackendError>> + Send;

    /// Approves a statement as it is worded, or takes that back; on disk when it answers. `None`: there is no such statement,
    /// or its words are others by now.
    fn approve(&self, order: Approve) -> impl Future<Output = Result<Option<()>, BackendError>> + Send;

    /// The posts of an incident that somebody may see, oldest first, after one that is named by its time and id.
    fn evidence(
        &self,
        id: IncidentId,
        sight: Sight,
        after: Option<(Timestamp, PostId)>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Evidence>, BackendError>> + Send;

    /// Incidents that are not over, and those that began or ended between two instants; the newest first.
    fn incidents_of(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Future<Output = Result<Vec<Incident>, BackendError>> + Send;

    /// Messages that were given up between two instants, the newest first.
    fn failed(&self, from: Timestamp, to: Timestamp) -> impl Future<Output = Result<Vec<Failed>, BackendError>> + Send;

    /// What was written when shifts ended between two instants, oldest first.
    fn shift_notes(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> impl Future<Output = Result<Vec<Note>, BackendError>> + Send;

    /// Keeps what somebody writes for the next shift; on disk when it answers.
    fn note_shift(&self, by: String, text: String) -> impl Future<Output = Result<(), BackendError>> + Send;
}

/// How a person gives an incident to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// Who has it from then on: a person of the configuration.
    pub to: PersonName,
    /// Who, as they say.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
}

/// How a person has the next step told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalate {
    /// So many steps had been told when they ordered it, if they say so: what is ordered twice is done once.
    pub told: Option<usize>,
    /// Who, as they say.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
}

/// How a person says that a statement may be used, or may no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approve {
    /// The playbook.
    pub playbook: String,
    /// Its statement.
    pub statement: String,
    /// The hash of what they read, in hexadecimal.
    pub hash: String,
    /// Whether it may.
    pub may: bool,
    /// Who, as they say.
    pub by: String,
}

/// A post that counts for an incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The post.
    pub id: PostId,
    /// Its event time.
    pub at: Timestamp,
    /// The SHA-256 of its JSON as it is, or was, kept.
    pub hash: [u8; 32],
    /// Itself, unless its author took it back or retention ended.
    pub post: Option<Post>,
}
