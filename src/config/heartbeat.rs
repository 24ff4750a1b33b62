//! `[heartbeat]`: who outside rings when the daemon falls silent.

use super::endpoint::{ALLOW_PRIVATE, TRANSPORT_KEYS, address, reach, transport};
use super::model::{HeartbeatConfig, Transport};
use super::reference::{Surroundings, secret};
use super::secret::Secret;
use super::table::{Checked, Table};
use crate::domain::quantity::duration;

/// Reads it. The address may be a secret, and may stand here.
pub(super) fn heartbeat(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<HeartbeatConfig> {
    let [proxy, proxy_user, proxy_password, ca_file] = TRANSPORT_KEYS;
    table.allow_only(&["url", "every", ALLOW_PRIVATE, proxy, proxy_user, proxy_password, ca_file]);
    let url = table.require("url", "`url = \"https://host/path\"`").and_then(|value| {
        let url = if value.is_table() {
            secret(&value, around)?
        } else {
            address(&value, &["https", "http"]).map(|url| Secret::new(url.into()))?
        };
        let reach = reach(table, &value, &url)?;
        Ok((url, reach))
    });
    let every = table.get("every").map_or(Ok(HeartbeatConfig::USUAL), |value| {
        let every = value.parsed(duration)?;
        let help = "services outside take five a minute at most; a minute is usual";
        if every < HeartbeatConfig::LEAST { value.error("SB0005", "`every` is at least 12s", help) } else { Ok(every) }
    });
    let transport = transport(table, around);
    let ((url, reach), every, transport) = (url?, every?, transport?);
    Ok(HeartbeatConfig { url, every, transport: Transport { reach, ..transport } })
}
