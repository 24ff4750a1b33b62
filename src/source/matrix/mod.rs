//! Matrix: the messages of rooms, as events of the client-server API (v1.13), to domain events.
//!
//! What `/sync` promises: its token (`next_batch`) is the server's own and lasts; what was said since
//! then comes, a long gap as `limited`, and is paged through (`wire`). A frame is one event with the
//! `room_id` it stands in, as `/rooms/{id}/messages` gives it.
//!
//! `origin_server_ts` is the clock of the sender's own server, which may be anybody's: it counts only
//! where it can be true, and says nothing of how far the rooms were read. An edit is an event of its
//! own that names the first one; that only the author can do so is not told by the event, so `wire`
//! asks. Encrypted events cannot be read.

mod pages;
mod wire;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{Text, lenient, text};
use super::plain;
use super::sanity::{claimed_or, claimed_or_received, cut, parse_object, within_budget};
use crate::domain::event::{Cursor, Decoded, Rejected, SourceEvent};
use crate::domain::id::{PostId, SourceName};
use crate::domain::post::{Post, PostKind};
use crate::domain::time::Timestamp;

pub use self::wire::Matrix;

/// Decodes one event. `received_at` is absent when it comes from a file.
pub fn decode(source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Decoded {
    let event = match parse_object::<Event<'_>>(frame) {
        Ok(event) => event,
        Err(reason) => return Decoded { cursor: received_at.map(Cursor::at), event: Err(reason) },
    };
    let stamp = event.origin_server_ts.map(|millis| Timestamp::from_micros(millis.saturating_mul(1000)));
    let at = claimed_or_received(stamp, received_at);
    let cursor = received_at.or(at.ok()).map(Cursor::at);
    Decoded { cursor, event: at.and_then(|at| read(source, &event, stamp, at)) }
}

#[derive(Deserialize)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, rename = "event_id")]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    room_id: Option<Text<'a>>,
    #[serde(borrow)]
    sender: Option<Text<'a>>,
    origin_server_ts: Option<i64>,
    // Rooms before version 11 have it here, later ones in the content, and some servers in both.
    #[serde(borrow)]
    redacts: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    unsigned: Option<&'a RawValue>,
}

/// What a message says. Its own words, or those that replace an earlier one's.
#[derive(Deserialize)]
struct Content<'a> {
    #[serde(borrow)]
    msgtype: Option<&'a RawValue>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(borrow)]
    filename: Option<&'a RawValue>,
    #[serde(borrow)]
    redacts: Option<&'a RawValue>,
    #[serde(borrow, rename = "m.relates_to")]
    relates_to: Option<&'a RawValue>,
    #[serde(borrow, rename = "m.new_content")]
    replacement: Option<&'a RawValue>,
}

/// How an event relates to another.
#[derive(Deserialize)]
struct Relation<'a> {
    #[serde(borrow)]
    rel_type: Option<&'a RawValue>,
    #[serde(borrow)]
    event_id: Option<&'a RawValue>,
    #[serde(borrow, rename = "m.in_reply_to")]
    in_reply_to: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    event_id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Unsigned<'a> {
    #[serde(borrow)]
    redacted_because: Option<&'a RawValue>,
}

fn read(
    source: &SourceName,
    event: &Event<'_>,
    stamp: Option<Timestamp>,
    at: Timestamp,
) -> Result<SourceEvent, Rejected> {
    let room = required(event.room_id.as_ref())?;
    let content = lenient::<Content<'_>>(event.content);
    match required(event.kind.as_ref())? {
        "m.room.redaction" => {
            let inside = content.and_then(|content| text(content.redacts));
            let gone = text(event.redacts).or(inside).ok_or(Rejected::MissingField)?;
            Ok(SourceEvent::PostDeleted { post: id(room, &gone), at })
        }
        "m.room.message" | "m.sticker" => {
            let own = required(event.id.as_ref())?;
            let unsigned = lenient::<Unsigned<'_>>(event.unsigned);
            if unsigned.is_some_and(|unsigned| unsigned.redacted_because.is_some()) {
                return Ok(SourceEvent::PostDeleted { post: id(room, own), at });
            }
            let content = content.ok_or(Rejected::MissingField)?;
            let message = Message { room, own, sender: required(event.sender.as_ref())?, stamp: stamp.unwrap_or(at) };
            Ok(SourceEvent::Post(Box::new(message.post(source, &content, at)?)))
        }
        _ => Ok(SourceEvent::Other),
    }
}

/// What surrounds a message's content.
struct Message<'a> {
    room: &'a str,
    own: &'a str,
    sender: &'a str,
    /// What the sender's server claims.
    stamp: Timestamp,
}

impl Message<'_> {
    fn post(&self, source: &SourceName, content: &Content<'_>, at: Timestamp) -> Result<Post, Rejected> {
        let replaced = replaced(content);
        let new = lenient::<Content<'_>>(content.replacement);
        let said = new.as_ref().filter(|_| replaced.is_some()).unwrap_or(content);
        let body = text(said.body).ok_or(Rejected::MissingField)?;
        let first = replaced.as_deref().unwrap_or(self.own);
        let relation = lenient::<Relation<'_>>(said.relates_to).or_else(|| lenient(content.relates_to));
        let reply_to = relation.as_ref().and_then(answered);
        let kind = text(said.msgtype);
        let is_media = matches!(kind.as_deref(), None | Some("m.image" | "m.video" | "m.audio" | "m.file"));
        // Beside a file name, `body` is what the author wrote; alone it is the name, or a description.
        let has_caption = text(said.filename).is_some_and(|name| name != body);
        let mut post = Post::plain(id(self.room, first), source.clone(), self.sender.into(), String::new(), at);
        if is_media && !has_caption {
            post.media_text = within_budget(vec![cut(&body).to_owned()]);
        } else {
            let words = if reply_to.is_some() { without_quotation(&body) } else { &body };
            post.text = String::from(cut(words));
        }
        post.has_media = is_media;
        post.version = replaced.is_some().then(|| self.own.to_owned());
        post.url = Some(address(self.room, first));
        post.created_at = claimed_or(Some(self.stamp), at).min(at);
        post.author.handle = Some(self.sender.trim_start_matches('@').to_owned());
        post.kind = if reply_to.is_some() { PostKind::Reply } else { PostKind::Post };
        post.reply_to = reply_to.map(|other| id(self.room, &other));
        post.links = plain::links(&post.text);
        Ok(post)
    }
}

/// The event that this one replaces.
fn replaced(content: &Content<'_>) -> Option<String> {
    let relation = lenient::<Relation<'_>>(content.relates_to)?;
    let replaces = text(relation.rel_type)? == "m.replace" && content.replacement.is_some();
    text(relation.event_id).filter(|_| replaces).map(Cow::into_owned)
}

/// The event that a message answers, or the thread it stands in.
fn answered(relation: &Relation<'_>) -> Option<String> {
    let direct = lenient::<Reply<'_>>(relation.in_reply_to).and_then(|reply| text(reply.event_id));
    let thread = || text(relation.event_id).filter(|_| text(relation.rel_type).as_deref() == Some("m.thread"));
    direct.or_else(thread).map(Cow::into_owned)
}

/// An answer without what older clients repeat before it of what it answers (spec before v1.13, "reply
/// fallbacks"): somebody else's words would count as its author's.
fn without_quotation(body: &str) -> &str {
    let mut rest = body;
    while let Some(line) = rest.strip_prefix("> ") {
        rest = line.split_once('\n').map_or("", |(_, after)| after);
    }
    let answer = rest.trim_start_matches('\n');
    if answer.is_empty() { body } else { answer }
}

fn id(room: &str, event: &str) -> PostId {
    PostId::from(format!("matrix:{room}/{event}"))
}

/// Where a person finds it: `matrix.to` opens it in any client, and asks the servers of the room's name.
fn address(room: &str, event: &str) -> String {
    let mut url = format!("https://matrix.to/#/{}/{}", encoded(room), encoded(event));
    if let Some((_, server)) = room.split_once(':') {
        url.push_str("?via=");
        url.push_str(&encoded(server));
    }
    url
}

fn encoded(text: &str) -> String {
    // Not `form_urlencoded`, which writes a space as `+`; ids have none.
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn required<'a>(field: Option<&'a Text<'_>>) -> Result<&'a str, Rejected> {
    field.map(|Text(text)| text.as_ref()).filter(|text| !text.is_empty()).ok_or(Rejected::MissingField)
}

#[cfg(test)]
mod tests;
