//! Social streams: sockets in, frames and decoded events out.
//!
//! A source's task ([`supervise`] keeps it connected) only reads frames and hands
//! them on; decoding is a pure function of a frame's bytes, so that it runs on any
//! worker and `replay` uses the very same one.

pub mod atproto;
mod bridge;
mod called;
mod charset;
pub mod discord;
pub mod eventstreams;
pub mod feed;
mod format;
pub mod forum;
mod html;
pub mod irc;
pub mod jetstream;
mod lenient;
pub mod mastodon;
pub mod matrix;
pub mod nostr;
mod plain;
pub mod posts;
mod sanity;
mod signature;
pub mod slack;
pub mod twitch;
pub mod webhook;
pub mod websocket;
pub mod x;
pub mod youtube;

mod backoff;
pub mod http;
pub mod line;
pub mod position;
pub mod profiles;
pub mod supervise;
pub mod talk;
pub mod throttle;
pub mod timing;
pub mod unwatched;

pub use format::Format;
pub use jetstream::{Buffers, Skimmed};

use std::pin::Pin;

use url::Url;

use self::atproto::Atproto;
use self::discord::Discord;
use self::eventstreams::Eventstreams;
use self::feed::Feed;
use self::irc::Irc;
use self::jetstream::Jetstream;
use self::line::Line;
use self::mastodon::{Mastodon, Misskey};
use self::matrix::Matrix;
use self::slack::Slack;
use self::supervise::{Supervisor, Wire};
use self::twitch::Eventsub;
use self::webhook::Webhook;
use self::websocket::Websocket;
use self::x::X;
use crate::config::model::{Dialect, SourceKind};
use crate::domain::event::{DownReason, Joint, Reach};
use crate::domain::id::SourceName;
use crate::domain::post::Author;
use crate::domain::time::Timestamp;

/// Reads a source for as long as the program runs. What it is sent finds it from now on, before its first step.
pub fn read(kind: SourceKind, line: Line) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    match kind {
        SourceKind::Atproto(config) => supervised(config.urls.clone(), Atproto::new(config, &line), line),
        SourceKind::Discord(config) => supervised(vec![config.url.clone()], Discord::new(config, &line), line),
        SourceKind::Eventstreams(config) => supervised(config.urls.clone(), Eventstreams::new(config), line),
        SourceKind::Eventsub(config) => supervised(vec![config.url.clone()], Eventsub::new(config, &line), line),
        SourceKind::Feed(config) => supervised(vec![config.url.clone()], Feed::new(config, &line), line),
        SourceKind::Forum(config) => Box::pin(forum::read(*config, line)),
        SourceKind::Irc(config) => supervised(vec![config.url.clone()], Irc::new(config, &line), line),
        SourceKind::Jetstream(config) => supervised(config.urls.clone(), Jetstream::new(config, &line), line),
        SourceKind::Mastodon(config) => match config.dialect {
            Dialect::Mastodon => supervised(vec![config.url.clone()], Mastodon::new(config, &line), line),
            Dialect::Misskey => supervised(vec![config.url.clone()], Misskey::new(config, &line), line),
        },
        SourceKind::Matrix(config) => supervised(vec![config.url.clone()], Matrix::new(config), line),
        SourceKind::Nostr(config) => Box::pin(nostr::read(config, line)),
        SourceKind::Slack(config) => supervised(vec![config.url.clone()], Slack::new(config, &line), line),
        SourceKind::Webhook(config) => Box::pin(Webhook::open(*config, &line).read(line)),
        SourceKind::Websocket(config) => supervised(config.urls.clone(), Websocket::new(*config, &line), line),
        SourceKind::X(config) => supervised(vec![config.url.clone()], X::new(config), line),
        SourceKind::Youtube(config) => Box::pin(youtube::read(*config, line)),
    }
}

fn supervised(
    urls: Vec<Url>,
    wire: impl Wire + Sync + 'static,
    line: Line,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(Supervisor::new(wire, urls, line).run())
}

/// What a source's task tells the rest of the program, in the order it happened.
#[derive(Clone, Debug)]
pub enum Incoming {
    /// A connection stands.
    Connected {
        /// The source.
        source: SourceName,
        /// The host it stands to.
        host: String,
        /// How it goes on from what was read before.
        joint: Joint,
        /// When.
        at: Timestamp,
    },
    /// Frames in the order they came.
    Frames {
        /// The source.
        source: SourceName,
        /// None only when `reach` says something.
        frames: Vec<Frame>,
        /// How far the source is read with them.
        reach: Reach,
    },
    /// It is known now who an author is.
    Author {
        /// The author.
        author: Author,
        /// When.
        at: Timestamp,
    },
    /// What happened in between will not be read any more.
    Missed {
        /// The source.
        source: SourceName,
        /// Up to then all was read.
        from: Timestamp,
        /// From then on, too.
        to: Timestamp,
        /// When that was known.
        at: Timestamp,
    },
    /// The connection is gone; the task goes on trying.
    Down {
        /// The source.
        source: SourceName,
        /// Why.
        reason: DownReason,
        /// When.
        at: Timestamp,
    },
}

/// One frame as it came over the wire.
#[derive(Clone, Debug)]
pub struct Frame {
    /// When it was read; `None` when it comes from a file.
    pub received_at: Option<Timestamp>,
    /// Its payload, or why it was not kept.
    pub body: Result<tokio_tungstenite::tungstenite::Bytes, crate::domain::event::Rejected>,
}

impl Incoming {
    /// Whether it is a batch that says nothing, which nobody needs to hear of.
    fn is_empty(&self) -> bool {
        matches!(self, Self::Frames { frames, reach, .. } if frames.is_empty() && reach.is_empty())
    }
}

/// An error with its causes, for a log line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
