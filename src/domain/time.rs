//! Instants as data.
//!
//! Nothing below `domain` reads a clock: the present arrives as an argument, so a
//! simulation of months runs in seconds. Only `app::clock` implements [`Clock`].

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

/// An instant in microseconds since 1970-01-01T00:00:00Z, leap seconds ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// The text is not a date and time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a date and time of RFC 3339")]
pub struct NotATime;

impl Timestamp {
    /// The instant `micros` microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The instant `seconds` after the epoch.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Without the fraction of a second, as people read times.
    #[must_use]
    pub const fn whole_second(self) -> Self {
        Self(self.0 - self.0.rem_euclid(1_000_000))
    }

    /// Time since `earlier`; zero when `earlier` lies in the future.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads RFC 3339. A missing zone is read as UTC, because posts in the wild lack it.
    ///
    /// # Errors
    /// [`NotATime`] when the text is no date with a time of day.
    pub fn parse(text: &str) -> Result<Self, NotATime> {
        if let Some(instant) = usual(text.as_bytes()) {
            return Ok(instant);
        }
        if let Ok(instant) = jiff::Timestamp::from_str(text) {
            return Ok(Self(instant.as_microsecond()));
        }
        let civil = jiff::civil::DateTime::from_str(text).or(Err(NotATime))?;
        if text.len() < "2026-11-22T10:00".len() {
            return Err(NotATime); // a bare date says too little
        }
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).or(Err(NotATime))?;
        Ok(Self(zoned.timestamp().as_microsecond()))
    }
}

/// Reads `2026-11-22T15:38:15.101Z`, the form nearly every program writes, in a tenth of the
/// time that a reader of all forms takes. Anything unusual is none, and left to that one.
fn usual(text: &[u8]) -> Option<Timestamp> {
    let (date, rest) = text.split_first_chunk::<19>()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', h1, h2, b':', n1, n2, b':', s1, s2] = *date else {
        return None;
    };
    let date = i64::from(eight_digits([y1, y2, y3, y4, m1, m2, d1, d2])?);
    let time = i64::from(eight_digits([b'0', b'0', h1, h2, n1, n2, s1, s2])?);
    let (year, month, day) = (date / 10_000, date / 100 % 100, date % 100);
    let (hour, minute, second) = (time / 10_000, time / 100 % 100, time % 100);
    let days = match month {
        2 => 28, // the 29th is for others to judge
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let usual = (1970..9999).contains(&year) && (1..=12).contains(&month) && (1..=days).contains(&day);
    if !usual || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros = match *rest {
        [b'Z'] => 0,
        [b'.', a, b, c, b'Z'] => 1000 * i64::from(eight_digits([b'0', b'0', b'0', b'0', b'0', a, b, c])?),
        [b'.', ref decimals @ .., b'Z'] if (1..=6).contains(&decimals.len()) => {
            number(decimals)? * 10_i64.pow(6 - u32::try_from(decimals.len()).ok()?)
        }
        _ => return None,
    };
    // Days from 1970 on: years and months counted from March, so that the leap day comes last.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * years + years / 4 - years / 100 + years / 400 + (153 * months + 2) / 5 + day - 719_469;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(Timestamp(seconds * 1_000_000 + micros))
}

/// Reads eight decimal digits, all at once: each step joins neighbours, to pairs, fours and eight.
#[inline]
pub fn eight_digits(digits: [u8; 8]) -> Option<u32> {
    const EACH: u64 = u64::MAX / 255;
    let ones = u64::from_le_bytes(digits) ^ (EACH * 0x30); // below ten where there was a digit
    if (ones | ones.wrapping_add(EACH * 0x76)) & (EACH * 0x80) != 0 {
        return None;
    }
    let pairs = (ones * 10 + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs * 100 + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    u32::try_from((fours * 10_000 + (fours >> 32)) & 0xffff_ffff).ok()
}

fn number(digits: &[u8]) -> Option<i64> {
    let digit = |digit: &u8| digit.is_ascii_digit().then(|| i64::from(digit - b'0'));
    digits.iter().try_fold(0, |number, next| Some(number * 10 + digit(next)?))
}

/// RFC 3339 in UTC, with as many decimals of a second as there are.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(instant) => fmt::Display::fmt(&instant, f),
            Err(_) => write!(f, "{} µs since 1970", self.0),
        }
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}

/// The clock that people look at: a time zone, as a value. Whoever knows the machine's
/// database of zones makes one; without, it is UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(jiff::tz::TimeZone);

impl Zone {
    /// That zone.
    pub const fn of(zone: jiff::tz::TimeZone) -> Self {
        Self(zone)
    }

    /// When its clocks are set, and by how much.
    pub(super) const fn rules(&self) -> &jiff::tz::TimeZone {
        &self.0
    }

    /// What clocks here show, as `strftime` writes it: `%Y-%m-%d %H:%M %:z`.
    pub fn shows(&self, at: Timestamp, format: &str) -> String {
        let instant = jiff::Timestamp::from_microsecond(at.0);
        let shown = instant.map(|instant| instant.to_zoned(self.0.clone()).strftime(format).to_string());
        shown.unwrap_or_else(|_| at.to_string())
    }

    /// Local hours since Monday 00:00, from 0 to 168.
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of a week")]
    pub fn hour_of_week(&self, at: Timestamp) -> f64 {
        const WEEK: i64 = 7 * 86_400_000;
        let offset = jiff::Timestamp::from_microsecond(at.0).map_or(0, |at| self.0.to_offset(at).seconds());
        // 1970 began on a Thursday.
        let local = at.0.div_euclid(1000) + i64::from(offset) * 1000 + 3 * 86_400_000;
        local.rem_euclid(WEEK) as f64 / 3.6e6
    }

    /// When a day begins there, such as `2026-11-29`; none for what is no day.
    pub fn day(&self, text: &str) -> Option<Timestamp> {
        self.begins(text.parse().ok()?)
    }

    /// When the day after that of an instant begins there: not every day has 24 hours.
    pub fn day_after(&self, at: Timestamp) -> Option<Timestamp> {
        let at = jiff::Timestamp::from_microsecond(at.0).ok()?;
        self.begins(self.0.to_datetime(at).date().tomorrow().ok()?)
    }

    /// Also where there is no midnight.
    fn begins(&self, day: jiff::civil::Date) -> Option<Timestamp> {
        let begins = day.to_zoned(self.0.clone()).ok()?.start_of_day().ok()?;
        Some(Timestamp(begins.timestamp().as_microsecond()))
    }
}

impl Default for Zone {
    fn default() -> Self {
        Self(jiff::tz::TimeZone::UTC)
    }
}

/// The clock on the wall was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockSet {
    /// By so many microseconds; less than none: back.
    pub by: i64,
    /// What it shows since.
    pub at: Timestamp,
}

impl ClockSet {
    /// A deadline by the new clock, as far away as it was by the old one.
    pub const fn moves(&self, deadline: Timestamp) -> Timestamp {
        Timestamp(deadline.0.saturating_add(self.by))
    }

    /// Both, one after the other.
    #[must_use]
    pub const fn and(self, later: Self) -> Self {
        Self { by: self.by.saturating_add(later.by), at: later.at }
    }
}

/// Where the present comes from. The shell passes one down; tests pass their own.
pub trait Clock: Send + Sync {
    /// The present.
    fn now(&self) -> Timestamp;
}

/// A span for people: `45 s`, `12 min`, `3 h 5 min`, `2 d 4 h`.
pub fn human(span: Duration) -> String {
    let seconds = span.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) if minutes < 10 && !seconds.is_multiple_of(60) => format!("{minutes} min {} s", seconds % 60),
        (0, 0, _) => format!("{minutes} min"),
        (0, _, _) if minutes.is_multiple_of(60) => format!("{hours} h"),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ if hours.is_multiple_of(24) => format!("{days} d"),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_and_without_a_zone() {
        let expected = Timestamp::from_seconds(1_795_341_600);
        assert_eq!(usual(b"2026-11-22T10:00:00.000Z"), Some(expected));
        for text in ["2026-11-22T10:00:00Z", "2026-11-22T11:00:00+01:00", "2026-11-22T10:00:00", "2026-11-22 10:00:00"]
        {
            assert_eq!(Timestamp::parse(text), Ok(expected), "{text}");
        }
        for text in ["", "yesterday", "2026-11-22", "2026-13-01T00:00:00Z", "99999-01-01T00:00:00Z"] {
            assert_eq!(Timestamp::parse(text), Err(NotATime), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_usual_form_is_read_as_any_other(micros in 0..253_402_300_799_000_000_i64, cut in 0usize..8) {
            let text = Timestamp(micros).to_string();
            let cut = &text.as_bytes()[..text.len().saturating_sub(cut)];
            for text in [text.clone(), String::from_utf8(cut.to_vec()).unwrap() + "Z"] {
                let other = jiff::Timestamp::from_str(&text).ok().map(|instant| Timestamp(instant.as_microsecond()));
                if let Some(usual) = usual(text.as_bytes()) {
                    proptest::prop_assert_eq!(Some(usual), other, "{}", text);
                }
            }
        }

        #[test]
        fn digits_out_of_range_are_left_to_others(text in "[0-9]{4}-[0-9]{2}-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,7})?[Zz]?") {
            let other = jiff::Timestamp::from_str(&text).ok().map(|instant| Timestamp(instant.as_microsecond()));
            if let Some(usual) = usual(text.as_bytes()) {
                proptest::prop_assert_eq!(Some(usual), other, "{}", text);
            }
        }
    }

    #[test]
    fn times_print_as_rfc_3339() {
        assert_eq!(Timestamp::from_seconds(1_795_341_600).to_string(), "2026-11-22T10:00:00Z");
        assert_eq!(Timestamp::from_micros(1_795_341_600_250_000).to_string(), "2026-11-22T10:00:00.25Z");
    }

    #[test]
    fn the_week_begins_on_a_local_monday() {
        let hour = |zone: &Zone, at: i64| zone.hour_of_week(Timestamp::from_seconds(at));
        let monday = 1_772_409_600; // 2 March 2026, 00:00 UTC
        assert!(hour(&Zone::default(), monday).abs() < 1e-9);
        assert!((hour(&Zone::default(), monday + 26 * 3600 + 1800) - 26.5).abs() < 1e-9);
        assert!((hour(&Zone::default(), -1800) - 71.5).abs() < 1e-9, "1970 began on a Thursday");
        let new_york = Zone::of(jiff::tz::TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap());
        assert!((hour(&new_york, monday) - 163.0).abs() < 1e-9, "Sunday, 19:00");
        assert!((hour(&new_york, monday + 14 * 86_400) - 164.0).abs() < 1e-9, "an hour later in summer");
    }

    #[test]
    fn spans_read_like_speech() {
        for (seconds, text) in [
            (0, "0 s"),
            (45, "45 s"),
            (90, "1 min 30 s"),
            (600, "10 min"),
            (3600, "1 h"),
            (11_100, "3 h 5 min"),
            (187_200, "2 d 4 h"),
        ] {
            assert_eq!(human(Duration::from_secs(seconds)), text);
        }
    }
}
