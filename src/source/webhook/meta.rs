//! Facebook pages and Instagram accounts: changes of the Graph API's webhooks to domain events.
//!
//! What they promise: changes of pages and accounts that an administrator subscribed, and no other. A body holds up to a
//! thousand of them, in no order; each may come again, for 36 hours when it was not taken. There is no cursor. A frame is
//! one change in a body of its own. Of a mention on Instagram only ids come; who asks for the words needs a token of the
//! account, and that nobody does here.
//!
//! Source: <https://developers.facebook.com/docs/graph-api/webhooks/getting-started>, its reference of `page` and
//! `instagram`.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::word;
use crate::domain::event::{Cursor, Decoded, Rejected, SourceEvent};
use crate::domain::id::{AuthorId, PostId, SourceName};
use crate::domain::post::{Post, PostKind};
use crate::domain::time::Timestamp;
use crate::source::lenient::{items, lenient};
use crate::source::plain::links;
use crate::source::sanity::{
    MAX_ITEMS, MAX_LINK_BYTES, MAX_TAG_BYTES, claimed_or, cut, event_time, keep, parse_object, parse_object_of,
};
use crate::source::websocket::time;

/// What the frames of one body may come to, each with its part of the body around it, in bytes.
const MOST_APART: usize = 16 << 20;
/// No id is longer, in bytes.
const LONGEST_ID: usize = 200;
/// What Meta's dashboard sends to try a webhook is of nobody's page.
const NOBODY: &str = "0";
/// Items of a page's feed that somebody wrote or showed. The others are likes and the like.
const WRITTEN: [&str; 11] =
    ["comment", "post", "status", "photo", "video", "share", "link", "note", "album", "event", "rating"];
/// Those that show a picture or a recording.
const SHOWN: [&str; 3] = ["photo", "video", "album"];

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    entry: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    time: Option<&'a RawValue>,
    #[serde(borrow)]
    changes: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Change<'a> {
    #[serde(borrow)]
    field: Option<&'a RawValue>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

/// What changed, of every kind.
#[derive(Deserialize)]
struct What<'a> {
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow)]
    verb: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    post_id: Option<&'a RawValue>,
    #[serde(borrow)]
    comment_id: Option<&'a RawValue>,
    #[serde(borrow)]
    parent_id: Option<&'a RawValue>,
    #[serde(borrow)]
    open_graph_story_id: Option<&'a RawValue>,
    #[serde(borrow)]
    from: Option<&'a RawValue>,
    #[serde(borrow)]
    sender_id: Option<&'a RawValue>,
    #[serde(borrow)]
    sender_name: Option<&'a RawValue>,
    #[serde(borrow)]
    reviewer_id: Option<&'a RawValue>,
    #[serde(borrow)]
    reviewer_name: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    review_text: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    recommendation_type: Option<&'a RawValue>,
    #[serde(borrow)]
    created_time: Option<&'a RawValue>,
    #[serde(borrow)]
    published: Option<&'a RawValue>,
    #[serde(borrow)]
    link: Option<&'a RawValue>,
    #[serde(borrow)]
    photos: Option<&'a RawValue>,
    #[serde(borrow)]
    media: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Person<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    username: Option<&'a RawValue>,
}

/// A body as frames, one a change; a body without any is one, too.
pub(in crate::source) fn split(body: &[u8]) -> Vec<Result<Vec<u8>, Rejected>> {
    let read = match parse_object::<Body<'_>>(body) {
        Ok(read) => read,
        Err(reason) => return vec![Err(reason)],
    };
    let whole = || vec![Ok(body.to_vec())];
    let Some(entries) = lenient::<Vec<&RawValue>>(read.entry) else { return whole() };
    let raw = |raw: Option<&RawValue>| raw.map_or("null", RawValue::get).to_owned();
    let object = raw(read.object);
    // It is written again for each change, and no name of Meta's is long.
    if object.len() > LONGEST_ID {
        return vec![Err(Rejected::TooLarge)];
    }
    let (mut frames, mut bytes) = (Vec::new(), 0_usize);
    for entry in entries {
        let Ok(Entry { id, time, changes }) = parse_object_of(entry.get()) else {
            frames.push(Err(Rejected::WrongType));
            continue;
        };
        let (id, time) = (raw(id), raw(time));
        if id.len().max(time.len()) > LONGEST_ID {
            frames.push(Err(Rejected::TooLarge));
            continue;
        }
        for change in lenient::<Vec<&RawValue>>(changes).unwrap_or_default() {
            let change = change.get();
            let frame = format!(r#"{{"object":{object},"entry":[{{"id":{id},"time":{time},"changes":[{change}]}}]}}"#);
            bytes = bytes.saturating_add(frame.len());
            // Each that there is no room for is counted.
            frames.push(if bytes > MOST_APART { Err(Rejected::TooLarge) } else { Ok(frame.into_bytes()) });
        }
    }
    if frames.is_empty() { whole() } else { frames }
}

/// Decodes one change. `received_at` is absent when it comes from a file.
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
    let body = parse_object::<Body<'_>>(frame)?;
    let Some(entry) = items(body.entry).next() else { return Ok(SourceEvent::Other) };
    let entry = parse_object_of::<Entry<'_>>(entry.get())?;
    let Some(change) = items(entry.changes).next() else { return Ok(SourceEvent::Other) };
    let change = parse_object_of::<Change<'_>>(change.get())?;
    let (object, field) = (word(body.object).unwrap_or_default(), word(change.field).unwrap_or_default());
    let account = word(entry.id).ok_or(Rejected::MissingField)?;
    if account == NOBODY {
        return Ok(SourceEvent::Other);
    }
    let stamp = word(entry.time).as_deref().and_then(time).ok_or(Rejected::AbsurdDate)?;
    let at = event_time(stamp, received_at)?;
    let reading = |what| Reading { source, what, at, stamp };
    match (object.as_str(), field.as_str()) {
        ("page", "feed" | "mention" | "ratings") => reading(what(&change)?).of_page(),
        ("instagram", "comments" | "live_comments") => reading(what(&change)?).of_instagram(),
        _ => Ok(SourceEvent::Other),
    }
}

fn what<'a>(change: &Change<'a>) -> Result<What<'a>, Rejected> {
    parse_object_of(change.value.ok_or(Rejected::MissingField)?.get())
}

struct Reading<'a> {
    source: &'a SourceName,
    what: What<'a>,
    /// When it happened, fit to count with.
    at: Timestamp,
    /// When Meta says so.
    stamp: Timestamp,
}

impl Reading<'_> {
    fn of_page(&self) -> Result<SourceEvent, Rejected> {
        let what = &self.what;
        let item = word(what.item).unwrap_or_default();
        let is_comment = item == "comment";
        if !WRITTEN.contains(&item.as_str()) || word(what.published).as_deref() == Some("0") {
            return Ok(SourceEvent::Other);
        }
        let post = || id(what.post_id).or_else(|| id(what.open_graph_story_id));
        let own = if is_comment { id(what.comment_id) } else { post() }.ok_or(Rejected::MissingField)?;
        let name = PostId::from(format!("facebook:{own}"));
        let version = match word(what.verb).as_deref() {
            // What is new comes once, however often it is sent.
            None | Some("add") => "add".to_owned(),
            Some("edit" | "edited") => format!("edit {}", self.stamp.micros()),
            Some("remove") => return Ok(SourceEvent::PostDeleted { post: name, at: self.at }),
            Some(_) => return Ok(SourceEvent::Other),
        };
        let (author, shown, _) = self.author();
        let text = word(what.message).or_else(|| word(what.review_text)).unwrap_or_default();
        let mut post = self.post(name, "facebook", author, &own, &text);
        post.version = Some(version);
        post.author.name = shown;
        let page =
            if is_comment { id(what.post_id).or_else(|| id(what.open_graph_story_id)) } else { Some(own.clone()) };
        post.url = page.map(|page| format!("https://www.facebook.com/{page}"));
        if is_comment {
            post.kind = PostKind::Reply;
            let answered = id(what.parent_id).or_else(|| id(what.post_id)).filter(|answered| *answered != own);
            post.reply_to = answered.map(|answered| PostId::from(format!("facebook:{answered}")));
        }
        if let Some(link) = word(what.link).filter(|link| link.starts_with("http")) {
            keep(&mut post.links, &link, MAX_LINK_BYTES);
        }
        // `positive` or `negative`.
        if let Some(recommends) = word(what.recommendation_type) {
            keep(&mut post.tags, &recommends.to_lowercase(), MAX_TAG_BYTES);
        }
        post.has_media = SHOWN.contains(&item.as_str()) || what.photos.is_some();
        Ok(SourceEvent::Post(Box::new(post)))
    }

    fn of_instagram(&self) -> Result<SourceEvent, Rejected> {
        let what = &self.what;
        let own = id(what.id).ok_or(Rejected::MissingField)?;
        let (author, shown, handle) = self.author();
        let text = word(what.text).unwrap_or_default();
        let mut post = self.post(PostId::from(format!("instagram:{own}")), "instagram", author, &own, &text);
        post.version = Some("add".to_owned());
        (post.author.name, post.author.handle) = (shown, handle);
        post.kind = PostKind::Reply;
        let media = lenient::<Person<'_>>(what.media).and_then(|media| id(media.id));
        let answered = id(what.parent_id).or(media);
        post.reply_to = answered.map(|answered| PostId::from(format!("instagram:{answered}")));
        Ok(SourceEvent::Post(Box::new(post)))
    }

    /// Id, name and handle of whoever wrote it, as far as Meta lets us know.
    fn author(&self) -> (Option<String>, Option<String>, Option<String>) {
        let what = &self.what;
        let from = lenient::<Person<'_>>(what.from);
        let (own, name) = from.as_ref().map_or((None, None), |from| (id(from.id), word(from.name)));
        let own = own.or_else(|| id(what.sender_id)).or_else(|| id(what.reviewer_id));
        let name = name.or_else(|| word(what.sender_name)).or_else(|| word(what.reviewer_name));
        let short = |text: &String| text.len() <= MAX_TAG_BYTES;
        (own, name.filter(short), from.and_then(|from| word(from.username)).filter(short))
    }

    fn post(&self, name: PostId, platform: &str, author: Option<String>, own: &str, text: &str) -> Post {
        // Whoever is not named may be anybody: two of them are not one person.
        let author = author.map_or_else(|| format!("{platform}:unknown/{own}"), |id| format!("{platform}:{id}"));
        let author = AuthorId::from(author);
        let mut post = Post::plain(name, self.source.clone(), author, cut(text).to_owned(), self.at);
        let claim = word(self.what.created_time).as_deref().and_then(claimed);
        post.created_at = claimed_or(claim, self.at);
        post.links = links(&post.text);
        post.tags = tags(&post.text);
        post
    }
}

/// An id as Meta makes them: digits, in two parts where it is of a page's post.
fn id(raw: Option<&RawValue>) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ':' | '.');
    word(raw).filter(|id| !id.is_empty() && id.len() <= LONGEST_ID && id.chars().all(fits))
}

/// A number, or a date whose zone has no colon.
fn claimed(text: &str) -> Option<Timestamp> {
    time(text).or_else(|| time(&format!("{}Z", text.strip_suffix("+0000")?)))
}

/// The hashtags of a text.
fn tags(text: &str) -> Vec<String> {
    let mut tags = Vec::new();
    for word in text.split(char::is_whitespace).filter_map(|word| word.strip_prefix('#')).take(MAX_ITEMS) {
        let end = word.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(word.len());
        keep(&mut tags, word.get(..end).unwrap_or_default(), MAX_TAG_BYTES);
    }
    tags
}

#[cfg(test)]
#[path = "meta_tests.rs"]
mod tests;
