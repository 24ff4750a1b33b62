//! A disk that is full, or fails, under the running program: what was accepted still goes out, people are told that
//! nothing new can be, and all goes on without a restart once the disk does.
//!
//! The disk is a small tmpfs in a namespace of its own; where that may not be made, these tests say so and pass.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::daemon::{Config, Daemon, HOOK, Place, now, say, word_rule};
use crate::support::jetstream::{Script, SimJetstream};
use crate::support::sink::{Act, SimSink};
use reqwest::Method;
use serde_json::Value;

/// Mounts a small disk where the first argument says, and becomes the rest.
const ON_A_SMALL_DISK: &str = r#"mount -t tmpfs -o size=3m tmpfs "$0" && exec "$@""#;

fn has_namespaces() -> bool {
    let probe = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]).output();
    let has = probe.is_ok_and(|output| output.status.success());
    if !has {
        println!("skipped: no user namespace can be made here");
    }
    has
}

/// The program on a small disk.
fn on_a_small_disk(place: &Place) -> Command {
    let state = place.path("state");
    std::fs::create_dir_all(&state).unwrap();
    let plain = place.command();
    let mut command = Command::new("unshare");
    command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.args(["-rm", "sh", "-c", ON_A_SMALL_DISK]).arg(&state).arg(plain.get_program()).args(plain.get_args());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Takes all room that the disk has.
fn fill(daemon: &Daemon, place: &Place) -> PathBuf {
    let state = place.path("state");
    let path = PathBuf::from(format!("/proc/{}/root{}", daemon.pid(), state.join("ballast").display()));
    let mut ballast = File::create(&path).unwrap();
    while ballast.write_all(&[0; 512]).is_ok() {}
    path
}

/// Every write to a file fails with that error, until it is mended.
fn failing(daemon: &Daemon, error: &str) -> Mend {
    let (pid, faults) = (daemon.pid().to_string(), format!("inject=pwrite64,fdatasync,fsync,ftruncate:error={error}"));
    let mut tracer = tracer(&["-f", "-p", &pid, "-e", &faults]);
    let mut lines = BufReader::new(tracer.stderr.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    assert!(line.contains("attached"), "{line}");
    Box::new(move || {
        // At this it lets go of the program.
        let pid = rustix::process::Pid::from_child(&tracer);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        tracer.wait().unwrap();
        // Open until here: it names each new thread of the program, and would end if nobody could read that.
        drop(lines);
    })
}

fn tracer(arguments: &[&str]) -> Child {
    let mut strace = Command::new("strace");
    strace.args(["-o", "/dev/null", "-e", "trace=pwrite64,fdatasync,fsync,ftruncate"]).args(arguments);
    strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Whether this system has strace, and lets it look at a process that is not its child.
fn may_trace() -> bool {
    let has = Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success());
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let may = has && (scope.trim().is_empty() || scope.trim() == "0" || rustix::process::getuid().is_root());
    if !may {
        println!("skipped: strace is not here, or may not attach");
    }
    may
}

/// What a sink took at the hook: topic, kind, id, all.
fn taken(sink: &SimSink) -> Vec<(String, String, String, Value)> {
    let of_hook = sink.requests().into_iter().filter(|request| request.taken && request.line.contains(HOOK));
    of_hook
        .map(|request| {
            let (id, body) = (request.header("webhook-id").to_owned(), request.json());
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&body["incident"]["topic"]), text(&body["type"]), id, body)
        })
        .collect()
}

fn topics(sink: &SimSink) -> BTreeSet<String> {
    taken(sink).into_iter().map(|(topic, ..)| topic).collect()
}

/// What mends the disk.
type Mend = Box<dyn FnOnce()>;

/// The whole of it: accepted, trouble, told, mended.
async fn outlives(command: impl Fn(&Place) -> Command, trouble: impl Fn(&Daemon, &Place) -> Mend, advice: &str) {
    let stream = SimJetstream::start(Script::default()).await;
    let sink = SimSink::start().await;
    let config = Config::new(&stream.url(), "").pager(&sink.url("/v2/enqueue")).webhook("hook", &sink.url(HOOK));
    let rules = [("before", "critical"), ("during", "critical"), ("noise", "info")];
    let place = Place::new(&config, &rules.map(|(word, severity)| word_rule(word, word, severity)));
    let mut number = 0;
    let mut push = |text: &str| {
        number += 1;
        stream.push(say(now(), &format!("did:plc:a{number}"), &format!("k{number}"), text));
    };
    sink.otherwise(|_| Act::Answer(500));
    let daemon = place.start_as(command(&place)).await;
    daemon.says("source connected").await;
    push("before the trouble");
    daemon.says("message not delivered").await;
    let mend = trouble(&daemon, &place);
    while daemon.said("does not take commits") == 0 {
        push(&format!("noise {}", "so much of it ".repeat(15)));
        tokio::time::sleep(Duration::from_millis(20)).await; // its log is looked at again
    }

    // What is on disk goes out.
    sink.otherwise(|_| Act::Answer(202));
    let gone = async || topics(&sink);
    daemon.until(gone, |topics| topics.contains("before")).await;
    let (ready, reasons) = daemon.ask(Method::GET, "/readyz", "").await;
    assert!(!ready.is_success() && reasons.contains("the store cannot write since"), "{reasons}");

    // What is new cannot be told, but that it waits can.
    push("during that");
    let waits = "waits: CRITICAL during reported";
    let about_the_disk = || taken(&sink).into_iter().filter(|(topic, ..)| topic == "stormbell.storage");
    let names_it =
        async || about_the_disk().any(|(.., body)| body["incident"]["why"].as_str().unwrap().contains(waits));
    daemon.until(names_it, |told| *told).await;
    assert!(!topics(&sink).contains("during"), "nothing is told before it is committed");
    let first = about_the_disk().next().unwrap().3;
    assert_eq!((&first["incident"]["severity"], &first["type"]), (&"critical".into(), &"incident.opened".into()));
    assert!(first["incident"]["why"].as_str().unwrap().contains(advice), "{first:#}");
    let pages = async || sink.alerts().len();
    daemon.until(pages, |pages| *pages >= 2).await; // the second way knows it, too

    mend();
    daemon.says("takes commits again").await;
    daemon.until(gone, |topics| topics.contains("during")).await;
    let over = async || about_the_disk().any(|(_, kind, ..)| kind == "incident.resolved");
    daemon.until(over, |over| *over).await;
    daemon.ready().await;
    let open = async || sink.alerts().values().filter(|alert| alert.open).count();
    daemon.until(open, |open| *open >= 2).await;
    daemon.stop().await;
    let ids: Vec<String> = taken(&sink).into_iter().map(|(_, _, id, _)| id).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "nothing was sent twice: {ids:?}");
    assert!(sink.alerts().values().all(|alert| alert.opened == 1), "{:?}", sink.alerts());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_lets_out_what_was_accepted_and_all_goes_on_without_a_restart() {
    if has_namespaces() {
        let full = |daemon: &Daemon, place: &Place| -> Mend {
            let ballast = fill(daemon, place);
            Box::new(|| std::fs::remove_file(ballast).unwrap())
        };
        outlives(on_a_small_disk, full, "make room").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_lets_out_what_was_accepted_and_all_goes_on_without_a_restart() {
    if may_trace() {
        outlives(Place::command, |daemon, _| failing(daemon, "EIO"), "look at the disk").await;
    }
}

/// What Linux does to a file system that it no longer trusts (`errors=remount-ro`).
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_becomes_read_only_lets_out_what_was_accepted_and_all_goes_on_without_a_restart() {
    if may_trace() {
        outlives(Place::command, |daemon, _| failing(daemon, "EROFS"), "look at the disk").await;
    }
}
