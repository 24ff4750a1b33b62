//! The daemon as a hospital runs it: the release binary, a configuration, a database on disk.

use std::fs::{self, File, Permissions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::corpus::HOSPITAL;
use super::machine::folder;
use super::sink::Sink;
use super::stream::Stream;

/// By which the API knows us.
pub const TOKEN: &str = "a-token-for-the-benchmark";
/// What most hospitals leave as it is.
pub const USUAL: &str = "store.retention = \"30d\"";
/// Longer than a start takes.
const PATIENCE: Duration = Duration::from_mins(2);

/// A stream, as the configuration names it.
pub fn source(stream: &Stream) -> String {
    format!("[[source]]\nname = \"bluesky\"\nkind = \"jetstream\"\nurl = \"{}\"\n", stream.url())
}

/// A running daemon; it ends when dropped, and its files with it.
pub struct Daemon {
    process: Child,
    console: SocketAddr,
    folder: tempfile::TempDir,
}

impl Daemon {
    /// Starts it with a file of rules, and the built-in pack.
    pub fn start(stream: &Stream, sink: &Sink, rules: &str) -> Self {
        Self::of(&source(stream), USUAL, sink, rules)
    }

    /// The same on other sources, `[[source]]` and what belongs to each, and with other settings, as dotted keys.
    pub fn of(sources: &str, settings: &str, sink: &Sink, rules: &str) -> Self {
        let folder = folder();
        let path = |name: &str| folder.path().join(name);
        let (database, token, hook) = (path("stormbell.db"), path("token"), sink.url());
        // Free a moment ago; nobody else is at work here.
        let console = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let config = format!(
            r#"schema = 1
rules = ["builtin:hospital", "rules.toml"]
organization = {{ name = "{HOSPITAL}" }}
store.path = "{}"
web = {{ listen = "{console}", token = {{ file = "{}" }} }}
receiver = [{{ name = "hook", kind = "webhook", url = "{hook}" }}]
route = [{{ steps = [{{ notify = ["hook"] }}] }}]
{settings}
{sources}"#,
            database.display(),
            token.display()
        );
        fs::write(path("stormbell.toml"), config).unwrap();
        fs::write(path("rules.toml"), rules).unwrap();
        fs::write(&token, TOKEN).unwrap();
        fs::set_permissions(&token, Permissions::from_mode(0o600)).unwrap();
        let log = File::create(path("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_stormbell"));
        command.args(["run", "--config"]).arg(path("stormbell.toml")).env("RUST_LOG", "warn");
        let process = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { process, console, folder }
    }

    /// Where its console is, once it is there.
    pub fn console(&self) -> SocketAddr {
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(self.console).is_err() {
            assert!(Instant::now() < until, "nobody listens at {}", self.console);
            thread::sleep(Duration::from_millis(20));
        }
        self.console
    }

    /// A command as people give it, and the JSON that it prints.
    pub fn command(&self, arguments: &[&str]) -> Vec<Value> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stormbell"));
        let output = command.args(arguments).arg("--config").arg(self.path("stormbell.toml")).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Where a file of it is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// How many files it has open.
    pub fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap().count()
    }

    /// A figure of `/proc/…/status`, in bytes.
    pub fn memory(&self, key: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Its database goes too, so it need not say goodbye.
        self.process.kill().and_then(|()| self.process.wait()).unwrap();
    }
}
