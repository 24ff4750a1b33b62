//! `stormbell silence`: who silences what, why, and until when.

use std::io::Write;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::Exit;
use super::client::{DaemonArgs, seconds, who};
use crate::domain::message::counted;
use crate::web::view::{PreviewView, PreviewedView, SilenceView};

/// Stop telling people of some rules for a while.
#[derive(Debug, Args)]
#[command(after_help = "\
Incidents go on being recorded; their history says by which silence nobody was told. A critical one
is muted only if a matcher names severity=critical, or its rule or topic without *.

Examples:
  stormbell silence preview topic=cyber*
  stormbell silence add topic=cyber* severity=low,medium --for 2h --reason 'patch night, INC-4711'
  stormbell silence list
  stormbell silence remove sil-qionaw3lqq")]
pub(super) struct Silence {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Silence what fits all of the matchers
    Add(Add),
    /// List the silences in force and to come
    #[command(visible_alias = "query")]
    List(List),
    /// End a silence before its time
    #[command(visible_alias = "expire")]
    Remove(Remove),
    /// Show what a silence would have muted of the incidents that are kept
    Preview(Preview),
}

#[derive(Debug, Args)]
struct Add {
    /// rule=…, topic=… or severity=…, also with !=; * stands for any characters, commas for "or"
    #[arg(required = true, value_name = "MATCHER")]
    matchers: Vec<String>,
    /// Why; shown on every incident it mutes
    #[arg(long, value_name = "TEXT", alias = "comment")]
    reason: String,
    /// How long, at most 31d
    #[arg(long = "for", value_name = "DURATION", alias = "duration", required_unless_present = "until")]
    lasts: Option<String>,
    /// When it ends, such as 2026-11-22T18:00:00Z
    #[arg(long, value_name = "TIME", alias = "end", conflicts_with = "lasts")]
    until: Option<String>,
    /// When it begins [default: now]
    #[arg(long, value_name = "TIME", alias = "start")]
    from: Option<String>,
    /// Who you are [default: $USER]
    #[arg(long, value_name = "NAME", alias = "author")]
    by: Option<String>,
    #[command(flatten)]
    daemon: DaemonArgs,
}

#[derive(Debug, Args)]
struct List {
    /// Those that are over, too
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: DaemonArgs,
}

#[derive(Debug, Args)]
struct Remove {
    /// The silence's id
    id: String,
    /// Who you are [default: $USER]
    #[arg(long, value_name = "NAME", alias = "author")]
    by: Option<String>,
    #[command(flatten)]
    daemon: DaemonArgs,
}

#[derive(Debug, Args)]
struct Preview {
    /// As for `silence add`
    #[arg(required = true, value_name = "MATCHER")]
    matchers: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: DaemonArgs,
}

impl Silence {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        match self.what {
            What::Add(add) => add.main(),
            What::List(list) => list.main(),
            What::Remove(remove) => remove.main(),
            What::Preview(preview) => preview.main(),
        }
    }
}

impl Add {
    fn main(self) -> anyhow::Result<Exit> {
        let by = who(self.by)?;
        let mut body = json!({ "matchers": self.matchers, "by": by, "reason": self.reason });
        for (key, value) in [("for", self.lasts), ("until", self.until), ("from", self.from)] {
            if let (Some(value), Some(body)) = (value, body.as_object_mut()) {
                body.insert(key.to_owned(), value.into());
            }
        }
        let silence = read(&self.daemon.ask(Method::POST, "silences", Some(body.to_string()))?)?;
        show(&mut std::io::stdout().lock(), &silence)?;
        Ok(Exit::Fine)
    }
}

impl List {
    fn main(self) -> anyhow::Result<Exit> {
        let text = self.daemon.ask(Method::GET, "silences", None)?;
        let mut silences: Vec<SilenceView> = serde_json::from_str(&text).context("the daemon's answer")?;
        silences.retain(|silence| self.all || silence.state != "expired");
        let mut out = std::io::stdout().lock();
        if self.json {
            silences.iter().try_for_each(|silence| writeln!(out, "{}", json!(silence)))?;
        } else if silences.is_empty() {
            writeln!(out, "nothing is silenced")?;
        } else {
            silences.iter().try_for_each(|silence| show(&mut out, silence))?;
        }
        Ok(Exit::Fine)
    }
}

impl Remove {
    fn main(self) -> anyhow::Result<Exit> {
        let by: String = url::form_urlencoded::byte_serialize(who(self.by)?.as_bytes()).collect();
        let silence = read(&self.daemon.ask(Method::DELETE, &format!("silences/{}?by={by}", self.id), None)?)?;
        show(&mut std::io::stdout().lock(), &silence)?;
        Ok(Exit::Fine)
    }
}

impl Preview {
    fn main(self) -> anyhow::Result<Exit> {
        let body = json!({ "matchers": self.matchers }).to_string();
        let text = self.daemon.ask(Method::POST, "silences/preview", Some(body))?;
        let mut out = std::io::stdout().lock();
        if self.json {
            writeln!(out, "{text}")?;
            return Ok(Exit::Fine);
        }
        let PreviewView { looked_at, muted, spared } = serde_json::from_str(&text).context("the daemon's answer")?;
        writeln!(out, "would have muted {} of {looked_at}", counted(muted.len() as u64, "incident"))?;
        muted.iter().try_for_each(|incident| show_incident(&mut out, incident))?;
        if !spared.is_empty() {
            writeln!(out, "would fit, and not mute:")?;
            spared.iter().try_for_each(|incident| show_incident(&mut out, incident))?;
        }
        Ok(Exit::Fine)
    }
}

fn read(text: &str) -> anyhow::Result<SilenceView> {
    serde_json::from_str(text).context("the daemon's answer cannot be read; is it of another version?")
}

fn show(out: &mut impl Write, silence: &SilenceView) -> std::io::Result<()> {
    let SilenceView { id, state, matchers, by, reason, from, until, ended_by } = silence;
    let ended = ended_by.as_ref().map_or_else(String::new, |by| format!(", ended by {by}"));
    writeln!(out, "{id}  {state:<8} {}", matchers.join(" "))?;
    writeln!(out, "                {} to {} by {by}{ended}: {reason}", seconds(from), seconds(until))
}

fn show_incident(out: &mut impl Write, incident: &PreviewedView) -> std::io::Result<()> {
    let PreviewedView { id, title, severity, topic, opened_at, because } = incident;
    let because = because.as_ref().map_or_else(String::new, |because| format!(" ({because})"));
    writeln!(out, "{id}  {severity:<8} {topic}  {title}, opened {}{because}", seconds(opened_at))
}
