//! Names and identifiers that must not be mixed up.
//!
//! Each is a cheap-to-clone immutable string with a type of its own, so that a
//! receiver's name can never be passed where a rule's id is meant.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

/// The first `bytes` of a digest in hexadecimal.
pub fn hex(digest: &[u8], bytes: usize) -> String {
    digest.iter().take(bytes).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(Arc::from(text))
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(Arc::from(text))
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

string_id! {
    /// A configured source (`[[source]] name`).
    SourceName
}
string_id! {
    /// A configured receiver (`[[receiver]] name`).
    ReceiverName
}
string_id! {
    /// Somebody who can be told (`[[person]] name`).
    PersonName
}
string_id! {
    /// People who are told together (`[[team]] name`).
    TeamName
}
string_id! {
    /// People of whom one is on call (`[[schedule]] name`).
    ScheduleName
}
string_id! {
    /// A rule's stable id (`[[rule]] id`); state, silences and history hang on it.
    RuleId
}
string_id! {
    /// What an alert is about; alerts of one topic join one incident.
    Topic
}
string_id! {
    /// A post's globally unique key: on Bluesky its `at://` URI.
    PostId
}
string_id! {
    /// An author's stable key: on Bluesky the DID, never the handle.
    AuthorId
}
string_id! {
    /// An incident, named the same by every run that reads the same posts.
    IncidentId
}
string_id! {
    /// One message to one receiver; the same over every attempt, so that the
    /// receiver can tell a repetition from news.
    DeliveryId
}
string_id! {
    /// A silence.
    SilenceId
}

impl Topic {
    /// What stands before the first dot: of `service.question` that is `service`.
    pub fn family(&self) -> &str {
        self.0.split_once('.').map_or(&*self.0, |(family, _)| family)
    }
}

/// A name short enough to type: 50 bits of SHA-256 in the letters of RFC 4648's base32, which
/// leave out 0, 1, 8 and 9.
pub(super) fn typeable(text: &str) -> String {
    const LETTERS: [char; 32] = [
        'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v',
        'w', 'x', 'y', 'z', '2', '3', '4', '5', '6', '7',
    ];
    let digest = Sha256::digest(text);
    digest.iter().take(10).filter_map(|byte| LETTERS.get(usize::from(byte % 32))).collect()
}
