//! Rows of numbers: which of many phrases a post contains, in one pass over its words.
//!
//! An automaton over numbers as Aho and Corasick build one over letters: a state is the
//! longest beginning of a phrase that the words just read end with, and one look-up in one
//! table leads to the next. Words that are in no phrase cost a glance at their flags. A
//! hashtag can be read in several ways (`#StBrigids`: two words, or one), so that there may
//! be several states at a place.
//!
//! It says which phrases occur; where, is asked of the words themselves, and only by what
//! needs it (`NEAR`, `in:text`, lists). Replaced: each phrase followed by itself from every
//! place of its first word, which was half of what 100,000 rules cost.

use super::keys::Number;
use super::sightings::{Sightings, Span};

/// It begins a phrase.
pub(super) const BEGINS: u8 = 4;
/// It stands in a phrase, not first.
pub(super) const FOLLOWS: u8 = 16;

/// How far some phrase has been read: a place among the steps or, of one word, the word's
/// number with [`FIRST`].
type State = u32;
const FIRST: State = 1 << 31;
/// No state, no step, no number.
const NONE: u32 = u32::MAX;

/// Phrases, as far as they have more than one word.
#[derive(Debug, Default)]
pub(super) struct Phrases {
    /// A power of two of them, at most half of them taken.
    slots: Vec<Slot>,
    /// Sixteen bits for each step there is room for, by a hash: most neighbours are in no phrase
    /// together, and the bits lie nearer than the slots.
    some: Vec<u64>,
    steps: Vec<Step>,
    /// Where each step comes from, while phrases are added.
    origins: Vec<Origin>,
}

/// The way from a state over a number to a step.
#[derive(Clone, Copy, Debug)]
struct Slot {
    from: State,
    over: Number,
    to: u32,
}

/// A beginning of a phrase, of two words or more.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// The number of the phrase that ends here, if any does.
    phrase: Number,
    /// The longest beginning that this one ends with.
    shorter: State,
    /// The longest of those, itself included, where a phrase ends.
    ending: u32,
}

#[derive(Clone, Copy, Debug)]
struct Origin {
    from: State,
    over: Number,
    words: u32,
}

/// Buffers for reading a post.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// States, and the positions they end at.
    states: Vec<(u32, State)>,
    /// For each step, whether its phrase is among those found.
    seen: Vec<bool>,
    found: Vec<(u32, Span)>,
}

impl Phrases {
    /// The number of a row of at least two numbers; `new` makes one for a new row.
    pub(super) fn number(&mut self, row: &[Number], new: impl FnOnce() -> Number) -> Number {
        let Some((first, others)) = row.split_first() else { return NONE };
        let mut state = first | FIRST;
        for (words, &over) in (2..).zip(others) {
            state = self.to(state, over).unwrap_or_else(|| self.add(Origin { from: state, over, words }));
        }
        let Some(step) = self.steps.get_mut(state as usize) else { return NONE };
        if step.phrase == NONE {
            step.phrase = new();
        }
        step.phrase
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    fn add(&mut self, origin: Origin) -> State {
        let to = u32::try_from(self.steps.len()).unwrap_or(NONE);
        self.steps.push(Step { phrase: NONE, shorter: NONE, ending: NONE });
        self.origins.push(origin);
        if self.slots.len() < 2 * self.steps.len() {
            let empty = Slot { from: NONE, over: NONE, to: NONE };
            let larger = vec![empty; (4 * self.steps.len()).next_power_of_two()];
            let smaller = std::mem::replace(&mut self.slots, larger);
            for slot in smaller.into_iter().filter(|slot| slot.to != NONE) {
                self.place(slot);
            }
        }
        self.place(Slot { from: origin.from, over: origin.over, to });
        to
    }

    fn place(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = hash(slot.from, slot.over);
        while let Some(other) = self.slots.get_mut(at & mask) {
            if other.to == NONE {
                *other = slot;
                return;
            }
            at = at.wrapping_add(1);
        }
    }

    #[inline]
    fn may_go(&self, from: State, over: Number) -> bool {
        let bit = hash(from, over);
        let words = self.some.len().wrapping_sub(1);
        self.some.get(bit >> 6 & words).is_some_and(|word| word >> (bit & 63) & 1 == 1)
    }

    #[inline]
    fn to(&self, from: State, over: Number) -> Option<State> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash(from, over);
        loop {
            let slot = self.slots.get(at & mask)?;
            if slot.from == from && slot.over == over {
                return Some(slot.to);
            }
            if slot.to == NONE {
                return None;
            }
            at = at.wrapping_add(1);
        }
    }

    /// Makes rows findable, now that all are there. `flags` tell which numbers begin one.
    pub(super) fn finish(&mut self, flags: &[u8]) {
        self.steps.shrink_to_fit();
        let words = (self.steps.len() / 4).next_power_of_two();
        self.some = vec![0; words];
        for slot in self.slots.iter().filter(|slot| slot.to != NONE) {
            let bit = hash(slot.from, slot.over);
            if let Some(word) = self.some.get_mut(bit >> 6 & (words - 1)) {
                *word |= 1 << (bit & 63);
            }
        }
        let mut steps: Vec<(u32, Origin)> = (0..).zip(std::mem::take(&mut self.origins)).collect();
        steps.sort_by_key(|(_, origin)| origin.words);
        for (at, origin) in steps {
            let flags = flags.get(origin.over as usize).copied().unwrap_or(0);
            let shorter = self.next(self.shorter(origin.from), origin.over, flags);
            let ending = self.steps.get(shorter as usize).map_or(NONE, |step| step.ending);
            if let Some(step) = self.steps.get_mut(at as usize) {
                let ending = if step.phrase == NONE { ending } else { at };
                *step = Step { shorter, ending, ..*step };
            }
        }
    }

    fn shorter(&self, state: State) -> State {
        self.steps.get(state as usize).map_or(NONE, |step| step.shorter)
    }

    /// The longest beginning that a state and one more number end with.
    #[inline]
    fn next(&self, mut state: State, over: Number, flags: u8) -> State {
        if flags & FOLLOWS != 0 {
            while state != NONE {
                if self.may_go(state, over)
                    && let Some(to) = self.to(state, over)
                {
                    return to;
                }
                state = self.shorter(state);
            }
        }
        if flags & BEGINS == 0 { NONE } else { over | FIRST }
    }

    /// Finds the phrases in a post, whose sightings are sorted.
    pub(super) fn read(&self, sightings: &Sightings, flags: &[u8], walk: &mut Walk) {
        let Walk { states, seen, found: phrases } = walk;
        if seen.len() < self.steps.len() {
            seen.resize(self.steps.len(), false);
        }
        states.clear();
        let mut begin = 0;
        for sighting in sightings.iter() {
            let (over, span) = (sighting.number, sighting.span);
            let flags = flags.get(over as usize).copied().unwrap_or(0);
            if flags & (BEGINS | FOLLOWS) == 0 {
                continue;
            }
            if span.begin != begin {
                begin = span.begin;
                states.retain(|(end, _)| *end >= begin);
            }
            let mut reach = |state: State, states: &mut Vec<(u32, State)>| {
                if state == NONE || states.contains(&(span.end, state)) {
                    return;
                }
                states.push((span.end, state));
                let ending = self.steps.get(state as usize).map_or(NONE, |step| step.ending);
                if ending != NONE {
                    self.note(ending, span, seen, phrases);
                }
            };
            let mut alone = true;
            for at in 0..states.len() {
                if let Some(&(_, state)) = states.get(at).filter(|(end, _)| *end == begin) {
                    reach(self.next(state, over, flags), states);
                    alone = false;
                }
            }
            if alone {
                reach(self.next(NONE, over, flags), states);
            }
        }
    }

    /// The numbers of the phrases found, each once, with where its last word stands.
    pub(super) fn found<'a>(&'a self, walk: &'a mut Walk) -> impl Iterator<Item = (Number, Span)> + use<'a> {
        let Walk { seen, found, .. } = walk;
        found.drain(..).filter_map(|(step, span)| {
            *seen.get_mut(step as usize)? = false;
            Some((self.steps.get(step as usize)?.phrase, span))
        })
    }

    /// Notes a phrase and all others that it ends with.
    fn note(&self, mut step: u32, span: Span, seen: &mut [bool], found: &mut Vec<(u32, Span)>) {
        while let Some(seen) = seen.get_mut(step as usize)
            && !std::mem::replace(seen, true)
        {
            found.push((step, span));
            step = self.steps.get(self.shorter(step) as usize).map_or(NONE, |step| step.ending);
        }
    }
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "any bits of a hash")]
const fn hash(from: State, over: Number) -> usize {
    let key = (from as u64) << 32 | over as u64;
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize
}
