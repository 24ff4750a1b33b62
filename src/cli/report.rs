//! `stormbell report`: what is known of one incident, for the meeting afterwards.

mod page;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use reqwest::Method;
use url::form_urlencoded;

use super::Exit;
use super::client::DaemonArgs;
use crate::web::report::Report as Written;

/// Write the report of one incident: when it was seen, who was told, who took charge, what was said.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stormbell report inc-qionaw3lqq > report.md          Markdown, times as the organization's clocks show them
  stormbell report inc-qionaw3lqq --posts              with what people wrote: mind who reads it
  stormbell report inc-qionaw3lqq --html --output report.html
                                                       one file that opens and prints anywhere, also to PDF
  stormbell report inc-qionaw3lqq --json | jq .seconds
`stormbell incidents` lists the ids. It can be asked for at any time, also while the incident lasts.")]
pub(super) struct Report {
    /// The incident's id
    id: String,
    /// Add the posts that are kept, words and authors
    #[arg(long)]
    posts: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "html")]
    json: bool,
    /// Print HTML: one file that needs nothing else
    #[arg(long)]
    html: bool,
    /// Write it there instead of printing it
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    daemon: DaemonArgs,
}

/// Writes a file that only its owner may read: people's words are in it, and who they are.
fn keep(path: &Path, text: &str) -> std::io::Result<()> {
    let new = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    new?.write_all(text.as_bytes())
}

impl Report {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        let written = self.write()?;
        match &self.output {
            Some(path) => keep(path, &written).with_context(|| path.display().to_string())?,
            None => write!(std::io::stdout().lock(), "{written}")?,
        }
        Ok(Exit::Fine)
    }

    fn write(&self) -> anyhow::Result<String> {
        let form = if self.html { "&as=html" } else { "" };
        let path = format!("incidents/{}/report?posts={}{form}", self.id, self.posts);
        let answer = self.daemon.ask(Method::GET, &path, None)?;
        if self.html {
            return Ok(answer);
        }
        let mut report: Written = serde_json::from_str(&answer).context(OTHER_VERSION)?;
        // A flood's evidence comes in several answers.
        while let Some(next) = report.evidence_next.take() {
            let after = form_urlencoded::Serializer::new(String::new()).append_pair("after", &next).finish();
            let answer = self.daemon.ask(Method::GET, &format!("{path}&{after}"), None)?;
            let more: Written = serde_json::from_str(&answer).context(OTHER_VERSION)?;
            report.evidence.extend(more.evidence);
            report.evidence_next = more.evidence_next.filter(|again| *again != next);
        }
        if self.json {
            return Ok(format!("{}\n", serde_json::to_string(&report)?));
        }
        let told = report.told().context(OTHER_VERSION)?;
        Ok(page::page(&report, &told, self.posts)?)
    }
}

const OTHER_VERSION: &str = "the daemon's answer cannot be read; is it of another version?";
