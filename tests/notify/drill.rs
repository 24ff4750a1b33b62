//! A drill through the built program: it goes the whole way, says in every message that it is one, and hides nothing
//! real (invariant 9).

use std::process::{Command, Output, Stdio};

use crate::support::daemon::{Config, Daemon, HOOK, Place, now, say};
use crate::support::jetstream::{Script, SimJetstream};
use crate::support::sink::SimSink;
use serde_json::Value;
use stormbell::domain::time::Timestamp;
use tokio::task::JoinSet;

const ROUTE: &str = "[[route]]\nsteps = [{ notify = [\"pager\"], ack_within = \"1h\" }, { notify = [\"hook\"] }]\ncontinue = true\n\
                     [[route]]\nsteps = [{ notify = [\"hook\"] }]\n";

/// A rule that takes the drill's posts and real ones, beside nothing else.
fn rules() -> Vec<String> {
    vec![
        "[[rule]]\nid = \"threat.gunman\"\ntitle = \"Gunman at our site\"\nseverity = \"critical\"\ntopic = \"threat\"\n\
         query = '$org (gunman OR shooter)'\ncount = { at_least = 2, distinct = \"author\", within = \"10m\" }\n\n"
            .to_owned(),
    ]
}

struct World {
    stream: SimJetstream,
    sink: SimSink,
    place: Place,
    config: Config,
}

impl World {
    async fn new() -> Self {
        Self::with("").await
    }

    /// With more of a configuration.
    async fn with(more: &str) -> Self {
        let stream = SimJetstream::start(Script::default()).await;
        let sink = SimSink::start().await;
        let config = Config::new(&stream.url(), "").pager(&sink.url("/v2/enqueue")).webhook("hook", &sink.url(HOOK));
        let config = config.and(ROUTE);
        let place = Place::new(&config.clone().and(more), &rules());
        Self { stream, sink, place, config }
    }

    /// A command for the running daemon.
    fn cli(&self, daemon: &Daemon, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.place.command().get_program());
        command.env_clear().env("HOME", self.place.path("")).args(arguments);
        command
            .args(["--url", &format!("http://127.0.0.1:{}", daemon.port()), "--token-file"])
            .arg(self.place.path("token"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    async fn run(mut command: Command) -> Output {
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// Bodies that were taken: of the hook, and of the pager.
    fn taken(&self) -> (Vec<Value>, Vec<Value>) {
        let requests = self.sink.requests();
        let bodies = |is_hook| {
            let of = requests.iter().filter(move |request| request.taken && request.line.contains(HOOK) == is_hook);
            of.map(crate::support::sink::Request::json).collect()
        };
        (bodies(true), bodies(false))
    }

    fn real_crisis(&self) {
        for author in ["ann", "bob"] {
            let text = "gunman at St. Brigid's Hospital";
            self.stream.push(say(now(), &format!("did:plc:{author}"), &format!("k{author}"), text));
        }
    }
}

/// The incidents of that kind.
async fn incidents(daemon: &Daemon, exercise: bool) -> Vec<Value> {
    daemon.incidents("threat").await.into_iter().filter(|incident| incident["exercise"] == exercise).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exercise_goes_the_whole_way_is_marked_everywhere_and_hides_nothing_real() {
    let world = World::new().await;
    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    let mut drill = JoinSet::new();
    drill.spawn(World::run(world.cli(&daemon, &["drill", "active-threat", "--by", "ann", "--json"])));
    let exercise = daemon.until(async || incidents(&daemon, true).await, |found| found.len() == 1).await.remove(0);

    // A real one meanwhile is an incident of its own, told at once and in full.
    world.real_crisis();
    let real = daemon.until(async || incidents(&daemon, false).await, |found| found.len() == 1).await.remove(0);
    assert_ne!(real["id"], exercise["id"]);
    assert_eq!((&real["title"], &real["posts"]), (&"Gunman at our site".into(), &2.into()));
    assert_eq!(exercise["title"], "EXERCISE: Gunman at our site");
    daemon.until(async || world.sink.alerts().len(), |alerts| *alerts == 2).await;
    let second = World::run(world.cli(&daemon, &["drill", "fire", "--by", "bob"])).await;
    assert_eq!(second.status.code(), Some(1), "one at a time");

    daemon.act(exercise["id"].as_str().unwrap(), "ack").await;
    let report = drill.join_next().await.unwrap().unwrap();
    assert_eq!(report.status.code(), Some(0), "{report:?}");
    let line: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!((&line["acknowledged"], &line["acknowledged_by"]), (&true.into(), &"Ann".into()));
    assert!(line["acknowledged_after_seconds"].as_f64().unwrap() >= 0.0);
    let receipts = line["receipts"].as_array().unwrap();
    assert!(
        receipts
            .iter()
            .any(|r| r["receiver"] == "pager" && r["state"] == "delivered" && r["after_seconds"].is_number()),
        "{line:#}"
    );

    // It ended, the real one did not; nobody of the real one was told that somebody has it.
    let resolved = async || incidents(&daemon, true).await[0]["state"].clone();
    daemon.until(resolved, |state| *state == "resolved").await;
    assert_eq!(incidents(&daemon, false).await[0]["state"], "open");
    let alerts = world.sink.alerts();
    let alert = |incident: &Value| {
        alerts.iter().find(|((_, key), _)| key.ends_with(incident["id"].as_str().unwrap())).unwrap().1
    };
    assert!(alert(&real).open && !alert(&real).acknowledged);
    let (hook, pager) = world.taken();
    for body in &hook {
        let (title, marked) = (body["incident"]["title"].as_str().unwrap(), body["incident"]["exercise"] == true);
        assert_eq!(
            (marked, title.starts_with("EXERCISE")),
            (body["incident"]["id"] == exercise["id"], marked),
            "{body:#}"
        );
        assert!(!marked || body["incident"]["sample"] == Value::Array(Vec::new()), "{body:#}");
    }
    for body in pager.iter().filter(|body| body["event_action"] == "trigger") {
        let of_exercise = body["dedup_key"].as_str().unwrap().ends_with(exercise["id"].as_str().unwrap());
        let summary = body["payload"]["summary"].as_str().unwrap();
        assert_eq!(summary.starts_with("EXERCISE "), of_exercise, "{summary}");
        assert_eq!(summary.matches("EXERCISE").count(), usize::from(of_exercise), "said once: {summary}");
    }
    assert!(daemon.metric(r#"stormbell_alerts_total{rule="threat.gunman"}"#).await <= 1.0, "a drill does not count");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exercise_that_outlives_a_crash_is_still_one_and_takes_no_real_alert() {
    let world = World::new().await;
    let mut daemon = world.place.start().await;
    daemon.says("source connected").await;
    world.stream.push(say(now(), "did:plc:first", "k", "nothing"));
    daemon.read_frames(1).await;
    let body = r#"{"scenario":"active-threat","by":"ann"}"#;
    let (status, text) = daemon.ask(reqwest::Method::POST, "/api/v1/drills", body).await;
    assert_eq!(status.as_u16(), 201, "{text}");
    daemon.until(async || world.sink.alerts().len(), |alerts| *alerts == 1).await;
    daemon.kill().await;

    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    world.real_crisis();
    let real = daemon.until(async || incidents(&daemon, false).await, |found| found.len() == 1).await.remove(0);
    let exercise = incidents(&daemon, true).await.remove(0);
    assert_eq!((&real["posts"], &exercise["state"]), (&2.into(), &"open".into()));
    daemon.act(exercise["id"].as_str().unwrap(), "resolve").await;
    daemon.until(async || world.sink.alerts().values().filter(|alert| alert.open).count(), |open| *open == 1).await;
    assert_eq!(incidents(&daemon, false).await[0]["state"], "open");
    let status = daemon.get("/api/v1/status").await;
    assert_eq!(status["open"], 1, "a drill does not count");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_that_nobody_answers_fails_and_one_that_no_rule_takes_says_so() {
    let world = World::new().await;
    let daemon = world.place.start().await;
    let unanswered = World::run(world.cli(&daemon, &["drill", "active-threat", "--by", "ann", "--wait", "1s"])).await;
    let text = String::from_utf8(unanswered.stdout).unwrap();
    assert_eq!(unanswered.status.code(), Some(1), "{text}");
    assert!(text.contains("NOBODY took charge") && text.contains("pager"), "{text}");
    daemon.until(async || incidents(&daemon, true).await[0]["state"].clone(), |state| *state == "resolved").await;
    for (scenario, says) in [("fire", "no rule in force takes this scenario"), ("tea", "there are active-threat")] {
        let refused = World::run(world.cli(&daemon, &["drill", scenario, "--by", "ann"])).await;
        let text = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1));
        assert!(text.contains(says), "{text}");
    }
    daemon.stop().await;
}

/// A drill whose time is the present minute.
fn due() -> String {
    let now = Timestamp::from_micros(now()).to_string();
    let (day, time) = now.split_once('T').unwrap();
    let time = time.split_at(5).0;
    format!(
        "[[drill]]\nscenario = \"active-threat\"\nat = \"{time}\"\nevery = \"28d\"\nstart = \"{day}\"\ntimezone = \"UTC\"\nby = \"carl\"\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_begins_by_itself_once_and_how_it_went_is_on_record() {
    let world = World::with(&due()).await;
    let mut daemon = world.place.start().await;
    let found = daemon.until(async || incidents(&daemon, true).await, |found| !found.is_empty()).await;
    let id = found[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(found[0]["title"], "EXERCISE: Gunman at our site");
    // A crash in the middle of it: it goes on, and is no second one.
    daemon.until(async || world.sink.alerts().len(), |alerts| *alerts == 1).await;
    daemon.kill().await;
    let daemon = world.place.start().await;
    daemon.act(&id, "ack").await;
    daemon.says("exercise over, somebody took charge").await;
    let found = incidents(&daemon, true).await;
    assert_eq!((found.len(), &found[0]["state"], &found[0]["resolved"]["by"]), (1, &"resolved".into(), &"carl".into()));
    daemon.stop().await;

    let daemon = world.place.start().await;
    let why = daemon.says("no exercise at its time").await;
    assert!(why.contains("an exercise was held since"), "{why}");
    assert_eq!(incidents(&daemon, true).await.len(), 1);
    let history = World::run(world.cli(&daemon, &["drill", "--history", "--json"])).await;
    assert_eq!(history.status.code(), Some(0), "{history:?}");
    let line: Value = serde_json::from_slice(&history.stdout).unwrap();
    assert_eq!((&line["incident"], &line["acknowledged_by"]), (&id.clone().into(), &"Ann".into()));
    assert!(
        line["receipts"]
            .as_array()
            .unwrap()
            .iter()
            .any(|one| one["receiver"] == "pager" && one["state"] == "delivered")
    );
    assert!(String::from_utf8_lossy(&history.stderr).contains("next: active-threat at 20"), "{history:?}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_drill_begins_beside_something_real() {
    let world = World::with("").await;
    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    world.real_crisis();
    daemon.until(async || incidents(&daemon, false).await, |found| found.len() == 1).await;
    daemon.stop().await;
    world.place.configure(&world.config.clone().and(&due()));
    let daemon = world.place.start().await;
    let why = daemon.says("no exercise at its time").await;
    assert!(why.contains("something real is under way: Gunman at our site"), "{why}");
    assert!(incidents(&daemon, true).await.is_empty());
    daemon.stop().await;
}
