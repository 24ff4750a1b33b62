//! Conditions that can be used and are probably not what was meant: what is wrong with their
//! numbers, and what to do instead.

use std::time::Duration;

use super::shape::Shape;
use crate::domain::condition::{NewTerm, Share};
use crate::domain::query::Query;
use crate::domain::rule::Rule;

/// Of a share.
pub(super) fn share(share: &Share, rule: &Rule) -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    if share.at_least < 5 {
        found.push((
            "judges by fewer than 5 posts",
            "of so few one post is a large part: ask for 20, or for 10 at least",
        ));
    }
    let part = Shape::of(&rule.query.root);
    let reads_less = |of: &Query| rule.query.text_only && !of.text_only;
    if rule.of.as_ref().is_some_and(|of| !reads_less(&of.query) && part.covers(&Shape::of(&of.query.root))) {
        found.push((
            "takes every post of which it asks for a share",
            "let `of` ask for more posts than the query, for instance of = '$org'",
        ));
    }
    found
}

/// Of a new term.
pub(super) fn new_term(asked: NewTerm) -> Vec<(&'static str, &'static str)> {
    let NewTerm { within, at_least, authors } = asked;
    let mut found = Vec::new();
    if authors > at_least {
        found.push(("asks for more authors than posts", "ask for at least as many posts"));
    }
    if at_least < 3 {
        found
            .push(("takes two posts with a word for news", "two people often use one word by chance: ask for 5 posts"));
    }
    if within < Duration::from_mins(10) {
        found.push(("gives people less than ten minutes", "people need a while to write of one thing: ask for 1h"));
    }
    found
}
