//! A webhook receiver that takes everything and notes when.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything that works takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running receiver.
pub struct Sink {
    url: String,
    taken: Receiver<Taken>,
}

/// A message and when its last byte was here.
pub struct Taken {
    pub at: Instant,
    pub message: Value,
}

impl Taken {
    /// What the incident is about.
    pub fn topic(&self) -> &str {
        self.message["incident"]["topic"].as_str().unwrap()
    }

    pub fn opens(&self) -> bool {
        self.message["type"] == "incident.opened"
    }
}

impl Sink {
    pub fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (out, taken) = sync_channel(1 << 16);
        thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let out = out.clone();
                thread::spawn(move || serve(&socket, &out));
            }
        });
        Self { url, taken }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The next message.
    pub fn next(&self) -> Taken {
        self.taken.recv_timeout(PATIENCE).expect("the webhook is silent")
    }
}

/// Takes requests until the other side hangs up.
fn serve(socket: &TcpStream, out: &SyncSender<Taken>) -> Option<()> {
    let mut reader = BufReader::new(socket);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|&read| read > 0)?;
            if line.trim_end().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let at = Instant::now();
        (&mut &*socket).write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok()?;
        out.send(Taken { at, message: serde_json::from_slice(&body).unwrap() }).ok()?;
    }
}
