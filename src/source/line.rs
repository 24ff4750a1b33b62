//! What a wire is given to read with: where to begin, and where frames go.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::position::Position;
use super::supervise::End;
use super::timing::Timing;
use super::{Frame, Incoming};
use crate::domain::abroad::Abroad;
use crate::domain::event::{DownReason, Joint, Reach};
use crate::domain::id::SourceName;
use crate::domain::time::{Clock, Timestamp};
use crate::net::inlet::Inlets;
use crate::telemetry::events;

/// One source's way to the rest of the program.
pub struct Line {
    /// The source.
    pub name: SourceName,
    /// How patient to be.
    pub timing: Timing,
    /// How far it was processed; moved on by whoever commits what the frames led to.
    pub position: Position,
    /// Where frames go. When it is full, the source waits.
    pub out: mpsc::Sender<Incoming>,
    /// What stamps the frames.
    pub clock: Arc<dyn Clock>,
    /// When to stop.
    pub cancel: CancellationToken,
    /// By which ways it can be called; a server that nobody reaches unless somebody says otherwise.
    pub inlets: Inlets,
    /// What rules ask for, of a source that sends nothing else.
    pub asked: watch::Receiver<Arc<Abroad>>,
    connected: Option<Instant>,
}

impl Line {
    /// A line nothing went over yet.
    pub fn new(
        name: SourceName,
        timing: Timing,
        position: Position,
        out: mpsc::Sender<Incoming>,
        clock: Arc<dyn Clock>,
        cancel: CancellationToken,
    ) -> Self {
        let (asked, inlets) = (watch::channel(Arc::default()).1, Inlets::default());
        Self { name, timing, position, out, clock, cancel, inlets, asked, connected: None }
    }

    /// The same for a source that has to be told what rules ask for.
    #[must_use]
    pub fn asking(self, asked: watch::Receiver<Arc<Abroad>>) -> Self {
        Self { asked, ..self }
    }

    /// A second way to the same place, for what is read beside a connection.
    #[must_use]
    pub fn beside(&self) -> Self {
        let (out, clock) = (self.out.clone(), Arc::clone(&self.clock));
        let mut beside =
            Self::new(self.name.clone(), self.timing.clone(), self.position.clone(), out, clock, self.cancel.clone());
        beside.inlets = self.inlets.clone();
        beside
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Tells that a connection stands.
    ///
    /// # Errors
    /// [`End::Stopped`].
    pub async fn connected(&mut self, host: &str, joint: Joint) -> Result<(), End> {
        events::source_connected(&self.name, host, joint != Joint::Live);
        self.connected = Some(Instant::now());
        self.tell(Incoming::Connected { source: self.name.clone(), host: host.to_owned(), joint, at: self.now() }).await
    }

    /// Hands frames on, waiting a while for room. The connection is not read meanwhile, which
    /// is how a server is told to slow down.
    ///
    /// # Errors
    /// [`End::Stopped`], or that there was no room. Nothing is lost then: the position has not
    /// moved, so these frames come again.
    pub async fn hand_on(&self, frames: Vec<Frame>, reach: Reach) -> Result<(), End> {
        let incoming = Incoming::Frames { source: self.name.clone(), frames, reach };
        if incoming.is_empty() {
            return Ok(());
        }
        let room = timeout(self.timing.queue_patience, self.out.reserve());
        match self.cancel.run_until_cancelled(room).await {
            Some(Ok(Ok(permit))) => {
                permit.send(incoming);
                Ok(())
            }
            Some(Err(_)) => {
                events::source_down(&self.name, DownReason::Overrun, None);
                Err(End::Interrupted(DownReason::Overrun))
            }
            Some(Ok(Err(_))) | None => Err(End::Stopped),
        }
    }

    /// Tells that what happened in between will not be read any more, though the connection was told to go on
    /// behind what was read.
    ///
    /// # Errors
    /// [`End::Stopped`].
    pub async fn missed(&self, from: Timestamp, to: Timestamp) -> Result<(), End> {
        self.tell(Incoming::Missed { source: self.name.clone(), from, to, at: self.now() }).await
    }

    /// Tells that there is no connection.
    pub(super) async fn down(&self, reason: DownReason) -> Result<(), End> {
        self.tell(Incoming::Down { source: self.name.clone(), reason, at: self.now() }).await
    }

    /// Does something, unless the program stops.
    ///
    /// # Errors
    /// [`End::Stopped`].
    pub async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, End> {
        self.cancel.run_until_cancelled(work).await.ok_or(End::Stopped)
    }

    /// Waits for room as long as it takes: without room there is no use in a connection.
    pub(super) async fn tell(&self, incoming: Incoming) -> Result<(), End> {
        self.unless_stopped(self.out.send(incoming)).await?.or(Err(End::Stopped))
    }

    /// Forgets the last connection; says whether it lasted.
    pub(super) fn was_healthy(&mut self) -> bool {
        self.connected.take().is_some_and(|since| since.elapsed() >= self.timing.healthy_after)
    }
}
