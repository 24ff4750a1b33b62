//! What `replay --json` prints, one object a line.

use std::time::Duration;

use serde::Serialize;

use crate::domain::condition::Figures;
use crate::domain::incident::Alert;

/// A rule's condition became true.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "alert")]
pub struct AlertJson<'a> {
    /// Event time, RFC 3339.
    pub at: String,
    /// The rule.
    pub rule: &'a str,
    /// The rule's severity.
    pub severity: &'static str,
    /// The rule's topic.
    pub topic: &'a str,
    /// Which condition.
    pub condition: &'static str,
    /// The incident it opened or joined.
    pub incident: &'a str,
    /// Whether it opened the incident.
    pub new_incident: bool,
    /// Posts that made it true.
    pub posts: u64,
    /// Their distinct authors.
    pub authors: u64,
    /// The window of a count or a spike.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// Posts in a spike's window, at most three of an author within a quarter of an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed: Option<u64>,
    /// Posts expected in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<f64>,
    /// 19 times in 20 there are at most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upper: Option<u64>,
    /// Posts of which a share was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// The part of them that the rule took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// What was not there before; of a link the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub term: Option<&'a str>,
    /// The post that made the rule fire.
    pub post: Option<&'a str>,
    /// What a rule that counts by key counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a str>,
    /// The decision in a sentence.
    pub why: &'a str,
}

impl<'a> From<&'a Alert> for AlertJson<'a> {
    fn from(alert: &'a Alert) -> Self {
        let (of, share, term) = match &alert.figures {
            Some(Figures::Share { of, share }) => (Some(*of), Some((share * 1000.0).round() / 1000.0), None),
            Some(Figures::NewTerm { term }) => (None, None, Some(term.as_str())),
            None => (None, None, None),
        };
        Self {
            at: alert.at.to_string(),
            rule: alert.rule.as_str(),
            severity: alert.severity.as_str(),
            topic: alert.topic.as_str(),
            condition: alert.condition.as_str(),
            incident: alert.incident.as_str(),
            new_incident: alert.new_incident,
            posts: alert.posts,
            authors: alert.authors,
            within: alert.within.map(compact),
            observed: alert.volume.map(|volume| volume.observed),
            expected: alert.volume.map(|volume| (volume.expected * 1000.0).round() / 1000.0),
            upper: alert.volume.map(|volume| volume.upper),
            of,
            share,
            term,
            post: alert.post.as_ref().map(crate::domain::id::PostId::as_str),
            key: alert.key.as_deref(),
            why: &alert.why,
        }
    }
}

/// A post satisfied a rule's query.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "match")]
pub struct MatchJson<'a> {
    /// The rule.
    pub rule: &'a str,
    /// The post.
    pub post: &'a str,
    /// The rule's terms found in it.
    pub terms: Vec<&'a str>,
}

/// The account at the end.
#[derive(Debug, Default, Serialize)]
#[serde(tag = "type", rename = "summary")]
pub struct SummaryJson {
    /// Frames read: `posts + other + rejected + duplicates`.
    pub frames: u64,
    /// Posts handed to the rules.
    pub posts: u64,
    /// Frames without a post.
    pub other: u64,
    /// Frames that could not be used.
    pub rejected: u64,
    /// Posts seen before.
    pub duplicates: u64,
    /// Posts that satisfied at least one rule.
    pub matched_posts: u64,
    /// Alerts raised.
    pub alerts: u64,
    /// Incidents opened.
    pub incidents: u64,
    /// Rules asked.
    pub rules: usize,
    /// Event time of the first post.
    pub from: Option<String>,
    /// Event time of the last post.
    pub to: Option<String>,
    /// How long it took.
    pub seconds: f64,
    /// Frames by seconds.
    pub frames_per_second: u64,
    /// The most memory the process held.
    pub peak_rss_bytes: u64,
}

/// A span as rule files write it: `90s`, `10m`, `12h`, `7d`.
pub fn compact(span: Duration) -> String {
    let millis = span.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let fit = units.into_iter().find(|(unit, _)| millis >= *unit && millis.is_multiple_of(*unit));
    fit.map_or_else(|| format!("{millis}ms"), |(unit, letter)| format!("{}{letter}", millis / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_rule_files_have_them() {
        for (millis, text) in
            [(90_000, "90s"), (600_000, "10m"), (43_200_000, "12h"), (604_800_000, "7d"), (1500, "1500ms")]
        {
            assert_eq!(compact(Duration::from_millis(millis)), text);
        }
    }
}
