//! Where a Jetstream source is in its stream, and from where to ask for it again.

use std::time::Duration;

use crate::domain::event::Cursor;
use crate::source::position::Position;

/// Cursors below are read as sequence numbers by the newer server. None is ever sent.
const SMALLEST_CURSOR: i64 = 1_000_000_000_000_000;

/// Where the next connection shall start.
#[derive(Debug)]
pub(super) struct Resume {
    position: Position,
    /// The first event of this run: the place to return to while nothing is processed yet.
    first_seen: Option<i64>,
    /// A hand-over that has not been read twice yet; see [`super::seam`].
    open_seam: Option<i64>,
    /// Behind here lies a frame that ends every connection; see [`Resume::step_over`].
    floor: i64,
    step: Duration,
}

/// The place a server is asked to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// The `cursor` parameter.
    pub(super) ask: Cursor,
    /// The newest event known, which the replay must show again.
    pub(super) known: Cursor,
}

impl Resume {
    /// The first step over a frame that cannot be read.
    const FIRST_STEP: Duration = Duration::from_millis(10);

    pub(super) fn new(position: Position) -> Self {
        Self { position, first_seen: None, open_seam: None, floor: 0, step: Self::FIRST_STEP }
    }

    /// The start that repeats the last `overlap`; none when nothing has been seen yet.
    pub(super) fn start(&self, overlap: Duration) -> Option<Start> {
        let known = self.position.get().map(|cursor| cursor.0).or(self.first_seen)?;
        let overlapping = known.saturating_sub(micros(overlap));
        let ask = self.open_seam.map_or(overlapping, |seam| seam.min(overlapping)).max(self.floor);
        (ask >= SMALLEST_CURSOR).then_some(Start { ask: Cursor(ask), known: Cursor(known) })
    }

    /// Notes the first event ever seen.
    pub(super) fn saw(&mut self, time_us: i64) {
        self.first_seen.get_or_insert(time_us);
    }

    /// Notes a hand-over that still has to be read again, or none.
    pub(super) fn leave_seam(&mut self, open: Option<i64>) {
        self.open_seam = open;
    }

    /// The start of a hand-over that still has to be read again.
    pub(super) fn open_seam(&self) -> Option<i64> {
        self.open_seam
    }

    /// Moves the start past a frame that ended the connection: too large for memory, or
    /// text that is not UTF-8. Asking for the same place again would meet it again, for ever.
    ///
    /// Its own time cannot be read, only that of the frame before it: `newest`, or when it
    /// came first, the place that had been asked for. So the start moves 10 ms past that,
    /// and while the frame still comes first, by four times more each time. What is skipped
    /// besides the frame is thus at most four times its distance from its neighbour, and
    /// being behind `Start::known` it shows as a gap. Never past `now`.
    pub(super) fn step_over(&mut self, asked: Option<Start>, newest: Option<i64>, now: i64) {
        let asked = asked.map_or(0, |start| start.ask.0);
        self.step = match newest {
            Some(newest) if newest >= self.floor => Self::FIRST_STEP,
            _ => self.step.saturating_mul(4),
        };
        let before = newest.unwrap_or(0).max(asked).max(self.floor);
        if before > 0 {
            self.floor = before.saturating_add(micros(self.step)).min(now).max(self.floor);
        }
    }
}

pub(super) fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: i64 = 1_795_361_895_000_000;
    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_resume_overlaps_what_was_processed() {
        let resume = Resume::new(Position::at(Some(Cursor(T)), None));
        let expected = Start { ask: Cursor(T - 5_000_000), known: Cursor(T) };
        assert_eq!(resume.start(5 * SECOND), Some(expected));
    }

    #[test]
    fn before_anything_is_processed_the_first_event_seen_is_the_place_to_return_to() {
        let mut resume = Resume::new(Position::default());
        assert_eq!(resume.start(SECOND), None);
        resume.saw(T);
        resume.saw(T + 9);
        assert_eq!(resume.start(SECOND).map(|start| start.known), Some(Cursor(T)));
    }

    #[test]
    fn a_seam_not_read_again_is_read_by_the_next_connection() {
        let mut resume = Resume::new(Position::at(Some(Cursor(T)), None));
        resume.leave_seam(Some(T - 60_000_000));
        assert_eq!(resume.start(SECOND).map(|start| start.ask), Some(Cursor(T - 60_000_000)));
        resume.leave_seam(None);
        assert_eq!(resume.start(SECOND).map(|start| start.ask), Some(Cursor(T - 1_000_000)));
    }

    #[test]
    fn steps_over_a_monster_grow_until_it_is_behind() {
        let (mut resume, monster) = (Resume::new(Position::at(Some(Cursor(T)), None)), T + 500_000);
        let (mut tries, mut newest) = (0, Some(T));
        while resume.start(SECOND).is_some_and(|start| start.ask.0 <= monster) {
            resume.step_over(resume.start(SECOND), newest, T + 60_000_000);
            newest = None;
            tries += 1;
            assert!(tries < 10);
        }
        let skipped = resume.start(SECOND).map(|start| start.ask.0 - monster).unwrap_or_default();
        assert!((1..=4 * 500_000).contains(&skipped), "{skipped}");
        assert_eq!(resume.start(SECOND).map(|start| start.known), Some(Cursor(T)));
    }

    #[test]
    fn stepping_never_reaches_the_future() {
        let mut resume = Resume::new(Position::at(Some(Cursor(T)), None));
        for _ in 0..20 {
            resume.step_over(resume.start(SECOND), None, T + 1000);
        }
        assert_eq!(resume.start(SECOND).map(|start| start.ask), Some(Cursor(T + 1000)));
    }
}
