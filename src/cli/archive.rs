//! The daemon's database as a recording: the posts it keeps, one a line.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::store::{Kept, Reader};

/// How every SQLite file begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// Posts read at once.
const PAGE: usize = 500;

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
