//! What the user wrote, turned into values that cannot hold nonsense.
//!
//! [`table`] reads TOML and notes every mistake; [`load`] and [`rules`] say what
//! may stand in `stormbell.toml` and in rule files.

pub mod certificate;
pub mod environment;
pub mod load;
pub mod model;
pub mod playbook;
pub mod rules;
pub mod schedule;
pub mod secret;
pub mod table;

mod contact;
mod drill;
mod endpoint;
mod file;
mod heartbeat;
mod incidents;
mod inhibit;
mod naming;
pub mod network;
mod organization;
mod people;
mod receiver;
mod reference;
mod route;
mod source;
mod template;
mod times;
mod web;
