//! The receiver `ntfy`: a push message, as JSON to the server's root.
//!
//! ntfy has no idempotency key: a repetition says that it is one. Markdown stays off,
//! so the text is shown as it is. What is longer than 4,096 bytes would become an attachment
//! that nobody opens at night: it is shortened before.
//!
//! Source: <https://docs.ntfy.sh/publish/#publish-as-json>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderMap;
use serde::Serialize;

use super::http::{Endpoint, authorization};
use super::text::{Parts, Urgency, urgency};
use super::wording::Wording;
use super::{BuildError, SendError};
use crate::config::model::{self, NtfyLogin};
use crate::config::secret::Secret;
use crate::domain::message::Leased;
use crate::domain::time::Timestamp;

/// Bytes of a message that stay a message.
const MAX_MESSAGE: usize = 4096;

/// A server and its topic.
pub struct Ntfy {
    endpoint: Endpoint,
    topic: Secret,
    headers: HeaderMap,
    wording: Wording,
}

#[derive(Serialize)]
struct Body<'a> {
    topic: &'a str,
    title: &'a str,
    message: String,
    priority: u8,
    tags: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    click: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<Action<'a>>,
}

#[derive(Serialize)]
struct Action<'a> {
    #[serde(rename = "action")]
    kind: &'static str,
    label: &'static str,
    url: &'a str,
}

impl Ntfy {
    pub(super) fn new(config: &model::Ntfy, wording: Wording) -> Result<Self, BuildError> {
        let headers = match &config.login {
            None => HeaderMap::new(),
            Some(NtfyLogin::Token(token)) => authorization("Bearer", token.expose())?,
            Some(NtfyLogin::User(user, password)) => {
                authorization("Basic", &STANDARD.encode(format!("{user}:{}", password.expose())))?
            }
        };
        Ok(Self {
            endpoint: Endpoint::new(config.url.clone(), &config.transport)?,
            topic: config.topic.clone(),
            headers,
            wording: wording.cleared(config.cleared),
        })
    }

    pub(super) async fn send(&self, to: Option<&str>, leased: &Leased, now: Timestamp) -> Result<(), SendError> {
        let parts = self.wording.parts(leased).repeated(leased.attempt);
        let loudness = urgency(&leased.delivery.message);
        let topic = to.unwrap_or(self.topic.expose());
        let body = parts.fitted(|parts| body(topic, parts, loudness), |body| body.1 <= MAX_MESSAGE).0;
        let sent = self.endpoint.post(self.headers.clone(), body, now).await;
        sent.map_err(|refused| refused.explained(&["error"], &[&Secret::new(topic.to_owned())]))
    }
}

/// The request, and how many bytes its message has.
fn body(topic: &str, parts: &Parts, loudness: Urgency) -> (Vec<u8>, usize) {
    let message = parts.plain_body();
    let length = message.len().max(parts.headline.len());
    let (priority, tag) = match loudness {
        Urgency::Wake => (5, "rotating_light"),
        Urgency::High => (4, "warning"),
        Urgency::Normal => (3, "information_source"),
        Urgency::Quiet => (2, "white_check_mark"),
    };
    let click = parts.links().next().map(|(_, url)| url);
    let actions = parts.links().map(|(label, url)| Action { kind: "view", label, url }).collect();
    let body = Body { topic, title: &parts.headline, message, priority, tags: [tag], click, actions };
    (serde_json::to_vec(&body).unwrap_or_default(), length)
}
