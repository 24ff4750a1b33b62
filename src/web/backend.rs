//! What the API needs from the daemon.

use std::future::Future;
use std::sync::Arc;

use super::desks::Visit;
use super::view::{AlertView, DeliveryView, RuleView, SourceView, StatusView, TimelineView};
use crate::domain::addressee::Addressee;
use crate::domain::id::{IncidentId, SilenceId};
use crate::domain::incident::{Incident, IncidentState};
use crate::domain::oncall::People;
use crate::domain::post::Post;
use crate::domain::silence::{Draft, Silence};
use crate::domain::time::Timestamp;

/// The daemon behind the API. `None` stands for "there is no such incident".
pub trait Backend: Send + Sync + 'static {
    /// The present, for lags.
    fn now(&self) -> Timestamp;

    /// Why the daemon is not ready; empty when it is.
    fn not_ready(&self) -> impl Future<Output = Vec<String>> + Send;

    /// Incidents, newest first.
    fn incidents(
        &self,
        state: Option<IncidentState>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Incident>, BackendError>> + Send;

    /// One incident with all that belongs to it.
    fn incident(&self, id: IncidentId) -> impl Future<Output = Result<Option<IncidentDetail>, BackendError>> + Send;

    /// Does something to an incident, and answers with it as it then stands, on disk.
    fn act(
        &self,
        id: IncidentId,
        action: Action,
    ) -> impl Future<Output = Result<Option<Incident>, BackendError>> + Send;

    /// Ends an incident as part of another, and answers with that one, on disk. Once more, and nothing changes.
    fn merge(
        &self,
        id: IncidentId,
        merge: Merge,
    ) -> impl Future<Output = Result<Option<Incident>, BackendError>> + Send;

    /// Does what a person did at a receiver, and then; `None` also when it is over. Whoever `knows` is not told.
    fn answered(
        &self,
        id: IncidentId,
        action: Action,
        knows: Option<Addressee>,
        at: Timestamp,
    ) -> impl Future<Output = Result<Option<Incident>, BackendError>> + Send;

    /// Begins an exercise; its incidents, on disk.
    fn drill(&self, scenario: String, by: String) -> impl Future<Output = Result<Vec<Incident>, BackendError>> + Send;

    /// Exercises that were opened since then, newest first.
    fn exercises(&self, since: Timestamp) -> impl Future<Output = Result<Vec<Incident>, BackendError>> + Send;

    /// Drills that begin by themselves, and when next; the soonest first.
    fn next_drills(&self) -> Vec<(String, Timestamp)>;

    /// Every message about an incident, in order; none for one that there is not.
    fn deliveries(&self, id: IncidentId) -> impl Future<Output = Result<Vec<DeliveryView>, BackendError>> + Send;

    /// Silences in force, to come, and over since some time, the newest order first.
    fn silences(&self) -> impl Future<Output = Result<Vec<Silence>, BackendError>> + Send;

    /// Silences some rules; in force, and on disk, when it answers.
    fn silence(&self, draft: Draft) -> impl Future<Output = Result<Silence, BackendError>> + Send;

    /// Ends a silence before its time.
    fn end_silence(
        &self,
        id: SilenceId,
        by: String,
    ) -> impl Future<Output = Result<Option<Silence>, BackendError>> + Send;

    /// How every source is doing.
    fn sources(&self) -> impl Future<Output = Result<Vec<SourceView>, BackendError>> + Send;

    /// The rules in force.
    fn rules(&self) -> impl Future<Output = Result<Vec<RuleView>, BackendError>> + Send;

    /// The people and schedules in force.
    fn people(&self) -> Arc<People>;

    /// Takes over the connection of a desk on another workstation. Whoever has it has the API's token.
    ///
    /// # Errors
    /// [`BackendError::Invalid`] when this daemon has no place for desks, [`BackendError::Unavailable`] when it has
    /// too many.
    fn desk(&self, visit: Visit) -> Result<(), BackendError>;

    /// What `stormbell status` shows.
    fn status(&self) -> impl Future<Output = Result<StatusView, BackendError>> + Send;
}

/// An incident with its history and evidence.
#[derive(Clone, Debug)]
pub struct IncidentDetail {
    /// As it stands.
    pub incident: Incident,
    /// Oldest first.
    pub timeline: Vec<TimelineView>,
    /// Oldest first.
    pub alerts: Vec<AlertView>,
    /// Posts that still exist.
    pub posts: Vec<Post>,
}

/// What a person does to an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What.
    pub kind: ActionKind,
    /// Who, as they say.
    pub by: String,
    /// In words; never empty for a note.
    pub text: String,
}

/// How a person merges an incident into another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The one that goes on.
    pub into: IncidentId,
    /// Who, as they say.
    pub by: String,
    /// Why; may be empty.
    pub reason: String,
}

/// The actions there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// Take charge.
    Acknowledge,
    /// End it.
    Resolve,
    /// Write something down.
    Note,
}

impl ActionKind {
    /// The action with that name in the address.
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "ack" => Self::Acknowledge,
            "resolve" => Self::Resolve,
            "note" => Self::Note,
            _ => return None,
        })
    }
}

/// Why the daemon could not answer; the text is shown to the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// It makes no sense at all.
    #[error("{0}")]
    Invalid(String),
    /// It makes no sense in the incident's state.
    #[error("{0}")]
    Conflict(String),
    /// Not now: the store is stuck, or the daemon is stopping.
    #[error("{0}")]
    Unavailable(String),
}
