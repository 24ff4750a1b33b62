//! `[organization]`, the same in `stormbell.toml` and in rule files.

use super::table::{Table, Value, nearest, quoted};
use crate::domain::organization::Organization;

const KEYS: [&str; 6] = ["name", "aliases", "accounts", "people", "places", "timezone"];

/// Reads it; `None` when it cannot be used.
pub(super) fn organization(table: &Table<'_>) -> Option<Organization> {
    table.allow_only(&KEYS);
    let list = |key| table.get(key).and_then(|value| value.strings()).unwrap_or_default();
    let texts = |key| list(key).into_iter().map(|(_, text)| text.to_owned()).collect();
    let accounts = list("accounts").iter().filter_map(|(value, text)| account(value, text)).collect();
    let timezone = match table.get("timezone") {
        None => Some("UTC".to_owned()),
        Some(value) => timezone(&value),
    };
    let (aliases, people, places) = (texts("aliases"), texts("people"), texts("places"));
    let name = table.require("name", "`name = \"St. Brigid's Hospital\"`")?.filled()?.to_owned();
    Some(Organization { name, aliases, accounts, people, places, timezone: timezone? })
}

fn account(value: &Value<'_>, text: &str) -> Option<String> {
    let handle = text.strip_prefix('@').unwrap_or_default();
    if handle.is_empty() || handle.contains(|c: char| c.is_whitespace() || c == '@') {
        let help = "write it as people mention it: \"@name.example\"";
        value.error("SB0005", format!("{} is not an account", quoted(text)), help);
        return None;
    }
    Some(text.to_owned())
}

fn timezone(value: &Value<'_>) -> Option<String> {
    let name = value.filled()?;
    if jiff::tz::TimeZone::get(name).is_ok() {
        return Some(name.to_owned());
    }
    let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let help = match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "this machine has no time zones; install the package tzdata".to_owned(),
        None => "write a name of the IANA database, such as \"America/New_York\"".to_owned(),
    };
    value.error("SB0411", format!("there is no time zone {}", quoted(name)), &help);
    None
}
