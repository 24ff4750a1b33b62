//! `/in/{source}`: what others send to a source, and what they ask of it before they do.
//!
//! The signature over the body is the proof, so neither token nor name of this server is asked for. What is written down
//! is answered with 200, and nothing else is: whoever gets 503 sends it again. A body is bounded, and how many long ones
//! are held at a time, too; who nobody is to hear of ([`crate::net::inlet`]) is turned away here.

use axum::body::{Body, to_bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::IntoResponse;

use super::api::{Answer, App, Problem};
use super::backend::Backend;
use super::routes::{Needs, Routes};
use crate::net::inlet::{Call, Inlet, Reply};

/// The part of an address by which one comes in here.
pub(super) const PATH: &str = "/in/";

pub(super) fn routes<B: Backend>(routes: Routes<B>) -> Routes<B> {
    let whole =
        |routes: Routes<B>, path| routes.get(path, Needs::Nothing, take::<B>).post(path, Needs::Nothing, take::<B>);
    whole(whole(routes, "/in/{source}"), "/in/{source}/{place}")
}

async fn take<B: Backend>(
    State(shared): App<B>,
    path: Result<Path<Vec<(String, String)>>, PathRejection>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let Path(parts) = path?;
    let mut parts = parts.into_iter().map(|(_, part)| part);
    let (source, place) = (parts.next().unwrap_or_default(), parts.next());
    let Some(inlet) = shared.inlets.find(&source) else {
        return match place {
            // To a hub this means that nobody subscribes any more (WebSub §7).
            Some(_) => Err(Problem::new(StatusCode::GONE, "nothing is read here any more")),
            None => Err(Problem::new(StatusCode::NOT_FOUND, "there is no source of that name that can be sent to")),
        };
    };
    let call = Call { place, query, headers, body: None };
    if method != Method::POST {
        return answered(inlet.call(call).await);
    }
    // Whoever shows no proof at all must not hold the room of those who may have one.
    if let Some(reply) = inlet.before(&call) {
        return answered(reply);
    }
    let Some(room) = inlet.room(length(&call.headers)) else { return answered(Reply::try_again()) };
    let Ok(body) = to_bytes(body, room.most).await else { return Err(too_large(&inlet)) };
    answered(inlet.call(Call { body: Some(body), ..call }).await)
}

/// How long the sender says its body is.
fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A body that broke off is not told from one that is too long; neither was taken.
fn too_large(inlet: &Inlet) -> Problem {
    inlet.was_too_large();
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body breaks off, or is longer than 4 MiB")
}

fn answered(reply: Reply) -> Answer {
    let Reply { status, text } = reply;
    if status.is_client_error() || status.is_server_error() {
        return Err(Problem::new(status, text));
    }
    Ok((status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}
