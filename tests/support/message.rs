//! An incident to tell people about.

use std::time::Duration;

use stormbell::domain::incident::{Incident, IncidentState, Severity, Signature, Told};
use stormbell::domain::message::{Delivery, Leased, Message, MessageKind};
use stormbell::domain::post::{Author, Post};
use stormbell::domain::time::Timestamp;

/// When the stories of these tests take place.
pub fn noon() -> Timestamp {
    Timestamp::parse("2026-11-22T12:00:00Z").unwrap()
}

/// Two people report a gunman; somebody takes charge, and it ends.
pub fn incident(id: &str, kind: MessageKind) -> Incident {
    let signed = |by: &str| Some(Signature { by: by.to_owned(), at: noon() });
    let (state, acknowledged, resolved) = match kind {
        MessageKind::Acknowledged => (IncidentState::Acknowledged, signed("Ann"), None),
        MessageKind::Resolved => (IncidentState::Resolved, signed("Ann"), signed("Bob")),
        MessageKind::Opened | MessageKind::Updated | MessageKind::Escalated => (IncidentState::Open, None, None),
    };
    Incident {
        id: id.into(),
        topic: "active-threat".into(),
        also: [].into(),
        title: "Gunman or shots reported at our site".to_owned(),
        severity: Severity::Critical,
        state,
        rules: ["active-threat.gunman".into()].into(),
        opened_at: noon(),
        first_post_at: noon() - Duration::from_secs(91),
        last_post_at: noon() - Duration::from_secs(1),
        posts: 2,
        authors: 2,
        stories: 1,
        why: "\"gunman\" within 12 words of \"St Brigids\"; 2 authors within 10 min (active-threat.gunman)".to_owned(),
        playbook: Some("playbooks/active-threat.md".to_owned()),
        exercise: false,
        late: false,
        sample: vec!["at://did:plc:a/app.bsky.feed.post/1".into()],
        acknowledged,
        resolved,
        merged: [].into(),
        merged_into: None,
        reopened: None,
        again: None,
        notable: Vec::new(),
        anew: None,
        muted: None,
        revision: 1,
        told: Told {
            severity: Severity::Critical,
            authors: 2,
            notable: 0,
            receivers: std::collections::BTreeSet::new(),
        },
        escalations: Vec::new(),
    }
}

/// One of the posts.
pub fn post(text: &str) -> Post {
    let id = "at://did:plc:a/app.bsky.feed.post/1".into();
    let at = noon() - Duration::from_secs(91);
    let plain = Post::plain(id, "bluesky".into(), "did:plc:a".into(), text.to_owned(), at);
    let handle = Some("ann.example".to_owned());
    Post {
        url: Some("https://bsky.example/profile/did:plc:a/post/1".to_owned()),
        author: Author { handle, name: Some("Ann".to_owned()), ..plain.author },
        lang: vec!["en".to_owned()],
        ..plain
    }
}

/// A row of the outbox, due at noon and given up an hour later. Its id names incident and kind.
pub fn delivery(incident_id: &str, kind: MessageKind) -> Delivery {
    Delivery {
        id: format!("{incident_id}.{}", kind.as_str()).into(),
        receiver: "there".into(),
        recipient: None,
        message: Message { kind, at: noon(), incident: incident(incident_id, kind) },
        due: noon(),
        give_up: noon() + Duration::from_hours(1),
    }
}

/// The row as a dispatcher gets it.
pub fn leased(incident_id: &str, kind: MessageKind) -> Leased {
    let sample = vec![post("Gunman at St Brigids ER")];
    Leased { delivery: delivery(incident_id, kind), sample, attempt: 1 }
}
