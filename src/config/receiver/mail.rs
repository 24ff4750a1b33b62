//! `kind = "smtp"`.

use lettre::message::Mailbox;

use super::super::endpoint::ca_file;
use super::super::model::{Mail, ReceiverKind, TlsMode};
use super::super::reference::{Surroundings, secret};
use super::super::secret::Secret;
use super::super::table::{Checked, Table, Value, all};
use super::cleared;

const KEYS: [&str; 13] = [
    "name", "kind", "at_most", "host", "port", "tls", "user", "password", "from", "to", "cleared", "ca_file",
    "template",
];

pub(super) fn smtp(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<ReceiverKind> {
    table.allow_only(&KEYS);
    let host = table.require("host", "`host = \"mail.example\"`").and_then(|value| host(&value));
    let modes = [("starttls", TlsMode::StartTls), ("tls", TlsMode::Tls), ("off", TlsMode::Off)];
    let tls = table.get("tls").map_or(Ok(TlsMode::StartTls), |value| value.word(&modes));
    let port = table.get("port").map(|value| port(&value)).transpose();
    let from = table.require("from", "`from = \"stormbell@hospital.example\"`").and_then(|value| mailbox(&value));
    let to = table.require("to", "`to = [\"on-call@hospital.example\"]`").and_then(|value| mailboxes(&value));
    let (login, cleared) = (login(table, around), cleared(table));
    let ca_file = table.get("ca_file").map(|value| ca_file(&value, around)).transpose();
    let tls = tls?;
    if tls == TlsMode::Off
        && let Some(user) = table.get("user")
    {
        let message = "a password would go to the mail server in the clear";
        return user.error("SB0406", message, "set `tls = \"starttls\"` or \"tls\", or remove `user` and `password`");
    }
    let usual = match tls {
        TlsMode::StartTls => 587,
        TlsMode::Tls => 465,
        TlsMode::Off => 25,
    };
    let port = port?.unwrap_or(usual);
    Ok(ReceiverKind::Smtp(Mail {
        host: host?,
        port,
        tls,
        login: login?,
        from: from?,
        to: to?,
        cleared: cleared?,
        ca_file: ca_file?,
    }))
}

fn host(value: &Value<'_>) -> Checked<String> {
    let text = value.filled()?;
    match url::Host::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => value.error(
            "SB0406",
            "`host` is not the name of a host",
            "write a name or an IP address; the port has a key",
        ),
    }
}

fn port(value: &Value<'_>) -> Checked<u16> {
    let number = value.count(1)?;
    match u16::try_from(number) {
        Ok(port) => Ok(port),
        Err(_) => value.error("SB0005", format!("there is no port {number}"), "ports end at 65535"),
    }
}

fn mailbox(value: &Value<'_>) -> Checked<Mailbox> {
    value.parsed(|text| {
        let example = "write an address such as on-call@hospital.example, or \"On call <on-call@hospital.example>\"";
        text.parse::<Mailbox>().or(Err(example))
    })
}

fn mailboxes(value: &Value<'_>) -> Checked<Vec<Mailbox>> {
    value.hide(); // of people, and findings reach the journal
    let boxes = all(value.one_or_more()?.iter().map(|(item, _)| mailbox(item)))?;
    if boxes.is_empty() {
        return value.error("SB0005", "`to` names nobody", "name at least one address");
    }
    Ok(boxes)
}

fn login(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<Option<(String, Secret)>> {
    let (user, password) = (table.get("user"), table.get("password"));
    let word = password.as_ref().map(|value| secret(value, around)).transpose();
    match (user, password) {
        (Some(user), None) => {
            user.absent("SB0003", "`user` without `password`", "add `password = { credential = \"name\" }`")
        }
        (None, Some(password)) => password.absent("SB0003", "`password` without `user`", "add `user = \"…\"`"),
        (user, _) => {
            let name = user.map(|value| value.filled().map(str::to_owned)).transpose();
            Ok(name?.zip(word?))
        }
    }
}
