//! The pure core: no I/O, no clock, no chance, no logging.
//!
//! Everything here is a value or a function of its arguments. The layers above
//! bring frames, the present and a disk; `tests/architecture.rs` keeps them out.
//! Modules are listed in the order in which they build on each other.

pub mod id;
pub mod key;
pub mod tally;
pub mod time;

pub mod access;
pub mod addressee;
pub mod audit;
pub mod diagnostic;
pub mod event;
pub mod harmless;
pub mod organization;
pub mod post;
pub mod redact;
pub mod scenario;

pub mod matcher;
pub mod quantity;
pub mod query;
pub mod story;
pub mod text;
pub mod volume;

pub mod oncall;

pub mod cap;
pub mod condition;
pub mod engine;
pub mod incident;
pub mod inhibit;
pub mod lane;
pub mod message;
pub mod playbook;
pub mod route;
pub mod rule;
pub mod seek;
pub mod silence;
pub mod terms;
pub mod turn;

pub mod abroad;
pub mod clause;

pub mod commit;
pub mod erasure;
