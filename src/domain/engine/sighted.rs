//! Which rules took which posts: a post counts for a rule once, however often it is read or edited.
//!
//! Nearly every post is new, and many rules may take it: so the rules are a list under the post's
//! name, and one look says of all of them that they did not take it before. Rejected: one set of
//! names of (rule, post), which was asked and grew at another place of memory for each rule.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::mem;
use std::ops::Range;

use super::recent::Recent;
use crate::domain::key::{Itself, Key, Keys};
use crate::domain::rule::RuleIndex;

/// Remembers at least the last `capacity` pairs of a rule and a post, as [`Recent`] does.
pub(super) struct Sighted {
    capacity: usize,
    young: Generation,
    old: Generation,
    /// Pairs that came after the others of their post, by a name of their own.
    later: Recent,
}

#[derive(Default)]
struct Generation {
    posts: HashMap<Key, Range<usize>, BuildHasherDefault<Itself>>,
    /// The names of the rules, post by post.
    rules: Vec<Key>,
}

impl Sighted {
    pub(super) fn new(capacity: usize) -> Self {
        let (young, old) = (Generation::default(), Generation::default());
        Self { capacity, young, old, later: Recent::new(capacity) }
    }

    /// Remembers that rules, each named once, take a post; leaves those that did not take it before.
    pub(super) fn leave_new(&mut self, post: Key, rules: &mut Vec<RuleIndex>, name: impl Fn(RuleIndex) -> Option<Key>) {
        if self.young.rules.len() >= self.capacity {
            mem::swap(&mut self.old, &mut self.young);
            self.young.clear();
        }
        if !self.young.posts.contains_key(&post) && !self.old.posts.contains_key(&post) {
            rules.retain(|&rule| name(rule).is_some());
            self.young.append(post, rules.iter().filter_map(|&rule| name(rule)));
            return;
        }
        let known: Keys = self.young.rules_of(post).iter().chain(self.old.rules_of(post)).copied().collect();
        rules.retain(|&rule| {
            name(rule).is_some_and(|rule| !known.contains(&rule) && self.later.insert(Key::of(&(rule, post))))
        });
    }

    /// Whether a rule took a post.
    pub(super) fn took(&self, post: Key, rule: Option<Key>) -> bool {
        rule.is_some_and(|rule| {
            let known = self.young.rules_of(post).contains(&rule) || self.old.rules_of(post).contains(&rule);
            known || self.later.contains(Key::of(&(rule, post)))
        })
    }

    /// Remembers a pair that the disk has; it has each once, those of a post mostly in a row.
    pub(super) fn restore(&mut self, post: Key, rule: Key) {
        if self.young.ends_with(post) || !self.young.posts.contains_key(&post) {
            self.young.append(post, std::iter::once(rule));
        } else {
            self.later.insert(Key::of(&(rule, post)));
        }
    }
}

impl Generation {
    fn rules_of(&self, post: Key) -> &[Key] {
        self.posts.get(&post).and_then(|place| self.rules.get(place.clone())).unwrap_or_default()
    }

    fn ends_with(&self, post: Key) -> bool {
        self.posts.get(&post).is_some_and(|place| place.end == self.rules.len())
    }

    /// Adds to the list of a post, which is the last one or new.
    fn append(&mut self, post: Key, rules: impl Iterator<Item = Key>) {
        let from = self.rules.len();
        self.rules.extend(rules);
        self.posts.entry(post).or_insert(from..from).end = self.rules.len();
    }

    /// Its memory is used again.
    fn clear(&mut self) {
        self.posts.clear();
        self.rules.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What a plain set of pairs would say, while nothing is forgotten.
        #[test]
        fn a_rule_takes_a_post_once(
            disk in prop::collection::btree_set((0u64..4, 0usize..6), 0..12),
            posts in prop::collection::vec((0u64..12, prop::collection::btree_set(0usize..8, 1..5)), 1..40),
        ) {
            let name = |rule: usize| (rule < 7).then(|| Key::of(&rule));
            let mut sighted = Sighted::new(1000);
            let mut plain = disk.clone();
            for &(post, rule) in &disk {
                sighted.restore(Key::of(&post), Key::of(&rule));
            }
            for (post, rules) in posts {
                let mut news: Vec<RuleIndex> = rules.iter().copied().collect();
                sighted.leave_new(Key::of(&post), &mut news, name);
                let expected: Vec<RuleIndex> = rules.into_iter().filter(|&rule| rule < 7 && plain.insert((post, rule))).collect();
                prop_assert_eq!(news, expected);
            }
        }
    }

    #[test]
    fn the_last_ones_are_remembered_and_memory_is_bounded() {
        let mut sighted = Sighted::new(100);
        let taken = |sighted: &mut Sighted, post: u64| {
            let mut rules = vec![1, 2];
            sighted.leave_new(Key::of(&post), &mut rules, |rule| Some(Key::of(&rule)));
            rules.len()
        };
        for post in 0..10_000 {
            assert_eq!(taken(&mut sighted, post), 2);
            assert_eq!(taken(&mut sighted, post.saturating_sub(49)), 0);
            let Sighted { young, old, .. } = &sighted;
            assert!(young.rules.len() + old.rules.len() <= 204 && young.posts.len() + old.posts.len() <= 102);
        }
    }
}
