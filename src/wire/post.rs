//! A normalised post as JSON: one a line in `--format posts`, `sample` in webhook
//! payloads, evidence in the store.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::id::SourceName;
use crate::domain::post::{Author, Original, Post, PostKind};
use crate::domain::redact::redacted;
use crate::domain::time::Timestamp;

/// The JSON of a post. `id`, `created_at`, `author.id` and `text` are required.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Post)]
pub struct PostJson<'a> {
    /// Globally unique key.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Where it was read.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Cow<'a, str>>,
    /// A link a person can open.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Cow<'a, str>>,
    /// RFC 3339.
    #[serde(borrow)]
    pub created_at: Cow<'a, str>,
    /// RFC 3339; the source's own stamp, when it differs from `created_at`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<Cow<'a, str>>,
    /// Who wrote it.
    #[serde(borrow)]
    pub author: AuthorJson<'a>,
    /// Plain text.
    #[serde(borrow)]
    pub text: Cow<'a, str>,
    /// Declared languages.
    #[serde(default)]
    pub lang: Vec<String>,
    /// `post`, `reply`, `quote` or `repost`; by default told from the references.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Cow<'a, str>>,
    /// The post it answers.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// The post it quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote_of: Option<String>,
    /// The post it repeats.
    #[serde(default)]
    pub repost_of: Option<String>,
    /// The post on another network that it is a copy of.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub copy_of: Option<OriginalJson<'a>>,
    /// Addresses in it.
    #[serde(default)]
    pub links: Vec<String>,
    /// Hashtags without `#`.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Descriptions of media.
    #[serde(default)]
    pub media_text: Vec<String>,
    /// Whether it carries pictures, video or sound; by default told from `media_text`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_media: Option<bool>,
    /// Changes with an edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// The JSON of the post that a copy repeats.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Original)]
pub struct OriginalJson<'a> {
    /// Its id, or its address.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The id of its author, where the bridge that carried it says so.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Cow<'a, str>>,
}

/// The JSON of an author.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Author)]
pub struct AuthorJson<'a> {
    /// Stable key.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The name others mention.
    #[serde(default)]
    pub handle: Option<String>,
    /// The name shown.
    #[serde(default)]
    pub name: Option<String>,
    /// Followers, when known.
    #[serde(default)]
    pub followers: Option<u64>,
}

/// Why a JSON post is no post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAPost {
    /// `created_at` or `event_time` cannot be read.
    #[error("a date cannot be read")]
    Date,
    /// `kind` is none of the four.
    #[error("unknown kind of post")]
    Kind,
}

impl<'a> From<&'a Post> for PostJson<'a> {
    fn from(post: &'a Post) -> Self {
        let id = |id: &Option<crate::domain::id::PostId>| id.as_ref().map(|id| id.as_str().to_owned());
        Self {
            id: Cow::Borrowed(post.id.as_str()),
            source: Some(Cow::Borrowed(post.source.as_str())),
            url: post.url.as_deref().map(Cow::Borrowed),
            created_at: Cow::Owned(post.created_at.to_string()),
            event_time: (post.event_time != post.created_at).then(|| Cow::Owned(post.event_time.to_string())),
            author: AuthorJson {
                id: Cow::Borrowed(post.author.id.as_str()),
                handle: post.author.handle.clone(),
                name: post.author.name.clone(),
                followers: post.author.followers,
            },
            text: Cow::Borrowed(&post.text),
            lang: post.lang.clone(),
            kind: Some(Cow::Borrowed(post.kind.as_str())),
            reply_to: id(&post.reply_to),
            quote_of: id(&post.quote_of),
            repost_of: id(&post.repost_of),
            copy_of: post.copy_of.as_ref().map(|original| OriginalJson {
                id: Cow::Borrowed(original.post.as_str()),
                author: original.author.as_ref().map(|author| Cow::Borrowed(author.as_str())),
            }),
            links: post.links.clone(),
            tags: post.tags.clone(),
            media_text: post.media_text.clone(),
            has_media: (post.has_media == post.media_text.is_empty()).then_some(post.has_media),
            version: post.version.clone(),
        }
    }
}

impl PostJson<'_> {
    /// The same without what [`redacted`] finds in what people wrote. Addresses of pages stay whole.
    #[must_use]
    pub fn redacted(self) -> Self {
        let all = |texts: Vec<String>| texts.iter().map(|text| redacted(text).into_owned()).collect();
        let is_page = |link: &String| link.starts_with("https://") || link.starts_with("http://");
        let link = |link: String| if is_page(&link) { link } else { redacted(&link).into_owned() };
        Self {
            author: AuthorJson { name: self.author.name.map(|name| redacted(&name).into_owned()), ..self.author },
            text: Cow::Owned(redacted(&self.text).into_owned()),
            links: self.links.into_iter().map(link).collect(),
            tags: all(self.tags),
            media_text: all(self.media_text),
            ..self
        }
    }

    /// The post; `source` names it when the JSON does not.
    ///
    /// # Errors
    /// [`NotAPost`] when a date or the kind makes no sense.
    pub fn into_post(self, source: &SourceName) -> Result<Post, NotAPost> {
        let time = |text: &str| Timestamp::parse(text).or(Err(NotAPost::Date));
        let created_at = time(&self.created_at)?;
        let event_time = self.event_time.as_deref().map(time).transpose()?.unwrap_or(created_at);
        let kind = match self.kind.as_deref() {
            Some(kind) => PostKind::parse(kind).ok_or(NotAPost::Kind)?,
            None if self.repost_of.is_some() => PostKind::Repost,
            None if self.quote_of.is_some() => PostKind::Quote,
            None if self.reply_to.is_some() => PostKind::Reply,
            None => PostKind::Post,
        };
        Ok(Post {
            id: self.id.as_ref().into(),
            version: self.version,
            source: self.source.as_deref().map_or_else(|| source.clone(), Into::into),
            url: self.url.map(Cow::into_owned),
            created_at,
            event_time,
            author: Author {
                id: self.author.id.as_ref().into(),
                handle: self.author.handle,
                name: self.author.name,
                followers: self.author.followers,
            },
            text: self.text.into_owned(),
            lang: self.lang,
            kind,
            reply_to: self.reply_to.map(Into::into),
            quote_of: self.quote_of.map(Into::into),
            repost_of: self.repost_of.map(Into::into),
            copy_of: self.copy_of.map(|original| Original {
                post: original.id.as_ref().into(),
                author: original.author.as_deref().map(Into::into),
            }),
            links: self.links,
            tags: self.tags,
            has_media: self.has_media.unwrap_or(!self.media_text.is_empty()),
            media_text: self.media_text,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_post_reads_and_writes() {
        let line = r#"{"id":"at://did:plc:abc/app.bsky.feed.post/3k1","source":"bluesky","url":"https://x.example/1","created_at":"2026-11-22T10:00:00Z","author":{"id":"did:plc:abc","handle":"ann.example","name":"Ann","followers":1200},"text":"hi \"you\"","lang":["en"],"kind":"post","reply_to":null,"repost_of":null,"links":["https://l.example"],"tags":["er"],"media_text":["alt text"]}"#;
        let json: PostJson<'_> = serde_json::from_str(line).unwrap();
        let post = json.into_post(&SourceName::from("file")).unwrap();
        assert_eq!(serde_json::to_string(&PostJson::from(&post)).unwrap(), line);
    }

    #[test]
    fn the_shortest_post_is_enough() {
        let line = r#"{"id":"1","created_at":"2026-11-22T10:00:00Z","author":{"id":"a"},"text":""}"#;
        let json: PostJson<'_> = serde_json::from_str(line).unwrap();
        let post = json.into_post(&SourceName::from("file")).unwrap();
        assert_eq!((post.source.as_str(), post.kind), ("file", PostKind::Post));
    }
}
