//! One spike rule: what is usual for it, and who wrote lately.
//!
//! The minute that is filling is judged with every post that could decide it, so an alarm
//! does not wait for the minute to end.

use std::time::Duration;

use super::lately::Lately;
use super::minutes::{Minutes, Put, Surroundings};
use crate::domain::commit::OpenMinute;
use crate::domain::condition::{Fired, Measured, Seen, Spike};
use crate::domain::message::counted;
use crate::domain::time::Timestamp;
use crate::domain::volume::{Bin, Floor, Policy, Promise, Scale, Unreadable};

/// What is known of a spike rule's posts, or of those under one key.
#[derive(Clone)]
pub(super) struct Watch {
    /// Posts by the minute, at most a few of an author.
    minutes: Minutes,
    /// So many posts in the minute that is filling are no alarm for sure.
    quiet_up_to: u32,
    lately: Lately,
    /// What is usual is not on disk as it is now.
    pub(super) learnt: bool,
}

impl Watch {
    /// A rule that is in force from now on.
    pub(super) fn new(scale: &Scale, from: Timestamp) -> Self {
        Self::of(Minutes::new(scale, from))
    }

    fn of(minutes: Minutes) -> Self {
        Self { minutes, quiet_up_to: 0, lately: Lately::default(), learnt: true }
    }

    /// Counts a post; says whether the rule fires because of it.
    pub(super) fn add(
        &mut self,
        spike: &Spike,
        policy: &Policy,
        new: &Seen,
        around: &Surroundings<'_>,
    ) -> Option<Fired> {
        self.wait_until(new.at, policy, around);
        if !self.remember(new) {
            return None;
        }
        if self.minutes.count(new.at, around) == Put::Late {
            (self.quiet_up_to, self.learnt) = (0, true);
        }
        if self.minutes.told || self.minutes.count <= self.quiet_up_to {
            return None;
        }
        self.judge(spike, policy, around)
    }

    /// See [`Minutes::doubt`].
    pub(super) fn doubt(&mut self, now: Timestamp) {
        self.minutes.doubt(now);
        self.learnt = true;
    }

    /// See [`Lately::remember`].
    pub(super) fn remember(&mut self, new: &Seen) -> bool {
        self.lately.remember(new)
    }

    fn judge(&mut self, spike: &Spike, policy: &Policy, around: &Surroundings<'_>) -> Option<Fired> {
        let Surroundings { scale, .. } = *around;
        let Minutes { baseline, count, .. } = &self.minutes;
        let bin = self.minutes.open_bin(around);
        if !baseline.is_alarm(scale, policy, bin) {
            // More posts can only make it more of an alarm: look again when it may be one.
            let later = (*count).max(4).saturating_mul(2);
            let quiet = !baseline.is_alarm(scale, policy, Bin { count: later.into(), ..bin });
            self.quiet_up_to = if quiet { later } else { *count };
            return None;
        }
        let judgement = baseline.judge(scale, policy, bin);
        let within = judgement.window.length(scale);
        let end = self.minutes.end();
        let fired = Fired::by(self.lately.between(end - within, end));
        let observed = whole(judgement.window.seen);
        if observed < spike.at_least || fired.authors < spike.authors {
            return None;
        }
        self.minutes.told = true;
        let words = judgement
            .in_words(scale, &format!("{} by {}", counted(observed, "post"), counted(fired.authors, "author")));
        let (expected, upper) = (judgement.window.expected, whole(judgement.window.usual_up_to()));
        Some(Fired { measured: Some(Measured { observed, expected, upper, within, words }), ..fired })
    }

    /// Learns so many posts a day, evenly, from then on until `to`.
    pub(super) fn learn_evenly(&mut self, policy: &Policy, per_day: u32, to: Timestamp, around: &Surroundings<'_>) {
        self.minutes.learn_evenly(policy, per_day, to, around);
        self.learnt = true;
    }

    /// Takes in all silence before a time.
    pub(super) fn wait_until(&mut self, at: Timestamp, policy: &Policy, around: &Surroundings<'_>) {
        if self.minutes.go_on_to(at, policy, around) {
            (self.quiet_up_to, self.learnt) = (0, true);
        }
    }

    /// See [`Minutes::rest`].
    pub(super) fn rest(&mut self, policy: &Policy, now: Timestamp, around: &Surroundings<'_>) {
        self.minutes.rest(policy, now, around);
    }

    /// See [`Minutes::wake`].
    pub(super) fn wake(&mut self, now: Timestamp, around: &Surroundings<'_>) -> bool {
        let woke = self.minutes.wake(now, around);
        if woke {
            (self.quiet_up_to, self.learnt) = (0, true);
        }
        woke
    }

    /// How much time it has seen.
    pub(super) fn seen(&self, scale: &Scale) -> Duration {
        self.minutes.seen(scale)
    }

    /// What was usual here, for a stream of which nothing was seen lately.
    pub(super) fn without_posts(mut self) -> Self {
        self.minutes.baseline.forget_posts();
        (self.minutes.count, self.minutes.told) = (0, false);
        Self::of(self.minutes)
    }

    /// Posts that counted lately, by time.
    pub(super) fn recent(&self) -> impl ExactSizeIterator<Item = &Seen> {
        self.lately.all()
    }

    /// Puts back what [`Watch::recent`] gave.
    pub(super) fn recall(&mut self, recent: Vec<Seen>) {
        self.lately = Lately::of(recent);
    }

    /// Keeps no more than so many of the recent posts.
    pub(super) fn keep_recent(&mut self, most: usize) {
        self.lately.keep(most);
    }

    /// What is read first of it.
    pub(super) fn begins_with(&self) -> u32 {
        self.minutes.count ^ self.quiet_up_to
    }

    /// What is read next.
    pub(super) fn ends_with(&self) -> u16 {
        self.lately.ends_with()
    }

    /// The minute that is filling began.
    pub(super) fn at(&self) -> Timestamp {
        self.minutes.at()
    }

    /// All but the recent posts, which the sightings tell.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.minutes.to_bytes()
    }

    /// The same but for the minute that is filling: what changes with the minute only.
    pub(super) fn usual_to_bytes(&self) -> Vec<u8> {
        self.minutes.usual_to_bytes()
    }

    /// The minute that is filling.
    pub(super) fn open_to_bytes(&self) -> [u8; OpenMinute::BYTES] {
        self.minutes.open_to_bytes()
    }

    /// What [`Watch::to_bytes`] or [`Watch::usual_to_bytes`] wrote.
    pub(super) fn from_bytes(scale: &Scale, bytes: &[u8]) -> Result<Self, Unreadable> {
        Ok(Self { learnt: false, ..Self::of(Minutes::from_bytes(scale, bytes)?) })
    }

    /// Fills the minute with what [`Watch::open_to_bytes`] wrote of it.
    pub(super) fn fill(&mut self, open: &[u8]) {
        self.minutes.fill(open);
    }
}

/// What a promise asks of an alarm, beside the floors.
pub(super) fn policy(promise: Promise, spike: &Spike, scale: &Scale) -> Policy {
    let floor = Floor { posts: Floor::EIGHT.posts.max(small(spike.at_least)), ..Floor::EIGHT };
    Policy { floor: Some(floor), ..Policy::keeping(promise, scale) }
}

#[allow(clippy::cast_precision_loss, reason = "a count of posts")]
fn small(count: u64) -> f64 {
    count as f64
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of posts")]
fn whole(count: f64) -> u64 {
    count.max(0.0) as u64
}
