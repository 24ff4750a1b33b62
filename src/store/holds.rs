//! Legal holds: an incident's evidence stays until the hold ends.
//!
//! Retention passes over what is held. What an author takes back is another matter: they want it out of sight, and the
//! law may want it kept. So it leaves the posts, and with them every page, message and archive, and is kept beside them
//! for whoever approved the hold; each look at it is in the audit log. When the hold ends, what had to go goes.

use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest as _, Sha256};

use super::erasure::hold_of_one;
use super::error::StoreError;
use super::keys::{About, Keys};
use super::lane::may_see;
use super::read::Reader;
use super::stored;
use super::write::Writing;
use super::writer::StoreHandle;
use crate::domain::audit::Entry;
use crate::domain::erasure::{Hold, NotErased};
use crate::domain::id::IncidentId;
use crate::domain::lane::Sight;
use crate::domain::post::Post;
use crate::domain::time::Timestamp;

/// Every incident that is held, with those that were merged into it, and `by_hold` of which.
pub(super) const HELD: &str = "SELECT held_id FROM (
    SELECT incident AS held_id, incident AS by_hold FROM hold
    UNION SELECT merged.value, hold.incident FROM hold JOIN incident ON incident.id = hold.incident,
      json_each(incident.detail, '$.merged') AS merged)";

/// Of a `post`: it is no evidence of those.
pub(super) fn not_held() -> String {
    format!("post.id NOT IN (SELECT post FROM sighting WHERE incident IN ({HELD}))")
}

impl StoreHandle {
    /// Holds an incident's evidence; on disk when it returns. Once more, and the newer words stand. None: there is no such
    /// incident.
    pub async fn hold(&self, hold: Hold) -> Result<Option<()>, StoreError> {
        self.job(move |writing| writing.hold(&hold)).await
    }

    /// Ends a hold, and forgets what only it kept; on disk when it returns. None: there is no such hold.
    pub async fn release(
        &self,
        incident: IncidentId,
        by: String,
        reason: String,
        now: Timestamp,
    ) -> Result<Option<Hold>, StoreError> {
        self.job(move |writing| writing.release(&incident, &by, &reason, now)).await
    }

    /// What a hold keeps though its authors took it back, oldest first; that somebody looked is in the audit log when it
    /// returns. None: there is no such hold.
    pub async fn look_at_held(
        &self,
        incident: IncidentId,
        by: String,
        sight: Sight,
        now: Timestamp,
    ) -> Result<Option<Vec<Post>>, StoreError> {
        self.job(move |writing| writing.look_at_held(&incident, &by, sight, now)).await
    }
}

impl Writing<'_> {
    fn hold(&self, hold: &Hold) -> Result<Option<()>, StoreError> {
        let Hold { incident, approved_by, reason, by, at } = hold;
        let exists = "SELECT EXISTS (SELECT 1 FROM incident WHERE id = ?1)";
        if !self.sql.query_row(exists, [incident.as_str()], |row| row.get::<_, bool>(0))? {
            return Ok(None);
        }
        if hold_of(self.sql, incident)?.is_some_and(|known| Hold { at: known.at, ..hold.clone() } == known) {
            return Ok(Some(())); // sent again
        }
        self.sql.execute(
            "INSERT INTO hold (incident, approved_by, reason, by, at) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (incident)
             DO UPDATE SET approved_by = excluded.approved_by, reason = excluded.reason, by = excluded.by",
            params![incident.as_str(), approved_by, reason, by, at.micros()],
        )?;
        let text = format!("approved by {approved_by}: {reason}");
        self.note_hold("hold.added", incident, by, text, *at)?;
        Ok(Some(()))
    }

    fn release(
        &mut self,
        incident: &IncidentId,
        by: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<Option<Hold>, StoreError> {
        let Some(hold) = hold_of(self.sql, incident)? else { return Ok(None) };
        self.sql.execute("DELETE FROM hold WHERE incident = ?1", [incident.as_str()])?;
        let gone = self.sql.execute(
            &format!("DELETE FROM held WHERE post NOT IN (SELECT post FROM sighting WHERE incident IN ({HELD}))"),
            (),
        )?;
        self.removed_text |= gone > 0;
        self.note_hold("hold.removed", incident, by, reason.to_owned(), now)?;
        Ok(Some(hold))
    }

    pub(super) fn look_at_held(
        &self,
        incident: &IncidentId,
        by: &str,
        sight: Sight,
        now: Timestamp,
    ) -> Result<Option<Vec<Post>>, StoreError> {
        if hold_of(self.sql, incident)?.is_none() {
            return Ok(None);
        }
        let mut select = self.sql.prepare(&format!(
            "SELECT post, json FROM held WHERE post IN (
               SELECT post FROM sighting WHERE incident IN ({HELD} WHERE by_hold = ?1)) ORDER BY seq"
        ))?;
        let mut rows = select.query([incident.as_str()])?;
        let mut posts = Vec::new();
        while let Some(row) = rows.next()? {
            let (name, sealed): (String, String) = (row.get(0)?, row.get(1)?);
            if !may_see(self.sql, self.keys, sight, &name)? {
                continue;
            }
            let Some(json) = self.keys.open(About::new("held", &name), &sealed)? else { continue };
            let post = stored::post_from_json(&json);
            posts.push(post.or(Err(StoreError::Unreadable { table: "held", id: name }))?);
        }
        self.note_hold("hold.read", incident, by, format!("{} posts", posts.len()), now)?;
        Ok(Some(posts))
    }

    fn note_hold(
        &self,
        what: &str,
        incident: &IncidentId,
        by: &str,
        text: String,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.audit(&Entry { at, by: by.to_owned(), what: what.to_owned(), about: incident.to_string(), text })
    }
}

impl Reader {
    /// The holds there are, the oldest first.
    pub fn holds(&self) -> Result<Vec<Hold>, StoreError> {
        let mut select = self.sql.prepare(&format!("{HOLDS} ORDER BY at, incident"))?;
        Ok(select.query_map((), read)?.collect::<Result<_, _>>()?)
    }

    /// The hold that keeps a post of that kind though its author took it back, if any.
    pub fn hold_on_taken_back(&self, is_it: impl Fn(&Post) -> bool) -> Result<Option<NotErased>, StoreError> {
        let mut select = self.sql.prepare("SELECT post, json FROM held ORDER BY seq")?;
        let mut rows = select.query(())?;
        while let Some(row) = rows.next()? {
            let (name, sealed): (String, String) = (row.get(0)?, row.get(1)?);
            let Some(json) = self.keys.open(About::new("held", &name), &sealed)? else { continue };
            if stored::post_from_json(&json).is_ok_and(|post| is_it(&post)) {
                return hold_of_one(&self.sql, &serde_json::json!([name]).to_string());
            }
        }
        Ok(None)
    }
}

const HOLDS: &str = "SELECT incident, approved_by, reason, by, at FROM hold";

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Hold> {
    Ok(Hold {
        incident: row.get::<_, String>(0)?.into(),
        approved_by: row.get(1)?,
        reason: row.get(2)?,
        by: row.get(3)?,
        at: Timestamp::from_micros(row.get(4)?),
    })
}

fn hold_of(sql: &Connection, incident: &IncidentId) -> Result<Option<Hold>, StoreError> {
    let mut select = sql.prepare_cached(&format!("{HOLDS} WHERE incident = ?1"))?;
    Ok(select.query_row([incident.as_str()], read).optional()?)
}

/// Puts a post's text aside that is about to go, if a hold wants it kept: under the key that it has.
pub(super) fn put_aside(sql: &Connection, keys: &Keys, name: &str, sealed: &str, json: &str) -> Result<(), StoreError> {
    let Some(resealed) = keys.reseal(sealed, About::new("held", name), json)? else { return Ok(()) };
    let mut insert = sql.prepare_cached(&format!(
        "INSERT INTO held (post, hash, json) SELECT ?1, ?2, ?3
         WHERE EXISTS (SELECT 1 FROM hold) AND EXISTS (SELECT 1 FROM sighting WHERE post = ?1 AND incident IN ({HELD}))
         ON CONFLICT DO NOTHING"
    ))?;
    insert.execute(params![name, Sha256::digest(json).as_slice(), resealed])?;
    Ok(())
}
