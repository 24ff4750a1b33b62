//! A judgement as people read it.

use std::time::Duration;

use super::{Judgement, Scale, Window};
use crate::domain::time::human;

/// Beyond one in a million the forecast is not to be believed.
const BELIEVED: f64 = 6.0;
const YEAR: f64 = 365.25 * 86_400.0;

impl Window {
    /// How long it is.
    #[allow(clippy::cast_precision_loss, reason = "bins of half a day")]
    pub fn length(&self, scale: &Scale) -> Duration {
        Duration::try_from_secs_f64(self.bins as f64 * scale.seconds()).unwrap_or_default()
    }
}

impl Judgement {
    /// "31 posts in 15 min; expected 0.4, at most 3 at this hour of the week; by chance once in 9 years".
    pub fn in_words(&self, scale: &Scale, what: &str) -> String {
        let Self { window, .. } = self;
        let Window { expected, local, .. } = *window;
        let (length, usual) = (human(window.length(scale)), window.usual_up_to());
        let by = if local { "after the two hours before" } else { "at this hour of the week" };
        let expected = rounded(expected);
        format!("{what} in {length}; expected {expected}, at most {usual} {by}; by chance {}", self.chance(scale))
    }

    /// How often a window of this length holds as much for no reason.
    fn chance(&self, scale: &Scale) -> String {
        let believed = self.surprise.min(BELIEVED);
        let seconds = self.window.length(scale).as_secs_f64() * 10_f64.powf(believed);
        let less = if self.surprise > BELIEVED { "less than " } else { "" };
        let span = match seconds {
            ..7200.0 => human(Duration::try_from_secs_f64((seconds / 60.0).round() * 60.0).unwrap_or_default()),
            ..172_800.0 => format!("{:.0} hours", seconds / 3600.0),
            ..63_115_200.0 => format!("{:.0} days", seconds / 86_400.0),
            _ => format!("{:.0} years", seconds / YEAR),
        };
        format!("{less}once in {span}")
    }
}

/// An expectation with as many digits as it is worth.
pub fn rounded(expected: f64) -> String {
    match expected {
        ..0.01 => "less than 0.01".to_owned(),
        ..0.095 => format!("{expected:.2}"),
        ..9.95 => format!("{expected:.1}"),
        _ => format!("{expected:.0}"),
    }
}
