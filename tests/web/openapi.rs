//! The description of the API: that it is of the addresses there are, and that somebody else's program finds the daemon to
//! be as described.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::support::daemon::{API_TOKEN, Config, HOOK, Place, now, pair_rule, say, word_rule};
use crate::support::jetstream::{Script, SimJetstream};
use crate::support::pretended::{Pretended, Server};
use crate::support::sink::SimSink;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormbell::web::{Needs, Route, addresses, document};

/// Addresses that are for programs: not pages, and not what only proves itself.
fn is_described(route: &Route) -> bool {
    route.path.starts_with("/api/") || matches!(route.path, "/healthz" | "/readyz" | "/metrics")
}

fn described() -> (Vec<Route>, Value) {
    let table = addresses(Arc::new(Pretended::default()));
    let document = serde_json::from_str(&document(&table)).unwrap();
    (table, document)
}

/// Every operation: its path, method and description.
fn operations(document: &Value) -> impl Iterator<Item = (&str, String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| {
        let item = item.as_object().unwrap().iter();
        item.map(move |(method, operation)| (path.as_str(), method.to_uppercase(), operation))
    })
}

#[test]
fn every_address_for_programs_is_described_and_no_other() {
    let (table, document) = described();
    let there: BTreeSet<(&str, String)> =
        table.iter().filter(|route| is_described(route)).map(|route| (route.path, route.method.to_owned())).collect();
    let described: BTreeSet<(&str, String)> = operations(&document).map(|(path, method, _)| (path, method)).collect();
    assert!(there.len() > 30, "{there:?}");
    assert_eq!(described, there);
}

#[test]
fn the_description_is_whole() {
    let (table, document) = described();
    let mut names = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let name = operation["operationId"].as_str().unwrap();
        assert!(names.insert(name), "two are called {name}");
        assert!(operation["summary"].as_str().is_some_and(|summary| summary.ends_with('.')), "{method} {path}");
        let route = table.iter().find(|route| route.path == path && route.method == method).unwrap();
        let Needs::Role(role) = route.needs else { continue };
        let says = operation["description"].as_str().unwrap();
        assert!(says.contains(&format!("Takes the role {}.", role.as_str())), "{method} {path}: {says}");
        for status in ["401", "403"] {
            assert!(operation["responses"][status].is_object(), "{method} {path} {status}");
        }
    }
    // Whatever is referred to is there, and nothing is there for nothing.
    let text = document.to_string();
    let referred: BTreeSet<&str> =
        text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let there: BTreeSet<String> = ["schemas", "responses"]
        .into_iter()
        .flat_map(|kind| {
            let all = document["components"][kind].as_object().unwrap().keys();
            all.map(move |name| format!("/components/{kind}/{name}"))
        })
        .collect();
    assert_eq!(referred, there.iter().map(String::as_str).collect());
    let shown = serde_json::to_string_pretty(&document).unwrap().replace(env!("CARGO_PKG_VERSION"), "0.0.0");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("web-openapi", shown));
}

#[tokio::test]
async fn programs_are_given_the_description_and_strangers_are_not() {
    let server = Server::open().await;
    let (status, answer) = server.get("/api/openapi.json").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer, described().1);
    let server = Server::guarded().await;
    assert_eq!(server.get("/api/openapi.json").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_can_be_sought_is_described() {
    let server = Server::open().await;
    let (_, refused) = server.get("/api/v1/search?x=1").await;
    let known = refused["error"].as_str().unwrap().rsplit(" is ").next().unwrap();
    let known: BTreeSet<&str> = known.split(", ").collect();
    let (_, document) = described();
    let parameters = document["paths"]["/api/v1/search"]["get"]["parameters"].as_array().unwrap();
    let described: BTreeSet<&str> = parameters.iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(described, known);
}

/// A program in a folder of its own.
fn installed(folder: &Path, package: &str) -> Command {
    let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    run(Command::new("python3").args(["-m", "venv"]).arg(folder));
    run(Command::new(folder.join("bin/python")).args(["-m", "pip", "install", "--quiet", package]));
    Command::new(folder.join("bin/schemathesis"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs pip; run by .ci/run"]
async fn a_program_that_reads_the_description_finds_the_daemon_to_be_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut schemathesis = installed(folder.path(), "schemathesis==4.*");
    let stream = SimJetstream::start(Script::default()).await;
    let sink = SimSink::start().await;
    let threat =
        format!("{}playbook = \"playbooks/active-threat.md\"\n", pair_rule("active-threat", "gunman", "critical"));
    let rules = [threat, word_rule("service", "parking", "low")];
    let people = "[[person]]\nname = \"ann\"\ncontact = { hook = \"+1555001\" }\n\
        [[schedule]]\nname = \"press\"\ntimezone = \"America/New_York\"\n\
        [[schedule.layer]]\nrotation = [\"ann\"]\nevery = \"7d\"\nstart = 2026-01-05\nhand_over = \"08:00\"\n\
        [[route]]\nsteps = [{ notify = [\"press\", \"hook\"] }]\n";
    let place = Place::new(&Config::new(&stream.url(), "").webhook("hook", &sink.url(HOOK)).and(people), &rules);
    let daemon = place.start().await;
    daemon.says("source connected").await;
    for (who, text) in [("ann", "a gunman is here"), ("bob", "a gunman in the lobby"), ("eve", "no parking")] {
        stream.push(say(now(), &format!("did:plc:{who}"), &format!("k{who}"), text));
    }
    let found = async || daemon.incidents("active-threat").await;
    let threat = daemon.until(found, |found: &Vec<Value>| !found.is_empty()).await.remove(0);
    let id = threat["id"].as_str().unwrap();

    // Of what needs a name most calls use one that there is.
    let made = async |path: &str, body: Value| -> Value {
        let (status, answer) = daemon.ask(Method::POST, path, &body.to_string()).await;
        assert!(status.is_success(), "{answer}");
        serde_json::from_str(&answer).unwrap()
    };
    made("/api/v1/holds", json!({ "incident": id, "approved_by": "Dr. Roe", "reason": "a law suit" })).await;
    let silence = json!({ "matchers": ["topic=service"], "reason": "the car park is closed", "for": "2h" });
    let silence = made("/api/v1/silences", silence).await["id"].clone();
    let token = made("/api/v1/tokens", json!({ "name": "a script", "role": "viewer" })).await["id"].clone();
    let named = format!(
        "[parameters]\n\"path.id\" = \"{id}\"\n\"path.incident\" = \"{id}\"\n\
         [[operations]]\ninclude-path = \"/api/v1/silences/{{id}}\"\nparameters = {{ \"path.id\" = {silence} }}\n\
         [[operations]]\ninclude-path = \"/api/v1/tokens/{{id}}\"\nparameters = {{ \"path.id\" = {token} }}\n"
    );
    std::fs::write(folder.path().join("schemathesis.toml"), named).unwrap();
    let (root, token) = (format!("http://127.0.0.1:{}", daemon.port()), format!("Authorization: Bearer {API_TOKEN}"));
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    // What never ends, and what becomes something else than HTTP, is not asked for.
    let output = schemathesis
        .current_dir(folder.path())
        .args(["run", &format!("{root}/api/openapi.json"), "--header", &token, "--checks", checks])
        .args(["--exclude-path", "/api/v1/events", "--exclude-path", "/api/v1/desk"])
        .args(["--max-examples", "20", "--seed", "1", "--request-timeout", "20", "--no-color"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // All but those two, and the description itself, which it has read already.
    let asked = operations(&described().1).count() - 3;
    assert!(said.contains(&format!("Tested: {asked}\n")), "{said}");
    daemon.stop().await;
}
