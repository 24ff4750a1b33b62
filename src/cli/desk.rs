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
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{Exit, say};
use crate::app::clock::SystemClock;
use crate::config::environment::Environment;
use crate::desk::client::{Dial, Settings, run};
use crate::desk::line::Line;
use crate::domain::quantity::duration;
use crate::telemetry::log;

/// Where the unit in `deploy/` puts it.
const SOCKET: &str = "/run/stormbell/desk.sock";

/// Show the daemon's desktop notices in this session, and carry the acknowledgement back.
#[derive(Debug, Args)]
#[command(after_help = "\
Runs until it is stopped; daemon and desktop may come and go meanwhile. To have it in every session of this user:
  systemctl --user enable --now stormbell-desk
Who may connect is decided by the socket's group (stormbell-desk).")]
pub(super) struct Desk {
    /// The daemon's socket
    #[arg(long, value_name = "FILE", default_value = SOCKET)]
    socket: PathBuf,
    /// How long Snooze keeps an incident away
    #[arg(long, value_name = "DUR", default_value = "10m", value_parser = span)]
    snooze: Duration,
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
        let dial = Local(self.socket);
        let settings = Settings { dial, user, memory, snooze: self.snooze, clock: Arc::new(SystemClock) };
        log::init(log::DEFAULT_FILTER)?;
        let runtime = Runtime::new()?;
        let result = runtime.block_on(until_stopped(settings));
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
