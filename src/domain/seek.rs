//! What is sought among kept posts and incidents, and what is found.

use std::collections::BTreeSet;

use super::id::{IncidentId, RuleId};
use super::incident::Severity;
use super::post::{Excerpt, Post};
use super::text::{Sigil, Words};
use super::time::Timestamp;

/// Words and phrases of a search; what is beyond that is not looked for.
const MOST_PARTS: usize = 24;
/// Characters of a search.
const MOST_CHARS: usize = 500;

/// What is sought. What is empty is anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seek {
    /// What is said.
    pub words: String,
    /// Who says it: a part of the handle or name, or the key.
    pub author: String,
    /// Event time.
    pub from: Option<Timestamp>,
    /// Event time, not included.
    pub to: Option<Timestamp>,
    /// A rule that took it.
    pub rule: String,
    /// Where it was read.
    pub source: String,
    /// A language it declares, without region.
    pub lang: String,
    /// Of an incident it counts for.
    pub severity: Option<Severity>,
}

/// A post that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundPost {
    /// The post.
    pub post: Post,
    /// The rules that took it.
    pub rules: BTreeSet<RuleId>,
    /// Incidents it counts for.
    pub incidents: BTreeSet<IncidentId>,
}

/// What somebody typed: words, `"phrases"`, the beginnings of words (`infect*`), and what must not be there (`-drill`).
/// Whatever else is typed separates words; nothing is an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    wanted: Vec<Term>,
    unwanted: Vec<Term>,
}

/// A word, or words that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    words: Vec<String>,
    /// The last one goes on.
    open: bool,
}

impl Terms {
    /// Takes apart what was typed.
    pub fn of(typed: &str) -> Self {
        let typed: String = typed.chars().take(MOST_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut terms = Self::default();
        let mut rest = typed.trim_start();
        while !rest.is_empty() && terms.wanted.len() + terms.unwanted.len() < MOST_PARTS {
            let (of_kind, begin) = match rest.strip_prefix('-') {
                Some(begin) => (&mut terms.unwanted, begin),
                None => (&mut terms.wanted, rest),
            };
            let (part, after) = match begin.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
                None => begin.split_once(|c: char| c.is_whitespace() || c == '"').unwrap_or((begin, "")),
            };
            rest = after.trim_start();
            let words: Vec<String> = Words::of(part).words().map(|(word, _)| word.to_owned()).collect();
            // Without a word it is one that nothing has.
            if !words.is_empty() {
                of_kind.push(Term { words, open: part.ends_with('*') });
            }
        }
        terms
    }

    /// Whether everything fits.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty() && self.unwanted.is_empty()
    }

    /// Whether a post says it: in its text, descriptions of pictures or tags. `words` is a buffer.
    pub fn fit(&self, post: &Post, words: &mut Words) -> bool {
        self.is_empty() || {
            words.read(&Excerpt::of(post));
            self.stand_in(words)
        }
    }

    /// Whether its author has it: in handle, name or key. `words` is a buffer.
    pub fn name(&self, post: &Post, words: &mut Words) -> bool {
        self.is_empty() || {
            let author = &post.author;
            let names = [author.handle.as_deref(), author.name.as_deref(), Some(author.id.as_str())];
            words.read_text(&names.map(Option::unwrap_or_default).join(" "));
            self.stand_in(words)
        }
    }

    fn stand_in(&self, words: &Words) -> bool {
        self.wanted.iter().all(|term| term.stands_in(words)) && !self.unwanted.iter().any(|term| term.stands_in(words))
    }
}

impl Term {
    fn stands_in(&self, words: &Words) -> bool {
        let found = |position: Option<u32>, place: usize| {
            let wanted = self.words.get(place).map(String::as_bytes).unwrap_or_default();
            let open = self.open && place + 1 == self.words.len();
            let of_kind = |sigil| matches!(sigil, Sigil::Word | Sigil::Tag);
            words.tokens().iter().filter(move |token| {
                let word = words.bytes(token);
                position.is_none_or(|position| token.position == position)
                    && of_kind(token.sigil)
                    && if open { word.starts_with(wanted) } else { word == wanted }
            })
        };
        found(None, 0).any(|first| {
            let mut next = first.position + u32::from(first.span);
            (1..self.words.len()).all(|place| {
                let Some(token) = found(Some(next), place).next() else { return false };
                next = token.position + u32::from(token.span);
                true
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(text: &str) -> Post {
        let (tags, media_text) = (vec!["ShotsFired".to_owned()], vec!["a blue door".to_owned()]);
        let post = Post::plain("p".into(), "s".into(), "did:c".into(), text.to_owned(), Timestamp::default());
        Post { tags, media_text, ..post }
    }

    #[test]
    fn words_phrases_beginnings_and_what_must_not_be_there() {
        let post = post("\u{dc}berfall at the Caf\u{e9} lobby, don\u{2019}t go #StBrigidsER \u{1f6a8}");
        for (typed, fits) in [
            ("cafe", true),
            ("CAF\u{c9} -drill", true),
            ("cafe -lobby", false),
            ("\"cafe lobby\"", true),
            ("\"lobby cafe\"", false),
            ("\"the caf*\"", true),
            ("uber*", true),
            ("uber", false),
            ("dont", true),
            ("don't", true),
            ("brigids", true),
            ("stbrigidser", true),
            ("shotsfired \"blue door\"", true),
            ("\"er a\"", false),
            ("\u{1f6a8}", true),
            ("", true),
            ("-", true),
            ("-nothing", true),
        ] {
            assert_eq!(Terms::of(typed).fit(&post, &mut Words::default()), fits, "{typed}");
        }
        let by = |typed: &str| Terms::of(typed).name(&post, &mut Words::default());
        assert!(by("did:c") && by("c") && !by("cafe"));
    }

    #[test]
    fn a_search_is_bounded() {
        let terms = Terms::of(&"\"a b\" ".repeat(10_000));
        assert_eq!(terms.wanted.len(), MOST_PARTS);
    }
}
