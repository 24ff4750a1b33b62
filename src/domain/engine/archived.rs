//! Since when the archive holds every post that a rule takes.
//!
//! A new rule learns from the kept posts what it would know had it been in force. Taken for all that
//! was said, an archive with holes would teach it that little is: then the first ordinary hour is
//! an alarm. So this is kept beside the posts, in the same transactions: for each rule in force,
//! since when its posts were all kept. It tells of a new rule
//!
//! * that asks for the same as one in force (another condition, another name), or for less (all
//!   that it takes the other one takes, see [`Rule::is_within`]): the archive is whole for it for
//!   as long as for the other;
//! * that the sample is of every post: then it is whole for any rule;
//! * otherwise nothing: the rule learns from now on, as without an archive.
//!
//! What was lost while no source was read is not here but among the gaps. A source that is new
//! brings what the archive cannot have of it, so all begins again with it. Posts that their
//! authors took back are missing from the archive, a few in a hundred; those that retention
//! ended as well, and whoever reads does not begin before.
//!
//! Rejected: to scale up a sample of one in so many (its hours would be guesses, and one post of
//! it a hundred at once); to take the sightings of another rule for its posts (they do not say
//! what a narrower rule would have taken).

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::time::Duration;

use crate::domain::commit::{Commit, VolumeState};
use crate::domain::condition::keyed::Numbers;
use crate::domain::key::Key;
use crate::domain::rule::{Rule, RuleSet};
use crate::domain::time::Timestamp;

/// The name of its row; no rule's id has such a sign.
const ROW: &str = "#archive";
const MEANING: &str = "since when all is kept";
const VERSION: u8 = 1;
/// Stands for what every rule takes. By chance a rule has this name once in 2^64.
const EVERYTHING: Key = Key::from_bits(0);

/// Since when all that some rules take is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archived {
    since: BTreeMap<Key, Timestamp>,
    /// It speaks of the rules in force.
    is_complete: bool,
    /// It is not on disk as it is.
    changed: bool,
    /// Up to then other rules were in force.
    until: Timestamp,
}

impl Archived {
    /// The name of the row that it is on disk.
    pub const ROW: &str = ROW;

    /// What the last run left.
    pub fn read(states: &[VolumeState]) -> Self {
        let mut archived = Self::default();
        archived.restore(states);
        archived
    }

    /// Since when all is kept that these rules take, of each one of which that is known. `before` are
    /// those that were in force until now.
    pub fn of(&self, rules: &[&Rule], before: &RuleSet, after: &RuleSet) -> BTreeMap<Key, Timestamp> {
        let everything = self.since.get(&EVERYTHING).copied();
        let known = |rule| self.since.get(&Rule::taking(rule)).map(|since| (rule, *since));
        let wider: Vec<(&Rule, Timestamp)> = before.rules().iter().chain(after.rules()).filter_map(known).collect();
        let of_rule = |rule: &Rule| {
            let name = rule.taking();
            let same = self.since.get(&name).copied();
            let others = wider.iter().filter(|(other, _)| rule.is_within(other)).map(|(_, since)| *since);
            Some((name, others.chain(same).chain(everything).min()?))
        };
        rules.iter().filter_map(|rule| of_rule(rule)).collect()
    }

    /// The row in which rules are told since when all that they take was kept.
    pub fn row(since: &BTreeMap<Key, Timestamp>) -> VolumeState {
        let mut state = vec![VERSION];
        for (name, since) in since {
            state.extend(name.bits().to_le_bytes());
            state.extend(since.micros().to_le_bytes());
        }
        let newest = since.values().max().copied().unwrap_or_default();
        VolumeState { rule: ROW.into(), meaning: MEANING.to_owned(), at: newest, state }
    }

    /// Adds what rows say; of what is known already, the earlier time.
    pub(super) fn restore(&mut self, states: &[VolumeState]) {
        for row in states.iter().filter(|row| row.rule.as_str() == ROW && row.meaning == MEANING) {
            let Some(mut input) = Numbers::after_version(&row.state, VERSION) else { continue };
            while let (Some(name), Some(since)) = (input.next().map(Key::from_bits), input.time()) {
                let known = self.since.entry(name).or_insert(since);
                *known = since.min(*known);
            }
        }
        (self.is_complete, self.changed) = (false, true);
    }

    /// A source that was never read before begins: of what was said there the archive has nothing.
    pub(super) fn source_added(&mut self) {
        *self = Self { changed: true, ..Self::default() };
    }

    /// From now on all is kept that the rules in force take, and what other rules took is not.
    pub(super) fn begin(&mut self, rules: &RuleSet, sample: Option<NonZeroU64>, now: Timestamp) {
        if self.is_complete || now == Timestamp::default() {
            return;
        }
        let everything = sample.filter(|one_in| one_in.get() == 1).map(|_| EVERYTHING);
        let names = rules.rules().iter().filter(|rule| rule.joins.is_empty()).map(Rule::taking).chain(everything);
        // Of what was said at the same moment some came before, and was kept for other rules.
        let first = if now > self.until { now } else { self.until + Duration::from_micros(1) };
        let since = names.map(|name| (name, self.since.get(&name).copied().unwrap_or(first))).collect();
        self.changed |= since != self.since;
        (self.since, self.is_complete) = (since, true);
    }

    /// Other rules are in force from now on. What the disk said of those that learnt is believed as far as it is known
    /// here as well: rules that were in force for a moment only, in which others were not kept, may not be on it yet.
    pub(super) fn swap(&mut self, before: &RuleSet, after: &RuleSet, lessons: &[VolumeState], now: Timestamp) {
        let told = Self::read(lessons).since;
        let taught: Vec<&Rule> = after.rules().iter().filter(|rule| told.contains_key(&rule.taking())).collect();
        let known = self.of(&taught, before, after);
        self.since.extend(known);
        (self.is_complete, self.changed, self.until) = (false, true, now);
    }

    /// Puts what changed into a commit.
    pub(super) fn record(&mut self, commit: &mut Commit) {
        if self.is_complete && std::mem::take(&mut self.changed) {
            commit.record_volume(Self::row(&self.since));
        }
    }
}
