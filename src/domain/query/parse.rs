//! From a query's text to its tree.
//!
//! `NOT` binds tightest, then `AND` (or a space), then `OR`.

use std::ops::Range;

use super::ast::{Kind, Lists, Node, Query, Term};
use super::lex::{Token, lex};

/// What is wrong with a query, with its place in the query's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Stable code, `SB01xx`.
    pub code: &'static str,
    /// What happened.
    pub message: String,
    /// Bytes of the query's text.
    pub span: Range<usize>,
    /// Shown at the place.
    pub label: String,
    /// What to do.
    pub help: String,
}

/// How deep parentheses may nest; keeps hostile input off the stack.
const MAX_DEPTH: usize = 64;

/// Reads a query, with the lists it may name.
///
/// # Errors
/// Every mistake that could be found, at least one.
pub fn parse(text: &str, lists: &Lists) -> Result<Query, Vec<Mistake>> {
    let (tokens, mistakes) = lex(text);
    let mut parser = Parser { tokens: &tokens, at: 0, end: text.len(), lists, mistakes, depth: 0 };
    let root = parser.either();
    if let Some((Token::Close, span)) = parser.peek().cloned() {
        parser.mistake(
            "SB0103",
            "a parenthesis closes nothing",
            span,
            "no `(` before it",
            "remove it, or open it where it belongs",
        );
    }
    let Parser { mut mistakes, .. } = parser;
    match root {
        Some(root) if mistakes.is_empty() => {
            if !root.accepts_silence() {
                return Ok(Query { text: text.to_owned(), root });
            }
            mistakes.push(Mistake {
                code: "SB0108",
                message: "the query only says what a post must not contain".to_owned(),
                span: root.span.clone(),
                label: "would match nearly every post".to_owned(),
                help: "add a word, phrase or list that a post must contain".to_owned(),
            });
            Err(mistakes)
        }
        _ => Err(mistakes),
    }
}

struct Parser<'a> {
    tokens: &'a [(Token, Range<usize>)],
    at: usize,
    end: usize,
    lists: &'a Lists,
    mistakes: Vec<Mistake>,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a (Token, Range<usize>)> {
        self.tokens.get(self.at)
    }

    fn next_is(&mut self, token: &Token) -> bool {
        let found = self.peek().is_some_and(|(next, _)| next == token);
        self.at += usize::from(found);
        found
    }

    fn mistake(
        &mut self,
        code: &'static str,
        message: impl Into<String>,
        span: Range<usize>,
        label: &str,
        help: impl Into<String>,
    ) {
        // After one structural mistake the rest would be guesses.
        if !self.mistakes.iter().any(|mistake| mistake.span == span) {
            self.mistakes.push(Mistake {
                code,
                message: message.into(),
                span,
                label: label.to_owned(),
                help: help.into(),
            });
        }
    }

    fn either(&mut self) -> Option<Node> {
        let mut parts = vec![self.all()?];
        while self.next_is(&Token::Or) {
            parts.push(self.all()?);
        }
        Some(join(parts, Kind::Or))
    }

    fn all(&mut self) -> Option<Node> {
        let mut parts = vec![self.one()?];
        loop {
            match self.peek() {
                None | Some((Token::Or | Token::Close, _)) => return Some(join(parts, Kind::And)),
                Some((Token::And, _)) => self.at += 1,
                Some(_) => {}
            }
            parts.push(self.one()?);
        }
    }

    fn one(&mut self) -> Option<Node> {
        let Some((token, span)) = self.peek() else {
            let end = self.end..self.end;
            let message = if self.tokens.is_empty() { "the query is empty" } else { "the query ends too early" };
            self.mistake("SB0104", message, end, "something is missing here", "write a word, phrase or list");
            return None;
        };
        let span = span.clone();
        self.at += 1;
        match token {
            Token::Not => {
                self.deeper(&span)?;
                let part = self.one()?;
                self.depth -= 1;
                Some(Node { span: span.start..part.span.end, kind: Kind::Not(Box::new(part)) })
            }
            Token::Open => self.group(&span),
            Token::Word(text) | Token::Phrase(text) => self.term(text, span),
            Token::List(name) => self.list(name, span),
            Token::And | Token::Or | Token::Close => {
                self.mistake(
                    "SB0105",
                    "an operator has nothing to work on",
                    span,
                    "expected a word here",
                    "write a word, phrase or list before it",
                );
                None
            }
        }
    }

    fn group(&mut self, open: &Range<usize>) -> Option<Node> {
        self.deeper(open)?;
        let inner = self.either()?;
        self.depth -= 1;
        let Some((Token::Close, close)) = self.peek() else {
            self.mistake(
                "SB0103",
                "a parenthesis is not closed",
                open.clone(),
                "opened here",
                "add `)` where the group ends",
            );
            return None;
        };
        self.at += 1;
        Some(Node { span: open.start..close.end, kind: inner.kind })
    }

    fn deeper(&mut self, span: &Range<usize>) -> Option<()> {
        self.depth += 1;
        if self.depth <= MAX_DEPTH {
            return Some(());
        }
        let message = format!("the query nests deeper than {MAX_DEPTH}");
        self.mistake("SB0109", message, span.clone(), "too deep", "split the query into several rules");
        None
    }

    fn term(&mut self, text: &str, span: Range<usize>) -> Option<Node> {
        let Some(term) = Term::new(text) else {
            let help = "a word needs a letter, a digit or an emoji";
            self.mistake("SB0106", "there is nothing to look for", span, "only punctuation", help);
            return None;
        };
        Some(Node { span, kind: Kind::Term(term) })
    }

    fn list(&mut self, name: &str, span: Range<usize>) -> Option<Node> {
        match self.lists.get(name) {
            // The organisation may have no people or places to name; a list of the rule's
            // author that is empty is a mistake.
            Some([]) if !matches!(name, "org" | "people" | "places") => {
                self.mistake(
                    "SB0110",
                    format!("the list ${name} is empty"),
                    span,
                    "can never match",
                    "put terms into it under [lists]",
                );
                None
            }
            Some(terms) => Some(Node { span, kind: Kind::List(name.to_owned(), terms.to_vec()) }),
            None => {
                let known: Vec<&str> = self.lists.names().collect();
                let nearest = nearest(name, &known);
                let help = match nearest {
                    Some(near) => format!("did you mean ${near}?"),
                    None => format!("define it under [lists]; known are ${}", known.join(", $")),
                };
                self.mistake("SB0107", format!("the list ${name} is not defined"), span, "unknown list", help);
                // Reads on, so that a second unknown list is reported too.
                Some(Node { span: 0..0, kind: Kind::List(name.to_owned(), Vec::new()) })
            }
        }
    }
}

/// One part stands for itself.
fn join(mut parts: Vec<Node>, kind: fn(Vec<Node>) -> Kind) -> Node {
    match (parts.pop(), parts.first()) {
        (Some(only), None) => only,
        (Some(last), Some(first)) => {
            let span = first.span.start..last.span.end;
            parts.push(last);
            Node { span, kind: kind(parts) }
        }
        (None, _) => Node { span: 0..0, kind: kind(Vec::new()) },
    }
}

/// The known word that a misspelt one was most likely meant to be.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |candidate: &&&str| strsim::damerau_levenshtein(word, candidate);
    known.iter().min_by_key(distance).filter(|best| distance(best) <= word.len().max(3) / 3 + 1).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::organization::Organization;

    fn lists() -> Lists {
        let mut lists = Lists::of(&Organization::example());
        lists.insert("weapons".to_owned(), vec![Term::new("gunman").unwrap(), Term::new("shots fired").unwrap()]);
        lists.insert("nothing".to_owned(), Vec::new());
        lists
    }

    /// The tree in a compact form: (and a (or b c)).
    fn shape(node: &Node) -> String {
        let parts =
            |name: &str, parts: &[Node]| format!("({name} {})", parts.iter().map(shape).collect::<Vec<_>>().join(" "));
        match &node.kind {
            Kind::Term(term) => term.words().join("_"),
            Kind::List(name, _) => format!("${name}"),
            Kind::And(all) => parts("and", all),
            Kind::Or(any) => parts("or", any),
            Kind::Not(part) => format!("(not {})", shape(part)),
        }
    }

    #[test]
    fn queries_read_with_the_stated_precedence() {
        for (text, tree) in [
            ("a", "a"),
            ("a b", "(and a b)"),
            ("a AND b OR c", "(or (and a b) c)"),
            ("a OR b AND NOT c", "(or a (and b (not c)))"),
            ("a (b OR c)", "(and a (or b c))"),
            ("a -b -(c d) -\"e f\"", "(and a (not b) (not (and c d)) (not e_f))"),
            ("“shots fired” $weapons", "(and shots_fired $weapons)"),
            ("covid-19", "covid_19"),
            ("don't and Café", "(and dont and cafe)"),
            ("a NOT NOT b", "(and a (not (not b)))"),
            ("(((a)))", "a"),
            ("病院", "病_院"),
        ] {
            let query = parse(text, &lists()).unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"));
            assert_eq!(shape(&query.root), tree, "{text}");
        }
    }

    #[test]
    fn every_mistake_has_a_code_and_a_place() {
        for (text, codes) in [
            ("", vec![("SB0104", "")]),
            ("\"a b", vec![("SB0101", "\"a b")]),
            ("a NEAR/5 b", vec![("SB0102", "NEAR/5")]),
            ("infect* OR #tag OR {AIDS}", vec![("SB0102", "infect*"), ("SB0102", "#tag"), ("SB0102", "{AIDS}")]),
            ("\"a b\"~3 lang:en /x/", vec![("SB0102", "~3"), ("SB0102", "lang:en"), ("SB0102", "/x/")]),
            ("(a OR b", vec![("SB0103", "(")]),
            ("a) b", vec![("SB0103", ")")]),
            ("a AND", vec![("SB0104", "")]),
            ("OR a", vec![("SB0105", "OR")]),
            ("a \"!!!\"", vec![("SB0106", "\"!!!\"")]),
            ("$weapon $weapns", vec![("SB0107", "$weapon"), ("SB0107", "$weapns")]),
            ("NOT a", vec![("SB0108", "NOT a")]),
            ("a OR NOT b", vec![("SB0108", "a OR NOT b")]),
            ("$nothing", vec![("SB0110", "$nothing")]),
        ] {
            let mistakes = parse(text, &lists()).unwrap_err();
            let found: Vec<_> =
                mistakes.iter().map(|mistake| (mistake.code, text.get(mistake.span.clone()).unwrap())).collect();
            assert_eq!(found, codes, "{text}");
        }
        assert_eq!(parse(&"(".repeat(5000), &lists()).unwrap_err()[0].code, "SB0109");
        assert_eq!(parse(&"NOT ".repeat(5000), &lists()).unwrap_err()[0].code, "SB0109");
    }

    #[test]
    fn a_misspelt_list_is_recognised() {
        assert_eq!(parse("$weapon", &lists()).unwrap_err()[0].help, "did you mean $weapons?");
    }

    proptest! {
        #[test]
        fn no_text_can_stop_the_parser(text in "[a-c \"()$~*{}/#@:-]{0,40}|(AND|OR|NOT|\\(|\\)|a|\\$org|\"x y\"| ){0,30}|\\PC{0,40}") {
            match parse(&text, &lists()) {
                Ok(query) => prop_assert!(!query.root.accepts_silence()),
                Err(mistakes) => {
                    prop_assert!(!mistakes.is_empty());
                    for mistake in mistakes {
                        prop_assert!(text.get(mistake.span).is_some());
                    }
                }
            }
        }
    }
}
