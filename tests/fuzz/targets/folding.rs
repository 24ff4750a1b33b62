//! Folding: words lie in the text in order, folding a folded word changes nothing, and every
//! token of a post has its place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stormbell::domain::post::Excerpt;
use stormbell::domain::text::{Sigil, Words};

fuzz_target!(|text: &str| {
    let words = Words::of(text);
    let mut begun = 0;
    for (folded, token) in words.words() {
        let original = words.original(0, token, token, text);
        // One character may be two words: ½ is 1 and 2.
        assert!(!folded.is_empty() && original.start >= begun && text.get(original.clone()).is_some());
        begun = original.start;
        let again = Words::of(folded);
        assert_eq!(again.words().map(|(folded, _)| folded).collect::<String>(), folded);
    }
    assert!(words.normalised(0).len() <= 20 * text.len());
    let mut post = Excerpt::default();
    text.split('\n').for_each(|text| post.texts.push(text));
    post.tags.push(text);
    let mut words = Words::default();
    words.read(&post);
    words.read_fuzzy(&post);
    for token in words.tokens() {
        let segment = words.segment_at(token.position);
        assert!(token.span > 0 && !words.folded(token).is_empty() && segment < words.segments());
        if let (Some(text), true) = (post.texts.get(segment), token.sigil != Sigil::Fuzzy) {
            let original = words.original(segment, token, token, text);
            assert!(text.get(original).is_some_and(|original| !original.is_empty()));
        }
    }
});
