//! What fields of other languages are in ours.

use super::boolean::Dialect;
use super::tree::{Part, words};

/// What became of a field.
pub(super) enum Carried {
    /// The same.
    As(Part),
    /// Something close; what the difference is.
    Nearly(Part, &'static str),
    /// It has no counterpart.
    Not,
}

pub(super) fn carry(dialect: Dialect, name: &str, value: &str) -> Carried {
    let carried = match dialect {
        Dialect::X => x(name, value),
        Dialect::Brandwatch => brandwatch(name, value),
        Dialect::WebOfScience => web_of_science(name, value),
        Dialect::Gdelt => gdelt(name, value),
    };
    carried.unwrap_or(Carried::Not)
}

fn field(name: &str, value: &str) -> Part {
    let bare = value.chars().all(|c| c.is_alphanumeric() || "-_.:@/".contains(c));
    Part::Field(if bare { format!("{name}:{value}") } else { format!("{name}:\"{value}\"") })
}

fn x(name: &str, value: &str) -> Option<Carried> {
    let account = value.trim_start_matches('@');
    Some(match (name, value) {
        ("from", _) => handle(account),
        ("to", _) => Carried::Nearly(
            Part::Leaf(format!("@{account}")),
            "asked for answers to the account: became a mention of it",
        ),
        ("lang", _) => Carried::As(language(value)?),
        ("is" | "filter", "retweet" | "retweets" | "nativeretweets") => Carried::As(field("kind", "repost")),
        ("is" | "filter", "reply" | "replies") => Carried::As(field("kind", "reply")),
        ("is" | "filter", "quote") => Carried::As(field("kind", "quote")),
        ("has" | "filter", "links") => Carried::As(field("has", "link")),
        ("has" | "filter", "media") => Carried::As(field("has", "media")),
        ("has" | "filter", "images" | "videos" | "video_link" | "twimg" | "native_video") => {
            Carried::Nearly(field("has", "media"), "became any media")
        }
        ("url" | "link", _) => domain(value)?,
        ("followers_count", _) => {
            let least = value.split("..").next()?;
            let part = field("min_followers", least);
            if least == value { Carried::As(part) } else { Carried::Nearly(part, "lost its upper end") }
        }
        _ => return None,
    })
}

fn brandwatch(name: &str, value: &str) -> Option<Carried> {
    Some(match name {
        "raw" => {
            Carried::Nearly(Part::Leaf(format!("{{{value}}}")), "became an exact word, in this case and these accents")
        }
        "author" => handle(value),
        "site" => match domain(value)? {
            Carried::As(part) | Carried::Nearly(part, _) => {
                Carried::Nearly(part, "asked for posts on the site: became posts that link to it")
            }
            Carried::Not => Carried::Not,
        },
        "links" | "url" => domain(value)?,
        "title" => Carried::Nearly(words(value)?, "became words of the text: posts have no title"),
        "hashtags" => Carried::As(Part::Leaf(format!("#{}", value.trim_start_matches('#')))),
        "at_mentions" => Carried::As(Part::Leaf(format!("@{}", value.trim_start_matches('@')))),
        "language" => Carried::As(language(value)?),
        "engagementType" => match value.to_uppercase().as_str() {
            "RETWEET" | "REPOST" | "SHARE" => Carried::As(field("kind", "repost")),
            "REPLY" | "COMMENT" => Carried::As(field("kind", "reply")),
            "QUOTE" => Carried::As(field("kind", "quote")),
            _ => return None,
        },
        "authorFollowers" => {
            let least = value.trim_start_matches('[').split_whitespace().next()?;
            Carried::Nearly(field("min_followers", least), "lost its upper end")
        }
        _ => return None,
    })
}

/// Fields of articles; posts have a text only.
fn web_of_science(name: &str, value: &str) -> Option<Carried> {
    match words(value) {
        Some(part) if is_text_of_articles(name) => Some(Carried::Nearly(part, "became words of the text")),
        _ => None,
    }
}

/// Title, abstract, key words, or all of them.
pub(super) fn is_text_of_articles(name: &str) -> bool {
    ["TS", "TI", "AB", "AK", "KP", "ALL"].contains(&name.to_uppercase().as_str())
}

/// A language by its code or its English name.
pub(super) fn language(value: &str) -> Option<Part> {
    const LONGEST: usize = 3;
    let code = match value.to_lowercase().as_str() {
        "english" | "eng" => "en",
        "spanish" | "spa" => "es",
        "french" | "fra" => "fr",
        "german" | "deu" => "de",
        "italian" | "ita" => "it",
        "portuguese" | "por" => "pt",
        _ => value,
    };
    let is_code = code.split(['-', '_']).next().is_some_and(|main| main.len() <= LONGEST);
    is_code.then(|| field("lang", code))
}

fn gdelt(name: &str, value: &str) -> Option<Carried> {
    let number = |prefix: &str| name.strip_prefix(prefix).and_then(|number| number.parse::<u32>().ok());
    if let (Some(distance), Some(Part::Leaf(text))) = (number("near"), words(value)) {
        let text = text.trim_matches('"');
        return Some(Carried::As(Part::Leaf(format!("\"{text}\"~{distance}"))));
    }
    if number("repeat").is_some() {
        return Some(Carried::Nearly(words(value)?, "became the word, once is enough"));
    }
    match name {
        "domain" | "domainis" => domain(value),
        "sourcelang" => Some(Carried::As(language(value)?)),
        _ => None,
    }
}

fn handle(account: &str) -> Carried {
    Carried::Nearly(field("from", account), "names a handle of another service: write the account's handle or key here")
}

/// The domain of an address or of a part of one.
fn domain(value: &str) -> Option<Carried> {
    let host = value.split_once("://").map_or(value, |(_, after)| after);
    let (host, path) = host.split_once('/').unwrap_or((host, ""));
    let host = host.trim_start_matches("www.").trim_start_matches("*.");
    if !host.contains('.') {
        return None;
    }
    let part = field("link", host);
    Some(if path.is_empty() { Carried::As(part) } else { Carried::Nearly(part, "became any page of the domain") })
}
