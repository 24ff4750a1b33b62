//! The forms in which a frame can be written.

use std::str::FromStr;

use tokio_tungstenite::tungstenite::Bytes;

use super::jetstream::{self, Buffers, Skimmed};
use super::{Frame, atproto, discord, eventstreams, irc, matrix, posts, slack};
use crate::config::model::{EventForm, SourceKind};
use crate::domain::event::Decoded;
use crate::domain::id::SourceName;
use crate::domain::post::Excerpt;
use crate::domain::time::Timestamp;

/// How to read a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Messages of the AT Protocol's firehose, base64 or hexadecimal, one a line; see [`Self::split`].
    Atproto,
    /// Normalised posts as JSON.
    Posts,
    /// Jetstream, either wire.
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
    pub const ALL: [Self; 8] = [
        Self::Posts,
        Self::Jetstream,
        Self::Discord,
        Self::Irc,
        Self::Matrix,
        Self::Slack,
        Self::Recentchange,
        Self::Atproto,
    ];

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
            Self::Atproto => "atproto",
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
            SourceKind::Atproto(_) => Self::Atproto,
            SourceKind::Jetstream(_) => Self::Jetstream,
            SourceKind::Matrix(_) => Self::Matrix,
            SourceKind::Slack(_) => Self::Slack,
        }
    }

    /// A line of a recording as the frames a source's task would make of it, each one event.
    pub fn split(self, line: Frame, into: &mut Vec<Frame>) {
        let (Self::Atproto, Ok(text)) = (self, &line.body) else { return into.push(line) };
        let received_at = line.received_at;
        match atproto::read_line(text) {
            Ok(atproto::Message::Events { frames, .. }) => {
                into.extend(frames.into_iter().map(|frame| Frame { received_at, body: frame.map(Bytes::from) }));
            }
            Ok(_) => {}
            Err(reason) => into.push(Frame { received_at, body: Err(reason) }),
        }
    }

    /// Reads a frame.
    pub fn decode(self, source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Decoded {
        match self {
            Self::Posts => posts::decode(source, frame, received_at),
            Self::Discord => discord::decode(source, frame, received_at),
            Self::Irc => irc::decode(source, frame, received_at),
            Self::Matrix => matrix::decode(source, frame, received_at),
            Self::Slack => slack::decode(source, frame, received_at),
            Self::Recentchange => eventstreams::decode(source, frame, received_at),
            Self::Jetstream | Self::Atproto => jetstream::decode(source, frame, received_at),
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
            Self::Jetstream | Self::Atproto => jetstream::skim(source, frame, received_at, excerpt, buffers),
            // Recordings made by hand or by other programs, and streams that bring few.
            _ => None,
        }
    }

    /// The format of a recording, by its first line that says: frames of Jetstream name
    /// their kind and time or their type and payload, posts their author and creation. What is no JSON
    /// and begins as a message of the firehose is one. Lines of IRC say too little.
    pub fn guess(line: &[u8]) -> Option<Self> {
        if atproto::is_line(line) {
            return Some(Self::Atproto);
        }
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(line).ok()?;
        let has = |keys: [&str; 2]| keys.iter().all(|&key| object.contains_key(key));
        if has(["time_us", "kind"]) || has(["$type", "payload"]) {
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
