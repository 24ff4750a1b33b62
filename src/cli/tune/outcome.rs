//! What was found, as figures, and as JSON.

use std::fmt;
use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::advice::advice;
use super::{AUTHORS, WITHIN, small};
use crate::cli::replay::line;
use crate::domain::engine::tuning::Tried;
use crate::domain::time::Timestamp;
use crate::domain::volume::Promise;
use crate::wire::replayed::compact;

/// Caught in so many cases counts as noticed.
const NOTICED: f64 = 0.9;
const MONTH_DAYS: f64 = 30.0;

/// All that is told.
pub(super) struct Outcome<'a> {
    pub(super) rule: &'a str,
    pub(super) title: &'a str,
    pub(super) posts: u64,
    pub(super) taken: u64,
    pub(super) span: (Timestamp, Timestamp),
    /// Alerts count, and bursts are tried, from then on.
    pub(super) since: Timestamp,
    pub(super) moments: usize,
    pub(super) seed: u64,
    /// The most talkative setting first.
    pub(super) rows: Vec<Row>,
}

/// One setting.
pub(super) struct Row {
    pub(super) setting: Setting,
    pub(super) in_force: bool,
    pub(super) tried: Tried,
}

/// What is turned.
#[derive(Clone, Copy)]
pub(super) enum Setting {
    /// A spike's.
    Promise(Promise),
    /// A count's.
    AtLeast(u64),
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promise(Promise { alarms, within }) => f.pad(&format!("{alarms} per {}", compact(*within))),
            Self::AtLeast(count) => f.pad(&format!("at least {count}")),
        }
    }
}

/// One kind of burst under one setting.
#[derive(Clone, Copy)]
pub(super) struct Caught {
    pub(super) authors: usize,
    pub(super) within: Duration,
    /// 0 to 1.
    pub(super) share: f64,
    /// The median of those caught.
    pub(super) delay: Option<Duration>,
}

impl Outcome<'_> {
    /// How long the settings were tried.
    pub(super) fn tried(&self) -> Duration {
        self.span.1.since(self.since)
    }

    pub(super) fn per_month(&self, row: &Row) -> f64 {
        let alerts = f64::from(u32::try_from(row.tried.alerts).unwrap_or(u32::MAX));
        alerts / (self.tried().as_secs_f64() / 86_400.0) * MONTH_DAYS
    }

    /// The bursts within so long, the smallest first.
    pub(super) fn bursts(&self, row: &Row, within: Duration) -> Vec<Caught> {
        let kinds = WITHIN.into_iter().flat_map(|within| AUTHORS.map(|authors| (authors, within)));
        let all = kinds.zip(&row.tried.caught).filter(|((_, length), _)| *length == within);
        all.map(|((authors, within), delays)| Caught {
            authors,
            within,
            share: small(delays.len()) / small(self.moments),
            delay: delays.get(delays.len() / 2).copied(),
        })
        .collect()
    }

    /// The smallest burst that is noticed, as all larger ones are.
    pub(super) fn smallest(&self, row: &Row, within: Duration) -> Option<Caught> {
        self.bursts(row, within).into_iter().rev().take_while(|caught| caught.share >= NOTICED).last()
    }

    pub(super) fn in_force(&self) -> Option<&Row> {
        self.rows.iter().find(|row| row.in_force)
    }

    /// One object a line.
    pub(super) fn print_json(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        for row in &self.rows {
            let bursts = WITHIN.into_iter().flat_map(|within| self.bursts(row, within)).map(|caught| BurstJson {
                authors: caught.authors,
                within: compact(caught.within),
                caught: rounded(caught.share),
                delay_seconds: caught.delay.map(|delay| delay.as_secs()),
            });
            let smallest = WITHIN.into_iter().map(|within| SmallestJson {
                within: compact(within),
                authors: self.smallest(row, within).map(|caught| caught.authors),
            });
            let json = SettingJson {
                setting: row.setting.to_string(),
                in_force: row.in_force,
                alerts: row.tried.alerts,
                per_month: rounded(self.per_month(row)),
                smallest: smallest.collect(),
                bursts: bursts.collect(),
            };
            line(&mut out, &json)?;
        }
        let summary = SummaryJson {
            rule: self.rule,
            posts: self.posts,
            taken: self.taken,
            from: self.span.0.to_string(),
            to: self.span.1.to_string(),
            tried_from: self.since.to_string(),
            moments: self.moments,
            seed: self.seed,
            in_force: self.in_force().map(|row| row.setting.to_string()),
            advice: advice(self),
        };
        line(&mut out, &summary)?;
        out.flush()?;
        Ok(())
    }
}

/// Alerts a month, as people read it.
pub(super) fn monthly(alerts: f64) -> String {
    if alerts > 0.0 && alerts < 0.95 { format!("{alerts:.2}") } else { format!("{alerts:.1}") }
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "setting")]
struct SettingJson {
    setting: String,
    in_force: bool,
    /// On the history itself.
    alerts: u64,
    per_month: f64,
    /// The smallest bursts caught nine times in ten.
    smallest: Vec<SmallestJson>,
    bursts: Vec<BurstJson>,
}

#[derive(Serialize)]
struct SmallestJson {
    within: String,
    authors: Option<usize>,
}

#[derive(Serialize)]
struct BurstJson {
    authors: usize,
    within: String,
    caught: f64,
    /// The median of those caught.
    delay_seconds: Option<u64>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct SummaryJson<'a> {
    rule: &'a str,
    posts: u64,
    taken: u64,
    from: String,
    to: String,
    tried_from: String,
    moments: usize,
    seed: u64,
    in_force: Option<String>,
    advice: Option<String>,
}
