//! What people made of incidents, and with it of the rules that fired.

use rusqlite::{Connection, params};

use super::error::StoreError;
use super::outbox::existing_posts;
use super::read::Reader;
use super::write::Writing;
use super::writer::StoreHandle;
use crate::domain::audit::Entry;
use crate::domain::id::{IncidentId, RuleId};
use crate::domain::incident::Incident;
use crate::domain::lane::Sight;
use crate::domain::post::Post;
use crate::domain::time::Timestamp;

/// That somebody said whether what fired was real.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The incident.
    pub incident: IncidentId,
    /// When (wall time).
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Whether it was real; otherwise noise.
    pub real: bool,
    /// Why; may be empty.
    pub reason: String,
}

/// A rule's history, as far as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleRecord {
    /// Event times of its alerts, newest first; at most as many as were asked for.
    pub fired: Vec<Timestamp>,
    /// How many alerts are kept.
    pub alerts: u64,
    /// Incidents judged real, and when the last was.
    pub real: (u64, Option<Timestamp>),
    /// Incidents judged noise, and when the last was.
    pub noise: (u64, Option<Timestamp>),
    /// The newest judgements, newest first.
    pub judged: Vec<Judged>,
}

impl StoreHandle {
    /// Notes what somebody made of an incident, for each of its rules, in place of what was said before; on disk when it
    /// returns.
    ///
    /// # Errors
    /// What the disk says.
    pub async fn judge(&self, incident: &Incident, judged: Judged) -> Result<(), StoreError> {
        let rules: Vec<RuleId> = incident.rules.iter().cloned().collect();
        self.job(move |writing| writing.judge(&rules, &judged)).await
    }
}

impl Writing<'_> {
    fn judge(&self, rules: &[RuleId], judged: &Judged) -> Result<(), StoreError> {
        let Judged { incident, at, by, real, reason } = judged;
        let mut upsert = self.sql.prepare_cached(
            "INSERT INTO judgement (incident, rule, at, by, real, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (incident, rule) DO UPDATE
             SET at = excluded.at, by = excluded.by, real = excluded.real, reason = excluded.reason",
        )?;
        for rule in rules {
            upsert.execute(params![incident.as_str(), rule.as_str(), at.micros(), by, real, reason])?;
        }
        let what = if *real { "incident.judged_real" } else { "incident.judged_noise" };
        self.audit(&Entry {
            at: *at,
            by: by.clone(),
            what: what.to_owned(),
            about: incident.to_string(),
            text: reason.clone(),
        })
    }
}

impl Reader {
    /// What was last made of an incident.
    ///
    /// # Errors
    /// What the disk says.
    pub fn judgement(&self, incident: &IncidentId) -> Result<Option<Judged>, StoreError> {
        let which = "incident = ?1 ORDER BY at DESC LIMIT 1";
        Ok(judgements(&self.sql, which, params![incident.as_str()])?.pop())
    }

    /// A rule's history: its alerts and judgements, the newest `most` of each.
    ///
    /// # Errors
    /// What the disk says.
    pub fn rule_record(&self, rule: &RuleId, most: usize) -> Result<RuleRecord, StoreError> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut select = self.sql.prepare_cached("SELECT at FROM alert WHERE rule = ?1 ORDER BY at DESC LIMIT ?2")?;
        let fired = select.query_map(params![rule.as_str(), most], |row| Ok(Timestamp::from_micros(row.get(0)?)))?;
        let fired = fired.collect::<Result<_, _>>()?;
        let mut counted = self.sql.prepare_cached("SELECT count(*) FROM alert WHERE rule = ?1")?;
        let alerts: i64 = counted.query_row([rule.as_str()], |row| row.get(0))?;
        let count = |real: bool| {
            let mut select =
                self.sql.prepare_cached("SELECT count(*), max(at) FROM judgement WHERE rule = ?1 AND real = ?2")?;
            select.query_row(params![rule.as_str(), real], |row| {
                let (count, last): (i64, Option<i64>) = (row.get(0)?, row.get(1)?);
                Ok((count.unsigned_abs(), last.map(Timestamp::from_micros)))
            })
        };
        let (real, noise) = (count(true)?, count(false)?);
        let judged = judgements(&self.sql, "rule = ?1 ORDER BY at DESC LIMIT ?2", params![rule.as_str(), most])?;
        Ok(RuleRecord { fired, alerts: alerts.unsigned_abs(), real, noise, judged })
    }

    /// Kept posts that a rule took in incidents judged real, or noise; the newest. Exceptions are made of their words, so
    /// those of the lane are not among them.
    ///
    /// # Errors
    /// What the disk says.
    pub fn judged_posts(&self, rule: &RuleId, real: bool, most: usize) -> Result<Vec<Post>, StoreError> {
        let mut select = self.sql.prepare_cached(
            "SELECT s.post FROM sighting s JOIN judgement j ON j.incident = s.incident AND j.rule = s.rule
             WHERE s.rule = ?1 AND j.real = ?2 ORDER BY s.at DESC LIMIT ?3",
        )?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let ids = select.query_map(params![rule.as_str(), real, most], |row| row.get::<_, String>(0))?;
        let ids: Vec<String> = ids.collect::<Result<_, _>>()?;
        existing_posts(&self.sql, &self.keys, Sight::Veiled, ids.iter().map(String::as_str))
    }

    /// When and whether the last message of an exercise, and the last other one, reached each receiver: the receiver,
    /// whether it was an exercise, its state and when that was reached.
    ///
    /// # Errors
    /// What the disk says.
    pub fn last_messages(&self) -> Result<Vec<(String, bool, String, Timestamp)>, StoreError> {
        let mut select = self.sql.prepare_cached(
            "SELECT receiver, coalesce(message ->> '$.incident.exercise', 0) AS drill, state, max(finished_at) FROM outbox
             WHERE finished_at IS NOT NULL GROUP BY receiver, drill ORDER BY receiver, drill",
        )?;
        let rows = select
            .query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, Timestamp::from_micros(row.get(3)?))))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn judgements(sql: &Connection, which: &str, params: impl rusqlite::Params) -> Result<Vec<Judged>, StoreError> {
    let select = format!("SELECT incident, at, by, real, reason FROM judgement WHERE {which}");
    let mut select = sql.prepare_cached(&select)?;
    let rows = select.query_map(params, |row| {
        Ok(Judged {
            incident: row.get::<_, String>(0)?.into(),
            at: Timestamp::from_micros(row.get(1)?),
            by: row.get(2)?,
            real: row.get(3)?,
            reason: row.get(4)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[test]
    fn the_last_word_on_an_incident_counts_and_is_on_record() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut store = Store::open(&path).unwrap();
        let rules = [RuleId::from("a.one"), RuleId::from("a.two")];
        let judged = |incident: &str, at, real, reason: &str| Judged {
            incident: incident.into(),
            at: Timestamp::from_seconds(at),
            by: "ann".to_owned(),
            real,
            reason: reason.to_owned(),
        };
        for (rules, one) in [
            (&rules[..], judged("inc-a", 1, true, "")),
            (&rules[..], judged("inc-a", 2, false, "a film")),
            (&rules[..1], judged("inc-b", 3, true, "")),
        ] {
            store.transact(|writing| writing.judge(rules, &one)).unwrap();
        }
        let reader = Reader::open(&path).unwrap();
        let last = |at| Some(Timestamp::from_seconds(at));
        let one = reader.rule_record(&rules[0], 9).unwrap();
        assert_eq!((one.real, one.noise, one.judged.len()), ((1, last(3)), (1, last(2)), 2));
        assert_eq!(reader.rule_record(&rules[1], 9).unwrap().real, (0, None));
        assert_eq!(reader.judgement(&"inc-a".into()).unwrap().unwrap().reason, "a film");
        let entries = reader.audit(None, 9).unwrap();
        assert_eq!(entries.iter().filter(|kept| kept.entry.what == "incident.judged_noise").count(), 1);
        store.forget(Timestamp::from_seconds(9)).unwrap();
        let kept = reader.judgement(&"inc-a".into()).unwrap().unwrap();
        assert_eq!((kept.real, kept.reason.as_str()), (false, ""), "what it was stays, why goes");
    }
}
