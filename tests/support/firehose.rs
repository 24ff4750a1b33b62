//! `SimRepos`: a host of the AT Protocol's firehose (`com.atproto.sync.subscribeRepos`) on loopback,
//! and its messages, written as the protocol's documents say and not with the program's own reader.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{SinkExt, StreamExt};
use ipld_core::cid::Cid;
use ipld_core::cid::multihash::Multihash;
use ipld_core::ipld::Ipld;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stormbell::domain::time::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request as Handshake, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use url::Url;

use super::PATIENCE;
use super::jetstream::Request;

/// One change of a commit.
pub struct Op {
    pub action: &'static str,
    pub path: String,
    pub record: Option<Value>,
    /// The host leaves the record's block out.
    pub without_block: bool,
}

/// A post that is written, or with `update` written anew.
pub fn written(action: &'static str, rkey: &str, record: Value) -> Op {
    Op { action, path: format!("app.bsky.feed.post/{rkey}"), record: Some(record), without_block: false }
}

/// A post of that text.
pub fn post(rkey: &str, text: &str) -> Op {
    written("create", rkey, json!({"$type": "app.bsky.feed.post", "text": text, "langs": ["en"]}))
}

/// A post that is taken back.
pub fn delete(rkey: &str) -> Op {
    Op { action: "delete", path: format!("app.bsky.feed.post/{rkey}"), record: None, without_block: false }
}

/// A like.
pub fn like(rkey: &str) -> Op {
    let record = Some(json!({"$type": "app.bsky.feed.like"}));
    Op { action: "create", path: format!("app.bsky.feed.like/{rkey}"), record, without_block: false }
}

/// A commit of several changes.
pub fn commit(seq: u64, time_us: i64, did: &str, ops: &[Op]) -> Vec<u8> {
    let mut car = car_header();
    // The tree and the signed commit come first; nobody reads them.
    push_block(&mut car, b"\xa1\x61e\x80");
    let mut listed = Vec::new();
    for op in ops {
        let block = op.record.as_ref().map(|record| encoded(&ipld(record)));
        if let Some(block) = block.as_ref().filter(|_| !op.without_block) {
            push_block(&mut car, block);
        }
        let cid = block.map_or(Ipld::Null, |block| Ipld::Link(cid(&block)));
        listed.push(map([("action", op.action.into()), ("path", op.path.clone().into()), ("cid", cid)]));
    }
    let mut body = common(seq, time_us);
    body.extend([
        ("repo".to_owned(), did.into()),
        ("rev".to_owned(), "3n2vwk5zwhs2v".into()),
        ("since".to_owned(), Ipld::Null),
        ("commit".to_owned(), Ipld::Link(cid(b"commit"))),
        ("ops".to_owned(), Ipld::List(listed)),
        ("blocks".to_owned(), Ipld::Bytes(car)),
        ("blobs".to_owned(), Ipld::List(Vec::new())),
        ("rebase".to_owned(), false.into()),
        ("tooBig".to_owned(), false.into()),
    ]);
    message("#commit", &Ipld::Map(body))
}

/// A handle made known.
pub fn identity(seq: u64, time_us: i64, did: &str, handle: &str) -> Vec<u8> {
    let mut body = common(seq, time_us);
    body.extend([("did".to_owned(), did.into()), ("handle".to_owned(), handle.into())]);
    message("#identity", &Ipld::Map(body))
}

/// An account that is gone, or only away.
pub fn account(seq: u64, time_us: i64, did: &str, status: Option<&str>) -> Vec<u8> {
    let mut body = common(seq, time_us);
    body.extend([("did".to_owned(), did.into()), ("active".to_owned(), status.is_none().into())]);
    body.extend(status.map(|status| ("status".to_owned(), status.into())));
    message("#account", &Ipld::Map(body))
}

/// A repository that was replaced.
pub fn sync(seq: u64, time_us: i64, did: &str) -> Vec<u8> {
    let mut body = common(seq, time_us);
    let blocks = Ipld::Bytes(car_header());
    body.extend([("did".to_owned(), did.into()), ("rev".to_owned(), "3n2".into()), ("blocks".to_owned(), blocks)]);
    message("#sync", &Ipld::Map(body))
}

/// What the host says about the stream.
pub fn info(name: &str) -> Vec<u8> {
    message("#info", &map([("name", name.into()), ("message", "Requested cursor exceeded limit.".into())]))
}

/// The last message of a connection.
pub fn error(name: &str) -> Vec<u8> {
    let header = map([("op", Ipld::Integer(-1))]);
    let body = map([("error", name.into()), ("message", "Cursor in the future.".into())]);
    [encoded(&header), encoded(&body)].concat()
}

/// Any message.
pub fn message(t: &str, body: &Ipld) -> Vec<u8> {
    [encoded(&map([("op", Ipld::Integer(1)), ("t", t.into())])), encoded(body)].concat()
}

/// JSON as records have it: `{"$link": …}` is a link.
pub fn ipld(json: &Value) -> Ipld {
    match json {
        Value::Null => Ipld::Null,
        Value::Bool(value) => Ipld::Bool(*value),
        Value::Number(number) => {
            number.as_i64().map_or_else(|| Ipld::Float(number.as_f64().unwrap()), |n| Ipld::Integer(n.into()))
        }
        Value::String(text) => Ipld::String(text.clone()),
        Value::Array(items) => Ipld::List(items.iter().map(ipld).collect()),
        Value::Object(fields) => match fields.get("$link").and_then(Value::as_str) {
            Some(link) => Ipld::Link(link.parse().unwrap()),
            None => Ipld::Map(fields.iter().map(|(key, value)| (key.clone(), ipld(value))).collect()),
        },
    }
}

/// The name of a block.
pub fn cid(block: &[u8]) -> Cid {
    Cid::new_v1(0x71, Multihash::wrap(0x12, &Sha256::digest(block)).unwrap())
}

fn encoded(ipld: &Ipld) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(ipld).unwrap()
}

fn map<const N: usize>(entries: [(&str, Ipld); N]) -> Ipld {
    Ipld::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

fn common(seq: u64, time_us: i64) -> BTreeMap<String, Ipld> {
    let time = Timestamp::from_micros(time_us).to_string();
    [("seq".to_owned(), Ipld::Integer(seq.into())), ("time".to_owned(), time.into())].into()
}

fn car_header() -> Vec<u8> {
    let roots = Ipld::List(vec![Ipld::Link(cid(b"commit"))]);
    let mut car = Vec::new();
    push_section(&mut car, &encoded(&map([("version", Ipld::Integer(1)), ("roots", roots)])));
    car
}

fn push_block(car: &mut Vec<u8>, block: &[u8]) {
    push_section(car, &[&cid(block).to_bytes(), block].concat());
}

fn push_section(car: &mut Vec<u8>, section: &[u8]) {
    let mut length = section.len();
    while length >= 0x80 {
        car.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    car.push(u8::try_from(length).unwrap());
    car.extend(section);
}

/// What goes wrong on a connection after so many messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The TCP connection ends without a word.
    Cut,
    /// An error, and a goodbye.
    Error(&'static str),
    /// This comes besides.
    Message(Vec<u8>),
}

/// A running host; it ends when dropped.
pub struct SimRepos {
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
    messages: Vec<(u64, Vec<u8>)>,
    forgotten: bool,
    faults: VecDeque<Vec<(usize, Fault)>>,
    requests: Vec<Request>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.send_replace(());
    }
}

impl SimRepos {
    /// Starts one whose connections have these faults, in their order.
    pub async fn start(faults: &[&[(usize, Fault)]]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("ws://localhost:{}", listener.local_addr().unwrap().port())).unwrap();
        let state = State { faults: faults.iter().map(|faults| faults.to_vec()).collect(), ..State::default() };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: watch::Sender::new(()) });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self { shared, url, _tasks: tasks }
    }

    /// Its address, without a path.
    pub fn url(&self) -> Url {
        self.url.clone()
    }

    /// `host:port`.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.url.port().unwrap())
    }

    /// Something happens.
    pub fn push(&self, seq: u64, message: Vec<u8>) {
        self.shared.change(|state| state.messages.push((seq, message)));
    }

    /// Messages before that one are no longer kept.
    pub fn forget_before(&self, seq: u64) {
        self.shared.change(|state| {
            state.forgotten = true;
            state.messages.retain(|(kept, _)| *kept >= seq);
        });
    }

    /// The cursors of all handshakes so far.
    pub fn cursors(&self) -> Vec<Option<i64>> {
        self.shared.state().requests.iter().map(Request::cursor).collect()
    }

    /// The path that was asked for first.
    pub fn path(&self) -> String {
        self.shared.state().requests[0].uri.split('?').next().unwrap().to_owned()
    }

    /// Waits until something is so.
    pub async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let mut changes = self.shared.changed.subscribe();
        timeout(PATIENCE, changes.wait_for(|()| condition(self))).await.expect("it never was so").unwrap();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        connections.spawn(serve(tcp, Arc::clone(&shared)));
    }
}

async fn serve(tcp: TcpStream, shared: Arc<Shared>) {
    let mut asked = None;
    #[allow(clippy::result_large_err, reason = "the signature is the library's")]
    let callback = |handshake: &Handshake, response: Response| -> Result<Response, ErrorResponse> {
        let request = Request { uri: handshake.uri().to_string(), headers: Vec::new() };
        let mut faults = Vec::new();
        let mut next = 0;
        shared.change(|state| {
            state.requests.push(request.clone());
            faults = state.faults.pop_front().unwrap_or_default();
            next = state.messages.len();
        });
        asked = Some((request.cursor(), faults, next));
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(tcp, callback).await else { return };
    let (cursor, mut faults, mut next) = asked.unwrap();
    let mut queue = VecDeque::new();
    if let Some(cursor) = cursor {
        let (oldest, newest) = shared.change_read(|state| {
            let seqs = || state.messages.iter().map(|(seq, _)| *seq);
            (seqs().min(), seqs().max().unwrap_or_default())
        });
        let cursor = u64::try_from(cursor).unwrap_or_default();
        if cursor > newest {
            queue.push_back(error("FutureCursor"));
        } else {
            let forgotten = shared.state().forgotten;
            if forgotten && oldest.is_some_and(|oldest| oldest > cursor + 1) {
                queue.push_back(info("OutdatedCursor"));
            }
            let messages = shared.state().messages.clone();
            queue.extend(messages.into_iter().filter(|(seq, _)| *seq > cursor).map(|(_, message)| message));
            next = shared.state().messages.len();
        }
    }
    let mut changed = shared.changed.subscribe();
    let mut sent = 0;
    loop {
        let new = shared.state().messages.get(next..).unwrap_or_default().to_vec();
        next += new.len();
        queue.extend(new.into_iter().map(|(_, message)| message));
        while let Some(message) = queue.pop_front() {
            while let Some(at) = faults.iter().position(|(after, _)| *after <= sent) {
                match faults.remove(at).1 {
                    Fault::Cut => return,
                    Fault::Error(name) => queue.push_front(error(name)),
                    Fault::Message(message) => socket.send(Message::binary(message)).await.unwrap(),
                }
            }
            let message =
                if queue.front().is_some_and(|next| is_error(next)) { queue.pop_front().unwrap() } else { message };
            let ends = is_error(&message);
            if socket.send(Message::binary(message)).await.is_err() {
                return;
            }
            if ends {
                let policy = CloseFrame { code: CloseCode::Policy, reason: "FutureCursor".into() };
                drop(socket.close(Some(policy)).await);
                while socket.next().await.is_some_and(|heard| heard.is_ok()) {}
                return;
            }
            sent += 1;
        }
        tokio::select! {
            heard = socket.next() => if heard.is_none_or(|heard| heard.is_err()) { return },
            _ = changed.changed() => {}
        }
    }
}

/// Error headers have one entry.
fn is_error(message: &[u8]) -> bool {
    message.starts_with(&[0xa1])
}

impl Shared {
    fn change_read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state())
    }
}
