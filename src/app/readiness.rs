//! Whether everything moves: what `/readyz` tells, and what the heartbeat to the outside hangs on.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::desk::STUCK_UNREADY;
use super::probe::Probe;
use super::status::Statuses;
use crate::domain::id::ReceiverName;
use crate::domain::time::{Clock, Timestamp};
use crate::notify::heartbeat::Heartbeat;
use crate::store::StoreHandle;
use crate::telemetry::events;

/// The engine moves once a second.
const ENGINE_STILL: Duration = Duration::from_secs(15);
/// A worker looks into the outbox every five seconds; sends under way hold it up for twenty.
const WORKER_STILL: Duration = Duration::from_mins(1);

/// When something moved last; cheap to clone, shared.
#[derive(Clone, Debug)]
pub(super) struct Pulse(Arc<AtomicI64>);

impl Pulse {
    pub(super) fn starting(now: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(now.micros())))
    }

    pub(super) fn beat(&self, now: Timestamp) {
        self.0.store(now.micros(), Ordering::Relaxed);
    }

    fn still_for(&self, now: Timestamp) -> Duration {
        now.since(Timestamp::from_micros(self.0.load(Ordering::Relaxed)))
    }
}

/// All that must move.
#[derive(Clone)]
pub(super) struct Readiness {
    pub(super) statuses: Statuses,
    pub(super) store: StoreHandle,
    pub(super) engine: Pulse,
    pub(super) workers: Vec<(ReceiverName, Pulse)>,
    pub(super) probe: Probe,
    pub(super) clock: Arc<dyn Clock>,
}

impl Readiness {
    /// What does not move, and since when; empty when all is well.
    pub(super) fn reasons(&self) -> Vec<String> {
        let now = self.clock.now();
        let mut reasons: Vec<String> = Vec::new();
        for (source, status) in self.statuses.all() {
            if let Some((reason, since)) = status.down {
                reasons.push(format!("source {source} sees nothing since {since} ({})", reason.as_str()));
            }
        }
        if self.store.stuck_since().is_some_and(|since| now.since(since) >= STUCK_UNREADY) {
            reasons.push("the store does not answer".to_owned());
        }
        if let Some(trouble) = self.store.trouble() {
            reasons.push(format!("the store cannot write since {}: {}", trouble.since.whole_second(), trouble.error));
        }
        reasons.extend(self.probe.reason(now));
        let still = self.engine.still_for(now);
        if still > ENGINE_STILL {
            reasons.push(format!("the engine has not moved for {} s", still.as_secs()));
        }
        let stuck = self.workers.iter().map(|(receiver, pulse)| (receiver, pulse.still_for(now)));
        for (receiver, still) in stuck.filter(|(_, still)| *still > WORKER_STILL) {
            reasons.push(format!("nothing is sent to {receiver} for {} s", still.as_secs()));
        }
        reasons
    }

    /// Beats at intervals for as long as all is well, and at once when it is again.
    pub(super) async fn beat(self, heartbeat: Heartbeat, every: Duration) -> anyhow::Result<()> {
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut due = Instant::now();
        let mut withheld = false;
        loop {
            tick.tick().await;
            if Instant::now() < due {
                continue;
            }
            let reasons = self.reasons();
            let was = std::mem::replace(&mut withheld, !reasons.is_empty());
            if was != withheld {
                events::heartbeat_withheld(&reasons);
            }
            if withheld {
                continue;
            }
            due = Instant::now() + every;
            if let Err(error) = heartbeat.beat(self.clock.now()).await {
                events::heartbeat_unheard(&error.to_string());
            }
        }
    }
}
