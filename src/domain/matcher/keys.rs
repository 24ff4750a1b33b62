//! The dictionary: from what stands in a post to the numbers queries are made of.
//!
//! A key is a kind and some bytes. Look-ups touch one slot of an open-addressing table in
//! nearly all cases, and compare the bytes only when the hash agrees, so that no two
//! keys are ever taken for one. The hash needs no secret: keys come from rules, and a
//! post's words are only looked up, never added.

use crate::domain::text::Sigil;

/// A key's number.
pub(super) type Number = u32;

/// What kind of thing a key names; the same bytes of two kinds are two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Space {
    /// A token of a post.
    Token(Sigil),
    /// Tokens of a shape.
    Wild(Sigil),
    /// A word in one spelling.
    Exact,
    /// A word or one of its unusual spellings.
    Fuzzy,
    /// Two words in a row.
    Pair,
    /// A list.
    List,
    /// A piece of text that is not a whole word.
    Piece,
    /// A regular expression without such a piece.
    Loose,
    /// An author.
    Author,
    /// A domain that is linked to.
    Host,
}

impl Space {
    const fn code(self) -> u8 {
        match self {
            Self::Token(sigil) => sigil as u8,
            Self::Wild(sigil) => 16 + sigil as u8,
            Self::Exact => 32,
            Self::Fuzzy => 33,
            Self::Pair => 34,
            Self::List => 35,
            Self::Piece => 36,
            Self::Loose => 37,
            Self::Author => 38,
            Self::Host => 39,
        }
    }
}

/// Keys and their numbers, which count up from 0.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Half of a hash and a number; [`EMPTY`] where none is. A power of two of them.
    slots: Vec<(u32, Number)>,
    /// Kind and bytes of each key.
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

const EMPTY: Number = u32::MAX;

impl Keys {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The number of a key, a new one if need be.
    pub(super) fn number(&mut self, space: Space, key: &[u8]) -> Number {
        if let Some(number) = self.find(space, key) {
            return number;
        }
        let number = u32::try_from(self.ends.len()).unwrap_or(EMPTY);
        self.bytes.push(space.code());
        self.bytes.extend_from_slice(key);
        self.ends.push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
        if self.slots.len() < 2 * self.ends.len() {
            self.grow();
        } else {
            self.place(hash(space.code(), key), number);
        }
        number
    }

    /// The number of a key, if it is known.
    pub(super) fn find(&self, space: Space, key: &[u8]) -> Option<Number> {
        self.find_hashed(space, key, hash(space.code(), key))
    }

    fn find_hashed(&self, space: Space, key: &[u8], hash: u64) -> Option<Number> {
        let mask = self.slots.len().wrapping_sub(1);
        let (tag, mut at) = split(hash);
        loop {
            // An empty dictionary has no slot at all.
            let &(other, number) = self.slots.get(at & mask)?;
            if number == EMPTY {
                return None;
            }
            if other == tag && self.is(number, space, key) {
                return Some(number);
            }
            at += 1;
        }
    }

    fn is(&self, number: Number, space: Space, key: &[u8]) -> bool {
        let known = self.key(number);
        known.first() == Some(&space.code()) && known.get(1..) == Some(key)
    }

    /// Kind and bytes.
    fn key(&self, number: Number) -> &[u8] {
        let place = number as usize;
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        let end = self.ends.get(place).map_or(start, |end| *end as usize);
        self.bytes.get(start..end).unwrap_or_default()
    }

    fn grow(&mut self) {
        self.slots = vec![(0, EMPTY); (4 * self.ends.len()).next_power_of_two().max(16)];
        for number in 0..u32::try_from(self.ends.len()).unwrap_or(EMPTY) {
            let hash = self.key(number).split_first().map_or(0, |(code, key)| hash(*code, key));
            self.place(hash, number);
        }
    }

    fn place(&mut self, hash: u64, number: Number) {
        let mask = self.slots.len() - 1;
        let (tag, mut at) = split(hash);
        while let Some(slot) = self.slots.get_mut(at & mask) {
            if slot.1 == EMPTY {
                *slot = (tag, number);
                return;
            }
            at += 1;
        }
    }
}

/// The half that is compared, and where to begin.
#[allow(clippy::cast_possible_truncation, reason = "the halves of a hash")]
const fn split(hash: u64) -> (u32, usize) {
    ((hash >> 32) as u32, hash as usize)
}

/// Multiply and fold, eight bytes at a time, as in wyhash.
fn hash(code: u8, key: &[u8]) -> u64 {
    const SEED: u64 = 0xA076_1D64_78BD_642F;
    const STEP: u64 = 0xE703_7ED1_A0B4_28DB;
    let mut state = SEED ^ (u64::from(code) << 56) ^ key.len() as u64;
    let mut rest = key;
    while let Some((head, tail)) = rest.split_first_chunk::<8>() {
        state = fold(state ^ u64::from_le_bytes(*head), STEP);
        rest = tail;
    }
    fold(state ^ tail(rest), STEP)
}

/// Up to seven bytes as a number, with three reads instead of a loop.
fn tail(bytes: &[u8]) -> u64 {
    let at = |place: usize| bytes.get(place).map_or(0, |&byte| u64::from(byte));
    match bytes.first_chunk::<4>() {
        Some(head) => {
            let last = bytes.last_chunk::<4>().map_or(0, |last| u32::from_le_bytes(*last));
            u64::from(u32::from_le_bytes(*head)) | u64::from(last) << 32
        }
        None => at(0) | at(bytes.len() / 2) << 8 | at(bytes.len().saturating_sub(1)) << 16,
    }
}

const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    #[allow(clippy::cast_possible_truncation, reason = "both halves are used")]
    {
        product as u64 ^ (product >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_length_and_kind_are_told_apart() {
        let mut keys = Keys::default();
        let word = Space::Token(Sigil::Word);
        assert_eq!(keys.find(word, b"a"), None);
        let texts: Vec<String> = (0..20_000_u32).map(|n| "ab".repeat(n as usize % 12) + &n.to_string()).collect();
        for (n, text) in texts.iter().enumerate() {
            assert_eq!(keys.number(word, text.as_bytes()) as usize, 2 * n);
            assert_eq!(keys.number(Space::Token(Sigil::Tag), text.as_bytes()) as usize, 2 * n + 1);
        }
        for (n, text) in texts.iter().enumerate() {
            assert_eq!(keys.find(word, text.as_bytes()), u32::try_from(2 * n).ok());
            assert_eq!(keys.find(Space::Exact, text.as_bytes()), None);
        }
        assert_eq!(keys.len(), 40_000);
    }
}
