//! What we send to `PagerDuty`, checked against its contract by somebody else's code: `jsonschema` from `PyPI`.
//!
//! Its own schema is in no package that can be installed; `tests/foreign/pagerduty-events-v2.json` says the same in our
//! words.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use stormbell::config::model::{ReceiverConfig, ReceiverKind, Transport};
use stormbell::config::secret::Secret;
use stormbell::domain::incident::{Again, IncidentState, Severity};
use stormbell::domain::message::{Leased, MessageKind};
use stormbell::notify::Receiver;
use stormbell::wire::link::Console;

use crate::support::message::{leased, noon};
use crate::support::sink::SimSink;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/pagerduty-events-v2.json");

/// Says of each line whether the schema takes it, and why not.
const VALIDATE: &str = "
import json, sys
from jsonschema import Draft202012Validator, FormatChecker
schema = json.load(open(sys.argv[1]))
Draft202012Validator.check_schema(schema)
validator = Draft202012Validator(schema, format_checker=FormatChecker())
for line in sys.stdin:
    errors = [error.json_path + ': ' + error.message for error in validator.iter_errors(json.loads(line))]
    print('; '.join(errors) or 'fine')
";

/// Every kind of message, about incidents of every severity, usual and strange ones.
fn messages() -> Vec<Leased> {
    let mut all = Vec::new();
    for kind in MessageKind::ALL {
        for severity in [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Info] {
            let mut usual = leased("i", kind);
            usual.delivery.message.incident.severity = severity;
            let mut strange = usual.clone();
            let incident = &mut strange.delivery.message.incident;
            (incident.exercise, incident.late) = (true, true);
            incident.title = "\u{202e}\u{0}<b>“Gunman”</b>\n".repeat(200);
            incident.why = "a link to ‘evil[.]example’ ".repeat(50_000);
            incident.playbook = Some("https://intranet.example/".repeat(100));
            let mut again = usual.clone();
            let message = &mut again.delivery.message;
            message.incident.again = Some(Again { at: message.at, times: 1 });
            let mut anew = usual.clone();
            let message = &mut anew.delivery.message;
            (message.incident.reopened, message.incident.state) = (Some(message.at), IncidentState::Open);
            all.extend([usual, strange, again, anew]);
        }
    }
    all
}

#[tokio::test]
#[ignore = "needs pip; run by .ci/run"]
async fn pagerduty_takes_every_event_that_we_send() {
    let folder = tempfile::tempdir().unwrap();
    let python = python_with_library(folder.path());
    let sink = SimSink::start().await;
    let kind = ReceiverKind::PagerDuty {
        url: sink.url("/v2/enqueue"),
        routing_key: Secret::new("plantedroutingkey0123456789abcde".to_owned()),
        webhook_secret: None,
        transport: Transport::default(),
    };
    let console = Console::with_links("https://bell.hospital.example".parse().unwrap(), "planted-link-key");
    for console in [None, Some(&console)] {
        let receiver = Receiver::build(&ReceiverConfig::new("pager", kind.clone()), console).unwrap();
        for message in messages() {
            receiver.send(&message, noon()).await.unwrap();
        }
    }
    let events: Vec<Value> = sink.requests().iter().map(crate::support::sink::Request::json).collect();
    assert!(events.len() > 200 && sink.requests().iter().all(|request| request.body.len() <= 512_000));
    for (verdict, event) in verdicts(&python, &events).iter().zip(&events) {
        assert_eq!(verdict, "fine", "{event:#}");
    }

    // That it would notice:
    let right = &events[0];
    let wrong = |change: fn(&mut Value)| {
        let mut event = right.clone();
        change(&mut event);
        event
    };
    let wrong = [
        wrong(|event| event["routing_key"] = json!("short")),
        wrong(|event| event["event_action"] = json!("close")),
        wrong(|event| event["payload"]["severity"] = json!("high")),
        wrong(|event| event["payload"]["summary"] = json!("x".repeat(1025))),
        wrong(|event| event["payload"]["timestamp"] = json!("yesterday")),
        wrong(|event| event["links"] = json!([{ "text": "nowhere" }])),
        wrong(|event| event["client_url"] = json!("javascript:alert(1)")),
        wrong(|event| event["dedup_key"] = json!("x".repeat(256))),
        wrong(|event| drop(event.as_object_mut().unwrap().remove("payload"))),
        wrong(|event| event["priority"] = json!(1)),
    ];
    for (verdict, event) in verdicts(&python, &wrong).iter().zip(&wrong) {
        assert_ne!(verdict, "fine", "{event:#}");
    }
}

fn python_with_library(folder: &Path) -> PathBuf {
    let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    run(Command::new("python3").args(["-m", "venv"]).arg(folder));
    let python = folder.join("bin/python");
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "jsonschema"]));
    python
}

fn verdicts(python: &Path, events: &[Value]) -> Vec<String> {
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    let lines = lines.join("\n");
    let mut child = Command::new(python)
        .args(["-c", VALIDATE, SCHEMA])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writing = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    let verdicts: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(verdicts.len(), events.len());
    verdicts
}
