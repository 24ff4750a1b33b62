//! A `feed` source against a web server on loopback that behaves as real ones do: every item once, nothing asked for
//! twice that need not be, and what went wrong is told.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stormbell::config::model::{FeedConfig, Login, SourceKind, Transport};
use stormbell::config::secret::Secret;
use stormbell::domain::event::{Bookmark, Cursor, DownReason, Joint, SourceEvent};
use stormbell::domain::id::SourceName;
use stormbell::domain::post::Post;
use stormbell::domain::time::Timestamp;
use stormbell::source::line::Line;
use stormbell::source::position::Position;
use stormbell::source::timing::Timing;
use stormbell::source::{self, Incoming, posts};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::PATIENCE;
use crate::support::clock::FixedClock;
use crate::support::sink::{Act, Request, SimSink};

const NOW: i64 = 1_795_361_895_000_000;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A document with these items, the newest first.
fn rss(items: &[&str]) -> String {
    let item = |name: &&str| {
        format!(
            "<item><guid isPermaLink=\"false\">{name}</guid><title>{name}</title><link>https://b.example/{name}</link></item>"
        )
    };
    format!(
        "<rss version=\"2.0\"><channel><title>B</title>{}</channel></rss>",
        items.iter().map(item).collect::<String>()
    )
}

fn page(body: &str) -> Act {
    Act::Page(200, vec![("content-type", "application/rss+xml".into())], body.into())
}

/// A source that runs, and the program that listens to it.
struct Rig {
    incoming: mpsc::Receiver<Incoming>,
    position: Position,
    cancel: CancellationToken,
    tasks: JoinSet<()>,
    posts: Vec<Post>,
    deleted: Vec<String>,
    downs: Vec<DownReason>,
    joints: Vec<Joint>,
    polls: usize,
}

impl Rig {
    fn start(sink: &SimSink, resume: Option<Bookmark>) -> Self {
        Self::with(sink, resume, false)
    }

    fn with(sink: &SimSink, resume: Option<Bookmark>, transcripts: bool) -> Self {
        let url = sink.url("/feed");
        let (transport, poll_every) = (Transport::default(), Some(millis(20)));
        Self::of(FeedConfig { url, poll_every, push: false, login: None, transcripts, transport }, resume)
    }

    fn of(config: FeedConfig, resume: Option<Bookmark>) -> Self {
        let (out, incoming) = mpsc::channel(64);
        let position = Position::at(resume.is_some().then_some(Cursor(NOW - 3_600_000_000)), resume);
        let timing = Timing {
            first_backoff: millis(10),
            longest_backoff: millis(50),
            longest_rest: millis(50),
            operator_rest: millis(50),
            ..Timing::default()
        };
        let clock = Arc::new(FixedClock(Timestamp::from_micros(NOW)));
        let cancel = CancellationToken::new();
        let line = Line::new(SourceName::from("blog"), timing, position.clone(), out, clock, cancel.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(source::read(SourceKind::Feed(config), line));
        let (posts, deleted, downs, joints) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { incoming, position, cancel, tasks, posts, deleted, downs, joints, polls: 0 }
    }

    /// Reads on until something is so, processing as the engine would.
    async fn until(&mut self, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            let incoming = timeout(PATIENCE, self.incoming.recv()).await;
            match incoming.expect("nothing more came").expect("the source ended") {
                Incoming::Connected { joint, .. } => self.joints.push(joint),
                Incoming::Author { .. } | Incoming::Missed { .. } => {}
                Incoming::Down { reason, .. } => self.downs.push(reason),
                Incoming::Frames { frames, reach, .. } => {
                    self.polls += usize::from(reach.covered.is_some());
                    for frame in frames {
                        let decoded = posts::decode(&"blog".into(), &frame.body.unwrap(), frame.received_at);
                        match decoded.event.unwrap() {
                            SourceEvent::Post(post) => self.posts.push(*post),
                            SourceEvent::PostDeleted { post, .. } => self.deleted.push(post.as_str().to_owned()),
                            other => panic!("{other:?}"),
                        }
                    }
                    if let Some(bookmark) = reach.bookmark {
                        self.position.mark(bookmark);
                    }
                }
            }
        }
    }

    async fn polls(&mut self, count: usize) {
        self.until(|rig| rig.polls >= count).await;
    }

    fn texts(&self) -> Vec<&str> {
        self.posts.iter().map(|post| post.text.as_str()).collect()
    }

    async fn stop(mut self) -> Option<Bookmark> {
        self.cancel.cancel();
        while timeout(PATIENCE, self.tasks.join_next()).await.expect("it stops").is_some() {}
        self.position.bookmark()
    }
}

/// A server whose document can be changed, and which knows what it sent by its tag.
fn conditional(sink: &SimSink) -> Arc<Mutex<Vec<&'static str>>> {
    let items: Arc<Mutex<Vec<&'static str>>> = Arc::new(Mutex::new(vec!["old"]));
    let shown = Arc::clone(&items);
    sink.otherwise(move |request| {
        let items = shown.lock().unwrap().clone();
        let tag = format!("W/\"{}\"", items.join("-"));
        if request.header("if-none-match") == tag {
            return Act::Page(304, vec![("etag", tag)], Vec::new());
        }
        Act::Page(200, vec![("etag", tag), ("last-modified", "yesterday, they say".into())], rss(&items).into_bytes())
    });
    items
}

#[tokio::test]
async fn the_first_document_is_history_and_each_later_item_comes_once() {
    let sink = SimSink::start().await;
    let items = conditional(&sink);
    let mut rig = Rig::start(&sink, None);
    rig.polls(3).await;
    assert_eq!((rig.texts(), rig.joints.as_slice()), (vec![], &[Joint::Live][..]));
    *items.lock().unwrap() = vec!["new", "old"];
    rig.until(|rig| !rig.posts.is_empty()).await;
    let polls = rig.polls;
    rig.polls(polls + 2).await;
    assert_eq!(rig.texts(), ["new"]);
    assert_eq!(rig.posts[0].id.as_str(), "feed:127.0.0.1/new");
    let requests = sink.requests();
    let validators = |request: &Request| {
        (request.header("if-none-match").to_owned(), request.header("if-modified-since").to_owned())
    };
    assert_eq!(validators(&requests[0]), (String::new(), String::new()));
    let sent_back = ("W/\"old\"".to_owned(), "yesterday, they say".to_owned());
    assert_eq!(validators(&requests[1]), sent_back, "word for word");
}

#[tokio::test]
async fn a_restart_goes_on_where_it_was() {
    let sink = SimSink::start().await;
    let items = conditional(&sink);
    let mut rig = Rig::start(&sink, None);
    rig.polls(1).await;
    let bookmark = rig.stop().await;
    *items.lock().unwrap() = vec!["while it was down", "old"];
    let mut rig = Rig::start(&sink, bookmark);
    rig.polls(1).await;
    assert_eq!((rig.texts(), rig.joints.as_slice()), (vec!["while it was down"], &[Joint::GoesOn][..]));
}

#[tokio::test]
async fn what_was_handed_on_and_not_processed_comes_again() {
    let sink = SimSink::start().await;
    sink.script([page(&rss(&["old"]))]);
    let mut rig = Rig::start(&sink, None);
    rig.polls(1).await;
    let bookmark = rig.stop().await;
    sink.otherwise(|_| page(&rss(&["new", "old"])));
    let mut first = Rig::start(&sink, bookmark.clone());
    first.polls(1).await;
    drop(first); // killed before its bookmark was on disk
    let mut second = Rig::start(&sink, bookmark);
    second.polls(1).await;
    assert_eq!(second.texts(), ["new"]);
}

#[tokio::test]
async fn a_window_that_turned_over_is_told_as_a_gap() {
    let sink = SimSink::start().await;
    sink.script([page(&rss(&["old"]))]);
    sink.otherwise(|_| page(&rss(&["c", "b"])));
    let mut rig = Rig::start(&sink, None);
    rig.until(|rig| rig.posts.len() == 2).await;
    assert_eq!(rig.texts(), ["b", "c"]);
    assert_eq!(
        (rig.downs.as_slice(), rig.joints.as_slice()),
        (&[DownReason::CursorTooOld][..], &[Joint::Live, Joint::Live][..])
    );
}

#[tokio::test]
async fn a_server_that_fails_or_is_killed_is_asked_again_and_nothing_is_lost() {
    let sink = SimSink::start().await;
    let with = |status, name, value: &str| Act::With(status, name, value.to_owned());
    sink.script([
        page(&rss(&["old"])),
        Act::Answer(500),
        Act::Reset,
        with(429, "retry-after", "1"),
        with(503, "retry-after", "Sun, 22 Nov 2026 10:00:00 GMT"),
        Act::HalfAnswer(millis(1)),
        Act::Saying(200, "<!DOCTYPE html><html>please log in</html>".into()),
        Act::Answer(404),
        Act::Answer(401),
    ]);
    sink.otherwise(|_| page(&rss(&["new", "old"])));
    let mut rig = Rig::start(&sink, None);
    rig.until(|rig| !rig.posts.is_empty()).await;
    assert_eq!(rig.texts(), ["new"]);
    assert_eq!(rig.downs.len(), 8);
    assert_eq!(rig.joints, [Joint::Live, Joint::GoesOn]);
}

#[tokio::test]
async fn a_document_that_breaks_off_is_asked_for_whole() {
    let sink = SimSink::start().await;
    let cut = rss(&["new", "old"]).split("<title>old").next().unwrap().to_owned();
    let tagged = |body: String| Act::Page(200, vec![("etag", "\"1\"".into())], body.into_bytes());
    sink.script([tagged(rss(&["old"])), tagged(cut)]);
    sink.otherwise(move |_| tagged(rss(&["new", "old"])));
    let mut rig = Rig::start(&sink, None);
    rig.polls(3).await;
    assert_eq!(rig.texts(), ["new"]);
    assert_eq!(sink.requests()[2].header("if-none-match"), "", "what was half there must come again");
}

#[tokio::test]
async fn a_feed_that_is_gone_for_good_is_never_asked_for_again() {
    let sink = SimSink::start().await;
    sink.script([page(&rss(&["old"])), Act::Answer(410)]);
    let mut rig = Rig::start(&sink, None);
    rig.until(|rig| rig.downs == [DownReason::Refused]).await;
    tokio::time::sleep(millis(300)).await; // long enough for many polls
    assert_eq!(sink.requests().len(), 2);
    rig.stop().await;
}

#[tokio::test]
async fn a_move_for_good_is_remembered_and_one_for_now_is_not() {
    let sink = SimSink::start().await;
    let there = |status, path: &str| Act::With(status, "location", path.to_owned());
    sink.otherwise(move |request| match request.line.split(' ').nth(1).unwrap() {
        "/feed" => there(301, "/new"),
        "/new" => there(302, "/today"),
        _ => page(&rss(&["old"])),
    });
    let mut rig = Rig::start(&sink, None);
    rig.polls(2).await;
    let bookmark = rig.stop().await;
    let paths: Vec<_> =
        sink.requests().iter().map(|request| request.line.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(paths[..5], ["/feed", "/new", "/today", "/new", "/today"]);
    let asked = sink.requests().len();
    Rig::start(&sink, bookmark).polls(1).await;
    assert!(sink.requests()[asked].line.starts_with("GET /new "));
}

#[tokio::test]
async fn no_server_sends_us_into_our_own_network() {
    let sink = SimSink::start().await;
    sink.otherwise(|_| Act::With(302, "location", "http://169.254.169.254/latest/meta-data".into()));
    let mut rig = Rig::start(&sink, None);
    rig.until(|rig| rig.downs.len() == 2).await;
    assert_eq!(rig.joints, []);
}

#[tokio::test]
async fn a_bomb_is_refused_before_it_is_unpacked() {
    let sink = SimSink::start().await;
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        bomb.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 100_000);
    let packed = |bytes: Vec<u8>| Act::Page(200, vec![("content-encoding", "gzip".into())], bytes);
    let mut small = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    small.write_all(rss(&["old"]).as_bytes()).unwrap();
    sink.script([packed(bomb)]);
    let small = small.finish().unwrap();
    sink.otherwise(move |_| packed(small.clone()));
    let mut rig = Rig::start(&sink, None);
    rig.polls(1).await;
    assert_eq!(rig.downs, [DownReason::Refused], "and what is packed and small is read");
}

#[tokio::test]
async fn edits_and_tombstones_follow() {
    let sink = SimSink::start().await;
    let document = |inside: &str| {
        page(&format!(
            "<feed xmlns=\"http://www.w3.org/2005/Atom\" xmlns:at=\"http://purl.org/atompub/tombstones/1.0\">{inside}</feed>"
        ))
    };
    let entry = |text: &str| format!("<entry><id>tag:b,1:1</id><title>er</title><summary>{text}</summary></entry>");
    let stays = "<entry><id>tag:b,1:2</id><title>stays</title></entry>";
    sink.script([
        document(stays),
        document(&format!("{}{stays}", entry("calm"))),
        document(&format!("{}{stays}", entry("gunman"))),
    ]);
    let tombstone = format!("<at:deleted-entry ref=\"tag:b,1:1\" when=\"2026-11-22T15:00:00Z\"/>{stays}");
    sink.otherwise(move |_| document(&tombstone));
    let mut rig = Rig::start(&sink, None);
    rig.until(|rig| !rig.deleted.is_empty()).await;
    rig.polls(6).await;
    assert_eq!(rig.texts(), ["er\ncalm", "er\ngunman"]);
    let [before, after] = rig.posts.as_slice() else { panic!("two versions") };
    assert!(before.id == after.id && before.version != after.version);
    assert_eq!(rig.deleted, ["tag:b,1:1"], "once");
}

#[tokio::test]
async fn what_is_said_in_a_podcast_is_read_where_it_is_written_down() {
    let sink = SimSink::start().await;
    let episode = |name: &str, url: &str| {
        format!(
            "<item><guid isPermaLink=\"false\">{name}</guid><title>{name}</title><podcast:transcript url=\"{url}\" type=\"text/vtt\"/></item>"
        )
    };
    let document = |items: &[String]| page(&format!("<rss><channel>{}</channel></rss>", items.concat()));
    let (old, inside) = (episode("old", "/old.vtt"), episode("inside", "http://10.0.0.1/secret"));
    let both = document(&[episode("new", "/new.vtt"), inside, old.clone()]);
    sink.script([document(&[old])]);
    sink.otherwise(move |request| {
        if request.line.contains(".vtt") {
            return page("WEBVTT\n\n00:00.000 --> 00:02.000\nGunman at Northgate\n");
        }
        both.clone()
    });
    let mut rig = Rig::with(&sink, None, true);
    rig.until(|rig| rig.posts.len() == 3).await;
    assert_eq!(rig.texts(), ["inside", "new", "new"], "what is known at once is not held back");
    assert_eq!(rig.posts[2].media_text, ["Gunman at Northgate"]);
    let fetched = sink.requests().iter().filter(|request| request.line.contains(".vtt")).count();
    assert_eq!(fetched, 1, "of new items alone, and none from inside our network");
}

/// `MediaWiki`'s feed of recent changes has no validators, and every answer is whole.
#[tokio::test]
async fn quirk_16_mediawiki_never_answers_304() {
    let sink = SimSink::start().await;
    sink.otherwise(|_| page(&rss(&["old"])));
    let mut rig = Rig::start(&sink, None);
    rig.polls(4).await;
    assert_eq!((rig.texts(), rig.downs.len()), (vec![], 0));
    assert!(sink.requests().iter().all(|request| request.header("if-none-match").is_empty()));
}

/// `DokuWiki` writes RSS 1.0 unless asked, and its RSS 2.0 has no `guid`.
#[tokio::test]
async fn quirk_17_dokuwiki_has_rss_1_and_no_guid() {
    let sink = SimSink::start().await;
    let rdf = |items: &str| {
        page(&format!(
            "<rdf:RDF xmlns=\"http://purl.org/rss/1.0/\" xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"><channel/>{items}</rdf:RDF>"
        ))
    };
    let item = |name: &str| {
        format!(
            "<item rdf:about=\"https://w.example/{name}\"><title>{name}</title><link>https://w.example/{name}</link></item>"
        )
    };
    sink.script([rdf(&item("old")), rdf(&[item("new"), item("old")].concat())]);
    let plain = "<rss version=\"2.0\"><channel><item><title>new</title><link>https://w.example/new</link></item></channel></rss>";
    sink.otherwise(move |_| page(plain));
    let mut rig = Rig::start(&sink, None);
    rig.polls(4).await;
    assert_eq!(rig.texts(), ["new"], "the link stands for the id");
}

#[tokio::test]
async fn a_login_goes_to_the_feeds_own_server_and_nowhere_else() {
    let (sink, elsewhere) = (SimSink::start().await, SimSink::start().await);
    let away = elsewhere.url("/moved").to_string();
    sink.script([page(&rss(&["old"])), Act::With(302, "location", away)]);
    sink.otherwise(|request| match request.header("authorization") {
        "Basic YW5uOm9wZW4gc2VzYW1l" => page(&rss(&["private", "elsewhere", "old"])),
        _ => Act::Answer(401),
    });
    elsewhere.otherwise(|_| page(&rss(&["elsewhere", "old"])));
    let login = Login::Basic { user: "ann".to_owned(), password: Secret::new("open sesame".to_owned()) };
    let config = FeedConfig {
        url: sink.url("/feed"),
        poll_every: Some(millis(20)),
        push: false,
        login: Some(login),
        transcripts: false,
        transport: Transport::default(),
    };
    let mut rig = Rig::of(config, None);
    rig.until(|rig| rig.posts.len() == 2).await;
    assert_eq!(rig.texts(), ["elsewhere", "private"]);
    let requests = elsewhere.requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| request.header("authorization").is_empty()));
    rig.stop().await;
    // Without it the operator is told.
    let mut rig = Rig::start(&sink, None);
    rig.until(|rig| rig.downs == [DownReason::Refused]).await;
}
