//! `/api/v1/erasures` and `/api/v1/holds`: what is kept of people is erased, or held for the law.

use std::future::Future;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::ToSchema;

use super::api::{Answer, App, ErrorView, NAME_LIMIT, Problem, read_json, signed, words};
use super::backend::{Backend, BackendError};
use super::caller::Caller;
use super::routes::{Needs, Routes};
use super::view::{HoldView, ReceiptView};
use crate::domain::access::Role;
use crate::domain::erasure::Hold;
use crate::domain::id::{IncidentId, PostId};
use crate::domain::lane::Sight;
use crate::domain::post::Post;
use crate::wire::post::PostJson;

/// What is done about the privacy of those who are listened to.
pub trait Privacy: Send + Sync + 'static {
    /// Erases what is kept of somebody; off the disk when it answers. `None`: nothing of theirs is kept.
    fn erase(&self, order: Erase) -> impl Future<Output = Result<Option<ReceiptView>, BackendError>> + Send;

    /// The holds there are, oldest first.
    fn holds(&self) -> impl Future<Output = Result<Vec<HoldView>, BackendError>> + Send;

    /// Holds an incident's evidence; on disk when it answers. `None`: there is no such incident.
    fn hold(&self, hold: Hold) -> impl Future<Output = Result<Option<HoldView>, BackendError>> + Send;

    /// Ends a hold, and forgets what only it kept. `None`: there is no such hold.
    fn release(
        &self,
        incident: IncidentId,
        by: String,
        reason: String,
    ) -> impl Future<Output = Result<Option<HoldView>, BackendError>> + Send;

    /// What a hold keeps though its authors took it back, as far as somebody may see it; that somebody looked is on record when it answers. `None`: there
    /// is no such hold.
    fn held(
        &self,
        incident: IncidentId,
        by: String,
        sight: Sight,
    ) -> impl Future<Output = Result<Option<Vec<Post>>, BackendError>> + Send;
}

/// An order to erase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erase {
    /// Whom or what.
    pub subject: Subject,
    /// Who orders it, as they say.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Whom or what to erase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// One post.
    Post(PostId),
    /// All that is kept of an account.
    Author {
        /// Its id, or its handle after `@`.
        name: String,
        /// The source where it is known by that name.
        source: String,
    },
}

pub(super) fn routes<B: Backend>(routes: Routes<B>) -> Routes<B> {
    let admin = Needs::Role(Role::Admin);
    routes
        .post("/api/v1/erasures", admin, erase::<B>)
        .get("/api/v1/holds", admin, holds::<B>)
        .post("/api/v1/holds", admin, hold::<B>)
        .delete("/api/v1/holds/{incident}", admin, release::<B>)
        .post("/api/v1/holds/{incident}/posts", admin, held::<B>)
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(
    as = EraseOrder,
    example = json!({ "author": "@ann.example", "source": "bluesky", "by": "dora", "reason": "her request of today" })
)]
pub(super) struct EraseBody {
    /// An author's id, or the handle after `@`.
    author: Option<String>,
    /// The source where the author is known by that name.
    source: Option<String>,
    /// A post's id.
    post: Option<String>,
    /// Why.
    #[schema(max_length = 4000, required)]
    reason: Option<String>,
    /// On whose behalf; of whoever is signed in their own.
    #[schema(max_length = 200)]
    by: Option<String>,
}

/// Erases what is kept of an author, or one post; off the disk when it answers.
///
/// Either `post`, or `author` and `source`. A reason is needed.
#[utoipa::path(
    post,
    path = "/api/v1/erasures",
    tag = "privacy",
    operation_id = "erase",
    request_body = EraseBody,
    responses(
        (status = 200, description = "What was erased", body = ReceiptView),
        (status = 404, description = "Nothing of that is kept", body = ErrorView<'static>),
    ),
)]
pub(super) async fn erase<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let example = r#"{"author": "@ann.example", "source": "bluesky", "by": "dora", "reason": "her request of today"}"#;
    let EraseBody { author, source, post, reason, by } = read_json(&headers, &body?, example)?;
    let subject = match (author, source, post) {
        (None, None, Some(post)) => Subject::Post(PostId::from(named("post", Some(post))?)),
        (Some(author), Some(source), None) => {
            Subject::Author { name: named("author", Some(author))?, source: named("source", Some(source))? }
        }
        _ => return Err(unprocessable("say what to erase: either post, or author and source")),
    };
    let order = Erase { subject, by: signed(caller.on_behalf(by))?, reason: why(reason)? };
    let receipt = shared.backend.erase(order).await?;
    let nothing = "nothing of that is kept, so there is nothing to erase";
    Ok(Json(receipt.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, nothing))?).into_response())
}

/// Incidents whose evidence is held.
#[utoipa::path(
    get,
    path = "/api/v1/holds",
    tag = "privacy",
    operation_id = "listHolds",
    responses((status = 200, description = "The holds, oldest first", body = Vec<HoldView>)),
)]
pub(super) async fn holds<B: Backend>(State(shared): App<B>) -> Answer {
    Ok(Json(shared.backend.holds().await?).into_response())
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(
    as = HoldOrder,
    example = json!({ "incident": "inc-qionaw3lqq", "approved_by": "Dr. Roe", "reason": "the law suit", "by": "dora" })
)]
pub(super) struct HoldBody {
    /// The incident.
    incident: String,
    /// Who answers for it.
    #[schema(required)]
    approved_by: Option<String>,
    /// Why.
    #[schema(max_length = 4000, required)]
    reason: Option<String>,
    /// On whose behalf; of whoever is signed in their own.
    #[schema(max_length = 200)]
    by: Option<String>,
}

/// Holds an incident's evidence; on disk when it answers.
///
/// A reason and who answers for it are needed.
#[utoipa::path(
    post,
    path = "/api/v1/holds",
    tag = "privacy",
    operation_id = "addHold",
    request_body = HoldBody,
    responses(
        (status = 200, description = "The hold", body = HoldView),
        (status = 404, description = "There is no such incident", body = ErrorView<'static>),
        (status = 409, description = "It is held already, or cannot be", body = ErrorView<'static>),
    ),
)]
pub(super) async fn hold<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let example = r#"{"incident": "inc-qionaw3lqq", "approved_by": "Dr. Roe", "reason": "the law suit", "by": "dora"}"#;
    let HoldBody { incident, approved_by, reason, by } = read_json(&headers, &body?, example)?;
    let hold = Hold {
        incident: IncidentId::from(incident.trim()),
        approved_by: named("approved_by", approved_by)?,
        reason: why(reason)?,
        by: signed(caller.on_behalf(by))?,
        at: shared.backend.now(),
    };
    let kept = shared.backend.hold(hold).await?;
    let nothing = "there is no such incident; `stormbell incidents` lists those there are";
    Ok(Json(kept.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, nothing))?).into_response())
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseQuery {
    /// On whose behalf; of whoever is signed in their own.
    by: Option<String>,
    /// Why.
    #[param(required)]
    reason: Option<String>,
}

/// Ends a hold, and forgets what only it kept.
#[utoipa::path(
    delete,
    path = "/api/v1/holds/{incident}",
    tag = "privacy",
    operation_id = "endHold",
    params(("incident" = String, Path, description = "The incident"), ReleaseQuery),
    responses(
        (status = 200, description = "The hold, which is over", body = HoldView),
        (status = 404, description = "There is no hold on that incident", body = ErrorView<'static>),
    ),
)]
pub(super) async fn release<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    incident: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Answer {
    let Path(incident) = incident?;
    let Ok(Query(ReleaseQuery { by, reason })) = Query::try_from_uri(&uri) else {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "what can be said here is who and why: ?by=NAME&reason=TEXT",
        ));
    };
    let (by, reason) = (signed(caller.on_behalf(by))?, why(reason)?);
    let released = shared.backend.release(IncidentId::from(incident), by, reason).await?;
    Ok(Json(released.ok_or_else(no_such_hold)?).into_response())
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HeldOrder, example = json!({ "by": "dora" }))]
pub(super) struct HeldBody {
    /// On whose behalf; of whoever is signed in their own.
    #[schema(max_length = 200)]
    by: Option<String>,
}

/// What a hold keeps though its authors took it back; that somebody looked is on record.
///
/// By `POST`, because a look is written down.
#[utoipa::path(
    post,
    path = "/api/v1/holds/{incident}/posts",
    tag = "privacy",
    operation_id = "readHeldPosts",
    params(("incident" = String, Path, description = "The incident")),
    request_body = Option<HeldBody>,
    responses(
        (status = 200, description = "The posts", body = Vec<PostJson<'static>>),
        (status = 404, description = "There is no hold on that incident", body = ErrorView<'static>),
    ),
)]
pub(super) async fn held<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    incident: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let (Path(incident), body) = (incident?, body?);
    let HeldBody { by } =
        if body.is_empty() { HeldBody::default() } else { read_json(&headers, &body, r#"{"by": "dora"}"#)? };
    let (incident, by) = (IncidentId::from(incident), signed(caller.on_behalf(by))?);
    let detail = shared.backend.incident(incident.clone(), caller.sight).await?;
    if caller.sight == Sight::Veiled && detail.is_some_and(|detail| detail.incident.is_restricted()) {
        let text = "this incident is restricted: only somebody who is signed in and may read it is shown its posts";
        return Err(Problem::new(StatusCode::FORBIDDEN, text));
    }
    let posts = shared.backend.held(incident, by, caller.sight).await?;
    let posts = posts.ok_or_else(no_such_hold)?;
    Ok(Json(posts.iter().map(PostJson::from).collect::<Vec<_>>()).into_response())
}

/// One line that must not be empty.
fn named(field: &str, text: Option<String>) -> Result<String, Problem> {
    let text = text.unwrap_or_default();
    let text = text.trim();
    if text.is_empty() || text.len() > 8 * NAME_LIMIT || text.contains(char::is_control) {
        return Err(unprocessable(format!(
            "{field} must be one line of at most {} bytes, and not empty",
            8 * NAME_LIMIT
        )));
    }
    Ok(text.to_owned())
}

fn why(reason: Option<String>) -> Result<String, Problem> {
    let reason = words("reason", reason)?;
    if reason.is_empty() {
        return Err(unprocessable("say why: it goes on record, and somebody will ask"));
    }
    Ok(reason)
}

fn no_such_hold() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "there is no hold on that incident; `stormbell hold list` lists those there are",
    )
}

fn unprocessable(text: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text)
}
