//! The addresses and what answers there.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json, Router, middleware};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::form_urlencoded;
use utoipa::ToSchema;

use super::backend::{Action, ActionKind, Backend, BackendError, IncidentDetail, Merge};
use super::caller::Caller;
use super::guard::guard;
use super::place::{place, place_of};
use super::routes::{Needs, Route, Routes};
use super::view::{IncidentDetailView, ReadyView, RuleView, SourceView, StatusView};
use super::{
    Shared, console, desks, drills, handover, hooks, incidents, inlets, links, live, openapi, privacy, search,
    silences, tokens, twilio,
};
use crate::domain::access::Role;
use crate::domain::id::IncidentId;
use crate::domain::incident::{Incident, IncidentState};
use crate::domain::lane::Sight;
use crate::domain::time::Timestamp;
use crate::wire::message::IncidentJson;
use crate::wire::oncall::{MOST_DAYS, Question, ScheduleJson, answer};

/// The longest request body.
const BODY_LIMIT: usize = 64 * 1024;
/// Incidents in one answer, and on a page of the console.
pub(super) const INCIDENTS: usize = 500;
/// The longest name of a person, in characters.
pub(super) const NAME_LIMIT: usize = 200;
/// The longest note, in characters.
const TEXT_LIMIT: usize = 4000;

pub(super) type App<B> = State<Arc<Shared<B>>>;
pub(super) type Answer = Result<Response, Problem>;

pub(super) fn router<B: Backend>(shared: Arc<Shared<B>>) -> (Router, Vec<Route>) {
    let routes = Routes::new(Arc::clone(&shared))
        .get("/healthz", Needs::Nothing, healthy)
        .get("/readyz", Needs::Nothing, ready::<B>)
        .get("/metrics", Needs::Nothing, metrics::<B>)
        .get("/api/v1/incidents", VIEWER, all::<B>)
        .get("/api/v1/incidents/{id}", VIEWER, incident::<B>)
        .post("/api/v1/incidents/{id}/{action}", RESPONDER, act::<B>)
        .post("/api/v1/incidents/{id}/merge", RESPONDER, merge::<B>)
        .get("/api/v1/sources", VIEWER, sources::<B>)
        .get("/api/v1/rules", VIEWER, rules::<B>)
        .get("/api/v1/oncall", VIEWER, oncall::<B>)
        .get("/api/v1/status", VIEWER, status::<B>)
        .get("/api/v1/search", VIEWER, search::search::<B>)
        .get("/api/v1/events", VIEWER, live::events::<B>)
        .and(incidents::routes)
        .and(handover::routes)
        .and(silences::routes)
        .and(tokens::routes)
        .and(privacy::routes)
        .and(drills::routes)
        .and(desks::routes)
        .and(openapi::routes)
        .and(hooks::routes)
        .and(inlets::routes)
        .and(twilio::routes)
        .and(links::routes)
        .and(console::routes);
    let (addresses, table) = routes.done();
    let described: Arc<[Route]> = table.clone().into();
    let served = addresses
        .fallback(nothing::<B>)
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not take that method")
        })
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(Extension(described))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), guard::<B>))
        .with_state(shared);
    (served, table)
}

/// For whoever may read.
pub(super) const VIEWER: Needs = Needs::Role(Role::Viewer);
/// For whoever may take charge.
pub(super) const RESPONDER: Needs = Needs::Role(Role::Responder);
/// For whoever may work on rules.
pub(super) const EDITOR: Needs = Needs::Role(Role::Editor);

async fn nothing<B: Backend>(State(shared): App<B>, request: Request) -> Response {
    let accepted = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if !accepted.is_some_and(|accepted| accepted.contains("text/html")) {
        return Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address").into_response();
    }
    console::nothing(&shared, request).await
}

/// The process lives.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "health",
    operation_id = "health",
    responses((status = 200, description = "It does", content_type = "text/plain", body = String)),
)]
pub(super) async fn healthy() -> &'static str {
    "ok\n"
}

/// Whether sources and store are fine.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "health",
    operation_id = "readiness",
    responses(
        (status = 200, description = "They are", body = ReadyView),
        (status = 503, description = "They are not; why", body = ReadyView),
    ),
)]
pub(super) async fn ready<B: Backend>(State(shared): App<B>) -> Response {
    let reasons = shared.backend.not_ready().await;
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(ReadyView { ready: reasons.is_empty(), reasons })).into_response()
}

/// Everything that is counted, for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "health",
    operation_id = "metrics",
    responses((status = 200, description = "Prometheus' text format", content_type = "text/plain", body = String)),
)]
pub(super) async fn metrics<B: Backend>(State(shared): App<B>) -> Response {
    let text = shared.metrics.render(shared.backend.now());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct IncidentsQuery {
    /// Only those in this state: `open`, `acknowledged` or `resolved`.
    #[param(pattern = "^(open|acknowledged|resolved)$")]
    state: Option<String>,
    /// Go on: what `Link` of an earlier answer has.
    before: Option<String>,
}

/// Incidents, the newest first: 500 at most, without their posts.
///
/// When there are more, the header `Link` says where (RFC 8288).
#[utoipa::path(
    get,
    path = "/api/v1/incidents",
    tag = "incidents",
    operation_id = "listIncidents",
    params(IncidentsQuery),
    responses((
        status = 200,
        description = "The incidents",
        body = Vec<IncidentJson<'static>>,
        headers(("Link" = String, description = "When there are older ones: `<?before=…>; rel=\"next\"`, relative to this address")),
    )),
)]
pub(super) async fn all<B: Backend>(State(shared): App<B>, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    let Ok(Query(query)) = Query::<IncidentsQuery>::try_from_uri(&uri) else {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "what can be asked for here is state and before"));
    };
    let state = match query.state.as_deref() {
        None => None,
        Some(word) => Some(
            IncidentState::parse(word)
                .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "state is open, acknowledged or resolved"))?,
        ),
    };
    let bad = || Problem::new(StatusCode::BAD_REQUEST, "before is what Link of an earlier answer has");
    let before = query.before.map(|before| place_of(&before).ok_or_else(bad)).transpose()?;
    let (incidents, older) = incidents_of(&*shared.backend, state, before).await?;
    let incidents: Vec<Incident> = incidents.into_iter().map(|incident| incident.seen_with(caller.sight)).collect();
    let console = shared.console.as_ref();
    let json = incidents.iter().map(|incident| IncidentJson::new(incident, &[], console));
    let link = older.map(|older| [(header::LINK, format!("<?{older}>; rel=\"next\""))]);
    Ok((link, Json(json.collect::<Vec<_>>())).into_response())
}

/// As many incidents as are shown at once, and what to ask for older ones, as part of an address.
pub(super) async fn incidents_of<B: Backend>(
    backend: &B,
    state: Option<IncidentState>,
    before: Option<(Timestamp, IncidentId)>,
) -> Result<(Vec<Incident>, Option<String>), BackendError> {
    let mut incidents = backend.incidents(state, before, INCIDENTS + 1).await?;
    let more = incidents.len() > INCIDENTS;
    incidents.truncate(INCIDENTS);
    let older = incidents.last().filter(|_| more).map(|last| {
        let state = state.map(|state| ("state", state.as_str().to_owned()));
        let before = ("before", place(last.opened_at, &last.id));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(state.into_iter().chain([before])).finish()
    });
    Ok((incidents, older))
}

/// An incident with a sample of its posts, its history and its alerts.
#[utoipa::path(
    get,
    path = "/api/v1/incidents/{id}",
    tag = "incidents",
    operation_id = "getIncident",
    params(("id" = String, Path, description = "The incident")),
    responses((status = 200, description = "The incident", body = IncidentDetailView<'static>)),
)]
pub(super) async fn incident<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<String>, PathRejection>,
) -> Answer {
    let Path(id) = id?;
    let Some(detail) = shared.backend.incident(IncidentId::from(id), caller.sight).await? else {
        return Err(no_such_incident());
    };
    let detail = detail.seen_with(caller.sight);
    let IncidentDetail { incident, timeline, alerts, posts } = &detail;
    let console = shared.console.as_ref();
    let incident = IncidentJson::new(incident, posts, console);
    Ok(Json(IncidentDetailView { incident, timeline, alerts }).into_response())
}

/// Takes charge of an incident, ends it, or writes a note.
///
/// A note needs `text`; for the others the body may be left out.
#[utoipa::path(
    post,
    path = "/api/v1/incidents/{id}/{action}",
    tag = "incidents",
    operation_id = "actOnIncident",
    params(("id" = String, Path, description = "The incident"), ("action" = ActionWord, Path, description = "What to do")),
    request_body = Option<ActionBody>,
    responses(
        (status = 200, description = "The incident as it is now", body = IncidentJson<'static>),
    ),
)]
pub(super) async fn act<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<(String, String)>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let Path((id, action)) = path?;
    let Some(kind) = ActionKind::parse(&action) else {
        return Err(Problem::new(
            StatusCode::NOT_FOUND,
            "what can be done to an incident is ack, resolve, note or merge, and handover or escalate",
        ));
    };
    let action = read_action(kind, &caller, &headers, &body?)?;
    kept_from(&shared, &caller, &id).await?;
    let Some(incident) = shared.backend.act(IncidentId::from(id), action).await? else {
        return Err(no_such_incident());
    };
    Ok(Json(IncidentJson::new(&incident.seen_with(caller.sight), &[], shared.console.as_ref())).into_response())
}

/// Merges an incident into another, which goes on as both.
#[utoipa::path(
    post,
    path = "/api/v1/incidents/{id}/merge",
    tag = "incidents",
    operation_id = "mergeIncident",
    params(("id" = String, Path, description = "The incident")),
    request_body = MergeBody,
    responses(
        (status = 200, description = "The incident that goes on", body = IncidentJson<'static>),
    ),
)]
pub(super) async fn merge<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let Path(id) = id?;
    let merge = read_merge(&caller, &headers, &body?)?;
    kept_from(&shared, &caller, &id).await?;
    kept_from(&shared, &caller, merge.into.as_str()).await?;
    let Some(incident) = shared.backend.merge(IncidentId::from(id), merge).await? else {
        return Err(no_such_incident());
    };
    Ok(Json(IncidentJson::new(&incident.seen_with(caller.sight), &[], shared.console.as_ref())).into_response())
}

/// What is restricted is not for the signed in to act on who may not read it. Programs act for people who answered a
/// message of theirs, and learn nothing by it.
pub(super) async fn kept_from<B: Backend>(shared: &Shared<B>, caller: &Caller, id: &str) -> Result<(), Problem> {
    if caller.sight == Sight::Whole || caller.name().is_none() {
        return Ok(());
    }
    let detail = shared.backend.incident(IncidentId::from(id), caller.sight).await?;
    if detail.is_some_and(|detail| detail.incident.is_restricted()) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "this incident is restricted; an admin can let you read it"));
    }
    Ok(())
}

/// How every source is doing.
#[utoipa::path(
    get,
    path = "/api/v1/sources",
    tag = "state",
    operation_id = "listSources",
    responses((status = 200, description = "The sources", body = Vec<SourceView>)),
)]
pub(super) async fn sources<B: Backend>(State(shared): App<B>) -> Answer {
    Ok(Json(shared.backend.sources().await?).into_response())
}

/// The rules in force.
#[utoipa::path(
    get,
    path = "/api/v1/rules",
    tag = "state",
    operation_id = "listRules",
    responses((status = 200, description = "The rules", body = Vec<RuleView>)),
)]
pub(super) async fn rules<B: Backend>(State(shared): App<B>) -> Answer {
    Ok(Json(shared.backend.rules().await?).into_response())
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct OncallQuery {
    /// A schedule, person or team; without it all schedules.
    name: Option<String>,
    /// RFC 3339; without it now.
    #[param(format = DateTime)]
    at: Option<String>,
    /// Also all shifts of so many days from then on.
    #[param(minimum = 1, maximum = 400)]
    days: Option<u16>,
}

/// Who is on call.
#[utoipa::path(
    get,
    path = "/api/v1/oncall",
    tag = "state",
    operation_id = "whoIsOnCall",
    params(OncallQuery),
    responses(
        (status = 200, description = "Each schedule that is meant", body = Vec<ScheduleJson<'static>>),
        (status = 404, description = "No schedule, person or team has that name", body = ErrorView<'static>),
    ),
)]
pub(super) async fn oncall<B: Backend>(State(shared): App<B>, uri: Uri) -> Answer {
    let bad = |text: &str| Problem::new(StatusCode::BAD_REQUEST, text);
    let Ok(Query(query)) = Query::<OncallQuery>::try_from_uri(&uri) else {
        return Err(bad("what can be asked here is name, at (a time of RFC 3339) and days (a number)"));
    };
    let OncallQuery { name, at, days } = query;
    if days.is_some_and(|days| days == 0 || days > MOST_DAYS) {
        return Err(Problem {
            status: StatusCode::BAD_REQUEST,
            text: format!("days is a number from 1 to {MOST_DAYS}"),
        });
    }
    let at = at.map(|at| Timestamp::parse(&at)).transpose();
    let at = at.or(Err(bad("at is a time of RFC 3339, such as 2026-12-24T22:00:00Z")))?;
    let at = at.unwrap_or_else(|| shared.backend.now().whole_second());
    let people = shared.backend.people();
    let Some(schedules) = answer(&people, &Question { name: name.as_deref(), at, days }) else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "there is no schedule, person or team of that name"));
    };
    Ok(Json(schedules).into_response())
}

/// What `stormbell status` shows.
#[utoipa::path(
    get,
    path = "/api/v1/status",
    tag = "state",
    operation_id = "getStatus",
    responses((status = 200, description = "How the daemon is doing", body = StatusView)),
)]
pub(super) async fn status<B: Backend>(State(shared): App<B>) -> Answer {
    Ok(Json(shared.backend.status().await?).into_response())
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ActionOrder, example = json!({ "by": "ann", "text": "on it" }))]
pub(super) struct ActionBody {
    /// On whose behalf; of whoever is signed in their own.
    #[schema(max_length = 200)]
    by: Option<String>,
    /// In words.
    #[schema(max_length = 4000)]
    text: Option<String>,
}

/// What can be done, as the address says it.
#[derive(ToSchema)]
#[schema(as = Action, rename_all = "lowercase")]
#[expect(dead_code, reason = "read by `ActionKind::parse`; here for whoever reads the description")]
pub(super) enum ActionWord {
    /// Take charge.
    Ack,
    /// End it.
    Resolve,
    /// Write something down.
    Note,
}

/// A body is optional except for a note, whose words it holds.
fn read_action(kind: ActionKind, caller: &Caller, headers: &HeaderMap, body: &[u8]) -> Result<Action, Problem> {
    let ActionBody { by, text } = if body.is_empty() {
        ActionBody::default()
    } else {
        read_json(headers, body, r#"{"by": "ann", "text": "words"}"#)?
    };
    let (by, text) = (signed(caller.on_behalf(by))?, words("text", text)?);
    if kind == ActionKind::Note && text.is_empty() {
        return Err(unprocessable("a note needs text".to_owned()));
    }
    Ok(Action { kind, by, text })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MergeOrder, example = json!({ "into": "inc-qionaw3lqq", "by": "ann", "reason": "the same fire" }))]
pub(super) struct MergeBody {
    /// The incident that goes on.
    into: String,
    /// On whose behalf; of whoever is signed in their own.
    #[schema(max_length = 200)]
    by: Option<String>,
    /// Why.
    #[schema(max_length = 4000)]
    reason: Option<String>,
}

fn read_merge(caller: &Caller, headers: &HeaderMap, body: &[u8]) -> Result<Merge, Problem> {
    let example = r#"{"into": "inc-qionaw3lqq", "by": "ann", "reason": "the same fire"}"#;
    let MergeBody { into, by, reason } = read_json(headers, body, example)?;
    Ok(Merge {
        into: IncidentId::from(into.trim()),
        by: signed(caller.on_behalf(by))?,
        reason: words("reason", reason)?,
    })
}

pub(super) fn read_json<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8], example: &str) -> Result<T, Problem> {
    if !is_json(headers) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/json"));
    }
    let bad = |error| Problem::new(StatusCode::BAD_REQUEST, format!("the body must be like {example}: {error}"));
    serde_json::from_slice(body).map_err(bad)
}

/// Who says so; nobody by name is `api`.
pub(super) fn signed(by: Option<String>) -> Result<String, Problem> {
    let by = by.unwrap_or_default();
    let by = by.trim();
    if by.chars().count() > NAME_LIMIT || by.contains(char::is_control) {
        return Err(unprocessable(format!("by must be one line of at most {NAME_LIMIT} characters")));
    }
    Ok(if by.is_empty() { "api" } else { by }.to_owned())
}

pub(super) fn words(field: &str, words: Option<String>) -> Result<String, Problem> {
    let words = words.unwrap_or_default();
    let words = words.trim();
    if words.chars().count() > TEXT_LIMIT {
        return Err(unprocessable(format!("{field} must have at most {TEXT_LIMIT} characters")));
    }
    Ok(words.to_owned())
}

fn unprocessable(text: String) -> Problem {
    Problem { status: StatusCode::UNPROCESSABLE_ENTITY, text }
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

pub(super) fn no_such_incident() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is no such incident")
}

/// An answer that is not what was asked for: `{"error": …}` with the status that fits.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    text: String,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct ErrorView<'a> {
    /// What is wrong, and what to do.
    error: &'a str,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Problem {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ErrorView { error: &self.text })).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<BackendError> for Problem {
    fn from(error: BackendError) -> Self {
        let status = match error {
            BackendError::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            BackendError::Conflict(_) => StatusCode::CONFLICT,
            BackendError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { status, text: error.to_string() }
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self { status: rejection.status(), text: rejection.body_text() }
    }
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        Self { status: rejection.status(), text: rejection.body_text() }
    }
}
