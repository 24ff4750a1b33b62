//! Discourse: what a forum's webhook says of its posts, to domain events.
//!
//! What it promises: a call for each event, tried again a few times, then lost; no order, no cursor. What happened stands
//! in a header, and a post's body names neither the forum nor the event: so a frame is the body with both around it.
//! Personal messages and what staff whisper are nobody's business here.
//!
//! Source: <https://meta.discourse.org/t/49045> (webhooks), the forum's own `/posts/ID.json`.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use url::Url;

use super::word;
use crate::domain::event::{Cursor, Decoded, Rejected, SourceEvent};
use crate::domain::id::{AuthorId, PostId, SourceName};
use crate::domain::key::Key;
use crate::domain::post::{Post, PostKind};
use crate::domain::time::Timestamp;
use crate::source::html::plain;
use crate::source::lenient::items;
use crate::source::sanity::{
    MAX_LINK_BYTES, MAX_TAG_BYTES, claimed_or, claimed_or_received, cut, keep, parse_any, parse_object, within_budget,
};

/// No name of an event or address of a forum is longer, in bytes.
const LONGEST: usize = 300;
/// Kinds of post that people write for all to read: posts, and none of the notes about what became of a topic (2, 3)
/// or of what staff says to staff (4).
const FOR_ALL: &str = "1";

/// A body with what its headers say around it.
pub(in crate::source) fn frame(event: &str, instance: &str, body: &[u8]) -> Result<Vec<u8>, Rejected> {
    let payload = parse_any::<&RawValue>(body)?;
    let short = |text: &str| json!(text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default());
    let (event, instance) = (short(event), short(instance));
    Ok(format!(r#"{{"discourse_event":{event},"instance":{instance},"payload":{}}}"#, payload.get()).into_bytes())
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    discourse_event: Option<&'a RawValue>,
    #[serde(borrow)]
    instance: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    post: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    user_id: Option<&'a RawValue>,
    #[serde(borrow)]
    username: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    created_at: Option<&'a RawValue>,
    #[serde(borrow)]
    updated_at: Option<&'a RawValue>,
    #[serde(borrow)]
    raw: Option<&'a RawValue>,
    #[serde(borrow)]
    cooked: Option<&'a RawValue>,
    #[serde(borrow)]
    post_number: Option<&'a RawValue>,
    #[serde(borrow)]
    post_type: Option<&'a RawValue>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    #[serde(borrow)]
    topic_id: Option<&'a RawValue>,
    #[serde(borrow)]
    topic_slug: Option<&'a RawValue>,
    #[serde(borrow)]
    topic_title: Option<&'a RawValue>,
    #[serde(borrow)]
    topic_archetype: Option<&'a RawValue>,
    #[serde(borrow)]
    reply_to_post_number: Option<&'a RawValue>,
    #[serde(borrow)]
    tags: Option<&'a RawValue>,
}

/// Decodes one frame. `received_at` is absent when it comes from a file.
pub fn decode(source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Decoded {
    let event = read(source, frame, received_at);
    let stamp = match &event {
        Ok(SourceEvent::Post(post)) => Some(post.event_time),
        Ok(SourceEvent::PostDeleted { at, .. }) => Some(*at),
        _ => None,
    };
    Decoded { cursor: received_at.or(stamp).map(Cursor::at), event }
}

fn read(source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Result<SourceEvent, Rejected> {
    let Frame { discourse_event, instance, payload } = parse_object(frame)?;
    let event = word(discourse_event).unwrap_or_default();
    if !matches!(event.as_str(), "post_created" | "post_edited" | "post_recovered" | "post_destroyed") {
        return Ok(SourceEvent::Other);
    }
    let payload = payload.ok_or(Rejected::MissingField)?;
    let Payload { post } = crate::source::sanity::parse_object_of(payload.get())?;
    let written: Written<'_> = crate::source::sanity::parse_object_of(post.ok_or(Rejected::MissingField)?.get())?;
    let is_private = word(written.topic_archetype).is_some_and(|archetype| archetype == "private_message");
    if is_private || word(written.post_type).is_some_and(|kind| kind != FOR_ALL) {
        return Ok(SourceEvent::Other);
    }
    let forum = word(instance).and_then(|instance| Url::parse(&instance).ok());
    let forum = forum.filter(|forum| matches!(forum.scheme(), "http" | "https"));
    let site = forum.as_ref().and_then(Url::host_str).unwrap_or(source.as_str()).to_owned();
    let reading = Reading { source, written, forum, site, received_at };
    if event == "post_destroyed" {
        return reading.gone();
    }
    reading.post(&event).map(|post| SourceEvent::Post(Box::new(post)))
}

struct Reading<'a> {
    source: &'a SourceName,
    written: Written<'a>,
    /// The forum's address.
    forum: Option<Url>,
    /// Its host, or the source's name.
    site: String,
    received_at: Option<Timestamp>,
}

impl Reading<'_> {
    fn gone(&self) -> Result<SourceEvent, Rejected> {
        let at = self.received_at.or_else(|| date(self.written.updated_at)).ok_or(Rejected::MissingField)?;
        Ok(SourceEvent::PostDeleted { post: self.name()?, at })
    }

    fn name(&self) -> Result<PostId, Rejected> {
        let id = number(self.written.id).ok_or(Rejected::MissingField)?;
        Ok(PostId::from(format!("discourse:{}/{id}", self.site)))
    }

    fn post(&self, event: &str) -> Result<Post, Rejected> {
        let Self { written, site, .. } = self;
        let (created, updated) = (date(written.created_at), date(written.updated_at));
        let at = claimed_or_received(if event == "post_created" { created } else { updated }, self.received_at)?;
        let handle = word(written.username).filter(|handle| !handle.is_empty() && handle.len() <= MAX_TAG_BYTES);
        let author = number(written.user_id).or_else(|| handle.clone()).ok_or(Rejected::MissingField)?;
        let author = AuthorId::from(format!("discourse:{site}/user/{author}"));
        let cooked = plain(&word(written.cooked).unwrap_or_default(), self.forum.as_ref());
        let (raw, own) = (word(written.raw), number(written.post_number));
        let said = raw.unwrap_or(cooked.text);
        let title = word(written.topic_title).filter(|title| own.as_deref() == Some("1") && !title.is_empty());
        let text = title.map_or_else(|| said.clone(), |title| format!("{title}\n{said}"));
        let mut post = Post::plain(self.name()?, self.source.clone(), author, cut(&text).to_owned(), at);
        // Two words that differ are two versions, whatever the forum counts.
        let words = Key::of(&post.text).bits();
        post.version =
            Some(format!("{} {words:016x} {}", number(written.version).unwrap_or_default(), event == "post_recovered"));
        post.created_at = claimed_or(created, at);
        post.author.handle = handle;
        post.author.name = word(written.name).filter(|name| !name.is_empty() && name.len() <= MAX_TAG_BYTES);
        post.url = self.page(own.as_deref());
        if own.as_deref().is_some_and(|own| own != "1") {
            post.kind = PostKind::Reply;
        }
        for link in crate::source::plain::links(&post.text).iter().chain(&cooked.links) {
            keep(&mut post.links, link, MAX_LINK_BYTES);
        }
        let answered = number(written.reply_to_post_number);
        if let (Some(topic), Some(answered)) = (number(written.topic_id), answered) {
            post.reply_to = Some(PostId::from(format!("discourse:{site}/t/{topic}/{answered}")));
        }
        for tag in items(written.tags).filter_map(|tag| word(Some(tag))) {
            keep(&mut post.tags, &tag, MAX_TAG_BYTES);
        }
        post.has_media = cooked.has_media;
        post.media_text = within_budget(cooked.alts);
        Ok(post)
    }

    /// Where people read it.
    fn page(&self, own: Option<&str>) -> Option<String> {
        let (mut url, topic) = (self.forum.clone()?, number(self.written.topic_id)?);
        let slug = word(self.written.topic_slug).filter(|slug| !slug.is_empty() && slug.len() <= LONGEST);
        url.path_segments_mut().ok()?.pop_if_empty().extend(["t", slug.as_deref().unwrap_or("-"), &topic]).extend(own);
        url.set_query(None);
        url.set_fragment(None);
        Some(url.into())
    }
}

fn date(raw: Option<&RawValue>) -> Option<Timestamp> {
    word(raw).and_then(|text| Timestamp::parse(&text).ok())
}

/// A number, as it is written.
fn number(raw: Option<&RawValue>) -> Option<String> {
    word(raw).filter(|text| (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
#[path = "discourse_tests.rs"]
mod tests;
