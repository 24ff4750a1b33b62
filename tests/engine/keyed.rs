//! Rules that count by key, over hours and weeks of virtual time: each link, place or author by
//! itself, whatever strangers invent.

use std::time::Duration;

use crate::support::sim::{Sim, at, authors, frame, minutes, post, posted, route, rule};
use proptest::prelude::*;
use stormbell::domain::commit::Erasure;
use stormbell::domain::condition::by::{By, Entries};
use stormbell::domain::condition::{Condition, Count, Distinct, Spike};
use stormbell::domain::engine::Input;
use stormbell::domain::erasure::Account;
use stormbell::domain::event::{Decoded, SourceEvent};
use stormbell::domain::id::{AuthorId, PostId};
use stormbell::domain::incident::{Alert, ConditionKind, Severity};
use stormbell::domain::organization::Organization;
use stormbell::domain::query::Lists;
use stormbell::domain::rule::Rule;
use stormbell::domain::volume::Promise;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

fn by(by: By, condition: Condition) -> Rule {
    Rule { by: Some(by), ..rule("leak.link", "leak", Severity::High, "$org", condition) }
}

fn spike() -> Condition {
    Condition::Spike(Spike { false_alarms: Promise::MONTHLY, at_least: 5, authors: 3 })
}

fn sim(rule: Rule) -> Sim {
    Sim::new(vec![rule], vec![route(&[], &["leak"], &[(&["pager"], None)], None)])
}

fn about(link: &str) -> String {
    format!("St Brigids is in the news https://{link}")
}

fn keys(sim: &Sim) -> Vec<&str> {
    sim.model.alerts.iter().filter_map(|alert| alert.key.as_deref()).collect()
}

fn seconds(alert: &Alert) -> i64 {
    (alert.at.micros() - at(0).micros()) / 1_000_000
}

#[test]
fn three_people_on_one_link_are_told_apart_from_three_on_three() {
    let mut sim = sim(by(By::Link, authors(3, 10)));
    for (post, link) in ["a.example/1", "b.example/2", "c.example/3"].into_iter().enumerate() {
        sim.post(&format!("p{post}"), &format!("author {post}"), 0, &about(link));
    }
    assert_eq!(keys(&sim), [""; 0]);
    sim.post("q1", "ann", 30, &about("example.org/leak?utm=ann"));
    sim.post("q2", "bob", 60, &about("www.Example.org/leak/#top"));
    sim.post("none", "dan", 70, "St Brigids is in the news");
    sim.post("q3", "eve", 80, "St Brigids again: http://example.org/leak.");
    assert_eq!(keys(&sim), ["example.org/leak"]);
    let alert = &sim.model.alerts[0];
    assert_eq!((alert.condition, alert.posts, alert.authors), (ConditionKind::Count, 3, 3));
    assert!(alert.why.starts_with("3 authors within 10 min on ‘example[.]org/leak’ (at least 3)"), "{}", alert.why);
    let decided: Vec<&str> = alert.decided_by.iter().map(PostId::as_str).collect();
    assert_eq!(decided, ["q1", "q2", "q3"]);
    assert_eq!((sim.incident().posts, sim.incident().authors), (3, 3), "the others are about other links");
}

#[test]
fn an_account_that_is_erased_stands_in_no_reason_of_what_it_was_counted_by() {
    let mut sim = sim(by(By::Author, authors(1, 10)));
    let author = AuthorId::from("did:plc:ann");
    let mut post = post("1", author.as_str(), at(0), &about("a.example/1"));
    post.author.handle = Some("ann.‘example’".to_owned());
    sim.feed(vec![frame(Ok(SourceEvent::Post(Box::new(post))), at(0))]);
    let why = |sim: &Sim| sim.engine.incidents().next().unwrap().why.clone();
    assert_eq!((keys(&sim), why(&sim).contains("‘ann[.]'example'’")), (vec!["did:plc:ann"], true), "{}", why(&sim));
    let account = Account::new(&author, &["ann.‘example’".to_owned()]);
    assert!(account.is_counted_as(keys(&sim)[0]));
    sim.step(Input::Erase(Erasure::Author(author), Some(account)));
    assert!(why(&sim).contains("‘[erased]’") && !why(&sim).contains("ann"), "{}", why(&sim));
}

#[test]
fn a_post_with_two_links_counts_under_each_and_may_fire_both() {
    let mut sim = sim(by(By::Link, authors(2, 10)));
    let both = format!("{} https://b.example/y", about("a.example/x"));
    sim.post("1", "ann", 0, &both);
    sim.post("2", "bob", 10, &both);
    assert_eq!(keys(&sim), ["a.example/x", "b.example/y"]);
    assert_eq!(sim.incident().posts, 2, "one incident, each post once");
    sim.post("3", "eve", 20, &both);
    assert_eq!(sim.model.alerts.len(), 2, "told once");
}

#[test]
fn each_place_has_its_own_count() {
    let mut organization = Organization::example();
    organization.places.push("North Tower".to_owned());
    let places = By::List(Entries::of(Lists::of(&organization).get("places").unwrap()));
    let mut sim = sim(by(places, authors(2, 10)));
    sim.post("1", "ann", 0, "St Brigids, the Harbor Street campus is flooded");
    sim.post("2", "bob", 10, "St Brigids, water in the north tower");
    assert_eq!(keys(&sim), [""; 0]);
    sim.post("3", "eve", 20, "North Tower’s lobby at St Brigids is under water");
    assert_eq!(keys(&sim), ["North Tower"]);
    assert!(sim.model.alerts[0].why.contains("on “North Tower”"), "{}", sim.model.alerts[0].why);
}

#[test]
fn a_late_post_counts_under_its_key_where_it_belongs() {
    let mut sim = sim(by(By::Tag, authors(2, 10)));
    sim.post("1", "ann", 0, "St Brigids #leak");
    sim.post("2", "bob", 5 * HOUR, "St Brigids #other");
    sim.feed(vec![posted("3", "eve", 90, "St Brigids #Leak")]);
    assert_eq!(keys(&sim), ["#leak"]);
}

#[test]
fn the_same_question_goes_on_after_a_reload_and_another_key_begins_anew() {
    let fires_after = |changed: Rule| {
        let mut sim = sim(by(By::Link, authors(3, 10)));
        sim.post("1", "ann", 0, &about("a.example/x"));
        sim.post("2", "bob", 10, &about("a.example/x"));
        sim.swap_rules(vec![changed]);
        sim.post("3", "eve", 20, &about("a.example/x"));
        sim.model.alerts.len()
    };
    assert_eq!(fires_after(by(By::Link, authors(3, 20))), 1, "other numbers keep what was counted");
    assert_eq!(fires_after(by(By::Source, authors(3, 10))), 0);
    let one = |id: &str| Rule { by: None, ..rule(id, "leak", Severity::High, "$org", authors(3, 10)) };
    assert_eq!(fires_after(one("leak.link")), 0, "what was counted by key is not what is counted in all");
}

/// One author, hundreds of invented links a minute, through a restart.
#[test]
fn a_flood_of_invented_links_hides_no_real_one() {
    let mut sim = sim(by(By::Link, authors(4, 60)));
    for (post, author) in ["ann", "bob", "eve"].into_iter().enumerate() {
        sim.post(&format!("real {post}"), author, i64::try_from(post).unwrap(), &about("a.example/real"));
    }
    let junk = |n: i64| posted(&format!("junk {n}"), "flooder", 10 + n / 5, &about(&format!("junk.example/{n}")));
    for batch in 0..12 {
        sim.feed((batch * 250..(batch + 1) * 250).map(junk).collect());
        if batch == 8 {
            sim.crash();
        }
    }
    let state = sim.model.volumes.values().map(|volume| volume.state.len()).sum::<usize>();
    assert!(state < 80_000, "{state} bytes");
    assert_eq!(keys(&sim), [""; 0]);
    sim.post("real 4", "dan", 700, &about("a.example/real"));
    assert_eq!(keys(&sim), ["a.example/real"]);
}

/// A frame each hour, so that time passes.
fn silence(sim: &mut Sim, until: i64) {
    sim.connect(None);
    sim.now = at(0);
    sim.feed(vec![posted("nothing", "nobody", 0, "weather")]);
    sim.now = at(until);
}

fn burst(name: &str, link: &str, from: i64, posts: i64, within: i64) -> Vec<Decoded> {
    let one =
        |n| posted(&format!("{name}{n}"), &format!("{name} witness {n}"), from + n * within / posts, &about(link));
    (0..posts).map(one).collect()
}

#[test]
fn eight_people_on_one_link_are_unusual_and_eight_on_eight_are_not() {
    let run = |links: i64| {
        let mut sim = sim(by(By::Link, spike()));
        silence(&mut sim, 28 * DAY);
        for (n, mut post) in (0i64..).zip(burst("b", "x", 28 * DAY, 8, 500)) {
            if let Ok(SourceEvent::Post(post)) = &mut post.event {
                post.text = about(&format!("example.org/{}", n % links));
            }
            sim.feed(vec![post]);
        }
        sim
    };
    assert_eq!(keys(&run(8)), [""; 0]);
    let sim = run(1);
    assert_eq!(keys(&sim), ["example.org/0"]);
    let alert = &sim.model.alerts[0];
    assert!(alert.why.starts_with("on ‘example[.]org/0’: ") && alert.why.contains(" posts by "), "{}", alert.why);
    assert!(alert.volume.unwrap().expected < 0.1, "{alert:?}");
}

/// A busy key and a quiet one: the same burst is usual for one and news of the other.
#[test]
fn what_is_usual_is_usual_for_a_key() {
    let mut sim = sim(by(By::Link, spike()));
    let busy = |n: i64| posted(&format!("s{n}"), &format!("reader {n}"), n * 300, &about("busy.example/a"));
    let quiet = |n: i64| posted(&format!("t{n}"), &format!("reader t{n}"), n * DAY + 7, &about("quiet.example/b"));
    let mut frames: Vec<Decoded> = (0..14 * 24 * 12).map(busy).chain((0..14).map(quiet)).collect();
    frames.sort_by_key(|frame| frame.cursor);
    sim.feed_received(frames, None);
    assert_eq!(keys(&sim), [""; 0]);
    let mut frames = burst("b", "busy.example/a", 14 * DAY, 9, 1500);
    frames.extend(burst("q", "quiet.example/b", 14 * DAY, 9, 580));
    frames.sort_by_key(|frame| frame.cursor);
    sim.feed_received(frames, None);
    assert_eq!(keys(&sim), ["quiet.example/b"]);
}

#[test]
fn invented_links_do_not_take_the_place_of_followed_ones() {
    let mut sim = sim(by(By::Link, spike()));
    let real = |n: i64| posted(&format!("s{n}"), &format!("reader {n}"), n * 3 * HOUR, &about("busy.example/a"));
    sim.feed_received((0..14 * 8).map(real).collect(), None);
    let junk = |n: i64| posted(&format!("j{n}"), "flooder", 14 * DAY + n, &about(&format!("junk.example/{}", n % 900)));
    sim.feed_received((0..2700).map(junk).collect(), None);
    // One row of the rule, 32 of keys, and since when all is kept.
    assert!(sim.model.volumes.len() <= 34, "{}", sim.model.volumes.len());
    // Usual for the busy one, which is still known to be busy; eight in ten minutes on a new one are not.
    sim.feed_received(burst("u", "busy.example/a", 14 * DAY + HOUR, 5, 3 * HOUR), None);
    assert_eq!(keys(&sim), [""; 0]);
    sim.feed_received(burst("n", "new.example/c", 14 * DAY + 5 * HOUR, 8, 500), None);
    assert_eq!(keys(&sim), ["new.example/c"]);
    assert_eq!(seconds(&sim.model.alerts[0]) / HOUR, 14 * 24 + 5);
}

/// Twice as many as are followed, each with a post an hour: none of it is unusual.
#[test]
fn keys_that_take_turns_do_not_alarm() {
    let mut sim = sim(by(By::Link, spike()));
    let turn = |n: i64| {
        let link = format!("turn.example/{}", n * 37 % 64);
        posted(&format!("s{n}"), &format!("reader {}", n % 5000), n * HOUR / 64, &about(&link))
    };
    sim.feed_received((0..64 * 24 * 4).map(turn).collect(), None);
    assert_eq!(keys(&sim), [""; 0]);
}

/// Days of talk about a few links, with bursts and floods, some of it out of order.
fn stream() -> impl Strategy<Value = Vec<Decoded>> {
    let post = (0i64..900, 0u8..40, 0u16..60, 0u8..10);
    prop::collection::vec(post, 30..160).prop_map(|steps| {
        let mut second = 0;
        let mut frames: Vec<Decoded> = Vec::new();
        for (number, (pause, author, link, chance)) in steps.into_iter().enumerate() {
            second += if chance == 0 { pause * 60 } else { pause / 6 };
            // Few links are common, many are rare.
            let text = format!("{} #tag{}", about(&format!("l.example/{}", link * link / 400)), link % 3);
            frames.push(posted(&format!("p{number}"), &format!("author {}", author % (chance + 2)), second, &text));
            if chance > 7 && number > 2 {
                // Posts overtake each other; their places in the stream do not.
                let mut pair = frames.iter_mut().skip(number - 1);
                if let (Some(first), Some(second)) = (pair.next(), pair.next()) {
                    std::mem::swap(&mut first.event, &mut second.event);
                }
            }
        }
        frames
    })
}

fn rules() -> Sim {
    let count = |at_least, distinct| Condition::Count(Count { at_least, distinct, within: minutes(20) });
    let named =
        |id: &str, by: By, condition| Rule { by: Some(by), ..rule(id, "leak", Severity::High, "$org", condition) };
    let rules = vec![
        named("leak.links", By::Link, count(3, Distinct::Author)),
        named("leak.tags", By::Tag, count(6, Distinct::Post)),
        named("leak.authors", By::Author, count(4, Distinct::Post)),
        named(
            "leak.spike",
            By::Link,
            Condition::Spike(Spike { false_alarms: Promise::MONTHLY, at_least: 5, authors: 2 }),
        ),
    ];
    Sim::new(rules, Vec::new())
}

fn told(sim: &Sim) -> Vec<String> {
    let one = |alert: &Alert| format!("{} {} {:?} {:?} {}", alert.at, alert.rule, alert.post, alert.key, alert.why);
    sim.model.alerts.iter().map(one).collect()
}

/// `STORMBELL_CASES=300 cargo test --test engine keyed::a_crash` kills the engine some thousand times.
fn cases() -> u32 {
    std::env::var("STORMBELL_CASES").map_or(32, |cases| cases.parse().expect("STORMBELL_CASES is a number"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    /// Invariant 4.
    #[test]
    fn any_batching_finds_the_same_keys(frames in stream(), sizes in prop::collection::vec(1usize..30, 1..20)) {
        let (mut whole, mut parts) = (rules(), rules());
        whole.feed_received(frames.clone(), None);
        parts.feed_in_batches(&frames, &sizes);
        prop_assert_eq!(told(&whole), told(&parts));
        prop_assert!(whole.model.volumes == parts.model.volumes);
    }

    /// Invariant 3: kill the process anywhere, read again from before the cursor.
    #[test]
    fn a_crash_moves_no_alert(frames in stream(), crashes in prop::collection::vec(1usize..40, 1..12)) {
        let (mut steady, mut shaken) = (rules(), rules());
        steady.live_through(&frames, &[], Duration::from_secs(5));
        shaken.live_through(&frames, &crashes, Duration::from_secs(5));
        prop_assert_eq!(told(&steady), told(&shaken));
        prop_assert!(steady.model.volumes == shaken.model.volumes);
    }
}
