//! What was missed, by searching for it: query after query, page after page, behind the newest id that was read.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use super::wire::{Access, FIELDS, reset_at};
use crate::source::http::Answer;
use crate::source::line::Line;
use crate::source::supervise::End;

/// The longest page, in bytes: a hundred posts with all that belongs to them.
const MOST_BYTES: usize = 8 << 20;
/// Posts of a page; X gives no fewer than ten.
const PAGE: u64 = 100;
const LEAST_PAGE: u64 = 10;
/// The longest token of a next page, in bytes.
const MOST_TOKEN: usize = 1024;
/// How often a page is tried, and the first wait between two tries.
const TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// Nobody's limits last longer.
const LONGEST_WAIT: Duration = Duration::from_mins(16);

/// How far a search is.
pub(super) struct Search {
    access: Arc<Access>,
    queries: Arc<[String]>,
    place: usize,
    next: Option<String>,
    pub(super) since: u64,
    /// Queries that X does not take as searches, or does not answer to the end.
    unsearched: usize,
}

/// What a page brought.
pub(super) enum Found {
    /// Posts, each as the stream would send it; and the search goes on.
    Posts(Vec<Vec<u8>>),
    /// All was read.
    Done,
    /// Not all can be read, and why.
    GaveUp(String),
}

impl Search {
    pub(super) fn behind(since: u64, access: Arc<Access>, queries: Arc<[String]>) -> Self {
        Self { access, queries, place: 0, next: None, since, unsearched: 0 }
    }

    /// The next page, of so many posts at most.
    ///
    /// # Errors
    /// [`End::Stopped`].
    pub(super) async fn page(mut self, most: u64, line: Line) -> Result<(Self, Found), End> {
        let Some(query) = self.queries.get(self.place).cloned() else {
            let found = match self.unsearched {
                0 => Found::Done,
                some => Found::GaveUp(format!("X does not take {some} of our queries as searches, or not to the end")),
            };
            return Ok((self, found));
        };
        let mut why = String::new();
        for attempt in 0..TRIES {
            match self.ask(&query, most, &line).await {
                Ok(answer) if answer.status.is_success() => {
                    if let Some((posts, next)) = read(&answer.body) {
                        self.unsearched += usize::from(next.as_ref().is_some_and(|next| next.len() > MOST_TOKEN));
                        self.next = next.filter(|next| next.len() <= MOST_TOKEN);
                        self.place += usize::from(self.next.is_none());
                        return Ok((self, Found::Posts(posts)));
                    }
                    // It broke off, or a proxy answered: whatever else there is must be asked for again.
                    "searching was answered with what is no page".clone_into(&mut why);
                    pause(attempt, &line).await?;
                }
                Ok(Answer { status: StatusCode::BAD_REQUEST, .. }) => {
                    self.unsearched += 1;
                    self.place += 1;
                    self.next = None;
                    return Ok((self, Found::Posts(Vec::new())));
                }
                Ok(answer) if answer.status.is_client_error() && answer.status != StatusCode::TOO_MANY_REQUESTS => {
                    return Ok((self, Found::GaveUp(format!("searching was answered with {}", answer.status))));
                }
                Ok(answer) => {
                    why = format!("searching was answered with {}", answer.status);
                    let wait = reset_at(&answer.headers).map(|at| at.since(line.now()));
                    let wait = wait.unwrap_or(FIRST_WAIT * 2_u32.pow(attempt));
                    line.unless_stopped(sleep(wait.min(LONGEST_WAIT).min(line.timing.longest_rest * 4))).await?;
                }
                Err(End::Stopped) => return Err(End::Stopped),
                Err(_) => {
                    "searching got no answer".clone_into(&mut why);
                    pause(attempt, &line).await?;
                }
            }
        }
        Ok((self, Found::GaveUp(why)))
    }

    async fn ask(&self, query: &str, most: u64, line: &Line) -> Result<Answer, End> {
        let mut url = self.access.at("2/tweets/search/recent");
        {
            let mut pairs = url.query_pairs_mut();
            pairs.append_pair("query", query).append_pair("since_id", &self.since.to_string());
            pairs.append_pair("max_results", &most.clamp(LEAST_PAGE, PAGE).to_string()).extend_pairs(FIELDS);
            if let Some(next) = &self.next {
                pairs.append_pair("next_token", next);
            }
        }
        self.access.ask(Method::GET, url, Vec::new(), MOST_BYTES, line).await
    }
}

/// The wait between two tries.
async fn pause(attempt: u32, line: &Line) -> Result<(), End> {
    let wait = (FIRST_WAIT * 2_u32.pow(attempt)).min(line.timing.longest_rest);
    line.unless_stopped(sleep(wait)).await
}

/// The posts of a page, each with what belongs to it, and the token of the next page; nothing when it is no whole page,
/// which tells of its posts or how many there are.
fn read(body: &[u8]) -> Option<(Vec<Vec<u8>>, Option<String>)> {
    let page = serde_json::from_slice::<Value>(body).ok()?;
    if !["data", "meta"].iter().any(|part| page.get(part).is_some()) {
        return None;
    }
    let includes = page.get("includes");
    let posts = page.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let posts = posts.iter().map(|post| json!({ "data": post, "includes": belonging(post, includes) }));
    let next = page.pointer("/meta/next_token").and_then(Value::as_str);
    Some((posts.map(|post| post.to_string().into_bytes()).collect(), next.map(str::to_owned)))
}

/// What a page includes for one of its posts.
fn belonging(post: &Value, includes: Option<&Value>) -> Value {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let references = post.get("referenced_tweets").or_else(|| post.get("referenced_posts"));
    let others: Vec<String> = list(references).iter().filter_map(|other| text(other.get("id"))).collect();
    let mut keys = list(post.pointer("/attachments/media_keys"));
    let mut kept = Map::new();
    for name in ["tweets", "posts"] {
        let mut some = list(includes.and_then(|includes| includes.get(name)));
        some.retain(|one| text(one.get("id")).is_some_and(|id| others.contains(&id)));
        keys.extend(some.iter().flat_map(|one| list(one.pointer("/attachments/media_keys"))));
        kept.insert(name.to_owned(), Value::Array(some));
    }
    let mut users = list(includes.and_then(|includes| includes.get("users")));
    users.retain(|user| text(user.get("id")) == text(post.get("author_id")));
    let mut media = list(includes.and_then(|includes| includes.get("media")));
    media.retain(|one| one.get("media_key").is_some_and(|key| keys.contains(key)));
    kept.insert("users".to_owned(), Value::Array(users));
    kept.insert("media".to_owned(), Value::Array(media));
    kept.retain(|_, list| list.as_array().is_some_and(|list| !list.is_empty()));
    Value::Object(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_post_of_a_page_gets_what_is_its_own() {
        let user = |id: &str| json!({ "id": id, "username": format!("u{id}") });
        let page = json!({
            "data": [
                { "id": "1", "author_id": "7", "text": "a", "attachments": { "media_keys": ["m1"] } },
                { "id": "2", "author_id": "8", "text": "RT a", "referenced_tweets": [{ "type": "retweeted", "id": "1" }] },
            ],
            "includes": {
                "users": [user("7"), user("8")], "media": [{ "media_key": "m1", "alt_text": "smoke" }, { "media_key": "m2" }],
                "tweets": [{ "id": "1", "text": "a", "attachments": { "media_keys": ["m1"] } }],
            },
            "meta": { "next_token": "n" },
        });
        let (posts, next) = read(page.to_string().as_bytes()).unwrap();
        let posts: Vec<Value> = posts.iter().map(|post| serde_json::from_slice(post).unwrap()).collect();
        assert_eq!(next.as_deref(), Some("n"));
        let media = json!([{ "media_key": "m1", "alt_text": "smoke" }]);
        assert_eq!(posts[0]["includes"], json!({ "users": [user("7")], "media": media }));
        assert_eq!(posts[1]["includes"]["tweets"][0]["id"], "1");
        assert_eq!((&posts[1]["includes"]["users"], &posts[1]["includes"]["media"]), (&json!([user("8")]), &media));
        let cut = page.to_string();
        for no_page in ["<html>", "{}", "7", "", cut.split_at(cut.len() / 2).0] {
            assert!(read(no_page.as_bytes()).is_none(), "{no_page}");
        }
        assert_eq!(read(br#"{"meta":{"result_count":0}}"#), Some((Vec::new(), None)));
    }
}
