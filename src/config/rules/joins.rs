//! Whether the rules that others join exist, and none waits for itself.
//!
//! The rules may stand in other files and packs, so this looks at all files together.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::table::{quoted, suggestion};
use crate::domain::diagnostic::{Diagnostic, SourceText};
use crate::domain::id::RuleId;
use crate::domain::rule::RuleSet;
use crate::domain::rule::raw::RawFile;

/// Notes rules that join what is not there, or each other. `beside` are rules that are in
/// force beside those of the files, which replace the ones of their names.
pub fn check_joins(files: &[RawFile], beside: &RuleSet) -> Vec<Diagnostic> {
    let mut joins: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for rule in beside.rules() {
        joins.insert(rule.id.as_str(), rule.joins.iter().map(RuleId::as_str).collect());
    }
    for rule in files.iter().flat_map(|file| &file.rules) {
        joins.insert(&rule.id.value, rule.joins.iter().map(|id| id.value.as_str()).collect());
    }
    let known: Vec<&str> = joins.keys().copied().collect();
    let mut findings = Vec::new();
    for file in files {
        for rule in &file.rules {
            for joined in &rule.joins {
                let at = |finding: Diagnostic, label, help: String| {
                    finding.at(&file.source, joined.span.clone(), label).help(help)
                };
                let name = joined.value.as_str();
                if name == rule.id.value {
                    let finding = Diagnostic::error("SB0217", format!("{} joins itself", quoted(name)));
                    findings.push(at(finding, "itself", "name other rules".to_owned()));
                } else if let Some(circle) = way(&joins, name, &rule.id.value) {
                    let message =
                        format!("rules join each other in a circle: {} → {}", rule.id.value, circle.join(" → "));
                    let help = "none of them could ever fire: take one of them out of the other".to_owned();
                    findings.push(at(Diagnostic::error("SB0217", message), "and so on for ever", help));
                } else if !joins.contains_key(name) && !files.iter().any(|file| is_broken(&file.source, name)) {
                    let message = format!("there is no rule {} to join", quoted(name));
                    let near = if known.len() > 12 {
                        nearest_only(name, &known)
                    } else {
                        suggestion(name, &known, "there are")
                    };
                    findings.push(at(Diagnostic::error("SB0216", message), "no such rule", near));
                }
            }
        }
    }
    findings
}

fn nearest_only(name: &str, known: &[&str]) -> String {
    match crate::config::table::nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "name the id of a rule in one of the files that `rules` lists".to_owned(),
    }
}

/// The rules from one to another, each joining the next.
fn way<'a>(joins: &BTreeMap<&'a str, Vec<&'a str>>, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
    let mut seen = BTreeSet::new();
    let mut open = vec![vec![from]];
    while let Some(way) = open.pop() {
        let last = way.last().copied()?;
        if last == to {
            return Some(way);
        }
        if seen.insert(last) {
            let next = joins.get(last).into_iter().flatten();
            open.extend(next.map(|next| way.iter().copied().chain([*next]).collect()));
        }
    }
    None
}

/// The file has a rule of that id which could not be read, and a finding says so already.
fn is_broken(source: &SourceText, id: &str) -> bool {
    let written = source.text.lines().filter_map(|line| line.trim_start().strip_prefix("id"));
    let mut values = written.filter_map(|rest| rest.trim_start().strip_prefix('='));
    values.any(|value| value.split(['"', '\'']).nth(1) == Some(id))
}
