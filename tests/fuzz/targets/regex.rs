//! A regular expression, and after a line break a text: what is accepted can be built, finds
//! what the library finds, and never without a piece of text that it says it needs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stormbell::domain::query::regex::{Outlines, Regex};
use stormbell::domain::text::Words;

fuzz_target!(|text: &str| {
    let (pattern, text) = text.split_once('\n').unwrap_or((text, text));
    let Ok(checked) = Regex::new(pattern) else { return };
    let library = regex::RegexBuilder::new(pattern).case_insensitive(true).size_limit(64 << 20).build();
    let library = library.expect("what is accepted can be built");
    let words = Words::of(text);
    let text = words.normalised(0);
    let matches = checked.is_match(&words, 0, &mut Outlines::default());
    assert_eq!(matches, library.is_match(text));
    if let (true, Some(needs)) = (matches, checked.needs()) {
        assert!(needs.iter().any(|literal| text.contains(&literal.text)), "{needs:?}");
    }
});
