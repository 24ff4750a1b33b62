//! The past, played through the same engine that runs the daemon.
//!
//! Several sets of rules can be played at once, each through an engine of its own and all on
//! the same frames, batch by batch: a recording is read and unpacked once, standard input
//! will do, and whoever compares what the sets did needs to remember one batch. Rejected: to
//! play one set after the other (twice the reading, and every alert of the first kept until
//! the end of the second).
//!
//! Nothing here grows with the recording.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use super::archive;
use super::input::Recording;
use super::progress::Progress;
use super::say;
use crate::app::clock::Behind;
use crate::app::clock::SystemClock;
use crate::app::pipeline::matched;
use crate::domain::commit::Commit;
use crate::domain::engine::{Engine, Input};
use crate::domain::id::ReceiverName;
use crate::domain::route::Routes;
use crate::domain::rule::RuleSet;
use crate::domain::time::{Clock as _, Timestamp};
use crate::source::{Format, Incoming};
use crate::store::Heard;

/// What is played, and how.
pub(super) struct Player<'a> {
    /// The recordings, in the order of their time.
    pub(super) files: &'a [PathBuf],
    /// How frames are written; none: look.
    pub(super) format: Option<Format>,
    /// Threads that decode and match.
    pub(super) threads: usize,
    /// Who would be told.
    pub(super) routes: Routes,
    /// Every receiver there is.
    pub(super) receivers: Vec<ReceiverName>,
}

/// Posts may be this far ahead of our clock.
const CLOCKS_DIFFER: Duration = Duration::from_hours(24);

/// Event times of the first and last post of a batch.
pub(super) type Span = Option<(Timestamp, Timestamp)>;

/// Whether a recording goes on into the future, where rules would wait for it; says so.
pub(super) fn is_yet_to_come(to: Timestamp) -> bool {
    let is_future = to > SystemClock.now() + CLOCKS_DIFFER;
    if is_future {
        say(&format!(
            "error: the recordings go on until {to}, which is yet to come, so rules would wait for it. Mend the times \
             of the posts, or leave out those that claim the future"
        ));
    }
    is_future
}

/// The longer of two spans that know each other.
pub(super) fn joined(one: Span, other: Span) -> Span {
    match (one, other) {
        (Some((from, to)), Some((first, last))) => Some((from.min(first), to.max(last))),
        (known, new) => known.or(new),
    }
}

impl<'a> Player<'a> {
    /// Plays to nobody, on all cores.
    pub(super) fn of(files: &'a [PathBuf], format: Option<Format>) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { files, format, threads, routes: Routes::default(), receivers: Vec::new() }
    }

    /// Runs the recordings through an engine for each set of rules. `took` is given what each
    /// batch did in each of them, and the event times it spans. Gives the engines as they are
    /// at the end.
    pub(super) fn play<const N: usize>(
        &self,
        rules: [&Arc<RuleSet>; N],
        took: impl FnMut(Span, [Commit; N]) -> anyhow::Result<()>,
    ) -> anyhow::Result<[Engine; N]> {
        runtime(self.threads)?.block_on(self.play_on(rules, took))
    }

    async fn play_on<const N: usize>(
        &self,
        rules: [&Arc<RuleSet>; N],
        mut took: impl FnMut(Span, [Commit; N]) -> anyhow::Result<()>,
    ) -> anyhow::Result<[Engine; N]> {
        let progress = Progress::over(self.files);
        let mut engines = rules.map(|rules| {
            let mut engine = Engine::new(Arc::clone(rules), self.routes.clone(), self.receivers.clone());
            engine.without_store();
            engine
        });
        for heard in self.files.iter().filter_map(|path| archive::heard(path).transpose()) {
            let Heard { sources, lost, .. } = heard?;
            for engine in &mut engines {
                engine.lost(&lost, sources);
            }
        }
        let mut frames = 0;
        let mut took = |span, commits: [Commit; N]| {
            let first = commits.iter().take(1).flat_map(|commit| commit.progress.values());
            frames += first.map(|progress| progress.ledger.frames).sum::<u64>();
            progress.frames(frames);
            progress.above(|| took(span, commits))
        };
        for path in self.files {
            self.play_one(path, &rules, &mut engines, progress.reader(), &mut took).await?;
        }
        Ok(engines)
    }

    async fn play_one<const N: usize>(
        &self,
        path: &Path,
        rules: &[&Arc<RuleSet>; N],
        engines: &mut [Engine; N],
        read: impl Fn(usize) + Send + 'static,
        took: &mut impl FnMut(Span, [Commit; N]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let recording = Recording::open(path, self.format.clone(), read)?;
        let format = recording.format.clone();
        let ahead = [const { VecDeque::new() }; N];
        let shared = RefCell::new(Shared { recording, ahead, failed: None });
        let mut which = 0..N;
        let mut readers = rules.map(|rules| {
            let (which, shared, format) = (which.next().unwrap_or_default(), &shared, format.clone());
            let batches = stream::iter(std::iter::from_fn(move || shared.borrow_mut().next(which)));
            let (_, in_force) = watch::channel(Arc::clone(rules));
            Box::pin(matched(batches, move |_| format.clone(), in_force, self.threads * 2, Behind::default()))
        });
        loop {
            let mut span = None;
            let mut commits = [const { None }; N];
            for ((reader, engine), commit) in readers.iter_mut().zip(&mut *engines).zip(&mut commits) {
                let Some(arrived) = reader.next().await else { break };
                if let Input::Batch(batch) = &arrived.input {
                    span = joined(span, batch.span());
                }
                *commit = Some(engine.step(arrived.input, Timestamp::default()).commit);
            }
            if commits.iter().any(Option::is_none) {
                break; // all of them: they read the same
            }
            let commits = commits.map(Option::unwrap_or_default);
            took(span, commits)?;
        }
        drop(readers);
        shared.into_inner().failed.map_or(Ok(()), Err)
    }
}

/// A recording that several read.
struct Shared<const N: usize> {
    recording: Recording,
    /// What somebody else has read already.
    ahead: [VecDeque<Incoming>; N],
    failed: Option<anyhow::Error>,
}

impl<const N: usize> Shared<N> {
    /// The next batch for one of them; none at the end, or where it cannot be read.
    fn next(&mut self, which: usize) -> Option<Incoming> {
        if let Some(waiting) = self.ahead.get_mut(which).and_then(VecDeque::pop_front) {
            return Some(waiting);
        }
        if self.failed.is_some() {
            return None;
        }
        let next = self.recording.next().map_err(|error| self.failed = Some(error)).ok()??;
        for (_, others) in self.ahead.iter_mut().enumerate().filter(|(other, _)| *other != which) {
            others.push_back(next.clone());
        }
        Some(next)
    }
}

/// One thread needs no helpers: everything runs on the caller's.
fn runtime(threads: usize) -> std::io::Result<Runtime> {
    match threads {
        1 => Builder::new_current_thread().build(),
        _ => Builder::new_multi_thread().worker_threads(threads).build(),
    }
}
