//! Server-sent events and the changes in them: no bytes stop either reader, in whatever pieces they come.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stormbell::source::eventstreams::{Events, decode};

fuzz_target!(|bytes: &[u8]| {
    drop(decode(&"fuzz".into(), bytes, None));
    let mut pieces = Events::new(1000);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut events = pieces.take(first);
    events.extend(pieces.take(second));
    assert_eq!(events, Events::new(1000).take(bytes));
});
