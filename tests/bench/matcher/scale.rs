//! From few rules to many, and from one kind to another.

use std::hint::black_box;

use stormbell::domain::matcher::Matcher;

use crate::corpus::Recording;
use crate::corpus::rules::Set;
use crate::gate;
use crate::measure::{Best, BestOfEach, Spread, chunks, timed};
use crate::subject::{Queries, Reader};

/// A byte that no frame holds.
const ABSENT: u8 = 0;

/// What one set of rules costs.
struct Cost {
    /// Decoding and matching, in ns for each frame.
    whole: f64,
    /// Decoding alone.
    decode: f64,
    /// Looking for one absent byte.
    memchr: f64,
    matches_per_post: f64,
    each: Spread,
}

/// Prints a row for each set.
pub fn measure(name: &str, sets: &[(Set, usize)], recording: &Recording, rounds: usize, seed: u64) {
    println!("\nmatcher   {name}; processor time of one thread, best of {rounds} rounds for each 2,000 frames");
    println!(
        "          rules             frames/s  ns/frame  decode  × memchr  matches/post  frame µs: p50    p99    max   parse s  build s"
    );
    let mut costs = Vec::new();
    for &(set, count) in sets {
        let (queries, parsing) = timed(|| Queries::new(set, count, seed));
        let (matcher, building) = timed(|| Matcher::new(&queries.parsed));
        let verdict = gate::check(&matcher, &queries, recording);
        let cost = cost(&matcher, recording, rounds);
        println!(
            "          {count:>7} {:<8} {:>9.0} {:>9.0} {:>7.0} {:>9.1} {:>13.3} {:>14.2} {:>6.1} {:>6.0} {:>9.2} {:>8.2}",
            short(set),
            1e9 / cost.whole,
            cost.whole,
            cost.decode,
            cost.whole / cost.memchr,
            cost.matches_per_post,
            cost.each.micros(0.5),
            cost.each.micros(0.99),
            cost.each.micros(1.0),
            parsing.as_secs_f64(),
            building.as_secs_f64(),
        );
        println!("                  exact: {verdict}");
        if !queries.refused().is_empty() {
            println!("                  {}", queries.refused());
        }
        costs.push((set, count, cost.whole));
    }
    compare(&costs);
}

/// The two ratios that have a target.
fn compare(costs: &[(Set, usize, f64)]) {
    let of = |set, count| costs.iter().find(|cost| (cost.0, cost.1) == (set, count)).map(|cost| cost.2);
    if let (Some(few), Some(many)) = (of(Set::Mixed, 10), of(Set::Mixed, 10_000)) {
        println!("          growth from 10 to 10,000 rules: × {:.2}", many / few);
    }
    if let (Some(mixed), Some(common)) = (of(Set::Mixed, 10_000), of(Set::Common, 10_000)) {
        println!("          common phrases and Japanese words to mixed rules: × {:.2}", common / mixed);
    }
}

fn cost(matcher: &Matcher, recording: &Recording, rounds: usize) -> Cost {
    let mut reader = Reader::default();
    let (mut whole, mut decode, mut pass) = (Best::default(), Best::default(), Best::default());
    let (mut posts, mut taken) = (0, 0);
    for _ in 0..rounds {
        (posts, taken) = (0, 0);
        for (chunk, places) in chunks(recording).enumerate() {
            pass.time(chunk, || {
                black_box(memchr::memchr(ABSENT, recording.bytes_of(places.clone())));
            });
            decode.time(chunk, || {
                for frame in recording.frames_of(places.clone()) {
                    black_box(reader.read(frame));
                }
            });
            whole.time(chunk, || {
                for found in recording.frames_of(places).filter_map(|frame| reader.frame(frame, matcher)) {
                    posts += 1;
                    taken += found;
                }
            });
        }
    }
    let each = BestOfEach::time(recording, rounds.min(3), |frame| {
        black_box(reader.frame(frame, matcher));
    });
    let frames = recording.len();
    Cost {
        whole: whole.nanos_per(frames),
        decode: decode.nanos_per(frames),
        memchr: pass.nanos_per(frames),
        matches_per_post: taken as f64 / f64::from(posts),
        each: each.spread(),
    }
}

const fn short(set: Set) -> &'static str {
    match set {
        Set::Mixed => "mixed",
        Set::Words => "words",
        Set::Common => "common",
        Set::WordsAndPhrases => "phrases",
        Set::WordsPhrasesRegexes => "regexes",
    }
}
