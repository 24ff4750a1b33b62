//! A proxy that says who is there, over its own socket: what is believed, and of whom.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use crate::support::PATIENCE;
use crate::support::daemon::{Config, Place, word_rule};
use crate::support::pretended::{Server, TOKEN, public};
use crate::support::visitor::{Visitor, first_link, invite};
use stormbell::config::secret::Secret;
use stormbell::domain::access::Role;
use stormbell::domain::audit::Entry;
use stormbell::web::{Access, Trusted};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use url::Url;

/// A server behind a proxy that the tests are.
struct Behind {
    server: Server,
    socket: PathBuf,
    _folder: TempDir,
}

/// Who runs the tests.
fn me(folder: &TempDir) -> u32 {
    std::fs::metadata(folder.path()).unwrap().uid()
}

impl Behind {
    async fn new(newcomers: Option<Role>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let user = me(&folder);
        Self::trusting(folder, user, newcomers).await
    }

    async fn trusting(folder: TempDir, user: u32, newcomers: Option<Role>) -> Self {
        let socket = folder.path().join("web.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let header = "x-remote-user".parse().unwrap();
        let trusted = Trusted { listener, user, header, newcomers };
        let access = Access::Token(Secret::new(TOKEN.to_owned()));
        let server = Server::start_with(access, Some(public()), |doors| doors.proxy = Some(trusted)).await;
        Self { server, socket, _folder: folder }
    }

    /// What the proxy gets for a request as it passes it on.
    async fn ask(&self, line: &str, headers: &[(&str, &str)], body: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        talk(&mut stream, line, headers, body).await
    }

    async fn get(&self, path: &str, user: &str) -> String {
        self.ask(&format!("GET {path}"), &[("X-Remote-User", user)], "").await
    }

    fn noted(&self, what: &str) -> Vec<Entry> {
        self.server.backend.entries.lock().unwrap().iter().filter(|entry| entry.what == what).cloned().collect()
    }
}

async fn talk(
    stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin),
    line: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> String {
    let headers: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = headers.concat();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: bell.hospital.example\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    let mut answer = Vec::new();
    let exchange = async {
        // Whoever is not let in is cut off, perhaps while they still speak.
        stream.write_all(request.as_bytes()).await.unwrap_or_default();
        stream.read_to_end(&mut answer).await.unwrap_or_default();
    };
    timeout(PATIENCE, exchange).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn key(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"key\" value=\"").unwrap_or_else(|| panic!("{page}"));
    rest.split('"').next().unwrap().to_owned()
}

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const OWN: (&str, &str) = ("Origin", "https://bell.hospital.example");

#[tokio::test]
async fn whoever_the_proxy_names_is_in_and_acts_by_that_name() {
    let behind = Behind::new(Some(Role::Responder)).await;
    let page = behind.get("/silences", "Ann@Hospital.example").await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains(">ann@hospital.example</a>"), "{page}");
    let take = "POST /incidents/active-threat%2F1/ack";
    let named = ("X-Remote-User", "ann@hospital.example");
    let form = format!("key={}", key(&page));
    let taken = behind.ask(take, &[named, FORM, OWN], &form).await;
    assert!(taken.starts_with("HTTP/1.1 303"), "{taken}");
    assert_eq!(behind.server.backend.acted.lock().unwrap()[0].1.by, "ann@hospital.example");
    let made = behind.noted("account.made");
    assert_eq!((made.len(), made[0].text.as_str()), (1, "as responder, by the proxy"), "once");
    assert!(behind.get("/access", "ann@hospital.example").await.starts_with("HTTP/1.1 403"), "and no more");

    // What keeps other sites' forms out keeps them out here.
    for (headers, form) in [
        (vec![named, FORM, ("Origin", "https://evil.example")], form.as_str()),
        (vec![named, FORM], form.as_str()),
        (vec![named, FORM, OWN], "key=guessed"),
        (vec![named, FORM, OWN], ""),
        (vec![("X-Remote-User", "bob"), FORM, OWN], form.as_str()),
    ] {
        let refused = behind.ask(take, &headers, form).await;
        assert!(refused.starts_with("HTTP/1.1 403"), "{headers:?}: {refused}");
    }
    assert_eq!(behind.server.backend.acted.lock().unwrap().len(), 1);
    // An account that was made has no password, so nobody guesses it.
    let form = "name=ann%40hospital.example&password=&then=";
    let entered = behind.ask("POST /sign-in", &[FORM, OWN], form).await;
    assert!(entered.starts_with("HTTP/1.1 422"), "{entered}");
}

#[tokio::test]
async fn strangers_are_told_that_they_have_no_account() {
    let behind = Behind::new(None).await;
    for (name, words) in
        [("eve", "There is no account eve"), ("api", "A name has"), ("a\u{e4}", "A name has"), ("", "A name has")]
    {
        let page = behind.get("/", name).await;
        assert!(page.starts_with("HTTP/1.1 403") && page.contains(words), "{name}: {page}");
        let problem = behind.get("/api/v1/incidents", name).await;
        assert!(problem.starts_with("HTTP/1.1 403") && problem.contains("application/json"), "{name}: {problem}");
    }
    let twice = [("X-Remote-User", "ann"), ("X-Remote-User", "root")];
    assert!(behind.ask("GET /", &twice, "").await.starts_with("HTTP/1.1 403"));
    assert!(behind.server.backend.changes.lock().unwrap().len() == 1, "the first invitation, and no account");
    // A proxy that names nobody leaves it to us.
    let led = behind.ask("GET /", &[], "").await;
    assert!(led.starts_with("HTTP/1.1 303") && led.contains("location: /sign-in"), "{led}");
    let healthy = behind.get("/healthz", "eve").await;
    assert!(healthy.starts_with("HTTP/1.1 200"), "{healthy}");
}

#[tokio::test]
async fn accounts_have_our_roles_and_end_here() {
    let behind = Behind::new(None).await;
    let mut root = Visitor::new(&behind.server);
    let link = first_link(&behind.server).await;
    root.take_up(&link, "root").await;
    let link = invite(&mut root, "ann", Role::Viewer).await;
    Visitor::new(&behind.server).take_up(&link, "ann").await;
    assert!(behind.get("/", "ann").await.starts_with("HTTP/1.1 200"));
    let events = behind.get("/audit", "ann").await;
    assert!(events.starts_with("HTTP/1.1 403"), "{events}");
    root.order("/access/role", &[("name", "ann"), ("role", "admin")]).await;
    assert!(behind.get("/audit", "ann").await.starts_with("HTTP/1.1 200"));
    root.order("/access/remove", &[("name", "ann")]).await;
    assert!(behind.get("/", "ann").await.starts_with("HTTP/1.1 403"));
}

#[tokio::test]
async fn the_header_means_nothing_elsewhere() {
    let behind = Behind::new(Some(Role::Editor)).await;
    first_link(&behind.server).await;
    let mut stream = tokio::net::TcpStream::connect(behind.server.address).await.unwrap();
    let answer = talk(&mut stream, "GET /", &[("X-Remote-User", "ann")], "").await;
    assert!(answer.starts_with("HTTP/1.1 303") && answer.contains("location: /sign-in"), "{answer}");
    let mut stream = tokio::net::TcpStream::connect(behind.server.address).await.unwrap();
    let answer = talk(&mut stream, "GET /api/v1/rules", &[("X-Remote-User", "ann")], "").await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(behind.noted("account.made").is_empty());

    // Somebody else of this machine who can reach the socket.
    let folder = tempfile::tempdir().unwrap();
    let another = me(&folder).wrapping_add(1);
    let behind = Behind::trusting(folder, another, Some(Role::Editor)).await;
    assert_eq!(behind.get("/healthz", "ann").await, "", "not even an answer");
}

#[tokio::test]
async fn the_daemon_opens_the_door_that_its_configuration_names() {
    let folder = tempfile::tempdir().unwrap();
    let stream = Url::parse("ws://127.0.0.1:9/subscribe").unwrap();
    let config = Config::new(&stream, "").receiver("log", "kind = \"log\"").public("https://bell.hospital.example");
    let user = me(&folder);
    let proxy = format!(
        "[web.proxy]\nsocket = \"web.sock\"\nuser = {user}\nuser_header = \"X-Remote-User\"\nrole = \"viewer\""
    );
    let place = Place::new(&config.and(&proxy), &[word_rule("fire", "fire", "high")]);
    let daemon = place.start().await;
    let mut stream = UnixStream::connect(place.path("web.sock")).await.unwrap();
    let page = talk(&mut stream, "GET /", &[("X-Remote-User", "ann")], "").await;
    assert!(page.starts_with("HTTP/1.1 200") && page.contains(">ann</a>"), "{page}");
    drop(daemon);
    // What a dead daemon left there is replaced.
    let _daemon = place.start().await;
    let mut stream = UnixStream::connect(place.path("web.sock")).await.unwrap();
    assert!(talk(&mut stream, "GET /healthz", &[], "").await.starts_with("HTTP/1.1 200"));
}
