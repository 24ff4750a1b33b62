//! Bluesky's Jetstream, both wires: one JSON object a frame, to a domain event.
//!
//! Pure: bytes in, [`Decoded`] out; `run` and `replay` use the same function. The v1 wire
//! is described by the server (`bluesky-social/jetstream`, `pkg/models`), the v2 wire by the
//! lexicon `network.bsky.jetstream.subscribeEvents` (`events.rs`), the records by
//! the lexicons `app.bsky.feed.post`, `app.bsky.embed.*` and `app.bsky.richtext.facet`.
//! The server does not check records, so whatever an author's program wrote arrives. Which
//! wire a frame is of, it says itself: a source that fails over may read both.
//!
//! Two decisions. The operation is looked at before the record: a create whose record
//! cannot be read is rejected, never taken for a delete. And what a post can do without
//! (embeds, facets, tags, languages) is read leniently: a malformed part is left out,
//! because a lost crisis post is worse than a lost picture description.
//!
//! Records stay unparsed slices until the collection is known. Skipping over a like costs
//! a scan for its end and no allocation, and a skip never recurses however deep it nests.

mod events;
mod head;
mod packed;
mod reader;
mod record;
mod resume;
mod scan;
mod seam;
mod session;
mod skim;
mod subscription;
mod wire;

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use self::head::Head;
use crate::domain::event::{Cursor, Decoded, Rejected, SourceEvent};
use crate::domain::id::{PostId, SourceName};
use crate::domain::time::Timestamp;
use crate::source::lenient::Text;
use crate::source::sanity::{event_time, parse_object, parse_object_of};

pub use self::skim::skim;
pub use self::skim::{Buffers, Skimmed};
pub use self::wire::Jetstream;

/// The collection of posts.
pub const POSTS: &str = "app.bsky.feed.post";

/// A cursor may be ahead of our clock by so much before our clock is used instead. Too
/// early a cursor costs a few repetitions; one in the future would skip what lies between.
const CURSOR_AHEAD: Duration = Duration::from_mins(5);

/// Decodes one frame. `received_at` is absent when the frame comes from a file.
pub fn decode(source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Decoded {
    let envelope = match parse_object::<Envelope<'_>>(frame) {
        Ok(envelope) => envelope,
        Err(reason) => return rejected(place_of_rejected(frame, received_at), reason),
    };
    if envelope.form.is_some() {
        return events::decode(source, envelope.payload, received_at);
    }
    let Some(time_us) = envelope.time_us else {
        return rejected(None, Rejected::MissingField);
    };
    let stamp = Timestamp::from_micros(time_us);
    match event_time(stamp, received_at) {
        Ok(at) => Decoded { cursor: Some(cursor(stamp, received_at)), event: event(source, &envelope, at) },
        Err(reason) => rejected(None, reason),
    }
}

/// When the server saw what a frame tells, in microseconds since 1970, without reading the rest
/// where the layout is the usual one.
pub fn peek_time_us(frame: &[u8]) -> Option<i64> {
    peek(frame).map(|(time_us, _)| time_us)
}

/// The same, and on the v2 wire the sequence number.
fn peek(frame: &[u8]) -> Option<(i64, Option<u64>)> {
    if let Some(head) = Head::of(frame) {
        return Some((head.time_us, None));
    }
    if let Some((time_us, seq)) = events::peek(frame) {
        return Some((time_us, Some(seq)));
    }
    let place = serde_json::from_slice::<Place<'_>>(frame).ok()?;
    match place.payload {
        Some(payload) => events::place(payload),
        None => Some((place.time_us?, None)),
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    /// Only on the v2 wire, as `payload`.
    #[serde(borrow, rename = "$type")]
    form: Option<Text<'a>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    did: Option<Text<'a>>,
    time_us: Option<i64>,
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    commit: Option<Commit<'a>>,
    // Rare, so parsed only when the kind asks for them.
    #[serde(borrow)]
    identity: Option<&'a RawValue>,
    #[serde(borrow)]
    account: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct Commit<'a> {
    #[serde(borrow)]
    operation: Option<Text<'a>>,
    #[serde(borrow)]
    collection: Option<Text<'a>>,
    #[serde(borrow)]
    rkey: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) rev: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) cid: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) record: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Identity<'a> {
    #[serde(borrow)]
    handle: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Account<'a> {
    active: Option<bool>,
    #[serde(borrow)]
    status: Option<Text<'a>>,
}

/// Only the frame's place.
#[derive(Deserialize)]
struct Place<'a> {
    time_us: Option<i64>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

fn rejected(cursor: Option<Cursor>, reason: Rejected) -> Decoded {
    Decoded { cursor, event: Err(reason) }
}

/// A frame that is JSON with something wrong in it still moves the stream on.
fn place_of_rejected(frame: &[u8], received_at: Option<Timestamp>) -> Option<Cursor> {
    let stamp = Timestamp::from_micros(serde_json::from_slice::<Place<'_>>(frame).ok()?.time_us?);
    event_time(stamp, received_at).ok()?;
    Some(cursor(stamp, received_at))
}

/// The place of a frame with that stamp.
pub(super) fn cursor(stamp: Timestamp, received_at: Option<Timestamp>) -> Cursor {
    match received_at {
        Some(now) if stamp > now + CURSOR_AHEAD => Cursor(now.micros()),
        _ => Cursor(stamp.micros()),
    }
}

fn event(source: &SourceName, envelope: &Envelope<'_>, at: Timestamp) -> Result<SourceEvent, Rejected> {
    let did = required(envelope.did.as_ref())?;
    match required(envelope.kind.as_ref())? {
        "commit" => commit(source, did, envelope.commit.as_ref().ok_or(Rejected::MissingField)?, at),
        "identity" => identity(did, envelope.identity.ok_or(Rejected::MissingField)?),
        "account" => account(did, envelope.account.ok_or(Rejected::MissingField)?, at),
        _ => Ok(SourceEvent::Other),
    }
}

fn commit(source: &SourceName, did: &str, commit: &Commit<'_>, at: Timestamp) -> Result<SourceEvent, Rejected> {
    let operation = required(commit.operation.as_ref())?;
    if required(commit.collection.as_ref())? != POSTS {
        return Ok(SourceEvent::Other);
    }
    let rkey = required(commit.rkey.as_ref())?;
    let id = PostId::from(format!("at://{did}/{POSTS}/{rkey}"));
    match operation {
        "create" | "update" => {
            let url = format!("https://bsky.app/profile/{did}/post/{rkey}");
            let post = record::Address { source, did, id, url };
            Ok(SourceEvent::Post(Box::new(record::post(post, commit, at)?)))
        }
        "delete" => Ok(SourceEvent::PostDeleted { post: id, at }),
        _ => Ok(SourceEvent::Other),
    }
}

fn identity(did: &str, identity: &RawValue) -> Result<SourceEvent, Rejected> {
    let identity: Identity<'_> = parse_object_of(identity.get())?;
    Ok(match identity.handle {
        Some(Text(handle)) if !handle.is_empty() => {
            SourceEvent::Handle { author: did.into(), handle: handle.into_owned() }
        }
        _ => SourceEvent::Other,
    })
}

fn account(did: &str, account: &RawValue, at: Timestamp) -> Result<SourceEvent, Rejected> {
    let account: Account<'_> = parse_object_of(account.get())?;
    let active = account.active.ok_or(Rejected::MissingField)?;
    let status = account.status.as_ref().map(|Text(status)| status.as_ref());
    Ok(match (active, status) {
        (false, Some("deleted" | "takendown")) => SourceEvent::AuthorDeleted { author: did.into(), at },
        _ => SourceEvent::Other,
    })
}

/// A string without which the frame means nothing.
fn required<'a>(field: Option<&'a Text<'_>>) -> Result<&'a str, Rejected> {
    field.map(|Text(text)| text.as_ref()).filter(|text| !text.is_empty()).ok_or(Rejected::MissingField)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
