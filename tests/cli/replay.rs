//! `replay`: recordings of every kind, and what is printed of them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use stormbell::domain::commit::{Commit, Erasure};
use stormbell::domain::post::Post;
use stormbell::domain::time::Timestamp;
use stormbell::store::Store;

use super::support::{Desk, Ran, golden};

/// A post as one line of `--format posts`.
pub(crate) fn post(id: &str, author: &str, time: &str, text: &str) -> String {
    let created_at = format!("2026-11-22T{time}Z");
    serde_json::json!({"id": id, "created_at": created_at, "author": {"id": author}, "text": text}).to_string()
}

/// Two people report a gunman, a third speaks of soup, and one line comes twice.
fn crisis() -> String {
    [
        post("p1", "a", "10:00:00", "There is a gunman at St Brigids"),
        post("p2", "b", "10:01:30", "shooter inside saint brigid's"),
        post("p3", "c", "10:02:00", "The soup at St Brigids is tomato today"),
        post("p2", "b", "10:01:30", "shooter inside saint brigid's"),
        "{\"id\":\"p4\"}".to_owned(),
    ]
    .join("\n")
}

#[test]
fn what_the_daemon_kept_is_replayed_from_its_database() {
    let desk = Desk::new();
    let stamp = |text| Timestamp::parse(text).unwrap();
    let post = |id: &str, author: &str, time, text: &str| {
        Post::plain(id.into(), "bluesky".into(), author.into(), text.to_owned(), stamp(time))
    };
    let late = post("p1", "a", "2026-11-22T10:00:00Z", "There is a gunman at St Brigids");
    let early = post("p2", "b", "2026-11-22T10:01:30Z", "an active shooter at St Brigids");
    let erased = post("p3", "c", "2026-11-22T10:02:00Z", "gunman at St Brigids, I was wrong");
    let many = (0..1200).map(|n| post(&format!("m{n:04}"), "d", "2026-11-22T10:03:00Z", "soup"));
    let mut store = Store::open(&desk.path().join("bell.db")).unwrap();
    let posts = many.chain([early, erased, late]).collect();
    store.commit(&[Commit { posts, ..Commit::default() }]).unwrap();
    store.commit(&[Commit { erased: vec![Erasure::Post("p3".into())], ..Commit::default() }]).unwrap();
    // The daemon may be running: `store` is still open.
    let ran = desk.run(&["replay", "bell.db", "--json", "--org", "St Brigids"]);
    assert_eq!((ran.code, ledger(&ran)), (0, [1202, 1202, 0, 0, 0]), "{}", ran.err);
    let alerts: Vec<&str> = ran.out.lines().filter(|line| line.contains(r#""type":"alert""#)).collect();
    assert!(alerts.iter().any(|alert| alert.contains("p2")) && !ran.out.contains("p3"), "{}", ran.out);
}

fn jetstream(time_us: i64, text: &str) -> String {
    let record = serde_json::json!({"$type": "app.bsky.feed.post", "text": text, "createdAt": "2026-11-22T10:00:00Z"});
    let commit = serde_json::json!({"rev": "3l", "operation": "create", "collection": "app.bsky.feed.post", "rkey": "3k", "record": record, "cid": "c"});
    format!(r#"{{"did":"did:plc:abc","time_us":{time_us},"kind":"commit","commit":{commit}}}"#)
}

fn summary(ran: &Ran) -> Value {
    serde_json::from_str(ran.out.lines().last().unwrap_or_else(|| panic!("{}", ran.err))).unwrap()
}

/// frames, posts, other, rejected, duplicates
fn ledger(ran: &Ran) -> [u64; 5] {
    let summary = summary(ran);
    ["frames", "posts", "other", "rejected", "duplicates"].map(|name| summary[name].as_u64().unwrap())
}

fn gzip(text: &str) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

/// Times, speeds and rules' versions change from run to run.
fn steady(text: &str) -> String {
    let mut steady = String::new();
    for line in text.lines() {
        let line = line.split_once(" in 0.").or_else(|| line.split_once(" in 1.")).map_or(line, |(before, _)| before);
        let line = line.rsplit_once(" 1.0.0+").map_or(line, |(before, _)| before);
        steady.push_str(line);
        steady.push('\n');
    }
    steady
}

#[test]
fn people_read_what_would_have_been_raised() {
    let desk = Desk::new();
    let ran = desk.file("day.jsonl", crisis()).run(&["replay", "day.jsonl", "--matches"]);
    golden!("cli-replay", steady(&ran.text()));
}

#[test]
fn json_has_the_promised_fields_and_types() {
    let desk = Desk::new();
    let ran = desk.file("day.jsonl", crisis()).run(&["replay", "day.jsonl", "--json", "--matches"]);
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let gunman = |kind: &str| {
        let of = |line: &&Value| line["type"] == kind && line["rule"] == "active-threat.gunman";
        lines.iter().find(of).unwrap().clone()
    };
    let alert = gunman("alert");
    let why = alert["why"].as_str().unwrap();
    let incident = alert["incident"].as_str().unwrap();
    assert!(why.starts_with("2 authors within 10 min (at least 2), the newest matched “Saint Brigid's”"), "{why}");
    assert!(incident.starts_with("inc-"));
    let expected = serde_json::json!({
        "type": "alert", "at": "2026-11-22T10:01:30Z", "rule": "active-threat.gunman", "severity": "critical",
        "topic": "active-threat", "condition": "count", "incident": incident, "new_incident": false,
        "posts": 2, "authors": 2, "within": "10m", "post": "p2", "why": why,
    });
    assert_eq!(alert, expected);
    let matched = serde_json::json!({
        "type": "match", "rule": "active-threat.gunman", "post": "p1", "terms": ["St Brigids", "gunman"],
    });
    assert_eq!(gunman("match"), matched);

    let mut summary = lines.last().unwrap().clone();
    for measured in ["seconds", "frames_per_second", "peak_rss_bytes"] {
        assert!(summary[measured].take().is_number(), "{measured}");
    }
    let alerts = lines.iter().filter(|line| line["type"] == "alert").count();
    let rules = summary["rules"].as_u64().unwrap();
    let expected = serde_json::json!({
        "type": "summary", "frames": 5, "posts": 3, "other": 0, "rejected": 1, "duplicates": 1,
        "matched_posts": 2, "alerts": alerts, "incidents": 1, "rules": rules,
        "from": "2026-11-22T10:00:00Z", "to": "2026-11-22T10:02:00Z",
        "seconds": null, "frames_per_second": null, "peak_rss_bytes": null,
    });
    assert_eq!(summary, expected);
    assert!(rules > 5);
}

#[test]
fn the_format_is_told_from_the_frames_or_named() {
    let desk = Desk::new();
    let frames = format!(
        "{}\n{}\n",
        jetstream(1_795_341_600_000_000, "gunman at St Brigids"),
        r#"{"did":"did:plc:abc","time_us":1795341600000001,"kind":"identity","identity":{"did":"did:plc:abc","handle":"a.example"}}"#
    );
    desk.file("wire.jsonl", frames).file("posts.jsonl", crisis());
    for (file, format, expected) in [
        ("wire.jsonl", "auto", [2, 1, 1, 0, 0]),
        ("wire.jsonl", "jetstream", [2, 1, 1, 0, 0]),
        ("wire.jsonl", "posts", [2, 0, 0, 2, 0]),
        ("posts.jsonl", "auto", [5, 3, 0, 1, 1]),
        ("posts.jsonl", "posts", [5, 3, 0, 1, 1]),
    ] {
        let ran = desk.run(&["replay", file, "--format", format, "--json"]);
        assert_eq!(ledger(&ran), expected, "{file} as {format}");
        assert_eq!(ran.code, 0);
    }
    assert!(desk.run(&["replay", "wire.jsonl", "--format", "posts"]).err.contains("is --format right?"));
}

#[test]
fn packed_files_standard_input_and_several_files_are_one_stream() {
    let desk = Desk::new();
    let whole = crisis();
    let (first, second) = whole.split_at(whole.find("\n{\"author\":{\"id\":\"c\"").unwrap() + 1);
    desk.file("a.jsonl", &whole)
        .file("b.jsonl.gz", gzip(&whole))
        .file("c.jsonl.gz", [gzip(first), gzip(second)].concat());
    desk.file("d.jsonl.zst", zstd::encode_all(whole.as_bytes(), 3).unwrap());
    desk.file("1.jsonl", first).file("2.jsonl", second);
    let plain = desk.run(&["replay", "a.jsonl", "--json"]);
    for arguments in [
        &["replay", "b.jsonl.gz", "--json"][..],
        &["replay", "c.jsonl.gz", "--json"],
        &["replay", "d.jsonl.zst", "--json"],
        &["replay", "1.jsonl", "2.jsonl", "--json"],
    ] {
        let ran = desk.run(arguments);
        assert_eq!(ledger(&ran), [5, 3, 0, 1, 1], "{arguments:?}: {}", ran.err);
        assert_eq!(alerts(&ran), alerts(&plain), "{arguments:?}");
    }
    let ran = desk.feed(&["replay", "-", "--json"], whole.as_bytes());
    assert_eq!((ledger(&ran), alerts(&ran)), ([5, 3, 0, 1, 1], alerts(&plain)));
}

fn alerts(ran: &Ran) -> Vec<&str> {
    ran.out.lines().filter(|line| line.contains("\"alert\"")).collect()
}

#[test]
fn windows_line_ends_empty_lines_and_a_byte_order_mark_do_not_matter() {
    let desk = Desk::new();
    let text = format!("\u{feff}{}\r\n\r\n   \n", crisis().replace('\n', "\r\n"));
    let ran = desk.file("day.jsonl", text).run(&["replay", "day.jsonl", "--json"]);
    assert_eq!(ledger(&ran), [5, 3, 0, 1, 1]);
}

#[test]
fn an_enormous_line_is_one_rejected_frame() {
    let desk = Desk::new();
    let text = format!("{}\n{}\n{}\n", post("p0", "x", "09:00:00", "hi"), "x".repeat(20 << 20), crisis());
    let ran = desk.file("day.jsonl", text).run(&["replay", "day.jsonl"]);
    assert!(ran.out.starts_with("2026-"), "{}", ran.out);
    assert!(
        ran.out.contains("7 frames: 4 posts, 0 other, 2 rejected (1 too_large, 1 missing_field), 1 duplicate\n"),
        "{}",
        ran.out
    );
}

#[test]
fn a_recording_that_breaks_off_is_counted_as_far_as_it_goes() {
    let desk = Desk::new();
    let lines: Vec<String> =
        (0..20_000).map(|n| post(&format!("p{n}"), "a", "10:00:00", &format!("post {}", n * 7919))).collect();
    let packed = zstd::encode_all(lines.join("\n").as_bytes(), 1).unwrap();
    desk.file("day.jsonl.zst", &packed[..packed.len() * 9 / 10]);
    let ran = desk.run(&["replay", "day.jsonl.zst", "--json"]);
    assert_eq!(ran.code, 1);
    let frames = ledger(&ran)[0];
    assert!((1..20_000).contains(&frames), "{frames}");
    assert!(ran.err.contains("error: the replay ends early: day.jsonl.zst: "), "{}", ran.err);
}

#[test]
fn nothing_nowhere_and_garbage() {
    let desk = Desk::new();
    desk.file("empty.jsonl", "").file("garbage.txt", "hello\nworld\n");
    let ran = desk.run(&["replay", "empty.jsonl", "--json"]);
    assert_eq!((ran.code, ledger(&ran)), (0, [0; 5]));
    let ran = desk.run(&["replay", "nope.jsonl", "--org", "x"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert_eq!(ran.err, "error: nope.jsonl: No such file or directory (os error 2)\n");
    let ran = desk.run(&["replay", "garbage.txt", "--org", "x"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert_eq!(
        ran.err,
        "error: garbage.txt: no line looks like a post (an object with `id`, `created_at`, `author` and `text`) or a \
         frame of a stream; name the format with --format (posts, jetstream, atproto, discord, discourse, eventsub, irc, mastodon, matrix, meta, nostr, recentchange, slack, x)\n"
    );
}

#[test]
fn any_number_of_threads_prints_the_same() {
    let desk = Desk::new();
    let texts = ["gunman inside St Brigids", "soup at St Brigids", "bomb threat at St Brigids", "nothing"];
    let line = |n: usize| {
        post(
            &format!("p{}", n % 3500),
            &format!("a{}", n % 13),
            &format!("{:02}:{:02}:00", n / 600 % 24, n / 10 % 60),
            texts[n * 7 % 4],
        )
    };
    desk.file("day.jsonl", (0..4_000).map(line).collect::<Vec<_>>().join("\n"));
    let [one, eight] =
        ["1", "8"].map(|threads| desk.run(&["replay", "day.jsonl", "--json", "--matches", "--threads", threads]));
    let without_summary = |ran: &Ran| {
        ran.out.lines().filter(|line| !line.contains("\"summary\"")).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    assert!(alerts(&one).len() > 3);
    assert_eq!(without_summary(&one), without_summary(&eight));
    assert_eq!(ledger(&one), ledger(&eight));
}

#[test]
fn whoever_has_read_enough_may_close_the_pipe() {
    let desk = Desk::new();
    let lines: Vec<String> =
        (0..20_000).map(|n| post(&format!("p{n}"), "a", "10:00:00", "I hear shots fired inside St Brigids")).collect();
    desk.file("day.jsonl", lines.join("\n"));
    for format in [&["--json"][..], &[]] {
        let mut child = desk
            .command(&[&["replay", "day.jsonl", "--matches", "--org", "St Brigids"], format].concat())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let mut complaints = String::new();
        child.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
        assert_eq!((child.wait().unwrap().code(), complaints.as_str()), (Some(0), ""), "{format:?}");
    }
}

#[test]
fn another_name_and_a_folder_of_rules_replace_the_defaults() {
    let desk = Desk::new();
    let rules = "schema = 1\n[pack]\nname = \"soup\"\n[[rule]]\nid = \"soup.cold\"\ntitle = \"Cold soup\"\nseverity = \"low\"\nquery = '$org soup'\n";
    desk.file("rules/soup.toml", rules).file("day.jsonl", crisis());
    let ran = desk.run(&["replay", "day.jsonl", "--json", "--rules", "rules", "--org", "St Brigids"]);
    assert_eq!((summary(&ran)["rules"].as_u64(), alerts(&ran).len()), (Some(1), 1));
    let ran = desk.run(&["replay", "day.jsonl", "--json", "--org", "Mercy General"]);
    assert_eq!((alerts(&ran).len(), ran.err.as_str()), (0, ""));
    desk.file("rules/bad.toml", "schema = 1\n[[rule]]\n");
    let ran = desk.run(&["replay", "day.jsonl", "--rules", "rules"]);
    assert_eq!((ran.code, ran.out.as_str()), (78, ""));
    assert!(ran.err.ends_with("the rules cannot be used; nothing was replayed\n"), "{}", ran.err);
}

#[test]
fn a_spike_tells_what_was_seen_and_what_was_usual() {
    let desk = Desk::new();
    let rule = r#"
schema = 1
[pack]
name = "talk"
[[rule]]
id = "talk.spike"
title = "Much talk about us"
severity = "high"
query = "$org"
spike = { false_alarms = "1 per 30d", at_least = 5, authors = 3 }
[[rule.test]]
name = "a crowd after a quiet fortnight"
posts = [{ text = "st brigids" }, { at = "1m", text = "st brigids" }, { at = "2m", text = "st brigids" },
         { at = "3m", text = "st brigids" }, { at = "4m", text = "st brigids" }, { at = "5m", text = "st brigids" },
         { at = "6m", text = "st brigids" }, { at = "7m", text = "st brigids" }]
alerts = 1
[[rule.test]]
name = "no crowd where so many come every day"
history = { posts_per_day = 960, for = "14d" }
posts = [{ text = "st brigids" }, { at = "1m", text = "st brigids" }, { at = "2m", text = "st brigids" },
         { at = "3m", text = "st brigids" }, { at = "4m", text = "st brigids" }, { at = "5m", text = "st brigids" },
         { at = "6m", text = "st brigids" }, { at = "7m", text = "st brigids" }]
alerts = 0
"#;
    let mut lines = vec![post("first", "a", "00:00:00", "weather")];
    lines.extend(
        (0..8).map(|n| post(&format!("p{n}"), &format!("a{n}"), &format!("10:0{n}:00"), "St Brigid's Hospital!")),
    );
    desk.file("talk.toml", rule).file("day.jsonl", lines.join("\n"));
    let checked = desk.run(&["check", "talk.toml"]);
    assert!(checked.code == 0 && checked.err.contains("2 tests run: no problems"), "{}", checked.err);
    let ran = desk.run(&["replay", "day.jsonl", "--rules", "talk.toml", "--org", "St. Brigid's Hospital", "--json"]);
    let alert: Value = serde_json::from_str(alerts(&ran)[0]).unwrap();
    assert_eq!((&alert["condition"], &alert["within"]), (&"spike".into(), &"15m".into()), "{alert}");
    let numbers = ["observed", "posts", "authors", "upper"].map(|key| alert[key].as_u64().unwrap());
    assert!(
        (5..=8).contains(&numbers[0]) && numbers[1..] == [numbers[0], numbers[0], 0],
        "as soon as it is clear: {alert}"
    );
    assert!(alert["expected"].as_f64().is_some_and(|expected| expected < 0.1), "{alert}");
}
