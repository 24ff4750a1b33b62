//! A `websocket` source against a server whose side the test plays: what is said, what is answered, and that
//! nothing is lost or doubled when it ends.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stormbell::config::model::{Fields, Mapping, Resume, SourceKind, Token, TokenPlace, Transport, WebsocketConfig};
use stormbell::config::secret::Secret;
use stormbell::domain::event::{DownReason, Joint, Rejected};
use stormbell::domain::time::Timestamp;
use stormbell::wire::pointer::{Condition, Pointer};
use url::Url;

use crate::support::reading::{Reading, quick};
use crate::support::visits::Visits;

const NOW: Timestamp = Timestamp::from_seconds(1_795_361_895);

fn pointer(text: &str) -> Pointer {
    Pointer::parse(text).unwrap()
}

fn says(place: &str, word: &str) -> Condition {
    Condition(vec![(pointer(place), vec![word.to_owned()])])
}

fn config(url: Url) -> WebsocketConfig {
    let fields = Fields {
        id: vec![pointer("/id")],
        text: vec![pointer("/text")],
        author: vec![pointer("/by")],
        ..Fields::default()
    };
    let mapping =
        Mapping { prefix: "s:".into(), post: Some(says("/type", "post")), delete: Some(says("/type", "gone")), fields };
    WebsocketConfig {
        urls: vec![url],
        token: None,
        headers: Vec::new(),
        subscribe: vec![r#"{"want":"posts"}"#.into()],
        ping: None,
        ping_every: WebsocketConfig::DEFAULT_PING_EVERY,
        pong: None,
        resume: None,
        items: None,
        accepted: None,
        refused: None,
        heartbeat: None,
        heartbeat_answer: None,
        mapping: Arc::new(mapping),
        max_frame_bytes: 4096,
        expect_frame_within: None,
        transport: Transport::default(),
    }
}

fn post(seq: u64, text: &str) -> Value {
    json!({"type": "post", "seq": seq, "id": seq, "by": "ann", "text": text})
}

fn start(config: WebsocketConfig) -> Reading {
    Reading::start(SourceKind::Websocket(Box::new(config)), quick(), NOW, None)
}

fn resuming(url: Url) -> WebsocketConfig {
    let subscribe = vec![r#"{"want":"posts","after":"{resume}"}"#.to_owned()];
    WebsocketConfig {
        resume: Some(Resume { token: pointer("/seq"), parameter: None, subscribe }),
        refused: Some(says("/type", "error")),
        accepted: Some(says("/type", "welcome")),
        ..config(url)
    }
}

#[tokio::test]
async fn posts_edits_and_deletions_follow() {
    let mut server = Visits::start().await;
    let mut reading = start(config(server.url.clone()));
    let mut visit = server.next().await;
    assert_eq!(visit.hears().await, r#"{"want":"posts"}"#);
    visit.says(post(1, "first")).await;
    visit.says(post(1, "first, edited")).await;
    visit.says(json!({"type": "gone", "id": 1})).await;
    visit.says("not JSON").await;
    visit.says(post(2, &"long ".repeat(2000))).await;
    reading.until(|reading| reading.rejected.len() == 2).await;
    assert_eq!(reading.texts(), ["first", "first, edited"]);
    assert_ne!(reading.posts[0].version, reading.posts[1].version);
    assert_eq!(reading.deleted, ["s:1"]);
    assert_eq!(reading.rejected, [Rejected::NotJson, Rejected::TooLarge]);
    assert_eq!(reading.connected, [Joint::Live]);
    reading.stop().await;
}

#[tokio::test]
async fn it_goes_on_behind_the_last_place_when_the_server_was_killed_and_is_back() {
    let mut server = Visits::start().await;
    let mut reading = start(resuming(server.url.clone()));
    let mut visit = server.next().await;
    assert_eq!(visit.hears_json().await, json!({"want": "posts"}));
    visit.says(json!({"type": "welcome"})).await;
    visit.says(post(41, "before")).await;
    reading.until_post("before").await;
    server.die().await;
    drop(visit);
    reading.until(|reading| reading.downs.len() >= 2).await;
    assert_eq!(reading.downs[..2], [DownReason::Closed, DownReason::ConnectFailed]);
    server.rise().await;
    let mut visit = server.next().await;
    assert_eq!(visit.hears_json().await, json!({"want": "posts", "after": "41"}));
    visit.says(json!({"type": "welcome"})).await;
    visit.says(post(42, "after")).await;
    reading.until_post("after").await;
    assert_eq!(reading.connected, [Joint::Live, Joint::GoesOn]);
    assert_eq!(reading.texts(), ["before", "after"]);
    reading.stop().await;
}

#[tokio::test]
async fn a_place_the_server_no_longer_knows_is_given_up_and_the_gap_told() {
    let mut server = Visits::start().await;
    let host = format!("127.0.0.1:{}", server.url.port().unwrap());
    let bookmark = Some(format!("{host} 7").into());
    let kind = SourceKind::Websocket(Box::new(resuming(server.url.clone())));
    let mut reading = Reading::start(kind, quick(), NOW, bookmark);
    let mut visit = server.next().await;
    assert_eq!(visit.hears_json().await["after"], "7");
    visit.says(json!({"type": "error", "why": "too old"})).await;
    let mut visit = server.next().await;
    assert_eq!(visit.hears_json().await, json!({"want": "posts"}));
    visit.says(json!({"type": "welcome"})).await;
    visit.says(post(90, "now")).await;
    reading.until_post("now").await;
    assert_eq!((reading.connected, reading.downs), (vec![Joint::Live], vec![DownReason::ConnectFailed]));
}

#[tokio::test]
async fn a_place_of_another_host_is_not_shown_to_this_one() {
    let mut server = Visits::start().await;
    let kind = SourceKind::Websocket(Box::new(resuming(server.url.clone())));
    let _reading = Reading::start(kind, quick(), NOW, Some("other.example:443 7".into()));
    assert_eq!(server.next().await.hears_json().await, json!({"want": "posts"}));
}

#[tokio::test]
async fn the_token_goes_where_the_server_wants_it() {
    let mut server = Visits::start().await;
    let token = |place| Some(Token { secret: Secret::new("s\"3".into()), place });
    for place in [
        TokenPlace::Header("authorization".into()),
        TokenPlace::Header("x-api-key".into()),
        TokenPlace::Parameter("key".into()),
        TokenPlace::Message,
    ] {
        let config = WebsocketConfig {
            token: token(place.clone()),
            subscribe: vec![r#"{"auth":"{token}"}"#.into()],
            headers: vec![("origin".into(), "https://forum.example".into())],
            ..config(server.at("ws", "/s?x=1"))
        };
        let reading = start(config);
        let mut visit = server.next().await;
        let said = visit.hears().await;
        assert_eq!(visit.asked.header("origin"), Some("https://forum.example"));
        let seen = match place {
            TokenPlace::Header(name) => visit.asked.header(&name).map(str::to_owned),
            TokenPlace::Parameter(name) => visit.asked.parameter(&name),
            TokenPlace::Message => serde_json::from_str::<Value>(&said).unwrap()["auth"].as_str().map(str::to_owned),
        };
        assert!(seen.as_deref().is_some_and(|seen| seen.trim_start_matches("Bearer ") == "s\"3"), "{seen:?}");
        assert_eq!(visit.asked.parameter("x").as_deref(), Some("1"));
        drop(visit);
        reading.stop().await;
    }
}

#[tokio::test]
async fn a_refused_subscription_and_a_refused_handshake_are_for_the_operator() {
    let mut server = Visits::start().await;
    server.refuse(401, "");
    let mut reading = start(resuming(server.url.clone()));
    let mut visit = server.next().await;
    visit.hears().await;
    visit.says(json!({"type": "error"})).await;
    reading.until(|reading| reading.downs.len() == 2).await;
    assert_eq!(reading.downs, [DownReason::Refused, DownReason::Refused]);
    assert!(reading.connected.is_empty(), "it never said that it sees");
}

#[tokio::test]
async fn a_server_that_says_neither_yes_nor_no_is_left() {
    let mut server = Visits::start().await;
    let timing = stormbell::source::timing::Timing { connect_within: Duration::from_millis(300), ..quick() };
    let kind = SourceKind::Websocket(Box::new(resuming(server.url.clone())));
    let mut reading = Reading::start(kind, timing, NOW, None);
    let visit = server.next().await;
    reading.until(|reading| !reading.downs.is_empty()).await;
    assert_eq!(reading.downs[0], DownReason::Stalled);
    drop(visit);
}

#[tokio::test]
async fn heartbeats_are_answered_and_silence_is_then_only_that() {
    let mut server = Visits::start().await;
    let mut reading = start(WebsocketConfig {
        heartbeat: Some(says("/type", "beat")),
        heartbeat_answer: Some("still here".into()),
        ping: Some("ping".into()),
        ping_every: Duration::from_millis(50),
        pong: Some("pong".into()),
        ..config(server.url.clone())
    });
    let mut visit = server.next().await;
    visit.hears().await;
    assert_eq!(visit.hears().await, "ping");
    visit.says("pong").await;
    reading.until(|reading| reading.covered == 1).await;
    visit.says(json!({"type": "beat"})).await;
    while visit.hears().await != "still here" {}
    reading.until(|reading| reading.covered == 2).await;
    assert!(reading.posts.is_empty() && reading.rejected.is_empty());
}

#[tokio::test]
async fn a_message_with_several_posts_is_told_one_by_one() {
    let mut server = Visits::start().await;
    let mut config = config(server.url.clone());
    let fields = Fields {
        id: vec![pointer("/data/id")],
        text: vec![pointer("/data/text")],
        author: vec![pointer("/data/by")],
        ..Fields::default()
    };
    config.items = Some(pointer("/data"));
    config.mapping = Arc::new(Mapping { fields, ..(*config.mapping).clone() });
    let mut reading = start(config);
    let mut visit = server.next().await;
    let item = |id: u32| json!({"id": id, "by": "ann", "text": format!("n{id}")});
    visit.says(json!({"type": "post", "data": [item(1), 5, item(2)]})).await;
    visit.says(json!({"type": "gone", "data": [{"id": 1}, {"id": 2}]})).await;
    visit.says(json!({"type": "post", "around": "x".repeat(1 << 18), "data": vec![1; 100]})).await;
    visit.says(json!({"type": "post", "data": item(3)})).await;
    reading.until_post("n3").await;
    assert_eq!(reading.texts(), ["n1", "n2", "n3"]);
    assert_eq!(reading.deleted, ["s:1", "s:2"]);
    assert_eq!(reading.rejected, [Rejected::MissingField, Rejected::TooLarge]);
}
