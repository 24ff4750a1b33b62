//! What a source's server refuses for good, while all else is read: rules that X does not take, channels that are not
//! there. Nobody watches it, so people must see it where they look at the source, and not only in the log.

use std::sync::{Arc, Mutex, PoisonError};

/// As many as X takes rules; a server that goes on refusing fills no memory.
const MOST: usize = 1000;

/// What of a source nobody watches now, in words for people. Cheap to clone, shared.
#[derive(Clone, Debug, Default)]
pub struct Unwatched(Arc<Mutex<Vec<String>>>);

impl Unwatched {
    /// All of it, instead of what was said before; the first thousand.
    pub fn are(&self, mut what: Vec<String>) {
        what.truncate(MOST);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    /// All of it.
    pub fn list(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
