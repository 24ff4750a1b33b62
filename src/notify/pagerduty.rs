//! The receiver `pagerduty`: Events API v2.
//!
//! An incident is one alert over there: `dedup_key` is `stormbell/` and its id, so that
//! news of it joins the alert, an acknowledgement silences it and its end closes it.
//! Posts are not sent: they may name patients, and `PagerDuty` reads them out by telephone.
//!
//! Source: <https://developer.pagerduty.com/docs/send-alert-event>.

use reqwest::header::HeaderMap;
use serde::Serialize;
use url::Url;

use super::http::Endpoint;
use super::untrusted::{clean, clip, without_terms};
use super::{BuildError, SendError};
use crate::config::model::Transport;
use crate::config::secret::Secret;
use crate::domain::incident::Severity;
use crate::domain::message::{Leased, Message, MessageKind};
use crate::domain::time::Timestamp;
use crate::wire::link::Console;

/// Characters of `payload.summary` that `PagerDuty` keeps.
const MAX_SUMMARY: usize = 1024;
/// Bytes of an event; beyond it `PagerDuty` answers 413.
const MAX_EVENT: usize = 512_000;

/// A service's integration.
pub struct PagerDuty {
    endpoint: Endpoint,
    routing_key: Secret,
    console: Option<Console>,
}

impl PagerDuty {
    pub(super) fn new(
        url: Url,
        routing_key: Secret,
        transport: &Transport,
        console: Option<Console>,
    ) -> Result<Self, BuildError> {
        Ok(Self { endpoint: Endpoint::new(url, transport)?, routing_key, console })
    }

    pub(super) async fn send(&self, leased: &Leased, now: Timestamp) -> Result<(), SendError> {
        let message = &leased.delivery.message;
        let url = self.console.as_ref().map(|console| console.incident_url(&message.incident.id));
        if message.reopens() {
            self.post(&Message { kind: MessageKind::Resolved, ..message.clone() }, url.as_deref(), now).await?;
        }
        self.post(message, url.as_deref(), now).await
    }

    async fn post(&self, message: &Message, url: Option<&str>, now: Timestamp) -> Result<(), SendError> {
        let body = body(self.routing_key.expose(), message, url);
        let body = body.map_err(|error| SendError::Permanent { error: error.to_string() })?;
        let sent = self.endpoint.post(HeaderMap::new(), body, now).await;
        sent.map_err(|refused| refused.explained(&["message", "errors"], &[&self.routing_key]))
    }
}

#[derive(Serialize)]
struct Request<'a> {
    routing_key: &'a str,
    event_action: &'static str,
    dedup_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Payload<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Link<'a>>,
    client: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_url: Option<&'a str>,
}

#[derive(Serialize)]
struct Payload<'a> {
    summary: String,
    source: &'static str,
    severity: &'static str,
    timestamp: String,
    class: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_details: Option<Details<'a>>,
}

#[derive(Serialize)]
struct Details<'a> {
    why: String,
    summary: String,
    severity: &'static str,
    posts: u64,
    authors: u64,
    rules: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    playbook: Option<&'a str>,
    exercise: bool,
    late: bool,
}

#[derive(Serialize)]
struct Link<'a> {
    href: &'a str,
    text: &'static str,
}

/// The event as bytes; details that would make it too large are left out, never the event.
fn body(routing_key: &str, message: &Message, url: Option<&str>) -> serde_json::Result<Vec<u8>> {
    let mut request = request(routing_key, message, url);
    let body = serde_json::to_vec(&request)?;
    if body.len() <= MAX_EVENT {
        return Ok(body);
    }
    if let Some(payload) = &mut request.payload {
        payload.custom_details = None;
    }
    serde_json::to_vec(&request)
}

fn request<'a>(routing_key: &'a str, message: &'a Message, url: Option<&'a str>) -> Request<'a> {
    let event_action = match message.kind {
        MessageKind::Opened | MessageKind::Updated | MessageKind::Escalated => "trigger",
        MessageKind::Acknowledged => "acknowledge",
        MessageKind::Resolved => "resolve",
    };
    Request {
        routing_key,
        event_action,
        dedup_key: format!("stormbell/{}", message.incident.id),
        payload: (event_action == "trigger").then(|| payload(message)),
        links: url.map(|href| Link { href, text: "Open in stormbell" }).into_iter().collect(),
        client: "stormbell",
        client_url: url,
    }
}

fn payload(message: &Message) -> Payload<'_> {
    let incident = &message.incident;
    let mark = if incident.exercise { "EXERCISE " } else { "" };
    let again = if message.begins_again() { "again: " } else { "" };
    let summary = format!("{mark}{again}{}: {}", incident.unmarked_title(), message.thin_summary());
    Payload {
        summary: clip(&clean(&summary), MAX_SUMMARY),
        source: "stormbell",
        severity: match incident.severity {
            Severity::Critical => "critical",
            Severity::High => "error",
            Severity::Medium => "warning",
            Severity::Low | Severity::Info => "info",
        },
        timestamp: message.at.to_string(),
        class: incident.topic.as_str(),
        custom_details: Some(Details {
            why: without_terms(&incident.why),
            summary: message.thin_summary(),
            severity: incident.severity.as_str(),
            posts: incident.posts,
            authors: incident.authors,
            rules: incident.rules.iter().map(crate::domain::id::RuleId::as_str).collect(),
            playbook: incident.playbook.as_deref(),
            exercise: incident.exercise,
            late: incident.late,
        }),
    }
}
