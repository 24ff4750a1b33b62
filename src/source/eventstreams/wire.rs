//! Reading server-sent events for as long as they come.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use serde_json::Value;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Bytes;
use url::Url;

use super::parted;
use super::sse::{Event, Events};
use crate::config::model::{EventForm, EventstreamsConfig};
use crate::domain::event::{Bookmark, DownReason, Joint, Reach, Rejected};
use crate::domain::time::Timestamp;
use crate::source::Frame;
use crate::source::http::{Http, Request, authorization};
use crate::source::line::Line;
use crate::source::supervise::{End, Failure, Wire};
use crate::source::websocket::apart;
use crate::telemetry::events;

/// The longest event that is kept, in bytes; the longest of Wikimedia are some 100 KiB.
const MOST_BYTES: usize = 1 << 20;
/// How long Wikimedia keeps events.
const KEPT_FOR: Duration = Duration::from_hours(7 * 24);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// A stream that is read.
pub(crate) struct Eventstreams {
    config: EventstreamsConfig,
    /// The server did not know our last event's id.
    forgotten: bool,
}

impl Eventstreams {
    pub(crate) const fn new(config: EventstreamsConfig) -> Self {
        Self { config, forgotten: false }
    }

    async fn go_on(&mut self, host: &Url, line: &mut Line) -> Result<(), End> {
        let http = Http::new(&self.config.transport, host.scheme() == "http")?;
        let (mut request, joint) = self.request(host, line);
        let login = authorization(self.config.login.as_ref())?;
        request.headers.extend(login.map(|login| (AUTHORIZATION, login)));
        let by_id = request.headers.contains_key(LAST_EVENT_ID);
        let opened = http.open(request, line).await;
        if by_id && let Err(End::Failed(Failure { error, .. })) = &opened {
            // An id from another server, or of another time: the time will do, with a repetition.
            self.forgotten = error.contains("answered 400");
        }
        let mut response = opened?;
        self.forgotten = false;
        line.connected(host.host_str().unwrap_or_default(), joint).await?;
        let began = Instant::now();
        let mut events = Events::new(MOST_BYTES);
        loop {
            let read = line.unless_stopped(timeout(line.timing.answer_within, response.chunk())).await?;
            match read {
                Ok(Ok(Some(bytes))) => {
                    let came = events.take(&bytes);
                    // Comments alone: the server is there, and has nothing more.
                    let covered = (came.is_empty() && events.is_between()).then(|| line.now());
                    self.hand_on(came, covered, line).await?;
                }
                // Cut after a while, as servers do: how it ends says nothing.
                Ok(Ok(None) | Err(_)) if began.elapsed() >= line.timing.healthy_after => return Ok(()),
                Ok(Ok(None) | Err(_)) => {
                    events::source_down(&line.name, DownReason::Closed, None);
                    return Err(End::Down(DownReason::Closed));
                }
                Err(_) => return Err(End::Down(DownReason::Stalled)),
            }
        }
    }

    async fn hand_on(&self, events: Vec<Event>, covered: Option<Timestamp>, line: &Line) -> Result<(), End> {
        let now = line.now();
        let bookmark = events.iter().rev().find_map(|event| event.id.clone()).filter(|id| !id.is_empty());
        let bodies = events.into_iter().flat_map(|event| frames(&self.config.events, event));
        let frames = bodies.map(|body| Frame { received_at: Some(now), body }).collect();
        line.hand_on(frames, Reach { covered, bookmark: bookmark.map(Bookmark::from), ..Reach::default() }).await
    }

    /// Asks for what comes behind the last event.
    fn request(&self, host: &Url, line: &Line) -> (Request, Joint) {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        let agent = format!(concat!("stormbell/", env!("CARGO_PKG_VERSION"), " ({})"), self.config.contact);
        headers.extend(HeaderValue::from_str(&agent).ok().map(|agent| (USER_AGENT, agent)));
        let mut url = host.clone();
        let bookmark = line.position.bookmark().filter(|_| !self.forgotten);
        let id = bookmark.and_then(|bookmark| HeaderValue::from_str(&bookmark.0).ok());
        let read_to = line.position.get();
        let joint = match (id, read_to) {
            (_, Some(cursor)) if line.now().since(cursor.time()) > KEPT_FOR => Joint::Live,
            (Some(id), _) => {
                headers.insert(LAST_EVENT_ID, id);
                Joint::GoesOn
            }
            (None, Some(cursor)) => {
                let since = cursor.time() - line.timing.overlap;
                url.query_pairs_mut().append_pair("since", &since.whole_second().to_string());
                Joint::GoesOn
            }
            (None, None) => Joint::Live,
        };
        (Request::get(url, headers, MOST_BYTES), joint)
    }
}

fn frames(form: &EventForm, event: Event) -> Vec<Result<Bytes, Rejected>> {
    let Some(data) = event.data else { return vec![Err(Rejected::TooLarge)] };
    match form {
        EventForm::Recentchange => parted(&data).into_iter().map(|part| Ok(part.into())).collect(),
        EventForm::Json { items: Some(items), .. } => {
            let whole = Bytes::from(data);
            match serde_json::from_slice::<Value>(&whole) {
                Ok(read) => apart(items, read, &whole),
                Err(_) => vec![Ok(whole)], // the decoder says what is wrong with it
            }
        }
        EventForm::Posts | EventForm::Json { items: None, .. } => vec![Ok(data.into())],
    }
}

impl Wire for Eventstreams {
    async fn read(&mut self, host: &Url, line: &mut Line) -> End {
        match self.go_on(host, line).await {
            Err(end) => end,
            Ok(()) => End::Renewed,
        }
    }
}
