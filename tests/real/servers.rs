//! From a post on a real Bluesky PDS to a page, with nothing simulated but the receiver.
//!
//! The PDS, its PLC directory and the library that reads its firehose were written by
//! others (`tests/real`); what they put on the wire is what the daemon has to understand.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::child::{Process, Reads};
use crate::support::database;
use crate::support::sink::SimSink;
use serde_json::{Value, json};
use stormbell::app::clock::SystemClock;
use stormbell::domain::time::Clock;

const RULES: &str = r#"
schema = 1
[pack]
name = "real"
title = "Two people name us"
version = "1.0.0"
[[rule]]
id = "real.named"
title = "Two people name us"
severity = "high"
query = '$org'
count = { at_least = 2, distinct = "author", within = "10m" }
"#;

/// What the author takes back. The word is in no other text.
const TAKEN_BACK: &str = "Gunman at St Brigids, say the zebrafinches";
/// Where the daemon keeps it.
const DATABASE: &str = "data/stormbell.db";
/// One pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs npm and PyPI; run by .ci/run"]
async fn posts_on_a_real_server_page_once_and_deleted_ones_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let Some(node) = Node::find(folder.path()) else { return };
    let mut servers = node.start("pds.mjs", &[]);
    let at: Value = serde_json::from_str(&servers.line_with("pds")).unwrap();
    let pds = Pds { url: at["pds"].as_str().unwrap().to_owned(), client: reqwest::Client::new() };
    let (mut bridge, stream) = node.bridge(&at, "0");
    let sink = SimSink::start().await;
    let daemon = Daemon::start(folder.path(), "jetstream", &stream, &sink);

    // A handle taken before the first post, one kept.
    let ann = pds.join("ann").await;
    pds.rename(&ann, "ann-moved.test").await;
    let bob = pds.join("bob").await;
    let rumour = pds.post(&ann, json!({ "text": TAKEN_BACK })).await;
    let reply = json!({ "text": "shooter inside saint brigid's", "reply": { "root": rumour, "parent": rumour } });
    let answer = pds.post(&bob, reply).await;

    let opened = sink.received(1).await.remove(0).json();
    let incident = &opened["incident"];
    assert_eq!(opened["type"], "incident.opened");
    assert_eq!((&incident["posts"], &incident["authors"]), (&json!(2), &json!(2)), "{opened:#}");
    let [first, second] = incident["sample"].as_array().unwrap().as_slice() else { panic!("{opened:#}") };
    assert_eq!((&first["id"], &first["text"]), (&rumour["uri"], &json!(TAKEN_BACK)));
    assert_eq!(first["author"]["handle"], "ann-moved.test");
    assert_eq!((&second["id"], &second["author"]["id"]), (&answer["uri"], &json!(bob.did)));
    assert_eq!((&second["kind"], &second["reply_to"]), (&json!("reply"), &rumour["uri"]));
    assert_eq!(second["author"]["handle"], "bob.test");

    // A picture that only its description connects with us; then the rumour is taken back.
    let cat = pds.join("cat").await;
    let image = json!({ "alt": "Police in front of St. Brigid’s Hospital", "image": pds.upload(&cat, PNG).await });
    let pictures = json!({ "$type": "app.bsky.embed.images", "images": [image] });
    let picture = pds.post(&cat, json!({ "text": "look", "embed": pictures })).await;
    pds.delete(&ann, &rumour).await;
    let id = incident["id"].as_str().unwrap();
    let seen = daemon.incident_when(id, |incident| incident["posts"] == 3 && sample_ids(incident).len() == 2).await;
    assert_eq!(sample_ids(&seen), [&answer["uri"], &picture["uri"]]);

    // What is posted while the bridge is dead is not lost, and what comes again is not counted again.
    let port = stream.rsplit(':').next().unwrap().split('/').next().unwrap();
    bridge.kill();
    pds.post(&bob, json!({ "text": "St Brigids is locked down" })).await;
    let dan = pds.join("dan").await;
    let missed = pds.post(&dan, json!({ "text": "what is happening at St Brigids?" })).await;
    (bridge, _) = node.bridge(&at, port);
    daemon.incident_when(id, |incident| incident["authors"] == 4).await;
    let eve = pds.join("eve").await;
    let last = pds.post(&eve, json!({ "text": "all clear at St Brigids" })).await;
    let seen = daemon.incident_when(id, |incident| incident["authors"] == 5).await;
    assert_eq!(seen["posts"], 6, "{seen:#}");
    let ledger = &daemon.ask(&["status", "--json"])[0]["sources"][0]["ledger"];
    assert!(ledger["duplicates"].as_u64().unwrap() >= 2, "nothing came again: {ledger}");

    daemon.ask(&["resolve", id, "--by", "nurse"]);
    let resolved = sink.received(2).await.remove(1).json();
    assert_eq!(resolved["type"], "incident.resolved");
    assert_eq!(sample_ids(&resolved["incident"]), [&answer["uri"], &picture["uri"], &missed["uri"], &last["uri"]]);
    assert_eq!(resolved["incident"]["sample"][1]["media_text"][0], "Police in front of St. Brigid’s Hospital");
    assert!(!resolved.to_string().contains("zebrafinch"), "{resolved:#}");
    assert_eq!(sink.requests().len(), 2);

    daemon.stop();
    let database = folder.path().join(DATABASE);
    assert!(database::keeps(&database, "shooter inside"), "the evidence is kept");
    assert!(!database::holds(&database, "zebrafinch"), "the deleted text is still there");
    assert!(bridge.ended().0.success() && servers.ended().0.success());
}

/// Without a bridge between: the firehose of the PDS itself.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs npm and PyPI; run by .ci/run"]
async fn the_firehose_of_a_real_server_pages_and_its_deletions_follow() {
    let folder = tempfile::tempdir().unwrap();
    let Some(node) = Node::find(folder.path()) else { return };
    let mut servers = node.start("pds.mjs", &[]);
    let at: Value = serde_json::from_str(&servers.line_with("pds")).unwrap();
    let pds = Pds { url: at["pds"].as_str().unwrap().to_owned(), client: reqwest::Client::new() };
    let ann = pds.join("ann").await;
    let bob = pds.join("bob").await;
    let sink = SimSink::start().await;
    let daemon = Daemon::start(folder.path(), "atproto", &pds.url.replace("http://", "ws://"), &sink);

    let rumour = pds.post(&ann, json!({ "text": TAKEN_BACK })).await;
    let image = json!({ "alt": "Police in front of St. Brigid’s Hospital", "image": pds.upload(&bob, PNG).await });
    let pictures = json!({ "$type": "app.bsky.embed.images", "images": [image] });
    let reply = json!({ "root": rumour, "parent": rumour });
    let picture = pds.post(&bob, json!({ "text": "look", "embed": pictures, "reply": reply })).await;
    let opened = sink.received(1).await.remove(0).json();
    let incident = &opened["incident"];
    assert_eq!((&incident["posts"], &incident["authors"]), (&json!(2), &json!(2)), "{opened:#}");
    assert_eq!(sample_ids(incident), [&rumour["uri"], &picture["uri"]]);
    assert_eq!(incident["sample"][1]["media_text"][0], "Police in front of St. Brigid’s Hospital");
    assert_eq!((&incident["sample"][1]["kind"], &incident["sample"][1]["reply_to"]), (&json!("reply"), &rumour["uri"]));

    pds.delete(&ann, &rumour).await;
    let id = incident["id"].as_str().unwrap();
    daemon.incident_when(id, |incident| sample_ids(incident) == [&picture["uri"]]).await;
    let ledger = &daemon.ask(&["status", "--json"])[0]["sources"][0]["ledger"];
    assert_eq!(ledger["rejected"].as_object().map_or(0, serde_json::Map::len), 0, "{ledger}");
    daemon.stop();
    assert!(!database::holds(&folder.path().join(DATABASE), "zebrafinch"), "the deleted text is still there");
    assert!(servers.ended().0.success());
}

/// A second, independent firehose: its times have offsets, its accounts begin with a commit.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PyPI; run by .ci/run"]
async fn a_firehose_of_another_make_pages_and_follows_edits_and_deletions() {
    let folder = tempfile::tempdir().unwrap();
    let Some(python) = python_with_arroba(folder.path()) else { return };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/arroba_host.py")).arg(port.to_string());
    let mut host = Process::start(&mut command, Reads::Output);
    let said: Value = serde_json::from_str(&host.line_with("accounts")).unwrap();
    let pds = Pds { url: format!("http://127.0.0.1:{port}"), client: reqwest::Client::new() };
    let account =
        |name: &str| Account { did: said["accounts"][name].as_str().unwrap().to_owned(), token: "tok".into() };
    let (ann, bob) = (account("ann"), account("bob"));
    let sink = SimSink::start().await;
    let daemon = Daemon::start(folder.path(), "atproto", &format!("ws://127.0.0.1:{port}"), &sink);
    host.line_with("subscribed");

    let rumour = pds.post(&ann, json!({ "text": TAKEN_BACK })).await;
    let edited = pds.post(&bob, json!({ "text": "nothing to see here" })).await;
    pds.edit(&bob, &edited, json!({ "text": "shooter inside saint brigid's" })).await;
    let opened = sink.received(1).await.remove(0).json();
    let incident = &opened["incident"];
    assert_eq!((&incident["posts"], &incident["authors"]), (&json!(2), &json!(2)), "{opened:#}");
    assert_eq!(sample_ids(incident), [&rumour["uri"], &edited["uri"]]);

    pds.try_delete(&ann, &rumour).await;
    let id = incident["id"].as_str().unwrap();
    daemon.incident_when(id, |incident| sample_ids(incident) == [&edited["uri"]]).await;
    daemon.stop();
    assert!(!database::holds(&folder.path().join(DATABASE), "zebrafinch"), "the deleted text is still there");
}

/// A Python that has arroba: what `.ci/run` installed, or an installation of our own; none where that fails.
fn python_with_arroba(folder: &Path) -> Option<PathBuf> {
    if let Some(python) = std::env::var_os("ARROBA_PYTHON") {
        return Some(python.into());
    }
    let home = folder.join("arroba");
    let made = Command::new("python3").args(["-m", "venv"]).arg(&home).output();
    let install = ["install", "--quiet", "--disable-pip-version-check", "arroba[flask,datastore]==3.1"];
    let installed = made.and_then(|_| Command::new(home.join("bin/pip")).args(install).output());
    match installed {
        Ok(output) if output.status.success() => Some(home.join("bin/python")),
        Ok(output) => {
            println!("skipped: arroba cannot be installed: {}", String::from_utf8_lossy(&output.stderr));
            None
        }
        Err(error) => {
            println!("skipped: arroba cannot be installed: {error}");
            None
        }
    }
}

fn sample_ids(incident: &Value) -> Vec<&Value> {
    incident["sample"].as_array().unwrap().iter().map(|post| &post["id"]).collect()
}

/// Where the servers' packages are, and the Node to run them with.
struct Node {
    home: PathBuf,
    program: PathBuf,
}

impl Node {
    /// What `.ci/run` installed, or an installation of our own; none where that fails.
    fn find(folder: &Path) -> Option<Self> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        if let (Some(home), Some(program)) = (variable("ATPROTO_HOME"), variable("ATPROTO_NODE")) {
            return Some(Self { home, program });
        }
        let home = folder.join("home");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/install.sh");
        let output = Command::new(script).arg(&home).output().unwrap();
        if !output.status.success() {
            println!("skipped: a PDS cannot be installed: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
        let said = String::from_utf8(output.stdout).unwrap();
        Some(Self { home, program: said.lines().last().unwrap().into() })
    }

    fn start(&self, script: &str, arguments: &[&str]) -> Process {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real").join(script);
        let mut command = Command::new(&self.program);
        command.arg(script).args(arguments).env("ATPROTO_HOME", &self.home).env("LOG_ENABLED", "0");
        Process::start(&mut command, Reads::Output)
    }

    /// The bridge, and where its stream is.
    fn bridge(&self, servers: &Value, port: &str) -> (Process, String) {
        let [pds, plc] = ["pds", "plc"].map(|name| servers[name].as_str().unwrap());
        let mut bridge = self.start("bridge.mjs", &[pds, plc, port]);
        let said: Value = serde_json::from_str(&bridge.line_with("jetstream")).unwrap();
        (bridge, said["jetstream"].as_str().unwrap().to_owned())
    }
}

/// The program under test.
struct Daemon {
    process: Process,
    url: String,
    token: PathBuf,
}

impl Daemon {
    /// Starts it and waits until it listens to the stream.
    fn start(folder: &Path, kind: &str, stream: &str, sink: &SimSink) -> Self {
        let config = folder.join("stormbell.toml");
        let text = format!(
            r#"
            schema = 1
            rules = ["rules.toml"]
            [organization]
            name = "St. Brigid's Hospital"
            aliases = ["St Brigids", "Saint Brigid's"]
            [store]
            path = "{DATABASE}"
            [[source]]
            name = "bluesky"
            kind = "{kind}"
            url = "{stream}"
            [[receiver]]
            name = "hook"
            kind = "webhook"
            url = "{}"
            [[route]]
            steps = [{{ notify = ["hook"] }}]
            [web]
            listen = "127.0.0.1:0"
            "#,
            sink.url("/hook")
        );
        fs::write(&config, text).unwrap();
        fs::write(folder.join("rules.toml"), RULES).unwrap();
        let mut command = stormbell(&["run"]);
        let mut process = Process::start(command.arg("--config").arg(&config), Reads::Errors);
        let listens = process.line_with("api listens");
        process.line_with("source.connection.opened");
        let address = listens.split("address=").nth(1).unwrap().split_whitespace().next().unwrap();
        Self { process, url: format!("http://{address}"), token: folder.join("data/api-token") }
    }

    /// A command to the running daemon, and the lines of JSON it answers.
    fn ask(&self, arguments: &[&str]) -> Vec<Value> {
        let output =
            stormbell(arguments).args(["--url", &self.url]).arg("--token-file").arg(&self.token).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The incident once it is so, at most a minute from now.
    async fn incident_when(&self, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let token = fs::read_to_string(&self.token).unwrap();
        let client = reqwest::Client::new();
        let url = format!("{}/api/v1/incidents/{id}", self.url);
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        for _ in 0..1200 {
            looks.tick().await;
            let answer = client.get(&url).bearer_auth(token.trim()).send().await.unwrap();
            let incident: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
            if is_so(&incident) {
                return incident;
            }
        }
        panic!("it never was so: {:#?}", self.ask(&["incidents", "--json"]));
    }

    /// SIGTERM, a clean end, and no post in the log.
    fn stop(self) {
        let sent = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let (status, said) = self.process.ended();
        assert!(status.success(), "{status}: {said:#?}");
        assert!(!said.iter().any(|line| line.contains("Brigid") || line.contains("zebrafinch")), "{said:#?}");
    }
}

fn stormbell(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stormbell"));
    command.args(arguments).env_remove("STORMBELL_CONFIG").env_remove("STORMBELL_LOG").stdin(Stdio::null());
    command
}

/// The server's own API (XRPC).
struct Pds {
    url: String,
    client: reqwest::Client,
}

/// A post as the server's calls name it.
fn reference(author: &Account, post: &Value) -> Value {
    let rkey = post["uri"].as_str().unwrap().rsplit('/').next();
    json!({ "repo": author.did, "collection": "app.bsky.feed.post", "rkey": rkey })
}

struct Account {
    did: String,
    token: String,
}

impl Pds {
    async fn join(&self, name: &str) -> Account {
        let account = json!({
            "handle": format!("{name}.test"), "email": format!("{name}@example.test"), "password": "correct horse",
        });
        let made = self.call("com.atproto.server.createAccount", None, &account).await;
        let text = |field: &str| made[field].as_str().unwrap().to_owned();
        Account { did: text("did"), token: text("accessJwt") }
    }

    async fn rename(&self, account: &Account, handle: &str) {
        self.call("com.atproto.identity.updateHandle", Some(account), &json!({ "handle": handle })).await;
    }

    /// Posts it; gives `uri` and `cid`.
    async fn post(&self, author: &Account, mut record: Value) -> Value {
        record["$type"] = json!("app.bsky.feed.post");
        record["createdAt"] = json!(SystemClock.now().to_string());
        let body = json!({ "repo": author.did, "collection": "app.bsky.feed.post", "record": record });
        let made = self.call("com.atproto.repo.createRecord", Some(author), &body).await;
        json!({ "uri": made["uri"], "cid": made["cid"] })
    }

    async fn delete(&self, author: &Account, post: &Value) {
        self.call("com.atproto.repo.deleteRecord", Some(author), &reference(author, post)).await;
    }

    /// Writes a post anew.
    async fn edit(&self, author: &Account, post: &Value, mut record: Value) {
        record["$type"] = json!("app.bsky.feed.post");
        record["createdAt"] = json!(SystemClock.now().to_string());
        let mut body = reference(author, post);
        body["record"] = record;
        self.call("com.atproto.repo.putRecord", Some(author), &body).await;
    }

    /// Deletes a post at a server that does so and then says that its own answer is not valid.
    async fn try_delete(&self, author: &Account, post: &Value) {
        let request = self.client.post(format!("{}/xrpc/com.atproto.repo.deleteRecord", self.url));
        let request = request.bearer_auth(&author.token).header("content-type", "application/json");
        request.body(reference(author, post).to_string()).send().await.unwrap();
    }

    /// Uploads an image given in base64; gives what a post refers to it by.
    async fn upload(&self, author: &Account, image: &str) -> Value {
        let bytes = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, image).unwrap();
        let answer = self.send("com.atproto.repo.uploadBlob", Some(author), "image/png", bytes).await;
        answer["blob"].clone()
    }

    async fn call(&self, method: &str, account: Option<&Account>, body: &Value) -> Value {
        self.send(method, account, "application/json", body.to_string().into_bytes()).await
    }

    async fn send(&self, method: &str, account: Option<&Account>, kind: &str, body: Vec<u8>) -> Value {
        let mut request = self.client.post(format!("{}/xrpc/{method}", self.url)).header("content-type", kind);
        if let Some(account) = account {
            request = request.bearer_auth(&account.token);
        }
        let answer = request.body(body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{method}: {status}: {text}");
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
    }
}
