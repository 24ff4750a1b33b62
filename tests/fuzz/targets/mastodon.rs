//! What an instance of the fediverse says: no bytes stop the decoder, and a post it gives can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stormbell::domain::event::SourceEvent;
use stormbell::domain::time::Timestamp;
use stormbell::source::{Format, posts};
use stormbell::wire::post::PostJson;

fuzz_target!(|frame: &[u8]| {
    let now = Timestamp::from_micros(1_795_361_895_000_000);
    if let Ok(SourceEvent::Post(post)) = Format::Mastodon.decode(&"fuzz".into(), frame, Some(now)).event {
        let line = serde_json::to_vec(&PostJson::from(&*post)).unwrap();
        let again = posts::decode(&"fuzz".into(), &line, Some(now)).event;
        assert_eq!(again, Ok(SourceEvent::Post(post)));
    }
});
