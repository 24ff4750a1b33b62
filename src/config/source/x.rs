//! A source of kind `x`.

use url::Url;

use super::super::endpoint::{TRANSPORT_KEYS, address, transport};
use super::super::model::XConfig;
use super::super::reference::{Surroundings, secret};
use super::super::table::{Checked, Noted, Table, Value, all};
use crate::domain::abroad::{MOST_RULES, RULE_CHARS};

pub(super) fn source(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<XConfig> {
    let keys = ["name", "kind", "url", "token", "monthly_posts", "queries"];
    table.allow_only(&[&keys[..], &TRANSPORT_KEYS].concat());
    let url = match table.get("url") {
        Some(value) => address(&value, &["https", "http"]),
        None => Url::parse(XConfig::DEFAULT_URL).or(Err(Noted)), // cannot fail: it is a constant
    };
    let token = table.require("token", "`token = { credential = \"x\" }`, the app's bearer token");
    let token = token.and_then(|value| secret(&value, around));
    let monthly_posts =
        table.require("monthly_posts", "`monthly_posts = 100000`: each post that is read is paid for, and so many are");
    let monthly_posts = monthly_posts.and_then(|value| value.count(1));
    let queries = table.get("queries").map_or(Ok(Vec::new()), |value| queries(&value));
    let transport = transport(table, around);
    Ok(XConfig { url: url?, token: token?, monthly_posts: monthly_posts?, queries: queries?, transport: transport? })
}

fn queries(value: &Value<'_>) -> Checked<Vec<String>> {
    let items = value.one_or_more()?;
    if items.is_empty() || items.len() > MOST_RULES {
        let help = "write 1 to 1000, or remove the key: what your rules ask for is asked for then";
        return value.error("SB0005", format!("`queries` has {} entries", items.len()), help);
    }
    all(items.iter().map(|(item, text)| {
        let length = text.chars().count();
        if !text.trim().is_empty() && length <= RULE_CHARS && !text.contains(char::is_control) {
            return Ok((*text).to_owned());
        }
        let message = format!("a query of {length} characters");
        item.error("SB0005", message, "write 1 to 1024 in one line, in X's language, such as '(\"northgate hospital\" OR @northgate) -is:retweet'")
    }))
}
