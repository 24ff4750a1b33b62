//! `/a/{token}`: whoever was told takes charge, without signing in.
//!
//! Opening a link does nothing: mail filters and previews of chats open every link they see. Only the
//! button acts. The token is the proof, so no bearer token is asked for; that the button was pressed on our
//! own page, the guard sees to. Who is not first, or comes too late, is told who has it instead.

use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::api::App;
use super::backend::{Action, ActionKind, Backend, BackendError};
use super::page::{About, Page, ago};
use super::routes::{Needs, Routes};
use crate::domain::harmless::{clean, clip};
use crate::domain::incident::{Incident, IncidentState, Signature};
use crate::domain::lane::Sight;
use crate::domain::time::Timestamp;
use crate::wire::link::{LASTS, Link, Unusable};

/// Shorter than the guard's patience, whose answer is for programs.
const PATIENCE: Duration = Duration::from_secs(8);
/// Characters of somebody's name.
const MAX_NAME: usize = 100;

pub(super) fn routes<B: Backend>(routes: Routes<B>) -> Routes<B> {
    routes.get("/a/{token}", Needs::Nothing, show::<B>).post("/a/{token}", Needs::Nothing, take::<B>)
}

type Token = Result<Path<String>, PathRejection>;

async fn show<B: Backend>(State(shared): App<B>, token: Token) -> Response {
    let link = match read(&shared, token) {
        Ok(link) => link,
        Err(unusable) => return useless(unusable).into_response(),
    };
    match in_time(shared.backend.incident(link.incident.clone(), Sight::Veiled)).await {
        Ok(Some(detail)) => standing(&unsigned(detail.incident), &link, None, shared.backend.now()).into_response(),
        Ok(None) => unknown().into_response(),
        Err(_) => unreadable().into_response(),
    }
}

async fn take<B: Backend>(State(shared): App<B>, token: Token) -> Response {
    let link = match read(&shared, token) {
        Ok(link) => link,
        Err(unusable) => return useless(unusable).into_response(),
    };
    let pressed = shared.backend.now();
    let text = format!("by link, sent to {}", link.receiver);
    let action = Action { kind: ActionKind::Acknowledge, by: link.who().to_owned(), text };
    match in_time(shared.backend.act(link.incident.clone(), action)).await {
        Ok(Some(incident)) => standing(&unsigned(incident), &link, Some(pressed), shared.backend.now()).into_response(),
        Ok(None) => unknown().into_response(),
        // It is over. By whom, the disk knows.
        Err(BackendError::Conflict(_)) => match in_time(shared.backend.incident(link.incident.clone(), Sight::Veiled))
            .await
        {
            Ok(Some(detail)) => standing(&unsigned(detail.incident), &link, None, shared.backend.now()).into_response(),
            Ok(None) => unknown().into_response(),
            Err(_) => unreadable().into_response(),
        },
        Err(_) => unrecorded().into_response(),
    }
}

fn read<B: Backend>(shared: &Shared<B>, token: Token) -> Result<Link, Unusable> {
    let Path(token) = token.or(Err(Unusable::NotOurs))?;
    shared.console.as_ref().ok_or(Unusable::NotOurs)?.read(&token, shared.backend.now())
}

async fn in_time<T>(asked: impl Future<Output = Result<T, BackendError>>) -> Result<T, BackendError> {
    let late = || BackendError::Unavailable("no answer in time".to_owned());
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(late()))
}

/// Whoever has the link did not sign in.
fn unsigned(incident: Incident) -> Incident {
    incident.seen_with(Sight::Veiled)
}

/// Where the incident stands; `pressed` is when the button was, if it was.
fn standing<'a>(incident: &'a Incident, link: &Link, pressed: Option<Timestamp>, now: Timestamp) -> Page<'a> {
    let sent_to = match &link.person {
        Some(person) => format!("{person} ({})", link.receiver),
        None => link.receiver.to_string(),
    };
    let about = Some(About { incident, sent_to, now });
    let page =
        |says: String, explains: Vec<String>| Page { status: StatusCode::OK, says, explains, about, button: None };
    let by = |signature: &Signature| clip(&clean(&signature.by), MAX_NAME);
    match (incident.state, &incident.acknowledged, &incident.resolved) {
        (IncidentState::Resolved, _, Some(ended)) if let Some(into) = &incident.merged_into => {
            let when = format!("{} merged it into {into} {}.", by(ended), ago(ended.at, now));
            let then = format!(
                "That one goes on. Its own message says whether somebody has it, and “stormbell ack {into}” takes charge."
            );
            page("It goes on as part of another.".to_owned(), vec![when, then])
        }
        (IncidentState::Resolved, _, Some(ended)) => {
            let when = format!("{} ended it {}.", by(ended), ago(ended.at, now));
            page("It is over.".to_owned(), vec![when, "There is nothing to do here.".to_owned()])
        }
        (IncidentState::Acknowledged, Some(taken), _) => {
            let by_this = taken.by == link.who();
            // Many may read what goes to a receiver: only who pressed just now is known to be the one.
            let yours = by_this && (link.person.is_some() || pressed.is_some_and(|pressed| taken.at >= pressed));
            let when = format!("Taken {}.", ago(taken.at, now));
            let (says, then) = match (yours, by_this) {
                (true, _) => (
                    "You have it.".to_owned(),
                    "Nobody is rung any more, and everybody who was told hears that it is taken.",
                ),
                (false, true) => (
                    format!("Somebody who reads {} has it.", by(taken)),
                    "They pressed the button behind this link. Nobody is rung any more.",
                ),
                (false, false) => (
                    format!("{} has it.", by(taken)),
                    "Nobody is rung any more. There is nothing to do here; talk to them if you should take over.",
                ),
            };
            page(says, vec![when, then.to_owned()])
        }
        _ => {
            let does = format!(
                "Take charge, and nobody else is rung; everybody who was told hears that {} has it.",
                match &link.person {
                    Some(person) => person.as_str(),
                    None => "somebody",
                }
            );
            let button = Some(if incident.exercise { "Take charge (exercise)" } else { "Take charge" });
            Page { button, ..page("Nobody has it yet.".to_owned(), vec![does]) }
        }
    }
}

/// A page without an incident.
fn plain(status: StatusCode, says: &str, explains: &[&str]) -> Page<'static> {
    let explains = explains.iter().map(ToString::to_string).collect();
    Page { status, says: says.to_owned(), explains, about: None, button: None }
}

fn useless(unusable: Unusable) -> Page<'static> {
    match unusable {
        Unusable::NotOurs => {
            let why = "It may have been cut off on its way: open it from the message again, or copy all of it.";
            plain(StatusCode::NOT_FOUND, "This link is none of ours.", &[why, ELSEWHERE])
        }
        Unusable::Expired => {
            let days = LASTS.as_secs() / 86_400;
            let why = format!("A link works for {days} days after its message.");
            let else_where = "If the incident is still open, a newer message has a link that works.";
            plain(StatusCode::GONE, "This link is too old.", &[&why, else_where, ELSEWHERE])
        }
    }
}

const ELSEWHERE: &str = "Nothing was changed. Whoever is on call can also take charge by the command “stormbell ack”.";

fn unknown() -> Page<'static> {
    let why = "It was a long time ago and is forgotten, or it is not on record yet: then try again in a minute.";
    plain(StatusCode::NOT_FOUND, "There is no such incident.", &[why, ELSEWHERE])
}

fn unreadable() -> Page<'static> {
    let why = "Stormbell cannot look it up right now. Load this page again in a few seconds.";
    plain(StatusCode::SERVICE_UNAVAILABLE, "No answer yet.", &[why, "Nothing was changed."])
}

fn unrecorded() -> Page<'static> {
    let why = "Stormbell could not write it down in time, so others may still be rung.";
    let then = "Try again in a few seconds. If this goes on, call whoever is next and tell them that you have it.";
    let page = plain(StatusCode::SERVICE_UNAVAILABLE, "It is not certain that you have it.", &[why, then]);
    Page { button: Some("Try again"), ..page }
}
