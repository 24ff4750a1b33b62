//! X as its documents describe it: rules, one stream, searches; chunked, with empty lines, and with its faults.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

use super::PATIENCE;

/// Posts on a page of a search.
const PAGE: usize = 2;

/// Headers of an answer whose last byte never comes.
pub const STALLS: &str = "x-stalls: 1\r\n";

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub uri: String,
    pub authorization: String,
    pub body: String,
}

impl Asked {
    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let url = Url::parse("http://host").unwrap().join(&self.uri).unwrap();
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    pub fn path(&self) -> &str {
        self.uri.split('?').next().unwrap()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub id: String,
    pub value: String,
    pub tag: Option<String>,
}

/// Status, header lines, body.
pub type Answer = (u16, &'static str, String);

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    next_rule: u64,
    /// Streams that X counts: those that stand, and ghosts of others.
    counted: usize,
    ghosts: usize,
    posts: Vec<(u64, Value)>,
    refusals: VecDeque<Answer>,
    search_refusals: VecDeque<Answer>,
    asked: Vec<Asked>,
    date: Option<&'static str>,
}

struct Shared {
    token: String,
    state: Mutex<State>,
    changed: Notify,
    streams: mpsc::Sender<Stream>,
}

/// The server; it ends when dropped.
pub struct SimX {
    pub url: Url,
    shared: Arc<Shared>,
    coming: mpsc::Receiver<Stream>,
    _tasks: JoinSet<()>,
}

/// One client's stream.
pub struct Stream {
    out: mpsc::Sender<Vec<u8>>,
    gone: watch::Receiver<bool>,
}

impl SimX {
    pub async fn start(token: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let (streams, coming) = mpsc::channel(16);
        let shared =
            Arc::new(Shared { token: token.to_owned(), state: Mutex::default(), changed: Notify::new(), streams });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self { url, shared, coming, _tasks: tasks }
    }

    /// The next client that is let in.
    pub async fn stream(&mut self) -> Stream {
        timeout(PATIENCE, self.coming.recv()).await.expect("nobody reads the stream").unwrap()
    }

    /// The next attempts to read the stream are refused.
    pub fn refuse(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state().refusals.extend(answers);
    }

    /// The next searches are refused.
    pub fn refuse_searches(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state().search_refusals.extend(answers);
    }

    /// A connection of a process that died is still counted.
    pub fn haunt(&self) {
        self.state().ghosts += 1;
    }

    /// What its clock shows.
    pub fn date(&self, date: &'static str) {
        self.state().date = Some(date);
    }

    pub fn put_rule(&self, value: &str, tag: Option<&str>) {
        self.state().add(value, tag.map(str::to_owned));
    }

    /// Somebody else deletes all rules.
    pub fn drop_rules(&self) {
        self.state().rules.clear();
    }

    pub fn rules(&self) -> Vec<Rule> {
        self.state().rules.clone()
    }

    /// A post that a search finds, with what is included.
    pub fn posted(&self, id: u64, said: &Value) {
        self.state().posts.push((id, said.clone()));
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.state().asked.clone()
    }

    /// Requests for a path so far.
    pub fn asked_for(&self, path: &str) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.path() == path).collect()
    }

    /// Waits until something is so.
    pub async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let waiting = async {
            loop {
                let changed = self.shared.changed.notified();
                if condition(self) {
                    return;
                }
                changed.await;
            }
        };
        assert!(timeout(PATIENCE, waiting).await.is_ok(), "it never came to that: {:#?}", self.asked());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream {
    /// Sends bytes as one chunk.
    pub fn sends(&self, bytes: &[u8]) {
        let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
        // Whoever is gone hears nothing.
        assert!(
            !matches!(self.out.try_send(chunk), Err(mpsc::error::TrySendError::Full(_))),
            "the client does not read"
        );
    }

    /// Says a line.
    pub fn says(&self, said: &(impl ToString + ?Sized)) {
        self.sends(format!("{}\r\n", said.to_string()).as_bytes());
    }

    /// Says that it is there.
    pub fn is_alive(&self) {
        self.sends(b"\r\n");
    }

    /// Waits until the client has closed its side.
    pub async fn gone(mut self) {
        let gone = self.gone.wait_for(|gone| *gone);
        timeout(PATIENCE, gone).await.expect("the client stays").unwrap();
    }
}

impl State {
    fn add(&mut self, value: &str, tag: Option<String>) -> Rule {
        self.next_rule += 1;
        let rule = Rule { id: format!("17953610000000{:05}", self.next_rule), value: value.to_owned(), tag };
        self.rules.push(rule.clone());
        rule
    }

    fn change(&mut self, body: &Value) -> Answer {
        let texts = |list: &Value| list.as_array().cloned().unwrap_or_default();
        for id in texts(&body["delete"]["ids"]) {
            self.rules.retain(|rule| rule.id != id.as_str().unwrap());
        }
        let (mut data, mut errors) = (Vec::new(), Vec::new());
        for rule in texts(&body["add"]) {
            let value = rule["value"].as_str().unwrap();
            let problem = |title: &str| json!({ "value": value, "title": title, "type": "https://api.x.com/2/problems/invalid-rules" });
            if self.rules.iter().any(|known| known.value == value) {
                errors.push(problem("DuplicateRule"));
            } else if value.len() > 1024 || value.contains("has:") && !value.contains(' ') {
                errors.push(problem("InvalidRules"));
            } else {
                let Rule { id, value, tag } = self.add(value, rule["tag"].as_str().map(str::to_owned));
                data.push(json!({ "id": id, "value": value, "tag": tag }));
            }
        }
        let summary = json!({ "created": data.len(), "not_created": errors.len() });
        let mut answer = json!({ "meta": { "sent": "2026-11-22T15:40:00.000Z", "summary": summary } });
        let status = if errors.is_empty() || !data.is_empty() { 201 } else { 400 };
        for (name, list) in [("data", data), ("errors", errors)] {
            if !list.is_empty() {
                answer[name] = Value::Array(list);
            }
        }
        (status, "", answer.to_string())
    }

    /// The newest first, as X has it.
    fn search(&self, asked: &Asked) -> Answer {
        let since: u64 = asked.parameter("since_id").map_or(0, |id| id.parse().unwrap());
        let from: usize = asked.parameter("next_token").map_or(0, |token| token.parse().unwrap());
        let mut found: Vec<&(u64, Value)> = self.posts.iter().filter(|(id, _)| *id > since).collect();
        found.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
        let page: Vec<&Value> = found.iter().skip(from).take(PAGE).map(|(_, said)| said).collect();
        let data: Vec<&Value> = page.iter().map(|said| &said["data"]).collect();
        let users: Vec<Value> =
            page.iter().flat_map(|said| said["includes"]["users"].as_array().cloned().unwrap_or_default()).collect();
        let mut answer = json!({ "meta": { "result_count": data.len() } });
        if !data.is_empty() {
            answer["data"] = json!(data);
            answer["includes"] = json!({ "users": users });
        }
        if from + PAGE < found.len() {
            answer["meta"]["next_token"] = json!((from + PAGE).to_string());
        }
        (200, "", answer.to_string())
    }

    fn answer(&mut self, asked: &Asked) -> Answer {
        match (asked.method.as_str(), asked.path()) {
            ("GET", "/2/tweets/search/stream/rules") => {
                let rule = |Rule { id, value, tag }: &Rule| json!({ "id": id, "value": value, "tag": tag });
                let mut answer = json!({ "meta": { "sent": "2026-11-22T15:40:00.000Z" } });
                if !self.rules.is_empty() {
                    answer["data"] = self.rules.iter().map(rule).collect();
                }
                (200, "", answer.to_string())
            }
            ("POST", "/2/tweets/search/stream/rules") => self.change(&serde_json::from_str(&asked.body).unwrap()),
            ("GET", "/2/tweets/search/recent") => {
                self.search_refusals.pop_front().unwrap_or_else(|| self.search(asked))
            }
            ("DELETE", "/2/connections/all") => {
                self.ghosts = 0;
                (200, "", json!({ "data": { "successful_kills": 1 } }).to_string())
            }
            _ => (404, "", String::new()),
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        connections.spawn(serve(tcp, Arc::clone(&shared)));
    }
}

async fn serve(mut tcp: TcpStream, shared: Arc<Shared>) {
    let Some(asked) = read(&mut tcp).await else { return };
    let is_stream = asked.path() == "/2/tweets/search/stream";
    let answer = {
        let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked.push(asked.clone());
        if asked.authorization != format!("Bearer {}", shared.token) {
            Some((401, "", json!({ "title": "Unauthorized", "status": 401 }).to_string()))
        } else if !is_stream {
            Some(state.answer(&asked))
        } else if let Some(refusal) = state.refusals.pop_front() {
            Some(refusal)
        } else if state.rules.is_empty() {
            Some((409, "", json!({ "title": "RuleConfigurationIssue" }).to_string()))
        } else if state.counted + state.ghosts > 0 {
            let problem = json!({
                "title": "ConnectionException", "connection_issue": "TooManyConnections",
                "type": "https://api.x.com/2/problems/streaming-connection",
            });
            Some((429, "", problem.to_string()))
        } else {
            state.counted += 1;
            None
        }
    };
    shared.changed.notify_waiters();
    match answer {
        Some((status, headers, body)) => {
            let stalls = headers == STALLS;
            let length = body.len() + usize::from(stalls);
            let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
            drop(tcp.write_all(format!("{head}{body}").as_bytes()).await);
            if stalls {
                drop(tcp.read_u8().await); // until the client goes
            }
            drop(tcp.shutdown().await);
        }
        None => stream(tcp, &shared).await,
    }
}

/// Sends what the test says until either side is gone.
async fn stream(mut tcp: TcpStream, shared: &Shared) {
    let date = shared.state.lock().unwrap_or_else(PoisonError::into_inner).date;
    let date = date.map(|date| format!("date: {date}\r\n")).unwrap_or_default();
    let head = format!("HTTP/1.1 200 OK\r\n{date}content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
    tcp.write_all(head.as_bytes()).await.unwrap();
    let (out, mut says) = mpsc::channel::<Vec<u8>>(1024);
    let (closed, gone) = watch::channel(false);
    drop(shared.streams.send(Stream { out, gone }).await);
    let (mut reader, mut writer) = tcp.split();
    let mut byte = [0];
    loop {
        tokio::select! {
            chunk = says.recv() => match chunk {
                Some(chunk) => if writer.write_all(&chunk).await.is_err() { break },
                None => break, // the test cuts it
            },
            read = reader.read(&mut byte) => if !matches!(read, Ok(1..)) { break },
        }
    }
    shared.state.lock().unwrap_or_else(PoisonError::into_inner).counted -= 1;
    closed.send_replace(true);
    shared.changed.notify_waiters();
}

async fn read(tcp: &mut TcpStream) -> Option<Asked> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(tcp.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let header = |wanted: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim().to_owned())
    };
    let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
    tcp.read_exact(&mut body).await.ok()?;
    let mut words = head.split(' ');
    Some(Asked {
        method: words.next()?.to_owned(),
        uri: words.next()?.to_owned(),
        authorization: header("authorization").unwrap_or_default(),
        body: String::from_utf8(body).unwrap(),
    })
}
