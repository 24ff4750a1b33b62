//! Rules that count by key, and rules that join others, from file to alert.

use std::fmt::Write as _;

use serde_json::Value;

use super::support::{Desk, golden};

/// A rule file; each rule is its id and what follows its first lines.
fn file(pack: &str, rules: &[(&str, &str)]) -> String {
    let mut text = format!("schema = 1\n[pack]\nname = \"{pack}\"\nversion = \"1\"\n");
    for (id, rest) in rules {
        write!(text, "\n[[rule]]\nid = \"{id}\"\ntitle = \"x\"\nseverity = \"info\"\n{rest}\n").unwrap();
    }
    text
}

const OUTAGE: (&str, &str) =
    ("cyber.outage", "query = '$org down'\ncount = { at_least = 2, distinct = \"author\", within = \"10m\" }");
const NOTE: (&str, &str) = ("cyber.note", "query = '$org ransom'");

#[test]
fn every_mistake_in_a_key_or_a_join_says_what_to_do() {
    let mut pages = String::new();
    let query = "query = '$org soup'\n";
    for (what, rest) in [
        ("a key that is none", format!("{query}count = {{ at_least = 3, within = \"1h\", by = \"plaice\" }}")),
        ("a list that is none", format!("{query}count = {{ at_least = 3, within = \"1h\", by = \"$place\" }}")),
        ("authors of an author", format!("{query}spike = {{ by = \"author\" }}")),
        ("no time", "all_of = { rules = [\"cyber.outage\", \"cyber.note\"] }".to_owned()),
        ("a query too", format!("{query}except = []\nall_of = {{ rules = [\"cyber.outage\", \"cyber.note\"], within = \"1h\" }}")),
        ("two conditions", "all_of = { rules = [\"cyber.outage\", \"cyber.note\"], within = \"1h\" }\ncount = { at_least = 2, within = \"1h\" }".to_owned()),
        ("one rule", "in_order = { rules = [\"cyber.note\"], within = \"1h\" }".to_owned()),
        ("one rule twice", "in_order = { rules = [\"cyber.note\", \"cyber.note\"], within = \"1h\" }".to_owned()),
        ("a rule that is not there", "all_of = { rules = [\"cyber.outige\", \"cyber.note\"], within = \"1h\" }".to_owned()),
        ("itself", "all_of = { rules = [\"cyber.note\", \"cyber.asked\"], within = \"1h\" }".to_owned()),
        ("keys of a join", "all_of = { rules = [\"cyber.outage\", \"cyber.note\"], within = \"1h\", by = \"link\" }".to_owned()),
    ] {
        let ran = Desk::new().file("p.toml", file("cyber", &[OUTAGE, NOTE, ("cyber.asked", &rest)])).run(&["check", "p.toml"]);
        let untested = |finding: &&str| finding.contains("[SB0250]") || finding.contains("[SB0251]");
        let findings: Vec<&str> = ran.err.split("\n\n").filter(|finding| !untested(finding)).collect();
        write!(pages, "=== {what}\n{}\n", findings.join("\n\n").trim_end()).unwrap();
    }
    let circle = [
        ("cyber.a", "all_of = { rules = [\"cyber.note\", \"cyber.b\"], within = \"1h\" }"),
        ("cyber.b", "in_order = { rules = [\"cyber.c\", \"cyber.note\"], within = \"1h\" }"),
        ("cyber.c", "all_of = { rules = [\"cyber.a\", \"cyber.note\"], within = \"1h\" }"),
    ];
    let ran = Desk::new().file("p.toml", file("cyber", &[&[NOTE], &circle[..]].concat())).run(&["check", "p.toml"]);
    let findings: Vec<&str> = ran.err.split("\n\n").filter(|finding| finding.contains("[SB0217]")).collect();
    write!(pages, "=== a circle\n{}\n", findings.join("\n\n")).unwrap();
    // A rule that could not be read is there all the same.
    let broken = file("cyber", &[OUTAGE, ("cyber.note", "query = 7"), ("cyber.both", JOINED)]);
    let ran = Desk::new().file("p.toml", broken).run(&["check", "p.toml"]);
    assert!(ran.err.contains("SB0004") && !ran.err.contains("SB0216"), "{}", ran.err);
    golden!("cli-check-joins", pages);
}

const JOINED: &str = "all_of = { rules = [\"cyber.outage\", \"cyber.note\"], within = \"30m\" }";

const TESTS: &str = r#"
[[rule.test]]
name   = "an outage and a note"
posts  = [{ at = "0s", author = "a", text = "St Brigids computers are down" },
          { at = "2m", author = "b", text = "everything is down at St Brigids" },
          { at = "20m", author = "c", text = "they found a ransom note at St Brigids" }]
alerts = 1

[[rule.test]]
name   = "an outage alone"
posts  = [{ at = "0s", author = "a", text = "St Brigids computers are down" },
          { at = "2m", author = "b", text = "everything is down at St Brigids" }]
alerts = 0
"#;

#[test]
fn a_joined_rule_is_tried_with_the_rules_of_all_files() {
    let desk = Desk::new();
    desk.file("rules/cyber.toml", file("cyber", &[OUTAGE, NOTE]));
    desk.file("rules/site.toml", file("site", &[("site.attack", &format!("{JOINED}\n{TESTS}"))]));
    let ran = desk.run(&["check", "rules"]);
    assert!(ran.code == 0 && ran.err.contains("3 rules in 2 files, 2 tests run"), "{}", ran.err);
    assert!(!ran.err.contains("site.attack"), "nothing to say of it: {}", ran.err);
    let failing = TESTS.replace("alerts = 0", "alerts = 1");
    desk.file("rules/site.toml", file("site", &[("site.attack", &format!("{JOINED}\n{failing}"))]));
    let ran = desk.run(&["check", "rules"]);
    assert!(ran.err.contains("post 1 taken by cyber.outage, post 2 taken by cyber.outage"), "{}", ran.err);
    // fmt knows the place of the condition.
    let ran = desk.run(&["fmt", "rules/site.toml"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let tidy = std::fs::read_to_string(desk.path().join("rules/site.toml")).unwrap();
    assert!(tidy.contains("severity = \"info\"\nall_of   = { rules"), "{tidy}");
}

#[test]
fn a_rule_counts_by_key_in_its_tests() {
    let rule = |by: &str, text: &str, alerts: u8| {
        let post = |author: &str, text: &str| format!("{{ author = \"{author}\", text = \"{text}\" }}");
        format!(
            "query = '$org'\ncount = {{ at_least = 2, distinct = \"author\", within = \"10m\", by = \"{by}\" }}\n\
             [[rule.test]]\nname = \"t\"\nposts = [{}, {}]\nalerts = {alerts}\n",
            post("a", "St Brigids lists https://a.example/x from the icu at the Harbor Street campus #leak"),
            post("b", text),
        )
    };
    for (by, text, alerts) in [
        ("link", "http://www.a.example/x?y St Brigids", 1),
        ("link", "http://b.example/x St Brigids", 0),
        ("place", "Saint Brigid's, harbor street campus", 1),
        ("place", "Saint Brigid's", 0),
        ("tag", "#LEAK at St Brigids", 1),
        ("source", "St Brigids", 1),
        ("$wards", "the ICU of St Brigids", 1),
        ("$wards", "the ER of St Brigids", 0),
    ] {
        let rules = file("p", &[("p.a", &rule(by, text, alerts))]).replacen(
            "\n[[rule]]",
            "[lists]\nwards = [\"icu\", \"er\"]\n[[rule]]",
            1,
        );
        let ran = Desk::new().file("p.toml", rules).run(&["check", "p.toml"]);
        assert_eq!(ran.code, 0, "{by} {text}: {}", ran.err);
        assert!(!ran.err.contains("SB0254") || by != "$wards", "the list is used: {}", ran.err);
    }
}

#[test]
fn a_spike_of_a_key_is_tried_after_the_usual_of_each_key() {
    let post = |n: usize, link: &str| {
        format!("{{ at = \"{}s\", author = \"a{n}\", text = \"St Brigids https://{link}\" }}", n * 60)
    };
    let test = |name: &str, history: &str, one_link: bool, alerts: u8| {
        let posts: Vec<String> = (0..9)
            .map(|n| post(n, &if one_link { "a.example/x".to_owned() } else { format!("b{n}.example") }))
            .collect();
        format!("[[rule.test]]\nname = \"{name}\"\n{history}posts = [{}]\nalerts = {alerts}\n", posts.join(", "))
    };
    let busy = "history = { posts_per_day = 1440, for = \"28d\" }\n";
    let rule = format!(
        "query = '$org'\nspike = {{ by = \"link\" }}\n{}{}{}",
        test("one link", "", true, 1),
        test("nine links", "", false, 0),
        test("as many as usual", busy, true, 0)
    );
    let ran = Desk::new().file("p.toml", file("p", &[("p.a", &rule)])).run(&["check", "p.toml"]);
    assert!(ran.code == 0 && ran.err.contains("3 tests run"), "{}", ran.err);
}

#[test]
fn replay_names_the_key_and_the_joined_rules_on_any_number_of_threads() {
    let desk = Desk::new();
    let by_link = "query = '$org'\ncount = { at_least = 2, distinct = \"author\", within = \"10m\", by = \"link\" }";
    let rules = file("cyber", &[OUTAGE, NOTE, ("cyber.both", JOINED), ("leak.link", by_link)]);
    let posts = [
        ("p1", "a", "10:00:00", "St Brigids computers are down https://www.evil.example/leak.zip?a"),
        ("p2", "b", "10:01:00", "down, all of it, at St Brigids http://evil.example/leak.zip"),
        ("p3", "c", "10:09:00", "a ransom note at St Brigids"),
    ];
    let lines: Vec<String> =
        posts.iter().map(|(id, author, at, text)| super::replay::post(id, author, at, text)).collect();
    desk.file("rules.toml", rules).file("day.jsonl", lines.join("\n"));
    let ran = desk.run(&["replay", "day.jsonl", "--rules", "rules.toml", "--json", "--threads", "1"]);
    let alerts: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of =
        |rule: &str| alerts.iter().find(|alert| alert["rule"] == rule).unwrap_or_else(|| panic!("{rule}: {}", ran.out));
    assert_eq!(
        (&of("leak.link")["key"], &of("leak.link")["condition"]),
        (&"evil.example/leak.zip".into(), &"count".into())
    );
    assert!(of("leak.link")["why"].as_str().unwrap().contains("on ‘evil[.]example/leak[.]zip’"), "{}", ran.out);
    let both = of("cyber.both");
    assert_eq!((&both["condition"], &both["posts"], &both["authors"]), (&"all_of".into(), &3.into(), &3.into()));
    assert_eq!((&both["within"], &both["post"], both.get("key")), (&"30m".into(), &"p3".into(), None));
    let alike = |threads: &str| {
        let ran = desk.run(&["replay", "day.jsonl", "--rules", "rules.toml", "--json", "--threads", threads]);
        ran.out.lines().filter(|line| !line.contains("\"summary\"")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(alike("1"), alike("8"));
    // Beside the rules in force a new one may join them.
    desk.file("new.toml", file("new", &[("new.order", &JOINED.replace("all_of", "in_order"))]));
    let config =
        "schema = 1\nrules = [\"rules.toml\"]\n[organization]\nname = \"St Brigids\"\n[store]\npath = \"bell.db\"\n";
    desk.file("stormbell.toml", config);
    let ran = desk.run(&["check", "rules.toml", "--profile", "day.jsonl"]);
    assert!(ran.code == 0 && ran.out.contains("cyber.both"), "{}{}", ran.out, ran.err);
    let ran = desk.run(&["backtest", "new.toml", "day.jsonl", "--json"]);
    assert!(ran.code == 0 && ran.out.contains("\"rule\":\"new.order\""), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("\"decided_by\":[\"p1\",\"p2\",\"p3\"]"), "{}", ran.out);
}

#[test]
fn explain_tells_keys_and_joined_rules() {
    let desk = Desk::new();
    let by_link = "query = '$org'\ncount = { at_least = 2, distinct = \"author\", within = \"10m\", by = \"link\" }";
    let by_place = "query = '$org'\nspike = { by = \"place\" }";
    desk.file("r.toml", file("r", &[OUTAGE, NOTE, ("r.both", JOINED), ("r.link", by_link), ("r.place", by_place)]));
    let mut pages = String::new();
    for (rule, text, code) in [
        ("r.link", "St Brigids https://example.org/leak?x and https://b.example", 0),
        ("r.link", "St Brigids", 0),
        ("r.place", "St Brigids", 0),
        ("r.both", "computers are down at St Brigids", 0),
        ("r.both", "soup", 1),
    ] {
        let ran = desk.run(&["explain", rule, "--rules", "r.toml", "--text", text]);
        assert_eq!(ran.code, code, "{rule} {text}");
        let steady = ran.out.lines().map(|line| line.split_once(" (version").map_or(line, |(before, _)| before));
        write!(pages, "=== {rule}: {text}\n{}\n", steady.collect::<Vec<_>>().join("\n")).unwrap();
    }
    golden!("cli-explain-keys", pages);
}
