//! One item of a feed, and the post it is.

use std::borrow::Cow;

use url::Url;

use super::transcript::Transcript;
use crate::domain::key::Key;
use crate::domain::time::Timestamp;
use crate::source::html::{Plain, plain};
use crate::source::sanity::{MAX_ITEMS, MAX_LINK_BYTES, MAX_TAG_BYTES, claimed_or, claimed_or_received, cut, keep};
use crate::wire::post::{AuthorJson, PostJson};

/// Longer ids are replaced by a digest, in bytes.
const LONGEST_ID: usize = 1024;

/// Who wrote something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct By {
    /// As shown.
    pub name: Option<String>,
    /// What tells them from others of the same name: an address or an account.
    pub key: Option<String>,
    /// The name others mention.
    pub handle: Option<String>,
}

/// An item, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// Its id in the document, if it has one.
    pub id: Option<String>,
    /// Where people read it.
    pub link: Option<String>,
    /// Its title, as HTML.
    pub title: String,
    /// Its longest text, as HTML.
    pub content: String,
    /// Who wrote it.
    pub by: By,
    /// When it says it was published.
    pub published: Option<Timestamp>,
    /// When it says it was changed.
    pub updated: Option<Timestamp>,
    /// Its language.
    pub lang: Option<String>,
    /// Its categories.
    pub tags: Vec<String>,
    /// Where it leads besides its own page.
    pub links: Vec<String>,
    /// What describes its pictures and recordings.
    pub media_text: Vec<String>,
    /// Whether it has any.
    pub has_media: bool,
    /// The id of what it answers.
    pub reply_to: Option<String>,
    /// Where what is said in its recording can be read.
    pub transcripts: Vec<Transcript>,
    /// Relative addresses in it begin here.
    pub base: Option<Url>,
}

impl Item {
    /// Turns HTML to text, and takes from the document what the item does not say itself.
    pub(super) fn finish(&mut self, document: Option<&str>, lang: Option<&str>, author: &By) {
        let Plain { text: title, alts, .. } = plain(&self.title, self.base.as_ref());
        self.title = title;
        for alt in alts {
            keep(&mut self.media_text, &alt, MAX_TAG_BYTES);
        }
        let Plain { text, links, alts, has_media } = plain(&self.content, self.base.as_ref());
        self.content = text;
        self.has_media |= has_media;
        for link in links {
            keep(&mut self.links, &link, MAX_LINK_BYTES);
        }
        for alt in alts {
            keep(&mut self.media_text, cut(&alt), usize::MAX);
        }
        self.media_text = std::mem::take(&mut self.media_text)
            .iter()
            .map(|text| plain(text, None).text)
            .filter(|text| !text.is_empty() && *text != self.title && *text != self.content)
            .collect();
        self.lang = self.lang.take().or_else(|| lang.map(str::to_owned)).filter(|lang| lang.len() <= MAX_TAG_BYTES);
        if self.by == By::default() {
            self.by = author.clone();
        }
        if self.by == By::default() {
            self.by.name = document.map(|title| plain(title, None).text);
        }
    }

    /// What it is known by in its document: its id, else its page, else its title and date.
    pub(super) fn own_id(&self) -> Cow<'_, str> {
        match (&self.id, &self.link) {
            (Some(id), _) => Cow::Borrowed(id),
            (None, Some(link)) => Cow::Borrowed(link),
            (None, None) => Cow::Owned(format!("{:016x}", Key::of(&(&self.title, self.published)).bits())),
        }
    }

    /// What it is known by when its id is another with every poll: its page and its title.
    pub(super) fn twin(&self) -> Option<Key> {
        let link = self.link.as_deref()?;
        let page = link.split_once("://").map_or(link, |(_, page)| page).trim_start_matches("www.");
        (!self.title.is_empty()).then(|| Key::of(&(page.trim_end_matches('/'), &self.title)))
    }

    /// What it says; another when its words are others.
    pub(super) fn words(&self) -> Key {
        Key::of(&(&self.title, &self.content, &self.media_text))
    }

    /// The post it is, as one line of our own form. `site` is where the feed is from, `heard` a transcript.
    pub(super) fn line(&self, id: &str, site: &str, heard: Option<&str>, now: Timestamp) -> Option<Vec<u8>> {
        let claim = self.published.or(self.updated);
        let event_time = claimed_or_received(claim, Some(now)).unwrap_or(now);
        let By { name, key, handle } = &self.by;
        let author = key.as_deref().or(name.as_deref()).unwrap_or_default();
        let version = format!("{:016x}", self.words().bits());
        let mut media_text = self.media_text.clone();
        media_text.extend(heard.map(|heard| cut(heard).to_owned()));
        media_text.truncate(MAX_ITEMS);
        let post = PostJson {
            id: id.into(),
            source: None,
            url: self.link.as_deref().map(Cow::Borrowed),
            created_at: claimed_or(claim, event_time).to_string().into(),
            event_time: Some(event_time.to_string().into()),
            author: AuthorJson {
                id: global_author(author, site).into(),
                handle: handle.clone(),
                name: name.clone(),
                followers: None,
            },
            text: self.text().into(),
            lang: self.lang.iter().cloned().collect(),
            kind: None,
            reply_to: self.reply_to.as_deref().map(|id| global_id(id, site)),
            quote_of: None,
            repost_of: None,
            copy_of: None,
            links: self.links.clone(),
            tags: self.tags.clone(),
            has_media: Some(self.has_media || !media_text.is_empty()),
            media_text,
            version: Some(if heard.is_some() { format!("{version}+heard") } else { version }),
        };
        serde_json::to_vec(&post).ok()
    }

    /// Title and text, once each.
    fn text(&self) -> String {
        match (self.title.trim_end_matches(['.', '…']), self.content.as_str()) {
            ("", content) => cut(content).to_owned(),
            (_, "") => self.title.clone(),
            (title, content) if content.starts_with(title) => cut(content).to_owned(),
            (_, content) => cut(&format!("{}\n{content}", self.title)).to_owned(),
        }
    }
}

/// A line that says that a post was taken back.
pub(in crate::source) fn gone_line(id: &str, at: Timestamp) -> Vec<u8> {
    serde_json::json!({ "id": id, "deleted_at": at.to_string() }).to_string().into_bytes()
}

/// The id of an item as no other site has it.
pub(super) fn global_id(id: &str, site: &str) -> String {
    let is_global = ["http://", "https://", "tag:", "urn:", "yt:"].iter().any(|scheme| id.starts_with(scheme));
    match (id.len() <= LONGEST_ID, is_global) {
        (true, true) => id.to_owned(),
        (true, false) => format!("feed:{site}/{id}"),
        (false, _) => format!("feed:{site}/{:016x}", Key::of(id).bits()),
    }
}

/// An author's key as no other site has it.
fn global_author(key: &str, site: &str) -> String {
    let is_global = ["http://", "https://"].iter().any(|scheme| key.starts_with(scheme)) && key.len() <= LONGEST_ID;
    if is_global { key.to_owned() } else { format!("feed:{site}/{}", key.chars().take(200).collect::<String>()) }
}
