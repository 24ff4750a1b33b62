//! The durable queue of messages, one line per receiver, person there and incident.
//!
//! A dispatcher leases rows, sends, and says how it went. A lease that runs out, or was left
//! by a process that died between sending and saying so, is taken again under the same id,
//! so that nothing is lost and the receiver can tell the repetition. Of one incident only the
//! oldest unfinished message may be out: "resolved" must never overtake "opened". Each person at a
//! receiver has a line of their own, so that a wrong number holds up nobody else. Whose turn it is
//! among the heads of all lines, [`turns`] says.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::error::StoreError;
use super::keys::Keys;
use super::lane::may_see;
use super::stored;
use super::write::{Store, Writing, passing};
use crate::domain::addressee::Recipient;
use crate::domain::id::{DeliveryId, IncidentId, PostId, ReceiverName};
use crate::domain::lane::Sight;
use crate::domain::message::{Attempt, Delivery, Leased, Message, RECEIPT, Undelivered};
use crate::domain::post::Post;
use crate::domain::time::{ClockSet, Timestamp};
use crate::domain::turn::{Room, Waiting, turns};

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutboxState {
    /// Waits to be sent, for the first time or again.
    Pending,
    /// A dispatcher has it.
    Leased,
    /// The receiver took it.
    Delivered,
    /// It will never be taken.
    Parked,
}

impl OutboxState {
    /// All states.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Leased, Self::Delivered, Self::Parked];

    /// The word in the database and in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Leased => "leased",
            Self::Delivered => "delivered",
            Self::Parked => "parked",
        }
    }

    /// The state of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// The oldest unfinished message of each incident for a receiver and a person there, with the time from which it may be taken.
const HEADS: &str = "SELECT seq, incident, critical, coalesce(leased_until, due) AS ready
     FROM outbox AS row
     WHERE receiver = ?1 AND state IN ('pending', 'leased')
       AND NOT EXISTS (SELECT 1 FROM outbox AS older
                       WHERE older.receiver = row.receiver AND older.incident = row.incident AND older.person IS row.person
                         AND older.state IN ('pending', 'leased') AND older.seq < row.seq)";

/// So many lines are looked at when it is decided whose turn it is: the oldest, critical ones before all.
const CANDIDATES: usize = 256;

/// Those that are due.
fn due() -> String {
    format!(
        "SELECT seq, incident, critical FROM ({HEADS}) WHERE ready <= ?2 ORDER BY critical DESC, seq LIMIT {CANDIDATES}"
    )
}

/// How many of each incident are being sent.
const UNDER_WAY: &str = "SELECT incident, count(*) FROM outbox
     WHERE receiver = ?1 AND state = 'leased' AND leased_until > ?2 GROUP BY incident";

impl Store {
    /// Makes every message that waits for a retry due at `now`, with its patience renewed.
    ///
    /// For the start of a daemon: however often the last one failed, a page must not wait
    /// minutes for it now. That it was tried before stays known: it may have arrived. How long a delivery is tried in all stays as it was, and so do quiet hours.
    pub fn hurry(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.transact(|writing| {
            // A clock that was set back while nothing ran makes no patience longer than it was.
            let hurry = "UPDATE outbox SET due = min(due, ?1), attempts = min(attempts, 1),
                           give_up = min(give_up, ?1 + patience)
                         WHERE state = 'pending' AND coalesce(held_until, ?1) <= ?1";
            writing.sql.execute(hurry, [now.micros()])?;
            // Nobody was there to take a receipt.
            let wait = "UPDATE outbox SET receipt_by = ?1
                        WHERE receipt_by IS NOT NULL AND state IN ('pending', 'leased') AND coalesce(held_until, ?2) <= ?2";
            writing.sql.execute(wait, [(now + RECEIPT).micros(), now.micros()])?;
            Ok(())
        })
        .or_else(passing)
    }

    /// Takes as many messages that are due for a receiver as there is room for. They are this
    /// dispatcher's until `now + lease`.
    pub fn lease(
        &mut self,
        receiver: &ReceiverName,
        now: Timestamp,
        lease: Duration,
        room: impl Into<Room>,
    ) -> Result<Vec<Leased>, StoreError> {
        self.transact(|writing| writing.lease(receiver, now, lease, room.into()))
    }

    /// Records how an attempt ended. Parking answers with what another receiver has to be told.
    /// What is finished stays as it was finished first.
    pub fn finish(
        &mut self,
        id: &DeliveryId,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<Option<Undelivered>, StoreError> {
        self.transact(|writing| writing.finish(id, attempt, now))
    }

    /// Messages about something critical whose receipt should be here, oldest first. They are so until a commit
    /// says that nobody waits any more, see [`crate::domain::commit::Commit::overdue`].
    pub fn overdue(&self, now: Timestamp) -> Result<Vec<Undelivered>, StoreError> {
        overdue(self.conn(), now)
    }

    /// When the next message for a receiver can be leased; may lie in the past.
    pub fn next_due(&self, receiver: &ReceiverName) -> Result<Option<Timestamp>, StoreError> {
        next_due(self.conn(), receiver)
    }
}

impl Writing<'_> {
    /// Moves deadlines with the clock, but not the end of quiet hours, which the clock on the wall says.
    pub(super) fn clock_set(&self, set: &ClockSet) -> Result<(), StoreError> {
        let mut update = self.sql.prepare_cached(
            "UPDATE outbox SET due = due + ?1, give_up = give_up + ?1, leased_until = leased_until + ?1,
               receipt_by = receipt_by + ?1
             WHERE state IN ('pending', 'leased') AND coalesce(held_until, ?2) <= ?2",
        )?;
        update.execute(params![set.by, set.at.micros()])?;
        Ok(())
    }

    pub(super) fn lease(
        &mut self,
        receiver: &ReceiverName,
        now: Timestamp,
        lease: Duration,
        room: Room,
    ) -> Result<Vec<Leased>, StoreError> {
        let going = turns(self.due(receiver, now)?, self.under_way(receiver, now)?, room);
        let mut take = self.sql.prepare_cached(
            "UPDATE outbox SET state = 'leased', leased_until = ?2, attempts = attempts + 1 WHERE seq = ?1
             RETURNING id, message, due, give_up, attempts, person, address",
        )?;
        let mut leased = Vec::with_capacity(going.len());
        for seq in going {
            let row = take.query_row(params![seq, (now + lease).micros()], Taken::read)?;
            leased.push(row.into_leased(receiver, self.sql, self.keys)?);
        }
        Ok(leased)
    }

    /// The first message of every line that is due.
    fn due(&self, receiver: &ReceiverName, now: Timestamp) -> Result<Vec<Waiting>, StoreError> {
        let mut select = self.sql.prepare_cached(&due())?;
        let waiting = |row: &Row<'_>| Ok(Waiting { seq: row.get(0)?, incident: row.get(1)?, critical: row.get(2)? });
        let rows = select.query_map(params![receiver.as_str(), now.micros()], waiting)?.collect::<Result<_, _>>()?;
        Ok(rows)
    }

    /// How many messages of each incident are being sent.
    fn under_way(&self, receiver: &ReceiverName, now: Timestamp) -> Result<BTreeMap<String, u32>, StoreError> {
        let mut select = self.sql.prepare_cached(UNDER_WAY)?;
        let counts = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let rows = select.query_map(params![receiver.as_str(), now.micros()], counts)?.collect::<Result<_, _>>()?;
        Ok(rows)
    }

    pub(super) fn finish(
        &self,
        id: &DeliveryId,
        attempt: &Attempt,
        now: Timestamp,
    ) -> Result<Option<Undelivered>, StoreError> {
        match attempt {
            Attempt::Delivered => {
                let mut update = self.sql.prepare_cached(
                    "UPDATE outbox SET state = 'delivered', leased_until = NULL, finished_at = ?2, error = NULL
                     WHERE id = ?1 AND state IN ('pending', 'leased')",
                )?;
                update.execute(params![id.as_str(), now.micros()])?;
                Ok(None)
            }
            Attempt::Retry { due, error } => {
                let mut update = self.sql.prepare_cached(
                    "UPDATE outbox SET state = 'pending', leased_until = NULL, due = ?2, error = ?3
                     WHERE id = ?1 AND state = 'leased'",
                )?;
                update.execute(params![id.as_str(), due.micros(), error])?;
                Ok(None)
            }
            Attempt::Parked { error } => {
                let mut update = self.sql.prepare_cached(
                    "UPDATE outbox SET state = 'parked', leased_until = NULL, finished_at = ?2, error = ?3
                     WHERE id = ?1 AND state IN ('pending', 'leased')
                     RETURNING id, receiver, incident, error, person",
                )?;
                Ok(update.query_row(params![id.as_str(), now.micros(), error], read_undelivered).optional()?)
            }
        }
    }
}

pub(super) fn next_due(sql: &Connection, receiver: &ReceiverName) -> Result<Option<Timestamp>, StoreError> {
    let mut select = sql.prepare_cached(&format!("SELECT min(ready) FROM ({HEADS})"))?;
    let ready: Option<i64> = select.query_row([receiver.as_str()], |row| row.get(0))?;
    Ok(ready.map(Timestamp::from_micros))
}

pub(super) fn overdue(sql: &Connection, now: Timestamp) -> Result<Vec<Undelivered>, StoreError> {
    let mut select = sql.prepare_cached(
        "SELECT id, receiver, incident, coalesce(error, ''), person FROM outbox
         WHERE receipt_by <= ?1 AND state IN ('pending', 'leased') ORDER BY receipt_by, seq",
    )?;
    let rows = select.query_map([now.micros()], read_undelivered)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// Parked messages nobody has been told of, oldest first.
pub(super) fn undelivered(sql: &Connection) -> Result<Vec<Undelivered>, StoreError> {
    let mut select = sql.prepare(
        "SELECT id, receiver, incident, coalesce(error, ''), person FROM outbox WHERE state = 'parked' AND told = 0 ORDER BY seq",
    )?;
    let rows = select.query_map((), read_undelivered)?.collect::<Result<_, _>>()?;
    Ok(rows)
}

/// Those of the posts that still have their text and that somebody may see, by their names, in the order asked for. What
/// cannot be read is left out.
pub(super) fn existing_posts<'a>(
    sql: &Connection,
    keys: &Keys,
    sight: Sight,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<Post>, StoreError> {
    let mut select = sql.prepare_cached("SELECT json FROM post WHERE id = ?1 AND json IS NOT NULL")?;
    let mut posts = Vec::new();
    for name in names {
        let sealed: Option<String> = select.query_row([name], |row| row.get(0)).optional()?;
        if let Some(sealed) = sealed
            && may_see(sql, keys, sight, name)?
        {
            posts.extend(StoreError::or_absent(stored::read_post(keys, name, &sealed))?.flatten());
        }
    }
    Ok(posts)
}

/// Those of an incident's sample that may leave the house.
fn sample_of(sql: &Connection, keys: &Keys, sample: &[PostId]) -> Result<Vec<Post>, StoreError> {
    let names = sample.iter().map(|post| keys.name(post.as_str())).collect::<Result<Vec<_>, _>>()?;
    existing_posts(sql, keys, Sight::Veiled, names.iter().map(String::as_str))
}

fn read_undelivered(row: &Row<'_>) -> rusqlite::Result<Undelivered> {
    let text = |column| row.get::<_, String>(column);
    Ok(Undelivered {
        id: text(0)?.into(),
        receiver: text(1)?.into(),
        person: row.get::<_, Option<String>>(4)?.map(Into::into),
        incident: IncidentId::from(text(2)?),
        error: text(3)?,
    })
}

pub(super) struct Taken {
    id: String,
    message: String,
    due: i64,
    give_up: i64,
    attempts: u32,
    recipient: Option<Recipient>,
}

impl Taken {
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            message: row.get("message")?,
            due: row.get("due")?,
            give_up: row.get("give_up")?,
            attempts: row.get("attempts")?,
            recipient: row
                .get::<_, Option<String>>("person")?
                .zip(row.get("address")?)
                .map(|(person, address)| Recipient { person: person.into(), address }),
        })
    }

    pub(super) fn into_leased(
        self,
        receiver: &ReceiverName,
        sql: &Connection,
        keys: &Keys,
    ) -> Result<Leased, StoreError> {
        let message = stored::message_from_json(&self.id, &self.message, keys)?;
        // Receivers are other companies' computers, telephones on tables, chats: of what is restricted they learn that it
        // is there.
        let message = Message { incident: message.incident.seen_with(Sight::Veiled), ..message };
        let sample = sample_of(sql, keys, &message.incident.sample)?;
        let delivery = Delivery {
            id: self.id.into(),
            receiver: receiver.clone(),
            recipient: self.recipient,
            message,
            due: Timestamp::from_micros(self.due),
            give_up: Timestamp::from_micros(self.give_up),
        };
        Ok(Leased { delivery, sample, attempt: self.attempts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Delivered messages stay for as long as incidents do, and every message that goes out asks.
    #[test]
    fn whose_turn_it_is_is_found_without_reading_what_was_delivered() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("a.db")).unwrap();
        for query in [&due(), UNDER_WAY] {
            let mut plan = store.conn().prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
            let steps = plan.query_map(params!["hook", 0], |row| row.get::<_, String>(3)).unwrap();
            let steps: Vec<String> = steps.collect::<Result<_, _>>().unwrap();
            let looks = |step: &&String| step.starts_with("SEARCH") || step.starts_with("SCAN");
            assert!(steps.iter().filter(looks).all(|step| step.contains("INDEX outbox_")), "{steps:#?}");
            assert!(steps.iter().all(|step| !step.contains("TEMP B-TREE")), "{steps:#?}");
        }
    }
}
