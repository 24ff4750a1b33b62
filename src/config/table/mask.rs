//! Hides secrets that stand in a configuration text although they should not, and where people are reached.
//!
//! Bytes become asterisks one for one, so that spans and columns stay right.

use std::ops::Range;

use crate::domain::diagnostic::SourceText;

/// Whom a message is for, in receivers that are told.
const TO: &str = "to";

/// Whether a key of this name is likely to hold a secret, or where somebody is reached.
pub(super) fn looks_private(key: &str) -> bool {
    let key = key.to_lowercase();
    key == TO || ["secret", "token", "passw", "key", "auth", "contact"].iter().any(|part| key.contains(part))
}

/// The text with the given bytes replaced.
pub(super) fn masked(source: &SourceText, spans: &[Range<usize>]) -> SourceText {
    let hidden = |at: usize| spans.iter().any(|span| span.contains(&at));
    let mut text = String::with_capacity(source.text.len());
    for (at, c) in source.text.char_indices() {
        if hidden(at) && c != '\n' && c != '\r' {
            text.extend(std::iter::repeat_n('*', c.len_utf8()));
        } else {
            text.push(c);
        }
    }
    SourceText { name: source.name.clone(), text }
}

/// In a text whose TOML is broken, the bytes after each key that looks private, and after
/// every key of a table of contacts. There is no tree to ask, so this goes by lines, and
/// hides too much rather than too little.
pub(super) fn private_lines(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut start = 0;
    let mut of_contacts = false;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with('[') {
            of_contacts = line.contains("contact");
        }
        let value = value_of_private_key(line).or_else(|| of_contacts.then(|| after_equals(line)));
        if let Some(value) = value {
            let end = multi_line_end(text, start + value.start).unwrap_or(start + value.end);
            spans.push(start + value.start..end);
        }
        start += line.len();
    }
    spans
}

/// The logins of all URLs: what stands between `://` and `@`.
pub(super) fn logins(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    for (scheme_end, mark) in text.match_indices("://") {
        let start = scheme_end + mark.len();
        let authority = text.get(start..).unwrap_or_default();
        let end = authority.find(['/', '"', '\'', '\n']).unwrap_or(authority.len());
        if let Some(at) = authority.get(..end).and_then(|authority| authority.rfind('@')) {
            spans.push(start..start + at);
        }
    }
    spans
}

fn value_of_private_key(line: &str) -> Option<Range<usize>> {
    let part_of_key = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let mut rest = line;
    while let Some(word_start) = rest.find(part_of_key) {
        rest = rest.get(word_start..)?;
        let word_end = rest.find(|c| !part_of_key(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_end);
        rest = after;
        let value = after.trim_start_matches(['"', '\'', ' ', '\t', '=']);
        // In comments it is a word like any other.
        let is_only_a_word = word == TO && !after.contains('=');
        if looks_private(word) && !is_only_a_word {
            let start = line.len() - value.len();
            return (!is_reference(value)).then_some(start..line.len());
        }
    }
    None
}

fn after_equals(line: &str) -> Range<usize> {
    let value = line.split_once('=').map_or(line, |(_, value)| value).trim_start_matches(['"', '\'', ' ', '\t']);
    line.len() - value.len()..line.len()
}

fn is_reference(value: &str) -> bool {
    let inner = value.strip_prefix('{').map(str::trim_start);
    inner.is_some_and(|inner| ["credential", "file", "env"].iter().any(|word| inner.starts_with(word)))
}

/// Where a multi-line string whose quotes were just passed ends.
fn multi_line_end(text: &str, value: usize) -> Option<usize> {
    let quotes = ["\"\"\"", "'''"].into_iter().find(|quotes| text.get(..value).is_some_and(|t| t.ends_with(quotes)))?;
    let rest = text.get(value..)?;
    Some(value + rest.find(quotes).unwrap_or(rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_something_private_are_hidden_however_broken_they_are() {
        for (line, shown) in [
            ("routing_key = \"R0UT\n", "routing_key = \"****\n"),
            ("routing_key R0UT", "routing_key ****"),
            ("token = { env = \"T\" }", "token = { env = \"T\" }"),
            ("token = { \"R0UT\" }", "token = **********"),
            ("r = { name = \"x\", secret = \"é\" }", "r = { name = \"x\", secret = \"*****"),
            ("secret = '''\nab\ncd''' \nx = 1", "secret = '''\n**\n**''' \nx = 1"),
            ("name = \"x\"", "name = \"x\""),
            ("contact = { sms = \"+1555\n", "contact = **************\n"),
            ("to = [\"+1555\n", "to = *******\n"),
            ("# what to do\n", "# what to do\n"),
            ("[person.contact]\nsms = \"+1555\n[web]\nx = 1", "[person.contact*\nsms = \"*****\n[web]\nx = 1"),
        ] {
            let source = SourceText { name: String::new(), text: line.to_owned() };
            assert_eq!(masked(&source, &private_lines(line)).text, shown);
        }
    }

    #[test]
    fn logins_in_addresses_are_hidden() {
        let text = "a = \"https://ann:pw@h/@x\"\nb = 'wss://h/' # @\nc = \"http://p@ss@h";
        let source = SourceText { name: String::new(), text: text.to_owned() };
        let shown = "a = \"https://******@h/@x\"\nb = 'wss://h/' # @\nc = \"http://****@h";
        assert_eq!(masked(&source, &logins(text)).text, shown);
    }
}
