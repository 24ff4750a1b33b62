//! `[[inhibit]]`: while a bigger incident is open, smaller ones are muted.

use super::table::{Checked, Table, Value, all};
use crate::domain::inhibit::Inhibition;
use crate::domain::silence::Matcher;

/// Reads all of them.
pub(super) fn inhibitions(root: &Table<'_>) -> Checked<Vec<Inhibition>> {
    all(root.tables("inhibit", "[[inhibit]]").iter().map(inhibition))
}

fn inhibition(table: &Table<'_>) -> Checked<Inhibition> {
    table.allow_only(&["source", "target", "equal"]);
    let source = table.require("source", "`source = [\"topic=active-threat\"]`").and_then(|value| matchers(&value));
    let target = table.require("target", "`target = [\"topic=press\"]`").and_then(|value| matchers(&value));
    let same_family = table.get("equal").map_or(Ok(false), |value| {
        let items = value.list("a list such as [\"topic\"]")?;
        Ok(!all(items.iter().map(|item| item.word(&[("topic", ())])))?.is_empty())
    });
    Ok(Inhibition { source: source?, target: target?, same_family: same_family? })
}

/// As `stormbell silence` takes them.
fn matchers(value: &Value<'_>) -> Checked<Vec<Matcher>> {
    let items = value.strings()?;
    if items.is_empty() {
        let message = format!("`{}` is empty, so it would take everything", value.key());
        return value.error("SB0433", message, "write matchers such as \"topic=cyber*\" or \"severity=low,medium\"");
    }
    all(items.iter().map(|(item, text)| {
        text.parse::<Matcher>().or_else(|error| {
            let help = "as in `stormbell silence add`: rule, topic or severity, = or !=, and globs";
            item.error("SB0433", error.to_string(), help)
        })
    }))
}
