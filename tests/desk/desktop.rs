//! The popup as a person sees it: a private X server, a private bus, and dunst.
//!
//! The test starts itself again inside the private session, because the receiver finds
//! its bus in the environment of the process, and tests share theirs.

use std::process::Command;

use stormbell::config::model::{ReceiverConfig, ReceiverKind};
use stormbell::domain::incident::Severity;
use stormbell::domain::message::{Leased, MessageKind};
use stormbell::notify::{Receiver, SendError};

use crate::support::message::{leased, noon, post};
use crate::support::screen::Session;

/// Set inside the private session.
const INSIDE: &str = "STORMBELL_TEST_DESKTOP";

const HOSTILE: &str = "Help! <span size=\"50000\">BIG</span> \u{202e}live\u{202c} \u{1b}[31m & \u{200b}\
    <a href=\"https://evil.example/login\">https://bank.example/login</a> at St Brigids";

fn desktop() -> Receiver {
    Receiver::build(&ReceiverConfig::new("desk", ReceiverKind::Desktop), None).unwrap()
}

#[test]
#[ignore = "needs Xvfb, dbus and dunst; run by .ci/run"]
fn a_crisis_is_one_popup_that_hostile_text_cannot_forge() {
    for markup in ["full", "no"] {
        let mut session = Session::begin();
        session.start_dunst(markup);
        let mut inside = session.command(std::env::current_exe().unwrap());
        inside.args(["--exact", "desktop::inside_the_private_session", "--ignored"]).env(INSIDE, markup);
        let output = inside.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        session.displays(2);
        session.screenshot(&format!("{markup}-receiver"));
        session.stop_dunst();
        let popups = session.popups();
        let titles: Vec<(&str, &str)> =
            popups.iter().map(|popup| (popup.summary.as_str(), popup.urgency.as_str())).collect();
        let title = "Gunman or shots reported at our site";
        assert_eq!(
            titles,
            [
                (format!("CRITICAL: {title}").as_str(), "CRITICAL"),
                (format!("CRITICAL · grows: {title}").as_str(), "CRITICAL"),
                (format!("Acknowledged: {title}").as_str(), "NORMAL"),
                (format!("EXERCISE MEDIUM: {title}").as_str(), "NORMAL"),
                (format!("Resolved: {title}").as_str(), "LOW"),
            ],
            "{popups:#?}"
        );
        assert!(popups.iter().all(|popup| popup.appname == "stormbell"));
        let opened = &popups[0].body;
        assert!(!opened.contains(['\u{202e}', '\u{1b}', '\u{200b}']), "{opened:?}");
        assert!(opened.contains("hxxps://evil[.]example/…") && !opened.contains("https://"), "{opened:?}");
        let tag = if markup == "full" { "&lt;span" } else { "<span" };
        assert!(opened.contains(tag), "{opened:?}");
    }
}

/// What runs in the private session: a crisis from its beginning to its end, and a drill.
#[tokio::test]
#[ignore = "started by the test above"]
async fn inside_the_private_session() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let receiver = desktop();
    receiver.probe().await.unwrap();
    let send = async |leased: &Leased| receiver.send(leased, noon()).await.unwrap();

    let mut opened = leased("i", MessageKind::Opened);
    opened.sample = vec![post(HOSTILE), post("Gunman at St Brigids ER, we hide in the pharmacy")];
    send(&opened).await;
    assert_eq!(displayed(), 1);
    let mut updated = leased("i", MessageKind::Updated);
    updated.sample = opened.sample.clone();
    send(&updated).await;
    assert_eq!(displayed(), 1, "an update doubled the popup");
    send(&leased("i", MessageKind::Acknowledged)).await;
    assert_eq!(displayed(), 1, "an acknowledgement doubled the popup");
    let mut drill = leased("drill", MessageKind::Opened);
    drill.delivery.message.incident.exercise = true;
    drill.delivery.message.incident.severity = Severity::Medium;
    send(&drill).await;
    assert_eq!(displayed(), 2);
    send(&leased("i", MessageKind::Resolved)).await;
    assert_eq!(displayed(), 2, "the end doubled the popup");
}

/// How many popups are on the screen, asked from within.
fn displayed() -> u32 {
    let output = Command::new("dunstctl").args(["count", "displayed"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

#[test]
#[ignore = "needs dbus; run by .ci/run"]
fn without_a_session_the_refusal_says_what_to_do() {
    let refusal = |mut command: Command| {
        command.args(["--exact", "desktop::inside_no_session", "--ignored", "--nocapture"]).env(INSIDE, "no");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let program = std::env::current_exe().unwrap();
    let mut outside = Command::new(&program);
    outside.env_remove("DBUS_SESSION_BUS_ADDRESS").env("XDG_RUNTIME_DIR", "/nonexistent");
    let no_bus = refusal(outside);
    assert!(no_bus.contains("permanent: no desktop session"), "{no_bus}");
    assert!(no_bus.contains("run the daemon in a user session, give it desks, or use another receiver"), "{no_bus}");
    let no_service = refusal(Session::begin().command(&program));
    assert!(no_service.contains("retry: no notification service in the desktop session"), "{no_service}");
}

#[tokio::test]
#[ignore = "started by the test above"]
async fn inside_no_session() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    for error in [desktop().probe().await, desktop().send(&leased("i", MessageKind::Opened), noon()).await] {
        match error.unwrap_err() {
            SendError::Permanent { error } => println!("permanent: {error}"),
            SendError::Retry { error, .. } => println!("retry: {error}"),
        }
    }
}
