//! Where the parts meet: wiring, clock, tasks, stopping, reloading.
//!
//! The edges (`source`, `notify`, `store`, `web`) do not know each other; here one's
//! output becomes the other's input. Nothing here decides what is an alert.

mod audit;
mod backend;
mod certificate;
pub mod clock;
pub mod daemon;
mod desk;
mod desktops;
pub mod doors;
mod drill;
mod forgetting;
pub mod kept;
pub mod lessons;
mod outbox;
pub mod pipeline;
mod privacy;
mod probe;
mod readiness;
pub mod reload;
pub mod rulebook;
mod service;
mod sources;
mod status;
mod tasks;
mod team;
mod workshop;
