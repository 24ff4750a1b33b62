//! What the terms of sources forbid that a rule can do, and which rules seem to do it.
//!
//! One table, each clause with where it stands and when it was read there: terms change, and counsel wants to look. A rule
//! is known by its words, so this warns and does not refuse; what refuses is the rule's own `not_on`, by which
//! a rule says that it must not read a kind of source (`RuleSet::reading`). Kinds without a row: no clause
//! is known that a rule could break; that somebody let the bot in is for the operator to see to.

use std::collections::BTreeSet;

use super::abroad;
use super::diagnostic::Diagnostic;
use super::id::SourceName;
use super::query::ast::{Kind, Node};
use super::query::{Query, Term};
use super::rule::raw::RawFile;
use super::rule::{Rule, RuleSet};
use super::text::Words;

/// Longer terms are about something else that has the word in it.
const LONGEST_TERM: usize = 3;
/// A choice speaks of something when one in so many of its terms does: “lightning strike” among forty kinds of bad
/// weather makes no strike of them.
const ONE_IN: usize = 5;

/// What a source's terms forbid.
#[derive(Debug, PartialEq, Eq)]
pub struct Clause {
    /// As the terms call it.
    pub name: &'static str,
    /// What must not be done.
    pub forbids: &'static str,
    /// Where it stands.
    pub page: &'static str,
    /// When it was read there.
    pub read: &'static str,
    /// Words by which a rule that does it is known; `*` is any ending.
    words: &'static [&'static str],
}

/// <https://developer.x.com/developer-terms/more-on-restricted-use-cases>.
const X_PAGE: &str = "developer.x.com/developer-terms/more-on-restricted-use-cases";

/// What people say of their own health.
const OWN_HEALTH: [&str; 14] = [
    "suicidal",
    "kill myself",
    "killing myself",
    "end my life",
    "ending my life",
    "hurt myself",
    "self harm",
    "self harming",
    "my diagnosis",
    "i am pregnant",
    "im pregnant",
    "hiv positive",
    "my cancer",
    "my depression",
];

const X: [Clause; 2] = [
    Clause {
        name: "Surveillance, privacy, and user protection",
        forbids: "tracking, alerting, or monitoring sensitive events such as protests, and groups such as unions",
        page: X_PAGE,
        read: "November 2026",
        words: &[
            "protest*",
            "demonstrat*",
            "demonstration*",
            "rally",
            "rallies",
            "picket*",
            "strike",
            "strikes",
            "strikers",
            "walkout*",
            "walk out",
            "sit in",
            "activist*",
            "union",
            "unions",
            "unioniz*",
            "unionis*",
            "huelga*",
            "manifestacion*",
            "manifestant*",
            "streik*",
            "warnstreik*",
            "kundgebung*",
            "greve*",
            "sciopero",
            "scioperi",
        ],
    },
    Clause {
        name: "Sensitive information",
        forbids: "deriving or inferring, or storing, information about a user's health",
        page: X_PAGE,
        read: "November 2026",
        words: &OWN_HEALTH,
    },
];

/// <https://support.reddithelp.com/hc/en-us/articles/42728983564564-Responsible-Builder-Policy>.
const REDDIT: [Clause; 1] = [Clause {
    name: "Zero Tolerance for Privacy Violations",
    forbids: "deriving or inferring sensitive characteristics of users, such as their health",
    page: "support.reddithelp.com/hc/en-us/articles/42728983564564-Responsible-Builder-Policy",
    read: "November 2026",
    words: &OWN_HEALTH,
}];

/// The clauses of those terms that rules can break.
pub fn clauses(terms: &str) -> &'static [Clause] {
    match terms {
        "reddit" => &REDDIT,
        "x" => &X,
        _ => &[],
    }
}

/// Rules of a file that read a source whose terms seem to forbid it. `rules` are those in force, `sources` have names,
/// kinds, and whose terms hold there.
pub fn broken(file: &RawFile, rules: &RuleSet, sources: &[(SourceName, &str, &str)]) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for (source, kind, terms) in sources {
        for clause in clauses(terms) {
            for raw in &file.rules {
                let Some((_, rule)) = rules.find(&raw.id.value) else { continue };
                let Some(word) = clause.speaks_in(rule).filter(|_| abroad::reads(rule, source)) else { continue };
                let message = format!("`{}` reads {source}, whose terms forbid {}", raw.id.value, clause.forbids);
                let help = format!(
                    "write not_on = [\"{kind}\"] in the rule, or ask your counsel; the clause is “{}” ({}, read in {})",
                    clause.name, clause.page, clause.read
                );
                let label = format!("asks for “{word}”");
                findings.push(
                    Diagnostic::warning("SB0291", message).at(&file.source, raw.query.span.clone(), label).help(help),
                );
            }
        }
    }
    findings
}

/// Rules of a file that cannot be watched on a source which sends only what it is asked for.
pub fn unwatched(file: &RawFile, abroad: &abroad::Abroad, source: &SourceName) -> Vec<Diagnostic> {
    let named: BTreeSet<&str> = abroad.unwatched.iter().map(super::id::RuleId::as_str).collect();
    let rules = file.rules.iter().filter(|raw| named.contains(raw.id.value.as_str()));
    let told = rules.map(|raw| {
        let message = format!("`{}` is not watched on {source}: X cannot be asked for it", raw.id.value);
        let finding = Diagnostic::note("SB0292", message).at(&file.source, raw.query.span.clone(), "nothing here that X knows");
        finding.help("put a word, phrase, hashtag or account beside it, without `*`, `?` or `~`; or give the source `queries` of its own")
    });
    told.collect()
}

impl Clause {
    /// The word by which a rule seems to do what is forbidden.
    fn speaks_in(&self, rule: &Rule) -> Option<String> {
        let mut found = None;
        let topic = Words::of(rule.topic.as_str());
        let topic: Vec<&str> = topic.words().map(|(word, _)| word).collect();
        if self.is_in(&topic) {
            found = Some(rule.topic.as_str().to_owned());
        }
        rule.asked().for_each(|query: &Query| {
            choices(&query.root, &mut |terms| {
                let speaks = |term: &&&Term| term.words().len() <= LONGEST_TERM && self.is_in(&term.words());
                let first =
                    terms.iter().find(speaks).filter(|_| terms.iter().filter(speaks).count() * ONE_IN >= terms.len());
                if let (None, Some(first)) = (&found, first) {
                    found = Some(first.text.to_string());
                }
            });
        });
        found
    }

    /// Whether one of its words is there.
    fn is_in(&self, words: &[&str]) -> bool {
        self.words.iter().any(|wanted| {
            let wanted: Vec<&str> = wanted.split(' ').collect();
            words.windows(wanted.len()).any(|window| {
                window.iter().zip(&wanted).all(|(word, wanted)| match wanted.strip_suffix('*') {
                    Some(stem) => word.starts_with(stem),
                    None => word == wanted,
                })
            })
        })
    }
}

/// The terms that a post may be taken for, those together of which one is enough.
fn choices<'a>(node: &'a Node, visit: &mut dyn FnMut(&[&'a Term])) {
    match &node.kind {
        Kind::Term(term) => visit(&[term]),
        Kind::List(list) => visit(&list.terms.iter().collect::<Vec<_>>()),
        Kind::Not(_) => {}
        Kind::Or(parts) => {
            let term = |part: &'a Node| match &part.kind {
                Kind::Term(term) => Some(term),
                _ => None,
            };
            let terms: Vec<&Term> = parts.iter().filter_map(term).collect();
            if !terms.is_empty() {
                visit(&terms);
            }
            parts.iter().filter(|part| term(part).is_none()).for_each(|part| choices(part, visit));
        }
        _ => node.parts().iter().for_each(|part| choices(part, visit)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::diagnostic::SourceText;
    use crate::domain::organization::Organization;
    use crate::domain::rule::compile;

    fn found(rule: &str, kind: &'static str) -> Vec<String> {
        found_by_terms(rule, kind, kind)
    }

    fn found_by_terms(rule: &str, kind: &'static str, terms: &'static str) -> Vec<String> {
        let text = format!(
            "schema = 1\n[pack]\nname = \"p\"\n[lists]\ncrowd = [\"protesters\", \"mob\"]\n[[rule]]\nid = \"p.r\"\ntitle = \"t\"\nseverity = \"low\"\n{rule}\n"
        );
        let source = Arc::new(SourceText { name: "r.toml".to_owned(), text });
        let (file, findings) = crate::config::rules::parse_rules(&source);
        let file = file.unwrap();
        let (rules, mistakes) = compile(&file, &Organization::named("St. Brigid's Hospital"));
        assert!(findings.is_empty() && mistakes.is_empty(), "{findings:?} {mistakes:?}");
        let kinds = [("x-posts".into(), kind)];
        let rules = RuleSet::new(rules).reading(&kinds);
        broken(&file, &rules, &[("x-posts".into(), kind, terms)])
            .into_iter()
            .map(|finding| format!("{} {}", finding.message, finding.help.unwrap()))
            .collect()
    }

    #[test]
    fn a_rule_that_x_forbids_is_told_with_the_clause_and_the_remedy() {
        let [told] = &found("query = '$org $crowd'", "x")[..] else { panic!() };
        for part in
            ["`p.r` reads x-posts", "such as protests", "not_on = [\"x\"]", "Surveillance, privacy", "November 2026"]
        {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(found("query = '$org suicidal'", "x")[0].contains("Sensitive information"));
        assert_eq!(found("query = '$org smoke'\ntopic = \"strike.nurses\"", "x").len(), 1);
    }

    #[test]
    fn the_terms_of_a_forum_are_those_of_its_dialect() {
        let told = found_by_terms("query = '$org suicidal'", "forum", "reddit");
        let [told] = &told[..] else { panic!("{told:?}") };
        for part in ["such as their health", "not_on = [\"forum\"]", "Zero Tolerance for Privacy Violations"] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert_eq!(found_by_terms("query = '$org suicidal'", "forum", "lemmy"), [""; 0]);
        assert_eq!(
            found_by_terms("query = '$org $crowd'", "forum", "reddit"),
            [""; 0],
            "protests are not forbidden there"
        );
    }

    #[test]
    fn a_rule_that_does_not_read_x_or_only_excludes_such_words_is_left_alone() {
        for rule in [
            "query = '$org $crowd'\nnot_on = [\"x\"]",
            "query = '$org $crowd -source:x-posts'",
            "query = '$org $crowd source:bluesky'",
            "query = '$org fire NOT protest'",
            "query = '$org fire'\nexcept = [{ reason = \"r\", query = 'strike' }]",
            "query = '$org \"protest at her house\"'",
            "query = '$org (storm OR flood OR gale OR hail OR tornado OR \"lightning strike\")'",
            "query = '$org fire'",
        ] {
            assert_eq!(found(rule, "x"), [""; 0], "{rule}");
        }
        assert_eq!(found("query = '$org $crowd'", "jetstream"), [""; 0], "no clause is known");
    }
}
