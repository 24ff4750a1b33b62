//! Rules that count by key: which windows there are, and what is written of them.

use std::collections::{BTreeSet, HashMap};

use super::sightings::Sightings;
use crate::domain::commit::{Commit, VolumeState};
use crate::domain::condition::by::Named;
use crate::domain::condition::keyed::Windows;
use crate::domain::condition::{Condition, Count, Fired, Seen};
use crate::domain::id::RuleId;
use crate::domain::rule::{Rule, RuleSet};
use crate::domain::time::Timestamp;

/// The windows of all rules that count by key.
#[derive(Default)]
pub(super) struct Keyed {
    rules: HashMap<RuleId, Kept>,
    /// Rules whose state is not on disk yet.
    changed: BTreeSet<RuleId>,
}

struct Kept {
    /// Of the rule it was counted for.
    meaning: String,
    newest: Timestamp,
    windows: Windows,
}

impl Keyed {
    /// Other rules are in force: what was counted for those that still ask the same stays.
    pub(super) fn keep(&mut self, rules: &RuleSet) {
        self.rules.retain(|id, kept| counting(rules, id).is_some_and(|rule| rule.meaning() == kept.meaning));
    }

    /// A post of a rule, under each of its keys; says which of them fire.
    pub(super) fn add(&mut self, rule: &Rule, count: &Count, keys: Vec<Named>, seen: &Seen) -> Vec<Fired> {
        if keys.is_empty() {
            return Vec::new();
        }
        let kept = self.rules.entry(rule.id.clone()).or_insert_with(|| Kept {
            meaning: rule.meaning(),
            newest: seen.at,
            windows: Windows::default(),
        });
        kept.newest = kept.newest.max(seen.at);
        self.changed.insert(rule.id.clone());
        let fired = keys.into_iter().filter_map(|named| {
            let fired = kept.windows.add(named.key, seen.clone(), count)?;
            Some(Fired { key: Some(named), ..fired })
        });
        fired.collect()
    }

    /// What was read from disk; of rules that ask something else by now it is forgotten.
    pub(super) fn restore(&mut self, rules: &RuleSet, states: &[VolumeState], sightings: &Sightings) {
        for VolumeState { rule: id, meaning, at, state } in states {
            if counting(rules, id).is_none_or(|rule| rule.meaning() != *meaning) {
                continue;
            }
            if let Some(windows) = Windows::from_bytes(state, |post| sightings.seen(id, post)) {
                self.rules.insert(id.clone(), Kept { meaning: meaning.clone(), newest: *at, windows });
            }
        }
    }

    /// Puts what changed into a commit.
    pub(super) fn record(&mut self, commit: &mut Commit) {
        for rule in std::mem::take(&mut self.changed) {
            let Some(Kept { meaning, newest, windows }) = self.rules.get_mut(&rule) else { continue };
            let (meaning, state) = (meaning.clone(), windows.to_bytes());
            commit.crowded_out(&rule, windows.take_crowded_out());
            commit.record_volume(VolumeState { rule, meaning, at: *newest, state });
        }
    }
}

/// The rule of that id, when it counts by key.
fn counting<'a>(rules: &'a RuleSet, id: &RuleId) -> Option<&'a Rule> {
    let (_, rule) = rules.find(id.as_str())?;
    (rule.by.is_some() && matches!(rule.condition, Condition::Count(_))).then_some(rule)
}
