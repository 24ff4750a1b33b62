//! Whether what fired was real: one click, and the rule's record knows.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::card::path;
use super::fields::Posted;
use super::frame::Frame;
use super::incident::{kept_from, unknown};
use super::{failed, go_to, nothing_of, said};
use crate::domain::harmless::{clean, clip};
use crate::domain::id::IncidentId;
use crate::web::api::{App, words};
use crate::web::backend::Backend;
use crate::web::workshop::Judgement;

/// Characters of a reason.
const MOST: usize = 500;

pub(super) async fn judge<B: Backend>(
    State(shared): App<B>,
    id: Result<Path<String>, PathRejection>,
    Posted(f, fields): Posted,
) -> Response {
    let Ok(Path(id)) = id else { return nothing_of(f) };
    if let Some(answer) = kept_from(&*shared.backend, &f, &id).await {
        return answer;
    }
    let real = match fields.get("real") {
        "yes" => true,
        "no" => false,
        _ => return nothing_of(f),
    };
    let reason = match words("text", Some(fields.get("text").to_owned())) {
        Ok(text) => clip(&clean(&text), MOST),
        Err(problem) => return said(f, StatusCode::UNPROCESSABLE_ENTITY, problem.to_string(), Vec::new()),
    };
    let by = f.caller.as_ref().map_or("api", |caller| caller.by()).to_owned();
    let incident = IncidentId::from(id.clone());
    match shared.backend.judge(Judgement { incident, at: f.now, by, real, reason }).await {
        Ok(Some(())) => go_to(&f, &path(&id)),
        Ok(None) => unknown(f),
        Err(error) => failed(f, &error),
    }
}

/// What somebody made of an incident, in a sentence.
pub(super) fn in_words(f: &Frame, judgement: &Judgement) -> String {
    let Judgement { at, by, real, reason, .. } = judgement;
    let (who, time) = (clip(&clean(by), 100), f.time(*at));
    let phrase = if *real { &f.w.judged_real } else { &f.w.judged_noise };
    let text = phrase.with([("who", &who), ("time", &time)]);
    let reason = clip(&clean(reason), MOST);
    if reason.is_empty() { text } else { format!("{text} {}: {reason}", f.w.reason) }
}
