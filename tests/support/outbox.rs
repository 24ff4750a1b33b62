//! An outbox in memory with the manners of the real one, and a clock that stands still.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stormbell::domain::id::{DeliveryId, ReceiverName};
use stormbell::domain::message::{Attempt, Delivery, Leased};
use stormbell::domain::time::{Clock, Timestamp};
use stormbell::domain::turn::Room;
use stormbell::notify::dispatch::{Observer, Outbox, Outcome};
use tokio::sync::Notify;

use super::PATIENCE;

/// One message and its fate.
#[derive(Clone, Debug)]
pub struct Row {
    /// The message.
    pub delivery: Delivery,
    /// Not before this.
    pub due: Timestamp,
    /// Until when it is somebody's.
    pub leased_until: Option<Timestamp>,
    /// How its attempts ended, in order.
    pub attempts: Vec<Attempt>,
}

impl Row {
    /// Delivered or parked.
    pub fn is_finished(&self) -> bool {
        matches!(self.attempts.last(), Some(Attempt::Delivered | Attempt::Parked { .. }))
    }
}

/// What was counted.
pub type Counted = (Outcome, Option<Duration>);

#[derive(Default)]
struct Inner {
    rows: Mutex<Vec<Row>>,
    counted: Mutex<Vec<Counted>>,
    changed: Notify,
}

/// The outbox, and the observer of its worker.
#[derive(Clone, Default)]
pub struct MemoryOutbox(Arc<Inner>);

impl MemoryOutbox {
    /// Adds a message.
    pub fn add(&self, delivery: Delivery) {
        let due = delivery.due;
        self.0.rows.lock().unwrap().push(Row { delivery, due, leased_until: None, attempts: Vec::new() });
    }

    /// Everything in it.
    pub fn rows(&self) -> Vec<Row> {
        self.0.rows.lock().unwrap().clone()
    }

    /// When the next message can be tried; none when all met their end.
    pub fn next_due(&self) -> Option<Timestamp> {
        let mut rows = self.rows();
        rows.retain(|row| !row.is_finished());
        oldest_of_each(rows.iter_mut()).map(|row| row.due).min()
    }

    /// Everything counted.
    pub fn counted(&self) -> Vec<Counted> {
        self.0.counted.lock().unwrap().clone()
    }

    /// Waits until the rows and counts are as asked.
    pub async fn until(&self, reached: impl Fn(&[Row], &[Counted]) -> bool) {
        let waiting = async {
            loop {
                let changed = self.0.changed.notified();
                if reached(&self.rows(), &self.counted()) {
                    return;
                }
                changed.await;
            }
        };
        let came = tokio::time::timeout(PATIENCE, waiting).await;
        assert!(came.is_ok(), "the outbox stands at {:#?}", self.rows());
    }
}

/// Of each incident the first row for each person, and for nobody in particular.
fn oldest_of_each<'a>(rows: impl Iterator<Item = &'a mut Row>) -> impl Iterator<Item = &'a mut Row> {
    let mut seen = BTreeSet::new();
    let person = |row: &Row| row.delivery.recipient.as_ref().map(|recipient| recipient.person.clone());
    rows.filter(move |row| seen.insert((row.delivery.message.incident.id.clone(), person(row))))
}

impl Outbox for MemoryOutbox {
    async fn lease(&self, receiver: &ReceiverName, now: Timestamp, lease: Duration, room: Room) -> Vec<Leased> {
        let mut rows = self.0.rows.lock().unwrap();
        let mut leased = Vec::new();
        let waiting = rows.iter_mut().filter(|row| row.delivery.receiver == *receiver && !row.is_finished());
        for row in oldest_of_each(waiting) {
            let free = row.leased_until.is_none_or(|until| until <= now);
            if free && row.due <= now && leased.len() < room.any {
                row.leased_until = Some(now + lease);
                let attempt = u32::try_from(row.attempts.len()).unwrap() + 1;
                leased.push(Leased { delivery: row.delivery.clone(), sample: Vec::new(), attempt });
            }
        }
        leased
    }

    async fn finish(&self, id: &DeliveryId, attempt: Attempt) {
        let mut rows = self.0.rows.lock().unwrap();
        let row = rows.iter_mut().find(|row| row.delivery.id == *id).unwrap();
        if let Attempt::Retry { due, .. } = attempt {
            row.due = due;
        }
        row.leased_until = None;
        row.attempts.push(attempt);
        drop(rows);
        self.0.changed.notify_waiters();
    }
}

impl Observer for MemoryOutbox {
    fn sent(&self, _receiver: &ReceiverName, outcome: Outcome, post_to_delivery: Option<Duration>) {
        self.0.counted.lock().unwrap().push((outcome, post_to_delivery));
        self.0.changed.notify_waiters();
    }
}

/// A clock the test sets.
#[derive(Default)]
pub struct SetClock(AtomicI64);

impl SetClock {
    /// It is now then.
    pub fn set(&self, to: Timestamp) {
        self.0.store(to.micros(), Ordering::SeqCst);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}
