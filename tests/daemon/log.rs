//! The log as a person or a pipe sees it. Logging is set up once per process, so each case runs in a child.

use std::process::{Command, Output};
use std::time::Duration;

use stormbell::telemetry::{events, log};

const CHILD: &str = "STORMBELL_TEST_LOG";

/// Not a test of its own: what the others run in a process of its own.
#[test]
fn child_that_logs() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    if let Err(error) = log::init(log::DEFAULT_FILTER) {
        eprintln!("refused: {error}");
        return;
    }
    events::source_connected(&"bluesky".into(), "jet\u{1b}[31mstream.example", false);
    events::shutdown_stage("sources", Duration::from_millis(20));
    let twice = log::init(log::DEFAULT_FILTER);
    eprintln!("again: {}", twice.unwrap_err());
}

fn run(filter: Option<&str>) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["log::child_that_logs", "--exact", "--nocapture"]).env(CHILD, "1").env_remove("JOURNAL_STREAM");
    match filter {
        Some(filter) => command.env(log::FILTER_VARIABLE, filter),
        None => command.env_remove(log::FILTER_VARIABLE),
    };
    let Output { stderr, .. } = command.output().unwrap();
    String::from_utf8(stderr).unwrap()
}

#[test]
fn an_event_is_one_plain_line_with_fields() {
    let text = run(None);
    let line = text.lines().find(|line| line.contains("source connected")).expect(&text);
    assert!(line.contains("INFO"), "{line}");
    assert!(line.contains("event=\"source.connection.opened\" source=bluesky"), "{line}");
    assert!(!text.contains('\u{1b}'), "neither colours in a pipe nor escapes from a field: {text:?}");
    assert!(!text.contains("stage done"), "debug is off by default: {text}");
    assert!(text.contains("again: logging was started twice"), "{text}");
}

#[test]
fn the_filter_chooses_what_is_logged() {
    assert!(run(Some("debug")).contains("stage done"));
    assert!(!run(Some("error")).contains("source connected"));
    assert!(run(Some("stormbell=loud")).contains("refused: STORMBELL_LOG is not a filter"));
}
