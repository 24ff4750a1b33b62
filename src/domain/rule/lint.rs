//! Rules that can be used and are probably not what was meant.

use std::collections::{BTreeMap, BTreeSet};

use super::model::Rule;
use super::raw::{RawFile, RawRule, Status};
use crate::domain::condition::{Condition, Count, Distinct};
use crate::domain::diagnostic::Diagnostic;
use crate::domain::query::Term;
use crate::domain::query::ast::{Kind, Node};

/// Warnings about a file whose rules could be compiled (those that could not are
/// absent from `rules`).
pub fn lint(file: &RawFile, rules: &[Rule]) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    lists(file, rules, &mut findings);
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for raw in &file.rules {
        let Some(rule) = rules.iter().find(|rule| rule.id.as_str() == raw.id.value) else { continue };
        tests(file, raw, &mut findings);
        words(file, raw, rule, &mut findings);
        status(file, raw, &mut findings);
        let same = format!("{:?} {:?}", rule.query.text.split_whitespace().collect::<Vec<_>>(), rule.condition);
        if let Some(first) = seen.insert(same, raw.id.value.as_str()) {
            findings.push(
                Diagnostic::warning("SB0255", format!("`{}` asks the same as `{first}`", raw.id.value))
                    .at(&file.source, raw.query.span.clone(), "the same query and condition")
                    .help("remove one of them, or put the difference into the query"),
            );
        }
    }
    findings
}

fn lists(file: &RawFile, rules: &[Rule], findings: &mut Vec<Diagnostic>) {
    let queries =
        rules.iter().flat_map(|rule| std::iter::once(&rule.query).chain(rule.excepts.iter().map(|e| &e.query)));
    let nested = file.lists.iter().flat_map(|list| &list.entries).filter_map(|entry| entry.value.strip_prefix('$'));
    let used: BTreeSet<&str> = queries.flat_map(|query| query.lists()).chain(nested).collect();
    let all_compiled = rules.len() == file.rules.len();
    for list in &file.lists {
        if all_compiled && !used.contains(list.name.as_str()) {
            findings.push(
                Diagnostic::warning("SB0254", format!("no rule uses ${}", list.name))
                    .at(&file.source, list.span.clone(), "unused list")
                    .help("use it in a query or remove it"),
            );
        }
        let mut seen = BTreeSet::new();
        for entry in &list.entries {
            let Ok(term) = Term::parse(&entry.value) else { continue };
            if !seen.insert(term.form) {
                findings.push(
                    Diagnostic::warning("SB0256", format!("${} holds a term twice", list.name))
                        .at(&entry.source, entry.span.clone(), "finds what an earlier term finds")
                        .help("case, accents and apostrophes make no difference; remove it"),
                );
            }
        }
    }
}

fn tests(file: &RawFile, raw: &RawRule, findings: &mut Vec<Diagnostic>) {
    let mut lacks = |code, what: &str, help: &str| {
        findings.push(
            Diagnostic::warning(code, format!("`{}` has no test {what}", raw.id.value))
                .at(&file.source, raw.span.clone(), "untested")
                .help(help),
        );
    };
    if raw.tests.iter().all(|test| test.alerts == 0) {
        lacks("SB0250", "in which it must fire", "add a [[rule.test]] with the posts of a real case and alerts = 1");
    }
    if raw.tests.iter().all(|test| test.alerts > 0) {
        lacks("SB0251", "in which it must stay quiet", "add a [[rule.test]] with look-alike posts and alerts = 0");
    }
}

fn words(file: &RawFile, raw: &RawRule, rule: &Rule, findings: &mut Vec<Diagnostic>) {
    let place = |node: &Node| raw.query.part(node.span.clone());
    rule.query.root.walk(&mut |node| {
        let Kind::Term(term) = &node.kind else { return };
        if matches!(&*term.text, "and" | "or" | "not" | "near" | "And" | "Or" | "Not" | "Near") {
            let message = format!("`{}` is searched as a word", term.text);
            findings.push(
                Diagnostic::warning("SB0253", message).at(&file.source, place(node), "not an operator").help(format!(
                    "write {} for the operator, or \"{}\" in a phrase",
                    term.text.to_uppercase(),
                    term.text
                )),
            );
        }
    });
    for (term, node) in alternatives(&rule.query.root) {
        if term.words().iter().all(|word| word.is_ascii() && word.len() < 3) {
            findings.push(
                Diagnostic::warning("SB0252", format!("`{}` alone is enough to match", term.text))
                    .at(&file.source, place(node), "shorter than three letters")
                    .help("so short a word is in very many posts; add a word that must be there too"),
            );
        }
    }
    let mut named = rule.query.lists().into_iter();
    if !named.any(|list| matches!(list, "org" | "people" | "places")) {
        findings.push(
            Diagnostic::warning("SB0257", format!("`{}` does not ask for the organisation", raw.id.value))
                .at(&file.source, raw.query.span.clone(), "takes posts about any place on earth")
                .help("add $org, $people or $places, unless that is what you want"),
        );
    }
}

/// The terms of which one alone satisfies the query.
fn alternatives(node: &Node) -> Vec<(&Term, &Node)> {
    match &node.kind {
        Kind::Term(term) => vec![(term, node)],
        Kind::List(list) => list.terms.iter().map(|term| (term, node)).collect(),
        Kind::Or(parts) => parts.iter().flat_map(alternatives).collect(),
        Kind::And(_) | Kind::Not(_) | Kind::Near(_) | Kind::Field(_) | Kind::Regex(_) | Kind::TextOnly => Vec::new(),
    }
}

fn status(file: &RawFile, raw: &RawRule, findings: &mut Vec<Diagnostic>) {
    if raw.status == Status::Deprecated {
        findings.push(
            Diagnostic::warning("SB0258", format!("`{}` is deprecated", raw.id.value))
                .at(&file.source, raw.span.clone(), "still raises alerts")
                .help("remove it once its successor is trusted"),
        );
    }
    if let Condition::Count(Count { at_least: 1, distinct: Distinct::Post, .. }) = raw.condition {
        findings.push(
            Diagnostic::warning("SB0259", format!("`{}` counts to one", raw.id.value))
                .at(&file.source, raw.span.clone(), "every matching post is enough")
                .help("remove the count: without a condition every matching post raises the alert"),
        );
    }
}
