//! The firehose: its messages read, and a source of it against a host on loopback that follows the
//! protocol to the letter.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use ipld_core::ipld::Ipld;
use proptest::prelude::*;
use serde_json::{Value, json};
use stormbell::config::model::{AtprotoConfig, SourceKind, Transport};
use stormbell::domain::condition::Condition;
use stormbell::domain::engine::Input;
use stormbell::domain::event::{Cursor, DownReason, Joint, Rejected, SourceEvent};
use stormbell::domain::id::SourceName;
use stormbell::domain::incident::Severity;
use stormbell::domain::message::MessageKind;
use stormbell::domain::post::Post;
use stormbell::domain::time::Timestamp;
use stormbell::source::atproto::{self, Message};
use stormbell::source::line::Line;
use stormbell::source::position::Position;
use stormbell::source::timing::Timing;
use stormbell::source::{self, Format, Frame, Incoming, jetstream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::support::PATIENCE;
use crate::support::clock::FixedClock;
use crate::support::firehose::{self, Fault, Op, SimRepos};
use crate::support::sim::{Sim, route, rule};

const NOW: i64 = 1_795_361_895_000_000;
const SECOND: i64 = 1_000_000;
const ANN: &str = "did:plc:ann";

fn frames(message: &[u8]) -> Vec<Result<String, Rejected>> {
    let Ok(Message::Events { frames, .. }) = atproto::read(message) else { panic!("no events") };
    frames.into_iter().map(|frame| frame.map(|frame| String::from_utf8(frame).unwrap())).collect()
}

fn events(message: &[u8]) -> Vec<Result<SourceEvent, Rejected>> {
    let decode = |frame: String| jetstream::decode(&"firehose".into(), frame.as_bytes(), None).event;
    frames(message).into_iter().map(|frame| frame.and_then(decode)).collect()
}

fn only_post(message: &[u8]) -> Post {
    match events(message).as_slice() {
        [Ok(SourceEvent::Post(post))] => (**post).clone(),
        other => panic!("not one post but {other:?}"),
    }
}

#[test]
fn a_change_becomes_what_jetstream_would_say_of_it() {
    let record = json!({
        "$type": "app.bsky.feed.post", "createdAt": "2026-11-22T15:38:15.101Z", "text": "at the \"ER\" 😂",
        "embed": {"$type": "app.bsky.embed.images", "images": [{"alt": "Crowded waiting room", "image": {
            "$type": "blob", "mimeType": "image/png", "ref": {"$link": firehose::cid(b"picture").to_string()},
            "size": 69}}]},
    });
    let cid = firehose::cid(&serde_ipld_dagcbor::to_vec(&firehose::ipld(&record)).unwrap());
    let message = firehose::commit(7, NOW, ANN, &[firehose::written("create", "k1", record.clone())]);
    let commit = json!({
        "rev": "3n2vwk5zwhs2v", "operation": "create", "collection": "app.bsky.feed.post", "rkey": "k1",
        "record": record, "cid": cid.to_string(),
    });
    let frame = frames(&message).remove(0).unwrap();
    let expected = json!({"did": ANN, "time_us": NOW, "kind": "commit", "commit": commit});
    assert_eq!(serde_json::from_str::<Value>(&frame).unwrap(), expected);
    assert!(frame.starts_with(&format!(r#"{{"did":"{ANN}","time_us":{NOW},"kind":"commit","commit":{{"rev":"#)));
    let post = only_post(&message);
    assert_eq!(post.id.as_str(), "at://did:plc:ann/app.bsky.feed.post/k1");
    assert_eq!(post.version, Some(cid.to_string()));
    assert_eq!(
        (post.text.as_str(), &post.media_text[..]),
        ("at the \"ER\" 😂", &["Crowded waiting room".to_owned()][..])
    );
    assert_eq!((post.event_time.micros(), post.created_at.to_string().as_str()), (NOW, "2026-11-22T15:38:15.101Z"));
}

/// Whoever listens to both reads each post twice, at two times.
#[test]
fn a_post_that_comes_by_the_firehose_and_by_jetstream_counts_once() {
    let rules = || vec![rule("smoke", "smoke", Severity::High, "smoke", Condition::Match)];
    let routes = || vec![route(&[], &["smoke"], &[(&["pager"], None)], None)];
    let record =
        |text: &str| json!({"$type": "app.bsky.feed.post", "createdAt": "2026-11-22T15:38:15.101Z", "text": text});
    let first = firehose::commit(7, NOW, ANN, &[firehose::written("create", "3k", record("smoke in ward nine"))]);
    let edited =
        firehose::commit(8, NOW + SECOND, ANN, &[firehose::written("update", "3k", record("smoke in ward ten"))]);
    let gone = firehose::commit(9, NOW + 2 * SECOND, ANN, &[firehose::delete("3k")]);
    // What Jetstream says of a change differs in its time alone.
    let jetstream_says = |message: &[u8]| {
        let mut said: Value = serde_json::from_str(frames(message)[0].as_ref().unwrap()).unwrap();
        said["time_us"] = json!(said["time_us"].as_i64().unwrap() + SECOND / 2);
        said.to_string()
    };
    for order in [["firehose", "bluesky"], ["bluesky", "firehose"]] {
        let mut sim = Sim::new(rules(), routes());
        sim.now = Timestamp::from_micros(NOW + 3 * SECOND);
        for message in [&first, &edited, &gone] {
            for source in order {
                let frame = match source {
                    "firehose" => frames(message).remove(0).unwrap(),
                    _ => jetstream_says(message),
                };
                let format = if source == "firehose" { Format::Atproto } else { Format::Jetstream };
                let decoded = format.decode(&source.into(), frame.as_bytes(), Some(sim.now));
                let batch = sim.batch_of(source, vec![decoded], Some(sim.now));
                sim.step(Input::Batch(batch));
            }
        }
        let ledger = &sim.model.ledger;
        assert_eq!((ledger.frames, ledger.posts, ledger.duplicates, ledger.other), (6, 2, 2, 2), "{order:?}");
        assert_eq!((sim.incident().posts, sim.incident().authors), (1, 1), "{order:?}");
        assert_eq!(sim.model.sent(MessageKind::Opened).len(), 1, "{order:?}");
    }
}

#[test]
fn every_change_of_a_commit_is_an_event_of_its_own() {
    let edited = firehose::written("update", "k2", json!({"text": "edited"}));
    let ops = [firehose::post("k1", "one"), edited, firehose::delete("k3"), firehose::like("l")];
    let events = events(&firehose::commit(7, NOW, ANN, &ops));
    let [
        Ok(SourceEvent::Post(one)),
        Ok(SourceEvent::Post(two)),
        Ok(SourceEvent::PostDeleted { post, .. }),
        Ok(SourceEvent::Other),
    ] = events.as_slice()
    else {
        panic!("{events:?}")
    };
    assert_eq!((one.text.as_str(), two.text.as_str()), ("one", "edited"));
    assert_eq!(post.as_str(), "at://did:plc:ann/app.bsky.feed.post/k3");
}

#[test]
fn a_change_without_its_record_is_counted_and_is_no_deletion() {
    let missing = Op { without_block: true, ..firehose::post("k1", "lost") };
    let odd = Op { path: "app.bsky.feed.post".into(), ..firehose::post("k2", "no key") };
    let nameless = Op { record: None, ..firehose::post("k3", "no cid") };
    let ops = [missing, firehose::post("k4", "found"), odd, nameless];
    let events = events(&firehose::commit(7, NOW, ANN, &ops));
    let lost = Err(Rejected::MissingField);
    assert_eq!((&events[0], &events[2], &events[3]), (&lost, &lost, &lost));
    assert!(matches!(&events[1], Ok(SourceEvent::Post(post)) if post.text == "found"), "{events:?}");
}

#[test]
fn names_accounts_and_replaced_repositories_are_read() {
    let one = |message: &[u8]| events(message).remove(0).unwrap();
    let named = one(&firehose::identity(1, NOW, ANN, "ann.example"));
    assert_eq!(named, SourceEvent::Handle { author: ANN.into(), handle: "ann.example".into() });
    let at = Timestamp::from_micros(NOW);
    let gone = SourceEvent::AuthorDeleted { author: ANN.into(), at };
    for (status, expected) in [
        (Some("deleted"), &gone),
        (Some("takendown"), &gone),
        (Some("deactivated"), &SourceEvent::Other),
        (Some("throttled"), &SourceEvent::Other),
        (None, &SourceEvent::Other),
    ] {
        assert_eq!(&one(&firehose::account(2, NOW, ANN, status)), expected, "{status:?}");
    }
    assert_eq!(one(&firehose::sync(3, NOW, ANN)), SourceEvent::Other);
    assert_eq!(one(&firehose::commit(4, NOW, ANN, &[])), SourceEvent::Other, "a new account");
}

#[test]
fn what_a_host_says_of_itself_is_told_apart_from_events() {
    assert_eq!(atproto::read(&firehose::info("OutdatedCursor")), Ok(Message::Info("OutdatedCursor".into())));
    assert_eq!(atproto::read(&firehose::error("FutureCursor")), Ok(Message::Error("FutureCursor".into())));
    let forged = atproto::read(&firehose::error("x\nsource down"));
    assert_eq!(forged, Ok(Message::Error("something without a name".into())));
    let later = firehose::message("#poem", &Ipld::Map([("seq".to_owned(), Ipld::Integer(1))].into()));
    assert_eq!(atproto::read(&later), Ok(Message::Unknown));
}

/// arroba writes times with microseconds and an offset, and `since` as null.
#[test]
fn other_programs_write_times_in_other_ways() {
    let text = |time: &str| {
        let body = [("seq", Ipld::Integer(1)), ("time", time.into()), ("did", ANN.into()), ("active", true.into())];
        let body = body.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        atproto::read(&firehose::message("#account", &Ipld::Map(body)))
    };
    for time in ["2026-11-22T15:38:15Z", "2026-11-22T15:38:15.000000+00:00", "2026-11-22T16:38:15.000+01:00"] {
        let Ok(Message::Events { at, .. }) = text(time) else { panic!("{time}") };
        assert_eq!(at.micros(), NOW, "{time}");
    }
    assert_eq!(text("yesterday"), Err(Rejected::AbsurdDate));
}

/// What arroba's server put on the wire for an account, a post of it, an edit and a deletion.
#[test]
fn messages_written_by_others_are_read() {
    let seed = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds/atproto").join(name);
        std::fs::read(path).unwrap()
    };
    let did = format!("did:plc:{}", "a".repeat(24));
    let uri = format!("at://{did}/app.bsky.feed.post/3n2vwk5zgts2v");
    for quiet in ["empty-commit", "account", "sync"] {
        assert_eq!(events(&seed(quiet)), [Ok(SourceEvent::Other)], "{quiet}");
    }
    let handle = SourceEvent::Handle { author: did.into(), handle: "ann.test".into() };
    assert_eq!(events(&seed("identity")), [Ok(handle)]);
    let (created, edited) = (only_post(&seed("create")), only_post(&seed("update")));
    assert_eq!((created.text.as_str(), edited.text.as_str()), ("Gunman at St Brigids", "Edited"));
    assert_eq!((created.id.as_str(), edited.id.as_str()), (uri.as_str(), uri.as_str()));
    // As the server answered when it was created.
    let cid = "bafyreicvua3qysuq23ks5kxm3icetnw2kfo5nc5po3w4kjwqevl2ynm5oq";
    assert_eq!(created.version.as_deref(), Some(cid));
    assert!(edited.version.is_some() && edited.version != created.version);
    let deleted = events(&seed("delete"));
    let [Ok(SourceEvent::PostDeleted { post, .. })] = deleted.as_slice() else { panic!("{deleted:?}") };
    assert_eq!(post.as_str(), uri);
}

#[test]
fn what_cannot_be_read_is_rejected_with_its_reason() {
    let sound = firehose::commit(7, NOW, ANN, &[firehose::post("k1", "one")]);
    assert_eq!(atproto::read(b""), Err(Rejected::NotJson));
    assert_eq!(atproto::read(br#"{"did":"text frames are invalid"}"#), Err(Rejected::NotJson));
    for end in 1..sound.len() {
        assert!(atproto::read(&sound[..end]).is_err(), "cut at {end}");
    }
    let of = |entries: &[(&str, Ipld)]| {
        let body = entries.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        atproto::read(&firehose::message("#commit", &Ipld::Map(body)))
    };
    let time = || Ipld::from("2026-11-22T15:38:15Z");
    assert_eq!(of(&[("time", time()), ("repo", ANN.into())]), Err(Rejected::MissingField));
    assert_eq!(of(&[("seq", Ipld::Integer(1)), ("repo", ANN.into())]), Err(Rejected::MissingField));
    assert_eq!(of(&[("seq", Ipld::Integer(1)), ("time", time())]), Err(Rejected::MissingField));
    assert_eq!(of(&[("seq", "one".into()), ("time", time()), ("repo", ANN.into())]), Err(Rejected::WrongType));
    // As deep as the reader goes, and no deeper.
    let deep = (0..100_000).fold(Vec::new(), |mut bytes, _| {
        bytes.push(0x81);
        bytes
    });
    assert!(atproto::read(&[&b"\xa2\x61tg#commit\x62op\x01"[..], &deep].concat()).is_err());
}

proptest! {
    #[test]
    fn no_bytes_stop_the_reader(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        (at, byte) in (any::<prop::sample::Index>(), any::<u8>()),
    ) {
        drop(atproto::read(&noise));
        let mut damaged = firehose::commit(7, NOW, ANN, &[firehose::post("k1", "one"), firehose::delete("k2")]);
        let at = at.index(damaged.len());
        damaged[at] = byte;
        if let Ok(Message::Events { frames, .. }) = atproto::read(&damaged) {
            for frame in frames.into_iter().flatten() {
                prop_assert!(serde_json::from_slice::<Value>(&frame).is_ok());
            }
        }
    }
}

#[test]
fn recordings_are_lines_of_base64_or_of_digits() {
    let message = firehose::commit(7, NOW, ANN, &[firehose::post("k1", "one"), firehose::post("k2", "two")]);
    let base64 = base64::prelude::BASE64_STANDARD.encode(&message);
    let digits = message.iter().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"));
    for line in [base64.as_str(), base64.trim_end_matches('='), &digits, &digits.to_uppercase().replacen('A', "a", 1)] {
        assert_eq!(Format::guess(line.as_bytes()), Some(Format::Atproto), "{line}");
        let mut split = Vec::new();
        let line = Frame { received_at: None, body: Ok(line.to_owned().into()) };
        Format::Atproto.split(line, &mut split);
        let texts = split.iter().map(|frame| {
            let decoded = Format::Atproto.decode(&"file".into(), frame.body.as_ref().unwrap(), None);
            assert_eq!(decoded.cursor, Some(Cursor(NOW)));
            let Ok(SourceEvent::Post(post)) = decoded.event else { panic!("no post") };
            post.text
        });
        assert_eq!(texts.collect::<Vec<_>>(), ["one", "two"]);
    }
    for line in ["hello", "a2", "{}", "", "omF0", "abc"] {
        assert_eq!(Format::guess(line.as_bytes()), None, "{line}");
        let mut split = Vec::new();
        Format::Atproto.split(Frame { received_at: None, body: Ok(line.to_owned().into()) }, &mut split);
        assert_eq!(split.len(), 1);
        assert_eq!(split[0].body, Err(Rejected::NotJson), "{line}");
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A source that runs, and the program that listens to it.
struct Rig {
    incoming: mpsc::Receiver<Incoming>,
    position: Position,
    _tasks: JoinSet<()>,
    posts: BTreeSet<String>,
    deleted: usize,
    rejected: Vec<Rejected>,
    downs: Vec<DownReason>,
    connected: Vec<(String, Joint)>,
}

impl Rig {
    fn start(urls: Vec<Url>, cursor: Option<i64>, bookmark: Option<String>) -> Self {
        let (out, incoming) = mpsc::channel(64);
        let position = Position::at(cursor.map(Cursor), bookmark.map(Into::into));
        let clock = Arc::new(FixedClock(Timestamp::from_micros(NOW + SECOND)));
        let timing = Timing { first_backoff: millis(10), longest_backoff: millis(50), ..Timing::default() };
        let name = SourceName::from("firehose");
        let line = Line::new(name, timing, position.clone(), out, clock, CancellationToken::new());
        let config = AtprotoConfig {
            urls,
            max_frame_bytes: 10_000,
            expect_frame_within: None,
            profiles: None,
            transport: Transport::default(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(source::read(SourceKind::Atproto(config), line));
        let (posts, deleted, rejected, downs, connected) = Default::default();
        Self { incoming, position, _tasks: tasks, posts, deleted, rejected, downs, connected }
    }

    async fn until(&mut self, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            let incoming = timeout(PATIENCE, self.incoming.recv()).await;
            match incoming.expect("nothing more came").expect("the source ended") {
                Incoming::Connected { host, joint, .. } => self.connected.push((host, joint)),
                Incoming::Down { reason, .. } => self.downs.push(reason),
                Incoming::Frames { frames, reach, .. } => {
                    for frame in frames {
                        self.process(frame);
                    }
                    if let Some(bookmark) = reach.bookmark {
                        self.position.mark(bookmark);
                    }
                }
                Incoming::Author { .. } => panic!("nobody is asked"),
                Incoming::Missed { .. } => panic!("nothing is given up"),
            }
        }
    }

    fn process(&mut self, frame: Frame) {
        let body = match frame.body {
            Ok(body) => body,
            Err(reason) => return self.rejected.push(reason),
        };
        let decoded = Format::Atproto.decode(&"firehose".into(), &body, frame.received_at);
        match decoded.event {
            Ok(SourceEvent::Post(post)) => drop(self.posts.insert(post.text)),
            Ok(SourceEvent::PostDeleted { .. }) => self.deleted += 1,
            Ok(_) => {}
            Err(reason) => self.rejected.push(reason),
        }
        if let Some(cursor) = decoded.cursor {
            self.position.advance(cursor);
        }
    }

    async fn until_post(&mut self, n: i64) {
        self.until(|rig| rig.posts.contains(&format!("post {n}"))).await;
    }

    fn assert_posts(&self, numbers: std::ops::RangeInclusive<i64>) {
        let expected: BTreeSet<_> = numbers.map(|n| format!("post {n}")).collect();
        assert_eq!(self.posts, expected);
    }
}

/// The post of that number, which the host counts from `base`.
fn happens(sim: &SimRepos, base: u64, n: i64) {
    let seq = base + n.unsigned_abs();
    sim.push(
        seq,
        firehose::commit(seq, NOW + n * 1000, ANN, &[firehose::post(&format!("k{n}"), &format!("post {n}"))]),
    );
}

#[tokio::test]
async fn a_cut_connection_goes_on_right_behind_and_nothing_is_lost() {
    let sim = SimRepos::start(&[&[(3, Fault::Cut)]]).await;
    (1..=4).for_each(|n| happens(&sim, 100, n));
    sim.push(105, firehose::commit(105, NOW + 5000, ANN, &[firehose::post("k5", "post 5"), firehose::delete("k1")]));
    let mut rig = Rig::start(vec![sim.url()], Some(NOW), Some(format!("100 {}", sim.host())));
    rig.until(|rig| rig.deleted == 1).await;
    rig.assert_posts(1..=5);
    assert_eq!(sim.path(), "/xrpc/com.atproto.sync.subscribeRepos");
    assert_eq!((sim.cursors(), rig.downs), (vec![Some(100), Some(103)], vec![DownReason::Closed]));
    assert!(rig.connected.iter().all(|(_, joint)| *joint == Joint::GoesOn), "{:?}", rig.connected);
    assert_eq!(rig.position.bookmark(), Some(format!("105 {}", sim.host()).into()));
}

#[tokio::test]
async fn a_source_that_knows_nothing_begins_with_the_present() {
    let sim = SimRepos::start(&[]).await;
    happens(&sim, 0, 1);
    let mut rig = Rig::start(vec![sim.url()], None, None);
    rig.until(|rig| rig.connected.len() == 1).await;
    happens(&sim, 0, 2);
    rig.until_post(2).await;
    rig.assert_posts(2..=2);
    assert_eq!((sim.cursors(), rig.connected[0].1), (vec![None], Joint::Live));
}

#[tokio::test]
async fn a_cursor_that_is_too_old_is_announced_and_the_gap_shows() {
    let sim = SimRepos::start(&[]).await;
    (1..=4).for_each(|n| happens(&sim, 100, n));
    sim.forget_before(103);
    let mut rig = Rig::start(vec![sim.url()], Some(NOW - 3600 * SECOND), Some(format!("5 {}", sim.host())));
    rig.until_post(4).await;
    rig.assert_posts(3..=4);
    // The second word counts: the engine compares the first event with what was known.
    let joints: Vec<_> = rig.connected.iter().map(|(_, joint)| *joint).collect();
    assert_eq!(joints, [Joint::GoesOn, Joint::Repeats(Cursor(NOW - 3600 * SECOND))]);
    assert_eq!((rig.downs.len(), rig.rejected.len()), (0, 0));
}

#[tokio::test]
async fn a_host_that_was_set_back_is_read_from_its_beginning() {
    let sim = SimRepos::start(&[]).await;
    (1..=3).for_each(|n| happens(&sim, 0, n));
    let mut rig = Rig::start(vec![sim.url()], Some(NOW + 1000), Some(format!("9000 {}", sim.host())));
    rig.until_post(3).await;
    rig.assert_posts(1..=3);
    assert_eq!((sim.cursors(), rig.downs), (vec![Some(9000), Some(0)], vec![DownReason::Refused]));
    assert_eq!(rig.connected[1].1, Joint::Repeats(Cursor(NOW + 1000)));
}

#[tokio::test]
async fn days_of_another_host_are_not_read_again() {
    let first = SimRepos::start(&[&[(1, Fault::Cut)]]).await;
    let second = SimRepos::start(&[]).await;
    // The second stays behind the cut.
    (1..=2).for_each(|n| happens(&first, 100, n));
    let old = NOW - 48 * 3600 * SECOND;
    second.push(7, firehose::commit(7, old, ANN, &[firehose::post("old", "of two days ago")]));
    let mut rig = Rig::start(vec![first.url(), second.url()], Some(NOW), Some(format!("100 {}", first.host())));
    second.until(|second| second.cursors().len() == 2).await;
    rig.until(|rig| rig.connected.len() == 3).await;
    happens(&second, 10, 2);
    rig.until_post(2).await;
    rig.assert_posts(1..=2);
    assert_eq!((first.cursors(), second.cursors()), (vec![Some(100)], vec![Some(0), None]));
    assert_eq!(rig.connected[2].1, Joint::Live, "the gap is told");
}

/// Quirk: a consumer far behind can be dropped again and again while it catches up (bluesky-social/indigo#975).
#[tokio::test]
async fn quirk_5_a_host_that_drops_us_while_we_catch_up_is_gone_on_with() {
    let slow = [(2, Fault::Error("ConsumerTooSlow"))];
    let sim = SimRepos::start(&[&slow, &slow, &slow]).await;
    let other = SimRepos::start(&[]).await;
    (1..=8).for_each(|n| happens(&sim, 100, n));
    let mut rig = Rig::start(vec![sim.url(), other.url()], Some(NOW), Some(format!("100 {}", sim.host())));
    rig.until_post(8).await;
    rig.assert_posts(1..=8);
    assert_eq!(sim.cursors(), [Some(100), Some(102), Some(104), Some(106)]);
    assert_eq!((rig.downs, other.cursors().len()), (vec![DownReason::Overrun; 3], 0));
}

#[tokio::test]
async fn garbage_and_monsters_cost_one_message() {
    let monster =
        firehose::commit(9, NOW, ANN, &[firehose::post("m", &"x".repeat(20_000)), firehose::post("k0", "post 0")]);
    let faults = [(1, Fault::Message(b"not cbor".to_vec())), (1, Fault::Message(monster))];
    let sim = SimRepos::start(&[&faults]).await;
    (1..=2).for_each(|n| happens(&sim, 100, n));
    let mut rig = Rig::start(vec![sim.url()], Some(NOW), Some(format!("100 {}", sim.host())));
    rig.until_post(2).await;
    rig.assert_posts(0..=2);
    assert_eq!((rig.rejected, rig.downs.len()), (vec![Rejected::NotJson, Rejected::TooLarge], 0));
}
