//! The forms in which a frame can be written.

use std::str::FromStr;

use super::jetstream::{self, Buffers, Skimmed};
use super::posts;
use crate::config::model::SourceKind;
use crate::domain::event::Decoded;
use crate::domain::id::SourceName;
use crate::domain::post::Excerpt;
use crate::domain::time::Timestamp;

/// How to read a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Normalised posts as JSON.
    Posts,
    /// Jetstream's v1 wire.
    Jetstream,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 2] = [Self::Posts, Self::Jetstream];

    /// The word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Posts => "posts",
            Self::Jetstream => "jetstream",
        }
    }

    /// How the frames of a source are read.
    pub const fn of(kind: &SourceKind) -> Self {
        match kind {
            SourceKind::Feed(_) => Self::Posts,
            SourceKind::Jetstream(_) => Self::Jetstream,
        }
    }

    /// Reads a frame.
    pub fn decode(self, source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Decoded {
        match self {
            Self::Posts => posts::decode(source, frame, received_at),
            Self::Jetstream => jetstream::decode(source, frame, received_at),
        }
    }

    /// Reads a frame just as far as most need, without allocating: what rules read of a post
    /// goes into `excerpt`. `None` where that is not enough to say what [`Self::decode`]
    /// would; what is in `excerpt` means nothing then.
    pub fn skim(
        self,
        source: &SourceName,
        frame: &[u8],
        received_at: Option<Timestamp>,
        excerpt: &mut Excerpt,
        buffers: &mut Buffers,
    ) -> Option<Skimmed> {
        match self {
            Self::Jetstream => jetstream::skim(source, frame, received_at, excerpt, buffers),
            // Recordings made by hand or by other programs; no stream brings them by the million.
            Self::Posts => None,
        }
    }

    /// The format of a recording, by its first line that says: frames of Jetstream name
    /// their kind and time, posts their author and creation.
    pub fn guess(line: &[u8]) -> Option<Self> {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(line).ok()?;
        let has = |keys: [&str; 2]| keys.iter().all(|&key| object.contains_key(key));
        if has(["time_us", "kind"]) {
            return Some(Self::Jetstream);
        }
        has(["created_at", "author"]).then_some(Self::Posts)
    }
}

impl FromStr for Format {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or(())
    }
}
