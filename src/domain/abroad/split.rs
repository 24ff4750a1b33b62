//! From what is asked to rules of X that are short enough.

use std::collections::BTreeSet;

use super::widen::Wide;

/// One rule of X.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    text: String,
    /// What a post must have, each as X reads it.
    parts: BTreeSet<String>,
}

impl Piece {
    fn of(wide: &Wide) -> Self {
        let parts = match wide {
            Wide::All(parts) => parts.iter().map(inner).collect(),
            other => BTreeSet::from([inner(other)]),
        };
        Self { text: text(wide), parts }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// How much it asks for; less is wider.
    pub(super) fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Whether it takes whatever the other one takes.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.parts.is_subset(&other.parts)
    }
}

/// As X reads it.
fn text(wide: &Wide) -> String {
    match wide {
        Wide::Anything | Wide::Nothing => String::new(), // no piece is made of them
        Wide::Atom(atom) => atom.text.clone(),
        Wide::All(parts) => parts.iter().map(inner).collect::<Vec<_>>().join(" "),
        Wide::Any(parts) => parts.iter().map(inner).collect::<Vec<_>>().join(" OR "),
    }
}

/// The same as a part of something.
fn inner(wide: &Wide) -> String {
    match wide {
        Wide::All(_) | Wide::Any(_) => format!("({})", text(wide)),
        other => text(other),
    }
}

fn length(wide: &Wide) -> usize {
    text(wide).chars().count()
}

/// Rules of at most so many characters, and at most so many of them; what is too long is asked for more widely. Gives
/// what is asked then, and whether that is more than it was. None when nothing is left to ask for.
pub(super) fn fit(mut wide: Wide, chars: usize, most: usize) -> Option<(Wide, Vec<Piece>, bool)> {
    let mut shortened = false;
    loop {
        if !wide.stands_alone() {
            return None;
        }
        let mut pieces = Vec::new();
        if part(&wide, chars, most, &mut pieces).is_some() {
            return Some((wide, pieces, shortened));
        }
        wide = wider(&wide)?;
        shortened = true;
    }
}

/// Parts it into rules; none when that takes too many, or cannot be done.
fn part(wide: &Wide, chars: usize, most: usize, pieces: &mut Vec<Piece>) -> Option<()> {
    if length(wide) <= chars {
        pieces.push(Piece::of(wide));
        return (pieces.len() <= most).then_some(());
    }
    match wide {
        Wide::Anything | Wide::Nothing | Wide::Atom(_) => None,
        Wide::Any(parts) => {
            let (mut together, mut so_far): (Vec<Wide>, usize) = (Vec::new(), 0);
            for one in parts {
                let more = inner(one).chars().count() + " OR ".len();
                if so_far + more > chars && !together.is_empty() {
                    part(&Wide::any(std::mem::take(&mut together)), chars, most, pieces)?;
                    so_far = 0;
                }
                together.push(one.clone());
                so_far += more;
            }
            // One alternative alone may be too long.
            part(&Wide::any(together), chars, most, pieces)
        }
        Wide::All(parts) => {
            // The longest choice is parted in the middle.
            let choices = parts.iter().enumerate().filter(|(_, part)| matches!(part, Wide::Any(_)));
            let (place, longest) = choices.max_by_key(|(_, part)| length(part))?;
            let Wide::Any(alternatives) = longest else { return None };
            let (first, second) = alternatives.split_at_checked(alternatives.len() / 2)?;
            for half in [first, second] {
                let others =
                    parts.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, part)| part.clone());
                let half = Wide::any(half.iter().cloned());
                part(&Wide::all([half].into_iter().chain(others)), chars, most, pieces)?;
            }
            Some(())
        }
    }
}

/// The same with the longest part left out that does not name the site, if there is another.
fn wider(wide: &Wide) -> Option<Wide> {
    match wide {
        Wide::Anything | Wide::Nothing | Wide::Atom(_) => None,
        Wide::All(parts) => {
            let without = |place: usize| {
                let others = parts.iter().enumerate().filter(|(other, _)| *other != place);
                Wide::all(others.map(|(_, part)| part.clone()))
            };
            let mut places: Vec<usize> = (0..parts.len()).collect();
            places.sort_by_key(|place| parts.get(*place).map(|part| (part.is_ours(), std::cmp::Reverse(length(part)))));
            places.into_iter().map(without).find(Wide::stands_alone)
        }
        Wide::Any(parts) => {
            let longest = parts.iter().enumerate().filter(|(_, part)| matches!(part, Wide::All(_)));
            let (place, longest) = longest.max_by_key(|(_, part)| length(part))?;
            let less = wider(longest)?;
            let others = parts.iter().enumerate().filter(|(other, _)| *other != place).map(|(_, part)| part.clone());
            Some(Wide::any(others.chain([less])))
        }
    }
}

/// Pieces joined as long as there is room: a search costs a request, whatever it asks.
pub(super) fn packed(pieces: Vec<Piece>, chars: usize) -> Vec<String> {
    let mut searches: Vec<String> = Vec::new();
    for piece in pieces {
        let text = format!("({})", piece.text);
        match searches.last_mut() {
            Some(last) if last.chars().count() + " OR ".len() + text.chars().count() <= chars => {
                last.push_str(" OR ");
                last.push_str(&text);
            }
            // A piece alone does without its brackets, so it fits.
            _ if text.chars().count() > chars => searches.push(piece.text),
            _ => searches.push(text),
        }
    }
    searches
}
