//! How a forum is asked: one request after another, with patience where it wants some, and what its refusals mean.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, RETRY_AFTER, USER_AGENT};
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};
use url::Url;

use crate::config::model::Transport;
use crate::net::retry::RetryAfter;
use crate::source::http::{Answer, Http, Request, refused};
use crate::source::line::Line;
use crate::source::supervise::{End, Failure};

/// The longest answer, in bytes after decompression: a hundred posts of the longest, with what stands around them.
const MOST_BYTES: usize = 16 << 20;
/// How often a page that did not come, or not whole, is tried.
const TRIES: u32 = 3;
/// The first wait between two tries; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// When a forum has enough of us and does not say for how long.
const PAUSE: Duration = Duration::from_mins(1);
/// What is waited for in the middle of a round; whoever wants more patience is not seen meanwhile.
const PATIENCE: Duration = Duration::from_mins(2);
/// Pages of which it is remembered how they were.
const MOST_TAGS: usize = 200;
/// So many requests are left for others who use the same key.
const SPARE: f64 = 2.0;

/// A forum that is asked.
pub(in crate::source) struct Asked {
    transport: Transport,
    http: Option<Http>,
    /// Sent with every request.
    headers: HeaderMap,
    /// Nothing is asked before: the forum said so.
    ready: Option<Instant>,
    /// By which word a page was there when it was asked for last, by its address.
    tags: BTreeMap<String, HeaderValue>,
}

impl Asked {
    /// Nobody is asked yet.
    pub(in crate::source) fn new(transport: Transport) -> Self {
        Self { transport, http: None, headers: HeaderMap::new(), ready: None, tags: BTreeMap::new() }
    }

    /// Says with every request who asks.
    pub(super) fn named(mut self, contact: &str) -> Self {
        let agent = format!(concat!("linux:stormbell:", env!("CARGO_PKG_VERSION"), " (by {})"), contact);
        self.headers.extend(HeaderValue::from_str(&agent).ok().map(|agent| (USER_AGENT, agent)));
        self
    }

    /// Sends a secret with every request from now on.
    pub(super) fn with(&mut self, name: &'static str, value: &str) -> Result<(), End> {
        let Ok(mut value) = HeaderValue::from_str(value) else { return Err(unusable(name)) };
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(())
    }

    /// Forgets which pages were there: they are to be read again.
    pub(in crate::source) fn forget(&mut self) {
        self.tags.clear();
    }

    /// One request and its answer, once the forum has no more of "not now": a refusal for good, or what is there.
    ///
    /// # Errors
    /// [`End::Stopped`], or a failure: no answer, or one that asks for more patience than is sensible.
    pub(super) async fn ask(&mut self, request: Request, line: &Line) -> Result<Answer, End> {
        let Request { method, url, headers, body, most } = request;
        let mut waited = Duration::ZERO;
        loop {
            if let Some(ready) = self.ready.take() {
                line.unless_stopped(sleep_until(ready)).await?;
            }
            let mut all = self.headers.clone();
            all.extend(headers.clone());
            let again = Request { method: method.clone(), url: url.clone(), headers: all, body: body.clone(), most };
            let answer = self.http(&url)?.ask(again, line).await?;
            self.ready = enough(&answer.headers).map(|rest| Instant::now() + rest.min(line.timing.longest_rest));
            if answer.status != StatusCode::TOO_MANY_REQUESTS {
                return Ok(answer);
            }
            let pause = pause(&answer, line);
            waited += pause;
            if waited > PATIENCE.min(line.timing.longest_rest) {
                return Err(refused(url.host_str().unwrap_or_default(), answer.status, &answer.headers));
            }
            line.unless_stopped(sleep(pause)).await?;
        }
    }

    /// A page that is `read` from an answer's body; nothing where the forum says that it is as it was. What breaks off on
    /// its way is tried again.
    ///
    /// # Errors
    /// As [`Asked::ask`], and what a status other than 2xx means.
    pub(super) async fn page<T: Send>(
        &mut self,
        url: &Url,
        read: impl Fn(&[u8]) -> Option<T> + Send + Sync,
        line: &Line,
    ) -> Result<Option<T>, End> {
        let refuse = |host: &str, answer: &Answer| Err(refused(host, answer.status, &answer.headers));
        self.page_or(url, read, refuse, line).await
    }

    /// The same, where `otherwise` says what a status other than 2xx means.
    ///
    /// # Errors
    /// As [`Asked::ask`], and what `otherwise` says.
    pub(in crate::source) async fn page_or<T: Send>(
        &mut self,
        url: &Url,
        read: impl Fn(&[u8]) -> Option<T> + Send + Sync,
        otherwise: impl Fn(&str, &Answer) -> Result<T, End> + Send + Sync,
        line: &Line,
    ) -> Result<Option<T>, End> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let mut attempt = 1;
        loop {
            let mut headers = HeaderMap::new();
            headers.extend(self.tags.get(url.as_str()).map(|tag| (IF_NONE_MATCH, tag.clone())));
            let asked = self.ask(Request::get(url.clone(), headers, MOST_BYTES), line).await;
            let trouble = match asked {
                Ok(answer) if answer.status == StatusCode::NOT_MODIFIED => return Ok(None),
                Ok(answer) if answer.status.is_success() => match read(&answer.body) {
                    Some(page) => {
                        self.remember(url, &answer.headers);
                        return Ok(Some(page));
                    }
                    None => no_page(&host, &answer.body),
                },
                Ok(answer) => match otherwise(&host, &answer) {
                    Ok(page) => return Ok(Some(page)),
                    Err(end) => end,
                },
                Err(end) => end,
            };
            if attempt == TRIES || !may_pass(&trouble) {
                return Err(trouble);
            }
            let wait = (FIRST_WAIT * 2_u32.pow(attempt - 1)).min(line.timing.longest_backoff);
            line.unless_stopped(sleep(wait)).await?;
            attempt += 1;
        }
    }

    /// One thing by its name: its body; nothing where there is no such thing, or not for us.
    ///
    /// # Errors
    /// As [`Asked::ask`], and what any other status means.
    pub(super) async fn one(&mut self, url: &Url, line: &Line) -> Result<Option<Vec<u8>>, End> {
        let answer = self.ask(Request::get(url.clone(), HeaderMap::new(), MOST_BYTES), line).await?;
        match answer.status {
            status if status.is_success() => Ok(Some(answer.body)),
            StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN => Ok(None),
            status => Err(refused(url.host_str().unwrap_or_default(), status, &answer.headers)),
        }
    }

    fn remember(&mut self, url: &Url, headers: &HeaderMap) {
        // Only first pages are asked for again and again; all others come once.
        let is_first = !url.query_pairs().any(|(key, _)| matches!(&*key, "before" | "after" | "page" | "pageToken"))
            && !url.path().contains("/page/");
        let fits = is_first && self.tags.len() < MOST_TAGS;
        if let Some(tag) = headers.get(ETAG).filter(|tag| fits && tag.len() <= 1024) {
            self.tags.insert(url.as_str().to_owned(), tag.clone());
        }
    }

    fn http(&mut self, url: &Url) -> Result<&Http, End> {
        let http = match self.http.take() {
            Some(http) => http,
            None => Http::new(&self.transport, url.scheme() == "http")?,
        };
        Ok(self.http.insert(http))
    }
}

/// The failure of a secret that cannot be sent.
pub(in crate::source) fn unusable(what: &str) -> End {
    Failure::operator(format!("the source's {what} has characters that cannot be sent; check its file"))
}

/// Whether trying again at once may help.
const fn may_pass(end: &End) -> bool {
    use crate::source::supervise::Remedy::{Refused, Retry};
    matches!(end, End::Failed(Failure { remedy: Retry | Refused, .. }))
}

/// What an answer that is no page means: half of one, or one for people.
fn no_page(host: &str, body: &[u8]) -> End {
    if body.trim_ascii_start().starts_with(b"<") {
        return Failure::operator(format!(
            "{host} answered with a web page and not as its API does; check the source's `url` and `dialect`"
        ));
    }
    Failure::retry(format!("{host} answered with what is no page, or half of one"))
}

/// How long nothing is to be asked, when all that a forum allows (`X-Ratelimit-Remaining`, `-Reset` in seconds) is used.
fn enough(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok().filter(|it| *it >= 0.0);
    let (remaining, reset) = (number("x-ratelimit-remaining")?, number("x-ratelimit-reset")?);
    // Where the reset is a date it is no small number.
    let is_enough = remaining < SPARE && reset <= 86_400.0;
    Duration::try_from_secs_f64(reset).ok().filter(|_| is_enough)
}

/// How long a forum wants to be left alone: by a header, or as Discourse says it, in the body.
fn pause(answer: &Answer, line: &Line) -> Duration {
    let after = answer.headers.get(RETRY_AFTER).and_then(|value| RetryAfter::parse(value.to_str().ok()?));
    let said = || {
        let body: Value = serde_json::from_slice(&answer.body).ok()?;
        body.pointer("/extras/wait_seconds")?.as_u64().map(Duration::from_secs)
    };
    after.map(|after| after.from(line.now())).or_else(said).or_else(|| enough(&answer.headers)).unwrap_or(PAUSE)
}
