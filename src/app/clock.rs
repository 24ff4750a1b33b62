//! The only place that reads the time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

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
}

impl SteadyClock {
    /// Starts with the machine's clock.
    #[allow(clippy::disallowed_methods, reason = "everybody else asks here")]
    pub fn start() -> Self {
        Self { began: Instant::now(), began_at: AtomicI64::new(SystemClock.now().micros()) }
    }

    /// Takes over the machine's time; says so if that was set.
    pub fn follow(&self) -> Option<ClockSet> {
        self.take_over(SystemClock.now())
    }

    fn take_over(&self, at: Timestamp) -> Option<ClockSet> {
        let by = at.micros() - self.now().micros();
        self.began_at.fetch_add(by, Ordering::Relaxed);
        (by.abs() >= STEP_MICROS).then_some(ClockSet { by, at })
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.began_at.load(Ordering::Relaxed)) + self.began.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
}
