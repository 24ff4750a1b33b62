//! `discord`, `irc`, `matrix`, `slack` and `twitch`.

use url::Url;

use super::super::endpoint::{TRANSPORT_KEYS, address, transport};
use super::super::model::{
    DiscordConfig, EventsubConfig, IrcConfig, IrcDialect, MatrixConfig, SlackConfig, SourceKind,
};
use super::super::reference::{Surroundings, secret};
use super::super::secret::Secret;
use super::super::table::{Checked, Noted, Table, Value, all, quoted};

/// A source that listens to more places is one that nobody overlooks any more.
const MOST_PLACES: usize = 200;
/// Three subscriptions a channel, and Twitch gives 300 to a connection.
const MOST_EVENTSUB: usize = 100;
/// The longest name of a room or channel that any of them allows.
const LONGEST_PLACE: usize = 255;

pub(super) fn discord(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<DiscordConfig> {
    allow(table, &["url", "token", "channels"]);
    let url = address_or(table, DiscordConfig::DEFAULT_URL, &["https", "http"]);
    let token = token(table, "`token = { credential = \"discord\" }`, the bot's", around);
    let is_id = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    let help =
        "write a channel's id, such as \"1034567890123456789\": with Discord's developer mode on, its menu copies it";
    let channels = places(table, "channels", is_id, help);
    let transport = transport(table, around);
    Ok(DiscordConfig { url: url?, token: token?, channels: channels?, transport: transport? })
}

pub(super) fn matrix(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<MatrixConfig> {
    allow(table, &["url", "token", "rooms"]);
    let url = table.require("url", "`url = \"https://matrix.hospital.example\"`, the homeserver");
    let url = url.and_then(|value| address(&value, &["https", "http"]));
    let token = token(table, "`token = { credential = \"matrix\" }`, the account's", around);
    let help = "write the room's id, which begins with !; a client shows it in the room's settings, under Advanced";
    let rooms = places(table, "rooms", |text| text.starts_with('!') && text.len() > 1, help);
    let transport = transport(table, around);
    Ok(MatrixConfig { url: url?, token: token?, rooms: rooms?, transport: transport? })
}

pub(super) fn slack(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<SlackConfig> {
    allow(table, &["url", "token", "channels"]);
    let url = address_or(table, SlackConfig::DEFAULT_URL, &["https", "http"]);
    let token =
        token(table, "`token = { credential = \"slack\" }`, the app-level token that begins with xapp-", around);
    let is_id = |text: &str| text.starts_with(['C', 'D', 'G']) && text.chars().all(|c| c.is_ascii_alphanumeric());
    let help = "write a channel's id, such as \"C024BE91L\": the channel's details show it at their end";
    let channels = places(table, "channels", is_id, help);
    let transport = transport(table, around);
    Ok(SlackConfig { url: url?, token: token?, channels: channels?, transport: transport? })
}

pub(super) fn irc(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<IrcConfig> {
    allow(table, &["url", "nick", "password", "channels"]);
    let url = table.require("url", "`url = \"wss://irc.example/\"`, a server that speaks IRC over WebSocket");
    let url = url.and_then(|value| address(&value, &["wss", "ws"]));
    let nick = nick(table).map(|nick| nick.unwrap_or(IrcConfig::NICK).to_owned());
    let password = table.get("password").map(|value| secret(&value, around)).transpose();
    let channels = channels(table, |text| text.starts_with(['#', '&']));
    let transport = transport(table, around);
    Ok(IrcConfig {
        dialect: IrcDialect::Standard,
        url: url?,
        nick: nick?,
        password: password?,
        channels: channels?,
        transport: transport?,
    })
}

/// Twitch's chat: as events where an app is named, else as everybody reads it.
pub(super) fn twitch(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<SourceKind> {
    match table.get("client_id") {
        Some(client) => eventsub(table, &client, around).map(SourceKind::Eventsub),
        None => twitch_irc(table, around).map(SourceKind::Irc),
    }
}

fn eventsub(table: &Table<'_>, client: &Value<'_>, around: &Surroundings<'_>) -> Checked<EventsubConfig> {
    allow(table, &["url", "api", "client_id", "token", "channels"]);
    let url = address_or(table, EventsubConfig::DEFAULT_URL, &["wss", "ws"]);
    let api = match table.get("api") {
        Some(value) => address(&value, &["https", "http"]),
        None => Url::parse(EventsubConfig::DEFAULT_API).or(Err(Noted)), // cannot fail: it is a constant
    };
    let client_id = client.filled().and_then(|id| {
        let fits = id.len() <= 64 && id.chars().all(|c| c.is_ascii_alphanumeric());
        let help = "copy the Client ID that dev.twitch.tv shows of the app";
        if fits { Ok(id.to_owned()) } else { client.error("SB0005", "`client_id` is none of Twitch's", help) }
    });
    let token = token(table, "`token = { credential = \"twitch\" }`, a user's, with user:read:chat", around);
    let channels = channels(table, is_login);
    let transport = transport(table, around);
    let channels: Vec<String> = channels?.iter().map(|name| name.trim_start_matches('#').to_lowercase()).collect();
    if let Some(value) = table.get("channels").filter(|_| channels.len() > MOST_EVENTSUB) {
        let message = format!("`channels` has {} entries", channels.len());
        return value.error(
            "SB0005",
            message,
            "Twitch tells one connection of 100 channels at most: make another source",
        );
    }
    Ok(EventsubConfig { url: url?, api: api?, client_id: client_id?, token: token?, channels, transport: transport? })
}

/// A name as Twitch allows it.
fn is_login(text: &str) -> bool {
    let name = text.strip_prefix('#').unwrap_or(text);
    (1..=25).contains(&name.len()) && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn twitch_irc(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<IrcConfig> {
    allow(table, &["url", "nick", "token", "channels"]);
    let url = address_or(table, IrcConfig::TWITCH_URL, &["wss", "ws"]);
    let nick = nick(table);
    let token = table.get("token");
    let password = token.as_ref().map(|value| secret(value, around)).transpose();
    let channels = channels(table, is_login);
    let transport = transport(table, around);
    let nick = match (nick?, token) {
        (None, Some(token)) => {
            return token.absent(
                "SB0003",
                "`token` without `nick`",
                "add `nick = \"…\"`, the account the token is for",
            );
        }
        (nick, _) => nick.unwrap_or(IrcConfig::TWITCH_NICK).to_lowercase(),
    };
    // Twitch knows channels by their names in lower case only.
    let channels = channels?.iter().map(|name| format!("#{}", name.trim_start_matches('#').to_lowercase())).collect();
    let (url, password, transport) = (url?, password?, transport?);
    Ok(IrcConfig { dialect: IrcDialect::Twitch, url, nick, password, channels, transport })
}

fn allow(table: &Table<'_>, keys: &[&str]) {
    table.allow_only(&[&["name", "kind"], keys, &TRANSPORT_KEYS].concat());
}

fn address_or(table: &Table<'_>, default: &str, schemes: &[&str]) -> Checked<Url> {
    match table.get("url") {
        Some(value) => address(&value, schemes),
        None => Url::parse(default).or(Err(Noted)), // cannot fail: it is a constant
    }
}

fn token(table: &Table<'_>, example: &str, around: &Surroundings<'_>) -> Checked<Secret> {
    secret(&table.require("token", example)?, around)
}

/// A name as IRC allows it (RFC 2812 §2.3.1, and the longer ones of today).
fn nick<'d>(table: &Table<'d>) -> Checked<Option<&'d str>> {
    let Some(value) = table.get("nick") else { return Ok(None) };
    let text = value.filled()?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_[]\\`^{|}".contains(c);
    if text.len() <= 30 && text.chars().all(fits) && !text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
        return Ok(Some(text));
    }
    value.error("SB0005", format!("`nick` cannot be {}", quoted(text)), "use up to 30 letters, digits, `_` and `-`")
}

fn channels(table: &Table<'_>, is_one: impl Fn(&str) -> bool) -> Checked<Vec<String>> {
    let value = table.require("channels", "`channels = [\"#hospital\"]`")?;
    let named = named(&value, is_one, "write a channel such as \"#hospital\"")?;
    if named.is_empty() {
        return value.error("SB0005", "`channels` names no channel", "name at least one");
    }
    Ok(named)
}

fn places(table: &Table<'_>, key: &'static str, is_one: impl Fn(&str) -> bool, help: &str) -> Checked<Vec<String>> {
    let Some(value) = table.get(key) else { return Ok(Vec::new()) };
    let named = named(&value, is_one, help)?;
    if named.is_empty() {
        return value.error("SB0005", format!("`{key}` is empty"), "name at least one, or remove the key to read all");
    }
    Ok(named)
}

fn named(value: &Value<'_>, is_one: impl Fn(&str) -> bool, help: &str) -> Checked<Vec<String>> {
    let items = value.one_or_more()?;
    let key = value.key();
    if items.len() > MOST_PLACES {
        return value.error("SB0005", format!("`{key}` has {} entries", items.len()), "name at most 200 in one source");
    }
    all(items.iter().map(|(item, text)| {
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == ',';
        if !text.is_empty() && text.len() <= LONGEST_PLACE && !text.contains(odd) && is_one(text) {
            return Ok((*text).to_owned());
        }
        item.error("SB0005", format!("`{key}` cannot be {}", quoted(text)), help)
    }))
}
