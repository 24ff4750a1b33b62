//! Which of many queries a post satisfies, in one pass over its words.
//!
//! Every query is filed under a *cover*: a set of words of which a satisfying post
//! must contain at least one, chosen as rare as can be guessed. A post looks up its
//! words in one dictionary, collects the queries filed under them and evaluates
//! only those, exactly, on word numbers. The cost of a post grows with its words
//! and its candidates, not with the number of queries; nothing backtracks.
//!
//! Rejected: one automaton over all terms (it touches memory per byte instead of per
//! word, and needs boundary checks), and asking every query in turn.

use std::collections::HashMap;

use super::post::Excerpt;
use super::query::ast::{Kind, Node};
use super::query::{Query, Term};
use super::text::Words;

/// A query's place among those the matcher was built from.
pub type QueryIndex = usize;

/// Many queries, ready to be asked. Immutable; shared by all threads.
#[derive(Debug, Default)]
pub struct Matcher {
    dictionary: HashMap<String, u32>,
    /// Queries filed under each word.
    filed: Vec<Vec<u32>>,
    programs: Vec<Program>,
}

/// A query on word numbers.
#[derive(Debug)]
enum Program {
    Word(u32),
    Phrase(Box<[u32]>),
    All(Box<[Self]>),
    Any(Box<[Self]>),
    Not(Box<Self>),
}

/// Buffers of one thread, reused over posts.
#[derive(Debug, Default)]
pub struct Scratch {
    words: Words,
    /// The post's words as numbers; [`UNKNOWN`] for words no query knows, and
    /// between segments.
    numbers: Vec<u32>,
    candidates: Vec<u32>,
}

/// The number of every word that no query contains.
const UNKNOWN: u32 = u32::MAX;

impl Matcher {
    /// Files the queries. Their order gives them their indices.
    pub fn new<'a>(queries: impl IntoIterator<Item = &'a Query>) -> Self {
        let mut matcher = Self::default();
        for query in queries {
            let index = u32::try_from(matcher.programs.len()).unwrap_or(u32::MAX);
            for word in cover(&query.root, false).unwrap_or_default() {
                let number = matcher.number(word);
                if let Some(queries) = matcher.filed.get_mut(number as usize) {
                    queries.push(index);
                }
            }
            let program = matcher.compile(&query.root);
            matcher.programs.push(program);
        }
        matcher
    }

    /// Reads a post's words; the other methods then ask about it.
    pub fn read<'s>(&self, excerpt: &Excerpt, scratch: &'s mut Scratch) -> &'s Words {
        scratch.words.read(excerpt);
        scratch.numbers.clear();
        let mut segment = 0;
        for (word, place) in scratch.words.iter() {
            if place.segment != segment {
                segment = place.segment;
                scratch.numbers.push(UNKNOWN); // no phrase crosses segments
            }
            scratch.numbers.push(self.dictionary.get(word).copied().unwrap_or(UNKNOWN));
        }
        &scratch.words
    }

    /// The queries that the post just read satisfies and for which `wanted` holds,
    /// ascending.
    pub fn matches(&self, scratch: &mut Scratch, wanted: impl Fn(QueryIndex) -> bool) -> Vec<QueryIndex> {
        scratch.candidates.clear();
        for &number in scratch.numbers.iter().filter(|&&number| number != UNKNOWN) {
            scratch.candidates.extend(self.filed.get(number as usize).into_iter().flatten());
        }
        scratch.candidates.sort_unstable();
        scratch.candidates.dedup();
        let candidates = scratch.candidates.iter().map(|&index| index as usize);
        candidates.filter(|&index| wanted(index) && self.satisfies(scratch, index)).collect()
    }

    /// Whether the post just read satisfies one query.
    pub fn satisfies(&self, scratch: &Scratch, query: QueryIndex) -> bool {
        self.programs.get(query).is_some_and(|program| program.holds(&scratch.numbers))
    }

    fn number(&mut self, word: &str) -> u32 {
        if let Some(&number) = self.dictionary.get(word) {
            return number;
        }
        let number = u32::try_from(self.filed.len()).unwrap_or(UNKNOWN);
        self.dictionary.insert(word.to_owned(), number);
        self.filed.push(Vec::new());
        number
    }

    fn compile(&mut self, node: &Node) -> Program {
        match &node.kind {
            Kind::Term(term) => self.compile_term(term),
            Kind::List(_, terms) => Program::Any(terms.iter().map(|term| self.compile_term(term)).collect()),
            Kind::And(parts) => Program::All(parts.iter().map(|part| self.compile(part)).collect()),
            Kind::Or(parts) => Program::Any(parts.iter().map(|part| self.compile(part)).collect()),
            Kind::Not(part) => Program::Not(Box::new(self.compile(part))),
        }
    }

    fn compile_term(&mut self, term: &Term) -> Program {
        match term.words() {
            [word] => Program::Word(self.number(word)),
            words => Program::Phrase(words.iter().map(|word| self.number(word)).collect()),
        }
    }
}

impl Program {
    fn holds(&self, numbers: &[u32]) -> bool {
        match self {
            Self::Word(word) => numbers.contains(word),
            Self::Phrase(words) => numbers.windows(words.len()).any(|window| window == &**words),
            Self::All(parts) => parts.iter().all(|part| part.holds(numbers)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(numbers)),
            Self::Not(part) => !part.holds(numbers),
        }
    }
}

/// Words of which every post that satisfies the node (or, `negated`, fails it) has at
/// least one; none when a post without words could do it.
fn cover(node: &Node, negated: bool) -> Option<Vec<&str>> {
    match (&node.kind, negated) {
        (Kind::Not(part), _) => cover(part, !negated),
        (Kind::Term(_) | Kind::List(..), true) => None,
        (Kind::Term(term), false) => Some(vec![rarest(term)]),
        (Kind::List(_, terms), false) => Some(terms.iter().map(rarest).collect()),
        (Kind::And(parts), false) | (Kind::Or(parts), true) => {
            let covers = parts.iter().filter_map(|part| cover(part, negated));
            covers.min_by_key(|words| cost(words))
        }
        (Kind::Or(parts), false) | (Kind::And(parts), true) => {
            let covers: Option<Vec<_>> = parts.iter().map(|part| cover(part, negated)).collect();
            covers.map(|covers| covers.into_iter().flatten().collect())
        }
    }
}

/// How often a post will have one of the words: a guess by length, for long words
/// are rare in every language.
fn cost(words: &[&str]) -> usize {
    words.iter().map(|word| 1_000_000 / word.len().max(1).pow(3)).sum()
}

fn rarest(term: &Term) -> &str {
    term.words().iter().max_by_key(|word| word.len()).map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::organization::Organization;
    use super::super::post::{Excerpt, Post};
    use super::super::query::{Lists, explain, parse};
    use super::super::time::Timestamp;
    use super::*;

    /// The naive reading of a query: spaces around folded words, `contains`.
    fn naive(node: &Node, segments: &[String]) -> bool {
        let has = |term: &Term| segments.iter().any(|text| text.contains(&format!(" {} ", term.words().join(" "))));
        match &node.kind {
            Kind::Term(term) => has(term),
            Kind::List(_, terms) => terms.iter().any(has),
            Kind::And(parts) => parts.iter().all(|part| naive(part, segments)),
            Kind::Or(parts) => parts.iter().any(|part| naive(part, segments)),
            Kind::Not(part) => !naive(part, segments),
        }
    }

    fn post(text: &str, alt: &str) -> Excerpt {
        let plain = Post::plain("post".into(), "test".into(), "author".into(), text.to_owned(), Timestamp::default());
        Excerpt::of(&Post { media_text: vec![alt.to_owned()], ..plain })
    }

    fn folded(text: &str) -> String {
        let words = Words::of(text);
        format!(" {} ", words.iter().map(|(word, _)| word).collect::<Vec<_>>().join(" "))
    }

    /// Small alphabets, so that words meet.
    fn query_text() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            4 => "[a-e]{1,2}",
            2 => "[a-e]( [a-e]){1,2}".prop_map(|words| format!("\"{words}\"")),
            1 => Just("$org".to_owned()),
            1 => Just("病院".to_owned()),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" AND "))),
                prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" OR "))),
                inner.prop_map(|part| format!("NOT {part}")),
            ]
        })
    }

    fn post_text() -> impl Strategy<Value = String> {
        let word = prop_oneof![6 => "[a-e]{1,2}", 1 => Just("St. Brigid’s Hospital".to_owned()), 1 => Just("市民病院".to_owned())];
        prop::collection::vec(word, 0..14).prop_map(|words| words.join(" "))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn the_matcher_agrees_with_the_naive_reading_and_with_explain(
            texts in prop::collection::vec(query_text(), 1..8),
            text in post_text(),
            alt in post_text(),
        ) {
            let lists = Lists::of(&Organization::example());
            let queries: Vec<Query> = texts.iter().filter_map(|text| parse(text, &lists).ok()).collect();
            let matcher = Matcher::new(&queries);
            let post = post(&text, &alt);
            let mut scratch = Scratch::default();
            let words = matcher.read(&post, &mut scratch).clone();
            let found = matcher.matches(&mut scratch, |_| true);
            let segments = [folded(&text), folded(&alt)];
            for (index, query) in queries.iter().enumerate() {
                let expected = naive(&query.root, &segments);
                prop_assert_eq!(found.contains(&index), expected, "{} on {:?}", query.text, &segments);
                prop_assert_eq!(explain::explain(query, &words).satisfied, expected, "explain {}", query.text);
            }
        }
    }
}
