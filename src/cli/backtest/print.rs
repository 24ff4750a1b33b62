//! What `backtest` prints, for people or as JSON.

use std::collections::BTreeSet;
use std::io::{BufWriter, Stdout, Write};

use serde::Serialize;

use super::account::{Account, SHIFTS};
use crate::cli::{counted, replay};
use crate::domain::id::{PostId, RuleId};
use crate::domain::incident::Alert;
use crate::wire::replayed::AlertJson;

/// Writes to standard output.
pub(super) struct Printer {
    json: bool,
    out: BufWriter<Stdout>,
}

/// An alert, and whether both sets of rules raised it.
#[derive(Serialize)]
struct ChangeJson<'a> {
    #[serde(flatten)]
    alert: AlertJson<'a>,
    /// `new`, `same` or `gone`.
    change: &'static str,
    decided_by: Vec<&'a str>,
}

/// What became of a rule.
#[derive(Serialize)]
#[serde(tag = "type", rename = "rule")]
struct RuleJson<'a> {
    rule: &'a str,
    in_force: bool,
    alerts: u64,
    alerts_now: u64,
    per_week: f64,
    most_in_a_week: u64,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct SummaryJson {
    posts: u64,
    from: Option<String>,
    to: Option<String>,
    weeks: f64,
    alerts: u64,
    alerts_now: u64,
    /// Incidents opened, by all rules.
    pages: u64,
    pages_now: u64,
    shifts: Vec<ShiftJson>,
}

#[derive(Serialize)]
struct ShiftJson {
    shift: &'static str,
    pages: u64,
    pages_now: u64,
    per_shift: f64,
    most_in_a_shift: u64,
}

impl Printer {
    pub(super) fn new(json: bool) -> Self {
        Self { json, out: BufWriter::new(std::io::stdout()) }
    }

    /// One alert: when, which rule, which posts decided, and why.
    pub(super) fn alert(&mut self, alert: &Alert, change: &'static str) -> anyhow::Result<()> {
        let decided_by: Vec<&str> = alert.decided_by.iter().map(PostId::as_str).collect();
        if self.json {
            return replay::line(&mut self.out, &ChangeJson { alert: AlertJson::from(alert), change, decided_by });
        }
        let (at, severity) = (alert.at.to_string(), alert.severity.as_str());
        writeln!(self.out, "{change:<4} {at:<27} {severity:<8} {}: {}", alert.rule, alert.why)?;
        // Silence is decided by no post.
        if !decided_by.is_empty() {
            writeln!(self.out, "     decided by {}", decided_by.join(", "))?;
        }
        Ok(())
    }

    /// The account of each rule that was tried, and of all.
    pub(super) fn end(
        mut self,
        tried: &BTreeSet<RuleId>,
        in_force: impl Fn(&RuleId) -> bool,
        now: &Account<'_>,
        changed: &Account<'_>,
    ) -> anyhow::Result<()> {
        let weeks = changed.weeks();
        let rules: Vec<RuleJson<'_>> = tried
            .iter()
            .map(|rule| {
                let (alerts, most_in_a_week) = changed.of_rule(rule);
                let (alerts_now, _) = now.of_rule(rule);
                let (rule, in_force, per_week) = (rule.as_str(), in_force(rule), rate(alerts, weeks));
                RuleJson { rule, in_force, alerts, alerts_now, per_week, most_in_a_week }
            })
            .collect();
        let shifts = SHIFTS.iter().zip(changed.by_shift().into_iter().zip(now.by_shift()));
        let shifts = shifts.map(|(shift, ((pages, most_in_a_shift), (pages_now, _)))| {
            let per_shift = rate(pages, weeks * 7.0);
            ShiftJson { shift, pages, pages_now, per_shift, most_in_a_shift }
        });
        let time = changed.time();
        let summary = SummaryJson {
            posts: changed.posts,
            from: time.map(|(from, _)| from.to_string()),
            to: time.map(|(_, to)| to.to_string()),
            weeks: (weeks * 100.0).round() / 100.0,
            alerts: changed.all_alerts(),
            alerts_now: now.all_alerts(),
            pages: changed.all_pages(),
            pages_now: now.all_pages(),
            shifts: shifts.collect(),
        };
        if self.json {
            rules.iter().try_for_each(|rule| replay::line(&mut self.out, rule))?;
            replay::line(&mut self.out, &summary)?;
        } else {
            self.table(&rules, &summary)?;
        }
        self.out.flush()?;
        Ok(())
    }

    fn table(&mut self, rules: &[RuleJson<'_>], summary: &SummaryJson) -> anyhow::Result<()> {
        let SummaryJson { posts, from, to, pages, pages_now, .. } = summary;
        let width = rules.iter().map(|rule| rule.rule.len()).max().unwrap_or(0).max(4);
        if summary.alerts + summary.alerts_now > 0 {
            writeln!(self.out)?;
        }
        writeln!(self.out, "{:width$}   in force   tried   a week   most in a week", "rule")?;
        for RuleJson { rule, in_force, alerts, alerts_now, per_week, most_in_a_week } in rules {
            let now = if *in_force { alerts_now.to_string() } else { "–".to_owned() };
            writeln!(self.out, "{rule:width$} {now:>10} {alerts:>7} {per_week:>8.1} {most_in_a_week:>16}")?;
        }
        writeln!(self.out, "\nincidents opened, by all rules: {pages_now} in force, {pages} tried")?;
        for ShiftJson { shift, pages, pages_now, per_shift, most_in_a_shift } in &summary.shifts {
            writeln!(
                self.out,
                "  {shift:<8} {pages_now:>7} in force {pages:>7} tried, {per_shift:.2} a shift, at most {most_in_a_shift}"
            )?;
        }
        if let (Some(from), Some(to)) = (from, to) {
            writeln!(self.out, "{} from {from} to {to}", counted(*posts, "post"))?;
        }
        Ok(())
    }
}

/// So many in so much time, to two digits.
fn rate(count: u64, time: f64) -> f64 {
    let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    (count / time * 100.0).round() / 100.0
}
