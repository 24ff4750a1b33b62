//! What the engine needs to go on where it stopped.

use rusqlite::{Connection, Row};

use super::error::StoreError;
use super::write::Store;
use super::{outbox, quotas, silences, stored};
use crate::domain::commit::{Carried, Restored, VolumeState};
use crate::domain::condition::Seen;
use crate::domain::event::{Cursor, DownReason};
use crate::domain::id::{AuthorId, IncidentId, PostId};
use crate::domain::incident::{Gap, Incident, Sighting};
use crate::domain::post::Original;
use crate::domain::story::{Story, Telling};
use crate::domain::time::Timestamp;

impl Store {
    /// The state of the last commit: all that is alive, and sightings from `horizon` (event time) on.
    pub fn restore(&self, horizon: Timestamp) -> Result<Restored, StoreError> {
        let sql = self.conn();
        let mut cursors = sql.prepare("SELECT name, cursor FROM source WHERE cursor IS NOT NULL")?;
        let cursors = cursors
            .query_map((), |row| Ok((row.get::<_, String>(0)?.into(), Cursor(row.get(1)?))))?
            .collect::<Result<_, _>>()?;
        let mut bookmarks = sql.prepare("SELECT name, bookmark FROM source WHERE bookmark IS NOT NULL")?;
        let bookmarks = bookmarks
            .query_map((), |row| Ok((row.get::<_, String>(0)?.into(), row.get::<_, String>(1)?.into())))?
            .collect::<Result<_, _>>()?;
        let mut kept = sql.prepare("SELECT id, author FROM post WHERE json IS NOT NULL")?;
        let kept = kept
            .query_map((), |row| Ok((row.get::<_, String>(0)?.into(), row.get::<_, String>(1)?.into())))?
            .collect::<Result<_, _>>()?;
        let mut tellings =
            sql.prepare("SELECT post, author, at, story, original, words FROM telling WHERE at >= ?1 ORDER BY seq")?;
        let tellings = tellings.query_map([horizon.micros()], read_telling)?.collect::<Result<_, _>>()?;
        let mut sightings = sql.prepare(
            "SELECT rule, sighting.post, source, sighting.author, sighting.at, incident, story, copy_of
             FROM sighting LEFT JOIN telling ON telling.post = sighting.post
             WHERE sighting.at >= ?1 ORDER BY sighting.seq",
        )?;
        let sightings = sightings.query_map([horizon.micros()], read_sighting)?.collect::<Result<_, _>>()?;
        let mut carried = sql.prepare(
            "SELECT post.id, json ->> '$.url', json ->> '$.copy_of.id', json ->> '$.copy_of.author'
             FROM sighting JOIN post ON post.id = sighting.post
             WHERE sighting.at >= ?1 AND json IS NOT NULL AND (post.id LIKE 'https://%' OR json ->> '$.copy_of' IS NOT NULL)
             GROUP BY post.id ORDER BY min(sighting.seq)",
        )?;
        let carried = carried.query_map([horizon.micros()], read_carried)?.collect::<Result<_, _>>()?;
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
            incidents: incidents(sql, "state <> 'resolved' ORDER BY opened_at, id", ())?,
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
        incidents(self.conn(), which, [since.micros()])
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
    which: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<Incident>, StoreError> {
    let mut select = sql.prepare(&format!("SELECT id, detail FROM incident WHERE {which}"))?;
    let mut rows = select.query(params)?;
    let mut incidents = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, detail): (String, String) = (row.get(0)?, row.get(1)?);
        let incident = stored::incident_from_json(&detail);
        incidents.push(incident.or(Err(StoreError::Unreadable { table: "incident", id }))?);
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

fn read_telling(row: &Row<'_>) -> rusqlite::Result<Telling> {
    let text = |column| row.get::<_, String>(column);
    Ok(Telling {
        post: text(0)?.into(),
        author: text(1)?.into(),
        at: Timestamp::from_micros(row.get(2)?),
        story: Story(row.get::<_, i64>(3)?.cast_unsigned()),
        original: row.get::<_, Option<String>>(4)?.map(PostId::from),
        words: row.get::<_, Option<Vec<u8>>>(5)?.map(|bytes| stored::words_from_bytes(&bytes)),
    })
}

fn read_carried(row: &Row<'_>) -> rusqlite::Result<Carried> {
    let author = row.get::<_, Option<String>>(3)?.map(AuthorId::from);
    let original = row.get::<_, Option<String>>(2)?;
    let copy_of = original.map(|original| Original { post: original.into(), author });
    Ok(Carried { post: row.get::<_, String>(0)?.into(), url: row.get(1)?, copy_of })
}

fn read_sighting(row: &Row<'_>) -> rusqlite::Result<Sighting> {
    let text = |column| row.get::<_, String>(column);
    let post = PostId::from(text(1)?);
    // From before stories were counted: each post its own.
    let story =
        row.get::<_, Option<i64>>(6)?.map_or_else(|| Story::begun_by(&post), |name| Story(name.cast_unsigned()));
    Ok(Sighting {
        rule: text(0)?.into(),
        seen: Seen::new(Timestamp::from_micros(row.get(4)?), post, text(3)?.into(), story),
        source: text(2)?.into(),
        incident: row.get::<_, Option<String>>(5)?.map(IncidentId::from),
        copy_of: row.get::<_, Option<String>>(7)?.map(PostId::from),
    })
}
