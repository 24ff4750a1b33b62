//! `ntfy`, `pushover` and `twilio`: what rings in a pocket.

use super::super::endpoint::transport;
use super::super::model::{Ntfy, NtfyLogin, Pushover, ReceiverKind, Twilio, TwilioWay};
use super::super::reference::{Surroundings, secret};
use super::super::secret::Secret;
use super::super::table::{Checked, Table, Value, all, quoted};
use super::super::template::language;
use super::{address_or, allow, cleared, on_this_machine, required_secret};

pub(super) fn ntfy(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<ReceiverKind> {
    allow(table, &["url", "topic", "token", "user", "password", "cleared", "template"]);
    let url = address_or(table, "https://ntfy.sh/");
    let login = login(table, around);
    let (cleared, transport) = (cleared(table), transport(table, around));
    let (url, login) = (url?, login?);
    let private = login.is_some() || on_this_machine(&url);
    let topic = table.require("topic", "`topic = { credential = \"ntfy-topic\" }`");
    let topic = topic.and_then(|value| topic_of(&value, private, around));
    Ok(ReceiverKind::Ntfy(Ntfy { url, topic: topic?, login, cleared: cleared?, transport: transport? }))
}

/// Without a login, whoever knows a topic can read it: then it is a secret.
fn topic_of(value: &Value<'_>, private: bool, around: &Surroundings<'_>) -> Checked<Secret> {
    let fits = |text: &str| {
        (1..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
    };
    let help = "use up to 64 letters, digits, `-` and `_`";
    if !value.is_table() {
        let text = value.filled()?;
        if !private {
            value.hide();
            let help = "whoever knows the topic can read and write it: write { credential = \"name\" }, or add `token`";
            return value.error("SB0407", "`topic` stands here in the clear, and the server asks for no login", help);
        }
        if !fits(text) {
            return value.error("SB0005", format!("`topic` cannot be {}", quoted(text)), help);
        }
        return Ok(Secret::new(text.to_owned()));
    }
    let topic = secret(value, around)?;
    if topic.expose().is_empty() || fits(topic.expose()) {
        return Ok(topic);
    }
    value.error("SB0005", "`topic`: the secret is no topic", help)
}

fn login(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<Option<NtfyLogin>> {
    let token = table.get("token").map(|value| (secret(&value, around), value));
    let password = table.get("password").map(|value| (secret(&value, around), value));
    match (token, table.get("user"), password) {
        (None, None, None) => Ok(None),
        (Some((token, _)), None, None) => Ok(Some(NtfyLogin::Token(token?))),
        (None, Some(user), Some((password, _))) => Ok(Some(NtfyLogin::User(user.filled()?.to_owned(), password?))),
        (Some((_, token)), ..) => token.error(
            "SB0005",
            "`token` beside `user` or `password`",
            "one way to log in is enough: remove the other",
        ),
        (None, Some(user), None) => {
            user.absent("SB0003", "`user` without `password`", "add `password = { credential = \"name\" }`")
        }
        (None, None, Some((_, password))) => {
            password.absent("SB0003", "`password` without `user`", "add `user = \"…\"`")
        }
    }
}

pub(super) fn pushover(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<ReceiverKind> {
    allow(table, &["url", "token", "user_key", "cleared", "template"]);
    let url = address_or(table, "https://api.pushover.net/1");
    let token = required_secret(table, "token", "`token = { credential = \"pushover-token\" }`", around);
    let user = required_secret(table, "user_key", "`user_key = { credential = \"pushover-user\" }`", around);
    let (cleared, transport) = (cleared(table), transport(table, around));
    let (url, token, user, cleared, transport) = (url?, token?, user?, cleared?, transport?);
    Ok(ReceiverKind::Pushover(Pushover { url, token, user, cleared, transport }))
}

pub(super) fn twilio(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<ReceiverKind> {
    allow(table, &["url", "account", "token", "from", "to", "voice", "replies", "template"]);
    let url = address_or(table, "https://api.twilio.com");
    let account = table.require("account", "`account = \"AC…\"`, the account's SID").and_then(|value| {
        let text = value.filled()?;
        if is_sid(text, "AC") {
            return Ok(text.to_owned());
        }
        value.error(
            "SB0005",
            "`account` is no account SID",
            "it is AC and 32 digits or letters from a to f, on the console's first page",
        )
    });
    let token = required_secret(table, "token", "`token = { credential = \"twilio\" }`", around);
    let from = table.require("from", "`from = \"+15550100000\"`").and_then(|value| {
        let text = value.filled()?;
        if is_number(text) || is_sid(text, "MG") {
            return Ok(text.to_owned());
        }
        let help = "write a number with + and its country, or the SID of a messaging service (MG…)";
        value.error("SB0005", format!("`from` cannot be {}", quoted(text)), help)
    });
    let to = table.require("to", "`to = [\"+15550100001\"]`").and_then(|value| numbers(&value));
    let way = way(table);
    let transport = transport(table, around);
    let (url, account, token, from, to, way) = (url?, account?, token?, from?, to?, way?);
    Ok(ReceiverKind::Twilio(Twilio { url, account, token, from, to, way, transport: transport? }))
}

/// By call with `voice`, the language of its words; by text message otherwise.
fn way(table: &Table<'_>) -> Checked<TwilioWay> {
    let replies = table.get("replies").map(|value| (value.boolean(), value));
    let Some(voice) = table.get("voice") else {
        let replies = replies.map_or(Ok(false), |(replies, _)| replies)?;
        return Ok(TwilioWay::Text { replies });
    };
    if let Some((_, replies)) = replies {
        let help = "a call is answered by a key; make another receiver for text messages";
        return replies.error("SB0005", "`replies` beside `voice`: nobody writes back to a call", help);
    }
    if let Some(from) = table.get("from").filter(|from| from.as_str().is_some_and(|text| is_sid(text, "MG"))) {
        return from.error("SB0005", "`from` is a messaging service, which cannot call", "write the number that calls");
    }
    Ok(TwilioWay::Call { language: language(&voice)? })
}

fn numbers(value: &Value<'_>) -> Checked<Vec<String>> {
    value.hide(); // of people, and findings reach the journal
    let number = |(item, text): &(Value<'_>, &str)| {
        if is_number(text) {
            return Ok((*text).to_owned());
        }
        let help = "write it with + and its country, without blanks: +15550100001";
        item.error("SB0005", "this is no telephone number", help)
    };
    let numbers = all(value.one_or_more()?.iter().map(number))?;
    if numbers.is_empty() {
        return value.error("SB0005", "`to` names nobody", "name at least one number");
    }
    Ok(numbers)
}

/// E.164.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or_default();
    (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0')
}

fn is_sid(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}
