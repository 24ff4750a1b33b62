//! A `mastodon` source.

use std::time::Duration;

use super::frame_bytes;
use crate::config::endpoint::{TRANSPORT_KEYS, address, transport};
use crate::config::model::{Dialect, MastodonConfig, TimelineName};
use crate::config::reference::{Surroundings, secret};
use crate::config::table::{Checked, Table, Value, all, quoted};
use crate::domain::quantity::duration;

const KEYS: [&str; 8] = ["name", "kind", "url", "dialect", "token", "streams", "poll_every", "max_frame_bytes"];
/// Each is asked for on its own after an outage.
const MOST_STREAMS: usize = 50;
/// Instances allow one request a second, and each stream is one.
const FASTEST_POLL: Duration = Duration::from_secs(5);
const FORMS: &str = "write public, public:local, public:remote, hashtag:WORD, list:ID or user";

/// Reads one.
pub(super) fn source(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<MastodonConfig> {
    let known: Vec<&str> = KEYS.iter().chain(&TRANSPORT_KEYS).copied().collect();
    table.allow_only(&known);
    let url = table.require("url", "`url = \"https://instance.example\"`").and_then(|value| {
        let url = address(&value, &["https", "http"])?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            let help = "write the address of the instance alone; where its streams are, it says itself";
            return value.error("SB0406", "`url` has more than host and port", help);
        }
        Ok(url)
    });
    let dialects = [("mastodon", Dialect::Mastodon), ("misskey", Dialect::Misskey)];
    let dialect = table.get("dialect").map_or(Ok(Dialect::Mastodon), |value| value.word(&dialects));
    let token = table.get("token").map(|value| secret(&value, around)).transpose();
    let streams = table.get("streams").map_or_else(|| Ok(vec![TimelineName::Public]), |value| streams(&value));
    let poll_every = table.get("poll_every").map_or(Ok(MastodonConfig::DEFAULT_POLL_EVERY), |value| {
        let every = value.parsed(duration)?;
        if every < FASTEST_POLL {
            return value.error("SB0005", "`poll_every` is too short", "write 5s or longer: instances limit requests");
        }
        Ok(every)
    });
    let max_frame_bytes = frame_bytes(table, MastodonConfig::DEFAULT_MAX_FRAME_BYTES);
    let transport = transport(table, around);
    let (dialect, streams) = (dialect?, streams?);
    if let (Dialect::Misskey, true, Some(value)) =
        (dialect, streams.contains(&TimelineName::Remote), table.get("streams"))
    {
        let help = "write public: Misskey has no stream of other instances alone";
        return value.error("SB0005", "`public:remote` does not exist on Misskey", help);
    }
    Ok(MastodonConfig {
        url: url?,
        dialect,
        token: token?,
        streams,
        poll_every: poll_every?,
        max_frame_bytes: max_frame_bytes?,
        transport: transport?,
    })
}

fn streams(value: &Value<'_>) -> Checked<Vec<TimelineName>> {
    let items = value.one_or_more()?;
    if items.is_empty() || items.len() > MOST_STREAMS {
        return value.error("SB0005", format!("`streams` has {} entries", items.len()), "name 1 to 50 streams");
    }
    all(items.iter().map(|(item, text)| {
        let is_word =
            |word: &str| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '·'));
        Ok(match (*text, text.split_once(':')) {
            ("public", _) => TimelineName::Public,
            ("public:local", _) => TimelineName::Local,
            ("public:remote", _) => TimelineName::Remote,
            ("user", _) => TimelineName::Home,
            (_, Some(("hashtag", word))) if is_word(word.trim_start_matches('#')) => {
                TimelineName::Hashtag(word.trim_start_matches('#').to_lowercase())
            }
            (_, Some(("list", id))) if is_word(id) => TimelineName::List(id.to_owned()),
            _ => return item.error("SB0005", format!("{} is not a stream", quoted(text)), FORMS),
        })
    }))
}
