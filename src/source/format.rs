//! The forms in which a frame can be written.

use std::str::FromStr;
use std::sync::Arc;

use tokio_tungstenite::tungstenite::Bytes;

use super::jetstream::{self, Buffers, Skimmed};
use super::webhook::{discourse, meta};
use super::{Frame, atproto, discord, eventstreams, irc, mastodon, matrix, nostr, posts, slack, twitch, websocket, x};
use crate::config::model::{EventForm, Mapping, SourceKind, WebhookForm};
use crate::domain::event::Decoded;
use crate::domain::id::SourceName;
use crate::domain::post::Excerpt;
use crate::domain::time::Timestamp;

/// How to read a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Messages of the AT Protocol's firehose, base64 or hexadecimal, one a line; see [`Self::split`].
    Atproto,
    /// Dispatches of Discord's gateway.
    Discord,
    /// What a Discourse forum's webhook says.
    Discourse,
    /// Messages of Twitch's `EventSub`.
    Eventsub,
    /// Lines of IRC.
    Irc,
    /// Jetstream, either wire.
    Jetstream,
    /// What an instance of the fediverse says.
    Mastodon,
    /// Events of Matrix.
    Matrix,
    /// Changes as Meta's webhooks tell them; see [`Self::split`].
    Meta,
    /// What a Nostr relay says.
    Nostr,
    /// Normalised posts as JSON.
    Posts,
    /// Changes of pages, as `MediaWiki` tells them.
    Recentchange,
    /// Envelopes of Slack.
    Slack,
    /// JSON of any shape, as a source's configuration describes it. Has no word on the command line.
    Websocket(Arc<Mapping>),
    /// Lines of X's filtered stream.
    X,
}

impl Format {
    /// All formats that recordings can have.
    pub const ALL: [Self; 14] = [
        Self::Posts,
        Self::Jetstream,
        Self::Atproto,
        Self::Discord,
        Self::Discourse,
        Self::Eventsub,
        Self::Irc,
        Self::Mastodon,
        Self::Matrix,
        Self::Meta,
        Self::Nostr,
        Self::Recentchange,
        Self::Slack,
        Self::X,
    ];

    /// The word on the command line.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Atproto => "atproto",
            Self::Discord => "discord",
            Self::Discourse => "discourse",
            Self::Eventsub => "eventsub",
            Self::Irc => "irc",
            Self::Jetstream => "jetstream",
            Self::Mastodon => "mastodon",
            Self::Matrix => "matrix",
            Self::Meta => "meta",
            Self::Nostr => "nostr",
            Self::Posts => "posts",
            Self::Recentchange => "recentchange",
            Self::Slack => "slack",
            Self::Websocket(_) => "websocket",
            Self::X => "x",
        }
    }

    /// How the frames of a source are read.
    pub fn of(kind: &SourceKind) -> Self {
        match kind {
            SourceKind::Atproto(_) => Self::Atproto,
            SourceKind::Discord(_) => Self::Discord,
            SourceKind::Eventstreams(config) => match &config.events {
                EventForm::Recentchange => Self::Recentchange,
                EventForm::Posts => Self::Posts,
                EventForm::Json { mapping, .. } => Self::Websocket(Arc::clone(mapping)),
            },
            SourceKind::Eventsub(_) => Self::Eventsub,
            SourceKind::Feed(_) | SourceKind::Forum(_) | SourceKind::Youtube(_) => Self::Posts,
            SourceKind::Irc(_) => Self::Irc,
            SourceKind::Jetstream(_) => Self::Jetstream,
            SourceKind::Mastodon(_) => Self::Mastodon,
            SourceKind::Matrix(_) => Self::Matrix,
            SourceKind::Nostr(_) => Self::Nostr,
            SourceKind::Slack(_) => Self::Slack,
            SourceKind::Webhook(config) => match &config.form {
                WebhookForm::Meta { .. } => Self::Meta,
                WebhookForm::Discourse => Self::Discourse,
                WebhookForm::Json { mapping, .. } => Self::Websocket(Arc::clone(mapping)),
            },
            SourceKind::Websocket(config) => Self::Websocket(Arc::clone(&config.mapping)),
            SourceKind::X(_) => Self::X,
        }
    }

    /// A line of a recording as the frames a source's task would make of it, each one event.
    pub fn split(&self, line: Frame, into: &mut Vec<Frame>) {
        let received_at = line.received_at;
        if let (Self::Meta, Ok(body)) = (self, &line.body) {
            let changes = meta::split(body).into_iter();
            return into.extend(changes.map(|body| Frame { received_at, body: body.map(Bytes::from) }));
        }
        let (Self::Atproto, Ok(text)) = (self, &line.body) else { return into.push(line) };
        match atproto::read_line(text) {
            Ok(atproto::Message::Events { frames, .. }) => {
                into.extend(frames.into_iter().map(|frame| Frame { received_at, body: frame.map(Bytes::from) }));
            }
            Ok(_) => {}
            Err(reason) => into.push(Frame { received_at, body: Err(reason) }),
        }
    }

    /// Reads a frame.
    pub fn decode(&self, source: &SourceName, frame: &[u8], received_at: Option<Timestamp>) -> Decoded {
        match self {
            Self::Atproto | Self::Jetstream => jetstream::decode(source, frame, received_at),
            Self::Discord => discord::decode(source, frame, received_at),
            Self::Discourse => discourse::decode(source, frame, received_at),
            Self::Eventsub => twitch::decode(source, frame, received_at),
            Self::Irc => irc::decode(source, frame, received_at),
            Self::Mastodon => mastodon::decode(source, frame, received_at),
            Self::Matrix => matrix::decode(source, frame, received_at),
            Self::Meta => meta::decode(source, frame, received_at),
            Self::Nostr => nostr::decode(source, frame, received_at),
            Self::Posts => posts::decode(source, frame, received_at),
            Self::Recentchange => eventstreams::decode(source, frame, received_at),
            Self::Slack => slack::decode(source, frame, received_at),
            Self::Websocket(mapping) => websocket::decode(mapping, source, frame, received_at),
            Self::X => x::decode(source, frame, received_at),
        }
    }

    /// Reads a frame just as far as most need, without allocating: what rules read of a post
    /// goes into `excerpt`. `None` where that is not enough to say what [`Self::decode`]
    /// would; what is in `excerpt` means nothing then.
    pub fn skim(
        &self,
        source: &SourceName,
        frame: &[u8],
        received_at: Option<Timestamp>,
        excerpt: &mut Excerpt,
        buffers: &mut Buffers,
    ) -> Option<Skimmed> {
        match self {
            Self::Atproto | Self::Jetstream => jetstream::skim(source, frame, received_at, excerpt, buffers),
            // Recordings made by hand or by other programs, and streams that bring few.
            _ => None,
        }
    }

    /// The format of a recording, by its first line that says: by the names in an object, the word
    /// a list of Nostr begins with; what is no JSON and begins as a message of the firehose is one.
    /// Lines of IRC say too little.
    pub fn guess(line: &[u8]) -> Option<Self> {
        if atproto::is_line(line) {
            return Some(Self::Atproto);
        }
        if line.trim_ascii_start().starts_with(b"[") {
            return nostr::is_event(line).then_some(Self::Nostr);
        }
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(line).ok()?;
        let has = |keys: [&str; 2]| keys.iter().all(|&key| object.contains_key(key));
        let guesses = [
            (["time_us", "kind"], Self::Jetstream),
            (["$type", "payload"], Self::Jetstream),
            (["event", "payload"], Self::Mastodon),
            (["uri", "content"], Self::Mastodon),
            (["pubkey", "sig"], Self::Nostr),
            (["created_at", "author"], Self::Posts),
            (["op", "t"], Self::Discord),
            (["server_url", "wiki"], Self::Recentchange),
            (["origin_server_ts", "sender"], Self::Matrix),
            (["envelope_id", "payload"], Self::Slack),
            (["object", "entry"], Self::Meta),
            (["discourse_event", "payload"], Self::Discourse),
            (["metadata", "payload"], Self::Eventsub),
            (["data", "matching_rules"], Self::X),
        ];
        guesses.into_iter().find_map(|(keys, format)| has(keys).then_some(format))
    }
}

impl FromStr for Format {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or(())
    }
}
