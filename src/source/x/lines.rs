//! Lines out of bytes that come in any pieces: JSON objects between `\r\n`, and empty lines that say “I am here”.

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Empty: the server is there, and has nothing more.
    Alive,
    /// Something.
    Said(Vec<u8>),
    /// Longer than it may be; skipped.
    TooLong,
}

/// Takes bytes, gives lines.
#[derive(Debug)]
pub struct Lines {
    most: usize,
    open: Vec<u8>,
    skips: bool,
}

impl Lines {
    /// Lines of at most so many bytes.
    pub const fn new(most: usize) -> Self {
        Self { most, open: Vec::new(), skips: false }
    }

    /// Takes what came; gives what ended with it.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            self.hold(piece);
            if pieces.peek().is_some() {
                lines.push(self.end());
            }
        }
        lines
    }

    fn hold(&mut self, piece: &[u8]) {
        if self.skips || self.open.len() + piece.len() > self.most {
            self.skips = true;
            self.open = Vec::new();
        } else {
            self.open.extend_from_slice(piece);
        }
    }

    fn end(&mut self) -> Line {
        let line = std::mem::take(&mut self.open);
        if std::mem::take(&mut self.skips) {
            return Line::TooLong;
        }
        match line.trim_ascii() {
            [] => Line::Alive,
            said => Line::Said(said.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_end_anywhere_and_empty_ones_say_that_the_server_is_there() {
        let mut lines = Lines::new(8);
        assert_eq!(lines.take(b"{\"a\""), []);
        assert_eq!(lines.take(b":1}\r"), []);
        assert_eq!(lines.take(b"\n\r\n"), [Line::Said(b"{\"a\":1}".to_vec()), Line::Alive]);
        assert_eq!(lines.take(b"0123456789"), []);
        assert_eq!(lines.take(b"0123456789\n{}\n"), [Line::TooLong, Line::Said(b"{}".to_vec())]);
        assert_eq!(lines.take(b""), []);
    }

    proptest! {
        #[test]
        fn where_bytes_are_cut_makes_no_difference(text in "[{}a\r\n]{0,60}", cut in 0_usize..60) {
            let whole = Lines::new(12).take(text.as_bytes());
            let (first, second) = text.as_bytes().split_at(cut.min(text.len()));
            let mut lines = Lines::new(12);
            let mut parts = lines.take(first);
            parts.extend(lines.take(second));
            prop_assert_eq!(parts, whole);
        }
    }
}
