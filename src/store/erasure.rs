//! Erasing by order, with a receipt.
//!
//! The same erasure as of what an author deletes at the source, and more: alerts that were counted by the account lose
//! its name, and messages that wait no longer point to the posts. What is erased, its entry in the audit log and the
//! receipt are one transaction. A post's id stays with its hash, or the post would come back when the stream is read
//! again.

use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};

use super::audit::head;
use super::error::StoreError;
use super::holds::HELD;
use super::read::Reader;
use super::retention::{erase, ids};
use super::write::Writing;
use super::writer::StoreHandle;
use crate::domain::audit::{Entry, Link};
use crate::domain::commit::Erasure;
use crate::domain::erasure::{ERASED, NotErased, Order, unnamed};
use crate::domain::id::{AuthorId, PostId, ReceiverName, SourceName, hex};

/// What an order erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The SHA-256 of the author's or post's id: whoever knows the id can tell whose receipt it is.
    pub subject: String,
    /// The SHA-256 of each post's id whose text is gone.
    pub posts: Vec<String>,
    /// How many rows were changed, by table.
    pub rows: Vec<(&'static str, usize)>,
    /// Receivers that have messages about incidents of these posts; a copy there is not ours to erase.
    pub told: Vec<ReceiverName>,
    /// The number of its entry in the audit log, …
    pub entry: i64,
    /// … and that entry's hash.
    pub hash: Link,
}

impl StoreHandle {
    /// Erases by order; on disk when it returns, and gone from the log as soon as nobody reads there.
    pub async fn erase(&self, order: Order) -> Result<Result<Receipt, NotErased>, StoreError> {
        self.job(move |writing| writing.erase_by_order(&order)).await
    }
}

impl Reader {
    /// The accounts of which text of a source is kept, by id, or by handle after `@`.
    pub fn authors_of(&self, name: &str, source: &SourceName) -> Result<Vec<AuthorId>, StoreError> {
        let which = match name.strip_prefix('@') {
            Some(_) => "lower(ltrim(json ->> '$.author.handle', '@')) = lower(?1)",
            None => "author = ?1",
        };
        let query = format!(
            "SELECT DISTINCT author FROM post WHERE json IS NOT NULL AND {which} AND json ->> '$.source' = ?2 LIMIT 10"
        );
        let mut select = self.sql.prepare(&query)?;
        let name = name.strip_prefix('@').unwrap_or(name);
        let authors =
            select.query_map(params![name, source.as_str()], |row| Ok(AuthorId::from(row.get::<_, String>(0)?)))?;
        Ok(authors.collect::<Result<_, _>>()?)
    }

    /// Whether text of a post is kept.
    pub fn keeps(&self, post: &PostId) -> Result<bool, StoreError> {
        let kept = "SELECT EXISTS (SELECT 1 FROM post WHERE id = ?1 AND json IS NOT NULL)";
        Ok(self.sql.query_row(kept, [post.as_str()], |row| row.get(0))?)
    }

    /// The hold by which nothing may be erased there, if any.
    pub fn hold_against(&self, what: &Erasure) -> Result<Option<NotErased>, StoreError> {
        hold_of_one(&self.sql, &serde_json::json!(posts_of(&self.sql, what)?).to_string())
    }

    /// The handles under which an author stands in kept posts.
    pub fn handles_of(&self, author: &AuthorId) -> Result<Vec<String>, StoreError> {
        handles(&self.sql, author.as_str())
    }
}

impl Writing<'_> {
    pub(super) fn erase_by_order(&mut self, order: &Order) -> Result<Result<Receipt, NotErased>, StoreError> {
        let posts = posts_of(self.sql, &order.what)?;
        let (subject, names) = match &order.what {
            Erasure::Post(post) => (post.as_str(), Vec::new()),
            Erasure::Author(author) => {
                let mut names = handles(self.sql, author.as_str())?;
                names.push(author.to_string());
                (author.as_str(), names)
            }
        };
        let listed = serde_json::json!(posts).to_string();
        if let Some(held) = hold_of_one(self.sql, &listed)? {
            return Ok(Err(held));
        }
        let words = self.sql.query_row(
            "SELECT count(*) FROM telling WHERE length(words) > 0 AND post IN (SELECT value FROM json_each(?1))",
            [&listed],
            |row| row.get::<_, i64>(0),
        )?;
        let told = self.told_of(&listed)?;
        let mut rows = vec![("post", posts.len()), ("telling", usize::try_from(words).unwrap_or_default())];
        for post in &posts {
            erase(self.sql, post)?;
        }
        rows.push(("outbox", self.take_out_of_what_waits(&listed)?));
        rows.extend(self.unname(&names)?);
        self.removed_text = true;

        let (subject, posts) = (hashed(subject), posts.iter().map(|post| hashed(post)).collect::<Vec<_>>());
        let Order { what, by, reason, at } = order;
        let what = match what {
            Erasure::Post(_) => "post.erased",
            Erasure::Author(_) => "author.erased",
        };
        let counts: Vec<String> = rows.iter().map(|(table, changed)| format!("{table} {changed}")).collect();
        let text = format!("{reason} ({})", counts.join(", "));
        self.audit(&Entry { at: *at, by: by.clone(), what: what.to_owned(), about: subject.clone(), text })?;
        let (entry, hash) = head(self.sql)?.unwrap_or((0, Link::FIRST));
        Ok(Ok(Receipt { subject, posts, rows, told, entry, hash }))
    }

    /// Receivers that took messages which show one of these posts.
    fn told_of(&self, posts: &str) -> Result<Vec<ReceiverName>, StoreError> {
        let told = ids(
            self.sql,
            "SELECT DISTINCT receiver FROM outbox WHERE state = 'delivered' AND EXISTS (
               SELECT 1 FROM json_each(message, '$.incident.sample') AS shown
               WHERE shown.value IN (SELECT value FROM json_each(?1))) ORDER BY receiver",
            [posts],
        )?;
        Ok(told.into_iter().map(ReceiverName::from).collect())
    }

    /// Messages that wait show these posts no longer.
    fn take_out_of_what_waits(&self, posts: &str) -> Result<usize, StoreError> {
        Ok(self.sql.execute(
            "UPDATE outbox SET message = json_set(message, '$.incident.sample', (
               SELECT json_group_array(shown.value) FROM json_each(message, '$.incident.sample') AS shown
               WHERE shown.value NOT IN (SELECT value FROM json_each(?1))))
             WHERE state IN ('pending', 'leased') AND EXISTS (
               SELECT 1 FROM json_each(message, '$.incident.sample') AS shown
               WHERE shown.value IN (SELECT value FROM json_each(?1)))",
            [posts],
        )?)
    }

    /// Takes an account out of what was counted by it: alerts, and what was said of their incidents.
    fn unname(&self, names: &[String]) -> Result<Vec<(&'static str, usize)>, StoreError> {
        let listed = serde_json::json!(names).to_string();
        let incidents = ids(
            self.sql,
            "SELECT DISTINCT incident FROM alert WHERE key IN (SELECT value FROM json_each(?1))",
            [&listed],
        )?;
        if incidents.is_empty() {
            return Ok(Vec::new());
        }
        let about = serde_json::json!(incidents).to_string();
        let mut rows = vec![("alert", self.unname_alerts(&listed, names)?)];
        for (table, select, update) in [
            (
                "timeline",
                "SELECT seq, text FROM timeline WHERE incident IN (SELECT value FROM json_each(?1))",
                "UPDATE timeline SET text = ?2 WHERE seq = ?1",
            ),
            (
                "incident",
                "SELECT rowid, detail ->> '$.why' FROM incident WHERE id IN (SELECT value FROM json_each(?1))",
                "UPDATE incident SET detail = json_set(detail, '$.why', ?2) WHERE rowid = ?1",
            ),
            (
                "outbox",
                "SELECT seq, message ->> '$.incident.why' FROM outbox WHERE incident IN (SELECT value FROM json_each(?1))",
                "UPDATE outbox SET message = json_set(message, '$.incident.why', ?2) WHERE seq = ?1",
            ),
            // Of words that are changed the chain would say so; of those that are gone it holds.
            (
                "audit",
                "SELECT seq, text FROM audit WHERE text IS NOT NULL AND about IN (SELECT value FROM json_each(?1))",
                "UPDATE audit SET text = NULL, salt = NULL WHERE seq = ?1 AND ?2 IS NOT NULL",
            ),
        ] {
            rows.push((table, self.rewritten(select, update, &about, names)?));
        }
        Ok(rows)
    }

    fn unname_alerts(&self, listed: &str, names: &[String]) -> Result<usize, StoreError> {
        let counted = "SELECT seq, why FROM alert WHERE key IN (SELECT value FROM json_each(?1))";
        self.rewritten(counted, "UPDATE alert SET why = ?2 WHERE seq = ?1", listed, names)?;
        let key = "UPDATE alert SET key = ?2 WHERE key IN (SELECT value FROM json_each(?1))";
        Ok(self.sql.execute(key, [listed, ERASED])?)
    }

    /// Runs `update` for every row of `select` whose words name the account.
    fn rewritten(&self, select: &str, update: &str, of: &str, names: &[String]) -> Result<usize, StoreError> {
        let mut select = self.sql.prepare(select)?;
        let rows = select.query_map([of], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))?;
        let rows: Vec<(i64, String)> = rows.collect::<Result<_, _>>()?;
        let mut changed = 0;
        for (row, was) in rows {
            let is = unnamed(&was, names);
            if is != was {
                changed += self.sql.execute(update, params![row, is])?;
            }
        }
        Ok(changed)
    }
}

/// Posts of which text is kept.
fn posts_of(sql: &Connection, what: &Erasure) -> Result<Vec<String>, StoreError> {
    match what {
        Erasure::Post(post) => ids(sql, "SELECT id FROM post WHERE id = ?1 AND json IS NOT NULL", [post.as_str()]),
        Erasure::Author(author) => {
            ids(sql, "SELECT id FROM post WHERE author = ?1 AND json IS NOT NULL", [author.as_str()])
        }
    }
}

/// The first hold that one of these posts is under.
fn hold_of_one(sql: &Connection, posts: &str) -> Result<Option<NotErased>, StoreError> {
    let mut select = sql.prepare(&format!(
        "SELECT hold.incident, hold.approved_by FROM hold WHERE EXISTS (
           SELECT 1 FROM sighting WHERE post IN (SELECT value FROM json_each(?1)) AND incident IN ({HELD}
             WHERE hold.incident = by_hold))"
    ))?;
    let mut held = select.query_map([posts], |row| {
        Ok(NotErased::Held { incident: row.get::<_, String>(0)?.into(), approved_by: row.get(1)? })
    })?;
    Ok(held.next().transpose()?)
}

fn handles(sql: &Connection, author: &str) -> Result<Vec<String>, StoreError> {
    ids(
        sql,
        "SELECT DISTINCT json ->> '$.author.handle' FROM post
         WHERE author = ?1 AND json ->> '$.author.handle' IS NOT NULL AND json ->> '$.author.handle' <> ''",
        [author],
    )
}

fn hashed(id: &str) -> String {
    hex(&Sha256::digest(id), 32)
}
