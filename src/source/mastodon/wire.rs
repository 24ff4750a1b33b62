//! An instance that speaks Mastodon's API: its stream, what the stream missed, and polling where it has none.
//!
//! A stream promises nothing: no resume, no replay, and an instance whose administrator switched public streams
//! off keeps the connection open and sends deletions alone. So every connection begins with a look at the
//! timelines: what came since the last known status is read from there, beside the stream; and when a stream
//! brings deletions only, the timelines are polled instead, or, where they are closed too, the operator is told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use serde_json::Value;
use tokio::time::sleep;
use url::Url;

use super::memory::Memory;
use super::talk::{Conversation, named};
use super::timeline::{Asked, Looked, earlier};
use crate::config::model::MastodonConfig;
use crate::domain::event::{DownReason, Joint, Reach};
use crate::net::socket::Socket;
use crate::net::ws::{ConnectError, Connector, HARD_LIMIT_BYTES, peer};
use crate::source::http::{Http, refused};
use crate::source::line::Line;
use crate::source::supervise::{End, Failure, Wire};
use crate::source::talk::{Limits, converse};

/// What is read again after an outage: statuses that reach the instance late are numbered by when they were
/// written.
const MARGIN: Duration = Duration::from_mins(10);
/// The same from one poll to the next.
const POLL_MARGIN: Duration = Duration::from_mins(2);
/// A stream that nothing vouches for has to bring something within so long.
const SILENT: Duration = Duration::from_hours(1);

/// What is asked for, and where it stands.
pub struct Mastodon {
    config: MastodonConfig,
    connector: Connector,
    http: Option<Http>,
    memory: Memory,
    /// The last stream brought deletions and no posts.
    only_deletions: bool,
}

impl Mastodon {
    /// Not connected yet.
    pub fn new(config: MastodonConfig, line: &Line) -> Self {
        let most = config.max_frame_bytes.max(HARD_LIMIT_BYTES);
        let connector = Connector::new(config.transport.clone(), line.timing.connect_within, most);
        Self { config, connector, http: None, memory: Memory::default(), only_deletions: false }
    }
}

impl Wire for Mastodon {
    async fn read(&mut self, base: &Url, line: &mut Line) -> End {
        if self.http.is_none() {
            match Http::new(&self.config.transport, base.scheme() == "http") {
                Ok(http) => self.http = Some(http),
                Err(end) => return end,
            }
        }
        let Some(http) = &self.http else { return Failure::retry("no HTTP client") };
        let session = Session {
            asked: Asked { http, base, token: self.config.token.as_ref() },
            config: &self.config,
            connector: &self.connector,
            memory: &self.memory,
            host: peer(base).unwrap_or_default(),
        };
        let end = session.run(self.only_deletions, line).await;
        // Both others call for a stream next time.
        self.only_deletions = matches!(end, End::Interrupted(DownReason::Stalled));
        end
    }
}

struct Session<'a> {
    asked: Asked<'a>,
    config: &'a MastodonConfig,
    connector: &'a Connector,
    memory: &'a Memory,
    host: String,
}

/// What the timelines show before a stream is read.
struct Outlook {
    /// None shows us anything.
    closed: Option<End>,
    /// One of them shows posts, so that what a stream does not bring is not there. A public one without any may be
    /// a closed one that does not say so.
    sees: bool,
}

impl Session<'_> {
    async fn run(&self, only_deletions: bool, line: &mut Line) -> End {
        let streaming = match self.streaming(line).await {
            Ok(streaming) => streaming,
            Err(end) => return end,
        };
        if only_deletions {
            return self.without_stream(line).await;
        }
        let Some(mut streaming) = streaming else { return self.poll(line).await };
        streaming.query_pairs_mut().clear().extend_pairs(self.config.streams.first().map(named).unwrap_or_default());
        let headers = match self.asked.headers() {
            Ok(headers) => headers,
            Err(end) => return end,
        };
        match line.unless_stopped(self.connector.connect_with(&streaming, &headers)).await {
            Ok(Ok(socket)) => self.stream(socket, line).await,
            // No such thing there, whatever the instance says.
            Ok(Err(ConnectError::Refused { status: 400 | 404 | 405 | 426 | 501, .. })) => self.poll(line).await,
            Ok(Err(error)) => error.into(),
            Err(end) => end,
        }
    }

    /// Where the instance has its streams; none when it has none.
    async fn streaming(&self, line: &Line) -> Result<Option<Url>, End> {
        let mut said = None;
        for (path, place) in super::STREAMS_NAMED_IN {
            let answer = self.asked.get(path, &[], line).await?;
            if answer.status.is_success() {
                let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                said = Some(document.pointer(place).and_then(Value::as_str).map(str::to_owned));
                break;
            }
            if answer.status != reqwest::StatusCode::NOT_FOUND {
                return Err(refused(&self.host, answer.status, &answer.headers));
            }
        }
        let base = self.asked.base;
        let mut url = match said {
            Some(None) => return Ok(None),
            Some(Some(said)) => Url::parse(&said.replacen("http", "ws", usize::from(said.starts_with("http")))).ok(),
            None => Url::parse(&base.as_str().replacen("http", "ws", 1)).ok(),
        };
        // The token goes there: not in the clear when the instance itself is not.
        url = url.filter(|url| url.scheme() == "wss" || (url.scheme() == "ws" && base.scheme() == "http"));
        let Some(mut url) = url else {
            let host = &self.host;
            return Err(Failure::operator(format!("{host} names no safe address for its streams")));
        };
        url.set_path("/api/v1/streaming");
        Ok(Some(url))
    }

    /// Looks at each timeline once.
    async fn look(&self, line: &Line) -> Result<Outlook, End> {
        let mut outlook = Outlook { closed: None, sees: false };
        let mut open = false;
        for name in &self.config.streams {
            match self.asked.look(name, None, 1, line).await? {
                Looked::Page(page) => {
                    open = true;
                    let first = page.first();
                    outlook.sees |= !name.is_public() || first.is_some();
                    if let Some(item) = first
                        && line.position.bookmark().is_none()
                    {
                        self.memory.came(&item.id, &item.uri);
                    }
                }
                Looked::Closed(end) => outlook.closed = Some(end),
            }
        }
        if open {
            outlook.closed = None;
        }
        Ok(outlook)
    }

    async fn stream(&self, socket: Socket, line: &mut Line) -> End {
        let outlook = match self.look(line).await {
            Ok(outlook) => outlook,
            Err(end) => return end,
        };
        let known = line.position.bookmark().filter(|_| outlook.closed.is_none());
        let caught_up = AtomicBool::new(known.is_none());
        let mut talk = Conversation {
            host: &self.host,
            streams: &self.config.streams,
            memory: self.memory,
            caught_up: &caught_up,
            joint: if known.is_some() { Joint::GoesOn } else { Joint::Live },
            sees: outlook.sees,
            only_deletions: line.timing.only_deletions,
            deletions: 0,
            deletions_since: None,
        };
        let limits = Limits {
            max_frame_bytes: self.config.max_frame_bytes,
            // An instance that shows nothing answers pings, too.
            expect_message_within: (!outlook.sees).then_some(SILENT),
            pings: true,
        };
        let beside = line.beside();
        let missed = Box::pin(async {
            if let Some(known) = known {
                self.catch_up(&earlier(&known.0, MARGIN), &beside).await?;
            }
            Ok::<(), End>(())
        });
        let talking = Box::pin(converse(socket, &self.host, &mut talk, limits, line));
        match select(missed, talking).await {
            Either::Right((end, _)) | Either::Left((Err(end), _)) => end,
            Either::Left((Ok(()), talking)) => {
                caught_up.store(true, Ordering::Relaxed);
                talking.await
            }
        }
    }

    async fn catch_up(&self, after: &str, line: &Line) -> Result<(), End> {
        for name in &self.config.streams {
            self.asked.catch_up(name, after, self.memory, line).await?;
        }
        Ok(())
    }

    /// The stream brings deletions only: reads the timelines, when they show the present.
    async fn without_stream(&self, line: &mut Line) -> End {
        match self.look(line).await {
            Ok(Outlook { closed: None, sees: true }) => self.poll(line).await,
            Ok(_) => {
                let host = &self.host;
                Failure::operator(format!(
                    "{host} sends deletions and no posts: its public streams are switched off; ask its administrator, or read another instance"
                ))
            }
            Err(end) => end,
        }
    }

    /// Asks again and again. Deletions and edits are not to be seen this way.
    async fn poll(&self, line: &mut Line) -> End {
        let joint = if line.position.bookmark().is_some() { Joint::GoesOn } else { Joint::Live };
        match self.look(line).await {
            Ok(Outlook { closed: Some(end), .. }) | Err(end) => return end,
            Ok(_) => {}
        }
        if let Err(end) = line.connected(&self.host, joint).await {
            return end;
        }
        let mut margin = MARGIN;
        let mut known = line.position.bookmark().map(|bookmark| bookmark.0.to_string());
        loop {
            known = known.or_else(|| self.memory.newest());
            let before = line.now();
            let caught_up = match &known {
                Some(known) => self.catch_up(&earlier(known, margin), line).await,
                None => Ok(()),
            };
            let newest = self.memory.newest().or(known.take());
            let reach = Reach { covered: Some(before), bookmark: newest.clone().map(Into::into), paid: None };
            let read = match caught_up {
                Ok(()) => line.hand_on(Vec::new(), reach).await,
                Err(end) => Err(end),
            };
            let waited = match read {
                Ok(()) => line.unless_stopped(sleep(self.config.poll_every)).await,
                Err(end) => Err(end),
            };
            if let Err(end) = waited {
                return end;
            }
            (known, margin) = (newest, POLL_MARGIN);
        }
    }
}
