//! The outbox while the disk cannot be written: what was accepted still goes out.
//!
//! What is on disk can be read, so messages are handed out from there; that they are being sent, and how it went, is
//! kept here until the disk takes it. If the process dies before, they are sent again under the same id, as after any
//! crash. What is not on disk is told to nobody (invariant 3), with one exception: messages about the disk itself, which
//! have to go out now or never. They are set aside here, and are as any other once their rows are written.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rusqlite::{OptionalExtension, Row, params};

use super::error::StoreError;
use super::outbox::Taken;
use super::write::{Store, Writing};
use crate::domain::id::{DeliveryId, ReceiverName};
use crate::domain::message::{Attempt, Delivery, Leased, Undelivered};
use crate::domain::time::Timestamp;
use crate::domain::turn::{Room, Waiting, turns};

/// What the disk does not know.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// Messages about the disk that have no row yet.
    notices: BTreeMap<DeliveryId, Delivery>,
    /// What happened to messages.
    changes: BTreeMap<DeliveryId, Change>,
}

/// What happened to one message.
#[derive(Clone, Debug, Default)]
struct Change {
    attempts: u32,
    /// It is being sent until then, or until it ends.
    leased_until: Option<Timestamp>,
    ended: Option<(Attempt, Timestamp)>,
}

impl Change {
    /// When it can be taken; none when it has met its end.
    fn ready(&self, on_disk: Timestamp) -> Option<Timestamp> {
        match (&self.ended, self.leased_until) {
            (Some((Attempt::Retry { due, .. }, _)), _) => Some(*due),
            (Some(_), _) => None,
            (None, Some(until)) => Some(until),
            (None, None) => Some(on_disk),
        }
    }
}

/// The first message of a line, and where to find it.
struct Head {
    id: DeliveryId,
    /// The receiver's line: incident and person.
    line: (String, Option<String>),
    critical: bool,
    ready: Timestamp,
}

impl Aside {
    /// Messages about the disk.
    pub(super) fn put(&mut self, notices: Vec<Delivery>) {
        self.notices.extend(notices.into_iter().map(|notice| (notice.id.clone(), notice)));
    }

    /// Whether it is one of those that only memory knows.
    pub(super) fn holds(&self, id: &DeliveryId) -> bool {
        self.notices.contains_key(id)
    }

    fn is_empty(&self) -> bool {
        self.notices.is_empty() && self.changes.is_empty()
    }

    /// As [`Store::lease`], without writing anything.
    pub(super) fn lease(
        &mut self,
        store: &Store,
        receiver: &ReceiverName,
        now: Timestamp,
        lease: Duration,
        room: Room,
    ) -> Result<Vec<Leased>, StoreError> {
        let heads = self.heads(store, receiver)?;
        let waiting = (0_i64..).zip(&heads).filter(|(_, head)| head.ready <= now);
        let waiting =
            waiting.map(|(seq, head)| Waiting { seq, incident: head.line.0.clone(), critical: head.critical });
        let going = turns(waiting.collect(), BTreeMap::new(), room);
        let going: Vec<&Head> = going.iter().filter_map(|seq| heads.get(usize::try_from(*seq).ok()?)).collect();
        let mut leased = Vec::new();
        for head in going {
            let change = self.changes.entry(head.id.clone()).or_default();
            change.attempts += 1;
            change.leased_until = Some(now + lease);
            change.ended = None;
            let attempts = change.attempts;
            leased.push(match self.notices.get(&head.id) {
                Some(notice) => Leased { delivery: notice.clone(), sample: Vec::new(), attempt: attempts },
                None => read(store, receiver, &head.id, attempts)?,
            });
        }
        Ok(leased)
    }

    /// As [`Store::finish`].
    pub(super) fn finish(
        &mut self,
        store: &Store,
        id: &DeliveryId,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<Option<Undelivered>, StoreError> {
        let change = self.changes.entry(id.clone()).or_default();
        if matches!(change.ended, Some((Attempt::Delivered | Attempt::Parked { .. }, _))) {
            return Ok(None); // it stays as it was finished first
        }
        (change.leased_until, change.ended) = (None, Some((attempt.clone(), now)));
        let Attempt::Parked { error } = attempt else { return Ok(None) };
        let undelivered = |receiver: &ReceiverName, person, incident| Undelivered {
            id: id.clone(),
            receiver: receiver.clone(),
            person,
            incident,
            error: error.clone(),
        };
        if let Some(Delivery { receiver, recipient, message, .. }) = self.notices.get(id) {
            let person = recipient.as_ref().map(|recipient| recipient.person.clone());
            return Ok(Some(undelivered(receiver, person, message.incident.id.clone())));
        }
        let whom = |row: &Row<'_>| {
            let person: Option<String> = row.get(1)?;
            Ok(undelivered(&row.get::<_, String>(0)?.into(), person.map(Into::into), row.get::<_, String>(2)?.into()))
        };
        let query = "SELECT receiver, person, incident FROM outbox WHERE id = ?1 AND state IN ('pending', 'leased')";
        Ok(store.conn().query_row(query, [id.as_str()], whom).optional()?)
    }

    /// The first message of every line that has one to send, what is about the disk before all.
    fn heads(&self, store: &Store, receiver: &ReceiverName) -> Result<Vec<Head>, StoreError> {
        let mut select = store.conn().prepare_cached(
            "SELECT id, incident, person, critical, coalesce(leased_until, due) FROM outbox
             WHERE receiver = ?1 AND state IN ('pending', 'leased') ORDER BY seq",
        )?;
        let row = |row: &Row<'_>| {
            let line = (row.get(1)?, row.get(2)?);
            let ready = Timestamp::from_micros(row.get(4)?);
            Ok(Head { id: row.get::<_, String>(0)?.into(), line, critical: row.get(3)?, ready })
        };
        let on_disk = select.query_map([receiver.as_str()], row)?.collect::<Result<Vec<Head>, _>>()?;
        let mut notices: Vec<&Delivery> = self.notices.values().filter(|notice| notice.receiver == *receiver).collect();
        notices.sort_by_key(|notice| notice.message.incident.revision);
        let notices = notices.into_iter().map(|notice| Head {
            id: notice.id.clone(),
            line: (
                notice.message.incident.id.to_string(),
                notice.recipient.as_ref().map(|recipient| recipient.person.to_string()),
            ),
            critical: true,
            ready: notice.due,
        });
        let notices: Vec<Head> = notices.collect();
        // What is on disk of their lines is older than they are.
        let (older, others): (Vec<Head>, Vec<Head>) =
            on_disk.into_iter().partition(|head| notices.iter().any(|notice| notice.line == head.line));
        let mut lines = BTreeSet::new();
        let mut heads = Vec::new();
        for mut head in older.into_iter().chain(notices).chain(others) {
            let change = self.changes.get(&head.id).cloned().unwrap_or_default();
            let Some(ready) = change.ready(head.ready) else { continue };
            head.ready = ready;
            if lines.insert(head.line.clone()) {
                heads.push(head);
            }
        }
        Ok(heads)
    }
}

fn read(store: &Store, receiver: &ReceiverName, id: &DeliveryId, more: u32) -> Result<Leased, StoreError> {
    let query =
        "SELECT id, message, due, give_up, attempts + ?2 AS attempts, person, address FROM outbox WHERE id = ?1";
    let taken = store.conn().query_row(query, params![id.as_str(), more], Taken::read)?;
    taken.into_leased(receiver, store.conn(), store.keys())
}

impl Writing<'_> {
    /// Writes down what happened to messages while the disk could not be written; of notices, once their rows are there.
    pub(super) fn catch_up(&self, aside: &Aside) -> Result<(), StoreError> {
        for (id, change) in &aside.changes {
            let Change { attempts, leased_until, ended } = change;
            let until = leased_until.map(Timestamp::micros);
            let mut sent = self.sql.prepare_cached(
                "UPDATE outbox SET attempts = attempts + ?2, leased_until = coalesce(?3, leased_until),
                   state = CASE WHEN ?3 IS NULL THEN state ELSE 'leased' END
                 WHERE id = ?1 AND state IN ('pending', 'leased')",
            )?;
            sent.execute(params![id.as_str(), attempts, until])?;
            match ended {
                Some((Attempt::Retry { due, error }, _)) => {
                    let mut again = self.sql.prepare_cached(
                        "UPDATE outbox SET state = 'pending', leased_until = NULL, due = ?2, error = ?3
                         WHERE id = ?1 AND state IN ('pending', 'leased')",
                    )?;
                    again.execute(params![id.as_str(), due.micros(), error])?;
                }
                Some((ending, now)) => drop(self.finish(id, ending, *now)?),
                None => {}
            }
        }
        Ok(())
    }

    /// What is left to be written once this transaction is.
    pub(super) fn left_aside(&self, aside: &Aside) -> Result<Aside, StoreError> {
        if aside.is_empty() {
            return Ok(Aside::default());
        }
        let mut left = Aside::default();
        let mut known = self.sql.prepare_cached("SELECT 1 FROM outbox WHERE id = ?1")?;
        for (id, notice) in &aside.notices {
            if !known.exists([id.as_str()])? {
                left.notices.insert(id.clone(), notice.clone());
                left.changes.extend(aside.changes.get(id).map(|change| (id.clone(), change.clone())));
            }
        }
        Ok(left)
    }
}
