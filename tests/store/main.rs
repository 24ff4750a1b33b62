//! The store as the daemon uses it: on a real disk, over restarts, under `kill -9`.

#![cfg(test)]

mod crash;
mod forgetting;
mod looking;
mod opening;
mod outbox;
mod privacy;
mod restart;
mod sealed;
mod support;
mod writer;
