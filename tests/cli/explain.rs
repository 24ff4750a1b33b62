//! `explain`: which words a rule takes.

use std::fmt::Write as _;

use super::support::{Desk, golden};

const GUNMAN: &str = "active-threat.gunman";

#[test]
fn each_answer_reads_well() {
    let desk = Desk::new();
    let mut pages = String::new();
    for (text, code) in [
        ("Gunman at St Brigids ER", 0),
        ("The soup at St Brigids was cold", 1),
        ("Active shooter drill at St Brigids today", 1),
        ("This is not a drill: active shooter at St Brigids", 0),
    ] {
        let ran = desk.run(&["explain", GUNMAN, "--text", text]);
        assert_eq!(ran.code, code, "{text}");
        write!(pages, "=== {text}\n{}", versionless(&ran.text())).unwrap();
    }
    golden!("cli-explain", pages);
}

#[test]
fn json_has_one_object_and_people_read_standard_error() {
    let ran = Desk::new().run(&["explain", GUNMAN, "--json", "--text", "shooter drill, St Brigids"]);
    assert_eq!((ran.code, ran.out.lines().count()), (1, 1));
    assert!(ran.err.contains("listening for the example"));
    let answer: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer["rule"], GUNMAN);
    assert_eq!(answer["matched"], false);
    assert_eq!(answer["terms"], serde_json::json!(["St Brigids", "shooter"]));
    assert_eq!(answer["query"]["satisfied"], true);
    let drill = &answer["excepts"][0];
    assert_eq!((&drill["reason"], &drill["query"]["satisfied"]), (&"announced drills".into(), &true.into()));
}

#[test]
fn a_post_from_a_file_speaks_of_the_named_hospital() {
    let desk = Desk::new();
    desk.file("post.json", super::replay::post("p1", "a", "10:00:00", "gunman, Mercy General, go"));
    let ran = desk.run(&["explain", GUNMAN, "--post", "post.json", "--org", "Mercy General"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.contains("for Mercy General"), "{}", ran.out);
    let ran = desk.file("post.json", "{}").run(&["explain", GUNMAN, "--post", "post.json"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("post.json is not a post: missing field `id`"), "{}", ran.err);
}

#[test]
fn an_unknown_rule_is_usage_with_a_suggestion() {
    let ran = Desk::new().run(&["explain", "active-threat.gunmn", "--text", "a"]);
    assert_eq!(ran.code, 64);
    assert!(
        ran.err.contains("there is no rule active-threat.gunmn; did you mean active-threat.gunman?"),
        "{}",
        ran.err
    );
}

/// Rules change; their versions would change every golden file.
fn versionless(text: &str) -> String {
    let (before, after) = text.split_once("(version ").unwrap();
    let (_, after) = after.split_once(", for").unwrap();
    format!("{before}(version [version], for{after}")
}
