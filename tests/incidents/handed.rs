//! What people do who cannot go on alone: who has an incident then, and who is rung.

use std::sync::Arc;

use stormbell::domain::cap::Cap;
use stormbell::domain::condition::Condition;
use stormbell::domain::engine::{Action, Input, Refused};
use stormbell::domain::incident::IncidentState::{Acknowledged as Taken, Open};
use stormbell::domain::incident::Severity::{Critical, High};
use stormbell::domain::message::MessageKind::{Acknowledged, Escalated};
use stormbell::domain::message::{Delivery, MessageKind, Undelivered};
use stormbell::domain::oncall::{Hours, People, Person, Weekdays};
use stormbell::domain::route::{NamedTime, OffTimes, Route, Routes};
use stormbell::domain::time::Zone;

use super::{history, only};
use crate::support::sim::{Sim, at, minutes, route, rule};

/// Bob sleeps, unless it is critical; Cid has left his address nowhere.
fn people() -> People {
    let person = |contact: &[(&str, &str)], quiet| Person {
        contact: contact.iter().map(|(receiver, at)| ((*receiver).into(), (*at).to_owned())).collect(),
        quiet,
        ..Person::default()
    };
    let persons = [
        ("bob", person(&[("sms", "+1555002")], day())),
        ("cid", person(&[], Vec::new())),
        ("meg", person(&[("sms", "+1555003"), ("mail", "meg@h.example")], Vec::new())),
    ];
    People { persons: persons.map(|(name, person)| (name.into(), person)).into(), ..People::default() }
}

/// From 8 to 20 o'clock: the simulation begins at 10.
fn day() -> Vec<Hours> {
    vec![Hours { days: Weekdays([true; 7]), from: 8 * 60, to: 20 * 60 }]
}

fn routes(off: OffTimes) -> Routes {
    let steps: &[(&[&str], Option<u64>)] = &[(&["pager"], Some(5)), (&["manager"], Some(5)), (&["board"], None)];
    let list = vec![Route { off, ..route(&[], &[], steps, Some(60)) }];
    Routes { people: Arc::new(people()), ..Routes::of(list) }
}

/// A gunman is critical, a queue is high; the one post of it comes at second 0.
fn sim(text: &str) -> Sim {
    sim_with(text, OffTimes::default())
}

fn sim_with(text: &str, off: OffTimes) -> Sim {
    let rules = vec![
        rule("t.gunman", "t", Critical, "$org gunman", Condition::Match),
        rule("t.queue", "t", High, "$org queue", Condition::Match),
    ];
    let mut sim = Sim::with_people(rules, routes(off));
    sim.connect(None);
    sim.post("1", "eve", 0, text);
    sim
}

const GUNMAN: &str = "gunman at St Brigids";
const QUEUE: &str = "a queue at St Brigids";

fn told(sim: &Sim, kind: MessageKind) -> Vec<String> {
    let of_kind = sim.model.outbox.values().filter(|delivery| delivery.message.kind == kind);
    let to = |delivery: &Delivery| match &delivery.recipient {
        Some(recipient) => format!("{} ({})", recipient.person, delivery.receiver),
        None => delivery.receiver.to_string(),
    };
    let mut told: Vec<String> = of_kind.map(to).collect();
    told.sort();
    told
}

#[test]
fn whoever_gets_an_incident_is_rung_and_the_others_hear_who_has_it() {
    let mut sim = sim(GUNMAN);
    let id = only(&sim).id.clone();
    assert_eq!(sim.command(&id, Action::HandOver("meg".into())), Err(Refused::NotTaken), "nobody has it");
    sim.command(&id, Action::Acknowledge).unwrap();
    sim.now = at(60);
    let handed = sim.command(&id, Action::HandOver("meg".into())).unwrap();
    let owner = handed.acknowledged.unwrap();
    assert_eq!((handed.state, owner.by.as_str(), owner.at), (Taken, "meg", at(60)));
    assert_eq!(told(&sim, Escalated), ["meg (mail)", "meg (sms)"]);
    assert_eq!(told(&sim, Acknowledged), ["pager", "pager"], "that ann has it, then that meg has");
    let rung = |delivery: &&Delivery| delivery.message.kind == Escalated;
    assert!(sim.model.outbox.values().filter(rung).all(|delivery| delivery.message.hands_over()));
    assert!(history(&sim, &id).last().unwrap().contains("handed_over"), "{:?}", history(&sim, &id));

    // Once more, as after an answer that was lost, also by another process: nothing.
    let before = sim.model.outbox.len();
    assert_eq!(sim.command(&id, Action::HandOver("meg".into())).unwrap().acknowledged.unwrap().at, at(60));
    sim.crash();
    assert_eq!(sim.command(&id, Action::HandOver("meg".into())).unwrap().acknowledged.unwrap().by, "meg");
    assert_eq!(sim.model.outbox.len(), before);
    sim.command(&id, Action::Resolve).unwrap();
    assert_eq!(told(&sim, MessageKind::Resolved), ["meg (mail)", "meg (sms)", "pager"], "who was told hears the end");
}

#[test]
fn nobody_gets_an_incident_without_hearing_of_it() {
    let mut sim = sim(QUEUE);
    let id = only(&sim).id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    for (to, refused) in [("nobody", Refused::NotReached), ("cid", Refused::NotReached), ("bob", Refused::Asleep)] {
        assert_eq!(sim.command(&id, Action::HandOver(to.into())), Err(refused));
    }
    assert_eq!(only(&sim).acknowledged.as_ref().unwrap().by, "ann");
    assert_eq!(told(&sim, Escalated), [""; 0]);
    // What is critical wakes people.
    sim = self::sim(GUNMAN);
    let id = only(&sim).id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    sim.command(&id, Action::HandOver("bob".into())).unwrap();
    assert_eq!(told(&sim, Escalated), ["bob (sms)"]);
}

#[test]
fn the_next_step_is_told_at_once_and_once() {
    let mut sim = sim(QUEUE);
    let id = only(&sim).id.clone();
    let told_so_far = Some(only(&sim).steps_told());
    let escalated = sim.command(&id, Action::Escalate(told_so_far)).unwrap();
    assert_eq!((escalated.state, escalated.steps_told()), (Open, 2));
    assert_eq!(told(&sim, Escalated), ["manager"]);
    sim.crash();
    sim.connect(Some(0));
    sim.command(&id, Action::Escalate(told_so_far)).unwrap();
    assert_eq!(told(&sim, Escalated), ["manager"], "the same order once more");
    // From there the route goes on by itself.
    sim.run_until(301);
    assert_eq!(told(&sim, Escalated), ["board", "manager"]);
    let told = sim.model.timeline.iter().find(|entry| entry.what == "escalated").unwrap();
    assert_eq!((told.by.as_str(), told.text.as_str()), ("ann", "telling manager: it is our own drill"));
}

#[test]
fn whoever_has_an_incident_can_call_for_help_and_keeps_it() {
    let mut sim = sim(QUEUE);
    let id = only(&sim).id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    let escalated = sim.command(&id, Action::Escalate(None)).unwrap();
    assert_eq!((escalated.state, escalated.acknowledged.unwrap().by.as_str()), (Taken, "ann"));
    assert_eq!(told(&sim, Escalated), ["manager"]);
    sim.run_until(3600);
    assert_eq!(told(&sim, Escalated), ["manager"], "nobody else by itself: somebody has it");
}

#[test]
fn an_escalation_that_would_reach_nobody_is_refused() {
    let mut muted = sim(QUEUE);
    let id = only(&muted).id.clone();
    muted.silence(&["topic=t"], 3600).unwrap();
    assert_eq!(muted.command(&id, Action::Escalate(None)), Err(Refused::Muted));
    let night = NamedTime { name: "night".to_owned(), zone: Zone::default(), hours: day() };
    let mut off = sim_with(QUEUE, OffTimes { mute: vec![night], active: Vec::new() });
    let id = only(&off).id.clone();
    assert_eq!(off.command(&id, Action::Escalate(None)), Err(Refused::NoStep));
    off.command(&id, Action::Resolve).unwrap();
    assert_eq!(off.command(&id, Action::Escalate(None)), Err(Refused::NoSuchIncident));
    assert_eq!(off.command(&id, Action::HandOver("meg".into())), Err(Refused::NoSuchIncident));
}

#[test]
fn what_is_handed_over_waits_in_no_digest_and_a_missing_receipt_is_told() {
    let mut capped = routes(OffTimes::default());
    capped.caps = ["sms", "manager"].map(|receiver| (receiver.into(), Cap { most: 0, within: minutes(60) })).into();
    let rules = vec![rule("t.queue", "t", High, "$org queue", Condition::Match)];
    let mut sim = Sim::with_people(rules, capped);
    sim.connect(None);
    sim.post("1", "eve", 0, QUEUE);
    let id = only(&sim).id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    sim.command(&id, Action::HandOver("meg".into())).unwrap();
    sim.command(&id, Action::Escalate(None)).unwrap();
    assert_eq!(told(&sim, Escalated), ["manager", "meg (mail)", "meg (sms)"]);

    let mut sim = self::sim(GUNMAN);
    let id = only(&sim).id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    sim.command(&id, Action::HandOver("bob".into())).unwrap();
    let rung = sim.model.outbox.values().find(|delivery| delivery.message.hands_over()).unwrap().clone();
    assert!(rung.receipt_by().is_some(), "somebody waits for it");
    let (receiver, person) = (rung.receiver, rung.recipient.map(|to| to.person));
    sim.step(Input::Overdue(Undelivered { id: rung.id, receiver, person, incident: id, error: String::new() }));
    let notice = sim.model.incidents.values().find(|incident| incident.is_own()).expect("others hear of it");
    assert!(notice.title.starts_with("bob (sms) has not received"), "{}", notice.title);
}
