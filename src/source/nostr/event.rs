//! An event of Nostr (NIP-01): what its author signed, and whether that is so.

use std::borrow::Cow;
use std::fmt::Write as _;

use k256::schnorr::{Signature, SigningKey, VerifyingKey};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::kind;
use crate::domain::event::Rejected;
use crate::domain::id::hex;
use crate::domain::time::Timestamp;
use crate::wire::bech32;

/// More tags than any event of ours has; one with more is not read.
const MOST_TAGS: usize = 5000;

/// A signed event.
#[derive(Debug, Deserialize)]
pub struct Event<'a> {
    /// SHA-256 of what is signed, in hexadecimal.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Who signed it: the x coordinate of a point on secp256k1.
    #[serde(borrow)]
    pub pubkey: Cow<'a, str>,
    /// Seconds since 1970, by the author's clock.
    pub created_at: i64,
    /// What it is.
    pub kind: u64,
    /// Lists of words.
    #[serde(borrow)]
    pub tags: Vec<Vec<Cow<'a, str>>>,
    /// What it says.
    #[serde(borrow)]
    pub content: Cow<'a, str>,
    /// The signature of `id`.
    #[serde(borrow)]
    pub sig: Cow<'a, str>,
}

impl Event<'_> {
    /// Whether it is what its author signed.
    ///
    /// # Errors
    /// [`Rejected::Forged`].
    pub fn verify(&self) -> Result<(), Rejected> {
        let forged = Rejected::Forged;
        if self.tags.len() > MOST_TAGS {
            return Err(Rejected::TooLarge);
        }
        let id: [u8; 32] = bytes(&self.id).ok_or(forged)?;
        // Some programs escape other control characters as JSON asks, the specification does not.
        if id != self.hash(Control::Verbatim) && id != self.hash(Control::Escaped) {
            return Err(forged);
        }
        let key: [u8; 32] = bytes(&self.pubkey).ok_or(forged)?;
        let signature: [u8; 64] = bytes(&self.sig).ok_or(forged)?;
        let key = VerifyingKey::from_slice(&key).or(Err(forged))?;
        let signature = Signature::from_bytes(&signature).or(Err(forged))?;
        key.verify_raw(&id, &signature).or(Err(forged))
    }

    /// When its author says it was written.
    pub fn time(&self) -> Timestamp {
        // Beyond what a time can be, it is refused as absurd.
        Timestamp::from_seconds(self.created_at.clamp(0, 1 << 40))
    }

    /// The first value of a tag.
    pub fn tag(&self, name: &str) -> Option<&str> {
        let tag = self.tags.iter().find(|tag| tag.first().is_some_and(|of| of == name))?;
        tag.get(1).map(AsRef::as_ref)
    }

    /// The public key; zeros when it is none.
    pub(super) fn pubkey_bytes(&self) -> [u8; 32] {
        bytes(&self.pubkey).unwrap_or_default()
    }

    fn hash(&self, control: Control) -> [u8; 32] {
        let mut text = format!("[0,\"{}\",{},{},[", self.pubkey, self.created_at, self.kind);
        for (place, tag) in self.tags.iter().enumerate() {
            text.push_str(if place == 0 { "[" } else { ",[" });
            for (place, word) in tag.iter().enumerate() {
                text.push_str(if place == 0 { "\"" } else { ",\"" });
                escape(word, control, &mut text);
                text.push('"');
            }
            text.push(']');
        }
        text.push_str("],\"");
        escape(&self.content, control, &mut text);
        text.push_str("\"]");
        Sha256::digest(text.as_bytes()).into()
    }
}

/// What becomes of control characters that have no short escape.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Control {
    Verbatim,
    Escaped,
}

fn escape(word: &str, control: Control, text: &mut String) {
    for letter in word.chars() {
        match letter {
            '\n' => text.push_str("\\n"),
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            '\0'..='\u{1f}' if control == Control::Escaped => {
                write!(text, "\\u{:04x}", u32::from(letter)).unwrap_or_default();
            }
            letter => text.push(letter),
        }
    }
}

/// The bytes of a text in lower-case hexadecimal of just that length.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let digits = text.as_bytes();
    if digits.len() != 2 * N || digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

/// A key that signs.
pub(super) struct Key(SigningKey);

impl Key {
    /// Reads one, as 64 hexadecimal digits or as `nsec1…`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let key: [u8; 32] = bytes(text).or_else(|| bech32::parse("nsec", text)?.try_into().ok())?;
        SigningKey::from_slice(&key).ok().map(Self)
    }

    /// The event by which a client shows to a relay who it is (NIP-42).
    pub(super) fn answer(&self, relay: &str, challenge: &str, now: Timestamp) -> Option<String> {
        let pubkey = hex(&self.0.verifying_key().to_bytes(), 32);
        let tag = |name: &'static str, value: &str| vec![Cow::from(name), Cow::from(value.to_owned())];
        let mut event = Event {
            id: Cow::default(),
            pubkey: pubkey.into(),
            created_at: now.micros() / 1_000_000,
            kind: kind::AUTH,
            tags: vec![tag("relay", relay), tag("challenge", challenge)],
            content: Cow::default(),
            sig: Cow::default(),
        };
        let id = event.hash(Control::Verbatim);
        // Without chance in it the signature of one event is one; the nonce is still nobody's to guess.
        let signature = self.0.sign_raw(&id, &[0; 32]).ok()?;
        event.id = hex(&id, 32).into();
        event.sig = hex(&signature.to_bytes(), 64).into();
        let Event { id, pubkey, created_at, kind, tags, content, sig } = event;
        let event = serde_json::json!({
            "id": id, "pubkey": pubkey, "created_at": created_at, "kind": kind, "tags": tags, "content": content, "sig": sig,
        });
        Some(event.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lower_case_digits_of_the_right_number_are_bytes() {
        assert_eq!(bytes::<2>("00ff"), Some([0, 255]));
        for text in ["00fF", "00f", "00ff0", "0g00", "+f00", "é00"] {
            assert_eq!(bytes::<2>(text), None, "{text}");
        }
    }

    #[test]
    fn an_answer_to_a_challenge_verifies() {
        let key = Key::parse(&"17".repeat(32)).unwrap();
        let answer = key.answer("wss://relay.example", "ch\"1", Timestamp::from_seconds(1_795_361_895)).unwrap();
        let event: Event<'_> = serde_json::from_str(&answer).unwrap();
        assert_eq!(event.verify(), Ok(()));
        assert_eq!(
            (event.kind, event.tag("relay"), event.tag("challenge")),
            (22242, Some("wss://relay.example"), Some("ch\"1"))
        );
        assert!(Key::parse(&"0".repeat(64)).is_none(), "zero is no key");
    }

    #[test]
    fn a_key_is_read_as_digits_and_as_people_keep_it() {
        // The example of NIP-19.
        let digits = Key::parse("67dea2ed018072d675f5415ecfaed7d2597555e202d85b3d65ea4e58d2d92ffa").unwrap();
        let kept = Key::parse("nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5").unwrap();
        assert_eq!(digits.0.to_bytes(), kept.0.to_bytes());
        for wrong in ["npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg", "nsec1qqqqqqqq"] {
            assert!(Key::parse(wrong).is_none(), "{wrong}");
        }
    }
}
