//! Beginnings of texts: which of many known ones a text has.
//!
//! A beginning is filed under its first letters, six of them if it has so many. A text is
//! asked only when its first letters are some beginning's, and then once for each length
//! such beginnings have: the cost does not grow with their number.

use super::keys::{Keys, Number, Space};
use crate::domain::text::{Head, first_of, head};

/// Bytes looked at first.
const FIRST: [usize; 2] = [4, 6];
/// Of longer beginnings only so many bytes are looked up; who files one compares the rest.
pub(super) const LONGEST: usize = 63;
/// Places for the lengths of beginnings; some for each one that a large set of rules has.
const PLACES: usize = 1 << 13;
/// Bits for beginnings.
const BITS: usize = 1 << 16;

#[derive(Debug, Default)]
pub(super) struct Prefixes {
    /// By the first bytes of beginnings, hashed: which lengths such have, in bytes, one bit
    /// each. Most texts find no bit here and are done.
    lengths: [Vec<u64>; FIRST.len()],
    /// The same for those shorter than that.
    short: u64,
    /// A bit for each beginning, by a hash. Many words share their first letters and are no
    /// longer beginning's.
    some: Vec<u64>,
    keys: Keys,
}

impl Prefixes {
    /// The number of a beginning, counted up from 0; a new one if need be.
    pub(super) fn add(&mut self, space: Space, beginning: &[u8]) -> Number {
        let beginning = beginning.get(..LONGEST).unwrap_or(beginning);
        let first = FIRST.iter().zip(&mut self.lengths).rfind(|(first, _)| **first <= beginning.len());
        let lengths = first.and_then(|(first, lengths)| {
            lengths.resize(PLACES, 0);
            lengths.get_mut(place(head(beginning), *first))
        });
        *lengths.unwrap_or(&mut self.short) |= 1 << beginning.len();
        self.some.resize(BITS / 64, 0);
        let bit = bit(head(beginning));
        if let Some(word) = self.some.get_mut(bit / 64) {
            *word |= 1 << (bit % 64);
        }
        self.keys.number(space, beginning)
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.len() == 0
    }

    /// The numbers of the beginnings that a text has, whose head is at hand.
    #[inline]
    pub(super) fn find(&self, space: Space, head: Head, text: &[u8], mut found: impl FnMut(Number)) {
        let mut lengths = self.short;
        for (first, places) in FIRST.into_iter().zip(&self.lengths) {
            if text.len() >= first {
                lengths |= places.get(place(head, first)).copied().unwrap_or(0);
            }
        }
        while lengths != 0 {
            let length = lengths.trailing_zeros() as usize;
            lengths &= lengths - 1;
            let Some(beginning) = text.get(..length) else { return };
            let head = first_of(head, length);
            let bit = bit(head);
            if self.some.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
                && let Some((number, _)) = self.keys.find(space, beginning)
            {
                found(number);
            }
        }
    }
}

/// The bit of a beginning.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "both halves of a head")]
const fn bit(head: Head) -> usize {
    let mixed = (head as u64) ^ ((head >> 64) as u64).rotate_left(31);
    (mixed.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 48) as usize
}

/// The place of a text's first bytes.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the first bytes of a head")]
const fn place(head: Head, first: usize) -> usize {
    let first = (head as u64) << (64 - 8 * first);
    (first.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 51) as usize
}
