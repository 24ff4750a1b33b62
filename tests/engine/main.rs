//! The engine over hours, days and weeks of virtual time: what is found, and who is told what, when and where.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod held;
mod joined;
mod keyed;
mod kills;
mod lessons;
mod muted;
mod new_terms;
mod people;
mod pipeline;
mod shares;
mod silences;
mod spikes;
