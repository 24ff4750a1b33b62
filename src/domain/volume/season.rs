//! How many posts are usual at an hour of the week.
//!
//! A level times two shapes: the hour of the day, which is learnt in days, and the hour
//! of the week, which takes weeks. Both are pulled towards 1 by some imagined posts and
//! visits, so a young rule has hardly a shape. The level is a gamma posterior: posts seen
//! by time seen, both fading; the posts are its evidence, and a rule with little
//! evidence is forecast with much doubt.
//!
//! Cells are 32-bit: an eight-week memory needs three digits.

use super::scale::{Fading, Scale};

/// Before anything was seen: half a post in half an hour.
const FIRST_POSTS: f64 = 0.5;
const FIRST_DAYS: f64 = 0.02;
/// What is left of the evidence when the level is doubted.
const DOUBTED_POSTS: f64 = 5.0;
/// Imagined posts and visits of a cell.
const IMAGINED_POSTS: f64 = 5.0;
const IMAGINED_DAILY_VISITS: f64 = 1.0;
const IMAGINED_WEEKLY_VISITS: f64 = 4.0;

const HOURS_OF_DAY: usize = 24;
pub(super) const HOURS_OF_WEEK: usize = 168;

/// What was seen of a rule's posts, by the clock on the wall.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Season {
    /// Posts, fading: the evidence.
    pub(super) posts: f64,
    /// Bins by their shape, fading as the posts do.
    pub(super) bins: f64,
    pub(super) day: Box<[Cell; HOURS_OF_DAY]>,
    pub(super) week: Box<[Cell; HOURS_OF_WEEK]>,
}

/// Posts seen in an hour, and how many the rest of the model expected.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cell {
    pub(super) seen: f32,
    pub(super) expected: f32,
}

/// A forecast for one bin that is seen whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forecast {
    /// Posts a bin at the rule's level.
    pub(super) level: f64,
    /// How this hour compares.
    pub(super) shape: f64,
}

impl Forecast {
    pub(super) fn mean(self) -> f64 {
        self.level * self.shape
    }
}

impl Season {
    pub(super) fn new(scale: &Scale) -> Self {
        Self {
            posts: FIRST_POSTS,
            bins: FIRST_DAYS * scale.per_day,
            day: Box::new([Cell::default(); HOURS_OF_DAY]),
            week: Box::new([Cell::default(); HOURS_OF_WEEK]),
        }
    }

    /// For a bin that begins so many hours after Monday 00:00; between the middles of two
    /// hours the shape goes over from one to the other.
    pub(super) fn forecast(&self, scale: &Scale, hour: f64) -> Forecast {
        let level = self.posts / self.bins;
        let an_hour = level * scale.per_hour;
        let place = hour - 0.5;
        let share = place - place.floor();
        let before = cell_of(place);
        let after = (before + 1) % HOURS_OF_WEEK;
        let factor = |hour| self.daily(hour, an_hour) * self.weekly(hour, an_hour);
        Forecast { level, shape: (1.0 - share) * factor(before) + share * factor(after) }
    }

    /// Learns from a bin; `count` is what it may weigh.
    pub(super) fn learn(
        &mut self,
        scale: &Scale,
        hour: f64,
        count: f64,
        exposure: f64,
        was: Forecast,
        fading: &Fading,
    ) {
        self.posts = self.posts * fading.level + count;
        self.bins = self.bins * fading.level + was.shape * exposure;
        let an_hour = was.level * scale.per_hour;
        let hour = cell_of(hour);
        let (daily, weekly) = (self.daily(hour, an_hour), self.weekly(hour, an_hour));
        if let Some(cell) = self.day.get_mut(hour % HOURS_OF_DAY) {
            cell.learn(fading.hour_of_day, count, was.level * weekly * exposure);
        }
        if let Some(cell) = self.week.get_mut(hour) {
            cell.learn(fading.hour_of_week, count, was.level * daily * exposure);
        }
    }

    /// The level may be another from now on: all but a little of its evidence is dropped, so
    /// that it is found anew within hours, and forecast with much doubt until then.
    pub(super) fn doubt(&mut self) {
        let kept = (DOUBTED_POSTS / self.posts).min(1.0);
        self.posts *= kept;
        self.bins *= kept;
    }

    /// Posts that came late still show how much is usual.
    pub(super) fn learn_late(&mut self, hour: f64, posts: f64) {
        let hour = cell_of(hour);
        self.posts += posts;
        for cell in [self.day.get_mut(hour % HOURS_OF_DAY), self.week.get_mut(hour)].into_iter().flatten() {
            cell.learn(1.0, posts, 0.0);
        }
    }

    fn daily(&self, hour: usize, an_hour: f64) -> f64 {
        let cell = self.day.get(hour % HOURS_OF_DAY).copied().unwrap_or_default();
        cell.factor(IMAGINED_POSTS + IMAGINED_DAILY_VISITS * an_hour)
    }

    fn weekly(&self, hour: usize, an_hour: f64) -> f64 {
        let cell = self.week.get(hour).copied().unwrap_or_default();
        cell.factor(IMAGINED_POSTS + IMAGINED_WEEKLY_VISITS * an_hour)
    }
}

impl Cell {
    fn factor(self, imagined: f64) -> f64 {
        (f64::from(self.seen) + imagined) / (f64::from(self.expected) + imagined)
    }

    #[allow(clippy::cast_possible_truncation, reason = "three digits are needed, seven are kept")]
    fn learn(&mut self, fading: f64, seen: f64, expected: f64) {
        self.seen = (f64::from(self.seen) * fading + seen) as f32;
        self.expected = (f64::from(self.expected) * fading + expected) as f32;
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an hour of the week")]
fn cell_of(hour: f64) -> usize {
    (hour.floor() as i64).rem_euclid(168) as usize
}
