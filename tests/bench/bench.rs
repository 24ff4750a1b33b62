//! `cargo bench --bench bench -- …`: the figures of BENCHMARKS.md, measured anew.
//!
//! Everything is measured from outside, on the release binary as people run it: frames
//! of a seeded corpus go in, through a file or a socket, and what comes out is timed.
//! Micro-measurements of single functions are left to `perf`: they say where time goes,
//! these say whether anybody would notice.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    reason = "a program of its own, which reads clocks and prints; whatever goes wrong ends it"
)]

mod corpus;
mod daemon;
mod latency;
mod machine;
mod memory;
mod packs;
mod replay;
mod sink;
mod stream;

use clap::{Parser, Subcommand};

/// Measures stormbell on this machine.
#[derive(Debug, Parser)]
struct Bench {
    #[command(subcommand)]
    what: Option<What>,
    /// Given by `cargo bench`; without it (`cargo test --all-targets`) nothing is measured.
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Frames a second of `replay` on one core
    Replay(replay::Replay),
    /// From a frame sent to a webhook received
    Latency(latency::Latency),
    /// Memory of the daemon after an hour of stream
    Memory(memory::Memory),
    /// What the packs find in labelled posts, and what they find falsely
    Packs(packs::Packs),
}

fn main() {
    let Bench { what, bench } = Bench::parse();
    if !bench {
        println!("not measured: run `cargo bench --bench bench`");
        return;
    }
    machine::describe();
    match what {
        Some(What::Replay(replay)) => replay.run(),
        Some(What::Latency(latency)) => latency.run(),
        Some(What::Memory(memory)) => memory.run(),
        Some(What::Packs(packs)) => packs.run(),
        None => {
            replay::Replay::default().run();
            latency::Latency::default().run();
            memory::Memory::default().run();
        }
    }
}
