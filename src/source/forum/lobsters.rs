//! Lobsters, and sites of its software: stories as JSON (`/newest.json`, `/newest/page/2.json`), comments as RSS
//! (`/comments.rss`), for which there is no JSON.
//!
//! What became of a story tells `/s/ID.json`, of a comment `/c/ID.json`, also that it was deleted or removed. Source: the
//! site's own `routes.rb` and `comments_controller.rb`.

use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use super::round::{Board, Page, gone};
use super::{Asked, Item, MOST_ITEMS, Memory, Reading, Said, below, date, is, keep_link, short, shown, text};
use crate::config::model::ForumConfig;
use crate::domain::event::Rejected;
use crate::domain::id::{AuthorId, PostId};
use crate::domain::post::PostKind;
use crate::source::feed;
use crate::source::html::plain;
use crate::source::line::Line;
use crate::source::sanity::{MAX_LINK_BYTES, MAX_TAG_BYTES, keep};
use crate::source::supervise::{End, Failure};

/// Such a site.
pub(super) struct Lobsters {
    base: Url,
    asked: Asked,
}

impl Lobsters {
    pub(super) fn new(config: &ForumConfig) -> Self {
        Self { base: config.url.clone(), asked: Asked::new(config.transport.clone()) }
    }
}

impl Board for Lobsters {
    fn lists(&self) -> Vec<String> {
        vec!["newest".to_owned(), "comments".to_owned()]
    }

    async fn page(&mut self, list: &str, after: Option<&str>, _: &Memory, line: &Line) -> Result<Option<Page>, End> {
        let ending = if list == "newest" { "json" } else { "rss" };
        let url = match after {
            None => below(&self.base, [format!("{list}.{ending}").as_str()]),
            Some(page) => below(&self.base, [list, "page", &format!("{page}.{ending}")]),
        };
        let base = self.base.clone();
        let read = |body: &[u8]| {
            let reading = Reading { source: &line.name, base: &base, now: line.now() };
            if ending == "json" { stories(body, &reading) } else { comments(body, &reading) }
        };
        let items = self.asked.page(&url, read, line).await?;
        let page: u32 = after.and_then(|after| after.parse().ok()).unwrap_or(1);
        Ok(items.map(|items| {
            let next = (!items.is_empty()).then(|| (page + 1).to_string());
            Page { items, known: 0, next }
        }))
    }

    async fn again(&mut self, _: &str, names: &[String], _: &Memory, line: &Line) -> Result<Vec<Item>, End> {
        let mut items = Vec::new();
        for name in names {
            let Some((kind, short_id)) = name.split_once('/') else { continue };
            let url = below(&self.base, [kind, &format!("{short_id}.json")]);
            let body = self.asked.one(&url, line).await?;
            let reading = Reading { source: &line.name, base: &self.base, now: line.now() };
            let Some(body) = body else {
                items.push(gone(name, id(name, &reading)));
                continue;
            };
            let Ok(raw) = serde_json::from_slice::<&RawValue>(&body) else {
                return Err(Failure::retry("half of an answer"));
            };
            let there = if kind == "s" { story(raw, &reading) } else { comment_again(raw, &reading) };
            items.extend(Some(there).filter(|item| item.name == *name));
        }
        Ok(items)
    }

    fn begin(&mut self, _: &str) {
        self.asked.forget();
    }
}

fn id(name: &str, reading: &Reading<'_>) -> PostId {
    PostId::from(format!("lobsters:{}/{name}", reading.site()))
}

fn author(name: &str, reading: &Reading<'_>) -> AuthorId {
    AuthorId::from(format!("lobsters:{}/~{name}", reading.site()))
}

/// The stories of a page.
pub(super) fn stories(body: &[u8], reading: &Reading<'_>) -> Option<Vec<Item>> {
    let stories: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
    Some(stories.into_iter().take(MOST_ITEMS).map(|raw| story(raw, reading)).collect())
}

fn is_gone(item: &Value) -> bool {
    is(item, "/is_deleted") || is(item, "/is_moderated")
}

fn story(raw: &RawValue, reading: &Reading<'_>) -> Item {
    Item::of(raw, |story| {
        let name = format!("s/{}", short(story, "/short_id").ok_or(Rejected::MissingField)?);
        let at = date(story, "/created_at");
        if is_gone(story) {
            let said = Said::Gone(id(&name, reading));
            return Ok(Item { name, at, in_order: true, said });
        }
        // Once it was an object, today it is a name.
        let writer = shown(story, "/submitter_user").or_else(|| shown(story, "/submitter_user/username"));
        let body = plain(text(story, "/description").unwrap_or_default(), Some(reading.base));
        let who = author(writer.as_deref().unwrap_or_default(), reading);
        let mut post = reading.post(id(&name, reading), who, [text(story, "/title"), Some(&body.text)], (at, None));
        post.author.handle = writer;
        let page = text(story, "/comments_url").or_else(|| text(story, "/short_id_url"));
        post.url = page.and_then(|page| crate::source::html::absolute(page, Some(reading.base)));
        keep_link(&mut post, story, "/url");
        for link in &body.links {
            keep(&mut post.links, link, MAX_LINK_BYTES);
        }
        let tags = story.pointer("/tags").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        for tag in tags.iter().filter_map(Value::as_str) {
            keep(&mut post.tags, tag, MAX_TAG_BYTES);
        }
        let said = Said::post(post);
        Ok(Item { name, at, in_order: true, said })
    })
}

/// The comments of a page.
pub(super) fn comments(body: &[u8], reading: &Reading<'_>) -> Option<Vec<Item>> {
    let document = feed::read(body, None, reading.base).ok()?;
    // Half of a document is asked for again.
    let items = document.is_whole.then_some(document.items)?;
    Some(items.iter().filter_map(|item| comment(item, reading)).collect())
}

/// What stands behind a mark in an address, as far as it is an id.
fn id_in<'a>(address: &'a str, mark: &str) -> Option<&'a str> {
    let (_, rest) = address.rsplit_once(mark)?;
    let short_id = rest.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    (1..=32).contains(&short_id.len()).then_some(short_id)
}

fn comment(item: &feed::Item, reading: &Reading<'_>) -> Option<Item> {
    let addresses = [item.link.as_deref(), item.id.as_deref()].into_iter().flatten();
    let short_id = addresses.clone().find_map(|address| id_in(address, "#c_").or_else(|| id_in(address, "/c/")))?;
    let name = format!("c/{short_id}");
    // `user@users.lobste.rs (user)`, or the name alone.
    let writer = item.by.handle.clone().or_else(|| item.by.name.clone()).unwrap_or_default();
    let writer = writer.split(['@', ' ']).next().unwrap_or_default().to_owned();
    let words = [None, Some(item.content.as_str())];
    let at = item.published.or(item.updated);
    let mut post = reading.post(id(&name, reading), author(&writer, reading), words, (at, None));
    post.author.handle = Some(writer).filter(|writer| !writer.is_empty());
    post.kind = PostKind::Reply;
    post.url.clone_from(&item.link);
    let story = item.link.as_deref().and_then(|link| id_in(link.split('#').next()?, "/s/"));
    post.reply_to = story.map(|story| id(&format!("s/{story}"), reading));
    post.links.clone_from(&item.links);
    post.media_text.clone_from(&item.media_text);
    post.has_media = item.has_media;
    Some(Item { name, at, in_order: true, said: Said::post(post) })
}

/// A comment that the list does not show any more. Its words are those of another form, and not compared.
fn comment_again(raw: &RawValue, reading: &Reading<'_>) -> Item {
    Item::of(raw, |comment| {
        let name = format!("c/{}", short(comment, "/short_id").ok_or(Rejected::MissingField)?);
        let said = if is_gone(comment) { Said::Gone(id(&name, reading)) } else { Said::Other };
        Ok(Item { name, at: date(comment, "/created_at"), in_order: true, said })
    })
}
