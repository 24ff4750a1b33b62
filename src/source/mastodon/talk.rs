//! The conversation with an instance's stream.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Bytes;

use super::inner;
use super::memory::Memory;
use crate::config::model::TimelineName;
use crate::domain::event::{Bookmark, DownReason, Joint};
use crate::domain::harmless::{clean, clip};
use crate::source::supervise::{End, Failure};
use crate::source::talk::{Talk, Turn};

/// So many deletions and no post are no quiet night.
const DELETIONS: usize = 10;

/// Our side.
pub(super) struct Conversation<'a> {
    pub(super) host: &'a str,
    pub(super) streams: &'a [TimelineName],
    pub(super) memory: &'a Memory,
    /// Whether what was missed before has been read.
    pub(super) caught_up: &'a AtomicBool,
    pub(super) joint: Joint,
    /// Whether the instance has shown a fresh post of what is streamed.
    pub(super) sees: bool,
    /// For how long deletions may come and no post.
    pub(super) only_deletions: Duration,
    pub(super) deletions: usize,
    pub(super) deletions_since: Option<Instant>,
}

#[derive(Deserialize)]
struct Heard<'a> {
    #[serde(default)]
    event: Option<String>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
    #[serde(default)]
    uri: Option<String>,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    result: String,
    #[serde(default)]
    error: Option<Value>,
}

impl Talk for Conversation<'_> {
    fn begin(&mut self, turn: &mut Turn) {
        // The first is part of the address: some servers take no others.
        for stream in self.streams.iter().skip(1) {
            turn.say(subscription(stream));
        }
        turn.stands(self.joint);
        if self.sees {
            turn.is_alive();
        }
    }

    fn hear(&mut self, message: &Bytes, turn: &mut Turn) -> Result<(), End> {
        let Ok(heard) = serde_json::from_slice::<Heard<'_>>(message) else {
            turn.keep(message.clone()); // the decoder says what is wrong with it
            return Ok(());
        };
        if let Some(error) = heard.error.filter(|_| heard.event.is_none()) {
            return Err(self.refused(&error));
        }
        match (heard.event.as_deref(), heard.payload) {
            (Some("update" | "status.update" | "status_update"), Some(payload)) => {
                (self.deletions, self.deletions_since) = (0, None);
                self.keep_status(message, payload, turn);
            }
            (Some("delete"), Some(payload)) => {
                self.deletions += 1;
                self.deletions_since.get_or_insert_with(Instant::now);
                self.keep_deletion(message, payload, turn);
            }
            (Some("pleroma:respond"), Some(payload)) => {
                let response: Option<Response> = inner(payload).ok();
                if let Some(Response { error, .. }) = response.filter(|response| response.result == "error") {
                    return Err(self.refused(&error.map_or_else(String::new, |error| error.to_string())));
                }
            }
            _ => turn.keep(message.clone()),
        }
        Ok(())
    }

    fn alarm(&self) -> Option<Instant> {
        let has_public = self.streams.iter().any(TimelineName::is_public);
        let since = self.deletions_since.filter(|_| has_public && self.deletions >= DELETIONS)?;
        Some(since + self.only_deletions)
    }

    fn wake(&mut self, _turn: &mut Turn) -> Result<(), End> {
        Err(End::Interrupted(DownReason::Stalled))
    }

    fn bookmark(&self) -> Option<Bookmark> {
        let newest = self.caught_up.load(Ordering::Relaxed).then(|| self.memory.newest());
        newest.flatten().map(Into::into)
    }
}

impl Conversation<'_> {
    fn refused(&self, error: &str) -> End {
        let error = clip(&clean(error), 160);
        Failure::operator(format!("{} refused a stream; check `streams` and the token's rights: {error}", self.host))
    }

    fn keep_status(&self, message: &Bytes, payload: &RawValue, turn: &mut Turn) {
        if let Ok(Named { id, uri: Some(uri) }) = inner(payload)
            && self.memory.came(&id, &uri)
        {
            // The deletion overtook it: said again in the right order.
            turn.keep(deletion(&id, &uri));
        }
        turn.keep(message.clone());
    }

    fn keep_deletion(&self, message: &Bytes, payload: &RawValue, turn: &mut Turn) {
        // The bare number, and not a document in a string.
        let id = serde_json::from_str::<Value>(payload.get()).ok();
        let id = id.and_then(|id| id.as_str().map(str::to_owned).or_else(|| id.as_u64().map(|id| id.to_string())));
        match id.and_then(|id| Some((self.memory.went(&id)?, id))) {
            Some((uri, id)) => turn.keep(deletion(&id, &uri)),
            None => turn.keep(message.clone()),
        }
    }
}

/// A deletion with the name that others know.
pub(super) fn deletion(id: &str, uri: &str) -> Bytes {
    json!({"event": "delete", "payload": id, "uri": uri}).to_string().into()
}

/// How a stream is named: what follows `subscribe`, or the `?` of an address.
pub(super) fn named(stream: &TimelineName) -> Vec<(&'static str, &str)> {
    match stream {
        TimelineName::Public => vec![("stream", "public")],
        TimelineName::Local => vec![("stream", "public:local")],
        TimelineName::Remote => vec![("stream", "public:remote")],
        TimelineName::Hashtag(tag) => vec![("stream", "hashtag"), ("tag", tag)],
        TimelineName::List(list) => vec![("stream", "list"), ("list", list)],
        TimelineName::Home => vec![("stream", "user")],
    }
}

fn subscription(stream: &TimelineName) -> String {
    let mut message: Map<String, Value> =
        named(stream).into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect();
    message.insert("type".to_owned(), json!("subscribe"));
    Value::Object(message).to_string()
}
