//! What whoever takes a shift over needs to know, on one page that prints, and what whoever leaves writes for them.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::card::path;
use super::fields::{Fields, Posted};
use super::frame::Frame;
use super::incident::by;
use super::now::percent;
use super::{failed, go_to};
use crate::domain::harmless::{clean, clip};
use crate::domain::incident::Severity;
use crate::domain::oncall::WallTime;
use crate::domain::time::Timestamp;
use crate::web::api::App;
use crate::web::backend::{Backend, BackendError};
use crate::web::handover::{self, EventView, Failed, NextView, OnCallView, OpenView, is_span, usual};
use crate::web::view::SourceView;

/// Characters of a title or a name, and of a note.
const MOST_NAME: usize = 200;
const MOST_TEXT: usize = 4000;
/// What a browser's field for a time holds.
const FIELD: &str = "%Y-%m-%dT%H:%M";

#[derive(Template)]
#[template(path = "handover.html")]
struct Page {
    f: Frame,
    problem: Option<String>,
    span: String,
    from: String,
    to: String,
    zone: String,
    open: Vec<Open>,
    happened: Vec<Happened>,
    watch: Vec<Watch>,
    on_call: Vec<String>,
    notes: Vec<Note>,
}

struct Open {
    path: String,
    severity: &'static str,
    severity_word: String,
    title: String,
    opened: String,
    owner: String,
    next: String,
    steps: String,
}

/// A group of incidents.
struct Happened {
    id: &'static str,
    name: String,
    rows: Vec<Event>,
}

struct Event {
    path: String,
    severity: &'static str,
    severity_word: String,
    title: String,
    when: String,
    by: String,
    noise: bool,
}

/// Something to keep an eye on.
struct Watch {
    id: &'static str,
    name: String,
    lines: Vec<String>,
}

struct Note {
    at: String,
    when: String,
    by: String,
    text: String,
}

pub(super) async fn show<B: Backend>(State(shared): App<B>, f: Frame, RawQuery(query): RawQuery) -> Response {
    let f = f.at("handover");
    let asked = Fields::read(query.unwrap_or_default().as_bytes());
    page(&*shared.backend, f, asked.get("from"), asked.get("to"), None).await
}

pub(super) async fn note<B: Backend>(State(shared): App<B>, Posted(f, fields): Posted) -> Response {
    let text = clip(fields.get("text"), MOST_TEXT);
    if text.is_empty() {
        return go_to(&f, "handover");
    }
    match shared.backend.note_shift(by(&f), text).await {
        Ok(()) => go_to(&f, "handover#notes"),
        Err(error) => failed(f, &error),
    }
}

async fn page<B: Backend>(backend: &B, f: Frame, from: &str, to: &str, problem: Option<String>) -> Response {
    let (usual_from, now) = usual(&backend.people(), f.now);
    let time = |text: &str, otherwise| if text.is_empty() { Some(otherwise) } else { read(&f, text) };
    let (from, to, problem) = match (time(from, usual_from), time(to, now)) {
        (Some(from), Some(to)) if is_span(from, to) => (from, to, problem),
        _ => (usual_from, now, Some(f.w.span_wrong.to_string())),
    };
    match look(backend, &f, from, to).await {
        Ok(page) => {
            let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
            Frame::show(status, &Page { problem, ..page(f) })
        }
        Err(error) => failed(f, &error),
    }
}

/// A time as the field of a browser writes it, by the organisation's clocks; or with a zone of its own.
fn read(f: &Frame, text: &str) -> Option<Timestamp> {
    WallTime::read(text).map(|wall| f.zone.first(wall)).or_else(|| Timestamp::parse(text).ok())
}

async fn look<B: Backend>(
    backend: &B,
    f: &Frame,
    from: Timestamp,
    to: Timestamp,
) -> Result<impl FnOnce(Frame) -> Page + use<B>, BackendError> {
    let facts = handover::look(backend, f.sight(), from, to).await?;
    let known = handover::of(facts);
    let w = f.w;
    let group = |id, name: &super::words::Phrase, rows: &[EventView]| Happened {
        id,
        name: name.to_string(),
        rows: rows.iter().map(|one| event(f, one)).collect(),
    };
    let happened = vec![
        group("opened", &w.began, &known.opened),
        group("resolved", &w.ended, &known.resolved),
        group("drills", &w.drills, &known.drills),
    ];
    let next_drills =
        known.next_drills.iter().map(|one| w.drill_next.with([("scenario", &one.scenario), ("at", &time(f, &one.at))]));
    let silences = known.silences.iter().map(|one| {
        let (who, why) = (stranger(&one.by, MOST_NAME), stranger(&one.reason, MOST_TEXT));
        w.silence_ends.with([("what", &one.matchers), ("until", &time(f, &one.until)), ("who", &who), ("why", &why)])
    });
    let watch = |id, name: &super::words::Phrase, lines: Vec<String>| Watch { id, name: name.to_string(), lines };
    let watch = vec![
        watch("sources", &w.not_seen, known.sources.iter().flat_map(|one| source(f, one)).collect()),
        watch("failed", &w.failed_messages, known.failed.iter().map(|one| failed_line(f, one)).collect()),
        watch("silences", &w.silences_end, silences.collect()),
        watch("next-drills", &w.drills_next, next_drills.collect()),
    ];
    let open = known.open.iter().map(|one| open(f, one)).collect();
    let on_call = known.on_call.iter().map(|one| on_call(f, one)).collect();
    let note = |note: &handover::Note| Note {
        at: note.at.clone(),
        when: time(f, &note.at),
        by: stranger(&note.by, MOST_NAME),
        text: stranger(&note.text, MOST_TEXT),
    };
    let notes = known.notes.iter().map(note).collect();
    let span = w.span_text.with([("from", &f.full(from)), ("to", &f.full(to))]);
    let field = |at| f.zone.shows(at, FIELD);
    let (from, to, zone) = (field(from), field(to), f.zone.name().to_owned());
    let problem = None;
    Ok(move |f| Page { f, problem, span, from, to, zone, open, happened, watch, on_call, notes })
}

fn stranger(text: &str, most: usize) -> String {
    clip(&clean(text), most)
}

fn time(f: &Frame, at: &str) -> String {
    Timestamp::parse(at).map_or_else(|_| at.to_owned(), |at| f.zone.shows(at, "%Y-%m-%d %H:%M %:z"))
}

fn word(f: &Frame, severity: &str) -> String {
    Severity::parse(severity).map(|severity| f.severity(severity).to_string()).unwrap_or_default()
}

fn open(f: &Frame, one: &OpenView) -> Open {
    let w = f.w;
    let owner = one.owner.as_deref().map_or_else(|| w.nobody.to_string(), |owner| stranger(owner, MOST_NAME));
    let NextView { what, at } = &one.next;
    let at = at.as_deref().map(|at| time(f, at)).unwrap_or_default();
    let next = match *what {
        "step" => w.next_step.with([("time", &at)]),
        "statement" => w.next_statement.with([("time", &at)]),
        "muted" => w.muted.to_string(),
        "nobody" => w.next_nobody.to_string(),
        _ => w.next_owner.to_string(),
    };
    let numbers = [one.steps_done, one.steps].map(|n| f.number(n as u64));
    let [done, all] = &numbers;
    Open {
        path: path(&one.id),
        severity: one.severity,
        severity_word: word(f, one.severity),
        title: stranger(&one.title, MOST_NAME),
        opened: time(f, &one.opened_at),
        owner,
        next,
        steps: if one.steps == 0 { String::new() } else { w.steps_done.with([("done", done), ("all", all)]) },
    }
}

fn event(f: &Frame, one: &EventView) -> Event {
    Event {
        path: path(&one.id),
        severity: one.severity,
        severity_word: word(f, one.severity),
        title: stranger(&one.title, MOST_NAME),
        when: time(f, &one.at),
        by: one.by.as_deref().map(|by| stranger(by, MOST_NAME)).unwrap_or_default(),
        noise: one.noise,
    }
}

/// That it is not seen, and each of its gaps.
fn source(f: &Frame, source: &SourceView) -> Vec<String> {
    let w = f.w;
    let reason = source.reason.as_deref().unwrap_or("?");
    let now = if source.up {
        format!("{}: {}", source.name, w.coverage_text.with([("coverage", &percent(source.coverage))]))
    } else {
        w.source_down.with([("source", &source.name), ("reason", reason)])
    };
    let gap = |gap: &crate::web::view::GapView| {
        let to = gap.to.as_deref().map_or_else(|| w.until_now.to_string(), |to| time(f, to));
        let text = if gap.recovered { &w.gap_recovered } else { &w.gap };
        let text = text.with([("from", &time(f, &gap.from)), ("to", &to), ("reason", &gap.reason)]);
        format!("{}: {text}", source.name)
    };
    std::iter::once(now).chain(source.gaps.iter().map(gap)).collect()
}

fn failed_line(f: &Frame, one: &Failed) -> String {
    let to = match &one.person {
        Some(person) => format!("{person} ({})", one.receiver),
        None => one.receiver.clone(),
    };
    let error = stranger(one.error.as_deref().unwrap_or("?"), MOST_NAME);
    let what = one.kind.strip_prefix("incident.").unwrap_or(&one.kind);
    format!(
        "{} · {} · {what} · {}: {error}",
        time(f, &one.at),
        stranger(&to, MOST_NAME),
        stranger(&one.incident, MOST_NAME)
    )
}

fn on_call(f: &Frame, one: &OnCallView) -> String {
    let w = f.w;
    let who = |person: &Option<String>| person.clone().unwrap_or_else(|| "–".to_owned());
    // Where it never changes, nobody is next.
    let Some(until) = &one.until else { return format!("{}: {}", one.schedule, who(&one.now)) };
    let text = w.on_call_then.with([("now", &who(&one.now)), ("until", &time(f, until)), ("next", &who(&one.next))]);
    format!("{}: {text}", one.schedule)
}
