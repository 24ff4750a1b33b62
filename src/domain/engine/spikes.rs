//! All spike rules: which are watched, since when, and what is written of them.
//!
//! Two rows are kept of a rule, because the larger one changes only with the minute, and a busy rule
//! takes many posts in one.

use std::hint::black_box;
use std::sync::Arc;

use super::by_rule::ByRule;
use super::exposure::Exposure;
use super::learning::Learnt;
use super::minutes::Surroundings;
use super::watch::{Watch, policy};
use crate::domain::commit::{Commit, OpenMinute, VolumeState, Watched};
use crate::domain::condition::{Condition, Fired, Seen, Spike};
use crate::domain::id::RuleId;
use crate::domain::rule::{Rule, RuleIndex, RuleSet};
use crate::domain::time::{Timestamp, Zone};
use crate::domain::volume::{Policy, Promise, Scale};

/// Ends the name of the row with the minute that is filling; no rule's id has such a sign.
const OPEN: &str = "#open";

/// So many rules are read before one after the other is changed.
pub(super) const LOOKED_AHEAD: usize = 64;

/// What is usual for each spike rule.
pub(super) struct Spikes {
    pub(super) scale: Scale,
    watches: ByRule<Kept>,
    /// Rules whose state is not on disk yet, each once.
    changed: Vec<RuleIndex>,
    /// Some rule in force may have no watch.
    incomplete: bool,
    pub(super) exposure: Exposure,
}

struct Kept {
    /// Of the rule it was learnt with: another query has another volume.
    of: Arc<Watched>,
    /// What the rule promises as long as these rules are in force, and what that asks of an alarm.
    promise: Promise,
    policy: Policy,
    watch: Watch,
    /// Among the changed.
    changed: bool,
}

impl Spikes {
    pub(super) fn new() -> Self {
        Self {
            scale: Scale::minutes(),
            watches: ByRule::default(),
            changed: Vec::new(),
            incomplete: true,
            exposure: Exposure::default(),
        }
    }

    /// Other rules are in force: what was learnt of those that still ask the same stays.
    pub(super) fn swap(&mut self, before: &RuleSet, after: &RuleSet) {
        let scale = &self.scale;
        self.watches.swap(before, after, |_, rule, kept| {
            let Some(spike) = spike(rule) else { return false };
            (kept.promise, kept.policy) = terms(after, spike, scale);
            rule.meaning() == kept.of.meaning
        });
        self.changed = self.watches.iter_mut().filter(|(_, kept)| kept.changed).map(|(rule, _)| rule).collect();
        self.incomplete = true;
    }

    /// Begins to watch the rules that are not watched yet, and those at rest: their silence counts from now on.
    pub(super) fn begin(&mut self, rules: &RuleSet, now: Timestamp) {
        if !self.incomplete || now == Timestamp::default() {
            return;
        }
        self.incomplete = false;
        let around = Surroundings { scale: &self.scale, zone: rules.zone(), exposure: &self.exposure };
        for (rule, kept) in self.watches.iter_mut() {
            if kept.watch.wake(now, &around) {
                kept.note(rule, &mut self.changed);
            }
        }
        for (index, rule) in rules.rules().iter().enumerate().filter(|(_, rule)| spike(rule).is_some()) {
            if self.watches.get(index).is_none() {
                self.watch_from(rules, (index, rule), now);
            }
        }
    }

    /// Whether a rule is watched.
    pub(super) fn knows(&self, rule: RuleIndex) -> bool {
        self.watches.get(rule).is_some()
    }

    /// A source that was never read before begins: rules will take more posts than they did.
    pub(super) fn source_added(&mut self, now: Timestamp) {
        for (rule, kept) in self.watches.iter_mut() {
            kept.watch.doubt(now);
            kept.note(rule, &mut self.changed);
        }
    }

    /// Reads of each rule, of some [`LOOKED_AHEAD`], what counting a post for it will begin with. Ten thousand rules do not fit into a
    /// cache: read one after the other, each would be waited for; so they are waited for together.
    pub(super) fn look_ahead(&self, rules: &RuleSet, some: &[RuleIndex]) {
        let kept = || some.iter().filter_map(|&rule| self.watches.get(rule));
        let names = || some.iter().filter_map(|&rule| rules.get(rule)).filter(|rule| rule.by.is_none());
        black_box(kept().fold(0, |all, kept| all ^ kept.watch.begins_with()));
        black_box(names().filter(|rule| spike(rule).is_some()).count());
        black_box(kept().fold(0, |all, kept| all ^ kept.watch.ends_with()));
        black_box(names().filter_map(|rule| rule.id.as_str().bytes().next()).fold(0, |all, first| all ^ first));
    }

    /// A post of a spike rule.
    pub(super) fn add(
        &mut self,
        rules: &RuleSet,
        (index, rule): (RuleIndex, &Rule),
        spike: &Spike,
        seen: &Seen,
    ) -> Option<Fired> {
        if self.watches.get(index).is_none() {
            self.watch_from(rules, (index, rule), seen.at);
        }
        let around = Surroundings { scale: &self.scale, zone: rules.zone(), exposure: &self.exposure };
        let kept = self.watches.get_mut(index)?;
        kept.note(index, &mut self.changed);
        kept.watch.add(spike, &kept.policy, seen, &around).map(|fired| promised(fired, kept.promise))
    }

    /// What was read from disk; of rules that ask something else by now it is forgotten.
    pub(super) fn restore(&mut self, rules: &RuleSet, states: &[VolumeState]) {
        for VolumeState { rule: id, meaning, state, .. } in states {
            let Some((index, rule)) = rules.find(id.as_str()) else { continue };
            if let Some(spike) = spike(rule)
                && rule.meaning() == *meaning
                && let Ok(watch) = Watch::from_bytes(&self.scale, state)
            {
                let (promise, policy) = terms(rules, spike, &self.scale);
                let of = watched(id, meaning.clone());
                self.watches.insert(index, Kept { of, promise, policy, watch, changed: false });
            }
        }
        for VolumeState { rule: id, meaning, state, .. } in states {
            let found = id.as_str().strip_suffix(OPEN).and_then(|id| rules.find(id));
            let kept = found.and_then(|(index, _)| self.watches.get_mut(index));
            if let Some(kept) = kept.filter(|kept| kept.of.meaning == *meaning) {
                kept.watch.fill(state);
            }
        }
    }

    /// A sighting that the restored state counts already.
    pub(super) fn remember(&mut self, rule: RuleIndex, seen: &Seen) {
        if let Some(kept) = self.watches.get_mut(rule) {
            kept.watch.remember(seen);
        }
    }

    /// Lets a rule learn so many posts a day until `to`, as if it had been in force since `from`.
    pub(super) fn teach(&mut self, rules: &RuleSet, rule: &Rule, per_day: u32, from: Timestamp, to: Timestamp) {
        let Some((index, _)) = rules.find(rule.id.as_str()) else { return };
        self.watch_from(rules, (index, rule), from);
        let around = Surroundings { scale: &self.scale, zone: rules.zone(), exposure: &self.exposure };
        if let Some(Kept { watch, policy, .. }) = self.watches.get_mut(index) {
            watch.learn_evenly(policy, per_day, to, &around);
        }
    }

    /// Takes in all time until now, and gives what was learnt to whoever begins later.
    pub(super) fn rest(&mut self, rules: &RuleSet, now: Timestamp) -> Vec<Learnt> {
        let Self { scale, watches, exposure, .. } = self;
        let around = Surroundings { scale, zone: rules.zone(), exposure };
        let learnt = rules.rules().iter().enumerate().filter_map(|(index, rule)| {
            let Kept { of, policy, watch, .. } = watches.get_mut(index)?;
            watch.rest(policy, now, &around);
            let (meaning, at, state) = (of.meaning.clone(), watch.at(), watch.to_bytes());
            let states = vec![VolumeState { rule: rule.id.clone(), meaning, at, state }];
            Some(Learnt { rule: rule.id.clone(), states, seen: watch.seen(scale) })
        });
        learnt.collect()
    }

    /// What all streams have in common.
    pub(super) fn around<'a>(&'a self, zone: &'a Zone) -> Surroundings<'a> {
        Surroundings { scale: &self.scale, zone, exposure: &self.exposure }
    }

    /// Puts what changed into a commit.
    pub(super) fn record(&mut self, rules: &RuleSet, commit: &mut Commit) {
        commit.open_minutes.reserve(self.changed.len());
        let changed = std::mem::take(&mut self.changed);
        for (place, &index) in changed.iter().enumerate() {
            if place % LOOKED_AHEAD == 0 {
                let next = changed.iter().skip(place).take(LOOKED_AHEAD);
                let kept = next.filter_map(|&index| self.watches.get(index));
                black_box(kept.fold(0, |all, kept| all ^ kept.of.meaning.len()));
            }
            let Some(kept) = self.watches.get_mut(index) else { continue };
            kept.changed = false;
            let Kept { of, watch, .. } = kept;
            let at = watch.at();
            commit.open_minutes.push(OpenMinute { of: Arc::clone(of), at, state: watch.open_to_bytes() });
            if std::mem::take(&mut watch.learnt)
                && let Some(rule) = rules.get(index)
            {
                let (rule, meaning, state) = (rule.id.clone(), of.meaning.clone(), watch.usual_to_bytes());
                commit.record_volume(VolumeState { rule, meaning, at, state });
            }
        }
    }

    fn watch_from(&mut self, rules: &RuleSet, (index, rule): (RuleIndex, &Rule), from: Timestamp) {
        let Some(spike) = spike(rule) else { return };
        let (promise, policy) = terms(rules, spike, &self.scale);
        let watch = Watch::new(&self.scale, from);
        let kept = Kept { of: watched(&rule.id, rule.meaning()), promise, policy, watch, changed: true };
        if self.watches.insert(index, kept).is_none_or(|before| !before.changed) {
            self.changed.push(index);
        }
    }
}

impl Kept {
    /// Notes that it changed.
    fn note(&mut self, rule: RuleIndex, changed: &mut Vec<RuleIndex>) {
        if !std::mem::replace(&mut self.changed, true) {
            changed.push(rule);
        }
    }
}

/// Of the row with the minute of a rule that is filling.
fn watched(rule: &RuleId, meaning: String) -> Arc<Watched> {
    Arc::new(Watched { name: format!("{rule}{OPEN}").into(), meaning })
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
