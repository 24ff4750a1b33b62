//! A frame of `x`: no bytes stop the decoder, and a post it gives can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stormbell::domain::event::SourceEvent;
use stormbell::domain::time::Timestamp;
use stormbell::source::{posts, x};
use stormbell::wire::post::PostJson;

fuzz_target!(|frame: &[u8]| {
    let (first, second) = frame.split_at(frame.len() / 2);
    let mut lines = x::Lines::new(1 << 10);
    let parts = [lines.take(first), lines.take(second)].concat();
    assert_eq!(parts, x::Lines::new(1 << 10).take(frame));
    let now = Timestamp::from_micros(1_795_361_895_000_000);
    if let Ok(SourceEvent::Post(post)) = x::decode(&"fuzz".into(), frame, Some(now)).event {
        let line = serde_json::to_vec(&PostJson::from(&*post)).unwrap();
        assert!(posts::decode(&"fuzz".into(), &line, Some(now)).event.is_ok());
    }
});
