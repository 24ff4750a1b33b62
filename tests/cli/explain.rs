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

/// A rule with all that can come near.
const NEAR: &str = r#"schema = 1
[pack]
name = "p"
[[rule]]
id = "p.near"
title = "x"
severity = "low"
query = '$org NEAR/3 gunman OR "active shooter" OR lockdown ONEAR/2 ward OR #er soup OR /sh[o0]ts/'
except = [{ reason = "drills", query = 'drill' }]
"#;

#[test]
fn how_near_it_came_and_where_is_shown_for_people_and_programs() {
    let desk = Desk::new();
    desk.file("p.toml", NEAR);
    let mut pages = String::new();
    let post = |text: &str| {
        serde_json::json!({"id": "1", "created_at": "2026-11-22T10:00:00Z", "author": {"id": "a"}, "text": text,
            "tags": ["ER", "other"], "media_text": ["St Brigids", "病院の soup\u{1b}[2J \u{202e}"]})
    };
    for text in [
        "St Brigids, they say: there might be a gunman. The ward is in lockdown",
        "active nothing, shooter\nsh0ts at the ward, 病院 é\u{301} drill \u{9b}\u{7} shots\u{2067}",
    ] {
        desk.file("post.json", post(text).to_string());
        let ran = desk.run(&["explain", "p.near", "--rules", "p.toml", "--post", "post.json"]);
        let json = desk.run(&["explain", "p.near", "--rules", "p.toml", "--post", "post.json", "--json"]);
        let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
        let json = serde_json::to_string_pretty(&json["query"]).unwrap();
        write!(pages, "=== {text:?}\n{}{json}\n", versionless(&ran.text())).unwrap();
        let unsafe_characters = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{2069}').contains(&c);
        assert!(!ran.out.contains(unsafe_characters), "{:?}", ran.out);
    }
    golden!("cli-explain-near", pages);
}

#[test]
fn the_whole_of_a_disguised_word_is_marked() {
    let rules = "schema = 1\n[pack]\nname = \"p\"\n[lists]\nodd = { terms = [\"kill\"], fuzzy = true }\n[[rule]]\n\
        id = \"p.odd\"\ntitle = \"x\"\nseverity = \"low\"\nquery = '$odd'\n";
    let desk = Desk::new();
    let ran = desk.file("p.toml", rules).run(&["explain", "p.odd", "--rules", "p.toml", "--text", "I k!ll you"]);
    assert!(ran.out.contains("1 | I k!ll you\n  |   ^^^^\n"), "{}", ran.out);
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
fn a_name_that_is_a_word_is_explained() {
    let desk = Desk::new();
    let explain = |text| desk.run(&["explain", GUNMAN, "--org", "Mercy", "--text", text]);
    assert_eq!(explain("gunman at Mercy").code, 0);
    let ran = explain("Lord have mercy, a gunman on television");
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("may mean something else: $org_guarded takes it only in company"), "{}", ran.out);
    let ran = explain("gunman at Mercy College");
    assert_eq!(ran.code, 1);
    assert!(ran.out.contains("except “others of that name”: takes the post out"), "{}", ran.out);
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

#[test]
fn a_rule_with_a_mistake_is_a_matter_of_configuration() {
    let desk = Desk::new();
    desk.file("a.toml", "schema = 1\n[pack]\nname = \"a\"\n[[rule]]\nid = \"a.a\"\ntitle = \"t\"\nseverity = \"low\"\nquery = 'soup AND'\n");
    let ran = desk.run(&["explain", "a.a", "--rules", "a.toml", "--text", "soup"]);
    assert_eq!((ran.code, ran.out.as_str()), (78, ""));
    assert!(ran.err.contains("SB0104") && ran.err.contains("mend the mistakes above first"), "{}", ran.err);
}

/// Rules change; their versions would change every golden file.
fn versionless(text: &str) -> String {
    let (before, after) = text.split_once("(version ").unwrap();
    let (_, after) = after.split_once(", for").unwrap();
    format!("{before}(version [version], for{after}")
}
