//! Words with wildcards: which shapes a token has. A shape is filed under the letters before
//! its first wildcard.

use super::keys::{Number, Space};
use super::prefixes::{LONGEST, Prefixes};
use crate::domain::query::term::Wild;
use crate::domain::text::{Head, Sigil};

/// Shapes, by the letters before their wildcards.
#[derive(Debug, Default)]
pub(super) struct Stems {
    stems: Prefixes,
    /// For each stem, the shapes filed under it.
    shapes: Vec<Vec<(Wild, Number)>>,
}

impl Stems {
    pub(super) fn add(&mut self, sigil: Sigil, wild: &Wild, number: Number) {
        let place = self.stems.add(Space::token(sigil), wild.stem().as_bytes()) as usize;
        if self.shapes.len() <= place {
            self.shapes.resize(place + 1, Vec::new());
        }
        if let Some(shapes) = self.shapes.get_mut(place) {
            shapes.push((wild.clone(), number));
        }
    }

    /// Whether there is no shape at all.
    pub(super) fn is_empty(&self) -> bool {
        self.stems.is_empty()
    }

    /// The numbers of all shapes that a token has.
    #[inline]
    pub(super) fn find(&self, sigil: Sigil, head: Head, token: &[u8], mut found: impl FnMut(Number)) {
        self.stems.find(Space::token(sigil), head, token, |stem| {
            for (wild, number) in self.shapes.get(stem as usize).into_iter().flatten() {
                if wild.is_stem() && wild.stem().len() <= LONGEST
                    || std::str::from_utf8(token).is_ok_and(|token| wild.finds(token))
                {
                    found(*number);
                }
            }
        });
    }
}
