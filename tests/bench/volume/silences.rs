//! False silences: how often ordinary life is silent for half an hour, how often that is told,
//! and how long a stream that ends is waited for.

use stormbell::domain::time::Timestamp;
use stormbell::domain::volume::{Baseline, Longest, Policy, Scale};

use super::streams::{DAY, Life};
use super::{DAYS, LEARNT, bin};
use crate::rng::Rng;

const RATES: [f64; 7] = [0.1, 0.5, 1.0, 3.0, 10.0, 100.0, 1000.0];
const HALF_AN_HOUR: usize = 30;
/// Nobody waits longer.
const LONGEST_WAIT: usize = 20_000;

/// What became of the silences of one kind of stream.
#[derive(Default)]
struct Told {
    by_plain_time: usize,
    unusual: usize,
    waits: Vec<usize>,
}

pub fn silences(seed: u64, rules: usize) {
    println!(
        "\n| silences of half an hour a rule-year | by plain time | told | a stream that ends: told after, median | 9 in 10 |\n| --- | ---: | ---: | ---: | ---: |"
    );
    for (life, closed) in [(Life::Calm, false), (Life::Bursty, false), (Life::Calm, true)] {
        for per_hour in RATES {
            let mut told = Told::default();
            for rule in 0..rules {
                let mut counts = super::stream(seed, rule, per_hour, life);
                if closed {
                    counts.iter_mut().enumerate().filter(|(minute, _)| is_closed(*minute)).for_each(|(_, n)| *n = 0.0);
                }
                told.watch(&counts, Rng(seed ^ rule as u64).index(DAY));
            }
            told.waits.sort_unstable();
            let wait = |share: f64| match told.waits[(told.waits.len() as f64 * share) as usize] {
                LONGEST_WAIT => "longer".to_owned(),
                minutes => format!("{:.1} h", minutes as f64 / 60.0),
            };
            let a_year = |silences: usize| silences as f64 / (rules * (DAYS - LEARNT)) as f64 * 365.25;
            let (plain, unusual) = (a_year(told.by_plain_time), a_year(told.unusual));
            let words = if closed { "weekdays from 7 to 20 only" } else { "always" };
            println!(
                "| {life:?}, {per_hour} an hour, {words} | {plain:.0} | {unusual:.1} | {} | {} |",
                wait(0.5),
                wait(0.9)
            );
        }
    }
}

fn is_closed(minute: usize) -> bool {
    !(7 * 60..20 * 60).contains(&(minute % DAY)) || minute / DAY % 7 >= 5
}

impl Told {
    fn watch(&mut self, counts: &[f64], ends_at: usize) {
        let scale = Scale::minutes();
        let time = |minute: usize| Timestamp::from_seconds(60 * i64::try_from(minute).unwrap());
        let hour = |minute: usize| minute as f64 / 60.0 % 168.0;
        let mut baseline = Baseline::new(&scale);
        // As it was known when the silence began.
        let mut known = baseline.clone();
        let (mut since, mut expected, mut told, mut longest) = (0, 0.0, false, Longest::default());
        for (minute, count) in counts.iter().enumerate() {
            let lasted = minute - since;
            if lasted > 0 {
                expected += known.forecast(&scale, hour(minute));
            }
            let counts_now = usize::from(minute >= LEARNT * DAY);
            if *count == 0.0 && lasted == HALF_AN_HOUR {
                self.by_plain_time += counts_now;
            }
            let lull = known.lull(&scale, lasted as f64, expected);
            let unusual = lull.is_some_and(|lull| lull.is_unusual(&longest, time(minute)));
            if *count == 0.0 && lasted >= HALF_AN_HOUR && unusual && !told {
                (self.unusual, told) = (self.unusual + counts_now, true);
            }
            baseline.learn(&scale, &Policy::NEVER, bin(counts, minute), false);
            if *count > 0.0 {
                if lull.is_some() && lasted > 1 {
                    longest.remember(expected, time(minute));
                }
                (since, expected, told, known) = (minute, 0.0, false, baseline.clone());
            }
            if minute >= LEARNT * DAY && minute % (7 * DAY) == ends_at {
                let mut missed = 0.0;
                let wait = (1..LONGEST_WAIT).find(|wait| {
                    missed += baseline.forecast(&scale, hour(minute + wait));
                    let lull = baseline.lull(&scale, *wait as f64, missed);
                    *wait >= HALF_AN_HOUR && lull.is_some_and(|lull| lull.is_unusual(&longest, time(minute + wait)))
                });
                self.waits.push(wait.unwrap_or(LONGEST_WAIT));
            }
        }
    }
}
