//! `POST /hooks/pagerduty/{receiver}`: what people did with an incident at a receiver is done here, too.
//!
//! The signature over the body is the proof, so neither token nor name of this server is asked for. PagerDuty gives a
//! hook up for a day when it is refused three times in a row: whatever is signed and not for us is taken and forgotten
//! (202), and only what could not be written down is asked for again (503). A repetition, also after a restart, does
//! nothing: what is acknowledged or over stays so, and what is older than an incident's last turn for the worse is
//! outdated to the engine. So no names of past events are kept.
//!
//! Source: <https://developer.pagerduty.com/docs/webhooks-overview> (V3), its pages on behaviour and signatures.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Hook;
use super::api::{Answer, App, Problem};
use super::backend::{Action, Backend, BackendError};
use super::pagerduty::{Told, read};
use super::routes::{Needs, Routes};
use crate::config::secret::Secret;
use crate::domain::id::ReceiverName;
use crate::telemetry::metrics::Heard;

/// PagerDuty sends nothing larger.
const BODY_LIMIT: usize = 256 * 1024;
/// While a secret is exchanged there are two.
const MOST_SIGNATURES: usize = 8;
const SIGNATURE: HeaderName = HeaderName::from_static("x-pagerduty-signature");

pub(super) fn routes<B: Backend>(routes: Routes<B>) -> Routes<B> {
    let take = post(take::<B>).layer(DefaultBodyLimit::max(BODY_LIMIT));
    routes.at("POST", "/hooks/pagerduty/{receiver}", Needs::Nothing, take)
}

async fn take<B: Backend>(
    State(shared): App<B>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    let Path(name) = path?;
    let receiver = ReceiverName::from(name);
    let Some(Hook::PagerDuty(secret)) = shared.hooks.get(&receiver) else {
        let text = "there is no receiver of that name with a webhook_secret";
        return Err(Problem::new(StatusCode::NOT_FOUND, text));
    };
    let body = body?;
    if !is_signed(secret, &headers, &body) {
        shared.metrics.answer(&receiver, Heard::Refused);
        let text = "no signature fits: webhook_secret must be the one that PagerDuty showed for this webhook";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, text));
    }
    let Some(Told { incident, kind, by, at }) = read(&body) else {
        shared.metrics.answer(&receiver, Heard::Ignored);
        return Ok(StatusCode::ACCEPTED.into_response());
    };
    let by = by.unwrap_or_else(|| format!("somebody at {receiver}"));
    let action = Action { kind, by, text: format!("in PagerDuty ({receiver})") };
    let done = shared.backend.answered(incident, action, Some(receiver.clone().into()), at).await;
    let (heard, answer) = match done {
        Ok(Some(_)) => (Heard::Done, Ok(StatusCode::NO_CONTENT.into_response())),
        Ok(None) => (Heard::Ignored, Ok(StatusCode::ACCEPTED.into_response())),
        Err(error @ (BackendError::Invalid(_) | BackendError::Conflict(_) | BackendError::Unavailable(_))) => {
            (Heard::Failed, Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())))
        }
    };
    shared.metrics.answer(&receiver, heard);
    answer
}

/// Whether any of the signatures is the body's; how long it takes tells nothing about the right one.
fn is_signed(secret: &Secret, headers: &HeaderMap, body: &[u8]) -> bool {
    if secret.expose().is_empty() {
        return false; // it would be everybody's
    }
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else { return false };
    let mac = mac.chain_update(body);
    let lines = headers.get_all(SIGNATURE).iter().filter_map(|line| line.to_str().ok());
    let signatures = lines.flat_map(|line| line.split(',')).take(MOST_SIGNATURES);
    let digests = signatures.filter_map(|one| bytes(one.trim().strip_prefix("v1=")?));
    digests.fold(false, |is_signed, digest| is_signed | mac.clone().verify_slice(&digest).is_ok())
}

/// 64 hexadecimal digits as bytes.
fn bytes(hex: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let digits = hex.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn signed(secret: &str, header: &str, body: &[u8]) -> bool {
        let value = HeaderValue::from_str(header).unwrap();
        is_signed(&Secret::new(secret.to_owned()), &[(SIGNATURE, value)].into_iter().collect(), body)
    }

    /// By `printf '%s' '{"event":{}}' | openssl dgst -sha256 -hmac planted-secret`.
    const BODY: &[u8] = b"{\"event\":{}}";
    const RIGHT: &str = "v1=c18a58eeb986c62a47de2b7dbc15f01d56b1ccac9f1755ecbc7cf0771ff88951";

    #[test]
    fn one_of_several_signatures_is_enough_and_none_is_not() {
        let wrong = format!("v1={}", "0".repeat(64));
        for header in [
            RIGHT.to_owned(),
            format!("{wrong},{RIGHT}"),
            format!("{wrong}, {RIGHT}"),
            RIGHT.replace("v1=", "v2=x,v1="),
        ] {
            assert!(signed("planted-secret", &header, BODY), "{header}");
        }
        let upper = RIGHT.to_uppercase();
        let many = format!("{}{RIGHT}", format!("{wrong},").repeat(MOST_SIGNATURES));
        let bare = RIGHT.trim_start_matches("v1=").to_owned();
        let short = RIGHT.split_at(RIGHT.len() - 2).0.to_owned();
        for header in [wrong, upper, many, bare, short, RIGHT.replace("v1=", "v2="), String::new(), "v1=".to_owned()] {
            assert!(!signed("planted-secret", &header, BODY), "{header}");
        }
        assert!(!signed("planted-secret", RIGHT, b"{\"event\":{ }}"));
        assert!(!signed("another", RIGHT, BODY) && !signed("", RIGHT, BODY));
        assert!(!is_signed(&Secret::new("planted-secret".to_owned()), &HeaderMap::new(), BODY));
    }

    proptest! {
        #[test]
        fn no_header_stops_the_reader(header in "[ -~]{0,300}", signs in "(v1=[0-9a-f+ -]{60,66},? ?){0,12}") {
            prop_assert!(!signed("planted-secret", &header, BODY) && !signed("planted-secret", &signs, BODY));
        }
    }
}
