//! Spike rules that ask for each key: which keys are followed, and what is written of them.
//!
//! A followed key has a baseline of its own, about four kilobytes, so there are at most [`MOST`]
//! of a rule. While there is room a key is followed from its first post on; before that it was
//! silent for as long as the rule is in force. When there is none, a key is only counted, and
//! takes the place of the one that matters least once enough posts by enough authors came
//! within half a day. It is then taken to be as busy as that one was, for it cannot have been
//! much busier and not be followed; so hundreds of keys that take turns do not alarm. The one
//! that gave way is counted on, and may come back. (Metwally's Space-Saving, with baselines in
//! place of counters.)
//!
//! How much a key matters fades by half in a week; an author adds to it twice a day at most. So
//! one person's invented links never take the place of what people talk about.
//!
//! Rejected: a baseline for each key that ever was (strangers decide how many there are); one
//! season for all keys and a level for each (less memory, and another detector to measure).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use super::exposure::Exposure;
use super::learning::Learnt;
use super::minutes::Surroundings;
use super::sightings::Sightings;
use super::spikes::{promised, terms};
use super::watch::Watch;
use crate::domain::commit::{Commit, VolumeState};
use crate::domain::condition::by::Named;
use crate::domain::condition::keyed::{Numbers, Windows};
use crate::domain::condition::{Condition, Count, Distinct, Fired, Seen, Spike};
use crate::domain::id::{AuthorId, RuleId};
use crate::domain::key::Key;
use crate::domain::rule::{Rule, RuleSet};
use crate::domain::time::Timestamp;
use crate::domain::volume::{Policy, Scale};

/// Keys of one rule that are followed.
const MOST: usize = 32;
/// Recent posts remembered of each.
const RECENT: usize = 128;
/// The longest window of a spike.
const LATELY: Duration = Duration::from_hours(12);
/// A key that was not seen for so long gives way to any other.
const LONG_AGO: Duration = Duration::from_hours(28 * 24);
const HALVES_SECONDS: f64 = 7.0 * 86_400.0;
const VERSION: u8 = 2;

/// All spike rules that ask for each key.
pub(super) struct Follows {
    scale: Scale,
    rules: HashMap<RuleId, Followed>,
    /// What of each rule is not on disk yet.
    changed: BTreeMap<RuleId, Changed>,
    /// Some rule in force may not have begun.
    incomplete: bool,
}

#[derive(Default)]
struct Changed {
    rule: bool,
    slots: BTreeSet<usize>,
}

/// One rule.
struct Followed {
    /// Of the rule it was learnt with.
    meaning: String,
    began: Timestamp,
    newest: Timestamp,
    /// The newest post when the rule itself last changed, not only a key: of what is written no
    /// part depends on how posts came in batches.
    changed_at: Timestamp,
    /// A key without posts.
    silence: Watch,
    /// By the bits of the key.
    keys: BTreeMap<u64, One>,
    /// Keys that are not followed.
    others: Windows,
}

/// One key.
struct One {
    slot: usize,
    watch: Watch,
    /// How much it mattered, and when that was.
    weight: f64,
    weighed: Timestamp,
    /// The newest post of the rule when this key had one.
    changed_at: Timestamp,
}

impl Follows {
    pub(super) fn new() -> Self {
        Self { scale: Scale::minutes(), rules: HashMap::new(), changed: BTreeMap::new(), incomplete: true }
    }

    /// Other rules are in force: what was learnt of those that still ask the same stays.
    pub(super) fn keep(&mut self, rules: &RuleSet) {
        self.rules.retain(|id, followed| following(rules, id).is_some_and(|rule| rule.meaning() == followed.meaning));
        self.incomplete = true;
    }

    /// Whether a rule is followed.
    pub(super) fn knows(&self, rule: &RuleId) -> bool {
        self.rules.contains_key(rule)
    }

    /// Begins the rules that are not followed yet, and those at rest: the silence of their keys counts from now on.
    pub(super) fn begin(&mut self, rules: &RuleSet, exposure: &Exposure, now: Timestamp) {
        if !self.incomplete || now == Timestamp::default() {
            return;
        }
        self.incomplete = false;
        let around = Surroundings { scale: &self.scale, zone: rules.zone(), exposure };
        for (id, followed) in &mut self.rules {
            if followed.silence.wake(now, &around) {
                let changed = self.changed.entry(id.clone()).or_default();
                changed.rule = true;
                for one in followed.keys.values_mut() {
                    one.watch.wake(now, &around);
                    changed.slots.insert(one.slot);
                }
            }
        }
        for rule in rules.rules().iter().filter(|rule| spike(rule).is_some()) {
            if !self.rules.contains_key(&rule.id) {
                self.rules.insert(rule.id.clone(), Followed::new(rule, now, &self.scale));
                self.changed.entry(rule.id.clone()).or_default().rule = true;
            }
        }
    }

    /// A source that was never read before begins: rules will take more posts than they did.
    pub(super) fn source_added(&mut self, at: Timestamp) {
        for (id, followed) in &mut self.rules {
            let changed = self.changed.entry(id.clone()).or_default();
            changed.rule = true;
            followed.silence.doubt(at);
            for one in followed.keys.values_mut() {
                one.watch.doubt(at);
                changed.slots.insert(one.slot);
            }
        }
    }

    /// A post of a rule, under each of its keys; says which of them fire.
    pub(super) fn add(
        &mut self,
        rules: &RuleSet,
        rule: &Rule,
        spike: &Spike,
        keys: Vec<Named>,
        seen: &Seen,
        exposure: &Exposure,
    ) -> Vec<Fired> {
        let around = Surroundings { scale: &self.scale, zone: rules.zone(), exposure };
        let (promise, policy) = terms(rules, spike, around.scale);
        let changed = self.changed.entry(rule.id.clone()).or_default();
        let followed = self.rules.entry(rule.id.clone()).or_insert_with(|| Followed::new(rule, seen.at, around.scale));
        let fired = keys.into_iter().filter_map(|named| {
            let fired = followed.add(spike, &policy, named.key, seen, &around, changed)?;
            Some(Fired { key: Some(named), ..promised(fired, promise) })
        });
        fired.collect()
    }

    /// See [`super::spikes::Spikes::teach`]: so many posts of each key.
    pub(super) fn teach(
        &mut self,
        rules: &RuleSet,
        rule: &Rule,
        per_day: u32,
        (from, to): (Timestamp, Timestamp),
        exposure: &Exposure,
    ) {
        let Some(spike) = spike(rule) else { return };
        let around = Surroundings { scale: &self.scale, zone: rules.zone(), exposure };
        let (_, policy) = terms(rules, spike, around.scale);
        let mut followed = Followed::new(rule, from, around.scale);
        followed.silence.learn_evenly(&policy, per_day, to, &around);
        self.rules.insert(rule.id.clone(), followed);
    }

    /// What was read from disk; of rules that ask something else by now it is forgotten.
    pub(super) fn restore(&mut self, rules: &RuleSet, states: &[VolumeState], sightings: &Sightings) {
        for state in states {
            if let Some(rule) = following(rules, &state.rule)
                && rule.meaning() == state.meaning
                && let Some(followed) = Followed::read(state, &self.scale, sightings)
            {
                self.rules.insert(rule.id.clone(), followed);
            }
        }
        for VolumeState { rule, meaning, state, .. } in states {
            let Some((rule, slot)) = rule.as_str().split_once('#') else { continue };
            let (Some(followed), Ok(slot)) = (self.rules.get_mut(rule), slot.parse()) else { continue };
            // What an earlier life of the rule left in that place is not meant.
            if *meaning == followed.meaning_of_keys() {
                followed.read_key(slot, state, &self.scale, |post| sightings.seen(&rule.into(), post));
            }
        }
    }

    /// See [`super::spikes::Spikes::rest`].
    pub(super) fn rest(&mut self, rules: &RuleSet, exposure: &Exposure, now: Timestamp) -> Vec<Learnt> {
        let Self { scale, rules: kept, .. } = self;
        let around = Surroundings { scale, zone: rules.zone(), exposure };
        let learnt = kept.iter_mut().filter_map(|(id, followed)| {
            let (_, policy) = terms(rules, spike(following(rules, id)?)?, scale);
            followed.silence.rest(&policy, now, &around);
            followed.keys.values_mut().for_each(|one| one.watch.rest(&policy, now, &around));
            let keys = followed.keys.iter().map(|(key, one)| followed.key_written(id, *key, one));
            let states = std::iter::once(followed.written(id)).chain(keys).collect();
            Some(Learnt { rule: id.clone(), states, seen: followed.silence.seen(scale) })
        });
        learnt.collect()
    }

    /// Puts what changed into a commit: the rule, and each key in a row of its own.
    pub(super) fn record(&mut self, commit: &mut Commit) {
        for (id, changed) in std::mem::take(&mut self.changed) {
            let Some(followed) = self.rules.get(&id) else { continue };
            if changed.rule {
                commit.record_volume(followed.written(&id));
            }
            for (key, one) in followed.keys.iter().filter(|(_, one)| changed.slots.contains(&one.slot)) {
                commit.record_volume(followed.key_written(&id, *key, one));
            }
        }
    }
}

impl Followed {
    fn new(rule: &Rule, from: Timestamp, scale: &Scale) -> Self {
        Self {
            meaning: rule.meaning(),
            began: from,
            newest: from,
            changed_at: from,
            silence: Watch::new(scale, from),
            keys: BTreeMap::new(),
            others: Windows::default(),
        }
    }

    fn add(
        &mut self,
        spike: &Spike,
        policy: &Policy,
        key: Key,
        seen: &Seen,
        around: &Surroundings<'_>,
        changed: &mut Changed,
    ) -> Option<Fired> {
        self.newest = self.newest.max(seen.at);
        if !self.keys.contains_key(&key.bits()) {
            changed.rule = true;
            self.changed_at = self.newest;
            let Some(slot) = self.free_slot() else {
                let posts = self.take_over(spike, key, seen)?;
                let one = self.keys.get_mut(&key.bits())?;
                changed.slots.insert(one.slot);
                return posts.iter().fold(None, |fired, seen| one.add(spike, policy, seen, around).or(fired));
            };
            self.silence.wait_until(seen.at, policy, around);
            let watch = self.silence.clone();
            let one = One { slot, watch, weight: 0.0, weighed: seen.at, changed_at: self.newest };
            self.keys.insert(key.bits(), one);
        }
        let newest = self.newest;
        let one = self.keys.get_mut(&key.bits())?;
        changed.slots.insert(one.slot);
        one.changed_at = newest;
        one.add(spike, policy, seen, around)
    }

    /// A place for a key, that of one long forgotten if need be.
    fn free_slot(&mut self) -> Option<usize> {
        let taken: BTreeSet<usize> = self.keys.values().map(|one| one.slot).collect();
        if let Some(free) = (0..MOST).find(|slot| !taken.contains(slot)) {
            return Some(free);
        }
        let oldest = self.keys.iter().min_by_key(|(_, one)| one.weighed).map(|(key, one)| (*key, one.weighed))?;
        let forgotten = self.newest.since(oldest.1) > LONG_AGO;
        forgotten.then(|| self.keys.remove(&oldest.0)).flatten().map(|one| one.slot)
    }

    /// Counts a key that is not followed; when it has become more than the least of those that
    /// are, it takes that one's place, and its posts are to be added.
    fn take_over(&mut self, spike: &Spike, key: Key, seen: &Seen) -> Option<Vec<Seen>> {
        let count = Count { at_least: spike.at_least, distinct: Distinct::Author, within: LATELY };
        self.others.put(key, seen.clone(), &count);
        let from = self.newest - LATELY;
        let posts: Vec<Seen> = self.others.of(key).iter().filter(|seen| seen.at >= from).cloned().collect();
        let authors = authors(posts.iter(), from);
        if (posts.len() as u64) < spike.at_least || (authors as u64) < spike.authors {
            return None;
        }
        let lesser = self.keys.iter().filter(|(_, one)| self::authors(one.watch.recent(), from) < authors);
        let weighed = lesser.map(|(key, one)| (one.weight_at(self.newest), *key));
        let (_, least) = weighed.min_by(|(a, _), (b, _)| a.total_cmp(b))?;
        let One { slot, watch, .. } = self.keys.remove(&least)?;
        for seen in watch.recent() {
            self.others.put(Key::from_bits(least), seen.clone(), &count);
        }
        self.others.remove(key);
        let one = One { slot, watch: watch.without_posts(), weight: 0.0, weighed: seen.at, changed_at: self.newest };
        self.keys.insert(key.bits(), one);
        Some(posts)
    }

    /// Of the rows of its keys: those of another life of the rule are not meant.
    fn meaning_of_keys(&self) -> String {
        format!("{}@{}", self.meaning, self.began.micros())
    }

    fn written(&self, rule: &RuleId) -> VolumeState {
        let mut state = vec![VERSION];
        state.extend(self.began.micros().to_le_bytes());
        let silence = self.silence.to_bytes();
        state.extend((silence.len() as u64).to_le_bytes());
        state.extend(silence);
        state.extend(self.others.to_bytes());
        VolumeState { rule: rule.clone(), meaning: self.meaning.clone(), at: self.changed_at, state }
    }

    fn key_written(&self, rule: &RuleId, key: u64, one: &One) -> VolumeState {
        let (rule, meaning) = (format!("{rule}#{}", one.slot).into(), self.meaning_of_keys());
        VolumeState { rule, meaning, at: one.watch.at(), state: one.to_bytes(key) }
    }

    fn read(written: &VolumeState, scale: &Scale, sightings: &Sightings) -> Option<Self> {
        let mut input = Numbers::after_version(&written.state, VERSION)?;
        let began = input.time()?;
        let length = usize::try_from(input.next()?).ok()?;
        let silence = Watch::from_bytes(scale, input.bytes(length)?).ok()?;
        let others = Windows::from_bytes(input.rest(), |post| sightings.seen(&written.rule, post))?;
        let (meaning, newest, changed_at) = (written.meaning.clone(), written.at, written.at);
        Some(Self { meaning, began, newest, changed_at, silence, keys: BTreeMap::new(), others })
    }

    fn read_key(&mut self, slot: usize, state: &[u8], scale: &Scale, seen: impl Fn(u64) -> Option<Seen>) -> Option<()> {
        let mut input = Numbers::after_version(state, VERSION)?;
        let (key, changed_at) = (input.next()?, input.time()?);
        let (weight, weighed) = (f64::from_bits(input.next()?), input.time()?);
        let mut recent = Vec::new();
        for _ in 0..input.next()? {
            recent.extend(seen(input.next()?));
        }
        let mut watch = Watch::from_bytes(scale, input.rest()).ok()?;
        watch.recall(recent);
        self.newest = self.newest.max(changed_at);
        self.keys.insert(key, One { slot, watch, weight, weighed, changed_at });
        Some(())
    }
}

impl One {
    fn add(&mut self, spike: &Spike, policy: &Policy, seen: &Seen, around: &Surroundings<'_>) -> Option<Fired> {
        if self.watch.recent().all(|known| known.author != seen.author) {
            (self.weight, self.weighed) = (self.weight_at(seen.at) + 1.0, self.weighed.max(seen.at));
        }
        let fired = self.watch.add(spike, policy, seen, around);
        self.watch.keep_recent(RECENT);
        fired
    }

    fn weight_at(&self, now: Timestamp) -> f64 {
        self.weight * 0.5_f64.powf(now.since(self.weighed).as_secs_f64() / HALVES_SECONDS)
    }

    fn to_bytes(&self, key: u64) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        let mut number = |number: u64| bytes.extend(number.to_le_bytes());
        number(key);
        number(self.changed_at.micros().cast_unsigned());
        number(self.weight.to_bits());
        number(self.weighed.micros().cast_unsigned());
        number(self.watch.recent().len() as u64);
        for seen in self.watch.recent() {
            number(seen.post_key.bits());
        }
        bytes.extend(self.watch.to_bytes());
        bytes
    }
}

fn authors<'a>(posts: impl Iterator<Item = &'a Seen>, from: Timestamp) -> usize {
    posts.filter(|seen| seen.at >= from).map(|seen| &seen.author).collect::<HashSet<&AuthorId>>().len()
}

/// How much time a rule has seen that left this state.
pub(super) fn known(state: &VolumeState, scale: &Scale) -> Option<Duration> {
    let followed = Followed::read(state, scale, &Sightings::default())?;
    Some(followed.silence.seen(scale))
}

/// What a rule asks of each key.
fn spike(rule: &Rule) -> Option<&Spike> {
    match &rule.condition {
        Condition::Spike(spike) if rule.by.is_some() => Some(spike),
        _ => None,
    }
}

/// The rule of that id, when it asks for spikes of keys.
fn following<'a>(rules: &'a RuleSet, id: &RuleId) -> Option<&'a Rule> {
    rules.find(id.as_str()).map(|(_, rule)| rule).filter(|rule| spike(rule).is_some())
}
