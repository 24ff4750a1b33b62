//! What can be new in a post: its words, hashtags and links.
//!
//! Words are folded as queries fold them. Left out are words that say little (`the`,
//! `monday`), numbers, what has fewer than three letters, mentions and addresses. Of scripts
//! without spaces a word cannot be told, and every pair of characters would be one: of them
//! only hashtags and links are terms.
//!
//! What people are shown of a term was written by strangers: a word has letters and digits
//! only, and a link is its host, which cannot be clicked.

use std::collections::HashSet;

use super::stop::is_stop;
use crate::domain::key::Key;
use crate::domain::post::Post;
use crate::domain::query::Query;
use crate::domain::query::term::{Pattern, Term, TermForm};
use crate::domain::text::{Sigil, Words};

/// Longer than this, in characters, nothing is a word that people would call by its name.
const LONGEST: usize = 40;
/// Shorter than this, nothing is.
const SHORTEST: usize = 3;
/// So many words of one post are looked at.
const MOST: usize = 400;

/// A term of a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub(super) kind: Kind,
    /// A word or a hashtag folded; of a link host and path.
    pub(super) text: String,
}

/// What a term is; of several that are as new, people are told the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Tag,
    Word,
    Link,
}

impl Found {
    /// Its name in memories that need not tell many apart.
    #[expect(clippy::cast_possible_truncation, reason = "half of the bits are enough")]
    pub(super) fn name(&self) -> u32 {
        Key::of(&(self.kind, &self.text)).bits() as u32
    }

    /// As people are shown it.
    pub(super) fn shown(&self) -> String {
        let plain = |text: &str| text.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match self.kind {
            Kind::Word => plain(&self.text),
            Kind::Tag => format!("#{}", plain(&self.text)),
            Kind::Link => {
                let host = self.text.split('/').next().unwrap_or_default();
                let readable = |c: char| if c.is_ascii_alphanumeric() || ".-".contains(c) { c } else { '?' };
                host.chars().take(LONGEST).map(readable).collect::<String>().replace('.', "[.]")
            }
        }
    }
}

/// The terms of a post, each once: of its text, and of its pictures' descriptions unless the
/// rule reads the text alone.
pub fn terms(post: &Post, text_only: bool) -> Vec<Found> {
    let mut found = Collected::default();
    post.tags.iter().for_each(|tag| found.tag(tag.trim_start_matches('#')));
    post.links.iter().for_each(|link| found.link(link));
    found.text(&post.text);
    if !text_only {
        post.media_text.iter().for_each(|text| found.text(text));
    }
    found.terms
}

#[derive(Default)]
struct Collected {
    terms: Vec<Found>,
    seen: HashSet<(Kind, String)>,
}

impl Collected {
    fn add(&mut self, kind: Kind, text: &str) {
        if self.terms.len() < MOST && self.seen.insert((kind, text.to_owned())) {
            self.terms.push(Found { kind, text: text.to_owned() });
        }
    }

    fn tag(&mut self, tag: &str) {
        let words = Words::of(&format!("#{tag}"));
        self.tags(&words);
    }

    fn tags(&mut self, words: &Words) {
        for tag in words.tokens().iter().filter(|token| token.sigil == Sigil::Tag) {
            let name = words.folded(tag);
            if (SHORTEST..=LONGEST).contains(&name.chars().count()) {
                self.add(Kind::Tag, name);
            }
        }
    }

    fn text(&mut self, text: &str) {
        let mut plain = String::with_capacity(text.len());
        for part in text.split_whitespace() {
            if part.contains("://") {
                self.link(part);
            }
            if !is_address(part) {
                plain.push_str(part);
                plain.push(' ');
            }
        }
        let words = Words::of(&plain);
        self.tags(&words);
        let mentions = words.tokens().iter().filter(|token| token.sigil == Sigil::Mention);
        let mentioned: HashSet<u32> =
            mentions.flat_map(|token| token.position..token.position + u32::from(token.span)).collect();
        for (word, token) in words.words() {
            let length = word.chars().count();
            let is_word = (SHORTEST..=LONGEST).contains(&length) && word.starts_with(char::is_alphabetic);
            if is_word && !mentioned.contains(&token.position) && !is_stop(word) {
                self.add(Kind::Word, word);
            }
        }
    }

    /// Host and path: what stands behind `?` or `#` tells who passed a link on.
    fn link(&mut self, link: &str) {
        let link = link.split_once("://").map_or(link, |(_, rest)| rest);
        let link = link.split(['?', '#', '\\']).next().unwrap_or_default();
        let (authority, path) = link.split_once('/').unwrap_or((link, ""));
        let host = authority.rsplit('@').next().unwrap_or_default().to_lowercase();
        let host = host.strip_prefix("www.").unwrap_or(&host).trim_end_matches(|c: char| !c.is_alphanumeric());
        let path = path.trim_end_matches(['/', '.', ',', ')', '!']);
        if host.contains('.') && host.len() <= 253 && path.len() <= 2000 {
            let text = if path.is_empty() { host.to_owned() } else { format!("{host}/{path}") };
            self.add(Kind::Link, &text);
        }
    }
}

/// Whether a part of a text is an address, also one that an app shortened (`news.example/a…`).
fn is_address(part: &str) -> bool {
    let is_short = || part.find('.').is_some_and(|dot| part.get(dot..).is_some_and(|rest| rest.contains('/')));
    part.contains("://") || part.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("www.")) || is_short()
}

/// Words that are no news in a rule's posts: its own, and those of the hospital's names.
#[derive(Clone, Debug, Default)]
pub struct OwnWords {
    words: HashSet<Box<str>>,
    wild: Vec<Pattern>,
}

impl OwnWords {
    /// Those of a query and of further terms.
    pub fn of<'a>(query: &'a Query, names: impl IntoIterator<Item = &'a Term>) -> Self {
        let mut own = Self::default();
        query.terms().into_iter().chain(names).for_each(|term| own.add(term));
        own
    }

    fn add(&mut self, term: &Term) {
        match &term.form {
            TermForm::Phrase(patterns) | TermForm::Sloppy { words: patterns, .. } => {
                patterns.iter().for_each(|pattern| self.pattern(pattern));
            }
            TermForm::Token(_, pattern) => self.pattern(pattern),
            TermForm::Fuzzy(_) | TermForm::Exact(_) => {
                self.words.extend(term.words().into_iter().map(Into::into));
            }
        }
        self.words.extend(term.joined().map(Into::into));
    }

    fn pattern(&mut self, pattern: &Pattern) {
        match pattern.word() {
            Some(word) => {
                self.words.insert(word.into());
            }
            None => self.wild.push(pattern.clone()),
        }
    }

    pub(super) fn has(&self, found: &Found) -> bool {
        let has = |text: &str| self.words.contains(text) || self.wild.iter().any(|wild| wild.finds(text));
        found.kind != Kind::Link && has(&found.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::organization::Organization;
    use crate::domain::query::{Lists, parse};
    use crate::domain::time::Timestamp;

    fn found(text: &str) -> Vec<String> {
        let post = Post::plain("p".into(), "s".into(), "a".into(), text.to_owned(), Timestamp::default());
        terms(&post, false).iter().map(Found::shown).collect()
    }

    #[test]
    fn words_tags_and_links_are_terms_and_what_says_little_is_not() {
        for (text, expected) in [
            ("The Légionella on Monday at 10am, 17 cases of h5n1", vec!["legionella", "cases", "h5n1"]),
            ("no #StBrigidsScandal!", vec!["#stbrigidsscandal", "brigids", "scandal"]),
            ("ask @ann.example.com or @Bob", vec!["ask"]),
            ("https://www.News.example/a/b?utm=1#x news.example/a… www.x.example wow", vec!["news[.]example", "wow"]),
            ("市民病院で火災 #火災警報 🔥🔥🔥", vec!["#火災警報"]),
            ("", vec![]),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
    }

    #[test]
    fn a_link_is_the_same_however_it_was_passed_on() {
        let name = |link: &str| {
            let mut post = Post::plain("p".into(), "s".into(), "a".into(), String::new(), Timestamp::default());
            post.links.push(link.to_owned());
            terms(&post, false).iter().map(Found::name).collect::<Vec<_>>()
        };
        let one = name("https://news.example/story");
        assert_eq!(one.len(), 1);
        for other in
            ["http://www.news.example/story/", "https://u@NEWS.example/story?fbclid=1", "news.example/story#top"]
        {
            assert_eq!(name(other), one, "{other}");
        }
        assert_ne!(name("https://news.example/Story"), one);
        assert_eq!(name("https://localhost/x").len(), 0);
    }

    #[test]
    fn what_is_shown_was_made_harmless() {
        let tricky = found("ha\u{202e}rm<b> https://evil\u{202e}.example/<script> a\u{301}\u{301}\u{301}bcd 😈");
        assert_eq!(tricky, ["evil?[.]example", "harm", "abcd"]);
        let long = "x".repeat(41);
        assert_eq!(found(&format!("{long} #{long}")), [""; 0]);
        let many = (0..5000).map(|n| format!("w{n}x")).collect::<Vec<_>>().join(" ");
        assert_eq!(found(&many).len(), MOST);
    }

    #[test]
    fn the_rules_own_words_and_the_hospitals_names_are_no_news() {
        let lists = Lists::of(&Organization::example());
        let query = parse("$org (infect* OR \"bed bugs\" OR #outbreak)", &lists).unwrap();
        let own = OwnWords::of(&query, &*lists.get("people").unwrap().terms);
        let post = "Brigids infections: bed bugs #outbreak, asks Jane Roe #StBrigids legionella";
        let post = Post::plain("p".into(), "s".into(), "a".into(), post.to_owned(), Timestamp::default());
        let news: Vec<String> = terms(&post, true).iter().filter(|term| !own.has(term)).map(Found::shown).collect();
        assert_eq!(news, ["asks", "legionella"]);
    }
}
