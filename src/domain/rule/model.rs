//! Compiled rules: an immutable value, shared by all threads and swapped between two posts.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::raw::Status;
use crate::domain::condition::Condition;
use crate::domain::id::{RuleId, Topic, hex};
use crate::domain::incident::Severity;
use crate::domain::matcher::{Matcher, Scratch};
use crate::domain::post::{Excerpt, Post};
use crate::domain::query::term::TermForm;
use crate::domain::query::{Query, explain};
use crate::domain::text::Words;
use crate::domain::time::Zone;
use crate::domain::volume::Promise;

/// A rule that can be asked about posts.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Stable id.
    pub id: RuleId,
    /// The pack it came in.
    pub pack: String,
    /// One line for people.
    pub title: String,
    /// How much it matters.
    pub severity: Severity,
    /// How far it is trusted.
    pub status: Status,
    /// What its alerts are about.
    pub topic: Topic,
    /// What a post must satisfy.
    pub query: Query,
    /// What a post must not satisfy.
    pub excepts: Vec<Except>,
    /// File the people on call should follow.
    pub playbook: Option<String>,
    /// When matching posts become an alert.
    pub condition: Condition,
    /// The pack's version and a hash of everything that decides, for instance `1.0.0+3f2a9c1d`.
    pub version: String,
}

/// Posts that do not count, and why.
#[derive(Clone, Debug)]
pub struct Except {
    /// For people.
    pub reason: String,
    /// What such posts satisfy.
    pub query: Query,
}

/// A rule's place in its set.
pub type RuleIndex = usize;

/// All rules of a daemon.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    by_id: BTreeMap<RuleId, RuleIndex>,
    matcher: Matcher,
    /// Where each rule's exceptions begin among the matcher's queries; they follow the
    /// rules' own queries.
    excepts_from: Vec<usize>,
    zone: Zone,
    pub(super) budget: Option<Promise>,
    /// The part of what each spike promises that it keeps, when the budget asks for less.
    pub(super) tightened: Option<f64>,
}

/// Why a rule did or did not take a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What became of the query's parts.
    pub query: explain::Clause,
    /// The exceptions that took the post out again, with their reasons' places in [`Rule::excepts`].
    pub excepts: Vec<(usize, explain::Clause)>,
}

impl Verdict {
    /// Whether the rule takes the post.
    pub fn matched(&self) -> bool {
        self.query.satisfied && self.excepts.iter().all(|(_, clause)| !clause.satisfied)
    }
}

impl RuleSet {
    /// A set of rules; ids are unique.
    pub fn new(rules: Vec<Rule>) -> Self {
        let excepts = || rules.iter().flat_map(|rule| &rule.excepts).map(|except| &except.query);
        let matcher = Matcher::with_others(rules.iter().map(|rule| &rule.query), excepts());
        let mut from = rules.len();
        let mut excepts_from = Vec::with_capacity(rules.len());
        for rule in &rules {
            excepts_from.push(from);
            from += rule.excepts.len();
        }
        let by_id = rules.iter().enumerate().map(|(index, rule)| (rule.id.clone(), index)).collect();
        Self { rules, by_id, matcher, excepts_from, zone: Zone::default(), budget: None, tightened: None }
    }

    /// The same rules, for people whose clocks show that zone's time.
    #[must_use]
    pub fn in_zone(self, zone: Zone) -> Self {
        Self { zone, ..self }
    }

    /// Whose hours and days the seasons of rules have.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The rules, in the order of their files.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule of that index.
    pub fn get(&self, index: RuleIndex) -> Option<&Rule> {
        self.rules.get(index)
    }

    /// The rule of that id.
    pub fn find(&self, id: &str) -> Option<(RuleIndex, &Rule)> {
        let index = *self.by_id.get(id)?;
        Some((index, self.rules.get(index)?))
    }

    /// The rules that take the post, ascending.
    pub fn matches(&self, excerpt: &Excerpt, scratch: &mut Scratch) -> Vec<RuleIndex> {
        let mut taken = self.matcher.matches(excerpt, scratch);
        taken.retain(|&rule| !self.excepted(rule, excerpt, scratch));
        taken
    }

    fn excepted(&self, rule: RuleIndex, excerpt: &Excerpt, scratch: &mut Scratch) -> bool {
        let (Some(&from), Some(of)) = (self.excepts_from.get(rule), self.rules.get(rule)) else { return false };
        (from..from + of.excepts.len()).any(|query| self.matcher.satisfies(excerpt, scratch, query))
    }
}

impl Rule {
    /// Changes whenever the rule would take other posts: 64 bits of SHA-256 over the queries
    /// with their lists' terms.
    pub fn meaning(&self) -> String {
        let mut hash = Sha256::new();
        hash_queries(&mut hash, &self.query, &self.excepts);
        hex(&hash.finalize(), 8)
    }

    /// Which words took the post, or what was missing.
    pub fn explain(&self, post: &Post) -> Verdict {
        let post = Excerpt::of(post);
        let mut words = Words::default();
        words.read(&post);
        words.read_fuzzy(&post);
        let excepts = self.excepts.iter().enumerate();
        Verdict {
            query: explain::explain(&self.query, &words, &post),
            excepts: excepts.map(|(index, except)| (index, explain::explain(&except.query, &words, &post))).collect(),
        }
    }
}

pub(super) fn hash_queries(hash: &mut Sha256, query: &Query, excepts: &[Except]) {
    for query in std::iter::once(query).chain(excepts.iter().map(|except| &except.query)) {
        hash.update(query.text.as_bytes());
        for term in query.terms() {
            hash.update([if matches!(term.form, TermForm::Fuzzy(_)) { 2 } else { 0 }]);
            hash.update(term.text.as_bytes());
        }
        hash.update([1]);
    }
}
