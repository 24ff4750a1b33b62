//! Posts that a bridge carried here from another network: which one each is a copy of.
//!
//! Anybody can write that a post is a copy. So there are two words for it. A copy on the fediverse is named by the bridge's
//! own host, and its author is there, too: servers of the fediverse take a post only from the host that it is named by,
//! so nobody but the bridge made it, and whose it is stands in the names ([`carried`]). What stands in a record or an event
//! is only what its author wrote ([`claimed`]); that a bridge holds the account is nowhere on those wires.
//!
//! Known are Bridgy Fed (<https://fed.brid.gy/docs>), which carries Bluesky's posts as
//! `https://bsky.brid.gy/convert/ap/at://DID/app.bsky.feed.post/KEY`, and Mostr (<https://mostr.pub>), which carries Nostr's as
//! `https://mostr.pub/objects/EVENT` by `https://mostr.pub/users/KEY`.

use super::sanity::MAX_LINK_BYTES;
use crate::domain::id::hex;
use crate::domain::post::{Author, Original};
use crate::wire::bech32;

const BLUESKY: &str = "bsky.brid.gy";
const NOSTR: &str = "mostr.pub";

/// What a post of the fediverse is a copy of, by the word of the bridge that made it.
pub(super) fn carried(id: &str, author: &Author) -> Option<Original> {
    let (host, path) = id.strip_prefix("https://")?.split_once('/')?;
    let is_there = |handle: &str| handle.rsplit_once('@').is_some_and(|(_, home)| home.eq_ignore_ascii_case(host));
    if !author.handle.as_deref().is_some_and(is_there) {
        return None;
    }
    match host {
        BLUESKY => {
            let post = path.strip_prefix("convert/ap/")?;
            let mut parts = post.strip_prefix("at://")?.split('/');
            let (did, collection, key) = (parts.next()?, parts.next()?, parts.next()?);
            let is_post = did.starts_with("did:") && collection == super::jetstream::POSTS && !key.is_empty();
            (is_post && parts.next().is_none()).then(|| Original { post: post.into(), author: Some(did.into()) })
        }
        NOSTR => {
            let event = path.strip_prefix("objects/").filter(|event| is_key(event))?;
            let key = key_of(author)?;
            Some(Original { post: format!("nostr:{key}:{event}").into(), author: Some(key.into()) })
        }
        _ => None,
    }
}

/// What a post is a copy of by nothing but its own word.
pub(super) fn claimed(original: &str) -> Option<Original> {
    let is_one = ["https://", "http://", "at://"].iter().any(|scheme| original.starts_with(scheme));
    (is_one && original.len() <= MAX_LINK_BYTES).then(|| Original { post: original.into(), author: None })
}

/// The public key of an author whom Mostr carried: it stands in their id, or as people write it in their handle.
fn key_of(author: &Author) -> Option<String> {
    let id = author.id.as_str().rsplit('/').next().filter(|key| is_key(key));
    id.map(ToOwned::to_owned).or_else(|| {
        let name = author.handle.as_deref()?.split('@').next()?;
        let bytes = bech32::parse("npub", name).filter(|bytes| bytes.len() == 32)?;
        Some(hex(&bytes, 32))
    })
}

fn is_key(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const COPY: &str = "https://bsky.brid.gy/convert/ap/at://did:plc:nurse/app.bsky.feed.post/3key";

    fn author(id: &str, handle: &str) -> Author {
        Author { id: id.into(), handle: Some(handle.to_owned()), name: None, followers: None }
    }

    fn original(id: &str, who: &str, handle: &str) -> Option<(String, String)> {
        let original = carried(id, &author(who, handle))?;
        Some((original.post.to_string(), original.author?.to_string()))
    }

    #[test]
    fn a_bridges_own_names_say_what_its_posts_are_copies_of() {
        let nurse = "https://bsky.brid.gy/ap/did:plc:nurse";
        let at = ("at://did:plc:nurse/app.bsky.feed.post/3key".to_owned(), "did:plc:nurse".to_owned());
        assert_eq!(original(COPY, nurse, "nurse.example@bsky.brid.gy"), Some(at));
        let (key, event) = ("ab".repeat(32), "0f".repeat(32));
        let (post, nostr) =
            (format!("https://mostr.pub/objects/{event}"), Some((format!("nostr:{key}:{event}"), key.clone())));
        assert_eq!(original(&post, &format!("https://mostr.pub/users/{key}"), "ann@mostr.pub"), nostr);
        let npub = bech32::write("npub", &[0xab; 32]);
        assert_eq!(original(&post, "https://misskey.example/users/9x", &format!("{npub}@mostr.pub")), nostr);
    }

    #[test]
    fn nobody_else_speaks_for_a_bridge() {
        let nurse = "https://bsky.brid.gy/ap/did:plc:nurse";
        for (id, handle) in [
            (COPY, "nurse@evil.example"),
            (COPY, "bsky.brid.gy"),
            ("https://evil.example/convert/ap/at://did:plc:nurse/app.bsky.feed.post/3key", "nurse@bsky.brid.gy"),
            (
                "https://bsky.brid.gy.evil.example/convert/ap/at://did:plc:nurse/app.bsky.feed.post/3key",
                "n@bsky.brid.gy",
            ),
            (
                "https://evil.example/?https://bsky.brid.gy/convert/ap/at://did:plc:nurse/app.bsky.feed.post/3",
                "n@bsky.brid.gy",
            ),
            ("https://bsky.brid.gy/convert/ap/at://did:plc:nurse/app.bsky.feed.like/3key", "n@bsky.brid.gy"),
            ("https://bsky.brid.gy/convert/ap/at://did:plc:nurse/app.bsky.feed.post/3key/more", "n@bsky.brid.gy"),
            ("https://bsky.brid.gy/convert/ap/at://did:plc:nurse/app.bsky.feed.post/", "n@bsky.brid.gy"),
            ("https://bsky.brid.gy/convert/ap/https://social.example/1", "n@bsky.brid.gy"),
            ("https://mostr.pub/objects/1", "n@mostr.pub"),
            ("https://social.example/users/n/statuses/1", "n@social.example"),
        ] {
            assert_eq!(original(id, nurse, handle), None, "{id} {handle}");
        }
    }

    #[test]
    fn a_claim_is_an_address_and_names_no_author() {
        for (text, is_one) in [
            ("https://social.example/@ann/1", true),
            ("at://did:plc:a/app.bsky.feed.post/1", true),
            ("ann", false),
            ("", false),
        ] {
            assert_eq!(claimed(text).map(|original| original.author), is_one.then_some(None), "{text}");
        }
        assert_eq!(claimed(&format!("https://{}", "a".repeat(MAX_LINK_BYTES))), None);
    }
}
