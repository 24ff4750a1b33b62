//! A copy of the database while it is in use, and the way back.
//!
//! SQLite copies what is there at one instant, without holding up the writer, and leaves out what was erased (`VACUUM
//! INTO`: <https://sqlite.org/lang_vacuum.html#vacuuminto>). A copy counts only once it was read through.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::files::{self, beside, folder_of, put_aside_as, sync_folder};
use super::keys::{Keys, SUFFIX};
use super::write::Store;
use super::{AuditVerdict, Reader, migrate};
use crate::domain::audit::Entry;
use crate::domain::time::Timestamp;

/// What is in a database that was read through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Its schema.
    pub schema: i64,
    /// Its size.
    pub bytes: u64,
    /// Kept posts.
    pub posts: u64,
    /// Incidents, open and ended.
    pub incidents: u64,
    /// Messages that wait to be sent.
    pub waiting: u64,
    /// When the last thing happened that is on record.
    pub last: Option<Timestamp>,
}

impl Contents {
    /// Reads a database of ours through.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when anything in it is not as it was written, and those of [`Reader::open`].
    pub fn of(path: &Path) -> Result<Self, StoreError> {
        let damaged = |what: String| StoreError::Damaged { path: path.to_owned(), what };
        let reader = Reader::open(path).map_err(|error| match error {
            StoreError::Corrupt(what) => damaged(what.to_string()),
            error => error,
        })?;
        let sound: String = reader.sql.query_row("PRAGMA integrity_check(1)", (), |row| row.get(0))?;
        if sound != "ok" {
            return Err(damaged(sound));
        }
        let schema = migrate::check(&reader.sql, path)?;
        let count = |of: &str| -> Result<u64, StoreError> {
            let count = reader.sql.query_row(&format!("SELECT count(*) FROM {of}"), (), |row| row.get::<_, i64>(0))?;
            Ok(count.unsigned_abs())
        };
        // The tables of older schemas are fewer.
        let has_audit = count("sqlite_schema WHERE type = 'table' AND name = 'audit'")? > 0;
        if has_audit
            && let AuditVerdict::Broken { number, why, .. } = reader.follow_audit(None, reader.keys.are_there())?
        {
            return Err(damaged(format!("entry {number} of the audit log: {why}")));
        }
        let last: Option<i64> = reader.sql.query_row("SELECT max(at) FROM timeline", (), |row| row.get(0))?;
        Ok(Self {
            schema,
            bytes: fs::metadata(path).map_err(|error| StoreError::file(path, error))?.len(),
            posts: count("post")?,
            incidents: count("incident")?,
            waiting: count("outbox WHERE state IN ('pending', 'leased')")?,
            last: last.map(Timestamp::from_micros),
        })
    }
}

impl Reader {
    /// Copies all that is committed into a new file, which only its owner may read, and reads the copy through. The
    /// daemon may be running. The keys as they are now go beside the copy, in the place of those of the last one: they open
    /// the older copies, too, but for days of which nothing may be kept any more. Where they are; none beside a copy
    /// that needs none, or that lies where the database's own keys do.
    ///
    /// # Errors
    /// When the file is there already, and what the disk says; then nothing is left of the copy.
    pub fn back_up(&self, to: &Path) -> Result<(Contents, Option<PathBuf>), StoreError> {
        if to.symlink_metadata().is_ok() {
            return Err(StoreError::file(to, io::ErrorKind::AlreadyExists.into()));
        }
        let part = beside(to, ".part");
        let keys = self.copy(&part).and_then(|()| self.keys.copy_to(folder_of(to)));
        let named = keys.and_then(|keys| {
            let contents = Contents::of(&part)?;
            fs::rename(&part, to).and_then(|()| sync_folder(to)).map_err(|error| StoreError::file(to, error))?;
            Ok((contents, keys))
        });
        if named.is_err() {
            fs::remove_file(&part).unwrap_or_default();
        }
        named
    }

    fn copy(&self, to: &Path) -> Result<(), StoreError> {
        let failed = |error| StoreError::file(to, error);
        // Of a copy that was broken off. A new file, and never what a link of somebody else's leads to: an administrator
        // may back up to where others write.
        match fs::remove_file(to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to);
        let file = new.map_err(failed)?;
        let name = to.to_str().ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?;
        self.sql.execute("VACUUM INTO ?1", [name])?;
        file.sync_all().map_err(failed)
    }
}

impl Store {
    /// Puts a backup in the place of a database, or with `None` leaves the database, puts its keys beside it, brings it to
    /// the present schema, and notes that in its audit log. What was there is kept beside it; a database that loses what
    /// is sealed is copied for that.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while a daemon runs, those of [`Contents::of`] for the backup, [`StoreError::NoKeys`] and its
    /// like when the keys are not to be found, and what the disk says; until the last step the old database is where it
    /// was.
    pub fn put_back(backup: Option<&Path>, database: &Path, with: &With, noted: &Entry) -> Result<PutBack, StoreError> {
        let from = backup.unwrap_or(database);
        Contents::of(from)?;
        let lock = files::prepare(database)?;
        let before = fs::metadata(database).map_err(failed(database))?;
        let (keys, all_new) = with.keys(from, database)?;
        let mut put_back = PutBack::default();
        // The keys may be found one day, and then there must be something that they open.
        if backup.is_some() || all_new {
            let new = beside(database, ".restoring");
            Reader::open(from)?.copy(&new)?;
            put_back.aside = put_aside(database, before.len(), noted.at)?;
            fs::rename(&new, database).and_then(|()| sync_folder(database)).map_err(failed(database))?;
        }
        put_back.keys_aside = keys.take_place(noted.at)?;
        let mut store = Self::open_under(database, lock, Some(keys))?;
        put_back.unreadable = store.transact(|writing| {
            if all_new {
                writing.sql.execute("UPDATE keyring SET ring = ?1", [writing.keys.id()])?;
            }
            let unreadable = writing.drop_unreadable(all_new)?;
            writing.audit(noted)?;
            Ok(unreadable)
        })?;
        store.close()?;
        for made in ["", ".lock", ".answered", SUFFIX].map(|suffix| beside(database, suffix)) {
            like(&made, database, before.uid(), before.gid()).map_err(failed(&made))?;
        }
        Ok(put_back)
    }
}

/// What opens a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum With {
    /// The keys of the database that is there, if they are of the same ring: they are the newest. Or those beside the backup.
    Found,
    /// The keys of a file.
    Keys(PathBuf),
    /// Nothing: what is sealed is given up, and what comes from now on gets new keys.
    Nothing,
}

/// What became of what was there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutBack {
    /// Where the database is that was there.
    pub aside: Option<PathBuf>,
    /// Where the keys are that were there, if they are others.
    pub keys_aside: Option<PathBuf>,
    /// Posts whose text nobody can read any more, and which are without it now.
    pub unreadable: usize,
}

impl With {
    /// The keys, and whether they open nothing of what is there.
    fn keys(&self, from: &Path, database: &Path) -> Result<(Keys, bool), StoreError> {
        let reader = Reader::open(from)?;
        let keys = match (self, reader.keys.id()) {
            // From before there were keys: it is sealed when it is opened.
            (_, None) => Keys::begin(database)?,
            (Self::Nothing, Some(ring)) => {
                let found = Keys::beside(database, ring).is_ok() || reader.keys.are_there();
                return if found { Err(StoreError::KeysThere) } else { Ok((Keys::anew(database)?, true)) };
            }
            (Self::Keys(file), Some(ring)) => Keys::of_file(file, database, ring)?,
            (Self::Found, Some(ring)) => {
                let own = Keys::beside(database, ring);
                own.or_else(|_| Keys::of_file(&reader.keys.file()?, database, ring))?
            }
        };
        Ok((keys, false))
    }
}

/// Puts a database aside, with the newest part of it; where it is then.
fn put_aside(database: &Path, bytes: u64, at: Timestamp) -> Result<Option<PathBuf>, StoreError> {
    if bytes == 0 {
        return Ok(None);
    }
    let old = put_aside_as(database, "", at);
    fs::rename(database, &old).map_err(failed(database))?;
    let log = beside(database, "-wal");
    if log.symlink_metadata().is_ok() {
        fs::rename(&log, beside(&old, "-wal")).map_err(failed(&log))?;
    }
    fs::remove_file(beside(database, "-shm")).unwrap_or_default();
    Ok(Some(old))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |error| StoreError::file(path, error)
}

/// Gives a file to the user who has the database, or who is to have it: the administrator who restores is another one.
fn like(file: &Path, database: &Path, uid: u32, gid: u32) -> io::Result<()> {
    let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).map(fs::metadata).transpose()?;
    let owner = folder.map_or((uid, gid), |folder| (folder.uid(), folder.gid()));
    let now = fs::metadata(file)?;
    if (now.uid(), now.gid()) == owner { Ok(()) } else { chown(file, Some(owner.0), Some(owner.1)) }
}
