//! Chats as sources, against servers on loopback that behave as the real ones do, and misbehave as they do.
//! Whatever goes wrong, nothing is lost that the wire can repeat, nothing is doubled, and what is lost is told.

mod discord;
mod eventsub;
mod foreign;
mod irc;
mod matrix;
mod slack;
