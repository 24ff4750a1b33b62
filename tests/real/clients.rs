//! Clients written by others read the wire of our simulated servers without complaint;
//! otherwise the other suites would only prove that we agree with ourselves.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::frames;
use crate::support::jetstream::{Script, SimJetstream};
use serde_json::{Value, json};

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

#[test]
#[ignore = "needs PyPI; run by .ci/run"]
fn lakehouse_reads_frames_of_the_simulated_second_wire() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("python3").args(["-m", "venv"]).arg(folder.path()).output();
    if !made.is_ok_and(|output| output.status.success()) {
        println!("skipped: python3 with venv is not installed");
        return;
    }
    let install = ["install", "--quiet", "--disable-pip-version-check", "jetstream-lakehouse"];
    let installed = Command::new(folder.path().join("bin/pip")).args(install).output().unwrap();
    assert!(installed.status.success(), "pip install: {}", text(&installed.stderr));

    let frames = [
        frames::v2::post(1, T, "did:plc:ann", "k1", "at the \"cursor\" 😂"),
        frames::v2::update(2, T + 1, "did:plc:ann", "k1", "edited"),
        frames::v2::delete(3, T + 2, "did:plc:ann", "k1"),
        frames::v2::identity(4, T + 3, "did:plc:ann", "ann.example"),
        frames::v2::account(5, T + 4, "did:plc:eve", "deleted"),
        frames::v2::sync(6, T + 5, "did:plc:eve"),
        frames::v2::info("OutdatedCursor"),
        frames::v2::error("ConsumerTooSlow"),
    ];
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/lakehouse.py");
    let mut python = Command::new(folder.path().join("bin/python"));
    let mut reader = python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    reader.stdin.take().unwrap().write_all(frames.map(|frame| frame + "\n").concat().as_bytes()).unwrap();
    let said = text(&reader.wait_with_output().unwrap().stdout);
    let understood: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let event =
        |seq: u64, kind: &str, rest: [Option<&str>; 3]| json!({"event": [seq, kind, rest[0], rest[1], rest[2]]});
    assert_eq!(
        understood,
        [
            event(1, "commit", [Some("create"), Some("k1"), Some("bafyreik1create")]),
            event(2, "commit", [Some("update"), Some("k1"), Some("bafyreik1update")]),
            event(3, "commit", [Some("delete"), Some("k1"), None]),
            event(4, "identity", [None; 3]),
            event(5, "account", [None; 3]),
            event(6, "sync", [None; 3]),
            json!({"event": null}),
            json!({"error": "Jetstream live stream returned ConsumerTooSlow"}),
        ]
    );
}

fn read_with_skyware(folder: &Path, endpoint: &str, events: usize) -> Output {
    // Beside node_modules, because that is where modules are looked for.
    std::fs::write(folder.join("skyware.mjs"), include_str!("../foreign/skyware.mjs")).unwrap();
    let arguments = ["skyware.mjs", endpoint, &T.to_string(), &events.to_string()];
    Command::new("node").args(arguments).current_dir(folder).output().unwrap()
}

fn runs(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
