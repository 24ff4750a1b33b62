//! One stream's silence: since when, and how many posts it usually brings meanwhile.
//!
//! What was expected is added up minute by minute from the newest post on, by what was known
//! then. So it is a function of the posts and of the time that was seen, and after a restart
//! it is found again; only the posts change what is on disk.

use std::time::Duration;

use super::minutes::{Minutes, Surroundings};
use crate::domain::time::Timestamp;
use crate::domain::volume::{Longest, Lull, Policy, Scale, Unreadable};

const MINUTE: Duration = Duration::from_mins(1);
/// The expectation is added up so far back: the season reaches no further.
const LONGEST: Duration = Duration::from_hours(8 * 7 * 24);

/// What is known of a stream that may fall silent.
pub(super) struct Silence {
    minutes: Minutes,
    /// The newest post, or when it began to be watched.
    pub(super) since: Timestamp,
    pub(super) told: bool,
    longest: Longest,
    reached: Reached,
}

/// How far a silence was weighed. Not on disk: it is found again.
#[derive(Clone, Copy, Default)]
struct Reached {
    to: Timestamp,
    seen: f64,
    expected: f64,
    /// Of the account of what was lost.
    changes: usize,
}

/// What a post was to a silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    /// It ended one that had been told.
    pub(super) ended: bool,
    /// It is the first of its minute.
    pub(super) new_minute: bool,
}

impl Silence {
    pub(super) fn new(scale: &Scale, from: Timestamp) -> Self {
        Self::of(Minutes::new(scale, from), from, false, Longest::default())
    }

    fn of(minutes: Minutes, since: Timestamp, told: bool, longest: Longest) -> Self {
        Self { minutes, since, told, longest, reached: Reached::default() }
    }

    /// A post came.
    pub(super) fn heard(&mut self, at: Timestamp, around: &Surroundings<'_>) -> Heard {
        if at >= self.since + MINUTE
            && let Some(lull) = self.lull(at, around)
        {
            self.longest.remember(lull.expected, at);
        }
        let new_minute = self.minutes.go_on_to(at, &Policy::NEVER, around);
        self.minutes.count(at, around);
        self.since = self.since.max(at);
        self.reached = Reached::default(); // late posts, too, change what was known
        if at < self.since {
            return Heard { ended: false, new_minute }; // from before the silence
        }
        Heard { ended: std::mem::take(&mut self.told), new_minute }
    }

    /// The silence until then; none while too little is known to say what is usual.
    pub(super) fn lull(&mut self, until: Timestamp, around: &Surroundings<'_>) -> Option<Lull> {
        let Surroundings { scale, zone, exposure } = *around;
        self.minutes.baseline.lull(scale, 0.0, 0.0)?;
        let from = self.since.max(until - LONGEST);
        if self.reached.changes != exposure.changes || self.reached.to < from {
            self.reached = Reached { to: from, changes: exposure.changes, ..Reached::default() };
        }
        let Reached { to, seen, expected, .. } = &mut self.reached;
        while *to + MINUTE <= until {
            let share = exposure.share(*to, *to + MINUTE);
            *seen += share;
            *expected += share * self.minutes.baseline.forecast(scale, zone.hour_of_week(*to));
            *to = *to + MINUTE;
        }
        self.minutes.baseline.lull(scale, *seen, *expected)
    }

    /// Whether a silence until then is one to tell.
    pub(super) fn is_unusual(&self, lull: &Lull, until: Timestamp) -> bool {
        lull.is_unusual(&self.longest, until)
    }

    /// Days that were seen until the newest post.
    pub(super) fn days_seen(&self, scale: &Scale) -> f64 {
        self.minutes.baseline.days_seen(scale)
    }

    /// A source that was never read before begins, see [`Minutes::doubt`].
    pub(super) fn source_added(&mut self, now: Timestamp) {
        self.minutes.doubt(now);
        self.reached = Reached::default();
    }

    /// Takes in all time until then; what follows is not seen.
    pub(super) fn rest(&mut self, now: Timestamp, around: &Surroundings<'_>) {
        self.minutes.rest(&Policy::NEVER, now, around);
    }

    /// From now on posts are seen again, and are missed from now on; false when they always were.
    pub(super) fn wake(&mut self, now: Timestamp, around: &Surroundings<'_>) -> bool {
        let woke = self.minutes.wake(now, around);
        if woke {
            (self.since, self.told, self.reached) = (self.since.max(now), false, Reached::default());
        }
        woke
    }

    /// Whether it was not told yet. What is at rest is nobody's silence.
    pub(super) fn may_be_told(&self) -> bool {
        !self.told && !self.minutes.rests()
    }

    /// How much time it has seen, that since the newest post included when it rests.
    pub(super) fn time_seen(&self, scale: &Scale) -> Duration {
        self.minutes.seen(scale)
    }

    /// See [`crate::domain::volume::Baseline::doubt`].
    pub(super) fn doubt(&mut self) {
        self.minutes.baseline.doubt();
        self.reached = Reached::default();
    }

    pub(super) fn learn_evenly(&mut self, per_day: u32, to: Timestamp, around: &Surroundings<'_>) {
        self.minutes.learn_evenly(&Policy::NEVER, per_day, to, around);
        self.since = to;
    }

    /// All but the baseline, which changes only with the first post of a minute.
    pub(super) fn open_to_bytes(&self) -> Vec<u8> {
        let Self { minutes, since, told, longest: Longest { expected, ended }, reached: _ } = self;
        let mut bytes = vec![u8::from(*told)];
        bytes.extend(since.micros().to_le_bytes());
        bytes.extend(expected.to_le_bytes());
        bytes.extend(ended.micros().to_le_bytes());
        bytes.extend(minutes.open_to_bytes());
        bytes
    }

    /// The rest of it.
    pub(super) fn baseline_to_bytes(&self) -> Vec<u8> {
        self.minutes.baseline.to_bytes()
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        [self.open_to_bytes(), self.baseline_to_bytes()].concat()
    }

    /// Reads what the two wrote, one after the other.
    pub(super) fn from_bytes(scale: &Scale, bytes: &[u8]) -> Result<Self, Unreadable> {
        let (told, rest) = bytes.split_first().ok_or(Unreadable)?;
        let (since, rest) = rest.split_first_chunk().ok_or(Unreadable)?;
        let (expected, rest) = rest.split_first_chunk().ok_or(Unreadable)?;
        let (ended, rest) = rest.split_first_chunk().ok_or(Unreadable)?;
        let [since, ended] = [since, ended].map(|micros| Timestamp::from_micros(i64::from_le_bytes(*micros)));
        let longest = Longest { expected: f64::from_le_bytes(*expected), ended };
        Ok(Self::of(Minutes::from_bytes(scale, rest)?, since, *told != 0, longest))
    }
}
