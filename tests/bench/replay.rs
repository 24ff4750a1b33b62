//! How many frames a second one core takes.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use clap::Parser;
use serde_json::Value;

use super::corpus::{self, Corpus};
use super::machine::{cpu_of_children, folder};

/// Frames a second of recordings.
const RECORDED_RATE: u64 = 550;

#[derive(Debug, Parser)]
pub struct Replay {
    /// Frames in the recording
    #[arg(long, default_value_t = 300_000)]
    frames: usize,
    /// Runs over it, of which the best counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Keep recording and rules here, for a profiler
    #[arg(long)]
    keep: Option<std::path::PathBuf>,
}

impl Default for Replay {
    fn default() -> Self {
        Self::parse_from(["replay"])
    }
}

impl Replay {
    pub fn run(self) {
        let temporary = folder();
        let folder = self.keep.as_deref().unwrap_or(temporary.path());
        let recording = folder.join("frames.jsonl");
        let rules = folder.join("rules.toml");
        record(&recording, self.frames);
        std::fs::write(&rules, corpus::rules(100)).unwrap();
        self.measure("100 rules", &recording, rules.to_str().unwrap());
        self.measure("builtin:hospital", &recording, "builtin:hospital");
    }

    fn measure(&self, name: &str, recording: &Path, rules: &str) {
        let runs: Vec<Run> = (0..self.rounds).map(|_| Run::of(recording, rules)).collect();
        let best = |rate: fn(&Run) -> f64| runs.iter().map(rate).fold(0.0, f64::max);
        let Run { summary, .. } = &runs[0];
        println!(
            "replay    {name}: {:.0} frames/s of processor time, {:.0} of wall time (best of {}); {} frames, {} posts, {} matched, {} alerts, peak {:.0} MB",
            best(Run::by_processor),
            best(Run::by_wall),
            self.rounds,
            summary["frames"],
            summary["posts"],
            summary["matched_posts"],
            summary["alerts"],
            summary["peak_rss_bytes"].as_f64().unwrap() / 1e6,
        );
    }
}

struct Run {
    summary: Value,
    processor: Duration,
}

impl Run {
    /// On one core, with one thread.
    fn of(recording: &Path, rules: &str) -> Self {
        let before = cpu_of_children();
        let program = env!("CARGO_BIN_EXE_stormbell");
        let pinned = Command::new("taskset").arg("--version").output().is_ok();
        let mut command = if pinned { Command::new("taskset") } else { Command::new(program) };
        if pinned {
            command.args(["-c", "0", program]);
        }
        command.args(["replay", "--json", "--threads", "1", "--org", corpus::HOSPITAL, "--rules", rules, "--"]);
        let output = command.arg(recording).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let summary = String::from_utf8(output.stdout).unwrap();
        let summary = serde_json::from_str(summary.lines().last().unwrap()).unwrap();
        Self { summary, processor: cpu_of_children().saturating_sub(before) }
    }

    fn frames(&self) -> f64 {
        self.summary["frames"].as_f64().unwrap()
    }

    /// What neighbours on the machine disturb least.
    fn by_processor(&self) -> f64 {
        self.frames() / self.processor.as_secs_f64()
    }

    fn by_wall(&self) -> f64 {
        self.frames() / self.summary["seconds"].as_f64().unwrap()
    }
}

fn record(path: &Path, frames: usize) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    let mut corpus = Corpus::new(1);
    let (mut bytes, mut frame) = (0, String::new());
    for index in 0..frames {
        corpus.frame(Corpus::NOON + index as u64 * 1_000_000 / RECORDED_RATE, &mut frame);
        bytes += frame.len();
        writeln!(file, "{frame}").unwrap();
    }
    file.flush().unwrap();
    println!("corpus    {frames} frames, mean {} B; {}", bytes / frames, corpus.account());
}
