//! Names people choose, and the kinds of `[[source]]` and `[[receiver]]`.

use std::collections::HashSet;

use super::table::{Checked, Table, Value, quoted, suggestion};

const LONGEST_NAME: usize = 64;

/// Which letters a name may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Letters {
    /// For names that only this configuration uses.
    Any,
    /// For names that other files and people refer to: no two differ by case alone.
    Lower,
}

/// Whether `text` can stand in URLs, metrics and file names without quoting.
pub(super) fn is_name(text: &str, letters: Letters) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || (letters == Letters::Any && c.is_ascii_uppercase());
    let fits = |c: char| letter(c) || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
    (1..=LONGEST_NAME).contains(&text.len()) && text.chars().all(fits)
}

/// A string that is a name.
pub(super) fn name<'d>(value: &Value<'d>, letters: Letters) -> Checked<&'d str> {
    let text = value.string()?;
    if is_name(text, letters) {
        return Ok(text);
    }
    let help = match letters {
        Letters::Any => "use up to 64 letters, digits, `-`, `_` and `.`",
        Letters::Lower => "use up to 64 lower-case letters, digits, `-`, `_` and `.`",
    };
    value.error("SB0005", format!("`{}` cannot be {}", value.key(), quoted(text)), help)
}

/// The name of each table; names used twice are noted.
pub(super) fn names<'d>(tables: &[Table<'d>], example: &str) -> Vec<Checked<&'d str>> {
    names_beside(tables, example, &mut HashSet::new())
}

/// The same beside names that others have taken, to which these are added.
pub(super) fn names_beside<'d>(
    tables: &[Table<'d>],
    example: &str,
    taken: &mut HashSet<&'d str>,
) -> Vec<Checked<&'d str>> {
    let others = taken.clone();
    let name = |table: &Table<'d>| {
        let value = table.require("name", example)?;
        let name = name(&value, Letters::Any)?;
        if !taken.insert(name) {
            let shared = "give each its own name: receivers, persons, teams and schedules share them";
            let help = if others.contains(name) { shared } else { "give each its own name" };
            return value.error("SB0401", format!("the name `{name}` is taken"), help);
        }
        Ok(name)
    };
    tables.iter().map(name).collect()
}

/// The kind a table asks for, when this version has it.
pub(super) fn kind<T: Copy>(table: &Table<'_>, built: &[(&str, T)]) -> Checked<T> {
    let names: Vec<&str> = built.iter().map(|(name, _)| *name).collect();
    let has = format!("this version has: {}", names.join(", "));
    let value = table.require("kind", &format!("`kind = \"…\"`; {has}"))?;
    let text = value.string()?;
    if let Some((_, kind)) = built.iter().find(|(name, _)| *name == text) {
        return Ok(*kind);
    }
    let help = suggestion(text, &names, "this version has");
    value.error("SB0404", format!("there is no kind {}", quoted(text)), &help)
}
