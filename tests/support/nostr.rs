//! People of Nostr, who sign what they write. Signs by its own means what the program verifies by its own.

use std::fmt::Write as _;

use k256::schnorr::SigningKey;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Somebody with a key.
pub struct Person(SigningKey);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

impl Person {
    /// The one with that number.
    pub fn number(number: u8) -> Self {
        Self(SigningKey::from_slice(&[number; 32]).unwrap())
    }

    /// Their public key.
    pub fn key(&self) -> String {
        hex(&self.0.verifying_key().to_bytes())
    }

    /// What they wrote, signed.
    pub fn event(&self, created_at: i64, kind: u64, tags: &Value, content: &str) -> Value {
        let signed = json!([0, self.key(), created_at, kind, tags, content]).to_string();
        let id: [u8; 32] = Sha256::digest(signed.as_bytes()).into();
        let signature = self.0.sign_raw(&id, &[7; 32]).unwrap();
        json!({
            "id": hex(&id), "pubkey": self.key(), "created_at": created_at, "kind": kind, "tags": tags,
            "content": content, "sig": hex(&signature.to_bytes()),
        })
    }

    /// A note of theirs.
    pub fn note(&self, created_at: i64, content: &str) -> Value {
        self.event(created_at, 1, &json!([]), content)
    }
}

/// As a relay says it.
pub fn said(subscription: &str, event: &Value) -> String {
    json!(["EVENT", subscription, event]).to_string()
}
