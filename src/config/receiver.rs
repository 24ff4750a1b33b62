//! `[[receiver]]`.

use url::Url;

use super::endpoint::{TRANSPORT_KEYS, address, transport};
use super::model::{ReceiverConfig, ReceiverKind};
use super::naming::kind;
use super::reference::{Surroundings, secret};
use super::table::{Checked, Noted, Table};
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

/// Reads one, whose name is `name`.
pub(super) fn receiver(table: &Table<'_>, name: Checked<&str>, around: &Surroundings<'_>) -> Checked<ReceiverConfig> {
    let kind = match kind(table, &BUILT, &LATER)? {
        Kind::Desktop => Ok(bare(table, ReceiverKind::Desktop)),
        Kind::Log => Ok(bare(table, ReceiverKind::Log)),
        Kind::PagerDuty => pagerduty(table, around),
        Kind::Webhook => webhook(table, around),
    };
    Ok(ReceiverConfig { name: ReceiverName::from(name?), kind: kind? })
}

/// A kind without settings.
fn bare(table: &Table<'_>, kind: ReceiverKind) -> ReceiverKind {
    table.allow_only(&["name", "kind"]);
    kind
}

fn pagerduty(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<ReceiverKind> {
    let [proxy, proxy_user, proxy_password, ca_file] = TRANSPORT_KEYS;
    table.allow_only(&["name", "kind", "routing_key", "url", proxy, proxy_user, proxy_password, ca_file]);
    let url = match table.get("url") {
        None => Url::parse(PAGERDUTY_EVENTS).or(Err(Noted)), // cannot fail: it is a constant
        Some(value) => address(&value, &["https", "http"]),
    };
    let routing_key = table.require("routing_key", "`routing_key = { credential = \"pagerduty\" }`");
    let routing_key = routing_key.and_then(|value| secret(&value, around));
    let transport = transport(table, around);
    Ok(ReceiverKind::PagerDuty { url: url?, routing_key: routing_key?, transport: transport? })
}

fn webhook(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<ReceiverKind> {
    let [proxy, proxy_user, proxy_password, ca_file] = TRANSPORT_KEYS;
    table.allow_only(&["name", "kind", "url", "secret", proxy, proxy_user, proxy_password, ca_file]);
    let url = table.require("url", "`url = \"https://host/path\"`");
    let url = url.and_then(|value| address(&value, &["https", "http"]));
    let secret = table.get("secret").map(|value| secret(&value, around)).transpose();
    let transport = transport(table, around);
    Ok(ReceiverKind::Webhook { url: url?, secret: secret?, transport: transport? })
}
