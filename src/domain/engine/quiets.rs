//! Rules that speak when nothing was said: `quiet`.
//!
//! Silence is measured in time that was seen: what a source lost does not count, and while
//! one is blind or catching up nobody can say that it is quiet (invariant 2). A silence is
//! told once; it ends with the next post.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Engine;
use super::alerts::Firing;
use super::exposure::Exposure;
use crate::domain::commit::{Commit, VolumeState};
use crate::domain::condition::{Condition, Fired, Quiet};
use crate::domain::id::RuleId;
use crate::domain::rule::{Rule, RuleSet};
use crate::domain::time::{Timestamp, human};

/// The silences of all quiet rules.
#[derive(Default)]
pub(super) struct Quiets {
    silences: BTreeMap<RuleId, Silence>,
    changed: BTreeSet<RuleId>,
    begun: bool,
}

/// Since when a rule took nothing.
#[derive(Clone, Copy)]
struct Silence {
    since: Timestamp,
    told: bool,
}

impl Quiets {
    /// Other rules are in force.
    pub(super) fn keep(&mut self, rules: &RuleSet) {
        self.silences.retain(|id, _| rules.find(id.as_str()).is_some_and(|(_, rule)| quiet(rule).is_some()));
        self.begun = false;
    }

    /// From now on the silence of new rules counts.
    pub(super) fn begin(&mut self, rules: &RuleSet, now: Timestamp) {
        if self.begun || now == Timestamp::default() {
            return;
        }
        self.begun = true;
        for rule in rules.rules().iter().filter(|rule| quiet(rule).is_some()) {
            if !self.silences.contains_key(&rule.id) {
                self.silences.insert(rule.id.clone(), Silence { since: now, told: false });
                self.changed.insert(rule.id.clone());
            }
        }
    }

    /// A rule took a post; true when its silence had been told.
    pub(super) fn heard(&mut self, rule: &RuleId, at: Timestamp) -> bool {
        let silence = self.silences.entry(rule.clone()).or_insert(Silence { since: at, told: false });
        if at < silence.since {
            return false; // from before the silence
        }
        self.changed.insert(rule.clone());
        silence.since = at;
        std::mem::take(&mut silence.told)
    }

    pub(super) fn restore(&mut self, rules: &RuleSet, states: &[VolumeState]) {
        // What a spike rule of that name left has a meaning.
        for VolumeState { rule: id, at, state, .. } in states.iter().filter(|state| state.meaning.is_empty()) {
            if rules.find(id.as_str()).is_some_and(|(_, rule)| quiet(rule).is_some()) {
                self.silences.insert(id.clone(), Silence { since: *at, told: state.first() == Some(&1) });
            }
        }
    }

    pub(super) fn record(&mut self, commit: &mut Commit) {
        for rule in std::mem::take(&mut self.changed) {
            let Some(Silence { since, told }) = self.silences.get(&rule).copied() else { continue };
            let state = vec![u8::from(told)];
            commit.record_volume(VolumeState { rule, meaning: String::new(), at: since, state });
        }
    }

    /// Rules that have just been silent for long enough, and since when.
    fn due(&mut self, rules: &RuleSet, exposure: &Exposure, now: Timestamp) -> Vec<(RuleId, Timestamp)> {
        let mut due = Vec::new();
        for (id, silence) in self.silences.iter_mut().filter(|(_, silence)| !silence.told) {
            let lasts = rules.find(id.as_str()).and_then(|(_, rule)| quiet(rule)).map(|quiet| quiet.lasts);
            if lasts.is_some_and(|lasts| seen(exposure, silence.since, now) >= lasts) {
                silence.told = true;
                self.changed.insert(id.clone());
                due.push((id.clone(), silence.since));
            }
        }
        due
    }
}

impl Engine {
    /// Tells the silences that have lasted long enough, while every source sees.
    pub(super) fn watch_silence(&mut self, now: Timestamp, commit: &mut Commit) {
        if self.quiets.silences.is_empty() || !self.all_see() {
            return;
        }
        let rules = std::sync::Arc::clone(&self.rules);
        let due = self.quiets.due(&rules, &self.spikes.exposure, now);
        for (id, since) in due {
            let Some((_, rule)) = rules.find(id.as_str()) else { continue };
            let lasted = human(Duration::from_secs(now.since(since).as_secs()));
            let since_then = since.whole_second();
            let why = format!("nothing matched for {lasted}, since {since_then}; rule {} {}", rule.id, rule.version);
            let fired = Fired::by(Vec::new());
            let firing = Firing { opener: "", opened: since, at: now, post: None, fired: &fired, posts: Vec::new(), why };
            self.raise(rule, firing, now, commit);
            self.tell_changes(now, commit);
        }
        self.quiets.record(commit);
        self.joins.record(commit);
    }

    /// A quiet rule took a post: an incident that was only about its silence is over.
    pub(super) fn heard(&mut self, rule: &Rule, at: Timestamp, now: Timestamp, commit: &mut Commit) {
        if !self.quiets.heard(&rule.id, at) {
            return;
        }
        let open = self.by_topic.get(&rule.topic).and_then(|id| self.live.get(id)).map(|live| &live.incident);
        if open.is_some_and(|incident| incident.posts == 0 && incident.rules.iter().eq([&rule.id])) {
            self.end_notice(rule.topic.as_str(), now, commit);
        }
    }
}

fn quiet(rule: &Rule) -> Option<&Quiet> {
    match &rule.condition {
        Condition::Quiet(quiet) => Some(quiet),
        Condition::Match
        | Condition::Count(_)
        | Condition::Spike(_)
        | Condition::Share(_)
        | Condition::NewTerm(_)
        | Condition::Joined(_) => None,
    }
}

/// How much of a span was seen.
fn seen(exposure: &Exposure, from: Timestamp, to: Timestamp) -> Duration {
    let whole = to.since(from);
    Duration::try_from_secs_f64(whole.as_secs_f64() * exposure.share(from, to)).unwrap_or(whole)
}
