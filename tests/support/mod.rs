//! What several suites need.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should fail"
)]
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each suite uses its own part")]

pub mod model;
pub mod sim;
