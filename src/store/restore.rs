//! What the engine needs to go on where it stopped.

use rusqlite::{Connection, Row, params};

use super::error::StoreError;
use super::keys::Keys;
use super::write::Store;
use super::{outbox, quotas, silences, stored};
use crate::domain::commit::{CARRIED, Carried, Restored, VolumeState};
use crate::domain::condition::Seen;
use crate::domain::event::{Cursor, DownReason};
use crate::domain::id::{IncidentId, PostId};
use crate::domain::incident::{Gap, Incident, Sighting};
use crate::domain::story::{Story, Telling};
use crate::domain::time::Timestamp;

impl Store {
    /// The state of the last commit: all that is alive, and sightings from `horizon` (event time) on.
    pub fn restore(&self, horizon: Timestamp) -> Result<Restored, StoreError> {
        let (sql, keys) = (self.conn(), self.keys());
        let mut cursors = sql.prepare("SELECT name, cursor FROM source WHERE cursor IS NOT NULL")?;
        let cursors = cursors
            .query_map((), |row| Ok((row.get::<_, String>(0)?.into(), Cursor(row.get(1)?))))?
            .collect::<Result<_, _>>()?;
        let mut bookmarks = sql.prepare("SELECT name, bookmark FROM source WHERE bookmark IS NOT NULL")?;
        let bookmarks = bookmarks
            .query_map((), |row| Ok((row.get::<_, String>(0)?.into(), row.get::<_, String>(1)?.into())))?
            .collect::<Result<_, _>>()?;
        let mut kept = sql.prepare("SELECT id, author FROM post WHERE json IS NOT NULL")?;
        let kept = all(kept.query(())?, |row| {
            let name = |column| keys.named(&row.get::<_, String>(column)?);
            Ok((name(0)?.into(), name(1)?.into()))
        })?;
        let mut tellings =
            sql.prepare("SELECT post, author, at, story, original, words FROM telling WHERE at >= ?1 ORDER BY seq")?;
        let tellings = all(tellings.query([horizon.micros()])?, |row| read_telling(keys, row))?;
        let mut sightings = sql.prepare(
            "SELECT rule, sighting.post, source, sighting.author, sighting.at, incident, story, copy_of
             FROM sighting LEFT JOIN telling ON telling.post = sighting.post
             WHERE sighting.at >= ?1 ORDER BY sighting.seq",
        )?;
        let sightings = all(sightings.query([horizon.micros()])?, |row| read_sighting(keys, row))?;
        // What may be the same as others is known only once it is opened: of the newest, as many as the engine remembers.
        let mut carried = sql.prepare(
            "SELECT post.id, json FROM (SELECT post, min(seq) AS seq FROM sighting WHERE at >= ?1 GROUP BY post ORDER BY 2 DESC LIMIT ?2) AS taken
             JOIN post ON post.id = taken.post WHERE json IS NOT NULL ORDER BY taken.seq",
        )?;
        let newest = params![horizon.micros(), i64::try_from(CARRIED).unwrap_or(i64::MAX)];
        let carried = all(carried.query(newest)?, |row| read_carried(keys, row))?.into_iter().flatten().collect();
        Ok(Restored {
            cursors,
            bookmarks,
            open_gaps: gaps(sql, "to_at IS NULL", ())?,
            lost_gaps: gaps(sql, "to_at IS NOT NULL AND NOT recovered", ())?,
            volumes: self.volumes()?,
            kept,
            tellings,
            sightings,
            carried,
            incidents: incidents(sql, keys, "state <> 'resolved' ORDER BY opened_at, id", ())?,
            ended: Vec::new(), // see [`Store::ended_since`]
            quotas: quotas::all(sql)?,
            silences: silences::since(sql, horizon)?,
            undelivered: outbox::undelivered(sql)?,
        })
    }
}

impl Store {
    /// Incidents that ended since then, oldest end first: for [`Restored::ended`].
    pub fn ended_since(&self, since: Timestamp) -> Result<Vec<Incident>, StoreError> {
        let which = "state = 'resolved' AND detail ->> '$.resolved.at' >= ?1 ORDER BY detail ->> '$.resolved.at', id";
        incidents(self.conn(), self.keys(), which, [since.micros()])
    }

    /// What rules have learnt.
    pub fn volumes(&self) -> Result<Vec<VolumeState>, StoreError> {
        let mut volumes = self.conn().prepare("SELECT rule, meaning, at, state FROM volume")?;
        let volumes = volumes.query_map((), read_volume)?;
        Ok(volumes.collect::<Result<_, _>>()?)
    }
}

pub(super) fn read_volume(row: &Row<'_>) -> rusqlite::Result<VolumeState> {
    let rule = row.get::<_, String>(0)?.into();
    Ok(VolumeState { rule, meaning: row.get(1)?, at: Timestamp::from_micros(row.get(2)?), state: row.get(3)? })
}

/// Incidents; `which` is what follows WHERE.
pub(super) fn incidents(
    sql: &Connection,
    keys: &Keys,
    which: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<Incident>, StoreError> {
    let mut select = sql.prepare(&format!("SELECT id, detail FROM incident WHERE {which}"))?;
    let mut rows = select.query(params)?;
    let mut incidents = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, detail): (String, String) = (row.get(0)?, row.get(1)?);
        incidents.push(stored::incident_from_json(&id, &detail, keys)?);
    }
    Ok(incidents)
}

/// Gaps, oldest first; `which` is what follows WHERE.
pub(super) fn gaps(sql: &Connection, which: &str, params: impl rusqlite::Params) -> Result<Vec<Gap>, StoreError> {
    let query = format!("SELECT source, from_at, to_at, reason, recovered FROM gap WHERE {which} ORDER BY from_at");
    let mut select = sql.prepare(&query)?;
    let mut rows = select.query(params)?;
    let mut gaps = Vec::new();
    while let Some(row) = rows.next()? {
        let (source, reason): (String, String) = (row.get(0)?, row.get(3)?);
        let Some(reason) = DownReason::parse(&reason) else {
            return Err(StoreError::Unreadable { table: "gap", id: source });
        };
        gaps.push(Gap {
            source: source.into(),
            from: Timestamp::from_micros(row.get(1)?),
            to: row.get::<_, Option<i64>>(2)?.map(Timestamp::from_micros),
            reason,
            recovered: row.get(4)?,
        });
    }
    Ok(gaps)
}

/// All rows that can be read.
fn all<T>(
    mut rows: rusqlite::Rows<'_>,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        all.extend(StoreError::or_absent(read(row))?);
    }
    Ok(all)
}

fn read_telling(keys: &Keys, row: &Row<'_>) -> Result<Telling, StoreError> {
    let name: String = row.get(0)?;
    let original = row.get::<_, Option<String>>(4)?.map(|name| keys.named(&name)).transpose()?;
    let words = row.get::<_, Option<Vec<u8>>>(5)?.map(|sealed| stored::open_words(keys, &name, &sealed));
    Ok(Telling {
        post: keys.named(&name)?.into(),
        author: keys.named(&row.get::<_, String>(1)?)?.into(),
        at: Timestamp::from_micros(row.get(2)?),
        story: Story(row.get::<_, i64>(3)?.cast_unsigned()),
        original: original.map(PostId::from),
        words: words.transpose()?,
    })
}

fn read_carried(keys: &Keys, row: &Row<'_>) -> Result<Option<Carried>, StoreError> {
    let (name, sealed): (String, String) = (row.get(0)?, row.get(1)?);
    let post = stored::read_post(keys, &name, &sealed)?;
    Ok(post.filter(|post| post.copy_of.is_some() || post.url.is_some()).map(Carried::from))
}

fn read_sighting(keys: &Keys, row: &Row<'_>) -> Result<Sighting, StoreError> {
    let text = |column| row.get::<_, String>(column);
    let post = PostId::from(keys.named(&text(1)?)?);
    let author = keys.named(&text(3)?)?.into();
    let copy_of = row.get::<_, Option<String>>(7)?.map(|name| keys.named(&name)).transpose()?;
    // From before stories were counted: each post its own.
    let story =
        row.get::<_, Option<i64>>(6)?.map_or_else(|| Story::begun_by(&post), |name| Story(name.cast_unsigned()));
    Ok(Sighting {
        rule: text(0)?.into(),
        seen: Seen::new(Timestamp::from_micros(row.get(4)?), post, author, story),
        source: text(2)?.into(),
        incident: row.get::<_, Option<String>>(5)?.map(IncidentId::from),
        copy_of: copy_of.map(PostId::from),
    })
}
