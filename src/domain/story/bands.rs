//! Where sketches that may be near are found: `MinHash` with banding.
//!
//! The smallest of a set's hashes under a random order is the same for two sets as often as
//! they are alike. Twelve bands of two such minima each: a copy with a fifth of its words
//! replaced meets the original in one of them in 99.9 % of cases, one with as much noise
//! appended as there was text in 97 %. What meets is compared word by word, so that a band
//! may be wrong. Of real near-copies (`CrisisLexT26`) 2.7 % are missed.
//!
//! A bucket holds four places and a new one takes the oldest's, so memory is fixed, and a
//! topic that fills a bucket costs no more than any other. What a bucket holds depends on
//! what was filed and in which order, and on nothing else: filed again after a restart, it
//! is the same.

use super::sketch::Sketch;

const BANDS: usize = 12;
const ROWS: usize = 2;
const WIDTH: usize = 4;
const ASKED: usize = 6;
/// A power of two.
const BUCKETS: usize = 1 << 16;

/// A table of places, in fixed memory.
#[derive(Debug, Default)]
pub(super) struct Bands {
    /// Empty until something is filed. Places count from 1; 0 is none. Newest first.
    buckets: Vec<[u32; WIDTH]>,
}

/// The buckets a sketch belongs to.
pub(super) struct Spots {
    at: [usize; BANDS + 1],
    used: usize,
}

impl Spots {
    pub(super) fn of(sketch: &Sketch) -> Self {
        let mut at = [0; BANDS + 1];
        // All the words: what is equal is found however full the bands are.
        let whole = sketch.words().iter().fold(0x9e37_79b9_7f4a_7c15, |all, &word| mix(all ^ u64::from(word)));
        let mut used = 0;
        let mut add = |key: u64| {
            if let Some(spot) = at.get_mut(used) {
                *spot = (key >> 40) as usize & (BUCKETS - 1);
                used += 1;
            }
        };
        add(whole);
        if !sketch.is_short() {
            let minima = minima(sketch.words());
            for (band, rows) in (1_u64..).zip(minima.chunks(ROWS)) {
                add(rows.iter().fold(mix(band), |key, &least| mix(key ^ u64::from(least))));
            }
        }
        Self { at, used }
    }

    fn iter(&self) -> impl Iterator<Item = usize> {
        self.at.iter().copied().take(self.used)
    }
}

impl Bands {
    /// Places of posts that may be equal, newest first.
    pub(super) fn equal(&self, spots: &Spots) -> impl Iterator<Item = u32> {
        let bucket = spots.iter().next().and_then(|spot| self.buckets.get(spot));
        bucket.into_iter().flatten().copied().filter(|&place| place != 0)
    }

    /// Places that may be near, those that share most bands first, of these the newest; at
    /// most [`ASKED`], so that a topic on everybody's lips costs no more than any other.
    pub(super) fn near(&self, spots: &Spots) -> impl Iterator<Item = u32> {
        let mut places = [0; (BANDS + 1) * WIDTH];
        let buckets = spots.iter().filter_map(|spot| self.buckets.get(spot));
        let found = buckets.flatten().filter(|&&place| place != 0);
        let found = found.zip(&mut places).map(|(&place, slot)| *slot = place).count();
        let places = places.get_mut(..found).unwrap_or_default();
        places.sort_unstable();
        let mut near = [(0, 0); ASKED];
        for same in places.chunk_by(u32::eq) {
            let mut met = (same.len(), same.first().copied().unwrap_or_default());
            for better in &mut near {
                if *better < met {
                    std::mem::swap(better, &mut met);
                }
            }
        }
        near.into_iter().map(|(_, place)| place).take_while(|&place| place != 0)
    }

    /// Files a place.
    pub(super) fn file(&mut self, spots: &Spots, place: u32) {
        if self.buckets.is_empty() {
            self.buckets = vec![[0; WIDTH]; BUCKETS];
        }
        for spot in spots.iter() {
            if let Some(bucket) = self.buckets.get_mut(spot)
                && !bucket.contains(&place)
            {
                bucket.rotate_right(1);
                bucket[0] = place;
            }
        }
    }
}

/// The smallest hash under each of the orders.
fn minima(words: &[u32]) -> [u32; BANDS * ROWS] {
    let mut least = [u32::MAX; BANDS * ROWS];
    for &word in words {
        for (least, factor) in least.iter_mut().zip(FACTORS) {
            *least = (*least).min(word.wrapping_mul(factor));
        }
    }
    least
}

/// Odd numbers without a pattern: `SplitMix64` from 1.
#[expect(clippy::indexing_slicing, reason = "a constant: the compiler has checked it")]
const FACTORS: [u32; BANDS * ROWS] = {
    let mut factors = [0; BANDS * ROWS];
    let mut index = 0;
    let mut state = 1_u64;
    while index < factors.len() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        factors[index] = (mix(state) >> 32) as u32 | 1;
        index += 1;
    }
    factors
};

/// The finaliser of `SplitMix64`.
const fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}
