//! A message of the AT Protocol's firehose: no bytes stop the reader, every frame it gives is one the decoder
//! takes for JSON, and none is a deletion unless the message says so.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stormbell::domain::event::{Rejected, SourceEvent};
use stormbell::domain::time::Timestamp;
use stormbell::source::atproto::{self, Message};
use stormbell::source::jetstream;

fuzz_target!(|message: &[u8]| {
    let now = Timestamp::from_micros(1_795_361_895_000_000);
    let Ok(Message::Events { frames, .. }) = atproto::read(message) else { return };
    assert!(!frames.is_empty());
    for frame in frames.into_iter().flatten() {
        let event = jetstream::decode(&"fuzz".into(), &frame, Some(now)).event;
        assert!(!matches!(event, Err(Rejected::NotJson)), "{}", String::from_utf8_lossy(&frame));
        if let Ok(SourceEvent::PostDeleted { .. }) = event {
            assert!(message.windows(6).any(|word| word == b"delete"));
        }
    }
});
