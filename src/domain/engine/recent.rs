//! Bounded memories.

use std::collections::HashMap;
use std::mem;

use crate::domain::id::AuthorId;
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

    pub(super) fn contains(&self, key: Key) -> bool {
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

    pub(super) fn forget(&mut self, author: &AuthorId) {
        self.young.remove(author);
        self.old.remove(author);
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
        for number in 0..10_000_u64 {
            assert!(recent.insert(Key::of(&number)));
            assert!((number.saturating_sub(99)..=number).all(|number| recent.contains(Key::of(&number))));
            assert!(recent.young.len() + recent.old.len() <= 200);
        }
        assert!(!recent.insert(Key::of(&9_999_u64)));
    }
}
