//! One connection, from its first frame to its end.
//!
//! It reads, hands on, and watches for three kinds of silence: nothing at all (the other
//! side is gone without a word), no frames though pings are answered (a server that is up
//! but says nothing, jetstream-legacy#48), and a queue of our own that does not move.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::reader::{Batch, Reader, Reading};
use super::resume;
use super::seam::{self, Seam, SeamError};
use super::subscription::{Form, Place};
use crate::domain::event::{Bookmark, DownReason, Reach, Rejected};
use crate::domain::time::Timestamp;
use crate::source::chain;
use crate::source::line::Line;
use crate::source::supervise::End;
use crate::telemetry::events;

/// A connection being read.
pub(super) struct Session<'a> {
    pub(super) line: &'a Line,
    pub(super) place: &'a Place,
    pub(super) expect_frame_within: Option<Duration>,
    pub(super) seam: SeamWatch<'a>,
}

/// Why a connection is no longer read.
#[derive(Debug)]
pub(super) enum Ended {
    /// As for any source.
    By(End),
    /// The connection ended at a frame that must be stepped over.
    Unreadable(Rejected),
    /// The frames are packed with a dictionary that we do not have.
    Foreign,
}

/// What is to be remembered of a connection.
pub(super) struct Report {
    pub(super) end: Ended,
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
        /// Plans the second reading, given the time of the hand-over; none where a hand-over loses nothing.
        plan: Option<Box<dyn Fn(i64) -> Seam + Send + Sync + 'a>>,
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
        if !matches!(end, Ended::By(End::Down(DownReason::Stalled))) {
            reader.goodbye(self.line.timing.stop_within).await;
        }
        Report { end, first, newest, open_seam: self.seam.open() }
    }

    async fn read(&mut self, reader: &mut Reader, first: &mut Option<i64>, newest: &mut Option<i64>) -> Ended {
        let mut deadlines = self.deadlines();
        let mut is_marked = false;
        loop {
            match self.wake(reader, &deadlines).await {
                Woken::Stop => return Ended::By(End::Stopped),
                Woken::Silent => return Ended::By(End::Down(DownReason::Stalled)),
                Woken::SeamRead(outcome) => self.close_seam(outcome),
                Woken::Ping => {
                    if !reader.ping(self.line.timing.stop_within).await {
                        return Ended::By(End::Down(DownReason::Stalled));
                    }
                    deadlines.ping = Instant::now() + self.line.timing.ping_every;
                }
                Woken::Read(batch) => {
                    *first = first.or(batch.first);
                    *newest = (*newest).max(batch.newest);
                    if let Some(name) = &batch.info {
                        events::source_said(&self.line.name, name);
                    }
                    let (ended, carried_frames) = (batch.end, !batch.frames.is_empty());
                    let bookmark = self.bookmark(batch.seq, carried_frames && !is_marked);
                    is_marked |= bookmark.is_some();
                    if let Err(end) = self.line.hand_on(batch.frames, Reach { bookmark, ..Reach::default() }).await {
                        return Ended::By(end);
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
            () = self.line.cancel.cancelled() => Woken::Stop,
            batch = reader.batch() => Woken::Read(batch),
            () = sleep_until(deadlines.ping) => Woken::Ping,
            () = sleep_until(silent) => Woken::Silent,
            outcome = self.seam.finished() => Woken::SeamRead(outcome),
        }
    }

    fn deadlines(&self) -> Deadlines {
        let now = Instant::now();
        Deadlines {
            ping: now + self.line.timing.ping_every,
            answer: now + self.line.timing.answer_within,
            frame: self.expect_frame_within.map(|within| now + within),
        }
    }

    /// What to note down with frames. By time there is no more to say than once where that is.
    fn bookmark(&self, seq: Option<u64>, is_first: bool) -> Option<Bookmark> {
        match self.place.form {
            Form::V1 => is_first.then(|| resume::bookmark(self.place, None)),
            Form::V2 => seq.map(|seq| resume::bookmark(self.place, Some(seq))),
        }
    }

    fn ended(&self, reading: Reading) -> Ended {
        match reading {
            Reading::Told(name) => {
                // Whoever reads too slowly is to blame, and no other host would wait for it.
                let (end, reason): (fn(DownReason) -> End, _) = match name.as_str() {
                    "ConsumerTooSlow" => (End::Interrupted, DownReason::Overrun),
                    _ => (End::Down, DownReason::Closed),
                };
                events::source_down(&self.line.name, reason, Some(&format!("the server says {name}")));
                Ended::By(end(reason))
            }
            Reading::Foreign => {
                let error = "the frames are packed with another dictionary";
                events::source_down(&self.line.name, DownReason::Closed, Some(error));
                Ended::Foreign
            }
            Reading::Unreadable(reason) => Ended::Unreadable(reason),
            Reading::Closed(error) => {
                let error = error.map(|error| error.to_string());
                events::source_down(&self.line.name, DownReason::Closed, error.as_deref());
                Ended::By(End::Down(DownReason::Closed))
            }
        }
    }

    /// Plans to read the hand-over again once the replay has caught up.
    fn watch_seam(&mut self, newest: Option<i64>) {
        let SeamWatch::CatchingUp { plan, .. } = &self.seam else { return };
        let Some(handover) = newest else { return };
        if self.line.clock.now().since(Timestamp::from_micros(handover)) > self.line.timing.caught_up_within {
            return;
        }
        // An earlier hand-over still open was part of this replay, and is read with it now.
        events::source_caught_up(&self.line.name, handover);
        let Some(plan) = plan else {
            self.seam = SeamWatch::None;
            return;
        };
        let reading = Box::pin(plan(handover).read_again());
        self.seam = SeamWatch::Reading { from: seam::start(handover, &self.line.timing), reading };
    }

    fn close_seam(&mut self, outcome: Result<(), SeamError>) {
        if let Err(error) = outcome {
            events::source_seam_unread(&self.line.name, &chain(&error));
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
