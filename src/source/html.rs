//! Strangers' HTML as the plain text that rules match: tags out, entities decoded, blocks on lines of their own.
//!
//! It is no parser of documents: one pass, no recursion, each byte looked at a bounded number of times, whatever the
//! text. What is not markup after all (`5 < 6`, a tag that never ends) stays text, because losing words is worse than
//! showing a stray bracket.

use quick_xml::escape::resolve_html5_entity;
use url::Url;

use super::sanity::{MAX_LINK_BYTES, MAX_TEXT_BYTES, keep};

/// Longer HTML is cut before it is read, in bytes: tags take room that text does not.
const MAX_HTML_BYTES: usize = 4 * MAX_TEXT_BYTES;
/// No entity has a longer name.
const MAX_ENTITY: usize = 32;
/// Elements that stand on lines of their own.
const BLOCKS: [&str; 26] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "br",
    "dd",
    "div",
    "dl",
    "dt",
    "figcaption",
    "figure",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "ol",
    "p",
    "pre",
    "tr",
    "ul",
];
/// Elements whose content nobody is shown.
const UNSEEN: [&str; 4] = ["script", "style", "template", "noscript"];
/// Elements that show or play something.
const MEDIA: [&str; 5] = ["audio", "embed", "iframe", "img", "video"];

/// What HTML says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plain {
    /// The text; lines are trimmed, and none is empty.
    pub(super) text: String,
    /// Where its links lead; none but `http` and `https`.
    pub(super) links: Vec<String>,
    /// Descriptions of its pictures.
    pub(super) alts: Vec<String>,
    /// Whether there are pictures, sound or video in it.
    pub(super) has_media: bool,
}

/// Reads HTML, or text with entities. Links are relative to `base`. What was escaped twice, as many programs do by
/// mistake, is read twice.
pub(super) fn plain(html: &str, base: Option<&Url>) -> Plain {
    let once = read(html, base);
    if !is_escaped(&once.text) {
        return once;
    }
    let mut twice = read(&once.text, base);
    twice.links.splice(0..0, once.links);
    twice.alts.splice(0..0, once.alts);
    twice.has_media |= once.has_media;
    twice
}

/// Whether a text that was read still has marks of HTML that nobody writes for others to see.
fn is_escaped(text: &str) -> bool {
    ["&amp;", "&lt;", "&gt;", "&quot;", "&nbsp;", "&#", "</p>", "<br", "</a>", "</div>"]
        .iter()
        .any(|mark| text.contains(mark))
}

fn read(html: &str, base: Option<&Url>) -> Plain {
    let html = html.get(..html.floor_char_boundary(MAX_HTML_BYTES)).unwrap_or(html);
    let mut reader = Reader {
        out: Plain::default(),
        base,
        gap: Gap::None,
        after_tags: html.rfind('>').map_or(html.len(), |last| html.len() - last - 1),
        after_comments: html.rfind("-->").map_or(html.len(), |last| html.len() - last),
        unclosed: Vec::new(),
    };
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        let (before, markup) = rest.split_at(at);
        reader.words(before);
        rest = if markup.starts_with('&') { reader.entity(markup) } else { reader.markup(markup) };
    }
    reader.words(rest);
    reader.out
}

/// What has to come between the last word and the next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Space,
    Line,
}

struct Reader<'a> {
    out: Plain,
    base: Option<&'a Url>,
    gap: Gap,
    /// So many bytes at the end hold no end of a tag: what is never found is not looked for again and again.
    after_tags: usize,
    /// The same for the end of a comment.
    after_comments: usize,
    /// Elements that are not shown and do not end.
    unclosed: Vec<&'static str>,
}

impl Reader<'_> {
    fn words(&mut self, text: &str) {
        text.chars().for_each(|c| self.letter(c));
    }

    fn letter(&mut self, c: char) {
        if c.is_whitespace() {
            self.gap = self.gap.max(Gap::Space);
            return;
        }
        match std::mem::replace(&mut self.gap, Gap::None) {
            _ if self.out.text.is_empty() => {}
            Gap::None => {}
            Gap::Space => self.out.text.push(' '),
            Gap::Line => self.out.text.push('\n'),
        }
        self.out.text.push(c);
    }

    /// Reads what begins with `&`; returns what follows.
    fn entity<'t>(&mut self, text: &'t str) -> &'t str {
        let end = text.bytes().take(MAX_ENTITY).position(|byte| byte == b';');
        let named = end.and_then(|end| Some((decoded(text.get(1..end)?)?, text.get(end + 1..)?)));
        if let Some((decoded, rest)) = named {
            self.words(&decoded);
            return rest;
        }
        self.letter('&');
        text.get(1..).unwrap_or_default()
    }

    /// Reads what begins with `<`; returns what follows.
    fn markup<'t>(&mut self, text: &'t str) -> &'t str {
        let after = text.get(1..).unwrap_or_default();
        if let Some(comment) = after.strip_prefix("!--") {
            let is_closed = comment.len() >= self.after_comments;
            return if is_closed { comment.split_once("-->").map_or(comment, |(_, rest)| rest) } else { comment };
        }
        let is_tag = after.len() > self.after_tags
            && after.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
        let Some((tag, rest)) = is_tag.then(|| tag(after)).flatten() else {
            self.letter('<');
            return after;
        };
        let (closes, tag) = tag.strip_prefix('/').map_or((false, tag), |tag| (true, tag));
        let end = tag.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(tag.len());
        let (name, attributes) = tag.split_at(end);
        let name = name.to_ascii_lowercase();
        let name = name.rsplit(':').next().unwrap_or_default();
        if BLOCKS.contains(&name) {
            self.gap = Gap::Line;
        } else if matches!(name, "td" | "th") {
            self.gap = self.gap.max(Gap::Space);
        }
        if closes {
            return rest;
        }
        self.shows(name, attributes);
        let unseen = UNSEEN.into_iter().find(|unseen| *unseen == name && !attributes.ends_with('/'));
        unseen.map_or(rest, |name| self.after_unseen(name, rest))
    }

    /// What follows the end of an element that is not shown. One that never ends is no reason to lose the rest.
    fn after_unseen<'t>(&mut self, name: &'static str, text: &'t str) -> &'t str {
        if self.unclosed.contains(&name) {
            return text;
        }
        let close = text.match_indices("</").find(|(at, _)| {
            let word = text.get(at + 2..at + 2 + name.len());
            word.is_some_and(|word| word.eq_ignore_ascii_case(name))
        });
        if close.is_none() {
            self.unclosed.push(name);
        }
        close.map_or(text, |(at, _)| text.get(at..).unwrap_or_default())
    }

    fn shows(&mut self, name: &str, attributes: &str) {
        self.out.has_media |= MEDIA.contains(&name);
        if name == "a"
            && let Some(link) = attribute(attributes, "href").and_then(|href| absolute(&href, self.base))
        {
            keep(&mut self.out.links, &link, MAX_LINK_BYTES);
        }
        if name == "img"
            && let Some(alt) = attribute(attributes, "alt")
        {
            keep(&mut self.out.alts, alt.trim(), MAX_TEXT_BYTES);
        }
    }
}

/// The inside of a tag and what follows it. An attribute in quotes may hold a `>`; quotes that never end are none.
fn tag(text: &str) -> Option<(&str, &str)> {
    let mut at = 0;
    loop {
        let rest = text.get(at..)?;
        let stop = rest.find(['>', '"', '\''])?;
        let mark = rest.as_bytes().get(stop)?;
        if *mark == b'>' {
            return Some((text.get(..at + stop)?, text.get(at + stop + 1..)?));
        }
        let quoted = rest.as_bytes().get(stop + 1..)?;
        let Some(length) = quoted.iter().take(MAX_LINK_BYTES).position(|byte| byte == mark) else {
            let end = at + stop + rest.get(stop..)?.find('>')?;
            return Some((text.get(..end)?, text.get(end + 1..)?));
        };
        at += stop + length + 2;
    }
}

/// The value of an attribute, decoded.
fn attribute(attributes: &str, name: &str) -> Option<String> {
    let mut rest = attributes;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        let end = rest.find(|c: char| c.is_whitespace() || c == '=')?;
        let (key, after) = rest.split_at(end);
        let Some(value) = after.trim_start().strip_prefix('=') else {
            rest = after;
            continue;
        };
        let value = value.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, after) = match quote {
            Some(quote) => value.get(1..)?.split_once(quote)?,
            None => value.split_at(value.find(char::is_whitespace).unwrap_or(value.len())),
        };
        if key.eq_ignore_ascii_case(name) {
            return Some(unescaped(value));
        }
        rest = after;
    }
}

/// A text with its entities decoded, and nothing else done to it.
pub(super) fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, entity)) = rest.split_once('&') {
        out.push_str(before);
        let end = entity.bytes().take(MAX_ENTITY).position(|byte| byte == b';');
        let named = end.and_then(|end| Some((decoded(entity.get(..end)?)?, entity.get(end + 1..)?)));
        rest = if let Some((decoded, rest)) = named {
            out.push_str(&decoded);
            rest
        } else {
            out.push('&');
            entity
        };
    }
    out + rest
}

/// What an entity stands for: a name of HTML or a number.
pub(super) fn decoded(entity: &str) -> Option<String> {
    let Some(number) = entity.strip_prefix('#') else { return resolve_html5_entity(entity).map(str::to_owned) };
    let hex = number.strip_prefix(['x', 'X']);
    let number = hex.map_or_else(|| number.parse(), |hex| u32::from_str_radix(hex, 16)).ok()?;
    char::from_u32(number).filter(|&c| c != '\0').map(String::from)
}

/// The address a link leads to, if one can go there with a browser.
pub(super) fn absolute(link: &str, base: Option<&Url>) -> Option<String> {
    let link = link.trim();
    let url = base.map_or_else(|| Url::parse(link), |base| base.join(link)).ok()?;
    let fits = matches!(url.scheme(), "http" | "https") && url.has_host() && url.as_str().len() <= MAX_LINK_BYTES;
    fits.then(|| url.into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(html: &str) -> String {
        plain(html, None).text
    }

    #[test]
    fn html_becomes_what_people_read() {
        for (html, expected) in [
            ("<p>Six hours in the <b>ER</b></p>\n<p>still waiting</p>", "Six hours in the ER\nstill waiting"),
            ("a<br>b<br/>c <BR />d", "a\nb\nc\nd"),
            ("one<td>two</td><td>three", "one two three"),
            ("St.&nbsp;Brigid&rsquo;s &amp; co &#x2014; &#8212; &bogus; & &", "St. Brigid’s & co — — &bogus; & &"),
            ("5 < 6 and 7 > 3 <3", "5 < 6 and 7 > 3 <3"),
            ("<script>alert('<p>')</script>after<style>p{}</style>!", "after!"),
            ("a<!-- <p>hidden</p> -->b", "ab"),
            ("<img alt=\"a > b\">shown", "shown"),
            ("<a href=\"never closed>text</a> goes on", "text goes on"),
            ("unfinished <a href=", "unfinished <a href="),
            ("<script>never closed, perhaps a crisis", "never closed, perhaps a crisis"),
            ("<![CDATA[kept?]]>", ""),
            ("", ""),
        ] {
            assert_eq!(text(html), expected, "{html}");
        }
    }

    #[test]
    fn what_was_escaped_twice_is_read_twice() {
        assert_eq!(text("&lt;p&gt;Gunman at St. Brigid&amp;#8217;s&lt;/p&gt;"), "Gunman at St. Brigid’s");
        assert_eq!(text("Q&amp;amp;A"), "Q&A");
        assert_eq!(text("x &lt; y"), "x < y");
    }

    #[test]
    fn links_and_descriptions_of_pictures_are_kept() {
        let base = Url::parse("https://blog.example/posts/1").unwrap();
        let html = "<a class=x href='/er?a=1&amp;b=2'>er</a><a href=\"javascript:alert(1)\">no</a>\
                    <a href=https://other.example>o</a><img src=x alt='Crowded &amp; loud'><video></video>";
        let plain = plain(html, Some(&base));
        assert_eq!(plain.links, ["https://blog.example/er?a=1&b=2", "https://other.example/"]);
        assert_eq!(plain.alts, ["Crowded & loud"]);
        assert!(plain.has_media);
    }

    #[test]
    fn no_text_takes_long() {
        for piece in ["<a ", "<a \"", "<a '\"", "&", "<!--", "<script>", "<", "&#", "</"] {
            drop(plain(&piece.repeat(MAX_HTML_BYTES), None));
        }
    }

    proptest! {
        #[test]
        fn nothing_stops_it(html in "(<|>|&|;|\"|'|=|/|!|-|a|p|script|é| |\n|&lt;|#x41){0,80}") {
            let text = text(&html);
            prop_assert_eq!(text.trim(), text.as_str());
        }
    }
}
