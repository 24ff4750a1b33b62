//! From a query's text to its tree.
//!
//! `NOT` binds tightest, then `NEAR` and `ONEAR`, then `AND` (or a space), then `OR`.

use std::ops::Range;
use std::sync::Arc;

use super::ast::{Kind, List, Lists, Near, Node, Query};
use super::lex::{Token, lex};
use super::regex::{Regex, RegexError};
use super::term::{Term, TermError};
use crate::domain::text::Words;

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

/// The most terms a query may have, those of its lists included.
const MAX_TERMS: usize = 50_000;

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
    let Some(mut root) = root.filter(|_| parser.mistakes.is_empty()) else { return Err(parser.mistakes) };
    let text_only = take_text_only(&mut root);
    parser.check_whole(&root);
    if parser.mistakes.is_empty() { Ok(Query { text: text.into(), root, text_only }) } else { Err(parser.mistakes) }
}

/// Takes `in:text` out of the outermost `AND`.
fn take_text_only(root: &mut Node) -> bool {
    let Kind::And(parts) = &mut root.kind else { return false };
    let before = parts.len();
    parts.retain(|part| part.kind != Kind::TextOnly);
    let found = parts.len() < before;
    if let Some(only) = parts.pop_if(|_| before > 1 && found) {
        if parts.is_empty() {
            *root = only;
        } else {
            parts.push(only);
        }
    }
    found
}

pub(super) struct Parser<'a> {
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

    pub(super) fn mistake(
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
        let mut parts = vec![self.near()?];
        loop {
            match self.peek() {
                None | Some((Token::Or | Token::Close, _)) => return Some(join(parts, Kind::And)),
                Some((Token::And, _)) => self.at += 1,
                Some(_) => {}
            }
            parts.push(self.near()?);
        }
    }

    fn near(&mut self) -> Option<Node> {
        let mut left = self.one()?;
        while let Some(&(Token::Near(distance, ordered), _)) = self.peek() {
            self.at += 1;
            let right = self.one()?;
            self.check_place(&left);
            self.check_place(&right);
            let span = left.span.start..right.span.end;
            left = Node { span, kind: Kind::Near(Box::new(Near { distance, ordered, sides: [left, right] })) };
        }
        Some(left)
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
            Token::Word(text) | Token::Phrase(text, None) => self.term(Term::phrase(text), span),
            Token::Phrase(text, Some(slack)) => self.term(Term::sloppy(text, *slack), span),
            Token::Exact(text) => self.term(Term::exact(text), span),
            Token::Tag(name) => self.term(Term::tag(name), span),
            Token::Mention(name) => self.term(Term::mention(name), span),
            Token::List(name) => self.list(name, span),
            Token::Regex(source) => self.regex(source, span),
            Token::Field(name, values) => self.field(name, values, span),
            Token::And | Token::Or | Token::Near(..) | Token::Close => {
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

    /// Nearness is between places in the text; only what has a place can be near.
    fn check_place(&mut self, node: &Node) {
        match &node.kind {
            Kind::Term(_) | Kind::List(_) | Kind::Near(_) => {}
            Kind::Or(parts) => parts.iter().for_each(|part| self.check_place(part)),
            Kind::And(_) | Kind::Not(_) | Kind::Field(_) | Kind::Regex(_) | Kind::TextOnly => self.mistake(
                "SB0115",
                "NEAR works on words, phrases, lists and ORs of them",
                node.span.clone(),
                "has no place in the text",
                "write (a NEAR/5 x) (a NEAR/5 y) for both, and NOT (a NEAR/5 b) for neither",
            ),
        }
    }

    /// What only the whole query shows.
    fn check_whole(&mut self, root: &Node) {
        let mut terms = 0;
        let mut misplaced = None;
        root.walk(&mut |node| match &node.kind {
            Kind::List(list) => terms += list.terms.len(),
            Kind::TextOnly => misplaced = Some(node.span.clone()),
            Kind::Term(_) | Kind::Field(_) | Kind::Regex(_) => terms += 1,
            Kind::Near(_) | Kind::And(_) | Kind::Or(_) | Kind::Not(_) => {}
        });
        if let Some(span) = misplaced {
            let help = "write it beside the other parts: in:text (a OR b)";
            self.mistake("SB0119", "`in:text` is about the whole query", span, "not under OR, NOT or NEAR", help);
        } else if terms > MAX_TERMS {
            let message = format!("the query has {terms} terms; at most {MAX_TERMS} are read");
            self.mistake("SB0120", message, root.span.clone(), "too many", "split it into several rules");
        } else if !root.is_selective() {
            self.mistake(
                "SB0108",
                "the query asks for nothing in particular",
                root.span.clone(),
                "would match nearly every post",
                "add a word, phrase, list, link: or from: that a post must have",
            );
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

    pub(super) fn term(&mut self, term: Result<Term, TermError>, span: Range<usize>) -> Option<Node> {
        match term {
            Ok(term) => Some(Node { span, kind: Kind::Term(term) }),
            Err(error) => {
                let (code, label, help) = blame(error);
                self.mistake(code, error.to_string(), span, label, help);
                None
            }
        }
    }

    fn list(&mut self, name: &str, span: Range<usize>) -> Option<Node> {
        match self.find_list(name, &span) {
            // The organisation may have no people or places to name; a list of the rule's
            // author that is empty is a mistake.
            Some(list) if list.terms.is_empty() && !Lists::SITE.contains(&name) => {
                self.mistake(
                    "SB0110",
                    format!("the list ${name} is empty"),
                    span,
                    "can never match",
                    "put terms into it under [lists]",
                );
                None
            }
            Some(list) => Some(Node { span, kind: Kind::List(list.clone()) }),
            // Reads on, so that a second unknown list is reported too.
            None => Some(Node { span, kind: Kind::List(List { name: name.into(), terms: [].into() }) }),
        }
    }

    pub(super) fn find_list(&mut self, name: &str, span: &Range<usize>) -> Option<&'a List> {
        let list = self.lists.get(name);
        if list.is_none() {
            let known: Vec<&str> = self.lists.names().collect();
            let help = match nearest(name, &known) {
                Some(near) => format!("did you mean ${near}?"),
                None => format!("define it under [lists]; known are ${}", known.join(", $")),
            };
            let message = format!("the list ${name} is not defined");
            self.mistake("SB0107", message, span.clone(), "unknown list", help);
        }
        list
    }

    fn regex(&mut self, source: &str, span: Range<usize>) -> Option<Node> {
        match Regex::new(source) {
            Ok(regex) => Some(Node { span, kind: Kind::Regex(Arc::new(regex)) }),
            Err(error) => {
                let (at, help) = match &error {
                    RegexError::Syntax(_, at) => (in_query(source, at, &span), "see the Rust regex syntax".to_owned()),
                    RegexError::Empty => (span, "ask for at least one character".to_owned()),
                    RegexError::TooLarge => (span, "use smaller numbers in { }, or split it".to_owned()),
                    RegexError::Unfolded(letter) => {
                        let folded = Words::of(&letter.to_string()).normalised(0).to_owned();
                        let help = format!("write `{folded}`, which finds `{letter}` too");
                        (span, if folded.is_empty() { "leave it out".to_owned() } else { help })
                    }
                };
                self.mistake("SB0116", error.to_string(), at, "cannot be used", help);
                None
            }
        }
    }
}

/// Where a part of a regular expression stands in the query, at least one character of it;
/// in the query a backslash stands before each slash.
fn in_query(source: &str, part: &Range<usize>, regex: &Range<usize>) -> Range<usize> {
    let place = |at: usize| {
        let before = source.get(..source.floor_char_boundary(at)).unwrap_or_default();
        (regex.start + 1 + before.len() + before.matches('/').count()).min(regex.end - 1)
    };
    let start = place(part.start);
    let end = place(source.ceil_char_boundary(part.end.max(part.start + 1)));
    start..end.max(start + 1)
}

/// The code, the label and the help for a term that is none.
const fn blame(error: TermError) -> (&'static str, &'static str, &'static str) {
    match error {
        TermError::Nothing => ("SB0106", "only punctuation", "a word needs a letter, a digit or an emoji"),
        TermError::Star => (
            "SB0114",
            "cannot be looked for",
            "write at least three letters and then `*`; Chinese, Japanese and Thai need none, they are found inside words",
        ),
        TermError::InnerStar => {
            ("SB0114", "cannot be looked for", "write the words out with OR, or an expression: /[a-z]*sarcoma/")
        }
        TermError::QuestionMark => (
            "SB0114",
            "cannot be looked for",
            "begin with a letter; for a question mark itself leave it out: it is no part of a word",
        ),
        TermError::NoToken => {
            ("SB0106", "nothing a network would link", "letters, digits and `_` make a hashtag, not digits alone")
        }
    }
}

/// One part stands for itself.
pub(super) fn join(mut parts: Vec<Node>, kind: fn(Vec<Node>) -> Kind) -> Node {
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
pub(in crate::domain) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |candidate: &&&str| strsim::damerau_levenshtein(word, candidate);
    known.iter().min_by_key(distance).filter(|best| distance(best) <= word.len().max(3) / 3 + 1).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::term::TermForm;
    use super::*;
    use crate::domain::organization::Organization;

    fn lists() -> Lists {
        let mut lists = Lists::of(&Organization::example());
        lists.insert("weapons", vec![Term::parse("gunman").unwrap(), Term::parse("shots fired").unwrap()]);
        lists.insert("nothing", Vec::new());
        lists
    }

    /// The tree in a compact form: (and a (or b c)).
    fn shape(node: &Node) -> String {
        let parts =
            |name: &str, parts: &[Node]| format!("({name} {})", parts.iter().map(shape).collect::<Vec<_>>().join(" "));
        match &node.kind {
            Kind::Term(term) if matches!(term.form, TermForm::Phrase(_)) => term.words().join("_"),
            Kind::Term(term) => term.text.to_string(),
            Kind::List(list) => format!("${}", list.name),
            Kind::Near(near) => {
                parts(&format!("{}{}", if near.ordered { "onear" } else { "near" }, near.distance), &near.sides)
            }
            Kind::And(all) => parts("and", all),
            Kind::Or(any) => parts("or", any),
            Kind::Not(part) => format!("(not {})", shape(part)),
            Kind::Field(field) => format!("{field:?}"),
            Kind::Regex(regex) => format!("{regex:?}"),
            Kind::TextOnly => "in:text".to_owned(),
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
            ("a -🔥 -'til -＃b", "(and a (not 🔥) (not til) (not #b))"),
            ("“shots fired” $weapons", "(and shots_fired $weapons)"),
            ("covid-19", "covid_19"),
            ("don't and Café", "(and dont and cafe)"),
            ("a NOT NOT b", "(and a (not (not b)))"),
            ("(((a)))", "a"),
            ("病院", "病_院"),
            ("a NEAR/5 b OR c", "(or (near5 a b) c)"),
            ("a b NEAR/5 c d", "(and a (near5 b c) d)"),
            ("a NEAR/3 b ONEAR/0 c", "(onear0 (near3 a b) c)"),
            ("$org NEAR/12 ($weapons OR \"lock down\")", "(near12 $org (or $weapons lock_down))"),
            ("NOT (a NEAR/2 b) c", "(and (not (near2 a b)) c)"),
            ("\"a b\"~3 {AIDS} #StBrigids -@ann.example", "(and \"a b\"~3 {AIDS} #StBrigids (not @ann.example))"),
            ("infect* colo?r", "(and infect colo?r)"),
            ("/a\\/b+/ x", "(and /a/b+/ x)"),
            ("(/a/)\"b\" lang:zh-Hant c", "(and /a/ b Lang([\"zh-hant\"]) c)"),
            ("x from:@Ann.example", "(and x From([\"ann.example\"]))"),
            ("-from:$org x", "(and (not From([\"stbrigids.example\"])) x)"),
            ("x lang:(en OR ES)", "(and x Lang([\"en\", \"es\"]))"),
            ("link:https://News.example", "Link([\"news.example\"])"),
            ("x kind:reply has:alt", "(and x Kind([Reply]) Has([Alt]))"),
            ("x min_followers:1000 source:\"my source\"", "(and x MinFollowers(1000) Source([\"my source\"]))"),
            ("tag:(er OR #covid*)", "(or #er #covid*)"),
            ("in:text x", "x"),
            ("x in:text y", "(and x y)"),
            ("10:30 https://x.example", "(and 10_30 https_x_example)"),
        ] {
            let query = parse(text, &lists()).unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"));
            assert_eq!(shape(&query.root), tree, "{text}");
            assert_eq!(query.text_only, text.contains("in:text"));
        }
    }

    #[test]
    fn every_mistake_has_a_code_and_a_place() {
        for (text, codes) in [
            ("", vec![("SB0104", "")]),
            ("\"a b", vec![("SB0101", "\"a b")]),
            ("a {b", vec![("SB0101", "{b")]),
            ("a /b", vec![("SB0101", "/b")]),
            ("a NEAR b", vec![("SB0102", "NEAR")]),
            ("a NEAR/5000 b \"c d\"~x", vec![("SB0102", "NEAR/5000"), ("SB0102", "~")]),
            ("(a OR b", vec![("SB0103", "(")]),
            ("a) b", vec![("SB0103", ")")]),
            ("a AND", vec![("SB0104", "")]),
            ("OR a", vec![("SB0105", "OR")]),
            ("NEAR/5 a", vec![("SB0105", "NEAR/5")]),
            ("a \"!!!\"", vec![("SB0106", "\"!!!\"")]),
            ("a #1", vec![("SB0106", "#1")]),
            ("$weapon $weapns", vec![("SB0107", "$weapon"), ("SB0107", "$weapns")]),
            ("NOT a", vec![("SB0108", "NOT a")]),
            ("a OR NOT b", vec![("SB0108", "a OR NOT b")]),
            ("lang:en kind:post", vec![("SB0108", "lang:en kind:post")]),
            ("NOT lang:en", vec![("SB0108", "NOT lang:en")]),
            ("in:text", vec![("SB0119", "in:text")]),
            ("$nothing", vec![("SB0110", "$nothing")]),
            ("form:ann", vec![("SB0112", "form:ann")]),
            ("a kind:shout", vec![("SB0113", "shout")]),
            ("a from:(ann @)", vec![("SB0113", "@")]),
            ("a min_followers:many", vec![("SB0113", "min_followers:many")]),
            ("a link:x/y", vec![("SB0113", "x/y")]),
            ("a lang: b", vec![("SB0113", "lang:")]),
            ("a lang:(en OR english)", vec![("SB0113", "english")]),
            ("a /x/i", vec![("SB0116", "i")]),
            ("in* OR a", vec![("SB0114", "in*")]),
            ("a ?b", vec![("SB0114", "?b")]),
            ("a NEAR/5 (b c)", vec![("SB0115", "(b c)")]),
            ("NOT a NEAR/5 b", vec![("SB0115", "NOT a")]),
            ("a NEAR/5 (b OR lang:en)", vec![("SB0115", "lang:en")]),
            ("a NEAR/5 (b OR c $x)", vec![("SB0107", "$x"), ("SB0115", "c $x")]),
            ("a /(/", vec![("SB0116", "(")]),
            ("a /e\\/\\/e[/", vec![("SB0116", "[")]),
            ("a /e)ſ/", vec![("SB0116", ")")]),
            ("a /e{ſ/", vec![("SB0116", "ſ")]),
            ("a /b*/", vec![("SB0116", "/b*/")]),
            ("a OR in:text", vec![("SB0119", "in:text")]),
        ] {
            let mistakes = parse(text, &lists()).unwrap_err();
            let found: Vec<_> =
                mistakes.iter().map(|mistake| (mistake.code, text.get(mistake.span.clone()).unwrap())).collect();
            assert_eq!(found, codes, "{text}");
        }
        assert_eq!(parse(&"(".repeat(5000), &lists()).unwrap_err()[0].code, "SB0109");
        assert_eq!(parse(&"NOT ".repeat(5000), &lists()).unwrap_err()[0].code, "SB0109");
        let many = vec!["a"; MAX_TERMS + 1].join(" OR ");
        assert_eq!(parse(&many, &lists()).unwrap_err()[0].code, "SB0120");
    }

    #[test]
    fn a_misspelt_list_is_recognised() {
        assert_eq!(parse("$weapon", &lists()).unwrap_err()[0].help, "did you mean $weapons?");
    }

    proptest! {
        #[test]
        fn no_text_can_stop_the_parser(text in "(NEAR/2|ONEAR/9|from:|lang:\\(|\\{A\\}|#tag|@ann|/x+/|ab[*]| ){0,20}|[a-c \"()$~*{}/#@:-]{0,40}|(AND|OR|NOT|\\(|\\)|a|\\$org|\"x y\"| ){0,30}|\\PC{0,40}") {
            match parse(&text, &lists()) {
                Ok(query) => prop_assert!(query.root.is_selective()),
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
