//! What is happening now, and what is not seen: one look at 3 a.m., or from across the room.

use std::cmp::Reverse;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::card::Card;
use super::failed;
use super::frame::Frame;
use super::incident::in_time;
use super::words::Phrase;
use crate::domain::incident::IncidentState;
use crate::domain::time::Timestamp;
use crate::web::api::App;
use crate::web::backend::{Backend, BackendError, Growth};
use crate::web::view::SourceView;

/// Incidents with a picture; of the rest there is a list.
const SHOWN: usize = 20;
/// Ended incidents among which the last is sought: the newest.
const ENDED: usize = 100;
/// Incidents that are looked at.
const LOOKED_AT: usize = 10_000;

#[derive(Template)]
#[template(path = "now.html")]
struct Now {
    f: Frame,
    headline: String,
    /// `open`, `blind` or empty.
    state: &'static str,
    seen: String,
    /// What is not seen or does not work, a line each.
    blind: Vec<String>,
    cards: Vec<Card>,
    more: Option<String>,
}

pub(super) async fn now<B: Backend>(State(shared): App<B>, f: Frame) -> Response {
    let f = f.at("now");
    show(&*shared.backend, f).await
}

/// The same without navigation and in large letters.
pub(super) async fn wall<B: Backend>(State(shared): App<B>, f: Frame) -> Response {
    let f = f.at("wall");
    show(&*shared.backend, f).await
}

async fn show<B: Backend>(backend: &B, f: Frame) -> Response {
    match look(backend, &f).await {
        Ok(look) => Frame::show(StatusCode::OK, &page(f, look)),
        Err(error) => failed(f, &error),
    }
}

/// What there is to see.
struct Look {
    cards: Vec<Card>,
    /// Real incidents that nobody has, and that somebody has.
    free: usize,
    taken: usize,
    /// Incidents without a card.
    rest: usize,
    sources: Vec<SourceView>,
    not_ready: Vec<String>,
    /// Since when nothing is open, if nothing is.
    since: Timestamp,
}

async fn look<B: Backend>(backend: &B, f: &Frame) -> Result<Look, BackendError> {
    let mut alive = backend.incidents(Some(IncidentState::Open), None, LOOKED_AT).await?;
    alive.extend(backend.incidents(Some(IncidentState::Acknowledged), None, LOOKED_AT).await?);
    let real = |state| alive.iter().filter(|one| !one.exercise && one.state == state).count();
    let (free, taken) = (real(IncidentState::Open), real(IncidentState::Acknowledged));
    // The gravest first, of these what nobody has, the newest.
    alive.sort_by_key(|one| {
        let is_taken = one.state != IncidentState::Open;
        (one.exercise, Reverse(one.severity), is_taken, Reverse(one.opened_at))
    });
    let rest = alive.len().saturating_sub(SHOWN);
    alive.truncate(SHOWN);
    let mut growth = in_time(backend.growth(alive.iter().map(|one| one.id.clone()).collect())).await;
    growth.resize_with(alive.len(), Growth::default);
    let cards = alive.iter().zip(&growth).map(|(one, growth)| Card::of(f, one).grown(f, growth, None)).collect();
    let ended = backend.incidents(Some(IncidentState::Resolved), None, ENDED).await?;
    let ended = ended.iter().filter(|one| !one.exercise).filter_map(|one| one.resolved.as_ref());
    // Before it started it saw nothing.
    let since = ended.map(|ended| ended.at).max().unwrap_or_default().max(backend.started());
    let (sources, not_ready) = (backend.sources().await?, backend.not_ready().await);
    Ok(Look { cards, free, taken, rest, sources, not_ready, since })
}

fn page(f: Frame, look: Look) -> Now {
    let Look { cards, free, taken, rest, sources, not_ready, since } = look;
    let w = f.w;
    let blind = blind(&f, &sources, &not_ready);
    let is_blind = !blind.is_empty();
    let many = |n: usize, one: &Phrase, many: &Phrase| f.counted(n as u64, one, many);
    let (headline, state) = match (free, taken) {
        (0, 0) if is_blind => (w.quiet_blind.to_string(), "blind"),
        (0, 0) => (w.all_quiet.to_string(), ""),
        (0, _) => (many(taken, &w.one_taken, &w.many_taken), if is_blind { "blind" } else { "" }),
        _ => (many(free, &w.one_open, &w.many_open), "open"),
    };
    let posts: u64 = sources.iter().map(|source| source.ledger.posts).sum();
    let least = sources.iter().map(|source| source.coverage).fold(1.0, f64::min);
    let (posts, coverage) = (f.number(posts), percent(if sources.is_empty() { 0.0 } else { least }));
    let seen = if free + taken == 0 {
        w.quiet_since.with([("time", &f.time(since)), ("posts", &posts), ("coverage", &coverage)])
    } else {
        w.open_seen.with([("posts", &posts), ("coverage", &coverage)])
    };
    let more = (rest > 0).then(|| w.more_open.with([("n", &f.number(rest as u64))]));
    Now { f, headline, state, seen, blind, cards, more }
}

/// What is not seen or does not work, a line each.
fn blind(f: &Frame, sources: &[SourceView], not_ready: &[String]) -> Vec<String> {
    let w = f.w;
    let down = || sources.iter().filter(|source| !source.up);
    let line = |one: &SourceView| {
        w.source_down.with([("source", &one.name), ("reason", one.reason.as_deref().unwrap_or("?"))])
    };
    let mut blind: Vec<String> = down().map(line).collect();
    if sources.is_empty() {
        blind.push(w.no_source.to_string());
    }
    // Sources that are down are named already.
    let named = |reason: &String| down().any(|one| reason.starts_with(&format!("source {} ", one.name)));
    blind.extend(not_ready.iter().filter(|reason| !named(reason)).map(|reason| w.not_ready.with([("reason", reason)])));
    blind
}

/// Rounded down: 100 % means all of it.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", (share * 1000.0).floor() / 10.0).replace(".0 %", " %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_said_only_of_all() {
        assert_eq!([1.0, 0.9999, 0.5, 0.0].map(percent), ["100 %", "99.9 %", "50 %", "0 %"]);
    }
}
