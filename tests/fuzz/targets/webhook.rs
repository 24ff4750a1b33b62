//! What Meta and Discourse send: no bytes stop the reader, no frame is more than one event, and a post it gives can be
//! written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stormbell::domain::event::SourceEvent;
use stormbell::domain::time::Timestamp;
use stormbell::source::{Format, Frame, posts};
use stormbell::wire::post::PostJson;

fuzz_target!(|body: &[u8]| {
    let now = Timestamp::from_micros(1_795_361_895_000_000);
    for format in [Format::Meta, Format::Discourse] {
        let mut frames = Vec::new();
        format.split(Frame { received_at: Some(now), body: Ok(body.to_vec().into()) }, &mut frames);
        assert!(!frames.is_empty());
        for frame in frames.iter().filter_map(|frame| frame.body.as_ref().ok()) {
            let mut again = Vec::new();
            format.split(Frame { received_at: Some(now), body: Ok(frame.clone()) }, &mut again);
            assert_eq!(again.len(), 1);
            if let Ok(SourceEvent::Post(post)) = format.decode(&"fuzz".into(), frame, Some(now)).event {
                let line = serde_json::to_vec(&PostJson::from(&*post)).unwrap();
                assert!(posts::decode(&"fuzz".into(), &line, Some(now)).event.is_ok());
            }
        }
    }
});
