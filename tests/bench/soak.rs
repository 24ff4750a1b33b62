//! The daemon under a full stream for half an hour: what must not grow does not. The command judges itself.
//!
//! Two things grow with what is found, and are meant to: an incident tells its authors apart as long as it goes on, and
//! of every post that is kept its name is known. So somebody is at work, who resolves what is some minutes old and would
//! have it begin anew, and posts are kept for ten minutes: then as much ends as begins. Not all incidents are resolved at
//! the same age, or they would go on beginning and ending together, as they did at the start.
//!
//! Others are bounded, and full only when enough was sent. So the warm-up is a stream as fast as the daemon reads it. And a
//! rule that counts knows its last thousand posts, which takes days of a rule that takes one in two minutes: so each is
//! sent some at first, that it knows as many as after days.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use super::corpus::rules::{ONE_COUNTS, Set, alarm, alarm_rule, file};
use super::corpus::{Corpus, Draft};
use super::daemon::{Daemon, source};
use super::latency::micros_now;
use super::rng::Rng;
use super::sink::Sink;
use super::stream::{Listener, Stream};
use super::subject::Queries;

/// How long, in seconds, unless `--seconds` says so.
const VARIABLE: &str = "STORMBELL_SOAK_SECONDS";
const LONG: u64 = 3000;
/// Until here the stream comes as fast as it is read, so that what is bounded fills up …
const FULL_SPEED: f64 = 0.16;
/// … and until here what was kept of it goes again: all that is known is of the stream that is judged.
const WARM_UP: f64 = 0.4;
/// A rule that counts knows between half of these posts and all: when there are more, the older half goes.
const REMEMBERED: u64 = 1024;
/// For how long things are kept.
const KEPT: &str = "store.retention = \"10m\"\nincidents.reopen_within = \"0s\"";
/// What is open for so many seconds is resolved …
const RESOLVED_AFTER: Range<u64> = 150..450;
/// … when somebody looks, so often.
const LOOKED_EVERY: Duration = Duration::from_secs(10);
/// A slope is judged where it is longer than what it is made of (pages come and go), and where what was kept has gone.
const JUDGED_FROM: Duration = Duration::from_secs(LONG);
/// What may come to memory in an hour, in bytes.
const MOST_AN_HOUR: f64 = 1e6;
/// A connection may be on its way.
const MORE_FILES: usize = 3;
/// The longest that SQLite's log of changes may become, in bytes.
const MOST_WAL: u64 = 64 << 20;
/// An alarm each so many seconds: it must come through to the end.
const ALARM_EVERY: u64 = 30;
/// How often frames are sent in a second, so many at a time.
const TICKS: u64 = 100;
/// Frames that go out together in the warm-up.
const AT_ONCE: u64 = 1000;
/// Of those that fill what counting rules remember, so many with them: all at once they would be a flood of what is kept.
const FILLINGS: usize = 40;

#[derive(Debug, Parser)]
pub struct Soak {
    /// Seconds of stream [default: `$STORMBELL_SOAK_SECONDS`, or 3000]
    #[arg(long)]
    seconds: Option<u64>,
    /// Frames a second after the warm-up
    #[arg(long, default_value_t = 5000)]
    rate: u64,
    /// Rules, besides the built-in packs
    #[arg(long, default_value_t = 1000)]
    rules: usize,
}

/// What the daemon holds at an instant.
struct Sample {
    at: f64,
    memory: u64,
    files: usize,
    wal: u64,
}

impl Soak {
    pub fn run(self, seed: u64) {
        let asked = || std::env::var(VARIABLE).ok().map(|seconds| seconds.parse().expect("seconds, as a number"));
        let seconds = self.seconds.or_else(asked).unwrap_or(LONG);
        let fast = Duration::from_secs(seconds).mul_f64(FULL_SPEED);
        let paced = seconds - fast.as_secs();
        let count = (paced / ALARM_EVERY) as usize + 1;
        let (stream, sink) = (Stream::open(), Sink::open());
        let queries = Queries::new(Set::Mixed, self.rules, seed);
        let queries = queries.written.into_iter().enumerate().map(|(rule, written)| match filling(rule) {
            Some(filling) => format!("({}) OR {filling}", written.query),
            None => written.query,
        });
        let queries: Vec<String> = queries.collect();
        let rules = file(queries.iter().map(String::as_str), 0) + &(0..count).map(alarm_rule).collect::<String>();
        let daemon = Daemon::of(&source(&stream), KEPT, &sink, &rules);
        let mut listener = stream.listener();
        let over = AtomicBool::new(false);
        let (samples, resolved, sent) = thread::scope(|scope| {
            let sampler = scope.spawn(|| watch(&daemon, &over));
            let team = scope.spawn(|| resolve(&daemon, &over));
            let sender = scope.spawn(|| self.send(fast, paced, count, &mut listener, seed));
            let last = format!("alarm-{}", count - 1);
            while sink.next().topic() != last {}
            over.store(true, Ordering::Relaxed);
            (sampler.join().unwrap(), team.join().unwrap(), sender.join().unwrap())
        });
        judge(&self, &samples, resolved, &sent);
    }

    /// Sends as fast as it is read for a while, then for so many seconds at that pace, an alarm now and then, and the last
    /// one at the end.
    fn send(&self, fast: Duration, paced: u64, count: usize, listener: &mut Listener, seed: u64) -> Sent {
        let mut corpus = Corpus::new(seed);
        let (mut frame, mut alarmed, began, mut at_once) = (String::new(), 0, Instant::now(), 0);
        let mut rng = Rng(seed);
        let mut fillings = (0..self.rules).filter_map(filling).flat_map(|filling| {
            let posts = 0..rng.between(REMEMBERED / 2, REMEMBERED);
            posts.map(move |number| Draft::english(&format!("{filling} {number}")))
        });
        while began.elapsed() < fast {
            for _ in 0..AT_ONCE {
                corpus.frame(micros_now(), &mut frame);
                listener.write(&frame);
            }
            at_once += AT_ONCE;
            for draft in fillings.by_ref().take(FILLINGS) {
                corpus.post(micros_now(), &draft, &mut frame);
                listener.write(&frame);
                at_once += 1;
            }
            listener.flush();
        }
        let (at_full_speed, began) = (at_once as f64 / began.elapsed().as_secs_f64(), Instant::now());
        for tick in 0..paced * TICKS {
            let due = Duration::from_secs(1) * tick as u32 / TICKS as u32;
            thread::sleep((began + due).saturating_duration_since(Instant::now()));
            for _ in 0..self.rate / TICKS {
                corpus.frame(micros_now(), &mut frame);
                listener.write(&frame);
            }
            if tick % (ALARM_EVERY * TICKS) == 0 && alarmed + 1 < count {
                corpus.post(micros_now(), &Draft::english(&alarm(alarmed)), &mut frame);
                listener.write(&frame);
                alarmed += 1;
            }
            listener.flush();
        }
        corpus.post(micros_now(), &Draft::english(&alarm(count - 1)), &mut frame);
        listener.send(&frame);
        Sent {
            at_once,
            at_full_speed,
            frames: paced * TICKS * (self.rate / TICKS),
            took: began.elapsed(),
            asked: Duration::from_secs(paced),
            account: corpus.account(),
        }
    }
}

/// What a rule that counts takes besides what it was written for.
fn filling(rule: usize) -> Option<String> {
    rule.is_multiple_of(ONE_COUNTS).then(|| format!("zqfilling{rule}"))
}

/// What went out.
struct Sent {
    /// As fast as it was read, and how fast that was, in frames a second.
    at_once: u64,
    at_full_speed: f64,
    /// At the pace.
    frames: u64,
    took: Duration,
    asked: Duration,
    account: String,
}

/// Ends what has been open for long; how many that were.
fn resolve(daemon: &Daemon, over: &AtomicBool) -> usize {
    let (mut open, mut resolved) = (HashMap::<String, Instant>::new(), 0);
    while !over.load(Ordering::Relaxed) {
        let looked = Instant::now();
        let ids = open_incidents(&daemon.path("stormbell.db"));
        open.retain(|id, _| ids.contains(id));
        for id in ids {
            open.entry(id).or_insert(looked);
        }
        for (id, _) in open.iter().filter(|(id, since)| since.elapsed() >= resolved_after(id)) {
            daemon.command(&["resolve", id, "--by", "soak"]);
            resolved += 1;
        }
        thread::sleep(LOOKED_EVERY.saturating_sub(looked.elapsed()));
    }
    resolved
}

/// All of them: of the API's answer the oldest are left out.
fn open_incidents(database: &Path) -> HashSet<String> {
    let sql = rusqlite::Connection::open_with_flags(database, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut select = sql.prepare("SELECT id FROM incident WHERE state = 'open'").unwrap();
    select.query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The age at which that incident is resolved.
fn resolved_after(id: &str) -> Duration {
    let mut rng = Rng(id.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte)));
    Duration::from_secs(rng.between(RESOLVED_AFTER.start, RESOLVED_AFTER.end))
}

/// Looks each second.
fn watch(daemon: &Daemon, over: &AtomicBool) -> Vec<Sample> {
    let (began, mut samples) = (Instant::now(), Vec::new());
    let wal = daemon.path("stormbell.db-wal");
    while !over.load(Ordering::Relaxed) {
        thread::sleep((began + Duration::from_secs(samples.len() as u64)).saturating_duration_since(Instant::now()));
        samples.push(Sample {
            at: began.elapsed().as_secs_f64(),
            memory: daemon.memory("RssAnon"),
            files: daemon.files(),
            wal: length(&wal),
        });
    }
    samples
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

fn judge(soak: &Soak, samples: &[Sample], resolved: usize, sent: &Sent) {
    let whole = samples.last().unwrap().at;
    let judged: Vec<&Sample> = samples.iter().filter(|sample| sample.at >= whole * WARM_UP).collect();
    let slope = slope(&judged) * 3600.0;
    let files = |samples: &[&Sample]| samples.iter().map(|sample| sample.files).max().unwrap();
    let (early, late) = judged.split_at(judged.len() / 2);
    let (files_before, files_after) = (files(early), files(late));
    let wal = samples.iter().map(|sample| sample.wal).max().unwrap();
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "soak      {} frames at {:.0} frames/s, then {} in {:.0} s at {} frames/s with {} rules and the packs ({}), {resolved} incidents resolved: after {:.0} s of warm-up {:.1} MB of its own, {:.1} at the end, {:+.2} MB an hour; {files_before} files, then {files_after}; WAL at most {:.1} MB",
        sent.at_once,
        sent.at_full_speed,
        sent.frames,
        sent.took.as_secs_f64(),
        soak.rate,
        soak.rules,
        sent.account,
        whole * WARM_UP,
        megabytes(judged[0].memory),
        megabytes(judged[judged.len() - 1].memory),
        slope / 1e6,
        megabytes(wal),
    );
    assert!(sent.took < sent.asked.mul_f64(1.02), "the daemon does not keep up with {} frames a second", soak.rate);
    assert!(files_after <= files_before + MORE_FILES, "files are left open: {files_before}, then {files_after}");
    assert!(wal < MOST_WAL, "the log of changes is not taken in: {wal} bytes");
    if Duration::from_secs_f64(whole) < JUDGED_FROM {
        println!("soak      the slope of memory is not judged: {whole:.0} s are too short");
        return;
    }
    assert!(slope < MOST_AN_HOUR, "memory grows by {slope:.0} bytes an hour");
}

/// Bytes a second, by least squares.
fn slope(samples: &[&Sample]) -> f64 {
    let count = samples.len() as f64;
    let mean = |of: &dyn Fn(&Sample) -> f64| samples.iter().map(|sample| of(sample)).sum::<f64>() / count;
    let (at, memory) = (mean(&|sample| sample.at), mean(&|sample| sample.memory as f64));
    let both: f64 = samples.iter().map(|sample| (sample.at - at) * (sample.memory as f64 - memory)).sum();
    let spread: f64 = samples.iter().map(|sample| (sample.at - at).powi(2)).sum();
    both / spread
}
