//! A source that runs, and the program that listens to it: frames are decoded, and what is processed counts as
//! kept, as in the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use stormbell::app::clock::SystemClock;
use stormbell::config::model::SourceKind;
use stormbell::domain::abroad::Abroad;
use stormbell::domain::event::{Bookmark, Decoded, DownReason, Joint, Paid, Rejected, SourceEvent};
use stormbell::domain::id::SourceName;
use stormbell::domain::post::Post;
use stormbell::domain::time::{Clock, Timestamp};
use stormbell::source::line::Line;
use stormbell::source::position::Position;
use stormbell::source::timing::Timing;
use stormbell::source::unwatched::Unwatched;
use stormbell::source::{self, Format, Frame, Incoming};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::PATIENCE;

/// Waits that a test can sit through.
pub fn quick() -> Timing {
    Timing {
        first_backoff: Duration::from_millis(10),
        longest_backoff: Duration::from_millis(50),
        ping_every: Duration::from_millis(100),
        operator_rest: Duration::from_millis(50),
        ..Timing::default()
    }
}

/// See above.
pub struct Listener {
    incoming: mpsc::Receiver<Incoming>,
    cancel: CancellationToken,
    tasks: JoinSet<()>,
    format: Format,
    name: SourceName,
    pub position: Position,
    /// Whether what is processed is on disk at once; else [`Listener::keep`] says when.
    pub keeps: bool,
    /// The newest version of each post, by id.
    pub posts: BTreeMap<String, Post>,
    /// How often each version of each came.
    pub copies: BTreeMap<(String, Option<String>), usize>,
    pub deleted: BTreeSet<String>,
    pub authors_deleted: BTreeSet<String>,
    pub rejected: Vec<Rejected>,
    pub downs: Vec<DownReason>,
    pub joints: Vec<Joint>,
    /// What was given up, from when to when.
    pub missed: Vec<(Timestamp, Timestamp)>,
    /// What was paid for so far.
    pub paid: Option<Paid>,
    /// How often it was said that all was seen.
    pub covered: usize,
    /// What the server refuses for good.
    pub unwatched: Unwatched,
}

impl Listener {
    pub fn start(kind: SourceKind, timing: Timing, bookmark: Option<&str>) -> Self {
        let asked = watch::channel(Arc::default()).1;
        Self::start_asking(kind, timing, bookmark, Arc::new(SystemClock), asked)
    }

    /// The same by another clock, for a source that is told what rules ask for.
    pub fn start_asking(
        kind: SourceKind,
        timing: Timing,
        bookmark: Option<&str>,
        clock: Arc<dyn Clock>,
        asked: watch::Receiver<Arc<Abroad>>,
    ) -> Self {
        let (out, incoming) = mpsc::channel(64);
        let format = Format::of(&kind);
        let position = Position::at(None, bookmark.map(Bookmark::from));
        let name = SourceName::from("chat");
        let cancel = CancellationToken::new();
        let line = Line::new(name.clone(), timing, position.clone(), out, clock, cancel.clone()).asking(asked);
        let unwatched = line.unwatched.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(source::read(kind, line));
        Self {
            unwatched,
            incoming,
            cancel,
            tasks,
            format,
            name,
            position,
            keeps: true,
            posts: BTreeMap::new(),
            copies: BTreeMap::new(),
            deleted: BTreeSet::new(),
            authors_deleted: BTreeSet::new(),
            rejected: Vec::new(),
            downs: Vec::new(),
            joints: Vec::new(),
            missed: Vec::new(),
            paid: None,
            covered: 0,
        }
    }

    /// Reads on until something is so.
    pub async fn until(&mut self, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            let incoming = timeout(PATIENCE, self.incoming.recv()).await;
            let incoming =
                incoming.unwrap_or_else(|_| panic!("nothing more came; so far {:#?} {:?}", self.texts(), self.downs));
            match incoming.expect("the source ended") {
                Incoming::Connected { joint, .. } => self.joints.push(joint),
                Incoming::Down { reason, .. } => self.downs.push(reason),
                Incoming::Author { .. } => unreachable!("nobody asks about authors here"),
                Incoming::Missed { from, to, .. } => self.missed.push((from, to)),
                Incoming::Frames { frames, reach, .. } => {
                    for frame in frames {
                        self.process(frame);
                    }
                    self.covered += usize::from(reach.covered.is_some());
                    self.paid = reach.paid.or(self.paid);
                    if let Some(bookmark) = reach.bookmark {
                        self.position.mark(bookmark);
                        if self.keeps {
                            self.keep();
                        }
                    }
                }
            }
        }
    }

    /// What was processed is on disk.
    pub fn keep(&self) {
        if let Some(bookmark) = self.position.bookmark() {
            self.position.keep(bookmark);
        }
    }

    pub async fn until_text(&mut self, text: &str) {
        self.until(|listener| listener.texts().contains(&text)).await;
    }

    pub fn texts(&self) -> BTreeSet<&str> {
        self.posts.values().map(|post| post.text.as_str()).collect()
    }

    /// The post that says so.
    pub fn post(&self, text: &str) -> &Post {
        self.posts.values().find(|post| post.text == text).unwrap()
    }

    fn process(&mut self, frame: Frame) {
        let body = match frame.body {
            Ok(body) => body,
            Err(reason) => return self.rejected.push(reason),
        };
        let Decoded { cursor, event } = self.format.decode(&self.name, &body, frame.received_at);
        match event {
            Ok(SourceEvent::Post(post)) => {
                *self.copies.entry((post.id.to_string(), post.version.clone())).or_default() += 1;
                self.posts.insert(post.id.to_string(), *post);
            }
            Ok(SourceEvent::PostDeleted { post, .. }) => drop(self.deleted.insert(post.to_string())),
            Ok(SourceEvent::AuthorDeleted { author, .. }) => drop(self.authors_deleted.insert(author.to_string())),
            Ok(_) => {}
            Err(reason) => self.rejected.push(reason),
        }
        if let Some(cursor) = cursor {
            self.position.advance(cursor);
        }
    }

    /// Stops it as the daemon would, and gives where it would go on.
    pub async fn stop(mut self) -> Option<String> {
        self.cancel.cancel();
        while let Ok(Some(_)) = timeout(PATIENCE, self.incoming.recv()).await {}
        self.tasks.join_next().await.unwrap().unwrap();
        self.position.bookmark().map(|bookmark| bookmark.0.to_string())
    }
}
