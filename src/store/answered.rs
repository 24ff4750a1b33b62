//! What receivers said that they have, noted until the database knows it.
//!
//! Between a receiver's answer and the commit that records it lies a commit or two, with all the patience of a disk: a
//! process that dies there sends the message again. A line in a file is with the system at once, survives `kill -9`, and
//! is read at the next start. It is a note and no second truth: the database takes it over, and a power cut that takes
//! the note with it costs a repetition, as it always may.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, params};

use super::error::StoreError;
use super::files;
use super::write::passing;
use crate::domain::id::DeliveryId;
use crate::domain::time::Timestamp;

/// Beside the database.
const SUFFIX: &str = ".answered";
/// Bytes at which the file begins anew, once nothing in it is news.
const LONG: u64 = 64 * 1024;
/// More than any run leaves; what is beyond is no file of ours.
const LONGEST: u64 = 16 * 1024 * 1024;

/// The notes.
#[derive(Clone, Debug)]
pub struct Answered(Arc<Mutex<Notes>>);

#[derive(Debug)]
struct Notes {
    file: File,
    length: u64,
    /// Notes that the database does not have yet.
    under_way: usize,
}

impl Answered {
    /// Reads what the last run left into the database, and begins anew.
    pub(super) fn take_over(database: &Path, sql: &Connection) -> Result<Self, StoreError> {
        let path = files::beside(database, SUFFIX);
        let failed = |error| StoreError::file(&path, error);
        let mut file = files::private(&path).map_err(failed)?;
        let mut text = Vec::new();
        (&file).take(LONGEST).read_to_end(&mut text).map_err(failed)?;
        let written = String::from_utf8_lossy(&text).lines().filter_map(read).try_for_each(|(id, at)| {
            let update = "UPDATE outbox SET state = 'delivered', leased_until = NULL, finished_at = ?2, error = NULL
                          WHERE id = ?1 AND state IN ('pending', 'leased')";
            sql.prepare_cached(update)?.execute(params![id, at]).map(drop)
        });
        let mut length = text.len() as u64;
        match written {
            Ok(()) if file.set_len(0).is_ok() => length = 0,
            Ok(()) => {}
            // On a full disk they wait here for the next start.
            Err(error) => passing(error.into())?,
        }
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(Self(Arc::new(Mutex::new(Notes { file, length, under_way: 0 }))))
    }

    /// Notes that a receiver has a message, before it is recorded; what cannot be noted is recorded all the same. At once
    /// and here, as every turn through a queue is time to die in; should the disk not answer, other tasks go on elsewhere.
    ///
    /// For a runtime of several threads.
    pub fn note(&self, id: &DeliveryId, now: Timestamp) {
        let line = format!("{id} {}\n", now.micros());
        tokio::task::block_in_place(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).write(&line));
    }

    /// One of them is recorded.
    pub fn recorded(&self) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.under_way = notes.under_way.saturating_sub(1);
    }
}

impl Notes {
    fn write(&mut self, line: &str) {
        if self.under_way == 0 && self.length > LONG && self.file.set_len(0).and_then(|()| self.file.rewind()).is_ok() {
            self.length = 0;
        }
        self.under_way += 1;
        if self.file.write_all(line.as_bytes()).is_ok() {
            self.length += line.len() as u64;
        }
    }
}

/// A line; the last one may be cut off.
fn read(line: &str) -> Option<(&str, i64)> {
    let (id, at) = line.split_once(' ')?;
    Some((id, at.parse().ok()?))
}
