//! Privacy through the built program: one command erases and gives a receipt, a hold stands against it, and what a stranger
//! says of a patient leaves for no other house, nor stands in a log, a metric or an error.

#![cfg(test)]

mod support;

use std::process::{Command, Output};

use serde_json::Value;
use support::daemon::{Config, Daemon, HOOK, MARK, Place, now, say, word_rule};
use support::jetstream::{Script, SimJetstream};
use support::sink::{Act, SimSink};

/// What of a patient nobody outside may have.
const PATIENT: [&str; 4] = ["zzyzx@mail.example", "+1 555 010 4477", "00-778899", "3/4/61"];

fn ask(place: &Place, daemon: &Daemon, arguments: &[&str]) -> Output {
    let url = format!("http://127.0.0.1:{}", daemon.port());
    Command::new(env!("CARGO_BIN_EXE_stormbell"))
        .env_clear()
        .args(arguments)
        .args(["--by", "dora", "--url", &url, "--token-file"])
        .arg(place.path("token"))
        .output()
        .unwrap()
}

/// The same, and it must succeed.
fn done(place: &Place, daemon: &Daemon, arguments: &[&str]) -> String {
    let output = ask(place, daemon, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn one_incident(daemon: &Daemon) -> String {
    let found = daemon.until(async || daemon.incidents("fire").await, |found| !found.is_empty()).await;
    found[0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_author_is_erased_by_one_command_unless_an_incident_is_held_and_stays_erased_over_a_kill() {
    let stream = SimJetstream::start(Script::default()).await;
    let config = Config::new(&stream.url(), "");
    let place = Place::new(&config, &[word_rule("fire", "fire", "high")]);
    let mut daemon = place.start().await;
    daemon.says("source connected").await;
    stream.push(say(now(), "did:plc:eve", "k1", "fire here"));
    let id = one_incident(&daemon).await;
    let erase = ["erase", "--author", "did:plc:eve", "--source", "sky", "--reason", "her request"];

    let reason = ["--approved-by", "Dr. Roe", "--reason", "law suit"];
    let held = done(&place, &daemon, &[&["hold", "add", &id][..], &reason].concat());
    assert!(
        held.contains(&format!("{id}  held since")) && held.contains("by dora, approved by Dr. Roe: law suit"),
        "{held}"
    );
    let refused = ask(&place, &daemon, &erase);
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && words.contains("held (approved by Dr. Roe)"), "{words}");
    assert!(place.database_holds(MARK));
    let removed = done(&place, &daemon, &["hold", "remove", &id, "--reason", "settled"]);
    assert_eq!(removed, format!("{id} is held no longer\n"));

    let receipt: Value = serde_json::from_str(&done(&place, &daemon, &[&erase[..], &["--json"]].concat())).unwrap();
    assert_eq!(
        (&receipt["by"], &receipt["reason"], &receipt["rows"]["post"]),
        (&"dora".into(), &"her request".into(), &1.into())
    );
    assert_eq!(receipt["posts"].as_array().unwrap().len(), 1);
    daemon.until(async || place.database_holds(MARK), |holds| !holds).await;
    let again = ask(&place, &daemon, &erase);
    assert!(String::from_utf8(again.stderr).unwrap().contains("nothing of that is kept"));
    daemon.kill().await;

    // The stream is read again from before; what she says now is new.
    let daemon = place.start().await;
    daemon.says("source connected").await;
    stream.push(say(now(), "did:plc:eve", "k2", "fire again"));
    daemon.until(async || place.database_holds("fire again"), |holds| *holds).await;
    assert!(!place.database_holds("fire here"));
    let audit = Command::new(env!("CARGO_BIN_EXE_stormbell"))
        .args(["audit", "verify"])
        .arg(place.path("state/stormbell.db"))
        .args(["--head", receipt["audit_hash"].as_str().unwrap()])
        .output()
        .unwrap();
    assert!(audit.status.success(), "the receipt's entry is in the log: {}", String::from_utf8_lossy(&audit.stderr));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_patient_leaves_for_nobody_and_is_in_no_log_metric_or_error() {
    let (stream, sink) = (SimJetstream::start(Script::default()).await, SimSink::start().await);
    // A server that throws what it was sent back at us.
    sink.otherwise(|request| {
        let echo = || Act::Saying(400, String::from_utf8_lossy(&request.body).into_owned());
        if request.line.contains("/broken") { echo() } else { Act::Answer(200) }
    });
    let chat = |kind: &str, path: &str| format!("kind = \"{kind}\"\nurl = \"{}\"\ncleared = true", sink.url(path));
    let config = Config::new(&stream.url(), "")
        .webhook("hook", &sink.url(HOOK))
        .webhook("broken-hook", &sink.url("/broken/hook"))
        .pager(&sink.url("/v2/enqueue"))
        .receiver("slack", &chat("slack", "/slack"))
        .receiver("broken-slack", &chat("slack", "/broken/slack"))
        .receiver("mattermost", &chat("mattermost", "/mattermost"))
        .receiver("log", "kind = \"log\"");
    let place = Place::new(&config, &[word_rule("fire", "fire", "high")]);
    let daemon = place.start().await;
    daemon.says("source connected").await;
    stream.push(say(
        now(),
        "did:plc:eve",
        "k1",
        &format!("fire; mail {}, {}, MRN {}, born {}", PATIENT[0], PATIENT[1], PATIENT[2], PATIENT[3]),
    ));
    let id = one_incident(&daemon).await;
    let paths = [HOOK, "/v2/enqueue", "/slack", "/mattermost", "/broken/hook", "/broken/slack"];
    let reached = async || {
        let requests = sink.requests();
        paths.iter().filter(|path| requests.iter().any(|one| one.line.contains(**path))).count()
    };
    daemon.until(reached, |reached| *reached == paths.len()).await;
    let parked = async || daemon.get(&format!("/api/v1/incidents/{id}/deliveries")).await;
    let parked =
        daemon.until(parked, |all| all.as_array().unwrap().iter().filter(|one| one["state"] == "parked").count() == 2);
    let deliveries = parked.await.to_string();

    let payloads: String = sink.requests().iter().map(|one| String::from_utf8_lossy(&one.body).into_owned()).collect();
    let (_, metrics) = daemon.ask(reqwest::Method::GET, "/metrics", "").await;
    assert!(payloads.contains("[phone]") && payloads.contains("[record number]"), "{payloads}");
    for (place, text) in [("payloads", payloads), ("log", daemon.log()), ("metrics", metrics), ("errors", deliveries)] {
        for word in PATIENT {
            assert!(!text.contains(word), "{word} is in {place}: {text}");
        }
    }
    // Whoever answers for it reads all of it.
    assert!(daemon.get(&format!("/api/v1/incidents/{id}")).await.to_string().contains(PATIENT[1]));
    daemon.stop().await;
}
