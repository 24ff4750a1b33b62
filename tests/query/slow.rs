//! Reading a text the slow way, character by character and without a table: what
//! `domain::text::Words` must amount to.
//!
//! Written from the definition, with nothing of `domain::text` in it. It knows the scripts
//! and signs that the generators of this suite use, not all of Unicode.

use std::ops::Range;

use stormbell::domain::text::Sigil;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// A stretch of a text that a term can find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// The first position it covers, counted from the beginning of the text.
    pub start: usize,
    /// The position after the last.
    pub end: usize,
    pub sigil: Sigil,
    pub word: String,
    /// Bytes of the original.
    pub original: Range<usize>,
}

/// What a text is read as.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub tokens: Vec<Token>,
    pub normalised: String,
}

/// The folded words of a text.
pub(crate) fn words(text: &str) -> Vec<String> {
    words_and_originals(text).into_iter().map(|(word, _)| word).collect()
}

/// The folded words of a text, and where they stand in it.
pub(crate) fn words_and_originals(text: &str) -> Vec<(String, Range<usize>)> {
    let words = Slow::read(text, false).tokens.into_iter();
    words.filter(|t| t.sigil == Sigil::Word && t.end == t.start + 1).map(|t| (t.word, t.original)).collect()
}

/// The folded words of a text in which `*` and `?` are letters.
pub(crate) fn shapes(text: &str) -> Vec<String> {
    let words = Slow::read(text, true).tokens.into_iter();
    words.filter(|t| t.sigil == Sigil::Word && t.end == t.start + 1).map(|t| t.word).collect()
}

/// The name of a hashtag, folded.
pub(crate) fn tag(name: &str) -> Option<String> {
    let mut tokens = Slow::read(&format!("#{name}"), true).tokens.into_iter();
    tokens.find(|token| token.sigil == Sigil::Tag).map(|token| token.word)
}

/// Reads a text.
pub(crate) fn read(text: &str) -> Reading {
    let mut reading = Slow::read(text, false);
    let fuzzy = fuzzy(text, &reading.tokens);
    reading.tokens.extend(fuzzy);
    reading
}

/// How a word is spelt: without what nobody sees, composed.
pub(crate) fn spelling(original: &str) -> String {
    original.chars().filter(|&c| !is_invisible(c)).nfc().collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    /// A word by itself.
    Alone,
    Separator,
}

struct Slow<'a> {
    characters: Vec<(usize, char)>,
    text: &'a str,
    /// `*` and `?` are letters.
    shapes: bool,
    at: usize,
    reading: Reading,
    position: usize,
    /// The word being read, and its bytes in the original.
    open: Option<(String, Range<usize>)>,
    /// Where what was read last ends in the original.
    end: usize,
}

impl<'a> Slow<'a> {
    fn read(text: &'a str, shapes: bool) -> Reading {
        let characters = text.char_indices().collect();
        let reading = Reading::default();
        let mut slow = Self { characters, text, shapes, at: 0, reading, position: 0, open: None, end: 0 };
        while let Some(character) = slow.peek(0) {
            match character {
                '#' | '＃' => slow.hashtag(),
                '@' => slow.mention(),
                _ => slow.step(),
            }
        }
        slow.close();
        slow.reading
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).map(|(_, character)| *character)
    }

    /// Where the character at hand begins.
    fn byte(&self) -> usize {
        self.characters.get(self.at).map_or(self.text.len(), |(byte, _)| *byte)
    }

    /// One character.
    fn step(&mut self) {
        let (from, character) = self.characters[self.at];
        self.at += 1;
        let bytes = from..self.byte();
        if self.shapes && "*?".contains(character) {
            return self.letter(character, bytes);
        }
        let parts = fold(character);
        if is_combining_mark(character) || matches!(character, '\u{1F3FB}'..='\u{1F3FF}') {
            // It belongs to what it stands on, even if it says nothing.
            let last = self.reading.tokens.iter_mut().filter(|token| token.end == self.position);
            let standing: Vec<&mut Range<usize>> = match &mut self.open {
                Some((_, original)) => vec![original],
                None => last.map(|token| &mut token.original).collect(),
            };
            standing
                .into_iter()
                .filter(|original| original.end == self.end)
                .for_each(|original| original.end = bytes.end);
            self.end = bytes.end;
        }
        if !parts.is_empty() {
            self.end = bytes.end;
        }
        for part in parts {
            match class(part) {
                _ if is_combining_mark(part) && matches!(part, '\u{3099}' | '\u{309A}') => {
                    self.voice(part);
                }
                _ if is_combining_mark(part) => {
                    if let Some((word, _)) = &mut self.open {
                        word.push(part);
                        self.reading.normalised.push(part);
                    }
                }
                Class::Letter => self.letter(part, bytes.clone()),
                Class::Alone => {
                    self.close();
                    self.reading.normalised.push(part);
                    self.open = Some((part.to_string(), bytes.clone()));
                    self.close();
                }
                Class::Separator => {
                    self.close();
                    self.reading.normalised.push(part);
                }
            }
        }
    }

    fn letter(&mut self, letter: char, bytes: Range<usize>) {
        self.reading.normalised.push(letter);
        let (word, original) = self.open.get_or_insert((String::new(), bytes.clone()));
        word.push(letter);
        original.end = bytes.end;
        // Korean letters become syllables.
        *word = word.nfc().collect();
        self.reading.normalised = self.reading.normalised.nfc().collect();
    }

    /// A voicing mark: か and it are が.
    fn voice(&mut self, mark: char) {
        let Some(last) = self.reading.normalised.pop() else { return };
        let voiced: String = [last, mark].into_iter().nfc().collect();
        let mut both = voiced.chars();
        if let (Some(one), None) = (both.next(), both.next()) {
            self.reading.normalised.push(one);
            if let Some(token) = self.reading.tokens.last_mut() {
                token.word = one.to_string();
            }
        } else {
            self.reading.normalised.push(last);
        }
    }

    fn close(&mut self) {
        if let Some((word, original)) = self.open.take() {
            let (start, end) = (self.position, self.position + 1);
            self.position = end;
            self.reading.tokens.push(Token { start, end, sigil: Sigil::Word, word, original });
        }
    }

    /// A `#`, and the hashtag after it if there is one: letters, digits, `_` and what is
    /// invisible, with a letter among them, not directly after a word.
    fn hashtag(&mut self) {
        let follows_a_word = self.open.is_some();
        self.step();
        let is_part = |&&(_, c): &&(usize, char)| {
            c.is_alphanumeric()
                || c == '_'
                || is_invisible(c) && !is_apostrophe(c)
                || is_combining_mark(c)
                || self.shapes && "*?".contains(c)
        };
        let name: Vec<char> = self.characters[self.at..].iter().take_while(is_part).map(|(_, c)| *c).collect();
        let has_letter = name.iter().any(|c| c.is_alphanumeric() && !c.is_numeric());
        if follows_a_word || !has_letter || name.iter().map(|c| c.len_utf8()).sum::<usize>() > 200 {
            return;
        }
        let (first, from) = (self.position, self.reading.normalised.len());
        let begin = self.byte();
        // Runs of letters and digits are words too, however they are split.
        let (mut run, mut runs) = ((first, from), Vec::new());
        for (place, &character) in name.iter().enumerate() {
            let breaks = character == '_' || fold(character).into_iter().any(|part| class(part) == Class::Alone);
            if breaks || splits(&name, place) {
                self.close();
            }
            if breaks {
                runs.extend(self.run(run));
            }
            self.step();
            if breaks {
                run = (self.position, self.reading.normalised.len());
            }
        }
        self.close();
        runs.extend(self.run(run));
        let words: Vec<&Token> = self.reading.tokens.iter().filter(|token| token.start >= first).collect();
        let (Some(first_word), Some(last_word)) = (words.first(), words.last()) else { return };
        let shown = self.text[begin..self.byte()].trim_matches(is_invisible);
        let shown_from = begin + self.text[begin..].find(shown).unwrap_or(0);
        let original = if name.contains(&'_') {
            shown_from..shown_from + shown.len()
        } else {
            first_word.original.start..last_word.original.end
        };
        let word = self.reading.normalised[from..].to_owned();
        let token = Token { start: first, end: self.position, sigil: Sigil::Tag, word, original };
        self.reading.tokens.extend(runs);
        self.reading.tokens.push(token);
    }

    /// The words read since a place in the hashtag as one, if they are several.
    fn run(&self, (start, from): (usize, usize)) -> Option<Token> {
        let mut words = self.reading.tokens.iter().filter(|token| token.start >= start);
        let (first, last) = (words.next()?, words.next_back()?);
        let (original, word) = (first.original.start..last.original.end, self.reading.normalised[from..].to_owned());
        Some(Token { start, end: self.position, sigil: Sigil::Word, word, original })
    }

    /// An `@`, and the account after it if there is one: not inside an address.
    fn mention(&mut self) {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let inside = self.at > 0 && is_part(self.characters[self.at - 1].1);
        self.step();
        let name = |from: usize| {
            let rest = &self.characters[from.min(self.characters.len())..];
            let name: String = rest.iter().map(|(_, c)| *c).take_while(|&c| is_part(c)).collect();
            let name = name.trim_end_matches(['.', '-']).to_owned();
            if name.starts_with(['.', '-']) { String::new() } else { name }
        };
        let user = name(self.at);
        let host = match self.peek(user.len()) {
            Some('@') => name(self.at + user.len() + 1),
            _ => String::new(),
        };
        let whole = if host.is_empty() { user.len() } else { user.len() + 1 + host.len() };
        if inside || user.is_empty() || whole > 320 {
            return;
        }
        let (first, begin) = (self.position, self.byte());
        self.account(user.len(), first, begin);
        if !host.is_empty() {
            self.account(1 + host.len(), first, begin);
        }
    }

    /// So many characters more of an account; there may be no word in it yet.
    fn account(&mut self, length: usize, start: usize, begin: usize) {
        (0..length).for_each(|_| self.step());
        self.close();
        let (word, original) = (self.text[begin..self.byte()].to_ascii_lowercase(), begin..self.byte());
        let token = Token { start, end: self.position, sigil: Sigil::Mention, word, original };
        self.reading.tokens.extend(Some(token).filter(|token| token.end > start));
    }
}

/// Whether a hashtag's words part before a place: `st|Brigids`, `ER|Doctor`, `covid|19`.
fn splits(name: &[char], place: usize) -> bool {
    let cased = |c: &&char| kind(**c) != ' ';
    let (Some(&before), this) = (name[..place].iter().rev().find(cased), name[place]) else { return false };
    let next = name.get(place + 1).map_or(' ', |&c| kind(c));
    match (kind(before), kind(this)) {
        (_, ' ') => false,
        ('l', 'U') => true,
        ('U', 'U') => next == 'l',
        (a, b) => (a == '0') != (b == '0'),
    }
}

/// `U`pper, `l`ower (and scripts without case), `0` a digit, ` ` none of these.
fn kind(character: char) -> char {
    match character {
        c if c.is_uppercase() => 'U',
        c if c.is_numeric() => '0',
        c if c.is_alphabetic() => 'l',
        _ => ' ',
    }
}

/// What is left of a character: compatibility form, accents off, lower case.
fn fold(character: char) -> Vec<char> {
    let mut parts = Vec::new();
    if is_invisible(character) {
        return parts;
    }
    for whole in respelt(character).chars().flat_map(|c| std::iter::once(c).nfkc().collect::<Vec<_>>()) {
        let keeps_its_marks = class(whole) == Class::Alone || matches!(whole, '가'..='힣' | '\u{1100}'..='\u{11FF}');
        let decomposed: Vec<char> = if keeps_its_marks { vec![whole] } else { std::iter::once(whole).nfkd().collect() };
        for part in decomposed.into_iter().filter(|&part| !is_accent(part) && !is_invisible(part)) {
            for lower in part.to_lowercase().filter(|&lower| !is_accent(lower)) {
                parts.extend(respelt(lower).chars());
            }
        }
    }
    parts
}

/// Letters that Unicode takes for letters of their own and people type without.
fn respelt(character: char) -> String {
    let spelt = match character {
        'ß' | 'ẞ' => "ss",
        'ø' | 'Ø' => "o",
        'đ' | 'Đ' => "d",
        'ł' | 'Ł' => "l",
        'ı' => "i",
        'æ' | 'Æ' => "ae",
        'œ' | 'Œ' => "oe",
        'ς' => "σ",
        other => return other.to_string(),
    };
    spelt.to_owned()
}

fn class(character: char) -> Class {
    match character {
        '一'..='鿿' | 'ぁ'..='ゖ' | 'ァ'..='ヺ' | 'ー' | 'ก'..='๛' | '☀'..='➿' | '⌀'..='⏿' => {
            Class::Alone
        }
        '\u{1F1E6}'..='\u{1FAFF}' => Class::Alone,
        c if c.is_alphanumeric() || ('\u{1100}'..='\u{11FF}').contains(&c) => Class::Letter,
        _ => Class::Separator,
    }
}

/// Marks on letters that make no other word.
fn is_accent(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36F}' | '\u{591}'..='\u{5BD}' | '\u{64B}'..='\u{65F}' | '\u{20D0}'..='\u{20FF}')
}

fn is_apostrophe(character: char) -> bool {
    "'`´\u{2BC}\u{2018}\u{2019}\u{2032}\u{FF07}".contains(character)
}

/// What nobody sees: soft hyphen, zero width, variation selectors, skin tones; apostrophes.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{AD}' | '\u{34F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{1F3FB}'..='\u{1F3FF}')
        || is_apostrophe(character)
}

/// Letters as they look, and what people type for them.
const LOOKS: [(&str, char); 22] = [
    ("a4@аα", 'a'),
    ("b68вβ", 'b'),
    ("cсϲ", 'c'),
    ("dԁ", 'd'),
    ("e3€еεэ", 'e'),
    ("g9ɡ", 'g'),
    ("hһн", 'h'),
    ("jј", 'j'),
    ("kкκ", 'k'),
    ("il1!|іιӏ", 'l'),
    ("mм", 'm'),
    ("nпη", 'n'),
    ("o0оοօ", 'o'),
    ("pрρ", 'p'),
    ("s5$ѕ", 's'),
    ("t7+тτ", 't'),
    ("uυս", 'u'),
    ("vνѵ", 'v'),
    ("wԝω", 'w'),
    ("xхχ", 'x'),
    ("yуγ", 'y'),
    ("z2", 'z'),
];

fn look(character: char) -> Option<char> {
    let found = LOOKS.iter().find(|(alike, _)| alike.contains(character)).map(|(_, look)| *look);
    found.or(Some(character).filter(char::is_ascii_lowercase))
}

/// What a word looks like.
pub(crate) fn skeleton(word: &str) -> String {
    word.chars().map(|c| look(c).unwrap_or(c)).collect()
}

/// Unusual spellings: stretches of what can be letters, with at least one Latin letter and
/// one that is none, over the words they touch.
fn fuzzy(text: &str, words: &[Token]) -> Vec<Token> {
    let mut found = Vec::new();
    let mut run: Vec<(char, Range<usize>)> = Vec::new();
    for (at, character) in text.char_indices().chain([(text.len(), ' ')]) {
        for part in fold(character) {
            if look(part).is_some() {
                run.push((part, at..at + character.len_utf8()));
            } else {
                found.extend(unusual(std::mem::take(&mut run), words));
            }
        }
    }
    found
}

fn unusual(mut letters: Vec<(char, Range<usize>)>, words: &[Token]) -> Option<Token> {
    if letters.len() > 64 {
        return None;
    }
    while letters.last().is_some_and(|(c, _)| "!|+".contains(*c)) {
        letters.pop();
    }
    let latin = letters.iter().filter(|(c, _)| c.is_ascii_lowercase()).count();
    let original = letters.first()?.1.start..letters.last()?.1.end;
    let touches = |t: &&Token| t.original.start < original.end && original.start < t.original.end;
    let covered = || words.iter().filter(|t| t.sigil == Sigil::Word && t.end == t.start + 1).filter(touches);
    let (start, end) = (covered().map(|t| t.start).min()?, covered().map(|t| t.end).max()?);
    let word = letters.iter().map(|(c, _)| look(*c).unwrap_or(*c)).collect();
    (latin > 0 && latin < letters.len()).then_some(Token { start, end, sigil: Sigil::Fuzzy, word, original })
}
