//! Slack's Socket Mode: envelopes of the Events API to domain events.
//!
//! What it promises: an envelope that is not acknowledged comes again, at once, after a minute and after
//! five; then it is gone, and nothing is repeated later. There is no cursor. Stamps (`ts`) are Slack's own
//! and name a message in its channel. A frame is one envelope as it came.

mod wire;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{items, lenient, lenient_item, text};
use super::plain;
use super::sanity::{
    MAX_LINK_BYTES, MAX_TAG_BYTES, MAX_TEXT_BYTES, claimed_or, cut, event_time, keep, parse_object, within_budget,
};
use crate::domain::event::{Cursor, Decoded, Rejected, SourceEvent};
use crate::domain::id::{AuthorId, PostId, SourceName};
use crate::domain::post::{Post, PostKind};
use crate::domain::time::Timestamp;

pub use self::wire::Slack;

/// Kinds of message that somebody wrote. The others tell what happened to a channel.
const WRITTEN: [&str; 4] = ["bot_message", "file_share", "me_message", "thread_broadcast"];

/// Decodes one envelope. `received_at` is absent when it comes from a file.
pub fn decode(source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Decoded {
    let at_ours = received_at.map(Cursor::at);
    let event = parse_object::<Envelope<'_>>(frame).and_then(|envelope| read(source, &envelope, received_at));
    let stamp = match &event {
        Ok(SourceEvent::Post(post)) => Some(Cursor::at(post.event_time)),
        Ok(SourceEvent::PostDeleted { at, .. }) => Some(Cursor::at(*at)),
        _ => None,
    };
    Decoded { cursor: stamp.or(at_ours), event }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    team_id: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
}

/// A message, or what became of one.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    subtype: Option<&'a RawValue>,
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    user: Option<&'a RawValue>,
    #[serde(borrow)]
    bot_id: Option<&'a RawValue>,
    #[serde(borrow)]
    username: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    #[serde(borrow)]
    event_ts: Option<&'a RawValue>,
    #[serde(borrow)]
    thread_ts: Option<&'a RawValue>,
    #[serde(borrow)]
    deleted_ts: Option<&'a RawValue>,
    #[serde(borrow, rename = "message")]
    changed: Option<&'a RawValue>,
    #[serde(borrow)]
    edited: Option<&'a RawValue>,
    #[serde(borrow)]
    files: Option<&'a RawValue>,
    #[serde(borrow)]
    attachments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Edited<'a> {
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    alt_txt: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Attachment<'a> {
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    title_link: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
}

fn read(source: &SourceName, envelope: &Envelope<'_>, received_at: Option<Timestamp>) -> Result<SourceEvent, Rejected> {
    let Some(payload) = lenient::<Payload<'_>>(envelope.payload) else { return Ok(SourceEvent::Other) };
    let event = super::sanity::parse_object_of::<Message<'_>>(payload.event.ok_or(Rejected::MissingField)?.get())?;
    if text(event.kind).as_deref() != Some("message") {
        return Ok(SourceEvent::Other);
    }
    let channel = text(event.channel).ok_or(Rejected::MissingField)?;
    let place = Place { source, team: text(payload.team_id).unwrap_or_default(), channel, received_at };
    let happened = text(event.event_ts).or_else(|| text(event.ts));
    match text(event.subtype).as_deref() {
        Some("message_deleted") => {
            let gone = text(event.deleted_ts).ok_or(Rejected::MissingField)?;
            place.deleted(&gone, happened.as_deref())
        }
        Some("message_changed") => {
            let changed = super::sanity::parse_object_of(event.changed.ok_or(Rejected::MissingField)?.get())?;
            place.changed(&changed, happened.as_deref())
        }
        None => place.post(&event, None),
        Some(written) if WRITTEN.contains(&written) => place.post(&event, None),
        Some(_) => Ok(SourceEvent::Other),
    }
}

/// Where a message stands.
struct Place<'a> {
    source: &'a SourceName,
    team: Cow<'a, str>,
    channel: Cow<'a, str>,
    received_at: Option<Timestamp>,
}

impl Place<'_> {
    fn at(&self, stamp: Option<&str>) -> Result<Timestamp, Rejected> {
        event_time(stamp.and_then(time).ok_or(Rejected::AbsurdDate)?, self.received_at)
    }

    fn deleted(&self, ts: &str, happened: Option<&str>) -> Result<SourceEvent, Rejected> {
        let at = self.at(happened).or_else(|reason| self.received_at.ok_or(reason))?;
        Ok(SourceEvent::PostDeleted { post: self.id(ts), at })
    }

    fn changed(&self, message: &Message<'_>, happened: Option<&str>) -> Result<SourceEvent, Rejected> {
        // The first message of a thread that goes on without it.
        if text(message.subtype).as_deref() == Some("tombstone") {
            return self.deleted(&text(message.ts).ok_or(Rejected::MissingField)?, happened);
        }
        self.post(message, happened)
    }

    fn post(&self, message: &Message<'_>, happened: Option<&str>) -> Result<SourceEvent, Rejected> {
        let ts = text(message.ts).ok_or(Rejected::MissingField)?;
        let user = text(message.user).or_else(|| text(message.bot_id)).ok_or(Rejected::MissingField)?;
        let edited = lenient::<Edited<'_>>(message.edited).and_then(|edited| text(edited.ts));
        let at = self.at(happened.or(Some(&ts)))?;
        let author = AuthorId::from(format!("slack:{}/{user}", self.team));
        let mut post = Post::plain(self.id(&ts), self.source.clone(), author, String::new(), at);
        post.created_at = claimed_or(time(&ts), at).min(at);
        // Previews of links change a message, too; only its author gives it a new version.
        post.version = edited.map(Cow::into_owned);
        let (team, channel) = (&self.team, &self.channel);
        post.url = Some(format!("https://slack.com/app_redirect?team={team}&channel={channel}&message_ts={ts}"));
        post.author.name = text(message.username).filter(|name| name.len() <= MAX_TAG_BYTES).map(Cow::into_owned);
        let written = text(message.text).unwrap_or_default();
        (post.text, post.links) = spoken(cut(&written));
        let answered = text(message.thread_ts).filter(|thread| *thread != ts);
        post.kind = if answered.is_some() { PostKind::Reply } else { PostKind::Post };
        post.reply_to = answered.map(|thread| self.id(&thread));
        for file in items(message.files).filter_map(lenient_item::<File<'_>>) {
            post.has_media = true;
            describe(&mut post.media_text, file.title);
            describe(&mut post.media_text, file.alt_txt);
        }
        for attachment in items(message.attachments).filter_map(lenient_item::<Attachment<'_>>) {
            describe(&mut post.media_text, attachment.title);
            describe(&mut post.media_text, attachment.text);
            if let Some(link) = text(attachment.title_link) {
                keep(&mut post.links, &link, MAX_LINK_BYTES);
            }
        }
        post.media_text = within_budget(std::mem::take(&mut post.media_text));
        Ok(SourceEvent::Post(Box::new(post)))
    }

    fn id(&self, ts: &str) -> PostId {
        PostId::from(format!("slack:{}/{ts}", self.channel))
    }
}

fn describe(list: &mut Vec<String>, raw: Option<&RawValue>) {
    if let Some(description) = text(raw) {
        keep(list, cut(&spoken(cut(&description)).0), MAX_TEXT_BYTES);
    }
}

/// Seconds and, after the point, six digits that are nearly microseconds.
fn time(ts: &str) -> Option<Timestamp> {
    let (seconds, rest) = ts.split_once('.').unwrap_or((ts, "0"));
    let seconds: i64 = seconds.parse().ok()?;
    let micros: i64 = rest.get(..6).unwrap_or(rest).parse().ok()?;
    Some(Timestamp::from_micros(seconds.checked_mul(1_000_000)?.checked_add(micros)?))
}

/// Slack's markup as people see it, and the addresses it links to
/// (<https://api.slack.com/reference/surfaces/formatting>).
fn spoken(written: &str) -> (String, Vec<String>) {
    let mut said = String::with_capacity(written.len());
    let mut links = Vec::new();
    let mut rest = written;
    while let Some((before, after)) = rest.split_once('<') {
        said.push_str(&unescaped(before));
        let Some((inside, behind)) = after.split_once('>') else {
            said.push('<');
            said.push_str(&unescaped(after));
            return (said, links);
        };
        let (target, label) = inside.split_once('|').map_or((inside, None), |(target, label)| (target, Some(label)));
        match target.split_at_checked(1) {
            Some(("@", id)) => push_name(&mut said, '@', label.unwrap_or(id)),
            Some(("#", id)) => push_name(&mut said, '#', label.unwrap_or(id)),
            Some(("!", special)) => push_name(&mut said, '@', label.unwrap_or(special)),
            _ => {
                let target = unescaped(target);
                if target.starts_with("http://") || target.starts_with("https://") {
                    keep(&mut links, &target, MAX_LINK_BYTES);
                }
                said.push_str(&label.map_or(target, unescaped));
            }
        }
        rest = behind;
    }
    said.push_str(&unescaped(rest));
    for link in plain::links(&said) {
        keep(&mut links, &link, MAX_LINK_BYTES);
    }
    (said, links)
}

fn push_name(said: &mut String, sign: char, name: &str) {
    if !name.starts_with(sign) {
        said.push(sign);
    }
    said.push_str(&unescaped(name));
}

/// The three characters that Slack escapes.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    // The ampersand last: `&amp;lt;` is what shows as `&lt;`.
    Cow::Owned(text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
}

#[cfg(test)]
mod tests;
