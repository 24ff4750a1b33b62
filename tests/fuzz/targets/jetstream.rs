//! A frame of Jetstream: no bytes stop the decoder, a post it gives can be written and read
//! again, and what skimming says of it is what decoding says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stormbell::domain::event::{Glimpse, Passing, SourceEvent};
use stormbell::domain::key::Key;
use stormbell::domain::post::Excerpt;
use stormbell::domain::time::Timestamp;
use stormbell::source::{Buffers, Format, jetstream, posts};
use stormbell::wire::post::PostJson;

fuzz_target!(|frame: &[u8]| {
    let now = Timestamp::from_micros(1_795_361_895_000_000);
    let decoded = jetstream::decode(&"fuzz".into(), frame, Some(now));
    let (mut excerpt, mut buffers) = (Excerpt::default(), Buffers::default());
    let skimmed = Format::Jetstream.skim(&"fuzz".into(), frame, Some(now), &mut excerpt, &mut buffers);
    match (skimmed.map(|skimmed| skimmed.passing), &decoded.event) {
        (Some(Passing::Post(glimpse)), Ok(SourceEvent::Post(post))) => {
            assert_eq!((glimpse, &excerpt), (Glimpse::of(post), &Excerpt::of(post)));
        }
        (Some(Passing::Deleted(key)), Ok(SourceEvent::PostDeleted { post, .. })) => assert_eq!(key, Key::of(post)),
        (Some(Passing::Other), Ok(SourceEvent::Other) | Err(_)) | (None, _) => {}
        (skimmed, decoded) => panic!("{skimmed:?} but {decoded:?}"),
    }
    if let Ok(SourceEvent::Post(post)) = decoded.event {
        let line = serde_json::to_vec(&PostJson::from(&*post)).unwrap();
        let again = posts::decode(&"fuzz".into(), &line, Some(now)).event;
        assert_eq!(again, Ok(SourceEvent::Post(post)));
    }
});
