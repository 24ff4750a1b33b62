//! `GET /api/v1/events`: what happens, as it happens (server-sent events, HTML Living Standard §9.2).
//!
//! `event: incident` with the incident as in webhooks, without posts; `event: source` with the name of a source that is
//! seen again or no longer. Whoever is slow, or comes back, gets `event: missed`: look again at what you show. So
//! nothing is kept for anybody, and a viewer costs a queue that all share. There are places for so many, and for each
//! account or program for so many of them; others are refused (503, 429), and the page asks for itself now and then instead.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::Shared;
use super::api::{Answer, App, ErrorView, Problem};
use super::backend::{Backend, Live};
use super::caller::{Caller, Known};
use crate::domain::incident::Incident;
use crate::wire::message::IncidentJson;

/// A line is sent this often, so that proxies and our own patience see that somebody is there.
const EVERY: Duration = Duration::from_secs(10);
/// Browsers come back after so many milliseconds.
const HELLO: &str = "retry: 2000\nevent: missed\ndata: {}\n\n";

/// What happens, as it happens: server-sent events.
///
/// `incident` with the incident, without posts; `source` with the name of one that is seen again or no longer; `missed`: look
/// again at what you show. It never ends by itself.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    tag = "state",
    operation_id = "watch",
    responses(
        (status = 200, description = "Events", content_type = "text/event-stream", body = String),
        (status = 429, description = "Whoever asks looks on in too many places already", body = ErrorView<'static>),
    ),
)]
pub(super) async fn events<B: Backend>(State(shared): App<B>, Extension(caller): Extension<Caller>) -> Answer {
    let seat = Seats::take(&shared.viewers, &caller.known)?;
    let viewer = Viewer { live: shared.backend.watch(), caller, greeted: false, shared, _seat: seat };
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

/// Places for whoever looks on.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    /// Of one account or program.
    most_each: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_name: BTreeMap<String, usize>,
}

/// A place, until it is dropped.
#[derive(Debug)]
struct Seat {
    seats: Arc<Seats>,
    /// Whose it is; whoever has the daemon's own token, or is nobody, stands for many.
    name: Option<String>,
}

impl Seats {
    pub(super) fn new(most: usize, most_each: usize) -> Self {
        Self { most, most_each, taken: Mutex::default() }
    }

    fn take(seats: &Arc<Self>, whose: &Known) -> Result<Seat, Problem> {
        let name = match whose {
            Known::Name(name) | Known::Program(name) => Some(name.clone()),
            Known::Token | Known::Nobody => None,
        };
        let mut taken = seats.taken();
        if taken.all >= seats.most {
            let text = "too many look on at once; ask for the page itself now and then instead";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, text));
        }
        if let Some(name) = &name {
            let own = taken.by_name.entry(name.clone()).or_default();
            if *own >= seats.most_each {
                let text = format!(
                    "{name} looks on in {} places already; close some, or ask for the page itself now and then",
                    seats.most_each
                );
                return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, text));
            }
            *own += 1;
        }
        taken.all += 1;
        Ok(Seat { seats: Arc::clone(seats), name })
    }

    /// Nobody panics while holding it.
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.all = taken.all.saturating_sub(1);
        if let Some(name) = &self.name
            && let Some(own) = taken.by_name.get_mut(name)
        {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.by_name.remove(name);
            }
        }
    }
}

/// Somebody who looks on.
struct Viewer<B> {
    live: Receiver<Live>,
    /// When they are let in no more, the stream ends, too.
    caller: Caller,
    greeted: bool,
    shared: Arc<Shared<B>>,
    _seat: Seat,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_the_places_of_all_others() {
        let seats = Arc::new(Seats::new(5, 2));
        let take = |whose: &str| Seats::take(&seats, &Known::Name(whose.to_owned()));
        let ann = [take("ann").unwrap(), take("ann").unwrap()];
        assert!(take("ann").unwrap_err().to_string().contains("ann looks on in 2 places already"));
        let _bob = take("bob").unwrap();
        let _token = [Known::Token, Known::Token].map(|token| Seats::take(&seats, &token).unwrap());
        assert!(take("bob").unwrap_err().to_string().contains("too many look on"));
        drop(ann);
        assert_eq!(seats.taken().by_name.len(), 1, "nothing is kept of who went");
        assert!(take("ann").is_ok());
    }
}
