//! Rules that can be used and are probably not what was meant.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::cost::{BUDGET, cost};
use super::model::Rule;
use super::raw::{RawBy, RawFile, RawRule, Status};
use crate::domain::condition::{Condition, Count, Distinct, Spike};
use crate::domain::diagnostic::Diagnostic;
use crate::domain::incident::Severity;
use crate::domain::query::{Lists, Query, Term};
use crate::domain::time::human;

mod condition;
mod frequent;
mod query;
mod shape;

use query::Written;
use shape::Shape;

/// Warnings about a file whose rules could be compiled (those that could not are
/// absent from `rules`).
pub fn lint(file: &RawFile, rules: &[Rule]) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    lists(file, rules, &mut findings);
    let by_id: HashMap<&str, &Rule> = rules.iter().map(|rule| (rule.id.as_str(), rule)).collect();
    let mut seen: BTreeMap<Meaning<'_>, &str> = BTreeMap::new();
    for raw in &file.rules {
        let Some(&rule) = by_id.get(raw.id.value.as_str()) else { continue };
        tests(file, raw, &mut findings);
        if rule.joins.is_empty() {
            queries(file, raw, rule, &mut findings);
        }
        keys(file, raw, &mut findings);
        status(file, raw, rule, &mut findings);
        if let Some(first) = seen.insert(Meaning::of(rule), raw.id.value.as_str()) {
            findings.push(
                Diagnostic::warning("SB0255", format!("`{}` asks the same as `{first}`", raw.id.value))
                    .at(&file.source, raw.query.span.clone(), "the same query, exceptions and condition")
                    .help("remove one of them, or put the difference into the query"),
            );
        }
    }
    findings
}

/// All that decides when a rule fires.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Meaning<'a> {
    query: (Shape<'a>, bool),
    excepts: BTreeSet<(Shape<'a>, bool)>,
    of: Option<(Shape<'a>, bool)>,
    condition: String,
}

impl<'a> Meaning<'a> {
    fn of(rule: &'a Rule) -> Self {
        let shape = |query: &'a Query| (Shape::of(&query.root), query.text_only);
        Self {
            query: shape(&rule.query),
            excepts: rule.excepts.iter().map(|except| shape(&except.query)).collect(),
            of: rule.of.as_ref().map(|of| shape(&of.query)),
            condition: format!(
                "{:?} {:?} {:?}",
                rule.condition,
                rule.by.as_ref().map(super::super::condition::by::By::word),
                rule.joins
            ),
        }
    }
}

fn lists(file: &RawFile, rules: &[Rule], findings: &mut Vec<Diagnostic>) {
    let queries = rules.iter().flat_map(|rule| rule.asked().chain(rule.excepts.iter().map(|e| &e.query)));
    let nested = file.lists.iter().flat_map(|list| &list.entries).filter_map(|entry| entry.value.strip_prefix('$'));
    let keys = file.rules.iter().filter_map(|raw| match &raw.by.as_ref()?.value {
        RawBy::List(list) => Some(list.as_str()),
        _ => None,
    });
    let used: BTreeSet<&str> = queries.flat_map(|query| query.lists()).chain(nested).chain(keys).collect();
    // A rule that cannot be used may use any list.
    let all_compiled = rules.len() == file.rules.len() && !file.lacks_rules;
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

/// The query, the exceptions, and what only both show.
fn queries(file: &RawFile, raw: &RawRule, rule: &Rule, findings: &mut Vec<Diagnostic>) {
    let written = |raw, query| Written { source: &file.source, raw, query };
    written(&raw.query, &rule.query).lint(findings);
    let root = Shape::of(&rule.query.root);
    for (raw, except) in raw.excepts.iter().zip(&rule.excepts) {
        written(&raw.query, &except.query).lint(findings);
        // An exception that reads less of a post may leave some.
        let reads_less = except.query.text_only && !rule.query.text_only;
        if !reads_less && Shape::of(&except.query.root).covers(&root) {
            findings.push(
                Diagnostic::warning("SB0263", format!("the exception “{}” takes out every post", raw.reason))
                    .at(&file.source, raw.query.span.clone(), "so the rule can never match")
                    .help("ask for more in the exception"),
            );
        }
    }
    if let (Some(raw), Some(of)) = (&raw.of, &rule.of) {
        written(raw, &of.query).lint(findings);
    }
    let mut named = rule.asked().flat_map(Query::lists);
    if !named.any(|list| Lists::SITE.contains(&list)) {
        findings.push(
            Diagnostic::warning("SB0257", format!("`{}` does not ask for the organisation", raw.id.value))
                .at(&file.source, raw.query.span.clone(), "takes posts about any place on earth")
                .help("add $org, $people or $places, unless that is what you want"),
        );
    }
    let cost = cost(rule);
    if cost > BUDGET {
        let message = format!("`{}` looks for {cost} things, more than {BUDGET}", raw.id.value);
        findings.push(
            Diagnostic::warning("SB0269", message)
                .at(&file.source, raw.query.span.clone(), "costs much of every post")
                .help("`stormbell check --profile` measures it; shorten its lists, or use wildcards"),
        );
    }
}

fn status(file: &RawFile, raw: &RawRule, rule: &Rule, findings: &mut Vec<Diagnostic>) {
    if raw.status == Status::Deprecated {
        findings.push(
            Diagnostic::warning("SB0258", format!("`{}` is deprecated", raw.id.value))
                .at(&file.source, raw.span.clone(), "still raises alerts")
                .help("remove it once its successor is trusted"),
        );
    }
    if let Condition::Spike(spike) = raw.condition {
        findings.extend(unwise(&spike).into_iter().map(|(message, help)| {
            Diagnostic::warning("SB0280", format!("`{}` {message}", raw.id.value))
                .at(&file.source, raw.span.clone(), "a spike that is probably not meant")
                .help(help)
        }));
    }
    if let (Condition::Share(share), Some(of)) = (raw.condition, &raw.of) {
        findings.extend(condition::share(&share, rule).into_iter().map(|(message, help)| {
            Diagnostic::warning("SB0281", format!("`{}` {message}", raw.id.value))
                .at(&file.source, of.span.clone(), "a share that is probably not meant")
                .help(help)
        }));
    }
    if let Condition::NewTerm(new_term) = raw.condition {
        findings.extend(condition::new_term(new_term).into_iter().map(|(message, help)| {
            Diagnostic::warning("SB0282", format!("`{}` {message}", raw.id.value))
                .at(&file.source, raw.span.clone(), "a new term that is probably not meant")
                .help(help)
        }));
    }
    if raw.severity == Severity::Critical && !raw.hold.lasts.is_zero() {
        let waits = human(raw.hold.lasts);
        findings.push(
            Diagnostic::warning("SB0283", format!("`{}` is critical and pages nobody for {waits}", raw.id.value))
                .at(&file.source, raw.span.clone(), "`for` delays the page")
                .help("leave `for` out; against flapping `keep_firing_for` is enough, and delays nothing"),
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

/// An author is one author.
fn keys(file: &RawFile, raw: &RawRule, findings: &mut Vec<Diagnostic>) {
    let Some(by) = raw.by.as_ref().filter(|by| by.value == RawBy::Author) else { return };
    let help = match raw.condition {
        Condition::Count(Count { at_least: 2.., distinct: Distinct::Author, .. }) => {
            "count posts or stories of each author, or leave `by` out"
        }
        Condition::Spike(Spike { authors: 2.., .. }) => "add `authors = 1`, or leave `by` out",
        _ => return,
    };
    let finding = Diagnostic::warning("SB0290", format!("`{}` asks for several authors of each author", raw.id.value));
    findings.push(finding.at(&file.source, by.span.clone(), "so it can never fire").help(help));
}

/// What is wrong with a spike's numbers, and what to do instead.
fn unwise(spike: &Spike) -> Vec<(String, &'static str)> {
    let Spike { false_alarms, at_least, authors } = *spike;
    let mut found = Vec::new();
    let mut find = |wrong: bool, message: &str, help| {
        if wrong {
            found.push((message.to_owned(), help));
        }
    };
    let rate = false_alarms.per_year();
    find(
        rate > 365.0,
        "accepts more than a false alarm a day",
        "\"1 per 7d\" is for a list people look through, \"1 per 30d\" for a page",
    );
    find(
        rate < 0.1,
        "promises less than a false alarm in ten years",
        "nobody can keep that; \"1 per 365d\" is the least that was measured",
    );
    find(at_least < 5, "asks for fewer than 5 posts", "fewer are never a spike: ask for 5, or use `count`");
    find(authors == 1, "takes one author for a crowd", "ask for 2 authors or more: one person's flood is not a spike");
    find(authors > at_least, "asks for more authors than posts", "ask for at least as many posts");
    found
}
