//! The one connection that writes, and what a commit of the engine becomes on disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::answered::Answered;
use super::error::StoreError;
use super::files::{self, Lock};
use super::holds::put_aside;
use super::keys::{About, Keys};
use super::retention::{erase, erase_author};
use super::ring::Lane;
use super::sealing::{Horizons, seal_alert};
use super::{migrate, quotas, silences, stored};
use crate::domain::audit::Entry;
use crate::domain::cap::Quota;
use crate::domain::commit::{Commit, Erasure, Progress, VolumeState};
use crate::domain::event::{Bookmark, Rejected};
use crate::domain::id::{DeliveryId, IncidentId, PostId, SourceName};
use crate::domain::incident::{Alert, Gap, Incident, Severity, Sighting, TimelineEntry};
use crate::domain::message::Delivery;
use crate::domain::post::{Author, Post};
use crate::domain::silence::Silence;
use crate::domain::story::Telling;
use crate::domain::time::Timestamp;

/// How long a transaction waits for a stranger's lock (a shell, a backup tool).
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The database, open for writing; there is one in the world per file.
///
/// Every method blocks until the disk has it; the daemon calls them from the thread of
/// [`super::run`] alone.
#[derive(Debug)]
pub struct Store {
    conn: Connection,
    keys: Keys,
    /// Text that was removed may still stand in the write-ahead log.
    text_in_log: bool,
    answered: Answered,
    /// Dropped last: nobody else may open the files before the connection is gone.
    _lock: Lock,
}

impl Store {
    /// Opens or creates the database and brings it to the present schema.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while another process has it, [`StoreError::TooNew`] and
    /// [`StoreError::NotOurs`] when it must not be touched, [`StoreError::NoKeys`] and its like when its keys are not
    /// beside it, and what the disk says.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = files::prepare(path)?;
        Self::open_under(path, lock, None)
    }

    /// Opens what is locked; with other keys than those beside it, if there are any.
    pub(super) fn open_under(path: &Path, lock: Lock, keys: Option<Keys>) -> Result<Self, StoreError> {
        let mut conn = Connection::open(path)?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        migrate::claim(&conn, path)?;
        let keys = match (keys, migrate::ring(&conn, migrate::check(&conn, path)?)?) {
            (Some(keys), _) => keys,
            (None, Some(ring)) => Keys::beside(path, &ring)?,
            (None, None) => Keys::begin(path)?,
        };
        conn.set_prepared_statement_cache_capacity(64);
        // A page must survive a power cut once its commit returned: WAL alone promises that only with FULL.
        conn.pragma_update(None, "journal_mode", "wal")?;
        conn.pragma_update(None, "synchronous", "full")?;
        // What an author took back has to be gone from the file, not only from the tables. FAST would
        // leave the overflow pages of long posts as they were.
        conn.pragma_update(None, "secure_delete", "on")?;
        // Sorting must not leave text in temporary files.
        conn.pragma_update(None, "temp_store", "memory")?;
        conn.pragma_update(None, "trusted_schema", "off")?;
        // After a flood the log gives its space back.
        conn.pragma_update(None, "journal_size_limit", 32 * 1024 * 1024)?;
        migrate::migrate(&mut conn, path, &keys)?;
        let answered = Answered::take_over(path, &conn)?;
        // The lock says that whoever leased them is dead: a page must not wait for its lease to run out.
        let free = conn.execute("UPDATE outbox SET state = 'pending', leased_until = NULL WHERE state = 'leased'", ());
        // On a full disk it waits all the same, which is better than not to start.
        free.map(drop).map_err(StoreError::from).or_else(passing)?;
        // What the last run removed before it was killed may still stand in the log.
        let mut store = Self { conn, keys, text_in_log: true, answered, _lock: lock };
        store.scrub().or_else(passing)?;
        Ok(store)
    }

    /// Where it is noted that a receiver has a message, before it is recorded here.
    pub fn answered(&self) -> Answered {
        self.answered.clone()
    }

    /// Writes the commits in order, all or none; on disk when it returns.
    pub fn commit(&mut self, commits: &[Commit]) -> Result<(), StoreError> {
        self.transact(|transaction| commits.iter().try_for_each(|commit| transaction.commit(commit)))
    }

    /// Makes sure that removed text is gone from the log too, unless a reader is using it just now.
    pub fn scrub(&mut self) -> Result<(), StoreError> {
        if self.text_in_log {
            // Without patience: a reader must not hold up a page. The next call tries again.
            self.conn.busy_timeout(Duration::ZERO)?;
            let held_up = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get::<_, bool>(0));
            self.conn.busy_timeout(BUSY_TIMEOUT)?;
            self.text_in_log = held_up.optional()?.unwrap_or(true);
        }
        Ok(())
    }

    /// Puts the log into the database and closes it.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.text_in_log = true;
        self.scrub()?;
        self.conn.close().map_err(|(_, error)| error.into())
    }

    /// Runs the work in one transaction.
    pub(super) fn transact<T>(
        &mut self,
        work: impl FnOnce(&mut Writing<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut writing = Writing { sql: &transaction, keys: &self.keys, removed_text: false, forgotten: None };
        let answer = work(&mut writing)?;
        let (removed_text, unused) = (writing.removed_text, writing.unused_keys()?);
        // Keys come before what they seal, and go after it.
        self.keys.save()?;
        transaction.commit()?;
        self.keys.destroy(&unused);
        self.text_in_log |= removed_text;
        Ok(answer)
    }

    pub(super) const fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(super) fn conn(&self) -> &Connection {
        &self.conn
    }
}

/// A transaction under way.
pub(super) struct Writing<'a> {
    pub(super) sql: &'a Transaction<'a>,
    pub(super) keys: &'a Keys,
    /// Whether any post's text was removed or replaced.
    pub(super) removed_text: bool,
    /// Everything older was forgotten, so keys may go.
    pub(super) forgotten: Option<Horizons>,
}

impl Writing<'_> {
    /// Writes one commit, in the order of its fields.
    pub(super) fn commit(&mut self, commit: &Commit) -> Result<(), StoreError> {
        let Commit {
            clock_set,
            posts,
            restricted: _,
            tellings,
            sightings,
            erased,
            alerts,
            incidents,
            silences,
            authors,
            timeline,
            outbox,
            told,
            overdue,
            gaps,
            volumes,
            open_minutes,
            quotas,
            progress,
            crowded_out: _,
        } = commit;
        clock_set.iter().try_for_each(|set| self.clock_set(set))?;
        let restricted = self.restricted_posts(commit)?;
        let lane = |post: &PostId| Lane::of(restricted.contains(post));
        posts.iter().try_for_each(|post| self.post(post, lane(&post.id)))?;
        tellings.iter().try_for_each(|telling| self.telling(telling, lane(&telling.post)))?;
        sightings.iter().try_for_each(|sighting| self.sighting(sighting))?;
        restricted.iter().try_for_each(|post| self.restrict(post))?;
        for erasure in erased {
            let gone = match erasure {
                Erasure::Post(post) => erase(self.sql, self.keys, &self.keys.name(post.as_str())?)?,
                Erasure::Author(author) => erase_author(self.sql, self.keys, &self.keys.name(author.as_str())?)?,
            };
            self.removed_text |= gone;
        }
        alerts.iter().try_for_each(|alert| self.alert(alert))?;
        incidents.iter().try_for_each(|incident| self.incident(incident))?;
        silences.iter().try_for_each(|silence| self.silence(silence))?;
        authors.iter().try_for_each(|author| self.author(author))?;
        timeline.iter().try_for_each(|entry| self.timeline(entry))?;
        outbox.iter().try_for_each(|delivery| self.delivery(delivery))?;
        told.iter().try_for_each(|id| self.told(id))?;
        overdue.iter().try_for_each(|id| self.no_longer_awaited(id))?;
        gaps.iter().try_for_each(|gap| self.gap(gap))?;
        volumes.values().try_for_each(|volume| self.volume(volume))?;
        // Steps that were joined to one commit may each have one of a rule.
        let newest: BTreeMap<_, _> = open_minutes.iter().map(|minute| (&minute.of.name, minute)).collect();
        newest.values().try_for_each(|minute| self.volume(&minute.to_row()))?;
        quotas.values().try_for_each(|quota| self.quota(quota))?;
        progress.iter().try_for_each(|(source, progress)| self.progress(source, progress))
    }

    /// A post that was erased stays erased: after a crash the stream is read again, and an
    /// author who took something back must not see it return for even a second. By the same
    /// right what was written earlier never replaces what its author says now: versions may
    /// come in any order.
    fn post(&mut self, post: &Post, lane: Lane) -> Result<(), StoreError> {
        let (name, at) = (self.keys.name(post.id.as_str())?, post.event_time.micros());
        let mut known = self.sql.prepare_cached("SELECT json, at FROM post WHERE id = ?1")?;
        let row = |row: &Row<'_>| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, i64>(1)?));
        let is = stored::post_to_json(post);
        let mut lane = lane;
        if let Some((sealed, written)) = known.query_row([&name], row).optional()? {
            let Some(sealed) = sealed.filter(|_| written <= at) else { return Ok(()) };
            self.removed_text = true;
            // Once there, always there.
            lane = self.keys.lane_of(&sealed)?.map_or(lane, |was| was.max(lane));
            if let Some(was) = stored::open_post(self.keys, &name, &sealed)?.filter(|was| *was != is) {
                let says_the_same = |was: Post| was.text == post.text && was.media_text == post.media_text;
                if !stored::post_from_json(&was).is_ok_and(says_the_same) {
                    put_aside(self.sql, self.keys, &name, &sealed, &was)?;
                }
            }
        }
        let mut upsert = self.sql.prepare_cached(
            "INSERT INTO post (id, author, at, json) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET author = excluded.author, at = excluded.at, json = excluded.json",
        )?;
        let author = self.keys.name(post.author.id.as_str())?;
        let sealed = stored::seal_post(self.keys, lane, post.event_time, &name, &is)?;
        upsert.execute(params![name, author, at, sealed])?;
        Ok(())
    }

    /// What is known of an author goes into the evidence they wrote; what is not stays as it was.
    fn author(&self, author: &Author) -> Result<(), StoreError> {
        let mut select = self.sql.prepare_cached("SELECT id, json FROM post WHERE author = ?1 AND json IS NOT NULL")?;
        let name = self.keys.name(author.id.as_str())?;
        let rows = select.query_map([name], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let rows: Vec<(String, String)> = rows.collect::<Result<_, _>>()?;
        let mut update = self.sql.prepare_cached("UPDATE post SET json = ?2 WHERE id = ?1")?;
        for (name, sealed) in rows {
            let Some(post) = stored::read_post(self.keys, &name, &sealed)? else { continue };
            let json = stored::post_to_json(&stored::with_author(post, author));
            if let Some(sealed) = self.keys.reseal(&sealed, About::new("post", &name), &json)? {
                update.execute([name, sealed])?;
            }
        }
        Ok(())
    }

    fn telling(&self, telling: &Telling, lane: Lane) -> Result<(), StoreError> {
        let Telling { post, author, at, story, original, words } = telling;
        let mut insert = self.sql.prepare_cached(
            "INSERT INTO telling (post, author, at, story, original, words) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (post) DO NOTHING",
        )?;
        let name = self.keys.name(post.as_str())?;
        let words = words.as_deref().map(|words| stored::seal_words(self.keys, lane, *at, &name, words));
        insert.execute(params![
            name,
            self.keys.name(author.as_str())?,
            at.micros(),
            story.0.cast_signed(),
            original.as_ref().map(|post| self.keys.name(post.as_str())).transpose()?,
            words.transpose()?,
        ])?;
        Ok(())
    }

    fn sighting(&self, sighting: &Sighting) -> Result<(), StoreError> {
        let Sighting { rule, seen, source, incident, copy_of } = sighting; // the telling has the story
        let post = self.keys.name(seen.post.as_str())?;
        let mut upsert = self.sql.prepare_cached(
            "INSERT INTO sighting (rule, post, source, author, at, incident, copy_of)
             VALUES (?1, ?2, ?3, ?4, ?5, coalesce(?6, (SELECT incident FROM sighting WHERE rule = ?1 AND post = ?7)), ?7)
             ON CONFLICT (rule, post) DO UPDATE SET incident = coalesce(excluded.incident, incident)",
        )?;
        let incident = incident.as_ref().map(IncidentId::as_str);
        if incident.is_some() {
            let copies = "UPDATE sighting SET incident = ?3 WHERE copy_of = ?2 AND rule = ?1";
            self.sql.prepare_cached(copies)?.execute(params![rule.as_str(), post, incident])?;
        }
        upsert.execute(params![
            rule.as_str(),
            post,
            source.as_str(),
            self.keys.name(seen.author.as_str())?,
            seen.at.micros(),
            incident,
            copy_of.as_ref().map(|post| self.keys.name(post.as_str())).transpose()?
        ])?;
        Ok(())
    }

    fn alert(&self, alert: &Alert) -> Result<(), StoreError> {
        let mut insert = self.sql.prepare_cached(
            "INSERT INTO alert (at, rule, severity, topic, condition, incident, new_incident, posts, authors, within, post, why, observed, expected, upper, key)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16) ON CONFLICT DO NOTHING",
        )?;
        let sealed = seal_alert(self.keys, self.lane_of_alert(alert)?, alert)?;
        insert.execute(params![
            alert.at.micros(),
            alert.rule.as_str(),
            alert.severity.as_str(),
            alert.topic.as_str(),
            alert.condition.as_str(),
            alert.incident.as_str(),
            alert.new_incident,
            integer(alert.posts),
            integer(alert.authors),
            alert.within.map(micros),
            sealed.post,
            sealed.why,
            alert.volume.map(|volume| integer(volume.observed)),
            alert.volume.map(|volume| volume.expected),
            alert.volume.map(|volume| integer(volume.upper)),
            sealed.key,
        ])?;
        Ok(())
    }

    fn incident(&self, incident: &Incident) -> Result<(), StoreError> {
        let mut upsert = self.sql.prepare_cached(
            "INSERT INTO incident (id, state, opened_at, detail) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET state = excluded.state, opened_at = excluded.opened_at, detail = excluded.detail",
        )?;
        let detail = stored::incident_to_json(incident, self.keys)?;
        let (state, opened_at) = (incident.state.as_str(), incident.opened_at.micros());
        upsert.execute(params![incident.id.as_str(), state, opened_at, detail])?;
        Ok(())
    }

    fn silence(&self, silence: &Silence) -> Result<(), StoreError> {
        let mut upsert = self.sql.prepare_cached(
            "INSERT INTO silence (id, ordered, until, detail) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (id) DO UPDATE SET until = excluded.until, detail = excluded.detail",
        )?;
        let (ordered, until) = (silence.ordered.micros(), silence.until.micros());
        upsert.execute(params![silence.id.as_str(), ordered, until, silences::to_json(silence)])?;
        self.audit(&silences::entry(silence))
    }

    pub(super) fn timeline(&self, entry: &TimelineEntry) -> Result<(), StoreError> {
        let TimelineEntry { incident, at, what, by, text } = entry;
        let mut insert = self
            .sql
            .prepare_cached("INSERT INTO timeline (incident, at, what, by, text) VALUES (?1, ?2, ?3, ?4, ?5)")?;
        let sealed = self.keys.seal(self.lane_of(incident)?, *at, About::new("timeline", incident.as_str()), text)?;
        insert.execute(params![incident.as_str(), at.micros(), what, by, sealed])?;
        let (what, about) = (format!("incident.{what}"), incident.to_string());
        self.audit(&Entry { at: *at, by: by.clone(), what, about, text: text.clone() })
    }

    fn delivery(&self, delivery: &Delivery) -> Result<(), StoreError> {
        let Delivery { id, receiver, recipient, message, due, give_up } = delivery;
        let (person, incident) = (recipient.as_ref().map(|to| to.person.as_str()), message.incident.id.as_str());
        let mut insert = self.sql.prepare_cached(
            "INSERT INTO outbox (id, receiver, incident, message, due, give_up, person, address, held_until, critical, patience, receipt_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12) ON CONFLICT (id) DO NOTHING",
        )?;
        // An exercise never goes before what is real.
        let critical = message.incident.severity == Severity::Critical && !message.incident.exercise;
        let held_until = delivery.held_until().map(Timestamp::micros);
        let inserted = insert.execute(params![
            id.as_str(),
            receiver.as_str(),
            incident,
            stored::message_to_json(message, self.keys)?,
            due.micros(),
            give_up.micros(),
            person,
            delivery.address(),
            held_until,
            critical,
            give_up.micros() - due.micros(),
            delivery.receipt_by().map(Timestamp::micros),
        ])?;
        if inserted > 0 && critical {
            // It cannot overtake what waits before it in its line, so that hurries as well.
            let mut hurry = self.sql.prepare_cached(
                "UPDATE outbox SET critical = 1 WHERE receiver = ?1 AND incident = ?2 AND person IS ?3
                 AND state IN ('pending', 'leased') AND NOT critical",
            )?;
            hurry.execute(params![receiver.as_str(), incident, person])?;
        }
        if inserted > 0 && person.is_some() && held_until.is_none() {
            // What must not wait cannot overtake what was held back, so that goes with it.
            let mut release = self.sql.prepare_cached(
                // Nor must it wait longer for that than it would be tried itself.
                "UPDATE outbox SET due = min(due, ?4), give_up = min(give_up, ?5), held_until = NULL
                 WHERE receiver = ?1 AND incident = ?2 AND person = ?3 AND state IN ('pending', 'leased')
                 AND leased_until IS NULL AND held_until > ?4",
            )?;
            release.execute(params![receiver.as_str(), incident, person, due.micros(), give_up.micros()])?;
        }
        Ok(())
    }

    fn no_longer_awaited(&self, id: &DeliveryId) -> Result<(), StoreError> {
        let mut update = self.sql.prepare_cached("UPDATE outbox SET receipt_by = NULL WHERE id = ?1")?;
        update.execute([id.as_str()])?;
        Ok(())
    }

    fn told(&self, id: &DeliveryId) -> Result<(), StoreError> {
        let mut update = self.sql.prepare_cached("UPDATE outbox SET told = 1 WHERE id = ?1")?;
        update.execute([id.as_str()])?;
        Ok(())
    }

    fn gap(&self, gap: &Gap) -> Result<(), StoreError> {
        let Gap { source, from, to, reason, recovered } = gap;
        let mut upsert = self.sql.prepare_cached(
            "INSERT INTO gap (source, from_at, to_at, reason, recovered) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (source, from_at) DO UPDATE
             SET to_at = excluded.to_at, reason = excluded.reason, recovered = excluded.recovered",
        )?;
        let to = to.map(Timestamp::micros);
        upsert.execute(params![source.as_str(), from.micros(), to, reason.as_str(), recovered])?;
        Ok(())
    }

    fn volume(&self, volume: &VolumeState) -> Result<(), StoreError> {
        let VolumeState { rule, meaning, at, state } = volume;
        let mut upsert = self.sql.prepare_cached(
            "INSERT INTO volume (rule, meaning, at, state) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (rule) DO UPDATE SET meaning = excluded.meaning, at = excluded.at, state = excluded.state",
        )?;
        upsert.execute(params![rule.as_str(), meaning, at.micros(), state])?;
        Ok(())
    }

    fn quota(&self, quota: &Quota) -> Result<(), StoreError> {
        let mut upsert = self.sql.prepare_cached(
            "INSERT INTO quota (receiver, detail) VALUES (?1, ?2)
             ON CONFLICT (receiver) DO UPDATE SET detail = excluded.detail",
        )?;
        upsert.execute(params![quota.receiver.as_str(), quotas::to_json(quota)])?;
        Ok(())
    }

    fn progress(&self, source: &SourceName, progress: &Progress) -> Result<(), StoreError> {
        let ledger = &progress.ledger;
        // `max` of SQL is null when either side is, hence the two coalesces.
        let mut upsert = self.sql.prepare_cached(
            "INSERT INTO source (name, cursor, frames, posts, other, duplicates, dropped, bookmark)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (name) DO UPDATE SET
               cursor = max(coalesce(cursor, excluded.cursor), coalesce(excluded.cursor, cursor)),
               frames = frames + excluded.frames, posts = posts + excluded.posts, other = other + excluded.other,
               duplicates = duplicates + excluded.duplicates, dropped = dropped + excluded.dropped,
               bookmark = coalesce(excluded.bookmark, bookmark)",
        )?;
        upsert.execute(params![
            source.as_str(),
            progress.cursor.map(|cursor| cursor.0),
            integer(ledger.frames),
            integer(ledger.posts),
            integer(ledger.other),
            integer(ledger.duplicates),
            integer(ledger.dropped),
            progress.bookmark.as_ref().map(|Bookmark(text)| &**text),
        ])?;
        let mut reject = self.sql.prepare_cached(
            "INSERT INTO rejected (source, reason, frames) VALUES (?1, ?2, ?3)
             ON CONFLICT (source, reason) DO UPDATE SET frames = frames + excluded.frames",
        )?;
        for (reason, &frames) in Rejected::ALL.iter().zip(&ledger.rejected).filter(|(_, frames)| **frames > 0) {
            reject.execute(params![source.as_str(), reason.as_str(), integer(frames)])?;
        }
        Ok(())
    }
}

/// What passes is no reason not to go on.
pub(super) fn passing(error: StoreError) -> Result<(), StoreError> {
    if error.is_passing() { Ok(()) } else { Err(error) }
}

/// SQLite counts to 2^63; nothing here comes near.
pub(super) fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Cursor;

    #[test]
    fn a_disk_that_is_full_or_read_only_takes_nothing_and_later_everything() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("a.db")).unwrap();
        let long = "why ".repeat(50_000);
        let progress = Progress { cursor: Some(Cursor(1)), ..Progress::default() };
        let entry = TimelineEntry {
            incident: "i".into(),
            at: Timestamp::default(),
            what: "note",
            by: long.clone(),
            text: long,
        };
        let commit = Commit { timeline: vec![entry], progress: [("s".into(), progress)].into(), ..Commit::default() };

        let pages: i64 = store.conn.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        let limit = |store: &Store, pages: i64| {
            store.conn.pragma_update_and_check(None, "max_page_count", pages, |row| row.get::<_, i64>(0)).unwrap()
        };
        limit(&store, pages);
        let refused = store.commit(std::slice::from_ref(&commit)).unwrap_err();
        assert!(matches!(refused, StoreError::Full) && refused.is_passing(), "{refused:?}");
        assert!(store.restore(Timestamp::default()).unwrap().cursors.is_empty(), "all or nothing");
        limit(&store, pages + 1000);
        store.conn.pragma_update(None, "query_only", "on").unwrap(); // as a file system that became read-only
        let refused = store.commit(std::slice::from_ref(&commit)).unwrap_err();
        assert!(matches!(refused, StoreError::Unwritable(_)) && refused.is_passing(), "{refused:?}");
        store.conn.pragma_update(None, "query_only", "off").unwrap();
        store.commit(&[commit]).unwrap();
        assert_eq!(store.restore(Timestamp::default()).unwrap().cursors.len(), 1);
    }
}
