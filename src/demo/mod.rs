//! The simulated world of `stormbell demo`: no network, no account, no real person.
//!
//! [`script`] is the play: what strangers post about a made-up hospital and about
//! everything else, and the crisis in it. [`server`] performs it on loopback in the
//! protocol of Bluesky's Jetstream, so that the daemon under demonstration runs the
//! very code it runs in earnest. Nothing here knows rules, incidents or receivers.
//!
//! All texts are written for this purpose; all handles end in `.example`.

mod background;
mod crisis;
mod event;
pub mod script;
pub mod server;

pub use event::Event;
