//! Folding: words lie in the text in order, and folding a folded word changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stormbell::domain::text::Words;

fuzz_target!(|text: &str| {
    let words = Words::of(text);
    let mut begun = 0;
    for (folded, word) in words.iter() {
        assert!(!folded.is_empty() && word.original.start >= begun);
        assert!(text.get(word.original.clone()).is_some());
        // One character may be two words: ½ is 1 and 2.
        begun = word.original.start;
        let again = Words::of(folded);
        assert_eq!(again.iter().map(|(folded, _)| folded).collect::<String>(), folded);
    }
});
