//! Which of many queries a post satisfies, in one pass over its words.
//!
//! Every query is filed under numbers of which a satisfying post must contain at least
//! one, chosen as rare as can be told: a word, the beginning of one, two words together,
//! a hashtag, a list, an author, a linked domain, a piece that a regular expression needs.
//! A post looks up its tokens in one dictionary, collects the queries filed under what it
//! contains and asks only those, exactly. The cost of a post grows with its words and its
//! candidates, not with the number of queries; nothing backtracks.
//!
//! Rejected: one automaton over all terms (it touches memory per byte instead of per
//! word, and needs boundary checks), asking every query in turn, and normal forms (a rule
//! of nested ORs and ANDs would explode).

mod frequency;
mod index;
mod keys;
mod phrases;
mod pieces;
mod plan;
mod prefixes;
mod program;
mod rows;
mod sightings;
mod stems;

use super::post::Excerpt;
use super::query::Query;
use super::text::Words;
use index::{Buffers, FILED, Index, media};
use keys::Number;
use plan::{Filed, Planner};
use program::{Asker, Memory, Op};
use rows::Rows;
use sightings::Sightings;

/// A query's place among those the matcher was built from.
pub type QueryIndex = usize;

/// Many queries, ready to be asked. Immutable; shared by all threads.
#[derive(Debug, Default)]
pub struct Matcher {
    index: Index,
    /// Where each query's program begins, and whether it reads media descriptions.
    programs: Vec<(u32, Reads)>,
    /// The queries filed under each number.
    postings: Rows<Posting>,
    /// Queries of which nothing can be told: asked about every post.
    always: Vec<u32>,
}

/// What a query reads of a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    All,
    TextOnly,
}

/// A query filed under a number.
#[derive(Clone, Copy, Debug)]
struct Posting {
    /// The query, and in its upper two bits [`TEXT_ONLY`] and [`SEVERAL`].
    query: u32,
    /// Without this number it cannot be satisfied; [`NONE`] if there is no such.
    need: Number,
    /// What decides then; [`NONE`] if nothing is left to decide.
    program: u32,
}

const NONE: u32 = u32::MAX;
/// It does not read media descriptions.
const TEXT_ONLY: u32 = 1 << 31;
/// It is filed under several numbers, so that it may be met again.
const SEVERAL: u32 = 1 << 30;

impl Posting {
    const fn query(self) -> u32 {
        self.query & !(TEXT_ONLY | SEVERAL)
    }

    const fn reads(self) -> Reads {
        if self.query & TEXT_ONLY == 0 { Reads::All } else { Reads::TextOnly }
    }
}

/// Buffers of one thread, reused over posts.
#[derive(Debug, Default)]
pub struct Scratch {
    words: Words,
    sightings: Sightings,
    buffers: Buffers,
    memory: Memory,
    /// For each query, the last post that had it as a candidate.
    met: Vec<u32>,
    post: u32,
}

impl Matcher {
    /// Files queries, whose order gives them their indices.
    pub fn new<'q>(queries: impl IntoIterator<Item = &'q Query>) -> Self {
        Self::with_others(queries, [])
    }

    /// Files queries, and knows others that follow them in the order but are only asked by
    /// name, with [`Matcher::satisfies`].
    pub fn with_others<'q>(
        queries: impl IntoIterator<Item = &'q Query>,
        others: impl IntoIterator<Item = &'q Query>,
    ) -> Self {
        let mut planner = Planner::default();
        let mut programs = Vec::new();
        let (mut postings, mut always) = (Vec::new(), Vec::new());
        let filed = queries.into_iter().map(|query| (query, true));
        for (query, is_filed) in filed.chain(others.into_iter().map(|query| (query, false))) {
            let (number, start) = (place(&programs), place(&planner.index.parts.ops));
            let reads = if query.text_only { Reads::TextOnly } else { Reads::All };
            programs.push((start, reads));
            let Filed { under, need, left } = planner.plan(query);
            match under.filter(|_| is_filed) {
                Some(under) => {
                    let (need, program) = (need.unwrap_or(NONE), left.map_or(NONE, |left| start + left));
                    let text_only = if query.text_only { TEXT_ONLY } else { 0 };
                    let several = if under.len() > 1 { SEVERAL } else { 0 };
                    let posting = Posting { query: number | text_only | several, need, program };
                    postings.extend(under.into_iter().map(|under| (under, posting)));
                }
                None if is_filed => always.push(number),
                None => {}
            }
        }
        programs.shrink_to_fit();
        let index = planner.finish(postings.iter().map(|(under, _)| *under));
        let postings = Rows::new(index.keys.len(), postings);
        Self { index, programs, postings, always }
    }

    /// The filed queries that a post satisfies, ascending.
    pub fn matches(&self, post: &Excerpt, scratch: &mut Scratch) -> Vec<QueryIndex> {
        scratch.words.read(post);
        if self.index.reads_fuzzy {
            scratch.words.read_fuzzy(post);
        }
        let Scratch { words, sightings, buffers, .. } = scratch;
        self.index.read(post, words, sightings, buffers);
        scratch.memory.clear(self.index.parts.lists.len());
        scratch.next_post(self.programs.len());
        let mut found = Vec::new();
        self.ask(post, scratch, &mut found);
        found.sort_unstable();
        found
    }

    /// Whether the post last given to [`Matcher::matches`] satisfies one query.
    pub fn satisfies(&self, post: &Excerpt, scratch: &mut Scratch, query: QueryIndex) -> bool {
        self.programs.get(query).is_some_and(|&(program, reads)| self.holds(post, scratch, program, reads))
    }

    fn holds(&self, post: &Excerpt, scratch: &mut Scratch, program: u32, reads: Reads) -> bool {
        let Scratch { words, sightings, memory, .. } = scratch;
        let unread = if reads == Reads::TextOnly { media(post, words) } else { 0..0 };
        let program: &[Op] = self.index.parts.ops.get(program as usize..).unwrap_or_default();
        Asker { parts: &self.index.parts, sightings, words, post, memory, unread }.holds(program)
    }

    /// Asks the queries that a post brings up.
    fn ask(&self, post: &Excerpt, scratch: &mut Scratch, found: &mut Vec<QueryIndex>) {
        for at in 0..scratch.sightings.distinct().len() {
            let Some(&number) = scratch.sightings.distinct().get(at) else { break };
            if !self.index.has(number, FILED) {
                continue;
            }
            for posting in self.postings.of(number) {
                if self.takes(posting, post, scratch) {
                    found.push(posting.query() as usize);
                }
            }
        }
        for &query in &self.always {
            if self.satisfies(post, scratch, query as usize) {
                found.push(query as usize);
            }
        }
    }

    #[inline]
    fn takes(&self, posting: &Posting, post: &Excerpt, scratch: &mut Scratch) -> bool {
        (posting.need == NONE || scratch.sightings.has(posting.need))
            && (posting.query & SEVERAL == 0 || scratch.meet(posting.query()))
            && (posting.program == NONE || self.holds(post, scratch, posting.program, posting.reads()))
    }
}

impl Scratch {
    /// The words of the post last given to [`Matcher::matches`].
    pub const fn words(&self) -> &Words {
        &self.words
    }

    fn next_post(&mut self, queries: usize) {
        if self.met.len() < queries {
            self.met.resize(queries, 0);
        }
        self.post = self.post.wrapping_add(1);
        if self.post == 0 {
            // Four billion posts later, marks of the first ones would look fresh.
            self.met.fill(0);
            self.post = 1;
        }
    }

    /// Whether this post meets a query for the first time.
    fn meet(&mut self, query: u32) -> bool {
        self.met.get_mut(query as usize).is_some_and(|met| std::mem::replace(met, self.post) != self.post)
    }
}

fn place<T>(list: &[T]) -> u32 {
    u32::try_from(list.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::organization::Organization;
    use crate::domain::query::{Lists, Term, explain::explain, parse};

    fn lists() -> Lists {
        let mut lists = Lists::of(&Organization::example());
        let terms = |texts: &[&str]| texts.iter().map(|text| Term::parse(text).unwrap()).collect::<Vec<_>>();
        lists.insert("few", terms(&["a", "b c", "aab*", "#ab", "{Ab}", "病院"]));
        lists.insert("plain", terms(&["a", "bb", "cc"]));
        lists.insert("odd", terms(&["aa", "a b"]).into_iter().map(Term::fuzzy).collect());
        lists
    }

    /// Small alphabets, so that words meet.
    fn place() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            6 => "[a-e]{1,2}",
            2 => "[a-e]( [a-e]){1,2}".prop_map(|words| format!("\"{words}\"")),
            1 => "[a-e]( [a-e]){0,2}".prop_map(|words| format!("\"{words}\"~2")),
            1 => "[a-c]{3}\\*|[a-c]\\?[a-c]|\"[a-c] [a-c]\\?[a-c]\"",
            1 => "\\{[ABab]{1,2}( [abAB])?\\}",
            1 => prop::sample::select(vec!["$org", "$few", "$plain", "$odd", "病院", "#ab", "#abb?", "@ann.example", "{Ab}"])
                .prop_map(str::to_owned),
        ];
        leaf.prop_recursive(2, 6, 2, |inner| {
            prop_oneof![
                3 => (inner.clone(), inner.clone(), 0..4_u32, any::<bool>()).prop_map(|(a, b, distance, ordered)| {
                    format!("({a} {}NEAR/{distance} {b})", if ordered { "O" } else { "" })
                }),
                1 => (inner.clone(), inner).prop_map(|(a, b)| format!("({a} OR {b})")),
            ]
        })
    }

    fn query() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            12 => place(),
            1 => prop::sample::select(vec![
                "lang:en", "kind:post", "from:ann", "link:b.example", "has:link", "tag:ab", "/a+b/", "/\\bab/", "/\\bc\\b/",
                "/b c|d[de]/", "/\\d/", "/a.c/",
            ])
            .prop_map(str::to_owned),
        ];
        let tree = leaf.prop_recursive(4, 16, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" AND "))),
                prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| format!("({})", parts.join(" OR "))),
                inner.prop_map(|part| format!("NOT {part}")),
            ]
        });
        (tree, prop::bool::weighted(0.1)).prop_map(|(tree, text)| if text { format!("in:text {tree}") } else { tree })
    }

    fn text() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            12 => "[a-e]{1,2}",
            2 => "[a-c]{3,4}|[ABab]{1,2}|a4|@b",
            1 => prop::sample::select(vec![
                "St. Brigid’s Hospital", "市民病院", "#AbBb", "#Ab", "#AaB_Cc", "@ann.example", "http://a.b.example/c", "á'b",
            ])
            .prop_map(str::to_owned),
        ];
        prop::collection::vec(word, 0..14).prop_map(|words| words.join(" "))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]
        #[test]
        fn the_matcher_finds_what_explain_explains(
            texts in prop::collection::vec(query(), 1..12),
            posts in prop::collection::vec((text(), text(), "[a-c]{2}", any::<bool>()), 1..8),
        ) {
            let lists = lists();
            let queries: Vec<Query> = texts.iter().filter_map(|text| parse(text, &lists).ok()).collect();
            let matcher = Matcher::new(&queries);
            let mut scratch = Scratch::default();
            for (text, alt, tag, odd) in posts {
                let mut post = Excerpt::default();
                post.texts.push(&text);
                post.texts.push(&alt);
                post.tags.push(&tag);
                post.lang.push(if odd { "en" } else { "fr" });
                post.author.push_str(if odd { "Ann" } else { "bob" });
                let found = matcher.matches(&post, &mut scratch);
                let words = Words::of_post(&post);
                for (index, query) in queries.iter().enumerate() {
                    let expected = explain(query, &words, &post).satisfied;
                    prop_assert_eq!(found.contains(&index), expected, "{} on {:?}", query.text, &post);
                    prop_assert_eq!(matcher.satisfies(&post, &mut scratch, index), expected);
                }
            }
        }
    }
}
