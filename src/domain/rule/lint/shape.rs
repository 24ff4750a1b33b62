//! What a query means, without the way it is written: to compare rules and branches.
//!
//! `(a OR b) c` and `c AND ($b_and_a)` have one shape. Whether one shape takes every post
//! that another takes is asked one way only: *yes* is certain, *no* means that it is not
//! known. So a finding is never wrong, and some are missed.

use std::collections::BTreeSet;

use crate::domain::query::ast::{Kind, Node};
use crate::domain::query::term::{Pattern, TermForm};

/// A query's meaning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape<'a> {
    Term(&'a TermForm),
    Near(u32, bool, [Box<Self>; 2]),
    And(BTreeSet<Self>),
    Or(BTreeSet<Self>),
    Not(Box<Self>),
    /// A field or an expression, as it is printed.
    Other(String),
}

impl<'a> Shape<'a> {
    pub(super) fn of(node: &'a Node) -> Self {
        match &node.kind {
            Kind::Term(term) => Self::Term(&term.form),
            Kind::List(list) => one_or(list.terms.iter().map(|term| Self::Term(&term.form)).collect(), Self::Or),
            Kind::Near(near) => {
                let [first, second] = near.sides.each_ref().map(|side| Box::new(Self::of(side)));
                // Without an order, the sides have none either.
                let sides = if near.ordered || first <= second { [first, second] } else { [second, first] };
                Self::Near(near.distance, near.ordered, sides)
            }
            Kind::And(parts) => {
                let flat = parts.iter().map(Self::of).flat_map(|part| match part {
                    Self::And(parts) => parts,
                    part => BTreeSet::from([part]),
                });
                one_or(flat.collect(), Self::And)
            }
            Kind::Or(parts) => {
                let flat = parts.iter().map(Self::of).flat_map(|part| match part {
                    Self::Or(parts) => parts,
                    part => BTreeSet::from([part]),
                });
                one_or(flat.collect(), Self::Or)
            }
            Kind::Not(part) => Self::Not(Box::new(Self::of(part))),
            Kind::Field(field) => Self::Other(format!("{field:?}")),
            Kind::Regex(regex) => Self::Other(format!("{regex:?}")),
            Kind::TextOnly => Self::Other("in:text".to_owned()),
        }
    }

    /// Whether this certainly takes every post that `other` takes.
    pub(super) fn covers(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        match (self, other) {
            (_, Self::Or(parts)) => !parts.is_empty() && parts.iter().all(|part| self.covers(part)),
            (Self::And(parts), _) => parts.iter().all(|part| part.covers(other)),
            (Self::Or(parts), _) if parts.contains(other) => true,
            (Self::Near(distance, false, sides), Self::Near(nearer, _, others)) if distance >= nearer => {
                sides == others || sides.iter().eq(others.iter().rev()) || self.covers_sides_of(other)
            }
            (Self::Near(distance, true, sides), Self::Near(nearer, true, others)) if distance >= nearer => {
                sides == others
            }
            (Self::Not(part), Self::Not(other)) => other.covers(part),
            (Self::Term(term), Self::Term(other)) => finds(term, other),
            (Self::Or(parts), Self::Term(_)) => parts.iter().any(|part| !part.is_plain() && part.covers(other)),
            (Self::Or(parts), _) if parts.iter().any(|part| part.covers(other)) => true,
            (_, Self::And(_) | Self::Near(..)) => self.covers_sides_of(other),
            _ => false,
        }
    }

    /// A post that another shape takes has each of its parts.
    fn covers_sides_of(&self, other: &Self) -> bool {
        match other {
            Self::And(parts) => parts.iter().any(|part| self.covers(part)),
            Self::Near(_, _, sides) => sides.iter().any(|side| self.covers(side)),
            _ => false,
        }
    }

    /// A plain word or phrase covers only itself; in a long list that saves comparing all with all.
    fn is_plain(&self) -> bool {
        let word = |pattern: &Pattern| pattern.word().is_some();
        match self {
            Self::Term(TermForm::Phrase(words)) => words.iter().all(word) && words.len() > 1,
            Self::Term(TermForm::Token(_, pattern)) => word(pattern),
            _ => false,
        }
    }
}

/// Whether whatever `other` finds, `term` finds.
fn finds(term: &TermForm, other: &TermForm) -> bool {
    match (term, other) {
        (TermForm::Phrase(pattern), TermForm::Phrase(other)) => match (&**pattern, &**other) {
            // A phrase finds a joined hashtag that its words alone do not find: only
            // single words can be compared.
            ([pattern], [other]) => takes(pattern, other),
            _ => false,
        },
        (TermForm::Phrase(pattern), TermForm::Exact(spelt)) => match (&**pattern, &**spelt) {
            ([pattern], [spelt]) => pattern.finds(&spelt.word),
            _ => false,
        },
        (TermForm::Fuzzy(words), TermForm::Phrase(other)) => {
            words.iter().map(|word| Some(word.as_ref())).eq(other.iter().map(Pattern::word))
        }
        (TermForm::Token(sigil, pattern), TermForm::Token(other, name)) => sigil == other && takes(pattern, name),
        _ => false,
    }
}

fn takes(pattern: &Pattern, other: &Pattern) -> bool {
    match (pattern, other) {
        (Pattern::Word(word), Pattern::Word(other)) => word == other,
        (Pattern::Wild(wild), Pattern::Word(word)) => wild.finds(word),
        (Pattern::Wild(wild), Pattern::Wild(other)) => {
            wild == other || wild.is_stem() && other.stem().starts_with(wild.stem())
        }
        (Pattern::Word(_), Pattern::Wild(_)) => false,
    }
}

fn one_or<'a>(mut parts: BTreeSet<Shape<'a>>, kind: impl Fn(BTreeSet<Shape<'a>>) -> Shape<'a>) -> Shape<'a> {
    if parts.len() == 1
        && let Some(only) = parts.pop_first()
    {
        return only;
    }
    kind(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::query::{Lists, Term, parse};

    fn covers(wide: &str, narrow: &str) -> bool {
        let mut lists = Lists::default();
        lists.insert("ab", vec![Term::parse("a").unwrap(), Term::parse("b").unwrap()]);
        let query = |text: &str| parse(text, &lists).unwrap_or_else(|mistakes| panic!("{text}: {mistakes:?}"));
        let (wide, narrow) = (query(wide), query(narrow));
        Shape::of(&wide.root).covers(&Shape::of(&narrow.root))
    }

    #[test]
    fn a_shape_covers_what_certainly_has_all_it_asks_for() {
        for (wide, narrow) in [
            ("a", "A"),
            ("a", "a b"),
            ("a OR b", "b a"),
            ("a OR b c", "x c b"),
            ("$ab", "a"),
            ("a OR c OR b", "$ab"),
            ("x a", "a x y"),
            ("infect*", "infection"),
            ("infect*", "infectio*"),
            ("#covid*", "#covid19"),
            ("aids", "{AIDS}"),
            ("a", "a NEAR/3 b"),
            ("a NEAR/5 b", "b NEAR/3 a"),
            ("a NEAR/5 b", "b ONEAR/3 a"),
            ("x NOT (a b)", "x NOT a"),
        ] {
            assert!(covers(wide, narrow), "{wide} ⊉ {narrow}");
        }
        for (wide, narrow) in [
            ("a b", "a"),
            ("a", "a OR b"),
            ("shooter", "\"active shooter\""),
            ("\"active shooter\"", "shooter"),
            ("infection", "infect*"),
            ("{AIDS}", "aids"),
            ("er", "#er"),
            ("a NEAR/3 b", "a NEAR/5 b"),
            ("a ONEAR/3 b", "b ONEAR/3 a"),
            ("x NOT a", "x NOT (a b)"),
            ("a lang:en", "a"),
        ] {
            assert!(!covers(wide, narrow), "{wide} ⊇ {narrow}");
        }
    }
}
