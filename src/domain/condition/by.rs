//! By what a rule counts separately: the keys of a post.
//!
//! A rule with `by` asks its condition of each key for itself: twelve authors on one link,
//! not twelve authors. A post may have several keys, and counts once under each; one
//! without any does not count.
//!
//! A key is remembered by its name alone (64 bits), in memory and on disk: what a stranger
//! wrote is in the post that fires, and goes with it when the author takes it back.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::harmless::{clean, clip};
use crate::domain::key::Key;
use crate::domain::post::{Excerpt, Post};
use crate::domain::query::ast::{Kind, List, Node};
use crate::domain::query::explain::explain;
use crate::domain::query::field::{host, links};
use crate::domain::query::{Query, Term};
use crate::domain::text::{Sigil, Words};

/// Keys of one post that count; who writes a hundred links into a post means none of them.
const MOST_KEYS: usize = 16;
/// Characters of a key for programs, and for people.
const TEXT: usize = 200;
const SHOWN: usize = 60;

/// By what.
#[derive(Clone, Debug)]
pub enum By {
    /// Its author.
    Author,
    /// The addresses it links to, without query and fragment.
    Link,
    /// Its hashtags.
    Tag,
    /// The configured source it came from.
    Source,
    /// The entries of a list that it contains.
    List(Entries),
}

/// The entries of a list, to be found in posts that a rule took.
#[derive(Clone, Debug)]
pub struct Entries {
    query: Query,
    /// Each term's entry: of a name and its forms, the name.
    names: HashMap<Box<str>, Arc<str>>,
}

/// A key of a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// What it is known by.
    pub key: Key,
    /// For programs: one line, bounded.
    pub text: String,
    /// For people: shorter, without ‘ and ’, and nothing in it can be clicked.
    pub shown: String,
}

impl Named {
    /// What a stranger wrote.
    pub fn new(text: &str) -> Self {
        let (key, text) = (Key::of(text), clean(text));
        let shown = unquoted(&clip(&text, SHOWN).replace("://", "[:]//").replace('.', "[.]"));
        Self { key, text: clip(&text, TEXT), shown }
    }

    /// What the site itself wrote, as it stands.
    fn own(text: &str) -> Self {
        Self { key: Key::of(text), text: text.to_owned(), shown: unquoted(text) }
    }
}

/// What strangers wrote stands between ‘ and ’, and ends there.
fn unquoted(text: &str) -> String {
    text.replace(['‘', '’'], "'")
}

impl Entries {
    /// The entries of a list.
    pub fn of(list: &List) -> Self {
        let texts: HashMap<&str, Arc<str>> =
            list.terms.iter().map(|term| (&*term.text, (&*term.text).into())).collect();
        let name = |term: &Term| {
            // “Harbor Street’s” is the same place.
            let plain = term.text.strip_suffix("'s").and_then(|plain| texts.get(plain));
            plain.cloned().unwrap_or_else(|| (&*term.text).into())
        };
        let names = list.terms.iter().map(|term| (term.text.clone(), name(term))).collect();
        let root = Node { span: 0..0, kind: Kind::List(list.clone()) };
        Self { query: Query { text: format!("${}", list.name).into(), root, text_only: false }, names }
    }

    /// The name of the list and its terms, each with its entry.
    pub fn terms(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&*self.query.text).chain(self.query.terms().into_iter().map(|term| &*term.text))
    }

    fn found(&self, post: &Excerpt) -> Vec<Arc<str>> {
        let words = Words::of_post(post);
        let found = explain(&self.query, &words, post).found;
        found.iter().filter_map(|found| self.names.get(found.term.as_str()).cloned()).collect()
    }
}

impl By {
    /// The word for it in rule files; of a list its name.
    pub fn word(&self) -> &str {
        match self {
            Self::Author => "author",
            Self::Link => "link",
            Self::Tag => "tag",
            Self::Source => "source",
            Self::List(entries) => &entries.query.text,
        }
    }

    /// The keys of a post, each once.
    pub fn keys(&self, post: &Post) -> Vec<Named> {
        let mut keys: Vec<Named> = Vec::new();
        let mut add = |named: Named| {
            if keys.len() < MOST_KEYS && keys.iter().all(|known| known.key != named.key) {
                keys.push(named);
            }
        };
        match self {
            Self::Author => {
                let id = Named::new(post.author.id.as_str());
                let shown = post.author.handle.as_deref().map(|handle| Named::new(handle).shown);
                add(Named { shown: shown.unwrap_or(id.shown), ..id });
            }
            Self::Source => add(Named::own(post.source.as_str())),
            Self::Link => links(&Excerpt::of(post)).filter_map(normal).for_each(|link| add(Named::new(&link))),
            Self::Tag => {
                let mut words = Words::default();
                words.read(&Excerpt::of(post));
                let tags = words.tokens().iter().filter(|token| token.sigil == Sigil::Tag);
                tags.for_each(|token| add(Named::new(&format!("#{}", words.folded(token)))));
            }
            Self::List(entries) => entries.found(&Excerpt::of(post)).iter().for_each(|name| add(Named::own(name))),
        }
        keys
    }
}

/// An address as it is compared: host and path, without scheme, `www.`, query, fragment and
/// what a sentence puts behind it.
fn normal(address: &str) -> Option<String> {
    let name = host(address)?.to_lowercase();
    let name = name.strip_prefix("www.").unwrap_or(&name);
    let after = address.split_once("://").map_or(address, |(_, after)| after);
    let ends = |c: char| c.is_whitespace() || c.is_control() || "?#\"<>“”«»「」".contains(c);
    let rest = after.split(ends).next().unwrap_or_default();
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
    let in_brackets = path.contains('(');
    let path = path.trim_end_matches(|c| "/.,;:!'’…]}*_".contains(c) || c == ')' && !in_brackets);
    Some(format!("{name}{path}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::organization::Organization;
    use crate::domain::query::Lists;
    use crate::domain::time::Timestamp;

    fn post(text: &str) -> Post {
        Post::plain("p".into(), "bluesky".into(), "did:plc:ann".into(), text.to_owned(), Timestamp::from_seconds(0))
    }

    fn texts(by: &By, post: &Post) -> Vec<String> {
        by.keys(post).into_iter().map(|key| key.text).collect()
    }

    #[test]
    fn one_link_written_in_many_ways_is_one_key() {
        for (written, link) in [
            ("look: https://example.org/leak", "example.org/leak"),
            ("HTTPS://WWW.Example.org/leak/?utm=1#top", "example.org/leak"),
            ("(http://ann:pw@example.org:8080/leak).", "example.org/leak"),
            ("“https://example.org/leak”", "example.org/leak"),
            ("https://example.org/wiki/A_(b)", "example.org/wiki/A_(b)"),
            ("https://example.org", "example.org"),
            ("https://example.org/Leak", "example.org/Leak"),
            ("https://example.org?a=/b", "example.org"),
        ] {
            assert_eq!(texts(&By::Link, &post(written)), [link], "{written}");
        }
        let mut twice = post("https://example.org/leak and https://b.example/x, again http://example.org/leak/");
        twice.links = vec!["https://example.org/leak?x".to_owned()];
        assert_eq!(texts(&By::Link, &twice), ["example.org/leak", "b.example/x"]);
        assert_eq!(texts(&By::Link, &post("no link, and ftp://example.org")), [""; 0]);
    }

    #[test]
    fn what_people_read_is_short_and_cannot_be_clicked() {
        let long = format!("https://evil.example/{}\u{202e}gpj.zip", "a".repeat(5000));
        let key = &By::Link.keys(&post(&long))[0];
        assert!(key.shown.starts_with("evil[.]example/aaa") && key.shown.ends_with('…'), "{}", key.shown);
        assert!(key.shown.chars().count() <= SHOWN + 4 && key.text.chars().count() <= TEXT);
        let key = &By::Link.keys(&post("https://evil.example/a\u{202e}gpj.zip"))[0];
        assert_eq!((key.shown.as_str(), key.text.as_str()), ("evil[.]example/agpj[.]zip", "evil.example/agpj.zip"));
    }

    proptest! {
        #[test]
        fn no_post_breaks_the_keys_or_their_names(text in hostile()) {
            let mut post = post(&text);
            post.links = vec![text.clone()];
            for by in [By::Link, By::Tag] {
                let keys = by.keys(&post);
                prop_assert!(keys.len() <= MOST_KEYS);
                for Named { text, shown, .. } in keys {
                    prop_assert!(!text.is_empty() && text.chars().count() <= TEXT && clean(&text) == text);
                    let plain = shown.replace("[.]", "").replace("[:]", "");
                    prop_assert!(plain.chars().count() <= SHOWN && !plain.contains('.') && !plain.contains("://"), "{}", shown);
                }
            }
        }
    }

    /// Text rich in what makes links and hashtags.
    fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            any::<String>(),
            Just("https://".to_owned()),
            Just("hTTp://www.".to_owned()),
            Just("evil.example/a.zip".to_owned()),
            Just("user:pw@[::1]:80/".to_owned()),
            Just("#léak".to_owned()),
            Just("\u{202e}\u{200b}\u{1b}]8;;".to_owned()),
            Just(" ".to_owned()),
        ];
        proptest::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn tags_authors_and_sources_are_keys() {
        let mut tagged = post("#Leak and #léak and #StBrigidsFire");
        tagged.tags = vec!["Other".to_owned(), "leak".to_owned()];
        assert_eq!(texts(&By::Tag, &tagged), ["#leak", "#stbrigidsfire", "#other"]);
        assert_eq!(texts(&By::Author, &tagged), ["did:plc:ann"]);
        tagged.author.handle = Some("ann.example".to_owned());
        assert_eq!(By::Author.keys(&tagged)[0].shown, "ann[.]example");
        assert_eq!(texts(&By::Source, &tagged), ["bluesky"]);
        let many = (0..100).map(|n| format!("#tag{n}")).collect::<Vec<_>>().join(" ");
        assert_eq!(By::Tag.keys(&post(&many)).len(), MOST_KEYS);
    }

    #[test]
    fn a_place_is_known_by_its_name_whatever_its_form() {
        let mut organization = Organization::example();
        organization.places.push("North Tower".to_owned());
        let places = By::List(Entries::of(Lists::of(&organization).get("places").unwrap()));
        assert_eq!(texts(&places, &post("the north tower’s lobby")), ["North Tower"]);
        let both = post("from NORTH tower to the Harbor Street Campus, and #NorthTower again");
        let mut found = texts(&places, &both);
        found.sort();
        assert_eq!(found, ["Harbor Street campus", "North Tower"]);
        assert_eq!(texts(&places, &post("elsewhere")), [""; 0]);
    }
}
