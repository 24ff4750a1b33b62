//! `[[time]]`: hours by name, at which routes tell nobody or only then tell anybody.

use std::collections::BTreeSet;

use super::naming::names;
use super::organization::zone;
use super::schedule::hours_of;
use super::table::{Checked, Noted, Table, Value, nearest, quoted, suggestion};
use crate::domain::incident::Severity;
use crate::domain::oncall::cover_the_week;
use crate::domain::route::{NamedTime, OffTimes, Route};
use crate::domain::time::Zone;

/// The times there are.
pub(super) struct Times<'d> {
    /// Those of broken tables have no value.
    known: Vec<(&'d str, Option<NamedTime>)>,
    is_sound: bool,
    used: BTreeSet<String>,
}

impl<'d> Times<'d> {
    /// Reads all of them; `home` is the organisation's zone.
    pub(super) fn read(root: &Table<'d>, home: &Zone) -> Self {
        let tables = root.tables("time", "[[time]]");
        let names = names(&tables, "`name = \"nights\"`");
        let mut times = Self { known: Vec::new(), is_sound: true, used: BTreeSet::new() };
        for (table, name) in tables.iter().zip(names) {
            let time = time(table, name, home).ok();
            times.is_sound &= time.is_some();
            if let Some(name) = table.get("name").and_then(|value| value.as_str()) {
                times.known.push((name, time));
            }
        }
        times
    }

    /// The `mute_times` and `active_times` of a route.
    pub(super) fn off(&mut self, route: &Table<'_>) -> Checked<OffTimes> {
        let mute = route.get("mute_times").map_or(Ok(Vec::new()), |value| self.named(&value));
        let active = route.get("active_times").map_or(Ok(Vec::new()), |value| self.named(&value));
        Ok(OffTimes { mute: mute?, active: active? })
    }

    fn named(&mut self, value: &Value<'_>) -> Checked<Vec<NamedTime>> {
        let known: Vec<&str> = self.known.iter().map(|(name, _)| *name).collect();
        let mut times = Vec::new();
        for (item, name) in value.strings()? {
            self.used.extend(nearest(name, known.iter().copied()).map(ToOwned::to_owned)); // a slip of the pen is one mistake
            let Some((_, time)) = self.known.iter().find(|(known, _)| *known == name) else {
                let help = suggestion(name, &known, "times here");
                return item.absent("SB0402", format!("there is no time {}", quoted(name)), &help);
            };
            times.extend(time.clone());
        }
        Ok(times)
    }

    /// Warns of times that no route uses; whether all were sound.
    pub(super) fn close(self, root: &Table<'_>) -> Checked<()> {
        for table in root.tables("time", "[[time]]") {
            let Some(value) = table.get("name") else { continue };
            if let Some(name) = value.as_str().filter(|name| !self.used.contains(*name)) {
                let message = format!("no route uses the time {}", quoted(name));
                let help = "name it in the `mute_times` or `active_times` of a route, or remove it";
                root.warning("SB0403", message, value.span(), "has no effect", help);
            }
        }
        if self.is_sound { Ok(()) } else { Err(Noted) }
    }
}

fn time(table: &Table<'_>, name: Checked<&str>, home: &Zone) -> Checked<NamedTime> {
    table.allow_only(&["name", "timezone", "hours"]);
    let zone = table.get("timezone").map_or_else(|| Ok(home.clone()), |value| zone(&value));
    let hours = table.require("hours", "`hours = { from = \"22:00\", to = \"06:00\" }`").and_then(|value| {
        let hours = hours_of(&value)?;
        if hours.is_empty() || cover_the_week(&hours) {
            let help = "leave some hours of the week, or write no time";
            return value.error("SB0434", "this time is never, or always", help);
        }
        Ok(hours)
    });
    Ok(NamedTime { name: name?.to_owned(), zone: zone?, hours: hours? })
}

/// Whoever is told of what is critical by a route that tells nobody at times, and by no other.
pub(super) fn warn_of_nights_without_anybody(routes: &[(&Table<'_>, Checked<Route>)]) {
    let sound: Vec<Option<&Route>> = routes.iter().map(|(_, route)| route.as_ref().ok()).collect();
    for (place, (table, route)) in routes.iter().enumerate() {
        let Some(route) = route.as_ref().ok().filter(|route| route.off.are_set() && route.takes_critical()) else {
            continue;
        };
        let (before, after) = sound.split_at(place);
        let tells = |other: &Route| {
            !other.off.are_set() && other.takes_critical() && (other.topics.is_empty() || other.topics == route.topics)
        };
        // One before it that does not go on keeps such incidents from this route altogether.
        let told_before = before.iter().flatten().copied().any(tells);
        let told_after = route.go_on && after.iter().skip(1).flatten().copied().any(tells);
        if told_before || told_after {
            continue;
        }
        let message = "nobody is told of what is critical while this route tells nobody";
        let help = "take `severity = [\"critical\"]` in a route of its own before this one, without `mute_times` and \
                    `active_times`";
        let span = ["mute_times", "active_times"].iter().find_map(|key| table.get(key)).map(|value| value.span());
        table.warning("SB0435", message, span.unwrap_or_else(|| table.span()), "also of that", help);
    }
}

impl Route {
    fn takes_critical(&self) -> bool {
        self.severity.is_empty() || self.severity.contains(&Severity::Critical)
    }
}
