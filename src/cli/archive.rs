//! The daemon's database as a recording: the posts it keeps, one a line.
//!
//! It holds what the rules took, and the sample, if any. So it shows what a rule in force, or
//! a narrower one, would have done, and too little of a wider one.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::say;
use crate::domain::time::Timestamp;
use crate::store::{Heard, Kept, Reader};

/// How every SQLite file begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Posts read at once.
const PAGE: usize = 500;

/// What is to be read of the past: recordings, or else the daemon's database. None when there
/// is neither; people have been told what to do.
pub(super) fn past(files: &[PathBuf], database: Option<PathBuf>) -> Option<Vec<PathBuf>> {
    match (files, database) {
        ([], Some(database)) if Archive::is_one(&database) => {
            say(
                "the daemon kept the posts that its rules took (and the sample, if any); a wider query may find more in a recording of all",
            );
            Some(vec![database])
        }
        ([], Some(database)) => {
            let database = database.display();
            say(&format!(
                "error: {database} is not there yet: no daemon has kept posts with this configuration; give a FILE"
            ));
            None
        }
        ([], None) => {
            say("error: no configuration says where the daemon keeps its posts; give --config or a FILE");
            None
        }
        (files, _) => Some(files.to_vec()),
    }
}

/// When the daemon of a database could see; none for other files.
pub(super) fn heard(path: &Path) -> anyhow::Result<Option<Heard>> {
    if !Archive::is_one(path) {
        return Ok(None);
    }
    Ok(Some(Reader::open(path)?.heard(Timestamp::default())?))
}

/// The kept posts of a database as lines of JSON.
pub(super) struct Archive {
    reader: Reader,
    last: Option<Kept>,
    bytes: VecDeque<u8>,
}

impl Archive {
    /// Whether a file is a database.
    pub(super) fn is_one(path: &Path) -> bool {
        let mut begin = [0; MAGIC.len()];
        path.is_file() && File::open(path).is_ok_and(|mut file| file.read_exact(&mut begin).is_ok()) && begin == *MAGIC
    }

    /// Bytes that are to be read of one.
    pub(super) fn size(path: &Path) -> Option<u64> {
        Reader::open(path).and_then(|reader| reader.kept_bytes()).ok()
    }

    /// Opens the database of a daemon, which may be running.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(Self { reader: Reader::open(path)?, last: None, bytes: VecDeque::new() })
    }
}

impl Read for Archive {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() {
            let page = self.reader.kept_posts(self.last.as_ref(), PAGE).map_err(io::Error::other)?;
            for kept in &page {
                self.bytes.extend(kept.json.bytes().chain([b'\n']));
            }
            self.last = page.into_iter().next_back().or(self.last.take());
        }
        self.bytes.read(buffer)
    }
}
