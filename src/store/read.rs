//! Looking, without touching: what the API and `status` show.
//!
//! A reader sees the state of the last commit and never holds up the writer. It may be
//! opened by another process while the daemon runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};

use super::error::StoreError;
use super::growth::names;
use super::keys::{About, Keys};
use super::lane::may_see;
use super::outbox::{OutboxState, existing_posts};
use super::sealing::open_alert;
use super::{files, migrate, restore, stored};
use crate::domain::event::{Cursor, Ledger, Rejected};
use crate::domain::id::{IncidentId, PostId, ReceiverName, RuleId, SourceName};
use crate::domain::incident::{Gap, Incident, IncidentState, Severity};
use crate::domain::lane::Sight;
use crate::domain::post::Post;
use crate::domain::time::Timestamp;

/// Posts shown with an incident, at most.
const POSTS_SHOWN: i64 = 50;
/// Alerts shown with an incident, at most (the newest).
const ALERTS_SHOWN: i64 = 200;

/// A connection that can only read.
#[derive(Debug)]
pub struct Reader {
    pub(super) sql: Connection,
    pub(super) keys: Keys,
}

/// All that is kept about one incident.
#[derive(Clone, Debug, PartialEq)]
pub struct IncidentRecord {
    /// As it stands.
    pub incident: Incident,
    /// Its history, oldest first.
    pub timeline: Vec<TimelineRow>,
    /// Its newest alerts, oldest first.
    pub alerts: Vec<AlertRow>,
    /// Posts that count for it, still exist and may be seen: first the sample, then the newest.
    pub posts: Vec<Post>,
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// The message.
    pub id: String,
    /// The receiver.
    pub receiver: String,
    /// The person there.
    pub person: Option<String>,
    /// What it says.
    pub kind: String,
    /// The revision of the incident that it tells.
    pub revision: u32,
    /// When it was decided.
    pub at: Timestamp,
    /// `pending`, `leased`, `delivered` or `parked`.
    pub state: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was delivered or given up.
    pub finished_at: Option<Timestamp>,
    /// What went wrong last.
    pub error: Option<String>,
}

/// One line of an incident's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineRow {
    /// Wall time.
    pub at: Timestamp,
    /// What happened, in one word.
    pub what: String,
    /// Who did it.
    pub by: String,
    /// In words.
    pub text: String,
}

/// One alert of an incident.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertRow {
    /// Event time.
    pub at: Timestamp,
    /// The rule.
    pub rule: RuleId,
    /// The rule's severity then.
    pub severity: Severity,
    /// Which condition, as in JSON.
    pub condition: String,
    /// Posts that made it true.
    pub posts: u64,
    /// Their authors.
    pub authors: u64,
    /// The post that made it fire.
    pub post: Option<PostId>,
    /// What a rule that counts by key counted.
    pub key: Option<String>,
    /// Of a rule with a forecast: posts expected in the window.
    pub expected: Option<f64>,
    /// 19 times in 20 there are at most so many.
    pub upper: Option<u64>,
    /// The window of a count or a forecast.
    pub within: Option<Duration>,
    /// Why.
    pub why: String,
}

/// How a source is doing, as far as the disk knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRecord {
    /// Its name.
    pub name: SourceName,
    /// Where it can resume.
    pub cursor: Option<Cursor>,
    /// All frames ever.
    pub ledger: Ledger,
    /// Gaps that touch the time asked for, oldest first.
    pub gaps: Vec<Gap>,
}

/// How many messages of a receiver are in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxCount {
    /// The receiver; perhaps one that is no longer configured.
    pub receiver: ReceiverName,
    /// The state.
    pub state: OutboxState,
    /// How many.
    pub messages: u64,
    /// When the oldest of them was due.
    pub oldest_due: Timestamp,
}

impl Reader {
    /// Opens a database that a [`super::Store`] has made.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::opened(path).map_err(|error| match error {
            // SQLite says of all that may be wrong with the name that the file cannot be opened.
            StoreError::Unwritable(_) => files::unreadable(path).unwrap_or(error),
            error => error,
        })
    }

    fn opened(path: &Path) -> Result<Self, StoreError> {
        let sql =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        sql.busy_timeout(Duration::from_secs(5))?;
        sql.pragma_update(None, "temp_store", "memory")?;
        let ring = migrate::ring(&sql, migrate::check(&sql, path)?)?;
        let keys = ring.map_or_else(Keys::none, |ring| Keys::wanted(path, ring));
        Ok(Self { sql, keys })
    }

    /// Incidents, newest first; of one state or of all; those that come after one in that order, when it is given.
    pub fn incidents(
        &self,
        state: Option<IncidentState>,
        before: Option<(Timestamp, IncidentId)>,
        limit: usize,
    ) -> Result<Vec<Incident>, StoreError> {
        let (at, id) = before.map_or((None, None), |(at, id)| (Some(at.micros()), Some(id)));
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let which = "(?1 IS NULL OR state = ?1) AND (?2 IS NULL OR opened_at < ?2 OR (opened_at = ?2 AND id > ?3))
             ORDER BY opened_at DESC, id LIMIT ?4";
        let id = id.as_ref().map(IncidentId::as_str);
        restore::incidents(&self.sql, &self.keys, which, params![state.map(IncidentState::as_str), at, id, limit])
    }

    /// One incident as it stands.
    pub fn standing(&self, id: &IncidentId) -> Result<Option<Incident>, StoreError> {
        Ok(restore::incidents(&self.sql, &self.keys, "id = ?1", [id.as_str()])?.pop())
    }

    /// Exercises that were opened since a time, newest first.
    pub fn exercises(&self, since: Timestamp) -> Result<Vec<Incident>, StoreError> {
        let which = "opened_at >= ?1 AND json_extract(detail, '$.exercise') ORDER BY opened_at DESC, id LIMIT 1000";
        restore::incidents(&self.sql, &self.keys, which, [since.micros()])
    }

    /// Incidents that are not over, and those that began or ended between two instants; the newest first.
    pub fn incidents_of(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Incident>, StoreError> {
        let which = "state <> 'resolved' OR opened_at BETWEEN ?1 AND ?2
             OR json_extract(detail, '$.resolved.at') BETWEEN ?1 AND ?2 ORDER BY opened_at DESC, id LIMIT 2000";
        restore::incidents(&self.sql, &self.keys, which, [from.micros(), to.micros()])
    }

    /// Messages that were given up between two instants, the newest first, each with its incident.
    pub fn failed(&self, from: Timestamp, to: Timestamp) -> Result<Vec<(IncidentId, DeliveryRow)>, StoreError> {
        let mut select = self.sql.prepare_cached(
            "SELECT id, receiver, person, json_extract(message, '$.kind'), json_extract(message, '$.at'),
               state, attempts, finished_at, error, json_extract(message, '$.incident.revision'), incident
             FROM outbox WHERE state = 'parked' AND finished_at BETWEEN ?1 AND ?2 ORDER BY finished_at DESC LIMIT 500",
        )?;
        let row = |row: &rusqlite::Row<'_>| Ok((IncidentId::from(row.get::<_, String>(10)?), delivery_row(row)?));
        Ok(select.query_map([from.micros(), to.micros()], row)?.collect::<Result<_, _>>()?)
    }

    /// One incident with all that belongs to it, without the posts that somebody may not see.
    pub fn incident(&self, id: &IncidentId, sight: Sight) -> Result<Option<IncidentRecord>, StoreError> {
        let Some(incident) = self.standing(id)? else { return Ok(None) };
        // What was found before incidents became one stays under the names it had then.
        let ids = names(&incident);
        let (timeline, alerts) = (self.timeline(id)?, self.alerts(&ids, sight)?);
        let sample = incident.sample.iter().map(|post| self.keys.name(post.as_str()));
        let mut posts = sample.collect::<Result<Vec<String>, _>>()?;
        let mut select = self.sql.prepare_cached(
            "SELECT post FROM sighting WHERE incident IN (SELECT value FROM json_each(?1)) GROUP BY post ORDER BY max(at) DESC, min(seq) LIMIT ?2",
        )?;
        for post in select.query_map(params![ids, POSTS_SHOWN], |row| row.get::<_, String>(0))? {
            let post = post?;
            if !posts.contains(&post) {
                posts.push(post);
            }
        }
        let posts = existing_posts(&self.sql, &self.keys, sight, posts.iter().map(String::as_str))?;
        Ok(Some(IncidentRecord { incident, timeline, alerts, posts }))
    }

    /// Every source that was ever read, with its gaps since a time.
    pub fn sources(&self, gaps_since: Timestamp) -> Result<Vec<SourceRecord>, StoreError> {
        let mut records: BTreeMap<SourceName, SourceRecord> = BTreeMap::new();
        let mut select =
            self.sql.prepare_cached("SELECT name, cursor, frames, posts, other, duplicates, dropped FROM source")?;
        let mut rows = select.query(())?;
        while let Some(row) = rows.next()? {
            let count = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
            let name = SourceName::from(row.get::<_, String>(0)?);
            let cursor = row.get::<_, Option<i64>>(1)?.map(Cursor);
            let rejected = self.rejected(&name)?;
            let ledger = Ledger {
                frames: count(2)?,
                posts: count(3)?,
                other: count(4)?,
                rejected,
                duplicates: count(5)?,
                dropped: count(6)?,
            };
            records.insert(name.clone(), SourceRecord { name, cursor, ledger, gaps: Vec::new() });
        }
        for gap in restore::gaps(&self.sql, "to_at IS NULL OR to_at >= ?1", [gaps_since.micros()])? {
            let record = records.entry(gap.source.clone()).or_insert_with(|| SourceRecord {
                name: gap.source.clone(),
                cursor: None,
                ledger: Ledger::default(),
                gaps: Vec::new(),
            });
            record.gaps.push(gap);
        }
        Ok(records.into_values().collect())
    }

    /// Messages per receiver and state, in that order.
    pub fn outbox(&self) -> Result<Vec<OutboxCount>, StoreError> {
        let mut select = self.sql.prepare_cached(
            "SELECT receiver, state, count(*), min(due) FROM outbox GROUP BY receiver, state ORDER BY receiver, state",
        )?;
        let mut rows = select.query(())?;
        let mut counts = Vec::new();
        while let Some(row) = rows.next()? {
            let state: String = row.get(1)?;
            let Some(state) = OutboxState::parse(&state) else {
                return Err(StoreError::Unreadable { table: "outbox", id: state });
            };
            counts.push(OutboxCount {
                receiver: row.get::<_, String>(0)?.into(),
                state,
                messages: row.get::<_, i64>(2)?.unsigned_abs(),
                oldest_due: Timestamp::from_micros(row.get(3)?),
            });
        }
        Ok(counts)
    }

    /// Every message about an incident, in the order they were decided.
    pub fn deliveries(&self, incident: &IncidentId) -> Result<Vec<DeliveryRow>, StoreError> {
        let mut select = self.sql.prepare_cached(
            "SELECT id, receiver, person, json_extract(message, '$.kind'), json_extract(message, '$.at'),
               state, attempts, finished_at, error, json_extract(message, '$.incident.revision')
             FROM outbox WHERE incident = ?1 ORDER BY seq",
        )?;
        Ok(select.query_map([incident.as_str()], delivery_row)?.collect::<Result<_, _>>()?)
    }

    fn timeline(&self, id: &IncidentId) -> Result<Vec<TimelineRow>, StoreError> {
        let mut select =
            self.sql.prepare_cached("SELECT at, what, by, text FROM timeline WHERE incident = ?1 ORDER BY seq")?;
        let mut rows = select.query([id.as_str()])?;
        let mut timeline = Vec::new();
        while let Some(row) = rows.next()? {
            let about = About::new("timeline", id.as_str());
            timeline.push(TimelineRow {
                at: Timestamp::from_micros(row.get(0)?),
                what: row.get(1)?,
                by: row.get(2)?,
                text: stored::words_of(&self.keys, about, &row.get::<_, String>(3)?)?,
            });
        }
        Ok(timeline)
    }

    /// Of incidents, named by an array of JSON. The id of a post may name its author.
    fn alerts(&self, ids: &str, sight: Sight) -> Result<Vec<AlertRow>, StoreError> {
        let mut select = self.sql.prepare_cached(
            "SELECT at, rule, severity, condition, posts, authors, post, why, key, expected, upper, within FROM
               (SELECT * FROM alert WHERE incident IN (SELECT value FROM json_each(?1)) ORDER BY at DESC, seq DESC LIMIT ?2) ORDER BY at, seq",
        )?;
        let mut rows = select.query(params![ids, ALERTS_SHOWN])?;
        let mut alerts = Vec::new();
        while let Some(row) = rows.next()? {
            let (rule, severity): (String, String) = (row.get(1)?, row.get(2)?);
            let Some(severity) = Severity::parse(&severity) else {
                return Err(StoreError::Unreadable { table: "alert", id: rule });
            };
            let (at, post): (i64, Option<String>) = (row.get(0)?, row.get(6)?);
            let sealed: (String, Option<String>) = (row.get(7)?, row.get(8)?);
            let (why, key) = open_alert(&self.keys, (&rule, at, post.as_deref()), (&sealed.0, sealed.1.as_deref()))?;
            let post = match post {
                Some(name) if may_see(&self.sql, &self.keys, sight, &name)? => {
                    StoreError::or_absent(self.keys.named(&name))?
                }
                _ => None,
            };
            alerts.push(AlertRow {
                at: Timestamp::from_micros(at),
                rule: rule.into(),
                severity,
                condition: row.get(3)?,
                posts: row.get::<_, i64>(4)?.unsigned_abs(),
                authors: row.get::<_, i64>(5)?.unsigned_abs(),
                post: post.map(PostId::from),
                why,
                key,
                expected: row.get(9)?,
                upper: row.get::<_, Option<i64>>(10)?.map(i64::unsigned_abs),
                within: row.get::<_, Option<i64>>(11)?.map(|micros| Duration::from_micros(micros.unsigned_abs())),
            });
        }
        Ok(alerts)
    }

    fn rejected(&self, source: &SourceName) -> Result<[u64; Rejected::ALL.len()], StoreError> {
        let mut select = self.sql.prepare_cached("SELECT reason, frames FROM rejected WHERE source = ?1")?;
        let mut rows = select.query([source.as_str()])?;
        let mut counts = [0; Rejected::ALL.len()];
        while let Some(row) = rows.next()? {
            let reason: String = row.get(0)?;
            let place = Rejected::ALL.iter().position(|known| known.as_str() == reason);
            let Some(count) = place.and_then(|place| counts.get_mut(place)) else {
                return Err(StoreError::Unreadable { table: "rejected", id: reason });
            };
            *count = row.get::<_, i64>(1)?.unsigned_abs();
        }
        Ok(counts)
    }
}

fn delivery_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<DeliveryRow> {
    Ok(DeliveryRow {
        id: row.get(0)?,
        receiver: row.get(1)?,
        person: row.get(2)?,
        kind: row.get(3)?,
        at: Timestamp::from_micros(row.get(4)?),
        state: row.get(5)?,
        attempts: row.get(6)?,
        finished_at: row.get::<_, Option<i64>>(7)?.map(Timestamp::from_micros),
        error: row.get(8)?,
        revision: row.get(9)?,
    })
}

impl SourceRecord {
    /// The share of the time between two instants that was seen, late or in time: 0 to 1.
    /// The gaps must have been asked for since `from` or earlier.
    pub fn coverage(&self, from: Timestamp, to: Timestamp) -> f64 {
        let whole = to.since(from);
        if whole.is_zero() {
            return 1.0;
        }
        let mut blind = Duration::ZERO;
        let mut seen_until = from; // gaps may overlap: count no second twice
        for gap in self.gaps.iter().filter(|gap| !gap.recovered) {
            let end = gap.to.unwrap_or(to).min(to);
            blind += end.since(gap.from.max(seen_until));
            seen_until = seen_until.max(end);
        }
        1.0 - blind.as_secs_f64() / whole.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::DownReason;

    #[test]
    fn coverage_counts_every_blind_second_once() {
        let at = Timestamp::from_seconds;
        let gap = |from, to: Option<i64>, recovered| Gap {
            source: "s".into(),
            from: at(from),
            to: to.map(at),
            reason: DownReason::Closed,
            recovered,
        };
        let coverage = |gaps| {
            let record = SourceRecord { name: "s".into(), cursor: None, ledger: Ledger::default(), gaps };
            (record.coverage(at(100), at(200)) * 100.0).round()
        };
        for (gaps, percent) in [
            (vec![], 100.0),
            (vec![gap(110, Some(120), false)], 90.0),
            (vec![gap(110, Some(120), true)], 100.0),
            (vec![gap(50, Some(110), false)], 90.0),
            (vec![gap(190, None, false)], 90.0),
            (vec![gap(110, Some(130), false), gap(120, Some(125), false), gap(125, Some(140), false)], 70.0),
            (vec![gap(0, None, false)], 0.0),
        ] {
            assert!((coverage(gaps.clone()) - percent).abs() < f64::EPSILON, "{gaps:?}");
        }
    }
}
