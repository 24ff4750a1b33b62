//! Bounded memories.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem;

use crate::domain::id::AuthorId;

/// A 64-bit name of a value: two among a million clash once in a hundred million runs.
pub(super) fn key<T: Hash>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Remembers at least the last `capacity` keys, at most twice as many: when the young
/// generation is full it becomes the old one, and the old one is forgotten.
pub(super) struct Recent {
    capacity: usize,
    young: HashSet<u64>,
    old: HashSet<u64>,
}

impl Recent {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, young: HashSet::new(), old: HashSet::new() }
    }

    /// Remembers a key; false when it was known.
    pub(super) fn insert(&mut self, key: u64) -> bool {
        if self.contains(key) {
            return false;
        }
        if self.young.len() >= self.capacity {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key)
    }

    pub(super) fn contains(&self, key: u64) -> bool {
        self.young.contains(&key) || self.old.contains(&key)
    }
}

/// Handles that identity events told, as [`Recent`] keeps them.
pub(super) struct Handles {
    capacity: usize,
    young: HashMap<AuthorId, Box<str>>,
    old: HashMap<AuthorId, Box<str>>,
}

impl Handles {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, young: HashMap::new(), old: HashMap::new() }
    }

    pub(super) fn insert(&mut self, author: AuthorId, handle: String) {
        if self.young.len() >= self.capacity {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(author, handle.into_boxed_str());
    }

    pub(super) fn get(&self, author: &AuthorId) -> Option<&str> {
        self.young.get(author).or_else(|| self.old.get(author)).map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_remembered_and_memory_is_bounded() {
        let mut recent = Recent::new(100);
        for key in 0..10_000 {
            assert!(recent.insert(key));
            assert!((key.saturating_sub(99)..=key).all(|key| recent.contains(key)));
            assert!(recent.young.len() + recent.old.len() <= 200);
        }
        assert!(!recent.insert(9_999));
    }
}
