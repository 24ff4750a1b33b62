//! Who guesses passwords, and who was here before.
//!
//! A try counts before it is checked, and is taken back when it was right. It counts for the name, whoever tries, and
//! for the address; not for one of this machine, behind which a proxy hides everybody. A browser in which somebody
//! signed in with that name has a sign of it, and an account of its own: a stranger who guesses all night does not keep
//! the responder out.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::access::{AccountName, Throttle};
use crate::domain::id::hex;
use crate::domain::time::Timestamp;

/// Refused tries that are noted one by one within [`NOTED_WITHIN`]; of the rest there is a count.
const NOTED: u32 = 10;
const NOTED_WITHIN: Duration = Duration::from_mins(1);
/// What the sign is for, so that the secret can sign nothing else by accident.
const PURPOSE: &str = "stormbell was here 1\n";
const FORMS: &str = "stormbell forms 1\n";

/// Who asks to come in.
#[derive(Clone, Copy, Debug)]
pub(in crate::web) struct Visitor<'a> {
    /// From where; behind a proxy, the proxy's.
    pub(in crate::web) address: IpAddr,
    /// What the browser says it is.
    pub(in crate::web) browser: &'a str,
    /// The sign of who was here before.
    pub(in crate::web) known: Option<&'a str>,
}

/// Who guessed lately.
#[derive(Debug)]
pub(super) struct Guesses {
    secret: String,
    throttle: Mutex<Throttle>,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    since: Timestamp,
    count: u32,
}

/// By what a try counts.
pub(super) struct Tried(Vec<String>);

impl Guesses {
    pub(super) fn new(secret: &str) -> Self {
        Self { secret: secret.to_owned(), throttle: Mutex::default(), noted: Mutex::default() }
    }

    /// Counts a try.
    ///
    /// # Errors
    /// How long to wait for the next that counts.
    pub(super) fn begin(
        &self,
        name: Option<&AccountName>,
        visitor: &Visitor<'_>,
        now: Timestamp,
    ) -> Result<Tried, Duration> {
        let was_here = name.is_some_and(|name| visitor.known == Some(self.known(name).as_str()));
        let mut keys = Vec::new();
        match name {
            Some(name) if was_here => keys.push(format!("known {name}")),
            Some(name) => keys.push(format!("name {name}")),
            None => {}
        }
        if !was_here && !visitor.address.to_canonical().is_loopback() {
            keys.push(format!("address {}", network(visitor.address)));
        }
        let mut throttle = self.throttle();
        if let Some(wait) = keys.iter().filter_map(|key| throttle.wait(key, now)).max() {
            return Err(wait);
        }
        for key in &keys {
            throttle.wrong(key, now);
        }
        Ok(Tried(keys))
    }

    /// It was no guess.
    pub(super) fn was_right(&self, tried: &Tried) {
        let mut throttle = self.throttle();
        for key in &tried.0 {
            throttle.right(key);
        }
    }

    /// The sign of whoever signed in with that name.
    pub(super) fn known(&self, name: &AccountName) -> String {
        self.signed(PURPOSE, name.as_str())
    }

    /// What forms carry of somebody who has no cookie, whose browser is let in by others.
    pub(super) fn form_key(&self, name: &str) -> String {
        self.signed(FORMS, name)
    }

    /// For what else is signed or derived, each for a purpose of its own.
    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    fn signed(&self, purpose: &str, text: &str) -> String {
        // HMAC takes keys of every length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()) else { return String::new() };
        mac.update(purpose.as_bytes());
        mac.update(text.as_bytes());
        hex(&mac.finalize().into_bytes(), 16)
    }

    /// Whether a refused try is to be noted, with what to say of those that were not.
    pub(super) fn worth_noting(&self, now: Timestamp) -> Option<String> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left_out = 0;
        if now < noted.since || now.since(noted.since) >= NOTED_WITHIN {
            left_out = noted.count.saturating_sub(NOTED);
            *noted = Noted { since: now, count: 0 };
        }
        noted.count = noted.count.saturating_add(1);
        let text = if left_out > 0 { format!("; {left_out} before it are not noted") } else { String::new() };
        (noted.count <= NOTED).then_some(text)
    }

    /// Nobody panics while holding it.
    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An address, or of one in IPv6 the network that a single customer has.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + seconds)
    }

    fn visitor<'a>(address: &str, known: Option<&'a str>) -> Visitor<'a> {
        Visitor { address: address.parse().unwrap(), browser: "", known }
    }

    #[test]
    fn a_stranger_who_guesses_keeps_nobody_out_who_was_here_before() {
        let guesses = Guesses::new("secret");
        let ann = AccountName::new("ann").unwrap();
        let stranger = visitor("127.0.0.1", None);
        while guesses.begin(Some(&ann), &stranger, at(0)).is_ok() {}
        assert!(guesses.begin(Some(&ann), &stranger, at(0)).is_err());
        let sign = guesses.known(&ann);
        let tried = guesses.begin(Some(&ann), &visitor("127.0.0.1", Some(&sign)), at(0));
        guesses.was_right(&tried.unwrap_or_else(|_| panic!("known")));
        let bob = AccountName::new("bob").unwrap();
        assert!(guesses.begin(Some(&bob), &stranger, at(0)).is_ok(), "behind a proxy all have one address");
        assert_ne!(guesses.known(&bob), sign);
        assert_ne!(Guesses::new("another").known(&ann), sign);
    }

    #[test]
    fn whoever_tries_many_names_is_slowed_down_by_address() {
        let guesses = Guesses::new("secret");
        let name = |n: usize| AccountName::new(&format!("a{n}")).unwrap();
        let tries = (0..100).take_while(|n| {
            let address = format!("2001:db8:1:2::{n:x}");
            guesses.begin(Some(&name(*n)), &visitor(&address, None), at(0)).is_ok()
        });
        assert_eq!(tries.count(), 4, "a network of IPv6 is one customer");
        assert!(guesses.begin(Some(&name(200)), &visitor("2001:db8:1:3::1", None), at(0)).is_ok());
    }

    #[test]
    fn a_flood_of_refused_tries_is_a_few_lines_and_a_count() {
        let guesses = Guesses::new("secret");
        let noted: Vec<String> = (0..500).filter_map(|_| guesses.worth_noting(at(0))).collect();
        assert_eq!(noted.len(), 10);
        assert_eq!(guesses.worth_noting(at(60)).as_deref(), Some("; 490 before it are not noted"));
        assert_eq!(guesses.worth_noting(at(61)).as_deref(), Some(""));
        assert_eq!(guesses.worth_noting(at(0)).as_deref(), Some(""), "a clock that was set back starts anew");
    }
}
