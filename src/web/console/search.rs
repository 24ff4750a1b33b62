//! Search over kept posts and incidents: a form that is an address, so that it can be saved, sent and gone back to.

use std::collections::VecDeque;
use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;

use super::card::{self, Card};
use super::fields::Posted;
use super::frame::Frame;
use super::incident::{Said, said_by};
use super::{failed, go_to, rule, said};
use crate::domain::audit::Entry;
use crate::domain::harmless::{clean, clip};
use crate::domain::incident::Severity;
use crate::domain::lane::Sight;
use crate::domain::seek::FoundPost;
use crate::domain::text::Words;
use crate::web::Shared;
use crate::web::api::App;
use crate::web::backend::{Backend, BackendError};
use crate::web::search::{Asked, INCIDENTS, POSTS, next};
use crate::web::sheet::{Form, Sheet};

/// Posts of an export, and of one page of it.
const EXPORTED: usize = 10_000;
const PAGE: usize = 500;
/// Characters of the name of a saved search.
const MOST_NAME: usize = 80;

#[derive(Template)]
#[template(path = "search.html")]
struct Page {
    f: Frame,
    asked: Asked,
    problem: Option<String>,
    severities: Vec<Choice>,
    rules: Vec<String>,
    sources: Vec<String>,
    saved: Vec<Saved>,
    /// What is sought, as part of an address.
    query: String,
    incidents: Vec<Card>,
    posts: Vec<Found>,
    /// Where older ones are.
    older: Option<String>,
    export_hint: String,
    may_save: bool,
}

struct Choice {
    value: &'static str,
    name: String,
    chosen: bool,
}

struct Saved {
    name: String,
    query: String,
}

struct Found {
    said: Said,
    rules: Vec<(String, String)>,
    incidents: Vec<(String, String)>,
}

pub(super) async fn show<B: Backend>(State(shared): App<B>, f: Frame, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let (asked, problem) = match Asked::read(&query, &f.zone) {
        Ok(asked) => (asked, None),
        Err(problem) => (Asked::default(), Some(problem)),
    };
    match page(&*shared.backend, f, asked, problem).await {
        Ok(answer) => answer,
        Err((f, error)) => failed(f, &error),
    }
}

async fn page<B: Backend>(
    backend: &B,
    f: Frame,
    asked: Asked,
    problem: Option<String>,
) -> Result<Response, (Frame, BackendError)> {
    let f = f.at("search");
    let known = async {
        let mut found = if problem.is_some() {
            Vec::new()
        } else {
            backend.find(asked.seek.clone(), f.sight(), asked.before.clone(), POSTS + 1).await?
        };
        let older = (found.len() > POSTS).then(|| found.truncate(POSTS));
        let older = older.and(found.last()).map(next);
        // Without a word of it, all incidents would come before what is sought.
        let incidents =
            if asked.is_of_posts() || asked.before.is_some() || asked.query().is_empty() || problem.is_some() {
                Vec::new()
            } else {
                backend.find_incidents(asked.seek.clone(), f.sight(), INCIDENTS).await?
            };
        let rules = backend.rules().await?.into_iter().map(|rule| rule.id).collect();
        let sources = backend.sources().await?.into_iter().map(|source| source.name).collect();
        Ok((found, older, incidents, rules, sources, saved(backend, &f).await?))
    };
    let (found, older, incidents, rules, sources, saved) = match known.await {
        Ok(known) => known,
        Err(error) => return Err((f, error)),
    };
    let older = older.map(|next| {
        let before: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        format!("search?{}&before={before}", asked.query())
    });
    let severities = Severity::ALL.into_iter().rev().map(|one| Choice {
        value: one.as_str(),
        name: f.severity(one).to_string(),
        chosen: asked.seek.severity == Some(one),
    });
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(Frame::show(
        status,
        &Page {
            problem,
            severities: severities.collect(),
            rules,
            sources,
            saved,
            query: asked.query(),
            incidents: incidents.iter().map(|incident| Card::of(&f, incident)).collect(),
            posts: found.iter().map(|found| found_of(&f, found, &asked.seek.words)).collect(),
            older,
            export_hint: f.w.export_hint.with([("n", &f.number(EXPORTED as u64))]),
            may_save: account(&f).is_some(),
            asked,
            f,
        },
    ))
}

/// Whose searches are kept: those of accounts. An open demo is nobody's.
fn account(f: &Frame) -> Option<String> {
    f.caller.as_ref().and_then(|caller| caller.name()).map(str::to_owned)
}

async fn saved<B: Backend>(backend: &B, f: &Frame) -> Result<Vec<Saved>, BackendError> {
    let Some(account) = account(f) else { return Ok(Vec::new()) };
    let saved = backend.saved_searches(account).await?;
    Ok(saved.into_iter().map(|(name, query)| Saved { name, query }).collect())
}

fn found_of(f: &Frame, found: &FoundPost, words: &str) -> Found {
    let FoundPost { post, rules, incidents } = found;
    Found {
        said: said_by(f, post, &marks(&post.text, words)),
        rules: rules.iter().map(|id| (rule::path(id.as_str()), id.to_string())).collect(),
        incidents: incidents.iter().map(|id| (card::path(id.as_str()), id.to_string())).collect(),
    }
}

/// Where the words that are sought stand in a text; as near as folding words alone comes.
fn marks(text: &str, typed: &str) -> Vec<std::ops::Range<usize>> {
    let wanted: Vec<&str> = typed.split_whitespace().filter(|word| !word.starts_with('-')).collect();
    let wanted = wanted.join(" ");
    let (sought, said) = (Words::of(&wanted), Words::of(text));
    let sought: Vec<(&str, bool)> = sought
        .words()
        .map(|(word, token)| {
            let end = sought.original(0, token, token, &wanted).end;
            (word, wanted.get(end..).is_some_and(|rest| rest.starts_with('*')))
        })
        .collect();
    let is_sought =
        |word: &str| sought.iter().any(|(one, begins)| if *begins { word.starts_with(one) } else { word == *one });
    let found = said.words().filter(|(word, _)| is_sought(word));
    found.map(|(_, token)| said.original(0, token, token, text)).collect()
}

pub(super) async fn save<B: Backend>(State(shared): App<B>, Posted(f, fields): Posted) -> Response {
    let Some(account) = account(&f) else { return super::nothing_of(f) };
    let name = clip(&clean(fields.get("name")), MOST_NAME);
    let query = match Asked::read(fields.get("query"), &f.zone) {
        Ok(asked) if !name.is_empty() => asked.query(),
        _ => return go_to(&f, "search"),
    };
    match shared.backend.save_search(account, name, Some(query.clone())).await {
        Ok(true) => go_to(&f, &format!("search?{query}")),
        Ok(false) => {
            let says = f.w.too_many_saved.to_string();
            said(f, StatusCode::CONFLICT, says, Vec::new())
        }
        Err(error) => failed(f, &error),
    }
}

pub(super) async fn forget<B: Backend>(State(shared): App<B>, Posted(f, fields): Posted) -> Response {
    let Some(account) = account(&f) else { return super::nothing_of(f) };
    match shared.backend.save_search(account, fields.get("name").to_owned(), None).await {
        Ok(_) => go_to(&f, "search"),
        Err(error) => failed(f, &error),
    }
}

/// What was found, as a file. That somebody took it is on record.
pub(super) async fn export<B: Backend>(State(shared): App<B>, f: Frame, RawQuery(query): RawQuery) -> Response {
    let asked = match Asked::read(&query.unwrap_or_default(), &f.zone) {
        Ok(asked) => asked,
        Err(problem) => return said(f, StatusCode::UNPROCESSABLE_ENTITY, problem, Vec::new()),
    };
    let form = if asked.field("format") == "json" { Form::Json } else { Form::Csv };
    let by = f.caller.as_ref().map_or("api", |caller| caller.by()).to_owned();
    let (what, about) = ("posts.exported".to_owned(), form.as_str().to_owned());
    let entry = Entry { at: f.now, by, what, about, text: asked.query() };
    if let Err(error) = shared.backend.change_access(Vec::new(), vec![entry]).await {
        return failed(f, &error);
    }
    let name = format!("stormbell-{}.{}", f.zone.shows(f.now, "%Y-%m-%d-%H%M"), form.as_str());
    let headers = [
        (header::CONTENT_TYPE, form.content_type().to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    let export = Export {
        sight: f.sight(),
        asked,
        sheet: Sheet::new(form),
        parts: VecDeque::new(),
        left: EXPORTED,
        over: false,
        shared,
    };
    let parts = stream::unfold(export, |mut export| async move { Some((export.next().await?, export)) });
    (headers, Body::from_stream(parts)).into_response()
}

/// An export on its way.
struct Export<B> {
    shared: Arc<Shared<B>>,
    sight: Sight,
    asked: Asked,
    sheet: Sheet,
    parts: VecDeque<String>,
    /// Posts that may yet come.
    left: usize,
    over: bool,
}

impl<B: Backend> Export<B> {
    /// The next part; an error cuts the file off, so that nobody takes it for whole.
    async fn next(&mut self) -> Option<Result<Bytes, BackendError>> {
        loop {
            if let Some(part) = self.parts.pop_front() {
                return Some(Ok(Bytes::from(part)));
            }
            if self.over {
                return None;
            }
            let page = PAGE.min(self.left + 1);
            let seek = self.asked.seek.clone();
            let found = match self.shared.backend.find(seek, self.sight, self.asked.before.clone(), page).await {
                Ok(found) => found,
                Err(error) => {
                    self.over = true;
                    return Some(Err(error));
                }
            };
            let cut = found.len() > self.left;
            let is_last = cut || found.len() < page;
            let taken = found.get(..found.len().min(self.left)).unwrap_or_default();
            self.left -= taken.len();
            self.asked.before = taken.last().map(|last| (last.post.event_time, last.post.id.clone()));
            self.parts.push_back(self.sheet.rows(taken));
            if is_last {
                self.over = true;
                self.parts.push_back(self.sheet.end(cut.then_some(EXPORTED)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sought_is_marked() {
        let text = "Überfall am Café, infected";
        let marked = |typed| marks(text, typed).into_iter().map(|place| text.get(place).unwrap()).collect::<Vec<_>>();
        assert_eq!(marked("cafe \"am x\""), ["am", "Café"]);
        assert_eq!(marked("infect* -am uberfall"), ["Überfall", "infected"]);
        assert!(marked("\"* - \u{0}").is_empty());
    }
}
