//! `volume learn`: a history for rules that were never in force.

use std::sync::Arc;

use serde_json::Value;
use stormbell::domain::engine::{Batch, Engine, Input, Item};
use stormbell::domain::event::{Cursor, Decoded, SourceEvent};
use stormbell::domain::matcher::Scratch;
use stormbell::domain::post::Post;
use stormbell::domain::route::Routes;
use stormbell::domain::rule::RuleSet;
use stormbell::domain::time::Timestamp;
use stormbell::store::Store;

use super::support::{Desk, Ran, golden};
use super::tune::history;

const CONFIG: &str =
    "schema = 1\nrules = [\"talk.toml\"]\n[organization]\nname = \"St Brigids\"\n[store]\npath = \"bell.db\"\n";
const RULES: &str = r#"
schema = 1
[pack]
name = "talk"
[[rule]]
id = "talk.spike"
title = "Much talk about us"
severity = "high"
query = "$org"
spike = { false_alarms = "1 per 30d", at_least = 5, authors = 3 }
[[rule]]
id = "talk.storm"
title = "Talk of storms"
severity = "low"
query = "$org storm"
spike = {}
[[rule]]
id = "talk.any"
title = "Somebody talks"
severity = "low"
query = "$org"
"#;

fn desk() -> Desk {
    let desk = Desk::new();
    desk.file("stormbell.toml", CONFIG).file("talk.toml", RULES).file("past.jsonl", history(40));
    desk
}

fn json(ran: &Ran) -> Vec<Value> {
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_rule_says_what_it_learnt() {
    let ran = desk().run(&["volume", "learn", "past.jsonl"]);
    golden!("volume-learn", ran.text());
}

#[test]
fn what_a_rule_knows_is_never_lowered_unless_that_is_asked_for() {
    let desk = desk();
    desk.file("days.jsonl", history(3));
    let learn = |file: &str, more: &[&str]| {
        let lines = json(&desk.run(&[&["volume", "learn", file, "--json"], more].concat()));
        let days = |seconds: &Value| seconds.as_u64().map(|seconds| seconds / 86_400);
        let first = &lines[0];
        (first["learnt"].as_bool().unwrap(), days(&first["seen_seconds"]).unwrap(), days(&first["knew_seconds"]))
    };
    assert_eq!(learn("days.jsonl", &[]), (true, 2, None));
    assert_eq!(learn("past.jsonl", &[]), (true, 39, Some(2)));
    assert_eq!(learn("past.jsonl", &[]), (false, 39, Some(39)));
    assert_eq!(learn("days.jsonl", &[]), (false, 2, Some(39)));
    assert_eq!(learn("days.jsonl", &["--replace"]), (true, 2, Some(39)));
    // Another query, another volume: what was learnt of the old one is nothing to it.
    desk.file("talk.toml", RULES.replace("\"$org\"\nspike", "\"$org -soup\"\nspike"));
    assert_eq!(learn("days.jsonl", &[]), (true, 2, None));
    let told = desk.run(&["volume", "learn", "days.jsonl"]).out;
    assert!(told.contains("talk.spike  knows 2 d 22 h already and keeps that; the recordings have "), "{told}");
}

#[test]
fn a_running_daemon_is_asked_to_step_aside() {
    let desk = desk();
    let _daemon = Store::open(&desk.path().join("bell.db")).unwrap();
    let ran = desk.run(&["volume", "learn", "past.jsonl"]);
    assert_eq!((ran.code, ran.out.as_str()), (75, ""));
    assert!(ran.err.contains("is used by another stormbell") && ran.err.contains("stop it, learn, and start it again"));
}

#[test]
fn odd_questions_are_told_with_advice() {
    let desk = desk();
    desk.file("none.toml", RULES.replace("spike = ", "# ")).file("nothing.jsonl", "");
    desk.file("future.jsonl", history(1).replace("2026-", "2190-"));
    for (arguments, code, advice) in [
        (&["volume", "learn"][..], 64, "<FILE>"),
        (&["volume", "learn", "past.jsonl", "--rules", "none.toml"], 1, "no rule has a spike"),
        (&["volume", "learn", "nothing.jsonl"], 1, "no post is in the recordings"),
        (&["volume", "learn", "nowhere.jsonl"], 1, "nowhere.jsonl: No such file"),
        (&["volume", "learn", "future.jsonl"], 1, "which is yet to come"),
        (&["volume", "s.csv", "learn"], 64, "learn"),
    ] {
        let ran = desk.run(arguments);
        assert!(ran.code == code && ran.err.contains(advice), "{arguments:?}: {} {}", ran.code, ran.err);
    }
    let bare = Desk::new();
    let ran = bare.file("past.jsonl", history(1)).run(&["volume", "learn", "past.jsonl"]);
    assert!(ran.code != 0 && !ran.err.is_empty(), "{}", ran.text());
}

#[test]
fn a_series_may_be_called_learn() {
    let desk = Desk::new();
    desk.file("learn", "timestamp,value\n2026-03-01 00:00:00,1\n2026-03-01 01:00:00,2\n");
    let ran = desk.run(&["volume", "./learn"]);
    assert_eq!((ran.code, ran.out.lines().count()), (0, 3), "{}", ran.err);
}

/// The engine of a daemon that starts with this database, and what it says to so many posts a
/// minute apart, each by somebody else, beginning so many days after the history's end.
fn alerts_of_a_daemon(desk: &Desk, days_later: i64, posts: i64) -> usize {
    let rules = desk.run(&["check", "talk.toml"]);
    assert_eq!(rules.code, 0, "{}", rules.err);
    let organization = stormbell::domain::organization::Organization::named("St Brigids");
    let path = desk.path().join("talk.toml");
    let origin = stormbell::config::model::RuleOrigin::Path(path);
    let entries = [stormbell::config::model::RuleEntry { origin, place: None }];
    let rules: Arc<RuleSet> = stormbell::app::rulebook::Rulebook::load(&entries, &organization).rules;
    let store = Store::open(&desk.path().join("bell.db")).unwrap();
    let mut engine = Engine::new(Arc::clone(&rules), Routes::default(), Vec::new());
    // Days and hours of the history: at ten in the morning one post an hour is usual.
    let began = 1_788_220_800 + (40 + days_later) * 86_400 + 10 * 3600;
    let now = Timestamp::from_seconds(began + 7200);
    engine.restore(store.restore(Timestamp::default()).unwrap(), now);
    let mut scratch = Scratch::default();
    let items = (0..posts).map(|n| {
        let at = Timestamp::from_seconds(began + n * 60);
        let post =
            Post::plain(format!("n{n}").into(), "s".into(), format!("b{n}").into(), format!("St Brigids {n}"), at);
        let event = Ok(SourceEvent::Post(Box::new(post)));
        // The first frame of a source that was never read.
        Item::matched(Decoded { cursor: Some(Cursor(at.micros())), event }, None, &rules, &mut scratch)
    });
    let items = items.collect();
    let outcome = engine.step(Input::Batch(Batch::new("s".into(), Arc::clone(&rules), items)), now);
    outcome.commit.alerts.iter().filter(|alert| alert.rule.as_str() == "talk.spike").count()
}

#[test]
fn rules_that_learnt_work_from_the_first_minute() {
    let desk = desk();
    assert_eq!(alerts_of_a_daemon(&desk, 0, 40), 0, "a rule without a past says nothing in its first hour");
    assert_eq!(desk.run(&["volume", "learn", "past.jsonl"]).code, 0);
    assert_eq!(alerts_of_a_daemon(&desk, 0, 40), 1);
    assert_eq!(alerts_of_a_daemon(&desk, 0, 3), 0);
    assert_eq!(alerts_of_a_daemon(&desk, 20, 40), 1, "however late the daemon begins");
}

#[test]
fn the_time_until_the_daemon_begins_is_not_taken_for_silence() {
    let desk = desk();
    // Thirty an hour, day and night.
    let line = |n: i64| {
        let created_at = Timestamp::from_seconds(1_788_220_800 + n * 120).to_string();
        serde_json::json!({"id": format!("p{n}"), "created_at": created_at, "author": {"id": format!("a{}", n % 97)}, "text": format!("St Brigids {n}")}).to_string()
    };
    desk.file("busy.jsonl", (0..40 * 720).map(line).collect::<Vec<_>>().join("\n"));
    assert_eq!(desk.run(&["volume", "learn", "busy.jsonl"]).code, 0);
    assert_eq!(alerts_of_a_daemon(&desk, 30, 40), 0, "a month later, twice the usual for an hour is nothing");
}
