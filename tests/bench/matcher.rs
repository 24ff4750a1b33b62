//! How fast frames in memory become the rules that take them: decoding and matching, on
//! one thread, with nothing around it.

mod bomb;
mod reload;
mod scale;
mod worst;

use clap::{Parser, ValueEnum};

use super::corpus::Recording;
use super::corpus::rules::Set;

/// Frames in memory to matched rules, one thread.
#[derive(Debug, Parser)]
pub struct Matcher {
    /// Frames in memory
    #[arg(long, default_value_t = 100_000)]
    frames: usize,
    /// Rounds over them; of each 2,000 frames the best counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Numbers of rules, ascending
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1000, 10_000, 100_000])]
    rules: Vec<usize>,
    /// Measure only this
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The mixed rules, from few to many
    Scale,
    /// Words alone; common phrases and Japanese words; beside mixed rules of that number
    Sets,
    /// Rules made to blow up a compiler
    Bomb,
    /// Posts and rules made to cost as much as they can
    Worst,
    /// Frames while 100,000 rules are read anew
    Reload,
}

impl Matcher {
    /// All parts, as without arguments.
    pub fn all() -> Self {
        Self::parse_from(["matcher"])
    }

    pub fn run(self, seed: u64) {
        let wanted = |part| self.only.is_empty() || self.only.contains(&part);
        let timed = [Part::Scale, Part::Sets, Part::Reload].into_iter().any(wanted);
        let recording = Recording::new(seed, if timed { self.frames } else { 20_000.min(self.frames) });
        println!("corpus    {}", recording.account());
        if wanted(Part::Scale) {
            scale::measure("mixed rules", &self.sizes(Set::Mixed), &recording, self.rounds, seed);
        }
        if wanted(Part::Sets) {
            let sets = [Set::Mixed, Set::Words, Set::Common].map(|set| (set, 10_000)).into_iter();
            let sets: Vec<_> = sets.chain([(Set::Words, 100_000)]).collect();
            scale::measure("kinds of rules", &sets, &recording, self.rounds, seed);
        }
        if wanted(Part::Bomb) {
            bomb::measure(&recording, seed);
        }
        if wanted(Part::Worst) {
            worst::measure();
        }
        if wanted(Part::Reload) {
            reload::measure(&recording, seed);
        }
    }

    fn sizes(&self, set: Set) -> Vec<(Set, usize)> {
        self.rules.iter().map(|&count| (set, count)).collect()
    }
}
