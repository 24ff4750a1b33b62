//! Unusual spellings: what `sh00ter`, `$hooter` or a Cyrillic `ѕhooter` stand for.
//!
//! Only lists that say `fuzzy = true` look at this. A stretch of letters, digits and
//! signs that people use as letters, with at least one Latin letter and at least one that
//! is unusual, becomes a token of its own kind beside its words. Compared is the
//! *skeleton*: look-alikes as the Latin letter they look like, `i` and `l` as one letter
//! because `1`, `!` and `|` stand for both.

use std::ops::Range;

use super::fold::{Page, is_invisible};
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
    let mut run = Run::default();
    for (at, character) in text.char_indices().chain([(text.len(), ' ')]) {
        let folded = folded(character);
        match folded.and_then(Letter::of) {
            Some(letter) => run.push(at..at + character.len_utf8(), letter),
            None if is_invisible(character) => {}
            None => {
                if let Some((skeleton, range)) = run.end(text) {
                    place(words, segment, text, &skeleton, &range);
                }
            }
        }
    }
}

/// A stretch of letters.
#[derive(Default)]
struct Run {
    letters: Vec<(Letter, Range<usize>)>,
}

impl Run {
    fn push(&mut self, range: Range<usize>, letter: Letter) {
        // One more than allowed says that it is too long.
        if self.letters.len() <= LONGEST {
            self.letters.push((letter, range));
        }
    }

    /// Its skeleton, when it is an unusual spelling.
    fn end(&mut self, text: &str) -> Option<(String, Range<usize>)> {
        let mut letters = std::mem::take(&mut self.letters);
        if letters.len() > LONGEST {
            return None;
        }
        // At the end of a word they are what they are.
        while letters.last().is_some_and(|(_, at)| matches!(text.get(at.clone()), Some("!" | "|" | "+"))) {
            letters.pop();
        }
        let usual = |(letter, _): &(Letter, Range<usize>)| !letter.unusual;
        let unusual = letters.iter().any(|letter| !usual(letter)) && letters.iter().any(usual);
        let (first, last) = (letters.first()?, letters.last()?);
        unusual.then(|| (letters.iter().map(|(letter, _)| letter.skeleton).collect(), first.1.start..last.1.end))
    }
}

fn folded(character: char) -> Option<char> {
    if character.is_ascii() {
        return Some(character.to_ascii_lowercase()).filter(|&c| c != '\'' && c != '`');
    }
    std::str::from_utf8(Page::of(character).get(character).bytes()).ok()?.chars().next().or(Some(character))
}

/// Puts the token where the words it is made of stand.
fn place(words: &mut Words, segment: usize, text: &str, skeleton: &str, range: &Range<usize>) {
    let covers = |token: &&Token| {
        let original = words.original(segment, token, token, text);
        token.span == 1 && token.sigil == Sigil::Word && original.start < range.end && range.start < original.end
    };
    // Tokens are in the order of the text.
    let tokens = words.tokens_of(segment);
    let from = tokens.partition_point(|token| words.original(segment, token, token, text).end <= range.start);
    let near = tokens.get(from..).unwrap_or_default().iter().take(2 * LONGEST);
    let (mut first, mut last) = (None, None);
    for token in near.filter(covers) {
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
        let mut words = Words::default();
        words.read(&excerpt);
        words.read_fuzzy(&excerpt);
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
            ("plain words, 1234", vec![]),
            ("наши люди", vec![]),
        ] {
            assert_eq!(fuzzy(text), expected, "{text}");
        }
        assert_eq!(skeleton("kill"), "klll");
    }
}
