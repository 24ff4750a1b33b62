//! Links by which people take charge, through the built program: a message is read, its link opened, the button
//! pressed. Scanners of mail press nothing.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use crate::support::browser::Browser;
use crate::support::daemon::{Config, Daemon, HOOK, Place, now, say, word_rule};
use crate::support::jetstream::{Script, SimJetstream};
use crate::support::mail::MailServer;
use crate::support::message::delivery;
use crate::support::sink::SimSink;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use stormbell::app::clock::SystemClock;
use stormbell::domain::id::{IncidentId, ReceiverName};
use stormbell::domain::message::{Delivery, MessageKind};
use stormbell::domain::time::{Clock, Timestamp};
use stormbell::wire::link::{Console, LASTS};

/// As people write it down; a proxy strips the path.
const PUBLIC: &str = "https://bell.hospital.example/bell/";

/// Ann is told by the hook, then everybody else; mail goes to all of the press team.
const PEOPLE: &str = "[[person]]\nname = \"ann\"\ncontact = { hook = \"+1555\" }\n\
    [[route]]\nsteps = [{ notify = [\"ann\", \"mail\"], ack_within = \"10s\" }, { notify = [\"pager\"] }]\n";

struct World {
    stream: SimJetstream,
    sink: SimSink,
    mail: MailServer,
    place: Place,
}

impl World {
    async fn new() -> Self {
        let (stream, sink) = (SimJetstream::start(Script::default()).await, SimSink::start().await);
        let mail = MailServer::start().await;
        let keys = format!(
            "kind = \"smtp\"\nhost = \"localhost\"\nport = {}\ntls = \"off\"\nfrom = \"bell@hospital.example\"\n\
             to = [\"press@hospital.example\"]",
            mail.port()
        );
        let config = Config::new(&stream.url(), "").pager(&sink.url("/v2/enqueue")).webhook("hook", &sink.url(HOOK));
        let config = config.receiver("mail", &keys).and(PEOPLE).public(PUBLIC);
        // What ended here stays ended: a link of the one before must not act on the next.
        let config = config.and("[incidents]\nreopen_within = \"0s\"\n");
        let rules = ["fire", "flood"].map(|topic| word_rule(topic, topic, "critical"));
        Self { stream, sink, mail, place: Place::new(&config, &rules) }
    }

    async fn start(&self) -> Daemon {
        let daemon = self.place.start().await;
        daemon.says("source connected").await;
        daemon
    }

    /// Somebody says that word; the incident.
    async fn happens(&self, daemon: &Daemon, topic: &str) -> Value {
        self.stream.push(say(now(), "did:plc:ann", &format!("k{}", now()), topic));
        daemon.until(async || daemon.incidents(topic).await, |found| !found.is_empty()).await.remove(0)
    }

    /// The payload of that kind about an incident, once the hook has it.
    async fn told(&self, daemon: &Daemon, incident: &Value, kind: &str) -> Value {
        let payloads = async || {
            let requests = self.sink.requests().into_iter().filter(|request| request.line.contains(HOOK));
            let payloads = requests.map(|request| request.json());
            payloads.filter(|one| one["type"] == kind && one["incident"]["id"] == incident["id"]).collect()
        };
        daemon.until(payloads, |found: &Vec<Value>| !found.is_empty()).await.remove(0)
    }
}

/// The state of an incident, and who has it.
async fn state(daemon: &Daemon, incident: &Value) -> (Value, Value) {
    let path = format!("/api/v1/incidents/{}", incident["id"].as_str().unwrap());
    let incident = daemon.get(&path).await;
    (incident["state"].clone(), incident["acknowledged"]["by"].clone())
}

/// What a browser gets through the proxy.
async fn browse(daemon: &Daemon, method: Method, url: &str) -> (StatusCode, String) {
    let path = url.strip_prefix(PUBLIC).unwrap_or_else(|| panic!("{url} is not below {PUBLIC}"));
    let client = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let request = client.request(method, format!("http://127.0.0.1:{}/{path}", daemon.port()));
    let request = request.header("host", "bell.hospital.example").header("origin", "https://bell.hospital.example");
    let answer = request.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// A link as the daemon would have made it then.
fn made(key: &str, incident: &Value, at: Timestamp) -> String {
    let mut delivery = delivery(incident["id"].as_str().unwrap(), MessageKind::Opened);
    delivery.message.at = at;
    Console::with_links(PUBLIC.parse().unwrap(), key)
        .acknowledge_url(&Delivery { receiver: "mail".into(), ..delivery })
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_a_message_takes_charge_and_nobody_else_is_rung() {
    let world = World::new().await;
    let mut daemon = world.start().await;
    let fire = world.happens(&daemon, "fire").await;
    let payload = world.told(&daemon, &fire, "incident.opened").await;
    let link = payload["incident"]["acknowledge_url"].as_str().unwrap();
    assert_eq!(payload["recipient"]["person"], "ann");
    assert!(link.len() < 120, "it must fit into a text message: {link}");

    // Filters of mail and previews of chats open it, and change nothing.
    for method in [Method::GET, Method::HEAD, Method::GET] {
        let (status, page) = browse(&daemon, method, link).await;
        assert_eq!(status, StatusCode::OK);
        assert!(page.is_empty() || page.contains("Nobody has it yet.") && page.contains("ann (hook)"), "{page}");
    }
    assert_eq!(state(&daemon, &fire).await, ("open".into(), Value::Null));

    let (status, page) = browse(&daemon, Method::POST, link).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("You have it."), "{page}");
    assert_eq!(state(&daemon, &fire).await, ("acknowledged".into(), "ann".into()));
    let detail = daemon.get(&format!("/api/v1/incidents/{}", fire["id"].as_str().unwrap())).await;
    let history = detail["timeline"].as_array().unwrap();
    let entry = history.iter().find(|entry| entry["what"] == "acknowledged").unwrap();
    assert_eq!((&entry["by"], &entry["text"]), (&"ann".into(), &"by link, sent to hook".into()));
    let news = world.told(&daemon, &fire, "incident.acknowledged").await;
    assert_eq!(news["incident"]["acknowledge_url"], Value::Null, "somebody has it");

    // Whoever waited for an answer is rung of the incident that nobody took, and not of this one.
    let flood = world.happens(&daemon, "flood").await;
    let rung = async || world.sink.alerts().into_keys().map(|(_, key)| key).collect::<Vec<_>>();
    let rung = daemon.until(rung, |rung| !rung.is_empty()).await;
    assert_eq!(rung, [format!("stormbell/{}", flood["id"].as_str().unwrap())]);

    // The mail's link was for everybody who reads it, in both parts; now it says who was faster.
    let mails = world.mail.mails().into_iter().map(|mail| mail.text.replace("=\r\n", "").replace("=3D", "="));
    let mail = mails.into_iter().find(|mail| mail.contains("fire reported")).unwrap();
    let both: Vec<&str> = mail.split(PUBLIC).skip(1).filter(|rest| rest.starts_with("a/")).collect();
    assert_eq!(both.len(), 2, "{mail}");
    let token = |rest: &str| rest.split(|c: char| c.is_whitespace() || c == '"').next().unwrap().to_owned();
    assert_eq!(token(both[0]), token(both[1]));
    let of_mail = format!("{PUBLIC}{}", token(both[0]));
    daemon.kill().await;

    let daemon = world.start().await;
    for method in [Method::GET, Method::POST] {
        let (status, page) = browse(&daemon, method, &of_mail).await;
        assert!(status == StatusCode::OK && page.contains("ann has it."), "{page}");
    }
    let key = std::fs::read_to_string(world.place.path("state/link-key")).unwrap();
    assert!(!daemon.log().contains(key.trim()) && !daemon.log().contains("/a/"), "a link or its key was logged");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_outlives_a_restart_and_is_for_one_incident_while_that_lasts() {
    let world = World::new().await;
    let mut daemon = world.start().await;
    let fire = world.happens(&daemon, "fire").await;
    let link = world.told(&daemon, &fire, "incident.opened").await["incident"]["acknowledge_url"].clone();
    let link = link.as_str().unwrap();
    let path = world.place.path("state/link-key");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let key = std::fs::read_to_string(&path).unwrap().trim().to_owned();
    daemon.kill().await;
    let daemon = world.start().await;
    assert!(browse(&daemon, Method::GET, link).await.1.contains("Nobody has it yet."));

    // Neither one that was touched, nor one of another key, nor one that is too old acts.
    let now = SystemClock.now();
    let (head, last) = link.split_at(link.len() - 1);
    let touched = format!("{head}{}", if last == "A" { "Q" } else { "A" });
    for (wrong, status, words) in [
        (touched, 404, "none of ours"),
        (head.to_owned(), 404, "none of ours"),
        (made("another-key-of-some-length", &fire, now), 404, "none of ours"),
        (made(&key, &fire, now - LASTS - Duration::from_mins(2)), 410, "too old"),
    ] {
        let (answered, page) = browse(&daemon, Method::POST, &wrong).await;
        assert!(answered.as_u16() == status && page.contains(words), "{wrong}: {page}");
    }
    assert_eq!(state(&daemon, &fire).await.0, "open");

    // Once it is over, its link says so; what began meanwhile is another incident, also of the same topic.
    daemon.act(fire["id"].as_str().unwrap(), "resolve").await;
    let resolved = async || state(&daemon, &fire).await.0;
    daemon.until(resolved, |state| *state == "resolved").await;
    world.stream.push(say(crate::support::daemon::now(), "did:plc:bob", "again", "fire"));
    let again = daemon.until(async || daemon.incidents("fire").await, |found| found.len() == 2).await.remove(0);
    assert_ne!(again["id"], fire["id"]);
    for method in [Method::GET, Method::POST] {
        let (status, page) = browse(&daemon, method, link).await;
        assert!(status == StatusCode::OK && page.contains("It is over.") && page.contains("Ann ended it"), "{page}");
    }
    assert_eq!(state(&daemon, &again).await.0, "open");
    assert_eq!(state(&daemon, &fire).await.0, "resolved");

    // Of one that never was there is no page; what the mail's readers press is signed with the mail.
    let never = made(&key, &serde_json::json!({ "id": "inc-never" }), now);
    assert_eq!(browse(&daemon, Method::POST, &never).await.0, StatusCode::NOT_FOUND);
    let (_, page) = browse(&daemon, Method::POST, &made(&key, &again, now)).await;
    assert!(page.contains("You have it."), "{page}");
    assert_eq!(state(&daemon, &again).await, ("acknowledged".into(), "mail".into()));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_touched_in_pushover_is_taken_here() {
    let (world, pushover) = (World::new().await, SimSink::start().await);
    let keys = format!(
        "kind = \"pushover\"\nurl = \"{}\"\ntoken = {{ file = \"token\" }}\nuser_key = {{ file = \"token\" }}",
        pushover.url("/1")
    );
    let config = Config::new(&world.stream.url(), "").receiver("push", &keys).public(PUBLIC);
    world.place.configure(&config);
    let daemon = world.start().await;
    let fire = world.happens(&daemon, "fire").await;
    let request = pushover.received(1).await.remove(0);
    let fields: BTreeMap<String, String> = url::form_urlencoded::parse(&request.body).into_owned().collect();
    assert_eq!((&fields["priority"], &fields["url_title"]), (&"2".to_owned(), &"Take charge".to_owned()));
    assert_eq!(fields["callback"], fields["url"]);

    // Its servers then post to that address, from no page and with a form of their own.
    let path = fields["callback"].strip_prefix(PUBLIC).unwrap();
    let client = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let touched = client.post(format!("http://127.0.0.1:{}/{path}", daemon.port()));
    let touched = touched.header("host", "bell.hospital.example").body("receipt=r&acknowledged=1&acknowledged_by=u");
    assert_eq!(touched.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(state(&daemon, &fire).await, ("acknowledged".into(), "push".into()));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_of_an_exercise_takes_the_exercise() {
    let world = World::new().await;
    world.place.rules(&["fire", "flood"].map(|topic| word_rule(topic, "$org", "critical")));
    let daemon = world.start().await;
    let body = r#"{"scenario":"fire","by":"bob"}"#;
    let (status, text) = daemon.ask(Method::POST, "/api/v1/drills", body).await;
    assert_eq!(status, StatusCode::CREATED, "{text}");
    let begun: Vec<Value> = serde_json::from_str(&text).unwrap();
    let exercise = begun.iter().find(|incident| incident["topic"] == "fire").unwrap();
    let payload = world.told(&daemon, exercise, "incident.opened").await;
    world.stream.push(say(now(), "did:plc:ann", "real", "St. Brigid's Hospital"));
    let all = async || daemon.incidents("fire").await;
    let all = daemon.until(all, |found| found.iter().any(|incident| incident["exercise"] == false)).await;
    let real = all.iter().find(|incident| incident["exercise"] == false).unwrap();

    let link = payload["incident"]["acknowledge_url"].as_str().unwrap();
    for (method, words) in [(Method::GET, "Take charge (exercise)"), (Method::POST, "You have it.")] {
        let (_, page) = browse(&daemon, method, link).await;
        assert!(page.contains(words) && page.contains("EXERCISE: this is a drill"), "{page}");
    }
    assert_eq!(state(&daemon, exercise).await, ("acknowledged".into(), "ann".into()));
    assert_eq!(state(&daemon, real).await.0, "open");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Debian's chromium and chromium-driver; .ci/run installs them"]
async fn a_real_browser_shows_the_page_in_its_colours_and_sends_its_button() {
    let world = World::new().await;
    let daemon = world.start().await;
    let fire = world.happens(&daemon, "fire").await;
    let link = world.told(&daemon, &fire, "incident.opened").await["incident"]["acknowledge_url"].clone();
    let path = link.as_str().unwrap().strip_prefix(PUBLIC).unwrap().to_owned();
    let browser = Browser::telephone().await;
    browser.post("/url", json!({ "url": format!("http://127.0.0.1:{}/{path}", daemon.port()) })).await;
    browser.picture("open.png").await;
    assert_eq!(browser.text("button").await, "Take charge");
    let styled = "return getComputedStyle(document.querySelector('button')).backgroundColor";
    let colour = browser.post("/execute/sync", json!({ "script": styled, "args": [] })).await;
    assert_eq!(colour, "rgb(179, 38, 30)", "its policy lets its own style through");
    assert_eq!(state(&daemon, &fire).await.0, "open");

    browser.press("button").await;
    let pressed = async || browser.text(".says").await;
    daemon.until(pressed, |says| says == "You have it.").await;
    browser.picture("taken.png").await;
    assert_eq!(state(&daemon, &fire).await, ("acknowledged".into(), "ann".into()));
    daemon.stop().await;
}

/// Names that a configuration can have keep a link short.
#[test]
fn the_longest_names_still_make_a_link() {
    let mut long = delivery("inc-qionaw3lqq", MessageKind::Escalated);
    long.receiver = ReceiverName::from("r".repeat(64));
    long.message.incident.id = IncidentId::from("inc-qionaw3lqq");
    let url = Console::with_links(PUBLIC.parse().unwrap(), "k").acknowledge_url(&long).unwrap();
    assert!(url.len() < 200, "{url}");
}
