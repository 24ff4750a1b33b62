//! How far a command has read, shown on terminals while it works.
//!
//! It is on standard error, so that results can be piped, and only when that is a terminal.
//! Where the size of everything is known there is a bar, a percentage and the time that is
//! left; of standard input there is only what was read so far.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::archive::Archive;
use super::counted;

const OF_A_SIZE: &str = "{bar:30} {percent}% of {total_bytes}, {eta} left";
const WITHOUT_END: &str = "{spinner} {msg}{bytes} read in {elapsed}";
/// Something moves at least so often, or people think that nothing does.
const TICK: Duration = Duration::from_millis(250);

/// What is shown of a command's reading; gone when dropped.
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Nothing was read of these files yet.
    pub(super) fn over(files: &[PathBuf]) -> Self {
        if files.is_empty() || !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let sizes: Option<u64> = files.iter().map(|path| size(path)).sum();
        let (bar, template) = match sizes {
            Some(size) => (ProgressBar::new(size), OF_A_SIZE),
            None => (ProgressBar::no_length(), WITHOUT_END),
        };
        bar.enable_steady_tick(TICK);
        Self(ProgressStyle::with_template(template).map_or(bar.clone(), |style| bar.with_style(style)))
    }

    /// Nothing was done yet of so many.
    pub(super) fn of(count: usize, what: &str) -> Self {
        if !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(count as u64);
        let style = ProgressStyle::with_template(&format!("{{bar:30}} {{pos}} of {{len}} {what}, {{eta}} left"));
        Self(style.map_or(bar.clone(), |style| bar.with_style(style)))
    }

    /// Is told of each that is done.
    pub(super) fn counter(&self) -> impl Fn() + 'static {
        let bar = self.0.clone();
        move || bar.inc(1)
    }

    /// Is told of bytes that were read.
    pub(super) fn reader(&self) -> impl Fn(usize) + Send + 'static {
        let bar = self.0.clone();
        move |bytes| bar.inc(bytes as u64)
    }

    /// So many frames were read by now. Where a bar says how far it is, nobody needs to know.
    pub(super) fn frames(&self, frames: u64) {
        if self.0.length().is_none() && !self.0.is_hidden() {
            self.0.set_message(format!("{}, ", counted(frames, "frame")));
        }
    }

    /// Lets something be printed above it.
    pub(super) fn above<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Bytes to be read of a file; none when nobody can say.
fn size(path: &Path) -> Option<u64> {
    if Archive::is_one(path) {
        return Archive::size(path);
    }
    path.metadata().ok().filter(std::fs::Metadata::is_file).map(|file| file.len())
}
