//! `Visits`: a server on loopback whose side of each WebSocket a test plays itself, word by word, and
//! which answers plain HTTP requests from a table.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request as Handshake, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use url::Url;

use super::PATIENCE;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Path and query.
    pub uri: String,
    /// Header lines, as they came.
    pub head: String,
    /// Its body.
    pub body: String,
}

impl Asked {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let url = Url::parse("http://host").unwrap().join(&self.uri).unwrap();
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// What a plain request is answered: status, header lines, body.
pub type Answer = (u16, String, String);

type Responder = dyn Fn(&Asked) -> Answer + Send + Sync;

/// The server; it ends when dropped.
pub struct Visits {
    /// `ws://` address without a path.
    pub url: Url,
    port: u16,
    shared: Arc<Shared>,
    coming: mpsc::Receiver<Visit>,
    tasks: JoinSet<()>,
}

struct Shared {
    refusals: Mutex<VecDeque<(u16, String)>>,
    asked: Mutex<Vec<Asked>>,
    respond: Box<Responder>,
}

impl Visits {
    /// One that knows only `WebSocket`.
    pub async fn start() -> Self {
        Self::answering(|_| (404, String::new(), String::new())).await
    }

    /// One that answers plain requests, too.
    pub async fn answering(respond: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared =
            Arc::new(Shared { refusals: Mutex::default(), asked: Mutex::default(), respond: Box::new(respond) });
        let (out, coming) = mpsc::channel(16);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared), out));
        Self { url: format!("ws://127.0.0.1:{port}").parse().unwrap(), port, shared, coming, tasks }
    }

    /// An address of it.
    pub fn at(&self, scheme: &str, path: &str) -> Url {
        format!("{scheme}://127.0.0.1:{}{path}", self.port).parse().unwrap()
    }

    /// The next WebSocket handshakes are refused with these statuses and header lines.
    pub fn refuse(&self, status: u16, header: &str) {
        self.shared.refusals.lock().unwrap_or_else(PoisonError::into_inner).push_back((status, header.to_owned()));
    }

    /// The next client.
    pub async fn next(&mut self) -> Visit {
        timeout(PATIENCE, self.coming.recv()).await.expect("nobody connected").unwrap()
    }

    /// Plain requests so far, and refused handshakes.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops listening and drops every connection that nobody holds, as a killed server does. Comes back at the
    /// same address with [`Visits::rise`].
    pub async fn die(&mut self) {
        self.tasks.shutdown().await;
        while self.coming.try_recv().is_ok() {}
    }

    /// Listens again.
    pub async fn rise(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        let (out, coming) = mpsc::channel(16);
        self.coming = coming;
        self.tasks.spawn(accept(listener, Arc::clone(&self.shared), out));
    }
}

/// One client's WebSocket.
pub struct Visit {
    /// Its handshake.
    pub asked: Asked,
    socket: WebSocketStream<TcpStream>,
}

impl Visit {
    /// The next text the client says.
    pub async fn hears(&mut self) -> String {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.expect("the client says nothing");
            match message.expect("the client is gone").unwrap() {
                Message::Text(text) => return text.to_string(),
                Message::Close(_) => panic!("the client says goodbye"),
                _ => {}
            }
        }
    }

    /// The next text as JSON.
    pub async fn hears_json(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.hears().await).unwrap()
    }

    /// Says something.
    pub async fn says(&mut self, text: impl ToString) {
        self.socket.send(Message::text(text.to_string())).await.unwrap();
    }

    /// Closes with a code.
    pub async fn closes(mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        self.socket.close(Some(frame)).await.unwrap();
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    /// Waits until the client goes.
    pub async fn ends(mut self) {
        let end = async { while let Some(Ok(_)) = self.socket.next().await {} };
        timeout(PATIENCE, end).await.expect("the client stays");
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, out: mpsc::Sender<Visit>) {
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        connections.spawn(receive(tcp, Arc::clone(&shared), out.clone()));
    }
}

async fn receive(tcp: TcpStream, shared: Arc<Shared>, out: mpsc::Sender<Visit>) {
    let mut beginning = vec![0; 8192];
    let length = tcp.peek(&mut beginning).await.unwrap_or(0);
    let beginning = String::from_utf8_lossy(&beginning[..length]).to_lowercase();
    if !beginning.contains("upgrade: websocket") {
        return plain(tcp, &shared).await;
    }
    let mut asked = None;
    #[allow(clippy::result_large_err, reason = "the signature is the library's")]
    let callback = |handshake: &Handshake, response: Response| -> Result<Response, ErrorResponse> {
        let lines = handshake.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        let head = lines.collect::<Vec<_>>().join("\n");
        let request = Asked { uri: handshake.uri().to_string(), head, body: String::new() };
        let refusal = shared.refusals.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        if let Some((status, header)) = refusal {
            shared.asked.lock().unwrap_or_else(PoisonError::into_inner).push(request);
            let mut response = ErrorResponse::new(Some("not you".to_owned()));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            if let Some((name, value)) = header.split_once(": ") {
                let name: tokio_tungstenite::tungstenite::http::HeaderName = name.parse().unwrap();
                response.headers_mut().insert(name, value.parse().unwrap());
            }
            return Err(response);
        }
        asked = Some(request);
        Ok(response)
    };
    if let Ok(socket) = accept_hdr_async(tcp, callback).await {
        drop(out.send(Visit { asked: asked.unwrap(), socket }).await);
    }
}

async fn plain(mut tcp: TcpStream, shared: &Shared) {
    let mut bytes = Vec::new();
    let (head, mut body) = loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            break (head.to_owned(), body.as_bytes().to_vec());
        }
        if tcp.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let uri = head.split_whitespace().nth(1).unwrap().to_owned();
    let mut asked = Asked { uri, head: head.replace('\r', ""), body: String::new() };
    let length = asked.header("content-length").map_or(0, |text| text.parse().unwrap());
    while body.len() < length && tcp.read_buf(&mut body).await.unwrap_or(0) > 0 {}
    asked.body = String::from_utf8(body).unwrap();
    let (status, headers, body) = (shared.respond)(&asked);
    shared.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    let headers = if headers.is_empty() { headers } else { format!("{headers}\r\n") };
    let answer =
        format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    drop(tcp.write_all(answer.as_bytes()).await);
    drop(tcp.shutdown().await);
}
