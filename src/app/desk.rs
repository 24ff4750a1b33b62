//! The engine's task: one owner of the truth, one commit under way at a time.
//!
//! While a commit is on its way to the disk the engine goes on; what it does
//! meanwhile is the next commit. So a lone alert is written at once and a flood in
//! groups, and nobody is told before the disk has it (invariant 3).

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::clock::SteadyClock;
use super::pipeline::Arrived;
use super::probe::Probe;
use super::readiness::Pulse;
use super::service;
use super::sources::Lookups;
use super::status::{Status, Statuses};
use crate::domain::addressee::Addressee;
use crate::domain::commit::{Commit, Erasure, VolumeState};
use crate::domain::engine::{Command, Engine, Exercise, Input, Outcome, Refused, STORAGE};
use crate::domain::erasure::Account;
use crate::domain::id::{IncidentId, ReceiverName, SourceName};
use crate::domain::incident::{Incident, IncidentState, Severity, TimelineEntry};
use crate::domain::key::Key;
use crate::domain::lane::Sight;
use crate::domain::message::{Delivery, Undelivered};
use crate::domain::oncall::People;
use crate::domain::post::Post;
use crate::domain::route::Routes;
use crate::domain::rule::RuleSet;
use crate::domain::silence::{self, Silence};
use crate::domain::time::{Clock, Timestamp};
use crate::source::position::Position;
use crate::store::{StoreError, StoreHandle, Trouble};
use crate::telemetry::events;
use crate::telemetry::metrics::Metrics;
use crate::web::Live;

/// Steps whose effects may wait behind a commit under way; then the stream waits.
const MAX_PENDING: usize = 32;
/// The same while the disk cannot be written: what is new is still looked at, and its name told. Bounded by its memory.
const MAX_UNWRITTEN: usize = 20_000;
/// A disk that cannot be written for so long is told.
const TROUBLE_WORTH_TELLING: Duration = Duration::from_secs(3);
/// What else waits to be written is told at most this often, unless it is critical.
const TROUBLE_TOLD_AGAIN: Duration = Duration::from_mins(5);
/// Progress without effects is written at most this often.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// A store at one piece of work for so long makes the daemon not ready …
pub(super) const STUCK_UNREADY: Duration = Duration::from_secs(10);
/// … and for so long ends it, so that the service manager starts it afresh.
const STUCK_FATAL: Duration = Duration::from_mins(1);

/// What others may ask of the engine.
pub(super) enum Request {
    /// A person's order, and where the answer goes once it is on disk.
    Command(Command, oneshot::Sender<Result<Incident, Refused>>),
    /// What a person did at a receiver, as an order; when, by its clock; and where the answer goes once it is on disk.
    Answered(Command, Option<Addressee>, Timestamp, oneshot::Sender<Result<Incident, Refused>>),
    /// A person's order about silences, and where the answer goes once it is on disk.
    Silence(silence::Order, oneshot::Sender<Result<Silence, silence::Refused>>),
    /// What is to be erased, of an author with what is said of the account; told when memory has forgotten it and all
    /// that was decided before is on disk.
    Erase(Erasure, Option<Account>, oneshot::Sender<()>),
    /// Posts and authors of whom nothing is kept any more.
    Forgotten(Vec<Key>),
    /// A delivery that will never arrive.
    Undelivered(Undelivered),
    /// A delivery that should have arrived.
    Overdue(Undelivered),
    /// Posts of an exercise, and where its incidents go once they are on disk.
    Drill(Vec<Post>, oneshot::Sender<Result<Vec<Incident>, NoDrill>>),
    /// New rules and routes.
    Swap {
        /// The rules.
        rules: Arc<RuleSet>,
        /// The routes.
        routes: Routes,
        /// Every configured receiver.
        receivers: Vec<ReceiverName>,
        /// What those that are new have learnt from the archive.
        lessons: Vec<VolumeState>,
        /// Told once they are in force.
        done: oneshot::Sender<()>,
    },
}

/// Why there is no exercise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoDrill {
    /// One at a time.
    #[error("an exercise is under way; `stormbell incidents` shows it, and resolving it ends it")]
    UnderWay,
    /// A drill of nothing.
    #[error(
        "no rule in force takes this scenario, so nobody would be told of the real thing either; name `builtin:hospital` in `rules`, or write a rule"
    )]
    NoRule,
}

/// Everything the engine's task works with.
pub(super) struct Desk {
    /// The engine, restored.
    pub engine: Engine,
    /// What restoring it, and an exercise, brought about.
    pub first: Vec<Outcome>,
    /// Where commits go.
    pub store: StoreHandle,
    /// Bells of the dispatchers.
    pub bells: Vec<Arc<Notify>>,
    /// Where to ask who an author is.
    pub lookups: Lookups,
    /// How far each source was processed.
    pub positions: BTreeMap<SourceName, Position>,
    /// Where the workers find the rules in force.
    pub rules: watch::Sender<Arc<RuleSet>>,
    /// Where the API finds the people and schedules in force.
    pub people: watch::Sender<Arc<People>>,
    /// The present.
    pub clock: Arc<SteadyClock>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What the API shows of the sources.
    pub statuses: Statuses,
    /// Beats while the engine moves.
    pub pulse: Pulse,
    /// What was told of a disk that cannot be written.
    pub trouble: Option<Told>,
    /// The post that shows that all of it moves.
    pub probe: Probe,
    /// The drill under way.
    pub exercise: Option<Exercise>,
    /// Where whoever looks on is told what happens.
    pub live: broadcast::Sender<Live>,
}

/// What was told of a disk that cannot be written.
#[derive(Debug)]
pub(super) struct Told {
    at: Timestamp,
    waiting: Vec<(Severity, String)>,
}

/// Tells somebody that their order was followed, or why not.
type Answer = Box<dyn FnOnce() + Send>;
type Writing = Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send>>;

/// Effects that are not on disk yet.
#[derive(Default)]
struct Pending {
    commit: Commit,
    answers: Vec<Answer>,
    /// Steps that had an effect; progress alone needs no more memory the longer it waits.
    steps: usize,
}

impl Pending {
    /// Whether another step may be taken before the disk has these.
    fn has_room(&self, in_trouble: bool) -> bool {
        let commit = &self.commit;
        let rows = commit.posts.len() + commit.sightings.len() + commit.timeline.len() + commit.outbox.len();
        self.steps < MAX_PENDING || in_trouble && rows < MAX_UNWRITTEN
    }
}

impl Desk {
    /// Works until the stream of frames ends and everything is on disk.
    ///
    /// # Errors
    /// When the store fails, or is stuck for a minute.
    pub(super) async fn run(
        mut self,
        arrived: impl Stream<Item = Arrived>,
        mut requests: mpsc::Receiver<Request>,
    ) -> anyhow::Result<()> {
        let mut arrived = std::pin::pin!(arrived);
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut pending = Pending::default();
        if self.engine.incidents().any(|incident| incident.topic.as_str() == STORAGE) {
            // The last run died before it could say that the disk is well; this one looks again.
            self.trouble = Some(Told { at: self.clock.now(), waiting: Vec::new() });
        }
        for first in std::mem::take(&mut self.first) {
            self.took(first, &mut pending);
        }
        let mut writing: Option<(Writing, Pending)> = None;
        let mut written = Instant::now();
        let mut open = true;
        while open || writing.is_some() || !pending.commit.is_empty() {
            let waited_for = pending.commit.is_urgent() || !pending.answers.is_empty();
            let due = waited_for || written.elapsed() >= PROGRESS_EVERY || !open;
            if writing.is_none() && due && !(pending.commit.is_empty() && pending.answers.is_empty()) {
                let pending = std::mem::take(&mut pending);
                let store = self.store.clone();
                let commit = pending.commit.clone();
                writing = Some((Box::pin(async move { store.commit(commit).await }), pending));
                written = Instant::now();
            }
            tokio::select! {
                biased;
                result = done(&mut writing) => {
                    result?;
                    if let Some((_, pending)) = writing.take() {
                        self.committed(pending);
                    }
                }
                // Before the stream, which may never pause: without it the watchdog bites.
                _ = tick.tick() => {
                    self.tick(&mut pending)?;
                    self.watch_disk(writing.as_ref().map(|(_, writing)| writing), &mut pending);
                }
                Some(request) = requests.recv(), if open => self.request(request, &mut pending),
                next = arrived.next(), if open && (writing.is_none() || pending.has_room(self.trouble.is_some())) => match next {
                    Some(arrived) => self.arrived(arrived, &mut pending),
                    None => open = false,
                },
            }
        }
        Ok(())
    }

    fn arrived(&mut self, arrived: Arrived, pending: &mut Pending) {
        let Arrived { input, at, host } = arrived;
        let now = at.unwrap_or_else(|| self.clock.now());
        match &input {
            Input::Batch(batch) if let Some(written) = Probe::takes(batch) => {
                let (probe, sent) = (self.probe.clone(), written.at);
                pending.commit.record_volume(written);
                pending.answers.push(Box::new(move || probe.came(sent)));
                return;
            }
            Input::Batch(batch) => {
                if let Some(paid) = batch.reach.paid {
                    self.metrics.source_paid(&batch.source, paid);
                }
            }
            Input::Connected { source, .. } => {
                self.statuses.set(source, |status| *status = Status { host, ..status.clone() });
            }
            Input::Down { source, reason } => {
                self.metrics.source_up(source, false);
                self.statuses.set(source, |status| status.down = Some((*reason, now)));
                drop(self.live.send(Live::Source(source.clone())));
            }
            _ => {}
        }
        let outcome = self.engine.step(input, now);
        self.took(outcome, pending);
    }

    fn request(&mut self, request: Request, pending: &mut Pending) {
        let now = self.clock.now();
        match request {
            Request::Command(command, asker) => {
                let mut outcome = self.step_of(&command.incident.clone(), Input::Command(command), now);
                pending.answers.extend(outcome.reply.take().map(|reply| answer(asker, reply)));
                self.took(outcome, pending);
            }
            Request::Answered(command, knows, at, asker) => {
                let incident = command.incident.clone();
                let mut outcome = self.step_of(&incident, Input::Answered { command, knows, at }, now);
                pending.answers.extend(outcome.reply.take().map(|reply| answer(asker, reply)));
                self.took(outcome, pending);
            }
            Request::Silence(order, asker) => {
                let mut outcome = self.engine.step(Input::Silence(order), now);
                pending.answers.extend(outcome.silence.take().map(|reply| answer(asker, reply)));
                self.took(outcome, pending);
            }
            Request::Erase(what, account, asker) => {
                let outcome = self.engine.step(Input::Erase(what, account), now);
                pending.answers.push(answer(asker, ()));
                self.took(outcome, pending);
            }
            Request::Forgotten(gone) => {
                let outcome = self.engine.step(Input::Forgotten(gone), now);
                self.took(outcome, pending);
            }
            Request::Undelivered(undelivered) => {
                let outcome = self.step_of(&undelivered.incident.clone(), Input::Undelivered(undelivered), now);
                self.took(outcome, pending);
            }
            Request::Overdue(overdue) => {
                let outcome = self.step_of(&overdue.incident.clone(), Input::Overdue(overdue), now);
                self.took(outcome, pending);
            }
            Request::Drill(posts, asker) => {
                let begun = self.drill(posts, now, pending);
                pending.answers.push(answer(asker, begun));
            }
            Request::Swap { rules, routes, receivers, lessons, done } => {
                self.rules.send_replace(Arc::clone(&rules));
                self.people.send_replace(Arc::clone(&routes.people));
                self.metrics.rules(rules.rules().len());
                if let Some(exercise) = &mut self.exercise {
                    let (rules, routes, receivers) = (Arc::clone(&rules), routes.clone(), receivers.clone());
                    let swap = Input::Swap { rules, routes, receivers, lessons: Vec::new() };
                    let outcome = exercise.step(swap, now);
                    self.took(outcome, pending);
                }
                let outcome = self.engine.step(Input::Swap { rules, routes, receivers, lessons }, now);
                self.took(outcome, pending);
                done.send(()).unwrap_or_default();
            }
        }
    }

    /// A step about an incident, by the engine that has it.
    fn step_of(&mut self, incident: &IncidentId, input: Input, now: Timestamp) -> Outcome {
        match self.exercise.as_mut().filter(|exercise| exercise.knows(incident)) {
            Some(exercise) => exercise.step(input, now),
            None => self.engine.step(input, now),
        }
    }

    fn tick(&mut self, pending: &mut Pending) -> anyhow::Result<()> {
        let stuck = self.store.stuck_since().map_or(Duration::ZERO, |since| self.clock.now().since(since));
        anyhow::ensure!(
            stuck < STUCK_FATAL,
            "the store has been at one piece of work for {} s; the disk does not answer",
            stuck.as_secs()
        );
        if let Some(set) = self.clock.follow() {
            events::clock_set(&set);
            if let Some(exercise) = &mut self.exercise {
                let outcome = exercise.step(Input::ClockSet(set), set.at);
                self.took(outcome, pending);
            }
            let outcome = self.engine.step(Input::ClockSet(set), set.at);
            self.took(outcome, pending);
        }
        let now = self.clock.now();
        for (source, status) in self.statuses.all() {
            self.metrics.source_unwatched(&source, status.unwatched.list().len());
        }
        let outcome = self.engine.step(Input::Tick, now);
        self.took(outcome, pending);
        if let Some(exercise) = &mut self.exercise {
            let outcome = exercise.step(Input::Tick, now);
            self.took(outcome, pending);
        }
        self.exercise.take_if(|exercise| exercise.is_over());
        if stuck < STUCK_UNREADY {
            service::alive();
            self.pulse.beat(now);
        }
        service::status(&self.statuses.line(self.engine.open_incidents()));
        Ok(())
    }

    /// Begins an exercise, unless one is under way.
    fn drill(&mut self, posts: Vec<Post>, now: Timestamp, pending: &mut Pending) -> Result<Vec<Incident>, NoDrill> {
        if self.exercise.as_ref().is_some_and(|exercise| !exercise.is_over()) {
            return Err(NoDrill::UnderWay);
        }
        let (exercise, outcome) = Exercise::begin(posts, &self.engine, now);
        let incidents = outcome.commit.incidents.clone();
        if incidents.is_empty() {
            return Err(NoDrill::NoRule);
        }
        self.exercise = Some(exercise);
        self.took(outcome, pending);
        Ok(incidents)
    }

    /// Tells people that nothing can be written, what waits for it by name, and the end of that.
    fn watch_disk(&mut self, under_way: Option<&Pending>, pending: &mut Pending) {
        let now = self.clock.now();
        let trouble = self.store.trouble().filter(|trouble| now.since(trouble.since) >= TROUBLE_WORTH_TELLING);
        let Some(trouble) = trouble else {
            if self.trouble.take().is_some() {
                let outcome = self.engine.step(Input::Storage(None), now);
                self.took(outcome, pending);
            }
            return;
        };
        let mut waiting: Vec<(Severity, String)> =
            under_way.into_iter().chain([&*pending]).flat_map(unwritten).collect();
        waiting.sort_by(|(a, _), (b, _)| b.cmp(a));
        waiting.dedup();
        let is_news = self.trouble.as_ref().is_none_or(|told| {
            let mut fresh = waiting.iter().filter(|one| !told.waiting.contains(one)).peekable();
            let grave = fresh.any(|(severity, _)| *severity == Severity::Critical);
            grave || fresh.peek().is_some() && now.since(told.at) >= TROUBLE_TOLD_AGAIN
        });
        if is_news {
            let why = in_words(&trouble, &waiting);
            self.trouble = Some(Told { at: now, waiting });
            let outcome = self.engine.step(Input::Storage(Some(why)), now);
            self.took(outcome, pending);
        }
    }

    /// Takes over what a step did; nothing of it is known outside yet.
    fn took(&mut self, outcome: Outcome, pending: &mut Pending) {
        let Outcome { commit, .. } = outcome;
        for (source, progress) in &commit.progress {
            if let (Some(position), Some(bookmark)) = (self.positions.get(source), &progress.bookmark) {
                position.mark(bookmark.clone());
            }
            let Some(cursor) = progress.cursor else { continue };
            if let Some(position) = self.positions.get(source) {
                position.advance(cursor);
            }
            if self.engine.is_away(source) {
                continue; // what came was sent to us, there is no connection
            }
            // In the order of the steps, not of the commits: a connection that is lost while
            // its last frames are on their way to the disk stays lost.
            self.metrics.source_up(source, true);
            let mut seen_again = false;
            self.statuses.set(source, |status| seen_again = status.down.take().is_some());
            if seen_again {
                drop(self.live.send(Live::Source(source.clone())));
            }
        }
        if self.trouble.is_some() {
            let about_the_disk = |delivery: &&Delivery| delivery.message.incident.topic.as_str() == STORAGE;
            let urgent: Vec<Delivery> = commit.outbox.iter().filter(about_the_disk).cloned().collect();
            if !urgent.is_empty() {
                self.store.set_aside(urgent);
                self.bells.iter().for_each(|bell| bell.notify_one());
            }
        }
        pending.steps += usize::from(commit.is_urgent());
        pending.commit.append(commit);
    }

    /// The disk has it: now it may be told.
    fn committed(&mut self, pending: Pending) {
        let Pending { commit, answers, .. } = pending;
        for (source, progress) in &commit.progress {
            self.metrics.ledger(source, &progress.ledger);
            if let (Some(position), Some(bookmark)) = (self.positions.get(source), &progress.bookmark) {
                position.keep(bookmark.clone());
            }
            if let Some(cursor) = progress.cursor {
                let newest = Timestamp::from_micros(cursor.0);
                self.metrics.source_seen(source, newest);
                self.statuses.set(source, |status| status.newest = status.newest.max(Some(newest)));
            }
        }
        self.lookups.about(&commit.posts);
        for gap in &commit.gaps {
            if let Some(to) = gap.to {
                // A reconnection of a moment is not worth a line beside the connection's own.
                if !gap.recovered || to.since(gap.from) > Duration::from_secs(10) {
                    events::source_gap(gap);
                }
                if !gap.recovered {
                    self.metrics.gap(&gap.source, to.since(gap.from));
                }
            }
        }
        // Perhaps nobody looks on.
        commit.incidents.iter().for_each(|one| drop(self.live.send(Live::Incident(Arc::new(one.clone())))));
        commit.alerts.iter().for_each(|alert| self.metrics.alert(&alert.rule, &alert.topic));
        let rules = Arc::clone(&self.rules.borrow());
        for (rule, sightings) in &commit.crowded_out {
            let topic = rules.find(rule.as_str()).map(|(_, rule)| &rule.topic);
            self.metrics.crowded_out(rule, topic, *sightings);
        }
        for entry in &commit.timeline {
            let incident = commit.incidents.iter().rev().find(|incident| incident.id == entry.incident);
            match (entry.what, incident) {
                ("opened", Some(incident)) => events::incident_opened(incident),
                ("reopened", Some(incident)) => events::incident_reopened(incident),
                ("updated", Some(incident)) if incident.state != IncidentState::Resolved => {
                    events::incident_updated(incident);
                }
                ("acknowledged", _) => events::incident_acknowledged(&entry.incident, &entry.by),
                ("muted", Some(incident)) => events::incident_muted(incident),
                ("unmuted", _) => events::incident_unmuted(&entry.incident),
                ("resolved", _) => events::incident_resolved(&entry.incident, &entry.by),
                _ => {}
            }
        }
        if !commit.outbox.is_empty() {
            self.bells.iter().for_each(|bell| bell.notify_one());
        }
        for answer in answers {
            answer();
        }
    }
}

/// Incidents that began with effects which are not on disk.
fn unwritten(pending: &Pending) -> Vec<(Severity, String)> {
    let began = |incident: &&Incident| {
        let is_beginning = |entry: &TimelineEntry| matches!(entry.what, "opened" | "reopened");
        let opened = |entry: &TimelineEntry| is_beginning(entry) && entry.incident == incident.id;
        !incident.is_own() && pending.commit.timeline.iter().any(opened)
    };
    pending
        .commit
        .incidents
        .iter()
        .filter(began)
        .map(|one| (one.severity, one.clone().seen_with(Sight::Veiled).title))
        .collect()
}

/// What happened, what it means, what to do.
fn in_words(trouble: &Trouble, waiting: &[(Severity, String)]) -> String {
    let since = trouble.since.whole_second();
    let mut text = format!("{} (since {since}); people are told of nothing new until it can", trouble.error);
    for (severity, title) in waiting.iter().take(5) {
        text = format!("{text}; waits: {} {title}", severity.as_str().to_uppercase());
    }
    if waiting.len() > 5 {
        text = format!("{text}; and {} more", waiting.len() - 5);
    }
    text
}

/// The asker may have gone away; the order was followed all the same.
fn answer<T: Send + 'static>(asker: oneshot::Sender<T>, reply: T) -> Answer {
    Box::new(|| drop(asker.send(reply)))
}

async fn done(writing: &mut Option<(Writing, Pending)>) -> Result<(), StoreError> {
    match writing {
        Some((writing, _)) => writing.await,
        None => std::future::pending().await,
    }
}
