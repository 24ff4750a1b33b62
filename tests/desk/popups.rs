//! `stormbell desk` as a person has it: the built daemon, the built desk, a private X server and bus, and dunst, or
//! Xfce's service, with their buttons pressed.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use crate::support::child::{Process, Reads};
use crate::support::daemon::{Config, Daemon, Place, now, say, word_rule};
use crate::support::jetstream::{Script, SimJetstream};
use crate::support::screen::Session;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

struct World {
    stream: SimJetstream,
    place: Place,
    session: Session,
}

impl World {
    async fn new() -> Self {
        let stream = SimJetstream::start(Script::default()).await;
        let config =
            Config::new(&stream.url(), "").receiver("desks", "kind = \"desktop\"").receiver("log", "kind = \"log\"");
        let config = config.and("[[route]]\nsteps = [{ notify = [\"desks\"] }]\n[desk]\nsocket = \"desk.sock\"\n");
        let rules = [word_rule("threat", "gunman", "critical"), word_rule("flood", "flooding", "high")];
        let world = Self { stream, place: Place::new(&config, &rules), session: Session::begin() };
        // Writes down what it is asked to open.
        world.place.write("bin/xdg-open", &format!("#!/bin/sh\necho \"$1\" >>{}\n", world.opened_file().display()));
        std::fs::set_permissions(world.place.path("bin/xdg-open"), std::fs::Permissions::from_mode(0o700)).unwrap();
        world
    }

    fn opened_file(&self) -> PathBuf {
        self.place.path("opened")
    }

    fn desk(&self) -> Process {
        self.desk_of(&["--socket", self.place.path("desk.sock").to_str().unwrap()])
    }

    fn desk_of(&self, daemon: &[&str]) -> Process {
        let mut command = self.session.command(env!("CARGO_BIN_EXE_stormbell"));
        command.args(["desk", "--snooze", "2s"]).args(daemon);
        let path = format!("{}:{}", self.place.path("bin").display(), std::env::var("PATH").unwrap());
        command.env("PATH", path).env("HOME", self.place.path("")).env("USER", "ann").env("STORMBELL_LOG", "debug");
        command.env_remove("XDG_STATE_HOME").stdout(Stdio::null());
        Process::start(&mut command, Reads::Errors)
    }

    fn post(&self, key: &str, text: &str) {
        self.stream.push(say(now(), &format!("did:plc:{key}"), key, text));
    }
}

async fn incident(daemon: &Daemon, topic: &str, right: impl Fn(&Value) -> bool) -> Value {
    let ask = async || daemon.incidents(topic).await.first().cloned().unwrap_or_default();
    daemon.until(ask, right).await
}

/// Blocks the test's thread while other programs work; the runtime has others.
fn blocking<T>(wait: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(wait)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Xvfb, dbus and dunst; run by .ci/run"]
async fn a_crisis_on_a_desk_from_its_first_popup_to_its_end() {
    let mut world = World::new().await;
    let mut daemon = world.place.start().await;
    daemon.says("source connected").await;
    let mut desk = world.desk();
    blocking(|| desk.line_with("connected to the daemon"));

    // There is no notification service yet: the desk says so, and nothing counts as shown.
    world.post("a", "gunman at St Brigids, we hide in the <b>pharmacy</b> https://evil.example/x");
    blocking(|| desk.line_with("nothing can be shown; waiting for the desktop"));
    daemon.says("no desk showed it within 5 s, though one is connected").await;
    blocking(|| world.session.start_dunst("full"));
    blocking(|| world.session.displays(1));
    blocking(|| desk.line_with("the desktop shows popups"));
    daemon.says("message delivered").await;

    // News is the same popup.
    for author in ["b", "c", "d"] {
        world.post(author, "gunman, police are coming");
    }
    daemon.says_times("message delivered", 2).await;
    blocking(|| world.session.displays(1));
    world.session.screenshot("desk-critical");

    // Snoozed, it goes and comes back.
    blocking(|| {
        world.session.press("Snooze.*threat");
        world.session.displays(0);
        world.session.displays(1);
    });

    // A new desk takes over the popup of the old one, and its buttons work.
    desk.kill();
    let mut desk = world.desk();
    blocking(|| desk.line_with(" shown "));
    blocking(|| world.session.displays(1));
    world.post("e", "flooding in the basement");
    blocking(|| world.session.displays(2));
    world.session.screenshot("desk-two");
    blocking(|| world.session.press("Open.*flood"));
    let flood =
        incident(&daemon, "flood", |incident| incident["id"].is_string()).await["id"].as_str().unwrap().to_owned();
    let expected = format!("http://127.0.0.1:{}/incidents/{flood}\n", daemon.port());
    let opened = || std::fs::read_to_string(world.opened_file()).unwrap_or_default();
    blocking(|| world.session.until("the console is opened", || opened() == expected));

    // Another service is given all that stood.
    blocking(|| world.session.stop_dunst());
    blocking(|| world.session.start_dunst("full"));
    blocking(|| world.session.displays(2));

    // While the daemon is away the person takes charge; it hears so when it is back.
    daemon.kill().await;
    blocking(|| desk.line_with("no connection to the daemon"));
    blocking(|| {
        world.session.press("Acknowledge.*threat");
        world.session.displays(1);
    });
    let daemon = world.place.start().await;
    let taken = incident(&daemon, "threat", |incident| incident["state"] == "acknowledged").await;
    let by = taken["acknowledged"]["by"].as_str().unwrap().to_owned();
    blocking(|| world.session.displays(2));
    world.session.screenshot("desk-taken");

    // Somebody else ends the other one.
    while !blocking(|| desk.line_with(" shown ")).contains(taken["id"].as_str().unwrap()) {}
    daemon.act(&flood, "resolve").await;
    while !blocking(|| desk.line_with(" shown ")).contains(&flood) {}
    blocking(|| world.session.stop_dunst());
    drop(desk);
    daemon.stop().await;

    let popups = world.session.popups();
    let shown: Vec<(&str, &str)> =
        popups.iter().map(|popup| (popup.summary.as_str(), popup.urgency.as_str())).collect();
    let (threat, flood) = (("CRITICAL: threat reported", "CRITICAL"), ("HIGH: flood reported", "CRITICAL"));
    let grown = ("CRITICAL · grows: threat reported", "CRITICAL");
    // Snoozed and back; a new desk asked for the words.
    assert_eq!(shown[..5], [threat, grown, grown, threat, flood], "{popups:#?}");
    // The new service, in any order.
    assert!(shown[5..7].contains(&threat) && shown[5..7].contains(&flood), "{popups:#?}");
    assert_eq!(shown[7..], [("Acknowledged: threat reported", "NORMAL"), ("Resolved: flood reported", "LOW")]);
    let first = &popups[0].body;
    assert!(first.contains("&lt;b&gt;pharmacy") && first.contains("hxxps://evil[.]example/…"), "{first:?}");
    assert!(popups[7].body.contains(&format!("Taken by: {by}")), "{popups:#?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Xvfb, dbus and dunst; run by .ci/run"]
async fn two_people_see_who_has_it_and_one_user_has_one_desk() {
    let mut world = World::new().await;
    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    blocking(|| world.session.start_dunst("no"));
    let mut desk = world.desk();
    blocking(|| desk.line_with("connected to the daemon"));
    let (status, said) = blocking(|| world.desk().ended());
    assert_eq!(status.code(), Some(75), "{said:?}");
    assert!(said.concat().contains("another `stormbell desk` of yours is running"), "{said:?}");

    world.post("a", "gunman at St Brigids");
    blocking(|| world.session.displays(1));
    let threat = incident(&daemon, "threat", |incident| incident["id"].is_string()).await;
    daemon.act(threat["id"].as_str().unwrap(), "ack").await;
    blocking(|| desk.line_with(" shown ")); // that, …
    blocking(|| desk.line_with(" shown ")); // … and who has it
    // What a person closed is not shown again by a new desk.
    world.post("b", "flooding at St Brigids");
    daemon.says_times("message delivered", 3).await;
    blocking(|| {
        world.session.dismiss_all();
        world.session.displays(0);
    });
    daemon.says("popup closed").await; // so the desk knows
    blocking(|| desk.kill());
    let mut desk = world.desk();
    blocking(|| desk.line_with("connected to the daemon"));
    world.post("c", "flooding, too");
    world.post("d", "flooding as well");
    daemon.says_times("message delivered", 4).await;
    blocking(|| world.session.displays(1)); // news
    blocking(|| world.session.stop_dunst());
    let shown: Vec<(String, String)> =
        world.session.popups().into_iter().map(|popup| (popup.summary, popup.body)).collect();
    let titles: Vec<&str> = shown.iter().map(|(title, _)| title.as_str()).collect();
    assert_eq!(
        titles,
        [
            "CRITICAL: threat reported",
            "Acknowledged: threat reported",
            "HIGH: flood reported",
            "HIGH · grows: flood reported"
        ]
    );
    assert!(shown[1].1.contains("Taken by: Ann at"), "{shown:?}");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Xvfb, dbus and dunst; run by .ci/run"]
async fn another_workstation_comes_through_tls_and_opens_the_console_where_it_sees_it() {
    let mut world = World::new().await;
    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    let (acceptor, authority) = crate::support::tls::acceptor();
    world.place.write("authority.pem", &authority);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let mut relay = JoinSet::new();
    relay.spawn(crate::support::tls::relay(listener, acceptor, daemon.port()));
    blocking(|| world.session.start_dunst("full"));
    let (token, authority) = (world.place.path("token"), world.place.path("authority.pem"));
    let (token, authority) = (token.to_str().unwrap(), authority.to_str().unwrap());
    let mut desk = world.desk_of(&["--url", &url, "--token-file", token, "--ca-file", authority]);
    blocking(|| desk.line_with("connected to the daemon"));

    world.post("a", "gunman at St Brigids");
    blocking(|| world.session.displays(1));
    daemon.says("message delivered").await;
    let threat = incident(&daemon, "threat", |incident| incident["id"].is_string()).await;
    let expected = format!("{url}/incidents/{}\n", threat["id"].as_str().unwrap());
    blocking(|| {
        world.session.press("Open.*threat");
        let opened = || std::fs::read_to_string(world.opened_file()).unwrap_or_default();
        world.session.until("the console is opened", || opened() == expected);
        world.session.press("Acknowledge.*threat");
    });
    let it = incident(&daemon, "threat", |incident| incident["state"] == "acknowledged").await;
    assert_eq!(it["acknowledged"]["by"], "ann");
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Xvfb, dbus, xfce4-notifyd and xdotool; run by .ci/run"]
async fn a_mouse_takes_charge_at_a_true_button() {
    let mut world = World::new().await;
    let daemon = world.place.start().await;
    daemon.says("source connected").await;
    blocking(|| world.session.start_xfce());
    let mut desk = world.desk();
    blocking(|| desk.line_with("connected to the daemon"));
    world.post("a", "gunman at St Brigids <b>now</b>");
    daemon.says("message delivered").await;
    let mut clicks = 0;
    loop {
        // A popup that is just being drawn takes no click.
        blocking(|| world.session.click_first_button());
        clicks += 1;
        let threat = &daemon.incidents("threat").await[0];
        world.session.screenshot(&format!("desk-xfce-{clicks}"));
        if threat["state"] == "acknowledged" {
            break;
        }
        assert!(clicks < 50, "no click arrives");
    }
    blocking(|| desk.line_with(" shown ")); // that, …
    blocking(|| desk.line_with(" shown ")); // … and that she has it
    world.session.screenshot("desk-xfce-taken");
    daemon.stop().await;
}
