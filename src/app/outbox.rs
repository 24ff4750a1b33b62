//! The dispatchers' outbox is the store.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::id::{DeliveryId, ReceiverName};
use crate::domain::message::{Attempt, Leased};
use crate::domain::time::{Clock, Timestamp};
use crate::notify::dispatch::{self, Observer};
use crate::store::StoreHandle;
use crate::telemetry::metrics::{Metrics, Outcome};

/// The store as the dispatchers see it.
#[derive(Clone)]
pub struct StoreOutbox {
    /// The store.
    pub store: StoreHandle,
    /// The present.
    pub clock: Arc<dyn Clock>,
}

impl dispatch::Outbox for StoreOutbox {
    async fn lease(&self, receiver: &ReceiverName, now: Timestamp, lease: Duration, limit: usize) -> Vec<Leased> {
        // A store that is full or closed gives nothing out; what waits stays where it is.
        self.store.lease(receiver, now, lease, limit).await.unwrap_or_default()
    }

    async fn finish(&self, id: &DeliveryId, attempt: Attempt) {
        if let Err(error) = self.store.finish(id, attempt, self.clock.now()).await {
            // The lease runs out and the message is sent again, with the same id.
            tracing::warn!(delivery = %id, %error, "end of a delivery not written; it will be repeated");
        }
    }
}

/// Counts attempts.
pub struct Counter(pub Arc<Metrics>);

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
