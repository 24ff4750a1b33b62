//! What the figures were measured on, and how quiet it was.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use super::measure::Spread;

/// Where corpora and databases go: on the disk of the build, not in memory.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// Prints the machine in a few lines.
pub fn describe() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("machine   {} cores, {}", cores, model.map_or("unknown processor", |(_, model)| model));
    println!("load      {} (1, 5, 15 min)", load.split(' ').take(3).collect::<Vec<_>>().join(" "));
    println!("disk      a page with fsync: {}", Spread::of(fsyncs(folder().path())));
}

/// What the disk itself asks for a commit: a page of a log that is written over and over.
fn fsyncs(folder: &Path) -> Vec<Duration> {
    let mut file = File::create(folder.join("probe")).unwrap();
    file.write_all(&vec![0; 4096 * 100]).unwrap();
    file.sync_all().unwrap();
    file.rewind().unwrap();
    let sync = |_| {
        let began = Instant::now();
        file.write_all(&[7; 4096]).unwrap();
        file.sync_all().unwrap();
        began.elapsed()
    };
    (0..100).map(sync).collect()
}

/// Processor time of all children that have ended.
pub fn cpu_of_children() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // The name, in parentheses, may hold anything; `cutime` and `cstime` are the 16th and 17th.
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = fields[13..15].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}
