//! The HTML of a status as text: one pass, no tree, nothing that nests.
//!
//! Servers clean what authors write, and each cleans differently, so nothing here depends on the markup being
//! sound: what opens need not close, and what is no tag is text. Entities are decoded once.

use crate::source::sanity::{MAX_LINK_BYTES, MAX_TEXT_BYTES, keep};

/// What is read of the markup: some texts are tags for the most part.
const MOST_BYTES: usize = 4 * MAX_TEXT_BYTES;
/// A longer tag is none.
const LONGEST_TAG: usize = 2 * MAX_LINK_BYTES;

/// The text of `html`, and the addresses of its links that lead somewhere else than to a person or a hashtag.
pub(super) fn text_and_links(html: &str) -> (String, Vec<String>) {
    let mut rest = html.get(..html.floor_char_boundary(MOST_BYTES)).unwrap_or_default();
    let (mut text, mut links) = (String::new(), Vec::new());
    let mut hidden: Option<&'static str> = None;
    while let Some(open) = rest.find('<') {
        let (before, at) = rest.split_at(open);
        if hidden.is_none() {
            decode(before, &mut text);
        }
        let Some(tag) = Tag::at(at) else {
            if hidden.is_none() {
                text.push('<');
            }
            rest = at.get(1..).unwrap_or_default();
            continue;
        };
        rest = at.get(tag.length..).unwrap_or_default();
        match hidden {
            Some(name) => {
                if tag.closes && tag.name.eq_ignore_ascii_case(name) {
                    hidden = None;
                }
            }
            None => hidden = read(&tag, &mut text, &mut links),
        }
    }
    if hidden.is_none() {
        decode(rest, &mut text);
    }
    (tidy(&text), links)
}

/// What a tag does to the text; the name of the one that ends what is not shown.
fn read(tag: &Tag<'_>, text: &mut String, links: &mut Vec<String>) -> Option<&'static str> {
    let name = tag.name.to_ascii_lowercase();
    match (name.as_str(), tag.closes) {
        ("script", false) => return Some("script"),
        ("style", false) => return Some("style"),
        // What older servers show instead of a quoted post.
        ("p" | "span", false) if tag.has_class("quote-inline") => {
            return Some(if name == "p" { "p" } else { "span" });
        }
        ("br", _) => text.push('\n'),
        ("p", true) => text.push_str("\n\n"),
        ("li" | "div" | "tr" | "pre" | "blockquote" | "ul" | "ol" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6", true) => {
            text.push('\n');
        }
        ("a", false) if !tag.has_class("mention") && !tag.has_class("hashtag") => {
            let href = tag.attribute("href").unwrap_or_default();
            if href.starts_with("https://") || href.starts_with("http://") {
                keep(links, &href, MAX_LINK_BYTES);
            }
        }
        _ => {}
    }
    None
}

/// A tag as it is written.
struct Tag<'a> {
    name: &'a str,
    closes: bool,
    attributes: &'a str,
    /// Bytes from `<` to behind `>`.
    length: usize,
}

impl<'a> Tag<'a> {
    /// The tag that begins `text`, when one does.
    fn at(text: &'a str) -> Option<Self> {
        let inside = text.get(1..)?;
        if let Some(comment) = inside.strip_prefix("!--") {
            let end = comment.get(..comment.floor_char_boundary(MOST_BYTES))?.find("-->")?;
            return Some(Self { name: "", closes: false, attributes: "", length: end + 7 });
        }
        let near = inside.get(..inside.floor_char_boundary(LONGEST_TAG))?;
        let end = end_of_tag(near)?;
        let inside = near.get(..end)?;
        let (closes, inside) = inside.strip_prefix('/').map_or((false, inside), |inside| (true, inside));
        let name_end = inside.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(inside.len());
        let (name, attributes) = inside.split_at(name_end);
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic());
        is_name.then_some(Self { name, closes, attributes, length: end + 2 })
    }

    /// The value of an attribute, decoded.
    fn attribute(&self, name: &str) -> Option<String> {
        let mut rest = self.attributes;
        while let Some((before, after)) = rest.split_once('=') {
            let key = before.trim().rsplit(|c: char| c.is_whitespace()).next().unwrap_or_default();
            let after = after.trim_start();
            let (value, behind) = match after.chars().next() {
                Some(quote @ ('"' | '\'')) => after.get(1..)?.split_once(quote)?,
                _ => after.split_once(char::is_whitespace).unwrap_or((after, "")),
            };
            if key.eq_ignore_ascii_case(name) {
                let mut decoded = String::new();
                decode(value, &mut decoded);
                return Some(decoded);
            }
            rest = behind;
        }
        None
    }

    fn has_class(&self, class: &str) -> bool {
        self.attribute("class").is_some_and(|classes| classes.split_whitespace().any(|of| of == class))
    }
}

/// Where a tag ends: at the first `>` that is not inside quotes.
fn end_of_tag(text: &str) -> Option<usize> {
    let mut quote = None;
    for (place, letter) in text.char_indices() {
        match (quote, letter) {
            (None, '>') => return Some(place),
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            _ => {}
        }
    }
    None
}

/// Appends a text whose entities are decoded.
fn decode(text: &str, to: &mut String) {
    const LONGEST: usize = 12;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        to.push_str(before);
        let near = after.get(..after.floor_char_boundary(LONGEST)).unwrap_or_default();
        if let Some((length, letter)) = near.split_once(';').and_then(|(name, _)| Some((name.len(), entity(name)?))) {
            to.push(letter);
            rest = after.get(length + 1..).unwrap_or_default();
        } else {
            to.push('&');
            rest = after;
        }
    }
    to.push_str(rest);
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        "hellip" => '…',
        "ndash" => '–',
        "mdash" => '—',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "laquo" => '«',
        "raquo" => '»',
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(number).filter(|letter| *letter != '\0')?
        }
    })
}

/// Without spaces at the ends of lines, and at most one empty line between two.
fn tidy(text: &str) -> String {
    let mut tidied = String::with_capacity(text.len());
    let mut breaks = 0;
    for line in text.split('\n') {
        let line = line.trim_end();
        if !line.is_empty() {
            if !tidied.is_empty() {
                tidied.push_str(if breaks > 1 { "\n\n" } else { "\n" });
            }
            tidied.push_str(line);
            breaks = 0;
        }
        breaks += 1;
    }
    tidied
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(html: &str) -> String {
        text_and_links(html).0
    }

    #[test]
    fn statuses_read_as_people_see_them() {
        for (html, expected) in [
            ("<p>one</p><p>two<br>three<br />four</p>", "one\n\ntwo\nthree\nfour"),
            ("plain", "plain"),
            (
                "a &lt;b&gt; &amp;amp; &quot;c&quot; &#39;d&#x27; &hellip; &unknown; & ;",
                "a <b> &amp; \"c\" 'd' … &unknown; & ;",
            ),
            (
                r#"<a href="https://h/x"><span class="invisible">https://</span><span class="ellipsis">h/</span><span class="invisible">x</span></a>"#,
                "https://h/x",
            ),
            (r#"<a href="/tags/er" class="mention hashtag">#<span>er</span></a>"#, "#er"),
            (r#"<p class="quote-inline">RE: <a href="https://q/">q</a></p><p>mine</p>"#, "mine"),
            ("<ul><li>a</li><li>b</li></ul>c", "a\nb\n\nc"),
            ("x <!-- <p>no</p> --> y", "x  y"),
            ("<style>p{}</style>a<SCRIPT>b</script>c", "ac"),
            ("2 < 3 <3 <", "2 < 3 <3 <"),
            ("<p title='a > b'>c", "c"),
            (":toot:", ":toot:"),
        ] {
            assert_eq!(text(html), expected, "{html}");
        }
    }

    #[test]
    fn links_lead_elsewhere_than_to_people_and_hashtags() {
        let html = r#"<a class="u-url mention" href="https://h/@ann">@ann</a> <a href="https://h/tags/er" class="hashtag">#er</a>
            <a rel=nofollow href='https://a.example/?x=1&amp;y=2'>a</a> <a href="javascript:alert(1)">b</a> <a>c</a>
            <a href="https://a.example/?x=1&amp;y=2">again</a>"#;
        assert_eq!(text_and_links(html).1, ["https://a.example/?x=1&y=2"]);
    }

    #[test]
    fn endless_markup_ends_and_costs_no_stack() {
        for html in ["<p>".repeat(200_000), "<".repeat(1_000_000), "<a href=\"".repeat(100_000), "&".repeat(500_000)] {
            assert!(text(&html).len() <= MOST_BYTES);
        }
    }
}
