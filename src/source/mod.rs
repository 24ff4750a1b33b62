//! Social streams: sockets in, frames and decoded events out.
//!
//! A source's task ([`supervise`] keeps it connected) only reads frames and hands
//! them on; decoding is a pure function of a frame's bytes, so that it runs on any
//! worker and `replay` uses the very same one.

mod format;
mod head;
pub mod jetstream;
pub mod posts;
mod record;
mod sanity;
mod scan;
mod skim;

pub mod proxy;
pub mod socket;
pub mod tls;
pub mod ws;

mod backoff;
pub mod position;
mod reader;
mod seam;
mod session;
pub mod supervise;
pub mod timing;

pub use format::Format;
pub use skim::{Buffers, Skimmed};

use crate::domain::event::{Cursor, DownReason};
use crate::domain::id::SourceName;
use crate::domain::time::Timestamp;

/// What a source's task tells the rest of the program, in the order it happened.
#[derive(Clone, Debug)]
pub enum Incoming {
    /// A connection stands.
    Connected {
        /// The source.
        source: SourceName,
        /// The host it stands to.
        host: String,
        /// The newest event that had been handed on before, when the server was asked to
        /// resume there. Its replay proves that nothing was lost.
        resumed_from: Option<Cursor>,
        /// When.
        at: Timestamp,
    },
    /// Frames in the order they came.
    Frames {
        /// The source.
        source: SourceName,
        /// At least one.
        frames: Vec<Frame>,
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
    /// Whether it is a batch without frames, which nobody needs to hear of.
    fn is_empty(&self) -> bool {
        matches!(self, Self::Frames { frames, .. } if frames.is_empty())
    }
}

/// An error with its causes, for a log line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
