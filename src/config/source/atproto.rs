//! A source of kind `atproto`.

use super::super::endpoint::{TRANSPORT_KEYS, address, transport};
use super::super::model::AtprotoConfig;
use super::super::reference::Surroundings;
use super::super::table::{Checked, Table};
use super::{frame_bytes, urls};
use crate::domain::quantity::duration;

pub(super) fn atproto(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<AtprotoConfig> {
    let [proxy, proxy_user, proxy_password, ca_file] = TRANSPORT_KEYS;
    table.allow_only(&[
        "name",
        "kind",
        "url",
        "max_frame_bytes",
        "expect_frame_within",
        "profiles",
        proxy,
        proxy_user,
        proxy_password,
        ca_file,
    ]);
    let urls = urls(table, "`url = \"wss://bsky.network\"`", |value, url| {
        if url.query_pairs().any(|(key, _)| key == "cursor") {
            return value.error(
                "SB0406",
                "`url` holds a cursor",
                "take it out; where to resume is kept by the program",
            );
        }
        Ok(url)
    });
    let max_frame_bytes = frame_bytes(table, AtprotoConfig::DEFAULT_MAX_FRAME_BYTES);
    let expect_frame_within = table.get("expect_frame_within").map(|value| value.parsed(duration)).transpose();
    let profiles = table.get("profiles").map(|value| address(&value, &["https", "http"])).transpose();
    let transport = transport(table, around);
    Ok(AtprotoConfig {
        urls: urls?,
        max_frame_bytes: max_frame_bytes?,
        expect_frame_within: expect_frame_within?,
        profiles: profiles?,
        transport: transport?,
    })
}
