//! A WebSocket server on loopback whose side of the conversation the test speaks, line by line.

use std::collections::HashMap;

use futures_util::{FutureExt, SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};
use url::Url;

use super::PATIENCE;

/// The server.
pub struct SimSocket {
    listener: TcpListener,
}

/// One connection to it.
pub struct Peer {
    pub uri: String,
    pub headers: HashMap<String, String>,
    socket: WebSocketStream<TcpStream>,
}

impl SimSocket {
    pub async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub fn url(&self, path: &str) -> Url {
        format!("ws://{}{path}", self.listener.local_addr().unwrap()).parse().unwrap()
    }

    /// The next connection.
    pub async fn peer(&self) -> Peer {
        let (tcp, _) = timeout(PATIENCE, self.listener.accept()).await.expect("nobody connects").unwrap();
        let (mut uri, mut headers) = (String::new(), HashMap::new());
        #[allow(clippy::result_large_err, reason = "the signature is the library's")]
        let note = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            uri = request.uri().to_string();
            let all = request.headers().iter();
            headers = all.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
            Ok(response)
        };
        let socket = accept_hdr_async(tcp, note).await.unwrap();
        Peer { uri, headers, socket }
    }
}

impl Peer {
    pub async fn says(&mut self, text: impl ToString) {
        self.socket.send(Message::text(text.to_string())).await.unwrap();
    }

    /// The next text that comes.
    pub async fn hears(&mut self) -> String {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("nothing is said").unwrap().unwrap() {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("a text was expected, came {other:?}"),
            }
        }
    }

    pub async fn hears_json(&mut self) -> Value {
        serde_json::from_str(&self.hears().await).unwrap()
    }

    /// Whether a text has come already.
    pub fn has_heard(&mut self) -> bool {
        while let Some(received) = self.socket.next().now_or_never() {
            if matches!(received, Some(Ok(Message::Text(_)))) {
                return true;
            }
        }
        false
    }

    /// Answers pings while something else is waited for.
    pub async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> T {
        let idle = async {
            while let Some(Ok(_)) = self.socket.next().await {}
            std::future::pending::<()>().await;
        };
        tokio::select! {
            done = work => done,
            () = idle => unreachable!(),
        }
    }

    /// Ends the connection with a code.
    pub async fn closes(mut self, code: u16) {
        self.socket.close(Some(CloseFrame { code: code.into(), reason: "".into() })).await.unwrap();
        self.ended().await;
    }

    /// Waits for the other side's end, and gives its code.
    pub async fn ended(&mut self) -> Option<u16> {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("it never ended") {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }
}
