//! The report of an incident as a page, and as one file that needs nothing else: to print, to file, to send.

use std::sync::LazyLock;
use std::time::Duration;

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};
use url::form_urlencoded;

use super::assets;
use super::card::path;
use super::chart::{self, Bar, Labels};
use super::fields::Fields;
use super::frame::Frame;
use super::incident::{kept_from, unknown};
use super::playbook::said_by;
use super::{failed, nothing_of, said};
use crate::domain::harmless::{clean, clip};
use crate::domain::id::IncidentId;
use crate::domain::incident::{EXERCISE, Severity};
use crate::domain::query::field::host;
use crate::domain::time::{Timestamp, human};
use crate::web::api::App;
use crate::web::backend::{Backend, Growth, Moment};
use crate::web::incidents::{Wanted, write};
use crate::web::place::place_of;
use crate::web::report::{GrowthView, Report, Told};
use crate::web::view::TimelineView;

/// Characters of a post, of a sentence, of anything else a stranger chose.
const MOST_TEXT: usize = 2000;
const MOST_WHY: usize = 1000;
const MOST_NAME: usize = 200;

/// What a saved file may load: its own style.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = BASE64_STANDARD.encode(Sha256::digest(assets::text("console.css")));
    format!("default-src 'none'; style-src 'sha256-{style}'; form-action 'none'; base-uri 'none'")
});

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    f: Frame,
    path: String,
    with_posts: bool,
    /// Where the report goes on that does not hold all posts.
    more: Option<String>,
    r: Shown,
}

/// The same without anything around it.
#[derive(Template)]
#[template(path = "report-file.html")]
struct File {
    f: Frame,
    /// Also where nobody sends headers: the file is opened from a disk.
    policy: &'static str,
    style: &'static str,
    r: Shown,
}

/// All that the report shows, clean and in the reader's language.
struct Shown {
    title: String,
    exercise: bool,
    severity: String,
    severity_word: String,
    facts: Vec<(String, String)>,
    times: Vec<Time>,
    bars: String,
    growth: String,
    suppressed: Vec<Line>,
    people: Vec<Did>,
    playbook: Option<Followed>,
    alerts: Vec<Line>,
    timeline: Vec<Line>,
    receipts: Vec<Sent>,
    evidence: Vec<Post>,
    /// What there is to say where these are not all.
    evidence_cut: Option<String>,
    written: String,
}

struct Time {
    what: String,
    took: String,
    by: String,
}

/// A line of any list: when, what, and in words.
struct Line {
    at: String,
    when: String,
    what: String,
    text: String,
}

struct Did {
    who: String,
    did: Vec<Line>,
}

struct Followed {
    title: String,
    first: String,
    roles: Vec<(String, String)>,
    steps: Vec<(String, String)>,
}

struct Sent {
    to: String,
    what: String,
    became: String,
}

struct Post {
    when: String,
    id: String,
    from: String,
    hash: String,
    text: Option<String>,
    gone: bool,
}

pub(super) async fn show<B: Backend>(
    State(shared): App<B>,
    f: Frame,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Response {
    let f = f.at("incidents");
    let Ok(Path(id)) = id else { return nothing_of(f) };
    if let Some(answer) = kept_from(&*shared.backend, &f, &id).await {
        return answer;
    }
    let asked = Fields::read(query.unwrap_or_default().as_bytes());
    let with_posts = asked.get("posts") != "no";
    let (incident, console) = (IncidentId::from(id.clone()), shared.console.as_ref());
    let wanted = Wanted { with_posts, after: place_of(asked.get("after")) };
    let written = write(&*shared.backend, incident, f.sight(), wanted, console).await;
    let report = match written {
        Ok(Some(report)) => report,
        Ok(None) => return unknown(f),
        Err(error) => return failed(f, &error),
    };
    if asked.get("file") == "yes" {
        let name: String = id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(60).collect();
        let saved = HeaderValue::from_str(&format!("attachment; filename=\"report-{name}.html\""));
        let mut answer = file(f, &report);
        if let Ok(saved) = saved {
            answer.headers_mut().insert(header::CONTENT_DISPOSITION, saved);
        }
        return answer;
    }
    match shown(&f, &report) {
        Ok(r) => {
            let more = report.evidence_next.as_ref().map(|next| more(&f, &id, with_posts, next));
            Frame::show(StatusCode::OK, &Page { path: format!("{}/report", path(&id)), with_posts, more, r, f })
        }
        Err(error) => unreadable(f, &error),
    }
}

/// The report as one file.
pub(in crate::web) fn file(f: Frame, report: &Report) -> Response {
    let r = match shown(&f, report) {
        Ok(r) => r,
        Err(error) => return unreadable(f, &error),
    };
    let style = assets::text("console.css");
    match (File { f, policy: &POLICY, style, r }).render() {
        Ok(html) => {
            let policy = HeaderValue::from_str(&POLICY).unwrap_or(HeaderValue::from_static("default-src 'none'"));
            ([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response()
        }
        // Writing to a string fails only when a value cannot be written.
        Err(error) => {
            (StatusCode::INTERNAL_SERVER_ERROR, format!("the report cannot be shown: {error}\n")).into_response()
        }
    }
}

fn unreadable(f: Frame, error: &serde_json::Error) -> Response {
    said(f, StatusCode::INTERNAL_SERVER_ERROR, format!("the report cannot be shown: {error}"), Vec::new())
}

fn shown(f: &Frame, report: &Report) -> serde_json::Result<Shown> {
    let told = report.told()?;
    let times = times(f, report, &told);
    let bars = times.iter().map(|(_, bar)| bar.clone()).collect::<Vec<_>>();
    let severity = Severity::parse(&told.severity);
    let title = told.title.strip_prefix(EXERCISE).filter(|_| told.exercise).unwrap_or(&told.title);
    Ok(Shown {
        title: stranger(title, MOST_NAME),
        exercise: told.exercise,
        severity: told.severity.clone(),
        severity_word: severity.map(|one| f.severity(one).to_string()).unwrap_or_default(),
        facts: facts(f, report, &told),
        bars: chart::bars(&f.w.response_times.to_string(), &bars),
        times: times.into_iter().map(|(time, _)| time).collect(),
        growth: report.growth.as_ref().map(|growth| picture(f, growth, &told)).unwrap_or_default(),
        suppressed: suppressed(f, report, &told),
        people: report.people.iter().map(|did| person(f, &did.who, &did.did)).collect(),
        playbook: report.playbook.as_ref().map(|_| followed(f, report)),
        alerts: told.alerts.iter().map(|one| line(f, &one.at, &one.rule, &one.why)).collect(),
        timeline: told.timeline.iter().map(|one| entry(f, one)).collect(),
        receipts: receipts(f, report),
        evidence: evidence(f, report),
        evidence_cut: report.evidence_next.as_ref().map(|_| cut(f, report)),
        written: full(f, &report.written_at),
    })
}

fn stranger(text: &str, most: usize) -> String {
    clip(&clean(text), most)
}

/// With the day and the zone: who files it must not ask which night it was.
fn full(f: &Frame, at: &str) -> String {
    Timestamp::parse(at).map_or_else(|_| stranger(at, MOST_NAME), |at| f.full(at))
}

fn line(f: &Frame, at: &str, what: &str, text: &str) -> Line {
    Line { at: at.to_owned(), when: full(f, at), what: stranger(what, MOST_NAME), text: stranger(text, MOST_WHY) }
}

fn entry(f: &Frame, entry: &TimelineView) -> Line {
    let text = if entry.text.is_empty() { entry.by.clone() } else { format!("{}: {}", entry.by, entry.text) };
    line(f, &entry.at, &entry.what, &text)
}

fn person(f: &Frame, who: &str, did: &[TimelineView]) -> Did {
    Did { who: stranger(who, MOST_NAME), did: did.iter().map(|one| line(f, &one.at, &one.what, &one.text)).collect() }
}

fn facts(f: &Frame, report: &Report, told: &Told) -> Vec<(String, String)> {
    let w = f.w;
    let topics: Vec<&str> = std::iter::once(&told.topic).chain(&told.also).map(String::as_str).collect();
    let mut facts = vec![
        (
            w.incident.to_string(),
            format!("{} · {}", stranger(&told.id, MOST_NAME), stranger(&report.organization, MOST_NAME)),
        ),
        (w.topic.to_string(), stranger(&topics.join(", "), MOST_NAME)),
        (w.state.to_string(), state(f, told)),
        (w.opened.to_string(), full(f, &told.opened_at)),
        (w.seen.to_string(), numbers(f, told)),
        (w.why_it_fired.to_string(), stranger(&told.why, MOST_WHY)),
        (w.rules.to_string(), stranger(&told.rules.join(", "), MOST_WHY)),
    ];
    let more = [
        (&w.began_again, told.reopened_at.as_deref().map(|at| full(f, at))),
        (&w.merged_into_short, told.merged_into.clone()),
        (&w.merged_from_short, Some(told.merged.join(", ")).filter(|merged| !merged.is_empty())),
        (&w.playbooks, told.playbook.clone().filter(|_| report.playbook.is_none())),
    ];
    facts.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_string(), stranger(&value?, MOST_NAME)))));
    if told.late {
        facts.push((w.late.to_string(), "✓".to_owned()));
    }
    facts
}

/// How many, and since when.
fn numbers(f: &Frame, told: &Told) -> String {
    let w = f.w;
    let authors = f.counted(told.authors, &w.one_author, &w.many_authors);
    let posts = f.counted(told.posts, &w.one_post, &w.many_posts);
    format!("{authors} · {posts} · {}", full(f, &told.first_post_at))
}

fn state(f: &Frame, told: &Told) -> String {
    let w = f.w;
    let by = |signed: &crate::web::report::Signed| stranger(&signed.by, MOST_NAME);
    match (told.state.as_str(), &told.resolved, &told.acknowledged) {
        ("resolved", Some(signed), _) => format!("{} ({})", w.resolved, by(signed)),
        ("acknowledged", _, Some(signed)) => format!("{} ({})", w.acknowledged, by(signed)),
        _ => w.open.to_string(),
    }
}

/// How long each step took, as a line and as a bar.
fn times(f: &Frame, report: &Report, told: &Told) -> Vec<(Time, Bar)> {
    let (w, spans) = (f.w, &report.seconds);
    let by = |what: &str| told.first(what).map(|entry| stranger(&entry.by, MOST_NAME)).unwrap_or_default();
    let first = report.receipts.iter().filter(|one| one.is_taken()).min_by(|a, b| {
        let after = |one: &crate::web::receipts::Receipt| one.after_seconds.unwrap_or(f64::INFINITY);
        after(a).total_cmp(&after(b))
    });
    let statement = report.playbook.as_ref().and_then(|playbook| playbook.first_statement.as_ref());
    let statement = statement.and_then(|said| said.by.as_deref());
    let all = [
        (&w.time_detect, spans.first_post_to_opened, String::new()),
        (
            &w.time_page,
            spans.opened_to_first_receipt,
            first.map(|one| stranger(&one.whom(), MOST_NAME)).unwrap_or_default(),
        ),
        (&w.time_acknowledge, spans.opened_to_acknowledged, by("acknowledged")),
        (
            &w.time_statement,
            spans.opened_to_first_statement,
            statement.map(|by| stranger(by, MOST_NAME)).unwrap_or_default(),
        ),
        (&w.time_resolve, spans.opened_to_resolved, by("resolved")),
    ];
    let row = |(what, seconds, by): (&super::words::Phrase, Option<f64>, String)| {
        let took = seconds.map_or_else(|| f.w.not_yet.to_string(), took);
        let bar = Bar { what: what.to_string(), seconds, took: took.clone() };
        (Time { what: what.to_string(), took, by }, bar)
    };
    all.into_iter().map(row).collect()
}

/// Below a minute with a tenth: pages are measured in seconds.
fn took(seconds: f64) -> String {
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        human(Duration::try_from_secs_f64(seconds.round()).unwrap_or_default())
    }
}

fn picture(f: &Frame, growth: &GrowthView, told: &Told) -> String {
    let w = f.w;
    let moments = growth.posts.iter().zip(&growth.authors);
    let moments = moments.map(|(posts, authors)| Moment { posts: *posts, authors: *authors }).collect();
    let from = Timestamp::parse(&growth.from).unwrap_or_default();
    let every = Duration::from_secs(growth.every_seconds);
    let growth = Growth { from, every, moments };
    let to = from + every.saturating_mul(u32::try_from(growth.moments.len()).unwrap_or(u32::MAX));
    let most = growth.moments.iter().map(|moment| moment.posts).max().unwrap_or(0);
    let clock = |at| f.zone.shows(at, "%Y-%m-%d %H:%M %:z");
    let says = w.chart_text.with([
        ("posts", &f.number(told.posts)),
        ("authors", &f.number(told.authors)),
        ("from", &clock(from)),
        ("to", &clock(to)),
        ("most", &f.number(most)),
        ("every", &human(every)),
    ]);
    let labels = [&w.chart_posts, &w.chart_authors, &w.chart_expected].map(ToString::to_string);
    let [posts, authors, expected] = &labels;
    chart::draw(&growth, None, &Labels { says: &says, posts, authors, expected }, clock)
}

fn suppressed(f: &Frame, report: &Report, told: &Told) -> Vec<Line> {
    let w = f.w;
    let line = |one: &crate::web::report::Suppressed| match (&one.at, one.what.as_str()) {
        (Some(at), "muted") => line(f, at, &w.muted.to_string(), &one.why),
        (Some(at), _) => line(f, at, &w.held.to_string(), &one.why),
        (None, _) => {
            let numbers = [told.alerts.len() as u64, told.posts, report.receipts.len() as u64].map(|n| f.number(n));
            let [alerts, posts, messages] = &numbers;
            let text = w.grouped_text.with([("alerts", alerts), ("posts", posts), ("messages", messages)]);
            Line { at: String::new(), when: String::new(), what: w.grouped.to_string(), text }
        }
    };
    report.suppressed.iter().map(line).collect()
}

fn followed(f: &Frame, report: &Report) -> Followed {
    let w = f.w;
    let Some(playbook) = &report.playbook else {
        return Followed { title: String::new(), first: String::new(), roles: Vec::new(), steps: Vec::new() };
    };
    let marked = |by: Option<&String>, at: Option<&String>| {
        let (who, time) = (by.map(|by| stranger(by, MOST_NAME)), at.map(|at| full(f, at)));
        who.zip(time).map(|(who, time)| w.marked_by.with([("who", &who), ("time", &time)]))
    };
    let first = playbook.first_statement.as_ref();
    let first = first
        .and_then(|said| Some(format!("{}: {}", said_by(f, &said.what), marked(said.by.as_ref(), said.at.as_ref())?)));
    let role = |one: &crate::web::report::MarkView| {
        let person =
            one.person.as_deref().map_or_else(|| w.nobody_named.to_string(), |person| stranger(person, MOST_NAME));
        (one.what.clone(), person)
    };
    let step = |one: &crate::web::report::MarkView| {
        (one.what.clone(), marked(one.by.as_ref(), one.at.as_ref()).unwrap_or_else(|| "–".to_owned()))
    };
    Followed {
        title: w.playbook.with([("file", &playbook.title)]),
        first: first.unwrap_or_else(|| w.statement_none.to_string()),
        roles: playbook.roles.iter().map(role).collect(),
        steps: playbook.steps.iter().map(step).collect(),
    }
}

fn receipts(f: &Frame, report: &Report) -> Vec<Sent> {
    let w = f.w;
    let sent = |one: &crate::web::receipts::Receipt| Sent {
        to: stranger(&one.whom(), MOST_NAME),
        what: one.what().to_owned(),
        became: match (one.state.as_str(), &one.at) {
            ("delivered", Some(at)) => w.delivered.with([("time", &full(f, at))]),
            ("parked", _) => w.parked.with([("reason", &stranger(one.error.as_deref().unwrap_or("?"), MOST_WHY))]),
            _ => w.pending.to_string(),
        },
    };
    report.receipts.iter().map(sent).collect()
}

/// Which posts these are, and that there are others.
fn cut(f: &Frame, report: &Report) -> String {
    let last = report.evidence.last().map_or_else(String::new, |one| full(f, &one.at));
    f.w.evidence_cut.with([("posts", &report.evidence.len().to_string()), ("time", &last)])
}

/// Where the others are.
fn more(f: &Frame, id: &str, with_posts: bool, next: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("after", next);
    if !with_posts {
        query.append_pair("posts", "no");
    }
    format!("{}?{}#evidence-h", f.url(&format!("{}/report", path(id))), query.finish())
}

fn evidence(f: &Frame, report: &Report) -> Vec<Post> {
    let post = |one: &crate::web::report::EvidenceView| {
        let from = [one.source.as_deref(), one.url.as_deref().and_then(host), one.author.as_deref()];
        let from: Vec<String> = from.into_iter().flatten().map(|text| stranger(text, MOST_NAME)).collect();
        Post {
            when: full(f, &one.at),
            id: stranger(&one.id, MOST_WHY),
            from: from.join(" · "),
            hash: one.sha256.clone(),
            text: one.text.as_deref().map(|text| stranger(text, MOST_TEXT)),
            gone: one.erased,
        }
    };
    report.evidence.iter().map(post).collect()
}
