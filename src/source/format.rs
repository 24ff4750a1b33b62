//! The forms in which a frame can be written.

use std::str::FromStr;

use super::jetstream::{self, Buffers, Skimmed};
use super::{discord, eventstreams, irc, matrix, posts, slack};
use crate::config::model::{EventForm, SourceKind};
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
    /// Dispatches of Discord's gateway.
    Discord,
    /// Lines of IRC.
    Irc,
    /// Events of Matrix.
    Matrix,
    /// Envelopes of Slack.
    Slack,
    /// Changes of pages, as `MediaWiki` tells them.
    Recentchange,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 7] =
        [Self::Posts, Self::Jetstream, Self::Discord, Self::Irc, Self::Matrix, Self::Slack, Self::Recentchange];

    /// The word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Posts => "posts",
            Self::Jetstream => "jetstream",
            Self::Discord => "discord",
            Self::Irc => "irc",
            Self::Matrix => "matrix",
            Self::Slack => "slack",
            Self::Recentchange => "recentchange",
        }
    }

    /// How the frames of a source are read.
    pub const fn of(kind: &SourceKind) -> Self {
        match kind {
            SourceKind::Eventstreams(config) => match config.events {
                EventForm::Recentchange => Self::Recentchange,
                EventForm::Posts => Self::Posts,
            },
            SourceKind::Feed(_) => Self::Posts,
            SourceKind::Discord(_) => Self::Discord,
            SourceKind::Irc(_) => Self::Irc,
            SourceKind::Jetstream(_) => Self::Jetstream,
            SourceKind::Matrix(_) => Self::Matrix,
            SourceKind::Slack(_) => Self::Slack,
        }
    }

    /// Reads a frame.
    pub fn decode(self, source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Decoded {
        match self {
            Self::Posts => posts::decode(source, frame, received_at),
            Self::Jetstream => jetstream::decode(source, frame, received_at),
            Self::Discord => discord::decode(source, frame, received_at),
            Self::Irc => irc::decode(source, frame, received_at),
            Self::Matrix => matrix::decode(source, frame, received_at),
            Self::Slack => slack::decode(source, frame, received_at),
            Self::Recentchange => eventstreams::decode(source, frame, received_at),
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
            // Recordings made by hand or by other programs, and streams that bring few.
            _ => None,
        }
    }

    /// The format of a recording, by its first line that says: frames of Jetstream name
    /// their kind and time, posts their author and creation. Lines of IRC say too little.
    pub fn guess(line: &[u8]) -> Option<Self> {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(line).ok()?;
        let has = |keys: [&str; 2]| keys.iter().all(|&key| object.contains_key(key));
        if has(["time_us", "kind"]) {
            return Some(Self::Jetstream);
        }
        let guesses = [
            (has(["created_at", "author"]), Self::Posts),
            (has(["op", "t"]), Self::Discord),
            (has(["server_url", "wiki"]), Self::Recentchange),
            (has(["origin_server_ts", "sender"]), Self::Matrix),
            (has(["envelope_id", "payload"]), Self::Slack),
        ];
        guesses.into_iter().find_map(|(is_it, format)| is_it.then_some(format))
    }
}

impl FromStr for Format {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or(())
    }
}
