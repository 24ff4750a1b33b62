//! Signing in where the hospital does already: there and back.

use std::sync::Arc;

use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::fields::Fields;
use super::frame::Frame;
use super::nothing_of;
use super::sign_in::{below, denied, visitor, welcome};
use crate::domain::access::AccountName;
use crate::web::Shared;
use crate::web::api::App;
use crate::web::backend::Backend;
use crate::web::caller::{attempt, set_attempt};
use crate::web::gate::{Denied, Visitor};
use crate::web::listener::Peer;
use crate::web::oidc::{Attempt, Failed, LASTS, Provider, said};

pub(super) async fn begin<B: Backend>(State(shared): App<B>, f: Frame, RawQuery(query): RawQuery) -> Response {
    let Some(provider) = &shared.oidc else { return nothing_of(f) };
    let then = Fields::read(query.unwrap_or_default().as_bytes()).get("then").to_owned();
    let begun = match shared.gate.attempt(&then) {
        Ok(attempt) => provider.leads_to(&attempt, shared.backend.now()).await.map(|url| (url, attempt)),
        Err(error) => Err(Failed::Unavailable(error.to_string())),
    };
    match begun {
        Ok((url, attempt)) => {
            let cookie = set_attempt(Some(&attempt.cookie), LASTS.as_secs(), f.secure);
            (StatusCode::SEE_OTHER, [(header::LOCATION, url.to_string()), (header::SET_COOKIE, cookie)]).into_response()
        }
        Err(failed) => denied(&shared, f, then, String::new(), &failed.into()),
    }
}

pub(super) async fn back<B: Backend>(
    State(shared): App<B>,
    ConnectInfo(Peer { address, .. }): ConnectInfo<Peer>,
    f: Frame,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let Some(provider) = &shared.oidc else { return nothing_of(f) };
    let fields = Fields::read(query.unwrap_or_default().as_bytes());
    let begun = attempt(&headers).and_then(|cookie| shared.gate.resume(cookie));
    let begun = begun.filter(|begun| begun.is_state(fields.get("state")));
    let then = begun.as_ref().map_or_else(String::new, |begun| begun.then.clone());
    let entered = match &begun {
        Some(begun) => enter(&shared, provider, &fields, begun, &visitor(address, &headers)).await,
        None => Err(Failed::NotBegun.into()),
    };
    let over = set_attempt(None, 0, f.secure);
    let mut answer = match entered {
        Ok((name, cookie)) => welcome(&shared, &f, name.as_str(), &cookie, &below(&then)),
        Err(refused) => denied(&shared, f, then, String::new(), &refused),
    };
    answer.headers_mut().extend(HeaderValue::from_str(&over).ok().map(|over| (header::SET_COOKIE, over)));
    answer
}

async fn enter<B: Backend>(
    shared: &Arc<Shared<B>>,
    provider: &Provider,
    fields: &Fields,
    begun: &Attempt,
    visitor: &Visitor<'_>,
) -> Result<(AccountName, String), Denied> {
    let (issuer, error, code) = (fields.get("iss"), fields.get("error"), fields.get("code"));
    if !issuer.is_empty() && !provider.is_issuer(issuer) {
        return Err(Failed::Unproven("another service sent it").into());
    }
    if !error.is_empty() {
        let description = Some(fields.get("error_description")).filter(|text| !text.is_empty());
        return Err(Failed::Refused(said(error, description)).into());
    }
    if code.is_empty() {
        return Err(Failed::NotBegun.into());
    }
    shared.gate.enter(provider, code, begun, visitor).await
}
