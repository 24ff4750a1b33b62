//! `[organization]`, the same in `stormbell.toml` and in rule files.

use super::table::{Checked, Table, Value, all, nearest, quoted};
use crate::domain::organization::Organization;
use crate::domain::time::Zone;

const KEYS: [&str; 6] = ["name", "aliases", "accounts", "people", "places", "timezone"];

/// Reads it.
pub(super) fn organization(table: &Table<'_>) -> Checked<Organization> {
    table.allow_only(&KEYS);
    let name = table.require("name", "`name = \"St. Brigid's Hospital\"`").and_then(|value| value.filled());
    let texts = |key| {
        let texts = table.get(key).map_or(Ok(Vec::new()), |value| value.strings())?;
        Ok(texts.into_iter().map(|(_, text)| text.to_owned()).collect())
    };
    let (aliases, people, places) = (texts("aliases"), texts("people"), texts("places"));
    let accounts = table.get("accounts").map_or(Ok(Vec::new()), |value| accounts(&value));
    let timezone = table.get("timezone").map_or(Ok("UTC"), |value| timezone(&value));
    Ok(Organization {
        name: name?.to_owned(),
        aliases: aliases?,
        accounts: accounts?,
        people: people?,
        places: places?,
        timezone: timezone?.to_owned(),
    })
}

fn accounts(value: &Value<'_>) -> Checked<Vec<String>> {
    all(value.strings()?.iter().map(|(value, text)| account(value, text)))
}

/// An account as people mention it, with its `@`.
pub(super) fn account(value: &Value<'_>, text: &str) -> Checked<String> {
    let handle = text.strip_prefix('@').unwrap_or_default();
    if handle.is_empty() || handle.contains(|c: char| c.is_whitespace() || c == '@') {
        let help = "write it as people mention it: \"@name.example\"";
        return value.error("SB0005", format!("{} is not an account", quoted(text)), help);
    }
    Ok(text.to_owned())
}

fn timezone<'d>(value: &Value<'d>) -> Checked<&'d str> {
    zone(value)?;
    value.string()
}

/// A zone of the IANA database.
pub(super) fn zone(value: &Value<'_>) -> Checked<Zone> {
    let name = value.filled()?;
    if let Ok(zone) = jiff::tz::TimeZone::get(name) {
        return Ok(Zone::of(zone));
    }
    let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let help = match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "this machine has no time zones; install the package tzdata".to_owned(),
        None => "write a name of the IANA database, such as \"America/New_York\"".to_owned(),
    };
    value.error("SB0411", format!("there is no time zone {}", quoted(name)), &help)
}
