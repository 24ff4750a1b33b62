//! `stormbell drill`: an exercise through the running daemon, and how long everything took.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;

use super::client::{DaemonArgs, who};
use super::{Exit, say};
use crate::domain::quantity::duration;
use crate::domain::time::human;
use crate::web::receipts::{Receipt, seconds_between};
use crate::web::view::DeliveryView;

/// How often the daemon is asked.
const EVERY: Duration = Duration::from_secs(1);

/// Send a marked EXERCISE through the running daemon, until somebody takes charge.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stormbell drill active-threat --by ann             wait 15 minutes for somebody to take charge
  stormbell drill cyber-attack --wait 1h --json
  stormbell drill --history                          how they went, and when the next ones are
Scenarios: active-threat, cyber-attack, fire. Posts that nobody wrote go through the rules,
routes and people in force. Every message begins with EXERCISE; real incidents are paged as
always. It ends when somebody took charge, when the wait is over, or by itself after an hour.
Exits 0 when somebody took charge, 1 when nobody did.")]
pub(super) struct Drill {
    /// What is said to have happened
    #[arg(required_unless_present = "history")]
    scenario: Option<String>,
    /// Show how exercises on record went, and when the next ones are
    #[arg(long, conflicts_with_all = ["scenario", "wait", "by"])]
    history: bool,
    /// How long to wait for somebody to take charge
    #[arg(long, value_name = "DUR", default_value = "15m", value_parser = duration)]
    wait: Duration,
    /// Who you are [default: $USER]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Print the report as JSON, an object for each incident
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: DaemonArgs,
}

/// As much of an incident as a report needs.
#[derive(Debug, Deserialize)]
struct Seen {
    id: String,
    title: String,
    severity: String,
    state: String,
    opened_at: String,
    acknowledged: Option<Signed>,
}

#[derive(Debug, Deserialize)]
struct Signed {
    by: String,
    at: String,
}

/// What is on record.
#[derive(Debug, Deserialize)]
struct History {
    held: Vec<Seen>,
    next: Vec<Next>,
}

#[derive(Debug, Deserialize)]
struct Next {
    scenario: String,
    at: String,
}

/// How an exercise went.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scenario: Option<String>,
    incident: String,
    title: String,
    severity: String,
    opened_at: String,
    acknowledged: bool,
    acknowledged_by: Option<String>,
    acknowledged_after_seconds: Option<f64>,
    receipts: Vec<Receipt>,
}

impl Drill {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        if self.history {
            return self.show_history();
        }
        let by = who(self.by.clone())?;
        let body = serde_json::json!({ "scenario": self.scenario, "by": by }).to_string();
        let begun: Vec<Seen> = serde_json::from_str(&self.daemon.ask(Method::POST, "drills", Some(body))?)?;
        for incident in &begun {
            say(&format!("{} {}", incident.id, incident.title));
        }
        say(&format!("waiting {} for somebody to take charge: `stormbell ack ID`, or as people do", human(self.wait)));
        let looks = self.wait.as_secs() / EVERY.as_secs();
        let timer = Builder::new_current_thread().enable_time().build()?;
        let mut reports = self.look(&begun)?;
        for _ in 0..looks {
            if reports.iter().all(|report| report.acknowledged) {
                break;
            }
            timer.block_on(async { tokio::time::sleep(EVERY).await });
            reports = self.look(&begun)?;
        }
        for report in &reports {
            let reason = serde_json::json!({ "by": by, "text": "the exercise is over" }).to_string();
            // Whoever has ended it already was faster.
            drop(self.daemon.ask(Method::POST, &format!("incidents/{}/resolve", report.incident), Some(reason)));
        }
        let mut out = std::io::stdout().lock();
        for report in &reports {
            if self.json {
                writeln!(out, "{}", serde_json::to_string(report)?)?;
            } else {
                show(&mut out, report)?;
            }
        }
        Ok(if reports.iter().all(|report| report.acknowledged) { Exit::Fine } else { Exit::Failed })
    }

    /// What is on record. Receipts are kept as long as messages are, who took charge for ever.
    fn show_history(&self) -> anyhow::Result<Exit> {
        let History { held, next } = serde_json::from_str(&self.daemon.ask(Method::GET, "drills", None)?)?;
        let reports = self.look(&held)?;
        let mut out = std::io::stdout().lock();
        for report in reports.iter().rev() {
            if self.json {
                writeln!(out, "{}", serde_json::to_string(report)?)?;
            } else {
                write!(out, "{} ", report.opened_at)?;
                show(&mut out, report)?;
            }
        }
        for Next { scenario, at } in next {
            say(&format!("next: {scenario} at {at}"));
        }
        if reports.is_empty() {
            say("no exercise is on record");
        }
        Ok(Exit::Fine)
    }

    /// How all of it stands now.
    fn look(&self, begun: &[Seen]) -> anyhow::Result<Vec<Report>> {
        let one = |incident: &Seen| {
            let path = format!("incidents/{}", incident.id);
            let now: Seen = serde_json::from_str(&self.daemon.ask(Method::GET, &path, None)?)?;
            let deliveries = self.daemon.ask(Method::GET, &format!("{path}/deliveries"), None)?;
            Ok(self.report(now, serde_json::from_str(&deliveries)?))
        };
        begun.iter().map(one).collect()
    }

    fn report(&self, seen: Seen, deliveries: Vec<DeliveryView>) -> Report {
        let opened = seen.opened_at.as_str();
        let after = |at: &str| seconds_between(opened, at);
        Report {
            kind: "exercise",
            scenario: self.scenario.clone(),
            acknowledged: seen.acknowledged.is_some() || seen.state == "acknowledged",
            acknowledged_after_seconds: seen.acknowledged.as_ref().and_then(|signed| after(&signed.at)),
            acknowledged_by: seen.acknowledged.map(|signed| signed.by),
            receipts: deliveries.into_iter().map(|delivery| Receipt::of(delivery, opened)).collect(),
            incident: seen.id,
            title: seen.title,
            severity: seen.severity,
            opened_at: seen.opened_at,
        }
    }
}

fn show(out: &mut impl Write, report: &Report) -> std::io::Result<()> {
    writeln!(out, "{} · {} · {}", report.title, report.severity, report.incident)?;
    for receipt in &report.receipts {
        writeln!(out, "  {:<12} {:<24} {receipt}", receipt.what(), receipt.whom())?;
    }
    match (&report.acknowledged_by, report.acknowledged_after_seconds) {
        (Some(by), Some(after)) => writeln!(out, "  {by} took charge after {after:.1} s"),
        _ if report.acknowledged => writeln!(out, "  somebody took charge"),
        _ => writeln!(out, "  NOBODY took charge: look at who was told, and whether they could answer"),
    }
}
