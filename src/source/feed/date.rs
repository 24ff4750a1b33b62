//! Dates as programs that write feeds know them: RFC 3339, RFC 822 with its years of two digits and named zones, and what
//! comes near either.

use jiff::fmt::rfc2822::DateTimeParser;

use crate::domain::time::Timestamp;

/// Zones that people name and RFC 822 does not know, by their distance from UTC.
const ZONES: [(&str, &str); 12] = [
    ("AEDT", "+1100"),
    ("AEST", "+1000"),
    ("BST", "+0100"),
    ("CEST", "+0200"),
    ("CET", "+0100"),
    ("EEST", "+0300"),
    ("EET", "+0200"),
    ("JST", "+0900"),
    ("MSK", "+0300"),
    ("NZDT", "+1300"),
    ("NZST", "+1200"),
    ("WEST", "+0100"),
];
/// Zones of RFC 822 itself.
const KNOWN: [&str; 11] = ["UT", "GMT", "EST", "EDT", "CST", "CDT", "MST", "MDT", "PST", "PDT", "UTC"];
/// No date is longer, in bytes.
const LONGEST: usize = 80;

/// Reads a date; what makes no sense is none. A day of the week is not looked at, because many are wrong; an unknown
/// zone is UTC, a missing time of day the day's beginning.
pub(super) fn date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if text.len() > LONGEST {
        return None;
    }
    let midnight = || Timestamp::parse(&format!("{text}T00:00:00Z")).ok();
    Timestamp::parse(text).ok().or_else(|| internet(text)).or_else(midnight)
}

/// The parts of RFC 822's form, put in order for a reader of it.
fn internet(text: &str) -> Option<Timestamp> {
    let words = text.split([' ', '\t', ',']).filter(|word| !word.is_empty());
    let mut words = words.skip_while(|word| !word.starts_with(|c: char| c.is_ascii_digit()));
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let time = words.next().unwrap_or("00:00");
    let zone = words.next().unwrap_or("+0000");
    let named = ZONES.iter().find(|(name, _)| name.eq_ignore_ascii_case(zone)).map(|(_, offset)| *offset);
    let zone = match named {
        Some(offset) => offset.to_owned(),
        None if zone.starts_with(['+', '-']) => zone.replace(':', ""),
        None if zone == "UTC" || !KNOWN.contains(&zone) => "+0000".to_owned(),
        None => zone.to_owned(),
    };
    let month = month.get(..3)?;
    let time = time.split('.').next()?;
    let read = DateTimeParser::new().parse_timestamp(format!("{day} {month} {year} {time} {zone}")).ok()?;
    Some(Timestamp::from_micros(read.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_as_they_are_in_the_wild() {
        for (text, expected) in [
            ("2026-11-22T15:38:15Z", "2026-11-22T15:38:15Z"),
            ("2026-11-22T15:38:15+01:00", "2026-11-22T14:38:15Z"),
            ("2026-11-22 15:38:15", "2026-11-22T15:38:15Z"),
            ("2026-11-22", "2026-11-22T00:00:00Z"),
            ("Sun, 22 Nov 2026 15:38:15 GMT", "2026-11-22T15:38:15Z"),
            ("Mon, 22 Nov 2026 15:38:15 GMT", "2026-11-22T15:38:15Z"),
            ("Sonntag, 22 Nov 2026 15:38:15 +0100", "2026-11-22T14:38:15Z"),
            ("22 Nov 26 15:38 EST", "2026-11-22T20:38:00Z"),
            ("Sun, 22 November 2026 15:38:15 CET", "2026-11-22T14:38:15Z"),
            ("Sun, 22 Nov 2026 15:38:15 Z", "2026-11-22T15:38:15Z"),
            ("Sun, 22 Nov 2026 15:38:15 +01:00", "2026-11-22T14:38:15Z"),
            ("22 Nov 2026", "2026-11-22T00:00:00Z"),
        ] {
            assert_eq!(date(text).map(|date| date.to_string()).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "yesterday", "32 Nov 2026 10:00 GMT", "22 Növ 2026", "1 2 3 4 5", &"9".repeat(999)] {
            assert_eq!(date(text), None, "{text}");
        }
    }
}
