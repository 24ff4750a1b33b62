//! Conditions on the command line, `share` and `new_term` above all: mistakes, doubts, replay and explain.

use serde_json::Value;

use super::replay::post;
use super::support::{Desk, Ran, golden};

fn file(rules: &str) -> String {
    format!("schema = 1\n[pack]\nname = \"p\"\n{rules}")
}

/// A rule with that query and condition.
fn rule(id: &str, query: &str, condition: &str) -> String {
    format!(
        "[[rule]]\nid = \"{id}\"\ntitle = \"x\"\nseverity = \"low\"\nquery = '{query}'\n{condition}\n\
         test = [{{ name = \"a\", posts = [{{ text = \"zz\" }}], alerts = 0 }}]\n"
    )
}

fn alerts(ran: &Ran) -> Vec<Value> {
    let lines = ran.out.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.filter(|line: &Value| line["type"] == "alert").collect()
}

#[test]
fn mistakes_in_a_share_are_shown_where_they_are() {
    let rules = [
        rule("p.a", "parking", "share = { of = '$org AND', above = 1.0, at_least = 0, within = \"1h\" }"),
        rule("p.b", "parking", "share = { above = 30, at_least = 301, within = \"soon\" }"),
        rule("p.c", "parking", "share = { of = '$orgg', above = \"0.3\", at_least = 20, withn = \"1h\" }"),
        rule("p.d", "parking", "share = 0.3"),
        rule(
            "p.e",
            "parking",
            "share = { of = '', above = 0, at_least = 20, within = \"1h\" }\nquiet = { for = \"1h\" }",
        ),
        rule("p.f", "parking", "share = { of = 'a NOT', above = 0.3, at_least = 20, within = \"1h\" }"),
    ];
    let desk = Desk::new();
    golden!("cli-check-share", desk.file("p.toml", file(&rules.concat())).run(&["check", "p.toml"]).text());
}

#[test]
fn doubts_about_a_share_are_told() {
    let told = |query: &str, share: &str| {
        let rules = file(&rule("p.a", query, &format!("share = {{ {share}, within = \"1h\" }}")));
        let ran = Desk::new().file("p.toml", rules).run(&["check", "p.toml"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let lines = ran.err.lines().filter(|line| line.contains("[SB02") && !line.contains("SB0250"));
        lines.map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    let usual = "of = '$org', above = 0.3, at_least = 20";
    assert_eq!(told("parking", usual), "", "the whole asks for the organisation");
    assert!(told("$org OR parking", usual).ends_with("takes every post of which it asks for a share"));
    assert!(told("parking", "of = '$org', above = 0.3, at_least = 4").ends_with("judges by fewer than 5 posts"));
    assert!(
        told("parking", "of = 'hospital', above = 0.3, at_least = 9").contains("does not ask for the organisation")
    );
}

#[test]
fn a_share_is_replayed_the_same_by_any_number_of_threads_and_explained() {
    let desk = Desk::new();
    let share = "share = { of = '$org', above = 0.30, at_least = 20, within = \"1h\" }";
    desk.file("p.toml", file(&rule("p.parking", "parking", share)));
    let one = |n: usize| {
        let text = if n >= 400 && n.is_multiple_of(2) { "parking at St Brigids" } else { "St Brigids" };
        let other = post(&format!("x{n}"), &format!("y{n}"), &time(n), "parking in Rome");
        post(&format!("p{n}"), &format!("a{n}"), &time(n), text) + "\n" + &other
    };
    desk.file("day.jsonl", (0..700).map(one).collect::<Vec<_>>().join("\n"));
    let ran = |threads| {
        desk.run(&[
            "replay",
            "day.jsonl",
            "--rules",
            "p.toml",
            "--org",
            "St Brigids",
            "--json",
            "--matches",
            "--threads",
            threads,
        ])
    };
    let (alone, many) = (ran("1"), ran("8"));
    let [alert] = &alerts(&alone)[..] else { panic!("{}{}", alone.out, alone.err) };
    assert_eq!(alerts(&many), std::slice::from_ref(alert));
    assert_eq!((&alert["condition"], &alert["within"], &alert["of"]), (&"share".into(), &"1h".into(), &60.into()));
    assert_eq!((&alert["share"], &alert["posts"], &alert["authors"]), (&0.317.into(), &19.into(), &19.into()));
    assert_eq!((&alert["at"], &alert["post"]), (&format!("2026-11-22T{}Z", time(436)).into(), &"p436".into()));
    let matches = alone.out.lines().filter(|line| line.contains("\"match\"")).count();
    assert_eq!(matches, 150, "posts that are only of the whole, or only of the query, match nothing");
    assert!(alone.out.contains("\"matched_posts\":150"), "{}", alone.out.lines().last().unwrap());
    desk.file("p.toml", file(&rule("p.parking", "parking", share)));
    let explain = |text: &str| desk.run(&["explain", "p.parking", "--rules", "p.toml", "--text", text]);
    assert_eq!(explain("parking at St Brigids").code, 0);
    let elsewhere = explain("parking in Rome");
    assert!(
        elsewhere.code == 1 && elsewhere.out.contains("a share of such posts, of which it is not one"),
        "{}",
        elsewhere.text()
    );
}

/// A minute after the other.
fn time(minute: usize) -> String {
    format!("{:02}:{:02}:00", minute / 60, minute % 60)
}

#[test]
fn mistakes_and_doubts_about_a_new_term_are_shown() {
    let rules = [
        rule("p.a", "$org", "new_term = { at_least = 25, authors = 1 }"),
        rule("p.b", "$org", "new_term = { within = \"2d\", at_least = 1, author = 3 }"),
        rule("p.c", "$org", "new_term = { within = \"5m\", at_least = 2, authors = 3 }"),
    ];
    let desk = Desk::new();
    golden!("cli-check-new-term", desk.file("p.toml", file(&rules.concat())).run(&["check", "p.toml"]).text());
}

#[test]
fn sizes_at_which_nobody_could_be_told_in_time_are_refused() {
    let rules = [
        rule("p.a", "gunman", "count = { at_least = 10001, within = \"31d\" }"),
        rule("p.b", "gunman", "spike = { authors = 257 }"),
        rule("p.c", "gunman", "quiet = { for = \"3000d\" }"),
        rule("p.d", "gunman", "share = { of = '$org', above = 0.3, at_least = 20, within = \"400d\" }"),
    ];
    let desk = Desk::new();
    golden!("cli-check-sizes", desk.file("p.toml", file(&rules.concat())).run(&["check", "p.toml"]).text());
}

#[test]
fn a_new_term_is_replayed_the_same_by_any_number_of_threads() {
    let desk = Desk::new();
    desk.file("p.toml", file(&rule("p.new", "$org", "new_term = { within = \"1h\" }")));
    let day = |day: usize, n: usize, text: &str| {
        let line = post(&format!("p{day}-{n}"), &format!("a{n}"), &time(n), text);
        line.replace("2026-11-22", &format!("2026-11-{day}"))
    };
    let usual = (0..500).map(|n| day(22, n, "parking at St Brigids"));
    let news = (0..500).map(|n| {
        day(24, n, if n > 400 && n.is_multiple_of(2) { "St Brigids ‘legionella’ parking" } else { "St Brigids" })
    });
    desk.file("days.jsonl", usual.chain(news).collect::<Vec<_>>().join("\n"));
    let ran = |threads| {
        desk.run(&["replay", "days.jsonl", "--rules", "p.toml", "--org", "St Brigids", "--json", "--threads", threads])
    };
    let (alone, many) = (ran("1"), ran("8"));
    let [alert] = &alerts(&alone)[..] else { panic!("{}{}", alone.out, alone.err) };
    assert_eq!(alerts(&many), std::slice::from_ref(alert));
    assert_eq!((&alert["condition"], &alert["term"]), (&"new_term".into(), &"legionella".into()));
    assert_eq!((&alert["posts"], &alert["authors"], &alert["within"]), (&5.into(), &5.into(), &"1h".into()));
    let why = alert["why"].as_str().unwrap();
    assert!(
        why.starts_with("‘legionella’ in 5 posts by 5 authors within 1 h, not seen in this rule's posts in 2 d before"),
        "{why}"
    );
}

#[test]
fn what_must_hold_for_a_while_is_refused_doubted_and_explained() {
    let lasting = "count = { at_least = 2, within = \"10m\", for = \"5m\" }";
    let rules = [
        rule("p.a", "$org", "for = \"5m\""),
        rule("p.b", "$org", "keep_firing_for = \"5m\"\ncount = { at_least = 2, within = \"10m\" }"),
        rule("p.c", "$org", "spike = { for = \"5m\" }"),
        rule("p.d", "$org", "count = { at_least = 2, within = \"10m\", for = \"5m\", by = \"tag\" }"),
        rule("p.e", "$org", "share = { of = '$org', above = 0.3, at_least = 20, within = \"1h\", for = \"31d\" }"),
    ];
    let desk = Desk::new();
    desk.file("p.toml", file(&rules.concat()));
    golden!("cli-check-for", desk.run(&["check", "p.toml"]).text());
    let critical = rule("p.f", "$org", lasting).replace("\"low\"", "\"critical\"");
    desk.file("q.toml", file(&critical));
    golden!("cli-check-for-critical", desk.run(&["check", "q.toml"]).text());
    let told = desk.run(&["explain", "p.f", "--rules", "q.toml", "--text", "St Brigids"]).text();
    assert!(told.contains("2 posts within 10 min; this is one\nand that without interruption for 5 min"), "{told}");
    let tuned = desk.run(&["tune", "p.f", "none.jsonl", "--rules", "q.toml"]);
    assert!(tuned.err.contains("which `tune` does not try"), "{}", tuned.err);
}

#[test]
fn a_recording_shows_when_it_had_lasted_for_long_enough() {
    let desk = Desk::new();
    desk.file("p.toml", file(&rule("p.a", "$org", "count = { at_least = 2, within = \"10m\", for = \"5m\" }")));
    let lines = [("1", "a", "10:00:00"), ("2", "b", "10:01:00"), ("3", "c", "18:00:00")];
    let line = |(id, author, time): (&str, &str, &str)| post(id, author, time, "St Brigids");
    desk.file("posts.jsonl", lines.map(line).join("\n"));
    let ran = desk.run(&["replay", "posts.jsonl", "--rules", "p.toml", "--org", "St Brigids", "--json"]);
    let [alert] = &alerts(&ran)[..] else { panic!("{}", ran.out) };
    assert_eq!((&alert["at"], &alert["posts"]), (&"2026-11-22T10:06:00Z".into(), &2.into()));
}
