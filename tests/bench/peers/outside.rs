//! Programs that come from elsewhere: Debian's ripgrep, Python's packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::Task;
use super::table::Figure;
use crate::machine::{cpu_of_children, folder};

/// Longer than anybody would wait for rules to be ready.
const PATIENCE: Duration = Duration::from_mins(2);
/// Frames for `rg` with many rules; it cannot be told to stop after a while.
const FEW_FRAMES: usize = 8000;

/// The system counts a child's time in hundredths of a second.
const ENOUGH: Duration = Duration::from_secs(1);

/// Fetches what is missing.
///
/// # Panics
/// When the script does not start; what it cannot fetch is missing in the table.
pub fn install() {
    let status = Command::new("sh").arg(script("install.sh")).arg(environment()).status().unwrap();
    println!("peers     installed: {status}");
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/peers").join(name)
}

/// Where Python's packages are.
fn environment() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers")
}

/// A search of whole frames; counts the lines with any rule.
pub fn ripgrep(task: &Task<'_>) -> Result<Figure, String> {
    if Command::new("rg").arg("--version").output().is_err() {
        return Err("missing (peers --install)".to_owned());
    }
    let folder = folder();
    let (frames, terms) = (folder.path().join("frames.jsonl"), folder.path().join("terms.txt"));
    let few =
        if task.queries.written.len() > 1000 { FEW_FRAMES.min(task.recording.len()) } else { task.recording.len() };
    fs::write(&frames, task.recording.bytes_of(0..few)).unwrap();
    let plain: Vec<&str> = task.queries.written.iter().map(|written| written.plain.as_str()).collect();
    fs::write(&terms, plain.join("\n")).unwrap();
    let search = || limited("rg").args(["-j1", "-F", "-i", "-w", "-c", "-f"]).args([&terms, &frames]).output().unwrap();
    let before = cpu_of_children();
    let (mut output, mut runs) = (search(), 1_u32);
    while cpu_of_children().saturating_sub(before) < ENOUGH && output.status.success() {
        (output, runs) = (search(), runs + 1);
    }
    let took = cpu_of_children().saturating_sub(before) / runs;
    let lines: f64 = match String::from_utf8_lossy(&output.stdout).trim() {
        "" if output.status.code() == Some(1) => 0.0,
        text => text.parse().ok().ok_or_else(|| gave_up(&output))?,
    };
    let posts = few as f64 * 0.4;
    Ok(Figure { frames_per_second: few as f64 / took.as_secs_f64(), matches_per_post: lines / posts })
}

/// What a script says of itself.
#[derive(Deserialize)]
struct Answer {
    frames: f64,
    seconds: f64,
    posts: f64,
    matches: f64,
}

/// A script of `tests/bench/peers`, which times itself.
pub fn python(name: &str, task: &Task<'_>) -> Result<Figure, String> {
    let program = environment().join("bin/python");
    if !program.try_exists().unwrap_or(false) {
        return Err("missing (peers --install)".to_owned());
    }
    let folder = folder();
    let (frames, rules) = (folder.path().join("frames.jsonl"), folder.path().join("rules.json"));
    task.recording.save(&frames);
    let written = task.queries.written.iter().map(|written| json!([written.sort.plural(), written.plain]));
    fs::write(&rules, json!(written.collect::<Vec<_>>()).to_string()).unwrap();
    let seconds = task.budget.as_secs().to_string();
    let output = limited(program.to_str().unwrap()).arg(script(name)).args([&frames, &rules]).arg(seconds).output();
    let output = output.unwrap();
    let answer: Option<Answer> = serde_json::from_slice(&output.stdout).ok();
    let answer = answer.ok_or_else(|| gave_up(&output))?;
    Ok(Figure { frames_per_second: answer.frames / answer.seconds, matches_per_post: answer.matches / answer.posts })
}

/// Ends with 124 when it takes too long.
fn limited(program: &str) -> Command {
    let mut command = Command::new("timeout");
    command.arg(PATIENCE.as_secs().to_string()).arg(program);
    command
}

fn gave_up(output: &std::process::Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(124) => format!("not done after {} s", PATIENCE.as_secs()),
        _ => format!("failed: {}", errors.lines().last().unwrap_or("without a word")),
    }
}
