//! Frames in memory, or in a file: one a line, as `replay` reads them.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::Path;

use super::frames::Corpus;

/// Frames a second of recordings.
const RATE: u64 = 550;

/// Frames behind each other in one buffer.
pub struct Recording {
    /// Lines.
    bytes: Vec<u8>,
    /// Where each line ends, its newline excluded.
    ends: Vec<usize>,
    /// What is in it, in words.
    account: String,
}

impl Recording {
    /// So many frames of a corpus.
    pub fn new(seed: u64, frames: usize) -> Self {
        let (mut corpus, mut frame) = (Corpus::new(seed), String::new());
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(frames));
        for index in 0..frames as u64 {
            corpus.frame(Corpus::NOON + index * 1_000_000 / RATE, &mut frame);
            bytes.extend_from_slice(frame.as_bytes());
            ends.push(bytes.len());
            bytes.push(b'\n');
        }
        let account =
            format!("{frames} frames, mean {} B; {}; seed {seed}", bytes.len() / frames.max(1), corpus.account());
        Self { bytes, ends, account }
    }

    pub fn account(&self) -> &str {
        &self.account
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn frames(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.frames_of(0..self.len())
    }

    /// The frames of those places.
    pub fn frames_of(&self, places: Range<usize>) -> impl Iterator<Item = &[u8]> + Clone {
        places.map(move |place| &self.bytes[self.start(place)..self.ends[place]])
    }

    /// The bytes of those places, newlines included.
    pub fn bytes_of(&self, places: Range<usize>) -> &[u8] {
        &self.bytes[self.start(places.start)..self.start(places.end)]
    }

    /// Writes all of it to a file.
    pub fn save(&self, path: &Path) {
        File::create(path).and_then(|mut file| file.write_all(&self.bytes)).unwrap();
    }

    fn start(&self, place: usize) -> usize {
        place.checked_sub(1).map_or(0, |before| self.ends[before] + 1)
    }
}
