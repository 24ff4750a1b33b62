//! `kill -9` while crises stream in and the receivers fail half of the time. Afterwards every crisis is one incident and
//! one page: none lost, and a page that was sent twice carries the same id, so that the receiver can tell.
//!
//! Kills come in two ways. *Aimed* ones fall where it hurts most: within the moments of a start, at lines of the log
//! around an answer. They show that nothing is lost wherever one falls. *Random* ones fall as power supplies, kernels and
//! people choose them: at instants that have nothing to do with what the program does. They show how much is sent twice:
//! no program that dies between an answer and writing it down can know of the answer, so what counts is how short that is.
//!
//! `STORMBELL_KILLS=2000 cargo test --test daemon -- crash:: --nocapture` tries more, with a crisis for every fourth kill, and prints
//! how many messages were sent again though their receiver had answered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::support::daemon::{Config, Daemon, HOOK, Place, now, pair_rule, say, word_rule};
use crate::support::jetstream::{Script, SimJetstream};
use crate::support::sink::{Act, SimSink};
use tokio::time::timeout;

/// Kills in a usual run.
const KILLS: usize = 200;
/// Longer than a start and a delivery take; milliseconds within which an aimed kill by time falls.
const LONGEST_LIFE: u64 = 300;
/// Milliseconds within which a random kill falls, each as likely as the other: two deaths a second.
const RANDOM_LIFE: u64 = 1000;
/// Random kills in a usual run, which would take too long with as many as there are aimed ones.
const RANDOM_KILLS: usize = 60;
/// About as many lines as a start and a delivery log; where a kill by event may fall.
const MOST_LINES: u64 = 40;

/// How much is tried: kills, and crises of which one post is enough; there are as many that need two authors.
#[derive(Clone, Copy)]
struct Scale {
    kills: usize,
    single: usize,
}

impl Scale {
    fn asked(usual: usize) -> Self {
        let kills = std::env::var("STORMBELL_KILLS").map_or(usual, |kills| kills.parse().expect("a number"));
        Self { kills, single: (kills / 8).min(50) } // more rules would only make each start longer
    }

    fn crises(self) -> usize {
        2 * self.single
    }
}

/// A small generator of evenly spread numbers (splitmix64): the same instants every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// What a daemon was doing when it was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Starting,
    Connecting,
    Reading,
    Sending,
}

fn phase(daemon: &Daemon, begun: usize, sink: &SimSink) -> Phase {
    let answered = daemon.said("message delivered") + daemon.said("message not delivered");
    match (daemon.said("api listens"), daemon.said("source connected")) {
        (0, _) => Phase::Starting,
        _ if sink.requests().len() - begun > answered => Phase::Sending,
        (_, 0) => Phase::Connecting,
        _ => Phase::Reading,
    }
}

fn topic(crisis: usize) -> String {
    format!("crisis{crisis}")
}

fn rules(scale: Scale) -> Vec<String> {
    let rule = |crisis| match crisis {
        _ if crisis < scale.single => word_rule(&topic(crisis), &format!("word{crisis}"), "critical"),
        // Their posts may lie as far apart as a long run takes.
        _ => pair_rule(&topic(crisis), &format!("word{crisis}"), "high").replace("10m", "6h"),
    };
    (0..scale.crises()).map(rule).collect()
}

/// Each crisis is told by two authors; their posts lie among others, in no order of crises.
fn posts(dice: &mut Dice, scale: Scale) -> Vec<(String, String)> {
    let crises = (0..scale.crises()).flat_map(|crisis| {
        ["ann", "bob"].map(|author| (format!("did:plc:{author}{crisis}"), format!("word{crisis} here")))
    });
    let noise = (0..2 * scale.kills - 2 * scale.crises())
        .map(|number| (format!("did:plc:noise{number}"), "nothing to see".to_owned()));
    let mut posts: Vec<_> = crises.chain(noise).collect();
    for last in (1..posts.len()).rev() {
        posts.swap(last, usize::try_from(dice.below(last as u64 + 1)).unwrap());
    }
    posts
}

/// Half of all requests fail, in every way there is.
fn misbehave(sink: &SimSink, seed: u64) {
    let mut dice = Dice(seed);
    sink.otherwise(move |_| match dice.below(12) {
        0 | 1 => Act::Answer(500),
        2 => Act::DropAnswer,
        3 => Act::ResetMidAnswer,
        4 => Act::Reset,
        5 => Act::With(429, "retry-after", "1".to_owned()),
        6 => Act::HalfAnswer(Duration::from_millis(40)),
        _ => Act::After(Duration::from_millis(80), 202),
    });
}

/// A stream, receivers that fail half of the time, and a program to kill.
struct World {
    stream: SimJetstream,
    sink: SimSink,
    place: Place,
    posts: std::vec::IntoIter<(String, String)>,
    pushed: usize,
    scale: Scale,
}

impl World {
    /// With so many webhooks beside the pager.
    async fn new(scale: Scale, hooks: usize, dice: &mut Dice) -> Self {
        let (stream, sink) = (SimJetstream::start(Script::default()).await, SimSink::start().await);
        let config = Config::new(&stream.url(), "").pager(&sink.url("/v2/enqueue"));
        let config = (0..hooks)
            .fold(config, |config, hook| config.webhook(&format!("hook{hook}"), &sink.url(&format!("{HOOK}/{hook}"))));
        let place = Place::new(&config, &rules(scale));
        let posts = posts(dice, scale).into_iter();
        let world = Self { stream, sink, place, posts, pushed: 0, scale };
        // A source without a cursor starts at the present, so there has to be one to resume from.
        let daemon = world.place.start().await;
        daemon.says("source connected").await;
        world.stream.push(say(now(), "did:plc:first", "k", "nothing"));
        daemon.read_frames(1).await;
        daemon.stop().await;
        misbehave(&world.sink, 7);
        world
    }

    fn push(&mut self, count: usize) {
        for (author, text) in self.posts.by_ref().take(count) {
            self.stream.push(say(now(), &author, &format!("k{}", self.pushed), &text));
            self.pushed += 1;
        }
    }

    /// All posts are there and all receivers are well: the daemon that has told everything.
    async fn calm(&mut self) -> Daemon {
        self.push(usize::MAX);
        self.sink.otherwise(|_| Act::Answer(202));
        let daemon = self.place.start().await;
        let incidents = async || daemon.get("/api/v1/incidents").await.as_array().unwrap().len();
        daemon.until(incidents, |incidents| *incidents >= self.scale.crises()).await;
        let waiting = async || {
            let receivers = daemon.get("/api/v1/status").await["receivers"].clone();
            let waits = |receiver: &serde_json::Value| receiver["pending"] == 0 && receiver["leased"] == 0;
            receivers.as_array().unwrap().iter().filter(|receiver| !waits(receiver)).count()
        };
        daemon.until(waiting, |waiting| *waiting == 0).await;
        daemon
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_aimed_kills_lose_no_page_and_double_no_incident() {
    let scale = Scale::asked(KILLS);
    let mut dice = Dice(0x5702_3BE1);
    let mut world = World::new(scale, 1, &mut dice).await;
    let mut phases: BTreeMap<Phase, usize> = BTreeMap::new();
    for kill in 0..scale.kills {
        world.push(1);
        let begun = world.sink.requests().len();
        let mut daemon = world.place.spawn();
        let instant = Duration::from_millis(dice.below(LONGEST_LIFE));
        if kill % 2 == 0 {
            timeout(instant / 2, std::future::pending::<()>()).await.unwrap_err();
            world.push(1);
            timeout(instant / 2, std::future::pending::<()>()).await.unwrap_err();
        } else {
            world.push(1);
            let lines = usize::try_from(dice.below(MOST_LINES)).unwrap();
            // A daemon that has nothing more to say is killed by time.
            timeout(2 * instant, daemon.has_logged(lines)).await.unwrap_or_default();
        }
        *phases.entry(phase(&daemon, begun, &world.sink)).or_default() += 1;
        daemon.kill().await;
    }
    println!("kills by what the daemon was doing: {phases:?}");
    let daemon = world.calm().await;
    check(&daemon, &world).await;
    report(&world, scale.kills);
    assert!(phases.len() == 4, "every phase was hit: {phases:?}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_random_instants_kills_lose_no_page_either_and_show_how_much_is_sent_twice() {
    let scale = Scale::asked(RANDOM_KILLS);
    let mut dice = Dice(0xA11C_E5ED);
    let mut world = World::new(scale, 4, &mut dice).await;
    for _ in 0..scale.kills {
        world.push(1);
        let mut daemon = world.place.spawn();
        let (post, kill) = (dice.below(RANDOM_LIFE), dice.below(RANDOM_LIFE));
        timeout(Duration::from_millis(post.min(kill)), std::future::pending::<()>()).await.unwrap_err();
        world.push(1);
        timeout(Duration::from_millis(kill.saturating_sub(post)), std::future::pending::<()>()).await.unwrap_err();
        daemon.kill().await;
    }
    let daemon = world.calm().await;
    check(&daemon, &world).await;
    report(&world, scale.kills);
    daemon.stop().await;
}

/// One incident for each crisis, one page and one message of one id for each.
async fn check(daemon: &Daemon, world: &World) {
    let World { sink, scale, .. } = world;
    let incidents = daemon.get("/api/v1/incidents").await;
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let ids: BTreeMap<String, String> =
        incidents.as_array().unwrap().iter().map(|one| (text(&one["topic"]), text(&one["id"]))).collect();
    let crises: BTreeSet<String> = (0..scale.crises()).map(topic).collect();
    assert_eq!(ids.keys().cloned().collect::<BTreeSet<_>>(), crises);
    assert_eq!(incidents.as_array().unwrap().len(), crises.len(), "one incident for each crisis");
    assert!(incidents.as_array().unwrap().iter().all(|one| one["authors"] == 2 && one["posts"] == 2), "{incidents:#}");

    let alerts = sink.alerts();
    let keys: BTreeSet<String> = alerts.keys().map(|(_, dedup)| dedup.clone()).collect();
    assert_eq!(keys, ids.values().map(|id| format!("stormbell/{id}")).collect());
    assert!(alerts.values().all(|alert| alert.opened == 1 && alert.open), "{alerts:?}");

    // What each webhook was told, as it names its messages.
    let mut messages: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let mut hooks = BTreeSet::new();
    for request in sink.requests().iter().filter(|request| request.taken && request.line.contains(HOOK)) {
        let body = request.json();
        assert_eq!(body["type"], "incident.opened");
        hooks.insert(request.line.clone());
        let message = (request.line.clone(), text(&body["incident"]["id"]));
        messages.entry(message).or_default().insert(request.header("webhook-id").to_owned());
    }
    let all = hooks.iter().flat_map(|hook| ids.values().map(|id| (hook.clone(), id.clone())));
    assert_eq!(messages.keys().cloned().collect::<BTreeSet<_>>(), all.collect());
    assert!(messages.values().all(|ids| ids.len() == 1), "a repetition carries the same id: {messages:?}");
}

/// Says how much was sent again, and that all of it was put to the test. How much that is depends on how often the
/// process dies, and on how long it waits for a processor between an answer and its note: a figure for BENCHMARKS.md, and
/// no verdict on a machine that has other things to do.
fn report(world: &World, kills: usize) {
    let sink = &world.sink;
    let requests = sink.requests();
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    for request in requests.iter().filter(|request| request.taken && request.line.contains(HOOK)) {
        *taken.entry(request.header("webhook-id")).or_default() += 1;
    }
    let repeated = taken.values().filter(|times| **times > 1).count();
    let paged_again = sink.alerts().values().filter(|alert| alert.triggers > 1).count();
    let fired = sink.fired();
    let times = |wanted: Act| fired.iter().filter(|act| **act == wanted).count();
    let overrun = Act::With(429, "retry-after", "1".to_owned());
    let half = Act::HalfAnswer(Duration::from_millis(40));
    let failures = [Act::Answer(500), Act::DropAnswer, Act::ResetMidAnswer, Act::Reset, overrun, half].map(times);
    let (sends, extra) = extra_sends(sink);
    let incidents = world.scale.crises();
    println!(
        "{kills} kills, {incidents} incidents, {sends} sends, {extra} though the answer to an earlier one was given"
    );
    println!("sent again with the same id: {repeated} messages, {paged_again} pages; failures: {failures:?}");
    assert!(repeated > 0 && paged_again > 0 && failures.iter().all(|times| *times > 0));
}

/// How many messages were sent, and how many of them again though the receiver had answered that it has them: the
/// process was killed before it could write that down.
fn extra_sends(sink: &SimSink) -> (usize, usize) {
    let mut known = BTreeSet::new();
    let requests = sink.requests();
    let extra = requests.iter().filter(|request| {
        let body = request.json();
        let name = match request.header("webhook-id") {
            "" => format!("{} {}", body["dedup_key"], body["event_action"]),
            id => id.to_owned(),
        };
        let again = known.contains(&name);
        if request.taken && request.answered {
            known.insert(name);
        }
        again
    });
    let extra = extra.count();
    (requests.len(), extra)
}
