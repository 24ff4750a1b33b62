//! Texts made to hurt: read within bounds, asked without harm, decided and explained alike.
//!
//! How the time grows is measured by `cargo bench`; here a cost that grows with the square of
//! the text would make the suite hang.

use stormbell::domain::matcher::{Matcher, Scratch};
use stormbell::domain::organization::Organization;
use stormbell::domain::post::Excerpt;
use stormbell::domain::query::explain::explain;
use stormbell::domain::query::{Lists, Query, Term, parse};
use stormbell::domain::text::Words;

/// Four times the text that decoders let through.
const HUGE: usize = 256 << 10;
const LARGE: usize = 8 << 10;

/// What floods are made of.
const FLOODS: &[&str] = &[
    "a",
    "the ",
    "a b ",
    "e\u{301}",
    "\u{301}",
    "ह\u{93e}",
    "\u{93e}",
    "\u{200b}",
    "'",
    "#",
    "#a",
    "#aB",
    "#aB_",
    "@",
    "@a",
    "@a@b ",
    "a@",
    "@.",
    "http://",
    "http://a.b/ ",
    "://",
    "病院",
    "カ\u{3099}",
    "\u{1112}\u{1161}\u{11ab}",
    "🔥",
    "½",
    "㎏",
    "\u{fdfa}",
    "sh00ter ",
    "0a",
    "$",
    "1!",
    "(",
    "((a ",
    "\"",
    "\n",
    "\u{202e}x",
];

const QUERIES: &[&str] = &[
    "a b",
    "\"a a a a a a\"",
    "\"the a b 病 院\"~40",
    "a NEAR/1000 a NEAR/1000 a",
    "(a OR b OR the) ONEAR/9 (a OR the OR #ab) NEAR/3 (b OR 病)",
    "the*",
    "aaa?*",
    "$fuzzy NEAR/5 $fuzzy",
    "{the} -{The}",
    "#aab* OR @a OR @a@b",
    "link:a.b OR link:b.example",
    r"/\bthe\b.*\bthe\b/",
    r"/(a|b)+c/",
    r"/a.{0,50}病/",
    "病院 NEAR/0 病院",
    "🔥🔥🔥",
];

fn queries() -> Vec<Query> {
    let mut lists = Lists::of(&Organization::example());
    lists.insert("fuzzy", ["shooter", "a o", "oa"].map(|term| Term::parse(term).unwrap().fuzzy()).to_vec());
    QUERIES.iter().map(|text| parse(text, &lists).unwrap_or_else(|error| panic!("{text}: {error:?}"))).collect()
}

/// A post of nothing but this.
fn flood(unit: &str, size: usize) -> Excerpt {
    let mut post = Excerpt::default();
    post.texts.push(&unit.repeat(size / unit.len()));
    post
}

#[test]
fn floods_are_read_within_bounds() {
    let mut words = Words::default();
    for unit in FLOODS {
        words.read(&flood(unit, HUGE));
        words.read_fuzzy(&flood(unit, HUGE));
        // Compatibility forms are at most 18 characters long, U+FDFA.
        assert!(words.normalised(0).len() <= 12 * HUGE, "{unit:?}: {} bytes", words.normalised(0).len());
        assert!(words.tokens().len() <= 4 * HUGE, "{unit:?}: {} tokens", words.tokens().len());
    }
}

#[test]
fn floods_are_matched_as_explained() {
    let queries = queries();
    let matcher = Matcher::new(&queries);
    let (mut scratch, mut words) = (Scratch::default(), Words::default());
    for unit in FLOODS {
        let post = flood(unit, LARGE);
        let found = matcher.matches(&post, &mut scratch);
        words.read(&post);
        words.read_fuzzy(&post);
        for (index, query) in queries.iter().enumerate() {
            let explained = explain(query, &words, &post).satisfied;
            assert_eq!(found.contains(&index), explained, "{} on a flood of {unit:?}", query.text);
        }
    }
}

#[test]
fn floods_as_queries_are_read_or_refused() {
    let lists = Lists::of(&Organization::example());
    let more = [
        "NOT ",
        "-",
        "(",
        ")",
        "a OR ",
        "a NEAR/1 ",
        "\"",
        "\"a\" ",
        "{",
        "{a} ",
        "/",
        "/a/ ",
        "$",
        "lang:",
        "lang:(",
        "from:$org ",
        "a*",
        "a?",
        "?",
    ];
    for unit in FLOODS.iter().chain(&more) {
        let text = unit.repeat(LARGE / unit.len());
        for text in [text.clone(), format!("x {text}"), format!("{text} x"), format!("\"{text}\""), format!("/{text}/")]
        {
            if let Err(mistakes) = parse(&text, &lists) {
                assert!(
                    !mistakes.is_empty() && mistakes.iter().all(|mistake| text.get(mistake.span.clone()).is_some())
                );
            }
        }
    }
}
