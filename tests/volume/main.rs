//! What is unusual: agreement with the reference, promises kept, faults that must not alarm.

#![cfg(test)]
#![allow(
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small whole numbers, and whatever goes wrong fails the test"
)]

#[path = "../bench/rng.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the benchmark")]
mod rng;

mod faults;
mod fidelity;
#[allow(unreachable_pub, reason = "shared with the benchmark")]
mod streams;
