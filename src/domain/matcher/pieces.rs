//! Pieces of words: what regular expressions need that is not a whole word, nor its beginning.
//!
//! A piece may begin at any place of a text, so at each place a byte tells whether one can;
//! hardly ever one can. Rejected: an automaton over all pieces, which walks from state to
//! state at every byte and misses the cache with each.

use super::keys::{Number, Space};
use super::prefixes::Prefixes;
use crate::domain::text::head;

/// Bytes the filter looks at.
const GRAM: usize = 4;
/// The filter has a place for each value of so many bits of a hash.
const BITS: u32 = 14;
type Filter = [u8; 1 << BITS];

#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// For each hash of a piece's first bytes, 1; empty without any.
    filter: Vec<u8>,
    /// For each byte, whether a piece shorter than [`GRAM`] begins with it; empty without any.
    short: Vec<bool>,
    begin: Prefixes,
    /// For each beginning, the pieces that have it.
    whole: Vec<Vec<(Box<str>, Number)>>,
}

impl Pieces {
    pub(super) fn add(&mut self, piece: &str, number: Number) {
        let bytes = piece.as_bytes();
        if bytes.len() < GRAM {
            self.short.resize(256, false);
            if let Some(begins) = bytes.first().and_then(|first| self.short.get_mut(usize::from(*first))) {
                *begins = true;
            }
        } else {
            self.filter.resize(size_of::<Filter>(), 0);
            if let Some(some) = self.filter.get_mut(hash(low(bytes))) {
                *some = 1;
            }
        }
        let place = self.begin.add(Space::PIECE, bytes) as usize;
        if self.whole.len() <= place {
            self.whole.resize(place + 1, Vec::new());
        }
        if let Some(pieces) = self.whole.get_mut(place) {
            pieces.push((piece.into(), number));
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.begin.is_empty()
    }

    /// The numbers of the pieces in a text; of a flood of one, not each.
    pub(super) fn find(&self, text: &[u8], mut found: impl FnMut(Number)) {
        let mut last = Number::MAX;
        let mut at = |place| {
            let rest = text.get(place..).unwrap_or_default();
            self.begin.find(Space::PIECE, head(rest), rest, |beginning| {
                for (piece, number) in self.whole.get(beginning as usize).into_iter().flatten() {
                    if rest.starts_with(piece.as_bytes()) && std::mem::replace(&mut last, *number) != *number {
                        found(*number);
                    }
                }
            });
        };
        if let Ok(filter) = <&Filter>::try_from(self.filter.as_slice()) {
            let mut place = 0;
            // Five grams of eight bytes at a time, and one question about them all.
            while let Some(eight) = text.get(place..).and_then(|rest| rest.first_chunk()) {
                let eight = u64::from_le_bytes(*eight);
                let grams = [0, 8, 16, 24, 32].map(|step| some(filter, eight >> step));
                if grams.iter().fold(0, |any, some| any | some) != 0 {
                    (place..).zip(grams).filter(|(_, some)| *some != 0).for_each(|(place, _)| at(place));
                }
                place += 5;
            }
            for place in place..text.len() {
                if text.get(place..).is_some_and(|rest| some(filter, low(rest)) != 0) {
                    at(place);
                }
            }
        }
        if !self.short.is_empty() {
            for (place, byte) in text.iter().enumerate() {
                if self.short.get(usize::from(*byte)) == Some(&true) {
                    at(place);
                }
            }
        }
    }
}

/// 1 if a piece may begin with the lowest four bytes.
#[inline]
fn some(filter: &Filter, bytes: u64) -> u8 {
    filter.get(hash(bytes)).copied().unwrap_or(0)
}

/// Knuth's multiplicative hash of the lowest four bytes.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "the lowest four bytes are meant")]
const fn hash(bytes: u64) -> usize {
    ((bytes as u32).wrapping_mul(0x9E37_79B1) >> (32 - BITS)) as usize
}

/// The first bytes, lowest first.
#[allow(clippy::cast_possible_truncation, reason = "the first bytes of a head")]
fn low(text: &[u8]) -> u64 {
    head(text) as u64
}
