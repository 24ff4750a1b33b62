//! The first fields of a Jetstream frame, in the order and form the servers write them:
//! `{"did":"…","time_us":…,"kind":"commit","commit":{"rev":"…","operation":"…","collection":"…",`
//!
//! Six frames of ten carry no post, and these fields say so, so they are read from the
//! bytes without looking at the rest. `None` means that the frame looks different, and
//! nothing about what it says: [`super::decode`] knows.

use super::scan::end_of_plain;
use crate::domain::time::eight_digits;

/// Where the author's name begins.
pub(super) const DID: usize = br#"{"did":""#.len();

/// Who and when.
pub(super) struct Head<'f> {
    pub(super) did: &'f [u8],
    pub(super) time_us: i64,
    /// What follows, beginning with a comma.
    pub(super) rest: &'f [u8],
}

/// What was done to what. None of the strings is empty or holds escapes.
pub(super) struct CommitHead<'f> {
    pub(super) rev: &'f [u8],
    pub(super) operation: &'f [u8],
    pub(super) collection: &'f [u8],
    /// What follows, beginning with a comma.
    pub(super) rest: &'f [u8],
}

impl<'f> Head<'f> {
    /// The head of a frame.
    #[inline]
    pub(super) fn of(frame: &'f [u8]) -> Option<Self> {
        let (did, rest) = plain(frame.strip_prefix(br#"{"did":""#)?)?;
        let (time_us, rest) = number(rest.strip_prefix(br#","time_us":"#)?)?;
        Some(Self { did, time_us, rest })
    }

    /// What a commit is about.
    #[inline]
    pub(super) fn commit(&self) -> Option<CommitHead<'f>> {
        // Two pieces: a comparison of more than 32 bytes becomes a call.
        let rest = self.rest.strip_prefix(br#","kind":"commit""#)?;
        let (rev, rest) = plain(rest.strip_prefix(br#","commit":{"rev":""#)?)?;
        let (operation, rest) = plain(rest.strip_prefix(br#","operation":""#)?)?;
        let (collection, rest) = plain(rest.strip_prefix(br#","collection":""#)?)?;
        Some(CommitHead { rev, operation, collection, rest })
    }
}

/// A string behind its first quote, and what follows the second.
#[inline]
pub(super) fn plain(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = end_of_plain(text)?;
    let (text, rest) = text.split_at_checked(end)?;
    (!text.is_empty()).then_some((text, rest.get(1..)?))
}

/// A whole number of few enough digits to be sure of, and the comma that follows.
#[inline]
pub(super) fn number(text: &[u8]) -> Option<(i64, &[u8])> {
    // Of this century's microseconds there are sixteen digits.
    if let Some((digits, rest @ [b',', ..])) = text.split_first_chunk::<16>()
        && let ([high, low], _) = digits.as_chunks::<8>()
        && digits.first() > Some(&b'0')
    {
        return Some((i64::from(eight_digits(*high)?) * 100_000_000 + i64::from(eight_digits(*low)?), rest));
    }
    let mut number = 0;
    for (index, &byte) in text.iter().take(18).enumerate() {
        match byte {
            b'0'..=b'9' if number > 0 || byte != b'0' => number = number * 10 + i64::from(byte - b'0'),
            b',' if number > 0 => return Some((number, text.get(index..)?)),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &str = r#"{"did":"did:plc:nurse","time_us":1795361895314207,"kind":"commit","commit":{"rev":"3rev","operation":"create","collection":"app.bsky.feed.like","rkey":"3key"}}"#;

    fn read(frame: &str) -> Option<[String; 6]> {
        let head = Head::of(frame.as_bytes())?;
        let commit = head.commit()?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let time = head.time_us.to_string();
        Some([
            text(head.did),
            time,
            text(commit.rev),
            text(commit.operation),
            text(commit.collection),
            text(commit.rest),
        ])
    }

    #[test]
    fn the_usual_head_is_read() {
        let expected =
            ["did:plc:nurse", "1795361895314207", "3rev", "create", "app.bsky.feed.like", r#","rkey":"3key"}}"#];
        assert_eq!(read(FRAME), Some(expected.map(ToOwned::to_owned)));
    }

    #[test]
    fn any_other_is_left_to_the_decoder() {
        for (from, to) in [
            (r#"{"did""#, r#"{ "did""#),
            ("did:plc:nurse", ""),
            ("did:plc:nurse", r"did:\u0070lc"),
            ("did:plc:nurse", "did:\n"),
            ("1795361895314207", "-1795361895314207"),
            ("1795361895314207", "01795361895314207"),
            ("1795361895314207", "1795361895314207.0"),
            ("1795361895314207", "1795361895314207000"),
            ("1795361895314207", "0"),
            ("1795361895314207", ""),
            ("1795361895314207", "1795361895314207 "),
            ("commit", "identity"),
            (r#""rev":"3rev","#, ""),
            (r#""3rev""#, "null"),
            (r#""create""#, r#""""#),
            (r#""app.bsky.feed.like""#, "7"),
        ] {
            assert_eq!(read(&FRAME.replacen(from, to, 1)), None, "{to} for {from}");
        }
        for end in 0..FRAME.find(r#","rkey""#).unwrap() {
            let (cut, _) = FRAME.split_at(end);
            assert_eq!(read(cut), None, "{cut}");
        }
    }
}
