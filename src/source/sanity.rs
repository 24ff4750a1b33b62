//! What every decoder asks of a frame before it believes it: JSON that is JSON, dates
//! that can be, and lengths that end.
//!
//! Frames are attacker-written (invariant 6), so each limit here is a fixed number and
//! each refusal is a [`Rejected`] with its own counter. Nothing here knows a wire.

use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::domain::event::Rejected;
use crate::domain::post::Texts;
use crate::domain::time::Timestamp;

/// Most links, tags, languages or descriptions kept of one post.
pub(super) const MAX_ITEMS: usize = 64;
/// Longest text or description kept, in bytes; the rest is cut off.
pub(super) const MAX_TEXT_BYTES: usize = 64 * 1024;
/// Longest link kept, in bytes; a longer one is left out, because half a link is none.
pub(super) const MAX_LINK_BYTES: usize = 8 * 1024;
/// Longest tag or language kept, in bytes; a longer one is left out.
pub(super) const MAX_TAG_BYTES: usize = 1024;

/// An author's date before this is a program's default, not a memory (2000-01-01).
const OLDEST_CLAIM: Timestamp = Timestamp::from_seconds(946_684_800);
/// No source of ours existed before (2020-01-01).
const OLDEST_STAMP: Timestamp = Timestamp::from_seconds(1_577_836_800);
/// Beyond every deployment of this program (2200-01-01).
const NEWEST_STAMP: Timestamp = Timestamp::from_seconds(7_258_118_400);
/// How far an author may date a post ahead of the moment it appeared.
const CLAIM_AHEAD: Duration = Duration::from_hours(366 * 24);
/// How old the claim of a post that was just read may be before it is no memory but a wrong clock.
const CLAIM_BEHIND: Duration = Duration::from_hours(7 * 24);
/// How far a source's clock may run ahead of ours before its stamp is nonsense.
const STAMP_AHEAD: Duration = Duration::from_hours(24);

/// Reads one JSON object.
///
/// The UTF-8 check comes first and covers the whole frame, so that a broken byte in a
/// part nobody reads rejects the frame too, and strings need no second check.
pub(super) fn parse_object<'a, T: Deserialize<'a>>(frame: &'a [u8]) -> Result<T, Rejected> {
    parse_object_of(std::str::from_utf8(frame).or(Err(Rejected::NotJson))?)
}

/// Reads JSON of any shape.
pub(super) fn parse_any<'a, T: Deserialize<'a>>(frame: &'a [u8]) -> Result<T, Rejected> {
    let text = std::str::from_utf8(frame).or(Err(Rejected::NotJson))?;
    serde_json::from_str(text).map_err(|error| classify(text, &error))
}

/// Reads one JSON object from text that was checked before, as a part of a frame is.
pub(super) fn parse_object_of<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Rejected> {
    // serde reads a struct from an array as well, which no wire of ours means.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(if is_json(text) { Rejected::WrongType } else { Rejected::NotJson });
    }
    serde_json::from_str(text).map_err(|error| classify(text, &error))
}

/// Says what is wrong with a text that serde refused.
fn classify(text: &str, error: &serde_json::Error) -> Rejected {
    if !is_json(text) {
        return Rejected::NotJson;
    }
    if error.is_data() {
        // A struct's required field; serde offers no other way to ask.
        let missing = error.to_string().starts_with("missing field");
        return if missing { Rejected::MissingField } else { Rejected::WrongType };
    }
    if has_lone_surrogate(text) { Rejected::LoneSurrogate } else { Rejected::WrongType }
}

/// Whether the text is JSON at all. Skipping never recurses, so depth costs no stack,
/// and lets surrogates pass.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Whether a `\uXXXX` escape of valid JSON is half of a pair.
fn has_lone_surrogate(json: &str) -> bool {
    let mut rest = json;
    while let Some((_, after)) = rest.split_once('\\') {
        let Some(unit) = escaped_unit(after) else {
            rest = after.get(1..).unwrap_or_default(); // `\\` must not start another escape
            continue;
        };
        rest = after.get(5..).unwrap_or_default();
        match unit {
            0xDC00..=0xDFFF => return true,
            0xD800..=0xDBFF => match rest.strip_prefix('\\').and_then(escaped_unit) {
                Some(0xDC00..=0xDFFF) => rest = rest.get(6..).unwrap_or_default(),
                _ => return true,
            },
            _ => {}
        }
    }
    false
}

/// The UTF-16 unit of `uXXXX`.
fn escaped_unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix('u')?.get(..4)?, 16).ok()
}

/// A source's own stamp, checked and fit to count with: never ahead of our clock.
///
/// # Errors
/// [`Rejected::AbsurdDate`] before 2020, after 2200, or more than a day ahead of us.
pub(super) fn event_time(stamp: Timestamp, received_at: Option<Timestamp>) -> Result<Timestamp, Rejected> {
    if stamp < OLDEST_STAMP {
        return Err(Rejected::AbsurdDate);
    }
    recorded_time(stamp, received_at)
}

/// The time of a post somebody recorded, perhaps before any of our sources existed.
///
/// # Errors
/// [`Rejected::AbsurdDate`] before 2000, after 2200, or more than a day ahead of us.
pub(super) fn recorded_time(stamp: Timestamp, received_at: Option<Timestamp>) -> Result<Timestamp, Rejected> {
    if stamp < OLDEST_CLAIM || stamp >= NEWEST_STAMP {
        return Err(Rejected::AbsurdDate);
    }
    match received_at {
        Some(now) if stamp > now + STAMP_AHEAD => Err(Rejected::AbsurdDate),
        Some(now) => Ok(stamp.min(now)),
        None => Ok(stamp),
    }
}

/// When a post counts on a wire that has no stamp of its own: at the author's claim, where that is
/// no later than we read it and no older than [`CLAIM_BEHIND`]; else when we read it. A recording has
/// nothing but the claim.
///
/// # Errors
/// [`Rejected::AbsurdDate`] for a recorded post whose claim cannot be, [`Rejected::MissingField`] for one without.
pub(super) fn claimed_or_received(
    claim: Option<Timestamp>,
    received_at: Option<Timestamp>,
) -> Result<Timestamp, Rejected> {
    match (claim, received_at) {
        (Some(claim), Some(now)) if claim <= now && now.since(claim) <= CLAIM_BEHIND => Ok(claim),
        (_, Some(now)) => Ok(now),
        (Some(claim), None) => recorded_time(claim, None),
        (None, None) => Err(Rejected::MissingField),
    }
}

/// What the author's program says, when it can be.
///
/// # Errors
/// [`Rejected::AbsurdDate`] before 2000 or more than 366 days after the event.
pub(super) fn claimed_time(claim: Timestamp, event_time: Timestamp) -> Result<Timestamp, Rejected> {
    if claim < OLDEST_CLAIM || claim > event_time + CLAIM_AHEAD {
        return Err(Rejected::AbsurdDate);
    }
    Ok(claim)
}

/// The same, and the event's own time when it cannot be.
pub(super) fn claimed_or(claim: Option<Timestamp>, event_time: Timestamp) -> Timestamp {
    claim.filter(|&claim| claimed_time(claim, event_time).is_ok()).unwrap_or(event_time)
}

/// The first texts that together stay within [`MAX_TEXT_BYTES`]: matching takes time for
/// every word, and one post must not take it from all others.
pub(super) fn within_budget(mut texts: Vec<String>) -> Vec<String> {
    let mut total = 0;
    texts.truncate(MAX_ITEMS);
    texts.retain(|text| {
        total += text.len();
        total <= MAX_TEXT_BYTES
    });
    texts
}

/// The text up to [`MAX_TEXT_BYTES`], ending with a whole character.
pub(super) fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT_BYTES)).unwrap_or(text)
}

/// Keeps a text that is not empty, not too long, not there yet and not one too many.
pub(super) fn keep(list: &mut Vec<String>, text: &str, max_bytes: usize) {
    let fits = !text.is_empty() && text.len() <= max_bytes && list.len() < MAX_ITEMS;
    if fits && !list.iter().any(|kept| kept == text) {
        list.push(text.to_owned());
    }
}

/// The same for a list in one buffer.
pub(super) fn keep_text(list: &mut Texts, text: &str, max_bytes: usize) {
    let fits = !text.is_empty() && text.len() <= max_bytes && list.len() < MAX_ITEMS;
    if fits && !list.iter().any(|kept| kept == text) {
        list.push(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_pairs_are_told_from_whole_ones() {
        for (json, expected) in [
            (r#""plain""#, false),
            (r#""\ud83d\ude02""#, false),
            (r#""\uD83D\uDE02 and \u00e9""#, false),
            (r#""\\ud83d""#, false),
            (r#""\ud83d""#, true),
            (r#""\ud83d x""#, true),
            (r#""\ud83d\n""#, true),
            (r#""\ud83d\ud83d\ude02""#, true),
            (r#""\ude02\ud83d""#, true),
        ] {
            assert_eq!(has_lone_surrogate(json), expected, "{json}");
        }
    }

    #[test]
    fn many_long_descriptions_are_as_bounded_as_one() {
        let texts = vec!["a".repeat(MAX_TEXT_BYTES / 2); 64];
        assert_eq!(within_budget(texts).len(), 2);
        assert_eq!(within_budget(vec!["alt".to_owned(); 100]).len(), MAX_ITEMS);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        let text = "é".repeat(MAX_TEXT_BYTES);
        assert_eq!(cut(&text).len(), MAX_TEXT_BYTES);
        let text = format!("x{text}");
        assert_eq!(cut(&text).len(), MAX_TEXT_BYTES - 1);
        assert_eq!(cut("short"), "short");
    }

    #[test]
    fn claims_count_where_nobody_else_says_when_unless_they_cannot_be() {
        let now = Timestamp::from_seconds(1_795_341_600);
        let (second, week) = (Duration::from_secs(1), Duration::from_hours(7 * 24));
        for (claim, expected) in [
            (Some(now - second), now - second),
            (Some(now - week), now - week),
            (Some(now - week - second), now),
            (Some(now + second), now),
            (None, now),
        ] {
            assert_eq!(claimed_or_received(claim, Some(now)), Ok(expected), "{claim:?}");
        }
        assert_eq!(claimed_or_received(Some(now), None), Ok(now));
        assert_eq!(claimed_or_received(None, None), Err(Rejected::MissingField));
        assert_eq!(claimed_or_received(Some(Timestamp::from_seconds(0)), None), Err(Rejected::AbsurdDate));
    }

    #[test]
    fn stamps_are_never_ahead_of_our_clock() {
        let now = Timestamp::from_seconds(1_795_341_600);
        let (second, day) = (Duration::from_secs(1), Duration::from_hours(24));
        assert_eq!(event_time(now - second, Some(now)), Ok(now - second));
        assert_eq!(event_time(now + second, Some(now)), Ok(now));
        assert_eq!(event_time(now + second, None), Ok(now + second));
        assert_eq!(event_time(now + day + second, Some(now)), Err(Rejected::AbsurdDate));
        assert_eq!(event_time(Timestamp::from_seconds(1_500_000_000), None), Err(Rejected::AbsurdDate));
        assert_eq!(event_time(NEWEST_STAMP, None), Err(Rejected::AbsurdDate));
    }
}
