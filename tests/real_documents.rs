//! Servers of documents that were written by others: what is published there by their own tools raises the alert, edits
//! follow where their wire has them, and when one is killed and is back, nothing is lost and nothing comes twice.
//!
//! nginx serves feeds as files, with validators, and, by its nchan, server-sent events that can be resumed; what nchan
//! holds is in memory and dies with it. `DokuWiki`'s feed names an item by revision: an edit is one more item, and the
//! end of a page is none.

#![cfg(test)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use stormbell::app::clock::SystemClock;
use stormbell::config::model::{EventForm, EventstreamsConfig, FeedConfig, SourceKind, Transport};
use stormbell::domain::condition::Condition;
use stormbell::domain::event::{Joint, SourceEvent};
use stormbell::domain::incident::Severity;
use stormbell::domain::message::MessageKind;
use stormbell::domain::time::{Clock as _, Timestamp};
use stormbell::source::timing::Timing;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use url::Url;

use support::PATIENCE;
use support::child::{Process, Reads};
use support::reading::{Reading, quick};
use support::sim::{Sim, frame, route, rule};

const NCHAN: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";
const DOKUWIKI: &str = "/usr/share/dokuwiki";

fn has(program: &str, argument: &str) -> bool {
    let quiet = Command::new(program).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let has = quiet.is_ok_and(|status| status.success());
    if !has {
        println!("skipped: {program} is not installed");
    }
    has
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// Waits until somebody listens there: no server tells when it does.
async fn listens(port: u16) {
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        assert!(Instant::now() < until, "nobody listens at {port}");
        sleep(Duration::from_millis(20)).await;
    }
}

fn now() -> Timestamp {
    SystemClock.now()
}

fn at(port: u16, path: &str) -> Url {
    format!("http://127.0.0.1:{port}{path}").parse().unwrap()
}

fn feed(url: Url, poll_every: Duration) -> SourceKind {
    SourceKind::Feed(FeedConfig {
        url,
        poll_every: Some(poll_every),
        push: false,
        login: None,
        transcripts: false,
        transport: Transport::default(),
    })
}

/// How often people are told that there is smoke, when the posts that came are all.
fn alerts(reading: &Reading) -> usize {
    let smoke = rule("smoke", "smoke", Severity::High, "smoke", Condition::Match);
    let mut sim = Sim::new(vec![smoke], vec![route(&[], &["smoke"], &[(&["pager"], None)], None)]);
    sim.now = now();
    sim.connect(None);
    for post in &reading.posts {
        sim.feed(vec![frame(Ok(SourceEvent::Post(Box::new(post.clone()))), post.event_time)]);
    }
    sim.model.sent(MessageKind::Opened).len()
}

/// Each text as often as it came.
fn times(reading: &Reading, text: &str) -> usize {
    reading.posts.iter().filter(|post| post.text.contains(text)).count()
}

/// nginx in a folder of its own, which serves what is in `www`.
struct Nginx {
    folder: PathBuf,
    port: u16,
}

impl Nginx {
    async fn new(folder: &Path, more: &str) -> Self {
        let port = free_port().await;
        fs::create_dir_all(folder.join("www")).unwrap();
        let modules = if more.is_empty() { String::new() } else { format!("load_module {NCHAN};\n") };
        let user = if rustix::process::getuid().is_root() { "user root;\n" } else { "" };
        let place = folder.display();
        let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let paths = paths.map(|path| format!("{path}_temp_path {place}/{path};\n")).concat();
        let text = format!(
            "{modules}{user}daemon off; master_process off; pid {place}/pid; error_log {place}/error.log;\n\
             events {{ }}\nhttp {{\n{paths}log_format short '$status'; access_log {place}/access.log short;\n\
             types {{ application/rss+xml xml; }}\n\
             server {{ listen 127.0.0.1:{port}; root {place}/www; gzip on; gzip_types application/rss+xml; gzip_min_length 1;\n{more}}} }}\n"
        );
        fs::write(folder.join("nginx.conf"), text).unwrap();
        Self { folder: folder.to_owned(), port }
    }

    async fn start(&self) -> Process {
        let mut command = Command::new("nginx");
        command.arg("-p").arg(&self.folder).arg("-c").arg(self.folder.join("nginx.conf"));
        command.arg("-e").arg(self.folder.join("error.log"));
        let process = Process::start(&mut command, Reads::Errors);
        listens(self.port).await;
        process
    }

    /// Publishes a feed, whole, as those who make files of them do.
    fn publish(&self, items: &[(&str, &str)]) {
        let item = |(name, text): &(&str, &str)| {
            format!("<item><guid isPermaLink=\"false\">{name}</guid><title>{text}</title></item>")
        };
        let items: String = items.iter().map(item).collect();
        let text = format!("<rss version=\"2.0\"><channel><title>B</title>{items}</channel></rss>");
        let made = self.folder.join("made");
        fs::write(&made, text).unwrap();
        fs::rename(made, self.folder.join("www/feed.xml")).unwrap();
    }

    fn answered(&self, status: &str) -> usize {
        fs::read_to_string(self.folder.join("access.log")).unwrap().lines().filter(|line| *line == status).count()
    }
}

#[tokio::test]
#[ignore = "needs Debian's nginx; run by .ci/run"]
async fn a_feed_that_nginx_serves_is_read_and_what_did_not_change_is_not_sent() {
    if !has("nginx", "-v") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let nginx = Nginx::new(folder.path(), "").await;
    nginx.publish(&[("1", "an old story")]);
    let server = nginx.start().await;
    let mut reading =
        Reading::start(feed(at(nginx.port, "/feed.xml"), Duration::from_millis(50)), quick(), now(), None);
    reading.until(|reading| reading.covered >= 5).await;
    assert!(nginx.answered("304") >= 3, "the validators of nginx are sent back to it");
    assert_eq!(nginx.answered("200"), 1);
    nginx.publish(&[("2", "smoke in ward nine"), ("1", "an old story")]);
    reading.until_post("smoke in ward nine").await;
    nginx.publish(&[("2", "smoke in ward seven"), ("1", "an old story")]);
    reading.until_post("smoke in ward seven").await;
    let versions: Vec<_> = reading.posts.iter().filter(|post| post.text.contains("smoke")).collect();
    assert_eq!(versions[0].id, versions[1].id, "an edit is the same post");
    assert_eq!(alerts(&reading), 1);
    server.kill();
    reading.until(|reading| !reading.downs.is_empty()).await;
    nginx.publish(&[("3", "smoke while it was away"), ("2", "smoke in ward seven"), ("1", "an old story")]);
    let server = nginx.start().await;
    reading.until_post("smoke while it was away").await;
    let covered = reading.covered;
    reading.until(|reading| reading.covered > covered + 3).await;
    for text in ["ward nine", "ward seven", "while it was away"] {
        assert_eq!(times(&reading, text), 1, "{text}");
    }
    assert_eq!(reading.connected.last(), Some(&Joint::GoesOn), "nothing is lost");
    reading.stop().await;
    server.kill();
}

#[tokio::test]
#[ignore = "needs Debian's libnginx-mod-nchan; run by .ci/run"]
async fn events_of_nchan_are_read_and_resumed_behind_the_last() {
    if !has("nginx", "-v") || !Path::new(NCHAN).try_exists().unwrap() {
        println!("skipped: libnginx-mod-nchan is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let channels = "location = /pub { nchan_publisher; nchan_channel_id rc; nchan_message_buffer_length 1000; nchan_message_timeout 1h; }\n\
                    location = /sub { nchan_subscriber; nchan_channel_id rc; nchan_eventsource_ping_interval 1; nchan_subscriber_first_message newest; }\n";
    let nginx = Nginx::new(folder.path(), channels).await;
    let server = nginx.start().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let says = async |number: u32, text: &str| {
        let change = format!(
            "{{\"type\":\"edit\",\"title\":\"{text}\",\"timestamp\":{},\"user\":\"Rita\",\"revision\":{{\"new\":{number}}},\
             \"server_url\":\"http://wiki.example\",\"wiki\":\"lab\"}}",
            now().micros() / 1_000_000
        );
        let answer = client.post(at(nginx.port, "/pub")).body(change).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    };
    let config = EventstreamsConfig {
        urls: vec![at(nginx.port, "/sub")],
        events: EventForm::Recentchange,
        login: None,
        contact: "it@hospital.example".into(),
        transport: Transport::default(),
    };
    let timing = || Timing { answer_within: Duration::from_secs(10), ..quick() };
    let mut reading = Reading::start(SourceKind::Eventstreams(config.clone()), timing(), now(), None);
    // nchan's pings are comments: it is there, and has nothing more.
    reading.until(|reading| reading.covered >= 1).await;
    says(1, "smoke in ward nine").await;
    reading.until_post("smoke in ward nine").await;
    assert_eq!(alerts(&reading), 1);
    // A restart of ours: what was said meanwhile comes behind the last, once.
    let bookmark = reading.position.bookmark();
    assert!(bookmark.is_some(), "each event has an id");
    reading.stop().await;
    says(2, "smoke in ward ten").await;
    says(3, "smoke in ward eleven").await;
    let mut reading = Reading::start(SourceKind::Eventstreams(config), timing(), now(), bookmark);
    reading.until_post("smoke in ward eleven").await;
    assert_eq!(reading.texts(), ["smoke in ward ten", "smoke in ward eleven"]);
    assert_eq!(reading.connected, [Joint::GoesOn]);
    // A restart of theirs, in which nchan forgets.
    server.kill();
    reading.until(|reading| !reading.downs.is_empty()).await;
    let server = nginx.start().await;
    reading.until(|reading| reading.connected.len() == 2).await;
    says(4, "smoke again").await;
    reading.until_post("smoke again").await;
    assert_eq!(reading.texts(), ["smoke in ward ten", "smoke in ward eleven", "smoke again"]);
    assert!(reading.rejected.is_empty(), "{:?}", reading.rejected);
    reading.stop().await;
    server.kill();
}

/// A wiki in a folder of its own.
struct Wiki {
    folder: PathBuf,
    port: u16,
}

impl Wiki {
    async fn new(folder: &Path) -> Self {
        let (conf, data) = (folder.join("conf"), folder.join("data"));
        let parts =
            ["pages", "attic", "media", "media_attic", "meta", "media_meta", "cache", "index", "locks", "tmp", "log"];
        for part in parts {
            fs::create_dir_all(data.join(part)).unwrap();
        }
        fs::create_dir_all(&conf).unwrap();
        for file in fs::read_dir("/etc/dokuwiki").unwrap().map(|file| file.unwrap().path()) {
            // Some lead to what only its administrator may read.
            if let Ok(text) = fs::read(&file) {
                fs::write(conf.join(file.file_name().unwrap()), text).unwrap();
            }
        }
        let local = format!(
            "<?php\n$conf['title'] = 'Lab';\n$conf['useacl'] = 0;\n$conf['savedir'] = '{}';\n$conf['rss_update'] = 1;\n",
            data.display()
        );
        fs::write(conf.join("local.php"), local).unwrap();
        let conf = conf.display();
        let own = format!(
            "<?php\ndefine('DOKU_MAIN_CONF', '{conf}/');\ndefine('DOKU_CONF', '{conf}/');\ndefine('DOKU_LOCAL', '{conf}/');\n"
        );
        fs::write(folder.join("own.php"), own).unwrap();
        Self { folder: folder.to_owned(), port: free_port().await }
    }

    fn php(&self) -> Command {
        let mut php = Command::new("php");
        php.arg("-d").arg(format!("auto_prepend_file={}", self.folder.join("own.php").display()));
        php.args(["-d", "error_reporting=0"]);
        php
    }

    async fn start(&self) -> Process {
        let mut php = self.php();
        php.args(["-S", &format!("127.0.0.1:{}", self.port), "-t", DOKUWIKI]).stderr(Stdio::null());
        let process = Process::start(&mut php, Reads::Output);
        listens(self.port).await;
        process
    }

    /// Writes a page by the wiki's own tool; without words it is removed.
    fn write(&self, page: &str, words: &str) {
        let file = self.folder.join("words");
        fs::write(&file, words).unwrap();
        let mut php = self.php();
        php.arg(format!("{DOKUWIKI}/bin/dwpage.php")).args(["commit", "-m", "edited", "-t"]).arg(file).arg(page);
        let done = php.output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }
}

#[tokio::test]
#[ignore = "needs Debian's dokuwiki and php-cli; run by .ci/run"]
async fn edits_of_a_wiki_are_read_by_its_feed_in_either_form() {
    if !has("php", "-v") || !Path::new(DOKUWIKI).try_exists().unwrap() {
        println!("skipped: dokuwiki is not installed");
        return;
    }
    for form in ["rss1", "rss2", "atom1"] {
        let folder = tempfile::tempdir().unwrap();
        let wiki = Wiki::new(folder.path()).await;
        wiki.write("hospital:parking", "there is enough of it");
        let server = wiki.start().await;
        let url = at(wiki.port, &format!("/feed.php?type={form}"));
        // Its validator is the second in which it made the feed: what changes in that second shows with the next one.
        let mut reading = Reading::start(feed(url, Duration::from_millis(1200)), quick(), now(), None);
        reading.until(|reading| reading.covered >= 2).await;
        wiki.write("hospital:northgate", "smoke in ward nine");
        reading.until(|reading| times(reading, "smoke in ward nine") > 0).await;
        assert_eq!(alerts(&reading), 1, "{form}");
        server.kill();
        reading.until(|reading| !reading.downs.is_empty()).await;
        wiki.write("hospital:southgate", "smoke in ward ten");
        let server = wiki.start().await;
        reading.until(|reading| times(reading, "smoke in ward ten") > 0).await;
        let covered = reading.covered;
        reading.until(|reading| reading.covered > covered + 1).await;
        assert_eq!((times(&reading, "ward nine"), times(&reading, "ward ten")), (1, 1), "{form}: once each");
        assert_eq!(reading.connected.last(), Some(&Joint::GoesOn), "{form}");
        assert!(reading.rejected.is_empty(), "{form}: {:?}", reading.rejected);
        reading.stop().await;
        server.kill();
    }
}
