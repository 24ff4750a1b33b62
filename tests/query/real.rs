//! Real queries on real posts: those of ../shared/data. Without it each test says so and passes.

use std::path::Path;

use serde_json::Value;
use stormbell::domain::matcher::{Matcher, Scratch};
use stormbell::domain::organization::Organization;
use stormbell::domain::post::Excerpt;
use stormbell::domain::query::explain::explain;
use stormbell::domain::query::{self, Query};
use stormbell::domain::text::Words;

use crate::naive::{Ask, Lists, Post};
use crate::{cases, translate, written};

/// Each so many-th post is explained, too, which is slow for queries of a thousand words.
const EXPLAINED: usize = 16;

/// The rows of a file in ../shared/data.
fn rows(name: &str) -> Option<Vec<Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(format!("{name}.jsonl.zst"));
    let Ok(packed) = std::fs::read(&path) else {
        println!("skipped: no {name} at ../shared/data");
        return None;
    };
    let text = String::from_utf8(zstd::decode_all(packed.as_slice()).unwrap()).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The queries, by their names.
fn queries() -> Option<Vec<(String, Ask)>> {
    let mut left_out = 0;
    let queries = rows("queries")?.into_iter().map(|row| {
        let ask = match &row["query"] {
            Value::Array(entries) => {
                translate::keywords(&entries.iter().map(|entry| entry.as_str().unwrap()).collect::<Vec<_>>())
            }
            text => {
                let translated = translate::translate(text.as_str().unwrap());
                left_out += translated.left_out;
                translated.ask
            }
        };
        (row["id"].as_str().unwrap().to_owned(), ask)
    });
    let queries = queries.collect::<Vec<_>>();
    println!("{} queries, {left_out} words that cannot be asked", queries.len());
    Some(queries)
}

fn parsed(queries: &[(String, Ask)]) -> Vec<Query> {
    let lists = query::Lists::of(&Organization::example());
    let parse = |(name, ask): &(String, Ask)| {
        let text = written::write(ask, 0);
        query::parse(&text, &lists).unwrap_or_else(|mistakes| panic!("{name}: {mistakes:?} in {text}"))
    };
    queries.iter().map(parse).collect()
}

/// Asks every query about every post; how many pairs match.
fn agree(queries: &[(String, Ask)], texts: impl Iterator<Item = String>) -> (usize, usize) {
    let (parsed, lists) = (parsed(queries), Lists::new());
    let matcher = Matcher::new(&parsed);
    let mut scratch = Scratch::default();
    let (mut pairs, mut satisfied) = (0, 0);
    for (place, text) in texts.enumerate() {
        let mut post = Excerpt::default();
        post.texts.push(&text);
        let naive = Post::new(&post);
        let mut words = Words::default();
        words.read(&post);
        words.read_fuzzy(&post);
        let found = matcher.matches(&post, &mut scratch);
        for (index, (name, ask)) in queries.iter().enumerate() {
            let defined = naive.satisfies(ask, &lists);
            assert_eq!(found.binary_search(&index).is_ok(), defined, "{name}: matched, defined; {text}");
            if place % EXPLAINED == 0 {
                assert_eq!(explain(&parsed[index], &words, &post).satisfied, defined, "{name}: explained; {text}");
            }
            pairs += 1;
            satisfied += usize::from(defined);
        }
    }
    (pairs, satisfied)
}

#[test]
fn real_queries_find_in_real_posts_what_the_definition_says() {
    let Some(queries) = queries() else { return };
    let (mut pairs, mut satisfied) = (0, 0);
    for name in ["t26_posts", "health_posts", "drm_messages"] {
        let Some(rows) = rows(name) else { return };
        // Spread over the whole file.
        let step = (rows.len() * queries.len() * 3).div_ceil(cases(8000)).max(1);
        let texts = rows.iter().step_by(step).map(|row| row["text"].as_str().unwrap().to_owned());
        let (more, found) = agree(&queries, texts);
        println!("{name}: {more} pairs, {found} of them satisfied");
        (pairs, satisfied) = (pairs + more, satisfied + found);
    }
    assert!(pairs > 0 && satisfied > 0);
}

#[test]
fn real_queries_agree_on_posts_made_of_their_own_words() {
    let Some(queries) = queries() else { return };
    let mut rng = 0x5EED_u64;
    let mut below = |limit: usize| {
        rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (rng >> 33) as usize % limit
    };
    let (mut pairs, mut satisfied) = (0, 0);
    for query in &queries {
        let (one, text) = (std::slice::from_ref(query), written::write(&query.1, 0));
        let words: Vec<String> = text
            .split(|c: char| c.is_whitespace() || "()\"".contains(c))
            .filter(|word| !word.is_empty() && !["OR", "AND", "NOT"].contains(word) && !word.contains("NEAR/"))
            .map(|word| word.trim_start_matches('-').replace('*', "ing").replace('?', "s"))
            .collect();
        let texts: Vec<String> = (0..cases(3000).div_ceil(queries.len()))
            .map(|_| {
                let length = 3 + below(25);
                (0..length).map(|_| words[below(words.len())].clone()).collect::<Vec<_>>().join(" ")
            })
            .collect();
        let (more, found) = agree(one, texts.into_iter());
        (pairs, satisfied) = (pairs + more, satisfied + found);
    }
    println!("{pairs} pairs, {satisfied} of them satisfied");
    assert!(satisfied * 5 > pairs, "too few meet: {satisfied} of {pairs}");
}
