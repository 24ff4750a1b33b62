//! `[[receiver]]`.

use url::Url;

use super::endpoint::{TRANSPORT_KEYS, address, transport};
use super::model::{ReceiverConfig, ReceiverKind};
use super::naming::kind;
use super::reference::{Surroundings, secret};
use super::table::Table;
use crate::domain::id::ReceiverName;

/// Kinds that are known and not built yet.
const LATER: [&str; 13] = [
    "alertmanager",
    "opsgenie",
    "goalert",
    "ntfy",
    "pushover",
    "slack",
    "teams",
    "mattermost",
    "matrix",
    "discord",
    "smtp",
    "twilio",
    "syslog",
];

/// `PagerDuty`'s endpoint of the Events API v2.
const PAGERDUTY_EVENTS: &str = "https://events.pagerduty.com/v2/enqueue";

#[derive(Clone, Copy)]
enum Kind {
    Desktop,
    PagerDuty,
    Webhook,
    Log,
}

const BUILT: [(&str, Kind); 4] =
    [("desktop", Kind::Desktop), ("pagerduty", Kind::PagerDuty), ("webhook", Kind::Webhook), ("log", Kind::Log)];

/// Reads one; `None` when it cannot be used. `name` was checked by the caller.
pub(super) fn receiver(table: &Table<'_>, name: Option<&str>, around: &Surroundings<'_>) -> Option<ReceiverConfig> {
    let kind = match kind(table, &BUILT, &LATER)? {
        Kind::Desktop => plain(table, ReceiverKind::Desktop),
        Kind::Log => plain(table, ReceiverKind::Log),
        Kind::PagerDuty => pagerduty(table, around),
        Kind::Webhook => webhook(table, around),
    };
    Some(ReceiverConfig { name: ReceiverName::from(name?), kind: kind? })
}

#[expect(clippy::unnecessary_wraps, reason = "the other kinds can be unusable")]
fn plain(table: &Table<'_>, kind: ReceiverKind) -> Option<ReceiverKind> {
    table.allow_only(&["name", "kind"]);
    Some(kind)
}

fn pagerduty(table: &Table<'_>, around: &Surroundings<'_>) -> Option<ReceiverKind> {
    let [proxy, proxy_user, proxy_password, ca_file] = TRANSPORT_KEYS;
    table.allow_only(&["name", "kind", "routing_key", "url", proxy, proxy_user, proxy_password, ca_file]);
    let url = match table.get("url") {
        None => Url::parse(PAGERDUTY_EVENTS).ok(),
        Some(value) => address(&value, &["https", "http"]),
    };
    let routing_key = table.require("routing_key", "`routing_key = { credential = \"pagerduty\" }`");
    let routing_key = routing_key.and_then(|value| secret(&value, around));
    let transport = transport(table, around);
    Some(ReceiverKind::PagerDuty { url: url?, routing_key: routing_key?, transport: transport? })
}

fn webhook(table: &Table<'_>, around: &Surroundings<'_>) -> Option<ReceiverKind> {
    let [proxy, proxy_user, proxy_password, ca_file] = TRANSPORT_KEYS;
    table.allow_only(&["name", "kind", "url", "secret", proxy, proxy_user, proxy_password, ca_file]);
    let url = table.require("url", "`url = \"https://host/path\"`");
    let url = url.and_then(|value| address(&value, &["https", "http"]));
    let secret = table.get("secret").map(|value| secret(&value, around));
    let transport = transport(table, around);
    let secret = secret.map_or(Some(None), |secret| secret.map(Some));
    Some(ReceiverKind::Webhook { url: url?, secret: secret?, transport: transport? })
}
