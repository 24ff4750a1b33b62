//! Finished automata: whether an expression matches in an outline, at once and without a cache.
//!
//! Most expressions begin with letters as they stand (`\bstorm(s|ed)?\b`). Those are looked
//! for first, and the automaton only says whether a match begins there, which it knows after
//! a few bytes. An expression that never ends (`storm.*`) could be tried again and again over
//! the same text, so after a few places in vain another engine is asked, in time linear in the text.
//! Such automata are also smaller: they need not look for a beginning.

use memchr::memmem::{Finder, FinderBuilder};
use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::{Anchored, Input};
use regex_syntax::hir::Hir;
use regex_syntax::hir::literal::{Extractor, Seq};

use super::outline::narrowed;

/// The largest automaton kept, in bytes; and the most that building one may take.
const LARGEST: usize = 64 << 10;
const LARGEST_WHILE_BUILT: usize = 1 << 20;
/// Beginnings shorter than that stand in too many places.
const SHORTEST: usize = 3;
/// More beginnings than that are not looked for one by one.
const BEGINNINGS: usize = 4;
/// Places tried in a text.
const PLACES: usize = 8;

type Dfa = dense::DFA<Vec<u32>>;

/// An expression over outlines.
pub(super) enum Automaton {
    /// Looks for matches itself.
    Free(Dfa),
    /// Says whether one begins where one of the leads is: every match begins with one.
    Led { leads: Vec<Finder<'static>>, dfa: Dfa },
}

impl Automaton {
    /// The automaton of an expression, if outlines tell enough and it stays small.
    pub(super) fn new(expression: &Hir) -> Option<Self> {
        let expression = narrowed(expression)?;
        let leads = leads(&expression);
        if leads.is_empty() {
            return built(&expression, StartKind::Unanchored).map(Self::Free);
        }
        built(&expression, StartKind::Anchored).map(|dfa| Self::Led { leads, dfa })
    }

    /// Whether it matches somewhere; none after too many places in vain.
    pub(super) fn is_in(&self, outline: &[u8]) -> Option<bool> {
        let input = Input::new(outline).earliest(true);
        match self {
            Self::Free(dfa) => Some(finds(dfa, &input)),
            Self::Led { leads, dfa } => {
                let mut places = leads.iter().flat_map(|lead| lead.find_iter(outline));
                let at = |place| input.clone().range(place..).anchored(Anchored::Yes);
                if places.by_ref().take(PLACES).any(|place| finds(dfa, &at(place))) {
                    return Some(true);
                }
                places.next().is_none().then_some(false)
            }
        }
    }
}

/// It knows all of a text's bytes, so it never gives up.
fn finds(dfa: &Dfa, input: &Input<'_>) -> bool {
    dfa.try_search_fwd(input).is_ok_and(|found| found.is_some())
}

fn built(expression: &Hir, starts: StartKind) -> Option<Dfa> {
    let config = thompson::Config::new()
        .utf8(false)
        .nfa_size_limit(Some(LARGEST_WHILE_BUILT))
        .which_captures(thompson::WhichCaptures::None);
    let nfa = thompson::Compiler::new().configure(config).build_from_hir(expression).ok()?;
    let config = dense::Config::new()
        .start_kind(starts)
        .dfa_size_limit(Some(LARGEST))
        .determinize_size_limit(Some(LARGEST_WHILE_BUILT));
    dense::Builder::new().configure(config).build_from_nfa(&nfa).ok()
}

/// What every match begins with, as far as that is a few texts worth looking for.
fn leads(expression: &Hir) -> Vec<Finder<'static>> {
    let beginnings = Extractor::new().limit_class(1).limit_total(BEGINNINGS).extract(expression);
    let common = beginnings.longest_common_prefix().filter(|common| common.len() >= SHORTEST).map(<[u8]>::to_vec);
    let texts = match common {
        Some(common) => vec![common],
        None => texts(&beginnings),
    };
    texts.iter().map(|text| FinderBuilder::new().build_forward(text).into_owned()).collect()
}

fn texts(beginnings: &Seq) -> Vec<Vec<u8>> {
    let texts: Vec<Vec<u8>> =
        beginnings.literals().into_iter().flatten().map(|literal| literal.as_bytes().to_vec()).collect();
    if texts.iter().all(|text| text.len() >= SHORTEST) { texts } else { Vec::new() }
}
