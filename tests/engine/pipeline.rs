//! Frames that were only skimmed lead to the same decisions as frames that were read whole,
//! whatever happens between a worker and the engine.

use std::sync::Arc;
use std::time::Duration;

use crate::support::frames;
use crate::support::sim::{ZERO, authors, rule};
use proptest::prelude::*;
use stormbell::app::pipeline::{Reading, Workplace, batch};
use stormbell::domain::commit::{Commit, Erasure};
use stormbell::domain::condition::{Condition, Part, Share};
use stormbell::domain::engine::{Batch, Engine, Input, Item};
use stormbell::domain::event::{Decoded, Ledger, Rejected};
use stormbell::domain::incident::Severity::{High, Low};
use stormbell::domain::matcher::Scratch;
use stormbell::domain::query::{Lists, parse};
use stormbell::domain::route::Routes;
use stormbell::domain::rule::model::Of;
use stormbell::domain::rule::{Rule, RuleSet};
use stormbell::domain::time::Timestamp;
use stormbell::source::{Format, Frame};

const MATCHING: &str = "a rumour about St Brigids";

fn rumours() -> Arc<RuleSet> {
    let lone = rule("threat.rumour", "threat", Low, "$org rumour", Condition::Match);
    let spread = rule("other.spread", "other", High, "rumour", authors(2, 30));
    // Counts posts that no rule takes.
    let share = Share { above: Part::new(0.3).unwrap(), at_least: 3, within: Duration::from_mins(30) };
    let part = rule("other.part", "other", Low, "rumour", Condition::Share(share));
    let query = parse("fireworks OR soup OR rumour", &Lists::default()).unwrap();
    let part = Rule { of: Some(Of { query, excepts: Vec::new() }), ..part };
    Arc::new(RuleSet::new(vec![lone, spread, part]))
}

fn weather() -> Arc<RuleSet> {
    Arc::new(RuleSet::new(vec![rule("other.weather", "other", Low, "weather", Condition::Match)]))
}

/// How a batch was read.
type Read = fn(Vec<Frame>, &Arc<RuleSet>) -> Batch;

fn skimmed(frames: Vec<Frame>, rules: &Arc<RuleSet>) -> Batch {
    let mut workplace = Workplace::default();
    let reading = Reading { source: "stream".into(), format: Format::Jetstream, behind: Duration::ZERO };
    batch(reading, frames, Arc::clone(rules), &mut workplace)
}

fn whole(frames: Vec<Frame>, rules: &Arc<RuleSet>) -> Batch {
    let mut scratch = Scratch::default();
    let item = |frame: Frame| {
        let decoded = match &frame.body {
            Ok(bytes) => Format::Jetstream.decode(&"stream".into(), bytes, frame.received_at),
            Err(reason) => Decoded { cursor: None, event: Err(*reason) },
        };
        Item::matched(decoded, frame.received_at, rules, &mut scratch)
    };
    Batch::new("stream".into(), Arc::clone(rules), frames.into_iter().map(item).collect())
}

fn recorded(lines: &[String]) -> Vec<Frame> {
    let frame = |line: &String| Frame { received_at: None, body: Ok(line.clone().into_bytes().into()) };
    lines.iter().map(frame).collect()
}

/// What an engine does with batches, all matched with `known` and `rules` in force from
/// the batch numbered `swap` on.
fn commits(read: Read, batches: &[Vec<String>], swap: usize) -> Vec<Commit> {
    let known = rumours();
    let mut engine = Engine::new(Arc::clone(&known), Routes::default(), Vec::new());
    let mut commits = Vec::new();
    for (number, lines) in batches.iter().enumerate() {
        if number == swap {
            let swap =
                Input::Swap { rules: weather(), routes: Routes::default(), receivers: Vec::new(), lessons: Vec::new() };
            commits.push(engine.step(swap, ZERO).commit);
        }
        let batch = read(recorded(lines), &known);
        commits.push(engine.step(Input::Batch(batch), Timestamp::default()).commit);
    }
    commits
}

fn ledger(commits: &[Commit]) -> Ledger {
    let mut ledger = Ledger::default();
    commits.iter().flat_map(|commit| commit.progress.values()).for_each(|progress| ledger.add(&progress.ledger));
    ledger
}

fn texts(commits: &[Commit]) -> Vec<&str> {
    commits.iter().flat_map(|commit| &commit.posts).map(|post| post.text.as_str()).collect()
}

fn post(second: i64, author: u8, key: u8, text: &str) -> String {
    frames::post(ZERO.micros() + second * 1_000_000, &format!("did:plc:{author}"), &format!("k{key}"), text)
}

/// In the order of the real servers, which `serde_json` would sort.
fn usual(second: i64, author: u8, key: u8, version: u8, text: &str) -> String {
    let time = ZERO.micros() + second * 1_000_000;
    let operation = if version == 0 { "create" } else { "update" };
    format!(
        r#"{{"did":"did:plc:{author}","time_us":{time},"kind":"commit","commit":{{"rev":"3r","operation":"{operation}","collection":"app.bsky.feed.post","rkey":"k{key}","record":{{"$type":"app.bsky.feed.post","langs":["en"],"text":"{text}"}},"cid":"c{version}"}}}}"#
    )
}

fn taken_back(second: i64, author: u8, key: u8) -> String {
    let time = ZERO.micros() + second * 1_000_000;
    format!(
        r#"{{"did":"did:plc:{author}","time_us":{time},"kind":"commit","commit":{{"rev":"3r","operation":"delete","collection":"app.bsky.feed.post","rkey":"k{key}"}}}}"#
    )
}

#[test]
fn a_deletion_erases_what_is_kept_and_bars_what_comes_late() {
    let lines = [usual(0, 1, 1, 0, MATCHING), taken_back(1, 1, 1), taken_back(2, 1, 2), usual(3, 1, 2, 0, MATCHING)];
    let commits = commits(skimmed, &[lines.to_vec()], usize::MAX);
    assert_eq!(texts(&commits), [MATCHING]);
    let kept = commits[0].posts[0].id.clone();
    assert_eq!(commits[0].erased, [Erasure::Post(kept)]);
}

#[test]
fn an_edit_that_no_rule_takes_replaces_what_is_kept() {
    let lines =
        vec![usual(0, 1, 1, 0, MATCHING), usual(1, 1, 1, 1, "sorry, fireworks"), usual(2, 1, 2, 0, "fireworks")];
    for batches in [vec![lines.clone()], lines.into_iter().map(|line| vec![line]).collect()] {
        let commits = commits(skimmed, &batches, usize::MAX);
        assert_eq!(texts(&commits), [MATCHING, "sorry, fireworks"]);
    }
}

#[test]
fn rules_swapped_under_way_see_the_posts_that_the_old_ones_passed_over() {
    let batches = [vec![usual(0, 1, 1, 0, "lovely weather")], vec![usual(1, 1, 2, 0, "foul weather")]];
    assert_eq!(texts(&commits(skimmed, &batches, 1)), ["foul weather"]);
}

#[test]
fn posts_that_pass_are_counted_once() {
    let like = frames::like(ZERO.micros(), "did:plc:1", "l");
    let lines =
        vec![usual(0, 1, 1, 0, "soup"), usual(0, 1, 1, 0, "soup"), usual(9, 1, 1, 1, "stew"), like, "{".to_owned()];
    let Ledger { frames, posts, duplicates, other, rejected, .. } = ledger(&commits(skimmed, &[lines], usize::MAX));
    assert_eq!((frames, posts, duplicates, other), (5, 2, 1, 1));
    assert_eq!(rejected[Rejected::NotJson as usize], 1);
}

#[test]
fn a_frame_that_was_not_kept_is_accounted_for() {
    let frames = vec![Frame { received_at: None, body: Err(Rejected::TooLarge) }];
    let mut engine = Engine::new(rumours(), Routes::default(), Vec::new());
    let batch = skimmed(frames, engine.rules());
    let commit = engine.step(Input::Batch(batch), ZERO).commit;
    assert_eq!(ledger(&[commit]).rejected[Rejected::TooLarge as usize], 1);
}

/// Frames of few authors and posts, so that they meet: in both orders of keys, repeated,
/// edited, taken back, broken.
fn line() -> impl Strategy<Value = String> {
    let texts = [MATCHING, "a rumour", "lovely weather", "soup \\\"of\\\" the day", "\\ud83d"];
    let texts = prop::sample::select(texts.to_vec());
    (0u8..13, 0i64..600, 0u8..3, 0u8..4, 0u8..3, texts).prop_map(|(what, second, author, key, version, text)| {
        let (time, did) = (ZERO.micros() + second * 1_000_000, format!("did:plc:{author}"));
        match what {
            0 => frames::delete(time, &did, &format!("k{key}")),
            1 => frames::like(time, &did, "l"),
            2 => frames::identity(time, &did, "ann.example"),
            3 => frames::account_deleted(time, &did),
            4 => post(second, author, key, &text.replace('\\', "")),
            5 => usual(second, author, key, version, text).replace("}}", "}"),
            6 => taken_back(second, author, key),
            _ => usual(second, author, key, version, text),
        }
    })
}

proptest! {
    /// Invariant 4.
    #[test]
    fn how_a_frame_was_read_decides_nothing(
        batches in prop::collection::vec(prop::collection::vec(line(), 0..12), 1..8),
        swap in 0usize..8,
    ) {
        let (skimmed, whole) = (commits(skimmed, &batches, swap), commits(whole, &batches, swap));
        prop_assert_eq!(&skimmed, &whole);
        prop_assert!(ledger(&skimmed).adds_up());
    }
}

#[test]
fn a_clock_that_was_set_back_makes_no_stamp_of_a_source_false() {
    let now = Timestamp::parse("2026-11-22T10:00:00Z").unwrap();
    let read = |ahead: Duration, behind: Duration, text: &str| {
        let stamp = now + ahead;
        let body = Ok(frames::post(stamp.micros(), "did:plc:a", "k", text).into());
        let frames = vec![Frame { received_at: Some(now), body }];
        let reading = Reading { source: "stream".into(), format: Format::Jetstream, behind };
        batch(reading, frames, rumours(), &mut Workplace::default()).span().map(|(at, _)| at)
    };
    let (hour, year) = (Duration::from_hours(1), Duration::from_hours(365 * 24));
    // Skimmed, and decoded whole.
    for text in ["soup", MATCHING] {
        assert_eq!(read(hour * 3, Duration::ZERO, text), Some(now), "a source's clock that runs ahead");
        assert_eq!(read(year, Duration::ZERO, text), None, "nonsense");
        assert_eq!(read(hour * 3, hour * 4, text), Some(now + hour * 3), "our clock, set back");
        assert_eq!(read(year, year + hour, text), Some(now + year), "a year");
        assert_eq!(read(year, hour, text), None, "an hour is no reason for a year");
        assert_eq!(read(hour * 3, hour, text), Some(now), "nor for three hours");
    }
}
