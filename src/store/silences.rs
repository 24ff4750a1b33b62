//! Silences on disk: the orders of people, also those that are over.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::read::Reader;
use super::stored::Unreadable;
use crate::domain::audit::Entry;
use crate::domain::incident::Signature;
use crate::domain::silence::Silence;
use crate::domain::time::Timestamp;

impl Reader {
    /// Silences that ended at a time or later, or have not ended, the newest order first.
    pub fn silences(&self, since: Timestamp) -> Result<Vec<Silence>, StoreError> {
        self::since(&self.sql, since)
    }
}

pub(super) fn since(sql: &Connection, since: Timestamp) -> Result<Vec<Silence>, StoreError> {
    let mut select = sql.prepare("SELECT id, detail FROM silence WHERE until >= ?1 ORDER BY ordered DESC, id")?;
    let mut rows = select.query([since.micros()])?;
    let mut silences = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, detail): (String, String) = (row.get(0)?, row.get(1)?);
        silences.push(from_json(&detail).or(Err(StoreError::Unreadable { table: "silence", id }))?);
    }
    Ok(silences)
}

#[derive(Serialize, Deserialize)]
struct SilenceJson {
    id: String,
    matchers: Vec<String>,
    by: String,
    reason: String,
    ordered: i64,
    from: i64,
    until: i64,
    ended: Option<(String, i64)>,
}

/// A struct of strings and numbers always has a JSON form.
pub(super) fn to_json(silence: &Silence) -> String {
    let Silence { id, matchers, by, reason, ordered, from, until, ended } = silence;
    let json = SilenceJson {
        id: id.to_string(),
        matchers: matchers.iter().map(ToString::to_string).collect(),
        by: by.clone(),
        reason: reason.clone(),
        ordered: ordered.micros(),
        from: from.micros(),
        until: until.micros(),
        ended: ended.as_ref().map(|ended| (ended.by.clone(), ended.at.micros())),
    };
    serde_json::to_string(&json).unwrap_or_default()
}

/// What the audit log says of it: who ordered or ended it.
pub(super) fn entry(silence: &Silence) -> Entry {
    let Silence { id, matchers, by, reason, ordered, until, ended, .. } = silence;
    let (at, by, what) = match ended {
        Some(ended) => (ended.at, &ended.by, "silence.ended"),
        None => (*ordered, by, "silence.ordered"),
    };
    let matchers: Vec<String> = matchers.iter().map(ToString::to_string).collect();
    let text = format!("{} until {until}: {reason}", matchers.join(" "));
    Entry { at, by: by.clone(), what: what.to_owned(), about: id.to_string(), text }
}

fn from_json(text: &str) -> Result<Silence, Unreadable> {
    let SilenceJson { id, matchers, by, reason, ordered, from, until, ended } =
        serde_json::from_str(text).or(Err(Unreadable))?;
    let matchers = matchers.iter().map(|matcher| matcher.parse()).collect::<Result<_, _>>().or(Err(Unreadable))?;
    let time = Timestamp::from_micros;
    Ok(Silence {
        id: id.into(),
        matchers,
        by,
        reason,
        ordered: time(ordered),
        from: time(from),
        until: time(until),
        ended: ended.map(|(by, at)| Signature { by, at: time(at) }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::silence::Draft;

    #[test]
    fn silences_come_back_as_they_were() {
        let matchers = ["topic=cyber*,ward-9", "severity!=critical"].map(|text| text.parse().unwrap()).to_vec();
        let (by, reason) = ("ann".to_owned(), "a \"patch\" night".to_owned());
        let draft = Draft { matchers, by, reason, from: None, until: Timestamp::from_seconds(9) };
        let silence = Silence::of(draft, Timestamp::from_micros(5)).unwrap();
        let ended = Some(Signature { by: "bob".to_owned(), at: Timestamp::from_micros(7) });
        for silence in [silence.clone(), Silence { ended, ..silence }] {
            assert_eq!(from_json(&to_json(&silence)), Ok(silence));
        }
        assert_eq!(from_json("{}"), Err(Unreadable));
    }
}
