//! A `forum` source: which forum, and what of it.

use url::Url;

use super::documents::{contact, poll_every};
use crate::config::endpoint::{TRANSPORT_KEYS, address, transport};
use crate::config::model::{ForumConfig, ForumDialect};
use crate::config::reference::{Surroundings, secret};
use crate::config::table::{Checked, Noted, Table, Value, all, quoted};

const KEYS: [&str; 5] = ["name", "kind", "dialect", "url", "poll_every"];
/// Each community of Lemmy is two lists, and all of Reddit's are part of one address.
const MOST_COMMUNITIES: usize = 50;
/// Each is a list of its own.
const MOST_SEARCHES: usize = 10;
/// Reddit takes no longer ones.
const LONGEST_SEARCH: usize = 512;
/// Names of communities are shorter, with or without their instance.
const LONGEST_NAME: usize = 200;

#[derive(Clone, Copy)]
enum Dialect {
    Discourse,
    HackerNews,
    Lemmy,
    Lobsters,
    Reddit,
}

impl Dialect {
    /// The keys that only it has.
    const fn own_keys(self) -> &'static [&'static str] {
        match self {
            Self::Discourse => &["api_key", "api_username"],
            Self::HackerNews | Self::Lobsters => &[],
            Self::Lemmy => &["token", "communities"],
            Self::Reddit => &["client_id", "secret", "contact", "communities", "searches"],
        }
    }

    /// Where it is, if there is only one.
    const fn usual_url(self) -> Option<&'static str> {
        match self {
            Self::Discourse | Self::Lemmy => None,
            Self::HackerNews => Some(ForumConfig::HACKER_NEWS),
            Self::Lobsters => Some(ForumConfig::LOBSTERS),
            Self::Reddit => Some(ForumConfig::REDDIT),
        }
    }
}

/// Reads one.
pub(super) fn source(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<ForumConfig> {
    let words = [
        ("discourse", Dialect::Discourse),
        ("hackernews", Dialect::HackerNews),
        ("lemmy", Dialect::Lemmy),
        ("lobsters", Dialect::Lobsters),
        ("reddit", Dialect::Reddit),
    ];
    let example =
        "`dialect = \"discourse\"`, \"reddit\", \"lemmy\", \"hackernews\" or \"lobsters\": what the forum speaks";
    // Without the dialect nobody knows which keys are wrong.
    let dialect = table.require("dialect", example).and_then(|value| value.word(&words))?;
    let known: Vec<&str> = KEYS.iter().chain(&TRANSPORT_KEYS).chain(dialect.own_keys()).copied().collect();
    table.allow_only(&known);
    let url = match (table.get("url"), dialect.usual_url()) {
        (None, Some(usual)) => Url::parse(usual).or(Err(Noted)), // cannot fail: it is a constant
        _ => table.require("url", "`url = \"https://forum.example\"`").and_then(|value| of_forum(&value)),
    };
    let poll_every = poll_every(table);
    let transport = transport(table, around);
    let dialect = match dialect {
        Dialect::Discourse => discourse(table, around),
        Dialect::HackerNews => Ok(ForumDialect::HackerNews),
        Dialect::Lemmy => lemmy(table, around),
        Dialect::Lobsters => Ok(ForumDialect::Lobsters),
        Dialect::Reddit => reddit(table, around),
    };
    Ok(ForumConfig {
        url: url?,
        dialect: dialect?,
        poll_every: poll_every?.unwrap_or(ForumConfig::USUAL),
        transport: transport?,
    })
}

/// An address below which the API is.
fn of_forum(value: &Value<'_>) -> Checked<Url> {
    let url = address(value, &["https", "http"])?;
    if url.query().is_some() || url.fragment().is_some() {
        let help = "write the address of the forum alone; what is asked of it is known";
        return value.error("SB0406", "`url` has a query or a fragment", help);
    }
    Ok(url)
}

fn discourse(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<ForumDialect> {
    let (key, user) = (table.get("api_key"), table.get("api_username"));
    let (secret, name) = (
        key.as_ref().map(|value| secret(value, around)).transpose(),
        user.as_ref().map(|value| value.filled().map(str::to_owned)).transpose(),
    );
    match (key, user) {
        (Some(key), None) => {
            let help = "add `api_username = \"name\"`, of the user whom the key belongs to";
            key.absent("SB0003", "`api_key` without `api_username`", help)
        }
        (None, Some(user)) => {
            let help = "add `api_key = { credential = \"name\" }`, or remove the user: public posts are read without";
            user.absent("SB0003", "`api_username` without `api_key`", help)
        }
        _ => Ok(ForumDialect::Discourse { login: secret?.zip(name?) }),
    }
}

fn lemmy(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<ForumDialect> {
    let token = table.get("token").map(|value| secret(&value, around)).transpose();
    let is_name = |name: &str| {
        let (name, instance) = name.split_once('@').unwrap_or((name, "-"));
        let fits = |part: &str, more: &[char]| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(&c))
        };
        fits(name, &['_']) && fits(instance, &['-', '.', ':'])
    };
    let help = "write its name, such as \"health\", or \"health@lemmy.example\" for one of another instance";
    let communities = communities(table, is_name, help);
    Ok(ForumDialect::Lemmy { token: token?, communities: communities? })
}

fn reddit(table: &Table<'_>, around: &Surroundings<'_>) -> Checked<ForumDialect> {
    let client_id = table.require("client_id", "`client_id = \"…\"`: the id of your app at Reddit");
    let client_id = client_id.and_then(|value| Ok(value.filled()?.to_owned()));
    let key = table.require("secret", "`secret = { credential = \"reddit\" }`: your app's secret");
    let key = key.and_then(|value| secret(&value, around));
    let contact = contact(table);
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let communities = communities(table, is_name, "write the name of a subreddit without `r/`, such as \"boston\"");
    let searches = table.get("searches").map_or(Ok(Vec::new()), |value| searches(&value));
    let (communities, searches) = (communities?, searches?);
    if communities.is_empty() && searches.is_empty() {
        let example = "`communities = [\"boston\"]` or `searches = ['\"northgate hospital\"']`: what is read of Reddit";
        table.require("communities", example)?;
    }
    Ok(ForumDialect::Reddit { client_id: client_id?, secret: key?, contact: contact?, communities, searches })
}

fn communities(table: &Table<'_>, is_name: impl Fn(&str) -> bool, help: &str) -> Checked<Vec<String>> {
    let Some(value) = table.get("communities") else { return Ok(Vec::new()) };
    let items = value.one_or_more()?;
    if items.is_empty() || items.len() > MOST_COMMUNITIES {
        return value.error("SB0005", format!("`communities` has {} entries", items.len()), "name 1 to 50");
    }
    all(items.iter().map(|(item, name)| {
        if is_name(name) && (1..=LONGEST_NAME).contains(&name.len()) {
            return Ok((*name).to_owned());
        }
        item.error("SB0005", format!("{} is not a community", quoted(name)), help)
    }))
}

fn searches(value: &Value<'_>) -> Checked<Vec<String>> {
    let items = value.one_or_more()?;
    if items.is_empty() || items.len() > MOST_SEARCHES {
        return value.error("SB0005", format!("`searches` has {} entries", items.len()), "write 1 to 10");
    }
    all(items.iter().map(|(item, text)| {
        let length = text.chars().count();
        if !text.trim().is_empty() && length <= LONGEST_SEARCH && !text.contains(char::is_control) {
            return Ok((*text).to_owned());
        }
        let help = "write 1 to 512 in one line, in Reddit's language, such as '\"northgate hospital\"'";
        item.error("SB0005", format!("a search of {length} characters"), help)
    }))
}
