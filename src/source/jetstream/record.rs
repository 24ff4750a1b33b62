//! A record of `app.bsky.feed.post`, as its author's program wrote it, to a post.
//!
//! Text and date must have the right type. Everything else is optional and lenient: each
//! link, tag, picture or quotation is parsed by itself, and one that makes no sense is
//! left out without harm to its neighbours.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Commit, POSTS};
use crate::domain::event::Rejected;
use crate::domain::id::{PostId, SourceName};
use crate::domain::post::{Author, Post, PostKind};
use crate::domain::time::Timestamp;
use crate::source::bridge::claimed;
use crate::source::lenient::{Text, items, lenient, lenient_item};
use crate::source::sanity::{
    MAX_LINK_BYTES, MAX_TAG_BYTES, MAX_TEXT_BYTES, claimed_time, cut, keep, parse_object_of, within_budget,
};

/// What a frame says about a post outside of its record.
pub(super) struct Address<'a> {
    /// The source it came from.
    pub(super) source: &'a SourceName,
    /// Its author.
    pub(super) did: &'a str,
    /// Its key.
    pub(super) id: PostId,
    /// Where people read it.
    pub(super) url: String,
}

/// The post a create or an update carries.
pub(super) fn post(address: Address<'_>, commit: &Commit<'_>, event_time: Timestamp) -> Result<Post, Rejected> {
    let raw = commit.record.ok_or(Rejected::MissingField)?;
    let record: Record<'_> = parse_object_of(raw.get())?;
    let created_at = match &record.created_at {
        Some(Text(claim)) => claimed_time(Timestamp::parse(claim).or(Err(Rejected::AbsurdDate))?, event_time)?,
        None => event_time,
    };
    let mut found = Attachments::default();
    found.facets(record.facets);
    found.embed(record.embed);
    found.record_tags(record.tags);
    let reply_to = lenient::<Reply<'_>>(record.reply).and_then(|reply| post_id(reply.parent));
    let kind = match (&reply_to, &found.quote_of) {
        (Some(_), _) => PostKind::Reply,
        (None, Some(_)) => PostKind::Quote,
        (None, None) => PostKind::Post,
    };
    let version = commit.cid.as_ref().or(commit.rev.as_ref());
    Ok(Post {
        id: address.id,
        version: version.map(|Text(version)| version.as_ref().to_owned()),
        source: address.source.clone(),
        url: Some(address.url),
        created_at,
        event_time,
        author: Author { id: address.did.into(), handle: None, name: None, followers: None },
        text: record.text.map(|Text(text)| cut(&text).to_owned()).unwrap_or_default(),
        lang: strings(record.langs),
        kind,
        reply_to,
        quote_of: found.quote_of,
        repost_of: None,
        copy_of: lenient::<Text<'_>>(record.original).and_then(|Text(address)| claimed(&address)),
        links: found.links,
        tags: found.tags,
        media_text: within_budget(found.media_text),
        has_media: found.has_media,
    })
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow, rename = "createdAt")]
    created_at: Option<Text<'a>>,
    #[serde(borrow)]
    langs: Option<&'a RawValue>,
    #[serde(borrow)]
    reply: Option<&'a RawValue>,
    #[serde(borrow)]
    embed: Option<&'a RawValue>,
    #[serde(borrow)]
    facets: Option<&'a RawValue>,
    #[serde(borrow)]
    tags: Option<&'a RawValue>,
    /// Bridgy Fed's word for where it has the post from. Whoever writes a record can write it.
    #[serde(borrow, rename = "bridgyOriginalUrl")]
    original: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    parent: Option<&'a RawValue>,
}

/// `com.atproto.repo.strongRef`.
#[derive(Deserialize)]
struct Reference<'a> {
    #[serde(borrow)]
    uri: Text<'a>,
}

#[derive(Deserialize)]
struct Facet<'a> {
    #[serde(borrow)]
    features: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Feature<'a> {
    #[serde(borrow, rename = "$type")]
    kind: Text<'a>,
    #[serde(borrow)]
    uri: Option<Text<'a>>,
    #[serde(borrow)]
    tag: Option<Text<'a>>,
}

/// Every embed of `app.bsky.embed.*`; which fields count depends on `$type`.
#[derive(Deserialize)]
struct Embed<'a> {
    #[serde(borrow, rename = "$type")]
    kind: Text<'a>,
    #[serde(borrow)]
    record: Option<&'a RawValue>,
    #[serde(borrow)]
    media: Option<&'a RawValue>,
    #[serde(borrow)]
    images: Option<&'a RawValue>,
    #[serde(borrow)]
    items: Option<&'a RawValue>,
    #[serde(borrow)]
    alt: Option<&'a RawValue>,
    #[serde(borrow)]
    external: Option<&'a RawValue>,
}

/// `app.bsky.embed.record` inside `recordWithMedia`.
#[derive(Deserialize)]
struct EmbeddedRecord<'a> {
    #[serde(borrow)]
    record: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Described<'a> {
    #[serde(borrow)]
    alt: Text<'a>,
}

#[derive(Deserialize)]
struct External<'a> {
    #[serde(borrow)]
    uri: Option<&'a RawValue>,
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow)]
    description: Option<&'a RawValue>,
}

/// What hangs on a post besides its text.
#[derive(Default)]
struct Attachments {
    links: Vec<String>,
    tags: Vec<String>,
    media_text: Vec<String>,
    has_media: bool,
    quote_of: Option<PostId>,
}

impl Attachments {
    fn facets(&mut self, facets: Option<&RawValue>) {
        for facet in items(facets).filter_map(lenient_item::<Facet<'_>>) {
            for feature in items(facet.features).filter_map(lenient_item::<Feature<'_>>) {
                self.feature(&feature);
            }
        }
    }

    fn feature(&mut self, feature: &Feature<'_>) {
        match (feature.kind.0.as_ref(), &feature.uri, &feature.tag) {
            ("app.bsky.richtext.facet#link", Some(Text(uri)), _) => keep(&mut self.links, uri, MAX_LINK_BYTES),
            ("app.bsky.richtext.facet#tag", _, Some(Text(tag))) => self.tag(tag),
            _ => {}
        }
    }

    fn record_tags(&mut self, tags: Option<&RawValue>) {
        for Text(tag) in items(tags).filter_map(lenient_item::<Text<'_>>) {
            self.tag(&tag);
        }
    }

    fn tag(&mut self, tag: &str) {
        keep(&mut self.tags, without_hash(tag), MAX_TAG_BYTES);
    }

    fn embed(&mut self, raw: Option<&RawValue>) {
        let Some(embed) = lenient::<Embed<'_>>(raw) else { return };
        if embed.kind.0 == "app.bsky.embed.recordWithMedia" {
            self.quote_of = lenient::<EmbeddedRecord<'_>>(embed.record).and_then(|quoted| quoted_post(quoted.record));
            // One level only: a media that is again a recordWithMedia says nothing more.
            if let Some(media) = lenient::<Embed<'_>>(embed.media) {
                self.media(&media);
            }
        } else if embed.kind.0 == "app.bsky.embed.record" {
            self.quote_of = quoted_post(embed.record);
        } else {
            self.media(&embed);
        }
    }

    fn media(&mut self, embed: &Embed<'_>) {
        let kind = embed.kind.0.as_ref();
        self.has_media |= matches!(kind, "app.bsky.embed.images" | "app.bsky.embed.gallery" | "app.bsky.embed.video");
        match kind {
            "app.bsky.embed.images" => self.descriptions(embed.images),
            "app.bsky.embed.gallery" => self.descriptions(embed.items),
            "app.bsky.embed.video" => self.description(embed.alt),
            "app.bsky.embed.external" => self.link_card(embed.external),
            _ => {}
        }
    }

    fn descriptions(&mut self, list: Option<&RawValue>) {
        for Described { alt: Text(alt) } in items(list).filter_map(lenient_item) {
            keep(&mut self.media_text, cut(&alt), MAX_TEXT_BYTES);
        }
    }

    fn description(&mut self, text: Option<&RawValue>) {
        if let Some(Text(text)) = lenient(text) {
            keep(&mut self.media_text, cut(&text), MAX_TEXT_BYTES);
        }
    }

    fn link_card(&mut self, external: Option<&RawValue>) {
        let Some(card) = lenient::<External<'_>>(external) else { return };
        if let Some(Text(uri)) = lenient(card.uri) {
            keep(&mut self.links, &uri, MAX_LINK_BYTES);
        }
        self.description(card.title);
        self.description(card.description);
    }
}

fn strings(list: Option<&RawValue>) -> Vec<String> {
    let mut kept = Vec::new();
    for Text(text) in items(list).filter_map(lenient_item::<Text<'_>>) {
        keep(&mut kept, &text, MAX_TAG_BYTES);
    }
    kept
}

fn post_id(reference: Option<&RawValue>) -> Option<PostId> {
    let Text(uri) = lenient::<Reference<'_>>(reference)?.uri;
    is_reference(&uri).then(|| PostId::from(uri.as_ref()))
}

fn quoted_post(reference: Option<&RawValue>) -> Option<PostId> {
    post_id(reference).filter(|id| is_post(id.as_str()))
}

/// Whether the address of a reference can be one.
pub(super) const fn is_reference(uri: &str) -> bool {
    !uri.is_empty() && uri.len() <= MAX_LINK_BYTES
}

/// Whether it is a post: feeds, lists and starter packs are embedded like posts, but
/// quote nobody.
pub(super) fn is_post(uri: &str) -> bool {
    uri.split('/').nth(3) == Some(POSTS)
}

/// A tag as people say it.
pub(super) fn without_hash(tag: &str) -> &str {
    tag.trim_start_matches(['#', '＃'])
}
