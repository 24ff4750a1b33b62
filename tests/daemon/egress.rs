//! How a message leaves the building: a private certificate authority, a proxy that
//! wants a password, and neither by accident; and how the doctor finds out where it would not.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use stormbell::config::load::{SecretPolicy, load};
use stormbell::config::model::{Proxy, ReceiverConfig, ReceiverKind, Transport};
use stormbell::config::secret::Secret;
use stormbell::domain::message::MessageKind;
use stormbell::notify::{Receiver, SendError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::child::{Process, Reads};
use crate::support::mail::MailServer;
use crate::support::message::{leased, noon};
use crate::support::proxy::SimProxy;
use crate::support::sink::{Act, SimSink};

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
        let (acceptor, authority) = crate::support::tls::acceptor();
        let ca_file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca_file.path(), authority).unwrap();
        let (listener, port) = listen().await;
        let mut relay = JoinSet::new();
        relay.spawn(crate::support::tls::relay(listener, acceptor, sink.port()));
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

/// A proxy that lets nobody through.
async fn closed_proxy(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let (mut socket, _) = listener.accept().await.unwrap();
        connections.spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                // Some only look whether anybody is here.
                let Ok(byte) = socket.read_u8().await else { return };
                head.push(byte);
            }
            drop(socket.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").await);
        });
    }
}

/// A port that swallows whatever comes, as some firewalls do: the kernel drops what is beyond a full queue.
async fn black_hole() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let there = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(one)) = timeout(Duration::from_millis(200), TcpStream::connect(there)).await {
        waiting.push(one);
    }
    (listener, waiting)
}

/// Hosts of every kind of trouble, and a configuration that needs all of them.
struct Trouble {
    private: Private,
    folder: tempfile::TempDir,
    /// Ports, by what golden files call them.
    ports: Vec<(u16, &'static str)>,
    _held: (Vec<TcpListener>, Vec<TcpStream>),
    mails: [MailServer; 2],
    _proxy: SimProxy,
    _tasks: JoinSet<()>,
}

impl Trouble {
    async fn start() -> Self {
        let private = Private::start().await;
        let folder = tempfile::tempdir().unwrap();
        let (refused, refused_port) = listen().await;
        drop(refused);
        let (silent, silent_port) = listen().await;
        let (hole, waiting) = black_hole().await;
        let hole_port = hole.local_addr().unwrap().port();
        let strict = SimProxy::start(Some(("hosp", "secret"))).await;
        let (closed, closed_port) = listen().await;
        let mut tasks = JoinSet::new();
        tasks.spawn(closed_proxy(closed));
        let mails = [MailServer::with_tls().await, MailServer::start().await];
        let ports = vec![
            (private.port, "OPEN"),
            (refused_port, "REFUSED"),
            (silent_port, "SILENT"),
            (hole_port, "HOLE"),
            (strict.url().port().unwrap(), "STRICT"),
            (closed_port, "CLOSED"),
            (mails[0].port(), "MAIL"),
            (mails[1].port(), "CLEAR"),
        ];
        let trouble =
            Self { private, folder, ports, _held: (vec![silent, hole], waiting), mails, _proxy: strict, _tasks: tasks };
        trouble.configure();
        trouble
    }

    fn port(&self, name: &str) -> u16 {
        self.ports.iter().find(|(_, known)| *known == name).unwrap().0
    }

    fn configure(&self) {
        let path = |name: &str| self.folder.path().join(name);
        let write = |name: &str, text: &str| {
            std::fs::write(path(name), text).unwrap();
            std::fs::set_permissions(path(name), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        };
        let authority = std::fs::read_to_string(self.private.ca_file.path()).unwrap();
        write("ours.pem", &authority);
        write("mails.pem", &std::fs::read_to_string(self.mails[0].ca_file()).unwrap());
        write("other.pem", &crate::support::tls::certified().authority);
        write("right", "secret");
        write("wrong", "PLANTED");
        write("chat", "https://10.9.8.7/hooks/PLANTED");
        let at = |name: &str| format!("https://localhost:{}/hook/PLANTED", self.port(name));
        let through = |proxy: &str, password: &str| {
            let port = self.port(proxy);
            format!(
                "ca_file = \"ours.pem\"\nproxy = \"http://127.0.0.1:{port}\"\nproxy_user = \"hosp\"\nproxy_password = {{ file = \"{password}\" }}"
            )
        };
        let hooks = [
            ("open", at("OPEN"), "ca_file = \"ours.pem\"".to_owned()),
            ("also-open", at("OPEN"), "ca_file = \"ours.pem\"".to_owned()),
            ("wrong-authority", at("OPEN"), "ca_file = \"other.pem\"".to_owned()),
            ("refused", at("REFUSED"), String::new()),
            ("no-name", "https://pager.invalid/hook".to_owned(), String::new()),
            ("silent", at("SILENT"), "ca_file = \"ours.pem\"".to_owned()),
            ("swallowed", at("HOLE").replace("localhost", "127.0.0.1"), String::new()),
            ("through", at("OPEN"), through("STRICT", "right")),
            ("stranger", at("OPEN"), through("STRICT", "wrong")),
            ("turned-away", at("OPEN"), through("CLOSED", "right")),
            ("handed-over", at("OPEN").replace("https", "http"), through("CLOSED", "right")),
        ];
        let mut text = format!(
            "schema = 1\nrules = [\"builtin:hospital\"]\n[organization]\nname = \"Mercy General\"\n\
             [store]\npath = \"state/stormbell.db\"\n\
             [[source]]\nname = \"sky\"\nkind = \"jetstream\"\nurl = \"ws://127.0.0.1:{}/subscribe\"\n\
             [[source]]\nname = \"forum\"\nkind = \"feed\"\nurl = \"http://127.0.0.1:{}/feed.xml\"\ntranscripts = true\n",
            self.port("REFUSED"),
            self.private.sink.port(),
        );
        for (name, url, more) in hooks {
            write!(text, "[[receiver]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"{url}\"\n{more}\n").unwrap();
        }
        for (name, port, ca_file) in
            [("mail", "MAIL", "mails"), ("mail-of-another", "MAIL", "other"), ("mail-in-the-clear", "CLEAR", "mails")]
        {
            write!(
                text,
                "[[receiver]]\nname = \"{name}\"\nkind = \"smtp\"\nhost = \"localhost\"\nport = {}\ntls = \"starttls\"\n\
                 ca_file = \"{ca_file}.pem\"\nfrom = \"bell@h.example\"\nto = [\"ann@h.example\"]\n",
                self.port(port)
            )
            .unwrap();
        }
        text.push_str(
            "[[receiver]]\nname = \"collector\"\nkind = \"syslog\"\nurl = \"udp://127.0.0.1:5514\"\n\
             [[receiver]]\nname = \"chat\"\nkind = \"mattermost\"\nurl = { file = \"chat\" }\nallow_private = [\"10.9.8.7\"]\n\
             proxy = \"http://127.0.0.1:9\"\n\
             [[receiver]]\nname = \"lost\"\nkind = \"slack\"\nurl = { credential = \"slack\" }\n",
        );
        write("stormbell.toml", &text);
    }

    /// What the program says, on both outputs, and how it ends.
    fn doctor(&self, more: &[&str]) -> (String, String, Option<i32>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stormbell"));
        command.args(["doctor", "--within", "1s"]).args(more).current_dir(self.folder.path());
        let output = command.env_clear().output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        for said in [&out, &err] {
            assert!(!said.contains("PLANTED") && !said.contains("hosp:"), "a secret: {said}");
        }
        (out, err, output.status.code())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_where_each_way_ends_and_what_to_open() {
    let trouble = Trouble::start().await;
    let before = trouble.private.sink.requests().len();
    let (mut page, findings, code) = tokio::task::block_in_place(|| trouble.doctor(&[]));
    assert_eq!(code, Some(1), "{findings}");
    assert!(findings.contains("SB0409"), "{findings}");
    for (port, name) in &trouble.ports {
        page = page.replace(&port.to_string(), name);
    }
    page = page.replace(&trouble.private.sink.port().to_string(), "SINK");
    // What differs from machine to machine.
    let lines = page.lines().map(|line| match line.split_once("lookup address information: ") {
        Some((before, _)) => format!("{before}lookup address information: …"),
        None if line.contains(" free for the database") => {
            "  ok      free space: … GB free for the database".to_owned()
        }
        None => line.to_owned(),
    });
    let machine = |line: &String| !["clock: ", "IPv6: ", "let chrony "].iter().any(|mark| line.contains(mark));
    let page: Vec<String> = lines.filter(machine).collect();
    golden("cli-doctor", &page.join("\n"));
    assert_eq!(trouble.private.sink.requests().len(), before, "nobody was told anything");
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_are_told_the_same() {
    let trouble = Trouble::start().await;
    let (lines, _, code) = tokio::task::block_in_place(|| trouble.doctor(&["--json"]));
    assert_eq!(code, Some(1));
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let end = |receiver: &str| {
        let wanted = serde_json::Value::from(format!("receiver {receiver}"));
        let line = lines.iter().find(|line| line["for"].as_array().is_some_and(|all| all.contains(&wanted))).unwrap();
        (line["ends_at"].as_str().map(str::to_owned), line["state"].as_str().unwrap().to_owned())
    };
    for (receiver, step) in [
        ("open", None),
        ("also-open", None),
        ("through", None),
        ("handed-over", None),
        ("mail", None),
        ("collector", None),
        ("wrong-authority", Some("tls")),
        ("refused", Some("tcp")),
        ("no-name", Some("name")),
        ("silent", Some("silent")),
        ("swallowed", Some("tcp")),
        ("stranger", Some("proxy")),
        ("turned-away", Some("proxy")),
        ("chat", Some("tcp")),
        ("mail-of-another", Some("smtp")),
        ("mail-in-the-clear", Some("smtp")),
    ] {
        let state = if step.is_none() { "fine" } else { "failed" };
        assert_eq!(end(receiver), (step.map(str::to_owned), state.to_owned()), "{receiver}");
    }
    let summary = lines.last().unwrap();
    assert_eq!((&summary["type"], &summary["unknown"][0]), (&"summary".into(), &"receiver lost".into()));
    assert_eq!(summary["fit"], false);
}

/// A server of all kinds, which names hosts at two ports more.
async fn sends_on(open: u16, closed: u16) -> SimSink {
    let server = SimSink::start().await;
    let page = |text: String| Act::Page(200, Vec::new(), text.into_bytes());
    let feed = |hub: String| Act::Page(200, vec![("link", format!("<{hub}>; rel=\"hub\""))], b"<rss></rss>".to_vec());
    server.otherwise(move |request| match request.line.split(' ').nth(1).unwrap() {
        "/realm/.well-known/openid-configuration" => page(format!(
            r#"{{"token_endpoint":"http://localhost:{open}/token","jwks_uri":"http://localhost:{closed}/keys"}}"#
        )),
        // An instance of before 2022.
        "/api/v1/instance" => page(format!(r#"{{"urls":{{"streaming_api":"ws://localhost:{open}"}}}}"#)),
        "/blog" => feed(format!("http://127.0.0.1:{open}/hub")),
        // Another host of this network: the daemon does not go there because a feed says so.
        "/inwards" => feed(format!("http://10.9.8.7:{open}/hub")),
        "/lonely" => page(r#"{"version":"https://jsonfeed.org/version/1.1","items":[]}"#.to_owned()),
        "/login" => page("<!doctype html><html><title>Who are you?</title></html>".to_owned()),
        _ => Act::Answer(404),
    });
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_names_further_hosts_is_asked_without_a_secret_and_they_are_tried() {
    let (open, open_port) = listen().await;
    let (closed, closed_port) = listen().await;
    drop(closed);
    let server = sends_on(open_port, closed_port).await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = format!(
        "schema = 1\nrules = [\"builtin:hospital\"]\norganization = {{ name = \"Mercy General\" }}\n\
         store = {{ path = \"bell.db\" }}\n\
         [web]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://bell.example\"\n\
         [web.oidc]\nissuer = \"{}\"\nclient_id = \"bell\"\nclient_secret = {{ file = \"planted\" }}\n\
         roles = {{ crisis = \"admin\" }}\n\
         [[source]]\nname = \"instance\"\nkind = \"mastodon\"\nurl = \"{}\"\ntoken = {{ file = \"planted\" }}\n",
        server.url("/realm"),
        server.url("/"),
    );
    for name in ["blog", "inwards", "lonely", "login", "gone"] {
        let url = server.url(&format!("/{name}"));
        write!(config, "[[source]]\nname = \"{name}\"\nkind = \"feed\"\nurl = \"{url}\"\npush = true\n").unwrap();
    }
    for (name, text) in [("stormbell.toml", config.as_str()), ("planted", "PLANTED")] {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_stormbell"));
    command.args(["doctor", "--within", "5s"]).current_dir(folder.path()).env_clear();
    let output = tokio::task::block_in_place(|| command.output().unwrap());
    let mut page = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{page}{}", String::from_utf8_lossy(&output.stderr));
    for (port, name) in [(server.port(), "SERVER"), (open_port, "OPEN"), (closed_port, "CLOSED")] {
        page = page.replace(&port.to_string(), name);
    }
    // What is said of this machine differs.
    let (ways, rest) = page.split_once("this machine\n").unwrap();
    let (_, list) = rest.split_once("\n\n").unwrap();
    golden("cli-doctor-further", &format!("{ways}{list}"));
    for request in server.requests() {
        assert!(!format!("{request:?}").contains("PLANTED"), "{request:?}");
    }
    drop(open);
}

#[test]
fn every_kind_of_source_and_receiver_says_where_it_leads() {
    let mut page = String::new();
    let folder = tempfile::tempdir().unwrap();
    // Chats that send us on to another host of theirs.
    let chats = ["discord", "slack"].map(|kind| {
        format!("[[source]]\nname = \"{kind}\"\nkind = \"{kind}\"\ntoken = {{ credential = \"{kind}\" }}\n")
    });
    let chats = format!(
        "schema = 1\nrules = [\"builtin:hospital\"]\n[organization]\nname = \"St. Brigid’s\"\n{}",
        chats.concat()
    );
    std::fs::write(folder.path().join("chats.toml"), chats).unwrap();
    let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = ["deploy/sources.toml", "deploy/receivers.toml", "deploy/stormbell.toml"].map(|file| (tree, file));
    for (folder, file) in files.into_iter().chain([(folder.path(), "chats.toml")]) {
        let path = folder.join(file);
        let variables = [("HOME", "/nowhere")];
        let loaded = load(&path, &variables.into_iter().collect(), SecretPolicy::MayBeAbsent);
        let egresses = loaded.config.unwrap_or_else(|| panic!("{file}: {:?}", loaded.findings)).egresses();
        writeln!(page, "=== {file}").unwrap();
        for egress in egresses.known {
            writeln!(page, "{} {:?}: {}", egress.peer(), egress.speaks, egress.wanted_by.join(", ")).unwrap();
        }
        for whose in egresses.secret {
            writeln!(page, "a secret: {whose}").unwrap();
        }
        for onward in egresses.onward {
            let asked = onward.named_in.map_or_else(String::new, |by| format!(" ({:?}: {})", by.document, by.url));
            writeln!(page, "{}: {}{asked}", onward.whose, onward.hosts).unwrap();
        }
    }
    golden("egress", &page);
}

fn golden(name: &str, page: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, page));
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let doctor = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stormbell"));
        let output = command.arg("doctor").args(arguments).current_dir(folder.path()).env_clear().output().unwrap();
        (String::from_utf8(output.stderr).unwrap(), output.status.code())
    };
    let (said, code) = doctor(&["--config", "nowhere.toml"]);
    assert_eq!(code, Some(78));
    assert!(said.contains("nowhere.toml: 1 error; nobody knows which hosts are needed"), "{said}");
}
