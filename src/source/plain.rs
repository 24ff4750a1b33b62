//! Text as chats carry it: what in it is a link, with no markup that would say so.

use super::sanity::{MAX_LINK_BYTES, keep};

/// The addresses a text names, without the punctuation that people and markup put around them.
pub(super) fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    // Words end where white space or something ends that no address has in it.
    for word in text.split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '|' | '`')) {
        let Some(start) = word.find("https://").or_else(|| word.find("http://")) else { continue };
        let link = word.get(start..).unwrap_or_default();
        let mut link = link.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*', '_', ']', '}']);
        // A bracket that was opened before the address is not part of it.
        while link.ends_with(')') && link.matches(')').count() > link.matches('(').count() {
            link = link.strip_suffix(')').unwrap_or(link).trim_end_matches(['.', ',', '!', '?']);
        }
        if link.split_once("://").is_some_and(|(_, rest)| rest.starts_with(char::is_alphanumeric)) {
            keep(&mut links, link, MAX_LINK_BYTES);
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_amid_what_people_write_around_them() {
        for (text, expected) in [
            ("no link, not even http:// or https://.", &[][..]),
            (
                "see https://a.example/x?y=1#z, and (http://b.example/w_(er)).",
                &["https://a.example/x?y=1#z", "http://b.example/w_(er)"],
            ),
            ("<https://a.example/1|here> [x](https://b.example/2)!", &["https://a.example/1", "https://b.example/2"]),
            ("https://a.example https://a.example", &["https://a.example"]),
            ("(https://a.example)))", &["https://a.example"]),
        ] {
            assert_eq!(links(text), expected, "{text}");
        }
    }
}
