//! How long from a frame on the wire to a message at a receiver, under load.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;

use super::corpus::rules::{alarm, alarms};
use super::corpus::{Corpus, Draft};
use super::daemon::Daemon;
use super::measure::Spread;
use super::sink::Sink;
use super::stream::{Listener, Stream};

/// One frame in so many is a sample.
const SAMPLE_EVERY: u32 = 97;
/// Until here caches are cold and connections are new; a daemon that runs for weeks is neither.
const WARM_UP: usize = 10;

#[derive(Debug, Parser)]
pub struct Latency {
    /// Messages to time
    #[arg(long, default_value_t = 600)]
    samples: usize,
    /// Frames a second
    #[arg(long, default_value_t = 2000)]
    rate: u32,
    /// Incidents that are open before the first is timed
    #[arg(long, default_value_t = WARM_UP)]
    open: usize,
}

impl Latency {
    /// As without arguments.
    pub fn all() -> Self {
        Self::parse_from(["latency"])
    }

    pub fn run(self, seed: u64) {
        let (stream, sink) = (Stream::open(), Sink::open());
        let samples = self.samples + self.open;
        let daemon = Daemon::start(&stream, &sink, &alarms(samples));
        let mut listener = stream.listener();
        let sent = thread::scope(|scope| {
            let sender = scope.spawn(|| self.send(samples, &mut listener, seed));
            let mut received: Vec<Option<Instant>> = vec![None; samples];
            while received.contains(&None) {
                let taken = sink.next();
                let sample = taken.topic().strip_prefix("alarm-").filter(|_| taken.opens());
                if let Some(sample) = sample {
                    received[sample.parse::<usize>().unwrap()] = Some(taken.at);
                }
            }
            sender.join().unwrap().into_iter().zip(received).collect::<Vec<_>>()
        });
        let took = |(sent, received): (Instant, Option<Instant>)| received.unwrap() - sent;
        let took: Vec<Duration> = sent.into_iter().skip(self.open).map(took).collect();
        println!(
            "latency   frame sent to webhook received, commit included, {} frames/s: {} ({} incidents, {} open before)",
            self.rate,
            Spread::of(took),
            self.samples,
            self.open
        );
        drop(daemon);
    }

    /// Sends at the asked pace, each frame by itself; tells when each sample left.
    fn send(&self, samples: usize, listener: &mut Listener, seed: u64) -> Vec<Instant> {
        let mut corpus = Corpus::new(seed);
        let (mut frame, mut sent) = (String::new(), Vec::new());
        let began = Instant::now();
        for index in 0.. {
            let due = began + Duration::from_secs(1) * index / self.rate;
            let is_sample = index % SAMPLE_EVERY == SAMPLE_EVERY - 1;
            let now = micros_now();
            if is_sample {
                corpus.post(now, &Draft::english(&alarm(sent.len())), &mut frame);
            } else {
                corpus.frame(now, &mut frame);
            }
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if is_sample {
                sent.push(Instant::now());
            }
            listener.send(&frame);
            if sent.len() == samples {
                break;
            }
        }
        sent
    }
}

pub fn micros_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}
