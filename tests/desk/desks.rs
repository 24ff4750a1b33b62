//! Desks and the daemon: the built program, its socket and WebSocket, and desks that have no screen.

use std::path::PathBuf;
use std::time::Duration;

use crate::support::PATIENCE;
use crate::support::child::{Process, Reads};
use crate::support::daemon::{API_TOKEN, Config, Daemon, HOOK, MARK, Place, now, say, word_rule};
use crate::support::jetstream::{Script, SimJetstream};
use crate::support::sink::SimSink;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};

/// First the desks; nobody took charge within a second: the hook.
const ROUTE: &str = "[[route]]\nsteps = [{ notify = [\"desks\"], ack_within = \"20s\" }, { notify = [\"hook\"] }]\n[desk]\nsocket = \"desk.sock\"\n";

struct World {
    stream: SimJetstream,
    hook: SimSink,
    config: Config,
    place: Place,
}

impl World {
    async fn new(route: &str) -> Self {
        let stream = SimJetstream::start(Script::default()).await;
        let hook = SimSink::start().await;
        let config =
            Config::new(&stream.url(), "").receiver("desks", "kind = \"desktop\"").webhook("hook", &hook.url(HOOK));
        let rules = [word_rule("threat", "gunman", "critical"), word_rule("flood", "flooding", "high")];
        let config = config.and(route);
        Self { place: Place::new(&config, &rules), stream, hook, config }
    }

    async fn start(&self) -> Daemon {
        let daemon = self.place.start().await;
        daemon.says("source connected").await;
        daemon
    }

    fn post(&self, key: &str, text: &str) {
        self.stream.push(say(now(), &format!("did:plc:{key}"), key, text));
    }

    fn socket(&self) -> PathBuf {
        self.place.path("desk.sock")
    }

    async fn desk(&self) -> Desk {
        self.desk_that_knows(&json!({})).await
    }

    /// One that remembers revisions of incidents.
    async fn desk_that_knows(&self, last: &Value) -> Desk {
        let mut desk = Desk::connect(&self.socket()).await;
        desk.say(&json!({"type": "hello", "version": 1, "user": "liar", "last": last})).await;
        let hello = desk.hears("hello").await;
        assert_eq!(hello["version"], 1);
        desk.user = hello["user"].as_str().unwrap().to_owned();
        desk
    }
}

/// A desk without a screen.
struct Desk {
    reads: Lines<BufReader<OwnedReadHalf>>,
    writes: OwnedWriteHalf,
    user: String,
}

impl Desk {
    async fn connect(socket: &std::path::Path) -> Self {
        let stream = loop {
            match UnixStream::connect(socket).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await, // it may not listen yet
            }
        };
        let (reads, writes) = stream.into_split();
        Self { reads: BufReader::new(reads).lines(), writes, user: String::new() }
    }

    async fn say(&mut self, frame: &Value) {
        self.writes.write_all(format!("{frame}\n").as_bytes()).await.unwrap();
    }

    /// The next frame that is no ping; nothing when the daemon hung up.
    async fn next(&mut self) -> Option<Value> {
        loop {
            let line = timeout(PATIENCE, self.reads.next_line()).await.expect("the daemon says nothing").ok()??;
            let frame: Value = serde_json::from_str(&line).unwrap();
            if frame["type"] != "ping" {
                return Some(frame);
            }
        }
    }

    async fn hears(&mut self, kind: &str) -> Value {
        let frame = self.next().await.expect("the daemon hung up");
        assert_eq!(frame["type"], kind, "{frame}");
        frame
    }

    async fn shown(&mut self, show: &Value) {
        self.say(&json!({"type": "shown", "incident": show["incident"], "revision": show["revision"]})).await;
    }

    async fn acknowledge(&mut self, show: &Value) {
        self.say(&json!({"type": "action", "incident": show["incident"], "key": "acknowledge"})).await;
    }
}

/// How many are connected, as monitoring has it.
async fn desks(daemon: &Daemon) -> String {
    daemon.metric("stormbell_desks").await.to_string()
}

/// What became of the messages to the desks about an incident: kind and state.
async fn deliveries(daemon: &Daemon, incident: &Value) -> Vec<(String, String)> {
    let rows = daemon.get(&format!("/api/v1/incidents/{}/deliveries", incident.as_str().unwrap())).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of_desks = rows.as_array().unwrap().iter().filter(|row| row["receiver"] == "desks");
    of_desks.map(|row| (text(&row["kind"]), text(&row["state"]))).collect()
}

async fn is_delivered(daemon: &Daemon, incident: &Value, kind: &str) {
    let wanted = (kind.to_owned(), "delivered".to_owned());
    daemon.until(async || deliveries(daemon, incident).await, |rows| rows.contains(&wanted)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_desk_shows_is_delivered_and_its_button_stops_the_escalation_for_all() {
    let world = World::new(ROUTE).await;
    let daemon = world.start().await;
    let (mut ann, mut bob) = (world.desk().await, world.desk().await);
    assert_eq!(desks(&daemon).await, "2");
    let status = daemon.get("/api/v1/status").await;
    assert_eq!(status["desks"], json!([ann.user, ann.user]), "the system says who it is, not the desk");
    assert_ne!(ann.user, "liar");

    world.post("k1", "gunman at St Brigids <b>\u{202e}");
    let show = ann.hears("show").await;
    assert_eq!(show, bob.hears("show").await);
    assert_eq!((&show["state"], &show["urgency"]), (&"open".into(), &"critical".into()));
    assert_eq!(show["title"], "CRITICAL: threat reported");
    let body = show["body"].as_str().unwrap();
    assert!(body.contains(MARK) && body.contains("<b>") && !body.contains('\u{202e}'), "{body:?}");
    assert_eq!(deliveries(&daemon, &show["incident"]).await[0].1, "leased", "shown by nobody yet");
    ann.shown(&show).await;
    is_delivered(&daemon, &show["incident"], "incident.opened").await;

    bob.acknowledge(&show).await;
    let by = bob.user.clone();
    for desk in [&mut ann, &mut bob] {
        let taken = desk.hears("show").await;
        assert_eq!((&taken["incident"], &taken["state"]), (&show["incident"], &"acknowledged".into()));
        assert!(taken["body"].as_str().unwrap().contains(&format!("Taken by: {by}")), "{taken}");
    }
    let incident = daemon.get(&format!("/api/v1/incidents/{}", show["incident"].as_str().unwrap())).await;
    assert_eq!((&incident["state"], &incident["acknowledged"]["by"]), (&"acknowledged".into(), &by.into()));
    is_delivered(&daemon, &show["incident"], "incident.acknowledged").await;

    // Somebody was faster: nothing happens. An incident that is none: the desk hears why not.
    ann.acknowledge(&show).await;
    ann.say(&json!({"type": "action", "incident": "inc-none", "key": "acknowledge"})).await;
    assert_eq!(ann.hears("refused").await["error"], "the incident is over");
    ann.say(&json!({"type": "action", "incident": show["incident"], "key": "explode"})).await;
    assert_eq!(ann.hears("refused").await["error"], "the daemon cannot explode now");

    daemon.act(show["incident"].as_str().unwrap(), "resolve").await;
    assert_eq!(ann.hears("show").await["state"], "resolved");
    drop(bob);
    daemon.until(async || desks(&daemon).await, |desks| desks == "1").await;
    assert!(world.hook.requests().is_empty(), "it escalated though somebody had it");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_desk_nothing_is_delivered_and_others_are_told() {
    let world = World::new(&ROUTE.replace("20s", "1s")).await;
    let daemon = world.start().await;
    world.post("k1", "gunman at St Brigids");
    let line = daemon.says("no desk showed it: none is connected").await;
    assert!(line.contains("message not delivered, will try again"), "{line}");
    let told = world.hook.received(1).await[0].json();
    assert_eq!(told["type"], "incident.escalated");
    let status = daemon.get("/api/v1/status").await;
    assert_eq!(status["desks"], json!([]));

    // Who comes later is shown once what is open, and that counts for the message that waits.
    let mut late = world.desk().await;
    let show = late.hears("show").await;
    assert_eq!((&show["incident"], &show["state"]), (&told["incident"]["id"], &"open".into()));
    late.shown(&show).await;
    is_delivered(&daemon, &show["incident"], "incident.opened").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_that_shows_nothing_is_no_delivery_and_a_stuck_one_holds_up_nobody() {
    let world = World::new(ROUTE).await;
    let daemon = world.start().await;
    let (mut stuck, mut other) = (world.desk().await, world.desk().await);
    world.post("k1", "gunman at St Brigids");
    let first = stuck.hears("show").await;
    daemon.says("no desk showed it within 5 s, though 2 are connected").await;
    let show = other.hears("show").await;
    other.shown(&show).await;
    is_delivered(&daemon, &first["incident"], "incident.opened").await;
    // The stuck one reads no more; the other hears of the next incident at once.
    world.post("k2", "flooding at St Brigids");
    let next = other.hears("show").await;
    assert_eq!(next["title"], "HIGH: flood reported");
    other.shown(&next).await;
    is_delivered(&daemon, &next["incident"], "incident.opened").await;
    // It is given nothing twice.
    assert_eq!(stuck.hears("show").await["incident"], next["incident"]);
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_desk_is_turned_away_and_told_why() {
    let world = World::new(ROUTE).await;
    let daemon = world.start().await;
    let long = format!("{}\n", "x".repeat(70_000));
    for (line, why) in [
        (
            "{\"type\":\"hello\",\"version\":7,\"user\":\"ann\"}\n",
            Some("speaks version 1 of the desk's protocol and not 7"),
        ),
        ("{\"type\":\"ping\"}\n", Some("the first word must be hello")),
        ("GET / HTTP/1.1\r\n\r\n", None),
        (long.as_str(), None),
    ] {
        let mut desk = Desk::connect(&world.socket()).await;
        // The daemon may hang up before all of it is written.
        drop(desk.writes.write_all(line.as_bytes()).await);
        if let Some(why) = why {
            let error = desk.hears("error").await;
            assert!(error["error"].as_str().unwrap().contains(why), "{error}");
        }
        assert_eq!(desk.next().await, None, "it was not turned away");
    }
    let last: serde_json::Map<String, Value> = (0..300).map(|n| (format!("inc-{n}"), 1.into())).collect();
    let mut greedy = Desk::connect(&world.socket()).await;
    greedy.say(&json!({"type": "hello", "version": 1, "user": "ann", "last": last})).await;
    assert!(greedy.hears("error").await["error"].as_str().unwrap().contains("256 incidents"));
    assert_eq!(desks(&daemon).await, "0");
    world.desk().await;
    daemon.stop().await;
    assert!(!world.socket().try_exists().unwrap(), "the socket outlives the daemon");
}

#[tokio::test(flavor = "multi_thread")]
async fn restarts_of_either_end_show_nothing_twice_and_lose_nothing() {
    let world = World::new(ROUTE).await;
    let mut daemon = world.start().await;
    let mut desk = world.desk().await;
    world.post("k1", "gunman at St Brigids");
    world.post("k2", "flooding at St Brigids");
    let (one, two) = (desk.hears("show").await, desk.hears("show").await);
    desk.shown(&one).await;
    desk.shown(&two).await;
    is_delivered(&daemon, &one["incident"], "incident.opened").await;
    is_delivered(&daemon, &two["incident"], "incident.opened").await;

    // The daemon dies. Meanwhile nothing happens; the desk comes back and hears nothing it knows.
    daemon.kill().await;
    let daemon = world.start().await;
    let id = |show: &Value| show["incident"].as_str().unwrap().to_owned();
    let last = json!({ id(&one): one["revision"], id(&two): two["revision"], "inc-old": 3 });
    let mut desk = world.desk_that_knows(&last).await;
    assert_eq!(desk.hears("gone").await["incident"], "inc-old");
    daemon.act(&id(&one), "ack").await;
    let taken = desk.hears("show").await;
    assert_eq!((id(&taken), &taken["state"]), (id(&one), &"acknowledged".into()));
    is_delivered(&daemon, &one["incident"], "incident.acknowledged").await;

    // The desk is away while the other one ends, and remembers both.
    drop(desk);
    daemon.until(async || desks(&daemon).await, |desks| desks == "0").await;
    daemon.act(&id(&two), "resolve").await;
    is_delivered(&daemon, &two["incident"], "incident.resolved").await;
    let mut desk = world.desk_that_knows(&last).await;
    let told = [desk.next().await.unwrap(), desk.next().await.unwrap(), desk.next().await.unwrap()];
    let gone: Vec<&str> = told[..2].iter().map(|frame| frame["incident"].as_str().unwrap()).collect();
    assert!(gone.contains(&"inc-old") && gone.contains(&id(&two).as_str()), "{told:?}");
    assert_eq!((id(&told[2]), &told[2]["state"]), (id(&one), &"acknowledged".into()));

    // A desk that knows nothing is not bothered with what somebody has.
    let mut fresh = world.desk().await;
    world.post("k3", "gunman and flooding at St Brigids");
    let next = fresh.hears("show").await;
    assert_eq!(next["title"], "HIGH · again: flood reported", "{next}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_are_told_is_no_news_for_a_desk_that_comes_back() {
    let world = World::new(&ROUTE.replace("20s", "1s")).await;
    let daemon = world.start().await;
    let mut desk = world.desk().await;
    world.post("k1", "gunman at St Brigids");
    let show = desk.hears("show").await;
    desk.shown(&show).await;
    assert_eq!(world.hook.received(1).await[0].json()["type"], "incident.escalated");
    drop(desk);
    let mut desk = world.desk_that_knows(&json!({ show["incident"].as_str().unwrap(): show["revision"] })).await;
    world.post("k2", "flooding at St Brigids");
    assert_eq!(desk.hears("show").await["title"], "HIGH: flood reported");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_is_marked_on_desks() {
    let world = World::new(ROUTE).await;
    world.place.rules(&[word_rule("threat", "$org (gunman OR shooter)", "critical")]);
    let daemon = world.start().await;
    let mut desk = world.desk().await;
    let (status, text) =
        daemon.ask(reqwest::Method::POST, "/api/v1/drills", r#"{"scenario":"active-threat","by":"ann"}"#).await;
    assert!(status.is_success(), "{text}");
    let show = desk.hears("show").await;
    let (title, body) = (show["title"].as_str().unwrap(), show["body"].as_str().unwrap());
    assert!(title.starts_with("EXERCISE CRITICAL"), "{title}");
    assert!(body.contains("Exercise: this is a drill, nothing happened"), "{body}");
    desk.shown(&show).await;
    desk.acknowledge(&show).await;
    assert!(desk.hears("show").await["title"].as_str().unwrap().starts_with("EXERCISE"));
    daemon.stop().await;
}

/// Desks of other workstations come through a reverse proxy that takes TLS off.
struct Elsewhere {
    port: u16,
    authority: PathBuf,
    _relay: JoinSet<()>,
}

impl Elsewhere {
    async fn start(world: &World, daemon: &Daemon) -> Self {
        let (acceptor, authority) = crate::support::tls::acceptor();
        world.place.write("authority.pem", &authority);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut relay = JoinSet::new();
        relay.spawn(crate::support::tls::relay(listener, acceptor, daemon.port()));
        Self { port, authority: world.place.path("authority.pem"), _relay: relay }
    }

    /// The built desk, in no session at all.
    fn desk(&self, world: &World, token: &str, authority: bool) -> Process {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stormbell"));
        command.args(["desk", "--url", &format!("https://localhost:{}", self.port), "--token-file"]);
        command.arg(world.place.path(token));
        if authority {
            command.arg("--ca-file").arg(&self.authority);
        }
        command.env_clear().env("HOME", world.place.path("")).env("USER", "ann").env("XDG_RUNTIME_DIR", "/nonexistent");
        command.stdout(std::process::Stdio::null());
        Process::start(&mut command, Reads::Errors)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desk_elsewhere_needs_tls_and_the_token_and_counts_only_when_it_shows() {
    let world = World::new(ROUTE).await;
    let mut daemon = world.start().await;
    let port = daemon.port();
    let elsewhere = Elsewhere::start(&world, &daemon).await;
    world.place.write("wrong", "not-the-token-at-all-0123");
    let says = |mut desk: Process, words: &'static str| tokio::task::block_in_place(move || desk.line_with(words));
    says(elsewhere.desk(&world, "token", false), "no trusted TLS connection to localhost");
    let line = says(elsewhere.desk(&world, "wrong", true), "the daemon does not accept the token");
    assert!(!line.contains("not-the-token"), "{line}");

    let mut desk = elsewhere.desk(&world, "token", true);
    let line = tokio::task::block_in_place(|| desk.line_with("connected to the daemon"));
    assert!(line.contains("user=\"ann\"") && line.contains("daemon=\"localhost\""), "{line}");
    assert_eq!(daemon.get("/api/v1/status").await["desks"], json!(["ann"]));
    world.post("k1", "gunman at St Brigids");
    daemon.says("no desk showed it within 5 s, though one is connected").await;

    // The daemon restarts; the desk comes back by itself.
    daemon.kill().await;
    world.place.configure(&world.config.clone().listening(port));
    let daemon = world.place.start().await;
    tokio::task::block_in_place(|| desk.line_with("connected to the daemon"));
    daemon.until(async || desks(&daemon).await, |desks| desks == "1").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_websocket_speaks_as_the_socket_does_and_takes_no_more() {
    let world = World::new(ROUTE).await;
    let daemon = world.start().await;
    let (status, text) = daemon.ask(reqwest::Method::GET, "/api/v1/desk", "").await;
    assert_eq!(status, reqwest::StatusCode::UPGRADE_REQUIRED, "{text}");
    let connect = async |token: Option<&str>| {
        let mut request = format!("ws://127.0.0.1:{}/api/v1/desk", daemon.port()).into_client_request().unwrap();
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", daemon.port())).await.unwrap();
        tokio_tungstenite::client_async(request, stream).await
    };
    let refused = connect(None).await.unwrap_err();
    assert!(matches!(&refused, tungstenite::Error::Http(answer) if answer.status() == 401), "{refused:?}");

    let (mut desk, _) = connect(Some(API_TOKEN)).await.unwrap();
    let hello = json!({"type": "hello", "version": 1, "user": "ann\u{202e}"});
    desk.send(Message::text(hello.to_string())).await.unwrap();
    let mut next = async || loop {
        let message = timeout(PATIENCE, desk.next()).await.expect("the daemon says nothing").unwrap().unwrap();
        let Message::Text(text) = message else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap();
        if frame["type"] != "ping" {
            return frame;
        }
    };
    assert_eq!(next().await["user"], "ann");
    world.post("k1", "gunman at St Brigids");
    let show = next().await;
    assert_eq!(show["title"], "CRITICAL: threat reported");
    let shown = json!({"type": "shown", "incident": show["incident"], "revision": show["revision"]});
    desk.send(Message::text(shown.to_string())).await.unwrap();
    is_delivered(&daemon, &show["incident"], "incident.opened").await;
    let action = json!({"type": "action", "incident": show["incident"], "key": "acknowledge"});
    desk.send(Message::text(action.to_string())).await.unwrap();
    daemon.until(async || daemon.incidents("threat").await, |found| found[0]["acknowledged"]["by"] == "ann").await;

    desk.send(Message::text("x".repeat(70_000))).await.unwrap();
    daemon.until(async || desks(&daemon).await, |desks| desks == "0").await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_without_a_place_for_desks_says_so() {
    let world = World::new("[[route]]\nsteps = [{ notify = [\"hook\"] }]\n").await;
    let daemon = world.start().await;
    let elsewhere = Elsewhere::start(&world, &daemon).await;
    let mut desk = elsewhere.desk(&world, "token", true);
    tokio::task::block_in_place(|| desk.line_with("the daemon has no place for desks"));
    assert_eq!(daemon.get("/api/v1/status").await.get("desks"), None);
    daemon.stop().await;
}
