//! A post, normalised: what every source's wire is turned into.

use super::id::{AuthorId, PostId, SourceName};
use super::time::Timestamp;

/// What somebody published. All text in it was written by strangers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Post {
    /// Globally unique key.
    pub id: PostId,
    /// Changes when the author edits the post (on Bluesky the CID).
    pub version: Option<String>,
    /// The configured source it came from.
    pub source: SourceName,
    /// A link a person can open.
    pub url: Option<String>,
    /// What the author's program claims; for showing, never for counting.
    pub created_at: Timestamp,
    /// The source's own stamp; conditions count in this time.
    pub event_time: Timestamp,
    /// Who wrote it.
    pub author: Author,
    /// Plain text; may be empty when the post is only a picture.
    pub text: String,
    /// Languages declared by the author, as BCP 47 tags; may be wrong or absent.
    pub lang: Vec<String>,
    /// New, answer, quotation or repetition.
    pub kind: PostKind,
    /// The post this one answers.
    pub reply_to: Option<PostId>,
    /// The post this one quotes.
    pub quote_of: Option<PostId>,
    /// The post this one repeats.
    pub repost_of: Option<PostId>,
    /// Addresses the post links to. Nothing is ever fetched from them.
    pub links: Vec<String>,
    /// Hashtags without `#`.
    pub tags: Vec<String>,
    /// Descriptions of pictures and videos, titles and descriptions of link cards.
    pub media_text: Vec<String>,
}

/// Who wrote a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// Stable key.
    pub id: AuthorId,
    /// The name others mention (`ann.example`), when the source told it.
    pub handle: Option<String>,
    /// The name shown.
    pub name: Option<String>,
    /// Followers; `None` is not 0.
    pub followers: Option<u64>,
}

/// How a post relates to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostKind {
    /// Stands alone.
    Post,
    /// Answers another.
    Reply,
    /// Quotes another.
    Quote,
    /// Repeats another.
    Repost,
}

impl PostKind {
    /// The word used in JSON and in rules.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Reply => "reply",
            Self::Quote => "quote",
            Self::Repost => "repost",
        }
    }

    /// The kind of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Post, Self::Reply, Self::Quote, Self::Repost].into_iter().find(|kind| kind.as_str() == text)
    }
}
