//! A `nostr` source.

use super::{frame_bytes, urls};
use crate::config::endpoint::{TRANSPORT_KEYS, transport};
use crate::config::model::NostrConfig;
use crate::config::reference::{Surroundings, secret};
use crate::config::table::{Checked, Table, all, quoted};
use crate::wire::bech32;

const KEYS: [&str; 6] = ["name", "kind", "url", "hashtags", "secret_key", "max_frame_bytes"];
/// Each is a connection of its own.
const MOST_RELAYS: usize = 32;
/// Relays take no longer filters.
const MOST_HASHTAGS: usize = 100;

/// Reads one.
pub(super) fn source(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<NostrConfig> {
    let known: Vec<&str> = KEYS.iter().chain(&TRANSPORT_KEYS).copied().collect();
    table.allow_only(&known);
    let relays = relays(table);
    let hashtags = hashtags(table);
    let secret_key = table.get("secret_key").map(|value| {
        let key = secret(&value, around)?;
        let text = key.expose();
        // Empty where `check` runs without the secret.
        let is_hex = || text.len() == 64 && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
        if text.is_empty() || is_hex() || bech32::parse("nsec", text).is_some_and(|key| key.len() == 32) {
            return Ok(key);
        }
        let help = "put 64 hexadecimal digits in lower case there, or `nsec1…`, of a key made for this purpose alone";
        value.error("SB0005", "`secret_key` names a secret that is no key", help)
    });
    let max_frame_bytes = frame_bytes(table, NostrConfig::DEFAULT_MAX_FRAME_BYTES);
    let transport = transport(table, around);
    Ok(NostrConfig {
        relays: relays?,
        hashtags: hashtags?,
        secret_key: secret_key.transpose()?,
        max_frame_bytes: max_frame_bytes?,
        transport: transport?,
    })
}

fn relays(table: &Table<'_>) -> Checked<Vec<url::Url>> {
    let relays = urls(table, "`url = \"wss://relay\"`", |_, url| Ok(url))?;
    let Some(value) = table.get("url") else { return Ok(relays) };
    if relays.len() > MOST_RELAYS {
        return value.error("SB0005", format!("`url` names {} relays", relays.len()), "name at most 32");
    }
    let twice =
        relays.iter().enumerate().find(|(place, relay)| relays.iter().take(*place).any(|other| other == *relay));
    match twice {
        Some((_, relay)) => value.error("SB0005", format!("`url` names {relay} twice"), "name each relay once"),
        None => Ok(relays),
    }
}

fn hashtags(table: &Table<'_>) -> Checked<Vec<String>> {
    let Some(value) = table.get("hashtags") else { return Ok(Vec::new()) };
    let items = value.strings()?;
    if items.is_empty() || items.len() > MOST_HASHTAGS {
        let message = format!("`hashtags` has {} entries", items.len());
        return value.error("SB0005", message, "name 1 to 100 hashtags, or remove the key to get all posts");
    }
    all(items.into_iter().map(|(item, text)| {
        let tag = text.trim_start_matches('#');
        if tag.is_empty() || tag.contains(char::is_whitespace) {
            return item.error(
                "SB0005",
                format!("{} is not a hashtag", quoted(text)),
                "write one word, such as \"northgate\"",
            );
        }
        Ok(tag.to_lowercase())
    }))
}
