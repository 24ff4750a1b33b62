//! `[[schedule]]`: rotations, hours and overrides, and whether somebody is always on call.

use std::time::Duration;

use super::model::Config;
use super::organization::zone;
use super::people::{members_of, one_of};
use super::table::{Checked, Noted, Table, Value, all};
use crate::domain::diagnostic::Diagnostic;
use crate::domain::oncall::{Hours, Layer, Override, Schedule, WallTime, Weekdays};
use crate::domain::quantity::duration;
use crate::domain::time::{Timestamp, Zone};

/// A turn that nobody asked the length of: of one person alone.
const WEEK: Duration = Duration::from_hours(7 * 24);
/// No turn is shorter: clocks are set by an hour.
const LEAST: Duration = Duration::from_hours(1);

/// Reads one; `persons` are those there are, `home` is the organisation's zone.
pub(super) fn schedule(table: &Table<'_>, persons: &[&str], home: &Zone) -> Checked<Schedule> {
    table.allow_only(&["name", "timezone", "layer", "override"]);
    let zone = table.get("timezone").map_or_else(|| Ok(home.clone()), |value| zone(&value));
    let layers = table.require("layer", "`layer = [{ rotation = [\"ann\", \"bob\"], … }]`").and_then(|value| {
        let items = value.list("a list of tables: layer = [{ rotation = [\"ann\"] }]")?;
        if items.is_empty() {
            return value.error("SB0430", "the schedule has no layer", "write layer = [{ rotation = [\"ann\"] }]");
        }
        all(items.iter().map(|item| layer(&item.table("a layer")?, persons)))
    });
    let overrides = table.get("override").map_or(Ok(Vec::new()), |value| {
        let items = value.list("a list of tables: override = [{ person = \"ann\", from = …, to = … }]")?;
        all(items.iter().map(|item| stand_in(&item.table("an override")?, persons, zone.as_ref().ok())))
    });
    Ok(Schedule { zone: zone?, layers: layers?, overrides: overrides? })
}

fn layer(table: &Table<'_>, persons: &[&str]) -> Checked<Layer> {
    table.allow_only(&["rotation", "start", "hand_over", "every", "only"]);
    let rotation = table.require("rotation", "`rotation = [\"ann\", \"bob\"]`");
    let rotation = rotation.and_then(|value| members_of(&value, persons));
    // One person alone hands over to nobody.
    let turns = rotation.as_ref().is_ok_and(|people| people.len() > 1);
    let get = |key, example: &str| if turns { table.require(key, example).map(Some) } else { Ok(table.get(key)) };
    let every = get("every", "`every = \"7d\"`").and_then(|value| value.map_or(Ok(WEEK), |value| turn(&value)));
    let start = get("start", "`start = \"2026-11-02\"`, the day on which the first person begins");
    let start = start.and_then(|value| value.map(|value| value.written()?.parsed_as(date)).transpose());
    let at = get("hand_over", "`hand_over = \"08:00\"`");
    let at = at.and_then(|value| value.map_or(Ok(0), |value| value.written()?.parsed_as(time_of_day)));
    let only = table.get("only").map_or(Ok(Vec::new()), |value| {
        all(value.list("a list of tables: only = [{ from = \"18:00\", to = \"08:00\" }]")?.iter().map(hours))
    });
    let (start, minutes) = (start?.unwrap_or_default(), at?);
    let start = start.at(0, 0, 0, 0).checked_add(jiff::Span::new().minutes(minutes)).or(Err(Noted))?;
    Ok(Layer { rotation: rotation?, start: start.into(), every: every?, only: only? })
}

fn turn(value: &Value<'_>) -> Checked<Duration> {
    let every = value.parsed(duration)?;
    if every < LEAST {
        return value.error(
            "SB0005",
            "a turn must be at least an hour long",
            "write `every = \"12h\"`, \"1d\" or \"7d\"",
        );
    }
    Ok(every)
}

fn stand_in(table: &Table<'_>, persons: &[&str], zone: Option<&Zone>) -> Checked<Override> {
    table.allow_only(&["person", "from", "to"]);
    let person = table.require("person", "`person = \"ann\"`");
    let person = person.and_then(|value| one_of(&value, value.filled()?, persons));
    let example = "`from = \"2026-12-24 08:00\", to = \"2026-12-26 08:00\"`";
    let [from, to] = ["from", "to"].map(|key| table.require(key, example));
    let utc = Zone::default();
    let moment = |value: &Value<'_>| value.written()?.parsed_as(|text| instant(text, zone.unwrap_or(&utc)));
    let (from, to) = (from.and_then(|value| moment(&value)), to.and_then(|value| Ok((moment(&value)?, value))));
    let (from, (to, end)) = (from?, to?);
    if to <= from {
        return end.error("SB0005", "the override ends before it begins", "write a later time");
    }
    Ok(Override { person: person?, from, to })
}

/// A table of hours, or a list of them.
pub(super) fn hours_of(value: &Value<'_>) -> Checked<Vec<Hours>> {
    if value.is_table() {
        return Ok(vec![hours(value)?]);
    }
    all(value.list("a table, or a list of tables")?.iter().map(hours))
}

/// Reads `{ weekdays = […], from = "18:00", to = "08:00" }`.
fn hours(value: &Value<'_>) -> Checked<Hours> {
    let table = value.table("hours")?;
    table.allow_only(&["weekdays", "from", "to"]);
    let days = table.get("weekdays").map_or(Ok(Weekdays::ALL), |value| weekdays(&value));
    let time = |key| table.get(key).map_or(Ok(0), |value| value.written()?.parsed_as(time_of_day));
    let (from, to) =
        (time("from"), table.get("to").map_or(Ok(24 * 60), |value| value.written()?.parsed_as(end_of_day)));
    let minutes = |minutes: i64| u16::try_from(minutes).or(Err(Noted));
    Ok(Hours { days: days?, from: minutes(from?)?, to: minutes(to?)? })
}

pub(super) fn weekdays(value: &Value<'_>) -> Checked<Weekdays> {
    let mut words = Vec::new();
    for (place, name) in Weekdays::NAMES.into_iter().enumerate() {
        words.push((name, place));
    }
    let items = value.list("a list such as [\"sat\", \"sun\"]")?;
    if items.is_empty() {
        return value.error("SB0005", "`weekdays` is empty", "remove the key for every day");
    }
    let days = all(items.iter().map(|item| item.word(&words)))?;
    let mut on = [false; 7];
    on.iter_mut().enumerate().for_each(|(place, on)| *on = days.contains(&place));
    Ok(Weekdays(on))
}

pub(super) fn time_of_day(text: &str) -> Result<i64, &'static str> {
    end_of_day(text).ok().filter(|minutes| *minutes < 24 * 60).ok_or("write a time of day from 00:00 to 23:59")
}

fn end_of_day(text: &str) -> Result<i64, &'static str> {
    let number = |digits: &str| digits.parse::<i64>().ok().filter(|_| digits.len() == 2 && !digits.starts_with('+'));
    // TOML's own times have seconds.
    let text = text.strip_suffix(":00").filter(|rest| rest.contains(':')).unwrap_or(text);
    let parts = text.split_once(':').and_then(|(hours, minutes)| Some((number(hours)?, number(minutes)?)));
    let minutes =
        parts.filter(|(hours, minutes)| *hours <= 24 && *minutes < 60).map(|(hours, minutes)| hours * 60 + minutes);
    minutes.filter(|minutes| *minutes <= 24 * 60).ok_or("write a time of day such as 08:00")
}

pub(super) fn date(text: &str) -> Result<jiff::civil::Date, &'static str> {
    text.parse().ok().filter(|_| text.len() == 10).ok_or("write a date such as 2026-11-02")
}

/// A date and a time of day by the clocks of a zone; or with an offset, by itself.
pub fn instant(text: &str, zone: &Zone) -> Result<Timestamp, &'static str> {
    const HOW: &str = "write date and time of day, such as 2026-12-24 08:00";
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp::from_micros(instant.as_microsecond()));
    }
    let civil = text.parse::<jiff::civil::DateTime>().or(Err(HOW))?;
    if text.len() < "2026-12-24 08:00".len() {
        return Err(HOW);
    }
    Ok(zone.first(WallTime::from(civil)))
}

/// Schedules that have nobody at some time from `now` on.
pub fn gaps(config: &Config, now: Timestamp) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for (name, schedule) in &config.routes.people.schedules {
        let gaps = schedule.gaps(now);
        let [first, rest @ ..] = gaps.as_slice() else { continue };
        let shows = |at| schedule.zone.reads(at);
        let more = if rest.is_empty() { String::new() } else { ", and again later".to_owned() };
        let message = format!("nobody is on call in `{name}` from {} to {}{more}", shows(first.from), shows(first.to));
        let mut finding = Diagnostic::error("SB0432", message);
        finding.place = config.schedules.get(name).cloned();
        finding = finding.help("add a layer without `only` at the end, for whoever has it when nobody else does");
        findings.push(finding);
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_are_hours_and_minutes() {
        for (text, minutes) in [("00:00", 0), ("08:30", 510), ("08:30:00", 510), ("24:00", 1440)] {
            assert_eq!(end_of_day(text), Ok(minutes), "{text}");
        }
        for text in ["", "8:00", "08", "24:01", "25:00", "08:60", "+8:00", "08:0x", "08:00:30", "08:00:00:00"] {
            assert!(end_of_day(text).is_err(), "{text}");
        }
        assert!(time_of_day("24:00").is_err());
    }

    #[test]
    fn an_instant_is_by_the_clocks_of_the_zone_unless_it_says_otherwise() {
        let zone = Zone::of(jiff::tz::TimeZone::get("America/New_York").unwrap());
        for (text, utc) in [
            ("2026-12-24 08:00", "2026-12-24T13:00:00Z"),
            ("2026-07-01T08:00", "2026-07-01T12:00:00Z"),
            ("2026-12-24T08:00:00Z", "2026-12-24T08:00:00Z"),
            ("2026-12-24T08:00:00+01:00", "2026-12-24T07:00:00Z"),
        ] {
            assert_eq!(instant(text, &zone).unwrap().to_string(), utc, "{text}");
        }
        for text in ["", "2026-12-24", "08:00", "tomorrow"] {
            assert!(instant(text, &zone).is_err(), "{text}");
        }
    }
}
