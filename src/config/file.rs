//! Reading whole files, but never more of one than makes sense.
//!
//! A path can name a device or a log by mistake; the limit turns that into a
//! finding instead of a machine without memory.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// No configuration or rule file is longer.
pub(super) const TEXT_LIMIT: u64 = 16 << 20;

/// Why a file could not be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreadable {
    /// The system refused.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It goes on and on.
    #[error("is longer than {0} bytes")]
    TooLong(u64),
    /// Its bytes are no text.
    #[error("is not UTF-8 text: byte {0} is wrong")]
    NotText(usize),
}

/// The text of a file that is not longer than `limit` bytes.
pub(super) fn read_text(path: &Path, limit: u64) -> Result<String, Unreadable> {
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if read as u64 > limit {
        return Err(Unreadable::TooLong(limit));
    }
    String::from_utf8(bytes).map_err(|error| Unreadable::NotText(error.utf8_error().valid_up_to()))
}
