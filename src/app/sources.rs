//! The sources' tasks, where their frames arrive, and whom to ask about authors.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{mpsc, watch};

use super::daemon::Positions;
use super::probe::Probe;
use super::status::Statuses;
use super::tasks::{Stage, completes, until};
use crate::config::model::{Config, HeartbeatConfig, SourceKind};
use crate::domain::abroad::Abroad;
use crate::domain::id::{AuthorId, SourceName};
use crate::domain::key::Key;
use crate::domain::post::Post;
use crate::domain::rule::RuleSet;
use crate::domain::time::Clock;
use crate::source::line::Line;
use crate::source::profiles::look_up;
use crate::source::throttle::Throttle;
use crate::source::timing::Timing;
use crate::source::{self, Format, Incoming};
use crate::web::{Inlets, token};

/// How long they may take to stop.
const STOP: Duration = Duration::from_secs(3);
/// Batches of frames that wait for a worker.
const INCOMING: usize = 16;
/// Authors that wait to be asked about; of more nobody asks.
const AUTHORS: usize = 1024;

/// All sources at work.
pub(super) struct Sources {
    pub(super) stage: Stage,
    pub(super) frames: mpsc::Receiver<Incoming>,
    pub(super) formats: Formats,
    pub(super) lookups: Lookups,
}

/// How the frames of each source are read.
#[derive(Clone)]
pub(super) struct Formats(Arc<BTreeMap<SourceName, Format>>);

impl Formats {
    /// The probe, which no configuration names, speaks Jetstream's form.
    pub(super) fn of(&self, source: &SourceName) -> Format {
        self.0.get(source).cloned().unwrap_or(Format::Jetstream)
    }
}

/// Where to ask who an author is.
#[derive(Default)]
pub(super) struct Lookups(BTreeMap<SourceName, mpsc::Sender<AuthorId>>);

impl Lookups {
    /// Asks about the authors of posts that came without. Nothing waits for it.
    pub(super) fn about(&self, posts: &[Post]) {
        for post in posts.iter().filter(|post| post.author.followers.is_none()) {
            if let Some(lookup) = self.0.get(&post.source) {
                // Full: a flood, in which whoever is missed is asked about with the next post.
                lookup.try_send(post.author.id.clone()).unwrap_or_default();
            }
        }
    }
}

/// Tells a source that sends only what it is asked for what new rules ask.
async fn tell_rules(
    source: SourceName,
    mut rules: watch::Receiver<Arc<RuleSet>>,
    asks: watch::Sender<Arc<Abroad>>,
) -> anyhow::Result<()> {
    while rules.changed().await.is_ok() {
        let set = Arc::clone(&rules.borrow_and_update());
        let abroad = Abroad::of(&set, &source);
        asks.send_if_modified(|asked| {
            let differs = **asked != abroad;
            *asked = Arc::new(abroad);
            differs
        });
    }
    std::future::pending().await // the engine is stopping, and so will this
}

/// By which our rules on X's server are told from those of other installations. Made once, and kept beside the
/// database: with another file there, the rules of before stay at X until somebody deletes them there.
const INSTALLATION: &str = "installation";

/// What sources have to do with the rest of the program.
pub(super) struct Around<'a> {
    /// By which ways they are called.
    pub(super) inlets: &'a Inlets,
    /// What is in force.
    pub(super) rules: &'a watch::Receiver<Arc<RuleSet>>,
    /// Where people see what they do.
    pub(super) statuses: &'a Statuses,
}

/// The name of this installation, for servers that it shares with others. It has nothing of the secret it is made of.
fn installation(config: &Config) -> anyhow::Result<String> {
    if !config.sources.iter().any(|source| matches!(source.kind, SourceKind::X(_))) {
        return Ok(String::new());
    }
    let path = config.store.path.with_file_name(INSTALLATION);
    let kept = token(&path).with_context(|| format!("the name of this installation in {}", path.display()))?;
    Ok(format!("{:016x}", Key::of(kept.expose()).bits()))
}

/// One task for each source.
///
/// # Errors
/// The disk does not keep this installation's name.
pub(super) fn start(
    config: &Config,
    timing: &Timing,
    positions: &Positions,
    clock: &Arc<dyn Clock>,
    probe: &Probe,
    around: &Around<'_>,
) -> anyhow::Result<Sources> {
    let Around { inlets, rules, statuses } = around;
    let installation = installation(config)?;
    let mut stage = Stage::new("sources", STOP);
    let (out, frames) = mpsc::channel(INCOMING);
    let mut lookups = Lookups::default();
    for source in &config.sources {
        let position = positions.get(&source.name).cloned().unwrap_or_default();
        let stop = stage.stop.clone();
        let line = || {
            let (name, out, clock) = (source.name.clone(), out.clone(), Arc::clone(clock));
            let mut line = Line::new(name, timing.clone(), position.clone(), out, clock, stop.clone());
            line.inlets = Inlets::clone(inlets);
            line.installation.clone_from(&installation);
            line.throttle = source.max_frames_per_second.map(Throttle::new);
            line
        };
        if let Some((service, transport)) = source.kind.profiles() {
            let (ask, wanted) = mpsc::channel(AUTHORS);
            lookups.0.insert(source.name.clone(), ask);
            let task = look_up(service, transport, wanted, line());
            stage.tasks.spawn(format!("authors of {}", source.name), until(stage.stop.clone(), completes(task)));
        }
        let mut line = line();
        statuses.set(&source.name, |status| status.unwatched = line.unwatched.clone());
        if matches!(source.kind, SourceKind::X(_)) {
            let (asks, asked) = watch::channel(Arc::new(Abroad::of(&rules.borrow(), &source.name)));
            line = line.asking(asked);
            let telling = tell_rules(source.name.clone(), watch::Receiver::clone(rules), asks);
            stage.tasks.spawn(format!("rules for {}", source.name), until(stage.stop.clone(), telling));
        }
        stage.tasks.spawn(format!("source {}", source.name), completes(source::read(source.kind.clone(), line)));
    }
    let every = config.heartbeat.as_ref().map_or(HeartbeatConfig::USUAL, |heartbeat| heartbeat.every);
    let probing = probe.clone().run(every.min(HeartbeatConfig::USUAL), out, Arc::clone(clock));
    stage.tasks.spawn("probe", until(stage.stop.clone(), completes(probing)));
    let formats = config.sources.iter().map(|source| (source.name.clone(), Format::of(&source.kind)));
    Ok(Sources { stage, frames, formats: Formats(Arc::new(formats.collect())), lookups })
}
