//! One spike rule: its baseline, the minute that is filling, and who wrote lately.
//!
//! The rule's own newest post is its clock. So the order in which sources arrive, and
//! whether they are being caught up with, makes no difference to what a window holds; a
//! late post goes into the minute where it belongs. Silent minutes are taken in when the
//! next post comes: nothing runs for ten thousand rules at every full minute.
//!
//! The minute that is filling is judged with every post that could decide it, so an alarm
//! does not wait for the minute to end.

use std::time::Duration;

use super::exposure::Exposure;
use crate::domain::condition::{Fired, Measured, Seen, Spike};
use crate::domain::message::counted;
use crate::domain::time::{Timestamp, Zone};
use crate::domain::volume::{Baseline, Bin, Floor, Policy, Promise, Scale, Unreadable};

/// Of one author, so many posts count within [`CAP_WITHIN`]: floods are not many people.
const CAP: usize = 3;
const CAP_WITHIN: Duration = Duration::from_mins(15);
/// Posts remembered, to know their authors: those of the longest window, and at most so many.
const REMEMBERED: Duration = Duration::from_hours(12);
const MOST_REMEMBERED: usize = 512;
/// Silence is taken in minute by minute, as far back as the season reaches.
const LONGEST_SILENCE: i64 = 8 * 7 * 24 * 60;
const MINUTE: i64 = 60_000_000;
/// By then a new daemon has read something of each of its sources.
const FIRST_READ: Duration = Duration::from_hours(1);
/// A minute in which posts were seen was not unseen, whatever the gaps say.
const SOME_EXPOSURE: f64 = 0.05;

/// What is known of a spike rule's posts, or of those under one key.
#[derive(Clone)]
pub(super) struct Watch {
    baseline: Baseline,
    /// The minute that is filling, in minutes since 1970.
    minute: i64,
    /// Posts in it, at most [`CAP`] of an author.
    count: u32,
    /// It raised an alert.
    told: bool,
    /// It was learnt from a recording: nothing was seen from its end on, until somebody begins to look.
    rests: bool,
    /// When somebody began to look after that.
    woke: Option<Timestamp>,
    /// So many posts in it are no alarm for sure.
    quiet_up_to: u32,
    /// Posts that counted, by time.
    recent: Vec<Seen>,
}

/// What all spike rules have in common.
pub(super) struct Surroundings<'a> {
    pub(super) scale: &'a Scale,
    pub(super) zone: &'a Zone,
    pub(super) exposure: &'a Exposure,
}

impl Watch {
    /// A rule that is in force from now on.
    pub(super) fn new(scale: &Scale, from: Timestamp) -> Self {
        let (baseline, minute) = (Baseline::new(scale), minute_of(from));
        Self { baseline, minute, count: 0, told: false, rests: false, woke: None, quiet_up_to: 0, recent: Vec::new() }
    }

    /// Counts a post; says whether the rule fires because of it.
    pub(super) fn add(&mut self, spike: &Spike, new: &Seen, around: &Surroundings<'_>) -> Option<Fired> {
        let policy = policy(spike, around.scale);
        let minute = minute_of(new.at);
        self.go_on_to(minute, &policy, around);
        if !self.remember(new) {
            return None;
        }
        if minute < self.minute {
            let age = usize::try_from(self.minute - minute - 1).unwrap_or(usize::MAX);
            self.baseline.add_late(around.scale, age, around.zone.hour_of_week(new.at), 1.0);
            self.quiet_up_to = 0;
        } else {
            self.count += 1;
        }
        if self.told || self.count <= self.quiet_up_to {
            return None;
        }
        self.judge(spike, &policy, around)
    }

    /// See [`Baseline::doubt`]. Sources that a new daemon reads for the first time are those of the
    /// recordings it was taught with: no reason to doubt what these said.
    pub(super) fn doubt(&mut self, now: Timestamp) {
        if !self.rests && self.woke.is_none_or(|woke| woke + FIRST_READ < now) {
            self.baseline.doubt();
        }
    }

    /// Takes in what lies before a minute.
    pub(super) fn go_on_to(&mut self, minute: i64, policy: &Policy, around: &Surroundings<'_>) {
        if minute <= self.minute {
            return;
        }
        let mut bin = self.open_bin(around);
        self.baseline.learn(around.scale, policy, bin, self.told);
        let from = (self.minute + 1).max(minute - LONGEST_SILENCE);
        for silent in from..minute {
            let at = start_of(silent);
            // Clocks change at quarters of an hour at most.
            let hour = if silent % 15 == 0 { around.zone.hour_of_week(at) } else { bin.hour + 1.0 / 60.0 };
            let hour = if silent == from { around.zone.hour_of_week(at) } else { hour };
            bin = Bin { count: 0.0, exposure: around.exposure.share(at, at + Duration::from_mins(1)), hour };
            self.baseline.learn(around.scale, policy, bin, false);
        }
        (self.minute, self.count, self.told, self.quiet_up_to) = (minute, 0, false, 0);
    }

    /// Puts a post among the recent ones; false when its author said enough already.
    pub(super) fn remember(&mut self, new: &Seen) -> bool {
        let from = self.recent.partition_point(|seen| seen.at + CAP_WITHIN <= new.at);
        let near = self.recent.iter().skip(from).take_while(|seen| seen.at < new.at + CAP_WITHIN);
        if near.filter(|seen| seen.author == new.author).count() >= CAP {
            return false;
        }
        let place = self.recent.partition_point(|seen| seen < new);
        self.recent.insert(place, new.clone());
        let newest = self.recent.last().map_or(new.at, |newest| newest.at);
        let old = self.recent.partition_point(|seen| seen.at + REMEMBERED < newest);
        let many = self.recent.len().saturating_sub(MOST_REMEMBERED);
        self.recent.drain(..old.max(many));
        true
    }

    fn judge(&mut self, spike: &Spike, policy: &Policy, around: &Surroundings<'_>) -> Option<Fired> {
        let Surroundings { scale, .. } = *around;
        let bin = self.open_bin(around);
        if !self.baseline.is_alarm(scale, policy, bin) {
            // More posts can only make it more of an alarm: look again when it may be one.
            let later = self.count.max(4).saturating_mul(2);
            let quiet = !self.baseline.is_alarm(scale, policy, Bin { count: later.into(), ..bin });
            self.quiet_up_to = if quiet { later } else { self.count };
            return None;
        }
        let judgement = self.baseline.judge(scale, policy, bin);
        let within = judgement.window.length(scale);
        let end = start_of(self.minute + 1);
        let seen: Vec<Seen> =
            self.recent.iter().filter(|seen| seen.at >= end - within && seen.at < end).cloned().collect();
        let fired = Fired::by(seen);
        let observed = whole(judgement.window.seen);
        if observed < spike.at_least || fired.authors < spike.authors {
            return None;
        }
        self.told = true;
        let words = judgement
            .in_words(scale, &format!("{} by {}", counted(observed, "post"), counted(fired.authors, "author")));
        let (expected, upper) = (judgement.window.expected, whole(judgement.window.usual_up_to()));
        Some(Fired { measured: Some(Measured { observed, expected, upper, within, words }), ..fired })
    }

    fn open_bin(&self, around: &Surroundings<'_>) -> Bin {
        let at = start_of(self.minute);
        let seen = around.exposure.share(at, at + Duration::from_mins(1));
        let exposure = if self.count > 0 { seen.max(SOME_EXPOSURE) } else { seen };
        Bin { count: self.count.into(), exposure, hour: around.zone.hour_of_week(at) }
    }

    /// Learns so many posts a day, evenly, from then on until `to`.
    pub(super) fn learn_evenly(&mut self, spike: &Spike, per_day: u32, to: Timestamp, around: &Surroundings<'_>) {
        let policy = policy(spike, around.scale);
        let mut due = 0;
        while self.minute < minute_of(to) {
            due += per_day;
            self.count = due / 1440;
            due %= 1440;
            self.go_on_to(self.minute + 1, &policy, around);
        }
    }

    /// Takes in all silence before a time.
    pub(super) fn wait_until(&mut self, at: Timestamp, spike: &Spike, around: &Surroundings<'_>) {
        self.go_on_to(minute_of(at), &policy(spike, around.scale), around);
    }

    /// What was usual here, for a stream of which nothing was seen lately.
    pub(super) fn without_posts(mut self) -> Self {
        self.baseline.forget_posts();
        Self { count: 0, told: false, quiet_up_to: 0, recent: Vec::new(), ..self }
    }

    /// Posts that counted lately, by time.
    pub(super) fn recent(&self) -> &[Seen] {
        &self.recent
    }

    /// Puts back what [`Watch::recent`] gave.
    pub(super) fn recall(&mut self, recent: Vec<Seen>) {
        self.recent = recent;
    }

    /// Keeps no more than so many of the recent posts.
    pub(super) fn keep_recent(&mut self, most: usize) {
        self.recent.drain(..self.recent.len().saturating_sub(most));
    }

    /// Takes in all time until then; what follows is not seen.
    pub(super) fn rest(&mut self, spike: &Spike, now: Timestamp, around: &Surroundings<'_>) {
        self.go_on_to(minute_of(now), &policy(spike, around.scale), around);
        self.rests = true;
    }

    /// From now on posts are seen again; false when they always were.
    pub(super) fn wake(&mut self, now: Timestamp, scale: &Scale, zone: &Zone) -> bool {
        if !std::mem::take(&mut self.rests) {
            return false;
        }
        self.woke = Some(now);
        let minute = minute_of(now);
        if let Some(unseen) = minute.checked_sub(self.minute).and_then(|unseen| u64::try_from(unseen).ok()) {
            // What an unseen minute teaches does not depend on what an alarm takes.
            let policy = Policy::keeping(Promise::MONTHLY, scale);
            self.baseline.skip(scale, &policy, unseen, zone.hour_of_week(now));
            (self.minute, self.count, self.told, self.quiet_up_to) = (minute, 0, false, 0);
        }
        true
    }

    /// How much time it has seen.
    pub(super) fn seen(&self, scale: &Scale) -> Duration {
        Duration::try_from_secs_f64(self.baseline.age() * scale.seconds()).unwrap_or_default()
    }

    /// The minute that is filling began.
    pub(super) fn at(&self) -> Timestamp {
        start_of(self.minute)
    }

    /// All but the recent posts, which the sightings tell.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.minute.to_le_bytes().to_vec();
        bytes.extend(self.count.to_le_bytes());
        bytes.push(u8::from(self.told) | u8::from(self.rests) << 1);
        bytes.extend(self.baseline.to_bytes());
        bytes
    }

    pub(super) fn from_bytes(scale: &Scale, bytes: &[u8]) -> Result<Self, Unreadable> {
        let (minute, rest) = bytes.split_first_chunk::<8>().ok_or(Unreadable)?;
        let (count, rest) = rest.split_first_chunk::<4>().ok_or(Unreadable)?;
        let (flags, rest) = rest.split_first().ok_or(Unreadable)?;
        Ok(Self {
            baseline: Baseline::from_bytes(scale, rest)?,
            minute: i64::from_le_bytes(*minute),
            count: u32::from_le_bytes(*count),
            told: *flags & 1 != 0,
            rests: *flags & 2 != 0,
            woke: None,
            quiet_up_to: 0,
            recent: Vec::new(),
        })
    }
}

fn policy(spike: &Spike, scale: &Scale) -> Policy {
    let floor = Floor { posts: Floor::EIGHT.posts.max(small(spike.at_least)), ..Floor::EIGHT };
    Policy { floor: Some(floor), ..Policy::keeping(spike.false_alarms, scale) }
}

fn minute_of(at: Timestamp) -> i64 {
    at.micros().div_euclid(MINUTE)
}

fn start_of(minute: i64) -> Timestamp {
    Timestamp::from_micros(minute.saturating_mul(MINUTE))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of posts")]
fn whole(count: f64) -> u64 {
    count.max(0.0) as u64
}

#[allow(clippy::cast_precision_loss, reason = "a count of posts")]
fn small(count: u64) -> f64 {
    count as f64
}
