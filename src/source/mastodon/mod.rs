//! The fediverse: what instances say of statuses, to a domain event.
//!
//! Pure: bytes in, [`Decoded`] out. A status is named by its `uri`, which is the same on every instance that
//! has it; so the same post over several streams and instances is one. A deletion on the wire has only the
//! instance's own number, so the task (`wire.rs`) adds the `uri` it remembers for it.
//!
//! What a status can do without is read leniently; without `uri`, account or content it is rejected, and
//! nothing but the event `delete` ever takes a post back. Posts that are not public are left out: they are
//! nobody's to listen to.
//!
//! An instance repeats what other instances say of the time, so a status counts when its author's server says
//! it was written, where that can be.

mod html;
mod memory;
mod misskey;
mod talk;
mod timeline;
mod wire;

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use url::Url;

use self::html::text_and_links;
pub use self::misskey::Misskey;
pub use self::wire::Mastodon;
use crate::domain::event::{Cursor, Decoded, Rejected, SourceEvent};
use crate::domain::id::{PostId, SourceName};
use crate::domain::post::{Author, Post, PostKind};
use crate::domain::time::Timestamp;
use crate::source::bridge::carried;
use crate::source::sanity::{
    MAX_ITEMS, MAX_LINK_BYTES, MAX_TAG_BYTES, claimed_or, claimed_or_received, cut, keep, parse_any, parse_object,
    within_budget,
};

/// What an instance says of itself, the newest first, and where in it the address of its streams is (a JSON pointer).
pub const STREAMS_NAMED_IN: [(&str, &str); 2] =
    [("api/v2/instance", "/configuration/urls/streaming"), ("api/v1/instance", "/urls/streaming_api")];

/// No name of a post or an author is longer, in bytes.
const MAX_ID_BYTES: usize = 4096;

/// Decodes one message of a stream: as a WebSocket brings it, as lines of server-sent events, or a bare status.
pub fn decode(source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Decoded {
    let event = decoded(source, frame, received_at);
    // A deletion says nothing of whether new posts still come: an instance with its public streams switched off
    // goes on sending them (mastodon#37883).
    let sees = !matches!(event, Ok(SourceEvent::PostDeleted { .. } | SourceEvent::Other));
    Decoded { cursor: received_at.filter(|_| sees).map(Cursor::at), event }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    event: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    note: Option<&'a RawValue>,
    uri: Option<String>,
    host: Option<String>,
}

fn decoded(source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Result<SourceEvent, Rejected> {
    if frame.starts_with(b"event:") || frame.starts_with(b"data:") {
        return server_sent(source, frame, received_at);
    }
    let envelope: Envelope<'_> = parse_object(frame)?;
    if let Some(note) = envelope.note {
        return misskey::note(source, note, envelope.host.as_deref(), received_at);
    }
    let (Some(event), payload) = (envelope.event, envelope.payload) else {
        let bare: Map<String, Value> = parse_object(frame)?;
        return if bare.contains_key("content") { status(source, &bare, received_at) } else { Ok(SourceEvent::Other) };
    };
    match (event.as_ref(), payload) {
        ("update" | "status.update" | "status_update", Some(payload)) => status(source, &inner(payload)?, received_at),
        ("update" | "status.update" | "status_update", None) => Err(Rejected::MissingField),
        ("delete", _) => Ok(match (envelope.uri, received_at) {
            (Some(uri), Some(at)) => SourceEvent::PostDeleted { post: uri.into(), at },
            _ => SourceEvent::Other,
        }),
        _ => Ok(SourceEvent::Other),
    }
}

fn server_sent(source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Result<SourceEvent, Rejected> {
    let text = std::str::from_utf8(frame).or(Err(Rejected::NotJson))?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    match (field("event:"), field("data:")) {
        (Some("update" | "status.update"), Some(data)) => status(source, &parse_object(data.as_bytes())?, received_at),
        _ => Ok(SourceEvent::Other),
    }
}

/// A payload is a document inside a string, or, where we put it together, a document.
fn inner<T: DeserializeOwned>(payload: &RawValue) -> Result<T, Rejected> {
    if payload.get().starts_with('"') {
        let text: String = parse_any(payload.get().as_bytes())?;
        return parse_object(text.as_bytes());
    }
    parse_object(payload.get().as_bytes())
}

fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str().filter(|text| !text.is_empty())
}

fn items<'a>(object: &'a Map<String, Value>, key: &str) -> impl Iterator<Item = &'a Map<String, Value>> {
    let list = object.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    list.iter().filter_map(Value::as_object).take(MAX_ITEMS)
}

/// A web address, or nothing.
fn link(text: &str) -> Option<String> {
    let is_one = text.len() <= MAX_LINK_BYTES && (text.starts_with("https://") || text.starts_with("http://"));
    is_one.then(|| text.to_owned())
}

fn status(
    source: &SourceName,
    status: &Map<String, Value>,
    received_at: Option<Timestamp>,
) -> Result<SourceEvent, Rejected> {
    if matches!(text(status, "visibility"), Some("private" | "direct")) {
        return Ok(SourceEvent::Other);
    }
    let id = name(status)?;
    let author = author(status.get("account").and_then(Value::as_object).ok_or(Rejected::MissingField)?)?;
    let shared = status.get("reblog").and_then(Value::as_object);
    let says = shared.unwrap_or(status);
    let content = says.get("content").ok_or(Rejected::MissingField)?.as_str().ok_or(Rejected::WrongType)?;
    let time = |key: &str| Timestamp::parse(text(status, key)?).ok();
    let (created, edited) = (time("created_at"), time("edited_at"));
    let at = claimed_or_received(edited.or(created), received_at)?;
    let (plain, links) = text_and_links(content);
    let quoted = says.get("quote").and_then(|quote| quote.get("quoted_status").unwrap_or(quote).as_object());
    let quote_of: Option<PostId> = quoted.and_then(|quoted| name(quoted).ok());
    let reply_to = text(status, "in_reply_to_id").map(|id| PostId::from(format!("mastodon:{id}")));
    let repost_of = shared.and_then(|shared| name(shared).ok());
    let kind = match (shared, &reply_to, &quote_of) {
        (Some(_), ..) => PostKind::Repost,
        (None, Some(_), _) => PostKind::Reply,
        (None, None, Some(_)) => PostKind::Quote,
        (None, None, None) => PostKind::Post,
    };
    let url = text(status, "url").and_then(link).or_else(|| link(id.as_str()));
    let mut post = Post {
        version: text(status, "edited_at").map(|edited| edited.chars().take(64).collect()),
        url,
        created_at: claimed_or(created, at),
        kind,
        reply_to,
        quote_of,
        copy_of: carried(id.as_str(), &author),
        repost_of,
        author,
        links,
        ..Post::plain(id, source.clone(), String::new().into(), cut(&plain).to_owned(), at)
    };
    details(says, &mut post);
    Ok(SourceEvent::Post(Box::new(post)))
}

/// What a post can do without.
fn details(status: &Map<String, Value>, post: &mut Post) {
    if let Some(lang) = text(status, "language") {
        keep(&mut post.lang, lang, MAX_TAG_BYTES);
    }
    for tag in items(status, "tags").filter_map(|tag| text(tag, "name")) {
        keep(&mut post.tags, tag.trim_start_matches('#'), MAX_TAG_BYTES);
    }
    let mut media_text = Vec::new();
    let mut describe = |text: Option<&str>| {
        if let Some(text) = text {
            keep(&mut media_text, cut(text), usize::MAX);
        }
    };
    describe(text(status, "spoiler_text"));
    for media in items(status, "media_attachments") {
        post.has_media = true;
        describe(text(media, "description"));
    }
    if let Some(poll) = status.get("poll").and_then(Value::as_object) {
        items(poll, "options").for_each(|option| describe(text(option, "title")));
    }
    if let Some(card) = status.get("card").and_then(Value::as_object) {
        if let Some(url) = text(card, "url").and_then(link) {
            keep(&mut post.links, &url, MAX_LINK_BYTES);
        }
        describe(text(card, "title"));
        describe(text(card, "description"));
    }
    post.media_text = within_budget(media_text);
}

/// The name of a status that all instances share.
fn name(status: &Map<String, Value>) -> Result<PostId, Rejected> {
    let uri = text(status, "uri").or_else(|| text(status, "url"));
    uri.filter(|uri| uri.len() <= MAX_ID_BYTES).map(PostId::from).ok_or(Rejected::MissingField)
}

fn author(account: &Map<String, Value>) -> Result<Author, Rejected> {
    let home = text(account, "url").or_else(|| text(account, "uri"));
    let id = text(account, "uri").or(home).filter(|id| id.len() <= MAX_ID_BYTES).ok_or(Rejected::MissingField)?;
    // Authors of the instance itself are told without its name.
    let handle = text(account, "acct").map(|acct| match (acct.contains('@'), home.and_then(host)) {
        (false, Some(host)) => format!("{acct}@{host}"),
        _ => acct.to_owned(),
    });
    Ok(Author {
        id: id.into(),
        handle: handle.map(|handle| cut(&handle).to_owned()),
        name: text(account, "display_name").map(|name| cut(name).to_owned()),
        followers: account.get("followers_count").and_then(Value::as_u64),
    })
}

fn host(url: &str) -> Option<String> {
    Url::parse(url).ok()?.host_str().map(str::to_owned)
}
