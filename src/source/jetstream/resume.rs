//! Where a Jetstream source is in its stream, and from where to ask for it again.

use std::time::Duration;

use super::subscription::{Form, Place};
use crate::domain::event::{Bookmark, Cursor, Joint};
use crate::source::position::Position;
use crate::source::timing::Timing;

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
    /// The sequence number at hand is of no use: it was refused, or leads to a frame that cannot be read.
    by_time: bool,
    /// The host of the last connection.
    last_host: Option<String>,
}

/// The place a server is asked to start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// The event of that sequence number. A server that has it no longer refuses.
    Sequence(u64),
    /// A time; a server that has nothing of it any more starts later, without a word.
    Time {
        /// The `cursor` parameter.
        ask: Cursor,
        /// The newest event known, which the replay must show again.
        known: Cursor,
    },
}

impl Start {
    /// How a connection that starts there joins onto what was read.
    pub(super) const fn joint(self) -> Joint {
        match self {
            Self::Sequence(_) => Joint::GoesOn,
            Self::Time { known, .. } => Joint::Repeats(known),
        }
    }
}

/// What is noted down of a place: `v2 812345 host:443`, or `v1 host:443`, so that a number is never
/// taken to another server or wire, where it would mean something else.
pub(super) fn bookmark(place: &Place, seq: Option<u64>) -> Bookmark {
    let (form, host) = (place.form.as_str(), &place.host);
    match seq {
        Some(seq) => format!("{form} {seq} {host}").into(),
        None => format!("{form} {host}").into(),
    }
}

/// The sequence number of a bookmark that was made at that place.
fn sequence(bookmark: &Bookmark, place: &Place) -> Option<u64> {
    let Bookmark(text) = bookmark;
    let (seq, host) = text.strip_prefix(Form::V2.as_str())?.trim_start().split_once(' ')?;
    (place.form == Form::V2 && host == place.host).then(|| seq.parse().ok()).flatten()
}

impl Resume {
    /// The first step over a frame that cannot be read.
    const FIRST_STEP: Duration = Duration::from_millis(10);

    pub(super) fn new(position: Position) -> Self {
        let (first_seen, open_seam, last_host) = (None, None, None);
        Self { position, first_seen, open_seam, floor: 0, step: Self::FIRST_STEP, by_time: false, last_host }
    }

    /// Where to start there: by its own numbers, or else by time with an overlap; none when nothing has been
    /// seen yet.
    pub(super) fn start(&self, place: &Place, timing: &Timing) -> Option<Start> {
        let seq = self.position.bookmark().and_then(|bookmark| sequence(&bookmark, place));
        if let Some(seq) = seq.filter(|_| !self.by_time && self.open_seam.is_none()) {
            return Some(Start::Sequence(seq));
        }
        let same = self.last_host.as_ref().is_none_or(|last| *last == place.host);
        self.at_time(if same { timing.overlap } else { timing.overlap_other_host })
    }

    /// The start that repeats the last `overlap`; none when nothing has been seen yet.
    fn at_time(&self, overlap: Duration) -> Option<Start> {
        let known = self.position.get().map(|cursor| cursor.0).or(self.first_seen)?;
        let overlapping = known.saturating_sub(micros(overlap));
        let ask = self.open_seam.map_or(overlapping, |seam| seam.min(overlapping)).max(self.floor);
        (ask >= SMALLEST_CURSOR).then_some(Start::Time { ask: Cursor(ask), known: Cursor(known) })
    }

    /// Notes a connection.
    pub(super) fn connected(&mut self, place: &Place) {
        self.last_host = Some(place.host.clone());
    }

    /// Does without the sequence number at hand until frames have come.
    pub(super) const fn distrust_number(&mut self) {
        self.by_time = true;
    }

    /// Notes that frames have come: there is a newer number.
    pub(super) const fn trust_numbers(&mut self) {
        self.by_time = false;
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
        let asked = match asked {
            Some(Start::Time { ask, .. }) => ask.0,
            Some(Start::Sequence(_)) | None => 0,
        };
        self.distrust_number();
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

    fn place(form: Form, host: &str) -> Place {
        Place { host: host.into(), form }
    }

    /// Where it asks for the stream by time, and the newest event known.
    fn time(resume: &Resume) -> Option<(i64, i64)> {
        match resume.at_time(SECOND)? {
            Start::Time { ask, known } => Some((ask.0, known.0)),
            Start::Sequence(_) => None,
        }
    }

    #[test]
    fn a_resume_overlaps_what_was_processed() {
        let resume = Resume::new(Position::at(Some(Cursor(T)), None));
        assert_eq!(time(&resume), Some((T - 1_000_000, T)));
    }

    #[test]
    fn a_number_is_used_only_where_it_was_given() {
        let here = place(Form::V2, "a.example:443");
        let position = Position::at(Some(Cursor(T)), Some(bookmark(&here, Some(812_345))));
        let mut resume = Resume::new(position.clone());
        let by_time = |overlap: i64| Some(Start::Time { ask: Cursor(T - overlap), known: Cursor(T) });
        let timing = Timing::default();
        assert_eq!(resume.start(&here, &timing), Some(Start::Sequence(812_345)));
        resume.connected(&here);
        // Another host may speak the same wire, the same host another, and neither knows the number.
        assert_eq!(resume.start(&place(Form::V2, "b.example:443"), &timing), by_time(10_000_000));
        assert_eq!(resume.start(&place(Form::V2, "a.example:4430"), &timing), by_time(10_000_000));
        assert_eq!(resume.start(&place(Form::V1, "a.example:443"), &timing), by_time(5_000_000));
        resume.distrust_number();
        assert_eq!(resume.start(&here, &timing), by_time(5_000_000));
        resume.trust_numbers();
        resume.leave_seam(Some(T - 60_000_000));
        assert_eq!(resume.start(&here, &timing), by_time(60_000_000));
        resume.leave_seam(None);
        // Read on elsewhere, the number is long outdated.
        position.mark(bookmark(&place(Form::V1, "a.example:443"), None));
        assert_eq!(resume.start(&here, &timing), by_time(5_000_000));
        for nonsense in ["", "v2", "v2 ", "v2 x a.example:443", "v2 -1 a.example:443", "v2 7", "v3 7 a.example:443"] {
            position.mark(nonsense.into());
            assert_eq!(resume.start(&here, &timing), by_time(5_000_000), "{nonsense}");
        }
    }

    #[test]
    fn before_anything_is_processed_the_first_event_seen_is_the_place_to_return_to() {
        let mut resume = Resume::new(Position::default());
        assert_eq!(time(&resume), None);
        resume.saw(T);
        resume.saw(T + 9);
        assert_eq!(time(&resume).map(|(_, known)| known), Some(T));
    }

    #[test]
    fn a_seam_not_read_again_is_read_by_the_next_connection() {
        let mut resume = Resume::new(Position::at(Some(Cursor(T)), None));
        resume.leave_seam(Some(T - 60_000_000));
        assert_eq!(time(&resume).map(|(ask, _)| ask), Some(T - 60_000_000));
        resume.leave_seam(None);
        assert_eq!(time(&resume).map(|(ask, _)| ask), Some(T - 1_000_000));
    }

    #[test]
    fn steps_over_a_monster_grow_until_it_is_behind() {
        let (mut resume, monster) = (Resume::new(Position::at(Some(Cursor(T)), None)), T + 500_000);
        let (mut tries, mut newest) = (0, Some(T));
        while time(&resume).is_some_and(|(ask, _)| ask <= monster) {
            resume.step_over(resume.at_time(SECOND), newest, T + 60_000_000);
            newest = None;
            tries += 1;
            assert!(tries < 10);
        }
        let skipped = time(&resume).map(|(ask, _)| ask - monster).unwrap_or_default();
        assert!((1..=4 * 500_000).contains(&skipped), "{skipped}");
        assert_eq!(time(&resume).map(|(_, known)| known), Some(T));
    }

    #[test]
    fn stepping_never_reaches_the_future() {
        let mut resume = Resume::new(Position::at(Some(Cursor(T)), None));
        for _ in 0..20 {
            resume.step_over(resume.at_time(SECOND), None, T + 1000);
        }
        assert_eq!(time(&resume).map(|(ask, _)| ask), Some(T + 1000));
    }
}
