//! `webhook` sources through the built program: senders that sign the bytes they send, as Meta, Discourse and others do;
//! what is answered with 200 is on disk, whatever happens next; what nobody signed harms nobody.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::support::daemon::{Config, Daemon, HOOK_SECRET, MARK, Place, TWILIO_TOKEN, now, word_rule};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;
use stormbell::domain::time::Timestamp;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const PAGES: &str = "name = \"pages\"\nkind = \"webhook\"\nformat = \"meta\"\nsecret = { file = \"pagerduty-secret\" }\n\
                     verify_token = { file = \"twilio-token\" }";
const FORUM: &str = "[[source]]\nname = \"forum\"\nkind = \"webhook\"\nformat = \"discourse\"\nsecret = { file = \"pagerduty-secret\" }";
const TIPS: &str = "[[source]]\nname = \"tips\"\nkind = \"webhook\"\nformat = \"json\"\nsecret = { file = \"hook-secret\" }\n\
                    items = \"/tips\"\n[source.messages]\npost = { \"/tips/kind\" = \"tip\" }\n\
                    delete = { \"/tips/kind\" = \"gone\" }\n[source.fields]\nid = \"/tips/id\"\nauthor = \"/tips/by\"\n\
                    text = \"/tips/text\"";
const PLAIN: &str = "[[source]]\nname = \"plain\"\nkind = \"webhook\"\nformat = \"json\"\n\
                     secret = { file = \"pagerduty-secret\" }\nsignature_header = \"X-Acme-Signature\"\n\
                     [source.fields]\nid = \"/id\"\nauthor = \"/by\"\ntext = \"/text\"";

fn place() -> Place {
    let config = Config::listening_to(PAGES).and(FORUM).and(TIPS).and(PLAIN);
    Place::new(&config, &[word_rule("fire", "fire", "high"), word_rule("flood", "flood", "high")])
}

fn client() -> Client {
    Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}

fn hex(secret: &str, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(body);
    let digits: Vec<String> = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

/// Posts to a source by the name that a proxy would have.
async fn post(
    port: u16,
    name: &str,
    headers: &[(&str, String)],
    body: impl Into<reqwest::Body>,
) -> (StatusCode, String) {
    let mut request = client().post(format!("http://127.0.0.1:{port}/in/{name}")).header("host", "bell.example");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let answer = request.body(body).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// As Meta does.
async fn meta(port: u16, body: &str) -> StatusCode {
    let signed = ("x-hub-signature-256", format!("sha256={}", hex(HOOK_SECRET, body.as_bytes())));
    post(port, "pages", &[signed], body.to_owned()).await.0
}

/// Changes of a page, written as Meta writes them: with `\u` for what is not ASCII, and `\/`.
fn changes(changes: &[Value]) -> String {
    let body = json!({"object": "page", "entry": [{"id": "104", "time": now() / 1_000_000, "changes": changes}]});
    let mut escaped = String::new();
    for c in body.to_string().chars() {
        match c {
            '/' => escaped.push_str("\\/"),
            c if c.is_ascii() => escaped.push(c),
            c => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| write!(escaped, "\\u{unit:04x}").unwrap()),
        }
    }
    escaped
}

fn comment(number: usize, text: &str) -> Value {
    json!({"field": "feed", "value": {"item": "comment", "verb": "add", "post_id": "104_1", "comment_id": format!("1_{number:04}"),
        "parent_id": "104_1", "from": {"id": format!("2{number}"), "name": "Rita Q."}, "message": format!("{text} {MARK}"),
        "created_time": now() / 1_000_000}})
}

/// A count of a source, such as `posts` or `rejected,reason="forged"`.
async fn counted(daemon: &Daemon, what: &str, source: &str) -> u64 {
    let (name, label) = what.split_once(',').unwrap_or((what, ""));
    let label = if label.is_empty() { String::new() } else { format!(",{label}") };
    let value = daemon.metric(&format!("stormbell_{name}_total{{source=\"{source}\"{label}}}")).await;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let count = value.round() as u64;
    count
}

/// Waits until no file of the database has it: some hold it until the next checkpoint.
async fn forgotten(daemon: &Daemon, place: &Place, text: &str) {
    daemon.until(async || place.database_holds(text), |holds| !holds).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_of_a_webhook_is_only_that_and_what_is_sent_raises_an_incident() {
    let place = place();
    let daemon = place.start().await;
    daemon.ready().await;
    let text = "Fire in the caf\u{e9} \u{1f692}, see https://a.example/x";
    assert_eq!(meta(daemon.port(), &changes(&[comment(1, text)])).await, 200);
    let found = daemon.until(async || daemon.incidents("fire").await, |found| !found.is_empty()).await.remove(0);
    let detail = daemon.get(&format!("/api/v1/incidents/{}", found["id"].as_str().unwrap())).await;
    let sample = &detail["sample"][0];
    assert_eq!(sample["text"], format!("{text} {MARK}"));
    assert_eq!((&sample["id"], &sample["author"]["id"]), (&"facebook:1_0001".into(), &"facebook:21".into()));
    assert!(place.database_holds("facebook:1_0001"));
    // Taken back, it is forgotten.
    let mut gone = comment(1, "");
    gone["value"]["verb"] = "remove".into();
    assert_eq!(meta(daemon.port(), &changes(&[gone])).await, 200);
    forgotten(&daemon, &place, "a.example/x").await;
    daemon.ready().await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn meta_asks_first_and_only_whoever_knows_the_token_is_answered() {
    let place = place();
    let daemon = place.start().await;
    let ask = async |query: String| {
        let answer = client().get(format!("http://127.0.0.1:{}/in/{query}", daemon.port())).send().await.unwrap();
        let plain = answer.headers()["content-type"].to_str().unwrap().starts_with("text/plain");
        (answer.status().as_u16(), plain, answer.text().await.unwrap())
    };
    let query =
        |mode: &str, token: &str| format!("pages?hub.mode={mode}&hub.challenge=1158201444&hub.verify_token={token}");
    assert_eq!(ask(query("subscribe", TWILIO_TOKEN)).await, (200, true, "1158201444".to_owned()));
    for (query, status) in [
        (query("subscribe", "wrong"), 403),
        (query("subscribe", ""), 403),
        (query("unsubscribe", TWILIO_TOKEN), 403),
        (format!("pages?hub.mode=subscribe&hub.verify_token={TWILIO_TOKEN}"), 403),
        ("pages".to_owned(), 403),
        (query("subscribe", TWILIO_TOKEN).replace("pages", "forum"), 405),
        (query("subscribe", TWILIO_TOKEN).replace("pages", "nobody"), 404),
        (query("subscribe", TWILIO_TOKEN).replace("pages", "pages/more"), 404),
    ] {
        assert_eq!(ask(query.clone()).await.0, status, "{query}");
    }
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_a_thousand_is_read_once_however_often_it_is_sent() {
    let place = place();
    let daemon = place.start().await;
    let all: Vec<Value> = (0..1000).map(|number| comment(number, "the water is rising")).collect();
    let body = changes(&all);
    for _ in 0..2 {
        assert_eq!(meta(daemon.port(), &body).await, 200);
    }
    let both = async || (counted(&daemon, "posts", "pages").await, counted(&daemon, "duplicates", "pages").await);
    daemon.until(both, |counts| *counts == (1000, 1000)).await;
    assert_eq!(counted(&daemon, "frames", "pages").await, 2000);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_is_refused_counted_and_told() {
    let place = place();
    let daemon = place.start().await;
    let (port, body) = (daemon.port(), changes(&[comment(1, "fire at https://a.example/caf\u{e9}")]));
    let right = format!("sha256={}", hex(HOOK_SECRET, body.as_bytes()));
    let wrong = format!("sha256={}", hex("guessed", body.as_bytes()));
    let signed = |value: &str| vec![("x-hub-signature-256", value.to_owned())];
    let read_again = serde_json::from_str::<Value>(&body).unwrap().to_string();
    for (headers, body) in [
        (vec![], &body),
        (signed(&wrong), &body),
        (signed(&right.replace("sha256=", "sha1=")), &body),
        (signed(&right), &read_again),
        (vec![("x-hub-signature", right.clone())], &body),
    ] {
        let (status, text) = post(port, "pages", &headers, body.clone()).await;
        assert_eq!(status, 401, "{headers:?}");
        assert!(text.contains("`secret`"), "{text}");
    }
    assert_eq!(post(port, "nobody", &signed(&right), body.clone()).await.0, 404);
    assert_eq!(post(port, "pages/x", &signed(&right), body.clone()).await.0, 404);
    let long = "x".repeat((4 << 20) + 1);
    assert_eq!(post(port, "pages", &signed(&right), long).await.0, 413);
    let refused = async || {
        let reason = async |reason: &str| counted(&daemon, &format!("rejected,reason=\"{reason}\""), "pages").await;
        (reason("forged").await, reason("too_large").await)
    };
    daemon.until(refused, |counts| *counts == (5, 1)).await;
    daemon.says("not signed with this source's `secret`").await;
    assert!(daemon.incidents("fire").await.is_empty());
    assert_eq!(post(port, "pages", &signed(&right), body).await.0, 200);
    daemon.until(async || daemon.incidents("fire").await.len(), |found| *found == 1).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signature_of_openssl_is_taken() {
    let body = changes(&[comment(1, "fire in the caf\u{e9}, https://a.example/x")]);
    let dgst = ["dgst", "-sha256", "-hmac", HOOK_SECRET];
    let openssl = Command::new("openssl").args(dgst).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut openssl) = openssl else {
        println!("skipped: openssl is not here");
        return;
    };
    openssl.stdin.take().unwrap().write_all(body.as_bytes()).unwrap();
    let said = String::from_utf8(openssl.wait_with_output().unwrap().stdout).unwrap();
    let hex = said.trim().rsplit(' ').next().unwrap();
    let place = place();
    let daemon = place.start().await;
    let signed = ("x-hub-signature-256", format!("sha256={hex}"));
    assert_eq!(post(daemon.port(), "pages", &[signed], body).await.0, 200);
    daemon.until(async || daemon.incidents("fire").await.len(), |found| *found == 1).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_answered_with_200_is_there_after_kill_9() {
    let place = place();
    for round in 0..4 {
        let mut daemon = place.start().await;
        let port = daemon.port();
        let mut sending = JoinSet::new();
        for number in 0..60 {
            let number = round * 100 + number;
            sending.spawn(async move {
                let body = changes(&[comment(number, "fire")]);
                let signed = format!("sha256={}", hex(HOOK_SECRET, body.as_bytes()));
                let request = client().post(format!("http://127.0.0.1:{port}/in/pages"));
                let sent = request.header("x-hub-signature-256", signed).body(body).send().await;
                sent.is_ok_and(|answer| answer.status() == 200).then_some(number)
            });
        }
        // In the middle of it, at another place each time.
        let mut kept = Vec::new();
        while kept.len() < 1 + round * 7 {
            kept.extend(sending.join_next().await.expect("too few were answered").unwrap());
        }
        daemon.kill().await;
        while let Some(answered) = sending.join_next().await {
            kept.extend(answered.unwrap());
        }
        for number in kept {
            assert!(
                place.database_holds(&format!("facebook:1_{number:04}")),
                "{number} was answered with 200 and is gone"
            );
        }
    }
    let daemon = place.start().await;
    assert_eq!(daemon.incidents("fire").await.len(), 1);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_take_it_is_503_and_what_is_sent_again_is_read_once() {
    let place = place();
    let daemon = place.start().await;
    daemon.ready().await;
    let body = changes(&[comment(1, "fire")]);
    let held = rusqlite::Connection::open(place.path("state/stormbell.db")).unwrap();
    held.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(meta(daemon.port(), &body).await, 503);
    held.execute_batch("ROLLBACK").unwrap();
    assert_eq!(meta(daemon.port(), &body).await, 200);
    let found = daemon.until(async || daemon.incidents("fire").await, |found| !found.is_empty()).await;
    assert_eq!((found.len(), &found[0]["posts"]), (1, &1.into()));
    assert_eq!(counted(&daemon, "posts", "pages").await, 1);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_that_nobody_signed_holds_up_neither_its_source_nor_others() {
    let place = place();
    let daemon = place.start().await;
    let port = daemon.port();
    let body: Arc<str> = "x".repeat(60_000).into();
    let mut flood = JoinSet::new();
    for _ in 0..20 {
        let body = Arc::clone(&body);
        flood.spawn(async move {
            for _ in 0..50 {
                let signed = ("x-hub-signature-256", format!("sha256={}", "0".repeat(64)));
                assert_eq!(post(port, "pages", &[signed], body.to_string()).await.0, 401);
            }
        });
    }
    assert_eq!(meta(port, &changes(&[comment(1, "fire")])).await, 200);
    let tip = json!({"id": "1", "by": "ann", "text": "flood"}).to_string();
    let signed = [("x-acme-signature", hex(HOOK_SECRET, tip.as_bytes()))];
    assert_eq!(post(port, "plain", &signed, tip).await.0, 200);
    while let Some(sent) = flood.join_next().await {
        sent.unwrap();
    }
    let forged = async || counted(&daemon, "rejected,reason=\"forged\"", "pages").await;
    daemon.until(forged, |count| *count == 1000).await;
    assert_eq!(daemon.said("not signed with this source's"), 1, "told once");
    for topic in ["fire", "flood"] {
        daemon.until(async || daemon.incidents(topic).await.len(), |found| *found == 1).await;
    }
    daemon.stop().await;
}

/// There is room for four long bodies at a time.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_shows_no_signature_holds_no_room_however_slowly_it_sends() {
    let place = place();
    let daemon = place.start().await;
    let mut slow = Vec::new();
    for path in ["pages", "forum", "pages/x", "pages", "tips", "plain", "pages", "pages"] {
        let mut stream = TcpStream::connect(("127.0.0.1", daemon.port())).await.unwrap();
        let head = format!("POST /in/{path} HTTP/1.1\r\nhost: bell.example\r\ncontent-length: 4000000\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // It is told before it sent anything of the body.
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        let expected = if path.contains('/') { "HTTP/1.1 404" } else { "HTTP/1.1 401" };
        assert_eq!(std::str::from_utf8(&status).unwrap(), expected, "{path}");
        slow.push(stream);
    }
    let long = changes(&[comment(1, &format!("fire {}", "x".repeat(100_000)))]);
    assert_eq!(meta(daemon.port(), &long).await, 200);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_a_forum_sends_twice_counts_once_and_brings_no_older_words_back() {
    let place = place();
    let daemon = place.start().await;
    let begun = Timestamp::from_micros(now() - 120_000_000).to_string();
    let send = async |id: u32, event: &str, raw: &str, updated: &str, version: u32| {
        let body = json!({"post": {"id": 501, "user_id": 9, "username": "rita", "created_at": begun,
            "updated_at": updated, "raw": format!("{raw} {MARK}"), "cooked": "", "post_number": 2,
            "version": version, "topic_id": 77, "topic_slug": "er"}})
        .to_string();
        let headers = [
            ("x-discourse-event", event.to_owned()),
            ("x-discourse-event-id", id.to_string()),
            ("x-discourse-instance", "https://forum.example".to_owned()),
            ("x-discourse-event-signature", format!("sha256={}", hex(HOOK_SECRET, body.as_bytes()))),
        ];
        assert_eq!(post(daemon.port(), "forum", &headers, body).await.0, 200);
    };
    let before = |seconds: i64| Timestamp::from_micros(now() - seconds * 1_000_000).to_string();
    let (first, second) = (before(90), before(60));
    let created = || send(1, "post_created", "fire in ward nine", &begun, 1);
    created().await;
    created().await;
    send(3, "post_edited", "fire in ward seven", &second, 3).await;
    // The edit before comes late, and twice; the beginning once more.
    send(2, "post_edited", "fire in ward eight", &first, 2).await;
    send(2, "post_edited", "fire in ward eight", &first, 2).await;
    created().await;
    daemon.until(async || counted(&daemon, "duplicates", "forum").await, |count| *count == 3).await;
    assert_eq!(counted(&daemon, "posts", "forum").await, 3, "three versions");
    assert_eq!(daemon.incidents("fire").await[0]["posts"], 1);
    assert!(place.database_holds("ward seven"));
    forgotten(&daemon, &place, "ward nine").await;
    assert!(!place.database_holds("ward eight"), "it was written before");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forums_posts_are_read_edited_and_forgotten() {
    let place = place();
    let daemon = place.start().await;
    let send = async |event: &str, raw: &str, version: u32| {
        let body = json!({"post": {"id": 501, "user_id": 9, "username": "rita", "created_at": "2026-11-22T15:38:15Z",
            "updated_at": "2026-11-22T15:38:15Z", "raw": format!("{raw} {MARK}"), "cooked": "", "post_number": 2,
            "version": version, "topic_id": 77, "topic_slug": "er"}})
        .to_string();
        let headers = [
            ("x-discourse-event", event.to_owned()),
            ("x-discourse-instance", "https://forum.example".to_owned()),
            ("x-discourse-event-signature", format!("sha256={}", hex(HOOK_SECRET, body.as_bytes()))),
        ];
        post(daemon.port(), "forum", &headers, body).await.0
    };
    assert_eq!(send("post_created", "fire in ward nine", 1).await, 200);
    assert!(place.database_holds("ward nine"));
    assert_eq!(send("post_edited", "fire in ward seven", 2).await, 200);
    let found = daemon.until(async || daemon.incidents("fire").await, |found| !found.is_empty()).await;
    assert_eq!(found[0]["posts"], 1, "an edit is the same post");
    assert_eq!(send("post_destroyed", "", 2).await, 200);
    forgotten(&daemon, &place, "ward seven").await;
    forgotten(&daemon, &place, "ward nine").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_of_any_shape_is_signed_by_the_standards_headers() {
    let place = place();
    let daemon = place.start().await;
    let tip =
        |kind: &str, id: u32, text: &str| json!({"kind": kind, "id": id, "by": id, "text": format!("{text} {MARK}")});
    let sign = |at: i64, body: &str| {
        let mac = Hmac::<Sha256>::new_from_slice(b"plantedwebhooksecret").unwrap();
        let mac = mac.chain_update(format!("msg_1.{at}.{body}"));
        vec![
            ("webhook-id", "msg_1".to_owned()),
            ("webhook-timestamp", at.to_string()),
            ("webhook-signature", format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))),
        ]
    };
    let body =
        json!({"tips": [tip("tip", 1, "fire"), tip("tip", 2, "fire again"), tip("like", 3, "fire")]}).to_string();
    let at = now() / 1_000_000;
    assert_eq!(post(daemon.port(), "tips", &sign(at - 600, &body), body.clone()).await.0, 401, "signed long ago");
    assert_eq!(post(daemon.port(), "tips", &sign(at, &body), body.replace("again", "twice")).await.0, 401);
    assert_eq!(post(daemon.port(), "tips", &sign(at, &body), body.clone()).await.0, 200);
    let found = daemon.until(async || daemon.incidents("fire").await, |found| !found.is_empty()).await;
    assert_eq!(found[0]["posts"], 2);
    assert!(place.database_holds("tips:1"));
    let gone = json!({"tips": [tip("gone", 2, "")]}).to_string();
    assert_eq!(post(daemon.port(), "tips", &sign(at, &gone), gone).await.0, 200);
    forgotten(&daemon, &place, "fire again").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_gave_us_up_is_told_where_silence_is_not_normal() {
    let config = Config::listening_to(&format!("{PAGES}\nexpect_frame_within = \"1s\""));
    let place = Place::new(&config, &[word_rule("fire", "fire", "high")]);
    let daemon = place.start().await;
    let line = daemon.says("source down").await;
    assert!(line.contains("stalled") && line.contains("expect_frame_within"), "{line}");
    let sees = async || daemon.ask(reqwest::Method::GET, "/readyz", "").await;
    daemon.until(sees, |(status, text)| !status.is_success() && text.contains("pages sees nothing")).await;
    let forged = ("x-hub-signature-256", format!("sha256={}", "0".repeat(64)));
    assert_eq!(post(daemon.port(), "pages", &[forged], "{}").await.0, 401);
    daemon.until(async || counted(&daemon, "rejected,reason=\"forged\"", "pages").await, |count| *count == 1).await;
    assert!(!sees().await.0.is_success(), "a stranger is not the sender");
    assert_eq!(meta(daemon.port(), &changes(&[comment(1, "fire")])).await, 200);
    daemon.says_times("source connected", 2).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_gave_us_up_does_not_come_back_by_a_restart() {
    let config = Config::listening_to(&format!("{PAGES}\nexpect_frame_within = \"1s\""));
    let place = Place::new(&config, &[word_rule("fire", "fire", "high")]);
    let daemon = place.start().await;
    daemon.says("source down").await;
    let holds_lost = async || place.database_holds(" lost");
    daemon.until(holds_lost, |holds| *holds).await;
    daemon.stop().await;
    let daemon = place.start().await;
    daemon.says("source down").await;
    let sees = async || daemon.ask(reqwest::Method::GET, "/readyz", "").await;
    daemon.until(sees, |(status, text)| !status.is_success() && text.contains("pages sees nothing")).await;
    assert_eq!(daemon.said("source connected"), 0, "nothing came since");
    assert_eq!(meta(daemon.port(), &changes(&[comment(1, "fire")])).await, 200);
    daemon.says("source connected").await;
    daemon.stop().await;
}
