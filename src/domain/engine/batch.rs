//! What the engine is given of a stream: frames, as far as they had to be read.
//!
//! Hardly any frame matters to anybody, so one that no rule takes arrives as [`Passing`]:
//! enough to count it and to know its post again. The engine needs the whole of it in two
//! cases that a worker cannot know of: the rules were swapped since, or the store holds text
//! that must now follow its author's edit or deletion. Then it asks the batch's [`Frames`].
//!
//! Rejected: to decode every post in the worker (two thirds of all the time went there);
//! to tell the workers what is evidence (they would have to know it in the engine's order);
//! to keep a reader with each item (a batch has one).

use std::fmt;
use std::sync::Arc;

use crate::domain::event::{Cursor, Decoded, Glimpse, Passing, Reach, Rejected, SourceEvent};
use crate::domain::id::SourceName;
use crate::domain::matcher::Scratch;
use crate::domain::post::Excerpt;
use crate::domain::rule::{RuleSet, Taken};
use crate::domain::time::Timestamp;

/// Frames of one source, in their order.
#[derive(Debug)]
pub struct Batch {
    /// The source.
    pub source: SourceName,
    /// The rules that the items were matched with.
    pub rules: Arc<RuleSet>,
    /// The frames.
    pub items: Items,
    /// How far the source is read with them.
    pub reach: Reach,
}

/// The frames of a batch as they were read, and as they came.
#[derive(Debug)]
pub struct Items {
    pub(super) read: Vec<Item>,
    pub(super) frames: Box<dyn Frames>,
}

/// Reads frames that were only glimpsed at.
pub trait Frames: fmt::Debug + Send {
    /// What the frame at that place of the batch says.
    ///
    /// # Errors
    /// Why the frame cannot be used, should reading it whole show that.
    fn event(&self, place: usize) -> Result<SourceEvent, Rejected>;
}

/// One frame.
#[derive(Debug)]
pub struct Item {
    pub(super) cursor: Option<Cursor>,
    pub(super) received_at: Option<Timestamp>,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    /// Read whole, with what its post is to the rules.
    Event(Result<SourceEvent, Rejected>, Option<Box<Taken>>),
    /// Read as far as needed; no rule takes it.
    Passed(Passing),
}

impl Batch {
    /// Frames that say by themselves how far they reach.
    pub fn new(source: SourceName, rules: Arc<RuleSet>, items: Items) -> Self {
        Self { source, rules, items, reach: Reach::default() }
    }

    /// Event times of its first and last post.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let times = self.items.read.iter().filter_map(Item::event_time);
        times.fold(None, |span, time| Some(span.map_or((time, time), |(from, to)| (time.min(from), time.max(to)))))
    }
}

impl Items {
    /// Items of which some are posts that passed, and how to read those.
    pub fn new(read: Vec<Item>, frames: Box<dyn Frames>) -> Self {
        Self { read, frames }
    }
}

/// Items that were all read whole.
impl FromIterator<Item> for Items {
    fn from_iter<I: IntoIterator<Item = Item>>(items: I) -> Self {
        Self::new(items.into_iter().collect(), Box::new(Whole))
    }
}

/// Of frames that were read whole nothing is left to read.
#[derive(Debug)]
struct Whole;

impl Frames for Whole {
    fn event(&self, _place: usize) -> Result<SourceEvent, Rejected> {
        Err(Rejected::Poison)
    }
}

impl Item {
    /// Matches a decoded frame. Pure; runs on any thread.
    pub fn matched(decoded: Decoded, received_at: Option<Timestamp>, rules: &RuleSet, scratch: &mut Scratch) -> Self {
        let taken = match &decoded.event {
            Ok(SourceEvent::Post(post)) => rules.take(&Excerpt::of(post), scratch),
            _ => None,
        };
        Self::decoded(decoded, received_at, taken)
    }

    /// A decoded frame, with what [`RuleSet::take`] says of its post.
    pub fn decoded(decoded: Decoded, received_at: Option<Timestamp>, taken: Option<Box<Taken>>) -> Self {
        let Decoded { cursor, event } = decoded;
        Self { cursor, received_at, what: What::Event(event, taken) }
    }

    /// A frame that was not read whole, because no rule takes it.
    pub fn passed(cursor: Cursor, received_at: Option<Timestamp>, passing: Passing) -> Self {
        Self { cursor: Some(cursor), received_at, what: What::Passed(passing) }
    }

    /// When its post appeared, if it carries one.
    pub(super) fn event_time(&self) -> Option<Timestamp> {
        match &self.what {
            What::Event(Ok(SourceEvent::Post(post)), _) => Some(post.event_time),
            What::Passed(Passing::Post(Glimpse { event_time, .. })) => Some(*event_time),
            What::Event(..) | What::Passed(_) => None,
        }
    }
}
