//! What people do with an incident in `PagerDuty`'s app is done here, through the built program.

use crate::support::daemon::{Config, Daemon, HOOK, HOOK_SECRET, Place, now, say, word_rule};
use crate::support::jetstream::{Script, SimJetstream};
use crate::support::sink::{SimSink, signature, user, webhook};
use reqwest::Client;
use serde_json::{Value, json};
use stormbell::app::clock::SystemClock;
use stormbell::domain::time::Clock;

/// The pager first; whoever waits for an answer is rung by the hook.
const ROUTE: &str =
    "[[route]]\nsteps = [{ notify = [\"pager\", \"desk\"], ack_within = \"10s\" }, { notify = [\"hook\"] }]\n";

struct World {
    stream: SimJetstream,
    pager: SimSink,
    sink: SimSink,
    place: Place,
}

impl World {
    async fn new() -> Self {
        let (stream, pager) = (SimJetstream::start(Script::default()).await, SimSink::start().await);
        let sink = SimSink::start().await;
        let config = Config::new(&stream.url(), "").pager_that_answers(&pager.url("/v2/enqueue"));
        let config = config.webhook("desk", &sink.url("/desk")).webhook("hook", &sink.url(HOOK)).and(ROUTE);
        let rules = [word_rule("fire", "fire", "high"), word_rule("flood", "flood", "high"), graver()];
        Self { stream, pager, sink, place: Place::new(&config, &rules) }
    }

    async fn start(&self) -> Daemon {
        let daemon = self.place.start().await;
        daemon.says("source connected").await;
        daemon
    }

    fn say(&self, text: &str) {
        self.stream.push(say(now(), "did:plc:ann", &format!("k{}", now()), text));
    }

    /// Somebody says that word; the incident, once the pager has it.
    async fn happens(&self, daemon: &Daemon, topic: &str) -> String {
        self.say(topic);
        let found = daemon.until(async || daemon.incidents(topic).await, |found| !found.is_empty()).await.remove(0);
        let id = found["id"].as_str().unwrap().to_owned();
        daemon.until(async || self.alert(&id), |alert| alert.is_some_and(|(open, _)| open)).await;
        id
    }

    /// What the pager shows of an incident: whether it is open, and taken.
    fn alert(&self, incident: &str) -> Option<(bool, bool)> {
        let alerts = self.pager.alerts();
        let (_, alert) = alerts.iter().find(|((_, key), _)| *key == format!("stormbell/{incident}"))?;
        Some((alert.open, alert.acknowledged))
    }

    /// What the others were told of an incident, `/desk incident.opened`.
    fn told(&self, incident: &str) -> Vec<String> {
        let of_it = self.sink.requests().into_iter().filter(|request| request.json()["incident"]["id"] == incident);
        let said = |request: crate::support::sink::Request| {
            let path = request.line.split(' ').nth(1).unwrap().to_owned();
            format!("{path} {}", request.json()["type"].as_str().unwrap())
        };
        of_it.map(said).collect()
    }

    fn events_for_the_pager(&self, incident: &str) -> Vec<Value> {
        let of_it = self.pager.requests().into_iter().map(|request| request.json());
        of_it
            .filter(|body| body["dedup_key"] == format!("stormbell/{incident}"))
            .map(|body| body["event_action"].clone())
            .collect()
    }
}

/// A rule that makes more of a fire.
fn graver() -> String {
    word_rule("fire", "explosion", "critical").replace("fire.rule", "fire.explosion")
}

/// What the pager sends, as it signs it.
async fn send(daemon: &Daemon, body: &str) -> u16 {
    let client = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let request = client.post(format!("http://127.0.0.1:{}/hooks/pagerduty/pager", daemon.port()));
    let request = request.header("host", "bell.hospital.example").header("x-webhook-id", "01DTLG");
    let request = request.header("x-pagerduty-signature", signature(HOOK_SECRET, body)).body(body.to_owned());
    request.send().await.unwrap().status().as_u16()
}

fn present() -> String {
    SystemClock.now().to_string()
}

async fn incident(daemon: &Daemon, id: &str) -> Value {
    daemon.get(&format!("/api/v1/incidents/{id}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_it_in_the_pagers_app_has_it_here_and_the_pager_hears_no_echo() {
    let world = World::new().await;
    let daemon = world.start().await;
    let fire = world.happens(&daemon, "fire").await;
    // Our own call to the Events API comes back as well, and is nobody's answer.
    let program = json!({ "type": "events_api_v2_inbound_integration_reference", "summary": "stormbell" });
    assert_eq!(send(&daemon, &webhook("acknowledged", &fire, &present(), &program)).await, 202);
    assert_eq!(incident(&daemon, &fire).await["state"], "open");

    let taken = webhook("acknowledged", &fire, &present(), &user("Ann Example"));
    assert_eq!(send(&daemon, &taken).await, 204);
    let found = incident(&daemon, &fire).await;
    assert_eq!((&found["state"], &found["acknowledged"]["by"]), (&"acknowledged".into(), &"Ann Example".into()));
    let entry = found["timeline"].as_array().unwrap().iter().find(|entry| entry["what"] == "acknowledged").unwrap();
    assert_eq!(entry["text"], "in PagerDuty (pager)");
    daemon.until(async || world.told(&fire), |told| told.contains(&"/desk incident.acknowledged".to_owned())).await;

    // Nobody is rung any more, while of another one the next step is; then a day is over and the end is told.
    let flood = world.happens(&daemon, "flood").await;
    daemon.until(async || world.told(&flood), |told| told.iter().any(|one| one.starts_with(HOOK))).await;
    assert_eq!(world.told(&fire), ["/desk incident.opened", "/desk incident.acknowledged"]);
    assert_eq!(send(&daemon, &webhook("resolved", &fire, &present(), &user("Ann Example"))).await, 204);
    let found = incident(&daemon, &fire).await;
    assert_eq!((&found["state"], &found["resolved"]["by"]), (&"resolved".into(), &"Ann Example".into()));
    daemon.until(async || world.alert(&fire), |alert| *alert == Some((false, false))).await;
    assert_eq!(world.events_for_the_pager(&fire), ["trigger", "resolve"], "who has it, the pager said itself");
    let counted = daemon.metric("stormbell_answers_total{receiver=\"pager\",outcome=\"done\"}").await;
    assert!(counted > 1.5, "{counted}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_again_or_too_late_changes_nothing_also_after_a_crash() {
    let world = World::new().await;
    let mut daemon = world.start().await;
    let fire = world.happens(&daemon, "fire").await;
    let taken = webhook("acknowledged", &fire, &present(), &user("Ann Example"));
    let over = webhook("resolved", &fire, &present(), &user("Ann Example"));
    assert_eq!(send(&daemon, &taken).await, 204);
    daemon.kill().await; // 204 came after it was on disk

    let mut daemon = world.start().await;
    assert_eq!(incident(&daemon, &fire).await["acknowledged"]["by"], "Ann Example");
    assert_eq!(send(&daemon, &taken).await, 204);
    let acknowledged = async |daemon: &Daemon| {
        let found = incident(daemon, &fire).await;
        found["timeline"].as_array().unwrap().iter().filter(|entry| entry["what"] == "acknowledged").count()
    };
    assert_eq!(acknowledged(&daemon).await, 1);

    // It becomes graver, and is open again: what was said of it before is outdated, however often it comes.
    world.say("explosion");
    let state = async || incident(&daemon, &fire).await["state"].clone();
    daemon.until(state, |state| state == "open").await;
    for late in [&taken, &over] {
        assert_eq!(send(&daemon, late).await, 204);
    }
    assert_eq!(incident(&daemon, &fire).await["state"], "open");
    daemon.kill().await;
    let daemon = world.start().await;
    assert_eq!(send(&daemon, &over).await, 204);
    assert_eq!(incident(&daemon, &fire).await["state"], "open");
    assert_eq!(send(&daemon, &webhook("resolved", &fire, &present(), &user("Ann Example"))).await, 204);
    assert_eq!(incident(&daemon, &fire).await["state"], "resolved");

    // What is over is not for us any more, and PagerDuty must not give the hook up for it.
    for again in [&taken, &over] {
        assert_eq!(send(&daemon, again).await, 202);
    }
    assert_eq!(send(&daemon, &over.replace("resolved", "reopened")).await, 202);
    assert_eq!(incident(&daemon, &fire).await["state"], "resolved");
    daemon.stop().await;
}
