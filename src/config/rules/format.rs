//! One layout for rule files: the order of keys, `=` in a column, lists within the line.
//!
//! Comments stay where they are, line breaks inside lists are the author's, and nothing
//! inside a string is touched: a rule's version is a hash of its query, and a layout must
//! not look like a change of the rule. What comes out is read again and compared.

use toml_edit::{Array, DocumentMut, InlineTable, Item, RawString, Table, Value};

/// Lists are broken before this column.
const WIDTH: usize = 120;
/// Spaces before what stands inside a list.
const INDENT: &str = "  ";
/// The order of keys, wherever they stand.
const ORDER: [&str; 33] = [
    "schema", "id", "name", "title", "version", "severity", "status", "topic", "query", "except", "count", "spike",
    "share", "new_term", "quiet", "all_of", "in_order", "not_on", "playbook", "aliases", "accounts", "people",
    "places", "timezone", "terms", "fuzzy", "add", "remove", "history", "posts", "alerts", "test", "rule",
];

/// Why a text was not brought into shape.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// It is not TOML; `stormbell check` says where.
    #[error("it is not TOML")]
    NotToml(#[from] toml_edit::TomlError),
    /// The result would say something else. Never expected.
    #[error("its layout cannot be changed without changing what it says")]
    Changed,
}

/// The text in the usual layout.
///
/// # Errors
/// [`FormatError`].
pub fn format(text: &str) -> Result<String, FormatError> {
    let mut document: DocumentMut = text.parse()?;
    layout(document.as_table_mut(), Align::Yes);
    separate(document.as_table_mut());
    let end = comment_lines(document.trailing().as_str().unwrap_or_default());
    document.set_trailing(end.trim_end().to_owned());
    let formatted = format!("{}\n", document.to_string().trim_matches('\n'));
    let meaning = |text: &str| toml::from_str::<toml::Table>(text).ok();
    let same = meaning(text).is_some_and(|before| Some(before) == meaning(&formatted));
    if same { Ok(formatted) } else { Err(FormatError::Changed) }
}

/// Whether `=` stand below each other: in tables whose keys are known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Align {
    Yes,
    No,
}

fn layout(table: &mut Table, align: Align) {
    if align == Align::Yes {
        let rank = |key: &str| ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len());
        table.sort_values_by(|one, _, other, _| rank(one.get()).cmp(&rank(other.get())));
    }
    let widest = match align {
        Align::Yes => {
            let keys = table.iter().filter(|(_, item)| item.is_value());
            keys.map(|(key, _)| key.chars().count()).max().unwrap_or(0)
        }
        Align::No => 0,
    };
    for (mut key, item) in table.iter_mut() {
        let inner =
            if matches!(key.get(), "lists" | "override") || align == Align::No { Align::No } else { Align::Yes };
        match item {
            Item::Value(value) => {
                let width = key.display_repr().chars().count();
                let padding = " ".repeat(1 + widest.saturating_sub(width));
                let prefix = comment_lines(raw(key.leaf_decor().prefix()));
                key.leaf_decor_mut().set_prefix(prefix);
                key.leaf_decor_mut().set_suffix(padding);
                let suffix = raw(value.decor().suffix()).trim_end().to_owned();
                layout_value(value, widest.max(width) + 3);
                value.decor_mut().set_prefix(" ");
                value.decor_mut().set_suffix(suffix);
            }
            Item::Table(table) => layout(table, inner),
            Item::ArrayOfTables(tables) => tables.iter_mut().for_each(|table| layout(table, inner)),
            Item::None => {}
        }
    }
}

/// One empty line before each header and its comments.
fn separate(table: &mut Table) {
    for (_, item) in table.iter_mut() {
        let tables: Vec<&mut Table> = match item {
            Item::Table(table) => vec![table],
            Item::ArrayOfTables(tables) => tables.iter_mut().collect(),
            Item::None | Item::Value(_) => continue,
        };
        for table in tables {
            let prefix = comment_lines(raw(table.decor().prefix()));
            table.decor_mut().set_prefix(format!("\n{}", prefix.trim_start_matches('\n')));
            let suffix = raw(table.decor().suffix()).trim_end().to_owned();
            table.decor_mut().set_suffix(suffix);
            separate(table);
        }
    }
}

fn raw(text: Option<&RawString>) -> &str {
    text.and_then(RawString::as_str).unwrap_or_default()
}

/// The comments before a key or header, each on its line, never two empty lines in a row.
fn comment_lines(text: &str) -> String {
    let mut lines: Vec<&str> = text.split('\n').map(str::trim).collect();
    // What stands before the key on its own line.
    lines.pop();
    lines.dedup_by(|one, other| one.is_empty() && other.is_empty());
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

fn layout_value(value: &mut Value, column: usize) {
    match value {
        Value::Array(array) => layout_array(array, column),
        Value::InlineTable(table) if is_in_one_line(table) => layout_inline(table),
        _ => {}
    }
}

/// Whether no comment and no line break stands between its parts.
fn is_in_one_line(table: &InlineTable) -> bool {
    let plain = |text: Option<&RawString>| !raw(text).contains(['\n', '#']);
    plain(Some(table.trailing()))
        && table.iter().all(|(key, value)| {
            let decor = table.key(key).map(toml_edit::Key::leaf_decor);
            let inner = match value {
                Value::InlineTable(inner) => is_in_one_line(inner),
                Value::Array(inner) => {
                    plain(Some(inner.trailing()))
                        && inner.iter().all(|item| plain(item.decor().prefix()) && plain(item.decor().suffix()))
                }
                _ => true,
            };
            inner
                && plain(value.decor().prefix())
                && plain(value.decor().suffix())
                && decor.is_none_or(|decor| plain(decor.prefix()) && plain(decor.suffix()))
        })
}

fn layout_inline(table: &mut InlineTable) {
    for (_, value) in table.iter_mut() {
        match value {
            Value::InlineTable(inner) => layout_inline(inner),
            Value::Array(array) => in_one_line(array),
            _ => {}
        }
    }
    table.fmt();
    table.set_trailing_comma(false);
    table.set_trailing("");
}

fn in_one_line(array: &mut Array) {
    for (place, item) in array.iter_mut().enumerate() {
        if let Value::InlineTable(inner) = item {
            layout_inline(inner);
        }
        item.decor_mut().set_prefix(if place == 0 { "" } else { " " });
        item.decor_mut().set_suffix("");
    }
    array.set_trailing_comma(false);
    array.set_trailing("");
}

/// What stands between two items beside the comma.
struct Between {
    /// The author began a new line.
    breaks: bool,
    /// A comment on the line of the item before.
    after: Option<String>,
    /// Comments on lines of their own.
    own: Vec<String>,
}

impl Between {
    fn read(text: &str) -> Self {
        let mut lines = text.split('\n').map(str::trim);
        let after = lines.next().filter(|line| line.starts_with('#')).map(str::to_owned);
        let own = lines.filter(|line| line.starts_with('#')).map(str::to_owned).collect();
        Self { breaks: text.contains('\n'), after, own }
    }

    fn has_comments(&self) -> bool {
        self.after.is_some() || !self.own.is_empty()
    }

    /// A comment, a new line, more comments.
    fn write(&self, indent: &str) -> String {
        let after = self.after.as_ref().map_or_else(String::new, |comment| format!(" {comment}"));
        let own: String = self.own.iter().flat_map(|comment| [INDENT, comment, "\n"]).collect();
        format!("{after}\n{own}{indent}")
    }
}

fn layout_array(array: &mut Array, column: usize) {
    let mut between = Vec::with_capacity(array.len());
    let mut widths = Vec::with_capacity(array.len());
    let mut carried = String::new();
    for item in array.iter_mut() {
        between.push(Between::read(&format!("{carried}{}", raw(item.decor().prefix()))));
        raw(item.decor().suffix()).clone_into(&mut carried);
        layout_value(item, INDENT.len());
        item.decor_mut().clear();
        widths.push(item.to_string().trim().chars().count());
    }
    let end = Between::read(&format!("{carried}{}", raw(Some(array.trailing()))));
    let length = column + 2 + widths.iter().map(|width| width + 2).sum::<usize>();
    if length <= WIDTH && !end.breaks && between.iter().all(|one| !one.breaks) {
        return in_one_line(array);
    }
    let mut at = 0;
    for (place, ((item, between), width)) in array.iter_mut().zip(&between).zip(widths).enumerate() {
        let fits = at + width + 2 <= WIDTH && !item.to_string().contains('\n');
        if place > 0 && fits && !between.breaks && !between.has_comments() {
            at += width + 2;
            item.decor_mut().set_prefix(" ");
        } else {
            at = INDENT.len() + width + 1;
            item.decor_mut().set_prefix(between.write(INDENT));
        }
        item.decor_mut().set_suffix("");
    }
    array.set_trailing_comma(!array.is_empty());
    array.set_trailing(end.write(""));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gets_one_layout_and_keeps_its_comments() {
        let untidy = r#"

# A pack.


schema=1
[pack]
title = "Parking" # one line
name="parking"
[lists]   # words

# English
trouble = ["full","no spaces",
    # blocked by whom?
  "blocked",   "ambulance blocked" # why
  , "last", # end
]
other = [ "a" ,"b" ]
long = ["aaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "cccccccccccccccccccccccccc", "dddddddddddddddddd", "eeee"]



[[rule]]
query    = '''
$org   $trouble'''
# the id
id = "parking.blocked"
count = {at_least=2,within="1h"}


except = [{reason="ours",query='"we  are"'},
          { reason = "b", query = 'b' }]
[[rule.test]]
alerts=1
posts=[{text="x", lang=["en","es"]}]
name = "n"
# the end

"#;
        let tidy = r#"# A pack.

schema = 1

[pack]
name  = "parking"
title = "Parking" # one line

[lists]   # words

# English
trouble = [
  "full", "no spaces",
  # blocked by whom?
  "blocked", "ambulance blocked", # why
  "last", # end
]
other = ["a", "b"]
long = [
  "aaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "cccccccccccccccccccccccccc", "dddddddddddddddddd",
  "eeee",
]

[[rule]]
# the id
id     = "parking.blocked"
query  = '''
$org   $trouble'''

except = [
  { reason = "ours", query = '"we  are"' },
  { reason = "b", query = 'b' },
]
count  = { at_least = 2, within = "1h" }

[[rule.test]]
name   = "n"
posts  = [{ text = "x", lang = ["en", "es"] }]
alerts = 1
# the end
"#;
        let formatted = format(untidy).unwrap();
        assert_eq!(formatted, tidy, "{formatted}");
        assert_eq!(format(tidy).unwrap(), tidy);
    }

    #[test]
    fn what_is_not_toml_is_refused() {
        assert!(matches!(format("a = "), Err(FormatError::NotToml(_))));
        assert_eq!(format("").unwrap(), "\n");
    }

    proptest::proptest! {
        #[test]
        fn a_layout_is_final(text in "(schema ?= ?1\n|\\[lists\\] *(# c)?\n|\\[\\[rule\\]\\]\n|\n|# c\n|[ab] ?= ?(\\[ ?('x'(, ?| ?,\n| # c\n,|, # c\n *# d\n)){0,9}\\]|'y'|\\{ ?u=1, ?v=\\['z'\\] ?\\}) ?(# e)?\n){0,12}") {
            if let Ok(once) = format(&text) {
                proptest::prop_assert_eq!(format(&once).unwrap(), once);
            }
        }
    }
}
