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
    /// The post on another network that this one is a copy of.
    pub copy_of: Option<Original>,
    /// Addresses the post links to. Nothing is ever fetched from them.
    pub links: Vec<String>,
    /// Hashtags without `#`.
    pub tags: Vec<String>,
    /// Descriptions of pictures and videos, titles and descriptions of link cards.
    pub media_text: Vec<String>,
    /// Whether it carries pictures, video or sound.
    pub has_media: bool,
}

impl Post {
    /// A post that says something and nothing else about itself.
    pub fn plain(id: PostId, source: SourceName, author: AuthorId, text: String, at: Timestamp) -> Self {
        Self {
            id,
            version: None,
            source,
            url: None,
            created_at: at,
            event_time: at,
            author: Author { id: author, handle: None, name: None, followers: None },
            text,
            lang: Vec::new(),
            kind: PostKind::Post,
            reply_to: None,
            quote_of: None,
            repost_of: None,
            copy_of: None,
            links: Vec::new(),
            tags: Vec::new(),
            media_text: Vec::new(),
            has_media: false,
        }
    }
}

/// What a copy says of the post that it repeats on another network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// Its id, or the address at which people read it.
    pub post: PostId,
    /// Its author, by the word of the bridge that carried it. None: nobody says so but the author of the copy, and
    /// anybody can write that.
    pub author: Option<AuthorId>,
}

/// What rules read of a post, in buffers that are reused: a post that nobody asked for
/// costs no allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// The text, then each media description.
    pub texts: Texts,
    /// Hashtags without `#`, those that the text does not show included.
    pub tags: Texts,
    /// Declared languages.
    pub lang: Texts,
    /// Addresses it links to.
    pub links: Texts,
    /// The configured source it came from.
    pub source: String,
    /// The author's stable key.
    pub author: String,
    /// The author's handle; empty when the source did not tell it.
    pub handle: String,
    /// Followers; `None` is not 0.
    pub followers: Option<u64>,
    /// New, answer, quotation or repetition.
    pub kind: PostKind,
    /// Whether it carries pictures, video or sound.
    pub has_media: bool,
}

impl Excerpt {
    /// Forgets everything but the buffers.
    pub fn clear(&mut self) {
        for texts in [&mut self.texts, &mut self.tags, &mut self.lang, &mut self.links] {
            texts.clear();
        }
        for text in [&mut self.source, &mut self.author, &mut self.handle] {
            text.clear();
        }
        (self.followers, self.kind, self.has_media) = (None, PostKind::Post, false);
    }

    /// What rules read of a whole post.
    pub fn of(post: &Post) -> Self {
        let mut excerpt = Self::default();
        excerpt.read(post);
        excerpt
    }

    /// Takes what rules read from a whole post.
    pub fn read(&mut self, post: &Post) {
        self.clear();
        self.texts.push(&post.text);
        post.media_text.iter().for_each(|text| self.texts.push(text));
        post.tags.iter().for_each(|tag| self.tags.push(tag));
        post.lang.iter().for_each(|lang| self.lang.push(lang));
        post.links.iter().for_each(|link| self.links.push(link));
        self.source.push_str(post.source.as_str());
        self.author.push_str(post.author.id.as_str());
        self.handle.push_str(post.author.handle.as_deref().unwrap_or_default());
        (self.followers, self.kind, self.has_media) = (post.author.followers, post.kind, post.has_media);
    }
}

/// Texts in one buffer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    buffer: String,
    ends: Vec<usize>,
}

impl Texts {
    /// Forgets everything but the buffers.
    pub fn clear(&mut self) {
        self.buffer.clear();
        self.ends.clear();
    }

    /// Appends a text.
    pub fn push(&mut self, text: &str) {
        self.buffer.push_str(text);
        self.ends.push(self.buffer.len());
    }

    /// The texts in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| self.buffer.get(start..end).unwrap_or_default())
    }

    /// The text of that place.
    pub fn get(&self, place: usize) -> Option<&str> {
        let start = place.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.buffer.get(start..*self.ends.get(place)?)
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
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

impl Author {
    /// Whether people mean them by a name: their id, or after `@` their handle.
    pub fn is_called(&self, name: &str) -> bool {
        let bare = |handle: &str| handle.trim_start_matches('@').to_lowercase();
        match name.strip_prefix('@') {
            Some(wanted) => self.handle.as_deref().is_some_and(|handle| bare(handle) == wanted.to_lowercase()),
            None => self.id.as_str() == name,
        }
    }
}

/// How a post relates to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PostKind {
    /// Stands alone.
    #[default]
    Post,
    /// Answers another.
    Reply,
    /// Quotes another.
    Quote,
    /// Repeats another.
    Repost,
}

impl PostKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Post, Self::Reply, Self::Quote, Self::Repost];

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
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}
