//! Days of virtual time in which streams fall silent: what is unusual is told, and a night is not.

use crate::support::sim::{Sim, at, frame, minutes, posted, route, rule};
use stormbell::domain::condition::{Condition, Quiet};
use stormbell::domain::event::{Decoded, SourceEvent};
use stormbell::domain::incident::{Alert, IncidentState, Severity};
use stormbell::domain::rule::Rule;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// Simulations begin at ten in the morning.
const TEN: i64 = 10 * HOUR;

fn silent(query: &str) -> Rule {
    rule("news.silent", "news", Severity::High, query, Condition::Quiet(Quiet { lasts: minutes(30) }))
}

fn sim() -> Sim {
    Sim::new(vec![silent("$org news")], vec![route(&[], &["*"], &[(&["pager"], None)], None)])
}

/// A second of the hour of a day; the first day begins at ten.
fn second(day: i64, hour: i64) -> i64 {
    day * DAY + hour * HOUR - TEN
}

/// Every so many minutes a post between seven and nineteen o'clock, and at least every four
/// minutes some other event.
fn life(from: i64, to: i64, every: i64, text: &str) -> Vec<Decoded> {
    let by_day = |minute: i64| (7 * 60..19 * 60).contains(&((minute + TEN / 60).rem_euclid(1440)));
    (from / 60..to / 60)
        .filter_map(|minute| match () {
            () if minute % every == 0 && by_day(minute) => {
                Some(posted(&format!("p{minute}"), &format!("reader {}", minute % 977), minute * 60, text))
            }
            () if minute % 4 == 0 => Some(other(minute * 60)),
            () => None,
        })
        .collect()
}

fn other(second: i64) -> Decoded {
    frame(Ok(SourceEvent::Other), at(second))
}

/// Nothing but other events.
fn deletions(from: i64, to: i64) -> Vec<Decoded> {
    (from / 240..to / 240).map(|n| other(n * 240)).collect()
}

/// As a daemon sees it: frame by frame, and a tick after each.
fn live(sim: &mut Sim, frames: Vec<Decoded>) {
    for frame in frames {
        let cursor = frame.cursor.map(|cursor| cursor.0).unwrap_or_default();
        sim.now = sim.now.max(stormbell::domain::time::Timestamp::from_micros(cursor));
        sim.feed(vec![frame]);
        sim.step(stormbell::domain::engine::Input::Tick);
    }
}

fn hour_of(alert: &Alert) -> i64 {
    (alert.at.micros() - at(-TEN).micros()) / 1_000_000 / HOUR
}

fn of_rule<'a>(sim: &'a Sim, rule: &str) -> Vec<&'a Alert> {
    sim.model.alerts.iter().filter(|alert| alert.rule.as_str() == rule).collect()
}

fn silences(sim: &Sim) -> usize {
    of_rule(sim, "news.silent").len()
}

const NEWS: &str = "news from St Brigids";

#[test]
fn a_night_is_not_told_and_a_silent_morning_is() {
    let mut sim = sim();
    sim.connect(None);
    live(&mut sim, life(0, second(9, 10), 10, NEWS));
    // In the first two days nothing is known, so each night is told; the third is told late, and
    // then they are usual.
    let told = of_rule(&sim, "news.silent");
    let days: Vec<i64> = told.iter().map(|alert| hour_of(alert) / 24).collect();
    assert_eq!(days, [0, 1, 3], "{told:#?}");
    assert!(told[1].why.contains("Z; rule news.silent 1"), "by plain time: {}", told[1].why);
    live(&mut sim, deletions(second(9, 10), second(9, 20)));
    let told = of_rule(&sim, "news.silent");
    assert_eq!(told.len(), 4);
    assert!((9 * 24 + 11..9 * 24 + 19).contains(&hour_of(told[3])), "{:?}", told[3]);
    assert!(
        told[3].why.contains("posts were expected by now, by chance that comes less than once in 30 days"),
        "{}",
        told[3].why
    );
}

#[test]
fn a_restart_knows_which_silence_is_usual() {
    let mut sim = sim();
    sim.connect(None);
    live(&mut sim, life(0, second(9, 22), 10, NEWS));
    let before = silences(&sim);
    sim.crash();
    sim.connect(Some(second(9, 22) - 240));
    live(&mut sim, deletions(second(9, 22) - 240, second(10, 7)));
    assert_eq!(silences(&sim), before);
    live(&mut sim, deletions(second(10, 7), second(10, 18)));
    assert_eq!(silences(&sim), before + 1);
}

#[test]
fn another_question_knows_nothing_of_what_is_usual() {
    let nights = |rule: Rule| {
        let mut sim = sim();
        sim.connect(None);
        live(&mut sim, life(0, second(9, 12), 10, NEWS));
        let before = silences(&sim);
        sim.swap_rules(vec![rule]);
        live(&mut sim, life(second(9, 12), second(10, 7), 10, NEWS));
        silences(&sim) - before
    };
    let longer = Condition::Quiet(Quiet { lasts: minutes(60) });
    assert_eq!(nights(rule("news.silent", "news", Severity::High, "$org news", longer)), 0);
    assert_eq!(nights(silent("$org (news OR word)")), 1);
}

/// A source without the rule's words, whose own posts are what is watched.
fn watched(days: i64) -> Sim {
    let mut sim = sim();
    sim.connect(None);
    live(&mut sim, life(0, second(days, 10), 5, "weather"));
    sim
}

fn blind(sim: &Sim) -> Vec<(String, IncidentState)> {
    let own = sim.model.incidents.values().filter(|incident| incident.topic.as_str().starts_with("stormbell."));
    own.map(|incident| (incident.topic.to_string(), incident.state)).collect()
}

#[test]
fn a_source_that_goes_on_without_posts_is_blindness_and_ends_with_the_next_post() {
    let mut sim = watched(9);
    assert_eq!(blind(&sim), [], "nights are usual");
    live(&mut sim, deletions(second(9, 10), second(9, 18)));
    assert_eq!(blind(&sim), [("stormbell.blind.stream/posts".to_owned(), IncidentState::Open)]);
    let alert = of_rule(&sim, "stormbell.blind")[0];
    assert!(alert.why.starts_with("connected, but no posts since 2026-12-01T09:55:00Z; "), "{}", alert.why);
    assert!(alert.why.contains(" expected; stream sends other events only"), "{}", alert.why);
    // A restart does not tell it again, and posts end it.
    sim.crash();
    sim.connect(Some(second(9, 18) - 240));
    live(&mut sim, deletions(second(9, 18) - 240, second(9, 18) + HOUR));
    assert_eq!(of_rule(&sim, "stormbell.blind").len(), 1);
    live(&mut sim, vec![posted("again", "ann", second(9, 20), "weather")]);
    assert_eq!(blind(&sim), [("stormbell.blind.stream/posts".to_owned(), IncidentState::Resolved)]);
}

#[test]
fn a_young_source_is_not_said_to_be_silent() {
    let mut sim = watched(1);
    live(&mut sim, deletions(second(1, 10), second(1, 19)));
    assert_eq!(blind(&sim), []);
}

#[test]
fn what_was_lost_or_not_read_yet_is_no_silence() {
    // Eight hours that the server no longer has.
    let mut lost = watched(9);
    lost.cut();
    lost.now = at(second(9, 18));
    lost.connect(Some(second(9, 10) - 60));
    live(&mut lost, life(second(9, 17) + 1800, second(9, 18), 5, "weather"));
    assert!(of_rule(&lost, "stormbell.blind").is_empty(), "{:?}", blind(&lost));
    // The same hours are read again in the evening, posts and all.
    let mut late = watched(9);
    late.cut();
    late.now = at(second(9, 18));
    late.connect(Some(second(9, 10) - 240));
    live(&mut late, life(second(9, 10) - 240, second(9, 18), 5, "weather"));
    assert_eq!(blind(&late), []);
    // Nothing at all comes: blind, but not for want of posts.
    let mut dead = watched(9);
    dead.run_until(second(9, 12));
    assert_eq!(blind(&dead), []);
}

#[test]
fn a_source_that_is_taken_away_is_no_silence() {
    let run = |takes_away: bool| {
        let mut sim = sim();
        sim.connect(None);
        live(&mut sim, life(0, second(9, 10), 10, NEWS));
        let before = silences(&sim);
        if takes_away {
            sim.model.cursors.clear();
            sim.model.gaps.clear();
        }
        sim.crash();
        let mut batches = deletions(second(9, 10), second(9, 20));
        if takes_away {
            for frame in batches.drain(..) {
                sim.now = stormbell::domain::time::Timestamp::from_micros(frame.cursor.unwrap().0);
                let mut batch = sim.batch(vec![frame], Some(sim.now));
                batch.source = "other".into();
                sim.step(stormbell::domain::engine::Input::Batch(batch));
            }
        } else {
            sim.connect(Some(second(9, 10) - 240));
            live(&mut sim, batches);
        }
        silences(&sim) - before
    };
    assert_eq!(run(false), 1);
    assert_eq!(run(true), 0);
}
