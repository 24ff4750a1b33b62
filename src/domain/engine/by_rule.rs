//! What is kept of rules, by their places among those in force: found without reading a name.

use crate::domain::rule::{Rule, RuleIndex, RuleSet};

/// Something of some rules.
pub(super) struct ByRule<T>(Vec<Option<Box<T>>>);

impl<T> Default for ByRule<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> ByRule<T> {
    pub(super) fn get(&self, rule: RuleIndex) -> Option<&T> {
        self.0.get(rule)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, rule: RuleIndex) -> Option<&mut T> {
        self.0.get_mut(rule)?.as_deref_mut()
    }

    /// Of a rule; `new` if there was nothing.
    pub(super) fn get_or_insert_with(&mut self, rule: RuleIndex, new: impl FnOnce() -> T) -> Option<&mut T> {
        Some(self.slot(rule)?.get_or_insert_with(|| Box::new(new())))
    }

    /// Puts something of a rule there; gives what was.
    pub(super) fn insert(&mut self, rule: RuleIndex, new: T) -> Option<T> {
        self.slot(rule)?.replace(Box::new(new)).map(|old| *old)
    }

    /// With the rules' places, ascending.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (RuleIndex, &mut T)> {
        self.0.iter_mut().enumerate().filter_map(|(rule, kept)| Some((rule, kept.as_deref_mut()?)))
    }

    /// Other rules are in force: of a rule that was before and is still, `keep` says whether what was
    /// kept has a meaning; of the others it is dropped.
    pub(super) fn swap(
        &mut self,
        before: &RuleSet,
        after: &RuleSet,
        mut keep: impl FnMut(&Rule, &Rule, &mut T) -> bool,
    ) {
        for (rule, kept) in std::mem::take(&mut self.0).into_iter().enumerate() {
            if let (Some(mut kept), Some(was)) = (kept, before.get(rule))
                && let Some((place, is)) = after.find(was.id.as_str())
                && keep(was, is, &mut kept)
                && let Some(slot) = self.slot(place)
            {
                *slot = Some(kept);
            }
        }
    }

    fn slot(&mut self, rule: RuleIndex) -> Option<&mut Option<Box<T>>> {
        if self.0.len() <= rule {
            self.0.resize_with(rule + 1, || None);
        }
        self.0.get_mut(rule)
    }
}
