//! What was said of an account, which goes when the account is erased.
//!
//! The engine names an account in the reason of an alert that was counted by it, and as one whose word spreads. From there
//! it comes into the incident, its history, its messages and the audit log, and into what the incident was merged into.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::erasure::listed;
use super::error::StoreError;
use super::keys::{About, Keys};
use super::read::Reader;
use super::retention::ids;
use super::sealing::{open_alert, open_entry, reseal_alert};
use super::write::Writing;
use super::{restore, stored};
use crate::domain::erasure::{Account, ERASED};
use crate::domain::id::AuthorId;
use crate::domain::terms::Notable;

/// All of it.
pub(super) struct Said {
    account: Account,
    alerts: Vec<Counted>,
    /// In which incidents.
    pub(super) incidents: BTreeSet<String>,
}

/// An alert that was counted by the account.
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

impl Said {
    pub(super) fn of(sql: &Connection, keys: &Keys, author: &AuthorId) -> Result<Self, StoreError> {
        let mut account = Account::new(author, &handles(sql, keys, author)?);
        let alerts = counted_by(sql, keys, &account)?;
        for alert in &alerts {
            account.note_name_in(&alert.why);
        }
        let mut incidents: BTreeSet<String> = alerts.iter().map(|alert| alert.incident.clone()).collect();
        // Numbers of 64 bits are too long for SQL.
        let notable = format!("\"author\":{},", account.key().bits());
        incidents.extend(ids(sql, "SELECT id FROM incident WHERE instr(detail, ?1)", [notable])?);
        let merged = "SELECT id FROM incident WHERE EXISTS (SELECT 1 FROM json_each(detail, '$.merged') AS merged
                        WHERE merged.value IN (SELECT value FROM json_each(?1)))";
        incidents.extend(ids(sql, merged, [listed(&incidents)])?);
        Ok(Self { account, alerts, incidents })
    }
}

impl Reader {
    /// An author as what was said of it knows it.
    pub fn account_of(&self, author: &AuthorId) -> Result<Account, StoreError> {
        Ok(Said::of(&self.sql, &self.keys, author)?.account)
    }
}

impl Writing<'_> {
    /// Takes it back. How many rows of which tables were changed; who was told of it joins `told`.
    pub(super) fn unsay(
        &self,
        said: &Said,
        told: &mut BTreeSet<String>,
    ) -> Result<Vec<(&'static str, usize)>, StoreError> {
        let Said { account, alerts, incidents } = said;
        let mut rows = [("alert", 0), ("timeline", 0), ("incident", 0), ("outbox", 0), ("audit", 0)];
        let [(_, alert), (_, timeline), (_, incident), (_, outbox), (_, audit)] = &mut rows;
        *alert = self.unname_alerts(account, alerts)?;
        for id in incidents {
            let (changed, notable) = self.unname_incident(id, account)?;
            let out_of = |text: &str| match notable.iter().find(|what| text == Notable::speaks(what)) {
                Some(_) => Notable::speaks(ERASED),
                None => account.out_of(text),
            };
            *incident += changed;
            *timeline += self.unname_timeline(id, out_of)?;
            *outbox += self.unname_messages(id, account, told)?;
            *audit += self.unname_audit(id, out_of)?;
        }
        Ok(rows.into_iter().filter(|(_, changed)| *changed > 0).collect())
    }

    fn unname_alerts(&self, account: &Account, alerts: &[Counted]) -> Result<usize, StoreError> {
        let mut update = self.sql.prepare("UPDATE alert SET why = ?2, key = ?3 WHERE seq = ?1")?;
        let mut changed = 0;
        for Counted { seq, rule, at, post, why, sealed, .. } in alerts {
            let unnamed = (&*account.out_of(why), ERASED);
            if let Some((why, key)) = reseal_alert(self.keys, (rule, *at, post.as_deref()), sealed, unnamed)? {
                changed += update.execute(params![seq, why, key])?;
            }
        }
        Ok(changed)
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

    fn unname_messages(
        &self,
        incident: &str,
        account: &Account,
        told: &mut BTreeSet<String>,
    ) -> Result<usize, StoreError> {
        let mut changed = 0;
        for (row, message) in self.texts("SELECT seq, message FROM outbox WHERE incident = ?1", incident)? {
            let mut message = stored::message_from_json(incident, &message, self.keys)?;
            if account.leave(&mut message.incident).is_some() {
                let json = stored::message_to_json(&message, self.keys)?;
                changed += self.sql.execute("UPDATE outbox SET message = ?2 WHERE seq = ?1", params![row, json])?;
                told.extend(ids(
                    self.sql,
                    "SELECT receiver FROM outbox WHERE seq = ?1 AND state = 'delivered'",
                    [row],
                )?);
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

/// The handles under which an author stands in kept posts.
fn handles(sql: &Connection, keys: &Keys, author: &AuthorId) -> Result<Vec<String>, StoreError> {
    let mut select = sql.prepare("SELECT id, json FROM post WHERE author = ?1 AND json IS NOT NULL")?;
    let mut rows = select.query([keys.name(author.as_str())?])?;
    let mut handles = BTreeSet::new();
    while let Some(row) = rows.next()? {
        let (name, sealed): (String, String) = (row.get(0)?, row.get(1)?);
        let post = stored::read_post(keys, &name, &sealed)?;
        handles.extend(post.and_then(|post| post.author.handle).filter(|handle| !handle.is_empty()));
    }
    Ok(handles.into_iter().collect())
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
