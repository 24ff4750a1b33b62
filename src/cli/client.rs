//! Commands that speak to the running daemon over its API.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use reqwest::header::{HeaderValue, LINK};
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use tokio::runtime::Builder;

use super::{ConfigArgs, Exit, Refused};
use crate::app::doors::token_path;
use crate::config::environment::Environment;
use crate::config::secret::Secret;
use crate::net::tls::only;
use crate::web::view::{SourceView, StatusView};

/// Show how the running daemon is doing.
#[derive(Debug, Args)]
#[command(after_help = "Exits 0 when the daemon is ready, 1 when it is not or does not answer.")]
pub(super) struct Status {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// List the running daemon's incidents.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stormbell incidents --state open")]
pub(super) struct Incidents {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// Only those in this state
    #[arg(long, value_parser = ["open", "acknowledged", "resolved"])]
    state: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Do something with an incident.
#[derive(Debug, Args)]
pub(super) struct Act {
    /// The incident's id
    id: String,
    /// Why; written into the incident's history
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Who you are [default: $USER]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    daemon: DaemonArgs,
}

/// Write something into an incident's history.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stormbell note inc-qionaw3lqq 'police are on site' --by ann")]
pub(super) struct Note {
    /// The incident's id
    id: String,
    /// What to write down
    text: String,
    /// Who you are [default: $USER]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    daemon: DaemonArgs,
}

/// End an incident as part of another.
#[derive(Debug, Args)]
pub(super) struct Merge {
    /// The id of the incident that ends
    id: String,
    /// The id of the one that goes on
    into: String,
    /// Why; written into the history of both
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// Who you are [default: $USER]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    daemon: DaemonArgs,
}

/// Where the daemon is.
#[derive(Debug, Args)]
pub(super) struct DaemonArgs {
    /// Address of its API
    #[arg(
        long,
        value_name = "URL",
        help = "Address of its API [default: the configuration's, or http://127.0.0.1:8787]"
    )]
    url: Option<String>,
    /// File with the API's token [default: the configuration's, or api-token beside the database]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// The daemon, as it is asked.
struct Daemon {
    url: String,
    token: Option<Secret>,
    /// The one that it shows, where the configuration says so.
    certificate: Option<PathBuf>,
}

/// As much of an incident as the list shows.
#[derive(Debug, Deserialize)]
struct IncidentLine {
    id: String,
    title: String,
    severity: String,
    state: String,
    summary: String,
    opened_at: String,
    acknowledged: Option<By>,
    merged_into: Option<String>,
    muted: Option<MutedBy>,
}

#[derive(Debug, Deserialize)]
struct MutedBy {
    silences: Vec<String>,
    incident: Option<String>,
}

#[derive(Debug, Deserialize)]
struct By {
    by: String,
}

impl Status {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        let text = self.daemon.ask(Method::GET, "status", None)?;
        let mut out = std::io::stdout().lock();
        let status: StatusView =
            serde_json::from_str(&text).context("the daemon's answer cannot be read; is it of another version?")?;
        if self.json {
            writeln!(out, "{text}")?;
        } else {
            show_status(&mut out, &status)?;
        }
        Ok(if status.ready { Exit::Fine } else { Exit::Failed })
    }
}

fn show_status(out: &mut impl Write, status: &StatusView) -> std::io::Result<()> {
    let health = if status.ready { "ready" } else { "NOT READY" };
    writeln!(
        out,
        "stormbell {} for {}: {health}, since {}",
        status.version,
        status.organization,
        seconds(&status.started_at)
    )?;
    status.reasons.iter().try_for_each(|reason| writeln!(out, "  ! {reason}"))?;
    writeln!(out, "incidents  {} open, {} acknowledged", status.open, status.acknowledged)?;
    writeln!(out, "rules      {}", status.rules)?;
    status.sources.iter().try_for_each(|source| show_source(out, source))?;
    for receiver in &status.receivers {
        let parked = if receiver.parked > 0 { format!(", {} GIVEN UP", receiver.parked) } else { String::new() };
        let waiting = receiver.pending + receiver.leased;
        writeln!(out, "receiver   {}: {waiting} waiting{parked}", receiver.name)?;
    }
    match status.desks.as_deref() {
        None => Ok(()),
        Some([]) => writeln!(out, "desks      NONE: nobody sees what is told on desktops"),
        Some(users) => writeln!(out, "desks      {}: {}", users.len(), users.join(", ")),
    }
}

fn show_source(out: &mut impl Write, source: &SourceView) -> std::io::Result<()> {
    let state = match (source.up, &source.reason) {
        (true, _) => format!("up ({})", source.host.as_deref().unwrap_or("connected")),
        (false, Some(reason)) => format!("DOWN ({reason})"),
        (false, None) => "DOWN".to_owned(),
    };
    let lag = source.lag_seconds.map_or_else(String::new, |lag| format!(", {lag:.1} s behind"));
    let ledger = &source.ledger;
    let rejected: u64 = ledger.rejected.values().sum();
    writeln!(out, "source     {}: {state}{lag}, {:.2} % of the last 24 h seen", source.name, source.coverage * 100.0)?;
    writeln!(
        out,
        "           {} frames = {} posts + {} other + {rejected} rejected + {} duplicates + {} dropped",
        ledger.frames, ledger.posts, ledger.other, ledger.duplicates, ledger.dropped
    )?;
    for what in &source.unwatched {
        writeln!(out, "           NOT WATCHED: {what}")?;
    }
    for gap in source.gaps.iter().rev().take(5) {
        let to = gap.to.as_deref().unwrap_or("now");
        let how = if gap.recovered { "read later" } else { "not seen" };
        writeln!(out, "           gap {} to {}: {} ({how})", seconds(&gap.from), seconds(to), gap.reason)?;
    }
    Ok(())
}

impl Incidents {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        let mut query = self.state.as_ref().map_or_else(String::new, |state| format!("?state={state}"));
        loop {
            let Answer { text, next } = self.daemon.answer(Method::GET, &format!("incidents{query}"), None)?;
            self.print(&text)?;
            match next {
                Some(next) => query = next,
                None => return Ok(Exit::Fine),
            }
        }
    }

    fn print(&self, text: &str) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            let incidents: Vec<serde_json::Value> = serde_json::from_str(text)?;
            return Ok(incidents.iter().try_for_each(|incident| writeln!(out, "{incident}"))?);
        }
        let incidents: Vec<IncidentLine> = serde_json::from_str(text)?;
        if incidents.is_empty() {
            writeln!(out, "no incidents")?;
        }
        for incident in incidents {
            let IncidentLine { id, title, severity, state, summary, opened_at, acknowledged, merged_into, muted } =
                incident;
            let owner = acknowledged.map_or_else(String::new, |by| format!(" by {}", by.by));
            let merged = merged_into.map_or_else(String::new, |into| format!(", part of {into}"));
            let muted = muted.map_or_else(String::new, |MutedBy { mut silences, incident }| {
                silences.extend(incident);
                format!(", MUTED by {}", silences.join(", "))
            });
            writeln!(out, "{id}  {severity:<8} {state}{owner}{merged}{muted}  {title}")?;
            writeln!(out, "                opened {}; {summary}", seconds(&opened_at))?;
        }
        Ok(())
    }
}

impl Act {
    pub(super) fn main(self, action: &str) -> anyhow::Result<Exit> {
        order(&self.daemon, &self.id, action, self.by, &self.reason)
    }
}

impl Note {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        order(&self.daemon, &self.id, "note", self.by, &self.text)
    }
}

impl Merge {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        let body = serde_json::json!({ "into": self.into, "by": who(self.by)?, "reason": self.reason });
        give(&self.daemon, &self.id, "merge", &body)
    }
}

fn order(daemon: &DaemonArgs, id: &str, action: &str, by: Option<String>, text: &str) -> anyhow::Result<Exit> {
    give(daemon, id, action, &serde_json::json!({ "by": who(by)?, "text": text }))
}

fn give(daemon: &DaemonArgs, id: &str, action: &str, body: &serde_json::Value) -> anyhow::Result<Exit> {
    let answer = daemon.ask(Method::POST, &format!("incidents/{id}/{action}"), Some(body.to_string()))?;
    let incident: IncidentLine = serde_json::from_str(&answer)?;
    writeln!(std::io::stdout().lock(), "{} is {}: {}", incident.id, incident.state, incident.title)?;
    Ok(Exit::Fine)
}

/// Whoever gives an order, by name.
pub(super) fn who(by: Option<String>) -> anyhow::Result<String> {
    let environment = Environment::of_process();
    let user = || environment.get("USER").and_then(|user| user.to_str()).map(ToOwned::to_owned);
    let words = || Refused { exit: Exit::Usage, words: "who are you? Say it with --by NAME".to_owned() };
    Ok(by.or_else(user).ok_or_else(words)?)
}

/// An RFC 3339 time without the fraction, for people.
pub(super) fn seconds(time: &str) -> String {
    time.split_once('.').map_or_else(|| time.to_owned(), |(whole, _)| format!("{whole}Z"))
}

/// An answer's body, and the query of the next part where there is one.
struct Answer {
    text: String,
    next: Option<String>,
}

/// What the daemon's `Link` has.
fn next(link: &HeaderValue) -> Option<String> {
    let next = link.to_str().ok()?.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?;
    Some(next.to_owned())
}

impl DaemonArgs {
    /// Sends a request below `/api/v1/` and gives the answer's body.
    pub(super) fn ask(&self, method: Method, path: &str, body: Option<String>) -> anyhow::Result<String> {
        Ok(self.answer(method, path, body)?.text)
    }

    fn answer(&self, method: Method, path: &str, body: Option<String>) -> anyhow::Result<Answer> {
        let Daemon { url, token, certificate } = self.resolve()?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut client = Client::builder().timeout(Duration::from_secs(10)).no_proxy();
            if let Some(certificate) = &certificate {
                client = client.tls_backend_preconfigured(only(certificate)?);
            }
            let client = client.build()?;
            let mut request = client.request(method, format!("{url}/api/v1/{path}"));
            if let Some(token) = &token {
                request = request.bearer_auth(token.expose());
            }
            if let Some(body) = body {
                request = request.header("content-type", "application/json").body(body);
            }
            let answer = request.send().await;
            let answer = answer
                .map_err(|error| anyhow!(error.without_url()))
                .with_context(|| format!("no stormbell answers at {url}; is it running, with a [web] table?"))?;
            let status = answer.status();
            let next = answer.headers().get(LINK).and_then(next);
            let text = answer.text().await?;
            if status.is_success() {
                return Ok(Answer { text, next });
            }
            let problem = serde_json::from_str::<serde_json::Value>(&text).ok();
            let problem = problem.as_ref().and_then(|problem| problem.get("error")?.as_str()).unwrap_or(&text);
            match status {
                StatusCode::UNAUTHORIZED => {
                    bail!("{problem}; name the file with the daemon's token: --token-file FILE")
                }
                StatusCode::NOT_FOUND if path.starts_with("incidents/") => {
                    bail!("{problem}; `stormbell incidents` lists those there are")
                }
                StatusCode::NOT_FOUND if path.starts_with("silences/") => {
                    bail!("{problem}; `stormbell silence list` lists those there are")
                }
                StatusCode::UNPROCESSABLE_ENTITY => bail!("{problem}"),
                _ => bail!("{problem} ({status})"),
            }
        })
    }

    fn resolve(&self) -> anyhow::Result<Daemon> {
        let environment = Environment::of_process();
        let mut url = self.url.clone();
        let (mut token, mut certificate) = (None, None);
        let mut beside = environment.store_path().map(|path| token_path(&path));
        if let Some(found) = url.is_none().then(|| self.config.load(&environment)).flatten() {
            let path = found.path.clone();
            let config = found.sound()?;
            let web = config
                .web
                .with_context(|| format!("{} has no [web] table, so the daemon has no API", path.display()))?;
            let host = match web.listen.ip() {
                ip if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
                ip => ip,
            };
            let scheme = if web.tls.is_some() { "https" } else { "http" };
            url = Some(format!("{scheme}://{}", std::net::SocketAddr::from((host, web.listen.port()))));
            // The name in it is what people call the daemon; here it is called by address.
            certificate = web.tls.map(|tls| tls.certificate);
            token = web.token.filter(|token| !token.expose().is_empty());
            beside = Some(token_path(&config.store.path));
        }
        if let Some(path) = &self.token_file {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            token = Some(Secret::new(text.trim().to_owned()));
        } else if token.is_none()
            && let Some(text) = beside.and_then(|path| std::fs::read_to_string(path).ok())
        {
            token = Some(Secret::new(text.trim().to_owned()));
        }
        let url = url.unwrap_or_else(|| "http://127.0.0.1:8787".to_owned());
        Ok(Daemon { url: url.trim_end_matches('/').to_owned(), token, certificate })
    }
}
