//! The fediverse: what becomes of statuses and notes, and instances that misbehave, whose side the test plays.
//! Each quirk of the wire that is known to bite has a test with its name.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use stormbell::config::model::{Dialect, MastodonConfig, SourceKind, TimelineName, Transport};
use stormbell::config::secret::Secret;
use stormbell::domain::event::{Bookmark, DownReason, Joint, Rejected, SourceEvent};
use stormbell::domain::post::{Post, PostKind};
use stormbell::domain::time::Timestamp;
use stormbell::source::Format;
use stormbell::source::timing::Timing;

use crate::support::child::{Process, npm};
use crate::support::reading::{NEVER, Reading, quick};
use crate::support::socket::SimSocket;
use crate::support::visits::{Answer, Asked, Visit, Visits};

const NOW: Timestamp = Timestamp::from_seconds(1_795_361_895);

fn status(id: &str, text: &str) -> Value {
    json!({
        "id": id, "uri": format!("https://far.example/users/rita/statuses/{id}"), "url": format!("https://far.example/@rita/{id}"),
        "created_at": "2026-11-22T15:38:10.000Z", "edited_at": null, "in_reply_to_id": null, "visibility": "public",
        "language": "en", "content": format!("<p>{text}</p>"), "spoiler_text": "", "reblog": null,
        "tags": [{"name": "er", "url": "https://h/tags/er"}], "mentions": [], "media_attachments": [],
        "account": {"id": "7", "username": "rita", "acct": "rita@far.example", "display_name": "Rita", "url": "https://far.example/@rita",
            "uri": "https://far.example/users/rita", "followers_count": 12},
    })
}

fn said(event: &str, status: &Value) -> String {
    json!({"stream": ["public"], "event": event, "payload": status.to_string()}).to_string()
}

fn gone(id: &str) -> String {
    json!({"stream": ["public"], "event": "delete", "payload": id}).to_string()
}

fn decoded(frame: &str) -> Result<SourceEvent, Rejected> {
    Format::Mastodon.decode(&"s".into(), frame.as_bytes(), Some(NOW)).event
}

fn post(status: &Value) -> Post {
    match decoded(&said("update", status)) {
        Ok(SourceEvent::Post(post)) => *post,
        other => panic!("not a post: {other:?}"),
    }
}

#[test]
fn every_recorded_frame_has_the_expected_outcome() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/frames.jsonl.zst");
    let Ok(packed) = std::fs::read(&path) else {
        println!("skipped: no recorded frames at ../shared/data");
        return;
    };
    let lines = String::from_utf8(zstd::decode_all(packed.as_slice()).unwrap()).unwrap();
    let rows = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let rows: Vec<Value> = rows.filter(|row| row["src"].as_str().unwrap().starts_with("mastodon")).collect();
    assert_eq!(rows.len(), 10);
    for row in rows {
        let (frame, expect) = (row["frame"].as_str().unwrap(), &row["expect"]);
        let Ok(SourceEvent::Post(post)) = Format::Mastodon.decode(&"s".into(), frame.as_bytes(), None).event else {
            panic!("not a post: {frame}");
        };
        assert_eq!(post.text, expect["text"].as_str().unwrap());
        assert_eq!(Ok(post.created_at), Timestamp::parse(expect["created_at"].as_str().unwrap()));
        assert_eq!(post.lang.first().map(String::as_str), expect["lang"].as_str());
        assert_eq!(post.kind == PostKind::Repost, expect["reblog"] == true);
        if let Some(spoiler) = expect["spoiler"].as_str().filter(|spoiler| !spoiler.is_empty()) {
            assert!(post.media_text.iter().any(|text| text == spoiler), "rules must find the warning, too");
        }
    }
}

#[test]
fn all_that_a_status_says_of_itself_is_read() {
    let mut wire = status("1", "Six hours in the <a href=\"https://h.example/er\">ER</a>");
    wire["spoiler_text"] = json!("blood");
    wire["media_attachments"] = json!([{"type": "image", "description": "A full waiting room"}, {"description": null}]);
    wire["poll"] = json!({"options": [{"title": "Northgate"}, {"title": "Southgate"}]});
    wire["card"] = json!({"url": "https://news.example/", "title": "ER full", "description": "since noon"});
    wire["in_reply_to_id"] = json!("0");
    wire["account"]["acct"] = json!("rita");
    wire["quote"] = json!({"state": "accepted", "quoted_status": {"uri": "https://far.example/q"}});
    let post = post(&wire);
    assert_eq!(post.text, "Six hours in the ER");
    assert_eq!(post.id.as_str(), "https://far.example/users/rita/statuses/1");
    assert_eq!(post.url.as_deref(), Some("https://far.example/@rita/1"));
    assert_eq!(post.author.handle.as_deref(), Some("rita@far.example"), "with its instance, also at home");
    assert_eq!((post.author.name.as_deref(), post.author.followers), (Some("Rita"), Some(12)));
    assert_eq!(post.media_text, ["blood", "A full waiting room", "Northgate", "Southgate", "ER full", "since noon"]);
    assert_eq!(post.links, ["https://h.example/er", "https://news.example/"]);
    assert_eq!((post.tags, post.lang), (vec!["er".to_owned()], vec!["en".to_owned()]));
    assert_eq!((post.kind, post.quote_of), (PostKind::Reply, Some("https://far.example/q".into())));
    assert!(post.has_media);
}

#[test]
fn a_post_that_a_bridge_carried_here_is_a_copy_by_the_bridges_word() {
    let mut wire = status("1", "Six hours in the ER");
    wire["uri"] = json!("https://bsky.brid.gy/convert/ap/at://did:plc:nurse/app.bsky.feed.post/3key");
    wire["url"] = json!("https://fed.brid.gy/r/https://bsky.app/profile/did:plc:nurse/post/3key");
    wire["account"]["uri"] = json!("https://bsky.brid.gy/ap/did:plc:nurse");
    assert_eq!(post(&wire).copy_of, None, "of somebody else's account");
    wire["account"]["acct"] = json!("nurse.example@bsky.brid.gy");
    let original = post(&wire).copy_of.unwrap();
    assert_eq!(original.post.as_str(), "at://did:plc:nurse/app.bsky.feed.post/3key", "as Bluesky names it");
    assert_eq!(original.author, Some("did:plc:nurse".into()));
    let note = json!({"id": "9x", "createdAt": "2026-11-22T15:38:10.000Z", "text": "Six hours", "visibility": "public",
        "uri": wire["uri"], "user": {"id": "u", "username": "nurse.example", "host": "bsky.brid.gy"}});
    let Ok(SourceEvent::Post(note)) = decoded(&json!({"note": note, "host": "m.example"}).to_string()) else {
        panic!("not a post")
    };
    assert_eq!(note.copy_of, Some(original));
}

#[test]
fn an_edit_is_another_version_and_a_boost_repeats() {
    let (first, mut wire) = (post(&status("1", "a")), status("1", "a, edited"));
    wire["edited_at"] = json!("2026-11-22T15:38:12.000Z");
    let edited = post(&wire);
    assert_eq!(first.id, edited.id);
    assert_ne!(first.version, edited.version);
    assert_eq!(edited.event_time.to_string(), "2026-11-22T15:38:12Z");
    let mut boost = status("2", "");
    boost["reblog"] = status("1", "boosted");
    let boost = post(&boost);
    assert_eq!((boost.kind, boost.repost_of, boost.text.as_str()), (PostKind::Repost, Some(first.id), "boosted"));
}

#[test]
fn what_is_not_public_is_nobodys_to_listen_to() {
    for visibility in ["private", "direct"] {
        let mut wire = status("1", "to my friends");
        wire["visibility"] = json!(visibility);
        assert_eq!(decoded(&said("update", &wire)), Ok(SourceEvent::Other));
    }
}

#[test]
fn a_status_that_cannot_be_read_is_rejected_and_never_a_deletion() {
    let changed = |key: &str, value: Value| {
        let mut wire = status("1", "a");
        wire[key] = value;
        decoded(&said("update", &wire))
    };
    assert_eq!(changed("account", json!(null)), Err(Rejected::MissingField));
    assert_eq!(changed("content", json!(5)), Err(Rejected::WrongType));
    assert_eq!(changed("content", json!(null)), Err(Rejected::WrongType));
    for (frame, expected) in [
        (r#"{"event":"update","payload":null}"#, Err(Rejected::MissingField)),
        (r#"{"event":"update"}"#, Err(Rejected::MissingField)),
        (r#"{"event":"update","payload":"{"}"#, Err(Rejected::NotJson)),
        (r#"{"event":"update","payload":"[]"}"#, Err(Rejected::WrongType)),
        (r#"{"event":"filters_changed"}"#, Ok(SourceEvent::Other)),
        (r#"{"event":"delete","payload":"1"}"#, Ok(SourceEvent::Other)),
        ("hello", Err(Rejected::NotJson)),
    ] {
        assert_eq!(decoded(frame), expected, "{frame}");
    }
}

// ---- instances ----

/// What the instance has, the newest last, and how it answers.
#[derive(Clone, Default)]
struct Instance {
    statuses: Arc<Mutex<Vec<Value>>>,
    closed: Arc<Mutex<bool>>,
    limited: Arc<Mutex<usize>>,
    streams: bool,
}

impl Instance {
    fn has(&self, status: &Value) {
        self.statuses.lock().unwrap().push(status.clone());
    }

    fn answer(&self, asked: &Asked) -> Answer {
        let host = asked.header("host").unwrap();
        if asked.uri == "/api/v2/instance" {
            let streaming = self.streams.then(|| format!("ws://{host}"));
            let body = json!({"configuration": {"urls": {"streaming": streaming}}});
            return (200, String::new(), body.to_string());
        }
        if !asked.uri.starts_with("/api/v1/timelines/") || *self.closed.lock().unwrap() {
            return (403, String::new(), json!({"error": "This method is not for you"}).to_string());
        }
        let mut limited = self.limited.lock().unwrap();
        if *limited > 0 {
            *limited -= 1;
            return (429, "retry-after: 0".to_owned(), String::new());
        }
        assert_eq!(asked.header("authorization"), Some("Bearer t0ken"));
        let most: usize = asked.parameter("limit").unwrap().parse().unwrap();
        let number = |status: &Value| status["id"].as_str().unwrap().parse::<u64>().unwrap();
        let all = self.statuses.lock().unwrap().clone();
        let mut page: Vec<Value> = match asked.parameter("min_id") {
            Some(after) => {
                let after: u64 = after.parse().unwrap();
                all.into_iter().filter(|status| number(status) > after).take(most).collect()
            }
            None => all.into_iter().rev().take(most).rev().collect(),
        };
        page.reverse();
        (200, String::new(), json!(page).to_string())
    }

    async fn serve(&self) -> Visits {
        let instance = self.clone();
        Visits::answering(move |asked| instance.answer(asked)).await
    }
}

fn config(server: &Visits) -> MastodonConfig {
    MastodonConfig {
        url: server.at("http", "/"),
        dialect: Dialect::Mastodon,
        token: Some(Secret::new("t0ken".into())),
        streams: vec![TimelineName::Public],
        poll_every: Duration::from_millis(20),
        max_frame_bytes: 1 << 20,
        transport: Transport::default(),
    }
}

fn start(config: MastodonConfig, timing: Timing, bookmark: Option<Bookmark>) -> Reading {
    Reading::start(SourceKind::Mastodon(config), timing, NOW, bookmark)
}

fn streaming() -> Instance {
    let instance = Instance { streams: true, ..Instance::default() };
    instance.has(&status("100", "before we came"));
    instance
}

async fn subscribed(server: &mut Visits) -> Visit {
    let visit = server.next().await;
    assert_eq!(visit.asked.uri, "/api/v1/streaming?stream=public");
    visit
}

#[tokio::test]
async fn posts_edits_and_deletions_follow_and_the_token_goes_in_a_header() {
    let mut server = streaming().serve().await;
    let mut reading = start(config(&server), quick(), None);
    let mut visit = subscribed(&mut server).await;
    assert_eq!(visit.asked.header("authorization"), Some("Bearer t0ken"));
    visit.says(said("update", &status("101", "first"))).await;
    let mut edited = status("101", "first, edited");
    edited["edited_at"] = json!("2026-11-22T15:38:12.000Z");
    visit.says(said("status.update", &edited)).await;
    visit.says(gone("101")).await;
    visit.says(gone("55")).await;
    visit.says(said("update", &status("102", "last"))).await;
    reading.until_post("last").await;
    assert_eq!(reading.texts(), ["first", "first, edited", "last"], "and not what was there before we came");
    assert_eq!(reading.deleted, [reading.posts[0].id.as_str()]);
    assert_eq!((reading.connected.as_slice(), reading.covered), (&[Joint::Live][..], 1));
    assert_eq!(reading.position.bookmark(), Some("102".into()));
    reading.stop().await;
}

#[tokio::test]
async fn a_deletion_that_overtakes_its_post_is_told_before_it() {
    let mut server = streaming().serve().await;
    let mut reading = start(config(&server), quick(), None);
    let mut visit = subscribed(&mut server).await;
    visit.says(gone("101")).await;
    visit.says(said("update", &status("101", "too late"))).await;
    reading.until_post("too late").await;
    assert_eq!(reading.deleted, [reading.posts[0].id.as_str()], "the engine then knows that it is gone");
}

#[tokio::test]
async fn several_streams_share_a_connection_and_a_post_has_one_name_on_all_of_them() {
    let mut server = streaming().serve().await;
    let streams = vec![
        TimelineName::Local,
        TimelineName::Remote,
        TimelineName::Hashtag("northgate".into()),
        TimelineName::List("12".into()),
        TimelineName::Home,
    ];
    let mut reading = start(MastodonConfig { streams, ..config(&server) }, quick(), None);
    let mut visit = server.next().await;
    assert_eq!(visit.asked.uri, "/api/v1/streaming?stream=public%3Alocal");
    for expected in [
        json!({"type": "subscribe", "stream": "public:remote"}),
        json!({"type": "subscribe", "stream": "hashtag", "tag": "northgate"}),
        json!({"type": "subscribe", "stream": "list", "list": "12"}),
        json!({"type": "subscribe", "stream": "user"}),
    ] {
        assert_eq!(visit.hears_json().await, expected);
    }
    let status = status("101", "once");
    visit.says(said("update", &status)).await;
    visit.says(json!({"stream": ["hashtag", "Northgate"], "event": "update", "payload": status.to_string()})).await;
    reading.until(|reading| reading.posts.len() == 2).await;
    assert_eq!(reading.posts[0], reading.posts[1], "the engine knows it by its name");
}

#[tokio::test]
async fn quirk_7_boosts_and_answers_are_read_where_an_instance_sends_them() {
    // In its public streams it leaves them out; hashtags, lists and the home timeline have them.
    let mut server = streaming().serve().await;
    let streams = vec![TimelineName::Hashtag("northgate".into()), TimelineName::Home];
    let mut reading = start(MastodonConfig { streams, ..config(&server) }, quick(), None);
    let mut visit = server.next().await;
    assert_eq!(visit.asked.uri, "/api/v1/streaming?stream=hashtag&tag=northgate");
    assert_eq!(visit.hears_json().await, json!({"type": "subscribe", "stream": "user"}));
    let (mut answer, mut boost) = (status("102", "which entrance?"), status("103", ""));
    answer["in_reply_to_id"] = json!("101");
    boost["reblog"] = status("101", "six hours in the ER");
    for (stream, status) in [("hashtag", answer), ("user", boost)] {
        visit.says(json!({"stream": [stream], "event": "update", "payload": status.to_string()})).await;
    }
    reading.until(|reading| reading.posts.len() == 2).await;
    let read: Vec<(PostKind, &str)> = reading.posts.iter().map(|post| (post.kind, post.text.as_str())).collect();
    assert_eq!(read, [(PostKind::Reply, "which entrance?"), (PostKind::Repost, "six hours in the ER")]);
}

#[tokio::test]
async fn quirk_9_what_was_missed_is_read_from_the_timeline_page_by_page_beside_the_stream() {
    // Quirk 9: no delivery guarantee across reconnects.
    let instance = streaming();
    let mut server = instance.serve().await;
    let mut reading = start(config(&server), quick(), None);
    let mut visit = subscribed(&mut server).await;
    visit.says(said("update", &status("101", "n101"))).await;
    reading.until_post("n101").await;
    server.die().await;
    drop(visit);
    (101..=190).for_each(|id| instance.has(&status(&id.to_string(), &format!("n{id}"))));
    *instance.limited.lock().unwrap() = 2;
    reading.until(|reading| reading.downs.len() >= 2).await;
    assert_eq!(reading.downs[0], DownReason::Closed);
    server.rise().await;
    let mut visit = subscribed(&mut server).await;
    visit.says(said("update", &status("191", "n191"))).await;
    reading.until_post("n191").await;
    reading.until_post("n190").await;
    let mut texts = reading.texts();
    texts.sort_unstable();
    let mut expected: Vec<String> = (101..=191).map(|id| format!("n{id}")).collect();
    expected.sort_unstable();
    assert_eq!(texts, expected, "each once");
    assert_eq!(reading.connected, [Joint::Live, Joint::GoesOn]);
    // Only then is the newest one where to resume; the last page may still be on its way.
    let mut id = 192;
    while reading.position.bookmark() != Some((id - 1).to_string().into()) {
        let text = format!("n{id}");
        visit.says(said("update", &status(&id.to_string(), &text))).await;
        reading.until_post(&text).await;
        id += 1;
    }
    reading.stop().await;
}

#[tokio::test]
async fn quirk_6_an_instance_that_sends_only_deletions_is_told_to_the_operator() {
    // Quirk 6, mastodon#37883: connected, and blind.
    let instance = streaming();
    *instance.closed.lock().unwrap() = true;
    let mut server = instance.serve().await;
    let timing = Timing { only_deletions: Duration::from_millis(50), operator_rest: NEVER, ..quick() };
    let mut reading = start(config(&server), timing, None);
    let mut visit = subscribed(&mut server).await;
    for id in 0..10 {
        visit.says(gone(&id.to_string())).await;
    }
    reading.until(|reading| reading.downs.len() == 2).await;
    assert_eq!(reading.downs, [DownReason::Stalled, DownReason::Refused]);
    assert_eq!(reading.covered, 0, "it never said that it sees");
    assert_eq!(reading.position.get(), None, "deletions are no sight");
}

#[tokio::test]
async fn where_the_stream_brings_only_deletions_and_the_timeline_posts_the_timeline_is_read() {
    let instance = streaming();
    let mut server = instance.serve().await;
    let timing = Timing { only_deletions: Duration::from_millis(50), ..quick() };
    let mut reading = start(config(&server), timing, None);
    let mut visit = subscribed(&mut server).await;
    for id in 0..10 {
        visit.says(gone(&id.to_string())).await;
    }
    reading.until(|reading| reading.connected.len() == 2).await;
    instance.has(&status("101", "not in the stream"));
    reading.until_post("not in the stream").await;
}

#[tokio::test]
async fn quirk_10_an_instance_without_streams_is_polled() {
    // Quirk 10: Pixelfed's address of streams is null.
    let instance = Instance::default();
    instance.has(&status("100", "before we came"));
    let server = instance.serve().await;
    let mut reading = start(config(&server), quick(), None);
    reading.until(|reading| reading.covered == 2).await;
    assert!(reading.posts.is_empty(), "the first look is where it begins");
    instance.has(&status("101", "polled"));
    instance.has(&status("102", "polled, too"));
    reading.until_post("polled, too").await;
    assert_eq!(reading.texts(), ["polled", "polled, too"]);
    reading.until(|reading| reading.position.bookmark() == Some("102".into())).await;
    *instance.closed.lock().unwrap() = true;
    reading.stop().await;
}

#[tokio::test]
async fn a_stream_that_is_not_there_whatever_the_instance_says_is_polled_as_well() {
    let instance = streaming();
    let server = instance.serve().await;
    server.refuse(404, "");
    let mut reading = start(config(&server), quick(), None);
    reading.until(|reading| reading.covered == 1).await;
    instance.has(&status("101", "polled"));
    reading.until_post("polled").await;
}

#[tokio::test]
async fn quirk_8_a_refused_token_is_for_the_operator() {
    // Quirk 8: no stream without a token since 4.2.
    let server = streaming().serve().await;
    server.refuse(401, "x-error-message: Invalid access token");
    let timing = Timing { operator_rest: NEVER, ..quick() };
    let mut reading = start(config(&server), timing, None);
    reading.until(|reading| !reading.downs.is_empty()).await;
    assert_eq!(reading.downs, [DownReason::Refused]);
    assert!(reading.connected.is_empty());
}

#[tokio::test]
async fn a_refused_stream_is_for_the_operator_in_each_dialect() {
    for refusal in [
        json!({"error": "Not authorized to stream this list", "status": 401}),
        json!({"event": "pleroma:respond", "payload": r#"{"type":"subscribe","result":"error","error":"bad_topic"}"#}),
    ] {
        let mut server = streaming().serve().await;
        let timing = Timing { operator_rest: NEVER, ..quick() };
        let mut reading = start(config(&server), timing, None);
        let mut visit = subscribed(&mut server).await;
        visit.says(json!({"event": "pleroma:respond", "payload": r#"{"type":"subscribe","result":"success"}"#})).await;
        visit.says(&refusal).await;
        reading.until(|reading| !reading.downs.is_empty()).await;
        assert_eq!(reading.downs, [DownReason::Refused], "{refusal}");
    }
}

// ---- Misskey ----

fn note(id: &str, text: &str) -> Value {
    json!({
        "id": id, "createdAt": "2026-11-22T15:38:15.000Z", "userId": "9xyz", "text": text, "cw": null, "visibility": "public",
        "user": {"id": "9xyz", "username": "rita", "host": null, "name": "Rita"}, "replyId": null, "renoteId": null,
        "tags": ["er"], "files": [{"id": "f1", "type": "image/png", "url": "https://h/f", "comment": "A full waiting room"}],
    })
}

fn in_channel(note: &Value) -> String {
    json!({"type": "channel", "body": {"id": "0", "type": "note", "body": note}}).to_string()
}

#[tokio::test]
async fn misskey_tells_notes_and_the_deletion_of_those_that_were_captured() {
    let missed = Arc::new(Mutex::new(vec![note("a100", "before we came")]));
    let notes = Arc::clone(&missed);
    let mut server = Visits::answering(move |asked| {
        assert_eq!(asked.uri, "/api/notes/global-timeline");
        let question: Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!(question["i"], "t0ken");
        let notes = notes.lock().unwrap().clone();
        let page: Vec<Value> = match question["sinceId"].as_str() {
            Some(since) => notes.into_iter().filter(|note| note["id"].as_str().unwrap() > since).collect(),
            None => notes.into_iter().rev().take(1).collect(),
        };
        (200, String::new(), json!(page).to_string())
    })
    .await;
    let mut reading = start(MastodonConfig { dialect: Dialect::Misskey, ..config(&server) }, quick(), None);
    let mut visit = server.next().await;
    assert_eq!(visit.asked.parameter("i").as_deref(), Some("t0ken"));
    assert_eq!(visit.hears_json().await["body"]["channel"], "globalTimeline");
    visit.says("ping").await;
    assert_eq!(visit.hears().await, "pong");
    visit.says(in_channel(&note("a101", "first #er https://a.example"))).await;
    assert_eq!(visit.hears_json().await, json!({"type": "subNote", "body": {"id": "a101"}}));
    visit.says(json!({"type": "noteUpdated", "body": {"id": "a101", "type": "deleted", "body": {}}})).await;
    visit.says("h").await;
    reading.until(|reading| !reading.deleted.is_empty()).await;
    let post = &reading.posts[0];
    assert_eq!(post.id.as_str(), "https://127.0.0.1/notes/a101");
    assert_eq!(reading.deleted, [post.id.as_str()]);
    assert_eq!(post.author.handle.as_deref(), Some("rita@127.0.0.1"));
    assert_eq!(
        (&post.media_text[..], &post.links[..]),
        (&["A full waiting room".to_owned()][..], &["https://a.example".to_owned()][..])
    );
    missed.lock().unwrap().extend([note("a101", "first"), note("a102", "missed")]);
    drop(visit);
    let mut visit = server.next().await;
    visit.hears().await;
    visit.says(in_channel(&note("a103", "after"))).await;
    reading.until_post("after").await;
    reading.until_post("missed").await;
    assert_eq!(reading.connected, [Joint::Live, Joint::GoesOn]);
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs npm; run by .ci/run"]
async fn misskey_s_own_client_connects_reads_and_captures_as_we_do() {
    let server = SimSocket::start().await;
    let origin = server.url("").to_string().replacen("ws", "http", 1);
    let folder = tempfile::tempdir().unwrap();
    let text = include_str!("../foreign/misskey.mjs");
    let packages = ["misskey-js@2026", "ws@8"];
    let Some(mut client) = npm(folder.path(), "misskey.mjs", text, &packages, &[origin.trim_end_matches('/')]) else {
        return;
    };
    let mut peer = server.peer().await;
    assert!(peer.uri.starts_with("/streaming?i=t0ken"), "{}", peer.uri);
    let connect = peer.hears_json().await;
    assert_eq!(connect["type"], "connect");
    assert_eq!(
        (&connect["body"]["channel"], &connect["body"]["params"]),
        (&json!("globalTimeline"), &json!({"withRenotes": false}))
    );
    let id = connect["body"]["id"].clone();
    let mut first: Value = serde_json::from_str(&in_channel(&note("a101", "first #er"))).unwrap();
    first["body"]["id"] = id;
    peer.says(first).await;
    let said = |client: &mut Process| serde_json::from_str::<Value>(&client.line_with("{")).unwrap();
    assert_eq!(
        said(&mut client),
        json!({"id": "a101", "text": "first #er", "by": "rita", "alt": ["A full waiting room"]})
    );
    assert_eq!(peer.hears_json().await, json!({"type": "subNote", "body": {"id": "a101"}}), "as we ask for deletions");
    peer.says(json!({"type": "noteUpdated", "body": {"id": "a101", "type": "deleted", "body": {}}})).await;
    assert_eq!(said(&mut client), json!({"id": "a101", "what": "deleted"}));
    client.kill();
}
