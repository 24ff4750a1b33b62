//! A restart between any two events changes nothing that people hear, whatever mutes, caps and bigger incidents do.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use stormbell::domain::cap::Cap;
use stormbell::domain::condition::Condition;
use stormbell::domain::engine::Action;
use stormbell::domain::event::SourceEvent;
use stormbell::domain::id::IncidentId;
use stormbell::domain::incident::Severity::{Critical, High, Medium};
use stormbell::domain::incident::{Incident, IncidentState};
use stormbell::domain::inhibit::Inhibition;
use stormbell::domain::oncall::{Hours, Weekdays};
use stormbell::domain::route::{NamedTime, OffTimes, Route, Routes};
use stormbell::domain::terms::Terms;
use stormbell::domain::time::Zone;

use super::support::sim::{Sim, at, frame, minutes, post, route, rule};

#[derive(Clone, Debug)]
enum Event {
    Post { author: u8, word: &'static str, followers: u64 },
    Wait(i64),
    Order(usize, Action),
    Merge(usize, usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let words = prop_oneof![
        2 => Just("shots"), 2 => Just("camera"), 2 => Just("queue"), 2 => Just("bed"),
        1 => Just("shots and a camera"), 1 => Just("a bed, a camera, a queue"), 1 => Just("a camera, shots"),
    ];
    let action = prop_oneof![Just(Action::Acknowledge), Just(Action::Resolve)];
    let event = prop_oneof![
        5 => (0u8..9, words, prop_oneof![Just(10), Just(90_000)])
            .prop_map(|(author, word, followers)| Event::Post { author, word, followers }),
        3 => prop_oneof![0i64..20, 60i64..900, Just(3600)].prop_map(Event::Wait),
        2 => (0usize..4, action).prop_map(|(which, action)| Event::Order(which, action)),
        1 => (0usize..4, 0usize..4).prop_map(|(which, into)| Event::Merge(which, into)),
    ];
    prop::collection::vec(event, 1..30)
}

/// A simulation begins at 10:00; the second route tells nobody from 11:00 to 12:00.
fn sim() -> Sim {
    let about = |topic: &str, severity, word: &str| {
        rule(&format!("{topic}.{word}"), topic, severity, &format!("$org {word}"), Condition::Match)
    };
    let rules = vec![
        about("threat", Critical, "shots"),
        about("press", High, "camera"),
        about("service", Medium, "queue"),
        about("service", High, "bed"),
    ];
    let hours = vec![Hours { days: Weekdays::ALL, from: 11 * 60, to: 12 * 60 }];
    let mute = vec![NamedTime { name: "noon".to_owned(), zone: Zone::default(), hours }];
    let steps: &[(&[&str], Option<u64>)] = &[(&["chat"], Some(5)), (&["pager"], None)];
    let list = vec![
        route(&[Critical], &[], &[(&["pager"], Some(5)), (&["chat"], None)], Some(30)),
        Route { off: OffTimes { mute, active: Vec::new() }, ..route(&[], &[], steps, Some(60)) },
    ];
    let matchers = |text: &str| vec![text.parse().unwrap()];
    let (source, target) = (matchers("severity=critical,high"), matchers("topic=service,press"));
    let inhibitions = vec![Inhibition { source, target, same_family: false }];
    let caps = BTreeMap::from([("chat".into(), Cap { most: 2, within: minutes(30) })]);
    let terms = Terms { quiet: minutes(20), ..Terms::default() };
    let mut sim = Sim::with_people(rules, Routes { inhibitions, caps, terms, ..Routes::of(list) });
    sim.connect(None);
    life(&mut sim);
    sim
}

/// The stream lives.
fn life(sim: &mut Sim) {
    let now = sim.now;
    sim.feed(vec![frame(Ok(SourceEvent::Other), now)]);
}

pub(super) fn restart(sim: &mut Sim) {
    sim.crash();
    let read = sim.model.cursors.values().next().unwrap().0;
    let resumed = (read - at(0).micros()) / 1_000_000;
    sim.connect(Some(resumed));
    sim.feed(vec![frame(Ok(SourceEvent::Other), at(resumed))]);
}

/// One event, some seconds later: a new process has nothing to look at that the old one had not, and has read what it
/// missed, before which it tells of no growth and ends nothing.
fn live(sim: &mut Sim, event: &Event, again: bool) {
    sim.now = sim.now + Duration::from_secs(1);
    life(sim);
    if again {
        restart(sim);
    }
    sim.now = sim.now + Duration::from_secs(1);
    life(sim);
    match event {
        Event::Post { author, word, followers } => {
            let mut new = post(
                &format!("p{}", sim.model.posts.len()),
                &format!("author {author}"),
                sim.now,
                &format!("{word} at St Brigids"),
            );
            new.author.followers = Some(*followers);
            let now = sim.now;
            sim.feed(vec![frame(Ok(SourceEvent::Post(Box::new(new))), now)]);
        }
        Event::Wait(seconds) => {
            for _ in 0..(*seconds / 20).max(1) {
                sim.now = sim.now + Duration::from_secs(20);
                sim.step(stormbell::domain::engine::Input::Tick);
            }
        }
        Event::Order(which, action) => {
            let mut of_rules = sim.model.incidents.values().filter(|incident| !incident.is_own());
            let id = of_rules.nth(*which).map(|incident| incident.id.clone());
            id.map(|id| sim.command(&id, action.clone()));
        }
        Event::Merge(which, into) => {
            let of_rules = sim.engine.incidents().filter(|incident| !incident.is_own());
            let open: Vec<IncidentId> = of_rules.map(|incident| incident.id.clone()).collect();
            if let (Some(id), Some(into)) = (open.get(*which), open.get(*into)) {
                drop(sim.command(id, Action::Merge(into.clone())));
            }
        }
    }
}

fn heard(sim: &Sim) -> Vec<String> {
    let of_rules = sim.model.outbox.values().filter(|delivery| !delivery.message.incident.is_own());
    of_rules
        .map(|one| format!("{} {} {:?} {}", one.id, one.receiver, one.message.kind, one.message.incident.title))
        .collect()
}

fn states(sim: &Sim) -> Vec<String> {
    let of_rules = sim.model.incidents.values().filter(|incident| !incident.is_own());
    of_rules
        .map(|one| {
            let counts = (one.posts, one.authors, one.stories);
            let parts = (&one.also, &one.merged, &one.merged_into);
            let (state, muted, again, escalations) = (one.state, &one.muted, one.again, &one.escalations);
            format!("{} {state:?} {muted:?} {again:?} {escalations:?} {counts:?} {parts:?}", one.id)
        })
        .collect()
}

/// No topic of rules is in two open incidents; what was merged is over, and what it goes on as holds its posts.
fn nothing_is_in_two(sim: &Sim) {
    let mut topics = BTreeSet::new();
    for topic in sim.engine.incidents().flat_map(Incident::whole_topics) {
        assert!(topics.insert(topic), "{topic} is in two");
    }
    for one in sim.model.incidents.values() {
        let Some(into) = one.merged_into.as_ref().map(|into| &sim.model.incidents[into]) else { continue };
        assert!(one.state == IncidentState::Resolved && into.merged.contains(&one.id) && into.posts >= one.posts);
    }
    let of_rules = sim.model.incidents.values().filter(|incident| !incident.is_own());
    of_rules.for_each(|one| assert!(one.authors <= 9, "there are nine"));
}

proptest! {
    #[test]
    fn restarts_change_nothing_that_people_hear(events in events(), restarts in prop::collection::vec(any::<bool>(), 30)) {
        let (mut steady, mut shaken) = (sim(), sim());
        for (event, again) in events.iter().zip(restarts) {
            live(&mut steady, event, false);
            live(&mut shaken, event, again);
        }
        for sim in [&mut steady, &mut shaken] {
            live(sim, &Event::Wait(0), false);
        }
        nothing_is_in_two(&shaken);
        prop_assert_eq!(heard(&steady), heard(&shaken));
        prop_assert_eq!(states(&steady), states(&shaken));
    }
}
