//! The commands that speak to a daemon, against the demo; and the daemon's exit codes.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use super::support::{Desk, Ran};

/// A running demo; ended when dropped.
struct Demo {
    child: Child,
    url: String,
    desk: Desk,
}

impl Demo {
    /// Starts a fast demo and waits until its first incident is open.
    fn with_an_incident() -> Self {
        let desk = Desk::new();
        let mut child =
            desk.command(&["demo", "--speed", "50", "--exit-after", "90s"]).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut after = |what: &str| lines.find_map(|line| Some(line.split_once(what)?.1.to_owned())).expect(what);
        let url = format!("http://{}", after("address="));
        after(" opened inc-");
        // Nobody reads on; the demo must not mind.
        Self { child, url, desk }
    }

    fn ask(&self, arguments: &[&str]) -> Ran {
        self.desk.run(&[arguments, &["--url", &self.url]].concat())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn an_incident_of_the_demo_is_seen_taken_and_ended() {
    let demo = Demo::with_an_incident();
    let status = demo.ask(&["status"]);
    assert_eq!(status.code, 0, "{}", status.err);
    assert!(status.out.contains("for St. Brigid's Hospital: ready"), "{}", status.out);
    let list = demo.ask(&["incidents"]);
    assert_eq!(list.code, 0);
    let id = list.out.split_whitespace().next().unwrap();
    let ran = demo.ask(&["ack", id, "--by", "ann"]);
    assert!(ran.out.starts_with(&format!("{id} is acknowledged: ")), "{}", ran.text());
    let mine = demo.ask(&["incidents", "--state", "acknowledged", "--json"]);
    let mine: serde_json::Value = serde_json::from_str(mine.out.lines().next().unwrap()).unwrap();
    assert_eq!((&mine["id"], &mine["acknowledged"]["by"]), (&id.into(), &"ann".into()));
    let ran = demo.ask(&["note", id, "police are on site", "--by", "bob"]);
    assert!(ran.out.starts_with(&format!("{id} is acknowledged: ")), "{}", ran.text());
    let ran = demo.ask(&["resolve", id, "--by", "ann", "--reason", "a film set"]);
    assert!(ran.out.starts_with(&format!("{id} is resolved: ")), "{}", ran.text());
    let report = demo.ask(&["report", id]);
    assert!(report.out.contains("**note** by bob: police are on site"), "{}", report.text());
    assert!(report.out.contains("- State: resolved by ann\n"), "{}", report.text());
    let report: serde_json::Value = serde_json::from_str(&demo.ask(&["report", id, "--json"]).out).unwrap();
    assert!(report["seconds"]["opened_to_acknowledged"].is_number(), "{report}");
    let ran = demo.ask(&["ack", "inc-nope", "--by", "ann"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("`stormbell incidents` lists those there are"), "{}", ran.err);
}

#[test]
fn a_topic_of_the_demo_is_silenced_and_heard_again() {
    let demo = Demo::with_an_incident();
    let list = demo.ask(&["incidents", "--json"]);
    let incident: serde_json::Value = serde_json::from_str(list.out.lines().next().unwrap()).unwrap();
    let (id, topic) = (incident["id"].as_str().unwrap(), format!("topic={}", incident["topic"].as_str().unwrap()));
    let preview = demo.ask(&["silence", "preview", &topic]);
    assert!(
        preview.out.starts_with("would have muted 1 incident of ") && preview.out.contains(id),
        "{}",
        preview.text()
    );

    let added = demo.ask(&["silence", "add", &topic, "--for", "1h", "--reason", "an exercise", "--by", "ann"]);
    let silence = added.out.split_whitespace().next().unwrap();
    assert!(added.out.contains("by ann: an exercise"), "{}", added.text());
    let list = demo.ask(&["incidents"]);
    assert!(list.out.contains(&format!("MUTED by {silence}")), "{}", list.text());
    let list = demo.ask(&["silence", "list"]);
    assert!(list.out.starts_with(&format!("{silence}  active   {topic}\n")), "{}", list.text());

    let removed = demo.ask(&["silence", "remove", silence, "--by", "bob & co"]);
    assert!(removed.out.contains("expired") && removed.out.contains("ended by bob & co"), "{}", removed.text());
    assert!(!demo.ask(&["incidents"]).out.contains("MUTED"));
    let again = demo.ask(&["silence", "remove", silence, "--by", "ann"]);
    assert!(again.code == 1 && again.err.contains("is over already"), "{}", again.text());
    assert_eq!(demo.ask(&["silence", "list"]).out, "nothing is silenced\n");
    assert!(demo.ask(&["silence", "list", "--all"]).out.starts_with(silence));

    for (arguments, wrong) in [
        (
            &["silence", "add", "topic=~cyber.*", "--for", "1h", "--reason", "a"][..],
            "regular expressions are not taken",
        ),
        (&["silence", "add", "topic=cyber", "--for", "60d", "--reason", "a"], "at most 31 days"),
        (&["silence", "add", "topic=cyber", "--for", "soon", "--reason", "a"], "for: not a duration"),
        (&["silence", "remove", "sil-nope"], "`stormbell silence list` lists those there are"),
    ] {
        let ran = demo.ask(&[arguments, &["--by", "ann"]].concat());
        assert!(ran.code == 1 && ran.err.contains(wrong), "{}", ran.text());
    }
}

#[test]
fn a_demo_that_shall_end_ends_well() {
    let ran = Desk::new().run(&["demo", "--exit-after", "500ms"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.starts_with("stormbell demo: "), "{}", ran.err);
}

#[test]
fn without_a_daemon_the_answer_is_one() {
    let ran = Desk::new().run(&["status", "--url", "http://127.0.0.1:9"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("no stormbell answers at http://127.0.0.1:9; is it running"), "{}", ran.err);
}

#[test]
fn a_port_that_is_taken_is_temporary() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let desk = Desk::new();
    let config = format!(
        "schema = 1\nrules = [\"builtin:hospital\"]\n[organization]\nname = \"Mercy\"\n[store]\npath = \"s.db\"\n[[source]]\nname = \"b\"\nkind = \"jetstream\"\nurl = \"ws://127.0.0.1:9/\"\n[[receiver]]\nname = \"log\"\nkind = \"log\"\n[[route]]\nsteps = [{{ notify = [\"log\"] }}]\n[web]\nlisten = \"{}\"\n",
        taken.local_addr().unwrap()
    );
    let ran = desk.file("stormbell.toml", config).run(&["run"]);
    assert_eq!(ran.code, 75, "{}", ran.err);
}
