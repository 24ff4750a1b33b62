//! Bounded memories.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;

use crate::domain::key::{Key, Keys};

/// Remembers at least the last `capacity` keys, at most twice as many: when the young
/// generation is full it becomes the old one, and the old one is forgotten.
pub(super) struct Recent {
    capacity: usize,
    young: Keys,
    old: Keys,
}

impl Recent {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, young: Keys::default(), old: Keys::default() }
    }

    /// Remembers a key; false when it was known.
    pub(super) fn insert(&mut self, key: Key) -> bool {
        let new = !self.old.contains(&key) && self.young.insert(key);
        if self.young.len() >= self.capacity {
            mem::swap(&mut self.old, &mut self.young);
            self.young.clear(); // its memory is used again
        }
        new
    }

    /// Those it remembers, each once, the older half first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Key> {
        self.old.iter().chain(&self.young).copied()
    }

    pub(super) fn contains(&self, key: Key) -> bool {
        self.young.contains(&key) || self.old.contains(&key)
    }
}

/// The last values that were told of keys, as [`Recent`] keeps them.
pub(super) struct Latest<K, V> {
    capacity: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V> Latest<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, young: HashMap::new(), old: HashMap::new() }
    }

    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= self.capacity {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub(super) fn forget(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_remembered_and_memory_is_bounded() {
        let mut recent = Recent::new(100);
        for number in 0..10_000_u64 {
            assert!(recent.insert(Key::of(&number)));
            assert!((number.saturating_sub(99)..=number).all(|number| recent.contains(Key::of(&number))));
            assert!(recent.young.len() + recent.old.len() <= 200);
        }
        assert!(!recent.insert(Key::of(&9_999_u64)));
    }
}
