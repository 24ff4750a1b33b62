//! `tune`: what a setting costs, on the rule's own history.

use std::fmt::Write as _;

use serde_json::Value;
use stormbell::domain::commit::Commit;
use stormbell::domain::post::Post;
use stormbell::domain::time::Timestamp;
use stormbell::store::Store;

use super::support::{Desk, Ran, golden};

const RULES: &str = r#"
schema = 1
[pack]
name = "talk"
[[rule]]
id = "talk.spike"
title = "Much <talk> about us"
severity = "high"
query = "$org"
spike = { false_alarms = "1 per 30d" }
[[rule]]
id = "talk.count"
title = "Several people talk"
severity = "high"
query = "$org"
count = { at_least = 6, distinct = "author", within = "15m" }
[[rule]]
id = "talk.any"
title = "Somebody talks"
severity = "low"
query = "$org"
"#;

/// Forty days: about one post an hour by day, and on every eighth day a little storm. Nobody else
/// is heard but once a day.
pub(super) fn history(days: u64) -> String {
    let mut lines = String::new();
    let mut post = |id: String, at: u64, text: &str| {
        let author = format!("author {}", at * 7919 % 211);
        let created_at = Timestamp::from_seconds(1_788_220_800 + i64::try_from(at).unwrap()).to_string();
        let post = serde_json::json!({"id": id, "created_at": created_at, "author": {"id": author}, "text": text});
        writeln!(lines, "{post}").unwrap();
    };
    for day in 0..days {
        post(format!("other {day}"), day * 86_400, "soup");
        for hour in 0..24 {
            let at = day * 86_400 + hour * 3600;
            if (7..23).contains(&hour) && (day * 31 + hour * 17) % 5 > 0 {
                post(format!("p{at}"), at + (at * 37 % 3000), &format!("St Brigids on day {day} at {hour}"));
            }
            if day % 8 == 7 && hour == 12 {
                (0..8 + day / 4)
                    .for_each(|n| post(format!("s{at} {n}"), at + 3001 + n * 40, &format!("storm {n} at St Brigids")));
            }
        }
    }
    lines
}

fn desk() -> Desk {
    let desk = Desk::new();
    desk.file("talk.toml", RULES).file("past.jsonl", history(40));
    desk
}

fn tune(desk: &Desk, more: &[&str]) -> Ran {
    desk.run(&[&["tune"], more, &["--rules", "talk.toml", "--org", "St Brigids"]].concat())
}

fn json(ran: &Ran) -> (Vec<Value>, Value) {
    assert_eq!(ran.code, 0, "{}", ran.err);
    let mut lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = lines.pop().unwrap();
    (lines, summary)
}

#[test]
fn people_see_what_each_promise_would_have_cost() {
    let ran = tune(&desk(), &["talk.spike", "past.jsonl"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    golden!("tune", ran.out);
}

#[test]
fn a_larger_burst_is_noticed_more_often_and_a_stricter_promise_speaks_less() {
    let (settings, summary) = json(&tune(&desk(), &["talk.spike", "past.jsonl", "--json"]));
    let names: Vec<&str> = settings.iter().map(|setting| setting["setting"].as_str().unwrap()).collect();
    assert_eq!(names, ["1 per 7d", "1 per 14d", "1 per 30d", "1 per 90d", "1 per 365d"]);
    assert_eq!((&summary["in_force"], &summary["seed"]), (&"1 per 30d".into(), &1.into()));
    let alerts: Vec<u64> = settings.iter().map(|setting| setting["alerts"].as_u64().unwrap()).collect();
    assert!(alerts.is_sorted_by(|one, other| one >= other) && alerts[0] > 0, "{alerts:?}");
    for setting in &settings {
        let shares = |within: &str| -> Vec<f64> {
            let bursts = setting["bursts"].as_array().unwrap().iter().filter(|burst| burst["within"] == within);
            bursts.map(|burst| burst["caught"].as_f64().unwrap()).collect()
        };
        for within in ["10m", "2h"] {
            let shares = shares(within);
            assert_eq!(shares.len(), 6);
            // A rule that is silent after an alarm of its own misses some.
            assert!(shares[5] > 0.9 && shares[0] < shares[5], "{within}: {shares:?}");
        }
    }
}

#[test]
fn what_is_in_force_is_said_to_do_what_the_engine_does() {
    let desk = desk();
    let (settings, summary) =
        json(&tune(&desk, &["talk.spike", "past.jsonl", "--json", "--false-alarms", "1 per 60d"]));
    let in_force = settings.iter().find(|setting| setting["in_force"] == true).unwrap();
    let replayed = desk.run(&["replay", "past.jsonl", "--rules", "talk.toml", "--org", "St Brigids", "--json"]);
    let since = summary["tried_from"].as_str().unwrap();
    let told = replayed.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let told = told.filter(|line| line["rule"] == "talk.spike" && line["at"].as_str().unwrap() >= since).count();
    assert!(told > 0);
    assert_eq!((in_force["setting"].as_str(), in_force["alerts"].as_u64()), (Some("1 per 30d"), Some(told as u64)));
    assert_eq!(settings.len(), 2, "the one asked for and the one in force");
}

#[test]
fn under_a_budget_the_promise_of_the_engine_is_in_force() {
    let desk = desk();
    let head = "schema = 1\nrules = [\"talk.toml\"]\n[organization]\nname = \"St Brigids\"\n";
    desk.file("stormbell.toml", format!("{head}[volume]\nfalse_alarms = \"1 per 60d\"\n"));
    let ran = desk.run(&["tune", "talk.spike", "past.jsonl", "--json", "--false-alarms", "1 per 7d"]);
    let advice = "talk.spike promises 1 per 30d, which the budget of all rules makes 1 per 60d";
    assert!(ran.err.contains(advice), "{}", ran.err);
    assert_eq!(json(&ran).1["in_force"], "1 per 60d");
}

#[test]
fn one_seed_gives_one_answer() {
    let desk = desk();
    let ask =
        |seed| tune(&desk, &["talk.spike", "past.jsonl", "--json", "--false-alarms", "1 per 30d", "--seed", seed]).out;
    let (one, again, other) = (ask("7"), ask("7"), ask("8"));
    assert_eq!(one, again);
    let alerts = |out: &str| -> Vec<Value> {
        out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["alerts"].clone()).collect()
    };
    assert!(one != other && alerts(&one) == alerts(&other), "the history does not depend on the seed");
}

#[test]
fn a_count_is_tuned_by_its_threshold() {
    let (settings, _) = json(&tune(&desk(), &["talk.count", "past.jsonl", "--json", "--at-least", "3", "20"]));
    let told: Vec<_> =
        settings.iter().map(|setting| (setting["setting"].as_str().unwrap(), setting["in_force"] == true)).collect();
    assert_eq!(told, [("at least 3", false), ("at least 6", true), ("at least 20", false)]);
    let smallest = |setting: &Value| setting["smallest"][0]["authors"].as_u64();
    assert_eq!(settings.iter().map(smallest).collect::<Vec<_>>(), [Some(5), Some(8), Some(20)]);
}

#[test]
fn the_picture_is_whole_and_says_what_it_shows() {
    let desk = desk();
    let ran = tune(&desk, &["talk.spike", "past.jsonl", "--plot", "tune.svg"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    golden!("tune-plot", std::fs::read_to_string(desk.path().join("tune.svg")).unwrap());
    let ran = tune(&desk, &["talk.spike", "past.jsonl", "--false-alarms", "1 per 30d", "--plot", "nowhere/tune.svg"]);
    assert!(ran.code == 1 && ran.err.contains("nowhere/tune.svg: No such file"), "{}", ran.err);
}

#[test]
fn what_cannot_be_tuned_is_told_with_advice() {
    let desk = desk();
    let future = format!("{}{}", history(20), history(1).replace("2026-", "2190-"));
    desk.file("week.jsonl", history(9)).file("nothing.jsonl", "").file("future.jsonl", future);
    for (arguments, code, advice) in [
        (&["talk.spik", "past.jsonl"][..], 64, "there is no rule talk.spik; did you mean talk.spike?"),
        (&["talk.any", "past.jsonl"], 64, "has neither a spike nor a count (match)"),
        (&["talk.count", "past.jsonl", "--false-alarms", "1 per 7d"], 64, "write --at-least 3"),
        (&["talk.spike", "past.jsonl", "--at-least", "3"], 64, "write --false-alarms \"1 per 30d\""),
        (&["talk.spike"], 64, "give --config or a FILE"),
        (&["talk.spike", "week.jsonl"], 1, "at least 14 d are needed (7 d to learn what is usual, 7 d to be tried on)"),
        (&["talk.spike", "nothing.jsonl"], 1, "no post is in the history"),
        (&["talk.spike", "future.jsonl"], 1, "which is yet to come"),
    ] {
        let ran = tune(&desk, arguments);
        assert!(
            ran.code == code && ran.err.contains(advice) && ran.out.is_empty(),
            "{arguments:?}: {} {}",
            ran.code,
            ran.err
        );
    }
    desk.file("stormbell.toml", "schema = 1\n[organization]\nname = \"St Brigids\"\n[store]\npath = \"bell.db\"\n");
    let ran = tune(&desk, &["talk.spike"]);
    assert!(ran.code == 64 && ran.err.contains("bell.db is not there yet"), "{}", ran.err);
}

#[test]
fn what_the_daemon_kept_is_the_default() {
    let desk = desk();
    desk.file("stormbell.toml", "schema = 1\n[organization]\nname = \"St Brigids\"\n[store]\npath = \"bell.db\"\n");
    let post = |n: i64| {
        let at = Timestamp::from_seconds(1_788_220_800 + n * 3600);
        Post::plain(
            format!("k{n}").into(),
            "bluesky".into(),
            format!("a{}", n % 7).into(),
            format!("St Brigids {n}"),
            at,
        )
    };
    let mut store = Store::open(&desk.path().join("bell.db")).unwrap();
    store.commit(&[Commit { posts: (0..30 * 24).map(post).collect(), ..Commit::default() }]).unwrap();
    let (_, summary) =
        json(&desk.run(&["tune", "talk.spike", "--rules", "talk.toml", "--json", "--false-alarms", "1 per 30d"]));
    assert_eq!((&summary["posts"], &summary["taken"]), (&720.into(), &720.into()));
    assert_eq!(summary["tried_from"], "2026-09-08T11:45:00Z", "a quarter is for learning");
}
