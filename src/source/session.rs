//! One connection, from its first frame to its end.
//!
//! It reads, hands on, and watches for three kinds of silence: nothing at all (the other
//! side is gone without a word), no frames though pings are answered (a server that is up
//! but says nothing, jetstream-legacy#48), and a queue of our own that does not move.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::reader::{Batch, Ended, Reader};
use super::seam::{self, Seam, SeamError};
use super::timing::Timing;
use super::{Frame, Incoming, chain};
use crate::domain::event::{DownReason, Rejected};
use crate::domain::id::SourceName;
use crate::domain::time::{Clock, Timestamp};
use crate::telemetry::events;

/// A connection being read.
pub(super) struct Session<'a> {
    pub(super) source: &'a SourceName,
    pub(super) timing: &'a Timing,
    pub(super) expect_frame_within: Option<Duration>,
    pub(super) out: &'a mpsc::Sender<Incoming>,
    pub(super) clock: &'a Arc<dyn Clock>,
    pub(super) cancel: &'a CancellationToken,
    pub(super) seam: SeamWatch<'a>,
}

/// Why a connection is no longer read.
#[derive(Debug)]
pub(super) enum End {
    /// The program stops, or nobody listens any more.
    Stopped,
    /// The connection is of no more use.
    Down(DownReason),
    /// The connection ended at a frame that must be stepped over.
    Unreadable(Rejected),
}

/// What is to be remembered of a connection.
pub(super) struct Report {
    pub(super) end: End,
    /// The first frame's time.
    pub(super) first: Option<i64>,
    /// The latest time of a frame.
    pub(super) newest: Option<i64>,
    /// The start of a hand-over that has not been read again.
    pub(super) open_seam: Option<i64>,
}

type SeamReading = Pin<Box<dyn Future<Output = Result<(), SeamError>> + Send>>;

/// The hand-over from replay to live, on its way to being read twice.
pub(super) enum SeamWatch<'a> {
    /// The connection was live from the start, or all is done.
    None,
    /// A replay is running; `from` must be read again if the connection ends before.
    CatchingUp {
        /// Plans the second reading, given the time of the hand-over.
        plan: Box<dyn Fn(i64) -> Seam + Send + Sync + 'a>,
        /// An earlier hand-over still open.
        from: Option<i64>,
    },
    /// The second reading waits or runs.
    Reading {
        /// Where it starts.
        from: i64,
        /// It.
        reading: SeamReading,
    },
}

/// When which silence is too long.
struct Deadlines {
    ping: Instant,
    answer: Instant,
    frame: Option<Instant>,
}

enum Woken {
    Stop,
    Read(Batch),
    Ping,
    Silent,
    SeamRead(Result<(), SeamError>),
}

impl Session<'_> {
    /// Reads until the connection ends, and leaves nothing open.
    pub(super) async fn run(mut self, mut reader: Reader) -> Report {
        let (mut first, mut newest) = (None, None);
        let end = self.read(&mut reader, &mut first, &mut newest).await;
        // Whoever went silent will not answer a goodbye either.
        if !matches!(end, End::Down(DownReason::Stalled)) {
            reader.goodbye(self.timing.stop_within).await;
        }
        Report { end, first, newest, open_seam: self.seam.open() }
    }

    async fn read(&mut self, reader: &mut Reader, first: &mut Option<i64>, newest: &mut Option<i64>) -> End {
        let mut deadlines = self.deadlines();
        loop {
            match self.wake(reader, &deadlines).await {
                Woken::Stop => return End::Stopped,
                Woken::Silent => return End::Down(DownReason::Stalled),
                Woken::SeamRead(outcome) => self.close_seam(outcome),
                Woken::Ping => {
                    if !reader.ping(self.timing.stop_within).await {
                        return End::Down(DownReason::Stalled);
                    }
                    deadlines.ping = Instant::now() + self.timing.ping_every;
                }
                Woken::Read(batch) => {
                    *first = first.or(batch.first);
                    *newest = (*newest).max(batch.newest);
                    let (ended, carried_frames) = (batch.end, !batch.frames.is_empty());
                    if let Err(end) = self.hand_on(batch.frames).await {
                        return end;
                    }
                    if let Some(ended) = ended {
                        return self.ended(ended);
                    }
                    // Counted from after the hand-over: our own waiting is not their silence.
                    let frame = if carried_frames { None } else { deadlines.frame };
                    deadlines = self.deadlines();
                    deadlines.frame = frame.or(deadlines.frame);
                    self.watch_seam(batch.newest);
                }
            }
        }
    }

    async fn wake(&mut self, reader: &mut Reader, deadlines: &Deadlines) -> Woken {
        let silent = deadlines.frame.map_or(deadlines.answer, |frame| frame.min(deadlines.answer));
        tokio::select! {
            () = self.cancel.cancelled() => Woken::Stop,
            batch = reader.batch() => Woken::Read(batch),
            () = sleep_until(deadlines.ping) => Woken::Ping,
            () = sleep_until(silent) => Woken::Silent,
            outcome = self.seam.finished() => Woken::SeamRead(outcome),
        }
    }

    fn deadlines(&self) -> Deadlines {
        let now = Instant::now();
        Deadlines {
            ping: now + self.timing.ping_every,
            answer: now + self.timing.answer_within,
            frame: self.expect_frame_within.map(|within| now + within),
        }
    }

    /// Hands frames on, waiting a while for room. The socket is not read meanwhile, which
    /// is how the server is told to slow down.
    async fn hand_on(&mut self, frames: Vec<Frame>) -> Result<(), End> {
        let incoming = Incoming::Frames { source: self.source.clone(), frames };
        if incoming.is_empty() {
            return Ok(());
        }
        let room = timeout(self.timing.queue_patience, self.out.reserve());
        match self.cancel.run_until_cancelled(room).await {
            Some(Ok(Ok(permit))) => {
                permit.send(incoming);
                Ok(())
            }
            // Nothing is lost: the position has not moved, so these frames come again.
            Some(Err(_)) => Err(End::Down(DownReason::Overrun)),
            Some(Ok(Err(_))) | None => Err(End::Stopped),
        }
    }

    fn ended(&self, ended: Ended) -> End {
        match ended {
            Ended::Unreadable(reason) => End::Unreadable(reason),
            Ended::Closed(error) => {
                let error = error.map(|error| error.to_string());
                events::source_down(self.source, DownReason::Closed, error.as_deref());
                End::Down(DownReason::Closed)
            }
        }
    }

    /// Plans to read the hand-over again once the replay has caught up.
    fn watch_seam(&mut self, newest: Option<i64>) {
        let SeamWatch::CatchingUp { plan, .. } = &self.seam else { return };
        let Some(handover) = newest else { return };
        if self.clock.now().since(Timestamp::from_micros(handover)) > self.timing.caught_up_within {
            return;
        }
        // An earlier hand-over still open was part of this replay, and is read with it now.
        events::source_caught_up(self.source, handover);
        let reading = Box::pin(plan(handover).read_again());
        self.seam = SeamWatch::Reading { from: seam::start(handover, self.timing), reading };
    }

    fn close_seam(&mut self, outcome: Result<(), SeamError>) {
        if let Err(error) = outcome {
            events::source_seam_unread(self.source, &chain(&error));
        }
        self.seam = SeamWatch::None;
    }
}

impl SeamWatch<'_> {
    /// Waits for the second reading; for ever when there is none.
    async fn finished(&mut self) -> Result<(), SeamError> {
        match self {
            Self::Reading { reading, .. } => reading.await,
            Self::None | Self::CatchingUp { .. } => std::future::pending().await,
        }
    }

    /// From where a next connection must read, because this one did not get round to it.
    fn open(&self) -> Option<i64> {
        match self {
            Self::None => None,
            Self::CatchingUp { from, .. } => *from,
            Self::Reading { from, .. } => Some(*from),
        }
    }
}
