//! `check`, and the configuration mistakes of `run`.

use std::fmt::Write as _;

use super::support::{Desk, golden};

const CONFIG: &str = r#"schema = 1
rules  = ["rules/"]

[organization]
name = "Mercy General"

[store]
path = "stormbell.db"

[[source]]
name = "bluesky"
kind = "jetstream"
url  = "ws://127.0.0.1:9/subscribe"

[[receiver]]
name = "log"
kind = "log"

[[route]]
steps = [{ notify = ["log"] }]
"#;

const RULES: &str = r#"schema = 1

[pack]
name = "mine"

[lists]
rude = ["rude", "unfriendly"]

[[rule]]
id       = "mine.rude"
title    = "Rude staff"
severity = "low"
query    = '$org AND $rude'

[[rule.test]]
name   = "rude"
posts  = [{ text = "rude people at St Brigids" }]
alerts = 1

[[rule.test]]
name   = "kind"
posts  = [{ text = "kind people at St Brigids" }]
alerts = 0
"#;

#[test]
fn a_sound_configuration_has_no_problems() {
    let desk = Desk::new();
    let ran = desk.file("stormbell.toml", CONFIG).file("rules/mine.toml", RULES).run(&["check"]);
    assert_eq!(ran.code, 0);
    assert_eq!(ran.err, "stormbell.toml: no problems\n1 rule in 1 file, 2 tests run: no problems\n");
    assert_eq!(desk.run(&["check", "rules", "builtin:hospital"]).code, 0);
}

#[test]
fn every_mistake_of_a_configuration_is_shown_at_once() {
    let desk = Desk::new();
    let config = CONFIG
        .replace("[organization]", "[organisation]")
        .replace("\"jetstream\"", "\"jetstrem\"")
        .replace("[\"log\"]", "[\"lgo\"]");
    let ran = desk.file("stormbell.toml", config).file("rules/mine.toml", RULES).run(&["check"]);
    golden!("cli-check-config", ran.text());
    let run = desk.run(&["run"]);
    assert_eq!(run.code, 78);
    assert!(run.err.ends_with("not started\n"), "{}", run.err);
}

#[test]
fn every_mistake_of_rules_is_shown_at_once() {
    let rules = RULES.replace("$rude'", "($rode OR \"cold soup'") + "\n[[rule]]\nid = \"mine.x\"\nseverty = \"low\"\n";
    let ran = Desk::new().file("rules/mine.toml", rules).run(&["check", "rules"]);
    golden!("cli-check-rules", ran.text());
}

#[test]
fn a_failing_rule_test_says_what_each_post_did() {
    let rules = RULES.replace("alerts = 0", "alerts = 2");
    let ran = Desk::new().file("rules/mine.toml", rules).run(&["check", "rules"]);
    golden!("cli-check-failing-test", ran.text());
}

#[test]
fn nothing_to_check_and_nothing_to_run_say_what_to_do() {
    let desk = Desk::new();
    let mut pages = String::new();
    for (arguments, code) in [
        (&["check"][..], 1),
        (&["check", "--config", "nope.toml"], 1),
        (&["check", "nope/"], 1),
        (&["check", "builtin:nope"], 1),
        (&["run"], 78),
        (&["run", "--config", "nope.toml"], 78),
    ] {
        let ran = desk.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{arguments:?}");
        write!(pages, "=== stormbell {}\n{}", arguments.join(" "), ran.text()).unwrap();
    }
    golden!("cli-nothing-there", pages);
}
