//! How unusual it is that nothing came.
//!
//! The chance of no post at all is that of the negative binomial with what was expected
//! meanwhile: the same forecast, burstiness and doubt that a spike is judged by. What was
//! expected is added up by the hours as they pass, by what was known when the silence began:
//! a silence shall not teach that it is usual.
//!
//! Each post may be the last before a silence, so a busy stream has many chances of a long
//! one. A silence is unusual when so unlikely a one comes by chance once in [`ONCE_IN_DAYS`]
//! at most. Rejected: one chance for all streams (one in a thousand is ten false silences a
//! day where ten thousand posts come, and a week of waiting where one comes an hour).

use super::{Baseline, COLD_DAYS, Scale};
use crate::domain::time::Timestamp;

/// How often so unlikely a silence may come by chance.
const ONCE_IN_DAYS: f64 = 30.0;
/// `-log10` of the chance of a silence at least, however few posts there are.
const LEAST_SURPRISE: f64 = 2.0;
/// More than the longest silence remembered, by so much.
const LONGER: f64 = 1.25;
/// What is remembered holds for so many days, and then halves in so many.
const HOLDS_DAYS: f64 = 8.0;
const HALVES_DAYS: f64 = 21.0;
/// A silence of this share of it makes it hold on.
const TOUCHED_BY: f64 = 0.8;
/// One silence makes the memory grow by this factor at most, from so many posts on.
const GROWTH: f64 = 4.0;
const FIRST: f64 = 10.0;

/// A silence against what is usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lull {
    /// Posts expected in it.
    pub expected: f64,
    /// `-log10` of the chance that none comes.
    surprise: f64,
    /// Posts a day, on average.
    per_day: f64,
}

/// The longest silence of late, by the posts that were expected in it: weekends and nights
/// that the forecast does not know well are told some times, and then are habits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Longest {
    /// Posts expected.
    pub expected: f64,
    /// When it ended.
    pub ended: Timestamp,
}

impl Lull {
    /// By chance, one so unlikely comes once in a month at most; and no silence of late was
    /// nearly as long.
    pub fn is_unusual(&self, longest: &Longest, now: Timestamp) -> bool {
        let posts = ONCE_IN_DAYS * self.per_day;
        let unlikely = self.surprise >= posts.log10().max(LEAST_SURPRISE);
        unlikely && self.expected >= LONGER * longest.faded(now)
    }
}

impl Longest {
    fn faded(&self, now: Timestamp) -> f64 {
        let days = now.since(self.ended).as_secs_f64() / 86_400.0;
        self.expected * 0.5_f64.powf((days - HOLDS_DAYS).max(0.0) / HALVES_DAYS)
    }

    /// A silence ended in which so many posts were expected. One giant outage does not deafen.
    pub fn remember(&mut self, expected: f64, ended: Timestamp) {
        let known = self.faded(ended);
        if expected >= TOUCHED_BY * known {
            let expected = known.max(expected.min(GROWTH * known.max(FIRST)));
            *self = Self { expected, ended };
        }
    }
}

impl Baseline {
    /// Posts expected in a bin that is seen whole and begins at that local hour of the week.
    pub fn forecast(&self, scale: &Scale, hour: f64) -> f64 {
        self.season.forecast(scale, hour).mean()
    }

    /// Days that were seen, a day of half seen hours counting half.
    pub fn days_seen(&self, scale: &Scale) -> f64 {
        self.age / scale.per_day
    }

    /// A silence of so many bins that were seen, in which so many posts were expected; none
    /// while too little was learnt to say anything: less than two days that were seen.
    pub fn lull(&self, scale: &Scale, bins: f64, expected: f64) -> Option<Lull> {
        if self.days_seen(scale) < COLD_DAYS {
            return None;
        }
        // As bursty as it is over the longest window that fits into the silence.
        let windows = scale.windows.iter().take(3).zip(&self.channels);
        #[allow(clippy::cast_precision_loss, reason = "bins of half a day")]
        let fitting = windows.rev().find(|(window, _)| **window as f64 <= bins);
        let channel = fitting.map(|(_, channel)| channel).or(self.channels.first())?;
        let size = 1.0 / (channel.noise() + 1.0 / (self.season.posts + 0.5));
        let surprise = size * (expected / size).ln_1p() / std::f64::consts::LN_10;
        Some(Lull { expected, surprise, per_day: self.mean / self.mean_weight * scale.per_day })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Bin, Policy, Promise};
    use super::*;

    /// So many days with a post every `step` minutes from six to eighteen, and none at night.
    fn days(days: u32, step: u32) -> Baseline {
        let scale = Scale::minutes();
        let policy = Policy::keeping(Promise::MONTHLY, &scale);
        let mut baseline = Baseline::new(&scale);
        for minute in 0..days * 1440 {
            let by_day = (6 * 60..18 * 60).contains(&(minute % 1440));
            let count = f64::from(u8::from(by_day && minute % step == 0));
            let hour = f64::from(minute) / 60.0 % 168.0;
            baseline.learn(&scale, &policy, Bin { count, exposure: 1.0, hour }, false);
        }
        baseline
    }

    /// Of so many hours from an hour of the next day on.
    fn lull(baseline: &Baseline, from: f64, hours: f64) -> Lull {
        let scale = Scale::minutes();
        let minutes = std::iter::successors(Some(0.0), |minute| Some(minute + 1.0));
        let minutes = minutes.take_while(|minute| *minute < hours * 60.0);
        let expected = minutes.map(|minute| baseline.forecast(&scale, from + minute / 60.0)).sum();
        baseline.lull(&scale, hours * 60.0, expected).unwrap()
    }

    #[test]
    fn a_night_is_usual_and_a_silent_morning_is_not() {
        for weeks in [2, 4, 8] {
            let baseline = days(weeks * 7, 4);
            let (night, morning) = (lull(&baseline, 18.0, 12.0), lull(&baseline, 8.0, 6.0));
            let mut longest = Longest::default();
            longest.remember(night.expected, Timestamp::from_seconds(0));
            let unusual = |lull: &Lull| lull.is_unusual(&longest, Timestamp::from_seconds(86_400));
            assert!(!unusual(&night) && night.expected < 20.0, "{weeks}: {night:?}");
            assert!(unusual(&morning), "{weeks}: {morning:?}");
        }
    }

    #[test]
    fn two_days_are_needed_to_say_anything() {
        let scale = Scale::minutes();
        assert_eq!(days(1, 4).lull(&scale, 60.0, 15.0), None);
        assert!(days(2, 4).lull(&scale, 60.0, 15.0).is_some());
    }

    #[test]
    fn the_busier_a_stream_the_less_likely_a_silence_must_be() {
        let of = |per_day| Lull { expected: 9.0, surprise: 3.5, per_day };
        let unusual = |lull: Lull| lull.is_unusual(&Longest::default(), Timestamp::default());
        assert!(unusual(of(24.0)) && !unusual(of(1440.0)));
        assert!(!unusual(Lull { surprise: 1.9, ..of(0.0) }));
    }

    #[test]
    fn a_habit_is_told_some_times_and_one_outage_deafens_nobody() {
        let day = |day: i64| Timestamp::from_seconds(day * 86_400);
        let weekend = Lull { expected: 500.0, surprise: 30.0, per_day: 1440.0 };
        let mut longest = Longest::default();
        let mut told = Vec::new();
        for week in 0..12 {
            if weekend.is_unusual(&longest, day(7 * week)) {
                told.push(week);
            }
            longest.remember(weekend.expected, day(7 * week));
        }
        assert_eq!(told, [0, 1, 2]);
        assert!(weekend.is_unusual(&longest, day(12 * 7 + 60)), "a habit that ended is forgotten");
        let mut outage = Longest::default();
        outage.remember(1e6, day(0));
        assert!(Lull { expected: 60.0, ..weekend }.is_unusual(&outage, day(1)));
    }
}
