//! Sources that are asked again and again, or answer for ever.

use std::time::Duration;

use crate::config::endpoint::{TRANSPORT_KEYS, address, transport};
use crate::config::model::{EventForm, EventstreamsConfig, FeedConfig};
use crate::config::reference::Surroundings;
use crate::config::table::{Checked, Table, all};
use crate::domain::quantity::duration;

/// `kind = "feed"`.
pub(super) fn feed(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<FeedConfig> {
    let [proxy, proxy_user, proxy_password, ca_file] = TRANSPORT_KEYS;
    table.allow_only(&[
        "name",
        "kind",
        "url",
        "poll_every",
        "push",
        "transcripts",
        proxy,
        proxy_user,
        proxy_password,
        ca_file,
    ]);
    let url =
        table.require("url", "`url = \"https://host/feed.xml\"`").and_then(|url| address(&url, &["https", "http"]));
    let poll_every = poll_every(table);
    let push = table.get("push").map(|value| value.boolean()).transpose();
    let transcripts = table.get("transcripts").map(|value| value.boolean()).transpose();
    let transport = transport(table, around);
    Ok(FeedConfig {
        url: url?,
        poll_every: poll_every?,
        push: push?.unwrap_or_default(),
        transcripts: transcripts?.unwrap_or_default(),
        transport: transport?,
    })
}

pub(super) fn poll_every(table: &Table<'_>) -> Checked<Option<Duration>> {
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

/// `kind = "eventstreams"`.
pub(super) fn eventstreams(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<EventstreamsConfig> {
    let [proxy, proxy_user, proxy_password, ca_file] = TRANSPORT_KEYS;
    table.allow_only(&["name", "kind", "url", "events", "contact", proxy, proxy_user, proxy_password, ca_file]);
    let urls =
        table.require("url", "`url = \"https://stream.wikimedia.org/v2/stream/recentchange\"`").and_then(|value| {
            let items = value.one_or_more()?;
            if items.is_empty() {
                return value.error(
                    "SB0005",
                    "`url` names no address",
                    "write one address, or several to fail over to",
                );
            }
            all(items.iter().map(|(value, _)| address(value, &["https", "http"])))
        });
    let forms = [("recentchange", EventForm::Recentchange), ("posts", EventForm::Posts)];
    let events = table.get("events").map(|value| value.word(&forms)).transpose();
    let contact = contact(table);
    let transport = transport(table, around);
    Ok(EventstreamsConfig {
        urls: urls?,
        events: events?.unwrap_or(EventForm::Recentchange),
        contact: contact?,
        transport: transport?,
    })
}

/// Some servers shut out whoever does not say how to be reached.
pub(super) fn contact(table: &Table<'_>) -> Checked<String> {
    let value =
        table.require("contact", "`contact = \"you@hospital.example\"`: servers want to know whom to write to")?;
    let contact = value.filled()?;
    let fits = contact.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'(' | b')'));
    if !fits || !contact.contains(['@', '/']) || contact.len() > 200 {
        return value.error("SB0005", "`contact` is no address", "write an e-mail address, or that of a page");
    }
    Ok(contact.to_owned())
}
