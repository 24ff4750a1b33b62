//! Sources that are asked again and again, or answer for ever.

use std::sync::Arc;
use std::time::Duration;

use super::websocket::{mapping, single};
use crate::config::endpoint::{TRANSPORT_KEYS, address, transport};
use crate::config::model::{EventForm, EventstreamsConfig, FeedConfig, Login};
use crate::config::reference::{Surroundings, secret};
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
        "user",
        "password",
        "token",
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
    let login = login(table, around);
    let transport = transport(table, around);
    Ok(FeedConfig {
        url: url?,
        poll_every: poll_every?,
        push: push?.unwrap_or_default(),
        login: login?,
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

/// `user` and `password`, or `token`.
fn login(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<Option<Login>> {
    let (user, password, token) = (table.get("user"), table.get("password"), table.get("token"));
    let name = user.as_ref().map(|value| {
        let name = value.filled()?;
        if name.contains(':') || name.chars().any(char::is_control) {
            return value.error("SB0005", "`user` has a sign that no name may have", "write it without a colon");
        }
        Ok(name.to_owned())
    });
    let (word, bearer) =
        (password.as_ref().map(|value| secret(value, around)), token.as_ref().map(|value| secret(value, around)));
    match (user, password, token) {
        (Some(value), _, Some(_)) | (None, Some(value), Some(_)) => {
            value.error("SB0005", "two logins for one server", "keep `token`, or `user` and `password`")
        }
        (Some(user), None, None) => {
            let help = "add `password = { credential = \"name\" }`";
            user.absent("SB0003", "`user` without `password`", help)
        }
        (None, Some(password), None) => password.absent("SB0003", "`password` without `user`", "add `user = \"…\"`"),
        (None, None, None) => Ok(None),
        (None, None, Some(_)) => Ok(bearer.transpose()?.map(Login::Bearer)),
        (Some(_), Some(_), None) => {
            let login = name.transpose()?.zip(word.transpose()?);
            Ok(login.map(|(user, password)| Login::Basic { user, password }))
        }
    }
}

const KEYS: [&str; 8] = ["name", "kind", "url", "events", "contact", "user", "password", "token"];
const OF_JSON: [&str; 4] = ["items", "id_prefix", "messages", "fields"];

#[derive(Clone, Copy)]
enum Events {
    Recentchange,
    Posts,
    Json,
}

fn json(table: &Table<'_>, name: &str) -> Checked<EventForm> {
    let items = table.get("items").map(|value| single(&value)).transpose();
    let mapping = mapping(table, name, &["post", "delete"]);
    Ok(EventForm::Json { items: items?, mapping: Arc::new(mapping?) })
}

/// `kind = "eventstreams"`.
pub(super) fn eventstreams(table: &Table<'_>, name: &str, around: &Surroundings<'_>) -> Checked<EventstreamsConfig> {
    let forms = [("recentchange", Events::Recentchange), ("posts", Events::Posts), ("json", Events::Json)];
    let events = table.get("events").map_or(Ok(Events::Recentchange), |value| value.word(&forms));
    // Without the form nobody knows which keys are wrong.
    let own: &[&str] = if matches!(events, Ok(Events::Recentchange | Events::Posts)) { &[] } else { &OF_JSON };
    let known: Vec<&str> = KEYS.iter().chain(&TRANSPORT_KEYS).chain(own).copied().collect();
    table.allow_only(&known);
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
    let events = events.and_then(|events| match events {
        Events::Recentchange => Ok(EventForm::Recentchange),
        Events::Posts => Ok(EventForm::Posts),
        Events::Json => json(table, name),
    });
    let (contact, login) = (contact(table), login(table, around));
    let transport = transport(table, around);
    Ok(EventstreamsConfig { urls: urls?, events: events?, login: login?, contact: contact?, transport: transport? })
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
