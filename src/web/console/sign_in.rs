//! Signing in and out, and the page behind an invitation.

use std::net::IpAddr;
use std::sync::Arc;

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{ConnectInfo, FromRequest, Path, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use url::form_urlencoded;

use super::fields::{Fields, Posted};
use super::frame::Frame;
use super::{go_to, said};
use crate::domain::access::{AccountName, LEAST_PASSWORD};
use crate::web::Shared;
use crate::web::api::App;
use crate::web::backend::Backend;
use crate::web::caller::{known, set_cookie, set_known};
use crate::web::gate::{Denied, Visitor, cookie_lasts};
use crate::web::listener::Peer;
use crate::web::oidc::Failed;

#[derive(Template)]
#[template(path = "sign-in.html")]
struct SignIn {
    f: Frame,
    then: String,
    /// Where people sign in already: what the button says, and where it leads.
    elsewhere: Option<(String, String)>,
    name: String,
    problem: Option<String>,
}

#[derive(Template)]
#[template(path = "invited.html")]
struct Invited {
    f: Frame,
    invites: String,
    account: Option<String>,
    name: String,
    least: usize,
    password_hint: String,
    problem: Option<String>,
}

pub(super) async fn show<B: Backend>(State(shared): App<B>, f: Frame, RawQuery(query): RawQuery) -> Response {
    let then = Fields::read(query.unwrap_or_default().as_bytes()).get("then").to_owned();
    if f.caller.is_some() {
        return go_to(&f, &below(&then));
    }
    asked(&shared, f, StatusCode::OK, then, String::new(), None)
}

/// The page that asks who is there.
fn asked<B: Backend>(
    shared: &Arc<Shared<B>>,
    f: Frame,
    status: StatusCode,
    then: String,
    name: String,
    problem: Option<String>,
) -> Response {
    let elsewhere = shared.oidc.as_ref().map(|provider| {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("then", &then).finish();
        (f.w.sign_in_with.with([("name", provider.name())]), format!("{}?{query}", f.url("sign-in/oidc")))
    });
    Frame::show(status, &SignIn { f, then, elsewhere, name, problem })
}

/// The same after a sign-in that failed.
pub(super) fn denied<B: Backend>(
    shared: &Arc<Shared<B>>,
    f: Frame,
    then: String,
    name: String,
    denied: &Denied,
) -> Response {
    let problem = f.w.denied(denied);
    asked(shared, f, status(denied), then, name, Some(problem))
}

pub(super) async fn enter<B: Backend>(
    State(shared): App<B>,
    ConnectInfo(Peer { address, .. }): ConnectInfo<Peer>,
    f: Frame,
    headers: HeaderMap,
    fields: Fields,
) -> Response {
    let (name, then) = (fields.get("name").to_owned(), fields.get("then").to_owned());
    let entered = shared.gate.sign_in(&name, fields.secret("password"), &visitor(address, &headers)).await;
    match entered {
        Ok(cookie) => welcome(&shared, &f, &name, &cookie, &below(&then)),
        Err(refused) => denied(&shared, f, then, name, &refused),
    }
}

pub(super) async fn leave<B: Backend>(State(shared): App<B>, Posted(f, _): Posted) -> Response {
    if let Some(caller) = &f.caller {
        shared.gate.sign_out(caller).await;
    }
    ([(header::SET_COOKIE, set_cookie(None, 0, f.secure))], go_to(&f, "sign-in")).into_response()
}

type Secret = Result<Path<String>, PathRejection>;

pub(super) async fn invited<B: Backend>(State(shared): App<B>, f: Frame, secret: Secret) -> Response {
    let secret = secret.map(|Path(secret)| secret).unwrap_or_default();
    page(&shared, f, &secret, String::new(), None)
}

pub(super) async fn take_up<B: Backend>(
    State(shared): App<B>,
    ConnectInfo(Peer { address, .. }): ConnectInfo<Peer>,
    f: Frame,
    headers: HeaderMap,
    secret: Secret,
    request: Request,
) -> Response {
    let secret = secret.map(|Path(secret)| secret).unwrap_or_default();
    let fields = match Fields::from_request(request, &()).await {
        Ok(fields) => fields,
        Err(refused) => return refused,
    };
    let typed = fields.get("name").to_owned();
    let password = fields.secret("password");
    if password != fields.secret("again") {
        let problem = f.w.passwords_differ.to_string();
        return page(&shared, f, &secret, typed, Some(problem));
    }
    let Ok(name) = AccountName::new(&typed) else {
        let problem = f.w.no_name();
        return page(&shared, f, &secret, typed, Some(problem));
    };
    match shared.gate.take_up(&secret, &name, password, &visitor(address, &headers)).await {
        Ok((name, cookie)) => welcome(&shared, &f, name.as_str(), &cookie, ""),
        Err(denied) => {
            let problem = f.w.denied(&denied);
            page(&shared, f, &secret, typed, Some(problem))
        }
    }
}

/// The page that asks for a password, while the invitation can be taken up.
fn page<B: Backend>(
    shared: &Arc<Shared<B>>,
    f: Frame,
    secret: &str,
    name: String,
    problem: Option<String>,
) -> Response {
    let Some(invitation) = shared.gate.invited(secret) else {
        let says = f.w.denied(&Denied::NoInvitation);
        let text = f.w.no_account.to_string();
        return said(f, StatusCode::GONE, says, vec![text]);
    };
    let account = invitation.account.map(|account| account.to_string());
    let invites = if account.is_some() {
        f.w.invited_as.with([("role", &f.role(invitation.role).to_string())])
    } else {
        f.w.invited_first.to_string()
    };
    let password_hint = f.w.password_hint.with([("least", &LEAST_PASSWORD.to_string())]);
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Frame::show(status, &Invited { f, invites, account, name, least: LEAST_PASSWORD, password_hint, problem })
}

/// On to the page, with the cookie, and a sign that somebody was here.
pub(super) fn welcome<B: Backend>(
    shared: &Arc<Shared<B>>,
    f: &Frame,
    name: &str,
    cookie: &str,
    path: &str,
) -> Response {
    let mut cookies = vec![set_cookie(Some(cookie), cookie_lasts(), f.secure)];
    cookies.extend(shared.gate.known(name).map(|sign| set_known(&sign, f.secure)));
    let mut answer = go_to(f, path);
    for cookie in cookies.iter().filter_map(|cookie| HeaderValue::from_str(cookie).ok()) {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    answer
}

/// What to go on to: an address of ours below the root, never another site's.
pub(super) fn below(then: &str) -> String {
    let path = then.trim_start_matches('/');
    // Browsers read a backslash as a slash, and drop tabs and line breaks.
    let ours = !path.contains(|c: char| c == '\\' || c.is_control()) && then.starts_with('/');
    if ours { path.to_owned() } else { String::new() }
}

/// Who asks to come in.
pub(super) fn visitor(address: IpAddr, headers: &HeaderMap) -> Visitor<'_> {
    let browser = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Visitor { address, browser, known: known(headers) }
}

fn status(denied: &Denied) -> StatusCode {
    match denied {
        Denied::Wait(_) => StatusCode::TOO_MANY_REQUESTS,
        Denied::Unavailable(_) | Denied::Outside(Failed::Unavailable(_)) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_signing_in_one_stays_here() {
        assert_eq!(below("/incidents/inc-a?x=1"), "incidents/inc-a?x=1");
        for elsewhere in [
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "javascript:x",
            "",
            "/a\r\nb",
            "/\t/evil.example",
        ] {
            let path = below(elsewhere);
            assert!(path.is_empty() || path == "evil.example", "{elsewhere}: {path}");
        }
    }
}
