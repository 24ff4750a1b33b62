//! The packs that come with the program have what CONTRIBUTING.md asks of a rule. What
//! they find is proven by their own tests, which `stormbell check rules/` runs.

#![cfg(test)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use stormbell::app::rulebook::{BUILTIN, PLAYBOOKS};
use stormbell::config::model::{RuleEntry, RuleOrigin};
use stormbell::config::playbook::load_playbooks;
use stormbell::config::rules::load_rules;
use stormbell::domain::rule::raw::RawFile;

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/rules"))
}

fn packs() -> Vec<RawFile> {
    let (files, findings) =
        load_rules(&[RuleEntry { origin: RuleOrigin::Path(folder().to_owned()), place: None }], &[]);
    assert!(findings.is_empty() && files.len() >= 30, "{findings:?}");
    files
}

#[test]
fn every_file_is_in_the_binary_and_duty_of_care_alone_is_off_by_default() {
    let built_in: usize = BUILTIN.iter().map(|builtin| builtin.files.len()).sum();
    assert_eq!(built_in, packs().len());
    let off: Vec<_> = BUILTIN.iter().filter(|builtin| builtin.name != "hospital").map(|builtin| builtin.name).collect();
    assert_eq!(off, ["duty-of-care"]);
    let care = packs().into_iter().find(|file| file.pack.name.value == "duty-of-care").unwrap();
    assert!(care.rules.iter().all(|rule| rule.topic.as_str().starts_with("duty-of-care.")), "a lane of its own");
}

#[test]
fn every_pack_says_what_it_leans_on_and_where_it_errs() {
    for file in packs() {
        let header = file.source.text.split("schema = 1").next().unwrap();
        for word in ["How it is built", "Reference", "False positives"] {
            assert!(header.contains(word), "{} does not say: {word}", file.source.name);
        }
    }
}

#[test]
fn every_rule_has_posts_it_takes_posts_it_leaves_and_a_playbook() {
    for file in packs() {
        for rule in &file.rules {
            let id = &rule.id.value;
            let (fires, quiet): (Vec<_>, Vec<_>) = rule.tests.iter().partition(|test| test.alerts > 0);
            assert!(!fires.is_empty() && quiet.len() >= 2, "{id}: {} and {} tests", fires.len(), quiet.len());
            let playbook = rule.playbook.as_ref().expect(id);
            let steps = std::fs::read_to_string(folder().join(playbook)).expect(playbook);
            assert!(steps.lines().filter(|line| line.len() > 40).count() >= 8, "{playbook} says little");
        }
    }
}

#[test]
fn every_playbook_is_in_the_binary_and_can_be_followed() {
    let named: BTreeSet<String> =
        packs().into_iter().flat_map(|file| file.rules).filter_map(|rule| rule.playbook).collect();
    let (built_in, findings) = load_playbooks(&named.iter().map(String::as_str).collect(), &[], PLAYBOOKS);
    assert_eq!(findings, []);
    assert_eq!(built_in.iter().map(|playbook| playbook.name.clone()).collect::<BTreeSet<_>>(), named);
    for playbook in built_in {
        let steps = playbook.steps().count();
        assert!((3..=15).contains(&steps), "{}: {steps} steps", playbook.name);
        for said in &playbook.statements {
            let text = said.filled("St. Brigid's Hospital", "03:12");
            assert!(!text.contains('$') && text.contains("St. Brigid's"), "{}: {text}", playbook.name);
            assert!(playbook.first_statement_within.is_some(), "{} says by when", playbook.name);
        }
    }
}

#[test]
fn every_file_has_the_layout_that_fmt_gives() {
    let program =
        Command::new(env!("CARGO_BIN_EXE_stormbell")).args(["fmt", "--check"]).arg(folder()).output().unwrap();
    assert!(program.status.success(), "run `cargo run -- fmt rules/`: {}", String::from_utf8_lossy(&program.stdout));
}
