//! An `x` source against a server on loopback that keeps to X's documents and has its faults.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stormbell::config::model::{SourceKind, Transport, XConfig};
use stormbell::config::secret::Secret;
use stormbell::domain::abroad::Abroad;
use stormbell::domain::event::{DownReason, Joint, Rejected};
use stormbell::domain::time::Timestamp;
use stormbell::source::timing::Timing;
use tokio::sync::watch;

use crate::support::clock::SetClock;
use crate::support::daemon::{Config, Place, word_rule};
use crate::support::listener::Listener;
use crate::support::x::{Rule, STALLS, SimX, Stream};

const TOKEN: &str = "planted-x-token";
/// The clock in ids.
const FIRST_MILLIS: i64 = 1_288_834_974_657;
const STREAM: &str = "/2/tweets/search/stream";
const RULES: &str = "/2/tweets/search/stream/rules";
const SEARCH: &str = "/2/tweets/search/recent";

fn now() -> Timestamp {
    Timestamp::parse("2026-11-22T15:40:00Z").unwrap()
}

/// An id that was made so many seconds before now.
fn id(seconds: i64) -> u64 {
    u64::try_from(now().micros() / 1000 - seconds * 1000 - FIRST_MILLIS).unwrap() << 22
}

fn post(id: u64, text: &str) -> Value {
    let made = i64::try_from(id >> 22).unwrap() + FIRST_MILLIS;
    json!({
        "data": {
            "id": id.to_string(), "text": text, "author_id": "998877", "edit_history_tweet_ids": [id.to_string()],
            "created_at": Timestamp::from_micros(made * 1000).to_string(),
        },
        "includes": { "users": [{ "id": "998877", "username": "rita_rn", "public_metrics": { "followers_count": 412 } }] },
        "matching_rules": [{ "id": "1", "tag": "stormbell:1" }],
    })
}

fn quick() -> Timing {
    let millis = Duration::from_millis;
    Timing {
        first_backoff: millis(5),
        longest_backoff: millis(20),
        longest_rest: millis(20),
        operator_rest: millis(20),
        seam_delay: millis(5),
        ..Timing::default()
    }
}

struct World {
    sim: SimX,
    clock: SetClock,
    asks: watch::Sender<Arc<Abroad>>,
}

impl World {
    async fn new() -> Self {
        let asks = watch::Sender::new(Arc::new(asking(&["northgate"])));
        Self { sim: SimX::start(TOKEN).await, clock: SetClock::at(now()), asks }
    }

    fn listen(&self, timing: Timing, monthly_posts: u64, bookmark: Option<&str>) -> Listener {
        self.listen_with(TOKEN, timing, monthly_posts, bookmark)
    }

    fn listen_with(&self, token: &str, timing: Timing, monthly_posts: u64, bookmark: Option<&str>) -> Listener {
        let config = XConfig {
            url: self.sim.url.clone(),
            token: Secret::new(token.to_owned()),
            monthly_posts,
            queries: Vec::new(),
            transport: Transport::default(),
        };
        let clock = Arc::new(self.clock.clone());
        Listener::start_asking(SourceKind::X(config), timing, bookmark, clock, self.asks.subscribe())
    }
}

fn asking(rules: &[&str]) -> Abroad {
    let rules: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
    Abroad { searches: vec![rules.join(" OR ")], rules, ..Abroad::default() }
}

/// Where an earlier run was.
fn bookmark(since: u64, read: u64) -> String {
    json!({ "since": since, "month": "2026-11", "read": read }).to_string()
}

/// Sends a post in pieces of so many bytes.
fn sends_in_pieces(stream: &Stream, said: &Value, of: usize) {
    format!("{said}\r\n").as_bytes().chunks(of).for_each(|piece| stream.sends(piece));
}

#[tokio::test]
async fn posts_cut_anywhere_and_empty_lines_between_them_are_read() {
    let mut world = World::new().await;
    let mut listener = world.listen(quick(), 100, None);
    let stream = world.sim.stream().await;
    stream.is_alive();
    listener.until(|listener| listener.covered > 0).await;
    sends_in_pieces(&stream, &post(id(9), "Rauch über Northgate 🔥"), 1);
    stream.is_alive();
    sends_in_pieces(&stream, &post(id(8), "smoke"), 7);
    let both = format!("{}\r\n\r\n{}\r\n", post(id(7), "two"), post(id(6), "in one"));
    stream.sends(both.as_bytes());
    listener.until(|listener| listener.posts.len() == 4).await;
    let first = listener.post("Rauch über Northgate 🔥");
    assert_eq!((first.author.handle.as_deref(), first.author.followers), (Some("rita_rn"), Some(412)));
    assert!(listener.rejected.is_empty() && listener.downs.is_empty());
    assert_eq!(listener.joints, [Joint::Live]);
    let asked = &world.sim.asked_for(STREAM)[0];
    for field in ["note_tweet", "referenced_tweets", "entities", "edit_history_tweet_ids", "created_at"] {
        assert!(asked.parameter("tweet.fields").unwrap().contains(field), "{field}");
    }
    assert!(asked.parameter("media.fields").unwrap().contains("alt_text"));
    assert!(world.sim.asked().iter().all(|asked| asked.authorization == format!("Bearer {TOKEN}")));
}

#[tokio::test]
async fn our_rules_are_made_those_nobody_wants_deleted_and_others_left_alone() {
    let mut world = World::new().await;
    world.sim.put_rule("old", Some("stormbell:00"));
    world.sim.put_rule("cats", Some("marketing"));
    world.sim.put_rule("smoke", None);
    world.asks.send_replace(Arc::new(asking(&["northgate", "smoke", "has:media"])));
    let mut listener = world.listen(quick(), 100, None);
    let stream = world.sim.stream().await;
    let values = |sim: &SimX| sim.rules().into_iter().map(|rule: Rule| rule.value).collect::<Vec<_>>();
    assert_eq!(values(&world.sim), ["cats", "smoke", "northgate"]);
    assert!(world.sim.rules()[2].tag.as_deref().unwrap().starts_with("stormbell:"));
    // Other rules are in force: the stream goes on.
    world.asks.send_replace(Arc::new(asking(&["smoke", "southgate"])));
    world.sim.until(|sim| values(sim) == ["cats", "smoke", "southgate"]).await;
    stream.says(&post(id(1), "still here"));
    listener.until_text("still here").await;
    assert_eq!((world.sim.asked_for(STREAM).len(), listener.downs.len()), (1, 0));
    // A restart finds all as it was, and changes nothing.
    let before = world.sim.asked_for(RULES).len();
    let mark = listener.stop().await;
    stream.gone().await;
    let _again = world.listen(quick(), 100, mark.as_deref());
    let _stream = world.sim.stream().await;
    assert_eq!(world.sim.asked_for(RULES).len(), before + 1);
}

#[tokio::test]
async fn a_rule_that_x_does_not_take_stands_beside_the_source_until_nobody_asks_for_it() {
    let mut world = World::new().await;
    world.asks.send_replace(Arc::new(asking(&["northgate", "has:media"])));
    let listener = world.listen(quick(), 100, None);
    let _stream = world.sim.stream().await;
    assert_eq!(listener.unwatched.list(), ["X does not take the rule has:media (InvalidRules)"]);
    world.asks.send_replace(Arc::new(asking(&["northgate", "southgate"])));
    world.sim.until(|sim| sim.rules().len() == 2).await;
    world.asks.send_replace(Arc::new(asking(&["northgate"])));
    world.sim.until(|sim| sim.rules().len() == 1).await;
    assert!(listener.unwatched.list().is_empty());
}

#[tokio::test]
async fn rules_that_somebody_else_deletes_are_made_again_while_the_stream_goes_on() {
    let mut world = World::new().await;
    let timing = Timing { looked_at_every: Duration::from_millis(50), ..quick() };
    let mut listener = world.listen(timing, 100, None);
    let stream = world.sim.stream().await;
    world.sim.drop_rules();
    world.sim.until(|sim| sim.rules().iter().any(|rule| rule.value == "northgate")).await;
    stream.says(&post(id(1), "still here"));
    listener.until_text("still here").await;
    assert_eq!((world.sim.asked_for(STREAM).len(), listener.downs.len()), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn installations_that_share_a_token_leave_each_others_rules_alone() {
    let mut world = World::new().await;
    world.sim.put_rule("theirs", Some("stormbell:0123456789abcdef:00"));
    world.sim.put_rule("of an earlier version", Some("stormbell:00"));
    let source = format!(
        "kind = \"x\"\nname = \"x\"\nurl = \"{}\"\ntoken = {{ file = \"twilio-token\" }}\nmonthly_posts = 100\nqueries = [\"northgate\", \"has:media\"]",
        world.sim.url
    );
    let place = Place::new(&Config::listening_to(&source), &[word_rule("fire", "fire", "high")]);
    place.write("twilio-token", TOKEN);
    let mut tags = Vec::new();
    for _ in 0..2 {
        let daemon = place.start().await;
        let _stream = world.sim.stream().await;
        let values: Vec<String> = world.sim.rules().into_iter().map(|rule| rule.value).collect();
        assert_eq!(values, ["theirs", "of an earlier version", "northgate"]);
        tags.extend(world.sim.rules().into_iter().filter_map(|rule| rule.tag).nth(2));
        let unwatched = async || daemon.source().await["unwatched"].clone();
        let refused = json!(["X does not take the rule has:media (InvalidRules)"]);
        daemon.until(unwatched, |list| *list == refused).await;
        let metric = async || daemon.metric("stormbell_source_unwatched{source=\"x\"}").await;
        daemon.until(metric, |count| (*count - 1.0).abs() < 0.1).await;
        daemon.stop().await;
    }
    assert!(tags[0].starts_with("stormbell:") && tags[0].len() == 43 && tags[0] == tags[1], "{tags:?}");
}

#[tokio::test]
async fn rules_are_added_before_others_are_deleted_and_in_groups() {
    let mut world = World::new().await;
    world.sim.put_rule("old", Some("stormbell:00"));
    let many: Vec<String> = (0..250).map(|word| format!("word{word}")).collect();
    world.asks.send_replace(Arc::new(Abroad::as_written(&many)));
    let _listener = world.listen(quick(), 100, None);
    let _stream = world.sim.stream().await;
    let bodies: Vec<String> = world.sim.asked_for(RULES).into_iter().map(|asked| asked.body).collect();
    assert_eq!(bodies.len(), 1 + 3 + 1);
    assert!(bodies[1..4].iter().all(|body| body.contains("\"add\"")) && bodies[4].contains("\"delete\""));
    assert_eq!(world.sim.rules().len(), 250);
}

#[tokio::test]
async fn quirk_12_a_stream_that_goes_stale_without_an_error_is_dialled_anew() {
    let mut world = World::new().await;
    let timing = Timing { answer_within: Duration::from_millis(200), ..quick() };
    let mut listener = world.listen(timing, 100, None);
    let stale = world.sim.stream().await;
    listener.until(|listener| listener.downs == [DownReason::Stalled]).await;
    stale.gone().await;
    let stream = world.sim.stream().await;
    stream.says(&post(id(1), "back"));
    listener.until_text("back").await;
}

#[tokio::test]
async fn quirk_12_after_an_operational_disconnect_what_was_missed_is_searched_for() {
    let mut world = World::new().await;
    let mut listener = world.listen(quick(), 100, Some(&bookmark(id(200), 0)));
    let stream = world.sim.stream().await;
    stream.says(&post(id(100), "before"));
    listener.until_text("before").await;
    listener
        .until(|listener| listener.position.bookmark().is_some_and(|mark| mark.0.contains(&id(100).to_string())))
        .await;
    for (age, text) in [(90, "missed 1"), (80, "missed 2"), (70, "missed 3")] {
        world.sim.posted(id(age), &post(id(age), text));
    }
    stream.says(&json!({ "errors": [{
        "title": "operational-disconnect", "disconnect_type": "UpstreamOperationalDisconnect",
        "detail": "This stream has been disconnected upstream for operational reasons.",
        "type": "https://api.x.com/2/problems/operational-disconnect",
    }] }));
    let stream = world.sim.stream().await;
    stream.says(&post(id(60), "after"));
    // The search brings again what the stream has brought meanwhile.
    world.sim.posted(id(60), &post(id(60), "after"));
    listener.until(|listener| listener.posts.len() == 5).await;
    assert_eq!(listener.downs, [DownReason::Closed]);
    assert_eq!(listener.joints, [Joint::GoesOn; 2]);
    assert!(listener.missed.is_empty());
    let search =
        world.sim.asked_for(SEARCH).into_iter().find(|asked| asked.parameter("since_id") != Some(id(260).to_string()));
    let search = search.unwrap();
    assert_eq!(search.parameter("query").as_deref(), Some("northgate"));
    assert_eq!(search.parameter("since_id"), Some(id(160).to_string()), "a minute further: order is not kept");
    assert_eq!(listener.post("missed 1").author.handle.as_deref(), Some("rita_rn"), "with what belongs to it");
    // From now on it goes on behind the newest.
    listener.until(|listener| listener.position.bookmark().unwrap().0.contains(&id(60).to_string())).await;
}

#[tokio::test]
async fn what_was_still_on_its_way_when_a_newer_post_came_is_searched_for() {
    let mut world = World::new().await;
    let mut listener = world.listen(quick(), 100, None);
    let stream = world.sim.stream().await;
    stream.says(&post(id(0), "newer"));
    listener.until_text("newer").await;
    let mark = listener.stop().await.unwrap();
    assert!(mark.contains(&id(0).to_string()), "{mark}");
    stream.gone().await;
    world.sim.posted(id(7), &post(id(7), "older, and late"));
    let mut listener = world.listen(quick(), 100, Some(&mark));
    let stream = world.sim.stream().await;
    listener.until_text("older, and late").await;
    stream.is_alive();
    listener.until(|listener| listener.covered > 0).await;
    assert!(listener.missed.is_empty() && listener.joints == [Joint::GoesOn]);
}

#[tokio::test]
async fn quirk_11_a_connection_that_is_still_counted_is_waited_for_and_then_ended_by_order() {
    let mut world = World::new().await;
    world.sim.haunt();
    let mut listener = world.listen(quick(), 100, None);
    let stream = world.sim.stream().await;
    stream.says(&post(id(1), "let in"));
    listener.until_text("let in").await;
    assert_eq!(world.sim.asked_for("/2/connections/all").len(), 1);
    assert_eq!(world.sim.asked_for(STREAM).len(), 4, "three refusals, the order, and then");
    assert_eq!(listener.downs, [DownReason::Refused; 3]);
}

#[tokio::test]
async fn quirk_11_the_answer_is_closed_when_the_daemon_stops_so_that_the_next_one_is_let_in() {
    let mut world = World::new().await;
    let mut listener = world.listen(quick(), 100, None);
    let stream = world.sim.stream().await;
    stream.says(&post(id(5), "one"));
    listener.until_text("one").await;
    let mark = listener.stop().await;
    stream.gone().await;
    let mut listener = world.listen(quick(), 100, mark.as_deref());
    let stream = world.sim.stream().await;
    stream.says(&post(id(1), "two"));
    listener.until_text("two").await;
    assert_eq!((world.sim.asked_for(STREAM).len(), listener.joints.as_slice()), (2, &[Joint::GoesOn][..]));
}

#[tokio::test]
async fn refusals_are_for_somebody_to_mend_or_for_patience() {
    let mut world = World::new().await;
    let reset = "x-rate-limit-limit: 50\r\nx-rate-limit-remaining: 0\r\nx-rate-limit-reset: 1795362000\r\n";
    world.sim.refuse([
        (403, "", json!({ "title": "Forbidden" }).to_string()),
        (409, "", json!({ "title": "RuleConfigurationIssue" }).to_string()),
        (429, reset, json!({ "title": "Too Many Requests" }).to_string()),
        (429, "", json!({ "title": "UsageCapExceeded", "period": "Monthly" }).to_string()),
        (503, "retry-after: 1\r\n", String::new()),
        (500, "", String::new()),
    ]);
    let mut listener = world.listen(quick(), 100, None);
    let _stream = world.sim.stream().await;
    listener.until(|listener| listener.joints.len() == 1).await;
    assert_eq!(listener.downs, [DownReason::Refused; 6]);
    assert!(world.sim.asked_for("/2/connections/all").is_empty());

    let mut stranger = world.listen_with("of-somebody-else", quick(), 100, None);
    stranger.until(|listener| listener.downs.len() == 2).await;
    assert_eq!(stranger.downs, [DownReason::Refused; 2]);
}

#[tokio::test]
async fn a_refusal_that_never_ends_is_understood_by_what_came_of_it() {
    let mut world = World::new().await;
    world.sim.refuse([(429, STALLS, json!({ "title": "UsageCapExceeded", "period": "Monthly" }).to_string())]);
    let timing = Timing { answer_within: Duration::from_millis(200), ..quick() };
    let mut listener = world.listen(timing, 100, None);
    listener.until(|listener| listener.downs == [DownReason::Refused]).await;
    let _stream = world.sim.stream().await;
}

#[tokio::test]
async fn without_a_rule_there_is_nothing_to_connect_for() {
    let world = World::new().await;
    world.asks.send_replace(Arc::default());
    let mut listener = world.listen(quick(), 100, None);
    listener.until(|listener| listener.downs == [DownReason::Refused]).await;
    assert!(world.sim.asked_for(STREAM).is_empty());
}

#[tokio::test]
async fn somebody_elses_rules_are_none_to_connect_for() {
    let world = World::new().await;
    world.sim.put_rule("cats", Some("marketing"));
    world.asks.send_replace(Arc::new(asking(&["has:media"])));
    let mut listener = world.listen(quick(), 100, None);
    listener.until(|listener| listener.downs == [DownReason::Refused]).await;
    assert!(world.sim.asked_for(STREAM).is_empty() && listener.joints.is_empty());
    assert_eq!(world.sim.rules().len(), 1);
}

#[tokio::test]
async fn at_the_end_of_the_budget_reading_ends_until_the_next_month() {
    let mut world = World::new().await;
    let mut listener = world.listen(quick(), 5, None);
    let stream = world.sim.stream().await;
    for number in 0..5 {
        stream.says(&post(id(50 - number), &format!("post {number}")));
    }
    listener.until(|listener| listener.downs == [DownReason::Spent]).await;
    assert_eq!((listener.posts.len(), listener.paid.map(|paid| (paid.read, paid.budget))), (5, Some((5, 5))));
    // Whoever goes on reading goes on paying.
    stream.gone().await;
    let mark = listener.stop().await.unwrap();
    // A restart does not forget what was paid.
    let asked = world.sim.asked().len();
    let mut listener = world.listen(quick(), 5, Some(&mark));
    listener.until(|listener| listener.downs == [DownReason::Spent]).await;
    assert_eq!(world.sim.asked().len(), asked, "nothing that costs is asked for");
    let next = Timestamp::parse("2026-12-01T00:00:05Z").unwrap();
    world.clock.set(next);
    let stream = world.sim.stream().await;
    stream.says(&post(id(0), "of the next month"));
    listener.until_text("of the next month").await;
    assert_eq!(listener.paid.map(|paid| paid.read), Some(1));
    assert_eq!(listener.joints, [Joint::Live], "longer ago than X can be searched");
}

#[tokio::test]
async fn a_clock_of_ours_years_ahead_begins_no_month() {
    let mut world = World::new().await;
    world.sim.date("Sun, 22 Nov 2026 15:40:00 GMT");
    world.clock.set(now() + Duration::from_hours(24 * 1200));
    let mut listener = world.listen(quick(), 5, Some(&bookmark(id(0), 3)));
    let stream = world.sim.stream().await;
    stream.says(&post(id(2), "one"));
    listener.until_text("one").await;
    assert_eq!(listener.paid.map(|paid| paid.read), Some(4), "on top of the three of this month");
    world.clock.set(now() + Duration::from_hours(24 * 2400));
    stream.says(&post(id(1), "two"));
    listener.until(|listener| listener.downs == [DownReason::Spent]).await;
    stream.gone().await;
    let mark = listener.stop().await.unwrap();
    assert!(mark.contains("2026-11"), "{mark}");

    // One that was kept by such a clock counts in the month that is.
    let ahead = mark.replace("2026-11", "2030-01");
    world.clock.set(now());
    let mut listener = world.listen(quick(), 5, Some(&ahead));
    listener.until(|listener| listener.downs == [DownReason::Spent]).await;
    world.sim.stream().await.gone().await;
    let mark = listener.stop().await.unwrap();
    assert!(mark.contains("2026-11") && read_so_far(&mark) == 5, "{mark}");
}

fn read_so_far(mark: &str) -> u64 {
    serde_json::from_str::<Value>(mark).unwrap()["read"].as_u64().unwrap()
}

#[tokio::test]
async fn a_search_stays_within_the_budget_and_goes_on_after_a_restart() {
    let mut world = World::new().await;
    for age in 1..=6 {
        world.sim.posted(id(age * 10), &post(id(age * 10), &format!("missed {age}")));
    }
    let mut listener = world.listen(quick(), 10, Some(&bookmark(id(100), 6)));
    let _stream = world.sim.stream().await;
    listener.until(|listener| listener.downs == [DownReason::Spent]).await;
    assert_eq!((listener.posts.len(), world.sim.asked_for(SEARCH).len()), (4, 2), "two pages of two");
    let mark = listener.stop().await.unwrap();
    assert!(mark.contains(&id(100).to_string()), "not all behind it was read: {mark}");
}

#[tokio::test]
async fn what_lies_further_back_than_x_can_be_searched_is_a_gap() {
    let mut world = World::new().await;
    let month = 30 * 24 * 3600;
    world.sim.posted(id(month - 60), &post(id(month - 60), "too old"));
    world.sim.posted(id(60), &post(id(60), "found"));
    let mut listener = world.listen(quick(), 100, Some(&bookmark(id(month), 0)));
    let _stream = world.sim.stream().await;
    listener.until_text("found").await;
    assert_eq!(listener.joints, [Joint::Live]);
    let since: u64 = world.sim.asked_for(SEARCH)[0].parameter("since_id").unwrap().parse().unwrap();
    assert!(since > id(7 * 24 * 3600) && since < id(7 * 24 * 3600 - 3600));
    let (from, to) = listener.missed[0];
    assert_eq!((listener.missed.len(), from), (1, now() - Duration::from_secs(month.unsigned_abs())));
    assert!(to > now() - Duration::from_hours(7 * 24) && to < now() - Duration::from_hours(7 * 24 - 1));
    listener.until(|listener| listener.covered > 0).await;
    let mark = listener.stop().await.unwrap();
    assert!(!mark.contains(&id(month).to_string()), "once on record is enough: {mark}");
}

#[tokio::test]
async fn what_was_missed_is_searched_for_once_x_has_it_all_and_not_before() {
    let mut world = World::new().await;
    let timing = Timing { seam_delay: Duration::from_hours(1), ..quick() };
    let mut listener = world.listen(timing, 100, Some(&bookmark(id(100), 0)));
    let stream = world.sim.stream().await;
    stream.says(&post(id(5), "after"));
    listener.until_text("after").await;
    assert!(world.sim.asked_for(SEARCH).is_empty());
    assert_eq!((listener.covered, listener.joints.as_slice()), (0, &[Joint::GoesOn][..]));
    let mark = listener.stop().await.unwrap();
    assert!(mark.contains(&id(100).to_string()), "nothing behind it was searched: {mark}");
    stream.gone().await;
    world.sim.posted(id(50), &post(id(50), "missed"));
    let mut listener = world.listen(quick(), 100, Some(&mark));
    let _stream = world.sim.stream().await;
    listener.until_text("missed").await;
}

#[tokio::test]
async fn a_search_that_fails_is_tried_again_and_one_that_is_refused_is_a_gap_on_record() {
    let mut world = World::new().await;
    let reset = "x-rate-limit-remaining: 0\r\nx-rate-limit-reset: 1795361999\r\n";
    world.sim.posted(id(50), &post(id(50), "missed"));
    world.sim.refuse_searches([(429, reset, String::new()), (500, "", String::new())]);
    let mut listener = world.listen(quick(), 100, Some(&bookmark(id(100), 0)));
    let stream = world.sim.stream().await;
    listener.until_text("missed").await;
    assert!(listener.missed.is_empty());
    let mark = listener.stop().await.unwrap();
    stream.gone().await;

    world.sim.refuse_searches([(403, "", json!({ "title": "Client Forbidden" }).to_string())]);
    let mut listener = world.listen(quick(), 100, Some(&mark));
    let _stream = world.sim.stream().await;
    listener.until(|listener| listener.missed.len() == 1).await;
    assert!(listener.missed[0].0 < listener.missed[0].1 && listener.missed[0].1 == now());
}

#[tokio::test]
async fn a_page_that_breaks_off_is_asked_for_again_and_never_the_last() {
    let mut world = World::new().await;
    world.sim.posted(id(50), &post(id(50), "missed"));
    let page = || (200, "", r#"{"data":[{"id":"1","te"#.to_owned());
    world.sim.refuse_searches([page(), (200, "", "<html>wait</html>".to_owned())]);
    let mut listener = world.listen(quick(), 100, Some(&bookmark(id(100), 0)));
    let stream = world.sim.stream().await;
    listener.until_text("missed").await;
    assert!(listener.missed.is_empty());
    let mark = listener.stop().await.unwrap();
    stream.gone().await;

    world.sim.refuse_searches([page(), page(), page(), page(), page()]);
    let mut listener = world.listen(quick(), 100, Some(&mark));
    let _stream = world.sim.stream().await;
    listener.until(|listener| listener.missed.len() == 1).await;
}

#[tokio::test]
async fn a_next_page_that_cannot_be_asked_for_is_a_gap() {
    let mut world = World::new().await;
    let endless = json!({ "data": [post(id(50), "missed")["data"]], "meta": { "next_token": "n".repeat(2000) } });
    world.sim.refuse_searches([(200, "", endless.to_string())]);
    let mut listener = world.listen(quick(), 100, Some(&bookmark(id(100), 0)));
    let _stream = world.sim.stream().await;
    listener.until(|listener| listener.missed.len() == 1 && listener.posts.len() == 1).await;
}

#[tokio::test]
async fn a_query_that_is_no_search_is_a_gap_and_the_others_are_searched() {
    let mut world = World::new().await;
    world.sim.posted(id(50), &post(id(50), "missed"));
    let two = Abroad { searches: vec!["a".to_owned(), "b".to_owned()], ..asking(&["a", "b"]) };
    world.asks.send_replace(Arc::new(two));
    world.sim.refuse_searches([(400, "", String::new())]);
    let mut listener = world.listen(quick(), 100, Some(&bookmark(id(100), 0)));
    let _stream = world.sim.stream().await;
    listener.until(|listener| listener.missed.len() == 1 && !listener.posts.is_empty()).await;
    let queries: Vec<_> = world.sim.asked_for(SEARCH).iter().map(|asked| asked.parameter("query").unwrap()).collect();
    assert_eq!(queries, ["a", "b"]);
}

#[tokio::test]
async fn a_clock_of_ours_that_is_wrong_does_not_move_what_is_searched_for() {
    let mut world = World::new().await;
    world.clock.set(now() + Duration::from_hours(3));
    world.sim.date("Sun, 22 Nov 2026 15:40:00 GMT");
    let listener = world.listen(quick(), 100, None);
    let stream = world.sim.stream().await;
    let mark = wait_for_a_mark(listener, &stream).await;
    stream.gone().await;
    let kept: Value = serde_json::from_str(&mark).unwrap();
    assert_eq!(kept["since"].as_u64(), Some(id(0)), "by X's clock");
    world.sim.posted(id(-30), &post(id(-30), "missed"));
    let mut listener = world.listen(quick(), 100, Some(&mark));
    let _stream = world.sim.stream().await;
    listener.until_text("missed").await;
}

/// Where it would go on once it has said so.
async fn wait_for_a_mark(mut listener: Listener, stream: &Stream) -> String {
    stream.is_alive();
    listener.until(|listener| listener.position.bookmark().is_some()).await;
    listener.stop().await.unwrap()
}

#[tokio::test]
async fn after_quiet_weeks_there_is_something_to_go_on_from() {
    let mut world = World::new().await;
    let mut listener = world.listen(quick(), 100, None);
    let stream = world.sim.stream().await;
    stream.is_alive();
    listener.until(|listener| listener.covered == 1).await;
    let later = now() + Duration::from_hours(24 * 20);
    world.clock.set(later);
    stream.is_alive();
    listener.until(|listener| listener.covered == 2).await;
    let mark = listener.stop().await.unwrap();
    stream.gone().await;
    let mut listener = world.listen(quick(), 100, Some(&mark));
    let _stream = world.sim.stream().await;
    listener.until(|listener| listener.joints == [Joint::GoesOn]).await;
}

#[tokio::test]
async fn an_endless_line_is_counted_and_those_around_it_are_read() {
    let mut world = World::new().await;
    let mut listener = world.listen(quick(), 100, None);
    let stream = world.sim.stream().await;
    stream.says(&post(id(3), "before"));
    for _ in 0..40 {
        stream.sends("x".repeat(1 << 15).as_bytes());
    }
    stream.sends(b"\r\n");
    stream.says("not json");
    stream.says(&post(id(2), "after"));
    listener.until(|listener| listener.posts.len() == 2).await;
    assert_eq!(listener.rejected, [Rejected::TooLarge, Rejected::NotJson]);
}

#[tokio::test]
async fn an_edit_is_the_same_post_matched_again() {
    let mut world = World::new().await;
    let mut listener = world.listen(quick(), 100, None);
    let stream = world.sim.stream().await;
    stream.says(&post(id(9), "smoke"));
    let mut edited = post(id(5), "smoke on 4");
    edited["data"]["edit_history_tweet_ids"] = json!([id(9).to_string(), id(5).to_string()]);
    stream.says(&edited);
    listener.until_text("smoke on 4").await;
    assert_eq!((listener.posts.len(), listener.copies.len()), (1, 2));
}

#[tokio::test]
async fn what_an_operator_asks_for_in_x_s_words_is_asked_for_alone() {
    let mut world = World::new().await;
    let config = XConfig {
        url: world.sim.url.clone(),
        token: Secret::new(TOKEN.to_owned()),
        monthly_posts: 100,
        queries: vec!["(\"northgate hospital\" OR @northgate) -is:retweet".to_owned()],
        transport: Transport::default(),
    };
    let clock = Arc::new(world.clock.clone());
    let _listener = Listener::start_asking(SourceKind::X(config), quick(), None, clock, world.asks.subscribe());
    let _stream = world.sim.stream().await;
    let values: Vec<String> = world.sim.rules().into_iter().map(|rule| rule.value).collect();
    assert_eq!(values, ["(\"northgate hospital\" OR @northgate) -is:retweet"]);
}
