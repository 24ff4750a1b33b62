//! Smaller incidents that come with a bigger one.

use stormbell::domain::condition::Condition;
use stormbell::domain::engine::{Action, Exercise, Input};
use stormbell::domain::incident::Severity::{self, Critical, High, Medium};
use stormbell::domain::incident::{Incident, IncidentState};
use stormbell::domain::inhibit::Inhibition;
use stormbell::domain::message::MessageKind::{Escalated, Opened, Resolved, Updated};
use stormbell::domain::message::Undelivered;
use stormbell::domain::route::{Glob, Routes};
use stormbell::domain::rule::Rule;
use stormbell::domain::terms::Terms;

use super::support::sim::{Sim, at, post, route, rule};

const SHOTS: &str = "shots at St Brigids";
const PRESS: &str = "a camera team at St Brigids";
const BOTH: &str = "shots at St Brigids, says a camera team";

fn about(topic: &str, severity: Severity, word: &str) -> Rule {
    rule(&format!("{topic}.{word}"), topic, severity, &format!("$org {word}"), Condition::Match)
}

fn rules() -> Vec<Rule> {
    vec![
        about("threat", Critical, "shots"),
        about("press", Medium, "camera"),
        about("press", High, "helicopter"),
        about("service.ward", Medium, "bed"),
        about("service.desk", High, "queue"),
    ]
}

fn inhibition(source: &[&str], target: &[&str], same_family: bool) -> Inhibition {
    let matchers = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    Inhibition { source: matchers(source), target: matchers(target), same_family }
}

fn press() -> Inhibition {
    inhibition(&["topic=threat", "severity=critical"], &["topic=press", "severity=medium"], false)
}

fn sim(inhibitions: Vec<Inhibition>) -> Sim {
    let steps: &[(&[&str], Option<u64>)] = &[(&["pager"], Some(5)), (&["manager"], None)];
    let routes = Routes { inhibitions, ..Routes::of(vec![route(&[], &[], steps, None)]) };
    Sim::with_people(rules(), routes)
}

fn of<'a>(sim: &'a Sim, topic: &str) -> &'a Incident {
    let mut of_it = sim.model.incidents.values().filter(|incident| incident.topic.as_str() == topic);
    let incident = of_it.next().unwrap();
    assert!(of_it.next().is_none());
    incident
}

fn history<'a>(sim: &'a Sim, topic: &str) -> Vec<&'a str> {
    sim.model.history(&of(sim, topic).id)
}

/// To how many it was told about a topic, by kind.
fn told(sim: &Sim, topic: &str) -> [usize; 4] {
    let id = &of(sim, topic).id;
    [Opened, Updated, Escalated, Resolved]
        .map(|kind| sim.model.sent(kind).iter().filter(|(_, about)| about == id).count())
}

#[test]
fn what_stormbell_says_of_itself_mutes_nothing() {
    let mut sim = sim(vec![inhibition(&["severity=critical,high"], &["severity=medium"], false)]);
    sim.post("1", "ann", 10, "a queue at St Brigids");
    let desk = of(&sim, "service.desk").id.clone();
    let opened = sim.model.outbox.values().find(|delivery| delivery.message.incident.id == desk).unwrap();
    let (id, receiver) = (opened.id.clone(), opened.receiver.clone());
    let error = "410 gone".to_owned();
    sim.step(Input::Undelivered(Undelivered { id, receiver, person: None, incident: desk.clone(), error }));
    sim.command(&desk, Action::Resolve).unwrap();
    sim.post("2", "bob", 20, PRESS);
    assert!(sim.model.incidents.values().any(|incident| incident.is_own() && incident.state == IncidentState::Open));
    assert_eq!(told(&sim, "press"), [1, 0, 0, 0]);
}

#[test]
fn while_a_bigger_one_is_open_nobody_is_told_of_the_smaller_and_its_history_says_why() {
    let mut sim = sim(vec![press()]);
    sim.post("1", "ann", 10, SHOTS);
    sim.post("2", "bob", 20, PRESS);
    sim.run_until(900);
    assert_eq!((told(&sim, "threat"), told(&sim, "press")), ([1, 0, 1, 0], [0; 4]));
    assert_eq!(history(&sim, "press"), ["opened", "muted"]);
    let (big, small) = (of(&sim, "threat"), of(&sim, "press"));
    assert_eq!(small.muted.as_ref().unwrap().incident, Some(big.id.clone()));
    let line = sim.model.timeline.iter().find(|entry| entry.what == "muted").unwrap();
    assert_eq!(line.text, format!("nobody is told while {} is open, which is bigger: title of threat.shots", big.id));
    assert_eq!((small.state, small.posts), (IncidentState::Open, 1));
}

#[test]
fn when_the_bigger_one_is_over_what_goes_on_is_told_once() {
    let mut sim = sim(vec![press()]);
    sim.post("1", "ann", 10, SHOTS);
    for n in 0..30 {
        sim.post(&format!("p{n}"), &format!("author {n}"), 20 + n, PRESS);
    }
    let big = of(&sim, "threat").id.clone();
    sim.command(&big, Action::Acknowledge).unwrap();
    sim.run_until(400);
    assert_eq!(told(&sim, "press"), [0; 4], "somebody has the bigger one, and it is not over");
    sim.command(&big, Action::Resolve).unwrap();
    sim.run_until(402);
    assert_eq!(told(&sim, "press"), [1, 0, 0, 0]);
    assert_eq!(history(&sim, "press"), ["opened", "muted", "unmuted", "updated"]);
    sim.run_until(402 + 301);
    assert_eq!(told(&sim, "press"), [1, 0, 1, 0], "and from then on as any other");
}

#[test]
fn what_fell_asleep_meanwhile_is_told_with_its_next_post() {
    let mut sim = sim(vec![press()]);
    sim.post("1", "ann", 10, SHOTS);
    sim.post("2", "bob", 20, PRESS);
    sim.run_until(3600);
    let big = of(&sim, "threat").id.clone();
    sim.command(&big, Action::Resolve).unwrap();
    sim.run_until(3700);
    assert_eq!(told(&sim, "press"), [0; 4]);
    sim.post("3", "eve", 3700, PRESS);
    assert_eq!(told(&sim, "press"), [1, 0, 0, 0]);
}

#[test]
fn a_smaller_one_that_was_told_is_muted_when_the_bigger_begins() {
    let mut sim = sim(vec![press()]);
    sim.post("1", "bob", 10, PRESS);
    assert_eq!(told(&sim, "press"), [1, 0, 0, 0]);
    sim.post("2", "ann", 60, SHOTS);
    sim.run_until(900);
    assert_eq!(told(&sim, "press"), [1, 0, 0, 0], "it escalates no more");
    let small = of(&sim, "press").id.clone();
    sim.command(&small, Action::Resolve).unwrap();
    assert_eq!(told(&sim, "press"), [1, 0, 0, 1], "whoever knew of it hears how it ends");
}

#[test]
fn one_post_that_begins_both_tells_of_the_bigger_alone() {
    // Of two topics that are never one incident: otherwise there is no smaller one.
    let terms = Terms { apart: vec![Glob("press".to_owned())], ..Terms::default() };
    let list = vec![route(&[], &[], &[(&["pager"], None)], None)];
    let mut sim = Sim::with_people(rules(), Routes { inhibitions: vec![press()], terms, ..Routes::of(list) });
    sim.post("1", "ann", 10, BOTH);
    assert_eq!((told(&sim, "threat"), told(&sim, "press")), ([1, 0, 0, 0], [0; 4]));
    let mut sim = self::sim(vec![press()]);
    sim.post("1", "ann", 10, BOTH);
    assert_eq!((told(&sim, "threat"), sim.model.incidents.len()), ([1, 0, 0, 0], 1));
}

#[test]
fn what_grows_beyond_the_targets_speaks() {
    let mut sim = sim(vec![press()]);
    sim.post("1", "ann", 10, SHOTS);
    sim.post("2", "bob", 20, PRESS);
    sim.post("3", "eve", 30, "a helicopter over St Brigids");
    assert_eq!((told(&sim, "press"), &of(&sim, "press").muted), ([1, 0, 0, 0], &None));
}

#[test]
fn two_that_would_mute_each_other_are_not_both_mute() {
    let each_other = || {
        let any = &["topic=threat,press,service.*", "severity=critical,high,medium"][..];
        vec![inhibition(any, any, false)]
    };
    for texts in [[SHOTS, PRESS], [PRESS, SHOTS], [PRESS, "no bed at St Brigids"]] {
        let mut sim = sim(each_other());
        for (n, text) in texts.iter().enumerate() {
            sim.post(&format!("p{n}"), "ann", 10 + i64::try_from(n).unwrap(), text);
        }
        sim.run_until(60);
        sim.crash();
        sim.run_until(120);
        let mute: Vec<&Incident> = sim.model.incidents.values().filter(|one| one.muted.is_some()).collect();
        let [small] = mute.as_slice() else { panic!("{texts:?}: {mute:?}") };
        let big = sim.model.incidents.values().find(|one| one.muted.is_none()).unwrap();
        let bigger = (big.severity, std::cmp::Reverse(big.opened_at));
        assert!(bigger > (small.severity, std::cmp::Reverse(small.opened_at)));
        assert_eq!(small.muted.as_ref().unwrap().incident, Some(big.id.clone()));
    }
}

#[test]
fn only_one_family_of_topics_where_that_is_asked_for() {
    let service = || inhibition(&["severity=high"], &["severity=medium"], true);
    let mut sim = sim(vec![service()]);
    sim.post("1", "ann", 10, "a queue at St Brigids");
    sim.post("2", "bob", 20, "no bed at St Brigids");
    sim.post("3", "eve", 30, PRESS);
    assert_eq!((told(&sim, "service.ward"), told(&sim, "press")), ([0; 4], [1, 0, 0, 0]));
}

#[test]
fn a_silenced_one_mutes_nobody() {
    let mut sim = sim(vec![press()]);
    sim.silence(&["topic=threat"], 3600).unwrap();
    sim.post("1", "ann", 10, SHOTS);
    sim.post("2", "bob", 20, PRESS);
    assert_eq!((told(&sim, "threat"), told(&sim, "press")), ([0; 4], [1, 0, 0, 0]));
}

#[test]
fn what_is_critical_and_what_stormbell_says_of_itself_must_be_named() {
    let all = || inhibition(&["topic=threat"], &["topic=*"], false);
    let mut sim = sim(vec![all()]);
    sim.connect(None);
    sim.post("1", "ann", 10, SHOTS);
    sim.cut();
    sim.run_until(900);
    assert_eq!(told(&sim, "stormbell.blind.stream")[0], 1);

    // That somebody cannot be told is never muted, not even by name.
    let by_name = || inhibition(&["topic=threat"], &["topic=stormbell*", "rule=stormbell*"], false);
    let mut sim = self::sim(vec![by_name()]);
    sim.post("1", "ann", 10, SHOTS);
    let lost = sim.model.outbox.values().next().unwrap().clone();
    let (incident, error) = (lost.message.incident.id.clone(), "410".to_owned());
    let undelivered = Undelivered { id: lost.id, receiver: lost.receiver, person: None, incident, error };
    sim.step(Input::Undelivered(undelivered));
    sim.run_until(60);
    let notice =
        sim.model.incidents.values().find(|one| one.topic.as_str().starts_with("stormbell.undelivered.")).unwrap();
    assert_eq!(notice.muted, None);
    assert_eq!(sim.model.sent(Opened).iter().filter(|(_, id)| *id == notice.id).count(), 1);
}

#[test]
fn restarts_change_nothing_and_a_reload_takes_effect_at_once() {
    let mut sim = sim(vec![press()]);
    sim.post("1", "ann", 10, SHOTS);
    sim.post("2", "bob", 20, PRESS);
    sim.run_until(30);
    sim.crash();
    sim.run_until(60);
    assert_eq!((told(&sim, "press"), history(&sim, "press")), ([0; 4], vec!["opened", "muted"]));
    let steps: &[(&[&str], Option<u64>)] = &[(&["pager"], Some(5)), (&["manager"], None)];
    sim.reload(vec![route(&[], &[], steps, None)]);
    sim.run_until(62);
    assert_eq!(told(&sim, "press"), [1, 0, 0, 0]);
}

#[test]
fn an_exercise_is_neither_muted_nor_mutes() {
    let mut sim = sim(vec![press()]);
    sim.post("1", "ann", 10, SHOTS);
    let posts = vec![post("exercise/1", "x", at(10), PRESS), post("exercise/2", "y", at(10), SHOTS)];
    let (mut exercise, outcome) = Exercise::begin(posts, &sim.engine, at(10));
    assert_eq!(outcome.commit.outbox.len(), 2, "of both, beside a real one and one of its own");
    let quiet = exercise.step(Input::Tick, at(20)).commit;
    assert!(quiet.incidents.is_empty() && quiet.timeline.is_empty());

    let mut real = self::sim(vec![press()]);
    let posts = vec![post("exercise/2", "y", at(10), SHOTS)];
    assert!(!Exercise::begin(posts, &real.engine, at(10)).0.is_over());
    real.post("2", "bob", 20, PRESS);
    assert_eq!(told(&real, "press"), [1, 0, 0, 0]);
}
