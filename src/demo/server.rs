//! A small Jetstream (v1 wire) on loopback that performs a script.
//!
//! It does what a client can notice: filters by `wantedCollections`, replays from a
//! cursor, inclusive, then goes on live; sends identity and account events to everybody;
//! pings; cuts off who falls behind. It does not compress and takes no options mid-stream.
//! One player stamps frames into a reel of the last ones, every listener reads the reel
//! at its own pace: replay and live are the same loop, and there is no queue a listener.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error as WsError, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use tokio_util::sync::CancellationToken;

use super::script::Scripted;
use crate::domain::time::{Clock, Timestamp};

/// Frames kept for listeners that come back with a cursor: about a minute.
const KEPT: usize = 10_000;
/// Frames written between two looks at the socket.
const BATCH: usize = 256;
/// The most listeners at a time; more are refused until one leaves.
const LISTENERS: usize = 32;
/// The most collections in one request, as the real server has it.
const WANTED: usize = 100;
const PING_EVERY: Duration = Duration::from_secs(30);
const WRITE_WITHIN: Duration = Duration::from_secs(10);
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// How many times faster than life the script is played: 0.01 to 1000.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(f64);

impl Speed {
    /// As in life.
    pub const LIFE: Self = Self(1.0);

    /// `None` outside 0.01 to 1000.
    pub fn new(times: f64) -> Option<Self> {
        (0.01..=1000.0).contains(&times).then_some(Self(times))
    }

    fn scale(self, span: Duration) -> Duration {
        span.div_f64(self.0)
    }
}

/// Plays `script` to everyone who connects to `listener`, from the moment the first one
/// does, until `cancel`. A script that ends leaves the connections open and silent.
///
/// # Errors
/// When the listener can accept no more.
pub async fn serve(
    listener: TcpListener,
    script: impl Iterator<Item = Scripted>,
    speed: Speed,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
) -> io::Result<()> {
    let stage = Arc::new(Stage::default());
    let play = async {
        stage.audience.notified().await;
        play(script, speed, &stage, clock.as_ref()).await;
        std::future::pending::<()>().await;
    };
    let mut listeners = JoinSet::new();
    let accept = async {
        loop {
            let (stream, _): (TcpStream, SocketAddr) = listener.accept().await?;
            while listeners.try_join_next().is_some() {}
            if listeners.len() < LISTENERS {
                listeners.spawn(attend(stream, Arc::clone(&stage), cancel.clone()));
            }
        }
    };
    let end = tokio::select! {
        () = cancel.cancelled() => Ok(()),
        () = play => Ok(()),
        failed = accept => failed,
    };
    // Every listener has the token too: they say goodbye, each within its write deadline.
    while end.is_ok() && listeners.join_next().await.is_some() {}
    end
}

async fn play(script: impl Iterator<Item = Scripted>, speed: Speed, stage: &Stage, clock: &dyn Clock) {
    let opened = clock.now();
    for scripted in script {
        let due = opened + speed.scale(scripted.at);
        sleep(due.since(clock.now())).await;
        stage.show(&scripted, clock.now());
    }
}

/// One frame on the reel.
#[derive(Clone, Debug)]
struct Kept {
    number: u64,
    time: Timestamp,
    collection: Option<&'static str>,
    frame: Utf8Bytes,
}

#[derive(Debug, Default)]
struct Stage {
    reel: Mutex<VecDeque<Kept>>,
    /// How many frames were shown so far: the number of the next one.
    shown: watch::Sender<u64>,
    audience: Notify,
}

impl Stage {
    fn show(&self, scripted: &Scripted, now: Timestamp) {
        let number = *self.shown.borrow();
        let mut reel = self.reel.lock().unwrap_or_else(PoisonError::into_inner);
        // One event a microsecond, strictly growing, as the real server stamps them.
        let after_last = reel.back().map_or(now, |last| last.time + Duration::from_micros(1));
        let time = now.max(after_last);
        let frame = scripted.event.frame(time).into();
        if reel.len() == KEPT {
            reel.pop_front();
        }
        reel.push_back(Kept { number, time, collection: scripted.event.collection(), frame });
        drop(reel);
        self.shown.send_replace(number + 1);
    }

    /// The number of the first frame to send for this cursor.
    fn entry(&self, cursor: Option<Timestamp>) -> u64 {
        let reel = self.reel.lock().unwrap_or_else(PoisonError::into_inner);
        let next = reel.back().map_or(0, |last| last.number + 1);
        let Some(cursor) = cursor else { return next };
        reel.get(reel.partition_point(|kept| kept.time < cursor)).map_or(next, |kept| kept.number)
    }

    /// Up to [`BATCH`] frames from `number` on; `None` when that one is no longer kept.
    fn from(&self, number: u64) -> Option<Vec<Kept>> {
        let reel = self.reel.lock().unwrap_or_else(PoisonError::into_inner);
        let first = reel.front().map_or(number, |kept| kept.number);
        let skip = usize::try_from(number.checked_sub(first)?).ok()?;
        Some(reel.iter().skip(skip).take(BATCH).cloned().collect())
    }
}

/// What a listener asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Subscription {
    /// Empty: every collection.
    wanted: Vec<Collections>,
    cursor: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Collections {
    One(String),
    /// All that begin so; the text ends in a dot.
    Under(String),
}

impl Subscription {
    /// Reads the request's query; the error is the reason the real server would give.
    fn read(query: &str) -> Result<Self, String> {
        let mut subscription = Self::default();
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match key.as_ref() {
                "wantedCollections" => subscription.wanted.push(Collections::read(&value)?),
                "cursor" => {
                    let micros = value.parse().or(Err(format!("invalid cursor: {value}")))?;
                    subscription.cursor = Some(Timestamp::from_micros(micros));
                }
                _ => {}
            }
        }
        if subscription.wanted.len() > WANTED {
            return Err(format!("invalid subscriber options: more than {WANTED} collections"));
        }
        Ok(subscription)
    }

    fn wants(&self, collection: Option<&str>) -> bool {
        let Some(collection) = collection else { return true };
        self.wanted.is_empty()
            || self.wanted.iter().any(|wanted| match wanted {
                Collections::One(name) => name == collection,
                Collections::Under(prefix) => collection.starts_with(prefix),
            })
    }
}

impl Collections {
    fn read(text: &str) -> Result<Self, String> {
        let (name, collections) = match text.strip_suffix(".*") {
            Some(prefix) => (prefix, Self::Under(format!("{prefix}."))),
            None => (text, Self::One(text.to_owned())),
        };
        let segment = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if name.split('.').count() >= 2 && name.split('.').all(segment) {
            Ok(collections)
        } else {
            Err(format!("invalid subscriber options: invalid collection: {text}"))
        }
    }
}

/// Serves one listener to its end; how it ends is nobody else's business.
#[expect(clippy::result_large_err, reason = "tungstenite's handshake wants this type of its callback")]
async fn attend(stream: TcpStream, stage: Arc<Stage>, cancel: CancellationToken) {
    let mut subscription = None;
    let handshake = accept_hdr_async(stream, |request: &Request, response| {
        subscription = Some(admit(request).map_err(refusal)?);
        Ok(response)
    });
    let Ok(Ok(socket)) = timeout(HANDSHAKE_WITHIN, handshake).await else { return };
    let Some(subscription) = subscription else { return };
    let mut listener = Listener { next: stage.entry(subscription.cursor), socket, subscription };
    let shown = stage.shown.subscribe();
    stage.audience.notify_one();
    if let Err(error) = listener.follow(&stage, shown, &cancel).await {
        tracing::debug!(%error, "a listener of the demo left");
    }
}

fn admit(request: &Request) -> Result<Subscription, (StatusCode, String)> {
    if request.uri().path() != "/subscribe" {
        return Err((StatusCode::NOT_FOUND, "only /subscribe is served here".to_owned()));
    }
    let query = request.uri().query().unwrap_or("");
    Subscription::read(query).map_err(|reason| (StatusCode::BAD_REQUEST, reason))
}

fn refusal((status, reason): (StatusCode, String)) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(reason));
    *response.status_mut() = status;
    response
}

struct Listener {
    next: u64,
    socket: WebSocketStream<TcpStream>,
    subscription: Subscription,
}

impl Listener {
    async fn follow(
        &mut self,
        stage: &Stage,
        mut shown: watch::Receiver<u64>,
        cancel: &CancellationToken,
    ) -> Result<(), WsError> {
        let mut ping = interval(PING_EVERY);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ping.reset();
        loop {
            let Some(batch) = stage.from(self.next) else { return Ok(()) }; // too slow: cut off, no close frame
            let caught_up = batch.is_empty();
            self.send(batch).await?;
            tokio::select! {
                biased;
                () = cancel.cancelled() => return self.goodbye().await,
                message = self.socket.next() => match message {
                    None | Some(Ok(Message::Close(_))) => return Ok(()),
                    Some(Err(error)) => return Err(error),
                    Some(Ok(_)) => {} // pongs; options are not taken
                },
                _ = ping.tick() => self.write(Message::Ping(Bytes::new())).await?,
                changed = shown.changed(), if caught_up => if changed.is_err() { return Ok(()) },
                () = std::future::ready(()), if !caught_up => {}
            }
        }
    }

    async fn send(&mut self, batch: Vec<Kept>) -> Result<(), WsError> {
        for kept in batch {
            self.next = kept.number + 1;
            if self.subscription.wants(kept.collection) {
                self.write(Message::Text(kept.frame)).await?;
            }
        }
        Ok(())
    }

    async fn write(&mut self, message: Message) -> Result<(), WsError> {
        let Ok(written) = timeout(WRITE_WITHIN, self.socket.send(message)).await else {
            return Err(WsError::Io(io::ErrorKind::TimedOut.into()));
        };
        written
    }

    async fn goodbye(&mut self) -> Result<(), WsError> {
        let frame = CloseFrame { code: CloseCode::Away, reason: "server shutting down".into() };
        self.write(Message::Close(Some(frame))).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use tokio_tungstenite::client_async;

    use super::*;
    use crate::demo::script::Script;

    const GENEROUS: Duration = Duration::from_secs(20);

    /// Real time that starts at a fixed date.
    struct Elapsed(tokio::time::Instant);

    impl Clock for Elapsed {
        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(1_795_341_600) + self.0.elapsed()
        }
    }

    struct Show {
        address: SocketAddr,
        cancel: CancellationToken,
        tasks: JoinSet<io::Result<()>>,
    }

    type Client = WebSocketStream<TcpStream>;

    impl Show {
        async fn open(events: usize, speed: f64) -> Self {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let clock = Arc::new(Elapsed(tokio::time::Instant::now()));
            let script = Script::new(1, clock.now()).take(events);
            let cancel = CancellationToken::new();
            let mut tasks = JoinSet::new();
            tasks.spawn(serve(listener, script, Speed::new(speed).unwrap(), clock, cancel.clone()));
            Self { address, cancel, tasks }
        }

        async fn try_join(&self, query: &str) -> Result<Client, WsError> {
            let stream = TcpStream::connect(self.address).await.unwrap();
            client_async(format!("ws://{}/subscribe{query}", self.address), stream).await.map(|(client, _)| client)
        }

        async fn join(&self, query: &str) -> Client {
            self.try_join(query).await.unwrap()
        }

        async fn refusal(&self, query: &str) -> (u16, String) {
            match self.try_join(query).await {
                Err(WsError::Http(response)) => {
                    let reason = response.body().clone().unwrap_or_default();
                    (response.status().as_u16(), String::from_utf8(reason).unwrap())
                }
                other => panic!("expected a refusal, got {other:?}"),
            }
        }
    }

    async fn frames(client: &mut Client, count: usize) -> Vec<Value> {
        let mut frames = Vec::new();
        while frames.len() < count {
            let message = timeout(GENEROUS, client.next()).await.unwrap().unwrap().unwrap();
            if let Message::Text(text) = message {
                frames.push(serde_json::from_str(&text).unwrap());
            }
        }
        frames
    }

    fn time_us(frame: &Value) -> i64 {
        frame["time_us"].as_i64().unwrap()
    }

    #[tokio::test]
    async fn the_play_waits_for_the_first_listener_and_shows_everything_once() {
        let show = Show::open(400, 1000.0).await;
        let seen = frames(&mut show.join("").await, 400).await;
        assert!(seen.windows(2).all(|pair| time_us(&pair[0]) < time_us(&pair[1])));
    }

    #[tokio::test]
    async fn a_cursor_replays_from_its_very_event_and_goes_on_live() {
        let show = Show::open(900, 20.0).await;
        let mut first = show.join("").await;
        let seen = frames(&mut first, 100).await;
        // The second listener comes while the play goes on, and asks for the past.
        let mut second = show.join(&format!("?cursor={}", time_us(&seen[40]))).await;
        let again = frames(&mut second, 860).await;
        assert_eq!(again[..60], seen[40..]);
        let rest = frames(&mut first, 800).await;
        assert_eq!(again[60..], rest[..]);
    }

    #[tokio::test]
    async fn too_old_a_cursor_starts_at_the_oldest_and_one_in_the_future_is_live() {
        let show = Show::open(60, 1000.0).await;
        let seen = frames(&mut show.join("").await, 60).await;
        let mut old = show.join("?cursor=1000000000000000").await;
        assert_eq!(frames(&mut old, 60).await, seen);
        let mut future = show.join(&format!("?cursor={}", time_us(&seen[59]) + 1)).await;
        show.cancel.cancel();
        let message = timeout(GENEROUS, future.next()).await.unwrap().unwrap().unwrap();
        assert!(matches!(message, Message::Close(Some(frame)) if frame.code == CloseCode::Away));
    }

    #[tokio::test]
    async fn wanted_collections_bind_commits_but_not_identity_and_account() {
        let show = Show::open(3000, 1000.0).await;
        let mut all = show.join("").await;
        let everything = frames(&mut all, 3000).await;
        for (query, wanted) in [
            ("wantedCollections=app.bsky.feed.post", &["app.bsky.feed.post"][..]),
            (
                "wantedCollections=app.bsky.graph.*&wantedCollections=app.bsky.feed.like",
                &["app.bsky.graph.follow", "app.bsky.feed.like"],
            ),
        ] {
            let expected: Vec<&Value> = everything
                .iter()
                .filter(|frame| {
                    frame["kind"] != "commit" || wanted.contains(&frame["commit"]["collection"].as_str().unwrap())
                })
                .collect();
            assert!(expected.iter().any(|frame| frame["kind"] == "identity"));
            assert!(expected.iter().any(|frame| frame["kind"] == "account"));
            let mut some = show.join(&format!("?cursor=1000000000000000&{query}")).await;
            let seen = frames(&mut some, expected.len()).await;
            assert_eq!(seen.iter().collect::<Vec<_>>(), expected);
        }
    }

    #[tokio::test]
    async fn nonsense_is_refused_before_the_upgrade() {
        let show = Show::open(1, 1.0).await;
        assert_eq!(show.refusal("?cursor=yesterday").await, (400, "invalid cursor: yesterday".to_owned()));
        let (status, reason) = show.refusal("?wantedCollections=app.bsky.fo*").await;
        assert_eq!((status, reason.as_str()), (400, "invalid subscriber options: invalid collection: app.bsky.fo*"));
        assert_eq!(show.refusal("/else").await.0, 404);
    }

    #[tokio::test]
    async fn stopping_says_goodbye_and_ends() {
        let mut show = Show::open(usize::MAX, 1.0).await;
        let mut client = show.join("").await;
        frames(&mut client, 3).await;
        show.cancel.cancel();
        timeout(GENEROUS, show.tasks.join_next()).await.unwrap().unwrap().unwrap().unwrap();
        let mut last = None;
        while let Some(Ok(message)) = client.next().await {
            last = Some(message);
        }
        assert!(matches!(last, Some(Message::Close(Some(frame))) if frame.code == CloseCode::Away));
    }

    #[test]
    fn a_speed_is_within_reason() {
        for absurd in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert_eq!(Speed::new(absurd), None, "{absurd}");
        }
        assert_eq!(Speed::new(2.0).unwrap().scale(Duration::from_secs(4)), Duration::from_secs(2));
    }
}
