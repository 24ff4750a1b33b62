//! What flares up after its end.

use std::time::Duration;

use stormbell::domain::engine::{Action, Input, Refused};
use stormbell::domain::event::SourceEvent;
use stormbell::domain::incident::{Again, IncidentState, Severity};
use stormbell::domain::message::MessageKind::{Acknowledged, Escalated, Opened, Resolved, Updated};
use stormbell::domain::message::Undelivered;
use stormbell::domain::terms::Terms;

use super::support::sim::{Sim, at, frame, posted};
use super::{OUTAGE, RANSOM, RUMOUR, history, messages, only, sim, told};

const HOUR: i64 = 3600;

/// Opened at 10, told to the manager at 310, resolved by Ann at 400.
fn called_off(terms: Terms) -> Sim {
    let mut sim = sim(terms);
    sim.post("1", "ann", 10, OUTAGE);
    sim.run_until(400);
    assert_eq!((told(&sim, Opened).len(), told(&sim, Escalated).len()), (1, 1));
    let id = only(&sim).id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    sim.command(&id, Action::Resolve).unwrap();
    sim
}

#[test]
fn what_flares_up_after_its_end_is_told_to_the_same_people_and_escalates_from_the_first_step() {
    let mut sim = called_off(Terms::default());
    sim.post("2", "bob", 1000, OUTAGE);
    let incident = only(&sim);
    assert_eq!((incident.state, incident.posts, incident.authors), (IncidentState::Open, 2, 2));
    assert_eq!((&incident.acknowledged, &incident.resolved), (&None, &None));
    assert_eq!(incident.again, Some(Again { at: at(1000), times: 1 }));
    assert_eq!(told(&sim, Opened), ["manager", "pager", "pager"], "the manager heard that it was over");
    let again: Vec<bool> = messages(&sim).iter().map(|message| message.begins_again()).collect();
    assert_eq!(again.iter().filter(|again| **again).count(), 2);
    assert_eq!(history(&sim, &incident.id), ["opened", "escalated", "acknowledged", "resolved", "reopened"]);
    sim.run_until(1000 + 5 * 60 + 1);
    assert_eq!(told(&sim, Escalated), ["manager", "manager"], "nobody took charge this time");
    let id = only(&sim).id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    sim.command(&id, Action::Resolve).unwrap();
    assert_eq!((told(&sim, Acknowledged).len(), told(&sim, Resolved).len()), (4, 4));
}

#[test]
fn whoever_pressed_a_button_of_before_does_not_take_what_it_has_become() {
    let mut sim = called_off(Terms::default());
    let before = only(&sim).revision;
    sim.post("2", "bob", 1000, OUTAGE);
    let id = only(&sim).id.clone();
    assert_eq!(sim.command(&id, Action::AcknowledgeSeen(before)), Err(Refused::Outdated));
    sim.post("3", "cid", 1010, RANSOM);
    let before = only(&sim).revision;
    sim.post("4", "dan", 1020, RANSOM);
    assert_eq!(only(&sim).severity, Severity::Critical);
    assert_eq!(sim.command(&id, Action::AcknowledgeSeen(before)), Err(Refused::Outdated));
    assert_eq!(only(&sim).state, IncidentState::Open);
    let now = only(&sim).revision;
    assert_eq!(sim.command(&id, Action::AcknowledgeSeen(now)).unwrap().state, IncidentState::Acknowledged);
}

#[test]
fn a_crisis_after_a_rumour_that_began_again_in_silence_rings_as_any_other() {
    let mut sim = sim(Terms::default());
    sim.post("1", "ann", 10, RANSOM);
    sim.post("2", "bob", 20, RANSOM);
    let id = only(&sim).id.clone();
    sim.command(&id, Action::Resolve).unwrap();
    sim.silence(&["severity=low"], 7200).unwrap();
    sim.post("3", "cid", 600, RUMOUR);
    assert!(only(&sim).muted.is_some());
    sim.command(&id, Action::Acknowledge).unwrap();
    let before = sim.model.outbox.len();
    sim.post("4", "dan", 700, RANSOM);
    sim.post("5", "eve", 710, RANSOM);
    let incident = only(&sim);
    assert_eq!((incident.state, incident.severity, &incident.muted), (IncidentState::Open, Severity::Critical, &None));
    assert!(sim.model.outbox.len() > before, "somebody is rung");
}

#[test]
fn what_ended_by_itself_begins_again_too_and_after_the_hour_another_one_begins() {
    for (seconds, incidents) in [(6 * HOUR + 1800, 1), (7 * HOUR + 30, 2)] {
        let mut sim = sim(Terms::default());
        sim.post("1", "ann", 10, OUTAGE);
        sim.feed(vec![frame(Ok(SourceEvent::Other), at(20))]);
        sim.run_until(seconds);
        assert_eq!(only(&sim).state, IncidentState::Resolved);
        sim.post("2", "bob", seconds, OUTAGE);
        assert_eq!(sim.model.incidents.len(), incidents, "after {seconds} s");
    }
}

#[test]
fn nothing_begins_again_where_that_is_not_wanted() {
    let mut sim = called_off(Terms { reopen_within: Duration::ZERO, ..Terms::default() });
    sim.post("2", "bob", 401, OUTAGE);
    assert_eq!(sim.model.incidents.len(), 2);
}

#[test]
fn a_post_from_before_the_end_does_not_have_it_begin_again() {
    let mut sim = called_off(Terms::default());
    sim.now = at(500);
    sim.feed(vec![posted("2", "bob", 399, OUTAGE)]);
    assert_eq!(sim.model.incidents.len(), 2, "whoever ended it had not seen this");
    assert_eq!(sim.model.incidents.values().filter(|one| one.again.is_some()).count(), 0);
    sim.feed(vec![posted("3", "eve", 500, OUTAGE)]);
    assert_eq!(sim.model.incidents.len(), 2, "and what comes now joins the one that is open");
}

#[test]
fn after_a_rumour_and_a_crisis_a_rumour_is_a_rumour() {
    let mut sim = called_off(Terms::default());
    sim.post("2", "bob", 1000, RUMOUR);
    assert_eq!(only(&sim).severity, Severity::Low);
    assert_eq!(told(&sim, Opened), ["chat", "pager"], "nobody is woken for it");
    sim.post("3", "eve", 1100, RANSOM);
    sim.post("4", "dan", 1101, RANSOM);
    assert_eq!(only(&sim).severity, Severity::Critical);
    assert_eq!(told(&sim, Opened), ["chat", "pager", "pager"]);
    assert_eq!(told(&sim, Updated), ["chat"]);
}

#[test]
fn a_silence_mutes_what_begins_again_and_its_end_tells_of_it_once() {
    let mut sim = called_off(Terms::default());
    sim.silence(&["topic=cyber"], 1200).unwrap();
    let before = sim.model.outbox.len();
    sim.post("2", "bob", 1000, OUTAGE);
    assert_eq!(sim.model.outbox.len(), before);
    sim.run_until(1700);
    assert_eq!(told(&sim, Opened), ["pager", "pager"]);
    assert_eq!(history(&sim, &only(&sim).id)[4..], ["reopened", "muted", "unmuted", "updated"]);
}

#[test]
fn who_could_not_be_told_before_is_told_anew_and_so_is_that_it_failed() {
    let mut sim = sim(Terms::default());
    sim.post("1", "ann", 10, OUTAGE);
    let id = only(&sim).id.clone();
    let fail = |sim: &mut Sim| {
        let of_it = sim.model.outbox.values().filter(|one| one.message.incident.id == id);
        let newest = of_it.max_by_key(|one| one.message.incident.revision).unwrap().clone();
        assert_eq!((newest.receiver.as_str(), newest.message.kind), ("pager", Opened));
        let (error, person) = ("connection refused".to_owned(), None);
        let undelivered = Undelivered { id: newest.id, receiver: newest.receiver, person, incident: id.clone(), error };
        sim.step(Input::Undelivered(undelivered));
    };
    fail(&mut sim);
    let notices = |sim: &Sim| {
        let about = |topic: &str| topic.starts_with("stormbell.undelivered.");
        sim.model.sent(Opened).into_iter().filter(|(_, id)| about(sim.model.incidents[id].topic.as_str())).count()
    };
    assert_eq!(notices(&sim), 2, "chat and manager");
    sim.command(&id, Action::Resolve).unwrap();
    // The manager was told at once, for nobody else could be.
    sim.model.outbox.retain(|_, one| one.receiver.as_str() != "manager" || one.message.incident.id != id);
    sim.post("2", "bob", 1000, OUTAGE);
    let pager =
        |one: &&stormbell::domain::message::Delivery| one.receiver.as_str() == "pager" && one.message.begins_again();
    let again = sim.model.outbox.values().find(pager).unwrap().clone();
    let (error, person) = ("connection refused".to_owned(), None);
    let undelivered = Undelivered { id: again.id, receiver: again.receiver, person, incident: id.clone(), error };
    sim.step(Input::Undelivered(undelivered));
    assert_eq!(notices(&sim), 4, "that it fails still is news to them");
}

#[test]
fn a_crash_neither_loses_nor_repeats_a_beginning() {
    // Once before what flares up is written down, once after.
    for written in [false, true] {
        let mut sim = called_off(Terms::default());
        sim.crash();
        sim.now = at(1000);
        let flares = vec![posted("2", "bob", 1000, OUTAGE)];
        if written {
            sim.feed(flares.clone());
        } else {
            let batch = sim.batch(flares.clone(), Some(at(1000)));
            sim.engine.step(Input::Batch(batch), at(1000)); // and nobody wrote it down
        }
        sim.crash();
        sim.feed(vec![posted("1", "ann", 10, OUTAGE)]);
        sim.feed(flares);
        let incident = only(&sim);
        assert_eq!((incident.state, incident.posts), (IncidentState::Open, 2), "written: {written}");
        assert_eq!(incident.again, Some(Again { at: at(1000), times: 1 }));
        assert_eq!(told(&sim, Opened), ["manager", "pager", "pager"]);
        assert_eq!(history(&sim, &incident.id).iter().filter(|what| **what == "reopened").count(), 1);
    }
}

#[test]
fn what_ended_stays_ended_over_a_restart_that_reads_its_posts_again() {
    let mut sim = called_off(Terms::default());
    let before = sim.model.outbox.len();
    sim.crash();
    sim.feed(vec![posted("1", "ann", 10, OUTAGE)]);
    sim.run_until(2000);
    assert_eq!((only(&sim).state, sim.model.outbox.len()), (IncidentState::Resolved, before));
}

#[test]
fn the_daemons_own_incidents_begin_anew_each_time() {
    let mut sim = sim(Terms::default());
    for round in 0..2 {
        sim.cut();
        sim.run_until((round + 1) * 1200);
        sim.connect(Some(0));
        sim.feed(vec![frame(Ok(SourceEvent::Other), sim.now)]);
        sim.run_until((round + 1) * 1200 + 100);
    }
    assert!(sim.model.incidents.values().all(|one| one.is_own() && one.again.is_none()));
    let blind = sim.model.incidents.values().filter(|one| one.topic.as_str().starts_with("stormbell.blind."));
    assert_eq!(blind.count(), 2);
}

/// One post a minute where a minute of quiet is enough for an end: an end and a beginning each time, if nothing stops it.
#[test]
fn who_posts_again_and_again_after_the_quiet_time_does_not_ring_again_and_again() {
    let mut sim = sim(Terms { quiet: Duration::from_mins(1), ..Terms::default() });
    for minute in 0..24 * 40 {
        let second = minute * 90;
        sim.run_until(second - 1);
        sim.post(&format!("p{minute}"), &format!("bot {}", minute % 4), second, OUTAGE);
    }
    let opened = told(&sim, Opened).len();
    assert!(opened <= 4, "{opened} times in a day: {:?}", history(&sim, &only(&sim).id));
    assert!(sim.model.outbox.len() <= 16, "{}", sim.model.outbox.len());
}
