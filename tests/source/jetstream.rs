//! A Jetstream source against a server on loopback that misbehaves as real ones do.
//! Whatever goes wrong, every frame the server keeps arrives, and what happened is told.

mod v2;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use stormbell::config::model::{JetstreamConfig, Proxy, SourceKind, Transport};
use stormbell::config::secret::Secret;
use stormbell::domain::event::{Cursor, DownReason, Joint, Rejected, SourceEvent};
use stormbell::domain::id::SourceName;
use stormbell::domain::time::Timestamp;
use stormbell::net::ws::{ConnectError, Connector};
use stormbell::source::line::Line;
use stormbell::source::position::Position;
use stormbell::source::timing::Timing;
use stormbell::source::{self, Frame, Incoming, jetstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::support::PATIENCE;
use crate::support::clock::FixedClock;
use crate::support::frames;
use crate::support::jetstream::{Fault, Script, SimJetstream};
use crate::support::proxy::SimProxy;

/// The present, and the time of the posts.
const NOW: i64 = 1_795_361_895_000_000;
const SECOND: i64 = 1_000_000;
/// Longer than any test waits.
const NEVER: Duration = Duration::from_hours(1);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Hurries, except where a test has no use for the mechanism at all.
fn quick() -> Timing {
    Timing {
        first_backoff: millis(10),
        longest_backoff: millis(50),
        ping_every: NEVER,
        answer_within: NEVER,
        seam_delay: NEVER,
        seam_margin: Duration::from_secs(5),
        ..Timing::default()
    }
}

fn config(urls: Vec<Url>) -> JetstreamConfig {
    JetstreamConfig {
        urls,
        wanted_collections: vec!["app.bsky.feed.post".into()],
        max_frame_bytes: 1 << 20,
        expect_frame_within: None,
        profiles: None,
        compression: None,
        transport: Transport::default(),
    }
}

fn post(n: i64) -> String {
    frames::post(NOW + n * 1000, "did:plc:ann", &format!("k{n}"), &format!("post {n}"))
}

/// A source that runs, and the program that listens to it.
struct Rig {
    incoming: mpsc::Receiver<Incoming>,
    position: Position,
    cancel: CancellationToken,
    tasks: JoinSet<()>,
    posts: BTreeSet<String>,
    rejected: Vec<Rejected>,
    downs: Vec<DownReason>,
    connected: Vec<(String, Joint)>,
    batches: Vec<usize>,
}

impl Rig {
    fn start(config: JetstreamConfig, timing: Timing, resume_from: Option<i64>) -> Self {
        Self::with_queue(config, timing, resume_from, 64)
    }

    fn with_queue(config: JetstreamConfig, timing: Timing, resume_from: Option<i64>, room: usize) -> Self {
        let (out, incoming) = mpsc::channel(room);
        let position = Position::at(resume_from.map(Cursor), None);
        let clock = Arc::new(FixedClock(Timestamp::from_micros(NOW + SECOND)));
        let name = SourceName::from("bluesky");
        let cancel = CancellationToken::new();
        let line = Line::new(name, timing, position.clone(), out, clock, cancel.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(source::read(SourceKind::Jetstream(config), line));
        Self {
            incoming,
            position,
            cancel,
            tasks,
            posts: BTreeSet::new(),
            rejected: Vec::new(),
            downs: Vec::new(),
            connected: Vec::new(),
            batches: Vec::new(),
        }
    }

    /// Reads on until something is so, processing as the engine would.
    async fn until(&mut self, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            let incoming = timeout(PATIENCE, self.incoming.recv()).await;
            match incoming.expect("nothing more came").expect("the source ended") {
                Incoming::Connected { host, joint, .. } => self.connected.push((host, joint)),
                Incoming::Down { reason, .. } => self.downs.push(reason),
                Incoming::Author { .. } => panic!("nobody is asked"),
                Incoming::Missed { .. } => panic!("nothing is given up"),
                Incoming::Frames { frames, reach, .. } => {
                    self.batches.push(frames.len());
                    for frame in frames {
                        self.process(frame);
                    }
                    if let Some(bookmark) = reach.bookmark {
                        self.position.mark(bookmark);
                    }
                }
            }
        }
    }

    fn process(&mut self, frame: Frame) {
        let body = match frame.body {
            Ok(body) => body,
            Err(reason) => return self.rejected.push(reason),
        };
        let decoded = jetstream::decode(&SourceName::from("bluesky"), &body, frame.received_at);
        match decoded.event {
            Ok(SourceEvent::Post(post)) => drop(self.posts.insert(post.text)),
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

    /// All posts up to `n`, whatever the way they came.
    fn assert_posts(&self, numbers: std::ops::RangeInclusive<i64>) {
        let expected: BTreeSet<_> = numbers.map(|n| format!("post {n}")).collect();
        assert_eq!(self.posts, expected);
    }
}

#[tokio::test]
async fn a_cut_connection_is_resumed_with_an_overlap_and_nothing_is_lost() {
    let sim = SimJetstream::start(Script::default().connection(&[(3, Fault::Cut)])).await;
    (1..=5).for_each(|n| sim.push(post(n)));
    let mut rig = Rig::start(config(vec![sim.url()]), quick(), Some(NOW));
    rig.until_post(5).await;
    rig.assert_posts(1..=5);
    assert_eq!(rig.downs, [DownReason::Closed]);
    assert_eq!(rig.connected[1].1, Joint::Repeats(Cursor(NOW + 3000)));
    assert_eq!(sim.requests()[0].cursor(), Some(NOW - 5 * SECOND));
    assert_eq!(sim.requests()[1].cursor(), Some(NOW + 3000 - 5 * SECOND));
    assert_eq!(sim.requests()[1].parameter("wantedCollections"), ["app.bsky.feed.post"]);
    assert_eq!(sim.fired(Fault::Cut), 1);
}

#[tokio::test]
async fn quirk_3_a_quiet_host_that_ends_every_few_seconds_is_dialled_again_and_again() {
    let cut = &[(1, Fault::Cut)];
    let sim = SimJetstream::start(Script::default().connection(cut).connection(cut).connection(cut)).await;
    sim.push(post(1));
    let mut rig = Rig::start(config(vec![sim.url()]), quick(), Some(NOW));
    rig.until(|rig| rig.downs.len() == 3).await;
    sim.push(post(2));
    rig.until_post(2).await;
    rig.assert_posts(1..=2);
    assert_eq!((rig.downs.as_slice(), sim.fired(Fault::Cut)), (&[DownReason::Closed; 3][..], 3));
}

#[tokio::test]
async fn a_source_that_knows_no_place_yet_returns_to_the_first_frame_it_saw() {
    let sim = SimJetstream::start(Script::default().connection(&[(1, Fault::CutWithClose)])).await;
    let mut rig = Rig::start(config(vec![sim.url()]), quick(), None);
    rig.until(|rig| rig.connected.len() == 1).await;
    assert_eq!((sim.requests()[0].cursor(), rig.connected[0].1), (None, Joint::Live));
    sim.push(post(1));
    rig.until(|rig| rig.downs == [DownReason::Closed]).await;
    sim.push(post(2));
    rig.until_post(2).await;
    assert_eq!(sim.requests()[1].cursor(), Some(NOW + 1000 - 5 * SECOND));
    assert_eq!(sim.fired(Fault::CutWithClose), 1);
}

#[tokio::test]
async fn another_host_takes_over_with_a_longer_overlap() {
    let first = SimJetstream::start(Script::default().connection(&[(2, Fault::Cut)])).await;
    let second = SimJetstream::start(Script::default()).await;
    for n in 1..=4 {
        first.push(post(n));
        second.push(post(n));
    }
    let nobody = Url::parse("ws://127.0.0.1:1/subscribe").unwrap();
    let mut rig = Rig::start(config(vec![nobody, first.url(), second.url()]), quick(), Some(NOW));
    rig.until_post(4).await;
    rig.assert_posts(1..=4);
    assert_eq!(rig.downs, [DownReason::ConnectFailed, DownReason::Closed]);
    assert_eq!(rig.connected[1].0, format!("localhost:{}", second.url().port().unwrap()));
    assert_eq!(second.requests()[0].cursor(), Some(NOW + 2000 - 10 * SECOND));
}

#[tokio::test]
async fn quirk_2_a_connection_that_says_nothing_is_given_up_when_frames_are_expected() {
    let sim = SimJetstream::start(Script::default().connection(&[(1, Fault::Stall)])).await;
    (1..=2).for_each(|n| sim.push(post(n)));
    let patient = JetstreamConfig { profiles: None, expect_frame_within: Some(millis(150)), ..config(vec![sim.url()]) };
    let mut rig = Rig::start(patient, quick(), Some(NOW));
    rig.until_post(2).await;
    assert_eq!(rig.downs[0], DownReason::Stalled);
    assert_eq!(sim.fired(Fault::Stall), 1);
}

#[tokio::test]
async fn a_quiet_feed_that_answers_pings_is_left_alone() {
    let sim = SimJetstream::start(Script::default()).await;
    let timing = Timing { ping_every: millis(50), answer_within: millis(1000), ..quick() };
    let mut rig = Rig::start(config(vec![sim.url()]), timing, None);
    sim.until(|sim| sim.pings() >= 30).await;
    sim.push(post(1));
    rig.until_post(1).await;
    assert_eq!((sim.requests().len(), rig.downs.len()), (1, 0));
}

#[tokio::test]
async fn a_half_open_connection_is_noticed_by_its_missing_pongs() {
    let sim = SimJetstream::start(Script::default().connection(&[(1, Fault::HalfOpen)])).await;
    (1..=2).for_each(|n| sim.push(post(n)));
    let timing = Timing { ping_every: millis(50), answer_within: millis(300), ..quick() };
    let mut rig = Rig::start(config(vec![sim.url()]), timing, Some(NOW));
    rig.until_post(2).await;
    assert_eq!(rig.downs, [DownReason::Stalled]);
    assert_eq!(sim.fired(Fault::HalfOpen), 1);
}

#[tokio::test]
async fn a_busy_server_is_left_alone_for_as_long_as_it_asks() {
    let mut script = Script::default().connection(&[(0, Fault::Refuse503)]);
    script.retry_after = Some("1".into());
    let sim = SimJetstream::start(script).await;
    sim.push(post(1));
    let started = Instant::now();
    let mut rig = Rig::start(config(vec![sim.url()]), quick(), Some(NOW));
    rig.until_post(1).await;
    assert!(started.elapsed() >= millis(1000), "{:?}", started.elapsed());
    assert_eq!(rig.downs, [DownReason::Refused]);
    assert_eq!(sim.fired(Fault::Refuse503), 1);
}

#[tokio::test]
async fn a_server_cannot_send_us_away_for_ever() {
    let mut script = Script::default().connection(&[(0, Fault::Refuse503)]);
    script.retry_after = Some("999999999999".into());
    let sim = SimJetstream::start(script).await;
    sim.push(post(1));
    let timing = Timing { longest_rest: millis(50), ..quick() };
    let mut rig = Rig::start(config(vec![sim.url()]), timing, Some(NOW));
    rig.until_post(1).await;
    assert_eq!(sim.fired(Fault::Refuse503), 1);
}

#[tokio::test]
async fn a_host_that_refuses_is_left_for_the_next() {
    let refusing = Script::default().connection(&[(0, Fault::Refuse400)]).connection(&[(0, Fault::Refuse503)]);
    let (first, second) = (SimJetstream::start(refusing).await, SimJetstream::start(Script::default()).await);
    second.push(post(1));
    let mut rig = Rig::start(config(vec![first.url(), second.url()]), quick(), Some(NOW));
    rig.until_post(1).await;
    assert_eq!(rig.downs, [DownReason::Refused]);
    assert_eq!(first.fired(Fault::Refuse400), 1);
    let refusal = Connector::new(Transport::default(), PATIENCE, 1 << 20).connect(&first.url()).await;
    let Err(ConnectError::Refused { status: 503, excerpt, .. }) = refusal else { panic!("not refused") };
    assert_eq!(excerpt, "not now, not here");
}

#[tokio::test]
async fn garbage_duplicates_and_disorder_do_not_end_a_connection() {
    let faults = [(1, Fault::Garbage), (2, Fault::Duplicate), (3, Fault::Reorder), (4, Fault::Oversized)];
    let mut script = Script::default().connection(&faults);
    script.oversized_bytes = 20_000;
    let sim = SimJetstream::start(script).await;
    (1..=6).for_each(|n| sim.push(post(n)));
    let small = JetstreamConfig { max_frame_bytes: 10_000, ..config(vec![sim.url()]) };
    let mut rig = Rig::start(small, quick(), Some(NOW));
    rig.until_post(6).await;
    rig.assert_posts(1..=6);
    assert_eq!(rig.rejected, [Rejected::NotJson, Rejected::TooLarge]);
    assert_eq!((sim.requests().len(), rig.downs.len()), (1, 0));
    assert!(faults.iter().all(|(_, fault)| sim.fired(*fault) == 1));
}

#[tokio::test]
async fn text_that_is_not_text_costs_one_frame() {
    let sim = SimJetstream::start(Script::default().connection(&[(2, Fault::InvalidUtf8)])).await;
    (1..=2).for_each(|n| sim.push(post(n)));
    sim.push(post(30));
    let mut rig = Rig::start(config(vec![sim.url()]), quick(), Some(NOW));
    rig.until_post(30).await;
    assert_eq!((rig.rejected, rig.downs), (vec![Rejected::NotJson], Vec::new()));
    assert_eq!(sim.fired(Fault::InvalidUtf8), 1);
}

#[tokio::test]
async fn a_frame_too_large_for_memory_is_stepped_over() {
    let sim = SimJetstream::start(Script::default()).await;
    (1..=2).for_each(|n| sim.push(post(n)));
    sim.push(frames::post(NOW + 90_000, "did:plc:eve", "monster", &"x".repeat(17 << 20)));
    sim.push(post(1000));
    let mut rig = Rig::start(config(vec![sim.url()]), quick(), Some(NOW));
    rig.until_post(1000).await;
    assert!(rig.rejected.len() >= 2 && rig.rejected.iter().all(|reason| *reason == Rejected::TooLarge));
    assert!(sim.requests().len() <= 4, "{} connections", sim.requests().len());
    let behind = sim.requests().last().and_then(crate::support::jetstream::Request::cursor);
    assert!(behind.is_some_and(|cursor| cursor > NOW + 90_000 && cursor < NOW + 4 * 90_000 + 2000), "{behind:?}");
}

#[tokio::test]
async fn a_cursor_that_is_too_old_shows_in_what_comes_first() {
    let sim = SimJetstream::start(Script::default()).await;
    (1..=4).for_each(|n| sim.push(post(n)));
    sim.forget_before(NOW + 3000);
    let mut rig = Rig::start(config(vec![sim.url()]), quick(), Some(NOW - 3600 * SECOND));
    rig.until_post(4).await;
    rig.assert_posts(3..=4);
    assert_eq!(rig.connected[0].1, Joint::Repeats(Cursor(NOW - 3600 * SECOND)));
    assert_eq!(sim.fired(Fault::OldCursor), 1);
}

#[tokio::test]
async fn quirk_1_what_the_server_drops_at_the_hand_over_is_read_a_second_time() {
    let sim = SimJetstream::start(Script::default().connection(&[(0, Fault::SeamDrop)])).await;
    sim.push(post(1));
    let timing = Timing { seam_delay: millis(200), seam_silence: millis(200), ..quick() };
    let mut rig = Rig::start(config(vec![sim.url()]), timing, Some(NOW));
    rig.until_post(1).await;
    sim.push(post(2));
    sim.until(|sim| sim.fired(Fault::SeamDrop) == 1).await;
    sim.push(post(3));
    rig.until_post(3).await;
    assert!(!rig.posts.contains("post 2"), "the server dropped it");
    rig.until_post(2).await;
    rig.assert_posts(1..=3);
    assert_eq!(sim.requests()[1].cursor(), Some(NOW + 1000 - 5 * SECOND));
    sim.until(|sim| sim.goodbyes() == 1).await;
    assert_eq!((sim.requests().len(), rig.downs.len()), (2, 0));
}

#[tokio::test]
async fn a_hand_over_not_read_again_is_part_of_the_next_resume() {
    let sim = SimJetstream::start(Script::default().connection(&[(0, Fault::SeamDrop)])).await;
    sim.push(post(1));
    let mut rig = Rig::start(config(vec![sim.url()]), quick(), Some(NOW));
    rig.until_post(1).await;
    sim.push(post(2));
    sim.until(|sim| sim.fired(Fault::SeamDrop) == 1).await;
    // Far enough on that the usual overlap would not reach back to the lost post.
    sim.push(post(60_000));
    rig.until_post(60_000).await;
    sim.cut_all();
    rig.until_post(2).await;
    assert_eq!(sim.requests()[1].cursor(), Some(NOW + 1000 - 5 * SECOND));
}

#[tokio::test]
async fn quirk_4_a_full_queue_ends_the_connection_and_loses_nothing() {
    let sim = SimJetstream::start(Script::default()).await;
    (1..=2000).for_each(|n| sim.push(post(n)));
    let timing = Timing { queue_patience: millis(100), ..quick() };
    let mut rig = Rig::with_queue(config(vec![sim.url()]), timing, Some(NOW), 2);
    sim.until(|sim| sim.goodbyes() == 1).await;
    rig.until_post(2000).await;
    rig.assert_posts(1..=2000);
    assert_eq!(rig.downs, [DownReason::Overrun]);
}

#[tokio::test]
async fn a_replay_comes_in_batches_and_a_live_frame_at_once() {
    let sim = SimJetstream::start(Script::default()).await;
    (1..=2000).for_each(|n| sim.push(post(n)));
    let mut rig = Rig::start(config(vec![sim.url()]), quick(), Some(NOW));
    rig.until_post(2000).await;
    assert!(rig.batches.iter().all(|&frames| frames <= 256));
    assert!(rig.batches.len() < 200, "{} batches", rig.batches.len());
    sim.push(post(2001));
    rig.until_post(2001).await;
    assert_eq!(rig.batches.last(), Some(&1));
}

#[tokio::test]
async fn only_what_is_wanted_comes_and_accounts_come_always() {
    let sim = SimJetstream::start(Script::default()).await;
    sim.push(frames::like(NOW + 1, "did:plc:ann", "l"));
    sim.push(frames::identity(NOW + 2, "did:plc:ann", "ann.example"));
    sim.push(frames::account_deleted(NOW + 3, "did:plc:eve"));
    sim.push(frames::delete(NOW + 4, "did:plc:ann", "k"));
    sim.push(post(1));
    let mut rig = Rig::start(config(vec![sim.url()]), quick(), Some(NOW));
    rig.until_post(1).await;
    assert_eq!(rig.batches.iter().sum::<usize>(), 4, "all but the like");
}

#[tokio::test]
async fn tls_works_with_a_private_authority_and_not_without() {
    let sim = SimJetstream::start(Script { tls: true, ..Script::default() }).await;
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("hospital.pem");
    std::fs::write(&ca_file, sim.ca_pem()).unwrap();
    sim.push(post(1));
    let trusting = Transport { ca_file: Some(ca_file), ..Transport::default() };
    let with_ca = JetstreamConfig { transport: trusting, ..config(vec![sim.url()]) };
    let mut rig = Rig::start(with_ca, quick(), Some(NOW));
    rig.until_post(1).await;

    let without = Connector::new(Transport::default(), PATIENCE, 1 << 20).connect(&sim.url()).await;
    match without {
        Err(error @ ConnectError::Untrusted { .. }) => assert!(error.to_string().contains("set ca_file"), "{error}"),
        // A machine without any authority says so instead.
        Err(ConnectError::Tls(_)) => {}
        other => panic!("{:?}", other.map(|_| "connected")),
    }
}

#[tokio::test]
async fn a_proxy_is_gone_through_with_and_without_a_login() {
    let sim = SimJetstream::start(Script::default()).await;
    sim.push(post(1));
    for login in [None, Some(("ann", "s3cret"))] {
        let proxy = SimProxy::start(login).await;
        let mut rig = Rig::start(through(&proxy, login, &sim), quick(), Some(NOW));
        rig.until_post(1).await;
        assert_eq!(proxy.requests(), [format!("CONNECT localhost:{} HTTP/1.1", sim.url().port().unwrap())]);
    }
}

#[tokio::test]
async fn tls_goes_through_the_proxy_too() {
    let sim = SimJetstream::start(Script { tls: true, ..Script::default() }).await;
    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("hospital.pem");
    std::fs::write(&ca_file, sim.ca_pem()).unwrap();
    sim.push(post(1));
    let proxy = SimProxy::start(None).await;
    let mut config = through(&proxy, None, &sim);
    config.transport.ca_file = Some(ca_file);
    let mut rig = Rig::start(config, quick(), Some(NOW));
    rig.until_post(1).await;
    assert_eq!(proxy.requests().len(), 1);
}

#[tokio::test]
async fn a_proxy_that_wants_a_login_says_so_readably() {
    let sim = SimJetstream::start(Script::default()).await;
    let proxy = SimProxy::start(Some(("ann", "s3cret"))).await;
    for (login, words) in [(None, "wants a user name"), (Some(("ann", "wr0ng")), "does not accept the user name")] {
        let transport = through(&proxy, login, &sim).transport;
        let refusal = Connector::new(transport, PATIENCE, 1 << 20).connect(&sim.url()).await;
        let Err(ConnectError::Proxy { source, .. }) = refusal else { panic!("not refused by the proxy") };
        assert!(source.to_string().contains(words), "{source}");
        assert!(!format!("{source:?}").contains("wr0ng"), "a password in an error");
    }
    let mut rig = Rig::start(through(&proxy, None, &sim), quick(), Some(NOW));
    rig.until(|rig| rig.downs == [DownReason::ConnectFailed]).await;
}

fn through(proxy: &SimProxy, login: Option<(&str, &str)>, sim: &SimJetstream) -> JetstreamConfig {
    let login = login.map(|(user, password)| (user.to_owned(), Secret::new(password.to_owned())));
    let transport = Transport { proxy: Some(Proxy { url: proxy.url(), login }), ..Transport::default() };
    JetstreamConfig { transport, ..config(vec![sim.url()]) }
}

#[tokio::test]
async fn a_server_that_never_answers_the_handshake_is_given_up() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("ws://{}/subscribe", silent.local_addr().unwrap())).unwrap();
    let outcome = Connector::new(Transport::default(), millis(100), 1 << 20).connect(&url).await;
    assert!(matches!(outcome, Err(ConnectError::Timeout(_))));
}

#[tokio::test]
async fn stopping_says_goodbye_and_goes_as_soon_as_it_is_answered() {
    let sim = SimJetstream::start(Script::default()).await;
    let timing = Timing { stop_within: NEVER, ..quick() };
    let mut rig = Rig::start(config(vec![sim.url()]), timing, None);
    rig.until(|rig| rig.connected.len() == 1).await;
    rig.cancel.cancel();
    timeout(PATIENCE, rig.tasks.join_next()).await.unwrap().unwrap().unwrap();
    sim.until(|sim| sim.goodbyes() == 1).await;
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_dead_server_or_a_full_queue() {
    let dead = SimJetstream::start(Script::default().connection(&[(0, Fault::HalfOpen)])).await;
    let full = SimJetstream::start(Script::default()).await;
    (1..=2000).for_each(|n| full.push(post(n)));
    for (sim, room) in [(dead, 64), (full, 1)] {
        let timing = Timing { queue_patience: NEVER, stop_within: millis(100), ..quick() };
        let mut rig = Rig::with_queue(config(vec![sim.url()]), timing, Some(NOW), room);
        rig.until(|rig| rig.connected.len() == 1).await;
        rig.cancel.cancel();
        timeout(PATIENCE, rig.tasks.join_next()).await.unwrap().unwrap().unwrap();
    }
}

/// A post was never sent when it came after the client had its answer and before the server
/// had begun to listen for posts; on a busy machine a test of the daemon then waited in vain.
#[tokio::test]
async fn a_post_pushed_while_the_handshake_ends_is_sent() {
    let sim = SimJetstream::start(Script::default()).await;
    // So narrow that the server cannot end its answer before the client begins to read it.
    let (mut client, server) = tokio::io::duplex(16);
    let talking = async {
        let request = "GET /subscribe HTTP/1.1\r\nHost: sim\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        client.write_all(request.as_bytes()).await.unwrap();
        sim.until(|sim| sim.requests().len() == 1).await;
        sim.push(post(1));
        let mut heard = Vec::new();
        while !String::from_utf8_lossy(&heard).contains("post 1") {
            heard.push(client.read_u8().await.unwrap());
        }
    };
    tokio::select! {
        came = timeout(PATIENCE, talking) => came.expect("the post was forgotten"),
        () = sim.serve(server) => panic!("the server left"),
    }
}
