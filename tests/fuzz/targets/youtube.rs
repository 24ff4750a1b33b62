//! Comments of `YouTube`: no bytes stop the reader, and a post it gives can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stormbell::domain::time::Timestamp;
use stormbell::source::forum::Said;
use stormbell::source::{posts, youtube};
use stormbell::wire::post::PostJson;

fuzz_target!(|page: &[u8]| {
    let now = Timestamp::from_micros(1_795_361_895_000_000);
    let read = youtube::read_page(page, now);
    assert_eq!(read, youtube::read_page(page, now));
    for item in read.unwrap_or_default() {
        if let Said::Post(post) = item.said {
            let line = serde_json::to_vec(&PostJson::from(&*post)).unwrap();
            assert!(posts::decode(&"fuzz".into(), &line, Some(now)).event.is_ok());
        }
    }
});
