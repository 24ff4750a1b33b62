//! Of which posts and authors text is kept: what they take back has to be taken out of it.

use std::mem;

use crate::domain::key::{Key, Keys};

/// Names of posts and authors. It knows all that is kept, and little that is not.
#[derive(Debug)]
pub(super) struct Evidence {
    /// A young generation of so many becomes the old one.
    capacity: usize,
    /// What came since the disk said last what it keeps no more: it may not have known of it then.
    young: Keys,
    old: Keys,
}

impl Default for Evidence {
    fn default() -> Self {
        Self::at_most(usize::MAX)
    }
}

impl Evidence {
    /// Knows that many at least, twice as many at most: for what is never kept, and so never forgotten.
    pub(super) fn at_most(capacity: usize) -> Self {
        Self { capacity, young: Keys::default(), old: Keys::default() }
    }

    pub(super) fn insert(&mut self, key: Key) {
        if self.young.len() >= self.capacity {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key);
    }

    pub(super) fn contains(&self, key: Key) -> bool {
        self.young.contains(&key) || self.old.contains(&key)
    }

    /// Nothing of those is kept any more, but for what the disk did not know when it said so.
    pub(super) fn forget(&mut self, gone: &[Key]) {
        for key in gone {
            self.old.remove(key);
        }
        self.old.extend(self.young.drain());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_no_more_is_forgotten_unless_it_came_again_since() {
        let (ann, bob, cat) = (Key::of("ann"), Key::of("bob"), Key::of("cat"));
        let mut evidence = Evidence::default();
        for key in [ann, bob, cat] {
            evidence.insert(key);
        }
        evidence.forget(&[ann]);
        assert!(evidence.contains(ann), "it was on its way to the disk when that was said");
        evidence.insert(bob);
        evidence.forget(&[ann, bob]);
        assert_eq!([ann, bob, cat].map(|key| evidence.contains(key)), [false, true, true]);
        evidence.forget(&[bob]);
        assert!(!evidence.contains(bob));
    }

    #[test]
    fn without_a_disk_the_last_ones_are_known() {
        let mut evidence = Evidence::at_most(100);
        for number in 0..10_000_u64 {
            evidence.insert(Key::of(&number));
            assert!((number.saturating_sub(99)..=number).all(|number| evidence.contains(Key::of(&number))));
            assert!(evidence.young.len() + evidence.old.len() <= 200);
        }
    }
}
