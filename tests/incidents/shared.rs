//! Alerts of another topic that are about the same posts: one incident, which neither swallows a new threat nor grows
//! by what has nothing to do with it.

use stormbell::domain::condition::Condition;
use stormbell::domain::engine::Action;
use stormbell::domain::incident::{Incident, IncidentState, Severity};
use stormbell::domain::message::MessageKind::{Acknowledged, Opened, Updated};
use stormbell::domain::message::{Message, MessageKind};
use stormbell::domain::route::{Glob, Routes};
use stormbell::domain::rule::Rule;
use stormbell::domain::terms::Terms;

use crate::support::sim::{Sim, authors, route, rule};

use IncidentState::{Acknowledged as Taken, Open};
use Severity::{Critical, High, Low};

fn rules() -> Vec<Rule> {
    vec![
        rule("complaint.queue", "complaint", Low, "$org queue", Condition::Match),
        rule("cyber.outage", "cyber", High, "$org outage", Condition::Match),
        rule("fire.smoke", "fire", High, "$org smoke", Condition::Match),
        rule("fire.fire", "fire", Critical, "$org fire", Condition::Match),
        rule("press.camera", "press", High, "$org camera", authors(3, 10)),
    ]
}

/// Each topic has people of its own; the desk gets whatever is critical.
fn with(rules: Vec<Rule>, terms: Terms) -> Sim {
    let of = |topic: &str, to: &str| {
        let mut route = route(&[], &[topic], &[(&[to], None)], None);
        route.go_on = true;
        route
    };
    let mut routes = vec![of("complaint", "chat"), of("cyber", "it"), of("fire", "guard"), of("press", "press")];
    routes.push(route(&[Critical], &[], &[(&["desk"], None)], None));
    let mut sim = Sim::with_people(rules, Routes { terms, ..Routes::of(routes) });
    sim.connect(None);
    sim
}

fn sim() -> Sim {
    with(rules(), Terms::default())
}

fn told(sim: &Sim, kind: MessageKind) -> Vec<String> {
    sim.model.sent(kind).into_iter().map(|(to, _)| to).collect()
}

fn last(sim: &Sim) -> &Message {
    let messages = sim.model.outbox.values().map(|delivery| &delivery.message);
    messages.max_by_key(|message| message.incident.revision).unwrap()
}

fn topics(incident: &Incident) -> Vec<String> {
    incident.topics().map(|(topic, severity)| format!("{topic} {}", severity.as_str())).collect()
}

#[test]
fn one_post_of_three_topics_is_one_incident_told_once_to_the_people_of_each() {
    for turned in [false, true] {
        let mut rules = rules();
        if turned {
            rules.reverse();
        }
        let mut sim = with(rules, Terms::default());
        sim.post("1", "ann", 0, "queue, outage and fire at St Brigids");
        let incident = sim.incident();
        assert_eq!((incident.severity, incident.title.as_str(), incident.posts), (Critical, "title of fire.fire", 1));
        assert_eq!(topics(incident), ["fire critical", "complaint low", "cyber high"], "{turned}");
        assert_eq!(told(&sim, Opened), ["chat", "desk", "guard", "it"]);
        assert_eq!(sim.model.outbox.len(), 4);
    }
}

/// Whoever passes on a text says a word more.
const TEXT: &str =
    "outage at St Brigids tonight, all screens are black and the nurses write everything on paper by hand";

#[test]
fn a_copy_that_is_of_another_topic_joins_and_all_hear_so() {
    let mut sim = sim();
    sim.post("1", "ann", 0, TEXT);
    sim.post("2", "bob", 60, &format!("smoke {TEXT}"));
    assert_eq!((sim.incident().posts, sim.incident().stories), (2, 1));
    assert_eq!(topics(sim.incident()), ["cyber high", "fire high"], "of equals the first");
    assert_eq!((told(&sim, Opened), told(&sim, Updated)), (vec!["guard".into(), "it".into()], vec!["it".to_owned()]));
    assert!(last(&sim).incident.also.contains_key("fire"), "and the message says of what");
    assert_eq!(sim.model.history(&sim.incident().id), ["opened", "joined", "updated"]);
    sim.post("3", "eve", 70, &format!("smoke again {TEXT}"));
    assert_eq!((sim.incident().posts, sim.model.outbox.len()), (3, 3), "once");
}

#[test]
fn what_is_less_grave_is_told_to_its_own_people_only_and_they_hear_who_has_it() {
    let mut sim = sim();
    sim.post("1", "ann", 0, TEXT);
    let id = sim.incident().id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    sim.post("2", "bob", 60, &format!("queue {TEXT}"));
    assert_eq!(sim.incident().state, Taken);
    assert_eq!((told(&sim, Opened), told(&sim, Updated)), (vec!["chat".into(), "it".into()], vec![]));
    assert_eq!(told(&sim, Acknowledged), ["chat", "it"]);
    sim.command(&id, Action::Resolve).unwrap();
    assert_eq!(told(&sim, MessageKind::Resolved), ["chat", "it"]);
}

#[test]
fn who_is_of_the_routes_of_both_hears_once_what_it_is_about_by_now() {
    let of = |topics: &[&str], to: &[&str]| {
        let mut route = route(&[], topics, &[(to, None)], None);
        route.go_on = true;
        route
    };
    let routes = || vec![of(&["cyber"], &["it", "desk"]), of(&["complaint"], &["chat", "desk"])];
    let mut sim = Sim::with_people(rules(), Routes::of(routes()));
    sim.connect(None);
    sim.post("1", "ann", 0, TEXT);
    let id = sim.incident().id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    sim.post("2", "bob", 60, &format!("queue {TEXT}"));
    assert_eq!(
        (told(&sim, Opened), told(&sim, Updated)),
        (vec!["chat".into(), "desk".into(), "it".into()], vec!["desk".to_owned()])
    );
    let update = sim.model.outbox.values().find(|delivery| delivery.message.kind == Updated).unwrap();
    assert!(update.message.incident.also.contains_key("complaint"), "and the message says of what");
    assert_eq!((sim.incident().state, sim.incident().severity), (Taken, High), "whoever has it has it still");
    assert_eq!(sim.model.history(&id), ["opened", "acknowledged", "joined", "updated"]);
    let sent = sim.model.outbox.len();
    sim.crash();
    sim.post("3", "eve", 70, &format!("queue again {TEXT}"));
    assert_eq!((sim.model.incidents[&id].posts, sim.model.outbox.len()), (3, sent), "once");

    // By one route for both, a smaller part of the same is no news.
    let mut sim = Sim::with_people(rules(), Routes::of(vec![of(&[], &["pager"])]));
    sim.connect(None);
    sim.post("1", "ann", 0, TEXT);
    sim.post("2", "bob", 60, &format!("queue {TEXT}"));
    assert_eq!((told(&sim, Opened), told(&sim, Updated)), (vec!["pager".to_owned()], vec![]));
    assert_eq!(sim.model.history(&sim.incident().id), ["opened", "joined"], "its history has it");
}

#[test]
fn what_is_graver_raises_the_incident_and_pages_again() {
    let mut sim = sim();
    sim.post("1", "ann", 0, TEXT);
    let id = sim.incident().id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    sim.post("2", "bob", 60, &format!("fire {TEXT}"));
    let incident = sim.incident();
    assert_eq!((incident.state, incident.severity, incident.topic.as_str()), (Open, Critical, "fire"));
    assert_eq!(topics(incident), ["fire critical", "cyber high"]);
    assert_eq!(told(&sim, Updated), ["it"]);
    assert_eq!(told(&sim, Opened), ["desk", "guard", "it"]);
    sim.crash();
    sim.post("3", "eve", 120, "an outage at St Brigids of which nobody else speaks");
    assert_eq!(sim.engine.open_incidents() - 1, 2, "the fire does not grow by any outage (one is about the restart)");
    sim.post("4", "joe", 130, &format!("{TEXT} oh"));
    assert_eq!(sim.model.incidents[&id].posts, 2, "which has an incident of its own by now");
    sim.post("5", "joe", 140, "and the fire at St Brigids burns");
    assert_eq!(sim.model.incidents[&id].posts, 3);
}

#[test]
fn a_new_threat_is_not_swallowed_by_what_is_big() {
    for rest in ["fire", "smoke", "outage"] {
        let mut sim = sim();
        for complaint in 0..40 {
            let words: Vec<String> = (0..12).map(|word| format!("w{}", complaint * 12 + word)).collect();
            let text = format!("queue at St Brigids {}", words.join(" "));
            sim.post(&format!("c{complaint}"), &format!("author {complaint}"), 0, &text);
        }
        let complaints = sim.incident().clone();
        assert!(complaints.stories > 20, "{}", complaints.stories);
        sim.post("1", "ann", 60, &format!("queue and {rest} at St Brigids"));
        let new = sim.model.incidents.values().find(|incident| incident.id != complaints.id);
        assert_eq!((new.unwrap().posts, new.unwrap().state), (1, Open), "{rest}");
        assert_eq!(sim.model.incidents[&complaints.id].severity, Low);
    }
}

#[test]
fn what_only_comes_at_the_same_time_is_another_incident() {
    let mut sim = sim();
    sim.post("1", "ann", 0, "outage and queue at St Brigids");
    sim.post("2", "bob", 10, "a long queue at St Brigids");
    sim.post("3", "eve", 20, "smoke at St Brigids");
    let mut all: Vec<_> = sim.model.incidents.values().map(|one| (one.topic.to_string(), one.posts)).collect();
    all.sort();
    assert_eq!(all, [("complaint".to_owned(), 1), ("cyber".to_owned(), 1), ("fire".to_owned(), 1)]);
}

#[test]
fn of_many_posts_at_least_half_must_be_the_same() {
    for (shared, joins) in [(1, false), (2, true)] {
        let mut sim = sim();
        for place in 0..3 {
            let both = if place < shared { "outage and" } else { "a new" };
            sim.post(&format!("{place}"), &format!("author {place}"), place, &format!("{both} camera at St Brigids"));
        }
        let press = sim.model.alerts.iter().find(|alert| alert.topic.as_str() == "press").unwrap();
        assert_eq!((sim.engine.open_incidents(), press.new_incident), (if joins { 1 } else { 2 }, !joins), "{shared}");
    }
}

#[test]
fn topics_that_not_everybody_may_know_of_keep_to_themselves() {
    for (apart, topics) in [("cyber", 2), ("fi*", 2), ("press", 1)] {
        let mut sim = with(rules(), Terms { apart: vec![Glob(apart.to_owned())], ..Terms::default() });
        sim.post("1", "ann", 0, "outage and smoke at St Brigids");
        assert_eq!(sim.engine.open_incidents(), topics, "{apart}");
    }
    let terms = Terms::default();
    for topic in ["restricted.doxing", "duty-of-care.self-harm", "duty-of-care-staff"] {
        assert!(terms.is_apart(&topic.into()), "{topic} of the built-in packs");
    }
}
