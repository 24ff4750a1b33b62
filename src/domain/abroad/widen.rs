//! From a query's tree to what X can be asked, at least as wide.

use super::spellings::spellings;
use crate::domain::id::SourceName;
use crate::domain::post::PostKind;
use crate::domain::query::Term;
use crate::domain::query::ast::{Kind, Lists, Node};
use crate::domain::query::field::{Field, Has};
use crate::domain::query::term::{Pattern, TermForm};
use crate::domain::text::Sigil;

/// Languages that X tells by two letters and nothing more (docs.x.com, “Operators”: `lang:`).
const LANGUAGES: &str = "am ar bg bn ca cs cy da de dv el en es et eu fa fi fr gu ht hu hy is it ja ka km kn ko lo lt \
    lv ml mr my ne nl no or pa pl ps pt ro ru sd si sk sl sr sv ta te th tl tr ug uk ur vi";
/// No account of X has a longer name.
const LONGEST_ACCOUNT: usize = 15;

/// What X can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wide {
    /// Every post: nothing particular can be asked.
    Anything,
    /// No post at all.
    Nothing,
    /// One operator.
    Atom(Atom),
    /// All of them; at least two, none of them this.
    All(Vec<Self>),
    /// One of them; at least two, none of them this.
    Any(Vec<Self>),
}

/// One operator of X.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Atom {
    /// As X reads it.
    pub(super) text: String,
    /// Whether it may stand alone.
    pub(super) alone: bool,
    /// Whether it is the site's own name, which is the last to be left out.
    pub(super) ours: bool,
}

impl Wide {
    /// What is sure of each post that satisfies the part; notes when something of it cannot be said.
    pub(super) fn of(node: &Node, source: &SourceName, left_out: &mut bool) -> Self {
        Widening { source, left_out }.node(node, false)
    }

    /// What is sure of each post that does not satisfy the part.
    pub(super) fn without(node: &Node, source: &SourceName) -> Self {
        Widening { source, left_out: &mut false }.node(node, true)
    }

    /// All of them.
    pub(super) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Vec::new();
        for part in parts {
            match part {
                Self::Nothing => return Self::Nothing,
                Self::Anything => {}
                Self::All(parts) => all.extend(parts),
                part => all.push(part),
            }
        }
        dedup(&mut all);
        match all.len() {
            0 => Self::Anything,
            1 => all.pop().unwrap_or(Self::Anything),
            _ => Self::All(all),
        }
    }

    /// At least one of them.
    pub(super) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut any = Vec::new();
        for part in parts {
            match part {
                Self::Anything => return Self::Anything,
                Self::Nothing => {}
                // X takes no exclusion as an alternative.
                Self::Atom(atom) if atom.text.starts_with('-') => return Self::Anything,
                Self::Any(parts) => any.extend(parts),
                part => any.push(part),
            }
        }
        dedup(&mut any);
        match any.len() {
            0 => Self::Nothing,
            1 => any.pop().unwrap_or(Self::Nothing),
            _ => Self::Any(any),
        }
    }

    /// One that may stand alone.
    pub(super) fn word(text: String) -> Self {
        Self::Atom(Atom { text, alone: true, ours: false })
    }

    /// One that needs another beside it.
    fn beside(text: impl Into<String>) -> Self {
        Self::Atom(Atom { text: text.into(), alone: false, ours: false })
    }

    /// Whether X takes it as a rule.
    pub(super) fn stands_alone(&self) -> bool {
        match self {
            Self::Anything | Self::Nothing => false,
            Self::Atom(atom) => atom.alone,
            Self::All(parts) => parts.iter().any(Self::stands_alone),
            Self::Any(parts) => parts.iter().all(Self::stands_alone),
        }
    }

    /// Whether it names the site.
    pub(super) fn is_ours(&self) -> bool {
        match self {
            Self::Anything | Self::Nothing => false,
            Self::Atom(atom) => atom.ours,
            Self::All(parts) => parts.iter().any(Self::is_ours),
            Self::Any(parts) => parts.iter().all(Self::is_ours),
        }
    }

    fn named_by_the_site(mut self) -> Self {
        match &mut self {
            Self::Anything | Self::Nothing => {}
            Self::Atom(atom) => atom.ours = true,
            Self::All(parts) | Self::Any(parts) => {
                let own = std::mem::take(parts).into_iter().map(Self::named_by_the_site);
                *parts = own.collect();
            }
        }
        self
    }
}

/// Each once, in their order.
fn dedup(parts: &mut Vec<Wide>) {
    let mut seen = std::collections::BTreeSet::new();
    parts.retain(|part| seen.insert(part.clone()));
}

struct Widening<'a> {
    source: &'a SourceName,
    left_out: &'a mut bool,
}

impl Widening<'_> {
    fn node(&mut self, node: &Node, negated: bool) -> Wide {
        match (&node.kind, negated) {
            (Kind::Not(part), _) => self.node(part, !negated),
            (Kind::And(parts), false) | (Kind::Or(parts), true) => {
                Wide::all(parts.iter().map(|part| self.node(part, negated)).collect::<Vec<_>>())
            }
            (Kind::Or(parts), false) | (Kind::And(parts), true) => {
                Wide::any(parts.iter().map(|part| self.node(part, negated)).collect::<Vec<_>>())
            }
            (Kind::Field(field), _) => self.field(field, negated),
            // See above: no word is ever excluded over there.
            (Kind::Term(_) | Kind::List(_) | Kind::Near(_) | Kind::Regex(_), true) | (Kind::TextOnly, _) => {
                Wide::Anything
            }
            (Kind::Term(term), false) => self.term(term),
            (Kind::List(list), false) => {
                let any = Wide::any(list.terms.iter().map(|term| self.term(term)).collect::<Vec<_>>());
                if Lists::SITE.contains(&&*list.name) { any.named_by_the_site() } else { any }
            }
            (Kind::Near(near), false) => {
                Wide::all(near.sides.iter().map(|side| self.node(side, false)).collect::<Vec<_>>())
            }
            (Kind::Regex(_), false) => self.unsaid(),
        }
    }

    fn unsaid(&mut self) -> Wide {
        *self.left_out = true;
        Wide::Anything
    }

    fn term(&mut self, term: &Term) -> Wide {
        match &term.form {
            TermForm::Phrase(patterns) => match patterns.iter().map(Pattern::word).collect::<Option<Vec<_>>>() {
                Some(words) => spellings(&words, &term.text, term.joined().as_deref()),
                None => self.together(patterns),
            },
            TermForm::Exact(spelt) => {
                let words: Vec<&str> = spelt.iter().map(|spelt| &*spelt.word).collect();
                spellings(&words, term.text.trim_matches(['{', '}']), None)
            }
            TermForm::Sloppy { words, .. } => self.together(words),
            TermForm::Token(Sigil::Tag, Pattern::Word(word)) => {
                let written = term.text.trim_start_matches(['#', '＃']).to_lowercase();
                Wide::any([format!("#{word}"), format!("#{written}")].map(Wide::word))
            }
            TermForm::Token(Sigil::Mention, Pattern::Word(word)) => match account(word) {
                Some(account) => Wide::word(format!("@{account}")),
                None => Wide::word(format!("\"{word}\"")),
            },
            TermForm::Token(..) | TermForm::Fuzzy(_) => self.unsaid(),
        }
    }

    /// All words that are known, wherever they stand.
    fn together(&mut self, patterns: &[Pattern]) -> Wide {
        if patterns.iter().any(|pattern| pattern.word().is_none()) {
            *self.left_out = true;
        }
        let words = patterns.iter().filter_map(Pattern::word);
        Wide::all(words.map(|word| spellings(&[word], word, None)).collect::<Vec<_>>())
    }

    fn field(&mut self, field: &Field, negated: bool) -> Wide {
        match (field, negated) {
            (Field::From(accounts), false) => {
                let from = accounts.iter().filter_map(|name| account(name.strip_prefix("x:").unwrap_or(name)));
                Wide::any(from.map(|account| Wide::word(format!("from:{account}"))).collect::<Vec<_>>())
            }
            (Field::From(accounts), true) => {
                let from = accounts.iter().filter_map(|name| account(name.strip_prefix("x:").unwrap_or(name)));
                Wide::all(from.map(|account| Wide::beside(format!("-from:{account}"))).collect::<Vec<_>>())
            }
            (Field::Source(names), _) => {
                let is_it = names.iter().any(|name| name == self.source.as_str());
                if is_it == negated { Wide::Nothing } else { Wide::Anything }
            }
            (Field::Lang(wanted), false) => {
                let known = wanted.iter().map(|lang| if is_known(lang) { language(lang) } else { self.unsaid() });
                Wide::any(known.collect::<Vec<_>>())
            }
            (Field::Lang(unwanted), true) => {
                let known = unwanted.iter().filter(|lang| is_known(lang));
                Wide::all(known.map(|lang| Wide::beside(format!("-lang:{}", lang.to_lowercase()))).collect::<Vec<_>>())
            }
            (Field::Link(domains), false) => {
                Wide::any(domains.iter().map(|domain| Wide::word(format!("url:\"{domain}\""))).collect::<Vec<_>>())
            }
            (Field::Has(wanted), false) => Wide::any(wanted.iter().map(|has| match has {
                Has::Link => Wide::beside("has:links"),
                Has::Media | Has::Alt => Wide::beside("has:media"),
            })),
            (Field::Kind(kinds), _) => kind(kinds, negated),
            (Field::MinFollowers(_), false) => self.unsaid(),
            (Field::Link(_) | Field::Has(_) | Field::MinFollowers(_), true) => Wide::Anything,
        }
    }
}

/// Of the kinds X tells only what is a repost and what is none apart as we do: an answer may quote as well.
fn kind(kinds: &[PostKind], negated: bool) -> Wide {
    let takes = |kind: &PostKind| kinds.contains(kind) != negated;
    let reposts = takes(&PostKind::Repost);
    let others = PostKind::ALL.iter().any(|kind| *kind != PostKind::Repost && takes(kind));
    match (reposts, others) {
        (true, true) => Wide::Anything,
        (true, false) => Wide::beside("is:retweet"),
        (false, true) => Wide::beside("-is:retweet"),
        (false, false) => Wide::Nothing,
    }
}

fn is_known(lang: &str) -> bool {
    LANGUAGES.split(' ').any(|known| known.eq_ignore_ascii_case(lang))
}

fn language(lang: &str) -> Wide {
    Wide::beside(format!("lang:{}", lang.to_lowercase()))
}

/// An account as X knows one.
fn account(name: &str) -> Option<&str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_id = name.chars().all(|c| c.is_ascii_digit()) && name.len() <= 20;
    let is_one = !name.is_empty() && name.chars().all(fits) && (name.len() <= LONGEST_ACCOUNT || is_id);
    is_one.then_some(name)
}
