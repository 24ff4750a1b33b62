//! Reddit, by its Data API with an app's own token: what is new in subreddits, comments there, and what a search finds.
//!
//! A list ends behind a thousand things, whatever there is. `after=NAME` is where the last page ended; `before` is never
//! asked for, because one that was deleted answers with nothing for ever. What is deleted says so by `[deleted]` or
//! `[removed]`, or is not there any more, which `/api/info` tells. A hundred requests a minute are allowed, and each
//! answer says how many are left (`X-Ratelimit-Remaining`, and `-Reset`, in seconds). Who does not say who asks is
//! refused. Source: <https://www.reddit.com/dev/api>, <https://github.com/reddit-archive/reddit/wiki/OAuth2>.

use std::time::Duration;

use base64::Engine as _;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;
use url::Url;

use super::round::{Board, Page, gone};
use super::{
    Asked, Item, MOST_ITEMS, Memory, Reading, Said, below, is, keep_link, seconds, short, shown, text, unusable,
};
use crate::config::model::{ForumConfig, ForumDialect};
use crate::domain::event::Rejected;
use crate::domain::id::{AuthorId, PostId};
use crate::source::http::{Request, refused};
use crate::source::line::Line;
use crate::source::supervise::{End, Failure, Remedy};

/// Things of a page, and of one question about what became of them.
const PAGE: usize = 100;
/// The longest answer with a token, in bytes.
const MOST_TOKEN: usize = 1 << 16;
/// A token is asked for anew so long before it ends.
const EARLY: Duration = Duration::from_mins(2);
/// What stands where something was taken away.
const TAKEN: [&str; 2] = ["[deleted]", "[removed]"];
/// Where tokens are, for the API at [`ForumConfig::REDDIT`]; for any other they are there.
const TOKENS: (&str, &str) = ("oauth.reddit.com", "www.reddit.com");
const SITE: &str = "https://www.reddit.com";

/// Reddit, and what is read of it.
pub(super) struct Reddit {
    base: Url,
    asked: Asked,
    config: ForumConfig,
    /// Until when the token holds.
    token: Option<Instant>,
}

#[derive(Deserialize)]
struct Listing<'a> {
    #[serde(borrow)]
    data: Children<'a>,
}

#[derive(Deserialize)]
struct Children<'a> {
    #[serde(borrow)]
    children: Vec<&'a RawValue>,
    #[serde(default)]
    after: Option<String>,
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
    #[serde(default)]
    expires_in: Option<u64>,
}

impl Reddit {
    pub(super) fn new(config: &ForumConfig) -> Self {
        let mut asked = Asked::new(config.transport.clone());
        if let ForumDialect::Reddit { contact, .. } = &config.dialect {
            asked = asked.named(contact);
        }
        Self { base: config.url.clone(), asked, config: config.clone(), token: None }
    }

    /// Where a list is, with what is asked of it.
    fn address(&self, list: &str, after: Option<&str>) -> Url {
        let ForumDialect::Reddit { communities, .. } = &self.config.dialect else { return self.base.clone() };
        let all = communities.join("+");
        let mut url = match list.split_once(' ') {
            Some(("search", words)) => {
                let mut url = below(&self.base, ["search"]);
                url.query_pairs_mut().append_pair("q", words).append_pair("sort", "new").append_pair("type", "link");
                url
            }
            _ => below(&self.base, ["r", &all, list]),
        };
        url.query_pairs_mut().append_pair("limit", &PAGE.to_string()).append_pair("raw_json", "1");
        if let Some(after) = after {
            url.query_pairs_mut().append_pair("after", after);
        }
        url
    }

    /// Asks for a token, unless there is one that holds.
    async fn log_in(&mut self, line: &Line) -> Result<(), End> {
        let ForumDialect::Reddit { client_id, secret, .. } = &self.config.dialect else { return Ok(()) };
        if self.token.is_some_and(|until| until > Instant::now()) {
            return Ok(());
        }
        let mut url = below(&self.base, ["api", "v1", "access_token"]);
        if url.host_str() == Some(TOKENS.0) {
            url.set_host(Some(TOKENS.1)).or(Err(Failure::retry("no host")))?;
        }
        let login = base64::engine::general_purpose::STANDARD.encode(format!("{client_id}:{}", secret.expose()));
        let Ok(mut login) = HeaderValue::try_from(format!("Basic {login}")) else {
            return Err(unusable("client_id or secret"));
        };
        login.set_sensitive(true);
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = HeaderMap::from_iter([(AUTHORIZATION, login), (CONTENT_TYPE, form)]);
        let body = b"grant_type=client_credentials".to_vec();
        let host = url.host_str().unwrap_or_default().to_owned();
        let answer =
            self.asked.ask(Request { method: Method::POST, url, headers, body, most: MOST_TOKEN }, line).await?;
        if matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            let advice = "check `client_id`, `secret`, and that Reddit has approved the app";
            return Err(Failure::operator(format!("{host} gives no token ({}); {advice}", answer.status)));
        }
        if !answer.status.is_success() {
            return Err(refused(&host, answer.status, &answer.headers));
        }
        let Ok(Token { access_token, expires_in }) = serde_json::from_slice(&answer.body) else {
            return Err(Failure::retry(format!("{host} answered with what is no token")));
        };
        self.asked.with("authorization", &format!("Bearer {access_token}"))?;
        let holds = Duration::from_secs(expires_in.unwrap_or(3600)).min(Duration::from_hours(24));
        self.token = Some(Instant::now() + holds.saturating_sub(EARLY));
        Ok(())
    }

    /// A page; a token that was taken back is replaced, once.
    async fn listing(&mut self, url: &Url, line: &Line) -> Result<Option<(Vec<Item>, Option<String>)>, End> {
        for is_last in [false, true] {
            self.log_in(line).await?;
            let base = self.base.clone();
            let read = |body: &[u8]| items(body, &Reading { source: &line.name, base: &base, now: line.now() });
            match self.asked.page(url, read, line).await {
                Err(End::Failed(Failure { error, remedy: Remedy::Operator })) if error.contains("answered 401") => {
                    self.token = None;
                    if is_last {
                        return Err(Failure::operator(error));
                    }
                }
                other => return other,
            }
        }
        Ok(None)
    }
}

impl Board for Reddit {
    const SHOWS: Option<usize> = Some(900);

    fn lists(&self) -> Vec<String> {
        let ForumDialect::Reddit { communities, searches, .. } = &self.config.dialect else { return Vec::new() };
        let of_communities = ["new", "comments"].into_iter().filter(|_| !communities.is_empty()).map(str::to_owned);
        of_communities.chain(searches.iter().map(|words| format!("search {words}"))).collect()
    }

    async fn page(&mut self, list: &str, after: Option<&str>, _: &Memory, line: &Line) -> Result<Option<Page>, End> {
        let url = self.address(list, after);
        let page = self.listing(&url, line).await?;
        Ok(page.map(|(items, next)| Page { items, known: 0, next }))
    }

    async fn again(&mut self, _: &str, names: &[String], _: &Memory, line: &Line) -> Result<Vec<Item>, End> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut url = below(&self.base, ["api", "info"]);
        url.query_pairs_mut().append_pair("id", &names.join(",")).append_pair("raw_json", "1");
        let (mut items, _) = self.listing(&url, line).await?.unwrap_or_default();
        items.retain(|item| names.contains(&item.name));
        let there: Vec<String> = items.iter().map(|item| item.name.clone()).collect();
        items.extend(names.iter().filter(|name| !there.contains(name)).map(|name| gone(name, id(name))));
        Ok(items)
    }

    fn begin(&mut self, _: &str) {
        self.asked.forget();
    }
}

/// The things of a page, and where the next one begins.
pub(super) fn items(body: &[u8], reading: &Reading<'_>) -> Option<(Vec<Item>, Option<String>)> {
    let Listing { data: Children { children, after } } = serde_json::from_slice(body).ok()?;
    let items = children.into_iter().take(MOST_ITEMS).map(|raw| item(raw, reading)).collect();
    Some((items, after.filter(|after| (1..=64).contains(&after.len()))))
}

fn id(name: &str) -> PostId {
    PostId::from(format!("reddit:{name}"))
}

fn item(raw: &RawValue, reading: &Reading<'_>) -> Item {
    Item::of(raw, |thing| {
        let name = short(thing, "/data/name").ok_or(Rejected::MissingField)?.to_owned();
        let at = seconds(thing, "/data/created_utc");
        let is_comment = text(thing, "/kind") == Some("t1");
        let in_order = !is(thing, "/data/stickied") || is_comment;
        let said = if is_taken(thing, is_comment) {
            Said::Gone(id(&name))
        } else {
            Said::post(post(thing, &name, is_comment, at, reading))
        };
        Ok(Item { name, at, in_order, said })
    })
}

/// Whether it was deleted by its author, or removed by somebody else.
fn is_taken(thing: &Value, is_comment: bool) -> bool {
    let body = text(thing, if is_comment { "/data/body" } else { "/data/selftext" });
    let has_no_author = text(thing, "/data/author") == Some("[deleted]");
    let is_removed = thing.pointer("/data/removed_by_category").is_some_and(Value::is_string);
    body.is_some_and(|body| TAKEN.contains(&body)) || (body.is_none() && (has_no_author || is_removed))
}

fn post(
    thing: &Value,
    name: &str,
    is_comment: bool,
    at: Option<crate::domain::time::Timestamp>,
    reading: &Reading<'_>,
) -> crate::domain::post::Post {
    let handle = shown(thing, "/data/author").filter(|handle| handle != "[deleted]");
    let author = short(thing, "/data/author_fullname").map(str::to_owned);
    let author = author.or_else(|| handle.as_ref().map(|handle| format!("u/{handle}"))).unwrap_or_default();
    let body = text(thing, if is_comment { "/data/body" } else { "/data/selftext" });
    let words = [text(thing, "/data/title").filter(|_| !is_comment), body];
    let author = AuthorId::from(format!("reddit:{author}"));
    let mut post = reading.post(id(name), author, words, (at, seconds(thing, "/data/edited")));
    post.author.handle = handle;
    if is_comment {
        post.reply_to = short(thing, "/data/parent_id").or_else(|| short(thing, "/data/link_id")).map(id);
        post.kind = crate::domain::post::PostKind::Reply;
    } else if !is(thing, "/data/is_self") {
        keep_link(&mut post, thing, "/data/url");
    }
    let page = text(thing, "/data/permalink").and_then(|path| Url::parse(SITE).ok()?.join(path).ok());
    post.url = page.filter(|page| page.host_str() == Some("www.reddit.com")).map(Into::into);
    let hint = text(thing, "/data/post_hint").unwrap_or_default();
    let shows = hint == "image" || hint.ends_with(":video");
    post.has_media = shows || is(thing, "/data/is_video") || is(thing, "/data/is_gallery");
    post
}
