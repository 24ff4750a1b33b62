//! What rules of one kind remember beyond their sightings: kept by rule, written with the
//! commit that changed it, and given up when the rule asks something else.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::learning::Learnt;
use crate::domain::commit::{Commit, VolumeState};
use crate::domain::condition::{Condition, Seen, Vocabulary, Whole};
use crate::domain::id::RuleId;
use crate::domain::rule::{Rule, RuleSet};
use crate::domain::time::Timestamp;
use crate::domain::volume::Unreadable;

/// What one rule remembers.
pub(super) trait Memory: Sized {
    /// Whether a rule has such a memory.
    fn is_for(rule: &Rule) -> bool;
    /// Of a rule that is in force from now on.
    fn begin(now: Timestamp) -> Self;
    /// What follows is not seen; gives how much time was. None when it has nothing to learn.
    fn rest(&mut self, now: Timestamp) -> Option<Duration>;
    /// From now on posts are seen again; false when they always were.
    fn wake(&mut self, now: Timestamp) -> bool;
    /// Puts a sighting that is counted already among the evidence.
    fn remember(&mut self, seen: &Seen);
    /// The time of the newest it knows.
    fn at(&self) -> Timestamp;
    fn to_bytes(&self) -> Vec<u8>;
    fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable>;
}

/// The memories of all rules of a kind.
pub(super) struct Memories<M> {
    kept: HashMap<RuleId, Kept<M>>,
    /// Rules whose memory is not on disk yet.
    changed: BTreeSet<RuleId>,
    /// Every rule in force that needs one has a memory.
    is_complete: bool,
}

struct Kept<M> {
    /// Of the rule it was learnt with.
    meaning: String,
    memory: M,
}

impl<M> Default for Memories<M> {
    fn default() -> Self {
        Self { kept: HashMap::new(), changed: BTreeSet::new(), is_complete: false }
    }
}

impl<M: Memory> Memories<M> {
    /// The memory of a rule that takes something in, from now on if it has none yet.
    pub(super) fn of(&mut self, rule: &Rule, now: Timestamp) -> &mut M {
        self.changed.insert(rule.id.clone());
        let new = || Kept { meaning: rule.meaning(), memory: M::begin(now) };
        &mut self.kept.entry(rule.id.clone()).or_insert_with(new).memory
    }

    /// Whether a rule has one.
    pub(super) fn knows(&self, rule: &RuleId) -> bool {
        self.kept.contains_key(rule)
    }

    /// Begins the memories of rules that have none yet, and goes on with those at rest.
    pub(super) fn begin(&mut self, rules: &RuleSet, now: Timestamp) {
        if self.is_complete || now == Timestamp::default() {
            return;
        }
        self.is_complete = true;
        self.change(|memory| memory.wake(now));
        for rule in rules.rules().iter().filter(|rule| M::is_for(rule)) {
            if !self.kept.contains_key(&rule.id) {
                self.of(rule, now);
            }
        }
    }

    /// See [`super::spikes::Spikes::rest`].
    pub(super) fn rest(&mut self, rules: &RuleSet, now: Timestamp) -> Vec<Learnt> {
        let of_rule = |rule: &Rule| {
            let kept = self.kept.get_mut(&rule.id)?;
            let seen = kept.memory.rest(now)?;
            Some(Learnt { rule: rule.id.clone(), states: vec![kept.written(rule.id.clone())], seen })
        };
        rules.rules().iter().filter_map(of_rule).collect()
    }

    /// Changes all memories; `change` says of each whether it made a difference.
    pub(super) fn change(&mut self, mut change: impl FnMut(&mut M) -> bool) {
        for (id, kept) in &mut self.kept {
            if change(&mut kept.memory) {
                self.changed.insert(id.clone());
            }
        }
    }

    /// Other rules are in force: what was learnt of those that still ask the same stays.
    pub(super) fn keep(&mut self, rules: &RuleSet) {
        self.kept.retain(|id, kept| asks_the_same::<M>(rules, id, &kept.meaning));
        self.is_complete = false;
    }

    /// What was read from disk; of rules that ask something else by now it is forgotten.
    pub(super) fn restore(&mut self, rules: &RuleSet, states: &[VolumeState]) {
        for VolumeState { rule, meaning, state, .. } in states {
            if asks_the_same::<M>(rules, rule, meaning)
                && let Ok(memory) = M::from_bytes(state)
            {
                self.kept.insert(rule.clone(), Kept { meaning: meaning.clone(), memory });
            }
        }
    }

    /// A sighting that the restored memory counts already.
    pub(super) fn remember(&mut self, rule: &RuleId, seen: &Seen) {
        if let Some(kept) = self.kept.get_mut(rule) {
            kept.memory.remember(seen);
        }
    }

    /// Puts what changed into a commit.
    pub(super) fn record(&mut self, commit: &mut Commit) {
        for rule in std::mem::take(&mut self.changed) {
            if let Some(kept) = self.kept.get(&rule) {
                commit.record_volume(kept.written(rule));
            }
        }
    }
}

impl<M: Memory> Kept<M> {
    fn written(&self, rule: RuleId) -> VolumeState {
        let Self { meaning, memory } = self;
        VolumeState { rule, meaning: meaning.clone(), at: memory.at(), state: memory.to_bytes() }
    }
}

fn asks_the_same<M: Memory>(rules: &RuleSet, id: &RuleId, meaning: &str) -> bool {
    rules.find(id.as_str()).is_some_and(|(_, rule)| M::is_for(rule) && rule.meaning() == meaning)
}

impl Memory for Whole {
    fn is_for(rule: &Rule) -> bool {
        matches!(rule.condition, Condition::Share(_))
    }

    fn begin(_now: Timestamp) -> Self {
        Self::default()
    }

    fn rest(&mut self, _now: Timestamp) -> Option<Duration> {
        None
    }

    fn wake(&mut self, _now: Timestamp) -> bool {
        false
    }

    fn remember(&mut self, seen: &Seen) {
        self.remember(seen);
    }

    fn at(&self) -> Timestamp {
        self.newest()
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.to_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        Self::from_bytes(bytes)
    }
}

impl Memory for Vocabulary {
    fn is_for(rule: &Rule) -> bool {
        matches!(rule.condition, Condition::NewTerm(_))
    }

    fn rest(&mut self, now: Timestamp) -> Option<Duration> {
        self.rest(now);
        Some(self.seen())
    }

    fn wake(&mut self, now: Timestamp) -> bool {
        self.wake(now)
    }

    fn begin(now: Timestamp) -> Self {
        Self::new(now)
    }

    fn remember(&mut self, seen: &Seen) {
        self.remember(seen);
    }

    fn at(&self) -> Timestamp {
        self.newest()
    }

    fn to_bytes(&self) -> Vec<u8> {
        self.to_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        Self::from_bytes(bytes)
    }
}
