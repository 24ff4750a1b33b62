//! Rules that fire when other rules have fired.
//!
//! Such a rule is told of every alert of the rules it joins, at once and in the same step; it
//! may be joined by others again. Its incident holds the posts of the alerts it joins, as
//! sightings of its own, and goes on growing with later ones.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::Engine;
use super::alerts::Firing;
use super::sightings::Sightings;
use crate::domain::commit::{Commit, VolumeState};
use crate::domain::condition::joined::{Joined, Junction, Order, Part, Whole};
use crate::domain::condition::{Condition, Fired};
use crate::domain::id::{PostId, RuleId};
use crate::domain::incident::Sighting;
use crate::domain::rule::{Rule, RuleIndex, RuleSet};
use crate::domain::time::{Timestamp, human};

/// What is remembered for all rules that join others.
#[derive(Default)]
pub(super) struct Joins {
    /// Of each joined rule, who is told of its alerts: the rule, and the place it is joined at.
    told: HashMap<RuleId, Vec<(RuleIndex, usize)>>,
    junctions: HashMap<RuleId, Kept>,
    changed: BTreeSet<RuleId>,
}

struct Kept {
    /// Of the rule it was remembered for.
    meaning: String,
    junction: Junction,
}

/// A rule's alert, as far as rules that join it are concerned.
pub(super) struct Raised<'a> {
    pub(super) rule: &'a RuleId,
    /// Event time.
    pub(super) at: Timestamp,
    /// The post that made it fire.
    pub(super) post: Option<&'a PostId>,
    /// The posts that made it fire.
    pub(super) posts: Vec<Sighting>,
}

impl Joins {
    pub(super) fn of(rules: &RuleSet) -> Self {
        let mut joins = Self::default();
        joins.keep(rules);
        joins
    }

    /// Other rules are in force.
    pub(super) fn keep(&mut self, rules: &RuleSet) {
        self.junctions.retain(|id, kept| joining(rules, id).is_some_and(|rule| rule.meaning() == kept.meaning));
        self.told.clear();
        for (index, rule) in rules.rules().iter().enumerate() {
            for (place, joined) in rule.joins.iter().enumerate() {
                self.told.entry(joined.clone()).or_default().push((index, place));
            }
        }
    }

    fn add(&mut self, rule: &Rule, joined: &Joined, part: Part) -> Option<Whole> {
        let empty = || Kept { meaning: rule.meaning(), junction: Junction::default() };
        let kept = self.junctions.entry(rule.id.clone()).or_insert_with(empty);
        self.changed.insert(rule.id.clone());
        kept.junction.add(part, rule.joins.len(), joined)
    }

    /// What was read from disk; of rules that join others by now it is forgotten.
    pub(super) fn restore(&mut self, rules: &RuleSet, states: &[VolumeState], sightings: &Sightings) {
        for VolumeState { rule: id, meaning, state, .. } in states {
            let Some(rule) = joining(rules, id).filter(|rule| rule.meaning() == *meaning) else { continue };
            let post = |place: usize, post| sightings.sighting(rule.joins.get(place)?, post);
            if let Some(junction) = Junction::from_bytes(state, post) {
                self.junctions.insert(id.clone(), Kept { meaning: meaning.clone(), junction });
            }
        }
    }

    /// Puts what changed into a commit.
    pub(super) fn record(&mut self, commit: &mut Commit) {
        for rule in std::mem::take(&mut self.changed) {
            let Some(Kept { meaning, junction }) = self.junctions.get(&rule) else { continue };
            let (meaning, at, state) = (meaning.clone(), junction.newest(), junction.to_bytes());
            commit.record_volume(VolumeState { rule, meaning, at, state });
        }
    }
}

impl Engine {
    /// Tells an alert to the rules that join its rule.
    pub(super) fn join(&mut self, raised: &Raised<'_>, now: Timestamp, commit: &mut Commit) {
        let Some(told) = self.joins.told.get(raised.rule).cloned() else { return };
        let rules = Arc::clone(&self.rules);
        for (index, place) in told {
            let Some(rule) = rules.get(index) else { continue };
            let Condition::Joined(joined) = &rule.condition else { continue };
            let part = Part { at: raised.at, rule: place, posts: raised.posts.clone() };
            match self.joins.add(rule, joined, part) {
                Some(whole) => self.joined(rule, joined, whole, raised, now, commit),
                None => self.grow(rule, &raised.posts, commit),
            }
        }
    }

    /// All that a rule joins has fired.
    fn joined(
        &mut self,
        rule: &Rule,
        joined: &Joined,
        whole: Whole,
        raised: &Raised<'_>,
        now: Timestamp,
        commit: &mut Commit,
    ) {
        let Whole { times, at, posts } = whole;
        let why = why(rule, joined, &times);
        let fired = Fired::by(posts.iter().map(|sighting| sighting.seen.clone()).collect());
        let (opener, post) = (raised.post.map_or("", PostId::as_str), raised.post);
        let firing = Firing { opener, opened: raised.at, at, post, fired: &fired, posts, why };
        self.raise(rule, firing, now, commit);
    }

    /// Later alerts of what a rule joins count for its incident, while it is open.
    fn grow(&mut self, rule: &Rule, posts: &[Sighting], commit: &mut Commit) {
        let Some(id) = self.by_topic.get(&rule.topic) else { return };
        let Some(live) = self.live.get_mut(id).filter(|live| live.incident.rules.contains(&rule.id)) else { return };
        for sighting in posts {
            if live.add(&sighting.seen) {
                self.changed.insert(id.clone());
            }
            commit.sightings.push(Sighting { rule: rule.id.clone(), incident: Some(id.clone()), ..sighting.clone() });
        }
    }
}

/// The rule of that id, when it joins others.
fn joining<'a>(rules: &'a RuleSet, id: &RuleId) -> Option<&'a Rule> {
    rules.find(id.as_str()).map(|(_, rule)| rule).filter(|rule| !rule.joins.is_empty())
}

/// Which rules fired, and when.
fn why(rule: &Rule, joined: &Joined, times: &[Timestamp]) -> String {
    let mut fired: Vec<(Timestamp, &RuleId)> = times.iter().copied().zip(&rule.joins).collect();
    let link = match joined.order {
        Order::Any => {
            fired.sort_by_key(|(at, _)| *at);
            " and "
        }
        Order::Given => ", then ",
    };
    let fired: Vec<String> = fired.iter().map(|(at, id)| format!("{id} at {}", at.whole_second())).collect();
    format!("{}, within {}; rule {} {}", fired.join(link), human(joined.within), rule.id, rule.version)
}
