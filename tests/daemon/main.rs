//! The built program as its service runs it, with clocks, disks, networks and kills that misbehave.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod clock;
mod config;
mod crash;
mod disk;
mod egress;
mod log;
mod privacy;
mod whole;
