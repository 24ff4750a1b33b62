//! The dead man's switch: somebody outside is told at intervals that the daemon works, and
//! rings when that stops. One `POST`, as healthchecks.io, Uptime Kuma, `PagerDuty`'s and
//! `GoAlert`'s heartbeats take it. Nothing is tried again: the next beat is the next try.

use reqwest::header::HeaderMap;
use url::Url;

use super::http::Endpoint;
use super::{BuildError, SendError};
use crate::config::model::HeartbeatConfig;
use crate::domain::time::Timestamp;

/// Where the beats go.
pub struct Heartbeat(Endpoint);

impl Heartbeat {
    /// Ready to beat.
    ///
    /// # Errors
    /// [`BuildError`] when a certificate file or a proxy cannot be used.
    pub fn new(config: &HeartbeatConfig) -> Result<Self, BuildError> {
        let url = Url::parse(config.url.expose()).or(Err(BuildError::Heartbeat))?;
        Ok(Self(Endpoint::new(url, &config.transport)?))
    }

    /// One beat.
    ///
    /// # Errors
    /// [`SendError`]: nobody out there has heard it.
    pub async fn beat(&self, now: Timestamp) -> Result<(), SendError> {
        let body = br#"{"status":"alive","by":"stormbell"}"#.to_vec();
        self.0.post(HeaderMap::new(), body, now).await.map_err(|refused| refused.error)
    }
}
