//! The receiver `log`: one line in the daemon's log, as fields, without any post's text. What
//! a new term is stands between ‘ and ’ in the reason, and stays out, too.

use crate::domain::message::{Message, MessageKind};

use super::untrusted::{clean, without_terms};

/// Writes the line: what happened to which incident, how grave, and the counts.
pub(super) fn write(message: &Message) {
    let incident = &message.incident;
    let (id, severity, topic) = (incident.id.as_str(), incident.severity.as_str(), incident.topic.as_str());
    let (title, why) = (clean(incident.unmarked_title()), without_terms(&clean(&incident.why)));
    let exercise = if incident.exercise { "EXERCISE " } else { "" };
    let what = match message.kind {
        MessageKind::Opened if message.begins_again() => "reopened",
        MessageKind::Opened => "opened",
        MessageKind::Updated => "updated",
        MessageKind::Acknowledged => "acknowledged",
        MessageKind::Escalated => "escalated",
        MessageKind::Resolved => "resolved",
    };
    let summary = match &incident.merged_into {
        Some(into) => format!("goes on as {into}"),
        None => message.thin_summary(),
    };
    tracing::warn!(topic, why, "{exercise}{what} {id}: {} {title}; {summary}", severity.to_uppercase());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io;
    use std::sync::{Arc, Mutex};

    use crate::domain::id::ReceiverName;
    use crate::domain::incident::{Incident, IncidentState, Severity, Told};
    use crate::domain::key::Key;
    use crate::domain::message::{Delivery, Leased, Message, MessageKind};
    use crate::domain::terms::Notable;
    use crate::domain::time::Timestamp;
    use crate::notify::{Receiver, ReceiverConfig, ReceiverKind};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn incident() -> Incident {
        let at = Timestamp::default();
        Incident {
            id: "7h3x".into(),
            topic: "active-threat".into(),
            also: [].into(),
            title: "Gunman\u{1b}[31m reported".to_owned(),
            severity: Severity::Critical,
            state: IncidentState::Open,
            rules: BTreeSet::new(),
            opened_at: at,
            first_post_at: at,
            last_post_at: at,
            posts: 1,
            authors: 1,
            stories: 1,
            why: "gunman".to_owned(),
            playbook: None,
            exercise: false,
            late: false,
            sample: Vec::new(),
            acknowledged: None,
            resolved: None,
            merged: [].into(),
            merged_into: None,
            reopened: None,
            again: None,
            notable: vec![Notable { author: Key::from_bits(1), what: "the journalist @ann.example".to_owned() }],
            anew: None,
            muted: None,
            revision: 1,
            told: Told { severity: Severity::Critical, authors: 1, notable: 0, receivers: BTreeSet::new() },
            escalations: Vec::new(),
        }
    }

    #[test]
    fn an_incident_is_one_line_with_fields() {
        let lines = Lines::default();
        let writer = lines.clone();
        let log =
            tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(move || writer.clone()).finish();
        let name = ReceiverName::from("log");
        let receiver = Receiver::build(&ReceiverConfig::new(name.clone(), ReceiverKind::Log), None).unwrap();
        let message = Message { kind: MessageKind::Opened, at: Timestamp::default(), incident: incident() };
        let now = Timestamp::default();
        let delivery = Delivery { id: "1".into(), receiver: name, recipient: None, message, due: now, give_up: now };
        let leased = Leased { delivery, sample: Vec::new(), attempt: 1 };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tracing::subscriber::with_default(log, || runtime.block_on(receiver.send(&leased, now))).unwrap();
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            text,
            " WARN stormbell::notify::log: opened 7h3x: CRITICAL Gunman[31m reported; 1 post at 1970-01-01T00:00:00Z; \
             among its authors: a journalist topic=\"active-threat\" why=\"gunman\"\n"
        );
    }
}
