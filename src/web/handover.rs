//! `/api/v1/handover`: what whoever takes a shift over needs to know, computed once for the page and for JSON.
//!
//! Without a span it is the time since the last hand-over of any schedule: what happened on the shift that ends, or ended.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api::{Answer, App, Problem, RESPONDER, VIEWER, read_json, signed, words};
use super::backend::{Backend, BackendError};
use super::caller::Caller;
use super::routes::Routes;
use super::view::SourceView;
use crate::domain::incident::{Incident, IncidentState};
use crate::domain::lane::Sight;
use crate::domain::oncall::{People, Schedule};
use crate::domain::playbook::{Followed, Playbook};
use crate::domain::silence::{Silence, SilenceState};
use crate::domain::time::Timestamp;
use crate::wire::oncall::{Question, answer};

/// How far back a hand-over of a schedule is looked for, and the longest span.
const LONGEST: Duration = Duration::from_hours(14 * 24);
/// The span where no schedule hands over.
const USUAL: Duration = Duration::from_hours(12);
/// A silence that ends within so long ends soon.
const SOON: Duration = Duration::from_hours(24);
/// Under which name the daemon signs.
const SELF: &str = "stormbell";

pub(super) fn routes<B: Backend>(routes: Routes<B>) -> Routes<B> {
    routes.get("/api/v1/handover", VIEWER, show::<B>).post("/api/v1/handover", RESPONDER, note::<B>)
}

/// A message that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = FailedMessage)]
pub struct Failed {
    /// About which incident.
    pub incident: String,
    /// Who could not be reached, …
    pub receiver: String,
    /// … and the person there, if it was for one.
    pub person: Option<String>,
    /// What it said.
    pub kind: String,
    /// When it was given up, RFC 3339.
    pub at: String,
    /// Why.
    pub error: Option<String>,
}

/// What somebody wrote for the next shift.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ShiftNote)]
pub struct Note {
    /// RFC 3339.
    pub at: String,
    /// Who.
    pub by: String,
    /// What.
    pub text: String,
}

/// What is on record of a span.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) now: Timestamp,
    /// Those that are not over, and those that began or ended in the span.
    pub(super) incidents: Vec<Known>,
    pub(super) sources: Vec<SourceView>,
    pub(super) silences: Vec<Silence>,
    pub(super) failed: Vec<Failed>,
    pub(super) next_drills: Vec<(String, Timestamp)>,
    pub(super) people: Arc<People>,
    pub(super) notes: Vec<Note>,
}

/// An incident, and how its playbook was followed.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) incident: Incident,
    pub(super) playbook: Option<Arc<Playbook>>,
    pub(super) followed: Followed,
}

/// What whoever takes over needs to know; as JSON a promise to other programs.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct Handover {
    /// RFC 3339.
    pub(super) from: String,
    /// RFC 3339.
    pub(super) to: String,
    /// Incidents that are not over, the gravest first.
    pub(super) open: Vec<OpenView>,
    /// Incidents that began in the span.
    pub(super) opened: Vec<EventView>,
    /// Incidents that ended in it.
    pub(super) resolved: Vec<EventView>,
    /// Drills that were held in it.
    pub(super) drills: Vec<EventView>,
    /// Drills to come.
    pub(super) next_drills: Vec<DrillView>,
    /// Silences in force that end within a day.
    pub(super) silences: Vec<SilenceView>,
    /// Sources that are not seen, or were not for a while.
    pub(super) sources: Vec<SourceView>,
    /// Messages that were given up.
    pub(super) failed: Vec<Failed>,
    /// Who is on call, and who is next.
    pub(super) on_call: Vec<OnCallView>,
    /// What was written for the next shift.
    pub(super) notes: Vec<Note>,
}

/// An incident that is not over.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = OpenIncident)]
pub(super) struct OpenView {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) severity: &'static str,
    pub(super) state: &'static str,
    pub(super) opened_at: String,
    /// Who has it.
    pub(super) owner: Option<String>,
    pub(super) next: NextView,
    /// Steps of its playbook that are done, and how many there are.
    pub(super) steps_done: usize,
    pub(super) steps: usize,
}

/// What happens next of an incident if nobody does anything.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = NextStep)]
pub(super) struct NextView {
    /// `step` (people are told), `statement` (something must be said by then), `owner` (somebody has it), `muted`,
    /// `nobody` (no further step).
    pub(super) what: &'static str,
    /// When, RFC 3339.
    pub(super) at: Option<String>,
}

/// An incident that began or ended.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = IncidentEvent)]
pub(super) struct EventView {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) severity: &'static str,
    pub(super) at: String,
    /// Who ended it.
    pub(super) by: Option<String>,
    /// Nobody ever took charge, and it ended by itself: probably noise.
    pub(super) noise: bool,
}

/// A drill to come.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = NextDrill)]
pub(super) struct DrillView {
    pub(super) scenario: String,
    pub(super) at: String,
}

/// A silence that ends soon.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = EndingSilence)]
pub(super) struct SilenceView {
    pub(super) matchers: String,
    pub(super) until: String,
    pub(super) by: String,
    pub(super) reason: String,
}

/// Who is on call of a schedule.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = OnCall)]
pub(super) struct OnCallView {
    pub(super) schedule: String,
    /// Null for nobody.
    pub(super) now: Option<String>,
    pub(super) until: Option<String>,
    /// Null for nobody, or when it never changes.
    pub(super) next: Option<String>,
}

/// Since when, and until when, a hand-over looks back if nobody says.
pub(super) fn usual(people: &People, now: Timestamp) -> (Timestamp, Timestamp) {
    let last = people.schedules.values().filter_map(|schedule| last_change(schedule, now)).max();
    (last.unwrap_or(now - USUAL), now)
}

/// When a schedule last handed over before an instant.
fn last_change(schedule: &Schedule, now: Timestamp) -> Option<Timestamp> {
    let mut shifts = schedule.shifts(now - LONGEST, now);
    shifts.next()?; // began before what is looked at
    shifts.last().map(|shift| shift.from)
}

/// A span that makes sense: it begins before it ends, and is no longer than two weeks.
pub(super) fn is_span(from: Timestamp, to: Timestamp) -> bool {
    from < to && to.since(from) <= LONGEST
}

/// Asks for all that is on record of a span.
pub(super) async fn look<B: Backend>(
    backend: &B,
    sight: Sight,
    from: Timestamp,
    to: Timestamp,
) -> Result<Facts, BackendError> {
    let mut incidents = Vec::new();
    for incident in backend.incidents_of(from, to).await? {
        let incident = incident.seen_with(sight);
        let playbook = backend.playbook(&incident);
        let alive = incident.state != IncidentState::Resolved && playbook.is_some();
        let followed = if alive { backend.followed(incident.id.clone()).await? } else { Followed::default() };
        incidents.push(Known { incident, playbook, followed });
    }
    Ok(Facts {
        from,
        to,
        now: backend.now(),
        incidents,
        sources: backend.sources().await?,
        silences: backend.silences().await?,
        failed: backend.failed(from, to).await?,
        next_drills: backend.next_drills(),
        people: backend.people(),
        notes: backend.shift_notes(from, to).await?,
    })
}

/// What whoever takes over needs to know.
pub(super) fn of(facts: Facts) -> Handover {
    let Facts { from, to, now, incidents, sources, silences, failed, next_drills, people, notes } = facts;
    let within = |at: Timestamp| from <= at && at <= to;
    let real = || incidents.iter().filter(|known| !known.incident.exercise);
    let began = |known: &&Known| within(known.incident.opened_at);
    let ended = |known: &&Known| known.incident.resolved.as_ref().is_some_and(|by| within(by.at)) && is_over(known);
    let mut open: Vec<&Known> = real().filter(|known| !is_over(known)).collect();
    open.sort_by_key(|known| (std::cmp::Reverse(known.incident.severity), known.incident.opened_at));
    let soon = |silence: &&Silence| silence.state(now) == SilenceState::Active && silence.until <= now + SOON;
    let missed = |source: &SourceView| !source.up || source.gaps.iter().any(|gap| touches(gap.to.as_deref(), from));
    let drills = incidents.iter().filter(|known| known.incident.exercise && within(known.incident.opened_at));
    Handover {
        from: from.to_string(),
        to: to.to_string(),
        open: open.into_iter().map(open_view).collect(),
        opened: real().filter(began).map(|known| event(&known.incident, known.incident.opened_at)).collect(),
        resolved: real().filter(ended).map(|known| event(&known.incident, ended_at(&known.incident))).collect(),
        drills: drills.map(|known| event(&known.incident, known.incident.opened_at)).collect(),
        next_drills: next_drills.into_iter().map(|(scenario, at)| DrillView { scenario, at: at.to_string() }).collect(),
        silences: silences.iter().filter(soon).map(silence_view).collect(),
        sources: sources.into_iter().filter(missed).map(|source| lately(source, from)).collect(),
        on_call: on_call(&people, now),
        failed,
        notes,
    }
}

fn is_over(known: &Known) -> bool {
    known.incident.state == IncidentState::Resolved
}

fn ended_at(incident: &Incident) -> Timestamp {
    incident.resolved.as_ref().map_or(incident.opened_at, |by| by.at)
}

/// Whether a gap that ended then, or lasts, is of a span that begins at `from`.
fn touches(ended: Option<&str>, from: Timestamp) -> bool {
    ended.and_then(|ended| Timestamp::parse(ended).ok()).is_none_or(|ended| ended >= from)
}

/// A source with only its gaps of the span.
fn lately(mut source: SourceView, from: Timestamp) -> SourceView {
    source.gaps.retain(|gap| touches(gap.to.as_deref(), from));
    source
}

fn open_view(known: &Known) -> OpenView {
    let Known { incident, playbook, followed } = known;
    let steps = || playbook.iter().flat_map(|playbook| playbook.steps());
    let done = steps().filter(|step| followed.step(&step.key).is_some()).count();
    let owner = incident.acknowledged.as_ref().filter(|_| incident.state == IncidentState::Acknowledged);
    OpenView {
        id: incident.id.to_string(),
        title: incident.unmarked_title().to_owned(),
        severity: incident.severity.as_str(),
        state: incident.state.as_str(),
        opened_at: incident.opened_at.to_string(),
        owner: owner.map(|by| by.by.clone()),
        next: next(known),
        steps_done: done,
        steps: steps().count(),
    }
}

fn next(known: &Known) -> NextView {
    let Known { incident, playbook, followed } = known;
    let within = playbook.as_ref().and_then(|playbook| playbook.first_statement_within);
    let statement = within.filter(|_| followed.statement().is_none()).map(|within| incident.opened_at + within);
    let step = incident.escalations.iter().filter_map(|taken| taken.due).min();
    let at = |at: Timestamp| Some(at.to_string());
    match (incident.state, step, statement) {
        _ if incident.muted.is_some() => NextView { what: "muted", at: None },
        (IncidentState::Acknowledged, _, Some(due)) => NextView { what: "statement", at: at(due) },
        (IncidentState::Acknowledged, _, None) => NextView { what: "owner", at: None },
        (_, Some(due), _) => NextView { what: "step", at: at(due) },
        (_, None, _) => NextView { what: "nobody", at: None },
    }
}

fn event(incident: &Incident, at: Timestamp) -> EventView {
    let over = incident.resolved.as_ref().filter(|_| incident.state == IncidentState::Resolved);
    let by_itself = over.is_some_and(|by| by.by == SELF) && !incident.is_own();
    EventView {
        id: incident.id.to_string(),
        title: incident.unmarked_title().to_owned(),
        severity: incident.severity.as_str(),
        at: at.to_string(),
        by: over.map(|by| by.by.clone()),
        noise: by_itself && incident.acknowledged.is_none(),
    }
}

fn silence_view(silence: &Silence) -> SilenceView {
    let matchers: Vec<String> = silence.matchers.iter().map(ToString::to_string).collect();
    SilenceView {
        matchers: matchers.join(" "),
        until: silence.until.to_string(),
        by: silence.by.clone(),
        reason: silence.reason.clone(),
    }
}

fn on_call(people: &People, now: Timestamp) -> Vec<OnCallView> {
    let question = Question { name: None, at: now.whole_second(), days: None };
    let schedules = answer(people, &question).unwrap_or_default();
    let view = |one: &crate::wire::oncall::ScheduleJson<'_>| OnCallView {
        schedule: one.schedule.to_owned(),
        now: one.now.as_ref().and_then(|shift| shift.person).map(str::to_owned),
        until: one.now.as_ref().and_then(|shift| shift.until.clone()),
        next: one.next.as_ref().and_then(|shift| shift.person).map(str::to_owned),
    };
    schedules.iter().map(view).collect()
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// RFC 3339.
    #[param(format = DateTime)]
    from: Option<String>,
    /// RFC 3339; without it now.
    #[param(format = DateTime)]
    to: Option<String>,
}

/// What whoever takes a shift over needs to know.
///
/// Without a span, since the last hand-over of any schedule.
#[utoipa::path(
    get,
    path = "/api/v1/handover",
    tag = "team",
    operation_id = "getHandover",
    params(Asked),
    responses((status = 200, description = "What happened in the span, and what is open", body = Handover)),
)]
pub(super) async fn show<B: Backend>(State(shared): App<B>, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    let bad = |text: &str| Problem::new(StatusCode::BAD_REQUEST, text);
    let wrong = "what can be asked here is from and to, both times of RFC 3339, such as 2026-12-24T22:00:00Z";
    let Ok(Query(Asked { from, to })) = Query::<Asked>::try_from_uri(&uri) else { return Err(bad(wrong)) };
    let time = |text: Option<String>| text.map(|text| Timestamp::parse(&text)).transpose().or(Err(bad(wrong)));
    let backend = &*shared.backend;
    let (usual_from, now) = usual(&backend.people(), backend.now());
    let (from, to) = (time(from)?.unwrap_or(usual_from), time(to)?.unwrap_or(now));
    if !is_span(from, to) {
        return Err(bad("from must lie before to, by two weeks at most"));
    }
    Ok(Json(of(look(backend, caller.sight, from, to).await?)).into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ShiftNoteOrder, example = json!({ "text": "all quiet", "by": "ann" }))]
pub(super) struct NoteBody {
    /// The note.
    #[schema(min_length = 1, max_length = 4000)]
    text: String,
    /// On whose behalf; of whoever is signed in their own.
    #[schema(max_length = 200)]
    by: Option<String>,
}

/// Writes a note for the next shift.
#[utoipa::path(
    post,
    path = "/api/v1/handover",
    tag = "team",
    operation_id = "noteHandover",
    request_body = NoteBody,
    responses((status = 204, description = "It is on record")),
)]
pub(super) async fn note<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let NoteBody { text, by } = read_json(&headers, &body?, r#"{"text": "all quiet", "by": "ann"}"#)?;
    let (by, text) = (signed(caller.on_behalf(by))?, words("text", Some(text))?);
    if text.is_empty() {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "a note needs text"));
    }
    shared.backend.note_shift(by, text).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
