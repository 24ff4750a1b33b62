//! The dictionary: from what stands in a post to the numbers queries are made of.
//!
//! A key is a kind and some bytes. A look-up touches one slot of an open-addressing table
//! in nearly all cases, and that slot holds the key itself if it has no more than 16 bytes,
//! as most words have: no two keys are ever taken for one, and no other memory is read to
//! make sure of it. The hash needs no secret: keys come from rules, and a post's words
//! are only looked up, never added.

use crate::domain::text::{HEAD, Head, Sigil, head};

/// A key's number.
pub(super) type Number = u32;

/// What kind of thing a key names; the same bytes of two kinds are two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Space(u8);

impl Space {
    /// A word in one spelling.
    pub(super) const EXACT: Self = Self(32);
    /// A word or one of its unusual spellings.
    pub(super) const FUZZY: Self = Self(33);
    /// A list.
    pub(super) const LIST: Self = Self(35);
    /// A piece of text that is not a whole word.
    pub(super) const PIECE: Self = Self(36);
    /// A regular expression without such a piece.
    pub(super) const LOOSE: Self = Self(37);
    /// An author.
    pub(super) const AUTHOR: Self = Self(38);
    /// A domain that is linked to.
    pub(super) const HOST: Self = Self(39);

    /// A token of a post.
    pub(super) const fn token(sigil: Sigil) -> Self {
        Self(sigil as u8)
    }

    /// Tokens of a shape.
    pub(super) const fn wild(sigil: Sigil) -> Self {
        Self(16 + sigil as u8)
    }
}

/// Keys and their numbers, which count up from 0.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// A power of two of them, at most half of them taken.
    slots: Vec<Slot>,
    /// What keys have beyond their heads, and where that of each ends.
    tails: Vec<u8>,
    ends: Vec<u32>,
}

/// A key, as far as it fits beside its number.
#[derive(Clone, Copy, Debug)]
struct Slot {
    head: Head,
    /// [`EMPTY`] where no key is.
    number: Number,
    /// In bytes.
    length: u16,
    space: Space,
    flags: u8,
}

const EMPTY: Number = u32::MAX;

impl Keys {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The number of a key, a new one if need be.
    pub(super) fn number(&mut self, space: Space, key: &[u8]) -> Number {
        if let Some((number, _)) = self.find(space, key) {
            return number;
        }
        self.tails.extend_from_slice(tail(key));
        let number = self.nameless();
        if self.slots.len() < 2 * self.ends.len() {
            self.grow();
        }
        let length = u16::try_from(key.len()).unwrap_or(u16::MAX);
        self.place(Slot { head: head(key), number, length, space, flags: 0 });
        number
    }

    /// A new number, of something that has no key.
    pub(super) fn nameless(&mut self) -> Number {
        let number = u32::try_from(self.ends.len()).unwrap_or(EMPTY);
        self.ends.push(u32::try_from(self.tails.len()).unwrap_or(u32::MAX));
        number
    }

    /// The number and the flags of a key, if it is known.
    pub(super) fn find(&self, space: Space, key: &[u8]) -> Option<(Number, u8)> {
        self.find_headed(space, head(key), key)
    }

    /// The same, when the key's head is at hand.
    #[allow(clippy::inline_always, reason = "the calls would be half of what a word costs")]
    #[inline(always)]
    pub(super) fn find_headed(&self, space: Space, head: Head, key: &[u8]) -> Option<(Number, u8)> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash(space, head, key.len(), tail(key));
        loop {
            // An empty dictionary has no slot at all.
            let slot = self.slots.get(at & mask)?;
            if slot.number == EMPTY {
                return None;
            }
            if slot.head == head
                && usize::from(slot.length) == key.len()
                && slot.space == space
                && (key.len() <= HEAD || self.tail_of(slot.number) == tail(key))
            {
                return Some((slot.number, slot.flags));
            }
            at = at.wrapping_add(1);
        }
    }

    /// Lets [`Keys::find`] tell the flags of each number, now that all keys are there.
    pub(super) fn finish(&mut self, flags: &[u8]) {
        self.tails.shrink_to_fit();
        self.ends.shrink_to_fit();
        for slot in &mut self.slots {
            slot.flags = flags.get(slot.number as usize).copied().unwrap_or(0);
        }
    }

    fn tail_of(&self, number: Number) -> &[u8] {
        let place = number as usize;
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        let end = self.ends.get(place).map_or(start, |end| *end as usize);
        self.tails.get(start..end).unwrap_or_default()
    }

    fn grow(&mut self) {
        let empty = Slot { head: 0, number: EMPTY, length: 0, space: Space(0), flags: 0 };
        let larger = vec![empty; (4 * self.ends.len()).next_power_of_two().max(16)];
        for slot in std::mem::replace(&mut self.slots, larger) {
            if slot.number != EMPTY {
                self.place(slot);
            }
        }
    }

    fn place(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = hash(slot.space, slot.head, slot.length.into(), self.tail_of(slot.number));
        while let Some(other) = self.slots.get_mut(at & mask) {
            if other.number == EMPTY {
                *other = slot;
                return;
            }
            at = at.wrapping_add(1);
        }
    }
}

fn tail(key: &[u8]) -> &[u8] {
    key.get(HEAD..).unwrap_or_default()
}

/// Multiply and fold, as in wyhash; most keys are no longer than their heads.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the halves of a number; any bits of a hash")]
fn hash(space: Space, head: Head, length: usize, tail: &[u8]) -> usize {
    const SEED: u64 = 0xA076_1D64_78BD_642F;
    const STEP: u64 = 0xE703_7ED1_A0B4_28DB;
    let state = SEED ^ (u64::from(space.0) << 56) ^ length as u64;
    let state = fold(state ^ head as u64, STEP ^ (head >> 64) as u64);
    if tail.is_empty() {
        return state as usize;
    }
    tail.chunks(HEAD)
        .map(crate::domain::text::head)
        .fold(state, |state, head| fold(state ^ head as u64, STEP ^ (head >> 64) as u64)) as usize
}

#[inline]
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
        let word = Space::token(Sigil::Word);
        assert_eq!(keys.find(word, b"a"), None);
        let texts: Vec<String> = (0..20_000_u32).map(|n| "ab".repeat(n as usize % 12) + &n.to_string()).collect();
        for (n, text) in texts.iter().enumerate() {
            assert_eq!(keys.number(word, text.as_bytes()) as usize, 2 * n);
            assert_eq!(keys.number(Space::token(Sigil::Tag), text.as_bytes()) as usize, 2 * n + 1);
        }
        for (n, text) in texts.iter().enumerate() {
            assert_eq!(keys.find(word, text.as_bytes()), u32::try_from(2 * n).ok().map(|number| (number, 0)));
            assert_eq!(keys.find(Space::EXACT, text.as_bytes()), None);
        }
        assert_eq!(keys.len(), 40_000);
    }
}
