//! Frames off a connection, in batches.
//!
//! Whatever can be read without waiting goes out together, so that a replay of thousands
//! a second costs few hand-overs, while a lone live frame goes out at once.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Bytes};

use super::events::{self, Notice};
use super::packed::{Unpacker, Unreadable};
use super::peek;
use crate::domain::event::Rejected;
use crate::domain::time::{Clock, Timestamp};
use crate::net::socket::{Received, Socket};
use crate::source::Frame;
use crate::source::sanity::event_time;

/// Most frames of one batch.
const MAX_FRAMES: usize = 256;
/// A batch ends with the frame that takes it over so many bytes, which bounds what a full
/// queue of batches can hold.
const MAX_BYTES: usize = 1 << 20;

/// Reads one connection.
pub(super) struct Reader {
    socket: Socket,
    max_frame_bytes: usize,
    clock: Arc<dyn Clock>,
    unpacker: Option<Unpacker>,
}

/// What could be read without waiting.
#[derive(Default)]
pub(super) struct Batch {
    /// In the order they came; none when only control frames came.
    pub(super) frames: Vec<Frame>,
    /// The time of the first frame that has one.
    pub(super) first: Option<i64>,
    /// The latest time of a frame.
    pub(super) newest: Option<i64>,
    /// The greatest sequence number of a frame.
    pub(super) seq: Option<u64>,
    /// What the server says about the stream.
    pub(super) info: Option<String>,
    /// How the connection ended, if it did.
    pub(super) end: Option<Reading>,
    bytes: usize,
}

/// How a connection ended by itself.
#[derive(Debug)]
pub(super) enum Reading {
    /// The server said goodbye, or vanished.
    Closed(Option<tungstenite::Error>),
    /// A frame came that cannot be read past. It is the last of the batch.
    Unreadable(Rejected),
    /// The server ends it, and names the reason.
    Told(String),
    /// The frames are packed with a dictionary that we do not have.
    Foreign,
}

impl Reader {
    pub(super) fn new(
        socket: Socket,
        max_frame_bytes: usize,
        clock: Arc<dyn Clock>,
        unpacker: Option<Unpacker>,
    ) -> Self {
        Self { socket, max_frame_bytes, clock, unpacker }
    }

    /// Waits for something to come. May be dropped while it waits.
    pub(super) async fn batch(&mut self) -> Batch {
        let mut batch = Batch::default();
        let first = self.socket.next().await;
        // What follows without a wait was there, too: one look at the clock does for all.
        let now = self.clock.now();
        self.take(first, now, &mut batch);
        while !batch.is_full() {
            match self.socket.next().now_or_never() {
                Some(received) => self.take(received, now, &mut batch),
                None => break,
            }
        }
        batch
    }

    /// Asks the other side for a sign of life. False when not even that can be sent.
    pub(super) async fn ping(&mut self, within: Duration) -> bool {
        matches!(timeout(within, self.socket.ping()).await, Ok(Ok(())))
    }

    /// Says goodbye and waits a moment for the answer, so that the server's log stays clean.
    pub(super) async fn goodbye(mut self, within: Duration) {
        let farewell = self.socket.close(CloseFrame { code: CloseCode::Normal, reason: "".into() });
        // Whether the answer came changes nothing: the connection is dropped either way.
        timeout(within, farewell).await.unwrap_or_default();
    }

    fn take(&mut self, received: Option<Result<Received, tungstenite::Error>>, now: Timestamp, batch: &mut Batch) {
        match received {
            Some(Ok(Received::Frame(bytes))) => self.frame(bytes, now, batch),
            Some(Ok(Received::Control)) => {}
            Some(Ok(Received::Closed(_))) | None => batch.end = Some(Reading::Closed(None)),
            Some(Err(tungstenite::Error::Capacity(_))) => unreadable(Rejected::TooLarge, now, batch),
            Some(Err(tungstenite::Error::Utf8(_))) => unreadable(Rejected::NotJson, now, batch),
            Some(Err(error)) => batch.end = Some(Reading::Closed(Some(error))),
        }
    }

    fn frame(&mut self, bytes: Bytes, now: Timestamp, batch: &mut Batch) {
        let body = match &mut self.unpacker {
            Some(unpacker) if Unpacker::is_packed(&bytes) => match unpacker.unpack(&bytes) {
                Ok(bytes) => Ok(bytes),
                Err(Unreadable::Alone(reason)) => Err(reason),
                Err(Unreadable::Foreign) => {
                    batch.end = Some(Reading::Foreign);
                    return;
                }
            },
            _ => Ok(bytes),
        };
        if let Ok(bytes) = &body {
            batch.note(bytes, now);
        }
        let body =
            body.and_then(|bytes| if bytes.len() > self.max_frame_bytes { Err(Rejected::TooLarge) } else { Ok(bytes) });
        batch.bytes += body.as_ref().map_or(0, Bytes::len);
        batch.frames.push(Frame { received_at: Some(now), body });
    }
}

fn unreadable(reason: Rejected, now: Timestamp, batch: &mut Batch) {
    batch.frames.push(Frame { received_at: Some(now), body: Err(reason) });
    batch.end = Some(Reading::Unreadable(reason));
}

impl Batch {
    /// Notes where a frame is in its stream, or what it says about it.
    fn note(&mut self, frame: &[u8], now: Timestamp) {
        let Some((stamp, seq)) = peek(frame) else {
            match events::notice(frame) {
                Some(Notice::Info(name)) => self.info = Some(name),
                Some(Notice::Error(name)) => self.end = Some(Reading::Told(name)),
                None => {}
            }
            return;
        };
        // Never ahead of our clock: one absurd stamp must not decide where to resume.
        if let Ok(time) = event_time(Timestamp::from_micros(stamp), Some(now)) {
            self.first = self.first.or(Some(time.micros()));
            self.newest = self.newest.max(Some(time.micros()));
            self.seq = self.seq.max(seq);
        }
    }

    fn is_full(&self) -> bool {
        self.end.is_some() || self.frames.len() >= MAX_FRAMES || self.bytes >= MAX_BYTES
    }
}
