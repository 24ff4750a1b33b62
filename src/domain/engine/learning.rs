//! What rules have learnt from recordings, for an engine that begins later.
//!
//! Between the end of a recording and the daemon's first post nobody saw anything, and how
//! long that will be nobody knows yet. So what was learnt is put to rest: the engine that
//! takes it over counts the time until its own beginning as unseen. Taken for silence, a
//! month between the two would teach every rule that nothing is ever said.

use std::time::Duration;

use super::Engine;
use super::watch::Watch;
use crate::domain::commit::VolumeState;
use crate::domain::condition::Condition;
use crate::domain::rule::Rule;
use crate::domain::volume::Scale;

/// What a rule has learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learnt {
    /// To be written for the engine that takes it over.
    pub state: VolumeState,
    /// How much time it has seen.
    pub seen: Duration,
}

/// Whether a rule learns what is usual, and can be taught it. Keys come and go: what is usual for
/// each they learn by themselves.
pub fn learns(rule: &Rule) -> bool {
    matches!(rule.condition, Condition::Spike(_)) && rule.by.is_none()
}

/// How much time a rule has seen that left this state; none when the rule, as it is now, cannot
/// go on from there.
pub fn known(rule: &Rule, state: &VolumeState) -> Option<Duration> {
    let scale = Scale::minutes();
    let usable = learns(rule) && state.rule == rule.id && state.meaning == rule.meaning();
    usable.then(|| Watch::from_bytes(&scale, &state.state).ok()).flatten().map(|watch| watch.seen(&scale))
}

impl Engine {
    /// What all rules have learnt by now, put to rest.
    pub fn learnt(&mut self) -> Vec<Learnt> {
        self.spikes.begin(&self.rules, self.event_clock);
        self.spikes.rest(&self.rules, self.event_clock)
    }
}
