//! Texts are read as the slow reading defines it: words, tags, mentions, unusual spellings,
//! where each stands in the original, and the text that regular expressions see.

use proptest::strategy::{Strategy as _, ValueTree as _};
use stormbell::domain::post::Excerpt;
use stormbell::domain::text::{Sigil, Words};

use crate::slow::{self, Token};
use crate::{cases, invent, inventor, shrink};

/// A text as it is read: tokens by their places, and the normalised text.
#[derive(Debug, PartialEq, Eq)]
struct Read(Vec<Token>, String);

impl Read {
    fn new(mut tokens: Vec<Token>, normalised: String) -> Self {
        for token in tokens.iter_mut().filter(|token| token.sigil == Sigil::Fuzzy) {
            // What an unusual spelling stands for is nowhere in the text.
            token.original = 0..0;
        }
        tokens.sort_by_key(|token| (token.start, token.end, token.sigil, token.word.clone()));
        Self(tokens, normalised)
    }
}

/// The texts of a post as they should be read.
fn defined(texts: &[String]) -> Vec<Read> {
    let read = texts.iter().map(|text| slow::read(text));
    read.map(|reading| Read::new(reading.tokens, reading.normalised)).collect()
}

/// The texts of a post as `domain::text` reads them.
fn read(texts: &[String]) -> Vec<Read> {
    let mut post = Excerpt::default();
    for text in texts {
        post.texts.push(text);
    }
    let mut words = Words::default();
    words.read(&post);
    words.read_fuzzy(&post);
    let mut read: Vec<Vec<Token>> = vec![Vec::new(); texts.len()];
    for token in words.tokens() {
        let segment = words.segment_at(token.position);
        let first = words.tokens_of(segment)[0].position;
        let start = (token.position - first) as usize;
        let original = words.original(segment, token, token, &texts[segment]);
        let (end, word) = (start + usize::from(token.span), words.folded(token).to_owned());
        read[segment].push(Token { start, end, sigil: token.sigil, word, original });
    }
    let normalised = |segment| words.normalised(segment).to_owned();
    read.into_iter().enumerate().map(|(segment, tokens)| Read::new(tokens, normalised(segment))).collect()
}

#[test]
fn texts_are_read_as_defined() {
    let mut runner = inventor();
    for _ in 0..cases(4000) {
        let texts = proptest::collection::vec(invent::text(8), 1..4);
        let mut tree = texts.new_tree(&mut runner).unwrap();
        if read(&tree.current()) != defined(&tree.current()) {
            shrink(&mut tree, |texts| read(texts) != defined(texts));
            let texts = tree.current();
            assert_eq!(read(&texts), defined(&texts), "{texts:?}");
        }
    }
}

#[test]
fn a_text_of_any_characters_is_read_without_losing_a_place() {
    let mut runner = inventor();
    for _ in 0..cases(4000) {
        let text = "\\PC{0,40}".new_tree(&mut runner).unwrap().current();
        let [Read(tokens, _)] = read(std::slice::from_ref(&text)).try_into().unwrap();
        for token in tokens.iter().filter(|token| token.sigil != Sigil::Fuzzy) {
            assert!(!token.word.is_empty() && token.start < token.end, "{token:?} in {text:?}");
            let original = text.get(token.original.clone());
            assert!(original.is_some_and(|original| !original.is_empty()), "{token:?} in {text:?}");
            // Read alone, each word is that word.
            if token.sigil == Sigil::Word && token.end == token.start + 1 {
                assert_eq!(words_of(&token.word).concat(), token.word, "{token:?} in {text:?}");
            }
        }
    }
}

fn words_of(text: &str) -> Vec<String> {
    Words::of(text).words().map(|(word, _)| word.to_owned()).collect()
}
