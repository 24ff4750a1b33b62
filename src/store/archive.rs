//! The past as the database holds it: every post that a rule took, in event time.
//!
//! The evidence *is* the archive. A second copy in files of its own would have to follow
//! every deletion, the end of retention and every crash once more, and could disagree.
//! Posts are read a page at a time, each page a transaction of its own: a reader that takes
//! an hour must not keep the write-ahead log from being emptied, and a post that its author
//! takes back meanwhile is not read any more.

use rusqlite::params;

use super::error::StoreError;
use super::keys::LENGTH;
use super::read::{Reader, SourceRecord};
use super::restore::read_volume;
use super::stored::{open_post, post_from_json};
use crate::domain::commit::VolumeState;
use crate::domain::event::Cursor;
use crate::domain::id::PostId;
use crate::domain::incident::Gap;
use crate::domain::post::Post;
use crate::domain::time::Timestamp;

/// How much of a time was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The newest that was read of any source.
    pub until: Timestamp,
    /// Sources that were ever read.
    pub sources: usize,
    /// What they lost, oldest first of each.
    pub lost: Vec<Gap>,
}

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

impl Kept {
    /// The post itself.
    ///
    /// # Errors
    /// The JSON is not of a post.
    pub fn post(&self) -> Result<Post, StoreError> {
        let post = post_from_json(&self.json);
        post.or(Err(StoreError::Unreadable { table: "post", id: self.id.to_string() }))
    }
}

impl Reader {
    /// What is known under a name.
    ///
    /// # Errors
    /// What the disk says.
    pub fn volume(&self, name: &str) -> Result<Option<VolumeState>, StoreError> {
        let mut select = self.sql.prepare_cached("SELECT rule, meaning, at, state FROM volume WHERE rule = ?1")?;
        Ok(select.query_map([name], read_volume)?.next().transpose()?)
    }

    /// From when on so many kept posts are the newest; none when there are not more.
    ///
    /// # Errors
    /// What the disk says.
    pub fn newest_from(&self, posts: usize) -> Result<Option<Timestamp>, StoreError> {
        let mut select = self
            .sql
            .prepare_cached("SELECT at FROM post WHERE json IS NOT NULL ORDER BY at DESC, id DESC LIMIT 1 OFFSET ?1")?;
        let posts = i64::try_from(posts).unwrap_or(i64::MAX);
        let found = select.query_map([posts], |row| Ok(Timestamp::from_micros(row.get(0)?)))?.next().transpose()?;
        Ok(found)
    }

    /// Every source that was read, how far, and what it lost since a time, what it is losing included.
    ///
    /// # Errors
    /// What the disk says.
    pub fn heard(&self, since: Timestamp) -> Result<Heard, StoreError> {
        let read: Vec<SourceRecord> =
            self.sources(since)?.into_iter().filter(|source| source.cursor.is_some()).collect();
        let until = read.iter().filter_map(|source| source.cursor).max().map(Cursor::time).unwrap_or_default();
        let sources = read.len();
        let gaps = read.into_iter().flat_map(|source| source.gaps).map(|gap| match gap.to {
            Some(_) => gap,
            None => Gap { to: Some(until.max(gap.from)), ..gap }, // it may be read later, and has not been yet
        });
        let lost = gaps.filter(|gap| !gap.recovered).collect();
        Ok(Heard { until, sources, lost })
    }

    /// How much JSON all kept posts are, with a line break each.
    ///
    /// # Errors
    /// What the disk says.
    pub fn kept_bytes(&self) -> Result<u64, StoreError> {
        let length = if self.keys.id().is_some() { LENGTH } else { "octet_length(json)" };
        let sum = format!("SELECT coalesce(sum({length} + 1), 0) FROM post WHERE json IS NOT NULL");
        Ok(self.sql.query_row(&sum, (), |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// The next kept posts after one, or the first ones, by event time, and of one time as they came.
    ///
    /// # Errors
    /// What the disk says.
    pub fn kept_posts(&self, after: Option<&Kept>, limit: usize) -> Result<Vec<Kept>, StoreError> {
        let mut select = self.sql.prepare_cached(
            "SELECT at, id, json FROM post
             WHERE json IS NOT NULL AND (at, rowid) > (?1, coalesce((SELECT rowid FROM post WHERE id = ?2), 0))
             ORDER BY at, rowid",
        )?;
        let (at, name) = match after {
            Some(after) => (after.at.micros(), self.keys.name(after.id.as_str())?),
            None => (i64::MIN, String::new()),
        };
        let mut rows = select.query(params![at, name])?;
        let mut kept = Vec::new();
        while kept.len() < limit {
            let Some(row) = rows.next()? else { break };
            let (at, name, sealed): (i64, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            // In a copy of before its key was destroyed.
            let Some(json) = open_post(&self.keys, &name, &sealed)? else { continue };
            kept.push(Kept { at: Timestamp::from_micros(at), id: self.keys.named(&name)?.into(), json });
        }
        Ok(kept)
    }
}
