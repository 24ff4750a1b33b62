//! `webhook`: what others send to the daemon's own web server, at `/in/NAME`.
//!
//! What is promised: nothing but the sender's word that it tries again when it is not answered with 200. So 200 means
//! that what was sent is on disk (`wire.rs`), and everything else that it is not. `meta.rs` reads what Meta sends,
//! `discourse.rs` what a Discourse forum does; all other JSON is read as the kind `websocket` reads it, by the operator's
//! word on where its fields are.
//!
//! Nobody can tell a sender that has nothing to say from one that gave us up. `expect_frame_within` says how long
//! silence is normal.

pub mod discourse;
pub mod meta;
mod wire;

use serde_json::Value;
use serde_json::value::RawValue;

pub(super) use self::wire::Webhook;
use crate::source::lenient::lenient;
use crate::wire::pointer::scalar;

/// A text, a number or a truth value, as text.
fn word(raw: Option<&RawValue>) -> Option<String> {
    scalar(&lenient::<Value>(raw)?)
}
