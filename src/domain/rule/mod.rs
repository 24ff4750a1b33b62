//! Rules: from what a file says to what the engine runs.

pub mod raw;
