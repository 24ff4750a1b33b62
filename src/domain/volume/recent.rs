//! The last half day, bin by bin, and its sums over the windows.
//!
//! Three bytes a minute: counts get wider than one byte only for streams that need it, and
//! forecasts are far from being sure of their fourth digit.
//! Rejected: to keep what was expected in sums of five minutes, which moved alarms by a
//! minute when the edge of a window passed an outage.

use super::scale::Scale;

/// Counts and expectations of the last half day.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recent {
    /// The next bin's place in the ring.
    pub(super) place: usize,
    pub(super) counts: Counts,
    pub(super) expected: Box<[Rough]>,
    pub(super) sums: [Sum; 4],
}

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sum {
    pub(super) seen: f64,
    pub(super) expected: f64,
}

/// A forecast to within a thousandth: the upper half of a 32-bit number without its sign and the
/// highest bit of its exponent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rough(pub(super) u16);

/// Counts of bins.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Counts {
    Byte(Box<[u8]>),
    Narrow(Box<[u16]>),
    Wide(Box<[f64]>),
}

impl Recent {
    pub(super) fn new(scale: &Scale) -> Self {
        Self {
            place: 0,
            counts: Counts::none(scale.remembered),
            expected: vec![Rough::default(); scale.remembered].into(),
            sums: [Sum::default(); 4],
        }
    }

    /// What the windows would hold with one more bin.
    pub(super) fn with(&self, scale: &Scale, count: f64, expected: f64) -> [Sum; 4] {
        let mut sums = self.sums;
        let expected = Rough::of(expected).get(); // as it will leave them
        for (sum, &window) in sums.iter_mut().zip(&scale.windows) {
            // The bin that leaves is `window` bins older than the one that comes.
            sum.seen += count - self.counts.get(self.back(window));
            sum.expected += expected - self.expected(window);
        }
        sums
    }

    /// Takes a bin in; `sums` are [`Recent::with`] it.
    pub(super) fn push(&mut self, scale: &Scale, count: f64, expected: f64, sums: [Sum; 4]) {
        self.sums = sums;
        self.counts.set(self.place, count);
        self.expected.get_mut(self.place).into_iter().for_each(|slot| *slot = Rough::of(expected));
        self.place += 1;
        if self.place == self.counts.len() {
            self.place = 0;
            self.add_up(scale); // or rounding would add up instead
        }
    }

    /// Adds late posts to a bin that is `age` bins older than the last one taken in.
    pub(super) fn add_late(&mut self, scale: &Scale, age: usize, posts: f64) {
        let place = self.back(age + 1);
        self.counts.set(place, self.counts.get(place) + posts);
        for (sum, &window) in self.sums.iter_mut().zip(&scale.windows) {
            if age < window {
                sum.seen += posts;
            }
        }
    }

    /// Takes out all posts; what was expected stays.
    pub(super) fn forget_posts(&mut self) {
        self.counts = Counts::none(self.counts.len());
        self.sums.iter_mut().for_each(|sum| sum.seen = 0.0);
    }

    /// The count of a bin `age` bins older than the last one taken in.
    pub(super) fn count(&self, age: usize) -> f64 {
        self.counts.get(self.back(age + 1))
    }

    /// What was expected of the bin `age` bins before the next one.
    pub(super) fn expected(&self, age: usize) -> f64 {
        self.expected.get(self.back(age)).copied().unwrap_or_default().get()
    }

    /// The place `age` bins before the next one.
    fn back(&self, age: usize) -> usize {
        let length = self.counts.len();
        (self.place + length - age % length) % length
    }

    fn add_up(&mut self, scale: &Scale) {
        for (which, &window) in scale.windows.iter().enumerate() {
            let expected = (1..=window).map(|age| self.expected(age)).sum();
            let seen = (1..=window).map(|age| self.counts.get(self.back(age))).sum();
            if let Some(sum) = self.sums.get_mut(which) {
                *sum = Sum { seen, expected };
            }
        }
    }
}

impl Rough {
    /// What is cut off of a mantissa.
    const CUT: u32 = 14;
    /// Of exponents so many are left out: below 2^-64 all is nothing, and 2^63 is the most.
    const LEAST: u32 = 63 << (23 - Self::CUT);

    #[allow(clippy::cast_possible_truncation, reason = "a forecast has no more digits")]
    pub(super) fn of(forecast: f64) -> Self {
        let rounded = (forecast as f32).to_bits().saturating_add(1 << (Self::CUT - 1)) >> Self::CUT;
        Self(u16::try_from(rounded.saturating_sub(Self::LEAST)).unwrap_or(u16::MAX))
    }

    pub(super) fn get(self) -> f64 {
        let bits = (u32::from(self.0) + Self::LEAST) << Self::CUT;
        if self.0 == 0 { 0.0 } else { f32::from_bits(bits).into() }
    }
}

impl Counts {
    /// Of so many bins without posts.
    fn none(bins: usize) -> Self {
        Self::Byte(vec![0; bins].into())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Byte(counts) => counts.len(),
            Self::Narrow(counts) => counts.len(),
            Self::Wide(counts) => counts.len(),
        }
    }

    pub(super) fn get(&self, place: usize) -> f64 {
        match self {
            Self::Byte(counts) => counts.get(place).copied().unwrap_or_default().into(),
            Self::Narrow(counts) => counts.get(place).copied().unwrap_or_default().into(),
            Self::Wide(counts) => counts.get(place).copied().unwrap_or_default(),
        }
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::float_cmp,
        reason = "asks whether a cast changes the number"
    )]
    pub(super) fn set(&mut self, place: usize, count: f64) {
        match self {
            Self::Byte(counts) if f64::from(count as u8) == count => {
                counts.get_mut(place).into_iter().for_each(|slot| *slot = count as u8);
            }
            Self::Narrow(counts) if f64::from(count as u16) == count => {
                counts.get_mut(place).into_iter().for_each(|slot| *slot = count as u16);
            }
            Self::Wide(counts) => counts.get_mut(place).into_iter().for_each(|slot| *slot = count),
            Self::Byte(_) | Self::Narrow(_) => {
                self.widen();
                self.set(place, count);
            }
        }
    }

    fn widen(&mut self) {
        *self = match self {
            Self::Byte(counts) => Self::Narrow(counts.iter().map(|&count| count.into()).collect()),
            Self::Narrow(counts) => Self::Wide(counts.iter().map(|&count| count.into()).collect()),
            Self::Wide(_) => return,
        };
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "what is stored is exact, and nothing is nothing")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_rough_forecast_is_within_a_thousandth(exponent in -60.0..60.0_f64) {
            let forecast = exponent.exp2();
            let rough = Rough::of(forecast);
            prop_assert!((rough.get() / forecast - 1.0).abs() < 0.001);
            prop_assert_eq!(Rough::of(rough.get()), rough);
        }

        #[test]
        fn counts_are_what_was_put_there(set in prop::collection::vec((0usize..9, prop_oneof![0.0..9.0_f64, 250.0..300.0, 65_000.0..66_000.0_f64]), 0..40), halves: bool) {
            let mut counts = Counts::none(9);
            let mut plain = [0.0_f64; 9];
            for (place, count) in set as Vec<(usize, f64)> {
                let count = if halves { count } else { count.floor() };
                counts.set(place, count);
                plain[place] = count;
                prop_assert!((0..9).all(|place| counts.get(place) == plain[place]));
            }
        }
    }

    #[test]
    fn nothing_is_nothing_and_too_much_is_the_most() {
        assert_eq!(Rough::of(0.0).get(), 0.0);
        assert_eq!(Rough::of(1e-30).get(), 0.0);
        assert!(Rough::of(1e30).get() > 9e18);
        assert!(Rough::of(f64::INFINITY).get().is_finite());
    }
}
