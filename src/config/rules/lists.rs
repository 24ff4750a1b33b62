//! `[lists]` and `[override.PACK]` of a rule file.

use std::sync::Arc;

use crate::config::naming::{Letters, is_name};
use crate::config::table::{Checked, Table, Value, quoted};
use crate::domain::diagnostic::SourceText;
use crate::domain::query::Lists;
use crate::domain::rule::raw::{Change, RawEntry, RawList, RawOverride, Spanned};

/// The lists a file defines; those with a name that cannot be used are left out.
pub(super) fn lists(table: &Table<'_>, source: &Arc<SourceText>) -> Vec<RawList> {
    let mut lists = Vec::new();
    for (name, span, value) in table.in_order() {
        if Lists::SITE.contains(&name) {
            let message = format!("`${name}` is built in and cannot be a list here");
            table.error("SB0202", message, span, "choose another name", "its words come from [organization]");
            continue;
        }
        if !is_name(name, Letters::Lower) || name.contains('.') {
            let message = format!("{} cannot be the name of a list", quoted(name));
            table.error("SB0202", message, span, "not a name", "use lower-case letters, digits, `-` and `_`");
            continue;
        }
        let (entries, fuzzy) = list(&value, source).unwrap_or_default();
        lists.push(RawList { name: name.to_owned(), span, entries, fuzzy, changed: None });
    }
    lists
}

/// `[…]`, or `{ terms = […], fuzzy = true }`.
fn list(value: &Value<'_>, source: &Arc<SourceText>) -> Checked<(Vec<RawEntry>, bool)> {
    if !value.is_table() {
        return Ok((entries(value, source)?, false));
    }
    let table = value.table(format!("the list {}", quoted(value.key())))?;
    table.allow_only(&["terms", "fuzzy"]);
    let fuzzy = table.get("fuzzy").map_or(Ok(false), |value| value.boolean());
    let terms = table.require("terms", "`terms = [\"…\"]`").and_then(|value| entries(&value, source));
    Ok((terms?, fuzzy?))
}

/// Entries that can be used; the others are noted and left out.
fn entries(value: &Value<'_>, source: &Arc<SourceText>) -> Checked<Vec<RawEntry>> {
    let items = value.list("a list of words and phrases")?;
    let entry = |item: &Value<'_>| {
        let value = item.filled().ok()?.to_owned();
        Some(RawEntry { value, source: Arc::clone(source), span: item.contents() })
    };
    Ok(items.iter().filter_map(entry).collect())
}

/// What a file changes of packs' lists.
pub(super) fn overrides(table: &Table<'_>, source: &Arc<SourceText>) -> Vec<RawOverride> {
    let mut overrides = Vec::new();
    for (pack, pack_span, value) in table.in_order() {
        let Ok(lists) = value.table(format!("[override.{pack}]")) else { continue };
        for (list, span, value) in lists.in_order() {
            if Lists::SITE.contains(&list) {
                let message = format!("`${list}` is built in and belongs to no pack");
                lists.error("SB0202", message, span, "cannot be overridden", "its words come from [organization]");
                continue;
            }
            let Ok(change) = change(&value, source) else { continue };
            let pack = Spanned { value: pack.to_owned(), span: pack_span.clone() };
            overrides.push(RawOverride { pack, list: Spanned { value: list.to_owned(), span }, change });
        }
    }
    overrides
}

fn change(value: &Value<'_>, source: &Arc<SourceText>) -> Checked<Change> {
    if !value.is_table() {
        return Ok(Change::Replace(entries(value, source)?));
    }
    let table = value.table(format!("the override of {}", quoted(value.key())))?;
    table.allow_only(&["add", "remove"]);
    let of = |key| table.get(key).map_or(Ok(Vec::new()), |value| entries(&value, source));
    let (add, remove) = (of("add"), of("remove"));
    Ok(Change::Edit { add: add?, remove: remove? })
}
