//! Silences of people over hours of virtual time: who is told nothing, what is written down, who is told then.

use crate::support::sim::{Sim, at, frame, posted, route, rule};
use proptest::prelude::*;
use stormbell::domain::condition::Condition;
use stormbell::domain::engine::{Action, Input, Outcome};
use stormbell::domain::event::SourceEvent;
use stormbell::domain::id::IncidentId;
use stormbell::domain::incident::{Incident, IncidentState, Severity};
use stormbell::domain::message::Delivery;
use stormbell::domain::message::MessageKind::{self, Acknowledged, Escalated, Opened, Resolved, Updated};
use stormbell::domain::rule::Rule;
use stormbell::domain::silence::{Order, Refused};

use Severity::{Critical, High};

fn outage() -> Rule {
    rule("cyber.outage", "cyber", High, "$org outage", Condition::Match)
}

fn ransom() -> Rule {
    rule("cyber.ransom", "cyber", Critical, "$org ransom", Condition::Match)
}

const OUTAGE: &str = "outage at St Brigids";
const RANSOM: &str = "ransom note at St Brigids";

fn sim() -> Sim {
    let steps: &[(&[&str], Option<u64>)] = &[(&["pager"], Some(5)), (&["manager"], None)];
    Sim::new(vec![outage(), ransom()], vec![route(&[], &[], steps, None)])
}

fn told(sim: &Sim, kind: MessageKind) -> Vec<String> {
    sim.model.sent(kind).into_iter().filter(|(_, id)| !sim.model.incidents[id].is_own()).map(|(name, _)| name).collect()
}

/// The only incident that a rule opened.
fn incident(sim: &Sim) -> &Incident {
    let mut incidents = sim.model.incidents.values().filter(|incident| !incident.is_own());
    let first = incidents.next().unwrap();
    assert!(incidents.next().is_none());
    first
}

fn words(sim: &Sim) -> Vec<&str> {
    sim.model.history(&sim.incident().id)
}

#[test]
fn a_silenced_incident_is_written_down_and_nobody_is_told() {
    let mut sim = sim();
    let silence = sim.silence(&["topic=cyber"], 3600).unwrap();
    sim.post("1", "ann", 10, OUTAGE);
    sim.run_until(1800);
    assert!(sim.model.outbox.is_empty());
    let incident = sim.incident();
    assert_eq!((incident.state, incident.posts), (IncidentState::Open, 1));
    assert_eq!(incident.muted.as_ref().unwrap().since, at(10));
    assert_eq!(words(&sim), ["opened", "muted"]);
    let line = &sim.model.timeline[1].text;
    assert!(
        line.contains(silence.id.as_str()) && line.contains("by ann until 2026-11-22T11:00:00Z: patch night"),
        "{line}"
    );
}

#[test]
fn what_goes_on_when_the_silence_ends_is_told_once() {
    let mut sim = sim();
    sim.silence(&["topic=cyber"], 3600).unwrap();
    for minute in 0..60 {
        sim.post(&format!("p{minute}"), &format!("author {minute}"), 10 + minute * 60, OUTAGE);
    }
    assert!(sim.model.outbox.is_empty());
    sim.run_until(3605);
    assert_eq!((told(&sim, Opened), told(&sim, Updated)), (vec!["pager".to_owned()], vec![]));
    let message = &sim.model.outbox.values().next().unwrap().message;
    assert_eq!((message.incident.posts, &message.incident.muted), (60, &None), "of all that came meanwhile");
    assert_eq!(words(&sim), ["opened", "muted", "unmuted", "updated"]);
    sim.run_until(3605 + 301);
    assert_eq!(told(&sim, Escalated), ["manager"], "from then on as any other");
}

#[test]
fn what_fell_asleep_in_a_silence_is_told_with_its_next_post() {
    let mut sim = sim();
    sim.connect(None);
    sim.silence(&["topic=cyber"], 3 * 3600).unwrap();
    sim.post("1", "ann", 10, OUTAGE);
    sim.run_until(4 * 3600);
    assert!(sim.model.outbox.is_empty(), "what was over at three is no page at eight");
    sim.crash();
    sim.connect(Some(10));
    sim.post("2", "bob", 4 * 3600, OUTAGE);
    assert_eq!(told(&sim, Opened), ["pager"]);
    sim.post("3", "bob", 4 * 3600 + 1, OUTAGE);
    assert_eq!((told(&sim, Opened).len(), told(&sim, Updated).len()), (1, 0));
}

#[test]
fn another_silence_does_not_wake_what_fell_asleep() {
    let mut sim = sim();
    sim.now = at(0);
    sim.silence(&["topic=cyber"], 7200).unwrap();
    sim.post("1", "ann", 10, OUTAGE);
    sim.run_until(3 * 3600);
    sim.silence(&["topic=parking"], 3600).unwrap();
    sim.run_until(4 * 3600);
    assert_eq!(told(&sim, Opened), [""; 0]);
}

#[test]
fn what_fell_asleep_ends_without_a_word() {
    let mut sim = sim();
    sim.connect(None);
    sim.silence(&["topic=cyber"], 3600).unwrap();
    sim.post("1", "ann", 10, OUTAGE);
    sim.feed(vec![frame(Ok(SourceEvent::Other), at(20))]);
    sim.run_until(6 * 3600 + 20);
    assert_eq!(sim.incident().state, IncidentState::Resolved);
    assert!(sim.model.outbox.is_empty(), "who was not told of it is not told of its end");
    assert_eq!(words(&sim), ["opened", "muted", "resolved"]);
}

#[test]
fn a_silence_stops_an_escalation_and_its_end_goes_on_with_it() {
    let mut sim = sim();
    sim.post("1", "ann", 0, OUTAGE);
    sim.run_until(60);
    let silence = sim.silence(&["topic=cyber"], 3600).unwrap();
    sim.post("2", "bob", 70, OUTAGE);
    sim.post("3", "eve", 71, OUTAGE);
    sim.run_until(600);
    assert_eq!((told(&sim, Opened).len(), sim.model.outbox.len()), (1, 1), "no growth, no escalation");
    let id = silence.id.clone();
    let ended = sim.order(Order::End { id: id.clone(), by: "bob".to_owned() }).unwrap();
    assert_eq!(ended.ended.unwrap().by, "bob");
    assert_eq!(told(&sim, Updated), ["pager"], "in force at once, and so is its end");
    assert_eq!(told(&sim, Opened), ["pager"], "nobody hears of it as new twice");
    sim.run_until(901);
    assert_eq!(told(&sim, Escalated), ["manager"]);
    assert_eq!(sim.order(Order::End { id, by: "bob".to_owned() }), Err(Refused::NoSuchSilence));
}

#[test]
fn a_critical_is_told_unless_it_is_named() {
    for (matchers, pages) in [(&["topic=cyb*"][..], true), (&["topic=cyber"], false), (&["severity=critical"], false)] {
        let mut sim = sim();
        sim.silence(matchers, 3600).unwrap();
        sim.post("1", "ann", 10, RANSOM);
        assert_eq!(sim.model.outbox.len() == 1, pages, "{matchers:?}");
    }
}

#[test]
fn a_crisis_in_a_silenced_rumour_rings() {
    let mut sim = sim();
    sim.silence(&["topic=cyb*"], 3600).unwrap();
    sim.post("1", "ann", 10, OUTAGE);
    let id = sim.incident().id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    assert!(sim.model.outbox.is_empty());
    sim.post("2", "bob", 20, RANSOM);
    assert_eq!(told(&sim, Opened), ["pager"]);
    assert_eq!((sim.incident().state, sim.incident().severity), (IncidentState::Open, Critical));
    sim.run_until(400);
    assert_eq!(told(&sim, Escalated), ["manager"]);
}

#[test]
fn a_crisis_rings_though_somebody_had_it_in_silence_and_the_routes_changed() {
    let mut sim = sim();
    let silence = sim.silence(&["topic=cyb*"], 3600).unwrap();
    sim.post("1", "ann", 10, OUTAGE);
    let id = sim.incident().id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    sim.order(Order::End { id: silence.id, by: "bob".to_owned() }).unwrap();
    sim.reload(vec![route(&[], &[], &[(&["manager"], None)], None)]);
    assert!(sim.model.outbox.is_empty(), "somebody has it");
    sim.post("2", "bob", 20, RANSOM);
    assert_eq!(told(&sim, Opened), ["manager"]);
}

#[test]
fn a_silenced_rule_does_not_hide_another() {
    let mut sim = Sim::new(
        vec![outage(), rule("cyber.slow", "cyber", High, "$org slow", Condition::Match)],
        vec![route(&[], &[], &[(&["pager"], None)], None)],
    );
    sim.silence(&["rule=cyber.slow"], 3600).unwrap();
    sim.post("1", "ann", 10, "slow at St Brigids");
    assert!(sim.model.outbox.is_empty());
    sim.post("2", "ann", 20, OUTAGE);
    assert_eq!(told(&sim, Opened), ["pager"]);
    sim.silence(&["rule=cyber.outage"], 3600).unwrap();
    assert!(sim.incident().muted.is_some(), "two silences cover two rules");
}

#[test]
fn that_stormbell_is_blind_is_told_unless_it_is_named() {
    for (matchers, pages) in [(&["topic=*"][..], true), (&["topic=stormbell.blind.*"], false)] {
        let mut sim = sim();
        sim.silence(matchers, 3600).unwrap();
        sim.connect(None);
        sim.run_until(600);
        assert_eq!(!sim.model.sent(Opened).is_empty(), pages, "{matchers:?}");
        sim.run_until(3700);
        assert!(!sim.model.sent(Opened).is_empty(), "it lasts, so it is told when the silence ends");
    }
}

#[test]
fn those_who_know_of_a_matter_hear_how_it_ends() {
    let mut sim = sim();
    sim.post("1", "ann", 0, OUTAGE);
    sim.silence(&["topic=cyber"], 3600).unwrap();
    let id = sim.incident().id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    sim.command(&id, Action::Resolve).unwrap();
    assert_eq!((told(&sim, Acknowledged), told(&sim, Resolved)), (vec!["pager".to_owned()], vec!["pager".to_owned()]));
}

#[test]
fn a_silence_to_come_waits_and_one_in_force_outlives_a_restart() {
    let mut sim = sim();
    let draft = stormbell::domain::silence::Draft {
        matchers: vec!["topic=cyber".parse().unwrap()],
        by: "ann".to_owned(),
        reason: "patch night".to_owned(),
        from: Some(at(1000)),
        until: at(1700),
    };
    sim.order(Order::Add(draft)).unwrap();
    sim.post("1", "ann", 10, OUTAGE);
    assert_eq!(told(&sim, Opened), ["pager"]);
    sim.crash();
    sim.run_until(990);
    assert_eq!((incident(&sim).muted.clone(), told(&sim, Escalated).len()), (None, 1));
    sim.run_until(1001);
    assert!(incident(&sim).muted.is_some());
    sim.crash();
    sim.run_until(1600);
    assert!(incident(&sim).muted.is_some());
    sim.run_until(1702);
    assert_eq!(incident(&sim).muted, None);
}

/// What can happen to the engine.
#[derive(Clone, Debug)]
enum Event {
    Post { author: u8, text: &'static str },
    Wait(i64),
    Silence { matchers: &'static [&'static str], seconds: i64 },
    EndSilence(usize),
    Order(usize, Action),
    Reload,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let matchers = prop_oneof![
        Just(&["topic=cyb*"][..]),
        Just(&["topic=cyber"][..]),
        Just(&["rule=cyber.outage"][..]),
        Just(&["severity=high", "topic=*"][..]),
        Just(&["rule!=cyber.outage"][..]),
        Just(&["topic=other,cyber", "severity=critical,high"][..]),
    ];
    let action = prop_oneof![Just(Action::Acknowledge), Just(Action::Resolve), Just(Action::Note("seen".to_owned()))];
    let event = prop_oneof![
        6 => (0u8..9, prop_oneof![3 => Just(OUTAGE), 1 => Just(RANSOM), 2 => Just("gossip on St Brigids")])
            .prop_map(|(author, text)| Event::Post { author, text }),
        3 => prop_oneof![0i64..20, 60i64..900, Just(8000)].prop_map(Event::Wait),
        2 => (matchers, 1i64..5000).prop_map(|(matchers, seconds)| Event::Silence { matchers, seconds }),
        1 => (0usize..4).prop_map(Event::EndSilence),
        2 => (0usize..4, action).prop_map(|(which, action)| Event::Order(which, action)),
        1 => Just(Event::Reload),
    ];
    prop::collection::vec(event, 1..40)
}

/// A run in which each step is held against what must always hold.
struct Watched {
    sim: Sim,
    posts: usize,
}

impl Watched {
    fn new() -> Self {
        let gossip = rule("other.gossip", "other", High, "$org gossip", Condition::Match);
        let steps: &[(&[&str], Option<u64>)] =
            &[(&["pager"], Some(5)), (&["manager"], Some(20)), (&["everybody"], None)];
        let sim = Sim::new(vec![outage(), ransom(), gossip], vec![route(&[], &[], steps, Some(60))]);
        let mut watched = Self { sim, posts: 0 };
        watched.sim.connect(None);
        watched.life();
        watched
    }

    /// The stream lives.
    fn life(&mut self) {
        let now = self.sim.now;
        self.sim.feed(vec![frame(Ok(SourceEvent::Other), now)]);
    }

    fn restart(&mut self) {
        self.sim.crash();
        let read = self.sim.model.cursors.values().next().unwrap().0;
        let resumed = (read - at(0).micros()) / 1_000_000;
        self.sim.connect(Some(resumed));
        self.sim.feed(vec![frame(Ok(SourceEvent::Other), at(resumed))]);
    }

    fn step(&mut self, input: Input) {
        let before = self.sim.model.clone();
        let Outcome { commit, .. } = self.sim.engine.step(input, self.sim.now);
        self.sim.model.apply(&commit);
        let model = &self.sim.model;
        for delivery in &commit.outbox {
            let about = &delivery.message.incident;
            let stands = model.incidents.get(&about.id).expect("nobody is told of what is not on disk");
            assert!(stands.revision >= about.revision);
            assert!(!before.outbox.contains_key(&delivery.id), "one message, one name");
            match delivery.message.kind {
                Opened | Updated | Escalated => assert_eq!(about.muted, None, "{delivery:?}"),
                Acknowledged | Resolved => {
                    assert!(
                        before.incidents[&about.id]
                            .told
                            .receivers
                            .iter()
                            .any(|told| told.receiver == delivery.receiver)
                    );
                }
            }
            if delivery.message.kind == Escalated {
                assert_eq!(about.state, IncidentState::Open, "taking charge stops the escalation");
            }
            if delivery.message.kind == Opened {
                let twice = before.outbox.values().any(|old| {
                    let old_about = &old.message.incident;
                    old.message.kind == Opened
                        && (&old.receiver, &old_about.id) == (&delivery.receiver, &about.id)
                        && old_about.again == about.again
                });
                assert!(!twice, "{} heard of {} as new twice", delivery.receiver, about.id);
            }
        }
        model.incidents.values().for_each(|incident| self.legal(incident, before.incidents.get(&incident.id)));
        let lines: Vec<_> = model.timeline.iter().filter(|entry| entry.what == "opened").collect();
        assert_eq!(lines.len(), model.incidents.len(), "each began once");
    }

    fn legal(&self, incident: &Incident, before: Option<&Incident>) {
        if let Some(before) = before.filter(|before| before.state == IncidentState::Resolved) {
            let times = |incident: &Incident| incident.again.map_or(0, |again| again.times);
            let traced = self.sim.model.history(&incident.id).iter().filter(|what| **what == "reopened").count();
            assert!(incident == before || times(incident) == times(before) + 1, "what is over is over: {incident:?}");
            assert_eq!(times(incident) as usize, traced, "each beginning has its line");
        }
        let signed = (incident.acknowledged.is_some(), incident.resolved.is_some());
        match incident.state {
            IncidentState::Open => assert_eq!(signed, (false, false)),
            IncidentState::Acknowledged => assert_eq!(signed, (true, false)),
            IncidentState::Resolved => assert!(signed.1),
        }
        if incident.state == IncidentState::Acknowledged {
            assert!(incident.escalations.iter().all(|escalation| escalation.due.is_none()));
        }
        let Some(muted) = &incident.muted else {
            let known = !incident.told.receivers.is_empty() || incident.state != IncidentState::Open;
            return assert!(known, "neither told nor muted: {incident:?}");
        };
        let history: Vec<_> = self.sim.model.timeline.iter().filter(|entry| entry.incident == incident.id).collect();
        for id in &muted.silences {
            let silence = &self.sim.model.silences[id];
            let told = |text: &str| [id.as_str(), &silence.by, &silence.reason].iter().all(|part| text.contains(part));
            let traced = history.iter().any(|entry| entry.what == "muted" && told(&entry.text));
            assert!(traced, "no trace of {id} on {incident:?}");
        }
    }

    fn live(&mut self, event: &Event, restart: bool) {
        if restart {
            self.restart();
        }
        self.life();
        match event {
            Event::Post { author, text } => {
                self.posts += 1;
                let second = (self.sim.now.micros() - at(0).micros()) / 1_000_000;
                let batch = vec![posted(&format!("p{}", self.posts), &format!("author {author}"), second, text)];
                let batch = self.sim.batch(batch, Some(self.sim.now));
                self.step(Input::Batch(batch));
            }
            Event::Wait(seconds) => {
                for _ in 0..(*seconds / 20).max(1) {
                    self.sim.now = self.sim.now + std::time::Duration::from_secs(20);
                    self.step(Input::Tick);
                }
            }
            Event::Silence { matchers, seconds } => drop(self.sim.silence(matchers, *seconds)),
            Event::EndSilence(which) => {
                let id = self.sim.model.silences.keys().nth(*which).cloned();
                id.map(|id| self.sim.order(Order::End { id, by: "bob".to_owned() }));
            }
            Event::Order(which, action) => {
                let mut of_rules = self.sim.model.incidents.values().filter(|incident| !incident.is_own());
                let id: Option<IncidentId> = of_rules.nth(*which).map(|incident| incident.id.clone());
                id.map(|id| self.sim.command(&id, action.clone()));
            }
            Event::Reload => {
                let steps: &[(&[&str], Option<u64>)] = &[(&["manager"], Some(5)), (&["everybody"], None)];
                self.sim.reload(vec![route(&[], &[], steps, Some(60))]);
            }
        }
        let ids: Vec<_> = self.sim.model.incidents.values().cloned().collect();
        for incident in &ids {
            self.legal(incident, None);
        }
    }
}

proptest! {
    /// Posts, ticks, orders, silences and reloads in any order.
    #[test]
    fn an_incident_is_never_in_a_state_that_nobody_can_explain(events in events()) {
        let mut watched = Watched::new();
        for event in &events {
            watched.live(event, false);
        }
    }

    /// Invariant 3: a restart between any two of them changes nothing that people hear.
    #[test]
    fn restarts_change_nothing_that_people_hear(events in events(), restarts in prop::collection::vec(any::<bool>(), 40)) {
        let (mut steady, mut shaken) = (Watched::new(), Watched::new());
        for (event, restart) in events.iter().zip(restarts) {
            steady.live(event, false);
            shaken.live(event, restart);
        }
        let heard = |watched: &Watched| -> Vec<String> {
            let of_rules = |delivery: &&Delivery| !delivery.message.incident.is_own();
            let outbox = watched.sim.model.outbox.values().filter(of_rules);
            outbox.map(|delivery| format!("{} {} {:?}", delivery.id, delivery.receiver, delivery.message.kind)).collect()
        };
        prop_assert_eq!(heard(&steady), heard(&shaken));
        let states = |watched: &Watched| -> Vec<_> {
            let of_rules = watched.sim.model.incidents.values().filter(|incident| !incident.is_own());
            of_rules.map(|incident| (incident.state, incident.muted.clone())).collect()
        };
        prop_assert_eq!(states(&steady), states(&shaken));
    }
}
