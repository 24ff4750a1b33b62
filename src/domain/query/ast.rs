//! The tree of a query.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::domain::organization::Organization;
use crate::domain::text::Words;

/// A query that is known to need at least one word of a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// As written.
    pub text: String,
    /// What it means.
    pub root: Node,
}

/// A part of a query, with its bytes in the query's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it stands.
    pub span: Range<usize>,
    /// What it asks for.
    pub kind: Kind,
}

/// What a part of a query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The word or phrase occurs.
    Term(Term),
    /// One of the list's terms occurs.
    List(String, Vec<Term>),
    /// All of them.
    And(Vec<Node>),
    /// At least one of them.
    Or(Vec<Node>),
    /// It does not.
    Not(Box<Node>),
}

/// A word, or words that must follow each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term {
    /// As written, for people.
    pub text: String,
    /// Folded words; at least one.
    words: Vec<String>,
}

impl Term {
    /// The term for a text; none when no letter, digit or emoji is in it.
    pub fn new(text: &str) -> Option<Self> {
        let words: Vec<String> = Words::of(text).iter().map(|(word, _)| word.to_owned()).collect();
        (!words.is_empty()).then(|| Self { text: text.trim().to_owned(), words })
    }

    /// Folded words; at least one.
    pub fn words(&self) -> &[String] {
        &self.words
    }
}

/// The lists a query may name.
#[derive(Clone, Debug, Default)]
pub struct Lists(BTreeMap<String, Vec<Term>>);

impl Lists {
    /// `$org`, `$people` and `$places`.
    pub fn of(organization: &Organization) -> Self {
        let terms = |texts: &mut dyn Iterator<Item = &String>| texts.filter_map(|text| Term::new(text)).collect();
        let Organization { name, aliases, accounts, people, places, timezone: _ } = organization;
        let names = &mut std::iter::once(name).chain(aliases).chain(accounts);
        Self(BTreeMap::from([
            ("org".to_owned(), terms(names)),
            ("people".to_owned(), terms(&mut people.iter())),
            ("places".to_owned(), terms(&mut places.iter())),
        ]))
    }

    /// Adds a list, or replaces one of that name.
    pub fn insert(&mut self, name: String, terms: Vec<Term>) {
        self.0.insert(name, terms);
    }

    /// The list's terms.
    pub fn get(&self, name: &str) -> Option<&[Term]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// The names of all lists.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl Node {
    /// Calls `visit` for this part and all below it, outermost first.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        match &self.kind {
            Kind::And(parts) | Kind::Or(parts) => parts.iter().for_each(|part| part.walk(visit)),
            Kind::Not(part) => part.walk(visit),
            Kind::Term(_) | Kind::List(..) => {}
        }
    }

    /// Whether a post without a single word would satisfy it. A query of which that is
    /// true can match anything.
    pub fn accepts_silence(&self) -> bool {
        match &self.kind {
            Kind::Term(_) | Kind::List(..) => false,
            Kind::And(parts) => parts.iter().all(Self::accepts_silence),
            Kind::Or(parts) => parts.iter().any(Self::accepts_silence),
            Kind::Not(part) => !part.accepts_silence(),
        }
    }
}

impl Query {
    /// The names of the lists it uses.
    pub fn lists(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.root.walk(&mut |node| {
            if let Kind::List(name, _) = &node.kind {
                names.push(name.as_str());
            }
        });
        names
    }

    /// All its terms, those of lists included, wherever they stand.
    pub fn terms(&self) -> Vec<&Term> {
        let mut terms = Vec::new();
        self.root.walk(&mut |node| match &node.kind {
            Kind::Term(term) => terms.push(term),
            Kind::List(_, list) => terms.extend(list),
            Kind::And(_) | Kind::Or(_) | Kind::Not(_) => {}
        });
        terms
    }
}
