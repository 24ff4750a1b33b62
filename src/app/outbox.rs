//! The dispatchers' outbox is the store.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::readiness::Pulse;
use crate::domain::id::{DeliveryId, ReceiverName};
use crate::domain::message::{Attempt, Leased, Undelivered};
use crate::domain::time::{Clock, Timestamp};
use crate::domain::turn::Room;
use crate::notify::dispatch::{self, Observer};
use crate::store::{Answered, OutboxState, Reader, StoreHandle};
use crate::telemetry::events;
use crate::telemetry::metrics::{Metrics, Outcome};

/// The store as the dispatchers see it.
#[derive(Clone)]
pub(super) struct StoreOutbox {
    /// The store.
    pub store: StoreHandle,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Where it is noted at once that a receiver has a message.
    pub answered: Answered,
    /// Beats whenever the worker looks for messages.
    pub pulse: Pulse,
}

impl dispatch::Outbox for StoreOutbox {
    async fn lease(&self, receiver: &ReceiverName, now: Timestamp, lease: Duration, room: Room) -> Vec<Leased> {
        self.pulse.beat(now);
        // A store that is full or closed gives nothing out; what waits stays where it is.
        self.store.lease(receiver, now, lease, room).await.unwrap_or_default()
    }

    async fn finish(&self, id: &DeliveryId, attempt: Attempt) {
        let now = self.clock.now();
        let is_taken = attempt == Attempt::Delivered;
        if is_taken {
            self.answered.note(id, now);
        }
        if let Err(error) = self.store.finish(id, attempt, now).await {
            // The lease runs out and the message is sent again, with the same id.
            events::delivery_unwritten(id, &error);
        } else if is_taken {
            self.answered.recorded();
        }
    }
}

/// Gives up messages to receivers that are no longer configured, so that somebody else is
/// told (invariant 3).
pub(super) async fn abandon_unknown(
    store: &StoreHandle,
    database: &Path,
    receivers: &[ReceiverName],
    now: Timestamp,
) -> Vec<Undelivered> {
    let counts = Reader::open(database).and_then(|reader| reader.outbox()).unwrap_or_default();
    let waits = |state| matches!(state, OutboxState::Pending | OutboxState::Leased);
    let mut unknown: Vec<ReceiverName> = counts.into_iter().filter(|c| waits(c.state)).map(|c| c.receiver).collect();
    unknown.retain(|receiver| !receivers.contains(receiver));
    unknown.dedup();
    let mut abandoned = Vec::new();
    for receiver in unknown {
        // Seen from far ahead every retry is due and every lease has run out.
        let ahead = now + Duration::from_hours(24 * 365);
        loop {
            let leased = store.lease(&receiver, ahead, dispatch::LEASE, 100).await.unwrap_or_default();
            if leased.is_empty() {
                break;
            }
            for leased in leased {
                let attempt = Attempt::Parked { error: format!("{receiver} is no longer configured") };
                abandoned.extend(store.finish(&leased.delivery.id, attempt, now).await.ok().flatten());
            }
        }
    }
    abandoned
}

/// Counts attempts.
pub(super) struct Counter(pub Arc<Metrics>);

impl Observer for Counter {
    fn sent(&self, receiver: &ReceiverName, outcome: dispatch::Outcome, post_to_delivery: Option<Duration>) {
        let outcome = match outcome {
            dispatch::Outcome::Delivered => Outcome::Delivered,
            dispatch::Outcome::Retried => Outcome::Retried,
            dispatch::Outcome::Parked => Outcome::Parked,
        };
        self.0.delivery(receiver, outcome, post_to_delivery);
    }
}
