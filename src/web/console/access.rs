//! Who may sign in: one's own account, everybody's for admins, and what everybody did.

use std::sync::Arc;

use askama::Template;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::fields::{Fields, Posted};
use super::frame::Frame;
use super::sign_in::visitor;
use super::tokens::{Tokens, of_everybody, of_oneself};
use super::{failed, go_to, nothing_of};
use crate::domain::access::{Account, AccountName, Invitation, Role, Session};
use crate::domain::harmless::{clean, clip};
use crate::web::Shared;
use crate::web::api::App;
use crate::web::backend::Backend;
use crate::web::gate::Denied;
use crate::web::listener::Peer;

#[derive(Template)]
#[template(path = "account.html")]
struct Own {
    f: Frame,
    name: String,
    role: String,
    says: Says,
    sessions: Vec<Browser>,
    /// Whether there is one to change.
    password: bool,
    tokens: Tokens,
}

/// What there is to say after a form.
#[derive(Default)]
pub(super) struct Says {
    pub(super) problem: Option<String>,
    pub(super) done: Option<String>,
    /// An invitation's link, shown once.
    pub(super) link: Option<String>,
    /// A token, shown once.
    pub(super) token: Option<String>,
}

impl Says {
    pub(super) fn problem(problem: String) -> Self {
        Self { problem: Some(problem), ..Self::default() }
    }

    /// Why not, in the reader's words.
    pub(super) fn denied(f: &Frame, denied: &Denied) -> Self {
        Self::problem(f.w.denied(denied))
    }

    fn status(&self) -> StatusCode {
        if self.problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }
    }
}

struct Browser {
    name: String,
    text: String,
    this: bool,
}

pub(super) async fn account<B: Backend>(State(shared): App<B>, f: Frame) -> Response {
    own(&shared, f, Says::default())
}

pub(super) async fn change_password<B: Backend>(
    State(shared): App<B>,
    ConnectInfo(Peer { address, .. }): ConnectInfo<Peer>,
    headers: HeaderMap,
    Posted(f, fields): Posted,
) -> Response {
    let Some(caller) = f.caller.clone() else { return nothing_of(f) };
    let new = fields.secret("new");
    if new != fields.secret("again") {
        let problem = f.w.passwords_differ.to_string();
        return own(&shared, f, Says::problem(problem));
    }
    let visitor = visitor(address, &headers);
    match shared.gate.change_password(&caller, fields.secret("old"), new, &visitor).await {
        Ok(()) => {
            let done = f.w.password_changed.to_string();
            own(&shared, f, Says { done: Some(done), ..Says::default() })
        }
        Err(denied) => {
            let says = Says::denied(&f, &denied);
            own(&shared, f, says)
        }
    }
}

pub(super) async fn end_session<B: Backend>(State(shared): App<B>, Posted(f, fields): Posted) -> Response {
    let Some(caller) = f.caller.clone() else { return nothing_of(f) };
    match shared.gate.end_session(&caller, fields.get("session")).await {
        Ok(()) => go_to(&f, "account"),
        Err(denied) => {
            let says = Says::denied(&f, &denied);
            own(&shared, f, says)
        }
    }
}

/// One's own account.
pub(super) fn own<B: Backend>(shared: &Arc<Shared<B>>, f: Frame, says: Says) -> Response {
    let name = f.caller.as_ref().and_then(|caller| AccountName::new(caller.name()?).ok());
    let Some((name, caller)) = name.zip(f.caller.as_ref()).filter(|(_, caller)| caller.is_person()) else {
        // Whoever has the token, and whoever looks at a demo, has no account.
        return nothing_of(f);
    };
    let browser = |session: &Session| {
        let said = if session.browser.is_empty() { f.w.unknown_browser.to_string() } else { session.browser.clone() };
        let (began, used) = (f.time(session.began), f.time(session.used));
        let text = f.w.session_text.with([("browser", &said), ("began", &began), ("used", &used)]);
        Browser { name: session.secret.name(), text, this: caller.session() == Some(session.secret) }
    };
    let sessions = shared.gate.sessions(&name).iter().map(browser).collect();
    let password = shared.gate.has_password(caller);
    let (role, tokens) = (f.role(caller.role).to_string(), of_oneself(shared, &f, caller));
    Frame::show(says.status(), &Own { name: name.to_string(), role, says, sessions, password, tokens, f })
}

#[derive(Template)]
#[template(path = "access.html")]
struct Everybody {
    f: Frame,
    says: Says,
    tokens: Tokens,
    accounts: Vec<Who>,
    invited: Vec<Guest>,
    roles: Vec<Choice>,
}

struct Who {
    name: String,
    role: String,
    /// Whether they may read what is restricted.
    restricted: bool,
    since: String,
}

struct Guest {
    name: String,
    /// Whether it is for somebody, and can be withdrawn.
    named: bool,
    role: String,
    until: String,
}

pub(super) struct Choice {
    pub(super) value: &'static str,
    pub(super) name: String,
}

pub(super) async fn access<B: Backend>(State(shared): App<B>, f: Frame) -> Response {
    everybody(&shared, f, Says::default())
}

pub(super) async fn invite<B: Backend>(State(shared): App<B>, Posted(f, fields): Posted) -> Response {
    let Some(caller) = f.caller.clone() else { return nothing_of(f) };
    let (name, role) = match chosen(&f, &fields) {
        Ok(chosen) => chosen,
        Err(problem) => return everybody(&shared, f, Says::problem(problem)),
    };
    match shared.gate.invite(&caller, &name, role).await {
        Ok(secret) => {
            let link = shared.console.as_ref().map(|console| console.invitation_url(&secret));
            everybody(&shared, f, Says { link, ..Says::default() })
        }
        Err(denied) => {
            let says = Says::denied(&f, &denied);
            everybody(&shared, f, says)
        }
    }
}

pub(super) async fn set_role<B: Backend>(State(shared): App<B>, Posted(f, fields): Posted) -> Response {
    let Some(caller) = f.caller.clone() else { return nothing_of(f) };
    let done = match chosen(&f, &fields) {
        Ok((name, role)) => shared.gate.set_role(&caller, &name, role).await.map_err(|denied| f.w.denied(&denied)),
        Err(problem) => Err(problem),
    };
    after(&shared, f, done)
}

pub(super) async fn set_restricted<B: Backend>(State(shared): App<B>, Posted(f, fields): Posted) -> Response {
    let Some(caller) = f.caller.clone() else { return nothing_of(f) };
    let done = match AccountName::new(fields.get("name")) {
        Ok(name) => {
            let changed = shared.gate.set_restricted(&caller, &name, fields.get("may") == "yes").await;
            changed.map_err(|denied| f.w.denied(&denied))
        }
        Err(_) => Err(f.w.no_name()),
    };
    after(&shared, f, done)
}

pub(super) async fn remove<B: Backend>(State(shared): App<B>, Posted(f, fields): Posted) -> Response {
    let Some(caller) = f.caller.clone() else { return nothing_of(f) };
    let done = match AccountName::new(fields.get("name")) {
        Ok(name) => shared.gate.remove(&caller, &name).await.map_err(|denied| f.w.denied(&denied)),
        Err(_) => Err(f.w.no_name()),
    };
    after(&shared, f, done)
}

fn after<B: Backend>(shared: &Arc<Shared<B>>, f: Frame, done: Result<(), String>) -> Response {
    match done {
        Ok(()) => go_to(&f, "access"),
        Err(problem) => everybody(shared, f, Says::problem(problem)),
    }
}

fn chosen(f: &Frame, fields: &Fields) -> Result<(AccountName, Role), String> {
    let name = AccountName::new(fields.get("name")).or(Err(f.w.no_name()))?;
    let role = Role::parse(fields.get("role")).ok_or_else(|| f.w.no_such_role.to_string())?;
    Ok((name, role))
}

/// Everybody's accounts, and what programs have.
pub(super) fn everybody<B: Backend>(shared: &Arc<Shared<B>>, f: Frame, says: Says) -> Response {
    let f = f.at("access");
    let (accounts, invited) = shared.gate.everybody();
    let who = |one: &Account| Who {
        name: one.name.to_string(),
        role: f.role(one.role).to_string(),
        restricted: one.restricted,
        since: f.time(one.since),
    };
    let guest = |one: &Invitation| Guest {
        name: one.account.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string),
        named: one.account.is_some() && accounts.iter().all(|account| Some(&account.name) != one.account.as_ref()),
        role: f.role(one.role).to_string(),
        until: f.w.invited_until.with([("until", &f.time(one.until))]),
    };
    let invited = invited.iter().map(guest).collect();
    let accounts = accounts.iter().map(who).collect();
    let roles = Role::ALL.into_iter().map(|role| Choice { value: role.as_str(), name: f.role(role).to_string() });
    let roles = roles.collect();
    let tokens = of_everybody(shared, &f);
    Frame::show(says.status(), &Everybody { f, says, tokens, accounts, invited, roles })
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    f: Frame,
    entries: Vec<Line>,
    before: Option<i64>,
}

struct Line {
    number: i64,
    at: String,
    when: String,
    by: String,
    what: String,
    about: String,
    text: String,
}

pub(super) async fn audit<B: Backend>(State(shared): App<B>, f: Frame, RawQuery(query): RawQuery) -> Response {
    let f = f.at("audit");
    let before = Fields::read(query.unwrap_or_default().as_bytes()).get("before").parse().ok();
    match shared.backend.audit(before, f.sight()).await {
        Ok(entries) => {
            let lines: Vec<Line> = entries
                .into_iter()
                .map(|(number, entry)| Line {
                    number,
                    at: entry.at.to_string(),
                    when: f.zone.shows(entry.at, "%Y-%m-%d %H:%M:%S"),
                    by: clip(&clean(&entry.by), 100),
                    what: entry.what,
                    about: clip(&clean(&entry.about), 100),
                    text: clip(&clean(&entry.text), 1000),
                })
                .collect();
            let before = lines.last().map(|line| line.number).filter(|number| *number > 1);
            Frame::show(StatusCode::OK, &Audit { f, entries: lines, before })
        }
        Err(error) => failed(f, &error),
    }
}
