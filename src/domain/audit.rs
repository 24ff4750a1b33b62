//! The audit log: what people and the program did, each entry chained to the one before.
//!
//! An entry's hash covers the hash before it, so whoever changes, removes or adds an entry amid the others breaks
//! the chain from there on. Of its words the hash covers their hash: words can be erased (a patient's name in a note)
//! and the chain still holds. That the last entries were cut off a chain cannot say of itself: its head goes to the
//! journal now and then.

use sha2::{Digest as _, Sha256};

use super::id::hex;
use super::time::Timestamp;

/// What somebody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When (wall time).
    pub at: Timestamp,
    /// Who: an account, a receiver, `stormbell` itself.
    pub by: String,
    /// What, in one word of each kind: `incident.acknowledged`, `session.began`.
    pub what: String,
    /// To what: an incident, an account.
    pub about: String,
    /// In words.
    pub text: String,
}

/// The hash of an entry, which covers all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link(pub [u8; 32]);

impl Link {
    /// Before the first entry.
    pub const FIRST: Self = Self([0; 32]);

    /// The link of an entry that follows; `words` is the [`words`] of its text.
    #[must_use]
    pub fn then(&self, number: i64, entry: &Entry, words: &[u8; 32]) -> Self {
        let Entry { at, by, what, about, text: _ } = entry;
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(number.to_be_bytes());
        hash.update(at.micros().to_be_bytes());
        for part in [by.as_bytes(), what.as_bytes(), about.as_bytes(), words] {
            // With its length before it, so that no two entries read the same.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// In hexadecimal, as the journal has it.
    pub fn text(&self) -> String {
        hex(&self.0, 32)
    }
}

/// The hash of an entry's words, with a salt that is kept beside them.
pub fn words(text: &str, salt: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix((salt.len() as u64).to_be_bytes());
    hash.update(salt);
    hash.update(text);
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let (by, what, about) = ("ann".to_owned(), "incident.note".to_owned(), "inc-a".to_owned());
        Entry { at: Timestamp::from_seconds(1), by, what, about, text: "a fire".to_owned() }
    }

    #[test]
    fn every_part_of_an_entry_and_all_before_it_count() {
        let (one, hash) = (entry(), words("a fire", b"salt"));
        let link = Link::FIRST.then(1, &one, &hash);
        assert_eq!(link, Link::FIRST.then(1, &Entry { text: String::new(), ..entry() }, &hash), "words by their hash");
        let others = [
            link.then(1, &one, &hash),
            Link::FIRST.then(2, &one, &hash),
            Link::FIRST.then(1, &Entry { at: Timestamp::from_seconds(2), ..entry() }, &hash),
            Link::FIRST.then(1, &Entry { by: "anni".to_owned(), what: "ncident.note".to_owned(), ..entry() }, &hash),
            Link::FIRST.then(1, &Entry { about: "inc-b".to_owned(), ..entry() }, &hash),
            Link::FIRST.then(1, &one, &words("no fire", b"salt")),
            Link::FIRST.then(1, &one, &words("a fire", b"pepper")),
        ];
        assert!(others.iter().all(|other| *other != link));
    }
}
