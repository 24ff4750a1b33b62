//! A message of the `websocket` kind, read by the mapping of the documentation: no bytes stop the decoder, and
//! a post it gives can be written and read again.
#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use stormbell::config::environment::Environment;
use stormbell::config::load::{SecretPolicy, parse};
use stormbell::domain::diagnostic::SourceText;
use stormbell::domain::event::SourceEvent;
use stormbell::domain::time::Timestamp;
use stormbell::source::{Format, posts};
use stormbell::wire::post::PostJson;

static FORMAT: LazyLock<Format> = LazyLock::new(|| {
    let text = include_str!("../../../deploy/sources.toml").to_owned();
    let text = Arc::new(SourceText { name: "sources.toml".to_owned(), text });
    // Without a home there is nowhere to keep a database, and no configuration.
    let home = Environment::from_iter([("HOME", "/")]);
    let loaded = parse(&text, Path::new("/"), &home, SecretPolicy::MayBeAbsent);
    let sources = loaded.config.unwrap().sources;
    Format::of(&sources.iter().find(|source| source.name.as_str() == "forum").unwrap().kind)
});

fuzz_target!(|frame: &[u8]| {
    let now = Timestamp::from_micros(1_795_361_895_000_000);
    if let Ok(SourceEvent::Post(post)) = FORMAT.decode(&"fuzz".into(), frame, Some(now)).event {
        let line = serde_json::to_vec(&PostJson::from(&*post)).unwrap();
        let again = posts::decode(&"fuzz".into(), &line, Some(now)).event;
        assert_eq!(again, Ok(SourceEvent::Post(post)));
    }
});
