//! A query alone, many times as quick as with posts: each mistake lies within it, and an accepted
//! query answers a post without words.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use stormbell::domain::organization::Organization;
use stormbell::domain::post::Excerpt;
use stormbell::domain::query::explain::explain;
use stormbell::domain::query::{Lists, parse};
use stormbell::domain::text::Words;

static LISTS: LazyLock<Lists> = LazyLock::new(|| Lists::of(&Organization::example()));

fuzz_target!(|text: &str| match parse(text, &LISTS) {
    Ok(query) => {
        let nothing = Excerpt::default();
        assert!(!(explain(&query, &Words::default(), &nothing).satisfied && query.root.is_selective()));
    }
    Err(mistakes) => {
        assert!(!mistakes.is_empty());
        assert!(mistakes.iter().all(|mistake| text.get(mistake.span.clone()).is_some()));
    }
});
