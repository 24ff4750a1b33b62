//! The only place that reads the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use crate::domain::time::{Clock, ClockSet, Timestamp};

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "everybody else asks here")]
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(jiff::Timestamp::now().as_microsecond())
    }
}

/// A step of the machine's clock; less is drift, and nobody's deadline.
const STEP_MICROS: i64 = 2_000_000;

/// The daemon's clock: starts with the machine's, and then goes evenly, however that is set. Who is to be told in five minutes is
/// told in five minutes; what the clock on the wall says counts again once [`SteadyClock::follow`] was called, and
/// whoever keeps deadlines is told by how much they have to be moved.
///
/// Time that the machine sleeps does not count: people have their minutes once it is awake.
#[derive(Debug)]
pub struct SteadyClock {
    began: Instant,
    began_at: AtomicI64,
    behind: Behind,
}

/// How far the machine's clock is behind what it once said. Then its word is not enough to call the stamp of a source
/// false that lies ahead of it.
#[derive(Clone, Debug, Default)]
pub struct Behind(Arc<AtomicI64>);

impl Behind {
    /// Nothing for a clock that was never set back.
    pub fn by(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0))
    }

    fn moves(&self, by: i64) {
        let moved = |behind: i64| Some(behind.saturating_sub(by).max(0));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, moved).unwrap_or_default();
    }
}

impl SteadyClock {
    /// Starts with the machine's clock.
    #[allow(clippy::disallowed_methods, reason = "everybody else asks here")]
    pub fn start() -> Self {
        let began_at = AtomicI64::new(SystemClock.now().micros());
        Self { began: Instant::now(), began_at, behind: Behind::default() }
    }

    /// Hears what the clock said before this start: a machine whose battery is empty begins in the past.
    pub fn was_at(&self, before: Timestamp) {
        self.behind.moves((self.now().micros() - before.micros()).min(0));
    }

    /// See [`Behind`]; follows the clock.
    pub fn behind(&self) -> Behind {
        self.behind.clone()
    }

    /// Takes over the machine's time; says so if that was set.
    pub fn follow(&self) -> Option<ClockSet> {
        self.take_over(SystemClock.now())
    }

    fn take_over(&self, at: Timestamp) -> Option<ClockSet> {
        let by = at.micros() - self.now().micros();
        self.began_at.fetch_add(by, Ordering::Relaxed);
        let set = (by.abs() >= STEP_MICROS).then_some(ClockSet { by, at })?;
        self.behind.moves(by);
        Some(set)
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.began_at.load(Ordering::Relaxed)) + self.began.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_followed_and_told_and_drift_is_not() {
        let clock = SteadyClock::start();
        let start = clock.now();
        assert_eq!(clock.take_over(start + Duration::from_secs(1)), None, "drift");
        let back = start - Duration::from_hours(3);
        let set = clock.take_over(back).unwrap();
        assert!(clock.now() >= back && clock.now() < start - Duration::from_hours(2));
        let due = start + Duration::from_mins(5);
        let left = set.moves(due).since(clock.now());
        assert!(left <= Duration::from_mins(5) && left > Duration::from_mins(3), "{left:?}");
    }

    #[test]
    fn how_far_it_is_behind_is_known_until_it_is_set_ahead() {
        let clock = SteadyClock::start();
        let (behind, hour) = (clock.behind(), Duration::from_hours(1));
        let about = |hours: u32| {
            let off = behind.by().abs_diff(hour * hours);
            assert!(off < Duration::from_mins(1), "{:?}", behind.by());
        };
        for (set, hours) in [(-3, 3), (-1, 4), (2, 2), (5, 0), (-1, 1)] {
            let at = Timestamp::from_micros(clock.now().micros() + set * 3_600_000_000);
            clock.take_over(at).unwrap();
            about(hours);
        }
        let late = SteadyClock::start();
        late.was_at(late.now() - hour);
        assert_eq!(late.behind().by(), Duration::ZERO);
        late.was_at(late.now() + hour);
        assert!(late.behind().by() > Duration::from_mins(59));
    }
}
