//! The receiver `log`: one line in the daemon's log, as fields, without any post's text.

use crate::domain::message::{Message, MessageKind};

use super::untrusted::clean;

/// Writes the line. Its name says what happened, so that a log collector can alert on it.
pub(super) fn write(message: &Message) {
    let incident = &message.incident;
    let (id, severity, topic) = (incident.id.as_str(), incident.severity.as_str(), incident.topic.as_str());
    let (title, summary, why) = (clean(&incident.title), message.summary(), clean(&incident.why));
    let exercise = incident.exercise;
    macro_rules! line {
        ($what:literal) => {
            tracing::warn!(id, severity, topic, title, summary, why, exercise, $what)
        };
    }
    match message.kind {
        MessageKind::Opened => line!("incident opened"),
        MessageKind::Updated => line!("incident updated"),
        MessageKind::Acknowledged => line!("incident acknowledged"),
        MessageKind::Escalated => line!("incident escalated"),
        MessageKind::Resolved => line!("incident resolved"),
    }
}
