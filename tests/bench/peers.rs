//! Other programs on the same frames and rules, each given what it can express.
//!
//! Words and phrases for those that search for strings, regexes besides for those that
//! search for patterns. Each goes from frames to the rules that matched; `rg` is let off
//! lightly: it searches whole frames and does not say which rule it found. Ratios are to
//! stormbell in the same minutes, with the same rules and the same source of frames.

mod crates;
mod outside;
mod table;

use std::time::Duration;

use clap::Parser;

use self::table::{Figure, Row, Scope, Source, Table};
use super::corpus::Recording;
use super::gate::exact;
use super::measure::{Best, CHUNK, chunks};
use super::socket::drain;
use super::stream::framed;
use super::subject::{Queries, Reader};

#[derive(Debug, Parser)]
pub struct Peers {
    /// Frames
    #[arg(long, default_value_t = 50_000)]
    frames: usize,
    /// Numbers of rules
    #[arg(long, value_delimiter = ',', default_values_t = [10, 1000, 10_000])]
    rules: Vec<usize>,
    /// Seconds of processor time each may take for each number of rules; who is slower sees fewer frames
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Fetch what is missing first: ripgrep from Debian, Python's packages into a folder under target/
    #[arg(long)]
    install: bool,
}

/// One number of rules of a scope.
struct Task<'a> {
    scope: Scope,
    queries: &'a Queries,
    recording: &'a Recording,
    budget: Duration,
}

impl Peers {
    pub fn run(self, seed: u64) {
        if self.install {
            outside::install();
        }
        let recording = Recording::new(seed, self.frames);
        println!("corpus    {}\n", recording.account());
        let mut table = Table::new(self.rules.clone());
        for scope in [Scope::Strings, Scope::Patterns] {
            for &count in &self.rules {
                let queries = &Queries::new(scope.set(), count, seed);
                if !queries.refused().is_empty() {
                    println!("{}: {}", scope.name(), queries.refused());
                }
                let budget = Duration::from_secs(self.seconds);
                measure(&Task { scope, queries, recording: &recording, budget }, &mut table);
            }
        }
        println!("{table}");
    }
}

fn measure(task: &Task<'_>, table: &mut Table) {
    let (scope, matcher) = (task.scope, exact(task.queries, task.recording));
    let mut reader = Reader::default();
    let mut add = |name, source, figure| table.add(Row { name, scope, source }, figure);
    add("stormbell", Source::Memory, Ok(in_memory(task, |frame| reader.frame(frame, &matcher))));
    add("stormbell", Source::Socket, Ok(off_a_socket(task, |frame| reader.frame(frame, &matcher))));
    add("tokio-tungstenite + serde_json + RegexSet", Source::Socket, crates::regex_set(task));
    if scope == Scope::Strings {
        add("daachorse + serde_json", Source::Memory, crates::daachorse(task));
        add("rg -F -i -w -c -f", Source::Memory, outside::ripgrep(task));
        add("pyahocorasick + orjson", Source::Memory, outside::python("aho.py", task));
    }
    add("google-re2 Set + orjson", Source::Memory, outside::python("re2_set.py", task));
    add("hyperscan + orjson", Source::Memory, outside::python("hyperscan_db.py", task));
}

/// Times a program of this process, chunk by chunk until its time is up, three rounds at
/// most. `work` gives how many rules matched, of frames with a post.
fn in_memory(task: &Task<'_>, mut work: impl FnMut(&[u8]) -> Option<usize>) -> Figure {
    let (mut best, mut posts, mut matches, mut spent) = (Best::default(), 0, 0, Duration::ZERO);
    'rounds: for _ in 0..3 {
        for (chunk, places) in chunks(task.recording).enumerate() {
            if spent > task.budget {
                break 'rounds;
            }
            spent += best.time(chunk, || {
                for found in task.recording.frames_of(places).filter_map(&mut work) {
                    posts += 1;
                    matches += found;
                }
            });
        }
    }
    let frames = task.recording.len().min(best.chunks() * CHUNK);
    Figure { frames_per_second: 1e9 / best.nanos_per(frames), matches_per_post: matches as f64 / f64::from(posts) }
}

/// Times a program of this process on frames off a WebSocket; as many as its time allows.
fn off_a_socket(task: &Task<'_>, mut work: impl FnMut(&[u8]) -> Option<usize>) -> Figure {
    let probe = Task { budget: Duration::from_millis(500), ..*task };
    let expected = in_memory(&probe, &mut work).frames_per_second * task.budget.as_secs_f64() / 3.0;
    // Who is that slow is not disturbed by neighbours: one run tells enough.
    let rounds = if expected < CHUNK as f64 { 1 } else { 3 };
    let frames = (expected as usize).clamp(CHUNK / 4, task.recording.len());
    let wire = framed(task.recording.frames_of(0..frames));
    let (mut posts, mut matches) = (0, 0);
    let mut once = |_| {
        drain(&wire, frames, |frame| {
            if let Some(found) = work(frame) {
                posts += 1;
                matches += found;
            }
        })
    };
    let best = (0..rounds).map(&mut once).min().unwrap_or_default();
    Figure {
        frames_per_second: frames as f64 / best.as_secs_f64(),
        matches_per_post: matches as f64 / f64::from(posts),
    }
}
