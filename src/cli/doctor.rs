//! `stormbell doctor`: whether each host that the configuration needs can be reached from here, and whether this machine
//! has what the daemon wants of it. Nothing is said to a receiver, and nobody is told anything.

mod local;
mod onward;
mod page;

use std::time::Duration;

use clap::Args;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

use super::{ConfigArgs, Exit, say, show};
use crate::config::environment::Environment;
use crate::config::model::{Config, Egress, Egresses, Onward, ReceiverKind, Speaks};
use crate::domain::quantity::duration;
use crate::net::way::{Obstacle, walk};
use crate::notify::{BuildError, Receiver, SendError};

/// Test each host that the configuration needs, and say what to open.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stormbell doctor
  CREDENTIALS_DIRECTORY=/etc/stormbell/credentials stormbell doctor    with the service's secrets
Each way out is tried as far as TLS, through the proxy and by the authorities of the configuration.
Where a server names further hosts in a document that anybody may read (a sign-in's provider, an
instance of Mastodon, a feed with a hub) it is asked for it, and they are tried, too. No secret is
sent, and nobody is told anything. Exits 0 when all are open and this machine is fit, 1 when not, 78
when the configuration cannot be read.")]
pub(super) struct Doctor {
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    /// For each step: the name, TCP, the proxy, TLS
    #[arg(long, value_name = "DUR", default_value = "10s", value_parser = duration)]
    within: Duration,
    #[command(flatten)]
    config: ConfigArgs,
}

/// A way out, and where it ended.
struct Walked {
    egress: Egress,
    end: Result<(), Stop>,
}

/// Where hosts are that a server names, and were not found out.
struct Unnamed {
    onward: Onward,
    /// Why not, where somebody was asked.
    why: Option<String>,
}

/// Why a way is closed.
enum Stop {
    Obstacle(Obstacle),
    /// A mail server that is there, and no use.
    Mail(SendError),
}

/// Something of this machine.
struct Part {
    name: &'static str,
    state: State,
    words: String,
    advice: Option<String>,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Fine,
    /// It works, and may not for long; or nobody could say.
    Warning,
    Failed,
}

impl Doctor {
    pub(super) fn main(&self) -> anyhow::Result<Exit> {
        let environment = Environment::of_process();
        let Some(found) = self.config.load(&environment) else {
            say("error: there is no configuration file, so no host is needed; name one with --config");
            return Ok(Exit::Config);
        };
        let (path, findings) = (found.path.clone(), found.findings.clone());
        let Some(config) = found.config("nobody knows which hosts are needed") else { return Ok(Exit::Config) };
        show(&findings);
        let mut egresses = config.egresses();
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (found, clock) =
            runtime.block_on(async { tokio::join!(ways(&config, &mut egresses, self.within), local::clock()) });
        // A resolver that hangs holds a thread; it must not hold the process.
        runtime.shutdown_background();
        let (walked, unnamed) = found?;
        let mut parts = local::parts(&config);
        parts.extend([clock, local::secrets(&findings)]);
        let seen =
            page::Seen { file: &path, walked: &walked, secret: &egresses.secret, unnamed: &unnamed, parts: &parts };
        let mut out = std::io::stdout().lock();
        if self.json {
            page::json(&mut out, &seen)?;
        } else {
            page::write(&mut out, &seen)?;
        }
        Ok(if seen.is_fit() { Exit::Fine } else { Exit::Failed })
    }
}

/// Goes all ways, and those that servers name meanwhile; also where hosts are that nobody named.
async fn ways(
    config: &Config,
    egresses: &mut Egresses,
    within: Duration,
) -> anyhow::Result<(Vec<Walked>, Vec<Unnamed>)> {
    let onward = std::mem::take(&mut egresses.onward);
    let (walked, answers) = tokio::join!(all(config, egresses.known.clone(), within), onward::ask(onward, within));
    let (mut walked, mut unnamed) = (walked?, Vec::new());
    let first = egresses.known.len();
    for (onward, answer) in answers {
        match (answer, &onward.named_in) {
            (Ok(urls), Some(named_in)) => {
                for url in urls {
                    egresses.url(&onward.whose, &url, &named_in.transport);
                }
            }
            (answer, _) => unnamed.push(Unnamed { onward, why: answer.err().flatten() }),
        }
    }
    walked.extend(all(config, egresses.known.split_off(first), within).await?);
    Ok((walked, unnamed))
}

/// Goes all ways at once; what is found comes in their order.
async fn all(config: &Config, known: Vec<Egress>, within: Duration) -> anyhow::Result<Vec<Walked>> {
    let mut under_way = JoinSet::new();
    for (place, egress) in known.into_iter().enumerate() {
        let mail = mail_server(config, &egress);
        under_way.spawn(async move {
            let mut end = walk(&egress, within).await.map_err(Stop::Obstacle);
            if let (Ok(()), Some(mail)) = (&end, mail) {
                let unfit = |error: BuildError| SendError::Permanent { error: error.to_string() };
                end = match mail.map_err(unfit) {
                    Ok(mail) => mail.greet().await,
                    Err(error) => Err(error),
                }
                .map_err(Stop::Mail);
            }
            (place, Walked { egress, end })
        });
    }
    let mut walked = Vec::new();
    while let Some(one) = under_way.join_next().await {
        walked.push(one?);
    }
    walked.sort_by_key(|(place, _)| *place);
    Ok(walked.into_iter().map(|(_, walked)| walked).collect())
}

/// The receiver whose greeting shows whether a mail server's STARTTLS is any good.
fn mail_server(config: &Config, egress: &Egress) -> Option<Result<Receiver, BuildError>> {
    let is_it = |kind: &ReceiverKind| match kind {
        ReceiverKind::Smtp(mail) => {
            (&mail.host, mail.port, &mail.ca_file) == (&egress.host, egress.port, &egress.transport.ca_file)
        }
        _ => false,
    };
    let receiver = config.receivers.iter().find(|receiver| is_it(&receiver.kind))?;
    (egress.speaks == Speaks::StartTls).then(|| Receiver::build(receiver, None))
}
