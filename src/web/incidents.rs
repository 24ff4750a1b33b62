//! What else can be done with an incident below `/api/v1/incidents/{id}`: hand it over, have the next step told, follow its
//! playbook, read its report.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api::{Answer, App, Problem, RESPONDER, VIEWER, kept_from, no_such_incident, read_json, signed, words};
use super::backend::{Backend, BackendError, Growth, IncidentDetail};
use super::caller::Caller;
use super::console;
use super::place::{place, place_of};
use super::report::{self, Facts, Report};
use super::routes::Routes;
use super::team::{Escalate, HandOver};
use super::view::IncidentDetailView;
use crate::domain::id::{IncidentId, PostId};
use crate::domain::incident::Incident;
use crate::domain::lane::Sight;
use crate::domain::playbook::{Doing, Followed, Mark, Statement, Step};
use crate::domain::time::Timestamp;
use crate::wire::link::Console;
use crate::wire::message::IncidentJson;

pub(super) fn routes<B: Backend>(routes: Routes<B>) -> Routes<B> {
    routes
        .post("/api/v1/incidents/{id}/handover", RESPONDER, hand_over::<B>)
        .post("/api/v1/incidents/{id}/escalate", RESPONDER, escalate::<B>)
        .get("/api/v1/incidents/{id}/playbook", VIEWER, playbook::<B>)
        .post("/api/v1/incidents/{id}/playbook", RESPONDER, follow::<B>)
        .get("/api/v1/incidents/{id}/report", VIEWER, report::<B>)
}

type Id = Result<Path<String>, PathRejection>;
type Body = Result<Bytes, BytesRejection>;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HandOverOrder, example = json!({ "to": "bob", "by": "ann", "reason": "end of my shift" }))]
pub(super) struct HandOverBody {
    /// A person of the configuration.
    to: String,
    /// On whose behalf; of whoever is signed in their own.
    #[schema(max_length = 200)]
    by: Option<String>,
    /// Why.
    #[schema(max_length = 4000)]
    reason: Option<String>,
}

/// Gives an incident that somebody has to somebody else, who is rung.
#[utoipa::path(
    post,
    path = "/api/v1/incidents/{id}/handover",
    tag = "incidents",
    operation_id = "handOverIncident",
    params(("id" = String, Path, description = "The incident")),
    request_body = HandOverBody,
    responses(
        (status = 200, description = "The incident as it is now", body = IncidentJson<'static>),
    ),
)]
pub(super) async fn hand_over<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    id: Id,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let Path(id) = id?;
    let example = r#"{"to": "bob", "by": "ann", "reason": "end of my shift"}"#;
    let HandOverBody { to, by, reason } = read_json(&headers, &body?, example)?;
    let (by, reason) = (signed(caller.on_behalf(by))?, words("reason", reason)?);
    let order = HandOver { to: to.trim().into(), by, reason };
    kept_from(&shared, &caller, &id).await?;
    answered(shared.backend.hand_over(IncidentId::from(id), order).await?, caller.sight, shared.console.as_ref())
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EscalateOrder, example = json!({ "by": "ann", "reason": "nobody answers" }))]
pub(super) struct EscalateBody {
    /// So many steps had been told when it was ordered: what is ordered twice is then done once.
    steps_told: Option<usize>,
    /// On whose behalf; of whoever is signed in their own.
    #[schema(max_length = 200)]
    by: Option<String>,
    /// Why.
    #[schema(max_length = 4000)]
    reason: Option<String>,
}

/// Tells the next step of an incident's routes now.
#[utoipa::path(
    post,
    path = "/api/v1/incidents/{id}/escalate",
    tag = "incidents",
    operation_id = "escalateIncident",
    params(("id" = String, Path, description = "The incident")),
    request_body = Option<EscalateBody>,
    responses(
        (status = 200, description = "The incident as it is now", body = IncidentJson<'static>),
    ),
)]
pub(super) async fn escalate<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    id: Id,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let (Path(id), body) = (id?, body?);
    let EscalateBody { steps_told, by, reason } = if body.is_empty() {
        EscalateBody::default()
    } else {
        read_json(&headers, &body, r#"{"by": "ann", "reason": "nobody answers", "steps_told": 1}"#)?
    };
    let (by, reason) = (signed(caller.on_behalf(by))?, words("reason", reason)?);
    let order = Escalate { told: steps_told, by, reason };
    kept_from(&shared, &caller, &id).await?;
    answered(shared.backend.escalate(IncidentId::from(id), order).await?, caller.sight, shared.console.as_ref())
}

fn answered(incident: Option<Incident>, sight: Sight, console: Option<&Console>) -> Answer {
    let Some(incident) = incident else { return Err(no_such_incident()) };
    Ok(Json(IncidentJson::new(&incident.seen_with(sight), &[], console)).into_response())
}

/// What somebody says they did by the playbook.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "did", rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = PlaybookOrder, example = json!({ "did": "role", "role": "Legal", "person": "bob" }))]
pub(super) enum FollowBody {
    /// A step is done, or not done after all.
    Step { key: String, done: Option<bool>, by: Option<String> },
    /// Somebody has a role.
    Role { role: String, person: String, by: Option<String> },
    /// Something was said in public, at a time of RFC 3339; without one, now.
    Statement { id: Option<String>, at: Option<String>, by: Option<String> },
    /// What was said to have been said was not.
    Withdrawn { by: Option<String> },
}

/// Puts on record what somebody did by an incident's playbook.
#[utoipa::path(
    post,
    path = "/api/v1/incidents/{id}/playbook",
    tag = "incidents",
    operation_id = "followPlaybook",
    params(("id" = String, Path, description = "The incident")),
    request_body = FollowBody,
    responses(
        (status = 204, description = "It is on record"),
    ),
)]
pub(super) async fn follow<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    id: Id,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let Path(id) = id?;
    let example = r#"{"did": "step", "key": "3f0c…", "done": true, "by": "ann"}, {"did": "role", "role": "Legal", "person": "bob"}, {"did": "statement", "id": "first", "at": "2026-12-24T22:00:00Z"} or {"did": "withdrawn"}"#;
    let (doing, by) = match read_json(&headers, &body?, example)? {
        FollowBody::Step { key, done, by } => (Doing::Step { key, done: done.unwrap_or(true) }, by),
        FollowBody::Role { role, person, by } => (Doing::Role { role, person: person.trim().to_owned() }, by),
        FollowBody::Statement { id, at, by } => {
            let bad =
                || Problem::new(StatusCode::BAD_REQUEST, "at is a time of RFC 3339, such as 2026-12-24T22:00:00Z");
            let at = at.map(|at| Timestamp::parse(&at).or(Err(bad()))).transpose()?;
            (Doing::Statement { id, at: at.unwrap_or_else(|| shared.backend.now()) }, by)
        }
        FollowBody::Withdrawn { by } => (Doing::Withdrawn, by),
    };
    let by = signed(caller.on_behalf(by))?;
    kept_from(&shared, &caller, &id).await?;
    match shared.backend.follow(IncidentId::from(id), doing, by).await? {
        Some(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        None => Err(no_such_incident()),
    }
}

/// A playbook as the API shows it.
#[derive(Serialize, ToSchema)]
#[schema(as = Playbook)]
pub(super) struct PlaybookJson {
    /// Its name.
    name: String,
    /// Its title.
    title: String,
    /// Who is to do what.
    roles: Vec<RoleJson>,
    /// What is to be done.
    steps: Vec<StepJson>,
    /// What may be said.
    statements: Vec<StatementJson>,
    /// RFC 3339.
    first_statement_due_at: Option<String>,
    /// What was said first; null while nothing was.
    first_statement: Option<MarkJson>,
    /// So many steps of its routes were told, for an order to escalate.
    steps_told: usize,
}

/// A role, and who has it.
#[derive(Serialize, ToSchema)]
#[schema(as = PlaybookRole)]
struct RoleJson {
    role: String,
    /// Null for nobody.
    has: Option<MarkJson>,
}

/// A step, and who did it.
#[derive(Serialize, ToSchema)]
#[schema(as = PlaybookStep)]
struct StepJson {
    /// What an order calls it.
    key: String,
    text: String,
    /// Null while nobody did.
    done: Option<MarkJson>,
}

/// Words that may be used once somebody approved them.
#[derive(Serialize, ToSchema)]
#[schema(as = PlaybookStatement)]
struct StatementJson {
    /// What an order calls it.
    id: String,
    title: String,
    version: u32,
    text: String,
    /// Null while nobody did.
    approved_by: Option<String>,
    /// RFC 3339.
    approved_at: Option<String>,
}

/// What somebody said, and when.
#[derive(Serialize, ToSchema)]
#[schema(as = Mark)]
struct MarkJson {
    /// Who has a role, which statement was used; otherwise empty.
    value: String,
    /// Who said so.
    by: String,
    /// RFC 3339.
    at: String,
}

impl From<&Mark> for MarkJson {
    fn from(mark: &Mark) -> Self {
        Self { value: mark.value.clone(), by: mark.by.clone(), at: mark.at.to_string() }
    }
}

/// An incident's playbook, and how it was followed so far.
#[utoipa::path(
    get,
    path = "/api/v1/incidents/{id}/playbook",
    tag = "incidents",
    operation_id = "getPlaybook",
    params(("id" = String, Path, description = "The incident")),
    responses((status = 200, description = "The playbook", body = PlaybookJson)),
)]
pub(super) async fn playbook<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    id: Id,
) -> Answer {
    let (Path(id), backend) = (id?, &*shared.backend);
    let id = IncidentId::from(id);
    let Some(IncidentDetail { incident, .. }) = backend.incident(id.clone(), caller.sight).await? else {
        return Err(no_such_incident());
    };
    // Of what is restricted there is none to be seen: its name alone would tell.
    let incident = incident.seen_with(caller.sight);
    let Some(playbook) = backend.playbook(&incident) else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "the incident has no playbook that Stormbell knows"));
    };
    let (followed, approvals) = (backend.followed(id).await?, backend.approvals().await?);
    let (organization, zone) = backend.organization();
    let time = zone.shows(backend.now(), "%H:%M");
    let statement = |one: &Statement| {
        let approval = approvals.iter().find(|approval| approval.statement == one.hash);
        StatementJson {
            id: one.id.clone(),
            title: one.title.clone(),
            version: one.version,
            text: one.filled(&organization, &time),
            approved_by: approval.map(|approval| approval.by.clone()),
            approved_at: approval.map(|approval| approval.at.to_string()),
        }
    };
    let due = playbook.first_statement_within.map(|within| incident.opened_at + within);
    let role = |role: &String| RoleJson { role: role.clone(), has: followed.role(role).map(Into::into) };
    let step = |step: &Step| {
        let done = followed.step(&step.key).map(Into::into);
        StepJson { key: step.key.clone(), text: step.text.clone(), done }
    };
    let json = PlaybookJson {
        name: playbook.name.clone(),
        title: playbook.title.clone(),
        roles: playbook.roles.iter().map(role).collect(),
        steps: playbook.steps().map(step).collect(),
        statements: playbook.statements.iter().map(statement).collect(),
        first_statement_due_at: due.map(|due| due.to_string()),
        first_statement: followed.statement().map(Into::into),
        steps_told: incident.steps_told(),
    };
    Ok(Json(json).into_response())
}

#[derive(Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportQuery {
    /// Whether what people wrote is in it.
    posts: Option<bool>,
    /// Go on with the evidence: what an earlier answer gave as `evidence_next`.
    after: Option<String>,
    /// `json`, or `html`: one file that prints.
    #[param(pattern = "^(json|html)$")]
    r#as: Option<String>,
}

/// The report of an incident: how long everything took, who did what, and its posts as evidence.
#[utoipa::path(
    get,
    path = "/api/v1/incidents/{id}/report",
    tag = "incidents",
    operation_id = "getReport",
    params(("id" = String, Path, description = "The incident"), ReportQuery),
    responses((status = 200, description = "The report", content((Report = "application/json"), (String = "text/html")))),
)]
pub(super) async fn report<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    f: console::Frame,
    id: Id,
    uri: Uri,
) -> Answer {
    let Path(id) = id?;
    let Ok(Query(ReportQuery { posts, after, r#as })) = Query::<ReportQuery>::try_from_uri(&uri) else {
        let text = "what can be asked for here is posts (true or false), after and as (json or html)";
        return Err(Problem::new(StatusCode::BAD_REQUEST, text));
    };
    let bad = || Problem::new(StatusCode::BAD_REQUEST, "after is what an earlier answer gave as evidence_next");
    let after = after.map(|after| place_of(&after).ok_or_else(bad)).transpose()?;
    let wanted = Wanted { with_posts: posts.unwrap_or(false), after };
    let written = write(&*shared.backend, IncidentId::from(id), caller.sight, wanted, shared.console.as_ref()).await?;
    let Some(report) = written else { return Err(no_such_incident()) };
    match r#as.as_deref() {
        None | Some("json") => Ok(Json(report).into_response()),
        Some("html") => Ok(console::report_file(f, &report)),
        Some(_) => Err(Problem::new(StatusCode::BAD_REQUEST, "as is json or html")),
    }
}

/// Posts of a report's evidence in one answer.
const EVIDENCE: usize = 500;

/// What a report is to hold.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// What people wrote.
    pub(super) with_posts: bool,
    /// Evidence from after this post on.
    pub(super) after: Option<(Timestamp, PostId)>,
}

/// Writes the report of an incident; none when there is no such incident.
pub(super) async fn write<B: Backend>(
    backend: &B,
    id: IncidentId,
    sight: Sight,
    wanted: Wanted,
    console: Option<&Console>,
) -> Result<Option<Report>, BackendError> {
    let Wanted { with_posts, after } = wanted;
    let Some(detail) = backend.incident(id.clone(), sight).await? else { return Ok(None) };
    let is_kept = sight == Sight::Veiled && detail.incident.is_restricted();
    let detail = detail.seen_with(sight);
    let IncidentDetail { incident, timeline, alerts, posts } = &detail;
    let (growth, mut evidence, followed) = if is_kept {
        (Growth::default(), Vec::new(), Followed::default())
    } else {
        let growth = backend.growth(vec![id.clone()]).await?.pop().unwrap_or_default();
        let evidence = backend.evidence(id.clone(), sight, after, EVIDENCE + 1).await?;
        (growth, evidence, backend.followed(id.clone()).await?)
    };
    let more = evidence.len() > EVIDENCE;
    evidence.truncate(EVIDENCE);
    let evidence_next = evidence.last().filter(|_| more).map(|last| place(last.at, &last.id));
    let view = IncidentDetailView { incident: IncidentJson::new(incident, posts, console), timeline, alerts };
    let unreadable =
        |error: serde_json::Error| BackendError::Unavailable(format!("the report cannot be written: {error}"));
    let facts = Facts {
        incident: serde_json::to_value(&view).map_err(unreadable)?,
        deliveries: backend.deliveries(id).await?,
        evidence,
        evidence_next,
        growth,
        playbook: backend.playbook(incident),
        followed,
        organization: backend.organization().0,
        timezone: backend.organization().1.name().to_owned(),
        now: backend.now(),
        with_posts,
    };
    report::of(&facts).map(Some).map_err(unreadable)
}
