//! Lemmy, by its API v3: posts and comments of communities, or all that an instance knows, by its pages' numbers.
//!
//! What a community pins stands first, whatever its date; what comes from another instance has that one's date, and may
//! come late. Deleted and removed things vanish from lists, or say so; asked for one by one, they answer
//! `couldnt_find_…`. A thing's `ap_id` is its name on the fediverse, and its author's `actor_id` theirs: the same by which
//! `mastodon` knows them. Source: <https://join-lemmy.org/api/v3>.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use super::round::{Board, Page, gone};
use super::{Asked, Item, MOST_ITEMS, Memory, Reading, Said, below, date, is, keep_link, short, shown, text};
use crate::config::model::{ForumConfig, ForumDialect};
use crate::domain::event::Rejected;
use crate::domain::id::{AuthorId, PostId};
use crate::domain::post::{Post, PostKind};
use crate::source::html::plain;
use crate::source::line::Line;
use crate::source::sanity::{MAX_TEXT_BYTES, keep};
use crate::source::supervise::{End, Failure};

/// Things of a page; instances give no more.
const PAGE: usize = 50;

/// An instance of Lemmy.
pub(super) struct Lemmy {
    base: Url,
    asked: Asked,
    config: ForumConfig,
}

#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow, default)]
    posts: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    comments: Vec<&'a RawValue>,
}

impl Lemmy {
    pub(super) fn new(config: &ForumConfig) -> Self {
        Self { base: config.url.clone(), asked: Asked::new(config.transport.clone()), config: config.clone() }
    }

    fn log_in(&mut self) -> Result<(), End> {
        if let ForumDialect::Lemmy { token: Some(token), .. } = &self.config.dialect {
            self.asked.with("authorization", &format!("Bearer {}", token.expose()))?;
        }
        Ok(())
    }
}

impl Board for Lemmy {
    fn lists(&self) -> Vec<String> {
        let ForumDialect::Lemmy { communities, .. } = &self.config.dialect else { return Vec::new() };
        let both = |of: &str| ["post", "comment"].map(|kind| format!("{kind}{of}"));
        match communities.as_slice() {
            [] => both("").to_vec(),
            some => some.iter().flat_map(|name| both(&format!(" {name}"))).collect(),
        }
    }

    async fn page(&mut self, list: &str, after: Option<&str>, _: &Memory, line: &Line) -> Result<Option<Page>, End> {
        self.log_in()?;
        let (kind, community) = list.split_once(' ').map_or((list, None), |(kind, name)| (kind, Some(name)));
        let mut url = below(&self.base, ["api", "v3", kind, "list"]);
        url.query_pairs_mut().append_pair("sort", "New").append_pair("limit", &PAGE.to_string());
        match community {
            Some(community) => url.query_pairs_mut().append_pair("community_name", community),
            None => url.query_pairs_mut().append_pair("type_", "All"),
        };
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("page", after);
        }
        let base = self.base.clone();
        let read = |body: &[u8]| items(body, &Reading { source: &line.name, base: &base, now: line.now() });
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
            let Some((kind, number, uri)) = parts(name) else { continue };
            let mut url = below(&self.base, ["api", "v3", kind]);
            url.query_pairs_mut().append_pair("id", number);
            let body = self.asked.one(&url, line).await?;
            let Some(body) = body else {
                items.push(gone(name, PostId::from(uri)));
                continue;
            };
            let reading = Reading { source: &line.name, base: &self.base, now: line.now() };
            let view = serde_json::from_slice::<std::collections::BTreeMap<Cow<'_, str>, &RawValue>>(&body);
            let Ok(view) = view else { return Err(Failure::retry("half of an answer")) };
            let view = view.get(format!("{kind}_view").as_str()).map(|raw| item(raw, &reading));
            items.extend(view.filter(|item| item.name == *name));
        }
        Ok(items)
    }

    fn begin(&mut self, _: &str) {
        self.asked.forget();
    }
}

/// The things of a page.
pub(super) fn items(body: &[u8], reading: &Reading<'_>) -> Option<Vec<Item>> {
    // An object with neither is no list: instances say so when something is wrong.
    let value: std::collections::BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(body).ok()?;
    if !value.contains_key("posts") && !value.contains_key("comments") {
        return None;
    }
    let List { posts, comments } = serde_json::from_slice(body).ok()?;
    Some(posts.into_iter().chain(comments).take(MOST_ITEMS).map(|raw| item(raw, reading)).collect())
}

/// A name: whether it is a post or a comment, its number at this instance, and what all others know it by.
fn parts(name: &str) -> Option<(&'static str, &str, &str)> {
    let (kind, rest) = name.split_once(' ')?;
    let (number, uri) = rest.split_once(' ')?;
    Some((if kind == "post" { "post" } else { "comment" }, number, uri))
}

fn item(raw: &RawValue, reading: &Reading<'_>) -> Item {
    Item::of(raw, |view| {
        let kind = if view.pointer("/comment").is_some() { "comment" } else { "post" };
        let at = |field: &str| format!("/{kind}/{field}");
        let number = view.pointer(&at("id")).and_then(Value::as_u64).ok_or(Rejected::MissingField)?;
        let uri = short(view, &at("ap_id")).ok_or(Rejected::MissingField)?;
        let created = date(view, &at("published"));
        let is_pinned = kind == "post" && ["featured_community", "featured_local"].iter().any(|pin| is(view, &at(pin)));
        let said = if is(view, &at("deleted")) || is(view, &at("removed")) {
            Said::Gone(PostId::from(uri))
        } else {
            let actor = short(view, "/creator/actor_id").ok_or(Rejected::MissingField)?;
            let body = text(view, &at(if kind == "comment" { "content" } else { "body" }));
            let words = [text(view, &at("name")), body];
            let dates = (created, date(view, &at("updated")));
            let mut post = reading.post(PostId::from(uri), AuthorId::from(actor), words, dates);
            about(&mut post, view, kind, uri, actor, reading);
            Said::post(post)
        };
        Ok(Item { name: format!("{kind} {number} {uri}"), at: created, in_order: !is_pinned, said })
    })
}

/// All but the words.
fn about(post: &mut Post, view: &Value, kind: &str, uri: &str, actor: &str, reading: &Reading<'_>) {
    let home = Url::parse(actor).ok();
    let home = home.as_ref().and_then(Url::host_str);
    post.author.handle = shown(view, "/creator/name").zip(home).map(|(name, home)| format!("{name}@{home}"));
    post.author.name = shown(view, "/creator/display_name");
    post.url = crate::source::html::absolute(uri, None);
    if kind == "comment" {
        post.kind = PostKind::Reply;
        // `0.12.34`: this one is 34, and answers 12; one level down it answers the post.
        let path = text(view, "/comment/path").unwrap_or_default();
        let parent =
            path.rsplit('.').nth(1).filter(|parent| *parent != "0" && parent.bytes().all(|b| b.is_ascii_digit()));
        let of_parent = parent.map(|parent| below(reading.base, ["comment", parent]).to_string());
        let of_post = || short(view, "/post/ap_id").map(str::to_owned);
        post.reply_to = of_parent.or_else(of_post).map(PostId::from);
        return;
    }
    keep_link(post, view, "/post/url");
    for place in ["/post/alt_text", "/post/embed_title", "/post/embed_description"] {
        if let Some(words) = text(view, place) {
            keep(&mut post.media_text, &plain(words, None).text, MAX_TEXT_BYTES);
        }
    }
    post.has_media = text(view, "/post/thumbnail_url").is_some();
}
