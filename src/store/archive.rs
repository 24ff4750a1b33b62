//! The past as the database holds it: every post that a rule took, in event time.
//!
//! The evidence *is* the archive. A second copy in files of its own would have to follow
//! every deletion, the end of retention and every crash once more, and could disagree.
//! Posts are read a page at a time, each page a transaction of its own: a reader that takes
//! an hour must not keep the write-ahead log from being emptied, and a post that its author
//! takes back meanwhile is not read any more.

use rusqlite::params;

use super::error::StoreError;
use super::read::Reader;
use crate::domain::id::PostId;
use crate::domain::time::Timestamp;

/// One kept post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its event time.
    pub at: Timestamp,
    /// The post.
    pub id: PostId,
    /// The post as JSON, on one line.
    pub json: String,
}

impl Reader {
    /// How much JSON all kept posts are, with a line break each.
    ///
    /// # Errors
    /// What the disk says.
    pub fn kept_bytes(&self) -> Result<u64, StoreError> {
        let sum = "SELECT coalesce(sum(octet_length(json) + 1), 0) FROM post WHERE json IS NOT NULL";
        Ok(self.sql.query_row(sum, (), |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// The next kept posts after one, or the first ones, by event time and id.
    ///
    /// # Errors
    /// What the disk says.
    pub fn kept_posts(&self, after: Option<&Kept>, limit: usize) -> Result<Vec<Kept>, StoreError> {
        let mut select = self.sql.prepare_cached(
            "SELECT at, id, json FROM post WHERE json IS NOT NULL AND (at, id) > (?1, ?2) ORDER BY at, id LIMIT ?3",
        )?;
        let (at, id) = after.map_or((i64::MIN, ""), |after| (after.at.micros(), after.id.as_str()));
        let rows = select.query_map(params![at, id, i64::try_from(limit).unwrap_or(i64::MAX)], |row| {
            let id: String = row.get(1)?;
            Ok(Kept { at: Timestamp::from_micros(row.get(0)?), id: id.into(), json: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
