//! Clients written by others hold the same conversations with what the other suites are told by; otherwise those
//! would only prove that we agree with ourselves.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::support::child::{Process, Reads};
use super::{discord, slack};

/// A script of tests/foreign beside the packages it needs; none when they cannot be had.
fn client(folder: &Path, script: &str, text: &str, packages: &[&str], arguments: &[&str]) -> Option<Process> {
    let runs =
        |program: &str| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !runs("npm") || !runs("node") {
        println!("skipped: npm and node are not installed");
        return None;
    }
    let install = ["install", "--no-audit", "--no-fund", "--loglevel=error"];
    let installed = Command::new("npm").args(install).args(packages).current_dir(folder).output().unwrap();
    assert!(installed.status.success(), "npm install: {}", String::from_utf8_lossy(&installed.stderr));
    std::fs::write(folder.join(script), text).unwrap();
    let mut command = Command::new("node");
    Some(Process::start(command.arg(script).args(arguments).current_dir(folder), Reads::Output))
}

fn said(client: &mut Process) -> Value {
    serde_json::from_str(&client.line_with("{")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs npm; run by .ci/run"]
async fn discord_js_identifies_reads_and_resumes() {
    let world = discord::World::new().await;
    let (folder, gateway) = (tempfile::tempdir().unwrap(), world.gateway.url("/").to_string());
    let text = include_str!("../foreign/discord.mjs");
    let Some(mut client) = client(folder.path(), "discord.mjs", text, &["@discordjs/ws@2"], &[&gateway]) else {
        return;
    };
    let mut peer = world.identified(discord::CALM).await;
    peer.says(discord::message(2, "1", "smoke in the ER")).await;
    assert_eq!(said(&mut client), json!({ "t": "MESSAGE_CREATE", "id": "1", "content": "smoke in the ER" }));
    drop(peer);
    let mut peer = world.resumed(2).await;
    peer.says(discord::dispatch(3, "MESSAGE_DELETE", &json!({ "id": "1", "channel_id": "20" }))).await;
    peer.says(discord::dispatch(4, "RESUMED", &json!({}))).await;
    assert_eq!(said(&mut client), json!({ "t": "MESSAGE_DELETE", "id": "1" }));
    client.kill();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs npm; run by .ci/run"]
async fn slack_s_own_client_reads_and_acknowledges() {
    let world = slack::World::new().await;
    let (folder, api) = (tempfile::tempdir().unwrap(), world.api.url("/api/").to_string());
    let text = include_str!("../foreign/slack.mjs");
    let Some(mut client) = client(folder.path(), "slack.mjs", text, &["@slack/socket-mode@2"], &[&api]) else { return };
    let mut peer = world.hello().await;
    peer.says(slack::message("e1", "1795361895.000200", "smoke in the ER")).await;
    assert_eq!(peer.hears_json().await["envelope_id"], slack::ack("e1")["envelope_id"]);
    assert_eq!(said(&mut client), json!({ "text": "smoke in the ER", "ts": "1795361895.000200" }));
    peer.says(json!({ "type": "disconnect", "reason": "refresh_requested", "debug_info": {} })).await;
    let mut peer = world.hello().await;
    peer.says(slack::message("e2", "1795361896.000200", "after")).await;
    assert_eq!(said(&mut client)["text"], "after");
    client.kill();
}
