//! What each kind of source costs: reading one of its frames, and being there without any.

use std::fs;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clap::Parser;
use stormbell::config::environment::Environment;
use stormbell::config::load::{SecretPolicy, parse};
use stormbell::domain::diagnostic::SourceText;
use stormbell::domain::event::SourceEvent;
use stormbell::domain::id::SourceName;
use stormbell::domain::time::Timestamp;
use stormbell::source::{Format, Frame, feed};
use tokio_tungstenite::tungstenite;

use super::corpus::rules::{alarm_rule, file};
use super::daemon::{Daemon, USUAL};
use super::measure::timed;
use super::sink::Sink;

/// A frame is read for so long, over and over, and so often; the best of those counts.
const LONG: Duration = Duration::from_millis(300);
const ROUNDS: usize = 5;
/// Frames that are read between two looks at the clock.
const BETWEEN: usize = 200;

/// Measures sources: frames a second of each kind's decoder, and memory of many that are silent.
#[derive(Debug, Parser)]
pub struct Sources {
    /// Sources that are read and silent
    #[arg(long, default_value_t = 100)]
    idle: usize,
    /// Folder of recorded frames, one folder a kind
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/seeds"))]
    frames: PathBuf,
}

impl Sources {
    pub fn run(self) {
        for (name, format) in formats() {
            self.decode(name, &format);
        }
        self.feed();
        self.idle();
    }

    /// What is recorded of a kind, each frame one event, and of those the ones that carry a post.
    fn recorded(&self, name: &str, format: &Format) -> Vec<Vec<u8>> {
        let folder = match name {
            "eventsub" => "twitch",
            "meta" | "discourse" => "webhook",
            "recentchange" => "eventstreams",
            name => name,
        };
        let mut split = Vec::new();
        for text in files(&self.frames.join(folder)) {
            // Recordings of the firehose are in base64.
            let text = if name == "atproto" { BASE64_STANDARD.encode(&text).into_bytes() } else { text };
            let whole = |body: &[u8]| Frame { received_at: None, body: Ok(body.to_vec().into()) };
            format.split(whole(&text), &mut split);
            // Some recordings have a frame a line.
            text.split(|byte| *byte == b'\n').for_each(|line| format.split(whole(line), &mut split));
        }
        let bodies = split.into_iter().filter_map(|frame| frame.body.ok());
        let source = SourceName::from("s");
        let has_post = |body: &[u8]| matches!(format.decode(&source, body, Some(NOW)).event, Ok(SourceEvent::Post(_)));
        bodies.filter(|body| has_post(body)).map(|body| body.to_vec()).collect()
    }

    fn decode(&self, name: &str, format: &Format) {
        let frames = self.recorded(name, format);
        if frames.is_empty() {
            println!("decode    {name}: no recorded frame carries a post");
            return;
        }
        let (source, bytes) = (SourceName::from("s"), frames.iter().map(Vec::len).sum::<usize>() / frames.len());
        let rate = best(|| {
            for frame in frames.iter().cycle().take(BETWEEN) {
                drop(black_box(format.decode(&source, black_box(frame), Some(NOW))));
            }
        });
        println!("decode    {name}: {rate:.0} frames/s of one core, posts of {bytes} B");
    }

    /// A document is no frame: it is read whole, and is counted in items.
    fn feed(&self) {
        let base = "https://blog.example/feed.xml".parse().unwrap();
        let documents: Vec<Vec<u8>> = files(&self.frames.join("feed"));
        if documents.is_empty() {
            println!("decode    feed: no recorded document");
            return;
        }
        let bytes = documents.iter().map(Vec::len).sum::<usize>() / documents.len();
        let rate = best(|| {
            for document in documents.iter().cycle().take(BETWEEN) {
                drop(black_box(feed::read(black_box(document), None, &base)));
            }
        });
        println!("decode    feed: {rate:.0} documents/s of one core, of {bytes} B");
    }

    fn idle(&self) {
        let sink = Sink::open();
        let (listener, (connected, connections)) = (TcpListener::bind("127.0.0.1:0").unwrap(), channel());
        let at = listener.local_addr().unwrap();
        thread::spawn(move || listener.incoming().flatten().for_each(|tcp| silent(tcp, connected.clone())));
        let source = |number: usize| {
            let (kind, url) = match number % 4 {
                0 => ("jetstream", format!("ws://{at}/ws/{number}")),
                1 => ("atproto", format!("ws://{at}")),
                2 => ("feed", format!("http://{at}/feed/{number}")),
                _ => ("nostr", format!("ws://{at}/ws/{number}")),
            };
            format!("[[source]]\nname = \"s{number}\"\nkind = \"{kind}\"\nurl = \"{url}\"\n")
        };
        let rules = format!("{}{}", file(std::iter::empty(), 0), alarm_rule(0));
        let none = Daemon::of(&source(0), USUAL, &sink, &rules);
        connections.recv().unwrap();
        let one = settled(&none);
        drop(none);
        let sources: String = (0..self.idle).map(source).collect();
        let daemon = Daemon::of(&sources, USUAL, &sink, &rules);
        (0..self.idle).for_each(|_| connections.recv().unwrap());
        let all = settled(&daemon);
        println!(
            "idle      {} sources that are silent: {:.1} MB resident in all, {:.1} MB with one of them: {:.0} kB for each",
            self.idle,
            all as f64 / 1e6,
            one as f64 / 1e6,
            all.saturating_sub(one) as f64 / 1e3 / (self.idle - 1) as f64,
        );
    }
}

const NOW: Timestamp = Timestamp::from_micros(1_795_361_895_000_000);

/// Each kind's decoder; that of JSON of any shape by the mapping of the documentation.
fn formats() -> Vec<(&'static str, Format)> {
    let text = include_str!("../../deploy/sources.toml").to_owned();
    let text = Arc::new(SourceText { name: "sources.toml".to_owned(), text });
    let home = Environment::from_iter([("HOME", "/")]);
    let loaded = parse(&text, Path::new("/"), &home, SecretPolicy::MayBeAbsent);
    let sources = loaded.config.unwrap().sources;
    let any = Format::of(&sources.iter().find(|source| source.name.as_str() == "forum").unwrap().kind);
    // Of a feed, frames are posts in our own form.
    Format::ALL.into_iter().map(|format| (format.as_str(), format)).chain([("websocket", any)]).collect::<Vec<_>>()
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(files) = fs::read_dir(folder) else { return Vec::new() };
    files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

/// Times a second of one of the things that the work does [`BETWEEN`] of.
fn best(mut work: impl FnMut()) -> f64 {
    let round = |work: &mut dyn FnMut()| {
        let (mut took, mut done) = (Duration::ZERO, 0_usize);
        while took < LONG {
            took += timed(&mut *work).1;
            done += BETWEEN;
        }
        done as f64 / took.as_secs_f64()
    };
    (0..ROUNDS).map(|_| round(&mut work)).fold(0.0, f64::max)
}

/// Memory once all that was begun is done.
fn settled(daemon: &Daemon) -> u64 {
    let mut before = daemon.memory("VmRSS");
    loop {
        thread::sleep(Duration::from_secs(2));
        let now = daemon.memory("VmRSS");
        if now <= before + before / 200 {
            return now;
        }
        before = now;
    }
}

/// Answers and says nothing more; tells when.
fn silent(mut tcp: TcpStream, connected: Sender<()>) {
    thread::spawn(move || {
        let mut start = [0; 8];
        let Ok(read) = tcp.peek(&mut start) else { return };
        if start[..read].starts_with(b"GET /fee") {
            let mut request = [0; 4096];
            let body = "<rss version=\"2.0\"><channel><title>B</title></channel></rss>";
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
            if tcp.read(&mut request).is_ok() && tcp.write_all(answer.as_bytes()).is_ok() {
                connected.send(()).unwrap_or_default();
            }
            return;
        }
        let Ok(mut socket) = tungstenite::accept(tcp) else { return };
        connected.send(()).unwrap_or_default();
        // Relays are asked something, and are silent all the same once they said that there is nothing.
        while let Ok(said) = socket.read() {
            if let Ok(text) = said.to_text()
                && text.starts_with("[\"REQ\"")
            {
                socket.send(tungstenite::Message::text("[\"EOSE\",\"live\"]")).unwrap_or_default();
            }
        }
    });
}
