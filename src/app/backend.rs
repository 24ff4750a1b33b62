//! What the API shows and orders, answered by the store and the engine.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};

use super::desk::Request;
use super::readiness::Readiness;
use super::status::{Status, Statuses};
use super::workshop::Shelf;
use crate::config::model::Config;
use crate::desk::hub::Hub;
use crate::domain::access::Change;
use crate::domain::addressee::Addressee;
use crate::domain::audit::Entry;
use crate::domain::engine::{self, Command, Refused};
use crate::domain::event::{Ledger, Rejected};
use crate::domain::id::{IncidentId, ReceiverName, RuleId, SilenceId, SourceName};
use crate::domain::incident::{Gap, Incident, IncidentState};
use crate::domain::lane::Sight;
use crate::domain::oncall::{Drill, People};
use crate::domain::organization::Organization;
use crate::domain::post::Post;
use crate::domain::rule::{Rule, RuleSet};
use crate::domain::scenario;
use crate::domain::silence::{Draft, Order, Refused as NotSilenced, Silence};
use crate::domain::time::{Clock, Timestamp, Zone};
use crate::store::{
    DeliveryRow, GrowthRow, KeptEntry, OutboxCount, OutboxState, Reader, SourceRecord, StoreError, StoreHandle,
    StoryRow,
};
use crate::telemetry::events;
use crate::web::view::{
    AlertView, DeliveryView, GapView, LedgerView, ReceiverView, RuleView, SourceView, StatusView, TimelineView,
};
use crate::web::{
    Action, ActionKind, Backend, BackendError, Growth, IncidentDetail, Live, Merge, Moment, Numbered, Story, Visit,
};

/// Coverage and gaps are told for so long.
const LOOK_BACK: Duration = Duration::from_hours(24);

/// Reads at a time, and such as take longer.
const READERS: usize = 4;
const AT_LENGTH: usize = 2;
/// Entries of the audit log on one page.
const AUDITED: usize = 200;

/// What the daemon is configured with, as far as the API shows it.
pub(super) struct Known {
    /// The database.
    pub database: PathBuf,
    /// Every configured receiver.
    pub receivers: Vec<ReceiverName>,
    /// Whom the daemon listens for.
    pub organization: Organization,
    /// Drills that begin by themselves.
    pub drills: Vec<Drill>,
    /// Sources and their kinds.
    pub sources: Vec<(SourceName, &'static str)>,
    /// How long posts are kept.
    pub retention: Duration,
}

impl Known {
    /// That of a configuration.
    pub(super) fn of(config: &Config, receivers: Vec<ReceiverName>) -> Self {
        let (database, organization) = (config.store.path.clone(), config.organization.clone());
        let sources = config.sources.iter().map(|source| (source.name.clone(), source.kind.as_str())).collect();
        let (drills, retention) = (config.drills.clone(), config.store.retention);
        Self { database, receivers, organization, drills, sources, retention }
    }
}

/// Who reads at a time.
pub(super) struct Turns {
    /// For what a page needs.
    readers: Arc<Semaphore>,
    /// For what takes longer.
    pub at_length: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        let [readers, at_length] = [READERS, AT_LENGTH].map(|turns| Arc::new(Semaphore::new(turns)));
        Self { readers, at_length }
    }
}

/// The daemon behind the API.
pub(super) struct Daemon {
    /// What it is configured with.
    pub known: Known,
    /// Whether everything moves.
    pub readiness: Readiness,
    /// The engine.
    pub engine: mpsc::Sender<Request>,
    /// The rules in force.
    pub rules: watch::Receiver<Arc<RuleSet>>,
    /// Their files.
    pub files: watch::Receiver<Arc<Shelf>>,
    /// The people and schedules in force.
    pub people: watch::Receiver<Arc<People>>,
    /// The sources right now.
    pub statuses: Statuses,
    /// Desks, if there is a place for them.
    pub desks: Option<Arc<Hub>>,
    /// Where those of other workstations are received.
    pub visits: Option<mpsc::Sender<Visit>>,
    /// Turns to read: many who look on must not take all threads and files.
    pub turns: Turns,
    /// What happens, for whoever looks on.
    pub live: broadcast::Sender<Live>,
    /// Where accounts are kept.
    pub store: StoreHandle,
    /// When it started.
    pub started: Timestamp,
    /// The present.
    pub clock: Arc<dyn Clock>,
}

impl Daemon {
    /// Reads from the database on a thread that may block.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let database = self.known.database.clone();
        let turn = Arc::clone(&self.turns.readers).acquire_owned().await.or(Err(stopping()))?;
        let result = tokio::task::spawn_blocking(move || {
            let result = Reader::open(&database).and_then(|reader| read(&reader));
            // Also when nobody waits for it any more, it has its turn until it is done.
            drop(turn);
            result
        })
        .await;
        let unavailable = |error: &dyn std::error::Error| BackendError::Unavailable(error.to_string());
        result.map_err(|error| unavailable(&error))?.map_err(|error| unavailable(&error))
    }

    /// Gives an order about an incident, and waits until it is on disk.
    pub(super) async fn command(&self, command: Command) -> Result<Option<Incident>, BackendError> {
        let (answer, answered) = oneshot::channel();
        let id = command.incident.clone();
        self.engine.send(Request::Command(command, answer)).await.or(Err(stopping()))?;
        match answered.await.or(Err(stopping()))? {
            Ok(incident) => Ok(Some(incident)),
            Err(Refused::NoSuchIncident) => {
                let known = self.read(move |reader| reader.standing(&id)).await?;
                known.map_or(Ok(None), |ended| Err(BackendError::Conflict(over(&ended))))
            }
            Err(refused) => Err(BackendError::Conflict(refused.to_string())),
        }
    }

    /// Gives an order about silences, and waits until it is on disk.
    async fn order(&self, order: Order) -> Result<Result<Silence, NotSilenced>, BackendError> {
        let (answer, answered) = oneshot::channel();
        self.engine.send(Request::Silence(order, answer)).await.or(Err(stopping()))?;
        answered.await.or(Err(stopping()))
    }

    /// Since when it is to be told how much was seen: for a day, or since the first start, before which there is no gap
    /// on record.
    fn looked_back(&self, record: &SourceRecord) -> Timestamp {
        let since = self.clock.now() - LOOK_BACK;
        let ran_before = record.gaps.iter().any(|gap| gap.from < self.started);
        if ran_before { since } else { since.max(self.started) }
    }

    fn source(&self, name: &str, status: &Status, record: Option<&SourceRecord>) -> SourceView {
        let now = self.clock.now();
        let ledger = record.map(|record| record.ledger).unwrap_or_default();
        SourceView {
            name: name.to_owned(),
            up: status.down.is_none(),
            host: status.host.clone(),
            reason: status.down.map(|(reason, _)| reason.as_str().to_owned()),
            lag_seconds: status.newest.map(|newest| now.since(newest).as_secs_f64()),
            cursor: record.and_then(|record| record.cursor).map(|cursor| cursor.0),
            coverage: record.map_or(0.0, |record| record.coverage(self.looked_back(record), now)),
            ledger: ledger_view(&ledger),
            unwatched: status.unwatched.list(),
            gaps: record.map(|record| record.gaps.iter().map(gap_view).collect()).unwrap_or_default(),
        }
    }
}

impl Backend for Daemon {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn not_ready(&self) -> Vec<String> {
        let mut reasons = self.readiness.reasons();
        if self.engine.is_closed() {
            reasons.push("the daemon is stopping".to_owned());
        }
        reasons
    }

    async fn incidents(
        &self,
        state: Option<IncidentState>,
        before: Option<(Timestamp, IncidentId)>,
        limit: usize,
    ) -> Result<Vec<Incident>, BackendError> {
        self.read(move |reader| reader.incidents(state, before, limit)).await
    }

    async fn incident(&self, id: IncidentId, sight: Sight) -> Result<Option<IncidentDetail>, BackendError> {
        let record = self.read(move |reader| reader.incident(&id, sight)).await?;
        Ok(record.map(|record| IncidentDetail {
            incident: record.incident,
            timeline: record
                .timeline
                .into_iter()
                .map(|row| TimelineView { at: row.at.to_string(), what: row.what, by: row.by, text: row.text })
                .collect(),
            alerts: record
                .alerts
                .into_iter()
                .map(|alert| AlertView {
                    at: alert.at.to_string(),
                    rule: alert.rule.to_string(),
                    severity: alert.severity.as_str().to_owned(),
                    condition: alert.condition,
                    posts: alert.posts,
                    authors: alert.authors,
                    post: alert.post.map(|post| post.to_string()),
                    key: alert.key,
                    expected: alert.expected,
                    #[allow(clippy::cast_precision_loss, reason = "for a picture")]
                    upper: alert.upper.map(|upper| upper as f64),
                    within_seconds: alert.within.map(|within| within.as_secs()),
                    why: alert.why,
                })
                .collect(),
            posts: record.posts,
        }))
    }

    async fn act(&self, id: IncidentId, action: Action) -> Result<Option<Incident>, BackendError> {
        self.command(command(id, action)).await
    }

    async fn merge(&self, id: IncidentId, merge: Merge) -> Result<Option<Incident>, BackendError> {
        let Merge { into, by, reason } = merge;
        let (answer, answered) = oneshot::channel();
        let command = Command { incident: id.clone(), by, action: engine::Action::Merge(into.clone()), reason };
        self.engine.send(Request::Command(command, answer)).await.or(Err(stopping()))?;
        let refused = match answered.await.or(Err(stopping()))? {
            Ok(incident) => return Ok(Some(incident)),
            Err(refused) => refused,
        };
        if refused != Refused::NoSuchIncident {
            return Err(BackendError::Conflict(refused.to_string()));
        }
        let which = into.clone();
        let both = self.read(move |reader| Ok((reader.standing(&id)?, reader.standing(&which)?))).await?;
        Err(match both {
            (None, _) => return Ok(None),
            (Some(_), None) => BackendError::Invalid(format!("there is no incident {into} to merge it into")),
            (Some(one), Some(other)) if one.exercise != other.exercise => {
                BackendError::Conflict("an exercise and a real incident are never merged".to_owned())
            }
            (Some(one), _) if one.state == IncidentState::Resolved => BackendError::Conflict(over(&one)),
            (_, Some(other)) => BackendError::Conflict(over(&other)),
        })
    }

    async fn answered(
        &self,
        id: IncidentId,
        action: Action,
        knows: Option<Addressee>,
        at: Timestamp,
    ) -> Result<Option<Incident>, BackendError> {
        let (answer, answered) = oneshot::channel();
        let request = Request::Answered(command(id, action), knows, at, answer);
        self.engine.send(request).await.or(Err(stopping()))?;
        match answered.await.or(Err(stopping()))? {
            Ok(incident) => Ok(Some(incident)),
            Err(Refused::NoSuchIncident) => Ok(None),
            Err(refused) => Err(BackendError::Conflict(refused.to_string())),
        }
    }

    async fn drill(&self, scenario: String, by: String) -> Result<Vec<Incident>, BackendError> {
        let posts = scenario::posts(&scenario, &self.known.organization.name, self.clock.now()).ok_or_else(|| {
            let names = scenario::names().join(", ");
            BackendError::Invalid(format!("there is no scenario “{scenario}”; there are {names}"))
        })?;
        let (answer, answered) = oneshot::channel();
        self.engine.send(Request::Drill(posts, answer)).await.or(Err(stopping()))?;
        let begun = answered.await.or(Err(stopping()))?;
        let incidents = begun.map_err(|refused| BackendError::Conflict(refused.to_string()))?;
        for incident in &incidents {
            let text = format!("exercise “{scenario}”");
            self.act(incident.id.clone(), Action { kind: ActionKind::Note, by: by.clone(), text }).await?;
        }
        Ok(incidents)
    }

    async fn exercises(&self, since: Timestamp) -> Result<Vec<Incident>, BackendError> {
        self.read(move |reader| reader.exercises(since)).await
    }

    fn next_drills(&self) -> Vec<(String, Timestamp)> {
        let now = self.clock.now();
        let next = |drill: &Drill| Some((drill.scenario.clone(), drill.recurrence.next(now)?));
        let mut next: Vec<_> = self.known.drills.iter().filter_map(next).collect();
        next.sort_by_key(|(_, at)| *at);
        next
    }

    async fn deliveries(&self, id: IncidentId) -> Result<Vec<DeliveryView>, BackendError> {
        let rows = self.read(move |reader| reader.deliveries(&id)).await?;
        let view = |row: DeliveryRow| DeliveryView {
            id: row.id,
            receiver: row.receiver,
            person: row.person,
            kind: row.kind,
            at: row.at.to_string(),
            state: row.state,
            attempts: row.attempts,
            finished_at: row.finished_at.map(|at| at.to_string()),
            error: row.error,
        };
        Ok(rows.into_iter().map(view).collect())
    }

    async fn silences(&self) -> Result<Vec<Silence>, BackendError> {
        self.read(|reader| reader.silences(Timestamp::from_micros(i64::MIN))).await
    }

    async fn silence(&self, draft: Draft) -> Result<Silence, BackendError> {
        self.order(Order::Add(draft)).await?.map_err(|refused| BackendError::Invalid(refused.to_string()))
    }

    async fn end_silence(&self, id: SilenceId, by: String) -> Result<Option<Silence>, BackendError> {
        match self.order(Order::End { id: id.clone(), by }).await? {
            Ok(silence) => Ok(Some(silence)),
            Err(_) if self.silences().await?.iter().any(|silence| silence.id == id) => {
                Err(BackendError::Conflict("the silence is over already".to_owned()))
            }
            Err(_) => Ok(None),
        }
    }

    async fn sources(&self) -> Result<Vec<SourceView>, BackendError> {
        let since = self.clock.now() - LOOK_BACK;
        let records = self.read(move |reader| reader.sources(since)).await?;
        let statuses = self.statuses.all();
        let record = |name: &str| records.iter().find(|record| record.name.as_str() == name);
        Ok(statuses.iter().map(|(name, status)| self.source(name.as_str(), status, record(name.as_str()))).collect())
    }

    async fn rules(&self) -> Result<Vec<RuleView>, BackendError> {
        let rules = Arc::clone(&self.rules.borrow());
        let view = |rule: &Rule| RuleView {
            id: rule.id.to_string(),
            title: rule.title.clone(),
            severity: rule.severity.as_str().to_owned(),
            topic: rule.topic.to_string(),
            pack: rule.pack.clone(),
            query: rule.query.text.to_string(),
            joins: rule.joins.iter().map(ToString::to_string).collect(),
        };
        Ok(rules.rules().iter().map(view).collect())
    }

    fn people(&self) -> Arc<People> {
        Arc::clone(&self.people.borrow())
    }

    fn desk(&self, visit: Visit) -> Result<(), BackendError> {
        let Some(visits) = &self.visits else {
            let text = "this daemon has no place for desks: it needs [desk] and a [[receiver]] of the kind desktop";
            return Err(BackendError::Invalid(text.to_owned()));
        };
        visits
            .try_send(visit)
            .or(Err(BackendError::Unavailable("there are too many desks; try again later".to_owned())))
    }

    fn organization(&self) -> (String, Zone) {
        (self.known.organization.name.clone(), self.rules.borrow().zone().clone())
    }

    fn started(&self) -> Timestamp {
        self.started
    }

    fn watch(&self) -> broadcast::Receiver<Live> {
        self.live.subscribe()
    }

    async fn growth(&self, ids: Vec<IncidentId>) -> Result<Vec<Growth>, BackendError> {
        let rows =
            self.read(move |reader| ids.iter().map(|id| reader.growth(id)).collect::<Result<Vec<_>, _>>()).await?;
        let growth = |row: GrowthRow| {
            let moments = row.moments.into_iter().map(|(posts, authors)| Moment { posts, authors }).collect();
            Growth { from: row.from, every: row.every, moments }
        };
        Ok(rows.into_iter().map(growth).collect())
    }

    async fn stories(&self, id: IncidentId, sight: Sight) -> Result<Vec<Story>, BackendError> {
        let rows = self.read(move |reader| reader.stories(&id, sight)).await?;
        let story = |StoryRow { post, posts, authors, first }| Story { post, posts, authors, first };
        Ok(rows.into_iter().map(story).collect())
    }

    async fn marks(&self, rules: BTreeSet<RuleId>, posts: Vec<Post>) -> Result<Vec<Vec<Range<usize>>>, BackendError> {
        let in_force = Arc::clone(&self.rules.borrow());
        // Explaining is slow, and strangers choose how much there is to explain.
        let turn = Arc::clone(&self.turns.readers).acquire_owned().await.or(Err(stopping()))?;
        let marked = tokio::task::spawn_blocking(move || {
            let found: Vec<&Rule> =
                rules.iter().filter_map(|id| in_force.find(id.as_str())).map(|(_, rule)| rule).collect();
            let marks = |post: &Post| {
                let mut marks: Vec<Range<usize>> =
                    found.iter().flat_map(|rule| rule.explain(post).query.places(0)).collect();
                marks.sort_by_key(|mark| (mark.start, mark.end));
                marks
            };
            let marked = posts.iter().map(marks).collect();
            drop(turn);
            marked
        });
        marked.await.map_err(|error| BackendError::Unavailable(error.to_string()))
    }

    async fn change_access(&self, changes: Vec<Change>, entries: Vec<Entry>) -> Result<(), BackendError> {
        let written = self.store.change_access(changes, entries).await;
        written.map_err(|error| BackendError::Unavailable(error.to_string()))
    }

    fn first_account(&self, url: &str) {
        events::first_account(url);
    }

    async fn audit(&self, before: Option<i64>, sight: Sight) -> Result<Vec<Numbered>, BackendError> {
        let kept = self.read(move |reader| reader.audit(before, AUDITED)).await?;
        let entry = |one: KeptEntry| {
            let veiled = one.restricted && sight == Sight::Veiled;
            (one.number, if veiled { Entry { text: String::new(), ..one.entry } } else { one.entry })
        };
        Ok(kept.into_iter().map(entry).collect())
    }

    async fn status(&self) -> Result<StatusView, BackendError> {
        let reasons = self.not_ready().await;
        let rules = self.rules.borrow().rules().len() as u64;
        let (incidents, outbox) = self.read(|reader| Ok((open(reader)?, reader.outbox()?))).await?;
        let state = |wanted| incidents.iter().filter(|incident| incident.state == wanted).count() as u64;
        Ok(StatusView {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            organization: self.known.organization.name.clone(),
            timezone: self.known.organization.timezone.clone(),
            started_at: self.started.to_string(),
            ready: reasons.is_empty(),
            reasons,
            rules,
            open: state(IncidentState::Open),
            acknowledged: state(IncidentState::Acknowledged),
            sources: self.sources().await?,
            receivers: self.known.receivers.iter().map(|receiver| receiver_view(receiver, &outbox)).collect(),
            desks: self.desks.as_ref().map(|hub| hub.users()),
        })
    }
}

/// As the engine knows it.
fn command(incident: IncidentId, action: Action) -> Command {
    let Action { kind, by, text } = action;
    let action = match kind {
        ActionKind::Acknowledge => engine::Action::Acknowledge,
        ActionKind::Resolve => engine::Action::Resolve,
        ActionKind::Note => engine::Action::Note(text.clone()),
    };
    Command { incident, by, action, reason: text }
}

/// Why nothing can be done with it any more.
fn over(incident: &Incident) -> String {
    let id = &incident.id;
    match &incident.merged_into {
        Some(into) => format!("{id} was merged into {into} and goes on as that; name {into} instead"),
        None => "the incident is resolved already".to_owned(),
    }
}

pub(super) fn stopping() -> BackendError {
    BackendError::Unavailable("the daemon is stopping; try again in a few seconds".to_owned())
}

fn open(reader: &Reader) -> Result<Vec<Incident>, StoreError> {
    let mut incidents = reader.incidents(Some(IncidentState::Open), None, 10_000)?;
    incidents.extend(reader.incidents(Some(IncidentState::Acknowledged), None, 10_000)?);
    incidents.retain(|incident| !incident.exercise);
    Ok(incidents)
}

fn ledger_view(ledger: &Ledger) -> LedgerView {
    let rejected = Rejected::ALL.iter().zip(ledger.rejected).filter(|(_, count)| *count > 0);
    LedgerView {
        frames: ledger.frames,
        posts: ledger.posts,
        other: ledger.other,
        rejected: rejected.map(|(reason, count)| (reason.as_str().to_owned(), count)).collect(),
        duplicates: ledger.duplicates,
        dropped: ledger.dropped,
    }
}

fn gap_view(gap: &Gap) -> GapView {
    GapView {
        from: gap.from.to_string(),
        to: gap.to.map(|to| to.to_string()),
        reason: gap.reason.as_str().to_owned(),
        recovered: gap.recovered,
    }
}

fn receiver_view(receiver: &ReceiverName, outbox: &[OutboxCount]) -> ReceiverView {
    let of = |state| outbox.iter().find(move |count| count.receiver == *receiver && count.state == state);
    let messages = |state| of(state).map_or(0, |count| count.messages);
    ReceiverView {
        name: receiver.to_string(),
        pending: messages(OutboxState::Pending),
        leased: messages(OutboxState::Leased),
        parked: messages(OutboxState::Parked),
        oldest_due: of(OutboxState::Pending).map(|count| count.oldest_due.to_string()),
    }
}
