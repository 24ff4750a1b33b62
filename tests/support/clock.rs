//! A clock that stands still.

use stormbell::domain::time::{Clock, Timestamp};

/// Always says the same.
#[derive(Debug)]
pub struct FixedClock(pub Timestamp);

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        self.0
    }
}
