//! What a source's frame turns out to be, and the ledger that accounts for each.
//!
//! Decoders return values of this module. A frame nobody can read is a
//! [`Rejected`] value with a closed reason, never an error that travels.

use std::sync::Arc;

use super::id::{AuthorId, PostId};
use super::key::{Key, PostKeys};
use super::post::Post;
use super::time::Timestamp;

/// How far a source was read, in its own time: microseconds since 1970. Grows with the stream.
/// Some resume there (Jetstream v1: the `time_us` of an event); the others at a [`Bookmark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor(pub i64);

impl Cursor {
    /// The place of what happened then.
    pub const fn at(time: Timestamp) -> Self {
        Self(time.micros())
    }

    /// When that was.
    pub const fn time(self) -> Timestamp {
        Timestamp::from_micros(self.0)
    }
}

/// Where a source can resume, in the words of its adapter: a token of the server, or what the
/// adapter notes down. Opaque to all others; kept with what the frames before it led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bookmark(pub Arc<str>);

impl From<&str> for Bookmark {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Bookmark {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

/// How far a source is read once a batch of its frames is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// All that the source had up to then has been read, even if that was nothing. For sources
    /// whose silence is only that: polled ones, and those whose servers say that they are there.
    pub covered: Option<Timestamp>,
    /// Where to resume from then on.
    pub bookmark: Option<Bookmark>,
    /// What was paid for so far, at a source that takes money.
    pub paid: Option<Paid>,
}

/// What a source that takes money has cost this month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paid {
    /// Posts that were read.
    pub read: u64,
    /// At so many reading ends.
    pub budget: u64,
}

impl Reach {
    /// Whether nobody has to hear of it.
    pub const fn is_empty(&self) -> bool {
        self.covered.is_none() && self.bookmark.is_none()
    }
}

/// How a new connection joins onto what was read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joint {
    /// It begins with the present: what happened in between is lost.
    Live,
    /// The server was asked to repeat from this event on. That it does so proves that nothing was lost.
    Repeats(Cursor),
    /// By the word of the server it goes on right behind what was read.
    GoesOn,
}

/// One frame, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The frame's place in its stream, when it has one and could be read.
    pub cursor: Option<Cursor>,
    /// What it says.
    pub event: Result<SourceEvent, Rejected>,
}

/// What a frame can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceEvent {
    /// A new post, or a new version of one.
    Post(Box<Post>),
    /// An author took a post back.
    PostDeleted {
        /// The post that is gone.
        post: PostId,
        /// When the source says so.
        at: Timestamp,
    },
    /// An account and all its posts are gone (deleted or taken down).
    AuthorDeleted {
        /// The account that is gone.
        author: AuthorId,
        /// When the source says so.
        at: Timestamp,
    },
    /// An author's current handle.
    Handle {
        /// Whose.
        author: AuthorId,
        /// The handle without `@`.
        handle: String,
    },
    /// Anything the program has no use for (likes, follows, kinds of the future).
    Other,
}

/// What the engine needs of a frame that no rule takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// Nothing.
    Other,
    /// It carries a post.
    Post(Glimpse),
    /// An author takes back the post of that name.
    Deleted(Key),
}

/// What the engine needs of a post that no rule takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glimpse {
    /// The source's own stamp.
    pub event_time: Timestamp,
    /// Its names, by which repetitions are known.
    pub keys: PostKeys,
}

impl Glimpse {
    /// Of a whole post.
    pub fn of(post: &Post) -> Self {
        let keys = PostKeys::of(post.id.as_str(), post.version.as_deref());
        Self { event_time: post.event_time, keys }
    }
}

/// Why a frame could not be used. Closed: each is a label of `stormbell_rejected_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejected {
    /// Longer than the source's limit.
    TooLarge,
    /// Not JSON, or cut off.
    NotJson,
    /// Half of a surrogate pair in a string: text that cannot be Unicode.
    LoneSurrogate,
    /// A field has a type the wire does not allow.
    WrongType,
    /// A field without which the frame means nothing is absent.
    MissingField,
    /// A date that cannot be: unreadable, before 2000, or over a year ahead.
    AbsurdDate,
    /// Reading it made the program panic; the frame was set aside.
    Poison,
    /// Its signature is not that of whom it names as its author.
    Forged,
}

impl Rejected {
    /// All reasons, in the order of their labels.
    pub const ALL: [Self; 8] = [
        Self::TooLarge,
        Self::NotJson,
        Self::LoneSurrogate,
        Self::WrongType,
        Self::MissingField,
        Self::AbsurdDate,
        Self::Poison,
        Self::Forged,
    ];

    /// The label in metrics and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::NotJson => "not_json",
            Self::LoneSurrogate => "lone_surrogate",
            Self::WrongType => "wrong_type",
            Self::MissingField => "missing_field",
            Self::AbsurdDate => "absurd_date",
            Self::Poison => "poison",
            Self::Forged => "forged",
        }
    }
}

/// The account of every frame of a source (invariant 1):
/// `frames = posts + other + rejected + duplicates + dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Frames received.
    pub frames: u64,
    /// Posts handed to the rules.
    pub posts: u64,
    /// Frames that carry no post: deletes, identities, likes.
    pub other: u64,
    /// Frames that could not be used, by [`Rejected::ALL`].
    pub rejected: [u64; Rejected::ALL.len()],
    /// Posts seen before in the same version.
    pub duplicates: u64,
    /// Frames given up because a queue was full.
    pub dropped: u64,
}

impl Ledger {
    /// Frames rejected for any reason.
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().sum()
    }

    /// Counts one rejected frame.
    pub fn reject(&mut self, reason: Rejected) {
        if let Some(count) = self.rejected.get_mut(reason as usize) {
            *count += 1;
        }
    }

    /// Counts a frame that was taken for a post as what it turned out to be.
    pub fn reject_post(&mut self, reason: Rejected) {
        self.posts = self.posts.saturating_sub(1);
        self.reject(reason);
    }

    /// Adds another account to this one.
    pub fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.posts += other.posts;
        self.other += other.other;
        self.duplicates += other.duplicates;
        self.dropped += other.dropped;
        for (mine, theirs) in self.rejected.iter_mut().zip(other.rejected) {
            *mine += theirs;
        }
    }

    /// Whether every frame is accounted for.
    pub fn adds_up(&self) -> bool {
        self.frames == self.posts + self.other + self.rejected_total() + self.duplicates + self.dropped
    }
}

/// Why a source stopped delivering. Closed: shown in `status` and in gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownReason {
    /// The daemon was not running.
    NotRunning,
    /// No connection could be made.
    ConnectFailed,
    /// The server refused the handshake.
    Refused,
    /// The connection ended.
    Closed,
    /// The connection stood open and sent nothing.
    Stalled,
    /// The server no longer keeps what lies behind our cursor.
    CursorTooOld,
    /// Our own queue stayed full too long; the source will resume from its cursor.
    Overrun,
    /// What may be paid for in a month has been read.
    Spent,
    /// What may be asked for in a day has been asked for.
    QuotaSpent,
}

impl DownReason {
    /// All reasons.
    pub const ALL: [Self; 9] = [
        Self::NotRunning,
        Self::ConnectFailed,
        Self::Refused,
        Self::Closed,
        Self::Stalled,
        Self::CursorTooOld,
        Self::Overrun,
        Self::Spent,
        Self::QuotaSpent,
    ];

    /// The word in the store, in metrics and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRunning => "not_running",
            Self::ConnectFailed => "connect_failed",
            Self::Refused => "refused",
            Self::Closed => "closed",
            Self::Stalled => "stalled",
            Self::CursorTooOld => "cursor_too_old",
            Self::Overrun => "overrun",
            Self::Spent => "budget_spent",
            Self::QuotaSpent => "quota_spent",
        }
    }

    /// The reason of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rejection_has_its_own_counter() {
        let mut ledger = Ledger::default();
        for reason in Rejected::ALL {
            ledger.frames += 1;
            ledger.reject(reason);
        }
        assert_eq!(ledger.rejected, [1; Rejected::ALL.len()]);
        assert!(ledger.adds_up());
    }

    #[test]
    fn down_reasons_read_back() {
        for reason in DownReason::ALL {
            assert_eq!(DownReason::parse(reason.as_str()), Some(reason));
        }
    }
}
