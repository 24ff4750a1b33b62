//! Alerts of one topic that belong together: what people are paged for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::addressee::Addressee;
use super::condition::Figures;
use super::condition::Seen;
use super::event::DownReason;
use super::id::{IncidentId, PostId, RuleId, SilenceId, SourceName, Topic};
use super::terms::Notable;
use super::time::Timestamp;

/// Topics of the daemon's own incidents begin like this.
pub(super) const OWN: &str = "stormbell.";

/// Titles of exercises begin like this (invariant 9).
pub const EXERCISE: &str = "EXERCISE: ";

/// How much it matters, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// For the record.
    Info,
    /// Look at it this week.
    Low,
    /// Look at it today.
    Medium,
    /// Look at it now.
    High,
    /// Wake people.
    Critical,
}

impl Severity {
    /// All severities, most urgent first, as people list them.
    pub const ALL: [Self; 5] = [Self::Critical, Self::High, Self::Medium, Self::Low, Self::Info];

    /// The word in rules and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
            Self::Info => "info",
        }
    }

    /// The severity of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|severity| severity.as_str() == text)
    }
}

/// Which test a rule's alert passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionKind {
    /// A post matched.
    Match,
    /// Enough posts or authors within a window.
    Count,
    /// Unusually many posts.
    Spike,
    /// Too large a part of what is said.
    Share,
    /// Something that was not there before.
    NewTerm,
    /// No post for a while.
    Quiet,
    /// Other rules fired, all within a time.
    AllOf,
    /// The same, in their order.
    InOrder,
}

impl ConditionKind {
    /// The word in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Count => "count",
            Self::Spike => "spike",
            Self::Share => "share",
            Self::NewTerm => "new_term",
            Self::Quiet => "quiet",
            Self::AllOf => "all_of",
            Self::InOrder => "in_order",
        }
    }
}

/// A rule's condition became true.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Event time of the newest post that made the rule fire.
    pub at: Timestamp,
    /// The rule.
    pub rule: RuleId,
    /// The rule's severity.
    pub severity: Severity,
    /// The rule's topic.
    pub topic: Topic,
    /// Which condition.
    pub condition: ConditionKind,
    /// The incident it opened or joined.
    pub incident: IncidentId,
    /// Whether it opened the incident.
    pub new_incident: bool,
    /// Posts that made it true.
    pub posts: u64,
    /// Their distinct authors.
    pub authors: u64,
    /// The window of a count or a spike.
    pub within: Option<Duration>,
    /// What a spike is measured by.
    pub volume: Option<Volume>,
    /// What only a share or a new term has.
    pub figures: Option<Figures>,
    /// The post that made the rule fire; none for the daemon's own alerts.
    pub post: Option<PostId>,
    /// What a rule that counts by key counted, as [`super::condition::by::Named::text`] has it.
    pub key: Option<String>,
    /// The first posts that made it true, for whoever tries rules; not written to disk.
    pub decided_by: Vec<PostId>,
    /// The decision in a sentence: words, counts, rule and version. Of what a post says it
    /// holds at most the key, and of a new term the term, between ‘ and ’.
    pub why: String,
}

/// How many posts there were, and how many are usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Volume {
    /// Posts in the window that count.
    pub observed: u64,
    /// Posts expected in it.
    pub expected: f64,
    /// 19 times in 20 there are at most so many.
    pub upper: u64,
}

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentState {
    /// Nobody has it.
    Open,
    /// Somebody has it.
    Acknowledged,
    /// It is over.
    Resolved,
}

impl IncidentState {
    /// All states.
    pub const ALL: [Self; 3] = [Self::Open, Self::Acknowledged, Self::Resolved];

    /// The word in JSON and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
        }
    }

    /// The state of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Alerts of one topic that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Derived from the topic and the alert that opened it, so that a second reading of
    /// the same posts after a crash names it the same, and a later incident otherwise.
    pub id: IncidentId,
    /// The topic of its gravest alerts, which of equals came first. What comes of it belongs to this incident while that is open.
    pub topic: Topic,
    /// Other topics of which alerts belong to it.
    pub also: BTreeMap<Topic, Also>,
    /// One line for a person.
    pub title: String,
    /// The highest severity of its alerts.
    pub severity: Severity,
    /// Where it stands.
    pub state: IncidentState,
    /// The rules that fired.
    pub rules: BTreeSet<RuleId>,
    /// When the daemon opened it (wall time).
    pub opened_at: Timestamp,
    /// Event time of its first post.
    pub first_post_at: Timestamp,
    /// Event time of its newest post.
    pub last_post_at: Timestamp,
    /// Matching posts so far.
    pub posts: u64,
    /// Distinct authors so far.
    pub authors: u64,
    /// Distinct stories so far; 0 when it began before they were counted.
    pub stories: u64,
    /// The first alert's reason.
    pub why: String,
    /// File the people on call should follow.
    pub playbook: Option<String>,
    /// A drill (invariant 9).
    pub exercise: bool,
    /// Learned long after it happened, because a source was away.
    pub late: bool,
    /// A few posts to show: the first ones and the newest.
    pub sample: Vec<PostId>,
    /// Who took charge.
    pub acknowledged: Option<Signature>,
    /// Who ended it.
    pub resolved: Option<Signature>,
    /// Incidents that were merged into it, and into those.
    pub merged: BTreeSet<IncidentId>,
    /// The incident that it was merged into, and goes on as.
    pub merged_into: Option<IncidentId>,
    /// When it last became too grave for whoever had it, and was open again.
    pub reopened: Option<Timestamp>,
    /// That it began again after its end.
    pub again: Option<Again>,
    /// Those who speak of it and whose word spreads, in the order they came; at most [`Incident::NOTABLE`].
    pub notable: Vec<Notable>,
    /// Since when what people saw of it before is outdated: it became graver, or began again.
    pub anew: Option<Anew>,
    /// Why nobody is told of it for now.
    pub muted: Option<Muted>,
    /// Grows with every change; part of delivery ids.
    pub revision: u32,
    /// What people were last told, to see growth.
    pub told: Told,
    /// Where each route that took it stands.
    pub escalations: Vec<Escalation>,
}

impl Incident {
    /// Posts from which on so few accounts are a flood.
    const FLOOD: u64 = 50;
    /// Of so many whose word spreads people are told one by one.
    pub const NOTABLE: usize = 5;
    /// So many posts of an account on average are more than people write who tell news.
    const FLOOD_PER_AUTHOR: u64 = 20;

    /// The title for those who say themselves that it is an exercise, before anything else.
    pub fn unmarked_title(&self) -> &str {
        self.title.strip_prefix(EXERCISE).filter(|_| self.exercise).unwrap_or(&self.title)
    }

    /// Its topics, its own first, with how grave each is: the own one as grave as all of it.
    pub fn topics(&self) -> impl Iterator<Item = (&Topic, Severity)> {
        let also = self.also.iter().map(|(topic, also)| (topic, also.severity));
        std::iter::once((&self.topic, self.severity)).chain(also)
    }

    /// Topics of which all that comes belongs to it while it is open: a topic is so of one incident at most.
    pub fn whole_topics(&self) -> impl Iterator<Item = &Topic> {
        std::iter::once(&self.topic).chain(self.also.iter().filter(|(_, also)| also.whole).map(|(topic, _)| topic))
    }

    /// The topic that one of its rules is of.
    pub fn topic_of(&self, rule: &RuleId) -> &Topic {
        let also = self.also.iter().find(|(_, also)| also.rules.contains(rule));
        also.map_or(&self.topic, |(topic, _)| topic)
    }

    /// Whether few accounts write very much: a campaign or a program, not a crowd. The numbers of
    /// posts and authors alone decide, so whoever wants to look like a crowd needs one.
    pub fn is_flood(&self) -> bool {
        self.posts >= Self::FLOOD && self.posts / self.authors.max(1) >= Self::FLOOD_PER_AUTHOR
    }
}

/// What an incident has of a topic that is not its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Also {
    /// The highest severity of the topic's alerts in it: its routes take it as grave as that, and not as the whole
    /// incident is.
    pub severity: Severity,
    /// The topic's rules that fired.
    pub rules: BTreeSet<RuleId>,
    /// All that comes of the topic belongs to the incident, for somebody merged it. Otherwise only what shares its posts or
    /// stories.
    pub whole: bool,
}

/// That an incident began again after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Again {
    /// When it last did (wall time).
    pub at: Timestamp,
    /// How often it did.
    pub times: u32,
}

/// A turn for the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anew {
    /// Wall time.
    pub at: Timestamp,
    /// The incident's revision before people were told.
    pub revision: u32,
}

/// Who did something, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// A person, a receiver, or `stormbell` itself.
    pub by: String,
    /// Wall time.
    pub at: Timestamp,
}

/// Why nobody is told of an incident, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Muted {
    /// Wall time.
    pub since: Timestamp,
    /// The silences; together they cover all its rules.
    pub silences: BTreeSet<SilenceId>,
    /// A bigger incident that it comes with, see [`super::inhibit`].
    pub incident: Option<IncidentId>,
}

/// Who was told of an incident, and what the last message said of its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Severity then.
    pub severity: Severity,
    /// Authors then.
    pub authors: u64,
    /// How many of [`Incident::notable`] then.
    pub notable: usize,
    /// Everybody who was told anything; they will also hear how it ends.
    pub receivers: BTreeSet<Addressee>,
}

/// Where one route stands for one incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// The route, by its place in the configuration.
    pub route: usize,
    /// The step told last.
    pub step: usize,
    /// When to go on (next step, or repetition), wall time.
    pub due: Option<Timestamp>,
    /// Something was kept from its people while it told nobody; they are told when it does again.
    pub muted: bool,
}

/// A post that satisfied a rule's query, kept so that counts survive a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The rule.
    pub rule: RuleId,
    /// The post. All rules that take it share what is known of it.
    pub seen: Seen,
    /// Where it was read.
    pub source: SourceName,
    /// The incident it counts for, once there is one.
    pub incident: Option<IncidentId>,
    /// It does not count: it is the same post as this one on another network, which does. It is of the same incident.
    pub copy_of: Option<PostId>,
}

/// Time a source did not see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The source.
    pub source: SourceName,
    /// Event time of the last frame before; with the source it names the gap.
    pub from: Timestamp,
    /// Event time of the first frame after; none while it lasts.
    pub to: Option<Timestamp>,
    /// Why.
    pub reason: DownReason,
    /// The stream was read again from before `from`: late, not lost.
    pub recovered: bool,
}

/// One line of an incident's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineEntry {
    /// The incident.
    pub incident: IncidentId,
    /// Wall time.
    pub at: Timestamp,
    /// What happened: `opened`, `alert`, `updated`, `acknowledged`, `escalated`, `repeated`, `resolved`, `reopened`,
    /// `handed_over`, `joined` (somebody whose word spreads, or another topic), `merged` (another incident into this one), `note`, `held`,
    /// `digest`, `overdue`, `undelivered`, `muted`, `unmuted`.
    pub what: &'static str,
    /// Who did it.
    pub by: String,
    /// In words; no post's text.
    pub text: String,
}
