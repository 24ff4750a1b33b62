//! A Jetstream on loopback that sends what it is told, to one listener.

use std::net::{TcpListener, TcpStream};

use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

/// A server nobody has connected to yet.
pub struct Stream(TcpListener);

impl Stream {
    pub fn open() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub fn url(&self) -> String {
        format!("ws://{}/subscribe", self.0.local_addr().unwrap())
    }

    /// Waits for the listener.
    pub fn listener(&self) -> Listener {
        let (socket, _) = self.0.accept().unwrap();
        socket.set_nodelay(true).unwrap();
        Listener(tungstenite::accept(socket).unwrap())
    }
}

/// Nothing it says is read: while frames come it has no reason to ping.
pub struct Listener(WebSocket<TcpStream>);

impl Listener {
    /// Sends a frame once there is enough to send.
    pub fn write(&mut self, frame: &str) {
        self.0.write(Message::text(frame)).unwrap();
    }

    /// Sends a frame, alone, at once.
    pub fn send(&mut self, frame: &str) {
        self.0.send(Message::text(frame)).unwrap();
    }
}
