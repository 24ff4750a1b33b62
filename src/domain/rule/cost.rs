//! What a rule costs before any post is read: how much there is to look for.
//!
//! Exact costs depend on what people write; `stormbell check --profile` measures them. This
//! guess needs no posts, and catches the rules that are large by mistake.

use super::model::Rule;
use crate::domain::query::Query;
use crate::domain::query::ast::Kind;

/// Above this a rule is worth a second look.
pub const BUDGET: usize = 10_000;
/// An expression without a literal is tried on every post.
const EVERY_POST: usize = 1_000;

/// One for each term, field and expression, those of lists, exceptions and wholes included; an
/// expression that no word announces counts as a thousand.
pub fn cost(rule: &Rule) -> usize {
    of(&rule.query)
        + rule.of.as_ref().map_or(0, |whole| of(&whole.query))
        + rule.excepts.iter().map(|except| of(&except.query)).sum::<usize>()
}

fn of(query: &Query) -> usize {
    let mut cost = 0;
    query.root.walk(&mut |node| {
        cost += match &node.kind {
            Kind::List(list) => list.terms.len(),
            Kind::Regex(regex) if regex.needs().is_none() => EVERY_POST,
            Kind::Term(_) | Kind::Field(_) | Kind::Regex(_) => 1,
            Kind::Near(_) | Kind::And(_) | Kind::Or(_) | Kind::Not(_) | Kind::TextOnly => 0,
        };
    });
    cost
}
