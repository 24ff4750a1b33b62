//! Rules that ask for a new term, from the rule file to the alert, in virtual time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::support::sim::{Sim, at, frame, posted, route};
use proptest::prelude::*;
use stormbell::config::rules::parse_rules;
use stormbell::domain::condition::Figures;
use stormbell::domain::diagnostic::SourceText;
use stormbell::domain::engine::{Batch, Engine, Input, Item};
use stormbell::domain::event::{Decoded, SourceEvent};
use stormbell::domain::incident::ConditionKind;
use stormbell::domain::matcher::Scratch;
use stormbell::domain::organization::Organization;
use stormbell::domain::route::Routes;
use stormbell::domain::rule::{Rule, RuleSet, compile};
use stormbell::domain::time::Timestamp;

const MINUTE: i64 = 60;
const DAY: i64 = 86_400;
const USUAL: &str = "{ within = \"1h\", at_least = 5, authors = 3 }";

/// A rule as a file has it.
fn rules(query: &str, new_term: &str) -> Vec<Rule> {
    let text = format!(
        "schema = 1\n[pack]\nname = \"p\"\n[[rule]]\nid = \"p.talk\"\ntitle = \"New talk\"\nseverity = \"high\"\n\
         query = '{query}'\nnew_term = {new_term}\n"
    );
    let source = Arc::new(SourceText { name: "p.toml".to_owned(), text });
    let (file, findings) = parse_rules(&source);
    assert_eq!(findings, []);
    let (rules, findings) = compile(&file.unwrap(), &Organization::example());
    assert_eq!(findings, []);
    rules
}

fn sim() -> Sim {
    let mut sim = Sim::new(rules("$org", USUAL), vec![route(&[], &["p"], &[(&["pager"], None)], None)]);
    sim.feed_received(vec![posted("first", "nobody", 0, "weather")], None);
    sim
}

/// Ordinary talk: some posts an hour in words that come again.
fn talk(from: i64, to: i64) -> Vec<Decoded> {
    const WORDS: [&str; 8] = ["parking", "nurses", "waiting", "coffee", "flowers", "surgery", "thanks", "visit"];
    let step = 20 * MINUTE;
    let text = |n: i64| {
        let word = |n: i64| WORDS[usize::try_from(n).unwrap() % WORDS.len()];
        format!("St Brigids {} {} {}", word(n), word(n / 3), word(n / 7))
    };
    (from / step..to / step)
        .map(|n| posted(&format!("t{n}"), &format!("reader {}", n % 50), n * step, &text(n)))
        .collect()
}

/// What people write who have seen the same.
fn news(from: i64, many: i64, words: &str) -> Vec<Decoded> {
    let one = |n: i64| {
        let text = format!(
            "{words} {} at St Brigids",
            ["nurses", "surgery", "parking", "flowers"][usize::try_from(n).unwrap() % 4]
        );
        posted(&format!("n{from}-{n}"), &format!("witness {from} {n}"), from + n * MINUTE, &text)
    };
    (0..many).map(one).collect()
}

#[test]
fn a_new_word_pages_with_its_posts_and_says_what_it_is() {
    let mut sim = sim();
    sim.feed_received(talk(0, 9 * DAY), None);
    assert_eq!(sim.model.alerts, []);
    sim.feed_received(news(9 * DAY, 8, "Legionella!"), None);
    let [alert] = &sim.model.alerts[..] else { panic!("{:?}", sim.model.alerts) };
    assert_eq!((alert.condition, alert.posts, alert.authors), (ConditionKind::NewTerm, 5, 5));
    assert_eq!(
        (alert.at, alert.post.as_ref().unwrap().as_str()),
        (at(9 * DAY + 4 * MINUTE), format!("n{}-4", 9 * DAY).as_str())
    );
    assert_eq!(alert.figures, Some(Figures::NewTerm { term: "legionella".to_owned() }));
    let said = "‘legionella’ in 5 posts by 5 authors within 1 h, not seen in this rule's posts in 9 d before; the newest matched ";
    assert!(alert.why.starts_with(said) && alert.why.contains("; rule p.talk 0+"), "{}", alert.why);
    assert_eq!(sim.incident().posts, 8, "those that follow join");
    assert_eq!(sim.incident().why, alert.why);
}

#[test]
fn the_hospitals_names_and_the_rules_own_words_are_no_news() {
    let mut sim = sim();
    sim.feed_received(talk(0, 2 * DAY), None);
    sim.feed_received(news(2 * DAY, 9, "Dr Jane Roe, Harbor Street campus, #StBrigids, @stbrigids.example"), None);
    assert_eq!(sim.model.alerts, []);
    sim.swap_rules(rules("$org (outbreak OR infect*)", USUAL));
    sim.feed_received(vec![posted("clock", "nobody", 2 * DAY + 3600, "weather")], None);
    sim.feed_received(news(4 * DAY, 9, "infections outbreak"), None);
    assert_eq!(sim.model.alerts, []);
    sim.feed_received(news(5 * DAY, 9, "infections outbreak ward"), None);
    assert_eq!(sim.model.alerts.len(), 1);
    assert!(sim.model.alerts[0].why.starts_with("‘ward’ in 5 posts"), "{}", sim.model.alerts[0].why);
}

#[test]
fn other_numbers_keep_what_was_learnt() {
    let mut sim = sim();
    sim.feed_received(talk(0, 2 * DAY), None);
    sim.feed_received(news(2 * DAY, 4, "legionella"), None);
    sim.swap_rules(rules("$org", "{ within = \"2h\", at_least = 6 }"));
    sim.feed_received(news(2 * DAY + 5 * MINUTE, 1, "legionella"), None);
    assert_eq!(sim.model.alerts, []);
    sim.feed_received(news(2 * DAY + 6 * MINUTE, 1, "legionella"), None);
    assert_eq!(sim.model.alerts.len(), 1);
}

#[test]
fn one_loud_author_and_copies_of_one_post_are_judged_by_people() {
    let mut sim = sim();
    sim.feed_received(talk(0, 2 * DAY), None);
    for n in 0..300 {
        sim.post(&format!("f{n}"), "flooder", 2 * DAY + n, &format!("legionella{} at St Brigids number {n}", n / 100));
    }
    assert_eq!(sim.model.alerts, []);
    for author in ["a", "b", "c", "d", "e"] {
        for copy in 0..3 {
            let id = format!("{author}{copy}");
            sim.post(
                &id,
                author,
                2 * DAY + 400,
                "they found asbestos in the old wing of St Brigids, can you believe it",
            );
        }
    }
    assert_eq!(sim.model.alerts.len(), 1);
    assert_eq!(
        (sim.model.alerts[0].authors, sim.model.alerts[0].why.split(" by ").next().unwrap()),
        (5, "‘asbestos’ in 5 posts")
    );
}

#[test]
fn what_an_author_takes_back_leaves_the_memory_on_disk_as_well() {
    let mut sim = sim();
    sim.feed_received(talk(0, 2 * DAY), None);
    sim.feed_received(news(2 * DAY, 4, "legionella"), None);
    let before = sim.model.volumes.clone();
    let gone =
        SourceEvent::PostDeleted { post: format!("n{}-1", 2 * DAY).as_str().into(), at: at(2 * DAY + 4 * MINUTE) };
    sim.feed(vec![frame(Ok(gone), at(2 * DAY + 4 * MINUTE))]);
    assert_ne!(sim.model.volumes, before);
    sim.feed_received(news(2 * DAY + 5 * MINUTE, 1, "legionella"), None);
    assert_eq!(sim.model.alerts, [], "four are left");
}

#[test]
fn a_source_that_is_added_brings_no_news_for_a_day() {
    let run = |source: &str, since: i64| {
        let mut sim = sim();
        sim.feed_received(talk(0, 3 * DAY), None);
        let mut add = |frames| {
            let mut batch = sim.batch(frames, None);
            batch.source = source.into();
            sim.step(Input::Batch(batch));
        };
        add(vec![posted("hallo", "jemand", 3 * DAY, "Wetter")]);
        add(news(3 * DAY + since, 6, "Krankenhaus"));
        sim.model.alerts.len()
    };
    assert_eq!((run("new", 60), run("new", DAY + 60), run("stream", 60)), (0, 1, 1));
}

/// Days of ordinary talk with news in it, some of it out of order.
fn stream() -> impl Strategy<Value = Vec<Decoded>> {
    let news_of = (DAY..4 * DAY, 3i64..9, 0usize..6);
    (prop::collection::vec(news_of, 1..8), prop::collection::vec(0usize..1000, 0..20)).prop_map(|(all, swaps)| {
        const WORDS: [&str; 6] =
            ["legionella", "strike", "#shame", "https://news.example/a", "asbestos leak", "火災 flood"];
        let mut frames = talk(0, 4 * DAY);
        frames.extend(all.into_iter().flat_map(|(from, many, word)| news(from, many, WORDS[word])));
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
    let alerts = sim.model.alerts.iter().filter(|alert| alert.rule.as_str() == "p.talk");
    alerts.map(|alert| format!("{} {:?} {:?} {}", alert.at, alert.post, alert.posts, alert.why)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Invariant 4.
    #[test]
    fn any_batching_finds_the_same_terms(frames in stream(), sizes in prop::collection::vec(1usize..50, 1..20)) {
        let (mut whole, mut parts) = (sim(), sim());
        whole.feed_received(frames.clone(), None);
        parts.feed_in_batches(&frames, &sizes);
        prop_assert_eq!(told(&whole), told(&parts));
        prop_assert_eq!(whole.model.volumes, parts.model.volumes);
    }

    /// Invariant 3: kill the process anywhere, read again from before the cursor.
    #[test]
    fn a_crash_moves_no_term(frames in stream(), crashes in prop::collection::vec(1usize..60, 1..12)) {
        let (mut steady, mut shaken) = (sim(), sim());
        steady.live_through(&frames, &[], Duration::from_mins(5));
        shaken.live_through(&frames, &crashes, Duration::from_mins(5));
        prop_assert_eq!(told(&steady), told(&shaken));
        prop_assert_eq!(steady.model.volumes, shaken.model.volumes);
    }
}

/// The rows of `../shared/data/health_posts`: posts of thirteen health desks over three years.
fn health_posts() -> Option<Vec<Decoded>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/health_posts.jsonl.zst");
    let Ok(packed) = std::fs::read(&path) else {
        println!("skipped: no health_posts at ../shared/data");
        return None;
    };
    let text = String::from_utf8(zstd::decode_all(packed.as_slice()).unwrap()).unwrap();
    let read = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| row[key].as_str().unwrap();
        let at = Timestamp::parse(text("created_at")).unwrap();
        let post = crate::support::sim::post(text("id"), text("author"), at, text("text"));
        frame(Ok(SourceEvent::Post(Box::new(post))), at)
    };
    Some(text.lines().map(read).collect())
}

#[test]
fn three_years_of_health_news_raise_few_terms_and_one_is_the_outbreak() {
    let Some(frames) = health_posts() else { return };
    let query =
        "health OR hospital* OR doctor* OR patients OR nhs OR cdc OR virus OR disease OR outbreak OR drug* OR cancer";
    let rules = Arc::new(RuleSet::new(rules(query, "{ within = \"24h\", at_least = 4, authors = 3 }")));
    let mut engine = Engine::new(Arc::clone(&rules), Routes::default(), Vec::new());
    let mut scratch = Scratch::default();
    let items = frames.into_iter().map(|frame| Item::matched(frame, None, &rules, &mut scratch)).collect();
    let outcome = engine.step(Input::Batch(Batch::new("news".into(), Arc::clone(&rules), items)), at(0));
    let alerts: Vec<String> =
        outcome.commit.alerts.iter().map(|alert| format!("{} {}", alert.at.whole_second(), alert.why)).collect();
    println!("{}", alerts.join("\n"));
    assert!(alerts.len() <= 12, "{alerts:#?}");
    // Ebola in Guinea was declared on 22 March 2014; it had three posts of ours on the 24th.
    assert!(alerts.iter().any(|alert| alert.starts_with("2014-03-24") && alert.contains("‘guinea’")), "{alerts:#?}");
}
