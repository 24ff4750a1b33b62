//! What queries know of one post: the numbers that occur in it, and where.

use super::keys::Number;

/// Positions a number covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) begin: u32,
    pub(super) end: u32,
}

/// A number at a place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting {
    pub(super) number: Number,
    pub(super) span: Span,
    /// The next one in its chain, by place in the list; [`NONE`] at the end.
    next: u32,
}

const NONE: u32 = u32::MAX;
const LEAST_HEADS: usize = 256;

/// The sightings of one post, by place and by number. Buffers are reused.
#[derive(Debug, Default)]
pub(super) struct Sightings {
    /// In the order of their beginnings.
    list: Vec<Sighting>,
    /// Where each chain of numbers begins, by the number's last bits.
    heads: Vec<u32>,
    /// Each number once.
    distinct: Vec<Number>,
    in_order: bool,
}

impl Sightings {
    pub(super) fn clear(&mut self) {
        self.list.clear();
        self.in_order = true;
    }

    pub(super) fn push(&mut self, number: Number, span: Span) {
        self.in_order &= self.list.last().is_none_or(|last| last.span.begin <= span.begin);
        self.list.push(Sighting { number, span, next: NONE });
    }

    /// What was pushed, in the order of the post after [`Sightings::sort`].
    pub(super) fn iter(&self) -> impl Iterator<Item = &Sighting> {
        self.list.iter()
    }

    /// Puts what was pushed in the order of the post.
    pub(super) fn sort(&mut self) {
        if !self.in_order {
            self.list.sort_unstable_by_key(|sighting| sighting.span);
            self.in_order = true;
        }
    }

    /// Makes what was pushed findable. What has a place among words was sorted before; what
    /// has none may have been pushed after that.
    pub(super) fn index(&mut self) {
        let heads = self.list.len().next_power_of_two().max(LEAST_HEADS);
        self.heads.clear();
        self.heads.resize(heads, NONE);
        self.distinct.clear();
        // From the last to the first, so that chains run forwards.
        for at in (0..self.list.len()).rev() {
            let Some(number) = self.list.get(at).map(|sighting| sighting.number) else { continue };
            let head = self.heads.get(number as usize & (heads - 1)).copied().unwrap_or(NONE);
            if self.chain(head).all(|(_, sighting)| sighting.number != number) {
                self.distinct.push(number);
            }
            if let Some(sighting) = self.list.get_mut(at) {
                sighting.next = head;
            }
            if let Some(head) = self.heads.get_mut(number as usize & (heads - 1)) {
                *head = u32::try_from(at).unwrap_or(NONE);
            }
        }
    }

    /// Each number once, in no order that matters.
    pub(super) fn distinct(&self) -> &[Number] {
        &self.distinct
    }

    /// Whether a number occurs.
    #[inline]
    pub(super) fn has(&self, number: Number) -> bool {
        self.of(number).next().is_some()
    }

    /// Where a number occurs, in the order of the post.
    pub(super) fn of(&self, number: Number) -> impl Iterator<Item = Span> {
        self.placed(number).map(|(_, span)| span)
    }

    /// Where a number occurs, with the places in the list of sightings.
    pub(super) fn placed(&self, number: Number) -> impl Iterator<Item = (usize, Span)> {
        let head = self.heads.get(number as usize & self.heads.len().wrapping_sub(1)).copied().unwrap_or(NONE);
        let chain = self.chain(head).filter(move |(_, sighting)| sighting.number == number);
        chain.map(|(at, sighting)| (at, sighting.span))
    }

    /// Calls `found` for the occurrences of a number that begin at a position, which lies after
    /// the sighting at a place: with their places and where they end.
    #[inline]
    pub(super) fn after(&self, place: usize, begin: u32, number: Number, mut found: impl FnMut(usize, u32)) {
        for (at, sighting) in (place + 1..).zip(self.list.get(place + 1..).unwrap_or_default()) {
            if sighting.span.begin > begin {
                break;
            }
            if sighting.span.begin == begin && sighting.number == number {
                found(at, sighting.span.end);
            }
        }
    }

    fn chain(&self, head: u32) -> impl Iterator<Item = (usize, &Sighting)> {
        let mut at = head;
        std::iter::from_fn(move || {
            let place = at as usize;
            let sighting = self.list.get(place)?;
            at = sighting.next;
            Some((place, sighting))
        })
    }
}

/// The spans of both sides that have one of the other side at most `distance` away and
/// without overlap; with `ordered`, the second side must come after the first.
///
/// Both sides are sorted by their beginnings. Takes time in proportion to the sorted sides.
pub(super) fn near(first: &[Span], second: &[Span], distance: u32, ordered: bool, found: &mut Vec<Span>) {
    let (of_first, of_second) = (Ends::of(first), Ends::of(second));
    found.extend(
        first
            .iter()
            .filter(|span| begins_after(second, **span, distance) || !ordered && of_second.before(**span, distance)),
    );
    found.extend(
        second
            .iter()
            .filter(|span| of_first.before(**span, distance) || !ordered && begins_after(first, **span, distance)),
    );
    found.sort_unstable();
}

/// Whether a span begins at most so far after the end of another.
fn begins_after(sorted: &[Span], span: Span, distance: u32) -> bool {
    let next = sorted.partition_point(|other| other.begin < span.end);
    sorted.get(next).is_some_and(|next| next.begin - span.end <= distance)
}

/// The ends of spans, sorted; they nearly always are already.
enum Ends<'a> {
    Sorted(&'a [Span]),
    Own(Vec<Span>),
}

impl<'a> Ends<'a> {
    fn of(spans: &'a [Span]) -> Self {
        if spans.is_sorted_by_key(|span| span.end) {
            return Self::Sorted(spans);
        }
        let mut own = spans.to_vec();
        own.sort_unstable_by_key(|span| span.end);
        Self::Own(own)
    }

    /// Whether one ends at most so far before the beginning of a span.
    fn before(&self, span: Span, distance: u32) -> bool {
        let ends: &[Span] = match self {
            Self::Sorted(spans) => spans,
            Self::Own(spans) => spans,
        };
        let last = ends.partition_point(|other| other.end <= span.begin).checked_sub(1);
        last.and_then(|last| ends.get(last)).is_some_and(|last| span.begin - last.end <= distance)
    }
}
