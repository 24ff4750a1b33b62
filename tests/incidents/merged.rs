//! Two incidents that somebody knows to be one: what the one that goes on has, who is told, who has it.

use stormbell::domain::condition::Condition;
use stormbell::domain::engine::{Action, Input, Refused};
use stormbell::domain::id::IncidentId;
use stormbell::domain::incident::{Incident, IncidentState, Severity};
use stormbell::domain::message::MessageKind::{Acknowledged, Escalated, Opened, Resolved, Updated};
use stormbell::domain::message::{MessageKind, Undelivered};
use stormbell::domain::route::Routes;
use stormbell::domain::rule::Rule;
use stormbell::domain::terms::Terms;

use crate::restarts::restart;
use crate::support::sim::{Sim, at, route, rule};

use IncidentState::{Acknowledged as Taken, Open, Resolved as Over};
use Severity::{Critical, High, Low};

const OUTAGE: &str = "outage at St Brigids";
const FIRE: &str = "fire at St Brigids";
const RUMOUR: &str = "a rumour about St Brigids";
const SMOKE: &str = "smoke at St Brigids";

/// Of two topics: an outage is high; smoke is high, a fire critical.
fn rules() -> Vec<Rule> {
    vec![
        rule("cyber.rumour", "cyber", Low, "$org rumour", Condition::Match),
        rule("cyber.outage", "cyber", High, "$org outage", Condition::Match),
        rule("fire.smoke", "fire", High, "$org smoke", Condition::Match),
        rule("fire.fire", "fire", Critical, "$org fire", Condition::Match),
    ]
}

/// Each topic has people of its own; five minutes later its manager.
fn sim() -> Sim {
    let of = |topic: &str, first: &str, then: &str| {
        route(&[Critical, High], &[topic], &[(&[first], Some(5)), (&[then], None)], None)
    };
    let routes = vec![of("cyber", "it", "it-manager"), of("fire", "guard", "fire-chief")];
    let mut sim = Sim::with_people(rules(), Routes { terms: Terms::default(), ..Routes::of(routes) });
    sim.connect(None);
    sim
}

/// The incident of that topic that rules opened last.
fn of<'a>(sim: &'a Sim, topic: &str) -> &'a Incident {
    let of_it = sim.model.incidents.values().filter(|incident| incident.topic.as_str() == topic);
    of_it.max_by_key(|incident| incident.opened_at).unwrap()
}

fn id(sim: &Sim, topic: &str) -> IncidentId {
    of(sim, topic).id.clone()
}

/// Messages of a kind about the incident of that topic.
fn told(sim: &Sim, topic: &str, kind: MessageKind) -> Vec<String> {
    let id = id(sim, topic);
    sim.model.sent(kind).into_iter().filter(|(_, about)| *about == id).map(|(to, _)| to).collect()
}

/// Merges the incident of one topic into that of the other.
fn merge(sim: &mut Sim, from: &str, into: &str) -> Incident {
    let (from, into) = (id(sim, from), id(sim, into));
    sim.command(&from, Action::Merge(into)).unwrap()
}

#[test]
fn the_one_that_goes_on_has_what_both_had() {
    let mut sim = sim();
    sim.post("1", "ann", 0, OUTAGE);
    sim.post("2", "bob", 10, OUTAGE);
    sim.post("3", "bob", 20, SMOKE);
    sim.post("4", "eve", 30, SMOKE);
    sim.post("5", "eve", 40, "smoke and an outage at St Brigids");
    let united = merge(&mut sim, "fire", "cyber");
    assert_eq!(&united, of(&sim, "cyber"), "the answer is what is on disk");
    assert_eq!((united.posts, united.authors, united.stories), (5, 3, 3), "who is in both counts once");
    assert_eq!((united.first_post_at, united.last_post_at), (at(0), at(40)));
    let also: Vec<_> = united.also.keys().map(ToString::to_string).collect();
    assert_eq!((united.topic.as_str(), also), ("cyber", vec!["fire".to_owned()]));
    assert_eq!(united.rules.len(), 2);
    let ended = of(&sim, "fire");
    assert_eq!((ended.state, ended.merged_into.as_ref()), (Over, Some(&united.id)));
    assert_eq!(united.merged.iter().collect::<Vec<_>>(), [&ended.id]);
    sim.post("6", "eve", 50, SMOKE);
    sim.post("7", "joe", 60, SMOKE);
    assert_eq!((of(&sim, "cyber").posts, of(&sim, "cyber").authors), (7, 4), "what comes of its topics is its");
    assert_eq!(of(&sim, "fire").posts, 3);
    assert_eq!(sim.engine.open_incidents(), 1);
}

#[test]
fn both_histories_say_who_when_and_why() {
    let mut sim = sim();
    sim.post("1", "ann", 0, OUTAGE);
    sim.post("2", "bob", 10, SMOKE);
    let (from, into) = (id(&sim, "fire"), id(&sim, "cyber"));
    sim.run_until(20);
    merge(&mut sim, "fire", "cyber");
    let line = |of: &IncidentId, what: &str| {
        let entry = sim.model.timeline.iter().find(|entry| entry.incident == *of && entry.what == what).unwrap();
        (entry.at, entry.by.clone(), entry.text.clone())
    };
    let text = format!("merged into {into} “title of cyber.outage”: it is our own drill");
    assert_eq!(line(&from, "resolved"), (at(20), "ann".to_owned(), text));
    let text = format!("{from} “title of fire.smoke” with 1 post: it is our own drill");
    assert_eq!(line(&into, "merged"), (at(20), "ann".to_owned(), text));
}

#[test]
fn those_who_were_rung_for_the_part_that_ended_are_told_of_the_whole() {
    let mut sim = sim();
    sim.post("1", "ann", 0, OUTAGE);
    sim.post("2", "bob", 100, SMOKE);
    sim.run_until(200);
    merge(&mut sim, "fire", "cyber");
    assert_eq!(told(&sim, "fire", Resolved), ["guard"]);
    assert_eq!(
        (told(&sim, "cyber", Opened), told(&sim, "cyber", Updated)),
        (vec!["guard".into(), "it".into()], vec![])
    );
    sim.run_until(301);
    assert_eq!(told(&sim, "cyber", Escalated), ["it-manager"], "nobody took charge of the outage for five minutes");
    sim.run_until(401);
    assert_eq!(told(&sim, "cyber", Escalated), ["fire-chief", "it-manager"], "and of the smoke");
    assert_eq!(told(&sim, "fire", Escalated), [""; 0]);
    let whole = id(&sim, "cyber");
    sim.command(&whole, Action::Acknowledge).unwrap();
    assert_eq!(told(&sim, "cyber", Acknowledged), ["fire-chief", "guard", "it", "it-manager"]);
}

#[test]
fn whoever_took_charge_of_the_graver_part_has_the_whole() {
    // What is of the outage, what of the other; who took charge of which; who has the whole.
    for (other, taken, into, state, told_again) in [
        (SMOKE, &[][..], "cyber", Open, &["guard", "it"][..]),
        (SMOKE, &["cyber"], "cyber", Taken, &["it"]),
        (SMOKE, &["fire"], "cyber", Taken, &["it"]),
        (FIRE, &["cyber"], "cyber", Open, &["guard", "it"]),
        (FIRE, &["fire"], "cyber", Taken, &["it"]),
        (FIRE, &["cyber", "fire"], "cyber", Taken, &["it"]),
        (FIRE, &["cyber"], "fire", Open, &["guard", "it"]),
        (FIRE, &["fire"], "fire", Taken, &["guard"]),
    ] {
        let mut sim = sim();
        sim.post("1", "ann", 0, OUTAGE);
        sim.post("2", "bob", 10, other);
        for topic in taken {
            let id = id(&sim, topic);
            sim.command(&id, Action::Acknowledge).unwrap();
        }
        sim.run_until(60);
        let from = if into == "cyber" { "fire" } else { "cyber" };
        let united = merge(&mut sim, from, into);
        let case = format!("{other}, taken {taken:?}, into {into}");
        assert_eq!(united.state, state, "{case}");
        assert_eq!(united.acknowledged.is_some(), state == Taken, "{case}");
        assert_eq!(united.severity, if other == FIRE { Critical } else { High }, "{case}");
        assert_eq!(told(&sim, into, Opened), told_again, "{case}");
        let graver = if into == "cyber" && other == FIRE && state == Open { vec!["it".to_owned()] } else { vec![] };
        assert_eq!(told(&sim, into, Updated), graver, "{case}");
        sim.run_until(1000);
        assert_eq!(told(&sim, into, Escalated).len(), if state == Open { 2 } else { 0 }, "{case}");
        sim.command(&united.id, Action::Resolve).unwrap();
        let knowing = if state == Open { 4 } else { 2 };
        assert_eq!(told(&sim, into, Resolved).len(), knowing, "who knew of either hears how it ends: {case}");
    }
}

#[test]
fn a_link_from_before_takes_no_charge_of_what_became_graver() {
    let mut sim = sim();
    sim.post("1", "ann", 0, OUTAGE);
    sim.post("2", "bob", 10, FIRE);
    let seen = of(&sim, "cyber").revision;
    let united = merge(&mut sim, "fire", "cyber");
    assert_eq!(united.title, "title of fire.fire", "the gravest gives the headline");
    assert_eq!(sim.command(&united.id, Action::AcknowledgeSeen(seen)), Err(Refused::Outdated));
    assert_eq!(sim.command(&united.id, Action::AcknowledgeSeen(of(&sim, "cyber").revision)).unwrap().state, Taken);
}

#[test]
fn once_more_changes_nothing_and_what_makes_no_sense_is_refused() {
    let mut sim = sim();
    sim.post("1", "ann", 0, OUTAGE);
    sim.post("2", "bob", 10, SMOKE);
    let (from, into) = (id(&sim, "fire"), id(&sim, "cyber"));
    assert_eq!(sim.command(&into, Action::Merge(into.clone())), Err(Refused::Itself));
    assert_eq!(sim.command(&into, Action::Merge("inc-none".into())), Err(Refused::NoSuchIncident));
    assert_eq!(sim.command(&"inc-none".into(), Action::Merge(into.clone())), Err(Refused::NoSuchIncident));
    let lost = Undelivered {
        id: "msg".into(),
        receiver: "it".into(),
        person: None,
        incident: into.clone(),
        error: "gone".to_owned(),
    };
    sim.step(Input::Undelivered(lost));
    let own = sim.model.incidents.values().find(|incident| incident.is_own()).unwrap().id.clone();
    assert_eq!(sim.command(&own, Action::Merge(into.clone())), Err(Refused::Own));
    assert_eq!(sim.command(&into, Action::Merge(own)), Err(Refused::Own));
    merge(&mut sim, "fire", "cyber");
    let (incidents, timeline, outbox) =
        (sim.model.incidents.clone(), sim.model.timeline.clone(), sim.model.outbox.clone());
    for _ in 0..2 {
        assert_eq!(sim.command(&from, Action::Merge(into.clone())).unwrap(), incidents[&into]);
        assert_eq!((&sim.model.incidents, &sim.model.timeline, &sim.model.outbox), (&incidents, &timeline, &outbox));
        sim.crash();
    }
    assert_eq!(sim.command(&into, Action::Merge(from.clone())), Err(Refused::NoSuchIncident), "that one is over");
    assert_eq!(sim.command(&from, Action::Acknowledge), Err(Refused::NoSuchIncident));
    sim.command(&into, Action::Resolve).unwrap();
    assert_eq!(sim.command(&from, Action::Merge(into)), Err(Refused::NoSuchIncident));
}

#[test]
fn what_flares_up_after_the_end_of_the_whole_is_the_whole_again() {
    for crash in [false, true] {
        let mut sim = sim();
        sim.post("1", "ann", 0, OUTAGE);
        sim.post("2", "bob", 10, SMOKE);
        let whole = merge(&mut sim, "fire", "cyber").id;
        sim.command(&whole, Action::Resolve).unwrap();
        sim.run_until(600);
        if crash {
            restart(&mut sim);
        }
        sim.post("3", "eve", 610, SMOKE);
        let again = of(&sim, "cyber");
        assert_eq!((again.state, again.again.map(|again| again.times), again.posts), (Open, Some(1), 3), "{crash}");
        assert_eq!((of(&sim, "fire").state, sim.engine.open_incidents()), (Over, 1));
    }
}

#[test]
fn a_third_part_brings_what_was_merged_into_it() {
    let mut sim = sim();
    sim.post("1", "ann", 0, OUTAGE);
    sim.post("2", "bob", 10, SMOKE);
    let first = id(&sim, "fire");
    let second = merge(&mut sim, "fire", "cyber").id;
    sim.command(&second, Action::Resolve).unwrap();
    // Of before its end, so incidents of their own.
    sim.run_until(60);
    sim.post("3", "eve", 5, OUTAGE);
    sim.post("4", "joe", 6, SMOKE);
    let (third, fourth) = (id(&sim, "fire"), id(&sim, "cyber"));
    assert!(first != third && second != fourth);
    sim.command(&fourth, Action::Merge(third.clone())).unwrap();
    sim.crash();
    let whole = &sim.model.incidents[&third];
    assert_eq!((whole.posts, whole.authors, sim.engine.open_incidents()), (2, 2, 1));
    sim.post("5", "joe", 70, OUTAGE);
    let whole = &sim.model.incidents[&third];
    assert_eq!((whole.posts, whole.authors), (3, 2), "people of a part are known after a restart");
}

#[test]
fn what_gets_graver_of_a_merged_topic_reaches_its_people_though_all_of_it_is_graver_yet() {
    let mut sim = sim();
    sim.post("1", "ann", 0, FIRE);
    sim.post("2", "bob", 10, RUMOUR);
    merge(&mut sim, "cyber", "fire");
    let whole = id(&sim, "fire");
    sim.command(&whole, Action::Acknowledge).unwrap();
    assert_eq!(told(&sim, "fire", Opened), ["guard"], "of a rumour nobody is told");
    sim.post("3", "eve", 60, OUTAGE);
    assert_eq!((of(&sim, "fire").state, of(&sim, "fire").also["cyber"].severity), (Taken, High));
    assert_eq!(told(&sim, "fire", Opened), ["guard", "it"]);
    assert_eq!(told(&sim, "fire", Updated), [""; 0], "those who have the fire know enough");
    assert_eq!(told(&sim, "fire", Acknowledged), ["guard", "it"]);
}

#[test]
fn a_silence_of_one_topic_does_not_hide_the_other() {
    let mut sim = sim();
    sim.silence(&["topic=cyber"], 3600).unwrap();
    sim.post("1", "ann", 0, OUTAGE);
    assert!(sim.model.outbox.is_empty());
    sim.post("2", "bob", 10, SMOKE);
    let united = merge(&mut sim, "fire", "cyber");
    assert_eq!(united.muted, None);
    assert_eq!(told(&sim, "cyber", Opened), ["guard", "it"]);
    sim.silence(&["topic=fire"], 3600).unwrap();
    assert!(of(&sim, "cyber").muted.is_some(), "two silences cover two topics");
}
