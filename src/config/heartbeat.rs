//! `[heartbeat]`: who outside rings when the daemon falls silent.

use super::endpoint::{TRANSPORT_KEYS, address, transport};
use super::model::HeartbeatConfig;
use super::reference::{Surroundings, secret};
use super::secret::Secret;
use super::table::{Checked, Table};
use crate::domain::quantity::duration;

/// Reads it. The address may be a secret, and may stand here.
pub(super) fn heartbeat(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<HeartbeatConfig> {
    let [proxy, proxy_user, proxy_password, ca_file] = TRANSPORT_KEYS;
    table.allow_only(&["url", "every", proxy, proxy_user, proxy_password, ca_file]);
    let url = table.require("url", "`url = \"https://host/path\"`").and_then(|value| {
        if value.is_table() {
            return secret(&value, around);
        }
        address(&value, &["https", "http"]).map(|url| Secret::new(url.into()))
    });
    let every = table.get("every").map_or(Ok(HeartbeatConfig::USUAL), |value| {
        let every = value.parsed(duration)?;
        let help = "services outside take five a minute at most; a minute is usual";
        if every < HeartbeatConfig::LEAST { value.error("SB0005", "`every` is at least 12s", help) } else { Ok(every) }
    });
    let transport = transport(table, around);
    Ok(HeartbeatConfig { url: url?, every: every?, transport: transport? })
}
