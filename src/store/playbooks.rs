//! How playbooks were followed, what may be said, what one shift wrote for the next; and what is left as evidence.
//!
//! What people do here asks nothing of the engine, and holds for incidents that are over, too: it goes to the one writer by
//! itself. Each order is one transaction with its lines of history and of the audit log, and one that is repeated changes nothing.

use rusqlite::{OptionalExtension, params};
use sha2::{Digest as _, Sha256};

use super::error::StoreError;
use super::growth::names;
use super::lane::may_see;
use super::read::Reader;
use super::stored;
use super::write::Writing;
use super::writer::StoreHandle;
use crate::domain::audit::Entry;
use crate::domain::id::{IncidentId, PostId};
use crate::domain::incident::TimelineEntry;
use crate::domain::lane::Sight;
use crate::domain::playbook::{Approval, Change, Followed, Mark, MarkKind, NotDone};
use crate::domain::post::Post;
use crate::domain::time::Timestamp;

/// A post that counts for an incident, and what proves that a copy is one.
#[derive(Clone, Debug, PartialEq)]
pub struct EvidenceRow {
    /// The post.
    pub id: PostId,
    /// Its event time.
    pub at: Timestamp,
    /// The SHA-256 of its JSON as it is, or was, kept.
    pub hash: [u8; 32],
    /// Itself, unless its author took it back or retention ended.
    pub post: Option<Post>,
}

/// What somebody wrote when a shift ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteRow {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// In words.
    pub text: String,
}

impl StoreHandle {
    /// Puts on record what somebody did by a playbook; on disk when it returns.
    pub async fn follow(
        &self,
        incident: IncidentId,
        change: Change,
        by: String,
        now: Timestamp,
    ) -> Result<Result<(), NotDone>, StoreError> {
        self.job(move |writing| writing.follow(&incident, &change, &by, now)).await
    }

    /// Puts on record that a statement may be used as it is worded, or may no longer.
    pub async fn approve(&self, approval: Approval, may: bool, named: String) -> Result<(), StoreError> {
        self.job(move |writing| writing.approve(&approval, may, &named)).await
    }

    /// Keeps what somebody wrote when a shift ended.
    pub async fn note_handover(&self, note: NoteRow) -> Result<(), StoreError> {
        self.job(move |writing| writing.note_handover(&note)).await
    }
}

impl Writing<'_> {
    fn follow(
        &self,
        incident: &IncidentId,
        change: &Change,
        by: &str,
        now: Timestamp,
    ) -> Result<Result<(), NotDone>, StoreError> {
        let Change { kind, name, value, at, what, text, approved } = change;
        let key = params![incident.as_str(), kind.as_str(), name];
        let mut known =
            self.sql.prepare_cached("SELECT value FROM followed WHERE incident = ?1 AND kind = ?2 AND name = ?3")?;
        let known: Option<String> = known.query_row(key, |row| row.get(0)).optional()?;
        if known == *value {
            return Ok(Ok(()));
        }
        if *kind == MarkKind::Statement && known.is_some() && value.is_some() {
            return Ok(Err(NotDone::Already));
        }
        if let Some(statement) = approved
            && !self.sql.query_row(
                "SELECT EXISTS (SELECT 1 FROM approval WHERE statement = ?1)",
                [statement],
                |row| row.get::<_, bool>(0),
            )?
        {
            return Ok(Err(NotDone::NotApproved));
        }
        match value {
            Some(value) => self.sql.execute(
                "INSERT INTO followed (incident, kind, name, value, by, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (incident, kind, name) DO UPDATE SET value = excluded.value, by = excluded.by, at = excluded.at",
                params![incident.as_str(), kind.as_str(), name, value, by, at.micros()],
            )?,
            None => self.sql.execute("DELETE FROM followed WHERE incident = ?1 AND kind = ?2 AND name = ?3", key)?,
        };
        let (incident, by, text) = (incident.clone(), by.to_owned(), text.clone());
        self.timeline(&TimelineEntry { incident, at: now, what, by, text })?;
        Ok(Ok(()))
    }

    fn approve(&self, approval: &Approval, may: bool, named: &str) -> Result<(), StoreError> {
        let Approval { statement, by, at } = approval;
        let changed = if may {
            let insert = "INSERT INTO approval (statement, by, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
            self.sql.execute(insert, params![statement, by, at.micros()])?
        } else {
            self.sql.execute("DELETE FROM approval WHERE statement = ?1", [statement])?
        };
        if changed == 0 {
            return Ok(());
        }
        let what = if may { "statement.approved" } else { "statement.withdrawn" };
        let hash = crate::domain::id::hex(statement, 32);
        let (by, what, about, text) = (by.clone(), what.to_owned(), named.to_owned(), format!("SHA-256 {hash}"));
        self.audit(&Entry { at: *at, by, what, about, text })
    }

    fn note_handover(&self, note: &NoteRow) -> Result<(), StoreError> {
        let NoteRow { at, by, text } = note;
        let last = self.sql.query_row("SELECT by, text FROM handover ORDER BY seq DESC LIMIT 1", (), |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        });
        if last.optional()?.is_some_and(|last| last == (by.clone(), text.clone())) {
            return Ok(()); // sent again
        }
        self.sql.execute("INSERT INTO handover (at, by, text) VALUES (?1, ?2, ?3)", params![at.micros(), by, text])?;
        let (by, what, text) = (by.clone(), "shift.noted".to_owned(), text.clone());
        self.audit(&Entry { at: *at, by, what, about: String::new(), text })
    }
}

impl Reader {
    /// How an incident's playbook was followed.
    pub fn followed(&self, incident: &IncidentId) -> Result<Followed, StoreError> {
        let mut select =
            self.sql.prepare_cached("SELECT kind, name, value, by, at FROM followed WHERE incident = ?1")?;
        let mut rows = select.query([incident.as_str()])?;
        let mut followed = Followed::default();
        while let Some(row) = rows.next()? {
            let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
            let Some(kind) = MarkKind::parse(&kind) else {
                return Err(StoreError::Unreadable { table: "followed", id: name });
            };
            let mark = Mark { value: row.get(2)?, by: row.get(3)?, at: Timestamp::from_micros(row.get(4)?) };
            followed.marks.insert((kind, name), mark);
        }
        Ok(followed)
    }

    /// Which statements may be used.
    pub fn approvals(&self) -> Result<Vec<Approval>, StoreError> {
        let mut select = self.sql.prepare_cached("SELECT statement, by, at FROM approval")?;
        let approvals = select.query_map((), |row| {
            Ok(Approval { statement: row.get(0)?, by: row.get(1)?, at: Timestamp::from_micros(row.get(2)?) })
        })?;
        Ok(approvals.collect::<Result<_, _>>()?)
    }

    /// What was written at the ends of shifts between two instants, oldest first.
    pub fn handover_notes(&self, from: Timestamp, to: Timestamp) -> Result<Vec<NoteRow>, StoreError> {
        let mut select =
            self.sql.prepare_cached("SELECT at, by, text FROM handover WHERE at BETWEEN ?1 AND ?2 ORDER BY seq")?;
        let notes = select.query_map([from.micros(), to.micros()], |row| {
            Ok(NoteRow { at: Timestamp::from_micros(row.get(0)?), by: row.get(1)?, text: row.get(2)? })
        })?;
        Ok(notes.collect::<Result<_, _>>()?)
    }

    /// The posts of an incident, oldest first, after one that is named by its time and id, with what proves that a copy
    /// of one is one; those that somebody may not see are left out.
    pub fn evidence(
        &self,
        id: &IncidentId,
        sight: Sight,
        after: Option<&(Timestamp, PostId)>,
        limit: usize,
    ) -> Result<Vec<EvidenceRow>, StoreError> {
        let Some(incident) = self.standing(id)? else { return Ok(Vec::new()) };
        let sample = self.keys.names(incident.sample.iter().map(PostId::as_str))?;
        // Sightings go when retention ends; those that were shown stay as hashes.
        let mut select = self.sql.prepare_cached(
            "SELECT id, at, json, hash FROM post WHERE (at, rowid) > (?3, coalesce((SELECT rowid FROM post WHERE id = ?4), 0)) AND id IN (
               SELECT post FROM sighting WHERE incident IN (SELECT value FROM json_each(?1))
               UNION SELECT value FROM json_each(?2)) ORDER BY at, rowid",
        )?;
        let (at, after) = match after {
            Some((at, id)) => (at.micros(), self.keys.name(id.as_str())?),
            None => (i64::MIN, String::new()),
        };
        let mut rows = select.query(params![names(&incident), sample, at, after])?;
        let mut evidence = Vec::new();
        while evidence.len() < limit {
            let Some(row) = rows.next()? else { break };
            let (name, sealed): (String, Option<String>) = (row.get(0)?, row.get(2)?);
            if !may_see(&self.sql, &self.keys, sight, &name)? {
                continue;
            }
            let json = sealed.map(|sealed| stored::open_post(&self.keys, &name, &sealed)).transpose()?.flatten();
            let hash = match &json {
                Some(json) => Sha256::digest(json).into(),
                None => row.get::<_, Option<_>>(3)?.unwrap_or_default(),
            };
            let id: PostId = self.keys.named(&name)?.into();
            let post = json.as_deref().map(stored::post_from_json).transpose();
            let post = post.or(Err(StoreError::Unreadable { table: "post", id: id.to_string() }))?;
            evidence.push(EvidenceRow { id, at: Timestamp::from_micros(row.get(1)?), hash, post });
        }
        Ok(evidence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::playbook::{Doing, Playbook, Statement};
    use crate::store::{AuditVerdict, Store};

    fn playbook() -> Playbook {
        let statement = Statement::new("p.md", "first".into(), "First".into(), 1, "We know.".into());
        let roles = vec!["Legal".to_owned()];
        Playbook { roles, statements: vec![statement], ..Playbook::of("p.md", "# P\n1. Call") }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn does(store: &mut Store, doing: &Doing, by: &str, now: i64) -> Result<(), NotDone> {
        let change = playbook().change(doing, at(0), at(now)).unwrap();
        store.transact(|writing| writing.follow(&"i".into(), &change, by, at(now))).unwrap()
    }

    fn entries(reader: &Reader) -> Vec<(String, String)> {
        let kept = reader.audit(None, 100).unwrap().into_iter().rev();
        kept.map(|one| (one.entry.by, one.entry.what)).collect()
    }

    #[test]
    fn what_is_said_twice_is_on_record_once_and_what_is_taken_back_stays_in_the_history() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut store = Store::open(&path).unwrap();
        let key = playbook().steps().next().unwrap().key.clone();
        let step = |done| Doing::Step { key: key.clone(), done };
        for (doing, by) in [(step(false), "ann"), (step(true), "ann"), (step(true), "bob")] {
            does(&mut store, &doing, by, 5).unwrap();
        }
        let reader = Reader::open(&path).unwrap();
        assert_eq!(reader.followed(&"i".into()).unwrap().step(&key).unwrap().by, "ann", "who was first");
        assert_eq!(reader.followed(&"other".into()).unwrap(), Followed::default());
        does(&mut store, &step(false), "bob", 6).unwrap();
        assert_eq!(reader.followed(&"i".into()).unwrap(), Followed::default());
        let role = |person: &str| Doing::Role { role: "Legal".into(), person: person.into() };
        for person in ["roe", "roe", "doe"] {
            does(&mut store, &role(person), "ann", 7).unwrap();
        }
        assert_eq!(reader.followed(&"i".into()).unwrap().role("Legal").unwrap().value, "doe");
        let word = |by: &str, what: &str| (by.to_owned(), format!("incident.{what}"));
        let expected = [word("ann", "ticked"), word("bob", "unticked"), word("ann", "role"), word("ann", "role")];
        assert_eq!(entries(&reader), expected);
        assert!(matches!(reader.verify_audit(None).unwrap(), AuditVerdict::Sound { entries: 4, .. }));
    }

    #[test]
    fn words_count_once_they_are_approved_and_the_first_statement_is_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut store = Store::open(&path).unwrap();
        let out = |id: Option<&str>, then| Doing::Statement { id: id.map(Into::into), at: at(then) };
        assert_eq!(does(&mut store, &out(Some("first"), 4), "ann", 5), Err(NotDone::NotApproved));
        let approval = Approval { statement: playbook().statements[0].hash, by: "dora".to_owned(), at: at(1) };
        let approve = |store: &mut Store, may| {
            store.transact(|writing| writing.approve(&approval, may, "p.md first, version 1")).unwrap();
        };
        approve(&mut store, true);
        approve(&mut store, true);
        assert_eq!(does(&mut store, &out(Some("first"), 4), "ann", 5), Ok(()));
        assert_eq!(does(&mut store, &out(None, 5), "bob", 6), Err(NotDone::Already));
        let reader = Reader::open(&path).unwrap();
        let said = reader.followed(&"i".into()).unwrap().statement().cloned().unwrap();
        assert_eq!((said.value.as_str(), said.by.as_str(), said.at), ("first, version 1", "ann", at(4)));
        approve(&mut store, false);
        assert_eq!(reader.approvals().unwrap(), []);
        assert!(reader.followed(&"i".into()).unwrap().statement().is_some(), "what was said was said");
        assert_eq!(does(&mut store, &Doing::Withdrawn, "ann", 7), Ok(()));
        assert_eq!(does(&mut store, &out(Some("first"), 4), "ann", 8), Err(NotDone::NotApproved));
        let what: Vec<String> = entries(&reader).into_iter().map(|(_, what)| what).collect();
        assert_eq!(what, ["statement.approved", "incident.statement", "statement.withdrawn", "incident.statement"]);
    }

    #[test]
    fn what_one_shift_wrote_for_the_next_is_forgotten_with_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let mut store = Store::open(&path).unwrap();
        let note = |seconds, text: &str| NoteRow { at: at(seconds), by: "ann".to_owned(), text: text.to_owned() };
        for note in [note(1, "overheard"), note(2, "overheard"), note(100, "new")] {
            store.transact(|writing| writing.note_handover(&note)).unwrap();
        }
        let key = playbook().steps().next().unwrap().key.clone();
        does(&mut store, &Doing::Step { key, done: true }, "ann", 5).unwrap();
        let reader = Reader::open(&path).unwrap();
        assert_eq!(reader.handover_notes(at(0), at(99)).unwrap(), [note(1, "overheard")], "sent again, kept once");
        store.forget(at(50)).unwrap();
        assert_eq!(reader.handover_notes(at(0), at(200)).unwrap(), [note(100, "new")]);
        assert_eq!(reader.followed(&"i".into()).unwrap(), Followed::default());
        assert!(entries(&reader).iter().any(|(_, what)| what == "shift.noted"), "that there was one stays");
        assert!(reader.audit(None, 9).unwrap().iter().all(|one| one.entry.text != "overheard"));
        assert!(matches!(reader.verify_audit(None).unwrap(), AuditVerdict::Sound { entries: 3, .. }));
    }
}
