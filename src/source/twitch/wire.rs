//! An `EventSub` session: a welcome, subscriptions by HTTP, and a move to another connection when the server goes.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Bytes;
use url::Url;

use super::memory::Memory;
use super::{CLEARED, DELETED, Event, MESSAGE, Message, Metadata, Payload, Subscription};
use crate::config::model::EventsubConfig;
use crate::domain::event::{DownReason, Joint, Rejected};
use crate::domain::id::SourceName;
use crate::domain::time::Timestamp;
use crate::net::socket::{Received, Socket};
use crate::net::ws::{Connector, peer};
use crate::source::http::{Http, Request, refused};
use crate::source::lenient::{lenient, text};
use crate::source::line::Line;
use crate::source::supervise::{End, Failure, Remedy, Wire};
use crate::source::talk::{Limits, Talk, Turn, converse};
use crate::source::unwatched::Unwatched;
use crate::telemetry::events;

/// A message has at most 500 characters, and what belongs to it some KiB.
const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// How often the server says that it is there; asked for in the address.
const KEEPALIVE_SECONDS: &str = "30";
/// How late that may be.
const GRACE: Duration = Duration::from_secs(10);
/// The server waits so long for the first subscription.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(10);
/// Requests at a time.
const AT_ONCE: usize = 8;
/// The longest answer of the API, in bytes.
const MOST_BYTES: usize = 1 << 18;
/// What is older than the newest by so much was recorded and is played to us again.
const OLDEST: Duration = Duration::from_mins(10);
/// What is on its way on the old connection when the new one stands comes within this.
const LINGER: Duration = Duration::from_millis(500);
/// What is told of each channel.
const WANTED: [&str; 3] = [MESSAGE, DELETED, CLEARED];
const CLIENT_ID: HeaderName = HeaderName::from_static("client-id");

/// An account's view of some chats.
pub struct Eventsub {
    config: EventsubConfig,
    connector: Connector,
    memory: Memory,
}

/// A connection that was welcomed.
struct Session {
    socket: Socket,
    host: String,
    id: String,
    limits: Limits,
}

impl Eventsub {
    /// Not connected yet.
    pub fn new(config: EventsubConfig, line: &Line) -> Self {
        let connector = Connector::new(config.transport.clone(), line.timing.connect_within, MAX_MESSAGE_BYTES);
        Self { config, connector, memory: Memory::default() }
    }

    async fn go_on(&mut self, url: &Url, line: &mut Line) -> Result<(), End> {
        let mut url = url.clone();
        url.query_pairs_mut().append_pair("keepalive_timeout_seconds", KEEPALIVE_SECONDS);
        let api = Api::new(&self.config)?;
        let (channels, reader, mut unwatched) = api.people(&self.config.channels, line).await?;
        let mut session = welcomed(&self.connector, &url, line).await?;
        let subscribed = api.subscribe(&session.id, &channels, &reader, &mut unwatched, line).await?;
        line.unwatched.are(unwatched);
        line.connected(&session.host, Joint::Live).await?;
        let mut subscribed = subscribed;
        loop {
            let (moves, next_place) = oneshot::channel();
            let Session { socket, host, limits, .. } = session;
            let mut talk = Chat {
                source: &line.name,
                unwatched: line.unwatched.clone(),
                memory: &mut self.memory,
                subscribed: &mut subscribed,
                moves: Some(moves),
                newest: Timestamp::default(),
            };
            // The old connection has a line of its own, so that it can be ended by itself.
            let mut old = line.beside();
            old.cancel = line.cancel.child_token();
            let stop = old.cancel.clone();
            let mut reading = std::pin::pin!(converse(socket, &host, &mut talk, limits, &mut old));
            let next = async {
                let Ok(next) = next_place.await else { return std::future::pending().await };
                // Nobody leads us from a connection that is safe to one that is not.
                if next.scheme() != "wss" && next.scheme() != url.scheme() {
                    return Err(End::Interrupted(DownReason::Closed));
                }
                let url = next;
                welcomed(&self.connector, &url, line).await
            };
            let next = std::pin::pin!(next);
            let next = tokio::select! {
                // Without a new one, or before it stands: then all begins anew.
                end = &mut reading => return Err(end),
                next = next => next,
            };
            // What is on its way here is read first. Then this side says goodbye.
            if timeout(LINGER, &mut reading).await.is_err() {
                stop.cancel();
                reading.await;
            }
            session = next?;
            if line.cancel.is_cancelled() {
                return Err(End::Stopped);
            }
        }
    }
}

impl Wire for Eventsub {
    async fn read(&mut self, url: &Url, line: &mut Line) -> End {
        match Box::pin(self.go_on(url, line)).await {
            Err(end) => end,
            Ok(()) => End::Renewed,
        }
    }
}

#[derive(Deserialize)]
struct SessionJson {
    id: String,
    #[serde(default)]
    keepalive_timeout_seconds: Option<u64>,
    #[serde(default)]
    reconnect_url: Option<String>,
}

/// Connects, and waits for the welcome.
async fn welcomed(connector: &Connector, url: &Url, line: &Line) -> Result<Session, End> {
    let host = peer(url).unwrap_or_default();
    let mut socket = line.unless_stopped(connector.connect(url)).await?.map_err(End::from)?;
    let welcome = async {
        loop {
            match socket.next().await {
                Some(Ok(Received::Frame(message))) => {
                    if let Some(session) = session_of(&message, "session_welcome") {
                        return Some(session);
                    }
                }
                Some(Ok(Received::Control)) => {}
                _ => return None,
            }
        }
    };
    let within = line.timing.connect_within;
    match line.unless_stopped(timeout(within, welcome)).await? {
        Ok(Some(session)) => {
            let seconds = session.keepalive_timeout_seconds.unwrap_or(30).clamp(1, 600);
            let silence = (Duration::from_secs(seconds) + GRACE).min(line.timing.answer_within);
            // Nothing may be said to the server, pings included.
            let limits =
                Limits { max_frame_bytes: MAX_MESSAGE_BYTES, expect_message_within: Some(silence), pings: false };
            Ok(Session { socket, host, id: session.id, limits })
        }
        Ok(None) | Err(_) => Err(Failure::retry(format!("{host} did not welcome us within {within:?}"))),
    }
}

/// The session that a message of that kind tells of.
fn session_of(message: &[u8], kind: &str) -> Option<SessionJson> {
    let message: Message<'_> = serde_json::from_slice(message).ok()?;
    let is_it = text(lenient::<Metadata<'_>>(message.metadata)?.kind).is_some_and(|found| found == kind);
    lenient::<SessionJson>(lenient::<Payload<'_>>(message.payload)?.session).filter(|_| is_it)
}

/// Twitch's API, as far as it is needed.
struct Api {
    http: Http,
    base: Url,
    headers: HeaderMap,
    host: String,
}

#[derive(Deserialize)]
struct Users {
    data: Vec<User>,
}

#[derive(Deserialize)]
struct User {
    id: String,
    login: String,
}

impl Api {
    fn new(config: &EventsubConfig) -> Result<Self, End> {
        let unusable = |_| Failure::operator("the source's token has characters that no token has");
        let token = config.token.expose().trim().trim_start_matches("oauth:");
        let mut token = HeaderValue::try_from(format!("Bearer {token}")).map_err(unusable)?;
        token.set_sensitive(true);
        let client = HeaderValue::try_from(&config.client_id).map_err(unusable)?;
        let json = HeaderValue::from_static("application/json");
        let headers = HeaderMap::from_iter([(AUTHORIZATION, token), (CLIENT_ID, client), (CONTENT_TYPE, json)]);
        let http = Http::new(&config.transport, config.api.scheme() == "http")?;
        Ok(Self { http, host: peer(&config.api).unwrap_or_default(), base: config.api.clone(), headers })
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        url
    }

    async fn users(&self, url: Url, line: &Line) -> Result<Vec<User>, End> {
        let answer = self.http.get(Request::get(url, self.headers.clone(), MOST_BYTES), line).await?;
        let users: Result<Users, _> = serde_json::from_slice(&answer.body);
        Ok(users.or(Err(Failure::retry(format!("{} answered what is no answer of Twitch", self.host))))?.data)
    }

    /// The ids of the channels, of whose token it is, and which channels there are not.
    async fn people(&self, logins: &[String], line: &Line) -> Result<(Vec<User>, String, Vec<String>), End> {
        let reader = self.users(self.at("users"), line).await?.into_iter().next();
        let reader = reader.ok_or_else(|| Failure::operator("the source's token is nobody's; make one for a user"))?;
        let mut url = self.at("users");
        url.query_pairs_mut().extend_pairs(logins.iter().map(|login| ("login", login)));
        let mut channels = self.users(url, line).await?;
        channels.retain(|channel| logins.contains(&channel.login.to_lowercase()));
        let mut unwatched = Vec::new();
        for absent in
            logins.iter().filter(|login| channels.iter().all(|channel| channel.login.to_lowercase() != **login))
        {
            unwatched.push(format!("Twitch has no channel {absent}, nobody reads it"));
        }
        for what in &unwatched {
            events::source_notice(&line.name, what);
        }
        if channels.is_empty() {
            return Err(Failure::operator("Twitch has none of the source's channels; check `channels`"));
        }
        Ok((channels, reader.id, unwatched))
    }

    /// Asks to be told of each channel; says of how many messages are told.
    async fn subscribe(
        &self,
        session: &str,
        channels: &[User],
        reader: &str,
        unwatched: &mut Vec<String>,
        line: &Line,
    ) -> Result<usize, End> {
        let asked = channels.iter().flat_map(|channel| WANTED.map(|kind| (channel, kind)));
        let asking = asked.map(|(channel, kind)| async move {
            let body = json!({
                "type": kind, "version": "1",
                "condition": { "broadcaster_user_id": channel.id, "user_id": reader },
                "transport": { "method": "websocket", "session_id": session },
            });
            let request = Request {
                method: Method::POST,
                url: self.at("eventsub/subscriptions"),
                headers: self.headers.clone(),
                body: body.to_string().into_bytes(),
                most: MOST_BYTES,
            };
            (channel, kind, self.http.ask(request, line).await)
        });
        let all = stream::iter(asking.collect::<Vec<_>>()).buffer_unordered(AT_ONCE).collect::<Vec<_>>();
        let answers = timeout(SUBSCRIBE_WITHIN, all).await;
        let answers = answers.or(Err(Failure::retry(format!("{} takes no subscriptions in time", self.host))))?;
        let (mut taken, mut refusal) = (0, None);
        for (channel, kind, answer) in answers {
            let end = match answer {
                Ok(answer) if answer.status.is_success() || answer.status == 409 => {
                    taken += usize::from(kind == MESSAGE);
                    continue;
                }
                Ok(answer) => refused(&self.host, answer.status, &answer.headers),
                Err(end) => end,
            };
            let End::Failed(failure) = end else { return Err(end) };
            let notice = format!("{kind} is not told of in {}: {}", channel.login, failure.error);
            events::source_notice(&line.name, &notice);
            unwatched.push(notice);
            if kind != MESSAGE {
                continue;
            }
            // What may pass is tried again: else nobody would read this channel as long as the session lasts.
            if failure.remedy != Remedy::Operator {
                return Err(End::Failed(failure));
            }
            refusal = Some(failure);
        }
        match refusal {
            Some(failure) if taken == 0 => Err(End::Failed(failure)),
            _ => Ok(taken),
        }
    }
}

/// Our side of a connection, which says nothing.
struct Chat<'a> {
    source: &'a SourceName,
    unwatched: Unwatched,
    memory: &'a mut Memory,
    /// Channels whose messages we are told of.
    subscribed: &'a mut usize,
    /// Learns where the server wants us to go.
    moves: Option<oneshot::Sender<Url>>,
    /// By the server's clock; ours may be wrong.
    newest: Timestamp,
}

impl Chat<'_> {
    fn notified(&mut self, raw: &Bytes, message: &Message<'_>, metadata: &Metadata<'_>, turn: &mut Turn) {
        let stamp = text(metadata.timestamp).and_then(|stamp| Timestamp::parse(&stamp).ok());
        if let Some(stamp) = stamp {
            if stamp + OLDEST < self.newest {
                return turn.reject(Rejected::AbsurdDate);
            }
            self.newest = self.newest.max(stamp);
        }
        let is_new = text(metadata.id).is_none_or(|id| self.memory.is_new(&id));
        if !is_new {
            return;
        }
        turn.keep(raw.clone());
        let Some(payload) = lenient::<Payload<'_>>(message.payload) else { return };
        let kind = lenient::<Subscription<'_>>(payload.subscription).and_then(|subscription| text(subscription.kind));
        let Some(event) = lenient::<Event<'_>>(payload.event) else { return };
        let Some(channel) = text(event.broadcaster_user_id) else { return };
        match kind.as_deref() {
            Some(MESSAGE) => {
                if let (Some(author), Some(id)) = (text(event.chatter_user_id), text(event.message_id)) {
                    self.memory.wrote(&channel, &author, &id);
                }
            }
            Some(CLEARED) => {
                let gone = text(event.target_user_id).map(|author| self.memory.wiped(&channel, &author));
                for id in gone.into_iter().flatten() {
                    let deletion = json!({
                        "metadata": { "message_timestamp": text(metadata.timestamp) },
                        "payload": { "subscription": { "type": DELETED }, "event": { "message_id": id } },
                    });
                    turn.keep(deletion.to_string().into());
                }
            }
            _ => {}
        }
    }

    fn revoked(&mut self, message: &Message<'_>) -> Result<(), End> {
        let payload = lenient::<Payload<'_>>(message.payload);
        let subscription = payload.and_then(|payload| lenient::<Subscription<'_>>(payload.subscription));
        let word = |raw| text(raw).map(|text| harmless(&text)).unwrap_or_default();
        let (kind, status) = subscription.map_or_else(Default::default, |it| (word(it.kind), word(it.status)));
        if status == "authorization_revoked" {
            return Err(Failure::operator("Twitch says that the source's token was revoked; make a new one"));
        }
        *self.subscribed = self.subscribed.saturating_sub(usize::from(kind == MESSAGE));
        let notice = format!("Twitch tells of {kind} in a channel no more: {status}");
        events::source_notice(self.source, &notice);
        self.unwatched.are([self.unwatched.list(), vec![notice]].concat());
        if *self.subscribed == 0 {
            return Err(Failure::operator("Twitch tells of no channel any more; check `channels`"));
        }
        Ok(())
    }
}

impl Talk for Chat<'_> {
    fn begin(&mut self, turn: &mut Turn) {
        turn.is_alive();
    }

    fn hear(&mut self, raw: &Bytes, turn: &mut Turn) -> Result<(), End> {
        let Ok(message) = serde_json::from_slice::<Message<'_>>(raw) else {
            turn.reject(Rejected::NotJson);
            return Ok(());
        };
        let Some(metadata) = lenient::<Metadata<'_>>(message.metadata) else { return Ok(()) };
        match text(metadata.kind).as_deref() {
            Some("notification") => self.notified(raw, &message, &metadata, turn),
            Some("session_keepalive") => turn.is_alive(),
            Some("revocation") => self.revoked(&message)?,
            Some("session_reconnect") => {
                let url =
                    session_of(raw, "session_reconnect").and_then(|session| Url::parse(&session.reconnect_url?).ok());
                let safe = url.filter(|url| matches!(url.scheme(), "wss" | "ws"));
                match (safe, self.moves.take()) {
                    (Some(url), Some(moves)) => moves.send(url).unwrap_or_default(),
                    // Nowhere to go: a new session it is, and what is said until it stands is lost, which goes on record.
                    (None, _) => return Err(End::Interrupted(DownReason::Closed)),
                    (Some(_), None) => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn closed(&mut self, code: Option<u16>) -> End {
        match code {
            Some(4001) => End::Interrupted(DownReason::Closed), // a mistake of ours, not the server's
            Some(4003) => Failure::retry("Twitch got no subscription in time"),
            _ => End::Down(DownReason::Closed),
        }
    }
}

/// A server's words as a log may hold them.
fn harmless(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}
