//! `[incidents]`: when incidents end and begin again, and whose word is news.

use std::time::Duration;

use super::organization::account;
use super::route::glob;
use super::table::{Checked, Table, Value, all, quoted};
use crate::domain::quantity::{duration, offset};
use crate::domain::terms::{Journalist, Terms};

/// Nobody speaks every second of what goes on.
const LEAST_QUIET: Duration = Duration::from_mins(1);
/// Whoever took charge has long forgotten what ended a month ago.
const LONGEST_REOPEN: Duration = Duration::from_hours(31 * 24);

/// Reads it; without the table, the usual terms.
pub(super) fn terms(root: &Table<'_>) -> Checked<Terms> {
    let usual = Terms::default();
    let Some(table) = root.table("incidents")? else { return Ok(usual) };
    table.allow_only(&["quiet", "reopen_within", "large_account", "journalists", "apart"]);
    let quiet = table.get("quiet").map_or(Ok(usual.quiet), |value| quiet(&value));
    let reopen_within = table.get("reopen_within").map_or(Ok(usual.reopen_within), |value| reopen_within(&value));
    let large_account = table.get("large_account").map_or(Ok(usual.large_account), |value| value.count(1));
    let journalists = table
        .get("journalists")
        .map_or(Ok(Vec::new()), |value| all(value.strings()?.iter().map(|(value, text)| journalist(value, text))));
    let apart = table
        .get("apart")
        .map_or(Ok(usual.apart), |value| all(value.strings()?.iter().map(|(value, text)| glob(value, text))));
    let (quiet, reopen_within) = (quiet?, reopen_within?);
    Ok(Terms { quiet, reopen_within, large_account: large_account?, journalists: journalists?, apart: apart? })
}

fn quiet(value: &Value<'_>) -> Checked<Duration> {
    let quiet = value.parsed(duration)?;
    if quiet < LEAST_QUIET {
        let help = "a minute or more; an incident ends by itself when nothing new came for so long";
        return value.error("SB0005", "incidents would end between two posts", help);
    }
    Ok(quiet)
}

fn reopen_within(value: &Value<'_>) -> Checked<Duration> {
    let reopen_within = value.parsed(offset)?;
    if reopen_within > LONGEST_REOPEN {
        let help = "at most 31d, and \"0s\" for never";
        return value.error("SB0005", "what ended so long ago is another incident", help);
    }
    Ok(reopen_within)
}

/// `@ann.example`, or a stable key such as a DID.
fn journalist(value: &Value<'_>, text: &str) -> Checked<Journalist> {
    if !text.starts_with('@') && text.contains(':') && !text.contains(char::is_whitespace) {
        return Ok(Journalist::Id(text.into()));
    }
    if !text.starts_with('@') {
        let help = "write it as people mention it, \"@name.example\", or as its stable key, \"did:plc:…\"";
        return value.error("SB0005", format!("{} is not an account", quoted(text)), help);
    }
    account(value, text).map(|text| Journalist::Handle(text.trim_start_matches('@').to_owned()))
}
