//! A Socket Mode connection: an address that can be used once, hello, envelopes, acknowledgements.
//!
//! An acknowledgement means to Slack that it need not send the envelope again, and it will not: so it goes
//! out only once what the envelope carries is on disk. That takes a second at most while all is well, and
//! Slack allows three.

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::Bytes;
use url::Url;

use crate::config::model::SlackConfig;
use crate::domain::event::{Bookmark, Joint, Rejected};
use crate::net::ws::{Connector, peer};
use crate::source::http::{Http, Request, refused};
use crate::source::lenient::{Text, lenient, text};
use crate::source::line::Line;
use crate::source::supervise::{End, Failure, Remedy, Wire};
use crate::source::talk::{Limits, Talk, Turn, converse};

/// An envelope is a few KiB, with long messages and their old versions some hundred.
const MAX_FRAME_BYTES: usize = 1 << 20;
/// The limit that protects memory.
const MAX_MESSAGE_BYTES: usize = 8 << 20;

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

    /// An address for one connection. It holds a ticket: it is never logged.
    async fn open(&self, api: &Url, line: &Line) -> Result<Url, End> {
        let mut url = api.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("apps.connections.open");
        }
        let unusable = |_| Failure::operator("the source's token has characters that no token has");
        let mut token = HeaderValue::try_from(format!("Bearer {}", self.config.token.expose())).map_err(unusable)?;
        token.set_sensitive(true);
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = HeaderMap::from_iter([(AUTHORIZATION, token), (CONTENT_TYPE, form)]);
        let http = Http::new(&self.config.transport, api.scheme() == "http")?;
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
        let url = match self.open(api, line).await {
            Ok(url) => url,
            Err(end) => return end,
        };
        let socket = match line.unless_stopped(self.connector.connect(&url)).await {
            Ok(Ok(socket)) => socket,
            // The ticket may be spent or too old: a new one is asked for next time.
            Ok(Err(error)) => return error.into(),
            Err(end) => return end,
        };
        let host = peer(&url).unwrap_or_default();
        let mut talk = Envelopes { channels: &self.config.channels, count: &mut self.count };
        let limits = Limits { max_frame_bytes: MAX_FRAME_BYTES, expect_message_within: None, pings: true };
        converse(socket, &host, &mut talk, limits, line).await
    }
}

/// Our side of a connection.
struct Envelopes<'a> {
    channels: &'a [String],
    count: &'a mut u64,
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
    fn begin(&mut self, _turn: &mut Turn) {}

    fn hear(&mut self, message: &Bytes, turn: &mut Turn) -> Result<(), End> {
        let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(message) else {
            turn.reject(Rejected::NotJson);
            return Ok(());
        };
        match envelope.kind.0.as_ref() {
            "hello" => {
                turn.stands(Joint::Live);
                turn.is_alive();
            }
            "disconnect" => {
                let reason = text(envelope.reason);
                return Err(match reason.as_deref() {
                    Some("link_disabled") => {
                        Failure::operator("Socket Mode is turned off for the app; turn it on in its settings")
                    }
                    _ => End::Renewed,
                });
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
