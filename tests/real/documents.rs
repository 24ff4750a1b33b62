//! Servers of documents that were written by others: what is published there by their own tools raises the alert, edits
//! follow where their wire has them, and when one is killed and is back, nothing is lost and nothing comes twice.
//!
//! nginx serves feeds as files, with validators, and, by its nchan, server-sent events that can be resumed; what nchan
//! holds is in memory and dies with it. `DokuWiki`'s feed names an item by revision: an edit is one more item, and the
//! end of a page is none. Shaarli's feeds have no validator but a date that is always now; what is deleted there is only
//! missing. `MediaWiki` tells each change at once, as Wikimedia's wikis do, and a deletion is one more change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha512;
use stormbell::app::clock::SystemClock;
use stormbell::config::model::{EventForm, EventstreamsConfig, FeedConfig, SourceKind, Transport};
use stormbell::domain::condition::Condition;
use stormbell::domain::event::{Joint, SourceEvent};
use stormbell::domain::incident::Severity;
use stormbell::domain::message::MessageKind;
use stormbell::domain::time::{Clock as _, Timestamp};
use stormbell::source::timing::Timing;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::{Instant, sleep, timeout};
use url::Url;

use crate::support::PATIENCE;
use crate::support::child::{Process, Reads};
use crate::support::reading::{Reading, quick};
use crate::support::sim::{Sim, frame, route, rule};

const NCHAN: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";
const DOKUWIKI: &str = "/usr/share/dokuwiki";
const SHAARLI: &str = "/usr/share/shaarli";
const MEDIAWIKI: &str = "/usr/share/mediawiki";
const CHANNELS: &str = "location = /pub { nchan_publisher; nchan_channel_id rc; nchan_message_buffer_length 1000; nchan_message_timeout 1h; }\n\
                        location = /sub { nchan_subscriber; nchan_channel_id rc; nchan_eventsource_ping_interval 1; nchan_subscriber_first_message newest; }\n";

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

/// What nchan passes on.
fn changes(nginx: &Nginx) -> EventstreamsConfig {
    EventstreamsConfig {
        urls: vec![at(nginx.port, "/sub")],
        events: EventForm::Recentchange,
        login: None,
        contact: "it@hospital.example".into(),
        transport: Transport::default(),
    }
}

#[tokio::test]
#[ignore = "needs Debian's libnginx-mod-nchan; run by .ci/run"]
async fn events_of_nchan_are_read_and_resumed_behind_the_last() {
    if !has("nginx", "-v") || !Path::new(NCHAN).try_exists().unwrap() {
        println!("skipped: libnginx-mod-nchan is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let nginx = Nginx::new(folder.path(), CHANNELS).await;
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
    let config = changes(&nginx);
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

/// Bookmarks in a folder of their own: Debian's copy knows but one place, so a copy of that knows another.
struct Shaarli {
    folder: PathBuf,
    port: u16,
}

/// Copies what are files, with other words in the programs.
fn copy(from: &Path, to: &Path, instead: &impl Fn(String) -> String) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (kind, path, target) = (entry.file_type().unwrap(), entry.path(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&path, &target, instead);
        } else if path.extension().is_some_and(|end| end == "php") {
            fs::write(target, instead(fs::read_to_string(&path).unwrap())).unwrap();
        } else if kind.is_file() {
            fs::copy(&path, target).unwrap();
        }
    }
}

impl Shaarli {
    const SECRET: &str = "a secret of this test";

    async fn new(folder: &Path) -> Self {
        let place = folder.display().to_string();
        let instead = |text: String| {
            let text = text.replace("/var/lib/shaarli", &place).replace("/var/cache/shaarli", &place);
            text.replace(SHAARLI, &format!("{place}/www"))
        };
        copy(Path::new(SHAARLI), &folder.join("www"), &instead);
        for part in ["data", "cache", "pagecache", "tmp", "www/cache"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        let settings = json!({
            "credentials": { "login": "rita", "hash": "none", "salt": "none" },
            "api": { "enabled": true, "secret": Self::SECRET },
            "general": { "title": "Lab", "timezone": "UTC", "retrieve_description": false },
            "updates": { "check_updates": false },
            "thumbnails": { "mode": "none" },
        });
        fs::write(folder.join("data/config.json.php"), format!("<?php /*\n{settings}\n*/ ?>")).unwrap();
        Self { folder: folder.to_owned(), port: free_port().await }
    }

    async fn start(&self) -> Process {
        let mut php = Command::new("php");
        php.args(["-d", "error_reporting=0", "-d"]).arg(format!("session.save_path={}/tmp", self.folder.display()));
        php.args(["-S", &format!("127.0.0.1:{}", self.port), "-t"]).arg(self.folder.join("www")).stderr(Stdio::null());
        let process = Process::start(&mut php, Reads::Output);
        listens(self.port).await;
        process
    }

    /// A request to its API, with the token that it wants (RFC 7519, HS512, fresh); what it answers.
    async fn ask(&self, method: Method, path: &str, body: &Value) -> Value {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = part(&json!({ "typ": "JWT", "alg": "HS512" }));
        let signed = format!("{head}.{}", part(&json!({ "iat": now().micros() / 1_000_000 })));
        let mut mac = Hmac::<Sha512>::new_from_slice(Self::SECRET.as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.request(method, at(self.port, path)).bearer_auth(token);
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default()
    }

    /// Keeps a bookmark; its number.
    async fn keep(&self, title: &str) -> u64 {
        let url = format!("https://news.example/{}", title.replace(' ', "-"));
        let body = json!({ "url": url, "title": title, "description": "", "private": false });
        self.ask(Method::POST, "/api/v1/links", &body).await["id"].as_u64().unwrap()
    }
}

#[tokio::test]
#[ignore = "needs Debian's shaarli and php-cli; run by .ci/run"]
async fn bookmarks_of_shaarli_are_read_by_either_feed() {
    if !has("php", "-v") || !Path::new(SHAARLI).try_exists().unwrap() {
        println!("skipped: shaarli is not installed");
        return;
    }
    for form in ["rss", "atom"] {
        let folder = tempfile::tempdir().unwrap();
        let shaarli = Shaarli::new(folder.path()).await;
        let server = shaarli.start().await;
        shaarli.keep("parking is easy").await;
        let kind = feed(at(shaarli.port, &format!("/feed/{form}")), Duration::from_millis(50));
        let mut reading = Reading::start(kind, quick(), now(), None);
        reading.until(|reading| reading.covered >= 2).await;
        let kept = shaarli.keep("smoke in ward nine").await;
        reading.until(|reading| times(reading, "smoke in ward nine") > 0).await;
        assert_eq!(alerts(&reading), 1, "{form}");
        let edited = json!({ "url": "https://news.example/nine", "title": "smoke in ward seven", "private": false });
        shaarli.ask(Method::PUT, &format!("/api/v1/links/{kept}"), &edited).await;
        reading.until(|reading| times(reading, "smoke in ward seven") > 0).await;
        let of_it: Vec<_> = reading.posts.iter().filter(|post| post.text.contains("smoke")).collect();
        assert_eq!(of_it[0].id, of_it[1].id, "{form}: an edit is the same post");
        shaarli.ask(Method::DELETE, &format!("/api/v1/links/{kept}"), &Value::Null).await;
        server.kill();
        reading.until(|reading| !reading.downs.is_empty()).await;
        let server = shaarli.start().await;
        shaarli.keep("smoke in ward ten").await;
        reading.until(|reading| times(reading, "smoke in ward ten") > 0).await;
        let covered = reading.covered;
        reading.until(|reading| reading.covered > covered + 3).await;
        for text in ["ward nine", "ward seven", "ward ten"] {
            assert_eq!(times(&reading, text), 1, "{form}: {text}");
        }
        assert_eq!(times(&reading, "parking"), 0, "{form}: what was there first is history");
        assert!(reading.rejected.is_empty(), "{form}: {:?}", reading.rejected);
        reading.stop().await;
        server.kill();
    }
}

/// A wiki of `MediaWiki`'s in a folder of its own, which tells its changes by datagrams.
struct MediaWiki {
    folder: PathBuf,
    told: UdpSocket,
}

impl MediaWiki {
    async fn new(folder: &Path) -> Self {
        let told = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let wiki = Self { folder: folder.to_owned(), told };
        let place = folder.display();
        fs::create_dir_all(folder.join("data")).unwrap();
        fs::create_dir_all(folder.join("conf")).unwrap();
        wiki.run(&[
            "install.php",
            "--dbtype=sqlite",
            &format!("--dbpath={place}/data"),
            "--dbname=lab",
            "--server=http://wiki.example",
            "--scriptpath=/w",
            "--pass=a password of this test",
            &format!("--confpath={place}/conf"),
            "Lab",
            "Rita",
        ]);
        let settings = wiki.settings();
        let port = wiki.told.local_addr().unwrap().port();
        let feed = format!(
            "$wgRCFeeds['lab'] = ['formatter' => 'JSONRCFeedFormatter', 'uri' => 'udp://127.0.0.1:{port}', \
             'add_interwiki_prefix' => false, 'omit_bots' => false];\n"
        );
        fs::write(&settings, fs::read_to_string(&settings).unwrap() + &feed).unwrap();
        wiki
    }

    fn settings(&self) -> PathBuf {
        self.folder.join("conf/LocalSettings.php")
    }

    /// Runs one of the wiki's own tools, in the folder, with what is in `words` there.
    fn run(&self, arguments: &[&str]) {
        let mut php = Command::new("php");
        php.args(["-d", "error_reporting=0"])
            .arg(format!("{MEDIAWIKI}/maintenance/{}", arguments[0]))
            .args(&arguments[1..]);
        if self.settings().try_exists().unwrap() {
            php.env("MW_CONFIG_FILE", self.settings());
        }
        let words = self.folder.join("words");
        php.stdin(fs::File::open(&words).map_or_else(|_| Stdio::null(), Stdio::from));
        let done = php.output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    fn write(&self, page: &str, summary: &str, words: &str) {
        fs::write(self.folder.join("words"), words).unwrap();
        self.run(&["edit.php", "--user", "Rita", "--summary", summary, page]);
    }

    fn delete(&self, page: &str, reason: &str) {
        fs::write(self.folder.join("words"), page).unwrap();
        self.run(&["deleteBatch.php", "-u", "Rita", "-r", reason]);
    }

    /// Passes on what it told next.
    async fn pass_on(&self, nginx: &Nginx) {
        let mut change = vec![0; 1 << 16];
        let length = timeout(PATIENCE, self.told.recv(&mut change)).await.expect("it tells").unwrap();
        change.truncate(length);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.post(at(nginx.port, "/pub")).body(change).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.status());
    }
}

#[tokio::test]
#[ignore = "needs Debian's mediawiki, php-cli and libnginx-mod-nchan; run by .ci/run"]
async fn changes_of_mediawiki_are_read_behind_nchan() {
    let is_there = [NCHAN, MEDIAWIKI].iter().all(|path| Path::new(path).try_exists().unwrap());
    if !has("php", "-v") || !has("nginx", "-v") || !is_there {
        println!("skipped: mediawiki or libnginx-mod-nchan is not installed");
        return;
    }
    let (folder, channels) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let nginx = Nginx::new(channels.path(), CHANNELS).await;
    let (server, wiki) = (nginx.start().await, MediaWiki::new(folder.path()).await);
    let timing = || Timing { answer_within: Duration::from_secs(10), ..quick() };
    let mut reading = Reading::start(SourceKind::Eventstreams(changes(&nginx)), timing(), now(), None);
    reading.until(|reading| reading.covered >= 1).await;
    wiki.write("Northgate Hospital", "smoke in ward nine", "It burns.");
    wiki.pass_on(&nginx).await;
    reading.until_post("Northgate Hospital\nsmoke in ward nine").await;
    assert_eq!(alerts(&reading), 1);
    let first = reading.posts[0].clone();
    assert_eq!(first.author.name.as_deref(), Some("Rita"));
    assert!(
        first.url.as_deref().is_some_and(|url| url.starts_with("http://wiki.example/w/index.php?diff=")),
        "{:?}",
        first.url
    );
    // A restart of ours: what changed meanwhile comes behind the last, once.
    let bookmark = reading.position.bookmark();
    reading.stop().await;
    wiki.write("Northgate Hospital", "smoke in ward ten", "It burns still.");
    wiki.pass_on(&nginx).await;
    wiki.delete("Northgate Hospital", "smoke was steam");
    wiki.pass_on(&nginx).await;
    let mut reading = Reading::start(SourceKind::Eventstreams(changes(&nginx)), timing(), now(), bookmark);
    reading.until(|reading| times(reading, "smoke was steam") > 0).await;
    let texts = ["Northgate Hospital\nsmoke in ward ten", "Northgate Hospital\nsmoke was steam"];
    assert_eq!(reading.texts(), texts, "an edit and a deletion are changes of their own");
    assert!(reading.rejected.is_empty(), "{:?}", reading.rejected);
    reading.stop().await;
    server.kill();
}
