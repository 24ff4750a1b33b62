//! Silences: who ordered which, and a form that first shows what it would have muted.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::fields::{Fields, Posted};
use super::frame::Frame;
use super::{failed, go_to};
use crate::domain::harmless::{clean, clip};
use crate::domain::id::SilenceId;
use crate::domain::incident::Incident;
use crate::domain::quantity::duration;
use crate::domain::silence::{self, Matcher, Silence, SilenceState};
use crate::web::api::App;
use crate::web::backend::{Backend, BackendError};
use crate::web::silences::{Tried, tried};

/// Silences in the list; incidents in a preview.
const LISTED: usize = 200;
const PREVIEWED: usize = 50;

#[derive(Template)]
#[template(path = "silences.html")]
struct Page {
    f: Frame,
    problem: Option<String>,
    silences: Vec<Row>,
    draft: Draft,
    preview: Option<Preview>,
}

struct Row {
    id: String,
    matchers: String,
    state: String,
    until: String,
    by: String,
    reason: String,
    alive: bool,
}

/// What stands in the form.
struct Draft {
    matchers: String,
    lasts: String,
    reason: String,
}

struct Preview {
    headline: String,
    muted: Vec<String>,
    spared: Vec<String>,
}

pub(super) async fn show<B: Backend>(State(shared): App<B>, f: Frame, RawQuery(query): RawQuery) -> Response {
    let asked = Fields::read(query.unwrap_or_default().as_bytes());
    let draft = Draft { matchers: asked.get("match").to_owned(), lasts: "2h".to_owned(), reason: String::new() };
    page(&*shared.backend, f, draft, None, None).await
}

pub(super) async fn order<B: Backend>(State(shared): App<B>, Posted(f, fields): Posted) -> Response {
    let backend = &*shared.backend;
    let text = |name| fields.get(name).to_owned();
    let draft = Draft { matchers: text("match"), lasts: text("for"), reason: text("reason") };
    let matchers: Result<Vec<Matcher>, _> = draft.matchers.split_whitespace().map(str::parse).collect();
    let matchers = match matchers {
        Ok(matchers) => matchers,
        Err(wrong) => return page(backend, f, draft, Some(wrong.to_string()), None).await,
    };
    if fields.get("do") == "preview" {
        return match tried(backend, &matchers, f.sight()).await {
            Ok(tried) => {
                let preview = preview(&f, &tried);
                page(backend, f, draft, None, Some(preview)).await
            }
            Err(error) => failed(f, &error),
        };
    }
    let lasts = match duration(&draft.lasts) {
        Ok(lasts) => lasts,
        Err(wrong) => return page(backend, f, draft, Some(wrong.to_string()), None).await,
    };
    let by = f.caller.as_ref().map_or("api", |caller| caller.by()).to_owned();
    let order = silence::Draft { matchers, by, reason: draft.reason.clone(), from: None, until: f.now + lasts };
    match backend.silence(order).await {
        Ok(_) => go_to(&f, "silences"),
        Err(BackendError::Unavailable(why)) => failed(f, &BackendError::Unavailable(why)),
        Err(refused) => page(backend, f, draft, Some(refused.to_string()), None).await,
    }
}

pub(super) async fn end<B: Backend>(State(shared): App<B>, Posted(f, fields): Posted) -> Response {
    let by = f.caller.as_ref().map_or("api", |caller| caller.by()).to_owned();
    match shared.backend.end_silence(SilenceId::from(fields.get("id")), by).await {
        // Over already, or forgotten: the list says so.
        Ok(_) | Err(BackendError::Conflict(_)) => go_to(&f, "silences"),
        Err(error) => failed(f, &error),
    }
}

async fn page<B: Backend>(
    backend: &B,
    f: Frame,
    draft: Draft,
    problem: Option<String>,
    preview: Option<Preview>,
) -> Response {
    let f = f.at("silences");
    match backend.silences().await {
        Ok(silences) => {
            let silences = silences.iter().take(LISTED).map(|one| row(&f, one)).collect();
            let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
            Frame::show(status, &Page { f, problem, silences, draft, preview })
        }
        Err(error) => failed(f, &error),
    }
}

fn row(f: &Frame, silence: &Silence) -> Row {
    let state = silence.state(f.now);
    let matchers: Vec<String> = silence.matchers.iter().map(ToString::to_string).collect();
    let word = match state {
        SilenceState::Active => &f.w.active,
        SilenceState::Pending => &f.w.to_come,
        SilenceState::Expired => &f.w.expired,
    };
    Row {
        id: silence.id.to_string(),
        matchers: matchers.join(" "),
        state: word.to_string(),
        until: f.time(silence.until),
        by: clip(&clean(&silence.by), 100),
        reason: clip(&clean(&silence.reason), 1000),
        alive: state != SilenceState::Expired,
    }
}

fn preview(f: &Frame, tried: &Tried) -> Preview {
    let line = |incident: &Incident| {
        let title = clip(&clean(&incident.title), 200);
        format!("{} · {} · {title}", f.time(incident.opened_at), f.severity(incident.severity))
    };
    let (muted, looked) = (f.number(tried.muted.len() as u64), f.number(tried.looked_at));
    Preview {
        headline: f.w.would_mute.with([("muted", &muted), ("looked", &looked)]),
        muted: tried.muted.iter().take(PREVIEWED).map(line).collect(),
        spared: tried.spared.iter().take(PREVIEWED).map(|(one, why)| format!("{}: {why}", line(one))).collect(),
    }
}
