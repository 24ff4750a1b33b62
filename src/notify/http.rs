//! The one way in which receivers speak HTTP: one request, one verdict.
//!
//! The retry rule is the same for all: a lost connection, 408, 429 and 5xx may work
//! later; a redirect is never followed (it would carry the message, and its secrets,
//! to a place nobody configured) and is as final as any other answer of 3xx or 4xx.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::untrusted::{clean, clip};
use super::{BuildError, SendError};
use crate::config::model::Transport;
use crate::config::secret::Secret;
use crate::domain::time::Timestamp;
use crate::net::http::{SetupError, beginning, client, no_answer};
use crate::net::reach::{Guarded, literal};
use crate::net::retry::RetryAfter;

/// For a name at start-up.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// For the whole of an attempt.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
/// For the rest of an answer whose status is known; only a courtesy to the connection.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// How much of an answer is read.
const MAX_ANSWER: usize = 64 * 1024;
/// Characters of a receiver's own explanation that go into an error.
const MAX_EXPLANATION: usize = 300;
/// However long a receiver asks us to wait, it is asked again within this time.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// One address to post to.
pub(super) struct Endpoint {
    client: Client,
    url: Url,
    guarded: Option<Guarded>,
}

/// A refusal, with what the receiver said to it.
pub(super) struct Refused {
    /// What it means.
    pub(super) error: SendError,
    /// The answer's body, at most [`MAX_ANSWER`] bytes. It may repeat what was sent.
    pub(super) body: Vec<u8>,
}

impl Endpoint {
    /// Prepares connections; none is made yet.
    pub(super) fn new(url: Url, transport: &Transport) -> Result<Self, BuildError> {
        let client = client(transport, url.scheme() == "http")?.timeout(TOTAL_TIMEOUT);
        if let Some(private) = literal(&url).filter(|address| !transport.reach.holds(*address)) {
            return Err(BuildError::Private(private));
        }
        Ok(Self { client: client.build().map_err(SetupError::from)?, url, guarded: Guarded::of(transport) })
    }

    /// Looks whether the name leads where it may, without connecting. That nobody knows the name now says nothing: a
    /// building starts up in any order.
    pub(super) async fn probe(&self) -> Result<(), SendError> {
        let (Some(guarded), Some(name)) = (&self.guarded, self.url.domain()) else { return Ok(()) };
        let looked = tokio::time::timeout(PROBE_TIMEOUT, tokio::net::lookup_host((name, 0))).await;
        let Ok(Ok(found)) = looked else { return Ok(()) };
        let chosen = guarded.choose(found.collect());
        chosen.map(drop).map_err(|private| SendError::Permanent { error: format!("{name}: {private}") })
    }

    /// The configured address.
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// An address below the configured one.
    pub(super) fn below(&self, path: &[&str]) -> Url {
        let mut url = self.url.clone();
        // An address with a host has a path, and every configured address has a host.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    /// Posts JSON once to the configured address. `now` turns a `Retry-After` date into a span.
    pub(super) async fn post(&self, headers: HeaderMap, body: Vec<u8>, now: Timestamp) -> Result<(), Refused> {
        self.call(Method::POST, self.url.clone(), headers, body, now).await
    }

    /// One request with JSON in it, unless `headers` say something else.
    pub(super) async fn call(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Vec<u8>,
        now: Timestamp,
    ) -> Result<(), Refused> {
        self.ask(method, url, headers, body, now).await.map(drop)
    }

    /// The same, and what the receiver says to it: at most [`MAX_ANSWER`] bytes.
    pub(super) async fn ask(
        &self,
        method: Method,
        url: Url,
        mut headers: HeaderMap,
        body: Vec<u8>,
        now: Timestamp,
    ) -> Result<Vec<u8>, Refused> {
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        let request = self.client.request(method, url).headers(headers).body(body);
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        let verdict = self.verdict(response.status(), response.headers(), now);
        let reading = tokio::time::timeout(DRAIN_TIMEOUT, beginning(response, MAX_ANSWER));
        let answer = reading.await.unwrap_or_default();
        match verdict {
            Ok(()) => Ok(answer),
            Err(error) => Err(Refused { error, body: answer }),
        }
    }

    fn verdict(&self, status: StatusCode, headers: &HeaderMap, now: Timestamp) -> Result<(), SendError> {
        if status.is_success() {
            return Ok(());
        }
        let host = self.host();
        if status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            || status.is_informational()
        {
            let after = headers.get(RETRY_AFTER).and_then(|value| retry_after(value, now));
            return Err(SendError::Retry { after, error: format!("{host} answered {status}") });
        }
        let remedy = match status {
            StatusCode::GONE => "; it wants no more messages: remove or replace the receiver",
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "; check the receiver's secret",
            StatusCode::NOT_FOUND => "; check the receiver's url",
            _ if status.is_redirection() => "; redirects are not followed: configure the final address",
            _ => "",
        };
        Err(SendError::Permanent { error: format!("{host} answered {status}{remedy}") })
    }

    fn unreachable(&self, error: reqwest::Error) -> Refused {
        let text = format!("{}: {}", self.host(), no_answer(error));
        Refused { error: SendError::Retry { after: None, error: text }, body: Vec::new() }
    }

    fn host(&self) -> &str {
        self.url.host_str().unwrap_or("the receiver")
    }
}

impl Refused {
    /// Adds the receiver's own words to a refusal that is final: those in `fields` of its JSON,
    /// which speak of our request, without the secrets they may repeat.
    pub(super) fn explained(self, fields: &[&str], secrets: &[&Secret]) -> SendError {
        let Self { error: SendError::Permanent { error }, body } = self else { return self.error };
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        let words: Vec<String> = fields.iter().filter_map(|field| answer.get(field)).flat_map(words).collect();
        let mut words = words.join("; ");
        for secret in secrets.iter().filter(|secret| !secret.expose().is_empty()) {
            words = words.replace(secret.expose(), "…");
        }
        let words = clip(&clean(&words), MAX_EXPLANATION);
        SendError::Permanent { error: if words.is_empty() { error } else { format!("{error}: {words}") } }
    }
}

/// The words of a field: a text, a number, or a list of texts.
fn words(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Number(number) => vec![number.to_string()],
        Value::Array(items) => items.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect(),
        Value::Null | Value::Bool(_) | Value::Object(_) => Vec::new(),
    }
}

/// The header `authorization: SCHEME SECRET`, which is never printed.
pub(super) fn authorization(scheme: &str, secret: &str) -> Result<HeaderMap, BuildError> {
    let mut value = HeaderValue::from_str(&format!("{scheme} {secret}")).or(Err(BuildError::NotAHeader))?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(AUTHORIZATION, value)]))
}

/// Seconds or a date (RFC 9110 §10.2.3); what makes no sense is ignored.
fn retry_after(value: &HeaderValue, now: Timestamp) -> Option<Duration> {
    let span = RetryAfter::parse(value.to_str().ok()?)?.from(now);
    Some(span.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::model::Reach;

    #[tokio::test]
    async fn a_name_that_leads_into_the_building_is_not_followed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("http://localhost:{}/hook", listener.local_addr().unwrap().port()).parse().unwrap();
        let endpoint = |private: &[&str]| {
            let private = private.iter().map(|text| text.parse().unwrap()).collect();
            Endpoint::new(url.clone(), &Transport { reach: Reach::Public { private }, ..Transport::default() }).unwrap()
        };
        let sent = endpoint(&[]).post(HeaderMap::new(), Vec::new(), Timestamp::default()).await;
        let error = sent.map_err(|refused| refused.error).unwrap_err().to_string();
        assert!(error.starts_with("localhost: cannot connect (") && error.contains("is a private address"), "{error}");
        assert!(endpoint(&[]).probe().await.is_err());
        let allowed = endpoint(&["127.0.0.0/8", "::1"]);
        allowed.probe().await.unwrap();
        let sending = allowed.post(HeaderMap::new(), Vec::new(), Timestamp::default());
        let (_refused, accepted) = tokio::join!(sending, async { listener.accept().await.map(drop) });
        accepted.unwrap(); // a connection is all that was wanted
        for literal in ["http://169.254.169.254/latest", "http://0x7f.1/", "http://[::ffff:10.0.0.1]/"] {
            let transport = Transport { reach: Reach::Public { private: Vec::new() }, ..Transport::default() };
            let built = Endpoint::new(literal.parse().unwrap(), &transport).err();
            assert!(matches!(built, Some(BuildError::Private(_))), "{literal}");
        }
    }

    #[test]
    fn a_receiver_may_ask_for_patience_in_seconds_or_by_date() {
        let now = Timestamp::parse("1994-11-06T08:49:00Z").unwrap();
        for (header, seconds) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("99999999", Some(3600)),
            ("Mon, 06 Nov 2034 08:49:37 GMT", Some(3600)),
            ("soon", None),
            ("-5", None),
            ("", None),
        ] {
            let value = HeaderValue::from_static(header);
            assert_eq!(retry_after(&value, now), seconds.map(Duration::from_secs), "{header:?}");
        }
    }

    #[test]
    fn every_status_has_a_verdict_that_names_no_more_than_the_host() {
        let url = Url::parse("http://user:pw@hooks.example/services/SECRET?token=SECRET").unwrap();
        let endpoint = Endpoint::new(url, &Transport::default()).unwrap();
        for code in 100..=599 {
            let status = StatusCode::from_u16(code).unwrap();
            let verdict = endpoint.verdict(status, &HeaderMap::new(), Timestamp::default());
            match (code, &verdict) {
                (200..=299, Ok(()))
                | (100..=199 | 408 | 429 | 500..=599, Err(SendError::Retry { .. }))
                | (300..=407 | 409..=428 | 430..=499, Err(SendError::Permanent { .. })) => {}
                _ => panic!("{code}: {verdict:?}"),
            }
            if let Err(error) = verdict {
                let text = error.to_string();
                assert!(text.starts_with("hooks.example answered") && !text.contains("SECRET") && !text.contains("pw"));
            }
        }
    }
}
