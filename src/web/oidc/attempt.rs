//! A sign-in that is under way: what must come back, made from a cookie and our secret.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::domain::id::hex;
use crate::domain::time::Timestamp;

/// Whoever takes longer begins again.
pub(in crate::web) const LASTS: Duration = Duration::from_mins(10);
/// The longest address to go on to, in bytes: it lies in a cookie.
const MOST_THEN: usize = 1024;

/// What a browser began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::web) struct Attempt {
    /// What the browser keeps until it comes back.
    pub(in crate::web) cookie: String,
    /// Where to go on to then.
    pub(in crate::web) then: String,
    /// What shows that this browser began it.
    pub(in crate::web) state: String,
    /// What shows that the provider's word is about it.
    pub(in crate::web) nonce: String,
    /// What shows that we began it.
    pub(in crate::web) verifier: String,
}

impl Attempt {
    /// One that begins now; `random` is known to nobody.
    pub(in crate::web) fn begin(secret: &str, random: &str, then: &str, now: Timestamp) -> Self {
        let then = if then.len() > MOST_THEN { "" } else { then };
        let cookie =
            format!("{}.{random}.{}", now.whole_second().micros() / 1_000_000, BASE64_URL_SAFE_NO_PAD.encode(then));
        Self::of(secret, cookie, then.to_owned())
    }

    /// The one that a cookie is of, while it may come back.
    pub(in crate::web) fn resume(secret: &str, cookie: &str, now: Timestamp) -> Option<Self> {
        let (began, rest) = cookie.split_once('.')?;
        let (_, then) = rest.split_once('.')?;
        let began = Timestamp::from_seconds(began.parse().ok()?);
        if now < began || now.since(began) >= LASTS {
            return None;
        }
        let then = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(then).ok()?).ok()?;
        Some(Self::of(secret, cookie.to_owned(), then))
    }

    fn of(secret: &str, cookie: String, then: String) -> Self {
        let part = |purpose: &str| {
            // HMAC takes keys of every length.
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return String::new() };
            mac.update(format!("stormbell oidc {purpose} 1\n{cookie}").as_bytes());
            hex(&mac.finalize().into_bytes(), 32)
        };
        let [state, nonce, verifier] = ["state", "nonce", "verifier"].map(part);
        Self { cookie, then, state, nonce, verifier }
    }

    /// Whether what came back is what was sent. Compares digests: how long it takes tells nothing.
    pub(in crate::web) fn is_state(&self, came_back: &str) -> bool {
        !self.state.is_empty() && Sha256::digest(came_back) == Sha256::digest(&self.state)
    }

    /// What the provider is told of the verifier (RFC 7636 §4.2).
    pub(in crate::web) fn challenge(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&self.verifier))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + seconds)
    }

    #[test]
    fn what_was_begun_here_lately_goes_on() {
        let begun = Attempt::begin("secret", "r4nd0m", "/incidents?x=1", at(0));
        assert_eq!(Attempt::resume("secret", &begun.cookie, at(599)), Some(begun.clone()));
        assert_eq!(Attempt::resume("secret", &begun.cookie, at(600)), None);
        assert_eq!(Attempt::resume("secret", &begun.cookie, at(-1)), None);
        let other = Attempt::begin("secret", "other", "/incidents?x=1", at(0));
        let elsewhere = Attempt::resume("another", &begun.cookie, at(1)).unwrap();
        for strange in [&other, &elsewhere] {
            assert!(
                !begun.is_state(&strange.state) && begun.nonce != strange.nonce && begun.verifier != strange.verifier
            );
        }
        assert!(begun.is_state(&begun.state) && begun.state != begun.nonce && begun.nonce != begun.verifier);
        assert!((43..=128).contains(&begun.verifier.len()) && begun.challenge().len() == 43);
        // Who changes where it leads changes what must come back.
        let (head, _) = begun.cookie.rsplit_once('.').unwrap();
        let moved = Attempt::resume("secret", &format!("{head}.Lw"), at(1)).unwrap();
        assert!(moved.then == "/" && !begun.is_state(&moved.state));
        for wrong in ["", "x", "1.2", "1000000.x.!", "1000000.x.\u{e4}"] {
            assert_eq!(Attempt::resume("secret", wrong, at(0)), None, "{wrong}");
        }
        assert_eq!(Attempt::begin("secret", "r", &"/".repeat(2000), at(0)).then, "");
    }
}
