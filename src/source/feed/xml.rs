//! RSS of every age, RDF and Atom, as they are in the wild: undeclared entities, missing ends, wrong prefixes.
//!
//! Entities of a document's own are never expanded, so a small document stays small; what is open at a time and how long
//! a text may be are bounded.

use std::time::Duration;

use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Prefix, ResolveResult};
use url::Url;

use super::date::date;
use super::item::Item;
use super::transcript::Transcript;
use super::{Document, Gone, MAX_DOCUMENT_ITEMS, NotAFeed};
use crate::source::html::{absolute, decoded, unescaped};
use crate::source::sanity::{MAX_ITEMS, MAX_LINK_BYTES, MAX_TAG_BYTES, MAX_TEXT_BYTES, cut, keep};

/// Elements open at a time; what is deeper is not looked at.
const MAX_DEPTH: usize = 64;
/// Longest text of one element, in bytes.
const MAX_TEXT: usize = 4 * MAX_TEXT_BYTES;
/// Most attributes of one element.
const MAX_ATTRIBUTES: usize = 16;
/// Items taken back in one document.
const MAX_GONE: usize = 1000;

/// Namespaces, by what they are called here. The prefixes are what people usually call them, too, and what counts where a
/// document forgot to declare them.
const SPACES: [(&str, &str); 16] = [
    ("http://www.w3.org/2005/Atom", "atom"),
    ("http://purl.org/atom/ns#", "atom"),
    ("http://purl.org/rss/1.0/", ""),
    ("http://my.netscape.com/rdf/simple/0.9/", ""),
    ("http://channel.netscape.com/rdf/simple/0.9/", ""),
    ("http://purl.org/rss/1.0/modules/content/", "content"),
    ("http://purl.org/rss/1.0/modules/syndication/", "sy"),
    ("http://purl.org/dc/elements/1.1/", "dc"),
    ("http://purl.org/dc/terms/", "dcterms"),
    ("http://search.yahoo.com/mrss/", "media"),
    ("http://www.itunes.com/dtds/podcast-1.0.dtd", "itunes"),
    ("https://podcastindex.org/namespace/1.0", "podcast"),
    ("http://purl.org/atompub/tombstones/1.0", "at"),
    ("http://purl.org/syndication/thread/1.0", "thr"),
    ("http://www.youtube.com/xml/schemas/2015", "yt"),
    ("http://www.w3.org/1999/xhtml", "xhtml"),
];

/// Elements whose inside is markup, though it may be written as elements.
const MARKUP: [&str; 7] =
    ["description", "content:encoded", "atom:content", "atom:summary", "atom:title", "title", "xhtml:body"];

/// Reads a document from its text; links are relative to `base`.
pub(super) fn read(text: &str, base: &Url) -> Result<Document, NotAFeed> {
    let mut reader = NsReader::from_str(text);
    let config = reader.config_mut();
    config.allow_dangling_amp = true;
    config.allow_unmatched_ends = true;
    config.check_end_names = false;
    config.expand_empty_elements = true;
    let mut state = State::new(base);
    // What was read before an error is of use all the same.
    while let Ok((space, event)) = reader.read_resolved_event() {
        match event {
            Event::Start(start) => {
                let name = start.local_name();
                let key = key(&space, name.into_inner(), start.name().prefix().map(Prefix::into_inner));
                state.start(key, &start)?;
            }
            Event::End(end) => {
                let key = key(&space, end.local_name().into_inner(), end.name().prefix().map(Prefix::into_inner));
                state.end(&key, end.name().into_inner());
            }
            Event::Text(text) => state.text(&text.into_inner()),
            Event::CData(text) => state.cdata(&text.into_inner()),
            Event::GeneralRef(name) => {
                let name = name.into_inner();
                let stands_for = decoded(&name);
                state.text(&stands_for.unwrap_or_else(|| format!("&{name};")));
            }
            Event::Eof => break,
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
    state.done()
}

/// What an element is called here.
fn key(space: &ResolveResult<'_>, local: &str, prefix: Option<&str>) -> String {
    let space = match space {
        ResolveResult::Bound(space) => {
            let uri = space.into_inner();
            let named = SPACES
                .iter()
                .find(|(known, _)| known.trim_end_matches('/').eq_ignore_ascii_case(uri.trim_end_matches('/')));
            named.map_or_else(|| prefix.unwrap_or("other"), |(_, name)| *name)
        }
        _ => prefix.unwrap_or_default(),
    };
    let local = cut(local).get(..local.len().min(64)).unwrap_or_default();
    if space.is_empty() { local.to_owned() } else { format!("{space}:{local}") }
}

/// An element that is open.
struct Open {
    key: String,
    name: String,
    text: String,
    attributes: Vec<(String, String)>,
    base: Option<Url>,
    /// Elements open inside it that are markup.
    markup: usize,
}

impl Open {
    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn push(&mut self, text: &str) {
        let room = MAX_TEXT.saturating_sub(self.text.len());
        self.text.push_str(text.get(..text.floor_char_boundary(room)).unwrap_or_default());
    }
}

struct State<'a> {
    base: &'a Url,
    open: Vec<Open>,
    /// Elements that are open deeper than is looked at.
    deeper: usize,
    item: Option<Item>,
    document: Document,
    is_feed: bool,
    updates: (Option<Duration>, u32),
}

impl<'a> State<'a> {
    fn new(base: &'a Url) -> Self {
        Self {
            base,
            open: Vec::new(),
            deeper: 0,
            item: None,
            document: Document::default(),
            is_feed: false,
            updates: (None, 1),
        }
    }

    fn done(self) -> Result<Document, NotAFeed> {
        let mut document = self.document;
        if !self.is_feed {
            return Err(NotAFeed::Unknown);
        }
        if let (Some(period), often) = self.updates {
            document.fresh_for = document.fresh_for.max(Some(period / often.max(1)));
        }
        Ok(document)
    }

    fn start(&mut self, key: String, start: &BytesStart<'_>) -> Result<(), NotAFeed> {
        if self.open.is_empty() && !self.is_feed {
            match key.as_str() {
                "rss" | "atom:feed" | "feed" | "rdf:RDF" | "channel" => self.is_feed = true,
                _ if key.ends_with("RDF") => self.is_feed = true,
                _ if key.to_ascii_lowercase().ends_with("html") => return Err(NotAFeed::Page),
                _ => return Err(NotAFeed::Unknown),
            }
        }
        if self.open.len() >= MAX_DEPTH {
            self.deeper += 1;
            return Ok(());
        }
        let is_item = matches!(key.as_str(), "item" | "atom:entry" | "entry");
        if let Some(parent) = self.open.last_mut()
            && MARKUP.contains(&parent.key.as_str())
            && !is_item
        {
            parent.markup += 1;
            parent.push(&format!("<{} {}>", start.local_name().into_inner(), start.attributes_raw()));
            return Ok(());
        }
        let attributes = attributes(start);
        let base = attributes.iter().find(|(name, _)| name == "xml:base").map(|(_, base)| base.as_str());
        let around = self.open.last().and_then(|open| open.base.clone());
        let base = base.and_then(|base| around.as_ref().unwrap_or(self.base).join(base).ok()).or(around);
        if is_item {
            self.item_done(); // one that never ended
            let about = attributes.iter().find(|(name, _)| name == "rdf:about").map(|(_, about)| about.clone());
            let lang = attributes.iter().find(|(name, _)| name == "xml:lang").map(|(_, lang)| lang.clone());
            let base = Some(base.clone().unwrap_or_else(|| self.base.clone()));
            self.item = Some(Item { id: about, lang, base, ..Item::default() });
        }
        let name = start.name().into_inner().to_owned();
        self.open.push(Open { key, name, text: String::new(), attributes, base, markup: 0 });
        Ok(())
    }

    fn end(&mut self, key: &str, name: &str) {
        if self.deeper > 0 {
            self.deeper -= 1;
            return;
        }
        let Some(place) = self.open.iter().rposition(|open| open.key == key || open.name == name) else {
            return self.end_of_markup(name);
        };
        let is_top = place + 1 == self.open.len();
        if !is_top && self.open.last().is_some_and(|open| open.markup > 0) && !matches!(key, "item" | "atom:entry") {
            return self.end_of_markup(name);
        }
        // Whatever was left open inside it ends with it.
        while self.open.len() > place {
            let Some(open) = self.open.pop() else { break };
            self.close(open);
        }
    }

    fn end_of_markup(&mut self, name: &str) {
        if let Some(open) = self.open.last_mut().filter(|open| open.markup > 0) {
            open.markup -= 1;
            let local = name.rsplit(':').next().unwrap_or_default();
            open.push(&format!("</{local}>"));
        }
    }

    fn text(&mut self, text: &str) {
        if self.deeper > 0 {
            return;
        }
        if let Some(open) = self.open.last_mut() {
            // Inside elements that are markup a bracket was escaped to be shown.
            if open.markup > 0 { open.push(&text.replace('&', "&amp;").replace('<', "&lt;")) } else { open.push(text) }
        }
    }

    fn cdata(&mut self, text: &str) {
        if self.deeper == 0
            && let Some(open) = self.open.last_mut()
        {
            open.push(text);
        }
    }

    fn close(&mut self, mut open: Open) {
        open.text = open.text.trim().into();
        let parent = self.open.last().map(|parent| parent.key.clone()).unwrap_or_default();
        let parent = parent.strip_prefix("atom:").unwrap_or(&parent).to_owned();
        let key = open.key.strip_prefix("atom:").unwrap_or(&open.key).to_owned();
        if self.open.is_empty() {
            self.document.is_whole = true;
        }
        match (key.as_str(), self.item.as_mut()) {
            ("item" | "entry", _) => self.item_done(),
            ("at:deleted-entry" | "deleted-entry", _) => {
                if let Some(id) = open.attribute("ref")
                    && self.document.gone.len() < MAX_GONE
                {
                    let at = open.attribute("when").and_then(date);
                    self.document.gone.push(Gone { id: id.to_owned(), at });
                }
            }
            (key, Some(item)) => field(item, key, &parent, &open, self.base),
            (key, None) if matches!(parent.as_str(), "channel" | "feed") => self.of_document(key, &open),
            ("name", None) if parent == "author" => self.document.author.name = Some(open.text),
            ("uri" | "url", None) if parent == "author" => self.document.author.key = Some(open.text),
            (_, None) => {}
        }
        if matches!(key.as_str(), "feed" | "channel") && self.document.lang.is_none() {
            self.document.lang =
                open.attributes.iter().find(|(name, _)| name == "xml:lang").map(|(_, lang)| lang.clone());
        }
    }

    fn item_done(&mut self) {
        if self.document.items.len() < MAX_DOCUMENT_ITEMS {
            self.document.items.extend(self.item.take());
        }
    }

    fn of_document(&mut self, key: &str, open: &Open) {
        let document = &mut self.document;
        let text = || Some(open.text.clone()).filter(|text| !text.is_empty());
        match key {
            "title" => document.title = document.title.take().or_else(text),
            "language" | "dc:language" => document.lang = text(),
            "ttl" => {
                let minutes = open.text.parse().ok();
                document.fresh_for = minutes.map(|minutes: u32| Duration::from_secs(60 * u64::from(minutes)));
            }

            "sy:updatePeriod" => {
                let hours = match open.text.as_str() {
                    "hourly" => 1,
                    "daily" => 24,
                    "weekly" => 7 * 24,
                    "monthly" => 30 * 24,
                    "yearly" => 365 * 24,
                    _ => return,
                };
                self.updates.0 = Some(Duration::from_hours(hours));
            }
            "sy:updateFrequency" => self.updates.1 = open.text.parse().unwrap_or(1),
            "link" => {
                let url = open.attribute("href").and_then(|href| self.base.join(href).ok());
                match open.attribute("rel") {
                    Some("hub") => document.hub = document.hub.take().or(url),
                    Some("self") => document.own_url = document.own_url.take().or(url),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

fn attributes(start: &BytesStart<'_>) -> Vec<(String, String)> {
    let mut attributes = start.html_attributes();
    let read = attributes.with_checks(false).filter_map(Result::ok).take(MAX_ATTRIBUTES);
    let read = read.filter(|attribute| attribute.value.len() <= MAX_LINK_BYTES);
    read.map(|attribute| (attribute.key.into_inner().to_owned(), unescaped(&attribute.value))).collect()
}

/// Takes one element of an item; `key` and `parent` are without `atom:`.
fn field(item: &mut Item, key: &str, parent: &str, open: &Open, feed: &Url) {
    let text = || Some(open.text.clone()).filter(|text| !text.is_empty());
    let base = open.base.as_ref().unwrap_or(feed);
    if !matches!(parent, "item" | "entry") {
        return field_within(item, key, parent, open);
    }
    match key {
        "title" => item.title.clone_from(&open.text),
        "dc:title" | "media:title" if item.title.is_empty() => item.title.clone_from(&open.text),
        "content:encoded" | "content" | "xhtml:body" | "description" | "summary" | "itunes:summary" | "subtitle"
        | "dc:description" => {
            // The whole goes before its summary, wherever either stands.
            let is_whole = matches!(key, "content:encoded" | "content" | "xhtml:body");
            if !open.text.is_empty() && (is_whole || item.content.is_empty()) {
                item.content.clone_from(&open.text);
                item.base.clone_from(&Some(base.clone()));
            }
        }
        "guid" | "id" => {
            item.id = text();
            let is_link = key == "guid" && open.attribute("isPermaLink") != Some("false");
            if is_link && item.link.is_none() && open.text.starts_with("http") {
                item.link = absolute(&open.text, None);
            }
        }
        "link" if open.attribute("href").is_none() => {
            item.link = absolute(&open.text, Some(base)).or_else(|| item.link.take());
        }
        "link" => atom_link(item, open, base),
        "enclosure" | "media:content" | "media:thumbnail" => item.has_media = true,
        "pubDate" | "dc:date" | "published" | "issued" | "created" | "dcterms:created" | "dcterms:issued" => {
            item.published = date(&open.text).or(item.published);
        }
        "updated" | "modified" | "dcterms:modified" => item.updated = date(&open.text),
        "author" | "dc:creator" | "itunes:author" if item.by.name.is_none() => item.by.name = text(),
        "yt:channelId" => item.by.key = Some(format!("https://www.youtube.com/channel/{}", open.text)),
        "category" | "dc:subject" | "itunes:keywords" | "media:keywords" => {
            let tag = open.attribute("label").or(open.attribute("term")).unwrap_or(&open.text);
            tag.split(',').for_each(|tag| keep(&mut item.tags, tag.trim().trim_start_matches('#'), MAX_TAG_BYTES));
        }
        "podcast:transcript" if item.transcripts.len() < MAX_ITEMS => {
            let transcript = open.attribute("url").and_then(|url| {
                Some(Transcript {
                    url: absolute(url, Some(base))?,
                    kind: open.attribute("type").unwrap_or_default().into(),
                })
            });
            item.transcripts.extend(transcript);
        }
        "thr:in-reply-to" => item.reply_to = open.attribute("ref").map(str::to_owned),
        "media:description" => keep(&mut item.media_text, &open.text, MAX_TEXT_BYTES),
        _ => {}
    }
}

fn field_within(item: &mut Item, key: &str, parent: &str, open: &Open) {
    let text = || Some(open.text.clone()).filter(|text| !text.is_empty());
    match (parent, key) {
        ("author", "name") => item.by.name = text(),
        ("author", "uri" | "url" | "email") if item.by.key.is_none() => item.by.key = text(),
        ("media:group" | "media:content", "media:description" | "media:title") => {
            keep(&mut item.media_text, &open.text, MAX_TEXT_BYTES);
        }
        ("media:group" | "media:content", _) => item.has_media = true,
        _ => {}
    }
}

fn atom_link(item: &mut Item, open: &Open, base: &Url) {
    let Some(link) = open.attribute("href").and_then(|href| absolute(href, Some(base))) else { return };
    match open.attribute("rel").unwrap_or("alternate") {
        "alternate" if item.link.is_none() => item.link = Some(link),
        "enclosure" => item.has_media = true,
        "related" | "via" => keep(&mut item.links, &link, MAX_LINK_BYTES),
        _ => {}
    }
}
