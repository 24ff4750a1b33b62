//! A `webhook` source: who signs, and what is sent.

use std::sync::Arc;

use super::websocket::{header_name, mapping, single};
use crate::config::model::{WebhookConfig, WebhookForm, WebhookSignature};
use crate::config::reference::{Surroundings, secret};
use crate::config::table::{Checked, Table};
use crate::domain::quantity::duration;

const KEYS: [&str; 5] = ["name", "kind", "format", "secret", "expect_frame_within"];
const OF_META: [&str; 1] = ["verify_token"];
const OF_JSON: [&str; 5] = ["signature_header", "items", "id_prefix", "messages", "fields"];

#[derive(Clone, Copy)]
enum Form {
    Meta,
    Discourse,
    Json,
}

/// Reads one.
pub(super) fn source(table: &Table<'_>, name: &str, around: &Surroundings<'_>) -> Checked<WebhookConfig> {
    let forms = [("meta", Form::Meta), ("discourse", Form::Discourse), ("json", Form::Json)];
    let example = "`format = \"meta\"`, \"discourse\" or \"json\": what is sent to it";
    let form = table.require("format", example).and_then(|value| value.word(&forms));
    // Without the form nobody knows which keys are wrong.
    let form = form?;
    let own: &[&str] = match form {
        Form::Meta => &OF_META,
        Form::Discourse => &[],
        Form::Json => &OF_JSON,
    };
    let known: Vec<&str> = KEYS.iter().chain(own).copied().collect();
    table.allow_only(&known);
    let signs = table.require("secret", "`secret = { credential = \"name\" }`: what the sender signs with");
    let signs = signs.and_then(|value| secret(&value, around));
    let expect_frame_within = table.get("expect_frame_within").map(|value| value.parsed(duration)).transpose();
    let form = match form {
        Form::Meta => meta(table, around),
        Form::Discourse => Ok(WebhookForm::Discourse),
        Form::Json => json(table, name),
    };
    Ok(WebhookConfig { secret: signs?, form: form?, expect_frame_within: expect_frame_within? })
}

fn meta(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<WebhookForm> {
    let example = "`verify_token = { credential = \"name\" }`: the words typed in beside the address at Meta";
    let verify_token = table.require("verify_token", example).and_then(|value| secret(&value, around))?;
    Ok(WebhookForm::Meta { verify_token })
}

fn json(table: &Table<'_>, name: &str) -> Checked<WebhookForm> {
    let header = table.get("signature_header").map(|value| header_name(&value)).transpose();
    let items = table.get("items").map(|value| single(&value)).transpose();
    let mapping = mapping(table, name, &["post", "delete"]);
    let signed = header?.map_or(WebhookSignature::Standard, WebhookSignature::Header);
    Ok(WebhookForm::Json { signed, items: items?, mapping: Arc::new(mapping?) })
}
