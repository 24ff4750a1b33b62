//! From a word in a real chat to a page: Matrix Synapse (`PyPI`) and `InspIRCd` (Debian), written by others.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::child::{Process, Reads};
use crate::support::daemon::{Config, Daemon, HOOK, MARK, Place, word_rule};
use crate::support::sink::SimSink;
use crate::support::synapse::{Synapse, port};
use reqwest::Method;
use serde_json::{Value, json};

/// A daemon that listens to a source and tells a webhook of gunmen.
fn place(source: &str, hook: &SimSink) -> Place {
    let config = Config::listening_to(source).webhook("hook", &hook.url(HOOK));
    Place::new(&config, &[word_rule("threat", "gunman", "critical")])
}

/// The texts of the posts that an incident shows.
fn texts(incident: &Value) -> Vec<String> {
    let sample = incident["sample"].as_array().cloned().unwrap_or_default();
    sample.iter().map(|post| post["text"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn incident_when(daemon: &Daemon, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    daemon.until(async || daemon.get(&format!("/api/v1/incidents/{id}")).await, is_so).await
}

#[tokio::test]
#[ignore = "needs PyPI's matrix-synapse; run by .ci/run"]
async fn a_room_of_a_real_homeserver_is_heard_with_its_edits_and_redactions() {
    let folder = tempfile::tempdir().unwrap();
    let mut synapse = Synapse::start(folder.path()).await;
    let (bot, rita) = (synapse.join("bot").await, synapse.join("rita").await);
    let public = json!({ "preset": "public_chat" });
    let room = synapse.post("createRoom", Some(&rita), public).await["room_id"].as_str().unwrap().to_owned();
    synapse.post(&format!("join/{room}"), Some(&bot), json!({})).await;
    let mut messages = 0;
    let mut send = async |synapse: &Synapse, kind: &str, content: Value| -> String {
        messages += 1;
        let path = format!("rooms/{room}/send/{kind}/t{messages}");
        synapse.call(Method::PUT, &path, Some(&rita), content).await["event_id"].as_str().unwrap().to_owned()
    };
    let says = |text: &str| json!({ "msgtype": "m.text", "body": format!("{text} {MARK}") });
    send(&synapse, "m.room.message", says("a gunman, before we listened")).await;

    let hook = SimSink::start().await;
    let base = &synapse.base;
    let place = place(
        &format!("name = \"rooms\"\nkind = \"matrix\"\nurl = \"{base}\"\ntoken = {{ file = \"matrix\" }}"),
        &hook,
    );
    place.write("matrix", &bot);
    let daemon = place.start().await;
    daemon.says("source.connection.opened").await;
    daemon.ready().await;

    let first = send(&synapse, "m.room.message", says("gunman in the ER")).await;
    let opened = hook.received(1).await.remove(0).json();
    let id = opened["incident"]["id"].as_str().unwrap().to_owned();
    assert_eq!(texts(&opened["incident"]), [format!("gunman in the ER {MARK}")]);
    assert_eq!(opened["incident"]["sample"][0]["author"]["handle"], "rita:lab.local");

    let relation = json!({ "rel_type": "m.replace", "event_id": first });
    let mut edit = says("* gunman, he left by gate 4");
    edit["m.new_content"] = says("gunman, he left by gate 4");
    edit["m.relates_to"] = relation;
    send(&synapse, "m.room.message", edit).await;
    incident_when(&daemon, &id, |incident| texts(incident).iter().any(|text| text.contains("gate 4"))).await;

    // Killed and back: what is said before we are there again is not lost, and what we had does not come twice.
    synapse.kill();
    daemon.says("source.connection.failed").await;
    synapse.start_again().await;
    for n in 0..30 {
        send(&synapse, "m.room.message", says(&format!("gunman seen, report {n}"))).await;
    }
    let all = |incident: &Value| incident["posts"].as_u64() >= Some(31);
    let seen = incident_when(&daemon, &id, all).await;
    assert!(seen["posts"].as_u64() <= Some(32), "{seen:#}"); // an edit may count beside what it replaced
    let source = daemon.source().await;
    let ledger = &source["ledger"];
    assert_eq!((&ledger["posts"], &ledger["duplicates"]), (&json!(32), &json!(0)), "{source:#}");
    assert_eq!(source["gaps"][0]["recovered"], true, "{source:#}");

    let path = format!("rooms/{room}/redact/{first}/r1");
    synapse.call(Method::PUT, &path, Some(&rita), json!({})).await;
    incident_when(&daemon, &id, |incident| !texts(incident).iter().any(|text| text.contains("gate 4"))).await;
    daemon.stop().await;
}

/// `InspIRCd` with IRC over WebSocket beside plain IRC.
struct Irc {
    process: Process,
    plain: u16,
    web: u16,
}

impl Irc {
    fn start(folder: &Path, plain: u16, web: u16) -> Self {
        let at = folder.display();
        let modules = ["cap", "sha1", "websocket", "ircv3", "ircv3_servertime", "ircv3_msgid"];
        let modules = modules.map(|name| format!("<module name=\"{name}\">\n")).concat();
        let text = format!(
            "<server name=\"irc.lab\" description=\"lab\" network=\"lab\">\n<admin name=\"a\" nick=\"a\" email=\"a@lab\">\n\
             <pid file=\"{at}/pid\">\n<files motd=\"\">\n{modules}<wsorigin allow=\"*\">\n\
             <log method=\"file\" type=\"*\" level=\"default\" target=\"{at}/log\">\n\
             <bind address=\"127.0.0.1\" port=\"{plain}\" type=\"clients\">\n\
             <bind address=\"127.0.0.1\" port=\"{web}\" type=\"clients\" hook=\"websocket\">\n\
             <connect name=\"all\" allow=\"*\" resolvehostnames=\"no\" timeout=\"60\" localmax=\"100\" globalmax=\"100\" fakelag=\"no\">\n"
        );
        let config = folder.join("inspircd.conf");
        fs::write(&config, text).unwrap();
        let mut command = Command::new("/usr/sbin/inspircd");
        command.arg("--config").arg(config).args(["--nofork", "--runasroot"]);
        Self { process: Process::start(&mut command, Reads::Errors), plain, web }
    }

    /// A person says something in a channel, by plain IRC.
    async fn says(&self, nick: &str, text: &str) {
        let mut tries = tokio::time::interval(Duration::from_millis(50));
        let tcp = loop {
            tries.tick().await; // it may not be up yet
            if let Ok(tcp) = TcpStream::connect(("127.0.0.1", self.plain)) {
                break tcp;
            }
        };
        tcp.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
        let mut lines = BufReader::new(tcp.try_clone().unwrap()).lines().map(Result::unwrap);
        let send = |line: &str| (&tcp).write_all(format!("{line}\r\n").as_bytes()).unwrap();
        send(&format!("NICK {nick}\r\nUSER {nick} 0 * :{nick}"));
        assert!(lines.any(|line| line.contains(" 001 ")));
        send("JOIN #er");
        assert!(lines.any(|line| line.contains(" 366 ")));
        send(&format!("PRIVMSG #er :{text} {MARK}\r\nPING :done"));
        assert!(lines.any(|line| line.contains("PONG")));
    }
}

#[tokio::test]
#[ignore = "needs Debian's inspircd; run by .ci/run"]
async fn a_channel_of_a_real_irc_server_is_heard_and_joined_again() {
    if !Path::new("/usr/sbin/inspircd").try_exists().unwrap() {
        println!("skipped: inspircd is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut irc = Irc::start(folder.path(), port(), port());
    let hook = SimSink::start().await;
    let source = format!("name = \"irc\"\nkind = \"irc\"\nurl = \"ws://127.0.0.1:{}/\"\nchannels = [\"#er\"]", irc.web);
    let place = place(&source, &hook);
    let daemon = place.start().await;
    daemon.says("source.connection.opened").await;

    irc.says("rita", "\u{3}04gun\u{2}man\u{f} in the ER").await;
    let opened = hook.received(1).await.remove(0).json();
    assert_eq!(texts(&opened["incident"]), [format!("gunman in the ER {MARK}")]);
    let post = &opened["incident"]["sample"][0];
    assert_eq!((&post["author"]["handle"], &post["kind"]), (&json!("rita"), &json!("post")));

    irc.process.kill();
    daemon.says("source.connection.lost").await;
    irc = Irc::start(folder.path(), irc.plain, irc.web);
    daemon.says_times("source.connection.opened", 2).await;
    irc.says("ann", "the gunman is still here").await;
    let id = opened["incident"]["id"].as_str().unwrap();
    let seen = incident_when(&daemon, id, |incident| incident["posts"] == 2).await;
    assert_eq!(seen["authors"], 2, "{seen:#}");
    daemon.stop().await;
}
