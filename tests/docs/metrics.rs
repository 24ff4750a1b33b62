//! The reference of metrics is what `/metrics` shows; dashboard and alerting rules name nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use regex::Regex;
use stormbell::domain::event::{Ledger, Paid};
use stormbell::domain::time::Timestamp;
use stormbell::telemetry::metrics::{Heard, Metrics, Outcome};

use super::book::{page, read};

/// A page on which every metric has a sample.
fn everything_counted() -> String {
    let metrics = Metrics::default();
    let (source, receiver, second) = ("s".into(), "r".into(), Duration::from_secs(1));
    let (rule, topic) = ("p.r".into(), "p".into());
    metrics.ledger(&source, &Ledger::default());
    metrics.source_up(&source, true);
    metrics.source_paid(&source, Paid { read: 1, budget: 2 });
    metrics.source_unwatched(&source, 1);
    metrics.source_seen(&source, Timestamp::default());
    metrics.gap(&source, second);
    metrics.alert(&rule, &topic);
    metrics.crowded_out(&rule, Some(&topic), 1);
    for outcome in [Outcome::Delivered, Outcome::Retried, Outcome::Parked] {
        metrics.delivery(&receiver, outcome, Some(second));
    }
    for heard in [Heard::Done, Heard::Ignored, Heard::Refused, Heard::Failed] {
        metrics.answer(&receiver, heard);
    }
    metrics.commit(second);
    metrics.certificate(Timestamp::default());
    metrics.render(Timestamp::default())
}

/// The names of a metric's labels; of those with few values, the values.
fn labels(page: &str, metric: &str) -> String {
    let sample = Regex::new(&format!(r"(?m)^{metric}(?:_bucket)?\{{([^}}]*)\}}")).unwrap();
    let label = Regex::new(r#"(\w+)="([^"]*)""#).unwrap();
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for sample in sample.captures_iter(page) {
        for label in label.captures_iter(&sample[1]) {
            found.entry(label[1].to_owned()).or_default().insert(label[2].to_owned());
        }
    }
    let shown = found.iter().filter(|(name, _)| *name != "le").map(|(name, values)| {
        let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
        if matches!(name.as_str(), "reason" | "outcome") {
            format!("`{name}`: {}", values.join(", "))
        } else {
            format!("`{name}`")
        }
    });
    let shown = shown.collect::<Vec<_>>().join("; ");
    if shown.is_empty() { "–".to_owned() } else { shown }
}

/// The table of the reference.
fn reference() -> String {
    let page = everything_counted();
    let mut rows = vec!["| metric | kind | labels | means |".to_owned(), "| --- | --- | --- | --- |".to_owned()];
    let head = Regex::new(r"(?m)^# HELP (\w+) (.*)\n# TYPE \w+ (\w+)$").unwrap();
    for head in head.captures_iter(&page) {
        let (name, help, kind) = (&head[1], &head[2], &head[3]);
        let has_sample = Regex::new(&format!(r"(?m)^{name}(?:_count)?[ {{]")).unwrap().is_match(&page);
        assert!(has_sample, "{name} has no sample: count something of it above, so that its labels are known");
        rows.push(format!("| `{name}` | {kind} | {} | {help} |", labels(&page, name)));
    }
    rows.join("\n")
}

#[test]
fn the_reference_is_what_the_program_shows() {
    let document = page("reference/metrics.md");
    let (_, rest) = document.split_once("compared by tests/docs/metrics.rs -->\n").unwrap();
    let written = rest.split_once("\n<!-- end of metrics -->").unwrap().0;
    let expected = reference();
    assert_eq!(written, expected, "copy this into deploy/docs/src/reference/metrics.md:\n{expected}");
}

#[test]
fn dashboard_and_alerts_name_metrics_that_there_are() {
    let reference = reference();
    let name = Regex::new(r"\b(?:stormbell|process)_[a-z_]+").unwrap();
    for file in ["deploy/prometheus/stormbell.rules.yml", "deploy/grafana/stormbell.json"] {
        let text = read(file);
        let named: BTreeSet<&str> = name.find_iter(&text).map(|found| found.as_str()).collect();
        assert!(named.len() > 8, "{file} names {named:?}");
        for named in named {
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| named.strip_suffix(end)).unwrap_or(named);
            assert!(reference.contains(&format!("| `{family}` |")), "{file} names {named}, which there is not");
        }
    }
    serde_json::from_str::<serde_json::Value>(&read("deploy/grafana/stormbell.json")).unwrap();
}

#[test]
fn every_metric_of_the_ledger_is_on_the_dashboard() {
    let dashboard = read("deploy/grafana/stormbell.json");
    let reference = reference();
    let name = Regex::new(r"(?m)^\| `(\w+)`").unwrap();
    let absent: Vec<&str> = name
        .captures_iter(&reference)
        .map(|found| found.get(1).unwrap().as_str())
        .filter(|name| !dashboard.contains(name))
        .collect();
    assert!(absent.is_empty(), "no panel shows {absent:?}");
}
