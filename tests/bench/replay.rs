//! How many frames a second the whole program takes: a file read, decoded, matched, run
//! through the engine and summed up.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use clap::Parser;
use serde_json::Value;

use super::corpus::rules::{Set, file};
use super::corpus::{HOSPITAL, Recording};
use super::machine::{cpu_of_children, folder};
use super::subject::Queries;

#[derive(Debug, Parser)]
pub struct Replay {
    /// Frames in the recording
    #[arg(long, default_value_t = 300_000)]
    frames: usize,
    /// Rules, besides a run with the built-in pack
    #[arg(long, default_value_t = 1000)]
    rules: usize,
    /// Runs over it, of which the best counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Keep recording and rules here, for a profiler
    #[arg(long)]
    keep: Option<std::path::PathBuf>,
}

impl Replay {
    /// As without arguments.
    pub fn all() -> Self {
        Self::parse_from(["replay"])
    }

    pub fn run(self, seed: u64) {
        let temporary = folder();
        let folder = self.keep.as_deref().unwrap_or(temporary.path());
        let (recording, rules) = (folder.join("frames.jsonl"), folder.join("rules.toml"));
        let frames = Recording::new(seed, self.frames);
        println!("corpus    {}", frames.account());
        frames.save(&recording);
        drop(frames);
        let queries = Queries::new(Set::Mixed, self.rules, seed);
        std::fs::write(&rules, file(queries.written.iter().map(|written| written.query.as_str()), 0)).unwrap();
        let name = format!("{} rules", self.rules);
        let one = self.measure(&name, &recording, rules.to_str().unwrap(), 1);
        let two = self.measure(&name, &recording, rules.to_str().unwrap(), 2);
        println!("replay    the second core: × {:.2} (wall time)", two / one);
        if !queries.refused().is_empty() {
            println!("          {}", queries.refused());
        }
        self.measure("builtin:hospital", &recording, "builtin:hospital", 1);
    }

    /// Frames a second of wall time.
    fn measure(&self, name: &str, recording: &Path, rules: &str, cores: usize) -> f64 {
        let runs: Vec<Run> = (0..self.rounds).map(|_| Run::of(recording, rules, cores)).collect();
        let best = |rate: fn(&Run) -> f64| runs.iter().map(rate).fold(0.0, f64::max);
        let Run { summary, .. } = &runs[0];
        let wall = best(Run::by_wall);
        println!(
            "replay    {name}, {cores} core{}: {:.0} frames/s of processor time, {wall:.0} of wall time (best of {}); {} frames, {} posts, {} matched, {} alerts, peak {:.0} MB",
            if cores == 1 { "" } else { "s" },
            best(Run::by_processor),
            self.rounds,
            summary["frames"],
            summary["posts"],
            summary["matched_posts"],
            summary["alerts"],
            summary["peak_rss_bytes"].as_f64().unwrap() / 1e6,
        );
        wall
    }
}

struct Run {
    summary: Value,
    processor: Duration,
}

impl Run {
    /// Bound to the first cores, with as many threads that decode and match.
    fn of(recording: &Path, rules: &str, cores: usize) -> Self {
        let before = cpu_of_children();
        let program = env!("CARGO_BIN_EXE_stormbell");
        let pinned = Command::new("taskset").arg("--version").output().is_ok();
        let mut command = if pinned { Command::new("taskset") } else { Command::new(program) };
        if pinned {
            command.args(["-c", &format!("0-{}", cores - 1), program]);
        }
        let threads = cores.to_string();
        command.args(["replay", "--json", "--threads", &threads, "--org", HOSPITAL, "--rules", rules, "--"]);
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
