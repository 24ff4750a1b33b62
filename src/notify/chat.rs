//! The receivers `slack`, `teams`, `mattermost` and `discord`: a chat's incoming webhook.
//!
//! One address, which is the secret, and one `POST` of JSON. None of them has an idempotency key
//! or can be told later that a message is outdated: a repetition says that it is one, and an
//! acknowledgement or an end is a message of its own. What they make of text differs; each has its
//! file with its form, its escapes and its limits.

mod discord;
mod mattermost;
mod slack;
mod teams;

use reqwest::header::HeaderMap;
use url::Url;

use super::http::Endpoint;
use super::text::urgency;
use super::wording::Wording;
use super::{BuildError, SendError};
use crate::config::model::{self, ChatKind};
use crate::domain::message::Leased;
use crate::domain::time::Timestamp;

/// A channel that somebody made a webhook for.
pub struct Chat {
    kind: ChatKind,
    endpoint: Endpoint,
    channel: Option<String>,
    wording: Wording,
}

impl Chat {
    pub(super) fn new(config: &model::Chat, wording: Wording) -> Result<Self, BuildError> {
        let mut url = Url::parse(config.hook.expose()).or(Err(BuildError::Address))?;
        if config.kind == ChatKind::Discord {
            // Answers when the message is there, not when it is queued.
            url.query_pairs_mut().append_pair("wait", "true");
        }
        Ok(Self {
            kind: config.kind,
            endpoint: Endpoint::new(url, &config.transport)?,
            channel: config.channel.clone(),
            wording: wording.cleared(config.cleared),
        })
    }

    pub(super) async fn probe(&self) -> Result<(), SendError> {
        self.endpoint.probe().await
    }

    pub(super) async fn send(&self, to: Option<&str>, leased: &Leased, now: Timestamp) -> Result<(), SendError> {
        let parts = self.wording.parts(leased).repeated(leased.attempt);
        let loudness = urgency(&leased.delivery.message);
        let body = match self.kind {
            ChatKind::Slack => parts.fitted(slack::body, slack::fits),
            ChatKind::Teams => parts.fitted(|parts| teams::body(parts, loudness), teams::fits),
            ChatKind::Mattermost => {
                let channel = to.or(self.channel.as_deref());
                parts.fitted(|parts| mattermost::body(parts, loudness, channel), mattermost::fits)
            }
            ChatKind::Discord => parts.fitted(|parts| discord::body(parts, loudness), discord::fits),
        };
        let sent = self.endpoint.post(HeaderMap::new(), body.to_string().into_bytes(), now).await;
        // Nothing of the answer: it may repeat what was sent.
        sent.map_err(|refused| refused.error)
    }
}
