//! Signing in where the hospital does already: `OpenID` Connect (Core 1.0, Discovery 1.0), code flow with PKCE (RFC 7636).
//!
//! Of the provider everything is asked anew now and then: where its endpoints are and what it signs with. Nothing of a
//! sign-in that is under way is kept here: what must come back is made from a cookie and our secret, so that strangers
//! who begin and never end fill nothing, and a restart in between does no harm. Signatures are verified by
//! `jsonwebtoken` with the cryptography that TLS uses. Rejected: the crate `openidconnect`, for fifty further crates,
//! some of older kinds of what is here, among them an RSA with a known weakness (RUSTSEC-2023-0071).

mod attempt;
mod proof;

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::jwk::JwkSet;
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};

pub(super) use attempt::{Attempt, LASTS};
pub(super) use proof::Person;

use crate::config::model::OidcConfig;
use crate::domain::time::Timestamp;
use crate::net::http::{SetupError, beginning, client, no_answer};

/// Below the root: where the provider sends people back.
pub(super) const BACK: &str = "sign-in/oidc/back";
/// One answer of the provider.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest answer, in bytes.
const MOST_BYTES: usize = 256 << 10;
/// What is known of the provider is asked for again after so long.
const FRESH: Duration = Duration::from_hours(1);
/// What could not be had, or did not help, is not asked for again sooner.
const AGAIN: Duration = Duration::from_secs(10);

/// Somebody who knows who people are.
#[derive(Debug)]
pub struct Provider {
    config: OidcConfig,
    client: Client,
    /// Where it sends people back.
    back: Url,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    asked: Option<Timestamp>,
    about: Option<About>,
}

/// What is known of the provider.
#[derive(Clone, Debug)]
struct About {
    authorize: Url,
    token: Url,
    /// Whether the client's secret goes into the body, because the header is not taken.
    secret_in_body: bool,
    keys: JwkSet,
}

/// Why somebody is not signed in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failed {
    /// The provider could not be asked.
    #[error("the sign-in service cannot be asked: {0}")]
    Unavailable(String),
    /// It says no, and why.
    #[error("the sign-in service says: {0}")]
    Refused(String),
    /// What came back does not belong to what this browser began.
    #[error("this sign-in was begun elsewhere, or too long ago; begin again")]
    NotBegun,
    /// Its word cannot be believed.
    #[error("the sign-in service's answer cannot be believed: {0}")]
    Unproven(&'static str),
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: Option<String>,
}

#[derive(Deserialize)]
struct Problem {
    error: String,
    error_description: Option<String>,
}

impl Provider {
    /// `public_url` is where people reach us; it ends with a slash or not.
    ///
    /// # Errors
    /// When no connection to the provider can be prepared.
    pub fn new(config: OidcConfig, public_url: &Url) -> Result<Self, SetupError> {
        let plain = config.issuer.scheme() == "http";
        let client = client(&config.transport, plain)?.timeout(PATIENCE).build()?;
        let mut back = public_url.clone();
        let path = back.path().trim_end_matches('/').to_owned();
        back.set_path(&format!("{path}/{BACK}"));
        Ok(Self { config, client, back, known: Mutex::default() })
    }

    /// Where to send somebody to who wants to sign in.
    pub(super) async fn leads_to(&self, attempt: &Attempt, now: Timestamp) -> Result<Url, Failed> {
        let about = self.about(now, false).await?;
        let mut url = about.authorize;
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("scope", self.config.scope.as_str()),
            ("client_id", &self.config.client_id),
            ("redirect_uri", self.back.as_str()),
            ("state", &attempt.state),
            ("nonce", &attempt.nonce),
            ("code_challenge", &attempt.challenge()),
            ("code_challenge_method", "S256"),
        ]);
        Ok(url)
    }

    /// Who came back with that code.
    pub(super) async fn person(&self, code: &str, attempt: &Attempt, now: Timestamp) -> Result<Person, Failed> {
        let about = self.about(now, false).await?;
        let token = self.redeem(&about, code, attempt).await?;
        match proof::person(&token, &about.keys, &self.config, &attempt.nonce, now) {
            // Perhaps it signs with a new one.
            Err(proof::Doubt::UnknownKey) => {
                let about = self.about(now, true).await?;
                proof::person(&token, &about.keys, &self.config, &attempt.nonce, now)
            }
            known => known,
        }
        .map_err(|doubt| Failed::Unproven(doubt.as_str()))
    }

    /// Whether an answer that names its issuer (RFC 9207) is of ours.
    pub(super) fn is_issuer(&self, named: &str) -> bool {
        named == self.config.issuer()
    }

    /// What the button says.
    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    /// What is known of the provider, asked for where that is long ago, or `anew`.
    async fn about(&self, now: Timestamp, anew: bool) -> Result<About, Failed> {
        let mut known = self.known.lock().await;
        // A clock that was set back makes nothing fresh.
        let since = known.asked.filter(|asked| *asked <= now).map(|asked| now.since(asked));
        let enough = if anew { AGAIN } else { FRESH };
        if let (Some(about), Some(since)) = (&known.about, since)
            && since < enough
        {
            return Ok(about.clone());
        }
        if since.is_some_and(|since| since < AGAIN) {
            return Err(Failed::Unavailable("it did not answer a moment ago; try again in some seconds".to_owned()));
        }
        known.asked = Some(now);
        match self.ask_about().await {
            Ok(about) => {
                known.about = Some(about.clone());
                Ok(about)
            }
            // What was known an hour ago is better than nothing.
            Err(failed) => known.about.clone().filter(|_| !anew).ok_or(failed),
        }
    }

    async fn ask_about(&self) -> Result<About, Failed> {
        let issuer = self.config.issuer();
        let Metadata {
            issuer: named,
            authorization_endpoint,
            token_endpoint,
            jwks_uri,
            token_endpoint_auth_methods_supported,
        } = self.get(&self.config.discovery()).await?;
        if named != issuer {
            return Err(Failed::Unproven("it calls itself by another name than `issuer`"));
        }
        let endpoint = |text: &str| {
            let url = Url::parse(text).ok().filter(|url| url.scheme() == self.config.issuer.scheme());
            url.ok_or(Failed::Unproven("one of its addresses is none, or in the clear"))
        };
        let (authorize, token) = (endpoint(&authorization_endpoint)?, endpoint(&token_endpoint)?);
        let keys = self.get(endpoint(&jwks_uri)?.as_str()).await?;
        let methods = token_endpoint_auth_methods_supported.unwrap_or_default();
        let takes = |method: &str| methods.iter().any(|one| one == method);
        let secret_in_body = takes("client_secret_post") && !takes("client_secret_basic");
        Ok(About { authorize, token, secret_in_body, keys })
    }

    async fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, Failed> {
        let answer = self.client.get(url).send().await.map_err(|error| Failed::Unavailable(no_answer(error)))?;
        if !answer.status().is_success() {
            return Err(Failed::Unavailable(format!("it answers {}", answer.status())));
        }
        let body = beginning(answer, MOST_BYTES).await;
        serde_json::from_slice(&body).or(Err(Failed::Unavailable("its answer cannot be read".to_owned())))
    }

    /// The ID token for a code.
    async fn redeem(&self, about: &About, code: &str, attempt: &Attempt) -> Result<String, Failed> {
        let OidcConfig { client_id, client_secret, .. } = &self.config;
        let mut request = self.client.post(about.token.clone());
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.back.as_str()),
            ("code_verifier", &attempt.verifier),
        ];
        if about.secret_in_body {
            fields.extend([("client_id", client_id.as_str()), ("client_secret", client_secret.expose())]);
        } else {
            // Both are encoded as in a form, before they are joined (RFC 6749 §2.3.1).
            let [id, secret] = [client_id.as_str(), client_secret.expose()]
                .map(|part| form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>());
            let basic = BASE64_STANDARD.encode(format!("{id}:{secret}"));
            request = request.header("authorization", format!("Basic {basic}"));
        }
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer = request.send().await.map_err(|error| Failed::Unavailable(no_answer(error)))?;
        let status = answer.status();
        let body = beginning(answer, MOST_BYTES).await;
        if status == StatusCode::OK {
            let tokens: Option<Tokens> = serde_json::from_slice(&body).ok();
            return tokens.and_then(|tokens| tokens.id_token).ok_or(Failed::Unproven("it holds no ID token"));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(Problem { error, error_description }) if status.is_client_error() => {
                Err(Failed::Refused(said(&error, error_description.as_deref())))
            }
            _ => Err(Failed::Unavailable(format!("it answers {status}"))),
        }
    }
}

/// What it says in words, as far as a page shows it.
pub(super) fn said(error: &str, description: Option<&str>) -> String {
    use crate::domain::harmless::{clean, clip};
    let text = description.map_or_else(|| error.to_owned(), |description| format!("{description} ({error})"));
    clip(&clean(&text), 200)
}
