//! `GET /api/v1/events`: what happens, as it happens (server-sent events, HTML Living Standard §9.2).
//!
//! `event: incident` with the incident as in webhooks, without posts; `event: source` with the name of a source that is
//! seen again or no longer. Whoever is slow, or comes back, gets `event: missed`: look again at what you show. So
//! nothing is kept for anybody, and a viewer costs a queue that all share. There are places for so many; others are
//! refused (503), and the page asks for itself now and then instead.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::Shared;
use super::api::{Answer, App, Problem};
use super::backend::{Backend, Live};
use super::caller::Caller;
use crate::domain::incident::Incident;
use crate::wire::message::IncidentJson;

/// A line is sent this often, so that proxies and our own patience see that somebody is there.
const EVERY: Duration = Duration::from_secs(10);
/// Browsers come back after so many milliseconds.
const HELLO: &str = "retry: 2000\nevent: missed\ndata: {}\n\n";

pub(super) async fn events<B: Backend>(State(shared): App<B>, Extension(caller): Extension<Caller>) -> Answer {
    let Ok(place) = Arc::clone(&shared.viewers).try_acquire_owned() else {
        let text = "too many look on at once; ask for the page itself now and then instead";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, text));
    };
    let viewer = Viewer { live: shared.backend.watch(), caller, greeted: false, shared, _place: place };
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        // nginx would keep it until it is worth sending.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    let events = stream::unfold(viewer, |mut viewer| async move {
        let event = viewer.next().await?;
        Some((Ok::<_, Infallible>(event), viewer))
    });
    Ok((headers, Body::from_stream(events)).into_response())
}

/// Somebody who looks on.
struct Viewer<B> {
    live: Receiver<Live>,
    /// When they are let in no more, the stream ends, too.
    caller: Caller,
    greeted: bool,
    shared: Arc<Shared<B>>,
    _place: OwnedSemaphorePermit,
}

impl<B: Backend> Viewer<B> {
    /// What to send next; none when the daemon ends, or whoever looks on is let in no more.
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.greeted, true) {
            return Some(Bytes::from_static(HELLO.as_bytes()));
        }
        let happened = tokio::select! {
            happened = tokio::time::timeout(EVERY, self.live.recv()) => happened,
            () = self.shared.stop.cancelled() => return None,
        };
        if !self.shared.gate.is_in(&self.caller) {
            return None;
        }
        let text = match happened {
            Err(_) => ":\n\n".to_owned(),
            Ok(Err(RecvError::Closed)) => return None,
            Ok(Err(RecvError::Lagged(_))) => event("missed", &json!({})),
            Ok(Ok(Live::Incident(incident))) => {
                let sight = self.shared.gate.sight(&self.caller);
                let incident = Incident::clone(&incident).seen_with(sight);
                let incident = IncidentJson::new(&incident, &[], self.shared.console.as_ref());
                event("incident", &serde_json::to_value(&incident).unwrap_or_default())
            }
            Ok(Ok(Live::Source(name))) => event("source", &json!({ "name": name.as_str() })),
        };
        Some(Bytes::from(text))
    }
}

/// JSON has no line breaks of its own, so one line of data holds it.
fn event(name: &str, data: &serde_json::Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}
