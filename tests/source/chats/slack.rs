//! `slack` against a Socket Mode whose envelopes the test speaks, and an API that gives tickets.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use stormbell::config::model::{SlackConfig, SourceKind, Transport};
use stormbell::config::secret::Secret;
use stormbell::domain::event::{DownReason, Joint};

use crate::support::listener::{Listener, quick};
use crate::support::sink::{Act, SimSink};
use crate::support::socket::{Peer, SimSocket};

const TOKEN: &str = "xapp-planted-slack-token";

pub(crate) struct World {
    pub(crate) api: SimSink,
    link: SimSocket,
}

impl World {
    pub(crate) async fn new() -> Self {
        let world = Self { api: SimSink::start().await, link: SimSocket::start().await };
        let (url, tickets) = (world.link.url("/link/"), AtomicUsize::new(1));
        world.api.otherwise(move |request| {
            assert_eq!(request.line, "POST /api/apps.connections.open HTTP/1.1");
            assert_eq!(request.header("authorization"), format!("Bearer {TOKEN}"));
            let ticket = tickets.fetch_add(1, Ordering::SeqCst);
            Act::Saying(200, json!({ "ok": true, "url": format!("{url}?ticket={ticket}") }).to_string())
        });
        world
    }

    fn listen(&self) -> Listener {
        let config = SlackConfig {
            url: self.api.url("/api"),
            token: Secret::new(TOKEN.to_owned()),
            channels: vec!["C1".to_owned()],
            transport: Transport::default(),
        };
        Listener::start(SourceKind::Slack(config), quick(), None)
    }

    pub(crate) async fn hello(&self) -> Peer {
        let mut peer = self.link.peer().await;
        peer.says(
            json!({ "type": "hello", "num_connections": 1, "debug_info": { "approximate_connection_time": 18060 } }),
        )
        .await;
        peer
    }
}

fn envelope(id: &str, event: &Value) -> Value {
    let payload =
        json!({ "team_id": "T1", "api_app_id": "A1", "type": "event_callback", "event_id": id, "event": event });
    json!({ "envelope_id": id, "type": "events_api", "accepts_response_payload": false, "retry_attempt": 0, "retry_reason": "", "payload": payload })
}

pub(crate) fn message(id: &str, ts: &str, text: &str) -> Value {
    envelope(id, &json!({ "type": "message", "channel": "C1", "user": "U1", "text": text, "ts": ts, "event_ts": ts }))
}

pub(crate) fn ack(id: &str) -> Value {
    json!({ "envelope_id": id })
}

#[tokio::test]
async fn an_envelope_is_acknowledged_only_once_it_is_on_disk() {
    let world = World::new().await;
    let mut listener = world.listen();
    listener.keeps = false;
    let mut peer = world.hello().await;
    peer.says(message("e1", "1795361895.000200", "smoke in the ER")).await;
    listener.until_text("smoke in the ER").await;
    assert!(!peer.has_heard(), "it is not on disk");
    listener.keep();
    assert_eq!(peer.hears_json().await, ack("e1"));
    let post = listener.post("smoke in the ER");
    assert_eq!((post.id.as_str(), post.author.id.as_str()), ("slack:C1/1795361895.000200", "slack:T1/U1"));
    assert_eq!(listener.joints, [Joint::Live]);
}

#[tokio::test]
async fn an_envelope_that_was_not_acknowledged_comes_again_as_the_same_post() {
    let world = World::new().await;
    let mut listener = world.listen();
    listener.keeps = false;
    let mut peer = world.hello().await;
    peer.says(message("e1", "1795361895.000200", "once")).await;
    listener.until_text("once").await;
    drop(peer);
    listener.keeps = true;
    listener.keep();
    let mut peer = world.hello().await;
    let mut again = message("e2", "1795361895.000200", "once");
    again["retry_attempt"] = json!(1);
    peer.says(again).await;
    listener.until(|listener| listener.copies.values().any(|&copies| copies == 2)).await;
    assert_eq!((listener.copies.len(), peer.hears_json().await), (1, ack("e2")));
}

#[tokio::test]
async fn edits_and_deletions_follow_and_all_envelopes_are_acknowledged() {
    let world = World::new().await;
    let mut listener = world.listen();
    let mut peer = world.hello().await;
    let ts = "1795361895.000200";
    peer.says(message("e1", ts, "fire on 3")).await;
    let new = json!({ "type": "message", "user": "U1", "text": "fire on 4", "ts": ts, "edited": { "user": "U1", "ts": "1795361899.000000" } });
    let changed = json!({ "type": "message", "subtype": "message_changed", "channel": "C1", "ts": "1795361899.000300", "event_ts": "1795361899.000300", "message": new });
    peer.says(envelope("e2", &changed)).await;
    let deleted = json!({ "type": "message", "subtype": "message_deleted", "channel": "C1", "ts": "1795361900.000400", "event_ts": "1795361900.000400", "deleted_ts": ts });
    peer.says(envelope("e3", &deleted)).await;
    let mut elsewhere = message("e4", ts, "elsewhere");
    elsewhere["payload"]["event"]["channel"] = json!("C2");
    peer.says(elsewhere).await;
    let mut own = message("e5", ts, "our own receiver");
    own["payload"]["event"]["app_id"] = json!("A1");
    peer.says(own).await;
    peer.says(json!({ "envelope_id": "e6", "type": "slash_commands", "payload": {} })).await;
    let mut acknowledged = Vec::new();
    let all = async {
        while acknowledged.len() < 6 {
            acknowledged.push(peer.hears_json().await);
        }
    };
    tokio::join!(all, listener.until(|listener| !listener.deleted.is_empty()));
    assert_eq!(acknowledged, ["e1", "e2", "e3", "e4", "e5", "e6"].map(ack));
    assert_eq!(listener.texts(), ["fire on 4"].into());
    assert_eq!(listener.deleted, [format!("slack:C1/{ts}")].into());
    assert_eq!(listener.copies.len(), 2);
}

#[tokio::test]
async fn a_disconnect_is_followed_with_a_new_ticket_and_is_no_failure() {
    let world = World::new().await;
    let mut listener = world.listen();
    let mut peer = world.hello().await;
    assert_eq!(peer.uri, "/link/?ticket=1");
    peer.says(json!({ "type": "disconnect", "reason": "refresh_requested", "debug_info": {} })).await;
    let mut peer = world.hello().await;
    assert_eq!(peer.uri, "/link/?ticket=2");
    peer.says(message("e1", "1795361895.000200", "after")).await;
    listener.until_text("after").await;
    assert!(listener.downs.is_empty());
    peer.says(json!({ "type": "disconnect", "reason": "link_disabled" })).await;
    listener.until(|listener| listener.downs == [DownReason::Refused]).await;
}

fn goodbye() -> Value {
    json!({ "type": "disconnect", "reason": "warning", "debug_info": {} })
}

fn hello() -> Value {
    json!({ "type": "hello", "num_connections": 2, "debug_info": { "approximate_connection_time": 18060 } })
}

#[tokio::test]
async fn what_is_said_while_slack_renews_the_connection_is_read_on_the_old_one() {
    let world = World::new().await;
    let mut listener = world.listen();
    let mut old = world.hello().await;
    old.says(goodbye()).await;
    let mut new = world.link.peer().await;
    old.says(message("e1", "1795361895.000200", "in between")).await;
    listener.until_text("in between").await;
    assert_eq!(old.hears_json().await, ack("e1"));
    new.says(hello()).await;
    new.says(message("e2", "1795361896.000200", "after")).await;
    listener.until_text("after").await;
    assert_eq!((listener.joints.as_slice(), listener.downs.as_slice()), (&[Joint::Live, Joint::GoesOn][..], &[][..]));
}

#[tokio::test]
async fn a_renewal_in_which_words_may_be_lost_is_a_gap() {
    let world = World::new().await;
    let mut listener = world.listen();
    let mut old = world.hello().await;
    old.says(goodbye()).await;
    let mut new = world.link.peer().await;
    drop(old);
    listener.until(|listener| listener.downs == [DownReason::Closed]).await;
    new.says(hello()).await;
    new.says(message("e1", "1795361895.000200", "after")).await;
    listener.until_text("after").await;
    assert_eq!(listener.joints, [Joint::Live, Joint::Live]);
}

#[tokio::test]
async fn a_refusal_in_an_answer_that_says_ok_is_one_for_somebody_to_mend() {
    let world = World::new().await;
    world.api.script([Act::Saying(200, json!({ "ok": false, "error": "invalid_auth" }).to_string())]);
    let mut listener = world.listen();
    listener.until(|listener| listener.downs == [DownReason::Refused]).await;
    drop(world.hello().await);
}

#[tokio::test]
async fn a_quiet_workspace_is_seen_by_its_pongs() {
    let world = World::new().await;
    let mut listener = world.listen();
    let mut peer = world.hello().await;
    peer.meanwhile(listener.until(|listener| listener.covered >= 4)).await;
    assert!(listener.downs.is_empty());
}
