//! Persons, teams and schedules over nights of virtual time: who is told, where and when.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::support::sim::{Sim, ZERO, at, authors, frame, minutes, rule};
use proptest::prelude::*;
use stormbell::domain::addressee::{Addressee, Recipient};
use stormbell::domain::condition::Condition;
use stormbell::domain::engine::{Action, Input};
use stormbell::domain::event::SourceEvent;
use stormbell::domain::id::PersonName;
use stormbell::domain::incident::{IncidentState, Severity};
use stormbell::domain::message::{Delivery, MessageKind, Undelivered};
use stormbell::domain::oncall::{Hours, Layer, Override, People, Person, Schedule, Weekdays};
use stormbell::domain::route::{Route, Routes, Step, Target};
use stormbell::domain::time::{Timestamp, Zone};

use Severity::{Critical, High};

/// The night of 1 November 2026: at 06:00 UTC clocks in New York go back from 02:00 to 01:00.
const NIGHT: &str = "2026-11-01";

/// Seconds of the simulation at a time of that night (UTC).
fn night(time: &str) -> i64 {
    let then = Timestamp::parse(&format!("{NIGHT}T{time}Z")).unwrap();
    (then.micros() - ZERO.micros()) / 1_000_000
}

fn new_york() -> Zone {
    Zone::of(jiff::tz::TimeZone::get("America/New_York").unwrap())
}

fn person(contact: &[(&str, &str)]) -> Person {
    let contact = contact.iter().map(|(receiver, address)| ((*receiver).into(), (*address).to_owned())).collect();
    Person { contact, zone: new_york(), quiet: Vec::new(), language: None }
}

/// Ann and Bob take turns at 01:30 by the clocks of New York; Ann has the night of 31 October.
fn press() -> Schedule {
    let start: jiff::civil::DateTime = "2026-10-31T01:30".parse().unwrap();
    let rotation = ["ann", "bob"].map(PersonName::from).to_vec();
    let layer = Layer { rotation, start: start.into(), every: Duration::from_hours(24), only: Vec::new() };
    Schedule { zone: new_york(), layers: vec![layer], overrides: Vec::new() }
}

fn people() -> People {
    let persons = [
        ("ann", person(&[("sms", "+1555001"), ("mail", "ann@h.example")])),
        ("bob", person(&[("sms", "+1555002")])),
        ("meg", person(&[("sms", "+1555003")])),
    ];
    People {
        persons: persons.map(|(name, person)| (name.into(), person)).into(),
        teams: [("leads".into(), vec!["bob".into(), "meg".into()])].into(),
        schedules: [("press".into(), press())].into(),
    }
}

fn step(target: Target, ack_within: Option<u64>) -> Step {
    Step { notify: vec![target], ack_within: ack_within.map(minutes) }
}

fn on_call() -> Target {
    Target::Schedule("press".into())
}

/// Who is on call, ten minutes later who is then, then Meg; at last everybody.
fn routes(people: People) -> Routes {
    let everybody = ["ann", "bob", "meg"].map(|name| Target::Person(name.into()));
    let receivers = ["log", "mail", "sms"].map(|name| Target::Receiver(name.into()));
    let last = Step { notify: everybody.into_iter().chain(receivers).collect(), ack_within: None };
    let steps =
        vec![step(on_call(), Some(10)), step(on_call(), Some(10)), step(Target::Person("meg".into()), Some(15)), last];
    let route = Route { steps, repeat_every: Some(minutes(60)), last_resort: true, ..Route::default() };
    Routes { list: vec![route], people: Arc::new(people), ..Routes::default() }
}

fn sim(severity: Severity, routes: Routes) -> Sim {
    let shots = rule("threat.shots", "threat", severity, "$org shots", Condition::Match);
    let many = rule("threat.many", "threat", Critical, "$org shots", authors(2, 60));
    Sim::with_people(vec![shots, many], routes)
}

/// `05:25 ann (sms)`, in the order of time.
fn told(sim: &Sim, kind: MessageKind) -> Vec<String> {
    let of_kind = sim.model.outbox.values().filter(|delivery| delivery.message.kind == kind);
    let mut told: Vec<String> = of_kind.map(|d| format!("{} {}", clock(d.message.at), addressee(d))).collect();
    told.sort();
    told
}

fn addressee(delivery: &Delivery) -> Addressee {
    Addressee { receiver: delivery.receiver.clone(), recipient: delivery.recipient.clone() }
}

fn clock(at: Timestamp) -> String {
    at.to_string().get(11..16).unwrap().to_owned()
}

fn history(sim: &Sim, what: &str) -> Vec<String> {
    sim.model.timeline.iter().filter(|entry| entry.what == what).map(|entry| entry.text.clone()).collect()
}

/// Nobody answers from 05:25 until 08:00; the process dies at these times.
fn unanswered(deaths: &[i64]) -> Sim {
    let mut sim = sim(Critical, routes(people()));
    sim.now = at(night("05:00:00"));
    sim.post("1", "eve", night("05:25:00"), "shots at St Brigids");
    for death in deaths {
        sim.run_until(*death);
        sim.crash();
        // It reads on where it left off, so that its blindness is no incident of its own.
        let seconds = night("05:25:00");
        sim.connect(Some(seconds));
        sim.feed(vec![frame(Ok(SourceEvent::Other), at(seconds))]);
    }
    sim.run_until(night("08:00:00"));
    sim
}

#[test]
fn nobody_answers_in_the_night_the_clock_goes_back_so_everybody_is_told() {
    let mut sim = unanswered(&[]);
    assert_eq!(told(&sim, MessageKind::Opened), ["05:25 ann (mail)", "05:25 ann (sms)"]);
    let opened = &history(&sim, "opened")[0];
    assert!(opened.ends_with("; telling ann (mail), ann (sms)"), "{opened}");
    // 01:30 comes twice; at the first, five minutes after Ann was told, Bob has it.
    let everybody = ["ann (mail)", "ann (sms)", "bob (sms)", "log", "mail", "meg (sms)", "sms"];
    let at = |time: &str| everybody.map(|name| format!("{time} {name}"));
    let mut expected = vec!["05:35 bob (sms)".to_owned(), "05:45 meg (sms)".to_owned()];
    expected.extend([at("06:00"), at("07:00"), at("08:00")].concat());
    assert_eq!(told(&sim, MessageKind::Escalated), expected);
    assert_eq!(
        history(&sim, "escalated")[..3],
        [
            "nobody took charge; telling bob (sms)",
            "nobody took charge; telling meg (sms)",
            "nobody took charge; telling everybody: the last resort"
        ]
    );
    let id = sim.incident().id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    sim.command(&id, Action::Resolve).unwrap();
    for kind in [MessageKind::Acknowledged, MessageKind::Resolved] {
        assert_eq!(told(&sim, kind), at("08:00"), "all who were told hear of it, once each");
    }
    let addresses = |name: &str| {
        let of = sim.model.outbox.values().filter(|d| d.recipient.as_ref().is_some_and(|r| r.person.as_str() == name));
        of.filter(|d| d.receiver.as_str() == "sms").map(|d| d.address().unwrap()).collect::<Vec<_>>()
    };
    assert!(addresses("ann").len() > 4 && addresses("ann").iter().all(|address| *address == "+1555001"));
}

#[test]
fn a_restart_at_any_step_tells_the_same_people_the_same() {
    let steady = unanswered(&[]);
    for death in (night("05:25:00")..night("07:05:00")).step_by(97) {
        let shaken = unanswered(&[death]);
        assert_eq!(shaken.model.outbox, steady.model.outbox, "died at {}", clock(at(death)));
    }
    let often: Vec<i64> = (night("05:25:01")..night("07:59:00")).step_by(13).collect();
    assert_eq!(unanswered(&often).model.outbox, steady.model.outbox);
}

#[test]
fn a_change_of_the_schedule_concerns_the_next_step_and_nobody_told_already() {
    let mut sim = sim(Critical, routes(people()));
    sim.now = at(night("04:00:00"));
    sim.post("1", "eve", night("04:10:00"), "shots at St Brigids");
    let mut changed = people();
    let schedule = changed.schedules.get_mut("press").unwrap();
    let (from, to) = (at(night("04:00:00")), at(night("05:00:00")));
    schedule.overrides = vec![Override { person: "meg".into(), from, to }];
    sim.reload_people(routes(changed));
    assert_eq!(told(&sim, MessageKind::Opened), ["04:10 ann (mail)", "04:10 ann (sms)"], "nobody anew");
    sim.run_until(night("04:21:00"));
    assert_eq!(told(&sim, MessageKind::Escalated), ["04:20 meg (sms)"]);
    let id = sim.incident().id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    assert_eq!(told(&sim, MessageKind::Acknowledged), ["04:21 ann (mail)", "04:21 ann (sms)", "04:21 meg (sms)"]);
    sim.run_until(night("09:00:00"));
    assert_eq!(told(&sim, MessageKind::Escalated).len(), 1);
}

#[test]
fn whoever_has_left_hears_nothing_more() {
    let mut sim = sim(Critical, routes(people()));
    sim.now = at(night("04:00:00"));
    sim.post("1", "eve", night("04:10:00"), "shots at St Brigids");
    let mut changed = people();
    changed.schedules.get_mut("press").unwrap().layers[0].rotation = vec!["meg".into()];
    changed.persons.remove("ann");
    sim.reload_people(routes(changed));
    sim.run_until(night("04:21:00"));
    let id = sim.incident().id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    assert_eq!(told(&sim, MessageKind::Acknowledged), ["04:21 meg (sms)"], "the number may be somebody else's by now");
}

#[test]
fn the_last_resort_is_not_for_sleepers_but_for_what_time_or_a_dead_way_leads_to() {
    let mut routes = routes(with_quiet());
    Arc::make_mut(&mut routes.people).schedules.get_mut("press").unwrap().layers[0].rotation.truncate(1);
    // One step, Ann's, and thirty minutes later everybody.
    routes.list[0].steps.drain(1..3);
    routes.list[0].steps[0].ack_within = Some(minutes(30));
    let mut sim = sim(High, routes);
    sim.now = at(night("04:00:00"));
    sim.post("1", "eve", night("04:10:00"), "shots at St Brigids");
    assert_eq!(told(&sim, MessageKind::Opened), ["04:10 ann (sms)"], "held for her, and nobody else is woken yet");
    sim.run_until(night("04:45:00"));
    let everybody = ["04:40 bob (sms)", "04:40 log", "04:40 mail", "04:40 meg (sms)", "04:40 sms"];
    assert_eq!(told(&sim, MessageKind::Escalated), everybody);
}

#[test]
fn a_team_that_cannot_be_reached_is_no_storm_of_notices() {
    let names: Vec<String> = (0..30).map(|n| format!("p{n:02}")).collect();
    let mut people = people();
    for (n, name) in names.iter().enumerate() {
        people.persons.insert(name.as_str().into(), person(&[("sms", &format!("+15550{n:03}"))]));
    }
    people.teams.insert("all".into(), names.iter().map(|name| name.as_str().into()).collect());
    let route = Route { steps: vec![step(Target::Team("all".into()), None)], ..Route::default() };
    let mut sim = sim(Critical, Routes { list: vec![route], people: Arc::new(people), ..Routes::default() });
    sim.now = at(night("04:00:00"));
    sim.post("1", "eve", night("04:10:00"), "shots at St Brigids");
    let to_all: Vec<Delivery> = sim.model.outbox.values().cloned().collect();
    assert_eq!(to_all.len(), 30);
    for delivery in to_all {
        let Delivery { id, receiver, message, recipient, .. } = delivery;
        let person = recipient.map(|recipient| recipient.person);
        let error = "401".to_owned();
        sim.step(Input::Undelivered(Undelivered { id, receiver, person, incident: message.incident.id, error }));
    }
    assert_eq!(sim.model.outbox.len(), 30 + 2 * 2, "two are told by mail and sms; it is the receiver, then");
    assert_eq!(history(&sim, "undelivered").len(), 30, "each has a line");
}

#[test]
fn a_team_is_told_together_and_an_overlap_only_once() {
    let both = vec![Target::Team("leads".into()), Target::Person("bob".into()), Target::Receiver("log".into())];
    let route = Route { steps: vec![Step { notify: both, ack_within: None }], ..Route::default() };
    let mut sim = sim(High, Routes { list: vec![route], people: Arc::new(people()), ..Routes::default() });
    sim.now = at(night("05:00:00"));
    sim.post("1", "eve", night("05:25:00"), "shots at St Brigids");
    assert_eq!(told(&sim, MessageKind::Opened), ["05:25 bob (sms)", "05:25 log", "05:25 meg (sms)"]);
}

/// Ann wants quiet from 22:00 to 06:00: from 02:00 to 11:00 UTC.
fn with_quiet() -> People {
    let mut people = people();
    let ann = people.persons.get_mut("ann").unwrap();
    ann.quiet = vec![Hours { days: Weekdays::ALL, from: 22 * 60, to: 6 * 60 }];
    ann.contact.remove("mail");
    people
}

fn of_ann(sim: &Sim) -> Vec<(MessageKind, String)> {
    let is_anns = |d: &&Delivery| d.recipient.as_ref().is_some_and(|r| r.person.as_str() == "ann");
    let mut of_ann: Vec<&Delivery> = sim.model.outbox.values().filter(is_anns).collect();
    of_ann.sort_by_key(|d| (d.message.at, d.message.incident.revision));
    of_ann.iter().map(|d| (d.message.kind, clock(d.due))).collect()
}

#[test]
fn quiet_hours_hold_back_what_is_not_critical_and_nobody_waits_for_a_sleeper() {
    let mut routes = routes(with_quiet());
    Arc::make_mut(&mut routes.people).schedules.get_mut("press").unwrap().layers[0].rotation.truncate(1);
    let mut sim = sim(High, routes);
    sim.now = at(night("04:00:00"));
    sim.post("1", "eve", night("04:10:00"), "shots at St Brigids");
    // Steps one and two are Ann's, so Meg is told at once; 06:00 is at 11:00 UTC.
    assert_eq!(told(&sim, MessageKind::Opened), ["04:10 ann (sms)", "04:10 meg (sms)"]);
    assert_eq!(of_ann(&sim), [(MessageKind::Opened, "11:00".to_owned())]);
    let give_up = |d: &Delivery| d.give_up.since(d.due) == minutes(10);
    assert!(sim.model.outbox.values().all(give_up), "ten minutes from when it may be told");
    assert_eq!(history(&sim, "held"), ["ann (sms) wants quiet; “incident.opened” waits until 2026-11-01T11:00:00Z"]);
    sim.run_until(night("07:00:00"));
    assert_eq!(sim.incident().state, IncidentState::Open);
    assert_eq!(of_ann(&sim).len(), 1, "the last resort, too, and it is not piled up");
    let id = sim.incident().id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    assert_eq!(of_ann(&sim)[1..], [(MessageKind::Acknowledged, "11:00".to_owned())]);
    sim.post("2", "eve", night("09:00:00"), "shots at St Brigids");
    sim.run_until(night("11:00:01"));
    sim.command(&id, Action::Resolve).unwrap();
    assert_eq!(of_ann(&sim)[2..], [(MessageKind::Resolved, "11:00".to_owned())], "she is awake");
}

#[test]
fn what_becomes_critical_wakes_the_sleeper() {
    let mut sim = sim(High, routes(with_quiet()));
    sim.now = at(night("04:00:00"));
    sim.post("1", "eve", night("04:10:00"), "shots at St Brigids");
    sim.post("2", "dan", night("04:12:00"), "shots at St Brigids");
    assert_eq!(sim.incident().severity, Critical);
    assert_eq!(of_ann(&sim), [(MessageKind::Opened, "11:00".to_owned()), (MessageKind::Updated, "04:12".to_owned())]);
}

#[test]
fn a_wrong_number_is_told_to_everybody_else_and_by_the_persons_other_ways() {
    let mut sim = sim(Critical, routes(people()));
    sim.now = at(night("04:00:00"));
    sim.post("1", "eve", night("04:10:00"), "shots at St Brigids");
    let failed = sim.model.outbox.values().find(|d| d.address() == Some("+1555001")).unwrap();
    let incident = failed.message.incident.id.clone();
    let undelivered = Undelivered {
        id: failed.id.clone(),
        receiver: failed.receiver.clone(),
        person: Some("ann".into()),
        incident: incident.clone(),
        error: "21211 not a valid number".to_owned(),
    };
    sim.step(Input::Undelivered(undelivered.clone()));
    let own = sim.model.incidents.values().find(|incident| incident.is_own()).unwrap().clone();
    assert_eq!(own.title, "ann (sms) could not be told of “title of threat.shots”");
    assert!(own.why.ends_with("see to it that ann knows, and mend the address or sms"), "{}", own.why);
    let told: Vec<String> = own.told.receivers.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["log", "mail", "ann (mail)", "sms"]);
    // Another person's wrong number is another incident.
    let undelivered = Undelivered { id: "other".into(), person: Some("bob".into()), ..undelivered };
    sim.step(Input::Undelivered(undelivered));
    assert_eq!(sim.model.incidents.values().filter(|incident| incident.is_own()).count(), 2);
}

#[test]
fn when_nobody_told_could_be_reached_the_next_step_is_told_at_once() {
    let mut sim = sim(Critical, routes(people()));
    sim.now = at(night("04:00:00"));
    sim.post("1", "eve", night("04:10:00"), "shots at St Brigids");
    let about = sim.incident().id.clone();
    let fail = |sim: &mut Sim, time: &str| {
        sim.run_until(night(time));
        let of_it = |d: &&Delivery| d.message.incident.id == about && d.recipient.is_some();
        let last = sim.model.outbox.values().filter(of_it).map(|d| d.message.at).max().unwrap();
        let newest: Vec<Delivery> =
            sim.model.outbox.values().filter(of_it).filter(|d| d.message.at == last).cloned().collect();
        for Delivery { id, receiver, recipient, .. } in newest {
            let (person, error) = (recipient.map(|to| to.person), "no such number".to_owned());
            sim.step(Input::Undelivered(Undelivered { id, receiver, person, incident: about.clone(), error }));
        }
    };
    let escalated = |sim: &Sim| {
        let of_it = |d: &&Delivery| d.message.incident.id == about && d.message.kind == MessageKind::Escalated;
        let mut all: Vec<String> = sim.model.outbox.values().filter(of_it).map(|d| clock(d.message.at)).collect();
        all.sort();
        all
    };
    fail(&mut sim, "04:10:05");
    // Step two is Ann's again, so that it cannot be reached either; Meg can.
    assert_eq!(escalated(&sim), ["04:10", "04:10"]);
    fail(&mut sim, "04:10:10");
    assert_eq!(escalated(&sim).len(), 3, "{:?}", escalated(&sim));
    fail(&mut sim, "04:10:15");
    assert_eq!(escalated(&sim).len(), 10, "everybody");
    fail(&mut sim, "04:10:20");
    assert_eq!(escalated(&sim).len(), 10, "after the last step there is none to go on to");
}

#[test]
fn each_person_at_a_receiver_has_messages_of_their_own() {
    let route = Route { steps: vec![step(Target::Team("leads".into()), None)], ..Route::default() };
    let told = |people: People| {
        let mut sim = sim(High, Routes { list: vec![route.clone()], people: Arc::new(people), ..Routes::default() });
        sim.now = at(0);
        sim.post("1", "eve", 0, "shots at St Brigids");
        sim.model.outbox
    };
    let before = told(people());
    assert_eq!(before.len(), 2, "one receiver, one incident, two ids");
    assert_eq!(told(people()), before, "the same again");
    let mut moved = people();
    moved.persons.get_mut("bob").unwrap().contact = [("sms".into(), "+1555009".to_owned())].into();
    let after = told(moved);
    let changed: Vec<_> = after.values().filter(|d| !before.contains_key(&d.id)).map(|d| d.recipient.clone()).collect();
    assert_eq!(changed, [Some(Recipient { person: "bob".into(), address: "+1555009".to_owned() })]);
}

/// One night: when it begins, what people do, and when the process dies (seconds after 04:00 UTC).
fn lived(severity: Severity, quiet: bool, post: i64, acknowledged: Option<i64>, deaths: &[i64]) -> Sim {
    let mut sim = sim(severity, routes(if quiet { with_quiet() } else { people() }));
    let zero = night("04:00:00");
    sim.now = at(zero);
    sim.connect(None);
    sim.post("1", "eve", zero + post, "shots at St Brigids");
    let mut events: Vec<(i64, bool)> = deaths.iter().map(|death| (*death, false)).collect();
    events.extend(acknowledged.map(|moment| (moment, true)));
    events.sort_unstable();
    for (moment, is_answer) in events {
        sim.run_until(zero + post + moment);
        if is_answer {
            let id = sim.incident().id.clone();
            sim.command(&id, Action::Acknowledge).unwrap();
        } else {
            sim.crash();
            sim.connect(Some(zero + post));
            sim.feed(vec![frame(Ok(SourceEvent::Other), at(zero + post))]);
        }
    }
    sim.run_until(zero + post + 3 * 3600);
    sim
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn on_any_night_everybody_told_hears_the_same_and_how_it_went_on(
        severity in prop::sample::select(vec![High, Critical]),
        quiet in any::<bool>(),
        post in 0i64..4 * 3600,
        acknowledged in prop::option::of(0i64..7200),
        deaths in prop::collection::vec(0i64..10_000, 0..5),
    ) {
        let steady = lived(severity, quiet, post, acknowledged, &[]);
        let shaken = lived(severity, quiet, post, acknowledged, &deaths);
        prop_assert_eq!(&steady.model.outbox, &shaken.model.outbox);
        let messages = || steady.model.outbox.values();
        for delivery in messages() {
            let held = delivery.held_until().is_some();
            prop_assert!(!held || (quiet && severity == High), "{:?}", delivery);
            if held {
                prop_assert_eq!(delivery.recipient.as_ref().map(|to| to.person.as_str()), Some("ann"));
            }
        }
        let told: BTreeSet<Addressee> =
            messages().filter(|d| d.message.kind != MessageKind::Acknowledged).map(addressee).collect();
        let heard: BTreeSet<Addressee> =
            messages().filter(|d| d.message.kind == MessageKind::Acknowledged).map(addressee).collect();
        if let Some(moment) = acknowledged {
            prop_assert_eq!(&heard, &told);
            let answered = at(night("04:00:00") + post + moment);
            prop_assert!(messages().all(|d| d.message.at <= answered), "nobody is told after somebody took charge");
        } else {
            let everybody = if quiet { 6 } else { 7 };
            prop_assert_eq!(told.len(), everybody, "{:?}", told);
        }
    }
}
