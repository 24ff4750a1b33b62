//! Social streams: sockets in, frames and decoded events out.
//!
//! A source's task ([`supervise`] keeps it connected) only reads frames and hands
//! them on; decoding is a pure function of a frame's bytes, so that it runs on any
//! worker and `replay` uses the very same one.

pub mod atproto;
mod charset;
pub mod discord;
pub mod eventstreams;
pub mod feed;
mod format;
mod html;
pub mod irc;
pub mod jetstream;
mod lenient;
pub mod matrix;
mod plain;
pub mod posts;
mod sanity;
pub mod slack;

mod backoff;
pub mod http;
pub mod line;
pub mod position;
pub mod profiles;
pub mod supervise;
pub mod talk;
pub mod timing;

pub use format::Format;
pub use jetstream::{Buffers, Skimmed};

use self::atproto::Atproto;
use self::discord::Discord;
use self::eventstreams::Eventstreams;
use self::feed::Feed;
use self::irc::Irc;
use self::jetstream::Jetstream;
use self::line::Line;
use self::matrix::Matrix;
use self::slack::Slack;
use self::supervise::Supervisor;
use crate::config::model::SourceKind;
use crate::domain::event::{DownReason, Joint, Reach};
use crate::domain::id::SourceName;
use crate::domain::post::Author;
use crate::domain::time::Timestamp;

/// Reads a source for as long as the program runs.
pub async fn read(kind: SourceKind, line: Line) {
    match kind {
        SourceKind::Eventstreams(config) => {
            let urls = config.urls.clone();
            Supervisor::new(Eventstreams::new(config), urls, line).run().await;
        }
        SourceKind::Feed(config) => {
            let urls = vec![config.url.clone()];
            Supervisor::new(Feed::new(config), urls, line).run().await;
        }
        SourceKind::Discord(config) => {
            let urls = vec![config.url.clone()];
            Supervisor::new(Discord::new(config, &line), urls, line).run().await;
        }
        SourceKind::Irc(config) => {
            let urls = vec![config.url.clone()];
            Supervisor::new(Irc::new(config, &line), urls, line).run().await;
        }
        SourceKind::Atproto(config) => {
            let urls = config.urls.clone();
            Supervisor::new(Atproto::new(config, &line), urls, line).run().await;
        }
        SourceKind::Jetstream(config) => {
            let urls = config.urls.clone();
            Supervisor::new(Jetstream::new(config, &line), urls, line).run().await;
        }
        SourceKind::Matrix(config) => {
            let urls = vec![config.url.clone()];
            Supervisor::new(Matrix::new(config), urls, line).run().await;
        }
        SourceKind::Slack(config) => {
            let urls = vec![config.url.clone()];
            Supervisor::new(Slack::new(config, &line), urls, line).run().await;
        }
    }
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
