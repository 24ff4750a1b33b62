//! Receivers that take only so many messages.

use std::collections::BTreeMap;
use std::sync::Arc;

use stormbell::domain::cap::Cap;
use stormbell::domain::condition::Condition;
use stormbell::domain::engine::{Action, Exercise, Input};
use stormbell::domain::incident::Incident;
use stormbell::domain::incident::Severity::{self, Critical, High, Medium};
use stormbell::domain::message::MessageKind::{self, Acknowledged, Opened, Resolved, Updated};
use stormbell::domain::message::{Delivery, Message};
use stormbell::domain::oncall::{People, Person};
use stormbell::domain::route::{Route, Routes, Step, Target};
use stormbell::domain::rule::{Rule, RuleSet};

use super::support::sim::{Sim, at, minutes, post, route, rule};

const WORDS: [&str; 8] = ["outage", "queue", "camera", "parking", "bill", "strike", "menu", "smoke"];

fn rules() -> Vec<Rule> {
    let about = |word: &&str| {
        let severity = match *word {
            "smoke" => Critical,
            "strike" => High,
            _ => Medium,
        };
        rule(&format!("{word}.rule"), word, severity, &format!("$org {word}"), Condition::Match)
    };
    WORDS.iter().map(about).collect()
}

fn sim_with(routes: Routes, most: u32) -> Sim {
    let cap = Cap { most, within: minutes(60) };
    Sim::with_people(rules(), Routes { caps: BTreeMap::from([("chat".into(), cap)]), ..routes })
}

/// Everything goes to a chat that takes so many an hour, and to a log.
fn sim(most: u32) -> Sim {
    sim_with(Routes::of(vec![both()]), most)
}

fn both() -> Route {
    route(&[], &[], &[(&["chat", "log"], None)], None)
}

fn say(sim: &mut Sim, second: i64, author: &str, word: &str) {
    let count = sim.model.posts.len();
    sim.post(&format!("p{count}"), author, second, &format!("{word} at St Brigids"));
}

fn of<'a>(sim: &'a Sim, topic: &str) -> &'a Incident {
    sim.model.incidents.values().find(|incident| incident.topic.as_str() == topic).unwrap()
}

/// What a receiver got of the rules' incidents, in order.
fn got<'a>(sim: &'a Sim, receiver: &str) -> Vec<&'a Message> {
    let to_it = sim.model.outbox.values().filter(|delivery| delivery.receiver.as_str() == receiver);
    let mut messages: Vec<&Message> =
        to_it.map(|delivery| &delivery.message).filter(|message| !message.incident.is_own()).collect();
    messages.sort_by_key(|message| (message.at, message.incident.topic.clone(), message.incident.revision));
    messages
}

fn kinds(sim: &Sim, receiver: &str) -> Vec<(MessageKind, String)> {
    got(sim, receiver).into_iter().map(|message| (message.kind, message.incident.topic.to_string())).collect()
}

fn pairs(expected: &[(MessageKind, &str)]) -> Vec<(MessageKind, String)> {
    expected.iter().map(|(kind, topic)| (*kind, (*topic).to_owned())).collect()
}

#[test]
fn what_is_too_much_for_an_hour_is_one_message_at_its_end() {
    let mut sim = sim(2);
    for (n, word) in ["outage", "queue", "camera", "parking", "strike"].iter().enumerate() {
        say(&mut sim, 10 + i64::try_from(n).unwrap(), "ann", word);
    }
    for author in 0..3 {
        say(&mut sim, 100 + author, &format!("author {author}"), "camera");
    }
    sim.run_until(3600);
    assert_eq!(kinds(&sim, "chat"), pairs(&[(Opened, "outage"), (Opened, "queue")]));
    assert_eq!(got(&sim, "log").len(), 6, "others hear as ever");
    sim.run_until(3612);
    let told = got(&sim, "chat");
    let [_, _, digest] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((digest.kind, digest.incident.topic.as_str()), (Opened, "strike"), "the gravest, of which nobody knew");
    assert_eq!(digest.incident.title, "title of strike.rule (digest of 4 messages)");
    let parts = [
        "4 messages within 1 h, more than the receiver takes: 1 about “title of strike.rule” (inc-",
        "2 about “title of camera.rule” (inc-",
        "1 about “title of parking.rule” (inc-",
        "; see `stormbell incidents`; a post matched",
    ];
    assert!(parts.iter().all(|part| digest.incident.why.contains(part)), "{}", digest.incident.why);
    for topic in ["camera", "parking", "strike"] {
        let incident = of(&sim, topic);
        let history = sim.model.history(&incident.id);
        assert!(history.contains(&"held") && history.ends_with(&["digest"]), "{topic}: {history:?}");
        assert!(!incident.title.contains("digest"), "the incident keeps its own name");
    }
    let held = sim.model.timeline.iter().find(|entry| entry.what == "held").unwrap();
    assert_eq!(held.text, "chat has enough; “incident.opened” waits for the digest");
    say(&mut sim, 3700, "eve", "menu");
    assert_eq!(got(&sim, "chat").len(), 4, "the next hour has begun, with the digest as its first message");
    say(&mut sim, 3701, "eve", "bill");
    assert_eq!(got(&sim, "chat").len(), 4);
}

#[test]
fn what_is_critical_is_never_held_back() {
    let mut sim = sim(1);
    for word in ["outage", "queue", "camera"] {
        say(&mut sim, 10, "ann", word);
    }
    say(&mut sim, 20, "ann", "smoke");
    for author in 0..8 {
        say(&mut sim, 30 + author, &format!("author {author}"), "smoke");
    }
    let expected = [(Opened, "outage"), (Opened, "smoke"), (Updated, "smoke"), (Updated, "smoke")];
    assert_eq!(kinds(&sim, "chat"), pairs(&expected));
}

#[test]
fn what_ends_an_alarm_goes_out_and_what_nobody_heard_of_is_not_ended() {
    let mut sim = sim(1);
    for word in ["outage", "queue", "camera"] {
        say(&mut sim, 10, "ann", word);
    }
    for topic in ["outage", "queue"] {
        let id = of(&sim, topic).id.clone();
        sim.command(&id, Action::Acknowledge).unwrap();
        sim.command(&id, Action::Resolve).unwrap();
    }
    let expected = [(Opened, "outage"), (Acknowledged, "outage"), (Resolved, "outage")];
    assert_eq!(kinds(&sim, "chat"), pairs(&expected));
    let line = &sim.model.timeline.iter().rfind(|entry| entry.what == "held").unwrap().text;
    assert_eq!(line, "chat is not told: it was over before the digest");
    sim.run_until(3612);
    let told = got(&sim, "chat");
    let digest = told.last().unwrap();
    assert_eq!((digest.incident.topic.as_str(), digest.incident.title.as_str()), ("camera", "title of camera.rule"));
    let id = of(&sim, "camera").id.clone();
    sim.command(&id, Action::Resolve).unwrap();
    assert_eq!(kinds(&sim, "chat").last().unwrap(), &(Resolved, "camera".to_owned()), "now it was told");
}

#[test]
fn restarts_neither_lose_what_waits_nor_begin_the_hour_anew() {
    let mut sim = sim(2);
    for word in ["outage", "queue", "camera"] {
        say(&mut sim, 10, "ann", word);
    }
    sim.crash();
    say(&mut sim, 20, "ann", "parking");
    sim.run_until(1800);
    sim.crash();
    sim.run_until(3600);
    assert_eq!(got(&sim, "chat").len(), 2);
    sim.run_until(3611);
    sim.crash();
    sim.run_until(4000);
    let told = got(&sim, "chat");
    assert_eq!(told.len(), 3);
    assert!(told[2].incident.title.ends_with("(digest of 2 messages)"), "{}", told[2].incident.title);
}

#[test]
fn a_cap_that_is_taken_away_lets_go_of_what_waits() {
    let mut sim = sim(1);
    say(&mut sim, 10, "ann", "outage");
    say(&mut sim, 20, "ann", "queue");
    sim.reload(vec![both()]);
    sim.run_until(30);
    assert_eq!(kinds(&sim, "chat"), pairs(&[(Opened, "outage"), (Opened, "queue")]));
    say(&mut sim, 40, "ann", "camera");
    assert_eq!(got(&sim, "chat").len(), 3);
}

#[test]
fn what_waits_for_a_receiver_that_is_taken_out_is_told_to_the_others_once() {
    let mut sim = sim(1);
    say(&mut sim, 10, "ann", "outage");
    say(&mut sim, 20, "ann", "queue");
    let routes = Routes::of(vec![route(&[], &[], &[(&["log"], None)], None)]);
    sim.step(Input::Swap {
        rules: Arc::new(RuleSet::new(rules())),
        routes,
        receivers: vec!["log".into()],
        lessons: Vec::new(),
    });
    sim.run_until(7200);
    let own: Vec<&Incident> = sim.model.incidents.values().filter(|incident| incident.is_own()).collect();
    let titles: Vec<&str> = own.iter().map(|incident| incident.title.as_str()).collect();
    assert_eq!(titles, ["chat could not be told of “title of queue.rule”"]);
    assert_eq!(sim.model.history(&of(&sim, "queue").id).iter().filter(|what| **what == "undelivered").count(), 1);
    assert!(sim.model.sent(Opened).contains(&("log".to_owned(), own[0].id.clone())));
}

#[test]
fn where_it_rings_until_somebody_has_it_a_digest_is_followed_by_who_has_it() {
    let mut sim = sim(1);
    say(&mut sim, 10, "ann", "outage");
    say(&mut sim, 20, "ann", "queue");
    let queue = of(&sim, "queue").id.clone();
    sim.command(&queue, Action::Acknowledge).unwrap();
    sim.run_until(3700);
    let expected = pairs(&[(Opened, "outage"), (Opened, "queue"), (Acknowledged, "queue")]);
    assert_eq!(kinds(&sim, "chat"), expected);
}

#[test]
fn a_digest_is_about_what_nobody_has_before_what_is_graver_and_taken() {
    let mut sim = sim(1);
    say(&mut sim, 10, "ann", "outage");
    say(&mut sim, 20, "ann", "strike");
    say(&mut sim, 30, "ann", "queue");
    let strike = of(&sim, "strike").id.clone();
    sim.command(&strike, Action::Acknowledge).unwrap();
    sim.run_until(3700);
    assert_eq!(kinds(&sim, "chat"), pairs(&[(Opened, "outage"), (Opened, "queue")]));
}

#[test]
fn a_clock_that_is_set_makes_nobody_wait_longer() {
    let mut sim = sim(1);
    say(&mut sim, 10, "ann", "outage");
    say(&mut sim, 20, "ann", "queue");
    sim.run_until(60);
    sim.set_clock(-6 * 3600);
    sim.run_until(-6 * 3600 + 3600);
    assert_eq!(got(&sim, "chat").len(), 2);
}

#[test]
fn each_person_has_a_digest_of_their_own() {
    let person = |at: &str| Person { contact: [("chat".into(), at.to_owned())].into(), ..Person::default() };
    let persons = [("ann".into(), person("a")), ("bob".into(), person("b"))].into();
    let people = People { persons, ..People::default() };
    let team = ["ann", "bob"].map(|name| Target::Person(name.into())).to_vec();
    let route = Route { steps: vec![Step { notify: team, ack_within: None }], ..Route::default() };
    let mut sim = sim_with(Routes { list: vec![route], people: Arc::new(people), ..Routes::default() }, 2);
    for word in ["outage", "queue", "camera"] {
        say(&mut sim, 10, "ann", word);
    }
    sim.run_until(3612);
    let to = |delivery: &Delivery| (delivery.address().unwrap().to_owned(), delivery.message.at > at(3600));
    let mut told: Vec<(String, bool)> = sim.model.outbox.values().map(to).collect();
    told.sort();
    let expected = [("a", false), ("a", true), ("b", false), ("b", true)];
    assert_eq!(told, expected.map(|(address, digest)| (address.to_owned(), digest)));
}

#[test]
fn of_what_is_muted_by_then_people_hear_when_it_no_longer_is() {
    let mut sim = sim(1);
    for word in ["outage", "queue", "camera"] {
        say(&mut sim, 10, "ann", word);
    }
    sim.silence(&["topic=queue"], 5400).unwrap();
    sim.run_until(3612);
    let told = got(&sim, "chat");
    assert_eq!((told.len(), told[1].incident.topic.as_str()), (2, "camera"));
    assert!(!told[1].incident.why.contains("queue"), "{}", told[1].incident.why);
    say(&mut sim, 5390, "bob", "queue");
    sim.run_until(3600 + 3620);
    assert!(kinds(&sim, "chat").iter().any(|(_, topic)| topic == "queue"), "{:?}", kinds(&sim, "chat"));
}

#[test]
fn a_flood_over_all_topics_is_a_bounded_number_of_messages() {
    let mut sim = sim(10);
    for n in 0..3000_i64 {
        let word = WORDS[usize::try_from(n).unwrap() % 7];
        say(&mut sim, n * 5, &format!("author {n}"), word);
    }
    let hours = 3000 * 5 / 3600 + 1;
    let told = got(&sim, "chat").len();
    assert!(told <= 11 * hours, "{told} in {hours} h");
    let in_history = |what: &str| sim.model.timeline.iter().filter(|entry| entry.what == what).count();
    assert_eq!(got(&sim, "log").len(), got(&sim, "chat").len() + in_history("held") - digests(&sim));
}

fn digests(sim: &Sim) -> usize {
    let mut instants: Vec<_> = sim.model.timeline.iter().filter(|entry| entry.what == "digest").map(|e| e.at).collect();
    instants.dedup();
    instants.len()
}

#[test]
fn an_exercise_is_not_capped_and_uses_nothing_up() {
    let mut sim = sim(1);
    say(&mut sim, 10, "ann", "outage");
    let severity: Severity = of(&sim, "outage").severity;
    let exercise = ["queue", "camera"].map(|word| post(word, "x", at(20), &format!("{word} at St Brigids")));
    let (_, outcome) = Exercise::begin(exercise.to_vec(), &sim.engine, at(20));
    assert_eq!((outcome.commit.outbox.len(), severity), (4, Medium));
    assert!(outcome.commit.quotas.is_empty());
}
