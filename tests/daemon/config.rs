//! What a user sees when a configuration or a rule file is right, and when it is wrong.
//!
//! Reports are compared with tests/golden/config-*.snap; after a wanted change, run with
//! `INSTA_UPDATE=always` and read the difference.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use stormbell::config::environment::Environment;
use stormbell::config::load::{Loaded, SecretPolicy, find, load, parse};
use stormbell::config::model::{Config, Reach, ReceiverKind, RuleEntry, RuleOrigin, SourceKind};
use stormbell::config::rules::{Builtin, load_rules, parse_rules};
use stormbell::config::schedule::gaps;
use stormbell::domain::cap::Cap;
use stormbell::domain::condition::{Condition, Count, Distinct};
use stormbell::domain::diagnostic::{Diagnostic, SourceText, has_errors};
use stormbell::domain::id::ReceiverName;
use stormbell::domain::incident::Severity;
use stormbell::domain::inhibit::Inhibition;
use stormbell::domain::organization::Organization;
use stormbell::domain::route::Routes;
use stormbell::domain::route::Target;
use stormbell::domain::rule::raw::{RawFile, Status};
use stormbell::domain::terms::{Journalist, Terms};
use stormbell::domain::time::Timestamp;
use stormbell::domain::volume::Promise;
use stormbell::report::{Colours, line, render, summary};

/// The sample of the interface description, with the receiver its route speaks of.
const SAMPLE: &str = include_str!("../golden/sample-config.toml");
const SAMPLE_RULES: &str = include_str!("../golden/sample-rules.toml");

/// What every configuration needs.
const HEAD: &str = "schema = 1\nrules = [\"rules\"]\n[organization]\nname = \"St. Brigid's\"\n";
const SOURCE: &str = "[[source]]\nname = \"bluesky\"\nkind = \"jetstream\"\nurl = \"wss://jet.example/subscribe\"\n";
const RECEIVER: &str = "[[receiver]]\nname = \"log\"\nkind = \"log\"\n";
const PACK: &str = "schema = 1\n[pack]\nname = \"p\"\n";

fn home() -> Environment {
    [("HOME", "/home/ann")].into_iter().collect()
}

fn source(name: &str, text: &str) -> Arc<SourceText> {
    Arc::new(SourceText { name: name.to_owned(), text: text.to_owned() })
}

fn read(text: &str, environment: &Environment, secrets: SecretPolicy) -> Loaded {
    parse(&source("stormbell.toml", text), Path::new("/etc/stormbell"), environment, secrets)
}

fn works(text: &str) -> Config {
    let loaded = read(text, &home(), SecretPolicy::MayBeAbsent);
    assert!(!has_errors(&loaded.findings), "{}", render(&loaded.findings, Colours::Plain));
    loaded.config.expect("a configuration without errors is there")
}

fn rules(text: &str) -> (RawFile, Vec<Diagnostic>) {
    let (file, findings) = parse_rules(&source("rules/own.toml", text));
    (file.expect("the pack is right"), findings)
}

fn shown(findings: &[Diagnostic]) -> String {
    format!("{}{}\n", render(findings, Colours::Plain), summary(findings))
}

fn golden(name: &str, report: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(format!("config-{name}"), report));
}

/// The report on a configuration of which `HEAD`, `SOURCE` and `RECEIVER` are right.
fn golden_config(name: &str, rest: &str) {
    let loaded = read(&format!("{HEAD}{SOURCE}{RECEIVER}{rest}"), &home(), SecretPolicy::Required);
    assert!(loaded.config.is_none() || !has_errors(&loaded.findings));
    golden(name, &shown(&loaded.findings));
}

fn golden_rules(name: &str, rest: &str) {
    golden(name, &shown(&rules(&format!("{PACK}{rest}")).1));
}

#[test]
fn the_sample_configuration_is_read_whole() {
    let loaded = read(SAMPLE, &Environment::default(), SecretPolicy::MayBeAbsent);
    let codes: Vec<_> = loaded.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, ["SB0409"], "only the secret is absent: {}", shown(&loaded.findings));
    let config = loaded.config.expect("warnings withhold nothing");
    assert_eq!(config.organization, Organization::example());
    let origins: Vec<_> = config.rules.into_iter().map(|entry| entry.origin).collect();
    let folder = RuleOrigin::Path(PathBuf::from("/etc/stormbell/rules/"));
    assert_eq!(origins, [RuleOrigin::Builtin("hospital".to_owned()), folder]);
    assert_eq!(config.store.path, Path::new("/var/lib/stormbell/stormbell.db"));
    assert_eq!(config.store.sample_one_in, None, "strangers' posts are kept by those who ask for it");
    assert_eq!(config.store.retention, Duration::from_hours(720));
    assert_eq!(config.store.retention_by_topic, []);
    assert_eq!(config.false_alarms, None);
    let [bluesky] = config.sources.as_slice() else { panic!("one source") };
    let SourceKind::Jetstream(jetstream) = &bluesky.kind else { panic!("another kind") };
    assert_eq!(jetstream.urls[0].as_str(), "wss://jetstream2.us-east.bsky.network/subscribe");
    assert_eq!(jetstream.wanted_collections, ["app.bsky.feed.post"]);
    assert_eq!(jetstream.max_frame_bytes, 1 << 20);
    assert_eq!(jetstream.expect_frame_within, None);
    let ReceiverKind::PagerDuty { url, .. } = &config.receivers[0].kind else { panic!("pagerduty comes first") };
    assert_eq!(url.as_str(), "https://events.pagerduty.com/v2/enqueue");
    let [route] = config.routes.list.as_slice() else { panic!("one route") };
    assert_eq!(route.severity, [Severity::Critical, Severity::High]);
    assert_eq!(route.steps[0].ack_within, Some(Duration::from_mins(5)));
    assert_eq!(route.repeat_every, Some(Duration::from_hours(4)));
    assert_eq!(config.web.expect("a console").listen.to_string(), "127.0.0.1:8787");
}

#[test]
fn the_sample_rules_are_read_whole() {
    let (file, findings) = rules(SAMPLE_RULES);
    assert_eq!(findings, [], "{}", shown(&findings));
    assert_eq!((file.pack.name.value.as_str(), file.pack.version.as_str()), ("active-threat", "1.0.0"));
    let [weapon] = file.lists.as_slice() else { panic!("one list") };
    let words: Vec<_> = weapon.entries.iter().map(|entry| entry.value.as_str()).collect();
    assert_eq!(words, ["gunman", "shooter", "active shooter", "shots fired", "bomb threat"]);
    let [rule] = file.rules.as_slice() else { panic!("one rule") };
    assert_eq!(rule.id.value, "active-threat.gunman");
    assert_eq!((rule.severity, rule.status), (Severity::Critical, Status::Stable));
    assert_eq!(rule.topic.as_str(), "active-threat");
    assert_eq!(rule.query.value, "$org NEAR/12 ($weapon OR lockdown)");
    assert_eq!(rule.excepts[0].reason, "announced drills");
    let within = Duration::from_mins(10);
    assert_eq!(rule.condition, Condition::Count(Count { at_least: 2, distinct: Distinct::Author, within }));
    let [two_people, drill] = rule.tests.as_slice() else { panic!("two tests") };
    assert_eq!((two_people.alerts, drill.alerts), (1, 0));
    assert_eq!(two_people.posts[1].at, Duration::from_secs(90));
    assert_eq!(two_people.posts[1].author.as_deref(), Some("b"));
}

#[test]
fn a_fault_in_a_query_is_underlined_where_it_was_written() {
    for (quoted, exact) in [
        ("'gun $wepon'", true),
        ("\"gun $wepon\"", true),
        ("'''\ngun $wepon'''", true),
        ("\"\"\"\r\ngun $wepon\"\"\"", true),
        ("\"\\\"gun\\\" $wepon\"", false),
    ] {
        let text = format!("{PACK}[[rule]]\nid = \"a\"\ntitle = \"A\"\nseverity = \"low\"\nquery = {quoted}\n");
        let (file, findings) = rules(&text);
        assert_eq!(findings, [], "{}", shown(&findings));
        let query = &file.rules[0].query;
        let at = query.value.find("$wepon").expect("the query names it");
        let underlined = text.get(query.part(at..at + "$wepon".len())).expect("whole characters");
        assert_eq!(underlined == "$wepon", exact, "{underlined}");
        assert!(underlined.contains("$wepon"));
    }
}

#[test]
fn ten_mistakes_are_told_at_once() {
    let text = r#"schema = 2
rulez = ["builtin:hospital"]

[organization]
name = ""
timezone = "America/New_Yrok"

[store]
retention = "30 days"

[[source]]
name = "bluesky"
kind = "jetsream"

[[source]]
name = "bluesky"
kind = "jetstream"
url = "https://jet.example/subscribe"

[[receiver]]
name = "on-call"
kind = "pagerduty"
routing_key = "R0UTINGKEY"

[[route]]
severity = ["criticl"]
steps = [{ notify = ["oncall"] }]

[web]
listen = "localhost:8787"
"#;
    let loaded = read(text, &home(), SecretPolicy::Required);
    assert!(loaded.config.is_none());
    golden("ten-mistakes", &shown(&loaded.findings));
}

#[test]
fn unknown_keys_suggest_the_nearest() {
    golden_config(
        "unknown-keys",
        "[store]\npth = \"x\"\ncolour = 1\n[[source]]\nname = \"b\"\nkind = \"jetstream\"\nurl = \"wss://h/\"\nexpect-frame-within = \"30s\"\n",
    );
}

#[test]
fn missing_keys_say_what_to_add() {
    golden("missing-keys", &shown(&read("[[source]]\n[[receiver]]\nname = \"p\"\nkind = \"pagerduty\"\n[[receiver]]\nname = \"w\"\nkind = \"webhook\"\n[web]\n", &Environment::default(), SecretPolicy::Required).findings));
}

#[test]
fn values_of_the_wrong_type_say_which_is_right() {
    golden_config(
        "wrong-types",
        "[store]\npath = 1\nretention = 30\nsample_one_in = 0\n[[route]]\nseverity = \"critical\"\ncontinue = \"yes\"\nsteps = { notify = [\"log\"] }\n[web]\nlisten = 8787\n[[source]]\nname = 1.5\nkind = true\n",
    );
}

#[test]
fn a_budget_of_false_alarms_is_a_rate() {
    let budget = |text: &str| works(&format!("{HEAD}{SOURCE}{RECEIVER}{text}")).false_alarms;
    let weekly = Promise { alarms: 1, within: Duration::from_hours(7 * 24) };
    assert_eq!(budget("[volume]\nfalse_alarms = \"1 per 7d\"\n"), Some(weekly));
    assert_eq!(budget("[volume]\n"), None);
    golden_config("budget", "[volume]\nfalse_alarms = \"weekly\"\nfalse_alarm = \"1 per 7d\"\n");
}

#[test]
fn incidents_end_and_begin_again_as_the_configuration_says() {
    let terms = |text: &str| works(&format!("{HEAD}{SOURCE}{RECEIVER}{text}")).routes.terms;
    assert_eq!(terms(""), Terms::default());
    let journalists = "journalists = [\"@ann.example\", \"did:plc:bob\"]";
    let own = terms(&format!(
        "[incidents]\nquiet = \"2h\"\nreopen_within = \"0s\"\nlarge_account = 1\napart = [\"legal.*\"]\n{journalists}\n"
    ));
    let journalists = vec![Journalist::Handle("ann.example".to_owned()), Journalist::Id("did:plc:bob".into())];
    let (quiet, reopen_within) = (Duration::from_hours(2), Duration::ZERO);
    let apart = vec![stormbell::domain::route::Glob("legal.*".to_owned())];
    assert_eq!(own, Terms { quiet, reopen_within, large_account: 1, journalists, apart });
    golden_config(
        "incidents",
        "[incidents]\nquiet = \"5s\"\nreopen_within = \"90d\"\nlarge_account = 0\njournalists = [\"ann\", \"@\"]\napart = [\"A B\"]\nreopen = \"1h\"\n",
    );
}

#[test]
fn smaller_incidents_are_muted_as_the_configuration_says() {
    let text =
        "[[inhibit]]\nsource = [\"topic=active-threat\"]\ntarget = [\"topic=press,feedback.*\"]\nequal = [\"topic\"]\n";
    let inhibitions = works(&format!("{HEAD}{SOURCE}{RECEIVER}{text}")).routes.inhibitions;
    let matchers = |text: &str| vec![text.parse().unwrap()];
    let expected = Inhibition {
        source: matchers("topic=active-threat"),
        target: matchers("topic=press,feedback.*"),
        same_family: true,
    };
    assert_eq!(inhibitions, [expected]);
    golden_config(
        "inhibit",
        "[[inhibit]]\nsource = [\"active-threat\"]\ntarget = []\nequal = [\"place\"]\n[[inhibit]]\nsources = [\"severity=grave\"]\ntarget = [\"topic=~press\"]\n",
    );
}

#[test]
fn routes_tell_nobody_at_the_times_they_name() {
    let office = "[[time]]\nname = \"office\"\ntimezone = \"Europe/Berlin\"\nhours = { weekdays = [\"mon\"], from = \"08:00\", to = \"18:00\" }\n";
    let nights = "[[time]]\nname = \"nights\"\nhours = [{ from = \"22:00\", to = \"06:00\" }]\n";
    let route = "[[route]]\nseverity = [\"low\"]\nsteps = [{ notify = [\"log\"] }]\nmute_times = [\"nights\"]\nactive_times = [\"office\"]\n";
    let config = works(&format!("{HEAD}{SOURCE}{RECEIVER}{office}{nights}{route}"));
    let off = &config.routes.list[0].off;
    assert_eq!((off.mute[0].name.as_str(), off.active[0].name.as_str()), ("nights", "office"));
    let at = |text: &str| off.at(Timestamp::parse(text).unwrap());
    assert_eq!(at("2026-11-30T09:00:00Z"), None, "a Monday");
    assert_eq!(at("2026-11-30T17:30:00Z"), Some("it is outside its active times: office".to_owned()), "18:30 there");
    assert_eq!(at("2026-11-30T05:00:00Z"), Some("it is its mute time nights".to_owned()), "midnight at the hospital");
    golden_config(
        "times",
        "[[time]]\nname = \"nights\"\nhours = { from = \"22:00\", to = \"06:00\" }\n\
         [[time]]\nname = \"ever\"\nhours = {}\n[[time]]\nname = \"never\"\nhours = []\n\
         [[time]]\nname = \"nights\"\nhours = { form = \"22:00\" }\n[[time]]\nname = \"spare\"\nhours = { to = \"06:00\" }\n\
         [[route]]\nsteps = [{ notify = [\"log\"] }]\nmute_times = [\"night\"]\nactive_times = [\"ever\", \"never\"]\n",
    );
    // Whoever is told of what is critical by a route that tells nobody at night, and by no other.
    golden_config(
        "critical-at-night",
        &format!("{nights}[[route]]\nmute_times = [\"nights\"]\nsteps = [{{ notify = [\"log\"] }}]\n"),
    );
    let own = "[[route]]\nseverity = [\"critical\"]\nsteps = [{ notify = [\"log\"] }]\n";
    let both = format!("{nights}{own}[[route]]\nmute_times = [\"nights\"]\nsteps = [{{ notify = [\"log\"] }}]\n");
    let loaded = read(&format!("{HEAD}{SOURCE}{RECEIVER}{both}"), &home(), SecretPolicy::Required);
    assert_eq!(loaded.findings, [], "{}", shown(&loaded.findings));
}

#[test]
fn a_receiver_takes_as_much_as_the_configuration_says() {
    let capped = |at_most: &str| {
        let hook = HOOK.replace("[[receiver]]\n", &format!("[[receiver]]\nat_most = \"{at_most}\"\n"));
        format!("{HEAD}{SOURCE}{RECEIVER}{hook}")
    };
    let caps = works(&capped("20 per 1h")).routes.caps;
    assert_eq!(caps, [("hook".into(), Cap { most: 20, within: Duration::from_hours(1) })].into());
    let faults = ["twenty", "0 per 1h", "20 per 1s", "20 per 7d"]
        .map(|at_most| shown(&read(&capped(at_most), &home(), SecretPolicy::Required).findings));
    golden("caps", &faults.concat());
}

#[test]
fn a_heartbeat_goes_to_an_address_at_intervals() {
    let heartbeat = |text: &str| works(&format!("{HEAD}{SOURCE}{RECEIVER}[heartbeat]\n{text}")).heartbeat.unwrap();
    let usual = heartbeat("url = \"https://beats.example/0c1d\"\n");
    assert_eq!((usual.url.expose(), usual.every), ("https://beats.example/0c1d", Duration::from_mins(1)));
    assert_eq!(heartbeat("url = \"http://127.0.0.1:1/\"\nevery = \"15s\"\n").every, Duration::from_secs(15));
    golden_config("heartbeat", "[heartbeat]\nurl = \"beats.example/0c1d\"\nevery = \"5s\"\nurls = []\n");
    golden_config("heartbeat-nowhere", "[heartbeat]\nevery = \"soon\"\n");
}

#[test]
fn what_pagerduty_sends_back_needs_somebody_who_listens() {
    let pager = "[[receiver]]\nname = \"pager\"\nkind = \"pagerduty\"\nrouting_key = { env = \"HOME\" }\n";
    golden_config("hook-without-web", &format!("{pager}webhook_secret = {{ env = \"HOME\" }}\n"));
    let web = "[web]\nlisten = \"127.0.0.1:8787\"\n";
    golden_config("hook-in-the-file", &format!("{pager}webhook_secret = \"planted\"\n{web}"));
    golden_config(
        "hook-elsewhere",
        &format!(
            "{web}[[receiver]]\nname = \"w\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:9/\"\nwebhook_secret = {{ env = \"HOME\" }}\n"
        ),
    );
    let config = works(&format!("{HEAD}{SOURCE}{RECEIVER}{pager}webhook_secret = {{ env = \"HOME\" }}\n{web}"));
    let ReceiverKind::PagerDuty { webhook_secret, .. } = &config.receivers[1].kind else { panic!("pagerduty") };
    assert_eq!(webhook_secret.as_ref().unwrap().expose(), "/home/ann");
}

#[test]
fn drills_come_at_times_that_people_expect() {
    let drill = |keys: &str| format!("[[drill]]\nscenario = \"fire\"\n{keys}");
    let weekly = works(&format!(
        "{HEAD}{SOURCE}{RECEIVER}{}",
        drill("at = \"10:30\"\nweekdays = [\"tue\"]\ntimezone = \"America/New_York\"\n")
    ))
    .drills;
    let now = Timestamp::parse("2026-11-29T12:00:00Z").expect("a time");
    assert_eq!(weekly[0].recurrence.next(now).expect("it comes").to_string(), "2026-12-01T15:30:00Z");
    assert_eq!(weekly[0].wait, Duration::from_mins(15));
    let keys = "at = \"10:30\"\nevery = \"28d\"\nstart = 2026-12-02\ntimezone = \"Europe/Berlin\"\nby = \"ann\"\nwait = \"30m\"\n";
    let monthly = &works(&format!("{HEAD}{SOURCE}{RECEIVER}{}", drill(keys))).drills[0];
    assert_eq!(monthly.recurrence.next(now).expect("it comes").to_string(), "2026-12-02T09:30:00Z");
    assert_eq!((monthly.by.as_str(), monthly.wait), ("ann", Duration::from_mins(30)));
    let faults = [
        "",
        "at = \"10:30\"\n",
        "at = \"half past ten\"\nweekdays = [\"tuesday\"]\n",
        "at = \"10:30\"\nevery = \"28d\"\n",
        "at = \"10:30\"\nevery = \"36h\"\nstart = \"soon\"\n",
        "at = \"10:30\"\nevery = \"7d\"\nstart = \"2026-12-01\"\nweekdays = [\"wed\"]\n",
        "at = \"10:30\"\nweekdays = [\"tue\"]\nwait = \"2h\"\ntimezone = \"Paris\"\nwho = \"ann\"\n",
    ];
    let faults: Vec<String> = faults
        .iter()
        .map(|keys| drill(keys))
        .chain(["[[drill]]\nscenario = \"fyre\"\nat = \"10:30\"\nweekdays = [\"mon\"]\n".to_owned()])
        .collect();
    let faults = faults.iter().map(|tables| {
        shown(&read(&format!("{HEAD}{SOURCE}{RECEIVER}{tables}"), &home(), SecretPolicy::Required).findings)
    });
    golden("drills", &faults.collect::<Vec<_>>().concat());
}

#[test]
fn an_address_that_is_a_secret_leads_out_of_the_building_unless_listed() {
    let chat =
        |keys: &str| format!("{HEAD}{SOURCE}{RECEIVER}[[receiver]]\nname = \"chat\"\nkind = \"mattermost\"\n{keys}");
    let environment: Environment = [
        ("HOME", "/home/ann"),
        ("INSIDE", "https://10.20.0.7/hooks/planted"),
        ("CLOUD", "http://169.254.169.254/latest/planted"),
        ("OUTSIDE", "https://chat.example/hooks/planted"),
    ]
    .into_iter()
    .collect();
    let faults = [
        "url = { env = \"INSIDE\" }\n",
        "url = { env = \"CLOUD\" }\nallow_private = [\"10.20.0.0/16\"]\n",
        "url = { env = \"OUTSIDE\" }\nallow_private = [\"intranet\", \"10.0.0.0/33\"]\n",
        "url = { env = \"OUTSIDE\" }\n[heartbeat]\nurl = { env = \"INSIDE\" }\n",
    ];
    let faults = faults.map(|keys| shown(&read(&chat(keys), &environment, SecretPolicy::Required).findings)).concat();
    assert!(!faults.contains("planted") && !faults.contains("169.254.169.254/latest"), "{faults}");
    golden("allow-private", &faults);
    let reach = |keys: &str| {
        let config = read(&chat(keys), &environment, SecretPolicy::Required).config.expect("it works");
        let ReceiverKind::Chat(chat) = &config.receivers[1].kind else { panic!("a chat") };
        chat.transport.reach.clone()
    };
    assert_eq!(reach("url = { env = \"OUTSIDE\" }\n"), Reach::Public { private: Vec::new() });
    let listed = reach("url = { env = \"INSIDE\" }\nallow_private = \"10.20.0.0/16\"\n");
    assert_eq!(listed, Reach::Public { private: vec!["10.20.0.0/16".parse().expect("a network")] });
    assert_eq!(reach("url = \"http://127.0.0.1:8065/hooks/x\"\n"), Reach::Anywhere);
}

#[test]
fn what_people_answer_by_telephone_needs_a_public_address() {
    let twilio = |keys: &str| {
        format!(
            "[[receiver]]\nname = \"sms\"\nkind = \"twilio\"\naccount = \"AC00000000000000000000000000000000\"\n\
             token = {{ env = \"HOME\" }}\nto = \"+15550100001\"\n{keys}\n"
        )
    };
    let number = "from = \"+15550100000\"\n";
    let web = "[web]\nlisten = \"127.0.0.1:8787\"\n";
    let faults = [
        format!("{web}{}", twilio(&format!("{number}replies = true"))),
        twilio(&format!("{number}voice = \"de\"")),
        twilio(&format!("{number}voice = \"loud\"")),
        twilio(&format!("{number}voice = \"en\"\nreplies = true")),
        twilio("from = \"MG00000000000000000000000000000000\"\nvoice = \"en\""),
    ];
    let faults = faults.map(|tables| {
        shown(&read(&format!("{HEAD}{SOURCE}{RECEIVER}{tables}"), &home(), SecretPolicy::Required).findings)
    });
    golden("telephone-answers", &faults.concat());
    let public = format!("{web}public_url = \"https://bell.hospital.example\"\n");
    for (keys, answers) in
        [("", false), ("replies = false", false), ("replies = true", true), ("voice = \"de-at\"", true)]
    {
        let config = works(&format!("{HEAD}{SOURCE}{RECEIVER}{}{public}", twilio(&format!("{number}{keys}"))));
        let ReceiverKind::Twilio(twilio) = &config.receivers[1].kind else { panic!("twilio") };
        assert_eq!(twilio.answers(), answers, "{keys}");
    }
    works(&format!("{HEAD}{SOURCE}{RECEIVER}{}", twilio(&format!("{number}replies = false"))));
}

#[test]
fn a_template_that_fails_is_a_warning_and_told_where_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in [("good.txt", "{{ title }}"), ("typo.txt", "{{ title }}\n{{ sumary }}"), ("empty.txt", "")] {
        fs::write(folder.path().join(name), text).expect("it is written");
    }
    let receiver = |name: &str, template: &str| {
        format!(
            "[[receiver]]\nname = \"{name}\"\nkind = \"ntfy\"\ntopic = {{ env = \"TOPIC\" }}\ntemplate = {template}\n"
        )
    };
    let text = format!(
        "{HEAD}{SOURCE}{}{}{}{}{}",
        receiver("a", "\"typo.txt\""),
        receiver("b", "{ default = \"good.txt\", de = \"empty.txt\", Deutsch = \"good.txt\" }"),
        receiver("c", "\"nowhere.txt\""),
        "[[receiver]]\nname = \"d\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:1/\"\ntemplate = \"good.txt\"\n",
        "[[person]]\nname = \"ann\"\ncontact = { a = \"topic\" }\nlanguage = \"german\"\n",
    );
    let environment: Environment = [("HOME", "/home/ann"), ("TOPIC", "secret-topic")].into_iter().collect();
    let loaded = parse(&source("stormbell.toml", &text), folder.path(), &environment, SecretPolicy::Required);
    let report = shown(&loaded.findings).replace(&folder.path().display().to_string(), "/etc/stormbell");
    golden("templates", &report);

    let good = format!("{HEAD}{SOURCE}{}[[route]]\nsteps = [{{ notify = [\"a\"] }}]\n", receiver("a", "\"typo.txt\""));
    let loaded = parse(&source("stormbell.toml", &good), folder.path(), &environment, SecretPolicy::Required);
    assert!(loaded.config.is_some(), "{}", render(&loaded.findings, Colours::Plain));
}

#[test]
fn the_console_is_not_read_along_by_others() {
    golden_config("web-in-the-clear", "[web]\nlisten = \"10.0.0.5:8787\"\n");
    let tls = "[web]\nlisten = \"0.0.0.0:8443\"\ntls = { certificate = \"chain.pem\", key = { file = \"key.pem\" } }\n";
    golden_config("web-tls-absent", tls);
    golden_config(
        "web-tls-env",
        "[web]\nlisten = \"[::1]:1\"\ntls = { certificate = \"c\", key = { env = \"KEY\" } }\n",
    );
    golden_config("web-tls-half", "[web]\nlisten = \"[::1]:1\"\ntls = { certificate = \"chain.pem\" }\n");
    // On another machine than the daemon's, absent files are not a mistake.
    assert!(works(&format!("{HEAD}{SOURCE}{RECEIVER}{tls}")).web.unwrap().tls.is_some());

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("chain.pem"), "no certificate").unwrap();
    fs::write(folder.path().join("key.pem"), "no key").unwrap();
    fs::set_permissions(folder.path().join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    let text = source("stormbell.toml", &format!("{HEAD}{SOURCE}{RECEIVER}{tls}"));
    let loaded = parse(&text, folder.path(), &home(), SecretPolicy::MayBeAbsent);
    let report = shown(&loaded.findings).replace(&folder.path().display().to_string(), "/etc/stormbell");
    golden("web-tls-wrong", &report);
}

#[test]
fn a_proxy_that_is_believed_is_described_whole() {
    let web = "[web]\nlisten = \"[::1]:1\"\n";
    let proxy = "proxy = { socket = \"web.sock\", user = \"www-data\", user_header = \"X-Remote-User\" }\n";
    golden_config("web-proxy-nameless", &format!("{web}{proxy}"));
    let public = format!("{web}public_url = \"https://bell.example\"\n");
    golden_config(
        "web-proxy-nobody",
        &format!("{public}proxy = {{ user_header = \"Host\", role = \"admin\", group = 1 }}\n"),
    );
    golden_config(
        "web-proxy-odd",
        &format!("{public}proxy = {{ socket = \"\", user = -1, user_header = \"a b\", role = \"boss\" }}\n"),
    );
    let config = works(&format!("{HEAD}{SOURCE}{RECEIVER}{public}{proxy}"));
    let proxy = config.web.unwrap().proxy.unwrap();
    assert_eq!((proxy.user_header.as_str(), proxy.role), ("x-remote-user", None));
    assert_eq!(proxy.socket, Path::new("/etc/stormbell/web.sock"));
}

#[test]
fn a_sign_in_service_is_described_whole() {
    let web = "[web]\nlisten = \"[::1]:1\"\n";
    let oidc = "[web.oidc]\nissuer = \"https://login.example/realms/staff\"\nclient_id = \"bell\"\nclient_secret = { file = \"oidc\" }\nroles = { \"crisis team\" = \"responder\" }\n";
    golden_config("web-oidc-nowhere", &format!("{web}{oidc}").replace("{ file = \"oidc\" }", "{ env = \"HOME\" }"));
    let public = format!("{web}public_url = \"https://bell.example\"\n");
    golden_config("web-oidc-nothing", &format!("{public}[web.oidc]\nclient_secrt = \"hunter2hunter2\"\n"));
    golden_config(
        "web-oidc-odd",
        &format!(
            "{public}[web.oidc]\nissuer = \"http://login.example\"\nclient_id = \"bell\"\nclient_secret = \"hunter2hunter2\"\nscope = \"profile\"\nroles = {{ a = \"boss\" }}\n"
        ),
    );
    let config = works(&format!("{HEAD}{SOURCE}{RECEIVER}{public}{oidc}"));
    let oidc = config.web.unwrap().oidc.unwrap();
    assert_eq!((oidc.issuer(), oidc.name.as_str()), ("https://login.example/realms/staff", "login.example"));
    assert_eq!(oidc.claim, "groups");
}

#[test]
fn the_public_address_is_safe_and_short() {
    let web = |url: &str| format!("[web]\nlisten = \"127.0.0.1:8787\"\npublic_url = {url}\n");
    for (name, url) in [
        ("in-the-clear", "\"http://stormbell.hospital.example\""),
        ("with-query", "\"https://stormbell.hospital.example/?from=mail\""),
        ("with-login", "\"https://ann:hunter2@stormbell.hospital.example\""),
        ("relative", "\"stormbell.hospital.example\""),
        ("long", &format!("\"https://stormbell.example/{}\"", "long/".repeat(30))),
        ("a-number", "8787"),
    ] {
        golden_config(&format!("public-url-{name}"), &web(url));
    }
    for url in ["https://h.example", "https://h.example:8443/bell/", "http://127.0.0.1:8787", "http://localhost:1/"] {
        let config = works(&format!("{HEAD}{SOURCE}{RECEIVER}{}", web(&format!("\"{url}\""))));
        assert_eq!(config.web.unwrap().public_url, Some(url.parse().unwrap()));
    }
    assert_eq!(works(SAMPLE).web.unwrap().public_url, None, "no links without it");
}

#[test]
fn desks_have_a_place_where_somebody_says_so_or_a_service_manager_gives_one() {
    let desktop = "[[receiver]]\nname = \"popups\"\nkind = \"desktop\"\n";
    let service: Environment = [("HOME", "/"), ("RUNTIME_DIRECTORY", "/run/stormbell:/run/x")].into_iter().collect();
    let socket = |text: &str, environment: &Environment| {
        let loaded = read(&format!("{HEAD}{SOURCE}{RECEIVER}{text}"), environment, SecretPolicy::MayBeAbsent);
        loaded.config.expect("it works").desk.map(|desk| desk.socket)
    };
    let at = |path: &str| Some(Some(PathBuf::from(path)));
    assert_eq!(socket(desktop, &home()), None, "the session the daemon runs in");
    assert_eq!(socket("", &service), None, "nobody is told there");
    assert_eq!(socket(desktop, &service), at("/run/stormbell/desk.sock"));
    assert_eq!(socket(&format!("{desktop}[desk]\nsocket = \"d.sock\"\n"), &service), at("/etc/stormbell/d.sock"));
    assert_eq!(socket(&format!("{desktop}[desk]\n[web]\nlisten = \"127.0.0.1:1\"\n"), &home()), Some(None));
    golden_config("desk", "[desk]\nsocket = \"\"\nsockets = 1\n");
    golden_config("desk-nowhere", "[desk]\n");
}

#[test]
fn unknown_kinds_are_told_with_what_was_perhaps_meant() {
    golden_config(
        "kinds",
        "[[source]]\nname = \"m\"\nkind = \"telegraph\"\n[[source]]\nname = \"n\"\nkind = \"mastadon\"\n[[receiver]]\nname = \"t\"\nkind = \"pagerdooty\"\n[[receiver]]\nname = \"u\"\nkind = \"carrier-pigeon\"\n[[route]]\nsteps = [{ notify = [\"log\", \"t\", \"u\"] }]\n",
    );
}

#[test]
fn addresses_must_fit_their_use_and_hold_no_login() {
    golden_config(
        "addresses",
        "[[source]]\nname = \"a\"\nkind = \"jetstream\"\nurl = [\"https://a.example\", \"wss://ok.example\", \"wss:/\", \"nowhere\"]\nproxy = \"https://proxy.example:3128\"\nproxy_user = \"ann\"\n[[receiver]]\nname = \"w\"\nkind = \"webhook\"\nurl = \"https://ann:hunter2@example.org/hook\"\nproxy = \"http://proxy.example:3128/path\"\nca_file = \"absent.pem\"\n[[route]]\nsteps = [{ notify = [\"log\", \"w\"] }]\n",
    );
}

#[test]
fn what_x_and_eventsub_cannot_be_is_said() {
    golden_config(
        "x",
        "[[source]]\nname = \"x\"\nkind = \"x\"\nurl = \"wss://api.x.com\"\nqueries = [\"\"]\nmonthly_post = 5\n[[source]]\nname = \"y\"\nkind = \"x\"\ntoken = { env = \"X\" }\nmonthly_posts = 0\nqueries = []\n[[source]]\nname = \"t\"\nkind = \"twitch\"\nclient_id = \"no id\"\nnick = \"bell\"\nchannels = [\"#er\"]\n",
    );
}

#[test]
fn what_a_feed_cannot_be_is_said() {
    golden_config(
        "feed",
        "[[source]]\nname = \"blog\"\nkind = \"feed\"\nurl = \"feed://blog.example/\"\npoll_every = \"5s\"\ntranscripts = \"yes\"\n[[source]]\nname = \"news\"\nkind = \"feed\"\nurl = \"https://ann:hunter2@news.example/rss\"\npoll_evry = \"5m\"\n[[source]]\nname = \"none\"\nkind = \"feed\"\n",
    );
}

#[test]
fn what_an_event_stream_cannot_be_is_said() {
    golden_config(
        "eventstreams",
        "[[source]]\nname = \"wiki\"\nkind = \"eventstreams\"\nurl = [\"wss://wiki.example/\", \"https://ok.example/\"]\nevents = \"recentchanges\"\ncontact = \"me\"\n[[source]]\nname = \"none\"\nkind = \"eventstreams\"\nurl = []\nsince = \"1h\"\n",
    );
}

#[test]
fn jetstream_compression_needs_what_unpacks_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("good"), b"\x37\xa4\x30\xec and more").unwrap();
    fs::write(folder.path().join("bad"), b"words").unwrap();
    let v2 = "wss://h/xrpc/network.bsky.jetstream.subscribeEvents";
    let sources = [
        format!("url = \"{v2}\"\ncompress = true"),
        "url = \"wss://h/subscribe\"\ncompress = true\ndictionary = \"good\"".to_owned(),
        format!("url = [\"{v2}\", \"wss://h/subscribe\"]\ncompress = true"),
        "url = \"wss://h/subscribe\"\ndictionary = \"good\"".to_owned(),
        "url = \"wss://h/subscribe\"\ncompress = true\ndictionary = \"bad\"".to_owned(),
        format!("url = \"{v2}?wantedCollections=app.bsky.feed.post\"\ncompress = \"yes\""),
        format!("url = [\"{v2}?kinds=commit\", \"{v2}?compress=true\"]\ndictionnary = \"good\""),
    ];
    let sources = sources
        .iter()
        .enumerate()
        .map(|(n, rest)| format!("[[source]]\nname = \"{n}\"\nkind = \"jetstream\"\n{rest}\n"));
    let text = format!("{HEAD}{RECEIVER}{}", sources.collect::<String>());
    let loaded = parse(&source("stormbell.toml", &text), folder.path(), &home(), SecretPolicy::Required);
    let folder = folder.path().to_str().unwrap();
    golden("jetstream-compression", &shown(&loaded.findings).replace(folder, "FOLDER"));
}

#[test]
fn a_firehose_is_a_host_and_little_more() {
    golden_config(
        "atproto",
        "[[source]]\nname = \"a\"\nkind = \"atproto\"\nurl = [\"wss://bsky.network\", \"ws://pds.example/xrpc/com.atproto.sync.subscribeRepos\"]\n[[source]]\nname = \"b\"\nkind = \"atproto\"\nurl = [\"https://bsky.network\", \"wss://bsky.network/?cursor=7\"]\nwanted_collections = [\"app.bsky.feed.post\"]\nmax_frame_bytes = 10\n[[source]]\nname = \"c\"\nkind = \"atproto\"\n",
    );
}

#[test]
fn jetstream_settings_out_of_range_are_refused() {
    golden_config(
        "jetstream",
        "[[source]]\nname = \"a\"\nkind = \"jetstream\"\nurl = []\nwanted_collections = [\"app.bsky.feed.post\", \"posts\"]\nmax_frame_bytes = \"1TB\"\nexpect_frame_within = \"0s\"\n[[source]]\nname = \"b\"\nkind = \"jetstream\"\nurl = \"wss://h/\"\nwanted_collections = []\nmax_frame_bytes = 10\nexpect_frame_within = \"-5s\"\nmax_frames_per_second = 9\n",
    );
}

#[test]
fn chats_that_cannot_be_read_so_are_refused() {
    golden_config(
        "chats",
        "[[source]]\nname = \"d\"\nkind = \"discord\"\ntoken = \"planted\"\nchannels = [\"general\"]\n\
         [[source]]\nname = \"i\"\nkind = \"irc\"\nurl = \"https://irc.example/\"\nnick = \"two words\"\nchannels = \"er\"\n\
         [[source]]\nname = \"m\"\nkind = \"matrix\"\nrooms = [\"#er:lab.example\"]\nchannel = \"x\"\n\
         [[source]]\nname = \"s\"\nkind = \"slack\"\nchannels = []\n\
         [[source]]\nname = \"t\"\nkind = \"twitch\"\ntoken = { env = \"HOME\" }\nchannels = [\"#er\", \"not a channel\"]\n",
    );
}

#[test]
fn chats_are_read_with_little_said() {
    let config = works(&format!(
        "{HEAD}{RECEIVER}[[source]]\nname = \"d\"\nkind = \"discord\"\ntoken = {{ env = \"HOME\" }}\n\
         [[source]]\nname = \"t\"\nkind = \"twitch\"\nchannels = [\"Hospital_News\", \"#er\"]\n\
         [[source]]\nname = \"s\"\nkind = \"slack\"\ntoken = {{ env = \"HOME\" }}\nchannels = \"C024BE91L\"\n"
    ));
    let [discord, twitch, slack] = config.sources.as_slice() else { panic!("three sources") };
    let SourceKind::Discord(discord) = &discord.kind else { panic!("a discord") };
    assert_eq!((discord.url.as_str(), discord.channels.len()), ("https://discord.com/api/v10", 0));
    let SourceKind::Irc(twitch) = &twitch.kind else { panic!("a twitch") };
    assert_eq!(twitch.channels, ["#hospital_news", "#er"]);
    assert_eq!((twitch.nick.as_str(), &twitch.password), ("justinfan67421", &None));
    let SourceKind::Slack(slack) = &slack.kind else { panic!("a slack") };
    assert_eq!(
        (slack.url.as_str(), slack.channels.as_slice()),
        ("https://slack.com/api", &["C024BE91L".to_owned()][..])
    );
}

#[test]
fn what_is_wrong_with_a_websocket_source_is_said_where_it_stands() {
    golden_config("websocket", include_str!("../golden/sources/websocket-wrong.toml"));
}

#[test]
fn what_is_wrong_with_a_webhook_is_said_where_it_stands() {
    golden_config("webhook", include_str!("../golden/sources/webhook-wrong.toml"));
}

#[test]
fn what_is_pushed_needs_somebody_who_listens() {
    let forum =
        "[[source]]\nname = \"forum\"\nkind = \"webhook\"\nformat = \"discourse\"\nsecret = { env = \"HOME\" }\n";
    golden_config("webhook-without-web", forum);
    let blog = "[[source]]\nname = \"blog\"\nkind = \"feed\"\nurl = \"https://blog.example/feed\"\npush = true\n";
    let web = "[web]\nlisten = \"127.0.0.1:8787\"\n";
    golden_config("push-nowhere", &format!("{blog}{web}"));
    let public = "public_url = \"https://bell.example\"\n";
    let config = works(&format!("{HEAD}{RECEIVER}{forum}{blog}{web}{public}"));
    let SourceKind::Feed(feed) = &config.sources[1].kind else { panic!("feed") };
    assert!(feed.push);
    let config = works(&format!("{HEAD}{RECEIVER}{}", blog.replace("push = true", "push = false")));
    let SourceKind::Feed(feed) = &config.sources[0].kind else { panic!("feed") };
    assert!(!feed.push);
}

#[test]
fn what_is_wrong_with_a_forum_is_said_where_it_stands() {
    golden_config("forum", include_str!("../golden/sources/forum-wrong.toml"));
}

#[test]
fn what_is_wrong_with_a_youtube_source_is_said_where_it_stands() {
    golden_config("youtube", include_str!("../golden/sources/youtube-wrong.toml"));
}

#[test]
fn comments_of_youtube_that_are_kept_too_long_are_told() {
    let comments = "[[source]]\nname = \"news\"\nkind = \"youtube\"\nchannel = \"UCxxxxxxxxxxxxxxxxxxxxxx\"\napi_key = { env = \"HOME\" }\n";
    golden_config("youtube-kept", &format!("{comments}[store]\npath = \"x.db\"\nretention = \"90d\"\n"));
    for fine in ["[store]\npath = \"x.db\"\nretention = \"30d\"\n", "[store]\npath = \"x.db\"\n"] {
        assert!(
            read(&format!("{HEAD}{RECEIVER}{comments}{fine}"), &home(), SecretPolicy::Required).findings.is_empty()
        );
    }
    let videos = comments.replace("api_key = { env = \"HOME\" }\n", "");
    let long = "[store]\npath = \"x.db\"\nretention = \"90d\"\n";
    assert!(read(&format!("{HEAD}{RECEIVER}{videos}{long}"), &home(), SecretPolicy::Required).findings.is_empty());
}

#[test]
fn what_a_youtube_source_says_once_is_meant_for_videos_and_comments() {
    let source = "[[source]]\nname = \"news\"\nkind = \"youtube\"\nchannel = \"UCxxxxxxxxxxxxxxxxxxxxxx\"\npush = true\n\
                  api_key = { env = \"HOME\" }\nvideos = [\"dQw4w9WgXcQ\"]\nproxy = \"http://proxy.example:3128\"\n";
    golden_config("youtube-nowhere", source);
    let web = "[web]\nlisten = \"127.0.0.1:8787\"\npublic_url = \"https://bell.example\"\n";
    let config = works(&format!("{HEAD}{RECEIVER}{source}{web}"));
    let SourceKind::Youtube(youtube) = &config.sources[0].kind else { panic!("youtube") };
    let (videos, comments) = (youtube.videos.as_ref().unwrap(), youtube.comments.as_ref().unwrap());
    assert!(videos.push && videos.transport.proxy.is_some() && comments.transport.proxy.is_some());
    assert_eq!(videos.url.as_str(), "https://www.youtube.com/feeds/videos.xml?channel_id=UCxxxxxxxxxxxxxxxxxxxxxx");
    assert_eq!((comments.channel.as_deref(), comments.daily_units), (Some("UCxxxxxxxxxxxxxxxxxxxxxx"), 10_000));
    assert_eq!(comments.url.as_str(), "https://www.googleapis.com/youtube/v3");
}

#[test]
fn what_is_wrong_with_sources_of_the_fediverse_and_of_nostr_is_said_where_it_stands() {
    golden_config("mastodon", include_str!("../golden/sources/mastodon-wrong.toml"));
    golden_config("nostr", include_str!("../golden/sources/nostr-wrong.toml"));
}

#[test]
fn what_is_wrong_with_feeds_and_event_streams_is_said_where_it_stands() {
    golden_config("documents", include_str!("../golden/sources/documents-wrong.toml"));
}

#[test]
fn the_examples_of_sources_can_be_read() {
    let config = works(include_str!("../../deploy/sources.toml"));
    let kinds: Vec<_> = config.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "social",
            "misskey",
            "nostr",
            "x",
            "forum",
            "pages",
            "discourse",
            "tips",
            "community",
            "reddit",
            "lemmy",
            "hacker-news",
            "lobsters",
            "blog",
            "channel"
        ]
    );
}

#[test]
fn routes_are_checked_against_the_receivers() {
    golden_config(
        "routes",
        "[[receiver]]\nname = \"manager\"\nkind = \"log\"\n[[receiver]]\nname = \"spare\"\nkind = \"log\"\n[[route]]\ntopics = [\"Cyber*\", \"a topic\"]\nsteps = [{ notify = [\"manger\"] }, { notify = [\"log\"] }]\n[[route]]\nsteps = []\n[[route]]\nseverity = []\nsteps = [{ notify = [] }]\n[[route]]\nsteps = [{ notify = [\"log\"], ack_within = \"5 minutes\" }]\n",
    );
}

#[test]
fn a_route_that_cannot_be_reached_or_continued_is_told() {
    golden_config(
        "unreachable",
        "[[route]]\nsteps = [{ notify = [\"log\"] }, { notify = [\"log\"] }]\n[[route]]\nsteps = [{ notify = [\"log\"] }]\n[[route]]\nseverity = [\"low\"]\nsteps = [{ notify = [\"log\"] }]\n",
    );
}

#[test]
fn broken_toml_is_told_with_every_fault_and_no_guesses() {
    golden("broken-toml", &shown(&read("schema = 1\nrules = [\"a\",, \"b\"]\n[organization]\nname = St. Brigid's\nname = \"x\"\n[web\nlisten = \"127.0.0.1:1\"\n", &home(), SecretPolicy::Required).findings));
}

#[test]
fn a_configuration_without_sources_receivers_and_rules_is_of_little_use() {
    golden(
        "nothing-there",
        &shown(&read("schema = 1\n[organization]\nname = \"x\"\n", &home(), SecretPolicy::Required).findings),
    );
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_shown() {
    let secret = "hunter2";
    let on_call = "[[receiver]]\nname = \"p\"\nkind = \"pagerduty\"\n";
    let texts = [
        format!("{HEAD}{SOURCE}{on_call}routing_key = \"{secret}\"\n"),
        format!("{HEAD}{SOURCE}{on_call}routing_key = [\"{secret}\"]\n"),
        format!("{HEAD}{SOURCE}{on_call}routing_kye = \"{secret}\"\n"),
        format!("{HEAD}{SOURCE}{on_call}routing_key = {{ credentail = \"{secret}\" }}\n"),
        format!("{HEAD}{SOURCE}{on_call}routing_key = \"{secret}\n"),
        format!("{HEAD}{SOURCE}{on_call}routing_key = {secret}\n"),
        format!("{HEAD}{SOURCE}{on_call}routing_key {secret}\n"),
        format!("{HEAD}{SOURCE}{on_call}url = \"ftp://ann:{secret}@h/\"\n"),
        format!("{HEAD}{SOURCE}{on_call}uri = \"https://ann:{secret}@h/\"\n"),
        format!("{HEAD}{SOURCE}{on_call}url = \"https://ann:{secret}@h/\n"),
        format!("{HEAD}{SOURCE}{RECEIVER}[web]\nlisten = \"127.0.0.1:1\"\ntoken = \"{secret}\"\n"),
    ];
    let mut reports = String::new();
    for text in texts {
        let loaded = read(&text, &home(), SecretPolicy::MayBeAbsent);
        assert!(has_errors(&loaded.findings), "{text}");
        let report = shown(&loaded.findings);
        assert!(!report.contains(secret), "{report}");
        assert!(!format!("{:?}", loaded.findings).contains(secret), "{report}");
        reports.push_str(&report);
    }
    golden("plain-secrets", &reports);
}

#[test]
fn secrets_are_read_from_where_the_configuration_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("pagerduty"), "from-credential\n").unwrap();
    fs::write(path("hook"), "from-file\r\n").unwrap();
    fs::set_permissions(path("hook"), fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "{HEAD}[[receiver]]\nname = \"p\"\nkind = \"pagerduty\"\nrouting_key = {{ credential = \"pagerduty\" }}\n\
         [[receiver]]\nname = \"w\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:9/\"\nsecret = {{ file = \"hook\" }}\n\
         [web]\nlisten = \"127.0.0.1:0\"\ntoken = {{ env = \"TOKEN\" }}\n{SOURCE}"
    );
    let environment: Environment = [
        ("CREDENTIALS_DIRECTORY", folder.path().as_os_str()),
        ("TOKEN", "from-environment".as_ref()),
        ("HOME", "/home/ann".as_ref()),
    ]
    .into_iter()
    .collect();
    let loaded = parse(&source("c", &text), folder.path(), &environment, SecretPolicy::Required);
    assert_eq!(loaded.findings, [], "{}", shown(&loaded.findings));
    let config = loaded.config.unwrap();
    let ReceiverKind::PagerDuty { routing_key, .. } = &config.receivers[0].kind else { panic!("pagerduty") };
    assert_eq!(routing_key.expose(), "from-credential");
    let ReceiverKind::Webhook { secret: Some(secret), .. } = &config.receivers[1].kind else { panic!("webhook") };
    assert_eq!(secret.expose(), "from-file");
    assert_eq!(config.web.unwrap().token.unwrap().expose(), "from-environment");
}

#[test]
fn absent_secrets_are_errors_at_run_and_warnings_in_check() {
    let keys = [
        "{ credential = \"none\" }",
        "{ file = \"/nonexistent/key\" }",
        "{ env = \"UNSET\" }",
        "{ credential = \"../key\" }",
        "{ credential = \"a\", env = \"B\" }",
        "{}",
    ];
    let receivers = keys
        .iter()
        .enumerate()
        .map(|(place, key)| format!("[[receiver]]\nname = \"p{place}\"\nkind = \"pagerduty\"\nrouting_key = {key}\n"));
    let text = format!("{HEAD}{SOURCE}{}", receivers.collect::<String>());
    golden("absent-secrets-at-run", &shown(&read(&text, &home(), SecretPolicy::Required).findings));
    golden("absent-secrets-in-check", &shown(&read(&text, &home(), SecretPolicy::MayBeAbsent).findings));
}

#[test]
fn an_empty_secret_counts_as_absent_and_a_file_open_to_all_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("empty"), "\n").unwrap();
    fs::write(folder.path().join("open"), "secret").unwrap();
    fs::set_permissions(folder.path().join("empty"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(folder.path().join("open"), fs::Permissions::from_mode(0o644)).unwrap();
    let codes = |file: &str| {
        let text = format!("{HEAD}{SOURCE}{RECEIVER}[web]\nlisten = \"[::1]:0\"\ntoken = {{ file = \"{file}\" }}\n");
        let loaded = parse(&source("c", &text), folder.path(), &home(), SecretPolicy::Required);
        (loaded.findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), loaded.config.is_some())
    };
    assert_eq!(codes("empty"), (vec!["SB0409"], false));
    assert_eq!(codes("open"), (vec!["SB0410"], true));
}

const HOOK: &str = "[[receiver]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"http://127.0.0.1:9/\"\n";
const BOB: &str = "[[person]]\nname = \"bob\"\ncontact = { hook = \"+1555002\" }\n";
const ANN: &str = "[[person]]\nname = \"ann\"\ncontact = { hook = \"+1555001\" }\n";

/// Everything that can be said of people.
fn with_people() -> String {
    format!(
        "{HEAD}{SOURCE}{HOOK}{ANN}quiet = {{ from = \"22:00\", to = \"06:00\" }}\n\
         [[person]]\nname = \"bob\"\ncontact = {{ hook = \"+1555002\" }}\ntimezone = \"Europe/Berlin\"\n\
         quiet = [{{ weekdays = [\"sat\", \"sun\"] }}, {{ from = 20:00:00 }}]\n\
         [[team]]\nname = \"leads\"\nmembers = [\"bob\", \"ann\"]\n\
         [[schedule]]\nname = \"press\"\ntimezone = \"America/New_York\"\n\
         layer = [{{ rotation = [\"ann\", \"bob\"], every = \"7d\", start = 2026-11-02, hand_over = 08:00:00,\n\
                    only = [{{ weekdays = [\"mon\"], from = \"08:00\", to = \"20:00\" }}] }},\n\
                  {{ rotation = [\"bob\"] }}]\n\
         override = [{{ person = \"ann\", from = \"2026-12-24 08:00\", to = 2026-12-26T08:00:00 }}]\n\
         [[route]]\nlast_resort = \"10m\"\nsteps = [{{ notify = [\"press\"], ack_within = \"5m\" }}, {{ notify = [\"leads\", \"hook\"] }}]\n"
    )
}

#[test]
fn people_and_schedules_are_read_as_they_are_written() {
    let config = works(&with_people());
    let people = &config.routes.people;
    let quiet = |name: &str, at: &str| people.persons[name].quiet_until(Timestamp::parse(at).unwrap());
    let shown = |at: Option<Timestamp>| at.map(|at| at.to_string());
    assert_eq!(shown(quiet("ann", "2026-11-30T23:00:00Z")), Some("2026-12-01T06:00:00Z".to_owned()), "by UTC");
    assert_eq!(shown(quiet("bob", "2026-11-27T19:30:00Z")), Some("2026-11-29T23:00:00Z".to_owned()), "by Berlin");
    let press = &people.schedules["press"];
    let told = |at: &str| press.at(Timestamp::parse(at).unwrap()).unwrap().as_str().to_owned();
    assert_eq!(told("2026-11-02T12:59:00Z"), "bob");
    assert_eq!(told("2026-11-02T13:00:00Z"), "ann");
    assert_eq!(told("2026-12-26T12:59:00Z"), "ann");
    assert_eq!(told("2026-12-26T13:00:00Z"), "bob");
    let [route] = config.routes.list.as_slice() else { panic!("one route") };
    assert!(route.last_resort);
    let waits: Vec<_> = route.steps.iter().map(|step| step.ack_within).collect();
    assert_eq!(waits, [Some(Duration::from_mins(5)), Some(Duration::from_mins(10)), None]);
    let names: Vec<String> = route.steps[2].notify.iter().map(|target| format!("{target:?}")).collect();
    assert_eq!(names, ["Receiver(\"hook\")", "Person(\"ann\")", "Person(\"bob\")"], "everybody");
    assert_eq!(gaps(&config, Timestamp::parse("2026-11-28T00:00:00Z").unwrap()), []);
}

/// The lines of a text from one that begins so to one that begins so.
fn between<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
    text.split_once(from).and_then(|(_, rest)| rest.split_once(to)).expect("both are there").0
}

#[test]
fn the_examples_of_people_in_documents_can_be_used() {
    let document = |name: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let deployed = document("deploy/stormbell.toml");
    let example = between(&deployed, "told in person. -", "# ---- Who is told of what");
    let uncommented = |line: &str| line.strip_prefix("# ").unwrap_or(line).to_owned() + "\n";
    let example: String = example.lines().skip_while(|line| !line.contains("[[person]]")).map(uncommented).collect();
    let bridge = HOOK.replace("\"hook\"", "\"chat-bridge\"");
    let route = "[[route]]\nlast_resort = \"10m\"\nsteps = [{ notify = [\"press-on-call\"] }]\n";
    let deployed = works(&format!("{HEAD}{SOURCE}{RECEIVER}{bridge}{example}{route}"));
    let readme = document("README.md");
    let example = between(between(&readme, "## Who is woken", "## What you can rely on"), "```toml\n", "```");
    let receivers = HOOK.replace("\"hook\"", "\"team\"") + &RECEIVER.replace("\"log\"\nkind", "\"journal\"\nkind");
    let readme = works(&format!("{HEAD}{SOURCE}{receivers}{example}"));
    for config in [deployed, readme] {
        let people = &config.routes.people;
        assert_eq!((people.persons.len(), people.schedules.len()), (2, 1));
        assert_eq!(gaps(&config, Timestamp::parse("2026-11-28T00:00:00Z").unwrap()), []);
    }
}

#[test]
fn the_examples_of_times_and_terms_in_documents_can_be_used() {
    let document = |name: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let deployed = document("deploy/stormbell.toml");
    let example = between(&deployed, "# ---- Hours by name", "# ---- Console and API");
    let settings = example.lines().filter_map(|line| line.strip_prefix("# ")).filter(|line| !line.starts_with("----"));
    let route = "[[route]]\nseverity = [\"low\"]\nsteps = [{ notify = [\"log\"] }]\nmute_times = [\"nights\"]\n";
    let settings = settings.collect::<Vec<_>>().join("\n");
    let deployed = works(&format!("{HEAD}{SOURCE}{RECEIVER}{route}{settings}\n"));
    assert_eq!(deployed.routes.terms.journalists.len(), 1);
    let readme = document("README.md");
    let block = |title: &str| between(between(&readme, title, "\n## "), "```toml\n", "```");
    let (ends, mutes) = (block("## What belongs to an incident"), block("## Mute times"));
    let receiver = RECEIVER.replace("\"log\"\nkind", "\"press\"\nkind");
    let readme = works(&format!("{HEAD}{SOURCE}{receiver}{ends}{mutes}"));
    assert_eq!(readme.routes.terms.journalists.len(), 2);
    for config in [deployed, readme] {
        let Routes { list, inhibitions, terms, .. } = config.routes;
        assert!(list[0].off.are_set() && inhibitions.len() == 1);
        assert_eq!(terms, Terms { journalists: terms.journalists.clone(), ..Terms::default() }, "the usual ones");
    }
}

#[test]
fn mistakes_about_people_are_told_where_they_are() {
    golden_config(
        "people",
        &format!(
            "[[receiver]]\nname = \"pd\"\nkind = \"pagerduty\"\nrouting_key = {{ env = \"HOME\" }}\n{HOOK}{ANN}\
             [[person]]\nname = \"hook\"\ncontact = {{ hok = \"1\", log = \"2\", pd = \"3\", hook = \" \" }}\n\
             [[person]]\nname = \"bob\"\ncontact = {{}}\nquiet = [{{ from = \"8:00\" }}, {{}}]\n\
             [[person]]\nname = \"cid\"\nquiet = {{ weekdays = [\"monday\"] }}\n\
             [[team]]\nname = \"leads\"\nmembers = [\"an\"]\n[[team]]\nname = \"ann\"\nmembers = []\n\
             [[route]]\nlast_resort = \"5m\"\nsteps = [{{ notify = [\"leeds\"], ack_within = \"5m\" }}]\n"
        ),
    );
}

#[test]
fn where_people_are_reached_is_in_no_finding() {
    const NUMBER: &str = "5550104477";
    let sms = "[[receiver]]\nname = \"sms\"\nkind = \"twilio\"\naccount = \"AC00000000000000000000000000000000\"\n\
               token = { env = \"HOME\" }\nfrom = \"+15550100000\"\n";
    let ann = format!("{sms}to = \"+15550100001\"\n[[person]]\nname = \"ann\"\n");
    for text in [
        format!("{ann}contact = {{ sms = \"{NUMBER}\" }}\n"),
        format!("{ann}contact = {{ smms = \"{NUMBER}\" }}\n"),
        format!("{ann}contact = {{ sms = [\"{NUMBER}\"] }}\n"),
        format!("{ann}contact = \"{NUMBER}\"\n"),
        format!("{ann}contcat = {{ sms = \"{NUMBER}\" }}\n"),
        format!("{ann}phone = \"{NUMBER}\"\n"),
        format!("{ann}contact = {{ sms = \"{NUMBER}\n"),
        format!("{ann}[person.contact]\nsms = \"{NUMBER}\n"),
        format!("{sms}to = [\"{NUMBER}\"]\n"),
        format!("{sms}to = [\"{NUMBER}\", 5]\n"),
        format!("{sms}too = \"{NUMBER}\"\n"),
        format!("{sms}to = [\"{NUMBER}]\n"),
    ] {
        let text = format!("{HEAD}{SOURCE}{RECEIVER}{text}");
        let findings = read(&text, &home(), SecretPolicy::Required).findings;
        assert!(has_errors(&findings), "{text}");
        let in_the_journal: String = findings.iter().map(line).collect();
        for said in [shown(&findings), in_the_journal] {
            assert!(!said.contains(NUMBER), "{said}");
        }
    }
}

#[test]
fn mistakes_in_schedules_are_told_where_they_are() {
    golden_config(
        "schedules",
        &format!(
            "{HOOK}{ANN}{BOB}[[schedule]]\nname = \"a\"\ntimezone = \"Europe/Berlinn\"\n\
             layer = [{{ rotation = [\"ann\", \"bob\"] }}, {{ rotation = [], everyy = \"7d\" }}]\n\
             [[schedule]]\nname = \"b\"\nlayer = []\noverride = [\n\
             {{ person = \"zoe\", from = \"2026-12-24\", to = \"2026-12-26 08:00\" }},\n\
             {{ person = \"ann\", from = \"2026-12-26 08:00\", to = \"2026-12-24 08:00\" }}]\n\
             [[schedule]]\nname = \"c\"\nlayer = [{{ rotation = [\"ann\", \"bob\"], every = \"30m\", start = \"soon\", hand_over = \"24:00\" }}]\n\
             [[route]]\nlast_resort = \"5m\"\nsteps = [{{ notify = [\"a\", \"b\", \"c\"], ack_within = \"5m\" }}]\n"
        ),
    );
}

#[test]
fn who_is_never_told_is_named() {
    golden_config(
        "unused-people",
        &format!(
            "{HOOK}{ANN}{BOB}[[person]]\nname = \"cid\"\ncontact = {{ hook = \"+1555003\" }}\n\
             [[team]]\nname = \"idle\"\nmembers = [\"cid\"]\n\
             [[schedule]]\nname = \"press\"\nlayer = [{{ rotation = [\"ann\"] }}]\n\
             [[route]]\nsteps = [{{ notify = [\"press\"] }}]\n"
        ),
    );
}

#[test]
fn a_time_when_nobody_is_on_call_is_an_error() {
    let config = works(&format!(
        "{HEAD}{SOURCE}{HOOK}{ANN}[[schedule]]\nname = \"press\"\ntimezone = \"America/New_York\"\n\
         layer = [{{ rotation = [\"ann\"], only = [{{ weekdays = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"] }}] }}]\n\
         [[schedule]]\nname = \"later\"\nlayer = [{{ rotation = [\"ann\"], start = \"2026-12-01\" }}]\n\
         [[schedule]]\nname = \"whole\"\nlayer = [{{ rotation = [\"ann\"] }}]\n\
         [[route]]\nsteps = [{{ notify = [\"press\", \"later\", \"whole\", \"hook\"] }}]\n"
    ));
    golden("gaps", &shown(&gaps(&config, Timestamp::parse("2026-11-25T00:00:00Z").unwrap())));
}

#[test]
fn without_routes_every_receiver_is_told() {
    let config = works(&format!("{HEAD}{SOURCE}{RECEIVER}[[receiver]]\nname = \"screen\"\nkind = \"desktop\"\n"));
    let [route] = config.routes.list.as_slice() else { panic!("one route") };
    assert!(route.severity.is_empty() && route.topics.is_empty());
    assert_eq!(route.steps[0].notify, ["log", "screen"].map(|name| Target::from(ReceiverName::from(name))));
    assert_eq!(config.store.path, Path::new("/home/ann/.local/state/stormbell/stormbell.db"));
    assert!(config.web.is_none());
}

#[test]
fn sources_can_fail_over_and_go_through_a_proxy() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ca.pem"), "").unwrap();
    let text = format!(
        "{HEAD}{RECEIVER}[[source]]\nname = \"b\"\nkind = \"jetstream\"\nurl = [\"wss://a.example/s\", \"ws://b.example\"]\n\
         max_frame_bytes = \"64 kB\"\nexpect_frame_within = \"250ms\"\nwanted_collections = [\"app.bsky.feed.*\"]\n\
         max_frames_per_second = 500\n\
         proxy = \"http://proxy.example:3128\"\nproxy_user = \"ann\"\nproxy_password = {{ env = \"PASSWORD\" }}\nca_file = \"ca.pem\"\n"
    );
    let environment = [("HOME", "/h"), ("PASSWORD", "open sesame")].into_iter().collect();
    let loaded = parse(&source("c", &text), folder.path(), &environment, SecretPolicy::Required);
    assert_eq!(loaded.findings, [], "{}", shown(&loaded.findings));
    let config = loaded.config.unwrap();
    let SourceKind::Jetstream(jetstream) = &config.sources[0].kind else { panic!("another kind") };
    assert_eq!(jetstream.urls.len(), 2);
    assert_eq!(jetstream.max_frame_bytes, 64_000);
    assert_eq!(config.sources[0].max_frames_per_second.map(std::num::NonZeroU32::get), Some(500));
    assert_eq!(jetstream.expect_frame_within, Some(Duration::from_millis(250)));
    assert_eq!(jetstream.transport.ca_file.as_deref(), Some(folder.path().join("ca.pem").as_path()));
    let proxy = jetstream.transport.proxy.as_ref().unwrap();
    assert_eq!(proxy.url.as_str(), "http://proxy.example:3128/");
    let (user, password) = proxy.login.as_ref().unwrap();
    assert_eq!((user.as_str(), password.expose()), ("ann", "open sesame"));
}

#[test]
fn the_file_given_comes_before_the_environment() {
    let environment = [("STORMBELL_CONFIG", "/from/environment")].into_iter().collect();
    assert_eq!(find(Some(Path::new("given")), &environment), Some(PathBuf::from("given")));
    assert_eq!(find(None, &environment), Some(PathBuf::from("/from/environment")));
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stormbell.toml");
    let message = || {
        let loaded = load(&path, &home(), SecretPolicy::Required);
        assert!(loaded.config.is_none());
        shown(&loaded.findings)
    };
    assert!(message().contains("stormbell.toml cannot be read: No such file"), "{}", message());
    fs::write(&path, b"schema = 1\nname = \"\xff\"").unwrap();
    assert!(message().contains("stormbell.toml is not UTF-8 text: byte 19 is wrong"), "{}", message());
}

#[test]
fn mistakes_in_rules_are_told_at_once() {
    golden_rules(
        "rules",
        r#"[lists]
org = ["x"]
Weapon = ["x"]
good = ["x", ""]
bad = "x"
loose = { terms = ["x"], fuzzy = "yes" }
empty = { fuzzy = true }

[override.other]
org = ["x"]
list = { add = "x", replace = ["y"] }

[[rule]]
id = "Big"
title = "x"
severity = "urgent"
status = "stabel"
topic = "no topic"
query = ""
except = [{ query = 'x' }, "x"]

[[rule]]
id = "late"
title = "x"
severity = "low"
query = 'x'
spike = { false_alarms = "often", autors = 3 }
count = { at_least = 0, distinct = "tale", within = "10" }

[[rule]]
id = "twice"
title = "x"
severity = "low"
query = 'x'
count = { at_least = 2, distinct = "authors", within = "10m" }
quiet = { for = "1h" }

[[rule]]
id = "tests"
title = "x"
severity = "low"
query = 'x'
[[rule.test]]
posts = []
alerts = -1
[[rule.test]]
name = "x"
posts = [{ at = "soon", txet = "x" }]
[[rule.test]]
name = "x"
posts = [{ text = "x", kind = "shout", followers = -1, has_media = "yes", links = "https://a.example" }]
alerts = 1
"#,
    );
}

#[test]
fn the_daemons_own_names_are_not_for_rules() {
    let pack = |name: &str| format!("schema = 1\n[pack]\nname = \"{name}\"\n");
    let rule = |id: &str, topic: &str| {
        let rest = "title = \"x\"\nseverity = \"low\"\nquery = 'x'\n";
        format!("{PACK}[[rule]]\nid = \"{id}\"\ntopic = \"{topic}\"\n{rest}")
    };
    let codes = |text: &str| {
        let (_, findings) = parse_rules(&source("rules.toml", text));
        findings.iter().filter(|finding| finding.code == "SB0205").count()
    };
    for (text, refused) in [
        (pack("stormbell.gap"), 1),
        (rule("stormbell.blind", "stormbell.blind.bluesky"), 2),
        (rule("stormbells", "a.stormbell.b"), 0),
    ] {
        assert_eq!(codes(&text), refused, "{text}");
    }
}

#[test]
fn a_rule_without_mistakes_survives_its_neighbours() {
    let (file, findings) = rules(&format!(
        "{PACK}[[rule]]\nid = \"bad\"\n[[rule]]\nid = \"good\"\ntitle = \"x\"\nseverity = \"low\"\nquery = 'x'\n\
         [[rule.test]]\nname = \"n\"\nalerts = 0\nposts = [{{ text = \"\", media_text = \"alt\", lang = [\"en\"] }}]\n"
    ));
    assert!(has_errors(&findings));
    let [rule] = file.rules.as_slice() else { panic!("the good rule") };
    assert_eq!((rule.id.value.as_str(), rule.topic.as_str(), rule.status), ("good", "p", Status::Stable));
    assert_eq!(rule.condition, Condition::Match);
    assert_eq!(rule.tests[0].posts[0].media_text, ["alt"]);
}

#[test]
fn rule_files_are_read_in_the_order_of_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, id: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let rule = format!("[[rule]]\nid = \"{id}\"\ntitle = \"x\"\nseverity = \"low\"\nquery = 'x'\n");
        fs::write(path, format!("{PACK}{rule}")).unwrap();
    };
    for (name, id) in [("b.toml", "b"), ("a/z.toml", "a"), ("c.toml", "b"), (".d.toml", "d"), ("e.txt", "e")] {
        write(name, id);
    }
    fs::create_dir(folder.path().join("empty")).unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
    let entry = |origin| RuleEntry { origin, place: None };
    let path = |name: &str| entry(RuleOrigin::Path(folder.path().join(name)));
    let builtin = |name: &str| entry(RuleOrigin::Builtin(name.to_owned()));
    let entries = [path(""), path("b.toml"), path("absent"), path("empty/"), builtin("hopsital"), builtin("hospital")];
    let text = "schema = 1\n[pack]\nname = \"h\"\n";
    let builtins = [Builtin { name: "hospital", files: Box::leak(Box::new([("crisis.toml", text)])) }];

    let (files, findings) = load_rules(&entries, &builtins);

    let folder_name = folder.path().display().to_string();
    let names: Vec<_> = files.iter().map(|file| file.source.name.replace(&folder_name, "rules")).collect();
    assert_eq!(names, ["rules/a/z.toml", "rules/b.toml", "rules/c.toml", "builtin:hospital/crisis.toml"]);
    let ids: Vec<_> = files.iter().flat_map(|file| &file.rules).map(|rule| rule.id.value.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    golden("rule-files", &shown(&findings).replace(&folder_name, "rules"));
}

#[test]
fn an_unknown_pack_is_underlined_in_the_configuration() {
    let config = works(&format!("{}{SOURCE}{RECEIVER}", HEAD.replace("[\"rules\"]", "[\"builtin:hopsital\"]")));
    let builtins = [Builtin { name: "hospital", files: &[] }];
    golden("unknown-pack", &shown(&load_rules(&config.rules, &builtins).1));
}

#[test]
fn reports_for_terminals_are_coloured_and_harmless() {
    let text = format!(
        "{HEAD}{SOURCE}{RECEIVER}[store]\n\"a\\u001b[2J\\u009b\" = \"\u{9b}31m\u{202e}\u{200f}\"\npath = \"\u{1b}[2J\"\n"
    );
    let findings = read(&text, &home(), SecretPolicy::Required).findings;
    let plain = render(&findings, Colours::Plain);
    let dangerous = |c: char| c.is_control() && c != '\n' || "\u{202e}\u{200f}".contains(c);
    assert!(!plain.contains(dangerous), "{plain:?}");
    assert!(plain.contains("SB0001") && plain.contains("SB0002"), "{plain}");
    let coloured = render(&findings, Colours::Ansi);
    assert!(coloured.contains('\u{1b}'));
    assert!(!coloured.contains("\u{1b}[2J") && !coloured.contains('\u{9b}'));
}

#[test]
fn summaries_count_both_levels() {
    let (error, warning) = (Diagnostic::error("SB0001", "x"), Diagnostic::warning("SB0403", "x"));
    assert_eq!(summary(&[]), "no problems");
    assert_eq!(summary(&[error.clone(), warning.clone(), error.clone()]), "2 errors, 1 warning");
    assert_eq!(summary(&[warning.clone(), warning]), "2 warnings");
}

/// A sample with a few bytes of it cut out or written over.
fn damaged(text: impl Into<String>) -> impl Strategy<Value = String> {
    let text: String = text.into();
    let damage = (any::<prop::sample::Index>(), 0..12_usize, "[\\PC\n\"'={}\\[\\],.#]{0,6}");
    prop::collection::vec(damage, 1..6).prop_map(move |damages| {
        let mut text = text.clone();
        for (at, length, insert) in damages {
            let start = text.floor_char_boundary(at.index(text.len() + 1));
            let end = text.floor_char_boundary((start + length).min(text.len())).max(start);
            text.replace_range(start..end, &insert);
        }
        text
    })
}

fn stays_upright(text: &str) {
    let loaded = read(text, &home(), SecretPolicy::MayBeAbsent);
    assert_eq!(loaded.config.is_none(), has_errors(&loaded.findings), "{}", shown(&loaded.findings));
    let (file, findings) = parse_rules(&source("rules", text));
    assert!(file.is_some() || has_errors(&findings));
    for finding in loaded.findings.iter().chain(&findings) {
        let place = finding.place.as_ref().expect("all findings in a text have a place");
        assert!(place.source.text.get(place.span.clone()).is_some(), "{finding:?}");
    }
    assert!(!render(&loaded.findings, Colours::Plain).contains('\u{1b}'));
    assert!(!render(&findings, Colours::Ansi).contains("\u{1b}[2J"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_stops_the_reader(text in "(\\PC|[\n\t\u{1b}\u{0}]|[\"'={}\\[\\],.#]){0,120}") {
        stays_upright(&text);
    }

    #[test]
    fn no_damaged_configuration_stops_the_reader(text in damaged(SAMPLE)) {
        stays_upright(&text);
    }

    #[test]
    fn no_damaged_schedule_stops_the_reader(text in damaged(with_people())) {
        stays_upright(&text);
    }

    #[test]
    fn no_damaged_rule_file_stops_the_reader(text in damaged(SAMPLE_RULES)) {
        stays_upright(&text);
    }
}

#[test]
fn the_example_of_every_kind_of_receiver_is_right() {
    let config = works(include_str!("../../deploy/receivers.toml"));
    assert_eq!(config.receivers.len(), 18, "a kind without an example");
}

#[test]
fn receivers_that_cannot_work_are_refused_with_a_remedy() {
    let receivers = [
        ("smtp", "host = \"mail.example:25\"\nport = 70000\nfrom = \"nobody\"\nto = []\ntls = \"ssl\"\n"),
        (
            "smtp",
            "host = \"m.example\"\nfrom = \"a@h.example\"\nto = \"b@h.example\"\ntls = \"off\"\nuser = \"bell\"\npassword = { env = \"P\" }\n",
        ),
        (
            "smtp",
            "host = \"m.example\"\nfrom = \"a@h.example\"\nto = [\"b@h.example\", \"b\"]\nuser = \"bell\"\ncleared = \"yes\"\n",
        ),
        ("ntfy", "topic = \"hunter2-topic\"\n"),
        ("ntfy", "url = \"http://127.0.0.1:1\"\ntopic = \"no blanks\"\n"),
        ("ntfy", "topic = { env = \"T\" }\ntoken = { env = \"T\" }\nuser = \"ann\"\npassword = { env = \"P\" }\n"),
        ("slack", "url = \"https://hooks.slack.com/services/T/B/hunter2\"\nchannel = \"#x\"\n"),
        ("teams", "url = { env = \"HOOK\" }\n"),
        ("alertmanager", "url = []\n"),
        ("opsgenie", "team = \"\"\n"),
        ("goalert", "url = \"goalert.example\"\ntoken = \"hunter2\"\n"),
        ("pushover", "token = { env = \"T\" }\nuser = { env = \"U\" }\n"),
        ("matrix", "url = \"https://m.example\"\ntoken = { env = \"T\" }\nroom = \"#crisis:m.example\"\n"),
        (
            "twilio",
            "account = \"12\"\ntoken = { env = \"T\" }\nfrom = \"hospital\"\nto = [\"0155 123\"]\ncleared = true\n",
        ),
        ("syslog", "url = \"udp://h.example/path\"\n"),
        ("syslog", "url = \"tcp://h.example\"\nca_file = \"stormbell.toml\"\n"),
    ];
    let receivers = receivers.iter().enumerate();
    let receivers: Vec<String> = receivers
        .map(|(place, (kind, keys))| format!("[[receiver]]\nname = \"r{place}\"\nkind = \"{kind}\"\n{keys}"))
        .collect();
    let text = format!("{HEAD}{SOURCE}{}[[route]]\nsteps = [{{ notify = [\"r0\"] }}]\n", receivers.concat());
    let environment: Environment =
        [("HOME", "/home/ann"), ("HOOK", "no address hunter2"), ("T", "t"), ("P", "p"), ("U", "u")]
            .into_iter()
            .collect();
    let loaded = read(&text, &environment, SecretPolicy::MayBeAbsent);
    let report = shown(&loaded.findings);
    assert!(!report.contains("hunter2"), "{report}");
    golden("receivers", &report);
}

#[test]
fn each_topic_may_be_kept_for_a_time_of_its_own() {
    let store = |by_topic: &str| format!("[store]\npath = \"x.db\"\nretention_by_topic = {by_topic}\n");
    let by_topic = "{ \"duty-of-care*\" = \"7d\", cyber = \"90d\" }";
    let config = works(&format!("{HEAD}{SOURCE}{RECEIVER}{}", store(by_topic)));
    let kept: Vec<(&str, u64)> =
        config.store.retention_by_topic.iter().map(|(glob, kept)| (glob.0.as_str(), kept.as_secs() / 86_400)).collect();
    assert_eq!(kept, [("duty-of-care*", 7), ("cyber", 90)]);
    let days = |days: u64| Duration::from_hours(24 * days);
    assert_eq!((config.store.shortest_retention(), config.store.longest_retention()), (days(7), days(90)));
    golden_config("retention-by-topic", &store("{ \"\" = \"7d\", cyber = \"a while\", fire = 7 }"));
    golden_config("retention-by-topic-type", &store("\"7d\""));
}
