//! `kill -9` at two hundred instants while crises stream in and the receivers fail half
//! of the time. Afterwards every crisis is one incident and one page: none lost, and a
//! page that was sent twice carries the same id, so that the receiver can tell.
//!
//! `STORMBELL_KILLS=2000 cargo test --test crash -- --nocapture` tries more, with a crisis for every fourth kill, and prints
//! how many messages were sent again though their receiver had answered.

#![cfg(test)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use support::daemon::{Config, Daemon, HOOK, Place, now, pair_rule, say, word_rule};
use support::jetstream::{Script, SimJetstream};
use support::sink::{Act, SimSink};
use tokio::time::timeout;

/// Kills in a usual run.
const KILLS: usize = 200;
/// Longer than a start and a delivery take; where a kill by time may fall.
const LONGEST_LIFE: u64 = 300;
/// About as many lines as a start and a delivery log; where a kill by event may fall.
const MOST_LINES: u64 = 40;

/// How much is tried: kills, and crises of which one post is enough; there are as many that need two authors.
#[derive(Clone, Copy)]
struct Scale {
    kills: usize,
    single: usize,
}

impl Scale {
    fn asked() -> Self {
        let kills = std::env::var("STORMBELL_KILLS").map_or(KILLS, |kills| kills.parse().expect("a number"));
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
        _ => pair_rule(&topic(crisis), &format!("word{crisis}"), "high"),
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

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_kills_lose_no_page_and_double_no_incident() {
    let scale = Scale::asked();
    let mut dice = Dice(0x5702_3BE1);
    let stream = SimJetstream::start(Script::default()).await;
    let sink = SimSink::start().await;
    let config = Config::new(&stream.url(), "").pager(&sink.url("/v2/enqueue")).webhook("hook", &sink.url(HOOK));
    let place = Place::new(&config, &rules(scale));
    let mut posts = posts(&mut dice, scale).into_iter().enumerate();
    let mut push = |count: usize| {
        for (number, (author, text)) in posts.by_ref().take(count) {
            stream.push(say(now(), &author, &format!("k{number}"), &text));
        }
    };

    // A source without a cursor starts at the present, so there has to be one to resume from.
    let daemon = place.start().await;
    daemon.says("source connected").await;
    stream.push(say(now(), "did:plc:first", "k", "nothing"));
    daemon.read_frames(1).await;
    daemon.stop().await;

    misbehave(&sink, 7);
    let mut phases: BTreeMap<Phase, usize> = BTreeMap::new();
    for kill in 0..scale.kills {
        push(1);
        let begun = sink.requests().len();
        let mut daemon = place.spawn();
        let instant = Duration::from_millis(dice.below(LONGEST_LIFE));
        if kill % 2 == 0 {
            timeout(instant / 2, std::future::pending::<()>()).await.unwrap_err();
            push(1);
            timeout(instant / 2, std::future::pending::<()>()).await.unwrap_err();
        } else {
            push(1);
            let lines = usize::try_from(dice.below(MOST_LINES)).unwrap();
            // A daemon that has nothing more to say is killed by time.
            timeout(2 * instant, daemon.has_logged(lines)).await.unwrap_or_default();
        }
        *phases.entry(phase(&daemon, begun, &sink)).or_default() += 1;
        daemon.kill().await;
    }
    push(usize::MAX);
    println!("kills by what the daemon was doing: {phases:?}");

    sink.otherwise(|_| Act::Answer(202));
    let daemon = place.start().await;
    let incidents = async || daemon.get("/api/v1/incidents").await.as_array().unwrap().len();
    daemon.until(incidents, |incidents| *incidents >= scale.crises()).await;
    let waiting = async || {
        let receivers = daemon.get("/api/v1/status").await["receivers"].clone();
        let waits = |receiver: &serde_json::Value| receiver["pending"] == 0 && receiver["leased"] == 0;
        receivers.as_array().unwrap().iter().filter(|receiver| !waits(receiver)).count()
    };
    daemon.until(waiting, |waiting| *waiting == 0).await;
    check(&daemon, &sink, &phases, scale).await;
    daemon.stop().await;
}

async fn check(daemon: &Daemon, sink: &SimSink, phases: &BTreeMap<Phase, usize>, scale: Scale) {
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

    let mut messages: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for request in sink.requests().iter().filter(|request| request.taken && request.line.contains(HOOK)) {
        let body = request.json();
        assert_eq!(body["type"], "incident.opened");
        let ids = messages.entry(text(&body["incident"]["id"])).or_default();
        *ids.entry(request.header("webhook-id").to_owned()).or_default() += 1;
    }
    assert_eq!(messages.keys().collect::<BTreeSet<_>>(), ids.values().collect());
    assert!(messages.values().all(|ids| ids.len() == 1), "a repetition carries the same id: {messages:?}");

    // That all this was put to the test:
    let repeated = messages.values().flat_map(BTreeMap::values).filter(|times| **times > 1).count();
    let paged_again = alerts.values().filter(|alert| alert.triggers > 1).count();
    let fired = sink.fired();
    let times = |wanted: Act| fired.iter().filter(|act| **act == wanted).count();
    let overrun = Act::With(429, "retry-after", "1".to_owned());
    let half = Act::HalfAnswer(Duration::from_millis(40));
    let failures = [Act::Answer(500), Act::DropAnswer, Act::ResetMidAnswer, Act::Reset, overrun, half].map(times);
    let (sends, extra) = extra_sends(sink);
    println!(
        "{} kills, {} incidents, {sends} sends, {extra} of them though the answer to an earlier one was given",
        scale.kills,
        ids.len()
    );
    println!("sent again with the same id: {repeated} messages, {paged_again} pages; failures: {failures:?}");
    assert!(repeated > 0 && paged_again > 0 && failures.iter().all(|times| *times > 0));
    assert!(phases.len() == 4, "every phase was hit: {phases:?}");
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
