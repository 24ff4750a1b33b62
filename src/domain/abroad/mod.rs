//! What our rules ask, in the rule language of X's filtered stream: that service sends nothing it was not asked for.
//!
//! Its language says less than ours, and splits and compares words differently. What it cannot say is therefore asked
//! for more widely, never more narrowly: each post that our rule takes must come, and our rule judges it here. Nearness
//! becomes “both”, a wildcard or an expression becomes “anything”. Words are never excluded over there: the service also looks at the
//! post that is quoted, and an exclusion would lose what we want. What is left when all is taken away that cannot be said may be
//! nothing; then the rule is not watched there, and says so.
//!
//! Facts (docs.x.com, “Build a rule” and “Operators” of the filtered stream, read in November 2026): a blank is AND and
//! binds tighter than OR; a keyword is compared with the tokens of the text, which end at punctuation; case makes no
//! difference, accents do; `#` and `@` mean whole entities; `has:`, `is:` and `lang:` need something else beside them;
//! no group may be negated. 1,024 characters a rule, 1,000 rules.
//!
//! What remains narrower, because nothing over there can say it: accents that a rule was written without, words in
//! unusual letters, one word of a hashtag that joins several, and descriptions of pictures.
//!
//! Rejected: one broad rule with the hospital's name. It is what most rules come down to when it is short of room, and
//! with a name such as Mercy it would cost the month's posts in an hour.

mod spellings;
mod split;
mod widen;

use std::collections::BTreeSet;

use self::split::{Piece, fit, packed};
use self::widen::Wide;
use super::id::{RuleId, SourceName};
use super::rule::{Rule, RuleSet};

/// Characters of a rule over there, at most.
pub const RULE_CHARS: usize = 1024;
/// Rules over there, at most.
pub const MOST_RULES: usize = 1000;
/// Characters of a search for what was missed, at most: what the least plan takes.
const SEARCH_CHARS: usize = 512;
/// Into so many rules over there one of ours is parted before it is asked for more widely.
const MOST_PIECES: usize = 16;

/// Our rules in the words of X.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abroad {
    /// What to ask the stream for. At most [`MOST_RULES`], each of at most [`RULE_CHARS`] characters.
    pub rules: Vec<String>,
    /// The same as searches for what was missed.
    pub searches: Vec<String>,
    /// Rules of which a part could not be said, so that more comes than they take.
    pub widened: Vec<RuleId>,
    /// Rules that cannot be watched there at all.
    pub unwatched: Vec<RuleId>,
}

impl Abroad {
    /// What a source of that name has to ask for, so that the rules see all that is theirs.
    pub fn of(rules: &RuleSet, source: &SourceName) -> Self {
        let mut pieces = MOST_PIECES;
        loop {
            let abroad = Self::within(rules, source, pieces);
            if abroad.rules.len() <= MOST_RULES || pieces == 1 {
                return abroad.cut();
            }
            pieces /= 2;
        }
    }

    /// What somebody asks for in X's own words.
    pub fn as_written(rules: &[String]) -> Self {
        Self { rules: rules.to_vec(), searches: rules.to_vec(), ..Self::default() }
    }

    fn within(rules: &RuleSet, source: &SourceName, most: usize) -> Self {
        let mut abroad = Self::default();
        let (mut asked, mut searched): (Vec<Piece>, Vec<Piece>) = (Vec::new(), Vec::new());
        for rule in rules.rules() {
            let (mut is_widened, mut is_watched) = (false, true);
            for Asked { wide, left_out } in asked_by(rule, source) {
                is_widened |= left_out;
                if wide == Wide::Nothing {
                    continue;
                }
                match fit(wide, RULE_CHARS, most) {
                    Some((wide, pieces, shortened)) => {
                        is_widened |= shortened;
                        asked.extend(pieces);
                        match fit(wide, SEARCH_CHARS, usize::MAX) {
                            Some((_, pieces, _)) => searched.extend(pieces),
                            None => is_watched = false,
                        }
                    }
                    None => is_watched = false,
                }
            }
            if !is_watched {
                abroad.unwatched.push(rule.id.clone());
            } else if is_widened {
                abroad.widened.push(rule.id.clone());
            }
        }
        abroad.rules = distinct(asked).into_iter().map(Piece::into_text).collect();
        abroad.searches = packed(distinct(searched), SEARCH_CHARS);
        abroad
    }

    /// Keeps what X takes. Nobody has so many rules that cannot be parted any less.
    fn cut(mut self) -> Self {
        self.rules.truncate(MOST_RULES);
        self
    }
}

/// Whether a rule can take a post of that source, as far as it says so itself.
pub fn reads(rule: &Rule, source: &SourceName) -> bool {
    asked_by(rule, source).any(|asked| asked.wide != Wide::Nothing)
}

/// What a rule asks of posts, put as X can be asked.
struct Asked {
    wide: Wide,
    /// Something could not be said.
    left_out: bool,
}

fn asked_by(rule: &Rule, source: &SourceName) -> impl Iterator<Item = Asked> {
    let own = (&rule.query, rule.excepts.iter().map(|except| &except.query).collect::<Vec<_>>());
    // What the rule excepts counts as part of the whole nevertheless.
    let whole = rule.of.as_ref().map(|of| (&of.query, of.excepts.iter().collect()));
    std::iter::once(own).chain(whole).map(|(query, excepts)| {
        let mut left_out = false;
        let taken = Wide::of(&query.root, source, &mut left_out);
        // Exceptions exclude words, which nobody excludes over there: that is no loss.
        let kept = excepts.into_iter().map(|except| Wide::without(&except.root, source));
        Asked { wide: Wide::all([taken].into_iter().chain(kept)), left_out }
    })
}

/// The pieces that no other one covers, each once, in their order.
fn distinct(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut kept: Vec<Piece> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut by_breadth: Vec<(usize, Piece)> = pieces.into_iter().enumerate().collect();
    by_breadth.sort_by_key(|(place, piece)| (piece.parts(), *place));
    for (_, piece) in by_breadth {
        if !seen.contains(piece.text()) && !kept.iter().any(|wider| wider.covers(&piece)) {
            seen.insert(piece.text().to_owned());
            kept.push(piece);
        }
    }
    kept
}

#[cfg(test)]
mod tests;
