//! What fewer false alarms cost on quiet rules, and where the reference's own setting lies: the
//! same streams and the same bursts for all.

use stormbell::domain::volume::{Baseline, Floor, Policy, Promise, Scale};

use super::streams::{Burst, DAY, Life, add, ordinary};
use super::{LEARNT, Volume, bin, learn, one_each, policy, stream};
use crate::rng::Rng;

/// Where a month's promise is hardest to keep.
const RATES: [f64; 3] = [0.5, 1.0, 3.0];
const SIZES: [f64; 3] = [10.0, 15.0, 20.0];

fn settings() -> Vec<(String, Policy)> {
    let monthly = policy(Promise::MONTHLY);
    let asking = |surprise: f64| (format!("surprise {surprise}"), Policy { surprise: [surprise; 6], ..monthly });
    let page = Floor { posts: 8.0, expected: 1.0, from_hours: 6.0 };
    let reference = Policy { surprise: [5.0; 6], floor: Some(page), ..Policy::NEVER };
    let ours = [("1 per 30d".to_owned(), monthly), ("the reference's page".to_owned(), reference)];
    [3.0, 3.5, 4.1, 5.0].map(asking).into_iter().chain(ours).collect()
}

impl Volume {
    pub fn trade(&self, seed: u64) {
        println!(
            "\n| an hour, setting | false alarms a rule-year, calm, bursty | storms of {SIZES:?} | steps | viral |\n| --- | ---: | --- | --- | --- |"
        );
        for per_hour in RATES {
            for (name, policy) in settings() {
                let [calm, bursty] =
                    [Life::Calm, Life::Bursty].map(|life| self.false_alarms(seed, per_hour, life, &policy));
                let caught = self.caught(seed, per_hour, &policy);
                println!("| {per_hour}, {name} | {calm:.1}, {bursty:.1} | {} |", caught.join(" | "));
            }
        }
    }

    fn false_alarms(&self, seed: u64, per_hour: f64, life: Life, policy: &Policy) -> f64 {
        let scale = Scale::minutes();
        let of_rule = |rule| {
            let counts = stream(seed, rule, per_hour, life);
            let mut baseline = Baseline::new(&scale);
            let raised = (0..counts.len()).filter(|minute| baseline.learn(&scale, policy, bin(&counts, *minute), true));
            one_each(raised).into_iter().filter(|minute| *minute >= LEARNT * DAY).count()
        };
        self.a_year((0..self.rules).map(of_rule).sum())
    }

    /// The shares that alarm in time, by kind and size.
    fn caught(&self, seed: u64, per_hour: f64, policy: &Policy) -> [String; 3] {
        let scale = Scale::minutes();
        let kinds = [Burst::Storm, Burst::Step, Burst::Viral];
        let mut caught = [[0; 3]; 3];
        for trial in 0..self.trials {
            let mut rng = Rng(seed ^ (trial as u64 * 104_729 + per_hour as u64));
            let from = LEARNT * DAY + rng.index(DAY);
            let counts = ordinary(&mut rng, per_hour, Life::Calm, LEARNT + 2);
            let learnt = learn(&counts[..from], policy);
            for (of_kind, burst) in caught.iter_mut().zip(kinds) {
                for (of_size, posts) in of_kind.iter_mut().zip(SIZES) {
                    let (mut counts, mut baseline) = (counts.clone(), learnt.clone());
                    add(&mut Rng(seed ^ trial as u64 ^ posts as u64), &mut counts, burst, from, posts);
                    let mut minutes = from..from + burst.minutes();
                    let alarms = minutes.any(|minute| baseline.learn(&scale, policy, bin(&counts, minute), true));
                    *of_size += usize::from(alarms);
                }
            }
        }
        caught.map(|of_kind| of_kind.map(|caught| format!("{:.2}", caught as f64 / self.trials as f64)).join(", "))
    }
}
