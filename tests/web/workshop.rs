//! Work on rules before the built program, and the lane of what not everybody may read: what is planted there must not be
//! anywhere else.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use crate::support::daemon::{Config, Daemon, MARK, Place, now, say, word_rule};
use crate::support::jetstream::{Script, SimJetstream};
use crate::support::pretended::Pretended;
use crate::support::sink::SimSink;
use reqwest::header::SET_COOKIE;
use reqwest::{Client, Method, StatusCode, redirect};
use serde_json::Value;
use stormbell::web::{Needs, addresses};

const PASSWORD: &str = "planted correct horse battery";
/// What somebody in need says, and who says it.
const PLANTED: &str = "plantedlanewords";
const AUTHOR: &str = "did:plc:plantedauthor";
const TOPIC: &str = "duty-of-care.self-harm";

struct World {
    stream: SimJetstream,
    hook: SimSink,
    daemon: Daemon,
    place: Place,
}

impl World {
    async fn new() -> Self {
        let (stream, hook) = (SimJetstream::start(Script::default()).await, SimSink::start().await);
        let (service, complaint) = (word_rule("service", "parking", "low"), word_rule("feedback", "complain", "high"));
        let rules = [word_rule(TOPIC, "jump", "critical"), service, complaint];
        let config = Config::new(&stream.url(), "").webhook("hook", &hook.url("/hook"));
        let place = Place::new(&config.receiver("journal", "kind = \"log\""), &rules);
        let daemon = place.start().await;
        daemon.says("source connected").await;
        Self { stream, hook, daemon, place }
    }

    async fn says(&self, who: &str, text: &str, topic: &str) -> Value {
        self.stream.push(say(now(), who, &format!("k{}", now()), text));
        let found = async || self.incidents().await;
        let fits = |one: &Value| one["topic"] == topic || one["topic"] == "restricted" && topic == TOPIC;
        let all: Vec<Value> = self.daemon.until(found, |found: &Vec<Value>| found.iter().any(fits)).await;
        all.into_iter().find(fits).unwrap()
    }

    async fn incidents(&self) -> Vec<Value> {
        self.daemon.get("/api/v1/incidents").await.as_array().unwrap().clone()
    }
}

/// The diff that a page shows, as whoever applies it has it.
fn diff_of(page: &str) -> String {
    let (_, diff) = page.split_once("<pre class=\"diff\"").unwrap_or_else(|| panic!("{page}"));
    let (_, diff) = diff.split_once('>').unwrap();
    let escaped = [("&#39;", "'"), ("&#34;", "\""), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")];
    let diff = diff.split("</pre>").next().unwrap().to_owned();
    escaped.into_iter().fold(diff, |text, (escaped, char)| text.replace(escaped, char))
}

/// Somebody who is signed in.
struct Visitor {
    root: String,
    client: Client,
    cookies: BTreeMap<String, String>,
}

impl Visitor {
    async fn first(daemon: &Daemon) -> Self {
        let line = daemon.says("this link makes the first one").await;
        let (_, rest) = line.split_once("/invited/").unwrap();
        let secret: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-' || *c == '_').collect();
        let client =
            Client::builder().no_proxy().redirect(redirect::Policy::none()).tls_certs_only([]).build().unwrap();
        let root = format!("http://127.0.0.1:{}", daemon.port());
        let mut visitor = Self { root, client, cookies: BTreeMap::new() };
        let form = [("name", "ann"), ("password", PASSWORD), ("again", PASSWORD)];
        assert_eq!(visitor.post(&format!("/invited/{secret}"), &form).await.0, StatusCode::SEE_OTHER);
        visitor
    }

    async fn ask(&mut self, method: Method, path: &str, form: Option<&[(&str, &str)]>) -> (StatusCode, String) {
        let mut request = self.client.request(method, format!("{}{path}", self.root));
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request = request.header("cookie", cookies.join("; ")).header("origin", self.root.clone());
        if let Some(form) = form {
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let answer = request.send().await.unwrap();
        for set in answer.headers().get_all(SET_COOKIE) {
            let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        (answer.status(), answer.text().await.unwrap())
    }

    async fn get(&mut self, path: &str) -> (StatusCode, String) {
        self.ask(Method::GET, path, None).await
    }

    async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> (StatusCode, String) {
        self.ask(Method::POST, path, Some(form)).await
    }

    async fn order(&mut self, path: &str, form: &[(&str, &str)]) -> (StatusCode, String) {
        let page = self.get("/silences").await.1;
        let key = page.split("name=\"key\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        self.post(path, &[form, &[("key", &key)]].concat()).await
    }
}

fn is_clean(text: &str, of: &str) {
    for planted in [PLANTED, AUTHOR, "plantednote"] {
        assert!(!text.contains(planted), "{planted} is in {of}: {text}");
    }
}

/// Every page and every answer, to an admin who may not read it and to the token.
async fn every_address_is_clean(world: &World, ann: &mut Visitor, id: &str) {
    for route in addresses(Arc::new(Pretended::default())) {
        let Needs::Role(_) = route.needs else { continue };
        if route.method != "GET" || route.path == "/api/v1/events" || route.path.starts_with("/api/v1/desk") {
            continue;
        }
        let rule = format!("{TOPIC}.rule");
        let path = route.path.replace("{id}", if route.path.starts_with("/rules") { &rule } else { id });
        for query in ["", "?q=jump", "?q=parking", "?format=json", "?q=I&format=csv"] {
            if query.is_empty() || route.path.contains("search") {
                let (status, text) = ann.get(&format!("{path}{query}")).await;
                assert!(status != StatusCode::INTERNAL_SERVER_ERROR, "{path}{query}: {text}");
                is_clean(&text, &format!("{path}{query} ({status})"));
            }
        }
        if path.starts_with("/api/") {
            let (_, text) = world.daemon.ask(Method::GET, &path, "").await;
            is_clean(&text, &format!("{path} by the token"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_restricted_is_nowhere_but_before_those_who_may_read_it() {
    let world = World::new().await;
    let mut ann = Visitor::first(&world.daemon).await;
    // Somebody looks on, as a screen on a wall does.
    let mut events =
        ann.client.get(format!("{}/api/v1/events", ann.root)).bearer_auth(crate::support::daemon::API_TOKEN);
    events = events.header("accept", "text/event-stream");
    let mut events = events.send().await.unwrap();
    world.says("did:plc:bob", "parking is full", "service").await;
    let there = world.says(AUTHOR, &format!("I will jump {PLANTED}"), TOPIC).await;
    let id = there["id"].as_str().unwrap().to_owned();
    assert_eq!((&there["title"], &there["severity"]), (&"Restricted incident".into(), &"critical".into()));
    assert_eq!((&there["posts"], &there["rules"]), (&0.into(), &Value::Array(vec![])));
    let note = format!("{{\"by\": \"api\", \"text\": \"plantednote {PLANTED}\"}}");
    let noted = world.daemon.ask(Method::POST, &format!("/api/v1/incidents/{id}/note"), &note).await;
    assert_eq!(noted.0, StatusCode::OK);
    is_clean(&noted.1, "the answer to an order");

    let mut seen = String::new();
    while !seen.contains(&id) {
        seen.push_str(&String::from_utf8_lossy(&events.chunk().await.unwrap().expect("it goes on")));
    }
    is_clean(&seen, "the stream of events");
    let told =
        async || world.hook.requests().iter().filter(|one| String::from_utf8_lossy(&one.body).contains(&id)).count();
    world.daemon.until(told, |told| *told > 0).await;
    for request in world.hook.requests() {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        is_clean(&body, "a message");
        assert!(!body.contains(TOPIC), "{body}");
        if body.contains(&id) {
            assert_eq!(request.json()["incident"]["sample"], Value::Array(vec![]));
        } else {
            assert!(body.contains(MARK), "what is not restricted is told in full: {body}");
        }
    }

    // Nobody signs in to read what is measured.
    let (_, metrics) = world.daemon.ask(Method::GET, "/metrics", "").await;
    assert!(metrics.contains(r#"stormbell_alerts_total{rule="restricted"} 1"#), "{metrics}");
    assert!(!metrics.contains("duty-of-care."), "{metrics}");

    every_address_is_clean(&world, &mut ann, &id).await;
    let service = "/rules/service.rule";
    for form in [&[("do", "try"), ("query", "jump OR parking OR i")][..], &[("do", "preview"), ("query", "jump")]] {
        let (status, text) = ann.order(service, form).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        is_clean(&text, "a try");
    }
    let (_, text) = ann
        .order("/silences", &[("match", "severity=critical"), ("for", "2h"), ("reason", "x"), ("do", "preview")])
        .await;
    assert!(text.contains("It would have muted 0 of the 1"), "{text}");
    for action in ["ack", "resolve", "judge"] {
        let (status, _) = ann.order(&format!("/incidents/{id}/{action}"), &[("real", "no")]).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{action}");
    }
    assert_eq!(world.daemon.get(&format!("/api/v1/incidents/{id}")).await["state"], "open");

    // Whoever may, does.
    let (status, _) = ann.order("/access/restricted", &[("name", "ann"), ("may", "yes")]).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    for path in [
        format!("/incidents/{id}"),
        "/search?q=jump".to_owned(),
        "/search/export?q=jump".to_owned(),
        "/api/v1/search?q=jump".to_owned(),
        "/audit".to_owned(),
    ] {
        let (status, text) = ann.get(&path).await;
        assert!(status == StatusCode::OK && text.contains(PLANTED), "{path}: {status} {text}");
    }
    let (_, text) = ann.order(service, &[("do", "try"), ("query", "jump OR parking")]).await;
    assert!(text.contains(PLANTED), "{text}");
    is_clean(&world.daemon.log(), "the log");
    world.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_lane_took_is_not_shown_by_an_ordinary_incident_either() {
    let world = World::new().await;
    let mut ann = Visitor::first(&world.daemon).await;
    // The first post of all: what a message would show is this one.
    let there = world.says(AUTHOR, &format!("I complain and I will jump {PLANTED}"), "feedback").await;
    let id = there["id"].as_str().unwrap().to_owned();
    world.says("did:plc:bob", "I complain of the food", "feedback").await;
    let counted = async || world.daemon.get(&format!("/api/v1/incidents/{id}")).await;
    let ordinary = world.daemon.until(counted, |one| one["posts"] == 2).await;
    assert!(ordinary["topic"] == "feedback" && ordinary.to_string().contains("the food"), "{ordinary}");
    assert_eq!(
        world.daemon.ask(Method::POST, &format!("/api/v1/incidents/{id}/resolve"), "{\"by\": \"api\"}").await.0,
        200
    );
    let told = async || {
        let all = world.hook.requests();
        let ordinary = all.iter().map(crate::support::sink::Request::json).filter(|one| one["incident"]["id"] == *id);
        ordinary.map(|one| one["type"].clone()).collect::<Vec<_>>()
    };
    world.daemon.until(told, |told| told.iter().any(|kind| kind == "incident.resolved")).await;
    for request in world.hook.requests() {
        is_clean(&String::from_utf8_lossy(&request.body), "a message");
    }

    every_address_is_clean(&world, &mut ann, &id).await;
    let report = format!("/api/v1/incidents/{id}/report?posts=true");
    for path in [report.clone(), format!("{report}&as=html"), format!("/incidents/{id}/report?posts=yes")] {
        let (status, text) = ann.get(&path).await;
        assert!(status == StatusCode::OK && text.contains("the food"), "{path}: {status} {text}");
        is_clean(&text, &path);
        if path.starts_with("/api/") {
            is_clean(&world.daemon.ask(Method::GET, &path, "").await.1, &format!("{path} by the token"));
        }
    }
    is_clean(&world.daemon.log(), "the log");
    let log = world.daemon.log(); // at its start it says what is odd about rules, by their names
    let told: Vec<&str> = log.lines().filter(|line| line.contains("event=") && line.contains(TOPIC)).collect();
    assert!(told.is_empty(), "{told:?}");

    // Whoever may read the lane, reads the post wherever it counts.
    let (status, _) = ann.order("/access/restricted", &[("name", "ann"), ("may", "yes")]).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    for path in [format!("/incidents/{id}"), format!("/api/v1/incidents/{id}"), report] {
        let (status, text) = ann.get(&path).await;
        assert!(status == StatusCode::OK && text.contains(PLANTED), "{path}: {status} {text}");
    }
    world.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_judged_tried_and_changed_by_a_diff_alone() {
    let world = World::new().await;
    let mut ann = Visitor::first(&world.daemon).await;
    for who in ["did:plc:bob", "did:plc:eve"] {
        world.says(who, "parking at the lasertag arena", "service").await;
    }
    let counted = async || world.incidents().await[0]["posts"].clone();
    world.daemon.until(counted, |posts| *posts == 2).await;
    let id = world.incidents().await[0]["id"].as_str().unwrap().to_owned();
    let before = std::fs::read_to_string(world.place.path("rules/test.toml")).unwrap();
    let (status, _) = ann.order(&format!("/incidents/{id}/judge"), &[("real", "no"), ("text", "games")]).await;
    assert_eq!(status, StatusCode::SEE_OTHER);
    let rule = "/rules/service.rule";
    let (_, page) = ann.get(rule).await;
    for words in [
        "in force",
        "Every such post fires it",
        "Judged noise: 1;",
        "takes out all 2 posts that were judged noise",
        "+except = [{ reason = &#39;games&#39;, query = &#39;arena&#39; }]",
        "It has no tests",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let (_, page) = ann.get("/audit").await;
    assert!(page.contains("incident.judged_noise") && page.contains("games"), "{page}");

    let change = [("query", "parking"), ("except", "arena"), ("reason", "games"), ("text", "no parking today")];
    let (status, page) = ann.order(rule, &[&change[..], &[("do", "try")]].concat()).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    for words in
        ["It takes 0 of the 2 newest", "It takes no longer", "<mark>arena</mark>", "except “games”", "Takes it."]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    let (_, page) = ann.order(rule, &[&change[..], &[("do", "preview")]].concat()).await;
    assert!(page.contains("Alerts of the change: 0; of the rule in force: 2; on 2 posts"), "{page}");
    let (_, page) = ann.order(rule, &[("do", "try"), ("query", "parking NEAR/2 arena")]).await;
    assert!(
        page.contains("It nearly takes") && page.contains("there are 2 words between")
            || page.contains("words between"),
        "{page}"
    );
    let (status, page) = ann.order(rule, &[("do", "try"), ("query", "parking (")]).await;
    assert!(status == StatusCode::UNPROCESSABLE_ENTITY && page.contains("role=\"alert\""), "{page}");
    assert_eq!(
        std::fs::read_to_string(world.place.path("rules/test.toml")).unwrap(),
        before,
        "nobody writes rules here"
    );

    // What the page shows is what whoever may write the file applies.
    let (_, page) = ann.order(rule, &[&change[..], &[("do", "try")]].concat()).await;
    let diff = diff_of(&page);
    world.place.write("change.diff", &diff);
    let mut patch = Command::new("patch");
    let patched = patch.args(["-p1", "-d", "/", "-i"]).arg(world.place.path("change.diff")).output();
    if patched.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        println!("the diff was not applied: there is no patch on this machine");
    } else {
        let patched = patched.unwrap();
        assert!(patched.status.success(), "{}{diff}", String::from_utf8_lossy(&patched.stdout));
        world.daemon.signal("HUP");
        world.daemon.says("configuration reloaded").await;
        let (_, page) = ann.get(rule).await;
        assert!(page.contains("<dt>games</dt><dd><code>arena</code></dd>"), "in force: {page}");
    }
    world.daemon.stop().await;
}
