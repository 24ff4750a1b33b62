//! Rules that ask for a share, from the rule file to the alert, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use crate::support::sim::{Sim, at, posted, route};
use proptest::prelude::*;
use stormbell::config::rules::parse_rules;
use stormbell::domain::condition::Figures;
use stormbell::domain::diagnostic::SourceText;
use stormbell::domain::event::Decoded;
use stormbell::domain::incident::ConditionKind;
use stormbell::domain::organization::Organization;
use stormbell::domain::rule::{Rule, compile};

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;

/// A rule as a file has it.
fn rules(share: &str) -> Vec<Rule> {
    let text = format!(
        "schema = 1\n[pack]\nname = \"p\"\n[[rule]]\nid = \"p.waiting\"\ntitle = \"Waiting\"\nseverity = \"high\"\n\
         query = '(waiting OR queue)'\nexcept = [{{ reason = \"r\", query = 'train' }}]\nshare = {share}\n"
    );
    let source = Arc::new(SourceText { name: "p.toml".to_owned(), text });
    let (file, findings) = parse_rules(&source);
    assert_eq!(findings, []);
    let (rules, findings) = compile(&file.unwrap(), &Organization::example());
    assert_eq!(findings, []);
    rules
}

const USUAL: &str = "{ of = '$org', above = 0.30, at_least = 10, within = \"1h\" }";

fn sim() -> Sim {
    Sim::new(rules(USUAL), vec![route(&[], &["p"], &[(&["pager"], None)], None)])
}

fn others(from: i64, many: i64) -> Vec<Decoded> {
    let one = |n| posted(&format!("o{from}-{n}"), &format!("other {from} {n}"), from + n * MINUTE, "St Brigids is big");
    (0..many).map(one).collect()
}

fn waiting(from: i64, many: i64) -> Vec<Decoded> {
    let text = |n| format!("waiting at St Brigids since {n}");
    let one = |n| posted(&format!("w{from}-{n}"), &format!("patient {from} {n}"), from + n * MINUTE, &text(n));
    (0..many).map(one).collect()
}

#[test]
fn a_share_pages_with_its_figures_and_only_the_part_is_kept() {
    let mut sim = sim();
    sim.feed_received(others(0, 12), None);
    assert!(sim.model.posts.is_empty() && sim.model.sightings.is_empty(), "the whole is nobody's evidence");
    sim.feed_received(waiting(12 * MINUTE, 6), None);
    let [alert] = &sim.model.alerts[..] else { panic!("{:?}", sim.model.alerts) };
    assert_eq!((alert.condition, alert.posts, alert.authors), (ConditionKind::Share, 6, 6));
    assert_eq!((alert.at, alert.post.as_ref().unwrap().as_str()), (at(17 * MINUTE), "w720-5"));
    assert!(matches!(alert.figures, Some(Figures::Share { of: 18, share }) if (share - 6.0 / 18.0).abs() < 1e-9));
    let said = "33 % of what was said within 1 h (above 30 %): 6 of 18 posts, by 6 of 18 authors; \
                the newest matched “waiting”; rule p.waiting 0+";
    assert!(alert.why.starts_with(said), "{}", alert.why);
    assert_eq!(sim.model.posts.len(), 6);
    let incident = sim.incident();
    assert_eq!((incident.posts, incident.authors), (6, 6));
    assert!(sim.model.sightings.iter().all(|sighting| sighting.incident.as_ref() == Some(&incident.id)));
}

#[test]
fn a_post_of_others_can_be_the_one_that_pages_and_leaves_no_trace_of_itself() {
    let mut sim = sim();
    sim.feed_received(waiting(0, 6), None);
    sim.feed_received(others(6 * MINUTE, 4), None);
    let [alert] = &sim.model.alerts[..] else { panic!("{:?}", sim.model.alerts) };
    assert_eq!((alert.at, alert.post.as_ref().unwrap().as_str(), alert.posts), (at(9 * MINUTE), "w0-5", 6));
    assert!(alert.why.starts_with("60 % of what was said within 1 h (above 30 %): 6 of 10 posts"), "{}", alert.why);
    assert_eq!((sim.model.posts.len(), sim.model.sightings.len()), (6, 6));
}

#[test]
fn what_is_no_part_of_the_whole_or_excepted_does_not_count() {
    let mut sim = sim();
    sim.feed_received(others(0, 12), None);
    for n in 0..30 {
        let author = format!("a{n}");
        sim.post(&format!("e{n}"), &author, 13 * MINUTE + n, "waiting for the bus");
        sim.post(&format!("t{n}"), &author, 13 * MINUTE + n, "waiting for the train to St Brigids");
    }
    assert!(sim.model.alerts.is_empty() && sim.model.sightings.is_empty());
    // The excepted ones are of the whole: 7 of 49 are few.
    sim.feed_received(waiting(14 * MINUTE, 7), None);
    assert!(sim.model.alerts.is_empty());
}

#[test]
fn one_loud_author_pages_nobody() {
    let mut sim = sim();
    sim.feed_received(others(0, 12), None);
    for n in 0..600 {
        sim.post(&format!("f{n}"), "flooder", 12 * MINUTE + n, "waiting waiting waiting at St Brigids");
    }
    assert_eq!(sim.model.alerts, []);
    sim.feed_received(waiting(25 * MINUTE, 6), None);
    assert_eq!(sim.model.alerts.len(), 1, "nor does the flood hide the others");
}

#[test]
fn a_reload_keeps_what_was_counted_unless_the_question_is_another() {
    let after = |share: &str| {
        let mut sim = sim();
        sim.feed_received(others(0, 12), None);
        sim.feed_received(waiting(12 * MINUTE, 5), None);
        assert_eq!(sim.model.alerts, []);
        sim.swap_rules(rules(share));
        sim.feed_received(waiting(18 * MINUTE, 1), None);
        sim.model.alerts.len()
    };
    assert_eq!(after(USUAL), 1);
    assert_eq!(after("{ of = '$org', above = 0.20, at_least = 15, within = \"1h\" }"), 1);
    assert_eq!(after("{ of = '$org OR brigid', above = 0.30, at_least = 1, within = \"1h\" }"), 0);
}

#[test]
fn a_restart_and_an_outage_change_no_share() {
    let mut sim = sim();
    sim.connect(None);
    sim.now = at(20 * MINUTE);
    sim.feed(others(0, 12));
    sim.feed(waiting(12 * MINUTE, 5));
    sim.crash();
    sim.connect(Some(10 * MINUTE));
    // Read again from before the cursor, then hours that nobody has any more.
    sim.feed(waiting(12 * MINUTE, 5));
    sim.now = at(9 * HOUR);
    sim.cut();
    sim.connect(Some(20 * MINUTE));
    sim.feed(waiting(8 * HOUR, 3));
    assert_eq!(sim.model.fired().iter().filter(|(rule, _)| rule.as_str() == "p.waiting").count(), 0);
    // What was missed comes late, from another source.
    let mut late = waiting(18 * MINUTE, 1);
    late.extend(others(8 * HOUR + 4 * MINUTE, 1));
    sim.feed(late);
    let alerts: Vec<_> = sim.model.alerts.iter().filter(|alert| alert.rule.as_str() == "p.waiting").collect();
    assert_eq!(alerts.len(), 1);
    assert_eq!((alerts[0].at, alerts[0].posts), (at(18 * MINUTE), 6));
}

/// A day of posts about us, a changing part of them about waiting, some out of order.
fn stream() -> impl Strategy<Value = Vec<Decoded>> {
    let post = (0i64..6 * HOUR, 0u8..40, 0u8..10);
    let hot = (0i64..6 * HOUR, 5u8..20);
    (prop::collection::vec(post, 40..160), prop::collection::vec(hot, 1..4), prop::collection::vec(0usize..999, 0..20))
        .prop_map(|(posts, hot, swaps)| {
            let mut frames = Vec::new();
            for (n, (second, author, kind)) in posts.into_iter().enumerate() {
                let text = match kind {
                    0 => "waiting at St Brigids",
                    1 => "waiting for nobody",
                    _ => "St Brigids is big",
                };
                frames.push(posted(&format!("p{n}"), &format!("author {author}"), second, text));
            }
            for (from, many) in hot {
                for n in 0..i64::from(many) {
                    let id = format!("h{from}-{n}");
                    frames.push(posted(&id, &format!("h {}", n % 15), from + n * 61, "a queue at St Brigids"));
                }
            }
            frames.sort_by_key(|frame| frame.cursor);
            for swap in swaps {
                let place = swap % (frames.len() - 1);
                let (first, second) = frames.split_at_mut(place + 1);
                std::mem::swap(&mut first[place].event, &mut second[0].event);
            }
            frames
        })
}

fn told(sim: &Sim) -> Vec<String> {
    let alerts = sim.model.alerts.iter();
    alerts.map(|alert| format!("{} {:?} {:?} {}", alert.at, alert.post, alert.figures, alert.why)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Invariant 4.
    #[test]
    fn any_batching_finds_the_same_shares(frames in stream(), sizes in prop::collection::vec(1usize..50, 1..20)) {
        let (mut whole, mut parts) = (sim(), sim());
        whole.feed_received(frames.clone(), None);
        parts.feed_in_batches(&frames, &sizes);
        prop_assert_eq!(told(&whole), told(&parts));
        prop_assert_eq!(whole.model.volumes, parts.model.volumes);
    }

    /// Invariant 3: kill the process anywhere, read again from before the cursor.
    #[test]
    fn a_crash_moves_no_share(frames in stream(), crashes in prop::collection::vec(1usize..40, 1..12)) {
        let (mut steady, mut shaken) = (sim(), sim());
        steady.live_through(&frames, &[], Duration::from_mins(5));
        shaken.live_through(&frames, &crashes, Duration::from_mins(5));
        prop_assert_eq!(told(&steady), told(&shaken));
        prop_assert_eq!(steady.model.volumes, shaken.model.volumes);
    }
}
