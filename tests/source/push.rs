//! A `feed` whose hub pushes (`WebSub`): subscriptions that are asked for, verified, renewed and given back; what is pushed
//! goes the way of what is polled; and hubs that do not keep their word.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::daemon::{Config, Daemon, MARK, Place, word_rule};
use crate::support::forum::SimForum;
use crate::support::reading::{NEVER, Reading, quick};
use crate::support::sink::{Act, Request, SimSink};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{HeaderMap, HeaderValue};
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};
use stormbell::config::model::{CommentsConfig, FeedConfig, SourceKind, Transport, YoutubeConfig};
use stormbell::config::secret::Secret;
use stormbell::domain::event::{Bookmark, DownReason, Rejected};
use stormbell::domain::time::Timestamp;
use stormbell::net::inlet::{Call, Inlets, Reply};
use stormbell::source::timing::Timing;
use url::{Url, form_urlencoded};

const NOW: Timestamp = Timestamp::from_seconds(1_795_361_895);
const PUBLIC: &str = "https://bell.hospital.example/base/";

/// An Atom document with these entries, the newest first.
fn atom(hub: &str, entries: &[&str]) -> String {
    let entry = |name: &&str| {
        format!(
            "<entry><id>urn:{name}</id><title>{name}</title><link href=\"https://b.example/{name}\"/>\
             <author><name>Ann</name></author><updated>2026-11-22T15:38:00Z</updated></entry>"
        )
    };
    let entries: String = entries.iter().map(entry).collect();
    format!("<feed xmlns=\"http://www.w3.org/2005/Atom\"><title>B</title>{hub}{entries}</feed>")
}

/// A server that serves a document with a hub beside it.
struct World {
    sink: SimSink,
    entries: Arc<Mutex<Vec<&'static str>>>,
    hub: Arc<Mutex<Act>>,
}

impl World {
    async fn start() -> Self {
        let sink = SimSink::start().await;
        let (entries, hub) = (Arc::new(Mutex::new(vec!["old"])), Arc::new(Mutex::new(Act::Answer(202))));
        let (shown, answers) = (Arc::clone(&entries), Arc::clone(&hub));
        let links = format!(
            "<link rel=\"hub\" href=\"{}\"/><link rel=\"self\" href=\"{}\"/>",
            sink.url("/hub"),
            sink.url("/own")
        );
        sink.otherwise(move |request| {
            if request.line.starts_with("POST /hub") {
                return answers.lock().unwrap().clone();
            }
            let page = atom(&links, &shown.lock().unwrap()).into_bytes();
            Act::Page(200, vec![("content-type", "application/atom+xml".into())], page)
        });
        Self { sink, entries, hub }
    }

    fn kind(&self, push: bool, poll_every: Duration) -> SourceKind {
        let (url, transport) = (self.sink.url("/feed"), Transport::default());
        SourceKind::Feed(FeedConfig {
            url,
            poll_every: Some(poll_every),
            push,
            login: None,
            transcripts: false,
            transport,
        })
    }

    fn topic(&self) -> String {
        self.sink.url("/own").into()
    }

    /// What the hub was asked, as forms.
    fn asked(&self) -> Vec<BTreeMap<String, String>> {
        let asked = self.sink.requests().into_iter().filter(|request| request.line.starts_with("POST /hub"));
        asked.map(|request: Request| form_urlencoded::parse(&request.body).into_owned().collect()).collect()
    }

    /// Waits until the hub was asked that often.
    async fn asked_times(&self, times: usize) -> BTreeMap<String, String> {
        let mut requests = 1;
        while self.asked().len() < times {
            requests = self.sink.received(requests).await.len() + 1;
        }
        self.asked()[times - 1].clone()
    }
}

fn inlets() -> Inlets {
    Inlets::at(PUBLIC.parse().unwrap(), Secret::new("the daemon's own key".to_owned()))
}

fn hurried() -> Timing {
    let hub_renewed_after = Duration::from_millis(50);
    Timing { hub_rest: Duration::from_millis(50), hub_renewed_after, ..quick() }
}

/// The part of a callback that is this subscription's.
fn place(form: &BTreeMap<String, String>) -> String {
    let callback: Url = form["hub.callback"].parse().unwrap();
    callback.path().rsplit('/').next().unwrap().to_owned()
}

/// A hub asks us something.
async fn ask(inlets: &Inlets, place: &str, mode: &str, topic: &str, lease: u64) -> Reply {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("hub.mode", mode), ("hub.topic", topic), ("hub.challenge", "c4ll"), ("hub.reason", "no")])
        .append_pair("hub.lease_seconds", &lease.to_string())
        .finish();
    let call = Call { place: Some(place.into()), query: Some(query), headers: HeaderMap::new(), body: None };
    inlets.find("s").unwrap().call(call).await
}

fn hex<M: Mac + KeyInit>(secret: &str, body: &str) -> String {
    let mac = <M as KeyInit>::new_from_slice(secret.as_bytes()).unwrap().chain_update(body);
    let digits: Vec<String> = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

fn sha256(secret: &str, body: &str) -> String {
    format!("sha256={}", hex::<Hmac<Sha256>>(secret, body))
}

/// A hub pushes.
async fn push(inlets: &Inlets, place: &str, signature: &str, body: &str) -> Reply {
    let headers = [("content-type", "application/atom+xml"), ("x-hub-signature", signature)];
    let headers = headers.map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()));
    let headers = headers.into_iter().collect();
    let call = Call { place: Some(place.into()), query: None, headers, body: Some(body.to_owned().into()) };
    inlets.find("s").unwrap().call(call).await
}

/// A source that has subscribed, and the hub that has verified it.
async fn subscribed(world: &World, inlets: &Inlets, poll_every: Duration) -> (Reading, BTreeMap<String, String>) {
    let mut reading = Reading::called(world.kind(true, poll_every), hurried(), NOW, None, inlets.clone());
    reading.until(|reading| reading.covered == 1).await;
    let form = world.asked_times(1).await;
    assert_eq!(
        ask(inlets, &place(&form), "subscribe", &world.topic(), 600).await,
        Reply::new(200.try_into().unwrap(), "c4ll")
    );
    (reading, form)
}

/// What is pushed, and read.
async fn pushes(reading: &mut Reading, inlets: &Inlets, form: &BTreeMap<String, String>, entry: &str) {
    let body = atom("", &[entry]);
    let signature = sha256(&form["hub.secret"], &body);
    let place = place(form);
    let (reply, ()) = tokio::join!(push(inlets, &place, &signature, &body), reading.until_post(entry));
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn a_subscription_is_asked_for_by_a_path_and_a_secret_that_nobody_guesses() {
    let (world, inlets) = (World::start().await, inlets());
    let (reading, form) = subscribed(&world, &inlets, NEVER).await;
    assert_eq!((form["hub.mode"].as_str(), &form["hub.topic"]), ("subscribe", &world.topic()));
    assert_eq!(form["hub.lease_seconds"], "864000");
    let callback = &form["hub.callback"];
    assert!(callback.starts_with("https://bell.hospital.example/base/in/s/"), "{callback}");
    assert!(place(&form).len() == 43 && form["hub.secret"].len() == 43 && place(&form) != form["hub.secret"]);
    // Only what was asked for is confirmed.
    for (place, mode, topic, status) in [
        (place(&form).as_str(), "subscribe", "https://b.example/other", 404),
        (&place(&form), "unsubscribe", &world.topic(), 404),
        (&place(&form), "", &world.topic(), 404),
        ("guessed", "subscribe", &world.topic(), 410),
        ("", "subscribe", &world.topic(), 410),
    ] {
        assert_eq!(ask(&inlets, place, mode, topic, 600).await.status, status, "{place} {mode} {topic}");
    }
    reading.stop().await;
}

#[tokio::test]
async fn what_is_pushed_is_what_is_polled_and_counts_once() {
    let (world, inlets) = (World::start().await, inlets());
    let (mut reading, form) = subscribed(&world, &inlets, Duration::from_millis(20)).await;
    pushes(&mut reading, &inlets, &form, "news").await;
    world.entries.lock().unwrap().insert(0, "news");
    let polls = reading.covered;
    reading.until(|reading| reading.covered >= polls + 3).await;
    assert_eq!(reading.texts(), ["news"]);
    assert_eq!(reading.posts[0].id.as_str(), "urn:news");
    // It was polled first, and is pushed then.
    world.entries.lock().unwrap().insert(0, "later");
    reading.until_post("later").await;
    let body = atom("", &["later"]);
    let signature = sha256(&form["hub.secret"], &body);
    let place = place(&form);
    let polls = reading.covered;
    let more = reading.until(|reading| reading.covered >= polls + 3);
    let (reply, ()) = tokio::join!(push(&inlets, &place, &signature, &body), more);
    assert_eq!((reply.status.as_u16(), reading.texts()), (200, vec!["news", "later"]));
    reading.stop().await;
}

#[tokio::test]
async fn every_method_of_signing_is_taken_and_what_is_forged_is_ignored_and_counted() {
    let (world, inlets) = (World::start().await, inlets());
    let (mut reading, form) = subscribed(&world, &inlets, NEVER).await;
    let (secret, place) = (&form["hub.secret"], place(&form));
    let body = |name: &str| atom("", &[name]);
    for (name, signature) in [
        ("sha1", hex::<Hmac<Sha1>>(secret, &body("sha1"))),
        ("sha256", hex::<Hmac<Sha256>>(secret, &body("sha256"))),
        ("sha384", hex::<Hmac<Sha384>>(secret, &body("sha384"))),
        ("sha512", hex::<Hmac<Sha512>>(secret, &body("sha512"))),
    ] {
        let signature = format!("{name}={signature}");
        let (body, heard) = (body(name), reading.until_post(name));
        let (reply, ()) = tokio::join!(push(&inlets, &place, &signature, &body), heard);
        assert_eq!(reply.status, 200, "{name}");
    }
    for signature in [String::new(), sha256("guessed", &body("forged")), sha256(secret, &body("other"))] {
        // By the recommendation, whoever forges hears that it was taken.
        let reply = push(&inlets, &place, &signature, &body("forged")).await;
        assert_eq!((reply.status.as_u16(), reply.text.as_str()), (202, ""));
    }
    reading.until(|reading| reading.rejected.len() == 3).await;
    assert_eq!(reading.rejected, [Rejected::Forged; 3]);
    assert_eq!(reading.texts(), ["sha1", "sha256", "sha384", "sha512"]);
    reading.stop().await;
}

#[tokio::test]
async fn a_hub_that_asks_before_it_answers_is_answered_meanwhile() {
    let (world, inlets) = (World::start().await, inlets());
    *world.hub.lock().unwrap() = Act::HalfAnswer(NEVER);
    let mut reading = Reading::called(world.kind(true, NEVER), hurried(), NOW, None, inlets.clone());
    reading.until(|reading| reading.covered == 1).await;
    let form = world.asked_times(1).await;
    assert_eq!(ask(&inlets, &place(&form), "subscribe", &world.topic(), 600).await.text, "c4ll");
    pushes(&mut reading, &inlets, &form, "news").await;
    reading.stop().await;
}

#[tokio::test]
async fn a_lease_is_renewed_at_half_time_under_the_same_path_and_secret() {
    let (world, inlets) = (World::start().await, inlets());
    let mut reading = Reading::called(world.kind(true, NEVER), hurried(), NOW, None, inlets.clone());
    reading.until(|reading| reading.covered == 1).await;
    let first = world.asked_times(1).await;
    ask(&inlets, &place(&first), "subscribe", &world.topic(), 1).await;
    assert_eq!(world.asked_times(2).await, first);
    reading.stop().await;
}

#[tokio::test]
async fn a_restart_asks_again_and_what_an_older_subscription_brings_is_read() {
    let (world, inlets_before) = (World::start().await, inlets());
    let (mut reading, form) = subscribed(&world, &inlets_before, NEVER).await;
    pushes(&mut reading, &inlets_before, &form, "before").await;
    let bookmark = reading.position.bookmark();
    reading.stop().await;
    let inlets = inlets();
    let mut reading = Reading::called(world.kind(true, NEVER), hurried(), NOW, bookmark, inlets.clone());
    reading.until(|reading| reading.covered == 1).await;
    assert_eq!(world.asked_times(2).await, form);
    pushes(&mut reading, &inlets, &form, "after").await;
    assert_eq!(reading.texts(), ["after"]);
    reading.stop().await;
}

#[tokio::test]
async fn a_video_that_is_pushed_is_kept_while_comments_are_polled_beside_it() {
    let (world, inlets, channel) = (World::start().await, inlets(), SimForum::start("youtube", 3).await);
    let SourceKind::Feed(videos) = world.kind(true, NEVER) else { panic!("a feed") };
    let comments = CommentsConfig {
        url: channel.sink.url("/"),
        key: Secret::new("key".to_owned()),
        channel: Some("UCaaaaaaaaaaaaaaaaaaaaaa".to_owned()),
        videos: Vec::new(),
        daily_units: 1 << 40,
        poll_every: Duration::from_millis(10),
        transport: Transport::default(),
    };
    let kind = SourceKind::Youtube(Box::new(YoutubeConfig { videos: Some(videos), comments: Some(comments) }));
    let clock = Arc::new(channel.clock.clone());
    let mut reading = Reading::by(kind, hurried(), clock, None, inlets.clone());
    reading.until(|reading| reading.covered >= 3).await;
    let form = world.asked_times(1).await;
    assert_eq!(ask(&inlets, &place(&form), "subscribe", &world.topic(), 600).await.status, 200);
    let number = channel.write("comment");
    pushes(&mut reading, &inlets, &form, "video").await;
    reading.until(|reading| reading.posts.len() == 2).await;
    let mut texts = reading.texts();
    texts.sort_unstable();
    assert_eq!(texts, [format!("comment {number}").as_str(), "video"]);
    assert!(reading.downs.is_empty());
    reading.stop().await;
}

/// Quirk 14: subscribe and renew are answered 503 for days while old leases work.
#[tokio::test]
async fn quirk_14_a_hub_that_answers_503_for_days_while_old_leases_work() {
    let (world, inlets_before) = (World::start().await, inlets());
    let (reading, form) = subscribed(&world, &inlets_before, NEVER).await;
    let bookmark = reading.position.bookmark();
    reading.stop().await;
    *world.hub.lock().unwrap() = Act::With(503, "retry-after", "0".to_owned());
    let inlets = inlets();
    let mut reading = Reading::called(world.kind(true, NEVER), hurried(), NOW, bookmark, inlets.clone());
    reading.until(|reading| reading.covered == 1).await;
    world.asked_times(4).await;
    pushes(&mut reading, &inlets, &form, "news").await;
    assert!(reading.downs.is_empty(), "the feed itself can be read");
    reading.stop().await;
}

#[tokio::test]
async fn what_is_pushed_while_the_feeds_server_wants_rest_is_taken() {
    let (world, inlets_before) = (World::start().await, inlets());
    let (mut reading, form) = subscribed(&world, &inlets_before, NEVER).await;
    pushes(&mut reading, &inlets_before, &form, "before").await;
    let bookmark = reading.position.bookmark();
    reading.stop().await;
    let inlets = inlets();
    // It answers the first poll after the restart, and says so for ten minutes.
    world.sink.script([Act::With(429, "retry-after", "600".to_owned())]);
    let timing = Timing { longest_rest: NEVER, ..hurried() };
    let mut reading = Reading::called(world.kind(true, NEVER), timing, NOW, bookmark, inlets.clone());
    reading.until(|reading| reading.downs == [DownReason::Refused]).await;
    let polls = || world.sink.requests().iter().filter(|request| request.line.starts_with("GET /feed")).count();
    let before = polls();
    pushes(&mut reading, &inlets, &form, "while it rests").await;
    let signature = sha256(&form["hub.secret"], "");
    let (place, mark) = (place(&form), reading.position.bookmark());
    let noted = reading.until(|reading| reading.position.bookmark() != mark);
    let (reply, ()) = tokio::join!(push(&inlets, &place, &signature, ""), noted);
    assert_eq!(reply.status, 200, "there is something to poll");
    pushes(&mut reading, &inlets, &form, "and then").await;
    assert_eq!((polls(), reading.connected.len()), (before, 0), "it is left alone");
    reading.stop().await;
}

#[tokio::test]
async fn a_push_that_says_nothing_is_a_reason_to_ask_at_once() {
    let (world, inlets) = (World::start().await, inlets());
    let (mut reading, form) = subscribed(&world, &inlets, NEVER).await;
    world.entries.lock().unwrap().insert(0, "news");
    let signature = sha256(&form["hub.secret"], "");
    let place = place(&form);
    let (reply, ()) = tokio::join!(push(&inlets, &place, &signature, ""), reading.until_post("news"));
    assert_eq!(reply.status, 200);
    reading.stop().await;
}

#[tokio::test]
async fn a_tombstone_that_is_pushed_takes_back_what_was_seen_here() {
    let (world, inlets) = (World::start().await, inlets());
    let (mut reading, form) = subscribed(&world, &inlets, NEVER).await;
    pushes(&mut reading, &inlets, &form, "news").await;
    let tombstone = |name: &str| {
        format!(
            "<at:deleted-entry xmlns:at=\"http://purl.org/atompub/tombstones/1.0\" ref=\"urn:{name}\" when=\"2026-11-22T15:38:10Z\"/>"
        )
    };
    let body = atom(&[tombstone("news"), tombstone("never-seen")].concat(), &[]);
    let signature = sha256(&form["hub.secret"], &body);
    let place = place(&form);
    let gone = reading.until(|reading| !reading.deleted.is_empty());
    let (reply, ()) = tokio::join!(push(&inlets, &place, &signature, &body), gone);
    assert_eq!((reply.status.as_u16(), reading.deleted.as_slice()), (200, &["urn:news".to_owned()][..]));
    reading.stop().await;
}

#[tokio::test]
async fn a_denied_subscription_is_not_asked_for_again_at_once() {
    let (world, inlets) = (World::start().await, inlets());
    let mut reading =
        Reading::called(world.kind(true, Duration::from_millis(20)), hurried(), NOW, None, inlets.clone());
    reading.until(|reading| reading.covered == 1).await;
    let form = world.asked_times(1).await;
    assert_eq!(ask(&inlets, &place(&form), "denied", &world.topic(), 0).await.status, 200);
    reading.until(|reading| reading.covered > 10).await;
    assert_eq!(world.asked().len(), 1);
    reading.stop().await;
}

#[tokio::test]
async fn what_is_no_longer_wanted_is_given_back() {
    let (world, inlets_before) = (World::start().await, inlets());
    let (mut reading, form) = subscribed(&world, &inlets_before, NEVER).await;
    pushes(&mut reading, &inlets_before, &form, "before").await;
    let bookmark: Option<Bookmark> = reading.position.bookmark();
    reading.stop().await;
    let inlets = inlets();
    let mut reading = Reading::called(world.kind(false, NEVER), hurried(), NOW, bookmark, inlets.clone());
    reading.until(|reading| reading.covered == 1).await;
    let end = world.asked_times(2).await;
    assert_eq!((end["hub.mode"].as_str(), &end["hub.callback"]), ("unsubscribe", &form["hub.callback"]));
    let body = atom("", &["late"]);
    let late = push(&inlets, &place(&form), &sha256(&form["hub.secret"], &body), &body).await;
    assert_eq!(late.status, 410);
    assert_eq!(
        ask(&inlets, &place(&form), "subscribe", &world.topic(), 600).await.status,
        404,
        "nobody asked for that"
    );
    assert_eq!(ask(&inlets, &place(&form), "unsubscribe", &world.topic(), 600).await.text, "c4ll");
    reading.stop().await;
}

/// The program on a feed whose hub is the world's.
fn configured(world: &World) -> Place {
    let source = format!("name = \"blog\"\nkind = \"feed\"\nurl = \"{}\"\npush = true", world.sink.url("/feed"));
    let config = Config::listening_to(&source).public("http://127.0.0.1:9/");
    Place::new(&config, &[word_rule("fire", "fire", "high")])
}

async fn over_http(daemon: &Daemon, form: &BTreeMap<String, String>, request: reqwest::Request) -> (u16, String) {
    let mut request = request;
    let callback: Url = form["hub.callback"].parse().unwrap();
    request.url_mut().set_port(Some(daemon.port())).unwrap();
    request.url_mut().set_path(callback.path());
    let answer =
        reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap().execute(request).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn through_the_program_a_push_is_on_disk_when_it_is_answered() {
    let world = World::start().await;
    let place = configured(&world);
    let mut daemon = place.start().await;
    let form = world.asked_times(1).await;
    let at = |query: &str| Url::parse(&format!("http://127.0.0.1:1/{query}")).unwrap();
    let query = form_urlencoded::Serializer::new("?".to_owned())
        .extend_pairs([("hub.mode", "subscribe"), ("hub.topic", &world.topic()), ("hub.challenge", "c4ll")])
        .finish();
    let verifying = reqwest::Request::new(reqwest::Method::GET, at(&query));
    assert_eq!(over_http(&daemon, &form, verifying).await, (200, "c4ll".to_owned()));
    daemon.says("a hub pushes what changes").await;
    let pushed = |name: &str, signature: Option<String>| {
        let body = atom("", &[name]);
        let mut request = reqwest::Request::new(reqwest::Method::POST, at(""));
        let signature = signature.unwrap_or_else(|| sha256(&form["hub.secret"], &body));
        request.headers_mut().insert("x-hub-signature", signature.parse().unwrap());
        *request.body_mut() = Some(body.into());
        request
    };
    let text = format!("fire-{MARK}");
    assert_eq!(over_http(&daemon, &form, pushed("forged", Some("sha1=00".to_owned()))).await.0, 202);
    assert_eq!(over_http(&daemon, &form, pushed(&text, None)).await.0, 200);
    daemon.kill().await;
    assert!(place.database_holds(&format!("urn:{text}")), "it was answered with 200");
    *world.hub.lock().unwrap() = Act::Answer(503);
    let daemon = place.start().await;
    daemon.until(async || daemon.incidents("fire").await.len(), |found| *found == 1).await;
    daemon.says("the hub does not take the subscription").await;
    assert_eq!(over_http(&daemon, &form, pushed("another fire", None)).await.0, 200);
    let posts = async || daemon.incidents("fire").await[0]["posts"].as_u64();
    daemon.until(posts, |posts| *posts == Some(2)).await;
    assert!(!daemon.log().contains(&form["hub.secret"]));
    daemon.stop().await;
}
