//! An `eventstreams` source against a server on loopback that cuts every answer short: it goes on behind the last event.

use std::sync::Arc;
use std::time::Duration;

use stormbell::config::model::{EventForm, EventstreamsConfig, SourceKind, Transport};
use stormbell::domain::event::{Bookmark, Cursor, DownReason, Joint, Rejected, SourceEvent};
use stormbell::domain::id::SourceName;
use stormbell::domain::time::Timestamp;
use stormbell::source::line::Line;
use stormbell::source::position::Position;
use stormbell::source::timing::Timing;
use stormbell::source::{self, Incoming, eventstreams};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::PATIENCE;
use crate::support::clock::FixedClock;
use crate::support::daemon::{Config, HOOK_SECRET, Place, word_rule};
use crate::support::sink::{Act, SimSink};

const NOW: i64 = 1_795_361_900_000_000;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn edit(revision: i64) -> String {
    format!(
        r#"{{"meta":{{"dt":"2026-11-22T15:38:18Z","domain":"en.wikipedia.org"}},"type":"edit","title":"Northgate {revision}","timestamp":1795361898,"user":"Rita","revision":{{"new":{revision}}},"server_url":"https://en.wikipedia.org","wiki":"enwiki"}}"#
    )
}

fn events(revisions: std::ops::RangeInclusive<i64>) -> Act {
    let event = |revision| format!("event: message\nid: [{{\"offset\":{revision}}}]\ndata: {}\n\n", edit(revision));
    let body = format!(":ok\n\n{}", revisions.map(event).collect::<String>());
    Act::Page(200, vec![("content-type", "text/event-stream".into())], body.into_bytes())
}

struct Rig {
    incoming: mpsc::Receiver<Incoming>,
    position: Position,
    _tasks: JoinSet<()>,
    posts: Vec<String>,
    rejected: Vec<Rejected>,
    downs: Vec<DownReason>,
    joints: Vec<Joint>,
}

impl Rig {
    fn start(sink: &SimSink, position: Position, healthy_after: Duration) -> Self {
        let config = EventstreamsConfig {
            urls: vec![sink.url("/v2/stream/recentchange")],
            events: EventForm::Recentchange,
            login: None,
            contact: "it@hospital.example".into(),
            transport: Transport::default(),
        };
        let timing = Timing {
            first_backoff: millis(10),
            longest_backoff: millis(50),
            longest_rest: millis(50),
            operator_rest: millis(50),
            healthy_after,
            ..Timing::default()
        };
        let (out, incoming) = mpsc::channel(64);
        let clock = Arc::new(FixedClock(Timestamp::from_micros(NOW)));
        let line = Line::new(SourceName::from("wiki"), timing, position.clone(), out, clock, CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(source::read(SourceKind::Eventstreams(config), line));
        let (posts, rejected, downs, joints) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { incoming, position, _tasks: tasks, posts, rejected, downs, joints }
    }

    async fn until(&mut self, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            let incoming = timeout(PATIENCE, self.incoming.recv()).await;
            match incoming.expect("nothing more came").expect("the source ended") {
                Incoming::Author { .. } | Incoming::Missed { .. } => {}
                Incoming::Connected { joint, .. } => self.joints.push(joint),
                Incoming::Down { reason, .. } => self.downs.push(reason),
                Incoming::Frames { frames, reach, .. } => {
                    for frame in frames {
                        let decoded =
                            frame.body.map(|body| eventstreams::decode(&"wiki".into(), &body, frame.received_at));
                        match decoded.and_then(|decoded| decoded.event) {
                            Ok(SourceEvent::Post(post)) => self.posts.push(post.text),
                            Ok(other) => panic!("{other:?}"),
                            Err(reason) => self.rejected.push(reason),
                        }
                    }
                    if let Some(bookmark) = reach.bookmark {
                        self.position.mark(bookmark);
                    }
                }
            }
        }
    }
}

#[tokio::test]
async fn a_cut_is_no_failure_and_the_stream_goes_on_behind_the_last_event() {
    let sink = SimSink::start().await;
    sink.script([events(1..=2), events(3..=3)]);
    sink.otherwise(|_| events(4..=4));
    let mut rig = Rig::start(&sink, Position::default(), Duration::ZERO);
    rig.until(|rig| rig.posts.len() == 4).await;
    assert_eq!(rig.posts, ["Northgate 1", "Northgate 2", "Northgate 3", "Northgate 4"]);
    assert_eq!((rig.downs.len(), &rig.joints[..2]), (0, &[Joint::Live, Joint::GoesOn][..]));
    let requests = sink.requests();
    assert_eq!(requests[0].header("last-event-id"), "");
    assert_eq!(requests[1].header("last-event-id"), "[{\"offset\":2}]", "word for word");
    assert_eq!(requests[0].header("accept"), "text/event-stream");
    assert!(
        requests[0].header("user-agent").ends_with("(it@hospital.example)"),
        "Wikimedia wants to know whom to write to"
    );
}

#[tokio::test]
async fn a_server_that_only_cuts_is_down_and_is_not_hurried() {
    let sink = SimSink::start().await;
    sink.otherwise(|_| events(1..=1));
    let mut rig = Rig::start(&sink, Position::default(), Duration::from_mins(1));
    rig.until(|rig| rig.downs.len() == 2).await;
    assert_eq!(rig.downs, [DownReason::Closed, DownReason::Closed]);
}

#[tokio::test]
async fn a_server_that_forgot_the_last_event_is_asked_by_time() {
    let sink = SimSink::start().await;
    sink.otherwise(|request| if request.header("last-event-id").is_empty() { events(1..=1) } else { Act::Answer(400) });
    let position = Position::at(Some(Cursor(NOW - 60_000_000)), Some(Bookmark::from("of another server")));
    let mut rig = Rig::start(&sink, position, Duration::ZERO);
    rig.until(|rig| !rig.posts.is_empty()).await;
    assert_eq!((rig.downs.as_slice(), rig.joints.as_slice()), (&[DownReason::Refused][..], &[Joint::GoesOn][..]));
    assert!(sink.requests()[1].line.contains("since=2026-11-22T15%3A37%3A15Z"), "{}", sink.requests()[1].line);
}

#[tokio::test]
async fn what_the_server_no_longer_has_is_told_as_a_gap() {
    let sink = SimSink::start().await;
    sink.otherwise(|_| events(1..=1));
    let week: i64 = 8 * 24 * 3_600_000_000;
    let position = Position::at(Some(Cursor(NOW - week)), Some(Bookmark::from("old")));
    let mut rig = Rig::start(&sink, position, Duration::ZERO);
    rig.until(|rig| !rig.posts.is_empty()).await;
    assert_eq!(rig.joints[0], Joint::Live);
}

#[tokio::test]
async fn an_endless_event_is_counted_and_those_around_it_are_read() {
    let sink = SimSink::start().await;
    let body = format!("data: {}\n\ndata: {}\n\ndata: {}\n\n", edit(1), "x".repeat(2 << 20), edit(2));
    sink.script([Act::Page(200, Vec::new(), body.into_bytes())]);
    sink.otherwise(|_| Act::Answer(401));
    let mut rig = Rig::start(&sink, Position::default(), Duration::ZERO);
    rig.until(|rig| rig.posts.len() == 2 && rig.downs.len() == 1).await;
    assert_eq!(
        (rig.rejected.as_slice(), rig.downs.as_slice()),
        (&[Rejected::TooLarge][..], &[DownReason::Refused][..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_any_shape_are_read_by_pointers_and_behind_a_login() {
    let sink = SimSink::start().await;
    let event = |id: u32, data: &str| format!("id: {id}:1\ndata: {data}\n\n");
    let told =
        |id: u32, kind: &str| format!("{{\"kind\":\"{kind}\",\"id\":{id},\"by\":\"ann\",\"text\":\"fire {id}\"}}");
    let first = event(1, &format!("{{\"tips\":[{},{}]}}", told(1, "tip"), told(2, "tip")));
    let then = event(2, &format!("{{\"tips\":[{}]}}", told(2, "gone")));
    let answer = move |body: &str| Act::Page(200, vec![("content-type", "text/event-stream".into())], body.into());
    sink.otherwise(move |request| match (request.header("authorization"), request.header("last-event-id")) {
        (login, _) if login != format!("Bearer {HOOK_SECRET}") => Act::Answer(401),
        (_, "") => answer(&first),
        (_, "1:1") => answer(&then),
        _ => answer(":\n\n"),
    });
    let source = format!(
        "name = \"tips\"\nkind = \"eventstreams\"\nurl = \"{}\"\nevents = \"json\"\ncontact = \"it@hospital.example\"\n\
         token = {{ file = \"pagerduty-secret\" }}\nitems = \"/tips\"\n[source.messages]\npost = {{ \"/tips/kind\" = \"tip\" }}\n\
         delete = {{ \"/tips/kind\" = \"gone\" }}\n[source.fields]\nid = \"/tips/id\"\nauthor = \"/tips/by\"\ntext = \"/tips/text\"",
        sink.url("/sub")
    );
    let place = Place::new(&Config::listening_to(&source), &[word_rule("fire", "fire", "high")]);
    let daemon = place.start().await;
    daemon.until(async || daemon.incidents("fire").await, |found| found.len() == 1 && found[0]["posts"] == 2).await;
    daemon.until(async || place.database_holds("fire 2"), |holds| !holds).await;
    assert!(place.database_holds("fire 1"));
    daemon.stop().await;
}
