//! A query's text in tokens.

use std::ops::Range;

use super::field::NAMES;
use super::parse::Mistake;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    /// At most so many words between; whether the order counts.
    Near(u32, bool),
    Word(String),
    /// The text between the quotes, and the slack after them.
    Phrase(String, Option<u32>),
    /// The text between the braces.
    Exact(String),
    /// Without the `$`.
    List(String),
    /// Without the `#`.
    Tag(String),
    /// Without the `@`.
    Mention(String),
    /// The text between the slashes.
    Regex(String),
    /// The name, and the values with their places.
    Field(String, Vec<(String, Range<usize>)>),
}

/// Distances and slack beyond this are no nearness any more.
const FARTHEST: u32 = 1000;

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

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, token: Token, length: usize) {
        self.tokens.push((token, self.at..self.at + length));
        self.at += length;
    }

    /// Notes a mistake; the caller reads on, so that a second one is found too.
    fn mistake(&mut self, code: &'static str, message: &str, span: Range<usize>, label: &str, help: &str) {
        let (message, label, help) = (message.to_owned(), label.to_owned(), help.to_owned());
        self.mistakes.push(Mistake { code, message, span, label, help });
    }

    /// Reads one token; false at the end.
    fn step(&mut self) -> bool {
        let Some(next) = self.rest().chars().next() else { return false };
        match next {
            _ if next.is_whitespace() => self.at += next.len_utf8(),
            '(' => self.push(Token::Open, 1),
            ')' => self.push(Token::Close, 1),
            '{' => self.exact(),
            '/' => self.regex(),
            _ if is_quote(next) => self.phrase(next),
            '-' if self.negates() => self.push(Token::Not, 1),
            _ => self.word(),
        }
        true
    }

    /// A minus negates what follows it directly, unless it stands inside a word or is a dash.
    fn negates(&self) -> bool {
        let follows = self.rest().chars().nth(1);
        follows.is_some_and(|next| !next.is_whitespace() && !is_dash(next) && next != ')')
    }

    /// The length of the text up to the character that closes it, which is not escaped.
    fn closed_by(&mut self, open: usize, closes: impl Fn(char) -> bool, what: &str, close: char) -> Option<usize> {
        let inner = self.rest().get(open..).unwrap_or_default();
        let mut escaped = false;
        let end = inner.char_indices().find(|&(_, c)| {
            let found = closes(c) && !escaped;
            escaped = c == '\\' && !escaped;
            found
        });
        if end.is_none() {
            let (message, help) = (format!("{what} is not closed"), format!("end it with `{close}`"));
            self.mistake("SB0101", &message, self.at..self.text.len(), "begins here", &help);
            self.push(Token::Word("x".to_owned()), self.text.len() - self.at);
        }
        end.map(|(length, _)| length)
    }

    fn exact(&mut self) {
        let Some(length) = self.closed_by(1, |c| c == '}', "an exact word", '}') else { return };
        let inner = self.rest().get(1..1 + length).unwrap_or_default();
        self.push(Token::Exact(inner.to_owned()), length + 2);
    }

    fn regex(&mut self) {
        let Some(length) = self.closed_by(1, |c| c == '/', "a regular expression", '/') else { return };
        let inner = self.rest().get(1..1 + length).unwrap_or_default();
        self.push(Token::Regex(inner.replace("\\/", "/")), length + 2);
        // `/x/i` asks for posts with the word `i` here, and was never meant to.
        let rest = self.rest();
        let flags = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        if flags > 0 {
            let help =
                "case makes no difference; other flags stand inside, as in /(?s)a.b/; a word needs a space before it";
            let message = "letters stand directly after a regular expression";
            self.mistake("SB0116", message, self.at..self.at + flags, "no flags here", help);
            self.at += flags;
        }
    }

    fn phrase(&mut self, quote: char) {
        let open = quote.len_utf8();
        let Some(length) = self.closed_by(open, is_quote, "a phrase", '"') else { return };
        let inner = self.rest().get(open..open + length).unwrap_or_default().to_owned();
        let after = self.rest().get(open + length..).unwrap_or_default();
        let close = after.chars().next().map_or(0, char::len_utf8);
        let (mut whole, mut slack) = (open + length + close, None);
        if let Some(number) = after.get(close..).and_then(|after| after.strip_prefix('~')) {
            let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
            let span = self.at + whole..self.at + whole + 1 + digits;
            slack = self.distance(number.get(..digits).unwrap_or_default(), span, "\"a b\"~3");
            whole += 1 + digits;
        }
        self.push(Token::Phrase(inner, slack), whole);
    }

    fn word(&mut self) {
        let rest = self.rest();
        let length = rest.find(|c: char| c.is_whitespace() || is_quote(c) || "()".contains(c)).unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default();
        match word {
            "AND" => return self.push(Token::And, length),
            "OR" => return self.push(Token::Or, length),
            "NOT" => return self.push(Token::Not, length),
            _ => {}
        }
        let near = word.split('/').next().unwrap_or_default();
        if near == "NEAR" || near == "ONEAR" {
            let number = word.strip_prefix(near).and_then(|number| number.strip_prefix('/')).unwrap_or_default();
            let form = if near == "NEAR" { "NEAR/5" } else { "ONEAR/5" };
            let distance = self.distance(number, self.at..self.at + length, form).unwrap_or_default();
            return self.push(Token::Near(distance, near == "ONEAR"), length);
        }
        if let Some((name, _)) = word.split_once(':')
            && is_field_name(name, rest.get(name.len() + 1..).unwrap_or_default())
        {
            return self.field(name);
        }
        let sign = |sign: char| word.strip_prefix(sign).map(str::to_owned);
        let token = match word.chars().next() {
            Some('$') => sign('$').map(Token::List),
            Some('#') => sign('#').map(Token::Tag),
            Some('＃') => sign('＃').map(Token::Tag),
            Some('@') => sign('@').map(Token::Mention),
            _ => None,
        };
        self.push(token.unwrap_or_else(|| Token::Word(word.to_owned())), length);
    }

    fn distance(&mut self, digits: &str, span: Range<usize>, form: &str) -> Option<u32> {
        let number = digits.parse().ok().filter(|number| *number <= FARTHEST);
        if number.is_none() {
            let message = format!("a number of words from 0 to {FARTHEST} is missing");
            self.mistake("SB0102", &message, span, "how many words apart?", &format!("write it as in {form}"));
        }
        number
    }

    /// `name:value`, `name:"a value"` or `name:(a OR b)`.
    fn field(&mut self, name: &str) {
        let start = self.at;
        self.at += name.len() + 1;
        let values = match self.rest().chars().next() {
            Some('(') => self.values(),
            _ => self.value().into_iter().collect(),
        };
        if values.is_empty() {
            let help = format!("write a value directly after it, as in {name}:value or {name}:(a OR b)");
            self.mistake("SB0113", &format!("`{name}:` has no value"), start..self.at, "of what?", &help);
        }
        self.tokens.push((Token::Field(name.to_owned(), values), start..self.at));
    }

    fn values(&mut self) -> Vec<(String, Range<usize>)> {
        let open = self.at;
        self.at += 1;
        let mut values = Vec::new();
        loop {
            self.at += self.rest().len() - self.rest().trim_start().len();
            match self.rest().chars().next() {
                Some(')') => {
                    self.at += 1;
                    return values;
                }
                None => {
                    let help = "add `)` after the last value";
                    self.mistake("SB0103", "a parenthesis is not closed", open..open + 1, "opened here", help);
                    return values;
                }
                Some('(') => {
                    let help = "write the values with OR between them: lang:(en OR es)";
                    self.mistake("SB0113", "values do not nest", self.at..self.at + 1, "a second parenthesis", help);
                    self.at += 1;
                }
                Some(_) => values.extend(self.value().filter(|(value, _)| value != "OR")),
            }
        }
    }

    fn value(&mut self) -> Option<(String, Range<usize>)> {
        let start = self.at;
        let first = self.rest().chars().next()?;
        if is_quote(first) {
            let open = first.len_utf8();
            let length = self.closed_by(open, is_quote, "a phrase", '"')?;
            let value = self.rest().get(open..open + length)?.to_owned();
            let close = self.rest().get(open + length..)?.chars().next()?.len_utf8();
            self.at += open + length + close;
            return Some((value, start..self.at));
        }
        let length = self.rest().find(|c: char| c.is_whitespace() || "()".contains(c)).unwrap_or(self.rest().len());
        let value = self.rest().get(..length)?.to_owned();
        self.at += length;
        (!value.is_empty()).then_some((value, start..self.at))
    }
}

/// Letters directly before a colon name a field; times, addresses and faces do not.
fn is_field_name(name: &str, after: &str) -> bool {
    let letters = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    NAMES.contains(&name)
        || letters && name.len() > 1 && after.starts_with(|c: char| c.is_alphanumeric() || "(\"@$".contains(c))
}

fn is_dash(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}')
}

pub(super) fn is_quote(c: char) -> bool {
    matches!(c, '"' | '“' | '”' | '„' | '«' | '»')
}
