//! The popup as a person sees it: a private X server, a private bus, and dunst.
//!
//! The test starts itself again inside the private session, because the receiver finds
//! its bus in the environment of the process, and tests share theirs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests fail the test")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use stormbell::config::model::{ReceiverConfig, ReceiverKind};
use stormbell::domain::incident::Severity;
use stormbell::domain::message::{Leased, MessageKind};
use stormbell::notify::{Receiver, SendError};

use support::message::{leased, noon, post};

/// Set inside the private session, to the markup its dunst understands.
const INSIDE: &str = "STORMBELL_TEST_DESKTOP";

const HOSTILE: &str = "Help! <span size=\"50000\">BIG</span> \u{202e}live\u{202c} \u{1b}[31m & \u{200b}\
    <a href=\"https://evil.example/login\">https://bank.example/login</a> at St Brigids";

fn desktop() -> Receiver {
    Receiver::build(&ReceiverConfig { name: "desk".into(), kind: ReceiverKind::Desktop }, None).unwrap()
}

#[test]
#[ignore = "needs Xvfb, dbus and dunst; run by .ci/run"]
fn a_crisis_is_one_popup_that_hostile_text_cannot_forge() {
    let folder = tempfile::tempdir().unwrap();
    for markup in ["full", "no"] {
        let shown = in_private_session(folder.path(), markup);
        let popups: Vec<Popup> = Popup::read(&shown);
        let titles: Vec<(&str, &str)> =
            popups.iter().map(|popup| (popup.summary.as_str(), popup.urgency.as_str())).collect();
        let title = "Gunman or shots reported at our site";
        assert_eq!(
            titles,
            [
                (format!("CRITICAL: {title}").as_str(), "CRITICAL"),
                (format!("CRITICAL: {title}").as_str(), "CRITICAL"),
                (format!("Acknowledged: {title}").as_str(), "NORMAL"),
                (format!("EXERCISE MEDIUM: {title}").as_str(), "NORMAL"),
                (format!("Resolved: {title}").as_str(), "LOW"),
            ],
            "{shown}"
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
    screenshot("critical");
    send(&leased("i", MessageKind::Acknowledged)).await;
    assert_eq!(displayed(), 1, "an acknowledgement doubled the popup");
    let mut drill = leased("drill", MessageKind::Opened);
    drill.delivery.message.incident.exercise = true;
    drill.delivery.message.incident.severity = Severity::Medium;
    send(&drill).await;
    assert_eq!(displayed(), 2);
    screenshot("several");
    send(&leased("i", MessageKind::Resolved)).await;
    assert_eq!(displayed(), 2, "the end doubled the popup");
}

#[test]
#[ignore = "needs dbus; run by .ci/run"]
fn without_a_session_the_refusal_says_what_to_do() {
    let refusal = |wrap: &[&str]| {
        let (program, arguments) = wrap.split_first().unwrap();
        let mut command = Command::new(program);
        command.args(arguments).env_remove("DBUS_SESSION_BUS_ADDRESS").env("XDG_RUNTIME_DIR", "/nonexistent");
        let output = command
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "inside_no_session", "--ignored", "--nocapture"])
            .env(INSIDE, "no")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let no_bus = refusal(&["env"]);
    assert!(no_bus.contains("permanent: no desktop session"), "{no_bus}");
    assert!(no_bus.contains("run the daemon in a user session or use another receiver"), "{no_bus}");
    let no_service = refusal(&["dbus-run-session", "--"]);
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

/// Ends its process when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Runs [`inside_the_private_session`] and returns what dunst showed.
fn in_private_session(folder: &std::path::Path, markup: &str) -> String {
    let mut server = Command::new("Xvfb")
        .args(["-displayfd", "1", "-screen", "0", "900x500x24", "-nolisten", "tcp"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("Xvfb is installed");
    let mut display = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut display).unwrap();
    let _server = Running(server);

    let settings = folder.join("dunstrc");
    let text = format!(
        "[global]\nmarkup = {markup}\nfont = DejaVu Sans 11\nwidth = 480\nheight = 400\nenable_recursive_icon_lookup = true\n[urgency_critical]\ntimeout = 0\n"
    );
    std::fs::write(&settings, text).unwrap();
    // To ask dunst itself would have the bus start another one, which prints nothing.
    let script = r#"dunst -conf "$1" -print & trap "kill $!; wait $!" EXIT
        until dbus-send --print-reply=literal --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner \
            string:org.freedesktop.Notifications | grep -q true; do kill -0 $! || exit 1; done
        "$2" --exact inside_the_private_session --ignored >&2"#;
    let output = Command::new("dbus-run-session")
        .args(["--", "bash", "-c", script, "bash"])
        .arg(&settings)
        .arg(std::env::current_exe().unwrap())
        .env("DISPLAY", format!(":{}", display.trim()))
        .env(INSIDE, markup)
        .output()
        .expect("dbus-run-session is installed");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    shown
}

/// How many popups are on the screen.
fn displayed() -> u32 {
    let output = Command::new("dunstctl").args(["count", "displayed"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// Keeps a picture of the screen for a person to judge, where one is asked for: only that
/// needs `ImageMagick`.
fn screenshot(name: &str) {
    let Some(folder) = std::env::var_os("STORMBELL_KEEP_SCREENSHOTS") else { return };
    let markup = std::env::var(INSIDE).unwrap();
    let path = std::path::Path::new(&folder).join(format!("{markup}-{name}.png"));
    let taken = Command::new("import").args(["-window", "root"]).arg(path).status().expect("ImageMagick is installed");
    assert!(taken.success());
}

/// One popup of `dunst -print`.
struct Popup {
    appname: String,
    summary: String,
    urgency: String,
    body: String,
}

impl Popup {
    /// The popups of `dunst -print`, in the order in which they appeared.
    fn read(shown: &str) -> Vec<Self> {
        let popup = |text: &str| {
            let after = |start: &str| text.split_once(start).unwrap_or_else(|| panic!("no {start} in {text}")).1;
            let quoted = |name: &str, next: &str| after(name).split_once(next).unwrap().0.to_owned();
            Self {
                appname: quoted("\tappname: '", "'\n\t"),
                summary: quoted("\tsummary: '", "'\n\tbody"),
                body: quoted("\tbody: '", "'\n\ticon"),
                urgency: quoted("\turgency: ", "\n"),
            }
        };
        shown.split("\n}\n").filter(|text| text.contains("appname")).map(popup).collect()
    }
}
