//! Rules that fire when other rules have fired.

use std::time::Duration;

use crate::support::sim::{Sim, at, authors, minutes, posted, route, rule};
use proptest::prelude::*;
use stormbell::domain::condition::joined::{Joined, Order};
use stormbell::domain::condition::{Condition, Quiet};
use stormbell::domain::event::Decoded;
use stormbell::domain::id::PostId;
use stormbell::domain::incident::{Alert, ConditionKind, IncidentState, Severity};
use stormbell::domain::message::MessageKind;
use stormbell::domain::query::Query;
use stormbell::domain::rule::Rule;

use Severity::{Critical, Info};

fn joined(id: &str, order: Order, within: u64, rules: &[&str]) -> Rule {
    let condition = Condition::Joined(Joined { order, within: minutes(within) });
    Rule {
        query: Query::nothing(),
        joins: rules.iter().map(|&rule| rule.into()).collect(),
        ..rule(id, "attack", Critical, "unused", condition)
    }
}

/// Systems are down by two people, and somebody speaks of a ransom note.
fn parts() -> Vec<Rule> {
    vec![
        rule("cyber.outage", "cyber", Info, "$org down", authors(2, 10)),
        rule("cyber.note", "cyber", Info, "$org ransom", Condition::Match),
    ]
}

fn sim(order: Order) -> Sim {
    let rules = parts().into_iter().chain([joined("attack.both", order, 30, &["cyber.outage", "cyber.note"])]);
    Sim::new(rules.collect(), vec![route(&[], &["attack"], &[(&["pager"], None)], None)])
}

fn alerts<'a>(sim: &'a Sim, rule: &str) -> Vec<&'a Alert> {
    sim.model.alerts.iter().filter(|alert| alert.rule.as_str() == rule).collect()
}

const DOWN: &str = "computers are down at St Brigids";
const NOTE: &str = "a ransom note at St Brigids";

#[test]
fn two_rules_within_the_time_page_together_and_neither_alone() {
    let mut sim = sim(Order::Any);
    sim.post("n1", "eve", 0, NOTE);
    sim.post("d1", "ann", 600, DOWN);
    assert_eq!(alerts(&sim, "attack.both"), [] as [&Alert; 0]);
    sim.post("d2", "bob", 660, DOWN);
    let [alert] = alerts(&sim, "attack.both")[..] else { panic!("{:?}", sim.model.alerts) };
    assert_eq!((alert.condition, alert.at, alert.topic.as_str()), (ConditionKind::AllOf, at(660), "attack"));
    assert_eq!((alert.posts, alert.authors, alert.within), (3, 3, Some(minutes(30))));
    assert_eq!(alert.post.as_ref().map(PostId::as_str), Some("d2"));
    let why = "cyber.note at 2026-11-22T10:00:00Z and cyber.outage at 2026-11-22T10:11:00Z, within 30 min; rule attack.both 1";
    assert_eq!(alert.why, why);
    let opened = sim.model.sent(MessageKind::Opened);
    assert_eq!(opened.len(), 1, "the parts have no route: {opened:?}");
    let incident = &sim.model.incidents[&opened[0].1];
    assert_eq!((incident.posts, incident.authors, incident.severity), (3, 3, Critical));
}

#[test]
fn in_order_asks_for_the_order_of_event_time() {
    let mut wrong = sim(Order::Given);
    wrong.post("n1", "eve", 0, NOTE);
    wrong.post("d1", "ann", 600, DOWN);
    wrong.post("d2", "bob", 660, DOWN);
    assert_eq!(alerts(&wrong, "attack.both"), [] as [&Alert; 0]);
    wrong.post("n2", "dan", 700, NOTE);
    let [alert] = alerts(&wrong, "attack.both")[..] else { panic!() };
    assert_eq!(alert.condition, ConditionKind::InOrder);
    assert!(alert.why.contains("cyber.outage at 2026-11-22T10:11:00Z, then cyber.note at"), "{}", alert.why);
    // A late alert is put where it belongs.
    let mut late = sim(Order::Given);
    late.post("n1", "eve", 900, NOTE);
    late.post("w", "x", 5000, "weather");
    late.feed(vec![posted("d1", "ann", 100, DOWN), posted("d2", "bob", 200, DOWN)]);
    assert_eq!(alerts(&late, "attack.both").len(), 1);
}

#[test]
fn too_far_apart_is_not_together_and_a_whole_window_later_it_fires_again() {
    let mut sim = sim(Order::Any);
    let outage = |sim: &mut Sim, second: i64| {
        sim.post(&format!("a{second}"), "ann", second, DOWN);
        sim.post(&format!("b{second}"), "bob", second, DOWN);
    };
    outage(&mut sim, 0);
    sim.post("n1", "eve", 1800, NOTE);
    assert_eq!(alerts(&sim, "attack.both").len(), 0);
    outage(&mut sim, 1900);
    assert_eq!(alerts(&sim, "attack.both").len(), 1);
    sim.post("n2", "eve", 2000, NOTE);
    sim.post("n3", "eve", 2600, NOTE);
    assert_eq!(alerts(&sim, "attack.both").len(), 1, "it goes on");
    let attack = sim.model.incidents.values().find(|incident| incident.topic.as_str() == "attack").unwrap();
    assert_eq!((attack.posts, attack.last_post_at), (7, at(2600)), "of its parts, which it raised, and grows");
    assert_eq!(sim.engine.open_incidents(), 2, "the other part stays what it was");
    outage(&mut sim, 9000);
    sim.post("n4", "eve", 9100, NOTE);
    assert_eq!(alerts(&sim, "attack.both").len(), 2);
}

#[test]
fn joined_rules_are_joined_again_and_silence_can_be_one() {
    let mut rules = parts();
    rules.push(rule(
        "status.silent",
        "status",
        Info,
        "$org operational",
        Condition::Quiet(Quiet { lasts: minutes(60) }),
    ));
    rules.push(joined("attack.grave", Order::Given, 120, &["attack.both", "status.silent"]));
    rules.push(joined("attack.both", Order::Any, 30, &["cyber.outage", "cyber.note"]));
    let mut sim = Sim::new(rules, Vec::new());
    sim.connect(None);
    sim.post("s", "ops", 0, "St Brigids is operational");
    sim.post("d1", "ann", 600, DOWN);
    sim.post("d2", "bob", 660, DOWN);
    sim.post("n1", "eve", 700, NOTE);
    assert_eq!(alerts(&sim, "attack.both").len(), 1);
    sim.post("w", "x", 3590, "weather");
    sim.run_until(3605);
    let [alert] = alerts(&sim, "attack.grave")[..] else { panic!("{:?}", sim.model.alerts) };
    assert_eq!((alert.post.as_ref(), alert.posts, alert.authors), (None, 3, 3));
    assert!(alert.why.contains("attack.both at 2026-11-22T10:11:40Z, then status.silent at "), "{}", alert.why);
}

#[test]
fn what_was_remembered_goes_with_the_rules_that_are_joined() {
    let fires_after = |changed: Vec<Rule>| {
        let mut sim = sim(Order::Any);
        sim.post("n1", "eve", 0, NOTE);
        sim.swap_rules(changed);
        sim.post("d1", "ann", 60, DOWN);
        sim.post("d2", "bob", 90, DOWN);
        alerts(&sim, "attack.both").len()
    };
    let with = |order, rules: &[&str]| parts().into_iter().chain([joined("attack.both", order, 40, rules)]).collect();
    assert_eq!(fires_after(with(Order::Any, &["cyber.outage", "cyber.note"])), 1);
    assert_eq!(fires_after(with(Order::Given, &["cyber.note", "cyber.outage"])), 0, "another question begins anew");
}

#[test]
fn an_incident_that_somebody_ended_is_not_opened_by_its_tail() {
    let mut sim = sim(Order::Any);
    sim.post("n1", "eve", 0, NOTE);
    sim.post("d1", "ann", 60, DOWN);
    sim.post("d2", "bob", 90, DOWN);
    let id = alerts(&sim, "attack.both")[0].incident.clone();
    sim.command(&id, stormbell::domain::engine::Action::Resolve).unwrap();
    sim.post("n2", "dan", 120, NOTE);
    assert_eq!(alerts(&sim, "attack.both").len(), 1);
    assert_eq!(sim.model.incidents[&id].state, IncidentState::Resolved);
}

fn stream() -> impl Strategy<Value = Vec<Decoded>> {
    let texts =
        prop_oneof![3 => Just(DOWN), 2 => Just(NOTE), 1 => Just("St Brigids down, ransom"), 2 => Just("weather")];
    prop::collection::vec((0i64..900, 0u8..5, texts, 0u8..8), 1..70).prop_map(|steps| {
        let mut second = 0;
        let mut frames: Vec<Decoded> = Vec::new();
        for (number, (pause, author, text, chance)) in steps.into_iter().enumerate() {
            second += pause;
            frames.push(posted(&format!("p{number}"), &format!("author {author}"), second, text));
            if chance == 0 && number > 0 {
                let mut pair = frames.iter_mut().skip(number - 1);
                if let (Some(first), Some(second)) = (pair.next(), pair.next()) {
                    std::mem::swap(&mut first.event, &mut second.event);
                }
            }
        }
        frames
    })
}

fn chain() -> Sim {
    let mut rules = parts();
    rules.push(joined("attack.both", Order::Any, 30, &["cyber.outage", "cyber.note"]));
    rules.push(joined("attack.order", Order::Given, 20, &["cyber.note", "cyber.outage"]));
    rules.push(joined("attack.chain", Order::Given, 60, &["attack.both", "attack.order"]));
    Sim::new(rules, vec![route(&[], &["attack"], &[(&["pager"], None)], None)])
}

fn told(sim: &Sim) -> Vec<String> {
    let one = |alert: &Alert| {
        format!("{} {} {:?} {} {} {}", alert.at, alert.rule, alert.post, alert.posts, alert.authors, alert.why)
    };
    sim.model.alerts.iter().map(one).chain(sim.model.outbox.keys().map(ToString::to_string)).collect()
}

proptest! {
    /// Invariant 4.
    #[test]
    fn any_batching_joins_the_same(frames in stream(), size in 1usize..20) {
        let (mut whole, mut parts) = (chain(), chain());
        whole.feed_received(frames.clone(), None);
        parts.feed_in_batches(&frames, &[size]);
        prop_assert_eq!(told(&whole), told(&parts));
        prop_assert!(whole.model.volumes == parts.model.volumes);
    }

    /// Invariant 3: kill the process anywhere, read again from before the cursor.
    #[test]
    fn a_crash_moves_no_alert(frames in stream(), crashes in prop::collection::vec(1usize..20, 1..8)) {
        let (mut steady, mut shaken) = (chain(), chain());
        steady.live_through(&frames, &[], Duration::from_secs(5));
        shaken.live_through(&frames, &crashes, Duration::from_secs(5));
        prop_assert_eq!(told(&steady), told(&shaken));
        prop_assert!(steady.model.volumes == shaken.model.volumes);
    }
}
