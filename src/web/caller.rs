//! Who asks: the bearer of a token, somebody who is signed in, or anybody in an open demo.

use axum::http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};

use crate::domain::access::{Fingerprint, Role};
use crate::domain::id::hex;
use crate::domain::lane::Sight;

/// The session's cookie.
pub(super) const COOKIE: &str = "stormbell-session";
/// The sign of whoever was here before, kept for a year after the last time.
const KNOWN: &str = "stormbell-known";
/// A sign-in elsewhere that is under way.
const ATTEMPT: &str = "stormbell-oidc";
const YEAR: u64 = 365 * 86_400;
/// The longest cookie header that is looked at, in bytes.
const MOST: usize = 8192;

/// How somebody is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// By the daemon's own token; on whose behalf, they may say.
    Token,
    /// By a token of its own: a program, under that name.
    Program(String),
    /// Not at all: all is open to them.
    Nobody,
    /// By the name of their account.
    Name(String),
}

/// What shows who they are, and for how long they are let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// The daemon's own token, or nothing where all is open.
    Given,
    /// The session's cookie, which a browser sends by itself.
    Cookie(Fingerprint),
    /// A token that somebody made.
    Token(Fingerprint),
    /// The word of the proxy that is trusted.
    Proxy,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    /// How they are known.
    pub(super) known: Known,
    /// What they may do.
    pub(super) role: Role,
    /// What they may read.
    pub(super) sight: Sight,
    /// What shows it.
    pub(super) pass: Pass,
    /// What every form of theirs must carry.
    pub(super) form_key: String,
}

impl Caller {
    /// Whoever has the token: programs, which pass on what they read.
    pub(super) fn with_token() -> Self {
        let (role, sight, pass) = (Role::Admin, Sight::Veiled, Pass::Given);
        Self { known: Known::Token, role, sight, pass, form_key: String::new() }
    }

    /// Anybody, where all is open.
    pub(super) fn anybody() -> Self {
        let (role, sight, pass) = (Role::Admin, Sight::Veiled, Pass::Given);
        Self { known: Known::Nobody, role, sight, pass, form_key: String::new() }
    }

    /// Somebody who is signed in.
    pub(super) fn signed_in(name: &str, role: Role, sight: Sight, cookie: &str) -> Self {
        let form_key = hex(&Sha256::digest(format!("form {cookie}")), 16);
        let pass = Pass::Cookie(Fingerprint::of(cookie));
        Self { known: Known::Name(name.to_owned()), role, sight, pass, form_key }
    }

    /// A program with a token, which passes on what it reads.
    pub(super) fn program(known: Known, role: Role, token: Fingerprint) -> Self {
        Self { known, role, sight: Sight::Veiled, pass: Pass::Token(token), form_key: String::new() }
    }

    /// Somebody whom the proxy knows.
    pub(super) fn by_proxy(name: &str, role: Role, sight: Sight, form_key: String) -> Self {
        Self { known: Known::Name(name.to_owned()), role, sight, pass: Pass::Proxy, form_key }
    }

    /// Whether it is somebody at a browser, which shows by itself who they are: also to pages of others.
    pub(super) fn is_person(&self) -> bool {
        matches!(self.pass, Pass::Cookie(_) | Pass::Proxy)
    }

    /// Their session, if they are signed in by a browser's cookie.
    pub(super) fn session(&self) -> Option<Fingerprint> {
        match self.pass {
            Pass::Cookie(session) => Some(session),
            Pass::Given | Pass::Token(_) | Pass::Proxy => None,
        }
    }

    /// Under which name what they do goes on record.
    pub(super) fn by(&self) -> &str {
        match &self.known {
            Known::Token => "api",
            Known::Nobody => "demo",
            Known::Name(name) | Known::Program(name) => name,
        }
    }

    /// The name of their account, if they have one.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.known {
            Known::Name(name) => Some(name),
            Known::Token | Known::Program(_) | Known::Nobody => None,
        }
    }

    /// Under which name it goes on record that somebody is said to do something: the signed in do it themselves, and
    /// of what a program says the record shows that a program says so.
    pub(super) fn on_behalf(&self, said: Option<String>) -> Option<String> {
        match &self.known {
            Known::Name(name) => Some(name.clone()),
            Known::Program(name) => Some(said.map_or_else(|| name.clone(), |said| format!("{said} ({name})"))),
            Known::Token | Known::Nobody => said,
        }
    }
}

/// The secret in the session's cookie.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    named(headers, COOKIE)
}

/// The sign of who signed in here before.
pub(super) fn known(headers: &HeaderMap) -> Option<&str> {
    named(headers, KNOWN)
}

fn named<'a>(headers: &'a HeaderMap, cookie: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter(|value| value.len() <= MOST);
    let pairs = all.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let mut ours = pairs.filter_map(|pair| pair.trim().split_once('=')).filter(|(name, _)| *name == cookie);
    // Of two, one was planted by a neighbour: neither is believed.
    ours.next().filter(|_| ours.next().is_none()).map(|(_, secret)| secret)
}

/// What a browser keeps while somebody signs in elsewhere.
pub(super) fn attempt(headers: &HeaderMap) -> Option<&str> {
    named(headers, ATTEMPT)
}

/// The header that has a browser keep it; without it, forget it.
pub(super) fn set_attempt(attempt: Option<&str>, seconds: u64, secure: bool) -> String {
    set(ATTEMPT, attempt, seconds, secure)
}

/// The header that gives a browser the sign.
pub(super) fn set_known(sign: &str, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{KNOWN}={sign}; Path=/; HttpOnly; SameSite=Strict; Max-Age={YEAR}{secure}")
}

/// The header that gives a browser the cookie; without a secret, takes it away.
pub(super) fn set_cookie(secret: Option<&str>, seconds: u64, secure: bool) -> String {
    set(COOKIE, secret, seconds, secure)
}

fn set(cookie: &str, secret: Option<&str>, seconds: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    let (secret, seconds) = secret.map_or(("", 0), |secret| (secret, seconds));
    // Lax: a link in a chat, and who comes back from signing in, lead to the page with it; no other site's form does.
    format!("{cookie}={secret}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|cookie| (header::COOKIE, cookie.parse().unwrap())).collect()
    }

    #[test]
    fn the_cookie_is_found_among_others_and_believed_alone() {
        assert_eq!(cookie(&headers(&["a=b; stormbell-session=x=y; c"])), Some("x=y"));
        assert_eq!(cookie(&headers(&["a=b", "stormbell-session=x"])), Some("x"));
        assert_eq!(cookie(&headers(&["stormbell-session=x; stormbell-session=y"])), None);
        assert_eq!(cookie(&headers(&["xstormbell-session=x"])), None);
        assert_eq!(cookie(&headers(&[])), None);
    }

    #[test]
    fn forms_of_two_sessions_differ_and_give_the_cookie_away_to_nobody() {
        let [one, other] =
            ["a", "b"].map(|cookie| Caller::signed_in("ann", Role::Viewer, Sight::Veiled, cookie).form_key);
        assert!(one != other && one.len() == 32);
        assert_ne!(one, hex(&Fingerprint::of("a").0, 16));
    }
}
