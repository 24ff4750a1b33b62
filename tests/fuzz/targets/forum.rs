//! Pages of forums, the dialect by the first byte: no bytes stop the reader, and a post it gives can be written and read
//! again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stormbell::domain::time::Timestamp;
use stormbell::source::forum::{Said, read_page};
use stormbell::source::posts;
use stormbell::wire::post::PostJson;

fuzz_target!(|bytes: &[u8]| {
    let Some((first, page)) = bytes.split_first() else { return };
    let dialects = ["discourse", "hackernews", "lemmy", "lobsters", "reddit"];
    let dialect = dialects[usize::from(*first) % dialects.len()];
    let now = Timestamp::from_micros(1_795_361_895_000_000);
    let base = url::Url::parse("https://forum.example/").unwrap();
    let read = read_page(dialect, page, &base, now);
    assert_eq!(read, read_page(dialect, page, &base, now));
    for item in read.unwrap_or_default() {
        if let Said::Post(post) = item.said {
            let line = serde_json::to_vec(&PostJson::from(&*post)).unwrap();
            assert!(posts::decode(&"fuzz".into(), &line, Some(now)).event.is_ok());
        }
    }
});
