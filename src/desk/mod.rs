//! Desktop notices in the sessions of people, and what they answer.
//!
//! A system service cannot reach anybody's session. So each user runs a small process, the
//! desk, which dials the daemon, shows what it is told and carries the acknowledgement back.
//! Both ends are here: [`hub`] and [`session`] are the daemon's, [`client`], [`board`] and
//! [`popups`] the desk's, [`protocol`] and [`mod@line`] what they have in common.
//!
//! The daemon believes only what a desk says it has shown: connected is not delivered.
//! Nothing queues up for a desk that is slow or away. What matters is how an incident stands, so a
//! desk is given the newest state of each, and a desk that comes later what is then open, read from the store.

pub mod board;
pub mod client;
pub mod hub;
pub mod line;
pub mod popups;
pub mod protocol;
pub mod session;
pub mod socket;
