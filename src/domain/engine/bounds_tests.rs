//! How much each rule may remember, whatever strangers write: counted by the allocator.
//!
//! Counted is what a rule has for itself. A post that several rules remember is there once, so the
//! posts are made before anything is counted.

use std::time::Duration;

use allocation_counter::measure;
use proptest::prelude::*;

use super::exposure::Exposure;
use super::minutes::Surroundings;
use super::silence::Silence;
use super::watch::{Watch, policy};
use crate::domain::condition::keyed::Windows;
use crate::domain::condition::{
    Count, Distinct, NewTerm, OwnWords, Part, Seen, Share, Spike, Vocabulary, Whole, Window, terms,
};
use crate::domain::id::PostId;
use crate::domain::key::Key;
use crate::domain::post::Post;
use crate::domain::story::Story;
use crate::domain::time::{Timestamp, Zone};
use crate::domain::volume::{Promise, Scale};

/// Of a rule with its season.
const RULE: i64 = 20_000;

/// How the posts of an adversary follow one another.
#[derive(Clone, Copy, Debug)]
struct Flood {
    posts: i64,
    authors: i64,
    /// Of microseconds, from one to the next.
    step: i64,
    /// Every so many posts there is one from before.
    late: i64,
}

impl Flood {
    const WORST: Self = Self { posts: 100_000, authors: 100_000, step: 1_000_000, late: 1000 };

    fn seen(self) -> Vec<Seen> {
        let one = |n: i64| {
            let late = if n % self.late == self.late - 1 { 3_600_000_000 } else { 0 };
            let post = PostId::from(format!("post {n}"));
            let (author, story) = (format!("author {}", n % self.authors), Story::begun_by(&post));
            Seen::new(Timestamp::from_micros(1_795_341_600_000_000 + n * self.step - late), post, author.into(), story)
        };
        (0..self.posts).map(one).collect()
    }
}

/// What is held at the end.
fn held<T>(work: impl FnOnce() -> T) -> i64 {
    let mut kept = None;
    measure(|| kept = Some(work())).bytes_current
}

fn of_spike(posts: &[Seen]) -> i64 {
    let (scale, zone, exposure) = (Scale::minutes(), Zone::default(), Exposure::of_one());
    let around = Surroundings { scale: &scale, zone: &zone, exposure: &exposure };
    let spike = Spike { false_alarms: Promise::MONTHLY, at_least: 5, authors: 3 };
    let policy = policy(spike.false_alarms, &spike, &scale);
    let first = posts.first().map_or(Timestamp::default(), |seen| seen.at);
    let watching = || {
        let mut watch = Watch::new(&scale, first);
        for seen in posts {
            watch.add(&spike, &policy, seen, &around);
        }
        watch
    };
    held(watching)
}

fn of_silence(posts: &[Seen]) -> i64 {
    let (scale, zone, exposure) = (Scale::minutes(), Zone::default(), Exposure::of_one());
    let around = Surroundings { scale: &scale, zone: &zone, exposure: &exposure };
    let first = posts.first().map_or(Timestamp::default(), |seen| seen.at);
    let listening = || {
        let mut silence = Silence::new(&scale, first);
        for seen in posts {
            silence.heard(seen.at, &around);
        }
        silence
    };
    held(listening)
}

fn of_count(posts: &[Seen], count: Count) -> i64 {
    let counting = || {
        let mut window = Window::default();
        for seen in posts {
            window.add(seen.clone(), &count);
        }
        window
    };
    held(counting)
}

fn of_share(posts: &[Seen]) -> i64 {
    let share = Share { above: Part::new(0.3).unwrap(), at_least: 20, within: Duration::from_hours(1) };
    let counting = || {
        let mut whole = Whole::default();
        for seen in posts {
            whole.add(seen, true, &share);
        }
        whole
    };
    held(counting)
}

fn of_new_term(posts: &[Seen]) -> i64 {
    let asked = NewTerm { within: Duration::from_hours(1), at_least: 3, authors: 2 };
    let text = |n: usize| (0..30).map(|word| format!("w{}x{word}", n * 31)).collect::<Vec<_>>().join(" ");
    let said: Vec<_> = (0..posts.len())
        .map(|n| terms(&Post::plain("p".into(), "s".into(), "a".into(), text(n), Timestamp::default()), false))
        .collect();
    let first = posts.first().map_or(Timestamp::default(), |seen| seen.at);
    let reading = || {
        let mut vocabulary = Vocabulary::new(first);
        for (seen, said) in posts.iter().zip(&said) {
            vocabulary.add(seen, said, &OwnWords::default(), &asked);
        }
        vocabulary
    };
    held(reading)
}

/// Bytes, and sightings.
fn of_keys(posts: &[Seen], keys: i64, count: Count) -> (i64, usize) {
    let mut most = 0;
    let counting = || {
        let mut windows = Windows::default();
        for (n, seen) in (0..).zip(posts) {
            windows.add(Key::of(&(n % keys)), seen.clone(), &count);
            most = most.max(windows.held());
        }
        windows
    };
    let bytes = held(counting);
    (bytes, most)
}

fn within(minutes: u64, at_least: u64, distinct: Distinct) -> Count {
    Count { at_least, distinct, within: Duration::from_mins(minutes) }
}

/// Bytes of a rule of each kind, of those that have a bound of their own first.
fn of_each(posts: &[Seen]) -> [(&'static str, i64, i64); 6] {
    [
        ("spike", of_spike(posts), RULE),
        ("quiet", of_silence(posts), RULE),
        ("count", of_count(posts, within(10, 3, Distinct::Author)), RULE),
        ("count, the largest with such a bound", of_count(posts, within(1, 256, Distinct::Post)), RULE),
        ("count that fires often", of_count(posts, within(1, 2, Distinct::Post)), RULE),
        ("share", of_share(posts.get(..posts.len().min(5000)).unwrap_or(posts)), RULE),
    ]
}

#[test]
fn a_hundred_thousand_strangers_do_not_make_a_rule_larger() {
    let worst = Flood::WORST.seen();
    for (kind, bytes, most) in of_each(&worst) {
        println!("{kind}: {bytes} B");
        assert!(bytes <= most, "{kind}: {bytes}");
    }
    let words = of_new_term(worst.get(..3000).unwrap());
    println!("new_term: {words} B");
    assert!(words <= RULE, "{words}");
}

#[test]
fn a_hundred_thousand_keys_do_not_make_a_rule_larger() {
    let worst = Flood::WORST.seen();
    // Thresholds beyond a thousand ask for so many posts of a single key.
    for (at_least, keys, most_held, most) in [
        (3, 100_000, 2048, 250_000),
        (100, 100_000, 8192, 700_000),
        (100, 40, 8192, 200_000),
        (5000, 7, 20_000, 400_000),
    ] {
        let (bytes, held) = of_keys(&worst, keys, within(10, at_least, Distinct::Author));
        println!("{keys} keys, at least {at_least}: {bytes} B, {held} sightings");
        assert!(held <= most_held + 1 && bytes <= most, "{keys} keys, at least {at_least}: {bytes} B, {held}");
    }
}

#[test]
fn what_has_no_room_is_counted() {
    let worst = Flood { posts: 10_000, step: 1000, late: i64::MAX, ..Flood::WORST }.seen();
    let count = within(10, 3, Distinct::Author);
    let (mut window, mut windows) = (Window::default(), Windows::default());
    let mut gone = [0, 0];
    for seen in &worst {
        window.add(seen.clone(), &count);
        windows.add(seen.post_key, seen.clone(), &count);
        let [of_window, of_windows] = &mut gone;
        *of_window += window.take_crowded_out();
        *of_windows += windows.take_crowded_out();
    }
    assert_eq!(gone[1] + windows.held() as u64, 10_000, "all of them within ten seconds: nothing was too old");
    assert!((10_000 - 1024..10_000).contains(&gone[0]), "{gone:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_flood_makes_a_rule_larger(
        posts in 1000i64..4000, authors in 1i64..5000, step in prop::sample::select(vec![1000, 100_000, 1_000_000, 20_000_000]), late in 2i64..50,
    ) {
        let posts = Flood { posts, authors, step, late }.seen();
        for (kind, bytes, most) in of_each(&posts) {
            prop_assert!(bytes <= most, "{}: {}", kind, bytes);
        }
    }
}
