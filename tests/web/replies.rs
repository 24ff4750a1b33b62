//! Whoever is told by telephone takes charge by it: a text message that is answered, a key in a call. Through the built
//! program, with a Twilio on loopback that signs what it sends.

use crate::support::daemon::{Config, Daemon, Place, TWILIO_TOKEN, now, say, word_rule};
use crate::support::jetstream::{Script, SimJetstream};
use crate::support::sink::{Act, Request, SimSink};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Client;
use serde_json::Value;
use sha1::Sha1;
use stormbell::wire::answer::number;

const PUBLIC: &str = "https://bell.hospital.example";
const ANN: &str = "+15550100001";
const BOB: &str = "+15550100002";
const DOOR: &str = "+15550100008";
const DESK: &str = "+15550100009";

struct World {
    stream: SimJetstream,
    twilio: SimSink,
    place: Place,
}

impl World {
    /// Ann and Bob are told by the receiver `by`, and so are two numbers that belong to nobody.
    async fn new(by: &str, keys: &str) -> Self {
        let (stream, twilio) = (SimJetstream::start(Script::default()).await, SimSink::start().await);
        twilio.otherwise(|_| Act::Saying(201, "{\"sid\":\"CA1\",\"status\":\"queued\"}".to_owned()));
        let receiver = format!(
            "kind = \"twilio\"\naccount = \"AC00000000000000000000000000000000\"\ntoken = {{ file = \"twilio-token\" }}\n\
             from = \"+15550100000\"\nto = [\"{DESK}\", \"{DOOR}\"]\nurl = \"{}\"\n{keys}",
            twilio.url("/")
        );
        let people = format!(
            "[[person]]\nname = \"ann\"\ncontact = {{ {by} = \"{ANN}\" }}\n\
             [[person]]\nname = \"bob\"\ncontact = {{ {by} = \"{BOB}\" }}\n\
             [[person]]\nname = \"eve\"\ncontact = {{ {by} = \"+15550100003\" }}\n\
             [[route]]\ntopics = [\"flood\", \"fire\", \"storm\"]\nsteps = [{{ notify = [\"ann\", \"bob\"] }}]\n\
             [[route]]\nsteps = [{{ notify = [\"{by}\"] }}]\n"
        );
        let config = Config::new(&stream.url(), "").public(PUBLIC).receiver(by, &receiver).and(&people);
        let rules = ["fire", "flood", "storm", "smoke"].map(|word| word_rule(word, word, "high"));
        Self { stream, twilio, place: Place::new(&config, &rules) }
    }

    async fn start(&self) -> Daemon {
        let daemon = self.place.start().await;
        daemon.says("source connected").await;
        daemon
    }

    /// Somebody says that word; the incident, once everybody has it.
    async fn happens(&self, daemon: &Daemon, topic: &str) -> String {
        self.stream.push(say(now(), "did:plc:ann", &format!("k{}", now()), topic));
        let found = daemon.until(async || daemon.incidents(topic).await, |found| !found.is_empty()).await.remove(0);
        let id = found["id"].as_str().unwrap().to_owned();
        let arrived = |deliveries: &Value| {
            let all = deliveries.as_array().unwrap();
            !all.is_empty() && all.iter().all(|one| one["state"] == "delivered")
        };
        daemon.until(async || deliveries(daemon, &id).await, arrived).await;
        id
    }

    /// The texts that were sent to a number, and what else was asked for.
    fn texts(&self, to: &str) -> Vec<String> {
        let field = |request: &Request, name: &str| {
            url::form_urlencoded::parse(&request.body).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        let to_it = self.twilio.requests().into_iter().filter(|request| field(request, "To").as_deref() == Some(to));
        to_it.filter_map(|request| field(&request, "Body").or_else(|| field(&request, "Twiml"))).collect()
    }
}

async fn deliveries(daemon: &Daemon, id: &str) -> Value {
    daemon.get(&format!("/api/v1/incidents/{id}/deliveries")).await
}

async fn incident(daemon: &Daemon, id: &str) -> Value {
    daemon.get(&format!("/api/v1/incidents/{id}")).await
}

/// Posts what Twilio would, signed for the public address; the answer's status and text.
async fn send(daemon: &Daemon, token: &str, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let mut mac = Hmac::<Sha1>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(format!("{PUBLIC}{path}").as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let client = Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
    let request = client.post(format!("http://127.0.0.1:{}{path}", daemon.port()));
    let request = request.header("host", "bell.hospital.example").header("x-twilio-signature", signature);
    let answer = request.header("content-type", "application/x-www-form-urlencoded").body(body).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.text().await.unwrap())
}

/// Somebody writes; what they are answered.
async fn writes(daemon: &Daemon, sid: &str, from: &str, text: &str) -> String {
    let fields = [("MessageSid", sid), ("From", from), ("To", "+15550100000"), ("Body", text)];
    let (status, answer) = send(daemon, TWILIO_TOKEN, "/hooks/twilio/sms", &fields).await;
    assert_eq!(status, 200, "{answer}");
    let inner = answer.split("<Response>").nth(1).unwrap().split("</Response>").next().unwrap();
    inner.replace("<Message>", "").replace("</Message>", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_message_takes_charge_for_whoever_sent_it() {
    let world = World::new("sms", "replies = true").await;
    let daemon = world.start().await;
    let fire = world.happens(&daemon, "fire").await;
    let number = number(&fire.as_str().into());
    for who in [ANN, BOB] {
        let texts = world.texts(who);
        assert!(texts.len() == 1 && texts[0].contains(&format!("\nReply: OK {number} to take charge\n")), "{texts:?}");
    }
    // Strangers learn nothing, and who was not told takes nothing.
    assert_eq!(writes(&daemon, "SM1", "+15559999999", "ok").await, "");
    assert_eq!(writes(&daemon, "SM2", "+15550100003", "ok").await, "Nothing is open that you were told of.");
    let forged = [("MessageSid", "SM3"), ("From", ANN), ("Body", "ok")];
    let (status, answer) = send(&daemon, "another-token", "/hooks/twilio/sms", &forged).await;
    assert!(status == 401 && answer.contains("public_url"), "{status} {answer}");
    let (status, _) = send(&daemon, TWILIO_TOKEN, "/hooks/twilio/other", &forged).await;
    assert_eq!(status, 404);
    let unclear = writes(&daemon, "SM4", ANN, "ok, but I cannot come").await;
    assert!(unclear.contains(&format!("reply OK {number}: HIGH fire reported")), "{unclear}");
    assert_eq!(incident(&daemon, &fire).await["state"], "open");

    assert_eq!(writes(&daemon, "SM5", ANN, "Ok").await, "You have it. Nobody else is rung. HIGH fire reported");
    let found = incident(&daemon, &fire).await;
    assert_eq!((&found["state"], &found["acknowledged"]["by"]), (&"acknowledged".into(), &"ann".into()));
    let entry = found["timeline"].as_array().unwrap().iter().find(|entry| entry["what"] == "acknowledged").unwrap();
    assert_eq!(entry["text"], "by text message to sms (SM5)");
    let late = writes(&daemon, "SM6", BOB, "ack").await;
    assert!(
        late.starts_with("ann has it, since ") && late.ends_with("Nothing to do here. HIGH fire reported"),
        "{late}"
    );

    // Bob hears who has it; Ann said so herself.
    daemon.until(async || world.texts(BOB).len(), |count| *count == 2).await;
    assert!(world.texts(BOB)[1].contains("Taken by: ann"), "{:?}", world.texts(BOB));
    daemon.act(&fire, "resolve").await;
    daemon.until(async || world.texts(ANN).len(), |count| *count >= 2).await;
    assert!(world.texts(ANN)[1].contains("Resolved"), "no echo: {:?}", world.texts(ANN));
    let over = writes(&daemon, "SM7", ANN, "ok").await;
    assert!(over.starts_with("It is over: Ann ended it "), "{over}");
    let counted = daemon.metric("stormbell_answers_total{receiver=\"sms\",outcome=\"done\"}").await;
    assert!((counted - 1.0).abs() < 0.1, "{counted}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_open_ones_a_number_says_which_and_a_repetition_takes_none() {
    let world = World::new("sms", "replies = true").await;
    let mut daemon = world.start().await;
    let (fire, flood) = (world.happens(&daemon, "fire").await, world.happens(&daemon, "flood").await);
    let (fire_number, flood_number) = (number(&fire.as_str().into()), number(&flood.as_str().into()));
    let asked = writes(&daemon, "SM1", ANN, "ok").await;
    assert!(asked.starts_with("2 are open. Reply with the number of one. ") && asked.contains(&fire_number), "{asked}");
    let absent = if fire_number == "0000" || flood_number == "0000" { "0001" } else { "0000" };
    let unknown = writes(&daemon, "SM2", ANN, absent).await;
    assert!(unknown.starts_with(&format!("You were told of no incident {absent}. 2 are open.")), "{unknown}");
    let state = async |daemon: &Daemon, id: &str| incident(daemon, id).await["state"].clone();
    assert_eq!((state(&daemon, &fire).await, state(&daemon, &flood).await), ("open".into(), "open".into()));
    writes(&daemon, "SM3", ANN, &format!("ok {fire_number}")).await;
    assert_eq!((state(&daemon, &fire).await, state(&daemon, &flood).await), ("acknowledged".into(), "open".into()));
    assert_eq!(writes(&daemon, "SM4", ANN, "1").await, "You have it. Nobody else is rung. HIGH flood reported");

    // The same message comes once more, when something else is open; also after a crash.
    let storm = world.happens(&daemon, "storm").await;
    for _ in 0..2 {
        assert_eq!(writes(&daemon, "SM4", ANN, "1").await, "You have it. Nobody else is rung. HIGH flood reported");
        assert_eq!(state(&daemon, &storm).await, "open");
        daemon.kill().await;
        daemon = world.start().await;
    }
    assert_eq!(writes(&daemon, "SM5", ANN, "1").await, "You have it. Nobody else is rung. HIGH storm reported");

    // Of several numbers that are told together, one takes it, and the others hear so.
    let smoke = world.happens(&daemon, "smoke").await;
    assert!(writes(&daemon, "SM6", ANN, "ok").await.starts_with("You have it."), "what she has is what she hears of");
    assert_eq!(writes(&daemon, "SM7", DESK, "👍").await, "You have it. Nobody else is rung. HIGH smoke reported");
    assert_eq!(incident(&daemon, &smoke).await["acknowledged"]["by"], "sms …0009");
    assert!(writes(&daemon, "SM8", DOOR, "ok").await.starts_with("sms …0009 has it, since "));
    daemon.until(async || world.texts(DOOR).len(), |count| *count == 2).await;
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_in_a_call_takes_charge_and_nobody_is_called_to_hear_so() {
    let world = World::new("calls", "voice = \"en\"").await;
    world.twilio.otherwise(|request| {
        let (status, stands) = if request.line.starts_with("POST") { (201, "queued") } else { (200, "in-progress") };
        Act::Saying(status, format!("{{\"sid\":\"CA1\",\"status\":\"{stands}\"}}"))
    });
    let daemon = world.start().await;
    let fire = world.happens(&daemon, "fire").await;
    let twiml = world.texts(ANN).remove(0);
    let action = twiml.split("action=\"").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&");
    let path = action.strip_prefix(PUBLIC).unwrap();
    assert!(twiml.matches("fire reported").count() == 2 && path.starts_with("/hooks/twilio/calls?"), "{twiml}");
    let press = async |path: &str, digit: &str| {
        let fields = [("CallSid", "CA1"), ("From", "+15550100000"), ("To", ANN), ("Digits", digit)];
        send(&daemon, TWILIO_TOKEN, path, &fields).await
    };
    let (status, answer) = press(path, "2").await;
    assert!(status == 200 && answer.contains("<Gather") && answer.contains("You have not taken charge"), "{answer}");
    let (_, answer) = press("/hooks/twilio/calls", "1").await;
    assert!(answer.ends_with("<Response></Response>"), "of which incident is not said: {answer}");
    assert_eq!(incident(&daemon, &fire).await["state"], "open");
    let (_, answer) = press(path, "1").await;
    assert!(answer.contains("<Say language=\"en-US\">You have it."), "{answer}");
    let found = incident(&daemon, &fire).await;
    assert_eq!((&found["state"], &found["acknowledged"]["by"]), (&"acknowledged".into(), &"ann".into()));
    let (_, answer) = press(&path.replace("person=ann", "person=bob"), "1").await;
    assert!(answer.contains("ann has it."), "{answer}");
    let told = async || deliveries(&daemon, &fire).await.as_array().unwrap().len();
    daemon.until(told, |told| *told == 4).await;
    let waiting =
        async || deliveries(&daemon, &fire).await.as_array().unwrap().iter().all(|one| one["state"] == "delivered");
    daemon.until(waiting, |done| *done).await;
    assert_eq!((world.texts(ANN).len(), world.texts(BOB).len()), (1, 1), "no call says that somebody has it");
    daemon.stop().await;
}
