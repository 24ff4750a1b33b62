//! Where people reach the daemon, and the links by which whoever reads a message takes charge
//! without signing in: `{public_url}/a/{token}`.
//!
//! A token says which incident, to whom the message went and until when, and ends with a signature,
//! so that nothing about a link has to be kept: it outlives restarts, and one incident's link can
//! never act on another. All of it follows from the message, so every attempt at one carries the same
//! link. Rejected: a random name in a table (a write before each message, and a link that dies with
//! the row), the delivery's id alone (shorter by some 20 letters, and dead once the outbox forgets).
//!
//! It is no one-time password: opening it does nothing, and once somebody has the incident it only
//! says who. Whoever can read the message can take charge, as with the message itself.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use url::Url;

use crate::domain::id::{IncidentId, PersonName, ReceiverName};
use crate::domain::incident::IncidentState;
use crate::domain::message::Delivery;
use crate::domain::time::Timestamp;

/// How long after its message a link works. What quiet hours hold back over a weekend is read on
/// Monday, and its link must work then. An incident that is open for longer is told again.
pub const LASTS: Duration = Duration::from_hours(72);
/// The longest token that is looked at, in characters. Names have at most 64.
const MAX_TOKEN: usize = 512;
/// Bytes of the signature.
const SIGNATURE: usize = 16;
/// What the signature is for, so that the key can sign nothing else by accident.
const PURPOSE: &[u8] = b"stormbell acknowledge 1\n";
/// Between the parts of a token. No name has it.
const BETWEEN: char = '\0';

/// Where people reach the daemon.
#[derive(Clone, Debug)]
pub struct Console {
    base: Url,
    signer: Option<Signer>,
}

/// What a link says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The incident to take charge of.
    pub incident: IncidentId,
    /// By which way the message went.
    pub receiver: ReceiverName,
    /// For whom it was, if it was for one person.
    pub person: Option<PersonName>,
}

/// Why a link cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// This daemon never made it, or it was cut off.
    NotOurs,
    /// It was one, until [`LASTS`] after its message.
    Expired,
}

impl Console {
    /// A server at that address, which gives no links.
    pub fn at(base: Url) -> Self {
        Self { base, signer: None }
    }

    /// A server that everybody who is told can reach at that address; what it signs, it knows again.
    pub fn with_links(public_url: Url, key: &str) -> Self {
        // HMAC takes keys of every length.
        Self { base: public_url, signer: Hmac::new_from_slice(key.as_bytes()).ok().map(Signer) }
    }

    /// The same for those who have their own way to take charge, or none.
    #[must_use]
    pub fn without_links(&self) -> Self {
        Self::at(self.base.clone())
    }

    /// The public address, where there is one.
    pub fn public_url(&self) -> Option<&Url> {
        self.signer.as_ref().map(|_| &self.base)
    }

    /// Its address.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Where an incident can be read.
    pub fn incident_url(&self, id: &IncidentId) -> String {
        self.below(&["incidents", id.as_str()])
    }

    /// Where whoever has that secret chooses a password.
    pub fn invitation_url(&self, secret: &str) -> String {
        self.below(&["invited", secret])
    }

    /// Where whoever gets this message takes charge; none when somebody has the incident, it is over, or
    /// nobody can reach this server.
    pub fn acknowledge_url(&self, delivery: &Delivery) -> Option<String> {
        let incident = &delivery.message.incident;
        let signer = self.signer.as_ref().filter(|_| incident.state == IncidentState::Open)?;
        let link = Link {
            incident: incident.id.clone(),
            receiver: delivery.receiver.clone(),
            person: delivery.recipient.as_ref().map(|recipient| recipient.person.clone()),
        };
        let token = signer.token(&link, delivery.message.at + LASTS)?;
        Some(self.below(&["a", &token]))
    }

    /// What the token of a link says.
    ///
    /// # Errors
    /// [`Unusable`]; of one that was not signed here nothing is read.
    pub fn read(&self, token: &str, now: Timestamp) -> Result<Link, Unusable> {
        self.signer.as_ref().ok_or(Unusable::NotOurs)?.read(token, now)
    }

    /// Where a receiver of that kind sends back what people did; none where nobody can reach this server.
    pub fn hook_url(&self, kind: &str, receiver: &ReceiverName) -> Option<String> {
        self.public_url().map(|_| self.below(&["hooks", kind, receiver.as_str()]))
    }

    fn below(&self, path: &[&str]) -> String {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url.into()
    }
}

impl Link {
    /// Who takes charge by it.
    pub fn who(&self) -> &str {
        self.person.as_ref().map_or(self.receiver.as_str(), PersonName::as_str)
    }
}

/// HMAC-SHA256 with the key already in it.
#[derive(Clone)]
struct Signer(Hmac<Sha256>);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    /// The end in minutes since 1970, the names, the signature. None for names that no configuration has.
    fn token(&self, link: &Link, until: Timestamp) -> Option<String> {
        let Link { incident, receiver, person } = link;
        let names = [Some(incident.as_str()), Some(receiver.as_str()), person.as_ref().map(PersonName::as_str)];
        let names: Vec<&str> = names.into_iter().flatten().collect();
        let minute = u32::try_from(until.micros().div_euclid(60_000_000)).ok()?;
        let mut bytes = minute.to_be_bytes().to_vec();
        bytes.extend_from_slice(names.join(BETWEEN.encode_utf8(&mut [0; 1])).as_bytes());
        let signature = self.over(&bytes).finalize().into_bytes();
        bytes.extend(signature.iter().take(SIGNATURE));
        let token = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let fits = token.len() <= MAX_TOKEN && !names.iter().any(|name| name.contains(BETWEEN));
        fits.then_some(token)
    }

    fn read(&self, token: &str, now: Timestamp) -> Result<Link, Unusable> {
        if token.len() > MAX_TOKEN {
            return Err(Unusable::NotOurs);
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).or(Err(Unusable::NotOurs))?;
        let (said, signature) = bytes.split_last_chunk::<SIGNATURE>().ok_or(Unusable::NotOurs)?;
        self.over(said).verify_truncated_left(signature).or(Err(Unusable::NotOurs))?;
        let (minute, names) = said.split_first_chunk().ok_or(Unusable::NotOurs)?;
        let until = Timestamp::from_seconds(60 * i64::from(u32::from_be_bytes(*minute)));
        let mut names = std::str::from_utf8(names).or(Err(Unusable::NotOurs))?.split(BETWEEN);
        let (Some(incident), Some(receiver)) = (names.next(), names.next()) else { return Err(Unusable::NotOurs) };
        if now > until {
            return Err(Unusable::Expired);
        }
        Ok(Link { incident: incident.into(), receiver: receiver.into(), person: names.next().map(PersonName::from) })
    }

    fn over(&self, bytes: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(PURPOSE);
        mac.update(bytes);
        mac
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signer(key: &str) -> Signer {
        Signer(Hmac::new_from_slice(key.as_bytes()).unwrap())
    }

    fn noon() -> Timestamp {
        Timestamp::parse("2026-11-22T12:00:00Z").unwrap()
    }

    fn link() -> Link {
        Link { incident: "inc-qionaw3lqq".into(), receiver: "sms".into(), person: Some("ann".into()) }
    }

    #[test]
    fn an_incident_has_an_address_below_any_server() {
        let url = |base: &str| Console::at(Url::parse(base).unwrap()).incident_url(&IncidentId::from("a/b"));
        assert_eq!(url("http://h:8787"), "http://h:8787/incidents/a%2Fb");
        assert_eq!(url("https://h/bell/"), "https://h/bell/incidents/a%2Fb");
        assert_eq!(url("https://h/bell"), "https://h/bell/incidents/a%2Fb");
    }

    #[test]
    fn a_link_fits_into_a_text_message_and_ends() {
        let token = signer("k").token(&link(), noon()).unwrap();
        assert_eq!(token.len(), 56, "{token}");
        assert_eq!(signer("k").read(&token, noon()), Ok(link()));
        assert_eq!(signer("k").read(&token, noon() + Duration::from_secs(1)), Err(Unusable::Expired));
        assert_eq!(signer("another").read(&token, noon()), Err(Unusable::NotOurs));
        let to_all = Link { person: None, ..link() };
        assert_eq!(to_all.who(), "sms");
        assert_eq!(signer("k").read(&signer("k").token(&to_all, noon()).unwrap(), noon()), Ok(to_all));
    }

    #[test]
    fn what_cannot_be_a_token_is_not_looked_at() {
        for token in ["", "a", "AAAA", "not base64!", "%", "ö", &"A".repeat(22), &"A".repeat(4096)] {
            assert_eq!(signer("k").read(token, noon()), Err(Unusable::NotOurs), "{token}");
        }
    }

    #[test]
    fn the_key_is_never_shown() {
        let console = Console::with_links("https://h.example".parse().unwrap(), "plantedkey");
        let shown = format!("{console:?}");
        assert!(!shown.contains("planted") && shown.contains("h.example"), "{shown}");
    }

    proptest! {
        #[test]
        fn a_link_says_what_was_signed_and_nothing_else(
            incident in "\\PC{1,40}", receiver in "[a-zA-Z0-9._-]{1,64}", person in proptest::option::of("[a-z0-9._-]{1,64}"),
            lasts in 0_i64..500_000,
        ) {
            let link = Link {
                incident: IncidentId::from(incident),
                receiver: ReceiverName::from(receiver),
                person: person.map(PersonName::from),
            };
            let until = Timestamp::from_seconds(noon().micros() / 1_000_000 + 60 * lasts);
            let token = signer("k").token(&link, until).unwrap();
            prop_assert!(token.len() <= MAX_TOKEN && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
            prop_assert_eq!(signer("k").token(&link, until), Some(token.clone()), "the same at every attempt");
            prop_assert_eq!(signer("k").read(&token, until), Ok(link));
        }

        #[test]
        fn a_token_that_was_touched_is_none(place in any::<prop::sample::Index>(), other in "[a-zA-Z0-9_-]") {
            let token = signer("k").token(&link(), noon()).unwrap();
            let place = place.index(token.len());
            let cut: String = token.chars().take(place).collect();
            let touched: String = cut.chars().chain(other.chars()).chain(token.chars().skip(place + 1)).collect();
            prop_assume!(touched != token);
            for wrong in [touched, cut, format!("{token}{other}"), format!("{other}{token}")] {
                prop_assert_eq!(signer("k").read(&wrong, noon()), Err(Unusable::NotOurs));
            }
        }

        #[test]
        fn no_bytes_stop_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..600), text in "\\PC{0,600}") {
            for token in [BASE64_URL_SAFE_NO_PAD.encode(bytes), text] {
                prop_assert_eq!(signer("k").read(&token, noon()), Err(Unusable::NotOurs));
            }
        }
    }
}
