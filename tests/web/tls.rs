//! HTTPS with certificates from files: what browsers are told, what slow strangers can do, and what happens when the
//! certificate is renewed.

use std::process::{Command, Stdio};

use crate::support::PATIENCE;
use crate::support::daemon::{API_TOKEN, Config, Place, word_rule};
use crate::support::pretended::{Server, TOKEN};
use crate::support::tls::{Certified, certified, ended};
use crate::support::visitor::{PASSWORD, first_link};
use reqwest::header::SET_COOKIE;
use reqwest::{Certificate, Client, Method, StatusCode};
use stormbell::config::certificate::{CertificateError, certificate};
use stormbell::config::model::TlsFiles;
use stormbell::config::secret::Secret;
use stormbell::web::{Access, Tls};
use stormbell::wire::link::Console;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

fn files(folder: &TempDir, certified: &Certified) -> TlsFiles {
    let files = TlsFiles { certificate: folder.path().join("chain.pem"), key: folder.path().join("key.pem") };
    std::fs::write(&files.certificate, &certified.chain).unwrap();
    std::fs::write(&files.key, &certified.key).unwrap();
    files
}

/// A client that trusts that authority alone, and keeps no connection.
fn trusting(authority: &str) -> Client {
    let authority = Certificate::from_pem(authority.as_bytes()).unwrap();
    let client = Client::builder().no_proxy().timeout(PATIENCE).tls_certs_only([authority]).pool_max_idle_per_host(0);
    client.redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// A server that is called `localhost`, and what replaces its certificate.
async fn server(certified: &Certified) -> (Server, Tls) {
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls::new(certificate(&files(&folder, certified)).unwrap()).unwrap();
    let served = tls.clone();
    let public = Console::with_links("https://localhost".parse().unwrap(), "planted-link-key");
    let access = Access::Token(Secret::new(TOKEN.to_owned()));
    (Server::start_with(access, Some(public), |doors| doors.tls = Some(served)).await, tls)
}

#[tokio::test]
async fn browsers_are_told_to_keep_to_https() {
    let certified = certified();
    let (server, _) = server(&certified).await;
    let client = trusting(&certified.authority);
    let at = |host: &str, path: &str| format!("https://{host}:{}{path}", server.address.port());
    let page = client.get(at("localhost", "/sign-in")).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(page.headers()["strict-transport-security"], "max-age=31536000");
    let by_address = client.get(at("127.0.0.1", "/sign-in")).send().await.unwrap();
    assert!(!by_address.headers().contains_key("strict-transport-security"), "an address is no name to keep to");

    let link = server.backend.first_link.lock().unwrap().clone().expect("told before it answers");
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("name", "ann"), ("password", PASSWORD), ("again", PASSWORD)])
        .finish();
    let take_up = |origin: String| {
        let request = client.post(at("127.0.0.1", &link)).header("origin", origin);
        request.header("content-type", "application/x-www-form-urlencoded").body(form.clone()).send()
    };
    let in_the_clear = take_up(format!("http://127.0.0.1:{}", server.address.port())).await.unwrap();
    assert_eq!(in_the_clear.status(), StatusCode::FORBIDDEN, "a page that somebody in between could have written");
    let taken = take_up(format!("https://127.0.0.1:{}", server.address.port())).await.unwrap();
    assert_eq!(taken.status(), StatusCode::SEE_OTHER);
    let cookies: Vec<_> = taken.headers().get_all(SET_COOKIE).iter().collect();
    assert!(cookies.len() == 2 && cookies.iter().all(|one| one.to_str().unwrap().ends_with("; Secure")), "{cookies:?}");
}

#[tokio::test]
async fn a_server_in_the_clear_promises_no_https() {
    let server = Server::guarded().await;
    first_link(&server).await;
    let page = server.ask(Method::GET, "/sign-in").send().await.unwrap();
    assert!(!page.headers().contains_key("strict-transport-security"));
}

#[tokio::test]
async fn strangers_who_dawdle_at_the_handshake_hold_up_nobody() {
    let certified = certified();
    let (server, _) = server(&certified).await;
    let mut dawdlers = Vec::new();
    for _ in 0..50 {
        let mut dawdler = TcpStream::connect(server.address).await.unwrap();
        // The beginning of a record, and no more.
        dawdler.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
        dawdlers.push(dawdler);
    }
    let client = trusting(&certified.authority);
    let url = format!("https://localhost:{}/healthz", server.address.port());
    assert_eq!(client.get(&url).send().await.unwrap().text().await.unwrap(), "ok\n");
    // And whoever speaks HTTP to it gets no page in the clear.
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // It may end by a reset.
    plain.read_to_end(&mut answer).await.unwrap_or_default();
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    for dawdler in &mut dawdlers {
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, dawdler.read_to_end(&mut rest)).await;
        ended.expect("they are cut off").unwrap_or_default();
    }
}

#[tokio::test]
async fn another_certificate_serves_whoever_comes_next() {
    let (old, new) = (certified(), certified());
    let (server, tls) = server(&old).await;
    let url = format!("https://localhost:{}/healthz", server.address.port());
    let ask = |authority: &str| trusting(authority).get(&url).send();
    assert!(ask(&old.authority).await.is_ok() && ask(&new.authority).await.is_err());
    let folder = tempfile::tempdir().unwrap();
    tls.replace(certificate(&files(&folder, &new)).unwrap());
    assert!(ask(&old.authority).await.is_err() && ask(&new.authority).await.is_ok());
}

#[test]
fn what_is_wrong_with_the_files_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (certified(), certified());
    let wrong = |chain: &str, key: &str| {
        let (chain, key) = (chain.to_owned(), key.to_owned());
        certificate(&files(&folder, &Certified { chain, key, authority: String::new() })).unwrap_err()
    };
    assert!(certificate(&files(&folder, &one)).is_ok());
    assert!(matches!(wrong(&one.chain, &other.key), CertificateError::Strangers { .. }));
    assert!(matches!(wrong("", &one.key), CertificateError::NoCertificate { .. }));
    assert!(matches!(wrong(&one.key, &one.key), CertificateError::NoCertificate { .. }));
    assert!(matches!(wrong(&one.chain, &one.chain), CertificateError::NoKey { .. }));
    let absent = TlsFiles { certificate: folder.path().join("absent"), key: folder.path().join("key.pem") };
    assert!(matches!(certificate(&absent), Err(CertificateError::Unreadable { .. })));
}

#[tokio::test]
async fn the_daemon_renews_its_certificate_and_its_commands_know_it() {
    let (old, new) = (certified(), certified());
    let stream = Url::parse("ws://127.0.0.1:9/subscribe").unwrap();
    let config = Config::new(&stream, "").receiver("log", "kind = \"log\"");
    let config = config.and("[web.tls]\ncertificate = \"tls/chain.pem\"\nkey = { file = \"tls/key.pem\" }");
    let place = Place::new(&config, &[word_rule("fire", "fire", "high")]);
    place.write("tls/chain.pem", &old.chain);
    place.write("tls/key.pem", &old.key);
    let daemon = place.start().await;
    let url = format!("https://localhost:{}/api/v1/rules", daemon.port());
    let ask = |authority: &str| trusting(authority).get(&url).bearer_auth(API_TOKEN).send();
    assert_eq!(ask(&old.authority).await.unwrap().status(), StatusCode::OK);

    // One file of two: the old pair goes on.
    place.write("tls/chain.pem", &new.chain);
    daemon.signal("HUP");
    daemon.says("certificate refused").await;
    assert!(ask(&old.authority).await.is_ok());
    place.write("tls/key.pem", &new.key);
    daemon.signal("HUP");
    daemon.says("certificate read").await;
    assert!(ask(&new.authority).await.is_ok() && ask(&old.authority).await.is_err());

    // Long before browsers refuse it, people know.
    let metrics = format!("https://localhost:{}/metrics", daemon.port());
    let left = async |authority: &str| {
        let page = trusting(authority).get(&metrics).send().await.unwrap().text().await.unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix("stormbell_certificate_left_seconds "));
        line.map(|value| value.parse::<i64>().unwrap())
    };
    daemon.until(async || left(&new.authority).await, |left| left.is_some_and(|left| left > 0)).await;
    let over = ended();
    place.write("tls/chain.pem", &over.chain);
    place.write("tls/key.pem", &over.key);
    daemon.signal("HUP");
    daemon.says("ends soon").await;
    // Who looks at no certificate still gets an answer.
    let careless =
        Client::builder().no_proxy().timeout(PATIENCE).tls_danger_accept_invalid_certs(true).build().unwrap();
    let page = careless.get(&metrics).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("\nstormbell_certificate_left_seconds -"), "{page}");
    place.write("tls/chain.pem", &new.chain);
    place.write("tls/key.pem", &new.key);
    daemon.signal("HUP");
    daemon.says_times("certificate read", 3).await;

    // The command trusts the file, whatever name the certificate has.
    place.configure(&config.listening(daemon.port()));
    let incidents = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stormbell"));
        command.env_clear().args(["incidents", "--config"]).arg(place.path("stormbell.toml"));
        command.stdin(Stdio::null()).output().unwrap()
    };
    let output = incidents();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("no incidents"), "{said}");
    place.write("tls/chain.pem", &old.chain);
    place.write("tls/key.pem", &old.key);
    assert!(!incidents().status.success(), "a server with another certificate is not asked");
}
