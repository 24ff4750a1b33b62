//! `SimMatrix`: a homeserver on loopback, as far as reading rooms goes (client-server API v1.13).
//!
//! Tokens are places in one log of all rooms. It answers `/sync` with at most what the filter asks for and
//! `limited`, pages with `/messages`, knows who wrote what, and forgets tokens when told to.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use url::Url;

/// Who the source is.
pub const ME: &str = "@bell:lab";
pub const TOKEN: &str = "planted-matrix-token";

type Parameters = Query<HashMap<String, String>>;

struct Inner {
    log: Vec<(String, Value)>,
    rooms: Vec<String>,
    left: Vec<String>,
    /// Tokens of another age are not known.
    age: usize,
    refusals: VecDeque<(u16, Value)>,
    requests: Vec<String>,
    events: usize,
}

struct Shared {
    inner: Mutex<Inner>,
    changed: watch::Sender<()>,
}

/// The running server; it ends when dropped.
pub struct SimMatrix {
    shared: Arc<Shared>,
    port: u16,
    /// Of its own, so that its end is the end of all connections.
    server: Option<Runtime>,
}

impl SimMatrix {
    /// A server with these rooms, which the source has joined.
    pub fn start(rooms: &[&str]) -> Self {
        let inner = Inner {
            log: Vec::new(),
            rooms: rooms.iter().map(|&room| room.to_owned()).collect(),
            left: Vec::new(),
            age: 0,
            refusals: VecDeque::new(),
            requests: Vec::new(),
            events: 0,
        };
        let shared = Arc::new(Shared { inner: Mutex::new(inner), changed: watch::Sender::new(()) });
        let mut sim = Self { shared, port: 0, server: None };
        sim.serve();
        sim
    }

    pub fn url(&self) -> Url {
        format!("http://127.0.0.1:{}", self.port).parse().unwrap()
    }

    /// Everything it was asked, path and query.
    pub fn requests(&self) -> Vec<String> {
        self.inner().requests.clone()
    }

    /// Ends it with all connections.
    pub fn kill(&mut self) {
        self.server.take().into_iter().for_each(Runtime::shutdown_background);
    }

    /// Starts it again where it was.
    pub fn serve(&mut self) {
        let listener = std::net::TcpListener::bind(("127.0.0.1", self.port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.port = listener.local_addr().unwrap().port();
        let root = "/_matrix/client/v3";
        let router = Router::new()
            .route(&format!("{root}/account/whoami"), get(whoami))
            .route(&format!("{root}/joined_rooms"), get(joined_rooms))
            .route(&format!("{root}/sync"), get(sync))
            .route(&format!("{root}/rooms/{{room}}/messages"), get(messages))
            .route(&format!("{root}/rooms/{{room}}/event/{{event}}"), get(event))
            .with_state(Arc::clone(&self.shared));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.spawn(async move { axum::serve(TcpListener::from_std(listener).unwrap(), router).await.unwrap() });
        self.server = Some(runtime);
    }

    /// What it answers to the next requests.
    pub fn refuse(&self, refusals: &[(u16, Value)]) {
        self.inner().refusals.extend(refusals.iter().cloned());
    }

    /// No token given out so far is known any more.
    pub fn forget_tokens(&self) {
        self.inner().age += 1;
    }

    /// The source is put out of a room.
    pub fn kick(&self, room: &str) {
        self.inner().rooms.retain(|joined| joined != room);
        self.inner().left.push(room.to_owned());
        self.shared.changed.send_replace(());
    }

    /// Something happens in a room; its event's id.
    pub fn happens(&self, room: &str, sender: &str, kind: &str, content: &Value, more: &Value) -> String {
        let mut inner = self.inner();
        inner.events += 1;
        let id = format!("$e{}", inner.events);
        let at = super::daemon::now() / 1000;
        let mut event =
            json!({ "type": kind, "event_id": id, "sender": sender, "origin_server_ts": at, "content": content });
        for (key, value) in more.as_object().into_iter().flatten() {
            event[key] = value.clone();
        }
        inner.log.push((room.to_owned(), event));
        drop(inner);
        self.shared.changed.send_replace(());
        id
    }

    pub fn says(&self, room: &str, sender: &str, text: &str) -> String {
        self.happens(room, sender, "m.room.message", &json!({ "msgtype": "m.text", "body": text }), &json!({}))
    }

    pub fn edits(&self, room: &str, sender: &str, event: &str, text: &str) -> String {
        let new = json!({ "msgtype": "m.text", "body": text });
        let relation = json!({ "rel_type": "m.replace", "event_id": event });
        let content =
            json!({ "msgtype": "m.text", "body": format!("* {text}"), "m.new_content": new, "m.relates_to": relation });
        self.happens(room, sender, "m.room.message", &content, &json!({}))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock().unwrap()
    }
}

impl Shared {
    /// Notes a request; an answer when it is refused.
    fn admit(&self, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
        let mut inner = self.inner.lock().unwrap();
        inner.requests.push(uri.to_string());
        if let Some((status, body)) = inner.refusals.pop_front() {
            return Some((StatusCode::from_u16(status).unwrap(), body.to_string()).into_response());
        }
        let known = headers.get("authorization").is_some_and(|given| *given == *format!("Bearer {TOKEN}"));
        (!known).then(|| error(401, "M_UNKNOWN_TOKEN", "Invalid access token passed."))
    }
}

impl Drop for SimMatrix {
    fn drop(&mut self) {
        self.kill();
    }
}

fn error(status: u16, code: &str, text: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), json!({ "errcode": code, "error": text }).to_string()).into_response()
}

async fn whoami(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap) -> Response {
    shared.admit(&uri, &headers).unwrap_or_else(|| json!({ "user_id": ME }).to_string().into_response())
}

async fn joined_rooms(State(shared): State<Arc<Shared>>, uri: Uri, headers: HeaderMap) -> Response {
    let rooms = shared.inner.lock().unwrap().rooms.clone();
    shared.admit(&uri, &headers).unwrap_or_else(|| json!({ "joined_rooms": rooms }).to_string().into_response())
}

/// The place a token names.
fn place(inner: &Inner, token: &str) -> Option<usize> {
    let (age, place) = token.strip_prefix('s')?.split_once('_')?;
    (age.parse() == Ok(inner.age)).then(|| place.parse().ok())?
}

async fn sync(State(shared): State<Arc<Shared>>, Query(asked): Parameters, uri: Uri, headers: HeaderMap) -> Response {
    if let Some(refusal) = shared.admit(&uri, &headers) {
        return refusal;
    }
    let filter: Value = serde_json::from_str(&asked["filter"]).unwrap();
    let since = match asked.get("since") {
        Some(token) => match place(&shared.inner.lock().unwrap(), token) {
            Some(place) => Some(place),
            None => return error(400, "M_UNKNOWN", "Invalid stream token"),
        },
        None => None,
    };
    let mut changed = shared.changed.subscribe();
    let timeout = Duration::from_millis(asked["timeout"].parse().unwrap());
    let news = async {
        while shared.inner.lock().unwrap().log.len() <= since.unwrap_or(0)
            && shared.inner.lock().unwrap().left.is_empty()
        {
            changed.changed().await.unwrap();
        }
    };
    drop(tokio::time::timeout(timeout, news).await);
    let mut inner = shared.inner.lock().unwrap();
    // Forgotten while it waited: whoever asks again with the new token would not notice.
    if asked.get("since").is_some_and(|token| place(&inner, token).is_none()) {
        return error(400, "M_UNKNOWN", "Invalid stream token");
    }
    let limit = usize::try_from(filter["room"]["timeline"]["limit"].as_u64().unwrap()).unwrap();
    let (mut join, age) = (json!({}), inner.age);
    for room in &inner.rooms {
        let from = since.unwrap_or(0);
        let places = (from..inner.log.len()).filter(|&place| inner.log[place].0 == *room).collect::<Vec<_>>();
        let first = places.len().saturating_sub(limit);
        let events: Vec<&Value> = places[first..].iter().map(|&place| &inner.log[place].1).collect();
        if !events.is_empty() || since.is_none() {
            let before = places.get(first).copied().unwrap_or(inner.log.len());
            join[room] = json!({ "timeline": { "events": events, "limited": first > 0, "prev_batch": format!("s{age}_{before}") } });
        }
    }
    let mut leave = json!({});
    for room in std::mem::take(&mut inner.left) {
        leave[room] = json!({ "timeline": { "events": [] } });
    }
    let next = format!("s{age}_{}", inner.log.len());
    json!({ "next_batch": next, "rooms": { "join": join, "leave": leave } }).to_string().into_response()
}

async fn messages(
    State(shared): State<Arc<Shared>>,
    Path(room): Path<String>,
    Query(asked): Parameters,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if let Some(refusal) = shared.admit(&uri, &headers) {
        return refusal;
    }
    assert_eq!(asked["dir"], "b");
    let inner = shared.inner.lock().unwrap();
    let (from, to) = (place(&inner, &asked["from"]).unwrap(), place(&inner, &asked["to"]).unwrap());
    let places = (to..from).rev().filter(|&place| inner.log[place].0 == room).collect::<Vec<_>>();
    let limit: usize = asked["limit"].parse().unwrap();
    let shown = &places[..limit.min(places.len())];
    let mut page = json!({ "start": asked["from"], "chunk": [] });
    page["chunk"] = shown
        .iter()
        .map(|&place| {
            let mut event = inner.log[place].1.clone();
            event["room_id"] = json!(room);
            event
        })
        .collect();
    if let (true, Some(last)) = (places.len() > limit, shown.last()) {
        page["end"] = json!(format!("s{}_{last}", inner.age));
    }
    page.to_string().into_response()
}

async fn event(
    State(shared): State<Arc<Shared>>,
    Path((room, id)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if let Some(refusal) = shared.admit(&uri, &headers) {
        return refusal;
    }
    let inner = shared.inner.lock().unwrap();
    let found = inner.log.iter().find(|(place, event)| *place == room && event["event_id"] == id);
    found.map_or_else(
        || error(404, "M_NOT_FOUND", "Could not find event"),
        |(_, event)| event.to_string().into_response(),
    )
}
