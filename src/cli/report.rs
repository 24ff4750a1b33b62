//! `stormbell report`: what is known of one incident, for the meeting afterwards.

mod page;

use std::io::Write;

use anyhow::Context as _;
use clap::Args;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Exit;
use super::client::DaemonArgs;
use super::receipts::{Receipt, seconds_between};
use crate::web::view::{AlertView, DeliveryView, StatusView, TimelineView};

/// Write the report of one incident: when it was seen, who was told, who took charge.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stormbell report inc-qionaw3lqq > report.md          Markdown, times as the organization's clocks show them
  stormbell report inc-qionaw3lqq --posts              with what people wrote: mind who reads it
  stormbell report inc-qionaw3lqq --json | jq .seconds
`stormbell incidents` lists the ids. It can be asked for at any time, also while the incident lasts.")]
pub(super) struct Report {
    /// The incident's id
    id: String,
    /// Add the posts that are kept, words and authors
    #[arg(long)]
    posts: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: DaemonArgs,
}

/// As much of an incident as its report needs.
#[derive(Debug, Deserialize)]
struct Told {
    id: String,
    title: String,
    severity: String,
    state: String,
    topic: String,
    #[serde(default)]
    also: Vec<String>,
    rules: Vec<String>,
    opened_at: String,
    first_post_at: String,
    posts: u64,
    summary: String,
    why: String,
    playbook: Option<String>,
    exercise: bool,
    late: bool,
    acknowledged: Option<Signed>,
    resolved: Option<Signed>,
    #[serde(default)]
    merged: Vec<String>,
    merged_into: Option<String>,
    reopened_at: Option<String>,
    sample: Vec<Post>,
    timeline: Vec<TimelineView>,
    alerts: Vec<AlertView>,
}

#[derive(Debug, Deserialize)]
struct Signed {
    by: String,
}

#[derive(Debug, Deserialize)]
struct Post {
    id: String,
    created_at: String,
    author: Author,
    text: String,
}

#[derive(Debug, Deserialize)]
struct Author {
    id: String,
    handle: Option<String>,
}

/// How long everything took, in seconds from the first step named to the second, the first time it happened; null while it has not.
#[derive(Debug, PartialEq, Serialize)]
struct Spans {
    /// Null, too, for an incident without posts.
    first_post_to_opened: Option<f64>,
    opened_to_first_receipt: Option<f64>,
    opened_to_acknowledged: Option<f64>,
    opened_to_resolved: Option<f64>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Json<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    seconds: &'a Spans,
    incident: &'a Value,
    receipts: &'a [Receipt],
}

impl Spans {
    fn of(told: &Told, receipts: &[Receipt]) -> Self {
        // What happened first: an incident that began again has been taken and ended before.
        let first = |what: &str| told.timeline.iter().find(|entry| entry.what == what).map(|entry| entry.at.as_str());
        let since_opened = |at: Option<&str>| seconds_between(&told.opened_at, at?);
        let taken = receipts.iter().filter(|receipt| receipt.is_taken()).filter_map(|receipt| receipt.after_seconds);
        Self {
            first_post_to_opened: seconds_between(&told.first_post_at, &told.opened_at).filter(|_| told.posts > 0),
            opened_to_first_receipt: taken.reduce(f64::min),
            opened_to_acknowledged: since_opened(first("acknowledged")),
            opened_to_resolved: since_opened(first("resolved")),
        }
    }
}

impl Report {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        let path = format!("incidents/{}", self.id);
        let mut incident: Value = self.ask(&path)?;
        let told = Told::deserialize(&incident).context(OTHER_VERSION)?;
        let deliveries: Vec<DeliveryView> = self.ask(&format!("{path}/deliveries"))?;
        let receipts: Vec<Receipt> =
            deliveries.into_iter().map(|delivery| Receipt::of(delivery, &told.opened_at)).collect();
        let spans = Spans::of(&told, &receipts);
        let mut out = std::io::stdout().lock();
        if self.json {
            if !self.posts
                && let Some(incident) = incident.as_object_mut()
            {
                incident.remove("sample");
            }
            let report = Json { kind: "report", seconds: &spans, incident: &incident, receipts: &receipts };
            writeln!(out, "{}", serde_json::to_string(&report)?)?;
        } else {
            let status: StatusView = self.ask("status")?;
            let clock = page::Clock::of(&status.timezone);
            write!(out, "{}", page::page(&told, &receipts, &spans, &status.organization, &clock, self.posts)?)?;
        }
        Ok(Exit::Fine)
    }

    fn ask<T: serde::de::DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        serde_json::from_str(&self.daemon.ask(Method::GET, path, None)?).context(OTHER_VERSION)
    }
}

const OTHER_VERSION: &str = "the daemon's answer cannot be read; is it of another version?";
