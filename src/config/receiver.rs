//! `[[receiver]]`.

mod mail;
mod phone;
mod service;

use std::time::Duration;

use url::Url;

use super::endpoint::{ALLOW_PRIVATE, TRANSPORT_KEYS, address, on_this_machine, reach, transport};
use super::model::{Chat, ChatKind, ReceiverConfig, ReceiverKind, Transport};
use super::naming::kind;
use super::reference::{Surroundings, secret};
use super::secret::Secret;
use super::table::{Checked, Noted, Table, Value};
use super::template::voice;
use crate::domain::cap::Cap;
use crate::domain::id::ReceiverName;
use crate::domain::quantity::rate;
use crate::domain::volume::Promise;

/// `PagerDuty`'s endpoint of the Events API v2.
const PAGERDUTY_EVENTS: &str = "https://events.pagerduty.com/v2/enqueue";

#[derive(Clone, Copy)]
enum Kind {
    Desktop,
    PagerDuty,
    Webhook,
    Log,
    Smtp,
    Ntfy,
    Chat(ChatKind),
    Alertmanager,
    Opsgenie(&'static str),
    GoAlert,
    Pushover,
    Matrix,
    Twilio,
    Syslog,
}

const BUILT: [(&str, Kind); 18] = [
    ("desktop", Kind::Desktop),
    ("pagerduty", Kind::PagerDuty),
    ("webhook", Kind::Webhook),
    ("log", Kind::Log),
    ("smtp", Kind::Smtp),
    ("ntfy", Kind::Ntfy),
    ("slack", Kind::Chat(ChatKind::Slack)),
    ("teams", Kind::Chat(ChatKind::Teams)),
    ("alertmanager", Kind::Alertmanager),
    ("jsm", Kind::Opsgenie("https://api.atlassian.com/jsm/ops/integration/v2/alerts")),
    ("opsgenie", Kind::Opsgenie("https://api.opsgenie.com/v2/alerts")),
    ("goalert", Kind::GoAlert),
    ("pushover", Kind::Pushover),
    ("mattermost", Kind::Chat(ChatKind::Mattermost)),
    ("discord", Kind::Chat(ChatKind::Discord)),
    ("matrix", Kind::Matrix),
    ("twilio", Kind::Twilio),
    ("syslog", Kind::Syslog),
];

/// What every receiver has; `at_most` is read by [`cap`].
const COMMON: [&str; 3] = ["name", "kind", "at_most"];

/// How many messages a receiver gets at most, if somebody said so: `"20 per 1h"`.
pub(super) fn cap(table: &Table<'_>) -> Checked<Option<(ReceiverName, Cap)>> {
    let Some(value) = table.get("at_most") else { return Ok(None) };
    let Promise { alarms: most, within } =
        value.parsed(|text| rate(text).or(Err("write a number and a duration, such as 20 per 1h")))?;
    if !(Duration::from_mins(1)..=Duration::from_hours(24)).contains(&within) {
        let help = "between a minute and a day: the digest comes at its end";
        return value.error("SB0005", "a digest would come with each message, or never", help);
    }
    let name = table.get("name").and_then(|name| name.as_str()).map(ReceiverName::from);
    Ok(name.map(|name| (name, Cap { most, within })))
}

/// Reads one, whose name is `name`.
pub(super) fn receiver(table: &Table<'_>, name: Checked<&str>, around: &Surroundings<'_>) -> Checked<ReceiverConfig> {
    let kind = match kind(table, &BUILT)? {
        Kind::Desktop => Ok(bare(table, ReceiverKind::Desktop)),
        Kind::Log => Ok(bare(table, ReceiverKind::Log)),
        Kind::PagerDuty => pagerduty(table, around),
        Kind::Webhook => webhook(table, around),
        Kind::Smtp => mail::smtp(table, around),
        Kind::Ntfy => phone::ntfy(table, around),
        Kind::Pushover => phone::pushover(table, around),
        Kind::Twilio => phone::twilio(table, around),
        Kind::Chat(kind) => chat(table, kind, around),
        Kind::Alertmanager => service::alertmanager(table, around),
        Kind::Opsgenie(default) => service::opsgenie(table, default, around),
        Kind::GoAlert => service::goalert(table, around),
        Kind::Matrix => service::matrix(table, around),
        Kind::Syslog => service::syslog(table, around),
    };
    let voice = voice(table, around);
    Ok(ReceiverConfig { name: ReceiverName::from(name?), kind: kind?, voice: voice? })
}

/// A kind without settings.
fn bare(table: &Table<'_>, kind: ReceiverKind) -> ReceiverKind {
    table.allow_only(&COMMON);
    kind
}

fn pagerduty(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<ReceiverKind> {
    allow(table, &["routing_key", "webhook_secret", "url"]);
    let url = address_or(table, PAGERDUTY_EVENTS);
    let routing_key = required_secret(table, "routing_key", "`routing_key = { credential = \"pagerduty\" }`", around);
    let webhook_secret = table.get("webhook_secret").map(|value| secret(&value, around)).transpose();
    let transport = transport(table, around);
    let (url, routing_key, webhook_secret) = (url?, routing_key?, webhook_secret?);
    Ok(ReceiverKind::PagerDuty { url, routing_key, webhook_secret, transport: transport? })
}

fn webhook(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<ReceiverKind> {
    allow(table, &["url", "secret"]);
    let url = table.require("url", "`url = \"https://host/path\"`");
    let url = url.and_then(|value| address(&value, &["https", "http"]));
    let secret = table.get("secret").map(|value| secret(&value, around)).transpose();
    let transport = transport(table, around);
    Ok(ReceiverKind::Webhook { url: url?, secret: secret?, transport: transport? })
}

fn chat(table: &Table<'_>, kind: ChatKind, around: &Surroundings<'_>) -> Checked<ReceiverKind> {
    let channel_key = (kind == ChatKind::Mattermost).then_some("channel");
    allow(table, &[&["url", ALLOW_PRIVATE, "cleared", "template"][..], channel_key.as_slice()].concat());
    let hook = table.require("url", "`url = { credential = \"NAME\" }`: a webhook's address is a secret");
    let hook = hook.and_then(|value| {
        let hook = hook_address(&value, around)?;
        let reach = reach(table, &value, &hook)?;
        Ok((hook, reach))
    });
    let channel = channel_key.and_then(|key| table.get(key)).map(|value| value.filled().map(str::to_owned)).transpose();
    let (cleared, transport) = (cleared(table), transport(table, around));
    let ((hook, reach), channel, cleared, transport) = (hook?, channel?, cleared?, transport?);
    let transport = Transport { reach, ..transport };
    Ok(ReceiverKind::Chat(Chat { kind, hook, channel, cleared, transport }))
}

/// The keys of a receiver that is reached by HTTP.
fn allow(table: &Table<'_>, own: &[&str]) {
    table.allow_only(&[&COMMON, own, &TRANSPORT_KEYS].concat());
}

/// `url`, or where the service is.
fn address_or(table: &Table<'_>, default: &str) -> Checked<Url> {
    match table.get("url") {
        None => Url::parse(default).or(Err(Noted)), // cannot fail: it is a constant
        Some(value) => address(&value, &["https", "http"]),
    }
}

fn required_secret(table: &Table<'_>, key: &'static str, example: &str, around: &Surroundings<'_>) -> Checked<Secret> {
    table.require(key, example).and_then(|value| secret(&value, around))
}

/// `cleared`: whether a receiver may read what people wrote. Nobody may unless somebody said so,
/// also on the premises: what a mail server or a collector of logs passes on is not known here.
fn cleared(table: &Table<'_>) -> Checked<bool> {
    table.get("cleared").map_or(Ok(false), |value| value.boolean())
}

/// An address whose path lets everybody in who knows it: a secret, unless it is on this machine.
fn hook_address(value: &Value<'_>, around: &Surroundings<'_>) -> Checked<Secret> {
    if let Some(text) = value.as_str() {
        if !Url::parse(text).is_ok_and(|url| on_this_machine(&url)) {
            return secret(value, around); // says that it must not stand here
        }
        return address(value, &["https", "http"]).map(|url| Secret::new(url.into()));
    }
    let hook = secret(value, around)?;
    let absent = hook.expose().is_empty(); // and somebody only checks
    let fits = |url: &Url| matches!(url.scheme(), "https" | "http") && url.has_host();
    if absent || Url::parse(hook.expose()).is_ok_and(|url| fits(&url)) {
        return Ok(hook);
    }
    let help = "the secret is the whole address that the service shows, from https:// on";
    value.error("SB0406", format!("`{}`: the secret is no address", value.key()), help)
}
