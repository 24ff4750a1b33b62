//! The little storms that are a stream's ordinary life, and what they ask of an alarm.
//!
//! The forecast's tail is that of a negative binomial. Where a post now and then draws thirty
//! others after it, the true tail is far heavier: what is by that forecast "once in a hundred
//! years" comes twice a month, and a promise of one false alarm a year was realised
//! twenty-five times. So each rule remembers how often it saw something surprising and new,
//! told or not, and how surprising that was on average beyond [`FROM`] (peaks over a threshold:
//! the excesses of a light tail are exponential with a mean of about one). From both follows,
//! as for an exponential tail, the surprise that comes as seldom as was promised.
//!
//! It only counts once the storms are, by a standard error, larger than those of calm streams:
//! on these nothing changes, and neither does it for a rule that saw one crisis. Constants were
//! chosen on the simulated streams of `cargo bench --bench bench -- volume`.
//!
//! Rejected: more surprise for every rule (calm ones would miss half of the bursts); a larger
//! burstiness (it is measured on the usual, and says nothing about the largest).

use super::scale::Scale;

/// What surprises less is no storm.
const FROM: f64 = 2.0;
/// Beyond [`FROM`], so much of a storm's surprise counts: one crisis shall not deafen a rule.
const MOST: f64 = 10.0;
/// Storms imagined before any was seen, each of an excess of one, as calm streams have them ...
const IMAGINED: f64 = 2.0;
/// ... and one of them within so many days.
const IMAGINED_DAYS: f64 = 30.0;
/// A mean excess beyond which, less its standard error, a stream is not calm.
const CALM: f64 = 1.2;
/// Storms are remembered for so many days.
const REMEMBERED_DAYS: f64 = 120.0;
/// What comes within so many hours is one storm, as it is one alarm.
const ONE_HOURS: f64 = super::SILENT_HOURS;
const DAYS_A_YEAR: f64 = 365.25;

/// What is remembered of a stream's storms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Storms {
    /// How many, and their surprise beyond [`FROM`], both fading.
    pub(super) number: f64,
    pub(super) excess: f64,
    /// Days in which they came, fading alike.
    pub(super) days: f64,
    /// The largest surprise of the one that goes on, and for how many bins it does.
    pub(super) peak: f64,
    pub(super) left: f64,
}

impl Storms {
    /// Whether a bin of that novelty can add to what is remembered. A storm grows when its excess is over all that
    /// is remembered, itself included; how surprising it is takes long to compute.
    pub(super) fn may_grow(&self, novelty: f64) -> bool {
        self.left <= 1.0 || (novelty > 1.0 && self.peak < FROM + MOST)
    }

    /// Remembers a bin: how surprising it was, if it was new.
    pub(super) fn learn(&mut self, scale: &Scale, exposure: f64, surprise: Option<f64>) {
        let passed = exposure / scale.per_day;
        let kept = 1.0 - passed / REMEMBERED_DAYS;
        self.number *= kept;
        self.excess *= kept;
        self.days = self.days * kept + passed;
        self.left = (self.left - 1.0).max(0.0);
        let Some(surprise) = surprise.filter(|surprise| *surprise > FROM) else { return };
        if self.left <= 0.0 {
            (self.left, self.peak) = (ONE_HOURS * scale.per_hour, FROM);
            self.number += 1.0;
        }
        let peak = surprise.min(FROM + MOST).max(self.peak);
        self.excess += peak - self.peak;
        self.peak = peak;
    }

    /// The surprise that storms reach so many times a year; none while they are those of a calm stream, or fewer.
    pub(super) fn surprise_at(&self, per_year: f64) -> f64 {
        let number = self.number + IMAGINED;
        let mean = (self.excess + IMAGINED) / number;
        let a_year = (self.number + 1.0) / (self.days + IMAGINED_DAYS) * DAYS_A_YEAR;
        if mean * (1.0 - 1.0 / number.sqrt()) < CALM || a_year <= per_year {
            return 0.0;
        }
        FROM + mean * (a_year / per_year).ln()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After so many days with a storm of that surprise every `every` days.
    fn storms(days: u32, every: u32, surprise: f64) -> Storms {
        let scale = Scale::of(3600.0);
        let mut storms = Storms::default();
        for hour in 0..days * 24 {
            // A storm goes on for two hours, and is larger in the second.
            let seen = [Some(surprise / 2.0), Some(surprise)].get(hour as usize % (every as usize * 24)).copied();
            storms.learn(&scale, 1.0, seen.flatten());
        }
        storms
    }

    #[test]
    fn a_storm_is_one_and_as_large_as_its_peak() {
        let Storms { number, excess, days, .. } = storms(10, 2, 6.0);
        assert!((number - 5.0).abs() < 0.3 && (excess - 20.0).abs() < 1.0 && (days - 10.0).abs() < 0.5);
    }

    #[test]
    fn weekly_storms_ask_for_more_the_stricter_the_promise() {
        let weekly = storms(120, 7, 9.0);
        let asked = [100.0, 12.2, 1.0, 0.1].map(|per_year| weekly.surprise_at(per_year));
        assert!(asked[0] <= 0.0 && asked[1] > 9.0 && asked[2] > 15.0 && asked.is_sorted(), "{asked:?}");
    }

    #[test]
    fn calm_streams_and_single_crises_ask_for_nothing() {
        assert!(Storms::default().surprise_at(0.01) <= 0.0);
        assert!(storms(365, 3, 3.2).surprise_at(1.0) <= 0.0);
        assert!(storms(60, 60, 300.0).surprise_at(12.2) <= 0.0);
    }
}
