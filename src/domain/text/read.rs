//! The pass over one text, from characters to tokens.
//!
//! Plain ASCII is read a block at a time; every other character costs one look-up. Signs
//! that may begin a hashtag or a mention are looked at where they stand.

use super::block::Block;
use super::fold::{Class, folded, is_apostrophe, is_invisible, is_plain_alone, join};
use super::{Shift, Sigil, Token, Words, length};

/// Longer than this, in bytes, nothing is a hashtag.
const LONGEST_TAG: usize = 200;
/// Longer than this, in bytes, nothing is an account: a domain has at most 253 characters.
const LONGEST_ACCOUNT: usize = 320;
/// Marks kept in a row; no word has more, floods of them do.
const MARKS: u32 = 8;

/// Reads one segment.
pub(super) struct Reader<'a> {
    words: &'a mut Words,
    text: &'a str,
    /// Bytes of the original read.
    at: usize,
    /// Where the segment begins in the normalised text, and its shifts among all.
    origin: usize,
    shifts: usize,
    /// Original bytes minus normalised bytes, as the last [`Shift`] says.
    ahead: isize,
    /// Where the word being read begins in the normalised text.
    open: Option<u32>,
    marks: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(words: &'a mut Words, text: &'a str) -> Self {
        let (origin, shifts) = (words.folded.len(), words.shifts.len());
        Self { words, text, at: 0, origin, shifts, ahead: 0, open: None, marks: 0 }
    }

    pub(super) fn read(mut self) {
        while let Some(rest) = self.text.as_bytes().get(self.at..).filter(|rest| !rest.is_empty()) {
            self.block(&Block::of(rest));
        }
        self.close();
    }

    /// Reads what begins in a block, which begins here.
    fn block(&mut self, block: &Block) {
        let begin = self.at;
        loop {
            let run = block.plain_from(self.at - begin);
            if run > 0 {
                self.plain(block, self.at - begin, run);
                self.at += run;
            }
            match block.special_at(self.at - begin) {
                None => return,
                Some(b'#') => self.tag(1),
                Some(b'@') => self.mention(),
                Some(_) => self.one(),
            }
        }
    }

    /// A run of ASCII letters, digits and separators.
    fn plain(&mut self, block: &Block, from: usize, run: usize) {
        let base = length(&self.words.folded);
        block.append_lower(from, run, &mut self.words.folded);
        self.marks = 0;
        let mut open = self.open;
        for edge in block.edges(from, run, open.is_some()) {
            match open.take() {
                Some(start) => self.words.push(start, base + edge),
                None => open = Some(base + edge),
            }
        }
        self.open = open;
    }

    /// One character, whatever it is.
    fn one(&mut self) {
        let Some(character) = self.text.get(self.at..).and_then(|rest| rest.chars().next()) else { return };
        if character == '＃' {
            return self.tag(character.len_utf8());
        }
        self.fold(character);
    }

    #[inline]
    fn fold(&mut self, character: char) {
        let before = self.words.folded.len();
        if is_plain_alone(character) {
            self.marks = 0;
            self.close();
            let start = length(&self.words.folded);
            self.words.folded.extend_from_slice(&encoded(character, &mut [0; 4]));
            self.words.push(start, length(&self.words.folded));
            self.at += character.len_utf8();
            return; // as long as it was
        }
        let (entry, parts) = folded(character);
        match entry.class {
            Class::Word => {
                self.marks = 0;
                self.open.get_or_insert(length(&self.words.folded));
                entry.append_to(&mut self.words.folded);
            }
            Class::Several => {
                for &(part, class) in parts {
                    self.put(&encoded(part, &mut [0; 4]), class);
                }
            }
            class => self.put(entry.bytes(), class),
        }
        self.at += character.len_utf8();
        self.settle(before, character);
    }

    /// Appends folded text of one class.
    fn put(&mut self, bytes: &[u8], class: Class) {
        // What is left out between marks does not begin a new count.
        if !matches!(class, Class::Mark | Class::Voicing | Class::Ignored) {
            self.marks = 0;
        }
        match class {
            Class::Word => {
                self.open.get_or_insert(length(&self.words.folded));
                self.words.folded.extend_from_slice(bytes);
            }
            Class::Separator => {
                self.close();
                self.words.folded.extend_from_slice(bytes);
            }
            Class::Alone => {
                self.close();
                let start = length(&self.words.folded);
                self.words.folded.extend_from_slice(bytes);
                self.words.push(start, length(&self.words.folded));
            }
            Class::Mark => {
                self.marks += 1;
                if self.open.is_some() && self.marks <= MARKS {
                    self.words.folded.extend_from_slice(bytes);
                }
            }
            Class::Voicing => {
                self.join_last(bytes);
            }
            Class::Jamo => {
                if self.open.is_none() || !self.join_last(bytes) {
                    self.open.get_or_insert(length(&self.words.folded));
                    self.words.folded.extend_from_slice(bytes);
                }
            }
            Class::Ignored | Class::Several => {}
        }
    }

    /// Makes one character of the last one and this; false when there is no such character.
    fn join_last(&mut self, bytes: &[u8]) -> bool {
        let folded = self.words.folded.get(self.origin..).unwrap_or_default();
        let start = folded.iter().rposition(|byte| byte & 0xC0 != 0x80).unwrap_or(0);
        let character = |bytes| std::str::from_utf8(bytes).ok().and_then(|text| text.chars().next());
        let last = folded.get(start..).and_then(character);
        let Some(joined) = last.zip(character(bytes)).and_then(|(last, this)| join(last, this)) else { return false };
        let (before, ends) = (length(&self.words.folded), self.words.tokens.last().map(|token| token.end));
        self.words.folded.truncate(self.origin + start);
        self.words.folded.extend_from_slice(&encoded(joined, &mut [0; 4]));
        // A kana has its token already.
        if let Some(token) = self.words.tokens.last_mut().filter(|_| ends == Some(before)) {
            token.end = length(&self.words.folded);
        }
        true
    }

    /// Notes where original and normalised text part ways, after a character was read.
    fn settle(&mut self, before: usize, character: char) {
        let folded = self.words.folded.len();
        let ahead = self.at.cast_signed() - (folded - self.origin).cast_signed();
        if ahead == self.ahead {
            return;
        }
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        let here = Shift { folded: number(folded), original: number(self.at) };
        self.ahead = ahead;
        if folded != before {
            self.words.shifts.push(here);
            return;
        }
        // Left out. The first shift of this place says where what precedes it ends, the last
        // one where what follows begins.
        let noted = self.words.shifts.iter().skip(self.shifts).rev().take(2);
        let noted = noted.take_while(|shift| shift.folded == here.folded).count();
        let known = self.words.shifts.len() - noted;
        if clings(character) {
            // An accent belongs to the letter it stands on.
            self.words.shifts.truncate(known);
        } else if noted == 0 {
            self.words.shifts.push(Shift { original: number(self.at - character.len_utf8()), ..here });
        } else {
            self.words.shifts.truncate(known + 1);
        }
        self.words.shifts.push(here);
    }

    fn close(&mut self) {
        if let Some(start) = self.open.take() {
            self.words.push(start, length(&self.words.folded));
        }
    }

    /// `#` and perhaps a hashtag after it.
    fn tag(&mut self, sign: usize) {
        let begins = self.open.is_none();
        let after = self.text.get(self.at + sign..).unwrap_or_default();
        self.fold_next(sign);
        let is_part = |c: char| c.is_alphanumeric() || c == '_' || is_invisible(c) && !is_apostrophe(c) || is_mark(c);
        let end = after.find(|c| !is_part(c)).unwrap_or(after.len());
        let name = after.get(..end).unwrap_or_default();
        let letters = name.chars().any(|c| c.is_alphanumeric() && !c.is_numeric());
        if !begins || !letters || name.len() > LONGEST_TAG {
            return; // read on: its words are words
        }
        let whole = self.words.begun(Sigil::Tag);
        // A run of letters and digits is a word too, however it is split.
        let mut run = self.words.begun(Sigil::Word);
        let mut runs = std::mem::take(&mut self.words.runs);
        let mut last = Case::None;
        let mut characters = name.chars().peekable();
        while let Some(character) = characters.next() {
            let case = Case::of(character);
            let next = characters.peek().copied().map_or(Case::None, Case::of);
            if last.ends_before(case, next) {
                self.close();
            }
            last = if case == Case::None { last } else { case };
            let breaks = character == '_' || folded(character).0.class == Class::Alone;
            if breaks {
                self.close();
                runs.extend(self.words.cover(run).filter(|run| run.span > 1));
            }
            self.fold(character);
            if breaks {
                run = self.words.begun(Sigil::Word);
            }
        }
        self.close();
        runs.extend(self.words.cover(run).filter(|run| run.span > 1));
        if let Some(tag) = self.words.cover(whole) {
            self.words.tokens.push(tag);
            self.words.tokens.extend_from_slice(&runs);
        }
        runs.clear();
        self.words.runs = runs;
    }

    /// `@` and perhaps an account after it.
    fn mention(&mut self) {
        let part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
        let bytes = self.text.as_bytes();
        let begins = self.at.checked_sub(1).and_then(|before| bytes.get(before)).is_none_or(|before| !part(before));
        self.fold_next(1);
        let account = account(self.text.get(self.at..).unwrap_or_default());
        let local = account.len();
        let host = self.text.get(self.at + local..).and_then(|rest| rest.strip_prefix('@')).map_or(0, |rest| {
            let host = self::account(rest);
            if host.is_empty() { 0 } else { 1 + host.len() }
        });
        if !begins || local == 0 || local + host > LONGEST_ACCOUNT {
            return;
        }
        let account = self.words.begun(Sigil::Mention);
        self.fold_next(local);
        self.close();
        let name = self.words.cover(account);
        self.fold_next(host);
        self.close();
        let whole = self.words.cover(account);
        self.words.tokens.extend(whole);
        self.words.tokens.extend(name.filter(|_| host > 0));
    }

    /// Folds so many bytes, whatever they are.
    fn fold_next(&mut self, bytes: usize) {
        let part = self.text.get(self.at..self.at + bytes).unwrap_or_default();
        part.chars().for_each(|character| self.fold(character));
    }
}

impl Words {
    /// A word at the next position.
    fn push(&mut self, start: u32, end: u32) {
        self.tokens.push(Token { start, end, position: self.position, span: 1, sigil: Sigil::Word });
        self.position += 1;
    }

    /// A token that begins here.
    fn begun(&self, sigil: Sigil) -> Token {
        let start = length(&self.folded);
        Token { start, end: start, position: self.position, span: 0, sigil }
    }

    /// The token, covering all words read since it began; none when there are none.
    fn cover(&self, token: Token) -> Option<Token> {
        let span = u16::try_from(self.position - token.position).ok().filter(|span| *span > 0)?;
        Some(Token { end: length(&self.folded), span, ..token })
    }
}

fn encoded(character: char, buffer: &mut [u8; 4]) -> impl std::ops::Deref<Target = [u8]> {
    character.encode_utf8(buffer).as_bytes()
}

/// The account at the beginning of a text: letters, digits, `_`, `.` and `-`, as Bluesky's
/// handles, Fediverse names and domains are; a full stop at its end ends the sentence.
fn account(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"_.-".contains(c)).unwrap_or(text.len());
    let account = text.get(..end).unwrap_or_default().trim_end_matches(['.', '-']);
    if account.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') { account } else { "" }
}

fn is_mark(character: char) -> bool {
    !character.is_ascii() && unicode_normalization::char::is_combining_mark(character)
}

/// What is shown as one with the character before it, and leaves no trace in folded text:
/// accents, the later letters of a Korean syllable, skin tones.
fn clings(character: char) -> bool {
    is_mark(character)
        || matches!(character, '\u{1160}'..='\u{11FF}' | '\u{D7B0}'..='\u{D7FF}' | '\u{1F3FB}'..='\u{1F3FF}')
}

/// The case of a hashtag's character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Case {
    None,
    Upper,
    Lower,
    Digit,
}

impl Case {
    fn of(character: char) -> Self {
        match character {
            _ if character.is_uppercase() => Self::Upper,
            _ if character.is_numeric() => Self::Digit,
            _ if character.is_alphabetic() => Self::Lower,
            _ => Self::None,
        }
    }

    /// Whether a word of a hashtag ends between this character and `case`, after which
    /// comes `next`: `st|Brigids`, `ER|Doctor`, `covid|19`.
    fn ends_before(self, case: Self, next: Self) -> bool {
        match (self, case) {
            (Self::None, _) | (_, Self::None) => false,
            (Self::Lower, Self::Upper) => true,
            (Self::Upper, Self::Upper) => next == Self::Lower,
            (before, after) => (before == Self::Digit) != (after == Self::Digit),
        }
    }
}
