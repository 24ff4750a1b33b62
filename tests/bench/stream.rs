//! A Jetstream on loopback that sends what it is told, to one listener.

use std::io::Write;
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

    /// Sends what was written and still waits for more.
    pub fn flush(&mut self) {
        self.0.flush().unwrap();
    }

    /// Sends a frame, alone, at once.
    pub fn send(&mut self, frame: &str) {
        self.0.send(Message::text(frame)).unwrap();
    }

    /// Sends frames that [`framed`] has made ready, as fast as they are taken.
    pub fn send_framed(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(1 << 16) {
            self.0.get_mut().write_all(piece).unwrap();
        }
    }
}

/// Frames with the headers a server puts before them (RFC 6455 §5.2: whole text messages,
/// without a mask), so that the sender costs next to nothing.
pub fn framed<'a>(frames: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    const WHOLE_TEXT: u8 = 0x81;
    let mut bytes = Vec::new();
    for frame in frames {
        bytes.push(WHOLE_TEXT);
        match (u8::try_from(frame.len()), u16::try_from(frame.len())) {
            (Ok(length @ 0..126), _) => bytes.push(length),
            (_, Ok(length)) => {
                bytes.push(126);
                bytes.extend(length.to_be_bytes());
            }
            _ => {
                bytes.push(127);
                bytes.extend((frame.len() as u64).to_be_bytes());
            }
        }
        bytes.extend(frame);
    }
    bytes
}
