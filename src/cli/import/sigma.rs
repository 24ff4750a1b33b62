//! Sigma rules: selections of values, joined by a condition.
//!
//! Sigma speaks of log events. Of its fields only those that a post has are carried over;
//! keywords and the text are words here, where Sigma compares pieces of strings.

use anyhow::Context as _;
use saphyr::{LoadableYamlNode as _, Yaml};

use super::fields;
use super::tree::{Part, words};
use super::{Imported, Loss};
use crate::domain::incident::Severity;
use crate::domain::rule::raw::Status;

/// Names of the text in Sigma rules for messages and posts.
const TEXT: [&str; 6] = ["text", "message", "content", "keywords", "body", "msg"];
/// Parentheses nest no deeper.
const DEEPEST: usize = 60;

/// The rules of a file, one a YAML document.
pub(super) fn import(text: &str, losses: &mut Vec<Loss>) -> anyhow::Result<Vec<Imported>> {
    let documents = Yaml::load_from_str(text).context("this is not YAML")?;
    Ok(documents.iter().enumerate().map(|(place, document)| rule(place + 1, document, losses)).collect())
}

fn rule(place: usize, document: &Yaml<'_>, losses: &mut Vec<Loss>) -> Imported {
    let text = |key: &str| get(document, key).and_then(Yaml::as_str);
    let title = text("title").map_or_else(|| format!("imported from document {place}"), str::to_owned);
    let severity = match text("level") {
        Some("informational") => Severity::Info,
        Some(level) => Severity::ALL.into_iter().find(|known| known.as_str() == level).unwrap_or(Severity::Low),
        None => Severity::Low,
    };
    let status = text("status").and_then(|status| Status::ALL.into_iter().find(|known| known.as_str() == status));
    let mut reader = Reader { title: &title, losses };
    for key in ["logsource", "correlation", "tags", "falsepositives", "fields", "references", "timeframe"] {
        if get(document, key).is_some() {
            reader.lose(key, "has no counterpart: left out");
        }
    }
    let query = get(document, "detection").and_then(|detection| reader.detection(detection)).map(|part| part.write());
    Imported { title, severity, status: status.unwrap_or(Status::Experimental), query }
}

/// A key's value in a mapping.
fn get<'y>(yaml: &'y Yaml<'y>, key: &str) -> Option<&'y Yaml<'y>> {
    entries(yaml).into_iter().find(|(name, _)| *name == key).map(|(_, value)| value)
}

fn entries<'y>(yaml: &'y Yaml<'y>) -> Vec<(&'y str, &'y Yaml<'y>)> {
    let Some(mapping) = yaml.as_mapping() else { return Vec::new() };
    mapping.iter().filter_map(|(key, value)| Some((key.as_str()?, value))).collect()
}

/// A value as text: a string, a number, true or false.
fn scalar(yaml: &Yaml<'_>) -> Option<String> {
    let number = || yaml.as_integer().map(|number| number.to_string());
    yaml.as_str().map(str::to_owned).or_else(number).or_else(|| yaml.as_bool().map(|value| value.to_string()))
}

struct Reader<'a> {
    title: &'a str,
    losses: &'a mut Vec<Loss>,
}

impl Reader<'_> {
    fn lose(&mut self, place: &str, what: impl Into<String>) {
        self.losses.push(Loss { place: format!("{}: {place}", self.title), what: what.into() });
    }

    fn detection(&mut self, detection: &Yaml<'_>) -> Option<Part> {
        let mut selections: Vec<(String, Option<Part>)> = Vec::new();
        for (name, value) in entries(detection) {
            match name {
                "condition" => {}
                "timeframe" => self.lose("timeframe", "has no counterpart in a query: use `count` with `within`"),
                _ => selections.push((name.to_owned(), self.selection(name, value))),
            }
        }
        let conditions: Vec<String> = match get(detection, "condition") {
            Some(condition) => match condition.as_sequence() {
                Some(several) => several.iter().filter_map(scalar).collect(),
                None => scalar(condition).into_iter().collect(),
            },
            None => Vec::new(),
        };
        if conditions.is_empty() {
            self.lose("condition", "is missing: any selection is enough");
            return Part::any(selections.into_iter().filter_map(|(_, part)| part).collect());
        }
        let parts: Vec<Part> = conditions.iter().filter_map(|text| self.condition(text, &selections)).collect();
        Part::any(parts)
    }

    /// A mapping needs all its fields; of a list one is enough.
    fn selection(&mut self, place: &str, value: &Yaml<'_>) -> Option<Part> {
        if let Some(list) = value.as_sequence() {
            let parts = list.iter().filter_map(|one| match scalar(one) {
                Some(text) => self.text(place, &text, ""),
                None => self.selection(place, one),
            });
            return Part::any(parts.collect());
        }
        if let Some(text) = scalar(value) {
            return self.text(place, &text, "");
        }
        let fields = entries(value);
        let parts = fields.into_iter().filter_map(|(key, value)| self.field(&format!("{place}.{key}"), key, value));
        Part::all(parts.collect())
    }

    fn field(&mut self, place: &str, key: &str, value: &Yaml<'_>) -> Option<Part> {
        let mut modifiers = key.split('|');
        let name = modifiers.next().unwrap_or_default();
        let modifiers: Vec<&str> = modifiers.collect();
        let values: Vec<String> = match value.as_sequence() {
            Some(list) => list.iter().filter_map(scalar).collect(),
            None => scalar(value).into_iter().collect(),
        };
        let how = modifiers.iter().find(|modifier| **modifier != "all").copied().unwrap_or_default();
        let known = ["", "contains", "startswith", "endswith", "re", "cased"];
        if !known.contains(&how) {
            self.lose(place, format!("the modifier `{how}` has no counterpart: left out"));
            return None;
        }
        // `'|all': [a, b]` under a list of keywords has no field.
        let is_text = name.is_empty() || TEXT.contains(&name.to_lowercase().as_str());
        if !is_text && !how.is_empty() {
            self.lose(place, format!("`{how}` became: the whole value"));
        }
        let part = |reader: &mut Self, value: &String| match name {
            _ if is_text => reader.text(place, value, how),
            "lang" | "language" => {
                let language = fields::language(value);
                if language.is_none() {
                    reader.lose(place, format!("`{value}` is no code of a language: left out"));
                }
                language
            }
            "author" | "user" | "username" => {
                reader.lose(place, "names a handle of another service: write the account's handle or key here");
                Some(Part::Field(format!("from:{value}")))
            }
            "link" | "url" | "domain" if value.contains('.') => Some(Part::Field(format!("link:{value}"))),
            "hashtag" | "tag" => Some(Part::Leaf(format!("#{}", value.trim_start_matches('#')))),
            _ => {
                reader.lose(place, "posts have no such field: left out");
                None
            }
        };
        let parts: Vec<Part> = values.iter().filter_map(|value| part(self, value)).collect();
        if modifiers.contains(&"all") { Part::all(parts) } else { Part::any(parts) }
    }

    fn text(&mut self, place: &str, value: &str, how: &str) -> Option<Part> {
        match how {
            "re" => return Some(Part::Field(format!("/{}/", value.replace('/', "\\/")))),
            "cased" => return Some(Part::Leaf(format!("{{{value}}}"))),
            "startswith" | "endswith" => self.lose(place, format!("`{how}` became: anywhere in the text")),
            _ => {}
        }
        let plain = value.trim_matches('*');
        let part = words(plain).or_else(|| words(&plain.replace(['*', '?'], " ")));
        if part.is_none() {
            self.lose(place, format!("`{value}` has no word in it: left out"));
        } else if plain.contains(['*', '?']) || plain != value || how == "contains" {
            self.lose(place, format!("`{value}` became whole words, not a piece of the text"));
        }
        part
    }

    fn condition(&mut self, text: &str, selections: &[(String, Option<Part>)]) -> Option<Part> {
        let (text, counted) = text.split_once('|').map_or((text, None), |(text, rest)| (text, Some(rest)));
        if let Some(rest) = counted {
            self.lose("condition", format!("`|{rest}` has no counterpart in a query: use `count`"));
        }
        let spaced = text.replace('(', " ( ").replace(')', " ) ");
        let tokens: Vec<&str> = spaced.split_whitespace().collect();
        let mut condition = Condition { tokens: &tokens, at: 0, selections, depth: 0, unknown: Vec::new() };
        let part = condition.either();
        if condition.at < tokens.len() {
            condition.unknown.push(tokens.get(condition.at..).unwrap_or_default().join(" "));
        }
        for unknown in condition.unknown {
            self.lose("condition", format!("`{unknown}` is not understood: left out"));
        }
        part
    }
}

/// `not` binds tightest, then `and`, then `or`.
struct Condition<'a> {
    tokens: &'a [&'a str],
    at: usize,
    selections: &'a [(String, Option<Part>)],
    depth: usize,
    unknown: Vec<String>,
}

impl Condition<'_> {
    fn next_is(&mut self, word: &str) -> bool {
        let found = self.tokens.get(self.at).is_some_and(|token| token.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn either(&mut self) -> Option<Part> {
        let mut parts: Vec<Part> = self.all().into_iter().collect();
        while self.next_is("or") {
            parts.extend(self.all());
        }
        Part::any(parts)
    }

    fn all(&mut self) -> Option<Part> {
        let mut parts: Vec<Part> = self.one().into_iter().collect();
        while self.next_is("and") {
            parts.extend(self.one());
        }
        Part::all(parts)
    }

    fn one(&mut self) -> Option<Part> {
        if self.depth >= DEEPEST {
            return None;
        }
        if self.next_is("not") {
            self.depth += 1;
            let part = self.one();
            self.depth -= 1;
            return part.map(|part| Part::Not(Box::new(part)));
        }
        if self.next_is("(") {
            self.depth += 1;
            let part = self.either();
            self.depth -= 1;
            if !self.next_is(")") {
                self.unknown.push("(".to_owned());
            }
            return part;
        }
        let token = *self.tokens.get(self.at)?;
        self.at += 1;
        let of = self.next_is("of");
        if of && (token == "1" || token.eq_ignore_ascii_case("all")) {
            let pattern = *self.tokens.get(self.at)?;
            self.at += 1;
            let stem = pattern.trim_end_matches('*');
            let fits = |name: &str| pattern == "them" || name == pattern || stem != pattern && name.starts_with(stem);
            let parts = self.selections.iter().filter(|(name, _)| fits(name)).filter_map(|(_, part)| part.clone());
            return if token == "1" { Part::any(parts.collect()) } else { Part::all(parts.collect()) };
        }
        let found = self.selections.iter().find(|(name, _)| name == token);
        if found.is_none() {
            self.unknown.push(token.to_owned());
        }
        found.and_then(|(_, part)| part.clone())
    }
}
