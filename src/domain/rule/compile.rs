//! From rule files to rules.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::model::{Except, Of, Rule, hash_by, hash_joins, hash_queries};
use super::raw::{RawBy, RawEntry, RawFile, RawList, RawRule, Spanned};
use crate::domain::condition::by::{By, Entries};
use crate::domain::condition::{Condition, OwnWords};
use crate::domain::diagnostic::{Diagnostic, SourceText};
use crate::domain::id::{RuleId, hex};
use crate::domain::organization::Organization;
use crate::domain::query::names::namesakes;
use crate::domain::query::{Lists, Query, Term, nearest, parse};

/// The reason of the exception that comes with `$org_guarded`.
const NAMESAKES: &str = "others of that name";

/// Compiles the rules of a file for an organisation. Rules with mistakes are left
/// out; every mistake is among the findings.
pub fn compile(file: &RawFile, organization: &Organization) -> (Vec<Rule>, Vec<Diagnostic>) {
    let mut findings = Vec::new();
    let lists = lists(file, organization, &mut findings);
    let namesakes = namesakes(&Lists::of(organization));
    let rule = |raw| rule(raw, file, &lists, namesakes.as_ref(), &mut findings);
    let rules = file.rules.iter().filter_map(rule).collect();
    (rules, findings)
}

/// The organisation's lists and the file's own, those that lists name put in their place.
pub(super) fn lists(file: &RawFile, organization: &Organization, findings: &mut Vec<Diagnostic>) -> Lists {
    let mut resolver = Resolver { file, lists: Lists::of(organization), open: Vec::new(), findings };
    for list in &file.lists {
        resolver.resolve(list);
    }
    resolver.lists
}

/// Resolves lists, those they name first.
struct Resolver<'a> {
    file: &'a RawFile,
    lists: Lists,
    /// Lists on the way to the one being resolved.
    open: Vec<&'a str>,
    findings: &'a mut Vec<Diagnostic>,
}

impl<'a> Resolver<'a> {
    fn resolve(&mut self, list: &'a RawList) {
        if self.lists.get(&list.name).is_some() {
            return;
        }
        self.open.push(&list.name);
        let mut terms: Vec<Term> = Vec::with_capacity(list.entries.len());
        for entry in &list.entries {
            match entry.value.strip_prefix('$') {
                Some(name) => terms.extend(self.named(name, entry)),
                None => match Term::parse(&entry.value) {
                    Ok(term) => terms.push(term),
                    Err(error) => self.findings.push(
                        Diagnostic::error("SB0111", format!("{error} in ${}", list.name))
                            .at(&entry.source, entry.span.clone(), "not a term")
                            .help(
                                "a list holds words, phrases, `{Exact}` words, `#tags`, `@accounts` and other `$lists`",
                            ),
                    ),
                },
            }
        }
        self.open.pop();
        if list.fuzzy {
            terms = terms.into_iter().map(Term::fuzzy).collect();
        }
        self.lists.insert(&list.name, terms);
    }

    /// The terms of a list that another one names.
    fn named(&mut self, name: &str, entry: &RawEntry) -> Vec<Term> {
        if self.open.contains(&name) {
            let message = format!("${} name each other in a circle", self.open.join(", $"));
            let finding = Diagnostic::error("SB0117", message).at(&entry.source, entry.span.clone(), "and again");
            self.findings.push(finding.help("take one of them out of the other"));
            return Vec::new();
        }
        if let Some(list) = self.file.lists.iter().find(|list| list.name == name) {
            self.resolve(list);
        }
        if let Some(list) = self.lists.get(name) {
            return list.terms.to_vec();
        }
        let finding = Diagnostic::error("SB0107", format!("the list ${name} is not defined"));
        let finding = finding.at(&entry.source, entry.span.clone(), "unknown list");
        self.findings.push(finding.help("define it under [lists]"));
        Vec::new()
    }
}

fn rule(
    raw: &RawRule,
    file: &RawFile,
    lists: &Lists,
    namesakes: Option<&Query>,
    findings: &mut Vec<Diagnostic>,
) -> Option<Rule> {
    let query = match raw.joins.as_slice() {
        [] => query(&raw.query, &file.source, lists, findings),
        _ => Some(Query::nothing()),
    };
    let by = raw.by.as_ref().map(|by| self::by(by, &file.source, lists, findings));
    let excepts: Vec<Option<Except>> = raw
        .excepts
        .iter()
        .map(|except| {
            let query = self::query(&except.query, &file.source, lists, findings)?;
            Some(Except { reason: except.reason.clone(), query })
        })
        .collect();
    let of = raw.of.as_ref().map(|of| self::query(of, &file.source, lists, findings));
    let (query, by, mut excepts) =
        (query?, by.map_or(Some(None), |by| by.map(Some))?, excepts.into_iter().collect::<Option<Vec<_>>>()?);
    let joins: Vec<RuleId> = raw.joins.iter().map(|id| id.value.as_str().into()).collect();
    let is_guarded = |query: &Query| query.lists().contains(&"org_guarded");
    let of = match of {
        Some(query) => {
            let query = query?;
            Some(Of { excepts: namesakes.filter(|_| is_guarded(&query)).cloned().into_iter().collect(), query })
        }
        None => None,
    };
    if is_guarded(&query) {
        let except = |query: &Query| Except { reason: NAMESAKES.to_owned(), query: query.clone() };
        excepts.extend(namesakes.map(except));
    }
    let own_words = match raw.condition {
        Condition::NewTerm(_) => {
            let names = Lists::SITE.iter().filter_map(|name| lists.get(name));
            OwnWords::of(&query, names.flat_map(|list| list.terms.iter()))
        }
        _ => OwnWords::default(),
    };
    Some(Rule {
        id: raw.id.value.as_str().into(),
        pack: file.pack.name.value.clone(),
        title: raw.title.clone(),
        severity: raw.severity,
        status: raw.status,
        topic: raw.topic.clone(),
        version: format!(
            "{}+{}",
            file.pack.version,
            fingerprint(raw, &query, &excepts, of.as_ref(), by.as_ref(), &joins)
        ),
        query,
        excepts,
        playbook: raw.playbook.clone(),
        condition: raw.condition,
        hold: raw.hold,
        own_words,
        of,
        by,
        joins,
        not_on: raw.not_on.clone(),
    })
}

/// By what the rule counts, with the list's terms.
fn by(by: &Spanned<RawBy>, source: &Arc<SourceText>, lists: &Lists, findings: &mut Vec<Diagnostic>) -> Option<By> {
    let name = match &by.value {
        RawBy::Author => return Some(By::Author),
        RawBy::Link => return Some(By::Link),
        RawBy::Tag => return Some(By::Tag),
        RawBy::Source => return Some(By::Source),
        RawBy::List(name) => name,
    };
    match lists.get(name) {
        Some(list) if !list.terms.is_empty() => Some(By::List(Entries::of(list))),
        Some(_) => {
            let help = if name == "places" { "name `places` under [organization]" } else { "put something into it" };
            let finding = Diagnostic::error("SB0110", format!("the list ${name} is empty, so no post has a key"));
            findings.push(finding.at(source, by.span.clone(), "empty list").help(help));
            None
        }
        None => {
            let known: Vec<&str> = lists.names().collect();
            let help = match nearest(name, &known) {
                Some(near) => format!("did you mean ${near}?"),
                None => format!("define it under [lists]; known are ${}", known.join(", $")),
            };
            let finding = Diagnostic::error("SB0107", format!("the list ${name} is not defined"));
            findings.push(finding.at(source, by.span.clone(), "unknown list").help(help));
            None
        }
    }
}

/// Parses a query and places its mistakes in the file.
fn query(
    text: &Spanned<String>,
    source: &Arc<SourceText>,
    lists: &Lists,
    findings: &mut Vec<Diagnostic>,
) -> Option<Query> {
    match parse(&text.value, lists) {
        Ok(query) => Some(query),
        Err(mistakes) => {
            findings.extend(mistakes.into_iter().map(|mistake| {
                Diagnostic::error(mistake.code, mistake.message)
                    .at(source, text.part(mistake.span), mistake.label)
                    .help(mistake.help)
            }));
            None
        }
    }
}

/// Changes whenever the rule would decide differently: 32 bits of SHA-256 over the
/// queries with their lists' terms, and the condition.
fn fingerprint(
    raw: &RawRule,
    query: &Query,
    excepts: &[Except],
    of: Option<&Of>,
    by: Option<&By>,
    joins: &[RuleId],
) -> String {
    let mut hash = Sha256::new();
    hash_queries(&mut hash, query, excepts);
    if let Some(of) = of {
        of.hash(&mut hash);
    }
    hash.update(format!("{:?}", raw.condition));
    if raw.hold.is_asked() {
        hash.update(format!("{:?}", raw.hold));
    }
    hash_by(&mut hash, by);
    hash_joins(&mut hash, joins);
    hex(&hash.finalize(), 4)
}
