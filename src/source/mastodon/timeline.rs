//! Timelines, asked for: what a stream missed, and instances that have no streams.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Bytes;
use url::Url;

use super::memory::{Memory, is_newer};
use crate::config::model::TimelineName;
use crate::config::secret::Secret;
use crate::domain::event::Reach;
use crate::domain::time::Timestamp;
use crate::net::retry::RetryAfter;
use crate::source::Frame;
use crate::source::http::{Answer, Http, Request, refused};
use crate::source::line::Line;
use crate::source::supervise::{End, Failure};

/// Statuses of one page; servers give no more.
const PAGE: usize = 40;
/// The longest answer that is read, in bytes.
const MOST_BYTES: usize = 8 << 20;
/// Pages of one timeline after one outage: 40,000 statuses.
const MOST_PAGES: usize = 1000;
/// When an instance that has enough of us does not say for how long.
const PAUSE: Duration = Duration::from_mins(1);
/// The longest such pause that is believed: limits of instances last five minutes.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// An instance that is asked.
pub(super) struct Asked<'a> {
    pub(super) http: &'a Http,
    pub(super) base: &'a Url,
    pub(super) token: Option<&'a Secret>,
}

/// A status, not read yet.
pub(super) struct Item {
    pub(super) id: String,
    pub(super) uri: String,
    frame: Bytes,
}

/// What an instance says to a question.
pub(super) enum Looked {
    /// Statuses, the newest first.
    Page(Vec<Item>),
    /// It does not show this timeline to us.
    Closed(End),
}

#[derive(Deserialize)]
struct Glance {
    id: String,
    #[serde(default)]
    uri: Option<String>,
}

impl TimelineName {
    /// Where it is, and what else has to be said.
    fn path(&self) -> (String, Option<&'static str>) {
        match self {
            Self::Public => ("api/v1/timelines/public".into(), None),
            Self::Local => ("api/v1/timelines/public".into(), Some("local")),
            Self::Remote => ("api/v1/timelines/public".into(), Some("remote")),
            Self::Hashtag(tag) => (format!("api/v1/timelines/tag/{tag}"), None),
            Self::List(id) => (format!("api/v1/timelines/list/{id}"), None),
            Self::Home => ("api/v1/timelines/home".into(), None),
        }
    }

    /// Whether posts of everybody are in it, so that there is always a fresh one.
    pub(super) const fn is_public(&self) -> bool {
        matches!(self, Self::Public | Self::Local | Self::Remote)
    }
}

impl Asked<'_> {
    /// The headers of any request, the handshake's too; none when the token cannot be one.
    pub(super) fn headers(&self) -> Result<HeaderMap, End> {
        let mut headers = HeaderMap::new();
        if let Some(token) = self.token {
            let value = HeaderValue::try_from(format!("Bearer {}", token.expose()));
            let Ok(mut value) = value else {
                return Err(Failure::operator("the token cannot be part of a request; check its file"));
            };
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(headers)
    }

    /// What is at a path of it.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)], line: &Line) -> Result<Answer, End> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        url.query_pairs_mut().extend_pairs(query);
        if query.is_empty() {
            url.set_query(None);
        }
        self.http.ask(Request::get(url, self.headers()?, MOST_BYTES), line).await
    }

    /// Up to `most` statuses of a timeline: the newest, or those right behind `after`.
    pub(super) async fn look(
        &self,
        name: &TimelineName,
        after: Option<&str>,
        most: usize,
        line: &Line,
    ) -> Result<Looked, End> {
        let (path, only) = name.path();
        let most = most.to_string();
        let mut query = vec![("limit", most.as_str())];
        query.extend(only.map(|only| (only, "true")));
        query.extend(after.map(|after| ("min_id", after)));
        loop {
            let answer = self.get(&path, &query, line).await?;
            let host = self.base.host_str().unwrap_or_default();
            match answer.status {
                status if status.is_success() => return items(&answer.body, host).map(Looked::Page),
                StatusCode::TOO_MANY_REQUESTS => {
                    let pause = pause(&answer.headers, line.now()).min(LONGEST_PAUSE);
                    line.unless_stopped(sleep(pause)).await?;
                }
                status if status.is_client_error() => {
                    return Ok(Looked::Closed(refused(host, status, &answer.headers)));
                }
                status => return Err(refused(host, status, &answer.headers)),
            }
        }
    }

    /// Hands on everything behind `after` of a timeline, the oldest first.
    pub(super) async fn catch_up(
        &self,
        name: &TimelineName,
        after: &str,
        memory: &Memory,
        line: &Line,
    ) -> Result<(), End> {
        let mut after = after.to_owned();
        for _ in 0..MOST_PAGES {
            let Looked::Page(mut page) = self.look(name, Some(&after), PAGE, line).await? else { return Ok(()) };
            page.reverse();
            let newest = page.iter().map(|item| &item.id).reduce(|a, b| if is_newer(a, b) { a } else { b });
            let Some(newest) = newest.filter(|newest| is_newer(newest, &after)).cloned() else { return Ok(()) };
            let now = line.now();
            let frames = page.into_iter().filter(|item| !memory.came(&item.id, &item.uri));
            let frames = frames.map(|item| Frame { received_at: Some(now), body: Ok(item.frame) });
            line.hand_on(frames.collect(), Reach::default()).await?;
            after = newest;
        }
        Ok(())
    }
}

/// The statuses of an answer. One that has no number of its own is left out: nothing could be said of it later.
fn items(body: &[u8], host: &str) -> Result<Vec<Item>, End> {
    let Ok(list) = serde_json::from_slice::<Vec<&RawValue>>(body) else {
        return Err(Failure::operator(format!("{host} does not answer as an instance does; check the source's `url`")));
    };
    let item = |raw: &&RawValue| {
        let Glance { id, uri } = serde_json::from_str(raw.get()).ok()?;
        let frame = format!(r#"{{"event":"update","payload":{}}}"#, raw.get()).into();
        Some(Item { id, uri: uri.unwrap_or_default(), frame })
    };
    Ok(list.iter().filter_map(item).collect())
}

/// How long an instance wants to be left alone (its `X-RateLimit-Reset` is a date).
fn pause(headers: &HeaderMap, now: Timestamp) -> Duration {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    if let Some(after) = header(RETRY_AFTER.as_str()).and_then(RetryAfter::parse) {
        return after.from(now);
    }
    let reset = header("x-ratelimit-reset").and_then(|text| Timestamp::parse(text).ok());
    reset.map_or(PAUSE, |reset| reset.since(now).max(Duration::from_secs(1)))
}

/// The number a margin before another: on Mastodon a number holds the milliseconds at which a status was written,
/// also when it came late from elsewhere.
pub(super) fn earlier(id: &str, margin: Duration) -> String {
    let Ok(number) = id.parse::<u64>() else { return id.to_owned() };
    let margin = u64::try_from(margin.as_millis()).unwrap_or(u64::MAX).saturating_mul(1 << 16);
    if number > margin { (number - margin).to_string() } else { id.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_dates_or_seconds() {
        let now = Timestamp::from_seconds(1_795_361_895);
        let pauses = |name: &'static str, value: &str| {
            pause(&[(name.parse().unwrap(), value.parse().unwrap())].into_iter().collect(), now).as_secs()
        };
        assert_eq!(pauses("retry-after", "7"), 7);
        assert_eq!(pauses("x-ratelimit-reset", "2026-11-22T15:38:45.000Z"), 30);
        assert_eq!(pauses("x-ratelimit-reset", "soon"), 60);
    }

    #[test]
    fn only_numbers_have_a_time_in_them() {
        let minute = Duration::from_mins(1);
        assert_eq!(earlier("115590012345678901", minute), (115_590_012_345_678_901_u64 - 60_000 * 65536).to_string());
        for id in ["01HXYZ", "17"] {
            assert_eq!(earlier(id, minute), id);
        }
    }
}
