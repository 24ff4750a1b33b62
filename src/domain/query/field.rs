//! Fields: what a post says about itself beside its words.

use crate::domain::post::{Excerpt, PostKind};

/// What a field asks for; of several values one is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// `from:` the author's key or handle, in lower case, without `@`.
    From(Vec<String>),
    /// `lang:` a declared language; `en` is also `en-US`.
    Lang(Vec<String>),
    /// `source:` the configured source.
    Source(Vec<String>),
    /// `link:` a domain or one below it, in lower case.
    Link(Vec<String>),
    /// `kind:` how the post relates to others.
    Kind(Vec<PostKind>),
    /// `has:` what hangs on it.
    Has(Vec<Has>),
    /// `min_followers:` of its author; unknown is too few.
    MinFollowers(u64),
}

/// What can hang on a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Has {
    /// An address.
    Link,
    /// A picture, video or sound.
    Media,
    /// A description of one.
    Alt,
}

impl Has {
    /// All, with their words in queries.
    pub const ALL: [(&'static str, Self); 3] = [("link", Self::Link), ("media", Self::Media), ("alt", Self::Alt)];
}

/// The fields that a query can name.
pub const NAMES: [&str; 9] = ["from", "lang", "source", "link", "kind", "has", "min_followers", "tag", "in"];

impl Field {
    /// Whether a post has it.
    pub fn holds(&self, post: &Excerpt) -> bool {
        match self {
            Self::From(accounts) => accounts.iter().any(|account| {
                let account = account.as_str();
                [&post.author, &post.handle].iter().any(|name| name.eq_ignore_ascii_case(account))
            }),
            Self::Lang(wanted) => post.lang.iter().any(|lang| wanted.iter().any(|wanted| speaks(lang, wanted))),
            Self::Source(sources) => sources.contains(&post.source),
            Self::Link(domains) => hosts(post).any(|host| domains.iter().any(|domain| is_below(host, domain))),
            Self::Kind(kinds) => kinds.contains(&post.kind),
            Self::Has(wanted) => wanted.iter().any(|wanted| match wanted {
                Has::Link => hosts(post).next().is_some(),
                Has::Media => post.has_media,
                Has::Alt => post.has_media && post.texts.iter().skip(1).any(|text| !text.is_empty()),
            }),
            Self::MinFollowers(least) => post.followers.is_some_and(|followers| followers >= *least),
        }
    }

    /// Whether few posts have it, so that it may stand alone in a query.
    pub const fn is_selective(&self) -> bool {
        matches!(self, Self::From(_) | Self::Link(_))
    }
}

/// The hosts a post links to: of its links and of the addresses in its text.
pub fn hosts(post: &Excerpt) -> impl Iterator<Item = &str> {
    links(post).filter_map(host)
}

/// The addresses a post links to: its links, then what begins like one in its text and goes on to the text's end.
pub fn links(post: &Excerpt) -> impl Iterator<Item = &str> {
    post.links.iter().chain(addresses(post.texts.get(0).unwrap_or_default()))
}

/// Where `http(s)://` addresses begin in a text.
fn addresses(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("://").filter_map(|(at, _)| {
        let before = text.get(..at)?;
        let scheme = ["https", "http"].iter().find(|scheme| {
            before
                .len()
                .checked_sub(scheme.len())
                .and_then(|start| before.get(start..))
                .is_some_and(|s| s.eq_ignore_ascii_case(scheme))
        })?;
        text.get(at - scheme.len()..)
    })
}

/// The host of an address. In a text, quotes, brackets and more may follow it.
pub fn host(address: &str) -> Option<&str> {
    let after = address.split_once("://").map_or(address, |(_, after)| after);
    let named = |c: char| c.is_alphanumeric() || ".-_".contains(c);
    let authority = after.split(|c| !named(c) && !"~%+:@".contains(c)).next()?;
    let host = authority.rsplit('@').next()?.split(|c| !named(c)).next()?.trim_end_matches(['.', '-']);
    (!host.is_empty()).then_some(host)
}

fn is_below(host: &str, domain: &str) -> bool {
    let Some(start) = host.len().checked_sub(domain.len()) else { return false };
    let ends = host.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(domain));
    ends && (start == 0 || host.as_bytes().get(start - 1) == Some(&b'.'))
}

/// RFC 4647, basic filtering: `en` takes `en` and `en-US`.
fn speaks(lang: &str, wanted: &str) -> bool {
    let head = lang.get(..wanted.len()).is_some_and(|head| head.eq_ignore_ascii_case(wanted));
    head && matches!(lang.as_bytes().get(wanted.len()), None | Some(b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_found_in_links_and_in_the_text() {
        let mut post = Excerpt::default();
        post.texts
            .push("see HTTPS://News.Example/a, (http://b.example:80/x) and ftp://c.example x://y “https://f.example.” http://g.example)@ann");
        post.links.push("https://ann@shop.d.example./?q=1");
        post.links.push("e.example/path");
        assert_eq!(
            hosts(&post).collect::<Vec<_>>(),
            ["shop.d.example", "e.example", "News.Example", "b.example", "f.example", "g.example"]
        );
        for (domain, below) in [("d.example", true), ("example", true), ("hop.d.example", false), ("c.example", false)]
        {
            assert_eq!(Field::Link(vec![domain.to_owned()]).holds(&post), below, "{domain}");
        }
    }

    #[test]
    fn languages_include_their_regions() {
        for (lang, wanted, speaks) in [
            ("en", "en", true),
            ("en-US", "en", true),
            ("EN_us", "en", true),
            ("eng", "en", false),
            ("en", "en-us", false),
        ] {
            let mut post = Excerpt::default();
            post.lang.push(lang);
            assert_eq!(Field::Lang(vec![wanted.to_owned()]).holds(&post), speaks, "{lang} {wanted}");
        }
    }
}
