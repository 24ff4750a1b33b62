//! Against servers and clients that others wrote. Each test needs packages that `.ci/run` installs.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod chats;
mod clients;
mod communities;
mod documents;
mod pagerduty;
mod receivers;
mod servers;
mod webhook;
