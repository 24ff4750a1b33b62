//! The console: pages for people, written by the daemon itself.
//!
//! Every page is whole without script; a little of it keeps what is shown as it is (`assets/live.js`). Nothing here
//! decides anything: pages show what [`Backend`] knows, and forms order what the API orders, under the name of whoever
//! is signed in. Everything in a page is escaped by its template; posts are cleaned of what hides or reorders text.

mod access;
mod assets;
mod calendar;
mod card;
mod chart;
mod denied;
mod fields;
mod frame;
mod handover;
mod incident;
mod judge;
mod lists;
mod now;
mod oidc;
mod playbook;
mod report;
mod rule;
mod search;
mod sign_in;
mod silences;
mod strip;
mod tokens;
mod words;

use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRequestParts, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

pub(super) use self::frame::Frame;
pub(super) use self::report::file as report_file;
use super::Shared;
use super::api::{EDITOR, RESPONDER, VIEWER};
use super::backend::{Backend, BackendError};
use super::guard::Stranger;
use super::routes::{Needs, Routes};
use crate::domain::access::Role;

const ADMIN: Needs = Needs::Role(Role::Admin);

pub(super) fn routes<B: Backend>(routes: Routes<B>) -> Routes<B> {
    routes
        .get("/", VIEWER, now::now::<B>)
        .get("/wall", VIEWER, now::wall::<B>)
        .get("/incidents", VIEWER, lists::incidents::<B>)
        .get("/incidents/{id}", VIEWER, incident::show::<B>)
        .post("/incidents/{id}/{action}", RESPONDER, incident::act::<B>)
        .post("/incidents/{id}/merge", RESPONDER, incident::merge::<B>)
        .post("/incidents/{id}/handover", RESPONDER, playbook::hand_over::<B>)
        .post("/incidents/{id}/escalate", RESPONDER, playbook::escalate::<B>)
        .post("/incidents/{id}/playbook", RESPONDER, playbook::follow::<B>)
        .get("/incidents/{id}/report", VIEWER, report::show::<B>)
        .get("/handover", VIEWER, handover::show::<B>)
        .post("/handover", RESPONDER, handover::note::<B>)
        .get("/playbooks", VIEWER, playbook::all::<B>)
        .post("/playbooks/approve", EDITOR, playbook::approve::<B>)
        .post("/incidents/{id}/judge", RESPONDER, judge::judge::<B>)
        .get("/search", VIEWER, search::show::<B>)
        .get("/search/export", VIEWER, search::export::<B>)
        .post("/search/save", VIEWER, search::save::<B>)
        .post("/search/forget", VIEWER, search::forget::<B>)
        .get("/sources", VIEWER, lists::sources::<B>)
        .get("/rules", VIEWER, lists::rules::<B>)
        .get("/rules/{id}", VIEWER, rule::show::<B>)
        .post("/rules/{id}", EDITOR, rule::attempt::<B>)
        .get("/people", VIEWER, lists::people::<B>)
        .get("/people/calendar", VIEWER, calendar::show::<B>)
        .get("/silences", VIEWER, silences::show::<B>)
        .post("/silences", RESPONDER, silences::order::<B>)
        .post("/silences/end", RESPONDER, silences::end::<B>)
        .get("/sign-in", Needs::Nothing, sign_in::show::<B>)
        .post("/sign-in", Needs::Nothing, sign_in::enter::<B>)
        .get("/sign-in/oidc", Needs::Nothing, oidc::begin::<B>)
        .get("/sign-in/oidc/back", Needs::Nothing, oidc::back::<B>)
        .post("/sign-out", VIEWER, sign_in::leave::<B>)
        .get("/invited/{secret}", Needs::Nothing, sign_in::invited::<B>)
        .post("/invited/{secret}", Needs::Nothing, sign_in::take_up::<B>)
        .get("/account", VIEWER, access::account::<B>)
        .post("/account/password", VIEWER, access::change_password::<B>)
        .post("/account/sessions/end", VIEWER, access::end_session::<B>)
        .post("/account/tokens", VIEWER, tokens::make_own::<B>)
        .post("/account/tokens/end", VIEWER, tokens::revoke_own::<B>)
        .get("/access", ADMIN, access::access::<B>)
        .post("/access/invite", ADMIN, access::invite::<B>)
        .post("/access/role", ADMIN, access::set_role::<B>)
        .post("/access/restricted", ADMIN, access::set_restricted::<B>)
        .post("/access/remove", ADMIN, access::remove::<B>)
        .post("/access/tokens", ADMIN, tokens::make::<B>)
        .post("/access/tokens/end", ADMIN, tokens::revoke::<B>)
        .get("/audit", ADMIN, access::audit::<B>)
        .get("/assets/{address}", Needs::Nothing, assets::asset)
}

/// A page that only says something.
#[derive(Template)]
#[template(path = "said.html")]
struct Said {
    f: Frame,
    says: String,
    explains: Vec<String>,
}

fn said(f: Frame, status: StatusCode, says: String, explains: Vec<String>) -> Response {
    Frame::show(status, &Said { f, says, explains })
}

/// For whoever is signed in and may not.
pub(super) async fn forbidden<B: Backend>(shared: &Arc<Shared<B>>, request: Request, role: Role) -> Response {
    let (mut parts, _) = request.into_parts();
    let Ok(f) = Frame::from_request_parts(&mut parts, shared).await;
    let mine = f.caller.as_ref().map_or(Role::Viewer, |caller| caller.role);
    let (needed, mine) = (f.role(role).to_string(), f.role(mine).to_string());
    let text = f.w.forbidden_text.with([("role", &needed), ("mine", &mine)]);
    let says = f.w.forbidden.to_string();
    said(f, StatusCode::FORBIDDEN, says, vec![text])
}

/// For whoever is known to the proxy and has no account that could be used.
pub(super) async fn stranger<B: Backend>(shared: &Arc<Shared<B>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let Ok(f) = Frame::from_request_parts(&mut parts, shared).await;
    let why = parts.extensions.get::<Stranger>().map(|Stranger(denied)| f.w.denied(denied));
    let text = f.w.no_account.to_string();
    said(f, StatusCode::FORBIDDEN, why.unwrap_or_default(), vec![text])
}

/// For an address at which there is nothing.
pub(super) async fn nothing<B: Backend>(shared: &Arc<Shared<B>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let Ok(f) = Frame::from_request_parts(&mut parts, shared).await;
    nothing_of(f)
}

/// The same, where the frame is there already.
fn nothing_of(f: Frame) -> Response {
    let (says, text) = (f.w.nothing_here.to_string(), f.w.nothing_text.to_string());
    said(f, StatusCode::NOT_FOUND, says, vec![text])
}

/// For what the daemon could not do or would not.
fn failed(f: Frame, error: &BackendError) -> Response {
    match error {
        BackendError::Unavailable(_) => {
            let (says, text) = (f.w.not_now.to_string(), f.w.not_now_text.to_string());
            said(f, StatusCode::SERVICE_UNAVAILABLE, says, vec![text])
        }
        BackendError::Invalid(why) | BackendError::Conflict(why) => {
            let status = if matches!(error, BackendError::Conflict(_)) {
                StatusCode::CONFLICT
            } else {
                StatusCode::UNPROCESSABLE_ENTITY
            };
            let why = why.clone();
            said(f, status, why, Vec::new())
        }
    }
}

/// After a form, to a page that can be loaded again without doing it twice.
fn go_to(f: &Frame, path: &str) -> Response {
    let location = HeaderValue::from_str(&f.url(path)).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}
