//! What became of a message: who took it, and how long after its incident began.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::view::DeliveryView;
use crate::domain::time::Timestamp;

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// The receiver.
    pub receiver: String,
    /// The person there, if it was for one.
    pub person: Option<String>,
    /// What it said: `incident.opened` and so on.
    pub kind: String,
    /// `pending`, `leased`, `delivered` or `parked` (given up).
    pub state: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When the receiver took it, or it was given up, RFC 3339.
    pub at: Option<String>,
    /// The same, from when the incident was opened.
    pub after_seconds: Option<f64>,
    /// What went wrong last.
    pub error: Option<String>,
}

impl Receipt {
    /// What became of a message about an incident that was opened then.
    pub fn of(delivery: DeliveryView, opened_at: &str) -> Self {
        Self {
            after_seconds: delivery.finished_at.as_deref().and_then(|at| seconds_between(opened_at, at)),
            at: delivery.finished_at,
            receiver: delivery.receiver,
            person: delivery.person,
            kind: delivery.kind,
            state: delivery.state,
            attempts: delivery.attempts,
            error: delivery.error,
        }
    }

    /// What it said, in a word.
    pub fn what(&self) -> &str {
        self.kind.strip_prefix("incident.").unwrap_or(&self.kind)
    }

    /// Whom it was for.
    pub fn whom(&self) -> String {
        match &self.person {
            Some(person) => format!("{person} ({})", self.receiver),
            None => self.receiver.clone(),
        }
    }

    /// Whether the receiver took it.
    pub fn is_taken(&self) -> bool {
        self.state == "delivered"
    }
}

/// How it went: `taken after 0.4 s, 2 tries`.
impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tries = if self.attempts > 1 { format!(", {} tries", self.attempts) } else { String::new() };
        let error = |otherwise| self.error.as_deref().unwrap_or(otherwise);
        match (self.state.as_str(), self.after_seconds) {
            ("delivered", Some(after)) => write!(f, "taken after {after:.1} s{tries}"),
            ("parked", _) => write!(f, "GIVEN UP{tries}: {}", error("no reason")),
            _ => write!(f, "NOT TAKEN yet{tries}: {}", error("on its way")),
        }
    }
}

/// Seconds from one time of RFC 3339 to a later one; 0 when it is not later.
pub fn seconds_between(from: &str, to: &str) -> Option<f64> {
    let (from, to) = (Timestamp::parse(from).ok()?, Timestamp::parse(to).ok()?);
    Some(to.since(from).as_secs_f64())
}
