//! One worker a receiver: takes due messages out of the durable outbox, tries, and
//! writes down how it went. It remembers nothing that a crash could lose.
//!
//! Several sends are in flight at once, yet messages about one incident go in order:
//! of one incident the outbox hands out only the oldest unfinished message, so the next
//! one starts when its forerunner was delivered or given up. This module relies on that
//! and keeps no order of its own.
//!
//! Nothing is decided here: whose turn it is, and at which pace, says [`crate::domain::turn`]; what an attempt's end means,
//! [`ending`]. Both are functions of what they are given, so that simulations of months decide as the daemon does.
//!
//! A lease outlives every attempt. When the process dies in between, the lease runs out
//! and the message is sent again with the same id; that is the "at least" of at least once.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Receiver, SendError};
use crate::domain::id::{DeliveryId, ReceiverName};
use crate::domain::key::Key;
use crate::domain::message::{Attempt, Delivery, Leased, MessageKind, Undelivered};
use crate::domain::time::{Clock, Timestamp};
use crate::domain::turn::{Pace, Room};
use crate::telemetry::events;

/// How long a message is ours. Longer than a send may take, with time to write the end down.
pub const LEASE: Duration = Duration::from_secs(30);
/// Longer than any receiver's own timeouts; what exceeds it hangs.
const SEND_DEADLINE: Duration = Duration::from_secs(20);
/// Sends at once to one receiver, …
const IN_FLIGHT: usize = 4;
/// … and these besides, for what is critical.
const CRITICAL_IN_FLIGHT: usize = 2;
/// The outbox is asked at least so often, whatever was missed.
const POLL: Duration = Duration::from_secs(5);
/// The first wait is at most this long, …
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// … and no later one longer than this.
const MAX_BACKOFF: Duration = Duration::from_mins(5);
/// How long sends in flight may go on after the daemon was told to stop.
const DRAIN: Duration = Duration::from_secs(7);
/// Retries to get up for in time; others wait for the next poll.
const ALARMS: usize = 64;

/// The durable list of messages to send. Calls return when the effect is on disk; a
/// disk that fails ends the process, so they cannot fail here.
pub trait Outbox: Send + Sync {
    /// Takes messages for `receiver` that are due at `now`, in the order of [`crate::domain::turn::turns`].
    /// Of one incident only the oldest unfinished message can be taken, and not while it
    /// is leased or waits for its retry: an end never overtakes its beginning.
    fn lease(
        &self,
        receiver: &ReceiverName,
        now: Timestamp,
        lease: Duration,
        room: Room,
    ) -> impl Future<Output = Vec<Leased>> + Send;

    /// Writes down how an attempt ended, and ends the lease.
    fn finish(&self, id: &DeliveryId, attempt: Attempt) -> impl Future<Output = ()> + Send;
}

/// How an attempt ended, as a metric's label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The receiver took it.
    Delivered,
    /// It will be tried again.
    Retried,
    /// It was given up, and another receiver will be told.
    Parked,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 3] = [Self::Delivered, Self::Retried, Self::Parked];

    /// The label `outcome`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retried => "retried",
            Self::Parked => "parked",
        }
    }
}

/// Who counts attempts.
pub trait Observer: Send + Sync {
    /// An attempt ended and is written down. `post_to_delivery` is the time from the newest
    /// post to its delivery, given when a post caused the message and it was delivered.
    fn sent(&self, receiver: &ReceiverName, outcome: Outcome, post_to_delivery: Option<Duration>);
}

/// Everything the worker of one receiver needs.
pub struct Dispatcher<O> {
    /// The receiver's name in the configuration.
    pub name: ReceiverName,
    /// The receiver.
    pub receiver: Receiver,
    /// Where messages wait.
    pub outbox: O,
    /// This worker's own bell: `notify_one` it after every commit that adds to the outbox.
    pub wake: Arc<Notify>,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Who counts.
    pub observer: Arc<dyn Observer>,
    /// Who tells people by another receiver. The outbox remembers a parked message until
    /// that is committed, so that nothing is lost when nobody listens any more.
    pub undelivered: mpsc::Sender<Undelivered>,
}

impl<O: Outbox> Dispatcher<O> {
    /// Works until `cancel`, then takes no new message and gives those in flight 7 s.
    pub async fn run(self, cancel: CancellationToken) {
        let mut in_flight = FuturesUnordered::new();
        let mut alarms = Alarms::default();
        let mut pace = Pace::new(self.receiver.limit());
        while !cancel.is_cancelled() {
            let now = self.clock.now();
            let room = room(in_flight.len(), &mut pace, now);
            if !room.is_none() {
                let leased = self.outbox.lease(&self.name, now, LEASE, room).await;
                pace.sent(leased.len());
                in_flight.extend(leased.into_iter().map(|leased| self.deliver(leased)));
            }
            let now = self.clock.now();
            let wait = alarms.next(now).min(pace.wait(now).unwrap_or(POLL));
            tokio::select! {
                () = cancel.cancelled() => break,
                Some(Again { due, patience }) = in_flight.next() => {
                    alarms.set(due);
                    if let Some(patience) = patience {
                        pace.hold(self.clock.now(), patience);
                    }
                }
                () = self.wake.notified(), if !room.is_none() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        let drained = timeout(DRAIN, async { while in_flight.next().await.is_some() {} }).await;
        if drained.is_err() {
            events::delivery_cut_off(&self.name, in_flight.len());
        }
    }

    /// One attempt from lease to its end on disk.
    async fn deliver(&self, leased: Leased) -> Again {
        let sent = attempt(SEND_DEADLINE, self.receiver.send(&leased, self.clock.now())).await;
        let now = self.clock.now();
        let Leased { delivery, attempt: count, .. } = leased;
        let patience = match &sent {
            Err(SendError::Retry { after, .. }) => *after,
            _ => None,
        };
        let ending = ending(&delivery, count, now, sent);
        self.outbox.finish(&delivery.id, ending.clone()).await;
        Again { due: self.tell(delivery, count, now, ending).await, patience }
    }

    async fn tell(&self, delivery: Delivery, count: u32, now: Timestamp, ending: Attempt) -> Option<Timestamp> {
        let kind = delivery.message.kind;
        match ending {
            Attempt::Delivered => {
                events::delivery_delivered(&delivery.id, &self.name, count);
                let told_first = matches!(kind, MessageKind::Opened | MessageKind::Updated);
                let of_a_post = told_first && !delivery.message.incident.exercise;
                let age = of_a_post.then(|| now.since(delivery.message.incident.last_post_at));
                self.observer.sent(&self.name, Outcome::Delivered, age);
                None
            }
            Attempt::Retry { due, error } => {
                events::delivery_retried(&delivery.id, &self.name, count, due, &error);
                self.observer.sent(&self.name, Outcome::Retried, None);
                Some(due)
            }
            Attempt::Parked { error } => {
                events::delivery_parked(&delivery.id, &self.name, &error);
                self.observer.sent(&self.name, Outcome::Parked, None);
                let undelivered = Undelivered {
                    id: delivery.id,
                    receiver: delivery.receiver,
                    person: delivery.recipient.map(|recipient| recipient.person),
                    incident: delivery.message.incident.id,
                    error,
                };
                // When the daemon stops nobody listens any more: the outbox remembers it.
                self.undelivered.send(undelivered).await.unwrap_or_default();
                None
            }
        }
    }
}

/// What follows from an attempt.
struct Again {
    /// When to try this message again, if so.
    due: Option<Timestamp>,
    /// How long the receiver wants to be left alone.
    patience: Option<Duration>,
}

/// What may be taken while so many are in flight.
pub fn room(in_flight: usize, pace: &mut Pace, now: Timestamp) -> Room {
    let any = IN_FLIGHT.saturating_sub(in_flight).min(pace.left(now));
    Room { any, critical: (IN_FLIGHT + CRITICAL_IN_FLIGHT).saturating_sub(in_flight + any) }
}

/// What the end of the attempt `count` at `now` means for a message.
pub fn ending(delivery: &Delivery, count: u32, now: Timestamp, sent: Result<(), SendError>) -> Attempt {
    match sent {
        Ok(()) => Attempt::Delivered,
        Err(SendError::Permanent { error }) => Attempt::Parked { error },
        Err(SendError::Retry { after, error }) => again_or_never(delivery, count, now, after, error),
    }
}

/// Bounds an attempt by time and by panics: a receiver's bug costs an attempt, not the worker.
async fn attempt(deadline: Duration, send: impl Future<Output = Result<(), SendError>>) -> Result<(), SendError> {
    let retry = |error: String| Err(SendError::Retry { after: None, error });
    match timeout(deadline, AssertUnwindSafe(send).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => retry(format!("sending failed by a fault of stormbell: {}", panic_text(&*panic))),
        Err(_) => retry(format!("not sent within {} s", deadline.as_secs())),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no word why")
}

/// The next try, or the end: past `give_up`, or when the receiver wants to be left alone
/// beyond it. The last try is made at `give_up` itself.
fn again_or_never(delivery: &Delivery, count: u32, now: Timestamp, after: Option<Duration>, error: String) -> Attempt {
    let asked = now + after.unwrap_or_default();
    if now >= delivery.give_up || asked > delivery.give_up {
        let plural = if count == 1 { "" } else { "s" };
        return Attempt::Parked { error: format!("given up after {count} attempt{plural}: {error}") };
    }
    let due = asked.max(now + backoff(count, chance(&delivery.id, count))).min(delivery.give_up);
    Attempt::Retry { due, error }
}

/// Exponential with full jitter: receivers that come back are not met by a crowd.
/// `chance` lies in 0..=`u32::MAX`.
fn backoff(count: u32, chance: u32) -> Duration {
    let doublings = count.saturating_sub(1).min(16);
    let most = FIRST_BACKOFF.saturating_mul(1 << doublings).min(MAX_BACKOFF);
    most.mul_f64(f64::from(chance) / f64::from(u32::MAX))
}

/// Spreads messages as chance would, and yet the same message always the same way.
fn chance(id: &DeliveryId, count: u32) -> u32 {
    (Key::of(&(id, count)).bits() >> 32) as u32
}

/// When to get up for retries, bounded; what does not fit is found by the poll.
#[derive(Default)]
struct Alarms(BTreeSet<Timestamp>);

impl Alarms {
    fn set(&mut self, at: Option<Timestamp>) {
        self.0.extend(at);
        if self.0.len() > ALARMS {
            self.0.pop_last();
        }
    }

    /// Time to sleep from `now`, at most [`POLL`]; alarms of the past ring once.
    fn next(&mut self, now: Timestamp) -> Duration {
        let wait = self.0.first().map_or(POLL, |first| first.since(now)).min(POLL);
        self.0.retain(|&at| at > now);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_send_that_panics_or_hangs_is_tried_again() {
        let panics = attempt(LEASE, async { panic!("index 3") }).await;
        assert_eq!(panics.unwrap_err().to_string(), "sending failed by a fault of stormbell: index 3");
        let hangs = attempt(Duration::from_millis(1), std::future::pending()).await;
        assert!(matches!(hangs, Err(SendError::Retry { after: None, .. })));
    }

    #[test]
    fn waits_double_up_to_five_minutes_and_are_spread() {
        let most: Vec<u64> = [1, 2, 3, 9, 10, 60, u32::MAX].map(|count| backoff(count, u32::MAX).as_secs()).into();
        assert_eq!(most, [1, 2, 4, 256, 300, 300, 300]);
        assert_eq!(backoff(10, 0), Duration::ZERO);
        assert_eq!(backoff(10, u32::MAX / 2).as_secs(), 149);
        let chances: BTreeSet<u32> = (0..100).map(|count| chance(&"msg_1".into(), count) >> 25).collect();
        assert!(chances.len() > 50, "{chances:?}");
    }

    #[test]
    fn a_lease_outlives_the_attempt() {
        assert!(SEND_DEADLINE + Duration::from_secs(5) < LEASE);
    }

    #[test]
    fn the_worker_gets_up_for_the_nearest_retry() {
        let at = Timestamp::from_seconds;
        let mut alarms = Alarms::default();
        assert_eq!(alarms.next(at(0)), POLL);
        alarms.set(Some(at(9)));
        alarms.set(Some(at(2)));
        alarms.set(None);
        assert_eq!(alarms.next(at(1)), Duration::from_secs(1));
        assert_eq!(alarms.next(at(2)), Duration::ZERO);
        assert_eq!(alarms.next(at(2)), POLL);
        assert_eq!(alarms.next(at(8)), Duration::from_secs(1));
        for second in 0..1000 {
            alarms.set(Some(at(1000 - second)));
        }
        assert_eq!(alarms.0.len(), ALARMS);
    }
}
