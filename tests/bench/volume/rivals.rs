//! Four other ways to ask what is unusual.
//!
//! A ratio of two adjacent windows (ElastAlert 2's spike rule, as its source has it), a
//! threshold fixed per rule by its own first four weeks (with hindsight), EARS C2 (seven
//! days at the same hour, two days' guard) and the mean with so many standard deviations.

use super::streams::DAY;

#[derive(Clone, Copy, Debug)]
pub enum Rival {
    /// Factor, window, least posts.
    Ratio(f64, usize, f64),
    /// Times the largest quarter of an hour of four weeks.
    Fixed(f64),
    /// Window, standard deviations, least posts.
    Ears(usize, f64, f64),
    /// Standard deviations over the hours of four weeks.
    Mean(f64),
}

use Rival::{Ears, Fixed, Mean, Ratio};

/// The usual setting of each, and stricter ones.
pub const RIVALS: [Rival; 24] = [
    Ratio(3.0, 60, 5.0),
    Ratio(3.0, 10, 5.0),
    Ratio(5.0, 15, 15.0),
    Ratio(5.0, 15, 30.0),
    Ratio(5.0, 60, 30.0),
    Ratio(10.0, 10, 5.0),
    Ratio(10.0, 60, 15.0),
    Ratio(10.0, 60, 30.0),
    Fixed(1.0),
    Fixed(1.2),
    Fixed(1.5),
    Fixed(2.0),
    Ears(60, 3.0, 5.0),
    Ears(60, 6.0, 5.0),
    Ears(60, 12.0, 5.0),
    Ears(15, 6.0, 8.0),
    Ears(15, 12.0, 8.0),
    Ears(15, 12.0, 15.0),
    Ears(15, 20.0, 15.0),
    Mean(3.0),
    Mean(4.0),
    Mean(6.0),
    Mean(9.0),
    Mean(14.0),
];

/// Counts by the minute, for sums of any window.
pub struct Past {
    before: Vec<f64>,
    /// Of whole hours: sums of their counts' squares.
    squares: Vec<f64>,
    largest: f64,
}

impl Past {
    pub fn new(counts: &[f64]) -> Self {
        let mut before = vec![0.0];
        for count in counts {
            before.push(before[before.len() - 1] + count);
        }
        let mut past = Self { before, squares: vec![0.0], largest: 0.0 };
        for hour in 0..counts.len() / 60 {
            let count = past.sum(hour * 60 + 59, 60);
            past.squares.push(past.squares[hour] + count * count);
        }
        past.largest = (15..28 * DAY).map(|minute| past.sum(minute, 15)).fold(0.0, f64::max);
        past
    }

    /// Posts in a window that ends with that minute.
    fn sum(&self, minute: usize, window: usize) -> f64 {
        self.before[minute + 1] - self.before[minute + 1 - window]
    }
}

impl Rival {
    /// As people set it up.
    pub fn is_usual(self) -> bool {
        matches!(self, Ratio(3.0, 60, _) | Fixed(1.0) | Ears(60, 3.0, _) | Mean(3.0))
    }

    pub fn name(self) -> String {
        match self {
            Ratio(factor, window, least) => format!("{factor} × the {window} min before, at least {least}"),
            Fixed(factor) => format!("{factor} × the largest 15 min of four weeks"),
            Ears(window, deviations, least) => format!("EARS C2, {window} min, {deviations} sd, at least {least}"),
            Mean(deviations) => format!("mean of four weeks' hours + {deviations} sd"),
        }
    }

    pub fn alarms(self, past: &Past, minute: usize) -> bool {
        match self {
            Ratio(factor, window, least) => {
                let now = past.sum(minute, window);
                now >= least && now >= factor * past.sum(minute - window, window)
            }
            Fixed(factor) => past.sum(minute, 15) > (factor * past.largest).max(4.0),
            Ears(window, deviations, least) => {
                let days = || (3..10).map(|day| past.sum(minute - day * DAY, window));
                let mean = days().sum::<f64>() / 7.0;
                let variance = days().map(|count| (count - mean) * (count - mean)).sum::<f64>() / 6.0;
                let now = past.sum(minute, window);
                now >= least && now > mean + deviations * variance.sqrt()
            }
            Mean(deviations) => {
                let (to, hours) = (minute / 60, 28 * 24);
                let mean = past.sum(to * 60 - 1, hours * 60) / hours as f64;
                let variance = (past.squares[to] - past.squares[to - hours]) / hours as f64 - mean * mean;
                let now = past.sum(minute, 60);
                now >= 5.0 && now > mean + deviations * variance.max(0.0).sqrt()
            }
        }
    }
}
