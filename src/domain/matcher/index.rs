//! Reading a post: from its tokens to the numbers that occur in it.

use std::ops::Range;

use regex_automata::{Input, MatchKind, PatternSet, meta};
use regex_syntax::hir::Hir;

use super::keys::{Keys, Number, Space};
use super::phrases::{Phrases, Walk};
use super::pieces::Pieces;
use super::program::Parts;
use super::rows::Rows;
use super::sightings::{Sightings, Span};
use super::stems::Stems;
use crate::domain::post::Excerpt;
use crate::domain::query::field::hosts;
use crate::domain::text::{Token, Words, spelling};

/// Other numbers occur wherever this one does.
pub(super) const ALIASES: u8 = 1;
/// It matters how this word is spelt.
pub(super) const SPELT: u8 = 2;
/// Queries are filed under it.
pub(super) const FILED: u8 = 8;

/// All that queries look for, by what stands in a post.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) keys: Keys,
    pub(super) parts: Parts,
    /// For each number, what else to do where it occurs.
    pub(super) flags: Vec<u8>,
    pub(super) aliases: Rows<Number>,
    /// Spellings of a word.
    pub(super) spelt: Rows<(Box<str>, Number)>,
    pub(super) phrases: Phrases,
    pub(super) stems: Stems,
    pub(super) pieces: Pieces,
    /// Expressions without a piece of text to look for, loosened; and what finds them all.
    pub(super) loose: Vec<(Hir, Number)>,
    pub(super) looser: Option<Looser>,
    pub(super) reads_fuzzy: bool,
    pub(super) reads_authors: bool,
    pub(super) reads_hosts: bool,
}

/// Buffers for reading a post, reused.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    walk: Walk,
    folded: String,
}

/// One automaton for many loosened expressions.
#[derive(Debug)]
pub(super) struct Looser {
    any: meta::Regex,
}

impl Looser {
    pub(super) fn new(loose: &[(Hir, Number)]) -> Option<Self> {
        let expressions: Vec<&Hir> = loose.iter().map(|(hir, _)| hir).collect();
        // Each was found small enough when its rule was read. All that match are wanted, not the
        // first one alone.
        let config = meta::Config::new().nfa_size_limit(None).match_kind(MatchKind::All);
        let any = || meta::Builder::new().configure(config).build_many_from_hir(&expressions).ok();
        if loose.is_empty() { None } else { any().map(|any| Self { any }) }
    }
}

impl Index {
    /// Notes all numbers that occur in a post, after `words` were read from it.
    pub(super) fn read(&self, post: &Excerpt, words: &Words, sightings: &mut Sightings, buffers: &mut Buffers) {
        let Buffers { walk, folded } = buffers;
        sightings.clear();
        if self.reads_authors {
            for name in [&post.author, &post.handle] {
                self.named(Space::AUTHOR, name, folded, sightings);
            }
        }
        if self.reads_hosts {
            for host in hosts(post) {
                self.host(host, folded, sightings);
            }
        }
        let stems = !self.stems.is_empty();
        for token in words.tokens() {
            let bytes = words.bytes(token);
            let head = words.head(token);
            let found = self.keys.find_headed(Space::token(token.sigil), head, bytes);
            if let Some((number, flags)) = found {
                sightings.push(number, span(token));
                if flags & (ALIASES | SPELT) != 0 {
                    self.others(number, token, words, post, sightings);
                }
            }
            if stems {
                self.stems.find(token.sigil, head, bytes, |number| self.push(number, span(token), sightings));
            }
        }
        sightings.sort();
        if !self.phrases.is_empty() {
            self.phrases.read(sightings, &self.flags, walk);
            for (number, span) in self.phrases.found(walk) {
                self.push(number, span, sightings);
            }
        }
        if !self.pieces.is_empty() {
            self.pieces(post, words, sightings);
        }
        if let Some(looser) = &self.looser {
            self.loose(looser, post, words, sightings);
        }
        sightings.index();
    }

    /// Notes expressions that may match, of those that nothing else tells of.
    fn loose(&self, looser: &Looser, post: &Excerpt, words: &Words, sightings: &mut Sightings) {
        for segment in 0..post.texts.len() {
            let begin = words.position_of(segment);
            let text = words.normalised_bytes(segment);
            if !looser.any.is_match(text) {
                continue;
            }
            let mut matching = PatternSet::new(self.loose.len());
            looser.any.which_overlapping_matches(&Input::new(text), &mut matching);
            for pattern in matching.iter() {
                if let Some(&(_, number)) = self.loose.get(pattern.as_usize()) {
                    self.push(number, Span { begin, end: begin }, sightings);
                }
            }
        }
    }

    #[inline]
    pub(super) fn has(&self, number: Number, flag: u8) -> bool {
        self.flags.get(number as usize).is_some_and(|flags| flags & flag != 0)
    }

    /// Notes a number and all that occur with it.
    fn push(&self, number: Number, span: Span, sightings: &mut Sightings) {
        sightings.push(number, span);
        if self.has(number, ALIASES) {
            for &alias in self.aliases.of(number) {
                self.push(alias, span, sightings);
            }
        }
    }

    /// Notes all that occurs with a word: aliases, and spellings that are this one.
    fn others(&self, number: Number, token: &Token, words: &Words, post: &Excerpt, sightings: &mut Sightings) {
        for &alias in self.aliases.of(number) {
            self.push(alias, span(token), sightings);
        }
        let spellings = self.spelt.of(number);
        if spellings.is_empty() {
            return;
        }
        let segment = words.segment_at(token.position);
        let text = post.texts.get(segment).unwrap_or_default();
        let written = spelling(text.get(words.original(segment, token, token, text)).unwrap_or_default());
        for (wanted, exact) in spellings {
            if **wanted == *written {
                self.push(*exact, span(token), sightings);
            }
        }
    }

    /// Notes pieces of text, once for each text they are in.
    fn pieces(&self, post: &Excerpt, words: &Words, sightings: &mut Sightings) {
        for segment in 0..post.texts.len() {
            let begin = words.position_of(segment);
            self.pieces.find(words.normalised_bytes(segment), |number| {
                self.push(number, Span { begin, end: begin }, sightings);
            });
        }
    }

    /// Notes a name whatever its case.
    fn named(&self, space: Space, name: &str, folded: &mut String, sightings: &mut Sightings) {
        folded.clear();
        folded.push_str(name);
        folded.make_ascii_lowercase();
        if let Some((number, _)) = self.keys.find(space, folded.as_bytes()) {
            self.push(number, Span { begin: 0, end: 0 }, sightings);
        }
    }

    /// Notes a host and the domains above it.
    fn host(&self, host: &str, folded: &mut String, sightings: &mut Sightings) {
        let mut rest = Some(host);
        while let Some(domain) = rest {
            self.named(Space::HOST, domain, folded, sightings);
            rest = domain.split_once('.').map(|(_, above)| above);
        }
    }
}

fn span(token: &Token) -> Span {
    Span { begin: token.position, end: token.position + u32::from(token.span) }
}

/// The positions of media descriptions, which a query that says `in:text` does not read.
pub(super) fn media(post: &Excerpt, words: &Words) -> Range<u32> {
    words.position_of(1)..words.position_of(post.texts.len().max(1))
}
