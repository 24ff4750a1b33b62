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
fn a_list_of_a_rule_that_cannot_be_read_is_not_called_unused() {
    let rules = format!("schema = 1\n[pack]\nname = \"p\"\n[lists]\nfood = [\"soup\"]\n{}", rule("p.a", "$org $food"));
    let ran = Desk::new().file("p.toml", format!("{rules}sattus = \"stable\"\n")).run(&["check", "p.toml"]);
    assert!(ran.err.contains("error[SB0002]") && !ran.err.contains("SB0254"), "{}", ran.err);
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

/// A rule with that query, and tests unless it shall lack them.
fn rule(id: &str, query: &str) -> String {
    format!("\n[[rule]]\nid = \"{id}\"\ntitle = \"x\"\nseverity = \"low\"\nquery = '{query}'\n")
}

const TESTS: &str = "test = [{ name = \"a\", posts = [{ text = \"zz\" }], alerts = 0 }, \
    { name = \"b\", posts = [{ text = \"soup at St Brigids\" }], alerts = 1 }]\n";

#[test]
fn each_doubt_about_a_rule_reads_well() {
    let many = (0..10_001).map(|n| format!("\"x{n}\"")).collect::<Vec<_>>().join(", ");
    let desk = Desk::new();
    let mut pages = String::new();
    for (what, lists, query, more) in [
        ("an alternative that another covers", "", "$org (soup OR \"cold soup\" OR soup cold OR SOUP)", ""),
        ("a wildcard that covers", "foods = [\"souper\", \"soups\"]\n", "$org (soup* OR $foods)", ""),
        ("a negation of what is asked", "", "$org soup NOT (soup OR tea)", ""),
        ("an exception of everything", "", "$org soup", "except = [{ reason = \"food\", query = 'soup OR tea' }]\n"),
        ("frequent words", "w = [\"the\", \"to the\", \"ER\", \"soup\"]\n", "$w NOT $org", ""),
        ("lower-case operators", "", "$org near/3 soup and tea", ""),
        ("operators of other programs", "", "$org soup !tea –milk cold|warm near4 hot~2 \"no doubt\"~2", ""),
        ("an expression for every post", "", "$org OR /[0-9]{3}/", ""),
        ("an expression with a guard", "", "$org /[a-z]{3}/", ""),
        ("far away", "", "$org NEAR/80 soup", ""),
        ("no text in text", "", "in:text link:news.example", ""),
        ("a handle", "", "$org OR from:(ann.example OR bob.example)", ""),
        ("a handle and a key", "", "$org OR from:(ann.example OR did:plc:abc)", ""),
    ] {
        let rules = format!("schema = 1\n[pack]\nname = \"p\"\n[lists]\n{lists}{}{more}{TESTS}", rule("p.a", query));
        let ran = desk.file("p.toml", rules).run(&["check", "p.toml"]);
        let failures = ran.err.split("\n\n").filter(|finding| !finding.contains("[SB0301]"));
        write!(pages, "=== {what}\n{}", failures.collect::<Vec<_>>().join("\n\n")).unwrap();
    }
    let same = format!("{}{TESTS}{}{TESTS}", rule("p.a", "$org ($food OR tea)"), rule("p.b", "(tea OR soup) AND $org"));
    let rules = format!("schema = 1\n[pack]\nname = \"p\"\n[lists]\nfood = [\"Soup\"]\nidle = [\"x\", \"X\"]\n{same}");
    write!(pages, "=== the same twice\n{}", desk.file("p.toml", rules).run(&["check", "p.toml"]).err).unwrap();
    let rules = format!("schema = 1\n[pack]\nname = \"p\"\n[lists]\nmany = [{many}]\n{}", rule("p.a", "$org $many"));
    write!(pages, "=== very large, and untested\n{}", desk.file("p.toml", rules).run(&["check", "p.toml"]).err)
        .unwrap();
    golden!("cli-check-lints", pages);
}

#[test]
fn words_people_forget_are_proposed_and_never_fail() {
    let lists = "food = [\"cold soup\", \"waiting\", \"emergency room\"]\narms = [\"gunman\", \"shoot*\"]\n\
        spanish = [\"tirador\", \"tiroteo\", \"pistolero\", \"gunmen\"]\n\
        english = [\"shooter\", \"shooters\", \"shooting\", \"shootings\", \"stabbed\"]\n";
    let head = format!("schema = 1\n[pack]\nname = \"p\"\n[lists]\n{lists}");
    let rules = format!("{head}{}{TESTS}", rule("p.a", "$org (soup OR $food OR $arms OR $spanish OR $english)"));
    let config = CONFIG.replace("Mercy General", "St. Brigid's Hospital").replace("\"rules/\"", "\"p.toml\"");
    let desk = Desk::new();
    desk.file("p.toml", rules).file("stormbell.toml", config);
    let brief = desk.run(&["check"]);
    assert_eq!(brief.code, 0);
    golden!(
        "cli-check-suggest",
        format!("{}=== --suggest\n{}", brief.text(), desk.run(&["check", "--suggest"]).text())
    );
}

#[test]
fn a_site_changes_the_lists_of_packs() {
    let rules = RULES.replace("\"unfriendly\"]", "\"unfriendly\", \"Kühl\"]");
    let site = "schema = 1\n[override.mine]\nrude = { add = [\"grumpy\"], remove = [\"KUHL\", \"unfreindly\"] }\n";
    let desk = Desk::new();
    let ran = desk.file("rules/mine.toml", rules).file("rules/site.toml", site).run(&["check", "rules"]);
    assert_eq!(ran.code, 0);
    let mut pages = ran.text();
    let takes = |text: &str| desk.run(&["explain", "mine.rude", "--rules", "rules", "--text", text]).code;
    assert_eq!((takes("St Brigids, grumpy people"), takes("St Brigids, kühl people")), (0, 1));
    // A pack's tests speak of its own lists: with others, a failure is no mistake of the site.
    let replaced = "schema = 1\n[override.mine]\nrude = [\"grumpy\", \"$rudest\"]\n";
    let ran = desk.file("rules/site.toml", replaced).run(&["check", "rules"]);
    write!(pages, "=== unknown list in an override\n{}", ran.text()).unwrap();
    let wrong = "schema = 1\n[override.mien]\nrude = []\n[override.mine]\nrud = []\nrude = [\"grumpy\"]\n";
    desk.file("rules/site.toml", wrong).file("rules/site2.toml", replaced);
    write!(pages, "=== wrong names\n{}", desk.run(&["check", "rules"]).text()).unwrap();
    golden!("cli-check-override", pages);
}

#[test]
fn tests_of_rules_say_all_that_fields_ask_for() {
    let query =
        "$org link:news.example kind:quote source:bsky from:(@ann.example OR did:plc:x) min_followers:10 has:media";
    let rules = RULES.replace("$org AND $rude", query).replace("rude = [\"rude\", \"unfriendly\"]", "").replace(
        "{ text = \"rude people at St Brigids\" }",
        "{ text = \"St Brigids\", links = [\"https://a.news.example/\"], kind = \"quote\", source = \"bsky\", \
         handle = \"ann.example\", followers = 10, has_media = true }",
    );
    let ran = Desk::new().file("rules/mine.toml", rules).run(&["check", "rules"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
}

#[test]
fn a_fuzzy_list_finds_disguised_words() {
    let rules = RULES.replace("[\"rude\", \"unfriendly\"]", "{ terms = [\"rude\"], fuzzy = true }");
    let desk = Desk::new();
    desk.file("mine.toml", rules.replace("rude people at", "rud3 people at"));
    let ran = desk.run(&["check", "mine.toml"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let ran = desk.file("mine.toml", RULES.replace("rude people at", "rud3 people at")).run(&["check", "mine.toml"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
}

#[test]
fn a_rule_can_ask_for_independent_reports() {
    let test = |name: &str, second: &str, alerts: u8| {
        format!(
            "[[rule.test]]\nname = \"{name}\"\nposts = [{{ author = \"a\", text = \"smoke pours out of St Brigids east wing\" }}, \
             {{ author = \"b\", text = \"{second}\" }}]\nalerts = {alerts}\n"
        )
    };
    let counted = "count = { at_least = 2, distinct = \"story\", within = \"10m\" }\n";
    let copy = test("a copy", "RT @a: Smoke pours out of St Brigids east wing!", 0);
    let own = test("own words", "St Brigids is on fire, I can see the smoke from here", 1);
    let desk = Desk::new();
    desk.file(
        "mine.toml",
        format!("schema = 1\n[pack]\nname = \"mine\"\n{}{counted}{copy}{own}", rule("mine.smoke", "smoke")),
    );
    let ran = desk.run(&["check", "mine.toml"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    desk.file("mine.toml", format!("schema = 1\n[pack]\nname = \"mine\"\n{}{copy}", rule("mine.smoke", "smoke")));
    assert_eq!(desk.run(&["check", "mine.toml"]).code, 1, "without the count each post raises it");
}

#[test]
fn a_profile_names_every_rule_with_what_it_costs_and_matches() {
    let food = rule("mine.soup", "soup");
    let desk = Desk::new();
    desk.file("rules/mine.toml", format!("{RULES}{food}{TESTS}"));
    let post = |n: usize| super::replay::post(&format!("p{n}"), "a", "10:00:00", if n == 0 { "soup" } else { "tea" });
    desk.file("day.jsonl", (0..4).map(post).collect::<Vec<_>>().join("\n"));
    let ran = desk.run(&["check", "rules", "--profile", "day.jsonl"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let mut lines: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.remove(0), ["ns/post", "matched", "terms", "rule"]);
    lines.sort_by_key(|line| line[4]);
    assert_eq!(lines[0][1..], ["0.000", "%", "7", "mine.rude"]);
    assert_eq!(lines[1][1..], ["25.000", "%", "1", "mine.soup"]);
    assert!(ran.err.contains("4 posts, 4 of them timed"), "{}", ran.err);
    let ran = desk.file("day.jsonl", "").run(&["check", "rules", "--profile", "day.jsonl"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("nothing can be measured"), "{}", ran.err);
}

#[test]
fn a_budget_says_what_each_spike_rule_then_promises() {
    let check = |volume: &str, promises: &[&str]| {
        let spikes = promises.iter().enumerate().map(|(n, promise)| {
            let rule = rule(&format!("p.{n}"), &format!("$org soup{n}"));
            format!("{rule}spike = {{ false_alarms = \"{promise}\" }}\n")
        });
        let rules = spikes.collect::<Vec<_>>().concat();
        let desk = Desk::new();
        desk.file("rules.toml", format!("schema = 1\n[pack]\nname = \"p\"\n{rules}"));
        desk.file(
            "stormbell.toml",
            format!("schema = 1\nrules = [\"rules.toml\"]\n[organization]\nname = \"St. Brigid's Hospital\"\n{volume}"),
        );
        let ran = desk.run(&["check"]);
        ran.err.lines().filter(|line| line.starts_with("false alarms: ")).collect::<Vec<_>>().join("\n")
    };
    let budget = "[volume]\nfalse_alarms = \"1 per 7d\"\n";
    assert_eq!(
        check(budget, &["1 per 7d", "1 per 14d", "1 per 14d"]),
        "false alarms: 3 spike rules promise 1 per 84h together, more than the budget of 1 per 7d; \
         1 per 7d becomes 1 per 14d, 1 per 14d becomes 1 per 28d"
    );
    assert_eq!(
        check(budget, &["1 per 30d", "1 per 60d"]),
        "false alarms: 2 spike rules promise 1 per 20d together, within the budget of 1 per 7d"
    );
    assert_eq!(check("", &["1 per 7d", "1 per 7d"]), "");
    assert_eq!(check(budget, &[]), "");
}

#[test]
fn spikes_that_make_no_sense_are_told_and_silences_have_tests() {
    let spike = |numbers: &str| {
        let rule = rule("p.a", "$org soup");
        let rules = format!("schema = 1\n[pack]\nname = \"p\"\n{rule}spike = {{ {numbers} }}\n");
        let ran = Desk::new().file("p.toml", rules).run(&["check", "p.toml"]);
        ran.err.lines().filter(|line| line.contains("SB0280")).map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    for (numbers, told) in [
        ("false_alarms = \"3 per 1d\"", "accepts more than a false alarm a day"),
        ("false_alarms = \"1 per 9000d\"", "promises less than a false alarm in ten years"),
        ("at_least = 2, authors = 2", "asks for fewer than 5 posts"),
        ("authors = 1", "takes one author for a crowd"),
        ("authors = 9", "asks for more authors than posts"),
    ] {
        assert!(spike(numbers).ends_with(told), "{numbers}: {}", spike(numbers));
    }
    assert_eq!(spike("false_alarms = \"1 per 30d\", at_least = 5, authors = 3"), "");
    let quiet = "quiet = { for = \"30m\" }\n\
        test = [{ name = \"silence\", posts = [{ text = \"soup at St Brigids\" }, { at = \"31m\", text = \"rain\" }], alerts = 1 }, \
                { name = \"none\", posts = [{ text = \"soup at St Brigids\" }, { at = \"29m\", text = \"rain\" }], alerts = 0 }]\n";
    let rules = format!("schema = 1\n[pack]\nname = \"p\"\n{}{quiet}", rule("p.a", "$org soup"));
    let ran = Desk::new().file("p.toml", rules).run(&["check", "p.toml"]);
    assert!(ran.code == 0 && ran.err.contains("2 tests run: no problems"), "{}", ran.err);
}

const SOURCE_X: &str = r#"
[[source]]
name = "x-posts"
kind = "x"
token = { env = "STORMBELL_TEST_X" }
monthly_posts = 1000
"#;

#[test]
fn what_x_is_asked_for_and_what_its_terms_forbid_is_said() {
    let rules = r#"schema = 1

[pack]
name = "mine"

[[rule]]
id       = "mine.shape"
title    = "A shape"
severity = "low"
query    = '/code\s+silver/'

[[rule]]
id       = "mine.wide"
title    = "Infections"
severity = "low"
query    = '$org infect*'

[[rule]]
id       = "mine.protest"
title    = "Protests"
severity = "low"
query    = '$org (protest OR crowd)'

[[rule]]
id       = "mine.apart"
title    = "Protests elsewhere"
severity = "low"
query    = '$org protesters'
not_on   = ["x"]

[[rule]]
id       = "mine.slip"
title    = "A slip"
severity = "low"
query    = '$org fire'
not_on   = ["y"]
"#;
    let desk = Desk::new();
    let config = CONFIG.replace("[[receiver]]", &format!("{SOURCE_X}\n[[receiver]]"));
    let ran = desk.file("stormbell.toml", &config).file("rules/mine.toml", rules).run(&["check"]);
    golden!("cli-check-x", ran.text());
    // The packs say themselves what they do not read there.
    let packs = config.replace("[\"rules/\"]", "[\"builtin:hospital\", \"builtin:duty-of-care\"]");
    let ran = desk.file("stormbell.toml", &packs).run(&["check"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(!ran.err.contains("SB0291") && !ran.err.contains("SB0292"), "{}", ran.err);
    assert!(ran.err.contains("x-posts: X is asked for"), "{}", ran.err);
    // And if they did not, it would be told of each.
    for (pack, rules) in [("crisis/labour", 4), ("duty-of-care/duty-of-care", 2)] {
        let path = format!("{}/rules/{pack}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap().replace("not_on   = [\"x\"]", "");
        let desk = Desk::new();
        let ran = desk.file("stormbell.toml", &config).file("rules/pack.toml", &text).run(&["check"]);
        assert_eq!(ran.err.matches("[SB0291]").count(), rules, "{pack}: {}", ran.err);
    }
}
