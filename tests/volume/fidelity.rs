//! Alarm for alarm what the reference raises.
//!
//! `tests/golden/volume-alarms.txt` holds the rows at which the reference, a program of its
//! own, raises alarms on streams that our generator makes from a seed. What we added to the reference, the surprise
//! that a stream's own storms ask for, is left out here: these cases promise nothing. To make it anew:
//!
//! ```sh
//! STORMBELL_STREAMS=/tmp/streams cargo test --test volume -- --ignored write_the_streams
//! python3 tests/volume/reference.py ../shared/reference/detector.py /tmp/streams > tests/golden/volume-alarms.txt
//! ```

use std::fmt::Write as _;
use std::path::Path;

use stormbell::domain::volume::{Baseline, Bin, Floor, Policy, Scale};

use crate::rng::Rng;
use crate::streams::{Burst, DAY, Life, add, ordinary};

/// A stream, and how it is to be judged.
struct Case {
    name: String,
    seconds: f64,
    policy: Policy,
    bins: Vec<Bin>,
}

/// Every rate and both ways of life, bursts of all kinds, times unseen in whole and in part,
/// in bins of a minute, five minutes and an hour.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (minutes, days) in [(1, 16), (5, 40), (60, 120)] {
        for per_hour in [0.05, 1.0, 10.0, 200.0, 20_000.0] {
            for life in [Life::Calm, Life::Bursty] {
                if life == Life::Bursty && per_hour > 1000.0 {
                    continue;
                }
                for (word, surprise, floor) in
                    [("notice", 2.0, None), ("page", 5.0, Some(Floor { posts: 8.0, expected: 1.0, from_hours: 6.0 }))]
                {
                    let name = format!("{word}-{minutes}min-{per_hour}-{life:?}");
                    let bins = bins(cases.len() as u64, minutes, per_hour, life, days);
                    cases.push(Case {
                        name,
                        seconds: 60.0 * minutes as f64,
                        policy: Policy { surprise: [surprise; 6], floor, ..Policy::NEVER },
                        bins,
                    });
                }
            }
        }
    }
    cases
}

fn bins(seed: u64, minutes: usize, per_hour: f64, life: Life, days: usize) -> Vec<Bin> {
    let mut rng = Rng(1000 + seed);
    let mut counts = ordinary(&mut rng, per_hour, life, days);
    for day in (2..days).step_by(3) {
        let burst = Burst::ALL[rng.index(4)];
        let from = day * DAY + rng.index(DAY);
        let posts = rng.log_uniform(8.0, 60.0) * (1.0 + per_hour / 5.0);
        add(&mut rng, &mut counts, burst, from, posts);
    }
    let mut exposure = vec![1.0; counts.len()];
    for _ in 0..days / 4 {
        let from = rng.index(counts.len() - 400);
        for minute in from..from + rng.between(1, 400) as usize {
            (counts[minute], exposure[minute]) = (0.0, 0.0);
        }
    }
    let bin = |(place, (counts, exposure)): (usize, (&[f64], &[f64]))| Bin {
        count: counts.iter().sum(),
        exposure: exposure.iter().sum::<f64>() / minutes as f64,
        hour: (place * minutes) as f64 / 60.0 % 168.0,
    };
    counts.chunks(minutes).zip(exposure.chunks(minutes)).enumerate().map(bin).collect()
}

#[test]
fn alarms_are_those_of_the_reference() {
    let golden = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/volume-alarms.txt"));
    let mut found = String::new();
    let mut alarms = 0;
    for Case { name, seconds, policy, bins } in cases() {
        let scale = Scale::of(seconds);
        let mut baseline = Baseline::new(&scale);
        write!(found, "{name}:").unwrap();
        for (row, &bin) in bins.iter().enumerate() {
            if row % 997 == 0 {
                // As if the process had ended here, and gone on.
                baseline = Baseline::from_bytes(&scale, &baseline.to_bytes()).unwrap();
            }
            let told = row % 50 != 0 || explains_itself(&baseline, &scale, &policy, bin);
            if baseline.learn(&scale, &policy, bin, told) {
                alarms += 1;
                write!(found, " {row}").unwrap();
            }
        }
        found.push('\n');
    }
    assert!(alarms > 400, "{alarms} alarms show little");
    assert_eq!(found, golden.unwrap(), "see the top of tests/volume/fidelity.rs");
}

/// The judgement, the short form of it and the bound above which it is an alarm are one.
fn explains_itself(baseline: &Baseline, scale: &Scale, policy: &Policy, bin: Bin) -> bool {
    let judgement = baseline.judge(scale, policy, bin);
    let upper = baseline.upper(scale, policy, bin);
    assert_eq!(judgement.alarm, baseline.is_alarm(scale, policy, bin));
    assert_eq!(judgement.alarm, upper.is_some_and(|upper| bin.count > upper), "{judgement:?} {upper:?} {bin:?}");
    true
}

#[test]
#[ignore = "writes the streams for the reference; see above"]
fn write_the_streams() {
    let folder = std::env::var("STORMBELL_STREAMS").expect("STORMBELL_STREAMS names a folder");
    std::fs::create_dir_all(&folder).unwrap();
    for (number, Case { name, seconds, policy: Policy { surprise, floor, .. }, bins }) in
        cases().into_iter().enumerate()
    {
        let floor = floor.map_or(0.0, |floor| floor.posts);
        let mut text = format!("{name} {seconds} {} {floor}\n", surprise[0]);
        for Bin { count, exposure, hour } in bins {
            writeln!(text, "{count} {exposure} {hour}").unwrap();
        }
        std::fs::write(Path::new(&folder).join(format!("{number:03}.txt")), text).unwrap();
    }
}
