//! The whole daemon as a user runs it: the built program, a configuration in a folder, a
//! simulated stream, and receivers that misbehave.

use std::time::Duration;

use crate::support::daemon::{
    Config, HOOK, MARK, PROXY_PASSWORD, Place, ROUTING_KEY, ServiceManager, now, pair_rule, say, word_rule,
};
use crate::support::frames;
use crate::support::jetstream::{Fault, Script, SimJetstream};
use crate::support::proxy::SimProxy;
use crate::support::sink::{Act, Request, SimSink};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const ENQUEUE: &str = "/v2/enqueue";

/// The stream, both receivers, and rules for a gunman (one post) and a flood (two authors).
struct World {
    stream: SimJetstream,
    pager: SimSink,
    hook: SimSink,
    place: Place,
}

fn rules() -> Vec<String> {
    vec![word_rule("threat", "gunman", "critical"), pair_rule("flood", "flooding", "high")]
}

impl World {
    async fn new(script: Script, source_keys: &str) -> Self {
        let stream = SimJetstream::start(script).await;
        let (pager, hook) = (SimSink::start().await, SimSink::start().await);
        let place = Place::new(&config(&stream, source_keys, &pager, &hook), &rules());
        Self { stream, pager, hook, place }
    }

    fn config(&self) -> Config {
        config(&self.stream, "", &self.pager, &self.hook)
    }
}

fn config(stream: &SimJetstream, source_keys: &str, pager: &SimSink, hook: &SimSink) -> Config {
    Config::new(&stream.url(), source_keys).pager(&pager.url(ENQUEUE)).webhook("hook", &hook.url(HOOK))
}

/// What webhooks said: (type, topic, id of the message).
fn told(requests: &[Request]) -> Vec<(String, String, String)> {
    let told = requests.iter().filter(|request| request.taken).map(|request| {
        let body = request.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&body["type"]), text(&body["incident"]["topic"]), request.header("webhook-id").to_owned())
    });
    told.collect()
}

/// Topics of the incidents a webhook was told of, in order.
fn opened(requests: &[Request]) -> Vec<String> {
    let opened = told(requests).into_iter().filter(|(kind, ..)| kind == "incident.opened");
    opened.map(|(_, topic, _)| topic).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wrote_it_is_asked_of_those_that_matter_and_changes_what_people_are_told() {
    let profiles = SimSink::start().await;
    let answer =
        r#"{"profiles":[{"did":"did:plc:ann","handle":"ann.example","displayName":"Ann","followersCount":61000}]}"#;
    profiles.otherwise(move |_| Act::Saying(200, answer.to_owned()));
    let world = World::new(Script::default(), &format!("profiles = \"{}\"", profiles.url("/"))).await;
    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    let t = now();
    world.stream.push(say(t, "did:plc:bob", "k0", "lunch was fine"));
    world.stream.push(say(t + 1, "did:plc:ann", "k1", "gunman at St Brigids"));
    let said = world.hook.received(2).await;
    let [opened, updated] = [0, 1].map(|place: usize| said[place].json());
    assert_eq!((&opened["type"], &updated["type"]), (&"incident.opened".into(), &"incident.updated".into()));
    let why = updated["incident"]["summary"].as_str().unwrap();
    assert!(why.contains("an account with 61,000 followers"), "{why}");
    let author = &updated["incident"]["sample"][0]["author"];
    assert_eq!((&author["handle"], &author["followers"]), (&"ann.example".into(), &61_000.into()), "{author}");
    let asked: Vec<String> = profiles.requests().into_iter().map(|request| request.line).collect();
    assert_eq!(asked, ["GET /xrpc/app.bsky.actor.getProfiles?actors=did%3Aplc%3Aann HTTP/1.1"], "of nobody else");
    daemon.stop().await;
}

/// frames = posts + other + rejected + duplicates + dropped.
fn adds_up(ledger: &Value) -> bool {
    let count = |name: &str| ledger[name].as_u64().unwrap();
    let rejected: u64 = ledger["rejected"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    count("frames") == count("posts") + count("other") + rejected + count("duplicates") + count("dropped")
}

/// Whether there were gaps, and all of them were read after all.
fn gaps_are_recovered(source: &Value) -> bool {
    let gaps = source["gaps"].as_array().unwrap();
    !gaps.is_empty() && gaps.iter().all(|gap| gap["recovered"] == true)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_becomes_a_page_and_people_take_charge_and_end_it() {
    let world = World::new(Script::default(), "").await;
    let daemon = world.place.start().await;
    let (status, body) = daemon.ask(Method::GET, "/readyz", "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "nothing was seen yet: {body}");
    daemon.says("source connected").await;

    let t = now();
    world.stream.push(frames::identity(t, "did:plc:ann", "ann.example"));
    world.stream.push(say(t + 1, "did:plc:ann", "k1", "gunman at St Brigids"));
    let page = world.pager.received(1).await[0].json();
    let hook = world.hook.received(1).await[0].clone();
    daemon.ready().await;
    let incident = &daemon.incidents("threat").await[0];
    let id = incident["id"].as_str().unwrap();
    assert_eq!(
        (page["event_action"].as_str(), page["routing_key"].as_str(), page["dedup_key"].as_str()),
        (Some("trigger"), Some(ROUTING_KEY), Some(&*format!("stormbell/{id}")))
    );
    assert_eq!(page["payload"]["severity"], "critical");
    assert!(page["payload"]["summary"].as_str().unwrap().contains("threat reported"), "{page}");
    assert!(!page.to_string().contains(MARK), "posts may name patients: {page}");

    let said = hook.json();
    assert_eq!((&said["type"], &said["incident"]["id"]), (&"incident.opened".into(), &id.into()));
    let expected = [
        ("title", "threat reported"),
        ("severity", "critical"),
        ("state", "open"),
        ("topic", "threat"),
        ("first_post_at", incident["first_post_at"].as_str().unwrap()),
    ];
    for (key, value) in expected {
        assert_eq!(said["incident"][key], value, "{key}");
    }
    assert_eq!((&said["incident"]["posts"], &said["incident"]["late"]), (&1.into(), &false.into()));
    let post = &said["incident"]["sample"][0];
    assert_eq!(post["id"], "at://did:plc:ann/app.bsky.feed.post/k1");
    assert_eq!(post["author"]["handle"], "ann.example");
    assert!(post["text"].as_str().unwrap().starts_with("gunman at St Brigids"));
    assert!(hook.header("webhook-signature").starts_with("v1,"));

    daemon.act(id, "ack").await;
    assert_eq!(world.pager.received(2).await[1].json()["event_action"], "acknowledge");
    assert_eq!(world.hook.received(2).await[1].json()["type"], "incident.acknowledged");
    daemon.act(id, "resolve").await;
    assert_eq!(world.pager.received(3).await[2].json()["event_action"], "resolve");
    assert_eq!(world.hook.received(3).await[2].json()["incident"]["state"], "resolved");
    let (status, _) = daemon.ask(Method::POST, &format!("/api/v1/incidents/{id}/ack"), "").await;
    assert_eq!(status, StatusCode::CONFLICT, "it is over");
    let timeline = daemon.get(&format!("/api/v1/incidents/{id}")).await["timeline"].clone();
    let what: Vec<_> = timeline.as_array().unwrap().iter().map(|entry| entry["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["opened", "acknowledged", "resolved"]);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outside_hears_a_heartbeat_while_the_stream_is_seen_and_not_before() {
    let world = World::new(Script::default(), "").await;
    let outside = SimSink::start().await;
    let beats = format!("[heartbeat]\nurl = \"{}\"\nevery = \"1h\"", outside.url("/ping/0c1d"));
    world.place.configure(&world.config().and(&beats));
    let daemon = world.place.start().await;
    daemon.says("no heartbeat goes out until this is over").await;
    daemon.says("source connected").await;
    assert_eq!(outside.requests().len(), 0, "nothing was seen yet");
    world.stream.push(frames::identity(now(), "did:plc:ann", "ann.example"));
    daemon.ready().await;
    let beat = outside.received(1).await.remove(0);
    assert_eq!((beat.line.as_str(), &beat.json()["status"]), ("POST /ping/0c1d HTTP/1.1", &"alive".into()));
    daemon.says("the heartbeat goes on").await;
    // What came through was a post of nobody, which counts nowhere.
    let sources = daemon.get("/api/v1/sources").await;
    assert_eq!((sources.as_array().unwrap().len(), &sources[0]["ledger"]["posts"]), (1, &0.into()));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_misbehaves_loses_no_alert_and_doubles_none() {
    let mut script = Script::default()
        .connection(&[(2, Fault::Garbage), (3, Fault::Duplicate), (4, Fault::Reorder), (7, Fault::Cut)])
        .connection(&[(0, Fault::Refuse503)])
        .connection(&[(2, Fault::Oversized), (9, Fault::CutWithClose)])
        .connection(&[(9, Fault::Stall)]);
    script.retry_after = Some("1".to_owned());
    script.oversized_bytes = 3000;
    let world = World::new(script, "expect_frame_within = \"2s\"\nmax_frame_bytes = \"2KiB\"").await;
    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    // Ten pairs of authors: ten crises are one incident, which is one page; and noise between.
    let t = now();
    for n in 0..30 {
        let (author, text) = match n {
            5 => ("did:plc:ann", "gunman in the lobby"),
            12 | 18 => (["did:plc:bob", "did:plc:eve"][n / 18], "flooding in the ward"),
            25 => ("did:plc:ann", "gunman in the yard"),
            _ => ("did:plc:noise", "nothing to see"),
        };
        world.stream.push(say(t + i64::try_from(n).unwrap(), author, &format!("k{n}"), text));
    }
    let faults = [
        Fault::Garbage,
        Fault::Duplicate,
        Fault::Reorder,
        Fault::Cut,
        Fault::Refuse503,
        Fault::Oversized,
        Fault::CutWithClose,
        Fault::Stall,
    ];
    world.stream.until(|stream| faults.iter().all(|fault| stream.fired(*fault) >= 1)).await;
    world.hook.received(2).await;
    // After the stall a sound connection reads all again, from the overlap on.
    let read = |source: &Value| source["ledger"]["posts"] == 30 && gaps_are_recovered(source);
    let source = daemon.until(async || daemon.source().await, read).await;
    let source_ledger = &source["ledger"];
    assert!(adds_up(source_ledger), "{source_ledger}");
    assert!(source_ledger["duplicates"].as_u64() >= Some(1), "{source_ledger}");
    assert_eq!(source_ledger["rejected"]["not_json"], 1);
    assert_eq!(source_ledger["rejected"]["too_large"], 1);

    let mut topics = opened(&world.hook.requests());
    topics.sort();
    assert_eq!(topics, ["flood", "threat"]);
    assert_eq!(daemon.incidents("threat").await[0]["posts"], 2);
    assert_eq!(daemon.incidents("flood").await[0]["authors"], 2);
    daemon.until(async || world.pager.alerts().len(), |alerts| *alerts == 2).await;
    let alerts: Vec<_> = world.pager.alerts().into_values().map(|alert| (alert.opened, alert.triggers)).collect();
    assert_eq!(alerts, [(1, 1), (1, 1)]);

    // The metrics tell the same, since they are of the same run.
    let source_ledger = daemon.source().await["ledger"].clone();
    for (metric, key) in [("frames", "frames"), ("posts", "posts"), ("duplicates", "duplicates"), ("other", "other")] {
        let value = daemon.metric(&format!("stormbell_{metric}_total{{source=\"sky\"}}")).await;
        assert_eq!(Some(value), source_ledger[key].as_f64(), "{metric}");
    }
    let rejected = daemon.metric("stormbell_rejected_total{source=\"sky\",reason=\"too_large\"}").await;
    assert!((rejected - 1.0).abs() < f64::EPSILON);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_the_server_has_forgotten_is_a_gap_that_people_hear_of() {
    let world = World::new(Script::default(), "").await;
    let t = now() - 60 * MINUTE;
    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    world.stream.push(say(t, "did:plc:a", "k1", "nothing"));
    daemon.read_frames(1).await;
    daemon.stop().await;

    world.stream.push(say(t + MINUTE, "did:plc:a", "k2", "gunman, but nobody will ever know"));
    world.stream.push(say(t + 20 * MINUTE, "did:plc:a", "k3", "nothing"));
    world.stream.forget_before(t + 10 * MINUTE);
    let daemon = world.place.start().await;
    let body = world.hook.received(1).await[0].json();
    assert_eq!(world.stream.fired(Fault::OldCursor), 1);
    assert_eq!(body["incident"]["topic"], "stormbell.gap.sky");
    assert!(body["incident"]["title"].as_str().unwrap().contains("missed 20 min"), "{body}");
    let source = daemon.source().await;
    let gap = &source["gaps"][0];
    assert_eq!((&gap["reason"], &gap["recovered"]), (&"cursor_too_old".into(), &false.into()), "{gap}");
    let seconds = daemon.metric("stormbell_gap_seconds_total{source=\"sky\"}").await;
    assert!((seconds - 1200.0).abs() < 1.0, "{seconds}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_brings_nothing_is_not_called_up() {
    let script = Script::default().connection(&[(2, Fault::Cut)]).connection(&[(0, Fault::Stall)]);
    let world = World::new(script, "").await;
    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    world.stream.push(say(now(), "did:plc:a", "k1", "nothing"));
    world.stream.push(say(now(), "did:plc:a", "k2", "nothing"));
    world.stream.until(|stream| stream.fired(Fault::Stall) == 1).await;
    daemon.says_times("source connected", 2).await;
    daemon.read_frames(2).await;
    let source = daemon.source().await;
    assert_eq!((&source["up"], source["reason"].is_string()), (&false.into(), true), "{source}");
    let (status, _) = daemon.ask(Method::GET, "/readyz", "").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(daemon.metric("stormbell_source_up{source=\"sky\"}").await < 0.5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_author_takes_back_is_gone_from_disk_and_from_later_messages() {
    let world = World::new(Script::default(), "").await;
    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    let t = now();
    // "gunman" alone is not told apart from the query in the database; these words are.
    world.stream.push(say(t, "did:plc:ann", "k1", "gunman holding annsecretwords"));
    world.stream.push(say(t + 1, "did:plc:bob", "k2", "gunman holding bobsecretwords"));
    world.stream.push(say(t + 2, "did:plc:eve", "k3", "gunman holding evesecretwords"));
    let opened = world.hook.received(1).await[0].json();
    assert!(opened.to_string().contains("annsecretwords"));
    daemon.until(async || daemon.incidents("threat").await, |incidents| incidents[0]["posts"] == 3).await;
    assert!(["annsecretwords", "bobsecretwords", "evesecretwords"].iter().all(|text| world.place.database_holds(text)));
    assert!(!["evesecretwords", "did:plc:eve"].iter().any(|text| world.place.in_files(text)), "and none in clear");

    world.stream.push(frames::delete(t + 3, "did:plc:ann", "k1"));
    world.stream.push(frames::account_deleted(t + 4, "did:plc:bob"));
    let taken_back = ["annsecretwords", "bobsecretwords"];
    let gone = async || taken_back.iter().all(|text| !world.place.database_holds(text));
    daemon.until(gone, |gone| *gone).await;
    assert!(world.place.database_holds("evesecretwords"), "the search finds what is there");
    let before = world.hook.requests().len();
    let id = opened["incident"]["id"].as_str().unwrap();
    daemon.act(id, "ack").await;
    let later = &world.hook.received(before + 1).await[before];
    let later = later.json().to_string();
    assert!(taken_back.iter().all(|text| !later.contains(text)) && later.contains("evesecretwords"), "{later}");
    let shown = daemon.get(&format!("/api/v1/incidents/{id}")).await.to_string();
    assert!(taken_back.iter().all(|text| !shown.contains(text)), "{shown}");
    daemon.stop().await;

    // Reading the stream again after a restart does not bring it back.
    let daemon = world.place.start().await;
    world.stream.push(say(t + 5, "did:plc:eve", "k4", "nothing"));
    daemon.ready().await;
    assert!(!gone_is_false(&world.place, &taken_back));
    daemon.stop().await;
}

fn gone_is_false(place: &Place, texts: &[&str]) -> bool {
    texts.iter().any(|text| place.database_holds(text))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_while_it_was_down_is_told_once_and_marked_late() {
    let world = World::new(Script::default(), "").await;
    let t = now() - 30 * MINUTE;
    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    world.stream.push(say(t, "did:plc:a", "k1", "gunman before"));
    world.hook.received(1).await;
    let first = daemon.incidents("threat").await[0]["id"].as_str().unwrap().to_owned();
    daemon.act(&first, "resolve").await;
    world.hook.received(2).await;
    daemon.read_frames(1).await;
    daemon.stop().await;

    world.stream.push(say(t + MINUTE, "did:plc:b", "k2", "flooding meanwhile"));
    world.stream.push(say(t + 2 * MINUTE, "did:plc:c", "k3", "flooding meanwhile"));
    for restart in 0..2 {
        let daemon = world.place.start().await;
        world.stream.push(say(now(), "did:plc:d", &format!("live{restart}"), "nothing"));
        daemon.ready().await;
        let body = world.hook.received(3).await[2].json();
        assert_eq!((&body["incident"]["topic"], &body["incident"]["late"]), (&"flood".into(), &true.into()));
        let summary = body["incident"]["summary"].as_str().unwrap();
        assert!(summary.contains("happened") && summary.contains("learned"), "{summary}");
        // A gap that ends without an alert is written within a second.
        let source = daemon.until(async || daemon.source().await, gaps_are_recovered).await;
        assert!(adds_up(&source["ledger"]), "{source}");
        daemon.stop().await;
    }
    assert_eq!(opened(&world.hook.requests()), ["threat", "flood"], "each once, over two more restarts");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_hears_everything_and_a_send_in_flight_is_finished() {
    let world = World::new(Script::default(), "").await;
    let manager = ServiceManager::listen(&world.place.path(""));
    let mut command = world.place.command();
    command.env("NOTIFY_SOCKET", manager.path()).env("WATCHDOG_USEC", "60000000");
    let mut daemon = world.place.start_as(command).await;
    manager.hears("READY=1").await;
    daemon.signal("HUP"); // it may come as soon as all is ready
    manager.hears("READY=1").await;
    manager.hears("WATCHDOG=1").await;
    assert!(manager.hears("STATUS=").await.contains("BLIND on sky"));
    daemon.says("source connected").await;
    world.stream.push(say(now(), "did:plc:a", "k1", "nothing"));
    daemon.ready().await;
    manager.hears("STATUS=1 sources seen; 0 open").await;
    for _ in 0..2 {
        manager.hears("WATCHDOG=1").await;
    }
    daemon.signal("HUP");
    assert!(manager.hears("RELOADING=1").await.contains("MONOTONIC_USEC="));
    manager.hears("READY=1").await;

    world.hook.script([Act::After(Duration::from_secs(3), 202)]);
    world.stream.push(say(now(), "did:plc:a", "k2", "gunman"));
    world.hook.received(1).await;
    daemon.signal("TERM");
    manager.hears("STOPPING=1").await;
    let begun = now();
    let status = daemon.ended().await;
    assert_eq!(status.code(), Some(0));
    assert!(now() - begun < 20 * SECOND);
    assert!(daemon.log().lines().any(|line| line.contains("message delivered") && line.contains("hook")));
    assert_eq!(daemon.said("stage not done"), 0, "{}", daemon.log());

    let daemon = world.place.start().await;
    world.stream.push(say(now(), "did:plc:a", "k3", "nothing"));
    daemon.ready().await;
    daemon.stop().await;
    assert_eq!(told(&world.hook.requests()).len(), 1, "it was not sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_what_is_sound_and_refuses_what_is_not() {
    let world = World::new(Script::default(), "").await;
    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    world.stream.push(say(now(), "did:plc:a", "k1", "smoke in the corridor"));
    daemon.read_frames(1).await;

    let with_smoke = [rules(), vec![word_rule("fire", "smoke", "critical")]].concat();
    world.place.rules(&with_smoke);
    daemon.signal("HUP");
    daemon.says("configuration reloaded").await;
    assert_eq!(daemon.get("/api/v1/rules").await.as_array().unwrap().len(), 3);
    world.stream.push(say(now(), "did:plc:a", "k2", "smoke in the kitchen"));
    assert_eq!(opened(&world.hook.received(1).await), ["fire"]);

    world.place.rules(&[with_smoke, vec![word_rule("broken", "(water", "high")]].concat());
    daemon.signal("HUP");
    daemon.says("configuration refused").await;
    let line = daemon.says("code=\"SB").await;
    let place = line.split("rules/test.toml:").nth(1).unwrap().split(':').next().unwrap();
    let line_number: usize = place.parse().unwrap();
    let text = std::fs::read_to_string(world.place.path("rules/test.toml")).unwrap();
    assert!(text.lines().nth(line_number - 1).unwrap().contains("(water"), "{line}");
    assert_eq!(daemon.get("/api/v1/rules").await.as_array().unwrap().len(), 3);
    world.stream.push(say(now(), "did:plc:a", "k3", "gunman"));
    assert_eq!(opened(&world.hook.received(2).await), ["fire", "threat"], "the old rules stay");

    world.place.rules(&rules());
    world.place.configure(&world.config().webhook("another", &world.hook.url("/another")));
    daemon.signal("HUP");
    let line = daemon.says("receiver another is new").await;
    assert!(line.contains("restart the daemon"), "{line}");
    assert_eq!(daemon.get("/api/v1/rules").await.as_array().unwrap().len(), 3, "all or nothing");

    world.place.configure(&world.config());
    daemon.signal("HUP");
    daemon.says_times("configuration reloaded", 2).await;
    assert_eq!(daemon.get("/api/v1/rules").await.as_array().unwrap().len(), 2);

    // What only a start takes over is not passed over in silence.
    let path = world.place.path("stormbell.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("[store]\n", "[store]\nretention = \"1d\"\n")).unwrap();
    daemon.signal("HUP");
    let line = daemon.says("not taken over until a restart").await;
    assert!(line.contains("tables=\"store\""), "{line}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_a_broken_configuration_goes_on_with_the_one_that_worked_last() {
    let world = World::new(Script::default(), "").await;
    let kept = tempfile::tempdir().unwrap();
    let file = world.place.path("stormbell.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    // A relative one would be another database beside the copy.
    let absolute = world.place.path("state/stormbell.db").display().to_string();
    std::fs::write(&file, text.replace("state/stormbell.db", &absolute)).unwrap();
    let start = || {
        let mut command = world.place.command();
        command.env("CONFIGURATION_DIRECTORY", world.place.path("")).env("STATE_DIRECTORY", kept.path());
        world.place.start_as(command)
    };
    let daemon = start().await;
    daemon.says("configuration kept").await;
    daemon.stop().await;

    world.place.rules(&[rules(), vec![word_rule("broken", "(water", "high")]].concat());
    let daemon = start().await;
    daemon.says("the one that worked last is used").await;
    daemon.says("source connected").await;
    world.stream.push(say(now(), "did:plc:a", "k1", "gunman"));
    assert_eq!(opened(&world.hook.received(1).await), ["threat"], "with the rules that worked");
    // A copy never takes the place of what it was copied from: only what works on disk does.
    world.place.rules(&[rules(), vec![word_rule("fire", "smoke", "critical")]].concat());
    daemon.signal("HUP");
    daemon.says("configuration reloaded").await;
    daemon.says("configuration kept").await;
    daemon.stop().await;

    std::fs::write(&file, "nonsense").unwrap();
    let daemon = start().await;
    assert_eq!(daemon.get("/api/v1/rules").await.as_array().unwrap().len(), 3, "what was reloaded was kept");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_say_what_kind_of_trouble_it_is() {
    let world = World::new(Script::default(), "").await;
    let daemon = world.place.start().await;
    let (code, words) = world.place.run_to_end().await;
    assert_eq!(code, 75, "{words}");
    assert!(words.contains("another stormbell"), "{words}");

    let elsewhere = Place::new(&world.config().listening(daemon.port()), &rules());
    let (code, words) = elsewhere.run_to_end().await;
    assert_eq!(code, 75, "{words}");
    assert!(words.contains(&format!("127.0.0.1:{}", daemon.port())), "{words}");

    let broken = world.config().and("[[route]]\nsteps = [{ notify = [\"nobody\"] }]\n[[sauce]]\nname = \"x\"");
    let elsewhere = Place::new(&broken, &rules());
    let (code, words) = elsewhere.run_to_end().await;
    assert_eq!(code, 78, "{words}");
    assert!(words.contains("nobody") && words.contains("sauce"), "every mistake is told: {words}");

    let elsewhere = Place::new(&world.config(), &[word_rule("a", "(x", "high"), word_rule("b", "y)", "high")]);
    let (code, words) = elsewhere.run_to_end().await;
    assert_eq!(code, 78, "{words}");
    assert!(words.contains("(x") && words.contains("y)"), "every mistake is told: {words}");

    let usage = elsewhere.command().arg("--no-such-flag").output().unwrap();
    assert_eq!(usage.status.code(), Some(64));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_for_good_is_told_of_once_by_the_other() {
    let world = World::new(Script::default(), "").await;
    world.pager.otherwise(|_| Act::Answer(410));
    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    world.stream.push(say(now(), "did:plc:a", "k1", "gunman"));
    let mut topics = opened(&world.hook.received(2).await);
    topics.sort();
    let incident = &daemon.incidents("threat").await[0];
    let id = incident["id"].as_str().unwrap();
    assert_eq!(topics, [format!("stormbell.undelivered.{id}.pager"), "threat".to_owned()]);
    let body = world.hook.requests().into_iter().map(|request| request.json());
    let notice = body.into_iter().find(|body| body["incident"]["topic"] != "threat").unwrap();
    assert!(notice["incident"]["title"].as_str().unwrap().contains("pager could not be told"), "{notice}");
    assert!(notice["incident"]["why"].as_str().unwrap().contains("410"), "{notice}");

    // Its acknowledgement cannot be told to the pager either, which is no news any more.
    daemon.act(id, "ack").await;
    daemon.says_times("message given up", 2).await;
    let parked = async || daemon.get("/api/v1/status").await["receivers"].clone();
    daemon.until(parked, |receivers| receivers[0]["parked"] == 2 && receivers[1]["pending"] == 0).await;
    daemon.stop().await;
    let daemon = world.place.start().await;
    world.stream.push(say(now(), "did:plc:a", "k2", "nothing"));
    daemon.ready().await;
    daemon.stop().await;
    assert_eq!(opened(&world.hook.requests()).len(), 2, "once, also over a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_charge_and_the_next_step_is_told_unless_somebody_does() {
    let world = World::new(Script::default(), "").await;
    let routes = "[[route]]\nsteps = [{ notify = [\"hook\"], ack_within = \"2s\" }, { notify = [\"pager\"] }]";
    world.place.configure(&world.config().and(routes));
    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    world.stream.push(say(now(), "did:plc:a", "k1", "gunman"));
    let page = world.pager.received(1).await[0].json();
    assert_eq!(page["event_action"], "trigger");
    let first = daemon.incidents("threat").await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(page["dedup_key"], format!("stormbell/{first}"));
    assert_eq!(opened(&world.hook.requests()), ["threat"]);

    world.stream.push(say(now(), "did:plc:b", "k2", "flooding"));
    world.stream.push(say(now(), "did:plc:c", "k3", "flooding"));
    world.hook.received(2).await;
    let second = daemon.incidents("flood").await[0]["id"].as_str().unwrap().to_owned();
    daemon.act(&second, "ack").await;
    // The incident that would have escalated at the same time is the clock of this test.
    world.stream.push(say(now(), "did:plc:a", "k4", "nothing"));
    daemon.act(&first, "resolve").await;
    world.stream.push(say(now(), "did:plc:d", "k5", "gunman again"));
    // It began again: the pager hears so at once, as it heard of the end, and as the second step two seconds later.
    let triggers = async || world.pager.alerts().into_values().map(|alert| (alert.opened, alert.triggers)).collect();
    daemon.until(triggers, |alerts: &Vec<_>| alerts.as_slice() == [(2, 3)]).await;
    let pages = world.pager.requests();
    assert!(pages.iter().all(|page| page.json()["dedup_key"] != format!("stormbell/{second}")), "{pages:?}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_incidents_are_merged_and_one_goes_on_over_a_kill() {
    let world = World::new(Script::default(), "").await;
    let mut daemon = world.place.start().await;
    daemon.says("source connected").await;
    world.stream.push(say(now(), "did:plc:a", "k1", "gunman"));
    world.stream.push(say(now(), "did:plc:a", "k2", "flooding"));
    world.stream.push(say(now(), "did:plc:b", "k3", "flooding"));
    world.hook.received(2).await;
    let id = async |topic: &str| daemon.incidents(topic).await[0]["id"].as_str().unwrap().to_owned();
    let (threat, flood) = (id("threat").await, id("flood").await);
    let merge = async |id: &str, into: &str| {
        let body = format!(r#"{{"into": "{into}", "by": "ann", "reason": "the same night"}}"#);
        let (status, text) = daemon.ask(Method::POST, &format!("/api/v1/incidents/{id}/merge"), &body).await;
        (status, serde_json::from_str::<Value>(&text).unwrap())
    };
    let refused = async |id: &str, into: &str| {
        let (status, problem) = merge(id, into).await;
        (status.as_u16(), problem["error"].as_str().unwrap().to_owned())
    };
    assert_eq!(refused(&flood, &flood).await, (409, "an incident cannot be merged into itself".to_owned()));
    assert_eq!(refused("inc-none", &flood).await.0, 404);
    assert_eq!(refused(&flood, "inc-none").await, (422, "there is no incident inc-none to merge it into".to_owned()));

    let (status, whole) = merge(&flood, &threat).await;
    assert_eq!(status, StatusCode::OK, "{whole}");
    assert_eq!((&whole["id"], &whole["posts"], &whole["authors"]), (&json!(threat), &json!(3), &json!(2)));
    assert_eq!((&whole["merged"], &whole["also"]), (&json!([flood]), &json!(["flood"])));
    let said = world.hook.received(3).await[2].json();
    assert_eq!((&said["type"], &said["incident"]["id"]), (&json!("incident.resolved"), &json!(flood)));
    assert_eq!(said["incident"]["merged_into"], json!(threat));

    daemon.kill().await;
    let daemon = world.place.start().await;
    world.stream.push(say(now(), "did:plc:c", "k4", "flooding"));
    daemon.ready().await;
    let whole = async || daemon.get(&format!("/api/v1/incidents/{threat}")).await;
    let whole = daemon.until(whole, |whole: &Value| whole["posts"] == 4).await;
    assert_eq!((&whole["authors"], whole["sample"].as_array().unwrap().len()), (&json!(3), 4));
    let alerts = whole["alerts"].as_array().unwrap();
    assert!(alerts.iter().any(|alert| alert["rule"] == "flood.rule"), "what raised the part that ended: {alerts:?}");
    let body = format!(r#"{{"into": "{threat}"}}"#);
    let (status, _) = daemon.ask(Method::POST, &format!("/api/v1/incidents/{flood}/merge"), &body).await;
    assert_eq!(status, StatusCode::OK, "once more changes nothing");
    let (status, problem) = daemon.ask(Method::POST, &format!("/api/v1/incidents/{flood}/ack"), "").await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(problem.contains(&format!("was merged into {threat}")), "{problem}");
    let messages: std::collections::BTreeSet<_> = told(&world.hook.requests()).into_iter().collect();
    assert_eq!(messages.len(), 3, "nothing new is told: {messages:?}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_without_receivers_still_watches() {
    let stream = SimJetstream::start(Script::default()).await;
    let place = Place::new(&Config::new(&stream.url(), ""), &rules());
    let daemon = place.start().await;
    daemon.says("source connected").await;
    stream.push(say(now(), "did:plc:a", "k1", "gunman"));
    daemon.until(async || daemon.incidents("threat").await, |incidents| incidents.len() == 1).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn through_a_proxy_with_a_password_nothing_of_it_is_logged() {
    let proxy = SimProxy::start(Some(("warden", PROXY_PASSWORD))).await;
    let keys = format!(
        "proxy = \"{}\"\nproxy_user = \"warden\"\nproxy_password = {{ file = \"proxy-password\" }}",
        proxy.url().as_str().trim_end_matches('/')
    );
    let world = World::new(Script::default(), &keys).await;
    world.hook.script([Act::Answer(500), Act::Saying(401, format!("bad key {ROUTING_KEY}"))]);
    world
        .pager
        .script([Act::DropAnswer, Act::Saying(400, format!("{{\"message\":\"no\",\"errors\":[\"{ROUTING_KEY}\"]}}"))]);
    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    assert_eq!(proxy.requests().len(), 1);
    world.stream.push(say(now(), "did:plc:a", "k1", "gunman"));
    daemon.says_times("message given up", 2).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_cannot_forge_a_line_of_the_log() {
    let world = World::new(Script::default(), "").await;
    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    let t = now();
    let forged = "2026-01-01T00:00:00Z ERROR forged line";
    for (n, evil) in ["\\n", "\\r\\n", "\\u001b[2J\\u001b[1;1H", "\\u2028", "\\u009b31m"].iter().enumerate() {
        let n = i64::try_from(n).unwrap() * 10;
        // `did` and `rkey` go into the frame as they are, so the escapes are JSON's.
        let did = format!("did:plc:{evil}{forged}");
        world.stream.push(frames::identity(t + n, &did, &format!("handle\u{1b}[31m\n{forged}")));
        let frame = say(t + n + 1, &did, "RKEY", "gunman\u{1b}[2J\nhere");
        world.stream.push(frame.replace("RKEY", &format!("k{evil}{forged}")));
        world.stream.push(frames::delete(t + n + 2, &did, "k").replace("\"delete\"", &format!("\"{evil}{forged}\"")));
    }
    daemon.read_frames(15).await;
    world.hook.received(1).await;
    let id = daemon.incidents("threat").await[0]["id"].as_str().unwrap().to_owned();
    let by = format!("{{\"by\":\"Ann\\n{forged}\"}}");
    let (status, _) = daemon.ask(Method::POST, &format!("/api/v1/incidents/{id}/ack"), &by).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, _) = daemon.ask(Method::GET, "/api/v1/incidents/%1b%5b31m%0a2026-01-01T00:00:00Z%20ERROR", "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let log = daemon.log();
    assert!(!log.chars().any(|c| c.is_control() && c != '\n'), "{log:?}");
    assert!(!log.lines().any(|line| line.starts_with(forged)), "{log}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_on_call_is_told_and_a_reload_changes_who_comes_next() {
    let world = World::new(Script::default(), "").await;
    let on_call = |layer: &str| {
        world.config().and(&format!(
            "[[person]]\nname = \"ann\"\ncontact = {{ hook = \"+1555001\" }}\n\
             [[person]]\nname = \"bob\"\ncontact = {{ hook = \"+1555002\" }}\n\
             [[schedule]]\nname = \"press\"\nlayer = [{{ {layer} }}]\n\
             [[route]]\nsteps = [{{ notify = [\"press\"] }}]"
        ))
    };
    world.place.configure(&on_call("rotation = [\"ann\"]"));
    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    world.stream.push(say(now(), "did:plc:a", "k1", "gunman"));
    world.hook.received(1).await;
    let incident = daemon.incidents("threat").await[0]["id"].as_str().unwrap().to_owned();

    world.place.configure(&on_call("rotation = [\"bob\"]"));
    daemon.signal("HUP");
    daemon.says("configuration reloaded").await;
    assert_eq!(daemon.get("/api/v1/oncall").await[0]["now"]["person"], "bob");
    world.place.configure(&on_call("rotation = [\"ann\"], only = [{ from = \"00:01\" }]"));
    daemon.signal("HUP");
    daemon.says("configuration refused").await;
    daemon.says("nobody is on call in `press`").await;
    assert_eq!(daemon.get("/api/v1/oncall").await[0]["now"]["person"], "bob", "what was sound stays");

    daemon.act(&incident, "resolve").await;
    world.stream.push(say(now(), "did:plc:a", "k2", "gunman again"));
    let told = world.hook.received(4).await;
    let whom = |request: &Request| {
        let (kind, to) = (request.json()["type"].clone(), request.json()["recipient"].clone());
        format!("{} {} {}", kind.as_str().unwrap(), to["person"].as_str().unwrap(), to["address"].as_str().unwrap())
    };
    let mut told: Vec<String> = told.iter().map(whom).collect();
    told.sort();
    assert_eq!(
        told,
        [
            "incident.opened ann +1555001",
            "incident.opened ann +1555001", // again: she had heard that it was over
            "incident.opened bob +1555002",
            "incident.resolved ann +1555001",
        ]
    );
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_any_network_has_the_state_it_had_and_tells_what_waited_once_there_is_one() {
    let world = World::new(Script::default(), "").await;
    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    world.stream.push(say(now(), "did:plc:a", "k1", "gunman here"));
    world.hook.received(1).await;
    let id = daemon.incidents("threat").await[0]["id"].as_str().unwrap().to_owned();
    daemon.read_frames(1).await;
    daemon.stop().await;

    // No name is known (RFC 6761), as in a building whose resolver is down.
    let sound = std::fs::read_to_string(world.place.path("stormbell.toml")).unwrap();
    let nameless =
        sound.replace("localhost", "nowhere.invalid").replace("http://127.0.0.1:", "http://nowhere.invalid:");
    let nameless = nameless.replace("listen = \"nowhere.invalid", "listen = \"127.0.0.1");
    assert_ne!(nameless, sound);
    world.place.write("stormbell.toml", &nameless);
    let daemon = world.place.start().await;
    let failed = daemon.says("source.connection.failed").await;
    assert!(failed.contains("no address is known of it"), "{failed}");
    let incident = daemon.get(&format!("/api/v1/incidents/{id}")).await;
    assert_eq!((&incident["state"], &incident["posts"]), (&"open".into(), &1.into()), "{incident}");
    daemon.act(&id, "ack").await;
    let (status, reasons) = daemon.ask(Method::GET, "/readyz", "").await;
    assert_eq!(status, 503, "{reasons}");
    let waits = async || daemon.metric("stormbell_deliveries_total{receiver=\"hook\",outcome=\"retried\"}").await;
    daemon.until(waits, |retried| *retried > 0.0).await;
    daemon.stop().await;
    assert_eq!(world.hook.requests().len(), 1);

    world.place.write("stormbell.toml", &sound);
    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    world.hook.received(2).await;
    world.stream.push(say(now(), "did:plc:b", "k2", "nothing"));
    daemon.read_frames(1).await;
    assert_eq!(daemon.incidents("threat").await.len(), 1);
    daemon.stop().await;
    let told: Vec<_> = world.hook.requests().iter().map(|request| request.json()["type"].clone()).collect();
    assert_eq!(told, ["incident.opened", "incident.acknowledged"], "each once");
}
