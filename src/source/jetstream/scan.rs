//! JSON read where it lies: no tree, no allocation, every byte looked at once.
//!
//! `serde_json` is what decides what a frame means (see [the decoder](super)). But of a
//! thousand frames it reads whole, hardly ten are ever used, so this scanner first finds
//! the few strings that rules read. It accepts a part of JSON only, the part that servers
//! write: no blanks between tokens, keys without escapes, at most 64 levels. `None` from
//! any function here means *not sure*, never *broken*: whoever asked reads the frame with
//! serde then. What it does accept, it has checked to the grammar's last byte, because a
//! frame must not become good by being read fast.
//!
//! Strings are most of a frame. Where they end is looked up in a map of 64 bytes at a time,
//! one bit for each quote, backslash and control character, which is drawn with the vectors
//! that every processor of the platform has. Many short strings share one map.
//!
//! Rejected: serde with borrowed structs (it was the first version: four times slower,
//! mostly in slices that are scanned first and parsed again); searching for `"text":"`
//! and counting braces (a nested `text` is cheap to forge, and nothing would be checked);
//! `memchr` for the ends of strings (most are shorter than the call is worth); `simd-json`
//! and `sonic-rs` (a tree or tape for each frame, and `unsafe` over bytes of strangers).

use wide::u8x16;

use crate::source::sanity::MAX_ITEMS;

/// A place in JSON text that is known to be UTF-8.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan<'f> {
    text: &'f str,
    /// What is read next.
    at: usize,
    marks: Marks,
}

/// A map of the quotes, backslashes and control characters in the 64 bytes from a place on.
#[derive(Clone, Copy, Debug)]
struct Marks {
    from: usize,
    bits: u64,
}

/// A string as it stands between its quotes; escapes, if any, are sound but for surrogates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quoted<'f> {
    raw: &'f str,
    escaped: bool,
}

impl<'f> Scan<'f> {
    /// Starts at that place of `text`.
    #[inline]
    pub(super) fn new(text: &'f str, at: usize) -> Self {
        Self { text, at, marks: Marks::of(text.as_bytes(), at) }
    }

    /// Whether everything was read.
    pub(super) const fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// Goes past `literal`. Inlined, so that comparing is a load or two and not a call.
    #[inline]
    pub(super) fn eat(&mut self, literal: &str) -> Option<()> {
        self.text.as_bytes().get(self.at..)?.starts_with(literal.as_bytes()).then_some(())?;
        self.at += literal.len();
        Some(())
    }

    /// Goes past one character of ASCII.
    #[inline]
    pub(super) fn token(&mut self, token: u8) -> Option<()> {
        if self.next()? != token {
            return None;
        }
        self.at += 1;
        Some(())
    }

    #[inline]
    fn next(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Reads a string.
    #[inline]
    pub(super) fn string(&mut self) -> Option<Quoted<'f>> {
        let Inside { start, end, escaped } = self.inside()?;
        Some(Quoted { raw: self.text.get(start..end)?, escaped })
    }

    /// Reads a string without escapes.
    #[inline]
    pub(super) fn plain(&mut self) -> Option<&'f str> {
        let Inside { start, end, escaped } = self.inside()?;
        if escaped {
            return None;
        }
        self.text.get(start..end)
    }

    /// Goes past a string.
    pub(super) fn past_string(&mut self) -> Option<()> {
        self.inside().map(drop)
    }

    #[inline]
    fn inside(&mut self) -> Option<Inside> {
        self.token(b'"')?;
        let start = self.at;
        let end = self.mark(start)?;
        self.at = end + 1;
        match self.text.as_bytes().get(end)? {
            b'"' => Some(Inside { start, end, escaped: false }),
            _ => self.escaped(start, end),
        }
    }

    /// Goes past a string whose first mark is no quote.
    #[cold]
    fn escaped(&mut self, start: usize, mut end: usize) -> Option<Inside> {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(end)? {
                b'"' => break,
                b'\\' => end += 1 + length_of_escape(bytes.get(end + 1..)?)?,
                _ => return None, // a control character
            }
            end = self.mark(end)?;
        }
        self.at = end + 1;
        Some(Inside { start, end, escaped: true })
    }

    /// The first mark from a place on.
    #[inline]
    fn mark(&mut self, from: usize) -> Option<usize> {
        if let Some(mark) = self.marks.next(from) {
            return Some(mark);
        }
        self.far_mark(from)
    }

    #[inline(never)]
    fn far_mark(&mut self, mut from: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        while from < bytes.len() {
            self.marks = Marks::of(bytes, from.max(self.marks.from + MAPPED));
            from = self.marks.from;
            if let Some(mark) = self.marks.next(from) {
                return Some(mark);
            }
        }
        None
    }

    /// Reads an object; `member` reads the value of each key.
    #[inline]
    pub(super) fn object(&mut self, mut member: impl FnMut(&mut Self, &'f str) -> Option<()>) -> Option<()> {
        self.token(b'{')?;
        if self.token(b'}').is_some() {
            return Some(());
        }
        self.member(&mut member)?;
        self.members(member)
    }

    /// Reads the members of an object behind its first, and its end.
    #[inline]
    pub(super) fn members(&mut self, mut member: impl FnMut(&mut Self, &'f str) -> Option<()>) -> Option<()> {
        while self.token(b',').is_some() {
            self.member(&mut member)?;
        }
        self.token(b'}')
    }

    #[inline]
    fn member(&mut self, member: &mut impl FnMut(&mut Self, &'f str) -> Option<()>) -> Option<()> {
        let key = self.plain()?;
        self.token(b':')?;
        member(self, key)
    }

    /// Reads a list of at most [`MAX_ITEMS`]; `item` reads each.
    #[inline]
    pub(super) fn list(&mut self, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.token(b'[')?;
        if self.token(b']').is_some() {
            return Some(());
        }
        for _ in 0..MAX_ITEMS {
            item(self)?;
            if self.token(b',').is_none() {
                return self.token(b']');
            }
        }
        None
    }

    /// Goes past a value of any kind. Does not recurse.
    pub(super) fn skip(&mut self) -> Option<()> {
        let mut open = Open::default();
        loop {
            match self.next()? {
                b'"' => self.past_string()?,
                b'{' => {
                    self.at += 1;
                    if self.token(b'}').is_none() {
                        open.push(Nest::Object)?;
                        self.skip_key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.at += 1;
                    if self.token(b']').is_none() {
                        open.push(Nest::List)?;
                        continue;
                    }
                }
                b't' => self.eat("true")?,
                b'f' => self.eat("false")?,
                b'n' => self.eat("null")?,
                _ => self.number()?,
            }
            // A value has ended; what it stood in may end with it.
            loop {
                let Some(nest) = open.last() else { return Some(()) };
                if self.token(b',').is_some() {
                    if nest == Nest::Object {
                        self.skip_key()?;
                    }
                    break;
                }
                self.token(if nest == Nest::Object { b'}' } else { b']' })?;
                open.pop();
            }
        }
    }

    fn skip_key(&mut self) -> Option<()> {
        self.past_string()?;
        self.token(b':')
    }

    fn number(&mut self) -> Option<()> {
        self.token(b'-').unwrap_or_default();
        if self.token(b'0').is_none() {
            self.digits()?;
        }
        if self.token(b'.').is_some() {
            self.digits()?;
        }
        if self.token(b'e').or_else(|| self.token(b'E')).is_some() {
            self.token(b'+').or_else(|| self.token(b'-')).unwrap_or_default();
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.next().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

/// Where a string stands, its quotes excluded.
struct Inside {
    start: usize,
    end: usize,
    escaped: bool,
}

/// Bytes that one map shows.
const MAPPED: usize = 64;

impl Marks {
    /// The marks behind a place. Behind the end of the text everything is one.
    fn of(bytes: &[u8], from: usize) -> Self {
        let rest = bytes.get(from..).unwrap_or_default();
        let mut padded = [0; MAPPED];
        let chunk = rest.first_chunk().unwrap_or_else(|| {
            if let Some(start) = padded.get_mut(..rest.len()) {
                start.copy_from_slice(rest);
            }
            &padded
        });
        let (parts, _) = chunk.as_chunks();
        let bits = parts.iter().rev().fold(0, |bits, part| bits << 16 | u64::from(marks(*part)));
        Self { from, bits }
    }

    /// The first mark from a place on that the map shows.
    #[inline]
    fn next(self, from: usize) -> Option<usize> {
        let offset = from.wrapping_sub(self.from);
        let bits = if offset < MAPPED { self.bits >> offset } else { 0 };
        (bits != 0).then(|| from + bits.trailing_zeros() as usize)
    }
}

/// One bit for each byte: whether it is a quote, a backslash or a control character.
#[inline]
fn marks(bytes: [u8; 16]) -> u32 {
    let bytes = u8x16::new(bytes);
    let control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    (bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\')) | control).to_bitmask()
}

impl<'f> Quoted<'f> {
    /// The text, if nothing in it is escaped.
    pub(super) fn plain(self) -> Option<&'f str> {
        (!self.escaped).then_some(self.raw)
    }

    /// How long it is as it stands, which is never less than what it says.
    pub(super) const fn len(self) -> usize {
        self.raw.len()
    }

    /// What it says; `buffer` is used if there are escapes. None for half a surrogate pair.
    pub(super) fn read<'s>(self, buffer: &'s mut String) -> Option<&'s str>
    where
        'f: 's,
    {
        if !self.escaped {
            return Some(self.raw);
        }
        buffer.clear();
        let mut rest = self.raw;
        while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
            buffer.push_str(rest.get(..at)?);
            let (character, after) = unescaped(rest.get(at + 1..)?)?;
            buffer.push(character);
            rest = after;
        }
        buffer.push_str(rest);
        Some(buffer)
    }
}

/// The end of the string whose first byte this is, if it is plain text up to its quote.
#[inline]
pub(super) fn end_of_plain(bytes: &[u8]) -> Option<usize> {
    let (parts, _) = bytes.as_chunks::<16>();
    for (index, part) in parts.iter().enumerate() {
        let marks = marks(*part);
        if marks != 0 {
            let end = index * 16 + marks.trailing_zeros() as usize;
            return (bytes.get(end) == Some(&b'"')).then_some(end);
        }
    }
    None
}

/// The length of an escape without its backslash.
fn length_of_escape(bytes: &[u8]) -> Option<usize> {
    match bytes.first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(1),
        b'u' => bytes.get(1..5)?.iter().all(u8::is_ascii_hexdigit).then_some(5),
        _ => None,
    }
}

/// The character of an escape that begins behind its backslash, and what follows.
fn unescaped(text: &str) -> Option<(char, &str)> {
    let character = match text.as_bytes().first()? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unescaped_unit(text),
        &same => char::from(same),
    };
    Some((character, text.get(1..)?))
}

/// The character of `uXXXX`, or of two of them that make a pair.
fn unescaped_unit(text: &str) -> Option<(char, &str)> {
    let (first, rest) = unit(text)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, rest));
    }
    let (second, rest) = unit(rest.strip_prefix('\\')?)?;
    let high = first.checked_sub(0xD800).filter(|&high| high < 0x400)?;
    let low = second.checked_sub(0xDC00).filter(|&low| low < 0x400)?;
    Some((char::from_u32(0x1_0000 + (high << 10 | low))?, rest))
}

fn unit(text: &str) -> Option<(u32, &str)> {
    let digits = text.strip_prefix('u')?.get(..4)?;
    let unit = digits.chars().try_fold(0, |unit, digit| Some(unit << 4 | digit.to_digit(16)?))?;
    Some((unit, text.get(5..)?))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Nest {
    List = 0,
    Object = 1,
}

/// What is open around a value: one bit a level, under a bit that marks the top.
struct Open(u64);

impl Default for Open {
    fn default() -> Self {
        Self(1)
    }
}

impl Open {
    fn push(&mut self, nest: Nest) -> Option<()> {
        if self.0.leading_zeros() == 0 {
            return None;
        }
        self.0 = self.0 << 1 | nest as u64;
        Some(())
    }

    fn last(&self) -> Option<Nest> {
        (self.0 > 1).then_some(if self.0 & 1 == 0 { Nest::List } else { Nest::Object })
    }

    fn pop(&mut self) {
        self.0 >>= 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    /// The string that all of `json` is, if the scanner is sure of it.
    fn string(json: &str) -> Option<String> {
        let mut scan = Scan::new(json, 0);
        let quoted = scan.string()?;
        let mut buffer = String::new();
        scan.is_at_end().then_some(())?;
        quoted.read(&mut buffer).map(ToOwned::to_owned)
    }

    fn skips(json: &str) -> bool {
        let mut scan = Scan::new(json, 0);
        scan.skip().is_some() && scan.is_at_end()
    }

    #[test]
    fn strings_end_where_they_end() {
        for length in 0..40 {
            let text = "é".repeat(length % 3) + &"x".repeat(length);
            assert_eq!(string(&format!("\"{text}\"")).as_deref(), Some(text.as_str()));
            for bad in ['\u{0}', '\n', '\u{1f}'] {
                assert_eq!(string(&format!("\"{text}{bad}........\"")), None);
            }
        }
        for json in ["", "\"", "\"abc", "\"abc\\\"", "abc", r#""\x""#, r#""\u12""#, r#""\u+123""#, r#""\ud83d""#] {
            assert_eq!(string(json), None, "{json}");
        }
        for json in [r#""\"""#, r#""a\\""#, r#""\u00e9\ud83d\ude02\n""#, r#""\/\b\f\n\r\t\u0000""#, "\"\u{7f}\u{80}\""]
        {
            assert_eq!(string(json), serde_json::from_str(json).ok(), "{json}");
        }
    }

    #[test]
    fn whatever_is_skipped_is_json() {
        for json in [
            "0",
            "-0",
            "-0.5e+7",
            "12E3",
            "1e-9",
            "true",
            "false",
            "null",
            "[]",
            "{}",
            "[[],{}]",
            r#"{"a":[1,{"b":"]"}]}"#,
            r#"["\ud83d"]"#,
            r#"{"a":1,"a":2}"#,
        ] {
            assert!(skips(json), "{json}");
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(json).is_ok(), "{json}");
        }
        for json in [
            "",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "tru",
            "nul",
            "[",
            "]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":1]",
            "[1}",
            "1,",
            "\"a\"\"b\"",
            "[1]]",
        ] {
            assert!(!skips(json), "{json}");
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(json).is_err(), "{json}");
        }
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(skips(&nested(64)));
        assert!(!skips(&nested(65)), "left to serde");
        assert!(!skips(&nested(100_000)), "left to serde");
    }

    #[test]
    fn long_lists_are_left_to_others() {
        let list = |length: usize| format!("[{}]", vec!["1"; length].join(","));
        for (length, read) in [(0, true), (1, true), (MAX_ITEMS, true), (MAX_ITEMS + 1, false)] {
            let mut count = 0;
            let done = Scan::new(&list(length), 0).list(|scan| {
                count += 1;
                scan.skip()
            });
            assert_eq!(done.is_some(), read, "{length}");
            assert!(!read || count == length);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_not_taken_for_json(json in r#"[\[\]{}",:\\0-9eEtrufalsn.+ud8c"-]{0,24}"#) {
            if skips(&json) {
                prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&json).is_ok(), "{}", json);
            }
        }

        #[test]
        fn a_string_says_what_serde_says_it_does(text in r#"([ -~é😀]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}|\\ud83d\\ude02){0,20}"#) {
            let json = format!("\"{text}\"");
            let whole = serde_json::from_str::<String>(&json).ok();
            prop_assert_eq!(string(&json), whole);
        }

        #[test]
        fn compact_json_is_skipped(value in json()) {
            prop_assert!(skips(&value.to_string()));
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((".{0,6}", inner), 0..6)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }
}
