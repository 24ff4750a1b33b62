//! JSON read where it lies: no tree, no allocation, every byte looked at once.
//!
//! `serde_json` is what decides what a frame means (see [`super::jetstream`]). But of a
//! thousand frames it reads whole, hardly ten are ever used, so this scanner first finds
//! the few strings that rules read. It accepts a part of JSON only, the part that servers
//! write: no blanks between tokens, keys without escapes, at most 64 levels. `None` from
//! any function here means *not sure*, never *broken*: whoever asked reads the frame with
//! serde then. What it does accept, it has checked to the grammar's last byte, because a
//! frame must not become good by being read fast.
//!
//! Strings are most of a frame. They are searched eight bytes at a time with the
//! arithmetic of "has this word a zero byte", which needs neither `unsafe` nor a
//! processor newer than 1980.
//!
//! Rejected: serde with borrowed structs (it was the first version: four times slower,
//! mostly in slices that are scanned first and parsed again); searching for `"text":"`
//! and counting braces (a nested `text` is cheap to forge, and nothing would be checked);
//! `memchr` for the ends of strings (most are shorter than the call is worth); `simd-json`
//! and `sonic-rs` (a tree or tape for each frame, and `unsafe` over bytes of strangers).

use super::sanity::MAX_ITEMS;

/// A place in JSON text that is known to be UTF-8.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan<'f> {
    rest: &'f str,
}

/// A string as it stands between its quotes; escapes, if any, are sound but for surrogates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quoted<'f> {
    raw: &'f str,
    escaped: bool,
}

impl<'f> Scan<'f> {
    /// Starts at the beginning of `text`.
    pub(super) const fn new(text: &'f str) -> Self {
        Self { rest: text }
    }

    /// Whether everything was read.
    pub(super) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Goes past `literal`. Inlined, so that comparing is a load or two and not a call.
    #[inline]
    pub(super) fn eat(&mut self, literal: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(literal)?;
        Some(())
    }

    /// Goes past one character of ASCII.
    #[inline]
    pub(super) fn token(&mut self, token: u8) -> Option<()> {
        if self.next()? != token {
            return None;
        }
        self.rest = self.rest.get(1..)?;
        Some(())
    }

    #[inline]
    fn next(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    /// Reads a string.
    #[inline]
    pub(super) fn string(&mut self) -> Option<Quoted<'f>> {
        self.token(b'"')?;
        let body = self.rest;
        let (end, escaped) = end_of_string(body.as_bytes())?;
        self.rest = body.get(end + 1..)?;
        Some(Quoted { raw: body.get(..end)?, escaped })
    }

    /// Reads an object; `member` reads the value of each key.
    #[inline]
    pub(super) fn object(&mut self, mut member: impl FnMut(&mut Self, &'f str) -> Option<()>) -> Option<()> {
        self.token(b'{')?;
        if self.token(b'}').is_some() {
            return Some(());
        }
        loop {
            let key = self.string()?.plain()?;
            self.token(b':')?;
            member(self, key)?;
            if self.token(b',').is_none() {
                return self.token(b'}');
            }
        }
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
                b'"' => _ = self.string()?,
                b'{' => {
                    self.token(b'{')?;
                    if self.token(b'}').is_none() {
                        open.push(Nest::Object)?;
                        self.skip_key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.token(b'[')?;
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
        self.string()?;
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
        let some = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        self.rest = self.rest.get(some..)?;
        (some > 0).then_some(())
    }
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
    let end = special(bytes)?;
    (bytes.get(end) == Some(&b'"')).then_some(end)
}

/// Where the string ends whose first byte this is, and whether it holds escapes.
#[inline]
fn end_of_string(bytes: &[u8]) -> Option<(usize, bool)> {
    let (mut end, mut escaped) = (0, false);
    loop {
        end += special(bytes.get(end..)?)?;
        match bytes.get(end)? {
            b'"' => return Some((end, escaped)),
            b'\\' => {
                escaped = true;
                end += 1 + length_of_escape(bytes.get(end + 1..)?)?;
            }
            _ => return None, // a control character
        }
    }
}

/// The first quote, backslash or control character.
#[inline]
fn special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * u64::from(b'"'));
        let backslash = word ^ (ONES * u64::from(b'\\'));
        // A byte's high bit is set by its subtraction where the byte is smaller than what
        // is taken away, and perhaps above the first such byte, which alone counts.
        let below = (word.wrapping_sub(ONES * 0x20) & !word)
            | (quote.wrapping_sub(ONES) & !quote)
            | (backslash.wrapping_sub(ONES) & !backslash);
        let found = below & HIGH;
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let in_tail = tail.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20)?;
    Some(words.len() * 8 + in_tail)
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
        let mut scan = Scan::new(json);
        let quoted = scan.string()?;
        let mut buffer = String::new();
        scan.is_at_end().then_some(())?;
        quoted.read(&mut buffer).map(ToOwned::to_owned)
    }

    fn skips(json: &str) -> bool {
        let mut scan = Scan::new(json);
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
            let done = Scan::new(&list(length)).list(|scan| {
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
