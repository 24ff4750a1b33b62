//! Popups on desktops: the daemon's own, and those of desks.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod desks;
mod desktop;
mod popups;
