//! A thousand kills move no alert (invariant 3): the engine is dropped at random commits, some
//! of them written and some not, and goes on from what was written. Whatever spike, count, quiet
//! rules and such that must hold for a while tell is what they tell when nobody kills anything, and what was learnt is the
//! same to the last bit.

#[path = "../bench/rng.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "shared with the benchmark"
)]
mod rng;

use std::collections::BTreeMap;

use crate::support::sim::{Sim, at, authors, frame, minutes, posted, route, rule};
use rng::Rng;
use stormbell::domain::condition::{Condition, Hold, Quiet, Spike};
use stormbell::domain::engine::Input;
use stormbell::domain::event::{Decoded, SourceEvent};
use stormbell::domain::incident::{Alert, Severity};
use stormbell::domain::rule::Rule;
use stormbell::domain::time::Timestamp;
use stormbell::domain::volume::Promise;

const KILLS: u64 = 1000;
const STREAMS: u64 = 10;
const HOUR: u64 = 3600;
const DAYS: u64 = 3;

fn sim() -> Sim {
    let weekly = Spike { false_alarms: Promise { alarms: 1, within: minutes(7 * 24 * 60) }, at_least: 5, authors: 3 };
    let lasting = Rule {
        hold: Hold { lasts: minutes(10), keep: minutes(60) },
        ..rule("talk.lasting", "lasting", Severity::High, "$org", authors(4, 15))
    };
    let rules = vec![
        lasting,
        rule("talk.spike", "spike", Severity::High, "$org", Condition::Spike(weekly)),
        rule("talk.count", "count", Severity::High, "$org", authors(5, 10)),
        rule("news.quiet", "quiet", Severity::High, "$org news", Condition::Quiet(Quiet { lasts: minutes(40) })),
    ];
    let mut sim = Sim::new(rules, vec![route(&[], &["*"], &[(&["pager"], None)], None)]);
    sim.connect(None);
    sim
}

/// Talk with bursts, news that now and then fail to come, and other events all the time.
fn stream(rng: &mut Rng) -> Vec<Decoded> {
    let mut posts: BTreeMap<u64, (String, &str)> = BTreeMap::new();
    let mut add = |second: u64, author: String, text| {
        posts.insert(second, (author, text));
    };
    for minute in (0..DAYS * 24 * 60).step_by(10) {
        add(60 * minute + 59, "nobody".to_owned(), "");
    }
    for talk in 0..DAYS * 24 * 2 {
        add(rng.below(DAYS * 24 * HOUR), format!("reader {talk}"), "St Brigids is in the news today");
    }
    for burst in 0..2 * DAYS {
        let (from, lasts) = (rng.below(DAYS * 24 * HOUR), rng.between(200, 5000));
        for post in 0..rng.between(4, 30) {
            add(from + rng.below(lasts), format!("witness {burst} {}", post % 19), "smoke over St Brigids");
        }
    }
    let mut second = 0;
    while second < DAYS * 24 * HOUR {
        add(second, format!("desk {second}"), "news from St Brigids");
        second += if rng.below(30) == 0 { rng.between(3000, 30_000) } else { rng.between(400, 2000) };
    }
    let told = |(second, (author, text)): (u64, (String, &str))| {
        let second = i64::try_from(second).unwrap();
        match text {
            "" => frame(Ok(SourceEvent::Other), at(second)),
            text => posted(&format!("p{second}"), &author, second, text),
        }
    };
    posts.into_iter().map(told).collect()
}

fn received(frame: &Decoded) -> Timestamp {
    Timestamp::from_micros(frame.cursor.unwrap().0)
}

/// What was told. A silence is named by its beginning: a restart may notice it one event later.
fn told(sim: &Sim) -> Vec<String> {
    let name = |alert: &Alert| match alert.why.split_once(", since ") {
        Some((_, since)) if alert.posts == 0 => format!("{} since {}", alert.rule, since.get(..20).unwrap_or(since)),
        _ => format!("{} {} {:?} {:?} {}", alert.rule, alert.at, alert.post, alert.volume, alert.why),
    };
    sim.model.alerts.iter().map(name).collect()
}

#[test]
fn a_thousand_kills_move_no_alert() {
    let mut rng = Rng(0x5702_3BE2);
    let (mut kills, mut unwritten) = (0, 0);
    let mut alerts: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..STREAMS {
        let frames = stream(&mut rng);
        let mut steady = sim();
        for frame in &frames {
            steady.now = received(frame);
            steady.feed(vec![frame.clone()]);
        }
        let mut shaken = sim();
        let mut next = 0;
        for kill in 0..KILLS / STREAMS {
            // Some kills follow at once, the others are spread over the stream.
            let left = frames.len() - next;
            let more = usize::try_from(KILLS / STREAMS - kill).unwrap();
            let pause = if rng.below(5) == 0 { 1 } else { 1 + 2 * left / more };
            let until = next + rng.index(pause.min(left).max(1));
            for frame in &frames[next..until.min(frames.len())] {
                shaken.now = shaken.now.max(received(frame));
                shaken.feed(vec![frame.clone()]);
            }
            if let Some(frame) = frames.get(until).filter(|_| rng.below(2) == 0) {
                // The step was done, and the commit never written.
                shaken.now = shaken.now.max(received(frame));
                let batch = shaken.batch(vec![frame.clone()], Some(shaken.now));
                shaken.engine.step(Input::Batch(batch), shaken.now);
                unwritten += 1;
            }
            kills += 1;
            shaken.crash();
            next = 0;
            if let Some(cursor) = shaken.model.cursors.values().next() {
                let resume = cursor.0 - 5_000_000;
                shaken.connect(Some((resume - at(0).micros()).div_euclid(1_000_000)));
                next = frames.iter().position(|frame| frame.cursor.unwrap().0 >= resume).unwrap();
            }
        }
        for frame in &frames[next..] {
            shaken.now = shaken.now.max(received(frame));
            shaken.feed(vec![frame.clone()]);
        }
        assert_eq!(told(&steady), told(&shaken));
        assert_eq!(steady.model.volumes, shaken.model.volumes);
        for alert in &steady.model.alerts {
            *alerts.entry(alert.rule.to_string()).or_default() += 1;
        }
    }
    println!("{kills} kills, {unwritten} of them before the commit was written; alerts: {alerts:?}");
    assert_eq!(kills, KILLS);
    assert!(unwritten > KILLS / 4 && alerts.len() == 4 && alerts.values().all(|times| *times >= 10), "{alerts:?}");
}
