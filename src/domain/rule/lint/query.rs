//! Queries that can be used and are probably not what was meant.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::frequent::is_frequent;
use super::shape::Shape;
use crate::domain::diagnostic::{Diagnostic, SourceText};
use crate::domain::query::ast::{Kind, Node};
use crate::domain::query::field::Field;
use crate::domain::query::{Lists, Query, Term};
use crate::domain::rule::raw::Spanned;

/// Words between two words of one post are rarely more: posts are about so long.
const WORDS_OF_A_POST: u32 = 60;
/// Terms named in one finding.
const NAMED: usize = 6;

/// A query and where it is written.
pub(super) struct Written<'a> {
    pub(super) source: &'a Arc<SourceText>,
    pub(super) raw: &'a Spanned<String>,
    pub(super) query: &'a Query,
}

impl Written<'_> {
    /// All that is doubtful about it.
    pub(super) fn lint(&self, findings: &mut Vec<Diagnostic>) {
        self.query.root.walk(&mut |node| match &node.kind {
            Kind::Term(term) => findings.extend(self.operator(node, term)),
            Kind::Near(near) if near.distance > WORDS_OF_A_POST => findings.push(self.warning(
                "SB0266",
                format!("within {} words is anywhere in most posts", near.distance),
                node,
                "wider than a post",
                &format!("write AND, which is as good, or a distance below {WORDS_OF_A_POST}"),
            )),
            Kind::Field(Field::From(accounts)) => findings.extend(self.handles(node, accounts)),
            Kind::Or(parts) => self.unreachable(parts, findings),
            Kind::And(parts) => findings.extend(self.impossible(parts)),
            _ => {}
        });
        searched_everywhere(&self.query.root, &mut |node| {
            let help = "put letters into it that every match contains, or a word beside it with AND";
            let message = "every post has to be searched for this expression";
            findings.push(self.warning("SB0265", message, node, "no word that a match must have", help));
        });
        self.frequent(findings);
        findings.extend(self.reads_nothing());
    }

    fn warning(
        &self,
        code: &'static str,
        message: impl Into<String>,
        node: &Node,
        label: &str,
        help: &str,
    ) -> Diagnostic {
        Diagnostic::warning(code, message).at(self.source, self.raw.part(node.span.clone()), label).help(help)
    }

    /// As the author wrote it, in one line.
    fn text(&self, node: &Node) -> String {
        const LONGEST: usize = 60;
        let text = self.query.text.get(node.span.clone()).unwrap_or_default();
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.chars().count() <= LONGEST {
            return line;
        }
        line.chars().take(LONGEST).chain(['…']).collect()
    }

    /// `and` for AND, `near/5` for NEAR/5, and operators of other programs.
    fn operator(&self, node: &Node, term: &Term) -> Option<Diagnostic> {
        let written = self.text(node);
        let help = format!("write {}, or \"{}\" in a phrase", meant(&written)?, term.text);
        let message = format!("`{written}` is searched as a word");
        Some(self.warning("SB0253", message, node, "not an operator", &help))
    }

    /// Bluesky's stream tells who wrote a post by a key that never changes.
    fn handles(&self, node: &Node, accounts: &[String]) -> Option<Diagnostic> {
        let written = self.query.text.get(node.span.clone())?.to_lowercase();
        let handle = accounts.iter().find(|account| !account.contains(':') && written.contains(account.as_str()))?;
        let has_key = accounts.iter().any(|account| account.starts_with("did:"));
        (!has_key).then(|| {
            let help = format!("write the account's DID too: from:({handle} OR did:plc:…)");
            let message = format!("`{handle}` is a handle, which Bluesky's stream does not tell");
            self.warning("SB0268", message, node, "finds nothing there", &help)
        })
    }

    /// An alternative is for nothing when another one takes all its posts.
    fn unreachable(&self, parts: &[Node], findings: &mut Vec<Diagnostic>) {
        let shapes: Vec<Shape<'_>> = parts.iter().map(Shape::of).collect();
        for (place, (part, shape)) in parts.iter().zip(&shapes).enumerate() {
            // Of two that are equal the second is for nothing.
            let covering = shapes.iter().enumerate().position(|(other, wide)| {
                other != place && wide.covers(shape) && (other < place || !shape.covers(wide))
            });
            let Some(wide) = covering.and_then(|place| parts.get(place)) else { continue };
            let message = format!("`{}` finds nothing that `{}` does not find", self.text(part), self.text(wide));
            let help = "remove this alternative, or join the two with AND when both are meant";
            findings.push(self.warning("SB0262", message, part, "never decides anything", help));
        }
    }

    /// Both a part and its negation.
    fn impossible(&self, parts: &[Node]) -> Option<Diagnostic> {
        let wanted = parts.iter().filter(|part| !matches!(part.kind, Kind::Not(_))).map(|part| (part, Shape::of(part)));
        let wanted: Vec<_> = wanted.collect();
        parts.iter().find_map(|part| {
            let Kind::Not(unwanted) = &part.kind else { return None };
            let shape = Shape::of(unwanted);
            let (asked, _) = wanted.iter().find(|(_, wanted)| shape.covers(wanted))?;
            let message = format!("`{}` takes out every post with `{}`", self.text(part), self.text(asked));
            let help = "remove one of them, or ask for more after NOT: NOT (a b), NOT \"a b\"";
            Some(self.warning("SB0263", message, part, "so this can never match", help))
        })
    }

    /// Frequent words that one alone satisfy the query.
    fn frequent(&self, findings: &mut Vec<Diagnostic>) {
        let mut alone: Vec<(&Node, BTreeSet<String>, BTreeSet<String>)> = Vec::new();
        alternatives(&self.query.root, &mut |node, term| {
            let words = term.words();
            let short = words.len() == 1 && words.iter().all(|word| word.is_ascii() && word.len() < 3);
            // Several in a row are rare enough.
            let frequent = words.len() == 1 && words.iter().all(|word| is_frequent(word));
            let is_site = matches!(&node.kind, Kind::List(list) if Lists::SITE.contains(&&*list.name));
            if is_site || !short && !frequent {
                return;
            }
            if alone.last().is_none_or(|(last, ..)| !std::ptr::eq(*last, node)) {
                alone.push((node, BTreeSet::new(), BTreeSet::new()));
            }
            if let Some((_, shorts, frequents)) = alone.last_mut() {
                if short { shorts } else { frequents }.insert(term.text.to_string());
            }
        });
        for (node, short, frequent) in alone {
            for (code, terms, label) in
                [("SB0252", short, "shorter than three letters"), ("SB0264", frequent, "in very many posts")]
            {
                if terms.is_empty() {
                    continue;
                }
                let named: Vec<String> = terms.iter().take(NAMED).map(|term| format!("`{term}`")).collect();
                let more = if terms.len() > NAMED { ", …" } else { "" };
                let message = format!("{}{more} alone is enough to match", named.join(", "));
                let help = "add a word that must be there too";
                findings.push(self.warning(code, message, node, label, help));
            }
        }
    }

    /// `in:text` where no text is read at all.
    fn reads_nothing(&self) -> Option<Diagnostic> {
        let mut reads = false;
        self.query.root.walk(&mut |node| {
            reads |= matches!(node.kind, Kind::Term(_) | Kind::List(_) | Kind::Regex(_));
        });
        (self.query.text_only && !reads).then(|| {
            let message = "`in:text` makes no difference: the query reads no text";
            self.warning("SB0267", message, &self.query.root, "asks for fields only", "remove `in:text`")
        })
    }
}

/// What the author of a term that looks like an operator probably meant.
fn meant(written: &str) -> Option<String> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let upper = written.to_uppercase();
    let word = upper.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = upper.get(word.len()..).unwrap_or_default();
    match (word, number) {
        ("AND" | "OR" | "NOT" | "NEAR" | "ONEAR", "") => return Some(format!("{upper} for the operator")),
        ("NEAR/" | "ONEAR/" | "NEAR" | "ONEAR", _) if is_number(number) => {
            return Some(format!("{}/{number} for the operator", word.trim_end_matches('/')));
        }
        _ => {}
    }
    let excluded = written.strip_prefix(['!', '\u{2013}', '\u{2014}', '\u{2212}']);
    if let Some(excluded) = excluded.filter(|word| word.starts_with(char::is_alphanumeric)) {
        return Some(format!("-{excluded} for posts without it"));
    }
    let either: Vec<&str> = written.split('|').collect();
    if either.len() > 1 && either.iter().all(|word| word.starts_with(char::is_alphanumeric)) {
        return Some(format!("({}) for one of them", either.join(" OR ")));
    }
    let (before, slack) = written.split_once('~').filter(|(before, _)| before.chars().all(char::is_alphanumeric))?;
    let words = if before.is_empty() { "a b".to_owned() } else { format!("{before} …") };
    is_number(slack).then(|| format!("\"{words}\"~{slack} with quotes around the words, and nothing between"))
}

/// Visits the expressions that no word announces, in themselves or beside them.
fn searched_everywhere<'a>(node: &'a Node, visit: &mut dyn FnMut(&'a Node)) {
    match &node.kind {
        Kind::Regex(_) if !is_announced(node) => visit(node),
        Kind::Or(parts) => parts.iter().for_each(|part| searched_everywhere(part, visit)),
        Kind::And(parts) if !is_announced(node) => parts.iter().for_each(|part| searched_everywhere(part, visit)),
        _ => {}
    }
}

/// Whether a word or the like must be in a post before the part has to be looked at.
fn is_announced(node: &Node) -> bool {
    match &node.kind {
        Kind::Term(_) | Kind::List(_) | Kind::Near(_) => true,
        Kind::Field(field) => field.is_selective(),
        Kind::Regex(regex) => regex.needs().is_some(),
        Kind::And(parts) => parts.iter().any(is_announced),
        Kind::Or(parts) => parts.iter().all(is_announced),
        Kind::Not(_) | Kind::TextOnly => false,
    }
}

/// Visits the terms of which one alone satisfies the query.
fn alternatives<'a>(node: &'a Node, visit: &mut dyn FnMut(&'a Node, &'a Term)) {
    match &node.kind {
        Kind::Term(term) => visit(node, term),
        Kind::List(list) => list.terms.iter().for_each(|term| visit(node, term)),
        Kind::Or(parts) => parts.iter().for_each(|part| alternatives(part, visit)),
        // Beside parts that are no guard: exclusions, and fields that most posts have.
        Kind::And(parts) => {
            let mut guards = parts.iter().filter(|part| part.is_selective());
            if let (Some(only), None) = (guards.next(), guards.next()) {
                alternatives(only, visit);
            }
        }
        Kind::Not(_) | Kind::Near(_) | Kind::Field(_) | Kind::Regex(_) | Kind::TextOnly => {}
    }
}
