//! A source that runs, and the program that listens to it: what came, as the engine would take it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stormbell::config::model::SourceKind;
use stormbell::domain::event::{Bookmark, DownReason, Joint, Rejected, SourceEvent};
use stormbell::domain::id::SourceName;
use stormbell::domain::post::Post;
use stormbell::domain::time::{Clock, Timestamp};
use stormbell::net::inlet::Inlets;
use stormbell::source::line::Line;
use stormbell::source::position::Position;
use stormbell::source::timing::Timing;
use stormbell::source::{self, Format, Frame, Incoming};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::PATIENCE;
use super::clock::FixedClock;

/// Longer than any test waits.
pub const NEVER: Duration = Duration::from_hours(1);

/// Hurries, except where a test has no use for the mechanism at all.
pub fn quick() -> Timing {
    Timing {
        first_backoff: Duration::from_millis(10),
        longest_backoff: Duration::from_millis(50),
        operator_rest: Duration::from_millis(20),
        ping_every: NEVER,
        answer_within: NEVER,
        ..Timing::default()
    }
}

/// See above.
pub struct Reading {
    incoming: mpsc::Receiver<Incoming>,
    format: Format,
    /// How far it was processed.
    pub position: Position,
    /// Posts in the order they came, with repetitions.
    pub posts: Vec<Post>,
    /// Posts taken back.
    pub deleted: Vec<String>,
    /// Names made known, by author.
    pub handles: BTreeMap<String, String>,
    /// Frames that carried nothing.
    pub other: usize,
    /// Frames nobody could read.
    pub rejected: Vec<Rejected>,
    /// Why it was down.
    pub downs: Vec<DownReason>,
    /// Its connections.
    pub connected: Vec<Joint>,
    /// How often it said that silence is only that.
    pub covered: usize,
    /// What it said that will not be read any more.
    pub missed: Vec<(Timestamp, Timestamp)>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Reading {
    /// Starts it at `now`, as if an earlier run had ended there.
    pub fn start(kind: SourceKind, timing: Timing, now: Timestamp, bookmark: Option<Bookmark>) -> Self {
        Self::called(kind, timing, now, bookmark, Inlets::default())
    }

    /// The same for one that others call by these ways.
    pub fn called(
        kind: SourceKind,
        timing: Timing,
        now: Timestamp,
        bookmark: Option<Bookmark>,
        inlets: Inlets,
    ) -> Self {
        Self::by(kind, timing, Arc::new(FixedClock(now)), bookmark, inlets)
    }

    /// The same by a clock that may be set.
    pub fn by(
        kind: SourceKind,
        timing: Timing,
        clock: Arc<dyn Clock>,
        bookmark: Option<Bookmark>,
        inlets: Inlets,
    ) -> Self {
        let (out, incoming) = mpsc::channel(64);
        let format = Format::of(&kind);
        let position = Position::at(None, bookmark);
        let stop = CancellationToken::new();
        let mut line = Line::new(SourceName::from("s"), timing, position.clone(), out, clock, stop.clone());
        line.inlets = inlets;
        let mut tasks = JoinSet::new();
        tasks.spawn(source::read(kind, line));
        Self {
            incoming,
            format,
            position,
            posts: Vec::new(),
            deleted: Vec::new(),
            handles: BTreeMap::new(),
            other: 0,
            rejected: Vec::new(),
            downs: Vec::new(),
            connected: Vec::new(),
            covered: 0,
            missed: Vec::new(),
            tasks,
            stop,
        }
    }

    /// Reads on until something is so.
    pub async fn until(&mut self, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            let incoming = timeout(PATIENCE, self.incoming.recv()).await;
            match incoming.expect("nothing more came").expect("the source ended") {
                Incoming::Connected { joint, .. } => self.connected.push(joint),
                Incoming::Down { reason, .. } => self.downs.push(reason),
                Incoming::Missed { from, to, .. } => self.missed.push((from, to)),
                Incoming::Author { .. } => {}
                Incoming::Frames { frames, reach, .. } => {
                    for frame in frames {
                        self.take(frame);
                    }
                    self.covered += usize::from(reach.covered.is_some());
                    if let Some(bookmark) = reach.bookmark {
                        self.position.mark(bookmark.clone());
                        self.position.keep(bookmark);
                    }
                }
            }
        }
    }

    fn take(&mut self, frame: Frame) {
        let Frame { received_at, body } = frame;
        let body = match body {
            Ok(body) => body,
            Err(reason) => return self.rejected.push(reason),
        };
        let decoded = self.format.decode(&SourceName::from("s"), &body, received_at);
        if let Some(cursor) = decoded.cursor {
            self.position.advance(cursor);
        }
        match decoded.event {
            Ok(SourceEvent::Post(post)) => self.posts.push(*post),
            Ok(SourceEvent::PostDeleted { post, .. }) => self.deleted.push(post.as_str().to_owned()),
            Ok(SourceEvent::Handle { author, handle }) => {
                self.handles.insert(author.as_str().to_owned(), handle);
            }
            Ok(_) => self.other += 1,
            Err(reason) => self.rejected.push(reason),
        }
    }

    /// Reads on for so many more polls.
    pub async fn more(&mut self, polls: usize) {
        let until = self.covered + polls;
        self.until(|reading| reading.covered >= until).await;
    }

    /// Waits for a post of that text.
    pub async fn until_post(&mut self, text: &str) {
        self.until(|reading| reading.posts.iter().any(|post| post.text == text)).await;
    }

    /// The texts that came.
    pub fn texts(&self) -> Vec<&str> {
        self.posts.iter().map(|post| post.text.as_str()).collect()
    }

    /// Stops it, as the daemon would.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while timeout(PATIENCE, self.tasks.join_next()).await.expect("the source does not stop").is_some() {}
    }
}
