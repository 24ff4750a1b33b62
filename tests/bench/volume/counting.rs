//! Posts that ten thousand spike rules count, through the engine as the daemon runs it:
//! sightings, stories and what is to be written included, matching and writing not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use stormbell::domain::condition::{Condition, Hold, OwnWords, Spike};
use stormbell::domain::engine::{Batch, Engine, Input, Item};
use stormbell::domain::event::{Decoded, SourceEvent};
use stormbell::domain::incident::Severity;
use stormbell::domain::organization::Organization;
use stormbell::domain::post::{Excerpt, Post};
use stormbell::domain::query::{Lists, parse};
use stormbell::domain::route::Routes;
use stormbell::domain::rule::raw::Status;
use stormbell::domain::rule::{Rule, RuleSet, Taken};
use stormbell::domain::story::Sketch;
use stormbell::domain::text::Words;
use stormbell::domain::time::Timestamp;
use stormbell::domain::volume::Promise;

use crate::rng::Rng;

const RULES: usize = 10_000;
/// Rules that take a post.
const TAKE_IT: usize = 100;
const POSTS_A_BATCH: usize = 256;
/// Posts a second: twenty matches a minute for each rule.
const POSTS_A_SECOND: usize = 33;
const ROUNDS: usize = 24;

fn rule(number: usize) -> Rule {
    Rule {
        id: format!("talk.rule-{number}").into(),
        pack: "talk".to_owned(),
        title: "talk".to_owned(),
        severity: Severity::High,
        status: Status::Stable,
        topic: format!("talk-{number}").into(),
        query: parse(&format!("word{number}"), &Lists::of(&Organization::example())).unwrap(),
        excepts: Vec::new(),
        playbook: None,
        condition: Condition::Spike(Spike { false_alarms: Promise::MONTHLY, at_least: 5, authors: 3 }),
        hold: Hold::default(),
        of: None,
        own_words: OwnWords::default(),
        by: None,
        joins: Vec::new(),
        not_on: Vec::new(),
        version: "1".to_owned(),
    }
}

pub fn counting(seed: u64) {
    let rules = Arc::new(RuleSet::new((0..RULES).map(rule).collect()));
    let mut engine = Engine::new(Arc::clone(&rules), Routes::default(), Vec::new());
    let mut rng = Rng(seed);
    let (mut best, mut alerts) = (Duration::MAX, 0);
    for round in 0..ROUNDS {
        let items: Vec<Item> = (0..POSTS_A_BATCH).map(|post| item(&mut rng, round * POSTS_A_BATCH + post)).collect();
        let batch = Batch::new("bench".into(), Arc::clone(&rules), items.into_iter().collect());
        let began = Instant::now();
        let outcome = engine.step(Input::Batch(batch), Timestamp::default());
        best = best.min(began.elapsed());
        alerts += outcome.commit.alerts.len();
        std::hint::black_box(outcome);
    }
    let matches = (POSTS_A_BATCH * TAKE_IT) as f64;
    println!(
        "\nvolume    {RULES} spike rules, {TAKE_IT} take a post: {:.2} million matches/s through the engine, {:.0} ns each; {alerts} alerts",
        matches / best.as_secs_f64() / 1e6,
        best.as_secs_f64() * 1e9 / matches
    );
}

fn item(rng: &mut Rng, number: usize) -> Item {
    let micros = i64::try_from(number * 1_000_000 / POSTS_A_SECOND).unwrap();
    let at = Timestamp::from_micros(1_795_341_600_000_000 + micros);
    let author = format!("did:plc:{}", rng.letters(24));
    let id = format!("at://{author}/app.bsky.feed.post/{}", rng.letters(13));
    let text: Vec<String> = (0..12).map(|_| rng.letters(6)).collect();
    let post = Post::plain(id.into(), "bench".into(), author.into(), text.join(" "), at);
    let mut hits: Vec<usize> = (0..TAKE_IT).map(|_| rng.index(RULES)).collect();
    hits.sort_unstable();
    hits.dedup();
    let excerpt = Excerpt::of(&post);
    let mut words = Words::default();
    words.read(&excerpt);
    let taken = Taken::new(hits, Sketch::of(&excerpt, &words));
    Item::decoded(Decoded { cursor: None, event: Ok(SourceEvent::Post(Box::new(post))) }, None, Some(Box::new(taken)))
}
