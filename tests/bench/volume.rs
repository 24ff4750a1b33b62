//! What is unusual, on simulated streams: promises about false alarms, bursts caught, and
//! four other ways to ask, each with the best of its settings that keeps the same promise.
//!
//! A stream is a rule of its own for [`DAYS`] days; false alarms are counted after the
//! first [`LEARNT`], which the others need. Alarms of one rule within half a day are one.

use std::time::{Duration, Instant};

use clap::Parser;
use stormbell::domain::volume::{Baseline, Bin, Floor, Policy, Promise, Scale};

use crate::rng::Rng;
use rivals::{RIVALS, Rival};
use streams::{Burst, DAY, Life, add, ordinary};

mod counting;
mod rivals;
mod silences;
mod stories;
#[path = "../volume/streams.rs"]
mod streams;
mod trade;

/// Posts an hour, from a rule that hardly ever matches to ten thousand a minute.
const RATES: [f64; 9] = [0.01, 0.1, 0.5, 1.0, 3.0, 10.0, 100.0, 1000.0, 600_000.0];
const LEARNT: usize = 30;
const DAYS: usize = 120;
/// Alarms of a rule within so many minutes are one.
const ONE: usize = 12 * 60;

/// Measures what is unusual on simulated streams.
#[derive(Debug, Parser)]
pub struct Volume {
    /// Streams of each kind
    #[arg(long, default_value_t = 12)]
    rules: usize,
    /// Bursts of each kind and size
    #[arg(long, default_value_t = 20)]
    trials: usize,
}

impl Volume {
    pub fn run(self, seed: u64) {
        println!("\nvolume    {} streams of {DAYS} days a cell, seed {seed}", self.rules);
        self.promises(seed);
        let kept = self.rivals(seed);
        self.bursts(seed, &kept);
        self.trade(seed);
        silences::silences(seed, self.rules);
        speed(seed);
        counting::counting(seed);
        stories::stories(seed);
    }

    /// False alarms a rule-year against what was promised.
    fn promises(&self, seed: u64) {
        let promises = [7, 30, 365].map(|days| Promise { alarms: 1, within: Duration::from_hours(24 * days) });
        println!(
            "\n| false alarms a rule-year, promised | 1 per 7d: 52 | 1 per 30d: 12 | 1 per 365d: 1 |\n| --- | ---: | ---: | ---: |"
        );
        for life in [Life::Calm, Life::Bursty] {
            for per_hour in RATES.into_iter().filter(|rate| life == Life::Calm || *rate <= 1000.0) {
                let mut alarms = [0; 3];
                for rule in 0..self.rules {
                    let counts = stream(seed, rule, per_hour, life);
                    for (alarms, promise) in alarms.iter_mut().zip(promises) {
                        *alarms += ours(promise, &counts).into_iter().filter(|minute| *minute >= LEARNT * DAY).count();
                    }
                }
                let [weekly, monthly, yearly] = alarms.map(|alarms| self.a_year(alarms));
                println!("| {life:?}, {per_hour} an hour | {weekly:.1} | {monthly:.1} | {yearly:.1} |");
            }
        }
    }

    fn a_year(&self, alarms: usize) -> f64 {
        alarms as f64 / (self.rules * (DAYS - LEARNT)) as f64 * 365.25
    }

    /// Of each rival, the settings that keep a monthly promise at every rate.
    fn rivals(&self, seed: u64) -> Vec<Rival> {
        let mut most = vec![0.0_f64; RIVALS.len()];
        for per_hour in RATES {
            let mut alarms = vec![0; RIVALS.len()];
            for rule in 0..self.rules {
                let past = rivals::Past::new(&stream(seed, rule, per_hour, Life::Calm));
                for (alarms, rival) in alarms.iter_mut().zip(RIVALS) {
                    let raised = (LEARNT * DAY..DAYS * DAY).filter(|minute| rival.alarms(&past, *minute));
                    *alarms += one_each(raised).len();
                }
            }
            for (most, alarms) in most.iter_mut().zip(alarms) {
                *most = most.max(self.a_year(alarms));
            }
        }
        println!(
            "\n| others, {} settings | most false alarms a rule-year at any rate, calm |\n| --- | ---: |",
            RIVALS.len()
        );
        for (rival, most) in RIVALS.iter().zip(&most).filter(|(rival, most)| rival.is_usual() || **most <= 14.6) {
            println!("| {} | {most:.1} |", rival.name());
        }
        RIVALS.iter().zip(most).filter(|(_, most)| *most <= 14.6).map(|(rival, _)| *rival).collect()
    }

    /// The share of bursts that alarm in time, and after how many minutes.
    fn bursts(&self, seed: u64, kept: &[Rival]) {
        let scale = Scale::minutes();
        let policy = policy(Promise::MONTHLY);
        println!(
            "\n| burst, calm streams, 1 per 30d | ours: caught, minutes | best of the others |\n| --- | --- | --- |"
        );
        for per_hour in [0.1_f64, 1.0, 10.0, 100.0, 1000.0] {
            let sizes = [1.0, 2.0].map(|times| (times * (8.0 + 1.9 * per_hour.powf(0.75))).round());
            let mut cells = vec![(Vec::new(), vec![0; kept.len()]); 8];
            for trial in 0..self.trials {
                let mut rng = Rng(seed ^ (trial as u64 * 104_729 + per_hour as u64));
                let from = LEARNT * DAY + rng.index(DAY);
                let counts = ordinary(&mut rng, per_hour, Life::Calm, LEARNT + 2);
                let learnt = learn(&counts[..from], &policy);
                for (cell, (ours, others)) in cells.iter_mut().enumerate() {
                    let (burst, posts) = (Burst::ALL[cell / 2], sizes[cell % 2]);
                    let mut counts = counts.clone();
                    add(&mut rng, &mut counts, burst, from, posts);
                    let until = from + burst.minutes();
                    let mut baseline = learnt.clone();
                    let alarm =
                        (from..until).find(|minute| baseline.learn(&scale, &policy, bin(&counts, *minute), true));
                    ours.extend(alarm.map(|minute| minute - from));
                    let past = rivals::Past::new(&counts);
                    for (caught, rival) in others.iter_mut().zip(kept) {
                        *caught += usize::from((from..until).any(|minute| rival.alarms(&past, minute)));
                    }
                }
            }
            for (cell, (mut ours, others)) in cells.into_iter().enumerate() {
                ours.sort_unstable();
                let share = |caught: usize| caught as f64 / self.trials as f64;
                let delay = ours.get(ours.len() / 2).map_or("–".to_owned(), usize::to_string);
                let best = others.iter().zip(kept).max_by_key(|(caught, _)| **caught);
                let best = best.map_or("none keeps it".to_owned(), |(caught, rival)| {
                    format!("{:.2} {}", share(*caught), rival.name())
                });
                let (burst, posts) = (Burst::ALL[cell / 2], sizes[cell % 2]);
                println!("| {per_hour} an hour, {burst:?} of {posts} | {:.2}, {delay} | {best} |", share(ours.len()));
            }
        }
    }
}

fn stream(seed: u64, rule: usize, per_hour: f64, life: Life) -> Vec<f64> {
    let mut rng = Rng(seed ^ (rule as u64 * 7919 + (per_hour * 1000.0) as u64 + life as u64 * 31));
    ordinary(&mut rng, per_hour, life, DAYS)
}

fn policy(promise: Promise) -> Policy {
    Policy { floor: Some(Floor::EIGHT), ..Policy::keeping(promise, &Scale::minutes()) }
}

fn bin(counts: &[f64], minute: usize) -> Bin {
    Bin { count: counts[minute], exposure: 1.0, hour: minute as f64 / 60.0 % 168.0 }
}

fn learn(counts: &[f64], policy: &Policy) -> Baseline {
    let scale = Scale::minutes();
    let mut baseline = Baseline::new(&scale);
    for minute in 0..counts.len() {
        baseline.learn(&scale, policy, bin(counts, minute), true);
    }
    baseline
}

fn ours(promise: Promise, counts: &[f64]) -> Vec<usize> {
    let (scale, policy) = (Scale::minutes(), policy(promise));
    let mut baseline = Baseline::new(&scale);
    let raised = (0..counts.len()).filter(|minute| baseline.learn(&scale, &policy, bin(counts, *minute), true));
    one_each(raised)
}

fn one_each(raised: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut kept: Vec<usize> = Vec::new();
    for minute in raised {
        if kept.last().is_none_or(|last| minute - last > ONE) {
            kept.push(minute);
        }
    }
    kept
}

/// A minute of ten thousand rules, and the bytes of one.
fn speed(seed: u64) {
    let (scale, policy) = (Scale::minutes(), policy(Promise::MONTHLY));
    for per_hour in [0.1, 10.0, 1000.0] {
        let counts = ordinary(&mut Rng(seed), per_hour, Life::Calm, 8);
        let learnt = learn(&counts[..7 * DAY], &policy);
        let mut rules = vec![learnt.clone(); 10_000];
        let mut best = Duration::MAX;
        for minute in 7 * DAY..7 * DAY + 10 {
            let began = Instant::now();
            for (rule, baseline) in rules.iter_mut().enumerate() {
                let bin = bin(&counts, minute + rule % (DAY / 2));
                std::hint::black_box(baseline.learn(&scale, &policy, bin, true));
            }
            best = best.min(began.elapsed());
        }
        let bytes = learnt.to_bytes().len();
        println!(
            "\nvolume    {per_hour} an hour: a minute of 10,000 rules in {:.1} ms, {:.0} ns a rule; {bytes} bytes on disk",
            best.as_secs_f64() * 1e3,
            best.as_secs_f64() * 1e5
        );
    }
}
