//! Search boxes' languages: words, phrases, operators, `field:value`.

use super::fields::{self, Carried};
use super::tree::{Part, words};
use super::{Imported, Loss};
use crate::domain::incident::Severity;
use crate::domain::query::Term;
use crate::domain::rule::raw::Status;

/// Whose language it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    X,
    Brandwatch,
    WebOfScience,
    Gdelt,
}

/// What `NEAR` without a number means in Web of Science.
const NEAR_ALONE: u32 = 15;
/// Parentheses nest no deeper, here and in our language.
const DEEPEST: usize = 60;
const LEFT_OUT: &str = "has no counterpart: left out";
const NOTHING_TO_WORK_ON: &str = "an operator has nothing to work on: passed over";

/// The queries of a file: for Brandwatch and Web of Science the whole file is one.
pub(super) fn import(text: &str, dialect: Dialect, losses: &mut Vec<Loss>) -> Vec<Imported> {
    let whole = matches!(dialect, Dialect::Brandwatch | Dialect::WebOfScience);
    let queries: Vec<(usize, &str)> =
        if whole { vec![(1, text)] } else { text.lines().enumerate().map(|(line, text)| (line + 1, text)).collect() };
    let queries = queries.into_iter().filter(|(_, query)| !query.trim().is_empty() && !query.trim().starts_with("# "));
    let imported = queries.map(|(line, query)| {
        let mut reader =
            Reader { text: query, at: 0, first_line: line, dialect, losses, depth: 0, of_field: None, given_up: false };
        let query = reader.whole().map(|part| part.write());
        Imported {
            title: format!("imported from line {line}"),
            severity: Severity::Low,
            status: Status::Experimental,
            query,
        }
    });
    imported.collect()
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Near(u32, bool),
    /// The text between quotes, and the slack after them.
    Phrase(String, Option<u32>),
    Exact(String),
    Word(String),
    /// A name and its value; quotes are taken off.
    Field(String, String),
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    first_line: usize,
    dialect: Dialect,
    losses: &'a mut Vec<Loss>,
    depth: usize,
    /// The field of the group being read: `author:(a OR b)`.
    of_field: Option<String>,
    given_up: bool,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn lose(&mut self, at: usize, what: impl Into<String>) {
        if self.given_up {
            return;
        }
        let before = self.text.get(..at).unwrap_or_default();
        let line = self.first_line + before.matches('\n').count();
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        self.losses.push(Loss { place: format!("{line}:{column}"), what: what.into() });
    }

    /// The rest is not read, and not spoken of.
    fn give_up(&mut self, at: usize) -> Option<Part> {
        self.lose(at, format!("nested deeper than {DEEPEST}: left out from here"));
        (self.at, self.given_up) = (self.text.len(), true);
        None
    }

    /// The query; what stands after a parenthesis that closes nothing is read, too.
    fn whole(&mut self) -> Option<Part> {
        let mut parts = Vec::new();
        loop {
            parts.extend(self.either());
            let at = self.at;
            if self.next().is_none() {
                return Part::all(parts);
            }
            self.lose(at, "a parenthesis closes nothing: passed over");
        }
    }

    fn either(&mut self) -> Option<Part> {
        let mut parts = Vec::new();
        let mut first = true;
        loop {
            let (at, known) = (self.skip_space(), self.losses.len());
            let part = self.all();
            let more = self.peek() == Some(Token::Or);
            if part.is_none() && (more || !first) && self.losses.len() == known {
                self.lose(at, NOTHING_TO_WORK_ON);
            }
            parts.extend(part);
            if !more {
                return Part::any(parts);
            }
            self.next();
            first = false;
        }
    }

    fn all(&mut self) -> Option<Part> {
        let mut parts = Vec::new();
        loop {
            match self.peek() {
                None | Some(Token::Or | Token::Close) => return Part::all(parts),
                Some(Token::And) => {
                    let at = self.skip_space();
                    self.next();
                    if matches!(self.peek(), None | Some(Token::And | Token::Or | Token::Close)) {
                        self.lose(at, NOTHING_TO_WORK_ON);
                    }
                }
                Some(_) => parts.extend(self.near()),
            }
        }
    }

    fn near(&mut self) -> Option<Part> {
        let mut left = self.one();
        while let Some(Token::Near(distance, ordered)) = self.peek() {
            let at = self.skip_space();
            self.next();
            let right = self.one();
            left = match (left, right) {
                (Some(left), Some(right)) if left.has_place() && right.has_place() => {
                    Some(Part::Near(distance, ordered, Box::new([left, right])))
                }
                (Some(left), Some(right)) => {
                    self.lose(at, "NEAR beside AND, NOT or a field: became AND, which takes more posts");
                    Part::all(vec![left, right])
                }
                (left, right) => left.or(right),
            };
        }
        left
    }

    fn one(&mut self) -> Option<Part> {
        let at = self.skip_space();
        match self.next()? {
            Token::Not => {
                if self.depth >= DEEPEST {
                    return self.give_up(at);
                }
                self.depth += 1;
                // In all of them NEAR binds tighter than NOT, other than in ours.
                let part = self.near();
                self.depth -= 1;
                part.map(|part| Part::Not(Box::new(part)))
            }
            Token::Open => {
                if self.depth >= DEEPEST {
                    return self.give_up(at);
                }
                self.depth += 1;
                let inner = self.either();
                self.depth -= 1;
                if self.peek() == Some(Token::Close) {
                    self.next();
                } else {
                    self.lose(at, "a parenthesis is not closed: taken to the end");
                }
                self.within(inner)
            }
            Token::Phrase(text, slack) => {
                if self.text.get(at..self.at).is_some_and(|written| written.matches(is_quote).count() < 2) {
                    self.lose(at, "a phrase is not closed: taken to the end");
                }
                self.phrase(at, &text, slack)
            }
            Token::Exact(text) => Some(Part::Leaf(format!("{{{text}}}"))),
            Token::Word(text) => {
                let articles = self.dialect == Dialect::WebOfScience;
                if articles && text.to_uppercase() == "SAME" {
                    self.lose(at, "SAME became AND, which takes more posts");
                    return None;
                }
                let is_search = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                if articles && text.strip_prefix('#').is_some_and(is_search) {
                    self.lose(at, format!("`{text}` is the number of another search: left out"));
                    return None;
                }
                if self.dialect == Dialect::Gdelt && text.starts_with("tone") && text.contains(['<', '>']) {
                    self.lose(at, format!("`{text}` {LEFT_OUT}"));
                    return None;
                }
                if like_an_operator(&text) {
                    self.lose(at, format!("`{text}` is no operator there: became a word"));
                }
                self.word(at, &text)
            }
            Token::Field(name, value) if value.is_empty() && self.dialect == Dialect::WebOfScience => {
                self.of_articles(at, &name)
            }
            Token::Field(name, value) if value.is_empty() && self.peek() == Some(Token::Open) => {
                let outer = self.of_field.replace(name);
                let group = self.one();
                self.of_field = outer;
                group
            }
            Token::Field(name, value) => self.field(at, &name, &value),
            Token::Close | Token::And | Token::Or | Token::Near(..) => {
                self.lose(at, NOTHING_TO_WORK_ON);
                None
            }
        }
    }

    /// `TS=` or `AU =` and what follows.
    fn of_articles(&mut self, at: usize, name: &str) -> Option<Part> {
        if self.depth >= DEEPEST {
            return self.give_up(at);
        }
        let is_text = fields::is_text_of_articles(name);
        let what = if is_text { "is about articles: the words are looked for in the text" } else { LEFT_OUT };
        self.lose(at, format!("`{name}=` {what}"));
        let known = self.losses.len();
        self.depth += 1;
        let group = self.one();
        self.depth -= 1;
        if !is_text {
            self.losses.truncate(known);
        }
        group.filter(|_| is_text)
    }

    /// A group, and `~5` after it, which asks for its parts near each other.
    fn within(&mut self, group: Option<Part>) -> Option<Part> {
        let after = self.rest().strip_prefix('~').unwrap_or_default();
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        let Ok(distance) = after.get(..digits).unwrap_or_default().parse() else { return group };
        let at = self.at;
        self.at += 1 + digits;
        let parts = match group? {
            Part::And(parts) if parts.iter().all(Part::has_place) => parts,
            other => vec![other],
        };
        match <[Part; 2]>::try_from(parts) {
            Ok(sides) => Some(Part::Near(distance, false, Box::new(sides))),
            Err(parts) => {
                self.lose(at, format!("`~{distance}` is for two words or groups of words: left out"));
                Part::all(parts)
            }
        }
    }

    fn phrase(&mut self, at: usize, text: &str, slack: Option<u32>) -> Option<Part> {
        let part = self.word(at, &format!("{text} "))?;
        match (slack, part) {
            (Some(slack), Part::Leaf(text)) => {
                let quoted = if text.starts_with('"') { text } else { format!("\"{text}\"") };
                Some(Part::Leaf(format!("{quoted}~{slack}")))
            }
            (_, part) => Some(part),
        }
    }

    /// A word or the words of a phrase, with their wildcards.
    fn word(&mut self, at: usize, written: &str) -> Option<Part> {
        let text = written.trim();
        if let Some(name) = self.of_field.clone() {
            return self.field(at, &name, text);
        }
        if let Some(name) = text.strip_prefix('@').filter(|name| Term::mention(name).is_ok()) {
            return Some(Part::Leaf(format!("@{name}")));
        }
        if let Some(name) = text.strip_prefix('#').filter(|name| Term::tag(name).is_ok()) {
            return Some(Part::Leaf(format!("#{name}")));
        }
        if self.dialect == Dialect::X {
            if let Some(name) = text.strip_prefix('$') {
                self.lose(at, format!("`{text}` is a cashtag: became the word"));
                return words(name);
            }
            return words(&text.replace(['*', '?'], " ")).or_else(|| self.nothing(at, text));
        }
        if self.dialect == Dialect::WebOfScience && text.contains('$') {
            // Zero or one character.
            let (without, with) = (text.replace('$', ""), text.replace('$', "?"));
            let both = [without, with].into_iter().filter_map(|form| words(&form));
            return Part::any(both.collect());
        }
        if let Some(part) = words(text) {
            return Some(part);
        }
        let plain = text.replace(['*', '?'], "");
        let part = words(&plain).filter(|_| !text.starts_with('*') && text.trim_end_matches('*') == plain);
        match part {
            Some(part) => {
                self.lose(at, format!("`{text}` has too few letters before `*`: became `{plain}`"));
                Some(part)
            }
            None => self.nothing(at, text),
        }
    }

    fn nothing(&mut self, at: usize, text: &str) -> Option<Part> {
        self.lose(at, format!("`{text}` cannot be looked for here: left out"));
        None
    }

    fn field(&mut self, at: usize, name: &str, value: &str) -> Option<Part> {
        let carried = fields::carry(self.dialect, name, value);
        match carried {
            Carried::As(part) => Some(part),
            Carried::Nearly(part, what) => {
                self.lose(at, format!("`{name}:{value}` {what}"));
                Some(part)
            }
            Carried::Not => {
                self.lose(at, format!("`{name}:{value}` {LEFT_OUT}"));
                None
            }
        }
    }

    fn peek(&mut self) -> Option<Token> {
        let at = self.at;
        let token = self.next();
        self.at = at;
        token
    }

    fn skip_space(&mut self) -> usize {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            let comment = trimmed.strip_prefix("<<<").filter(|_| self.dialect == Dialect::Brandwatch);
            match comment {
                Some(after) => self.at += 3 + after.find(">>>").map_or(after.len(), |end| end + 3),
                None => return self.at,
            }
        }
    }

    fn next(&mut self) -> Option<Token> {
        self.skip_space();
        let rest = self.rest();
        let first = rest.chars().next()?;
        let mut take = |length: usize, token: Token| {
            self.at += length;
            Some(token)
        };
        match first {
            '(' => take(1, Token::Open),
            ')' => take(1, Token::Close),
            '-' if rest.len() > 1 && !rest.starts_with("- ") => take(1, Token::Not),
            '{' if self.dialect == Dialect::Brandwatch && rest.contains('}') => {
                let inner = rest.get(1..rest.find('}')?)?;
                let token = Token::Exact(inner.to_owned());
                take(inner.len() + 2, token)
            }
            _ if is_quote(first) => {
                let (inner, length) = quoted(rest);
                let after = rest.get(length..).unwrap_or_default();
                let digits: String =
                    after.strip_prefix('~').unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
                let slack = digits.parse().ok();
                take(length + if slack.is_some() { 1 + digits.len() } else { 0 }, Token::Phrase(inner, slack))
            }
            _ => {
                let (token, length) = self.bare(rest);
                self.at += length;
                Some(token)
            }
        }
    }

    /// A word, an operator or a field.
    fn bare(&self, rest: &str) -> (Token, usize) {
        let length = rest.find(|c: char| c.is_whitespace() || "()".contains(c) || is_quote(c)).unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default();
        let articles = self.dialect == Dialect::WebOfScience;
        // There the case of operators makes no difference.
        let operator = if articles { word.to_uppercase() } else { word.to_owned() };
        match operator.as_str() {
            "AND" => return (Token::And, length),
            "OR" => return (Token::Or, length),
            "NOT" => return (Token::Not, length),
            _ => {}
        }
        if let Some(near) = self.operator_near(&operator) {
            return (near, length);
        }
        // `TS = (…)`
        if articles
            && word.chars().all(char::is_alphanumeric)
            && let Some(after) = rest.get(length..).unwrap_or_default().trim_start().strip_prefix('=')
        {
            return (Token::Field(word.to_owned(), String::new()), rest.len() - after.trim_start().len());
        }
        let separator = if articles { '=' } else { ':' };
        if let Some((name, value)) = word.split_once(separator)
            && !name.is_empty()
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        {
            let begins = name.len() + 1;
            let after = rest.get(begins..).unwrap_or_default();
            if after.starts_with(is_quote) {
                let (inner, quoted) = quoted(after);
                return (Token::Field(name.to_owned(), inner), begins + quoted);
            }
            // `authorFollowers:[10 TO 20]`, `point_radius:[1 2 3km]`
            if after.starts_with('[') {
                let end = after.find(']').map_or(after.len(), |end| end + 1);
                return (Token::Field(name.to_owned(), after.get(..end).unwrap_or_default().to_owned()), begins + end);
            }
            // `TS=(…)`: the group is read as any other.
            return (Token::Field(name.to_owned(), value.to_owned()), length);
        }
        (Token::Word(word.to_owned()), length)
    }

    /// `NEAR/5`, Brandwatch's `NEAR/5f`, Web of Science's `NEAR`.
    fn operator_near(&self, word: &str) -> Option<Token> {
        if self.dialect == Dialect::X {
            return None;
        }
        if word == "NEAR" && self.dialect == Dialect::WebOfScience {
            return Some(Token::Near(NEAR_ALONE, false));
        }
        if let Some(number) = word.strip_prefix("ONEAR/") {
            return Some(Token::Near(number.parse().ok()?, true));
        }
        let number = word.strip_prefix("NEAR/")?;
        let digits = number.trim_end_matches('f');
        Some(Token::Near(digits.parse().ok()?, digits != number))
    }
}

/// `or`, `near/3`, `W/5`: an operator of another program, or in lower case.
fn like_an_operator(word: &str) -> bool {
    let upper = word.to_uppercase();
    let (name, number) = upper.split_once('/').unwrap_or((&upper, ""));
    let known = if number.is_empty() {
        ["AND", "OR", "NOT", "NEAR", "ONEAR"].as_slice()
    } else {
        ["NEAR", "ONEAR", "W", "N", "ADJ", "PRE"].as_slice()
    };
    known.contains(&name) && number.trim_end_matches('F').bytes().all(|byte| byte.is_ascii_digit())
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '“' | '”' | '„')
}

/// The text between quotes, and how many bytes it takes with them.
fn quoted(text: &str) -> (String, usize) {
    let open = text.chars().next().map_or(0, char::len_utf8);
    let inner = text.get(open..).unwrap_or_default();
    match inner.char_indices().find(|&(_, c)| is_quote(c)) {
        Some((end, close)) => (inner.get(..end).unwrap_or_default().to_owned(), open + end + close.len_utf8()),
        None => (inner.to_owned(), text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn no_text_can_stop_an_import(text in "(AND|OR|NOT|NEAR/3f?|\\(|\\)|-|a\\*|[*?$#@]b|\"c d\"(~3)?|TS=|from:|lang:en|author:\\(|\\{E\\}|<<<|>>>|\n| ){0,40}|\\PC{0,60}") {
            for dialect in [Dialect::X, Dialect::Brandwatch, Dialect::WebOfScience, Dialect::Gdelt] {
                let mut losses = Vec::new();
                for imported in import(&text, dialect, &mut losses) {
                    proptest::prop_assert_ne!(imported.query.as_deref(), Some(""));
                }
            }
        }
    }
}
