//! What else can be done with an incident below `/api/v1/incidents/{id}`: hand it over, have the next step told, follow its
//! playbook, read its report.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::api::{Answer, App, Problem, RESPONDER, VIEWER, kept_from, no_such_incident, read_json, signed, words};
use super::backend::{Backend, BackendError, Growth, IncidentDetail};
use super::caller::Caller;
use super::console;
use super::report::{self, Facts, Report};
use super::routes::Routes;
use super::team::{Escalate, HandOver};
use super::view::IncidentDetailView;
use crate::domain::id::IncidentId;
use crate::domain::incident::Incident;
use crate::domain::lane::Sight;
use crate::domain::playbook::{Doing, Followed};
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HandOverBody {
    to: String,
    by: Option<String>,
    reason: Option<String>,
}

async fn hand_over<B: Backend>(
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

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct EscalateBody {
    steps_told: Option<usize>,
    by: Option<String>,
    reason: Option<String>,
}

async fn escalate<B: Backend>(
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
#[derive(Deserialize)]
#[serde(tag = "did", rename_all = "snake_case", deny_unknown_fields)]
enum FollowBody {
    Step { key: String, done: Option<bool>, by: Option<String> },
    Role { role: String, person: String, by: Option<String> },
    Statement { id: Option<String>, at: Option<String>, by: Option<String> },
    Withdrawn { by: Option<String> },
}

async fn follow<B: Backend>(
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
#[derive(Serialize)]
struct PlaybookJson<'a> {
    name: &'a str,
    title: &'a str,
    roles: Vec<serde_json::Value>,
    steps: Vec<serde_json::Value>,
    statements: Vec<serde_json::Value>,
    first_statement_due_at: Option<String>,
    first_statement: Option<serde_json::Value>,
    steps_told: usize,
}

async fn playbook<B: Backend>(State(shared): App<B>, Extension(caller): Extension<Caller>, id: Id) -> Answer {
    let (Path(id), backend) = (id?, &*shared.backend);
    let id = IncidentId::from(id);
    let Some(IncidentDetail { incident, .. }) = backend.incident(id.clone()).await? else {
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
    let mark = |mark: Option<&crate::domain::playbook::Mark>| {
        mark.map(|mark| serde_json::json!({ "value": mark.value, "by": mark.by, "at": mark.at.to_string() }))
    };
    let statement = |one: &crate::domain::playbook::Statement| {
        let approval = approvals.iter().find(|approval| approval.statement == one.hash);
        serde_json::json!({ "id": one.id, "title": one.title, "version": one.version,
            "text": one.filled(&organization, &time), "approved_by": approval.map(|approval| &approval.by),
            "approved_at": approval.map(|approval| approval.at.to_string()) })
    };
    let due = playbook.first_statement_within.map(|within| incident.opened_at + within);
    let role = |role: &String| serde_json::json!({ "role": role, "has": mark(followed.role(role)) });
    let step = |step: &crate::domain::playbook::Step| serde_json::json!({ "key": step.key, "text": step.text, "done": mark(followed.step(&step.key)) });
    let json = PlaybookJson {
        name: &playbook.name,
        title: &playbook.title,
        roles: playbook.roles.iter().map(role).collect(),
        steps: playbook.steps().map(step).collect(),
        statements: playbook.statements.iter().map(statement).collect(),
        first_statement_due_at: due.map(|due| due.to_string()),
        first_statement: mark(followed.statement()),
        steps_told: incident.steps_told(),
    };
    Ok(Json(json).into_response())
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReportQuery {
    posts: Option<bool>,
    r#as: Option<String>,
}

async fn report<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    f: console::Frame,
    id: Id,
    uri: Uri,
) -> Answer {
    let Path(id) = id?;
    let Ok(Query(ReportQuery { posts, r#as })) = Query::<ReportQuery>::try_from_uri(&uri) else {
        let text = "what can be asked for here is posts (true or false) and as (json or html)";
        return Err(Problem::new(StatusCode::BAD_REQUEST, text));
    };
    let (id, posts, console) = (IncidentId::from(id), posts.unwrap_or(false), shared.console.as_ref());
    let written = write(&*shared.backend, id, caller.sight, posts, console).await?;
    let Some(report) = written else { return Err(no_such_incident()) };
    match r#as.as_deref() {
        None | Some("json") => Ok(Json(report).into_response()),
        Some("html") => Ok(console::report_file(f, &report)),
        Some(_) => Err(Problem::new(StatusCode::BAD_REQUEST, "as is json or html")),
    }
}

/// Writes the report of an incident; none when there is no such incident.
pub(super) async fn write<B: Backend>(
    backend: &B,
    id: IncidentId,
    sight: Sight,
    with_posts: bool,
    console: Option<&Console>,
) -> Result<Option<Report>, BackendError> {
    let Some(detail) = backend.incident(id.clone()).await? else { return Ok(None) };
    let is_kept = sight == Sight::Veiled && detail.incident.is_restricted();
    let detail = detail.seen_with(sight);
    let IncidentDetail { incident, timeline, alerts, posts } = &detail;
    let (growth, evidence, followed) = if is_kept {
        (Growth::default(), Vec::new(), Followed::default())
    } else {
        let growth = backend.growth(vec![id.clone()]).await?.pop().unwrap_or_default();
        (growth, backend.evidence(id.clone()).await?, backend.followed(id.clone()).await?)
    };
    let view = IncidentDetailView { incident: IncidentJson::new(incident, posts, console), timeline, alerts };
    let unreadable =
        |error: serde_json::Error| BackendError::Unavailable(format!("the report cannot be written: {error}"));
    let facts = Facts {
        incident: serde_json::to_value(&view).map_err(unreadable)?,
        deliveries: backend.deliveries(id).await?,
        evidence,
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
