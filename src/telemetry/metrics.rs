//! Counters, gauges and histograms, and their Prometheus text.
//!
//! Typed methods instead of a registry of names: what cannot be said here is not measured,
//! and a label cannot be misspelt. Counting takes a shared lock and an atomic addition;
//! only the first sight of a label set takes the lock alone.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use super::memory::memory;
use crate::domain::event::{Ledger, Paid, Rejected};
use crate::domain::id::{ReceiverName, RuleId, SourceName, Topic};
use crate::domain::lane::{RESTRICTED, is_restricted};
use crate::domain::time::Timestamp;

/// All that is measured. One per process, shared.
#[derive(Debug, Default)]
pub struct Metrics {
    frames: Family<1>,
    posts: Family<1>,
    rejected: Family<2>,
    dropped: Family<2>,
    duplicates: Family<1>,
    other: Family<1>,
    up: Family<1>,
    unwatched: Family<1>,
    paid: Family<1>,
    budget: Family<1>,
    /// Microseconds; shown in seconds.
    gaps: Family<1>,
    alerts: Family<1>,
    crowded_out: Family<1>,
    deliveries: Family<2>,
    answers: Family<2>,
    newest: RwLock<BTreeMap<SourceName, AtomicI64>>,
    rules: AtomicU64,
    desks: AtomicU64,
    certificate_ends: RwLock<Option<Timestamp>>,
    post_to_delivery: Histogram<13>,
    commits: Histogram<12>,
}

/// How an attempt at a delivery ended, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took it.
    Delivered,
    /// It is tried again.
    Retried,
    /// It was given up.
    Parked,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retried => "retried",
            Self::Parked => "parked",
        }
    }
}

/// What became of what a receiver sent back, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It was done here, or was done already.
    Done,
    /// It is not for us.
    Ignored,
    /// Its signature is wrong.
    Refused,
    /// It could not be written down.
    Failed,
}

impl Heard {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Ignored => "ignored",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

const POST_TO_DELIVERY_BOUNDS: [f64; 13] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];
const COMMIT_BOUNDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

impl Metrics {
    /// Adds what happened to a source's frames since the last call.
    pub fn ledger(&self, source: &SourceName, delta: &Ledger) {
        let Ledger { frames, posts, other, rejected, duplicates, dropped } = delta;
        let source = source.as_str();
        self.frames.add([source], *frames);
        self.posts.add([source], *posts);
        self.other.add([source], *other);
        self.duplicates.add([source], *duplicates);
        self.dropped.add([source, "queue_full"], *dropped);
        for (reason, count) in Rejected::ALL.iter().zip(rejected) {
            self.rejected.add([source, reason.as_str()], *count);
        }
    }

    /// A receiver sent something back.
    pub fn answer(&self, receiver: &ReceiverName, heard: Heard) {
        self.answers.add([receiver.as_str(), heard.as_str()], 1);
    }

    /// Whether a source is connected.
    pub fn source_up(&self, source: &SourceName, up: bool) {
        self.up.set([source.as_str()], u64::from(up));
    }

    /// How much a source's server refuses for good, so that nobody watches it.
    pub fn source_unwatched(&self, source: &SourceName, count: usize) {
        self.unwatched.set([source.as_str()], count as u64);
    }

    /// What a source that takes money has cost this month.
    pub fn source_paid(&self, source: &SourceName, paid: Paid) {
        self.paid.set([source.as_str()], paid.read);
        self.budget.set([source.as_str()], paid.budget);
    }

    /// Event time of a source's newest frame; its distance from the present is the lag.
    pub fn source_seen(&self, source: &SourceName, newest: Timestamp) {
        let known = self.newest.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(seen) = known.get(source) {
            seen.fetch_max(newest.micros(), Relaxed);
            return;
        }
        drop(known);
        let mut known = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        known.entry(source.clone()).or_insert(AtomicI64::new(i64::MIN)).fetch_max(newest.micros(), Relaxed);
    }

    /// Time a source did not see and will not see again.
    pub fn gap(&self, source: &SourceName, length: Duration) {
        self.gaps.add([source.as_str()], micros(length));
    }

    /// A rule of that topic fired.
    pub fn alert(&self, rule: &RuleId, topic: &Topic) {
        self.alerts.add([shown(rule, Some(topic))], 1);
    }

    /// A rule forgot so many sightings before their time. Its topic is unknown once the rule is gone.
    pub fn crowded_out(&self, rule: &RuleId, topic: Option<&Topic>, sightings: u64) {
        self.crowded_out.add([shown(rule, topic)], sightings);
    }

    /// An attempt at a delivery ended; `since_post` is the time from the newest post's event
    /// time to the receiver's answer, when it took a message that opened an incident.
    pub fn delivery(&self, receiver: &ReceiverName, outcome: Outcome, since_post: Option<Duration>) {
        self.deliveries.add([receiver.as_str(), outcome.as_str()], 1);
        if let Some(since_post) = since_post {
            self.post_to_delivery.observe(&POST_TO_DELIVERY_BOUNDS, since_post);
        }
    }

    /// Rules in force.
    pub fn rules(&self, count: usize) {
        self.rules.store(count as u64, Relaxed);
    }

    /// Desks that are connected.
    pub fn desks(&self, count: usize) {
        self.desks.store(count as u64, Relaxed);
    }

    /// When the certificate of the web server ends.
    pub fn certificate(&self, ends: Timestamp) {
        *self.certificate_ends.write().unwrap_or_else(PoisonError::into_inner) = Some(ends);
    }

    /// A commit of the engine is on disk.
    pub fn commit(&self, took: Duration) {
        self.commits.observe(&COMMIT_BOUNDS, took);
    }

    /// The Prometheus text format, version 0.0.4.
    pub fn render(&self, now: Timestamp) -> String {
        let mut page = Page::default();
        page.head("stormbell_build_info", "gauge", "The running program.");
        page.sample("stormbell_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        page.head("stormbell_rules", "gauge", "Rules in force.");
        page.sample("stormbell_rules", &[], self.rules.load(Relaxed));
        page.head("stormbell_desks", "gauge", "Desks that are connected, and so can show desktop notices.");
        page.sample("stormbell_desks", &[], self.desks.load(Relaxed));
        page.head(
            "stormbell_certificate_left_seconds",
            "gauge",
            "Time left until the web server's certificate ends; negative once it has. Absent without `tls`.",
        );
        if let Some(ends) = *self.certificate_ends.read().unwrap_or_else(PoisonError::into_inner) {
            let left = ends.micros().saturating_sub(now.micros()) / 1_000_000;
            page.sample("stormbell_certificate_left_seconds", &[], left);
        }
        page.counters("stormbell_frames_total", "Frames received.", ["source"], &self.frames);
        page.counters("stormbell_posts_total", "Posts handed to the rules.", ["source"], &self.posts);
        page.counters(
            "stormbell_rejected_total",
            "Frames that could not be used, by reason.",
            ["source", "reason"],
            &self.rejected,
        );
        page.counters("stormbell_dropped_total", "Frames given up, by reason.", ["source", "reason"], &self.dropped);
        page.counters(
            "stormbell_duplicates_total",
            "Posts seen before in the same version.",
            ["source"],
            &self.duplicates,
        );
        page.counters("stormbell_other_total", "Frames that carry no post.", ["source"], &self.other);
        page.head("stormbell_source_up", "gauge", "1 while the source is connected.");
        page.series("stormbell_source_up", ["source"], &self.up, |value| value);
        let help = "Rules and channels that the source's server refuses for good: nobody watches them.";
        page.head("stormbell_source_unwatched", "gauge", help);
        page.series("stormbell_source_unwatched", ["source"], &self.unwatched, |value| value);
        page.head("stormbell_source_paid_posts", "gauge", "Posts of this month that were paid for.");
        page.series("stormbell_source_paid_posts", ["source"], &self.paid, |value| value);
        page.head("stormbell_source_budget_posts", "gauge", "Posts of a month that may be paid for.");
        page.series("stormbell_source_budget_posts", ["source"], &self.budget, |value| value);
        page.head("stormbell_source_lag_seconds", "gauge", "Present minus event time of the newest frame.");
        for (source, newest) in self.newest.read().unwrap_or_else(PoisonError::into_inner).iter() {
            let lag = now.since(Timestamp::from_micros(newest.load(Relaxed)));
            page.sample("stormbell_source_lag_seconds", &[("source", source.as_str())], lag.as_secs_f64());
        }
        page.head("stormbell_gap_seconds_total", "counter", "Time the source did not see.");
        page.series("stormbell_gap_seconds_total", ["source"], &self.gaps, |value| {
            Duration::from_micros(value).as_secs_f64()
        });
        let help = "Alerts raised; those of the duty-of-care lane all by the rule `restricted`.";
        page.counters("stormbell_alerts_total", help, ["rule"], &self.alerts);
        let help = "Posts that a count forgot before their time, having no room for more.";
        page.counters("stormbell_crowded_out_total", help, ["rule"], &self.crowded_out);
        page.counters(
            "stormbell_deliveries_total",
            "Attempts at deliveries, by outcome.",
            ["receiver", "outcome"],
            &self.deliveries,
        );
        let help = "What receivers sent back of what people did there, by outcome.";
        page.counters("stormbell_answers_total", help, ["receiver", "outcome"], &self.answers);
        let help = "From a post's event time to the receiver's answer.";
        page.histogram("stormbell_post_to_delivery_seconds", help, &POST_TO_DELIVERY_BOUNDS, &self.post_to_delivery);
        let help = "Commits of the engine, until they are on disk.";
        page.histogram("stormbell_commit_seconds", help, &COMMIT_BOUNDS, &self.commits);
        page.head("process_resident_memory_bytes", "gauge", "Memory held.");
        page.sample("process_resident_memory_bytes", &[], memory().resident_bytes);
        page.0
    }
}

/// What a rule is called here, where nobody signs in: of the duty-of-care lane no more than that it is. A rule of which
/// nobody knows the topic may have been of the lane.
fn shown<'r>(rule: &'r RuleId, topic: Option<&Topic>) -> &'r str {
    let of_lane = topic.is_none_or(|topic| is_restricted(topic.as_str())) || is_restricted(rule.as_str());
    if of_lane { RESTRICTED[0] } else { rule.as_str() }
}

/// One metric with `N` labels.
#[derive(Debug)]
struct Family<const N: usize>(RwLock<BTreeMap<[Box<str>; N], AtomicU64>>);

impl<const N: usize> Default for Family<N> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<const N: usize> Family<N> {
    /// Adds; also a zero, so that the series exists before it counts for the first time.
    fn add(&self, labels: [&str; N], by: u64) {
        self.with(labels, |value| {
            value.fetch_add(by, Relaxed);
        });
    }

    fn set(&self, labels: [&str; N], to: u64) {
        self.with(labels, |value| value.store(to, Relaxed));
    }

    fn with(&self, labels: [&str; N], change: impl Fn(&AtomicU64)) {
        let labels = labels.map(Box::from);
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known.get(&labels) {
            change(value);
            return;
        }
        drop(known);
        change(self.0.write().unwrap_or_else(PoisonError::into_inner).entry(labels).or_default());
    }
}

/// Durations counted by upper bound; the bounds are the caller's constant.
#[derive(Debug)]
struct Histogram<const N: usize> {
    buckets: [AtomicU64; N],
    count: AtomicU64,
    micros: AtomicU64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; N], count: AtomicU64::new(0), micros: AtomicU64::new(0) }
    }
}

impl<const N: usize> Histogram<N> {
    fn observe(&self, bounds: &[f64; N], value: Duration) {
        let fitting = bounds.iter().zip(&self.buckets).find(|(bound, _)| value.as_secs_f64() <= **bound);
        if let Some((_, bucket)) = fitting {
            bucket.fetch_add(1, Relaxed);
        }
        self.count.fetch_add(1, Relaxed);
        self.micros.fetch_add(micros(value), Relaxed);
    }
}

/// The text under construction.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a string cannot fail.
        write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n").unwrap_or_default();
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            self.0.push(if place == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            for char in text.chars() {
                match char {
                    '\\' => self.0.push_str(r"\\"),
                    '"' => self.0.push_str(r#"\""#),
                    '\n' => self.0.push_str(r"\n"),
                    _ => self.0.push(char),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        writeln!(self.0, " {value}").unwrap_or_default();
    }

    fn counters<const N: usize>(&mut self, name: &str, help: &str, labels: [&str; N], family: &Family<N>) {
        self.head(name, "counter", help);
        self.series(name, labels, family, |value| value);
    }

    fn series<const N: usize, V: std::fmt::Display>(
        &mut self,
        name: &str,
        labels: [&str; N],
        family: &Family<N>,
        shown: impl Fn(u64) -> V,
    ) {
        for (texts, value) in family.0.read().unwrap_or_else(PoisonError::into_inner).iter() {
            let pairs: Vec<_> = labels.into_iter().zip(texts.iter().map(AsRef::as_ref)).collect();
            self.sample(name, &pairs, shown(value.load(Relaxed)));
        }
    }

    fn histogram<const N: usize>(&mut self, name: &str, help: &str, bounds: &[f64; N], histogram: &Histogram<N>) {
        self.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        let mut below = 0;
        for (bound, count) in bounds.iter().zip(&histogram.buckets) {
            below += count.load(Relaxed);
            self.sample(&bucket, &[("le", &bound.to_string())], below);
        }
        // A value counted meanwhile must not make the last bucket smaller than the one before.
        let count = histogram.count.load(Relaxed).max(below);
        self.sample(&bucket, &[("le", "+Inf")], count);
        let sum = Duration::from_micros(histogram.micros.load(Relaxed));
        self.sample(&format!("{name}_sum"), &[], sum.as_secs_f64());
        self.sample(&format!("{name}_count"), &[], count);
    }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(page: &str, line: &str) {
        assert!(page.lines().any(|found| found == line), "no line {line:?} in\n{page}");
    }

    #[test]
    fn ledgers_add_up_by_source_and_reason() {
        let metrics = Metrics::default();
        let mut ledger = Ledger { frames: 10, posts: 4, other: 3, duplicates: 1, dropped: 1, ..Ledger::default() };
        ledger.reject(Rejected::NotJson);
        metrics.ledger(&"bluesky".into(), &ledger);
        metrics.ledger(&"bluesky".into(), &ledger);
        let page = metrics.render(Timestamp::default());
        has(&page, r#"stormbell_frames_total{source="bluesky"} 20"#);
        has(&page, r#"stormbell_posts_total{source="bluesky"} 8"#);
        has(&page, r#"stormbell_other_total{source="bluesky"} 6"#);
        has(&page, r#"stormbell_duplicates_total{source="bluesky"} 2"#);
        has(&page, r#"stormbell_dropped_total{source="bluesky",reason="queue_full"} 2"#);
        has(&page, r#"stormbell_rejected_total{source="bluesky",reason="not_json"} 2"#);
        has(&page, r#"stormbell_rejected_total{source="bluesky",reason="too_large"} 0"#);
    }

    #[test]
    fn the_lag_grows_while_nothing_comes() {
        let metrics = Metrics::default();
        metrics.source_seen(&"s".into(), Timestamp::from_seconds(100));
        metrics.source_seen(&"s".into(), Timestamp::from_seconds(90));
        has(&metrics.render(Timestamp::from_seconds(130)), r#"stormbell_source_lag_seconds{source="s"} 30"#);
        has(&metrics.render(Timestamp::from_seconds(160)), r#"stormbell_source_lag_seconds{source="s"} 60"#);
    }

    #[test]
    fn histograms_are_cumulative() {
        let metrics = Metrics::default();
        for millis in [5, 10, 11, 400_000] {
            metrics.delivery(&"r".into(), Outcome::Delivered, Some(Duration::from_millis(millis)));
        }
        metrics.delivery(&"r".into(), Outcome::Parked, None);
        let page = metrics.render(Timestamp::default());
        has(&page, r#"stormbell_post_to_delivery_seconds_bucket{le="0.01"} 2"#);
        has(&page, r#"stormbell_post_to_delivery_seconds_bucket{le="0.025"} 3"#);
        has(&page, r#"stormbell_post_to_delivery_seconds_bucket{le="300"} 3"#);
        has(&page, r#"stormbell_post_to_delivery_seconds_bucket{le="+Inf"} 4"#);
        has(&page, "stormbell_post_to_delivery_seconds_count 4");
        has(&page, "stormbell_post_to_delivery_seconds_sum 400.026");
        has(&page, r#"stormbell_deliveries_total{receiver="r",outcome="delivered"} 4"#);
        has(&page, r#"stormbell_deliveries_total{receiver="r",outcome="parked"} 1"#);
    }

    #[test]
    fn labels_cannot_break_out() {
        let metrics = Metrics::default();
        metrics.alert(&"a\"} 9\nb\\".into(), &"t".into());
        has(&metrics.render(Timestamp::default()), r#"stormbell_alerts_total{rule="a\"} 9\nb\\"} 1"#);
    }

    #[test]
    fn rules_of_the_lane_have_one_name_for_all() {
        let metrics = Metrics::default();
        for (rule, topic) in [
            ("duty-of-care.self-harm", "duty-of-care.self-harm"),
            ("duty-of-care-staff.note", "staff"),
            ("staff.note", "restricted.staff"),
            ("service.parking", "service"),
        ] {
            metrics.alert(&rule.into(), &topic.into());
            metrics.crowded_out(&rule.into(), Some(&topic.into()), 2);
        }
        metrics.crowded_out(&"gone.rule".into(), None, 2);
        let page = metrics.render(Timestamp::default());
        has(&page, r#"stormbell_alerts_total{rule="restricted"} 3"#);
        has(&page, r#"stormbell_alerts_total{rule="service.parking"} 1"#);
        has(&page, r#"stormbell_crowded_out_total{rule="restricted"} 8"#);
        has(&page, r#"stormbell_crowded_out_total{rule="service.parking"} 2"#);
        assert!(!["duty", "staff", "gone"].iter().any(|word| page.contains(&format!("{{rule=\"{word}"))), "{page}");
    }

    #[test]
    fn every_sample_belongs_to_a_declared_metric() {
        let metrics = Metrics::default();
        metrics.source_up(&"s".into(), true);
        metrics.gap(&"s".into(), Duration::from_millis(1500));
        metrics.rules(214);
        metrics.commit(Duration::from_millis(2));
        let page = metrics.render(Timestamp::default());
        has(&page, r#"stormbell_source_up{source="s"} 1"#);
        has(&page, r#"stormbell_gap_seconds_total{source="s"} 1.5"#);
        has(&page, "stormbell_rules 214");
        has(&page, "stormbell_desks 0");
        has(&page, r#"stormbell_commit_seconds_bucket{le="0.0025"} 1"#);
        let mut declared = std::collections::BTreeSet::new();
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                assert!(declared.insert(rest.split(' ').next().unwrap()), "declared twice: {line}");
            } else if !line.starts_with('#') {
                let name = line.split(['{', ' ']).next().unwrap();
                let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
                assert!(declared.contains(name) || family.is_some_and(|name| declared.contains(name)), "{line}");
            }
        }
    }
}
