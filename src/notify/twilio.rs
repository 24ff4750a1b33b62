//! The receiver `twilio`: text messages, or calls (`call.rs`). Each costs money, and everybody it passes can read it:
//! marks, title, counts and link, never a post.
//!
//! There is no idempotency key, and of several numbers each is a request of its own: which of them
//! took the message is remembered, so that a second attempt tells only those who were not told. A restart
//! forgets that; such a repetition says that it may be one.
//!
//! Source: <https://www.twilio.com/docs/messaging/api/message-resource>.

mod call;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use url::form_urlencoded::Serializer;

use self::call::Calls;
use super::http::{Endpoint, authorization};
use super::taken::{Outcome, Taken};
use super::text::{Fact, Parts};
use super::untrusted::sms;
use super::wording::Wording;
use super::{BuildError, SendError};
use crate::config::model::{self, TwilioWay};
use crate::config::secret::Secret;
use crate::domain::incident::IncidentState;
use crate::domain::message::Leased;
use crate::domain::time::Timestamp;
use crate::wire::answer::number;

/// Characters: three parts of 153. Twilio takes 1,600, telephones and budgets do not.
const MAX_TEXT: usize = 459;

/// An account and whom it tells.
pub struct Twilio {
    account: Account,
    to: Vec<String>,
    wording: Wording,
    taken: Taken,
    way: Way,
}

/// How it tells them.
enum Way {
    Text { replies: bool },
    Call { calls: Calls, language: String },
}

/// Who we are at Twilio.
struct Account {
    endpoint: Endpoint,
    token: Secret,
    sid: String,
    from: String,
    headers: HeaderMap,
}

impl Twilio {
    pub(super) fn new(config: &model::Twilio, wording: Wording) -> Result<Self, BuildError> {
        let login = STANDARD.encode(format!("{}:{}", config.account, config.token.expose()));
        let mut headers = authorization("Basic", &login)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let account = Account {
            endpoint: Endpoint::new(config.url.clone(), &config.transport)?,
            token: config.token.clone(),
            sid: config.account.clone(),
            from: config.from.clone(),
            headers,
        };
        let way = match &config.way {
            TwilioWay::Text { replies } => Way::Text { replies: *replies },
            TwilioWay::Call { language } => Way::Call { calls: Calls::default(), language: language.clone() },
        };
        Ok(Self { account, to: config.to.clone(), wording, taken: Taken::default(), way })
    }

    pub(super) async fn send(&self, to: Option<&str>, leased: &Leased, now: Timestamp) -> Result<(), SendError> {
        let is_open = leased.delivery.message.incident.state == IncidentState::Open;
        if matches!(self.way, Way::Call { .. }) && !is_open {
            return Ok(()); // no telephone rings to say that nothing is to be done
        }
        let one = to.map(|to| vec![to.to_owned()]);
        let numbers = one.as_ref().unwrap_or(&self.to);
        let mut outcome = Outcome::default();
        for (place, number) in numbers.iter().enumerate() {
            if self.taken.has(&leased.delivery.id, number) {
                outcome.took();
                continue;
            }
            let told = match &self.way {
                Way::Text { replies } => self.account.text(number, &self.words(leased, *replies), now).await,
                Way::Call { calls, language } => calls.ring(self, language, number, leased, now).await,
            };
            match told {
                Ok(()) => {
                    self.taken.remember(&leased.delivery.id, number);
                    outcome.took();
                }
                Err(error) => outcome.refused(place, &error),
            }
        }
        outcome.end("numbers")
    }

    fn words(&self, leased: &Leased, replies: bool) -> String {
        let mut parts = self.wording.parts(leased).repeated(leased.attempt);
        if parts.acknowledge.is_some() {
            parts.link = None; // one link is enough for a telephone, and letters cost
        }
        let incident = &leased.delivery.message.incident;
        if replies && incident.state == IncidentState::Open {
            let value = format!("OK {} to take charge", number(&incident.id));
            parts.facts.insert(0, Fact { name: "Reply".into(), value });
        }
        parts.fitted(|parts: &Parts| sms(&parts.plain()), |text| text.chars().count() <= MAX_TEXT)
    }
}

impl Account {
    async fn text(&self, number: &str, text: &str, now: Timestamp) -> Result<(), SendError> {
        let sender = if self.from.starts_with("MG") { "MessagingServiceSid" } else { "From" };
        self.create("Messages.json", number, &[(sender, &self.from), ("Body", text)], now).await.map(drop)
    }

    /// Asks for a message or a call to the number.
    async fn create(
        &self,
        what: &str,
        number: &str,
        fields: &[(&str, &str)],
        now: Timestamp,
    ) -> Result<Vec<u8>, SendError> {
        let body = Serializer::new(String::new()).append_pair("To", number).extend_pairs(fields).finish();
        self.ask(Method::POST, &[what], body.into_bytes(), now)
            .await
            .map_err(|refused| refused.explained(&["code", "message"], &[&self.token, &Secret::new(number.to_owned())]))
    }

    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        body: Vec<u8>,
        now: Timestamp,
    ) -> Result<Vec<u8>, super::http::Refused> {
        let path: Vec<&str> = ["2010-04-01", "Accounts", &self.sid].iter().chain(path).copied().collect();
        self.endpoint.ask(method, self.endpoint.below(&path), self.headers.clone(), body, now).await
    }
}
