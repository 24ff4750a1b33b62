//! Rows as bins of a baseline.

use super::series::Row;
use crate::domain::time::{Timestamp, Zone};
use crate::domain::volume::{Baseline, Bin, Judgement, Policy, Promise, Scale};

/// A series as far as it was read.
pub(super) struct Judge {
    scale: Scale,
    policy: Policy,
    baseline: Baseline,
    /// When the first row's bin began, and how many bins there were since.
    began: Option<Timestamp>,
    bins: i64,
}

/// What is said of a row.
#[derive(Default)]
pub(super) struct Judged {
    pub(super) expected: f64,
    pub(super) upper: Option<f64>,
    pub(super) score: f64,
    pub(super) alarm: bool,
    pub(super) why: Option<String>,
    /// Rows that should have come before.
    pub(super) missing: u64,
    /// It came after a later one.
    pub(super) late: bool,
}

impl Judge {
    pub(super) fn new(interval: f64, promise: Promise) -> Self {
        let scale = Scale::of(interval.max(1.0));
        let (policy, baseline) = (Policy::keeping(promise, &scale), Baseline::new(&scale));
        Self { scale, policy, baseline, began: None, bins: 0 }
    }

    pub(super) fn row(&mut self, row: &Row) -> Judged {
        let Self { scale, policy, baseline, .. } = self;
        let began = *self.began.get_or_insert(row.at);
        let place = place(began, row.at, scale.seconds());
        let hour = Zone::default().hour_of_week(row.at);
        let Some(missing) = place.checked_sub(self.bins).and_then(|missing| u64::try_from(missing).ok()) else {
            let age = usize::try_from(self.bins - 1 - place).unwrap_or(usize::MAX);
            baseline.add_late(scale, age, hour, row.value.unwrap_or(0.0));
            return Judged { expected: baseline.expected(age), late: true, ..Judged::default() };
        };
        baseline.skip(scale, policy, missing, hour);
        self.bins = place + 1;
        let bin = |count, exposure| Bin { count, exposure, hour };
        let Some(count) = row.value else {
            let expected = baseline.judge(scale, policy, bin(0.0, 1.0)).expected;
            baseline.learn(scale, policy, bin(0.0, 0.0), false);
            return Judged { expected, missing, ..Judged::default() };
        };
        let bin = bin(count, 1.0);
        let judgement = baseline.judge(scale, policy, bin);
        let upper = baseline.upper(scale, policy, bin);
        // What happened before this row may still be alarming; a row with nothing in it is not.
        let alarm = judgement.alarm && count > 0.0;
        baseline.learn(scale, policy, bin, alarm);
        let why = alarm.then(|| judgement.in_words(scale, &judgement.window.seen.to_string()));
        Judged {
            expected: judgement.expected,
            upper,
            score: score(&judgement, alarm),
            alarm,
            why,
            missing,
            late: false,
        }
    }
}

/// An alarm has at least 0.5, and more the further it is beyond the record; any other row
/// less, the more surprising and new the more.
fn score(judgement: &Judgement, alarm: bool) -> f64 {
    if alarm {
        return 1.0 - 0.25 / judgement.novelty.max(0.5);
    }
    0.49 * (1.0 - (-judgement.surprise / 5.0).exp()) * judgement.novelty.min(1.0)
}

/// Which bin an instant lies in, when bins are so long; rows need not be quite on time.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a number of bins")]
fn place(began: Timestamp, at: Timestamp, seconds: f64) -> i64 {
    ((at.micros() - began.micros()) as f64 / 1e6 / seconds).round() as i64
}
