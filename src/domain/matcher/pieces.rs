//! Pieces of words: what regular expressions need that is not a whole word, nor its beginning.
//!
//! A piece may begin at any place of a text, so at each place a bit or two tell whether one
//! can; hardly ever one can. Rejected: an automaton over all pieces, which walks from
//! state to state at every byte and misses the cache with each.

use super::keys::{Number, Space};
use super::prefixes::Prefixes;
use crate::domain::text::head;

/// Bytes the filter looks at.
const GRAM: usize = 4;
/// The filter has so many bits, by the highest bits of a hash.
const BITS: u32 = 16;
type Filter = [u64; 1 << (BITS - 6)];

#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// For each hash of a piece's first bytes, a bit; empty without any.
    filter: Vec<u64>,
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
            self.filter.resize(size_of::<Filter>() / 8, 0);
            let bit = hash(low(bytes));
            if let Some(word) = self.filter.get_mut(bit >> 6) {
                *word |= 1 << (bit & 63);
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
                let hits =
                    (0..5).fold(0, |hits, step| hits | u32::from(may_begin(filter, eight >> (8 * step))) << step);
                if hits != 0 {
                    (0..5).filter(|step| hits >> step & 1 == 1).for_each(|step| at(place + step));
                }
                place += 5;
            }
            for place in place..text.len() {
                if text.get(place..).is_some_and(|rest| may_begin(filter, low(rest))) {
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

/// Whether a piece may begin with the lowest four bytes.
#[inline]
fn may_begin(filter: &Filter, bytes: u64) -> bool {
    let bit = hash(bytes);
    filter.get(bit >> 6).is_some_and(|word| word >> (bit & 63) & 1 == 1)
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
