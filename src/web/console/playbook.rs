//! What people follow who were paged: steps to tick, roles, what may be said and when it must be. And giving an incident on.
//!
//! Nothing is ever posted from here: people copy a statement, say it where they say things, and mark that it is out.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::card::path;
use super::fields::{Fields, Posted};
use super::frame::Frame;
use super::incident::{by, kept_from, unknown};
use super::{failed, go_to, nothing_of, said};
use crate::domain::harmless::{clean, clip};
use crate::domain::id::{IncidentId, PersonName, hex};
use crate::domain::incident::{Incident, IncidentState};
use crate::domain::oncall::People;
use crate::domain::playbook::{self, Approval, Doing, Followed, Mark, Playbook, Statement};
use crate::domain::time::human;
use crate::web::api::App;
use crate::web::backend::{Backend, BackendError};
use crate::web::team::{Approve, Escalate, HandOver};

/// Characters of a person's name, and of a reason.
const MOST_NAME: usize = 200;
const MOST_REASON: usize = 4000;
/// A statement can be marked as out since so long ago.
const MINUTES_AGO: u64 = 24 * 60;

/// The playbook on an incident's page.
pub(super) struct Section {
    pub(super) title: String,
    pub(super) clock: Clock,
    pub(super) statements: Vec<Said>,
    pub(super) roles: Vec<Role>,
    /// Whether somebody has one.
    pub(super) roles_given: bool,
    /// Who can be given a role or the incident; other names can be typed.
    pub(super) people: Vec<String>,
    pub(super) progress: String,
    pub(super) parts: Vec<Block>,
}

/// When the first statement is due, or since when it is out.
pub(super) struct Clock {
    /// `due`, `overdue`, `out` or empty.
    pub(super) state: &'static str,
    pub(super) text: String,
}

/// What may be said.
pub(super) struct Said {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) version: String,
    pub(super) approved: bool,
    pub(super) approval: String,
    pub(super) text: String,
    pub(super) hash: String,
}

pub(super) struct Role {
    pub(super) name: String,
    pub(super) person: String,
    pub(super) by: String,
}

/// A part of the playbook, as its page shows it.
pub(super) enum Block {
    Heading(String),
    Step { key: String, text: Vec<Words>, plain: String, done: Option<String> },
    Item(Vec<Words>),
    Row(Vec<Vec<Words>>),
    Quote(Vec<Words>),
    Text(Vec<Words>),
}

/// Some words, perhaps bold.
pub(super) struct Words {
    pub(super) text: String,
    pub(super) strong: bool,
}

impl Section {
    pub(super) fn of(
        f: &Frame,
        incident: &Incident,
        playbook: &Playbook,
        followed: &Followed,
        approvals: &[Approval],
        people: &People,
    ) -> Self {
        let done = playbook.steps().filter(|step| followed.step(&step.key).is_some()).count();
        let numbers = [done, playbook.steps().count()].map(|n| f.number(n as u64));
        let [done, all] = &numbers;
        let role = |name: &String| {
            let mark = followed.role(name);
            Role {
                name: name.clone(),
                person: mark.map(|mark| mark.value.clone()).unwrap_or_default(),
                by: mark.map(|mark| signed(f, mark)).unwrap_or_default(),
            }
        };
        Self {
            title: playbook.title.clone(),
            clock: Clock::of(f, incident, playbook, followed),
            statements: playbook.statements.iter().map(|one| statement(f, one, approvals)).collect(),
            roles: playbook.roles.iter().map(role).collect(),
            roles_given: playbook.roles.iter().any(|role| followed.role(role).is_some()),
            people: people.persons.keys().map(ToString::to_string).collect(),
            progress: f.w.steps_done.with([("done", done), ("all", all)]),
            parts: playbook.blocks.iter().map(|block| part(f, block, Some(followed))).collect(),
        }
    }
}

impl Clock {
    fn of(f: &Frame, incident: &Incident, playbook: &Playbook, followed: &Followed) -> Self {
        let w = f.w;
        if let Some(mark) = followed.statement() {
            let took = human(mark.at.since(incident.opened_at));
            let (who, what) = (clip(&clean(&mark.by), MOST_NAME), said_by(f, &mark.value));
            let text =
                w.statement_out.with([("time", &f.time(mark.at)), ("who", &who), ("what", &what), ("took", &took)]);
            return Self { state: "out", text };
        }
        let Some(within) = playbook.first_statement_within else { return Self { state: "", text: String::new() } };
        if incident.state == IncidentState::Resolved {
            return Self { state: "", text: w.statement_none.to_string() };
        }
        let due = incident.opened_at + within;
        let (state, text, span) = if f.now < due {
            ("due", &w.statement_due, due.since(f.now))
        } else {
            ("overdue", &w.statement_overdue, f.now.since(due))
        };
        Self { state, text: text.with([("span", &human(span)), ("time", &f.time(due))]) }
    }
}

/// What a mark says was said, in the reader's language where it is ours to say.
pub(super) fn said_by(f: &Frame, value: &str) -> String {
    if value == playbook::OWN_WORDS { f.w.freely.to_string() } else { clip(&clean(value), MOST_NAME) }
}

fn signed(f: &Frame, mark: &Mark) -> String {
    f.w.marked_by.with([("who", &clip(&clean(&mark.by), MOST_NAME)), ("time", &f.time(mark.at))])
}

fn statement(f: &Frame, statement: &Statement, approvals: &[Approval]) -> Said {
    let approval = approvals.iter().find(|approval| approval.statement == statement.hash);
    let says = |approval: &Approval| {
        let who = clip(&clean(&approval.by), MOST_NAME);
        f.w.approved_by.with([("who", &who), ("time", &f.full(approval.at))])
    };
    Said {
        id: statement.id.clone(),
        title: statement.title.clone(),
        version: f.w.version_of.with([("id", &statement.id), ("version", &statement.version.to_string())]),
        approved: approval.is_some(),
        approval: approval.map_or_else(|| f.w.not_approved.to_string(), says),
        text: statement.filled(&f.organization, &f.zone.shows(f.now, "%H:%M")),
        hash: hex(&statement.hash, 32),
    }
}

fn part(f: &Frame, block: &playbook::Block, followed: Option<&Followed>) -> Block {
    match block {
        playbook::Block::Heading(text) => Block::Heading(text.replace("**", "")),
        playbook::Block::Step(step) => Block::Step {
            key: step.key.clone(),
            text: words_of(&step.text),
            plain: step.text.replace("**", ""),
            done: followed.and_then(|followed| followed.step(&step.key)).map(|mark| signed(f, mark)),
        },
        playbook::Block::Item(text) => Block::Item(words_of(text)),
        playbook::Block::Row(cells) => Block::Row(cells.iter().map(|cell| words_of(cell)).collect()),
        playbook::Block::Quote(text) => Block::Quote(words_of(text)),
        playbook::Block::Text(text) => Block::Text(words_of(text)),
    }
}

/// What stands between two pairs of asterisks is bold.
fn words_of(text: &str) -> Vec<Words> {
    let pieces = text.split("**").enumerate().filter(|(_, piece)| !piece.is_empty());
    pieces.map(|(place, piece)| Words { text: piece.to_owned(), strong: place % 2 == 1 }).collect()
}

type Id = Result<Path<String>, PathRejection>;

pub(super) async fn hand_over<B: Backend>(State(shared): App<B>, id: Id, Posted(f, fields): Posted) -> Response {
    let Ok(Path(id)) = id else { return nothing_of(f) };
    if let Some(answer) = kept_from(&*shared.backend, &f, &id).await {
        return answer;
    }
    let (to, reason) = (PersonName::from(fields.get("to")), clip(fields.get("text"), MOST_REASON));
    let order = HandOver { to, by: by(&f), reason };
    match shared.backend.hand_over(IncidentId::from(id.clone()), order).await {
        Ok(Some(_)) => go_to(&f, &path(&id)),
        Ok(None) => unknown(f),
        Err(error) => failed(f, &error),
    }
}

pub(super) async fn escalate<B: Backend>(State(shared): App<B>, id: Id, Posted(f, fields): Posted) -> Response {
    let Ok(Path(id)) = id else { return nothing_of(f) };
    if let Some(answer) = kept_from(&*shared.backend, &f, &id).await {
        return answer;
    }
    let order =
        Escalate { told: fields.get("told").parse().ok(), by: by(&f), reason: clip(fields.get("text"), MOST_REASON) };
    match shared.backend.escalate(IncidentId::from(id.clone()), order).await {
        Ok(Some(_)) => go_to(&f, &path(&id)),
        Ok(None) => unknown(f),
        Err(error) => failed(f, &error),
    }
}

pub(super) async fn follow<B: Backend>(State(shared): App<B>, id: Id, Posted(f, fields): Posted) -> Response {
    let Ok(Path(id)) = id else { return nothing_of(f) };
    if let Some(answer) = kept_from(&*shared.backend, &f, &id).await {
        return answer;
    }
    let Some(doing) = doing(&f, &fields) else {
        return said(f, StatusCode::UNPROCESSABLE_ENTITY, "minutes is a number from 0 to 1440".to_owned(), Vec::new());
    };
    match shared.backend.follow(IncidentId::from(id.clone()), doing, by(&f)).await {
        Ok(Some(())) => go_to(&f, &format!("{}#playbook", path(&id))),
        Ok(None) => unknown(f),
        Err(error) => failed(f, &error),
    }
}

/// What a form of the section says that somebody did.
fn doing(f: &Frame, fields: &Fields) -> Option<Doing> {
    Some(match fields.get("did") {
        "step" => Doing::Step { key: fields.get("step").to_owned(), done: fields.get("done") == "yes" },
        "role" => Doing::Role { role: fields.get("role").to_owned(), person: fields.get("person").to_owned() },
        "withdrawn" => Doing::Withdrawn,
        _ => {
            let ago = match fields.get("minutes") {
                "" => 0,
                minutes => minutes.parse().ok().filter(|minutes| *minutes <= MINUTES_AGO)?,
            };
            let id = Some(fields.get("statement").to_owned()).filter(|id| !id.is_empty());
            Doing::Statement { id, at: f.now - Duration::from_mins(ago) }
        }
    })
}

#[derive(Template)]
#[template(path = "playbooks.html")]
struct All {
    f: Frame,
    playbooks: Vec<Whole>,
    may_approve: bool,
}

struct Whole {
    name: String,
    title: String,
    statements: Vec<Said>,
    roles: String,
    within: Option<String>,
    parts: Vec<Block>,
}

pub(super) async fn all<B: Backend>(State(shared): App<B>, f: Frame) -> Response {
    let f = f.at("playbooks");
    let approvals = match shared.backend.approvals().await {
        Ok(approvals) => approvals,
        Err(error) => return failed(f, &error),
    };
    let whole = |playbook: &Arc<Playbook>| Whole {
        name: playbook.name.clone(),
        title: playbook.title.clone(),
        statements: playbook.statements.iter().map(|one| statement(&f, one, &approvals)).collect(),
        roles: playbook.roles.join(", "),
        within: playbook.first_statement_within.map(|within| f.w.statement_within.with([("span", &human(within))])),
        parts: playbook.blocks.iter().map(|block| part(&f, block, None)).collect(),
    };
    let playbooks = shared.backend.playbooks().iter().map(whole).collect();
    let may_approve = f.may(crate::domain::access::Role::Editor);
    Frame::show(StatusCode::OK, &All { f, playbooks, may_approve })
}

pub(super) async fn approve<B: Backend>(State(shared): App<B>, Posted(f, fields): Posted) -> Response {
    let field = |name| fields.get(name).to_owned();
    let order = Approve {
        playbook: field("playbook"),
        statement: field("statement"),
        hash: field("hash"),
        may: fields.get("may") == "yes",
        by: by(&f),
    };
    match shared.backend.approve(order).await {
        Ok(Some(())) => go_to(&f, "playbooks"),
        Ok(None) => {
            let (says, text) = (f.w.stale_form.to_string(), f.w.stale_form_text.to_string());
            said(f, StatusCode::CONFLICT, says, vec![text])
        }
        Err(error) => failed(f, &error),
    }
}

/// Whom an incident can be given to: people who are told, but for whoever has it.
pub(super) fn others(people: &People, incident: &Incident) -> Vec<String> {
    let owner = incident.acknowledged.as_ref().map(|by| by.by.as_str());
    let reached =
        people.persons.iter().filter(|(name, person)| !person.contact.is_empty() && owner != Some(name.as_str()));
    reached.map(|(name, _)| name.to_string()).collect()
}

/// What the section of an incident shows, if its playbook is known.
pub(super) async fn section<B: Backend>(
    backend: &B,
    f: &Frame,
    incident: &Incident,
) -> Result<Option<Section>, BackendError> {
    let Some(playbook) = backend.playbook(incident) else { return Ok(None) };
    let (followed, approvals) = (backend.followed(incident.id.clone()).await?, backend.approvals().await?);
    Ok(Some(Section::of(f, incident, &playbook, &followed, &approvals, &backend.people())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_asterisks_is_bold() {
        let shown = |text: &str| -> Vec<(String, bool)> {
            words_of(text).into_iter().map(|words| (words.text, words.strong)).collect()
        };
        let (plain, bold) = (|text: &str| (text.to_owned(), false), |text: &str| (text.to_owned(), true));
        assert_eq!(shown("**Call** the desk"), [bold("Call"), plain(" the desk")]);
        assert_eq!(shown("a ** b"), [plain("a "), bold(" b")], "one pair that never ends is harmless");
        assert_eq!(shown(""), []);
    }
}
