//! Lines of a stream, handed out as slices of the blocks they were read in.
//!
//! A line is found, not copied: a block of a recording holds some thousand, and is freed
//! with the last of them. Only a line that a block cuts in two is copied to the next.

use std::io::{self, Read};

use tokio_tungstenite::tungstenite::Bytes;

/// Longer lines are given up.
pub(super) const LONGEST_LINE: usize = 16 << 20;

/// A stream of lines.
pub(super) struct Lines {
    raw: Box<dyn Read + Send>,
    /// How much is read at once.
    block: usize,
    /// What was read and not handed out.
    ahead: Bytes,
    /// So much of `ahead` is known to hold no end of a line.
    searched: usize,
    /// Nothing more comes; or why.
    end: Option<io::Result<()>>,
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Without its end.
    Whole(Bytes),
    /// It was over [`LONGEST_LINE`].
    TooLong,
}

impl Lines {
    /// Lines of `raw`, of which `block` bytes are waited for at a time.
    pub(super) fn new(raw: Box<dyn Read + Send>, block: usize) -> Self {
        Self { raw, block, ahead: Bytes::new(), searched: 0, end: None }
    }

    /// The next line; none at the end. A line that an error cuts off is lost, those before
    /// it are not.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let unsearched = self.ahead.get(self.searched..).unwrap_or_default();
            if let Some(end) = memchr::memchr(b'\n', unsearched) {
                let end = self.searched + end;
                return Ok(Some(if end < LONGEST_LINE { Line::Whole(self.take(end, 1)) } else { self.too_long(end) }));
            }
            self.searched = self.ahead.len();
            if self.searched >= LONGEST_LINE {
                return self.skip().map(|()| Some(Line::TooLong));
            }
            if self.end.is_some() {
                return self.last();
            }
            self.fill();
        }
    }

    /// What follows the last end of a line.
    fn last(&mut self) -> io::Result<Option<Line>> {
        if let Some(end @ Err(_)) = &mut self.end {
            self.ahead.clear();
            std::mem::replace(end, Ok(()))?;
        }
        Ok((!self.ahead.is_empty()).then(|| Line::Whole(self.take(self.ahead.len(), 0))))
    }

    fn too_long(&mut self, end: usize) -> Line {
        drop(self.take(end, 1));
        Line::TooLong
    }

    /// Goes past the end of a line that is too long to be kept.
    fn skip(&mut self) -> io::Result<()> {
        while self.end.is_none() {
            self.ahead.clear();
            self.fill();
            if let Some(end) = memchr::memchr(b'\n', &self.ahead) {
                drop(self.take(end, 1));
                return Ok(());
            }
        }
        self.ahead.clear();
        self.last().map(drop)
    }

    /// The next `length` bytes; leaves out `end` behind them.
    fn take(&mut self, length: usize, end: usize) -> Bytes {
        let mut line = self.ahead.split_to(length + end);
        line.truncate(length);
        self.searched = 0;
        line
    }

    /// Reads a block behind what is there. A long line is read in ever longer ones, so that
    /// each of its bytes is copied about once.
    fn fill(&mut self) {
        let wanted = self.block.max(self.ahead.len());
        let mut block = Vec::with_capacity(self.ahead.len() + wanted);
        block.extend_from_slice(&self.ahead);
        match (&mut self.raw).take(wanted as u64).read_to_end(&mut block) {
            Ok(read) if read == wanted => {}
            ended => self.end = Some(ended.map(drop)),
        }
        self.ahead = Bytes::from(block);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All lines, and whether the stream broke off.
    fn lines(raw: impl Read + Send + 'static, block: usize) -> (Vec<Line>, bool) {
        let mut lines = Lines::new(Box::new(raw), block);
        let mut found = Vec::new();
        loop {
            match lines.next() {
                Ok(Some(line)) => found.push(line),
                Ok(None) => return (found, false),
                Err(_) => return (found, true),
            }
        }
    }

    fn whole(text: &[u8]) -> Line {
        Line::Whole(Bytes::copy_from_slice(text))
    }

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    #[test]
    fn lines_before_a_break_are_not_lost() {
        for block in [1, 4, 1 << 16] {
            let (found, broke) = lines(b"one\ntwo\nthr".chain(Broken), block);
            assert_eq!((found, broke), (vec![whole(b"one"), whole(b"two")], true));
        }
    }

    #[test]
    fn a_line_without_end_is_skipped_up_to_the_next() {
        let long = |length: usize| io::repeat(b'x').take(length as u64);
        let text = |length| b"a\n".chain(long(length)).chain(&b"\nb"[..]);
        for block in [1 << 20, 15 << 20, 40 << 20] {
            let (found, _) = lines(text(LONGEST_LINE - 1), block);
            assert_eq!(found.iter().filter(|line| **line == Line::TooLong).count(), 0);
            for length in [LONGEST_LINE, LONGEST_LINE + 5, 3 * LONGEST_LINE] {
                let (found, broke) = lines(text(length), block);
                assert_eq!((found, broke), (vec![whole(b"a"), Line::TooLong, whole(b"b")], false), "{length}");
            }
            let (found, broke) = lines(long(LONGEST_LINE + 1).chain(Broken), block);
            assert!(broke && found.iter().all(|line| *line == Line::TooLong));
        }
    }

    proptest! {
        #[test]
        fn any_blocks_give_the_same_lines(text in "[ab\n]{0,60}", block in 1usize..20) {
            let mut expected: Vec<_> = text.split('\n').map(|line| whole(line.as_bytes())).collect();
            expected.pop_if(|last| *last == whole(b""));
            let (found, broke) = lines(io::Cursor::new(text.into_bytes()), block);
            prop_assert_eq!((found, broke), (expected, false));
        }
    }
}
