//! JSON Feed (<https://www.jsonfeed.org/version/1.1/>).

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use super::date::date;
use super::item::{By, Item};
use super::{Document, MAX_DOCUMENT_ITEMS, NotAFeed};
use crate::source::html::absolute;
use crate::source::sanity::{MAX_ITEMS, MAX_LINK_BYTES, MAX_TAG_BYTES, keep};

#[derive(Deserialize)]
struct Feed {
    version: String,
    #[serde(default)]
    title: Value,
    #[serde(default, rename = "feed_url")]
    own_url: Value,
    #[serde(default)]
    language: Value,
    #[serde(default)]
    authors: Value,
    #[serde(default)]
    author: Value,
    #[serde(default)]
    hubs: Vec<Value>,
    #[serde(default)]
    items: Vec<Value>,
}

/// Reads a document; an item that makes no sense does not cost the others.
pub(super) fn read(text: &str, base: &Url) -> Result<Document, NotAFeed> {
    let feed: Feed = serde_json::from_str(text).or(Err(NotAFeed::Unknown))?;
    if !feed.version.contains("jsonfeed.org") {
        return Err(NotAFeed::Unknown);
    }
    let url = |value: &Value| value.as_str().and_then(|url| base.join(url).ok());
    Ok(Document {
        items: feed.items.iter().take(MAX_DOCUMENT_ITEMS).filter_map(|item| read_item(item, base)).collect(),
        gone: Vec::new(),
        is_whole: true,
        fresh_for: None,
        hub: feed.hubs.iter().find_map(|hub| url(hub.get("url")?)),
        own_url: url(&feed.own_url),
        title: feed.title.as_str().map(str::to_owned),
        lang: feed.language.as_str().map(str::to_owned),
        author: by(&feed.authors, &feed.author),
    })
}

fn read_item(item: &Value, base: &Url) -> Option<Item> {
    let text = |name: &str| match item.get(name)? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let list = |name: &str| item.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let content = text("content_html").or_else(|| text("content_text").map(|text| escaped(&text)));
    let mut links = Vec::new();
    if let Some(link) = text("external_url").and_then(|link| absolute(&link, Some(base))) {
        keep(&mut links, &link, MAX_LINK_BYTES);
    }
    let mut tags = Vec::new();
    for tag in list("tags").iter().filter_map(Value::as_str) {
        keep(&mut tags, tag.trim_start_matches('#'), MAX_TAG_BYTES);
    }
    let title = |part: &Value| part.get("title")?.as_str().map(str::to_owned);
    let link = text("url").and_then(|link| absolute(&link, Some(base)));
    let item = Item {
        id: text("id"),
        link: link.or_else(|| links.first().cloned()),
        title: text("title").map(|title| escaped(&title)).unwrap_or_default(),
        content: content.or_else(|| text("summary").map(|text| escaped(&text))).unwrap_or_default(),
        by: by(item.get("authors").unwrap_or(&Value::Null), item.get("author").unwrap_or(&Value::Null)),
        published: text("date_published").as_deref().and_then(date),
        updated: text("date_modified").as_deref().and_then(date),
        lang: text("language"),
        tags,
        links,
        media_text: list("attachments").iter().filter_map(title).take(MAX_ITEMS).collect(),
        has_media: !list("attachments").is_empty() || text("image").is_some(),
        base: Some(base.clone()),
        ..Item::default()
    };
    item.id.is_some().then_some(item)
}

/// Plain text as HTML, which all items are read as.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('\n', "<br>")
}

fn by(authors: &Value, author: &Value) -> By {
    let first = authors.get(0).unwrap_or(author);
    let text = |name: &str| first.get(name).and_then(Value::as_str).map(str::to_owned);
    By { name: text("name"), key: text("url"), handle: None }
}
