//! What is sealed with which key, and when keys are destroyed: see [`super::keys`].
//!
//! A day's key seals what is dated that day, of the general lane or of the duty-of-care lane: the text of posts and what
//! was kept of it by a hold, the words by which copies are known, the reasons of alerts, of incidents and of messages, and
//! what is written in the history and in the audit log. Once a day is older than all that may be kept, and nothing that
//! must be read is sealed with its key, the key goes.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use super::error::StoreError;
use super::holds::HELD;
use super::keys::{About, Keys};
use super::ring::{DAY, Lane, unhex};
use super::stored;
use super::write::Writing;
use crate::domain::commit::Commit;
use crate::domain::id::{IncidentId, PostId, hex};
use crate::domain::incident::{Alert, Sighting};
use crate::domain::lane::is_restricted;
use crate::domain::time::Timestamp;

/// Rows that are sealed at once when a database of before is.
const ROWS_AT_ONCE: usize = 1000;

/// What is sealed of an alert.
pub(super) struct SealedAlert {
    pub(super) post: Option<String>,
    pub(super) why: String,
    pub(super) key: Option<String>,
}

/// What an alert is known by: its rule, when it fired, and the post's name.
fn alert_row(rule: &str, at: i64, post: Option<&str>) -> String {
    format!("{rule} {at} {}", post.unwrap_or_default())
}

pub(super) fn seal_alert(keys: &Keys, lane: Lane, alert: &Alert) -> Result<SealedAlert, StoreError> {
    let post = alert.post.as_ref().map(|post| keys.name(post.as_str())).transpose()?;
    let row = alert_row(alert.rule.as_str(), alert.at.micros(), post.as_deref());
    let why = keys.seal(lane, alert.at, About::new("alert", &row), &alert.why)?;
    let key = alert.key.as_ref().map(|key| keys.seal(lane, alert.at, About::new("alert.key", &row), key));
    Ok(SealedAlert { post, why, key: key.transpose()? })
}

/// The reason and the key of an alert, both as they are sealed, opened.
pub(super) fn open_alert(
    keys: &Keys,
    (rule, at, post): (&str, i64, Option<&str>),
    (why, key): (&str, Option<&str>),
) -> Result<(String, Option<String>), StoreError> {
    let row = alert_row(rule, at, post);
    let key = key.map(|key| keys.open(About::new("alert.key", &row), key)).transpose()?.flatten();
    Ok((stored::words_of(keys, About::new("alert", &row), why)?, key))
}

/// Other words for an alert, with the key that its old ones have.
pub(super) fn reseal_alert(
    keys: &Keys,
    (rule, at, post): (&str, i64, Option<&str>),
    was: &str,
    (why, key): (&str, &str),
) -> Result<Option<(String, String)>, StoreError> {
    let row = alert_row(rule, at, post);
    let why = keys.reseal(was, About::new("alert", &row), why)?;
    Ok(why.zip(keys.reseal(was, About::new("alert.key", &row), key)?))
}

/// An entry's words with their salt.
pub(super) fn seal_entry(
    keys: &Keys,
    lane: Lane,
    at: Timestamp,
    number: i64,
    (salt, text): (&[u8], &str),
) -> Result<String, StoreError> {
    let row = number.to_string();
    keys.seal(lane, at, About::new("audit", &row), format!("{:<32}{text}", hex(salt, 16)))
}

/// Salt and words of an entry; none when their key is destroyed.
pub(super) fn open_entry(keys: &Keys, number: i64, sealed: &str) -> Result<Option<(Vec<u8>, String)>, StoreError> {
    let row = number.to_string();
    let unreadable = || StoreError::Unreadable { table: "audit", id: row.clone() };
    let Some(whole) = keys.open(About::new("audit", &row), sealed)? else { return Ok(None) };
    let (salt, text) = whole.split_at_checked(32).ok_or_else(unreadable)?;
    let mut bytes = [0; 16];
    let salted = unhex(salt, &mut bytes).is_some();
    Ok(Some((if salted { bytes.to_vec() } else { Vec::new() }, text.to_owned())))
}

impl Writing<'_> {
    /// Posts of which a sighting, its rule or its incident is of the lane.
    pub(super) fn restricted_posts<'c>(&self, commit: &'c Commit) -> Result<BTreeSet<&'c PostId>, StoreError> {
        let mut known: BTreeMap<&IncidentId, bool> =
            commit.incidents.iter().map(|incident| (&incident.id, incident.is_restricted())).collect();
        let mut posts: BTreeSet<&PostId> = commit.restricted.iter().collect();
        for Sighting { rule, seen, incident, .. } in &commit.sightings {
            let of_lane = match incident {
                _ if is_restricted(rule.as_str()) => true,
                Some(incident) => {
                    if !known.contains_key(incident) {
                        known.insert(incident, self.lane_of(incident)? == Lane::Restricted);
                    }
                    known.get(incident).is_some_and(|of_lane| *of_lane)
                }
                None => false,
            };
            if of_lane {
                posts.insert(&seen.post);
            }
        }
        Ok(posts)
    }

    /// The lane of what belongs to an incident.
    pub(super) fn lane_of(&self, incident: &IncidentId) -> Result<Lane, StoreError> {
        let mut select = self.sql.prepare_cached("SELECT detail FROM incident WHERE id = ?1")?;
        let detail = select.query_row([incident.as_str()], |row| row.get::<_, String>(0)).optional()?;
        Ok(Lane::of(detail.is_some_and(|detail| stored::is_restricted(&detail))))
    }

    pub(super) fn lane_of_alert(&self, alert: &Alert) -> Result<Lane, StoreError> {
        if [alert.topic.as_str(), alert.rule.as_str()].into_iter().any(is_restricted) {
            return Ok(Lane::Restricted);
        }
        self.lane_of(&alert.incident)
    }

    /// Moves a kept post and its words to the lane, if they are not there yet: another rule took it before.
    pub(super) fn restrict(&self, post: &PostId) -> Result<(), StoreError> {
        let name = self.keys.name(post.as_str())?;
        self.sql.prepare_cached("UPDATE post SET restricted = 1 WHERE id = ?1 AND NOT restricted")?.execute([&name])?;
        let mut kept = self.sql.prepare_cached("SELECT json, at FROM post WHERE id = ?1 AND json IS NOT NULL")?;
        let row = kept.query_row([&name], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))).optional()?;
        let Some((sealed, at)) = row else { return Ok(()) };
        if self.keys.lane_of(&sealed)? == Some(Lane::Restricted) {
            return Ok(());
        }
        let Some(json) = stored::open_post(self.keys, &name, &sealed)? else { return Ok(()) };
        let sealed = stored::seal_post(self.keys, Lane::Restricted, Timestamp::from_micros(at), &name, &json)?;
        self.sql.prepare_cached("UPDATE post SET json = ?2 WHERE id = ?1")?.execute([&name, &sealed])?;
        let mut told =
            self.sql.prepare_cached("SELECT words, at FROM telling WHERE post = ?1 AND length(words) > 0")?;
        let row = told.query_row([&name], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?))).optional()?;
        if let Some((sealed, at)) = row {
            let words = stored::open_words(self.keys, &name, &sealed)?;
            let sealed = stored::seal_words(self.keys, Lane::Restricted, Timestamp::from_micros(at), &name, &words)?;
            let mut update = self.sql.prepare_cached("UPDATE telling SET words = ?2 WHERE post = ?1")?;
            update.execute(params![name, sealed])?;
        }
        Ok(())
    }
}

/// What is older than these may be kept by nobody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Horizons {
    pub(super) general: Timestamp,
    pub(super) restricted: Timestamp,
}

impl Writing<'_> {
    /// The keys of days that are over, and of which nothing is left that is to be read: what is kept, what is held, and
    /// incidents and messages that are not done with.
    pub(super) fn unused_keys(&self) -> Result<Vec<String>, StoreError> {
        let Some(Horizons { general, restricted }) = self.forgotten else { return Ok(Vec::new()) };
        let horizon = |lane| if lane == Lane::General { general } else { restricted };
        let mut used = self.sql.prepare(&format!(
            "SELECT EXISTS (SELECT 1 FROM post WHERE json IS NOT NULL AND at BETWEEN :from AND :to AND substr(json, 1, 16) = :key)
               OR EXISTS (SELECT 1 FROM telling
                 WHERE at BETWEEN :from AND :to AND length(words) > 0 AND substr(words, 1, 16) = CAST(:key AS BLOB))
               OR EXISTS (SELECT 1 FROM alert WHERE at BETWEEN :from AND :to AND substr(why, 1, 16) = :key)
               OR EXISTS (SELECT 1 FROM timeline WHERE at BETWEEN :from AND :to AND substr(text, 1, 16) = :key)
               OR EXISTS (SELECT 1 FROM audit
                 WHERE at BETWEEN :from AND :to AND text IS NOT NULL AND substr(text, 1, 16) = :key)
               OR EXISTS (SELECT 1 FROM held WHERE substr(json, 1, 16) = :key)
               OR EXISTS (SELECT 1 FROM incident
                 WHERE (state <> 'resolved' OR id IN ({HELD})) AND instr(detail, :key))
               OR EXISTS (SELECT 1 FROM outbox
                 WHERE (state IN ('pending', 'leased') OR incident IN ({HELD})) AND instr(message, :key))"
        ))?;
        let mut unused = Vec::new();
        for (key, day) in self.keys.older(horizon)? {
            let (from, to) = (day.saturating_mul(DAY), (day + 1).saturating_mul(DAY) - 1);
            let params = named_params! { ":key": key, ":from": from, ":to": to };
            if !used.query_row(params, |row| row.get::<_, bool>(0))? {
                unused.push(key);
            }
        }
        Ok(unused)
    }

    /// Takes out what no key opens: after old text was put back, or when keys were lost. With keys that are all new nothing
    /// is known by its name either. How many posts lost their text.
    pub(super) fn drop_unreadable(&mut self, all_new: bool) -> Result<usize, StoreError> {
        self.removed_text = true;
        if all_new {
            let posts = self.sql.query_row("SELECT count(*) FROM post WHERE json IS NOT NULL", (), |row| row.get(0));
            let posts: i64 = posts?;
            self.sql.execute_batch(
                "DELETE FROM post; DELETE FROM sighting; DELETE FROM telling; DELETE FROM held; DELETE FROM alert;
                 DELETE FROM timeline; UPDATE audit SET text = NULL;",
            )?;
            return Ok(usize::try_from(posts).unwrap_or_default());
        }
        let mut posts = 0;
        let mut select = self.sql.prepare("SELECT id, substr(json, 1, 16) FROM post WHERE json IS NOT NULL")?;
        let mut gone = Vec::new();
        let mut rows = select.query(())?;
        while let Some(row) = rows.next()? {
            let (name, begin): (String, String) = (row.get(0)?, row.get(1)?);
            if self.keys.lane_of(&begin)?.is_none() {
                gone.push(name);
            }
        }
        for name in gone {
            // The hash of what is not there: nobody knows what it was.
            let blank = "UPDATE post SET json = NULL, hash = zeroblob(32) WHERE id = ?1";
            posts += self.sql.prepare_cached(blank)?.execute([&name])?;
            let words = "UPDATE telling SET words = x'' WHERE post = ?1 AND words IS NOT NULL";
            self.sql.prepare_cached(words)?.execute([&name])?;
        }
        let mut select = self.sql.prepare("SELECT seq, substr(json, 1, 16) FROM held")?;
        let rows = select.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
        for (seq, begin) in rows.collect::<Result<Vec<(i64, String)>, _>>()? {
            if self.keys.lane_of(&begin)?.is_none() {
                self.sql.execute("DELETE FROM held WHERE seq = ?1", [seq])?;
            }
        }
        Ok(posts)
    }
}

/// Seals what a database of before has in clear, within the transaction that gives it the new schema.
pub(super) fn seal_all(sql: &Connection, keys: &Keys) -> Result<(), StoreError> {
    let before = Before::of(sql, keys)?;
    before.posts()?;
    before.rows_about_posts()?;
    before.alerts()?;
    before.history()?;
    before.incidents()?;
    sql.execute_batch("ALTER TABLE audit DROP COLUMN salt")?;
    Ok(())
}

/// What a telling has in clear: post, author, original, words, time.
type Told = (String, String, Option<String>, Option<Vec<u8>>, i64);
/// An alert: rule, topic, incident and reason, post and key, time.
type Alerted = ([String; 4], [Option<String>; 2], i64);
/// An entry: what it is about, time, words and their salt.
type Entered = (String, i64, Option<String>, Option<Vec<u8>>);

/// A database in clear.
struct Before<'a> {
    sql: &'a Connection,
    keys: &'a Keys,
    /// The incidents of the lane.
    incidents: BTreeSet<String>,
    /// The posts of the lane.
    posts: BTreeSet<String>,
}

impl<'a> Before<'a> {
    fn of(sql: &'a Connection, keys: &'a Keys) -> Result<Self, StoreError> {
        let mut incidents = BTreeSet::new();
        let mut select = sql.prepare("SELECT id, detail FROM incident")?;
        for row in select.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))? {
            let (id, detail): (String, String) = row?;
            if stored::is_restricted(&detail) {
                incidents.insert(id);
            }
        }
        let mut posts = BTreeSet::new();
        let mut select = sql.prepare("SELECT DISTINCT post, rule, incident FROM sighting")?;
        for row in select.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))? {
            let (post, rule, incident): (String, String, Option<String>) = row?;
            if is_restricted(&rule) || incident.is_some_and(|incident| incidents.contains(&incident)) {
                posts.insert(post);
            }
        }
        Ok(Self { sql, keys, incidents, posts })
    }

    /// Every row of a table, some at a time: a month of posts has no room in memory.
    fn each<T>(
        &self,
        (table, columns): (&str, &str),
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
        mut seal: impl FnMut(i64, T) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let query =
            format!("SELECT rowid, {columns} FROM {table} WHERE rowid > ?1 ORDER BY rowid LIMIT {ROWS_AT_ONCE}");
        let mut select = self.sql.prepare(&query)?;
        let mut last = i64::MIN;
        loop {
            let rows = select.query_map([last], |row| Ok((row.get::<_, i64>(0)?, read(row)?)))?;
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            let Some((newest, _)) = rows.last() else { return Ok(()) };
            last = *newest;
            rows.into_iter().try_for_each(|(row, values)| seal(row, values))?;
        }
    }

    fn lane_of_post(&self, id: &str) -> Lane {
        Lane::of(self.posts.contains(id))
    }

    fn posts(&self) -> Result<(), StoreError> {
        let Self { sql, keys, .. } = self;
        let read = |row: &Row<'_>| Ok((row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
        let mut update = sql.prepare("UPDATE post SET id = ?2, author = ?3, json = ?4 WHERE rowid = ?1")?;
        // Those that lie aside say when they were written only here.
        let mut aside = sql.prepare("SELECT seq, json FROM held WHERE post = ?1")?;
        let mut update_aside = sql.prepare("UPDATE held SET post = ?2, json = ?3 WHERE seq = ?1")?;
        self.each(("post", "id, author, at, json"), read, |row, values: (String, String, i64, Option<String>)| {
            let (id, author, at, json) = values;
            let (name, author) = (keys.name(&id)?, keys.name(&author)?);
            let (lane, at) = (self.lane_of_post(&id), Timestamp::from_micros(at));
            let json = json.map(|json| stored::seal_post(keys, lane, at, &name, &json)).transpose()?;
            let held = aside.query_map([&id], |row| Ok((row.get(0)?, row.get(1)?)))?;
            for (seq, json) in held.collect::<Result<Vec<(i64, String)>, _>>()? {
                let sealed = keys.seal(lane, at, About::new("held", &name), json)?;
                update_aside.execute(params![seq, name, sealed])?;
            }
            update.execute(params![row, name, author, json])?;
            Ok(())
        })
    }

    fn rows_about_posts(&self) -> Result<(), StoreError> {
        let Self { sql, keys, .. } = self;
        let mut update = sql.prepare("UPDATE sighting SET post = ?2, author = ?3, copy_of = ?4 WHERE seq = ?1")?;
        let read = |row: &Row<'_>| Ok((row.get(1)?, row.get(2)?, row.get(3)?));
        self.each(("sighting", "post, author, copy_of"), read, |row, values: (String, String, Option<String>)| {
            let (post, author, copy_of) = values;
            let copy_of = copy_of.map(|post| keys.name(&post)).transpose()?;
            update.execute(params![row, keys.name(&post)?, keys.name(&author)?, copy_of])?;
            Ok(())
        })?;
        let mut update =
            sql.prepare("UPDATE telling SET post = ?2, author = ?3, original = ?4, words = ?5 WHERE seq = ?1")?;
        let read = |row: &Row<'_>| Ok((row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?));
        self.each(("telling", "post, author, original, words, at"), read, |row, values: Told| {
            let (post, author, original, words, at) = values;
            let name = keys.name(&post)?;
            let about = About::new("telling", &name);
            let (lane, at) = (self.lane_of_post(&post), Timestamp::from_micros(at));
            let seal = |words: Vec<u8>| {
                if words.is_empty() { Ok(words) } else { keys.seal(lane, at, about, words).map(String::into_bytes) }
            };
            let words = words.map(seal).transpose()?;
            let original = original.map(|post| keys.name(&post)).transpose()?;
            update.execute(params![row, name, keys.name(&author)?, original, words])?;
            Ok(())
        })
    }

    fn alerts(&self) -> Result<(), StoreError> {
        let Self { sql, keys, .. } = self;
        let mut update = sql.prepare("UPDATE alert SET post = ?2, why = ?3, key = ?4 WHERE seq = ?1")?;
        let read = |row: &Row<'_>| {
            let (texts, more) = ([row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?], [row.get(5)?, row.get(6)?]);
            Ok((texts, more, row.get(7)?))
        };
        self.each(("alert", "rule, topic, incident, why, post, key, at"), read, |row, values: Alerted| {
            let ([rule, topic, incident, why], [post, key], at) = values;
            let of_lane = is_restricted(&topic) || is_restricted(&rule) || self.incidents.contains(&incident);
            let (lane, time) = (Lane::of(of_lane), Timestamp::from_micros(at));
            let post = post.map(|post| keys.name(&post)).transpose()?;
            let known_by = alert_row(&rule, at, post.as_deref());
            let why = keys.seal(lane, time, About::new("alert", &known_by), why)?;
            let key = key.map(|key| keys.seal(lane, time, About::new("alert.key", &known_by), key)).transpose()?;
            update.execute(params![row, post, why, key])?;
            Ok(())
        })
    }

    fn history(&self) -> Result<(), StoreError> {
        let Self { sql, keys, .. } = self;
        let lane = |incident: &str| Lane::of(self.incidents.contains(incident));
        let mut update = sql.prepare("UPDATE timeline SET text = ?2 WHERE seq = ?1")?;
        let read = |row: &Row<'_>| Ok((row.get(1)?, row.get(2)?, row.get(3)?));
        self.each(("timeline", "incident, at, text"), read, |row, values: (String, i64, String)| {
            let (incident, at, text) = values;
            let about = About::new("timeline", &incident);
            update.execute(params![row, keys.seal(lane(&incident), Timestamp::from_micros(at), about, text)?])?;
            Ok(())
        })?;
        let mut update = sql.prepare("UPDATE audit SET text = ?2, salt = NULL WHERE seq = ?1")?;
        let read = |row: &Row<'_>| Ok((row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
        self.each(("audit", "about, at, text, salt"), read, |row, values: Entered| {
            let (about, at, Some(text), salt) = values else { return Ok(()) };
            let salted = (&*salt.unwrap_or_default(), text.as_str());
            update.execute(params![row, seal_entry(keys, lane(&about), Timestamp::from_micros(at), row, salted)?])?;
            Ok(())
        })
    }

    fn incidents(&self) -> Result<(), StoreError> {
        let Self { sql, keys, .. } = self;
        let clear = Keys::none();
        let mut update = sql.prepare("UPDATE incident SET detail = ?2 WHERE rowid = ?1")?;
        let read = |row: &Row<'_>| Ok((row.get(1)?, row.get(2)?));
        self.each(("incident", "id, detail"), read, |row, (id, detail): (String, String)| {
            // What nobody can read is left for whoever looks into it.
            let Ok(incident) = stored::incident_from_json(&id, &detail, &clear) else { return Ok(()) };
            update.execute(params![row, stored::incident_to_json(&incident, keys)?])?;
            Ok(())
        })?;
        let mut update = sql.prepare("UPDATE outbox SET message = ?2 WHERE seq = ?1")?;
        self.each(("outbox", "id, message"), read, |row, (id, message): (String, String)| {
            let Ok(message) = stored::message_from_json(&id, &message, &clear) else { return Ok(()) };
            update.execute(params![row, stored::message_to_json(&message, keys)?])?;
            Ok(())
        })
    }
}
