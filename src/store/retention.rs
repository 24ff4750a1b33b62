//! Forgetting: what authors take back, and what is older than the hospital may keep.

use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};

use super::error::StoreError;
use super::write::{Store, Writing, integer};
use crate::domain::time::Timestamp;

/// Posts erased in one transaction, so that pages do not wait behind a month of posts.
const POSTS_AT_ONCE: usize = 500;

/// What one round of forgetting did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// Posts whose text is gone now.
    pub posts: usize,
    /// There is more to do: call again.
    pub more: bool,
}

impl Store {
    /// Forgets what is older than `before`, a bounded part of it at a time.
    ///
    /// The text of posts goes and its hash stays. Sightings go. Alerts and history go once their
    /// incident is resolved; incidents stay as rows, they are few and hold no post's text.
    /// Messages go once delivered, or parked and told. Gaps and silences go once over.
    pub fn forget(&mut self, before: Timestamp) -> Result<Forgotten, StoreError> {
        self.transact(|writing| writing.forget(before))
    }
}

impl Writing<'_> {
    pub(super) fn forget(&mut self, before: Timestamp) -> Result<Forgotten, StoreError> {
        let old = ids(
            self.sql,
            "SELECT id FROM post WHERE at < ?1 AND json IS NOT NULL ORDER BY at LIMIT ?2",
            params![before.micros(), integer(POSTS_AT_ONCE as u64)],
        )?;
        for id in &old {
            self.removed_text |= erase(self.sql, id)?;
        }
        if old.len() == POSTS_AT_ONCE {
            return Ok(Forgotten { posts: old.len(), more: true });
        }
        for statement in [
            "DELETE FROM sighting WHERE at < ?1",
            "DELETE FROM telling WHERE at < ?1",
            "DELETE FROM alert WHERE at < ?1
               AND NOT EXISTS (SELECT 1 FROM incident WHERE id = alert.incident AND state <> 'resolved')",
            "DELETE FROM timeline WHERE at < ?1
               AND NOT EXISTS (SELECT 1 FROM incident WHERE id = timeline.incident AND state <> 'resolved')",
            // Who did what when stays, and the chain holds; the words go as those of the history do.
            "UPDATE audit SET text = NULL, salt = NULL WHERE at < ?1 AND text IS NOT NULL
               AND NOT EXISTS (SELECT 1 FROM incident WHERE id = audit.about AND state <> 'resolved')",
            // Whether it was real stays: it is the rule's record.
            "UPDATE judgement SET reason = '' WHERE at < ?1 AND reason <> ''",
            "DELETE FROM outbox WHERE finished_at < ?1 AND (state = 'delivered' OR told = 1)",
            "DELETE FROM followed WHERE at < ?1
               AND NOT EXISTS (SELECT 1 FROM incident WHERE id = followed.incident AND state <> 'resolved')",
            "DELETE FROM handover WHERE at < ?1",
            "DELETE FROM gap WHERE to_at < ?1",
            "DELETE FROM silence WHERE until < ?1",
        ] {
            self.sql.execute(statement, [before.micros()])?;
        }
        Ok(Forgotten { posts: old.len(), more: false })
    }
}

/// Removes a post's text and keeps the hash; whether there was any.
pub(super) fn erase(sql: &Connection, id: &str) -> Result<bool, StoreError> {
    let mut select = sql.prepare_cached("SELECT json FROM post WHERE id = ?1 AND json IS NOT NULL")?;
    let Some(row) = select.query_map([id], |row| row.get::<_, String>(0))?.next() else { return Ok(false) };
    let hash = Sha256::digest(row?.as_bytes());
    let mut update = sql.prepare_cached("UPDATE post SET json = NULL, hash = ?2 WHERE id = ?1")?;
    update.execute(params![id, hash.as_slice()])?;
    // Whoever has a dictionary can read the hashes of its words.
    let mut words = sql.prepare_cached("UPDATE telling SET words = x'' WHERE post = ?1 AND words IS NOT NULL")?;
    words.execute([id])?;
    Ok(true)
}

/// Removes the text of all posts of an author; whether there was any.
pub(super) fn erase_author(sql: &Connection, author: &str) -> Result<bool, StoreError> {
    let posts = ids(sql, "SELECT id FROM post WHERE author = ?1 AND json IS NOT NULL", [author])?;
    for id in &posts {
        erase(sql, id)?;
    }
    Ok(!posts.is_empty())
}

fn ids(sql: &Connection, query: &str, params: impl rusqlite::Params) -> Result<Vec<String>, StoreError> {
    let mut select = sql.prepare_cached(query)?;
    let ids = select.query_map(params, |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(ids)
}
