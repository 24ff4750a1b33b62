//! `/api/v1/tokens`: list, make and revoke.
//!
//! A body is `{"name": "the wall's script", "role": "viewer", "days": 90}`, with `"for": "program"` when the token is to
//! stand for itself and not for whoever makes it. The answer is the only place where the token is ever shown.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api::{Answer, App, ErrorView, Problem, VIEWER, read_json};
use super::backend::Backend;
use super::caller::{Caller, Known};
use super::gate::{Denied, Draft, Owner};
use super::routes::Routes;
use crate::domain::access::{AccountName, Role, TOKEN_DAYS, Token};

pub(super) fn routes<B: Backend>(routes: Routes<B>) -> Routes<B> {
    routes.get("/api/v1/tokens", VIEWER, list::<B>).post("/api/v1/tokens", VIEWER, make::<B>).delete(
        "/api/v1/tokens/{id}",
        VIEWER,
        revoke::<B>,
    )
}

#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
pub(super) struct TokenView<'a> {
    /// By which it is revoked.
    id: String,
    /// What it is for.
    name: &'a str,
    /// Nobody's: a program's own.
    account: Option<&'a str>,
    /// What it may do.
    role: &'static str,
    /// RFC 3339.
    since: String,
    /// RFC 3339.
    until: String,
    /// When last, RFC 3339.
    used: Option<String>,
    /// The token itself, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

impl<'a> TokenView<'a> {
    fn of(token: &'a Token, secret: Option<&'a str>) -> Self {
        Self {
            id: token.secret.name(),
            name: &token.name,
            account: token.account.as_ref().map(AccountName::as_str),
            role: token.role.as_str(),
            since: token.since.to_string(),
            until: token.until.to_string(),
            used: token.used.map(|used| used.to_string()),
            token: secret,
        }
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TokenOrder, example = json!({ "name": "the wall's script", "role": "viewer", "days": 90, "for": "program" }))]
pub(super) struct Body {
    /// What it is for.
    #[schema(min_length = 1, max_length = 64)]
    name: String,
    /// `viewer`, `responder`, `editor` or `admin`; never more than the caller's.
    #[schema(pattern = "^(viewer|responder|editor|admin)$")]
    role: String,
    /// After so many days it is over; 90 if nothing is said.
    #[schema(minimum = 1, maximum = 365)]
    days: Option<u16>,
    /// Whose it is; the caller's if nothing is said.
    #[serde(rename = "for")]
    owner: Option<For>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = TokenFor)]
pub(super) enum For {
    /// The caller's own.
    Me,
    /// A program's own.
    Program,
}

/// Tokens that are good, of the caller's account; for admins of everybody.
#[utoipa::path(
    get,
    path = "/api/v1/tokens",
    tag = "tokens",
    operation_id = "listTokens",
    responses((status = 200, description = "The tokens", body = Vec<TokenView<'static>>)),
)]
pub(super) async fn list<B: Backend>(State(shared): App<B>, Extension(caller): Extension<Caller>) -> Answer {
    let tokens = shared.gate.tokens(&caller, true);
    Ok(Json(tokens.iter().map(|token| TokenView::of(token, None)).collect::<Vec<_>>()).into_response())
}

/// Makes a token. The answer is the only place where it is ever shown.
#[utoipa::path(
    post,
    path = "/api/v1/tokens",
    tag = "tokens",
    operation_id = "makeToken",
    request_body = Body,
    responses(
        (status = 201, description = "The token", body = TokenView<'static>),
        (status = 409, description = "There are too many", body = ErrorView<'static>),
    ),
)]
pub(super) async fn make<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let example = r#"{"name": "the wall's script", "role": "viewer", "days": 90}"#;
    let Body { name, role, days, owner } = read_json(&headers, &body?, example)?;
    let role = Role::parse(&role).ok_or_else(|| {
        let text = "role is viewer, responder, editor or admin";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text)
    })?;
    // Whoever has the daemon's own token has no account for which it could be.
    let owner = match owner {
        Some(For::Program) => Owner::Program,
        None if caller.known == Known::Token => Owner::Program,
        Some(For::Me) | None => Owner::Maker,
    };
    let draft = Draft { name: &name, owner, role, days: days.unwrap_or(TOKEN_DAYS) };
    let (secret, token) = shared.gate.make_token(&caller, draft).await?;
    Ok((StatusCode::CREATED, Json(TokenView::of(&token, Some(&secret)))).into_response())
}

/// Revokes a token.
#[utoipa::path(
    delete,
    path = "/api/v1/tokens/{id}",
    tag = "tokens",
    operation_id = "revokeToken",
    params(("id" = String, Path, description = "Its id")),
    responses(
        (status = 204, description = "It is good no more"),
        (status = 404, description = "There is no such token, or it is over", body = ErrorView<'static>),
    ),
)]
pub(super) async fn revoke<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    id: Result<Path<String>, PathRejection>,
) -> Answer {
    let Path(id) = id?;
    if shared.gate.revoke_token(&caller, &id).await? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Err(Problem::new(StatusCode::NOT_FOUND, "there is no such token, or it is over"))
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Self {
        let status = match denied {
            Denied::Wait(_) => StatusCode::TOO_MANY_REQUESTS,
            Denied::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Denied::NotAllowed(_) => StatusCode::FORBIDDEN,
            Denied::Full(_) => StatusCode::CONFLICT,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, denied.to_string())
    }
}
