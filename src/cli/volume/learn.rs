//! `stormbell volume learn`: what is usual, from recordings, before the daemon's first minute.
//!
//! The recordings go through the daemon's own engine, with the rules that learn and no others,
//! and what those have learnt at the end is put where the daemon will look for it. The
//! database is locked meanwhile: a daemon would write over it with its next post.

use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use crate::cli::listening::{Listening, ListeningArgs};
use crate::cli::player::{Player, Span, is_yet_to_come, joined};
use crate::cli::replay::{FormatChoice, format, line};
use crate::cli::{Exit, counted, say, show};
use crate::domain::commit::{Commit, VolumeState};
use crate::domain::engine::learning::{Learnt, known, learns};
use crate::domain::id::RuleId;
use crate::domain::rule::RuleSet;
use crate::domain::time::{Timestamp, human};
use crate::store::{Store, StoreError};

/// Learn from recorded posts what is usual for each rule; alerts nobody.
#[derive(Debug, Args)]
#[command(after_help = "\
Reads recordings of a whole stream through the rules, and writes into the daemon's database what
each rule with spike, quiet or new_term then takes for usual, so that it works from the daemon's
first minute; by key, too. Stop the daemon first, and run this as its user; it reads on where it stopped. What a rule knows already stays, unless the recordings
show it more time than it has seen (or with --replace).

The database itself can be one of the files, the last. It keeps the posts that rules took: right
for a rule whose posts were all taken before, by it or by others, and too few for a wider one.

Examples:
  stormbell volume learn october.jsonl.zst november.jsonl.zst
  stormbell volume learn october.jsonl.zst /var/lib/stormbell/stormbell.db
A series of counts in a file called learn is `stormbell volume ./learn`.")]
pub(super) struct Learn {
    /// Recordings in the order of their time and without holes, as `replay` reads them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Forget what rules know already
    #[arg(long)]
    replace: bool,
    /// How frames are written: auto, posts, or a wire such as jetstream
    #[arg(long, value_name = "FMT", default_value = "auto", value_parser = format)]
    format: FormatChoice,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    listening: ListeningArgs,
}

/// Less than this is no lesson: recordings in no order look like it.
const LEAST: Duration = Duration::from_hours(1);
/// Recordings that go back by more are not in order.
const OUT_OF_ORDER: Duration = Duration::from_hours(24);

impl Learn {
    pub(super) fn main(self) -> anyhow::Result<Exit> {
        let Some(Listening { rulebook, database, .. }) = self.listening.resolve() else { return Ok(Exit::Config) };
        if !rulebook.is_sound() {
            show(&rulebook.findings);
            say("the rules cannot be used; nothing was learnt");
            return Ok(Exit::Config);
        }
        let Some(database) = database else {
            say("error: no configuration says where the daemon keeps what it knows; give --config");
            return Ok(Exit::Usage);
        };
        let rules = Arc::new(rulebook.rules.some(learns));
        if rules.rules().is_empty() {
            say(
                "no rule has a spike, asks for new terms or waits for silence, so there is nothing to learn; RULES.md says how to write one",
            );
            return Ok(Exit::Failed);
        }
        let Some(mut store) = locked(&database)? else { return Ok(Exit::Temporary) };
        let mut heard = Heard::default();
        let recordings = Player::of(&self.files, self.format.0.clone());
        let [mut engine] = recordings.play([&rules], |span, [commit]| {
            heard.took(span, &commit);
            Ok(())
        })?;
        let Some((from, to)) = heard.span else {
            say(
                "error: no post is in the recordings; nothing was learnt. `stormbell replay` says what it could not read",
            );
            return Ok(Exit::Failed);
        };
        if is_yet_to_come(to) {
            say("nothing was learnt");
            return Ok(Exit::Failed);
        }
        if heard.out_of_order {
            say(
                "the recordings are not in the order of their time: what comes more than half a day late is not learnt",
            );
        }
        let before = store.volumes()?;
        let lessons: Vec<Lesson> =
            engine.learnt().into_iter().map(|learnt| self.lesson(learnt, &rules, &before, &heard)).collect();
        let mut commit = Commit::default();
        lessons
            .iter()
            .filter(|lesson| lesson.taken)
            .flat_map(|lesson| &lesson.learnt.states)
            .for_each(|state| commit.record_volume(state.clone()));
        store.commit(&[commit]).context("writing what was learnt")?;
        store.close().context("writing what was learnt")?;
        self.tell(&lessons, &heard, (from, to))?;
        Ok(Exit::Fine)
    }

    /// Decides whether a rule takes over what was learnt.
    fn lesson(&self, learnt: Learnt, rules: &RuleSet, before: &[VolumeState], heard: &Heard) -> Lesson {
        let known = rules.find(learnt.rule.as_str()).and_then(|(_, rule)| {
            before.iter().find(|state| state.rule == rule.id).and_then(|state| known(rule, state))
        });
        let enough = learnt.seen >= LEAST;
        let taken = enough && (self.replace || known.is_none_or(|known| known < learnt.seen));
        let posts = heard.posts.get(&learnt.rule).copied().unwrap_or(0);
        Lesson { learnt, known, posts, taken }
    }

    fn tell(&self, lessons: &[Lesson], heard: &Heard, (from, to): (Timestamp, Timestamp)) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if self.json {
            for Lesson { learnt, known, posts, taken } in lessons {
                let (rule, seen) = (learnt.rule.as_str(), learnt.seen.as_secs());
                let json = RuleJson {
                    rule,
                    posts: *posts,
                    seen_seconds: seen,
                    knew_seconds: known.map(|known| known.as_secs()),
                    learnt: *taken,
                };
                line(&mut out, &json)?;
            }
            let learnt = lessons.iter().filter(|lesson| lesson.taken).count();
            line(
                &mut out,
                &SummaryJson {
                    posts: heard.all,
                    from: from.to_string(),
                    to: to.to_string(),
                    rules: lessons.len(),
                    learnt,
                },
            )?;
            return Ok(());
        }
        let width = lessons.iter().map(|lesson| lesson.learnt.rule.as_str().len()).max().unwrap_or(0);
        for Lesson { learnt, known, posts, taken } in lessons {
            let (rule, posts, seen) = (&learnt.rule, counted(*posts, "post"), length(learnt.seen));
            let before = known.map(length);
            let what = match (taken, before) {
                (true, None) => format!("learnt {posts} over {seen}"),
                (true, Some(before)) => format!("learnt {posts} over {seen}, in place of {before} that it had seen"),
                (false, before) => format!(
                    "knows {} already and keeps that; the recordings have {posts} over {seen} (--replace takes them)",
                    before.unwrap_or_default()
                ),
            };
            writeln!(out, "{rule:width$}  {what}")?;
        }
        writeln!(out, "{} from {} to {}", counted(heard.all, "post"), from.whole_second(), to.whole_second())?;
        Ok(())
    }
}

/// The daemon's database, which no daemon uses meanwhile; none, and people have been told what
/// to do, when one does.
fn locked(path: &Path) -> anyhow::Result<Option<Store>> {
    match Store::open(path) {
        Ok(store) => Ok(Some(store)),
        Err(error @ StoreError::Locked { .. }) => {
            say(&format!("error: {error}"));
            say(
                "  a running daemon would write over what is learnt: stop it, learn, and start it again; it reads on where it stopped",
            );
            Ok(None)
        }
        Err(error) => Err(anyhow::Error::new(error).context(path.display().to_string())),
    }
}

/// What became of a rule.
struct Lesson {
    learnt: Learnt,
    /// How much time it had seen before.
    known: Option<Duration>,
    /// Posts of the recordings that it took.
    posts: u64,
    /// It is what the rule knows from now on.
    taken: bool,
}

/// What was in the recordings.
#[derive(Default)]
struct Heard {
    all: u64,
    posts: BTreeMap<RuleId, u64>,
    span: Span,
    out_of_order: bool,
}

impl Heard {
    fn took(&mut self, span: Span, commit: &Commit) {
        self.out_of_order |=
            self.span.zip(span).is_some_and(|((_, before), (_, newest))| newest + OUT_OF_ORDER < before);
        self.span = joined(self.span, span);
        self.all += commit.progress.values().map(|progress| progress.ledger.posts).sum::<u64>();
        // When a rule fires, the sightings of its whole window come again.
        let new: HashSet<_> = commit.posts.iter().map(|post| &post.id).collect();
        let sightings = commit.sightings.iter().filter(|sighting| new.contains(&sighting.seen.post));
        for (rule, _) in sightings.map(|sighting| (&sighting.rule, &sighting.seen.post)).collect::<HashSet<_>>() {
            *self.posts.entry(rule.clone()).or_default() += 1;
        }
    }
}

/// In whole minutes, as people say it.
fn length(span: Duration) -> String {
    human(Duration::from_mins(span.as_secs() / 60))
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "rule")]
struct RuleJson<'a> {
    rule: &'a str,
    posts: u64,
    seen_seconds: u64,
    /// None when the rule knew nothing.
    knew_seconds: Option<u64>,
    /// False when what it knew was more.
    learnt: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct SummaryJson {
    posts: u64,
    from: String,
    to: String,
    rules: usize,
    learnt: usize,
}
