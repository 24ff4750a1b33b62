//! `[[source]]`.

use std::time::Duration;

use super::endpoint::{TRANSPORT_KEYS, address, transport};
use super::model::{JetstreamConfig, SourceConfig, SourceKind};
use super::naming::kind;
use super::quantity::{duration, size};
use super::reference::Surroundings;
use super::table::{Table, Value, quoted};
use crate::domain::id::SourceName;

/// Kinds that are known and not built yet.
const LATER: [&str; 10] =
    ["atproto", "mastodon", "nostr", "websocket", "x", "eventstreams", "feed", "webhook", "discord", "twitch"];

/// What `max_frame_bytes` may be: a post of Bluesky is a few KiB, and a frame is held in memory whole.
const FRAME_BYTES: std::ops::RangeInclusive<u64> = 1 << 10..=64 << 20;

/// Jetstream takes no more collections.
const MOST_COLLECTIONS: usize = 100;

#[derive(Clone, Copy)]
enum Kind {
    Jetstream,
}

/// Reads one; `None` when it cannot be used. `name` was checked by the caller.
pub(super) fn source(table: &Table<'_>, name: Option<&str>, around: &Surroundings<'_>) -> Option<SourceConfig> {
    let kind = match kind(table, &[("jetstream", Kind::Jetstream)], &LATER)? {
        Kind::Jetstream => SourceKind::Jetstream(jetstream(table, around)?),
    };
    Some(SourceConfig { name: SourceName::from(name?), kind })
}

fn jetstream(table: &Table<'_>, around: &Surroundings<'_>) -> Option<JetstreamConfig> {
    let [proxy, proxy_user, proxy_password, ca_file] = TRANSPORT_KEYS;
    table.allow_only(&[
        "name",
        "kind",
        "url",
        "wanted_collections",
        "max_frame_bytes",
        "expect_frame_within",
        proxy,
        proxy_user,
        proxy_password,
        ca_file,
    ]);
    let urls = urls(table);
    let wanted_collections = table.get("wanted_collections").map_or_else(
        || Some(JetstreamConfig::DEFAULT_COLLECTIONS.map(str::to_owned).to_vec()),
        |value| collections(&value),
    );
    let max_frame_bytes = table
        .get("max_frame_bytes")
        .map_or(Some(JetstreamConfig::DEFAULT_MAX_FRAME_BYTES), |value| frame_bytes(&value));
    let expect_frame_within = table.get("expect_frame_within").map(|value| value.parsed(duration));
    let transport = transport(table, around);
    Some(JetstreamConfig {
        urls: urls?,
        wanted_collections: wanted_collections?,
        max_frame_bytes: max_frame_bytes?,
        expect_frame_within: optional(expect_frame_within)?,
        transport: transport?,
    })
}

fn optional(value: Option<Option<Duration>>) -> Option<Option<Duration>> {
    value.map_or(Some(None), |value| value.map(Some))
}

fn urls(table: &Table<'_>) -> Option<Vec<url::Url>> {
    let value = table.require("url", "`url = \"wss://host/subscribe\"`")?;
    let items = value.one_or_more()?;
    if items.is_empty() {
        value.error("SB0005", "`url` names no address", "write one address, or several to fail over to");
    }
    let given = items.len();
    let urls: Vec<_> = items.iter().filter_map(|(value, _)| address(value, &["wss", "ws"])).collect();
    (given > 0 && urls.len() == given).then_some(urls)
}

fn frame_bytes(value: &Value<'_>) -> Option<usize> {
    let bytes = if value.is_integer() { value.count(0)? } else { value.parsed(size)? };
    if !FRAME_BYTES.contains(&bytes) {
        value.error("SB0005", "`max_frame_bytes` is out of range", "write a size from 1KiB to 64MiB");
        return None;
    }
    usize::try_from(bytes).ok()
}

fn collections(value: &Value<'_>) -> Option<Vec<String>> {
    let items = value.strings()?;
    if items.is_empty() || items.len() > MOST_COLLECTIONS {
        let message = format!("`wanted_collections` has {} entries", items.len());
        value.error("SB0005", message, "name 1 to 100 collections, or remove the key to get posts");
        return None;
    }
    for (item, text) in &items {
        if !is_collection(text) {
            let help = "write a collection such as \"app.bsky.feed.post\", or a group such as \"app.bsky.graph.*\"";
            item.error("SB0005", format!("{} is not a collection", quoted(text)), help);
        }
    }
    items.iter().all(|(_, text)| is_collection(text)).then(|| items.iter().map(|(_, text)| (*text).to_owned()).collect())
}

/// A namespaced identifier (<https://atproto.com/specs/nsid>), or the front of one and `.*`.
fn is_collection(text: &str) -> bool {
    let (name, least) = text.strip_suffix(".*").map_or((text, 3), |front| (front, 2));
    let segment = |part: &str| {
        (1..=63).contains(&part.len())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    let front_is_letter = name.starts_with(|c: char| c.is_ascii_alphabetic());
    name.len() <= 317 && front_is_letter && name.split('.').count() >= least && name.split('.').all(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collections_are_names_of_three_parts_or_groups_of_two() {
        for text in ["app.bsky.feed.post", "app.bsky.graph.*", "app.bsky.*", "com.example.fooBar"] {
            assert!(is_collection(text), "{text}");
        }
        for text in ["", "*", "app.*", "app.bsky", "app..post.x", "app.bsky.feed.*post", "app.bsky.fe ed", "-a.b.c"] {
            assert!(!is_collection(text), "{text}");
        }
    }
}
