//! Why a query matched, or what was missing: the obvious evaluation, in time linear in
//! post and query, because every alert asks for it and posts are as long as strangers like.

use std::collections::HashMap;
use std::ops::Range;

use super::ast::{Kind, Node, Query, Term};
use crate::domain::text::{Word, Words};

/// Places shown of one term.
const PLACES: usize = 16;

/// What became of one part of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Its place in the query's text.
    pub span: Range<usize>,
    /// What it is.
    pub form: Form,
    /// Whether the post satisfies it.
    pub satisfied: bool,
    /// Where its words stand in the post, the first places of each term; of a list, only
    /// the terms found.
    pub found: Vec<Found>,
    /// Its parts.
    pub parts: Vec<Self>,
}

/// The form of a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A word or a phrase.
    Term,
    /// A list.
    List,
    /// All parts.
    And,
    /// At least one part.
    Or,
    /// Not the part.
    Not,
}

/// A term of the query, found in the post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The term as the rule's author wrote it.
    pub term: String,
    /// 0 is the text, then the media descriptions.
    pub segment: usize,
    /// Its bytes in that segment.
    pub original: Range<usize>,
}

/// Evaluates the query on a post's words and says why.
pub fn explain(query: &Query, words: &Words) -> Clause {
    let all: Vec<_> = words.iter().collect();
    let mut places: HashMap<&str, Vec<usize>> = HashMap::new();
    for (place, (word, _)) in all.iter().enumerate() {
        places.entry(word).or_default().push(place);
    }
    clause(&query.root, &Index { all, places })
}

/// A post's words, and where each stands.
struct Index<'a> {
    all: Vec<(&'a str, &'a Word)>,
    places: HashMap<&'a str, Vec<usize>>,
}

impl Clause {
    /// The terms that made the query match: those found outside any `NOT`.
    pub fn terms(&self) -> Vec<&str> {
        let mut terms: Vec<&str> = Vec::new();
        self.collect(&mut terms);
        terms.sort_unstable();
        terms.dedup();
        terms
    }

    fn collect<'a>(&'a self, terms: &mut Vec<&'a str>) {
        if self.form != Form::Not && self.satisfied {
            terms.extend(self.found.iter().map(|found| found.term.as_str()));
            self.parts.iter().for_each(|part| part.collect(terms));
        }
    }
}

fn clause(node: &Node, words: &Index<'_>) -> Clause {
    let parts = |nodes: &[Node]| nodes.iter().map(|node| clause(node, words)).collect::<Vec<_>>();
    let (form, satisfied, found, parts) = match &node.kind {
        Kind::Term(term) => {
            let found = find(term, words);
            (Form::Term, !found.is_empty(), found, Vec::new())
        }
        Kind::List(_, terms) => {
            let found: Vec<Found> = terms.iter().flat_map(|term| find(term, words)).collect();
            (Form::List, !found.is_empty(), found, Vec::new())
        }
        Kind::And(nodes) => {
            let parts = parts(nodes);
            (Form::And, parts.iter().all(|part| part.satisfied), Vec::new(), parts)
        }
        Kind::Or(nodes) => {
            let parts = parts(nodes);
            (Form::Or, parts.iter().any(|part| part.satisfied), Vec::new(), parts)
        }
        Kind::Not(inner) => {
            let part = clause(inner, words);
            (Form::Not, !part.satisfied, Vec::new(), vec![part])
        }
    };
    Clause { span: node.span.clone(), form, satisfied, found, parts }
}

/// The first places where the term's words follow each other within one segment.
fn find(term: &Term, words: &Index<'_>) -> Vec<Found> {
    let starts = term.words().first().and_then(|first| words.places.get(first.as_str()));
    let found = starts.into_iter().flatten().filter_map(|&start| {
        let here = words.all.get(start..start + term.words().len())?;
        let ((_, first), (_, last)) = (here.first()?, here.last()?);
        let follow = here.iter().zip(term.words()).all(|((folded, _), wanted)| folded == wanted);
        (follow && first.segment == last.segment).then(|| Found {
            term: term.text.clone(),
            segment: first.segment,
            original: first.original.start..last.original.end,
        })
    });
    found.take(PLACES).collect()
}
