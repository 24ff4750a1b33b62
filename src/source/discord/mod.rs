//! Discord's gateway (API v10): dispatches to domain events.
//!
//! What it promises: a session that can be resumed for a while after a connection ends (minutes, Discord does
//! not say how many), with all that was missed; after that it begins with the present. Stamps are Discord's
//! own. A frame is one dispatch as it came; of a bulk deletion `wire` makes one frame each.
//!
//! Edits come as whole messages, and so do changes that nobody made (a link's preview arrived): only the
//! first have a new `edited_timestamp`. Older servers leave parts out of those; without words there is
//! nothing to say.

mod wire;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{Text, items, lenient, lenient_item, text};
use super::plain;
use super::sanity::{
    MAX_LINK_BYTES, MAX_TAG_BYTES, MAX_TEXT_BYTES, claimed_or, cut, event_time, keep, parse_object, within_budget,
};
use crate::domain::event::{Cursor, Decoded, Rejected, SourceEvent};
use crate::domain::id::{AuthorId, PostId, SourceName};
use crate::domain::post::{Post, PostKind};
use crate::domain::time::Timestamp;

pub use self::wire::Discord;

/// The first millisecond of an id (2015-01-01).
const EPOCH_MILLIS: i64 = 1_420_070_400_000;
/// The type of a `message_reference` that forwards.
const FORWARD: i64 = 1;

/// Decodes one dispatch. `received_at` is absent when it comes from a file.
pub fn decode(source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Decoded {
    let at_ours = received_at.map(Cursor::at);
    let dispatch = match parse_object::<Dispatch<'_>>(frame) {
        Ok(dispatch) => dispatch,
        Err(reason) => return Decoded { cursor: at_ours, event: Err(reason) },
    };
    let kind = dispatch.t.as_ref().map(|Text(kind)| kind.as_ref());
    let event = match kind {
        Some("MESSAGE_CREATE" | "MESSAGE_UPDATE") => {
            message(source, dispatch.d, kind == Some("MESSAGE_CREATE"), received_at)
        }
        Some("MESSAGE_DELETE") => deleted(dispatch.d, received_at),
        _ => Ok(SourceEvent::Other),
    };
    let stamp = match &event {
        Ok(SourceEvent::Post(post)) => Some(Cursor::at(post.event_time)),
        _ => None,
    };
    Decoded { cursor: stamp.or(at_ours), event }
}

#[derive(Deserialize)]
struct Dispatch<'a> {
    #[serde(borrow)]
    t: Option<Text<'a>>,
    #[serde(borrow)]
    d: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    channel_id: Option<Text<'a>>,
    #[serde(borrow)]
    guild_id: Option<&'a RawValue>,
    #[serde(borrow)]
    author: Option<&'a RawValue>,
    #[serde(borrow)]
    member: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    edited_timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    mentions: Option<&'a RawValue>,
    #[serde(borrow)]
    attachments: Option<&'a RawValue>,
    #[serde(borrow)]
    embeds: Option<&'a RawValue>,
    #[serde(borrow, rename = "message_reference")]
    reference: Option<&'a RawValue>,
    #[serde(borrow, rename = "message_snapshots")]
    snapshots: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct User<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    username: Option<&'a RawValue>,
    #[serde(borrow)]
    global_name: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Member<'a> {
    #[serde(borrow)]
    nick: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Attachment<'a> {
    #[serde(borrow)]
    description: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Embed<'a> {
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    description: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Reference<'a> {
    #[serde(rename = "type")]
    kind: Option<i64>,
    #[serde(borrow)]
    message_id: Option<&'a RawValue>,
    #[serde(borrow)]
    channel_id: Option<&'a RawValue>,
}

/// What a forwarded message said when it was forwarded.
#[derive(Deserialize)]
struct Snapshot<'a> {
    #[serde(borrow)]
    message: Message<'a>,
}

#[derive(Deserialize)]
struct Deletion<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    channel_id: Option<Text<'a>>,
}

fn deleted(raw: Option<&RawValue>, received_at: Option<Timestamp>) -> Result<SourceEvent, Rejected> {
    let deletion = whole::<Deletion<'_>>(raw)?;
    let (id, channel) = (required(deletion.id.as_ref())?, required(deletion.channel_id.as_ref())?);
    let at = received_at.or_else(|| made_at(id)).ok_or(Rejected::MissingField)?;
    Ok(SourceEvent::PostDeleted { post: post_id(channel, id), at })
}

fn message(
    source: &SourceName,
    raw: Option<&RawValue>,
    is_new: bool,
    received_at: Option<Timestamp>,
) -> Result<SourceEvent, Rejected> {
    let message = whole::<Message<'_>>(raw)?;
    if !is_new && message.content.is_none() {
        return Ok(SourceEvent::Other);
    }
    let (id, channel) = (required(message.id.as_ref())?, required(message.channel_id.as_ref())?);
    let user = lenient::<User<'_>>(message.author).ok_or(Rejected::MissingField)?;
    let created = match text(message.timestamp) {
        Some(stamp) => Timestamp::parse(&stamp).or(Err(Rejected::AbsurdDate))?,
        None => made_at(id).ok_or(Rejected::AbsurdDate)?,
    };
    let edited = text(message.edited_timestamp).and_then(|stamp| Some((Timestamp::parse(&stamp).ok()?, stamp)));
    let stamp = edited.as_ref().filter(|_| !is_new).map_or(created, |(at, _)| *at);
    let author = AuthorId::from(format!("discord:{}", user.id.0));
    let at = event_time(stamp, received_at)?;
    let mut post = Post::plain(post_id(channel, id), source.clone(), author, String::new(), at);
    post.version = edited.map(|(_, stamp)| stamp.into_owned());
    post.created_at = claimed_or(Some(created), at).min(at);
    let guild = text(message.guild_id);
    post.url = Some(format!("https://discord.com/channels/{}/{channel}/{id}", guild.as_deref().unwrap_or("@me")));
    post.author.handle = text(user.username).map(bounded);
    let nick = lenient::<Member<'_>>(message.member).and_then(|member| text(member.nick));
    post.author.name = nick.or_else(|| text(user.global_name)).map(bounded);
    fill(&mut post, &message, channel);
    Ok(SourceEvent::Post(Box::new(post)))
}

/// What it says and shows, its own or what it forwards.
fn fill(post: &mut Post, message: &Message<'_>, channel: &str) {
    let reference = lenient::<Reference<'_>>(message.reference);
    let other = reference.as_ref().and_then(|reference| {
        let place = text(reference.channel_id);
        Some(post_id(place.as_deref().unwrap_or(channel), &text(reference.message_id)?))
    });
    let is_forward = reference.is_some_and(|reference| reference.kind == Some(FORWARD));
    let snapshot = items(message.snapshots).find_map(lenient_item::<Snapshot<'_>>);
    let said = snapshot.as_ref().filter(|_| is_forward).map_or(message, |snapshot| &snapshot.message);
    let words = text(said.content).unwrap_or_default();
    post.text = String::from(cut(&named(&words, said.mentions)));
    (post.kind, post.reply_to, post.repost_of) = match (is_forward, other) {
        (true, other) => (PostKind::Repost, None, other),
        (false, Some(other)) => (PostKind::Reply, Some(other), None),
        (false, None) => (PostKind::Post, None, None),
    };
    post.links = plain::links(&words);
    for attachment in items(said.attachments).filter_map(lenient_item::<Attachment<'_>>) {
        post.has_media = true;
        describe(&mut post.media_text, attachment.description);
    }
    for embed in items(said.embeds).filter_map(lenient_item::<Embed<'_>>) {
        describe(&mut post.media_text, embed.title);
        describe(&mut post.media_text, embed.description);
        if let Some(url) = text(embed.url) {
            keep(&mut post.links, &url, MAX_LINK_BYTES);
        }
    }
    post.media_text = within_budget(std::mem::take(&mut post.media_text));
}

fn describe(list: &mut Vec<String>, raw: Option<&RawValue>) {
    if let Some(description) = text(raw) {
        keep(list, cut(&description), MAX_TEXT_BYTES);
    }
}

/// The text with people's names where it has their ids (`<@123>`), in one pass.
fn named(words: &str, mentions: Option<&RawValue>) -> String {
    let users: Vec<User<'_>> = items(mentions).filter_map(lenient_item).collect();
    let mut said = String::with_capacity(words.len());
    let mut rest = words;
    while let Some((before, after)) = rest.split_once("<@") {
        said.push_str(before);
        rest = after;
        let mentioned = after.split_once('>').and_then(|(id, behind)| {
            let id = id.trim_start_matches(['!', '&']);
            let user = users.iter().find(|user| user.id.0 == id)?;
            Some((text(user.username)?, behind))
        });
        match mentioned {
            Some((name, behind)) => {
                said.push('@');
                said.push_str(&name);
                rest = behind;
            }
            None => said.push_str("<@"),
        }
    }
    said.push_str(rest);
    said
}

fn bounded(name: std::borrow::Cow<'_, str>) -> String {
    let mut name = name.into_owned();
    name.truncate(name.floor_char_boundary(MAX_TAG_BYTES));
    name
}

fn post_id(channel: &str, id: &str) -> PostId {
    PostId::from(format!("discord:{channel}/{id}"))
}

/// When an id was given out, which is part of it.
fn made_at(id: &str) -> Option<Timestamp> {
    let millis = id.parse::<i64>().ok().filter(|id| *id > 0)? >> 22;
    Some(Timestamp::from_micros((millis + EPOCH_MILLIS).saturating_mul(1000)))
}

fn whole<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Result<T, Rejected> {
    super::sanity::parse_object_of(raw.ok_or(Rejected::MissingField)?.get())
}

fn required<'a>(field: Option<&'a Text<'_>>) -> Result<&'a str, Rejected> {
    field.map(|Text(text)| text.as_ref()).filter(|text| !text.is_empty()).ok_or(Rejected::MissingField)
}

#[cfg(test)]
mod tests;
