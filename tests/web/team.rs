//! What people do together, through the built program: an incident is handed over, its playbook followed, its report
//! written, and all of it is there after the process was killed.

use std::process::Command;

use crate::support::daemon::{API_TOKEN, Config, Daemon, HOOK, Place, now, say, word_rule};
use crate::support::frames;
use crate::support::jetstream::{Script, SimJetstream};
use crate::support::sink::SimSink;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormbell::domain::time::Timestamp;

/// Ann is told by the hook, after an hour everybody behind it; Bob is nobody's step.
const PEOPLE: &str = "[[person]]\nname = \"ann\"\ncontact = { hook = \"+1555001\" }\n\
    [[person]]\nname = \"bob\"\ncontact = { hook = \"+1555002\" }\n\
    [[route]]\nsteps = [{ notify = [\"ann\"], ack_within = \"1h\" }, { notify = [\"hook\"] }]\n";
const PLAYBOOK: &str = "+++\nroles = [\"Legal\"]\nfirst_statement_within = \"15m\"\n\n[[statement]]\nid = \"first\"\n\
    title = \"First\"\nversion = 1\ntext = \"There is a fire at $org.\"\n+++\n# Fire\n1. Call the desk.\n2. Wake the commander.\n";

struct World {
    stream: SimJetstream,
    sink: SimSink,
    place: Place,
}

impl World {
    async fn new() -> Self {
        let (stream, sink) = (SimJetstream::start(Script::default()).await, SimSink::start().await);
        let config = Config::new(&stream.url(), "").webhook("hook", &sink.url(HOOK)).and(PEOPLE);
        let rule = format!("{}playbook = \"playbooks/fire.md\"\n", word_rule("fire", "fire", "high"));
        let place = Place::new(&config, &[rule]);
        place.write("rules/playbooks/fire.md", PLAYBOOK);
        Self { stream, sink, place }
    }

    async fn fire(&self, daemon: &Daemon) -> String {
        daemon.says("source connected").await;
        self.stream.push(say(now(), "did:plc:eve", "k1", "fire <b>here</b>"));
        let found = daemon.until(async || daemon.incidents("fire").await, |found| !found.is_empty()).await;
        found[0]["id"].as_str().unwrap().to_owned()
    }

    /// To whom messages of a kind went.
    fn told(&self, kind: &str) -> Vec<String> {
        let requests = self.sink.requests().into_iter().filter(|request| request.line.contains(HOOK));
        let payloads = requests.map(|request| request.json()).filter(|payload| payload["type"] == kind);
        let person = |payload: Value| payload["recipient"]["person"].as_str().unwrap_or("everybody").to_owned();
        let mut told: Vec<String> = payloads.map(person).collect();
        told.sort();
        told
    }
}

async fn post(daemon: &Daemon, path: &str, body: Value) -> StatusCode {
    daemon.ask(Method::POST, path, &body.to_string()).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_given_on_and_the_next_step_is_told_once_over_a_kill() {
    let world = World::new().await;
    let mut daemon = world.place.start().await;
    let id = world.fire(&daemon).await;
    let path = |action: &str| format!("/api/v1/incidents/{id}/{action}");
    assert_eq!(post(&daemon, &path("handover"), json!({ "to": "bob", "by": "ann" })).await, StatusCode::CONFLICT);
    daemon.act(&id, "ack").await;
    assert_eq!(post(&daemon, &path("handover"), json!({ "to": "eve", "by": "ann" })).await, StatusCode::CONFLICT);
    assert_eq!(post(&daemon, &path("handover"), json!({ "to": "bob", "by": "ann" })).await, StatusCode::OK);
    let steps = daemon.get(&path("playbook")).await["steps_told"].clone();
    let help = json!({ "by": "bob", "reason": "I need hands", "steps_told": steps });
    assert_eq!(post(&daemon, &path("escalate"), help.clone()).await, StatusCode::OK);
    daemon.kill().await;

    // Whoever got no answer asks again.
    let daemon = world.place.start().await;
    assert_eq!(post(&daemon, &path("escalate"), help).await, StatusCode::OK);
    assert_eq!(post(&daemon, &path("handover"), json!({ "to": "bob", "by": "ann" })).await, StatusCode::OK);
    let told = async || world.told("incident.escalated");
    let told = daemon.until(told, |told: &Vec<String>| told.contains(&"everybody".to_owned())).await;
    // A kill may have a message sent twice, which was on its way; never another one.
    assert!(told.iter().all(|one| one == "bob" || one == "everybody") && told.contains(&"bob".to_owned()), "{told:?}");
    let incident = daemon.get(&format!("/api/v1/incidents/{id}")).await;
    assert_eq!(incident["acknowledged"]["by"], "bob");
    let history: Vec<&str> =
        incident["timeline"].as_array().unwrap().iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    assert_eq!(history.iter().filter(|what| matches!(**what, "handed_over" | "escalated")).count(), 2, "{history:?}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_playbook_that_was_followed_is_in_the_report_also_after_a_kill() {
    let world = World::new().await;
    let mut daemon = world.place.start().await;
    let id = world.fire(&daemon).await;
    let path = format!("/api/v1/incidents/{id}/playbook");
    let playbook = daemon.get(&path).await;
    assert_eq!(playbook["statements"][0]["text"], "There is a fire at St. Brigid's Hospital.");
    assert_eq!(playbook["statements"][0]["approved_by"], Value::Null);
    let key = playbook["steps"][0]["key"].clone();
    let step = json!({ "did": "step", "key": key, "by": "ann" });
    for (body, expected) in [
        (step.clone(), StatusCode::NO_CONTENT),
        (json!({ "did": "role", "role": "Legal", "person": "Dr. Roe", "by": "ann" }), StatusCode::NO_CONTENT),
        (json!({ "did": "role", "role": "Cook", "person": "Dr. Roe" }), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "did": "statement", "id": "first" }), StatusCode::CONFLICT),
        (json!({ "did": "statement", "at": "2020-01-01T00:00:00Z" }), StatusCode::UNPROCESSABLE_ENTITY),
        (json!({ "did": "statement", "by": "carl" }), StatusCode::NO_CONTENT),
        (
            json!({ "did": "statement", "at": Timestamp::from_micros(now()).to_string(), "by": "dora" }),
            StatusCode::NO_CONTENT,
        ),
    ] {
        assert_eq!(post(&daemon, &path, body.clone()).await, expected, "{body}");
    }
    assert_eq!(
        post(&daemon, "/api/v1/handover", json!({ "text": "all quiet", "by": "ann" })).await,
        StatusCode::NO_CONTENT
    );
    daemon.kill().await;

    let daemon = world.place.start().await;
    assert_eq!(post(&daemon, &path, step).await, StatusCode::NO_CONTENT, "once more, and nothing changes");
    let report = daemon.get(&format!("/api/v1/incidents/{id}/report?posts=true")).await;
    let ticked = &report["playbook"]["steps"][0];
    assert_eq!((&ticked["what"], &ticked["by"]), (&json!("Call the desk."), &json!("ann")));
    assert_eq!(report["playbook"]["steps"][1]["by"], Value::Null);
    assert_eq!(report["playbook"]["roles"][0]["person"], "Dr. Roe");
    assert_eq!(report["playbook"]["first_statement"]["by"], "carl", "the first time counts");
    assert!(report["seconds"]["opened_to_first_statement"].is_number(), "{report}");
    assert!(report["evidence"][0]["text"].as_str().unwrap().starts_with("fire <b>here</b>"), "{report}");
    let history = report["incident"]["timeline"].as_array().unwrap();
    assert_eq!(history.iter().filter(|entry| entry["what"] == "ticked").count(), 1);
    let handover = daemon.get("/api/v1/handover").await;
    assert_eq!((&handover["notes"][0]["text"], &handover["open"][0]["steps_done"]), (&json!("all quiet"), &json!(1)));

    // The author takes the post back: its hash stays what it was.
    let hash = report["evidence"][0]["sha256"].clone();
    world.stream.push(frames::delete(now(), "did:plc:eve", "k1"));
    let report = async || daemon.get(&format!("/api/v1/incidents/{id}/report?posts=true")).await;
    let report = daemon.until(report, |report| report["evidence"][0]["erased"] == true).await;
    assert_eq!((&report["evidence"][0]["sha256"], &report["evidence"][0]["text"]), (&hash, &Value::Null));
    assert!(!world.place.database_holds("fire <b>here</b>"));

    let url = format!("http://127.0.0.1:{}", daemon.port());
    let token = world.place.path("token");
    let run = |arguments: &[&str]| {
        let program = Command::new(env!("CARGO_BIN_EXE_stormbell"))
            .args(arguments)
            .args(["--url", &url])
            .arg("--token-file")
            .arg(&token)
            .output();
        String::from_utf8(program.unwrap().stdout).unwrap()
    };
    let text = run(&["report", &id]);
    assert!(text.contains("- [x] Call the desk. (ann, ") && text.contains("- [ ] Wake the commander."), "{text}");
    assert!(text.contains(hash.as_str().unwrap()) && !text.contains(API_TOKEN), "{text}");
    let html = run(&["report", &id, "--html"]);
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains(hash.as_str().unwrap()), "{html}");
    let database = world.place.path("state/stormbell.db");
    daemon.stop().await;
    let sound = Command::new(env!("CARGO_BIN_EXE_stormbell")).args(["audit", "verify"]).arg(database).output().unwrap();
    assert!(sound.status.success(), "{sound:?}");
}
