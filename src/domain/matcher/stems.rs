//! Words with wildcards: which shapes a token has.
//!
//! A shape is filed under the letters before its first wildcard. A token is asked only
//! when its first letters begin some shape, and then once for each length such letters have.

use super::keys::{Keys, Number, Space};
use crate::domain::query::term::Wild;
use crate::domain::text::Sigil;

/// Letters looked at first, in bytes.
const HEAD: usize = 4;
/// Letters before a wildcard beyond these are compared, not looked up.
const LONGEST: usize = 63;

/// Shapes, by the letters before their wildcards.
#[derive(Debug, Default)]
pub(super) struct Stems {
    /// By the first letters of stems, hashed: which lengths such stems have, in bytes, one
    /// bit each. Most tokens find no bit here and are done.
    lengths: Vec<u64>,
    /// The same for stems shorter than a head, which only `?` makes.
    short: u64,
    begin: Keys,
    /// For each stem, the shapes filed under it.
    shapes: Vec<Vec<(Wild, Number)>>,
}

/// Places for the lengths of stems; some for each stem that a large set of rules has.
const PLACES: usize = 1 << 14;

impl Stems {
    pub(super) fn add(&mut self, sigil: Sigil, wild: &Wild, number: Number) {
        let stem = cut(wild.stem());
        if stem.len() < HEAD {
            self.short |= 1 << stem.len();
        } else {
            self.lengths.resize(PLACES, 0);
            if let Some(lengths) = self.lengths.get_mut(head(stem)) {
                *lengths |= 1 << stem.len();
            }
        }
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
        let long = if token.len() < HEAD { 0 } else { self.lengths.get(head(token)).copied().unwrap_or(0) };
        let mut lengths = long | self.short;
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
}

fn cut(stem: &str) -> &[u8] {
    let bytes = stem.as_bytes();
    bytes.get(..LONGEST).unwrap_or(bytes)
}

/// The place of the first letters.
fn head(stem: &[u8]) -> usize {
    let head = stem.first_chunk::<HEAD>().map_or(0, |head| u32::from_le_bytes(*head));
    head.wrapping_mul(0x9E37_79B1) as usize >> 18
}
