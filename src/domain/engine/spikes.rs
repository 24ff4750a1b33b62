//! All spike rules: which are watched, since when, and what is written of them.

use std::collections::{BTreeSet, HashMap};

use super::exposure::Exposure;
use super::minutes::Surroundings;
use super::watch::Watch;
use crate::domain::commit::{Commit, VolumeState};
use crate::domain::condition::{Condition, Fired, Seen, Spike};
use crate::domain::id::RuleId;
use crate::domain::rule::{Rule, RuleSet};
use crate::domain::time::{Timestamp, Zone};
use crate::domain::volume::Scale;

/// What is usual for each spike rule.
pub(super) struct Spikes {
    pub(super) scale: Scale,
    watches: HashMap<RuleId, Kept>,
    /// Rules whose state is not on disk yet.
    changed: BTreeSet<RuleId>,
    /// Some rule in force may have no watch.
    incomplete: bool,
    pub(super) exposure: Exposure,
}

struct Kept {
    /// Of the rule it was learnt with: another query has another volume.
    meaning: String,
    watch: Box<Watch>,
}

impl Spikes {
    pub(super) fn new() -> Self {
        Self {
            scale: Scale::minutes(),
            watches: HashMap::new(),
            changed: BTreeSet::new(),
            incomplete: true,
            exposure: Exposure::default(),
        }
    }

    /// Other rules are in force: what was learnt of those that still ask the same stays.
    pub(super) fn keep(&mut self, rules: &RuleSet) {
        self.watches.retain(|id, kept| {
            let rule = rules.find(id.as_str()).map(|(_, rule)| rule);
            rule.is_some_and(|rule| spike(rule).is_some() && rule.meaning() == kept.meaning)
        });
        self.incomplete = true;
    }

    /// Begins to watch the rules that are not watched yet: their silence counts from now on.
    pub(super) fn begin(&mut self, rules: &RuleSet, now: Timestamp) {
        if !self.incomplete || now == Timestamp::default() {
            return;
        }
        self.incomplete = false;
        for rule in rules.rules().iter().filter(|rule| spike(rule).is_some()) {
            if !self.watches.contains_key(&rule.id) {
                self.watch_from(rule, now);
                self.changed.insert(rule.id.clone());
            }
        }
    }

    /// A source that was never read before begins: rules will take more posts than they did.
    pub(super) fn source_added(&mut self) {
        for (id, kept) in &mut self.watches {
            kept.watch.doubt();
            self.changed.insert(id.clone());
        }
    }

    /// A post of a spike rule.
    pub(super) fn add(&mut self, rule: &Rule, spike: &Spike, seen: &Seen, zone: &Zone) -> Option<Fired> {
        if !self.watches.contains_key(&rule.id) {
            self.watch_from(rule, seen.at);
        }
        self.changed.insert(rule.id.clone());
        let around = Surroundings { scale: &self.scale, zone, exposure: &self.exposure };
        self.watches.get_mut(&rule.id)?.watch.add(spike, seen, &around)
    }

    /// What was read from disk; of rules that ask something else by now it is forgotten.
    pub(super) fn restore(&mut self, rules: &RuleSet, states: Vec<VolumeState>) {
        for VolumeState { rule: id, meaning, state, .. } in states {
            let Some((_, rule)) = rules.find(id.as_str()) else { continue };
            if spike(rule).is_some()
                && rule.meaning() == meaning
                && let Ok(watch) = Watch::from_bytes(&self.scale, &state)
            {
                self.watches.insert(id, Kept { meaning, watch: Box::new(watch) });
            }
        }
    }

    /// A sighting that the restored state counts already.
    pub(super) fn remember(&mut self, rule: &RuleId, seen: &Seen) {
        if let Some(kept) = self.watches.get_mut(rule) {
            kept.watch.remember(seen);
        }
    }

    /// Lets a rule learn so many posts a day until `to`, as if it had been in force since `from`.
    pub(super) fn teach(&mut self, rule: &Rule, per_day: u32, from: Timestamp, to: Timestamp, zone: &Zone) {
        let Some(spike) = spike(rule) else { return };
        self.watch_from(rule, from);
        let around = Surroundings { scale: &self.scale, zone, exposure: &self.exposure };
        if let Some(kept) = self.watches.get_mut(&rule.id) {
            kept.watch.learn_evenly(spike, per_day, to, &around);
        }
    }

    /// What all streams have in common.
    pub(super) fn around<'a>(&'a self, zone: &'a Zone) -> Surroundings<'a> {
        Surroundings { scale: &self.scale, zone, exposure: &self.exposure }
    }

    /// Puts what changed into a commit.
    pub(super) fn record(&mut self, commit: &mut Commit) {
        for rule in std::mem::take(&mut self.changed) {
            let Some(Kept { meaning, watch }) = self.watches.get(&rule) else { continue };
            let (meaning, at, state) = (meaning.clone(), watch.at(), watch.to_bytes());
            commit.record_volume(VolumeState { rule, meaning, at, state });
        }
    }

    fn watch_from(&mut self, rule: &Rule, from: Timestamp) {
        let watch = Box::new(Watch::new(&self.scale, from));
        self.watches.insert(rule.id.clone(), Kept { meaning: rule.meaning(), watch });
    }
}

fn spike(rule: &Rule) -> Option<&Spike> {
    match &rule.condition {
        Condition::Spike(spike) => Some(spike),
        Condition::Match | Condition::Count(_) | Condition::Quiet(_) => None,
    }
}
