//! What several suites share: a world that misbehaves on demand.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each suite is a program of its own and uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a broken world fails the test"
)]

pub mod browser;
pub mod child;
pub mod clock;
pub mod daemon;
pub mod database;
pub mod events;
pub mod firehose;
pub mod forum;
pub mod frames;
pub mod jetstream;
pub mod listener;
pub mod mail;
pub mod matrix;
pub mod message;
pub mod model;
pub mod nostr;
pub mod oidc;
pub mod outbox;
pub mod pretended;
pub mod privacy;
pub mod proxy;
pub mod reading;
pub mod screen;
pub mod sim;
pub mod sink;
pub mod socket;
pub mod synapse;
pub mod team;
pub mod tls;
pub mod visitor;
pub mod visits;
pub mod workshop;
pub mod x;

/// How long anything waits that must happen: so long that only what never comes is missed,
/// also on a machine that has other things to do.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_mins(1);
