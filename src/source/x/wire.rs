//! Reading X: rules first, then the stream, and beside it a search for what was missed.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use url::Url;

use super::budget::{Account, Spent, until_next_month};
use super::lines::{Line as Said, Lines};
use super::rules::reconcile;
use super::search::{Found, Search};
use super::{first_id_at, id, made_at};
use crate::config::model::XConfig;
use crate::domain::abroad::Abroad;
use crate::domain::event::{DownReason, Joint, Paid, Reach, Rejected};
use crate::domain::time::Timestamp;
use crate::net::http::beginning_within;
use crate::net::retry::RetryAfter;
use crate::source::Frame;
use crate::source::http::{Answer, Http, Request, refused};
use crate::source::lenient::{items, lenient, lenient_item, text};
use crate::source::line::Line;
use crate::source::supervise::{End, Failure, Remedy, Wire};
use crate::telemetry::events;

/// What is asked for of a post; without it X sends the text and little more.
pub(super) const FIELDS: [(&str, &str); 4] = [
    (
        "tweet.fields",
        "created_at,lang,author_id,referenced_tweets,entities,note_tweet,attachments,edit_history_tweet_ids",
    ),
    ("expansions", "author_id,referenced_tweets.id,attachments.media_keys"),
    ("user.fields", "username,name,public_metrics"),
    ("media.fields", "type,alt_text"),
];
/// The longest line, in bytes; a post with all that belongs to it has some 20 KiB.
const MOST_BYTES: usize = 1 << 20;
/// Nothing for so long, though an empty line comes every 20 s: the stream is dead, and X does not say so.
const SILENT_FOR: Duration = Duration::from_secs(28);
/// Posts may come so much later than they were made; what is older has come.
const LATE_BY: Duration = Duration::from_mins(1);
/// The first waits of the vendor, each doubled by every further refusal.
const AFTER_TOO_MANY: Duration = Duration::from_mins(1);
const AFTER_ERROR: Duration = Duration::from_secs(5);
const LONGEST_AFTER_ERROR: Duration = Duration::from_secs(320);
/// So many refusals in a row because of a connection that is not there any more; then it is ended by order.
const PATIENT_WITH_GHOSTS: u32 = 3;

/// X, and who reads it.
pub struct X {
    config: XConfig,
    account: Account,
    /// Refusals in a row: because of another connection, and for other reasons.
    crowded: u32,
    failed: u32,
    /// What X's clock showed, and when: ids are made by X's, and months paid by it.
    clock: Option<(Timestamp, Instant)>,
}

/// How X is asked.
pub(super) struct Access {
    http: Http,
    api: Url,
    token: HeaderValue,
    pub(super) host: String,
}

impl Access {
    fn new(config: &XConfig, api: &Url) -> Result<Self, End> {
        let unusable = |_| Failure::operator("the source's token has characters that no token has");
        let mut token = HeaderValue::try_from(format!("Bearer {}", config.token.expose().trim())).map_err(unusable)?;
        token.set_sensitive(true);
        let http = Http::new(&config.transport, api.scheme() == "http")?;
        Ok(Self { http, api: api.clone(), token, host: api.host_str().unwrap_or_default().to_owned() })
    }

    /// An address below the API's.
    pub(super) fn at(&self, path: &str) -> Url {
        let mut url = self.api.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        url
    }

    fn request(&self, method: Method, url: Url, body: Vec<u8>, most: usize) -> Request {
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(AUTHORIZATION, self.token.clone()), (CONTENT_TYPE, json)]);
        Request { method, url, headers, body, most }
    }

    /// One request and its answer, whatever its status.
    ///
    /// # Errors
    /// As [`Http::ask`].
    pub(super) async fn ask(
        &self,
        method: Method,
        url: Url,
        body: Vec<u8>,
        most: usize,
        line: &Line,
    ) -> Result<Answer, End> {
        self.http.ask(self.request(method, url, body, most), line).await
    }

    /// The failure of a request that met a limit, when X says for how long.
    pub(super) fn limited(&self, headers: &HeaderMap) -> Option<End> {
        let reset = reset_at(headers)?;
        let remaining = headers.get("x-rate-limit-remaining")?.to_str().ok()?;
        let error = format!("{} has enough of us for now", self.host);
        (remaining == "0").then_some(End::Failed(Failure { error, remedy: Remedy::Busy(Some(RetryAfter::At(reset))) }))
    }
}

/// When X lifts a limit that was met.
pub(super) fn reset_at(headers: &HeaderMap) -> Option<Timestamp> {
    let seconds: i64 = headers.get("x-rate-limit-reset")?.to_str().ok()?.trim().parse().ok()?;
    (0..1 << 40).contains(&seconds).then(|| Timestamp::from_seconds(seconds))
}

/// What a server's clock shows.
fn date(headers: &HeaderMap) -> Option<Timestamp> {
    match RetryAfter::parse(headers.get(DATE)?.to_str().ok()?)? {
        RetryAfter::At(time) => Some(time),
        RetryAfter::In(_) => None,
    }
}

/// A server's words as a log may hold them.
pub(super) fn harmless(text: &str, most: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(most).collect()
}

impl X {
    /// Nothing is asked yet.
    pub fn new(config: XConfig) -> Self {
        Self { config, account: Account::default(), crowded: 0, failed: 0, clock: None }
    }

    async fn go_on(&mut self, api: &Url, line: &mut Line) -> Result<(), End> {
        self.account.go_on_from(line.position.bookmark().as_ref());
        // In another month by our clock, X's is to be asked for before anything is read.
        if self.account.is_spent(self.config.monthly_posts) && self.account.is_of(self.now(line)) {
            return self.rest(line).await;
        }
        let access = Arc::new(Access::new(&self.config, api)?);
        let mut asked = line.asked.clone();
        let mut wanted = self.wanted(&mut asked);
        reconcile(&access, &wanted.rules, line).await?;
        let response = self.open(&access, line).await?;
        let date = date(response.headers());
        self.clock = date.map(|date| (date, Instant::now())).or(self.clock);
        let now = date.unwrap_or_else(|| self.now(line));
        self.account.turn(now);
        if self.account.is_spent(self.config.monthly_posts) {
            drop(response);
            line.hand_on(Vec::new(), self.reach(None, true)).await?;
            return self.rest(line).await;
        }
        let (behind, joint) = match self.account.search_from(now) {
            Some((since, false)) => (Some(since), Joint::GoesOn),
            Some((since, true)) => (Some(since), Joint::Live),
            None => (None, Joint::Live),
        };
        line.connected(&access.host, joint).await?;
        if let (Some((from, true)), Some(since)) = (self.account.search_from(now), self.account.since) {
            // The engine may have seen newer posts than those all were read up to: its own gap begins there.
            line.missed(made_at(since).unwrap_or(now), made_at(from).unwrap_or(now)).await?;
            self.account.since = Some(from);
        }
        let newest = self.account.since.unwrap_or(first_id_at(now));
        let (lines, heard) = (Lines::new(MOST_BYTES), Instant::now());
        let mut stream = Stream { response, lines, newest, heard, looked: heard, fill: None };
        match behind {
            Some(since) => {
                let search = Search::behind(earlier(since), Arc::clone(&access), wanted.searches.as_slice().into());
                let (left, beside) = (self.left(), line.beside());
                stream.fill = Some(Box::pin(async move {
                    // A search finds nothing that is younger than 30 s. Begun at once it would not see a short drop.
                    beside.unless_stopped(sleep(beside.timing.seam_delay)).await?;
                    search.page(left, beside).await
                }));
            }
            None => self.account.since = Some(newest),
        }
        loop {
            match stream.next(&mut asked, line).await? {
                Woken::Heard(bytes) => self.heard(&bytes, &mut stream, line).await?,
                Woken::Found(search, found) => self.found(search, found, &mut stream, line).await?,
                Woken::Asked => {
                    wanted = self.wanted(&mut asked);
                    reconcile(&access, &wanted.rules, line).await?;
                }
                Woken::Looks => match reconcile(&access, &wanted.rules, line).await {
                    // The stream goes on; without any rule there is nothing to go on with.
                    Err(End::Failed(Failure { remedy, .. })) if remedy != Remedy::Operator => {}
                    looked => looked?,
                },
            }
            if self.account.is_spent(self.config.monthly_posts) {
                // Whoever goes on reading goes on paying.
                drop(stream);
                return self.rest(line).await;
            }
        }
    }

    fn wanted(&self, asked: &mut watch::Receiver<Arc<Abroad>>) -> Arc<Abroad> {
        match self.config.queries.as_slice() {
            [] => Arc::clone(&asked.borrow_and_update()),
            queries => Arc::new(Abroad::as_written(queries)),
        }
    }

    /// The time by X's clock.
    fn now(&self, line: &Line) -> Timestamp {
        self.clock.map_or_else(|| line.now(), |(date, at)| date + at.elapsed())
    }

    fn left(&self) -> u64 {
        self.config.monthly_posts.saturating_sub(self.account.read())
    }

    /// Opens the stream, or says what its refusal means.
    async fn open(&mut self, access: &Access, line: &Line) -> Result<Response, End> {
        let mut url = access.at("2/tweets/search/stream");
        url.query_pairs_mut().extend_pairs(FIELDS);
        let request = access.request(Method::GET, url, Vec::new(), MOST_BYTES);
        let response = access.http.begin(request, line).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_success() {
            (self.crowded, self.failed) = (0, 0);
            return Ok(response);
        }
        let body = line.unless_stopped(beginning_within(response, 1 << 14, line.timing.answer_within)).await?;
        let body = String::from_utf8_lossy(&body);
        let host = &access.host;
        let busy = |error: String, wait: Duration| {
            End::Failed(Failure { error, remedy: Remedy::Busy(Some(RetryAfter::In(wait))) })
        };
        Err(match status {
            StatusCode::CONFLICT => Failure::operator(format!("{host} has no rules to watch by")),
            StatusCode::TOO_MANY_REQUESTS if body.contains("TooManyConnections") => {
                self.crowded += 1;
                self.end_ghosts(access, line).await?;
                let error = format!("{host} still counts another connection; only one is allowed");
                busy(error, doubled(AFTER_TOO_MANY, self.crowded, Duration::MAX))
            }
            StatusCode::TOO_MANY_REQUESTS if body.contains("UsageCapExceeded") || body.contains("usage-capped") => {
                Failure::operator(format!("{host} says that the month's posts are used up; raise the limit at X"))
            }
            StatusCode::TOO_MANY_REQUESTS => {
                self.failed += 1;
                access.limited(&headers).unwrap_or_else(|| {
                    busy(format!("{host} has enough of us"), doubled(AFTER_TOO_MANY, self.failed, Duration::MAX))
                })
            }
            status if status.is_server_error() => {
                self.failed += 1;
                let wait = doubled(AFTER_ERROR, self.failed, LONGEST_AFTER_ERROR);
                match refused(host, status, &headers) {
                    End::Failed(Failure { remedy: Remedy::Busy(Some(after)), error }) => {
                        busy(error, after.from(line.now()))
                    }
                    _ => busy(format!("{host} answered {status}"), wait),
                }
            }
            status => refused(host, status, &headers),
        })
    }

    /// A process that died leaves a connection that X goes on counting, for hours. After some patience, for it may be
    /// one that is just closing, all connections of the app are ended by order, which X provides for that.
    async fn end_ghosts(&self, access: &Access, line: &Line) -> Result<(), End> {
        if self.crowded != PATIENT_WITH_GHOSTS {
            return Ok(());
        }
        events::source_notice(
            &line.name,
            "X counts a connection that is not ours any more; all of the app's are ended",
        );
        match access.ask(Method::DELETE, access.at("2/connections/all"), Vec::new(), 1 << 16, line).await {
            Err(End::Stopped) => Err(End::Stopped),
            _ => Ok(()), // the next refusal says whether it helped
        }
    }

    async fn heard(&mut self, bytes: &[u8], stream: &mut Stream, line: &Line) -> Result<(), End> {
        let now = line.now();
        let (mut frames, mut posts, mut end) = (Vec::new(), 0, Ok(()));
        for said in stream.lines.take(bytes) {
            let said = match said {
                Said::Alive => continue,
                Said::TooLong => {
                    frames.push(Frame { received_at: Some(now), body: Err(Rejected::TooLarge) });
                    continue;
                }
                Said::Said(said) => said,
            };
            if let Some(problem) = problem(&said) {
                end = Err(disconnected(&problem, line));
                break;
            }
            stream.newest = stream.newest.max(id_of(&said).unwrap_or(0));
            posts += 1;
            frames.push(Frame { received_at: Some(now), body: Ok(said.into()) });
        }
        let news = !frames.is_empty();
        self.spend(posts, line);
        if stream.fill.is_none() {
            // What is so old has come, even if that was nothing: after quiet weeks there is something to go on from.
            let there = self.now(line);
            let read = stream.newest.max(first_id_at(there - LATE_BY));
            let is_old = |since| there.since(since) > LATE_BY * 2;
            let stale = line.position.bookmark().is_none() || self.account.since.and_then(made_at).is_none_or(is_old);
            if news || stale {
                self.account.since = Some(read);
            }
            let reach = self.reach(Some(now).filter(|_| end.is_ok()), news || stale);
            line.hand_on(frames, reach).await?;
        } else if news {
            line.hand_on(frames, self.reach(None, true)).await?;
        }
        end
    }

    /// How far all is read, and what was paid for it.
    fn reach(&self, covered: Option<Timestamp>, changed: bool) -> Reach {
        let paid = Paid { read: self.account.read(), budget: self.config.monthly_posts };
        Reach { covered, bookmark: changed.then(|| self.account.bookmark()), paid: Some(paid) }
    }

    async fn found(&mut self, search: Search, found: Found, stream: &mut Stream, line: &Line) -> Result<(), End> {
        let now = line.now();
        match found {
            Found::Posts(posts) => {
                stream.newest = posts.iter().filter_map(|post| id_of(post)).fold(stream.newest, u64::max);
                self.spend(posts.len() as u64, line);
                let frames = posts.into_iter().map(|post| Frame { received_at: Some(now), body: Ok(post.into()) });
                line.hand_on(frames.collect(), self.reach(None, true)).await?;
                if !self.account.is_spent(self.config.monthly_posts) {
                    stream.fill = Some(Box::pin(search.page(self.left(), line.beside())));
                }
                return Ok(());
            }
            Found::Done => {}
            Found::GaveUp(why) => {
                events::source_notice(&line.name, &format!("what was missed could not be read: {why}"));
                line.missed(made_at(search.since).unwrap_or(now), now).await?;
            }
        }
        self.account.since = Some(stream.newest);
        line.hand_on(Vec::new(), self.reach(Some(now), true)).await
    }

    fn spend(&mut self, posts: u64, line: &Line) {
        self.account.turn(self.now(line));
        if self.account.count(posts, self.config.monthly_posts) == Spent::Most {
            let (read, budget) = (self.account.read(), self.config.monthly_posts);
            let notice = format!("{read} of this month's {budget} posts are read; at the last one reading ends");
            events::source_notice(&line.name, &notice);
        }
    }

    /// Reads nothing until the next month.
    async fn rest(&self, line: &Line) -> Result<(), End> {
        let error = format!("this month's {} posts are read; raise `monthly_posts`", self.config.monthly_posts);
        events::source_down(&line.name, DownReason::Spent, Some(&error));
        line.down(DownReason::Spent).await?;
        while self.account.is_of(self.now(line)) {
            // The clock may be set meanwhile.
            let wait = until_next_month(self.now(line)).min(line.timing.longest_rest);
            line.unless_stopped(sleep(wait)).await?;
        }
        Ok(())
    }
}

impl Wire for X {
    async fn read(&mut self, api: &Url, line: &mut Line) -> End {
        match self.go_on(api, line).await {
            Err(end) => end,
            Ok(()) => End::Renewed,
        }
    }
}

type Page = BoxFuture<'static, Result<(Search, Found), End>>;

/// An answer that goes on, and the search beside it. Dropped, its connection is closed, which X wants to see.
struct Stream {
    response: Response,
    lines: Lines,
    /// The newest id that came.
    newest: u64,
    heard: Instant,
    /// When the rules on the server were looked at last: others may change them.
    looked: Instant,
    fill: Option<Page>,
}

enum Woken {
    Heard(Vec<u8>),
    Found(Search, Found),
    /// Other rules are in force.
    Asked,
    /// It is time to see whether the server has our rules yet.
    Looks,
}

impl Stream {
    async fn next(&mut self, asked: &mut watch::Receiver<Arc<Abroad>>, line: &Line) -> Result<Woken, End> {
        let silent = self.heard + SILENT_FOR.min(line.timing.answer_within);
        let fill = &mut self.fill;
        let page = async {
            match fill {
                Some(page) => page.await,
                None => pending().await,
            }
        };
        let changed = async {
            if asked.changed().await.is_err() {
                pending::<()>().await; // nobody changes them any more
            }
        };
        tokio::select! {
            () = line.cancel.cancelled() => Err(End::Stopped),
            read = self.response.chunk() => if let Ok(Some(bytes)) = read {
                self.heard = Instant::now();
                Ok(Woken::Heard(bytes.to_vec()))
            } else {
                events::source_down(&line.name, DownReason::Closed, None);
                Err(End::Down(DownReason::Closed))
            },
            page = page => {
                self.fill = None;
                page.map(|(search, found)| Woken::Found(search, found))
            }
            () = changed => Ok(Woken::Asked),
            () = sleep_until(self.looked + line.timing.looked_at_every) => {
                self.looked = Instant::now();
                Ok(Woken::Looks)
            }
            () = sleep_until(silent) => Err(End::Down(DownReason::Stalled)),
        }
    }
}

/// An id that was made before all that can come later than this one. What is found again is dropped by the engine.
fn earlier(id: u64) -> u64 {
    made_at(id).map_or(id, |made| first_id_at(made - LATE_BY).min(id))
}

/// A wait that doubles with each refusal in a row.
fn doubled(first: Duration, refusals: u32, longest: Duration) -> Duration {
    first.saturating_mul(1 << refusals.saturating_sub(1).min(10)).min(longest)
}

#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    errors: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Problem<'a> {
    #[serde(borrow)]
    title: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
}

/// What X says instead of a post. A post may come with problems, too: then a part of it is missing.
fn problem(said: &[u8]) -> Option<String> {
    let Peek { data: None, errors: Some(errors) } = serde_json::from_slice(said).ok()? else { return None };
    let first = items(Some(errors)).find_map(lenient_item::<Problem<'_>>);
    let words = first.and_then(|first| Some(text(first.title).or_else(|| text(first.kind))?.into_owned()));
    Some(harmless(words.as_deref().unwrap_or("a problem without a name"), 60))
}

fn disconnected(problem: &str, line: &Line) -> End {
    if problem.to_lowercase().replace(['-', ' '], "").contains("usagecap") {
        return Failure::operator("X says that the month's posts are used up; raise the limit at X");
    }
    events::source_down(&line.name, DownReason::Closed, Some(problem));
    End::Down(DownReason::Closed)
}

/// The id of a post as it came.
fn id_of(said: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
    }
    let Peek { data, .. } = serde_json::from_slice(said).ok()?;
    id(lenient::<Named<'_>>(data)?.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_as_the_vendor_wants_them() {
        let seconds = |first, longest| (1..=8).map(|n| doubled(first, n, longest).as_secs()).collect::<Vec<_>>();
        assert_eq!(seconds(AFTER_TOO_MANY, Duration::MAX)[..4], [60, 120, 240, 480]);
        assert_eq!(seconds(AFTER_ERROR, LONGEST_AFTER_ERROR), [5, 10, 20, 40, 80, 160, 320, 320]);
    }

    #[test]
    fn a_problem_is_told_from_a_post_with_problems() {
        for (said, expected) in [
            (
                r#"{"errors":[{"title":"operational-disconnect","disconnect_type":"x"}]}"#,
                Some("operational-disconnect"),
            ),
            (r#"{"errors":[{"type":"https://api.x.com/2/problems/x"}]}"#, Some("https://api.x.com/2/problems/x")),
            (r#"{"errors":[7]}"#, Some("a problem without a name")),
            (r#"{"data":{"id":"1"},"errors":[{"title":"Not Found Error"}]}"#, None),
            (r#"{"data":{"id":"1"}}"#, None),
            ("<html>", None),
        ] {
            assert_eq!(problem(said.as_bytes()).as_deref(), expected, "{said}");
        }
    }
}
