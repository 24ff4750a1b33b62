//! A receiver on loopback that misbehaves by script and remembers everything.
//!
//! It speaks just enough HTTP/1.1. Of what it took it keeps alerts as `PagerDuty` does,
//! so that a test can ask what a person would have seen, and it proves which faults fired.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::PATIENCE;

/// What the sink does to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Takes it (2xx) or refuses it.
    Answer(u16),
    /// The same with a header.
    With(u16, &'static str, String),
    /// The same with a body.
    Saying(u16, String),
    /// The same with headers and a body of any kind.
    Page(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The same after a while.
    After(Duration, u16),
    /// Takes it, answers 200, and dribbles the body for so long.
    SlowBody(Duration),
    /// Takes it and cuts the connection before a byte of the answer.
    DropAnswer,
    /// Takes it and resets the connection in the middle of the answer's head.
    ResetMidAnswer,
    /// Takes it, answers half of the head, and says no more for so long.
    HalfAnswer(Duration),
    /// Resets the connection without having taken anything.
    Reset,
}

impl Act {
    fn takes(&self) -> bool {
        match self {
            Self::Answer(status)
            | Self::With(status, ..)
            | Self::Saying(status, _)
            | Self::After(_, status)
            | Self::Page(status, ..) => (200..300).contains(status),
            Self::SlowBody(_) | Self::HalfAnswer(_) | Self::DropAnswer | Self::ResetMidAnswer => true,
            Self::Reset => false,
        }
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// `POST /path HTTP/1.1`.
    pub line: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
    /// Whether the sink took it, whatever the sender learned.
    pub taken: bool,
    /// Whether the whole answer went out; whoever asked may be gone by then.
    pub answered: bool,
}

impl Request {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// An alert as `PagerDuty` keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PagerDutyAlert {
    /// How often it was opened: once, or again after its end.
    pub opened: u32,
    /// Triggers taken, repetitions among them.
    pub triggers: u32,
    /// Somebody took charge.
    pub acknowledged: bool,
    /// It is not resolved.
    pub open: bool,
}

/// The header by which `PagerDuty` signs a webhook.
pub fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let digest = mac.finalize().into_bytes();
    let hex: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v1={}", hex.concat())
}

/// What `PagerDuty` posts when somebody does that (`acknowledged`, `resolved`) to one of our incidents at that time.
pub fn webhook(what: &str, incident: &str, at: &str, agent: &Value) -> String {
    json!({ "event": {
        "id": "01DTLG1SQXPV9Z7FZCM2VCZJKW", "event_type": format!("incident.{what}"), "resource_type": "incident",
        "occurred_at": at, "agent": agent, "client": null,
        "data": {
            "id": "PGR0VU2", "type": "incident", "number": 2, "status": what, "title": "…", "urgency": "high",
            "incident_key": format!("stormbell/{incident}"), "created_at": "2026-11-22T12:00:00Z",
            "service": { "id": "PF9KMXH", "summary": "Crisis", "type": "service_reference" }, "resolve_reason": null,
        },
    }})
    .to_string()
}

/// A person, as `PagerDuty` names them.
pub fn user(name: &str) -> Value {
    json!({ "id": "PLH1HKV", "type": "user_reference", "summary": name, "self": "https://api.pagerduty.com/users/PLH1HKV" })
}

type Otherwise = Box<dyn FnMut(&Request) -> Act + Send>;

struct State {
    requests: Vec<Request>,
    script: VecDeque<Act>,
    otherwise: Otherwise,
    fired: Vec<Act>,
    alerts: BTreeMap<(String, String), PagerDutyAlert>,
}

struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

/// The running receiver; it ends when dropped.
pub struct SimSink {
    port: u16,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

impl SimSink {
    /// A receiver that answers 202 until told otherwise.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State {
            requests: Vec::new(),
            script: VecDeque::new(),
            otherwise: Box::new(|_| Act::Answer(202)),
            fired: Vec::new(),
            alerts: BTreeMap::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() });
        let mut server = JoinSet::new();
        server.spawn(accept(listener, Arc::clone(&shared)));
        Self { port, shared, _server: server }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// An address on it.
    pub fn url(&self, path: &str) -> url::Url {
        format!("http://127.0.0.1:{}{path}", self.port).parse().unwrap()
    }

    /// What it does to the next requests.
    pub fn script(&self, acts: impl IntoIterator<Item = Act>) {
        self.state().script.extend(acts);
    }

    /// What it does to requests beyond the script.
    pub fn otherwise(&self, decide: impl FnMut(&Request) -> Act + Send + 'static) {
        self.state().otherwise = Box::new(decide);
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    /// Everything it did so far, in order.
    pub fn fired(&self) -> Vec<Act> {
        self.state().fired.clone()
    }

    /// The alerts a `PagerDuty` would show, by (routing key, dedup key).
    pub fn alerts(&self) -> BTreeMap<(String, String), PagerDutyAlert> {
        self.state().alerts.clone()
    }

    /// Waits until that many requests came.
    pub async fn received(&self, count: usize) -> Vec<Request> {
        let waiting = async {
            loop {
                let changed = self.shared.changed.notified();
                if self.state().requests.len() >= count {
                    return;
                }
                changed.await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(came.is_ok(), "{count} requests expected, came {:#?}", self.requests());
        self.requests()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Ok((socket, _)) = listener.accept() => {
                connections.spawn(serve(socket, Arc::clone(&shared)));
            }
            Some(ended) = connections.join_next() => ended.unwrap(),
        }
    }
}

async fn serve(mut socket: TcpStream, shared: Arc<Shared>) {
    while let Some(request) = read(&mut socket).await {
        let (number, act) = shared.decide(request);
        let goes_on = perform(&mut socket, &act).await;
        shared.state.lock().unwrap().requests[number].answered = goes_on;
        if !goes_on {
            return;
        }
    }
}

impl Shared {
    /// Its number, and what to do to it.
    fn decide(&self, mut request: Request) -> (usize, Act) {
        let mut state = self.state.lock().unwrap();
        let act = state.script.pop_front().unwrap_or_else(|| (state.otherwise)(&request));
        request.taken = act.takes();
        if request.taken {
            state.take(&request);
        }
        state.requests.push(request);
        state.fired.push(act.clone());
        self.changed.notify_waiters();
        (state.requests.len() - 1, act)
    }
}

impl State {
    /// What `PagerDuty` makes of an event; other bodies leave no alert.
    fn take(&mut self, request: &Request) {
        let Ok(event) = serde_json::from_slice::<Value>(&request.body) else { return };
        let text = |name: &str| event.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
        let (Some(key), Some(dedup)) = (text("routing_key"), text("dedup_key")) else { return };
        let alert = self.alerts.entry((key, dedup)).or_default();
        match text("event_action").as_deref() {
            Some("trigger") => {
                if !alert.open {
                    (alert.open, alert.acknowledged) = (true, false);
                    alert.opened += 1;
                }
                alert.triggers += 1;
            }
            Some("acknowledge") => alert.acknowledged |= alert.open,
            Some("resolve") => alert.open = false,
            other => panic!("PagerDuty knows no event_action {other:?}"),
        }
    }
}

async fn read(socket: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let line = lines.next().unwrap().to_owned();
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.ok()?;
    Some(Request { line, headers, body, taken: false, answered: false })
}

/// Does it; whether the connection may go on.
async fn perform(socket: &mut TcpStream, act: &Act) -> bool {
    match act {
        Act::Answer(status) => answer(socket, *status, "", "").await,
        Act::With(status, name, value) => answer(socket, *status, &format!("{name}: {value}\r\n"), "").await,
        Act::Saying(status, body) => answer(socket, *status, "", body).await,
        Act::Page(status, headers, body) => {
            let mut head = format!("HTTP/1.1 {status} Scripted\r\n");
            for (name, value) in headers {
                head = format!("{head}{name}: {value}\r\n");
            }
            let head = format!("{head}content-length: {}\r\n\r\n", body.len());
            socket.write_all(&[head.as_bytes(), body].concat()).await.is_ok()
        }
        Act::After(delay, status) => {
            // Nobody says anything before they are answered; what can be read is their end.
            let is_gone = tokio::time::timeout(*delay, socket.read_u8()).await.is_ok();
            !is_gone && answer(socket, *status, "", "").await
        }
        Act::SlowBody(time) => {
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n.";
            if socket.write_all(head.as_bytes()).await.is_ok() {
                tokio::time::sleep(*time).await;
            }
            false
        }
        Act::HalfAnswer(time) => {
            if socket.write_all(b"HTTP/1.1 202 Acc").await.is_ok() {
                tokio::time::sleep(*time).await;
            }
            false
        }
        Act::DropAnswer => false,
        Act::ResetMidAnswer => {
            // An error means that whoever asked is gone already.
            drop(socket.write_all(b"HTTP/1.1 20").await);
            socket.set_zero_linger().unwrap();
            false
        }
        Act::Reset => {
            socket.set_zero_linger().unwrap();
            false
        }
    }
}

async fn answer(socket: &mut TcpStream, status: u16, headers: &str, body: &str) -> bool {
    let length = body.len();
    let text = format!("HTTP/1.1 {status} Scripted\r\n{headers}content-length: {length}\r\n\r\n{body}");
    socket.write_all(text.as_bytes()).await.is_ok()
}
