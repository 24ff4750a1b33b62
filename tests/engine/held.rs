//! `for` and `keep_firing_for`: from the rule file to the alert, in virtual time.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::support::sim::{Sim, ZERO, posted, route};
use proptest::prelude::*;
use stormbell::config::rules::parse_rules;
use stormbell::domain::diagnostic::SourceText;
use stormbell::domain::engine::Input;
use stormbell::domain::event::{Decoded, DownReason, Joint};
use stormbell::domain::id::SourceName;
use stormbell::domain::incident::IncidentState;
use stormbell::domain::organization::Organization;
use stormbell::domain::rule::{Rule, compile};

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;

fn read(condition: &str) -> Result<Vec<Rule>, String> {
    let text = format!(
        "schema = 1\n[pack]\nname = \"p\"\n[[rule]]\nid = \"p.queue\"\ntitle = \"Queue\"\nseverity = \"high\"\n\
         query = 'queue'\n{condition}\n"
    );
    let source = Arc::new(SourceText { name: "p.toml".to_owned(), text });
    let (file, findings) = parse_rules(&source);
    if let [first, ..] = &findings[..] {
        return Err(format!("{} {}; {}", first.code, first.message, first.help.clone().unwrap_or_default()));
    }
    Ok(compile(&file.unwrap(), &Organization::example()).0)
}

fn rules(condition: &str) -> Vec<Rule> {
    read(condition).unwrap()
}

fn sim(condition: &str) -> Sim {
    let mut sim = Sim::new(rules(condition), vec![route(&[], &["p"], &[(&["pager"], None)], None)]);
    sim.connect(None);
    sim
}

/// Seconds at which the rule's alerts are.
fn alerts(sim: &Sim) -> Vec<i64> {
    let of_rule = sim.model.alerts.iter().filter(|alert| alert.rule.as_str() == "p.queue");
    of_rule.map(|alert| (alert.at.micros() - ZERO.micros()) / 1_000_000).collect()
}

fn queue(name: &str, seconds: i64) -> Decoded {
    posted(name, &format!("author {name}"), seconds, "a queue at St Brigids")
}

const COUNT: &str = r#"count = { at_least = 3, within = "10m", for = "5m" }"#;

#[test]
fn a_count_pages_once_it_has_held_and_the_clock_says_so_when_nobody_writes() {
    let mut sim = sim(COUNT);
    for (name, at) in [("a", 0), ("b", 10), ("c", 20)] {
        sim.post(name, name, at, "a queue at St Brigids");
    }
    sim.run_until(5 * MINUTE + 19);
    assert_eq!((alerts(&sim), sim.model.outbox.len()), (vec![], 0), "it delays the page");
    sim.run_until(5 * MINUTE + 20);
    assert_eq!((alerts(&sim), sim.model.outbox.len()), (vec![5 * MINUTE + 20], 1));
    let why = &sim.model.alerts[0].why;
    let said = "3 posts within 10 min (at least 3), 1 story in all; so without interruption for 5 min, since 2026-11-22T10:00:20Z; \
                rule p.queue 0+";
    assert!(why.starts_with(said), "{why}");
    let incident = sim.incident();
    assert_eq!((incident.posts, incident.authors), (3, 3));
    assert!(sim.model.sightings.iter().all(|one| one.incident.as_ref() == Some(&incident.id)));
    assert!(sim.model.sightings.iter().all(|one| one.source.as_str() == "stream"));
    sim.run_until(2 * HOUR);
    assert_eq!(alerts(&sim).len(), 1);
}

#[test]
fn what_does_not_hold_pages_nobody_and_begins_anew() {
    let mut sim = sim(r#"count = { at_least = 3, within = "10m", for = "10m" }"#);
    for (name, at) in [("a", 0), ("b", 10), ("c", 20)] {
        sim.post(name, name, at, "a queue at St Brigids");
    }
    sim.run_until(2 * HOUR);
    assert_eq!(alerts(&sim), [0; 0], "three posts are within ten minutes for less than ten minutes");
    for post in 0..6 {
        sim.post(&format!("d{post}"), &format!("d{post}"), 2 * HOUR + post * 3 * MINUTE, "a queue at St Brigids");
        sim.run_until(2 * HOUR + (post + 1) * 3 * MINUTE - 1);
    }
    assert_eq!(alerts(&sim), [2 * HOUR + 16 * MINUTE], "true since the third post");
}

#[test]
fn what_nobody_saw_takes_nothing_from_a_count() {
    for lost in [true, false] {
        let mut sim = sim(COUNT);
        for (name, at) in [("a", 0), ("b", 10), ("c", 20)] {
            sim.post(name, name, at, "a queue at St Brigids");
        }
        sim.run_until(MINUTE);
        sim.cut();
        sim.run_until(5 * MINUTE + 20);
        assert_eq!(alerts(&sim), [5 * MINUTE + 20], "more posts could only prolong it");
        sim.run_until(8 * MINUTE);
        if lost {
            sim.connect(None);
            sim.feed(vec![posted("later", "x", 8 * MINUTE, "nothing of interest")]);
        } else {
            sim.connect(Some(20));
            sim.feed(vec![queue("c", 20), queue("d", 30), posted("later", "x", 8 * MINUTE, "nothing of interest")]);
        }
        sim.run_until(HOUR);
        assert_eq!(alerts(&sim), [5 * MINUTE + 20], "once");
    }
}

#[test]
fn a_source_that_is_blind_for_weeks_keeps_no_page_back() {
    let share = r#"share = { of = '$org', above = 0.30, at_least = 3, within = "30m", for = "10m" }"#;
    for (condition, told, says) in [(COUNT, 5 * MINUTE + 20, ""), (share, 20 * MINUTE + 20, "nobody sees dead")] {
        let mut sim = sim(condition);
        let dead = || SourceName::from("dead");
        sim.step(Input::Connected { source: dead(), joint: Joint::Live });
        sim.step(Input::Down { source: dead(), reason: DownReason::Closed });
        for (name, at) in [("a", 0), ("b", 10), ("c", 20)] {
            sim.post(name, name, at, "a queue at St Brigids");
        }
        sim.run_until(told - 1);
        assert_eq!(alerts(&sim), [0; 0], "{condition}");
        sim.run_until(told);
        assert_eq!(alerts(&sim).len(), 1, "{condition}");
        let alert = sim.model.alerts.iter().find(|alert| alert.rule.as_str() == "p.queue").unwrap();
        assert!(alert.why.contains(says), "{}", alert.why);
        sim.run_until(2 * HOUR);
        assert_eq!(alerts(&sim).len(), 1, "{condition}: once");
    }
}

#[test]
fn a_share_waits_for_what_is_read_up_and_is_told_late_when_that_is_lost() {
    let after_outage = |resumed_from: Option<i64>, read: Vec<Decoded>| {
        let mut sim = sim(r#"share = { of = '$org', above = 0.30, at_least = 3, within = "12m", for = "10m" }"#);
        for (name, at) in [("a", 0), ("b", 10), ("c", 20)] {
            sim.post(name, name, at, "a queue at St Brigids");
        }
        sim.run_until(MINUTE);
        sim.cut();
        sim.run_until(19 * MINUTE);
        assert_eq!(alerts(&sim), [0; 0], "others may have spoken meanwhile");
        sim.connect(resumed_from);
        sim.feed(read);
        sim.run_until(20 * MINUTE + 19);
        assert_eq!(alerts(&sim), [0; 0]);
        sim.run_until(2 * HOUR);
        sim
    };
    let later = || posted("later", "x", 19 * MINUTE, "nothing of interest");
    let lost = after_outage(None, vec![later()]);
    assert_eq!(alerts(&lost), [10 * MINUTE + 20], "late, and not never");
    let why = &lost.model.alerts.iter().find(|alert| alert.rule.as_str() == "p.queue").unwrap().why;
    assert!(why.contains("as far as was seen: part of that time was lost"), "{why}");
    let others = (0..20).map(|n| posted(&format!("o{n}"), &format!("other {n}"), 90 + n, "St Brigids is big"));
    let read_up = after_outage(Some(20), [queue("c", 20)].into_iter().chain(others).chain([later()]).collect());
    assert_eq!(alerts(&read_up), [0; 0], "others did speak");
}

#[test]
fn a_share_whose_evidence_was_forgotten_in_a_flood_is_told_all_the_same() {
    let mut sim = sim(r#"share = { of = '$org', above = 0.30, at_least = 3, within = "30m", for = "10m" }"#);
    let flood =
        (0..700).map(|n| posted(&format!("o{n}"), &format!("other {n}"), 11 * MINUTE + n / 10, "St Brigids is big"));
    let posts = [("a", 0), ("b", 10), ("c", 20)].map(|(name, at)| queue(name, at));
    sim.now = crate::support::sim::at(13 * MINUTE);
    sim.feed(posts.into_iter().chain(flood).collect());
    sim.run_until(14 * MINUTE);
    assert_eq!(alerts(&sim), [10 * MINUTE + 20]);
    let why = &sim.model.alerts.iter().find(|alert| alert.rule.as_str() == "p.queue").unwrap().why;
    assert!(why.starts_with("it was so; so without interruption for 10 min"), "{why}");
}

#[test]
fn what_a_flood_crowds_out_is_counted_as_without_for() {
    let crowded_out = |condition: &str| -> u64 {
        let mut sim = sim(condition);
        let flood = (0..3000).map(|n| posted(&format!("f{n}"), "loud", n / 10, "a queue at St Brigids"));
        let batch = sim.batch(flood.collect(), Some(sim.now));
        sim.engine.step(Input::Batch(batch), sim.now).commit.crowded_out.values().sum()
    };
    let lasting = crowded_out(COUNT);
    assert!(lasting > 0);
    assert_eq!(lasting, crowded_out(r#"count = { at_least = 3, within = "10m" }"#));
}

#[test]
fn a_clock_that_is_set_makes_nothing_hold_for_longer() {
    for to in [5 * HOUR, -5 * HOUR] {
        let mut sim = sim(r#"share = { of = '$org', above = 0.30, at_least = 3, within = "30m", for = "10m" }"#);
        for (name, at) in [("a", 0), ("b", 10), ("c", 20)] {
            sim.feed(vec![queue(name, at)]);
        }
        sim.run_until(30);
        sim.set_clock(to);
        sim.run_until(to + MINUTE);
        let others = |n: i64| posted(&format!("o{n}"), &format!("other {n}"), 90 + n, "St Brigids is big");
        assert_eq!(alerts(&sim), [0; 0], "{to}");
        sim.feed((0..20).map(others).collect());
        sim.run_until(to + HOUR);
        assert_eq!(alerts(&sim), [0; 0], "{to}: after a minute and a half it was not so any more");
    }
    let mut sim = sim(COUNT);
    for (name, at) in [("a", 0), ("b", 10), ("c", 20)] {
        sim.post(name, name, at, "a queue at St Brigids");
    }
    sim.set_clock(-5 * HOUR);
    sim.feed(vec![posted("x", "x", 6 * MINUTE, "nothing of interest")]);
    sim.step(Input::Tick);
    sim.run_until(-5 * HOUR + 2);
    assert_eq!(alerts(&sim), [5 * MINUTE + 20], "the stream's own time is enough");
}

#[test]
fn what_flaps_is_one_firing_and_its_incident_stays_open_until_it_is_over() {
    for (keep, many) in [("", 4), (r#", keep_firing_for = "1h""#, 1)] {
        let mut sim = sim(&format!(r#"count = {{ at_least = 2, within = "10m"{keep} }}"#));
        for round in 0..4 {
            for post in 0..2 {
                sim.post(
                    &format!("{round}-{post}"),
                    &format!("{post}"),
                    round * 40 * MINUTE + post,
                    "a queue at St Brigids",
                );
            }
            sim.run_until((round + 1) * 40 * MINUTE - 1);
        }
        assert_eq!(alerts(&sim).len(), many, "{keep}");
        assert_eq!(alerts(&sim)[0], 1, "at once");
        // The last pair was true for ten minutes, and the usual quiet time is six hours.
        let over = 2 * HOUR + 1 + 6 * HOUR + if keep.is_empty() { 0 } else { 10 * MINUTE - 1 + HOUR };
        sim.run_until(over);
        assert_ne!(sim.incident().state, IncidentState::Resolved, "{keep}");
        sim.run_until(over + 2);
        assert_eq!(sim.incident().state, IncidentState::Resolved, "{keep}");
    }
}

#[test]
fn a_share_pages_once_it_has_held() {
    let mut sim = sim(r#"share = { of = '$org', above = 0.30, at_least = 3, within = "30m", for = "10m" }"#);
    let other = |n: i64, at| posted(&format!("o{n}"), &format!("other {n}"), at, "St Brigids is big");
    for (name, at) in [("a", 0), ("b", 10), ("c", 20)] {
        sim.feed(vec![queue(name, at)]);
    }
    for n in 0..10 {
        sim.feed(vec![other(n, 5 * MINUTE + n)]);
    }
    sim.now = crate::support::sim::at(6 * MINUTE);
    sim.run_until(40 * MINUTE);
    assert_eq!(alerts(&sim), [0; 0], "others spoke in between");
    for (n, at) in [(0, 0), (1, 10), (2, 20), (3, 4 * MINUTE)] {
        sim.feed(vec![queue(&format!("d{n}"), HOUR + at)]);
    }
    sim.run_until(HOUR + 20 * MINUTE);
    assert_eq!(alerts(&sim), [HOUR + 20 + 10 * MINUTE]);
    let why = &sim.model.alerts[0].why;
    let said = "100 % of what was said within 30 min (above 30 %): 4 of 4 posts, by 4 of 4 authors; so without interruption for \
                10 min, since 2026-11-22T11:00:20Z; rule p.queue 0+";
    assert!(why.starts_with(said), "{why}");
}

#[test]
fn a_silence_that_is_interrupted_is_one_firing() {
    for (keep, many) in [("", 3), (r#", keep_firing_for = "1h""#, 1)] {
        let mut sim = sim(&format!(r#"quiet = {{ for = "30m"{keep} }}"#));
        for post in 0..4 {
            sim.post(&format!("{post}"), "a", post * 40 * MINUTE, "a queue at St Brigids");
            let open = sim.engine.open_incidents();
            assert!(sim.model.incidents.values().all(|one| one.posts == 0), "what ends a silence is no part of it");
            assert_eq!(open, usize::from(post > 0 && many == 1), "{keep}: over with the next post, unless it is kept");
            if post < 3 {
                sim.run_until((post + 1) * 40 * MINUTE - 1);
            }
        }
        assert_eq!(alerts(&sim).len(), many, "{keep}");
        for post in 4..20 {
            sim.post(&format!("{post}"), "a", (post + 8) * 10 * MINUTE, "a queue at St Brigids");
            sim.run_until((post + 8) * 10 * MINUTE);
        }
        assert_eq!((sim.engine.open_incidents(), alerts(&sim).len()), (0, many), "{keep}: an hour later it is over");
    }
}

#[test]
fn a_reload_keeps_what_held_unless_the_question_is_another() {
    let after = |condition: &str| {
        let mut sim = sim(COUNT);
        for (name, at) in [("a", 0), ("b", 10), ("c", 20)] {
            sim.post(name, name, at, "a queue at St Brigids");
        }
        sim.run_until(4 * MINUTE);
        sim.swap_rules(rules(condition));
        sim.run_until(HOUR);
        alerts(&sim)
    };
    assert_eq!(after(COUNT), [5 * MINUTE + 20]);
    assert_eq!(after(r#"count = { at_least = 3, within = "10m", for = "7m" }"#), [7 * MINUTE + 20]);
    assert_eq!(after(r#"count = { at_least = 3, within = "10m", for = "2m" }"#), [2 * MINUTE + 20], "now at once");
    assert_eq!(after(r#"count = { at_least = 2, within = "10m", for = "7m" }"#), [0; 0]);
    assert_eq!(after(r#"count = { at_least = 3, within = "10m" }"#), [0; 0]);
}

#[test]
fn it_is_refused_where_nothing_lasts_and_says_what_to_write() {
    let told = [
        r#"for = "10m""#,
        r#"keep_firing_for = "10m""#,
        "for = \"10m\"\ncount = { at_least = 2, within = \"10m\" }",
        "for = \"10m\"\nquiet = { for = \"10m\" }",
        "keep_firing_for = \"10m\"\nquiet = { for = \"10m\" }",
        r#"spike = { for = "10m" }"#,
        r#"new_term = { within = "1h", keep_firing_for = "10m" }"#,
        r#"count = { at_least = 2, within = "10m", for = "10m", by = "link" }"#,
        r#"share = { of = "a", above = 0.3, at_least = 5, within = "10m", for = "31d" }"#,
    ];
    let told: Vec<String> = told.iter().map(|text| format!("{text}\n    {}\n", read(text).unwrap_err())).collect();
    insta::with_settings!({ snapshot_path => "../golden", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("for-refused", told.concat());
    });
    assert_ne!(rules(COUNT)[0].version, rules(r#"count = { at_least = 3, within = "10m", for = "6m" }"#)[0].version);
}

/// Second by second: how many posts are in the window, for how long have they been enough, does it count as firing?
fn naive(posts: &[i64], (at_least, within): (usize, i64), lasts: i64, keep: i64, end: i64) -> Vec<i64> {
    let (mut since, mut firing_until, mut goes_on, mut alerts) = (None, None, false, Vec::new());
    for second in 0..=end {
        let many = posts.iter().filter(|at| (second - within + 1..=second).contains(*at)).count();
        if many < at_least {
            since = None;
            continue;
        }
        if since.is_none() {
            goes_on = firing_until.is_some_and(|until| second <= until);
        }
        let began = *since.get_or_insert(second);
        if !goes_on && second - began >= lasts {
            alerts.push(second);
            goes_on = true;
        }
        if goes_on {
            firing_until = Some(second + 1 + keep.max(within));
        }
    }
    alerts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn alerts_are_those_of_a_second_by_second_account_through_kills_and_in_any_batches(
        times in prop::collection::btree_set(0i64..1500, 1..40),
        (at_least, within, lasts, keep) in (1usize..4, 20i64..90, 0i64..90, 0i64..300),
        crashes in prop::collection::vec(0usize..20, 0..4),
        sizes in prop::collection::vec(1usize..9, 1..4),
    ) {
        let text = |key: &str, seconds: i64| if seconds == 0 { String::new() } else { format!(r#", {key} = "{seconds}s""#) };
        let (lasting, keeping) = (text("for", lasts), text("keep_firing_for", keep));
        let condition = format!(r#"count = {{ at_least = {at_least}, within = "{within}s"{lasting}{keeping} }}"#);
        let posts: Vec<i64> = times.into_iter().collect();
        let end = 2500;
        let mut frames: Vec<Decoded> = posts.iter().map(|at| queue(&format!("p{at}"), *at)).collect();
        // Time passes: frames come all the while that are no posts of the rule.
        let others = (0..=end).filter(|second| !posts.contains(second));
        frames.extend(others.map(|at| posted(&format!("o{at}"), "other", at, "nothing of interest")));
        frames.sort_by_key(|frame| frame.cursor);
        let expected = naive(&posts, (at_least, within), lasts, keep, end - 1);

        let mut recorded = sim(&condition);
        recorded.feed_in_batches(&frames, &sizes);
        prop_assert_eq!(&alerts(&recorded), &expected, "{}", condition);

        let mut killed = sim(&condition);
        let crashes: Vec<usize> = crashes.iter().map(|place| place * 50).collect();
        killed.live_through(&frames, &crashes, std::time::Duration::from_secs(5));
        let told: BTreeSet<i64> = alerts(&killed).into_iter().collect();
        prop_assert_eq!(told.into_iter().collect::<Vec<_>>(), expected);
        prop_assert_eq!(alerts(&killed).len(), alerts(&recorded).len(), "each once");
    }
}
