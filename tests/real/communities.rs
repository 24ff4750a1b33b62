//! Servers of the fediverse and of Nostr, and a `WebSub` hub, that were written by others: what is posted on them is read, edits and
//! deletions follow, and when one is killed and is back, nothing is lost.
//!
//! `mastodon_mock` differs from Mastodon: an edit is `status_update`, refusals are 403, public streams need no
//! token, and subscriptions said later than the address are ignored. `nostr-relay` speaks an older dialect of Nostr and goes on
//! serving what was deleted. `flask-websub` asks whether a subscription was meant before it answers the one who asked.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use stormbell::app::clock::SystemClock;
use stormbell::config::model::{Dialect, MastodonConfig, NostrConfig, SourceKind, TimelineName, Transport};
use stormbell::config::secret::Secret;
use stormbell::domain::event::DownReason;
use stormbell::domain::time::{Clock as _, Timestamp};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message;
use url::Url;

use crate::support::PATIENCE;
use crate::support::child::{Process, Reads};
use crate::support::daemon::{Config, MARK, Place, word_rule};
use crate::support::nostr::Person;
use crate::support::reading::{Reading, quick};

/// A program of a package of `PyPI`, installed for this test alone; none where that fails.
fn install(folder: &Path, package: &str, program: &str) -> Option<PathBuf> {
    let home = std::env::var_os("STORMBELL_COMMUNITIES").map_or_else(|| folder.to_owned(), PathBuf::from);
    let venv = home.join(program);
    let found = venv.join("bin").join(program);
    if found.try_exists().unwrap_or_default() {
        return Some(found);
    }
    let made = Command::new("python3").args(["-m", "venv"]).arg(&venv).status();
    let pip = venv.join("bin/pip");
    let installed = made.is_ok_and(|made| made.success())
        && Command::new(pip).args(["install", "-q", package]).status().is_ok_and(|done| done.success());
    if !installed {
        println!("skipped: {package} cannot be installed from PyPI");
    }
    installed.then_some(found)
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// Waits until somebody listens there: no server tells when it does.
async fn listens(port: u16) {
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(Instant::now() < until, "nobody listens at {port}");
        sleep(Duration::from_millis(50)).await;
    }
}

fn now() -> Timestamp {
    SystemClock.now()
}

struct Instance {
    client: reqwest::Client,
    url: Url,
}

impl Instance {
    async fn ask(&self, request: reqwest::RequestBuilder) -> Value {
        let answer = request.bearer_auth("mock_token").send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    fn at(&self, path: &str) -> Url {
        self.url.join(path).unwrap()
    }

    /// Writes a status, and gives its number.
    async fn post(&self, text: &str) -> String {
        let request = self.client.post(self.at("api/v1/statuses")).header("content-type", "application/json");
        let status = self.ask(request.body(json!({"status": text, "language": "en"}).to_string())).await;
        status["id"].as_str().unwrap().to_owned()
    }
}

fn mastodon_mock(program: &Path, folder: &Path, port: u16) -> Process {
    let mut command = Command::new(program);
    command.args(["serve", "--host", "127.0.0.1", "--port", &port.to_string(), "--in-memory"]);
    Process::start(command.current_dir(folder).stderr(Stdio::null()), Reads::Output)
}

#[tokio::test]
#[ignore = "needs PyPI; run by .ci/run"]
async fn statuses_of_a_real_server_are_read_edited_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = install(folder.path(), "mastodon_mock==0.6.1", "mastodon_mock") else { return };
    let port = free_port().await;
    let server = mastodon_mock(&program, folder.path(), port);
    listens(port).await;
    let url: Url = format!("http://127.0.0.1:{port}/").parse().unwrap();
    let instance = Instance { client: reqwest::Client::new(), url: url.clone() };
    instance.post("before we came").await;
    let config = MastodonConfig {
        url,
        dialect: Dialect::Mastodon,
        token: Some(Secret::new("mock_token".into())),
        streams: vec![TimelineName::Public],
        poll_every: Duration::from_millis(200),
        max_frame_bytes: 1 << 20,
        transport: Transport::default(),
    };
    let mut reading = Reading::start(SourceKind::Mastodon(config), quick(), now(), None);
    reading.until(|reading| !reading.connected.is_empty()).await;
    // Subscriptions are not answered: a status that is seen shows that it stands.
    let id = instance.post("Waiting 6 hours in the ER #northgate").await;
    reading.until_post("Waiting 6 hours in the ER #northgate").await;
    assert_eq!(reading.posts[0].lang, ["en"]);
    assert_eq!(reading.posts[0].tags, ["northgate"]);
    let edit = instance.client.put(instance.at(&format!("api/v1/statuses/{id}")));
    let edit = edit.header("content-type", "application/json");
    instance.ask(edit.body(json!({"status": "Waiting 7 hours in the ER"}).to_string())).await;
    reading.until_post("Waiting 7 hours in the ER").await;
    let (first, edited) = (&reading.posts[0], reading.posts.last().unwrap());
    assert_eq!(first.id, edited.id);
    assert_ne!(first.version, edited.version);
    let name = first.id.as_str().to_owned();
    instance.ask(instance.client.delete(instance.at(&format!("api/v1/statuses/{id}")))).await;
    reading.until(|reading| reading.deleted.contains(&name)).await;
    server.kill();
    reading.until(|reading| !reading.downs.is_empty()).await;
    let server = mastodon_mock(&program, folder.path(), port);
    listens(port).await;
    reading.until(|reading| reading.connected.len() == 2).await;
    instance.post("it is back").await;
    reading.until_post("it is back").await;
    assert!(!reading.texts().contains(&"before we came"));
    reading.stop().await;
    server.kill();
}

fn nostr_relay(program: &Path, folder: &Path, port: u16) -> Process {
    let database = folder.join("relay.sqlite3");
    let settings = format!(
        "DEBUG: false\nrelay_name: lab\nstorage: {{sqlalchemy.url: \"sqlite+aiosqlite:///{}\"}}\n\
         gunicorn: {{bind: \"127.0.0.1:{port}\", workers: 1, loglevel: warning}}\n",
        database.display()
    );
    let file = folder.join("relay.yaml");
    std::fs::write(&file, settings).unwrap();
    let mut command = Command::new(program);
    Process::start(command.arg("-c").arg(file).arg("serve").stderr(Stdio::null()), Reads::Output)
}

/// Writes an event on a relay.
async fn publish(url: &Url, event: &Value) {
    let tcp = TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(url.as_str(), tcp).await.unwrap();
    socket.send(Message::text(json!(["EVENT", event]).to_string())).await.unwrap();
    let answer = futures_util::StreamExt::next(&mut socket).await.unwrap().unwrap();
    assert!(answer.to_string().contains("true"), "{answer}");
}

#[tokio::test]
#[ignore = "needs PyPI; run by .ci/run"]
async fn notes_of_a_real_relay_are_read_deleted_and_found_again_after_it_was_down() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = install(folder.path(), "nostr-relay==1.14", "nostr-relay") else { return };
    let port = free_port().await;
    let relay = nostr_relay(&program, folder.path(), port);
    listens(port).await;
    let url: Url = format!("ws://127.0.0.1:{port}").parse().unwrap();
    let config = NostrConfig {
        relays: vec![url.clone()],
        hashtags: Vec::new(),
        secret_key: None,
        max_frame_bytes: 1 << 20,
        transport: Transport::default(),
    };
    let at = now().micros() / 1_000_000;
    let (ann, eve) = (Person::number(1), Person::number(2));
    let mut reading = Reading::start(SourceKind::Nostr(config), quick(), now(), None);
    reading.until(|reading| reading.covered == 1).await;
    let note = ann.event(at, 1, &json!([["t", "er"]]), "Waiting 6 hours \"in\" the ER\n#er");
    publish(&url, &note).await;
    reading.until(|reading| reading.posts.len() == 1).await;
    let heard = reading.posts[0].clone();
    assert_eq!(
        (heard.text.as_str(), heard.tags.as_slice()),
        ("Waiting 6 hours \"in\" the ER\n#er", &["er".to_owned()][..])
    );
    publish(&url, &eve.event(at, 5, &json!([["e", note["id"]]]), "")).await;
    publish(&url, &ann.event(at, 5, &json!([["e", note["id"]]]), "")).await;
    reading.until(|reading| reading.deleted.len() == 2).await;
    assert_ne!(reading.deleted[0], heard.id.as_str(), "not eve's to delete");
    assert_eq!(reading.deleted[1], heard.id.as_str());
    let pid = rustix::process::Pid::from_raw(i32::try_from(relay.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    relay.ended();
    reading.until(|reading| !reading.downs.is_empty()).await;
    let relay = nostr_relay(&program, folder.path(), port);
    listens(port).await;
    publish(&url, &ann.note(at + 1, "while we were away, or just before")).await;
    reading.until_post("while we were away, or just before").await;
    assert!(reading.rejected.is_empty(), "{:?}", reading.rejected);
    reading.stop().await;
    let pid = rustix::process::Pid::from_raw(i32::try_from(relay.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    relay.ended();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PyPI; run by .ci/run"]
async fn what_a_real_hub_pushes_is_read_and_what_it_denies_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let Some(flask) = install(folder.path(), "flask-websub[celery]==0.4.1", "flask") else { return };
    let launcher = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/websub_hub.py");
    for method in ["sha1", "sha512"] {
        let (port, own) = (free_port().await, free_port().await);
        let files = tempfile::tempdir().unwrap();
        let mut command = Command::new(flask.with_file_name("python3"));
        command.arg(&launcher).arg(port.to_string()).arg(files.path()).arg(method).stderr(Stdio::null());
        let hub = Process::start(&mut command, Reads::Output);
        listens(port).await;
        let base = format!("http://127.0.0.1:{port}");
        let feed = |name: &str, path: &str| {
            format!("name = \"{name}\"\nkind = \"feed\"\nurl = \"{base}{path}\"\npush = true\n")
        };
        let config = Config::listening_to(&feed("blog", "/feed")).and("[[source]]").and(&feed("closed", "/closed"));
        let config = config.public(&format!("http://127.0.0.1:{own}/")).listening(own);
        let place = Place::new(&config, &[word_rule("fire", "fire", "high")]);
        let daemon = place.start().await;
        daemon.says("a hub pushes what changes").await;
        let denied = daemon.says("refuses the subscription").await;
        assert!(denied.contains("source=closed"), "{denied}");
        // Nobody polls again for half an hour.
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let add = client.post(format!("{base}/add")).body(format!("fire in ward nine {MARK}"));
        assert!(add.send().await.unwrap().status().is_success());
        // It notes the subscription down after it heard us, and tells nobody when.
        let rung = async || {
            let form = format!("hub.mode=publish&hub.topic={base}/feed");
            let ring = client.post(format!("{base}/hub")).header("content-type", "application/x-www-form-urlencoded");
            assert_eq!(ring.body(form).send().await.unwrap().status(), 202, "{method}");
            daemon.incidents("fire").await
        };
        let found = daemon.until(rung, |found| !found.is_empty()).await;
        assert_eq!((found.len(), &found[0]["posts"]), (1, &1.into()), "however often it is pushed");
        assert!(daemon.metric("stormbell_rejected_total{source=\"blog\",reason=\"forged\"}").await < 0.5);
        daemon.stop().await;
        hub.kill();
    }
}

/// Writes an event on a relay that wants to know who writes (NIP-42).
async fn publish_as(url: &Url, person: &Person, event: &Value) {
    let tcp = TcpStream::connect(("127.0.0.1", url.port().unwrap())).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(url.as_str(), tcp).await.unwrap();
    let mut says = async |what: Value| {
        socket.send(Message::text(what.to_string())).await.unwrap();
        let mut heard = Vec::new();
        // A relay says more than it is asked: challenges, and why it said no.
        loop {
            let said = futures_util::StreamExt::next(&mut socket).await.unwrap().unwrap();
            let Ok(said) = serde_json::from_str::<Value>(said.to_text().unwrap()) else { continue };
            heard.push(said.clone());
            if said[0] == "OK" {
                return heard;
            }
        }
    };
    let refused = says(json!(["EVENT", event])).await;
    let challenge = refused.iter().find(|said| said[0] == "AUTH").expect("it wants to know who writes")[1].clone();
    let tags = json!([["relay", url.as_str().trim_end_matches('/')], ["challenge", challenge]]);
    let who = person.event(now().micros() / 1_000_000, 22242, &tags, "");
    assert_eq!(says(json!(["AUTH", who])).await.last().unwrap()[2], true);
    assert_eq!(says(json!(["EVENT", event])).await.last().unwrap()[2], true);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "builds 170 crates: STORMBELL_RELAY names the folder for them"]
async fn a_real_relay_that_wants_to_know_who_reads_lets_us_in_with_an_nsec_and_deletes() {
    let Some(home) = std::env::var_os("STORMBELL_RELAY").map(PathBuf::from) else {
        println!("skipped: STORMBELL_RELAY names no folder to build nostr-relay-builder in");
        return;
    };
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/relay/Cargo.toml");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "--manifest-path"]).arg(manifest).arg("--target-dir").arg(&home);
    assert!(build.status().unwrap().success(), "the relay cannot be built");
    let port = free_port().await;
    let url: Url = format!("ws://127.0.0.1:{port}").parse().unwrap();
    let start = || {
        let mut relay = Process::start(Command::new(home.join("debug/relay")).arg(port.to_string()), Reads::Output);
        relay.line_with("ws://");
        relay
    };
    let relay = start();
    let config = |secret_key: Option<&str>| {
        SourceKind::Nostr(NostrConfig {
            relays: vec![url.clone()],
            hashtags: Vec::new(),
            secret_key: secret_key.map(|key| Secret::new(key.to_owned())),
            max_frame_bytes: 1 << 20,
            transport: Transport::default(),
        })
    };
    let mut nobody = Reading::start(config(None), quick(), now(), None);
    nobody.until(|reading| reading.downs.first() == Some(&DownReason::Refused)).await;
    nobody.stop().await;
    let key = stormbell::wire::bech32::write("nsec", &[9; 32]);
    let mut reading = Reading::start(config(Some(&key)), quick(), now(), None);
    reading.until(|reading| reading.covered >= 1).await;
    let (ann, second) = (Person::number(1), now().micros() / 1_000_000);
    let note = ann.event(second, 1, &json!([["t", "er"]]), "smoke in ward nine #er");
    publish_as(&url, &ann, &note).await;
    reading.until_post("smoke in ward nine #er").await;
    let name = reading.posts[0].id.as_str().to_owned();
    publish_as(&url, &ann, &ann.event(second + 1, 5, &json!([["e", note["id"]]]), "")).await;
    reading.until(|reading| reading.deleted.contains(&name)).await;
    relay.kill();
    reading.until(|reading| !reading.downs.is_empty()).await;
    // It had all in memory.
    let relay = start();
    publish_as(&url, &ann, &ann.note(second + 2, "smoke after it was away")).await;
    reading.until_post("smoke after it was away").await;
    assert_eq!(reading.texts(), ["smoke in ward nine #er", "smoke after it was away"], "each once");
    assert!(reading.rejected.is_empty(), "{:?}", reading.rejected);
    reading.stop().await;
    relay.kill();
}
