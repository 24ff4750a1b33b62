//! From frames to matched items, on as many threads as there are, in the order they came.
//!
//! Each batch of frames is a task of its own; results are taken in the order of the
//! batches, so any number of threads gives the same stream (invariant 4).
//!
//! A frame is skimmed first. Only one that a rule takes, or that skimming is not sure of, is
//! decoded; what is left of the others is their place and their names, and they cost no
//! allocation. Their bytes stay with the batch, should the engine want one of them whole.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::sync::watch;

use super::clock::Behind;
use crate::domain::engine::{Batch, Frames, Input, Item, Items};
use crate::domain::event::{Decoded, Passing, Reach, Rejected, SourceEvent};
use crate::domain::id::SourceName;
use crate::domain::matcher::Scratch;
use crate::domain::post::Excerpt;
use crate::domain::rule::RuleSet;
use crate::domain::time::Timestamp;
use crate::source::{Buffers, Format, Frame, Incoming, Skimmed};

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
    behind: Behind,
) -> impl Stream<Item = Arrived> {
    let workplaces = Workplaces::default();
    let arrived = incoming.map(move |incoming| {
        let rules = Arc::clone(&rules.borrow());
        let work: std::pin::Pin<Box<dyn Future<Output = Arrived> + Send>> = match incoming {
            Incoming::Frames { source, frames, reach } => {
                let format = format(&source);
                let read = Reading { source, format, behind: behind.by() };
                Box::pin(matched_frames(read, frames, reach, rules, workplaces.clone()))
            }
            Incoming::Connected { source, host, joint, at } => Box::pin(std::future::ready(Arrived {
                input: Input::Connected { source, joint },
                at: Some(at),
                host: Some(host),
            })),
            Incoming::Author { author, at } => {
                Box::pin(std::future::ready(Arrived { input: Input::Author(author), at: Some(at), host: None }))
            }
            Incoming::Missed { source, from, to, at } => Box::pin(std::future::ready(Arrived {
                input: Input::Missed { source, from, to },
                at: Some(at),
                host: None,
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
    reading: Reading,
    frames: Vec<Frame>,
    reach: Reach,
    rules: Arc<RuleSet>,
    workplaces: Workplaces,
) -> impl Future<Output = Arrived> + Send {
    let work = tokio::spawn(async move {
        let at = frames.iter().filter_map(|frame| frame.received_at).next_back().or(reach.covered);
        let mut workplace = workplaces.take();
        let batch = Batch { reach, ..batch(reading, frames, rules, &mut workplace) };
        workplaces.give_back(workplace);
        Arrived { input: Input::Batch(batch), at, host: None }
    });
    async move {
        match work.await {
            Ok(arrived) => arrived,
            // `batch` quarantines what panics inside it; whatever else ended the task ends us too.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

/// How the frames of a source are read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Whose they are.
    pub source: SourceName,
    /// What it speaks.
    pub format: Format,
    /// How far our clock is behind what it once said.
    pub behind: Duration,
}

impl Reading {
    /// Decodes a frame. A decoder believes no stamp that lies ahead of our clock. If that was set back, the same frame is
    /// read by the clock as it went before: what then is no longer at odds with it has the time that its source says.
    /// Otherwise a pair of posts would be torn apart by whoever set our clock, and a year behind nothing would be heard.
    fn decode(&self, bytes: &[u8], received_at: Option<Timestamp>) -> Decoded {
        let read = self.format.decode(&self.source, bytes, received_at);
        let Some(now) = received_at.filter(|_| !self.behind.is_zero()) else { return read };
        let is_at_odds = match &read.event {
            Ok(event) => time(event) == Some(now),
            Err(reason) => *reason == Rejected::AbsurdDate,
        };
        if !is_at_odds {
            return read;
        }
        let before = now + self.behind;
        let again = self.format.decode(&self.source, bytes, Some(before));
        let is_stamped = again.event.as_ref().ok().and_then(time).is_some_and(|at| at < before);
        if is_stamped { again } else { read }
    }

    /// Whether skimming says all there is to say.
    fn believes(&self, passing: &Passing, received_at: Option<Timestamp>) -> bool {
        let Passing::Post(glimpse) = passing else { return true };
        self.behind.is_zero() || received_at != Some(glimpse.event_time)
    }
}

/// When an event happened, if it says so.
fn time(event: &SourceEvent) -> Option<Timestamp> {
    match event {
        SourceEvent::Post(post) => Some(post.event_time),
        SourceEvent::PostDeleted { at, .. } | SourceEvent::AuthorDeleted { at, .. } => Some(*at),
        SourceEvent::Handle { .. } | SourceEvent::Other => None,
    }
}

/// Reads and matches frames. A frame that makes the code panic is set aside, so that
/// reading the stream again after a restart does not die on it again (invariant 5).
pub fn batch(reading: Reading, frames: Vec<Frame>, rules: Arc<RuleSet>, workplace: &mut Workplace) -> Batch {
    let read = frames.iter().map(|frame| {
        let read = catch_unwind(AssertUnwindSafe(|| item(&reading, frame, &rules, workplace)));
        read.unwrap_or_else(|_| {
            *workplace = Workplace::default(); // whatever was left half done
            Item::decoded(not_read(Rejected::Poison), frame.received_at, None)
        })
    });
    let read = read.collect();
    let source = reading.source.clone();
    Batch::new(source, rules, Items::new(read, Box::new(Kept { reading, frames })))
}

/// What a worker reads with; used again for every batch it takes.
#[derive(Debug, Default)]
pub struct Workplace {
    excerpt: Excerpt,
    buffers: Buffers,
    scratch: Scratch,
}

fn item(reading: &Reading, frame: &Frame, rules: &RuleSet, workplace: &mut Workplace) -> Item {
    let Workplace { excerpt, buffers, scratch } = workplace;
    let received_at = frame.received_at;
    let bytes = match &frame.body {
        Ok(bytes) => bytes,
        Err(reason) => return Item::decoded(not_read(*reason), received_at, None),
    };
    let skimmed = reading.format.skim(&reading.source, bytes, received_at, excerpt, buffers);
    let skimmed = skimmed.filter(|skimmed| reading.believes(&skimmed.passing, received_at));
    let mut taken = None;
    if let Some(Skimmed { cursor, passing }) = skimmed {
        if let Passing::Post(_) = passing {
            taken = rules.take(excerpt, scratch);
        }
        if taken.is_none() {
            return Item::passed(cursor, received_at, passing);
        }
    }
    let decoded = reading.decode(bytes, received_at);
    if let (None, Ok(SourceEvent::Post(post))) = (skimmed, &decoded.event) {
        excerpt.read(post);
        taken = rules.take(excerpt, scratch);
    }
    Item::decoded(decoded, received_at, taken)
}

const fn not_read(reason: Rejected) -> Decoded {
    Decoded { cursor: None, event: Err(reason) }
}

/// The frames of a batch, kept until the engine has seen to it.
#[derive(Debug)]
struct Kept {
    reading: Reading,
    frames: Vec<Frame>,
}

impl Frames for Kept {
    fn event(&self, place: usize) -> Result<SourceEvent, Rejected> {
        let Some(Frame { received_at, body: Ok(bytes) }) = self.frames.get(place) else {
            return Err(Rejected::Poison);
        };
        let decode = || self.reading.decode(bytes, *received_at).event;
        catch_unwind(AssertUnwindSafe(decode)).or(Err(Rejected::Poison))?
    }
}

/// Workplaces that nobody uses at the moment.
#[derive(Clone, Debug, Default)]
struct Workplaces(Arc<Mutex<Vec<Workplace>>>);

impl Workplaces {
    fn take(&self) -> Workplace {
        self.0.lock().ok().and_then(|mut free| free.pop()).unwrap_or_default()
    }

    fn give_back(&self, workplace: Workplace) {
        if let Ok(mut free) = self.0.lock() {
            free.push(workplace);
        }
    }
}
