//! From frames to matched items, on as many threads as there are, in the order they came.
//!
//! Each batch of frames is a task of its own; results are taken in the order of the
//! batches, so any number of threads gives the same stream (invariant 4).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use tokio::sync::watch;

use crate::domain::engine::{Batch, Input, Item};
use crate::domain::event::{Decoded, Rejected};
use crate::domain::id::SourceName;
use crate::domain::matcher::Scratch;
use crate::domain::rule::RuleSet;
use crate::domain::time::Timestamp;
use crate::source::{Format, Frame, Incoming};

/// What the engine is given, with what only the shell wants to know.
pub struct Arrived {
    /// For the engine.
    pub input: Input,
    /// When it happened; none in a recording.
    pub at: Option<Timestamp>,
    /// The host of a new connection, for the log.
    pub host: Option<String>,
}

/// Decodes and matches a stream of frames on up to `workers` threads.
pub fn matched(
    incoming: impl Stream<Item = Incoming>,
    format: impl Fn(&SourceName) -> Format,
    rules: watch::Receiver<Arc<RuleSet>>,
    workers: usize,
) -> impl Stream<Item = Arrived> {
    let arrived = incoming.map(move |incoming| {
        let rules = Arc::clone(&rules.borrow());
        let work: std::pin::Pin<Box<dyn Future<Output = Arrived> + Send>> = match incoming {
            Incoming::Frames { source, frames } => {
                Box::pin(matched_frames(source.clone(), frames, format(&source), rules))
            }
            Incoming::Connected { source, host, resumed_from, at } => Box::pin(std::future::ready(Arrived {
                input: Input::Connected { source, resumed_from },
                at: Some(at),
                host: Some(host),
            })),
            Incoming::Down { source, reason, at } => Box::pin(std::future::ready(Arrived {
                input: Input::Down { source, reason },
                at: Some(at),
                host: None,
            })),
        };
        work
    });
    arrived.buffered(workers.max(1))
}

#[allow(clippy::disallowed_methods, reason = "the task is awaited in its place by `buffered`, which owns it")]
fn matched_frames(
    source: SourceName,
    frames: Vec<Frame>,
    format: Format,
    rules: Arc<RuleSet>,
) -> impl Future<Output = Arrived> + Send {
    let work = tokio::spawn(async move {
        let at = frames.iter().filter_map(|frame| frame.received_at).next_back();
        Arrived { input: Input::Batch(batch(source, frames, format, rules)), at, host: None }
    });
    async move {
        match work.await {
            Ok(arrived) => arrived,
            // `batch` quarantines what panics inside it; whatever else ended the task ends us too.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// Decodes and matches frames. A frame that makes the code panic is set aside, so that
/// reading the stream again after a restart does not die on it again (invariant 5).
pub fn batch(source: SourceName, frames: Vec<Frame>, format: Format, rules: Arc<RuleSet>) -> Batch {
    let mut scratch = Scratch::default();
    let mut items = Vec::with_capacity(frames.len());
    for frame in frames {
        let Frame { received_at, body } = frame;
        let read = catch_unwind(AssertUnwindSafe(|| {
            let decoded = match &body {
                Ok(bytes) => format.decode(&source, bytes, received_at),
                Err(reason) => Decoded { cursor: None, event: Err(*reason) },
            };
            Item::matched(decoded, received_at, &rules, &mut scratch)
        }));
        items.push(read.unwrap_or_else(|_| {
            let poison = Decoded { cursor: None, event: Err(Rejected::Poison) };
            Item::matched(poison, received_at, &rules, &mut Scratch::default())
        }));
    }
    Batch { source, rules, items }
}
