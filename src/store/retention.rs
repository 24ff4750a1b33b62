//! Forgetting: what authors take back, and what is older than the hospital may keep.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::error::StoreError;
use super::holds::{HELD, not_held, put_aside};
use super::keys::Keys;
use super::lane::NOTHING_LEFT;
use super::ring::Lane;
use super::sealing::Horizons;
use super::stored;
use super::write::{Store, Writing, integer};
use crate::domain::id::{RuleId, Topic};
use crate::domain::key::Key;
use crate::domain::lane::is_restricted;
use crate::domain::route::Glob;
use crate::domain::time::Timestamp;

/// Posts erased in one transaction, and rows of each other table changed, so that pages do not wait behind a month of
/// posts, and SQLite's log takes in no more than that.
const AT_ONCE: usize = 500;

/// What one round of forgetting did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Posts whose text is gone now.
    pub posts: usize,
    /// The names of those, and of authors of whom no text is left.
    pub gone: Vec<Key>,
    /// There is more to do: call again.
    pub more: bool,
}

/// How long things are kept: all that is older than an instant goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// The instant for all that nothing else is said of.
    pub usual: Timestamp,
    /// Those of topics; of several that fit, the one that keeps least counts.
    pub by_topic: Vec<(Glob, Timestamp)>,
    /// The topics of the rules in force. Those of others are known by their alerts.
    pub rules: BTreeMap<RuleId, Topic>,
}

impl From<Timestamp> for Retention {
    fn from(usual: Timestamp) -> Self {
        Self { usual, ..Self::default() }
    }
}

impl Retention {
    /// Everything of a topic that is older than this goes.
    pub fn of(&self, topic: &Topic) -> Timestamp {
        let fits = self.by_topic.iter().filter(|(glob, _)| glob.fits(topic.as_str()));
        fits.map(|(_, before)| *before).max().unwrap_or(self.usual)
    }
}

/// The same for SQL.
struct Instants {
    usual: i64,
    /// The newest of all: what is younger is kept in any case.
    newest: i64,
    /// Rules of which less is kept than usual.
    shorter: Vec<(String, i64)>,
    /// Those of which more is, as JSON.
    longer: String,
    /// All topics, as JSON.
    by_topic: String,
    /// What is older is kept of no topic.
    horizons: Horizons,
}

impl Store {
    /// Forgets what is older than it may be kept, a bounded part of it at a time.
    ///
    /// The text of posts goes and its hash stays; of a post of several topics, when the first of them says so. Sightings
    /// go with it. Alerts and history go once their incident is resolved, and so does its reason; incidents stay as rows,
    /// they are few. Messages go once delivered, or parked and told. Gaps and silences go once over. What is evidence
    /// of an incident that is held stays.
    pub fn forget(&mut self, retention: impl Into<Retention>) -> Result<Forgotten, StoreError> {
        let retention = retention.into();
        self.transact(|writing| writing.forget(&retention))
    }
}

impl Writing<'_> {
    pub(super) fn forget(&mut self, retention: &Retention) -> Result<Forgotten, StoreError> {
        let instants = self.instants(retention)?;
        let old = self.erase_old(&instants)?;
        let (posts, gone) = (old.len(), self.gone(&old)?);
        // What else there is goes with its posts, and so after them.
        let more = posts == AT_ONCE || self.forget_sightings(&instants)? || self.forget_beside(&instants)?;
        if !more {
            self.forgotten = Some(instants.horizons);
        }
        Ok(Forgotten { posts, gone, more })
    }

    /// Erases old posts, so many at most. Of a post of several topics the shortest time counts, so those of short times are
    /// found by their rules alone, and the others are only asked about once their usual time is over: the writer must not
    /// look at every post of a month each hour.
    fn erase_old(&mut self, instants: &Instants) -> Result<Vec<String>, StoreError> {
        let Instants { usual, shorter, longer, .. } = instants;
        let not_held = not_held();
        let of_usual = format!(
            "SELECT id FROM post WHERE at < ?1 AND json IS NOT NULL
               AND at < coalesce((
                 SELECT max(coalesce((SELECT value FROM json_each(?2) WHERE key = sighting.rule), ?1))
                 FROM sighting WHERE sighting.post = post.id), ?1)
               AND {not_held} ORDER BY at LIMIT ?3"
        );
        let mut old = ids(self.sql, &of_usual, params![usual, longer, integer(AT_ONCE as u64)])?;
        self.erase_all(&old)?;
        let of_rule = format!(
            "SELECT post.id FROM sighting JOIN post ON post.id = sighting.post
             WHERE sighting.rule = ?1 AND post.at >= ?2 AND post.at < ?3 AND json IS NOT NULL AND {not_held} LIMIT ?4"
        );
        for (rule, before) in shorter {
            let room = integer(AT_ONCE.saturating_sub(old.len()) as u64);
            let shorter = ids(self.sql, &of_rule, params![rule, usual, before, room])?;
            self.erase_all(&shorter)?;
            old.extend(shorter);
        }
        Ok(old)
    }

    fn erase_all(&mut self, posts: &[String]) -> Result<(), StoreError> {
        for post in posts {
            self.removed_text |= erase(self.sql, self.keys, post)?;
        }
        Ok(())
    }

    /// What is known of those posts no more, and of their authors if nothing else of theirs is left.
    fn gone(&self, posts: &[String]) -> Result<Vec<Key>, StoreError> {
        let mut authors = BTreeSet::new();
        for post in posts {
            authors.extend(ids(self.sql, "SELECT author FROM post WHERE id = ?1", [post])?);
        }
        let left = "SELECT author FROM post WHERE author = ?1 AND json IS NOT NULL LIMIT 1";
        let mut gone: Vec<&String> = posts.iter().collect();
        for author in &authors {
            if ids(self.sql, left, [author])?.is_empty() {
                gone.push(author);
            }
        }
        // A name that cannot be read was not remembered either.
        Ok(gone.into_iter().filter_map(|name| Some(Key::of(&*self.keys.named(name).ok()?))).collect())
    }

    /// A portion of what is neither a post nor of one; whether there may be more.
    fn forget_beside(&self, instants: &Instants) -> Result<bool, StoreError> {
        let Instants { usual, newest, by_topic, .. } = instants;
        let mut more = false;
        for statement in of_incidents().into_iter().chain([words_of_incidents()]) {
            more |= self.sql.execute(&statement, params![usual, newest, by_topic])? >= AT_ONCE;
        }
        let telling = portion("DELETE FROM telling", "telling", "at < ?1");
        more |= self.sql.execute(&telling, [usual])? >= AT_ONCE;
        for statement in [
            "DELETE FROM handover WHERE at < ?1",
            "DELETE FROM gap WHERE to_at < ?1",
            "DELETE FROM silence WHERE until < ?1",
        ] {
            self.sql.execute(statement, [usual])?;
        }
        Ok(more)
    }

    /// Sightings go with the text of their post: a portion of them; whether there may be more.
    fn forget_sightings(&self, instants: &Instants) -> Result<bool, StoreError> {
        let Instants { usual, shorter, longer, .. } = instants;
        let goes = format!(
            "(incident IS NULL OR incident NOT IN ({HELD}))
             AND NOT EXISTS (SELECT 1 FROM post WHERE id = sighting.post AND json IS NOT NULL)"
        );
        let of_usual =
            format!("at < ?1 AND at < coalesce((SELECT value FROM json_each(?2) WHERE key = rule), ?1) AND {goes}");
        let of_usual = portion("DELETE FROM sighting", "sighting", &of_usual);
        let mut more = self.sql.execute(&of_usual, params![usual, longer])? >= AT_ONCE;
        let of_rule = portion("DELETE FROM sighting", "sighting", &format!("rule = ?1 AND at < ?2 AND {goes}"));
        for (rule, before) in shorter {
            more |= self.sql.execute(&of_rule, params![rule, before])? >= AT_ONCE;
        }
        let unmark = portion("UPDATE post SET restricted = 0", "post", &format!("restricted AND {NOTHING_LEFT}"));
        more |= self.sql.execute(&unmark, ())? >= AT_ONCE;
        Ok(more)
    }

    fn instants(&self, retention: &Retention) -> Result<Instants, StoreError> {
        let usual = retention.usual.micros();
        let (mut by_rule, mut by_topic) = (BTreeMap::<String, i64>::new(), serde_json::Map::new());
        if !retention.by_topic.is_empty() {
            let mut select = self.sql.prepare("SELECT DISTINCT rule, topic FROM alert")?;
            let alerted = select.query_map((), |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
            let mut all: Vec<(String, String)> = alerted.collect::<Result<_, _>>()?;
            all.extend(retention.rules.iter().map(|(rule, topic)| (rule.to_string(), topic.to_string())));
            for (rule, topic) in all {
                let before = retention.of(&Topic::from(topic.as_str())).micros();
                by_topic.insert(topic, before.into());
                by_rule.entry(rule).and_modify(|known| *known = before.max(*known)).or_insert(before);
            }
            // What is said of an incident may be younger than its last alert.
            for topic in ids(self.sql, "SELECT DISTINCT detail ->> '$.topic' FROM incident", ())? {
                let before = retention.of(&Topic::from(topic.as_str()));
                by_topic.insert(topic, before.micros().into());
            }
        }
        let horizon = |of_lane: bool| {
            let topics = by_topic.iter().filter(|(topic, _)| is_restricted(topic) == of_lane);
            let oldest = topics.filter_map(|(_, before)| before.as_i64()).min();
            Timestamp::from_micros(oldest.unwrap_or(usual))
        };
        let horizons = Horizons { general: horizon(false).min(retention.usual), restricted: horizon(true) };
        let newest = retention.by_topic.iter().map(|(_, before)| before.micros()).fold(usual, i64::max);
        let longer: BTreeMap<&String, i64> =
            by_rule.iter().filter(|(_, before)| **before < usual).map(|(rule, before)| (rule, *before)).collect();
        let longer = serde_json::json!(longer).to_string();
        let shorter = by_rule.into_iter().filter(|(_, before)| *before > usual).collect();
        Ok(Instants {
            usual,
            newest,
            shorter,
            longer,
            by_topic: serde_json::Value::from(by_topic).to_string(),
            horizons,
        })
    }
}

/// A statement that changes so many rows of a table at most.
fn portion(change: &str, table: &str, which: &str) -> String {
    format!("{change} WHERE rowid IN (SELECT rowid FROM {table} WHERE {which} LIMIT {AT_ONCE})")
}

/// What goes with its incident's topic, once that is over and unless it is held.
fn of_incidents() -> Vec<String> {
    let over = "NOT EXISTS (SELECT 1 FROM incident WHERE id = about AND state <> 'resolved')";
    let before = "coalesce((SELECT value FROM incident, json_each(?3) WHERE incident.id = about
                    AND key = incident.detail ->> '$.topic'), ?1)";
    [
        // An alert knows its topic itself.
        (
            "DELETE FROM alert",
            "at",
            "alert.incident",
            Some("coalesce((SELECT value FROM json_each(?3) WHERE key = alert.topic), ?1)"),
            "",
        ),
        ("DELETE FROM timeline", "at", "timeline.incident", None, ""),
        // Who did what when stays, and the chain holds; the words go as those of the history do.
        ("UPDATE audit SET text = NULL", "at", "audit.about", None, "AND text IS NOT NULL"),
        ("DELETE FROM followed", "at", "followed.incident", None, ""),
        // Whether it was real stays: it is the rule's record.
        ("UPDATE judgement SET reason = ''", "at", "judgement.incident", None, "AND reason <> ''"),
        ("DELETE FROM outbox", "finished_at", "outbox.incident", None, "AND (state = 'delivered' OR told = 1)"),
    ]
    .into_iter()
    .map(|(change, at, about, own, more)| {
        let (table, _) = about.split_once('.').unwrap_or((about, ""));
        let before = own.unwrap_or(before).replace("about", about);
        // Messages of an incident that goes on have been told; what is left of them is for looking back.
        let over = if table == "outbox" { String::new() } else { format!("AND {}", over.replace("about", about)) };
        let which = format!("{at} < ?2 AND {at} < {before} {over} {more} AND {about} NOT IN ({HELD})");
        // People write these, so they are few; and they have no row ids.
        if matches!(table, "followed" | "judgement") {
            return format!("{change} WHERE {which}");
        }
        portion(change, table, &which)
    })
    .collect()
}

/// Of an incident that is over and old, all that was sealed, once its history and messages are gone: by it those are found.
fn words_of_incidents() -> String {
    let which = format!(
        "opened_at < ?2 AND max(opened_at, detail ->> '$.last_post_at')
           < coalesce((SELECT value FROM json_each(?3) WHERE key = detail ->> '$.topic'), ?1)
         AND state = 'resolved' AND detail ->> '$.why' <> '' AND id NOT IN ({HELD})
         AND NOT EXISTS (SELECT 1 FROM timeline WHERE timeline.incident = incident.id)
         AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.incident = incident.id)"
    );
    portion("UPDATE incident SET detail = json_set(detail, '$.why', '', '$.notable', json('[]'))", "incident", &which)
}

/// Removes the text of a post by its name and keeps the hash; whether there was any.
pub(super) fn erase(sql: &Connection, keys: &Keys, name: &str) -> Result<bool, StoreError> {
    let mut select = sql.prepare_cached("SELECT json FROM post WHERE id = ?1 AND json IS NOT NULL")?;
    let Some(row) = select.query_map([name], |row| row.get::<_, String>(0))?.next() else { return Ok(false) };
    let sealed = row?;
    let hash: [u8; 32] = match stored::open_post(keys, name, &sealed) {
        Ok(Some(json)) => {
            put_aside(sql, keys, name, &sealed, &json)?;
            Sha256::digest(&json).into()
        }
        // Nobody knows what it was, but that it is to go.
        Ok(None) | Err(StoreError::Unreadable { .. }) => [0; 32],
        Err(error) => return Err(error),
    };
    let of_lane = keys.lane_of(&sealed)? == Some(Lane::Restricted);
    let gone = "UPDATE post SET json = NULL, hash = ?2, restricted = restricted OR ?3 WHERE id = ?1";
    sql.prepare_cached(gone)?.execute(params![name, hash, of_lane])?;
    // Whoever has a dictionary can read the hashes of its words.
    let mut words = sql.prepare_cached("UPDATE telling SET words = x'' WHERE post = ?1 AND words IS NOT NULL")?;
    words.execute([name])?;
    Ok(true)
}

/// Removes the text of all posts of an author by its name; whether there was any.
pub(super) fn erase_author(sql: &Connection, keys: &Keys, name: &str) -> Result<bool, StoreError> {
    let posts = ids(sql, "SELECT id FROM post WHERE author = ?1 AND json IS NOT NULL", [name])?;
    for post in &posts {
        erase(sql, keys, post)?;
    }
    Ok(!posts.is_empty())
}

pub(super) fn ids(sql: &Connection, query: &str, params: impl rusqlite::Params) -> Result<Vec<String>, StoreError> {
    let mut select = sql.prepare_cached(query)?;
    let ids = select.query_map(params, |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(ids)
}
