//! Whether a term was there before, in bounded memory.
//!
//! Terms are bits in a filter: what was there is always known, and of a hundred that were
//! not, four seem to have been. So "not seen before" is never a lie, and what is new is
//! missed by one word now and then, where news has several. Four filters of a fortnight,
//! the newest being filled, hold six to eight weeks; a rule with so many words that one is
//! full sooner remembers less, and says so.
//!
//! Rejected: terms by their age in a table (of a hospital's ten thousand words it holds a
//! third, and what it forgot would be called new).

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::condition::stored::{In, Out};
use crate::domain::key::Key;
use crate::domain::time::Timestamp;
use crate::domain::volume::Unreadable;

/// Filters, and the bytes of one.
const FILTERS: usize = 4;
const BYTES: usize = 2560;
/// Bits of a term.
const BITS: u64 = 6;
/// A filter with more terms takes one in a hundred for known that is not.
const FULL: u64 = 2160;
/// A filter is filled for so long.
const FILLED: Duration = Duration::from_hours(14 * 24);

/// Terms that were there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Memory(VecDeque<Filter>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Filter {
    from: Timestamp,
    terms: u64,
    bits: Box<[u8]>,
}

impl Filter {
    fn new(from: Timestamp) -> Self {
        Self { from, terms: 0, bits: vec![0; BYTES].into() }
    }

    fn has(&self, term: u32) -> bool {
        places(term).all(|(byte, bit)| self.bits.get(byte).is_some_and(|bits| bits & bit != 0))
    }

    fn add(&mut self, term: u32) {
        for (byte, bit) in places(term) {
            if let Some(bits) = self.bits.get_mut(byte) {
                *bits |= bit;
            }
        }
        self.terms += 1;
    }
}

/// The bits of a term, as bytes and bits in them.
fn places(term: u32) -> impl Iterator<Item = (usize, u8)> {
    let bits = Key::of(&term).bits();
    let (first, step) = (bits & 0xFFFF_FFFF, bits >> 32 | 1);
    (0..BITS).map(move |n| {
        let place = (first + n * step) % (BYTES as u64 * 8);
        (usize::try_from(place / 8).unwrap_or(0), 1 << (place % 8))
    })
}

impl Memory {
    pub(super) fn new(from: Timestamp) -> Self {
        Self(VecDeque::from([Filter::new(from)]))
    }

    pub(super) fn knows(&self, term: u32) -> bool {
        self.0.iter().any(|filter| filter.has(term))
    }

    /// Remembers a term from a time on.
    pub(super) fn learn(&mut self, term: u32, now: Timestamp) {
        let Some(newest) = self.0.back_mut() else { return };
        if newest.has(term) {
            return;
        }
        if newest.terms < FULL && now < newest.from + FILLED {
            return newest.add(term);
        }
        let mut next = Filter::new(now.max(newest.from));
        next.add(term);
        self.0.push_back(next);
        if self.0.len() > FILTERS {
            self.0.pop_front();
        }
    }

    /// It knows every term since.
    pub(super) fn from(&self) -> Timestamp {
        self.0.front().map(|filter| filter.from).unwrap_or_default()
    }

    pub(super) fn write(&self, out: &mut Out) {
        out.number(self.0.len() as u64);
        for Filter { from, terms, bits } in &self.0 {
            out.time(*from);
            out.number(*terms);
            out.0.extend(bits);
        }
    }

    pub(super) fn read(bytes: &mut In<'_>) -> Result<Self, Unreadable> {
        let filters = (0..bytes.length(FILTERS)?).map(|_| {
            let (from, terms) = (bytes.time()?, bytes.number()?);
            Ok(Filter { from, terms, bits: bytes.bytes(BYTES)?.into() })
        });
        let filters: VecDeque<Filter> = filters.collect::<Result<_, _>>()?;
        if filters.is_empty() { Err(Unreadable) } else { Ok(Self(filters)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_seconds(day * DAY)
    }

    #[test]
    fn what_was_there_is_known_for_six_weeks_at_least() {
        let mut memory = Memory::new(day(0));
        memory.learn(7, day(0));
        for n in 0..60 {
            memory.learn(u32::try_from(n).unwrap() + 1000, day(n));
            assert!(memory.from() <= day((n - 42).max(0)) && memory.from() >= day(n - 57), "{n}");
            assert!(memory.knows(7) || n >= 42);
        }
        assert!(!memory.knows(7), "after two months it is news again");
    }

    #[test]
    fn what_is_used_is_not_forgotten() {
        let mut memory = Memory::new(day(0));
        for n in 0..400 {
            memory.learn(7, day(n));
            assert!(memory.knows(7));
        }
    }

    #[test]
    fn a_busy_rule_remembers_the_newest_and_takes_few_for_known() {
        let mut memory = Memory::new(day(0));
        for n in 0..50_000_u32 {
            memory.learn(n, day(0) + Duration::from_secs(n.into()));
        }
        assert_eq!(memory.0.len(), FILTERS);
        assert!((50_000 - 3 * 2160..50_000).all(|n| memory.knows(n)));
        let wrong = (1_000_000..1_010_000).filter(|&n| memory.knows(n)).count();
        assert!(wrong < 450, "{wrong} of 10,000");
    }
}
