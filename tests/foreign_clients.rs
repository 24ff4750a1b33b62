//! Clients written by others read the wire of our simulated servers without complaint;
//! otherwise the other suites would only prove that we agree with ourselves.

#![cfg(test)]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use support::frames;
use support::jetstream::{Script, SimJetstream};

const T: i64 = 1_795_361_895_000_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs npm; run by .ci/run"]
async fn skyware_reads_the_simulated_jetstream() {
    if !runs(Command::new("npm").arg("--version")) || !runs(Command::new("node").arg("--version")) {
        println!("skipped: npm and node are not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let install = ["install", "--no-audit", "--no-fund", "--loglevel=error", "@skyware/jetstream", "ws"];
    let installed = Command::new("npm").args(install).current_dir(folder.path()).output().unwrap();
    assert!(installed.status.success(), "npm install: {}", String::from_utf8_lossy(&installed.stderr));

    let sim = SimJetstream::start(Script::default()).await;
    sim.push(frames::post(T - 1, "did:plc:ann", "kold", "before the cursor"));
    sim.push(frames::post(T, "did:plc:ann", "k1", "at the \"cursor\" 😂"));
    sim.push(frames::like(T + 1, "did:plc:ann", "k2"));
    sim.push(frames::delete(T + 2, "did:plc:ann", "k1"));
    sim.push(frames::identity(T + 3, "did:plc:ann", "ann.example"));
    sim.push(frames::account_deleted(T + 4, "did:plc:eve"));

    let (endpoint, at) = (sim.url().to_string(), folder.path().to_owned());
    let output = tokio::task::spawn_blocking(move || read_with_skyware(&at, &endpoint, 4)).await.unwrap();
    let (said, complaints) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
    let understood: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        understood,
        [
            json!({"create": "k1", "did": "did:plc:ann", "text": "at the \"cursor\" 😂", "cid": "bafyreik1"}),
            json!({"delete": "k1", "did": "did:plc:ann"}),
            json!({"identity": "ann.example", "did": "did:plc:ann"}),
            json!({"account": "deleted", "active": false}),
            json!({"cursor": T + 4}),
        ]
    );
    assert_eq!(sim.requests()[0].parameter("wantedCollections"), ["app.bsky.feed.post"]);
}

fn read_with_skyware(folder: &Path, endpoint: &str, events: usize) -> Output {
    // Beside node_modules, because that is where modules are looked for.
    std::fs::write(folder.join("skyware.mjs"), include_str!("foreign/skyware.mjs")).unwrap();
    let arguments = ["skyware.mjs", endpoint, &T.to_string(), &events.to_string()];
    Command::new("node").args(arguments).current_dir(folder).output().unwrap()
}

fn runs(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
