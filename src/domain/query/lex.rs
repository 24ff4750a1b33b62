//! A query's text in tokens.

use std::ops::Range;

use super::parse::Mistake;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    /// The text between the quotes.
    Phrase(String),
    Word(String),
    /// Without the `$`.
    List(String),
}

/// The tokens with their places, and what could not be read.
pub(super) fn lex(text: &str) -> (Vec<(Token, Range<usize>)>, Vec<Mistake>) {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new(), mistakes: Vec::new() };
    while lexer.step() {}
    (lexer.tokens, lexer.mistakes)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<(Token, Range<usize>)>,
    mistakes: Vec<Mistake>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, token: Token, length: usize) {
        self.tokens.push((token, self.at..self.at + length));
        self.at += length;
    }

    /// Reads one token; false at the end.
    fn step(&mut self) -> bool {
        let Some(next) = self.rest().chars().next() else { return false };
        match next {
            _ if next.is_whitespace() => self.at += next.len_utf8(),
            '(' => self.push(Token::Open, 1),
            ')' => self.push(Token::Close, 1),
            _ if is_quote(next) => self.phrase(next),
            '-' if self.negates() => self.push(Token::Not, 1),
            _ => self.word(),
        }
        true
    }

    /// A minus negates what follows it directly, unless it stands inside a word.
    fn negates(&self) -> bool {
        let follows = self.rest().chars().nth(1);
        follows.is_some_and(|next| next.is_alphanumeric() || is_quote(next) || "($#@{".contains(next))
    }

    fn phrase(&mut self, quote: char) {
        let start = quote.len_utf8();
        let inner = self.rest().get(start..).unwrap_or_default();
        let Some((length, close)) = inner.char_indices().find(|&(_, c)| is_quote(c)) else {
            self.mistakes.push(Mistake {
                code: "SB0101",
                message: "a phrase is not closed".to_owned(),
                span: self.at..self.text.len(),
                label: "begins here".to_owned(),
                help: "end the phrase with a quotation mark".to_owned(),
            });
            self.push(Token::Word("x".to_owned()), self.text.len() - self.at);
            return;
        };
        let content = inner.get(..length).unwrap_or_default().to_owned();
        self.push(Token::Phrase(content), start + length + close.len_utf8());
        if self.rest().starts_with('~') {
            let length = self.rest().find(|c: char| c.is_whitespace() || "()".contains(c)).unwrap_or(self.rest().len());
            self.lacks("slack in phrases (`\"a b\"~3`)", length);
        }
    }

    fn word(&mut self) {
        let rest = self.rest();
        let length = rest.find(|c: char| c.is_whitespace() || is_quote(c) || "()".contains(c)).unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default().to_owned();
        match word.as_str() {
            "AND" => self.push(Token::And, length),
            "OR" => self.push(Token::Or, length),
            "NOT" => self.push(Token::Not, length),
            _ => match missing_feature(&word) {
                Some(what) => self.lacks(what, length),
                None => match word.strip_prefix('$') {
                    Some(name) => self.push(Token::List(name.to_owned()), length),
                    None => self.push(Token::Word(word), length),
                },
            },
        }
    }

    /// Refuses a form of the language that this version does not have; reads on
    /// as if a word stood there.
    fn lacks(&mut self, what: &str, length: usize) {
        self.mistakes.push(Mistake {
            code: "SB0102",
            message: format!("this version does not have {what} yet"),
            span: self.at..self.at + length,
            label: "not understood".to_owned(),
            help: "use words, \"phrases\", AND, OR, NOT, ( ) and $lists".to_owned(),
        });
        self.push(Token::Word("x".to_owned()), length);
    }
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '“' | '”' | '„' | '«' | '»')
}

/// The form of the whole language that a word would be.
fn missing_feature(word: &str) -> Option<&'static str> {
    const FIELDS: [&str; 9] = ["from", "lang", "source", "link", "kind", "has", "min_followers", "tag", "in"];
    let field = word.split_once(':').is_some_and(|(name, _)| FIELDS.contains(&name));
    let letters = |c: char| c.is_alphanumeric();
    Some(match word.chars().next()? {
        '#' => "hashtags (`#tag`)",
        '@' => "mentions (`@account`)",
        '{' => "exact case (`{AIDS}`)",
        '/' => "regular expressions (`/…/`)",
        _ if word.starts_with("NEAR/") || word == "NEAR" => "NEAR",
        _ if word.starts_with("ONEAR/") || word == "ONEAR" => "ONEAR",
        _ if field => "fields (`lang:en`)",
        _ if word.contains(['*', '?']) && word.contains(letters) => "wildcards (`infect*`)",
        _ => return None,
    })
}
