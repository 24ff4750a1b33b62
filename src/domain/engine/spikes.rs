//! All spike rules: which are watched, since when, and what is written of them.

use std::collections::HashMap;

use super::exposure::Exposure;
use super::learning::Learnt;
use super::minutes::Surroundings;
use super::watch::{Watch, policy};
use crate::domain::commit::{Commit, VolumeState};
use crate::domain::condition::{Condition, Fired, Seen, Spike};
use crate::domain::id::RuleId;
use crate::domain::rule::{Rule, RuleSet};
use crate::domain::time::{Timestamp, Zone};
use crate::domain::volume::{Policy, Promise, Scale};

/// What is usual for each spike rule.
pub(super) struct Spikes {
    pub(super) scale: Scale,
    watches: HashMap<RuleId, Kept>,
    /// Rules whose state is not on disk yet, each once.
    changed: Vec<RuleId>,
    /// Some rule in force may have no watch.
    incomplete: bool,
    pub(super) exposure: Exposure,
}

struct Kept {
    /// Of the rule it was learnt with: another query has another volume.
    meaning: String,
    /// What the rule promises as long as these rules are in force, and what that asks of an alarm.
    promise: Promise,
    policy: Policy,
    watch: Box<Watch>,
    /// Among the changed.
    changed: bool,
}

impl Spikes {
    pub(super) fn new() -> Self {
        Self {
            scale: Scale::minutes(),
            watches: HashMap::new(),
            changed: Vec::new(),
            incomplete: true,
            exposure: Exposure::default(),
        }
    }

    /// Other rules are in force: what was learnt of those that still ask the same stays.
    pub(super) fn keep(&mut self, rules: &RuleSet) {
        self.watches.retain(|id, kept| {
            let Some((_, rule)) = rules.find(id.as_str()) else { return false };
            let Some(spike) = spike(rule) else { return false };
            (kept.promise, kept.policy) = terms(rules, spike, &self.scale);
            rule.meaning() == kept.meaning
        });
        self.incomplete = true;
    }

    /// Begins to watch the rules that are not watched yet, and those at rest: their silence counts from now on.
    pub(super) fn begin(&mut self, rules: &RuleSet, now: Timestamp) {
        if !self.incomplete || now == Timestamp::default() {
            return;
        }
        self.incomplete = false;
        let around = Surroundings { scale: &self.scale, zone: rules.zone(), exposure: &self.exposure };
        for (id, kept) in &mut self.watches {
            if kept.watch.wake(now, &around) && !std::mem::replace(&mut kept.changed, true) {
                self.changed.push(id.clone());
            }
        }
        for rule in rules.rules().iter().filter(|rule| spike(rule).is_some()) {
            if !self.watches.contains_key(&rule.id) {
                self.watch_from(rules, rule, now);
            }
        }
    }

    /// A source that was never read before begins: rules will take more posts than they did.
    pub(super) fn source_added(&mut self, now: Timestamp) {
        for (id, kept) in &mut self.watches {
            kept.watch.doubt(now);
            if !std::mem::replace(&mut kept.changed, true) {
                self.changed.push(id.clone());
            }
        }
    }

    /// A post of a spike rule.
    pub(super) fn add(&mut self, rules: &RuleSet, rule: &Rule, spike: &Spike, seen: &Seen) -> Option<Fired> {
        if !self.watches.contains_key(&rule.id) {
            self.watch_from(rules, rule, seen.at);
        }
        let around = Surroundings { scale: &self.scale, zone: rules.zone(), exposure: &self.exposure };
        let Kept { promise, policy, watch, changed, .. } = self.watches.get_mut(&rule.id)?;
        if !std::mem::replace(changed, true) {
            self.changed.push(rule.id.clone());
        }
        watch.add(spike, policy, seen, &around).map(|fired| promised(fired, *promise))
    }

    /// What was read from disk; of rules that ask something else by now it is forgotten.
    pub(super) fn restore(&mut self, rules: &RuleSet, states: Vec<VolumeState>) {
        for VolumeState { rule: id, meaning, state, .. } in states {
            let Some((_, rule)) = rules.find(id.as_str()) else { continue };
            if let Some(spike) = spike(rule)
                && rule.meaning() == meaning
                && let Ok(watch) = Watch::from_bytes(&self.scale, &state)
            {
                let (promise, policy) = terms(rules, spike, &self.scale);
                let watch = Box::new(watch);
                self.watches.insert(id, Kept { meaning, promise, policy, watch, changed: false });
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
    pub(super) fn teach(&mut self, rules: &RuleSet, rule: &Rule, per_day: u32, from: Timestamp, to: Timestamp) {
        self.watch_from(rules, rule, from);
        let around = Surroundings { scale: &self.scale, zone: rules.zone(), exposure: &self.exposure };
        if let Some(Kept { watch, policy, .. }) = self.watches.get_mut(&rule.id) {
            watch.learn_evenly(policy, per_day, to, &around);
        }
    }

    /// Takes in all time until now, and gives what was learnt to whoever begins later.
    pub(super) fn rest(&mut self, rules: &RuleSet, now: Timestamp) -> Vec<Learnt> {
        let Self { scale, watches, exposure, .. } = self;
        let around = Surroundings { scale, zone: rules.zone(), exposure };
        let learnt = rules.rules().iter().filter_map(|rule| {
            let Kept { meaning, policy, watch, .. } = watches.get_mut(&rule.id)?;
            watch.rest(policy, now, &around);
            let (rule, meaning, at, state) = (rule.id.clone(), meaning.clone(), watch.at(), watch.to_bytes());
            Some(Learnt { state: VolumeState { rule, meaning, at, state }, seen: watch.seen(scale) })
        });
        learnt.collect()
    }

    /// What all streams have in common.
    pub(super) fn around<'a>(&'a self, zone: &'a Zone) -> Surroundings<'a> {
        Surroundings { scale: &self.scale, zone, exposure: &self.exposure }
    }

    /// Puts what changed into a commit.
    pub(super) fn record(&mut self, commit: &mut Commit) {
        for rule in std::mem::take(&mut self.changed) {
            let Some(Kept { meaning, watch, changed, .. }) = self.watches.get_mut(&rule) else { continue };
            *changed = false;
            let (meaning, at, state) = (meaning.clone(), watch.at(), watch.to_bytes());
            commit.record_volume(VolumeState { rule, meaning, at, state });
        }
    }

    fn watch_from(&mut self, rules: &RuleSet, rule: &Rule, from: Timestamp) {
        let Some(spike) = spike(rule) else { return };
        let (promise, policy) = terms(rules, spike, &self.scale);
        let watch = Box::new(Watch::new(&self.scale, from));
        let kept = Kept { meaning: rule.meaning(), promise, policy, watch, changed: true };
        if self.watches.insert(rule.id.clone(), kept).is_none_or(|before| !before.changed) {
            self.changed.push(rule.id.clone());
        }
    }
}

/// What a spike promises while these rules are in force, and what that asks of an alarm.
pub(super) fn terms(rules: &RuleSet, spike: &Spike, scale: &Scale) -> (Promise, Policy) {
    let promise = rules.promise(spike);
    (promise, policy(promise, spike, scale))
}

/// Says what was promised, too.
pub(super) fn promised(mut fired: Fired, promise: Promise) -> Fired {
    if let Some(measured) = &mut fired.measured {
        measured.words = format!("{}; false alarms promised: {promise}", measured.words);
    }
    fired
}

/// What a rule asks that has one baseline; those with one for each key are `follows`' business.
fn spike(rule: &Rule) -> Option<&Spike> {
    match &rule.condition {
        Condition::Spike(spike) if rule.by.is_none() => Some(spike),
        Condition::Match
        | Condition::Count(_)
        | Condition::Spike(_)
        | Condition::Share(_)
        | Condition::NewTerm(_)
        | Condition::Quiet(_)
        | Condition::Joined(_) => None,
    }
}
