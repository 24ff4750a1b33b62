//! A TOML text read with every mistake noted, not only the first.
//!
//! [`read`] parses a text and hands its root to a closure. The getters of [`Table`]
//! and [`Value`] note what is wrong and return [`Noted`]; a caller asks for every key
//! before it lets the first `?` end its reading. serde is not used: it stops at the first
//! mistake, and its errors know neither the line nor the nearest known key.
//!
//! When the TOML itself is broken, the rest of the tree is still read, but nothing
//! is said about what is absent: it may stand where the parser lost its way.
//!
//! Secrets do not belong in these texts. Where one stands all the same, it is
//! replaced by asterisks in every finding before anybody sees it; so is where people
//! are reached, which is for nobody who reads the journal.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use crate::domain::diagnostic::{Diagnostic, Level, Place, SourceText};

mod mask;

/// What a text is, which decides whether secrets may have strayed into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// `stormbell.toml`: logins in addresses are masked, and whole lines with a
    /// private-looking key when its TOML is broken.
    Settings,
    /// A rule file: nothing in it is secret.
    Rules,
}

/// Something is wrong, and a finding says so already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted;

/// A value, or word that a finding was noted.
pub type Checked<T> = Result<T, Noted>;

/// All values, when none is wrong. Unlike `collect`, it looks at every one of them.
pub fn all<T>(items: impl Iterator<Item = Checked<T>>) -> Checked<Vec<T>> {
    let items: Vec<_> = items.collect();
    items.into_iter().collect()
}

/// Parses `source`, lets `visit` read the tree, and returns its result with all
/// findings in the order of the text.
pub fn read<T>(source: &Arc<SourceText>, kind: TextKind, visit: impl FnOnce(&Table<'_>) -> T) -> (T, Vec<Diagnostic>) {
    let (tree, errors) = DeTable::parse_recoverable(&source.text);
    let text = Text { source, broken: !errors.is_empty(), notes: RefCell::default() };
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let message = format!("this is not TOML: {}", error.message());
        text.note(Diagnostic::error("SB0001", message).at(source, span, "here"));
    }
    let root = Table { text: &text, entries: tree.get_ref(), span: 0..0, name: "the file".to_owned(), common: &[] };
    let value = visit(&root);
    let mut notes = text.notes.into_inner();
    if kind == TextKind::Settings {
        notes.masks.extend(mask::logins(&source.text));
        if !errors.is_empty() {
            notes.masks.extend(mask::private_lines(&source.text));
        }
    }
    (value, notes.finish(source, &errors))
}

/// The candidate a person most likely meant by `word`, when one is near.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let slack = 1 + word.chars().count() / 4;
    let distance = |candidate: &str| strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase());
    let near = candidates.into_iter().map(|candidate| (distance(candidate), candidate));
    near.filter(|(distance, _)| *distance <= slack).min().map(|(_, candidate)| candidate)
}

/// A user's word for use in a message: quoted, and cut when it is long.
pub fn quoted(word: &str) -> String {
    const LONGEST: usize = 60;
    match word.char_indices().nth(LONGEST) {
        None => format!("`{word}`"),
        Some((end, _)) => format!("`{}…`", word.get(..end).unwrap_or_default()),
    }
}

/// "did you mean `x`?", or what there is to choose from.
pub fn suggestion(word: &str, candidates: &[&str], all: &str) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if candidates.is_empty() => format!("{all}: none"),
        None => format!("{all}: {}", candidates.join(", ")),
    }
}

/// The text being read and what has been noted about it.
struct Text<'d> {
    source: &'d Arc<SourceText>,
    /// TOML itself is wrong somewhere, so the tree may lack things.
    broken: bool,
    notes: RefCell<Notes>,
}

#[derive(Default)]
struct Notes {
    findings: Vec<Diagnostic>,
    /// Findings about keys that are not there, by the table's place and the key.
    missing: Vec<(Range<usize>, &'static str, Diagnostic)>,
    /// Keys that are there, but misspelt.
    misspelt: Vec<(Range<usize>, String)>,
    masks: Vec<Range<usize>>,
}

impl Text<'_> {
    fn note(&self, finding: Diagnostic) {
        self.notes.borrow_mut().findings.push(finding);
    }
}

impl Notes {
    fn finish(self, source: &Arc<SourceText>, syntax: &[toml::de::Error]) -> Vec<Diagnostic> {
        let line = |at: usize| source.text.bytes().take(at).filter(|&byte| byte == b'\n').count();
        let broken_lines: Vec<usize> = syntax.iter().filter_map(|error| Some(line(error.span()?.start))).collect();
        let start = |finding: &Diagnostic| finding.place.as_ref().map_or(usize::MAX, |place| place.span.start);
        let mut findings = self.findings;
        let misspelt = self.misspelt;
        let is_misspelt =
            |table: &Range<usize>, key: &str| misspelt.iter().any(|(at, near)| at == table && near == key);
        let missing = self.missing.into_iter().filter(|(table, key, _)| !is_misspelt(table, key));
        findings.extend(missing.map(|(_, _, finding)| finding));
        if !broken_lines.is_empty() {
            findings.retain(|finding| finding.code == "SB0001" || !broken_lines.contains(&line(start(finding))));
        }
        findings.sort_by_key(|finding| (start(finding), finding.code));
        findings.dedup();
        if !self.masks.is_empty() {
            let masked = Arc::new(mask::masked(source, &self.masks));
            for place in findings.iter_mut().filter_map(|finding| finding.place.as_mut()) {
                place.source = Arc::clone(&masked);
            }
        }
        findings
    }
}

/// A TOML table and where it stands.
pub struct Table<'d> {
    text: &'d Text<'d>,
    entries: &'d DeTable<'d>,
    span: Range<usize>,
    name: String,
    /// Keys that are known besides those that are asked for.
    common: &'static [&'static str],
}

impl<'d> Table<'d> {
    /// The same table, in which these keys are known, too.
    #[must_use]
    pub fn also_with(&self, common: &'static [&'static str]) -> Self {
        Self { text: self.text, entries: self.entries, span: self.span(), name: self.name.clone(), common }
    }

    /// The bytes of its header, or of the whole of it when it is written inline.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Notes every key that is not among `known`.
    pub fn allow_only(&self, known: &[&str]) {
        let known = &[known, self.common].concat()[..];
        for (key, value) in self.entries {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let near = nearest(name, known.iter().copied());
            if let Some(near) = near {
                self.text.notes.borrow_mut().misspelt.push((self.span(), near.to_owned()));
            }
            if mask::looks_private(name) || near.is_some_and(mask::looks_private) {
                self.text.notes.borrow_mut().masks.push(value.span());
            }
            let message = format!("unknown key {} in {}", quoted(name), self.name);
            let help = suggestion(name, known, "known keys here");
            self.error("SB0002", message, key.span(), "no such key", help);
        }
    }

    /// The value of a key, when it is there.
    pub fn get(&self, key: &'static str) -> Option<Value<'d>> {
        let value = self.entries.get(key)?;
        Some(Value { text: self.text, key, tree: value.get_ref(), span: value.span() })
    }

    /// The value of a key that must be there; `example` shows how to write it.
    pub fn require(&self, key: &'static str, example: &str) -> Checked<Value<'d>> {
        self.get(key).ok_or_else(|| {
            let finding = Diagnostic::error("SB0003", format!("key `{key}` is missing in {}", self.name));
            let finding = finding.at(self.text.source, self.span(), "needs this key");
            self.missing(key, finding.help(format!("add {example}")));
            Noted
        })
    }

    /// Notes what it means that a key is not there, unless it is there misspelt.
    pub fn missing(&self, key: &'static str, finding: Diagnostic) {
        if !self.text.broken {
            self.text.notes.borrow_mut().missing.push((self.span(), key, finding));
        }
    }

    /// A table, when it is there.
    pub fn table(&self, key: &'static str) -> Checked<Option<Table<'d>>> {
        self.get(key).map(|value| value.table(format!("[{key}]"))).transpose()
    }

    /// The tables of a list, called `name` in findings; none when there are none.
    pub fn tables(&self, key: &'static str, name: &str) -> Vec<Table<'d>> {
        let items = self.get(key).map(|value| value.list(&format!("a list of tables: {name}")));
        let Some(Ok(items)) = items else { return Vec::new() };
        items.iter().filter_map(|item| item.table(name).ok()).collect()
    }

    /// All entries in the order of the text: key, its bytes, value.
    pub fn in_order(&self) -> Vec<(&'d str, Range<usize>, Value<'d>)> {
        let entries = self.entries.iter().map(|(key, item)| {
            let name: &str = key.get_ref();
            (name, key.span(), Value { text: self.text, key: name, tree: item.get_ref(), span: item.span() })
        });
        let mut entries: Vec<_> = entries.collect();
        entries.sort_by_key(|(_, span, _)| span.start);
        entries
    }

    /// Checks `schema = 1`.
    pub fn require_schema(&self) {
        let Ok(schema) = self.require("schema", "`schema = 1` at the top") else { return };
        if let Ok(number) = schema.integer()
            && number != 1
        {
            schema.note(Level::Error, "SB0005", format!("schema {number} is not known"), "this version reads schema 1");
        }
    }

    /// Notes an error about something in it, and is that error.
    pub fn refuse<T>(&self, code: &'static str, message: String, span: Range<usize>, help: &str) -> Checked<T> {
        self.error(code, message, span, "here", help);
        Err(Noted)
    }

    /// The same for an error that rests on something being absent elsewhere in the text.
    pub fn absent<T>(&self, code: &'static str, message: String, span: Range<usize>, help: &str) -> Checked<T> {
        if self.text.broken { Err(Noted) } else { self.refuse(code, message, span, help) }
    }

    /// Notes an error with a place of its own.
    pub fn error(
        &self,
        code: &'static str,
        message: impl Into<String>,
        span: Range<usize>,
        label: &str,
        help: impl Into<String>,
    ) {
        self.text.note(Diagnostic::error(code, message).at(self.text.source, span, label).help(help));
    }

    /// Notes a warning with a place of its own.
    pub fn warning(
        &self,
        code: &'static str,
        message: impl Into<String>,
        span: Range<usize>,
        label: &str,
        help: impl Into<String>,
    ) {
        self.text.note(Diagnostic::warning(code, message).at(self.text.source, span, label).help(help));
    }

    /// A finding about the text as a whole: placed at its beginning.
    pub fn at_top(&self, finding: Diagnostic) -> Diagnostic {
        finding.at(self.text.source, 0..0, "in this file")
    }

    /// Whether the text could be read as a whole.
    pub fn is_whole(&self) -> bool {
        !self.text.broken
    }
}

/// See [`Value::written`].
pub struct Written<'v, 'd> {
    value: &'v Value<'d>,
    text: String,
}

impl Written<'_, '_> {
    /// What it says, read by `parse`, whose error says what is wrong with it.
    pub fn parsed_as<T, E: Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Checked<T> {
        parse(&self.text).map_err(|error| self.value.unusable(&error.to_string()))
    }
}

/// A TOML value, the key it belongs to and where it stands.
#[derive(Clone)]
pub struct Value<'d> {
    text: &'d Text<'d>,
    key: &'d str,
    tree: &'d DeValue<'d>,
    span: Range<usize>,
}

impl<'d> Value<'d> {
    /// The key it belongs to; an item of a list belongs to the list's.
    pub fn key(&self) -> &'d str {
        self.key
    }

    /// The string it is, if it is one; nothing is noted.
    pub fn as_str(&self) -> Option<&'d str> {
        self.tree.as_str()
    }

    /// Its bytes, quotes and brackets included.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Its place in the text.
    pub fn place(&self) -> Place {
        Place { source: Arc::clone(self.text.source), span: self.span(), label: "named here".to_owned() }
    }

    /// The bytes of a string without its quotes.
    pub fn contents(&self) -> Range<usize> {
        let raw = self.text.source.text.get(self.span()).unwrap_or_default();
        let (open, close) = if raw.len() >= 6 && (raw.starts_with("\"\"\"") || raw.starts_with("'''")) {
            let newline = raw.get(3..).map_or(0, |rest| match rest.as_bytes() {
                [b'\r', b'\n', ..] => 2,
                [b'\n', ..] => 1,
                _ => 0,
            });
            (3 + newline, 3)
        } else if raw.len() >= 2 {
            (1, 1)
        } else {
            (0, 0)
        };
        let end = self.span.end.saturating_sub(close);
        (self.span.start + open).min(end)..end
    }

    /// A string.
    pub fn string(&self) -> Checked<&'d str> {
        match self.tree {
            DeValue::String(text) => Ok(text),
            _ => self.mistyped("a string"),
        }
    }

    /// A string that says something.
    pub fn filled(&self) -> Checked<&'d str> {
        let text = self.string()?;
        if text.trim().is_empty() {
            return self.error("SB0005", format!("`{}` is empty", self.key), "write something, or remove the key");
        }
        Ok(text)
    }

    /// A string read by `parse`, whose error says what is wrong with it.
    pub fn parsed<T, E: Display>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Checked<T> {
        parse(self.string()?).map_err(|error| self.unusable(&error.to_string()))
    }

    fn unusable(&self, why: &str) -> Noted {
        self.label("SB0005", format!("`{}` cannot be used", self.key), why, None);
        Noted
    }

    /// A string, or a date or time of TOML's own, which needs no quotes.
    pub fn written(&self) -> Checked<Written<'_, 'd>> {
        let text = match self.tree {
            DeValue::Datetime(time) => time.to_string(),
            _ => self.string()?.to_owned(),
        };
        Ok(Written { value: self, text })
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, words: &[(&str, T)]) -> Checked<T> {
        let text = self.string()?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*value);
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("`{}` cannot be {}", self.key, quoted(text));
        self.error("SB0005", message, &suggestion(text, &names, "one of"))
    }

    /// A whole number.
    pub fn integer(&self) -> Checked<i64> {
        let DeValue::Integer(number) = self.tree else { return self.mistyped("a whole number") };
        match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Ok(number),
            Err(_) => self.error("SB0005", format!("`{}` is too large a number", self.key), "write a smaller number"),
        }
    }

    /// A number, whole or not.
    pub fn number(&self) -> Checked<f64> {
        let text = match self.tree {
            DeValue::Float(number) => number.as_str(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            _ => return self.mistyped("a number"),
        };
        match text.parse() {
            Ok(number) => Ok(number),
            Err(_) => self.error("SB0005", format!("`{}` is no number", self.key), "write a number such as 0.30"),
        }
    }

    /// A whole number of at least `least`.
    pub fn count(&self, least: u64) -> Checked<u64> {
        let number = self.integer()?;
        match u64::try_from(number) {
            Ok(count) if count >= least => Ok(count),
            _ => {
                let message = format!("`{}` must be at least {least}, and is {number}", self.key);
                self.error("SB0005", message, "write a larger number")
            }
        }
    }

    /// A truth value.
    pub fn boolean(&self) -> Checked<bool> {
        match self.tree {
            DeValue::Boolean(value) => Ok(*value),
            _ => self.mistyped("true or false"),
        }
    }

    /// A list of anything; `expected` says of what.
    pub fn list(&self, expected: &str) -> Checked<Vec<Value<'d>>> {
        let DeValue::Array(items) = self.tree else { return self.mistyped(expected) };
        Ok(items.iter().map(|item| Value { tree: item.get_ref(), span: item.span(), ..self.clone() }).collect())
    }

    /// A list of strings that say something.
    pub fn strings(&self) -> Checked<Vec<(Value<'d>, &'d str)>> {
        let items = self.list("a list of strings")?;
        all(items.into_iter().map(|item| item.filled().map(|text| (item, text))))
    }

    /// One string, or a list of them.
    pub fn one_or_more(&self) -> Checked<Vec<(Value<'d>, &'d str)>> {
        if let DeValue::Array(_) = self.tree { self.strings() } else { Ok(vec![(self.clone(), self.filled()?)]) }
    }

    /// A table, called `name` in findings.
    pub fn table(&self, name: impl Into<String>) -> Checked<Table<'d>> {
        let DeValue::Table(entries) = self.tree else { return self.mistyped("a table") };
        Ok(Table { text: self.text, entries, span: self.span(), name: name.into(), common: &[] })
    }

    /// Whether it is a table.
    pub fn is_table(&self) -> bool {
        matches!(self.tree, DeValue::Table(_))
    }

    /// Whether it is a whole number.
    pub fn is_integer(&self) -> bool {
        matches!(self.tree, DeValue::Integer(_))
    }

    /// Hides the value in every finding about this text.
    pub fn hide(&self) {
        self.text.notes.borrow_mut().masks.push(self.span());
    }

    /// Notes an error here, and is that error.
    pub fn error<T>(&self, code: &'static str, message: impl Into<String>, help: &str) -> Checked<T> {
        self.label(code, message, "here", Some(help));
        Err(Noted)
    }

    /// Notes a finding of either level here.
    pub fn note(&self, level: Level, code: &'static str, message: impl Into<String>, help: &str) {
        let finding = Diagnostic { level, ..Diagnostic::error(code, message) };
        self.text.note(finding.at(self.text.source, self.span(), "here").help(help));
    }

    /// Notes an error that rests on something being absent elsewhere in the text, and is that error.
    pub fn absent<T>(&self, code: &'static str, message: impl Into<String>, help: &str) -> Checked<T> {
        if self.text.broken { Err(Noted) } else { self.error(code, message, help) }
    }

    fn label(&self, code: &'static str, message: impl Into<String>, label: impl Into<String>, help: Option<&str>) {
        let finding = Diagnostic::error(code, message).at(self.text.source, self.span(), label);
        self.text.note(Diagnostic { help: help.map(str::to_owned), ..finding });
    }

    fn mistyped<T>(&self, expected: &str) -> Checked<T> {
        let is = match self.tree {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("`{}` must be {expected}, and is {is}", self.key);
        self.label("SB0004", message, format!("this is {is}"), None);
        Err(Noted)
    }
}
