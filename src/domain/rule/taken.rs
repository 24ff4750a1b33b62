//! What a post is to the rules, worked out where there are many threads for it.
//!
//! The engine is one thread, and every matching post goes through it. So whatever depends
//! on nothing but the post and the rules is done by the worker that matched it, whose
//! buffers still hold the post's words: what near-copies are known by, and the words that
//! satisfied rules which alert on every match. Other rules seldom fire; what the newest
//! post of theirs said is looked up then.

use super::model::{Rule, RuleIndex, RuleSet};
use crate::domain::condition::Condition;
use crate::domain::matcher::Scratch;
use crate::domain::post::{Excerpt, Post};
use crate::domain::query::explain::{Clause, Explained};
use crate::domain::story::Sketch;
use crate::domain::text::Words;

/// Words of a post that an alert names.
const NAMED: usize = 6;

/// A post that rules take or count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// As [`RuleSet::hits`] gives them; at least one.
    pub hits: Vec<RuleIndex>,
    /// What its copies are known by, when a rule takes it.
    pub sketch: Sketch,
    /// Of rules that alert on every match; the others are looked up when they fire.
    words: Vec<(RuleIndex, Box<str>)>,
}

impl Taken {
    /// A post with these hits, of which nothing is known beyond them and its sketch.
    pub const fn new(hits: Vec<RuleIndex>, sketch: Sketch) -> Self {
        Self { hits, sketch, words: Vec::new() }
    }

    /// The words for which a rule took the post, in quotation marks.
    pub fn words(&self, rule: RuleIndex) -> Option<&str> {
        self.words.iter().find(|(of, _)| *of == rule).map(|(_, words)| words.as_ref())
    }
}

impl RuleSet {
    /// What a post is to these rules; nothing when none takes it and none counts it.
    pub fn take(&self, post: &Excerpt, scratch: &mut Scratch) -> Option<Box<Taken>> {
        let hits = self.hits(post, scratch);
        if hits.is_empty() {
            return None;
        }
        let mut taken = Box::new(Taken::new(hits, Sketch::default()));
        let (takers, _) = self.taken_and_counted(&taken.hits);
        if !takers.is_empty() {
            let words = scratch.words();
            let mut explained = Explained::of(words, post);
            let told = takers.iter().filter_map(|&rule| Some((rule, self.get(rule)?)));
            let at_once = told.filter(|(_, rule)| matches!(rule.condition, Condition::Match));
            taken.words = at_once.map(|(index, rule)| (index, quoted(&explained.by(&rule.query)).into())).collect();
            taken.sketch = Sketch::of(post, words);
        }
        Some(taken)
    }
}

impl Rule {
    /// The words for which the rule took a post, as [`Taken::words`] has them.
    pub fn words_in(&self, post: &Post) -> String {
        let post = Excerpt::of(post);
        let words = Words::of_post(&post);
        quoted(&Explained::of(&words, &post).by(&self.query))
    }
}

/// The rule author's words, never the post's.
fn quoted(clause: &Clause) -> String {
    let words: Vec<String> = clause.terms().iter().take(NAMED).map(|term| format!("“{term}”")).collect();
    words.join(", ")
}
