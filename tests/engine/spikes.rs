//! Spike rules over days of virtual time: what is unusual pages, and nothing else.

use std::time::Duration;

use crate::support::sim::{Sim, at, frame, posted, route, rule};
use proptest::prelude::*;
use stormbell::domain::condition::{Condition, Spike};
use stormbell::domain::engine::Input;
use stormbell::domain::event::{Decoded, SourceEvent};
use stormbell::domain::incident::{Alert, ConditionKind, Severity};
use stormbell::domain::rule::Rule;
use stormbell::domain::volume::Promise;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const TEXT: &str = "St Brigids is in the news";

fn spike(at_least: u64, authors: u64) -> Condition {
    Condition::Spike(Spike { false_alarms: Promise::MONTHLY, at_least, authors })
}

fn talk(condition: Condition) -> Rule {
    rule("talk.spike", "talk", Severity::High, "$org", condition)
}

fn sim() -> Sim {
    Sim::new(vec![talk(spike(5, 3))], vec![route(&[], &["talk"], &[(&["pager"], None)], None)])
}

/// A frame without a post each hour, so that time passes.
fn silence(sim: &mut Sim, until: i64) {
    sim.connect(None);
    sim.now = at(0);
    sim.feed(vec![posted("nothing", "nobody", 0, "weather")]);
    sim.now = at(until);
}

/// So many posts an hour by as many authors, evenly, from one second to another.
fn steady(per_hour: i64, from: i64, to: i64) -> Vec<Decoded> {
    let step = HOUR / per_hour;
    (from / step..to / step).map(|n| posted(&format!("s{n}"), &format!("reader {n}"), n * step, TEXT)).collect()
}

fn burst(from: i64, posts: i64, seconds: i64) -> Vec<Decoded> {
    let one = |n| posted(&format!("b{from}-{n}"), &format!("witness {n}"), from + n * seconds / posts, TEXT);
    (0..posts).map(one).collect()
}

fn seconds(alert: &Alert) -> i64 {
    (alert.at.micros() - at(0).micros()) / 1_000_000
}

#[test]
fn eight_people_in_ten_minutes_page_at_once_and_say_what_was_usual() {
    let mut sim = sim();
    silence(&mut sim, 28 * DAY);
    let mut posts = burst(28 * DAY, 8, 560);
    let last = posts.pop().unwrap();
    for post in posts {
        sim.feed(vec![post]);
    }
    let before = sim.model.alerts.len();
    sim.feed(vec![last]);
    assert!(sim.model.alerts.len() == 1, "{before}");
    let alert = &sim.model.alerts[0];
    let volume = alert.volume.unwrap();
    assert_eq!(alert.condition, ConditionKind::Spike);
    assert!(
        (5..=8).contains(&volume.observed) && volume.observed == alert.posts && alert.authors == alert.posts,
        "{alert:?}"
    );
    assert!(volume.expected < 0.1 && volume.upper <= 1, "{alert:?}");
    assert!(alert.why.contains("at this hour of the week; by chance less than once in"), "{}", alert.why);
    assert!(alert.why.contains(" posts by ") && alert.why.contains("the newest matched"), "{}", alert.why);
    assert_eq!(sim.incident().rules.len(), 1);
}

#[test]
fn a_rule_an_hour_old_knows_eight_people_from_silence() {
    let mut sim = sim();
    silence(&mut sim, 2 * HOUR);
    sim.feed(burst(2 * HOUR, 8, 540));
    assert_eq!(sim.model.alerts.len(), 1);
}

#[test]
fn a_few_posts_and_one_loud_author_never_page() {
    let mut sim = sim();
    silence(&mut sim, 28 * DAY);
    sim.feed(burst(28 * DAY, 4, 60));
    for n in 0..500 {
        sim.feed(vec![posted(&format!("f{n}"), "flooder", 29 * DAY + n * 7, TEXT)]);
        sim.feed(vec![posted(&format!("g{n}"), "another", 29 * DAY + n * 7, TEXT)]);
    }
    assert_eq!(sim.model.alerts, []);
    sim.feed(vec![posted("third", "third", 29 * DAY + 3500, TEXT)]);
    assert_eq!(sim.model.alerts.len(), 1, "with a third author it is a crowd");
}

#[test]
fn what_is_usual_for_a_busy_rule_does_not_page_and_much_more_does() {
    let mut sim = sim();
    sim.feed_received(steady(12, 0, 10 * DAY), None);
    assert_eq!(sim.model.alerts, []);
    let burst: Vec<Decoded> = burst(10 * DAY, 40, 600);
    sim.feed_received(burst, None);
    assert_eq!(sim.model.alerts.len(), 1);
    let volume = sim.model.alerts[0].volume.unwrap();
    assert!((2.0..4.0).contains(&volume.expected) && volume.observed < 20, "{volume:?}");
}

#[test]
fn late_and_shuffled_posts_count_where_they_belong() {
    let mut sim = sim();
    silence(&mut sim, 28 * DAY);
    let mut posts = burst(28 * DAY, 8, 400);
    posts.reverse();
    posts.rotate_left(3);
    for post in posts {
        sim.feed(vec![post]);
    }
    assert_eq!(sim.model.alerts.len(), 1);
    // As old as yesterday: nothing that happens now.
    let old = (0..8).map(|n| posted(&format!("o{n}"), &format!("old {n}"), 27 * DAY - n * HOUR, TEXT)).collect();
    sim.feed(old);
    assert_eq!(sim.model.alerts.len(), 1);
}

#[test]
fn catching_up_after_an_outage_is_not_a_spike_and_a_spike_within_it_is_found_late() {
    let run = |extra: Vec<Decoded>| {
        let mut sim = sim();
        sim.connect(None);
        for day in 0..6 {
            sim.now = at((day + 1) * DAY);
            sim.feed(steady(12, day * DAY, (day + 1) * DAY));
        }
        sim.cut();
        sim.now = at(6 * DAY + 4 * HOUR);
        sim.connect(Some(6 * DAY - 300));
        let mut missed = steady(12, 6 * DAY - 300, 6 * DAY + 4 * HOUR);
        missed.extend(extra);
        missed.sort_by_key(|frame| frame.cursor);
        sim.feed(missed);
        sim
    };
    let sim = run(Vec::new());
    assert_eq!(
        (sim.model.alerts.len(), sim.gaps()),
        (0, vec![format!("{0}-{1} closed recovered", 6 * DAY - 300, 6 * DAY - 300)])
    );
    let sim = run(burst(6 * DAY + 2 * HOUR, 40, 600));
    assert_eq!(sim.model.alerts.len(), 1);
    assert!(sim.incident().late);
    assert_eq!(seconds(&sim.model.alerts[0]) / 900, (6 * DAY + 2 * HOUR) / 900);
}

#[test]
fn what_was_lost_was_not_silence() {
    let mut sim = sim();
    sim.connect(None);
    sim.now = at(7 * DAY);
    sim.feed(steady(12, 0, 4 * DAY));
    // Three days that no server has any more: usual posts after them are still usual.
    sim.cut();
    sim.connect(Some(4 * DAY - 300));
    sim.feed(steady(12, 7 * DAY, 8 * DAY));
    let alerts: Vec<_> = sim.model.alerts.iter().filter(|alert| alert.rule.as_str() == "talk.spike").collect();
    assert_eq!(alerts, [] as [&Alert; 0]);
}

#[test]
fn other_floors_keep_what_was_learnt_and_another_question_begins_anew() {
    let fires_after = |rule: Rule| {
        let mut sim = sim();
        silence(&mut sim, 28 * DAY);
        sim.swap_rules(vec![rule]);
        sim.feed(vec![posted("clock", "nobody", 28 * DAY, "weather")]);
        sim.feed(burst(28 * DAY + 60, 8, 540));
        sim.model.alerts.len()
    };
    assert_eq!(fires_after(talk(spike(6, 4))), 1);
    let other = rule("talk.spike", "talk", Severity::High, "$org news", spike(5, 3));
    assert_eq!(fires_after(other), 0, "its first hour");
}

#[test]
fn a_restart_knows_what_was_usual() {
    let mut sim = sim();
    sim.feed(steady(12, 0, 5 * DAY));
    sim.now = at(5 * DAY);
    sim.crash();
    sim.feed(steady(12, 5 * DAY, 6 * DAY));
    let opens = |alert: &&Alert| alert.rule.as_str() == "talk.spike" && alert.new_incident;
    let spikes = |sim: &Sim| sim.model.alerts.iter().filter(opens).count();
    assert_eq!(spikes(&sim), 0);
    sim.crash();
    sim.feed(burst(6 * DAY, 40, 600));
    assert_eq!(spikes(&sim), 1);
}

#[test]
fn a_source_that_is_added_does_not_page() {
    let run = |second_source: &str| {
        let mut sim = sim();
        sim.feed_received(steady(12, 0, 10 * DAY), None);
        let more = |n: i64| posted(&format!("m{n}"), &format!("other reader {n}"), 10 * DAY + n * 300, TEXT);
        for n in 0..2 * 24 * 12 {
            sim.feed_received(vec![posted(&format!("t{n}"), &format!("reader t{n}"), 10 * DAY + n * 300, TEXT)], None);
            let mut batch = sim.batch(vec![more(n)], None);
            batch.source = second_source.into();
            sim.step(Input::Batch(batch));
        }
        sim.model.alerts.len()
    };
    assert_eq!(run("new"), 0);
    assert!(run("stream") > 0, "twice as many from the known source are a spike");
}

#[test]
fn a_budget_for_all_rules_tightens_each_and_says_so() {
    let raises = |budget: Option<Promise>| {
        let mut sim = sim();
        sim.feed_received(steady(12, 0, 6 * DAY), None);
        sim.keep_within(budget);
        sim.feed_received(burst(6 * DAY, 14, 600), None);
        sim.model.alerts.first().map(|alert| alert.why.clone())
    };
    let once_in = |days: u64| Some(Promise { alarms: 1, within: Duration::from_hours(24 * days) });
    let promised = |why: Option<String>, words: &str| why.is_some_and(|why| why.contains(words));
    assert!(promised(raises(None), "; false alarms promised: 1 per 30d; "), "{:?}", raises(None));
    assert!(promised(raises(once_in(7)), "promised: 1 per 30d; "), "the budget is not used up");
    assert!(promised(raises(once_in(45)), "promised: 1 per 45d; "), "{:?}", raises(once_in(45)));
    assert_eq!(raises(once_in(3650)), None);
}

/// Days of talk with a burst here and there, some of it out of order.
fn stream() -> impl Strategy<Value = Vec<Decoded>> {
    let burst = (0..4 * DAY, 4i64..30, 60i64..5000);
    (prop::collection::vec(burst, 1..5), 1i64..6, prop::collection::vec(0usize..1000, 0..20)).prop_map(
        |(bursts, per_hour, swaps)| {
            let mut frames = steady(per_hour, 0, 4 * DAY);
            for (number, (from, posts, seconds)) in bursts.into_iter().enumerate() {
                let one = |n: i64| {
                    let second = from + n * seconds / posts;
                    posted(&format!("b{number}-{n}"), &format!("witness {}", n % 11), second, TEXT)
                };
                frames.extend((0..posts).map(one));
            }
            frames.sort_by_key(|frame| frame.cursor);
            // Posts overtake each other; their places in the stream do not.
            for swap in swaps {
                let place = swap % (frames.len() - 1);
                let mut pair = frames.iter_mut().skip(place);
                if let (Some(first), Some(second)) = (pair.next(), pair.next()) {
                    std::mem::swap(&mut first.event, &mut second.event);
                }
            }
            frames
        },
    )
}

/// `STORMBELL_CASES=300 cargo test --test engine spikes::a_crash` kills the engine some thousand times.
fn cases() -> u32 {
    std::env::var("STORMBELL_CASES").map_or(24, |cases| cases.parse().expect("STORMBELL_CASES is a number"))
}

fn told(sim: &Sim) -> Vec<String> {
    sim.model
        .alerts
        .iter()
        .map(|alert| format!("{} {:?} {:?} {}", alert.at, alert.post, alert.volume, alert.why))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    /// Invariant 4.
    #[test]
    fn any_batching_finds_the_same_spikes(frames in stream(), sizes in prop::collection::vec(1usize..50, 1..20)) {
        let (mut whole, mut parts) = (sim(), sim());
        whole.feed_received(frames.clone(), None);
        parts.feed_in_batches(&frames, &sizes);
        prop_assert_eq!(told(&whole), told(&parts));
        prop_assert_eq!(whole.model.volumes, parts.model.volumes);
    }

    /// Invariant 3: kill the process anywhere, read again from before the cursor.
    #[test]
    fn a_crash_moves_no_spike(frames in stream(), crashes in prop::collection::vec(1usize..60, 1..12)) {
        let (mut steady, mut shaken) = (sim(), sim());
        steady.live_through(&frames, &[], Duration::from_secs(5));
        shaken.live_through(&frames, &crashes, Duration::from_secs(5));
        prop_assert_eq!(told(&steady), told(&shaken));
        prop_assert_eq!(steady.model.volumes, shaken.model.volumes);
    }
}

#[test]
fn nothing_of_a_frame_without_a_post_is_counted() {
    let mut sim = sim();
    sim.feed(vec![frame(Ok(SourceEvent::Other), at(0))]);
    assert!(sim.model.volumes.is_empty(), "no time is known yet");
    sim.feed(vec![posted("1", "ann", 0, "weather")]);
    let rows: Vec<&str> = sim.model.volumes.keys().map(stormbell::domain::id::RuleId::as_str).collect();
    let expected = ["#archive", "talk.spike", "talk.spike#open"];
    assert_eq!(rows, expected, "the rule's silence counts from here on: what is usual, the minute, and all is kept");
}
