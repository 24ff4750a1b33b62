//! A configuration or rule file: every finding can be shown, with the line underlined.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::{path::Path, sync::Arc};
use stormbell::config::{environment::Environment, load, rules};
use stormbell::domain::{diagnostic::SourceText, organization::Organization, rule};
use stormbell::report::{self, Colours};

fuzz_target!(|text: &str| {
    let text = Arc::new(SourceText { name: "fuzz.toml".to_owned(), text: text.to_owned() });
    let secrets = load::SecretPolicy::MayBeAbsent;
    report::render(&load::parse(&text, Path::new("."), &Environment::default(), secrets).findings, Colours::Plain);
    let (file, findings) = rules::parse_rules(&text);
    report::render(&findings, Colours::Plain);
    let Some(file) = file else { return };
    let (compiled, findings) = rule::compile(&file, &Organization::example());
    report::render(&findings, Colours::Plain);
    report::render(&rule::lint::lint(&file, &compiled), Colours::Plain);
});
