//! The receiver `goalert`: the generic API of a service's integration key.
//!
//! `dedup` makes repetitions and news of one incident one alert; `action=close` ends it. There
//! is no way to acknowledge over this API, and sending news of one could open an alert that
//! somebody closed by hand: an acknowledgement is not sent.
//!
//! Source: `docs/generic-api.md` of <https://github.com/target/goalert>.

use reqwest::header::HeaderMap;
use serde_json::json;

use super::http::Endpoint;
use super::text::Parts;
use super::untrusted::clip;
use super::wording::Wording;
use super::{BuildError, SendError};
use crate::config::model;
use crate::config::secret::Secret;
use crate::domain::message::{Leased, MessageKind};
use crate::domain::time::Timestamp;

/// Characters.
const MAX_SUMMARY: usize = 1024;
const MAX_DETAILS: usize = 6144;

/// A service.
pub struct GoAlert {
    endpoint: Endpoint,
    token: Secret,
    wording: Wording,
}

impl GoAlert {
    pub(super) fn new(config: &model::GoAlert, wording: Wording) -> Result<Self, BuildError> {
        let mut url = config.url.clone();
        url.query_pairs_mut().append_pair("token", config.token.expose());
        Ok(Self {
            endpoint: Endpoint::new(url, &config.transport)?,
            token: config.token.clone(),
            wording: wording.cleared(config.cleared),
        })
    }

    pub(super) async fn send(&self, leased: &Leased, now: Timestamp) -> Result<(), SendError> {
        let message = &leased.delivery.message;
        if message.kind == MessageKind::Acknowledged {
            return Ok(());
        }
        let parts = self.wording.parts(leased);
        let summary = clip(&parts.headline, MAX_SUMMARY);
        let details = parts.fitted(Parts::plain_body, |text| text.chars().count() <= MAX_DETAILS);
        let mut body = json!({
            "summary": summary,
            "details": details,
            "dedup": format!("stormbell/{}", message.incident.id),
        });
        if message.kind == MessageKind::Resolved
            && let Some(fields) = body.as_object_mut()
        {
            fields.insert("action".to_owned(), "close".into());
        }
        let sent = self.endpoint.post(HeaderMap::new(), body.to_string().into_bytes(), now).await;
        sent.map_err(|refused| refused.explained(&["error", "message"], &[&self.token]))
    }
}
