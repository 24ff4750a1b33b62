//! `Retry-After` (RFC 9110 §10.2.3).

use std::time::Duration;

use crate::domain::time::Timestamp;

/// When a server wants to be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// So long from now.
    In(Duration),
    /// Not before.
    At(Timestamp),
}

impl RetryAfter {
    /// How long to wait.
    pub fn from(self, now: Timestamp) -> Duration {
        match self {
            Self::In(span) => span,
            Self::At(instant) => instant.since(now),
        }
    }

    /// Reads the header: seconds, or a date. What makes no sense is none.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(seconds) = text.trim().parse() {
            return Some(Self::In(Duration::from_secs(seconds)));
        }
        let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
        Some(Self::At(Timestamp::from_micros(date.as_microsecond())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_in_both_forms() {
        for (text, expected) in [
            ("120", Some(RetryAfter::In(Duration::from_mins(2)))),
            (" 0 ", Some(RetryAfter::In(Duration::ZERO))),
            ("Sun, 22 Nov 2026 10:00:00 GMT", Some(RetryAfter::At(Timestamp::from_seconds(1_795_341_600)))),
            ("soon", None),
            ("-5", None),
            ("", None),
        ] {
            assert_eq!(RetryAfter::parse(text), expected, "{text}");
        }
        let now = Timestamp::from_seconds(1_795_341_600);
        assert_eq!(RetryAfter::At(now + Duration::from_secs(9)).from(now), Duration::from_secs(9));
        assert_eq!(RetryAfter::At(now).from(now + Duration::from_secs(9)), Duration::ZERO);
    }
}
