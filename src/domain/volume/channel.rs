//! One test: a window, how noisy it is, and the largest excess it remembers.
//!
//! A window is surprising when so many posts are unlikely under the forecast, and new
//! when its excess comes near or over the record of this rule. The record holds
//! for eight days, so that weekly habits do not alarm weekly, then halves every three
//! weeks; within half a day it at most doubles, so that one giant event does not deafen
//! the rule.

use super::recent::Sum;
use super::scale::{Fading, Scale};
use super::tail;

/// Fewer posts in a window are never an alarm.
pub(super) const LEAST_POSTS: f64 = 5.0;
/// The smallest record.
pub(super) const LEAST_RECORD: f64 = 4.0;
/// A record is touched by an excess of this share of it ...
const TOUCHED_BY: f64 = 0.8;
/// ... and does not fade for so many days after.
const HOLDS_DAYS: f64 = 8.0;
/// Within half a day the record may grow by this factor.
const RECORD_GROWTH: f64 = 2.0;
/// How much of this hour's forecast, against the rule's overall scale, an excess is
/// measured with: people judge a spike by its height, not by its ratio to 4 a.m.
const HOUR_SHARE: f64 = 0.2;
/// Burstiness before it was measured, and the bins it weighs.
const FIRST_NOISE: f64 = 0.3;
const FIRST_NOISE_BINS: f64 = 50.0;
const LEAST_NOISE: f64 = 0.001;
/// What is learnt from a bin ends at the mean and so many standard deviations.
const CLIP: f64 = 3.0;
/// The forecast of a window is not smaller.
const LEAST_EXPECTED: f64 = 1e-6;

/// What one test remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Channel {
    /// Excess variance, fading, and its weight.
    pub(super) noise: f64,
    pub(super) noise_weight: f64,
    /// The largest excess remembered.
    pub(super) record: f64,
    /// The record as it stood at most half a day ago.
    pub(super) base: f64,
    /// Bins since an excess came near it.
    pub(super) untouched: f64,
}

/// One window against its forecast.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Test {
    pub(super) seen: f64,
    pub(super) expected: f64,
    /// Size of the negative binomial.
    pub(super) size: f64,
    pub(super) noise: f64,
    /// More than expected, and enough to speak of.
    pub(super) counts: bool,
    /// How much more, by the rule's yardstick.
    pub(super) excess: f64,
    /// By the record: 1 is as large as any excess remembered.
    pub(super) novelty: f64,
    /// The record as it stands at this bin.
    pub(super) record: f64,
}

/// What all tests of a bin have in common.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common {
    /// The level's evidence.
    pub(super) evidence: f64,
    /// Posts a bin over the last weeks.
    pub(super) mean: f64,
    pub(super) exposure: f64,
    /// Past the first hours.
    pub(super) warm: bool,
    /// Not yet two days old.
    pub(super) cold: bool,
    pub(super) fading: Fading,
}

impl Channel {
    /// The least noise a stream can have, with what is known of this one's.
    pub(super) fn noise(&self) -> f64 {
        ((self.noise + FIRST_NOISE * FIRST_NOISE_BINS) / (self.noise_weight + FIRST_NOISE_BINS)).max(LEAST_NOISE)
    }

    /// Tests a window of so many bins.
    pub(super) fn test(&self, scale: &Scale, common: &Common, sum: Sum, bins: usize) -> Test {
        let Sum { seen, expected } = sum;
        let expected = expected.max(LEAST_EXPECTED);
        let noise = self.noise();
        let faded = self.untouched + common.exposure > HOLDS_DAYS * scale.per_day;
        let record = if faded { self.record * common.fading.record } else { self.record }.max(LEAST_RECORD);
        let counts = seen > expected && seen >= LEAST_POSTS;
        let yardstick = HOUR_SHARE * expected + (1.0 - HOUR_SHARE) * common.mean * scale_bins(bins) + 1.0;
        let excess = if counts { (seen - expected) / yardstick.sqrt() } else { 0.0 };
        let size = 1.0 / (noise + 1.0 / (common.evidence + 0.5));
        Test { seen, expected, size, noise, counts, excess, novelty: excess / record, record }
    }

    /// Remembers the bin that was tested.
    pub(super) fn learn(&mut self, common: &Common, test: &Test) {
        self.untouched += common.exposure;
        self.record = test.record;
        if test.counts && common.warm {
            if test.excess >= TOUCHED_BY * self.record {
                self.untouched = 0.0;
            }
            let most = RECORD_GROWTH * self.base.max(LEAST_RECORD);
            let reached = if common.cold { test.excess } else { test.excess.min(most) };
            self.record = self.record.max(reached);
        }
        let Test { seen, expected, noise, .. } = *test;
        let off = clipped(seen, expected, noise) - expected;
        let informative = expected / (1.0 + expected);
        let weight = informative * informative * common.exposure;
        self.noise = self.noise * common.fading.level + weight * (off * off - expected) / (expected * expected);
        self.noise_weight = self.noise_weight * common.fading.level + weight;
    }

    /// Half a day passed.
    pub(super) fn renew_base(&mut self) {
        self.base = self.record.max(LEAST_RECORD);
    }
}

impl Test {
    /// `-log10` of the chance of so many posts.
    pub(super) fn surprise(&self) -> f64 {
        if self.counts { tail::surprise(self.seen, self.expected, self.size) } else { 0.0 }
    }
}

/// At most the mean and three standard deviations: one event shall not become the usual.
pub(super) fn clipped(seen: f64, expected: f64, noise: f64) -> f64 {
    seen.min(expected + CLIP * (expected + noise * expected * expected).sqrt() + 1.0)
}

#[allow(clippy::cast_precision_loss, reason = "bins of half a day")]
const fn scale_bins(bins: usize) -> f64 {
    bins as f64
}
