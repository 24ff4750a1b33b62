//! `twitch` by `EventSub`: a socket whose payloads the test speaks, and an API that takes subscriptions.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use stormbell::config::model::{EventsubConfig, SourceKind, Transport};
use stormbell::config::secret::Secret;
use stormbell::domain::event::{DownReason, Joint, Rejected};
use stormbell::domain::time::Timestamp;
use stormbell::source::timing::Timing;

use crate::support::listener::{Listener, quick};
use crate::support::sink::{Act, SimSink};
use crate::support::socket::{Peer, SimSocket};

const TOKEN: &str = "planted-twitch-token";
const USERS: [(&str, &str); 3] = [("9", "bell"), ("55", "er"), ("56", "news")];

pub(crate) struct World {
    pub(crate) api: SimSink,
    pub(crate) socket: SimSocket,
    refusals: Refusals,
}

/// Subscriptions that are refused once: channel, kind, status.
type Refusals = Arc<Mutex<Vec<(&'static str, &'static str, u16)>>>;

fn stamp() -> String {
    Timestamp::from_micros(crate::support::daemon::now()).to_string()
}

/// A message with metadata of its own.
fn said(id: &str, kind: &str, at: &str, payload: &Value) -> Value {
    json!({ "metadata": { "message_id": id, "message_type": kind, "message_timestamp": at }, "payload": payload })
}

pub(crate) fn notification(id: &str, kind: &str, event: &Value) -> Value {
    let subscription = json!({
        "id": format!("sub-{kind}-{}", event["broadcaster_user_id"].as_str().unwrap()), "status": "enabled", "type": kind,
        "version": "1", "cost": 0, "condition": { "broadcaster_user_id": event["broadcaster_user_id"], "user_id": "9" },
        "transport": { "method": "websocket", "session_id": "s1" }, "created_at": "2026-11-22T15:00:00Z",
    });
    said(id, "notification", &stamp(), &json!({ "subscription": subscription, "event": event }))
}

pub(crate) fn message(id: &str, channel: &str, author: &str, text: &str) -> Value {
    notification(
        &format!("n-{id}"),
        "channel.chat.message",
        &json!({
            "broadcaster_user_id": channel, "broadcaster_user_login": "er", "broadcaster_user_name": "ER",
            "chatter_user_id": author, "chatter_user_login": "rita", "chatter_user_name": "Rita", "message_id": id,
            "message": { "text": text, "fragments": [{ "type": "text", "text": text }] }, "color": "", "badges": [],
            "message_type": "text", "cheer": null, "reply": null, "channel_points_custom_reward_id": null,
        }),
    )
}

impl World {
    pub(crate) async fn new() -> Self {
        let (api, socket) = (SimSink::start().await, SimSocket::start().await);
        let count = Arc::new(AtomicUsize::new(0));
        let refusals = Refusals::default();
        let refusing = Arc::clone(&refusals);
        api.otherwise(move |request| {
            let asked = request.line.split(' ').nth(1).unwrap().to_owned();
            let path = asked.split('?').next().unwrap();
            if path.ends_with("/users") {
                let logins: Vec<&str> = asked
                    .match_indices("login=")
                    .map(|(at, _)| asked.get(at + 6..).unwrap().split('&').next().unwrap())
                    .collect();
                let is_asked = |login: &str| if logins.is_empty() { login == "bell" } else { logins.contains(&login) };
                let users = USERS.iter().filter(|(_, login)| is_asked(login));
                let users: Vec<Value> =
                    users.map(|(id, login)| json!({ "id": id, "login": login, "display_name": login })).collect();
                return Act::Saying(200, json!({ "data": users }).to_string());
            }
            assert!(path.ends_with("/eventsub/subscriptions"), "{path}");
            let number = count.fetch_add(1, Ordering::SeqCst);
            let mut taken = request.json();
            let is_it = |(channel, kind): (&str, &str)| {
                taken["condition"]["broadcaster_user_id"] == channel && taken["type"] == kind
            };
            let mut refusing = refusing.lock().unwrap();
            if let Some(place) = refusing.iter().position(|(channel, kind, _)| is_it((channel, kind))) {
                let (_, _, status) = refusing.remove(place);
                return Act::Saying(status, json!({ "status": status }).to_string());
            }
            // What is told later names the subscription by this.
            let channel = taken["condition"]["broadcaster_user_id"].as_str().unwrap();
            taken["id"] = json!(format!("sub-{}-{channel}", taken["type"].as_str().unwrap()));
            taken["status"] = json!("enabled");
            taken["cost"] = json!(0);
            taken["created_at"] = json!("2026-11-22T15:00:00Z");
            let answer = json!({ "data": [taken], "total": number + 1, "total_cost": 0, "max_total_cost": 10 });
            // Clients of others reckon with these.
            let limit = [("ratelimit-limit", "800"), ("ratelimit-remaining", "799"), ("ratelimit-reset", "1795365495")];
            let headers = [("content-type", "application/json")].into_iter().chain(limit);
            let headers = headers.map(|(name, value)| (name, value.to_owned())).collect();
            Act::Page(202, headers, answer.to_string().into_bytes())
        });
        Self { api, socket, refusals }
    }

    fn listen(&self, timing: Timing, channels: &[&str]) -> Listener {
        let config = EventsubConfig {
            url: self.socket.url("/ws"),
            api: self.api.url("/helix"),
            client_id: "app1".to_owned(),
            token: Secret::new(TOKEN.to_owned()),
            channels: channels.iter().map(|&channel| channel.to_owned()).collect(),
            transport: Transport::default(),
        };
        Listener::start(SourceKind::Eventsub(config), timing, None)
    }

    pub(crate) async fn welcomed(&self) -> Peer {
        let mut peer = self.socket.peer().await;
        peer.says(welcome(30)).await;
        peer
    }
}

pub(crate) fn welcome(keepalive: u64) -> Value {
    let session = json!({
        "id": "s1", "status": "connected", "keepalive_timeout_seconds": keepalive, "reconnect_url": null,
        "connected_at": stamp(),
    });
    said("w", "session_welcome", &stamp(), &json!({ "session": session }))
}

pub(crate) fn reconnect(url: &str) -> Value {
    let session = json!({
        "id": "s1", "status": "reconnecting", "keepalive_timeout_seconds": null, "reconnect_url": url,
        "connected_at": stamp(),
    });
    said("r", "session_reconnect", &stamp(), &json!({ "session": session }))
}

fn keepalive() -> Value {
    said("k", "session_keepalive", &stamp(), &json!({}))
}

#[tokio::test]
async fn a_session_subscribes_to_each_channel_and_hears_what_is_said() {
    let world = World::new().await;
    let mut listener = world.listen(quick(), &["er", "news", "absent"]);
    let mut peer = world.welcomed().await;
    assert_eq!(peer.uri, "/ws?keepalive_timeout_seconds=30");
    peer.says(message("u1", "55", "77", "smoke in the ER")).await;
    peer.says(keepalive()).await;
    listener.until_text("smoke in the ER").await;
    listener.until(|listener| listener.covered >= 2).await;
    let post = listener.post("smoke in the ER");
    assert_eq!((post.id.as_str(), post.author.id.as_str()), ("twitch:u1", "twitch:77"));
    assert_eq!((listener.joints.as_slice(), listener.downs.len()), (&[Joint::Live][..], 0));
    let requests = world.api.requests();
    assert!(
        requests.iter().all(|request| request.header("authorization") == format!("Bearer {TOKEN}")
            && request.header("client-id") == "app1")
    );
    let mut asked: Vec<String> = requests
        .iter()
        .filter(|request| request.line.starts_with("POST"))
        .map(|request| {
            let body = request.json();
            assert_eq!(body["transport"], json!({ "method": "websocket", "session_id": "s1" }));
            assert_eq!(body["condition"]["user_id"], "9");
            format!("{} {}", body["condition"]["broadcaster_user_id"].as_str().unwrap(), body["type"].as_str().unwrap())
        })
        .collect();
    asked.sort();
    let kinds = ["channel.chat.clear_user_messages", "channel.chat.message", "channel.chat.message_delete"];
    assert_eq!(
        asked,
        ["55", "56"].into_iter().flat_map(|id| kinds.map(|kind| format!("{id} {kind}"))).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_timeout_takes_back_what_was_said_in_that_channel_only() {
    let world = World::new().await;
    let mut listener = world.listen(quick(), &["er", "news"]);
    let mut peer = world.welcomed().await;
    for (id, channel, author) in [("u1", "55", "77"), ("u2", "56", "77"), ("u3", "55", "78"), ("u4", "55", "77")] {
        peer.says(message(id, channel, author, id)).await;
    }
    let gone = json!({ "broadcaster_user_id": "55", "target_user_id": "78", "message_id": "u3" });
    peer.says(notification("d1", "channel.chat.message_delete", &gone)).await;
    let wiped = json!({ "broadcaster_user_id": "55", "target_user_id": "77", "target_user_login": "rita" });
    peer.says(notification("d2", "channel.chat.clear_user_messages", &wiped)).await;
    listener.until(|listener| listener.deleted.len() == 3).await;
    assert_eq!(listener.deleted, ["u1", "u3", "u4"].map(|id| format!("twitch:{id}")).into());
    assert!(listener.authors_deleted.is_empty() && listener.rejected.is_empty());
}

#[tokio::test]
async fn a_message_that_comes_twice_is_one_and_one_that_is_played_again_is_none() {
    let world = World::new().await;
    let mut listener = world.listen(quick(), &["er"]);
    let mut peer = world.welcomed().await;
    peer.says(message("u1", "55", "77", "once")).await;
    peer.says(message("u1", "55", "77", "once")).await;
    let mut old = message("u2", "55", "77", "of the day before");
    let day = Timestamp::from_micros(crate::support::daemon::now()) - Duration::from_hours(24);
    old["metadata"]["message_timestamp"] = json!(day.to_string());
    peer.says(old).await;
    peer.says(message("u3", "55", "77", "after")).await;
    listener.until_text("after").await;
    assert_eq!((listener.copies.len(), listener.copies.values().sum::<usize>()), (2, 2));
    assert_eq!(listener.rejected, [Rejected::AbsurdDate]);
}

#[tokio::test]
async fn a_server_that_goes_is_left_only_once_the_next_one_has_welcomed_us() {
    let world = World::new().await;
    let mut listener = world.listen(quick(), &["er"]);
    let mut old = world.welcomed().await;
    old.says(message("u1", "55", "77", "before")).await;
    listener.until_text("before").await;
    let subscribed = world.api.requests().len();
    old.says(reconnect(world.socket.url("/moved?id=7").as_str())).await;
    let mut new = world.socket.peer().await;
    assert_eq!(new.uri, "/moved?id=7", "word for word");
    // The new one does not stand yet: what the old one says is heard.
    old.says(message("u2", "55", "77", "in between")).await;
    listener.until_text("in between").await;
    old.says(message("u3", "55", "77", "at the last moment")).await;
    new.says(welcome(30)).await;
    new.says(message("u3", "55", "77", "at the last moment")).await;
    new.says(message("u4", "55", "77", "after")).await;
    assert_eq!(old.ended().await, Some(1000));
    listener.until_text("after").await;
    assert_eq!(listener.posts.len(), 4);
    assert_eq!(listener.copies.values().sum::<usize>(), 4, "each once");
    assert_eq!((listener.joints.len(), listener.downs.len()), (1, 0), "nothing was missed");
    assert_eq!(world.api.requests().len(), subscribed, "subscriptions go with us");
}

#[tokio::test]
async fn a_server_that_goes_and_names_no_other_leaves_a_gap_on_record() {
    let world = World::new().await;
    let mut listener = world.listen(quick(), &["er"]);
    let mut old = world.welcomed().await;
    listener.until(|listener| listener.joints.len() == 1).await;
    old.says(reconnect("no address")).await;
    let mut new = world.welcomed().await;
    new.says(message("u1", "55", "77", "after")).await;
    listener.until_text("after").await;
    assert_eq!((listener.downs.as_slice(), listener.joints.len()), (&[DownReason::Closed][..], 2));
}

#[tokio::test]
async fn silence_beyond_the_keepalive_is_an_end_and_nothing_is_said_to_the_server() {
    let world = World::new().await;
    let timing = Timing { answer_within: Duration::from_millis(300), ping_every: Duration::from_millis(20), ..quick() };
    let mut listener = world.listen(timing, &["er"]);
    let mut peer = world.welcomed().await;
    listener.until(|listener| listener.downs == [DownReason::Stalled]).await;
    assert_eq!(peer.ended().await, None, "no text, no ping, no goodbye");
    world.welcomed().await;
}

#[tokio::test]
async fn a_close_code_begins_anew_and_what_is_revoked_is_for_somebody_to_mend() {
    let world = World::new().await;
    let mut listener = world.listen(quick(), &["er"]);
    for code in [4000, 4003, 4007] {
        let peer = world.welcomed().await;
        listener.until(|listener| !listener.joints.is_empty()).await;
        listener.joints.clear();
        peer.closes(code).await;
        listener.until(|listener| listener.downs.len() == 1).await;
        let expected = if code == 4003 { DownReason::ConnectFailed } else { DownReason::Closed };
        assert_eq!(listener.downs, [expected], "{code}");
        listener.downs.clear();
    }
    let mut peer = world.welcomed().await;
    let revoked =
        |kind: &str, status: &str| json!({ "subscription": { "type": kind, "status": status, "condition": {} } });
    peer.says(said("v1", "revocation", &stamp(), &revoked("channel.chat.message_delete", "version_removed"))).await;
    peer.says(message("u1", "55", "77", "still heard")).await;
    listener.until_text("still heard").await;
    peer.says(said("v2", "revocation", &stamp(), &revoked("channel.chat.message", "authorization_revoked"))).await;
    listener.until(|listener| listener.downs == [DownReason::Refused]).await;
}

#[tokio::test]
async fn a_channel_whose_messages_are_refused_for_now_is_subscribed_to_again() {
    let world = World::new().await;
    world.refusals.lock().unwrap().push(("56", "channel.chat.message", 500));
    let mut listener = world.listen(quick(), &["er", "news"]);
    let first = world.welcomed().await;
    listener.until(|listener| listener.downs == [DownReason::Refused]).await;
    drop(first);
    let mut peer = world.welcomed().await;
    peer.says(message("u1", "56", "77", "heard")).await;
    listener.until_text("heard").await;
    assert_eq!((listener.joints.len(), listener.downs.len()), (1, 1));
}

#[tokio::test]
async fn a_channel_that_is_closed_to_us_leaves_the_others_and_deletions_alone_are_nothing_to_read() {
    let world = World::new().await;
    let banned = [("56", "channel.chat.message", 403), ("55", "channel.chat.message_delete", 500)];
    world.refusals.lock().unwrap().extend(banned);
    let mut listener = world.listen(quick(), &["er", "news"]);
    let mut peer = world.welcomed().await;
    peer.says(message("u1", "55", "77", "heard")).await;
    listener.until_text("heard").await;
    assert!(listener.downs.is_empty());
    let unwatched = listener.unwatched.list();
    assert_eq!(unwatched.len(), 2, "{unwatched:?}");
    assert!(unwatched.iter().any(|what| what.contains("channel.chat.message is not told of in news")), "{unwatched:?}");
    let revoked =
        json!({ "subscription": { "type": "channel.chat.message", "status": "user_removed", "condition": {} } });
    peer.says(said("v1", "revocation", &stamp(), &revoked)).await;
    listener.until(|listener| listener.downs == [DownReason::Refused]).await;

    let world = World::new().await;
    world.refusals.lock().unwrap().push(("55", "channel.chat.message", 403));
    let mut listener = world.listen(quick(), &["er"]);
    let _peer = world.welcomed().await;
    listener.until(|listener| listener.downs == [DownReason::Refused]).await;
    assert!(listener.joints.is_empty());
}

#[tokio::test]
async fn a_token_that_is_refused_and_channels_that_do_not_exist_are_for_somebody_to_mend() {
    let world = World::new().await;
    world.api.script([Act::Saying(401, json!({ "error": "Unauthorized", "status": 401 }).to_string())]);
    let mut listener = world.listen(quick(), &["er"]);
    listener.until(|listener| listener.downs == [DownReason::Refused]).await;
    let mut half = world.listen(quick(), &["er", "absent"]);
    let _peer = world.welcomed().await;
    half.until(|listener| listener.joints == [Joint::Live]).await;
    assert_eq!(half.unwatched.list(), ["Twitch has no channel absent, nobody reads it"]);
    let mut nowhere = world.listen(quick(), &["absent"]);
    nowhere.until(|listener| listener.downs == [DownReason::Refused]).await;
}
