//! Erasing by order, with a receipt.
//!
//! The same erasure as of what an author deletes at the source, and more: what was said of the account loses its name
//! (alerts that were counted by it, incidents in which its word spread), and messages that wait no longer point to the posts. What is erased, its entry in the audit log and the
//! receipt are one transaction. A post's id stays with its hash, or the post would come back when the stream is read
//! again.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};

use super::audit::head;
use super::error::StoreError;
use super::holds::HELD;
use super::keys::{About, Keys};
use super::read::Reader;
use super::retention::{erase, ids};
use super::sealing::{open_alert, open_entry, reseal_alert};
use super::write::Writing;
use super::writer::StoreHandle;
use super::{restore, stored};
use crate::domain::audit::{Entry, Link};
use crate::domain::commit::Erasure;
use crate::domain::erasure::{Account, ERASED, NotErased, Order};
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
            let account = Account::new(&name.into(), &[]);
            let is_said =
                !spread_by(&self.sql, &account)?.is_empty() || !counted_by(&self.sql, &self.keys, &account)?.is_empty();
            authors.extend(is_said.then(|| AuthorId::from(name)));
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
        hold_of_one(&self.sql, &serde_json::json!(posts_of(&self.sql, &self.keys, what)?).to_string())
    }

    /// An author as what was said of it knows it.
    pub fn account_of(&self, author: &AuthorId) -> Result<Account, StoreError> {
        account(&self.sql, &self.keys, author)
    }
}

impl Writing<'_> {
    pub(super) fn erase_by_order(&mut self, order: &Order) -> Result<Result<Receipt, NotErased>, StoreError> {
        let posts = posts_of(self.sql, self.keys, &order.what)?;
        let (subject, account) = match &order.what {
            Erasure::Post(post) => (post.as_str(), None),
            Erasure::Author(author) => (author.as_str(), Some(account(self.sql, self.keys, author)?)),
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
            erase(self.sql, self.keys, post)?;
        }
        rows.push(("outbox", self.take_out_of_what_waits(&listed)?));
        if let Some(account) = account {
            rows.extend(self.unname(&account)?);
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

    /// Takes an account out of what was said of it: alerts that were counted by it, and their incidents; incidents in
    /// which its word spread.
    fn unname(&self, account: &Account) -> Result<Vec<(&'static str, usize)>, StoreError> {
        let (alerts, mut incidents) = self.unname_alerts(account)?;
        incidents.extend(spread_by(self.sql, account)?);
        if incidents.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows = [("alert", alerts), ("timeline", 0), ("incident", 0), ("outbox", 0), ("audit", 0)];
        let [_, (_, timeline), (_, incident), (_, outbox), (_, audit)] = &mut rows;
        for id in &incidents {
            let (changed, notable) = self.unname_incident(id, account)?;
            let out_of = |text: &str| {
                let unnamed = account.out_of(text);
                notable.iter().fold(unnamed, |text, what| text.replace(what, ERASED))
            };
            *incident += changed;
            *timeline += self.unname_timeline(id, out_of)?;
            *outbox += self.unname_messages(id, account)?;
            *audit += self.unname_audit(id, out_of)?;
        }
        Ok(rows.to_vec())
    }

    /// The alerts that were changed, and their incidents.
    fn unname_alerts(&self, account: &Account) -> Result<(usize, BTreeSet<String>), StoreError> {
        let mut update = self.sql.prepare("UPDATE alert SET why = ?2, key = ?3 WHERE seq = ?1")?;
        let (mut changed, mut incidents) = (0, BTreeSet::new());
        for Counted { seq, rule, at, post, incident, why, sealed } in counted_by(self.sql, self.keys, account)? {
            let unnamed = (&*account.out_of(&why), ERASED);
            if let Some((why, key)) = reseal_alert(self.keys, (&rule, at, post.as_deref()), &sealed, unnamed)? {
                changed += update.execute(params![seq, why, key])?;
                incidents.insert(incident);
            }
        }
        Ok((changed, incidents))
    }

    fn unname_timeline(&self, incident: &str, out_of: impl Fn(&str) -> String) -> Result<usize, StoreError> {
        let about = About::new("timeline", incident);
        let mut changed = 0;
        for (row, sealed) in self.texts("SELECT seq, text FROM timeline WHERE incident = ?1", incident)? {
            let Some(was) = self.keys.open(about, &sealed)? else { continue };
            let is = out_of(&was);
            if let Some(sealed) = (is != was).then(|| self.keys.reseal(&sealed, about, &is)).transpose()?.flatten() {
                changed += self.sql.execute("UPDATE timeline SET text = ?2 WHERE seq = ?1", params![row, sealed])?;
            }
        }
        Ok(changed)
    }

    /// Whether the incident was changed, and what the account was called in it.
    fn unname_incident(&self, id: &str, account: &Account) -> Result<(usize, Vec<String>), StoreError> {
        let incident = restore::incidents(self.sql, self.keys, "id = ?1", [id])?.pop();
        let Some(mut incident) = incident else { return Ok((0, Vec::new())) };
        let Some(notable) = account.leave(&mut incident) else { return Ok((0, Vec::new())) };
        let detail = stored::incident_to_json(&incident, self.keys)?;
        Ok((self.sql.execute("UPDATE incident SET detail = ?2 WHERE id = ?1", [id, &detail])?, notable))
    }

    fn unname_messages(&self, incident: &str, account: &Account) -> Result<usize, StoreError> {
        let mut changed = 0;
        for (row, message) in self.texts("SELECT seq, message FROM outbox WHERE incident = ?1", incident)? {
            let mut message = stored::message_from_json(incident, &message, self.keys)?;
            if account.leave(&mut message.incident).is_some() {
                let json = stored::message_to_json(&message, self.keys)?;
                changed += self.sql.execute("UPDATE outbox SET message = ?2 WHERE seq = ?1", params![row, json])?;
            }
        }
        Ok(changed)
    }

    /// Of words that are changed the chain would say so; of those that are gone it holds.
    fn unname_audit(&self, incident: &str, out_of: impl Fn(&str) -> String) -> Result<usize, StoreError> {
        let mut changed = 0;
        let select = "SELECT seq, text FROM audit WHERE text IS NOT NULL AND about = ?1";
        for (number, sealed) in self.texts(select, incident)? {
            let Some((_, was)) = open_entry(self.keys, number, &sealed)? else { continue };
            if out_of(&was) != was {
                changed += self.sql.execute("UPDATE audit SET text = NULL WHERE seq = ?1", [number])?;
            }
        }
        Ok(changed)
    }

    fn texts(&self, select: &str, of: &str) -> Result<Vec<(i64, String)>, StoreError> {
        let mut select = self.sql.prepare(select)?;
        let rows = select.query_map([of], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
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

/// An author by its id and the handles under which it stands in kept posts.
fn account(sql: &Connection, keys: &Keys, author: &AuthorId) -> Result<Account, StoreError> {
    let mut select = sql.prepare("SELECT id, json FROM post WHERE author = ?1 AND json IS NOT NULL")?;
    let mut rows = select.query([keys.name(author.as_str())?])?;
    let mut handles = BTreeSet::new();
    while let Some(row) = rows.next()? {
        let (name, sealed): (String, String) = (row.get(0)?, row.get(1)?);
        let post = stored::read_post(keys, &name, &sealed)?;
        handles.extend(post.and_then(|post| post.author.handle).filter(|handle| !handle.is_empty()));
    }
    Ok(Account::new(author, &Vec::from_iter(handles)))
}

/// Incidents in which an account's word spread.
fn spread_by(sql: &Connection, account: &Account) -> Result<Vec<String>, StoreError> {
    // Numbers of 64 bits are too long for SQL.
    let author = format!("\"author\":{},", account.key().bits());
    ids(sql, "SELECT id FROM incident WHERE instr(detail, ?1)", [author])
}

/// An alert that was counted by an account.
struct Counted {
    seq: i64,
    rule: String,
    at: i64,
    post: Option<String>,
    incident: String,
    /// Its reason, and as it is sealed.
    why: String,
    sealed: String,
}

fn counted_by(sql: &Connection, keys: &Keys, account: &Account) -> Result<Vec<Counted>, StoreError> {
    let mut select = sql.prepare("SELECT seq, rule, at, post, why, key, incident FROM alert WHERE key IS NOT NULL")?;
    let (mut rows, mut counted) = (select.query(())?, Vec::new());
    while let Some(row) = rows.next()? {
        let (rule, at, post): (String, i64, Option<String>) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let (sealed, key): (String, String) = (row.get(4)?, row.get(5)?);
        let (why, key) = open_alert(keys, (&rule, at, post.as_deref()), (&sealed, Some(&key)))?;
        if key.is_some_and(|key| account.is_counted_as(&key)) {
            counted.push(Counted { seq: row.get(0)?, rule, at, post, incident: row.get(6)?, why, sealed });
        }
    }
    Ok(counted)
}

fn hashed(id: &str) -> String {
    hex(&Sha256::digest(id), 32)
}
