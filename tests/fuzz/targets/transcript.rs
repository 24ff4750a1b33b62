//! What somebody wrote down of a podcast: no text stops the reader, and what it gives is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stormbell::source::feed;

fuzz_target!(|text: &str| {
    assert!(feed::transcript_words(text).len() <= 64 * 1024);
});
