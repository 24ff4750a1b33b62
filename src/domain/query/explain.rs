//! Why a query matched, or what was missing and how near it came.

use std::ops::Range;

use super::ast::{Kind, Near, Node, Query};
use super::occur::{Index, Place};
use crate::domain::post::Excerpt;
use crate::domain::text::Words;

/// Places shown of one clause.
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
    /// How near it came, when it was not satisfied and something of it is there.
    pub almost: Option<Almost>,
    /// Its parts.
    pub parts: Vec<Self>,
}

/// The form of a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A word, a phrase, a hashtag, an account.
    Term,
    /// A list.
    List,
    /// Two parts close to each other.
    Near,
    /// All parts.
    And,
    /// At least one part.
    Or,
    /// Not the part.
    Not,
    /// What the post says about itself.
    Field,
    /// A regular expression.
    Regex,
}

/// A term of the query, found in the post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The term as the rule's author wrote it.
    pub term: String,
    /// 0 is the text, then the media descriptions, then the post's tags.
    pub segment: usize,
    /// Its bytes in that segment.
    pub original: Range<usize>,
}

/// What there is of a clause that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Almost {
    /// Both sides of a `NEAR` are there, with so many words between them.
    Apart(u32),
    /// Both sides are there, the second first.
    WrongOrder,
    /// These words of a phrase are there, not as it wants them.
    Words(Vec<String>),
}

/// Evaluates the query on a post, whose words were read with [`Words::read`] and
/// [`Words::read_fuzzy`], and says why.
pub fn explain(query: &Query, words: &Words, post: &Excerpt) -> Clause {
    Explained::of(words, post).by(query)
}

/// A post that several queries are explained on.
pub struct Explained<'a> {
    words: &'a Words,
    post: &'a Excerpt,
    /// With the media descriptions, and without.
    indices: [Option<Index<'a>>; 2],
}

impl<'a> Explained<'a> {
    /// A post, whose words were read as [`explain`] wants them.
    pub const fn of(words: &'a Words, post: &'a Excerpt) -> Self {
        Self { words, post, indices: [None, None] }
    }

    /// What became of a query's parts.
    pub fn by(&mut self, query: &Query) -> Clause {
        let Self { words, post, indices: [all, text] } = self;
        let index = if query.text_only { text } else { all };
        let index = index.get_or_insert_with(|| Index::new(words, post, query.text_only));
        Explainer { index }.clause(&query.root)
    }
}

impl Clause {
    /// Where the words stand in a segment that made the query match: those found outside any `NOT`.
    pub fn places(&self, segment: usize) -> Vec<Range<usize>> {
        if !self.satisfied || self.form == Form::Not {
            return Vec::new();
        }
        let own = self.found.iter().filter(|found| found.segment == segment).map(|found| found.original.clone());
        own.chain(self.parts.iter().flat_map(|part| part.places(segment))).collect()
    }

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

struct Explainer<'a> {
    index: &'a Index<'a>,
}

impl Explainer<'_> {
    fn clause(&self, node: &Node) -> Clause {
        let parts: Vec<Clause> = node.parts().iter().map(|part| self.clause(part)).collect();
        let mut clause = Clause {
            span: node.span.clone(),
            form: Form::Term,
            satisfied: false,
            found: Vec::new(),
            almost: None,
            parts,
        };
        let all = |of: &[Clause]| of.iter().all(|part| part.satisfied);
        let any = |of: &[Clause]| of.iter().any(|part| part.satisfied);
        (clause.form, clause.satisfied) = match &node.kind {
            Kind::Term(term) => {
                clause.found = self.found(&term.text, &self.index.places(term));
                let words = || self.index.present(term).into_iter().map(str::to_owned).collect::<Vec<_>>();
                clause.almost =
                    clause.found.is_empty().then(words).filter(|words| !words.is_empty()).map(Almost::Words);
                (Form::Term, !clause.found.is_empty())
            }
            Kind::List(list) => {
                let found = list.terms.iter().flat_map(|term| self.found(&term.text, &self.index.places(term)));
                clause.found = found.collect();
                (Form::List, !clause.found.is_empty())
            }
            Kind::Near(near) => {
                let satisfied = !self.near(near).is_empty();
                clause.almost = if satisfied { None } else { self.apart(near) };
                (Form::Near, satisfied)
            }
            Kind::And(_) => (Form::And, all(&clause.parts)),
            Kind::Or(_) => (Form::Or, any(&clause.parts)),
            Kind::Not(_) => (Form::Not, !any(&clause.parts)),
            Kind::Field(field) => (Form::Field, field.holds(self.index.post)),
            Kind::Regex(regex) => {
                clause.found = self.matches(regex);
                (Form::Regex, !clause.found.is_empty())
            }
            // The parser leaves none.
            Kind::TextOnly => (Form::Field, true),
        };
        clause
    }

    fn found(&self, term: &str, places: &[Place]) -> Vec<Found> {
        let found = places.iter().take(PLACES).map(|place| {
            let (segment, original) = self.index.original(place);
            Found { term: term.to_owned(), segment, original }
        });
        found.collect()
    }

    fn matches(&self, regex: &super::regex::Regex) -> Vec<Found> {
        let texts = self.index.texts();
        let found = texts.flat_map(|(segment, text)| {
            regex.find_iter(text).map(move |normalised| Found {
                term: format!("/{}/", regex.as_str()),
                segment,
                original: self.index.original_bytes(segment, &normalised),
            })
        });
        found.take(PLACES).collect()
    }

    /// The places of whatever can stand beside a `NEAR`.
    fn places(&self, node: &Node) -> Vec<Place> {
        let mut places: Vec<Place> = match &node.kind {
            Kind::Term(term) => self.index.places(term),
            Kind::List(list) => list.terms.iter().flat_map(|term| self.index.places(term)).collect(),
            Kind::Or(parts) => parts.iter().flat_map(|part| self.places(part)).collect(),
            Kind::Near(near) => self.near(near),
            Kind::And(_) | Kind::Not(_) | Kind::Field(_) | Kind::Regex(_) | Kind::TextOnly => Vec::new(),
        };
        places.sort_unstable_by_key(|place| (place.begin(), place.end()));
        places
    }

    /// The places of both sides that have one of the other side near.
    fn near(&self, near: &Near) -> Vec<Place> {
        let [first, second] = &near.sides;
        let (first, second) = (self.places(first), self.places(second));
        let (first_near, second_near) = (Neighbours::of(&first), Neighbours::of(&second));
        let of_first = first.iter().filter(|place| {
            second_near.after(place, near.distance) || !near.ordered && second_near.before(place, near.distance)
        });
        let of_second = second.iter().filter(|place| {
            first_near.before(place, near.distance) || !near.ordered && first_near.after(place, near.distance)
        });
        of_first.chain(of_second).copied().collect()
    }

    /// How far the sides of a `NEAR` are apart at least.
    fn apart(&self, near: &Near) -> Option<Almost> {
        let [first, second] = &near.sides;
        let (first, second) = (self.places(first), self.places(second));
        let pairs = || first.iter().take(PLACES).flat_map(|a| second.iter().take(PLACES).map(move |b| (a, b)));
        let gaps = |ordered| pairs().filter_map(move |(a, b)| a.gap(b, ordered)).min();
        // Further than any query can ask: the sides are in different texts.
        let within_text = |gap: &u32| *gap < 5000;
        match gaps(near.ordered).filter(within_text) {
            Some(gap) => Some(Almost::Apart(gap)),
            None => gaps(false).filter(within_text).map(|_| Almost::WrongOrder),
        }
    }
}

/// Where places begin and end, in order.
struct Neighbours {
    starts: Vec<u32>,
    ends: Vec<u32>,
}

impl Neighbours {
    fn of(places: &[Place]) -> Self {
        let mut ends: Vec<u32> = places.iter().map(Place::end).collect();
        ends.sort_unstable();
        // Places come sorted by their starts.
        Self { starts: places.iter().map(Place::begin).collect(), ends }
    }

    /// Whether one begins at most so many words after the place.
    fn after(&self, place: &Place, distance: u32) -> bool {
        let next = self.starts.partition_point(|start| *start < place.end());
        self.starts.get(next).is_some_and(|start| start - place.end() <= distance)
    }

    /// Whether one ends at most so many words before the place.
    fn before(&self, place: &Place, distance: u32) -> bool {
        let last = self.ends.partition_point(|end| *end <= place.begin()).checked_sub(1);
        last.and_then(|last| self.ends.get(last)).is_some_and(|end| place.begin() - end <= distance)
    }
}
