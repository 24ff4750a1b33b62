//! `[[drill]]`: exercises that begin by themselves.

use std::time::Duration;

use super::organization::zone;
use super::schedule::{date, time_of_day, weekdays};
use super::table::{Checked, Noted, Table, all, quoted, suggestion};
use crate::domain::oncall::{Drill, Recurrence, WallTime, Weekdays};
use crate::domain::quantity::duration;
use crate::domain::scenario;
use crate::domain::time::{Timestamp, Zone};

const DAY: u64 = 24 * 60 * 60;
/// What an exercise may last.
const LONGEST: Duration = Duration::from_hours(1);
/// How long somebody has to take charge when nobody said so.
const USUAL: Duration = Duration::from_mins(15);

/// Reads all of them; `home` is the organisation's zone.
pub(super) fn drills(root: &Table<'_>, home: &Zone) -> Checked<Vec<Drill>> {
    all(root.tables("drill", "[[drill]]").iter().map(|table| drill(table, home)))
}

fn drill(table: &Table<'_>, home: &Zone) -> Checked<Drill> {
    table.allow_only(&["scenario", "at", "weekdays", "every", "start", "timezone", "by", "wait"]);
    let scenario = table.require("scenario", "`scenario = \"active-threat\"`").and_then(|value| {
        let name = value.filled()?;
        if scenario::names().contains(&name) {
            return Ok(name.to_owned());
        }
        let help = suggestion(name, &scenario::names(), "scenarios");
        value.error("SB0402", format!("there is no scenario {}", quoted(name)), &help)
    });
    let by = table.get("by").map_or(Ok("the schedule of drills"), |value| value.filled()).map(str::to_owned);
    let wait = table.get("wait").map_or(Ok(USUAL), |value| {
        let wait = value.parsed(duration)?;
        let fits = (Duration::from_mins(1)..=LONGEST).contains(&wait);
        let help = "between a minute and an hour, after which every exercise ends";
        if fits { Ok(wait) } else { value.error("SB0005", "nobody could take charge, or it would never end", help) }
    });
    let recurrence = recurrence(table, home);
    Ok(Drill { scenario: scenario?, recurrence: recurrence?, by: by?, wait: wait? })
}

fn recurrence(table: &Table<'_>, home: &Zone) -> Checked<Recurrence> {
    let zone = table.get("timezone").map_or_else(|| Ok(home.clone()), |value| zone(&value));
    let at = table.require("at", "`at = \"10:30\"`").and_then(|value| value.written()?.parsed_as(time_of_day));
    let on = table.get("weekdays").map(|value| weekdays(&value)).transpose();
    let every = table.get("every").map(|value| {
        let seconds = value.parsed(duration)?.as_secs();
        let days = u16::try_from(seconds / DAY).ok().filter(|days| (1..=366).contains(days) && seconds % DAY == 0);
        days.map_or_else(|| value.error("SB0005", "`every` is a number of whole days", "write 7d, 28d or 364d"), Ok)
    });
    let every = every.transpose();
    let start = match table.get("start") {
        Some(value) => value.written().and_then(|value| value.parsed_as(date)).map(Some),
        None if every.as_ref().is_ok_and(Option::is_some) => {
            table.require("start", "`start = \"2026-12-01\"`, the first day").and(Err(Noted))
        }
        None => Ok(None),
    };
    let (zone, at, on, every, start) = (zone?, at?, on?, every?, start?);
    if on.is_none() && every.is_none() {
        let help = "add `weekdays = [\"tue\"]`, or `every = \"28d\"` and `start`";
        return table.refuse("SB0005", "a drill every day is heeded by nobody".to_owned(), table.span(), help);
    }
    let start = start.unwrap_or_default().at(0, 0, 0, 0).checked_add(jiff::Span::new().minutes(at)).or(Err(Noted))?;
    let weekdays = on.unwrap_or(Weekdays::ALL);
    let recurrence = Recurrence { zone, start: WallTime::from(start), every: every.unwrap_or(1), weekdays };
    if recurrence.next(Timestamp::from_micros(i64::MIN / 4)).is_none() {
        let help = "leave `weekdays` out, or choose a `start` on one of them";
        return table.refuse("SB0005", "this drill never comes".to_owned(), table.span(), help);
    }
    Ok(recurrence)
}
