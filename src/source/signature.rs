//! Signatures over what was sent to us: whether the bytes are those that somebody with our secret sent.
//!
//! Always over the bytes as they came: JSON that was read and written again differs in its escapes. How long it takes
//! to say no tells nothing about the right signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{HeaderMap, HeaderName};
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::domain::time::Timestamp;

/// The longest digest, in bytes.
const LONGEST: usize = 64;
/// While a secret is exchanged there are two.
const MOST_SIGNATURES: usize = 8;
/// How far the clock of whoever signed may be from ours, in seconds (Standard Webhooks recommends no number; its
/// libraries use this one).
const TOLERANCE: i64 = 5 * 60;

/// The header's value, unless there are several or it is not text.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { value.to_str().ok() }
}

/// Whether two texts are the same.
pub(super) fn same(a: &str, b: &str) -> bool {
    Sha256::digest(a) == Sha256::digest(b)
}

/// `METHOD=HEX`, where the method is one of `methods`: `sha1`, `sha256`, `sha384`, `sha512`.
pub(super) fn is_hub_signed(signature: &str, methods: &[&str], secret: &[u8], body: &[u8]) -> bool {
    let Some((method, hex)) = signature.trim().split_once('=') else { return false };
    let method = method.to_ascii_lowercase();
    let Some(digest) = bytes(hex).filter(|_| methods.contains(&method.as_str())) else { return false };
    match method.as_str() {
        "sha1" => fits::<Hmac<Sha1>>(secret, &[body], &digest),
        "sha256" => fits::<Hmac<Sha256>>(secret, &[body], &digest),
        "sha384" => fits::<Hmac<Sha384>>(secret, &[body], &digest),
        "sha512" => fits::<Hmac<Sha512>>(secret, &[body], &digest),
        _ => false,
    }
}

/// HMAC-SHA256 in hexadecimal, with `sha256=` before it or without.
pub(super) fn is_signed(headers: &HeaderMap, name: &HeaderName, secret: &[u8], body: &[u8]) -> bool {
    let Some(signature) = single(headers, name.as_str()).map(str::trim) else { return false };
    let hex = signature.strip_prefix("sha256=").unwrap_or(signature);
    bytes(hex).is_some_and(|digest| fits::<Hmac<Sha256>>(secret, &[body], &digest))
}

/// The headers of [Standard Webhooks](https://www.standardwebhooks.com): id, time and body, signed together. What was
/// signed longer ago than five minutes somebody may have kept.
pub(super) fn is_standard_signed(headers: &HeaderMap, secret: &str, body: &[u8], now: Timestamp) -> bool {
    let get = |name| single(headers, name);
    let (Some(id), Some(at), Some(signatures)) =
        (get("webhook-id"), get("webhook-timestamp"), get("webhook-signature"))
    else {
        return false;
    };
    let is_fresh = |at: i64| (now.micros() / 1_000_000).abs_diff(at) <= TOLERANCE.unsigned_abs();
    if !at.parse().is_ok_and(is_fresh) {
        return false;
    }
    let Some(key) = standard_key(secret) else { return false };
    let signatures = signatures.split(' ').filter_map(|one| one.strip_prefix("v1,")).take(MOST_SIGNATURES);
    let digests = signatures.filter_map(|one| STANDARD.decode(one).ok());
    let head = format!("{id}.{at}.");
    digests.fold(false, |fitted, digest| fitted | fits::<Hmac<Sha256>>(&key, &[head.as_bytes(), body], &digest))
}

/// `whsec_` and base64, as the standard's tools hand them out, or any other text as it is.
fn standard_key(secret: &str) -> Option<Vec<u8>> {
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    match secret.strip_prefix("whsec_") {
        Some(encoded) => GeneralPurpose::new(&base64::alphabet::STANDARD, lenient).decode(encoded).ok(),
        None => Some(secret.as_bytes().to_vec()),
    }
}

/// Whether that is the digest of the parts. Without a secret it would be everybody's.
fn fits<M: Mac + KeyInit>(secret: &[u8], parts: &[&[u8]], digest: &[u8]) -> bool {
    if secret.is_empty() {
        return false;
    }
    let Ok(mac) = <M as KeyInit>::new_from_slice(secret) else { return false };
    parts.iter().fold(mac, Mac::chain_update).verify_slice(digest).is_ok()
}

/// Hexadecimal digits as bytes.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes();
    if digits.is_empty() || digits.len() > 2 * LONGEST || !digits.len().is_multiple_of(2) {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    digits
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(value(*high)? << 4 | value(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::header::HeaderValue;

    use super::*;

    const ALL: [&str; 4] = ["sha1", "sha256", "sha384", "sha512"];
    const SECRET: &[u8] = b"planted-secret";
    const BODY: &[u8] = br#"{"m":"caf\u00e9 \/ no"}"#;

    /// By `printf '%s' '{"m":"caf\u00e9 \/ no"}' | openssl dgst -sha256 -hmac planted-secret`, and so on.
    const SIGNED: [&str; 4] = [
        "sha1=2d17f4d22175e49834e16d4f971ae134ca8cd02e",
        "sha256=155c3e0e7976a0b6c771481bed9db05b656703a07b353a5feb160e6f218c7cc1",
        "sha384=b5bd1a74a3c1fe61346ad6c09dd4b9ab9936b474bd3fc5b8c52153e99206baa0b47e5f19e5810f50c19848c33f338518",
        "sha512=818185681d07c0598e4fabd07b075b286b333020fb3a8cbf34c6e72e6a870d4c3f627f2d30586dd3b48a3c4a4d777ad64187ba8ebf2f6824bfcbd93e300007e8",
    ];

    #[test]
    fn signatures_of_every_length_are_those_of_openssl() {
        for (signature, method) in SIGNED.iter().zip(ALL) {
            assert!(is_hub_signed(signature, &ALL, SECRET, BODY), "{signature}");
            assert!(is_hub_signed(&signature.to_uppercase(), &ALL, SECRET, BODY), "digits of either case");
            assert!(!is_hub_signed(signature, &[], SECRET, BODY), "{method} is not taken here");
            assert!(!is_hub_signed(signature, &ALL, b"", BODY), "an empty secret is everybody's");
            assert!(!is_hub_signed(signature, &ALL, b"another", BODY));
            assert!(
                !is_hub_signed(signature, &ALL, SECRET, b"{\"m\":\"caf\xc3\xa9 / no\"}"),
                "the same JSON, other bytes"
            );
            let cut = signature.split_at(signature.len() - 2).0;
            assert!(!is_hub_signed(cut, &ALL, SECRET, BODY), "a digest that is cut off");
        }
        for nothing in ["", "=", "sha256=", "sha256", "md5=00", "sha256=zz", "sha1=+1"] {
            assert!(!is_hub_signed(nothing, &ALL, SECRET, BODY), "{nothing}");
        }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in pairs.iter().map(header) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn a_header_that_comes_twice_is_none() {
        let name = HeaderName::from_static("x-signature");
        let hex = SIGNED[1].trim_start_matches("sha256=");
        for one in [SIGNED[1], hex] {
            assert!(is_signed(&headers(&[("x-signature", one)]), &name, SECRET, BODY), "{one}");
        }
        for wrong in [&[("x-signature", hex), ("x-signature", hex)][..], &[("x-signature", SIGNED[0])], &[]] {
            assert!(!is_signed(&headers(wrong), &name, SECRET, BODY), "{wrong:?}");
        }
    }

    #[test]
    fn standard_webhooks_are_known_by_their_standards_own_example() {
        // As in `notify::webhook`, which signs and was checked against other implementations.
        let body = br#"{"type":"alert.fired","timestamp":"2026-11-22T16:00:00Z","data":{"id":"sb-42"}}"#;
        let key: Vec<u8> = (0..32).collect();
        let secret = format!("whsec_{}", STANDARD.encode(key));
        let right = "v1,HYW+YvKFN8mFn/xhLq2XfcRADX5FkTrCP95gTLFyRNg=";
        let signed = |signature: &str, at: &str, now: i64| {
            let headers =
                headers(&[("webhook-id", "msg_sb42"), ("webhook-timestamp", at), ("webhook-signature", signature)]);
            is_standard_signed(&headers, &secret, body, Timestamp::from_seconds(now))
        };
        let at = 1_795_363_200;
        for now in [at, at - 300, at + 300] {
            assert!(signed(right, "1795363200", now));
        }
        assert!(signed(&format!("v1,AAAA v1a,x {right}"), "1795363200", at));
        for now in [at - 301, at + 301, 0] {
            assert!(!signed(right, "1795363200", now), "{now}");
        }
        for (signature, time) in
            [(right, "1795363201"), (right, ""), (right, "x"), ("v1,AAAA", "1795363200"), ("", "1795363200")]
        {
            assert!(!signed(signature, time, at), "{signature} {time}");
        }
    }

    proptest! {
        #[test]
        fn no_header_stops_the_reader(text in "[ -~]{0,200}", hex in "(sha(1|256|384|512)=)?[0-9a-fA-F+]{0,130}") {
            for text in [&text, &hex] {
                prop_assert!(!is_hub_signed(text, &ALL, SECRET, BODY));
                let headers = headers(&[("webhook-id", text), ("webhook-timestamp", text), ("webhook-signature", text)]);
                prop_assert!(!is_standard_signed(&headers, "whsec_AAAA", BODY, Timestamp::from_seconds(0)));
            }
        }
    }
}
