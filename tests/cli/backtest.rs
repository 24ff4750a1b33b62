//! `backtest`: rules on the past, beside those in force.

use std::fmt::Write as _;

use serde_json::Value;
use stormbell::domain::commit::Commit;
use stormbell::domain::post::Post;
use stormbell::domain::time::Timestamp;
use stormbell::store::Store;

use super::support::{Desk, Ran, golden};

/// A rule that wants so many authors within an hour, and perhaps another one.
fn rules(at_least: u64, more: &str) -> String {
    format!(
        "schema = 1\n[pack]\nname = \"smoke\"\nversion = \"1\"\n\n[[rule]]\nid = \"smoke.seen\"\ntitle = \"Smoke\"\n\
         severity = \"high\"\nquery = '$org smoke'\ncount = {{ at_least = {at_least}, distinct = \"author\", within = \"1h\" }}\n{more}"
    )
}

const LOUD: &str = "\n[[rule]]\nid = \"smoke.loud\"\ntitle = \"Alarm\"\nseverity = \"low\"\nquery = '$org alarm'\n";

/// Two days, each with two people who see smoke at ten, and on the second a third one at night.
fn two_days() -> String {
    let mut lines = String::new();
    let mut post = |id: &str, author: &str, at: &str, text: &str| {
        let post = serde_json::json!({"id": id, "created_at": at, "author": {"id": author}, "text": text});
        writeln!(lines, "{post}").unwrap();
    };
    post("p1", "a", "2026-11-02T10:00:00Z", "smoke at St Brigids");
    post("p2", "b", "2026-11-02T10:20:00Z", "I can smell smoke, St Brigids east wing");
    post("p3", "c", "2026-11-02T12:20:00Z", "soup");
    post("p4", "a", "2026-11-03T10:00:00Z", "smoke at St Brigids again");
    post("p5", "b", "2026-11-03T10:01:00Z", "St Brigids: the alarm rings and there is smoke");
    post("p6", "c", "2026-11-03T10:02:00Z", "what is that smoke over St Brigids");
    post("p7", "d", "2026-11-03T23:30:00Z", "the alarm at St Brigids rings");
    lines
}

const CONFIG: &str = "schema = 1\nrules = [\"force.toml\"]\n[organization]\nname = \"St Brigids\"\ntimezone = \"Europe/Berlin\"\n[store]\npath = \"bell.db\"\n";

fn desk() -> Desk {
    let desk = Desk::new();
    desk.file("stormbell.toml", CONFIG).file("force.toml", rules(2, "")).file("new.toml", rules(3, LOUD));
    desk.file("two-days.jsonl", two_days());
    desk
}

/// Times and the rules' versions change from run to run.
fn steady(text: &str) -> String {
    let lines = text.lines().map(|line| line.split_once(" 1+").map_or(line, |(before, _)| before));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn json(ran: &Ran) -> Vec<Value> {
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn each_alert_is_told_with_what_changed_and_which_posts_decided() {
    let ran = desk().run(&["backtest", "new.toml", "two-days.jsonl"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    golden!("backtest", steady(&ran.out));
}

#[test]
fn the_same_as_json() {
    let lines = json(&desk().run(&["backtest", "new.toml", "two-days.jsonl", "--json"]));
    let alerts: Vec<_> = lines.iter().filter(|line| line["type"] == "alert").collect();
    let told: Vec<_> =
        alerts.iter().map(|alert| (alert["change"].as_str().unwrap(), alert["post"].as_str().unwrap())).collect();
    assert_eq!(told, [("gone", "p2"), ("new", "p5"), ("gone", "p5"), ("new", "p6"), ("new", "p7")]);
    assert_eq!(alerts[3]["decided_by"], serde_json::json!(["p4", "p5", "p6"]));
    let rule = lines.iter().find(|line| line["rule"] == "smoke.seen" && line["type"] == "rule").unwrap();
    assert_eq!((&rule["alerts"], &rule["alerts_now"], &rule["in_force"]), (&1.into(), &2.into(), &true.into()));
    let summary = lines.last().unwrap();
    assert_eq!(
        (&summary["posts"], &summary["incidents"], &summary["incidents_now"]),
        (&7.into(), &2.into(), &2.into())
    );
    assert_eq!(counts(&summary["shifts"]), [(1, 2), (0, 0), (1, 0)]);
    assert_eq!(summary["pages"], serde_json::json!([]), "nobody would be told");
}

/// By day, evening and night: with the rules that are tried, and with those in force.
fn counts(shifts: &Value) -> Vec<(u64, u64)> {
    let count = |shift: &Value| (shift["count"].as_u64().unwrap(), shift["count_now"].as_u64().unwrap());
    shifts.as_array().unwrap().iter().map(count).collect()
}

/// On-call has a quarter of an hour for what is high, then the manager is told, again each hour
/// until the topic is quiet for six; what is low goes to the desk alone.
const ROUTES: &str = r#"
[[receiver]]
name = "on-call"
kind = "log"
[[receiver]]
name = "manager"
kind = "log"
[[receiver]]
name = "desk"
kind = "log"
[[route]]
severity = ["high"]
steps = [{ notify = ["on-call"], ack_within = "15m" }, { notify = ["manager"] }]
repeat_every = "1h"
[[route]]
steps = [{ notify = ["desk"] }]
"#;

#[test]
fn pages_are_those_that_the_routes_would_have_sent_if_nobody_took_charge() {
    let desk = desk();
    desk.file("stormbell.toml", format!("{CONFIG}{ROUTES}"));
    let lines = json(&desk.run(&["backtest", "new.toml", "two-days.jsonl", "--json"]));
    let pages = lines.last().unwrap()["pages"].as_array().unwrap();
    let of = |receiver: &str| {
        let pages = pages.iter().find(|pages| pages["receiver"] == receiver).unwrap();
        let figures = ["pages", "pages_now", "escalated", "escalated_now"].map(|key| pages[key].as_u64().unwrap());
        (figures, counts(&pages["shifts"]))
    };
    // In force: two incidents at ten, Berlin time eleven. Tried: one at 10:01 that becomes high at
    // 10:02, and one at half past eleven at night that stays low.
    assert_eq!(of("on-call"), ([1, 2, 0, 0], vec![(1, 2), (0, 0), (0, 0)]));
    assert_eq!(of("desk"), ([3, 0, 0, 0], vec![(2, 0), (0, 0), (1, 0)]));
    // A quarter past, then each hour, while the incident lasts: until six hours after its last post.
    let (manager, by_shift) = of("manager");
    assert_eq!((manager, by_shift), ([6, 12, 6, 12], vec![(3, 6), (3, 6), (0, 0)]));
    golden!("backtest-pages", steady(&desk.run(&["backtest", "new.toml", "two-days.jsonl"]).out));
}

#[test]
fn the_rules_in_force_tried_again_change_nothing() {
    let desk = desk();
    let line = |n: i64| {
        let at = Timestamp::from_seconds(1_793_000_000 + n * 700).to_string();
        let post = serde_json::json!({"id": format!("p{n}"), "created_at": at, "author": {"id": format!("a{}", n * 7 % 9)}, "text": format!("smoke at St Brigids {n}")});
        post.to_string()
    };
    // Nearly three batches, so that one engine may be ahead of the other.
    desk.file("month.jsonl", (0..1900).filter(|n| n % 40 < 30).map(line).collect::<Vec<_>>().join("\n"));
    let lines = json(&desk.run(&["backtest", "force.toml", "month.jsonl", "--json"]));
    let changes: Vec<&str> = lines.iter().filter_map(|line| line["change"].as_str()).collect();
    assert!(changes.len() > 20 && changes.iter().all(|change| *change == "same"), "{changes:?}");
    let replayed = desk.run(&["replay", "month.jsonl", "--json"]);
    assert_eq!(replayed.out.lines().filter(|line| line.contains("\"alert\"")).count(), changes.len());
}

#[test]
fn standard_input_will_do() {
    let desk = desk();
    let file = desk.run(&["backtest", "new.toml", "two-days.jsonl"]);
    let piped = desk.feed(&["backtest", "new.toml", "-"], two_days().as_bytes());
    assert_eq!((piped.code, steady(&piped.out)), (0, steady(&file.out)));
}

#[test]
fn a_silence_is_told_and_no_post_decided_it() {
    let quiet = format!("{}\n{}", rules(9, ""), LOUD.replace("alarm'", "smoke'\nquiet = { for = \"6h\" }"));
    let ran = desk().file("quiet.toml", quiet).run(&["backtest", "quiet.toml", "two-days.jsonl"]);
    let silences: Vec<&str> =
        ran.out.lines().filter(|line| line.contains("smoke.loud: nothing matched for ")).collect();
    assert_eq!(silences.len(), 2, "{}\n{}", ran.out, ran.err);
    assert!(silences[0].contains("23 h 40 min, since 2026-11-02T10:20:00Z;"), "{silences:?}");
    assert!(silences[1].contains("13 h 28 min, since 2026-11-03T10:02:00Z;"), "{silences:?}");
    let decided = ran.out.lines().filter(|line| line.trim() == "decided by").count();
    assert_eq!(decided, 0, "{}", ran.out);
}

#[test]
fn posts_before_the_time_asked_for_only_prepare() {
    let lines = json(&desk().run(&[
        "backtest",
        "force.toml",
        "two-days.jsonl",
        "--json",
        "--from",
        "2026-11-03",
        "--to",
        "2026-11-04",
    ]));
    let changes: Vec<_> = lines.iter().filter(|line| line["type"] == "alert").map(|line| &line["change"]).collect();
    assert_eq!(changes, ["same"]);
}

#[test]
fn what_the_daemon_kept_is_the_default() {
    let desk = desk();
    let post = |(n, author)| {
        let at = Timestamp::parse(&format!("2026-11-02T10:0{n}:00Z")).unwrap();
        Post::plain(format!("k{n}").as_str().into(), "bluesky".into(), author, format!("smoke at St Brigids {n}"), at)
    };
    let posts = ["a", "b", "c"].map(Into::into).into_iter().enumerate().map(post).collect();
    let mut store = Store::open(&desk.path().join("bell.db")).unwrap();
    store.commit(&[Commit { posts, ..Commit::default() }]).unwrap();
    for arguments in [&["backtest", "new.toml", "--json"][..], &["backtest", "new.toml", "--archive", "--json"]] {
        let lines = json(&desk.run(arguments));
        let told = |line: &Value| (line["change"].clone(), line["post"].clone());
        assert_eq!([told(&lines[0]), told(&lines[1])], [("gone".into(), "k1".into()), ("new".into(), "k2".into())]);
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_advice() {
    let desk = desk();
    for (arguments, advice) in [
        (&["backtest", "new.toml"][..], "bell.db is not there yet"),
        (&["backtest", "new.toml", "two-days.jsonl", "--from", "2026-11-03", "--to", "2026-11-03"], "later"),
        (&["backtest", "new.toml", "two-days.jsonl", "--from", "yesterday"], "2026-10-01"),
        (&["backtest", "new.toml", "two-days.jsonl", "--archive"], "--archive"),
    ] {
        let ran = desk.run(arguments);
        assert!(ran.code == 64 && ran.err.contains(advice), "{arguments:?}: {} {}", ran.code, ran.err);
    }
    let bare = Desk::new();
    let ran = bare.file("new.toml", rules(3, "")).run(&["backtest", "new.toml"]);
    assert!(ran.code == 64 && ran.err.contains("--config"), "{}", ran.err);
}
