//! A baseline as bytes: what is written to disk with every commit that changed it.
//!
//! Exact to the last bit, or a restart would move alarms. Of a silent rule, as most are most
//! of the time, only the bins with posts are written. Whoever changes the algorithm so that
//! old numbers mean something else raises [`VERSION`]: then rules learn anew.

use super::Baseline;
use super::channel::Channel;
use super::recent::{Counts, Recent, Rough, Sum};
use super::scale::Scale;
use super::season::{Cell, Season};
use super::storms::Storms;

const VERSION: u8 = 3;
/// Fewer bins with posts are written one by one.
const FEW: usize = 100;
/// How counts are written.
const SPARSE: u8 = 0;
const NARROW: u8 = 1;
const WIDE: u8 = 2;
const BYTE: u8 = 3;

/// The bytes are not a baseline of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl Baseline {
    /// All of it, for [`Baseline::from_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        // Taken apart, so that a field cannot be forgotten.
        let Self { season, recent, channels, mean, mean_weight, age, renewed, silent, strength, storms } = self;
        let Storms { number, excess, days, peak, left } = storms;
        let Season { posts, bins, day, week } = season;
        let Recent { place, counts, expected, sums } = recent;
        let mut out = Out(Vec::with_capacity(4 * 1024));
        out.0.push(VERSION);
        out.number(counts.len());
        out.number(*place);
        for real in [mean, mean_weight, age, renewed, silent, strength, number, excess, days, peak, left, posts, bins] {
            out.real(*real);
        }
        for Channel { noise, noise_weight, record, base, untouched } in channels {
            for real in [noise, noise_weight, record, base, untouched] {
                out.real(*real);
            }
        }
        for Sum { seen, expected } in sums {
            out.real(*seen);
            out.real(*expected);
        }
        out.all(&**day, |Cell { seen, expected }| [*seen, *expected].map(f32::to_le_bytes));
        out.all(&**week, |Cell { seen, expected }| [*seen, *expected].map(f32::to_le_bytes));
        out.all(expected, |Rough(value)| [value.to_le_bytes()]);
        out.counts(counts);
        out.0
    }

    /// Reads what [`Baseline::to_bytes`] wrote for bins of the same length.
    pub fn from_bytes(scale: &Scale, bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut input = In(bytes);
        let mut fresh = Self::new(scale);
        if input.take::<1>()? != [VERSION] || input.number()? != fresh.recent.counts.len() {
            return Err(Unreadable);
        }
        let Self { season, recent, channels, mean, mean_weight, age, renewed, silent, strength, storms } = &mut fresh;
        let Storms { number, excess, days, peak, left } = storms;
        let Season { posts, bins, day, week } = season;
        let Recent { place, counts, expected, sums } = recent;
        *place = input.number()?;
        for real in [mean, mean_weight, age, renewed, silent, strength, number, excess, days, peak, left, posts, bins] {
            *real = input.real()?;
        }
        for Channel { noise, noise_weight, record, base, untouched } in channels {
            for real in [noise, noise_weight, record, base, untouched] {
                *real = input.real()?;
            }
        }
        for Sum { seen, expected } in sums {
            (*seen, *expected) = (input.real()?, input.real()?);
        }
        for Cell { seen, expected } in day.iter_mut().chain(week.iter_mut()) {
            (*seen, *expected) = (f32::from_le_bytes(input.take()?), f32::from_le_bytes(input.take()?));
        }
        for value in expected.iter_mut() {
            *value = Rough(u16::from_le_bytes(input.take()?));
        }
        input.counts(counts)?;
        let whole = input.0.is_empty() && *place < counts.len();
        whole.then_some(fresh).ok_or(Unreadable)
    }
}

struct Out(Vec<u8>);

impl Out {
    fn real(&mut self, real: f64) {
        self.0.extend(real.to_le_bytes());
    }

    /// So many bytes of each, all at once: one by one took most of the time that closing a minute takes.
    fn all<T, const N: usize, const M: usize>(&mut self, values: &[T], bytes: impl Fn(&T) -> [[u8; N]; M]) {
        let from = self.0.len();
        self.0.resize(from + values.len() * N * M, 0);
        let (_, room) = self.0.split_at_mut(from);
        for (room, value) in room.chunks_exact_mut(N * M).zip(values) {
            room.copy_from_slice(bytes(value).as_flattened());
        }
    }

    fn counts(&mut self, counts: &Counts) {
        match counts {
            Counts::Byte(counts) => self.sparse(counts).unwrap_or_else(|| {
                self.0.push(BYTE);
                self.0.extend(counts);
            }),
            Counts::Narrow(counts) => self.sparse(counts).unwrap_or_else(|| {
                self.0.push(NARROW);
                self.all(counts, |count| [count.to_le_bytes()]);
            }),
            Counts::Wide(counts) => self.sparse(counts).unwrap_or_else(|| {
                self.0.push(WIDE);
                self.all(counts, |count| [count.to_le_bytes()]);
            }),
        }
    }

    /// Only the bins with posts; none if they are many.
    fn sparse<T: Copy + Into<f64>>(&mut self, counts: &[T]) -> Option<()> {
        let posts = counts.iter().filter(|&&count| count.into() > 0.0).count();
        if posts >= FEW {
            return None;
        }
        self.0.push(SPARSE);
        self.number(posts);
        for (place, &count) in counts.iter().enumerate().filter(|&(_, &count)| count.into() > 0.0) {
            self.number(place);
            self.real(count.into());
        }
        Some(())
    }

    /// Numbers of bins: four bytes are plenty.
    fn number(&mut self, number: usize) {
        self.0.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
    }
}

struct In<'a>(&'a [u8]);

impl In<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn real(&mut self) -> Result<f64, Unreadable> {
        Ok(f64::from_le_bytes(self.take()?))
    }

    fn counts(&mut self, counts: &mut Counts) -> Result<(), Unreadable> {
        match self.take()? {
            [SPARSE] => {
                for _ in 0..self.number()? {
                    let place = self.number()?;
                    counts.set(place, self.real()?);
                }
            }
            [BYTE] => {
                for place in 0..counts.len() {
                    counts.set(place, u8::from_le_bytes(self.take()?).into());
                }
            }
            [NARROW] => {
                for place in 0..counts.len() {
                    counts.set(place, u16::from_le_bytes(self.take()?).into());
                }
            }
            [WIDE] => {
                for place in 0..counts.len() {
                    counts.set(place, self.real()?);
                }
            }
            _ => return Err(Unreadable),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<usize, Unreadable> {
        usize::try_from(u32::from_le_bytes(self.take()?)).or(Err(Unreadable))
    }
}
