//! Recordings: files of lines, packed or not, read in bounded pieces.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flate2::bufread::MultiGzDecoder;
use tokio_tungstenite::tungstenite::Bytes;

use super::archive::Archive;
use super::lines::{Line, Lines};
use crate::domain::event::{Reach, Rejected};
use crate::domain::id::SourceName;
use crate::source::{Format, Frame, Incoming};

/// Bytes that are read at once: few enough to be found in the processor's cache and in memory
/// that was just freed. A pipe has no more at a time.
const BLOCK: usize = 1 << 16;
/// Lines handed on together, and about how many bytes: batches wait in queues.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 4 << 20;
/// Lines looked at to tell a recording's format, and about how many bytes.
const GUESSES: usize = 1000;
const GUESSES_BYTES: usize = 64 << 20;
/// Some programs begin UTF-8 files with this mark.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One recording, as batches of frames.
pub(super) struct Recording {
    path: PathBuf,
    lines: Lines,
    source: SourceName,
    /// How to read its frames.
    pub(super) format: Format,
    /// Lines read to tell the format.
    ahead: std::vec::IntoIter<Frame>,
    /// Nothing was read yet.
    at_start: bool,
    /// Why the last batch ended where it did.
    broken: Option<anyhow::Error>,
}

impl Recording {
    /// Opens a file (`-` is standard input, a daemon's database the posts it keeps), unpacks
    /// `.gz` and `.zst`, and tells its format unless it is given. `read` is told of bytes taken
    /// from the file.
    pub(super) fn open(
        path: &Path,
        format: Option<Format>,
        read: impl Fn(usize) + Send + 'static,
    ) -> anyhow::Result<Self> {
        let lines = if Archive::is_one(path) {
            let raw = Archive::open(path).with_context(|| path.display().to_string())?;
            Lines::new(Box::new(Counted { raw, read }), BLOCK)
        } else {
            lines(path, read)?
        };
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or("recording");
        let source = SourceName::from(if name == "-" { "stdin" } else { name });
        let (path, ahead) = (path.to_owned(), Vec::new().into_iter());
        let is_told = format.is_some();
        let format = format.unwrap_or(Format::Posts);
        let mut recording = Self { path, lines, source, format, ahead, at_start: true, broken: None };
        if !is_told {
            recording.guess()?;
        }
        Ok(recording)
    }

    /// The next frames; none at the end.
    pub(super) fn next(&mut self) -> anyhow::Result<Option<Incoming>> {
        let mut frames: Vec<Frame> = Vec::with_capacity(BATCH);
        let mut bytes = 0;
        while frames.len() < BATCH && bytes < BATCH_BYTES && self.broken.is_none() {
            match self.ahead.next().map_or_else(|| self.line(), |frame| Ok(Some(frame))) {
                Ok(Some(line)) => {
                    let before = frames.len();
                    self.format.split(line, &mut frames);
                    bytes += frames.iter().skip(before).map(size).sum::<usize>();
                }
                Ok(None) => break,
                Err(error) => self.broken = Some(error),
            }
        }
        match self.broken.take_if(|_| frames.is_empty()) {
            Some(error) => Err(error),
            None => Ok((!frames.is_empty()).then(|| Incoming::Frames {
                source: self.source.clone(),
                frames,
                reach: Reach::default(),
            })),
        }
    }

    fn guess(&mut self) -> anyhow::Result<()> {
        let mut ahead = Vec::new();
        let mut bytes = 0;
        while ahead.len() < GUESSES && bytes < GUESSES_BYTES {
            let Some(frame) = self.line()? else { break };
            bytes += size(&frame);
            let guess = frame.body.as_ref().ok().and_then(|line| Format::guess(line));
            ahead.push(frame);
            if let Some(format) = guess {
                self.format = format;
                self.ahead = ahead.into_iter();
                return Ok(());
            }
        }
        anyhow::ensure!(
            ahead.is_empty(),
            "{}: no line looks like a post ({}) or a frame of a stream; name the format with --format ({})",
            self.path.display(),
            "an object with `id`, `created_at`, `author` and `text`",
            Format::ALL.each_ref().map(Format::as_str).join(", ")
        );
        Ok(())
    }

    /// One line that is not empty.
    fn line(&mut self) -> anyhow::Result<Option<Frame>> {
        while let Some(line) = self.lines.next().with_context(|| self.path.display().to_string())? {
            let Line::Whole(mut line) = line else {
                return Ok(Some(Frame { received_at: None, body: Err(Rejected::TooLarge) }));
            };
            if std::mem::take(&mut self.at_start) && line.starts_with(BYTE_ORDER_MARK) {
                line = line.slice(BYTE_ORDER_MARK.len()..);
            }
            line.truncate(line.trim_ascii_end().len());
            if !line.is_empty() {
                return Ok(Some(Frame { received_at: None, body: Ok(line) }));
            }
        }
        Ok(None)
    }
}

/// A file's lines, unpacked as its name says (`-` is standard input). `read` is told of
/// bytes taken from the file.
pub(super) fn lines(path: &Path, read: impl Fn(usize) + Send + 'static) -> anyhow::Result<Lines> {
    let raw: Box<dyn Read + Send> = if path.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path).with_context(|| path.display().to_string())?)
    };
    let raw = Counted { raw, read };
    let packed = |raw| BufReader::with_capacity(1 << 17, raw);
    let unpacked: Box<dyn Read + Send> = match path.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => Box::new(MultiGzDecoder::new(packed(raw))),
        Some("zst") => Box::new(zstd::Decoder::with_buffer(packed(raw))?),
        _ => Box::new(raw),
    };
    Ok(Lines::new(unpacked, BLOCK))
}

fn size(frame: &Frame) -> usize {
    frame.body.as_ref().map_or(0, Bytes::len)
}

/// Tells how far a file was read.
struct Counted<R, F> {
    raw: R,
    read: F,
}

impl<R: Read, F: Fn(usize)> Read for Counted<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.raw.read(buffer)?;
        (self.read)(length);
        Ok(length)
    }
}
