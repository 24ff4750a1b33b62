//! Where terms stand in a post: the obvious way, one term at a time.
//!
//! Used to explain decisions, not to make them; `crate::domain::matcher` finds the same
//! places for many terms at once.

use std::ops::Range;

use super::term::{Pattern, Spelt, Term, TermForm};
use crate::domain::post::Excerpt;
use crate::domain::text::{Sigil, Token, Words, skeleton, spelling};

/// A stretch of a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The tokens at its ends.
    pub(super) first: Token,
    pub(super) last: Token,
}

impl Place {
    fn of(token: Token) -> Self {
        Self { first: token, last: token }
    }

    pub(super) fn begin(&self) -> u32 {
        self.first.position
    }

    pub(super) fn end(&self) -> u32 {
        end(&self.last)
    }

    /// Positions between two places; none when they overlap or, in order, when the other
    /// does not come after this one.
    pub(super) fn gap(&self, other: &Self, ordered: bool) -> Option<u32> {
        let after = other.begin().checked_sub(self.end());
        let before = self.begin().checked_sub(other.end()).filter(|_| !ordered);
        after.or(before)
    }
}

fn end(token: &Token) -> u32 {
    token.position + u32::from(token.span)
}

/// A post's tokens by what they are and where they stand.
pub(super) struct Index<'a> {
    words: &'a Words,
    pub(super) post: &'a Excerpt,
    text_only: bool,
    /// By kind and name, then as in the post.
    named: Vec<(Sigil, &'a [u8], Token)>,
    /// By their first position.
    placed: Vec<Token>,
}

impl<'a> Index<'a> {
    pub(super) fn new(words: &'a Words, post: &'a Excerpt, text_only: bool) -> Self {
        let mut index = Self { words, post, text_only, named: Vec::new(), placed: Vec::new() };
        for segment in (0..words.segments()).filter(|&segment| index.reads(segment)).collect::<Vec<_>>() {
            index.placed.extend(words.tokens_of(segment));
        }
        let texts = post.texts.len();
        let fuzzy = words.tokens().iter().filter(|token| token.sigil == Sigil::Fuzzy);
        let fuzzy: Vec<Token> =
            fuzzy.filter(|token| index.reads(words.segment_at(token.position).min(texts))).copied().collect();
        index.placed.extend(fuzzy);
        index.placed.sort_by_key(|token| token.position);
        index.named = index.placed.iter().map(|token| (token.sigil, words.bytes(token), *token)).collect();
        index.named.sort_by(|one, other| (one.0, one.1).cmp(&(other.0, other.1)));
        index
    }

    /// The tokens of that kind and name.
    fn named(&self, sigil: Sigil, name: &str) -> impl Iterator<Item = &Token> {
        let start = self.named.partition_point(|(of, known, _)| (*of, *known) < (sigil, name.as_bytes()));
        let named = self.named.get(start..).unwrap_or_default().iter();
        named.take_while(move |(of, known, _)| *of == sigil && *known == name.as_bytes()).map(|(_, _, token)| token)
    }

    /// The tokens that begin there.
    fn starting(&self, position: u32) -> impl Iterator<Item = &Token> {
        let start = self.placed.partition_point(|token| token.position < position);
        self.placed.get(start..).unwrap_or_default().iter().take_while(move |token| token.position == position)
    }

    /// Whether the query looks at a segment: media descriptions can be left out.
    fn reads(&self, segment: usize) -> bool {
        !self.text_only || segment == 0 || segment >= self.post.texts.len()
    }

    /// The texts the query looks at, with their segments.
    pub(super) fn texts(&self) -> impl Iterator<Item = (usize, &'a str)> {
        let texts = (0..self.post.texts.len()).filter(|&segment| self.reads(segment));
        texts.map(|segment| (segment, self.words.normalised(segment)))
    }

    /// Where a place stands in the original.
    pub(super) fn original(&self, place: &Place) -> (usize, Range<usize>) {
        let segment = self.words.segment_at(place.begin());
        let text = self.post.texts.get(segment).unwrap_or_default();
        // What an unusual spelling stands for is nowhere in the text; its words are.
        let written = |token: Token, position: u32| match token.sigil {
            Sigil::Fuzzy => self.starting(position).next().copied().unwrap_or(token),
            _ => token,
        };
        let first = written(place.first, place.first.position);
        let last = written(place.last, place.end().saturating_sub(1));
        (segment, self.words.original(segment, &first, &last, text))
    }

    /// Where a stretch of normalised text stands in the original.
    pub(super) fn original_bytes(&self, segment: usize, normalised: &Range<usize>) -> Range<usize> {
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let text = self.post.texts.get(segment).unwrap_or_default();
        self.words.original_bytes(segment, number(normalised.start)..number(normalised.end), text)
    }

    /// All places of a term, in the order of the post.
    pub(super) fn places(&self, term: &Term) -> Vec<Place> {
        let mut places = match &term.form {
            TermForm::Phrase(words) => {
                let first = words.first().map_or_else(Vec::new, |first| self.tokens(first));
                self.rows(first, words, |pattern, token| self.is(pattern, token))
            }
            TermForm::Fuzzy(words) => {
                let spellings = |word: &str| {
                    let known = skeleton(word);
                    let plain = self.named(Sigil::Word, word).copied();
                    plain.chain(self.named(Sigil::Fuzzy, &known).copied()).collect()
                };
                let first = words.first().map_or_else(Vec::new, |first| spellings(first));
                self.rows(first, words, |word, token| self.is_fuzzy(word, token))
            }
            TermForm::Exact(words) => {
                let named = |spelt: &Spelt| self.named(Sigil::Word, &spelt.word).copied().collect();
                let first: Vec<Token> = words.first().map_or_else(Vec::new, named);
                self.rows(first, words, |spelt, token| self.is_spelt(spelt, token))
            }
            TermForm::Sloppy { words, slack } => self.stretches(words, *slack),
            TermForm::Token(sigil, pattern) => {
                let tokens = self.placed.iter().filter(|token| token.sigil == *sigil);
                tokens.filter(|token| pattern.finds(self.words.folded(token))).copied().map(Place::of).collect()
            }
        };
        if let Some(joined) = term.joined() {
            places.extend(self.named(Sigil::Tag, &joined).copied().map(Place::of));
        }
        places.sort_unstable_by_key(|place| (place.begin(), place.end()));
        places.dedup_by_key(|place| (place.begin(), place.end()));
        places
    }

    /// The words of a term that are somewhere in the post.
    pub(super) fn present<'t>(&self, term: &'t Term) -> Vec<&'t str> {
        let (TermForm::Phrase(words) | TermForm::Sloppy { words, .. }) = &term.form else { return Vec::new() };
        words.iter().filter(|pattern| !self.tokens(pattern).is_empty()).map(Pattern::as_str).collect()
    }

    fn is(&self, pattern: &Pattern, token: &Token) -> bool {
        token.sigil == Sigil::Word && pattern.finds(self.words.folded(token))
    }

    fn is_fuzzy(&self, word: &str, token: &Token) -> bool {
        match token.sigil {
            Sigil::Word => self.words.folded(token) == word,
            Sigil::Fuzzy => self.words.folded(token) == skeleton(word),
            Sigil::Tag | Sigil::Mention => false,
        }
    }

    fn is_spelt(&self, spelt: &Spelt, token: &Token) -> bool {
        let written = || {
            let (segment, original) = self.original(&Place::of(*token));
            let text = self.post.texts.get(segment).unwrap_or_default();
            spelling(text.get(original).unwrap_or_default())
        };
        token.sigil == Sigil::Word && *self.words.folded(token) == *spelt.word && written() == *spelt.spelling
    }

    /// Tokens that follow each other, the first one of these, each of the others as `fits` wants it.
    fn rows<T>(&self, first: Vec<Token>, wanted: &[T], fits: impl Fn(&T, &Token) -> bool) -> Vec<Place> {
        let Some((begin, rest)) = wanted.split_first() else { return Vec::new() };
        let begins = first.into_iter().filter(|token| fits(begin, token));
        let mut rows: Vec<Place> = begins.map(Place::of).collect();
        for wanted in rest {
            let next = |row: Place| {
                let after = self.starting(row.end()).filter(|token| fits(wanted, token));
                after.map(move |&last| Place { last, ..row }).collect::<Vec<_>>()
            };
            rows = rows.into_iter().flat_map(next).collect();
        }
        rows
    }

    /// The shortest stretches that hold all words, from each start.
    fn stretches(&self, words: &[Pattern], slack: u32) -> Vec<Place> {
        let longest = u32::try_from(words.len()).unwrap_or(u32::MAX).saturating_add(slack);
        let lists: Vec<Vec<Token>> = words.iter().map(|word| self.tokens(word)).collect();
        let starts = lists.iter().flatten().copied();
        let stretches = starts.filter_map(|first| {
            // Of each word the occurrence that ends first, at or after the start.
            let nearest = lists.iter().map(|list| {
                let after = list.partition_point(|token| token.position < first.position);
                let after = list.get(after..).unwrap_or_default().iter();
                after
                    .take_while(|token| token.position < first.position + longest)
                    .min_by_key(|token| end(token))
                    .copied()
            });
            let nearest: Vec<Token> = nearest.collect::<Option<_>>()?;
            let last = nearest.into_iter().max_by_key(end)?;
            (end(&last) - first.position <= longest).then_some(Place { first, last })
        });
        stretches.collect()
    }

    /// The tokens of a word, in order.
    fn tokens(&self, pattern: &Pattern) -> Vec<Token> {
        let mut tokens: Vec<Token> = match pattern.word() {
            Some(word) => self.named(Sigil::Word, word).copied().collect(),
            None => self.placed.iter().filter(|token| self.is(pattern, token)).copied().collect(),
        };
        tokens.sort_unstable_by_key(|token| (token.position, token.span));
        tokens
    }
}
