//! Made-up queries on made-up posts: the definition, the explanation and the matcher say
//! the same, and a query is refused exactly if it asks for nothing in particular.

use proptest::strategy::{Strategy as _, ValueTree as _};
use stormbell::domain::matcher::{Matcher, Scratch};
use stormbell::domain::post::Excerpt;
use stormbell::domain::query::explain::explain;
use stormbell::domain::query::{self, Query};
use stormbell::domain::text::Words;

use crate::naive::{self, Ask, Lists, Post};
use crate::{cases, invent, inventor, shrink, written};

/// Queries a matcher is built of, and posts it is asked about.
const QUERIES: usize = 200;
const POSTS: usize = 50;

/// Whether the post satisfies the query: as defined, as explained, as matched alone.
fn verdicts(ask: &Ask, query: &Query, lists: &Lists, post: &Excerpt) -> [bool; 3] {
    let mut words = Words::default();
    words.read(post);
    words.read_fuzzy(post);
    let matcher = Matcher::new([query]);
    let mut scratch = Scratch::default();
    [
        Post::new(post).satisfies(ask, lists),
        explain(query, &words, post).satisfied,
        !matcher.matches(post, &mut scratch).is_empty(),
    ]
}

fn disagree(ask: &Ask, seed: u64, lists: &Lists, post: &Excerpt) -> bool {
    let Ok(query) = query::parse(&written::write(ask, seed), &invent::known(lists)) else { return false };
    let [defined, explained, matched] = verdicts(ask, &query, lists, post);
    defined != explained || defined != matched
}

#[test]
fn the_matcher_and_the_explanation_do_what_the_definition_says() {
    let mut runner = inventor();
    let (mut pairs, mut satisfied, mut refused, mut batches) = (0, 0, 0, 0);
    while pairs < cases(10_000) {
        batches += 1;
        let lists = invent::lists().new_tree(&mut runner).unwrap().current();
        let known = invent::known(&lists);
        let mut queries = Vec::new();
        while queries.len() < QUERIES {
            let tree = invent::query().new_tree(&mut runner).unwrap();
            let (ask, seed) = (tree.current(), (batches * QUERIES + queries.len()) as u64);
            let text = written::write(&ask, seed);
            match query::parse(&text, &known) {
                Ok(query) => {
                    assert!(naive::is_selective(&ask), "{text} would take any post");
                    queries.push((tree, ask, seed, query));
                }
                Err(mistakes) => {
                    refused += 1;
                    let codes: Vec<&str> = mistakes.iter().map(|mistake| mistake.code).collect();
                    assert!(!naive::is_selective(&ask) && codes == ["SB0108"], "{text}\n{ask:?}\n{mistakes:#?}");
                }
            }
        }
        let matcher = Matcher::new(queries.iter().map(|(_, _, _, query)| query));
        let mut scratch = Scratch::default();
        for _ in 0..POSTS {
            let mut post = invent::post().new_tree(&mut runner).unwrap();
            let excerpt = post.current();
            let naive = Post::new(&excerpt);
            let found = matcher.matches(&excerpt, &mut scratch);
            let mut words = Words::default();
            words.read(&excerpt);
            words.read_fuzzy(&excerpt);
            for (index, (tree, ask, seed, query)) in queries.iter_mut().enumerate() {
                let defined = naive.satisfies(ask, &lists);
                let explained = explain(query, &words, &excerpt).satisfied;
                let is_found = found.binary_search(&index).is_ok();
                let asked = matcher.satisfies(&excerpt, &mut scratch, index);
                pairs += 1;
                satisfied += usize::from(defined);
                if defined == explained && defined == is_found && defined == asked {
                    continue;
                }
                shrink(tree, |ask| disagree(ask, *seed, &lists, &excerpt));
                let ask = tree.current();
                shrink(&mut post, |post| disagree(&ask, *seed, &lists, post));
                let text = written::write(&ask, *seed);
                panic!(
                    "pair {pairs}: {text}\n{ask:?}\ndefined, explained, matched, asked among others: {:?}\nalone, made simple: {:?}\nin {:#?}\nlists {lists:#?}",
                    [defined, explained, is_found, asked],
                    query::parse(&text, &known).map(|query| verdicts(&ask, &query, &lists, &post.current())),
                    post.current(),
                );
            }
        }
    }
    println!("{pairs} pairs, {satisfied} of them satisfied; {refused} queries refused");
    assert!(satisfied * 20 > pairs, "too few meet: {satisfied} of {pairs}");
}

#[test]
fn expressions_that_match_at_the_same_place_are_all_found() {
    let patterns = [r"/\w /", r"/. /", r"/\w+ \w/", r"/[a-c]{2} |\d/"];
    let queries: Vec<Query> =
        patterns.iter().map(|pattern| query::parse(pattern, &query::Lists::default()).unwrap()).collect();
    let mut post = Excerpt::default();
    post.texts.push("ab cd");
    assert_eq!(Matcher::new(&queries).matches(&post, &mut Scratch::default()), [0, 1, 2, 3]);
}
