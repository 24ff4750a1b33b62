//! The JSON other programs rely on (posts, webhook payloads, what `replay` prints).
//!
//! Shapes only: domain values in, JSON out, and back where a source, the store or a
//! receiver reads it again. The field names are promises; see the README's references.

pub mod message;
pub mod oncall;
pub mod post;
pub mod replayed;
