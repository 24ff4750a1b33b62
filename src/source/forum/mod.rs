//! `forum`: topics and comments of forums that say what is new only when they are asked.
//!
//! What is promised: a list, the newest first, page behind page; no cursor, no event, no order but the one on the page. Of
//! what was said while nobody asked, a list still has it for as many pages as the forum shows. So every round reads back
//! from the newest until most of a page is known or older than what was read (`round.rs`); where the forum ends before
//! that, the time between is put on record as missed. An anchor ("all behind this one") is never asked for: one that was
//! deleted would make a list look empty for ever.
//!
//! Lists move while they are read, repeat and skip; items change and vanish. What was seen last of each list is
//! remembered by name (`memory.rs`): other words are an edit, and what stood between others and is not there any more is
//! asked for by its name, because only the forum can say whether it was deleted. The first look at a list is history,
//! and tells nobody of anything.
//!
//! What is handed on are posts in our own form (`source::posts`), as of feeds: a recording replays without the forum.
//! Each dialect has a file: how its pages are asked for, and what stands in them. Discourse's posts are read as its
//! webhook sends them, by the same names, so that both together count once.

mod asked;
mod discourse;
mod hackernews;
mod lemmy;
mod lobsters;
mod memory;
mod reddit;
mod round;
mod wire;

#[cfg(test)]
mod tests;

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use url::Url;

pub(in crate::source) use self::asked::{Asked, unusable};
pub(in crate::source) use self::memory::Memory;
pub(in crate::source) use self::round::{Board, Page, Reader};
pub(in crate::source) use self::wire::{Forum, hand_on};
use super::html::absolute;
use super::line::Line;
use super::plain::links;
use super::sanity::{
    MAX_LINK_BYTES, MAX_TAG_BYTES, claimed_or, claimed_or_received, cut, keep, parse_object_of, within_budget,
};
use crate::config::model::{ForumConfig, ForumDialect};
use crate::domain::event::Rejected;
use crate::domain::id::{AuthorId, PostId, SourceName};
use crate::domain::key::Key;
use crate::domain::post::Post;
use crate::domain::time::Timestamp;

/// Most items of one page; the others are not looked at. No dialect gives more than a hundred.
const MOST_ITEMS: usize = 1000;
/// No name of an item or an author is longer, in bytes.
const LONGEST_NAME: usize = 512;

/// Reads a forum for as long as the program runs.
pub(super) async fn read(config: ForumConfig, line: Line) {
    let url = config.url.clone();
    match &config.dialect {
        ForumDialect::Discourse { .. } => wire::run(discourse::Discourse::new(&config), &config, url, line).await,
        ForumDialect::HackerNews => wire::run(hackernews::HackerNews::new(&config), &config, url, line).await,
        ForumDialect::Lemmy { .. } => wire::run(lemmy::Lemmy::new(&config), &config, url, line).await,
        ForumDialect::Lobsters => wire::run(lobsters::Lobsters::new(&config), &config, url, line).await,
        ForumDialect::Reddit { .. } => wire::run(reddit::Reddit::new(&config), &config, url, line).await,
    }
}

/// One thing that a list shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What the forum knows it by.
    pub name: String,
    /// When the forum says it was written.
    pub at: Option<Timestamp>,
    /// Whether it stands in the list where its time says. What is pinned, or an answer under another, does not.
    pub in_order: bool,
    /// What it says.
    pub said: Said,
}

/// What an item says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// A post.
    Post(Box<Post>),
    /// That it was taken back, or away.
    Gone(PostId),
    /// Nothing for rules.
    Other,
    /// Nothing that can be read.
    Broken(Rejected),
}

impl Said {
    /// A post of which all is known that it says; its version is what it says.
    pub(in crate::source) fn post(mut post: Post) -> Self {
        post.media_text = within_budget(std::mem::take(&mut post.media_text));
        post.has_media |= !post.media_text.is_empty();
        post.version = Some(format!("{:016x}", Key::of(&(&post.text, &post.media_text)).bits()));
        Self::Post(Box::new(post))
    }
}

impl Item {
    /// Reads one; what cannot be read is known by its bytes.
    pub(in crate::source) fn of(raw: &RawValue, read: impl FnOnce(&Value) -> Result<Self, Rejected>) -> Self {
        let value = parse_object_of::<Map<String, Value>>(raw.get()).map(Value::Object);
        value.and_then(|value| read(&value)).unwrap_or_else(|why| Self {
            name: format!("!{:016x}", Key::of(raw.get()).bits()),
            at: None,
            in_order: false,
            said: Said::Broken(why),
        })
    }
}

/// Reads the body of a page as the forum at `base` sends it; nothing when it is none. The dialects by their words in the
/// configuration, of those whose pages are JSON.
pub fn read_page(dialect: &str, body: &[u8], base: &Url, now: Timestamp) -> Option<Vec<Item>> {
    let reading = Reading { source: &SourceName::from("forum"), base, now };
    match dialect {
        "discourse" => discourse::items(body, &reading),
        "hackernews" => hackernews::item(body, &reading),
        "lemmy" => lemmy::items(body, &reading),
        "lobsters" => lobsters::stories(body, &reading).or_else(|| lobsters::comments(body, &reading)),
        "reddit" => reddit::items(body, &reading).map(|(items, _)| items),
        _ => None,
    }
}

/// What all items of a page are read with.
pub(in crate::source) struct Reading<'a> {
    /// The source.
    pub(in crate::source) source: &'a SourceName,
    /// Where the forum is.
    pub(in crate::source) base: &'a Url,
    /// When the page was read.
    pub(in crate::source) now: Timestamp,
}

impl Reading<'_> {
    /// The forum's name, for ids that no other forum has.
    fn site(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    /// A post with its words and dates: `title`, when there is one, stands before the text.
    pub(in crate::source) fn post(
        &self,
        id: PostId,
        author: AuthorId,
        words: [Option<&str>; 2],
        (created, edited): (Option<Timestamp>, Option<Timestamp>),
    ) -> Post {
        let at = claimed_or_received(edited.or(created), Some(self.now)).unwrap_or(self.now);
        let words: Vec<&str> = words.into_iter().flatten().map(str::trim).filter(|words| !words.is_empty()).collect();
        let text = cut(&words.join("\n")).to_owned();
        let mut post = Post::plain(id, self.source.clone(), author, text, at);
        post.created_at = claimed_or(created, at);
        for link in links(&post.text) {
            keep(&mut post.links, &link, MAX_LINK_BYTES);
        }
        post
    }
}

/// A text in an item that says something.
pub(in crate::source) fn text<'a>(item: &'a Value, place: &str) -> Option<&'a str> {
    item.pointer(place)?.as_str().filter(|text| !text.is_empty())
}

/// A text short enough for a name.
pub(in crate::source) fn short<'a>(item: &'a Value, place: &str) -> Option<&'a str> {
    text(item, place).filter(|text| text.len() <= LONGEST_NAME)
}

/// An author's name as it may be shown.
pub(in crate::source) fn shown(item: &Value, place: &str) -> Option<String> {
    text(item, place).filter(|name| name.len() <= MAX_TAG_BYTES).map(str::to_owned)
}

/// Whether a truth value in an item is true.
fn is(item: &Value, place: &str) -> bool {
    item.pointer(place).and_then(Value::as_bool).unwrap_or(false)
}

/// A date in an item, with or without a zone.
pub(in crate::source) fn date(item: &Value, place: &str) -> Option<Timestamp> {
    Timestamp::parse(text(item, place)?).ok()
}

/// A number of seconds since 1970 in an item.
fn seconds(item: &Value, place: &str) -> Option<Timestamp> {
    let seconds = item.pointer(place).and_then(|value| value.as_i64().or_else(|| whole(value.as_f64()?)))?;
    (0..1 << 40).contains(&seconds).then(|| Timestamp::from_seconds(seconds))
}

/// A number without what stands behind its point.
fn whole(number: f64) -> Option<i64> {
    let text = format!("{:.0}", number.trunc());
    text.parse().ok()
}

/// Keeps the address that an item is about.
fn keep_link(post: &mut Post, item: &Value, place: &str) {
    if let Some(link) = text(item, place).and_then(|link| absolute(link, None)) {
        keep(&mut post.links, &link, MAX_LINK_BYTES);
    }
}

/// An address below the forum's own.
pub(in crate::source) fn below<'a>(base: &Url, path: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}
