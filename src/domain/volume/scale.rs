//! What follows from the length of a bin: windows in bins, and how fast memories fade.

/// The windows, in seconds: a quarter of an hour, two hours, half a day, and the ten
/// minutes of the floor. The last is no test of its own.
const WINDOWS: [f64; 4] = [900.0, 7200.0, 43_200.0, 600.0];
/// The level, the overall mean and the burstiness are remembered for so many days.
const LEVEL_DAYS: f64 = 7.0;
/// An hour of the day is remembered for so many days.
const HOUR_OF_DAY_DAYS: f64 = 28.0;
/// An hour of the week is remembered for so many weeks.
const HOUR_OF_WEEK_WEEKS: f64 = 8.0;
/// A record that nothing comes near halves in so many days.
const RECORD_HALVES_DAYS: f64 = 21.0;

/// Bins of one length.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// A bin's seconds.
    pub(super) seconds: f64,
    pub(super) per_hour: f64,
    pub(super) per_day: f64,
    /// [`WINDOWS`] in bins.
    pub(super) windows: [usize; 4],
    /// Bins to remember: more than the longest window.
    pub(super) remembered: usize,
    /// Of a bin that was seen whole, as nearly all are.
    whole: Fading,
}

/// What is left of memories after a bin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fading {
    pub(super) level: f64,
    pub(super) hour_of_day: f64,
    pub(super) hour_of_week: f64,
    pub(super) record: f64,
}

impl Scale {
    /// Of bins of so many seconds.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of bins, small and whole")]
    pub fn of(seconds: f64) -> Self {
        let windows = WINDOWS.map(|window| (window / seconds).round_ties_even().max(1.0) as usize);
        let longest = windows.into_iter().max().unwrap_or(1);
        let (per_day, per_hour) = (86_400.0 / seconds, 3600.0 / seconds);
        let mut scale = Self {
            seconds,
            per_hour,
            per_day,
            windows,
            remembered: longest + 1,
            whole: Fading { level: 0.0, hour_of_day: 0.0, hour_of_week: 0.0, record: 0.0 },
        };
        scale.whole = scale.compute(1.0);
        scale
    }

    /// A minute a bin: what rules use.
    pub fn minutes() -> Self {
        Self::of(60.0)
    }

    /// A bin's seconds.
    pub const fn seconds(&self) -> f64 {
        self.seconds
    }

    pub(super) fn fading(&self, exposure: f64) -> Fading {
        if exposure >= 1.0 { self.whole } else { self.compute(exposure) }
    }

    fn compute(&self, exposure: f64) -> Fading {
        Fading {
            level: (-exposure / (LEVEL_DAYS * self.per_day)).exp(),
            // A cell is visited one hour a day, or a week.
            hour_of_day: (-exposure / (HOUR_OF_DAY_DAYS * self.per_hour)).exp(),
            hour_of_week: (-exposure / (HOUR_OF_WEEK_WEEKS * self.per_hour)).exp(),
            record: 0.5_f64.powf(exposure / (RECORD_HALVES_DAYS * self.per_day)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_whole_bins_and_never_none() {
        assert_eq!(Scale::minutes().windows, [15, 120, 720, 10]);
        assert_eq!(Scale::of(300.0).windows, [3, 24, 144, 2]);
        assert_eq!(Scale::of(3600.0).windows, [1, 2, 12, 1]);
        assert_eq!(Scale::of(86_400.0).windows, [1, 1, 1, 1]);
    }
}
