//! What the program says about itself: metrics, log, memory.
//!
//! The only place that names a metric or words a log line, so that a promise made to a
//! dashboard is kept in one file. No function here takes a post's text or a secret
//! (invariant 8), and none can fail: telemetry never stands in the way of a page.

pub mod events;
pub mod log;
pub mod memory;
pub mod metrics;
