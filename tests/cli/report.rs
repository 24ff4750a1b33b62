//! The report of an incident, as people file it.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stormbell::domain::playbook::{Followed, Mark, MarkKind, Playbook};
use stormbell::domain::time::Timestamp;
use stormbell::web::report::{self, Facts};
use stormbell::web::{Evidence, Growth};

use super::support::{Desk, golden};

/// A daemon that knows one incident; its address. It ends with the test.
fn daemon(incident: Value, deliveries: Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let facts = facts(incident, deliveries);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = BufReader::new(&stream).lines().map_while(Result::ok);
            let line = request.next().unwrap();
            request.take_while(|line| !line.is_empty()).for_each(drop);
            let path = line.split(' ').nth(1).unwrap();
            assert!(path.starts_with("/api/v1/incidents/inc-1/report?posts="), "{path}");
            let body = if path.ends_with("&as=html") {
                "<!DOCTYPE html>".to_owned()
            } else {
                let facts = Facts { with_posts: path.contains("posts=true"), ..facts.clone() };
                serde_json::to_string(&report::of(&facts).unwrap()).unwrap()
            };
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
                .unwrap();
        }
    });
    url
}

/// What is on record, with a playbook of which half was done.
fn facts(incident: Value, deliveries: Value) -> Facts {
    let at = |time: &str| Timestamp::parse(time).unwrap();
    let evidence = |id: &str, time: &str| Evidence { id: id.into(), at: at(time), hash: [0xAB; 32], post: None };
    let playbook = Playbook {
        roles: vec!["Legal".to_owned()],
        first_statement_within: Some(Duration::from_mins(15)),
        ..Playbook::of("playbooks/active-threat.md", "# Active threat\n1. **Call** the desk.\n2. Wake the commander.")
    };
    let key = playbook.steps().next().unwrap().key.clone();
    let mark = |value: &str, time: &str| Mark { value: value.to_owned(), by: "Ann".to_owned(), at: at(time) };
    let marks = [
        ((MarkKind::Step, key), mark("", "2026-11-01T06:05:00Z")),
        ((MarkKind::Role, "Legal".to_owned()), mark("Dr. *Roe*", "2026-11-01T06:05:30Z")),
        ((MarkKind::Statement, "first".to_owned()), mark("first, version 2", "2026-11-01T06:11:10.500Z")),
    ];
    let told = incident["posts"] != 0;
    Facts {
        incident,
        deliveries: serde_json::from_value(deliveries).unwrap(),
        evidence: if told { vec![evidence("p2", "2026-11-01T05:59:09Z")] } else { Vec::new() },
        evidence_next: None,
        growth: Growth::default(),
        playbook: told.then(|| Arc::new(playbook)),
        followed: if told { Followed { marks: marks.into() } } else { Followed::default() },
        organization: "St. Brigid's Hospital".to_owned(),
        timezone: "America/New_York".to_owned(),
        now: at("2026-11-02T12:00:00Z"),
        with_posts: false,
    }
}

/// Through the night in which clocks go back, with words of people who mean harm.
fn incident() -> Value {
    json!({
        "id": "inc-1", "title": "Gunman or shots reported at our site", "severity": "critical", "state": "resolved",
        "topic": "active-threat", "rules": ["active-threat.gunman"],
        "opened_at": "2026-11-01T05:59:10.500Z", "first_post_at": "2026-11-01T05:58:00Z",
        "last_post_at": "2026-11-01T06:10:00Z", "posts": 2, "authors": 2, "stories": 1,
        "summary": "1 story · 2 authors · 2 posts", "why": "2 authors within 10 min, a link to ‘evil[.]example’",
        "playbook": "playbooks/active-threat.md", "url": null, "exercise": false, "late": true,
        "acknowledged": { "by": "Cid", "at": "2026-11-01T08:46:00Z" },
        "resolved": { "by": "Bob_B", "at": "2026-11-01T09:00:00Z" }, "reopened_at": "2026-11-01T08:45:00Z",
        "sample": [
            { "id": "at://did:plc:a/app.bsky.feed.post/1", "source": "sky", "url": "https://bsky.app/x",
              "created_at": "2026-11-01T05:58:00Z", "author": { "id": "did:plc:a", "handle": "a.example" },
              "text": "gunman\n# not a heading\n[click](https://evil.example/x) <script>\u{202e}@all" },
            { "id": "p2", "source": "sky", "url": null, "created_at": "2026-11-01T05:59:09Z",
              "author": { "id": "did:plc:b", "handle": null }, "text": "shots" },
        ],
        "timeline": [
            { "at": "2026-11-01T05:59:10.500Z", "what": "opened", "by": "stormbell", "text": "telling on-call" },
            { "at": "2026-11-01T06:03:10.500Z", "what": "acknowledged", "by": "Ann", "text": "" },
            { "at": "2026-11-01T06:04:00Z", "what": "note", "by": "Ann", "text": "- a list\n1. *no*" },
            { "at": "2026-11-01T06:20:00Z", "what": "muted", "by": "stormbell", "text": "nobody is told: silence sil-1" },
            { "at": "2026-11-01T08:30:00Z", "what": "resolved", "by": "Bob_B", "text": "a film set" },
            { "at": "2026-11-01T08:45:00Z", "what": "reopened", "by": "stormbell", "text": "telling on-call" },
            { "at": "2026-11-01T08:46:00Z", "what": "acknowledged", "by": "Cid", "text": "" },
            { "at": "2026-11-01T09:00:00Z", "what": "resolved", "by": "Bob_B", "text": "" },
        ],
        "alerts": [
            { "at": "2026-11-01T05:59:09Z", "rule": "active-threat.gunman", "severity": "critical",
              "condition": "count", "posts": 2, "authors": 2, "post": "p2", "why": "2 authors within 10 min" },
        ],
    })
}

fn deliveries() -> Value {
    let delivery = |receiver: &str, person: Option<&str>, kind: &str, state: &str, finished: Option<&str>| {
        let error = (state != "delivered").then_some("the server answered 500");
        json!({ "id": "d", "receiver": receiver, "person": person, "kind": kind, "at": "2026-11-01T05:59:10.500Z",
            "state": state, "attempts": if error.is_some() { 7 } else { 1 }, "finished_at": finished, "error": error })
    };
    json!([
        delivery("on-call", None, "incident.opened", "delivered", Some("2026-11-01T05:59:11.700Z")),
        delivery("sms", Some("Ann"), "incident.opened", "parked", Some("2026-11-01T06:09:10.500Z")),
        delivery("mail", None, "incident.resolved", "pending", None),
    ])
}

#[test]
fn a_report_says_when_who_and_how_long() {
    let url = daemon(incident(), deliveries());
    let desk = Desk::new();
    let mut pages = String::new();
    for arguments in [&["report", "inc-1"][..], &["report", "inc-1", "--posts"], &["report", "inc-1", "--json"]] {
        let ran = desk.run(&[arguments, &["--url", &url]].concat());
        writeln!(pages, "=== {}\n{}", arguments.join(" "), ran.text()).unwrap();
    }
    golden!("cli-report", pages);
}

#[test]
fn a_report_can_be_written_to_a_file_and_as_html() {
    let (url, desk) = (daemon(incident(), deliveries()), Desk::new());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    let ran = desk.run(&["report", "inc-1", "--html", "--output", path.to_str().unwrap(), "--url", &url]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.text());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "<!DOCTYPE html>");
    let nowhere = folder.path().join("none/report.md");
    let ran = desk.run(&["report", "inc-1", "--output", nowhere.to_str().unwrap(), "--url", &url]);
    assert!(ran.code == 1 && ran.err.contains("report.md"), "{}", ran.text());
    assert_eq!(desk.run(&["report", "inc-1", "--html", "--json", "--url", &url]).code, 64);
}

#[test]
fn reports_of_merged_incidents_name_each_other() {
    let (mut part, mut whole) = (incident(), incident());
    part["merged_into"] = json!("inc-2");
    (whole["state"], whole["merged"], whole["also"]) = (json!("open"), json!(["inc-0", "inc-3"]), json!(["cyber"]));
    let mut heads = String::new();
    for incident in [part, whole] {
        let ran = Desk::new().run(&["report", "inc-1", "--url", &daemon(incident, json!([]))]);
        heads += ran.out.split_once("\n## ").unwrap().0;
    }
    golden!("cli-report-merged", heads);
}

#[test]
fn an_incident_that_goes_on_and_is_about_a_silence_has_a_report() {
    let mut going_on = incident();
    for (key, value) in [("state", json!("open")), ("posts", json!(0)), ("exercise", json!(true))] {
        going_on[key] = value;
    }
    for key in ["acknowledged", "resolved", "reopened_at"] {
        going_on.as_object_mut().unwrap().remove(key);
    }
    for key in ["sample", "timeline", "alerts", "rules"] {
        going_on[key] = json!([]);
    }
    let url = daemon(going_on, json!([]));
    let ran = Desk::new().run(&["report", "inc-1", "--posts", "--url", &url]);
    golden!("cli-report-going-on", ran.text());
}
