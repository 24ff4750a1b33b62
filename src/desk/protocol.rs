//! What daemon and desk say to each other: one JSON object a line, or a WebSocket message.
//!
//! ```text
//! desk    {"type":"hello","version":1,"user":"ann","last":{"inc-a":3},"again":["inc-a"]}
//! daemon  {"type":"hello","version":1,"user":"ann","console":"http://127.0.0.1:8787/"}
//! daemon  {"type":"show","incident":"inc-a","revision":4,"state":"open","urgency":"critical","title":"…","body":"…"}
//! desk    {"type":"shown","incident":"inc-a","revision":4}
//! desk    {"type":"action","incident":"inc-a","key":"acknowledge"}
//! desk    {"type":"closed","incident":"inc-a","reason":"dismissed"}
//! both    {"type":"ping"}                        every 15 s
//! ```
//!
//! Types that one end does not know are passed over, so that both can learn new ones; a new
//! [`VERSION`] is for what cannot be passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Raised when old and new ends would misunderstand each other.
pub const VERSION: u32 = 1;
/// The longest line either end reads, in bytes.
pub const MAX_LINE: usize = 64 * 1024;
/// Incidents a desk may say it remembers, so that its hello fits a line.
pub const MAX_LAST: usize = 256;
/// Each end says at least so often that it lives; …
pub const PING_EVERY: Duration = Duration::from_secs(15);
/// … and is given up when it has said nothing for so long.
pub const SILENT_FOR: Duration = Duration::from_secs(45);

/// What a desk says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromDesk {
    /// First of all.
    Hello {
        /// What it speaks.
        version: u32,
        /// Who sits there, as the desk has it; the daemon believes the system before this.
        user: String,
        /// The newest revision it has shown of each incident.
        #[serde(default)]
        last: BTreeMap<String, u32>,
        /// Those of them whose words it has lost and still needs: the popup stands, or will return.
        #[serde(default)]
        again: BTreeSet<String>,
    },
    /// The session's notification service took it.
    Shown {
        /// The incident.
        incident: String,
        /// As it then stood.
        revision: u32,
    },
    /// A button was pressed.
    Action {
        /// The incident.
        incident: String,
        /// What the person saw of it; 0: nothing that is known.
        #[serde(default)]
        revision: u32,
        /// [`ACKNOWLEDGE`] is the one that the daemon follows.
        key: String,
    },
    /// A popup is gone.
    Closed {
        /// The incident.
        incident: String,
        /// `dismissed` by a person, or `expired`.
        reason: String,
    },
    /// It lives.
    Ping,
    /// Something newer.
    #[serde(other)]
    Unknown,
}

/// What the daemon says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToDesk {
    /// The answer to the desk's.
    Hello {
        /// What it speaks.
        version: u32,
        /// By which name the desk's acknowledgements are written down.
        user: String,
        /// Where a person can open incidents.
        console: Option<String>,
    },
    /// How an incident stands.
    Show(Show),
    /// An incident is over that the desk still remembers.
    Gone {
        /// The incident.
        incident: String,
    },
    /// A button's order was not followed.
    Refused {
        /// The incident.
        incident: String,
        /// Why, for the person who pressed it.
        error: String,
    },
    /// The last words before the daemon hangs up.
    Error {
        /// Why.
        error: String,
    },
    /// It lives.
    Ping,
    /// Something newer.
    #[serde(other)]
    Unknown,
}

/// Takes charge of the incident.
pub const ACKNOWLEDGE: &str = "acknowledge";

/// An incident as a popup has it. Plain text, without anything hidden and with links defused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Show {
    /// The incident.
    pub incident: String,
    /// Grows with every message about it.
    pub revision: u32,
    /// Where it stands.
    pub state: State,
    /// How loudly to say it.
    pub urgency: Urgency,
    /// One line, marked where it is an exercise.
    pub title: String,
    /// A few lines.
    pub body: String,
}

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody has it: somebody must see this.
    Open,
    /// Somebody has it.
    Acknowledged,
    /// It is over.
    Resolved,
}

/// The three levels of the desktop's own specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// It can wait.
    Low,
    /// Goes away by itself.
    Normal,
    /// Stays until somebody does something.
    Critical,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_newer_is_passed_over_and_what_is_broken_is_not() {
        let parse = serde_json::from_str::<ToDesk>;
        assert_eq!(parse(r#"{"type":"sing","song":1}"#).unwrap(), ToDesk::Unknown);
        assert_eq!(parse(r#"{"type":"ping","new":1}"#).unwrap(), ToDesk::Ping);
        assert!(parse(r#"{"type":"gone"}"#).is_err());
        let hello: FromDesk = serde_json::from_str(r#"{"type":"hello","version":1,"user":"ann"}"#).unwrap();
        let (last, again) = (BTreeMap::new(), BTreeSet::new());
        assert_eq!(hello, FromDesk::Hello { version: 1, user: "ann".to_owned(), last, again });
    }

    #[test]
    fn the_longest_hello_fits_a_line() {
        let name = |n: usize| format!("inc-{n:0>40}");
        let last = (0..MAX_LAST).map(|n| (name(n), u32::MAX)).collect();
        let again = (0..MAX_LAST).map(name).collect();
        let hello = FromDesk::Hello { version: VERSION, user: "ü".repeat(64), last, again };
        assert!(serde_json::to_string(&hello).unwrap().len() < MAX_LINE);
    }
}
