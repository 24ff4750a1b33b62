//! Other programs' queries in our language: what it takes to ask ours the same.
//!
//! A small reader for Boolean queries with quotes, `OR`, `AND`, `NOT`, `-`, `NEAR/n`,
//! `*`, `?` and `$` (at the end of a word or in it: one character or none), which covers
//! Twitter's, Web of Science's and GDELT's. What our language has no words for (a `*` in
//! front of a word) is left out and counted.

use crate::naive::{Ask, Term};

/// A query, and how many of its words were left out.
pub(crate) struct Translated {
    pub(crate) ask: Ask,
    pub(crate) left_out: usize,
}

/// Reads a query.
pub(crate) fn translate(text: &str) -> Translated {
    let text = text.trim().trim_start_matches("TS").trim_start().trim_start_matches('=');
    let mut reader = Reader { tokens: tokens(text), at: 0, left_out: 0 };
    let ask = reader.or().expect("a query that can be asked");
    assert_eq!(reader.at, reader.tokens.len(), "{:?} in {text}", reader.tokens.get(reader.at));
    Translated { ask, left_out: reader.left_out }
}

/// A list of keywords, of each of which all words must occur.
pub(crate) fn keywords(entries: &[&str]) -> Ask {
    let word = |word: &str| match word.strip_prefix('#') {
        Some(tag) => Ask::Term(Term::tag(tag)),
        None => Ask::Term(Term::row(word)),
    };
    Ask::Or(entries.iter().map(|entry| all(entry.split_whitespace().map(word).collect())).collect())
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Near(usize),
    Word(String),
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '(' | ')' => 1,
            '"' => rest[1..].find('"').expect("a closing quote") + 2,
            '-' if rest[1..].starts_with(|c: char| !c.is_whitespace()) => 1,
            _ => rest.find(|c: char| c.is_whitespace() || "()\"".contains(c)).unwrap_or(rest.len()),
        };
        tokens.extend(match &rest[..length] {
            "(" => Some(Token::Open),
            ")" => Some(Token::Close),
            "AND" => Some(Token::And),
            "OR" => Some(Token::Or),
            "-" if rest.starts_with("- ") => None,
            "NOT" | "-" => Some(Token::Not),
            word => Some(match word.strip_prefix("NEAR/") {
                Some(distance) => Token::Near(distance.parse().unwrap()),
                None => Token::Word(word.trim_matches('"').to_owned()),
            }),
        });
        rest = rest[length..].trim_start();
    }
    tokens
}

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    left_out: usize,
}

/// In all three dialects as in ours, NEAR binds before NOT and AND, and these before OR.
impl Reader {
    fn next_is(&mut self, token: &Token) -> bool {
        let found = self.tokens.get(self.at) == Some(token);
        self.at += usize::from(found);
        found
    }

    fn or(&mut self) -> Option<Ask> {
        let mut parts = Vec::new();
        loop {
            parts.extend(self.and());
            if !self.next_is(&Token::Or) {
                break;
            }
        }
        any(parts)
    }

    fn and(&mut self) -> Option<Ask> {
        let mut parts = Vec::new();
        loop {
            match self.tokens.get(self.at) {
                None | Some(Token::Or | Token::Close) => break,
                Some(Token::And) => self.at += 1,
                Some(Token::Not) => {
                    self.at += 1;
                    parts.extend(self.near().map(|part| Ask::Not(Box::new(part))));
                }
                Some(_) => parts.extend(self.near()),
            }
        }
        if parts.is_empty() { None } else { Some(all(parts)) }
    }

    fn near(&mut self) -> Option<Ask> {
        let mut left = self.one();
        while let Some(&Token::Near(distance)) = self.tokens.get(self.at) {
            self.at += 1;
            let right = self.one();
            left = match (left, right) {
                (Some(left), Some(right)) => Some(beside(&left, distance, &right)),
                _ => None,
            };
        }
        left
    }

    fn one(&mut self) -> Option<Ask> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        match token {
            Some(Token::Open) => {
                let inner = self.or();
                assert!(self.next_is(&Token::Close));
                inner
            }
            Some(Token::Word(word)) => self.word(&word),
            other => panic!("{other:?} at {}", self.at - 1),
        }
    }

    /// `death$` is death or death with one character more.
    fn word(&mut self, written: &str) -> Option<Ask> {
        let mut spellings = vec![String::new()];
        for piece in written.split_inclusive('$') {
            let stem = piece.trim_end_matches('$');
            for spelling in &mut spellings {
                spelling.push_str(stem);
            }
            if stem.len() < piece.len() {
                let longer: Vec<String> = spellings.iter().map(|spelling| format!("{spelling}?")).collect();
                spellings.extend(longer);
            }
        }
        let can_be_asked = |word: &str| !word.starts_with(['*', '?']) && !word.trim_end_matches('*').contains('*');
        if !spellings[0].split_whitespace().all(can_be_asked) || crate::slow::words(&spellings[0]).is_empty() {
            self.left_out += 1;
            return None;
        }
        any(spellings.iter().map(|spelling| Ask::Term(Term::row(spelling))).collect())
    }
}

/// `NEAR` between what has a place; of an `AND` each part must be near.
fn beside(left: &Ask, distance: usize, right: &Ask) -> Ask {
    let near = |left: &Ask, right: &Ask| beside(left, distance, right);
    match (left, right) {
        (Ask::And(parts), other) => all(parts.iter().map(|part| near(part, other)).collect()),
        (other, Ask::And(parts)) => all(parts.iter().map(|part| near(other, part)).collect()),
        (Ask::Or(parts), other) if parts.iter().any(|part| matches!(part, Ask::And(_))) => {
            Ask::Or(parts.iter().map(|part| near(part, other)).collect())
        }
        (other, Ask::Or(parts)) if parts.iter().any(|part| matches!(part, Ask::And(_))) => {
            Ask::Or(parts.iter().map(|part| near(other, part)).collect())
        }
        _ => Ask::Near { distance, ordered: false, sides: Box::new([left.clone(), right.clone()]) },
    }
}

fn all(mut parts: Vec<Ask>) -> Ask {
    if parts.len() == 1 { parts.remove(0) } else { Ask::And(parts) }
}

fn any(mut parts: Vec<Ask>) -> Option<Ask> {
    match parts.len() {
        0 => None,
        1 => Some(parts.remove(0)),
        _ => Some(Ask::Or(parts)),
    }
}
