//! Nostr (<https://github.com/nostr-protocol/nips>): what a relay says, to a domain event.
//!
//! Pure: bytes in, [`Decoded`] out. A relay is a stranger that repeats what strangers wrote, so an event is
//! its author's only when its id is the hash of what it says and its signature is that of its public key
//! (NIP-01, BIP-340); everything else is [`Rejected::Forged`].
//!
//! Names hold the author: `nostr:PUBKEY:ID`. Anybody can ask for the deletion of any event (NIP-09), and only
//! its author may; a deletion decodes to the name of a post *by whoever signed it*, so that for somebody
//! else's post there is none of that name. Articles are named by their address (`nostr:PUBKEY:KIND:D`),
//! because an edit is a new event at the same address.
//!
//! A repost carries no word of its own and is no post here, as on Bluesky; the note in it is handed on by the
//! task as a frame of its own (`wire.rs`), and verified like any other.
//!
//! The only time is the author's. A claim more than 15 minutes ahead is refused.

mod event;
mod relays;
mod wire;

use std::borrow::Cow;
use std::time::Duration;

use serde_json::value::RawValue;

pub use self::event::Event;
pub use self::relays::read;
use crate::domain::event::{Cursor, Decoded, Rejected, SourceEvent};
use crate::domain::id::{AuthorId, PostId, SourceName};
use crate::domain::post::{Author, Post, PostKind};
use crate::domain::time::Timestamp;
use crate::source::bridge::claimed;
use crate::source::plain::links;
use crate::source::sanity::{
    MAX_ITEMS, MAX_LINK_BYTES, MAX_TAG_BYTES, claimed_or_received, cut, keep, parse_any, within_budget,
};
use crate::wire::bech32;

/// How far an author's clock may be ahead.
const AHEAD: Duration = Duration::from_mins(15);

/// Kinds of event (NIP-01 and others) that this program reads.
mod kind {
    pub(super) const NOTE: u64 = 1;
    pub(super) const DELETION: u64 = 5;
    pub(super) const REPOST: u64 = 6;
    pub(super) const GENERIC_REPOST: u64 = 16;
    pub(super) const COMMENT: u64 = 1111;
    pub(super) const ARTICLE: u64 = 30023;
    pub(super) const AUTH: u64 = 22242;
    /// Note, picture, video, short video, comment, live chat, article.
    pub(super) const POSTS: [u64; 7] = [NOTE, 20, 21, 22, COMMENT, 1311, ARTICLE];
    /// Whose newest event at an address is the one that counts.
    pub(super) const ADDRESSABLE: std::ops::Range<u64> = 30000..40000;
}

/// Decodes one message of a relay, or one bare event. A deletion of several posts is told apart by a number
/// behind the event, which the task adds: which of them this frame is about.
pub fn decode(source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Decoded {
    Decoded { cursor: received_at.map(Cursor::at), event: decoded(source, frame, received_at) }
}

fn decoded(source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Result<SourceEvent, Rejected> {
    let Some((event, place)) = event_of(frame)? else { return Ok(SourceEvent::Other) };
    if event.kind == kind::DELETION {
        event.verify()?;
        return deletion(&event, place, received_at);
    }
    if !kind::POSTS.contains(&event.kind) {
        return Ok(SourceEvent::Other);
    }
    event.verify()?;
    let claim = event.time();
    if received_at.is_some_and(|now| claim > now + AHEAD) {
        return Err(Rejected::AbsurdDate);
    }
    let at = claimed_or_received(Some(claim), received_at)?;
    if event
        .tag("expiration")
        .and_then(|until| until.parse().ok())
        .is_some_and(|until| Timestamp::from_seconds(until) <= at)
    {
        return Ok(SourceEvent::Other);
    }
    Ok(SourceEvent::Post(Box::new(post(source, &event, at))))
}

/// Whether a line is a relay's `EVENT`.
pub fn is_event(line: &[u8]) -> bool {
    event_of(line).is_ok_and(|event| event.is_some())
}

/// The event of a message, and the number behind it; none in what carries no event.
fn event_of(frame: &[u8]) -> Result<Option<(Event<'_>, usize)>, Rejected> {
    if frame.trim_ascii_start().starts_with(b"{") {
        return Ok(Some((parse_any(frame)?, 0)));
    }
    let parts: Vec<&RawValue> = parse_any(frame)?;
    let word = parts.first().and_then(|word| serde_json::from_str::<String>(word.get()).ok());
    if word.ok_or(Rejected::WrongType)? != "EVENT" {
        return Ok(None);
    }
    // A client's own `EVENT` has no subscription.
    let event = parts.iter().skip(1).find(|part| part.get().starts_with('{')).ok_or(Rejected::MissingField)?;
    let place = parts.get(3).and_then(|number| number.get().parse().ok()).unwrap_or(0);
    Ok(Some((parse_any(event.get().as_bytes())?, place)))
}

/// What a deletion takes back, in the order of its tags: names of posts by its own author.
fn targets(event: &Event<'_>) -> Vec<PostId> {
    let by = &event.pubkey;
    let target = |tag: &Vec<Cow<'_, str>>| match (tag.first().map(AsRef::as_ref), tag.get(1).map(AsRef::as_ref)) {
        (Some("e"), Some(id)) => Some(format!("nostr:{by}:{id}").into()),
        (Some("a"), Some(address)) => {
            let (kind, rest) = address.split_once(':')?;
            let (author, name) = rest.split_once(':')?;
            (author == by).then(|| format!("nostr:{by}:{kind}:{name}").into())
        }
        _ => None,
    };
    event.tags.iter().filter_map(target).collect()
}

fn deletion(event: &Event<'_>, place: usize, received_at: Option<Timestamp>) -> Result<SourceEvent, Rejected> {
    let at = claimed_or_received(Some(event.time()), received_at)?;
    Ok(targets(event).into_iter().nth(place).map_or(SourceEvent::Other, |post| SourceEvent::PostDeleted { post, at }))
}

fn post(source: &SourceName, event: &Event<'_>, at: Timestamp) -> Post {
    let address = kind::ADDRESSABLE.contains(&event.kind).then(|| event.tag("d").unwrap_or_default());
    let id = match address {
        Some(name) => format!("nostr:{}:{}:{name}", event.pubkey, event.kind),
        None => format!("nostr:{}:{}", event.pubkey, event.id),
    };
    let (reply_to, quote_of) = (parent(event), quoted(event));
    let kind = match (&reply_to, &quote_of) {
        (Some(_), _) => PostKind::Reply,
        (None, Some(_)) => PostKind::Quote,
        (None, None) => PostKind::Post,
    };
    let text = match event.tag("title") {
        Some(title) if !title.is_empty() => format!("{title}\n{}", event.content),
        _ => event.content.to_string(),
    };
    let author = bech32::write("npub", &event.pubkey_bytes());
    let mut post = Post {
        version: address.map(|_| event.id.to_string()),
        url: Some(format!("https://njump.me/{}", event.id)),
        created_at: event.time().min(at + AHEAD),
        author: Author { id: AuthorId::from(event.pubkey.as_ref()), handle: Some(author), name: None, followers: None },
        kind,
        reply_to,
        quote_of,
        has_media: (20..=22).contains(&event.kind),
        ..Post::plain(id.into(), source.clone(), String::new().into(), cut(&text).to_owned(), at)
    };
    for link in links(&post.text) {
        keep(&mut post.links, &link, MAX_LINK_BYTES);
    }
    let mut media_text = Vec::new();
    for tag in &event.tags {
        let value = tag.get(1).map_or("", AsRef::as_ref);
        match tag.first().map_or("", AsRef::as_ref) {
            "t" => keep(&mut post.tags, value.trim_start_matches('#'), MAX_TAG_BYTES),
            "r" if value.starts_with("http") => keep(&mut post.links, value, MAX_LINK_BYTES),
            "l" if tag.get(2).is_some_and(|of| of == "ISO-639-1") => keep(&mut post.lang, value, MAX_TAG_BYTES),
            // NIP-48. Of a feed it names the item in words of its own.
            "proxy" if tag.get(2).is_some_and(|of| matches!(of.as_ref(), "activitypub" | "atproto" | "web")) => {
                post.copy_of = claimed(value);
            }
            "content-warning" | "summary" => keep(&mut media_text, value, usize::MAX),
            "imeta" => {
                post.has_media = true;
                for part in tag.iter().skip(1).take(MAX_ITEMS) {
                    part.strip_prefix("alt ").iter().for_each(|alt| keep(&mut media_text, alt, usize::MAX));
                }
            }
            _ => {}
        }
    }
    post.media_text = within_budget(media_text);
    post
}

/// The event of a tag as a name: with its author where the tag says who that is.
fn named(id: &str, author: Option<&str>) -> PostId {
    match author.filter(|author| author.len() == 64) {
        Some(author) => format!("nostr:{author}:{id}").into(),
        None => format!("nostr:{id}").into(),
    }
}

/// The event this one answers (NIP-10, NIP-22): marked as such, or the last that is named, as in older notes.
fn parent(event: &Event<'_>) -> Option<PostId> {
    let part = |tag: &'_ [_], place: usize| -> Option<String> { tag.get(place).map(ToString::to_string) };
    let tags: Vec<&Vec<_>> =
        event.tags.iter().filter(|tag| tag.first().is_some_and(|name| name == "e") && tag.len() > 1).collect();
    if event.kind == kind::COMMENT {
        let tag = tags.last()?;
        return Some(named(&part(tag, 1)?, part(tag, 3).as_deref()));
    }
    let marked = |marker: &str| tags.iter().rev().find(|tag| tag.get(3).is_some_and(|of| of == marker));
    let unmarked = || tags.iter().rev().find(|tag| tag.get(3).is_none_or(|of| of.is_empty()));
    let tag = marked("reply").or_else(|| marked("root")).or_else(unmarked)?;
    Some(named(&part(tag, 1)?, part(tag, 4).as_deref()))
}

/// The event this one quotes (NIP-18).
fn quoted(event: &Event<'_>) -> Option<PostId> {
    let tag = event.tags.iter().find(|tag| tag.first().is_some_and(|name| name == "q") && tag.len() > 1)?;
    Some(named(tag.get(1)?, tag.get(3).map(AsRef::as_ref)))
}
