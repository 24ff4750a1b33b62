//! Receivers and their worker against a real socket that misbehaves.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stormbell::config::model::{ReceiverConfig, ReceiverKind, Transport};
use stormbell::config::secret::Secret;
use stormbell::domain::addressee::Recipient;
use stormbell::domain::incident::{Again, Severity};
use stormbell::domain::message::{Attempt, Delivery, MessageKind, Undelivered};
use stormbell::domain::time::Clock;
use stormbell::notify::dispatch::{Dispatcher, Outcome};
use stormbell::notify::{Receiver, SendError};
use stormbell::wire::link::Console;
use stormbell::wire::message::MessageJson;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::support::PATIENCE;
use crate::support::message::{delivery, leased, noon};
use crate::support::outbox::{MemoryOutbox, SetClock};
use crate::support::sink::{Act, SimSink};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn build(kind: ReceiverKind, console: Option<&str>) -> Receiver {
    let console = console.map(|text| Console::with_links(Url::parse(text).unwrap(), "planted-link-key"));
    Receiver::build(&ReceiverConfig::new("there", kind), console.as_ref()).unwrap()
}

fn webhook(url: Url) -> Receiver {
    let secret = Some(Secret::new("planted-secret".to_owned()));
    build(ReceiverKind::Webhook { url, secret, transport: Transport::default() }, Some("http://desk:8787"))
}

fn pagerduty(sink: &SimSink) -> Receiver {
    let (url, routing_key) = (sink.url("/v2/enqueue"), Secret::new(KEY.to_owned()));
    build(ReceiverKind::PagerDuty { url, routing_key, webhook_secret: None, transport: Transport::default() }, None)
}

/// A worker at work.
struct Worker {
    outbox: MemoryOutbox,
    clock: Arc<SetClock>,
    wake: Arc<Notify>,
    cancel: CancellationToken,
    undelivered: mpsc::Receiver<Undelivered>,
    task: JoinSet<()>,
}

impl Worker {
    fn start(receiver: Receiver, outbox: MemoryOutbox) -> Self {
        let (clock, wake, cancel) = (Arc::new(SetClock::default()), Arc::new(Notify::new()), CancellationToken::new());
        clock.set(noon());
        let (parked, undelivered) = mpsc::channel(4);
        let dispatcher = Dispatcher {
            name: "there".into(),
            receiver,
            outbox: outbox.clone(),
            wake: Arc::clone(&wake),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            observer: Arc::new(outbox.clone()),
            undelivered: parked,
        };
        let mut task = JoinSet::new();
        task.spawn(dispatcher.run(cancel.clone()));
        Self { outbox, clock, wake, cancel, undelivered, task }
    }

    /// Lets time pass, retry by retry, until every message met its end and was counted.
    async fn finish_all(&self) {
        loop {
            let counted = self.outbox.counted().len();
            let Some(due) = self.outbox.next_due() else { break };
            if due > self.clock.now() {
                self.clock.set(due);
                self.wake.notify_one();
            }
            self.outbox.until(|_, now| now.len() > counted).await;
        }
        self.outbox.until(|rows, now| now.len() == rows.iter().map(|row| row.attempts.len()).sum::<usize>()).await;
    }

    async fn stop(mut self) {
        self.cancel.cancel();
        self.task.join_next().await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_message_is_repeated_under_one_id_until_it_is_taken() {
    let sink = SimSink::start().await;
    let faults = [
        Act::Answer(500),
        Act::DropAnswer,
        Act::ResetMidAnswer,
        Act::Reset,
        Act::Answer(408),
        Act::With(429, "retry-after", "3".to_owned()),
        Act::With(503, "retry-after", "not a date".to_owned()),
        Act::Answer(599),
    ];
    sink.script(faults.clone());
    let outbox = MemoryOutbox::default();
    outbox.add(delivery("i", MessageKind::Opened));
    let worker = Worker::start(webhook(sink.url("/hook")), outbox.clone());
    worker.finish_all().await;

    let requests = sink.requests();
    assert_eq!(sink.fired()[..faults.len()], faults);
    assert_eq!(requests.len(), faults.len() + 1);
    assert!(requests.iter().all(|request| request.header("webhook-id") == "i.incident.opened"));
    assert!(requests.iter().all(|request| request.body == requests[0].body));
    let signed_at: Vec<i64> =
        requests.iter().map(|request| request.header("webhook-timestamp").parse().unwrap()).collect();
    assert!(signed_at.is_sorted() && signed_at[0] < signed_at[8], "{signed_at:?}");
    assert_eq!(outbox.rows()[0].attempts.last(), Some(&Attempt::Delivered));
    let outcomes: Vec<Outcome> = outbox.counted().iter().map(|(outcome, _)| *outcome).collect();
    assert_eq!(outcomes, [vec![Outcome::Retried; faults.len()], vec![Outcome::Delivered]].concat());
    worker.stop().await;
}

#[tokio::test]
async fn an_end_never_overtakes_its_beginning_and_other_incidents_do_not_wait() {
    let sink = SimSink::start().await;
    let mut failures = 2;
    sink.otherwise(move |request| {
        if request.header("webhook-id") == "a.incident.opened" && failures > 0 {
            failures -= 1;
            return Act::Answer(503);
        }
        Act::Answer(200)
    });
    let outbox = MemoryOutbox::default();
    for kind in [MessageKind::Opened, MessageKind::Acknowledged, MessageKind::Resolved] {
        outbox.add(delivery("a", kind));
        outbox.add(delivery("b", kind));
    }
    let worker = Worker::start(webhook(sink.url("/")), outbox.clone());
    outbox.until(|rows, _| rows.iter().all(|row| row.is_finished() || row.delivery.id.as_str().starts_with('a'))).await;
    assert!(!outbox.rows()[0].is_finished(), "b was to be through while a still waits");
    worker.finish_all().await;

    for incident in ["a", "b"] {
        let requests = sink.requests();
        let taken = requests.iter().filter(|request| request.taken).map(|request| request.header("webhook-id"));
        let order: Vec<&str> = taken.filter(|id| id.starts_with(incident)).collect();
        let expected = ["opened", "acknowledged", "resolved"].map(|kind| format!("{incident}.incident.{kind}"));
        assert_eq!(order, expected);
    }
    assert_eq!(sink.requests().iter().filter(|request| !request.taken).count(), 2, "the fault did not fire");
    worker.stop().await;
}

#[tokio::test]
async fn a_receiver_that_asks_for_patience_gets_it() {
    for (header, seconds) in [("7", 7), ("Sun, 22 Nov 2026 12:00:09 GMT", 9)] {
        let sink = SimSink::start().await;
        sink.script([Act::With(429, "Retry-After", header.to_owned())]);
        let outbox = MemoryOutbox::default();
        outbox.add(delivery("i", MessageKind::Opened));
        let worker = Worker::start(webhook(sink.url("/")), outbox.clone());
        outbox.until(|_, counted| counted.len() == 1).await;
        assert_eq!(outbox.rows()[0].due, noon() + Duration::from_secs(seconds));
        worker.stop().await;
    }
}

#[tokio::test]
async fn what_can_never_work_is_parked_and_handed_on_without_secrets() {
    let target = SimSink::start().await;
    for act in [
        Act::Answer(400),
        Act::Answer(410),
        Act::With(302, "location", target.url("/elsewhere").to_string()),
        Act::With(429, "retry-after", "99999".to_owned()),
    ] {
        let sink = SimSink::start().await;
        sink.script([act.clone()]);
        let outbox = MemoryOutbox::default();
        let mut delivery = delivery("i", MessageKind::Opened);
        delivery.give_up = noon() + Duration::from_mins(59); // the longest patience is an hour
        outbox.add(delivery);
        let mut url = sink.url("/services/PATHSECRET?token=QUERYSECRET");
        url.set_password(Some("USERSECRET")).unwrap();
        let mut worker = Worker::start(webhook(url), outbox.clone());
        let told = tokio::time::timeout(PATIENCE, worker.undelivered.recv()).await.unwrap().unwrap();
        assert_eq!(
            (told.id.as_str(), told.incident.as_str(), told.receiver.as_str()),
            ("i.incident.opened", "i", "there")
        );
        assert!(told.error.contains("127.0.0.1 answered") && !told.error.contains("SECRET"), "{act:?}: {}", told.error);
        assert!(matches!(outbox.rows()[0].attempts[..], [Attempt::Parked { .. }]));
        assert_eq!(outbox.counted(), [(Outcome::Parked, None)]);
        assert_eq!(sink.fired(), [act]);
        worker.stop().await;
    }
    assert!(target.requests().is_empty(), "a redirect was followed");
}

#[tokio::test]
async fn a_dead_receiver_is_tried_to_the_last_moment_and_then_given_up() {
    let sink = SimSink::start().await;
    sink.otherwise(|_| Act::Reset);
    let outbox = MemoryOutbox::default();
    outbox.add(delivery("i", MessageKind::Opened));
    let worker = Worker::start(webhook(sink.url("/")), outbox.clone());
    worker.finish_all().await;
    assert_eq!(worker.clock.now(), noon() + Duration::from_hours(1));
    let row = outbox.rows().remove(0);
    assert!(row.attempts.len() > 12, "{}", row.attempts.len());
    let Some(Attempt::Parked { error }) = row.attempts.last() else { panic!("{row:?}") };
    assert!(
        error.starts_with(&format!("given up after {} attempts: 127.0.0.1: no answer", row.attempts.len())),
        "{error}"
    );
    worker.stop().await;
}

#[tokio::test]
async fn a_message_found_after_its_time_is_still_tried_once() {
    let sink = SimSink::start().await;
    let outbox = MemoryOutbox::default();
    let mut late = delivery("i", MessageKind::Opened);
    late.give_up = noon() - Duration::from_hours(5);
    outbox.add(late);
    let worker = Worker::start(webhook(sink.url("/")), outbox.clone());
    worker.finish_all().await;
    assert_eq!(outbox.counted(), [(Outcome::Delivered, Some(Duration::from_secs(1)))]);
    worker.stop().await;
}

#[tokio::test]
async fn stopping_finishes_what_is_in_flight_and_takes_nothing_new() {
    let sink = SimSink::start().await;
    sink.otherwise(|_| Act::After(Duration::from_millis(300), 200));
    let outbox = MemoryOutbox::default();
    for incident in ["a", "b", "c", "d", "e"] {
        outbox.add(delivery(incident, MessageKind::Opened));
    }
    let worker = Worker::start(webhook(sink.url("/")), outbox.clone());
    sink.received(4).await;
    worker.stop().await;
    let finished = outbox.rows().iter().filter(|row| row.is_finished()).count();
    assert_eq!((finished, sink.requests().len()), (4, 4));
}

#[tokio::test]
async fn news_wakes_the_worker() {
    let outbox = MemoryOutbox::default();
    let worker = Worker::start(build(ReceiverKind::Log, None), outbox.clone());
    for incident in ["a", "b", "c"] {
        outbox.add(delivery(incident, MessageKind::Opened));
        worker.wake.notify_one();
        let waiting = worker.finish_all();
        tokio::time::timeout(Duration::from_secs(4), waiting).await.expect("sooner than the poll");
    }
    worker.stop().await;
}

#[tokio::test]
async fn an_answer_counts_when_its_head_is_read() {
    let sink = SimSink::start().await;
    sink.script([Act::SlowBody(Duration::from_mins(1))]);
    let (receiver, message) = (webhook(sink.url("/")), leased("i", MessageKind::Opened));
    receiver.send(&message, noon()).await.expect("the body is not waited for");
}

#[tokio::test]
async fn an_absent_receiver_is_described_by_its_host() {
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{free}/PATHSECRET").parse().unwrap();
    let error = webhook(url).send(&leased("i", MessageKind::Opened), noon()).await.unwrap_err();
    assert!(matches!(error, SendError::Retry { after: None, .. }));
    assert_eq!(error.to_string(), "127.0.0.1: cannot connect (Connection refused (os error 111))");
}

#[tokio::test]
async fn the_webhook_payload_is_what_the_references_promise() {
    let sink = SimSink::start().await;
    let receiver = webhook(sink.url("/hook"));
    for kind in MessageKind::ALL {
        receiver.send(&leased("7h3x", kind), noon()).await.unwrap();
    }
    let requests = sink.requests();
    for (request, kind) in requests.iter().zip(MessageKind::ALL) {
        let console = Console::with_links("http://desk:8787".parse().unwrap(), "planted-link-key");
        let leased = leased("7h3x", kind);
        let payload = MessageJson::of(&leased, Some(&console));
        assert_eq!(request.body, serde_json::to_vec(&payload).unwrap());
        if !matches!(kind, MessageKind::Opened | MessageKind::Resolved) {
            continue;
        }
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../golden");
        settings.set_prepend_module_to_snapshot(false);
        let name = format!("webhook_{}", kind.as_str());
        settings.bind(|| insta::assert_snapshot!(name, serde_json::to_string_pretty(&payload).unwrap()));
    }
    assert_eq!(requests[0].line, "POST /hook HTTP/1.1");
    assert_eq!(requests[0].header("content-type"), "application/json");
    assert_eq!(requests[0].header("user-agent"), concat!("stormbell/", env!("CARGO_PKG_VERSION")));
    assert_eq!(requests[0].header("webhook-id"), "7h3x.incident.opened");
    assert_eq!(requests[0].header("webhook-timestamp"), "1795348800");
    assert!(requests[0].header("webhook-signature").starts_with("v1,"));
}

#[tokio::test]
async fn a_webhook_says_whom_to_tell_and_who_could_not_be_told() {
    let sink = SimSink::start().await;
    sink.script([Act::Answer(410)]);
    let outbox = MemoryOutbox::default();
    for (person, address) in [("ann", "+1555001"), ("bob", "+1555002")] {
        let recipient = Some(Recipient { person: person.into(), address: address.to_owned() });
        outbox.add(Delivery { id: person.into(), recipient, ..delivery("i", MessageKind::Opened) });
    }
    let mut worker = Worker::start(webhook(sink.url("/hook")), outbox);
    worker.finish_all().await;
    let mut told: Vec<Value> = sink.requests().iter().map(|request| request.json()["recipient"].clone()).collect();
    told.sort_by_key(Value::to_string);
    let expected = [("+1555001", "ann"), ("+1555002", "bob")];
    assert_eq!(told, expected.map(|(address, person)| serde_json::json!({ "person": person, "address": address })));
    let undelivered = worker.undelivered.recv().await.unwrap();
    assert_eq!(undelivered.person.map(|person| person.to_string()), Some(undelivered.id.to_string()));
    worker.stop().await;
}

#[tokio::test]
async fn what_outgrew_its_acknowledgement_rings_anew_at_pagerduty() {
    let sink = SimSink::start().await;
    let receiver = pagerduty(&sink);
    let mut graver = leased("i", MessageKind::Updated);
    graver.delivery.message.incident.reopened = Some(graver.delivery.message.at);
    for message in [leased("i", MessageKind::Opened), leased("i", MessageKind::Acknowledged), graver.clone()] {
        receiver.send(&message, noon()).await.unwrap();
    }
    graver.delivery.message.at = noon() + Duration::from_mins(1);
    receiver.send(&graver, noon()).await.unwrap();
    let actions: Vec<Value> = sink.requests().iter().map(|request| request.json()["event_action"].clone()).collect();
    assert_eq!(actions, ["trigger", "acknowledge", "resolve", "trigger", "trigger"]);
    let alert = sink.alerts().into_values().next().unwrap();
    assert_eq!((sink.alerts().len(), alert.opened, alert.acknowledged, alert.open), (1, 2, false, true));
}

#[tokio::test]
async fn what_begins_again_rings_anew_at_pagerduty_under_the_same_key_even_if_its_end_got_lost() {
    for end_was_told in [true, false] {
        let sink = SimSink::start().await;
        let receiver = pagerduty(&sink);
        let mut again = leased("i", MessageKind::Opened);
        let message = &mut again.delivery.message;
        message.incident.again = Some(Again { at: message.at, times: 1 });
        let before = [MessageKind::Opened, MessageKind::Acknowledged].map(|kind| leased("i", kind));
        let end = Some(leased("i", MessageKind::Resolved)).filter(|_| end_was_told);
        for message in before.into_iter().chain(end).chain([again]) {
            receiver.send(&message, noon()).await.unwrap();
        }
        let alert = sink.alerts().into_values().next().unwrap();
        assert_eq!((sink.alerts().len(), alert.opened, alert.acknowledged, alert.open), (1, 2, false, true));
        let summary = sink.requests().pop().unwrap().json()["payload"]["summary"].to_string();
        assert!(summary.starts_with("\"again: "), "{summary}");
    }
}

#[tokio::test]
async fn pagerduty_sees_one_alert_from_beginning_to_end() {
    let sink = SimSink::start().await;
    sink.script([Act::DropAnswer]); // the first trigger is taken, and sent again
    let outbox = MemoryOutbox::default();
    for kind in [
        MessageKind::Opened,
        MessageKind::Updated,
        MessageKind::Escalated,
        MessageKind::Acknowledged,
        MessageKind::Resolved,
    ] {
        outbox.add(delivery("i", kind));
    }
    let worker = Worker::start(pagerduty(&sink), outbox);
    worker.finish_all().await;
    let alerts = sink.alerts();
    let ((key, dedup), alert) = alerts.iter().next().unwrap();
    assert_eq!((alerts.len(), key.as_str(), dedup.as_str()), (1, KEY, "stormbell/i"));
    assert_eq!((alert.opened, alert.triggers, alert.acknowledged, alert.open), (1, 4, true, false));
    worker.stop().await;
}

#[tokio::test]
async fn pagerduty_is_told_counts_and_reasons_but_no_post() {
    let sink = SimSink::start().await;
    pagerduty(&sink).send(&leased("i", MessageKind::Opened), noon()).await.unwrap();
    let event = sink.requests()[0].json();
    assert!(!event.to_string().contains("Gunman at St Brigids ER"));
    let payload = &event["payload"];
    assert_eq!(
        payload["summary"],
        "Gunman or shots reported at our site: 1 story · 2 authors · 2 posts within 1 min 30 s, the first at 2026-11-22T11:58:29Z"
    );
    assert_eq!((&payload["source"], &payload["class"]), (&Value::from("stormbell"), &Value::from("active-threat")));
    assert_eq!(payload["custom_details"]["rules"], serde_json::json!(["active-threat.gunman"]));
}

#[tokio::test]
async fn pagerduty_gets_its_own_severities_and_a_drill_says_so_first() {
    let sink = SimSink::start().await;
    let receiver = pagerduty(&sink);
    for severity in Severity::ALL {
        let mut leased = leased("i", MessageKind::Opened);
        leased.delivery.message.incident.severity = severity;
        leased.delivery.message.incident.exercise = true;
        receiver.send(&leased, noon()).await.unwrap();
    }
    let payloads: Vec<Value> = sink.requests().iter().map(|request| request.json()["payload"].clone()).collect();
    let severities: Vec<&str> = payloads.iter().filter_map(|payload| payload["severity"].as_str()).collect();
    assert_eq!(severities, ["critical", "error", "warning", "info", "info"]);
    assert!(payloads.iter().all(|payload| payload["summary"].as_str().unwrap().starts_with("EXERCISE ")));
}

#[tokio::test]
async fn an_enormous_incident_is_still_told_to_pagerduty() {
    let sink = SimSink::start().await;
    let mut leased = leased("i", MessageKind::Opened);
    leased.delivery.message.incident.title = "t".repeat(5000);
    leased.delivery.message.incident.why = "w".repeat(600_000);
    pagerduty(&sink).send(&leased, noon()).await.unwrap();
    let request = sink.requests().remove(0);
    assert!(request.body.len() < 512_000);
    assert_eq!(request.json()["payload"]["summary"].as_str().unwrap().chars().count(), 1024);
}

#[tokio::test]
async fn pagerdutys_explanation_is_passed_on_without_the_key() {
    let sink = SimSink::start().await;
    let body =
        format!(r#"{{"status":"invalid event","message":"Event object is invalid","errors":["bad key {KEY}"]}}"#);
    sink.script([Act::Saying(400, body)]);
    let error = pagerduty(&sink).send(&leased("i", MessageKind::Opened), noon()).await.unwrap_err();
    let expected = "127.0.0.1 answered 400 Bad Request: Event object is invalid; bad key …";
    assert_eq!(error, SendError::Permanent { error: expected.to_owned() });
}
