//! The receiver `alertmanager`: the v2 API of Prometheus' Alertmanager.
//!
//! An alert there is its labels: they are the same for all that is said about one incident, and
//! an end in the past resolves it. Whatever may change is an annotation. Severity is a label
//! all the same, and so is the topic, because routes go by them: when it rises, which may change the topic as well, the
//! alert is a new one and the old one is resolved in the same request.
//!
//! An alert that is not sent again resolves by itself at its `endsAt`; ours lies a week ahead, so
//! that neither a long incident nor a pause of the daemon ends it. Alertmanager keeps alerts in memory: what
//! it forgets in a restart comes again with the next news.
//!
//! Every replica is told, as they do not tell each other. One that took it is enough: it alone
//! sends, and the others would have kept quiet.
//!
//! Source: `api/v2/openapi.yaml` of <https://github.com/prometheus/alertmanager>.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde::Serialize;
use url::Url;

use super::http::Endpoint;
use super::untrusted::clean;
use super::wording::Wording;
use super::{BuildError, SendError};
use crate::config::model::Transport;
use crate::domain::id::Topic;
use crate::domain::incident::Severity;
use crate::domain::message::{Leased, MessageKind};
use crate::domain::time::Timestamp;

/// An alert that nobody speaks of any more ends by itself after so long.
const LASTS: Duration = Duration::from_hours(7 * 24);

/// All replicas of one Alertmanager.
pub struct Alertmanager {
    replicas: Vec<Endpoint>,
    wording: Wording,
}

#[derive(Serialize)]
struct Alert<'a> {
    labels: BTreeMap<&'static str, &'a str>,
    annotations: BTreeMap<&'static str, &'a str>,
    #[serde(rename = "startsAt")]
    starts_at: String,
    #[serde(rename = "endsAt")]
    ends_at: String,
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    generator_url: Option<&'a str>,
}

impl Alertmanager {
    pub(super) fn new(
        urls: &[Url],
        cleared: bool,
        transport: &Transport,
        wording: Wording,
    ) -> Result<Self, BuildError> {
        let replicas: Result<_, _> = urls.iter().map(|url| Endpoint::new(url.clone(), transport)).collect();
        Ok(Self { replicas: replicas?, wording: wording.cleared(cleared) })
    }

    pub(super) async fn send(&self, leased: &Leased, now: Timestamp) -> Result<(), SendError> {
        let body = self.body(leased, now);
        let body = body.map_err(|error| SendError::Permanent { error: error.to_string() })?;
        let telling = self.replicas.iter().map(|replica| {
            let url = replica.below(&["api", "v2", "alerts"]);
            replica.call(Method::POST, url, HeaderMap::new(), body.clone(), now)
        });
        let answers = join_all(telling).await;
        let mut last = None;
        for answer in answers {
            match answer {
                Ok(()) => return Ok(()),
                // What may work later is worth more than what never will.
                Err(refused) if !matches!(last, Some(SendError::Retry { .. })) => {
                    last = Some(refused.error);
                }
                Err(_) => {}
            }
        }
        last.map_or(Ok(()), Err)
    }

    fn body(&self, leased: &Leased, now: Timestamp) -> serde_json::Result<Vec<u8>> {
        let message = &leased.delivery.message;
        let incident = &message.incident;
        let parts = self.wording.parts(leased);
        let description = parts.plain_body();
        let title = clean(&incident.title);
        let over = message.kind == MessageKind::Resolved;
        let alert = |topic, severity: Severity, over: bool| Alert {
            labels: labels(leased, topic, severity),
            annotations: BTreeMap::from([
                ("summary", parts.headline.as_str()),
                ("description", description.as_str()),
                ("title", title.as_str()),
            ]),
            // Never after its end, whatever the clock did.
            starts_at: incident.opened_at.min(now).to_string(),
            ends_at: if over { now } else { now + LASTS }.to_string(),
            generator_url: parts.link.as_deref(),
        };
        // What it was before, less grave and perhaps of another topic, ends with it, or when it rises.
        let lower = Severity::ALL.into_iter().filter(|&severity| severity < incident.severity);
        let before = lower.flat_map(|severity| incident.topics().map(move |(topic, _)| (topic, severity)));
        let risen = message.kind == MessageKind::Updated || over;
        let mut alerts = vec![alert(&incident.topic, incident.severity, over)];
        alerts.extend(before.filter(|_| risen).map(|(topic, severity)| alert(topic, severity, true)));
        serde_json::to_vec(&alerts)
    }
}

fn labels<'a>(leased: &'a Leased, topic: &'a Topic, severity: Severity) -> BTreeMap<&'static str, &'a str> {
    let incident = &leased.delivery.message.incident;
    let mut labels = BTreeMap::from([
        ("alertname", "StormbellIncident"),
        ("incident", incident.id.as_str()),
        ("topic", topic.as_str()),
        ("severity", severity.as_str()),
        ("service", "stormbell"),
    ]);
    if incident.exercise {
        labels.insert("exercise", "true");
    }
    labels
}
