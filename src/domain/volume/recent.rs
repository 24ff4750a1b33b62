//! The last half day, bin by bin, and its sums over the windows.
//!
//! Six bytes a minute: counts get wider than two bytes only for streams that need it.
//! Rejected: to keep what was expected in sums of five minutes, which saves 2 kB a rule,
//! and moved alarms by a minute when the edge of a window passed an outage.

use super::scale::Scale;

/// Counts and expectations of the last half day.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recent {
    /// The next bin's place in the ring.
    pub(super) place: usize,
    pub(super) counts: Counts,
    pub(super) expected: Box<[f32]>,
    pub(super) sums: [Sum; 4],
}

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sum {
    pub(super) seen: f64,
    pub(super) expected: f64,
}

/// Counts of bins.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Counts {
    Narrow(Box<[u16]>),
    Wide(Box<[f64]>),
}

impl Recent {
    pub(super) fn new(scale: &Scale) -> Self {
        Self {
            place: 0,
            counts: Counts::Narrow(vec![0; scale.remembered].into()),
            expected: vec![0.0; scale.remembered].into(),
            sums: [Sum::default(); 4],
        }
    }

    /// What the windows would hold with one more bin.
    pub(super) fn with(&self, scale: &Scale, count: f64, expected: f64) -> [Sum; 4] {
        let mut sums = self.sums;
        for (sum, &window) in sums.iter_mut().zip(&scale.windows) {
            // The bin that leaves is `window` bins older than the one that comes.
            sum.seen += count - self.counts.get(self.back(window));
            sum.expected += expected - self.expected(window);
        }
        sums
    }

    /// Takes a bin in; `sums` are [`Recent::with`] it.
    #[allow(clippy::cast_possible_truncation, reason = "a forecast has no more digits")]
    pub(super) fn push(&mut self, scale: &Scale, count: f64, expected: f64, sums: [Sum; 4]) {
        self.sums = sums;
        self.counts.set(self.place, count);
        self.expected.get_mut(self.place).into_iter().for_each(|slot| *slot = expected as f32);
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
        self.counts = Counts::Narrow(vec![0; self.counts.len()].into());
        self.sums.iter_mut().for_each(|sum| sum.seen = 0.0);
    }

    /// The count of a bin `age` bins older than the last one taken in.
    pub(super) fn count(&self, age: usize) -> f64 {
        self.counts.get(self.back(age + 1))
    }

    /// What was expected of the bin `age` bins before the next one.
    pub(super) fn expected(&self, age: usize) -> f64 {
        self.expected.get(self.back(age)).copied().unwrap_or_default().into()
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

impl Counts {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Narrow(counts) => counts.len(),
            Self::Wide(counts) => counts.len(),
        }
    }

    pub(super) fn get(&self, place: usize) -> f64 {
        match self {
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
        if let Self::Narrow(counts) = self {
            if f64::from(count as u16) == count {
                counts.get_mut(place).into_iter().for_each(|slot| *slot = count as u16);
                return;
            }
            *self = Self::Wide(counts.iter().map(|&count| count.into()).collect());
        }
        if let Self::Wide(counts) = self {
            counts.get_mut(place).into_iter().for_each(|slot| *slot = count);
        }
    }
}
