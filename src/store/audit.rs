//! The audit log on disk.

use rusqlite::{Connection, OptionalExtension, params};

use super::error::StoreError;
use super::read::Reader;
use super::sealing::{open_entry, seal_entry};
use super::stored::is_restricted;
use super::write::Writing;
use crate::domain::audit::{Entry, Link, words};
use crate::domain::time::Timestamp;

/// Whether the log is as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every entry follows from those before it.
    Sound {
        /// So many entries.
        entries: u64,
        /// The last one's link.
        head: Link,
    },
    /// From there on it is not what was written.
    Broken {
        /// The first entry that does not fit.
        number: i64,
        /// When it says it was.
        at: Timestamp,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// An entry as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Counted from 1.
    pub number: i64,
    /// Its words are empty once they were erased.
    pub entry: Entry,
    /// It is about an incident that not everybody may read of.
    pub restricted: bool,
}

impl Writing<'_> {
    /// Appends an entry.
    pub(super) fn audit(&self, entry: &Entry) -> Result<(), StoreError> {
        let mut last = self.sql.prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?;
        // A damaged row must not stop the paging: the chain breaks there, and goes on.
        let last = last.query_row((), |row| Ok((row.get(0)?, row.get(1).map_or(Link::FIRST, Link)))).optional()?;
        let (before, link) = last.unwrap_or((0_i64, Link::FIRST));
        let salt: [u8; 16] = self.sql.query_row("SELECT randomblob(16)", (), |row| row.get(0))?;
        let (number, said) = (before + 1, words(&entry.text, &salt));
        let mut insert = self.sql.prepare_cached(
            "INSERT INTO audit (seq, at, by, what, about, text, words, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        let Entry { at, by, what, about, text } = entry;
        let link = link.then(number, entry, &said);
        let lane = self.lane_of(&about.as_str().into())?;
        let sealed = seal_entry(self.keys, lane, *at, number, (&salt, text))?;
        insert.execute(params![number, at.micros(), by, what, about, sealed, said, link.0])?;
        Ok(())
    }
}

impl Reader {
    /// The newest entries, newest first; `before` that number, if one is named.
    pub fn audit(&self, before: Option<i64>, most: usize) -> Result<Vec<Kept>, StoreError> {
        let mut select = self.sql.prepare(
            "SELECT seq, at, by, what, about, text, (SELECT detail FROM incident WHERE id = about)
             FROM audit WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2",
        )?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut rows = select.query(params![before.unwrap_or(i64::MAX), most])?;
        let mut kept = Vec::new();
        while let Some(row) = rows.next()? {
            let (number, at) = (row.get(0)?, Timestamp::from_micros(row.get(1)?));
            let sealed: Option<String> = row.get(5)?;
            let opened = sealed.map(|sealed| StoreError::or_absent(open_entry(&self.keys, number, &sealed)));
            let text = opened.transpose()?.flatten().flatten().map(|(_, text)| text).unwrap_or_default();
            let entry = Entry { at, by: row.get(2)?, what: row.get(3)?, about: row.get(4)?, text };
            let incident: Option<String> = row.get(6)?;
            kept.push(Kept { number, entry, restricted: incident.is_some_and(|detail| is_restricted(&detail)) });
        }
        Ok(kept)
    }

    /// The last entry's number and link; none when nothing was ever done.
    pub fn audit_head(&self) -> Result<Option<(i64, Link)>, StoreError> {
        head(&self.sql)
    }

    /// Follows the chain from its beginning; with `known`, a link that must be in it.
    pub fn verify_audit(&self, known: Option<Link>) -> Result<Verdict, StoreError> {
        self.follow_audit(known, true)
    }

    /// The same; without keys, words are not looked at, of which the chain has the hashes.
    pub(super) fn follow_audit(&self, known: Option<Link>, words_too: bool) -> Result<Verdict, StoreError> {
        let mut select =
            self.sql.prepare("SELECT seq, at, by, what, about, text, words, hash FROM audit ORDER BY seq")?;
        let mut rows = select.query(())?;
        let (mut link, mut entries) = (Link::FIRST, 0);
        let mut met = known.is_none_or(|known| known == link);
        while let Some(row) = rows.next()? {
            let (number, at) = (row.get(0)?, Timestamp::from_micros(row.get(1)?));
            let broken = |why| Ok(Verdict::Broken { number, at, why });
            let (text, said): (Option<String>, [u8; 32]) = (row.get(5)?, row.get(6)?);
            let entry = Entry { at, by: row.get(2)?, what: row.get(3)?, about: row.get(4)?, text: String::new() };
            entries += 1;
            if number != entries {
                return broken("entries before it are missing");
            }
            let is_said =
                match text.filter(|_| words_too).map(|sealed| open_entry(&self.keys, number, &sealed)).transpose() {
                    Ok(Some(Some((salt, text)))) => words(&text, &salt) == said,
                    // They were erased, or their key was destroyed.
                    Ok(Some(None) | None) => true,
                    Err(StoreError::Unreadable { .. }) => false,
                    Err(error) => return Err(error),
                };
            if !is_said {
                return broken("its words are not those that were written");
            }
            link = link.then(number, &entry, &said);
            if link.0 != row.get::<_, [u8; 32]>(7)? {
                return broken("it is not what was written, or one before it is not");
            }
            met |= known == Some(link);
        }
        if !met {
            let why = "the entry that the journal names is not in it: the log was cut off or written anew, or an older backup was \
                       restored since, which the log says (store.restored)";
            return Ok(Verdict::Broken { number: entries + 1, at: Timestamp::default(), why });
        }
        Ok(Verdict::Sound { entries: entries.unsigned_abs(), head: link })
    }
}

pub(super) fn head(sql: &Connection) -> Result<Option<(i64, Link)>, StoreError> {
    let mut last = sql.prepare("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?;
    Ok(last.query_row((), |row| Ok((row.get(0)?, Link(row.get(1)?)))).optional()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn log(folder: &tempfile::TempDir) -> (std::path::PathBuf, Vec<Entry>) {
        let path = folder.path().join("a.db");
        let entry = |n: i64| Entry {
            at: Timestamp::from_seconds(n),
            by: "ann".to_owned(),
            what: "incident.note".to_owned(),
            about: format!("inc-{n}"),
            text: format!("words {n}"),
        };
        let entries: Vec<Entry> = (1..=5).map(entry).collect();
        let mut store = Store::open(&path).unwrap();
        store.transact(|writing| entries.iter().try_for_each(|entry| writing.audit(entry))).unwrap();
        (path, entries)
    }

    #[test]
    fn entries_are_read_newest_first_and_in_portions() {
        let folder = tempfile::tempdir().unwrap();
        let (path, entries) = log(&folder);
        let reader = Reader::open(&path).unwrap();
        let newest = reader.audit(None, 2).unwrap();
        assert_eq!(newest.iter().map(|one| one.number).collect::<Vec<_>>(), [5, 4]);
        assert_eq!(newest.first().map(|one| &one.entry), entries.last());
        assert_eq!(reader.audit(Some(4), 9).unwrap().len(), 3);
    }

    #[test]
    fn whoever_changes_the_log_is_found_at_the_first_row_that_is_not_as_it_was() {
        let wrong = [
            ("UPDATE audit SET by = 'bob' WHERE seq = 3", 3),
            ("UPDATE audit SET text = 'other' WHERE seq = 2", 2),
            ("UPDATE audit SET at = at + 1 WHERE seq = 5", 5),
            ("DELETE FROM audit WHERE seq = 4", 5),
            ("DELETE FROM audit WHERE seq = 1", 2),
            ("UPDATE audit SET words = zeroblob(32), text = NULL WHERE seq = 3", 3),
        ];
        for (tamper, first) in wrong {
            let folder = tempfile::tempdir().unwrap();
            let (path, _) = log(&folder);
            Connection::open(&path).unwrap().execute_batch(tamper).unwrap();
            let verdict = Reader::open(&path).unwrap().verify_audit(None).unwrap();
            assert!(matches!(verdict, Verdict::Broken { number, .. } if number == first), "{tamper}: {verdict:?}");
        }
    }

    #[test]
    fn words_may_be_erased_and_the_end_is_known_by_its_head() {
        let folder = tempfile::tempdir().unwrap();
        let (path, _) = log(&folder);
        let reader = Reader::open(&path).unwrap();
        let (number, head) = reader.audit_head().unwrap().unwrap();
        assert_eq!(number, 5);
        let sound = Verdict::Sound { entries: 5, head };
        assert_eq!(reader.verify_audit(Some(head)).unwrap(), sound);
        let tamper = Connection::open(&path).unwrap();
        tamper.execute_batch("UPDATE audit SET text = NULL WHERE seq = 2").unwrap();
        assert_eq!(reader.verify_audit(Some(head)).unwrap(), sound);
        tamper.execute_batch("DELETE FROM audit WHERE seq = 5").unwrap();
        assert!(matches!(reader.verify_audit(None).unwrap(), Verdict::Sound { entries: 4, .. }));
        assert!(matches!(reader.verify_audit(Some(head)).unwrap(), Verdict::Broken { number: 5, .. }));
    }
}
