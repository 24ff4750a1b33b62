//! Sources that are asked again and again.

use std::time::Duration;

use crate::config::endpoint::{TRANSPORT_KEYS, address, transport};
use crate::config::model::FeedConfig;
use crate::config::reference::Surroundings;
use crate::config::table::{Checked, Table};
use crate::domain::quantity::duration;

/// `kind = "feed"`.
pub(super) fn feed(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<FeedConfig> {
    let [proxy, proxy_user, proxy_password, ca_file] = TRANSPORT_KEYS;
    table.allow_only(&["name", "kind", "url", "poll_every", "transcripts", proxy, proxy_user, proxy_password, ca_file]);
    let url =
        table.require("url", "`url = \"https://host/feed.xml\"`").and_then(|url| address(&url, &["https", "http"]));
    let poll_every = poll_every(table);
    let transcripts = table.get("transcripts").map(|value| value.boolean()).transpose();
    let transport = transport(table, around);
    Ok(FeedConfig {
        url: url?,
        poll_every: poll_every?,
        transcripts: transcripts?.unwrap_or_default(),
        transport: transport?,
    })
}

fn poll_every(table: &Table<'_>) -> Checked<Option<Duration>> {
    let Some(value) = table.get("poll_every") else { return Ok(None) };
    let every = value.parsed(duration)?;
    if every < FeedConfig::LEAST {
        return value.error(
            "SB0005",
            "`poll_every` is too short",
            "write 1m or more: servers shut out whoever asks too often",
        );
    }
    Ok(Some(every))
}
