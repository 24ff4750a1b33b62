//! X's filtered stream, API v2: posts that the rules on X's server take, over one long answer.
//!
//! What it promises: little. Order is not kept, posts may come twice, seconds late, or not at all. An empty line comes at
//! least every twenty seconds. There is no cursor: what was missed is searched for behind the newest id, for seven days.
//! Each post that is read is paid for, and counted (`budget.rs`). One connection is allowed, and one that was not
//! closed properly is counted for a long time. What is silently lost: posts that our rules take and X cannot be asked for
//! (`domain::abroad`), and deletions, of which only large customers are told.
//!
//! An edit is a post with a new id that names its older ones: all versions have the first id here. Names of
//! fields are in flux; the old and the new ones are read.

mod budget;
mod lines;
mod rules;
mod search;
mod wire;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{items, lenient, lenient_item, text};
use super::sanity::{
    MAX_LINK_BYTES, MAX_TAG_BYTES, MAX_TEXT_BYTES, claimed_or, cut, event_time, keep, parse_object, within_budget,
};
use crate::domain::event::{Cursor, Decoded, Rejected, SourceEvent};
use crate::domain::id::{AuthorId, PostId, SourceName};
use crate::domain::post::{Post, PostKind};
use crate::domain::time::Timestamp;

pub use self::lines::Lines;
pub use self::wire::X;

/// Milliseconds since 1970 at which the clock in ids begins (Snowflake, 2010).
const FIRST_MILLIS: i64 = 1_288_834_974_657;
/// Below the clock in an id: machine and sequence.
const CLOCK_SHIFT: u32 = 22;

/// One line of the stream.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    includes: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    author_id: Option<&'a RawValue>,
    #[serde(borrow)]
    created_at: Option<&'a RawValue>,
    #[serde(borrow)]
    lang: Option<&'a RawValue>,
    #[serde(borrow, alias = "edit_history_post_ids")]
    edit_history_tweet_ids: Option<&'a RawValue>,
    #[serde(borrow, alias = "referenced_posts")]
    referenced_tweets: Option<&'a RawValue>,
    #[serde(borrow, alias = "note_post")]
    note_tweet: Option<&'a RawValue>,
    #[serde(borrow)]
    entities: Option<&'a RawValue>,
    #[serde(borrow)]
    attachments: Option<&'a RawValue>,
}

/// A long post whole.
#[derive(Deserialize)]
struct Note<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    entities: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Reference<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entities<'a> {
    #[serde(borrow)]
    urls: Option<&'a RawValue>,
    #[serde(borrow)]
    hashtags: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Address<'a> {
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    #[serde(borrow)]
    expanded_url: Option<&'a RawValue>,
    #[serde(borrow)]
    unwound_url: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(borrow)]
    tag: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Attachments<'a> {
    #[serde(borrow)]
    media_keys: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Includes<'a> {
    #[serde(borrow)]
    users: Option<&'a RawValue>,
    #[serde(borrow)]
    media: Option<&'a RawValue>,
    #[serde(borrow, alias = "posts")]
    tweets: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct User<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    username: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    public_metrics: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Followers {
    followers_count: Option<u64>,
}

#[derive(Deserialize)]
struct Media<'a> {
    #[serde(borrow)]
    media_key: Option<&'a RawValue>,
    #[serde(borrow)]
    alt_text: Option<&'a RawValue>,
}

/// Decodes one line. `received_at` is absent when it comes from a file.
pub fn decode(source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Decoded {
    let event = parse_object::<Message<'_>>(frame).and_then(|message| match message.data {
        Some(data) => {
            let data: Data<'_> = super::sanity::parse_object_of(data.get())?;
            let includes = lenient(message.includes);
            Read { source, data, includes, received_at }.post()
        }
        None => Ok(SourceEvent::Other),
    });
    let cursor = match &event {
        Ok(SourceEvent::Post(post)) => Some(Cursor::at(post.event_time)),
        _ => received_at.map(Cursor::at),
    };
    Decoded { cursor, event }
}

/// When an id was made; none for what is no id.
fn made_at(id: u64) -> Option<Timestamp> {
    let millis = i64::try_from(id >> CLOCK_SHIFT).ok()?.checked_add(FIRST_MILLIS)?;
    Some(Timestamp::from_micros(millis.checked_mul(1000)?))
}

/// The first id that can have been made at that time.
fn first_id_at(time: Timestamp) -> u64 {
    let millis = (time.micros() / 1000).saturating_sub(FIRST_MILLIS).max(0);
    u64::try_from(millis).unwrap_or(0) << CLOCK_SHIFT
}

/// An id as it stands in JSON; they are strings, because they are too large for a double.
fn id(raw: Option<&RawValue>) -> Option<u64> {
    text(raw)?.parse().ok()
}

struct Read<'a> {
    source: &'a SourceName,
    data: Data<'a>,
    includes: Option<Includes<'a>>,
    received_at: Option<Timestamp>,
}

impl Read<'_> {
    fn post(&self) -> Result<SourceEvent, Rejected> {
        let this = id(self.data.id).ok_or(Rejected::MissingField)?;
        let writer = id(self.data.author_id).ok_or(Rejected::MissingField)?;
        let first = items(self.data.edit_history_tweet_ids).filter_map(|raw| id(Some(raw))).min().unwrap_or(this);
        let said = text(self.data.created_at).and_then(|text| Timestamp::parse(&text).ok());
        let at = event_time(said.or_else(|| made_at(this)).ok_or(Rejected::MissingField)?, self.received_at)?;
        let mut post = Post::plain(name(first), self.source.clone(), author(writer), String::new(), at);
        post.created_at = claimed_or(said, at);
        // All versions have the first one's name.
        post.version = (first != this).then(|| this.to_string());
        self.writer(&mut post, this, writer);
        self.relations(&mut post);
        self.words(&mut post);
        post.lang = text(self.data.lang).and_then(|lang| language(&lang).map(str::to_owned)).into_iter().collect();
        Ok(SourceEvent::Post(Box::new(post)))
    }

    fn writer(&self, post: &mut Post, this: u64, writer: u64) {
        let users = items(self.includes.as_ref().and_then(|includes| includes.users));
        let user = users.filter_map(lenient_item::<User<'_>>).find(|user| id(user.id) == Some(writer));
        let short = |raw| text(raw).filter(|name| name.len() <= MAX_TAG_BYTES).map(Cow::into_owned);
        if let Some(user) = user {
            let is_account = |name: &String| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            post.author.handle = short(user.username).filter(is_account);
            post.author.name = short(user.name);
            post.author.followers = lenient::<Followers>(user.public_metrics).and_then(|it| it.followers_count);
        }
        // Whatever stands for the name, X leads to the post.
        let who = post.author.handle.as_deref().unwrap_or("i");
        post.url = Some(format!("https://x.com/{who}/status/{this}"));
    }

    fn relations(&self, post: &mut Post) {
        for reference in items(self.data.referenced_tweets).filter_map(lenient_item::<Reference<'_>>) {
            let Some(other) = id(reference.id).map(name) else { continue };
            match text(reference.kind).as_deref() {
                Some("replied_to") => post.reply_to = Some(other),
                Some("quoted") => post.quote_of = Some(other),
                Some("retweeted") => post.repost_of = Some(other),
                _ => {}
            }
        }
        post.kind = match post {
            Post { repost_of: Some(_), .. } => PostKind::Repost,
            Post { reply_to: Some(_), .. } => PostKind::Reply,
            Post { quote_of: Some(_), .. } => PostKind::Quote,
            _ => PostKind::Post,
        };
    }

    /// The words, whole where the stream has cut them: of a long post, and of one that is repeated.
    fn words(&self, post: &mut Post) {
        let repeated = post.repost_of.as_ref().and_then(|repeated| self.included(repeated));
        let whole = repeated.as_ref().unwrap_or(&self.data);
        let note = lenient::<Note<'_>>(whole.note_tweet);
        let written = note.as_ref().and_then(|note| text(note.text)).or_else(|| text(whole.text)).unwrap_or_default();
        let mut written = unescaped(&written);
        let entities = [note.and_then(|note| note.entities), whole.entities];
        for entities in entities.into_iter().filter_map(lenient::<Entities<'_>>) {
            for address in items(entities.urls).filter_map(lenient_item::<Address<'_>>) {
                let Some(long) = text(address.unwound_url).or_else(|| text(address.expanded_url)) else { continue };
                keep(&mut post.links, &long, MAX_LINK_BYTES);
                if let Some(short) = text(address.url).filter(|short| short.starts_with("https://t.co/")) {
                    written = expanded(&written, &short, &long);
                }
            }
            for tag in items(entities.hashtags).filter_map(lenient_item::<Tag<'_>>).filter_map(|tag| text(tag.tag)) {
                keep(&mut post.tags, &tag, MAX_TAG_BYTES);
            }
        }
        cut(&written).clone_into(&mut post.text);
        self.media(whole, post);
    }

    fn included(&self, wanted: &PostId) -> Option<Data<'_>> {
        let others = items(self.includes.as_ref()?.tweets).filter_map(lenient_item::<Data<'_>>);
        others.into_iter().find(|other| id(other.id).map(name).as_ref() == Some(wanted))
    }

    fn media(&self, whole: &Data<'_>, post: &mut Post) {
        let keys: Vec<Cow<'_, str>> = lenient::<Attachments<'_>>(whole.attachments)
            .map(|attachments| items(attachments.media_keys).filter_map(|raw| text(Some(raw))).collect())
            .unwrap_or_default();
        post.has_media = !keys.is_empty();
        let media = items(self.includes.as_ref().and_then(|includes| includes.media));
        for one in media.filter_map(lenient_item::<Media<'_>>) {
            if text(one.media_key).is_some_and(|key| keys.contains(&key))
                && let Some(words) = text(one.alt_text)
            {
                keep(&mut post.media_text, &words, MAX_TEXT_BYTES);
            }
        }
        post.media_text = within_budget(std::mem::take(&mut post.media_text));
    }
}

fn name(id: u64) -> PostId {
    PostId::from(format!("x:{id}"))
}

fn author(id: u64) -> AuthorId {
    AuthorId::from(format!("x:{id}"))
}

/// A language as all others name it. X has codes for what is none: `und`, `zxx`, and those that begin with `q`; and for
/// Indonesian and Hebrew those that ISO 639 gave up in 1989.
fn language(code: &str) -> Option<&str> {
    match code {
        "in" => Some("id"),
        "iw" => Some("he"),
        "und" | "zxx" | "art" => None,
        code => Some(code).filter(|code| code.len() <= 16 && !code.starts_with('q')),
    }
}

/// X escapes three characters of what people write.
fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// The text with an address as it was meant. What is longer than any text is left as it came.
fn expanded(text: &str, short: &str, long: &str) -> String {
    if long.len() > MAX_LINK_BYTES || text.len() > MAX_TEXT_BYTES {
        return text.to_owned();
    }
    // An address may be the beginning of another.
    let Some(at) = text.match_indices(short).map(|(at, _)| at).find(|at| {
        let after = text.get(at + short.len()..).and_then(|rest| rest.chars().next());
        after.is_none_or(|c| !c.is_ascii_alphanumeric())
    }) else {
        return text.to_owned();
    };
    let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + short.len()..).unwrap_or_default());
    format!("{before}{long}{after}")
}

/// How far back X can be searched; a little less, because its clock is not ours.
const SEARCHED_BACK: Duration = Duration::from_mins(7 * 24 * 60 - 10);
