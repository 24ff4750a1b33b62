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
    assert_eq!(told, [("new", "p5"), ("new", "p6"), ("new", "p7"), ("gone", "p2"), ("gone", "p5")]);
    assert_eq!(alerts[1]["decided_by"], serde_json::json!(["p4", "p5", "p6"]));
    let rule = lines.iter().find(|line| line["rule"] == "smoke.seen" && line["type"] == "rule").unwrap();
    assert_eq!((&rule["alerts"], &rule["alerts_now"], &rule["in_force"]), (&1.into(), &2.into(), &true.into()));
    let summary = lines.last().unwrap();
    assert_eq!((&summary["posts"], &summary["pages"], &summary["pages_now"]), (&7.into(), &2.into(), &2.into()));
    let night = summary["shifts"].as_array().unwrap().iter().find(|shift| shift["shift"] == "night").unwrap();
    assert_eq!((&night["pages"], &night["pages_now"]), (&1.into(), &0.into()));
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
        assert_eq!((&lines[0]["change"], &lines[0]["post"]), (&"new".into(), &"k2".into()));
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_advice() {
    let desk = desk();
    for (arguments, advice) in [
        (&["backtest", "new.toml", "-"][..], "give a file"),
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
