//! Routes that tell nobody at certain times. A simulation begins on a Sunday at 10:00 UTC.

use stormbell::domain::engine::Action;
use stormbell::domain::incident::IncidentState;
use stormbell::domain::incident::Severity::{Critical, High};
use stormbell::domain::message::MessageKind::{Acknowledged, Escalated, Opened, Resolved, Updated};
use stormbell::domain::oncall::{Hours, Weekdays};
use stormbell::domain::route::{NamedTime, OffTimes, Route, Routes};
use stormbell::domain::time::Zone;

use super::support::sim::{Sim, at, route};
use super::{OUTAGE, RANSOM, history, only, rules, told};

const HOUR: i64 = 3600;

/// From one hour of the day to another.
fn hours(name: &str, from: u16, to: u16) -> NamedTime {
    let hours = vec![Hours { days: Weekdays::ALL, from: from * 60, to: to * 60 }];
    NamedTime { name: name.to_owned(), zone: Zone::default(), hours }
}

fn off(from: u16, to: u16) -> OffTimes {
    OffTimes { mute: vec![hours("nights", from, to)], active: Vec::new() }
}

fn two_steps(off: OffTimes) -> Route {
    let steps: &[(&[&str], Option<u64>)] = &[(&["pager"], Some(5)), (&["manager"], None)];
    Route { off, ..route(&[], &[], steps, None) }
}

fn sim(routes: Vec<Route>) -> Sim {
    Sim::with_people(rules(), Routes::of(routes))
}

/// A post of another author each minute.
fn talk(sim: &mut Sim, minutes: std::ops::Range<i64>) {
    for minute in minutes {
        sim.run_until(minute * 60);
        sim.post(&format!("p{minute}"), &format!("author {minute}"), minute * 60, OUTAGE);
    }
}

#[test]
fn what_begins_in_a_mute_time_is_told_once_when_it_ends_and_goes_on() {
    let mut sim = sim(vec![two_steps(off(10, 12))]);
    talk(&mut sim, 0..119);
    assert!(sim.model.outbox.is_empty());
    assert_eq!(history(&sim, &only(&sim).id)[..2], ["opened", "muted"]);
    let lines: Vec<&str> = sim.model.timeline.iter().take(2).map(|entry| entry.text.as_str()).collect();
    assert!(lines[0].ends_with("; telling nobody for now"), "{lines:?}");
    assert_eq!(lines[1], "route 1 tells nobody: it is its mute time nights");
    sim.run_until(2 * HOUR + 2);
    assert_eq!((told(&sim, Opened), told(&sim, Updated)), (vec!["pager".to_owned()], vec![]));
    assert_eq!(sim.model.outbox.values().next().unwrap().message.incident.posts, 119, "of all that came meanwhile");
    sim.run_until(2 * HOUR + 302);
    assert_eq!(told(&sim, Escalated), ["manager"], "from then on as any other");
    let history = history(&sim, &only(&sim).id);
    assert_eq!(history[history.len() - 2..], ["unmuted", "escalated"]);
    assert_eq!(history.iter().filter(|what| **what == "muted").count(), 1, "one trace, however much comes");
}

#[test]
fn what_fell_asleep_in_a_mute_time_is_told_with_its_next_post() {
    let mut sim = sim(vec![two_steps(off(10, 12))]);
    sim.post("1", "ann", 10, OUTAGE);
    sim.run_until(3 * HOUR);
    assert!(sim.model.outbox.is_empty(), "what was over at ten is no page at twelve");
    sim.crash();
    sim.post("2", "bob", 3 * HOUR, OUTAGE);
    sim.post("3", "bob", 3 * HOUR + 1, OUTAGE);
    assert_eq!((told(&sim, Opened), told(&sim, Updated)), (vec!["pager".to_owned()], vec![]));
}

#[test]
fn growth_and_escalation_wait_for_the_end_and_are_one_message_then() {
    let mut sim = sim(vec![two_steps(off(11, 12))]);
    sim.post("1", "ann", HOUR - 60, OUTAGE);
    assert_eq!(told(&sim, Opened), ["pager"]);
    talk(&mut sim, 61..118);
    assert_eq!((told(&sim, Updated).len(), told(&sim, Escalated).len()), (0, 0));
    assert_eq!(history(&sim, &only(&sim).id), ["opened", "muted", "updated", "updated", "updated"], "one trace");
    sim.run_until(2 * HOUR + 2);
    assert_eq!((told(&sim, Updated), told(&sim, Escalated).len()), (vec!["pager".to_owned()], 0));
    sim.run_until(2 * HOUR + 302);
    assert_eq!(told(&sim, Escalated), ["manager"]);
}

#[test]
fn a_mute_time_in_which_nothing_happens_leaves_no_trace() {
    let mut sim = sim(vec![two_steps(off(11, 12))]);
    sim.post("1", "ann", HOUR - 60, OUTAGE);
    let id = only(&sim).id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    sim.run_until(3 * HOUR);
    assert_eq!(history(&sim, &id), ["opened", "acknowledged"]);
    assert_eq!(told(&sim, Updated), [""; 0]);
}

#[test]
fn what_ends_a_matter_goes_to_those_who_know_of_it() {
    let mut sim = sim(vec![two_steps(off(11, 12))]);
    sim.post("1", "ann", HOUR - 60, OUTAGE);
    sim.run_until(HOUR + 60);
    let id = only(&sim).id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    sim.command(&id, Action::Resolve).unwrap();
    assert_eq!((told(&sim, Acknowledged), told(&sim, Resolved)), (vec!["pager".to_owned()], vec!["pager".to_owned()]));
}

#[test]
fn what_is_critical_waits_too_unless_another_route_takes_it() {
    let mut sim = sim(vec![two_steps(off(10, 12))]);
    sim.post("1", "ann", 10, RANSOM);
    sim.post("2", "bob", 20, RANSOM);
    assert!(sim.model.outbox.is_empty());

    let grave = Route { go_on: true, ..route(&[Critical], &[], &[(&["phone", "pager"], None)], None) };
    let mut sim = self::sim(vec![grave, two_steps(off(10, 12))]);
    sim.post("1", "ann", 10, RANSOM);
    sim.post("2", "bob", 20, RANSOM);
    assert_eq!(told(&sim, Opened), ["pager", "phone"], "also whom the other route would spare");
    for n in 3..10 {
        sim.post(&format!("{n}"), &format!("author {n}"), 20 + n, RANSOM);
    }
    assert_eq!(told(&sim, Updated), ["pager", "phone"]);
    sim.run_until(600);
    assert_eq!(told(&sim, Escalated), [""; 0], "the other's second step waits");
}

#[test]
fn a_graver_one_takes_another_route_at_once() {
    let grave = route(&[Critical], &[], &[(&["phone"], None)], None);
    let mut sim = sim(vec![grave, two_steps(off(10, 12))]);
    sim.post("1", "ann", 10, OUTAGE);
    assert!(sim.model.outbox.is_empty());
    sim.post("2", "bob", 20, RANSOM);
    sim.post("3", "eve", 30, RANSOM);
    assert_eq!(told(&sim, Opened), ["phone"]);
    assert_eq!(only(&sim).severity, Critical);
}

#[test]
fn outside_its_active_times_a_route_tells_nobody() {
    let active = |from, to| OffTimes { mute: Vec::new(), active: vec![hours("office", from, to)] };
    let mut sim = sim(vec![two_steps(active(11, 18))]);
    talk(&mut sim, 0..59);
    assert!(sim.model.outbox.is_empty());
    assert_eq!(sim.model.timeline[1].text, "route 1 tells nobody: it is outside its active times: office");
    sim.run_until(HOUR + 2);
    assert_eq!(told(&sim, Opened), ["pager"]);
}

#[test]
fn restarts_change_nothing_and_a_reload_takes_effect_at_once() {
    let mut sim = sim(vec![two_steps(off(11, 12))]);
    sim.post("1", "ann", HOUR - 60, OUTAGE);
    talk(&mut sim, 61..70);
    let lines = history(&sim, &only(&sim).id).len();
    sim.crash();
    sim.run_until(71 * 60);
    assert_eq!((told(&sim, Updated).len(), history(&sim, &only(&sim).id).len()), (0, lines));
    sim.crash();
    sim.reload(vec![two_steps(OffTimes::default())]);
    sim.run_until(71 * 60 + 2);
    assert_eq!(told(&sim, Updated), ["pager"]);
    sim.reload(vec![two_steps(off(0, 23))]);
    sim.run_until(80 * 60);
    assert_eq!(told(&sim, Escalated), [""; 0]);
    assert_eq!(only(&sim).state, IncidentState::Open);
}

#[test]
fn a_silence_that_ends_in_a_mute_time_tells_nobody_before_that_ends_too() {
    let mut sim = sim(vec![two_steps(off(11, 12))]);
    sim.silence(&["topic=cyber"], HOUR + 600).unwrap();
    talk(&mut sim, 0..118);
    assert!(sim.model.outbox.is_empty());
    sim.run_until(2 * HOUR + 2);
    assert_eq!((told(&sim, Opened), told(&sim, Updated)), (vec!["pager".to_owned()], vec![]));
    assert_eq!(only(&sim).severity, High);
    assert!(sim.model.outbox.values().all(|delivery| delivery.message.at >= at(2 * HOUR)));
}
