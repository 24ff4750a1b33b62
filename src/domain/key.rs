//! 64-bit names of values, for memories that only need to know whether they saw one.
//!
//! A memory of a hundred thousand posts holds eight bytes of each instead of a hundred.
//! The price is that two values may share a key, and what a stranger writes must not make
//! that likely: a post whose key equals another's would hide it. So keys come from
//! `SipHash` ([`DefaultHasher`], the same in every process): by chance two among a million
//! clash once in forty million runs, and nobody knows how to find a text for a *given*
//! key in less than 2^64 tries. Two texts of one's own with equal keys can be found in
//! 2^32, and hide nobody but their author.
//!
//! Rejected: faster hashes (`foldhash`, `rustc-hash`), whose collisions can be computed by
//! hand once the seed is known, and ours is; a seed of the process, because the engine
//! has no chance in it (invariant 4). What is fast instead: a value is hashed once, and the
//! sets take the key for its own hash.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

/// The name of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u64);

impl Key {
    /// The name of `value`; equal values have equal names.
    pub fn of<T: Hash + ?Sized>(value: &T) -> Self {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// The name that [`Key::bits`] gave as a number.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The name as a number.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

/// The names of a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostKeys {
    /// Of the post, whatever its version.
    pub post: Key,
    /// Of this version of it.
    pub version: Key,
}

impl PostKeys {
    /// The names of a post by its id and version.
    pub fn of(id: &str, version: Option<&str>) -> Self {
        let post = Key::of(id);
        Self { post, version: Key::of(&(post, version)) }
    }
}

/// A set of names.
pub type Keys = HashSet<Key, BuildHasherDefault<Itself>>;

/// The hash of a [`Key`]: itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only asked by keys, which write one number; anything else is still a hash.
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = self.0.rotate_left(5) ^ number;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::PostId;

    #[test]
    fn an_id_and_its_text_have_one_name() {
        let id = PostId::from("at://did:plc:nurse/app.bsky.feed.post/3key");
        assert_eq!(Key::of(&id), Key::of(id.as_str()));
    }

    #[test]
    fn posts_and_versions_are_told_apart() {
        let keys = |id, version| PostKeys::of(id, version);
        assert_eq!(keys("a", Some("1")), keys("a", Some("1")));
        assert_eq!(keys("a", Some("1")).post, keys("a", None).post);
        assert_ne!(keys("a", Some("1")).version, keys("a", Some("2")).version);
        assert_ne!(keys("a", Some("")).version, keys("a", None).version);
        assert_ne!(keys("a", Some("b1")).version, keys("ab", Some("1")).version);
        assert_ne!(keys("a", None).post, keys("b", None).post);
    }
}
