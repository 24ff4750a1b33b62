//! Every receiver's own form: what people read of it (golden files), that strangers' text is text
//! in it, that no secret leaves by an error, and how it takes a server that misbehaves.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use stormbell::config::model::{
    Chat, ChatKind, GoAlert, Mail, Matrix, Ntfy, NtfyLogin, Opsgenie, Pushover, ReceiverConfig, ReceiverKind, Syslog,
    SyslogWay, TlsMode, Transport, Twilio, TwilioWay, Voice,
};
use stormbell::config::secret::Secret;
use stormbell::domain::addressee::Recipient;
use stormbell::domain::incident::{Again, IncidentState, Severity};
use stormbell::domain::message::{Leased, MessageKind};
use stormbell::notify::{Receiver, SendError};
use stormbell::wire::link::Console;
use stormbell::wire::template::Template;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UdpSocket};

use crate::support::mail::MailServer;
use crate::support::message::{leased, noon, post};
use crate::support::sink::{Act, Request, SimSink};

/// What somebody writes who wants to be clicked, rung, hidden or believed.
const HOSTILE: &str = "@everyone @channel @here <!channel> <@U123> *bold* _it_ ~no~ `code` :skull: [click](https://evil.example/login) \
     https://evil.example/a?b=c <b onclick=\"x\">&amp;</b> \u{202e}live\u{202c} \u{1b}[31m zero\u{200b}width \"] x=\"y\\ {{DATE(1)}} \
     line\nbreak # head > quote | pipe";

fn secret(name: &str) -> Secret {
    Secret::new(format!("PLANTED{name}"))
}

/// Every receiver that speaks HTTP, pointed at `sink`, with planted secrets.
fn over_http(sink: &SimSink, cleared: bool) -> Vec<(&'static str, ReceiverKind)> {
    let transport = Transport::default;
    let chat = |kind, path: &str| {
        let hook = Secret::new(sink.url(path).to_string());
        let channel = (kind == ChatKind::Mattermost).then(|| "town-square".to_owned());
        ReceiverKind::Chat(Chat { kind, hook, channel, cleared, transport: transport() })
    };
    let opsgenie = Opsgenie {
        url: sink.url("/v2/alerts"),
        key: secret("genie"),
        team: Some("Crisis team".to_owned()),
        cleared,
        transport: transport(),
    };
    vec![
        (
            "ntfy",
            ReceiverKind::Ntfy(Ntfy {
                url: sink.url("/"),
                topic: secret("topic"),
                login: Some(NtfyLogin::Token(secret("token"))),
                cleared,
                transport: transport(),
            }),
        ),
        ("slack", chat(ChatKind::Slack, "/services/T/B/PLANTEDslack")),
        ("teams", chat(ChatKind::Teams, "/workflows/x?sig=PLANTEDteams")),
        ("mattermost", chat(ChatKind::Mattermost, "/hooks/PLANTEDmattermost")),
        ("discord", chat(ChatKind::Discord, "/api/webhooks/1/PLANTEDdiscord")),
        (
            "alertmanager",
            ReceiverKind::Alertmanager { urls: vec![sink.url("/prefix")], cleared, transport: transport() },
        ),
        ("opsgenie", ReceiverKind::Opsgenie(opsgenie)),
        (
            "goalert",
            ReceiverKind::GoAlert(GoAlert {
                url: sink.url("/api/v2/generic/incoming"),
                token: secret("goalert"),
                cleared,
                transport: transport(),
            }),
        ),
        (
            "pushover",
            ReceiverKind::Pushover(Pushover {
                url: sink.url("/1"),
                token: secret("app"),
                user: secret("user"),
                cleared,
                transport: transport(),
            }),
        ),
        (
            "matrix",
            ReceiverKind::Matrix(Matrix {
                url: sink.url("/"),
                token: secret("matrix"),
                room: "!room:lab.local".to_owned(),
                cleared,
                transport: transport(),
            }),
        ),
        (
            "twilio",
            ReceiverKind::Twilio(Twilio {
                url: sink.url("/"),
                account: "AC00000000000000000000000000000000".to_owned(),
                token: secret("twilio"),
                from: "+15550100000".to_owned(),
                to: vec!["+15550100001".to_owned()],
                way: TwilioWay::Text { replies: false },
                transport: transport(),
            }),
        ),
    ]
}

fn pagerduty(sink: &SimSink) -> ReceiverKind {
    let (url, routing_key) = (sink.url("/v2/enqueue"), secret("pagerduty"));
    ReceiverKind::PagerDuty { url, routing_key, webhook_secret: None, transport: Transport::default() }
}

fn build(kind: ReceiverKind) -> Receiver {
    let console = Console::with_links("https://bell.hospital.example".parse().unwrap(), "planted-link-key");
    Receiver::build(&ReceiverConfig::new("there", kind), Some(&console)).unwrap()
}

fn mail(server: &MailServer, to: &[&str]) -> Mail {
    Mail {
        host: "localhost".to_owned(),
        port: server.port(),
        tls: TlsMode::Off,
        login: None,
        from: "Stormbell <bell@hospital.example>".parse().unwrap(),
        to: to.iter().map(|to| to.parse().unwrap()).collect(),
        cleared: true,
        ca_file: None,
    }
}

/// The story each golden file tells: it begins, a drill is learnt late and said twice, it is taken, it ends.
fn story() -> Vec<Leased> {
    let mut opened = leased("7h3x", MessageKind::Opened);
    opened.sample = vec![post(HOSTILE), post("Gunman at St Brigids ER")];
    opened.delivery.message.incident.why = String::from("a link to ‘evil[.]example’ in 5 posts");
    let mut drill = leased("7h3x", MessageKind::Updated);
    drill.attempt = 2;
    let incident = &mut drill.delivery.message.incident;
    (incident.exercise, incident.late, incident.severity) = (true, true, Severity::High);
    vec![opened, drill, leased("7h3x", MessageKind::Acknowledged), leased("7h3x", MessageKind::Resolved)]
}

fn golden(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(format!("receiver-{name}"), text));
}

/// A request as people can read it: its first line, and JSON or a form field by field.
fn readable(request: &Request) -> String {
    let mut text = format!("{}\n", request.line.trim_end_matches(" HTTP/1.1"));
    if request.header("content-type").starts_with("application/json") {
        text.push_str(&serde_json::to_string_pretty(&request.json()).unwrap());
    } else {
        for (name, value) in url::form_urlencoded::parse(&request.body) {
            writeln!(text, "{name}: {value}").unwrap();
        }
    }
    text
}

#[tokio::test]
async fn what_people_read_of_each_receiver() {
    let sink = SimSink::start().await;
    for (name, kind) in over_http(&sink, true) {
        let receiver = build(kind);
        let before = sink.requests().len();
        for message in story() {
            receiver.send(&message, noon()).await.unwrap();
        }
        let requests: Vec<String> = sink.requests()[before..].iter().map(readable).collect();
        golden(name, &requests.join("\n\n"));
    }
}

#[tokio::test]
async fn nothing_that_strangers_wrote_goes_to_a_receiver_that_is_not_cleared() {
    let sink = SimSink::start().await;
    for (name, kind) in over_http(&sink, false) {
        let receiver = build(kind);
        for message in story() {
            receiver.send(&message, noon()).await.unwrap();
        }
        for request in sink.requests() {
            let body = String::from_utf8(request.body).unwrap();
            let body = body.replace("%5B", "[").replace("%5D", "]");
            for word in ["Gunman at St Brigids ER", "Gunman+at", "evil", "ann.example", "everyone"] {
                assert!(!body.contains(word), "{name}: {word} in {body}");
            }
        }
    }
}

#[tokio::test]
async fn a_drill_and_a_late_one_say_so_everywhere_and_a_real_one_does_not() {
    let sink = SimSink::start().await;
    for (name, kind) in over_http(&sink, false) {
        let receiver = build(kind);
        for exercise in [true, false] {
            let mut message = leased("7h3x", MessageKind::Opened);
            message.delivery.message.incident.exercise = exercise;
            message.delivery.message.incident.late = exercise;
            message.delivery.id = format!("drill-{exercise}").as_str().into();
            receiver.send(&message, noon()).await.unwrap();
            let request = sink.requests().pop().unwrap();
            let body = String::from_utf8(request.body).unwrap();
            assert_eq!((body.contains("EXERCISE"), body.contains("LATE")), (exercise, exercise), "{name}: {body}");
        }
    }
}

#[tokio::test]
async fn whoever_reads_a_message_can_take_charge_while_nobody_has() {
    let (sink, server) = (SimSink::start().await, MailServer::start().await);
    let mut receivers = over_http(&sink, false);
    receivers.push(("smtp", ReceiverKind::Smtp(mail(&server, &["a@h.example"]))));
    receivers.push(("pagerduty", pagerduty(&sink)));
    receivers
        .push(("webhook", ReceiverKind::Webhook { url: sink.url("/"), secret: None, transport: Transport::default() }));
    for (name, kind) in receivers {
        let receiver = build(kind);
        let acknowledges_itself = ["alertmanager", "opsgenie", "goalert", "pagerduty"].contains(&name);
        for kind in MessageKind::ALL {
            let mut links = Vec::new();
            for attempt in [1, 2] {
                let before = sink.requests().len();
                // A number that took the message is not asked again; here it is another message each time.
                let mut message = Leased { attempt, ..leased("7h3x", kind) };
                message.delivery.id = format!("{name}-{attempt}-{}", kind.as_str()).as_str().into();
                receiver.send(&message, noon()).await.unwrap();
                let mut said = sink.requests()[before..].iter().map(readable).collect::<String>();
                said.extend(server.mails().pop().filter(|_| name == "smtp").map(|mail| mail.text.replace("=\r\n", "")));
                let below = said.split("https://bell.hospital.example/a/").skip(1);
                let token = |rest: &str| {
                    rest.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c)).next().map(str::to_owned)
                };
                links.extend(below.map(token));
            }
            let open = !matches!(kind, MessageKind::Acknowledged | MessageKind::Resolved);
            assert_eq!(!links.is_empty(), open && !acknowledges_itself, "{name} {kind:?}: {links:?}");
            links.dedup();
            assert!(links.len() <= 1, "{name} {kind:?}, the same at every attempt: {links:?}");
        }
    }
}

#[tokio::test]
async fn an_enormous_incident_is_still_told_within_every_limit() {
    let sink = SimSink::start().await;
    for (name, kind) in over_http(&sink, true) {
        let receiver = build(kind);
        let mut message = leased("7h3x", MessageKind::Opened);
        let incident = &mut message.delivery.message.incident;
        incident.title = "&<*title*>\u{1f6a8}".repeat(5000);
        incident.why = "_&\"w\\".repeat(200_000);
        incident.playbook = Some("(p)".repeat(100_000));
        incident.rules = (0..5000).map(|n| format!("pack.rule-{n}").as_str().into()).collect();
        message.sample = vec![post(&"<&*\u{1f6a8}".repeat(50_000)); 50];
        receiver.send(&message, noon()).await.unwrap();
        let request = sink.requests().pop().unwrap();
        let form: Vec<(String, String)> = url::form_urlencoded::parse(&request.body).into_owned().collect();
        let field = |wanted: &str| {
            let value = form.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
            value.map_or(0, |value| value.chars().count())
        };
        let json: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let length = |pointer: &str| json.pointer(pointer).unwrap().as_str().unwrap().chars().count();
        let fits = match name {
            "ntfy" => json["message"].as_str().unwrap().len() <= 4096,
            "slack" => {
                let blocks = json["blocks"].as_array().unwrap();
                let mut texts = blocks.iter().map(|block| block["text"]["text"].as_str().unwrap().chars().count());
                texts.all(|length| length <= 3000) && request.body.len() < 40_000 && blocks.len() <= 50
            }
            "teams" => request.body.len() <= 28_000,
            "mattermost" => length("/text") <= 16_383,
            "discord" => length("/content") <= 2000 && length("/embeds/0/description") <= 4096,
            "alertmanager" => request.body.len() < 1 << 20,
            "opsgenie" => length("/message") <= 130 && length("/description") <= 15_000,
            "goalert" => length("/summary") <= 1024 && length("/details") <= 6144,
            "pushover" => field("title") <= 250 && (1..=1024).contains(&field("message")) && field("url") <= 512,
            "matrix" => request.body.len() <= 65_536,
            "twilio" => (1..=1600).contains(&field("Body")),
            other => panic!("no limit is known of {other}"),
        };
        assert!(fits, "{name}: {}", String::from_utf8_lossy(&request.body));
        assert!(String::from_utf8_lossy(&request.body).contains("CRITICAL"), "{name} lost its headline");
    }
}

/// A refusal that repeats the receiver's own secrets wherever it may say something.
fn echo(name: &str) -> String {
    let said = match name {
        "ntfy" => "no topic PLANTEDtopic",
        "opsgenie" => "bad key PLANTEDgenie",
        "goalert" => "bad token PLANTEDgoalert",
        "pushover" => "token PLANTEDapp and user PLANTEDuser are invalid",
        "matrix" => "unknown token PLANTEDmatrix",
        "twilio" => "PLANTEDtwilio may not send to +15550100001",
        chat => &format!("PLANTED{chat} is no webhook"),
    };
    serde_json::json!({ "message": said, "error": said, "errors": [said], "errcode": "M_FORBIDDEN", "code": 20003 })
        .to_string()
}

#[tokio::test]
async fn every_receiver_takes_a_server_that_misbehaves_for_what_it_is() {
    let target = SimSink::start().await;
    for act in [
        Act::Answer(500),
        Act::Answer(408),
        Act::With(503, "retry-after", "soon".to_owned()),
        Act::With(429, "Retry-After", "7".to_owned()),
        Act::Reset,
        Act::DropAnswer,
        Act::ResetMidAnswer,
        Act::Saying(400, String::new()),
        Act::Saying(403, String::new()),
        Act::Answer(404),
        Act::Answer(410),
        Act::With(302, "location", target.url("/elsewhere").to_string()),
    ] {
        let sink = SimSink::start().await;
        for (name, kind) in over_http(&sink, true) {
            let act = match &act {
                Act::Saying(status, _) => Act::Saying(*status, echo(name)),
                act => act.clone(),
            };
            sink.script([act.clone()]);
            let error = build(kind).send(&leased("i", MessageKind::Opened), noon()).await.unwrap_err();
            let permanent = matches!(act, Act::Saying(..) | Act::Answer(404 | 410) | Act::With(302, ..));
            match &error {
                SendError::Permanent { .. } => assert!(permanent, "{name}, {act:?}: {error}"),
                SendError::Retry { after, .. } => {
                    let asked = matches!(act, Act::With(429, ..)).then_some(Duration::from_secs(7));
                    assert_eq!((permanent, *after), (false, asked), "{name}, {act:?}: {error}");
                }
            }
            let text = error.to_string();
            assert!(text.starts_with("127.0.0.1") && !text.contains("PLANTED"), "{name}, {act:?}: {text}");
            assert!(!text.contains("+1555"), "{name}: a person's number is in {text}");
            assert_eq!(sink.fired().last(), Some(&act), "{name} was not asked");
        }
    }
    assert!(target.requests().is_empty(), "a redirect was followed");
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_in_time() {
    let sink = SimSink::start().await;
    sink.otherwise(|_| Act::After(Duration::from_mins(5), 200));
    let receivers: Vec<_> = over_http(&sink, true).into_iter().map(|(name, kind)| (name, build(kind))).collect();
    let attempts = receivers.iter().map(|(name, receiver)| async move {
        let error = receiver.send(&leased("i", MessageKind::Opened), noon()).await.unwrap_err();
        assert!(matches!(error, SendError::Retry { .. }), "{name}: {error}");
        assert!(error.to_string().contains("no answer in time"), "{name}: {error}");
    });
    join_all(attempts).await;
}

#[tokio::test]
async fn a_message_can_go_to_one_persons_address() {
    let sink = SimSink::start().await;
    for (name, kind) in over_http(&sink, false) {
        let to = match name {
            "ntfy" => "anns-topic",
            "mattermost" => "@ann",
            "opsgenie" => "Anns team",
            "pushover" => "annskey",
            "matrix" => "!ann:lab.local",
            "twilio" => "+15550100099",
            _ => continue,
        };
        let mut message = leased("i", MessageKind::Opened);
        message.delivery.recipient = Some(Recipient { person: "ann".into(), address: to.to_owned() });
        build(kind).send(&message, noon()).await.unwrap();
        let requests = sink.requests();
        let request = requests.last().unwrap();
        let told = readable(request).replace("%21", "!").replace("%3A", ":");
        assert!(told.contains(to), "{name}: {told}");
        for usual in ["PLANTEDtopic", "town-square", "Crisis team", "PLANTEDuser", "!room:lab.local", "+15550100001"] {
            assert!(!told.contains(usual), "{name}: {told}");
        }
    }
}

#[tokio::test]
async fn what_outgrew_its_acknowledgement_ends_and_begins_anew_where_it_would_ring_nobody() {
    let sink = SimSink::start().await;
    let mut graver = leased("i", MessageKind::Updated);
    graver.delivery.message.incident.reopened = Some(graver.delivery.message.at);
    for (name, kind) in over_http(&sink, false).into_iter().filter(|(name, _)| matches!(*name, "opsgenie" | "jsm")) {
        let receiver = build(kind);
        for message in [&graver, &begun_again()] {
            let from = sink.requests().len();
            receiver.send(message, noon()).await.unwrap();
            let lines: Vec<String> = sink.requests()[from..].iter().map(|request| request.line.clone()).collect();
            assert!(lines[0].contains("/close?identifierType=alias"), "{name}: {lines:?}");
            assert!(lines.len() == 2 && !lines[1].contains("/close"), "{name}: {lines:?}");
        }
    }
    assert!(!sink.requests().is_empty());
}

fn begun_again() -> Leased {
    let mut again = leased("i", MessageKind::Opened);
    let message = &mut again.delivery.message;
    message.incident.again = Some(Again { at: message.at, times: 1 });
    again
}

#[tokio::test]
async fn every_receiver_says_that_it_began_again_and_none_takes_it_for_an_end() {
    let sink = SimSink::start().await;
    for (name, kind) in over_http(&sink, false) {
        build(kind).send(&begun_again(), noon()).await.unwrap();
        let last = sink.requests().pop().unwrap();
        let told = readable(&last);
        assert!(told.contains("again"), "{name}: {told}");
        match name {
            "alertmanager" => {
                let ends = last.json()[0]["endsAt"]
                    .as_str()
                    .map(|ends| stormbell::domain::time::Timestamp::parse(ends).unwrap());
                assert!(ends.unwrap() > noon() && last.json().as_array().unwrap().len() == 1, "{told}");
            }
            "goalert" => assert!(last.json().get("action").is_none(), "{told}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn services_that_know_an_end_are_told_of_it() {
    let sink = SimSink::start().await;
    let lines =
        |from: usize| -> Vec<String> { sink.requests()[from..].iter().map(|request| request.line.clone()).collect() };
    for (name, kind) in over_http(&sink, false) {
        let receiver = build(kind);
        let from = sink.requests().len();
        for kind in [MessageKind::Opened, MessageKind::Acknowledged, MessageKind::Resolved] {
            receiver.send(&leased("7h3x", kind), noon()).await.unwrap();
        }
        let lines = lines(from);
        let last = sink.requests().pop().unwrap();
        match name {
            "opsgenie" => assert_eq!(
                lines[1..],
                [
                    "POST /v2/alerts/stormbell%2F7h3x/acknowledge?identifierType=alias HTTP/1.1",
                    "POST /v2/alerts/stormbell%2F7h3x/close?identifierType=alias HTTP/1.1"
                ]
            ),
            "goalert" => {
                assert_eq!(lines.len(), 2, "an acknowledgement is not sent");
                assert_eq!(last.json()["action"], "close");
            }
            "alertmanager" => {
                let ends: Vec<Value> =
                    last.json().as_array().unwrap().iter().map(|alert| alert["endsAt"].clone()).collect();
                assert_eq!(ends, vec![Value::from(noon().to_string()); 5], "every severity it may have had ends");
            }
            "pushover" => assert_eq!(lines[1], "POST /1/receipts/cancel_by_tag/stormbell-7h3x.json HTTP/1.1"),
            _ => assert_eq!(lines.len(), 3, "{name} tells each"),
        }
    }
}

#[tokio::test]
async fn one_replica_that_lives_is_enough_for_alertmanager() {
    let (dead, alive) = (SimSink::start().await, SimSink::start().await);
    dead.otherwise(|_| Act::Reset);
    let urls = vec![dead.url("/"), alive.url("/")];
    let receiver = build(ReceiverKind::Alertmanager { urls, cleared: false, transport: Transport::default() });
    receiver.send(&leased("i", MessageKind::Opened), noon()).await.unwrap();
    assert_eq!((dead.requests().len(), alive.requests().len()), (1, 1));
    alive.script([Act::Answer(400)]);
    let error = receiver.send(&leased("i", MessageKind::Opened), noon()).await.unwrap_err();
    assert!(matches!(error, SendError::Retry { .. }), "the dead one may yet come back: {error}");
}

#[tokio::test]
async fn a_number_that_has_the_message_is_not_told_again() {
    let sink = SimSink::start().await;
    let (_, kind) = over_http(&sink, false).into_iter().find(|(name, _)| *name == "twilio").unwrap();
    let ReceiverKind::Twilio(mut sms) = kind else { panic!("twilio") };
    sms.to = ["+15550100001", "+15550100002", "+15550100003"].map(str::to_owned).into();
    let receiver = build(ReceiverKind::Twilio(sms));
    sink.script([Act::Answer(201), Act::Answer(503), Act::Answer(400)]);
    let message = leased("i", MessageKind::Opened);
    let error = receiver.send(&message, noon()).await.unwrap_err();
    let expected = "1 of 3 numbers were told; no. 2: 127.0.0.1 answered 503 Service Unavailable; \
                    no. 3: 127.0.0.1 answered 400 Bad Request";
    assert_eq!(error, SendError::Retry { after: None, error: expected.to_owned() });
    sink.script([Act::Answer(201), Act::Answer(400)]);
    let error = receiver.send(&Leased { attempt: 2, ..message }, noon()).await.unwrap_err();
    assert!(matches!(error, SendError::Permanent { .. }), "{error}");
    let told: Vec<bool> =
        sink.requests().iter().map(|request| readable(request).contains("To: +15550100001")).collect();
    assert_eq!(told, [true, false, false, false, false]);
}

/// Calls to one number by way of `sink`, which answers as scripted.
fn caller(sink: &SimSink) -> Twilio {
    let (_, kind) = over_http(sink, false).into_iter().find(|(name, _)| *name == "twilio").unwrap();
    let ReceiverKind::Twilio(twilio) = kind else { panic!("twilio") };
    Twilio { way: TwilioWay::Call { language: "en".to_owned() }, ..twilio }
}

fn called(sid: &str) -> Act {
    Act::Saying(201, format!("{{\"sid\":\"{sid}\",\"status\":\"queued\"}}"))
}

fn stands(status: &str) -> Act {
    Act::Saying(200, format!("{{\"status\":\"{status}\"}}"))
}

#[tokio::test]
async fn a_call_is_delivered_when_somebody_answers_and_not_before() {
    let sink = SimSink::start().await;
    let receiver = build(ReceiverKind::Twilio(caller(&sink)));
    let message = leased("i", MessageKind::Opened);
    let mut attempt = 0;
    let mut next = async |acts: Vec<Act>| {
        sink.script(acts);
        attempt += 1;
        receiver.send(&Leased { attempt, ..message.clone() }, noon()).await
    };
    let again = |sent: Result<(), SendError>| matches!(sent, Err(SendError::Retry { after: None, .. }));
    assert!(again(next(vec![called("CA1")]).await), "it rings");
    for status in ["queued", "ringing"] {
        assert!(again(next(vec![stands(status)]).await), "{status}");
    }
    assert!(again(next(vec![Act::Answer(503)]).await), "that Twilio cannot say is no end");
    assert!(again(next(vec![stands("busy"), called("CA2")]).await), "engaged: called again");
    assert!(again(next(vec![stands("no-answer"), called("CA3")]).await));
    next(vec![stands("in-progress")]).await.unwrap();
    let lines: Vec<String> = sink.requests().iter().map(|request| request.line.clone()).collect();
    let of = |method: &str, end: &str| lines.iter().filter(|l| l.starts_with(method) && l.contains(end)).count();
    assert_eq!(
        (of("POST", "Calls.json"), of("GET", "CA1.json"), of("GET", "CA2.json"), of("GET", "CA3.json")),
        (3, 4, 1, 1)
    );
    let first = readable(&sink.requests()[0]);
    assert!(sink.requests().iter().all(|request| !readable(request).contains("repeat?")), "{first}");
}

#[tokio::test]
async fn who_does_not_answer_three_calls_is_not_reached() {
    let sink = SimSink::start().await;
    let receiver = build(ReceiverKind::Twilio(caller(&sink)));
    let message = leased("i", MessageKind::Opened);
    sink.script([called("CA1"), stands("no-answer"), called("CA2"), Act::Answer(404), called("CA3"), stands("busy")]);
    for attempt in 1..=3 {
        let sent = receiver.send(&Leased { attempt, ..message.clone() }, noon()).await;
        assert!(matches!(sent, Err(SendError::Retry { .. })), "{sent:?}");
    }
    let error = receiver.send(&Leased { attempt: 4, ..message.clone() }, noon()).await.unwrap_err();
    assert_eq!(error, SendError::Permanent { error: "called 3 times; the line is engaged".to_owned() });
    // A restart forgets the call: the next one says that it may have been heard before.
    let restarted = build(ReceiverKind::Twilio(caller(&sink)));
    sink.script([called("CA4")]);
    restarted.send(&Leased { attempt: 2, ..message }, noon()).await.unwrap_err();
    assert!(readable(sink.requests().last().unwrap()).contains("(repeat?)"));
}

#[tokio::test]
async fn what_people_hear_in_a_call() {
    let sink = SimSink::start().await;
    sink.otherwise(|_| called("CA1"));
    let mut told = Vec::new();
    let german = speaking(ReceiverKind::Twilio(caller(&sink)), BUILT_IN, GERMAN);
    for (receiver, person) in [(build(ReceiverKind::Twilio(caller(&sink))), None), (german, Some("ann"))] {
        for mut message in story() {
            let before = sink.requests().len();
            let address = "+15550100099".to_owned();
            message.delivery.recipient = person.map(|person| Recipient { person: person.into(), address });
            let is_open = message.delivery.message.incident.state == IncidentState::Open;
            let sent = receiver.send(&message, noon()).await;
            assert_eq!(sent.is_ok(), !is_open, "nobody is called to hear that nothing is to be done");
            told.extend(sink.requests()[before..].iter().map(readable));
        }
    }
    golden("twilio-calls", &told.join("\n\n"));
}

#[tokio::test]
async fn matrix_is_believed_when_it_says_in_the_body_how_long_to_wait() {
    let sink = SimSink::start().await;
    let (_, kind) = over_http(&sink, false).into_iter().find(|(name, _)| *name == "matrix").unwrap();
    let body = r#"{"errcode":"M_LIMIT_EXCEEDED","error":"Too Many Requests","retry_after_ms":2000}"#;
    sink.script([Act::Saying(429, body.to_owned())]);
    let error = build(kind).send(&leased("i", MessageKind::Opened), noon()).await.unwrap_err();
    assert!(matches!(error, SendError::Retry { after: Some(after), .. } if after == Duration::from_secs(2)), "{error}");
}

#[tokio::test]
async fn what_people_read_of_a_mail() {
    let server = MailServer::start().await;
    let receiver = build(ReceiverKind::Smtp(mail(&server, &["On call <on-call@hospital.example>", "b@h.example"])));
    let mut told = Vec::new();
    for message in story() {
        receiver.send(&message, noon()).await.unwrap();
        let mail = server.mails().pop().unwrap();
        assert_eq!(mail.to, ["on-call@hospital.example", "b@h.example"]);
        // lettre draws the boundary of the parts.
        let boundary = mail.text.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        told.push(mail.text.replace(&boundary, "BOUNDARY"));
    }
    golden("smtp", &told.join("\n=====\n").replace("\r\n", "\n"));
}

#[tokio::test]
async fn a_refused_recipient_does_not_keep_the_mail_from_the_others() {
    let server = MailServer::start().await;
    server.answer("bad@h.example", "550 5.1.1 <bad@h.example> unknown");
    server.answer("busy@h.example", "451 4.3.0 later");
    let receiver = build(ReceiverKind::Smtp(mail(&server, &["ok@h.example", "bad@h.example", "busy@h.example"])));
    let message = leased("i", MessageKind::Opened);
    let error = receiver.send(&message, noon()).await.unwrap_err();
    let expected = "1 of 3 recipients were told; no. 2: localhost refused the recipient: 550 5.1.1 <…> unknown; \
                    no. 3: localhost: refused the recipient for now: 451 4.3.0 later";
    assert_eq!(error, SendError::Retry { after: None, error: expected.to_owned() });
    server.answer("busy@h.example", "250 ok");
    let error = receiver.send(&message, noon()).await.unwrap_err();
    assert!(matches!(error, SendError::Permanent { .. }), "{error}");
    let mails = server.mails();
    assert_eq!(mails.iter().map(|mail| mail.to.clone()).collect::<Vec<_>>(), [["ok@h.example"], ["busy@h.example"]]);
    assert_eq!(mails[0].header("message-id"), mails[1].header("message-id"));
}

#[tokio::test]
async fn no_mail_and_no_password_leave_in_the_clear() {
    let server = MailServer::start().await;
    let login = Some(("bell".to_owned(), secret("password")));
    let config = Mail { tls: TlsMode::StartTls, login: login.clone(), ..mail(&server, &["a@h.example"]) };
    let error = build(ReceiverKind::Smtp(config)).send(&leased("i", MessageKind::Opened), noon()).await.unwrap_err();
    assert!(matches!(&error, SendError::Permanent { error } if error.contains("does not offer STARTTLS")), "{error}");

    let safe = MailServer::with_tls().await;
    let ca_file = Some(safe.ca_file().to_owned());
    let config = Mail { tls: TlsMode::StartTls, login: login.clone(), ca_file, ..mail(&safe, &["a@h.example"]) };
    build(ReceiverKind::Smtp(config.clone())).send(&leased("i", MessageKind::Opened), noon()).await.unwrap();
    assert_eq!(safe.mails().len(), 1);
    let clear: String = safe.in_the_clear();
    assert!(!clear.contains("AUTH") && !clear.contains("MAIL"), "{clear}");

    let untrusted = Mail { ca_file: None, ..config.clone() };
    let error = build(ReceiverKind::Smtp(untrusted)).send(&leased("i", MessageKind::Opened), noon()).await.unwrap_err();
    assert!(matches!(&error, SendError::Retry { .. }) && error.to_string().contains("certificate"), "{error}");

    safe.answer("AUTH", "535 5.7.8 no, PLANTEDpassword is wrong");
    let error = build(ReceiverKind::Smtp(config)).send(&leased("i", MessageKind::Opened), noon()).await.unwrap_err();
    assert!(
        matches!(&error, SendError::Permanent { error } if error.contains("535") && !error.contains("PLANTED")),
        "{error}"
    );
}

#[tokio::test]
async fn a_mail_server_that_breaks_off_is_tried_again() {
    let server = MailServer::start().await;
    let receiver = build(ReceiverKind::Smtp(mail(&server, &["a@h.example"])));
    for (command, reply) in [("MAIL", ""), ("RCPT", ""), ("DATA", ""), ("MAIL", "421 4.3.2 going down"), ("EHLO", "no")]
    {
        server.answer(command, reply);
        let error = receiver.send(&leased("i", MessageKind::Opened), noon()).await.unwrap_err();
        assert!(matches!(error, SendError::Retry { .. }), "{command} {reply:?}: {error}");
        assert!(error.to_string().starts_with("localhost: "), "{error}");
        server.answer(command, "250 ok");
    }
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn what_a_collector_of_logs_gets() {
    let (datagrams, streams) =
        (UdpSocket::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let syslog =
        |way, port| build(ReceiverKind::Syslog(Syslog { way, host: "127.0.0.1".to_owned(), port, ca_file: None }));
    let by_datagram = syslog(SyslogWay::Udp, datagrams.local_addr().unwrap().port());
    let by_stream = syslog(SyslogWay::Tcp, streams.local_addr().unwrap().port());
    let mut told = Vec::new();
    for mut message in story() {
        message.delivery.message.incident.topic = "a\"]\\b".into();
        by_datagram.send(&message, noon()).await.unwrap();
        let mut buffer = [0; 4096];
        let length = datagrams.recv(&mut buffer).await.unwrap();
        let line = String::from_utf8(buffer[..length].to_vec()).unwrap();
        let sending = by_stream.send(&message, noon());
        let reading = async {
            let mut frame = String::new();
            streams.accept().await.unwrap().0.read_to_string(&mut frame).await.unwrap();
            frame
        };
        let (sent, frame) = tokio::join!(sending, reading);
        sent.unwrap();
        assert_eq!(frame, format!("{length} {line}"));
        told.push(line.replace(&format!(" {} ", std::process::id()), " PROCESS "));
    }
    golden("syslog", &told.join("\n"));

    let mut enormous = leased("7h3x", MessageKind::Opened);
    enormous.delivery.message.incident.why = "w".repeat(100_000);
    enormous.delivery.message.incident.title = "病".repeat(100_000);
    by_datagram.send(&enormous, noon()).await.unwrap();
    assert!(datagrams.recv(&mut [0; 4096]).await.unwrap() <= 2048);
    drop(streams);
    let error = by_stream.send(&enormous, noon()).await.unwrap_err();
    assert!(matches!(error, SendError::Retry { .. }), "{error}");
}

/// A receiver that speaks in the words of a template, and Ann's in another.
fn speaking(kind: ReceiverKind, usual: &str, german: &str) -> Receiver {
    let template = |text: &str| Arc::new(Template::new(text).unwrap());
    let voice = Voice {
        usual: Some(template(usual)),
        by_language: [("de".to_owned(), template(german))].into(),
        languages: Arc::new([("ann".into(), "de".to_owned())].into()),
        timezone: "Europe/Berlin".to_owned(),
    };
    Receiver::build(&ReceiverConfig { voice, ..ReceiverConfig::new("there", kind) }, None).unwrap()
}

const BUILT_IN: &str = include_str!("../../deploy/templates/message.txt");
const GERMAN: &str = include_str!("../../deploy/templates/message.de.txt");

#[tokio::test]
async fn the_built_in_words_as_a_template_are_the_built_in_words() {
    let sink = SimSink::start().await;
    for (name, kind) in over_http(&sink, true) {
        let (ours, theirs) = (
            Receiver::build(&ReceiverConfig::new("there", kind.clone()), None).unwrap(),
            speaking(kind, BUILT_IN, GERMAN),
        );
        let mut told = Vec::new();
        for receiver in [ours, theirs] {
            let before = sink.requests().len();
            for message in story() {
                receiver.send(&message, noon()).await.unwrap();
            }
            told.push(sink.requests()[before..].iter().map(readable).collect::<Vec<_>>());
        }
        assert_eq!(told[0], told[1], "{name}");
    }
}

#[tokio::test]
async fn a_person_reads_their_language_and_no_template_opens_a_hole() {
    let sink = SimSink::start().await;
    let hook = Secret::new(sink.url("/mattermost").to_string());
    let chat = |cleared| {
        let (channel, transport) = (None, Transport::default());
        ReceiverKind::Chat(Chat { kind: ChatKind::Mattermost, hook: hook.clone(), channel, cleared, transport })
    };
    let mut texts = String::new();
    // In German to Ann; to everybody else as the template for all says, whatever it says.
    let hostile = "EXERCISE-free {{ sample[0].text if sample else 'nothing' }}\n@all: {{ why }}\n<!channel> **loud**";
    for (cleared, person) in [(true, Some("ann")), (true, None), (false, None)] {
        let receiver = speaking(chat(cleared), hostile, GERMAN);
        for mut message in story() {
            let address = "@ann".to_owned();
            message.delivery.recipient = person.map(|person| Recipient { person: person.into(), address });
            receiver.send(&message, noon()).await.unwrap();
            let request = sink.requests().pop().unwrap();
            writeln!(
                texts,
                "=== {} cleared: {cleared}\n{}",
                person.unwrap_or("all"),
                request.json()["text"].as_str().unwrap()
            )
            .unwrap();
        }
    }
    golden("templates", &texts);
}

#[tokio::test]
async fn a_template_that_fails_costs_nobody_a_message() {
    let sink = SimSink::start().await;
    let kind = over_http(&sink, true).remove(0).1;
    // Nothing that is tried has three posts.
    let receiver = speaking(kind.clone(), "{{ title }} {{ nothing.at.all if posts == 3 }}", GERMAN);
    let mut message = leased("7h3x", MessageKind::Opened);
    message.delivery.message.incident.posts = 3;
    receiver.send(&message, noon()).await.unwrap();
    Receiver::build(&ReceiverConfig::new("there", kind), None).unwrap().send(&message, noon()).await.unwrap();
    let requests = sink.requests();
    assert_eq!(readable(&requests[0]), readable(&requests[1]));
}

/// A patient as somebody gives them away.
const PATIENT: &str =
    "Gunman at St Brigids ER. Jane Zzyzx, DOB 3/4/61, MRN 00-778899, call +1 555 010 4477 or jane.zzyzx@mail.example";
/// What of it no other house may have.
const UNSPEAKABLE: [&str; 8] =
    ["3/4/61", "778899", "010 4477", "010+4477", "010%204477", "jane.zzyzx", "jane\\.zzyzx", "mail.example"];

#[tokio::test]
async fn a_patients_numbers_and_addresses_reach_no_receiver_and_the_name_none_that_is_not_cleared() {
    let (sink, server) = (SimSink::start().await, MailServer::start().await);
    let mut receivers = over_http(&sink, false);
    receivers.push(("pagerduty", pagerduty(&sink)));
    let thin = receivers.len();
    receivers.extend(over_http(&sink, true));
    receivers
        .push(("webhook", ReceiverKind::Webhook { url: sink.url("/"), secret: None, transport: Transport::default() }));
    receivers.push(("smtp", ReceiverKind::Smtp(mail(&server, &["a@h.example"]))));
    let mut message = leased("7h3x", MessageKind::Opened);
    let mut told = post(PATIENT);
    (told.media_text, told.tags) = (vec![PATIENT.to_owned()], vec!["5550104477".to_owned()]);
    told.links = vec!["mailto:jane.zzyzx@mail.example".to_owned()];
    message.sample = vec![told];
    message.delivery.message.incident.why = format!("‘{PATIENT}’ in 5 posts");
    for (place, (name, kind)) in receivers.into_iter().enumerate() {
        let receiver = build(kind);
        let before = sink.requests().len();
        message.delivery.id = format!("d-{place}").as_str().into();
        receiver.send(&message, noon()).await.unwrap();
        let bodies = sink.requests().split_off(before).into_iter().map(|one| String::from_utf8(one.body).unwrap());
        let said = bodies.collect::<String>();
        assert!(name == "smtp" || !said.is_empty(), "{name}");
        for word in UNSPEAKABLE {
            assert!(!said.contains(word), "{name} {place}: {word} in {said}");
        }
        // A name is no form that could be found: who may read what people write reads it.
        let may_read = place >= thin && !matches!(name, "twilio" | "smtp");
        assert_eq!(said.contains("Zzyzx"), may_read, "{name} {place}: {said}");
    }
    let mails: String = server.mails().iter().map(|mail| mail.text.as_str()).collect();
    assert!(mails.contains("Zzyzx"), "the check must be able to fail");
    for word in UNSPEAKABLE {
        assert!(!mails.contains(word), "smtp: {word} in {mails}");
    }
    let popup = stormbell::notify::desktop::show(&message.delivery.message, &message.sample).body;
    assert!(popup.contains("Zzyzx") && UNSPEAKABLE.iter().all(|word| !popup.contains(word)), "{popup}");
}
