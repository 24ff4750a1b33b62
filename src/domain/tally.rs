//! How many different ones there were, in bounded memory.
//!
//! Exact up to [`Tally::EXACT`]; beyond it `HyperLogLog` with 2^14 registers, which is
//! off by 0.8 % (standard error) however many there are, in 16 kB. The estimate is Ertl's
//! (“New cardinality estimation algorithms for `HyperLogLog` sketches”, 2017, algorithm 6):
//! it needs no table and has no seam between small and large numbers. The order in which
//! they came makes no difference, so a count is the same after a restart.
//!
//! Rejected: a set that stops at 50,000 (what people are told of a storm stands still); a
//! sparse form (the exact set is as small); `HyperLogLog++`, whose tables of corrections
//! Ertl's estimate replaces.

use super::key::{Key, Keys};

const BITS: u32 = 14;
const REGISTERS: usize = 1 << BITS;
/// The longest run of zeros a register can hold, plus one.
const LONGEST: usize = 64 - BITS as usize + 1;

/// Counts different keys.
#[derive(Clone, Debug)]
pub struct Tally(Form);

#[derive(Clone, Debug)]
enum Form {
    Exact(Keys),
    Estimated(Registers),
}

/// What `HyperLogLog` keeps, and how many registers have each value: of that an estimate is
/// made, with every post.
#[derive(Clone, Debug)]
struct Registers {
    values: Box<[u8]>,
    with: [u16; LONGEST + 1],
}

impl Default for Tally {
    fn default() -> Self {
        Self(Form::Exact(Keys::default()))
    }
}

impl Tally {
    /// So many are told apart exactly.
    pub const EXACT: usize = 4096;

    /// Counts one.
    pub fn insert(&mut self, key: Key) {
        match &mut self.0 {
            Form::Exact(keys) => {
                keys.insert(key);
                if keys.len() > Self::EXACT {
                    let mut registers = Registers::empty();
                    for &key in &*keys {
                        registers.note(key);
                    }
                    self.0 = Form::Estimated(registers);
                }
            }
            Form::Estimated(registers) => registers.note(key),
        }
    }

    /// Whether it counted that one; false, too, when it does not know any more.
    pub fn has(&self, key: Key) -> bool {
        matches!(&self.0, Form::Exact(keys) if keys.contains(&key))
    }

    /// Counts what another counted.
    pub fn unite(&mut self, other: &Self) {
        match (&mut self.0, &other.0) {
            (_, Form::Exact(keys)) => keys.iter().for_each(|&key| self.insert(key)),
            (Form::Estimated(registers), Form::Estimated(others)) => registers.unite(others),
            (Form::Exact(_), Form::Estimated(_)) => {
                let mine = std::mem::replace(self, other.clone());
                self.unite(&mine);
            }
        }
    }

    /// How many different ones.
    pub fn count(&self) -> u64 {
        match &self.0 {
            Form::Exact(keys) => keys.len() as u64,
            Form::Estimated(registers) => registers.estimate().max(Self::EXACT as u64 + 1),
        }
    }
}

impl Registers {
    #[expect(clippy::cast_possible_truncation, reason = "2^14")]
    fn empty() -> Self {
        let mut with = [0; LONGEST + 1];
        with[0] = REGISTERS as u16;
        Self { values: vec![0; REGISTERS].into_boxed_slice(), with }
    }

    /// A register keeps the longest run of zeros that any of its keys begins with, plus one.
    fn note(&mut self, key: Key) {
        let bits = key.bits();
        let place = usize::try_from(bits >> (64 - BITS)).unwrap_or(0);
        let run = (bits << BITS | 1 << (BITS - 1)).leading_zeros() + 1;
        self.raise(place, u8::try_from(run).unwrap_or(u8::MAX));
    }

    /// What the union of both would hold.
    fn unite(&mut self, other: &Self) {
        other.values.iter().enumerate().for_each(|(place, &run)| self.raise(place, run));
    }

    fn raise(&mut self, place: usize, run: u8) {
        let Some(value) = self.values.get_mut(place).filter(|value| **value < run) else { return };
        let before = std::mem::replace(value, run);
        if let Some(with) = self.with.get_mut(usize::from(before)) {
            *with -= 1;
        }
        if let Some(with) = self.with.get_mut(usize::from(run)) {
            *with += 1;
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate, positive and far below 2^52"
    )]
    fn estimate(&self) -> u64 {
        let registers = REGISTERS as f64;
        let share = |value: usize| self.with.get(value).map_or(0.0, |&count| f64::from(count) / registers);
        let mut sum = registers * tau(1.0 - share(LONGEST));
        for value in (1..LONGEST).rev() {
            sum = 0.5 * (sum + registers * share(value));
        }
        sum += registers * sigma(share(0));
        (registers * registers / (2.0 * std::f64::consts::LN_2 * sum)).round() as u64
    }
}

/// Ertl's correction for registers that are still empty.
fn sigma(mut share: f64) -> f64 {
    if share >= 1.0 {
        return f64::INFINITY;
    }
    let (mut weight, mut sum) = (1.0, share);
    loop {
        share *= share;
        let before = sum;
        sum += share * weight;
        weight += weight;
        if sum <= before {
            return sum;
        }
    }
}

/// Ertl's correction for registers that are full.
fn tau(mut share: f64) -> f64 {
    if share <= 0.0 || share >= 1.0 {
        return 0.0;
    }
    let (mut weight, mut sum) = (1.0, 1.0 - share);
    loop {
        share = share.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - share).powi(2) * weight;
        if sum >= before {
            return sum / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(numbers: std::ops::Range<u64>) -> Tally {
        let mut tally = Tally::default();
        numbers.for_each(|number| tally.insert(Key::of(&number)));
        tally
    }

    #[test]
    fn small_numbers_are_exact_and_repetitions_do_not_count() {
        let mut tally = counted(0..4096);
        (0..4096_u64).for_each(|number| tally.insert(Key::of(&number)));
        assert_eq!(tally.count(), 4096);
    }

    #[test]
    fn large_numbers_are_off_by_little() {
        let (mut worst, mut squares): (f64, f64) = (0.0, 0.0);
        let sizes = [4097, 5000, 10_000, 30_000, 50_000, 80_000, 200_000, 400_000_u32];
        for (run, size) in (0_u64..).zip(sizes) {
            let counted = counted(run << 32..(run << 32) + u64::from(size)).count();
            let off = f64::from(u32::try_from(counted).unwrap()) / f64::from(size) - 1.0;
            worst = worst.max(off.abs());
            squares += off * off;
        }
        let typical = (squares / 8.0).sqrt();
        assert!(worst < 0.025 && typical < 0.012, "worst {worst}, typical {typical}");
    }

    #[test]
    fn a_union_is_what_one_would_have_counted() {
        for (one, other) in
            [(0..10, 5..20), (0..4000, 3000..6000), (0..10, 0..9000), (0..9000, 5..10), (0..9000, 4000..30_000)]
        {
            let whole = counted(one.start..other.end.max(one.end)).count();
            let mut united = counted(one.clone());
            united.unite(&counted(other.clone()));
            assert_eq!(united.count(), whole, "{one:?} {other:?}");
        }
    }

    #[test]
    fn the_order_makes_no_difference_and_the_count_does_not_shrink() {
        let mut backwards = Tally::default();
        (0..20_000_u64).rev().for_each(|number| backwards.insert(Key::of(&number)));
        assert_eq!(backwards.count(), counted(0..20_000).count());
        let mut tally = Tally::default();
        let mut before = 0;
        for number in 0..20_000_u64 {
            tally.insert(Key::of(&number));
            if number < 4200 || number % 97 == 0 {
                assert!(tally.count() >= before, "at {number}");
                before = tally.count();
            }
        }
    }
}
