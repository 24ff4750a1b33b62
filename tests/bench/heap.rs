//! `cargo bench --bench heap`: what is allocated, by rules and by frames.
//!
//! A program of its own, because counting every allocation would slow down what
//! `--bench bench` times. Counted are bytes asked for, not what the allocator adds.

#![allow(
    unreachable_pub,
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    reason = "a program of its own, which prints and shares modules with another; whatever goes wrong ends it"
)]

mod corpus;
mod machine;
mod measure;
mod rng;
mod subject;

use allocation_counter::{AllocationInfo, measure};
use clap::Parser;
use stormbell::domain::matcher::Matcher;

use corpus::Recording;
use corpus::hostile::bombs;
use corpus::rules::{Set, file};
use subject::{Queries, Reader, load, query};

/// Rules in one file, whose size is limited.
const RULES_PER_FILE: usize = 20_000;
/// Words of a rule bomb.
const LEAVES: usize = 10_000;

/// Counts what stormbell allocates.
#[derive(Debug, Parser)]
struct Arguments {
    /// Frames read
    #[arg(long, default_value_t = 20_000)]
    frames: usize,
    /// Numbers of rules
    #[arg(long, value_delimiter = ',', default_values_t = [1000, 10_000, 100_000])]
    rules: Vec<usize>,
    /// Decides frames and rules
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Given by `cargo bench`; without it nothing is counted.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let heap = Arguments::parse();
    if !heap.bench {
        println!("not measured: run `cargo bench --bench heap`");
        return;
    }
    let recording = Recording::new(heap.seed, heap.frames);
    println!("corpus    {}", recording.account());
    for &count in &heap.rules {
        let queries = Queries::new(Set::Mixed, count, heap.seed);
        rules(&queries);
        frames(&queries, &recording);
    }
    bombs_of(heap.seed);
}

/// What the work gave, and what it allocated on this thread.
fn counted<T>(work: impl FnOnce() -> T) -> (T, AllocationInfo) {
    let mut result = None;
    let info = measure(|| result = Some(work()));
    (result.unwrap(), info)
}

/// What rules keep.
fn rules(queries: &Queries) {
    let count = queries.parsed.len();
    let (_parsed, trees) = counted(|| queries.parsed.clone());
    let (_matcher, built) = counted(|| Matcher::new(&queries.parsed));
    let folder = machine::folder();
    let texts: Vec<&str> = queries.written.iter().map(|written| written.query.as_str()).collect();
    let paths = texts.chunks(RULES_PER_FILE).enumerate().map(|(place, texts)| {
        let path = folder.path().join(format!("rules-{place}.toml"));
        std::fs::write(&path, file(texts.iter().copied(), place * RULES_PER_FILE)).unwrap();
        path
    });
    let paths: Vec<_> = paths.collect();
    let (_whole, loaded) = counted(|| load(&paths).rules);
    let per_rule = |bytes: i64| format!("{:.0}", bytes as f64 / count as f64);
    println!(
        "heap      {count} rules: matcher {} B a rule ({:.1} MB, {:.1} MB at most while built); queries {} B; whole rules (ids, titles, queries, matcher) {} B, {:.0} MB at most while read from files",
        per_rule(built.bytes_current),
        built.bytes_current as f64 / 1e6,
        built.bytes_max as f64 / 1e6,
        per_rule(trees.bytes_current),
        per_rule(loaded.bytes_current),
        loaded.bytes_max as f64 / 1e6,
    );
}

/// What frames cost once buffers have grown.
fn frames(queries: &Queries, recording: &Recording) {
    let matcher = Matcher::new(&queries.parsed);
    let mut reader = Reader::default();
    recording.frames().for_each(|frame| {
        reader.frame(frame, &matcher);
    });
    let mut kinds = [("without a post", 0, 0), ("with a post that matches nothing", 0, 0), ("that match", 0, 0)];
    for frame in recording.frames() {
        let (found, info) = counted(|| reader.frame(frame, &matcher));
        let (_, frames, allocations) = &mut kinds[found.map_or(0, |found| 1 + usize::from(found > 0))];
        *frames += 1;
        *allocations += info.count_total;
    }
    let kinds = kinds.map(|(name, frames, allocations)| {
        format!("{:.2} for each of {frames} frames {name}", allocations as f64 / f64::from(frames.max(1)))
    });
    println!("          allocations: {}", kinds.join("; "));
}

/// What rules made to explode keep, and need while they are built.
fn bombs_of(seed: u64) {
    for (name, text) in bombs(LEAVES, seed) {
        let (parsed, parsing) = counted(|| query(&text));
        let Ok(query) = parsed else {
            println!("bomb      {name}: refused, {:.1} MB at most", parsing.bytes_max as f64 / 1e6);
            continue;
        };
        let (_matcher, building) = counted(|| Matcher::new([&query]));
        println!(
            "bomb      {name}, {LEAVES} words: query {:.1} MB ({:.1} MB at most), matcher {:.1} MB ({:.1} MB at most)",
            parsing.bytes_current as f64 / 1e6,
            parsing.bytes_max as f64 / 1e6,
            building.bytes_current as f64 / 1e6,
            building.bytes_max as f64 / 1e6,
        );
    }
}
