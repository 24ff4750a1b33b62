//! Streams of counts by the minute that a seed decides: ordinary life, bursts, faults.
//!
//! The rate has a shape over the day and the week, differs from day to day and wanders
//! within hours; posts come in clusters. *Calm*: clusters of one to a few, as when people
//! answer each other. *Bursty*: some clusters are little storms of up to thirty.

use crate::rng::Rng;

pub const DAY: usize = 24 * 60;

/// How posts come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    Calm,
    Bursty,
}

/// What is added to a stream: so many posts, from a minute on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Burst {
    /// Nearly all within a quarter of an hour, most at once.
    Storm,
    /// Half an hour, evenly.
    Step,
    /// Doubling every quarter of an hour for two hours, then ebbing away.
    Viral,
    /// Growing evenly for three hours.
    Ramp,
}

impl Burst {
    pub const ALL: [Self; 4] = [Self::Storm, Self::Step, Self::Viral, Self::Ramp];

    /// Minutes until it is over.
    pub const fn minutes(self) -> usize {
        match self {
            Self::Storm => 60,
            Self::Step => 30,
            Self::Viral => 240,
            Self::Ramp => 180,
        }
    }

    /// The share of its posts that come in a minute, unscaled.
    fn weight(self, minute: usize) -> f64 {
        let minute = minute as f64;
        match self {
            Self::Storm => (-minute / 5.0).exp(),
            Self::Step => 1.0,
            Self::Viral if minute < 120.0 => 2_f64.powf(minute / 15.0),
            Self::Viral => 256.0 * (-(minute - 120.0) / 30.0).exp(),
            Self::Ramp => minute,
        }
    }
}

/// Counts by the minute: so many posts an hour on average, over days.
pub fn ordinary(rng: &mut Rng, per_hour: f64, life: Life, days: usize) -> Vec<f64> {
    let mut counts = vec![0.0; days * DAY];
    let (mut of_day, mut wandering) = (0.0, 0.0);
    let kept = (-1.0_f64 / 180.0).exp();
    for minute in 0..counts.len() {
        if minute % DAY == 0 {
            of_day = 0.2 * normal(rng);
        }
        wandering = kept * wandering + (1.0 - kept * kept).sqrt() * 0.25 * normal(rng);
        let rate = per_hour / 60.0 * shape(minute) * (of_day + wandering - 0.051_f64).exp();
        let clusters = poisson(rng, rate / mean_cluster(life));
        if life == Life::Calm && clusters > 100.0 {
            // Many small clusters: their sum is nearly normal.
            let posts = 1.3 * clusters + (0.39 * clusters).sqrt() * normal(rng);
            counts[minute] += posts.round().max(0.0);
            continue;
        }
        for _ in 0..clusters as usize {
            let posts = cluster(rng, life);
            for post in 0..posts {
                let later = if life == Life::Bursty && post > 0 { (-rng_open(rng).ln() * 8.0) as usize } else { 0 };
                if let Some(count) = counts.get_mut(minute + later) {
                    *count += 1.0;
                }
            }
        }
    }
    counts
}

/// Adds a burst of so many posts from a minute on.
pub fn add(rng: &mut Rng, counts: &mut [f64], burst: Burst, from: usize, posts: f64) {
    let whole: f64 = (0..burst.minutes()).map(|minute| burst.weight(minute)).sum();
    for minute in 0..burst.minutes() {
        if let Some(count) = counts.get_mut(from + minute) {
            *count += poisson(rng, posts * burst.weight(minute) / whole);
        }
    }
}

/// By the hour of the day and the day of the week; 1 on average.
fn shape(minute: usize) -> f64 {
    let hour = (minute % DAY) as f64 / 60.0;
    let day = 1.0 + 0.75 * ((hour - 9.0) / 24.0 * std::f64::consts::TAU).sin();
    let weekend = if minute / DAY % 7 >= 5 { 0.7 } else { 1.12 };
    day * weekend
}

fn mean_cluster(life: Life) -> f64 {
    match life {
        Life::Calm => 1.3,
        Life::Bursty => 1.8, // measured
    }
}

fn cluster(rng: &mut Rng, life: Life) -> usize {
    match life {
        // Geometric with mean 1.3.
        Life::Calm => 1 + (rng_open(rng).ln() / (0.3_f64 / 1.3).ln()) as usize,
        Life::Bursty => rng_open(rng).powf(-1.0 / 2.2).min(30.0) as usize,
    }
}

/// Between 0 and 1, never 0.
fn rng_open(rng: &mut Rng) -> f64 {
    rng.share().max(1e-18)
}

pub fn normal(rng: &mut Rng) -> f64 {
    (-2.0 * rng_open(rng).ln()).sqrt() * (std::f64::consts::TAU * rng.share()).cos()
}

pub fn poisson(rng: &mut Rng, mean: f64) -> f64 {
    if mean > 50.0 {
        return (mean + mean.sqrt() * normal(rng)).round().max(0.0);
    }
    let (limit, mut product, mut count) = ((-mean).exp(), rng.share(), 0.0);
    while product > limit {
        product *= rng.share();
        count += 1.0;
    }
    count
}
