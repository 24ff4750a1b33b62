//! Where log lines go: readable lines on standard error, or fields into the journal.

use std::io::{IsTerminal, stderr};
use std::os::unix::fs::MetadataExt;

use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// The variable that chooses what is logged, such as `debug` or `stormbell=debug,hyper=warn`. Libraries say no more than
/// `info`.
pub const FILTER_VARIABLE: &str = "STORMBELL_LOG";

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter makes no sense.
    #[error("{FILTER_VARIABLE} is not a filter; write a level (error, warn, info, debug, trace) or target=level pairs")]
    Filter(#[from] ParseError),
    /// Logging was begun before.
    #[error("logging was started twice")]
    Twice(#[from] TryInitError),
}

/// What is logged unless the variable says otherwise.
pub const DEFAULT_FILTER: &str = "info";

/// Starts logging for the whole process; `default` is the filter when nobody chose one.
///
/// # Errors
/// [`LogError`] when the filter cannot be read, or logging was started before.
pub fn init(default: &str) -> Result<(), LogError> {
    let filter = match std::env::var(FILTER_VARIABLE) {
        Ok(text) if !text.is_empty() => EnvFilter::try_new(text)?,
        _ => EnvFilter::new(default),
    };
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(says_nothing_of_others));
    // Without the socket (a container with an inherited variable) lines are better than nothing.
    let journal = stderr_is_the_journal().then(|| tracing_journald::layer().ok()).flatten();
    if let Some(journal) = journal {
        return Ok(registry.with(journal.with_field_prefix(Some("STORMBELL".to_owned()))).try_init()?);
    }
    let colours = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(stderr).with_ansi(colours).with_target(false).compact();
    Ok(registry.with(lines).try_init()?)
}

/// What libraries say below `info` holds what goes over the wire, tokens in headers among it: that is in no log, whatever
/// the variable asks for.
fn says_nothing_of_others(said: &Metadata<'_>) -> bool {
    *said.level() <= Level::INFO || said.target().split("::").next() == Some(env!("CARGO_CRATE_NAME"))
}

/// systemd names device and inode of the stream it gave us; a shell that redirected
/// standard error elsewhere inherits the variable but not the stream (systemd.exec(5)).
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|file| stream == format!("{}:{}", file.dev(), file.ino()))
}
