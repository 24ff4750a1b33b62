//! What is said to a receiver, before any receiver's own form.

use std::time::Duration;

use super::addressee::Recipient;
use super::id::{DeliveryId, IncidentId, PersonName, ReceiverName};
use super::incident::{Incident, IncidentState, Severity};
use super::post::Post;
use super::terms::Notable;
use super::time::Timestamp;

/// What happened to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// It began.
    Opened,
    /// Severity rose, or it grew a step.
    Updated,
    /// Somebody took charge.
    Acknowledged,
    /// Nobody took charge in time; the next step is told.
    Escalated,
    /// It ended.
    Resolved,
}

impl MessageKind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Opened, Self::Updated, Self::Acknowledged, Self::Escalated, Self::Resolved];

    /// The `type` of the webhook payload.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "incident.opened",
            Self::Updated => "incident.updated",
            Self::Acknowledged => "incident.acknowledged",
            Self::Escalated => "incident.escalated",
            Self::Resolved => "incident.resolved",
        }
    }

    /// The kind of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What is said about an incident at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What happened.
    pub kind: MessageKind,
    /// When (wall time).
    pub at: Timestamp,
    /// The incident as it then stood.
    pub incident: Incident,
}

impl Message {
    /// Whether it says that the incident began again after its end.
    pub fn begins_again(&self) -> bool {
        self.kind == MessageKind::Opened && self.incident.again.is_some_and(|again| again.at == self.at)
    }

    /// Whether it says that the incident outgrew whoever had it, or began again. A service where it is
    /// acknowledged, or that never heard of its end, rings nobody for news of it: there it must end and begin anew.
    pub fn reopens(&self) -> bool {
        self.kind == MessageKind::Updated && self.incident.reopened == Some(self.at) || self.begins_again()
    }

    /// Whether it tells somebody that the incident is theirs now.
    pub fn hands_over(&self) -> bool {
        self.kind == MessageKind::Escalated && self.incident.acknowledged.as_ref().is_some_and(|by| by.at == self.at)
    }

    /// Counts and times in a sentence; no post's text.
    pub fn summary(&self) -> String {
        summary(&self.incident)
    }

    /// The same without names of accounts, for whoever may not read posts.
    pub fn thin_summary(&self) -> String {
        sentence(&self.incident, Notable::kind)
    }
}

/// Counts and times of an incident in a sentence; no post's text.
pub fn summary(incident: &Incident) -> String {
    sentence(incident, |notable| &notable.what)
}

fn sentence(incident: &Incident, who: fn(&Notable) -> &str) -> String {
    let posts = counted(incident.posts, "post");
    let spread = incident.last_post_at.since(incident.first_post_at);
    let when = incident.first_post_at.whole_second();
    let mut text = match incident.posts {
        0 => format!("since {when}"),
        1 => format!("{posts} at {when}"),
        _ => {
            let authors = counted(incident.authors, "author");
            let within = super::time::human(spread);
            match incident.stories {
                0 => format!("{authors} · {posts} within {within}, the first at {when}"),
                n => format!("{} · {authors} · {posts} within {within}, the first at {when}", counted(n, "story")),
            }
        }
    };
    if !incident.notable.is_empty() {
        let notable: Vec<&str> = incident.notable.iter().map(who).collect();
        text = format!("{text}; among its authors: {}", notable.join(", "));
    }
    if incident.is_flood() {
        text = format!("a flood by few accounts: {text}");
    }
    if incident.late {
        text = format!("happened {when}, learned {}: {text}", incident.opened_at.whole_second());
    }
    text
}

/// A number as people write it, and its noun: `1 story`, `3,901 posts`.
pub fn counted(number: u64, noun: &str) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("{text} {noun}"),
        (_, Some(stem)) => format!("{text} {stem}ies"),
        (_, None) => format!("{text} {noun}s"),
    }
}

/// One message to one receiver: a row of the durable outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The same over every attempt and every restart.
    pub id: DeliveryId,
    /// The receiver.
    pub receiver: ReceiverName,
    /// The person to tell there; none means whomever the receiver tells by itself.
    pub recipient: Option<Recipient>,
    /// What to say.
    pub message: Message,
    /// Not before this (wall time). Later than the message's own time: it is held back for quiet
    /// hours, unless something for the same addressee must not wait; then both go at once.
    pub due: Timestamp,
    /// After this it is given up, and another receiver is told so.
    pub give_up: Timestamp,
}

/// Whoever is to be woken has it by then, or others are told: so long after it was due.
pub const RECEIPT: Duration = Duration::from_secs(45);

impl Delivery {
    /// When its receipt must be here at the latest; none when nobody waits for that. An attempt may take 20 s, so
    /// one that hangs and the next one fit.
    pub fn receipt_by(&self) -> Option<Timestamp> {
        let alarms = matches!(self.message.kind, MessageKind::Opened | MessageKind::Updated | MessageKind::Escalated);
        let incident = &self.message.incident;
        let is_waited_for = incident.state == IncidentState::Open || self.message.hands_over();
        let wakes = alarms && incident.severity == Severity::Critical && is_waited_for;
        wakes.then(|| self.due + RECEIPT)
    }

    /// Where to send it instead of the receiver's own address.
    pub fn address(&self) -> Option<&str> {
        self.recipient.as_ref().map(|recipient| recipient.address.as_str())
    }

    /// Until when it is held back for quiet hours.
    pub fn held_until(&self) -> Option<Timestamp> {
        Some(self.due).filter(|due| self.recipient.is_some() && *due > self.message.at)
    }
}

/// A delivery taken out of the outbox by a dispatcher, with the posts to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leased {
    /// The row.
    pub delivery: Delivery,
    /// Sample posts that still exist: what their authors deleted meanwhile is gone.
    pub sample: Vec<Post>,
    /// 1 for the first attempt.
    pub attempt: u32,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The receiver took it.
    Delivered,
    /// Try again, not before the time.
    Retry {
        /// When.
        due: Timestamp,
        /// What went wrong; no secret.
        error: String,
    },
    /// It will never be taken: park it and tell another receiver.
    Parked {
        /// What went wrong; no secret.
        error: String,
    },
}

/// A parked delivery that nobody has been told of yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// The delivery.
    pub id: DeliveryId,
    /// Who could not be reached, …
    pub receiver: ReceiverName,
    /// … and the person there, if it was for one.
    pub person: Option<PersonName>,
    /// About what.
    pub incident: IncidentId,
    /// Why.
    pub error: String,
}
