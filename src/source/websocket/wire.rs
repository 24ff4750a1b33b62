//! The conversation with a server of any kind, in the operator's words.
//!
//! It resumes where the server's own token says, on the host that gave it; a token that a host does not take
//! is not tried again, and the gap is told. Where one message tells several things, each is told apart, in the
//! message's own shape, so that the decoder needs to know nothing of lists.

use std::borrow::Cow;

use serde_json::Value;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Bytes;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::config::model::{Resume, Token, TokenPlace, WebsocketConfig};
use crate::domain::event::{Bookmark, DownReason, Joint, Rejected};
use crate::net::ws::{ConnectError, Connector, HARD_LIMIT_BYTES, excerpt, peer};
use crate::source::line::Line;
use crate::source::supervise::{End, Failure, Wire};
use crate::source::talk::{Limits, Talk, Turn, converse};
use crate::wire::pointer::{Pointer, scalar};

/// What the items of one message may come to, each with the rest of the message around it.
const MOST_APART: usize = HARD_LIMIT_BYTES;
/// No token is longer, in bytes.
const LONGEST_TOKEN: usize = 4096;

/// What is asked for, and where it stands.
pub struct Websocket {
    config: WebsocketConfig,
    connector: Connector,
    /// The host whose token was refused: it is not shown to it again.
    stale: Option<Bookmark>,
}

impl Websocket {
    /// Not connected yet.
    pub fn new(config: WebsocketConfig, line: &Line) -> Self {
        let most = config.max_frame_bytes.max(HARD_LIMIT_BYTES);
        let connector = Connector::new(config.transport.clone(), line.timing.connect_within, most);
        Self { config, connector, stale: None }
    }

    /// Where to go on at `host`, when that is known there.
    fn known(&self, host: &str, line: &Line) -> Option<(Bookmark, String)> {
        self.config.resume.as_ref()?;
        let bookmark = line.position.bookmark().filter(|bookmark| self.stale.as_ref() != Some(bookmark))?;
        let (of, token) = bookmark.0.split_once(' ')?;
        let token = (of == host).then(|| token.to_owned())?;
        Some((bookmark, token))
    }
}

impl Wire for Websocket {
    async fn read(&mut self, base: &Url, line: &mut Line) -> End {
        let host = peer(base).unwrap_or_default();
        let known = self.known(&host, line);
        let token = known.as_ref().map(|(_, token)| token.as_str());
        let Some(headers) = headers(&self.config) else {
            return Failure::operator("the token cannot be part of a request; check the file it is in");
        };
        let url = address(base, &self.config, token);
        let socket = match line.unless_stopped(self.connector.connect_with(&url, &headers)).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => {
                if matches!(error, ConnectError::Refused { status: 400 | 404 | 409 | 410 | 416, .. }) {
                    self.stale = known.map(|(bookmark, _)| bookmark);
                }
                return error.into();
            }
            Err(end) => return end,
        };
        let config = &self.config;
        let limits = Limits {
            max_frame_bytes: config.max_frame_bytes,
            expect_message_within: config.expect_frame_within,
            pings: true,
        };
        let accept_by = config.accepted.is_some().then(|| Instant::now() + line.timing.connect_within);
        let mut talk =
            Conversation { config, host: &host, token, accept_by, ping_at: None, bookmark: None, refused: false };
        let end = converse(socket, &host, &mut talk, limits, line).await;
        if talk.refused {
            self.stale = known.map(|(bookmark, _)| bookmark);
        }
        end
    }
}

struct Conversation<'a> {
    config: &'a WebsocketConfig,
    host: &'a str,
    token: Option<&'a str>,
    /// Until when the server has to take the subscription; none once it did.
    accept_by: Option<Instant>,
    ping_at: Option<Instant>,
    bookmark: Option<Bookmark>,
    refused: bool,
}

impl Conversation<'_> {
    fn joint(&self) -> Joint {
        self.token.map_or(Joint::Live, |_| Joint::GoesOn)
    }

    fn looks_into_messages(&self) -> bool {
        let WebsocketConfig { resume, items, accepted, refused, heartbeat, .. } = self.config;
        resume.is_some() || items.is_some() || accepted.is_some() || refused.is_some() || heartbeat.is_some()
    }

    fn note(&mut self, message: &Value) {
        let token = self.config.resume.as_ref().and_then(|resume| scalar(resume.token.first(message)?));
        if let Some(token) = token.filter(|token| !token.is_empty() && token.len() <= LONGEST_TOKEN) {
            self.bookmark = Some(format!("{} {token}", self.host).into());
        }
    }

    fn refuse(&mut self, message: &Bytes) -> End {
        self.refused = true;
        let (host, said) = (self.host, excerpt(message));
        if self.token.is_some() {
            return Failure::retry(format!("{host} does not go on where it was left; trying from the present: {said}"));
        }
        Failure::operator(format!("{host} refused what was asked of it; check `token` and `subscribe`: {said}"))
    }
}

impl Talk for Conversation<'_> {
    fn begin(&mut self, turn: &mut Turn) {
        let resume = self.config.resume.as_ref().map(|resume| resume.subscribe.as_slice());
        let messages = match (resume, self.token) {
            (Some(messages), Some(_)) if !messages.is_empty() => messages,
            _ => &self.config.subscribe,
        };
        for message in messages {
            turn.say(filled(message, self.config.token.as_ref(), self.token));
        }
        if self.accept_by.is_none() {
            turn.stands(self.joint());
        }
        self.ping_at = self.config.ping.is_some().then(|| Instant::now() + self.config.ping_every);
    }

    fn hear(&mut self, message: &Bytes, turn: &mut Turn) -> Result<(), End> {
        if self.config.pong.as_ref().is_some_and(|pong| pong.as_bytes() == message.as_ref()) {
            turn.is_alive();
            return Ok(());
        }
        if !self.looks_into_messages() {
            turn.keep(message.clone());
            return Ok(());
        }
        let Ok(read) = serde_json::from_slice::<Value>(message) else {
            turn.keep(message.clone()); // the decoder says what is wrong with it
            return Ok(());
        };
        let WebsocketConfig { accepted, refused, heartbeat, heartbeat_answer, items, .. } = self.config;
        if refused.as_ref().is_some_and(|refused| refused.holds(&read)) {
            return Err(self.refuse(message));
        }
        self.note(&read);
        if accepted.as_ref().is_some_and(|accepted| accepted.holds(&read)) {
            if self.accept_by.take().is_some() {
                turn.stands(self.joint());
            }
            turn.is_alive();
        } else if heartbeat.as_ref().is_some_and(|heartbeat| heartbeat.holds(&read)) {
            turn.is_alive();
            if let Some(answer) = heartbeat_answer {
                turn.say(answer.as_str());
            }
        } else {
            match items.as_ref() {
                Some(items) => {
                    for item in apart(items, read, message) {
                        match item {
                            Ok(item) => turn.keep(item),
                            Err(reason) => turn.reject(reason),
                        }
                    }
                }
                None => turn.keep(message.clone()),
            }
        }
        Ok(())
    }

    fn alarm(&self) -> Option<Instant> {
        match (self.ping_at, self.accept_by) {
            (Some(ping), Some(accept)) => Some(ping.min(accept)),
            (ping, accept) => ping.or(accept),
        }
    }

    fn wake(&mut self, turn: &mut Turn) -> Result<(), End> {
        let now = Instant::now();
        if self.accept_by.is_some_and(|by| now >= by) {
            return Err(End::Down(DownReason::Stalled));
        }
        if self.ping_at.is_some_and(|at| now >= at) {
            turn.say(self.config.ping.as_deref().unwrap_or_default());
            self.ping_at = Some(now + self.config.ping_every);
        }
        Ok(())
    }

    fn bookmark(&self) -> Option<Bookmark> {
        self.bookmark.clone()
    }
}

/// Each item of a list as a message of its own: the same message with the item in the list's place.
pub(in crate::source) fn apart(items: &Pointer, mut message: Value, whole: &Bytes) -> Vec<Result<Bytes, Rejected>> {
    let place = items.place_mut(&mut message).filter(|place| place.is_array());
    let Some(Value::Array(list)) = place.map(Value::take) else { return vec![Ok(whole.clone())] };
    let around = message.to_string().len();
    if around.saturating_mul(list.len()) > MOST_APART {
        return vec![Err(Rejected::TooLarge)];
    }
    let with = |item| {
        if let Some(place) = items.place_mut(&mut message) {
            *place = item;
        }
        Ok(message.to_string().into())
    };
    list.into_iter().map(with).collect()
}

/// The address with what goes into it.
fn address(base: &Url, config: &WebsocketConfig, token: Option<&str>) -> Url {
    let mut url = base.clone();
    if let Some(Token { secret, place: TokenPlace::Parameter(name) }) = &config.token {
        url.query_pairs_mut().append_pair(name, secret.expose());
    }
    if let (Some(Resume { parameter: Some(name), .. }), Some(token)) = (&config.resume, token) {
        url.query_pairs_mut().append_pair(name, token);
    }
    url
}

/// The headers of the handshake; none when a value cannot be one.
fn headers(config: &WebsocketConfig) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        headers.insert(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
    }
    if let Some(Token { secret, place: TokenPlace::Header(name) }) = &config.token {
        let text = secret.expose();
        let text = if name.eq_ignore_ascii_case("authorization") { format!("Bearer {text}") } else { text.to_owned() };
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        headers.insert(HeaderName::try_from(name).ok()?, value);
    }
    Some(headers)
}

/// A message with its blanks filled in, as parts of JSON strings.
fn filled(message: &str, token: Option<&Token>, resume: Option<&str>) -> String {
    let mut message = Cow::Borrowed(message);
    if let Some(Token { secret, place: TokenPlace::Message }) = token {
        message = message.replace("{token}", &inside_string(secret.expose())).into();
    }
    if let Some(resume) = resume {
        message = message.replace("{resume}", &inside_string(resume)).into();
    }
    message.into_owned()
}

/// A text as it stands between the quotes of a JSON string.
fn inside_string(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}
