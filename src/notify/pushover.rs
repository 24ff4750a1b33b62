//! The receiver `pushover`: a push message, for the gravest with Pushover's own insistence.
//!
//! A critical incident is an emergency over there: it rings every minute for an hour, or until
//! somebody touches it. It carries the incident as a tag, by which an acknowledgement or the end stops the
//! ringing. Who touches it there takes charge here, too: Pushover then posts to the link by which the
//! message says so, as the button behind it would. There is no idempotency key: a repetition says that it is one.
//!
//! Source: <https://pushover.net/api> and <https://pushover.net/api/receipts>.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use url::Url;
use url::form_urlencoded::Serializer;

use super::http::Endpoint;
use super::text::{Parts, Urgency, urgency};
use super::untrusted::clip;
use super::wording::Wording;
use super::{BuildError, SendError};
use crate::config::model;
use crate::config::secret::Secret;
use crate::domain::incident::Severity;
use crate::domain::message::{Leased, MessageKind};
use crate::domain::time::Timestamp;

/// Characters.
const MAX_MESSAGE: usize = 1024;
const MAX_TITLE: usize = 250;
const MAX_URL: usize = 512;
/// Seconds between two rings of an emergency, and how long it goes on.
const RETRY: &str = "60";
const EXPIRE: &str = "3600";

/// An application and whom it tells.
pub struct Pushover {
    endpoint: Endpoint,
    token: Secret,
    user: Secret,
    wording: Wording,
}

impl Pushover {
    pub(super) fn new(config: &model::Pushover, wording: Wording) -> Result<Self, BuildError> {
        Ok(Self {
            endpoint: Endpoint::new(config.url.clone(), &config.transport)?,
            token: config.token.clone(),
            user: config.user.clone(),
            wording: wording.cleared(config.cleared),
        })
    }

    pub(super) async fn send(&self, to: Option<&str>, leased: &Leased, now: Timestamp) -> Result<(), SendError> {
        let message = &leased.delivery.message;
        let tag = format!("stormbell-{}", message.incident.id);
        let over = matches!(message.kind, MessageKind::Acknowledged | MessageKind::Resolved);
        if over && message.incident.severity == Severity::Critical {
            let url = self.endpoint.below(&["receipts", "cancel_by_tag", &format!("{tag}.json")]);
            let silenced = self.post(url, &[("token", self.token.expose())], now).await;
            // That there is nothing to silence is no reason not to tell who has it.
            if let Err(error @ SendError::Retry { .. }) = silenced {
                return Err(error);
            }
        }
        let parts = self.wording.parts(leased).repeated(leased.attempt);
        let title = clip(&parts.headline, MAX_TITLE);
        let callback = parts.acknowledge.clone().filter(|link| link.chars().count() <= MAX_URL);
        // There is a field for one link; where to read on can be left out beside where to take charge.
        let link = parts.links().next().map(|(says, link)| (says, link.to_owned()));
        let link = link.filter(|(_, link)| link.chars().count() <= MAX_URL);
        let text = Parts { acknowledge: None, link: None, ..parts };
        let text = text.fitted(Parts::plain_body, |text| text.chars().count() <= MAX_MESSAGE);
        let time = (message.at.micros() / 1_000_000).to_string();
        let mut fields = vec![
            ("token", self.token.expose()),
            ("user", to.unwrap_or(self.user.expose())),
            ("title", &title),
            ("message", if text.is_empty() { "…" } else { &text }),
            ("timestamp", &time),
        ];
        if let Some((says, link)) = &link {
            fields.extend([("url", link.as_str()), ("url_title", says)]);
        }
        match urgency(message) {
            Urgency::Wake => {
                fields.extend([("priority", "2"), ("retry", RETRY), ("expire", EXPIRE), ("tags", &tag)]);
                fields.extend(callback.as_deref().map(|callback| ("callback", callback)));
            }
            Urgency::High => fields.push(("priority", "1")),
            Urgency::Normal => fields.push(("priority", "0")),
            Urgency::Quiet => fields.push(("priority", "-1")),
        }
        self.post(self.endpoint.below(&["messages.json"]), &fields, now).await
    }

    async fn post(&self, url: Url, fields: &[(&str, &str)], now: Timestamp) -> Result<(), SendError> {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, form)]);
        let body = Serializer::new(String::new()).extend_pairs(fields).finish();
        let sent = self.endpoint.call(Method::POST, url, headers, body.into_bytes(), now).await;
        let user = fields.iter().find(|(name, _)| *name == "user").map_or("", |(_, user)| user);
        sent.map_err(|refused| refused.explained(&["errors"], &[&self.token, &Secret::new(user.to_owned())]))
    }
}
