//! A normalised post as JSON: no bytes stop the decoder, and what it gives is stable.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stormbell::domain::event::SourceEvent;
use stormbell::source::posts;
use stormbell::wire::post::PostJson;

fuzz_target!(|line: &[u8]| {
    let decoded = posts::decode(&"fuzz".into(), line, None);
    if let Ok(SourceEvent::Post(post)) = decoded.event {
        let line = serde_json::to_vec(&PostJson::from(&*post)).unwrap();
        let again = posts::decode(&"fuzz".into(), &line, None).event;
        assert_eq!(again, Ok(SourceEvent::Post(post)));
    }
});
