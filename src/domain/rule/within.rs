//! Whether a rule takes nothing but what another one takes, too.
//!
//! Asked of the archive: it holds what rules took, so a new rule can learn from it when another
//! one took everything that the new one would have taken. Only the shape of the queries is looked
//! at, and in doubt the answer is no: then a rule learns from now on, which takes days. A wrong
//! yes would teach it that little is said.

use sha2::{Digest as _, Sha256};

use super::model::{Rule, hash_queries};
use crate::domain::key::Key;
use crate::domain::query::Query;
use crate::domain::query::ast::{Kind, Node};

/// Parts of queries that are compared; queries may be long, and deep.
const STEPS: u32 = 20_000;

impl Rule {
    /// The name of what it takes, which rules that ask for it by the same words share. The same in
    /// every run: it goes to disk.
    pub fn taking(&self) -> Key {
        let mut hash = Sha256::new();
        hash_queries(&mut hash, &self.query, &self.excepts);
        if let Some(of) = &self.of {
            of.hash(&mut hash);
        }
        Key::from_bits(hash.finalize().first_chunk().copied().map_or(0, u64::from_le_bytes))
    }

    /// Whether another rule takes every post that this one takes. No, when that is not plain.
    pub fn is_within(&self, other: &Self) -> bool {
        // What the other leaves out, this one must leave out as well.
        let left_out = |except: &Query| {
            self.excepts
                .iter()
                .any(|own| own.query.text_only == except.text_only && own.query.root.is_like(&except.root))
        };
        other.of.is_none()
            && self.query.text_only == other.query.text_only
            && other.excepts.iter().all(|except| left_out(&except.query))
            && implies(&self.query.root, &other.query.root, &mut { STEPS })
    }
}

impl Node {
    /// Whether it asks for the same, wherever it stands.
    fn is_like(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::And(one), Kind::And(two)) | (Kind::Or(one), Kind::Or(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.is_like(two))
            }
            (Kind::Not(one), Kind::Not(two)) => one.is_like(two),
            (Kind::Near(one), Kind::Near(two)) => {
                let ([from, to], [start, end]) = (&one.sides, &two.sides);
                (one.distance, one.ordered) == (two.distance, two.ordered) && from.is_like(start) && to.is_like(end)
            }
            (one, two) => one == two,
        }
    }
}

/// Whether a post that satisfies the first part satisfies the second, too.
fn implies(narrow: &Node, wide: &Node, steps: &mut u32) -> bool {
    let Some(left) = steps.checked_sub(1) else { return false };
    *steps = left;
    if narrow.is_like(wide) {
        return true;
    }
    match (&narrow.kind, &wide.kind) {
        (Kind::Or(parts), _) => parts.iter().all(|part| implies(part, wide, steps)),
        (_, Kind::And(parts)) => parts.iter().all(|part| implies(narrow, part, steps)),
        (Kind::And(parts), _) if parts.iter().any(|part| implies(part, wide, steps)) => true,
        (_, Kind::Or(parts)) => parts.iter().any(|part| implies(narrow, part, steps)),
        (Kind::Not(one), Kind::Not(other)) => implies(other, one, steps),
        (Kind::Term(term), Kind::List(list)) => list.terms.contains(term),
        (Kind::List(one), Kind::List(other)) => one.terms.iter().all(|term| other.terms.contains(term)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::condition::{Condition, Hold, OwnWords};
    use crate::domain::incident::Severity;
    use crate::domain::matcher::Scratch;
    use crate::domain::organization::Organization;
    use crate::domain::post::{Excerpt, Post};
    use crate::domain::query::{Lists, Term, parse};
    use crate::domain::rule::RuleSet;
    use crate::domain::rule::model::Except;
    use crate::domain::rule::raw::Status;
    use crate::domain::time::Timestamp;

    /// A rule with this query; what follows a `|` is an exception.
    fn rule(id: &str, text: &str) -> Rule {
        let mut lists = Lists::of(&Organization::named("St Brigids"));
        lists.insert("fire", ["fire", "smoke"].map(|word| Term::parse(word).unwrap()).into());
        lists.insert("red", vec![Term::parse("fire").unwrap()]);
        let mut queries = text.split('|').map(|query| parse(query.trim(), &lists).unwrap());
        Rule {
            id: id.into(),
            pack: String::new(),
            title: String::new(),
            severity: Severity::Low,
            status: Status::Stable,
            topic: "t".into(),
            query: queries.next().unwrap(),
            excepts: queries.map(|query| Except { reason: String::new(), query }).collect(),
            playbook: None,
            condition: Condition::Match,
            hold: Hold::default(),
            of: None,
            own_words: OwnWords::default(),
            by: None,
            joins: Vec::new(),
            not_on: Vec::new(),
            version: String::new(),
        }
    }

    fn is_within(narrow: &str, wide: &str) -> bool {
        rule("narrow", narrow).is_within(&rule("wide", wide))
    }

    #[test]
    fn a_rule_that_asks_for_more_is_within_one_that_asks_for_less() {
        for (narrow, wide) in [
            ("$org", "$org"),
            ("$org AND strike", "$org"),
            ("$org AND strike", "strike AND $org"),
            ("$org AND (strike OR walkout)", "$org AND (walkout OR strike OR protest)"),
            ("fire AND $org", "$org AND $fire"),
            ("$red AND $org", "$org AND $fire"),
            ("$org AND NOT (drill OR film)", "$org AND NOT drill"),
            ("$org | film", "$org"),
        ] {
            assert!(is_within(narrow, wide), "{narrow} within {wide}");
        }
    }

    #[test]
    fn in_doubt_it_is_not() {
        for (narrow, wide) in [
            ("$org", "$org AND strike"),
            ("$org OR strike", "$org"),
            ("$fire AND $org", "$red AND $org"),
            ("$org AND NOT drill", "$org AND NOT (drill OR film)"),
            ("$org", "$org | film"),
            ("$org", "$org in:text"),
            ("$org in:text", "$org"),
        ] {
            assert!(!is_within(narrow, wide), "{narrow} within {wide}");
        }
    }

    /// What is said of the shape must be true of posts: all pairs of some rules, on posts made of all their words.
    #[test]
    fn whatever_a_rule_within_takes_the_other_takes() {
        let words = ["brigids", "strike", "fire", "smoke", "drill"];
        let parts =
            ["strike", "$fire", "$red", "NOT drill", "(strike OR smoke)", "(fire NEAR/3 smoke)", "\"strike fire\""];
        let bodies: Vec<String> = parts
            .iter()
            .flat_map(|one| {
                parts.iter().flat_map(move |two| ["AND", "OR"].map(|with| format!("brigids AND ({one} {with} {two})")))
            })
            .collect();
        let rules = RuleSet::new(
            (0..).zip(&bodies).map(|(place, body): (usize, _)| rule(&format!("r{place}"), body)).collect(),
        );
        let within: Vec<(usize, usize)> = (0..bodies.len())
            .flat_map(|one| (0..bodies.len()).map(move |two| (one, two)))
            .filter(|&(one, two)| rules.rules()[one].is_within(&rules.rules()[two]))
            .collect();
        assert!(within.len() > bodies.len() * 3, "{}", within.len());
        let mut scratch = Scratch::default();
        for some in 0..3_u32.pow(5) {
            // Each word not at all, once, or first of all.
            let of = |place: u32| some / 3_u32.pow(place) % 3;
            let said = |times| (0..5).zip(words).filter(move |(place, _)| of(*place) == times).map(|(_, word)| word);
            let text = said(2).chain(said(1)).collect::<Vec<_>>().join(" ");
            let post = Post::plain("p".into(), "s".into(), "a".into(), text.clone(), Timestamp::default());
            let hits = rules.hits(&Excerpt::of(&post), &mut scratch);
            for &(one, two) in &within {
                assert!(!hits.contains(&one) || hits.contains(&two), "{} within {}: {text}", bodies[one], bodies[two]);
            }
        }
    }
}
