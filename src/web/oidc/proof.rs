//! The provider's word about somebody: its signature, for whom it is, about which sign-in, and until when (Core §3.1.3.7).

use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::config::model::OidcConfig;
use crate::domain::access::Role;
use crate::domain::time::Timestamp;

/// Clocks differ by so much.
const SLACK: Duration = Duration::from_mins(2);
/// The longest name that the provider has for somebody (Core §2), in bytes.
const MOST_SUBJECT: usize = 255;

/// Somebody, as the provider knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::web) struct Person {
    /// Who says so.
    pub(in crate::web) issuer: String,
    /// By what it knows them, for ever.
    pub(in crate::web) subject: String,
    /// What they are called there, the best first.
    pub(in crate::web) names: Vec<String>,
    /// What they may do; none means nothing.
    pub(in crate::web) role: Option<Role>,
}

/// Why its word is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// No key of the provider's is called so.
    UnknownKey,
    /// It is no token, or signed in a way that is not taken.
    Form,
    /// The signature, issuer or audience is wrong.
    Signature,
    /// It is about another sign-in.
    Nonce,
    /// It is over, or of the future.
    Time,
    /// It says of nobody.
    Subject,
}

impl Doubt {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::UnknownKey => "it is signed with a key that the service does not list",
            Self::Form => "it is not signed with RS256 or ES256",
            Self::Signature => "its signature, its issuer or whom it is for is wrong",
            Self::Nonce => "it belongs to another sign-in",
            Self::Time => "it is over, or of a time to come; are the clocks right?",
            Self::Subject => "it names nobody",
        }
    }
}

/// Whom an ID token is about.
pub(super) fn person(
    token: &str,
    keys: &JwkSet,
    config: &OidcConfig,
    nonce: &str,
    now: Timestamp,
) -> Result<Person, Doubt> {
    let header = decode_header(token).or(Err(Doubt::Form))?;
    if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
        return Err(Doubt::Form);
    }
    let key = key(keys, header.kid.as_deref(), header.alg).ok_or(Doubt::UnknownKey)?;
    let key = DecodingKey::from_jwk(key).or(Err(Doubt::UnknownKey))?;
    let mut validation = Validation::new(header.alg);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    validation.set_issuer(&[config.issuer()]);
    validation.set_audience(&[&config.client_id]);
    // Time is told by our own clock, below.
    validation.validate_exp = false;
    let claims = decode::<Value>(token, &key, &validation).or(Err(Doubt::Signature))?.claims;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if claims.get("aud").is_some_and(Value::is_array) || claims.get("azp").is_some() {
        let alone = claims.get("aud").and_then(Value::as_array).is_none_or(|audience| audience.len() == 1);
        // For several, or for another one that hands it on: it must have been given to us.
        let ours = text("azp").map_or(alone, |party| party == config.client_id);
        if !ours {
            return Err(Doubt::Signature);
        }
    }
    in_time(&claims, now)?;
    if text("nonce").is_none_or(|named| Sha256::digest(named) != Sha256::digest(nonce)) {
        return Err(Doubt::Nonce);
    }
    let fits = |subject: &&str| (1..=MOST_SUBJECT).contains(&subject.len());
    let subject = text("sub").filter(fits).ok_or(Doubt::Subject)?.to_owned();
    let mail = text("email").filter(|_| claims.get("email_verified") == Some(&Value::Bool(true)));
    let names = [text("preferred_username"), mail, text("sub")].into_iter().flatten().map(str::to_owned).collect();
    Ok(Person { issuer: config.issuer().to_owned(), subject, names, role: role(&claims, config) })
}

/// The key of that name, or the only one that could be meant where none is named.
fn key<'a>(keys: &'a JwkSet, name: Option<&str>, algorithm: Algorithm) -> Option<&'a Jwk> {
    let fits = |key: &&Jwk| {
        let kind = match key.algorithm {
            AlgorithmParameters::RSA(_) => algorithm == Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(_) => algorithm == Algorithm::ES256,
            _ => false,
        };
        let signs = key.common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature);
        kind && signs && name.is_none_or(|name| key.common.key_id.as_deref() == Some(name))
    };
    let mut fitting = keys.keys.iter().filter(fits);
    let first = fitting.next()?;
    // Of several without a name none is meant for sure.
    (name.is_some() || fitting.next().is_none()).then_some(first)
}

fn in_time(claims: &Value, now: Timestamp) -> Result<(), Doubt> {
    let at = |name: &str| claims.get(name).and_then(Value::as_f64);
    #[expect(clippy::cast_precision_loss, reason = "seconds are compared")]
    let (now, slack) = (now.micros() as f64 / 1e6, SLACK.as_secs_f64());
    let ends = at("exp").ok_or(Doubt::Time)?;
    let begins = [at("nbf"), at("iat")].into_iter().flatten().fold(f64::MIN, f64::max);
    if now < ends + slack && begins < now + slack { Ok(()) } else { Err(Doubt::Time) }
}

/// The most that any of their groups may.
fn role(claims: &Value, config: &OidcConfig) -> Option<Role> {
    let found = if config.claim.starts_with('/') { claims.pointer(&config.claim) } else { claims.get(&config.claim) };
    let held: Vec<&str> = match found? {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    held.into_iter().filter_map(|group| config.roles.get(group).copied()).max()
}
