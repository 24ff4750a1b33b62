//! The receiver `webhook`: the documented payload (INTERFACES §7) to any HTTP endpoint,
//! signed as [Standard Webhooks](https://www.standardwebhooks.com) when a secret is set.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;
use url::Url;

use super::http::Endpoint;
use super::{BuildError, SendError};
use crate::config::model::Transport;
use crate::config::secret::Secret;
use crate::domain::message::Leased;
use crate::domain::time::Timestamp;
use crate::wire::link::Console;
use crate::wire::message::MessageJson;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// An endpoint that takes the payload.
pub struct Webhook {
    endpoint: Endpoint,
    signer: Option<Signer>,
    console: Option<Console>,
}

impl Webhook {
    pub(super) fn new(
        url: Url,
        secret: Option<&Secret>,
        transport: &Transport,
        console: Option<Console>,
    ) -> Result<Self, BuildError> {
        let signer = secret.map(Signer::new).transpose()?;
        Ok(Self { endpoint: Endpoint::new(url, transport)?, signer, console })
    }

    pub(super) async fn send(&self, leased: &Leased, now: Timestamp) -> Result<(), SendError> {
        let payload = MessageJson::of(leased, self.console.as_ref());
        let permanent = |error: String| SendError::Permanent { error };
        let body = serde_json::to_vec(&payload).map_err(|error| permanent(error.to_string()))?;
        let headers = self.headers(leased.delivery.id.as_str(), now, &body);
        let headers = headers.map_err(|error| permanent(format!("the delivery's id cannot be sent: {error}")))?;
        self.endpoint.post(headers, body, now).await.map_err(|refused| refused.error)
    }

    fn headers(&self, id: &str, now: Timestamp, body: &[u8]) -> Result<HeaderMap, reqwest::header::InvalidHeaderValue> {
        let seconds = now.micros().div_euclid(1_000_000);
        let mut headers = HeaderMap::new();
        headers.insert(ID, HeaderValue::from_str(id)?);
        headers.insert(TIMESTAMP, HeaderValue::from(seconds));
        if let Some(signer) = &self.signer {
            headers.insert(SIGNATURE, HeaderValue::from_str(&signer.sign(id, seconds, body))?);
        }
        Ok(headers)
    }
}

/// HMAC-SHA256 with the key already in it.
struct Signer(Hmac<Sha256>);

impl Signer {
    /// `whsec_` and base64, as the standard's tools hand them out, or any other text as it is.
    fn new(secret: &Secret) -> Result<Self, BuildError> {
        let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let key = match secret.expose().strip_prefix("whsec_") {
            Some(encoded) => {
                GeneralPurpose::new(&base64::alphabet::STANDARD, lenient).decode(encoded).or(Err(BuildError::Secret))?
            }
            None => secret.expose().as_bytes().to_vec(),
        };
        if key.is_empty() {
            return Err(BuildError::Secret);
        }
        Hmac::new_from_slice(&key).map(Self).or(Err(BuildError::Secret))
    }

    fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"type":"alert.fired","timestamp":"2026-11-22T16:00:00Z","data":{"id":"sb-42"}}"#;
    const EXPECTED: &str = "v1,HYW+YvKFN8mFn/xhLq2XfcRADX5FkTrCP95gTLFyRNg=";

    fn sign(secret: &str) -> Result<String, BuildError> {
        Ok(Signer::new(&Secret::new(secret.to_owned()))?.sign("msg_sb42", 1_795_363_200, BODY))
    }

    #[test]
    fn signatures_agree_with_the_standards_other_implementations() {
        let bytes: Vec<u8> = (0..32).collect();
        let encoded = STANDARD.encode(&bytes);
        assert_eq!(sign(&format!("whsec_{encoded}")).unwrap(), EXPECTED);
        assert_eq!(sign(&format!("whsec_{}", encoded.trim_end_matches('='))).unwrap(), EXPECTED);
        assert_eq!(sign(&String::from_utf8(bytes).unwrap()).unwrap(), EXPECTED);
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_refused() {
        for secret in ["whsec_not base64!", "whsec_", ""] {
            assert!(matches!(sign(secret), Err(BuildError::Secret)), "{secret:?}");
        }
    }
}
