//! Erasing by order, with a receipt.
//!
//! The same erasure as of what an author deletes at the source, and more: the account goes out of what was said of it
//! (`said.rs`), and messages that wait no longer point to the posts. What is erased, its entry in the audit log and the
//! receipt are one transaction. A post's id stays with its hash, or the post would come back when the stream is read
//! again.

use std::collections::BTreeSet;

use rusqlite::Connection;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::audit::head;
use super::error::StoreError;
use super::holds::HELD;
use super::keys::Keys;
use super::read::Reader;
use super::retention::{erase, ids};
use super::said::Said;
use super::stored;
use super::write::Writing;
use super::writer::StoreHandle;
use crate::domain::audit::{Entry, Link};
use crate::domain::commit::Erasure;
use crate::domain::erasure::{NotErased, Order};
use crate::domain::id::{AuthorId, PostId, ReceiverName, SourceName, hex};

/// Accounts that are named to choose from, at most.
const AUTHORS: usize = 10;

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
    /// The accounts of which text of a source is kept, by id, or by handle after `@`; by id also one that is only spoken of.
    pub fn authors_of(&self, name: &str, source: &SourceName) -> Result<Vec<AuthorId>, StoreError> {
        let author = if name.starts_with('@') { None } else { Some(self.keys.name(name)?) };
        let query = "SELECT id, json FROM post WHERE json IS NOT NULL AND (?1 IS NULL OR author = ?1)";
        let mut select = self.sql.prepare(query)?;
        let mut rows = select.query([&author])?;
        let (mut authors, mut is_kept) = (BTreeSet::new(), false);
        while authors.len() < AUTHORS {
            let Some(row) = rows.next()? else { break };
            is_kept = true;
            let (id, sealed): (String, String) = (row.get(0)?, row.get(1)?);
            let Some(post) = stored::read_post(&self.keys, &id, &sealed)? else { continue };
            if post.source == *source && post.author.is_called(name) {
                authors.insert(post.author.id);
            }
        }
        if !is_kept && author.is_some() {
            // What was said of an account may be kept longer than what it wrote.
            let author = AuthorId::from(name);
            let is_said = !Said::of(&self.sql, &self.keys, &author)?.incidents.is_empty();
            authors.extend(is_said.then_some(author));
        }
        Ok(authors.into_iter().collect())
    }

    /// Whether text of a post is kept.
    pub fn keeps(&self, post: &PostId) -> Result<bool, StoreError> {
        let kept = "SELECT EXISTS (SELECT 1 FROM post WHERE id = ?1 AND json IS NOT NULL)";
        Ok(self.sql.query_row(kept, [self.keys.name(post.as_str())?], |row| row.get(0))?)
    }

    /// The hold by which nothing may be erased there, if any.
    pub fn hold_against(&self, what: &Erasure) -> Result<Option<NotErased>, StoreError> {
        let held = hold_of_one(&self.sql, &listed(posts_of(&self.sql, &self.keys, what)?))?;
        match what {
            Erasure::Author(author) if held.is_none() => {
                hold_of_incidents(&self.sql, &Said::of(&self.sql, &self.keys, author)?.incidents)
            }
            _ => Ok(held),
        }
    }
}

impl Writing<'_> {
    pub(super) fn erase_by_order(&mut self, order: &Order) -> Result<Result<Receipt, NotErased>, StoreError> {
        let posts = posts_of(self.sql, self.keys, &order.what)?;
        let (subject, said) = match &order.what {
            Erasure::Post(post) => (post.as_str(), None),
            Erasure::Author(author) => (author.as_str(), Some(Said::of(self.sql, self.keys, author)?)),
        };
        let listed = listed(&posts);
        let mut held = hold_of_one(self.sql, &listed)?;
        if let Some(said) = said.as_ref().filter(|_| held.is_none()) {
            held = hold_of_incidents(self.sql, &said.incidents)?;
        }
        if let Some(held) = held {
            return Ok(Err(held));
        }
        let words = self.sql.query_row(
            "SELECT count(*) FROM telling WHERE length(words) > 0 AND post IN (SELECT value FROM json_each(?1))",
            [&listed],
            |row| row.get::<_, i64>(0),
        )?;
        let mut told = self.told_of(&listed)?;
        let mut rows = vec![("post", posts.len()), ("telling", usize::try_from(words).unwrap_or_default())];
        for post in &posts {
            erase(self.sql, self.keys, post)?;
        }
        rows.push(("outbox", self.take_out_of_what_waits(&listed)?));
        if let Some(said) = said {
            rows.extend(self.unsay(&said, &mut told)?);
        }
        self.removed_text = true;

        let posts =
            posts.iter().map(|name| Ok(hashed(&self.keys.named(name)?))).collect::<Result<Vec<_>, StoreError>>();
        let (subject, posts) = (hashed(subject), posts?);
        let Order { what, by, reason, at } = order;
        let what = match what {
            Erasure::Post(_) => "post.erased",
            Erasure::Author(_) => "author.erased",
        };
        let counts: Vec<String> = rows.iter().map(|(table, changed)| format!("{table} {changed}")).collect();
        let text = format!("{reason} ({})", counts.join(", "));
        self.audit(&Entry { at: *at, by: by.clone(), what: what.to_owned(), about: subject.clone(), text })?;
        let (entry, hash) = head(self.sql)?.unwrap_or((0, Link::FIRST));
        let told = told.into_iter().map(ReceiverName::from).collect();
        Ok(Ok(Receipt { subject, posts, rows, told, entry, hash }))
    }

    /// Receivers that took messages which show one of these posts.
    fn told_of(&self, posts: &str) -> Result<BTreeSet<String>, StoreError> {
        let told = "SELECT DISTINCT receiver FROM outbox WHERE state = 'delivered' AND EXISTS (
               SELECT 1 FROM json_each(message, '$.incident.sample') AS shown
               WHERE shown.value IN (SELECT value FROM json_each(?1)))";
        Ok(ids(self.sql, told, [posts])?.into_iter().collect())
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
}

/// Posts of which text is kept, by their names.
fn posts_of(sql: &Connection, keys: &Keys, what: &Erasure) -> Result<Vec<String>, StoreError> {
    let (query, id) = match what {
        Erasure::Post(post) => ("SELECT id FROM post WHERE id = ?1 AND json IS NOT NULL", post.as_str()),
        Erasure::Author(author) => ("SELECT id FROM post WHERE author = ?1 AND json IS NOT NULL", author.as_str()),
    };
    ids(sql, query, [keys.name(id)?])
}

/// The first hold that one of these posts is under.
pub(super) fn hold_of_one(sql: &Connection, posts: &str) -> Result<Option<NotErased>, StoreError> {
    first_hold(sql, "SELECT 1 FROM sighting WHERE post IN (SELECT value FROM json_each(?1)) AND incident", posts)
}

/// The first hold that one of these incidents is under.
fn hold_of_incidents(sql: &Connection, incidents: &BTreeSet<String>) -> Result<Option<NotErased>, StoreError> {
    first_hold(sql, "SELECT 1 FROM json_each(?1) AS one WHERE one.value", &listed(incidents))
}

/// The first hold on an incident that is `one` of those in the list.
fn first_hold(sql: &Connection, one: &str, list: &str) -> Result<Option<NotErased>, StoreError> {
    let mut select = sql.prepare(&format!(
        "SELECT hold.incident, hold.approved_by FROM hold
         WHERE EXISTS ({one} IN ({HELD} WHERE hold.incident = by_hold))"
    ))?;
    let mut held = select.query_map([list], |row| {
        Ok(NotErased::Held { incident: row.get::<_, String>(0)?.into(), approved_by: row.get(1)? })
    })?;
    Ok(held.next().transpose()?)
}

/// As SQL takes them.
pub(super) fn listed(names: impl Serialize) -> String {
    serde_json::json!(names).to_string()
}

fn hashed(id: &str) -> String {
    hex(&Sha256::digest(id), 32)
}
