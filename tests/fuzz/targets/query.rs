//! A query, and after a line break a post: a mistake lies within the query, and what parses
//! is explained and matched alike.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use stormbell::domain::matcher::{Matcher, Scratch};
use stormbell::domain::organization::Organization;
use stormbell::domain::post::Excerpt;
use stormbell::domain::query::explain::explain;
use stormbell::domain::query::{Lists, Term, parse};
use stormbell::domain::text::Words;

static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    let mut lists = Lists::of(&Organization::example());
    let terms = ["shooter", "code silver", "{AIDS}", "#er", "@ann", "infect*"].map(|term| Term::parse(term).unwrap());
    lists.insert("list", terms.to_vec());
    lists.insert("fuzzy", terms.into_iter().map(Term::fuzzy).collect());
    lists
});

fuzz_target!(|text: &str| {
    let (text, post) = text.split_once('\n').unwrap_or((text, text));
    let query = match parse(text, &LISTS) {
        Ok(query) => query,
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            return assert!(mistakes.iter().all(|mistake| text.get(mistake.span.clone()).is_some()));
        }
    };
    let mut excerpt = Excerpt::default();
    post.split('\u{1}').for_each(|text| excerpt.texts.push(text));
    excerpt.tags.push(post);
    let mut words = Words::default();
    words.read(&excerpt);
    words.read_fuzzy(&excerpt);
    let explained = explain(&query, &words, &excerpt).satisfied;
    let matched = Matcher::new([&query]).matches(&excerpt, &mut Scratch::default());
    assert_eq!(!matched.is_empty(), explained);
});
