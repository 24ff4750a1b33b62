//! `SimEvents`: a Jetstream server of the v2 wire (`network.bsky.jetstream.subscribeEvents`) on
//! loopback, which keeps to its contract: numbers of its own, old ones refused, old times
//! announced, parameters of the other wire refused, not a word from a client.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request as Handshake, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use url::Url;
use zstd::bulk::Compressor;

use super::PATIENCE;
use super::frames::v2;
use super::jetstream::Request;

/// Numbers below this are sequence numbers, those above microseconds.
const SMALLEST_TIME: i64 = 1_000_000_000_000_000;

/// What goes wrong on a connection after so many frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The TCP connection ends without a word.
    Cut,
    /// An error frame of that name, and a goodbye.
    Error(&'static str),
    /// The server has this dictionary from now on.
    Dictionary(Vec<u8>),
}

/// A running server; it ends when dropped.
pub struct SimEvents {
    shared: Arc<Shared>,
    url: Url,
    _tasks: JoinSet<()>,
}

struct Shared {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    events: Vec<Event>,
    kept_from: u64,
    faults: VecDeque<Vec<(usize, Fault)>>,
    requests: Vec<Request>,
    refusals: Vec<String>,
    dictionaries: Vec<Vec<u8>>,
    handed_out: usize,
    words: usize,
}

#[derive(Clone)]
struct Event {
    seq: u64,
    time_us: i64,
    text: String,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.changed.send_replace(());
        changed
    }
}

impl SimEvents {
    /// Starts one whose connections have these faults, in their order.
    pub async fn start(faults: &[&[(usize, Fault)]]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let path = "xrpc/network.bsky.jetstream.subscribeEvents";
        let url = Url::parse(&format!("ws://localhost:{port}/{path}")).unwrap();
        let state = State { faults: faults.iter().map(|faults| faults.to_vec()).collect(), ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: watch::Sender::new(()) });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self { shared, url, _tasks: tasks }
    }

    /// Its address.
    pub fn url(&self) -> Url {
        self.url.clone()
    }

    /// `host:port`.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.url.port().unwrap())
    }

    /// Something happens.
    pub fn push(&self, seq: u64, time_us: i64, text: String) {
        self.shared.change(|state| state.events.push(Event { seq, time_us, text }));
    }

    /// Events before that one are no longer kept.
    pub fn forget_before(&self, seq: u64) {
        self.shared.change(|state| {
            state.kept_from = seq;
            state.events.retain(|event| event.seq >= seq);
        });
    }

    /// Packs with this dictionary from now on; earlier ones are unknown.
    pub fn pack_with(&self, dictionary: Vec<u8>) {
        self.shared.change(|state| state.dictionaries.push(dictionary));
    }

    /// All handshakes so far.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.state().requests.clone()
    }

    /// The names of all refusals so far.
    pub fn refusals(&self) -> Vec<String> {
        self.shared.state().refusals.clone()
    }

    /// How often the dictionary was fetched.
    pub fn handed_out(&self) -> usize {
        self.shared.state().handed_out
    }

    /// Data frames that clients sent, which they may not.
    pub fn words(&self) -> usize {
        self.shared.state().words
    }

    /// Waits until something is so.
    pub async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let mut changes = self.shared.changed.subscribe();
        let waited = timeout(PATIENCE, changes.wait_for(|()| condition(self))).await;
        waited.expect("it never was so").unwrap();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        connections.spawn(serve(tcp, Arc::clone(&shared)));
    }
}

async fn serve(mut tcp: TcpStream, shared: Arc<Shared>) {
    let mut beginning = [0; 60];
    tcp.peek(&mut beginning).await.unwrap();
    if String::from_utf8_lossy(&beginning).contains("getZstdDictionary") {
        return hand_out(&mut tcp, &shared).await;
    }
    let mut admitted = None;
    #[allow(clippy::result_large_err, reason = "the signature is the library's")]
    let callback = |handshake: &Handshake, response: Response| -> Result<Response, ErrorResponse> {
        admitted = Some(admit(handshake, &shared)?);
        Ok(response)
    };
    if let Ok(socket) = accept_hdr_async(tcp, callback).await {
        stream(socket, &shared, admitted.unwrap()).await;
    }
}

async fn hand_out(tcp: &mut TcpStream, shared: &Shared) {
    let mut asked = [0; 4096];
    assert!(tcp.read(&mut asked).await.unwrap() > 0);
    let current = shared.change(|state| {
        state.handed_out += 1;
        state.dictionaries.last().cloned()
    });
    let (status, body) = match current {
        Some(body) => ("200 OK", body),
        None => ("503 Service Unavailable", br#"{"error":"ServiceUnavailable"}"#.to_vec()),
    };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    tcp.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
}

struct Admitted {
    request: Request,
    faults: Vec<(usize, Fault)>,
    queue: VecDeque<String>,
    next: usize,
    compressor: Option<Compressor<'static>>,
}

#[allow(clippy::result_large_err, reason = "the signature is the library's")]
fn admit(handshake: &Handshake, shared: &Shared) -> Result<Admitted, ErrorResponse> {
    let request = Request { uri: handshake.uri().to_string(), headers: Vec::new() };
    shared.change(|state| {
        state.requests.push(request.clone());
        let compressor = compressor(&request, state).and_then(|compressor| {
            refuse_mistakes(&request)?;
            Ok((compressor, replay(&request, state)?))
        });
        match compressor {
            Ok((compressor, queue)) => {
                let faults = state.faults.pop_front().unwrap_or_default();
                Ok(Admitted { request: request.clone(), faults, queue, next: state.events.len(), compressor })
            }
            Err((name, message)) => {
                state.refusals.push(name.to_owned());
                Err(refusal(name, &message))
            }
        }
    })
}

type Refused = (&'static str, String);

fn refuse_mistakes(request: &Request) -> Result<(), Refused> {
    let of_the_other_wire = ["wantedCollections", "wantedDids", "compress"];
    let without_commit = |kinds: &[String]| !kinds.is_empty() && !kinds.iter().any(|kind| kind == "commit");
    let contradicts = !request.parameter("collections").is_empty() && without_commit(&request.parameter("kinds"));
    if contradicts || of_the_other_wire.iter().any(|name| !request.parameter(name).is_empty()) {
        return Err(("InvalidRequest", "not a parameter of this wire".to_owned()));
    }
    Ok(())
}

fn compressor(request: &Request, state: &State) -> Result<Option<Compressor<'static>>, Refused> {
    let Some(asked) = request.parameter("zstdDictionary").pop() else { return Ok(None) };
    let current = state.dictionaries.last();
    let id = |bytes: &Vec<u8>| zstd::zstd_safe::get_dict_id_from_dict(bytes).unwrap().to_string();
    match current.filter(|bytes| id(bytes) == asked) {
        Some(bytes) => Ok(Some(Compressor::with_dictionary(3, bytes).unwrap())),
        None => Err(("UnknownZstdDictionary", format!("current dictionary is {:?}", current.map(id)))),
    }
}

/// Everything from the cursor on; a time that is too old is announced, a number refused.
fn replay(request: &Request, state: &State) -> Result<VecDeque<String>, Refused> {
    let Some(cursor) = request.cursor() else { return Ok(VecDeque::new()) };
    let texts = |is_wanted: &dyn Fn(&&Event) -> bool| {
        state.events.iter().filter(is_wanted).map(|event| event.text.clone()).collect::<VecDeque<_>>()
    };
    if cursor >= SMALLEST_TIME {
        let mut queue = texts(&|event| event.time_us >= cursor);
        if state.kept_from > 0 && state.events.first().is_none_or(|first| first.time_us > cursor) {
            queue.push_front(v2::info("OutdatedCursor"));
        }
        return Ok(queue);
    }
    let cursor = u64::try_from(cursor).unwrap();
    if cursor < state.kept_from {
        return Err(("CursorTooOld", format!("oldest available seq={}", state.kept_from)));
    }
    Ok(texts(&|event| event.seq >= cursor))
}

fn refusal(name: &str, message: &str) -> ErrorResponse {
    let mut response = ErrorResponse::new(Some(format!(r#"{{"error":"{name}","message":"{message}"}}"#)));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

async fn stream(mut socket: WebSocketStream<TcpStream>, shared: &Shared, admitted: Admitted) {
    let Admitted { request, mut faults, mut queue, mut next, mut compressor } = admitted;
    let kinds = request.parameter("kinds");
    let mut changed = shared.changed.subscribe();
    let mut sent = 0;
    loop {
        let new = shared.state().events.get(next..).unwrap_or_default().to_vec();
        next += new.len();
        queue.extend(new.into_iter().map(|event| event.text));
        while let Some(text) = queue.pop_front() {
            while let Some(at) = faults.iter().position(|(after, _)| *after <= sent) {
                match faults.remove(at).1 {
                    Fault::Cut => return,
                    Fault::Dictionary(bytes) => shared.change(|state| state.dictionaries.push(bytes)),
                    Fault::Error(name) => {
                        socket.send(Message::text(v2::error(name))).await.unwrap();
                        drop(socket.close(None).await);
                        return;
                    }
                }
            }
            let kind = text.split("subscribeEvents#").nth(1).and_then(|rest| rest.split('"').next());
            if kind.is_some_and(|kind| kind != "info" && !kinds.is_empty() && !kinds.iter().any(|asked| asked == kind))
            {
                continue;
            }
            let message = match &mut compressor {
                Some(compressor) => Message::binary(compressor.compress(text.as_bytes()).unwrap()),
                None => Message::text(text),
            };
            if socket.send(message).await.is_err() {
                return;
            }
            sent += 1;
        }
        tokio::select! {
            heard = socket.next() => match heard {
                Some(Ok(Message::Text(_) | Message::Binary(_))) => {
                    shared.change(|state| state.words += 1);
                    let policy = CloseFrame { code: CloseCode::Policy, reason: "server push only".into() };
                    drop(socket.close(Some(policy)).await);
                    return;
                }
                Some(Ok(_)) => {}
                _ => return,
            },
            _ = changed.changed() => {}
        }
    }
}
