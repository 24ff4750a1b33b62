//! Hacker News, whole: each story, comment, job and poll has the next number, `/v0/maxitem.json` is the highest, and
//! `/v0/item/N.json` what it is; `/v0/updates.json` names those that changed lately.
//!
//! What is numbered may not be there yet (`null`): it is asked for again for as long as its number is among the newest
//! hundred. Deleted items say so, and those that moderators killed are `dead`. There is no limit on requests; eight are made
//! at a time. Source: <https://github.com/HackerNews/API>.

use futures_util::future::try_join_all;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use super::round::{Board, Page};
use super::{Asked, Item, Memory, Reading, Said, below, is, keep_link, seconds, shown, text};
use crate::config::model::ForumConfig;
use crate::domain::event::Rejected;
use crate::domain::id::{AuthorId, PostId};
use crate::domain::post::{Post, PostKind};
use crate::source::html::plain;
use crate::source::line::Line;
use crate::source::sanity::{MAX_LINK_BYTES, keep};
use crate::source::supervise::End;

/// Numbers of a page.
const PAGE: u64 = 100;
/// Requests made at a time.
const TOGETHER: usize = 8;
/// Changed items that are looked at in one round.
const MOST_CHANGED: usize = 200;
const SITE: &str = "https://news.ycombinator.com";

/// Hacker News.
pub(super) struct HackerNews {
    base: Url,
    /// Each makes one request after another.
    asked: Vec<Asked>,
}

#[derive(Deserialize)]
struct Updates {
    #[serde(default)]
    items: Vec<u64>,
}

impl HackerNews {
    pub(super) fn new(config: &ForumConfig) -> Self {
        let asked = (0..TOGETHER).map(|_| Asked::new(config.transport.clone())).collect();
        Self { base: config.url.clone(), asked }
    }

    /// What is at a path of it.
    async fn get<T: Send>(
        &mut self,
        path: &str,
        read: impl Fn(&[u8]) -> Option<T> + Send + Sync,
        line: &Line,
    ) -> Result<Option<T>, End> {
        let url = below(&self.base, ["v0", path]);
        match self.asked.first_mut() {
            Some(asked) => asked.page(&url, read, line).await,
            None => Ok(None),
        }
    }

    /// The items of those numbers, as far as they are there.
    async fn items(&mut self, numbers: &[u64], line: &Line) -> Result<Vec<Item>, End> {
        let share = numbers.len().div_ceil(TOGETHER).max(1);
        let base = &self.base;
        let shares = self.asked.iter_mut().zip(numbers.chunks(share)).map(|(asked, numbers)| async move {
            let mut items = Vec::new();
            for number in numbers {
                let url = below(base, ["v0", "item", &format!("{number}.json")]);
                let read = |body: &[u8]| item(body, &Reading { source: &line.name, base, now: line.now() });
                items.extend(asked.page(&url, read, line).await?.into_iter().flatten());
            }
            Ok::<_, End>(items)
        });
        Ok(try_join_all(shares).await?.concat())
    }
}

impl Board for HackerNews {
    const MOST_PAGES: usize = 200;
    const REMEMBERED: usize = 1000;
    const SHOWS_KNOWN: bool = false;

    fn lists(&self) -> Vec<String> {
        vec!["items".to_owned()]
    }

    async fn page(&mut self, _: &str, after: Option<&str>, memory: &Memory, line: &Line) -> Result<Option<Page>, End> {
        let top = match after.and_then(|after| after.parse::<u64>().ok()) {
            Some(top) => top,
            None => match self.get("maxitem.json", |body| serde_json::from_slice::<u64>(body).ok(), line).await? {
                Some(top) => top,
                None => return Ok(None),
            },
        };
        let bottom = top.saturating_sub(PAGE - 1).max(1);
        let numbers = (bottom..=top).rev().filter(|number| !memory.knows(&number.to_string()));
        let numbers: Vec<u64> = numbers.collect();
        let all = usize::try_from(top.saturating_sub(bottom) + 1).unwrap_or(0);
        let items = self.items(&numbers, line).await?;
        let next = (bottom > 1).then(|| (bottom - 1).to_string());
        Ok(Some(Page { items, known: all - numbers.len(), next }))
    }

    async fn again(&mut self, _: &str, _: &[String], memory: &Memory, line: &Line) -> Result<Vec<Item>, End> {
        let read = |body: &[u8]| serde_json::from_slice::<Updates>(body).ok();
        let Some(Updates { items }) = self.get("updates.json", read, line).await? else { return Ok(Vec::new()) };
        let known = items.into_iter().filter(|number| memory.knows(&number.to_string()));
        let changed: Vec<u64> = known.take(MOST_CHANGED).collect();
        self.items(&changed, line).await
    }

    fn begin(&mut self, _: &str) {
        self.asked.iter_mut().for_each(Asked::forget);
    }
}

fn id(number: u64) -> PostId {
    PostId::from(format!("hackernews:{number}"))
}

/// An item, or none when it is not there yet; nothing when the body is neither.
pub(super) fn item(body: &[u8], reading: &Reading<'_>) -> Option<Vec<Item>> {
    let raw: &RawValue = serde_json::from_slice(body).ok()?;
    if raw.get() == "null" {
        return Some(Vec::new());
    }
    Some(vec![Item::of(raw, |item| {
        let number = item.pointer("/id").and_then(Value::as_u64).ok_or(Rejected::MissingField)?;
        let at = seconds(item, "/time");
        let said = match text(item, "/type") {
            _ if is(item, "/deleted") || is(item, "/dead") => Said::Gone(id(number)),
            Some("story" | "comment" | "job" | "poll" | "pollopt") => Said::post(post(item, number, reading)),
            _ => Said::Other,
        };
        Ok(Item { name: number.to_string(), at, in_order: true, said })
    })])
}

fn post(item: &Value, number: u64, reading: &Reading<'_>) -> Post {
    let at = seconds(item, "/time");
    let by = shown(item, "/by");
    let body = plain(text(item, "/text").unwrap_or_default(), None);
    let title = text(item, "/title").map(|title| plain(title, None).text);
    let author = AuthorId::from(format!("hackernews:user/{}", by.as_deref().unwrap_or_default()));
    let mut post = reading.post(id(number), author, [title.as_deref(), Some(&body.text)], (at, None));
    post.author.handle = by;
    post.url = Some(format!("{SITE}/item?id={number}"));
    keep_link(&mut post, item, "/url");
    for link in &body.links {
        keep(&mut post.links, link, MAX_LINK_BYTES);
    }
    if let Some(parent) = item.pointer("/parent").or_else(|| item.pointer("/poll")).and_then(Value::as_u64) {
        post.kind = PostKind::Reply;
        post.reply_to = Some(id(parent));
    }
    post
}
