//! Matrix Synapse, a homeserver written by others, started for a test from a Python that has it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::child::{Process, Reads};

/// A port that is free now.
pub fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Asks until there is an answer that will do, at most a minute.
pub async fn until(client: &reqwest::Client, url: &str, will_do: impl Fn(&str) -> bool) -> String {
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    let mut last = String::new();
    for _ in 0..1200 {
        looks.tick().await;
        let Ok(answer) = client.get(url).send().await else { continue };
        last = answer.text().await.unwrap();
        if will_do(&last) {
            return last;
        }
    }
    panic!("{url} never answered so: {last}");
}

/// The Python of a folder with these packages; `STORMBELL_PYTHON` names one that has them already.
pub fn python(folder: &Path, packages: &[&str]) -> PathBuf {
    if let Some(ready) = std::env::var_os("STORMBELL_PYTHON") {
        return ready.into();
    }
    let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    run(Command::new("python3").args(["-m", "venv"]).arg(folder));
    let python = folder.join("bin/python");
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(packages));
    python
}

/// The server; it ends when dropped.
pub struct Synapse {
    pub base: String,
    pub client: reqwest::Client,
    python: PathBuf,
    folder: PathBuf,
    process: Option<Process>,
}

impl Synapse {
    /// Installs it, if need be, and starts it in a folder.
    pub async fn start(folder: &Path) -> Self {
        let python = python(&folder.join("python"), &["matrix-synapse"]);
        let port = port();
        let often = json!({ "per_second": 1000, "burst_count": 1000 });
        let text = json!({
            "server_name": "lab.local",
            "pid_file": folder.join("pid"),
            "listeners": [{ "port": port, "type": "http",
                "bind_addresses": ["127.0.0.1"], "resources": [{ "names": ["client"] }] }],
            "database": { "name": "sqlite3", "args": { "database": folder.join("hs.db") } },
            "media_store_path": folder.join("media"),
            "signing_key_path": folder.join("signing.key"),
            "registration_shared_secret": "lab",
            "report_stats": false,
            "trusted_key_servers": [],
            "enable_registration": true,
            "enable_registration_without_verification": true,
            "rc_message": often,
            "rc_registration": often,
        });
        fs::write(folder.join("hs.yaml"), text.to_string()).unwrap();
        assert!(module(&python, folder, &["--generate-keys"]).status().unwrap().success());
        let process = Process::start(&mut module(&python, folder, &[]), Reads::Output);
        let base = format!("http://127.0.0.1:{port}");
        let synapse =
            Self { base, client: reqwest::Client::new(), python, folder: folder.to_owned(), process: Some(process) };
        synapse.answers().await;
        synapse
    }

    async fn answers(&self) {
        let url = format!("{}/_matrix/client/versions", self.base);
        until(&self.client, &url, |text| text.contains("versions")).await;
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.process.take().into_iter().for_each(Process::kill);
    }

    /// Starts it again where it was.
    pub async fn start_again(&mut self) {
        self.process = Some(Process::start(&mut module(&self.python, &self.folder, &[]), Reads::Output));
        self.answers().await;
    }

    /// A call of the client-server API.
    pub async fn call(&self, method: reqwest::Method, path: &str, token: Option<&str>, body: Value) -> Value {
        let url = format!("{}/_matrix/client/v3/{path}", self.base);
        let mut request = self.client.request(method, url).body(body.to_string());
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.header("content-type", "application/json").send().await.unwrap();
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    pub async fn post(&self, path: &str, token: Option<&str>, body: Value) -> Value {
        self.call(reqwest::Method::POST, path, token, body).await
    }

    /// A new account's token.
    pub async fn join(&self, name: &str) -> String {
        let account = json!({ "username": name, "password": "correct horse", "auth": { "type": "m.login.dummy" } });
        self.post("register", None, account).await["access_token"].as_str().unwrap().to_owned()
    }
}

fn module(python: &Path, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(python);
    command
        .args(["-m", "synapse.app.homeserver", "-c"])
        .arg(folder.join("hs.yaml"))
        .args(arguments)
        .current_dir(folder);
    command
}
