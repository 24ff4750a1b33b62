//! What other programs and people's browsers rely on: JSON (posts, webhook payloads, what `replay` prints) and links.
//!
//! Shapes only: domain values in, JSON out, and back where a source, the store or a
//! receiver reads it again. The field names are promises; see the README's references.

pub mod answer;
pub mod bech32;
pub mod link;
pub mod message;
pub mod oncall;
pub mod pointer;
pub mod post;
pub mod replayed;
pub mod template;
