//! RSS, Atom and JSON Feed: no bytes stop the reader, and what it remembers reads back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stormbell::source::feed;

fuzz_target!(|bytes: &[u8]| {
    let base = url::Url::parse("https://blog.example/feed.xml").unwrap();
    let read = feed::read(bytes, None, &base);
    assert_eq!(read, feed::read(bytes, None, &base));
});
