//! Receivers and their worker, and drills.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod drill;
mod receivers;
mod worker;
