//! The engine: what the program does with what it sees, as a pure function.
//!
//! [`Engine::step`] takes one input and the present, and returns what is to be
//! written to disk; nobody is told anything before that is done (invariant 3).
//! `run`, `demo`, `replay` and rule tests are this one code path, so the same input
//! gives the same output everywhere (invariant 4).
//!
//! Time: conditions count in event time. Wall time is only used to page people, and
//! a batch without stamps of receipt (a recording) brings its own: its event time.

mod alerts;
pub mod archived;
mod authors;
mod batch;
mod by_rule;
mod capped;
mod clock;
mod copies;
mod evidence;
mod exercise;
mod exposure;
mod flow;
mod follows;
mod held;
mod incidents;
mod joins;
mod keyed;
mod lately;
pub mod learning;
mod memories;
mod minutes;
mod muted;
mod off_times;
mod posts;
mod quiets;
mod recent;
mod sighted;
mod sightings;
mod silence;
mod sources;
mod spikes;
mod storage;
mod telling;
pub mod tuning;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU64;
use std::sync::Arc;

use super::addressee::Addressee;
use super::cap::Quota;
use super::commit::{Commit, Erasure, Restored, VolumeState};
use super::condition::{Condition, Vocabulary, Whole, Window};
use super::erasure::Account;
use super::event::{DownReason, Joint};
use super::id::{AuthorId, IncidentId, PersonName, ReceiverName, SilenceId, SourceName, Topic};
use super::incident::{Incident, Sighting};
use super::key::Key;
use super::matcher::Scratch;
use super::message::Undelivered;
use super::post::Author;
use super::route::Routes;
use super::rule::{Rule, RuleSet};
use super::silence::{Order, Refused as NotSilenced, Silence, SilenceState};
use super::story::Stories;
use super::time::{ClockSet, Timestamp};
use archived::Archived;
pub use batch::{Batch, Frames, Item, Items};
use by_rule::ByRule;
use copies::Copies;
use evidence::Evidence;
pub use exercise::Exercise;
use follows::Follows;
use held::Holds;
use incidents::Live;
use joins::Joins;
use keyed::Keyed;
use memories::Memories;
use quiets::Quiets;
use recent::{Latest, Recent};
use sighted::Sighted;
use sightings::Sightings;
use sources::SourceState;
use spikes::Spikes;
pub use storage::STORAGE;

/// Everything the engine knows. One task owns it.
pub struct Engine {
    rules: Arc<RuleSet>,
    routes: Routes,
    receivers: Vec<ReceiverName>,
    windows: ByRule<Window>,
    keyed: Keyed,
    spikes: Spikes,
    shares: Memories<Whole>,
    vocabularies: Memories<Vocabulary>,
    follows: Follows,
    quiets: Quiets,
    holds: Holds,
    joins: Joins,
    archived: Archived,
    /// (rule, post): a post counts for a rule once, however often it is read or edited.
    sighted: Sighted,
    /// Versions of posts that were read before.
    seen: Recent,
    /// Posts taken back; a create that comes late does not bring them to life.
    deleted: Recent,
    stories: Stories,
    /// One in so many posts is kept though no rule takes it.
    sample: Option<NonZeroU64>,
    /// Posts and authors of which the store holds text; of the sample only what was kept before
    /// this start, for the rest is known by its name.
    evidence: Evidence,
    /// Handles that identity events told.
    handles: Latest<AuthorId, Box<str>>,
    copies: Copies,
    live: BTreeMap<IncidentId, Live>,
    by_topic: HashMap<Topic, IncidentId>,
    /// Of topics of which only some belongs to an incident of another: those incidents.
    joined: HashMap<Topic, BTreeSet<IncidentId>>,
    /// Incidents that ended lately, of each topic the last.
    ended: BTreeMap<IncidentId, Live>,
    /// Silences in force or to come.
    silences: BTreeMap<SilenceId, Silence>,
    /// What receivers got that take only so much.
    quotas: BTreeMap<ReceiverName, Quota>,
    /// Incidents that grew since people were last told of them.
    changed: BTreeSet<IncidentId>,
    /// Incidents that this step changed, to be written at its end.
    unwritten: BTreeSet<IncidentId>,
    sources: BTreeMap<SourceName, SourceState>,
    /// The newest event time; the present of recordings.
    event_clock: Timestamp,
    /// When quiet incidents and due escalations were last looked at.
    advanced: Timestamp,
    /// When the clock was set last: what happened before is of an age that nobody knows.
    clock_set_at: Timestamp,
    scratch: Scratch,
}

/// What can happen.
#[derive(Debug)]
pub enum Input {
    /// A connection stands.
    Connected {
        /// The source.
        source: SourceName,
        /// How it goes on from what was read before.
        joint: Joint,
    },
    /// A connection is gone.
    Down {
        /// The source.
        source: SourceName,
        /// Why.
        reason: DownReason,
    },
    /// What happened in between will not be read any more, though a connection went on behind what was read.
    Missed {
        /// The source.
        source: SourceName,
        /// Up to then all was read.
        from: Timestamp,
        /// From then on, too.
        to: Timestamp,
    },
    /// Frames, decoded and matched.
    Batch(Batch),
    /// It is known now who an author is.
    Author(Author),
    /// A person's order.
    Command(Command),
    /// What a person did at a receiver that knows of an incident itself; it came back by that receiver.
    Answered {
        /// What, as an order here.
        command: Command,
        /// Who needs not be told who has it: whoever it came from.
        knows: Option<Addressee>,
        /// When, by the receiver's clock.
        at: Timestamp,
    },
    /// A person's order about silences.
    Silence(Order),
    /// A person has something erased; of an author with what is said of the account.
    Erase(Erasure, Option<Account>),
    /// The disk keeps nothing of these posts and authors any more.
    Forgotten(Vec<Key>),
    /// A delivery that will never arrive.
    Undelivered(Undelivered),
    /// A delivery about something critical that should have arrived; it is still tried.
    Overdue(Undelivered),
    /// New rules, routes and receivers, all at once (invariant 7).
    Swap {
        /// The rules.
        rules: Arc<RuleSet>,
        /// The routes.
        routes: Routes,
        /// Every configured receiver.
        receivers: Vec<ReceiverName>,
        /// What rules that are new have learnt from the archive.
        lessons: Vec<VolumeState>,
    },
    /// What is decided cannot be written, and why; none: it can again. It is told before it is committed, the only
    /// thing that ever is.
    Storage(Option<String>),
    /// The clock on the wall was set; `now` is what it shows since.
    ClockSet(ClockSet),
    /// Time passed.
    Tick,
}

/// A person's order about an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Which incident.
    pub incident: IncidentId,
    /// Who says so.
    pub by: String,
    /// What to do.
    pub action: Action,
    /// Why; may be empty.
    pub reason: String,
}

/// What a person can do with an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Take charge: escalation stops.
    Acknowledge,
    /// The same of what a message of this revision said: not if it has become graver or begun again since, or is
    /// somebody else's.
    AcknowledgeSeen(u32),
    /// End it.
    Resolve,
    /// Write something into its history.
    Note(String),
    /// End it as part of another, which goes on with all that it has.
    Merge(IncidentId),
    /// Give it to somebody else, who is told.
    HandOver(PersonName),
    /// Tell the next step of its routes now; nothing, if by now more steps were told than these.
    Escalate(Option<usize>),
}

/// Why an order could not be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It never existed, or it is over.
    #[error("no open incident has this id")]
    NoSuchIncident,
    /// It is not what that person saw.
    #[error("it has become graver, or begun again, since you saw it")]
    Outdated,
    /// Somebody else was faster.
    #[error("somebody else has it")]
    Taken,
    /// Into the very same.
    #[error("an incident cannot be merged into itself")]
    Itself,
    /// It lasts until what it is about is mended, and only then.
    #[error("what Stormbell says of itself is not merged; it ends when its cause does")]
    Own,
    /// There is nothing to hand over.
    #[error("nobody has it yet, so nobody can hand it over; take charge first")]
    NotTaken,
    /// They would not hear of it.
    #[error(
        "no person of that name has a contact in the configuration, so nobody would be told; `stormbell oncall` names those who are on call"
    )]
    NotReached,
    /// They would hear of it in the morning.
    #[error("they want quiet at this hour and would not be told; call them, or hand it to somebody else")]
    Asleep,
    /// Steps are told of it when people are.
    #[error("it is muted, so nobody is told of it; end what mutes it, then its routes go on")]
    Muted,
    /// No route takes it, or it is a mute time of those that do.
    #[error("no route of it tells anybody now, so there is no next step; call somebody")]
    NoStep,
}

/// What a step did.
#[derive(Debug, Default)]
pub struct Outcome {
    /// To be written before anybody is told.
    pub commit: Commit,
    /// The answer to a command.
    pub reply: Option<Result<Incident, Refused>>,
    /// The answer to an order about silences.
    pub silence: Option<Result<Silence, NotSilenced>>,
}

impl Engine {
    /// An engine without a past.
    pub fn new(rules: Arc<RuleSet>, routes: Routes, receivers: Vec<ReceiverName>) -> Self {
        Self {
            joins: Joins::of(&rules),
            rules,
            routes,
            receivers,
            windows: ByRule::default(),
            keyed: Keyed::default(),
            spikes: Spikes::new(),
            shares: Memories::default(),
            vocabularies: Memories::default(),
            follows: Follows::new(),
            quiets: Quiets::default(),
            archived: Archived::default(),
            holds: Holds::default(),
            sighted: Sighted::new(1 << 18),
            seen: Recent::new(1 << 17),
            deleted: Recent::new(1 << 16),
            stories: Stories::default(),
            sample: None,
            evidence: Evidence::default(),
            handles: Latest::new(1 << 14),
            copies: Copies::new(),
            live: BTreeMap::new(),
            by_topic: HashMap::new(),
            joined: HashMap::new(),
            ended: BTreeMap::new(),
            silences: BTreeMap::new(),
            quotas: BTreeMap::new(),
            changed: BTreeSet::new(),
            unwritten: BTreeSet::new(),
            sources: BTreeMap::new(),
            event_clock: Timestamp::default(),
            advanced: Timestamp::default(),
            clock_set_at: Timestamp::default(),
            scratch: Scratch::default(),
        }
    }

    /// Has one in so many posts kept, if any, though no rule takes it. Which ones, their names say: the
    /// same ones when the stream is read again.
    pub fn keep_sample(&mut self, one_in: Option<NonZeroU64>) {
        self.sample = one_in;
    }

    /// Nothing of what is committed is kept, as of a recording: an engine that reads for ever then needs
    /// no more memory than one that reads for an hour. What authors take back is followed all the same,
    /// as far back as copies of it would be known.
    pub fn without_store(&mut self) {
        self.evidence = Evidence::at_most(1 << 17);
    }

    /// Goes on where the last commit left off: windows are rebuilt from the sightings,
    /// the time since the cursors is a gap until it has been read again. `restored` speaks
    /// of sources that are still read: the others would never see again.
    pub fn restore(&mut self, restored: Restored, now: Timestamp) -> Outcome {
        let mut commit = Commit::default();
        for incident in restored.incidents {
            self.claim(&incident);
            self.live.insert(incident.id.clone(), Live::new(incident));
        }
        self.restore_ended(restored.ended, now);
        let lasting = restored.silences.into_iter().filter(|silence| silence.state(now) != SilenceState::Expired);
        self.silences = lasting.map(|silence| (silence.id.clone(), silence)).collect();
        // A clock that was ahead then makes no while longer than it is.
        let begun = |quota: Quota| Quota { began: quota.began.min(now), ..quota };
        self.quotas = restored.quotas.into_iter().map(|quota| (quota.receiver.clone(), begun(quota))).collect();
        restored.lost_gaps.iter().for_each(|gap| self.spikes.exposure.ended(gap));
        self.restore_sources(restored.cursors, restored.open_gaps, now, &mut commit);
        self.archived.restore(&restored.volumes);
        self.quiets.restore(&self.rules, &self.spikes.scale, &restored.volumes);
        self.restore_flows(&restored.volumes, &restored.lost_gaps, &mut commit);
        self.shares.restore(&self.rules, &restored.volumes);
        self.holds.restore(&self.rules, &restored.volumes);
        self.vocabularies.restore(&self.rules, &restored.volumes);
        let sightings = Sightings::of(&self.rules, &restored.sightings);
        self.keyed.restore(&self.rules, &restored.volumes, &sightings);
        self.follows.restore(&self.rules, &restored.volumes, &sightings);
        self.joins.restore(&self.rules, &restored.volumes, &sightings);
        self.spikes.restore(&self.rules, &restored.volumes);
        for (post, author) in &restored.kept {
            self.evidence.insert(Key::of(post));
            self.evidence.insert(Key::of(author));
        }
        restored.tellings.iter().for_each(|telling| self.stories.restore(telling));
        restored.carried.iter().for_each(|carried| self.copies.restore(carried));
        let goes_on_as = self.goes_on_as();
        for sighting in restored.sightings {
            let Sighting { rule, seen, source, incident, copy_of } = sighting;
            self.holds.read_at(&rule, &source);
            self.event_clock = self.event_clock.max(seen.at);
            self.sighted.restore(seen.post_key, Key::of(&rule));
            self.evidence.insert(seen.post_key);
            self.evidence.insert(seen.author_key);
            if copy_of.is_some() {
                continue;
            }
            if let Some(live) = incident.and_then(|id| self.known(goes_on_as.get(&id).unwrap_or(&id))) {
                live.remember(&seen);
            }
            let Some((index, found)) = self.rules.find(rule.as_str()) else { continue };
            match found.condition {
                _ if found.by.is_some() => {} // read back above
                Condition::Count(count) => {
                    let window = self.windows.get_or_insert_with(index, Window::default);
                    window.and_then(|window| window.add(seen, &count));
                }
                Condition::Spike(_) => self.spikes.remember(index, &seen),
                Condition::Share(_) => self.shares.remember(&rule, &seen),
                Condition::NewTerm(_) => self.vocabularies.remember(&rule, &seen),
                Condition::Match | Condition::Quiet(_) | Condition::Joined(_) => {}
            }
        }
        self.bound_deadlines(now, &mut commit);
        self.reroute(now, &mut commit);
        for undelivered in restored.undelivered {
            self.undelivered(undelivered, now, &mut commit);
        }
        self.cap(now, &mut commit);
        self.hold_back(&mut commit);
        Outcome { commit, ..Outcome::default() }
    }

    /// Takes one input; `now` is wall time.
    pub fn step(&mut self, input: Input, now: Timestamp) -> Outcome {
        let mut outcome = Outcome::default();
        let commit = &mut outcome.commit;
        match input {
            Input::Connected { source, joint } => self.connected(source, joint, now),
            Input::Down { source, reason } => self.down(&source, reason, now, commit),
            Input::Missed { source, from, to } => self.missed(source, from, to, now, commit),
            Input::Batch(batch) => self.batch(batch, now, commit),
            Input::Author(author) => self.introduced(author, now, commit),
            Input::Command(command) => outcome.reply = Some(self.command(command, None, now, commit)),
            Input::Answered { command, knows, at } => {
                outcome.reply = Some(self.answered(command, knows.as_ref(), at, now, commit));
            }
            Input::Silence(order) => outcome.silence = Some(self.silence(order, now, commit)),
            Input::Erase(what, account) => self.erase(&what, account.as_ref(), commit),
            Input::Forgotten(gone) => self.evidence.forget(&gone),
            Input::Undelivered(undelivered) => self.undelivered(undelivered, now, commit),
            Input::Overdue(overdue) => self.overdue(overdue, now, commit),
            Input::Swap { rules, routes, receivers, lessons } => {
                self.windows.swap(&self.rules, &rules, |was, is, _| asks_the_same(was, is));
                self.keyed.keep(&rules);
                self.spikes.swap(&self.rules, &rules);
                self.shares.keep(&rules);
                self.vocabularies.keep(&rules);
                self.follows.keep(&rules);
                self.joins.keep(&rules);
                self.quiets.keep(&rules);
                self.archived.swap(&self.rules, &rules, &lessons, self.event_clock);
                self.holds.keep(&rules);
                (self.rules, self.routes, self.receivers) = (rules, routes, receivers);
                self.take_lessons(&lessons);
                self.reroute(now, commit);
            }
            Input::Storage(why) => self.storage(why, now, commit),
            Input::ClockSet(set) => self.clock_set(set, commit),
            Input::Tick => {
                self.watch_sources(now, commit);
                self.advance(now, commit);
            }
        }
        self.record_changes(&mut outcome.commit);
        self.cap(now, &mut outcome.commit);
        self.hold_back(&mut outcome.commit);
        outcome
    }

    /// Lets a spike or quiet rule learn so many posts a day between two instants, as if they had
    /// been seen; a share rule, so many that are not of its part; a rule with a new term learns
    /// since then.
    pub fn teach(&mut self, rule: &Rule, per_day: u32, from: Timestamp, to: Timestamp) {
        self.spikes.teach(&self.rules, rule, per_day, from, to);
        self.quiets.teach(rule, per_day, from, to, &self.spikes.around(self.rules.zone()));
        match &rule.condition {
            Condition::Share(share) => self.shares.of(rule, from).learn_evenly(per_day, from, to, share),
            Condition::NewTerm(_) => {
                self.vocabularies.of(rule, from);
            }
            _ => {}
        }
        self.follows.teach(&self.rules, rule, per_day, (from, to), &self.spikes.exposure);
    }

    /// The rules in force.
    pub fn rules(&self) -> &Arc<RuleSet> {
        &self.rules
    }

    /// Incidents that are not resolved.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.live.values().map(|live| &live.incident)
    }

    /// How many incidents are not resolved.
    pub fn open_incidents(&self) -> usize {
        self.live.len()
    }

    /// Whether text of this post may be in the store, or is to be.
    fn is_kept(&self, post: Key) -> bool {
        self.evidence.contains(post) || self.sample.is_some_and(|one_in| post.bits() % one_in == 0)
    }

    /// Whether text of this author may be in the store.
    fn may_have_text_of(&self, author: Key) -> bool {
        self.evidence.contains(author) || self.sample.is_some()
    }
}

/// Whether a rule counts the same posts as before.
fn asks_the_same(was: &Rule, is: &Rule) -> bool {
    was.condition.kind() == is.condition.kind() && was.meaning() == is.meaning()
}

#[cfg(test)]
mod bounds_tests;
