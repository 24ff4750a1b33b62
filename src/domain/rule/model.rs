//! Compiled rules: an immutable value, shared by all threads and swapped between two posts.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::raw::Status;
use crate::domain::condition::by::By;
use crate::domain::condition::{Condition, Hold, OwnWords};
use crate::domain::id::{RuleId, SourceName, Topic, hex};
use crate::domain::incident::Severity;
use crate::domain::key::Key;
use crate::domain::matcher::{Matcher, QueryIndex, Scratch};
use crate::domain::playbook::Playbook;
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
    /// For how long it must be true, and counts as firing after that.
    pub hold: Hold,
    /// The posts of which a share is asked for; a post that is none of them does not count.
    pub of: Option<Of>,
    /// Words that are never new to it, when it asks for a new term.
    pub own_words: OwnWords,
    /// By what it counts separately.
    pub by: Option<By>,
    /// The rules that its condition joins; with any, it takes no posts itself.
    pub joins: Vec<RuleId>,
    /// Kinds of source whose posts it does not read, see [`RuleSet::reading`].
    pub not_on: Vec<String>,
    /// The pack's version and a hash of everything that decides, for instance `1.0.0+3f2a9c1d`.
    pub version: String,
}

/// The whole of a share.
#[derive(Clone, Debug)]
pub struct Of {
    /// What its posts satisfy.
    pub query: Query,
    /// What they do not satisfy: names of others, when the query is on its guard against them, and sources that the rule
    /// does not read.
    pub excepts: Vec<Query>,
}

/// Posts that do not count, and why.
#[derive(Clone, Debug)]
pub struct Except {
    /// For people.
    pub reason: String,
    /// What such posts satisfy.
    pub query: Query,
}

/// The reason of the exception that [`RuleSet::reading`] makes.
const NOT_ON: &str = "sources that the rule does not read";

/// A rule's place in its set.
pub type RuleIndex = usize;

/// All rules of a daemon.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
    by_id: BTreeMap<RuleId, RuleIndex>,
    names: Vec<Key>,
    matcher: Matcher,
    /// Rules that ask for a share, ascending: the queries of their wholes follow the rules'
    /// own among the matcher's. Beside each the queries that take posts out of its whole.
    counting: Vec<(RuleIndex, Range<QueryIndex>)>,
    /// Where each rule's exceptions begin among the matcher's queries.
    excepts_from: Vec<usize>,
    zone: Zone,
    playbooks: BTreeMap<String, Arc<Playbook>>,
    pub(super) budget: Option<Promise>,
    /// The part of what each spike promises that it keeps, when the budget asks for less.
    pub(super) tightened: Option<f64>,
}

/// Why a rule did or did not take a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What became of the query's parts.
    pub query: explain::Clause,
    /// What became of the parts of a share's whole.
    pub of: Option<explain::Clause>,
    /// The exceptions that took the post out again, with their reasons' places in [`Rule::excepts`].
    pub excepts: Vec<(usize, explain::Clause)>,
}

impl Verdict {
    /// Whether the rule takes the post.
    pub fn matched(&self) -> bool {
        let is_of_the_whole = self.of.as_ref().is_none_or(|of| of.satisfied);
        self.query.satisfied && is_of_the_whole && self.excepts.iter().all(|(_, clause)| !clause.satisfied)
    }
}

impl RuleSet {
    /// A set of rules; ids are unique.
    pub fn new(rules: Vec<Rule>) -> Self {
        let excepts = || rules.iter().flat_map(|rule| &rule.excepts).map(|except| &except.query);
        let wholes = || rules.iter().filter_map(|rule| rule.of.as_ref());
        let filed = rules.iter().map(|rule| &rule.query).chain(wholes().map(|of| &of.query));
        let others = excepts().chain(wholes().flat_map(|of| &of.excepts));
        let matcher = Matcher::with_others(filed, others);
        let mut from = rules.len() + wholes().count();
        let mut excepts_from = Vec::with_capacity(rules.len());
        for rule in &rules {
            excepts_from.push(from);
            from += rule.excepts.len();
        }
        let mut counting = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            let Some(of) = &rule.of else { continue };
            counting.push((index, from..from + of.excepts.len()));
            from += of.excepts.len();
        }
        let by_id = rules.iter().enumerate().map(|(index, rule)| (rule.id.clone(), index)).collect();
        let names = rules.iter().map(|rule| Key::of(&rule.id)).collect();
        Self {
            rules,
            by_id,
            names,
            matcher,
            counting,
            excepts_from,
            zone: Zone::default(),
            playbooks: BTreeMap::new(),
            budget: None,
            tightened: None,
        }
    }

    /// The same rules, for people whose clocks show that zone's time.
    #[must_use]
    pub fn in_zone(self, zone: Zone) -> Self {
        Self { zone, ..self }
    }

    /// The same rules, and what people follow who are paged for them.
    #[must_use]
    pub fn with_playbooks(self, playbooks: impl IntoIterator<Item = Playbook>) -> Self {
        let by_name = playbooks.into_iter().map(|playbook| (playbook.name.clone(), Arc::new(playbook)));
        Self { playbooks: by_name.collect(), ..self }
    }

    /// What people follow who are paged for these rules, by the names that rules have for it.
    pub fn playbooks(&self) -> &BTreeMap<String, Arc<Playbook>> {
        &self.playbooks
    }

    /// The same rules for sources of these names and kinds: what a rule says it must not read is taken out of it.
    #[must_use]
    pub fn reading(self, sources: &[(SourceName, &str)]) -> Self {
        let left_out = |rule: &Rule| -> Vec<String> {
            let is_out = |kind: &str| rule.not_on.iter().any(|out| out == kind);
            let out = sources.iter().filter(|(_, kind)| is_out(kind));
            out.map(|(name, _)| name.as_str().to_owned()).collect()
        };
        if self.rules.iter().all(|rule| left_out(rule).is_empty()) {
            return self;
        }
        let apart = |mut rule: Rule| {
            let names = left_out(&rule);
            if !names.is_empty() {
                let query = Query::from_sources(names);
                if let Some(of) = &mut rule.of {
                    of.excepts.push(query.clone());
                }
                rule.excepts.push(Except { reason: NOT_ON.to_owned(), query });
            }
            rule
        };
        let Self { rules, zone, playbooks, budget, tightened, .. } = self;
        let rules = rules.into_iter().map(apart).collect();
        Self { playbooks, budget, tightened, ..Self::new(rules).in_zone(zone) }
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

    /// The name of its id, which every post that it takes is known by.
    pub fn name(&self, index: RuleIndex) -> Option<Key> {
        self.names.get(index).copied()
    }

    /// The rule of that id.
    pub fn find(&self, id: &str) -> Option<(RuleIndex, &Rule)> {
        let index = *self.by_id.get(id)?;
        Some((index, self.rules.get(index)?))
    }

    /// The rule of that id, and all that it joins, those that these join included.
    pub fn with_joined(&self, id: &str) -> Vec<&Rule> {
        let mut found: Vec<&Rule> = self.find(id).map(|(_, rule)| rule).into_iter().collect();
        let mut next = 0;
        while let Some(rule) = found.get(next) {
            next += 1;
            for (_, joined) in rule.joins.iter().filter_map(|id| self.find(id.as_str())) {
                if found.iter().all(|known| known.id != joined.id) {
                    found.push(joined);
                }
            }
        }
        found
    }

    /// The rules that take the post, ascending.
    pub fn matches(&self, excerpt: &Excerpt, scratch: &mut Scratch) -> Vec<RuleIndex> {
        let mut hits = self.hits(excerpt, scratch);
        hits.retain(|&hit| hit < self.rules.len());
        hits
    }

    /// The rules that take the post and those that count it as one of their whole, for
    /// [`RuleSet::taken_and_counted`].
    pub fn hits(&self, excerpt: &Excerpt, scratch: &mut Scratch) -> Vec<RuleIndex> {
        let mut hits = self.matcher.matches(excerpt, scratch);
        hits.retain(|&hit| !self.excepted(hit, excerpt, scratch));
        while let Some(place) = hits.iter().position(|&rule| self.lacks_its_whole(rule, &hits)) {
            hits.remove(place);
        }
        hits
    }

    /// Whether a rule asks for a share of posts that a post with these hits is none of.
    fn lacks_its_whole(&self, rule: RuleIndex, hits: &[RuleIndex]) -> bool {
        let place = self.counting.binary_search_by_key(&rule, |(rule, _)| *rule);
        place.is_ok_and(|place| hits.binary_search(&(self.rules.len() + place)).is_err())
    }

    /// Takes hits apart: rules that take a post, and what [`RuleSet::counting`] has a name for.
    pub fn taken_and_counted<'h>(&self, hits: &'h [RuleIndex]) -> (&'h [RuleIndex], &'h [RuleIndex]) {
        hits.split_at(hits.partition_point(|&hit| hit < self.rules.len()))
    }

    /// The rule that counts a post of its whole.
    pub fn counting(&self, hit: RuleIndex) -> Option<RuleIndex> {
        self.counting.get(hit.checked_sub(self.rules.len())?).map(|(rule, _)| *rule)
    }

    fn excepted(&self, rule: RuleIndex, excerpt: &Excerpt, scratch: &mut Scratch) -> bool {
        if let Some(whole) = rule.checked_sub(self.rules.len()) {
            let mut out = self.counting.get(whole).map_or(0..0, |(_, excepts)| excepts.clone());
            return out.any(|except| self.matcher.satisfies(excerpt, scratch, except));
        }
        let (Some(&from), Some(of)) = (self.excepts_from.get(rule), self.rules.get(rule)) else { return false };
        (from..from + of.excepts.len()).any(|query| self.matcher.satisfies(excerpt, scratch, query))
    }
}

impl Rule {
    /// Changes whenever the rule would take or count other posts, count by something else or join
    /// other rules: 64 bits of SHA-256 over the queries with their lists' terms, and over these.
    pub fn meaning(&self) -> String {
        let mut hash = Sha256::new();
        hash_queries(&mut hash, &self.query, &self.excepts);
        if let Some(of) = &self.of {
            of.hash(&mut hash);
        }
        if let Condition::NewTerm(_) = self.condition {
            hash.update(b"new term");
        }
        hash_by(&mut hash, self.by.as_ref());
        hash_joins(&mut hash, &self.joins);
        if !self.joins.is_empty() {
            hash.update(self.condition.kind().as_str().as_bytes());
        }
        hex(&hash.finalize(), 8)
    }

    /// What it asks of posts: its query, and that of its whole.
    pub fn asked(&self) -> impl Iterator<Item = &Query> {
        std::iter::once(&self.query).chain(self.of.as_ref().map(|of| &of.query))
    }

    /// Which words took the post, or what was missing.
    pub fn explain(&self, post: &Post) -> Verdict {
        let post = Excerpt::of(post);
        let words = Words::of_post(&post);
        let excepts = self.excepts.iter().enumerate();
        let of = self.of.as_ref().map(|of| {
            let clause = explain::explain(&of.query, &words, &post);
            let is_others = |except: &Query| explain::explain(except, &words, &post).satisfied;
            let satisfied = clause.satisfied && !of.excepts.iter().any(is_others);
            explain::Clause { satisfied, ..clause }
        });
        Verdict {
            query: explain::explain(&self.query, &words, &post),
            of,
            excepts: excepts.map(|(index, except)| (index, explain::explain(&except.query, &words, &post))).collect(),
        }
    }
}

impl Of {
    pub(super) fn hash(&self, hash: &mut Sha256) {
        hash.update(b"of");
        hash_each(hash, std::iter::once(&self.query).chain(&self.excepts));
    }
}

pub(super) fn hash_by(hash: &mut Sha256, by: Option<&By>) {
    let Some(by) = by else { return };
    hash.update(by.word());
    if let By::List(entries) = by {
        for term in entries.terms() {
            hash.update(term);
            hash.update([1]);
        }
    }
}

pub(super) fn hash_joins(hash: &mut Sha256, joins: &[RuleId]) {
    for rule in joins {
        hash.update(rule.as_str());
        hash.update([3]);
    }
}

pub(super) fn hash_queries(hash: &mut Sha256, query: &Query, excepts: &[Except]) {
    hash_each(hash, std::iter::once(query).chain(excepts.iter().map(|except| &except.query)));
}

fn hash_each<'q>(hash: &mut Sha256, queries: impl Iterator<Item = &'q Query>) {
    for query in queries {
        hash.update(query.text.as_bytes());
        for term in query.terms() {
            hash.update([if matches!(term.form, TermForm::Fuzzy(_)) { 2 } else { 0 }]);
            hash.update(term.text.as_bytes());
        }
        hash.update([1]);
    }
}
