//! Rules that speak when nothing was said: `quiet`.
//!
//! Silence is measured in time that was seen: what a source lost does not count, and while
//! one is blind or catching up nobody can say that it is quiet (invariant 2). It must last as
//! long as the rule says and, once the rule has learnt what is usual for it, be unusual: at
//! 3 a.m. nothing is expected. A silence is told once; it ends with the next post.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Engine;
use super::alerts::Firing;
use super::exposure::Exposure;
use super::learning::Learnt;
use super::minutes::Surroundings;
use super::silence::Silence;
use crate::domain::commit::{Commit, VolumeState};
use crate::domain::condition::{Condition, Fired, Quiet};
use crate::domain::id::RuleId;
use crate::domain::rule::{Rule, RuleSet};
use crate::domain::time::{Timestamp, human};
use crate::domain::volume::{Lull, Scale, rounded};

/// The silences of all quiet rules.
#[derive(Default)]
pub(super) struct Quiets {
    silences: BTreeMap<RuleId, Kept>,
    changed: BTreeSet<RuleId>,
    begun: bool,
}

struct Kept {
    /// Of the rule it was learnt with: another query has other silences.
    meaning: String,
    silence: Silence,
}

/// A silence to tell.
struct Due {
    rule: RuleId,
    since: Timestamp,
    /// What was expected meanwhile, when enough is known to say so.
    lull: Option<Lull>,
}

impl Quiets {
    /// Other rules are in force: what was learnt of those that still ask the same stays.
    pub(super) fn keep(&mut self, rules: &RuleSet) {
        self.silences.retain(|id, kept| {
            let rule = rules.find(id.as_str()).map(|(_, rule)| rule);
            rule.is_some_and(|rule| quiet(rule).is_some() && meaning(rule) == kept.meaning)
        });
        self.begun = false;
    }

    /// Whether a rule's silence is known.
    pub(super) fn knows(&self, rule: &RuleId) -> bool {
        self.silences.contains_key(rule)
    }

    /// From now on the silence of new rules counts, and that of rules at rest.
    pub(super) fn begin(&mut self, rules: &RuleSet, around: &Surroundings<'_>, now: Timestamp) {
        if self.begun || now == Timestamp::default() {
            return;
        }
        self.begun = true;
        for (id, kept) in &mut self.silences {
            if kept.silence.wake(now, around) {
                self.changed.insert(id.clone());
            }
        }
        for rule in rules.rules().iter().filter(|rule| quiet(rule).is_some()) {
            if !self.silences.contains_key(&rule.id) {
                self.watch_from(rule, around.scale, now);
                self.changed.insert(rule.id.clone());
            }
        }
    }

    /// A source that was never read before begins: rules will take more posts than they did.
    pub(super) fn source_added(&mut self, now: Timestamp) {
        self.each(|silence| silence.source_added(now));
    }

    /// A source is gone, perhaps the one that had the posts: until the next one silence says nothing.
    pub(super) fn source_removed(&mut self) {
        self.each(|silence| {
            silence.doubt();
            silence.told = true;
        });
    }

    fn each(&mut self, change: impl Fn(&mut Silence)) {
        for (id, kept) in &mut self.silences {
            change(&mut kept.silence);
            self.changed.insert(id.clone());
        }
    }

    /// A rule took a post; true when its silence had been told.
    fn heard(&mut self, rule: &Rule, at: Timestamp, around: &Surroundings<'_>) -> bool {
        if !self.silences.contains_key(&rule.id) {
            self.watch_from(rule, around.scale, at);
        }
        self.changed.insert(rule.id.clone());
        self.silences.get_mut(&rule.id).is_some_and(|kept| kept.silence.heard(at, around).ended)
    }

    /// Lets a rule learn so many posts a day until `to`, as if it had been in force since `from`.
    pub(super) fn teach(
        &mut self,
        rule: &Rule,
        per_day: u32,
        from: Timestamp,
        to: Timestamp,
        around: &Surroundings<'_>,
    ) {
        if quiet(rule).is_some() {
            self.watch_from(rule, around.scale, from).silence.learn_evenly(per_day, to, around);
        }
    }

    pub(super) fn restore(&mut self, rules: &RuleSet, scale: &Scale, states: &[VolumeState]) {
        for VolumeState { rule: id, meaning: known, state, .. } in states {
            let Some((_, rule)) = rules.find(id.as_str()) else { continue };
            if quiet(rule).is_some()
                && meaning(rule) == *known
                && let Ok(silence) = Silence::from_bytes(scale, state)
            {
                self.silences.insert(id.clone(), Kept { meaning: known.clone(), silence });
            }
        }
    }

    pub(super) fn record(&mut self, commit: &mut Commit) {
        for rule in std::mem::take(&mut self.changed) {
            if let Some(kept) = self.silences.get(&rule) {
                commit.record_volume(kept.written(rule));
            }
        }
    }

    /// See [`super::spikes::Spikes::rest`].
    pub(super) fn rest(&mut self, around: &Surroundings<'_>, now: Timestamp) -> Vec<Learnt> {
        let learnt = self.silences.iter_mut().map(|(rule, kept)| {
            kept.silence.rest(now, around);
            let states = vec![kept.written(rule.clone())];
            Learnt { rule: rule.clone(), states, seen: kept.silence.time_seen(around.scale) }
        });
        learnt.collect()
    }

    /// Rules that have just been silent for long enough, and since when.
    fn due(&mut self, rules: &RuleSet, around: &Surroundings<'_>, now: Timestamp) -> Vec<Due> {
        let mut due = Vec::new();
        for (id, Kept { silence, .. }) in self.silences.iter_mut().filter(|(_, kept)| kept.silence.may_be_told()) {
            let since = silence.since;
            let lasts = rules.find(id.as_str()).and_then(|(_, rule)| quiet(rule)).map(|quiet| quiet.lasts);
            if lasts.is_none_or(|lasts| seen(around.exposure, since, now) < lasts) {
                continue;
            }
            let lull = silence.lull(now, around);
            if lull.is_none_or(|lull| silence.is_unusual(&lull, now)) {
                silence.told = true;
                self.changed.insert(id.clone());
                due.push(Due { rule: id.clone(), since, lull });
            }
        }
        due
    }

    fn watch_from(&mut self, rule: &Rule, scale: &Scale, from: Timestamp) -> &mut Kept {
        let fresh = Kept { meaning: meaning(rule), silence: Silence::new(scale, from) };
        self.silences.entry(rule.id.clone()).insert_entry(fresh).into_mut()
    }
}

impl Kept {
    fn written(&self, rule: RuleId) -> VolumeState {
        let Self { meaning, silence } = self;
        VolumeState { rule, meaning: meaning.clone(), at: silence.since, state: silence.to_bytes() }
    }
}

/// How much time a rule has seen that left this state.
pub(super) fn known(rule: &Rule, state: &VolumeState, scale: &Scale) -> Option<Duration> {
    let silence = Silence::from_bytes(scale, &state.state).ok().filter(|_| state.meaning == meaning(rule))?;
    Some(silence.time_seen(scale))
}

impl Engine {
    /// Tells the silences that have lasted long enough, while every source sees.
    pub(super) fn watch_silence(&mut self, now: Timestamp, commit: &mut Commit) {
        if self.quiets.silences.is_empty() || !self.all_see() {
            return;
        }
        let rules = std::sync::Arc::clone(&self.rules);
        let due = self.quiets.due(&rules, &self.spikes.around(rules.zone()), now);
        for Due { rule: id, since, lull } in due {
            let Some((_, rule)) = rules.find(id.as_str()) else { continue };
            if !self.silence_begins(rule, now) {
                continue;
            }
            let lasted = human(Duration::from_secs(now.since(since).as_secs()));
            let since_then = since.whole_second();
            let usual = lull.map_or(String::new(), |lull| {
                let expected = rounded(lull.expected);
                format!("; {expected} posts were expected by now, by chance that comes less than once in 30 days")
            });
            let why =
                format!("nothing matched for {lasted}, since {since_then}{usual}; rule {} {}", rule.id, rule.version);
            let fired = Fired::by(Vec::new());
            let firing =
                Firing { opener: "", opened: since, at: now, post: None, fired: &fired, posts: Vec::new(), why };
            self.raise(rule, firing, now, commit);
            self.tell_changes(now, commit);
        }
        for rule in self.silences_over(now).into_iter().filter_map(|index| rules.get(index)) {
            self.end_silence(rule, now, commit);
        }
        self.quiets.record(commit);
        self.joins.record(commit);
    }

    /// A quiet rule took a post: its silence is over.
    pub(super) fn heard(&mut self, rule: &Rule, at: Timestamp, now: Timestamp, commit: &mut Commit) {
        if !self.quiets.heard(rule, at, &self.spikes.around(self.rules.zone())) {
            return;
        }
        if self.silence_ends(rule, at) {
            self.end_silence(rule, now, commit);
        }
    }

    /// An incident that was only about a rule's silence is over.
    fn end_silence(&mut self, rule: &Rule, now: Timestamp, commit: &mut Commit) {
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

/// What a silence was learnt with. What a spike rule of the same query and name left is none.
fn meaning(rule: &Rule) -> String {
    format!("quiet {}", rule.meaning())
}

/// How much of a span was seen.
fn seen(exposure: &Exposure, from: Timestamp, to: Timestamp) -> Duration {
    let whole = to.since(from);
    Duration::try_from_secs_f64(whole.as_secs_f64() * exposure.share(from, to)).unwrap_or(whole)
}
