//! Tokens on the pages: one's own on that of the account, everybody's and those of programs on the admins' page.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::access::{Choice, Says, everybody, own};
use super::fields::{Fields, Posted};
use super::frame::Frame;
use super::{go_to, nothing_of};
use crate::domain::access::{MOST_TOKEN_DAYS, NoToken, Role, TOKEN_DAYS, Token};
use crate::web::Shared;
use crate::web::api::App;
use crate::web::backend::Backend;
use crate::web::caller::Caller;
use crate::web::gate::{Denied, Draft, Owner};

/// The tokens of a page, and the form that makes one.
pub(super) struct Tokens {
    /// Where the forms lead.
    pub(super) path: &'static str,
    pub(super) hint: String,
    pub(super) all: Vec<Line>,
    /// What may be chosen.
    pub(super) roles: Vec<Choice>,
    pub(super) days: u16,
    pub(super) most_days: u16,
}

pub(super) struct Line {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) owner: String,
    pub(super) role: String,
    pub(super) until: String,
    pub(super) used: String,
}

/// For one's own page.
pub(super) fn of_oneself<B: Backend>(shared: &Arc<Shared<B>>, f: &Frame, caller: &Caller) -> Tokens {
    let own = shared.gate.tokens(caller, false);
    tokens(f, caller.role, "account/tokens", f.w.own_tokens_hint.to_string(), &own)
}

/// For the admins' page.
pub(super) fn of_everybody<B: Backend>(shared: &Arc<Shared<B>>, f: &Frame) -> Tokens {
    let all = f.caller.as_ref().map_or_else(Vec::new, |caller| shared.gate.tokens(caller, true));
    tokens(f, Role::Admin, "access/tokens", f.w.program_tokens_hint.to_string(), &all)
}

fn tokens(f: &Frame, most: Role, path: &'static str, hint: String, all: &[Token]) -> Tokens {
    let line = |token: &Token| Line {
        id: token.secret.name(),
        name: token.name.clone(),
        owner: token.account.as_ref().map_or_else(|| f.w.a_program.to_string(), ToString::to_string),
        role: f.role(token.role).to_string(),
        until: f.time(token.until),
        used: token.used.map_or_else(|| "–".to_owned(), |used| f.time(used)),
    };
    let roles = Role::ALL.into_iter().filter(|role| *role <= most);
    let roles = roles.map(|role| Choice { value: role.as_str(), name: f.role(role).to_string() }).collect();
    let all = all.iter().map(line).collect();
    Tokens { path, hint, all, roles, days: TOKEN_DAYS, most_days: MOST_TOKEN_DAYS }
}

pub(super) async fn make_own<B: Backend>(State(shared): App<B>, Posted(f, fields): Posted) -> Response {
    let says = made(&shared, &f, &fields, Owner::Maker).await;
    own(&shared, f, says)
}

pub(super) async fn make<B: Backend>(State(shared): App<B>, Posted(f, fields): Posted) -> Response {
    let says = made(&shared, &f, &fields, Owner::Program).await;
    everybody(&shared, f, says)
}

async fn made<B: Backend>(shared: &Arc<Shared<B>>, f: &Frame, fields: &Fields, owner: Owner) -> Says {
    let Some(caller) = &f.caller else { return Says::default() };
    let Some(role) = Role::parse(fields.get("role")) else { return Says::problem(f.w.no_such_role.to_string()) };
    let Ok(days) = fields.get("days").parse() else { return Says::problem(f.w.no_token(NoToken::Days)) };
    match shared.gate.make_token(caller, Draft { name: fields.get("name"), owner, role, days }).await {
        Ok((token, _)) => Says { token: Some(token), ..Says::default() },
        Err(denied) => Says::denied(f, &denied),
    }
}

pub(super) async fn revoke_own<B: Backend>(State(shared): App<B>, Posted(f, fields): Posted) -> Response {
    match revoked(&shared, &f, &fields).await {
        Some(Ok(())) => go_to(&f, "account"),
        Some(Err(denied)) => {
            let says = Says::denied(&f, &denied);
            own(&shared, f, says)
        }
        None => nothing_of(f),
    }
}

pub(super) async fn revoke<B: Backend>(State(shared): App<B>, Posted(f, fields): Posted) -> Response {
    match revoked(&shared, &f, &fields).await {
        Some(Ok(())) => go_to(&f, "access"),
        Some(Err(denied)) => {
            let says = Says::denied(&f, &denied);
            everybody(&shared, f, says)
        }
        None => nothing_of(f),
    }
}

/// One that is gone already is revoked, too.
async fn revoked<B: Backend>(shared: &Arc<Shared<B>>, f: &Frame, fields: &Fields) -> Option<Result<(), Denied>> {
    let caller = f.caller.as_ref()?;
    Some(shared.gate.revoke_token(caller, fields.get("token")).await.map(|_| ()))
}
