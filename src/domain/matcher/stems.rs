//! Words with wildcards: which shapes a token has.
//!
//! A shape is filed under the letters before its first wildcard. A token is asked only
//! when its first letters begin some shape, and then once for each length such letters have.

use super::keys::{Keys, Number, Space};
use crate::domain::query::term::Wild;
use crate::domain::text::Sigil;

/// Letters looked at first, in bytes.
const HEAD: usize = 3;
/// Letters before a wildcard beyond these are compared, not looked up.
const LONGEST: usize = 63;

/// Shapes, by the letters before their wildcards.
#[derive(Debug, Default)]
pub(super) struct Stems {
    /// First letters of stems, hashed; one bit each.
    heads: Vec<u64>,
    /// Lengths that stems have, in bytes; one bit each.
    lengths: u64,
    begin: Keys,
    /// For each stem, the shapes filed under it.
    shapes: Vec<Vec<(Wild, Number)>>,
}

const HEAD_BITS: usize = 1 << 15;

impl Stems {
    pub(super) fn add(&mut self, sigil: Sigil, wild: &Wild, number: Number) {
        let stem = cut(wild.stem());
        self.heads.resize(HEAD_BITS / 64, 0);
        let bit = head(stem);
        if let Some(bits) = self.heads.get_mut(bit / 64) {
            *bits |= 1 << (bit % 64);
        }
        self.lengths |= 1 << stem.len();
        let place = self.begin.number(Space::Token(sigil), stem) as usize;
        if self.shapes.len() <= place {
            self.shapes.resize(place + 1, Vec::new());
        }
        if let Some(shapes) = self.shapes.get_mut(place) {
            shapes.push((wild.clone(), number));
        }
    }

    /// Whether there is no shape at all.
    pub(super) fn is_empty(&self) -> bool {
        self.shapes.is_empty()
    }

    /// The numbers of all shapes that a token has.
    pub(super) fn find(&self, sigil: Sigil, token: &[u8], mut found: impl FnMut(Number)) {
        if !self.may_begin(token) {
            return;
        }
        let mut lengths = self.lengths;
        while lengths != 0 {
            let length = lengths.trailing_zeros() as usize;
            lengths &= lengths - 1;
            let Some(stem) = token.get(..length) else { return };
            let Some(place) = self.begin.find(Space::Token(sigil), stem) else { continue };
            for (wild, number) in self.shapes.get(place as usize).into_iter().flatten() {
                if wild.is_stem() && wild.stem().len() <= LONGEST
                    || std::str::from_utf8(token).is_ok_and(|token| wild.finds(token))
                {
                    found(*number);
                }
            }
        }
    }

    fn may_begin(&self, token: &[u8]) -> bool {
        let has = |length: usize| {
            let bit = head(token.get(..length).unwrap_or(token));
            self.heads.get(bit / 64).is_some_and(|bits| bits >> (bit % 64) & 1 == 1)
        };
        // Stems shorter than a head are rare: only `?` makes them.
        !self.heads.is_empty() && (has(HEAD) || self.lengths & 0b110 != 0 && (has(1) || has(2)))
    }
}

fn cut(stem: &str) -> &[u8] {
    let bytes = stem.as_bytes();
    bytes.get(..LONGEST).unwrap_or(bytes)
}

/// The bit of the first letters.
fn head(stem: &[u8]) -> usize {
    let head = stem.iter().take(HEAD).fold(0_usize, |head, &byte| head << 8 | usize::from(byte));
    (head ^ head >> 9).wrapping_mul(0x9E37) >> 2 & (HEAD_BITS - 1)
}
