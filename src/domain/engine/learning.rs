//! What rules have learnt from the past, for an engine that begins later.
//!
//! Between the end of the past and the daemon's first post nobody saw anything, and how
//! long that will be nobody knows yet. So what was learnt is put to rest: the engine that
//! takes it over counts the time until its own beginning as unseen. Taken for silence, a
//! month between the two would teach every rule that nothing is ever said.
//!
//! What counts within a window and has nothing usual (`count`, `share`, joined rules) learns
//! nothing: its window is empty by the time the daemon begins.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::sightings::Sightings;
use super::watch::Watch;
use super::{Batch, Engine, Input, Item};
use crate::domain::commit::VolumeState;
use crate::domain::condition::{Condition, Vocabulary};
use crate::domain::event::{Decoded, SourceEvent};
use crate::domain::id::RuleId;
use crate::domain::incident::Gap;
use crate::domain::matcher::Scratch;
use crate::domain::post::{Excerpt, Post};
use crate::domain::route::Routes;
use crate::domain::rule::{Rule, RuleSet};
use crate::domain::time::Timestamp;
use crate::domain::volume::Scale;

/// What a rule has learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// The rule.
    pub rule: RuleId,
    /// To be written for the engine that takes it over; the first is the rule's own, others are of its keys.
    pub states: Vec<VolumeState>,
    /// How much time it has seen.
    pub seen: Duration,
}

/// Whether a rule learns what is usual, and so can be taught it.
pub const fn learns(rule: &Rule) -> bool {
    match rule.condition {
        Condition::Spike(_) | Condition::Quiet(_) | Condition::NewTerm(_) => true,
        Condition::Match | Condition::Count(_) | Condition::Share(_) | Condition::Joined(_) => false,
    }
}

/// How much time a rule has seen that left this state; none when the rule, as it is now, cannot
/// go on from there.
pub fn known(rule: &Rule, state: &VolumeState) -> Option<Duration> {
    let scale = Scale::minutes();
    if state.rule != rule.id {
        return None;
    }
    match rule.condition {
        Condition::Quiet(_) => super::quiets::known(rule, state, &scale),
        _ if state.meaning != rule.meaning() => None,
        Condition::Spike(_) if rule.by.is_some() => super::follows::known(state, &scale),
        Condition::Spike(_) => Watch::from_bytes(&scale, &state.state).ok().map(|watch| watch.seen(&scale)),
        Condition::NewTerm(_) => Vocabulary::from_bytes(&state.state).ok().map(|vocabulary| vocabulary.seen()),
        Condition::Match | Condition::Count(_) | Condition::Share(_) | Condition::Joined(_) => None,
    }
}

/// Rules that hear the kept posts as if they had been in force.
pub struct Pupils {
    engine: Engine,
    /// From when on each rule hears, by its place.
    from: Vec<Timestamp>,
    scratch: Scratch,
}

impl Pupils {
    /// Of these rules those that begin at a time; of the time since then what so many sources lost.
    pub fn new(rules: &RuleSet, from: &BTreeMap<RuleId, Timestamp>, lost: &[Gap], sources: usize) -> Self {
        let rules = Arc::new(rules.some(|rule| learns(rule) && from.contains_key(&rule.id)));
        let from: Vec<Timestamp> =
            rules.rules().iter().map(|rule| from.get(&rule.id).copied().unwrap_or_default()).collect();
        let mut engine = Engine::new(Arc::clone(&rules), Routes::default(), Vec::new());
        engine.without_store();
        engine.lost(lost, sources);
        for (rule, from) in rules.rules().iter().zip(&from) {
            engine.teach(rule, 0, *from, *from); // nothing but that it begins then
        }
        Self { engine, from, scratch: Scratch::default() }
    }

    /// The next posts, by event time.
    pub fn hear(&mut self, posts: Vec<Post>) {
        let rules = Arc::clone(&self.engine.rules);
        let items = posts.into_iter().map(|post| {
            let mut taken = rules.take(&Excerpt::of(&post), &mut self.scratch);
            if let Some(taken) = &mut taken {
                taken.hits.retain(|&hit| self.from.get(hit).is_none_or(|from| *from <= post.event_time));
            }
            let taken = taken.filter(|taken| !taken.hits.is_empty());
            Item::decoded(Decoded { cursor: None, event: Ok(SourceEvent::Post(Box::new(post))) }, None, taken)
        });
        let batch = Batch::new("archive".into(), Arc::clone(&rules), items.collect());
        self.engine.step(Input::Batch(batch), Timestamp::default());
    }

    /// What they have learnt by then.
    pub fn learnt(mut self, by: Timestamp) -> Vec<Learnt> {
        self.engine.event_clock = self.engine.event_clock.max(by);
        self.engine.learnt()
    }
}

impl Engine {
    /// Of the past that is played now, so many sources lost that: it is no silence.
    pub fn lost(&mut self, lost: &[Gap], sources: usize) {
        self.spikes.exposure.sources = sources;
        for gap in lost {
            self.spikes.exposure.ended(gap);
        }
    }

    /// What all rules have learnt by now, put to rest.
    pub fn learnt(&mut self) -> Vec<Learnt> {
        let (rules, now) = (Arc::clone(&self.rules), self.event_clock);
        self.begin_learning(now);
        let mut learnt = self.spikes.rest(&rules, now);
        learnt.extend(self.follows.rest(&rules, &self.spikes.exposure, now));
        learnt.extend(self.quiets.rest(&self.spikes.around(rules.zone()), now));
        learnt.extend(self.vocabularies.rest(&rules, now));
        learnt.sort_by_key(|learnt| rules.find(learnt.rule.as_str()).map(|(place, _)| place));
        learnt
    }

    /// Rules that learn and know nothing yet begin, and those at rest go on.
    pub(super) fn begin_learning(&mut self, now: Timestamp) {
        self.spikes.begin(&self.rules, now);
        self.vocabularies.begin(&self.rules, now);
        self.follows.begin(&self.rules, &self.spikes.exposure, now);
        self.quiets.begin(&self.rules, &self.spikes.around(self.rules.zone()), now);
    }

    /// Rules that know nothing yet take over what was learnt for them.
    pub(super) fn take_lessons(&mut self, lessons: &[VolumeState]) {
        let rules = Arc::clone(&self.rules);
        let knows = |state: &VolumeState| {
            let id = state.rule.as_str().split('#').next().unwrap_or_default();
            let Some((index, rule)) = rules.find(id) else { return false };
            self.spikes.knows(index)
                || self.follows.knows(&rule.id)
                || self.quiets.knows(&rule.id)
                || self.vocabularies.knows(&rule.id)
        };
        let lessons: Vec<VolumeState> = lessons.iter().filter(|state| !knows(state)).cloned().collect();
        self.spikes.restore(&rules, &lessons);
        self.follows.restore(&rules, &lessons, &Sightings::default());
        self.quiets.restore(&rules, &self.spikes.scale, &lessons);
        self.vocabularies.restore(&rules, &lessons);
    }
}
