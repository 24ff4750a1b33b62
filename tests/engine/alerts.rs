//! The engine over hours and days of virtual time: who is told what, and when.

use std::time::Duration;

use crate::support::sim::{Sim, at, authors, frame, minutes, post, posted, route, rule, stories};
use proptest::prelude::*;
use stormbell::domain::commit::Erasure;
use stormbell::domain::condition::{Condition, Quiet};
use stormbell::domain::engine::{Action, Input, Refused};
use stormbell::domain::event::{Decoded, DownReason, Joint, Rejected, SourceEvent};
use stormbell::domain::id::{AuthorId, IncidentId, PostId, RuleId};
use stormbell::domain::incident::{IncidentState, Severity};
use stormbell::domain::message::{Delivery, MessageKind, Undelivered};
use stormbell::domain::post::Post;
use stormbell::domain::rule::Rule;

use Severity::{Critical, High, Low};

fn gunman() -> Rule {
    rule("threat.gunman", "threat", Critical, "$org gunman", authors(2, 10))
}

fn rumour() -> Rule {
    rule("threat.rumour", "threat", Low, "$org (rumour OR gunman)", Condition::Match)
}

const REPORT: &str = "gunman at St Brigids";

fn names(sent: &[(String, IncidentId)]) -> Vec<&str> {
    sent.iter().map(|(receiver, _)| receiver.as_str()).collect()
}

#[test]
fn a_second_author_within_ten_minutes_pages_once() {
    let mut sim = Sim::new(vec![gunman()], vec![route(&[], &[], &[(&["pager"], None)], None)]);
    sim.post("1", "ann", 0, REPORT);
    sim.post("2", "ann", 30, REPORT);
    assert!(sim.model.alerts.is_empty());
    sim.post("3", "bob", 90, REPORT);
    sim.post("4", "eve", 95, REPORT);
    sim.post("5", "dan", 99, "nothing to do with it");
    assert_eq!(sim.model.fired(), [(RuleId::from("threat.gunman"), Some(PostId::from("3")))]);
    assert_eq!(names(&sim.model.sent(MessageKind::Opened)), ["pager"]);
    let incident = sim.incident();
    assert_eq!((incident.posts, incident.authors, incident.late), (4, 3, false));
    assert_eq!((incident.first_post_at, incident.last_post_at), (at(0), at(95)));
    assert!(incident.why.contains("2 authors within 10 min"), "{}", incident.why);
    assert!(incident.why.contains("“gunman”"), "{}", incident.why);
}

#[test]
fn after_a_reload_a_count_with_another_query_begins_anew() {
    let count = |query: &str| rule("threat.seen", "threat", High, query, authors(2, 10));
    let mut sim = Sim::new(vec![count("smoke")], Vec::new());
    sim.post("1", "ann", 0, "smoke and fire");
    sim.swap_rules(vec![count("smoke")]);
    assert!(sim.model.alerts.is_empty());
    sim.swap_rules(vec![count("fire")]);
    sim.post("2", "bob", 30, "fire");
    assert!(sim.model.alerts.is_empty(), "one person spoke of fire since it is asked");
    sim.swap_rules(vec![count("fire")]);
    sim.post("3", "eve", 60, "fire");
    assert_eq!(sim.model.fired(), [(RuleId::from("threat.seen"), Some(PostId::from("3")))]);
}

#[test]
fn a_thousand_who_pass_one_post_on_are_one_story() {
    let two = rule("threat.stories", "threat", Critical, "$org gunman", stories(2, 10));
    let mut sim = Sim::new(vec![two, rumour()], Vec::new());
    for copy in 0..1200 {
        sim.post(
            &format!("copy {copy}"),
            &format!("author {copy}"),
            copy / 4,
            "There is a gunman at St Brigids, stay away!",
        );
    }
    let summary = stormbell::domain::message::summary(sim.incident());
    assert!(summary.starts_with("1 story · 1,200 authors · 1,200 posts within "), "{summary}");
    assert!(!sim.model.fired().iter().any(|(rule, _)| rule.as_str() == "threat.stories"));

    sim.crash();
    sim.post("again", "eve", 301, "RT @copy: There is a gunman at St Brigids, stay away!");
    assert_eq!((sim.incident().stories, sim.incident().posts), (1, 1201), "it still knows the story");
    sim.post("own", "dan", 302, "I am in the lobby of St Brigids, a gunman went upstairs");
    assert_eq!(sim.incident().stories, 2);
    let why = &sim.model.alerts.iter().find(|alert| alert.rule.as_str() == "threat.stories").unwrap().why;
    assert!(why.starts_with("2 stories within 10 min (at least 2) by "), "{why}");
}

#[test]
fn a_window_that_began_long_ago_is_not_late_news() {
    let slow = rule("threat.slow", "threat", High, "$org gunman", authors(2, 15));
    let mut sim = Sim::new(vec![slow], Vec::new());
    sim.post("1", "ann", 0, REPORT);
    sim.post("2", "bob", 12 * 60, REPORT);
    assert!(!sim.incident().late);
}

#[test]
fn a_graver_rule_joins_the_incident_and_wakes_its_own_route() {
    let routes =
        vec![route(&[Critical], &[], &[(&["pager"], None)], None), route(&[], &[], &[(&["chat"], None)], None)];
    let mut sim = Sim::new(vec![rumour(), gunman()], routes);
    sim.post("1", "ann", 0, "a rumour about St Brigids");
    assert_eq!(names(&sim.model.sent(MessageKind::Opened)), ["chat"]);
    sim.post("2", "bob", 60, REPORT);
    sim.post("3", "eve", 61, REPORT);
    assert_eq!(names(&sim.model.sent(MessageKind::Opened)), ["chat", "pager"]);
    assert_eq!(names(&sim.model.sent(MessageKind::Updated)), ["chat"]);
    let incident = sim.incident();
    assert_eq!((incident.severity, incident.posts, incident.authors), (Critical, 3, 3));
    assert_eq!(incident.title, "title of threat.gunman");
}

#[test]
fn a_crisis_confirmed_after_somebody_called_it_off_pages_again_as_the_same_incident() {
    let alone = rule("threat.alone", "threat", High, "$org gunman inside", Condition::Match);
    let mut sim = Sim::new(vec![alone, gunman()], vec![route(&[], &[], &[(&["pager"], None)], None)]);
    sim.post("1", "ann", 0, "gunman inside St Brigids");
    let called_off = sim.incident().id.clone();
    sim.command(&called_off, Action::Resolve).unwrap();
    sim.post("2", "bob", 120, REPORT);
    let opened = sim.model.sent(MessageKind::Opened);
    assert_eq!(names(&opened), ["pager", "pager"]);
    assert_eq!(opened[1].1, called_off, "with its history");
    let incident = sim.incident();
    assert_eq!((incident.state, incident.severity, &incident.resolved), (IncidentState::Open, Critical, &None));
    assert_eq!(incident.title, "title of threat.gunman");
}

#[test]
fn a_rumour_somebody_took_charge_of_becomes_a_crisis_and_rings_again() {
    let steps: &[(&[&str], Option<u64>)] = &[(&["pager"], Some(5)), (&["manager"], None)];
    let routes = vec![route(&[Critical], &[], steps, None), route(&[], &[], &[(&["chat"], None)], None)];
    let mut sim = Sim::new(vec![rumour(), gunman()], routes);
    sim.post("1", "ann", 0, "a rumour about St Brigids");
    let id = sim.incident().id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    sim.post("2", "bob", 60, REPORT);
    sim.post("3", "eve", 61, REPORT);
    assert_eq!((sim.incident().state, &sim.incident().acknowledged), (IncidentState::Open, &None));
    sim.run_until(400);
    assert_eq!(names(&sim.model.sent(MessageKind::Escalated)), ["manager"]);
}

#[test]
fn a_rumour_somebody_took_charge_of_escalates_again_when_it_is_a_crisis() {
    let steps: &[(&[&str], Option<u64>)] = &[(&["pager"], Some(5)), (&["manager"], None)];
    let mut sim = Sim::new(vec![rumour(), gunman()], vec![route(&[], &[], steps, None)]);
    sim.post("1", "ann", 0, "a rumour about St Brigids");
    let id = sim.incident().id.clone();
    sim.command(&id, Action::Acknowledge).unwrap();
    sim.post("2", "bob", 60, REPORT);
    sim.post("3", "eve", 61, REPORT);
    assert_eq!(names(&sim.model.sent(MessageKind::Updated)), ["pager"]);
    sim.run_until(400);
    assert_eq!(names(&sim.model.sent(MessageKind::Escalated)), ["manager"], "one route for all is no exception");
}

#[test]
fn what_a_person_does_at_a_receiver_counts_and_only_the_others_hear_who_has_it() {
    let steps: &[(&[&str], Option<u64>)] = &[(&["pager", "chat"], Some(5)), (&["manager"], None)];
    let mut sim = Sim::new(vec![rumour()], vec![route(&[], &[], steps, None)]);
    sim.post("1", "ann", 0, REPORT);
    let id = sim.incident().id.clone();
    // The clock over there is an hour slow: that it names the incident at all is enough.
    let taken = sim.at_the_pager(&id, Action::Acknowledge, -3600).unwrap();
    assert_eq!((taken.state, taken.acknowledged.unwrap().by.as_str()), (IncidentState::Acknowledged, "Ann Example"));
    assert_eq!(names(&sim.model.sent(MessageKind::Acknowledged)), ["chat"], "no echo");
    let entry = sim.model.timeline.iter().find(|entry| entry.what == "acknowledged").unwrap();
    assert_eq!((entry.by.as_str(), entry.text.as_str()), ("Ann Example", "in PagerDuty"));
    sim.run_until(900);
    assert_eq!(sim.model.sent(MessageKind::Escalated), []);

    let before = sim.model.timeline.len();
    sim.at_the_pager(&id, Action::Acknowledge, 10).unwrap();
    assert_eq!(
        (sim.model.timeline.len(), sim.model.sent(MessageKind::Acknowledged).len()),
        (before, 1),
        "a repetition"
    );

    // The end is told over there, too: news that is still on its way there would begin it anew.
    sim.at_the_pager(&id, Action::Resolve, 20).unwrap();
    assert_eq!(names(&sim.model.sent(MessageKind::Resolved)), ["chat", "pager"]);
    assert_eq!(sim.at_the_pager(&id, Action::Resolve, 20), Err(Refused::NoSuchIncident));
    assert_eq!(sim.at_the_pager(&id, Action::Acknowledge, 10), Err(Refused::NoSuchIncident));
}

#[test]
fn a_late_answer_to_a_rumour_takes_nobody_from_the_crisis_it_became() {
    let mut sim = Sim::new(vec![rumour(), gunman()], vec![route(&[], &[], &[(&["pager"], Some(5))], None)]);
    sim.post("1", "ann", 0, "a rumour about St Brigids");
    let id = sim.incident().id.clone();
    sim.at_the_pager(&id, Action::Acknowledge, 10).unwrap();
    sim.post("2", "bob", 60, REPORT);
    sim.post("3", "eve", 61, REPORT);
    for (action, seconds) in [(Action::Acknowledge, 10), (Action::Resolve, 30), (Action::Acknowledge, 61)] {
        let outdated = sim.at_the_pager(&id, action, seconds).unwrap();
        assert_eq!((outdated.state, outdated.acknowledged), (IncidentState::Open, None));
    }
    assert_eq!(sim.incident().state, IncidentState::Open);
    sim.at_the_pager(&id, Action::Acknowledge, 62).unwrap();
    assert_eq!(sim.incident().state, IncidentState::Acknowledged);
}

#[test]
fn a_late_end_from_a_receiver_does_not_end_what_began_again() {
    let mut sim = Sim::new(vec![rumour()], vec![route(&[], &[], &[(&["pager"], Some(5))], None)]);
    sim.post("1", "ann", 0, REPORT);
    let id = sim.incident().id.clone();
    sim.at_the_pager(&id, Action::Resolve, 30).unwrap();
    sim.post("2", "bob", 600, REPORT);
    assert_eq!((&sim.incident().id, sim.incident().state), (&id, IncidentState::Open), "it is the same one");
    for action in [Action::Resolve, Action::Acknowledge] {
        assert_eq!(sim.at_the_pager(&id, action, 30).unwrap().state, IncidentState::Open);
    }
    sim.at_the_pager(&id, Action::Resolve, 660).unwrap();
    assert_eq!(sim.model.incidents[&id].state, IncidentState::Resolved);
}

#[test]
fn growth_is_told_in_steps_not_post_by_post() {
    let mut sim = Sim::new(vec![rumour()], vec![route(&[], &[], &[(&["chat"], None)], None)]);
    for n in 0..1000 {
        sim.post(&format!("p{n}"), &format!("author {n}"), n, REPORT);
    }
    assert_eq!(sim.model.alerts.len(), 1000);
    assert_eq!(sim.model.sent(MessageKind::Opened).len(), 1);
    assert_eq!(sim.model.sent(MessageKind::Updated).len(), 6, "at 3, 9, 27, 81, 243, 729 authors");
}

#[test]
fn a_flood_by_one_author_is_one_incident_and_one_message() {
    let mut sim = Sim::new(vec![rumour()], vec![route(&[], &[], &[(&["chat"], None)], None)]);
    for n in 0..5_000 {
        sim.post(&format!("p{n}"), "flooder", n / 100, REPORT);
    }
    assert_eq!((sim.incident().posts, sim.incident().authors), (5_000, 1));
    assert_eq!(sim.model.outbox.len(), 1);
    let flood = (5_000..5_300).map(|n| posted(&format!("p{n}"), "flooder", 60, REPORT)).collect();
    let batch = sim.batch(flood, Some(at(60)));
    let commit = sim.engine.step(Input::Batch(batch), at(60)).commit;
    assert_eq!((commit.incidents.len(), commit.incidents[0].posts), (1, 5_300), "one row a commit, not one a post");
}

#[test]
fn a_keyword_posted_again_and_again_is_one_incident_and_few_messages() {
    let mut sim = Sim::new(vec![rumour(), gunman()], vec![route(&[], &[], &[(&["chat"], None)], None)]);
    let mut told = Vec::new();
    let mut last = None;
    for round in 0..40 {
        let post = |n: i64| posted(&format!("p{round}.{n}"), &format!("bot {}", n % 4), round, REPORT);
        sim.now = at(round);
        let batch = sim.batch((0..250).map(post).collect(), Some(sim.now));
        let commit = sim.engine.step(Input::Batch(batch), sim.now).commit;
        assert!(commit.incidents.len() <= 1);
        told.extend(commit.outbox.into_iter().map(|delivery| delivery.message.kind));
        last = commit.incidents.into_iter().next_back().or(last);
    }
    let incident = last.unwrap();
    assert_eq!((incident.posts, incident.authors, sim.engine.open_incidents()), (10_000, 4, 1));
    assert_eq!(told, [MessageKind::Opened, MessageKind::Updated], "it began, and it is critical");
    let summary = stormbell::domain::message::summary(&incident);
    assert!(summary.starts_with("a flood by few accounts: 1 story · 4 authors · 10,000 posts within "), "{summary}");
    let crowd = stormbell::domain::incident::Incident { authors: 9_000, ..incident };
    assert!(!crowd.is_flood());
}

#[test]
fn what_is_learnt_late_is_told_as_a_whole() {
    let mut sim = Sim::new(vec![rumour()], vec![route(&[], &["threat"], &[(&["chat"], None)], None)]);
    sim.connect(None);
    sim.feed(vec![frame(Ok(SourceEvent::Other), at(0))]);
    sim.cut();
    sim.now = at(3600);
    sim.connect(Some(0));
    for n in 0..100 {
        sim.feed(vec![posted(&format!("p{n}"), &format!("author {n}"), 600 + n, REPORT)]);
        sim.run_until(3600 + n / 2);
    }
    let told = |sim: &Sim| (sim.model.sent(MessageKind::Opened).len(), sim.model.sent(MessageKind::Updated).len());
    assert_eq!(told(&sim), (1, 0), "the first at once, the others when all is read");
    let first = sim.model.outbox.values().next().unwrap().message.summary();
    assert_eq!(first, "happened 2026-11-22T10:10:00Z, learned 2026-11-22T11:00:00Z: 1 post at 2026-11-22T10:10:00Z");
    sim.feed(vec![frame(Ok(SourceEvent::Other), at(3650))]);
    sim.run_until(3660);
    assert_eq!(told(&sim), (1, 1));
    let newest = sim.model.outbox.values().find(|delivery| delivery.message.kind == MessageKind::Updated).unwrap();
    assert!(newest.message.summary().contains("100 authors · 100 posts"), "{}", newest.message.summary());
    sim.run_until(4000);
    assert_eq!(told(&sim), (1, 1), "once");
}

#[test]
fn a_crisis_learnt_late_is_told_at_once() {
    let mut sim = Sim::new(vec![rumour(), gunman()], vec![route(&[], &["threat"], &[(&["pager"], None)], None)]);
    sim.now = at(3600);
    sim.connect(Some(0));
    sim.feed(vec![posted("1", "ann", 600, REPORT)]);
    sim.feed(vec![posted("2", "bob", 610, REPORT)]);
    assert_eq!(sim.model.sent(MessageKind::Updated).len(), 1, "graver, so it does not wait");
}

#[test]
fn the_ledger_accounts_for_every_frame() {
    let mut sim = Sim::new(vec![rumour()], Vec::new());
    let deleted = SourceEvent::PostDeleted { post: "1".into(), at: at(5) };
    sim.feed(vec![
        posted("1", "ann", 0, REPORT),
        posted("1", "ann", 0, REPORT),
        posted("2", "ann", 1, "nothing"),
        frame(Ok(SourceEvent::Other), at(2)),
        frame(Err(Rejected::NotJson), at(3)),
        Decoded { cursor: None, event: Err(Rejected::TooLarge) },
        frame(Ok(deleted), at(5)),
    ]);
    let ledger = sim.model.ledger;
    assert_eq!(
        (ledger.frames, ledger.posts, ledger.other, ledger.rejected_total(), ledger.duplicates),
        (7, 2, 2, 2, 1)
    );
    assert!(ledger.adds_up());
}

#[test]
fn what_an_author_takes_back_is_erased_and_does_not_come_back() {
    let mut sim = Sim::new(vec![rumour()], Vec::new());
    sim.post("1", "ann", 0, REPORT);
    sim.post("2", "bob", 1, "not evidence");
    for (post, seconds) in [("1", 2), ("2", 3), ("unread", 4)] {
        sim.feed(vec![frame(Ok(SourceEvent::PostDeleted { post: post.into(), at: at(seconds) }), at(seconds))]);
    }
    sim.feed(vec![frame(Ok(SourceEvent::AuthorDeleted { author: "ann".into(), at: at(5) }), at(5))]);
    sim.feed(vec![frame(Ok(SourceEvent::AuthorDeleted { author: "bob".into(), at: at(6) }), at(6))]);
    assert_eq!(sim.model.erased, [Erasure::Post("1".into()), Erasure::Author(AuthorId::from("ann"))]);
    // Its create overtaken by the delete: it stays away.
    sim.feed(vec![posted("unread", "eve", 4, REPORT)]);
    assert_eq!(sim.model.alerts.len(), 1);
    assert!(sim.model.ledger.adds_up());
}

#[test]
fn of_other_posts_a_sample_is_kept_and_erased_when_its_author_says_so() {
    let mut sim = Sim::new(vec![rumour()], Vec::new());
    sim.engine.keep_sample(std::num::NonZeroU64::new(10));
    for n in 0..1000 {
        sim.post(&format!("p{n}"), "ann", n, "weather");
    }
    let kept = sim.model.posts.clone();
    assert!((60..140).contains(&kept.len()) && sim.model.tellings.is_empty(), "{}", kept.len());
    for n in 0..1000 {
        let deleted = SourceEvent::PostDeleted { post: format!("p{n}").as_str().into(), at: at(2000) };
        sim.feed(vec![frame(Ok(deleted), at(2000))]);
    }
    let erased: Vec<_> = kept.into_iter().map(Erasure::Post).collect();
    let mut taken_back = sim.model.erased.clone();
    taken_back.sort_by_key(|erasure| format!("{erasure:?}"));
    assert_eq!(taken_back, erased, "these and no others");
    sim.feed(vec![frame(Ok(SourceEvent::AuthorDeleted { author: "ann".into(), at: at(2001) }), at(2001))]);
    assert_eq!(sim.model.erased.last(), Some(&Erasure::Author("ann".into())));
}

#[test]
fn an_edit_counts_once() {
    let mut sim = Sim::new(vec![rumour()], Vec::new());
    for version in ["a", "b"] {
        let post = Post { version: Some(version.to_owned()), ..post("1", "ann", at(0), REPORT) };
        sim.feed(vec![frame(Ok(SourceEvent::Post(Box::new(post))), at(0))]);
    }
    assert_eq!((sim.model.alerts.len(), sim.incident().posts, sim.model.ledger.posts), (1, 1, 2));
}

#[test]
fn what_is_kept_of_a_post_follows_its_edits() {
    let mut sim = Sim::new(vec![rumour()], Vec::new());
    let mut kept = Vec::new();
    for (id, version, text) in [("1", "a", REPORT), ("1", "b", "sorry, fireworks"), ("2", "a", "fireworks")] {
        let post = Post { version: Some(version.to_owned()), ..post(id, "ann", at(0), text) };
        let batch = sim.batch(vec![frame(Ok(SourceEvent::Post(Box::new(post))), at(0))], Some(at(0)));
        kept.extend(sim.engine.step(Input::Batch(batch), at(0)).commit.posts.into_iter().map(|post| post.text));
    }
    assert_eq!(kept, [REPORT, "sorry, fireworks"]);
}

#[test]
fn nobody_answers_so_the_next_step_is_told_until_somebody_acknowledges() {
    let steps: &[(&[&str], Option<u64>)] = &[(&["on-call"], Some(5)), (&["manager"], Some(10)), (&["everybody"], None)];
    let mut sim = Sim::new(vec![rumour()], vec![route(&[], &[], steps, Some(60))]);
    sim.post("1", "ann", 0, REPORT);
    sim.run_until(299);
    assert_eq!(sim.model.sent(MessageKind::Escalated), []);
    sim.run_until(301);
    assert_eq!(names(&sim.model.sent(MessageKind::Escalated)), ["manager"]);
    sim.run_until(902);
    assert_eq!(names(&sim.model.sent(MessageKind::Escalated)), ["everybody", "manager"]);
    sim.run_until(4_510);
    assert_eq!(names(&sim.model.sent(MessageKind::Escalated)), ["everybody", "everybody", "manager"]);
    let id = sim.incident().id.clone();
    let incident = sim.command(&id, Action::Acknowledge).unwrap();
    assert_eq!((incident.state, incident.acknowledged.unwrap().by.as_str()), (IncidentState::Acknowledged, "ann"));
    assert_eq!(names(&sim.model.sent(MessageKind::Acknowledged)), ["everybody", "manager", "on-call"]);
    sim.run_until(20_000);
    assert_eq!(sim.model.sent(MessageKind::Escalated).len(), 3, "acknowledged: nobody is told again");
    sim.command(&id, Action::Resolve).unwrap();
    let last = sim.model.timeline.last().unwrap();
    assert_eq!((last.what, last.by.as_str(), last.text.as_str()), ("resolved", "ann", "it is our own drill"));
    assert_eq!(names(&sim.model.sent(MessageKind::Resolved)), ["everybody", "manager", "on-call"]);
    assert_eq!(sim.command(&id, Action::Acknowledge), Err(Refused::NoSuchIncident));
}

#[test]
fn escalation_goes_on_when_the_routes_change() {
    let steps: &[(&[&str], Option<u64>)] = &[(&["on-call"], Some(5)), (&["manager"], None)];
    let threat = || route(&[], &["threat"], steps, None);
    let other = || route(&[], &["other"], &[(&["chat"], None)], None);
    let reload = |sim: &mut Sim, routes| sim.reload(routes);
    let restart = |sim: &mut Sim, routes| {
        sim.reload(routes);
        sim.crash();
    };
    for change in [reload, restart as fn(&mut Sim, Vec<_>)] {
        let mut sim = Sim::new(vec![rumour()], vec![threat(), other()]);
        sim.post("1", "ann", 0, REPORT);
        change(&mut sim, vec![other(), threat()]);
        sim.feed(vec![frame(Ok(SourceEvent::Other), at(1))]);
        sim.run_until(20 * 60);
        assert_eq!(names(&sim.model.sent(MessageKind::Opened)), ["on-call"], "told once, and nobody else");
        assert_eq!(names(&sim.model.sent(MessageKind::Escalated)), ["manager"]);
        change(&mut sim, vec![other(), route(&[], &[], &[(&["chat"], None)], None)]);
        assert_eq!(names(&sim.model.sent(MessageKind::Opened)), ["chat", "on-call"]);
    }
}

#[test]
fn blindness_concerns_everybody_whom_no_route_names() {
    let mut sim = Sim::new(vec![rumour()], vec![route(&[], &["threat"], &[(&["pager"], None)], None)]);
    sim.connect(None);
    sim.run_until(600);
    assert_eq!(names(&sim.model.sent(MessageKind::Opened)), ["pager"]);
}

#[test]
fn a_clock_that_is_set_back_does_not_stop_the_escalation() {
    let steps: &[(&[&str], Option<u64>)] = &[(&["on-call"], Some(5)), (&["manager"], None)];
    let mut sim = Sim::new(vec![rumour()], vec![route(&[], &[], steps, None)]);
    sim.now = at(24 * 3600);
    sim.step(Input::Tick);
    sim.now = at(0);
    sim.post("1", "ann", 0, REPORT);
    sim.run_until(600);
    assert_eq!(names(&sim.model.sent(MessageKind::Escalated)), ["manager"]);
}

#[test]
fn whoever_does_not_answer_has_the_same_minutes_however_the_clock_is_set() {
    let steps: &[(&[&str], Option<u64>)] = &[(&["on-call"], Some(5)), (&["manager"], None)];
    for hours in [-8, 8] {
        let mut sim = Sim::new(vec![rumour()], vec![route(&[], &[], steps, None)]);
        sim.post("1", "ann", 0, REPORT);
        sim.run_until(120);
        let wall = hours * 3600 + 120;
        sim.set_clock(wall);
        sim.run_until(wall + 179);
        assert_eq!(names(&sim.model.sent(MessageKind::Escalated)), [] as [&str; 0], "set by {hours} h");
        sim.run_until(wall + 181);
        assert_eq!(names(&sim.model.sent(MessageKind::Escalated)), ["manager"], "set by {hours} h");
        assert_eq!(sim.incident().state, IncidentState::Open, "no silence was seen that could end it");
    }
}

#[test]
fn a_clock_set_back_while_nothing_ran_makes_nobody_wait_for_hours() {
    let steps: &[(&[&str], Option<u64>)] = &[(&["on-call"], Some(5)), (&["manager"], None)];
    let mut sim = Sim::new(vec![rumour()], vec![route(&[], &[], steps, None)]);
    sim.post("1", "ann", 0, REPORT);
    sim.now = at(-8 * 3600);
    sim.crash();
    sim.run_until(-8 * 3600 + 301);
    assert_eq!(names(&sim.model.sent(MessageKind::Escalated)), ["manager"]);
}

#[test]
fn a_quiet_topic_ends_and_the_next_crisis_is_a_new_incident() {
    let mut sim = Sim::new(vec![rumour()], vec![route(&[], &[], &[(&["chat"], None)], None)]);
    sim.connect(None);
    sim.post("1", "ann", 0, REPORT);
    sim.run_until(6 * 3600 + 5);
    assert_eq!(sim.incident().state, IncidentState::Resolved);
    sim.post("2", "bob", 7 * 3600 + 10, REPORT);
    assert_eq!(sim.model.incidents.len(), 2);
    assert_eq!(sim.model.sent(MessageKind::Opened).len(), 2);
}

#[test]
fn blindness_is_not_quiet() {
    let mut sim = Sim::new(vec![rumour()], vec![route(&[], &[], &[(&["chat"], None)], None)]);
    sim.connect(None);
    sim.post("1", "ann", 0, REPORT);
    sim.cut();
    sim.run_until(7 * 3600);
    let states: Vec<_> = sim.model.incidents.values().map(|i| (i.topic.as_str(), i.state)).collect();
    assert!(states.contains(&("threat", IncidentState::Open)), "{states:?}");
    assert!(states.contains(&("stormbell.blind.stream", IncidentState::Open)), "{states:?}");
    assert_eq!(sim.model.sent(MessageKind::Opened).len(), 2, "the blindness itself was told once");
    sim.connect(Some(0));
    sim.feed(vec![frame(Ok(SourceEvent::Other), at(0))]);
    assert_eq!(sim.model.sent(MessageKind::Resolved).len(), 1, "it sees again");
    assert_eq!(sim.gaps(), ["0-0 closed recovered"]);
}

#[test]
fn what_was_promised_and_could_not_be_read_after_all_is_a_gap_on_record() {
    let mut sim = Sim::new(Vec::new(), vec![route(&[], &[], &[(&["chat"], None)], None)]);
    sim.connect(None);
    sim.feed(vec![frame(Ok(SourceEvent::Other), at(0))]);
    sim.step(Input::Missed { source: "stream".into(), from: at(0), to: at(600) });
    assert_eq!(sim.gaps(), ["0-600 cursor_too_old lost"]);
    assert_eq!(sim.model.sent(MessageKind::Opened).len(), 1, "somebody has to look by hand");
    assert!(sim.model.incidents.values().any(|incident| incident.topic.as_str() == "stormbell.gap.stream"));
}

#[test]
fn a_spent_budget_is_blindness_and_says_what_to_do() {
    let mut sim = Sim::new(Vec::new(), vec![route(&[], &[], &[(&["chat"], None)], None)]);
    sim.connect(None);
    sim.feed(vec![frame(Ok(SourceEvent::Other), at(0))]);
    sim.step(Input::Down { source: "stream".into(), reason: DownReason::Spent });
    sim.run_until(600);
    let why = |sim: &Sim| {
        let blind = sim.model.incidents.values().find(|incident| incident.topic.as_str() == "stormbell.blind.stream");
        format!("{:?}", blind.expect("it is told"))
    };
    assert!(why(&sim).contains("raise `monthly_posts`"), "{}", why(&sim));
    let mut sim = Sim::new(Vec::new(), Vec::new());
    sim.connect(None);
    sim.step(Input::Down { source: "stream".into(), reason: DownReason::QuotaSpent });
    sim.run_until(600);
    assert!(why(&sim).contains("read again at midnight on the Pacific coast"), "{}", why(&sim));
}

#[test]
fn what_is_sent_to_us_while_there_is_no_connection_ends_no_gap() {
    let mut sim = Sim::new(vec![rumour()], vec![route(&[], &["threat"], &[(&["chat"], None)], None)]);
    sim.connect(None);
    sim.feed(vec![frame(Ok(SourceEvent::Other), at(0))]);
    sim.step(Input::Down { source: "stream".into(), reason: DownReason::Refused });
    sim.now = at(100);
    sim.feed(vec![posted("1", "ann", 100, REPORT)]);
    assert_eq!(sim.gaps(), ["0-… refused lost"], "a hub's push shows nothing of what was published before");
    assert_eq!(sim.model.sent(MessageKind::Opened).len(), 1, "it counts");
    sim.run_until(500);
    assert!(sim.model.incidents.values().any(|incident| incident.topic.as_str() == "stormbell.blind.stream"));
    sim.step(Input::Connected { source: "stream".into(), joint: Joint::GoesOn });
    sim.feed(vec![frame(Ok(SourceEvent::Other), at(500))]);
    assert_eq!(sim.gaps(), ["0-500 refused recovered"]);
    // The same after a restart, when there is no connection to be had.
    sim.crash();
    sim.step(Input::Down { source: "stream".into(), reason: DownReason::ConnectFailed });
    sim.feed(vec![posted("2", "bob", 600, REPORT)]);
    assert_eq!(sim.gaps().last().map(String::as_str), Some("500-… not_running lost"));
}

#[test]
fn what_was_not_read_yet_is_not_quiet() {
    let posts = |sim: &mut Sim| {
        sim.connect(Some(0));
        sim.feed(vec![frame(Ok(SourceEvent::Other), at(0)), frame(Ok(SourceEvent::Other), at(100))]);
        sim.run_until(7 * 3600 + 30);
        sim.feed(vec![posted("2", "bob", 3_000, REPORT)]);
        assert_eq!((sim.incident().state, sim.incident().posts), (IncidentState::Open, 2));
        sim.feed(vec![frame(Ok(SourceEvent::Other), at(7 * 3600))]);
        sim.run_until(7 * 3600 + 40);
        assert_eq!(sim.incident().state, IncidentState::Resolved, "now it is");
    };
    let routes = || vec![route(&[], &["threat"], &[(&["chat"], None)], None)];
    let mut cut = Sim::new(vec![rumour()], routes());
    cut.connect(None);
    cut.post("1", "ann", 0, REPORT);
    cut.cut();
    cut.now = at(7 * 3600);
    posts(&mut cut);
    let mut restarted = Sim::new(vec![rumour()], routes());
    restarted.post("1", "ann", 0, REPORT);
    restarted.now = at(7 * 3600);
    restarted.crash();
    restarted.step(Input::Tick);
    posts(&mut restarted);
}

#[test]
fn a_server_that_only_repeats_itself_is_blindness() {
    let mut sim = Sim::new(Vec::new(), vec![route(&[], &[], &[(&["pager"], None)], None)]);
    sim.connect(None);
    sim.feed(vec![frame(Ok(SourceEvent::Other), at(0))]);
    for minute in 1..20 {
        sim.run_until(minute * 60);
        sim.step(Input::Down { source: "stream".into(), reason: DownReason::Stalled });
        sim.connect(Some(0));
        sim.feed(vec![frame(Ok(SourceEvent::Other), at(0))]);
    }
    assert_eq!(names(&sim.model.sent(MessageKind::Opened)), ["pager"]);
    assert_eq!(sim.model.sent(MessageKind::Resolved), []);
    sim.feed(vec![frame(Ok(SourceEvent::Other), at(1_140))]);
    assert_eq!(names(&sim.model.sent(MessageKind::Resolved)), ["pager"]);
}

#[test]
fn a_resumed_stream_is_late_and_a_forgotten_one_is_a_gap() {
    let mut sim = Sim::new(vec![rumour()], vec![route(&[], &[], &[(&["chat"], None)], None)]);
    sim.connect(None);
    sim.feed(vec![frame(Ok(SourceEvent::Other), at(100))]);
    sim.cut();
    sim.now = at(2_600);
    sim.connect(Some(100));
    sim.feed(vec![frame(Ok(SourceEvent::Other), at(95)), posted("1", "ann", 110, REPORT)]);
    assert_eq!(sim.gaps(), ["100-100 closed recovered"]);
    let incident = sim.incident();
    assert!(incident.late);
    assert_eq!((incident.first_post_at, incident.opened_at), (at(110), at(2_600)));
    sim.cut();
    sim.now = at(90_000);
    sim.connect(Some(110));
    sim.feed(vec![frame(Ok(SourceEvent::Other), at(4_000))]);
    assert_eq!(sim.gaps(), ["100-100 closed recovered", "110-4000 cursor_too_old lost"]);
    let told: Vec<_> = sim.model.incidents.values().map(|incident| incident.title.as_str()).collect();
    assert!(told.contains(&"Stormbell missed 1 h 4 min of stream"), "{told:?}");
}

#[test]
fn a_receiver_that_cannot_be_told_is_told_of_to_the_others_once() {
    let mut sim = Sim::new(vec![rumour()], vec![route(&[], &[], &[(&["pager", "chat", "mail"], None)], None)]);
    sim.post("1", "ann", 0, REPORT);
    let parked = |sim: &Sim, receiver: &str, incident: &IncidentId| {
        let delivery =
            sim.model.outbox.values().find(|d| d.receiver.as_str() == receiver && d.message.incident.id == *incident);
        let id = delivery.unwrap().id.clone();
        Undelivered {
            id,
            receiver: receiver.into(),
            person: None,
            incident: incident.clone(),
            error: "410 gone".to_owned(),
        }
    };
    let about = sim.incident().id.clone();
    sim.step(Input::Undelivered(parked(&sim, "pager", &about)));
    let own = sim.model.incidents.values().find(|incident| incident.is_own()).unwrap().clone();
    assert_eq!(own.title, "pager could not be told of “title of threat.rumour”");
    assert_eq!(own.told.receivers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["chat", "mail"]);
    // The message about the failure fails too: no echo.
    sim.step(Input::Undelivered(parked(&sim, "chat", &own.id)));
    assert_eq!(sim.model.incidents.len(), 2);
    // Nor does its end, hours later.
    sim.run_until(7 * 3600);
    assert_eq!(sim.model.sent(MessageKind::Resolved).len(), 5);
    sim.step(Input::Undelivered(parked(&sim, "chat", &own.id)));
    assert_eq!(sim.model.incidents.len(), 2);
}

#[test]
fn a_receipt_that_does_not_come_has_the_next_step_told_at_once() {
    let steps: [(&[&str], Option<u64>); 2] = [(&["pager"], Some(10)), (&["mail"], None)];
    let threat = || rule("threat.shots", "threat", Critical, "$org shots", Condition::Match);
    let begun = |receivers: &[(&[&str], Option<u64>)]| {
        let mut sim = Sim::new(vec![threat()], vec![route(&[], &["threat"], receivers, None)]);
        sim.post("1", "ann", 0, "shots at St Brigids");
        sim
    };
    let overdue = |sim: &Sim, receiver: &str| {
        let of = |delivery: &&Delivery| delivery.receiver.as_str() == receiver && !delivery.message.incident.is_own();
        let (id, incident) =
            sim.model.outbox.values().find(of).map(|d| (d.id.clone(), d.message.incident.id.clone())).unwrap();
        Input::Overdue(Undelivered { id, receiver: receiver.into(), person: None, incident, error: "503".to_owned() })
    };
    let mut sim = begun(&steps);
    let (opened, mail) = (sim.incident().id.clone(), |sim: &Sim| {
        let to_mail = sim.model.outbox.values().filter(|delivery| delivery.receiver.as_str() == "mail");
        to_mail.map(|delivery| delivery.message.incident.title.clone()).collect::<Vec<_>>()
    });
    sim.now = at(45);
    let late = overdue(&sim, "pager");
    sim.step(late);
    assert_eq!(mail(&sim), ["pager has not received “title of threat.shots”", "title of threat.shots"]);
    let own = sim.model.incidents.values().find(|incident| incident.is_own()).unwrap();
    assert!(own.why.starts_with("no receipt within 45 s: 503; it is tried on; see to it"), "{}", own.why);
    // That it is given up in the end is no news.
    let sent = sim.model.outbox.len();
    let Input::Overdue(parked) = overdue(&sim, "pager") else { panic!() };
    sim.step(Input::Undelivered(parked));
    assert_eq!(sim.model.outbox.len(), sent);

    // One of two has it: the other's failure is told, and the step goes on in its time.
    let mut sim = begun(&[(&["pager", "chat"], Some(10)), (&["mail"], None)]);
    sim.now = at(45);
    let late = overdue(&sim, "pager");
    sim.step(late);
    assert_eq!(mail(&sim), ["pager has not received “title of threat.shots”"]);

    // Somebody has it: nobody waits for a receipt.
    let mut sim = begun(&steps);
    sim.command(&opened, Action::Acknowledge).unwrap();
    let late = overdue(&sim, "pager");
    sim.step(late);
    assert_eq!(mail(&sim), Vec::<String>::new());
}

#[test]
fn others_are_told_soon_and_who_is_alone_is_tried_for_a_day() {
    let patience = |receivers: &[&str]| {
        let mut sim = Sim::new(vec![rumour()], vec![route(&[], &[], &[(receivers, None)], None)]);
        sim.post("1", "ann", 0, REPORT);
        let (id, opened) = sim.model.outbox.iter().next().unwrap();
        let (id, receiver, incident) = (id.clone(), opened.receiver.clone(), opened.message.incident.id.clone());
        sim.step(Input::Undelivered(Undelivered { id, receiver, person: None, incident, error: "503".to_owned() }));
        let (notices, pages): (Vec<_>, Vec<_>) =
            sim.model.outbox.values().partition(|delivery| delivery.message.incident.is_own());
        let hours = |delivery: &&Delivery| delivery.give_up.since(delivery.message.at).as_secs_f64() / 3600.0;
        (pages.iter().map(hours).fold(0.0, f64::max), notices.iter().map(hours).fold(0.0, f64::max))
    };
    assert_eq!(patience(&["pager", "chat"]), (1.0 / 6.0, 24.0));
    assert_eq!(patience(&["pager"]), (24.0, 0.0));
}

#[test]
fn a_silence_is_told_once_and_ends_with_the_next_post() {
    let hourly = rule("news.silent", "news", High, "$org news", Condition::Quiet(Quiet { lasts: minutes(60) }));
    let mut sim = Sim::new(vec![hourly], vec![route(&[], &["news"], &[(&["pager"], None)], None)]);
    let news = |sim: &mut Sim, id: &str, second| sim.post(id, "ann", second, "news from St Brigids");
    sim.connect(None);
    news(&mut sim, "1", 0);
    sim.post("2", "bob", 3_500, "weather");
    sim.run_until(3_590);
    assert_eq!(sim.model.sent(MessageKind::Opened), []);
    sim.run_until(3_605);
    assert_eq!(names(&sim.model.sent(MessageKind::Opened)), ["pager"]);
    assert!(
        sim.incident().why.starts_with("nothing matched for 1 h, since 2026-11-22T10:00:00Z"),
        "{:?}",
        sim.incident()
    );
    sim.crash();
    sim.connect(Some(3_500));
    sim.feed(vec![frame(Ok(SourceEvent::Other), at(3_500))]);
    sim.post("3", "bob", 3_700, "weather");
    sim.run_until(9_000);
    assert_eq!(sim.model.alerts.len(), 1, "told once, through a restart");
    news(&mut sim, "4", 9_000);
    assert_eq!(sim.incident().state, IncidentState::Resolved);
    sim.post("5", "bob", 12_700, "weather");
    assert_eq!(sim.model.alerts.len(), 2);
}

#[test]
fn nobody_can_say_that_it_is_quiet_while_a_source_is_blind() {
    let hourly = rule("news.silent", "news", High, "$org news", Condition::Quiet(Quiet { lasts: minutes(60) }));
    let mut sim = Sim::new(vec![hourly], Vec::new());
    let silences = |sim: &Sim| sim.model.alerts.iter().filter(|alert| alert.rule.as_str() == "news.silent").count();
    sim.connect(None);
    sim.post("1", "ann", 0, "news from St Brigids");
    sim.cut();
    sim.run_until(7_200);
    assert_eq!(silences(&sim), 0);
    // What came meanwhile is lost: the silence begins when it is seen again.
    sim.connect(Some(0));
    sim.post("2", "bob", 7_200, "weather");
    sim.run_until(7_200 + 3_500);
    assert_eq!(silences(&sim), 0);
    sim.post("3", "bob", 7_200 + 3_590, "weather");
    sim.run_until(7_200 + 3_610);
    assert_eq!(silences(&sim), 1);
}

/// Everything people were told: ids of messages and alerts.
fn told(sim: &Sim) -> (Vec<String>, Vec<String>) {
    let mut alerts: Vec<String> =
        sim.model.alerts.iter().map(|a| format!("{} {:?} {}", a.rule, a.post, a.incident)).collect();
    alerts.sort();
    (sim.model.outbox.keys().map(ToString::to_string).collect(), alerts)
}

/// A stream in which matching and other posts, repetitions and deletes meet.
fn stream() -> impl Strategy<Value = Vec<Decoded>> {
    let texts = prop_oneof![4 => Just(REPORT), 1 => Just("a rumour on St Brigids"), 4 => Just("weather")];
    let step = (0i64..400, 0u8..5, texts, 0u8..12);
    prop::collection::vec(step, 1..60).prop_map(|steps| {
        let mut second = 0;
        let mut frames: Vec<Decoded> = Vec::new();
        for (number, (pause, author, text, chance)) in steps.into_iter().enumerate() {
            second += pause;
            frames.push(match (chance, frames.last()) {
                (0, _) => frame(Err(Rejected::NotJson), at(second)),
                (1, Some(last)) => last.clone(),
                (2, Some(Decoded { event: Ok(SourceEvent::Post(post)), .. })) => {
                    frame(Ok(SourceEvent::PostDeleted { post: post.id.clone(), at: at(second) }), at(second))
                }
                _ => posted(&format!("p{number}"), &format!("author {author}"), second, text),
            });
        }
        frames
    })
}

fn two_rules() -> Sim {
    let routes =
        vec![route(&[Critical], &[], &[(&["pager"], None)], None), route(&[], &[], &[(&["chat"], None)], None)];
    let spread = rule("other.spread", "other", High, "rumour", authors(3, 30));
    let told_twice = rule("other.stories", "other", High, "rumour OR gunman", stories(2, 30));
    Sim::new(vec![rumour(), gunman(), spread, told_twice], routes)
}

proptest! {
    /// Invariant 4.
    #[test]
    fn any_batching_gives_the_same_alerts_and_messages(frames in stream(), sizes in prop::collection::vec(1usize..9, 1..60)) {
        let mut whole = two_rules();
        whole.feed_received(frames.clone(), None);
        let mut parts = two_rules();
        parts.feed_in_batches(&frames, &sizes);
        prop_assert_eq!(told(&whole), told(&parts));
        prop_assert!(whole.model.ledger.adds_up());
        prop_assert_eq!(whole.model.ledger, parts.model.ledger);
    }

    /// Invariant 3: kill the process anywhere, read again from before the cursor.
    #[test]
    fn a_crash_loses_nothing_and_doubles_nothing(frames in stream(), crashes in prop::collection::vec(1usize..40, 0..6)) {
        let mut steady = two_rules();
        let mut shaken = two_rules();
        steady.live_through(&frames, &[], Duration::from_secs(5));
        shaken.live_through(&frames, &crashes, Duration::from_secs(5));
        prop_assert_eq!(&steady.model.tellings, &shaken.model.tellings);
        let (steady, shaken) = (told(&steady), told(&shaken));
        prop_assert_eq!(steady.1, shaken.1);
        prop_assert_eq!(steady.0, shaken.0);
    }
}
