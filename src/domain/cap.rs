//! How many messages a receiver gets in a while, and what is kept of the rest until its digest.
//!
//! The while begins with a message and ends so long after it; what comes beyond the cap waits for its end and is told as one
//! message. Considered and rejected: a sliding window, whose digest never comes while it is full; and to hold the messages in the
//! outbox, where each would still be one of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use super::addressee::Addressee;
use super::id::{IncidentId, ReceiverName};
use super::time::Timestamp;

/// `at_most` of a `[[receiver]]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cap {
    /// So many messages …
    pub most: u32,
    /// … in so long.
    pub within: Duration,
}

/// What a capped receiver got in the while that lasts, and what waits for its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// The receiver.
    pub receiver: ReceiverName,
    /// When the while began (wall time).
    pub began: Timestamp,
    /// Messages since then that count.
    pub sent: u32,
    /// What waits, for whom and about which incidents.
    pub held: BTreeMap<Addressee, BTreeMap<IncidentId, Held>>,
}

/// Messages about one incident that wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// How many.
    pub messages: u32,
    /// The one that says that it began is among them: nothing was ever told of it.
    pub untold: bool,
}

impl Quota {
    /// Of a receiver that got nothing yet.
    pub fn new(receiver: ReceiverName, began: Timestamp) -> Self {
        Self { receiver, began, sent: 0, held: BTreeMap::new() }
    }

    /// Whether one more message goes out now. What waits goes first, so that nothing overtakes it.
    pub fn has_room(&mut self, cap: Cap, now: Timestamp) -> bool {
        if !self.held.is_empty() {
            return false;
        }
        if now.since(self.began) >= cap.within {
            (self.began, self.sent) = (now, 0);
        }
        self.sent < cap.most
    }

    /// Keeps a message.
    pub fn hold(&mut self, to: Addressee, incident: &IncidentId, is_beginning: bool) {
        let held = self.held.entry(to).or_default().entry(incident.clone()).or_default();
        held.messages += 1;
        held.untold |= is_beginning;
    }

    /// What is kept for somebody about an incident.
    pub fn kept(&self, to: &Addressee, incident: &IncidentId) -> Option<&Held> {
        self.held.get(to)?.get(incident)
    }

    /// Forgets what is kept for somebody about an incident.
    pub fn forget(&mut self, to: &Addressee, incident: &IncidentId) {
        let Some(held) = self.held.get_mut(to) else { return };
        held.remove(incident);
        if held.is_empty() {
            self.held.remove(to);
        }
    }

    /// Takes all that waits; from `now` on another while lasts, in which `sent` messages went out.
    pub fn take(&mut self, now: Timestamp) -> BTreeMap<Addressee, BTreeMap<IncidentId, Held>> {
        (self.began, self.sent) = (now, 0);
        std::mem::take(&mut self.held)
    }
}
