//! `discord` against a gateway whose payloads the test speaks, and an API that gives its address.

use std::time::Duration;

use serde_json::{Value, json};
use stormbell::config::model::{DiscordConfig, SourceKind, Transport};
use stormbell::config::secret::Secret;
use stormbell::domain::event::{DownReason, Joint};
use stormbell::source::timing::Timing;

use crate::support::listener::{Listener, quick};
use crate::support::sink::{Act, SimSink};
use crate::support::socket::{Peer, SimSocket};

const TOKEN: &str = "planted-discord-token";
/// A heartbeat that no test waits for.
pub(crate) const CALM: u64 = 600_000;

pub(crate) struct World {
    pub(crate) api: SimSink,
    pub(crate) gateway: SimSocket,
    resume: SimSocket,
}

impl World {
    pub(crate) async fn new() -> Self {
        let world =
            Self { api: SimSink::start().await, gateway: SimSocket::start().await, resume: SimSocket::start().await };
        let url = world.gateway.url("/").to_string();
        world.api.otherwise(move |request| {
            assert_eq!(request.header("authorization"), format!("Bot {TOKEN}"));
            assert_eq!(request.line, "GET /api/v10/gateway/bot HTTP/1.1");
            let limit = json!({ "total": 1000, "remaining": 999, "reset_after": 1, "max_concurrency": 1 });
            Act::Saying(200, json!({ "url": url, "shards": 1, "session_start_limit": limit }).to_string())
        });
        world
    }

    fn listen(&self, timing: Timing, bookmark: Option<&str>) -> Listener {
        let config = DiscordConfig {
            url: self.api.url("/api/v10"),
            token: Secret::new(TOKEN.to_owned()),
            channels: vec!["20".to_owned()],
            transport: Transport::default(),
        };
        Listener::start(SourceKind::Discord(config), timing, bookmark)
    }

    /// Lets a new session begin.
    pub(crate) async fn identified(&self, interval: u64) -> Peer {
        let mut peer = self.gateway.peer().await;
        assert_eq!(peer.uri, "/?v=10&encoding=json");
        peer.says(json!({ "op": 10, "d": { "heartbeat_interval": interval }, "s": null, "t": null })).await;
        let identify = not_a_beat(&mut peer).await;
        assert_eq!((&identify["op"], &identify["d"]["token"]), (&json!(2), &json!(TOKEN)));
        assert_eq!(identify["d"]["intents"], 33_281);
        self.ready(&mut peer, "session-1").await;
        peer
    }

    async fn ready(&self, peer: &mut Peer, session: &str) {
        let ready = json!({
            "v": 10, "session_id": session, "resume_gateway_url": self.resume.url("/").as_str(),
            "user": { "id": "99", "username": "bell", "bot": true }, "guilds": [],
        });
        peer.says(json!({ "op": 0, "t": "READY", "s": 1, "d": ready })).await;
    }

    /// Takes a session up again, from a dispatch on.
    pub(crate) async fn resumed(&self, seq: u64) -> Peer {
        let mut peer = self.resume.peer().await;
        peer.says(json!({ "op": 10, "d": { "heartbeat_interval": CALM } })).await;
        let resume = peer.hears_json().await;
        assert_eq!(resume, json!({ "op": 6, "d": { "token": TOKEN, "session_id": "session-1", "seq": seq } }));
        peer
    }
}

async fn not_a_beat(peer: &mut Peer) -> Value {
    loop {
        let said = peer.hears_json().await;
        if said["op"] != 1 {
            return said;
        }
    }
}

pub(crate) fn message(seq: u64, id: &str, content: &str) -> Value {
    dispatch(
        seq,
        "MESSAGE_CREATE",
        &json!({
            "id": id, "channel_id": "20", "guild_id": "10", "type": 0, "content": content,
            "author": { "id": "7", "username": "rita", "global_name": "Rita" },
            "timestamp": "2026-11-22T10:00:00.123000+00:00", "edited_timestamp": null,
        }),
    )
}

pub(crate) fn dispatch(seq: u64, kind: &str, what: &Value) -> Value {
    json!({ "op": 0, "s": seq, "t": kind, "d": what })
}

#[tokio::test]
async fn messages_edits_and_deletions_follow() {
    let world = World::new().await;
    let mut listener = world.listen(quick(), None);
    let mut peer = world.identified(CALM).await;
    peer.says(message(2, "1", "smoke in the ER")).await;
    let mut edit = message(3, "1", "smoke on 4");
    edit["t"] = json!("MESSAGE_UPDATE");
    edit["d"]["edited_timestamp"] = json!("2026-11-22T10:01:00.000000+00:00");
    peer.says(&edit).await;
    // A link's preview arrives: the words are as before, so it is the same version.
    edit["s"] = json!(4);
    edit["d"]["embeds"] = json!([{ "title": "a page" }]);
    peer.says(&edit).await;
    peer.says(dispatch(5, "MESSAGE_UPDATE", &json!({ "id": "1", "channel_id": "20", "embeds": [] }))).await;
    peer.says(dispatch(6, "MESSAGE_DELETE", &json!({ "id": "1", "channel_id": "20", "guild_id": "10" }))).await;
    peer.says(dispatch(7, "MESSAGE_DELETE_BULK", &json!({ "ids": ["2", "3"], "channel_id": "20" }))).await;
    listener.until(|listener| listener.deleted.len() == 3).await;
    assert_eq!(listener.deleted, ["1", "2", "3"].map(|id| format!("discord:20/{id}")).into());
    assert_eq!((listener.texts(), listener.copies.len()), (["smoke on 4"].into(), 2));
    assert_eq!(listener.post("smoke on 4").url.as_deref(), Some("https://discord.com/channels/10/20/1"));
    assert!(listener.rejected.is_empty() && listener.downs.is_empty());
}

#[tokio::test]
async fn a_lost_connection_is_resumed_with_what_was_missed() {
    let world = World::new().await;
    let mut listener = world.listen(quick(), None);
    let mut peer = world.identified(CALM).await;
    peer.says(message(2, "1", "before")).await;
    listener.until_text("before").await;
    drop(peer);
    let mut peer = world.resumed(2).await;
    peer.says(message(3, "2", "missed")).await;
    peer.says(dispatch(4, "RESUMED", &json!({}))).await;
    listener.until(|listener| listener.joints.len() == 2).await;
    assert_eq!(listener.joints, [Joint::Live, Joint::GoesOn]);
    assert_eq!(listener.texts(), ["before", "missed"].into());
    assert_eq!(listener.downs, [DownReason::Closed]);
    assert_eq!(world.api.requests().len(), 1, "a resume needs no new address");
}

#[tokio::test]
async fn a_restart_resumes_and_so_does_a_reconnect_that_discord_asks_for() {
    let world = World::new().await;
    let mut listener = world.listen(quick(), None);
    let mut peer = world.identified(CALM).await;
    peer.says(message(2, "1", "before")).await;
    listener.until_text("before").await;
    let (bookmark, code) = tokio::join!(listener.stop(), peer.ended());
    assert_eq!(code, Some(4000), "1000 would end the session");

    let mut listener = world.listen(quick(), bookmark.as_deref());
    let mut peer = world.resumed(2).await;
    peer.says(dispatch(3, "RESUMED", &json!({}))).await;
    peer.says(message(4, "2", "after the restart")).await;
    listener.until_text("after the restart").await;
    assert_eq!(listener.joints, [Joint::GoesOn]);
    peer.says(json!({ "op": 7, "d": null })).await;
    assert_eq!(peer.ended().await, Some(4000));
    let mut peer = world.resumed(4).await;
    peer.says(dispatch(5, "RESUMED", &json!({}))).await;
    listener.until(|listener| listener.joints.len() == 2).await;
    assert!(listener.downs.is_empty(), "nothing was wrong");
}

#[tokio::test]
async fn a_session_that_is_no_more_is_begun_anew_on_the_same_connection_and_is_a_gap() {
    let world = World::new().await;
    let url = world.resume.url("/").to_string();
    let bookmark = json!({ "id": "session-1", "seq": 9, "url": url, "me": "99" }).to_string();
    let mut listener = world.listen(quick(), Some(&bookmark));
    let mut peer = world.resumed(9).await;
    peer.says(json!({ "op": 9, "d": false })).await;
    assert_eq!(peer.hears_json().await["op"], 2);
    world.ready(&mut peer, "session-2").await;
    listener.until(|listener| listener.joints == [Joint::Live]).await;
    let bookmark = listener.position.bookmark();
    listener.until(|listener| listener.position.bookmark() != bookmark || listener.covered > 0).await;
    assert!(listener.position.bookmark().unwrap().0.contains("session-2"));
}

#[tokio::test]
async fn a_heartbeat_without_an_answer_ends_the_connection_and_answers_prove_that_it_lives() {
    let world = World::new().await;
    let mut listener = world.listen(quick(), None);
    let mut peer = world.identified(100).await;
    for _ in 0..3 {
        let beat = peer.hears_json().await;
        assert_eq!(beat, json!({ "op": 1, "d": 1 }));
        peer.says(json!({ "op": 11 })).await;
    }
    listener.until(|listener| listener.covered >= 4).await;
    listener.until(|listener| listener.downs == [DownReason::Stalled]).await;
    world.resumed(1).await;
}

#[tokio::test]
async fn refusals_for_good_are_for_somebody_to_mend_and_never_a_hot_loop() {
    let world = World::new().await;
    let timing = Timing { operator_rest: Duration::from_millis(300), ..quick() };
    let mut listener = world.listen(timing, None);
    for (attempt, code) in [4004, 4014].into_iter().enumerate() {
        let began = tokio::time::Instant::now();
        let mut peer = world.gateway.peer().await;
        assert!(attempt == 0 || began.elapsed() >= Duration::from_millis(250));
        peer.says(json!({ "op": 10, "d": { "heartbeat_interval": CALM } })).await;
        peer.hears().await;
        peer.closes(code).await;
        listener.until(|listener| listener.downs.len() == attempt + 1).await;
    }
    assert_eq!(listener.downs, [DownReason::Refused; 2]);
}

#[tokio::test]
async fn other_channels_and_our_own_words_are_not_kept() {
    let world = World::new().await;
    let mut listener = world.listen(quick(), None);
    let mut peer = world.identified(CALM).await;
    let mut elsewhere = message(2, "1", "elsewhere");
    elsewhere["d"]["channel_id"] = json!("21");
    let mut own = message(3, "2", "our own");
    own["d"]["author"]["id"] = json!("99");
    for payload in [elsewhere, own, message(4, "3", "here")] {
        peer.says(payload).await;
    }
    listener.until_text("here").await;
    assert_eq!(listener.texts(), ["here"].into());
}

#[tokio::test]
async fn a_bot_that_may_begin_no_more_sessions_waits_for_as_long_as_it_is_told() {
    let world = World::new().await;
    let none = json!({ "total": 1000, "remaining": 0, "reset_after": 500, "max_concurrency": 1 });
    let answer = json!({ "url": world.gateway.url("/").as_str(), "shards": 1, "session_start_limit": none });
    world.api.script([Act::Saying(200, answer.to_string())]);
    let began = tokio::time::Instant::now();
    let mut listener = world.listen(quick(), None);
    world.identified(CALM).await;
    assert!(began.elapsed() >= Duration::from_millis(500));
    listener.until(|listener| listener.joints.len() == 1).await;
    assert_eq!(listener.downs, [DownReason::Refused]);
}
