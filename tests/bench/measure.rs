//! Clocks, and how to get steady figures from a machine that others use, too.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::corpus::Recording;

/// Frames timed together: enough that reading the clock costs nothing, few enough that
/// some round of each is undisturbed.
pub const CHUNK: usize = 2000;

/// Processor time of this thread.
pub fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What the work gave, and the processor time it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = thread_time();
    let result = work();
    (result, thread_time().saturating_sub(began))
}

/// The places of a recording's chunks.
pub fn chunks(recording: &Recording) -> impl Iterator<Item = std::ops::Range<usize>> {
    let length = recording.len();
    (0..length).step_by(CHUNK).map(move |start| start..length.min(start + CHUNK))
}

/// The least processor time of each chunk over several rounds: what the work costs when
/// nobody disturbs it.
#[derive(Default)]
pub struct Best(Vec<Duration>);

impl Best {
    /// Times the work on a chunk once more.
    pub fn time(&mut self, chunk: usize, work: impl FnOnce()) -> Duration {
        let ((), took) = timed(work);
        if self.0.len() <= chunk {
            self.0.resize(chunk + 1, Duration::MAX);
        }
        self.0[chunk] = self.0[chunk].min(took);
        took
    }

    /// How many chunks were timed.
    pub const fn chunks(&self) -> usize {
        self.0.len()
    }

    /// Of all chunks together, for each of so many things.
    pub fn nanos_per(&self, things: usize) -> f64 {
        self.0.iter().sum::<Duration>().as_nanos() as f64 / things as f64
    }
}

/// The least wall time of each frame over several rounds.
#[derive(Default)]
pub struct BestOfEach(Vec<Duration>);

impl BestOfEach {
    /// Does the work on every frame, so many rounds.
    pub fn time(recording: &Recording, rounds: usize, mut work: impl FnMut(&[u8])) -> Self {
        let mut best = vec![Duration::MAX; recording.len()];
        for _ in 0..rounds {
            for (frame, best) in recording.frames().zip(&mut best) {
                let began = Instant::now();
                work(frame);
                *best = began.elapsed().min(*best);
            }
        }
        Self(best)
    }

    /// Sorted by what people compare.
    pub fn spread(self) -> Spread {
        Spread::of(self.0)
    }
}

/// Durations as people compare them.
pub struct Spread(Vec<Duration>);

impl Spread {
    /// Of at least one.
    pub fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self(durations)
    }

    /// The duration that so large a share of them stays below, in microseconds.
    pub fn micros(&self, share: f64) -> f64 {
        let last = self.0.len() - 1;
        self.0[(last as f64 * share).round() as usize].as_nanos() as f64 / 1000.0
    }

    /// p50, p99 and the longest, in microseconds.
    pub fn in_micros(&self) -> String {
        format!("p50 {:.1} µs, p99 {:.1} µs, max {:.0} µs", self.micros(0.5), self.micros(0.99), self.micros(1.0))
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let millis = |share| self.micros(share) / 1000.0;
        write!(f, "p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms", millis(0.5), millis(0.99), millis(1.0))
    }
}
