//! The receivers `jsm` (Jira Service Management) and `opsgenie`, its forerunner, which ends in
//! April 2027: one API under two addresses.
//!
//! `alias` is the incident: repetitions and news join the open alert, an acknowledgement and
//! the end are passed on. The answer 202 means that the request was queued, not that it
//! was found good: what is wrong in it would be seen in their log of the integration only.
//!
//! Source: <https://docs.opsgenie.com/docs/alert-api> and
//! <https://developer.atlassian.com/cloud/jira/service-desk-ops/rest/v1/api-group-integration-events/>.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use url::Url;

use super::http::{Endpoint, authorization};
use super::text::Parts;
use super::untrusted::{clean, clip};
use super::wording::Wording;
use super::{BuildError, SendError};
use crate::config::model;
use crate::config::secret::Secret;
use crate::domain::incident::{Severity, Signature};
use crate::domain::message::{Leased, MessageKind};
use crate::domain::time::Timestamp;

/// Characters.
const MAX_MESSAGE: usize = 130;
const MAX_DESCRIPTION: usize = 15_000;
const MAX_TAG: usize = 50;
const MAX_USER: usize = 100;

/// An integration.
pub struct Opsgenie {
    endpoint: Endpoint,
    key: Secret,
    headers: HeaderMap,
    team: Option<String>,
    wording: Wording,
}

impl Opsgenie {
    pub(super) fn new(config: &model::Opsgenie, wording: Wording) -> Result<Self, BuildError> {
        Ok(Self {
            endpoint: Endpoint::new(config.url.clone(), &config.transport)?,
            key: config.key.clone(),
            headers: authorization("GenieKey", config.key.expose())?,
            team: config.team.clone(),
            wording: wording.cleared(config.cleared),
        })
    }

    pub(super) async fn send(&self, to: Option<&str>, leased: &Leased, now: Timestamp) -> Result<(), SendError> {
        let incident = &leased.delivery.message.incident;
        let alias = format!("stormbell/{}", incident.id);
        let (url, body) = match leased.delivery.message.kind {
            MessageKind::Opened | MessageKind::Updated | MessageKind::Escalated => {
                (self.endpoint.url().clone(), self.alert(&alias, to, leased))
            }
            MessageKind::Acknowledged => {
                (self.action(&alias, "acknowledge"), signed(incident.acknowledged.as_ref(), "acknowledged"))
            }
            MessageKind::Resolved => (self.action(&alias, "close"), signed(incident.resolved.as_ref(), "resolved")),
        };
        if leased.delivery.message.reopens() {
            let closing = signed(None, "closed, to ring anew,");
            self.post(self.action(&alias, "close"), &closing, now).await?;
        }
        self.post(url, &body, now).await
    }

    async fn post(&self, url: Url, body: &Value, now: Timestamp) -> Result<(), SendError> {
        let body = body.to_string().into_bytes();
        let sent = self.endpoint.call(Method::POST, url, self.headers.clone(), body, now).await;
        sent.map_err(|refused| refused.explained(&["message"], &[&self.key]))
    }

    fn action(&self, alias: &str, action: &str) -> Url {
        let mut url = self.endpoint.below(&[alias, action]);
        url.query_pairs_mut().append_pair("identifierType", "alias");
        url
    }

    fn alert(&self, alias: &str, to: Option<&str>, leased: &Leased) -> Value {
        let incident = &leased.delivery.message.incident;
        let parts = self.wording.parts(leased);
        let message = clip(&parts.headline, MAX_MESSAGE);
        let description = parts.fitted(Parts::plain, |text| text.chars().count() <= MAX_DESCRIPTION);
        let mut tags = vec!["stormbell".to_owned(), clip(&clean(incident.topic.as_str()), MAX_TAG)];
        tags.extend(incident.exercise.then(|| "EXERCISE".to_owned()));
        tags.extend(incident.late.then(|| "LATE".to_owned()));
        let team = to.or(self.team.as_deref());
        json!({
            "message": message,
            "alias": alias,
            "description": description,
            "responders": team.map_or_else(|| json!([]), |name| json!([{ "type": "team", "name": name }])),
            "tags": tags,
            "entity": "stormbell",
            "source": "stormbell",
            "priority": match incident.severity {
                Severity::Critical => "P1",
                Severity::High => "P2",
                Severity::Medium => "P3",
                Severity::Low => "P4",
                Severity::Info => "P5",
            },
        })
    }
}

fn signed(signature: Option<&Signature>, what: &str) -> Value {
    let by = signature.map_or_else(|| "stormbell".to_owned(), |signature| clip(&clean(&signature.by), MAX_USER));
    json!({ "source": "stormbell", "user": by, "note": format!("{what} by {by} in stormbell") })
}
