//! Help, and arguments that make no sense.

use std::fmt::Write as _;

use super::support::{Desk, golden};

const COMMANDS: [&str; 31] = [
    "run",
    "demo",
    "init",
    "check",
    "explain",
    "fmt",
    "import",
    "replay",
    "backtest",
    "tune",
    "volume",
    "volume learn",
    "doctor",
    "status",
    "incidents",
    "oncall",
    "ack",
    "resolve",
    "note",
    "report",
    "drill",
    "silence",
    "silence add",
    "silence list",
    "silence remove",
    "silence preview",
    "audit verify",
    "backup",
    "restore",
    "completions",
    "man",
];

#[test]
fn help_of_the_program_and_of_each_command() {
    let desk = Desk::new();
    let mut pages = desk.run(&["--help"]).out;
    for command in COMMANDS {
        let ran = desk.run(&command.split(' ').chain(["--help"]).collect::<Vec<_>>());
        assert_eq!(ran.code, 0);
        write!(pages, "\n=== stormbell {command} --help\n{}", ran.out).unwrap();
    }
    golden!("cli-help", pages);
}

#[test]
fn nonsense_on_the_command_line_is_usage() {
    let desk = Desk::new();
    for arguments in [
        &[][..],
        &["rnu"],
        &["replay"],
        &["backtest"],
        &["tune"],
        &["tune", "x", "--at-least", "1"],
        &["tune", "x", "--false-alarms", "often"],
        &["volume", "learn"],
        &["replay", "x", "--format", "mastodo"],
        &["replay", "x", "--threads", "0"],
        &["replay", "x", "--org", " – "],
        &["volume"],
        &["volume", "x", "--false-alarms", "never"],
        &["explain", "rule"],
        &["fmt"],
        &["import", "x.txt"],
        &["import", "--from", "talkwalker", "x.txt"],
        &["explain", "rule", "--text", "a", "--post", "b"],
        &["run", "--org", ""],
        &["run", "--org", "a", "--config", "b"],
        &["demo", "--speed", "0"],
        &["demo", "--exit-after", "soon"],
        &["incidents", "--state", "lost"],
        &["oncall", "--days", "0"],
        &["ack"],
        &["note", "inc-a"],
        &["silence"],
        &["silence", "add", "topic=cyber"],
        &["silence", "add", "topic=cyber", "--reason", "a"],
        &["silence", "add", "--reason", "a", "--for", "1h"],
        &["silence", "preview"],
    ] {
        let ran = desk.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (64, ""), "{arguments:?}");
        assert!(!ran.err.is_empty(), "{arguments:?}");
    }
}
