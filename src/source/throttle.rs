//! How fast a source may be read at most: what is over it waits where it is, at the server, as when our queue is full.
//!
//! Nothing is dropped. A server that does not wait ends the connection, and reading goes on from the cursor or with a gap
//! on record, as after any other end; whoever calls us is asked to come again.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// What came in so much less than its time need not wait.
const BURST: Duration = Duration::from_secs(1);

/// So many frames a second, for all that is read of one source.
#[derive(Clone, Debug)]
pub struct Throttle {
    /// Frames a second.
    pub most: NonZeroU32,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// By when what was read would have come, at the greatest speed.
    due: Instant,
    told: bool,
}

/// How long to wait before more is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// So long.
    pub(super) time: Duration,
    /// For the first time on this connection.
    pub(super) is_first: bool,
}

impl Throttle {
    /// At most so many frames a second.
    pub fn new(most: NonZeroU32) -> Self {
        Self { most, state: Arc::new(Mutex::new(State { due: Instant::now(), told: false })) }
    }

    /// Takes frames into account, and says how long whoever reads them has to wait first, if at all.
    pub(super) fn take(&self, frames: usize, now: Instant) -> Option<Wait> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = state.due.max(now);
        let micros = 1_000_000_u64.saturating_mul(frames as u64) / u64::from(self.most.get());
        state.due = begins + Duration::from_micros(micros);
        let time = begins.saturating_duration_since(now + BURST);
        (!time.is_zero()).then(|| Wait { time, is_first: !std::mem::replace(&mut state.told, true) })
    }

    /// A new connection stands.
    pub(super) fn connected(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).told = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_limit_waits_and_a_pause_is_no_reason_to_be_slow() {
        let throttle = Throttle::new(NonZeroU32::new(100).unwrap());
        let beside = throttle.clone();
        let mut now = Instant::now();
        let began = now;
        let read = |frames: usize, throttle: &Throttle, now: &mut Instant| {
            let wait = throttle.take(frames, *now).map_or(Duration::ZERO, |wait| wait.time);
            *now += wait;
            wait
        };
        assert_eq!(read(100, &throttle, &mut now), Duration::ZERO, "a second's frames may come at once");
        assert_eq!(read(50, &throttle, &mut now), Duration::ZERO, "they wait behind them, not before");
        assert_eq!(throttle.take(0, now).map(|wait| wait.is_first), Some(true));
        for _ in 0..10 {
            read(50, &throttle, &mut now);
            read(50, &beside, &mut now);
        }
        let frames = 1150.0;
        let took = (now - began).as_secs_f64();
        assert!(took <= frames / 100.0 && took >= frames / 100.0 - 2.0, "{took}");
        assert_eq!(throttle.take(0, now).map(|wait| wait.is_first), Some(false), "told once");
        throttle.connected();
        assert_eq!(throttle.take(0, now).map(|wait| wait.is_first), Some(true), "and again after a connection");
        now += Duration::from_mins(1);
        assert_eq!(read(100, &throttle, &mut now), Duration::ZERO);
    }
}
