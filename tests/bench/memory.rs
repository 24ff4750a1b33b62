//! How much memory the daemon holds once it has seen an hour of stream.

use std::time::Instant;

use clap::Parser;

use super::corpus::rules::{Set, alarm, alarm_rule, file};
use super::corpus::{Corpus, Draft};
use super::daemon::Daemon;
use super::latency::micros_now;
use super::sink::Sink;
use super::stream::Stream;
use super::subject::Queries;

#[derive(Debug, Parser)]
pub struct Memory {
    /// Minutes of stream, played as fast as the daemon reads
    #[arg(long, default_value_t = 60)]
    minutes: u64,
    /// Frames a second of that stream
    #[arg(long, default_value_t = 150)]
    rate: u64,
}

impl Memory {
    /// As without arguments.
    pub fn all() -> Self {
        Self::parse_from(["memory"])
    }

    pub fn run(self, seed: u64) {
        let (stream, sink) = (Stream::open(), Sink::open());
        // An alarm nobody raises before the end tells that everything before it was read.
        let queries = Queries::new(Set::Mixed, 100, seed);
        let queries = queries.written.iter().map(|written| written.query.as_str());
        let rules = format!("{}{}", file(queries, 0), alarm_rule(0));
        let daemon = Daemon::start(&stream, &sink, &rules);
        let mut listener = stream.listener();
        let idle = daemon.memory("VmRSS");
        let (frames, began) = (self.minutes * 60 * self.rate, micros_now() - self.minutes * 60_000_000);
        let (mut corpus, mut frame, first) = (Corpus::new(seed), String::new(), Instant::now());
        for index in 0..frames {
            corpus.frame(began + index * 1_000_000 / self.rate, &mut frame);
            listener.write(&frame);
        }
        corpus.post(micros_now(), &Draft::english(&alarm(0)), &mut frame);
        listener.send(&frame);
        while sink.next().topic() != "alarm-0" {}
        let took = first.elapsed().as_secs_f64();
        println!(
            "memory    after {} min at {} frames/s ({frames} frames in {took:.1} s, {}): {} MB resident ({} MB of its own, the rest is the program and the database's index), {} MB at most; {} MB before",
            self.minutes,
            self.rate,
            corpus.account(),
            daemon.memory("VmRSS") / 1_000_000,
            daemon.memory("RssAnon") / 1_000_000,
            daemon.memory("VmHWM") / 1_000_000,
            idle / 1_000_000,
        );
    }
}
