//! Discourse, asked: `/posts.json` has the newest posts of all topics that whoever asks may see, first posts with their
//! topic's title; with `before=ID` those behind that one.
//!
//! Older versions give the posts among the fifty *numbers* up to ID, so that a page may be short, or empty where posts were
//! deleted or private: an empty page is the end only after several. `/posts/ID.json` tells what became of one. Source: the
//! forum's own `posts_controller.rb`; what a post says is read as in its webhook (`source::webhook::discourse`).

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use super::round::{Board, Page, gone};
use super::{Asked, Item, MOST_ITEMS, Memory, Reading, Said, below, date, is};
use crate::config::model::{ForumConfig, ForumDialect};
use crate::domain::event::{Rejected, SourceEvent};
use crate::domain::id::PostId;
use crate::source::line::Line;
use crate::source::supervise::{End, Failure};
use crate::source::webhook::discourse;

/// Posts of a page, and numbers of one in older versions.
const PAGE: u64 = 50;
/// Empty pages in a row behind which there is nothing more: 1,000 numbers.
const EMPTY: u32 = 20;

/// A Discourse forum.
pub(super) struct Discourse {
    base: Url,
    asked: Asked,
    config: ForumConfig,
}

#[derive(Deserialize)]
struct Latest<'a> {
    #[serde(borrow)]
    latest_posts: Vec<&'a RawValue>,
}

impl Discourse {
    pub(super) fn new(config: &ForumConfig) -> Self {
        Self { base: config.url.clone(), asked: Asked::new(config.transport.clone()), config: config.clone() }
    }

    fn log_in(&mut self) -> Result<(), End> {
        if let ForumDialect::Discourse { login: Some((key, user)) } = &self.config.dialect {
            self.asked.with("api-key", key.expose())?;
            self.asked.with("api-username", user)?;
        }
        Ok(())
    }

    async fn numbered(&mut self, before: Option<u64>, line: &Line) -> Result<Option<(Vec<Item>, Option<u64>)>, End> {
        let mut url = below(&self.base, ["posts.json"]);
        if let Some(before) = before {
            url.query_pairs_mut().append_pair("before", &before.to_string());
        }
        let base = self.base.clone();
        let read = |body: &[u8]| {
            let items = items(body, &Reading { source: &line.name, base: &base, now: line.now() })?;
            let first = items.iter().filter_map(|item| item.name.parse::<u64>().ok()).min();
            Some((items, first))
        };
        self.asked.page(&url, read, line).await
    }
}

impl Board for Discourse {
    fn lists(&self) -> Vec<String> {
        vec!["posts".to_owned()]
    }

    async fn page(&mut self, _: &str, after: Option<&str>, _: &Memory, line: &Line) -> Result<Option<Page>, End> {
        self.log_in()?;
        let mut before: Option<u64> = after.and_then(|after| after.parse().ok());
        for _ in 0..EMPTY {
            let Some((items, first)) = self.numbered(before, line).await? else { return Ok(None) };
            // The page may begin with the one that was named, which is known.
            let shows_more = first.is_some_and(|first| before.is_none_or(|before| first < before));
            if shows_more {
                let next = first.filter(|first| *first > 1).map(|first| first.to_string());
                return Ok(Some(Page { items, known: 0, next }));
            }
            match before.filter(|before| *before > PAGE) {
                Some(number) => before = Some(number - PAGE),
                None => break,
            }
        }
        Ok(Some(Page::default()))
    }

    async fn again(&mut self, _: &str, names: &[String], _: &Memory, line: &Line) -> Result<Vec<Item>, End> {
        let mut items = Vec::new();
        for name in names {
            let url = below(&self.base, ["posts", &format!("{name}.json")]);
            let body = self.asked.one(&url, line).await?;
            let reading = Reading { source: &line.name, base: &self.base, now: line.now() };
            match body.as_deref().map(serde_json::from_slice::<&RawValue>) {
                None => items.push(gone(name, id(name, &reading))),
                Some(Ok(raw)) => items.extend(Some(item(raw, &reading)).filter(|item| item.name == *name)),
                Some(Err(_)) => return Err(Failure::retry("half of an answer")),
            }
        }
        Ok(items)
    }

    fn begin(&mut self, _: &str) {
        self.asked.forget();
    }
}

/// The posts of a page.
pub(super) fn items(body: &[u8], reading: &Reading<'_>) -> Option<Vec<Item>> {
    let Latest { latest_posts } = serde_json::from_slice(body).ok()?;
    Some(latest_posts.into_iter().take(MOST_ITEMS).map(|raw| item(raw, reading)).collect())
}

/// As its webhook names it.
fn id(name: &str, reading: &Reading<'_>) -> PostId {
    PostId::from(format!("discourse:{}/{name}", reading.site()))
}

fn item(raw: &RawValue, reading: &Reading<'_>) -> Item {
    Item::of(raw, |post| {
        let name = post.pointer("/id").and_then(Value::as_u64).ok_or(Rejected::MissingField)?.to_string();
        let is_edited = post.pointer("/version").and_then(Value::as_u64).is_some_and(|version| version > 1);
        let said = if is(post, "/user_deleted") || post.pointer("/deleted_at").is_some_and(Value::is_string) {
            Said::Gone(id(&name, reading))
        } else {
            let event = if is_edited { "post_edited" } else { "post_created" };
            let body = format!(r#"{{"post":{}}}"#, raw.get());
            let frame = discourse::frame(event, reading.base.as_str(), body.as_bytes())?;
            match discourse::decode(reading.source, &frame, Some(reading.now)).event? {
                SourceEvent::Post(post) => Said::Post(post),
                _ => Said::Other,
            }
        };
        Ok(Item { name, at: date(post, "/created_at"), in_order: true, said })
    })
}
