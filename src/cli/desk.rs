//! `stormbell desk`: desktop notices in a user's own session.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use futures_util::future::BoxFuture;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_util::sync::CancellationToken;
use url::{Host, Url};

use super::{Exit, say};
use crate::app::clock::SystemClock;
use crate::config::environment::Environment;
use crate::config::model::Transport;
use crate::config::secret::Secret;
use crate::desk::client::{Dial, Settings, run};
use crate::desk::line::Line;
use crate::desk::protocol::MAX_LINE;
use crate::domain::quantity::duration;
use crate::net::ws::Connector;
use crate::telemetry::log;

/// A server that takes longer is not there.
const CONNECTED_WITHIN: Duration = Duration::from_secs(10);
/// Where the unit in `deploy/` puts it.
const SOCKET: &str = "/run/stormbell/desk.sock";

/// Show the daemon's desktop notices in this session, and carry the acknowledgement back.
#[derive(Debug, Args)]
#[command(after_help = "\
Runs until it is stopped; daemon and desktop may come and go meanwhile. To have it in every session of this user:
  systemctl --user enable --now stormbell-desk
On the daemon's machine the socket's group decides who may connect (stormbell-desk). From another one:
  stormbell desk --url https://stormbell.hospital.example --token-file ~/.config/stormbell/token")]
pub(super) struct Desk {
    /// The daemon's socket
    #[arg(long, value_name = "FILE", default_value = SOCKET)]
    socket: PathBuf,
    /// A daemon on another machine: where its API is, behind TLS
    #[arg(long, value_name = "URL", conflicts_with = "socket", requires = "token_file", value_parser = address)]
    url: Option<Url>,
    /// File with the API's token
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// PEM file of certificate authorities to trust besides the system's
    #[arg(long, value_name = "FILE", requires = "url")]
    ca_file: Option<PathBuf>,
    /// How long Snooze keeps an incident away
    #[arg(long, value_name = "DUR", default_value = "10m", value_parser = span)]
    snooze: Duration,
}

/// The token goes there, so in the clear it may go only as far as this machine.
fn address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let here = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if here => Ok(url),
        "http" => Err("the token would be sent in the clear; use https://".to_owned()),
        _ => Err("an address that begins with https://".to_owned()),
    }
}

fn span(text: &str) -> Result<Duration, String> {
    duration(text).map_err(|error| error.to_string())
}

impl Desk {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        let environment = Environment::of_process();
        let folder = environment
            .state_folder()
            .context("$HOME is not set; where should the desk remember? Set XDG_STATE_HOME")?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .with_context(|| folder.display().to_string())?;
        let Some(_only_one) = lock(&folder)? else {
            say("error: another `stormbell desk` of yours is running, and shows everything already");
            return Ok(Exit::Temporary);
        };
        let user = environment.get("USER").or_else(|| environment.get("LOGNAME"));
        let user = user.map(|user| user.to_string_lossy().into_owned()).unwrap_or_default();
        let memory = folder.join("desk.json");
        let (snooze, clock) = (self.snooze, Arc::new(SystemClock));
        log::init(log::DEFAULT_FILTER)?;
        let runtime = Runtime::new()?;
        let result = match (self.url, self.token_file) {
            (Some(url), Some(token_file)) => {
                let dial = Remote::new(url, token_file, self.ca_file)?;
                runtime.block_on(until_stopped(Settings { dial, user, memory, snooze, clock }))
            }
            _ => runtime.block_on(until_stopped(Settings { dial: Local(self.socket), user, memory, snooze, clock })),
        };
        // A browser that was opened may hold a thread; it must not hold the process.
        runtime.shutdown_timeout(Duration::from_millis(100));
        result
    }
}

async fn until_stopped<D: Dial>(settings: Settings<D>) -> anyhow::Result<Exit> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let never = CancellationToken::new();
    tokio::select! {
        () = run(settings, never) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(Exit::Fine)
}

/// Two desks of one user would show everything twice. Released with the process, however it ends.
fn lock(folder: &Path) -> anyhow::Result<Option<File>> {
    let path = folder.join("desk.lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// A daemon on this machine.
struct Local(PathBuf);

impl Dial for Local {
    fn dial(&self) -> BoxFuture<'static, Result<Line, String>> {
        let path = self.0.clone();
        Box::pin(async move {
            let stream = UnixStream::connect(&path).await.map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => "there is no socket; is the daemon running, with a receiver of kind desktop?".to_owned(),
                std::io::ErrorKind::PermissionDenied => "you may not connect; an administrator adds you to the socket's group: usermod -aG stormbell-desk USER, then log in anew".to_owned(),
                _ => error.to_string(),
            })?;
            Ok(Line::over(stream))
        })
    }

    fn whither(&self) -> String {
        self.0.display().to_string()
    }

    fn console(&self) -> Option<Url> {
        None
    }
}

/// A daemon on another machine, by a WebSocket below its API.
struct Remote {
    base: Url,
    websocket: Url,
    token_file: PathBuf,
    connector: Arc<Connector>,
}

impl Remote {
    fn new(base: Url, token_file: PathBuf, ca_file: Option<PathBuf>) -> anyhow::Result<Self> {
        let mut websocket = base.clone();
        let scheme = if base.scheme() == "http" { "ws" } else { "wss" };
        let changed = websocket.set_scheme(scheme).is_ok();
        anyhow::ensure!(changed && !base.cannot_be_a_base(), "{base} is no address of a server");
        websocket.set_query(None);
        if let Ok(mut path) = websocket.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1", "desk"]);
        }
        let transport = Transport { ca_file, ..Transport::default() };
        let connector = Arc::new(Connector::new(transport, CONNECTED_WITHIN, MAX_LINE));
        Ok(Self { base, websocket, token_file, connector })
    }
}

impl Dial for Remote {
    fn dial(&self) -> BoxFuture<'static, Result<Line, String>> {
        let (url, token_file) = (self.websocket.clone(), self.token_file.clone());
        let connector = Arc::clone(&self.connector);
        Box::pin(async move {
            // Read each time: a new token needs no restart.
            let unread = |error| format!("{}: {error}", token_file.display());
            let token = Secret::new(fs::read_to_string(&token_file).map_err(unread)?.trim().to_owned());
            let mut request = url.as_str().into_client_request().map_err(|error| error.to_string())?;
            let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose()))
                .or(Err("the token holds a character that no header may have".to_owned()))?;
            bearer.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, bearer);
            let link = connector.link(&url).await.map_err(|error| format!("{:#}", anyhow::Error::new(error)))?;
            let opened = timeout(CONNECTED_WITHIN, Line::to_websocket(request, link)).await;
            opened.or(Err("no answer".to_owned()))?.map_err(|error| refusal(&error))
        })
    }

    fn whither(&self) -> String {
        self.base.host_str().unwrap_or_default().to_owned()
    }

    fn console(&self) -> Option<Url> {
        Some(self.base.clone())
    }
}

fn refusal(error: &tungstenite::Error) -> String {
    let tungstenite::Error::Http(response) = error else { return error.to_string() };
    match response.status() {
        StatusCode::UNAUTHORIZED => "the daemon does not accept the token in --token-file".to_owned(),
        StatusCode::UNPROCESSABLE_ENTITY => {
            "the daemon has no place for desks: it needs [desk] and a [[receiver]] of the kind desktop".to_owned()
        }
        StatusCode::NOT_FOUND => "no daemon is there, or one that is too old for desks".to_owned(),
        status => format!("it answers with status {}", status.as_u16()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leaves_this_machine_under_tls_only() {
        assert!(address("https://stormbell.hospital.example").is_ok());
        assert!(address("http://127.0.0.1:8787").is_ok() && address("http://[::1]:1").is_ok());
        assert!(address("http://stormbell.hospital.example").unwrap_err().contains("in the clear"));
        assert!(address("ftp://stormbell.hospital.example").is_err() && address("stormbell").is_err());
    }

    #[test]
    fn the_websocket_is_below_the_servers_address() {
        let websocket =
            |base: &str| Remote::new(base.parse().unwrap(), PathBuf::new(), None).unwrap().websocket.to_string();
        assert_eq!(websocket("https://h.example"), "wss://h.example/api/v1/desk");
        assert_eq!(websocket("https://h.example/bell/?x=1"), "wss://h.example/bell/api/v1/desk");
        assert_eq!(websocket("http://127.0.0.1:8787/"), "ws://127.0.0.1:8787/api/v1/desk");
    }
}
