//! A query: a mistake lies within the text, and what parses can be matched and explained.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stormbell::domain::organization::Organization;
use stormbell::domain::query::explain::explain;
use stormbell::domain::query::{Lists, parse};
use stormbell::domain::text::Words;

fuzz_target!(|text: &str| {
    match parse(text, &Lists::of(&Organization::example())) {
        Ok(query) => drop(explain(&query, &Words::of(text))),
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            assert!(mistakes.iter().all(|mistake| text.get(mistake.span.clone()).is_some()));
        }
    }
});
