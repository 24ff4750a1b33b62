//! A baseline that is fed minute by minute, and the minute that is filling.
//!
//! The newest post is its clock. So the order in which sources arrive, and whether they are
//! being caught up with, makes no difference to what is learnt; a late post goes into the
//! minute where it belongs. Silent minutes are taken in when the next post comes: nothing
//! runs for ten thousand rules at every full minute.

use std::time::Duration;

use super::exposure::Exposure;
use crate::domain::commit::OpenMinute;
use crate::domain::time::{Timestamp, Zone};
use crate::domain::volume::{Baseline, Bin, Policy, Promise, Scale, Unreadable};

/// Silence is taken in minute by minute, as far back as the season reaches.
const LONGEST_SILENCE: i64 = 8 * 7 * 24 * 60;
const MINUTE: i64 = 60_000_000;
/// A minute in which posts were seen was not unseen, whatever the gaps say.
const SOME_EXPOSURE: f64 = 0.05;

/// By then a new daemon has read something of each of its sources.
const FIRST_READ: Duration = Duration::from_hours(1);

/// What is known of a stream of posts.
#[derive(Clone)]
pub(super) struct Minutes {
    pub(super) baseline: Baseline,
    /// The minute that is filling, in minutes since 1970.
    minute: i64,
    /// Posts in it.
    pub(super) count: u32,
    /// It raised an alert.
    pub(super) told: bool,
    /// It was learnt from a recording: nothing was seen from its end on, until somebody begins to look.
    rests: bool,
    /// When somebody began to look after that.
    woke: Option<Timestamp>,
}

/// What all streams have in common.
pub(super) struct Surroundings<'a> {
    pub(super) scale: &'a Scale,
    pub(super) zone: &'a Zone,
    pub(super) exposure: &'a Exposure,
}

/// Where a post was put.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    InTime,
    Late,
}

impl Minutes {
    /// Watched from now on.
    pub(super) fn new(scale: &Scale, from: Timestamp) -> Self {
        let baseline = Baseline::new(scale);
        Self { baseline, minute: minute_of(from), count: 0, told: false, rests: false, woke: None }
    }

    /// See [`Baseline::doubt`]. Sources that a new daemon reads for the first time are those of the
    /// recordings it was taught with: no reason to doubt what these said.
    pub(super) fn doubt(&mut self, now: Timestamp) {
        if !self.rests && self.woke.is_none_or(|woke| woke + FIRST_READ < now) {
            self.baseline.doubt();
        }
    }

    /// Takes in all time until then; what follows is not seen.
    pub(super) fn rest(&mut self, policy: &Policy, now: Timestamp, around: &Surroundings<'_>) {
        self.go_on_to(now, policy, around);
        self.rests = true;
    }

    /// Whether nobody has begun to look since.
    pub(super) const fn rests(&self) -> bool {
        self.rests
    }

    /// From now on posts are seen again; false when they always were.
    pub(super) fn wake(&mut self, now: Timestamp, around: &Surroundings<'_>) -> bool {
        if !std::mem::take(&mut self.rests) {
            return false;
        }
        self.woke = Some(now);
        let minute = minute_of(now);
        if let Some(unseen) = minute.checked_sub(self.minute).and_then(|unseen| u64::try_from(unseen).ok()) {
            // What an unseen minute teaches does not depend on what an alarm takes.
            let policy = Policy::keeping(Promise::MONTHLY, around.scale);
            self.baseline.skip(around.scale, &policy, unseen, around.zone.hour_of_week(now));
            (self.minute, self.count, self.told) = (minute, 0, false);
        }
        true
    }

    /// How much time it has seen.
    pub(super) fn seen(&self, scale: &Scale) -> Duration {
        Duration::try_from_secs_f64(self.baseline.age() * scale.seconds()).unwrap_or_default()
    }

    /// Takes in what lies before the minute of an instant; true when that minute is a new one.
    pub(super) fn go_on_to(&mut self, at: Timestamp, policy: &Policy, around: &Surroundings<'_>) -> bool {
        let minute = minute_of(at);
        if minute <= self.minute {
            return false;
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
        (self.minute, self.count, self.told) = (minute, 0, false);
        true
    }

    /// Counts a post, after [`Minutes::go_on_to`] its time.
    pub(super) fn count(&mut self, at: Timestamp, around: &Surroundings<'_>) -> Put {
        let minute = minute_of(at);
        if minute >= self.minute {
            self.count += 1;
            return Put::InTime;
        }
        let age = usize::try_from(self.minute - minute - 1).unwrap_or(usize::MAX);
        self.baseline.add_late(around.scale, age, around.zone.hour_of_week(at), 1.0);
        Put::Late
    }

    /// The minute that is filling, as it stands.
    pub(super) fn open_bin(&self, around: &Surroundings<'_>) -> Bin {
        let at = self.at();
        let seen = around.exposure.share(at, at + Duration::from_mins(1));
        let exposure = if self.count > 0 { seen.max(SOME_EXPOSURE) } else { seen };
        Bin { count: self.count.into(), exposure, hour: around.zone.hour_of_week(at) }
    }

    /// Learns so many posts a day, evenly, from then on until `to`.
    pub(super) fn learn_evenly(&mut self, policy: &Policy, per_day: u32, to: Timestamp, around: &Surroundings<'_>) {
        let mut due = 0;
        while self.minute < minute_of(to) {
            due += per_day;
            self.count = due / 1440;
            due %= 1440;
            self.go_on_to(self.end(), policy, around);
        }
    }

    /// The minute that is filling began.
    pub(super) fn at(&self) -> Timestamp {
        start_of(self.minute)
    }

    /// It ends.
    pub(super) fn end(&self) -> Timestamp {
        start_of(self.minute + 1)
    }

    /// The minute that is filling.
    pub(super) fn open_to_bytes(&self) -> [u8; OpenMinute::BYTES] {
        Open { minute: self.minute, count: self.count, told: self.told, rests: self.rests }.to_bytes()
    }

    /// All but the posts in it.
    pub(super) fn usual_to_bytes(&self) -> Vec<u8> {
        let mut bytes = Open { minute: self.minute, count: 0, told: false, rests: self.rests }.to_bytes().to_vec();
        bytes.extend(self.baseline.to_bytes());
        bytes
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.open_to_bytes().to_vec();
        bytes.extend(self.baseline.to_bytes());
        bytes
    }

    /// What [`Minutes::to_bytes`] or [`Minutes::usual_to_bytes`] wrote.
    pub(super) fn from_bytes(scale: &Scale, bytes: &[u8]) -> Result<Self, Unreadable> {
        let (Open { minute, count, told, rests }, rest) = Open::split_first(bytes).ok_or(Unreadable)?;
        Ok(Self { baseline: Baseline::from_bytes(scale, rest)?, minute, count, told, rests, woke: None })
    }

    /// What [`Minutes::open_to_bytes`] wrote, if it was of this minute; an older one was taken in since.
    pub(super) fn fill(&mut self, bytes: &[u8]) {
        if let Some((open, _)) = Open::split_first(bytes)
            && open.minute == self.minute
            && open.rests == self.rests
        {
            (self.count, self.told) = (self.count.max(open.count), self.told || open.told);
        }
    }
}

/// The minute that is filling, as it is written.
struct Open {
    minute: i64,
    count: u32,
    told: bool,
    rests: bool,
}

impl Open {
    fn to_bytes(&self) -> [u8; OpenMinute::BYTES] {
        let flags = [u8::from(self.told) | u8::from(self.rests) << 1];
        let all = self.minute.to_le_bytes().into_iter().chain(self.count.to_le_bytes()).chain(flags);
        let mut bytes = [0; OpenMinute::BYTES];
        bytes.iter_mut().zip(all).for_each(|(slot, byte)| *slot = byte);
        bytes
    }

    fn split_first(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (minute, rest) = bytes.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let (flags, rest) = rest.split_first()?;
        let (minute, count) = (i64::from_le_bytes(*minute), u32::from_le_bytes(*count));
        Some((Self { minute, count, told: *flags & 1 != 0, rests: *flags & 2 != 0 }, rest))
    }
}

fn minute_of(at: Timestamp) -> i64 {
    at.micros().div_euclid(MINUTE)
}

fn start_of(minute: i64) -> Timestamp {
    Timestamp::from_micros(minute.saturating_mul(MINUTE))
}
