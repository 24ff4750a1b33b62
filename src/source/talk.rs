//! A WebSocket on which both sides speak: what our side says is a [`Talk`], a function of what
//! it heard; everything that can go wrong with a connection is seen to here, once for all.

use std::future::pending;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Bytes};

use super::Frame;
use super::line::Line;
use super::supervise::End;
use crate::domain::event::{Bookmark, DownReason, Joint, Reach, Rejected};
use crate::domain::time::Timestamp;
use crate::net::socket::{Received, Socket};
use crate::telemetry::events;

/// Most frames that are handed on together.
const MAX_FRAMES: usize = 256;
/// Or so many bytes.
const MAX_BYTES: usize = 1 << 20;

/// Our side of one connection. Pure but for its memory, so that it is tested without a socket.
pub trait Talk: Send {
    /// Begins: what to say first, and, when there is nothing to wait for, that it stands.
    fn begin(&mut self, turn: &mut Turn);

    /// A message came. What carries a post is kept for the decoder; the rest is answered.
    ///
    /// # Errors
    /// Why there is no use in going on.
    fn hear(&mut self, message: &Bytes, turn: &mut Turn) -> Result<(), End>;

    /// When it wants to speak although nobody spoke to it.
    fn alarm(&self) -> Option<Instant> {
        None
    }

    /// The alarm went off.
    ///
    /// # Errors
    /// Why there is no use in going on.
    fn wake(&mut self, _turn: &mut Turn) -> Result<(), End> {
        Ok(())
    }

    /// Where to resume, once all that was kept so far is processed.
    fn bookmark(&self) -> Option<Bookmark> {
        None
    }

    /// Whether what it says tells the server that we have what was kept, for good. Then it is said only once that
    /// is on disk; the bookmark must be another one each time.
    fn vouches(&self) -> bool {
        false
    }

    /// The code with which our side ends the connection.
    fn farewell(&self) -> CloseCode {
        CloseCode::Normal
    }

    /// What it means that the server closed the connection, with a code or without.
    fn closed(&mut self, _code: Option<u16>) -> End {
        End::Down(DownReason::Closed)
    }
}

/// What one side of a conversation may do in its turn.
pub struct Turn {
    now: Timestamp,
    most: usize,
    kept: Vec<Frame>,
    bytes: usize,
    says: Vec<String>,
    joint: Option<Joint>,
    accepted: bool,
    alive: bool,
}

impl Turn {
    fn new(now: Timestamp, most: usize) -> Self {
        Self { now, most, kept: Vec::new(), bytes: 0, says: Vec::new(), joint: None, accepted: false, alive: false }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Keeps what carries a post, a deletion or a name. Too long, it is counted and left out.
    pub fn keep(&mut self, frame: Bytes) {
        let body = if frame.len() > self.most { Err(Rejected::TooLarge) } else { Ok(frame) };
        self.bytes += body.as_ref().map_or(0, Bytes::len);
        self.kept.push(Frame { received_at: Some(self.now), body });
    }

    /// Counts a message that nobody can read.
    pub fn reject(&mut self, reason: Rejected) {
        self.kept.push(Frame { received_at: Some(self.now), body: Err(reason) });
    }

    /// Says something.
    pub fn say(&mut self, text: impl Into<String>) {
        self.says.push(text.into());
    }

    /// The server accepted us: the source sees from now on.
    pub fn stands(&mut self, joint: Joint) {
        self.joint = Some(joint);
    }

    /// The server accepted us before the conversation began, and whoever holds it told so.
    pub fn was_accepted(&mut self) {
        self.accepted = true;
    }

    /// The server says that it is there and has nothing more than what it sent: silence is only that.
    pub fn is_alive(&mut self) {
        self.alive = true;
    }

    fn is_full(&self) -> bool {
        self.kept.len() >= MAX_FRAMES || self.bytes >= MAX_BYTES
    }
}

/// Limits of a conversation.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longer frames are skipped and counted.
    pub max_frame_bytes: usize,
    /// A connection that says nothing for so long is given up. Without it silence is normal: an
    /// answered ping shows then that there was nothing to say.
    pub expect_message_within: Option<Duration>,
    /// Whether the server takes our pings.
    pub pings: bool,
}

/// Holds a conversation over a connection until it ends, and leaves nothing open.
pub async fn converse(mut socket: Socket, host: &str, talk: &mut impl Talk, limits: Limits, line: &mut Line) -> End {
    let mut held = Conversation { socket: &mut socket, host, limits, line, stands: false };
    let end = held.run(talk).await;
    // Whoever went silent will not answer a goodbye either.
    if !matches!(end, End::Down(DownReason::Stalled)) {
        let farewell = socket.close(CloseFrame { code: talk.farewell(), reason: "".into() });
        timeout(line.timing.stop_within, farewell).await.unwrap_or_default();
    }
    end
}

struct Conversation<'a> {
    socket: &'a mut Socket,
    host: &'a str,
    limits: Limits,
    line: &'a mut Line,
    stands: bool,
}

enum Woken {
    Stop,
    Heard(Option<Result<Received, tungstenite::Error>>),
    Ping,
    Silent,
    Alarm,
}

impl Conversation<'_> {
    async fn run(&mut self, talk: &mut impl Talk) -> End {
        let mut turn = self.turn();
        talk.begin(&mut turn);
        if let Err(end) = self.finish(turn, talk).await {
            return end;
        }
        let mut heard_at = Instant::now();
        let mut message_at = heard_at;
        let mut pinged_at = heard_at;
        loop {
            let woken = self.wake(talk.alarm(), heard_at, message_at, pinged_at).await;
            let mut turn = self.turn();
            let outcome = match woken {
                Woken::Stop => Err(End::Stopped),
                Woken::Silent => Err(End::Down(DownReason::Stalled)),
                Woken::Ping => {
                    pinged_at = Instant::now();
                    self.ping().await
                }
                Woken::Alarm => talk.wake(&mut turn),
                Woken::Heard(received) => {
                    heard_at = Instant::now();
                    pinged_at = heard_at;
                    let (is_message, outcome) = self.hear_all(received, talk, &mut turn);
                    if is_message {
                        message_at = heard_at;
                    }
                    outcome
                }
            };
            // What came before the end is of use.
            if let Err(end) = self.finish(turn, talk).await.and(outcome) {
                return end;
            }
        }
    }

    fn turn(&self) -> Turn {
        Turn::new(self.line.now(), self.limits.max_frame_bytes)
    }

    async fn wake(&mut self, alarm: Option<Instant>, heard: Instant, message: Instant, pinged: Instant) -> Woken {
        let timing = &self.line.timing;
        let silent = heard + timing.answer_within;
        let silent = self.limits.expect_message_within.map_or(silent, |within| silent.min(message + within));
        let ping = self.limits.pings.then(|| pinged + timing.ping_every);
        tokio::select! {
            () = self.line.cancel.cancelled() => Woken::Stop,
            received = self.socket.next() => Woken::Heard(received),
            () = at(alarm) => Woken::Alarm,
            () = at(ping) => Woken::Ping,
            () = at(self.limits.pings.then_some(silent).or(self.limits.expect_message_within.map(|_| silent))) => Woken::Silent,
        }
    }

    /// Takes in everything that can be read without waiting.
    fn hear_all(
        &mut self,
        first: Option<Result<Received, tungstenite::Error>>,
        talk: &mut impl Talk,
        turn: &mut Turn,
    ) -> (bool, Result<(), End>) {
        let mut next = Some(first);
        let mut is_message = false;
        while let Some(received) = next.take() {
            is_message |= matches!(received, Some(Ok(Received::Frame(_))));
            if let Err(end) = self.hear(received, talk, turn) {
                return (is_message, Err(end));
            }
            if !turn.is_full() {
                next = self.socket.next().now_or_never();
            }
        }
        (is_message, Ok(()))
    }

    fn hear(
        &self,
        received: Option<Result<Received, tungstenite::Error>>,
        talk: &mut impl Talk,
        turn: &mut Turn,
    ) -> Result<(), End> {
        let source = &self.line.name;
        match received {
            Some(Ok(Received::Frame(message))) => talk.hear(&message, turn),
            Some(Ok(Received::Control)) => {
                if self.stands && self.limits.expect_message_within.is_none() {
                    turn.is_alive();
                }
                Ok(())
            }
            Some(Ok(Received::Closed(code))) => {
                let text = code.map(|code| format!("closed with code {code}"));
                events::source_down(source, DownReason::Closed, text.as_deref());
                Err(talk.closed(code))
            }
            Some(Err(tungstenite::Error::Capacity(_))) => {
                turn.reject(Rejected::TooLarge);
                events::source_stepped_over(source, Rejected::TooLarge);
                Err(End::Interrupted(DownReason::Closed))
            }
            Some(Err(error)) => {
                events::source_down(source, DownReason::Closed, Some(&error.to_string()));
                Err(talk.closed(None))
            }
            None => {
                events::source_down(source, DownReason::Closed, None);
                Err(talk.closed(None))
            }
        }
    }

    /// Hands on what was kept, and then says what is to be said: an answer may mean that we have it.
    async fn finish(&mut self, turn: Turn, talk: &impl Talk) -> Result<(), End> {
        let Turn { now, kept, says, joint, accepted, alive, .. } = turn;
        self.stands |= accepted;
        let vouches = talk.vouches() && !kept.is_empty();
        if let Some(joint) = joint {
            self.line.connected(self.host, joint).await?;
            self.stands = true;
        }
        let news = !kept.is_empty() || alive;
        let reach = Reach { covered: alive.then_some(now), bookmark: talk.bookmark().filter(|_| news), paid: None };
        let bookmark = reach.bookmark.clone().filter(|_| vouches);
        self.line.hand_on(kept, reach).await?;
        if let Some(bookmark) = bookmark {
            self.until_kept(&bookmark).await?;
        }
        for text in says {
            let said = timeout(self.line.timing.stop_within, self.socket.say(text));
            if !matches!(self.line.unless_stopped(said).await?, Ok(Ok(()))) {
                return Err(End::Down(DownReason::Stalled));
            }
        }
        Ok(())
    }

    /// Waits until all up to the bookmark is on disk. Nothing is read meanwhile, so none comes after it.
    async fn until_kept(&mut self, bookmark: &Bookmark) -> Result<(), End> {
        let kept = timeout(self.line.timing.queue_patience, self.line.position.kept(|kept| kept == bookmark));
        if self.line.unless_stopped(kept).await?.is_ok() {
            return Ok(());
        }
        events::source_down(&self.line.name, DownReason::Overrun, None);
        Err(End::Interrupted(DownReason::Overrun))
    }

    async fn ping(&mut self) -> Result<(), End> {
        let pinged = timeout(self.line.timing.stop_within, self.socket.ping());
        match self.line.unless_stopped(pinged).await? {
            Ok(Ok(())) => Ok(()),
            _ => Err(End::Down(DownReason::Stalled)),
        }
    }
}

/// Waits until then; without a time for ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
