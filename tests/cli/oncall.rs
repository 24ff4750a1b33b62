//! Who is on call, as the command line says it.

use std::fmt::Write as _;

use super::support::{Desk, golden};

const CONFIG: &str = r#"schema = 1
rules = ["builtin:hospital"]
[organization]
name = "Mercy General"
timezone = "America/New_York"
[[source]]
name = "bluesky"
kind = "jetstream"
url = "wss://jet.example/subscribe"
[[receiver]]
name = "sms-gateway"
kind = "webhook"
url = "http://127.0.0.1:9/"
[[person]]
name = "ann"
contact = { sms-gateway = "+15550001" }
quiet = { from = "22:00", to = "06:00" }
[[person]]
name = "bob"
contact = { sms-gateway = "+15550002" }
[[person]]
name = "cid"
contact = { sms-gateway = "+15550003" }
[[team]]
name = "leads"
members = ["cid"]
[[schedule]]
name = "press"
[[schedule.layer]]
rotation = ["ann", "bob"]
every = "7d"
start = 2026-10-26
hand_over = "08:00"
[[schedule.override]]
person = "cid"
from = "2026-12-24 08:00"
to = "2026-12-26 08:00"
[[schedule]]
name = "site"
timezone = "Europe/Berlin"
[[schedule.layer]]
rotation = ["cid"]
[[route]]
steps = [{ notify = ["press"], ack_within = "5m" }, { notify = ["site", "leads"] }]
"#;

#[test]
fn people_are_told_who_is_on_call() {
    let desk = Desk::new();
    desk.file("stormbell.toml", CONFIG);
    let mut pages = String::new();
    for arguments in [
        &["--at", "2026-10-31 23:30"][..],
        // A week in which clocks are set: hand-overs stay at eight.
        &["press", "--at", "2026-10-31 23:30", "--days", "16"],
        &["--at", "2026-12-24"],
        &["cid", "--at", "2026-12-20 12:00"],
        &["leads", "--at", "2026-12-24T22:00:00Z", "--days", "7"],
        &["press", "--at", "2026-12-24 12:00", "--days", "3", "--json"],
        &["pres"],
        &["press", "--at", "Christmas"],
        &["--config", "nowhere.toml"],
    ] {
        let ran = desk.run(&[&["oncall"], arguments].concat());
        write!(pages, "=== oncall {}\n{}", arguments.join(" "), ran.text()).unwrap();
    }
    desk.file("stormbell.toml", CONFIG.replace("start = 2026-10-26", "start = 2026-12-26"));
    write!(pages, "=== a gap\n{}", desk.run(&["oncall", "press", "--at", "2026-12-23", "--days", "4"]).text()).unwrap();
    golden!("cli-oncall", pages);
}

#[test]
fn now_is_now() {
    let desk = Desk::new();
    let ran = desk.file("stormbell.toml", CONFIG).run(&["oncall", "site"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("site (Europe/Berlin), ") && ran.out.contains("\n  now   cid, "), "{}", ran.out);
    let nobody = CONFIG.split("[[person]]").next().unwrap();
    let ran = desk.file("stormbell.toml", nobody).run(&["oncall"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, "stormbell.toml has no [[schedule]]\n"));
}

#[test]
fn a_gap_is_an_error_of_check_and_of_run() {
    let desk = Desk::new();
    let ran = desk.file("stormbell.toml", CONFIG).run(&["check"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let gap = CONFIG.replace("rotation = [\"cid\"]", "rotation = [\"cid\"]\nonly = [{ from = \"01:00\" }]");
    desk.file("stormbell.toml", gap);
    let ran = desk.run(&["check"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("error[SB0432]: nobody is on call in `site` from "), "{}", ran.err);
    assert!(ran.err.contains("--> stormbell.toml:39:8"), "{}", ran.err);
    let ran = desk.run(&["run"]);
    assert_eq!(ran.code, 78, "{}", ran.err);
    assert!(ran.err.contains("SB0432"), "{}", ran.err);
}
