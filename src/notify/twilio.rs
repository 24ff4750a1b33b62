//! The receiver `twilio`: text messages. Each costs money, and everybody it passes can read it:
//! marks, title, counts and link, never a post.
//!
//! There is no idempotency key, and of several numbers each is a request of its own: which of them
//! took the message is remembered, so that a second attempt tells only those who were not told. A restart
//! forgets that; such a repetition says that it may be one.
//!
//! Source: <https://www.twilio.com/docs/messaging/api/message-resource>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use url::form_urlencoded::Serializer;

use super::http::{Endpoint, authorization};
use super::taken::Taken;
use super::untrusted::sms;
use super::wording::Wording;
use super::{BuildError, SendError};
use crate::config::model;
use crate::config::secret::Secret;
use crate::domain::message::Leased;
use crate::domain::time::Timestamp;

/// Characters: three parts of 153. Twilio takes 1,600, telephones and budgets do not.
const MAX_TEXT: usize = 459;

/// An account and whom it tells.
pub struct Twilio {
    endpoint: Endpoint,
    token: Secret,
    account: String,
    from: String,
    to: Vec<String>,
    headers: HeaderMap,
    wording: Wording,
    taken: Taken,
}

impl Twilio {
    pub(super) fn new(config: &model::Sms, wording: Wording) -> Result<Self, BuildError> {
        let login = STANDARD.encode(format!("{}:{}", config.account, config.token.expose()));
        let mut headers = authorization("Basic", &login)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        Ok(Self {
            endpoint: Endpoint::new(config.url.clone(), &config.transport)?,
            token: config.token.clone(),
            account: config.account.clone(),
            from: config.from.clone(),
            to: config.to.clone(),
            headers,
            wording,
            taken: Taken::default(),
        })
    }

    pub(super) async fn send(&self, to: Option<&str>, leased: &Leased, now: Timestamp) -> Result<(), SendError> {
        let mut parts = self.wording.parts(leased).repeated(leased.attempt);
        if parts.acknowledge.is_some() {
            parts.link = None; // one link is enough for a telephone, and letters cost
        }
        let text = parts.fitted(|parts| sms(&parts.plain()), |text| text.chars().count() <= MAX_TEXT);
        let one = to.map(|to| vec![to.to_owned()]);
        let numbers = one.as_ref().unwrap_or(&self.to);
        let mut outcome = super::taken::Outcome::default();
        for (place, number) in numbers.iter().enumerate() {
            if self.taken.has(&leased.delivery.id, number) {
                outcome.took();
                continue;
            }
            match self.one(number, &text, now).await {
                Ok(()) => {
                    self.taken.remember(&leased.delivery.id, number);
                    outcome.took();
                }
                Err(error) => outcome.refused(place, &error),
            }
        }
        outcome.end("numbers")
    }

    async fn one(&self, number: &str, text: &str, now: Timestamp) -> Result<(), SendError> {
        let sender = if self.from.starts_with("MG") { "MessagingServiceSid" } else { "From" };
        let fields = [("To", number), (sender, &self.from), ("Body", text)];
        let body = Serializer::new(String::new()).extend_pairs(fields).finish();
        let url = self.endpoint.below(&["2010-04-01", "Accounts", &self.account, "Messages.json"]);
        let sent = self.endpoint.call(Method::POST, url, self.headers.clone(), body.into_bytes(), now).await;
        let secrets = [&self.token, &Secret::new(number.to_owned())];
        sent.map_err(|refused| refused.explained(&["code", "message"], &secrets))
    }
}
