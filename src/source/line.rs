//! What a wire is given to read with: where to begin, and where frames go.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::position::Position;
use super::supervise::End;
use super::throttle::Throttle;
use super::timing::Timing;
use super::unwatched::Unwatched;
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
    /// What the source's server refuses for good.
    pub unwatched: Unwatched,
    /// By which a server that several installations share tells ours from theirs; letters and digits.
    pub installation: String,
    /// How fast it may be read at most, where somebody says so.
    pub throttle: Option<Throttle>,
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
        let (unwatched, installation) = (Unwatched::default(), String::new());
        let (throttle, connected) = (None, None);
        Self { name, timing, position, out, clock, cancel, inlets, asked, unwatched, installation, throttle, connected }
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
        beside.throttle.clone_from(&self.throttle);
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
        self.throttle.iter().for_each(Throttle::connected);
        self.tell(Incoming::Connected { source: self.name.clone(), host: host.to_owned(), joint, at: self.now() }).await
    }

    /// Hands frames on, waiting for its turn and a while for room. The connection is not read meanwhile, which
    /// is how a server is told to slow down.
    ///
    /// # Errors
    /// [`End::Stopped`], or that there was no room. Nothing is lost then: the position has not
    /// moved, so these frames come again.
    pub async fn hand_on(&self, frames: Vec<Frame>, reach: Reach) -> Result<(), End> {
        if let Some(throttle) = &self.throttle
            && let Some(wait) = throttle.take(frames.len(), Instant::now())
        {
            if wait.is_first {
                let most = throttle.most;
                let notice =
                    format!("more than {most} frames a second come: the others wait (`max_frames_per_second`)");
                events::source_notice(&self.name, &notice);
            }
            self.unless_stopped(sleep(wait.time)).await?;
        }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_tungstenite::tungstenite::Bytes;

    use super::*;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::default()
        }
    }

    fn line(name: &str, out: &mpsc::Sender<Incoming>, timing: Timing) -> Line {
        let (clock, cancel) = (Arc::new(Still), CancellationToken::new());
        Line::new(name.into(), timing, Position::default(), out.clone(), clock, cancel)
    }

    fn frames(count: usize) -> Vec<Frame> {
        vec![Frame { received_at: None, body: Ok(Bytes::from_static(b"{}")) }; count]
    }

    /// Room is given in the order in which it was asked for.
    #[tokio::test]
    async fn a_source_in_flood_lets_every_other_have_its_turn() {
        let (out, mut incoming) = mpsc::channel(1);
        let flood = async {
            let line = line("flood", &out, Timing::default());
            for _ in 0..1000 {
                line.hand_on(frames(256), Reach::default()).await.unwrap();
            }
        };
        let quiet = async {
            let line = line("quiet", &out, Timing::default());
            for _ in 0..100 {
                line.hand_on(frames(1), Reach::default()).await.unwrap();
            }
        };
        let listens = async {
            let mut came = Vec::new();
            for _ in 0..1100 {
                let Some(Incoming::Frames { source, .. }) = incoming.recv().await else { panic!("frames come") };
                came.push(source.as_str() == "flood");
            }
            came
        };
        let ((), (), came) = tokio::join!(flood, quiet, listens);
        let last = came.iter().rposition(|is_flood| !is_flood).unwrap();
        assert!(last < 210, "every second turn is the other's: its last was the {last}th");
    }

    #[tokio::test]
    async fn a_source_that_gets_no_room_for_long_is_told_of_and_loses_nothing_unsaid() {
        let (out, _incoming) = mpsc::channel(1);
        let line = line("flood", &out, Timing { queue_patience: Duration::from_millis(10), ..Timing::default() });
        line.hand_on(frames(1), Reach::default()).await.unwrap();
        let end = line.hand_on(frames(1), Reach::default()).await;
        assert!(matches!(end, Err(End::Interrupted(DownReason::Overrun))), "{end:?}");
    }

    #[tokio::test]
    async fn what_is_over_the_limit_waits_and_stops_with_the_program() {
        let (out, mut incoming) = mpsc::channel(10);
        let mut line = line("flood", &out, Timing::default());
        line.throttle = Some(Throttle::new(std::num::NonZeroU32::MIN));
        line.hand_on(frames(1000), Reach::default()).await.unwrap();
        let beside = line.beside();
        let waits = beside.hand_on(frames(7), Reach::default());
        let stops = async {
            let first = incoming.recv().await;
            assert!(matches!(first, Some(Incoming::Frames { frames, .. }) if frames.len() == 1000));
            assert!(incoming.try_recv().is_err(), "the others wait");
            line.cancel.cancel();
        };
        let (end, ()) = tokio::join!(waits, stops);
        assert!(matches!(end, Err(End::Stopped)), "{end:?}");
    }
}
