//! Receivers told by the real thing: Debian's Alertmanager and rsyslog, `aiosmtpd` and Matrix Synapse
//! from `PyPI`. What they keep of a message is what people get.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use stormbell::app::clock::SystemClock;
use stormbell::config::model::{Mail, Matrix, ReceiverConfig, ReceiverKind, Syslog, SyslogWay, TlsMode, Transport};
use stormbell::config::secret::Secret;
use stormbell::domain::message::{Leased, MessageKind};
use stormbell::domain::time::Clock;
use stormbell::notify::{Receiver, SendError};
use stormbell::wire::link::Console;

use crate::support::child::{Process, Reads};
use crate::support::message::leased;
use crate::support::synapse::{Synapse, port, python, until};

fn build(kind: ReceiverKind) -> Receiver {
    let console = Console::with_links("https://bell.hospital.example".parse().unwrap(), "planted-link-key");
    Receiver::build(&ReceiverConfig::new("there", kind), Some(&console)).unwrap()
}

async fn send(receiver: &Receiver, message: &Leased) -> Result<(), SendError> {
    receiver.send(message, SystemClock.now()).await
}

#[tokio::test]
#[ignore = "needs Debian's prometheus-alertmanager; run by .ci/run"]
async fn an_alert_in_alertmanager_begins_changes_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("am.yml");
    fs::write(&config, "route: { receiver: none }\nreceivers: [{ name: none }]\n").unwrap();
    let address = format!("127.0.0.1:{}", port());
    let base = format!("http://{address}");
    let mut command = Command::new("prometheus-alertmanager");
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.path={}", folder.path().join("data").display()));
    command.args(["--cluster.listen-address=", &format!("--web.listen-address={address}")]);
    let _server = Process::start(&mut command, Reads::Errors);
    let client = reqwest::Client::new();
    until(&client, &format!("{base}/-/ready"), |text| text.contains("OK")).await;

    let urls = vec![base.parse().unwrap()];
    let receiver = build(ReceiverKind::Alertmanager { urls, cleared: false, transport: Transport::default() });
    let mut opened = leased("7h3x", MessageKind::Opened);
    opened.delivery.message.incident.topic = "a\"b, {topic}".into();
    opened.delivery.message.incident.opened_at = SystemClock.now();
    send(&receiver, &opened).await.unwrap();
    send(&receiver, &Leased { attempt: 2, ..opened.clone() }).await.unwrap();
    let alerts = format!("{base}/api/v2/alerts?filter=incident%3D%227h3x%22");
    let text = until(&client, &alerts, |text| text.contains("7h3x")).await;
    let shown: Value = serde_json::from_str(&text).unwrap();
    let [alert] = shown.as_array().unwrap().as_slice() else { panic!("a repetition is another alert: {text}") };
    assert_eq!((&alert["labels"]["severity"], &alert["status"]["state"]), (&json!("critical"), &json!("active")));
    assert_eq!(alert["labels"]["topic"], "a\"b, {topic}");
    assert_eq!(alert["annotations"]["summary"], "CRITICAL: Gunman or shots reported at our site");

    let mut resolved = opened.clone();
    resolved.delivery.message.kind = MessageKind::Resolved;
    send(&receiver, &resolved).await.unwrap();
    until(&client, &alerts, |text| text.trim() == "[]").await;
}

const SMTP: &str = r#"
import ssl, sys, json
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("bad"):
            return "550 5.1.1 no such mailbox"
        if address.startswith("busy"):
            return "451 4.3.0 try again later"
        envelope.rcpt_tos.append(address)
        return "250 OK"
    async def handle_DATA(self, server, session, envelope):
        print(json.dumps({"to": envelope.rcpt_tos, "tls": session.ssl is not None, "mail": envelope.content.decode()}), flush=True)
        return "250 2.0.0 queued"

def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=data.login == b"bell" and data.password == b"right", handled=False)

context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(sys.argv[1], sys.argv[2])
controller = Controller(Handler(), hostname="127.0.0.1", port=int(sys.argv[3]), tls_context=context,
    require_starttls=True, authenticator=authenticate, auth_required=True)
controller.start()
print("ready", flush=True)
sys.stdin.read()
"#;

#[tokio::test]
#[ignore = "needs PyPI's aiosmtpd; run by .ci/run"]
async fn mail_goes_by_starttls_and_login_to_those_who_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let python = python(&folder.path().join("python"), &["aiosmtpd"]);
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [script, cert, key] = ["smtp.py", "cert.pem", "key.pem"].map(|name| folder.path().join(name));
    fs::write(&script, SMTP).unwrap();
    fs::write(&cert, certified.cert.pem()).unwrap();
    fs::write(&key, certified.signing_key.serialize_pem()).unwrap();
    let port = port();
    let mut command = Command::new(python);
    command.args([&script, &cert, &key]).arg(port.to_string());
    let mut server = Process::start(&mut command, Reads::Output);
    server.line_with("ready");

    let config = |password: &str, to: &[&str]| Mail {
        host: "localhost".to_owned(),
        port,
        tls: TlsMode::StartTls,
        login: Some(("bell".to_owned(), Secret::new(password.to_owned()))),
        from: "bell@hospital.example".parse().unwrap(),
        to: to.iter().map(|to| to.parse().unwrap()).collect(),
        cleared: true,
        ca_file: Some(cert.clone()),
    };
    let message = leased("7h3x", MessageKind::Opened);
    let receiver = build(ReceiverKind::Smtp(config("right", &["ok@h.example", "bad@h.example", "busy@h.example"])));
    let error = send(&receiver, &message).await.unwrap_err();
    assert!(
        matches!(&error, SendError::Retry { error, .. } if error.contains("1 of 3 recipients were told")),
        "{error}"
    );
    let taken: Value = serde_json::from_str(&server.line_with("mail")).unwrap();
    assert_eq!((&taken["to"], &taken["tls"]), (&json!(["ok@h.example"]), &json!(true)));
    let mail = taken["mail"].as_str().unwrap();
    for expected in ["Subject: CRITICAL: Gunman", "Message-ID: <stormbell.", "text/html", "Gunman at St Brigids ER"] {
        assert!(mail.contains(expected), "{expected}: {mail}");
    }

    let error = send(&build(ReceiverKind::Smtp(config("WRONG", &["ok@h.example"]))), &message).await.unwrap_err();
    assert!(
        matches!(&error, SendError::Permanent { error } if error.contains("login") && !error.contains("WRONG")),
        "{error}"
    );
}

#[tokio::test]
#[ignore = "needs Debian's rsyslog; run by .ci/run"]
async fn rsyslog_reads_our_lines_back_as_fields() {
    let folder = tempfile::tempdir().unwrap();
    let [config, out, pid] = ["r.conf", "out.log", "pid"].map(|name| folder.path().join(name));
    let [tcp, udp] = [port(), port()];
    let text = format!(
        r#"
        global(workDirectory="{}")
        module(load="imtcp") module(load="imudp")
        template(name="t" type="list") {{ property(name="pri") constant(value="~") property(name="app-name") constant(value="~")
          property(name="msgid") constant(value="~") property(name="structured-data") constant(value="~")
          property(name="msg") constant(value="\n") }}
        input(type="imtcp" port="{tcp}" address="127.0.0.1")
        input(type="imudp" port="{udp}" address="127.0.0.1")
        *.* action(type="omfile" file="{}" template="t" asyncWriting="off")
        "#,
        folder.path().display(),
        out.display()
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new("/usr/sbin/rsyslogd");
    command.arg("-n").arg("-f").arg(&config).arg("-i").arg(&pid);
    let _server = Process::start(&mut command, Reads::Errors);

    let mut message = leased("7h3x", MessageKind::Opened);
    message.delivery.message.incident.topic = "a\"]\\b".into();
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    for (way, port) in [(SyslogWay::Tcp, tcp), (SyslogWay::Udp, udp)] {
        let host = "127.0.0.1".to_owned();
        let receiver = build(ReceiverKind::Syslog(Syslog { way, host, port, ca_file: None }));
        while send(&receiver, &message).await.is_err() {
            looks.tick().await; // it is not up yet
        }
    }
    let mut lines = Vec::new();
    while lines.len() < 2 {
        looks.tick().await;
        lines = fs::read_to_string(&out).unwrap_or_default().lines().map(str::to_owned).collect();
        lines.retain(|line| line.contains("~stormbell~"));
    }
    for line in &lines {
        let fields: Vec<&str> = line.split('~').collect();
        assert_eq!(fields[..3], ["130", "stormbell", "incident.opened"], "{line}");
        assert!(fields[3].starts_with("[stormbell@32473 event=\"incident.opened\""), "{line}");
        assert!(fields[3].contains(r#"topic="a\"\]\\b""#), "{line}");
        assert!(fields[4].contains("CRITICAL: Gunman or shots reported at our site | Seen: "), "{line}");
    }
}

#[tokio::test]
#[ignore = "needs PyPI's matrix-synapse; run by .ci/run"]
async fn a_room_in_matrix_sees_each_message_once() {
    let folder = tempfile::tempdir().unwrap();
    let synapse = Synapse::start(folder.path()).await;
    let (base, client) = (&synapse.base, &synapse.client);
    let token = synapse.join("bot").await;
    let room = synapse.post("createRoom", Some(&token), json!({})).await["room_id"].as_str().unwrap().to_owned();

    let matrix = |token: &str, room: &str| {
        build(ReceiverKind::Matrix(Matrix {
            url: base.parse().unwrap(),
            token: Secret::new(token.to_owned()),
            room: room.to_owned(),
            cleared: true,
            transport: Transport::default(),
        }))
    };
    let receiver = matrix(&token, &room);
    for (kind, attempt) in [(MessageKind::Opened, 1), (MessageKind::Opened, 2), (MessageKind::Resolved, 1)] {
        send(&receiver, &Leased { attempt, ..leased("7h3x", kind) }).await.unwrap();
    }
    let url = format!("{base}/_matrix/client/v3/rooms/{room}/messages?dir=b&limit=50");
    let events = client.get(url).bearer_auth(&token).send().await.unwrap().text().await.unwrap();
    let events: Value = serde_json::from_str(&events).unwrap();
    let events = events["chunk"].as_array().unwrap().iter().filter(|event| event["type"] == "m.room.message");
    let bodies: Vec<&str> = events.map(|event| event["content"]["body"].as_str().unwrap()).collect();
    assert_eq!(bodies.len(), 2, "{bodies:#?}");
    assert!(bodies[0].starts_with("Resolved: ") && bodies[1].contains("Gunman at St Brigids ER"), "{bodies:#?}");

    for (token, room) in [("PLANTED", room.as_str()), (&token, "!nowhere:lab.local")] {
        let error = send(&matrix(token, room), &leased("8", MessageKind::Opened)).await.unwrap_err();
        let SendError::Permanent { error } = error else { panic!("{error}") };
        assert!(error.contains("M_") && !error.contains("PLANTED"), "{error}");
    }
}
