//! One incident: what is said, how it grew, why it fired, who was told, and what people can do about it.

use std::ops::Range;
use std::time::Duration;

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use url::form_urlencoded;

use super::card::{Card, path};
use super::chart::Usual;
use super::fields::Posted;
use super::frame::Frame;
use super::playbook::{self, Block, Section};
use super::{failed, go_to, judge, nothing_of, said};
use crate::domain::harmless::{clean, clip};
use crate::domain::id::IncidentId;
use crate::domain::incident::{Incident, IncidentState};
use crate::domain::lane::Sight;
use crate::domain::post::{Post, PostKind};
use crate::domain::query::field::host;
use crate::domain::time::Timestamp;
use crate::web::api::{App, words};
use crate::web::backend::{Action, ActionKind, Backend, BackendError, IncidentDetail, Merge, Story};
use crate::web::view::{AlertView, DeliveryView, TimelineView};

/// Pictures and stories are left out when they take longer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Characters of a post, of a picture's description, of anything else a stranger chose.
const MOST_TEXT: usize = 5000;
const MOST_MEDIA: usize = 500;
const MOST_NAME: usize = 100;
/// Stories shown at once, and incidents to merge with.
const STORIES: usize = 5;
const OTHERS: usize = 100;

#[derive(Template)]
#[template(path = "incident.html")]
struct Page {
    f: Frame,
    card: Card,
    alive: bool,
    notes: Vec<String>,
    /// What somebody made of it.
    judged: Option<String>,
    /// What would silence it, as part of an address.
    silence: String,
    others: Vec<Other>,
    /// To whom it can be handed over, while somebody has it.
    people: Vec<String>,
    /// How many steps of its routes were told; none when it has no route.
    told: usize,
    playbook: Option<Section>,
    /// What most say; and the rest, and how many that are.
    stories: Vec<Told>,
    more_stories: Vec<Told>,
    more: String,
    posts: Vec<Said>,
    alerts: Vec<Fired>,
    timeline: Vec<Line>,
    messages: Vec<Sent>,
}

struct Other {
    id: String,
    title: String,
}

struct Told {
    numbers: String,
    post: Option<String>,
}

/// A post as pages show it.
pub(super) struct Said {
    pub(super) author: String,
    pub(super) about: String,
    pub(super) lang: Option<String>,
    pub(super) parts: Vec<Part>,
    pub(super) media: Vec<String>,
    pub(super) at: String,
    pub(super) when: String,
    pub(super) host: Option<String>,
    pub(super) thread: Option<String>,
}

/// A part of its text.
pub(super) struct Part {
    pub(super) text: String,
    pub(super) marked: bool,
}

struct Fired {
    at: String,
    when: String,
    rule: String,
    why: String,
}

struct Line {
    at: String,
    when: String,
    what: String,
    by: String,
    text: String,
}

struct Sent {
    at: String,
    when: String,
    to: String,
    kind: String,
    state: String,
}

type Id = Result<Path<String>, PathRejection>;

pub(super) async fn show<B: Backend>(State(shared): App<B>, f: Frame, id: Id) -> Response {
    let f = f.at("incidents");
    let Ok(Path(id)) = id else { return nothing_of(f) };
    let detail = match shared.backend.incident(IncidentId::from(id), f.sight()).await {
        Ok(Some(detail)) if f.may_see(&detail.incident) => detail,
        Ok(Some(detail)) => return veiled(f, &detail.incident),
        Ok(None) => return unknown(f),
        Err(error) => return failed(f, &error),
    };
    match page(&*shared.backend, &f, detail).await {
        Ok(page) => Frame::show(StatusCode::OK, &page(f)),
        Err(error) => failed(f, &error),
    }
}

/// All that is told of an incident to those who may not read it.
pub(super) fn veiled(f: Frame, incident: &Incident) -> Response {
    let Card { title, severity_word, owner, opened, exercise, .. } = Card::of(&f, incident);
    let mark = if exercise { format!("{} · ", f.w.exercise) } else { String::new() };
    let stands = format!("{mark}{severity_word} · {opened} · {owner}");
    let text = f.w.restricted_text.to_string();
    said(f, StatusCode::FORBIDDEN, title, vec![stands, text])
}

/// What is restricted is not theirs to act on either: whoever takes charge of it must be able to read it. What they are
/// told instead.
pub(super) async fn kept_from<B: Backend>(backend: &B, f: &Frame, id: &str) -> Option<Response> {
    if f.sight() == Sight::Whole {
        return None;
    }
    match backend.incident(IncidentId::from(id), f.sight()).await {
        Ok(detail) => {
            let incident = detail.map(|detail| detail.incident).filter(Incident::is_restricted)?;
            Some(veiled(f.clone(), &incident))
        }
        Err(error) => Some(failed(f.clone(), &error)),
    }
}

pub(super) async fn act<B: Backend>(
    State(shared): App<B>,
    asked: Result<Path<(String, String)>, PathRejection>,
    Posted(f, fields): Posted,
) -> Response {
    let Ok(Path((id, action))) = asked else { return nothing_of(f) };
    let Some(kind) = ActionKind::parse(&action) else { return nothing_of(f) };
    if let Some(answer) = kept_from(&*shared.backend, &f, &id).await {
        return answer;
    }
    let text = match words("text", Some(fields.get("text").to_owned())) {
        Ok(text) => text,
        Err(problem) => return said(f, StatusCode::UNPROCESSABLE_ENTITY, problem.to_string(), Vec::new()),
    };
    if kind == ActionKind::Note && text.is_empty() {
        return go_to(&f, &path(&id));
    }
    let action = Action { kind, by: by(&f), text };
    match shared.backend.act(IncidentId::from(id.clone()), action).await {
        // Somebody was quicker, or it is over: the page says who.
        Ok(Some(_)) | Err(BackendError::Conflict(_)) => go_to(&f, &path(&id)),
        Ok(None) => unknown(f),
        Err(error) => failed(f, &error),
    }
}

pub(super) async fn merge<B: Backend>(State(shared): App<B>, id: Id, Posted(f, fields): Posted) -> Response {
    let Ok(Path(id)) = id else { return nothing_of(f) };
    let into = fields.get("into").to_owned();
    for id in [&id, &into] {
        if let Some(answer) = kept_from(&*shared.backend, &f, id).await {
            return answer;
        }
    }
    let reason = clip(fields.get("text"), 4000);
    let merge = Merge { into: IncidentId::from(into.clone()), by: by(&f), reason };
    match shared.backend.merge(IncidentId::from(id), merge).await {
        Ok(Some(_)) => go_to(&f, &path(&into)),
        Ok(None) => unknown(f),
        Err(error) => failed(f, &error),
    }
}

pub(super) fn by(f: &Frame) -> String {
    f.caller.as_ref().map_or("api", |caller| caller.by()).to_owned()
}

pub(super) fn unknown(f: Frame) -> Response {
    let (says, text) = (f.w.no_incident.to_string(), f.w.no_incident_text.to_string());
    said(f, StatusCode::NOT_FOUND, says, vec![text])
}

/// The page, which still wants its frame.
async fn page<B: Backend>(
    backend: &B,
    f: &Frame,
    detail: IncidentDetail,
) -> Result<impl FnOnce(Frame) -> Page + use<B>, BackendError> {
    let id = detail.incident.id.clone();
    let IncidentDetail { incident, timeline, alerts, posts } = detail;
    // What takes long must not keep the page, and its button, from whoever is to take charge.
    let growth = in_time(backend.growth(vec![id.clone()])).await.pop().unwrap_or_default();
    let (told, sent) = (in_time(backend.stories(id.clone(), f.sight())).await, backend.deliveries(id).await?);
    let judged = in_time(backend.judgement(incident.id.clone())).await.map(|one| judge::in_words(f, &one));
    let alive = incident.state != IncidentState::Resolved;
    let others = if alive && f.may_respond() { others(backend, f, &incident).await? } else { Vec::new() };
    let playbook = playbook::section(backend, f, &incident).await?;
    let taken = incident.state == IncidentState::Acknowledged;
    let people = if taken { playbook::others(&backend.people(), &incident) } else { Vec::new() };
    let told_steps = incident.steps_told();
    let card = Card::of(f, &incident).grown(f, &growth, usual(&alerts));
    let mut marks = in_time(backend.marks(incident.rules.clone(), posts.clone())).await;
    marks.resize(posts.len(), Vec::new());
    let posts = posts.iter().zip(&marks).map(|(post, marks)| said_by(f, post, marks)).collect();
    let silence: String = form_urlencoded::byte_serialize(format!("topic={}", incident.topic).as_bytes()).collect();
    let mut notes = notes(f, &incident);
    if playbook.is_none() {
        notes.extend(incident.playbook.as_ref().map(|file| f.w.playbook.with([("file", file)])));
    }
    let mut stories: Vec<Told> = told.iter().map(|story| story_of(f, story)).collect();
    let more_stories = stories.split_off(stories.len().min(STORIES));
    let more = f.counted(more_stories.len() as u64, &f.w.one_more_story, &f.w.many_more_stories);
    let alerts = alerts.iter().rev().map(|alert| fired(f, alert)).collect();
    let timeline = timeline.iter().map(|line| line_of(f, line)).collect();
    let messages = sent.iter().map(|one| message(f, one)).collect();
    Ok(move |f| Page {
        f,
        card,
        alive,
        notes,
        judged,
        silence,
        others,
        people,
        told: told_steps,
        playbook,
        stories,
        more_stories,
        more,
        posts,
        alerts,
        timeline,
        messages,
    })
}

/// What there is within [`PATIENCE`]; otherwise nothing.
pub(super) async fn in_time<T: Default>(asked: impl Future<Output = Result<T, BackendError>>) -> T {
    tokio::time::timeout(PATIENCE, asked).await.ok().and_then(Result::ok).unwrap_or_default()
}

/// Those it could go on as.
async fn others<B: Backend>(backend: &B, f: &Frame, incident: &Incident) -> Result<Vec<Other>, BackendError> {
    let mut alive = backend.incidents(Some(IncidentState::Open), None, OTHERS).await?;
    alive.extend(backend.incidents(Some(IncidentState::Acknowledged), None, OTHERS).await?);
    let fits = |other: &&Incident| other.id != incident.id && other.exercise == incident.exercise && f.may_see(other);
    let other = |other: &Incident| Other { id: other.id.to_string(), title: clip(&clean(&other.title), MOST_NAME) };
    Ok(alive.iter().filter(fits).map(other).collect())
}

fn notes(f: &Frame, incident: &Incident) -> Vec<String> {
    let w = f.w;
    let mut notes = Vec::new();
    if incident.is_flood() {
        let posts = f.counted(incident.posts, &w.one_post, &w.many_posts);
        let authors = f.counted(incident.authors, &w.one_author, &w.many_authors);
        notes.push(w.flood.with([("posts", &posts), ("authors", &authors)]));
    }
    if let Some(into) = &incident.merged_into {
        notes.push(w.merged_into.with([("id", into.as_str())]));
    }
    if !incident.merged.is_empty() {
        let ids: Vec<&str> = incident.merged.iter().map(IncidentId::as_str).collect();
        notes.push(w.merged_from.with([("ids", &ids.join(", "))]));
    }
    notes
}

/// What the newest alert with a forecast held to be usual.
fn usual(alerts: &[AlertView]) -> Option<Usual> {
    alerts.iter().rev().find_map(|alert| {
        let within = Duration::from_secs(alert.within_seconds?);
        Some(Usual { upper: alert.upper?, within })
    })
}

fn story_of(f: &Frame, story: &Story) -> Told {
    let w = f.w;
    let posts = f.counted(story.posts, &w.one_post, &w.many_posts);
    let authors = f.counted(story.authors, &w.one_author, &w.many_authors);
    let numbers = w.story_numbers.with([("posts", &posts), ("authors", &authors)]);
    Told { numbers, post: story.post.as_ref().map(|post| clip(&clean(&post.text), MOST_TEXT)) }
}

/// A post with the words marked that matter.
pub(super) fn said_by(f: &Frame, post: &Post, marks: &[Range<usize>]) -> Said {
    let w = f.w;
    let stranger = |text: &str| clip(&clean(text), MOST_NAME);
    let author = &post.author;
    let named = author.handle.as_deref().or(author.name.as_deref()).unwrap_or(author.id.as_str());
    let reach = author.followers.map(|n| w.followers.with([("n", &f.number(n))]));
    let about: Vec<String> =
        [Some(stranger(post.source.as_str())), reach, post.lang.first().map(|lang| stranger(lang))]
            .into_iter()
            .flatten()
            .collect();
    let thread = match post.kind {
        _ if post.copy_of.is_some() => Some(&w.copies),
        PostKind::Post => None,
        PostKind::Reply => Some(&w.answers),
        PostKind::Quote => Some(&w.quotes),
        PostKind::Repost => Some(&w.reposts),
    };
    // A language as the author gives it: only what can be one becomes an attribute.
    let lang =
        post.lang.first().filter(|tag| tag.len() <= 35 && tag.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
    Said {
        author: stranger(named),
        about: about.join(" · "),
        lang: lang.cloned(),
        parts: parts(&post.text, marks),
        media: post.media_text.iter().take(4).map(|text| clip(&clean(text), MOST_MEDIA)).collect(),
        at: post.event_time.to_string(),
        when: f.time(post.event_time),
        host: post.url.as_deref().and_then(host).map(stranger),
        thread: thread.map(ToString::to_string),
    }
}

/// A text cut where words are marked; each part made harmless by itself, so that places stay right.
fn parts(text: &str, marks: &[Range<usize>]) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut at, mut left) = (0, MOST_TEXT);
    let mut push = |range: Range<usize>, marked: bool| {
        let Some(part) = text.get(range).filter(|part| !part.is_empty()) else { return };
        let part: String = spaced(part).chars().take(left).collect();
        left -= part.chars().count();
        if !part.is_empty() {
            parts.push(Part { text: part, marked });
        }
    };
    // A mark that does not fit the text (it was edited, say) marks nothing.
    let fits = |mark: &&Range<usize>| text.get((*mark).clone()).is_some_and(|marked| !marked.is_empty());
    for mark in marks.iter().filter(fits) {
        push(at..mark.start.max(at), false);
        push(mark.start.max(at)..mark.end, true);
        at = at.max(mark.end);
    }
    push(at..text.len(), false);
    parts
}

/// Clean, with a blank at either end where there was one.
fn spaced(text: &str) -> String {
    let blank = |c: Option<char>| if c.is_some_and(char::is_whitespace) { " " } else { "" };
    let (first, last) = (blank(text.chars().next()), blank(text.chars().next_back()));
    let cleaned = clean(text);
    let cleaned = cleaned.trim();
    if cleaned.is_empty() { first.to_owned() } else { format!("{first}{cleaned}{last}") }
}

fn when(f: &Frame, at: &str) -> String {
    Timestamp::parse(at).map_or_else(|_| at.to_owned(), |at| f.zone.shows(at, "%Y-%m-%d %H:%M:%S"))
}

fn fired(f: &Frame, alert: &AlertView) -> Fired {
    let why = clip(&clean(&alert.why), 1000);
    Fired { at: alert.at.clone(), when: when(f, &alert.at), rule: alert.rule.clone(), why }
}

fn line_of(f: &Frame, line: &TimelineView) -> Line {
    let (by, text) = (clip(&clean(&line.by), MOST_NAME), clip(&clean(&line.text), 4000));
    Line { at: line.at.clone(), when: when(f, &line.at), what: line.what.clone(), by, text }
}

fn message(f: &Frame, sent: &DeliveryView) -> Sent {
    let w = f.w;
    let finished = sent.finished_at.as_deref().map(|at| when(f, at)).unwrap_or_default();
    let state = match sent.state.as_str() {
        "pending" => w.pending.to_string(),
        "leased" => w.leased.to_string(),
        "delivered" => w.delivered.with([("time", &finished)]),
        _ => w.parked.with([("reason", &clip(&clean(sent.error.as_deref().unwrap_or("?")), 300))]),
    };
    let to = match &sent.person {
        Some(person) => format!("{person} ({})", sent.receiver),
        None => sent.receiver.clone(),
    };
    Sent { at: sent.at.clone(), when: when(f, &sent.at), to, kind: sent.kind.clone(), state }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut_at(text: &str, start: usize, end: usize) -> Vec<(String, bool)> {
        cut(text, &[Range { start, end }])
    }

    fn cut(text: &str, marks: &[Range<usize>]) -> Vec<(String, bool)> {
        parts(text, marks).into_iter().map(|part| (part.text, part.marked)).collect()
    }

    #[test]
    fn marked_words_stand_where_they_stood() {
        let plain = |text: &str| (text.to_owned(), false);
        let marked = |text: &str| (text.to_owned(), true);
        assert_eq!(cut_at("a fire now", 2, 6), [plain("a "), marked("fire"), plain(" now")]);
        assert_eq!(cut_at("fire", 0, 4), [marked("fire")]);
        assert_eq!(cut("a fire", &[2..6, 3..5, 2..2]), [plain("a "), marked("fire")], "marks may overlap");
        assert_eq!(cut_at("ä", 1, 2), [plain("ä")], "a mark amid a letter marks nothing");
        assert_eq!(cut_at("fire", 2, 9), [plain("fire")], "nor does one beyond the text");
    }

    #[test]
    fn hostile_texts_become_harmless_and_end() {
        let text = format!("\u{202E}fire{}", "a\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}".repeat(20_000));
        let shown = cut_at(&text, 3, 7);
        assert_eq!(shown.first(), Some(&("fire".to_owned(), true)));
        let length: usize = shown.iter().map(|(text, _)| text.chars().count()).sum();
        assert_eq!(length, MOST_TEXT);
        assert!(shown.iter().all(|(text, _)| !text.contains('\u{202E}')));
    }
}
