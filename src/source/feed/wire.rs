//! Asking for a feed: politely, conditionally, again and again.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED, LOCATION,
};
use tokio::time::{sleep, timeout};
use url::{Host, Url};

use super::item::{Item, gone_line};
use super::known::{Known, News};
use super::{Document, transcript};
use crate::config::model::{self, FeedConfig, Transport};
use crate::domain::event::{Cursor, DownReason, Joint, Reach};
use crate::domain::time::Timestamp;
use crate::source::Frame;
use crate::source::backoff::Jitter;
use crate::source::http::{Answer, Http, Request, refused};
use crate::source::line::Line;
use crate::source::supervise::{End, Failure, Wire};
use crate::telemetry::events;

/// The longest document, in bytes after decompression.
const MOST_BYTES: usize = 10 << 20;
/// The longest transcript, in bytes.
const MOST_TRANSCRIPT: usize = 2 << 20;
/// Transcripts fetched after one poll, and how long one may take: news without them was handed on before.
const TRANSCRIPTS: usize = 4;
const TRANSCRIPT_WITHIN: Duration = Duration::from_secs(10);
/// No server sends us further than that.
const MOST_REDIRECTS: usize = 5;
/// What a document says of how seldom it changes is believed up to this.
const SELDOM: Duration = Duration::from_hours(1);
const ACCEPTED: &str = "application/atom+xml, application/rss+xml, application/feed+json, application/rdf+xml, application/xml;q=0.9, */*;q=0.5";

/// A feed that is read.
pub(crate) struct Feed {
    config: FeedConfig,
    known: Known,
    /// The server said that there will never be anything again.
    gone: bool,
    jitter: Jitter,
}

/// To the host in the configuration, wherever that is, and to all others, which strangers may have named: those must be
/// on the internet, whatever their names lead to.
struct Ways {
    own_host: Url,
    own: Http,
    others: Http,
}

impl Ways {
    fn new(config: &FeedConfig) -> Result<Self, End> {
        let public = Transport { reach: model::Reach::Public { private: Vec::new() }, ..config.transport.clone() };
        let own = Http::new(&config.transport, config.url.scheme() == "http")?;
        Ok(Self { own_host: config.url.clone(), own, others: Http::new(&public, false)? })
    }

    fn to(&self, url: &Url) -> &Http {
        if url.host() == self.own_host.host() { &self.own } else { &self.others }
    }
}

/// What one poll brought.
enum Polled {
    Unchanged,
    Document { document: Box<Document>, known: Known },
}

impl Feed {
    pub(crate) fn new(config: FeedConfig) -> Self {
        Self { known: Known::resume(None, config.url.as_str()), config, gone: false, jitter: Jitter::from_system() }
    }

    async fn go_on(&mut self, host: &Url, line: &mut Line) -> Result<(), End> {
        if self.gone {
            line.unless_stopped(std::future::pending::<()>()).await?;
        }
        self.known = Known::resume(line.position.bookmark().as_ref(), self.config.url.as_str());
        let http = Ways::new(&self.config)?;
        let name = host.host_str().unwrap_or_default().to_owned();
        let mut is_first = true;
        loop {
            let polled = self.poll(&http, line).await?;
            let wait = self.take(polled, &name, is_first, &http, line).await?;
            is_first = false;
            line.unless_stopped(sleep(wait + self.jitter.below(wait / 10))).await?;
        }
    }

    /// Asks once, and follows to where the feed is now.
    async fn poll(&mut self, http: &Ways, line: &Line) -> Result<Polled, End> {
        let mut known = self.known.clone();
        let mut url =
            known.moved.as_deref().and_then(|moved| moved.parse().ok()).unwrap_or_else(|| self.config.url.clone());
        let mut for_good = true;
        for _ in 0..=MOST_REDIRECTS {
            let answer = http.to(&url).ask(Request::get(url.clone(), asked(&known), MOST_BYTES), line).await?;
            let host = url.host_str().unwrap_or_default();
            match answer.status {
                StatusCode::NOT_MODIFIED => return Ok(Polled::Unchanged),
                StatusCode::GONE => {
                    self.gone = true;
                    let error = format!("{host} answered that this feed is gone for good; remove the source");
                    return Err(Failure::operator(error));
                }
                status if status.is_success() => {
                    let kind = header(&answer.headers, &CONTENT_TYPE);
                    let document = super::read(&answer.body, kind.as_deref(), &url);
                    let document =
                        document.map_err(|error| Failure::operator(format!("{host} answered with {error}")))?;
                    // A document that broke off must come again whole.
                    let validator = |name| header(&answer.headers, name).filter(|_| document.is_whole);
                    (known.etag, known.modified) = (validator(&ETAG), validator(&LAST_MODIFIED));
                    let document = Document { fresh_for: document.fresh_for.max(max_age(&answer.headers)), ..document };
                    return Ok(Polled::Document { document: Box::new(document), known });
                }
                status if status.is_redirection() => {
                    let next = redirected(&answer, &url)?;
                    for_good &= matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::PERMANENT_REDIRECT);
                    if for_good {
                        known.moved = Some(next.as_str().to_owned());
                    }
                    url = next;
                }
                // A place it moved to that is no longer there says nothing about the place in the configuration.
                status if known.moved.take().is_some() => {
                    self.known.moved = None;
                    return Err(refused(host, status, &answer.headers));
                }
                status => return Err(refused(host, status, &answer.headers)),
            }
        }
        Err(Failure::operator("the server sends us in circles; check the source's url"))
    }

    /// Hands on what is new; says how long to wait.
    async fn take(
        &mut self,
        polled: Polled,
        host: &str,
        is_first: bool,
        http: &Ways,
        line: &mut Line,
    ) -> Result<Duration, End> {
        let now = line.now();
        let (document, mut known) = match polled {
            Polled::Unchanged => {
                if is_first {
                    line.connected(host, Joint::GoesOn).await?;
                }
                line.hand_on(Vec::new(), Reach { covered: Some(now), ..Reach::default() }).await?;
                return Ok(self.config.poll_every.unwrap_or(FeedConfig::USUAL));
            }
            Polled::Document { document, known } => (document, known),
        };
        let began = known.begun;
        let news = known.take_in(&document, host, line.position.get().map(Cursor::time));
        if is_first {
            let joint = if began && !news.turned_over { Joint::GoesOn } else { Joint::Live };
            line.connected(host, joint).await?;
        } else if news.turned_over {
            let error = "nothing in it is known any more; poll it more often";
            events::source_down(&line.name, DownReason::CursorTooOld, Some(error));
            return Err(End::Interrupted(DownReason::CursorTooOld));
        }
        let is_busy = news.items.len() * 2 > document.items.len();
        self.hand_on(&news, &known, host, http, line).await?;
        self.known = known;
        Ok(self.wait(&document, is_busy))
    }

    async fn hand_on(&self, news: &News<'_>, known: &Known, host: &str, http: &Ways, line: &Line) -> Result<(), End> {
        let now = line.now();
        let items = news.items.iter().filter_map(|(id, item)| item.line(id, host, None, now));
        let gone = news.gone.iter().map(|(id, at)| gone_line(id, at.map_or(now, |at| at.min(now))));
        let frames: Vec<Frame> = items.chain(gone).map(|line| frame(line, now)).collect();
        let heard = news.items.iter().filter(|(_, item)| self.config.transcripts && !item.transcripts.is_empty());
        let heard: Vec<_> = heard.take(TRANSCRIPTS).collect();
        let bookmark = (*known != self.known).then(|| known.bookmark()).flatten();
        if heard.is_empty() {
            return line.hand_on(frames, Reach { covered: Some(now), bookmark, paid: None }).await;
        }
        line.hand_on(frames, Reach::default()).await?;
        let mut frames = Vec::new();
        for (id, item) in heard {
            let words = self.transcript(item, http, line).await?;
            let spoken = words.and_then(|words| item.line(id, host, Some(&words), now));
            frames.extend(spoken.map(|line| frame(line, now)));
        }
        line.hand_on(frames, Reach { covered: Some(now), bookmark, paid: None }).await
    }

    /// What is said in an item's recording. That it cannot be had is no reason to lose the rest.
    async fn transcript(&self, item: &Item, http: &Ways, line: &Line) -> Result<Option<String>, End> {
        for transcript in &item.transcripts {
            let Ok(url) = Url::parse(&transcript.url) else { continue };
            if !may_be_sent_to(&url, &self.config.url) {
                continue;
            }
            let way = http.to(&url);
            let request = Request::get(url, HeaderMap::new(), MOST_TRANSCRIPT);
            match timeout(TRANSCRIPT_WITHIN, way.get(request, line)).await {
                Ok(Ok(answer)) => {
                    let text = crate::source::charset::decoded(
                        &answer.body,
                        header(&answer.headers, &CONTENT_TYPE).as_deref(),
                    );
                    return Ok(Some(transcript::words(&text)).filter(|words| !words.is_empty()));
                }
                Ok(Err(End::Stopped)) => return Err(End::Stopped),
                Ok(Err(_)) | Err(_) => {}
            }
        }
        Ok(None)
    }

    fn wait(&self, document: &Document, is_busy: bool) -> Duration {
        let usual = || FeedConfig::USUAL.max(document.fresh_for.unwrap_or_default().min(SELDOM));
        let wait = self.config.poll_every.unwrap_or_else(usual);
        if is_busy { (wait / 2).max(wait.min(FeedConfig::LEAST)) } else { wait }
    }
}

impl Wire for Feed {
    async fn read(&mut self, host: &Url, line: &mut Line) -> End {
        match self.go_on(host, line).await {
            Err(end) => end,
            Ok(()) => End::Renewed,
        }
    }
}

fn frame(line: Vec<u8>, now: Timestamp) -> Frame {
    Frame { received_at: Some(now), body: Ok(line.into()) }
}

/// The validators of the version that was read last, as the server wrote them.
fn asked(known: &Known) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static(ACCEPTED));
    for (name, value) in [(IF_NONE_MATCH, &known.etag), (IF_MODIFIED_SINCE, &known.modified)] {
        if let Some(value) = value.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(name, value);
        }
    }
    headers
}

fn header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().filter(|value| value.len() <= 1024).map(str::to_owned)
}

/// `Cache-Control: max-age` (RFC 9111 §5.2.2.1).
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let control = header(headers, &CACHE_CONTROL)?;
    let seconds = control.split(',').find_map(|part| part.trim().strip_prefix("max-age=")?.parse().ok())?;
    Some(Duration::from_secs(seconds))
}

fn redirected(answer: &Answer, from: &Url) -> Result<Url, End> {
    let next = header(&answer.headers, &LOCATION).and_then(|location| from.join(&location).ok());
    match next {
        Some(next) if may_be_sent_to(&next, from) => Ok(next),
        Some(_) => {
            Err(Failure::operator("the server sends us to an address inside this network; check the source's url"))
        }
        None => Err(Failure::operator(format!("the server answered {} without an address", answer.status))),
    }
}

/// Whether a server may send us there: anywhere on the web, but not into our own network.
fn may_be_sent_to(url: &Url, from: &Url) -> bool {
    let inside = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified(),
        Some(Host::Ipv6(ip)) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || ip.to_ipv4_mapped().is_some()
        }
        Some(Host::Domain(name)) => name == "localhost" || !name.contains('.'),
        None => true,
    };
    matches!(url.scheme(), "http" | "https") && (!inside || url.host() == from.host())
}
