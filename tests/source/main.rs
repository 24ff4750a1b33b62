//! Sources against servers on loopback that behave as the real ones do, and misbehave as they do; and what was
//! recorded from real ones.

#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod atproto;
mod chats;
mod eventstreams;
mod feed;
mod forum;
mod frames;
mod jetstream;
mod mastodon;
mod nostr;
mod push;
mod recorded;
mod webhook;
mod websocket;
mod x;
mod youtube;
