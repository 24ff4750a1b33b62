//! A `websocket` source: the conversation, `[source.messages]` and `[source.fields]`.

use std::sync::Arc;
use std::time::Duration;

use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};

use super::{frame_bytes, urls};
use crate::config::endpoint::{TRANSPORT_KEYS, transport};
use crate::config::model::{Fields, Mapping, Resume, Token, TokenPlace, WebsocketConfig};
use crate::config::reference::{Surroundings, secret};
use crate::config::table::{Checked, Noted, Table, Value, all};
use crate::domain::quantity::duration;
use crate::wire::pointer::{Condition, Pointer};

const KEYS: [&str; 19] = [
    "name",
    "kind",
    "url",
    "token",
    "token_header",
    "token_parameter",
    "headers",
    "subscribe",
    "ping",
    "ping_every",
    "pong",
    "resume",
    "items",
    "messages",
    "fields",
    "id_prefix",
    "max_frame_bytes",
    "expect_frame_within",
    "heartbeat_answer",
];
const MESSAGES: [&str; 5] = ["post", "delete", "heartbeat", "accepted", "refused"];
const FIELDS: [&str; 17] = [
    "id",
    "text",
    "author",
    "handle",
    "name",
    "followers",
    "created_at",
    "event_time",
    "url",
    "lang",
    "tags",
    "links",
    "media_text",
    "reply_to",
    "quote_of",
    "repost_of",
    "version",
];
/// Headers that are secrets, or that the handshake itself sets.
const NOT_OURS: [&str; 5] = ["authorization", "cookie", "connection", "upgrade", "host"];
/// What is said to a server all day is not said more often.
const FASTEST_PING: Duration = Duration::from_secs(5);

/// Reads one.
pub(super) fn source(table: &Table<'_>, name: &str, around: &Surroundings<'_>) -> Checked<WebsocketConfig> {
    let known: Vec<&str> = KEYS.iter().chain(&TRANSPORT_KEYS).copied().collect();
    table.allow_only(&known);
    let urls = urls(table, "`url = \"wss://host/path\"`", |_, url| Ok(url));
    let subscribe = strings(table, "subscribe");
    let resume = resume(table);
    let token = token(table, around, subscribe.as_deref().unwrap_or_default());
    let headers = table.get("headers").map_or(Ok(Vec::new()), |value| headers(&value));
    let text = |key: &'static str| table.get(key).map(|value| value.filled().map(str::to_owned)).transpose();
    let (ping, answer_to_it, answer) = (text("ping"), text("pong"), text("heartbeat_answer"));
    let ping_every = table.get("ping_every").map_or(Ok(WebsocketConfig::DEFAULT_PING_EVERY), |value| every(&value));
    let items = table.get("items").map(|value| single(&value)).transpose();
    let messages = messages(table, &MESSAGES);
    let posts = posts(table, name);
    let max_frame_bytes = frame_bytes(table, WebsocketConfig::DEFAULT_MAX_FRAME_BYTES);
    let expect_frame_within = table.get("expect_frame_within").map(|value| value.parsed(duration)).transpose();
    let transport = transport(table, around);
    let messages = messages?;
    let heartbeat_answer = answer?;
    if heartbeat_answer.is_some() && messages.heartbeat.is_none() {
        return needs(table, "heartbeat_answer", "say in [source.messages] which messages are the `heartbeat`");
    }
    let (ping, answer_to_it) = (ping?, answer_to_it?);
    if answer_to_it.is_some() && ping.is_none() {
        return needs(table, "pong", "say with `ping` what it is the answer to, or remove the key");
    }
    Ok(WebsocketConfig {
        urls: urls?,
        token: token?,
        headers: headers?,
        subscribe: subscribe?,
        ping,
        ping_every: ping_every?,
        pong: answer_to_it,
        resume: resume?,
        items: items?,
        accepted: messages.accepted,
        refused: messages.refused,
        heartbeat: messages.heartbeat,
        heartbeat_answer,
        mapping: Arc::new(Mapping { post: messages.post, delete: messages.delete, ..posts? }),
        max_frame_bytes: max_frame_bytes?,
        expect_frame_within: expect_frame_within?,
        transport: transport?,
    })
}

/// Where in a message a post is, of sources that tell no more kinds of message apart than `kinds`.
pub(super) fn mapping(table: &Table<'_>, name: &str, kinds: &[&str]) -> Checked<Mapping> {
    let (messages, posts) = (messages(table, kinds), posts(table, name));
    let messages = messages?;
    Ok(Mapping { post: messages.post, delete: messages.delete, ..posts? })
}

fn messages(table: &Table<'_>, kinds: &[&str]) -> Checked<Messages> {
    match table.get("messages") {
        Some(value) => Messages::read(&value.table("[source.messages]")?, kinds),
        None => Ok(Messages::default()),
    }
}

/// The fields of posts; which messages are posts is not said with it.
fn posts(table: &Table<'_>, name: &str) -> Checked<Mapping> {
    let prefix = table.get("id_prefix").map_or(Ok(format!("{name}:")), |value| value.string().map(str::to_owned));
    let fields = table.require("fields", "a table `[source.fields]` with `id`, `author` and `text`");
    let fields = fields.and_then(|value| self::fields(&value.table("[source.fields]")?));
    Ok(Mapping { prefix: prefix?, post: None, delete: None, fields: fields? })
}

fn needs<T>(table: &Table<'_>, key: &'static str, help: &str) -> Checked<T> {
    match table.get(key) {
        Some(value) => value.absent("SB0003", format!("`{key}` has nothing to go with"), help),
        None => Err(Noted),
    }
}

fn strings(table: &Table<'_>, key: &'static str) -> Checked<Vec<String>> {
    let items = table.get(key).map_or(Ok(Vec::new()), |value| value.one_or_more());
    Ok(items?.into_iter().map(|(_, text)| text.to_owned()).collect())
}

fn every(value: &Value<'_>) -> Checked<Duration> {
    let every = value.parsed(duration)?;
    if every < FASTEST_PING {
        return value.error("SB0005", "`ping_every` is too short", "write 5s or longer");
    }
    Ok(every)
}

fn token(table: &Table<'_>, around: &Surroundings<'_>, subscribe: &[String]) -> Checked<Option<Token>> {
    let header = table.get("token_header").map(|value| header_name(&value)).transpose();
    let parameter = table.get("token_parameter").map(|value| value.filled().map(str::to_owned)).transpose();
    let secret = table.get("token").map(|value| secret(&value, around)).transpose();
    let (header, parameter, secret) = (header?, parameter?, secret?);
    let in_message = subscribe.iter().any(|message| message.contains("{token}"));
    let Some(secret) = secret else {
        for key in ["token_header", "token_parameter"] {
            if table.get(key).is_some() {
                return needs(table, key, "add `token = { credential = \"name\" }`");
            }
        }
        if in_message {
            return needs(
                table,
                "subscribe",
                "`{token}` stands for the secret: add `token = { credential = \"name\" }`",
            );
        }
        return Ok(None);
    };
    let place = match (header, parameter) {
        (Some(_), Some(_)) => {
            let help = "keep either `token_header` or `token_parameter`";
            return table
                .get("token_parameter")
                .map_or(Err(Noted), |value| value.error("SB0005", "the token has two places", help));
        }
        (Some(name), None) => TokenPlace::Header(name),
        (None, Some(name)) => TokenPlace::Parameter(name),
        (None, None) if in_message => TokenPlace::Message,
        (None, None) => TokenPlace::Header("authorization".to_owned()),
    };
    Ok(Some(Token { secret, place }))
}

pub(super) fn header_name(value: &Value<'_>) -> Checked<String> {
    let text = value.filled()?;
    match HeaderName::try_from(text) {
        Ok(name) => Ok(name.as_str().to_owned()),
        Err(_) => value.error(
            "SB0005",
            format!("`{}` is not the name of a header", value.key()),
            "write one such as \"x-api-key\"",
        ),
    }
}

fn headers(value: &Value<'_>) -> Checked<Vec<(String, String)>> {
    let table = value.table("`headers`")?;
    all(table.in_order().into_iter().map(|(key, span, value)| {
        let refuse = |message: &str, help: &str| table.refuse("SB0005", message.to_owned(), span.clone(), help);
        let Ok(name) = HeaderName::try_from(key) else {
            return refuse("this is not the name of a header", "write one such as \"origin\"");
        };
        if NOT_OURS.contains(&name.as_str()) || name.as_str().starts_with("sec-websocket") {
            value.hide();
            return refuse(
                "this header is not for this table",
                "a secret goes into `token`, with `token_header` when it needs one of its own",
            );
        }
        let text = value.filled()?;
        if HeaderValue::try_from(text).is_err() {
            return value.error("SB0005", "this cannot stand in a header", "write visible letters in one line");
        }
        Ok((name.as_str().to_owned(), text.to_owned()))
    }))
}

fn resume(table: &Table<'_>) -> Checked<Option<Resume>> {
    let Some(value) = table.get("resume") else { return Ok(None) };
    let table = value.table("`resume`")?;
    table.allow_only(&["token", "parameter", "subscribe"]);
    let token = table.require("token", "`token = \"/cursor\"`: where a message has its place in the stream");
    let token = token.and_then(|value| single(&value));
    let parameter = table.get("parameter").map(|value| value.filled().map(str::to_owned)).transpose();
    let subscribe = strings(&table, "subscribe");
    let (token, parameter, subscribe) = (token?, parameter?, subscribe?);
    if parameter.is_none() && !subscribe.iter().any(|message| message.contains("{resume}")) {
        let help = "add `parameter = \"cursor\"`, or `subscribe` with `{resume}` in it";
        return value.absent("SB0003", "`resume` does not say how the server is told", help);
    }
    Ok(Some(Resume { token, parameter, subscribe }))
}

fn pointer(value: &Value<'_>) -> Checked<Pointer> {
    value.parsed(Pointer::parse)
}

/// A pointer to one place.
pub(super) fn single(value: &Value<'_>) -> Checked<Pointer> {
    let pointer = pointer(value)?;
    if pointer.is_several() {
        return value.error("SB0005", format!("`{}` stands for one place", value.key()), "write a pointer without `*`");
    }
    Ok(pointer)
}

#[derive(Default)]
struct Messages {
    post: Option<Condition>,
    delete: Option<Condition>,
    heartbeat: Option<Condition>,
    accepted: Option<Condition>,
    refused: Option<Condition>,
}

impl Messages {
    fn read(table: &Table<'_>, kinds: &[&str]) -> Checked<Self> {
        table.allow_only(kinds);
        let read = |key: &'static str| table.get(key).map(|value| condition(&value)).transpose();
        let (post, delete, heartbeat) = (read("post"), read("delete"), read("heartbeat"));
        let (accepted, refused) = (read("accepted"), read("refused"));
        Ok(Self { post: post?, delete: delete?, heartbeat: heartbeat?, accepted: accepted?, refused: refused? })
    }
}

fn condition(value: &Value<'_>) -> Checked<Condition> {
    let table = value.table(format!("`{}`", value.key()))?;
    let entries = table.in_order();
    if entries.is_empty() {
        let help = "write { \"/type\" = \"post\" }, or { \"/text\" = \"*\" } for anything that is there";
        return value.error("SB0005", format!("`{}` names no place", value.key()), help);
    }
    let parts = entries.into_iter().map(|(key, span, words)| {
        let place =
            Pointer::parse(key).or_else(|why| table.refuse("SB0005", why, span, "write a place such as \"/type\""));
        let words = words.one_or_more().map(|words| words.into_iter().map(|(_, word)| word.to_owned()).collect());
        Ok((place?, words?))
    });
    all(parts).map(Condition)
}

fn fields(table: &Table<'_>) -> Checked<Fields> {
    table.allow_only(&FIELDS);
    let read = |key: &'static str| {
        let items = table.get(key).map_or(Ok(Vec::new()), |value| value.one_or_more())?;
        all(items.into_iter().map(|(item, _)| pointer(&item)))
    };
    let needed = |key: &'static str, example: &str| {
        table.require(key, example)?;
        read(key)
    };
    let (id, author) = (needed("id", "`id = \"/id\"`"), needed("author", "`author = \"/user/id\"`"));
    let text = needed("text", "`text = \"/text\"`");
    let (handle, name, followers) = (read("handle"), read("name"), read("followers"));
    let (created_at, event_time, url, lang) = (read("created_at"), read("event_time"), read("url"), read("lang"));
    let (tags, links, media_text) = (read("tags"), read("links"), read("media_text"));
    let (reply_to, quote_of, repost_of, version) =
        (read("reply_to"), read("quote_of"), read("repost_of"), read("version"));
    Ok(Fields {
        id: id?,
        text: text?,
        author: author?,
        handle: handle?,
        name: name?,
        followers: followers?,
        created_at: created_at?,
        event_time: event_time?,
        url: url?,
        lang: lang?,
        tags: tags?,
        links: links?,
        media_text: media_text?,
        reply_to: reply_to?,
        quote_of: quote_of?,
        repost_of: repost_of?,
        version: version?,
    })
}
