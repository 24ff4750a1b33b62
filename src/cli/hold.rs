//! `stormbell hold`: an incident's evidence is kept for the law, and somebody answers for it.

use std::io::Write;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::Exit;
use super::client::{DaemonArgs, seconds, who};
use crate::web::view::HoldView;

/// Keep an incident's evidence for the law.
#[derive(Debug, Args)]
#[command(after_help = "\
While an incident is held, retention passes over its posts, alerts, history and messages, and `stormbell erase` refuses them. A post
that its author deletes or changes goes out of sight all the same: its old text is only shown by `hold posts`, and each look is in the
audit log. When the hold is removed, what had to go goes, the rest with the next hour's retention.

Examples:
  stormbell hold add inc-qionaw3lqq --approved-by 'Dr. Roe, General Counsel' --reason 'law suit 4711'
  stormbell hold list
  stormbell hold remove inc-qionaw3lqq --reason 'settled'")]
pub(super) struct Hold {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Hold an incident's evidence
    Add(Add),
    /// List the incidents that are held
    List(List),
    /// End a hold
    Remove(Remove),
    /// Show what a hold keeps though its authors took it back, as JSON; the look is written down
    Posts(Posts),
}

#[derive(Debug, Args)]
struct Add {
    /// The incident's id
    id: String,
    /// Who answers for it
    #[arg(long, value_name = "NAME")]
    approved_by: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who you are [default: $USER]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    daemon: DaemonArgs,
}

#[derive(Debug, Args)]
struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: DaemonArgs,
}

#[derive(Debug, Args)]
struct Remove {
    /// The incident's id
    id: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who you are [default: $USER]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    daemon: DaemonArgs,
}

#[derive(Debug, Args)]
struct Posts {
    /// The incident's id
    id: String,
    /// Who you are [default: $USER]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    daemon: DaemonArgs,
}

impl Hold {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        match self.what {
            What::Add(add) => add.main(),
            What::List(list) => list.main(),
            What::Remove(remove) => remove.main(),
            What::Posts(posts) => posts.main(),
        }
    }
}

impl Add {
    fn main(self) -> anyhow::Result<Exit> {
        let Self { id, approved_by, reason, by, daemon } = self;
        let body = json!({ "incident": id, "approved_by": approved_by, "reason": reason, "by": who(by)? });
        show(&mut std::io::stdout().lock(), &read(&daemon.ask(Method::POST, "holds", Some(body.to_string()))?)?)?;
        Ok(Exit::Fine)
    }
}

impl List {
    fn main(self) -> anyhow::Result<Exit> {
        let text = self.daemon.ask(Method::GET, "holds", None)?;
        let holds: Vec<HoldView> = serde_json::from_str(&text).context("the daemon's answer")?;
        let mut out = std::io::stdout().lock();
        if self.json {
            holds.iter().try_for_each(|hold| writeln!(out, "{}", json!(hold)))?;
        } else if holds.is_empty() {
            writeln!(out, "nothing is held")?;
        } else {
            holds.iter().try_for_each(|hold| show(&mut out, hold))?;
        }
        Ok(Exit::Fine)
    }
}

impl Remove {
    fn main(self) -> anyhow::Result<Exit> {
        let Self { id, reason, by, daemon } = self;
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("by", &who(by)?)
            .append_pair("reason", &reason)
            .finish();
        let hold = read(&daemon.ask(Method::DELETE, &format!("holds/{id}?{query}"), None)?)?;
        writeln!(std::io::stdout().lock(), "{} is held no longer", hold.incident)?;
        Ok(Exit::Fine)
    }
}

impl Posts {
    fn main(self) -> anyhow::Result<Exit> {
        let Self { id, by, daemon } = self;
        let body = json!({ "by": who(by)? }).to_string();
        let text = daemon.ask(Method::POST, &format!("holds/{id}/posts"), Some(body))?;
        let posts: Vec<serde_json::Value> = serde_json::from_str(&text).context("the daemon's answer")?;
        let mut out = std::io::stdout().lock();
        posts.iter().try_for_each(|post| writeln!(out, "{post}"))?;
        Ok(Exit::Fine)
    }
}

fn read(text: &str) -> anyhow::Result<HoldView> {
    serde_json::from_str(text).context("the daemon's answer cannot be read; is it of another version?")
}

fn show(out: &mut impl Write, hold: &HoldView) -> std::io::Result<()> {
    let HoldView { incident, approved_by, reason, by, at } = hold;
    writeln!(out, "{incident}  held since {} by {by}, approved by {approved_by}: {reason}", seconds(at))
}
