//! Unusual spellings: what `sh00ter`, `$hooter` or a Cyrillic `ѕhooter` stand for.
//!
//! Only lists that say `fuzzy = true` look at this. A stretch of letters, digits and
//! signs that people use as letters, with at least one Latin letter and at least one that
//! is unusual, becomes a token of its own kind beside its words. Compared is the
//! *skeleton*: look-alikes as the Latin letter they look like, `i` and `l` as one letter
//! because `1`, `!` and `|` stand for both.

use std::ops::Range;

use super::fold::{self, Class, is_invisible};
use super::{Sigil, Token, Words, length};

/// Longer than this, in characters, nobody means a word.
const LONGEST: usize = 64;

/// The skeleton of a folded word.
pub fn skeleton(word: &str) -> String {
    word.chars().map(|letter| Letter::of(letter).map_or(letter, |letter| letter.skeleton)).collect()
}

/// A character that can stand for a letter.
#[derive(Clone, Copy)]
struct Letter {
    skeleton: char,
    /// Written as anything but the Latin letter itself.
    unusual: bool,
}

impl Letter {
    /// Look-alikes as in Unicode Technical Standard 39, and what people type for letters.
    fn of(character: char) -> Option<Self> {
        let (skeleton, unusual) = match character {
            'i' => ('l', false),
            'a'..='z' => (character, false),
            '0' | 'о' | 'ο' | 'օ' => ('o', true),
            '1' | '!' | '|' | 'і' | 'ι' | 'ӏ' => ('l', true),
            '2' => ('z', true),
            '3' | '€' | 'е' | 'ε' | 'э' => ('e', true),
            '4' | '@' | 'а' | 'α' => ('a', true),
            '5' | '$' | 'ѕ' => ('s', true),
            '6' | '8' | 'в' | 'β' => ('b', true),
            '7' | '+' | 'т' | 'τ' => ('t', true),
            '9' | 'ɡ' => ('g', true),
            'с' | 'ϲ' => ('c', true),
            'ԁ' => ('d', true),
            'һ' | 'н' => ('h', true),
            'ј' => ('j', true),
            'к' | 'κ' => ('k', true),
            'м' => ('m', true),
            'п' | 'η' => ('n', true),
            'р' | 'ρ' => ('p', true),
            'υ' | 'ս' => ('u', true),
            'ν' | 'ѵ' => ('v', true),
            'ԝ' | 'ω' => ('w', true),
            'х' | 'χ' => ('x', true),
            'у' | 'γ' => ('y', true),
            _ => return None,
        };
        Some(Self { skeleton, unusual })
    }
}

/// Adds the fuzzy tokens of one segment that was read before.
pub(super) fn read(words: &mut Words, segment: usize, text: &str) {
    let (mut run, mut next) = (Run::default(), 0);
    for (at, character) in text.char_indices().chain([(text.len(), ' ')]) {
        folded(character, |part| match Letter::of(part) {
            Some(letter) => run.push(at..at + character.len_utf8(), part, letter),
            None => {
                if let Some((skeleton, range)) = run.end() {
                    place(words, segment, text, &mut next, &skeleton, &range);
                }
            }
        });
    }
}

/// A stretch of letters.
#[derive(Default)]
struct Run {
    letters: Vec<(char, Letter, Range<usize>)>,
}

impl Run {
    fn push(&mut self, range: Range<usize>, folded: char, letter: Letter) {
        // One more than allowed says that it is too long.
        if self.letters.len() <= LONGEST {
            self.letters.push((folded, letter, range));
        }
    }

    /// Its skeleton, when it is an unusual spelling.
    fn end(&mut self) -> Option<(String, Range<usize>)> {
        let mut letters = std::mem::take(&mut self.letters);
        if letters.len() > LONGEST {
            return None;
        }
        // At the end of a word they are what they are.
        while letters.last().is_some_and(|(folded, ..)| matches!(folded, '!' | '|' | '+')) {
            letters.pop();
        }
        let usual = |(_, letter, _): &(char, Letter, Range<usize>)| !letter.unusual;
        let unusual = letters.iter().any(|letter| !usual(letter)) && letters.iter().any(usual);
        let (first, last) = (letters.first()?, letters.last()?);
        unusual.then(|| (letters.iter().map(|(_, letter, _)| letter.skeleton).collect(), first.2.start..last.2.end))
    }
}

/// Calls `take` for what a character becomes; never, if it is left out.
fn folded(character: char, mut take: impl FnMut(char)) {
    if character.is_ascii() {
        if !is_invisible(character) {
            take(character.to_ascii_lowercase());
        }
        return;
    }
    let (entry, parts) = fold::folded(character);
    if entry.class == Class::Several {
        for (part, _) in parts {
            take(*part);
        }
    } else if let Ok(folded) = std::str::from_utf8(entry.bytes()) {
        folded.chars().for_each(take);
    }
}

/// Puts the token where the words it is made of stand. Tokens of the segment before `next`
/// are words of what was read before.
fn place(words: &mut Words, segment: usize, text: &str, next: &mut usize, skeleton: &str, range: &Range<usize>) {
    let (mut first, mut last) = (None, None);
    for (at, token) in words.tokens_of(segment).iter().enumerate().skip(*next) {
        // Tags, mentions and joined words follow the words they cover.
        if token.span > 1 || token.sigil != Sigil::Word {
            continue;
        }
        let original = words.original(segment, token, token, text);
        if original.start >= range.end {
            break;
        }
        if original.end <= range.start {
            *next = at + 1;
            continue;
        }
        first = first.or(Some(token.position));
        last = Some(token.position);
    }
    let (Some(first), Some(last)) = (first, last) else { return };
    let start = length(&words.folded);
    words.folded.extend_from_slice(skeleton.as_bytes());
    let span = u16::try_from(last + 1 - first).unwrap_or(u16::MAX);
    words.tokens.push(Token { start, end: length(&words.folded), position: first, span, sigil: Sigil::Fuzzy });
}

#[cfg(test)]
mod tests {
    use super::super::Words;
    use super::*;
    use crate::domain::post::Excerpt;

    fn fuzzy(text: &str) -> Vec<String> {
        let mut excerpt = Excerpt::default();
        excerpt.texts.push(text);
        let words = Words::of_post(&excerpt);
        let tokens = words.tokens().iter().filter(|token| token.sigil == Sigil::Fuzzy);
        tokens.map(|token| format!("{} {}+{}", words.folded(token), token.position, token.span)).collect()
    }

    #[test]
    fn unusual_spellings_are_read_beside_the_words() {
        for (text, expected) in [
            ("a sh00ter", vec!["shooter 1+1"]),
            ("a $hooter here", vec!["shooter 1+1"]),
            ("sh@@ter inside", vec!["shaater 0+2"]),
            ("\u{455}hooter", vec!["shooter 0+1"]),
            ("k1ll kill", vec!["klll 0+1"]),
            ("sh00ter!! now!", vec!["shooter 0+1"]),
            ("s\u{336}h\u{336}0\u{336}oter\u{336}", vec!["shooter 0+1"]),
            ("sh\u{f3}0ter！", vec!["shooter 0+1"]),
            ("@ann@host.example @sh00ter", vec!["aannahost 0+2", "ashooter 3+1"]),
            ("plain words, 1234", vec![]),
            ("наши люди", vec![]),
        ] {
            assert_eq!(fuzzy(text), expected, "{text}");
        }
        assert_eq!(skeleton("kill"), "klll");
    }
}
