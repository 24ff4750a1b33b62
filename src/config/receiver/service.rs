//! `alertmanager`, `jsm`, `opsgenie`, `goalert`, `matrix` and `syslog`.

use url::Url;

use super::super::endpoint::{address, ca_file, transport};
use super::super::model::{GoAlert, Matrix, Opsgenie, ReceiverKind, Syslog, SyslogWay};
use super::super::reference::Surroundings;
use super::super::table::{Checked, Table, Value, all, quoted};
use super::{COMMON, address_or, allow, cleared, required_secret};

pub(super) fn alertmanager(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<ReceiverKind> {
    allow(table, &["url", "cleared", "template"]);
    let example = "`url = \"http://alertmanager:9093\"`, or a list with every replica";
    let urls = table.require("url", example).and_then(|value| replicas(&value));
    let (cleared, transport) = (cleared(table), transport(table, around));
    Ok(ReceiverKind::Alertmanager { urls: urls?, cleared: cleared?, transport: transport? })
}

fn replicas(value: &Value<'_>) -> Checked<Vec<Url>> {
    let urls = all(value.one_or_more()?.iter().map(|(item, _)| address(item, &["https", "http"])))?;
    if urls.is_empty() {
        return value.error("SB0406", "`url` names no Alertmanager", "name at least one");
    }
    Ok(urls.into_iter().map(|url| without(url, "/api/v2/alerts")).collect())
}

/// The address without the end that is added anyway.
fn without(mut url: Url, end: &str) -> Url {
    let path = url.path().trim_end_matches('/');
    if let Some(base) = path.strip_suffix(end).map(str::to_owned) {
        url.set_path(&base);
    }
    url
}

/// `default` is where the service is.
pub(super) fn opsgenie(table: &Table<'_>, default: &str, around: &Surroundings<'_>) -> Checked<ReceiverKind> {
    allow(table, &["url", "api_key", "team", "cleared", "template"]);
    let url = address_or(table, default);
    let key = required_secret(table, "api_key", "`api_key = { credential = \"jsm\" }`", around);
    let team = table.get("team").map(|value| value.filled().map(str::to_owned)).transpose();
    let (cleared, transport) = (cleared(table), transport(table, around));
    let (url, key, team, cleared, transport) = (url?, key?, team?, cleared?, transport?);
    Ok(ReceiverKind::Opsgenie(Opsgenie { url, key, team, cleared, transport }))
}

pub(super) fn goalert(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<ReceiverKind> {
    const INCOMING: &str = "/api/v2/generic/incoming";
    allow(table, &["url", "token", "cleared", "template"]);
    let url = table.require("url", "`url = \"https://goalert.example\"`");
    let url = url.and_then(|value| address(&value, &["https", "http"])).map(|url| {
        let mut url = without(url, INCOMING);
        url.set_path(&format!("{}{INCOMING}", url.path().trim_end_matches('/')));
        url
    });
    let token = required_secret(table, "token", "`token = { credential = \"goalert\" }`", around);
    let (cleared, transport) = (cleared(table), transport(table, around));
    let (url, token, cleared, transport) = (url?, token?, cleared?, transport?);
    Ok(ReceiverKind::GoAlert(GoAlert { url, token, cleared, transport }))
}

pub(super) fn matrix(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<ReceiverKind> {
    allow(table, &["url", "token", "room", "cleared", "template"]);
    let url = table.require("url", "`url = \"https://matrix.hospital.example\"`, the homeserver");
    let url = url.and_then(|value| address(&value, &["https", "http"]));
    let token = required_secret(table, "token", "`token = { credential = \"matrix\" }`", around);
    let room = table.require("room", "`room = \"!id:server\"`").and_then(|value| {
        let text = value.filled()?;
        if text.starts_with('!') && text.len() > 1 && text.len() <= 255 && !text.contains(char::is_whitespace) {
            return Ok(text.to_owned());
        }
        let help = "write the room's id, which begins with !; a client shows it in the room's settings, under Advanced";
        value.error("SB0005", format!("`room` cannot be {}", quoted(text)), help)
    });
    let (cleared, transport) = (cleared(table), transport(table, around));
    let (url, token, room, cleared, transport) = (url?, token?, room?, cleared?, transport?);
    Ok(ReceiverKind::Matrix(Matrix { url, token, room, cleared, transport }))
}

pub(super) fn syslog(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<ReceiverKind> {
    table.allow_only(&[&COMMON[..], &["url", "ca_file", "template"]].concat());
    let place = table.require("url", "`url = \"tls://logs.hospital.example:6514\"`").and_then(|value| place(&value));
    let own = table.get("ca_file");
    let ca_file = own.as_ref().map(|value| ca_file(value, around)).transpose();
    let (way, host, port) = place?;
    if way != SyslogWay::Tls
        && let Some(own) = own
    {
        return own.error("SB0406", "`ca_file` without TLS", "write the address with tls://, or remove `ca_file`");
    }
    Ok(ReceiverKind::Syslog(Syslog { way, host, port, ca_file: ca_file? }))
}

fn place(value: &Value<'_>) -> Checked<(SyslogWay, String, u16)> {
    let url = address(value, &["tls", "tcp", "udp"])?;
    let (way, usual) = match url.scheme() {
        "udp" => (SyslogWay::Udp, 514),
        "tcp" => (SyslogWay::Tcp, 601),
        _ => (SyslogWay::Tls, 6514),
    };
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return value.error("SB0406", "`url` has more than host and port", "write \"tls://host:port\"");
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    Ok((way, host, url.port().unwrap_or(usual)))
}
