//! What must alarm, and what must not.

use stormbell::domain::volume::{Baseline, Bin, Floor, Policy, Promise, Scale};

use crate::rng::Rng;
use crate::streams::{DAY, Life, ordinary};

/// A rule's stream by the minute.
struct Watch {
    baseline: Baseline,
    policy: Policy,
    minute: usize,
    alarms: Vec<usize>,
}

impl Watch {
    fn new() -> Self {
        let policy = Policy { floor: Some(Floor::EIGHT), ..Policy::keeping(Promise::MONTHLY, &Scale::minutes()) };
        Self { baseline: Baseline::new(&Scale::minutes()), policy, minute: 0, alarms: Vec::new() }
    }

    fn see(&mut self, counts: &[f64], exposure: f64) {
        for &count in counts {
            let bin = Bin { count, exposure, hour: (self.minute as f64 / 60.0) % 168.0 };
            if self.baseline.learn(&Scale::minutes(), &self.policy, bin, true) {
                self.alarms.push(self.minute);
            }
            self.minute += 1;
        }
    }
}

#[test]
fn eight_in_ten_minutes_on_a_quiet_rule_always_alarm_and_one_post_never() {
    for per_hour in [0.0, 0.01, 0.1, 0.3] {
        for seed in 0..20 {
            let days = 1 + seed as usize * 2;
            let mut rng = Rng(seed);
            let mut counts = ordinary(&mut rng, per_hour, Life::Calm, days);
            let burst_at = counts.len() - 60;
            add_evenly(&mut counts, burst_at, 10, 8);
            let mut watch = Watch::new();
            watch.see(&counts[..burst_at], 1.0);
            if watch.alarms.last().is_some_and(|last| burst_at - last < 12 * 60) {
                continue; // people were told of this rule within half a day
            }
            watch.alarms.clear();
            watch.see(&counts[burst_at..burst_at + 10], 1.0);
            assert_eq!(watch.alarms.len(), 1, "{per_hour}/h, day {days}");
        }
    }
    let mut watch = Watch::new();
    for _ in 0..30 {
        let mut day = vec![0.0; DAY];
        day[600] = 1.0;
        watch.see(&day, 1.0);
    }
    assert_eq!(watch.alarms, [0; 0]);
}

#[test]
fn time_that_nobody_saw_is_neither_quiet_nor_followed_by_an_alarm() {
    for per_hour in [1.0, 100.0, 1000.0] {
        let mut alarms = 0;
        for seed in 0..6 {
            let counts = ordinary(&mut Rng(seed), per_hour, Life::Calm, 20);
            let mut watch = Watch::new();
            watch.see(&counts[..14 * DAY], 1.0);
            for outage in 0..6 {
                let from = 14 * DAY + outage * DAY;
                watch.see(&vec![0.0; 180], 0.0);
                watch.alarms.clear();
                watch.see(&counts[from + 180..from + 360], 1.0);
                alarms += watch.alarms.len();
                watch.see(&counts[from + 360..from + DAY], 1.0);
            }
        }
        assert_eq!(alarms, 0, "{per_hour}/h");
    }
}

#[test]
fn late_posts_count_where_they_belong() {
    let mut in_time = Watch::new();
    let mut late = Watch::new();
    for watch in [&mut in_time, &mut late] {
        watch.see(&vec![0.0; 3 * DAY], 1.0);
    }
    in_time.see(&[2.0, 2.0, 2.0, 1.0], 1.0);
    late.see(&[0.0, 2.0, 0.0, 1.0], 1.0);
    assert_eq!(late.alarms, [0; 0]);
    for age in [3, 1] {
        late.baseline.add_late(&Scale::minutes(), age, 0.0, 2.0);
    }
    let next = Bin { count: 1.0, exposure: 1.0, hour: 0.1 };
    let judge = |watch: &Watch| watch.baseline.judge(&Scale::minutes(), &watch.policy, next);
    assert!(judge(&late).alarm);
    let (seen, expected) = (judge(&late).window.seen, judge(&in_time).window.seen);
    assert!((seen - expected).abs() < 1e-9, "{seen} {expected}");
}

#[test]
fn what_is_kept_for_ten_thousand_rules_is_bounded() {
    let mut watch = Watch::new();
    watch.see(&ordinary(&mut Rng(1), 100.0, Life::Bursty, 30), 1.0);
    let bytes = watch.baseline.to_bytes().len();
    assert!(bytes < 4_096, "{bytes} bytes");
}

#[test]
fn bytes_that_are_no_baseline_are_refused() {
    let bytes = Baseline::new(&Scale::minutes()).to_bytes();
    assert!(Baseline::from_bytes(&Scale::of(300.0), &bytes).is_err(), "of other bins");
    assert!(Baseline::from_bytes(&Scale::minutes(), &bytes[..bytes.len() - 1]).is_err());
    assert!(Baseline::from_bytes(&Scale::minutes(), &[&bytes[..], &[0]].concat()).is_err());
    assert!(Baseline::from_bytes(&Scale::minutes(), &[&[9], &bytes[1..]].concat()).is_err(), "of another version");
    assert!(Baseline::from_bytes(&Scale::minutes(), &[]).is_err());
}

/// Exactly so many posts, spread evenly over minutes.
fn add_evenly(counts: &mut [f64], from: usize, minutes: usize, posts: usize) {
    for post in 0..posts {
        counts[from + post * minutes / posts] += 1.0;
    }
}

/// Alarms over some days of a stream, after so many weeks of it.
fn alarms_after(seed: u64, per_hour: f64, weeks: usize, days: usize, change: impl Fn(&mut [f64])) -> usize {
    let mut counts = ordinary(&mut Rng(seed), per_hour, Life::Calm, weeks * 7 + days);
    change(&mut counts[weeks * 7 * DAY..]);
    let mut watch = Watch::new();
    watch.see(&counts[..weeks * 7 * DAY], 1.0);
    watch.alarms.clear();
    watch.see(&counts[weeks * 7 * DAY..], 1.0);
    watch.alarms.len()
}

#[test]
fn clocks_that_change_do_not_alarm() {
    // Life goes by the clock on the wall, which the hours of bins do; a whole hour is gone.
    for (per_hour, seed) in [(1.0, 1), (10.0, 2), (100.0, 3), (1000.0, 4)] {
        let counts = ordinary(&mut Rng(seed), per_hour, Life::Calm, 30);
        let mut watch = Watch::new();
        watch.see(&counts[..28 * DAY], 1.0);
        watch.alarms.clear();
        watch.minute += 60;
        watch.see(&counts[28 * DAY + 60..29 * DAY], 1.0);
        assert_eq!(watch.alarms, [0; 0], "{per_hour}/h");
    }
}

#[test]
fn a_level_that_stays_stops_alarming() {
    for per_hour in [1.0, 10.0, 100.0] {
        let tripled = |seed: u64| {
            let more = ordinary(&mut Rng(seed + 100), 2.0 * per_hour, Life::Calm, 28);
            alarms_after(seed, per_hour, 4, 28, |counts| {
                for (count, more) in counts.iter_mut().zip(&more) {
                    *count += more;
                }
            })
        };
        let alarms: usize = (0..4).map(tripled).sum();
        assert!(alarms <= 4 * 4, "a month at three times the level: {alarms} alarms of 4 rules at {per_hour}/h");
    }
}

#[test]
fn a_weekly_newsletter_alarms_at_first_and_then_no_more() {
    for per_hour in [10.0, 100.0] {
        let posts = 60 + per_hour as usize;
        let with_letters = |seed, weeks| {
            alarms_after(seed, per_hour, 0, weeks * 7, |counts| {
                for week in 0..weeks {
                    add_evenly(counts, (week * 7 + 1) * DAY + 9 * 60, 30, posts);
                }
            })
        };
        let late: usize = (0..4).map(|seed| with_letters(seed, 10) - with_letters(seed, 4)).sum();
        assert!(late <= 4 * 3, "weeks 5 to 10: {late} alarms of 4 rules at {per_hour}/h");
    }
}
