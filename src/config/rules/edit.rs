//! A rule file with another query or one more exception in it, everything else as its author wrote it.
//!
//! What comes out is text to be shown: nobody's file is written.

use toml_edit::{Array, ArrayOfTables, DocumentMut, InlineTable, Item, Table, Value};

/// What is to be different.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// Another query.
    pub query: Option<String>,
    /// One more exception: its reason and query.
    pub except: Option<(String, String)>,
}

/// The text of a rule file, with a rule of it changed; none where it is no such file, or has no such rule.
pub fn edited(text: &str, rule: &str, edit: &Edit) -> Option<String> {
    let mut document: DocumentMut = text.parse().ok()?;
    let rules: &mut ArrayOfTables = document.get_mut("rule")?.as_array_of_tables_mut()?;
    let is_it = |table: &&mut Table| table.get("id").and_then(Item::as_str) == Some(rule);
    let table = rules.iter_mut().find(is_it)?;
    if let Some(query) = &edit.query {
        let old = table.get_mut("query")?.as_value_mut()?;
        let mut new = literal(query);
        *new.decor_mut() = old.decor().clone();
        *old = new;
    }
    if let Some((reason, query)) = &edit.except {
        let mut entry = InlineTable::new();
        entry.insert("reason", literal(reason));
        entry.insert("query", literal(query));
        match table.get_mut("except") {
            None => after_the_query(table, entry),
            Some(excepts) => add(excepts.as_array_mut()?, entry),
        }
    }
    Some(document.to_string())
}

/// One more entry, laid out as the last one is.
fn add(excepts: &mut Array, entry: InlineTable) {
    let decor = excepts.iter().last().map(|last| last.decor().clone());
    excepts.push_formatted(Value::InlineTable(entry));
    if let Some((last, decor)) = excepts.iter_mut().last().zip(decor) {
        *last.decor_mut() = decor;
        last.decor_mut().set_suffix("");
    }
}

/// Keys stand in the order in which people read them.
fn after_the_query(table: &mut Table, entry: InlineTable) {
    let mut excepts = Array::new();
    excepts.push(Value::InlineTable(entry));
    table.insert("except", Item::Value(Value::Array(excepts)));
    let order: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).filter(|key| key != "except").collect();
    let rank = |key: &str| match order.iter().position(|known| known == key) {
        Some(place) => place * 2,
        None => order.iter().position(|known| known == "query").map_or(usize::MAX, |query| query * 2 + 1),
    };
    table.sort_values_by(|one, _, other, _| rank(one.get()).cmp(&rank(other.get())));
}

/// As rule files write it: in single quotes where that can be, so that no backslash is needed.
fn literal(text: &str) -> Value {
    let plain = !text.contains('\'') && !text.chars().any(char::is_control);
    let lines = !text.contains("'''") && !text.chars().any(|c| c.is_control() && c != '\n');
    let quoted = match (plain, lines) {
        (true, _) => format!("'{text}'"),
        (false, true) if text.contains('\n') => format!("'''\n{text}'''"),
        _ => return Value::from(text),
    };
    quoted.parse().unwrap_or_else(|_| Value::from(text))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::rules::parse_rules;
    use crate::domain::diagnostic::SourceText;

    const FILE: &str = "schema = 1\n[pack]\nname = \"p\"\n\n# The first.\n[[rule]]\nid       = \"p.a\"\ntitle    = \"A\"\nseverity = \"low\"\nquery    = 'one' # as ever\n\n\
        [[rule]]\nid = \"p.b\"\ntitle = \"B\"\nseverity = \"low\"\nquery = '''\ntwo OR\n  three'''\nexcept = [\n  { reason = \"films\", query = \"film\" },\n]\n";

    fn with(rule: &str, edit: &Edit) -> String {
        let text = edited(FILE, rule, edit).unwrap();
        let (file, findings) = parse_rules(&Arc::new(SourceText { name: "f".to_owned(), text: text.clone() }));
        assert!(findings.is_empty(), "{findings:?}");
        assert_eq!(file.unwrap().rules.len(), 2);
        text
    }

    #[test]
    fn only_what_is_asked_for_changes() {
        let edit = Edit { query: Some("one OR \"it's\"".to_owned()), except: None };
        assert_eq!(with("p.a", &edit), FILE.replace("'one'", "\"\"\"one OR \"it's\"\"\"\""));
        let edit = Edit { query: None, except: Some(("drills".to_owned(), "drill OR \"movie night\"".to_owned())) };
        let entry = "{ reason = 'drills', query = 'drill OR \"movie night\"' }";
        assert_eq!(with("p.a", &edit), FILE.replace("# as ever\n", &format!("# as ever\nexcept = [{entry}]\n")));
        assert_eq!(with("p.b", &edit), FILE.replace("\"film\" },\n", &format!("\"film\" }},\n  {entry},\n")));
        let edit = Edit { query: Some("four\nOR five".to_owned()), except: None };
        assert_eq!(with("p.b", &edit), FILE.replace("two OR\n  three", "four\nOR five"));
    }

    #[test]
    fn what_is_no_rule_file_is_left_alone() {
        let edit = Edit { query: Some("x".to_owned()), except: None };
        for (text, rule) in [("", "p.a"), ("rule = 1", "p.a"), ("not toml", "p.a"), (FILE, "p.c")] {
            assert_eq!(edited(text, rule, &edit), None, "{text}");
        }
    }
}
