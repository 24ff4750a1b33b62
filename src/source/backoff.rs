//! How long to wait before a connection is tried again, and with which host.
//!
//! Full jitter (Brooker, "Exponential Backoff And Jitter", 2015): the wait is drawn evenly
//! between nothing and a ceiling that doubles, so that a thousand clients cut off at the
//! same instant do not return at the same instant.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use tokio::time::Instant;
use url::Url;

/// A small generator of evenly spread numbers (splitmix64, Steele et al. 2014). Not for secrets.
#[derive(Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    /// Seeded by the system, differently in every process.
    pub(super) fn from_system() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    /// An even draw from zero up to `ceiling`.
    pub(super) fn below(&mut self, ceiling: Duration) -> Duration {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let micros = (u128::from(mixed) * ceiling.as_micros()) >> 64;
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

/// Waits that grow with every failure.
#[derive(Debug)]
pub(super) struct Backoff {
    jitter: Jitter,
    first: Duration,
    cap: Duration,
    failures: u32,
}

impl Backoff {
    /// The first wait is at most `first`, and none is longer than `cap`.
    pub(super) fn new(jitter: Jitter, first: Duration, cap: Duration) -> Self {
        Self { jitter, first, cap, failures: 0 }
    }

    /// The wait after one more failure.
    pub(super) fn after_failure(&mut self) -> Duration {
        let ceiling = self.first.saturating_mul(1 << self.failures.min(20)).min(self.cap);
        self.failures = self.failures.saturating_add(1);
        self.jitter.below(ceiling)
    }

    /// The wait a busy server gets that did not say how long: at least half of the cap.
    pub(super) fn after_busy(&mut self) -> Duration {
        self.cap / 2 + self.jitter.below(self.cap / 2)
    }

    /// The connection proved healthy.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// The hosts of a source, used in turn.
#[derive(Debug)]
pub(super) struct Hosts {
    urls: Vec<Url>,
    current: usize,
    // A host that asked for patience, and until when.
    resting: Vec<Option<Instant>>,
}

impl Hosts {
    pub(super) fn new(urls: Vec<Url>) -> Self {
        Self { resting: vec![None; urls.len()], current: 0, urls }
    }

    /// The host to use now; none only for an empty list.
    pub(super) fn current(&self) -> Option<&Url> {
        self.urls.get(self.current)
    }

    /// Leaves the current host for the next.
    pub(super) fn fail_over(&mut self) {
        self.current = (self.current + 1) % self.urls.len().max(1);
    }

    /// Leaves the current host alone for a while.
    pub(super) fn rest(&mut self, until: Instant) {
        if let Some(resting) = self.resting.get_mut(self.current) {
            *resting = Some(until);
        }
    }

    /// Moves on to the first host that is not resting; when all are, to the one that is
    /// first to be done, and says until when.
    pub(super) fn choose(&mut self, now: Instant) -> Option<Instant> {
        let hosts = self.urls.len();
        let in_turn = (0..hosts).map(|step| (self.current + step) % hosts);
        let until = |host: usize| self.resting.get(host).copied().flatten().filter(|&until| until > now);
        let best = in_turn.min_by_key(|&host| until(host).unwrap_or(now))?;
        let wait = until(best);
        self.current = best;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_grow_to_the_cap_and_are_drawn_evenly() {
        let mut backoff = Backoff::new(Jitter(7), SECOND, 8 * SECOND);
        for ceiling in [1, 2, 4, 8, 8, 8] {
            let wait = backoff.after_failure();
            assert!(wait < ceiling * SECOND, "{wait:?} is not below {ceiling} s");
        }
        let mean = (0..1000).map(|_| backoff.after_failure()).sum::<Duration>() / 1000;
        assert!(mean > 3 * SECOND && mean < 5 * SECOND, "{mean:?}");
        backoff.reset();
        assert!(backoff.after_failure() < SECOND);
        assert!((0..100).all(|_| backoff.after_busy() >= 4 * SECOND));
    }

    #[test]
    fn two_processes_do_not_wait_alike() {
        assert_ne!(Jitter::from_system().below(3600 * SECOND), Jitter::from_system().below(3600 * SECOND));
    }

    #[tokio::test]
    async fn a_host_that_asks_for_patience_is_passed_over() {
        let urls = ["ws://a.example", "ws://b.example"].map(|url| url.parse().unwrap());
        let (mut hosts, now) = (Hosts::new(urls.to_vec()), Instant::now());
        hosts.rest(now + 9 * SECOND);
        assert_eq!(hosts.choose(now), None);
        assert_eq!(hosts.current().and_then(Url::host_str), Some("b.example"));
        hosts.rest(now + 5 * SECOND);
        assert_eq!(hosts.choose(now), Some(now + 5 * SECOND));
        assert_eq!(hosts.current().and_then(Url::host_str), Some("b.example"));
        assert_eq!(hosts.choose(now + 9 * SECOND), None);
    }
}
