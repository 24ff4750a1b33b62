//! Durations, sizes and rates as people write them: `"5m"`, `"1MiB"`, `"1 per 30d"`.
//!
//! One whole number and one unit. Fractions and sums (`1h30m`) are left out: they
//! save nobody a thought, and each is one more way to misread a setting.

use std::time::Duration;

use super::volume::Promise;

/// The longest duration: a hundred years.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

const DURATION_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

const SIZE_UNITS: [(&str, u64); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// Why a text is no duration or size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAQuantity {
    /// Not a number with a known unit.
    #[error("not a duration: write a whole number and a unit, such as 250ms, 30s, 5m, 4h or 30d")]
    Duration,
    /// Not a number with a known unit.
    #[error("not a size: write a whole number and a unit, such as 512KiB or 1MiB, or a number of bytes")]
    Size,
    /// Not so many in so long.
    #[error("not a rate: write a number and a duration, such as 1 per 30d or 2 per 7d")]
    Rate,
    /// Zero where something must pass.
    #[error("must be longer than zero")]
    Zero,
    /// Beyond a hundred years, or beyond what can be counted.
    #[error("too large")]
    TooLarge,
}

/// Reads a duration longer than zero.
pub fn duration(text: &str) -> Result<Duration, NotAQuantity> {
    let duration = offset(text)?;
    if duration.is_zero() { Err(NotAQuantity::Zero) } else { Ok(duration) }
}

/// Reads a duration that may be zero: a time since something began.
pub fn offset(text: &str) -> Result<Duration, NotAQuantity> {
    let millis = scaled(text, &DURATION_UNITS, NotAQuantity::Duration)?;
    let duration = Duration::from_millis(millis);
    if duration > LONGEST { Err(NotAQuantity::TooLarge) } else { Ok(duration) }
}

/// Reads how many false alarms are accepted in how long.
pub fn rate(text: &str) -> Result<Promise, NotAQuantity> {
    let (alarms, within) = text.split_once(" per ").ok_or(NotAQuantity::Rate)?;
    let alarms = alarms.trim().parse().ok().filter(|alarms| *alarms > 0).ok_or(NotAQuantity::Rate)?;
    let within = duration(within.trim()).map_err(|error| match error {
        NotAQuantity::Duration => NotAQuantity::Rate,
        error => error,
    })?;
    Ok(Promise { alarms, within })
}

/// Reads a number of bytes.
pub fn size(text: &str) -> Result<u64, NotAQuantity> {
    scaled(text, &SIZE_UNITS, NotAQuantity::Size)
}

fn scaled(text: &str, units: &[(&str, u64)], malformed: NotAQuantity) -> Result<u64, NotAQuantity> {
    let unit_start = text.find(|c: char| !c.is_ascii_digit()).ok_or(malformed)?;
    let (digits, unit) = text.split_at(unit_start);
    if digits.is_empty() {
        return Err(malformed);
    }
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit).ok_or(malformed)?;
    let number: u64 = digits.parse().or(Err(NotAQuantity::TooLarge))?;
    number.checked_mul(*scale).ok_or(NotAQuantity::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, expected) in [
            ("250ms", Ok(Duration::from_millis(250))),
            ("30s", Ok(Duration::from_secs(30))),
            ("5m", Ok(Duration::from_mins(5))),
            ("4h", Ok(Duration::from_hours(4))),
            ("30d", Ok(Duration::from_hours(720))),
            ("30 d", Ok(Duration::from_hours(720))),
            ("0s", Err(NotAQuantity::Zero)),
            ("-5m", Err(NotAQuantity::Duration)),
            ("5", Err(NotAQuantity::Duration)),
            ("m", Err(NotAQuantity::Duration)),
            ("", Err(NotAQuantity::Duration)),
            ("1h30m", Err(NotAQuantity::Duration)),
            ("1.5h", Err(NotAQuantity::Duration)),
            ("5M", Err(NotAQuantity::Duration)),
            ("٣s", Err(NotAQuantity::Duration)),
            ("40000d", Err(NotAQuantity::TooLarge)),
            ("99999999999999999999s", Err(NotAQuantity::TooLarge)),
            ("18446744073709551615d", Err(NotAQuantity::TooLarge)),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
        assert_eq!(offset("0s"), Ok(Duration::ZERO));
    }

    #[test]
    fn rates_are_a_number_and_a_duration() {
        let promise = |alarms, hours| Ok(Promise { alarms, within: Duration::from_hours(hours) });
        for (text, expected) in [
            ("1 per 30d", promise(1, 720)),
            ("2 per 7d", promise(2, 168)),
            ("10 per  1h", promise(10, 1)),
            ("0 per 30d", Err(NotAQuantity::Rate)),
            ("1 per 0d", Err(NotAQuantity::Zero)),
            ("1/30d", Err(NotAQuantity::Rate)),
            ("once per 30d", Err(NotAQuantity::Rate)),
            ("1 per month", Err(NotAQuantity::Rate)),
            ("-1 per 30d", Err(NotAQuantity::Rate)),
            ("", Err(NotAQuantity::Rate)),
        ] {
            assert_eq!(rate(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes_are_a_number_and_a_unit() {
        for (text, expected) in [
            ("1MiB", Ok(1 << 20)),
            ("64 kB", Ok(64_000)),
            ("12B", Ok(12)),
            ("12", Err(NotAQuantity::Size)),
            ("1mib", Err(NotAQuantity::Size)),
            ("99999999999GiB", Err(NotAQuantity::TooLarge)),
        ] {
            assert_eq!(size(text), expected, "{text}");
        }
    }
}
