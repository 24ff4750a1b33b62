//! Clients written by others hold the same conversations with what the other suites are told by; otherwise those
//! would only prove that we agree with ourselves.

use serde_json::{Value, json};

use super::{discord, eventsub, slack};
use crate::support::child::{Process, npm};

fn said(client: &mut Process) -> Value {
    serde_json::from_str(&client.line_with("{")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs npm; run by .ci/run"]
async fn discord_js_identifies_reads_and_resumes() {
    let world = discord::World::new().await;
    let (folder, gateway) = (tempfile::tempdir().unwrap(), world.gateway.url("/").to_string());
    let text = include_str!("../../foreign/discord.mjs");
    let Some(mut client) = npm(folder.path(), "discord.mjs", text, &["@discordjs/ws@2"], &[&gateway]) else {
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
    let text = include_str!("../../foreign/slack.mjs");
    let Some(mut client) = npm(folder.path(), "slack.mjs", text, &["@slack/socket-mode@2"], &[&api]) else { return };
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

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs npm; run by .ci/run"]
async fn twurple_subscribes_reads_and_moves() {
    let world = eventsub::World::new().await;
    let (folder, api) = (tempfile::tempdir().unwrap(), world.api.url("/helix/").to_string());
    let socket = world.socket.url("/ws").to_string();
    let packages = ["@twurple/eventsub-ws@8", "@twurple/api@8", "@twurple/auth@8"];
    let text = include_str!("../../foreign/twurple.mjs");
    let Some(mut client) = npm(folder.path(), "twurple.mjs", text, &packages, &[&api, &socket]) else { return };
    let mut old = world.welcomed().await;
    assert_eq!(said(&mut client), json!({ "subscribed": "channel.chat.message" }));
    assert_eq!(said(&mut client), json!({ "subscribed": "channel.chat.message_delete" }));
    old.says(eventsub::message("u1", "55", "77", "smoke in the ER")).await;
    assert_eq!(said(&mut client), json!({ "id": "u1", "by": "77", "text": "smoke in the ER" }));
    old.says(eventsub::reconnect(world.socket.url("/moved?id=7").as_str())).await;
    let mut new = world.socket.peer().await;
    assert_eq!(new.uri, "/moved?id=7");
    new.says(eventsub::welcome(30)).await;
    let gone = json!({
        "broadcaster_user_id": "55", "broadcaster_user_login": "er", "broadcaster_user_name": "ER",
        "target_user_id": "77", "target_user_login": "rita", "target_user_name": "Rita", "message_id": "u1",
    });
    new.says(eventsub::notification("d1", "channel.chat.message_delete", &gone)).await;
    assert_eq!(said(&mut client), json!({ "deleted": "u1" }));
    client.kill();
}
