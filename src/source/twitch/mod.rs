//! Twitch's chat as `EventSub` tells it: messages over a WebSocket to domain events.
//!
//! What it promises: each message at least once; nothing that was said while nobody was connected is repeated. The server
//! says that it is there, and nothing may be said to it: what is to be told is subscribed to by HTTP. Before it goes it
//! names another address, and both connections stand until the new one does. Ids are those of chat over IRC, so that
//! one may be changed for the other. A frame is one message as it came, or a deletion that `memory.rs` found
//! the name of.

mod memory;
mod wire;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{lenient, text};
use super::plain;
use super::sanity::{MAX_TAG_BYTES, cut, event_time, parse_object};
use crate::domain::event::{Cursor, Decoded, Rejected, SourceEvent};
use crate::domain::id::{AuthorId, PostId, SourceName};
use crate::domain::post::{Post, PostKind};
use crate::domain::time::Timestamp;

pub use self::wire::Eventsub;

/// A message is written.
const MESSAGE: &str = "channel.chat.message";
/// One is taken away.
const DELETED: &str = "channel.chat.message_delete";
/// All that somebody wrote in one channel is.
const CLEARED: &str = "channel.chat.clear_user_messages";

/// What comes over the socket.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, rename = "message_id")]
    id: Option<&'a RawValue>,
    #[serde(borrow, rename = "message_type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, rename = "message_timestamp")]
    timestamp: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    session: Option<&'a RawValue>,
    #[serde(borrow)]
    subscription: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Subscription<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
}

/// What happened in a chat.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    broadcaster_user_id: Option<&'a RawValue>,
    #[serde(borrow)]
    broadcaster_user_login: Option<&'a RawValue>,
    #[serde(borrow)]
    chatter_user_id: Option<&'a RawValue>,
    #[serde(borrow)]
    chatter_user_login: Option<&'a RawValue>,
    #[serde(borrow)]
    chatter_user_name: Option<&'a RawValue>,
    #[serde(borrow)]
    target_user_id: Option<&'a RawValue>,
    #[serde(borrow)]
    message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    reply: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Spoken<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Answered<'a> {
    #[serde(borrow)]
    parent_message_id: Option<&'a RawValue>,
}

/// Decodes one message. `received_at` is absent when it comes from a file.
pub fn decode(source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Decoded {
    let read = parse_object::<Message<'_>>(frame).and_then(|message| event(source, &message, received_at));
    match read {
        Ok((at, event)) => Decoded { cursor: at.or(received_at).map(Cursor::at), event: Ok(event) },
        Err(reason) => Decoded { cursor: received_at.map(Cursor::at), event: Err(reason) },
    }
}

fn event(
    source: &SourceName,
    message: &Message<'_>,
    received_at: Option<Timestamp>,
) -> Result<(Option<Timestamp>, SourceEvent), Rejected> {
    let Some(payload) = lenient::<Payload<'_>>(message.payload) else { return Ok((None, SourceEvent::Other)) };
    let kind = lenient::<Subscription<'_>>(payload.subscription).and_then(|subscription| text(subscription.kind));
    let kind = kind.filter(|_| payload.event.is_some());
    let (Some(MESSAGE | DELETED), Some(raw)) = (kind.as_deref(), payload.event) else {
        return Ok((None, SourceEvent::Other));
    };
    let metadata = lenient::<Metadata<'_>>(message.metadata);
    let stamp = metadata.and_then(|metadata| text(metadata.timestamp)).ok_or(Rejected::MissingField)?;
    let at = event_time(Timestamp::parse(&stamp).or(Err(Rejected::AbsurdDate))?, received_at)?;
    let event: Event<'_> = super::sanity::parse_object_of(raw.get())?;
    let id = text(event.message_id).filter(|id| is_short(id)).ok_or(Rejected::MissingField)?;
    if kind.as_deref() == Some(DELETED) {
        return Ok((Some(at), SourceEvent::PostDeleted { post: name(&id), at }));
    }
    Ok((Some(at), SourceEvent::Post(Box::new(post(source, &event, &id, at)?))))
}

fn post(source: &SourceName, event: &Event<'_>, id: &str, at: Timestamp) -> Result<Post, Rejected> {
    let writer = text(event.chatter_user_id).filter(|id| is_short(id)).ok_or(Rejected::MissingField)?;
    let spoken = lenient::<Spoken<'_>>(event.message).ok_or(Rejected::MissingField)?;
    let words = text(spoken.text).unwrap_or_default();
    let author = AuthorId::from(format!("twitch:{writer}"));
    let mut post = Post::plain(name(id), source.clone(), author, cut(&words).to_owned(), at);
    post.links = plain::links(&post.text);
    let short = |raw| text(raw).filter(|name| is_short(name)).map(Cow::into_owned);
    post.author.handle = short(event.chatter_user_login);
    post.author.name = short(event.chatter_user_name);
    let is_login = |login: &String| login.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let channel = short(event.broadcaster_user_login).filter(is_login);
    post.url = channel.map(|channel| format!("https://www.twitch.tv/{channel}"));
    let answered = lenient::<Answered<'_>>(event.reply).and_then(|reply| short(reply.parent_message_id));
    post.reply_to = answered.as_deref().map(name);
    post.kind = if post.reply_to.is_some() { PostKind::Reply } else { PostKind::Post };
    Ok(post)
}

fn name(id: &str) -> PostId {
    PostId::from(format!("twitch:{id}"))
}

fn is_short(text: &str) -> bool {
    text.len() <= MAX_TAG_BYTES
}

#[cfg(test)]
mod tests;
