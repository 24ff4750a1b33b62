//! Pages that list: incidents, sources and receivers, rules, who is on call.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::calendar::{Strip, last_of, strips};
use super::card::Card;
use super::failed;
use super::fields::Fields;
use super::frame::{Entry, Frame};
use super::now::percent;
use super::rule;
use crate::domain::incident::{IncidentState, Severity};
use crate::domain::time::{Timestamp, human};
use crate::web::api::{App, incidents_of};
use crate::web::backend::{Backend, BackendError};
use crate::web::place::place_of;
use crate::web::view::{GapView, RuleView, SourceView};
use crate::wire::oncall::{Question, ScheduleJson, ShiftJson, answer};

/// What a source's server refuses, as far as it is shown; the API has all.
const UNWATCHED: usize = 20;
/// Gaps shown of a source, drills shown.
const GAPS: usize = 50;
const DRILLS: usize = 20;
/// Days of shifts.
const DAYS: u16 = 14;

#[derive(Template)]
#[template(path = "incidents.html")]
struct Incidents {
    f: Frame,
    filters: Vec<Entry>,
    rows: Vec<Card>,
    /// Where older ones are.
    older: Option<String>,
}

pub(super) async fn incidents<B: Backend>(State(shared): App<B>, f: Frame, RawQuery(query): RawQuery) -> Response {
    let f = f.at("incidents");
    let asked = Fields::read(query.unwrap_or_default().as_bytes());
    let state = IncidentState::parse(asked.get("state"));
    match incidents_of(&*shared.backend, state, place_of(asked.get("before"))).await {
        Ok((incidents, older)) => {
            let rows = incidents.iter().map(|incident| Card::of(&f, incident)).collect();
            let w = f.w;
            let filters = [
                (None, &w.all),
                (Some(IncidentState::Open), &w.open),
                (Some(IncidentState::Acknowledged), &w.acknowledged),
                (Some(IncidentState::Resolved), &w.resolved),
            ];
            let filters = filters.map(|(which, name)| Entry {
                path: which.map_or("incidents".to_owned(), |which| format!("incidents?state={}", which.as_str())),
                name: name.to_string(),
                here: which == state,
            });
            Frame::show(StatusCode::OK, &Incidents { f, filters: filters.into(), rows, older })
        }
        Err(error) => failed(f, &error),
    }
}

#[derive(Template)]
#[template(path = "sources.html")]
struct Sources {
    f: Frame,
    rows: Vec<Source>,
    strips: Vec<Strip>,
    receivers: Vec<Receiver>,
}

struct Source {
    name: String,
    up: bool,
    state: String,
    sees: String,
    read: String,
    unwatched: Vec<String>,
    gaps_title: String,
    gaps: Vec<String>,
}

struct Receiver {
    name: String,
    waiting: u64,
    given_up: u64,
    /// When a drill last reached it.
    tested: String,
    /// When anything else did.
    told: String,
}

pub(super) async fn sources<B: Backend>(State(shared): App<B>, f: Frame) -> Response {
    let f = f.at("sources");
    let backend = &*shared.backend;
    let known = async { Ok((backend.status().await?, strips(backend, &f).await?, backend.last_messages().await?)) };
    match known.await {
        Ok((status, strips, last)) => {
            let rows = status.sources.iter().map(|one| source(&f, one)).collect();
            let receivers = status.receivers.iter().map(|one| Receiver {
                name: one.name.clone(),
                waiting: one.pending + one.leased,
                given_up: one.parked,
                tested: last_of(&f, &last, &one.name, true),
                told: last_of(&f, &last, &one.name, false),
            });
            let receivers = receivers.collect();
            Frame::show(StatusCode::OK, &Sources { f, rows, strips, receivers })
        }
        Err(error) => failed(f, &error),
    }
}

fn source(f: &Frame, source: &SourceView) -> Source {
    let w = f.w;
    let coverage = percent(source.coverage);
    let reason = source.reason.as_deref().unwrap_or("?");
    let sees = if source.up {
        let lag = source.lag_seconds.map_or_else(|| "?".to_owned(), |lag| human(seconds(lag)));
        w.sees_host.with([("coverage", &coverage), ("host", source.host.as_deref().unwrap_or("?")), ("lag", &lag)])
    } else {
        w.sees_nothing.with([("coverage", &coverage), ("reason", reason)])
    };
    let ledger = &source.ledger;
    let n = |number| f.number(number);
    let read = w.source_read.with([
        ("frames", &n(ledger.frames)),
        ("posts", &n(ledger.posts)),
        ("rejected", &n(ledger.rejected.values().sum())),
        ("dropped", &n(ledger.dropped)),
        ("duplicates", &n(ledger.duplicates)),
    ]);
    Source {
        name: source.name.clone(),
        up: source.up,
        state: if source.up { &w.up } else { &w.down }.to_string(),
        sees,
        read,
        unwatched: source.unwatched.iter().take(UNWATCHED).map(|what| w.unwatched.with([("what", what)])).collect(),
        gaps_title: w.gaps.with([("n", &n(source.gaps.len() as u64))]),
        gaps: source.gaps.iter().rev().take(GAPS).map(|one| gap(f, one)).collect(),
    }
}

fn gap(f: &Frame, gap: &GapView) -> String {
    let time = |at: &str| Timestamp::parse(at).map_or_else(|_| at.to_owned(), |at| f.time(at));
    let to = gap.to.as_deref().map_or_else(|| f.w.until_now.to_string(), time);
    let text = if gap.recovered { &f.w.gap_recovered } else { &f.w.gap };
    text.with([("from", &time(&gap.from)), ("to", &to), ("reason", &gap.reason)])
}

fn seconds(lag: f64) -> std::time::Duration {
    std::time::Duration::try_from_secs_f64(lag.max(0.0)).unwrap_or_default()
}

#[derive(Template)]
#[template(path = "rules.html")]
struct Rules {
    f: Frame,
    groups: Vec<Group>,
}

struct Group {
    pack: String,
    rules: Vec<Rule>,
}

struct Rule {
    /// Below the root.
    path: String,
    id: String,
    title: String,
    severity: String,
    severity_word: String,
    topic: String,
    query: String,
    joins: Vec<String>,
}

pub(super) async fn rules<B: Backend>(State(shared): App<B>, f: Frame) -> Response {
    let f = f.at("rules");
    match shared.backend.rules().await {
        Ok(rules) => {
            let mut packs: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
            for RuleView { id, title, severity, topic, pack, query, joins } in rules {
                let word = Severity::parse(&severity).map(|severity| f.severity(severity).to_string());
                let severity_word = word.unwrap_or_default();
                packs.entry(pack).or_default().push(Rule {
                    path: rule::path(&id),
                    id,
                    title,
                    severity,
                    severity_word,
                    topic,
                    query,
                    joins,
                });
            }
            let groups = packs.into_iter().map(|(pack, rules)| Group { pack, rules }).collect();
            Frame::show(StatusCode::OK, &Rules { f, groups })
        }
        Err(error) => failed(f, &error),
    }
}

#[derive(Template)]
#[template(path = "people.html")]
struct People {
    f: Frame,
    schedules: Vec<Schedule>,
    drills: Vec<Card>,
    next: Vec<String>,
}

struct Schedule {
    name: String,
    now: String,
    shifts: Vec<String>,
}

pub(super) async fn people<B: Backend>(State(shared): App<B>, f: Frame) -> Response {
    let f = f.at("people");
    match drills(&*shared.backend, &f).await {
        Ok((drills, next)) => {
            let people = shared.backend.people();
            let question = Question { name: None, at: f.now.whole_second(), days: Some(DAYS) };
            let schedules = answer(&people, &question).unwrap_or_default();
            let schedules = schedules.iter().map(|one| schedule(&f, one)).collect();
            Frame::show(StatusCode::OK, &People { f, schedules, drills, next })
        }
        Err(error) => failed(f, &error),
    }
}

async fn drills<B: Backend>(backend: &B, f: &Frame) -> Result<(Vec<Card>, Vec<String>), BackendError> {
    let held = backend.exercises(Timestamp::from_micros(i64::MIN)).await?;
    let next = backend.next_drills();
    let next = next.iter().map(|(scenario, at)| f.w.drill_next.with([("scenario", scenario), ("at", &f.time(*at))]));
    Ok((held.iter().take(DRILLS).map(|one| Card::of(f, one)).collect(), next.collect()))
}

fn schedule(f: &Frame, schedule: &ScheduleJson<'_>) -> Schedule {
    let w = f.w;
    // Shifts are told by the clocks that hand over.
    let clock = |at: Timestamp| schedule.of.zone.shows(at, "%a %Y-%m-%d %H:%M");
    let until = |shift: &ShiftJson<'_>| match &shift.until {
        Some(_) => clock(shift.shift.to),
        None => "…".to_owned(),
    };
    let who = |shift: &ShiftJson<'_>| shift.person.unwrap_or("–").to_owned();
    let now = match &schedule.now {
        Some(shift) => w.is_on_call.with([("who", &who(shift)), ("until", &until(shift))]),
        None => w.nobody_on_call.to_string(),
    };
    let shifts =
        schedule.shifts.iter().flatten().map(|shift| {
            w.shift.with([("from", &clock(shift.shift.from)), ("to", &until(shift)), ("who", &who(shift))])
        });
    Schedule { name: format!("{} ({})", schedule.schedule, schedule.timezone), now, shifts: shifts.collect() }
}
