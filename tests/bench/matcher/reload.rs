//! Reading 100,000 rules anew while frames keep coming.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::corpus::Recording;
use crate::corpus::rules::{self, Set};
use crate::machine::folder;
use crate::measure::{Spread, timed};
use crate::subject::{Queries, Reader, Rules, load};

const RULES: usize = 100_000;
/// A file of rules has a limit, as hospitals' configurations have.
const RULES_PER_FILE: usize = 20_000;
/// Frames a second meanwhile.
const RATE: u32 = 2000;
/// How long frames are timed in calm.
const CALM: Duration = Duration::from_secs(5);

/// Prints how long it takes, and how late frames are in calm and meanwhile.
pub fn measure(recording: &Recording, seed: u64) {
    println!("\nreload    {RULES} rules from files, on a thread beside the one that matches {RATE} frames/s");
    let folder = folder();
    let files = write(&Queries::new(Set::Mixed, RULES, seed), folder.path());
    let first = load(&files).rules;
    let (sender, receiver) = watch::channel(first);
    let (calm, stop) = (AtomicBool::new(true), AtomicBool::new(false));
    let ((quiet, busy), took) = thread::scope(|scope| {
        let frames = scope.spawn(|| paced(recording, &receiver, &calm, &stop));
        thread::sleep(CALM);
        calm.store(false, Ordering::Relaxed);
        let began = Instant::now();
        let (rulebook, processor) = timed(|| load(&files));
        let built = began.elapsed();
        let ((), freeing) = timed(|| drop(sender.send_replace(rulebook.rules)));
        stop.store(true, Ordering::Relaxed);
        (frames.join().unwrap(), (built, processor, freeing))
    });
    let (built, processor, freeing) = took;
    println!(
        "          read, compiled, linted and built in {:.2} s ({:.2} s of processor time); swapped and the old ones freed in {:.1} ms",
        built.as_secs_f64(),
        processor.as_secs_f64(),
        freeing.as_secs_f64() * 1000.0
    );
    println!("          frame due to frame matched, in calm:  {}", Spread::of(quiet).in_micros());
    println!("          the same while rules are being read: {}", Spread::of(busy).in_micros());
}

/// Matches a frame whenever one is due, with the rules of that moment; gives how long
/// after that it was done, in calm and afterwards.
fn paced(
    recording: &Recording,
    rules: &watch::Receiver<Arc<Rules>>,
    calm: &AtomicBool,
    stop: &AtomicBool,
) -> (Vec<Duration>, Vec<Duration>) {
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    let (mut reader, began) = (Reader::default(), Instant::now());
    for (frame, index) in recording.frames().cycle().zip(0..) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let due = began + Duration::from_secs(1) * index / RATE;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let rules = Arc::clone(&rules.borrow());
        black_box(reader.rules(frame, &rules));
        drop(rules);
        let late = due.elapsed();
        if calm.load(Ordering::Relaxed) { &mut quiet } else { &mut busy }.push(late);
    }
    (quiet, busy)
}

fn write(queries: &Queries, folder: &std::path::Path) -> Vec<PathBuf> {
    let texts: Vec<&str> = queries.written.iter().map(|written| written.query.as_str()).collect();
    let file = |(place, texts): (usize, &[&str])| {
        let path = folder.join(format!("rules-{place}.toml"));
        std::fs::write(&path, rules::file(texts.iter().copied(), place * RULES_PER_FILE)).unwrap();
        path
    };
    texts.chunks(RULES_PER_FILE).enumerate().map(file).collect()
}
