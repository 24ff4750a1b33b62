//! How a message leaves the building: a private certificate authority, a proxy that
//! wants a password, and neither by accident.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use stormbell::config::model::{Proxy, ReceiverConfig, ReceiverKind, Transport};
use stormbell::config::secret::Secret;
use stormbell::domain::message::MessageKind;
use stormbell::notify::{Receiver, SendError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use support::child::{Process, Reads};
use support::message::{leased, noon};
use support::sink::SimSink;

/// A receiver behind TLS whose certificate only a private authority vouches for.
struct Private {
    sink: SimSink,
    ca_file: tempfile::NamedTempFile,
    port: u16,
    _relay: JoinSet<()>,
}

impl Private {
    async fn start() -> Self {
        let sink = SimSink::start().await;
        let (acceptor, authority) = support::tls::acceptor();
        let ca_file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca_file.path(), authority).unwrap();
        let (listener, port) = listen().await;
        let mut relay = JoinSet::new();
        relay.spawn(support::tls::relay(listener, acceptor, sink.port()));
        Self { sink, ca_file, port, _relay: relay }
    }

    fn receiver(&self, ca_file: Option<&Path>, proxy: Option<Proxy>) -> Receiver {
        let transport = Transport { proxy, ca_file: ca_file.map(Path::to_owned), ..Transport::default() };
        let url = format!("https://localhost:{}/hook", self.port).parse().unwrap();
        let kind = ReceiverKind::Webhook { url, secret: None, transport };
        Receiver::build(&ReceiverConfig::new("there", kind), None).unwrap()
    }
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A CONNECT proxy that wants `hosp:secret`, and answers 407 without.
async fn proxy(listener: TcpListener) {
    let wanted = base64::engine::general_purpose::STANDARD.encode("hosp:secret");
    loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        if !head.to_lowercase().contains(&format!("proxy-authorization: basic {wanted}").to_lowercase()) {
            let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
            drop(socket.write_all(refusal).await);
            continue;
        }
        let target = head.split(' ').nth(1).unwrap();
        let mut outside = TcpStream::connect(target.replace("localhost", "127.0.0.1")).await.unwrap();
        socket.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
        drop(copy_bidirectional(&mut socket, &mut outside).await);
    }
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_configured_and_only_then() {
    let private = Private::start().await;
    let message = leased("i", MessageKind::Opened);
    private.receiver(Some(private.ca_file.path()), None).send(&message, noon()).await.unwrap();
    assert_eq!(private.sink.requests().len(), 1);

    let refused = private.receiver(None, None).send(&message, noon()).await.unwrap_err();
    assert!(matches!(refused, SendError::Retry { .. }));
    assert!(refused.to_string().starts_with("localhost: cannot connect (invalid peer certificate"), "{refused}");
    assert_eq!(private.sink.requests().len(), 1);
}

#[tokio::test]
async fn a_proxy_gets_its_password_and_its_refusal_does_not_print_it() {
    let private = Private::start().await;
    let (listener, port) = listen().await;
    let mut tasks = JoinSet::new();
    tasks.spawn(proxy(listener));
    knows_the_password(&private, port).await;
}

/// Debian's squid, which wants `hosp:secret` as any hospital's proxy does.
#[tokio::test]
#[ignore = "needs Debian's squid and apache2-utils; run by .ci/run"]
async fn squid_gets_its_password_and_its_refusal_does_not_print_it() {
    let private = Private::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    // Squid gives up being root.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let made = Command::new("htpasswd").args(["-bc", &path("users"), "hosp", "secret"]).status().unwrap();
    assert!(made.success());
    let (free, port) = listen().await;
    drop(free);
    let config = format!(
        "http_port 127.0.0.1:{port}\nauth_param basic program /usr/lib/squid/basic_ncsa_auth {}\n\
         acl known proxy_auth REQUIRED\nhttp_access allow known\nhttp_access deny all\ncache deny all\n\
         access_log none\npid_filename none\ncache_log {}\ncoredump_dir {}\n",
        path("users"),
        path("cache.log"),
        path(""),
    );
    std::fs::write(path("squid.conf"), config).unwrap();
    let mut squid = Process::start(Command::new("squid").args(["-N", "-d1", "-f", &path("squid.conf")]), Reads::Errors);
    squid.line_with("Accepting HTTP Socket connections");
    // It says so just before it does.
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        looks.tick().await;
    }
    knows_the_password(&private, port).await;
}

/// A message goes through the proxy at that port with `hosp:secret`, and with nothing else.
async fn knows_the_password(private: &Private, port: u16) {
    let message = leased("i", MessageKind::Opened);
    let through = |password: &str| {
        let login = Some(("hosp".to_owned(), Secret::new(password.to_owned())));
        let proxy = Proxy { url: format!("http://127.0.0.1:{port}").parse().unwrap(), login };
        private.receiver(Some(private.ca_file.path()), Some(proxy))
    };
    through("secret").send(&message, noon()).await.unwrap();
    assert_eq!(private.sink.requests().len(), 1);
    let refused = through("PLANTED").send(&message, noon()).await.unwrap_err();
    assert!(refused.to_string().contains("proxy authorization required"), "{refused}");
    assert!(!refused.to_string().contains("PLANTED"), "{refused}");
    assert_eq!(private.sink.requests().len(), 1);
}
