//! False alarms of all spike rules together.
//!
//! Promises add up: thirty rules that promise one a month each are one a day for the people
//! who are paged. With a budget that their sum exceeds, each keeps the same part of what it
//! promises. Rejected: to give rare rules more of it than common ones, or grave ones more than
//! others; whoever wants that says so in the rules.

use super::model::{Rule, RuleSet};
use crate::domain::condition::{Condition, Spike};
use crate::domain::volume::Promise;

impl RuleSet {
    /// The same rules, whose spikes raise so many false alarms together at most.
    pub fn keep_within(&mut self, budget: Option<Promise>) {
        self.budget = budget;
        let sum: f64 = self.spikes().map(|spike| spike.false_alarms.per_year()).sum();
        self.tightened = budget.map(|budget| budget.per_year() / sum).filter(|share| *share < 1.0);
    }

    /// Some of these rules, each with what it promises among all.
    #[must_use]
    pub fn some(&self, wanted: impl Fn(&Rule) -> bool) -> Self {
        let rules = self.rules().iter().filter(|rule| wanted(rule)).cloned().collect();
        let mut some = Self::new(rules).in_zone(self.zone().clone());
        (some.budget, some.tightened) = (self.budget, self.tightened);
        some
    }

    /// How many false alarms are accepted in all.
    pub fn budget(&self) -> Option<Promise> {
        self.budget
    }

    /// What a spike of these rules promises.
    pub fn promise(&self, spike: &Spike) -> Promise {
        self.tightened.map_or(spike.false_alarms, |share| spike.false_alarms.tightened(share))
    }

    /// What the budget means: the rules, their sum, and what becomes of each promise. None
    /// without one, or without a spike.
    pub fn budget_in_words(&self) -> Option<String> {
        let budget = self.budget?;
        let mut asked: Vec<Promise> = self.spikes().map(|spike| spike.false_alarms).collect();
        let together = Promise::yearly(asked.iter().map(|promise| promise.per_year()).sum())?;
        let rules = match asked.len() {
            1 => "1 spike rule promises".to_owned(),
            rules => format!("{rules} spike rules promise"),
        };
        let Some(share) = self.tightened else {
            return Some(format!("false alarms: {rules} {together} together, within the budget of {budget}"));
        };
        asked.sort_by(|a, b| b.per_year().total_cmp(&a.per_year()));
        asked.dedup();
        let becomes = |promise: Promise| format!("{promise} becomes {}", promise.tightened(share));
        let each: Vec<String> = asked.into_iter().map(becomes).collect();
        let each = each.join(", ");
        Some(format!("false alarms: {rules} {together} together, more than the budget of {budget}; {each}"))
    }

    fn spikes(&self) -> impl Iterator<Item = &Spike> {
        self.rules().iter().filter_map(|rule| match &rule.condition {
            Condition::Spike(spike) => Some(spike),
            _ => None,
        })
    }
}
