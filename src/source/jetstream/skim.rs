//! A Jetstream frame read just as far as most frames need: what rules read of a post goes
//! into buffers that are reused, and a frame without a post is left after its head.
//!
//! The promise: where [`skim`] answers, it says what [`super::decode`] would have
//! said, so that nobody can tell how a frame was read. Where it is not sure (an escape in
//! a key, an unusual order, a wrong type, a list too long, anything that would be rejected) it answers `None`, and the frame is decoded whole. A test holds both against
//! each other on damaged and made-up frames; change one and it tells.
//!
//! One thing differs, and is meant to: a commit to another collection whose head is sound
//! and which ends as a frame does is skipped without a look at what lies between. `decode`
//! would reject it if that were broken. Nothing in it is ever used, and reading the likes
//! of all the world to count the broken ones costs as much as reading the posts.
//!
//! Rejected: to leave out the check of a post's unread parts as well. A post that is cut off
//! or forged in the middle must be counted as what it is.

use super::head::{CommitHead, DID, Head};
use super::record::{is_post, is_reference, without_hash};
use super::scan::{Quoted, Scan};
use super::{POSTS, cursor};
use crate::domain::event::{Cursor, Glimpse, Passing};
use crate::domain::id::SourceName;
use crate::domain::key::{Key, PostKeys};
use crate::domain::post::{Excerpt, PostKind, Texts};
use crate::domain::time::Timestamp;
use crate::source::sanity::{MAX_LINK_BYTES, MAX_TAG_BYTES, MAX_TEXT_BYTES, claimed_time, event_time, keep_text};

/// What a frame was found to be without reading it whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skimmed {
    /// Its place in the stream.
    pub cursor: Cursor,
    /// What it carries; the words of a post are in the [`Excerpt`].
    pub passing: Passing,
}

/// Buffers that skimming reuses.
#[derive(Debug, Default)]
pub struct Buffers {
    media: Texts,
    unescaped: String,
    id: String,
}

/// Skims a frame. `None`: it has to be decoded, and `excerpt` holds nothing of use.
pub fn skim(
    source: &SourceName,
    frame: &[u8],
    received_at: Option<Timestamp>,
    excerpt: &mut Excerpt,
    buffers: &mut Buffers,
) -> Option<Skimmed> {
    let head = Head::of(frame)?;
    let stamp = Timestamp::from_micros(head.time_us);
    let event_time = event_time(stamp, received_at).ok()?;
    let cursor = cursor(stamp, received_at);
    let Some(commit) = head.commit() else {
        let mut scan = Scan::new(simdutf8::basic::from_utf8(frame).ok()?, frame.len() - head.rest.len());
        active_account(&mut scan)?;
        return Some(Skimmed { cursor, passing: Passing::Other });
    };
    if commit.collection != POSTS.as_bytes() {
        return frame.ends_with(b"}}").then_some(Skimmed { cursor, passing: Passing::Other });
    }
    let text = simdutf8::basic::from_utf8(frame).ok()?;
    let frame = Frame { source, text, head, commit, event_time };
    let passing = match frame.commit.operation {
        b"create" | b"update" => {
            let keys = Post { excerpt, buffers }.read(&frame)?;
            Passing::Post(Glimpse { event_time, keys })
        }
        b"delete" => Passing::Deleted(deleted(&frame, &mut buffers.id)?),
        _ => return None,
    };
    Some(Skimmed { cursor, passing })
}

/// A commit to the collection of posts.
struct Frame<'f> {
    source: &'f SourceName,
    text: &'f str,
    head: Head<'f>,
    commit: CommitHead<'f>,
    event_time: Timestamp,
}

impl<'f> Frame<'f> {
    /// What follows the record's key, which comes first.
    fn scan(&self) -> Option<(&'f str, Scan<'f>)> {
        let mut scan = Scan::new(self.text, self.text.len() - self.commit.rest.len());
        scan.eat(r#","rkey":"#)?;
        let rkey = scan.plain().filter(|rkey| !rkey.is_empty())?;
        Some((rkey, scan))
    }

    fn did(&self) -> Option<&'f str> {
        self.text.get(DID..DID + self.head.did.len())
    }

    /// The post's id.
    fn id<'b>(&self, rkey: &str, buffer: &'b mut String) -> Option<&'b str> {
        buffer.clear();
        buffer.extend(["at://", self.did()?, "/", POSTS, "/", rkey]);
        Some(buffer)
    }
}

/// The name of a post that its author takes back.
fn deleted(frame: &Frame<'_>, buffer: &mut String) -> Option<Key> {
    let (rkey, mut scan) = frame.scan()?;
    scan.eat("}}")?;
    scan.is_at_end().then_some(())?;
    frame.id(rkey, buffer).map(Key::of)
}

/// Goes past the rest of a frame that tells of an account which stays.
fn active_account(scan: &mut Scan<'_>) -> Option<()> {
    scan.eat(r#","kind":"account","account":"#)?;
    let mut active = None;
    scan.object(|scan, key| match key {
        "active" => once(&mut active, scan.eat("true")?),
        "status" => None,
        _ => scan.skip(),
    })?;
    scan.eat("}")?;
    scan.is_at_end().then_some(())?;
    active
}

/// Where a post's words go.
struct Post<'s> {
    excerpt: &'s mut Excerpt,
    buffers: &'s mut Buffers,
}

/// What of a record can only be judged when all of it was read.
#[derive(Default)]
struct Record<'f> {
    text: Option<Quoted<'f>>,
    created_at: Option<Quoted<'f>>,
    langs: Option<()>,
    embed: Option<()>,
    facets: Option<()>,
    tags: Option<()>,
    original: Option<()>,
    /// Present; and whether it names the post that is answered.
    reply: Option<bool>,
    quotes: bool,
    /// A link card's address, which comes after the links in the text.
    card: Option<Quoted<'f>>,
}

impl Post<'_> {
    fn read(mut self, frame: &Frame<'_>) -> Option<PostKeys> {
        self.excerpt.clear();
        self.buffers.media.clear();
        let (rkey, mut scan) = frame.scan()?;
        scan.eat(r#","record":"#)?;
        let record = self.record(&mut scan)?;
        let version = match scan.eat(r#","cid":"#) {
            Some(()) => scan.plain()?,
            None => std::str::from_utf8(frame.commit.rev).ok()?,
        };
        scan.eat("}}")?;
        scan.is_at_end().then_some(())?;
        self.finish(&record, frame.event_time)?;
        self.excerpt.source.push_str(frame.source.as_str());
        self.excerpt.author.push_str(frame.did()?);
        let id = frame.id(rkey, &mut self.buffers.id)?;
        Some(PostKeys::of(id, Some(version)))
    }

    /// The servers sort keys, so that most of them come just where they are expected.
    fn record<'f>(&mut self, scan: &mut Scan<'f>) -> Option<Record<'f>> {
        let mut record = Record::default();
        if scan.eat(r#"{"$type":"app.bsky.feed.post","createdAt":"#).is_none() {
            scan.object(|scan, key| self.member(scan, key, &mut record))?;
            return Some(record);
        }
        record.created_at = Some(scan.string()?);
        if scan.eat(r#","embed":"#).is_some() {
            self.member(scan, "embed", &mut record)?;
        }
        if scan.eat(r#","facets":"#).is_some() {
            self.member(scan, "facets", &mut record)?;
        }
        if scan.eat(r#","langs":"#).is_some() {
            self.member(scan, "langs", &mut record)?;
        }
        if scan.eat(r#","reply":"#).is_some() {
            self.member(scan, "reply", &mut record)?;
        }
        if scan.eat(r#","text":"#).is_some() {
            self.member(scan, "text", &mut record)?;
        }
        scan.members(|scan, key| self.member(scan, key, &mut record))?;
        Some(record)
    }

    #[inline]
    fn member<'f>(&mut self, scan: &mut Scan<'f>, key: &str, record: &mut Record<'f>) -> Option<()> {
        match key {
            "text" => once(&mut record.text, scan.string()?),
            "createdAt" => once(&mut record.created_at, scan.string()?),
            "langs" => {
                once(&mut record.langs, ())?;
                scan.list(|scan| self.lang(scan))
            }
            "reply" => {
                let parent = is_reply(scan)?;
                once(&mut record.reply, parent)
            }
            "embed" => {
                once(&mut record.embed, ())?;
                self.embed(scan, record, Place::Post)
            }
            "facets" => {
                // Tags of the text come before those of the record.
                record.tags.is_none().then_some(())?;
                once(&mut record.facets, ())?;
                scan.list(|scan| self.facet(scan))
            }
            "tags" => {
                once(&mut record.tags, ())?;
                scan.list(|scan| self.tag(scan.string()?))
            }
            "bridgyOriginalUrl" => {
                once(&mut record.original, ())?;
                scan.skip()
            }
            _ => scan.skip(),
        }
    }

    /// Brings what was found into the order and within the limits that decoding keeps.
    fn finish(&mut self, record: &Record<'_>, event_time: Timestamp) -> Option<()> {
        if let Some(created_at) = record.created_at {
            claimed_time(Timestamp::parse(created_at.plain()?).ok()?, event_time).ok()?;
        }
        let Self { excerpt, buffers } = self;
        let text = record.text.map_or(Some(""), |text| bounded(text)?.read(&mut buffers.unescaped))?;
        excerpt.texts.push(text);
        let mut media_bytes = 0;
        for text in buffers.media.iter() {
            media_bytes += text.len();
            excerpt.texts.push(text);
        }
        if let Some(address) = record.card {
            keep_text(&mut excerpt.links, address.read(&mut buffers.unescaped)?, MAX_LINK_BYTES);
        }
        excerpt.kind = match (record.reply, record.quotes) {
            (Some(true), _) => PostKind::Reply,
            (_, true) => PostKind::Quote,
            (_, false) => PostKind::Post,
        };
        (media_bytes <= MAX_TEXT_BYTES).then_some(())
    }

    fn lang(&mut self, scan: &mut Scan<'_>) -> Option<()> {
        keep_text(&mut self.excerpt.lang, scan.string()?.read(&mut self.buffers.unescaped)?, MAX_TAG_BYTES);
        Some(())
    }

    fn tag(&mut self, tag: Quoted<'_>) -> Option<()> {
        let tag = without_hash(tag.read(&mut self.buffers.unescaped)?);
        keep_text(&mut self.excerpt.tags, tag, MAX_TAG_BYTES);
        Some(())
    }

    fn facet(&mut self, scan: &mut Scan<'_>) -> Option<()> {
        let mut features = None;
        scan.object(|scan, key| match key {
            "features" => {
                once(&mut features, ())?;
                scan.list(|scan| self.feature(scan))
            }
            _ => scan.skip(),
        })
    }

    fn feature(&mut self, scan: &mut Scan<'_>) -> Option<()> {
        let (mut kind, mut uri, mut tag) = (None, None, None);
        scan.object(|scan, key| match key {
            "$type" => once(&mut kind, scan.string()?),
            "uri" => once(&mut uri, scan.string()?),
            "tag" => once(&mut tag, scan.string()?),
            _ => scan.skip(),
        })?;
        match (kind?.plain()?, uri, tag) {
            ("app.bsky.richtext.facet#link", Some(uri), None) => {
                keep_text(&mut self.excerpt.links, uri.read(&mut self.buffers.unescaped)?, MAX_LINK_BYTES);
                Some(())
            }
            ("app.bsky.richtext.facet#tag", None, Some(tag)) => self.tag(tag),
            (_, None, None) => Some(()),
            _ => None,
        }
    }

    /// The servers sort keys, so that an embed's `$type` comes first.
    fn embed<'f>(&mut self, scan: &mut Scan<'f>, record: &mut Record<'f>, place: Place) -> Option<()> {
        scan.eat(r#"{"$type":"#)?;
        let kind = Embed::of(scan.plain()?);
        self.excerpt.has_media |= matches!(kind, Embed::Images | Embed::Gallery | Embed::Video);
        let (mut known, mut media) = (None, None);
        while scan.token(b',').is_some() {
            let key = scan.plain()?;
            scan.token(b':')?;
            match (kind, key) {
                (Embed::Images, "images") | (Embed::Gallery, "items") => {
                    once(&mut known, ())?;
                    scan.list(|scan| self.described(scan))?;
                }
                (Embed::Video, "alt") => {
                    once(&mut known, ())?;
                    self.description(scan.string()?)?;
                }
                (Embed::External, "external") => {
                    once(&mut known, ())?;
                    self.card(scan, record)?;
                }
                (Embed::Record, "record") if place == Place::Post => {
                    once(&mut known, ())?;
                    record.quotes = quotes(scan)?;
                }
                (Embed::RecordWithMedia, "record") if place == Place::Post => {
                    once(&mut known, ())?;
                    record.quotes = inner(scan, "record", quotes)?;
                }
                (Embed::RecordWithMedia, "media") if place == Place::Post => {
                    once(&mut media, ())?;
                    self.embed(scan, record, Place::Media)?;
                }
                (_, "$type" | "record" | "media" | "images" | "items" | "alt" | "external") => return None,
                _ => scan.skip()?,
            }
        }
        scan.token(b'}')
    }

    fn described(&mut self, scan: &mut Scan<'_>) -> Option<()> {
        let mut alt = None;
        scan.object(|scan, key| match key {
            "alt" => once(&mut alt, scan.string()?),
            _ => scan.skip(),
        })?;
        alt.map_or(Some(()), |alt| self.description(alt))
    }

    fn card<'f>(&mut self, scan: &mut Scan<'f>, record: &mut Record<'f>) -> Option<()> {
        let (mut title, mut description) = (None, None);
        scan.object(|scan, key| match key {
            "uri" => once(&mut record.card, scan.string()?),
            "title" => once(&mut title, scan.string()?),
            "description" => once(&mut description, scan.string()?),
            _ => scan.skip(),
        })?;
        [title, description].into_iter().flatten().try_for_each(|text| self.description(text))
    }

    fn description(&mut self, text: Quoted<'_>) -> Option<()> {
        let Buffers { media, unescaped, .. } = &mut *self.buffers;
        keep_text(media, bounded(text)?.read(unescaped)?, MAX_TEXT_BYTES);
        Some(())
    }
}

/// The kinds of embed that say something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Embed {
    Images,
    Gallery,
    Video,
    External,
    Record,
    RecordWithMedia,
    Other,
}

impl Embed {
    fn of(kind: &str) -> Self {
        match kind.strip_prefix("app.bsky.embed.") {
            Some("images") => Self::Images,
            Some("gallery") => Self::Gallery,
            Some("video") => Self::Video,
            Some("external") => Self::External,
            Some("record") => Self::Record,
            Some("recordWithMedia") => Self::RecordWithMedia,
            _ => Self::Other,
        }
    }
}

/// Whose embed it is. Decoding looks one level deep.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Post,
    Media,
}

/// Fills an empty place; a key that comes twice is for serde to judge.
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// A string that is not cut.
fn bounded(text: Quoted<'_>) -> Option<Quoted<'_>> {
    (text.len() <= MAX_TEXT_BYTES).then_some(text)
}

fn is_reply(scan: &mut Scan<'_>) -> Option<bool> {
    inner(scan, "parent", |scan| reference(scan).map(is_reference))
}

fn quotes(scan: &mut Scan<'_>) -> Option<bool> {
    reference(scan).map(|uri| is_reference(uri) && is_post(uri))
}

/// What `read` says of the only member of that name; false when there is none.
fn inner(scan: &mut Scan<'_>, name: &str, mut read: impl FnMut(&mut Scan<'_>) -> Option<bool>) -> Option<bool> {
    let mut found = None;
    scan.object(|scan, key| if key == name { once(&mut found, read(scan)?) } else { scan.skip() })?;
    Some(found.unwrap_or(false))
}

/// The address of a strong reference; one without address is for serde to judge.
fn reference<'f>(scan: &mut Scan<'f>) -> Option<&'f str> {
    let mut uri = None;
    if scan.eat(r#"{"cid":"#).is_none() {
        scan.object(|scan, key| address(scan, key, &mut uri))?;
        return uri;
    }
    scan.past_string()?;
    if scan.eat(r#","uri":"#).is_some() {
        uri = Some(scan.plain()?);
    }
    scan.members(|scan, key| address(scan, key, &mut uri))?;
    uri
}

fn address<'f>(scan: &mut Scan<'f>, key: &str, uri: &mut Option<&'f str>) -> Option<()> {
    match key {
        "uri" => once(uri, scan.plain()?),
        _ => scan.skip(),
    }
}

#[cfg(test)]
#[path = "skim_tests.rs"]
mod tests;
