//! What one step changes on disk, all or nothing (invariant 3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cap::Quota;
use super::event::{Bookmark, Cursor, Ledger};
use super::id::{AuthorId, DeliveryId, PostId, ReceiverName, RuleId, SourceName};
use super::incident::{Alert, Gap, Incident, Sighting, TimelineEntry};
use super::message::Delivery;
use super::post::{Author, Original, Post};
use super::silence::Silence;
use super::story::Telling;
use super::time::{ClockSet, Timestamp};

/// The effects of one or more steps of the engine. The store writes it in one
/// transaction, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Commit {
    /// Move the deadlines of all messages that wait; before those of this commit are added.
    pub clock_set: Option<ClockSet>,
    /// Evidence: insert, or replace an older version of the same id.
    pub posts: Vec<Post>,
    /// Posts that a rule of the duty-of-care lane took: sealed with the lane's keys.
    pub restricted: BTreeSet<PostId>,
    /// Insert by post, in this order, unless the post is known.
    pub tellings: Vec<Telling>,
    /// Insert by (rule, post); a later one sets the incident.
    pub sightings: Vec<Sighting>,
    /// Text to remove; a hash stays where the post is evidence.
    pub erased: Vec<Erasure>,
    /// Insert.
    pub alerts: Vec<Alert>,
    /// Insert or replace by id; at most one of an id, see [`Commit::record`].
    pub incidents: Vec<Incident>,
    /// Insert or replace by id.
    pub silences: Vec<Silence>,
    /// Who authors are: goes into the evidence they wrote.
    pub authors: Vec<Author>,
    /// Append.
    pub timeline: Vec<TimelineEntry>,
    /// Insert unless the id is known.
    pub outbox: Vec<Delivery>,
    /// Parked deliveries that an incident of this commit tells about.
    pub told: Vec<DeliveryId>,
    /// Deliveries of which nobody waits for the receipt any more.
    pub overdue: Vec<DeliveryId>,
    /// Insert or replace by (source, from).
    pub gaps: Vec<Gap>,
    /// What rules and sources have learnt, and since when it is quiet: insert or replace by rule; at most one of a rule, see
    /// [`Commit::record_volume`].
    pub volumes: BTreeMap<RuleId, VolumeState>,
    /// The minutes that are filling: insert or replace by name, later ones over earlier ones.
    pub open_minutes: Vec<OpenMinute>,
    /// What receivers got that take only so much, and what waits: insert or replace by receiver.
    pub quotas: BTreeMap<ReceiverName, Quota>,
    /// How far each source was read.
    pub progress: BTreeMap<SourceName, Progress>,
    /// Sightings that rules forgot before their time, because they had no room for more. Not written, but counted.
    pub crowded_out: BTreeMap<RuleId, u64>,
}

/// How far a source was read, and the account of its frames since the last commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Never goes back.
    pub cursor: Option<Cursor>,
    /// Where it resumes, if its cursor does not say so.
    pub bookmark: Option<Bookmark>,
    /// To be added to what is on disk.
    pub ledger: Ledger,
}

impl Progress {
    /// Adds what came later.
    pub fn add(&mut self, later: Self) {
        self.cursor = self.cursor.max(later.cursor);
        self.bookmark = later.bookmark.or(self.bookmark.take());
        self.ledger.add(&later.ledger);
    }
}

/// What a rule has learnt beyond its sightings, or, under a name that is no rule's, the engine of a
/// source's posts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeState {
    /// The rule.
    pub rule: RuleId,
    /// What the rule asked for then, see [`super::rule::Rule::meaning`].
    pub meaning: String,
    /// Event time of the minute that was filling, or of the newest post.
    pub at: Timestamp,
    /// The rest, for the engine.
    pub state: Vec<u8>,
}

/// The minute of a spike rule that is filling. It changes with every post that the rule takes, so it
/// is small, and none of it is made anew for a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenMinute {
    /// Whose.
    pub of: Arc<Watched>,
    /// Event time of its beginning.
    pub at: Timestamp,
    /// The rest, for the engine.
    pub state: [u8; Self::BYTES],
}

/// The name of a row that the engine keeps of a rule beside another one, and what it belongs to.
#[derive(Debug, PartialEq, Eq)]
pub struct Watched {
    /// The row's name; it is no rule's.
    pub name: RuleId,
    /// See [`VolumeState::meaning`].
    pub meaning: String,
}

impl OpenMinute {
    /// How long [`OpenMinute::state`] is.
    pub const BYTES: usize = 13;

    /// The row that it is on disk.
    pub fn to_row(&self) -> VolumeState {
        let Watched { name, meaning } = &*self.of;
        VolumeState { rule: name.clone(), meaning: meaning.clone(), at: self.at, state: self.state.to_vec() }
    }
}

/// What an author took back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Erasure {
    /// One post.
    Post(PostId),
    /// All posts of an account.
    Author(AuthorId),
}

impl Commit {
    /// Whether it holds anything beyond progress, which can wait a second. Volumes change with
    /// sightings; those that change without can wait as well, for the cursor waits with them.
    pub fn is_urgent(&self) -> bool {
        let Self {
            clock_set,
            posts,
            restricted: _, // changes with sightings
            tellings,
            sightings,
            erased,
            alerts,
            incidents,
            silences,
            timeline,
            outbox,
            told,
            overdue,
            gaps,
            authors: _, // what they mean to an incident is in its timeline
            volumes: _,
            open_minutes: _,
            quotas: _, // change with messages, or with what history says of them
            progress: _,
            crowded_out: _,
        } = self;
        !(clock_set.is_none()
            && posts.is_empty()
            && tellings.is_empty()
            && sightings.is_empty()
            && erased.is_empty()
            && alerts.is_empty()
            && incidents.is_empty()
            && silences.is_empty()
            && timeline.is_empty()
            && outbox.is_empty()
            && told.is_empty()
            && overdue.is_empty()
            && gaps.is_empty())
    }

    /// Whether it holds nothing at all.
    pub fn is_empty(&self) -> bool {
        !self.is_urgent()
            && self.authors.is_empty()
            && self.volumes.is_empty()
            && self.open_minutes.is_empty()
            && self.quotas.is_empty()
            && self.progress.is_empty()
    }

    /// Adds an incident as it stands now, in place of how it stood before: under a flood
    /// it changes with every post.
    pub fn record(&mut self, incident: Incident) {
        match self.incidents.iter_mut().rev().find(|known| known.id == incident.id) {
            Some(known) => *known = incident,
            None => self.incidents.push(incident),
        }
    }

    /// Adds what a rule has learnt, in place of what it had.
    pub fn record_volume(&mut self, volume: VolumeState) {
        self.volumes.insert(volume.rule.clone(), volume);
    }

    /// Notes that a rule forgot so many sightings before their time.
    pub fn crowded_out(&mut self, rule: &RuleId, sightings: u64) {
        if sightings > 0 {
            *self.crowded_out.entry(rule.clone()).or_default() += sightings;
        }
    }

    /// Adds the effects of a later step.
    pub fn append(&mut self, later: Self) {
        if let Some(set) = later.clock_set {
            for delivery in self.outbox.iter_mut().filter(|delivery| delivery.held_until().is_none()) {
                (delivery.due, delivery.give_up) = (set.moves(delivery.due), set.moves(delivery.give_up));
            }
            self.clock_set = Some(self.clock_set.map_or(set, |before| before.and(set)));
        }
        self.posts.extend(later.posts);
        self.restricted.extend(later.restricted);
        self.tellings.extend(later.tellings);
        self.sightings.extend(later.sightings);
        self.erased.extend(later.erased);
        self.alerts.extend(later.alerts);
        later.incidents.into_iter().for_each(|incident| self.record(incident));
        self.silences.extend(later.silences);
        self.timeline.extend(later.timeline);
        self.outbox.extend(later.outbox);
        self.told.extend(later.told);
        self.overdue.extend(later.overdue);
        self.gaps.extend(later.gaps);
        self.authors.extend(later.authors);
        self.volumes.extend(later.volumes);
        self.open_minutes.extend(later.open_minutes);
        self.quotas.extend(later.quotas);
        for (source, progress) in later.progress {
            self.progress.entry(source).or_default().add(progress);
        }
        later.crowded_out.iter().for_each(|(rule, sightings)| self.crowded_out(rule, *sightings));
    }
}

/// Of so many posts it is remembered which others they may be the same as.
pub const CARRIED: usize = 1 << 14;

/// A post that may be the same as another on another network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The post.
    pub post: PostId,
    /// Where people read it.
    pub url: Option<String>,
    /// What it is a copy of.
    pub copy_of: Option<Original>,
}

impl From<Post> for Carried {
    fn from(Post { id: post, url, copy_of, .. }: Post) -> Self {
        Self { post, url, copy_of }
    }
}

/// What the engine needs to go on where it stopped.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Where each source stands.
    pub cursors: BTreeMap<SourceName, Cursor>,
    /// Where each resumes that does not resume at its cursor. For the adapters alone.
    pub bookmarks: BTreeMap<SourceName, Bookmark>,
    /// Gaps that have not ended.
    pub open_gaps: Vec<Gap>,
    /// Gaps that ended without their posts, oldest first.
    pub lost_gaps: Vec<Gap>,
    /// What rules have learnt, and the engine of sources.
    pub volumes: Vec<VolumeState>,
    /// Posts of which the store holds text, with their authors.
    pub kept: Vec<(PostId, AuthorId)>,
    /// Tellings since the horizon asked for, in the order they were made.
    pub tellings: Vec<Telling>,
    /// Sightings since the horizon asked for, in the order they were made.
    pub sightings: Vec<Sighting>,
    /// Of their posts those that may be the same as others on another network, in that order.
    pub carried: Vec<Carried>,
    /// Incidents that are not resolved.
    pub incidents: Vec<Incident>,
    /// Incidents that ended lately enough to begin again.
    pub ended: Vec<Incident>,
    /// What receivers got that take only so much.
    pub quotas: Vec<Quota>,
    /// Silences that are not over.
    pub silences: Vec<Silence>,
    /// Parked deliveries nobody has been told of.
    pub undelivered: Vec<super::message::Undelivered>,
}
