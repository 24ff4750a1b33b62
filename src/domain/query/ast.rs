//! The tree of a query, and the lists it may name.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::field::Field;
use super::names::{forms, guarded};
use super::regex::Regex;
use super::term::{Term, TermForm};
use crate::domain::organization::Organization;
use crate::domain::text::Sigil;

/// A query that is known to need something particular of a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// As written.
    pub text: Box<str>,
    /// What it means.
    pub root: Node,
    /// `in:text`: media descriptions are not read.
    pub text_only: bool,
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
    /// It occurs.
    Term(Term),
    /// One of the list's terms occurs.
    List(List),
    /// Both sides occur with few words between them.
    Near(Box<Near>),
    /// All of them.
    And(Vec<Node>),
    /// At least one of them.
    Or(Vec<Node>),
    /// It does not.
    Not(Box<Node>),
    /// The post says so about itself.
    Field(Field),
    /// The expression matches.
    Regex(Arc<Regex>),
    /// `in:text`, until the parser has turned it into [`Query::text_only`].
    TextOnly,
}

/// Two parts close to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// At most so many words between them.
    pub distance: u32,
    /// Whether the first must come first.
    pub ordered: bool,
    /// The parts, each a term, a list, or `OR`s and `NEAR`s of such.
    pub sides: [Node; 2],
}

/// A list by its name, with its terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Without `$`.
    pub name: Arc<str>,
    /// All of them, those of lists it names included.
    pub terms: Arc<[Term]>,
}

/// The lists a query may name.
#[derive(Clone, Debug, Default)]
pub struct Lists(BTreeMap<Arc<str>, List>);

impl Lists {
    /// Lists every query has; their words are the site's own and not the rule author's.
    pub const SITE: [&str; 4] = ["org", "org_guarded", "people", "places"];

    /// The lists that an organisation brings, see [`Lists::SITE`].
    pub fn of(organization: &Organization) -> Self {
        let mut lists = Self::default();
        let Organization { name: _, aliases: _, accounts, people, places, timezone: _ } = organization;
        let account = |account: &String| Term::mention(account.trim_start_matches('@')).ok();
        let accounts: Vec<Term> = accounts.iter().filter_map(account).collect();
        lists.insert("org", organization.names().flat_map(named).chain(accounts.clone()).collect());
        lists.insert("org_guarded", guarded(organization.names()).chain(accounts).collect());
        lists.insert("people", people.iter().flat_map(|name| named(name)).collect());
        lists.insert("places", places.iter().flat_map(|name| named(name)).collect());
        lists
    }

    /// Adds a list, or replaces one of that name. Terms are kept once.
    pub fn insert(&mut self, name: &str, terms: Vec<Term>) {
        let name: Arc<str> = name.into();
        let mut seen = HashSet::new();
        let terms: Vec<Term> = terms.into_iter().filter(|term| seen.insert(term.form.clone())).collect();
        self.0.insert(Arc::clone(&name), List { name, terms: terms.into() });
    }

    /// The list of that name.
    pub fn get(&self, name: &str) -> Option<&List> {
        self.0.get(name)
    }

    /// The names of all lists.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(AsRef::as_ref)
    }
}

fn named(name: &str) -> impl Iterator<Item = Term> {
    forms(name).filter_map(|text| Term::parse(&text).ok())
}

impl List {
    /// The accounts among its terms, without `@`.
    pub fn accounts(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().filter_map(|term| match &term.form {
            TermForm::Token(Sigil::Mention, account) => Some(account.as_str()),
            _ => None,
        })
    }
}

impl Node {
    /// The parts directly below this one.
    pub fn parts(&self) -> &[Self] {
        match &self.kind {
            Kind::And(parts) | Kind::Or(parts) => parts,
            Kind::Not(part) => std::slice::from_ref(part),
            Kind::Near(near) => &near.sides,
            Kind::Term(_) | Kind::List(_) | Kind::Field(_) | Kind::Regex(_) | Kind::TextOnly => &[],
        }
    }

    /// Calls `visit` for this part and all below it, outermost first.
    pub fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        self.parts().iter().for_each(|part| part.walk(visit));
    }

    /// Whether something particular must be in a post that satisfies the part: a word, a
    /// link, an author. A query of which that is not true would take nearly every post.
    pub fn is_selective(&self) -> bool {
        self.selects(false)
    }

    fn selects(&self, negated: bool) -> bool {
        match (&self.kind, negated) {
            (Kind::Not(part), _) => part.selects(!negated),
            (Kind::Term(_) | Kind::List(_) | Kind::Near(_) | Kind::Regex(_), negated) => !negated,
            (Kind::Field(field), negated) => !negated && field.is_selective(),
            (Kind::TextOnly, _) => false,
            (Kind::And(parts), false) | (Kind::Or(parts), true) => parts.iter().any(|part| part.selects(negated)),
            (Kind::Or(parts), false) | (Kind::And(parts), true) => parts.iter().all(|part| part.selects(negated)),
        }
    }
}

impl Query {
    /// The query of a rule that takes no posts itself: no post satisfies it.
    pub fn nothing() -> Self {
        Self { text: "".into(), root: Node { span: 0..0, kind: Kind::Or(Vec::new()) }, text_only: false }
    }

    /// Posts of sources, by their names.
    pub fn from_sources(names: Vec<String>) -> Self {
        let text = format!("source:({})", names.join(" OR "));
        let root = Node { span: 0..text.len(), kind: Kind::Field(Field::Source(names)) };
        Self { text: text.into(), root, text_only: false }
    }

    /// The names of the lists it uses.
    pub fn lists(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.root.walk(&mut |node| {
            if let Kind::List(list) = &node.kind {
                names.push(list.name.as_ref());
            }
        });
        names
    }

    /// All its terms, those of lists included, wherever they stand.
    pub fn terms(&self) -> Vec<&Term> {
        let mut terms = Vec::new();
        self.root.walk(&mut |node| match &node.kind {
            Kind::Term(term) => terms.push(term),
            Kind::List(list) => terms.extend(list.terms.iter()),
            _ => {}
        });
        terms
    }
}
