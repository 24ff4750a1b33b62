//! Posts and queries made up from few words, so that they meet.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use stormbell::domain::organization::Organization;
use stormbell::domain::post::{Excerpt, PostKind};
use stormbell::domain::query;

use crate::naive::{Ask, Field, Lists, Term, regex};
use crate::slow;

/// Words of posts and queries; some are parts of others, some differ by a wildcard.
const WORDS: &[&str] = &[
    "a",
    "b",
    "ab",
    "st",
    "brigids",
    "er",
    "aab",
    "code",
    "silver",
    "codesilver",
    "active",
    "shooter",
    "gunman",
    "gun",
    "infect",
    "infection",
    "infected",
    "color",
    "colour",
    "cafe",
    "covid",
    "19",
    "aids",
    "kill",
    "hospital",
];
/// Scripts without spaces, emoji, Korean, Hindi; whole and composed, wide and narrow.
const SCRIPTS: &[&str] = &[
    "病院",
    "病",
    "院で",
    "病院で病院",
    "🔥",
    "🔥🔥",
    "👮🏽\u{200d}♀\u{fe0f}",
    "ガス",
    "ｶﾞｽ",
    "カ\u{3099}ス",
    "한국",
    "\u{1112}\u{1161}\u{11ab}국",
    "हिन्दी",
    "ไทย",
    "Straße",
    "ﬁre",
    "Łódź",
    "ΟΔΟΣ",
    "½",
];
const HASHTAGS: &[&str] = &[
    "#StBrigidsER",
    "#stbrigidser",
    "#code_silver",
    "#CodeSilver",
    "#codesilver",
    "#ActiveShooter",
    "#COVID19",
    "#aB",
    "＃Ab",
    "#病院",
    "#A_ab",
    "#ab_",
    "#_a",
    "#1",
    "#AAab",
    "#Infection2Er",
    "#Caf\u{e9}ER",
    "#Cafe\u{301}Er",
    "#gun\u{200b}man",
    "##a",
];
const MENTIONS: &[&str] = &[
    "@ann",
    "@ann.example",
    "@Ann@Host.example",
    "@stbrigids.example.",
    "info@ann.example",
    "@b",
    "@_b",
    "@@a",
    "@ann@",
    "@_@ann",
];
const ADDRESSES: &[&str] = &[
    "https://news.example/a",
    "HTTP://Sub.News.example:80/er?b",
    "(http://a.example)",
    "http://",
    "ftp://news.example",
    "“https://news.example”",
    "http://a@b.example.",
];
/// Between the parts of a text.
const JOINTS: &[&str] =
    &[" ", " ", " ", " ", ", ", "-", "\n", "", "", "'", "’", "/", " – ", "...", "_", "\u{200b}", "\u{301}", "! "];

/// A word as somebody types it; 0 is how it stands in [`WORDS`].
fn spelt(word: &str, manner: usize) -> String {
    let replaced = |from: &str, to: &str| word.replacen(from, to, 1);
    let after_first = |sign: &str| {
        let (first, rest) = word.split_at(1);
        format!("{first}{sign}{rest}")
    };
    match manner {
        1 => word.to_uppercase(),
        2 => word[..1].to_uppercase() + &word[1..],
        3 => replaced("e", "é"),
        4 => replaced("e", "e\u{301}"),
        5 => after_first("’"),
        6 => after_first("\u{200b}"),
        7 => word.chars().map(|c| char::from_u32(u32::from(c) + 0xFEE0).unwrap()).collect(),
        8 => word.replace('o', "0").replacen('i', "1", 1),
        9 => word.replacen('s', "$", 1).replacen('a', "@", 1).replacen('i', "!", 1),
        10 => replaced("a", "\u{430}"),
        11 => format!("{word}\u{301}"),
        12 => format!("{word}'s"),
        _ => word.to_owned(),
    }
}

fn word() -> impl Strategy<Value = String> {
    (select(WORDS), prop_oneof![3 => Just(0), 2 => 0..13_usize]).prop_map(|(word, manner)| spelt(word, manner))
}

/// A hashtag of one to three words.
fn hashtag() -> impl Strategy<Value = String> {
    let part = (select(WORDS), 0..3_usize).prop_map(|(word, manner)| spelt(word, manner));
    (vec(part, 1..4), select(&["", "", "_"][..])).prop_map(|(parts, joint)| format!("#{}", parts.join(joint)))
}

fn part() -> impl Strategy<Value = String> {
    let owned = |text: &'static str| text.to_owned();
    prop_oneof![
        12 => word(),
        3 => select(SCRIPTS).prop_map(owned),
        2 => select(HASHTAGS).prop_map(owned),
        2 => hashtag(),
        1 => select(MENTIONS).prop_map(owned),
        1 => select(ADDRESSES).prop_map(owned),
    ]
}

/// What somebody writes.
pub(crate) fn text(most: usize) -> impl Strategy<Value = String> {
    vec((part(), select(JOINTS)), 0..=most).prop_map(|parts| {
        let mut text: String = parts.iter().flat_map(|(part, joint)| [part.as_str(), *joint]).collect();
        text.truncate(text.trim_end_matches(' ').len());
        text
    })
}

/// A post, as rules read it.
pub(crate) fn post() -> impl Strategy<Value = Excerpt> {
    let tag =
        select(&["er", "StBrigidsER", "CodeSilver", "covid19", "ab", "病院", "Code_Silver", "Caf\u{e9}", "", "!"][..]);
    let texts = (text(14), vec(text(6), 0..3), vec(tag, 0..3));
    let lang = select(&["en", "en-US", "EN_gb", "es", "eng", "e"][..]);
    let link = select(
        &["https://news.example/x", "sub.news.example/y", "https://ann@b.example.:8/", "https://news.example.org"][..],
    );
    let author = (
        select(&["did:plc:ann", "did:plc:b"][..]),
        select(&["", "ann.example", "Ann.Example", "stbrigids.example"][..]),
        select(&[None, Some(0), Some(999), Some(1000)][..]),
    );
    let kind = (select(&PostKind::ALL[..]), any::<bool>(), select(&["bluesky", "my news"][..]));
    (texts, vec(lang, 0..3), vec(link, 0..2), author, kind).prop_map(|(texts, langs, links, author, kind)| {
        let mut post = Excerpt::default();
        post.texts.push(&texts.0);
        texts.1.iter().for_each(|text| post.texts.push(text));
        texts.2.iter().for_each(|tag| post.tags.push(tag));
        for lang in langs {
            post.lang.push(lang);
        }
        for link in links {
            post.links.push(link);
        }
        (post.author, post.handle, post.followers) = (author.0.to_owned(), author.1.to_owned(), author.2);
        (post.kind, post.has_media, post.source) = (kind.0, kind.1, kind.2.to_owned());
        post
    })
}

/// One to three words with punctuation between them, as in `covid-19`.
fn chunk() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => word(),
        1 => (word(), select(&["-", ".", "'", "’", "/", "_", "@", "#"][..]), word())
            .prop_map(|(first, joint, second)| format!("{first}{joint}{second}")),
        2 => select(SCRIPTS).prop_map(str::to_owned),
    ]
    .prop_filter("no word in it", |text| !slow::words(text).is_empty())
}

const WILD: &[&str] = &[
    "infect*",
    "Infect*",
    "Infé*",
    "colo?r",
    "ab?",
    "a?b",
    "co?id*",
    "gun?an",
    "sho?te*",
    "brig?ds",
    "aab*",
    "codes*",
    "b-cov*",
    "cov*-19",
    "stb*",
    "er’sho*",
    "in?ect??n",
    "i’nf*",
    "hos*",
];

/// Text between quotes: words, some with wildcards.
fn phrase(most: usize) -> impl Strategy<Value = String> {
    let chunk = prop_oneof![6 => chunk(), 1 => select(WILD).prop_map(str::to_owned), 1 => select(&["#CodeSilver", "@ann"][..]).prop_map(str::to_owned)];
    vec(chunk, 1..=most).prop_map(|chunks| chunks.join(" "))
}

const TAGS: &[&str] = &[
    "StBrigidsER",
    "codesilver",
    "CodeSilver",
    "code_silver",
    "ab",
    "Ab",
    "病院",
    "covid*",
    "cod?silver",
    "st?r*",
    "stb*",
    "Caf\u{e9}",
    "covid19",
    "er",
];
const EXACT: &[&str] = &[
    "AIDS",
    "aids",
    "ER",
    "Er",
    "Caf\u{e9}",
    "Cafe\u{301}",
    "cafe",
    "St Brigids",
    "CODE-SILVER",
    "19",
    "CodeSilver",
    "病院",
    "Gun\u{200b}man",
    "a",
    "A b",
];
const ACCOUNTS: &[&str] = &["ann", "ann.example", "ann@host.example", "Ann@Host.example", "b", "stbrigids.example"];

/// A term as lists may hold it.
fn list_term() -> impl Strategy<Value = Term> {
    prop_oneof![
        6 => phrase(3).prop_filter("a hashtag or an account", |text| !text.starts_with(['#', '@'])).prop_map(|text| Term::row(&text)),
        1 => select(EXACT).prop_map(Term::exact),
        1 => select(TAGS).prop_map(Term::tag),
        1 => select(ACCOUNTS).prop_map(Term::mention),
    ]
}

fn term() -> impl Strategy<Value = Term> {
    prop_oneof![
        5 => chunk().prop_map(|text| Term::row(&text)),
        2 => select(WILD).prop_map(Term::row),
        3 => phrase(3).prop_map(|text| Term::row(&text)),
        2 => (phrase(4), 0..5_usize).prop_map(|(text, slack)| Term::slack(&text, slack)),
        5 => list_term(),
    ]
}

/// The lists of a rule file: one of all kinds of terms, one that finds unusual spellings,
/// and one that names the first.
pub(crate) fn lists() -> impl Strategy<Value = Lists> {
    let plain = vec(list_term(), 1..6);
    let fuzzy = vec(prop_oneof![chunk(), phrase(2)], 1..4);
    (plain, fuzzy, vec(list_term(), 0..2)).prop_map(|(plain, fuzzy, nesting)| {
        let organization = Organization::example();
        let mut lists = Lists::new();
        let mut own: Vec<Term> =
            std::iter::once(&organization.name).chain(&organization.aliases).map(|name| Term::row(name)).collect();
        own.extend(organization.accounts.iter().map(|account| Term::mention(account.trim_start_matches('@'))));
        lists.insert("org".to_owned(), own);
        lists.insert("people".to_owned(), organization.people.iter().map(|name| Term::row(name)).collect());
        let fuzzy = fuzzy.iter().filter(|text| !text.starts_with(['#', '@']));
        let fuzzy = fuzzy.map(|text| if text.contains(['*', '?']) { Term::row(text) } else { Term::fuzzy(text) });
        lists.insert("fuzzy".to_owned(), fuzzy.chain([Term::fuzzy("shooter")]).collect());
        lists.insert("nesting".to_owned(), nesting.into_iter().chain(plain.iter().cloned()).collect());
        lists.insert("plain".to_owned(), plain);
        lists
    })
}

/// The same lists, as the parser wants them.
pub(crate) fn known(lists: &Lists) -> query::Lists {
    let mut known = query::Lists::of(&Organization::example());
    for (name, terms) in lists.iter().filter(|(name, _)| !matches!(name.as_str(), "org" | "people")) {
        let term = |term: &Term| {
            let parsed = query::Term::parse(&term.in_list()).unwrap_or_else(|error| panic!("{term:?}: {error}"));
            if name == "fuzzy" { parsed.fuzzy() } else { parsed }
        };
        known.insert(name, terms.iter().map(term).collect());
    }
    known
}

/// What can stand beside a `NEAR`.
fn place() -> impl Strategy<Value = Ask> {
    let list = select(&["org", "people", "plain", "fuzzy", "nesting"][..]).prop_map(|name| Ask::List(name.to_owned()));
    let leaf = prop_oneof![5 => term().prop_map(Ask::Term), 1 => list];
    leaf.prop_recursive(3, 8, 3, |inner| prop_oneof![vec(inner.clone(), 2..4).prop_map(Ask::Or), near(inner),])
}

fn near(side: impl Strategy<Value = Ask> + Clone) -> impl Strategy<Value = Ask> {
    let distance = prop_oneof![6 => 0..5_usize, 1 => Just(1000), 1 => 0..40_usize];
    (distance, any::<bool>(), side.clone(), side).prop_map(|(distance, ordered, first, second)| Ask::Near {
        distance,
        ordered,
        sides: Box::new([first, second]),
    })
}

const PATTERNS: &[&str] = &[
    r"\bgun\w*",
    r"st.?brigid",
    r"a+b",
    r"code (black|silver)",
    r"\d{2}",
    r"shooter|gunman",
    r"sil?ver",
    r"病.",
    r"\Aab\b",
    r"#st",
    r"[ab]{2}",
    r"Infect(ed|ion)",
    r"cafe$",
    r"19\b",
    r"(?:ab)+er",
    r"er st",
    r"@ann",
    r"codesilver",
    r"igid",
    r"a/b",
    r"\be",
    r"\b(?:st|a)\b.*er",
    r"(?-i:A)",
    r"[^a]b",
    r"\Bb",
    r"silver[a-z]{0,3}\W+a",
    r"🔥+",
    r"k",
    r"(?:gun|man){2}",
    r"st_|ab_",
    r"d\W*19",
    r"(?:^|\W)ab(?:\W|$)",
];

/// Patterns of `a` and `b`, to see that what every match needs is known.
fn pattern() -> impl Strategy<Value = String> {
    let leaf =
        select(&["a", "b", "ab", "er", "[ab]", "[a-c]", r"\b", r"\w", " ", "-", "病", ".", "B", "st", r"\d"][..])
            .prop_map(str::to_owned);
    leaf.prop_recursive(4, 12, 4, |inner| {
        prop_oneof![
            4 => vec(inner.clone(), 2..5).prop_map(|parts| parts.concat()),
            2 => vec(inner.clone(), 2..4).prop_map(|parts| format!("(?:{})", parts.join("|"))),
            1 => (inner, select(&["?", "*", "+", "{2}", "{0,2}", "{1,3}"][..])).prop_map(|(part, times)| format!("(?:{part}){times}")),
        ]
    })
    .prop_filter("matches nothing", |pattern| regex_syntax::parse(pattern).is_ok_and(|hir| hir.properties().minimum_len().is_some_and(|least| least > 0)))
}

fn field() -> impl Strategy<Value = Field> {
    fn some<T: Clone + std::fmt::Debug + 'static>(of: &'static [T]) -> impl Strategy<Value = Vec<T>> {
        vec(select(of), 1..3)
    }
    let texts = |texts: Vec<&'static str>| texts.into_iter().map(str::to_owned).collect::<Vec<_>>();
    prop_oneof![
        some(&["did:plc:ann", "@ann.example", "Ann.Example", "@nobody"])
            .prop_map(move |names| Field::From(texts(names))),
        Just(Field::FromList("org".to_owned())),
        some(&["en", "EN-us", "es", "e"]).prop_map(move |langs| Field::Lang(texts(langs))),
        some(&["bluesky", "rss"]).prop_map(move |sources| Field::Source(texts(sources))),
        some(&["news.example", "example", "b.example", "ws.example", "a.example"])
            .prop_map(move |domains| Field::Link(texts(domains))),
        some(&PostKind::ALL).prop_map(Field::Kind),
        some(&["link", "media", "alt"]).prop_map(Field::Has),
        select(&[0, 1, 999, 1000, 1001][..]).prop_map(Field::MinFollowers),
    ]
}

/// Any query, and some that are none because they ask for nothing in particular.
pub(crate) fn query() -> impl Strategy<Value = Ask> {
    let leaf = prop_oneof![
        6 => place(),
        4 => near(place().boxed()),
        1 => select(PATTERNS).prop_map(regex),
        1 => pattern().prop_map(|pattern| regex(&pattern)),
        2 => field().prop_map(Ask::Field),
    ];
    let tree = leaf.prop_recursive(4, 12, 4, |inner| {
        prop_oneof![
            2 => vec(inner.clone(), 2..4).prop_map(Ask::And),
            2 => vec(inner.clone(), 2..4).prop_map(Ask::Or),
            1 => inner.clone().prop_map(|part| Ask::Not(Box::new(part))),
            2 => (inner.clone(), inner).prop_map(|(part, except)| Ask::And(vec![part, Ask::Not(Box::new(except))])),
        ]
    });
    (tree, prop_oneof![9 => Just(false), 1 => Just(true)]).prop_map(|(tree, in_text)| match tree {
        Ask::And(mut parts) if in_text => {
            parts.push(Ask::InText);
            Ask::And(parts)
        }
        tree if in_text => Ask::And(vec![Ask::InText, tree]),
        tree => tree,
    })
}
