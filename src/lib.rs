//! Stormbell listens to social streams for a hospital and rings the right people.
//!
//! The library holds everything; the binary only turns arguments into a call.
//! `ARCHITECTURE.md` tells how the modules fit, `INVARIANTS.md` what always holds.
//! Modules are listed in the order in which they build on each other.

pub mod domain;

pub mod report;
pub mod rng;
pub mod telemetry;
pub mod wire;

pub mod config;

pub mod net;

pub mod demo;
pub mod desk;
pub mod notify;
pub mod source;
pub mod store;
pub mod web;

pub mod app;
pub mod cli;
