//! `SimJetstream`: a Jetstream server of the v1 wire on loopback, with faults by script.
//!
//! It keeps what is pushed, filters by `wantedCollections` and `wantedDids`, replays from
//! an inclusive `cursor` and goes live, as described in the server's source
//! (bluesky-social/jetstream). Each connection may have its own faults; each fault that
//! really happened is counted, so that a test can prove it did.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request as Handshake, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use url::Url;
use zstd::bulk::Compressor;

use super::PATIENCE;
use super::tls::acceptor;

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The TCP connection ends without a word, as with a slow reader.
    Cut,
    /// The server closes with 1001, as when it is restarted.
    CutWithClose,
    /// The connection stays open and answers pings, but sends nothing.
    Stall,
    /// The other side is gone: nothing is read, sent or answered.
    HalfOpen,
    /// A frame that is not JSON.
    Garbage,
    /// A text frame that is not UTF-8.
    InvalidUtf8,
    /// A frame of [`Script::oversized_bytes`].
    Oversized,
    /// The last frame again.
    Duplicate,
    /// The next two frames change places.
    Reorder,
    /// The first live frame after a replay is lost (jetstream-legacy#42).
    SeamDrop,
    /// The handshake is refused with 503, and `Retry-After` if the script has one.
    Refuse503,
    /// The handshake is refused with 400.
    Refuse400,
    /// The cursor is older than what [`SimJetstream::forget_before`] left. Not scripted.
    OldCursor,
}

/// What shall go wrong, and how the server is set up.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// See [`Script::connection`].
    pub connections: VecDeque<Vec<(usize, Fault)>>,
    /// Speak TLS, with a certificate of [`SimJetstream::ca_pem`].
    pub tls: bool,
    /// `Retry-After` of a 503.
    pub retry_after: Option<String>,
    /// What frames are packed with for those who ask; others get them as they are.
    pub dictionary: Option<Vec<u8>>,
    /// Size of a [`Fault::Oversized`] frame.
    pub oversized_bytes: usize,
}

impl Script {
    /// The faults of the next connection: each after so many frames were sent on it.
    /// Connections without faults of their own are sound.
    pub fn connection(mut self, faults: &[(usize, Fault)]) -> Self {
        self.connections.push_back(faults.to_vec());
        self
    }
}

/// A client's handshake.
#[derive(Clone, Debug)]
pub struct Request {
    /// Path and query.
    pub uri: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
}

impl Request {
    /// The values of a parameter.
    pub fn parameter(&self, name: &str) -> Vec<String> {
        let url = Url::parse("ws://host").unwrap().join(&self.uri).unwrap();
        url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect()
    }

    /// The cursor asked for.
    pub fn cursor(&self) -> Option<i64> {
        self.parameter("cursor").first()?.parse().ok()
    }
}

/// A running server; it ends when dropped.
pub struct SimJetstream {
    shared: Arc<Shared>,
    url: Url,
    ca_pem: String,
    _tasks: JoinSet<()>,
}

struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    script: Script,
    /// In the order of arrival; a connection's live part is told by the index.
    frames: Vec<Stored>,
    kept_from: i64,
    requests: Vec<Request>,
    fired: HashMap<Fault, usize>,
    pings: usize,
    goodbyes: usize,
    generation: usize,
}

#[derive(Clone)]
struct Stored {
    time_us: i64,
    did: String,
    collection: Option<String>,
    text: String,
}

impl SimJetstream {
    /// Starts a server on a free port of loopback.
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tls, ca_pem) = script.tls.then(acceptor).unzip();
        let ca_pem = ca_pem.unwrap_or_default();
        let scheme = if script.tls { "wss" } else { "ws" };
        let state = Mutex::new(State { script, ..State::default() });
        let shared = Arc::new(Shared { state, changed: watch::Sender::new(()) });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, tls, Arc::clone(&shared)));
        let url = Url::parse(&format!("{scheme}://localhost:{port}/subscribe")).unwrap();
        Self { shared, url, ca_pem, _tasks: tasks }
    }

    /// Serves a client that came another way than by the network.
    pub async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        handshake(stream, Arc::clone(&self.shared)).await;
    }

    /// Where clients connect.
    pub fn url(&self) -> Url {
        self.url.clone()
    }

    /// The authority of its certificate.
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// Keeps a frame and sends it to whoever is live.
    pub fn push(&self, frame: impl Into<String>) {
        let text = frame.into();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let stored = Stored {
            time_us: value["time_us"].as_i64().unwrap(),
            did: value["did"].as_str().unwrap().to_owned(),
            collection: value["commit"]["collection"].as_str().map(ToOwned::to_owned),
            text,
        };
        self.shared.change(|state| state.frames.push(stored));
    }

    /// Forgets what is older, without telling anybody, as the real one does.
    pub fn forget_before(&self, time_us: i64) {
        self.shared.change(|state| state.kept_from = time_us);
    }

    /// Cuts every connection that stands, without a word.
    pub fn cut_all(&self) {
        self.shared.change(|state| {
            state.generation += 1;
            *state.fired.entry(Fault::Cut).or_default() += 1;
        });
    }

    /// Every handshake so far, refused ones too.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// How often a fault happened.
    pub fn fired(&self, fault: Fault) -> usize {
        self.shared.state().fired.get(&fault).copied().unwrap_or(0)
    }

    /// How many pings came from clients.
    pub fn pings(&self) -> usize {
        self.shared.state().pings
    }

    /// How many clients closed properly.
    pub fn goodbyes(&self) -> usize {
        self.shared.state().goodbyes
    }

    /// Waits until something is so.
    pub async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let mut changed = self.shared.changed.subscribe();
        let wait = async {
            while !condition(self) {
                changed.changed().await.unwrap();
            }
        };
        let came = timeout(PATIENCE, wait).await;
        assert!(came.is_ok(), "the server waited in vain; asked so far: {:#?}", self.requests());
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.send_replace(());
    }

    fn fire(&self, fault: Fault) {
        self.change(|state| *state.fired.entry(fault).or_default() += 1);
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            match tls {
                Some(tls) => match tls.accept(tcp).await {
                    Ok(stream) => handshake(stream, shared).await,
                    Err(error) => println!("simulated Jetstream: no TLS: {error}"),
                },
                None => handshake::<TcpStream>(tcp, shared).await,
            }
        });
    }
}

async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(stream: S, shared: Arc<Shared>) {
    let mut accepted = None;
    #[allow(clippy::result_large_err, reason = "the signature is the library's")]
    let callback = |handshake: &Handshake, response: Response| -> Result<Response, ErrorResponse> {
        accepted = Some(admit(handshake, &shared)?);
        Ok(response)
    };
    match accept_hdr_async(stream, callback).await {
        Ok(socket) => {
            let admitted = accepted.unwrap();
            Connection::new(socket, shared, admitted).run().await;
        }
        Err(error) => println!("simulated Jetstream: handshake refused or broken: {error}"),
    }
}

#[allow(clippy::result_large_err, reason = "the signature is the library's")]
fn admit(handshake: &Handshake, shared: &Shared) -> Result<Admitted, ErrorResponse> {
    let headers = handshake.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("?").to_owned()));
    let request = Request { uri: handshake.uri().to_string(), headers: headers.collect() };
    let changed = shared.changed.subscribe();
    let (faults, retry_after, next, generation) = {
        let mut state = shared.state();
        state.requests.push(request.clone());
        let faults = state.script.connections.pop_front().unwrap_or_default();
        (faults, state.script.retry_after.clone(), state.frames.len(), state.generation)
    };
    shared.changed.send_replace(());
    for (fault, status) in [(Fault::Refuse503, 503), (Fault::Refuse400, 400)] {
        if faults.iter().any(|(_, planned)| *planned == fault) {
            shared.fire(fault);
            return Err(refusal(status, "not now, not here", retry_after.as_deref()));
        }
    }
    if let Some(problem) = invalid(&request) {
        return Err(refusal(400, &format!("invalid subscriber options: {problem}"), None));
    }
    Ok(Admitted { request, faults, next, generation, changed })
}

/// A client whose handshake is about to be accepted. What is live for it is decided now:
/// once it knows that it is connected, nothing may pass it by.
struct Admitted {
    request: Request,
    faults: Vec<(usize, Fault)>,
    next: usize,
    generation: usize,
    changed: watch::Receiver<()>,
}

fn refusal(status: u16, body: &str, retry_after: Option<&str>) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(body.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    if let Some(text) = retry_after {
        response.headers_mut().insert("retry-after", text.parse().unwrap());
    }
    response
}

fn invalid(request: &Request) -> Option<String> {
    let collections = request.parameter("wantedCollections");
    let malformed = |name: &&String| name.contains('*') && !name.ends_with(".*");
    if let Some(name) = collections.iter().find(malformed) {
        return Some(format!("invalid collection: {name}"));
    }
    let cursor = request.parameter("cursor");
    let cursor = cursor.iter().find(|text| text.parse::<i64>().is_err());
    cursor.map(|text| format!("invalid cursor: {text}"))
}

/// One client being served.
struct Connection<S> {
    socket: WebSocketStream<S>,
    shared: Arc<Shared>,
    faults: Vec<(usize, Fault)>,
    collections: Vec<String>,
    dids: Vec<String>,
    queue: VecDeque<String>,
    /// The first frame of the store that this connection has not looked at.
    next: usize,
    generation: usize,
    changed: watch::Receiver<()>,
    sent: usize,
    last: Option<String>,
    stalled: bool,
    reorder: bool,
    seam_drop: bool,
    packer: Option<Compressor<'static>>,
}

/// The connection is over.
struct Over;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn new(socket: WebSocketStream<S>, shared: Arc<Shared>, admitted: Admitted) -> Self {
        let Admitted { request, faults, next, generation, changed } = admitted;
        let dictionary = shared.state().script.dictionary.clone();
        let dictionary = dictionary.filter(|_| request.parameter("compress") == ["true"]);
        let packer = dictionary.map(|bytes| Compressor::with_dictionary(3, &bytes).unwrap());
        let mut connection = Self {
            socket,
            shared,
            faults,
            collections: request.parameter("wantedCollections"),
            dids: request.parameter("wantedDids"),
            queue: VecDeque::new(),
            next,
            generation,
            changed,
            sent: 0,
            last: None,
            stalled: false,
            reorder: false,
            seam_drop: false,
            packer,
        };
        if let Some(cursor) = request.cursor() {
            connection.replay(cursor);
        }
        connection
    }

    /// Everything from the cursor on, by time. A cursor that is too old is not told of.
    fn replay(&mut self, cursor: i64) {
        let (mut stored, kept_from) = {
            let state = self.shared.state();
            (state.frames[..self.next].to_vec(), state.kept_from)
        };
        if cursor < kept_from {
            self.shared.fire(Fault::OldCursor);
        }
        stored.retain(|frame| frame.time_us >= cursor.max(kept_from) && self.wants(frame));
        stored.sort_by_key(|frame| frame.time_us);
        self.queue.extend(stored.into_iter().map(|frame| frame.text));
    }

    /// Identities and accounts ignore `wantedCollections`.
    fn wants(&self, frame: &Stored) -> bool {
        let collection = frame.collection.as_ref().is_none_or(|collection| {
            let fits = |wanted: &String| match wanted.strip_suffix('*') {
                Some(prefix) => collection.starts_with(prefix),
                None => wanted == collection,
            };
            self.collections.is_empty() || self.collections.iter().any(fits)
        });
        collection && (self.dids.is_empty() || self.dids.contains(&frame.did))
    }

    async fn run(mut self) {
        let mut ping_at = Instant::now() + Duration::from_secs(30);
        while self.serve().await.is_ok() {
            tokio::select! {
                message = self.socket.next() => match message {
                    Some(Ok(message)) => self.hear(&message),
                    _ => return,
                },
                _ = self.changed.changed() => {
                    if self.shared.state().generation != self.generation {
                        return;
                    }
                    self.look();
                }
                () = sleep_until(ping_at) => {
                    ping_at += Duration::from_secs(30);
                    if self.socket.send(Message::Ping(Bytes::new())).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn hear(&self, message: &Message) {
        self.shared.change(|state| match message {
            Message::Ping(_) => state.pings += 1,
            Message::Close(_) => state.goodbyes += 1,
            _ => {}
        });
    }

    /// Queues what was pushed meanwhile.
    fn look(&mut self) {
        let new = self.shared.state().frames[self.next..].to_vec();
        self.next += new.len();
        for frame in new {
            if !self.wants(&frame) {
                continue;
            }
            if std::mem::take(&mut self.seam_drop) {
                self.shared.fire(Fault::SeamDrop);
            } else {
                self.queue.push_back(frame.text);
            }
        }
    }

    /// Sends what is queued, with the faults between.
    async fn serve(&mut self) -> Result<(), Over> {
        loop {
            while let Some(at) = self.faults.iter().position(|(after, _)| *after <= self.sent) {
                let (_, fault) = self.faults.remove(at);
                self.fault(fault).await?;
            }
            if self.reorder && self.queue.len() >= 2 {
                self.queue.swap(0, 1);
                self.reorder = false;
                self.shared.fire(Fault::Reorder);
            }
            if self.stalled || self.reorder {
                return Ok(());
            }
            let Some(text) = self.queue.pop_front() else { break };
            self.last = Some(text.clone());
            let message = match &mut self.packer {
                Some(packer) => Message::binary(packer.compress(text.as_bytes()).unwrap()),
                None => Message::text(text),
            };
            self.socket.feed(message).await.or(Err(Over))?;
            self.sent += 1;
        }
        self.socket.flush().await.or(Err(Over))
    }

    async fn fault(&mut self, fault: Fault) -> Result<(), Over> {
        self.socket.flush().await.or(Err(Over))?;
        let message = match fault {
            Fault::Reorder => {
                self.reorder = true;
                return Ok(());
            }
            Fault::SeamDrop => {
                self.seam_drop = true;
                return Ok(());
            }
            Fault::Garbage => Message::text("{not json"),
            Fault::Duplicate => Message::text(self.last.clone().unwrap_or_default()),
            Fault::Oversized => Message::text(" ".repeat(self.shared.state().script.oversized_bytes)),
            Fault::InvalidUtf8 => {
                Message::Frame(Frame::message(vec![b'{', 0xff, b'}'], OpCode::Data(Data::Text), true))
            }
            Fault::CutWithClose => {
                Message::Close(Some(CloseFrame { code: CloseCode::Away, reason: "server shutting down".into() }))
            }
            Fault::Cut | Fault::Stall | Fault::HalfOpen => Message::Pong(Bytes::new()),
            Fault::Refuse503 | Fault::Refuse400 | Fault::OldCursor => return Ok(()),
        };
        self.shared.fire(fault);
        match fault {
            Fault::Cut => return Err(Over),
            Fault::Stall => {
                self.stalled = true;
                return Ok(());
            }
            Fault::HalfOpen => std::future::pending().await,
            _ => {}
        }
        self.socket.send(message).await.or(Err(Over))
    }
}
