//! `[[source]]`.

mod atproto;
mod chats;
mod documents;
mod forum;
mod mastodon;
mod nostr;
mod webhook;
mod websocket;
mod x;
mod youtube;

use std::fs::File;
use std::io::Read as _;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use url::Url;

use super::endpoint::{TRANSPORT_KEYS, address, transport};
use super::model::{Compression, JetstreamConfig, SourceConfig, SourceKind};
use super::naming::kind;
use super::reference::Surroundings;
use super::table::{Checked, Table, Value, all, quoted};
use crate::domain::id::SourceName;
use crate::domain::quantity::{duration, size};

/// What `max_frame_bytes` may be: a post of Bluesky is a few KiB, and a frame is held in memory whole.
const FRAME_BYTES: RangeInclusive<u64> = 1 << 10..=64 << 20;

/// The key that every kind has, and what it may be.
const RATE: &str = "max_frames_per_second";
const RATES: RangeInclusive<u32> = 10..=1_000_000;

/// How a zstd dictionary begins (RFC 8878 §5).
const DICTIONARY_MAGIC: [u8; 4] = 0xEC30_A437_u32.to_le_bytes();

/// Jetstream takes no more collections.
const MOST_COLLECTIONS: usize = 100;

#[derive(Clone, Copy)]
enum Kind {
    Atproto,
    Discord,
    Eventstreams,
    Feed,
    Forum,
    Irc,
    Jetstream,
    Mastodon,
    Matrix,
    Nostr,
    Slack,
    Twitch,
    Webhook,
    Websocket,
    X,
    Youtube,
}

/// The kinds that this version has.
const KINDS: [(&str, Kind); 16] = [
    ("atproto", Kind::Atproto),
    ("discord", Kind::Discord),
    ("eventstreams", Kind::Eventstreams),
    ("feed", Kind::Feed),
    ("forum", Kind::Forum),
    ("irc", Kind::Irc),
    ("jetstream", Kind::Jetstream),
    ("mastodon", Kind::Mastodon),
    ("matrix", Kind::Matrix),
    ("nostr", Kind::Nostr),
    ("slack", Kind::Slack),
    ("twitch", Kind::Twitch),
    ("webhook", Kind::Webhook),
    ("websocket", Kind::Websocket),
    ("x", Kind::X),
    ("youtube", Kind::Youtube),
];

/// The words for them.
pub(super) const KIND_NAMES: [&str; KINDS.len()] = {
    let mut names = [""; KINDS.len()];
    let mut place = 0;
    while place < KINDS.len() {
        #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            names[place] = KINDS[place].0;
        }
        place += 1;
    }
    names
};

/// Reads one, whose name is `name`.
pub(super) fn source(table: &Table<'_>, name: Checked<&str>, around: &Surroundings<'_>) -> Checked<SourceConfig> {
    let kind = kind(table, &KINDS)?;
    let table = &table.also_with(&[RATE]);
    let named = name.unwrap_or("unnamed");
    let max_frames_per_second = table.get(RATE).map(|value| rate(&value)).transpose();
    let kind = match kind {
        Kind::Eventstreams => SourceKind::Eventstreams(documents::eventstreams(table, named, around)?),
        Kind::Feed => SourceKind::Feed(documents::feed(table, around)?),
        Kind::Forum => SourceKind::Forum(Box::new(forum::source(table, around)?)),
        Kind::Discord => SourceKind::Discord(chats::discord(table, around)?),
        Kind::Irc => SourceKind::Irc(chats::irc(table, around)?),
        Kind::Atproto => SourceKind::Atproto(atproto::atproto(table, around)?),
        Kind::Jetstream => SourceKind::Jetstream(jetstream(table, around)?),
        Kind::Matrix => SourceKind::Matrix(chats::matrix(table, around)?),
        Kind::Slack => SourceKind::Slack(chats::slack(table, around)?),
        Kind::Twitch => chats::twitch(table, around)?,
        Kind::Mastodon => SourceKind::Mastodon(mastodon::source(table, around)?),
        Kind::Nostr => SourceKind::Nostr(nostr::source(table, around)?),
        Kind::Webhook => SourceKind::Webhook(Box::new(webhook::source(table, named, around)?)),
        Kind::Websocket => SourceKind::Websocket(Box::new(websocket::source(table, named, around)?)),
        Kind::X => SourceKind::X(x::source(table, around)?),
        Kind::Youtube => SourceKind::Youtube(Box::new(youtube::source(table, around)?)),
    };
    Ok(SourceConfig { name: SourceName::from(name?), kind, max_frames_per_second: max_frames_per_second? })
}

fn jetstream(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<JetstreamConfig> {
    let [proxy, proxy_user, proxy_password, ca_file] = TRANSPORT_KEYS;
    table.allow_only(&[
        "name",
        "kind",
        "url",
        "wanted_collections",
        "max_frame_bytes",
        "expect_frame_within",
        "profiles",
        "compress",
        "dictionary",
        proxy,
        proxy_user,
        proxy_password,
        ca_file,
    ]);
    let urls = urls(table, "`url = \"wss://host/subscribe\"`", |value, url| {
        if JetstreamConfig::is_second_wire(&url) { of_second_wire(value, url) } else { Ok(url) }
    });
    let wanted_collections = table.get("wanted_collections").map_or_else(
        || Ok(JetstreamConfig::DEFAULT_COLLECTIONS.map(str::to_owned).to_vec()),
        |value| collections(&value),
    );
    let max_frame_bytes = frame_bytes(table, JetstreamConfig::DEFAULT_MAX_FRAME_BYTES);
    let expect_frame_within = table.get("expect_frame_within").map(|value| value.parsed(duration)).transpose();
    let profiles = table.get("profiles").map(|value| address(&value, &["https", "http"])).transpose();
    let transport = transport(table, around);
    let urls = urls?;
    let compression = compression(table, &urls, around);
    Ok(JetstreamConfig {
        urls,
        wanted_collections: wanted_collections?,
        max_frame_bytes: max_frame_bytes?,
        expect_frame_within: expect_frame_within?,
        profiles: profiles?,
        compression: compression?,
        transport: transport?,
    })
}

/// The addresses of a WebSocket, each of which `fits`.
fn urls(table: &Table<'_>, example: &str, fits: impl Fn(&Value<'_>, Url) -> Checked<Url>) -> Checked<Vec<Url>> {
    let value = table.require("url", example)?;
    let items = value.one_or_more()?;
    if items.is_empty() {
        return value.error("SB0005", "`url` names no address", "write one address, or several to fail over to");
    }
    all(items.iter().map(|(value, _)| fits(value, address(value, &["wss", "ws"])?)))
}

/// An address of the v2 wire, whose servers refuse the parameters of the other.
fn of_second_wire(value: &Value<'_>, url: Url) -> Checked<Url> {
    let instead = [
        ("wantedCollections", "use the key `wanted_collections`"),
        ("wantedDids", "its servers take `dids`"),
        ("compress", "use the key `compress`"),
    ];
    let Some((name, help)) = instead.into_iter().find(|(name, _)| url.query_pairs().any(|(key, _)| key == *name))
    else {
        return Ok(url);
    };
    value.error("SB0406", format!("`{name}` is a parameter of the other wire, `/subscribe`"), help)
}

fn compression(table: &Table<'_>, urls: &[Url], around: &Surroundings<'_>) -> Checked<Option<Compression>> {
    let wanted = table.get("compress").map_or(Ok(false), |value| value.boolean());
    let dictionary = table.get("dictionary");
    let path = dictionary.as_ref().map(|value| dictionary_file(value, around)).transpose();
    let (wanted, path) = (wanted?, path?);
    match (table.get("compress"), dictionary) {
        (_, Some(value)) if !wanted => {
            value.absent("SB0003", "`dictionary` without `compress`", "add `compress = true`, or remove the dictionary")
        }
        (Some(value), None) if wanted && !urls.iter().all(JetstreamConfig::is_second_wire) => {
            let help =
                "add `dictionary = \"path\"`, Jetstream's zstd dictionary; only servers of the v2 wire hand theirs out";
            value.absent("SB0003", "`compress` without the dictionary of the `/subscribe` wire", help)
        }
        _ => Ok(wanted.then_some(Compression { dictionary: path })),
    }
}

fn dictionary_file(value: &Value<'_>, around: &Surroundings<'_>) -> Checked<PathBuf> {
    let path = around.folder.join(value.filled()?);
    let mut magic = [0; 4];
    let problem = match File::open(&path).and_then(|mut file| file.read_exact(&mut magic)) {
        Ok(()) if magic == DICTIONARY_MAGIC => return Ok(path),
        Ok(()) => format!("{} is no zstd dictionary", path.display()),
        Err(error) => format!("{} cannot be read: {error}", path.display()),
    };
    value.note(around.secrets.level(), "SB0412", problem, "name the file with Jetstream's zstd dictionary");
    Ok(path)
}

/// The longest frame that is read.
fn frame_bytes(table: &Table<'_>, usual: usize) -> Checked<usize> {
    let Some(value) = table.get("max_frame_bytes") else { return Ok(usual) };
    let bytes = if value.is_integer() { value.count(0)? } else { value.parsed(size)? };
    match usize::try_from(bytes) {
        Ok(size) if FRAME_BYTES.contains(&bytes) => Ok(size),
        _ => value.error("SB0005", "`max_frame_bytes` is out of range", "write a size from 1KiB to 64MiB"),
    }
}

/// How many frames are read in a second at most. Frames are handed on by the hundred, so that fewer would be pauses of minutes.
fn rate(value: &Value<'_>) -> Checked<NonZeroU32> {
    let rate = u32::try_from(value.count(0)?).ok().and_then(NonZeroU32::new);
    rate.filter(|rate| RATES.contains(&rate.get())).map_or_else(
        || {
            let help = "write a number from 10 to 1000000; without the key there is no limit";
            value.error("SB0005", "`max_frames_per_second` is out of range", help)
        },
        Ok,
    )
}

fn collections(value: &Value<'_>) -> Checked<Vec<String>> {
    let items = value.strings()?;
    if items.is_empty() || items.len() > MOST_COLLECTIONS {
        let message = format!("`wanted_collections` has {} entries", items.len());
        return value.error("SB0005", message, "name 1 to 100 collections, or remove the key to get posts");
    }
    all(items.iter().map(|(item, text)| {
        if is_collection(text) {
            return Ok((*text).to_owned());
        }
        let help = "write a collection such as \"app.bsky.feed.post\", or a group such as \"app.bsky.graph.*\"";
        item.error("SB0005", format!("{} is not a collection", quoted(text)), help)
    }))
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
