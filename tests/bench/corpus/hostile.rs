//! What somebody would send who wants the program to stop: posts and rules that cost as
//! much as posts and rules can.

use std::fmt::Write;

use super::super::rng::Rng;

/// A frame of about so many bytes, of a kind with a name.
pub struct Attack {
    pub name: &'static str,
    frame: fn(usize) -> String,
}

impl Attack {
    /// About so many bytes of it.
    pub fn frame(&self, size: usize) -> String {
        (self.frame)(size)
    }
}

/// All kinds of hostile posts.
pub const ATTACKS: &[Attack] = &[
    attack("one word again and again", |size| text(&repeated("echo ", size))),
    attack("two words in turn", |size| text(&repeated("echo bell ", size))),
    attack("words of all sorts", |size| {
        let mut rng = Rng(5);
        text(&(0..size / 7).map(|_| rng.letters(6) + " ").collect::<String>())
    }),
    attack("the words of the Boolean rules", |size| {
        let words = (0..size / 9).map(|place| format!("echo{place} "));
        text(&words.collect::<String>())
    }),
    attack("one long word", |size| text(&repeated("x", size))),
    attack("combining marks", |size| text(&("a".to_owned() + &repeated("\u{301}", size)))),
    attack("zero-width characters", |size| text(&("a".to_owned() + &repeated("\u{200b}", size)))),
    attack("ligatures of eighteen letters", |size| text(&repeated("\u{fdfa}", size))),
    attack("kana", |size| text(&repeated("の", size))),
    attack("emoji put together", |size| text(&repeated("👩\u{200d}⚕\u{fe0f}", size))),
    attack("escapes", |size| raw_text(&repeated(r"\u0065cho ", size))),
    attack("quotation marks", |size| text(&repeated("\"", size / 2))),
    attack("a hashtag of changing case", |size| text(&("#".to_owned() + &repeated("aB", size)))),
    attack("mentions", |size| text(&repeated("@echo.bell ", size))),
    attack("an address without end", |size| text(&("https://echo.".to_owned() + &repeated("bell.", size)))),
    attack("nested lists", |size| extras(&format!("\"x\":{}{},", "[".repeat(size / 2), "]".repeat(size / 2)))),
    attack("nested records", |size| {
        let depth = size / 9;
        extras(&format!("\"x\":{}1{},", r#"{"text":"#.repeat(depth), "}".repeat(depth)))
    }),
    attack("many pictures", |size| {
        let picture = r#"{"alt":"echo bell echo bell","image":{}},"#;
        let pictures = repeated(picture, size);
        extras(&format!(
            r#""embed":{{"$type":"app.bsky.embed.images","images":[{}]}},"#,
            pictures.trim_end_matches(',')
        ))
    }),
    attack("many facets", |size| {
        let facet = r#"{"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"echo"}],"index":{"byteEnd":1,"byteStart":0}},"#;
        extras(&format!(r#""facets":[{}],"#, repeated(facet, size).trim_end_matches(',')))
    }),
];

const fn attack(name: &'static str, frame: fn(usize) -> String) -> Attack {
    Attack { name, frame }
}

fn repeated(piece: &str, size: usize) -> String {
    piece.repeat(size / piece.len())
}

fn text(text: &str) -> String {
    frame("", &serde_json::to_string(text).unwrap())
}

fn raw_text(text: &str) -> String {
    frame("", &format!("\"{text}\""))
}

fn extras(extras: &str) -> String {
    frame(extras, "\"echo bell\"")
}

fn frame(extras: &str, text: &str) -> String {
    format!(
        r#"{{"did":"did:plc:eygmaihciaxprqvxpfvl6flk","time_us":1795348800000000,"kind":"commit","commit":{{"rev":"3lqysbfnuqo2k","operation":"create","collection":"app.bsky.feed.post","rkey":"3lqysbfnuqo2k","record":{{"$type":"app.bsky.feed.post","createdAt":"2026-11-22T12:00:00.000Z",{extras}"langs":["en"],"text":{text}}},"cid":"bafyreidwaivazkwu67xztlmuobx35hs2lnfh3kolmgfmucldvhd3sgzcqi"}}}}"#
    )
}

/// Rules that cost most on such posts, by kind.
pub fn rules() -> Vec<(&'static str, Vec<String>)> {
    let phrase = |word: &str, space: &str, last: &str, length: usize| {
        let words = vec![word; length].join(space);
        format!("\"{words}{space}{last}\"")
    };
    let phrases = (2..30).flat_map(|length| {
        [
            phrase("echo", " ", "nobody", length),
            phrase("の", "", "誰", length),
            phrase("echo bell", " ", "echo echo", length),
        ]
    });
    let many: Vec<String> = (0..40).map(|place| format!("echo{place}")).collect();
    let near = [
        "echo NEAR/1000 nobody".to_owned(),
        "echo NEAR/1000 bell NEAR/1000 echo".to_owned(),
        "echo NEAR/3 echo NEAR/3 echo NEAR/3 echo NEAR/3 nobody".to_owned(),
        "echo ONEAR/1000 echo ONEAR/1000 nobody".to_owned(),
        "(echo OR bell) NEAR/1000 (\"echo bell\" OR \"bell echo\" OR \"echo echo\") NEAR/1000 nobody".to_owned(),
        "\"echo bell nobody\"~1000".to_owned(),
        "\"echo echo echo echo echo bell\"~1000".to_owned(),
        format!("(echo OR {}) NEAR/100 (bell OR {})", many.join(" OR "), many.join(" OR ")),
    ];
    let wildcards = ["xxx*", "ech* NEAR/1000 bel*", "ec?o AND e?h?", "\"ech* ech* ech* nobod*\"", "xx?x?x?x*", "abab*"];
    let regexes = [
        r"(x+x+)+y",
        r"(echo\s?)*nobody",
        r"(a|aa)+b",
        r"(\w+\s+){10}nobody",
        r"[a-z]*[a-z]*[a-z]*[0-9]",
        r"(e?c?h?o?\s?){40}nobody",
        r"\b\w+\W+(?:\w+\W+){0,20}nobody",
    ];
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
    vec![
        ("phrases", phrases.collect()),
        ("proximity", near.to_vec()),
        ("wildcards", owned(&wildcards)),
        ("regexes", regexes.iter().map(|regex| format!("/{regex}/")).collect()),
        ("Boolean", bombs(10_000, 7).into_iter().map(|(_, query)| query).collect()),
    ]
}

/// Queries of so many words each that explode when multiplied out.
pub fn bombs(leaves: usize, seed: u64) -> Vec<(&'static str, String)> {
    let mut rng = Rng(seed);
    let pairs = |inner: &str, outer: &str| {
        let pair = |place: usize| format!("(echo{place} {inner} bell{place})");
        (0..leaves / 2).map(pair).collect::<Vec<_>>().join(outer)
    };
    let mut nested = String::new();
    nest(leaves, true, &mut rng, &mut nested);
    vec![
        ("ORs of ANDs of ORs of …", nested),
        ("OR of 5,000 ANDs", pairs("AND", " OR ")),
        ("AND of 5,000 ORs", pairs("OR", " AND ")),
    ]
}

/// `leaves` words in groups of three to five, each level the other operator.
fn nest(leaves: usize, either: bool, rng: &mut Rng, out: &mut String) {
    if leaves <= 1 {
        write!(out, "{}{}", ["echo", "bell", "word"][rng.index(3)], rng.below(2000)).unwrap();
        return;
    }
    let parts = (rng.between(3, 5) as usize).min(leaves);
    out.push('(');
    for part in 0..parts {
        if part > 0 {
            out.push_str(if either { " OR " } else { " AND " });
        }
        let here = leaves / parts + usize::from(part < leaves % parts);
        nest(here, !either, rng, out);
    }
    out.push(')');
}
