//! `/api/v1/silences`: list, order, end and try out.
//!
//! A body is `{"matchers": ["topic=cyber*"], "by": "ann", "reason": "…", "for": "2h"}`, or with
//! `from` and `until` as RFC 3339. Matchers are the text that the command line takes: one
//! language for people, scripts and the history of incidents.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Shared;
use super::api::{Answer, App, ErrorView, Problem, RESPONDER, VIEWER, is_json, signed};
use super::backend::{Backend, BackendError};
use super::caller::Caller;
use super::routes::Routes;
use super::view::{PreviewView, PreviewedView, SilenceView};
use crate::domain::id::SilenceId;
use crate::domain::incident::Incident;
use crate::domain::lane::Sight;
use crate::domain::quantity::duration;
use crate::domain::silence::{Draft, Matcher, Silence, Verdict};
use crate::domain::time::Timestamp;

/// Incidents a preview looks at, the newest.
const PREVIEWED: usize = 5_000;

pub(super) fn routes<B: Backend>(routes: Routes<B>) -> Routes<B> {
    routes
        .get("/api/v1/silences", VIEWER, list::<B>)
        .post("/api/v1/silences", RESPONDER, add::<B>)
        .delete("/api/v1/silences", RESPONDER, end_named::<B>)
        .post("/api/v1/silences/preview", VIEWER, preview::<B>)
        .delete("/api/v1/silences/{id}", RESPONDER, end::<B>)
}

/// Silences in force, to come, and over since a while; the newest order first.
#[utoipa::path(
    get,
    path = "/api/v1/silences",
    tag = "silences",
    operation_id = "listSilences",
    responses((status = 200, description = "The silences", body = Vec<SilenceView>)),
)]
pub(super) async fn list<B: Backend>(State(shared): App<B>) -> Answer {
    let silences = shared.backend.silences().await?;
    let now = shared.backend.now();
    Ok(Json(silences.iter().map(|silence| view(silence, now)).collect::<Vec<_>>()).into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(
    as = SilenceOrder,
    example = json!({ "matchers": ["topic=cyber*"], "by": "ann", "reason": "patch night", "for": "2h" })
)]
pub(super) struct Body {
    /// All must fit: `topic=cyber*`.
    #[schema(min_items = 1)]
    matchers: Vec<String>,
    /// On whose behalf; of whoever is signed in their own.
    #[schema(max_length = 200)]
    by: Option<String>,
    /// Why.
    reason: Option<String>,
    /// RFC 3339; without it now.
    from: Option<String>,
    /// RFC 3339.
    until: Option<String>,
    /// Such as `2h`.
    #[serde(rename = "for")]
    lasts: Option<String>,
}

/// Silences rules; in force when it answers.
///
/// It needs a reason, and an end: `for` or `until`, at most 31 days away.
#[utoipa::path(
    post,
    path = "/api/v1/silences",
    tag = "silences",
    operation_id = "addSilence",
    request_body = Body,
    responses((status = 200, description = "The silence", body = SilenceView)),
)]
pub(super) async fn add<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let now = shared.backend.now();
    let body = read(&headers, &body?)?;
    let draft = draft(Body { by: caller.on_behalf(body.by), ..body }, now)?;
    let silence = shared.backend.silence(draft).await?;
    Ok(Json(view(&silence, shared.backend.now())).into_response())
}

/// What a silence would have muted of the incidents that are kept.
#[utoipa::path(
    post,
    path = "/api/v1/silences/preview",
    tag = "silences",
    operation_id = "previewSilence",
    request_body = Body,
    responses((status = 200, description = "What it would have muted", body = PreviewView)),
)]
pub(super) async fn preview<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let matchers = matchers(&read(&headers, &body?)?.matchers)?;
    let Tried { looked_at, muted, spared } = tried(&*shared.backend, &matchers, caller.sight).await?;
    Ok(Json(PreviewView {
        looked_at,
        muted: muted.iter().map(|incident| previewed(incident, None)).collect(),
        spared: spared.iter().map(|(incident, because)| previewed(incident, Some(because.clone()))).collect(),
    })
    .into_response())
}

/// What a silence would have done.
pub(super) struct Tried {
    /// Incidents that were looked at.
    pub(super) looked_at: u64,
    /// Those it would have muted, newest first.
    pub(super) muted: Vec<Incident>,
    /// Those it fits in part, and why it would not have muted them.
    pub(super) spared: Vec<(Incident, String)>,
}

/// Holds matchers against the newest incidents on record, of those that may be read.
pub(super) async fn tried<B: Backend>(backend: &B, matchers: &[Matcher], sight: Sight) -> Result<Tried, BackendError> {
    let mut incidents = backend.incidents(None, None, PREVIEWED).await?;
    incidents.retain(|incident| sight == Sight::Whole || !incident.is_restricted());
    let mut tried = Tried { looked_at: incidents.len() as u64, muted: Vec::new(), spared: Vec::new() };
    for incident in incidents {
        match Verdict::of(matchers, &incident) {
            Verdict::Muted => tried.muted.push(incident),
            Verdict::Spared(because) => tried.spared.push((incident, because.to_string())),
            Verdict::Other => {}
        }
    }
    Ok(tried)
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct EndQuery {
    /// The silence.
    #[param(required)]
    id: Option<String>,
    /// On whose behalf; of whoever is signed in their own.
    by: Option<String>,
}

/// Ends a silence before its time; named in the query.
#[utoipa::path(
    delete,
    path = "/api/v1/silences",
    tag = "silences",
    operation_id = "endNamedSilence",
    params(EndQuery),
    responses(
        (status = 200, description = "The silence, which is over", body = SilenceView),
        (status = 404, description = "There is no such silence", body = ErrorView<'static>),
    ),
)]
pub(super) async fn end_named<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Answer {
    let EndQuery { id, by } = query(&uri)?;
    let id = id.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "say which: /api/v1/silences/ID"))?;
    end_one(&shared, id, caller.on_behalf(by)).await
}

/// Ends a silence before its time.
#[utoipa::path(
    delete,
    path = "/api/v1/silences/{id}",
    tag = "silences",
    operation_id = "endSilence",
    params(
        ("id" = String, Path, description = "The silence"),
        ("by" = Option<String>, Query, description = "On whose behalf; of whoever is signed in their own"),
    ),
    responses(
        (status = 200, description = "The silence, which is over", body = SilenceView),
        (status = 404, description = "There is no such silence", body = ErrorView<'static>),
    ),
)]
pub(super) async fn end<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Answer {
    let Path(id) = id?;
    end_one(&shared, id, caller.on_behalf(query(&uri)?.by)).await
}

async fn end_one<B: Backend>(shared: &Shared<B>, id: String, by: Option<String>) -> Answer {
    let ended = shared.backend.end_silence(SilenceId::from(id), signed(by)?).await?;
    let ended = ended.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "there is no such silence"))?;
    Ok(Json(view(&ended, shared.backend.now())).into_response())
}

fn query(uri: &Uri) -> Result<EndQuery, Problem> {
    let Ok(Query(query)) = Query::try_from_uri(uri) else {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "what can be said here is who ends it: ?by=NAME"));
    };
    Ok(query)
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Body, Problem> {
    if !is_json(headers) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/json"));
    }
    serde_json::from_slice(body).map_err(|error| {
        let example = r#"{"matchers": ["topic=cyber*"], "by": "ann", "reason": "patch night", "for": "2h"}"#;
        Problem::new(StatusCode::BAD_REQUEST, format!("the body must be like {example}: {error}"))
    })
}

fn draft(body: Body, now: Timestamp) -> Result<Draft, Problem> {
    let Body { matchers: given, by, reason, from, until, lasts } = body;
    let matchers = matchers(&given)?;
    let from = from.map(|from| time("from", &from)).transpose()?;
    let until = match (until, lasts) {
        (Some(until), None) => time("until", &until)?,
        (None, Some(lasts)) => {
            let lasts = duration(&lasts).map_err(|error| unprocessable(format!("for: {error}")))?;
            from.unwrap_or(now).max(now) + lasts
        }
        _ => return Err(unprocessable("say when it ends: either `for` or `until`".to_owned())),
    };
    Ok(Draft { matchers, by: signed(by)?, reason: reason.unwrap_or_default(), from, until })
}

fn matchers(given: &[String]) -> Result<Vec<Matcher>, Problem> {
    let matchers: Result<Vec<Matcher>, _> = given.iter().map(|text| text.parse()).collect();
    let matchers = matchers.map_err(|error| unprocessable(error.to_string()))?;
    if matchers.is_empty() {
        return Err(unprocessable("say what to silence: rule=…, topic=… or severity=…".to_owned()));
    }
    Ok(matchers)
}

fn time(what: &str, text: &str) -> Result<Timestamp, Problem> {
    Timestamp::parse(text).map_err(|error| unprocessable(format!("{what}: {error}")))
}

fn unprocessable(text: String) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text)
}

fn view(silence: &Silence, now: Timestamp) -> SilenceView {
    SilenceView {
        id: silence.id.to_string(),
        state: silence.state(now).as_str().to_owned(),
        matchers: silence.matchers.iter().map(ToString::to_string).collect(),
        by: silence.by.clone(),
        reason: silence.reason.clone(),
        from: silence.from.to_string(),
        until: silence.until.to_string(),
        ended_by: silence.ended.as_ref().map(|ended| ended.by.clone()),
    }
}

fn previewed(incident: &Incident, because: Option<String>) -> PreviewedView {
    PreviewedView {
        id: incident.id.to_string(),
        title: incident.title.clone(),
        severity: incident.severity.as_str().to_owned(),
        topic: incident.topic.to_string(),
        opened_at: incident.opened_at.to_string(),
        because,
    }
}
