//! What `backtest` prints, for people or as JSON.

use std::collections::BTreeSet;
use std::io::{BufWriter, Stdout, Write};

use serde::Serialize;

use super::account::{Account, ByShift, Pages, SHIFTS};
use crate::cli::{counted, replay};
use crate::domain::id::{PostId, ReceiverName, RuleId};
use crate::domain::incident::Alert;
use crate::telemetry::memory::memory;
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
struct SummaryJson<'a> {
    posts: u64,
    from: Option<String>,
    to: Option<String>,
    weeks: f64,
    alerts: u64,
    alerts_now: u64,
    /// Opened, by all rules.
    incidents: u64,
    incidents_now: u64,
    /// The incidents.
    shifts: Vec<ShiftJson>,
    /// Messages that want attention, by the routes of the configuration.
    pages: Vec<PagesJson<'a>>,
    peak_rss_bytes: u64,
}

#[derive(Serialize)]
struct PagesJson<'a> {
    receiver: &'a str,
    pages: u64,
    pages_now: u64,
    /// So many of them because nobody took charge.
    escalated: u64,
    escalated_now: u64,
    shifts: Vec<ShiftJson>,
}

/// How much of something there was in one kind of shift.
#[derive(Serialize)]
struct ShiftJson {
    shift: &'static str,
    count: u64,
    count_now: u64,
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
        let shifts = |now: &ByShift, changed: &ByShift| {
            let kinds = SHIFTS.iter().zip(changed.kinds().into_iter().zip(now.kinds()));
            let shift = |(&shift, ((count, most_in_a_shift), (count_now, _))): (&&'static str, _)| ShiftJson {
                shift,
                count,
                count_now,
                per_shift: rate(count, weeks * 7.0),
                most_in_a_shift,
            };
            kinds.map(shift).collect::<Vec<_>>()
        };
        let nothing = Pages::default();
        let receivers: BTreeSet<&ReceiverName> = now.pages.keys().chain(changed.pages.keys()).collect();
        let pages = receivers.into_iter().map(|receiver| {
            let of = |account: &'_ Account<'_>| {
                account.pages.get(receiver).map_or((0, 0), |pages| (pages.sent.all(), pages.escalated))
            };
            let ((pages, escalated), (pages_now, escalated_now)) = (of(changed), of(now));
            let before = now.pages.get(receiver).unwrap_or(&nothing);
            let after = changed.pages.get(receiver).unwrap_or(&nothing);
            let shifts = shifts(&before.sent, &after.sent);
            PagesJson { receiver: receiver.as_str(), pages, pages_now, escalated, escalated_now, shifts }
        });
        let time = changed.time();
        let summary = SummaryJson {
            posts: changed.posts,
            from: time.map(|(from, _)| from.to_string()),
            to: time.map(|(_, to)| to.to_string()),
            weeks: (weeks * 100.0).round() / 100.0,
            alerts: changed.all_alerts(),
            alerts_now: now.all_alerts(),
            incidents: changed.incidents.all(),
            incidents_now: now.incidents.all(),
            shifts: shifts(&now.incidents, &changed.incidents),
            pages: pages.collect(),
            peak_rss_bytes: memory().peak_bytes,
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

    fn table(&mut self, rules: &[RuleJson<'_>], summary: &SummaryJson<'_>) -> anyhow::Result<()> {
        let SummaryJson { posts, from, to, incidents, incidents_now, .. } = summary;
        let width = rules.iter().map(|rule| rule.rule.len()).max().unwrap_or(0).max(4);
        if summary.alerts + summary.alerts_now > 0 {
            writeln!(self.out)?;
        }
        writeln!(self.out, "{:width$}   in force   tried   a week   most in a week", "rule")?;
        for RuleJson { rule, in_force, alerts, alerts_now, per_week, most_in_a_week } in rules {
            let now = if *in_force { alerts_now.to_string() } else { "–".to_owned() };
            writeln!(self.out, "{rule:width$} {now:>10} {alerts:>7} {per_week:>8.1} {most_in_a_week:>16}")?;
        }
        writeln!(self.out, "\nincidents opened, by all rules: {incidents_now} in force, {incidents} tried")?;
        self.shifts(&summary.shifts)?;
        if !summary.pages.is_empty() {
            writeln!(self.out, "\npages, by the routes, if nobody took charge:")?;
        }
        for PagesJson { receiver, pages, pages_now, escalated, escalated_now, shifts } in &summary.pages {
            writeln!(
                self.out,
                "{receiver}: {pages_now} in force ({escalated_now} escalated), {pages} tried ({escalated} escalated)"
            )?;
            self.shifts(shifts)?;
        }
        if let (Some(from), Some(to)) = (from, to) {
            writeln!(self.out, "\n{} from {from} to {to}", counted(*posts, "post"))?;
        }
        Ok(())
    }

    fn shifts(&mut self, shifts: &[ShiftJson]) -> anyhow::Result<()> {
        for ShiftJson { shift, count, count_now, per_shift, most_in_a_shift } in shifts {
            writeln!(
                self.out,
                "  {shift:<8} {count_now:>7} in force {count:>7} tried, {per_shift:.2} a shift, at most {most_in_a_shift}"
            )?;
        }
        Ok(())
    }
}

/// So many in so much time, to two digits.
fn rate(count: u64, time: f64) -> f64 {
    let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    (count / time * 100.0).round() / 100.0
}
