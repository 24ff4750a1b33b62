//! Rules whose condition must hold for a while, and those that count as firing for a while after it ceased.
//!
//! Their posts say when the condition was true; whether that was long enough, the clock says, too, when no more posts come.
//!
//! What a source does not see can only prolong a count: that is told in its time, whoever is blind. It may end a share: that
//! waits until every source sees (invariant 2), and time that nobody saw is not time that it held. But not for longer than the
//! rule asks for once more: a source that is blind for weeks must not keep every page back for weeks. Such a page says what
//! could not be seen. The wait is not on disk; after a restart it begins anew.
//!
//! The clock here is the later of two: that of the stream, and that on the wall. A wall clock that was just set says nothing until
//! as long has passed by it as the rule asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Engine;
use super::alerts::{Firing, lasting};
use super::exposure::Exposure;
use super::incidents::Live;
use crate::domain::commit::{Commit, VolumeState};
use crate::domain::condition::{Condition, Count, Fired, Held, Hold, Lasted, Seen, Share, Truth, Window};
use crate::domain::id::{IncidentId, RuleId, SourceName};
use crate::domain::incident::{Incident, Sighting};
use crate::domain::rule::{Rule, RuleIndex, RuleSet};
use crate::domain::time::Timestamp;

/// Ends the name of the row; no rule's id has such a sign.
const HELD: &str = "#held";
/// Later than anything.
const EVER: Timestamp = Timestamp::from_micros(i64::MAX);

/// When the conditions of such rules were true.
#[derive(Default)]
pub(super) struct Holds {
    rules: BTreeMap<RuleId, Kept>,
    /// Rules whose state is not on disk yet.
    changed: BTreeSet<RuleId>,
}

type Span = (Timestamp, Timestamp);

struct Kept {
    /// Of the rule it was true for: with other numbers it was true at other times.
    meaning: String,
    held: Held,
    /// Where its newest post was read; not on disk, the sightings tell.
    source: SourceName,
    /// What would be told if every source saw: an instant of it, and since when on the wall.
    waits: Option<(Timestamp, Timestamp)>,
}

/// What is known of the present.
struct Present {
    now: Timestamp,
    /// The stream's own time.
    stream: Timestamp,
    /// When the wall clock was set.
    set_at: Timestamp,
    all_see: bool,
}

impl Present {
    /// Up to when time has come for a rule.
    fn of(&self, hold: &Hold) -> Timestamp {
        let wall = if self.now.since(self.set_at) < hold.lasts { self.stream } else { self.now };
        wall.max(self.stream)
    }
}

impl Kept {
    fn new(meaning: String, held: Held) -> Self {
        Self { meaning, held, source: "".into(), waits: None }
    }

    /// The next of its alerts, which is given once.
    fn next(&mut self, rule: &Rule, present: &Present, exposure: &Exposure) -> Option<Lasted> {
        let (hold, linger, until) = (&rule.hold, linger(rule), present.of(&rule.hold));
        if !matches!(rule.condition, Condition::Share(_)) {
            return self.held.next(hold, linger, until, nothing);
        }
        if present.all_see {
            self.waits = None;
            let lost = |(from, to): Span| to.since(from).mul_f64(1.0 - exposure.share(from, to));
            if let Some(sure) = self.held.next(hold, linger, until, lost) {
                return Some(sure);
            }
        } else if !self.has_waited(hold, linger, until, present) {
            return None;
        }
        let lasted = self.held.next(hold, linger, until - hold.lasts, nothing)?;
        self.waits = None;
        Some(Lasted { is_sure: false, ..lasted })
    }

    /// Whether it has waited for blind sources for as long as it must hold.
    fn has_waited(&mut self, hold: &Hold, linger: Duration, until: Timestamp, present: &Present) -> bool {
        let Some(lasted) = self.held.due(hold, linger, until, nothing) else {
            self.waits = None;
            return false;
        };
        let is_this = |(of, since): &(Timestamp, Timestamp)| {
            (lasted.since..=lasted.at).contains(of) && (present.set_at..=present.now).contains(since)
        };
        let (of, since) = self.waits.filter(is_this).unwrap_or((lasted.since, present.now));
        self.waits = Some((of, since));
        present.now.since(since) >= hold.lasts
    }
}

/// No time was lost.
const fn nothing(_: Span) -> Duration {
    Duration::ZERO
}

impl Holds {
    /// Other rules are in force: what was true for those that still ask the same stays.
    pub(super) fn keep(&mut self, rules: &RuleSet) {
        self.rules.retain(|id, kept| asks_the_same(rules, id.as_str(), &kept.meaning));
    }

    /// What was read from disk; of rules that ask something else by now it is forgotten.
    pub(super) fn restore(&mut self, rules: &RuleSet, states: &[VolumeState]) {
        for VolumeState { rule, meaning, state, .. } in states {
            let Some(id) = rule.as_str().strip_suffix(HELD) else { continue };
            if asks_the_same(rules, id, meaning)
                && let Ok(held) = Held::from_bytes(state)
            {
                self.rules.insert(id.into(), Kept::new(meaning.clone(), held));
            }
        }
    }

    /// A post that a rule took was read there.
    pub(super) fn read_at(&mut self, rule: &RuleId, source: &SourceName) {
        if let Some(kept) = self.rules.get_mut(rule) {
            kept.source.clone_from(source);
        }
    }

    /// Puts what changed into a commit.
    pub(super) fn record(&mut self, commit: &mut Commit) {
        for rule in std::mem::take(&mut self.changed) {
            let Some(Kept { meaning, held, .. }) = self.rules.get(&rule) else { continue };
            let (meaning, at, state) = (meaning.clone(), held.newest(), held.to_bytes());
            commit.record_volume(VolumeState { rule: format!("{rule}{HELD}").into(), meaning, at, state });
        }
    }

    /// A rule's condition was true then, and in no other part of that time. Says whether it begins to fire with that: not
    /// where it must hold for a while first.
    pub(super) fn learn(&mut self, rule: &Rule, truth: &Truth) -> Option<Lasted> {
        let new = || Kept::new(meaning(rule), Held::default());
        let held = &mut self.rules.entry(rule.id.clone()).or_insert_with(new).held;
        held.learn(truth);
        self.changed.insert(rule.id.clone());
        let at_once = rule.hold.lasts.is_zero();
        at_once.then(|| held.next(&rule.hold, linger(rule), EVER, nothing)).flatten()
    }

    /// Until when a rule counts as firing, if it asks for that.
    pub(super) fn firing_until(&self, rule: &Rule) -> Option<Timestamp> {
        let kept = self.rules.get(&rule.id).filter(|_| !rule.hold.keep.is_zero())?;
        kept.held.firing_until(linger(rule))
    }

    /// Rules whose condition has lasted for long enough, in the order of that; each is given once.
    fn due(&mut self, rules: &RuleSet, present: &Present, exposure: &Exposure) -> Vec<(Lasted, RuleIndex)> {
        let mut due = Vec::new();
        for (id, kept) in &mut self.rules {
            let found = rules.find(id.as_str()).filter(|(_, rule)| !rule.hold.lasts.is_zero());
            let Some((index, rule)) = found else { continue };
            while let Some(lasted) = kept.next(rule, present, exposure) {
                self.changed.insert(id.clone());
                due.push((lasted, index));
            }
        }
        due.sort_by_key(|(lasted, index)| (lasted.at, *index));
        due
    }
}

impl Engine {
    /// Alerts of what has lasted for long enough.
    pub(super) fn watch_held(&mut self, now: Timestamp, commit: &mut Commit) {
        for (lasted, index) in self.lasted(now) {
            self.raise_lasted(lasted, index, now, commit);
        }
        self.holds.record(commit);
    }

    /// A post of a rule that counts and whose count must hold or counts as firing for a while.
    pub(super) fn count_held(
        &mut self,
        (index, rule): (RuleIndex, &Rule),
        count: &Count,
        (seen, source): (&Seen, &SourceName),
        commit: &mut Commit,
    ) -> Option<Fired> {
        let window = self.windows.get_or_insert_with(index, Window::default)?;
        let truth = window.admit(seen.clone(), count);
        commit.crowded_out(&rule.id, window.take_crowded_out());
        let began = self.holds.learn(rule, &truth);
        self.holds.read_at(&rule.id, source);
        self.fired_by(rule, index, began?.at)
    }

    /// A post of the whole of a rule that asks for a share; says whether it fires.
    pub(super) fn share(
        &mut self,
        (index, rule): (RuleIndex, &Rule),
        share: &Share,
        (seen, is_part): (&Seen, bool),
        source: &SourceName,
    ) -> Option<Fired> {
        let whole = self.shares.of(rule, seen.at);
        if !rule.hold.is_asked() {
            return whole.add(seen, is_part, share);
        }
        let truth = whole.learn(seen, is_part, share)?;
        let began = self.holds.learn(rule, &truth);
        if is_part {
            self.holds.read_at(&rule.id, source);
        }
        self.fired_by(rule, index, began?.at)
    }

    /// What has lasted for long enough by now, in the order of that.
    pub(super) fn lasted(&mut self, now: Timestamp) -> Vec<(Lasted, RuleIndex)> {
        if self.holds.rules.is_empty() {
            return Vec::new();
        }
        let all_see = self.all_see();
        let present = Present { now, stream: self.event_clock, set_at: self.clock_set_at, all_see };
        let rules = Arc::clone(&self.rules);
        self.holds.due(&rules, &present, &self.spikes.exposure)
    }

    /// An alert of what has lasted for long enough.
    pub(super) fn raise_lasted(&mut self, lasted: Lasted, index: RuleIndex, now: Timestamp, commit: &mut Commit) {
        let rules = Arc::clone(&self.rules);
        let Some(rule) = rules.get(index) else { return };
        let Some(fired) = self.fired_by(rule, index, lasted.at) else { return };
        let newest = fired.seen.last();
        let source = self.holds.rules.get(&rule.id).map_or_else(|| "".into(), |kept| kept.source.clone());
        let of = |seen: &Seen| Sighting {
            rule: rule.id.clone(),
            seen: seen.clone(),
            source: source.clone(),
            incident: None,
            copy_of: None,
        };
        let firing = Firing {
            opener: "",
            opened: lasted.since,
            at: lasted.at,
            post: newest.map(|newest| &newest.post),
            fired: &fired,
            posts: fired.seen.iter().map(of).collect(),
            why: lasting(rule, &fired, lasted, &self.blind()),
        };
        self.raise(rule, firing, now, commit);
        self.tell_changes(now, commit);
    }

    /// What a rule's condition was true by at an instant.
    pub(super) fn fired_by(&mut self, rule: &Rule, index: RuleIndex, at: Timestamp) -> Option<Fired> {
        match &rule.condition {
            Condition::Count(count) => {
                let window = self.windows.get_or_insert_with(index, Window::default)?;
                Some(Fired { at: Some(at), ..Fired::by(window.until(at, count)) })
            }
            Condition::Share(share) => {
                // In a flood the posts of that time may be forgotten already: that it was so is known.
                let found = self.shares.of(rule, at).until(at, share);
                Some(Fired { at: Some(at), ..found.unwrap_or_else(|| Fired::by(Vec::new())) })
            }
            _ => None,
        }
    }

    /// Until when an incident's rules count as firing: that is no quiet time.
    pub(super) fn fires_until(&self, incident: &Incident) -> Option<Timestamp> {
        let rules = incident.rules.iter().filter_map(|id| self.rules.find(id.as_str()));
        rules.filter_map(|(_, rule)| self.holds.firing_until(rule)).max()
    }
}

impl Engine {
    /// A silence is told, unless its rule counts as firing still.
    pub(super) fn silence_begins(&mut self, rule: &Rule, at: Timestamp) -> bool {
        !rule.hold.is_asked() || self.holds.learn(rule, &Truth { of: (at, EVER), spans: vec![(at, EVER)] }).is_some()
    }

    /// A post ended a silence that was told; says whether its incident ends with that.
    pub(super) fn silence_ends(&mut self, rule: &Rule, at: Timestamp) -> bool {
        if rule.hold.is_asked() {
            self.holds.learn(rule, &Truth { of: (at, EVER), spans: Vec::new() });
        }
        !rule.hold.is_asked()
    }

    /// Whether an incident is about nothing but a rule's silence: while that counts as firing, the posts that ended it are
    /// no growth of it.
    pub(super) fn is_of_its_silence(&self, rule: &Rule, incident: &IncidentId) -> bool {
        let is_alone = |live: &Live| live.incident.rules.iter().eq([&rule.id]);
        is_quiet(rule) && self.live.get(incident).is_some_and(is_alone)
    }

    /// Quiet rules that ended, and count as firing no more.
    pub(super) fn silences_over(&self, now: Timestamp) -> Vec<RuleIndex> {
        let over = |id: &RuleId| {
            let (index, rule) = self.rules.find(id.as_str()).filter(|(_, rule)| is_quiet(rule))?;
            self.holds.firing_until(rule).filter(|until| *until < now).map(|_| index)
        };
        self.holds.rules.keys().filter_map(over).collect()
    }
}

const fn is_quiet(rule: &Rule) -> bool {
    matches!(rule.condition, Condition::Quiet(_))
}

/// For how long after it ceased a condition counts as firing: for its window at least, as without being asked.
fn linger(rule: &Rule) -> Duration {
    let usual = match &rule.condition {
        Condition::Quiet(_) => None,
        other => other.within(),
    };
    rule.hold.keep.max(usual.unwrap_or_default())
}

/// With what it was true: its numbers, and what it asks of posts.
fn meaning(rule: &Rule) -> String {
    format!("held {:?} {}", rule.condition, rule.meaning())
}

fn asks_the_same(rules: &RuleSet, id: &str, known: &str) -> bool {
    rules.find(id).is_some_and(|(_, rule)| rule.hold.is_asked() && meaning(rule) == known)
}
