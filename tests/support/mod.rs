//! What suites share: servers that behave, and misbehave, like the real ones.
//!
//! Every suite compiles this for itself and uses a part of it.
#![allow(dead_code, reason = "each suite uses a part")]
#![allow(unreachable_pub, reason = "each suite is a crate of its own")]

pub mod clock;
pub mod frames;
pub mod jetstream;
pub mod proxy;
