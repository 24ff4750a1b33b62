//! What is written for people holds: links lead somewhere, commands run, examples pass `check`, and nothing that the
//! program says of itself lacks an entry. Needs no network; `.ci/run` builds the book itself.

#![cfg(test)]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod book;
mod commands;
mod examples;
mod links;
mod metrics;
mod named;
mod world;
