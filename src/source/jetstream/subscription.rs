//! The address of a subscription: what the user wrote, what is wanted, and from where.

use std::num::NonZeroU32;

use url::Url;

use super::resume::Start;
use crate::config::model::JetstreamConfig;
use crate::domain::event::Cursor;
use crate::net::ws::peer;

/// What is asked for on the v2 wire. `sync` tells of no post.
const KINDS: [&str; 3] = ["commit", "identity", "account"];

/// A wire, told by the path of the address: the newer servers speak both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `/subscribe`: resumes by time, on any host.
    V1,
    /// `/xrpc/network.bsky.jetstream.subscribeEvents`: resumes by the sequence numbers of one host, or by time.
    V2,
}

impl Form {
    /// That of an address.
    pub(super) fn of(url: &Url) -> Self {
        if JetstreamConfig::is_second_wire(url) { Self::V2 } else { Self::V1 }
    }

    /// The word in a bookmark.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

/// Where a connection stands to. A sequence number means something only there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) form: Form,
}

impl Place {
    pub(super) fn of(base: &Url) -> Self {
        Self { host: peer(base).unwrap_or_default(), form: Form::of(base) }
    }
}

/// The address to connect to. `packed`: the frames shall come packed with that dictionary.
pub(super) fn subscription(
    base: &Url,
    wanted_collections: &[String],
    from: Option<Start>,
    packed: Option<NonZeroU32>,
) -> Url {
    let form = Form::of(base);
    let chosen = |name: &str| base.query_pairs().any(|(key, _)| key == name);
    let mut url = base.clone();
    {
        let mut query = url.query_pairs_mut();
        let collections = match form {
            Form::V1 => "wantedCollections",
            Form::V2 => "collections",
        };
        for collection in wanted_collections {
            query.append_pair(collections, collection);
        }
        if form == Form::V2 && !chosen("kinds") {
            query.extend_pairs(KINDS.map(|kind| ("kinds", kind)));
        }
        match from {
            Some(Start::Sequence(seq)) => drop(query.append_pair("cursor", &seq.to_string())),
            Some(Start::Time { ask: Cursor(micros), .. }) => drop(query.append_pair("cursor", &micros.to_string())),
            None => {}
        }
        match (form, packed) {
            (Form::V1, Some(_)) => drop(query.append_pair("compress", "true")),
            (Form::V2, Some(id)) => drop(query.append_pair("zstdDictionary", &id.to_string())),
            (_, None) => {}
        }
    }
    if url.query() == Some("") {
        url.set_query(None);
    }
    url
}

/// Where the dictionary of the v2 wire's frames is.
pub(super) fn dictionary(base: &Url) -> Url {
    let mut url = base.clone();
    let front = base.path().strip_suffix(JetstreamConfig::SECOND_WIRE).unwrap_or_default();
    url.set_path(&format!("{front}/xrpc/network.bsky.jetstream.getZstdDictionary"));
    url.set_query(None);
    // Both pairs are of the same class of schemes, between which the library lets one change.
    let changed = url.set_scheme(if base.scheme() == "ws" { "http" } else { "https" });
    debug_assert!(changed.is_ok());
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    const V2: &str = "wss://h/xrpc/network.bsky.jetstream.subscribeEvents";

    fn asked(base: &str, wanted: &[&str], from: Option<Start>, packed: Option<u32>) -> String {
        let wanted: Vec<_> = wanted.iter().map(|&name| name.to_owned()).collect();
        subscription(&base.parse().unwrap(), &wanted, from, packed.and_then(NonZeroU32::new)).to_string()
    }

    #[test]
    fn a_subscription_keeps_what_the_user_wrote() {
        let at = Cursor(1_795_361_895_314_207);
        let time = Some(Start::Time { ask: at, known: at });
        for (base, wanted, from, packed, expected) in [
            ("ws://h/subscribe", &[][..], None, None, "ws://h/subscribe"),
            (
                "ws://h/subscribe?wantedDids=did:plc:a&compress=false",
                &["app.bsky.feed.post", "app.bsky.feed.like"],
                time,
                None,
                "ws://h/subscribe?wantedDids=did:plc:a&compress=false&wantedCollections=app.bsky.feed.post&wantedCollections=app.bsky.feed.like&cursor=1795361895314207",
            ),
            ("ws://h/subscribe", &[], None, Some(7), "ws://h/subscribe?compress=true"),
        ] {
            assert_eq!(asked(base, wanted, from, packed), expected);
        }
    }

    #[test]
    fn the_second_wire_has_parameters_of_its_own() {
        let seq = Some(Start::Sequence(812_345));
        assert_eq!(
            asked(V2, &["app.bsky.feed.post"], seq, Some(20_260_811)),
            format!(
                "{V2}?collections=app.bsky.feed.post&kinds=commit&kinds=identity&kinds=account&cursor=812345&zstdDictionary=20260811"
            )
        );
        let chosen = format!("{V2}?kinds=commit");
        assert_eq!(asked(&chosen, &[], None, None), chosen);
    }

    #[test]
    fn the_dictionary_is_fetched_from_the_same_server() {
        for (base, expected) in [
            (V2.to_owned(), "https://h/xrpc/network.bsky.jetstream.getZstdDictionary"),
            (
                "ws://h:6008/front/xrpc/network.bsky.jetstream.subscribeEvents?kinds=commit".to_owned(),
                "http://h:6008/front/xrpc/network.bsky.jetstream.getZstdDictionary",
            ),
        ] {
            assert_eq!(dictionary(&base.parse().unwrap()).as_str(), expected);
        }
    }
}
