//! Asking for a feed: politely, conditionally, again and again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use reqwest::StatusCode;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED, LINK, LOCATION,
};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout};
use url::{Host, Url};

use super::item::{Item, gone_line};
use super::known::{Extent, Hub, Known, News};
use super::push::Push;
use super::{Document, NotAFeed, transcript};
use crate::config::model::{self, FeedConfig, Transport};
use crate::domain::event::{Bookmark, Cursor, DownReason, Joint, Reach};
use crate::domain::key::Key;
use crate::domain::time::Timestamp;
use crate::net::inlet::{Call, Reply};
use crate::source::Frame;
use crate::source::backoff::Jitter;
use crate::source::called::{answer, answer_when_kept, tell_refusals};
use crate::source::http::{Answer, Http, Request, authorization, refused};
use crate::source::line::Line;
use crate::source::supervise::{End, Failure, Remedy, Wire};
use crate::source::youtube::Beside;
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
/// Most links that one header is searched for.
const MOST_LINKS: usize = 100;
/// What `YouTube`'s documentation names.
const YOUTUBE_TOPIC: &str = "https://www.youtube.com/xml/feeds/videos.xml";
const ACCEPTED: &str = "application/atom+xml, application/rss+xml, application/feed+json, application/rdf+xml, application/xml;q=0.9, */*;q=0.5";

/// A feed that is read.
pub(crate) struct Feed {
    config: FeedConfig,
    known: Known,
    /// The server said that there will never be anything again.
    gone: bool,
    jitter: Jitter,
    /// How a hub tells us what changes, where one is wanted.
    push: Option<Push>,
    /// What is said of its items, where somebody can be asked for it.
    comments: Option<Beside>,
    /// They cannot be read before a quota begins anew; all else is.
    is_spent: bool,
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
    Document { document: Box<Document>, known: Box<Known> },
}

impl Feed {
    pub(crate) fn new(config: FeedConfig, line: &Line) -> Self {
        let known = Known::resume(line.position.bookmark().as_ref(), config.url.as_str());
        let is_public = line.inlets.address(line.name.as_str(), "").is_some();
        let is_pushed = is_public && (config.push || known.hub.is_some());
        let push = is_pushed.then(|| Push::open(config.push, known.hub.as_ref(), line, Instant::now()));
        Self { known, config, gone: false, jitter: Jitter::from_system(), push, comments: None, is_spent: false }
    }

    /// The same, with comments that are read beside it.
    pub(crate) fn with(self, comments: Option<Beside>) -> Self {
        Self { comments, ..self }
    }

    async fn go_on(&mut self, host: &Url, line: &mut Line) -> Result<(), End> {
        if self.gone {
            line.unless_stopped(std::future::pending::<()>()).await?;
        }
        let mut known = Known::resume(line.position.bookmark().as_ref(), self.config.url.as_str());
        // What was handed on may not be on disk yet: its number is never given to another push, which that would answer.
        known.pushed = known.pushed.max(self.known.pushed);
        self.known = known;
        let http = Ways::new(&self.config)?;
        let name = host.host_str().unwrap_or_default().to_owned();
        if let Some(comments) = &mut self.comments {
            comments.resume(self.known.comments.as_deref());
        }
        self.is_spent = false;
        let mut is_first = true;
        let (mut due, mut comments_due) = (Instant::now(), Instant::now());
        loop {
            if Instant::now() >= due {
                let polled = self.poll(&http, line).await?;
                let wait = self.take(polled, &name, is_first, &http, line).await?;
                is_first = false;
                due = Instant::now() + wait + self.jitter.below(wait / 10);
            }
            let until = match self.read_comments(comments_due, &name, line).await? {
                Some(next) => {
                    comments_due = next;
                    next.min(due)
                }
                None => due,
            };
            let is_thin = line.unless_stopped(Box::pin(self.listen(until, &name, &http, line))).await??;
            if is_thin {
                due = Instant::now();
            }
        }
    }

    /// Reads what is said of its items, when it is time; when it is next. None when nobody is asked for it. While there is
    /// no quota left for that, the source counts as blind, and what else comes is read all the same.
    async fn read_comments(&mut self, due: Instant, host: &str, line: &mut Line) -> Result<Option<Instant>, End> {
        let Some(comments) = &mut self.comments else { return Ok(None) };
        if Instant::now() < due {
            return Ok(Some(due));
        }
        let known = &mut self.known;
        let bookmark = |noted: String| {
            known.comments = Some(noted);
            known.bookmark()
        };
        let again = self.is_spent.then_some(host);
        let wait = match comments.read(bookmark, again, line).await {
            Ok(wait) => {
                self.is_spent = false;
                wait
            }
            Err(End::Failed(Failure { error, remedy: Remedy::Spent(until) })) => {
                if !std::mem::replace(&mut self.is_spent, true) {
                    events::source_down(&line.name, DownReason::QuotaSpent, Some(&error));
                    line.down(DownReason::QuotaSpent).await?;
                }
                // The clock may be set meanwhile.
                return Ok(Some(Instant::now() + until.since(line.now()).min(line.timing.longest_rest)));
            }
            Err(end) => return Err(end),
        };
        Ok(Some(Instant::now() + wait + self.jitter.below(wait / 10)))
    }

    /// Until the next poll: takes what is pushed, and keeps the subscription. Whoever pushed is answered before it ends.
    /// Whether a hub said that there is something, and not what.
    async fn listen(&mut self, until: Instant, host: &str, http: &Ways, line: &Line) -> Result<bool, End> {
        let mut has_news = false;
        let (mut keeping, mut asking) = (FuturesUnordered::new(), FuturesUnordered::new());
        let mut until = until;
        loop {
            let Some(push) = &mut self.push else {
                sleep_until(until).await;
                return Ok(has_news);
            };
            let now = Instant::now();
            push.hear(line, now);
            if asking.is_empty() {
                if keeping.is_empty() && now >= until {
                    return Ok(has_news);
                }
                if let Some((what, request)) = push.request(line, now) {
                    let answer = http.to(&request.url).ask(request, line);
                    asking.push(async move { (what, answer.await) });
                }
            }
            let alarm = push.alarm(now).filter(|_| asking.is_empty());
            // What is overdue waits for what is under way.
            let wake = alarm.into_iter().chain([until]).filter(|at| *at > now).min();
            let (rung, calls) = (Arc::clone(&push.rung), &mut push.opened.calls);
            tokio::select! {
                biased;
                Some((what, answer)) = asking.next(), if !asking.is_empty() => push.answered(what, answer, line, Instant::now()),
                Some(()) = keeping.next(), if !keeping.is_empty() => {}
                Some(waiting) = calls.recv() => {
                    let (pushed, is_thin) = self.pushed(&waiting.call, host, http, line).await?;
                    if is_thin {
                        (until, has_news) = (Instant::now(), true);
                    }
                    match pushed {
                        Some(count) => {
                            let is_kept = move |kept: &Bookmark| pushed_before(kept) >= Some(count);
                            keeping.push(answer_when_kept(waiting, line.beside(), is_kept));
                        }
                        None => answer(waiting, Reply::try_again()),
                    }
                }
                () = rung.notified() => {
                    tell_refusals(&push.opened.refusals, line).await?;
                }
                () = sleep_until(wake.unwrap_or(until)), if wake.is_some() => {}
            }
        }
    }

    /// Hands on what a hub pushed; the number by which it is known when it is kept, none when there is no room, and
    /// whether it only said that there is something.
    async fn pushed(&mut self, call: &Call, host: &str, http: &Ways, line: &Line) -> Result<(Option<u64>, bool), End> {
        let base =
            self.known.hub.as_ref().and_then(|hub| hub.topic.parse().ok()).unwrap_or_else(|| self.config.url.clone());
        let kind = header(&call.headers, &CONTENT_TYPE);
        let document = super::read(call.body.as_deref().unwrap_or_default(), kind.as_deref(), &base);
        let is_thin = document.is_err();
        let document = document.unwrap_or_default();
        let mut known = self.known.clone();
        known.pushed += 1;
        let news = known.take_in(&document, Extent::Part, host, None);
        if let Some(push) = &mut self.push {
            let items: Vec<Key> = document.items.iter().map(|item| Key::of(&*item.own_id())).collect();
            push.brought((!is_thin).then_some(items.as_slice()));
        }
        let pushed = known.pushed;
        match self.hand_on(&news, &known, None, host, http, line).await {
            Ok(()) => self.known = known,
            Err(End::Stopped) => return Err(End::Stopped),
            Err(_) => return Ok((None, is_thin)),
        }
        Ok((Some(pushed), is_thin))
    }

    /// What the document says of hubs is what is subscribed to from now on.
    fn look_for_hub(&mut self, document: &Document, known: &mut Known, line: &Line) {
        let Some(push) = &mut self.push else { return };
        let hub = hub_of(document, &self.config.url).filter(|_| push.wants_hub());
        let in_clear = |hub: &Hub| !may_know_secret(hub, &self.config.url);
        if hub.as_ref().is_some_and(in_clear) {
            push.finds_hub_without_tls(line, Instant::now());
            push.is_at(None, Instant::now());
            known.hub = None;
            return;
        }
        // Half a document may have lost it.
        if hub.is_none() && !document.is_whole && push.wants_hub() {
            return;
        }
        if hub.is_none() && push.wants_hub() {
            push.finds_no_hub(line, Instant::now());
        }
        push.is_at(hub.as_ref(), Instant::now());
        known.hub = hub;
    }

    /// Asks once, and follows to where the feed is now.
    async fn poll(&mut self, http: &Ways, line: &Line) -> Result<Polled, End> {
        let mut known = self.known.clone();
        let mut url =
            known.moved.as_deref().and_then(|moved| moved.parse().ok()).unwrap_or_else(|| self.config.url.clone());
        let mut for_good = true;
        for _ in 0..=MOST_REDIRECTS {
            let mut headers = asked(&known);
            // Wherever else we are sent, nobody learns it.
            if url.origin() == self.config.url.origin()
                && let Some(login) = authorization(self.config.login.as_ref())?
            {
                headers.insert(AUTHORIZATION, login);
            }
            let answer = http.to(&url).ask(Request::get(url.clone(), headers, MOST_BYTES), line).await?;
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
                    let fresh_for = document.fresh_for.max(max_age(&answer.headers));
                    let hub = link(&answer.headers, "hub", &url).or(document.hub);
                    let own_url = link(&answer.headers, "self", &url).or(document.own_url);
                    let document = Document { fresh_for, hub, own_url, ..document };
                    return Ok(Polled::Document { document: Box::new(document), known: Box::new(known) });
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
                if let Some(push) = &mut self.push {
                    push.found(&[], line, Instant::now());
                }
                return Ok(self.config.poll_every.unwrap_or_else(|| self.usual()));
            }
            Polled::Document { document, known } => (document, known),
        };
        let began = known.begun;
        self.look_for_hub(&document, &mut known, line);
        let news = known.take_in(&document, Extent::Window, host, line.position.get().map(Cursor::time));
        if is_first {
            let joint = if began && !news.turned_over { Joint::GoesOn } else { Joint::Live };
            line.connected(host, joint).await?;
        } else if news.turned_over {
            let error = "nothing in it is known any more; poll it more often";
            events::source_down(&line.name, DownReason::CursorTooOld, Some(error));
            return Err(End::Interrupted(DownReason::CursorTooOld));
        }
        let is_busy = news.items.len() * 2 > document.items.len();
        if let Some(push) = &mut self.push {
            push.found(&news.fresh, line, Instant::now());
        }
        self.hand_on(&news, &known, Some(now), host, http, line).await?;
        self.known = *known;
        Ok(self.wait(&document, is_busy))
    }

    async fn hand_on(
        &self,
        news: &News<'_>,
        known: &Known,
        covered: Option<Timestamp>,
        host: &str,
        http: &Ways,
        line: &Line,
    ) -> Result<(), End> {
        let now = line.now();
        let items = news.items.iter().filter_map(|(id, item)| item.line(id, host, None, now));
        let gone = news.gone.iter().map(|(id, at)| gone_line(id, at.map_or(now, |at| at.min(now))));
        let frames: Vec<Frame> = items.chain(gone).map(|line| frame(line, now)).collect();
        let heard = news.items.iter().filter(|(_, item)| self.config.transcripts && !item.transcripts.is_empty());
        let heard: Vec<_> = heard.take(TRANSCRIPTS).collect();
        let bookmark = (*known != self.known).then(|| known.bookmark()).flatten();
        if heard.is_empty() {
            return line.hand_on(frames, Reach { covered, bookmark, paid: None }).await;
        }
        line.hand_on(frames, Reach::default()).await?;
        let mut frames = Vec::new();
        for (id, item) in heard {
            let words = self.transcript(item, http, line).await?;
            let spoken = words.and_then(|words| item.line(id, host, Some(&words), now));
            frames.extend(spoken.map(|line| frame(line, now)));
        }
        line.hand_on(frames, Reach { covered, bookmark, paid: None }).await
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

    /// How often it is asked for when nobody says how often.
    fn usual(&self) -> Duration {
        if self.push.as_ref().is_some_and(|push| push.is_reliable(Instant::now())) {
            FeedConfig::PUSHED
        } else {
            FeedConfig::USUAL
        }
    }

    fn wait(&self, document: &Document, is_busy: bool) -> Duration {
        let usual = || self.usual().max(document.fresh_for.unwrap_or_default().min(SELDOM));
        let wait = self.config.poll_every.unwrap_or_else(usual);
        if is_busy { (wait / 2).max(wait.min(FeedConfig::LEAST)) } else { wait }
    }
}

/// Where changes of a document can be subscribed to. Of `YouTube`'s channels the documents do not say it.
pub(super) fn hub_of(document: &Document, url: &Url) -> Option<Hub> {
    let channel = url.query_pairs().find_map(|(key, channel)| (key == "channel_id").then_some(channel));
    if let (Some("www.youtube.com"), Some(channel)) = (url.host_str(), channel) {
        let topic = Url::parse_with_params(YOUTUBE_TOPIC, [("channel_id", channel)]).ok()?;
        return Some(Hub { url: FeedConfig::YOUTUBE_HUB.to_owned(), topic: topic.into() });
    }
    let hub = document.hub.as_ref().filter(|hub| may_be_sent_to(hub, url))?;
    let topic = document.own_url.as_ref().unwrap_or(url);
    Some(Hub { url: hub.as_str().to_owned(), topic: topic.as_str().to_owned() })
}

/// The hub that an answer from `url` names, where the daemon would go there.
///
/// # Errors
/// [`NotAFeed`].
pub fn hub(body: &[u8], headers: &HeaderMap, url: &Url) -> Result<Option<Url>, NotAFeed> {
    let document = super::read(body, header(headers, &CONTENT_TYPE).as_deref(), url)?;
    let hub = link(headers, "hub", url).or(document.hub);
    Ok(hub.filter(|hub| may_be_sent_to(hub, url)))
}

/// Whether a hub may be told the secret that it is to sign with: over TLS, or where the configuration itself reads
/// the feed without.
pub(super) fn may_know_secret(hub: &Hub, url: &Url) -> bool {
    let is_own = |hub: &Url| url.scheme() == "http" && hub.host() == url.host();
    Url::parse(&hub.url).is_ok_and(|hub| hub.scheme() == "https" || is_own(&hub))
}

/// How much of what was pushed was taken in before a bookmark.
fn pushed_before(bookmark: &Bookmark) -> Option<u64> {
    #[derive(Deserialize)]
    struct Pushed {
        pushed: u64,
    }
    serde_json::from_str::<Pushed>(&bookmark.0).ok().map(|Pushed { pushed }| pushed)
}

impl Wire for Feed {
    async fn read(&mut self, host: &Url, line: &mut Line) -> End {
        match self.go_on(host, line).await {
            Err(end) => end,
            Ok(()) => End::Renewed,
        }
    }

    /// A server that has enough of being asked is left alone; what its hub pushes is taken all the same.
    async fn pause(&mut self, wait: Duration, line: &mut Line) -> Result<(), End> {
        let until = Instant::now() + wait;
        let is_called = self.push.is_some() && !wait.is_zero();
        let Some(http) = is_called.then(|| Ways::new(&self.config).ok()).flatten() else {
            return line.unless_stopped(sleep_until(until)).await;
        };
        let host = self.config.url.host_str().unwrap_or_default().to_owned();
        while Instant::now() < until {
            // It ends early where a push says that there is something to poll: that waits, too.
            line.unless_stopped(Box::pin(self.listen(until, &host, &http, line))).await??;
        }
        Ok(())
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

/// The address with that relation in `Link` headers (RFC 8288).
pub(super) fn link(headers: &HeaderMap, relation: &str, base: &Url) -> Option<Url> {
    let is_of = |parameters: &str| {
        let mut parts = parameters.split(';').filter_map(|part| part.split_once('='));
        parts.any(|(name, value)| {
            let mut relations = value.split([' ', '"', ',', '\'']);
            name.trim().eq_ignore_ascii_case("rel") && relations.any(|one| one.eq_ignore_ascii_case(relation))
        })
    };
    headers.get_all(LINK).iter().filter_map(|line| line.to_str().ok()).find_map(|line| {
        let links = line.split('<').filter_map(|link| link.split_once('>'));
        links.take(MOST_LINKS).find_map(|(url, parameters)| is_of(parameters).then(|| base.join(url).ok())?)
    })
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
