//! Any JSON over a WebSocket: one message, and an operator's word on where its fields are, to a domain event.
//!
//! Pure: bytes and a [`Mapping`] in, [`Decoded`] out. The wire promises nothing, so nothing is taken for
//! granted: a server's own stamp counts only where the mapping names one, and whether a message is a post or
//! takes one back is what its conditions say. A message that is to be a post and cannot be read is rejected,
//! and never taken for a deletion.

mod wire;

use serde_json::Value;

use crate::config::model::Mapping;
use crate::domain::event::{Cursor, Decoded, Rejected, SourceEvent};
use crate::domain::id::{PostId, SourceName};
use crate::domain::key::Key;
use crate::domain::post::{Author, Post, PostKind};
use crate::domain::time::Timestamp;
use crate::source::sanity::{
    MAX_ITEMS, MAX_LINK_BYTES, MAX_TAG_BYTES, claimed_or, claimed_or_received, cut, event_time, keep, parse_any,
    within_budget,
};
use crate::wire::pointer::{Pointer, scalar};

pub use self::wire::Websocket;
pub(super) use self::wire::apart;

/// No name of a post or an author is longer, in bytes.
const MAX_ID_BYTES: usize = 1024;

/// Decodes one message. `received_at` is absent when it comes from a file.
pub fn decode(mapping: &Mapping, source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Decoded {
    let read = parse_any::<Value>(frame).and_then(|message| {
        let reading = Reading { mapping, message: &message, received_at };
        reading.stamp().map(|stamp| (stamp, reading.event(source, stamp)))
    });
    match read {
        Ok((stamp, event)) => Decoded { cursor: stamp.or(received_at).map(Cursor::at), event },
        Err(reason) => Decoded { cursor: received_at.map(Cursor::at), event: Err(reason) },
    }
}

struct Reading<'a> {
    mapping: &'a Mapping,
    message: &'a Value,
    received_at: Option<Timestamp>,
}

impl Reading<'_> {
    fn event(&self, source: &SourceName, stamp: Option<Timestamp>) -> Result<SourceEvent, Rejected> {
        let Mapping { post, delete, fields, .. } = self.mapping;
        if delete.as_ref().is_some_and(|delete| delete.holds(self.message)) {
            let at = stamp.or(self.received_at).or_else(|| self.claim()).ok_or(Rejected::MissingField)?;
            return Ok(SourceEvent::PostDeleted { post: self.id(&fields.id)?, at });
        }
        let is_post = post.as_ref().map_or_else(
            || self.text(&fields.id).is_some() && fields.text.iter().any(|place| place.first(self.message).is_some()),
            |post| post.holds(self.message),
        );
        if is_post { Ok(SourceEvent::Post(Box::new(self.post(source, stamp)?))) } else { Ok(SourceEvent::Other) }
    }

    fn post(&self, source: &SourceName, stamp: Option<Timestamp>) -> Result<Post, Rejected> {
        let fields = &self.mapping.fields;
        let author = self.id(&fields.author)?;
        let at = stamp.map_or_else(|| claimed_or_received(self.claim(), self.received_at), Ok)?;
        let text = self.words()?;
        let id: PostId = self.id(&fields.id)?;
        let reference = |places| self.id::<PostId>(places).ok();
        let (reply_to, quote_of, repost_of) =
            (reference(&fields.reply_to), reference(&fields.quote_of), reference(&fields.repost_of));
        let kind = match (&repost_of, &reply_to, &quote_of) {
            (Some(_), ..) => PostKind::Repost,
            (_, Some(_), _) => PostKind::Reply,
            (.., Some(_)) => PostKind::Quote,
            _ => PostKind::Post,
        };
        let version = self.text(&fields.version).unwrap_or_else(|| format!("{:016x}", Key::of(&text).bits()));
        let media_text = within_budget(self.list(&fields.media_text, usize::MAX));
        Ok(Post {
            version: Some(version),
            url: self.text(&fields.url).filter(|url| is_web_address(url)),
            created_at: claimed_or(self.claim(), at),
            author: Author {
                id: author,
                handle: self.text(&fields.handle).map(|handle| handle.trim_start_matches('@').to_owned()),
                name: self.text(&fields.name),
                followers: self.text(&fields.followers).and_then(|count| count.parse().ok()),
            },
            lang: self.list(&fields.lang, MAX_TAG_BYTES),
            kind,
            reply_to,
            quote_of,
            repost_of,
            links: self.list(&fields.links, MAX_LINK_BYTES),
            tags: self.tags(),
            has_media: !media_text.is_empty(),
            media_text,
            ..Post::plain(id, source.clone(), String::new().into(), text, at)
        })
    }

    /// The server's stamp, where the mapping names one.
    fn stamp(&self) -> Result<Option<Timestamp>, Rejected> {
        let stamp = self.time(&self.mapping.fields.event_time);
        stamp.map(|stamp| event_time(stamp, self.received_at)).transpose()
    }

    fn claim(&self) -> Option<Timestamp> {
        self.time(&self.mapping.fields.created_at)
    }

    fn time(&self, places: &[Pointer]) -> Option<Timestamp> {
        self.text(places).as_deref().and_then(time)
    }

    /// The first of `places` that says something.
    fn text(&self, places: &[Pointer]) -> Option<String> {
        let said =
            places.iter().filter_map(|place| scalar(place.first(self.message)?)).find(|text| !text.is_empty())?;
        Some(cut(&said).to_owned())
    }

    /// The texts of all places, put together. Where one says what is no text, the message is not what it was
    /// taken for.
    fn words(&self) -> Result<String, Rejected> {
        let mut words = String::new();
        for value in self.mapping.fields.text.iter().flat_map(|place| place.all(self.message)).take(MAX_ITEMS) {
            let text = match value {
                Value::String(text) => text.as_str(),
                Value::Null => continue,
                _ => return Err(Rejected::WrongType),
            };
            if !words.is_empty() && !text.is_empty() {
                words.push('\n');
            }
            words.push_str(text);
        }
        Ok(cut(&words).to_owned())
    }

    fn id<T: From<String>>(&self, places: &[Pointer]) -> Result<T, Rejected> {
        let id = self.text(places).filter(|id| id.len() <= MAX_ID_BYTES).ok_or(Rejected::MissingField)?;
        let is_global = id.contains("://") || id.starts_with("did:") || id.starts_with("urn:");
        Ok(if is_global { id.into() } else { format!("{}{id}", self.mapping.prefix).into() })
    }

    fn list(&self, places: &[Pointer], longest: usize) -> Vec<String> {
        let mut list = Vec::new();
        for value in places.iter().flat_map(|place| place.all(self.message)) {
            let items = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
            for text in items.iter().take(MAX_ITEMS).filter_map(scalar) {
                keep(&mut list, &text, longest);
            }
        }
        list
    }

    fn tags(&self) -> Vec<String> {
        let tags = self.list(&self.mapping.fields.tags, MAX_TAG_BYTES);
        tags.iter().map(|tag| tag.trim_start_matches('#').to_owned()).filter(|tag| !tag.is_empty()).collect()
    }
}

fn is_web_address(text: &str) -> bool {
    text.len() <= MAX_LINK_BYTES && (text.starts_with("https://") || text.starts_with("http://"))
}

/// RFC 3339, or a number since 1970 in seconds, milliseconds, microseconds or nanoseconds, told apart by its
/// size: each of them means the years 2001 to 2286 in its own range.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    if let Ok(time) = Timestamp::parse(text) {
        return Some(time);
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number: i64 = whole.parse().ok()?;
    let micros = match number {
        1_000_000_000..10_000_000_000 => number * 1_000_000 + micros_of(fraction)?,
        1_000_000_000_000..10_000_000_000_000 => number * 1000,
        1_000_000_000_000_000..10_000_000_000_000_000 => number,
        1_000_000_000_000_000_000.. => number / 1000,
        _ => return None,
    };
    Some(Timestamp::from_micros(micros))
}

/// The microseconds of the digits behind a point.
fn micros_of(fraction: &str) -> Option<i64> {
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(6).collect();
    digits.chars().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
