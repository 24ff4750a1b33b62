//! Sightings by the names of their posts, while what was written of them is read again.
//!
//! States on disk hold names of posts; ids, authors and times stand in the sightings. So what
//! an author takes back is gone from the disk in one place.

use std::collections::{HashMap, HashSet};

use crate::domain::condition::Seen;
use crate::domain::id::RuleId;
use crate::domain::incident::Sighting;
use crate::domain::rule::RuleSet;

/// The sightings of the rules whose states name posts.
#[derive(Default)]
pub(super) struct Sightings {
    posts: HashMap<RuleId, HashMap<u64, Sighting>>,
}

impl Sightings {
    /// Of all sightings those that will be asked for.
    pub(super) fn of(rules: &RuleSet, sightings: &[Sighting]) -> Self {
        let joined = rules.rules().iter().flat_map(|rule| &rule.joins);
        let keyed = rules.rules().iter().filter(|rule| rule.by.is_some()).map(|rule| &rule.id);
        let wanted: HashSet<&RuleId> = joined.chain(keyed).collect();
        let mut posts: HashMap<RuleId, HashMap<u64, Sighting>> = HashMap::new();
        if !wanted.is_empty() {
            for sighting in sightings.iter().filter(|sighting| wanted.contains(&sighting.rule)) {
                let of_rule = posts.entry(sighting.rule.clone()).or_default();
                of_rule.insert(sighting.seen.post_key.bits(), sighting.clone());
            }
        }
        Self { posts }
    }

    /// The sighting of a post of that name.
    pub(super) fn sighting(&self, rule: &RuleId, post: u64) -> Option<Sighting> {
        self.posts.get(rule)?.get(&post).cloned()
    }

    /// The same as windows hold it.
    pub(super) fn seen(&self, rule: &RuleId, post: u64) -> Option<Seen> {
        Some(self.sighting(rule, post)?.seen)
    }
}
