//! Frames off a real WebSocket: as many as one thread can take, and how soon after a frame
//! was written its rules are known.
//!
//! The connection is the program's own (`net::ws`), read as `source::reader` reads it:
//! whatever is there, then decoded and matched. The sender is a thread with a socket.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use futures_util::FutureExt as _;
use stormbell::config::model::Transport;
use stormbell::net::socket::{Received, Socket as Connection};
use stormbell::net::ws::Connector;
use stormbell::source::jetstream::peek_time_us;
use tokio::runtime::Builder;
use tokio_tungstenite::tungstenite::{self, Bytes};

use super::corpus::Recording;
use super::corpus::rules::Set;
use super::gate::exact;
use super::measure::{Spread, timed};
use super::stream::{Stream, framed};
use super::subject::{Queries, Reader};

/// Frames that the program takes off a connection before it hands them on.
const BATCH: usize = 256;
/// Frames of a latency run that come before caches are warm.
const WARM_UP: usize = 1000;

#[derive(Debug, Parser)]
pub struct Socket {
    /// Frames of a throughput run
    #[arg(long, default_value_t = 200_000)]
    frames: usize,
    /// Rules of the throughput runs
    #[arg(long, default_value_t = 1000)]
    rules: usize,
    /// Runs of each kind, of which the best counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Frames a second of the latency runs
    #[arg(long, default_value_t = 2000)]
    rate: u32,
    /// Rules of the latency runs
    #[arg(long, default_value_t = 10_000)]
    latency_rules: usize,
    /// Seconds of each latency run; there are three with rules and three without
    #[arg(long, default_value_t = 4)]
    seconds: u32,
}

impl Socket {
    /// As without arguments.
    pub fn all() -> Self {
        Self::parse_from(["socket"])
    }

    pub fn run(self, seed: u64) {
        let recording = Recording::new(seed, self.frames);
        println!("corpus    {}", recording.account());
        self.throughput(&recording, seed);
        self.latency(&recording, seed);
    }

    fn throughput(&self, recording: &Recording, seed: u64) {
        let matcher = exact(&Queries::new(Set::Mixed, self.rules, seed), recording);
        let wire = framed(recording.frames());
        let (mut null, mut rules) = (Duration::MAX, Duration::MAX);
        let mut reader = Reader::default();
        for _ in 0..self.rounds {
            null = null.min(drain(&wire, recording.len(), |frame| {
                black_box(frame);
            }));
            rules = rules.min(drain(&wire, recording.len(), |frame| {
                black_box((peek_time_us(frame), reader.frame(frame, &matcher)));
            }));
        }
        let rate = |took: Duration| recording.len() as f64 / took.as_secs_f64();
        println!(
            "socket    {} rules: {:.0} frames/s of the reading thread's processor time ({:.0} ns/frame); nothing but reading: {:.0} ({:.0} ns/frame); best of {}",
            self.rules,
            rate(rules),
            1e9 / rate(rules),
            rate(null),
            1e9 / rate(null),
            self.rounds,
        );
    }

    fn latency(&self, recording: &Recording, seed: u64) {
        let matcher = exact(&Queries::new(Set::Mixed, self.latency_rules, seed), recording);
        let frames: Vec<&[u8]> = recording.frames().take((self.rate * self.seconds) as usize).collect();
        let mut reader = Reader::default();
        let (mut null, mut every, mut some) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..3 {
            null.extend(self.paced(&frames, |_| 0).into_iter().map(|(took, _)| took));
            for (took, found) in self.paced(&frames, |frame| reader.frame(frame, &matcher).unwrap_or_default()) {
                every.push(took);
                if found > 0 {
                    some.push(took);
                }
            }
        }
        println!("latency   frame written to rules known, {} frames/s, {} rules:", self.rate, self.latency_rules);
        for (name, took) in [("nothing but reading", null), ("every frame", every), ("frames that match", some)] {
            println!("          {name:<20} {} ({} frames)", Spread::of(took.clone()).in_micros(), took.len());
        }
    }

    /// From each frame's writing to the end of the work on it, and what the work gave.
    fn paced(&self, frames: &[&[u8]], mut work: impl FnMut(&[u8]) -> usize) -> Vec<(Duration, usize)> {
        let stream = Stream::open();
        let url = stream.url();
        let (written, read) = thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let mut listener = stream.listener();
                let began = Instant::now();
                let send = |(index, frame): (u32, &&[u8])| {
                    let due = began + Duration::from_secs(1) * index / self.rate;
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    let wire = framed(std::iter::once(*frame));
                    let now = Instant::now();
                    listener.send_framed(&wire);
                    now
                };
                (0..).zip(frames).map(send).collect::<Vec<Instant>>()
            });
            let mut read = Vec::with_capacity(frames.len());
            receive(&url, frames.len(), |frame| {
                let found = work(frame);
                read.push((Instant::now(), found));
            });
            (sender.join().unwrap(), read)
        });
        let took = written.into_iter().zip(read).skip(WARM_UP);
        took.map(|(written, (read, found))| (read - written, found)).collect()
    }
}

/// Processor time that reading so many frames and the work on them takes, while another
/// thread sends them as fast as it can.
pub fn drain(wire: &[u8], frames: usize, work: impl FnMut(&[u8])) -> Duration {
    let stream = Stream::open();
    let url = stream.url();
    thread::scope(|scope| {
        scope.spawn(|| stream.listener().send_framed(wire));
        timed(|| receive(&url, frames, work)).1
    })
}

/// Connects and works on so many frames as they come.
fn receive(url: &str, frames: usize, mut work: impl FnMut(&[u8])) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let connector = Connector::new(Transport::default(), Duration::from_secs(10), 1 << 20);
        let mut connection = connector.connect(&url.parse().unwrap()).await.unwrap();
        let (mut batch, mut done) = (Vec::with_capacity(BATCH), 0);
        while done < frames {
            fill(&mut connection, &mut batch).await;
            done += batch.len();
            batch.drain(..).for_each(|frame| work(&frame));
        }
    });
}

/// Waits for a frame, and takes whatever else is there.
async fn fill(connection: &mut Connection, batch: &mut Vec<Bytes>) {
    batch.push(frame(connection.next().await).expect("the stream ended early"));
    while batch.len() < BATCH {
        let Some(frame) = connection.next().now_or_never().and_then(frame) else { return };
        batch.push(frame);
    }
}

fn frame(received: Option<Result<Received, tungstenite::Error>>) -> Option<Bytes> {
    match received {
        Some(Ok(Received::Frame(bytes))) => Some(bytes),
        _ => None,
    }
}
