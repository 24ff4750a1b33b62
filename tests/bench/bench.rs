//! `cargo bench --bench bench -- …`: the figures of BENCHMARKS.md, measured anew.
//!
//! `matcher` and `socket` time the program's own functions on frames in memory and off a
//! real connection; `replay`, `latency` and `memory` run the release binary as people run
//! it; `peers` puts other programs beside it. Everything comes from a seeded corpus.
//! What is allocated is counted by a program of its own (`--bench heap`), because counting
//! costs time.

#![allow(
    unreachable_pub,
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
    reason = "a program of its own, which reads clocks and prints; whatever goes wrong ends it"
)]

mod console;
mod corpus;
mod daemon;
mod delivery;
mod gate;
mod latency;
mod machine;
mod matcher;
mod measure;
mod memory;
#[path = "../support/message.rs"]
#[allow(dead_code, missing_docs, reason = "shared with the suites")]
mod message;
mod packs;
mod peers;
mod replay;
mod rng;
mod sink;
mod soak;
mod socket;
mod sources;
mod stream;
mod subject;
mod volume;

use clap::{Parser, Subcommand};

/// Measures stormbell on this machine.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    /// Decides frames and rules
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
    /// Given by `cargo bench`; without it (`cargo test --all-targets`) nothing is measured.
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Frames in memory to matched rules, one thread
    Matcher(matcher::Matcher),
    /// The same off a WebSocket, and from a frame written to a rule matched
    Socket(socket::Socket),
    /// Frames a second of the whole program, on one core and two
    Replay(replay::Replay),
    /// From a frame sent to a webhook received
    Latency(latency::Latency),
    /// Commits a second, and ten thousand messages that waited for a receiver
    Deliveries(delivery::Deliveries),
    /// Frames a second of each kind of source, and memory of a hundred that are silent
    Sources(sources::Sources),
    /// Pages beside slow connections, memory of viewers, bytes of the first page
    Console(console::Console),
    /// Memory of the daemon after an hour of stream
    Memory(memory::Memory),
    /// Half an hour of a full stream: memory, files and SQLite's log do not grow
    Soak(soak::Soak),
    /// Other programs on the same frames and rules
    Peers(peers::Peers),
    /// What the packs find in labelled posts, and what they find falsely
    Packs(packs::Packs),
    /// What is unusual: promises kept and bursts caught on simulated streams
    Volume(volume::Volume),
}

fn main() {
    let Arguments { what, seed, bench } = Arguments::parse();
    if !bench {
        println!("not measured: run `cargo bench --bench bench`");
        return;
    }
    machine::describe();
    match what {
        Some(What::Matcher(matcher)) => matcher.run(seed),
        Some(What::Socket(socket)) => socket.run(seed),
        Some(What::Replay(replay)) => replay.run(seed),
        Some(What::Latency(latency)) => latency.run(seed),
        Some(What::Deliveries(deliveries)) => deliveries.run(),
        Some(What::Sources(sources)) => sources.run(),
        Some(What::Console(console)) => console.run(seed),
        Some(What::Memory(memory)) => memory.run(seed),
        Some(What::Soak(soak)) => soak.run(seed),
        Some(What::Peers(peers)) => peers.run(seed),
        Some(What::Packs(packs)) => packs.run(),
        Some(What::Volume(volume)) => volume.run(seed),
        None => {
            matcher::Matcher::all().run(seed);
            socket::Socket::all().run(seed);
            replay::Replay::all().run(seed);
            latency::Latency::all().run(seed);
            delivery::Deliveries::all().run();
            console::Console::all().run(seed);
            memory::Memory::all().run(seed);
        }
    }
}
