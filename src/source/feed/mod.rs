//! `feed`: what blogs, magazines, forums, wikis, podcasts and link sites publish as RSS, Atom or JSON Feed.
//!
//! What such a document promises: next to nothing. It is a window over the newest items, read by asking again and again.
//! An item that is gone has only left the window; only a tombstone (RFC 6721) is a deletion. Ids change, dates lie, servers
//! say nothing of what they kept. So `known.rs` remembers which items were seen in which words, and what is handed on is
//! one post for each item that is new or says something else, in our own form (`source::posts`): a recording of it
//! replays without the documents. The first document of all is history, and tells nobody of anything.
//!
//! What can be lost: items that came and left the window between two polls. When no item of a document is known any more
//! that is noticed, and told as a gap.

mod date;
mod item;
mod json;
mod known;
mod push;
mod transcript;
mod wire;
mod xml;

#[cfg(test)]
mod tests;

use std::time::Duration;

use url::Url;

pub use self::item::Item;
pub(in crate::source) use self::item::gone_line;
pub use self::transcript::words as transcript_words;
pub(super) use self::wire::Feed;
pub use self::wire::hub;
use crate::domain::time::Timestamp;

/// Most items of one document; the others are not looked at. The longest known windows have a few hundred.
const MAX_DOCUMENT_ITEMS: usize = 1000;

/// A document, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Its items, in its order.
    pub items: Vec<Item>,
    /// Ids of items that were taken back.
    pub gone: Vec<Gone>,
    /// Whether it was there to its end.
    pub is_whole: bool,
    /// How long it says it need not be asked for again.
    pub fresh_for: Option<Duration>,
    /// Where changes can be subscribed to (`WebSub`).
    pub hub: Option<Url>,
    /// Its address for that purpose.
    pub own_url: Option<Url>,
    /// Its title.
    title: Option<String>,
    /// Its language, of items that do not say theirs.
    lang: Option<String>,
    /// Its author, of items that do not say theirs.
    author: item::By,
}

/// An item its author took back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// The item's id.
    pub id: String,
    /// When, if it says so.
    pub at: Option<Timestamp>,
}

/// Why bytes are no feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAFeed {
    /// A page for people: perhaps of an error or a login.
    #[error("a web page and not a feed; look there for the feed's own address")]
    Page,
    /// Anything else.
    #[error("neither RSS nor Atom nor JSON Feed")]
    Unknown,
}

/// Reads a document that came from `base` with that content type. What it is, its first bytes say: content types lie.
///
/// # Errors
/// [`NotAFeed`].
pub fn read(bytes: &[u8], content_type: Option<&str>, base: &Url) -> Result<Document, NotAFeed> {
    let text = super::charset::decoded(bytes, content_type);
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    let mut document = if text.starts_with('{') { json::read(text, base)? } else { xml::read(text, base)? };
    let Document { title, lang, author, items, .. } = &mut document;
    for item in items {
        item.finish(title.as_deref(), lang.as_deref(), author);
    }
    Ok(document)
}
