//! The built program, run as a user runs it: a folder with a configuration, a process,
//! its log, its API.
//!
//! Every run is searched for what must never be logged (invariant 8): each [`Place`]
//! plants its secrets, every post of [`say`] carries a mark, and a daemon that is
//! dropped or stopped is checked for all of them.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use stormbell::app::clock::SystemClock;
use stormbell::domain::time::Clock;
use tempfile::TempDir;
use tokio::net::UnixDatagram;
use tokio::sync::watch;
use tokio::time::timeout;
use url::Url;

use super::{PATIENCE, database, frames};

/// What `PagerDuty` knows us by.
pub const ROUTING_KEY: &str = "plantedroutingkey0123456789abcdef";
/// Standard Webhooks' form of a key.
const WEBHOOK_SECRET: &str = "whsec_cGxhbnRlZHdlYmhvb2tzZWNyZXQ=";
/// What `PagerDuty` signs with.
pub const HOOK_SECRET: &str = "plantedhooksecret0123456789";
/// Twilio's, by which it also signs.
pub const TWILIO_TOKEN: &str = "plantedtwiliotoken0123456789";
/// Of the API.
pub const API_TOKEN: &str = "planted-api-token-0123456789";
/// The proxy's login.
pub const PROXY_PASSWORD: &str = "plantedproxypassword";
/// A webhook's path is often the secret itself.
pub const HOOK: &str = "/hook/planted-path-secret";
/// In every post.
pub const MARK: &str = "xyzzyposttext";

/// What must not be in any log.
const UNSPEAKABLE: [&str; 8] = [
    TWILIO_TOKEN,
    HOOK_SECRET,
    ROUTING_KEY,
    "cGxhbnRlZHdlYmhvb2tzZWNyZXQ",
    API_TOKEN,
    PROXY_PASSWORD,
    "planted-path-secret",
    MARK,
];

/// A post whose text must not be logged.
pub fn say(time_us: i64, did: &str, rkey: &str, text: &str) -> String {
    frames::post(time_us, did, rkey, &format!("{text} {MARK}"))
}

/// The present in microseconds, as the wire writes it.
pub fn now() -> i64 {
    SystemClock.now().micros()
}

/// A rule that fires at every post with a word.
pub fn word_rule(topic: &str, word: &str, severity: &str) -> String {
    rule(topic, word, severity, "")
}

/// A rule that fires when two authors say a word.
pub fn pair_rule(topic: &str, word: &str, severity: &str) -> String {
    rule(topic, word, severity, "count = { at_least = 2, distinct = \"author\", within = \"10m\" }")
}

fn rule(topic: &str, word: &str, severity: &str, condition: &str) -> String {
    format!(
        "[[rule]]\nid = \"{topic}.rule\"\ntitle = \"{topic} reported\"\nseverity = \"{severity}\"\n\
         topic = \"{topic}\"\nquery = '{word}'\n{condition}\n\n"
    )
}

/// A rule file.
pub fn pack(rules: &[String]) -> String {
    format!("schema = 1\n[pack]\nname = \"test\"\ntitle = \"Test\"\nversion = \"1.0.0\"\n\n{}", rules.concat())
}

/// A configuration, table by table.
#[derive(Clone, Debug)]
pub struct Config {
    text: String,
}

impl Config {
    /// Listens to a Jetstream; more keys of the source may follow.
    pub fn new(stream: &Url, source_keys: &str) -> Self {
        Self::listening_to(&format!("name = \"sky\"\nkind = \"jetstream\"\nurl = \"{stream}\"\n{source_keys}"))
    }

    /// Listens to any source.
    pub fn listening_to(source: &str) -> Self {
        let text = format!(
            "schema = 1\nrules = [\"rules/\"]\n[organization]\nname = \"St. Brigid's Hospital\"\n\
             [store]\npath = \"state/stormbell.db\"\n[web]\nlisten = \"127.0.0.1:0\"\ntoken = {{ file = \"token\" }}\n\
             [[source]]\n{source}\n"
        );
        Self { text }
    }

    /// A receiver `pager` of the kind `PagerDuty`.
    pub fn pager(self, url: &Url) -> Self {
        let receiver = format!("kind = \"pagerduty\"\nrouting_key = {{ file = \"routing-key\" }}\nurl = \"{url}\"");
        self.receiver("pager", &receiver)
    }

    /// The same, and it sends back what people did there.
    pub fn pager_that_answers(self, url: &Url) -> Self {
        self.pager(url).and("webhook_secret = { file = \"pagerduty-secret\" }")
    }

    /// A webhook that is signed.
    pub fn webhook(self, name: &str, url: &Url) -> Self {
        self.receiver(name, &format!("kind = \"webhook\"\nsecret = {{ file = \"hook-secret\" }}\nurl = \"{url}\""))
    }

    /// Any receiver.
    pub fn receiver(self, name: &str, keys: &str) -> Self {
        self.and(&format!("[[receiver]]\nname = \"{name}\"\n{keys}\n"))
    }

    /// Any text.
    pub fn and(mut self, text: &str) -> Self {
        writeln!(self.text, "{text}").unwrap();
        self
    }

    /// Where people reach it, for links.
    pub fn public(mut self, url: &str) -> Self {
        self.text = self.text.replace("[web]\n", &format!("[web]\npublic_url = \"{url}\"\n"));
        self
    }

    /// What listens where, replaced.
    pub fn listening(mut self, port: u16) -> Self {
        self.text = self.text.replace("127.0.0.1:0", &format!("127.0.0.1:{port}"));
        self
    }
}

/// The files of one installation.
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// A folder with secrets, a configuration and rules.
    pub fn new(config: &Config, rules: &[String]) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        place.write("routing-key", ROUTING_KEY);
        place.write("hook-secret", WEBHOOK_SECRET);
        place.write("pagerduty-secret", HOOK_SECRET);
        place.write("twilio-token", TWILIO_TOKEN);
        place.write("token", API_TOKEN);
        place.write("proxy-password", PROXY_PASSWORD);
        place.configure(config);
        place.rules(rules);
        place
    }

    /// Replaces the configuration.
    pub fn configure(&self, config: &Config) {
        self.write("stormbell.toml", &config.text);
    }

    /// Replaces the rules.
    pub fn rules(&self, rules: &[String]) {
        self.write("rules/test.toml", &pack(rules));
    }

    /// Writes a file that only its owner may read.
    pub fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Where a file of it is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Whether a kept post has the text, or any file of the database holds it in clear.
    pub fn database_holds(&self, text: &str) -> bool {
        database::holds(&self.path("state/stormbell.db"), text)
    }

    /// Whether any file of the database holds the text in clear.
    pub fn in_files(&self, text: &str) -> bool {
        database::in_clear(&self.path("state/stormbell.db"), text)
    }

    /// The program, with nothing of our own environment that it would heed.
    pub fn command(&self) -> Command {
        // Another build than the one beside the tests: what is packaged, or what must not change under a long run.
        let program = std::env::var_os("STORMBELL_BINARY").unwrap_or(env!("CARGO_BIN_EXE_stormbell").into());
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.folder.path()).env("STORMBELL_LOG", "debug");
        command.args(["run", "--config"]).arg(self.path("stormbell.toml"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Starts the program without waiting for anything.
    pub fn spawn(&self) -> Daemon {
        Daemon::spawn(self.command())
    }

    /// Starts the daemon and waits until its API listens.
    pub async fn start(&self) -> Daemon {
        self.start_as(self.command()).await
    }

    /// The same with an environment of its own.
    pub async fn start_as(&self, command: Command) -> Daemon {
        let mut daemon = Daemon::spawn(command);
        daemon.listens().await;
        daemon
    }

    /// Runs the program until it ends by itself; its exit code and its words.
    pub async fn run_to_end(&self) -> (i32, String) {
        let mut daemon = self.spawn();
        let status = daemon.ended().await;
        (status.code().expect("it was not killed"), daemon.log())
    }
}

/// A running daemon; it is killed when dropped.
pub struct Daemon {
    child: Option<Child>,
    pid: u32,
    lines: watch::Receiver<Lines>,
    address: Option<String>,
    client: Client,
}

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    ended: bool,
}

impl Daemon {
    fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (said, lines) = watch::channel(Lines::default());
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            let mut line = Vec::new();
            while stderr.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                said.send_modify(|said| said.lines.push(text));
                line.clear();
            }
            said.send_modify(|said| said.ended = true);
        });
        let client = Client::builder().no_proxy().timeout(PATIENCE).tls_certs_only([]).build().unwrap();
        Self { pid: child.id(), child: Some(child), lines, address: None, client }
    }

    async fn listens(&mut self) {
        let line = self.says("api listens").await;
        let address = line.split("address=").nth(1).unwrap().split(' ').next().unwrap();
        self.address = Some(address.to_owned());
    }

    /// Where the API is.
    pub fn port(&self) -> u16 {
        self.address.as_deref().unwrap().rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// All it has said.
    pub fn log(&self) -> String {
        self.lines.borrow().lines.join("\n")
    }

    /// How many lines have that in them.
    pub fn said(&self, words: &str) -> usize {
        self.lines.borrow().lines.iter().filter(|line| line.contains(words)).count()
    }

    /// The first line with that in it, once it is there.
    pub async fn says(&self, words: &str) -> String {
        self.says_times(words, 1).await
    }

    /// The n-th line with that in it, once it is there.
    pub async fn says_times(&self, words: &str, times: usize) -> String {
        let nth = |said: &Lines| said.lines.iter().filter(|line| line.contains(words)).nth(times - 1).cloned();
        let mut lines = self.lines.clone();
        let there = timeout(PATIENCE, lines.wait_for(|said| said.ended || nth(said).is_some())).await;
        let found = there.ok().and_then(|said| nth(&said.unwrap()));
        found.unwrap_or_else(|| panic!("it never said {words:?}:\n{}", self.log()))
    }

    /// Waits for so many events in its log, or its end; for choosing an instant.
    pub async fn has_logged(&self, count: usize) {
        let events = |said: &Lines| said.lines.iter().filter(|line| line.starts_with("20")).count();
        self.lines.clone().wait_for(|said| said.ended || events(said) >= count).await.unwrap();
    }

    /// Asks the API.
    pub async fn ask(&self, method: Method, path: &str, body: &str) -> (StatusCode, String) {
        let url = format!("http://{}{path}", self.address.as_deref().unwrap());
        let request = self.client.request(method, url).bearer_auth(API_TOKEN);
        let request = request.header("content-type", "application/json").body(body.to_owned());
        let answer = request.send().await.unwrap_or_else(|error| panic!("{path}: {error}\n{}", self.log()));
        (answer.status(), answer.text().await.unwrap())
    }

    /// What the API says.
    pub async fn get(&self, path: &str) -> Value {
        let (status, text) = self.ask(Method::GET, path, "").await;
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Does something to an incident.
    pub async fn act(&self, incident: &str, action: &str) {
        let body = r#"{"by":"Ann"}"#;
        let (status, text) = self.ask(Method::POST, &format!("/api/v1/incidents/{incident}/{action}"), body).await;
        assert!(status.is_success(), "{action}: {status} {text}");
    }

    /// The incidents of a topic, newest first.
    pub async fn incidents(&self, topic: &str) -> Vec<Value> {
        let all = self.get("/api/v1/incidents").await;
        all.as_array().unwrap().iter().filter(|incident| incident["topic"] == topic).cloned().collect()
    }

    /// The source.
    pub async fn source(&self) -> Value {
        self.get("/api/v1/sources").await[0].clone()
    }

    /// A metric's value; 0 when it is not there.
    pub async fn metric(&self, series: &str) -> f64 {
        let (_, page) = self.ask(Method::GET, "/metrics", "").await;
        let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')).map(str::to_owned);
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Asks until the answer is right.
    pub async fn until<T: std::fmt::Debug>(&self, ask: impl AsyncFn() -> T, right: impl Fn(&T) -> bool) -> T {
        let mut last = None;
        let asking = async {
            loop {
                let answer = ask().await;
                if right(&answer) {
                    return answer;
                }
                last = Some(answer);
                tokio::time::sleep(Duration::from_millis(20)).await; // there is nothing to be woken by
            }
        };
        let right = timeout(PATIENCE, asking).await;
        right.unwrap_or_else(|_| panic!("in vain; the last answer was {last:#?}\n{}", self.log()))
    }

    /// Waits until the source has read so many frames, and the disk has them.
    pub async fn read_frames(&self, frames: u64) -> Value {
        self.until(async || self.source().await, |source| source["ledger"]["frames"].as_u64() >= Some(frames)).await
    }

    /// Waits until the whole daemon is well.
    pub async fn ready(&self) {
        let ask = async || self.ask(Method::GET, "/readyz", "").await;
        self.until(ask, |(status, _)| status.is_success()).await;
    }

    /// Sends a signal such as `HUP`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.pid)]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it ended before");
        let waiting = tokio::task::spawn_blocking(move || child.wait().unwrap());
        let status = timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("it goes on:\n{}", self.log()));
        self.lines.clone().wait_for(|said| said.ended).await.unwrap();
        self.keeps_secrets();
        status.unwrap()
    }

    /// Asks it to stop, and wants it to stop well.
    pub async fn stop(mut self) {
        self.signal("TERM");
        let status = self.ended().await;
        assert_eq!(status.code(), Some(0), "{}", self.log());
    }

    /// Ends it as a power cut would.
    pub async fn kill(&mut self) {
        self.child.as_mut().unwrap().kill().unwrap();
        self.ended().await;
    }

    fn keeps_secrets(&self) {
        let log = self.log();
        for word in UNSPEAKABLE {
            let line = log.lines().find(|line| line.contains(word));
            assert!(line.is_none(), "{word} was logged: {line:?}");
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap_or_default();
            child.wait().unwrap();
            if std::thread::panicking() {
                println!("the daemon said:\n{}", self.log());
            } else {
                self.keeps_secrets();
            }
        }
    }
}

/// A service manager that listens.
pub struct ServiceManager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl ServiceManager {
    /// Listens in a folder.
    pub fn listen(folder: &Path) -> Self {
        let path = folder.join("notify.sock");
        Self { socket: UnixDatagram::bind(&path).unwrap(), path }
    }

    /// Its address, for `NOTIFY_SOCKET`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Hears messages until one has a line that begins so; gives that message.
    pub async fn hears(&self, line: &str) -> String {
        let mut message = vec![0; 4096];
        let hearing = async {
            loop {
                let length = self.socket.recv(&mut message).await.unwrap();
                let text = String::from_utf8(message[..length].to_vec()).unwrap();
                if text.lines().any(|heard| heard.starts_with(line)) {
                    return text;
                }
            }
        };
        timeout(PATIENCE, hearing).await.unwrap_or_else(|_| panic!("the service manager never heard {line}"))
    }
}
