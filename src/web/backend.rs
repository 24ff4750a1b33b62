//! What the API needs from the daemon.

use std::collections::BTreeSet;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use super::desks::Visit;
use super::privacy::Privacy;
use super::team::Team;
use super::view::{AlertView, DeliveryView, RuleView, SourceView, StatusView, TimelineView};
use super::workshop::{Past, Workshop};
use crate::domain::access::Change;
use crate::domain::addressee::Addressee;
use crate::domain::audit::Entry;
use crate::domain::id::{IncidentId, RuleId, SilenceId, SourceName};
use crate::domain::incident::{Incident, IncidentState};
use crate::domain::lane::Sight;
use crate::domain::oncall::People;
use crate::domain::post::Post;
use crate::domain::silence::{Draft, Silence};
use crate::domain::time::{Timestamp, Zone};

/// The daemon behind the API. `None` stands for "there is no such incident".
pub trait Backend: Past + Privacy + Team + Workshop {
    /// The present, for lags.
    fn now(&self) -> Timestamp;

    /// Why the daemon is not ready; empty when it is.
    fn not_ready(&self) -> impl Future<Output = Vec<String>> + Send;

    /// Incidents, newest first; those that come after one in that order, when it is given.
    fn incidents(
        &self,
        state: Option<IncidentState>,
        before: Option<(Timestamp, IncidentId)>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Incident>, BackendError>> + Send;

    /// One incident with all that belongs to it, without the posts that somebody may not see.
    fn incident(
        &self,
        id: IncidentId,
        sight: Sight,
    ) -> impl Future<Output = Result<Option<IncidentDetail>, BackendError>> + Send;

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

    /// Whom the daemon listens for, and the zone their clocks show.
    fn organization(&self) -> (String, Zone);

    /// When it started.
    fn started(&self) -> Timestamp;

    /// What happens from now on; whoever is slow misses some of it, and is told so.
    fn watch(&self) -> broadcast::Receiver<Live>;

    /// How incidents grew, in the order they were named; an incident without posts has no moments.
    fn growth(&self, ids: Vec<IncidentId>) -> impl Future<Output = Result<Vec<Growth>, BackendError>> + Send;

    /// What is said in an incident, as far as somebody may see it, what most say first.
    fn stories(&self, id: IncidentId, sight: Sight) -> impl Future<Output = Result<Vec<Story>, BackendError>> + Send;

    /// Where in the text of each post the words stand that made those rules take it.
    fn marks(
        &self,
        rules: BTreeSet<RuleId>,
        posts: Vec<Post>,
    ) -> impl Future<Output = Result<Vec<Vec<Range<usize>>>, BackendError>> + Send;

    /// Remembers who may use the console, and what that is called in the audit log; on disk when it answers.
    fn change_access(
        &self,
        changes: Vec<Change>,
        entries: Vec<Entry>,
    ) -> impl Future<Output = Result<(), BackendError>> + Send;

    /// Nobody has an account yet, and whoever opens this link makes the first: tells whoever runs the daemon.
    fn first_account(&self, url: &str);

    /// The newest entries of the audit log before a number, newest first; without the words of what may not be read.
    fn audit(
        &self,
        before: Option<i64>,
        sight: Sight,
    ) -> impl Future<Output = Result<Vec<Numbered>, BackendError>> + Send;

    /// What `stormbell status` shows.
    fn status(&self) -> impl Future<Output = Result<StatusView, BackendError>> + Send;
}

/// Something happened that whoever looks on wants to see.
#[derive(Clone, Debug)]
pub enum Live {
    /// An incident is as it says now, on disk.
    Incident(Arc<Incident>),
    /// A source is seen again, or not any longer.
    Source(SourceName),
}

/// What an incident gained in a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Posts.
    pub posts: u64,
    /// Their distinct authors.
    pub authors: u64,
}

/// How an incident grew, in stretches of equal length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Growth {
    /// Where the first stretch begins, in event time.
    pub from: Timestamp,
    /// How long each is.
    pub every: Duration,
    /// What came in each.
    pub moments: Vec<Moment>,
}

/// Posts of an incident that say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// The first of them that still exists, if it may be seen.
    pub post: Option<Post>,
    /// How many.
    pub posts: u64,
    /// By how many.
    pub authors: u64,
    /// When the first was written (event time).
    pub first: Timestamp,
}

/// An entry of the audit log, and its number.
pub type Numbered = (i64, Entry);

/// An incident with its history and evidence.
#[derive(Clone, Debug)]
pub struct IncidentDetail {
    /// As it stands.
    pub incident: Incident,
    /// Oldest first.
    pub timeline: Vec<TimelineView>,
    /// Oldest first.
    pub alerts: Vec<AlertView>,
    /// Posts that still exist and may be seen.
    pub posts: Vec<Post>,
}

impl IncidentDetail {
    /// As somebody may see it.
    #[must_use]
    pub fn seen_with(self, sight: Sight) -> Self {
        if sight == Sight::Whole || !self.incident.is_restricted() {
            return self;
        }
        Self { incident: self.incident.veiled(), timeline: Vec::new(), alerts: Vec::new(), posts: Vec::new() }
    }
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
