//! A Socket Mode connection: an address that can be used once, hello, envelopes, acknowledgements.
//!
//! An acknowledgement means to Slack that it need not send the envelope again, and it will not: so it goes
//! out only once what the envelope carries is on disk. That takes a second at most while all is well, and
//! Slack allows three.
//!
//! Slack renews its connections every few hours and says so before: then another one is opened, and the old one read
//! until that one stands.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Bytes;
use url::Url;

use crate::config::model::SlackConfig;
use crate::domain::event::{Bookmark, DownReason, Joint, Rejected};
use crate::net::socket::{Received, Socket};
use crate::net::ws::{Connector, peer};
use crate::source::backoff::{Backoff, Jitter};
use crate::source::http::{Http, Request, refused};
use crate::source::lenient::{Text, lenient, text};
use crate::source::line::Line;
use crate::source::supervise::{End, Failure, Remedy, Wire};
use crate::source::talk::{Limits, Talk, Turn, converse};

/// An envelope is a few KiB, with long messages and their old versions some hundred.
const MAX_FRAME_BYTES: usize = 1 << 20;
/// The limit that protects memory.
const MAX_MESSAGE_BYTES: usize = 8 << 20;
/// What is on its way on the old connection when the new one stands comes within this.
const LINGER: Duration = Duration::from_millis(500);

/// An app's view of a workspace.
pub struct Slack {
    config: SlackConfig,
    connector: Connector,
    /// Envelopes that were kept, ever: no two bookmarks are the same, also when what was handed on before is
    /// not processed yet.
    count: u64,
}

impl Slack {
    /// Not connected yet.
    pub fn new(config: SlackConfig, line: &Line) -> Self {
        let connector = Connector::new(config.transport.clone(), line.timing.connect_within, MAX_MESSAGE_BYTES);
        let before = line.position.bookmark().and_then(|bookmark| bookmark.0.parse().ok());
        Self { config, connector, count: before.unwrap_or(0) }
    }

    async fn go_on(&mut self, api: &Url, line: &mut Line) -> Result<(), End> {
        let Self { config, connector, count } = self;
        let mut session = open(config, connector, api, line).await?;
        line.connected(&session.host, Joint::Live).await?;
        let (first, longest) = (line.timing.first_backoff, line.timing.longest_backoff);
        let mut backoff = Backoff::new(Jitter::from_system(), first, longest);
        loop {
            let began = Instant::now();
            let Session { socket, host } = session;
            let (moves, told_to_move) = oneshot::channel();
            let mut talk = Envelopes { channels: &config.channels, count: &mut *count, moves: Some(moves) };
            // The old connection has a line of its own, so that it can be ended by itself.
            let mut old = line.beside();
            old.cancel = line.cancel.child_token();
            let stop = old.cancel.clone();
            let limits = Limits { max_frame_bytes: MAX_FRAME_BYTES, expect_message_within: None, pings: true };
            let mut reading = std::pin::pin!(converse(socket, &host, &mut talk, limits, &mut old));
            tokio::select! {
                biased;
                Ok(()) = told_to_move => {}
                end = &mut reading => return Err(end),
            }
            // Slack goes on sending here until it closes, and takes more than one connection.
            let (next, joint) = {
                // A server that wants nothing but new connections is none to be hurried.
                let is_healthy = began.elapsed() >= line.timing.healthy_after;
                if is_healthy {
                    backoff.reset();
                }
                let wait = if is_healthy { Duration::ZERO } else { backoff.after_failure() };
                let next = async {
                    line.unless_stopped(sleep(wait)).await?;
                    open(config, connector, api, line).await
                };
                let mut next = std::pin::pin!(next);
                tokio::select! {
                    next = &mut next => (next?, Joint::GoesOn),
                    end = &mut reading => {
                        if !matches!(end, End::Down(_) | End::Interrupted(_)) {
                            return Err(end);
                        }
                        // It closed before there was another: what is said meanwhile may be lost, and goes on record.
                        line.down(DownReason::Closed).await?;
                        (next.await?, Joint::Live)
                    }
                }
            };
            if joint == Joint::GoesOn && timeout(LINGER, &mut reading).await.is_err() {
                stop.cancel();
                reading.await;
            }
            line.connected(&next.host, joint).await?;
            session = next;
        }
    }
}

/// A connection that was greeted.
struct Session {
    socket: Socket,
    host: String,
}

/// Asks for an address, connects to it, and waits until Slack says hello.
async fn open(config: &SlackConfig, connector: &Connector, api: &Url, line: &Line) -> Result<Session, End> {
    let url = ticket(config, api, line).await?;
    let host = peer(&url).unwrap_or_default();
    // The ticket may be spent or too old: a new one is asked for next time.
    let mut socket = line.unless_stopped(connector.connect(&url)).await??;
    let within = line.timing.connect_within;
    let greeted = line.unless_stopped(timeout(within, greeting(&mut socket))).await?;
    greeted.unwrap_or_else(|_| Err(Failure::retry(format!("{host} did not greet us within {within:?}"))))?;
    Ok(Session { socket, host })
}

/// Waits for hello. What else comes first is not acknowledged, and so comes again.
async fn greeting(socket: &mut Socket) -> Result<(), End> {
    loop {
        match socket.next().await {
            Some(Ok(Received::Frame(message))) => match serde_json::from_slice::<Envelope<'_>>(&message) {
                Ok(Envelope { kind, .. }) if kind.0 == "hello" => return Ok(()),
                Ok(Envelope { kind, reason, .. }) if kind.0 == "disconnect" => return Err(sent_away(reason)),
                _ => {}
            },
            Some(Ok(Received::Control)) => {}
            _ => return Err(Failure::retry("Slack closed the connection without a greeting")),
        }
    }
}

/// Why Slack wants a connection to end, when that is no mere renewal.
fn sent_away(reason: Option<&RawValue>) -> End {
    match text(reason).as_deref() {
        Some("link_disabled") => Failure::operator("Socket Mode is turned off for the app; turn it on in its settings"),
        _ => Failure::retry("Slack wants another connection"),
    }
}

/// An address for one connection. It holds a ticket: it is never logged.
async fn ticket(config: &SlackConfig, api: &Url, line: &Line) -> Result<Url, End> {
    let mut url = api.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push("apps.connections.open");
    }
    let unusable = |_| Failure::operator("the source's token has characters that no token has");
    let mut token = HeaderValue::try_from(format!("Bearer {}", config.token.expose())).map_err(unusable)?;
    token.set_sensitive(true);
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let headers = HeaderMap::from_iter([(AUTHORIZATION, token), (CONTENT_TYPE, form)]);
    let http = Http::new(&config.transport, api.scheme() == "http")?;
    let host = peer(api).unwrap_or_default();
    let answer =
        http.ask(Request { method: Method::POST, url, headers, body: Vec::new(), most: 1 << 16 }, line).await?;
    if !answer.status.is_success() {
        return Err(refused(&host, answer.status, &answer.headers));
    }
    let opened: Opened = serde_json::from_slice(&answer.body)
        .or(Err(Failure::retry(format!("{host} answered what is no answer of Slack"))))?;
    match opened {
        Opened { ok: true, url: Some(url), .. } => {
            let url = Url::parse(&url).ok();
            let safe = url.filter(|url| url.scheme() == "wss" || (url.scheme() == "ws" && api.scheme() == "http"));
            safe.ok_or_else(|| Failure::retry(format!("{host} answered with no address")))
        }
        Opened { error, .. } => Err(denied(&host, &error.unwrap_or_default())),
    }
}

/// Slack's refusals come with status 200.
fn denied(host: &str, error: &str) -> End {
    let word: String = error.chars().filter(|c| c.is_ascii_lowercase() || *c == '_').take(60).collect();
    match word.as_str() {
        "ratelimited" | "rate_limited" => {
            End::Failed(Failure { error: format!("{host} has enough of us for now"), remedy: Remedy::Busy(None) })
        }
        "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout" => {
            End::Failed(Failure { error: format!("{host} answered {word}"), remedy: Remedy::Refused })
        }
        _ => Failure::operator(format!(
            "{host} answered {word}; the source needs an app-level token (xapp-) with connections:write, and Socket Mode turned on"
        )),
    }
}

#[derive(Deserialize)]
struct Opened {
    ok: bool,
    url: Option<String>,
    error: Option<String>,
}

impl Wire for Slack {
    async fn read(&mut self, api: &Url, line: &mut Line) -> End {
        match Box::pin(self.go_on(api, line)).await {
            Err(end) => end,
            Ok(()) => End::Renewed,
        }
    }
}

/// Our side of a connection.
struct Envelopes<'a> {
    channels: &'a [String],
    count: &'a mut u64,
    /// Rung when the connection is to be left for another.
    moves: Option<oneshot::Sender<()>>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, rename = "envelope_id")]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    reason: Option<&'a RawValue>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    api_app_id: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    app_id: Option<&'a RawValue>,
}

impl Envelopes<'_> {
    /// Whether an event is one to keep: in a channel that is read, and not what our own app said there.
    fn is_wanted(&self, payload: Option<&RawValue>) -> bool {
        // What cannot be read is for the decoder to reject.
        let Some(payload) = lenient::<Payload<'_>>(payload) else { return true };
        let Some(event) = lenient::<Event<'_>>(payload.event) else { return true };
        let own = text(payload.api_app_id).filter(|id| text(event.app_id).as_ref() == Some(id));
        let channel = text(event.channel);
        let is_read = || channel.is_some_and(|channel| self.channels.iter().any(|read| *read == channel));
        own.is_none() && (self.channels.is_empty() || is_read())
    }
}

impl Talk for Envelopes<'_> {
    fn begin(&mut self, turn: &mut Turn) {
        turn.was_accepted();
        turn.is_alive();
    }

    fn hear(&mut self, message: &Bytes, turn: &mut Turn) -> Result<(), End> {
        let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(message) else {
            turn.reject(Rejected::NotJson);
            return Ok(());
        };
        match envelope.kind.0.as_ref() {
            "disconnect" if text(envelope.reason).as_deref() == Some("link_disabled") => {
                return Err(sent_away(envelope.reason));
            }
            "disconnect" => {
                if let Some(moves) = self.moves.take() {
                    moves.send(()).unwrap_or_default();
                }
            }
            "events_api" if self.is_wanted(envelope.payload) => {
                *self.count += 1;
                turn.keep(message.clone());
            }
            _ => {}
        }
        if let Some(Text(id)) = envelope.id {
            turn.say(json!({ "envelope_id": id }).to_string());
        }
        Ok(())
    }

    fn bookmark(&self) -> Option<Bookmark> {
        Some(Bookmark::from(self.count.to_string()))
    }

    fn vouches(&self) -> bool {
        true
    }
}
